"""What an engine is: cross-products of the columns, and their factorization at a theta (chapter 7).

The model is y = X beta + Z Lambda u + e with u ~ N(0, sigma^2 P^-1), e ~ N(0, sigma^2 W^-1). All
that the data contribute to its likelihood is A = [Z X y]' W [Z X y], formed once. Lambda is block
diagonal: I kron T_f for the term f, with T_f lower triangular and its entries in theta. P = I, but
for terms whose levels have a known precision; only the sparse engine takes these.

An engine stores Z'WZ in its own way. It gives a type of `Products`, which holds A, and a type of
`Factorization`, which answers what is asked of A at one theta. Terms are in the user's order.
`mixedsmooth.model.blocked` and `mixedsmooth.model.sparse` are two of them;
`mixedsmooth.model.unpenalized` serves where no effect is random. Nothing outside an engine may
assume that a factor is dense, that all rows are at hand, or that a criterion is exact beyond its
`error`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from mixedsmooth._linalg import solve_lower
from mixedsmooth.model.covariance import Covariance
from mixedsmooth.model.precision import Precision

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

LARGEST = 1e8  # an entry of T in scaled units beyond which the digits of sigma are lost


class Shape(NamedTuple):
    """What theta needs to know of a term: its levels, and the covariance of the effects of one.

    Attributes
    ----------
    levels : int
        How many levels there are.
    covariance : Covariance
        Of the effects of a level.
    structure : Precision or None
        Precision between the levels, of one effect each; None if they are independent.

    Examples
    --------
    >>> from mixedsmooth.model.covariance import Full
    >>> subjects = Shape(18, Full(2))
    >>> subjects.k, subjects.size, subjects.rank
    (2, 36, 18)
    """

    levels: int
    covariance: Covariance
    structure: Precision | None = None

    @property
    def k(self) -> int:
        """Effects of a level."""
        return self.covariance.k

    @property
    def size(self) -> int:
        """Number of columns of Z."""
        return self.levels * self.covariance.k

    @property
    def rank(self) -> int:
        """Levels, less the means that a structure leaves out."""
        return self.levels if self.structure is None else self.structure.rank

    def pulled(self, u: FloatArray) -> FloatArray:
        """P u for u of shape (m, k)."""
        return u if self.structure is None else self.structure.times(u)

    def within(self, q: FloatArray) -> FloatArray:
        """Slope by u, of shape (m, k), without what the means do that a structure leaves out."""
        return q if self.structure is None else self.structure.within(q)

    def spread(self, q: FloatArray) -> FloatArray:
        """P^-1 q for q of shape (m, k)."""
        return q if self.structure is None else self.structure.spread(q)

    def squares(self, u: FloatArray) -> FloatArray:
        """U'P u for u of shape (m, k), shape (k, k)."""
        return np.asarray(u.T @ self.pulled(u))


@dataclass(frozen=True, eq=False)
class Factor:
    """The columns of one random-effects term: levels times effects.

    Attributes
    ----------
    codes : ndarray of int, shape (n,)
        Level of each row.
    effects : tuple of ndarray, each of shape (n,)
        The k values of a row that the effects of its level multiply.
    shape : Shape
        Levels and covariance.

    Examples
    --------
    >>> from mixedsmooth.model.covariance import Full
    >>> days = np.array([0.0, 1.0, 1.0])
    >>> subject = Factor(np.array([0, 0, 1]), (np.ones(3), days), Shape(2, Full(2)))
    >>> print(subject.times(np.array([[10.0, 1.0], [20.0, 2.0]])))
    [10. 11. 22.]
    >>> print(subject.sums(np.array([1.0, 2.0, 3.0])))
    [[3. 2.]
     [3. 3.]]
    """

    codes: IntArray
    effects: tuple[FloatArray, ...]
    shape: Shape

    def sums(self, r: FloatArray) -> FloatArray:
        """Z'r, shape (m, k)."""
        levels = self.shape.levels
        if levels == 1:
            return np.array([[z @ r for z in self.effects]])
        return np.stack([np.bincount(self.codes, z * r, levels) for z in self.effects], axis=1)

    def times(self, b: FloatArray) -> FloatArray:
        """Z b for b of shape (m, k), shape (n,)."""
        rows = 0 if self.shape.levels == 1 else self.codes
        return np.asarray(sum(z * b[rows, a] for a, z in enumerate(self.effects)))


