"""Bases of smooths and their penalties (chapters 10 and 12).

A smooth function is f(x) = B(x) beta with the penalty beta' S beta. Every basis here is a function
of the covariates that returns a `Basis`: its knots, its columns B(x) for any x, and a root E of its
penalty, S = E'E. `mixedsmooth.model.smooths` makes fixed and random columns of it, in one way for
all of them.

The root has one row for each direction that is penalized. So the number of random columns is known
before any arithmetic, and the small eigenvalues of S, the squared singular values of E, are exact
to more digits than S itself would give.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import BSpline, CubicSpline
from scipy.sparse.linalg import eigsh
from scipy.spatial.distance import cdist, pdist

from mixedsmooth._checks import as_vector, choice, positive, whole
from mixedsmooth._linalg import cholesky, solve_lower
from mixedsmooth.kernels import KERNELS, correlation, unit_interval
from mixedsmooth.kernels import rk as reproducing_kernel

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

SHRINK = 0.1  # cs: each direction without penalty gets this part of the next smallest eigenvalue
DEGREE = 3  # ps: cubic B-splines
MARGIN = 0.001  # ps: what is added to the range of x at either end, as a part of it
USUAL = (
    8,
    27,
    100,
)  # tp: columns beside the polynomials for one, two, three covariates, as in mgcv
LARGEST = 300  # gp: columns, unless more are asked for
MOST = 2_000  # tp and gp: points where functions stand
FAR = 1e100  # gp: ranges, from which on it does not matter how many
SMALL = 400  # below this size all eigenvectors are as quick as some
CELLS = 1 << 22  # of the distances between rows and points, at a time


@dataclass(frozen=True, eq=False)
class Basis:
    """A basis with its penalty.

    Attributes
    ----------
    kind : str
        Name in `BASES` or `OF_SEVERAL`, or that of another maker.
    names : tuple of str
        What the user knows the covariates as.
    knots : ndarray
        Knots, increasing, in the units of x; of a basis made from points, these, one a row.
    domain : tuple of tuple of float
        Smallest and largest value of each covariate that `columns` accepts.
    root : ndarray, shape (m, k)
        E, a root of the penalty: S = E'E.
    evaluate : callable
        The columns B(x), each row by itself, for x in the domain.
    centered : bool
        Whether its smooth sums to zero over the data.
    scaled : bool
        Whether its penalty is brought to the size of its columns; if not, the penalty is that of
        the basis, and tau^2 has a meaning of its own.
    beyond : callable or None
        Of a process: its variance at x, over tau^2, that the values at the locations leave open.
    unit : float
        Size of what the columns without penalty were divided by, to be as large as the others.
    """

    kind: str
    names: tuple[str, ...]
    knots: FloatArray
    domain: tuple[tuple[float, float], ...]
    root: FloatArray
    evaluate: Callable[..., FloatArray]
    centered: bool = True
    scaled: bool = True
    beyond: Callable[..., FloatArray] | None = None
    unit: float = 1.0

    @property
    def S(self) -> FloatArray:  # noqa: N802
        """Penalty, not scaled: shape (k, k)."""
        return self.root.T @ self.root

    def columns(self, *x: ArrayLike) -> FloatArray:
        """Return B(x).

        Parameters
        ----------
        *x : array_like, each of shape (n,)
            Values of the covariates, old or new.

        Returns
        -------
        ndarray, shape (n, k)
            One column for each coefficient.

        Raises
        ------
        ValueError
            If a value is not finite, or outside the domain.

        Examples
        --------
        >>> cr([0, 1, 2, 3, 4], k=3).columns([2])
        array([[0., 1., 0.]])
        """
        return self.evaluate(
            *(self.within(name, values) for name, values in zip(self.names, x, strict=True))
        )

    def within(self, name: str, values: ArrayLike) -> FloatArray:
        """Return values of one covariate, after a look at whether `columns` accepts them.

        Parameters
        ----------
        name : str
            The covariate.
        values : array_like, shape (n,)
            Its values.

        Returns
        -------
        ndarray, shape (n,)
            The values.

        Raises
        ------
        ValueError
            If a value is not finite, or outside the domain.

        Examples
        --------
        >>> cr([0, 1, 2, 3, 4], k=3, name="days").within("days", [2, 7])
        array([2., 7.])
        """
        v = as_vector(name, values)
        low, high = self.domain[self.names.index(name)]
        outside = (v < low) | (v > high)
        if outside.any():
            what, instead = "range", 'stay inside, or use the basis "cr", which goes on straight'
            if self.kind == "cc":
                what, instead = "period", "take them into it"
            raise ValueError(
                f"{name} has {outside.sum()} value(s) outside the {what} from {low:.8g} to "
                f"{high:.8g} of its basis {self.kind!r}, such as {v[outside][0]:.8g}; {instead}"
            )
        return v


# ---- cubic splines, written in their values at the knots ----


def cr(x: ArrayLike, k: int = 10, *, name: str = "x") -> Basis:
    """Cubic regression spline: coefficients are the values at the knots.

    The spline is natural, so its second derivative is zero at the first and the last knot, and it
    goes on as a straight line beyond them. The penalty is the integral of the squared second
    derivative. Knots are quantiles of the distinct values of x, as in mgcv.

    Parameters
    ----------
    x : array_like, shape (n,)
        Covariate, with k distinct values or more.
    k : int
        Number of knots, and of columns; at least 3.
    name : str
        What messages call the covariate.

    Returns
    -------
    Basis
        With k columns; straight lines have no penalty.

    Raises
    ------
    ValueError
        If x is not finite or has fewer than k distinct values, or k is below 3.

    References
    ----------
    Wood (2017), section 5.3.1 and table 5.1.

    Examples
    --------
    >>> basis = cr([0, 1, 2, 3, 4, 4], k=3)
    >>> basis.knots
    array([0., 2., 4.])
    >>> print(basis.columns([2, 1, 5]))
    [[ 0.       1.       0.     ]
     [ 0.40625  0.6875  -0.09375]
     [ 0.125   -0.75     1.625  ]]
    """
    knots = np.quantile(_distinct(name, x, "cr", k, least=3), np.linspace(0, 1, k))
    # column j: the natural cubic spline that is 1 at knot j and 0 at the others  (eq-10-cubic)
    spline = CubicSpline(knots, np.eye(k), bc_type="natural")
    # its second derivatives delta at the inner knots:  B delta = D beta  (eq-10-kinks)
    h = np.diff(knots)
    B = np.diag((h[:-1] + h[1:]) / 3) + np.diag(h[1:-1] / 6, 1) + np.diag(h[1:-1] / 6, -1)
    D = np.diff(np.diff(np.eye(k), axis=0) / h[:, None], axis=0)
    # S = D' B^-1 D = E'E  (eq-10-penalty),  with B = L L' and E = L^-1 D
    E = solve_lower(cholesky(B), D)
    return Basis("cr", (name,), knots, ((-np.inf, np.inf),), E, partial(_natural, spline=spline))


def _natural(x: FloatArray, spline: CubicSpline) -> FloatArray:
    """Columns of a natural spline, which goes on as a straight line beyond its ends."""
    inside = np.clip(x, spline.x[0], spline.x[-1])
    columns: FloatArray = spline(inside)
    beyond = np.flatnonzero(x != inside)
    columns[beyond] += (x - inside)[beyond, None] * spline(inside[beyond], 1)
    return columns


def cs(x: ArrayLike, k: int = 10, *, name: str = "x") -> Basis:
    """Cubic regression spline with shrinkage: `cr`, with a small penalty on straight lines too.

    A smooth that the data do not call for can then vanish altogether. Of the two zero eigenvalues
    of S one becomes 0.1 times, the other 0.01 times the smallest positive one. This is mgcv's
    rule; it leaves open which straight line goes with which. Here the larger one belongs to the
    line that is zero at the first knot, the smaller one to the line at right angles to it. In mgcv
    these two lines come out too, but rounding errors decide which is which.

    Parameters
    ----------
    x : array_like, shape (n,)
        Covariate, with k distinct values or more.
    k : int
        Number of knots, and of columns; at least 3.
    name : str
        What messages call the covariate.

    Returns
    -------
    Basis
        With k columns; no direction is without penalty.

    Raises
    ------
    ValueError
        If x is not finite or has fewer than k distinct values, or k is below 3.

    References
    ----------
    Wood (2017), section 5.4.3; mgcv 1.8-41, ``smooth.construct.cs.smooth.spec``.

    Examples
    --------
    >>> basis = cs(range(10), k=5)
    >>> print(np.linalg.eigvalsh(basis.S)[:3] / np.linalg.eigvalsh(cr(range(10), k=5).S)[2])
    [0.01 0.1  1.  ]
    """
    _distinct(name, x, "cs", k, least=3)  # here, so that a message names cs
    plain = cr(x, k, name=name)
    # the straight lines: one zero at the first knot, one at right angles to it; of length one
    line = plain.knots - plain.knots[0]
    line = line / np.linalg.norm(line)
    other = 1 - line * line.sum()
    other = other / np.linalg.norm(other)
    # S + 0.1 s line line' + 0.01 s other other', where s is the smallest positive eigenvalue of S
    root_of_s = scipy.linalg.svdvals(plain.root)[-1]
    E = np.vstack([plain.root, np.sqrt(SHRINK) * root_of_s * line, SHRINK * root_of_s * other])
    return replace(plain, kind="cs", root=E)


def cc(
    x: ArrayLike,
    k: int = 10,
    *,
    period: tuple[float, float] | None = None,
    name: str = "x",
) -> Basis:
    """Cyclic cubic regression spline: its two ends meet, up to the second derivative.

    If no period is given, it is the range of x, and any x is taken into that range. The first and
    the last knot are the same point of the circle, so there is one column less than there are
    knots.

    Parameters
    ----------
    x : array_like, shape (n,)
        Covariate, with k distinct values or more, the ends of the period among them.
    k : int
        Number of knots, one more than columns; at least 4.
    period : tuple of float, optional
        Where the period begins and ends, which is the same point of the circle; months 1 to 12
        have the period (0.5, 12.5). Then x must lie inside.
    name : str
        What messages call the covariate.

    Returns
    -------
    Basis
        With k - 1 columns; constants have no penalty.

    Raises
    ------
    ValueError
        If x is not finite, has fewer than k distinct values, or lies outside the period, `period`
        is not two increasing numbers, or k is below 4.

    References
    ----------
    Wood (2017), section 5.3.2; knots as in mgcv 1.8-41, ``place.knots``.

    Examples
    --------
    >>> basis = cc(range(9), k=5)
    >>> print(basis.columns([0, 8, 2, 10]))
    [[1. 0. 0. 0.]
     [1. 0. 0. 0.]
     [0. 1. 0. 0.]
     [0. 1. 0. 0.]]
    """
    values, domain = as_vector(name, x), (-np.inf, np.inf)
    _varies(name, values)
    if period is not None:
        low, high = domain = _period(period)
        if values.min() < low or values.max() > high:
            raise ValueError(
                f"{name} must lie in the period from {low:.8g} to {high:.8g}, found values from "
                f"{values.min():.8g} to {values.max():.8g}; take them into it, or name other ends"
            )
        values = np.append(values, domain)
    knots = np.quantile(_distinct(name, values, "cc", k, least=4), np.linspace(0, 1, k))
    # column j: the periodic cubic spline that is 1 at knot j and 0 at the others
    around = np.append(np.arange(k - 1), 0)
    spline = CubicSpline(knots, np.eye(k - 1)[around], bc_type="periodic")
    # as for cr, with the neighbors of the last knot but one around the circle
    h = np.diff(knots)
    h_before, following = np.roll(h, 1), np.roll(np.eye(k - 1), 1, axis=1)
    previous = following.T
    B = np.diag((h_before + h) / 3) + h[:, None] / 6 * following + h_before[:, None] / 6 * previous
    slope_after = (following - np.eye(k - 1)) / h[:, None]
    D = slope_after - previous @ slope_after
    E = solve_lower(cholesky(B), D)
    return Basis("cc", (name,), knots, (domain,), E, spline)


def _period(period: ArrayLike) -> tuple[float, float]:
    """Where a period begins and ends."""
    ends = as_vector("period", period).tolist() if np.shape(period) == (2,) else []
    if not ends or ends[0] >= ends[1]:
        raise ValueError(
            "period must be two numbers, where the period begins and where it ends, such as "
            f"(0.5, 12.5); found {period!r:.80}"
        )
    return ends[0], ends[1]


# ---- other bases ----


def ps(x: ArrayLike, k: int = 10, *, name: str = "x") -> Basis:
    """P-spline: cubic B-splines on equidistant knots, with a penalty on second differences.

    Parameters
    ----------
    x : array_like, shape (n,)
        Covariate, with k distinct values or more.
    k : int
        Number of columns; at least 4.
    name : str
        What messages call the covariate.

    Returns
    -------
    Basis
        With k columns and k + 4 knots, for x in the range of the data and a thousandth of it more
        at either end; straight lines have no penalty.

    Raises
    ------
    ValueError
        If x is not finite or has fewer than k distinct values, or k is below 4.

    References
    ----------
    Wood (2017), section 5.3.3; knots as in mgcv 1.8-41, ``smooth.construct.ps.smooth.spec``.

    Examples
    --------
    >>> basis = ps(range(11), k=6)
    >>> print(basis.columns([0, 5]).round(3))
    [[0.165 0.667 0.168 0.    0.    0.   ]
     [0.    0.021 0.479 0.479 0.021 0.   ]]
    """
    distinct = _distinct(name, x, "ps", k, least=DEGREE + 1)
    margin = MARGIN * (distinct[-1] - distinct[0])
    low, high = distinct[0] - margin, distinct[-1] + margin
    step = (high - low) / (k - DEGREE)
    knots = np.linspace(low - DEGREE * step, high + DEGREE * step, k + DEGREE + 1)
    # S = D'D, where D takes second differences of the coefficients
    D = np.diff(np.eye(k), n=2, axis=0)
    domain = (float(knots[DEGREE]), float(knots[-DEGREE - 1]))
    return Basis("ps", (name,), knots, (domain,), D, partial(_b_splines, knots=knots))


def _b_splines(x: FloatArray, knots: FloatArray) -> FloatArray:
    columns: FloatArray = BSpline.design_matrix(x, knots, DEGREE).toarray()
    return columns


def rk(
    x: ArrayLike, k: int | None = None, *, knots: ArrayLike | None = None, name: str = "x"
) -> Basis:
    """Cubic spline by its reproducing kernel: 1, t and R(t, knot) for each knot, with t in [0, 1].

    The covariate is brought to [0, 1] by its range, t = (x - min x) / (max x - min x), so its unit
    does not matter. The knots are equidistant, at 1/(k-1), ..., (k-2)/(k-1). The penalty is the
    integral over [0, 1] of the squared second derivative by t.

    Parameters
    ----------
    x : array_like, shape (n,)
        Covariate, with as many distinct values as there are columns, or more.
    k : int, optional
        Number of columns, two more than knots; at least 3.
    knots : array_like, shape (k - 2,), optional
        Given in place of k: knots of your own, increasing, between 0 and 1; x must then lie in
        [0, 1], and stays as it is.
    name : str
        What messages call the covariate.

    Returns
    -------
    Basis
        For x in its range, or in [0, 1] if knots are given; straight lines have no penalty.

    Raises
    ------
    ValueError
        If k and knots are both given or both missing, x is not finite or has too few distinct
        values, k is below 3, the knots are not increasing numbers between 0 and 1 or are too
        close, or x is outside [0, 1] where knots are given.

    References
    ----------
    Wood (2006), section 3.2; the kernel is Gu's.

    Examples
    --------
    >>> basis = rk([20, 30, 40, 60], k=4)
    >>> basis.knots
    array([33.33..., 46.66...])
    >>> print(basis.columns([20, 60])[:, :2])
    [[1. 0.]
     [1. 1.]]
    """
    if (k is None) == (knots is None):
        raise ValueError("rk takes either k or knots; give one of them")
    if k is not None:
        distinct = _distinct(name, x, "rk", k, least=3)
        low, high = float(distinct[0]), float(distinct[-1])
        t: FloatArray = np.arange(1, k - 1) / (k - 1)
    if knots is not None:
        t = as_vector("knots", knots)
        if (np.diff(t) <= 0).any() or t[0] <= 0 or t[-1] >= 1:
            raise ValueError(f"knots must be increasing numbers between 0 and 1, found {t}")
        low, high = 0.0, 1.0
        unit_interval(name, _distinct(name, x, "rk", len(t) + 2, least=3))
    # beta' S beta = delta' R delta, delta the coefficients of the kernel;  R = L L',  E = [0 L']
    L = cholesky(
        reproducing_kernel(t, t),
        "knots are so close that the penalty of basis 'rk' is singular to working precision; use "
        "fewer of them",
    )
    E = np.column_stack([np.zeros((len(t), 2)), L.T])
    evaluate = partial(_kernel_columns, t_knots=t, low=low, high=high)
    return Basis("rk", (name,), low + (high - low) * t, ((low, high),), E, evaluate)


def _kernel_columns(x: FloatArray, t_knots: FloatArray, low: float, high: float) -> FloatArray:
    t = (x - low) / (high - low)
    return np.column_stack([np.ones_like(t), t, reproducing_kernel(t, t_knots)])


BASES: dict[str, Callable[..., Basis]] = {"cr": cr, "cs": cs, "cc": cc, "ps": ps, "rk": rk}


# ---- bases of one covariate or more, made from distances to points of the data ----


def tp(*x: ArrayLike, k: int | None = None, names: Sequence[str] | None = None) -> Basis:
    """Thin plate regression spline, of one covariate or more in the same units.

    The penalty is the integral of the squared derivatives of order m, over all directions, with
    the smallest m above (d + 1) / 2 for d covariates. It does not change when the covariates are
    rotated. Of the full basis, a radial function at each distinct point, the leading eigenvectors
    are kept: of all bases of size k these change the full one least. Polynomials of degree below m
    have no penalty.

    Beyond 2,000 distinct points the radial functions stand at 2,000 of them, drawn with a fixed
    seed, so the same data have the same basis.

    Parameters
    ----------
    *x : array_like, each of shape (n,)
        Covariates, with k distinct points or more.
    k : int, optional
        Number of columns; more than there are polynomials, which are 2, 3, 10 for one, two, three
        covariates. Without it 10, 30, 110, as in mgcv.
    names : sequence of str, optional
        What messages call the covariates.

    Returns
    -------
    Basis
        With k columns, the last of them polynomials of mean square one over the data.

    Raises
    ------
    ValueError
        If a covariate is not finite or constant, the points lie on a line or a plane, k is too
        small for the polynomials, or there are fewer than k distinct points.

    References
    ----------
    Wood (2003), Journal of the Royal Statistical Society B 65, 95-114; columns as in mgcv 1.8-41,
    ``smooth.construct.tp.smooth.spec``.

    Examples
    --------
    >>> basis = tp([0, 1, 2, 3, 4, 4], k=4)
    >>> basis.columns([0, 1, 4]).shape, basis.root.shape
    ((3, 4), (2, 4))
    >>> bool(abs(basis.S[:, 2:]).max() > 0)  # the last two columns are a constant and a line
    False
    """
    names, points, center = _points(names, x)
    d = len(names)
    m = (d + 3) // 2
    powers = np.array([p for p in product(range(m), repeat=d) if sum(p) < m])
    M = len(powers)
    k = whole("k", M + USUAL[min(d, 3) - 1] if k is None else k, least=0)
    if k <= M:
        raise ValueError(
            f"k must be at least {M + 1} for basis 'tp' of {d} covariate(s), as {M} columns are "
            f"polynomials without penalty; found {k}"
        )
    places = _distinct_points(points)
    if k > len(places):
        raise ValueError(
            f"{_have(names, places)}, fewer than the {k} that basis 'tp' needs; use a smaller k"
        )
    # polynomials of mean square one over the data, which makes the criterion that of mgcv
    size = np.sqrt((_polynomials(points, center, powers) ** 2).mean(axis=0))
    free = partial(_polynomials, center=center, powers=powers, size=size)
    T = free(places)
    if np.linalg.matrix_rank(T) < M:
        raise ValueError(
            f"{' and '.join(names)} lie so that the {M} polynomials of basis 'tp' are not "
            "independent, as points on a line do; leave out a covariate"
        )
    # the leading eigenvectors of E = (eta(|x_i - x_j|)):  U diag(v) U'
    radial = partial(_thin_plate, m=m, d=d)
    v, U = _leading(radial(cdist(places, places)), k)
    # coefficients U Z delta at right angles to the polynomials, T'U Z = 0,  so that the penalty
    # delta' Z' diag(v) Z delta is positive
    Z = scipy.linalg.qr(U.T @ T)[0][:, M:]
    values, vectors = scipy.linalg.eigh((Z.T * v) @ Z)
    # in a scale where the columns at the places, U diag(v) Z, have mean square one, too
    norms = np.sqrt(((v[:, None] * Z) ** 2).sum(axis=0) / len(places))
    root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T / norms
    E = np.hstack([root, np.zeros((k - M, M))])
    evaluate = partial(_radial_columns, places=places, radial=radial, to=U @ Z / norms, free=free)
    return Basis("tp", names, places, ((-np.inf, np.inf),) * d, E, evaluate)


def gp(
    *x: ArrayLike,
    range: float,
    k: int | None = None,
    names: Sequence[str] | None = None,
    kernel: str = "matern32",
    trend: bool = True,
) -> Basis:
    """Gaussian process: values at two points are correlated by their distance.

    The values at the distinct locations of the data, at most 2,000 of them as for `tp`, have the
    covariance tau^2 K, with K the correlations of `mixedsmooth.kernels.correlation` at distance
    over range. Columns are those of the leading eigenvectors of K, so what is predicted elsewhere
    is kriging. Its variance elsewhere is in standard errors where the basis has all locations; a
    basis of fewer columns is a smooth like others. Eigenvalues below rounding errors are left out,
    where locations nearly coincide or the kernel is very smooth; then there are fewer columns than
    k.

    Parameters
    ----------
    *x : array_like, each of shape (n,)
        Covariates, in the same units.
    range : float
        Range of the correlation, in units of the covariates.
    k : int, optional
        Number of columns, those of the trend among them. Without it as many as there are locations
        and columns of the trend, but not more than 300.
    names : sequence of str, optional
        What messages call the covariates.
    kernel : {"exponential", "matern32", "matern52", "gaussian", "spherical"}
        Correlation as a function of distance over range.
    trend : bool
        Whether a constant and the covariates have no penalty. Without a trend the process has mean
        zero, and does not sum to zero over the data.

    Returns
    -------
    Basis
        Whose penalty keeps its unit, so that tau^2 is the variance of the process.

    Raises
    ------
    ValueError
        If a covariate is not finite or constant, `range` is not positive, `kernel` is unknown or no
        correlation in so many dimensions, or k is too small, or too large for the locations.

    References
    ----------
    Kammann and Wand (2003), Applied Statistics 52, 1-18; Wood (2017), section 5.8.2; columns as in
    mgcv 1.8-41, ``smooth.construct.gp.smooth.spec``.

    Examples
    --------
    >>> basis = gp([0, 1, 2, 4], range=2, kernel="exponential", trend=False)
    >>> C = np.linalg.solve(basis.root.T, basis.columns([0, 1, 2, 4]).T)
    >>> print((C.T @ C)[0].round(4), np.exp(-np.array([0, 1, 2, 4]) / 2).round(4))
    [1.     0.6065 0.3679 0.1353] [1.     0.6065 0.3679 0.1353]
    """
    names, points, center = _points(names, x)
    d = len(names)
    powers = np.vstack([np.zeros(d, np.intp), np.eye(d, dtype=np.intp)])[: d + 1 if trend else 0]
    M = len(powers)
    choice("kernel", kernel, KERNELS)
    if kernel == "spherical" and d > 3:
        raise ValueError(f"the kernel 'spherical' is for up to 3 covariates, found {d}")
    places = _distinct_points(points)
    k = whole("k", min(len(places) + M, LARGEST) if k is None else k, least=0)
    if k <= M:
        raise ValueError(
            f"k must be at least {M + 1} for basis 'gp' of {d} covariate(s) with trend={trend}, "
            f"found {k}"
        )
    if k - M > len(places):
        raise ValueError(
            f"{_have(names, places)}, and the {M} columns of the trend; k={k} is too large"
        )
    # the trend as large as the rest, so that it is not rounded into it where units are small
    unit = float(np.abs(points - center).max())
    free = partial(_polynomials, center=center, powers=powers, size=unit ** powers.sum(axis=1))
    if M and np.linalg.matrix_rank(free(places)) < M:
        raise ValueError(
            f"{' and '.join(names)} lie so that the {M} columns of the trend of basis 'gp' are not "
            "independent, as points on a line do; leave out a covariate, or give trend=False"
        )
    similar = partial(_similarity, kernel=kernel, range=positive("range", range))
    # K = U diag(v) U'
    v, U = _leading(similar(cdist(places, places)), k - M, definite=True)
    above = v > v[0] * len(places) * np.finfo(float).eps
    v, U = v[above], U[:, above]
    evaluate = partial(_radial_columns, places=places, radial=similar, to=U, free=free)
    # f(x) = k(x, places) K^-1 b = k(x, places) U beta,  penalty b'K^-1 b = beta' diag(v) beta
    E = np.hstack([np.diag(np.sqrt(v)), np.zeros((len(v), M))])
    complete = k - M == len(places) == len(np.unique(points, axis=0))
    beyond = partial(_open_variance, columns=evaluate, E=E) if complete else None
    everywhere = ((-np.inf, np.inf),) * d
    return Basis("gp", names, places, everywhere, E, evaluate, trend, False, beyond, unit)


def _open_variance(*x: FloatArray, columns: Callable[..., FloatArray], E: FloatArray) -> FloatArray:
    """1 - k(x, places) K^-1 k(places, x) for each x."""
    known = columns(*x)[:, : len(E)] / np.diag(E)
    return np.asarray(np.maximum(1 - np.einsum("ij,ij->i", known, known), 0.0))


def range_bounds(*x: ArrayLike, names: Sequence[str] | None = None) -> tuple[float, float]:
    """Return the smallest and the largest range of a Gaussian process that is worth a look.

    At the smallest the nearest neighbors are as good as independent, whatever the kernel; at the
    largest all locations are as good as one, but for a trend.

    Parameters
    ----------
    *x : array_like, each of shape (n,)
        Covariates, in the same units.
    names : sequence of str, optional
        What messages call them.

    Returns
    -------
    tuple of float
        A tenth of the smallest distance of two locations, and a hundred times the largest.

    Raises
    ------
    ValueError
        If a covariate is not finite or constant.

    Examples
    --------
    >>> range_bounds([0, 0, 3, 6], [0, 0, 4, 8])
    (0.5, 1000.0)
    """
    _, points, _ = _points(names, x)
    distances = pdist(_distinct_points(points))
    return float(distances.min()) / 10, float(distances.max()) * 100


def _points(
    names: Sequence[str] | None, x: Sequence[ArrayLike]
) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
    """Names, points of shape (n, d), and their mean."""
    if names is None:
        names = ["x"] if len(x) == 1 else [f"x{j + 1}" for j in range(len(x))]
    columns: list[FloatArray] = []
    for name, values in zip(names, x, strict=True):
        columns.append(as_vector(name, values, len(columns[0]) if columns else None))
        _varies(name, columns[-1])
    points = np.column_stack(columns)
    return tuple(names), points, points.mean(axis=0)


def _distinct_points(points: FloatArray) -> FloatArray:
    """Distinct points, or some of them if there are more than `MOST`."""
    places: FloatArray = np.unique(points, axis=0)
    if len(places) > MOST:
        rows = np.random.default_rng(1).choice(len(places), MOST, replace=False)
        places = places[np.sort(rows)]
    return places


def _have(names: Sequence[str], places: FloatArray) -> str:
    """Say how many distinct points there are."""
    if len(names) == 1:
        return f"{names[0]} has {len(places)} distinct values"
    return f"{' and '.join(names)} have {len(places)} distinct points"


def _leading(A: FloatArray, k: int, *, definite: bool = False) -> tuple[FloatArray, FloatArray]:
    """Return the k eigenvalues of a symmetric matrix that are largest in size, and vectors."""
    n = len(A)
    # those of correlations may be nearly equal, where an iteration takes long
    if n > SMALL and k < n / 10 and not definite:
        # a start that is no eigenvector, and the same at each call
        v, U = eigsh(A, k, v0=np.random.default_rng(1).normal(size=n))
    else:
        v, U = scipy.linalg.eigh(A, driver="evd")
    order = np.argsort(-np.abs(v), kind="stable")[:k]
    return v[order], U[:, order]


def _thin_plate(r: FloatArray, m: int, d: int) -> FloatArray:
    """eta(r): the radial function of the penalty of order m in d dimensions."""
    if d % 2:
        size = math.gamma(d / 2 - m) / (2 ** (2 * m) * math.pi ** (d / 2) * math.factorial(m - 1))
        return np.asarray(size * r ** (2 * m - d))
    size = (-1) ** (m + 1 + d // 2) / (
        2 ** (2 * m - 1) * math.pi ** (d / 2) * math.factorial(m - 1) * math.factorial(m - d // 2)
    )
    # r^(2m - d) log r, which is 0 at 0
    return np.asarray(size * r ** (2 * m - d) * np.log(np.where(r > 0, r, 1.0)))


def _similarity(r: FloatArray, kernel: str, range: float) -> FloatArray:
    with np.errstate(over="ignore"):
        ranges = np.minimum(r / range, FAR)
    return correlation(kernel, np.where(ranges > 1 / FAR, ranges, 0.0))


def _polynomials(
    points: FloatArray, center: FloatArray, powers: IntArray, size: ArrayLike = 1.0
) -> FloatArray:
    """Products of powers of the centered covariates, over `size`; shape (n, M)."""
    columns = [np.prod((points - center) ** p, axis=1) for p in powers]
    return np.asarray(np.column_stack([np.empty((len(points), 0)), *columns]) / size)


def _radial_columns(
    *x: FloatArray,
    places: FloatArray,
    radial: Callable[[FloatArray], FloatArray],
    to: FloatArray,
    free: Callable[[FloatArray], FloatArray],
) -> FloatArray:
    """Functions of the distances to places, times `to`, and polynomials; some rows at a time."""
    points = np.column_stack(x)
    rows = max(1, CELLS // len(places))
    pieces = [
        np.hstack([radial(cdist(some, places)) @ to, free(some)])
        for some in (points[i : i + rows] for i in range(0, len(points), rows))
    ]
    return np.vstack(pieces)


# those of one covariate or more
OF_SEVERAL: dict[str, Callable[..., Basis]] = {"tp": tp, "gp": gp}


# ---- options ----

OPTIONS: dict[str, tuple[str, ...]] = {"cc": ("period",), "gp": ("kernel", "range", "trend")}


def own_options(basis: str, *, k: Any = None, trend: bool = True, **others: Any) -> dict[str, Any]:
    """Return the options that are given, after a look at whether the basis has them.

    Parameters
    ----------
    basis : str
        Name of the basis.
    k : int or tuple of int, optional
        Its size, an option of all.
    trend : bool
        False is an option of "gp".
    **others : object, optional
        Others, None where they are not given.

    Returns
    -------
    dict of str to object
        Those that are given.

    Raises
    ------
    ValueError
        If one belongs to another basis.

    Examples
    --------
    >>> own_options("cc", k=12, period=(0, 24), kernel=None)
    {'k': 12, 'period': (0, 24)}
    """
    given = {"k": k, **others, "trend": None if trend else False}
    given = {option: value for option, value in given.items() if value is not None}
    for of, own in OPTIONS.items():
        for option in own:
            if option in given and of != basis:
                raise ValueError(
                    f"{option} is an option of basis {of!r}, and the basis is {basis!r}; leave it "
                    "out"
                )
    return given


# ---- checks ----


def _distinct(name: str, x: ArrayLike, kind: str, k: int, *, least: int) -> FloatArray:
    """Distinct values of x, sorted; at least k of them, and k at least `least`."""
    if whole("k", k, least=0) < least:
        raise ValueError(f"k must be at least {least} for basis {kind!r}, found {k}")
    distinct: FloatArray = np.unique(as_vector(name, x))
    _varies(name, distinct)
    if len(distinct) < k:
        raise ValueError(
            f"{name} has {len(distinct)} distinct values, fewer than the {k} that basis {kind!r} "
            "needs; use a smaller k"
        )
    return distinct


def _varies(name: str, x: FloatArray) -> None:
    if x.min() == x.max():
        raise ValueError(f"{name} is constant ({x[0]:.8g}); a smooth needs one that varies")
