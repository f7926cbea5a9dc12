"""Spline bases and their penalties (chapter 10).

A smooth function is f(x) = B(x) beta with the penalty beta' S beta. Every basis here is a function
of the covariate that returns a `Basis`: its knots, its columns B(x) for any x, and a root E of its
penalty, S = E'E. `mixedsmooth.model.smooths` makes fixed and random columns of it, in one way for
all of them.

The root has one row for each direction that is penalized. So the number of random columns is known
before any arithmetic, and the small eigenvalues of S, the squared singular values of E, are exact
to more digits than S itself would give.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import BSpline, CubicSpline

from mixedsmooth._checks import as_vector, whole
from mixedsmooth._linalg import cholesky, solve_lower
from mixedsmooth.kernels import rk as kernel
from mixedsmooth.kernels import unit_interval

FloatArray = NDArray[np.float64]

SHRINK = 0.1  # cs: each direction without penalty gets this part of the next smallest eigenvalue
DEGREE = 3  # ps: cubic B-splines
MARGIN = 0.001  # ps: what is added to the range of x at either end, as a part of it


@dataclass(frozen=True, eq=False)
class Basis:
    """A spline basis with its penalty.

    Attributes
    ----------
    kind : str
        Name in `BASES`.
    names : tuple of str
        What the user knows the covariates as.
    knots : ndarray
        Knots, increasing, in the units of x.
    domain : tuple of tuple of float
        Smallest and largest value of each covariate that `columns` accepts.
    root : ndarray, shape (m, k)
        E, a root of the penalty: S = E'E.
    evaluate : callable
        The columns B(x), each row by itself, for x in the domain.
    """

    kind: str
    names: tuple[str, ...]
    knots: FloatArray
    domain: tuple[tuple[float, float], ...]
    root: FloatArray
    evaluate: Callable[..., FloatArray]

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
        values = [as_vector(name, v) for name, v in zip(self.names, x, strict=True)]
        for name, v, (low, high) in zip(self.names, values, self.domain, strict=True):
            outside = (v < low) | (v > high)
            if outside.any():
                raise ValueError(
                    f"{name} has {outside.sum()} value(s) outside the range from {low:.8g} to "
                    f"{high:.8g} of its basis {self.kind!r}, such as {v[outside][0]:.8g}; stay "
                    'inside, or use the basis "cr", which goes on as a straight line'
                )
        return self.evaluate(*values)


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


def cc(x: ArrayLike, k: int = 10, *, name: str = "x") -> Basis:
    """Cyclic cubic regression spline: its two ends meet, up to the second derivative.

    Its period is the range of x, and any x is taken into that range. The first and the last knot
    are the same point of the circle, so there is one column less than there are knots.

    Parameters
    ----------
    x : array_like, shape (n,)
        Covariate, with k distinct values or more; the smallest and the largest are one period
        apart.
    k : int
        Number of knots, one more than columns; at least 4.
    name : str
        What messages call the covariate.

    Returns
    -------
    Basis
        With k - 1 columns; constants have no penalty.

    Raises
    ------
    ValueError
        If x is not finite or has fewer than k distinct values, or k is below 4.

    References
    ----------
    Wood (2017), section 5.3.2.

    Examples
    --------
    >>> basis = cc(range(9), k=5)
    >>> print(basis.columns([0, 8, 2, 10]))
    [[1. 0. 0. 0.]
     [1. 0. 0. 0.]
     [0. 1. 0. 0.]
     [0. 1. 0. 0.]]
    """
    knots = np.quantile(_distinct(name, x, "cc", k, least=4), np.linspace(0, 1, k))
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
    return Basis("cc", (name,), knots, ((-np.inf, np.inf),), E, spline)


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
        kernel(t, t),
        "knots are so close that the penalty of basis 'rk' is singular to working precision; use "
        "fewer of them",
    )
    E = np.column_stack([np.zeros((len(t), 2)), L.T])
    evaluate = partial(_kernel_columns, t_knots=t, low=low, high=high)
    return Basis("rk", (name,), low + (high - low) * t, ((low, high),), E, evaluate)


def _kernel_columns(x: FloatArray, t_knots: FloatArray, low: float, high: float) -> FloatArray:
    t = (x - low) / (high - low)
    return np.column_stack([np.ones_like(t), t, kernel(t, t_knots)])


BASES: dict[str, Callable[..., Basis]] = {"cr": cr, "cs": cs, "cc": cc, "ps": ps, "rk": rk}


# ---- checks ----


def _distinct(name: str, x: ArrayLike, kind: str, k: int, *, least: int) -> FloatArray:
    """Distinct values of x, sorted; at least k of them, and k at least `least`."""
    if whole("k", k, least=0) < least:
        raise ValueError(f"k must be at least {least} for basis {kind!r}, found {k}")
    distinct: FloatArray = np.unique(as_vector(name, x))
    if len(distinct) == 1:
        raise ValueError(f"{name} is constant ({distinct[0]:.8g}); a smooth needs one that varies")
    if len(distinct) < k:
        raise ValueError(
            f"{name} has {len(distinct)} distinct values, fewer than the {k} that basis {kind!r} "
            "needs; use a smaller k"
        )
    return distinct