@dataclass(frozen=True, eq=False)
class Products(ABC):
    """A = [Z X y]' W [Z X y], however Z'WZ is stored.

    Attributes
    ----------
    n, p : int
        Rows, and columns of X.
    log_weights : float
        Sum of log w.
    shapes : tuple of Shape
        The terms.

    Examples
    --------
    >>> from mixedsmooth.model.blocked import cross_products
    >>> from mixedsmooth.model.covariance import Scalar
    >>> groups = Factor(np.array([0, 0, 1, 1]), (np.ones(4),), Shape(2, Scalar(1)))
    >>> X, y = np.ones((4, 1)), np.array([1.0, 2.0, 4.0, 5.0])
    >>> A = cross_products([groups], X, y)
    >>> A.covariances, A.error
    ([Scalar(k=1)], 2e-07)
    >>> T = [np.array([[2.0]])]
    >>> tripled = A.with_response([groups], X, 3 * y, None)
    >>> print(round(A.factorize(T).r2, 4), round(tripled.factorize(T).r2, 4))
    2.0 18.0
    """

    exact_slopes: ClassVar[bool]  # whether it gives an `ExactFactorization`

    n: int
    p: int
    log_weights: float
    shapes: tuple[Shape, ...]

    @property
    def covariances(self) -> list[Covariance]:
        """Covariances of the terms."""
        return [shape.covariance for shape in self.shapes]

    @property
    def error(self) -> float:
        """How far a slope of the criterion may be off, in units of theta with curvature 1."""
        return 1e-7 * float(np.sqrt(self.n))  # the criterion is rounded to about 1e-15 n

    @abstractmethod
    def factorize(self, T: Sequence[FloatArray]) -> "Factorization":
        """Factor [Z Lambda, X, y]' W [Z Lambda, X, y] + P (no P for X and y).

        Raises
        ------
        numpy.linalg.LinAlgError
            If it is singular to working precision.
        """

    @abstractmethod
    def with_response(
        self, factors: Sequence[Factor], X: FloatArray, y: FloatArray, w: FloatArray | None
    ) -> "Products":
        """Return the cross-products with another y; all else is used again."""


