"""Data, sums of squares and fits that the answers of several chapters use."""

from functools import cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixedsmooth import group, linear, lmm
from mixedsmooth.datasets import load_gasoline, load_sleepstudy, load_volvo
from mixedsmooth.derivations.likelihood import grouping_columns
from mixedsmooth.derivations.spline import PenalizedFit, choose_gcv, spline_basis, spline_penalty
from mixedsmooth.exercises._diagnosis import FloatArray


class Rows(NamedTuple):
    """Response and designs of a random intercept, with the group of each row."""

    y: FloatArray
    X: FloatArray
    Z: FloatArray
    group: NDArray[np.str_]


class Intercepts(NamedTuple):
    """Estimates of a model with a random intercept."""

    theta: float
    tau: float
    sigma: float
    beta: FloatArray
    se: FloatArray
    criterion: float


class Engines(NamedTuple):
    """The Volvo data, with the seven knots of chapters 8 and 9; x is the size, from 0 to 1."""

    x: FloatArray
    y: FloatArray
    X: FloatArray
    S: FloatArray


sleep_study, gasoline = cache(load_sleepstudy), cache(load_gasoline)


@cache
def sleep_rows() -> Rows:
    """Sleep study: intercept and days, an intercept for each driver."""
    sleep = sleep_study()
    X = np.column_stack([np.ones(len(sleep)), sleep.days])
    return Rows(sleep.reaction, X, grouping_columns(sleep.subject)[0], sleep.subject)


@cache
def unbalanced_rows() -> Rows:
    """125 rows of the sleep study, as chapters 3 and 4 keep them."""
    kept = np.r_[1:96, 97:101, 105:111, 121:125, 131:134, 141:151, 161, 171:173] - 1
    y, X, _, driver = sleep_rows()
    return Rows(y[kept], X[kept], grouping_columns(driver[kept])[0], driver[kept])


@cache
def gasoline_rows() -> Rows:
    """Cars per capita on year, income and price, an intercept for each country (chapter 5)."""
    gas = gasoline()
    X = np.column_stack([np.ones(len(gas)), gas.year - 1965, gas.lincomep, gas.lrpmg])
    return Rows(gas.lcarpcap, X, grouping_columns(gas.country)[0], gas.country)


@cache
def engines() -> Engines:
    """Wear of the 19 engines, with the basis and the penalty of chapter 8."""
    volvo = load_volvo()
    x = (volvo.size - volvo.size.min()) / np.ptp(volvo.size)
    knots = np.arange(1, 8) / 8
    return Engines(x, volvo.wear, spline_basis(x, knots), spline_penalty(knots))


@cache
def gcv_fit() -> PenalizedFit:
    """Fit the engines with the lambda that GCV chooses."""
    _, y, X, S = engines()
    return choose_gcv(y, X, S)


def fit_intercepts(rows: Rows, method: Literal["ML", "REML"] = "ML") -> Intercepts:
    """Fit a random intercept for each group."""
    columns = {f"x{j}": column for j, column in enumerate(rows.X.T[1:])}
    fit = lmm(rows.y, linear(**columns), group(group=rows.group), method=method)
    theta = float(fit.theta[0])
    return Intercepts(theta, theta * fit.sigma, fit.sigma, fit.beta, fit.se, fit.criterion)


@cache
def sleep_fit() -> Intercepts:
    """Fit a random intercept to the sleep study by maximum likelihood."""
    return fit_intercepts(sleep_rows())


@cache
def gasoline_fit() -> Intercepts:
    """Fit a random intercept to the gasoline data by maximum likelihood."""
    return fit_intercepts(gasoline_rows())


def least_squares(y: FloatArray, X: FloatArray) -> FloatArray:
    """Ordinary least-squares coefficients, for each column of y."""
    solution = np.linalg.lstsq(X, y, rcond=None)[0]
    return np.asarray(solution, dtype=np.float64)


def halves(v: FloatArray, group: NDArray[np.str_]) -> tuple[FloatArray, FloatArray]:
    """Mean of its group, row by row, and deviation from it."""
    Z, _ = grouping_columns(group)
    mean = Z @ (Z.T @ v / Z.sum(axis=0))
    return mean, v - mean


def sums_of_squares(y: FloatArray, group: NDArray[np.str_]) -> tuple[float, float]:
    """Between groups, and within."""
    mean, deviation = halves(y, group)
    return float(np.sum((mean - y.mean()) ** 2)), float(deviation @ deviation)


def residual_sums_of_squares(rows: Rows) -> tuple[float, float]:
    """Between groups and within, of the residuals of ordinary least squares."""
    return sums_of_squares(rows.y - rows.X @ least_squares(rows.y, rows.X), rows.group)


def standard_error(share: ArrayLike, runs: int) -> FloatArray:
    """Of a share that was counted in independent runs."""
    p = np.asarray(share, dtype=np.float64)
    return np.sqrt(p * (1 - p) / runs)
