"""Answers to the exercises of chapter 2."""

from functools import cache

import numpy as np
import scipy.special
from numpy.typing import ArrayLike

from mixedsmooth import published
from mixedsmooth.derivations.likelihood import intercept_slope_columns, marginal_covariance
from mixedsmooth.exercises._common import sleep_rows
from mixedsmooth.exercises._diagnosis import FloatArray
from mixedsmooth.exercises._registry import Solution, exercise


@exercise("2.1", "By hand")
def _by_hand() -> Solution:
    """A matrix of shape (3, 3)."""
    Z, _ = intercept_slope_columns(["A", "B", "A"], [2, 5, 4])

    def covariance(variances: ArrayLike, sigma2: float) -> FloatArray:
        of_effects = np.diag(np.tile(np.asarray(variances, dtype=np.float64), 2))
        return Z @ of_effects @ Z.T + sigma2 * np.eye(3)

    mistakes = {
        "the residual variance is missing on the diagonal": covariance([1, 4], 0),
        "a standard deviation is used for the variance of the slopes": covariance([1, 2], 9),
        "sigma is used for sigma squared": covariance([1, 4], 3),
        "T must be divided by sigma": covariance([9, 36], 9),
    }
    return Solution(covariance([1, 4], 9), mistakes)


@cache
def _bates() -> tuple[FloatArray, float, FloatArray]:
    """T, sigma and G of a random slope, from the numbers that source 3 prints."""
    ledger = published.entries()
    names = ("variance_intercept.estimate", "covariance.estimate", "variance_days.estimate")
    v_0, v_01, v_1 = (float(ledger[f"dirmeier.statsmodels.{name}"].value) for name in names)
    sigma2 = float(ledger["dirmeier.statsmodels.scale"].value)
    G = np.array([[v_0, v_01], [v_01, v_1]])
    T = np.asarray(np.linalg.cholesky(G / sigma2), dtype=np.float64)
    return T, float(np.sqrt(sigma2)), G


@exercise("2.2", "Two orders of the columns")
def _two_orders() -> Solution:
    """A matrix of shape (36, 36)."""
    T, _, G = _bates()
    mistakes = {
        "this order belongs to the columns driver by driver": np.kron(np.eye(18), T),
        "this is the covariance of the effects, not the factor of it": np.kron(G, np.eye(18)),
    }
    return Solution(np.kron(T, np.eye(18)), mistakes)


@cache
def _printed_sd() -> tuple[float, float]:
    """Return the tau and sigma that chapter 2 takes from source 1."""
    ledger = published.entries()
    tau, sigma = (float(ledger[f"clark.lme4.sd_{name}"].value) for name in ("subject", "residual"))
    return tau, sigma


@exercise("2.3", "A covariance that no random intercept can make")
def _compound_symmetry() -> Solution:
    """The smallest and the largest eigenvalue, in ms²."""
    tau, sigma = _printed_sd()
    entries = [tau**2, tau**2 + sigma**2]
    mistakes = {
        "a driver has 10 rows; 18 is the number of drivers": [sigma**2, 18 * tau**2 + sigma**2],
        "these are the diagonal entry and the one beside it, not eigenvalues": entries,
    }
    return Solution([sigma**2, 10 * tau**2 + sigma**2], mistakes)


@exercise("2.4", "From effects to rows and back", points=2)
def _faster_on_day_nine() -> Solution:
    """One probability, between 0 and 1."""
    T, sigma, _ = _bates()
    x = sleep_rows().X[:10]  # of the first driver: Z is X
    V = marginal_covariance(x, T, sigma)

    def p(variance: float) -> float:
        return float(scipy.special.ndtr(-9 * 10.5 / np.sqrt(variance)))

    variance = V[0, 0] + V[9, 9] - 2 * V[0, 9]
    mistakes = {
        "this is the probability of a slower reaction on day 9": 1 - p(variance),
        "the two days are correlated": p(V[0, 0] + V[9, 9]),
        "the driver's own slope is missing in the variance": p(2 * sigma**2),
        "divide by the standard deviation, not by the variance": p(variance**2),
    }
    return Solution(p(variance), mistakes)


@exercise("2.5", "Store less")
def _store_less() -> Solution:
    """An array of shape (180,)."""
    y, _, Z, _ = sleep_rows()
    tau, sigma = _printed_sd()
    sums = Z @ (Z.T @ y)
    mistakes = {
        "the residual variance is missing": tau**2 * sums,
        "these are standard deviations; V is made of variances": tau * sums + sigma * y,
        "this is Z Z' y: multiply by tau squared, and add sigma squared times y": sums,
    }
    return Solution(tau**2 * sums + sigma**2 * y, mistakes)
