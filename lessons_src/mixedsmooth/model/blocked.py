"""The profiled deviance and its gradient, by a blocked Cholesky factorization (chapter 7).

The model is y = X beta + Z Lambda u + e with u ~ N(0, sigma^2 I), e ~ N(0, sigma^2 W^-1). All that
the data contribute is the matrix of cross-products A = [Z X y]' W [Z X y], formed once. Lambda is
block diagonal: I kron T_f for the grouping factor f, with T_f lower triangular and its entries in
theta. The profiled deviance is

    d(theta) = log|Lambda' Z'WZ Lambda + I| + N (1 + log(2 pi r^2 / N)) - sum log w

with r^2 the minimum of the penalized least-squares criterion and N = n; where sigma is known, with
N log(2 pi sigma^2) + r^2 / sigma^2 in the middle. For REML N = n - p, and
log|L_X|^2 is added, where L_X L_X' = sigma^2 X'V^-1 X. All of it stands on the diagonal of the
Cholesky factor of the cross-products, in which y is the last column.

The columns of Z come in two parts. The *head* is the largest grouping factor: its block of A is
block diagonal, one k x k block for each level, so it is eliminated level by level. What remains,
A~ = A_tt - A_th M A_ht, is the same problem for the *tail*: all other columns of Z, then X, then y.

Arrays over the levels of the head have the level as their last axis, so that a loop over the k
effects of a level runs over long vectors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs, dtrtrs

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

# Most numbers that a map of pairs may store before blocks are used instead.
DENSE_PAIRS = 4_000_000
SPARSE_PAIRS = 100_000_000
ENTRIES = 4_000_000  # of a dense matrix that is needed for a moment


@dataclass(frozen=True, eq=False)
class Factor:
    """The columns of one random-effects term: levels times effects.

    Attributes
    ----------
    codes : ndarray of int, shape (n,)
        Level of each row.
    levels : int
        Number of levels m.
    effects : tuple of ndarray, each of shape (n,)
        The k values of a row that the effects of its level multiply.
    correlated : bool
        Whether T is a full lower triangle, or diagonal.
    scalar : bool
        Whether T = theta I, one parameter for all effects: the random part of a smooth.
    """

    codes: IntArray
    levels: int
    effects: tuple[FloatArray, ...]
    correlated: bool
    scalar: bool = False

    @property
    def size(self) -> int:
        """Number of columns of Z, m k."""
        return self.levels * len(self.effects)


class Shape(NamedTuple):
    """What theta needs to know of a term: m levels, k effects, T full, diagonal or theta I."""

    levels: int
    effects: int
    correlated: bool
    scalar: bool = False


@dataclass(frozen=True, eq=False)
class Blocks:
    """The block C of A between head and tail, a k x t matrix for each level of the head.

    Attributes
    ----------
    C : ndarray, shape (k, t, J)
        The blocks.
    """

    C: FloatArray

    def inner(self, M: FloatArray) -> FloatArray:
        """Sum over the levels of C_j' M_j C_j, shape (t, t), for M of shape (k, k, J)."""
        MC = np.einsum("abj,btj->atj", M, self.C)
        return np.asarray(np.tensordot(self.C, MC, ((0, 2), (0, 2))))

    def outer(self, G: FloatArray) -> FloatArray:
        """C_j G C_j' of each level, shape (k, k, J), for G of shape (t, t)."""
        product: FloatArray = np.einsum("atj,btj->abj", self.C, np.matmul(G, self.C))
        return product


@dataclass(frozen=True, eq=False)
class Pairs:
    """The same block C, as products of pairs of its entries.

    The sum over levels of C_j' M_j C_j is linear in M, and C_j G C_j' is the transposed map. Where
    the levels touch few columns of the tail, or there are few of them, the map is formed once.

    Attributes
    ----------
    products : ndarray or csr_array, shape (k k J, t t)
        C_j[a, s] C_j[b, t] in row (a, b, j) and column (s, t).
    shape : tuple of int
        (k, t, J).
    """

    products: FloatArray | scipy.sparse.csr_array
    shape: tuple[int, int, int]

    def inner(self, M: FloatArray) -> FloatArray:
        """Sum over the levels of C_j' M_j C_j, shape (t, t), for M of shape (k, k, J)."""
        _, t, _ = self.shape
        return np.asarray((self.products.T @ M.ravel()).reshape(t, t))

    def outer(self, G: FloatArray) -> FloatArray:
        """C_j G C_j' of each level, shape (k, k, J), for G of shape (t, t)."""
        k, _, J = self.shape
        return np.asarray((self.products @ G.ravel()).reshape(k, k, J))


