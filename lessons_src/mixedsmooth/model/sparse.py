"""The sparse engine: for models whose tail is too large for a dense matrix.

Pupils in classes in schools: tens of thousands of classes, but Lambda'Z'WZ Lambda + I has few
entries, and its sparse factor too. Here all of Z is factored at once, with an ordering that SuperLU
chooses; X and y are a dense border. The gradient is taken by central differences, as the entries of
the inverse that the formula needs are not at hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import scipy.linalg
import scipy.sparse
from numpy.typing import NDArray
from scipy.sparse.linalg import SuperLU, splu

from mixedsmooth._linalg import solve_lower
from mixedsmooth.model import engine
from mixedsmooth.model.covariance import pack, unpack
from mixedsmooth.model.engine import Factor, by_term, indicators

FloatArray = NDArray[np.float64]

DIFFERENCE = 1e-4  # of an entry of T, in scaled units
COLUMNS = 128  # of the inverse at a time
PROBES = 32  # random vectors for the trace of an inverse


@dataclass(frozen=True, eq=False)
class Products(engine.Products):
    """A = [Z X y]' W [Z X y] with a sparse first block.

    Attributes
    ----------
    ZZ : csc_array, shape (q, q)
        Z'WZ, term by term, the levels of a term one after the other.
    Z_fixed : ndarray, shape (q, p + 1)
        Z'W [X y].
    fixed : ndarray, shape (p + 1, p + 1)
        [X y]' W [X y].

    Examples
    --------
    >>> from mixedsmooth.model.covariance import Scalar
    >>> subject = Factor(np.repeat([0, 1], 3), (np.ones(6),), engine.Shape(2, Scalar(1)))
    >>> item = Factor(np.tile([0, 1, 2], 2), (np.ones(6),), engine.Shape(3, Scalar(1)))
    >>> X, y = np.ones((6, 1)), np.array([0.0, 2.0, 4.0, 2.0, 6.0, 4.0])
    >>> A = cross_products([subject, item], X, y)
    >>> T = [np.array([[1.0]]), np.array([[2.0]])]
    >>> round(A.factorize(T).r2, 4)  # 6 / 4 + 12 / 9 + 4, squares of subjects, items and the rest
    6.8333
    >>> round(A.with_response([subject, item], X, 3 * y, None).factorize(T).r2, 4)
    61.5
    """

    exact_slopes: ClassVar[bool] = False

    ZZ: scipy.sparse.csc_array
    Z_fixed: FloatArray
    fixed: FloatArray

    def factorize(self, T: Sequence[FloatArray]) -> "Factorization":
        """Factor Lambda'Z'WZ Lambda + I, and what X and y leave beside it.

        Raises
        ------
        numpy.linalg.LinAlgError
            If what they leave is not positive definite.
        """
        Lambda = scipy.sparse.block_diag(
            [
                scipy.sparse.kron(scipy.sparse.eye_array(shape.levels), T_f)
                for shape, T_f in zip(self.shapes, T, strict=True)
            ],
            format="csc",
        )
        identity = scipy.sparse.eye_array(self.ZZ.shape[0], format="csc")
        inner = splu(
            (Lambda.T @ self.ZZ @ Lambda + identity).tocsc(),
            permc_spec="MMD_AT_PLUS_A",
            diag_pivot_thresh=0.0,
            options={"SymmetricMode": True},
        )
        pivots = inner.U.diagonal()
        if pivots.min() <= 0:  # negative weights can do that
            raise np.linalg.LinAlgError("a pivot is not positive")
        border = np.asarray(Lambda.T @ self.Z_fixed)
        reduced = self.fixed - border.T @ inner.solve(border)
        L = scipy.linalg.cholesky(reduced, lower=True, check_finite=False)
        return Factorization(
            T=tuple(T),
            log_det_Z=float(np.log(pivots).sum()),
            L_X=L[:-1, :-1],
            r2=float(L[-1, -1] ** 2),
            A=self,
            Lambda=Lambda,
            inner=inner,
            border=border,
            l_y=L[-1, :-1],
        )

    def with_response(
        self, factors: Sequence[Factor], X: FloatArray, y: FloatArray, w: FloatArray | None
    ) -> "Products":
        """Return the cross-products with another y; all else is used again."""
        wy = y if w is None else w * y
        Z_fixed, fixed = self.Z_fixed.copy(), self.fixed.copy()
        Z_fixed[:, -1] = np.concatenate([f.sums(wy).ravel() for f in factors])
        fixed[-1] = fixed[:, -1] = np.append(X.T @ wy, y @ wy)
        return replace(self, Z_fixed=Z_fixed, fixed=fixed)


def cross_products(
    factors: Sequence[Factor],
    X: FloatArray,
    y: FloatArray,
    w: FloatArray | None = None,
    *,
    slack: float = 0.0,
    reused: bool = True,
) -> Products:
    """Form A from the columns, with Z'WZ as a sparse matrix.

    Parameters
    ----------
    factors : sequence of Factor
        Random-effects terms.
    X : ndarray, shape (n, p)
        Fixed effects.
    y : ndarray, shape (n,)
        Response.
    w : ndarray, shape (n,), optional
        Weights, all positive; ones if not given.
    slack : float
        What is added to y'Wy: room for rounding errors, where r^2 is not asked for.
    reused : bool
        As in `blocked`; here nothing is prepared that depends on it.

    Returns
    -------
    Products
        The blocks.

    Examples
    --------
    >>> from mixedsmooth.model.covariance import Scalar
    >>> groups = Factor(np.array([0, 0, 1, 1]), (np.ones(4),), engine.Shape(2, Scalar(1)))
    >>> A = cross_products([groups], np.ones((4, 1)), np.array([1.0, 2.0, 4.0, 5.0]))
    >>> print(A.ZZ.toarray(), A.Z_fixed, A.fixed)  # Z'Z, Z'[X y], [X y]'[X y]
    [[2. 0.]
     [0. 2.]] [[2. 3.]
     [2. 9.]] [[ 4. 12.]
     [12. 46.]]
    """
    n, p = X.shape
    Z = indicators(factors, np.arange(n), n, None)
    WZ = Z if w is None else Z.multiply(w[:, None]).tocsr()
    columns = np.column_stack([X, y])
    fixed = columns.T @ (columns if w is None else columns * w[:, None])
    fixed[-1, -1] += slack
    return Products(
        n=n,
        p=p,
        log_weights=engine.log_weights(w),
        shapes=tuple(f.shape for f in factors),
        ZZ=(Z.T @ WZ).tocsc(),
        Z_fixed=np.asarray(WZ.T @ columns),
        fixed=fixed,
    )


@dataclass(frozen=True, eq=False)
class Factorization(engine.Factorization):
    """The sparse factorization, with X and y as its border.

    Attributes
    ----------
    A : Products
        The cross-products.
    Lambda : csc_array, shape (q, q)
        Block diagonal, I kron T of each term.
    inner : SuperLU
        Factors of Lambda'Z'WZ Lambda + I.
    border : ndarray, shape (q, p + 1)
        Lambda'Z'W [X y].
    l_y : ndarray, shape (p,)
        Last row of the factor of what X and y leave, beside L_X.

    Examples
    --------
    >>> from mixedsmooth.model.covariance import Scalar
    >>> subject = Factor(np.repeat([0, 1], 3), (np.ones(6),), engine.Shape(2, Scalar(1)))
    >>> item = Factor(np.tile([0, 1, 2], 2), (np.ones(6),), engine.Shape(3, Scalar(1)))
    >>> X, y = np.ones((6, 1)), np.array([0.0, 2.0, 4.0, 2.0, 6.0, 4.0])
    >>> T = [np.array([[1.0]]), np.array([[2.0]])]
    >>> f = cross_products([subject, item], X, y).factorize(T)
    >>> beta, (u_subject, u_item) = f.solve()
    >>> print(beta.round(4), u_subject.ravel().round(4), u_item.ravel().round(4))
    [3.] [-0.75 0.75] [-0.8889 0.4444 0.4444]
    >>> print(round(f.log_det_Z, 4))  # log 12 + log 4 + 2 log 9
    8.2657
    >>> [by_T.round(4) for by_T in f.gradient(reml=False)]
    [array([[0.0244]]), array([[1.4038]])]
    """

    A: Products
    Lambda: scipy.sparse.csc_array
    inner: SuperLU
    border: FloatArray
    l_y: FloatArray

    def gradient(self, reml: bool, variance: float | None = None) -> list[FloatArray]:
        """Differentiate the profiled deviance by the parameters in each T, by differences."""
        covariances = self.A.covariances
        theta = pack(self.T, covariances)

        def at(moved: FloatArray) -> float:
            return self.A.factorize(unpack(moved, covariances)).deviance(reml, variance)

        steps = DIFFERENCE * np.eye(len(theta))
        slope = [(at(theta + step) - at(theta - step)) / (2 * DIFFERENCE) for step in steps]
        # where `pack_slopes` finds them: of T = theta I, one entry of the diagonal stands for all
        by_T = [np.zeros((covariance.k, covariance.k)) for covariance in covariances]
        ends = np.cumsum([covariance.size for covariance in covariances])
        for covariance, S, own in zip(covariances, by_T, np.split(slope, ends[:-1]), strict=True):
            S[covariance.entries] = own
        return by_T

    def solve(self) -> tuple[FloatArray, list[FloatArray]]:
        """Beta and the spherical effects u of each term."""
        beta = solve_lower(self.L_X, self.l_y, transposed=True)
        u = self.inner.solve(self.border[:, -1] - self.border[:, :-1] @ beta)
        return beta, by_term(u, self.A.shapes)

    def solve_spherical(self, q: Sequence[FloatArray]) -> list[FloatArray]:
        """Solve (Lambda'Z'WZ Lambda + I) u = q."""
        u = self.inner.solve(np.concatenate([part.ravel() for part in q]))
        return by_term(u, self.A.shapes)

    def degrees_of_freedom(self, reml: bool) -> list[FloatArray]:
        """Estimate the effective degrees of freedom, to about a percent.

        The trace of an inverse is the mean of z' S^-1 z over random signs z (Hutchinson 1990).
        """
        q = self.A.ZZ.shape[0]
        z = np.random.default_rng(0).choice([-1.0, 1.0], size=(q, PROBES))
        diagonal = np.mean(z * self.inner.solve(z), axis=1)
        if reml:
            half = solve_lower(self.L_X, self.inner.solve(self.border[:, :-1]).T)
            diagonal += np.sum(half**2, axis=0)
        return [len(part) - part.sum(axis=0) for part in by_term(diagonal, self.A.shapes)]

    def conditional_covariances(self) -> list[FloatArray]:
        """Covariance of the effects of each level given y, over sigma^2, column by column."""
        blocks, at = [], 0
        for shape in self.A.shapes:
            levels, k = shape.levels, shape.k
            block = np.empty((levels, k, k))
            for first in range(0, levels, COLUMNS):
                last = min(first + COLUMNS, levels)
                root = self.Lambda[at + first * k : at + last * k].T.toarray()  # Lambda' e
                inverse = root.T @ self.inner.solve(root)
                level = np.arange(last - first)
                chosen = inverse.reshape(last - first, k, last - first, k)[level, :, level, :]
                block[first:last] = chosen
            blocks.append(block)
            at += shape.size
        return blocks

    def joint_covariance(self, term: int, level: int) -> FloatArray:
        """Covariance of (b - b_hat, beta - beta_hat) given y over sigma^2, b of one level."""
        k, p = self.A.shapes[term].k, self.A.p
        at = sum(shape.size for shape in self.A.shapes[:term]) + level * k
        root = self.Lambda[at : at + k].T.toarray()
        SX = self.inner.solve(self.border[:, :-1])
        half = solve_lower(self.L_X, np.hstack([(root.T @ SX).T, -np.eye(p)]))
        covariance = half.T @ half
        covariance[:k, :k] += root.T @ self.inner.solve(root)
        return covariance