@dataclass(frozen=True, eq=False)
class Factorization(ABC):
    """What a Cholesky factorization at one theta answers.

    Attributes
    ----------
    A : Products
        The cross-products.
    T : tuple of ndarray, each of shape (k, k)
        The lower triangular factors.
    log_det_Z : float
        log|Lambda'Z'WZ Lambda + P| - log|P|.
    L_X : ndarray, shape (p, p)
        Lower triangular, L_X L_X' = sigma^2 X'V^-1 X.
    r2 : float
        The penalized residual sum of squares.

    Examples
    --------
    >>> from mixedsmooth.model.blocked import cross_products
    >>> from mixedsmooth.model.covariance import Scalar
    >>> groups = Factor(np.array([0, 0, 1, 1]), (np.ones(4),), Shape(2, Scalar(1)))
    >>> A = cross_products([groups], np.ones((4, 1)), np.array([1.0, 2.0, 4.0, 5.0]))
    >>> f = A.factorize([np.array([[2.0]])])
    >>> print(round(f.residual_variance(reml=False), 4), round(f.deviance(reml=False), 4))
    0.5 12.9734
    >>> beta, _ = f.solve()
    >>> print(beta, f.covariance_of_beta(np.eye(1)).round(4))  # of a mean: (theta^2 + 1/2) / 2
    [3.] [[2.25]]
    """

    A: Products
    T: tuple[FloatArray, ...]
    log_det_Z: float
    L_X: FloatArray
    r2: float

    @abstractmethod
    def gradient(self, reml: bool, variance: float | None = None) -> list[FloatArray]:
        """Differentiate `deviance` by all entries of each T: shapes (k, k)."""

    @abstractmethod
    def solve(self) -> tuple[FloatArray, list[FloatArray]]:
        """Beta, and the spherical effects u of each term, of shape (m, k)."""

    @abstractmethod
    def solve_spherical(self, q: Sequence[FloatArray]) -> list[FloatArray]:
        """Solve (Lambda'Z'WZ Lambda + P) u = q, for parts of shape (m, k)."""

    @abstractmethod
    def degrees_of_freedom(self, reml: bool) -> list[FloatArray]:
        """Effective degrees of freedom of each effect, summed over the levels: shapes (k,).

        They are m minus the sum of the diagonal entries that belong to the effect in
        P (Lambda'Z'WZ Lambda + P)^-1; with `reml`, in the inverse that has X beside Z, so that beta
        counts as estimated.
        """

    @abstractmethod
    def conditional_covariances(self) -> list[FloatArray]:
        """Covariance of the effects of each level given y, over sigma^2: shapes (m, k, k).

        They are the diagonal blocks of Lambda (Lambda'Z'WZ Lambda + P)^-1 Lambda'.
        """

    @abstractmethod
    def joint_covariance(self, term: int, level: int) -> FloatArray:
        """Covariance of (b - b_hat, beta - beta_hat) given y over sigma^2, b of one level."""

    @property
    def log_det_X(self) -> float:  # noqa: N802
        """log|L_X|^2."""
        return 2 * float(np.log(self.L_X.diagonal()).sum())

    def covariance_of_beta(self, K: FloatArray) -> FloatArray:
        """Covariance of K beta over sigma^2, K (L_X L_X')^-1 K'."""
        root = solve_lower(self.L_X, K.T)
        return root.T @ root

    def residual_variance(self, reml: bool, known: float | None = None) -> float:
        """Return sigma^2: the known one, or the best at this theta, r^2 / N."""
        return self.r2 / (self.A.n - self.A.p if reml else self.A.n) if known is None else known

    def deviance(self, reml: bool, variance: float | None = None) -> float:
        """Profiled deviance, or profiled REML criterion.

        Parameters
        ----------
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
        A = self.A
        N = A.n - A.p if reml else A.n
        s2 = self.residual_variance(reml, variance)
        # d = log|Lambda'Z'WZ Lambda + I| (+ log|L_X|^2)  (eq-pls-profiled) (eq-6-profiled)
        #     + N log(2 pi sigma^2) + r^2 / sigma^2 - sum log w
        log_det = self.log_det_Z + (self.log_det_X if reml else 0.0)
        return log_det + N * float(np.log(2 * np.pi * s2)) + self.r2 / s2 - A.log_weights


@dataclass(frozen=True, eq=False)
class ExactFactorization(Factorization):
    """A factorization that gives what slopes of a generalized model need, without differences.

    Examples
    --------
    >>> from mixedsmooth.model.blocked import cross_products
    >>> from mixedsmooth.model.covariance import Scalar
    >>> groups = Factor(np.array([0, 0, 1, 1]), (np.ones(4),), Shape(2, Scalar(1)))
    >>> A = cross_products([groups], np.ones((4, 1)), np.array([1.0, 2.0, 4.0, 5.0]))
    >>> f = A.factorize([np.array([[2.0]])])  # H_j = 2 theta^2 + 1
    >>> print(f.log_det_gradient()[0].round(4), f.row_variances([groups]).round(4))
    [[1.7778]] [0.4444 0.4444 0.4444 0.4444]
    """

    @abstractmethod
    def log_det_gradient(self) -> list[FloatArray]:
        """Differentiate log|Lambda'Z'WZ Lambda + I| by the entries of each T."""

    @abstractmethod
    def row_variances(self, factors: Sequence[Factor]) -> FloatArray:
        """Diagonal of Z Lambda (Lambda'Z'WZ Lambda + I)^-1 Lambda'Z', one entry for each row."""


def penalty(u: Sequence[FloatArray], shapes: Sequence[Shape]) -> float:
    """Sum u'P u over the terms.

    Parameters
    ----------
    u : sequence of ndarray, each of shape (m, k)
        Effects.
    shapes : sequence of Shape
        The terms.

    Returns
    -------
    float
        What the effects cost.

    Examples
    --------
    >>> from mixedsmooth.model.covariance import Scalar
    >>> penalty([np.array([[1.0], [2.0]])], [Shape(2, Scalar(1))])
    5.0
    """
    return sum(float(np.vdot(u_f, f.pulled(u_f))) for u_f, f in zip(u, shapes, strict=True))


def by_term(v: FloatArray, shapes: Sequence[Shape]) -> list[FloatArray]:
    """Divide a vector over the columns of Z into a matrix (m, k) for each term.

    Parameters
    ----------
    v : ndarray, shape (q,)
        Term by term, the levels of a term one after the other.
    shapes : sequence of Shape
        The terms.

    Returns
    -------
    list of ndarray, each of shape (m, k)
        The parts.

    Examples
    --------
    >>> from mixedsmooth.model.covariance import Full, Scalar
    >>> subjects, items = by_term(np.arange(7.0), [Shape(2, Full(2)), Shape(3, Scalar(1))])
    >>> print(subjects, items.ravel())
    [[0. 1.]
     [2. 3.]] [4. 5. 6.]
    """
    parts, at = [], 0
    for shape in shapes:
        parts.append(v[at : at + shape.size].reshape(-1, shape.k))
        at += shape.size
    return parts


def log_weights(w: FloatArray | None) -> float:
    """Sum of log w, as the deviance has it.

    Parameters
    ----------
    w : ndarray, shape (n,), or None
        Weights. Those of a step on the way to a mode may be negative: there is no deviance then.

    Returns
    -------
    float
        The sum, or not a number.

    Examples
    --------
    >>> log_weights(None), log_weights(np.array([1.0, np.e])), log_weights(np.array([-1.0]))
    (0.0, 1.0, nan)
    """
    if w is None:
        return 0.0
    return float(np.log(w).sum()) if w.min() > 0 else np.nan


def indicators(
    factors: Sequence[Factor], rows: IntArray, n: int, z: FloatArray | None
) -> scipy.sparse.csr_array:
    """Sum z times the columns of Z by row number: Z itself, or its products with another factor.

    Parameters
    ----------
    factors : sequence of Factor
        The terms.
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

    Examples
    --------
    >>> from mixedsmooth.model.covariance import Full
    >>> days = np.array([0.0, 1.0, 1.0])
    >>> subject = Factor(np.array([0, 0, 1]), (np.ones(3), days), Shape(2, Full(2)))
    >>> print(indicators([subject], np.arange(3), 3, None).toarray())
    [[1. 0. 0. 0.]
     [1. 1. 0. 0.]
     [0. 0. 1. 1.]]
    >>> items = np.array([1, 0, 1])  # of each row
    >>> print(indicators([subject], items, 2, None).toarray())
    [[1. 1. 0. 0.]
     [1. 0. 1. 1.]]
    """
    row, column, value, at = [], [], [], 0
    for f in factors:
        for b, effect in enumerate(f.effects):
            row.append(rows)
            column.append(at + b + f.shape.k * f.codes)
            value.append(effect if z is None else effect * z)
        at += f.shape.size
    entries = (np.concatenate(value), (np.concatenate(row), np.concatenate(column)))
    return scipy.sparse.coo_array(entries, shape=(n, at)).tocsr()
