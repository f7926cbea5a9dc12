"""The engine of a model without random effects: least squares, the case with no penalty.

It answers what the other engines answer, so that a linear model and a generalized linear model go
through the same likelihood as their mixed ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf

from mixedsmooth._linalg import solve_lower
from mixedsmooth.model import engine
from mixedsmooth.model.engine import Factor

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Products(engine.Products):
    """A = [X y]' W [X y].

    Attributes
    ----------
    A : ndarray, shape (p + 1, p + 1)
        All of it.

    Examples
    --------
    >>> A = cross_products([], np.ones((4, 1)), np.array([1.0, 2.0, 4.0, 5.0]))
    >>> print(A.A)
    [[ 4. 12.]
     [12. 46.]]
    >>> print(round(A.factorize([]).r2, 4))  # 46 - 12^2 / 4
    10.0
    """

    exact_slopes: ClassVar[bool] = True

    A: FloatArray

    def factorize(self, T: Sequence[FloatArray]) -> "Factorization":
        """Factor A; there is no theta.

        Raises
        ------
        numpy.linalg.LinAlgError
            If a pivot is not positive.
        """
        L, failed = dpotrf(self.A, lower=1)
        if failed or not np.isfinite(L[-1, -1]):
            raise np.linalg.LinAlgError("a pivot is not positive")
        # log|I| = 0, and r^2 = y'(W - WX (X'WX)^-1 X'W) y is the square of the last pivot
        return Factorization(
            A=self, T=(), log_det_Z=0.0, L_X=L[:-1, :-1], r2=float(L[-1, -1] ** 2), L=L
        )

    def with_response(
        self, factors: Sequence[Factor], X: FloatArray, y: FloatArray, w: FloatArray | None
    ) -> "Products":
        """Return the cross-products with another y; all else is used again."""
        A = self.A.copy()
        wy = y if w is None else w * y
        A[-1] = A[:, -1] = np.append(X.T @ wy, y @ wy)
        return replace(self, A=A)


def cross_products(
    factors: Sequence[Factor],
    X: FloatArray,
    y: FloatArray,
    w: FloatArray | None = None,
    *,
    slack: float = 0.0,
    reused: bool = True,
) -> Products:
    """Form A from the columns.

    Parameters
    ----------
    factors : sequence of Factor
        None.
    X : ndarray, shape (n, p)
        Fixed effects.
    y : ndarray, shape (n,)
        Response.
    w : ndarray, shape (n,), optional
        Weights; ones if not given.
    slack : float
        What is added to y'Wy.
    reused : bool
        As in `blocked`; here nothing is prepared that depends on it.

    Returns
    -------
    Products
        The matrix.

    Examples
    --------
    >>> X, y, w = np.ones((2, 1)), np.array([1.0, 2.0]), np.array([1.0, 3.0])
    >>> print(cross_products([], X, y, w).A)
    [[ 4. 7.]
     [ 7. 13.]]
    """
    columns = np.vstack([X.T, y])
    A = columns @ (columns if w is None else columns * w).T
    A[-1, -1] += slack
    n, p = X.shape
    return Products(n=n, p=p, log_weights=engine.log_weights(w), shapes=(), A=A)


@dataclass(frozen=True, eq=False)
class Factorization(engine.ExactFactorization):
    """The Cholesky factorization of A.

    Attributes
    ----------
    L : ndarray, shape (p + 1, p + 1)
        Its factor.

    Examples
    --------
    >>> f = cross_products([], np.ones((4, 1)), np.array([1.0, 2.0, 4.0, 5.0])).factorize([])
    >>> print(f.solve()[0], f.joint_covariance(0, 0))  # the mean, and its variance over sigma^2
    [3.] [[0.25]]
    >>> f.gradient(True), f.degrees_of_freedom(True), f.row_variances([])
    ([], [], array([0., 0., 0., 0.]))
    """

    A: Products
    L: FloatArray

    def gradient(self, reml: bool, variance: float | None = None) -> list[FloatArray]:
        """No theta, no derivatives."""
        return []

    def log_det_gradient(self) -> list[FloatArray]:
        """No theta, no derivatives."""
        return []

    def solve(self) -> tuple[FloatArray, list[FloatArray]]:
        """Beta, from L_X' beta = l_y."""
        if len(self.L) == 1:
            return np.empty(0), []
        return solve_lower(self.L_X, self.L[-1, :-1], transposed=True), []

    def solve_spherical(self, q: Sequence[FloatArray]) -> list[FloatArray]:
        """No effects."""
        return []

    def degrees_of_freedom(self, reml: bool) -> list[FloatArray]:
        """No effects."""
        return []

    def conditional_covariances(self) -> list[FloatArray]:
        """No effects."""
        return []

    def joint_covariance(self, term: int, level: int) -> FloatArray:
        """Covariance of beta over sigma^2."""
        return self.covariance_of_beta(np.eye(self.A.p))

    def row_variances(self, factors: Sequence[Factor]) -> FloatArray:
        """Zeros: nothing is random."""
        return np.zeros(self.A.n)
