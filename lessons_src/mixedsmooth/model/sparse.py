"""The sparse engine: for models whose tail is too large for a dense matrix.

Pupils in classes in schools: tens of thousands of classes, but Lambda'Z'WZ Lambda + P has few
entries, and its sparse factor too. Here all of Z is factored at once, with an ordering that SuperLU
chooses; X and y are a dense border. The gradient is taken by central differences, as the entries of
the inverse that the formula needs are not at hand.

P is I, or a sparse precision between the levels of a term. One that leaves the means of components
free adds a few columns to the border.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, ClassVar

import numpy as np
import scipy.linalg
import scipy.sparse
from numpy.typing import NDArray
from scipy.sparse.linalg import SuperLU

from mixedsmooth._linalg import solve_lower
from mixedsmooth.model import engine
from mixedsmooth.model.covariance import pack, unpack
from mixedsmooth.model.engine import Factor, Shape, by_term, indicators
from mixedsmooth.model.precision import factored

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

DIFFERENCE = 1e-4  # of an entry of T, in scaled units
COLUMNS = 128  # of the inverse at a time
PROBES = 32  # random vectors for the trace of an inverse
EXACT = 2_000  # columns of Z up to which that trace is computed column by column


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
    order : ndarray of int, shape (q,), or None
        Order of the columns of Z in which the factors are sparse; None to look for one each time.

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
    order: IntArray | None

    def factorize(self, T: Sequence[FloatArray]) -> "Factorization":
        """Factor Lambda'Z'WZ Lambda + P, and what X and y leave beside it.

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
        S = (Lambda.T @ self.ZZ @ Lambda + _precision(self.shapes)).tocsc()
        inner = _inner(S, self.shapes, self.order)
        border = np.asarray(Lambda.T @ self.Z_fixed)
        reduced = self.fixed - border.T @ inner.solve(border)
        L = scipy.linalg.cholesky(reduced, lower=True, check_finite=False)
        return Factorization(
            T=tuple(T),
            log_det_Z=inner.log_det - sum(f.structure.log_det for f in self.shapes if f.structure),
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
        Whether they are factored at more than one theta, so that an order is kept.

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
    shapes = tuple(f.shape for f in factors)
    ZZ = (Z.T @ WZ).tocsc()
    return Products(
        n=n,
        p=p,
        log_weights=engine.log_weights(w),
        shapes=shapes,
        ZZ=ZZ,
        Z_fixed=np.asarray(WZ.T @ columns),
        fixed=fixed,
        order=_order(ZZ, shapes) if reused else None,
    )


def _precision(shapes: Sequence[Shape]) -> scipy.sparse.csc_array:
    """P of all terms; of those with free means with an anchor for each."""
    parts = [
        scipy.sparse.eye_array(shape.size) if shape.structure is None else shape.structure.proper
        for shape in shapes
    ]
    return scipy.sparse.block_diag(parts, format="csc")


def _order(ZZ: scipy.sparse.csc_array, shapes: Sequence[Shape]) -> IntArray:
    """Find an order of the columns: of a pedigree that takes many times as long as to factor it."""
    pattern = abs(ZZ) + abs(_precision(shapes))
    pattern.data[:] = 1.0
    # any matrix with these entries that is positive definite
    lu = factored((scipy.sparse.diags_array(2 * pattern.sum(axis=0)) - pattern).tocsc())
    return np.argsort(lu.perm_c)


@dataclass(frozen=True, eq=False)
class Inner:
    """Solves S u = q for the u with A'u = 0, where S = Lambda'Z'WZ Lambda + P - c E E'.

    Attributes
    ----------
    lu : SuperLU
        Factors of S + c E E', in their order.
    order : ndarray of int, shape (q,), or None
        That order, if it is not known to the factors.
    border : csc_array, shape (q, 2 free)
        A in units in which A'(S + c E E')^-1 A has ones on its diagonal, and sqrt(c) E.
    SB : ndarray, shape (q, 2 free)
        (S + c E E')^-1 border.
    g, U : ndarray
        Eigenvalues and eigenvectors of [0 0; 0 I] - border'(S + c E E')^-1 border.
    log_det : float
        log|S| for these u.

    Examples
    --------
    >>> from mixedsmooth.model.covariance import Scalar
    >>> groups = Factor(np.array([0, 0, 1, 1]), (np.ones(4),), engine.Shape(2, Scalar(1)))
    >>> A = cross_products([groups], np.ones((4, 1)), np.array([1.0, 2.0, 4.0, 5.0]))
    >>> inner = A.factorize([np.array([[2.0]])]).inner  # 2 theta^2 + 1 for both groups
    >>> inner.solve(np.array([9.0, 18.0])), round(float(np.exp(inner.log_det)), 6)
    (array([1., 2.]), 81.0)
    """

    lu: SuperLU
    order: IntArray | None
    border: scipy.sparse.csc_array
    SB: FloatArray
    g: FloatArray
    U: FloatArray
    log_det: float

    def solve(self, q: FloatArray) -> FloatArray:
        """Return u for q of shape (q,) or (q, r)."""
        u = _solved(self.lu, self.order, q)
        if not len(self.g):
            return u
        # [S + c E E', A, sqrt(c) E; A', 0, 0; sqrt(c) E', 0, I] has the solution (u, .., ..)
        multipliers = (self.U.T @ (self.border.T @ u)).T / self.g
        return np.asarray(u + self.SB @ (self.U @ multipliers.T))


def _inner(S: scipy.sparse.csc_array, shapes: Sequence[Shape], order: IntArray | None) -> Inner:
    """Factor S + c E E', and what A and E leave beside it.

    Raises
    ------
    numpy.linalg.LinAlgError
        If S is not positive definite for the u with A'u = 0.
    """
    lu = factored(S) if order is None else factored(S[order][:, order].tocsc(), "NATURAL")
    pivots = lu.U.diagonal()
    log_det = float(np.log(np.abs(pivots)).sum())
    negative = np.count_nonzero(pivots < 0)
    sums, anchors = (
        scipy.sparse.block_diag(
            [
                scipy.sparse.csc_array((shape.size, 0))
                if shape.structure is None
                else part(shape.structure)
                for shape in shapes
            ],
            format="csc",
        )
        for part in (attrgetter("sums"), attrgetter("anchors"))
    )
    free = sums.shape[1]
    columns = scipy.sparse.hstack([sums, anchors]).toarray()
    SB = _solved(lu, order, columns)
    # A'S^-1 A may be very small: in units in which its diagonal is 1 no digits are lost
    unit = np.append(1 / np.sqrt(np.abs(np.sum(columns * SB, axis=0)[:free])), np.ones(free))
    border = scipy.sparse.csc_array(columns * unit)
    SB *= unit
    g, U = scipy.linalg.eigh(np.diag(np.repeat([0.0, 1.0], free)) - border.T @ SB)
    # each of the sums, and nothing else, makes a negative eigenvalue
    if negative + np.count_nonzero(g < 0) != free:
        raise np.linalg.LinAlgError("a pivot is not positive")
    log_det += float(np.log(np.abs(g)).sum() - 2 * np.log(unit).sum())
    return Inner(lu, order, border, SB, g, U, log_det)


def _solved(lu: SuperLU, order: IntArray | None, q: FloatArray) -> FloatArray:
    """Solve with factors in an order of their own."""
    if order is None:
        return np.asarray(lu.solve(q))
    u = np.empty_like(q)
    u[order] = lu.solve(q[order])
    return u


@dataclass(frozen=True, eq=False)
class Factorization(engine.Factorization):
    """The sparse factorization, with X and y as its border.

    Attributes
    ----------
    A : Products
        The cross-products.
    Lambda : csc_array, shape (q, q)
        Block diagonal, I kron T of each term.
    inner : Inner
        Factors of Lambda'Z'WZ Lambda + P.
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
    inner: Inner
    border: FloatArray
    l_y: FloatArray

    def __reduce__(self) -> tuple[Any, ...]:
        """Factors of SuperLU cannot be sent to another process, so they are made anew."""
        return self.A.factorize, (self.T,)

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
        """Solve (Lambda'Z'WZ Lambda + P) u = q."""
        u = self.inner.solve(np.concatenate([part.ravel() for part in q]))
        return by_term(u, self.A.shapes)

    def degrees_of_freedom(self, reml: bool) -> list[FloatArray]:
        """Effective degrees of freedom; of many columns estimated, to about a percent.

        The trace of a matrix M is the mean of z'M z over random signs z (Hutchinson 1990).
        """
        q = self.A.ZZ.shape[0]
        if q <= EXACT:
            z = np.eye(q)
        else:
            z = np.random.default_rng(0).choice([-1.0, 1.0], size=(q, PROBES)) / np.sqrt(PROBES)
        diagonal = np.sum(self._pulled(z) * self.inner.solve(z), axis=1)
        if reml:
            half = solve_lower(self.L_X, self.inner.solve(self.border[:, :-1]).T).T
            diagonal += np.sum(self._pulled(half) * half, axis=1)
        parts = zip(self.A.shapes, by_term(diagonal, self.A.shapes), strict=True)
        return [shape.rank - part.sum(axis=0) for shape, part in parts]

    def _pulled(self, u: FloatArray) -> FloatArray:
        """P u for several u side by side."""
        ends = np.cumsum([shape.size for shape in self.A.shapes])
        parts = zip(self.A.shapes, np.split(u, ends[:-1]), strict=True)
        return np.vstack([shape.pulled(part) for shape, part in parts])

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
