"""Answers to the exercises of chapter 6."""

from functools import cache

import numpy as np
import scipy.optimize
import scipy.special

from mixedsmooth import Fit, group, linear, lmm
from mixedsmooth.derivations.penalized_ls import profiled_deviance
from mixedsmooth.derivations.reml import restricted_deviance
from mixedsmooth.exercises import _common as common
from mixedsmooth.exercises._diagnosis import FloatArray
from mixedsmooth.exercises._registry import Solution, exercise


@exercise("6.1", "From $n - p$ back to ordinary regression", quantity="deviance", digits=7)
def _back_to_regression() -> Solution:
    """Minus twice a restricted log-likelihood."""
    y, X, Z, _ = common.sleep_rows()
    right = restricted_deviance(0.0, y, X, Z)
    log_det = np.linalg.slogdet(X.T @ X)[1]
    of_n = 178 * np.log(2 * np.pi * np.sum((y - X @ common.least_squares(y, X)) ** 2) / 180)
    mistakes = {
        "this is the deviance of maximum likelihood": profiled_deviance(0.0, y, X, Z),
        "the log-determinant of X'X is missing": right - log_det,
        "sigma squared is RSS divided by n - p": of_n + log_det + 180,
    }
    return Solution(right, mistakes)


@exercise("6.2", "Twice the columns", points=2, quantity="standard deviation", simulated=True)
def _twice_the_columns() -> Solution:
    """Two means of the estimates of tau, by ML and by REML, in ms."""
    # Balanced: exercise 3.2 with what the columns leave of the sum of squares between drivers
    rows, draws = common.sleep_rows(), 2000
    residual = rows.y - rows.X @ common.least_squares(rows.y, rows.X)
    means = rows.Z.T @ residual / 10
    columns = np.random.default_rng(62).normal(size=(draws, 18, 10))
    Q = np.linalg.qr(np.concatenate([np.ones((draws, 18, 1)), columns], axis=2)).Q
    between = 10 * (means @ means - np.sum((means @ Q) ** 2, axis=1))
    _, within = common.residual_sums_of_squares(rows)
    degrees = ((18, 162), (7, 161))
    taus = np.sqrt([np.maximum(between / b - within / w, 0) / 10 for b, w in degrees])
    return Solution(taus.mean(axis=1), spread=4 * taus.std(axis=1) / np.sqrt(50))


@cache
def _slope_fit() -> Fit:
    """REML for the sleep study with a random slope."""
    sleep = common.sleep_study()
    slopes = group(subject=sleep.subject, days=sleep.days)
    return lmm(sleep.reaction, linear(days=sleep.days), slopes)


def _factor_of(fit: Fit) -> FloatArray:
    """Lower triangular T of a random intercept and slope."""
    T: FloatArray = np.zeros((2, 2))
    T[np.tril_indices(2)] = fit.theta
    return T


@exercise("6.3", "Theta for another origin", points=2)
def _another_origin() -> Solution:
    """An array of shape (3,): T[0, 0], T[1, 0], T[1, 1]."""
    T, lower = _factor_of(_slope_fit()), np.tril_indices(2)

    def moved(shift: float) -> FloatArray:
        return np.array([[1.0, shift], [0.0, 1.0]]) @ T

    def theta(shift: float) -> FloatArray:
        return np.asarray(np.linalg.cholesky(moved(shift) @ moved(shift).T)[lower])

    mistakes = {
        "this is theta for the old origin": theta(0.0),
        "the intercept moves to the other side": theta(-4.5),
        "B T is not triangular: take the Cholesky factor of B T T' B'": moved(4.5)[lower],
    }
    return Solution(theta(4.5), mistakes)


@exercise("6.4", "The mixture, by simulation", points=3)
def _mixture() -> Solution:
    """Two numbers: mean and 90 % point."""

    def tail(x: float) -> float:
        return float(np.mean(scipy.special.chdtrc([1, 2], x)))

    one, two = scipy.special.chdtri([1, 2], 0.1)
    mistakes = {
        "the 90 % point of a mixture is not the mean of the 90 % points": [1.5, (one + two) / 2],
        "this is chi^2 with two degrees of freedom": [2, two],
        "this is chi^2 with one degree of freedom": [1, one],
    }
    return Solution([1.5, scipy.optimize.brentq(lambda x: tail(x) - 0.1, one, two)], mistakes)


@exercise("6.5", "Predict a driver from two days", points=2)
def _two_days() -> Solution:
    """Three numbers: intercept in ms, slope in ms a day, reaction time on day 9 in ms."""
    (y, X, _, _), fit = common.sleep_rows(), _slope_fit()
    T, sigma2, beta = _factor_of(fit), fit.sigma**2, fit.beta
    G = sigma2 * T @ T.T
    own = common.least_squares(y[:2], X[:2])

    def with_day_9(line: FloatArray) -> FloatArray:
        return np.append(line, line @ [1, 9])

    def shrunk(days: int, sigma2: float) -> FloatArray:
        # beta + G (G + N)^-1 (own line - beta),  N = sigma^2 (X'X)^-1
        N = sigma2 * np.linalg.solve(X[:days].T @ X[:days], np.eye(2))
        return np.asarray(beta + G @ np.linalg.solve(G + N, own - beta))

    right = shrunk(2, sigma2)
    mistakes = {
        "this is the driver's own line": with_day_9(own),
        "this is the common line": with_day_9(beta),
        "N must be that of two days": with_day_9(shrunk(10, sigma2)),
        "sigma squared is missing in N": with_day_9(shrunk(2, 1.0)),
        "the common line is not added": with_day_9(right - beta),
    }
    return Solution(with_day_9(right), mistakes)
