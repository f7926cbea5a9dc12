"""Answers to the exercises of chapter 12."""

import warnings
from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import brentq, minimize_scalar
from scipy.special import chdtrc

from mixedsmooth import Fit, group, linear, lmm, neighbours, penalized, smooth
from mixedsmooth.datasets import (
    load_bodyfat,
    load_co2,
    load_columbus,
    load_ethanol,
    load_mcycle,
    load_meuse,
)
from mixedsmooth.derivations.gaussian_process import distances
from mixedsmooth.derivations.markov_field import relationship_by_recursion, relationship_inverse
from mixedsmooth.derivations.tensor import fit_blocks, margin, surface
from mixedsmooth.exercises._common import least_squares
from mixedsmooth.exercises._diagnosis import FloatArray
from mixedsmooth.exercises._registry import Solution, exercise
from mixedsmooth.kernels import correlation
from mixedsmooth.model.bases import cr
from mixedsmooth.model.smooths import construct

_bodyfat, _co2, _columbus = cache(load_bodyfat), cache(load_co2), cache(load_columbus)
_ethanol, _meuse = cache(load_ethanol), cache(load_meuse)


class _OneTerm(NamedTuple):
    """Fit of y = X beta + Z b + e with b ~ N(0, tau^2 I), by a search for one ratio."""

    ratio: float  # tau^2 / sigma^2
    sigma: float
    beta: FloatArray
    b: FloatArray
    edf: float  # without the columns of X
    criterion: float

    @property
    def variance(self) -> float:
        """The variance tau^2 of the effects."""
        return self.ratio * self.sigma**2


