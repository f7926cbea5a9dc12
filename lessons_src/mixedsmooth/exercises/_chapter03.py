"""Answers to the exercises of chapter 3."""

from collections.abc import Iterable

import numpy as np
import scipy.optimize
import scipy.special

from mixedsmooth import published
from mixedsmooth.derivations import likelihood
from mixedsmooth.exercises import _common as common
from mixedsmooth.exercises._diagnosis import FloatArray
from mixedsmooth.exercises._registry import Solution, exercise


@exercise("3.1", "The score without groups", quantity="variance")
def _no_groups() -> Solution:
    """One variance, in ms²."""
    y, X, _, _ = common.sleep_rows()
    rss = float(np.sum((y - X @ common.least_squares(y, X)) ** 2))
    mistakes = {
        "this is the unbiased estimate: maximum likelihood does not divide by n - p": rss / 178,
        "this is the residual sum of squares itself": rss,
    }
    return Solution(rss / 180, mistakes)


@exercise("3.2", "Maximum likelihood by hand", points=2, quantity="standard deviation")
def _ml_by_hand() -> Solution:
    """An array of shape (2, 2).

    A row for the intercept only and a row for intercept and days; tau, sigma in ms.
    """
    rows, k, m = common.sleep_rows(), 18, 10

    def estimates(degrees_between: int, degrees_within: Iterable[int]) -> FloatArray:
        found = []
        for p, degrees in zip((1, 2), degrees_within, strict=True):
            between, within = common.residual_sums_of_squares(rows._replace(X=rows.X[:, :p]))
            sigma2 = within / degrees
            found.append([(between / degrees_between - sigma2) / m, sigma2])
        return np.sqrt(found)

    ml = "maximum likelihood divides SSB by k, SSW by k (m - 1)"
    mistakes = {
        f"these are the REML estimates: {ml}": estimates(k - 1, (162, 161)),
        "SSW has k (m - 1) degrees of freedom, not n": estimates(k, (180, 180)),
    }
    return Solution(estimates(k, (162, 162)), mistakes)


@exercise("3.3", "An interval from the likelihood", points=3, quantity="standard deviation")
def _interval() -> Solution:
    """The lower and the upper end, in ms."""
    # -2 l = k log(omega) + SSB / omega + k (m - 1) log(sigma^2) + SSW / sigma^2  (exercise 3.2)
    between, within = common.residual_sums_of_squares(common.sleep_rows())
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
    mistakes = {
        "the log-likelihood may fall by half the quantile of chi^2 only": ends(2 * quantile[0]),
        "the quantile is to be compared with twice the difference": ends(quantile[0] / 2),
        "this is a 90 % interval": ends(quantile[1]),
    }
    return Solution(ends(quantile[0]), mistakes)


@exercise("3.4", "Seconds", digits=6)
def _seconds() -> Solution:
    """One difference of log-likelihoods."""
    mistakes = {
        "the logarithm is the natural one": 180 * 3.0,
        "the milliseconds become seconds in each of the n rows": np.log(1000),
    }
    return Solution(180 * np.log(1000), mistakes)


@exercise("3.5", "A likelihood without V", points=3, quantity="negative log-likelihood", digits=7)
def _without_v() -> Solution:
    """Three values of minus the log-likelihood."""
    y, X, Z, _ = common.unbalanced_rows()
    thetas = np.log([[36, 31], [5, 31], [150, 10]])
    constant = len(y) / 2 * np.log(2 * np.pi)
    right = np.array([likelihood.negloglik_transformed(theta, y, X, Z) for theta in thetas])
    tau, sigma = np.exp(thetas.T)
    # log|W| = sum_j log d_j - n log sigma
    d2 = sigma[:, None] ** 2 / (sigma[:, None] ** 2 + Z.sum(axis=0) * tau[:, None] ** 2)
    log_det_W = np.log(d2).sum(axis=1) / 2 - len(y) * np.log(sigma)
    ols = [likelihood.negloglik_mvn(theta, y, X, Z, beta="ols") for theta in thetas]
    mistakes = {
        "beta is estimated by ordinary least squares: transform X as well": ols,
        "the constant n/2 log(2 pi) is missing": right - constant,
        "the log-determinant of W is missing": right + log_det_W,
        "the log-determinant of W has the wrong sign": right + 2 * log_det_W,
    }
    return Solution(right, mistakes)


@exercise("3.6", "When does the shortcut do harm?", points=2)
def _harm() -> Solution:
    """An array of shape (2, 2).

    A row for GLS and a row for OLS; intercept in ms, slope in ms a day.
    """
    _, X, Z, subject = common.unbalanced_rows()
    fit = common.fit_intercepts(common.unbalanced_rows())
    change = 100.0 * (subject == "371")

    def changes(theta: float, sigma: float) -> FloatArray:
        V = likelihood.marginal_covariance(Z, theta, sigma)
        gls = likelihood.generalized_least_squares(change, X, V)
        return np.array([gls, common.least_squares(change, X)])

    of_all = changes(common.sleep_fit().theta, common.sleep_fit().sigma)
    mistakes = {
        "take the estimates of tau and sigma from the unbalanced rows": changes(36 / 31, 31.0),
        "these are the estimates of all 180 rows: take those of the unbalanced ones": of_all,
    }
    return Solution(changes(fit.theta, fit.sigma), mistakes)


@exercise("3.7", "Why source 1 printed 36.02", points=3, quantity="standard deviation")
def _early_stop() -> Solution:
    """Tau and sigma where the search ends, in ms."""
    ledger, best = published.entries(), common.sleep_fit()
    mistakes = {
        "this is the optimum: the search of this exercise stops before": [best.tau, best.sigma]
    }
    return Solution(
        [float(ledger[f"clark.ml.{name}"].value) for name in ("tau", "sigma")],
        mistakes,
        spread=0.005,
    )  # of two printed decimals