@dataclass(frozen=True, eq=False)
class Rows:
    """The same block C as sparse matrices, for cross-products that are factored once or twice.

    Attributes
    ----------
    C : tuple of csr_array, each of shape (J, t)
        The rows of C_j for one effect of the head.
    """

    C: tuple[scipy.sparse.csr_array, ...]

    def inner(self, M: FloatArray) -> FloatArray:
        """Sum over the levels of C_j' M_j C_j, shape (t, t), for M of shape (k, k, J)."""
        total = sum(
            C_a.T @ C_b.multiply(M[a, b][:, None])
            for a, C_a in enumerate(self.C)
            for b, C_b in enumerate(self.C)
        )
        return np.asarray(total.toarray())

    def outer(self, G: FloatArray) -> FloatArray:
        """C_j G C_j' of each level, shape (k, k, J), for G of shape (t, t)."""
        k, J = len(self.C), self.C[0].shape[0]
        product = np.empty((k, k, J))
        chunk = max(1, ENTRIES // len(G))
        for first in range(0, J, chunk):
            rows = [C[first : first + chunk] for C in self.C]
            for b, C_b in enumerate(rows):
                CG = C_b @ G
                for a, C_a in enumerate(rows[: b + 1]):
                    product[a, b, first : first + chunk] = C_a.multiply(CG).sum(axis=1)
                    product[b, a] = product[a, b]
        return product


@dataclass(frozen=True, eq=False)
class Products:
    """What the criterion needs of A = [Z X y]' W [Z X y], however Z'WZ is stored.

    Attributes
    ----------
    n, p : int
        Rows, and columns of X.
    log_weights : float
        Sum of log w.
    factors : tuple of Shape
        Levels, effects and correlation of the terms.
    fixed : ndarray, shape (p + 1, p + 1)
        [X y]' W [X y].
    """

    n: int
    p: int
    log_weights: float
    factors: tuple[Shape, ...]
    fixed: FloatArray


@dataclass(frozen=True, eq=False)
class CrossProducts(Products):
    """A = [Z X y]' W [Z X y] in blocks.

    Attributes
    ----------
    head : ndarray, shape (k, k, J)
        A_hh, a k x k block for each level of the head.
    coupling : Blocks, Pairs or Rows
        A_ht, for the two products that the criterion needs.
    head_dense : ndarray, shape (k, p + 1, J)
        A_ht, its columns of X and y.
    head_sparse : tuple of csr_array, each of shape (J, m)
        A_ht, its columns of Z, for each effect of the head.
    tail : ndarray, shape (t, t)
        A_tt; its columns are those of the other terms in their order, then X, then y.
    """

    head: FloatArray
    coupling: Blocks | Pairs | Rows
    head_dense: FloatArray
    head_sparse: tuple[scipy.sparse.csr_array, ...]
    tail: FloatArray


@dataclass(frozen=True, eq=False)
class Factorized:
    """What the criterion needs of a Cholesky factorization at one theta.

    Attributes
    ----------
    T : tuple of ndarray, each of shape (k, k)
        The lower triangular factors.
    L : ndarray
        Cholesky factor of the dense part; its last rows and columns are those of X, then y.
    log_det_Z, log_det_X : float
        log|Lambda' Z'WZ Lambda + I| and log|L_X|^2.
    r2 : float
        The penalized residual sum of squares: the square of the last pivot.
    """

    T: tuple[FloatArray, ...]
    L: FloatArray
    log_det_Z: float
    log_det_X: float
    r2: float

    def L_X(self, p: int) -> FloatArray:  # noqa: N802
        """Return L_X, the block of L that belongs to the p columns of X."""
        return self.L[-p - 1 : -1, -p - 1 : -1]


@dataclass(frozen=True, eq=False)
class Factorization(Factorized):
    """The blocked factorization: head, reduction, tail.

    Attributes
    ----------
    H_inverse, P, M : ndarray, shape (k, k, J)
        H_j^-1, T H_j^-1 and T H_j^-1 T' with H_j = T' A_j T + I.
    reduced : ndarray, shape (t, t)
        A~, what the head leaves to the tail.
    """

    H_inverse: FloatArray
    P: FloatArray
    M: FloatArray
    reduced: FloatArray


def cross_products(
    factors: Sequence[Factor],
    X: FloatArray,
    y: FloatArray | None,
    w: FloatArray | None,
    reused: bool = True,
) -> CrossProducts:
    """Form A from the columns, in one pass over the rows.

    Parameters
    ----------
    factors : sequence of Factor
        Random-effects terms, the head first.
    X : ndarray, shape (n, p)
        Fixed effects.
    y : ndarray, shape (n,), or None
        Response. Without one its column is that of a unit vector beside all others.
    w : ndarray, shape (n,), or None
        Weights, all positive; None for ones.
    reused : bool
        Whether they will be factored for many theta, so that preparation pays.

    Returns
    -------
    CrossProducts
        The blocks.
    """
    head, *others = factors
    n, p = X.shape
    dense = [*X.T] if y is None else [*X.T, y]
    weighted = dense if w is None else [w * column for column in dense]
    z_head = head.effects if w is None else tuple(w * z for z in head.effects)
    k, J, d = len(head.effects), head.levels, p + 1

    def by_level(values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(head.codes, values, minlength=J), dtype=np.float64)

    head_block = np.empty((k, k, J))
    dense_block = np.zeros((k, d, J))
    for a, z in enumerate(z_head):
        for b in range(a + 1):
            head_block[a, b] = head_block[b, a] = by_level(z * head.effects[b])
        for t, column in enumerate(dense):
            dense_block[a, t] = by_level(z * column)

    starts = np.cumsum([0, *(f.size for f in others)])
    m = int(starts[-1])
    tail = np.zeros((m + d, m + d))
    tail[-1, -1] = 1.0
    if dense:
        block = slice(m, m + len(dense))
        tail[block, block] = np.stack(dense) @ np.stack(weighted).T
    for f, at in zip(others, starts, strict=False):
        for b, z in enumerate(f.effects):
            rows = at + b + len(f.effects) * np.arange(f.levels)
            for t, column in enumerate(weighted):
                tail[rows, m + t] = np.bincount(f.codes, weights=z * column, minlength=f.levels)
    tail[m:, :m] = tail[:m, m:].T
    if m:
        Z_tail = indicators(others, starts, np.arange(n), n, None)
        WZ = Z_tail if w is None else Z_tail.multiply(w[:, None]).tocsr()
        tail[:m, :m] = (Z_tail.T @ WZ).toarray()
    sparse_blocks = tuple(indicators(others, starts, head.codes, J, z) for z in z_head if m)
    return CrossProducts(
        n=n,
        p=p,
        log_weights=0.0 if w is None else float(np.log(w).sum()),
        head=head_block,
        coupling=_coupling(dense_block, sparse_blocks, reused),
        head_dense=dense_block,
        head_sparse=sparse_blocks,
        tail=tail,
        fixed=tail[m:, m:],
        factors=tuple(Shape(f.levels, len(f.effects), f.correlated, f.scalar) for f in factors),
    )


def unpack(theta: FloatArray, shapes: Sequence[Shape]) -> list[FloatArray]:
    """Return the T of each term: lower triangles filled column by column, or diagonals.

    Parameters
    ----------
    theta : ndarray
        All parameters, one term after the other.
    shapes : sequence of Shape
        The terms.

    Returns
    -------
    list of ndarray, each of shape (k, k)
        Lower triangular matrices.

    Examples
    --------
    >>> print(unpack(np.array([1.0, 2.0, 3.0]), [Shape(18, 2, True)])[0])
    [[1. 0.]
     [2. 3.]]
    """
    T = []
    at = 0
    for shape in shapes:
        k = shape.effects
        if shape.scalar:
            T.append(theta[at] * np.eye(k))
            at += 1
            continue
        matrix = np.zeros((k, k))
        rows, columns = _entries(k, shape.correlated)
        matrix[rows, columns] = theta[at : at + len(rows)]
        T.append(matrix)
        at += len(rows)
    return T


def pack(T: Sequence[FloatArray], shapes: Sequence[Shape]) -> FloatArray:
    """Return the entries of each T that are parameters: the inverse of `unpack`.

    Parameters
    ----------
    T : sequence of ndarray, each of shape (k, k)
        Matrices, of which the entries that are no parameters are left out.
    shapes : sequence of Shape
        The terms.

    Returns
    -------
    ndarray
        theta.

    Examples
    --------
    >>> print(pack([np.array([[1.0, 9.0], [2.0, 3.0]])], [Shape(18, 2, True)]))
    [1. 2. 3.]
    """
    parts = []
    for matrix, shape in zip(T, shapes, strict=True):
        if shape.scalar:
            parts.append(matrix[:1, 0])
        else:
            parts.append(matrix[_entries(shape.effects, shape.correlated)])
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


def pack_slopes(slopes: Sequence[FloatArray], shapes: Sequence[Shape]) -> FloatArray:
    """Return derivatives by theta from derivatives by the entries of each T.

    Parameters
    ----------
    slopes : sequence of ndarray, each of shape (k, k)
        What `gradient` returns.
    shapes : sequence of Shape
        The terms.

    Returns
    -------
    ndarray
        One derivative for each parameter; that of T = theta I is the sum of the diagonal.

    Examples
    --------
    >>> print(pack_slopes([np.array([[1.0, 9.0], [2.0, 3.0]])], [Shape(1, 2, False, scalar=True)]))
    [4.]
    """
    if any(shape.scalar for shape in shapes):
        slopes = [
            np.full_like(slope, np.trace(slope)) if shape.scalar else slope
            for slope, shape in zip(slopes, shapes, strict=True)
        ]
    return pack(slopes, shapes)


@cache
def _entries(k: int, correlated: bool) -> tuple[IntArray, IntArray]:
    """Rows and columns of the parameters in T, in lme4's order."""
    if not correlated:
        return np.arange(k), np.arange(k)
    columns, rows = np.triu_indices(k)
    return rows.astype(np.intp), columns.astype(np.intp)


def factorize(A: CrossProducts, T: Sequence[FloatArray]) -> Factorization:
    """Factor [Lambda'Z'WZ Lambda + I, ...] by blocks: head, reduction, tail.

    Parameters
    ----------
    A : CrossProducts
        The blocks of the cross-products.
    T : sequence of ndarray
        The lower triangular factors, head first.

    Returns
    -------
    Factorization
        The factors and the terms of the deviance.

    References
    ----------
    Bates et al. (2015), equations 18 to 30; the appended y is that of MixedModels.jl.
    """
    # H_j = T' A_j T + I, the k x k blocks of the head
    H = np.matmul(T[0].T, _left(T[0].T, A.head))
    np.einsum("aaj->aj", H)[...] += 1  # a view of the diagonals
    H_inverse, log_det_head = _inverse(H)
    P = _left(T[0], H_inverse)
    M = np.matmul(T[0], P)
    # A~ = A_tt - sum_j C_j' M_j C_j
    reduced = A.tail - A.coupling.inner(M)
    # L L' = Lambda' A~ Lambda + I (no I for X and y)
    m = len(reduced) - A.p - 1
    S = _times_lambda(_times_lambda(reduced, A, T).T, A, T)
    np.einsum("ss->s", S)[:m] += 1
    L, failed = dpotrf(S.T, lower=1)
    if failed:
        raise np.linalg.LinAlgError(f"pivot {failed} of the tail is not positive")
    log_diagonal = 2 * np.log(L.diagonal())
    return Factorization(
        T=tuple(T),
        H_inverse=H_inverse,
        P=P,
        M=M,
        reduced=reduced,
        L=L,
        log_det_Z=log_det_head + float(log_diagonal[:m].sum()),
        log_det_X=float(log_diagonal[m:-1].sum()),
        r2=float(L[-1, -1] ** 2),
    )


def residual_variance(A: Products, f: Factorized, reml: bool, known: float | None = None) -> float:
    """Return sigma^2: the known one, or the best at this theta, r^2 / N."""
    return f.r2 / (A.n - A.p if reml else A.n) if known is None else known


def deviance(A: Products, f: Factorized, reml: bool, variance: float | None = None) -> float:
    """Profiled deviance, or profiled REML criterion.

    Parameters
    ----------
    A : Products
        The cross-products.
    f : Factorized
        Their factorization at theta.
    reml : bool
        Whether to use the restricted likelihood.
    variance : float, optional
        sigma^2, where it is known.

    Returns
    -------
    float
        Minus twice the (restricted) log-likelihood at theta, beta and an unknown sigma at their
        best.

    References
    ----------
    Bates et al. (2015), equations 34 and 41.
    """
    N = A.n - A.p if reml else A.n
    s2 = residual_variance(A, f, reml, variance)
    # d = log|Lambda'Z'WZ Lambda + I| (+ log|L_X|^2)
    #     + N log(2 pi sigma^2) + r^2 / sigma^2 - sum log w
    log_det = f.log_det_Z + (f.log_det_X if reml else 0.0)
    return log_det + N * float(np.log(2 * np.pi * s2)) + f.r2 / s2 - A.log_weights


def gradient(
    A: CrossProducts, f: Factorization, reml: bool, variance: float | None = None
) -> list[FloatArray]:
    """Differentiate the profiled deviance by the entries of each T.

    Parameters
    ----------
    A : CrossProducts
        The blocks of the cross-products.
    f : Factorization
        Their factorization at theta.
    reml : bool
        Whether to use the restricted likelihood.
    variance : float, optional
        sigma^2, where it is known.

    Returns
    -------
    list of ndarray, each of shape (k, k)
        Derivatives by all entries of T, head first. Those above the diagonal are not parameters.
    """
    t = len(f.L)
    # d = log|S_R| + r^2 / sigma^2 as a function of S = Lambda' A~ Lambda + I has the derivative
    # Q = S_R^-1 + w w' / sigma^2,  w = (-u, -beta, 1),  R = columns of Z (and X for REML);
    # the same if sigma^2 is r^2 / N, because that is its best value
    Q = tail_inverse(f, t - 1 if reml else t - 1 - A.p)
    w = np.ones(t)
    w[:-1] = -_coefficients(f)
    Q += (1 / residual_variance(A, f, reml, variance)) * w[:, None] * w
    return _slopes(A, f, Q)


def log_det_gradient(A: CrossProducts, f: Factorization) -> list[FloatArray]:
    """Differentiate log|Lambda'Z'WZ Lambda + I| by the entries of each T.

    Parameters
    ----------
    A : CrossProducts
        The blocks of the cross-products.
    f : Factorization
        Their factorization at theta.

    Returns
    -------
    list of ndarray, each of shape (k, k)
        Derivatives by all entries of T, head first.
    """
    return _slopes(A, f, tail_inverse(f, len(f.L) - 1 - A.p))


def _slopes(A: CrossProducts, f: Factorization, Q: FloatArray) -> list[FloatArray]:
    """Differentiate a function by each T whose derivative by S = Lambda' A~ Lambda + I is Q.

    No inverse of T occurs, so a variance of zero is no special case.
    """
    t = len(f.L)
    m = t - A.p - 1
    # dd/dLambda = 2 A~ Lambda Q, and T_f collects the diagonal blocks of its levels
    slopes = []
    at = 0
    scaled = _times_lambda(f.reduced[:m], A, f.T) if m else f.reduced[:0]
    for levels, k, *_ in A.factors[1:]:
        block = slice(at, at + levels * k)
        rows = scaled[block].reshape(levels, k, t)
        columns = Q[block].reshape(levels, k, t)
        slopes.append(2 * np.einsum("lat,lbt->ab", rows, columns))
        at += levels * k
    # the head acts through log|H_j| and through A~:  with E_j = C_j (Lambda Q Lambda') C_j',
    # dd/dT = 2 sum_j (A_j - E_j + A_j M_j E_j) P_j
    E = A.coupling.outer(between_lambdas(Q, A, f.T))
    ME = np.einsum("acj,cbj->abj", f.M, E)
    inner = A.head - E + np.einsum("acj,cbj->abj", A.head, ME)
    return [2 * np.einsum("acj,cbj->ab", inner, f.P), *slopes]


def degrees_of_freedom(A: CrossProducts, f: Factorization, reml: bool) -> list[FloatArray]:
    """Effective degrees of freedom of each effect, summed over the levels of its term.

    They are m minus the sum of the diagonal entries that belong to the effect in
    (Lambda'Z'WZ Lambda + I)^-1; with `reml`, in the inverse that has X beside Z, so that beta
    counts as estimated.

    Parameters
    ----------
    A : CrossProducts
        The blocks of the cross-products.
    f : Factorization
        Their factorization at theta.
    reml : bool
        Whether X stands beside Z.

    Returns
    -------
    list of ndarray, each of shape (k,)
        Degrees of freedom, head first.
    """
    Q = tail_inverse(f, len(f.L) - (1 if reml else A.p + 1))
    # the head's block is H_j^-1 + P_j' E_j P_j, and H_j^-1 = I - P_j' A_j T
    E = A.coupling.outer(between_lambdas(Q, A, f.T))
    AT = np.einsum("acj,cb->abj", A.head, f.T[0])
    EP = np.einsum("acj,cbj->abj", E, f.P)
    degrees = [np.einsum("abj,abj->b", f.P, AT - EP)]
    at = 0
    for levels, k, *_ in A.factors[1:]:
        inverse = np.diag(Q)[at : at + levels * k].reshape(levels, k)
        degrees.append(levels - inverse.sum(axis=0))
        at += levels * k
    return degrees


def conditional_covariances(A: CrossProducts, f: Factorization) -> list[FloatArray]:
    """Covariance of the effects of each level given y, over sigma^2.

    They are the diagonal blocks of Lambda (Lambda'Z'WZ Lambda + I)^-1 Lambda'.

    Parameters
    ----------
    A : CrossProducts
        The blocks of the cross-products.
    f : Factorization
        Their factorization at theta.

    Returns
    -------
    list of ndarray, each of shape (m, k, k)
        Covariances by term and level, head first.

    References
    ----------
    Bates et al. (2015), equations 57 to 59.
    """
    m = len(f.L) - A.p - 1
    inverse = between_lambdas(tail_inverse(f, m), A, f.T)
    E = A.coupling.outer(inverse)
    blocks = [(f.M + np.einsum("acj,cdj,dbj->abj", f.M, E, f.M)).transpose(2, 0, 1)]
    at = 0
    for levels, k, *_ in A.factors[1:]:
        rows = inverse[at : at + levels * k, at : at + levels * k]
        level = np.arange(levels)
        blocks.append(rows.reshape(levels, k, levels, k)[level, :, level, :])
        at += levels * k
    return blocks


def joint_covariance(A: CrossProducts, f: Factorization, term: int) -> FloatArray:
    """Covariance of (b - b_hat, beta - beta_hat) given y over sigma^2, for a term of one level.

    Parameters
    ----------
    A : CrossProducts
        The blocks of the cross-products.
    f : Factorization
        Their factorization at theta.
    term : int
        Position of the term in ``A.factors``; it has one level, as a smooth has.

    Returns
    -------
    ndarray, shape (k + p, k + p)
        The covariance, that of b first.

    References
    ----------
    Henderson (1975); for smooths, Nychka (1988) and Wood (2017), section 4.2.4.
    """
    k, p, t = A.factors[term].effects, A.p, len(f.L)
    G = between_lambdas(tail_inverse(f, t - 1), A, f.T)
    fixed = np.arange(t - 1 - p, t - 1)
    if term:
        at = sum(levels * effects for levels, effects, *_ in A.factors[1:term])
        chosen = np.concatenate([np.arange(at, at + k), fixed])
        return np.asarray(G[np.ix_(chosen, chosen)])
    # [ M + M C G C' M'   -M C G ]
    # [     -G C' M'         G   ]
    MC = f.M[:, :, 0] @ _head_rows(A)
    covariance = np.empty((k + p, k + p))
    covariance[:k, :k] = f.M[:, :, 0] + MC @ G @ MC.T
    covariance[:k, k:] = -MC @ G[:, fixed]
    covariance[k:, :k] = covariance[:k, k:].T
    covariance[k:, k:] = G[np.ix_(fixed, fixed)]
    return covariance


def _head_rows(A: CrossProducts) -> FloatArray:
    """C of a head with one level, shape (k, t)."""
    dense = A.head_dense[:, :, 0]
    if not A.head_sparse:
        return np.asarray(dense)
    return np.hstack([np.vstack([block.toarray() for block in A.head_sparse]), dense])


def tail_inverse(f: Factorization, r: int) -> FloatArray:
    """Inverse of the first r rows and columns of the tail's L L', the rest zero, shape (t, t)."""
    Q = np.zeros(f.L.shape)
    if r:
        inverse, _ = dpotri(np.array(f.L[:r, :r], order="F"), lower=1, overwrite_c=1)
        np.add(inverse, inverse.T, out=Q[:r, :r])  # above the diagonal L and its inverse are zero
        np.einsum("ss->s", Q)[:r] /= 2
    return Q


def between_lambdas(Q: FloatArray, A: CrossProducts, T: Sequence[FloatArray]) -> FloatArray:
    """Return Lambda Q Lambda' of the tail, for a symmetric Q."""
    transposed = [T_f.T for T_f in T]
    return _times_lambda(_times_lambda(Q, A, transposed).T, A, transposed)


def solve(A: CrossProducts, f: Factorization) -> tuple[FloatArray, list[FloatArray]]:
    """Return beta and the spherical effects u of each term, the minimum of penalized least squares.

    Parameters
    ----------
    A : CrossProducts
        The blocks of the cross-products.
    f : Factorization
        Their factorization at theta.

    Returns
    -------
    beta : ndarray, shape (p,)
        Fixed effects.
    u : list of ndarray, each of shape (m, k)
        Spherical effects of the levels of each term, head first; b = u T'.
    """
    m = len(f.L) - A.p - 1
    solution = _coefficients(f)
    beta = solution[m:]
    u = by_term(solution[:m], A.factors[1:])
    b = [u_f @ T.T for u_f, T in zip(u, f.T[1:], strict=True)]
    # u_j = P_j' C_j (-b_t, -beta, 1)
    v = np.append(np.concatenate([-effects.ravel() for effects in b] + [-beta]), 1.0)
    Cv = np.einsum("btj,t->bj", A.head_dense, v[m:])
    for a, block in enumerate(A.head_sparse):
        Cv[a] += block @ v[:m]
    return beta, [np.einsum("baj,bj->ja", f.P, Cv), *u]


def solve_spherical(
    A: CrossProducts, f: Factorization, q: Sequence[FloatArray]
) -> list[FloatArray]:
    """Solve (Lambda'Z'WZ Lambda + I) u = q.

    Parameters
    ----------
    A : CrossProducts
        The blocks of the cross-products.
    f : Factorization
        Their factorization at theta.
    q : sequence of ndarray, each of shape (m, k)
        The right-hand side for the levels of each term, head first.

    Returns
    -------
    list of ndarray, each of shape (m, k)
        u.
    """
    u = [np.einsum("abj,jb->ja", f.H_inverse, q[0])]
    if len(q) > 1:
        # S u_t = q_t - sum_j Lambda_t' C_j' P_j q_j,  and  u_j = H_j^-1 q_j - P_j' C_j Lambda_t u_t
        head = np.einsum("abj,jb->aj", f.P, q[0])
        known = sum(block.T @ Pq for block, Pq in zip(A.head_sparse, head, strict=True))
        v = np.concatenate(
            [
                (q_f - known_f @ T).ravel()
                for q_f, known_f, T in zip(
                    q[1:], by_term(known, A.factors[1:]), f.T[1:], strict=True
                )
            ]
        )
        m = len(v)
        tail = by_term(dpotrs(f.L[:m, :m], v, lower=1)[0], A.factors[1:])
        b = np.concatenate([(u_f @ T.T).ravel() for u_f, T in zip(tail, f.T[1:], strict=True)])
        Cb = np.stack([block @ b for block in A.head_sparse])
        u[0] -= np.einsum("baj,bj->ja", f.P, Cb)
        u += tail
    return u


def row_variances(A: CrossProducts, f: Factorization, factors: Sequence[Factor]) -> FloatArray:
    """Diagonal of Z Lambda (Lambda'Z'WZ Lambda + I)^-1 Lambda'Z', one entry for each row.

    Over sigma^2 they are the variances of Z b given y, and times W the leverages of the rows.

    Parameters
    ----------
    A : CrossProducts
        The blocks of the cross-products.
    f : Factorization
        Their factorization at theta.
    factors : sequence of Factor
        The columns of Z, head first.

    Returns
    -------
    ndarray, shape (n,)
        Variances.
    """
    head, *others = factors
    if not others:
        return _quadratic(head.effects, f.M, head.codes)
    m = len(f.L) - A.p - 1
    G = between_lambdas(tail_inverse(f, m), A, f.T)
    # of the head: M_j + M_j E_j M_j with E_j = C_j G C_j'
    E = A.coupling.outer(G)
    h = _quadratic(head.effects, f.M + np.einsum("acj,cdj,dbj->abj", f.M, E, f.M), head.codes)
    # of the tail: G; and between the two: -M_j C_j G, for some levels at a time
    G = G[:m, :m]
    starts = np.cumsum([0, *(factor.size for factor in others)])
    columns = [
        (at + b + len(factor.effects) * factor.codes, z)
        for factor, at in zip(others, starts, strict=False)
        for b, z in enumerate(factor.effects)
    ]
    for s, (column, z) in enumerate(columns):
        h += z * z * G[column, column]
        for other, z_other in columns[:s]:
            h += 2 * z * z_other * G[column, other]
    order = np.argsort(head.codes, kind="stable")
    ends = np.searchsorted(head.codes[order], np.arange(head.levels + 1))
    chunk = max(1, ENTRIES // m)
    for first in range(0, head.levels, chunk):
        last = min(first + chunk, head.levels)
        rows = order[ends[first] : ends[last]]
        codes = head.codes[rows] - first
        CG = [block[first:last] @ G for block in A.head_sparse]
        for a, z_head in enumerate(head.effects):
            MCG = sum(f.M[a, b, first:last, None] * CG_b for b, CG_b in enumerate(CG))
            for column, z in columns:
                h[rows] -= 2 * z_head[rows] * z[rows] * MCG[codes, column[rows]]
    return h


def _quadratic(effects: Sequence[FloatArray], M: FloatArray, codes: IntArray) -> FloatArray:
    """Compute z' M_j z for each row, z its effects and j its level."""
    value = np.zeros(len(codes))
    for a, z in enumerate(effects):
        for b in range(a):
            value += 2 * z * effects[b] * M[a, b][codes]
        value += z * z * M[a, a][codes]
    return value


def level_sums(factor: Factor, r: FloatArray) -> FloatArray:
    """Z'r for one term, shape (m, k)."""
    sums = [np.bincount(factor.codes, z * r, minlength=factor.levels) for z in factor.effects]
    return np.stack(sums, axis=1)


def by_term(v: FloatArray, shapes: Sequence[Shape]) -> list[FloatArray]:
    """Divide a vector over the columns of Z into a matrix (m, k) for each term."""
    sizes = [(levels, k) for levels, k, *_ in shapes]
    parts = np.split(v, np.cumsum([levels * k for levels, k in sizes], dtype=np.intp))
    return [part.reshape(size) for part, size in zip(parts, sizes, strict=False)]


def _left(T: FloatArray, B: FloatArray) -> FloatArray:
    """T B_j for each level, B of shape (k, k, J)."""
    product: FloatArray = T @ B.reshape(len(B), -1)
    return product.reshape(B.shape)


def _coefficients(f: Factorization) -> FloatArray:
    """Return (u, beta) of the tail from L' (u, beta) = l_y."""
    if len(f.L) == 1:  # neither a tail nor X
        return np.empty(0)
    solution, _ = dtrtrs(f.L[:-1, :-1], f.L[-1, :-1], lower=1, trans=1)
    return np.asarray(solution, dtype=np.float64)


def _times_lambda(B: FloatArray, A: CrossProducts, T: Sequence[FloatArray]) -> FloatArray:
    """B Lambda over the columns of the tail; X and y stay as they are."""
    if len(T) == 1:
        return B
    product = B.copy()
    at = 0
    for (levels, k, *_), T_f in zip(A.factors[1:], T[1:], strict=True):
        block = slice(at, at + levels * k)
        if k == 1:
            product[:, block] *= T_f[0, 0]
        else:
            product[:, block] = (B[:, block].reshape(-1, levels, k) @ T_f).reshape(len(B), -1)
        at += levels * k
    return product


def _inverse(H: FloatArray) -> tuple[FloatArray, float]:
    """Inverses of symmetric positive definite blocks (k, k, J), and the sum of log|H_j|."""
    k = len(H)
    if k == 1:
        return 1 / H, float(np.log(H).sum())
    if k > H.shape[2]:  # few large blocks
        blocks = H.transpose(2, 0, 1)
        inverse = np.asarray(np.linalg.inv(blocks), dtype=np.float64)
        return inverse.transpose(1, 2, 0), float(np.linalg.slogdet(blocks)[1].sum())
    if k == 2:  # an intercept and a slope, the usual case: the loops below, written out
        r_0 = 1 / np.sqrt(H[0, 0])
        below = H[1, 0] * r_0
        r_1 = 1 / np.sqrt(H[1, 1] - below * below)
        r_10 = -below * r_0 * r_1
        inverse = np.empty_like(H)
        inverse[0, 0] = r_0 * r_0 + r_10 * r_10
        inverse[0, 1] = inverse[1, 0] = r_10 * r_1
        inverse[1, 1] = r_1 * r_1
        return inverse, -2 * float(np.log(r_0 * r_1).sum())
    # H = L L' column by column, and R = L^-1
    L = np.zeros_like(H)
    R = np.zeros_like(H)
    for c in range(k):
        L[c:, c] = H[c:, c]
        for i in range(c):
            L[c:, c] -= L[c:, i] * L[c, i]
        R[c, c] = 1 / np.sqrt(L[c, c])
        L[c:, c] *= R[c, c]
        for i in range(c):
            for a in range(i, c):
                R[c, i] -= L[c, a] * R[a, i]
            R[c, i] *= R[c, c]
    log_det = -2 * float(np.log(np.einsum("aaj->aj", R)).sum())
    return np.einsum("caj,cbj->abj", R, R), log_det


def indicators(
    factors: Sequence[Factor], starts: IntArray, rows: IntArray, n: int, z: FloatArray | None
) -> scipy.sparse.csr_array:
    """Sum z times the columns of Z by row number: Z itself, or its products with another factor.

    Parameters
    ----------
    factors : sequence of Factor
        The terms.
    starts : ndarray of int
        First column of each term, and their number at the end.
    rows : ndarray of int, shape (n,)
        Where each row of the data goes.
    n : int
        Number of rows of the result.
    z : ndarray, shape (n,), or None
        What the columns of Z are multiplied by.

    Returns
    -------
    csr_array
        The sums; entries that fall together are added.
    """
    row, column, value = [], [], []
    for f, at in zip(factors, starts, strict=False):
        for b, effect in enumerate(f.effects):
            row.append(rows)
            column.append(at + b + len(f.effects) * f.codes)
            value.append(effect if z is None else effect * z)
    shape = (n, int(starts[-1]))
    entries = (np.concatenate(value), (np.concatenate(row), np.concatenate(column)))
    return scipy.sparse.coo_array(entries, shape=shape).tocsr()


def _coupling(
    dense: FloatArray, sparse: Sequence[scipy.sparse.csr_array], reused: bool
) -> Blocks | Pairs | Rows:
    """Choose between blocks, pairs and rows by the size of what they store."""
    k, d, J = dense.shape
    m = sparse[0].shape[1] if sparse else 0
    t = m + d

    def together() -> FloatArray:
        if not sparse:
            return dense
        return np.concatenate([np.stack([block.toarray().T for block in sparse]), dense], axis=1)

    if reused and k * k * J * t * t <= DENSE_PAIRS:
        C = together()
        products = np.einsum("asj,btj->abjst", C, C)
        return Pairs(products.reshape(k * k * J, t * t), (k, t, J))
    if not sparse:
        return Blocks(dense)
    if not reused and k * t * J <= DENSE_PAIRS // 100:
        return Blocks(together())
    width = np.diff(sparse[0].indptr) + d
    if reused and k * k * int(np.sum(width.astype(np.int64) ** 2)) > SPARSE_PAIRS:
        return Blocks(together())
    # C of effect a as a sparse matrix with a row for each level; all effects have one pattern.
    offsets = np.arange(0, J * d + 1, d)
    columns = np.tile(np.arange(d), J)
    blocks = [
        scipy.sparse.hstack(
            [block, scipy.sparse.csr_array((values.T.ravel(), columns, offsets), shape=(J, d))],
            format="csr",
        )
        for block, values in zip(sparse, dense, strict=True)
    ]
    if not reused:
        return Rows(tuple(blocks))
    pattern = blocks[0]
    # Entry e of a row makes pairs with all entries of the row, from its first on.
    index = np.int32 if t * t < 2**31 else np.int64
    row_start, row_width = np.repeat(np.stack([pattern.indptr[:-1], width]), width, axis=1)
    ends = np.cumsum(row_width, dtype=np.int64)
    other = np.repeat((row_start - (ends - row_width)).astype(index), row_width)
    other += np.arange(ends[-1], dtype=index)
    columns = np.repeat(pattern.indices.astype(index) * index(t), row_width)
    columns += pattern.indices.astype(index)[other]
    rows = np.append(0, ends)[pattern.indptr]
    maps = [
        scipy.sparse.csr_array(
            (np.repeat(a.data, row_width) * b.data[other], columns, rows), shape=(J, t * t)
        )
        for a in blocks
        for b in blocks
    ]
    stacked = maps[0] if k == 1 else scipy.sparse.vstack(maps, format="csr")
    return Pairs(stacked, (k, t, J))
