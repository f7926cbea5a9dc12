"""The same criterion where the tail is too large for a dense matrix.

Pupils in classes in schools: tens of thousands of classes, but Lambda'Z'WZ Lambda + I has few
entries, and its sparse factor too. Here all of Z is factored at once, with an ordering that SuperLU
chooses; X and y are a dense border. The functions are those of `blocked`, by the same names. The
gradient is taken by central differences, as the entries of the inverse that the formula needs are
not at hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.sparse
from numpy.typing import NDArray
from scipy.sparse.linalg import SuperLU, splu

from mixedsmooth.model.blocked import (
    Factor,
    Factorized,
    Products,
    Shape,
    by_term,
    deviance,
    indicators,
)

FloatArray = NDArray[np.float64]

DIFFERENCE = 1e-4  # of an entry of T, in scaled units
COLUMNS = 128  # of the inverse at a time
PROBES = 32  # random vectors for the trace of an inverse


@dataclass(frozen=True, eq=False)
class SparseCrossProducts(Products):
    """A = [Z X y]' W [Z X y] with a sparse first block.

    Attributes
    ----------
    ZZ : csc_array, shape (q, q)
        Z'WZ, term by term, the levels of a term one after the other.
    Z_fixed : ndarray, shape (q, p + 1)
        Z'W [X y].
    """

    ZZ: scipy.sparse.csc_array
    Z_fixed: FloatArray


@dataclass(frozen=True, eq=False)
class SparseFactorization(Factorized):
    """The factorization at one theta; L is that of X and y alone.

    Attributes
    ----------
    Lambda : csc_array, shape (q, q)
        Block diagonal, I kron T of each term.
    inner : SuperLU
        Factors of Lambda'Z'WZ Lambda + I.
    border : ndarray, shape (q, p + 1)
        Lambda'Z'W [X y].
    """

    Lambda: scipy.sparse.csc_array
    inner: SuperLU
    border: FloatArray


def cross_products(
    factors: Sequence[Factor],
    X: FloatArray,
    y: FloatArray | None,
    w: FloatArray | None,
    reused: bool = True,
) -> SparseCrossProducts:
    """Form A from the columns, with Z'WZ as a sparse matrix.

    Parameters
    ----------
    factors : sequence of Factor
        Random-effects terms.
    X : ndarray, shape (n, p)
        Fixed effects.
    y : ndarray, shape (n,), or None
        Response. Without one its column is that of a unit vector beside all others.
    w : ndarray, shape (n,), or None
        Weights, all positive; None for ones.
    reused : bool
        As in `blocked`; here nothing is prepared that depends on it.

    Returns
    -------
    SparseCrossProducts
        The blocks.
    """
    n, p = X.shape
    starts = np.cumsum([0, *(f.size for f in factors)])
    Z = indicators(factors, starts, np.arange(n), n, None)
    WZ = Z if w is None else Z.multiply(w[:, None]).tocsr()
    fixed = np.column_stack([X, np.zeros(n) if y is None else y])
    weighted = fixed if w is None else fixed * w[:, None]
    products = fixed.T @ weighted
    if y is None:
        products[-1, -1] = 1.0
    return SparseCrossProducts(
        n=n,
        p=p,
        log_weights=0.0 if w is None else float(np.log(w).sum()),
        ZZ=(Z.T @ WZ).tocsc(),
        Z_fixed=np.asarray(Z.T @ weighted),
        fixed=products,
        factors=tuple(Shape(f.levels, len(f.effects), f.correlated, f.scalar) for f in factors),
    )


def factorize(A: SparseCrossProducts, T: Sequence[FloatArray]) -> SparseFactorization:
    """Factor Lambda'Z'WZ Lambda + I, and what X and y leave beside it."""
    Lambda = scipy.sparse.block_diag(
        [
            scipy.sparse.kron(scipy.sparse.eye_array(levels), T_f)
            for (levels, *_), T_f in zip(A.factors, T, strict=True)
        ],
        format="csc",
    )
    identity = scipy.sparse.eye_array(A.ZZ.shape[0], format="csc")
    inner = splu(
        (Lambda.T @ A.ZZ @ Lambda + identity).tocsc(),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    border = np.asarray(Lambda.T @ A.Z_fixed)
    L = scipy.linalg.cholesky(A.fixed - border.T @ inner.solve(border), lower=True)
    return SparseFactorization(
        T=tuple(T),
        Lambda=Lambda,
        inner=inner,
        border=border,
        L=L,
        log_det_Z=float(np.log(inner.U.diagonal()).sum()),
        log_det_X=2 * float(np.log(np.diag(L)[:-1]).sum()),
        r2=float(L[-1, -1] ** 2),
    )


def gradient(
    A: SparseCrossProducts, f: SparseFactorization, reml: bool, variance: float | None = None
) -> list[FloatArray]:
    """Differentiate the profiled deviance by the entries of each T, by central differences."""
    slopes = []
    for i, (T_i, (_, k, correlated, scalar)) in enumerate(zip(f.T, A.factors, strict=True)):
        slope = np.zeros((k, k))
        if scalar:
            ends = []
            for step in (DIFFERENCE, -DIFFERENCE):
                T = [*f.T[:i], T_i + step * np.eye(k), *f.T[i + 1 :]]
                ends.append(deviance(A, factorize(A, T), reml, variance))
            slope[0, 0] = (ends[0] - ends[1]) / (2 * DIFFERENCE)
            slopes.append(slope)
            continue
        for a in range(k):
            for b in range(a + 1) if correlated else [a]:
                ends = []
                for step in (DIFFERENCE, -DIFFERENCE):
                    moved = T_i.copy()
                    moved[a, b] += step
                    T = [*f.T[:i], moved, *f.T[i + 1 :]]
                    ends.append(deviance(A, factorize(A, T), reml, variance))
                slope[a, b] = (ends[0] - ends[1]) / (2 * DIFFERENCE)
        slopes.append(slope)
    return slopes


def solve(A: SparseCrossProducts, f: SparseFactorization) -> tuple[FloatArray, list[FloatArray]]:
    """Return beta and the spherical effects u of each term."""
    beta = scipy.linalg.solve_triangular(f.L_X(A.p), f.L[-1, :-1], lower=True, trans=1)
    u = f.inner.solve(f.border[:, -1] - f.border[:, :-1] @ beta)
    return beta, by_term(u, A.factors)


def solve_spherical(
    A: SparseCrossProducts, f: SparseFactorization, q: Sequence[FloatArray]
) -> list[FloatArray]:
    """Solve (Lambda'Z'WZ Lambda + I) u = q."""
    return by_term(f.inner.solve(np.concatenate([part.ravel() for part in q])), A.factors)


def degrees_of_freedom(
    A: SparseCrossProducts, f: SparseFactorization, reml: bool
) -> list[FloatArray]:
    """Estimate the effective degrees of freedom, to about a percent.

    The trace of an inverse is the mean of z' S^-1 z over random signs z (Hutchinson 1990).
    """
    q = A.ZZ.shape[0]
    z = np.random.default_rng(0).choice([-1.0, 1.0], size=(q, PROBES))
    solved = f.inner.solve(z)
    diagonal = np.mean(z * solved, axis=1)
    if reml:
        half = scipy.linalg.solve_triangular(
            f.L_X(A.p), f.inner.solve(f.border[:, :-1]).T, lower=True
        )
        diagonal += np.sum(half**2, axis=0)
    return [len(part) - part.sum(axis=0) for part in by_term(diagonal, A.factors)]


def conditional_covariances(A: SparseCrossProducts, f: SparseFactorization) -> list[FloatArray]:
    """Covariance of the effects of each level given y, over sigma^2, exact, column by column."""
    blocks = []
    at = 0
    for levels, k, *_ in A.factors:
        block = np.empty((levels, k, k))
        for first in range(0, levels, COLUMNS):
            last = min(first + COLUMNS, levels)
            columns = slice(at + first * k, at + last * k)
            root = f.Lambda[columns].T.toarray()  # Lambda' e for these effects e
            inverse = root.T @ f.inner.solve(root)
            level = np.arange(last - first)
            chosen = inverse.reshape(last - first, k, last - first, k)[level, :, level, :]
            block[first:last] = chosen
        blocks.append(block)
        at += levels * k
    return blocks


def joint_covariance(A: SparseCrossProducts, f: SparseFactorization, term: int) -> FloatArray:
    """Covariance of (b - b_hat, beta - beta_hat) given y over sigma^2, for one term."""
    k, p = A.factors[term].effects, A.p
    at = sum(levels * effects for levels, effects, *_ in A.factors[:term])
    root = f.Lambda[at : at + k].T.toarray()
    SX = f.inner.solve(f.border[:, :-1])
    half = scipy.linalg.solve_triangular(
        f.L_X(p), np.hstack([(root.T @ SX).T, -np.eye(p)]), lower=True
    )
    covariance: FloatArray = half.T @ half
    covariance[:k, :k] += root.T @ f.inner.solve(root)
    return covariance