def _fit_one(
    y: FloatArray, X: FloatArray, Z: FloatArray, method: Literal["ML", "REML"] = "REML"
) -> _OneTerm:
    """Fit a model with one variance, dense, without the engine."""
    n, p = X.shape
    df = n if method == "ML" else n - p

    def at(log_ratio: float) -> _OneTerm:
        ratio = float(np.exp(log_ratio))
        root = cho_factor(np.eye(n) + ratio * Z @ Z.T, lower=True)
        VX, Vy = cho_solve(root, X), cho_solve(root, y)
        beta = np.linalg.solve(X.T @ VX, X.T @ Vy)
        Vr = Vy - VX @ beta
        s2 = float((y - X @ beta) @ Vr) / df
        log_det = 2 * float(np.log(np.diag(root[0])).sum())
        if method == "REML":
            log_det += float(np.linalg.slogdet(X.T @ VX)[1])
        # trace of the hat matrix I - P, P = V^-1 - V^-1 X (X' V^-1 X)^-1 X' V^-1
        trace_P = np.trace(cho_solve(root, np.eye(n))) - np.trace(
            np.linalg.solve(X.T @ VX, VX.T @ VX)
        )
        criterion = log_det + df * (1 + np.log(2 * np.pi * s2))
        b = ratio * Z.T @ Vr
        return _OneTerm(ratio, s2**0.5, beta, b, float(n - trace_P - p), float(criterion))

    grid = np.linspace(-12, 12, 25)
    best = grid[int(np.argmin([at(v).criterion for v in grid]))]
    found = minimize_scalar(
        lambda v: at(v).criterion,
        bounds=(best - 1, best + 1),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return at(float(found.x))


def _ones(n: int) -> FloatArray:
    return np.ones((n, 1))


@exercise("12.1", "Slopes drawn from one distribution")
def _ridge() -> Solution:
    """Four numbers: lambda, EDF without the intercept, slopes of waist and hip in kg per cm."""
    women = _bodyfat()
    y = women.dexfat
    four = np.column_stack([women.waistcirc, women.hipcirc, women.elbowbreadth, women.kneebreadth])
    more = np.column_stack([women.anthro3a, women.anthro3b, women.anthro3c, women.anthro4])

    def answer(
        columns: FloatArray, method: Literal["ML", "REML"] = "REML", sds: ArrayLike | None = None
    ) -> list[float]:
        sd = columns.std(axis=0) if sds is None else np.asarray(sds)
        fit = _fit_one(y, _ones(len(y)), (columns - columns.mean(axis=0)) / sd, method)
        return [1 / fit.ratio, fit.edf, *(fit.b / sd)[:2]]

    right = answer(four)
    lam, edf, *slopes = right
    sd = four.std(axis=0)
    plain = least_squares(y, np.column_stack([_ones(len(y)), four]))
    mistakes = {
        "these slopes are for a standard deviation; divide by it for a cm": [
            lam,
            edf,
            *(slopes * sd[:2]),
        ],
        "these slopes are multiplied by the standard deviation, and must be divided by it": [
            lam,
            edf,
            *(slopes * sd[:2] ** 2),
        ],
        "the intercept is not counted": [lam, edf + 1, *slopes],
        "lambda is sigma^2 / tau^2, not its inverse": [1 / lam, edf, *slopes],
        "lambda is the ratio of variances, not of standard deviations": [lam**0.5, edf, *slopes],
        "these are all eight measurements; four are wanted": answer(np.column_stack([four, more])),
        "these are the fits by ML": answer(four, "ML"),
        "the columns are to be scaled": answer(four, sds=np.ones(4)),
        "divide by the standard deviation with n below, as the chapter does": answer(
            four, sds=four.std(axis=0, ddof=1)
        ),
        "these slopes are those of least squares": [lam, edf, *plain[1:3]],
        "these slopes are those of elbow and knee": [
            lam,
            edf,
            *answer(four[:, [2, 3, 0, 1]])[2:],
        ],
    }
    return Solution(right, mistakes)


Slopes = Literal["varying", "forgotten", "one", "ML"]


@cache
def _fit_ethanol(kind: Slopes) -> Fit:
    """Fit a slope of compression that varies, is one for all, or lacks its linear term."""
    runs = _ethanol()
    c, x = runs.compression, runs.equivalence
    level = smooth(equivalence=x, basis="cr", k=10)
    slope = smooth(equivalence=x, basis="cr", k=10, by={"compression": c})
    terms = {
        "forgotten": (level, slope),
        "one": (linear(compression=c), level),
    }.get(kind, (linear(compression=c), level, slope))
    with warnings.catch_warnings():  # the forgotten line is meant here
        warnings.simplefilter("ignore", UserWarning)
        return lmm(runs.nox, *terms, method="ML" if kind == "ML" else "REML")


def _slopes_of_compression(kind: Slopes) -> list[float]:
    """By how much NOx rises from compression 12 to 13, at three equivalence ratios."""
    fit, at = _fit_ethanol(kind), np.array([0.7, 0.9, 1.1])
    low, high = (
        fit.predict({"equivalence": at, "compression": np.full(3, level)}) for level in (12.0, 13.0)
    )
    return [float(v) for v in high - low]


@exercise("12.2", "What compression does, and where")
def _varying() -> Solution:
    """Three slopes, at 0.7, 0.9 and 1.1, in μg/J per unit of compression."""
    right = np.array(_slopes_of_compression("varying"))
    average = _fit_ethanol("varying").beta[1]
    mistakes = {
        "these are the values of f_1; the average slope is to be added": right - average,
        "the average slope is added twice": right + average,
        "these are from the fit that forgot the linear term": _slopes_of_compression("forgotten"),
        "this is the fit with one slope for all equivalence ratios": _slopes_of_compression("one"),
        "these are from the fit by ML": _slopes_of_compression("ML"),
    }
    return Solution(right, mistakes)


def _degrees_on_the_map(degrees: float, basis: Literal["tp", "t2"], k: int) -> float:
    """EDF of a smooth of the coordinates alone, after a turn of the map."""
    soil, turn = _meuse(), np.radians(degrees)
    east = np.cos(turn) * soil.x - np.sin(turn) * soil.y
    north = np.sin(turn) * soil.x + np.cos(turn) * soil.y
    # dense, without the engine
    y = np.log(soil.zinc)
    if basis == "t2":
        margins = (margin(cr(v, k).columns(v), cr(v, k).S) for v in (east, north))
        return 4 + float(fit_blocks(y, surface(*margins)).edf.sum())
    made = construct({"x": east, "y": north}, "tp", k=k)
    X = np.column_stack([_ones(len(y)), made.fixed(east, north)])
    return float(X.shape[1]) + _fit_one(y, X, made.random(east, north)).edf


@exercise("12.3", "Turn the map")
def _turned_map() -> Solution:
    """Four numbers of degrees of freedom: tp before and after the turn, t2 before and after."""
    plate, tensor = _degrees_on_the_map(0, "tp", 30), _degrees_on_the_map(0, "t2", 6)
    turned = _degrees_on_the_map(30, "t2", 6)
    right = np.array([plate, plate, tensor, turned])
    back, radians = (_degrees_on_the_map(v, "t2", 6) for v in (-30, np.degrees(30.0)))
    mistakes: dict[str, ArrayLike] = {
        "the intercept counts, too": right - 1,
        "the intercept is counted once": right + 1,
        "this is turned the other way round": [plate, plate, tensor, back],
        "the cosine wants radians": [plate, plate, tensor, radians],
        "a turn of the map changes the fit of t2": [plate, plate, tensor, tensor],
        "the two of tp first, then those of t2": [tensor, turned, plate, plate],
        "first the two of tp, then the two of t2": [plate, tensor, plate, turned],
        "the basis tp is to have k=30": [*[_degrees_on_the_map(0, "tp", 36)] * 2, tensor, turned],
        "the basis t2 is to have k=6": [
            plate,
            plate,
            *(_degrees_on_the_map(v, "t2", 5) for v in (0, 30)),
        ],
    }
    return Solution(right, mistakes)


@exercise("12.4", "Kriging by hand")
def _kriging() -> Solution:
    """Four numbers: prediction and variance at 150 m, then at 100 m."""
    at, y, new = np.array([0.0, 100, 300]), np.array([1.2, 0.4, -0.9]), np.array([150.0, 100])

    def answer(
        kernel: str = "exponential", rho: float = 200, nugget: float = 0.25, own: float = 0.0
    ) -> list[float]:
        K = correlation(kernel, np.abs(at[:, None] - at) / rho)
        k = correlation(kernel, np.abs(at[:, None] - new) / rho)
        k[1, 1] += own
        a = np.linalg.solve(K + nugget * np.eye(3), k)
        value, variance = y @ a, 1 - np.sum(k * a, axis=0)
        return [float(v) for pair in zip(value, variance, strict=True) for v in pair]

    # Henderson's equations: (I + lambda K^-1) b = y, and the error of k' K^-1 b
    K = correlation("exponential", np.abs(at[:, None] - at) / 200)
    k = correlation("exponential", np.abs(at[:, None] - new) / 200)
    C, to = np.eye(3) + 0.25 * np.linalg.solve(K, np.eye(3)), np.linalg.solve(K, k)
    value = to.T @ np.linalg.solve(C, y)
    variance = 1 - np.sum(k * to, axis=0) + 0.25 * np.sum(to * np.linalg.solve(C, to), axis=0)
    right = [float(v) for pair in zip(value, variance, strict=True) for v in pair]
    mean = y.mean()
    less = y - mean
    a = np.linalg.solve(K + 0.25 * np.eye(3), k)
    mistakes = {
        "the nugget was left out: sigma^2 / tau^2 belongs on the diagonal of K": answer(nugget=0.0),
        "the nugget is added twice, or is a standard deviation": answer(nugget=0.5),
        "sigma^2 / tau^2 is 0.25, not its inverse": answer(nugget=4.0),
        "sigma^2 is 0.25, and needs no square": answer(nugget=0.0625),
        "k_0 is the kernel of the process; the nugget belongs to measurements only": answer(
            own=0.25
        ),
        "these are the variances of new measurements; those of the process are wanted": [
            right[0],
            right[1] + 0.25,
            right[2],
            right[3] + 0.25,
        ],
        "variances are wanted, not standard deviations": [
            right[0],
            right[1] ** 0.5,
            right[2],
            right[3] ** 0.5,
        ],
        "these are tau^2 less the variance of the error": [
            right[0],
            1 - right[1],
            right[2],
            1 - right[3],
        ],
        "these are the values at 100 m first": [*right[2:], *right[:2]],
        "this kernel is the Gaussian": answer("gaussian"),
        "this kernel is Matérn 3/2": answer("matern32"),
        "this kernel is the spherical": answer("spherical"),
        "the distance is to be divided by 200 m": answer(rho=100),
        "the kernel is exp(-d / rho), with no 2 and no square of the range": answer(rho=400),
        "the mean is known: do not take off that of the three": [
            float(less @ a[:, 0]),
            right[1],
            float(less @ a[:, 1]),
            right[3],
        ],
        "these are the predictions; then the variances: the places come in turn": [
            right[0],
            right[2],
            right[1],
            right[3],
        ],
    }
    return Solution(right, mistakes)


@exercise("12.5", "What runs away, and what stays")
def _runaway() -> Solution:
    """Three numbers, at the ranges 2,000, 20,000 and 200,000 m."""
    soil = _meuse()
    y, d = np.log(soil.zinc), distances(np.column_stack([soil.x, soil.y]))
    ranges = np.array([2e3, 2e4, 2e5])

    roots = [np.asarray(np.linalg.cholesky(correlation("exponential", d / rho))) for rho in ranges]

    def fits(
        y: FloatArray, X: FloatArray, method: Literal["ML", "REML"] = "REML"
    ) -> list[_OneTerm]:
        return [_fit_one(y, X, root, method) for root in roots]

    alone = fits(y, _ones(len(y)))
    tau2 = np.array([fit.variance for fit in alone])
    s2 = np.array([fit.sigma**2 for fit in alone])
    k = np.exp(-100 / ranges)
    right = tau2 * (1 - k)

    def other(found: list[_OneTerm]) -> FloatArray:
        return np.asarray(np.array([fit.variance for fit in found]) * (1 - k))

    river = np.column_stack([_ones(len(y)), np.sqrt(soil.distance)])
    mistakes = {
        "tau^2 is wanted, not tau": tau2**0.5 * (1 - k),
        "these are the tau": tau2**0.5,
        "these are the tau^2": tau2,
        "this is the covariance at 100 m; its distance from tau^2 is wanted": tau2 * k,
        "of two measurements; that of the process has no nugget": right + s2,
        "these are the variances of the nugget": s2,
        "tau^2 is wanted, not tau^2 / sigma^2": right / s2,
        "these are the fits by ML": other(fits(y, _ones(len(y)), "ML")),
        "these are the fits with the distance from the river": other(fits(y, river)),
        "tau^2 is missing: this is 1 - k alone": 1 - k,
        "the logarithm of zinc is wanted": other(fits(soil.zinc.astype(float), _ones(len(y)))),
        "the distance of the two places is 100 m, not 1": tau2 * (1 - np.exp(-1 / ranges)),
        "the distance of the two places is 100 m, not 1 km": tau2 * (1 - np.exp(-1000 / ranges)),
    }
    return Solution(right, mistakes)


@exercise("12.6", "Six districts")
def _six_districts() -> Solution:
    """Four numbers: free columns, mean and sd of C, its mean with the measurement."""
    graph = neighbours([("A", "B"), ("A", "C"), ("B", "C"), ("C", "D"), ("E", "F")])
    Q, tau, lam = graph.Q.toarray(), 2.0, 0.5
    b = np.array([4.0, -1, 0, 6, 0, 0])
    # the density of b_C: precision Q_CC / tau^2, and linear term -Q_Cj b_j / tau^2
    mean, sd = float(-Q[2] @ b / Q[2, 2]), float(tau / np.sqrt(Q[2, 2]))
    s2 = lam * tau**2

    def measured(s2: float = s2, variance: float = sd**2, y: float = 8.0) -> float:
        return float((y / s2 + mean / variance) / (1 / s2 + 1 / variance))

    free = float(6 - np.linalg.matrix_rank(Q))
    right = [free, mean, sd, measured()]
    mistakes = {
        "a component is a free column: there are more than one": [1.0, *right[1:]],
        "the intercept is among the free columns of the components": [free + 1, *right[1:]],
        "these are the districts; the columns that have no penalty are wanted": [6.0, *right[1:]],
        "this is the rank of Q; its null space is wanted": [6 - free, *right[1:]],
        "a mean of the three neighbors: E and F are none": [free, 9 / 5, *right[2:]],
        "this is the sum of the neighbors": [free, 9.0, *right[2:]],
        "a standard deviation is wanted, not the variance": [free, mean, sd**2, right[3]],
        "the square of tau is divided by the number of neighbors": [
            free,
            mean,
            tau / Q[2, 2],
            right[3],
        ],
        "this is tau itself: three neighbors say more than one": [free, mean, tau, right[3]],
        "tau is the standard deviation: its square is the variance": [
            free,
            mean,
            float(np.sqrt(tau / 3)),
            right[3],
        ],
        "the weight of the neighbors is lambda times their number": [
            *right[:3],
            float((8 + lam * mean) / (1 + lam)),
        ],
        "the measurement has the weight one, and the neighbors have lambda times their number": [
            *right[:3],
            measured(s2=tau**2 / lam),
        ],
        "this is the mean of measurement and neighbors; they have unequal weights": [
            *right[:3],
            (8 + mean) / 2,
        ],
        "this is the mean with equal weights for four": [*right[:3], (8 + 3 * mean) / 4],
        "this is lambda = 0: the neighbors have a say": [*right[:3], 8.0],
        "this is the mean without the measurement": [*right[:3], mean],
    }
    return Solution(right, mistakes)


@exercise("12.7", "Neighbors, after income and value")
def _after_income() -> Solution:
    """Four numbers: difference of criteria, p-value, slope of income without and with the field."""
    city = _columbus()
    graph = neighbours(city.pairs)
    place = {level: i for i, level in enumerate(graph.levels)}
    rows = [place[label] for label in city.district]
    values, vectors = np.linalg.eigh(graph.Q.toarray())
    Z = (vectors[:, 1:] / np.sqrt(values[1:]))[rows]
    y, n = city.crime, len(city.crime)
    X = np.column_stack([_ones(n), city.income, city.home_value])

    def answer(X: FloatArray, entry: int = 1, halves: float = 0.5) -> list[float]:
        field, beta = _fit_one(y, X, Z), least_squares(y, X)
        r = y - X @ beta
        s2 = float(r @ r) / (n - X.shape[1])
        plain = float(np.linalg.slogdet(X.T @ X)[1]) + (n - X.shape[1]) * (
            1 + np.log(2 * np.pi * s2)
        )
        fall = plain - field.criterion
        p = float(chdtrc(1, fall)) * halves
        return [fall, p, float(beta[entry]), float(field.beta[entry])]

    right = answer(X)
    fall, p, *slopes = right
    mistakes = {
        "the fall of the criterion is wanted: twice the log-likelihood": [
            fall / 2,
            float(chdtrc(1, fall / 2)) / 2,
            *slopes,
        ],
        "the mixture halves the p-value: zero has the other half": answer(X, halves=1.0),
        "the p-value is the area above": [fall, 1 - p, *slopes],
        "one variance more is one degree of freedom": [fall, float(chdtrc(2, fall)) / 2, *slopes],
        "the mixture is of 0 and 1 degrees of freedom, not of 1 and 2": [
            fall,
            p + float(chdtrc(2, fall)) / 2,
            *slopes,
        ],
        "the slopes are those of the home value": answer(X, entry=2),
        "the slopes are intercepts": answer(X, entry=0),
        "the value of the homes is in the model, too": answer(X[:, :2]),
        "the slope without the field first": [fall, p, *slopes[::-1]],
    }
    return Solution(right, mistakes)


def _air(basis: str, period: tuple[float, float] | None = None) -> Fit:
    """Trend and season of carbon dioxide."""
    air = _co2()
    season = smooth(month=air.month, basis=basis, k=12, period=period)
    return lmm(air.co2, smooth(year=air.year, basis="cr", k=20), season)


@exercise("12.8", "A year without a seam")
def _seam() -> Solution:
    """Three numbers, in ppm: rise from December to January, sigma, sigma without the period."""

    def rise(fit: Fit, first: float = 12.0, then: float = 1.0) -> float:
        at = {"year": np.array([1980.0, 1980.0]), "month": np.array([first, then])}
        return float(np.diff(fit.predict(at))[0])

    whole, seam, cr = _air("cc", (0.5, 12.5)), _air("cc"), _air("cr")
    half = _air("cc", (0.0, 12.0))
    right = [rise(whole), whole.sigma, seam.sigma]
    mistakes = {
        "these are the variances; sigma is wanted": [right[0], right[1] ** 2, right[2] ** 2],
        "there is no rise if the circle closes from 12 to 1: give the period": [0.0, *right[1:]],
        "from December to January, not back": [-right[0], *right[1:]],
        "sigma with the period first, then without it": [right[0], *right[:0:-1]],
        "this spline is not cyclic: its year need not end where it begins": [
            rise(cr),
            cr.sigma,
            right[2],
        ],
        "without a period the circle closes from 12 to 1: still a cc": [*right[:2], cr.sigma],
        "the circle closes at 0.5 and 12.5": [rise(half), half.sigma, right[2]],
        "this is the rise from January to February": [rise(whole, 1, 2), *right[1:]],
        "this is the rise from November to December": [rise(whole, 11, 12), *right[1:]],
        "this is the season in December; the rise to January is wanted": [
            float(whole.smooth("month", np.array([12.0])).value[0]),
            *right[1:],
        ],
        "this is the season in January; the rise from December is wanted": [
            float(whole.smooth("month", np.array([1.0])).value[0]),
            *right[1:],
        ],
    }
    return Solution(right, mistakes)


@exercise("12.9", "A calf of half sibs")
def _half_sibs() -> Solution:
    """Four numbers: half sibs, diagonal of calf 6, breeding values of 6 and of 1 in kg."""
    none = None
    family = [
        ("1", none, none),
        ("2", none, none),
        ("3", none, none),
        ("4", "1", "2"),
        ("5", "1", "3"),
        ("6", "4", "5"),
    ]
    A, inverse = relationship_by_recursion(family), relationship_inverse(family)
    y = np.array([2.0, -1.0])

    def values(inverse: FloatArray = inverse, lam: float = 2.0, y: FloatArray = y) -> FloatArray:
        # Henderson's equations, where Z says which calf was weighed
        Z = np.eye(6)[[3, 4]]
        return np.asarray(np.linalg.solve(Z.T @ Z + lam * inverse, Z.T @ y))

    a = values()
    right = [A[3, 4], A[5, 5], a[5], a[0]]

    def other(found: FloatArray) -> list[float]:
        return [*right[:2], float(found[5]), float(found[0])]

    of_full_sibs = [*family[:4], ("5", "1", "2"), family[5]]
    full = relationship_by_recursion(of_full_sibs)
    mistakes = {
        "a half of the parents' relationship is added, not all of it": [
            right[0],
            1 + right[0],
            *right[2:],
        ],
        "these are full sibs; 4 and 5 have one parent in common": [
            full[3, 4],
            full[5, 5],
            *other(values(relationship_inverse(of_full_sibs)))[2:],
        ],
        "half sibs have half of the half that full sibs have, and not none": [0.0, *right[1:]],
        "half sibs share one parent: one half times one half": [0.125, *right[1:]],
        "calf 6 is inbred: its parents are related": [right[0], 1.0, *right[2:]],
        "this is the inbreeding of 6 alone, without the one": [right[0], 0.125, *right[2:]],
        "lambda is sigma^2 / tau^2 = 2, not its inverse": other(values(lam=0.5)),
        "sigma^2 is 2 tau^2, which needs no square": other(values(lam=4.0)),
        "sigma^2 is twice tau^2: the root of 2 belongs to standard deviations": other(
            values(lam=2**0.5)
        ),
        "the mean is known: do not take off that of the two": other(values(y=y - y.mean())),
        "the calves are related: A, not I, is the covariance": other(A[:, [3, 4]] @ (y / 3)),
        "the error of the weights counts: a calf is not its weight": other(
            A[:, [3, 4]] @ np.linalg.solve(A[3:5, 3:5], y)
        ),
        "the breeding value of 6 first, then that of 1": [*right[:2], a[0], a[5]],
        "these are the breeding values of the calves 4 and 5": [*right[:2], a[3], a[4]],
        "the breeding value of animal 1 is wanted, not that of 2": [*right[:3], a[1]],
        "the breeding value of animal 1 is wanted, not that of 3": [*right[:3], a[2]],
    }
    return Solution(right, mistakes)


@exercise("12.10", "A term of your own")
def _own_term() -> Solution:
    """Three numbers: EDF of the season, the season in May and in October in ppm."""
    air = _co2()
    one = np.eye(12)
    later, earlier = np.roll(one, 1, axis=1), np.roll(one, -1, axis=1)
    D = later + earlier - 2 * one
    month, levels = air.month.astype(int).astype(str), [str(j) for j in range(1, 13)]
    trend = smooth(year=air.year, basis="cr", k=20)

    def season(S: FloatArray) -> Fit:
        # the same term as a field on the circle of months
        return lmm(air.co2, trend, group(month=month, precision=(levels, S)))

    def answer(fit: Fit) -> list[float]:
        effects = dict(zip(fit.random["month"].levels, fit.random["month"].effects, strict=True))
        return [fit.edf["month"], float(effects["5"][0]), float(effects["10"][0])]

    second = season(D.T @ D)
    right = answer(second)
    edf, may, october = right
    Z = (air.month[:, None] == np.arange(1, 13)).astype(float)
    own = lmm(air.co2, trend, penalized("season", Z, D.T @ D)).random["season"].effects.ravel()
    spline = _air("cc", (0.5, 12.5))
    at = spline.smooth("month", np.array([5.0, 10.0])).value
    means = [air.co2[air.month == j].mean() - air.co2.mean() for j in (5, 10)]
    mistakes = {
        "the intercept is not counted": [edf + 1, may, october],
        "these are the degrees of freedom of the whole model": [
            sum(second.edf.values()),
            may,
            october,
        ],
        "these are the columns; the effective degrees of freedom are wanted": [11.0, may, october],
        "May is the fifth month, and October the tenth": [edf, october, may],
        "these are effects of the engine's own columns; ask smooth() for the months": [
            edf,
            float(own[4]),
            float(own[9]),
        ],
        "this is the penalty of first differences: S is D'D, not D": answer(season(-D)),
        "this is the cyclic spline": [spline.edf["s(month)"], float(at[0]), float(at[1])],
        "these are means of the months, without the penalty and the trend": [
            edf,
            float(means[0]),
            float(means[1]),
        ],
    }
    return Solution(right, mistakes)


@exercise("12.11", "How many steps?")
def _steps() -> Solution:
    """Four whole numbers: (a) with 0.1 and 0.05, (b) with 0.1 and 0.05."""
    crash = load_mcycle()
    made = construct(crash.time, "cr", k=20)
    line = made.fixed(crash.time) - made.fixed(crash.time).mean(axis=0)
    Z = made.random(crash.time)
    Z = Z - Z.mean(axis=0)
    # orthogonal to the free line, the learner keeps q / (q + lambda) of each direction
    Z = Z - line @ least_squares(Z, line)
    q = np.linalg.eigvalsh(Z.T @ Z)

    def shares(df: float) -> FloatArray:
        log_lam = brentq(lambda v: 1 + np.sum(q / (q + np.exp(v))) - df, -30, 30)
        return np.append(q / (q + np.exp(log_lam)), 1.0)

    def steps(nu: float, wanted: float = 10, df: float = 4, mean: float = 1) -> float:
        h, m = shares(df), 0
        while mean + np.sum(1 - (1 - nu * h) ** m) < wanted:
            m += 1
        return float(m)

    def half(h: float, nu: float, left: float = 0.5) -> float:
        return float(np.ceil(np.log(left) / np.log1p(-nu * h)))

    right = [half(0.02, 0.1), half(0.02, 0.05), steps(0.1), steps(0.05)]
    mistakes = {
        "one step fewer is not enough": [v - 1 for v in right],
        "one step fewer is enough: the least number is wanted": [v + 1 for v in right],
        "the mean has one degree of freedom of the ten": [
            *right[:2],
            steps(0.1, mean=0),
            steps(0.05, mean=0),
        ],
        "the learner has four degrees of freedom without the mean": [
            *right[:2],
            steps(0.1, df=3),
            steps(0.05, df=3),
        ],
        "nu multiplies h": [half(0.02, 1), half(0.02, 1), *right[2:]],
        "this is with nu alone: h = 0.02 multiplies it": [half(1, 0.1), half(1, 0.05), *right[2:]],
        "a number of steps is whole: round up": [
            *(float(np.log(0.5) / np.log1p(-nu * 0.02)) for nu in (0.1, 0.05)),
            *right[2:],
        ],
        "one half is to be kept, not a share of 1 / e": [
            half(0.02, 0.1, np.exp(-1)),
            half(0.02, 0.05, np.exp(-1)),
            *right[2:],
        ],
        "with 0.1 first, then with 0.05": [right[i] for i in (1, 0, 3, 2)],
        "(a) first, then (b)": [right[i] for i in (2, 3, 0, 1)],
    }
    return Solution(right, mistakes)
