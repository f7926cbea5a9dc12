"""Spline bases and their penalties: from a covariate to columns of a mixed model (chapter 10).

A smooth function is f(x) = B(x) beta with the penalty beta' S beta. Every basis here is a function
of the covariate that returns a `Basis`: its knots, its columns B(x) for any x, and a root E of its
penalty, S = E'E. What follows is the same for all of them:

    B, E -> sum-to-zero constraint -> scale of the penalty -> fixed and random columns

The root has one row for each direction that is penalized. So the number of random columns is known
before any arithmetic, and the small eigenvalues of S, the squared singular values of E, are exact
to more digits than S itself would give.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import BSpline

from mixedsmooth._checks import as_vector

FloatArray = NDArray[np.float64]
Scaling = Literal["norm", "mean"]

SHRINK = 0.1  # cs: each direction without penalty gets this part of the next smallest eigenvalue
DEGREE = 3  # ps: cubic B-splines
MARGIN = 0.001  # ps: what is added to the range of x at either end, as a part of it
TIE = 1e-6  # an entry below this part of the largest is too small to decide a sign


@dataclass(frozen=True, eq=False)
class Basis:
    """A spline basis of one covariate, with its penalty.

    Attributes
    ----------
    kind : str
        Name in `BASES`.
    name : str
        What the user knows the covariate as, for messages.
    knots : ndarray
        Knots, increasing, in the units of x.
    domain : tuple of float
        Smallest and largest x that `columns` accepts.
    root : ndarray, shape (m, k)
        E, a root of the penalty: S = E'E.
    evaluate : callable
        The columns B(x), each row by itself, for x in the domain.
    """

    kind: str
    name: str
    knots: FloatArray
    domain: tuple[float, float]
    root: FloatArray
    evaluate: Callable[[FloatArray], FloatArray]

    @property
    def S(self) -> FloatArray:  # noqa: N802
        """Penalty, not scaled: shape (k, k)."""
        return self.root.T @ self.root

    def columns(self, x: ArrayLike) -> FloatArray:
        """Return B(x).

        Parameters
        ----------
        x : array_like, shape (n,)
            Values of the covariate, old or new.

        Returns
        -------
        ndarray, shape (n, k)
            One column for each coefficient.

        Raises
        ------
        ValueError
            If a value is not finite, or outside the domain.
        """
        x = as_vector(self.name, x)
        low, high = self.domain
        outside = (x < low) | (x > high)
        if outside.any():
            raise ValueError(
                f"{self.name} has {outside.sum()} value(s) outside the range from {low:.8g} to "
                f"{high:.8g} of its basis {self.kind!r}, such as {x[outside][0]:.8g}; stay inside, "
                'or use the basis "cr", which goes on as a straight line'
            )
        return self.evaluate(x)


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
    knots = _quantiles(_distinct(name, x, "cr", k, least=3), k)
    h = np.diff(knots)
    # the second derivatives delta at the inner knots:  B delta = D beta,
    #   B_jj = (h_j + h_j+1) / 3,  B_j,j+1 = h_j+1 / 6,
    #   D_jj = 1 / h_j,  D_j,j+1 = -1 / h_j - 1 / h_j+1,  D_j,j+2 = 1 / h_j+1
    B = np.diag((h[:-1] + h[1:]) / 3) + np.diag(h[1:-1] / 6, 1) + np.diag(h[1:-1] / 6, -1)
    D = np.diff(np.diff(np.eye(k), axis=0) / h[:, None], axis=0)
    E, inner = _root_and_second_derivatives(B, D)
    F = np.vstack([np.zeros(k), inner, np.zeros(k)])
    evaluate = partial(_natural, knots=knots, F=F)
    return Basis("cr", name, knots, (-np.inf, np.inf), E, evaluate)


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
    return Basis("cs", name, plain.knots, plain.domain, E, plain.evaluate)


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
    knots = _quantiles(_distinct(name, x, "cc", k, least=4), k)
    h = np.diff(knots)
    # as for cr, with the neighbours of the last knot but one around the circle
    following = np.roll(np.eye(k - 1), 1, axis=1)  # row j picks knot j + 1
    previous = following.T
    h_before = np.roll(h, 1)
    B = np.diag((h_before + h) / 3) + h[:, None] / 6 * following + h_before[:, None] / 6 * previous
    slope_after = (following - np.eye(k - 1)) / h[:, None]
    D = slope_after - previous @ slope_after
    E, F = _root_and_second_derivatives(B, D)
    around = np.append(np.arange(k - 1), 0)
    evaluate = partial(_cyclic, knots=knots, values=np.eye(k - 1)[around], F=F[around])
    return Basis("cc", name, knots, (-np.inf, np.inf), E, evaluate)


def _root_and_second_derivatives(B: FloatArray, D: FloatArray) -> tuple[FloatArray, FloatArray]:
    """E and F: S = D' B^-1 D = E'E, and F = B^-1 D takes values to second derivatives."""
    L = scipy.linalg.cholesky(B, lower=True)
    # B = L L',  E = L^-1 D,  F = L^-T E
    E: FloatArray = scipy.linalg.solve_triangular(L, D, lower=True)
    F: FloatArray = scipy.linalg.solve_triangular(L, E, lower=True, trans="T")
    return E, F


def _piecewise_cubic(
    x: FloatArray, knots: FloatArray, values: FloatArray, F: FloatArray
) -> FloatArray:
    """Columns between the knots, from what makes values and second derivatives at the knots."""
    j = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    h = np.diff(knots)[j, None]
    left, right = x[:, None] - knots[j, None], knots[j + 1, None] - x[:, None]
    # f(x) = (right beta_j + left beta_j+1) / h
    #        + (right^3 / h - h right) / 6 delta_j + (left^3 / h - h left) / 6 delta_j+1
    return (
        right / h * values[j]
        + left / h * values[j + 1]
        + (right**3 / h - h * right) / 6 * F[j]
        + (left**3 / h - h * left) / 6 * F[j + 1]
    )


def _natural(x: FloatArray, knots: FloatArray, F: FloatArray) -> FloatArray:
    values = np.eye(len(knots))
    h = np.diff(knots)
    inside = np.clip(x, knots[0], knots[-1])
    # f'(first knot) = (beta_2 - beta_1) / h - h delta_2 / 6, and likewise at the last knot
    first_slope = (values[1] - values[0]) / h[0] - h[0] / 6 * F[1]
    last_slope = (values[-1] - values[-2]) / h[-1] + h[-1] / 6 * F[-2]
    below, above = np.minimum(x - inside, 0), np.maximum(x - inside, 0)
    return (
        _piecewise_cubic(inside, knots, values, F)
        + np.outer(below, first_slope)
        + np.outer(above, last_slope)
    )


def _cyclic(x: FloatArray, knots: FloatArray, values: FloatArray, F: FloatArray) -> FloatArray:
    around = knots[0] + np.mod(x - knots[0], knots[-1] - knots[0])
    return _piecewise_cubic(around, knots, values, F)


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
    return Basis("ps", name, knots, domain, D, partial(_b_splines, knots=knots))


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
        distinct = _distinct(name, x, "rk", len(t) + 2, least=3)
        low, high = 0.0, 1.0
        if distinct[0] < low or distinct[-1] > high:
            raise ValueError(
                f"{name} must lie in [0, 1] where knots are given, found values from "
                f"{distinct[0]:.8g} to {distinct[-1]:.8g}; scale it, or give k and no knots"
            )
    # beta' S beta = delta' R delta, delta the coefficients of the kernel;  R = L L',  E = [0 L']
    try:
        L = scipy.linalg.cholesky(_kernel(t[:, None], t), lower=True)
    except np.linalg.LinAlgError:
        raise ValueError(
            "knots are so close that the penalty of basis 'rk' is singular to working precision; "
            "use fewer of them"
        ) from None
    E = np.column_stack([np.zeros((len(t), 2)), L.T])
    evaluate = partial(_kernel_columns, t_knots=t, low=low, high=high)
    return Basis("rk", name, low + (high - low) * t, (low, high), E, evaluate)


def _kernel(t: FloatArray, z: FloatArray) -> FloatArray:
    """R(t, z) = k2(t) k2(z) - k4(|t - z|), with the Bernoulli polynomials k2 and k4 on [0, 1]."""
    a, b, c = (t - 0.5) ** 2, (z - 0.5) ** 2, (np.abs(t - z) - 0.5) ** 2
    return (a - 1 / 12) * (b - 1 / 12) / 4 - (c**2 - c / 2 + 7 / 240) / 24


def _kernel_columns(x: FloatArray, t_knots: FloatArray, low: float, high: float) -> FloatArray:
    t = (x - low) / (high - low)
    return np.column_stack([np.ones_like(t), t, _kernel(t[:, None], t_knots)])


BASES: dict[str, Callable[..., Basis]] = {"cr": cr, "cs": cs, "cc": cc, "ps": ps, "rk": rk}


# ---- from a basis to the columns of a mixed model ----


@dataclass(frozen=True, eq=False)
class Smooth:
    """A smooth as fixed and random columns: f(x) = fixed(x) beta + random(x) b, b ~ N(0, tau^2 I).

    Over the data it was made from the smooth sums to zero. A penalty lambda b'b on the random part
    is lambda times the scaled penalty of the basis; lambda = sigma^2 / tau^2.

    Attributes
    ----------
    basis : Basis
        Its basis.
    constraint : ndarray, shape (k, k - 1)
        Z_c, orthonormal: coefficients Z_c gamma give a smooth that sums to zero over the data.
    scale : float
        What the penalty of the basis was divided by; mgcv's ``S.scale``.
    to_fixed : ndarray, shape (k, m)
        Takes beta to coefficients of the basis: to_fixed beta + to_random b.
    to_random : ndarray, shape (k, r)
        Takes b to coefficients of the basis.
    """

    basis: Basis
    constraint: FloatArray
    scale: float
    to_fixed: FloatArray
    to_random: FloatArray

    @property
    def null_names(self) -> tuple[str, ...]:
        """Names of the fixed columns: a straight line, or none."""
        return ("linear",)[: self.to_fixed.shape[1]]

    def fixed(self, x: ArrayLike) -> FloatArray:
        """Return the columns without penalty at any x.

        Parameters
        ----------
        x : array_like, shape (n,)
            Values of the covariate.

        Returns
        -------
        ndarray, shape (n, m)
            One straight line, increasing (cr, ps, rk), or none (cs, cc).

        Raises
        ------
        ValueError
            If a value is not finite, or outside the domain of the basis.
        """
        return self.basis.columns(x) @ self.to_fixed

    def random(self, x: ArrayLike) -> FloatArray:
        """Return the columns with penalty at any x.

        Parameters
        ----------
        x : array_like, shape (n,)
            Values of the covariate.

        Returns
        -------
        ndarray, shape (n, r)
            Columns of Z, the most heavily penalized function first.

        Raises
        ------
        ValueError
            If a value is not finite, or outside the domain of the basis.
        """
        return self.basis.columns(x) @ self.to_random


def construct(
    x: ArrayLike, basis: str = "cs", k: int = 10, *, scaling: Scaling = "norm", name: str = "x"
) -> Smooth:
    """Make a smooth of a covariate, with a basis of the given name.

    Parameters
    ----------
    x : array_like, shape (n,)
        Covariate.
    basis : {"cr", "cs", "cc", "ps", "rk"}
        Name in `BASES`.
    k : int
        Size of the basis.
    scaling : {"norm", "mean"}
        Unit of the penalty; see `split`.
    name : str
        What messages call the covariate.

    Returns
    -------
    Smooth
        Fixed and random columns for any x.

    Raises
    ------
    ValueError
        If `basis` or `scaling` is unknown, k is too small, or x is not finite, constant, or has
        fewer than k distinct values.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> smooth = construct(ms.load_sleepstudy().days, "cr", k=10)
    >>> smooth.fixed([0, 9]).shape, smooth.random([0, 9]).shape
    ((2, 1), (2, 8))
    """
    if basis not in BASES:
        raise ValueError(f"basis must be one of {', '.join(BASES)}, found {basis!r}")
    return split(BASES[basis](x, k, name=name), x, scaling=scaling)


def split(basis: Basis, x: ArrayLike, *, scaling: Scaling = "norm") -> Smooth:
    """Constrain a basis to sum to zero over x, and split it into fixed and random columns.

    Parameters
    ----------
    basis : Basis
        The basis.
    x : array_like, shape (n,)
        The data: B(x) has column sums that the constraint is made from, and a size that the
        penalty is scaled to.
    scaling : {"norm", "mean"}
        Size of the penalty: S is divided by ``||S||_1 / ||B||_inf^2`` ("norm", as in mgcv now), or
        by mean abs(S) / mean abs(B'B) ("mean", as in its older versions). It sets the unit of
        tau^2 and of lambda, and changes no fit whose tau^2 is estimated.

    Returns
    -------
    Smooth
        Fixed and random columns for any x.

    Raises
    ------
    ValueError
        If x is outside the domain of the basis, `scaling` is unknown, or eigenvalues of the
        penalty are further apart than the digits of a double.

    References
    ----------
    Wood (2017), sections 5.4.1 and 5.8; mgcv 1.8-41, ``smoothCon`` and ``smooth2random``.

    Examples
    --------
    >>> smooth = split(cr([0, 1, 2, 2], k=3), [0, 1, 2, 2])
    >>> print(abs(smooth.random([0, 1, 2, 2]).sum(axis=0).round(12)))
    [0.]
    """
    B = basis.columns(x)
    scale = _scale(B, basis.S, scaling)
    # 1'B beta = 0 where beta = Z_c gamma:  B'1 = Q R,  Z_c = Q without its first column
    Q = scipy.linalg.qr(B.sum(axis=0)[:, None])[0]
    constraint: FloatArray = Q[:, 1:]
    # E Z_c / sqrt(scale) = U diag(d) V',  so  Z_c' S Z_c / scale = V diag(d^2) V'
    _, d, Vt = scipy.linalg.svd(basis.root @ constraint / np.sqrt(scale))
    if d[-1] <= d[0] * max(basis.root.shape) * np.finfo(float).eps:
        raise ValueError(
            f"{basis.name} has values so unevenly spaced that the penalty of its basis "
            f"{basis.kind!r} is singular to working precision; use a smaller k, or transform it"
        )
    W = constraint @ Vt.T
    # the sign of an eigenvector is free: its last entry that is not about zero is positive
    W = W * np.array([np.sign(w[np.abs(w) > TIE * np.abs(w).max()][-1]) for w in W.T])
    # gamma = V_r diag(1/d) b + V_0 beta,  penalty b'b
    r = len(d)
    return Smooth(basis, constraint, scale, to_fixed=W[:, r:], to_random=W[:, :r] / d)


def _scale(B: FloatArray, S: FloatArray, scaling: Scaling) -> float:
    if scaling == "norm":
        return float(np.linalg.norm(S, 1) / np.linalg.norm(B, np.inf) ** 2)
    if scaling == "mean":
        return float(np.abs(S).mean() / np.abs(B.T @ B).mean())
    raise ValueError(f'scaling must be "norm" or "mean", found {scaling!r}')


# ---- checks ----


def _distinct(name: str, x: ArrayLike, kind: str, k: int, *, least: int) -> FloatArray:
    """Distinct values of x, sorted; at least k of them, and k at least `least`."""
    try:
        operator.index(k)
    except TypeError:
        raise ValueError(f"k must be a whole number, found {k!r}") from None
    if k < least:
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


def _quantiles(distinct: FloatArray, k: int) -> FloatArray:
    """Place k knots evenly by rank, the first and the last at the ends."""
    knots: FloatArray = np.quantile(distinct, np.linspace(0, 1, k))
    return knots
