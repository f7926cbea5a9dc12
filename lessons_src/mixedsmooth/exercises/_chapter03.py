"""Answers to the exercises of chapter 3."""

from collections.abc import Iterable

import numpy as np
import scipy.optimize
import scipy.special

from mixedsmooth import published
from mixedsmooth.derivations.likelihood import (
    generalized_least_squares,
    marginal_covariance,
    negloglik_mvn,
    negloglik_transformed,
)
from mixedsmooth.exercises._common import (
    fit_intercepts,
    least_squares,
    residual_sums_of_squares,
    sleep_fit,
    sleep_rows,
    unbalanced_rows,
)
from mixedsmooth.exercises._diagnosis import FloatArray
from mixedsmooth.exercises._registry import Solution, exercise


@exercise("3.1", "The score without groups", "one variance, in ms²", quantity="variance")
def _no_groups() -> Solution:
    y, X, _, _ = sleep_rows()
    rss = float(np.sum((y - X @ least_squares(y, X)) ** 2))
    return Solution(
        rss / 180,
        {
            "this is the unbiased estimate: maximum likelihood does not divide by n - p": rss / 178,
            "this is the residual sum of squares itself": rss,
        },
    )


@exercise(
    "3.2",
    "Maximum likelihood by hand",
    "an array of shape (2, 2): a row for the intercept only and a row for intercept and days; "
    "tau, sigma in ms",
    points=2,
    quantity="standard deviation",
)
def _ml_by_hand() -> Solution:
    rows, k, m = sleep_rows(), 18, 10

    def estimates(degrees_between: int, degrees_within: Iterable[int]) -> FloatArray:
        found = []
        for p, degrees in zip((1, 2), degrees_within, strict=True):
            between, within = residual_sums_of_squares(rows._replace(X=rows.X[:, :p]))
            sigma2 = within / degrees
            found.append([(between / degrees_between - sigma2) / m, sigma2])
        return np.sqrt(found)

    return Solution(
        estimates(k, (162, 162)),
        {
            "these are the REML estimates: maximum likelihood divides SSB by k, SSW by k (m - 1)": (
                estimates(k - 1, (162, 161))
            ),
            "SSW has k (m - 1) degrees of freedom, not n": estimates(k, (180, 180)),
        },
    )


@exercise(
    "3.3",
    "An interval from the likelihood",
    "the lower and the upper end, in ms",
    points=3,
    quantity="standard deviation",
)
def _interval() -> Solution:
    # -2 l = k log(omega) + SSB / omega + k (m - 1) log(sigma^2) + SSW / sigma^2  (exercise 3.2)
    between, within = residual_sums_of_squares(sleep_rows())
    k, m, rest = 18, 10, 162
    sigma2 = within / rest
    best = np.sqrt((between / k - sigma2) / m)

    def deviance(tau: float) -> float:
        def at(log_sigma2: float) -> float:
            s2 = np.exp(log_sigma2)
            omega = s2 + m * tau**2
            return float(k * np.log(omega) + between / omega + rest * log_sigma2 + within / s2)

        around = np.log(sigma2)
        found = scipy.optimize.minimize_scalar(at, bracket=(around - 0.1, around + 0.1), tol=1e-10)
        return float(found.fun)

    lowest = deviance(best)

    def ends(drop: float) -> list[float]:
        return [
            scipy.optimize.brentq(lambda tau: deviance(tau) - lowest - drop, *bracket)
            for bracket in ((8.0, best), (best, 200.0))
        ]

    quantile = scipy.special.chdtri(1, [0.05, 0.1])
    return Solution(
        ends(quantile[0]),
        {
            "the log-likelihood may fall by half the quantile of chi^2 only": ends(2 * quantile[0]),
            "the quantile is to be compared with twice the difference": ends(quantile[0] / 2),
            "this is a 90 % interval": ends(quantile[1]),
        },
    )


@exercise("3.4", "Seconds", "one difference of log-likelihoods", digits=6)
def _seconds() -> Solution:
    return Solution(
        180 * np.log(1000),
        {
            "the logarithm is the natural one": 180 * 3.0,
            "the milliseconds become seconds in each of the n rows": np.log(1000),
        },
    )


@exercise(
    "3.5",
    "A likelihood without V",
    "three values of minus the log-likelihood",
    points=3,
    quantity="negative log-likelihood",
    digits=7,
)
def _without_v() -> Solution:
    y, X, Z, _ = unbalanced_rows()
    thetas = np.log([[36, 31], [5, 31], [150, 10]])
    constant = len(y) / 2 * np.log(2 * np.pi)
    right = np.array([negloglik_transformed(theta, y, X, Z) for theta in thetas])
    tau, sigma = np.exp(thetas.T)
    # log|W| = sum_j log d_j - n log sigma
    d2 = sigma[:, None] ** 2 / (sigma[:, None] ** 2 + Z.sum(axis=0) * tau[:, None] ** 2)
    log_det_W = np.log(d2).sum(axis=1) / 2 - len(y) * np.log(sigma)
    return Solution(
        right,
        {
            "beta is estimated by ordinary least squares: transform X as well": [
                negloglik_mvn(theta, y, X, Z, beta="ols") for theta in thetas
            ],
            "the constant n/2 log(2 pi) is missing": right - constant,
            "the log-determinant of W is missing": right + log_det_W,
            "the log-determinant of W has the wrong sign": right + 2 * log_det_W,
        },
    )


@exercise(
    "3.6",
    "When does the shortcut do harm?",
    "an array of shape (2, 2): a row for GLS and a row for OLS; intercept in ms, slope in ms a day",
    points=2,
)
def _harm() -> Solution:
    _, X, Z, subject = unbalanced_rows()
    fit = fit_intercepts(unbalanced_rows())
    change = 100.0 * (subject == "371")

    def changes(theta: float, sigma: float) -> FloatArray:
        V = marginal_covariance(Z, theta, sigma)
        return np.array([generalized_least_squares(change, X, V), least_squares(change, X)])

    return Solution(
        changes(fit.theta, fit.sigma),
        {
            "take the estimates of tau and sigma from the unbalanced rows": changes(36 / 31, 31.0),
            "these are the estimates of all 180 rows: take those of the unbalanced ones": changes(
                sleep_fit().theta, sleep_fit().sigma
            ),
        },
    )


@exercise(
    "3.7",
    "Why source 1 printed 36.02",
    "tau and sigma where the search ends, in ms",
    points=3,
    quantity="standard deviation",
)
def _early_stop() -> Solution:
    ledger, best = published.entries(), sleep_fit()
    return Solution(
        [float(ledger[f"clark.ml.{name}"].value) for name in ("tau", "sigma")],
        {"this is the optimum: the search of this exercise stops before": [best.tau, best.sigma]},
        spread=0.005,  # of two printed decimals
    )
