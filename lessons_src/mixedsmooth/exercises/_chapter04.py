"""Answers to the exercises of chapter 4."""

from collections.abc import Callable

import numpy as np

from mixedsmooth.derivations import henderson
from mixedsmooth.derivations.likelihood import intercept_slope_columns
from mixedsmooth.exercises._common import least_squares, sleep_fit, sleep_rows
from mixedsmooth.exercises._diagnosis import FloatArray
from mixedsmooth.exercises._registry import Solution, exercise


@exercise("4.1", "Driver 309 by hand")
def _driver_309() -> Solution:
    """An array of shape (2, 2).

    A row for three days and a row for ten; prediction, conditional standard deviation in ms.
    """
    (y, X, _, subject), fit = sleep_rows(), sleep_fit()
    residual = (y - X @ fit.beta)[subject == "309"]
    days = np.array([3, 10])
    means = np.array([residual[:3].mean(), residual.mean()])
    b = henderson.shrinkage_factor(days, fit.theta) * means
    sd = fit.sigma / np.sqrt(days + 1 / fit.theta**2)
    b_wrong, sd_of_mean = days / (days + 1 / fit.theta) * means, fit.sigma / np.sqrt(days)
    mistakes = {
        "the means are not shrunk": np.column_stack([means, sd]),
        "the factor has 1/theta squared in it, not 1/theta": np.column_stack([b_wrong, sd]),
        "this is the standard deviation of the mean, not of the effect": np.c_[b, sd_of_mean],
    }
    return Solution(np.column_stack([b, sd]), mistakes)


@exercise("4.2", "Shrinkage by extra rows, and a sum of zero", points=2)
def _extra_rows() -> Solution:
    """An array of shape (20,): two fixed effects, then 18 predictions."""
    (y, X, Z, _), theta = sleep_rows(), sleep_fit().theta
    beta, b = henderson.solve_henderson(y, X, Z, theta)

    def with_rows(block: float) -> FloatArray:
        W = np.block([[X, Z], [np.zeros((18, 2)), block * np.eye(18)]])
        return least_squares(np.concatenate([y, np.zeros(18)]), W)

    mistakes = {
        "the extra rows hold the root of lambda, not lambda": with_rows(theta**-2),
        "the extra rows hold the root of lambda, which is 1/theta": with_rows(theta),
        "these are not shrunk: the extra rows have no effect": with_rows(0.0),
    }
    return Solution(np.concatenate([beta, b]), mistakes)


@exercise("4.3", "A random slope", points=2)
def _random_slope() -> Solution:
    """An array of shape (18, 2): a row for each driver; intercept in ms, slope in ms a day."""
    y, X, _, subject = sleep_rows()
    Z, levels = intercept_slope_columns(subject, X[:, 1])
    factor, eye = np.array([[0.929, 0.0], [0.018, 0.223]]), np.eye(18)

    def effects(Lambda: FloatArray) -> tuple[FloatArray, FloatArray]:
        beta, b = henderson.solve_henderson(y, X, Z, Lambda)
        return beta, b.reshape(18, 2)

    beta, b = effects(np.kron(eye, factor))
    own = [least_squares(y[subject == level], X[subject == level]) - beta for level in levels]
    mistakes = {
        "Lambda is transposed: the factor is lower triangular": effects(np.kron(eye, factor.T))[1],
        "Lambda has the order of the columns wrong": effects(np.kron(factor, eye))[1],
        "these are the drivers' own lines, not shrunk": np.array(own),
        "add no fixed effects: the deviations from the common line are asked": b + beta,
    }
    return Solution(b, mistakes)


@exercise("4.4", "What estimating beta costs", points=2)
def _cost_of_beta() -> Solution:
    """Two ratios: of the sleep study, of the other design."""
    theta2 = sleep_fit().theta ** 2
    m, q = np.array([10, 50]), np.array([18, 5])
    mistakes = {
        "q and m are exchanged": 1 + q * theta2 / m,
        "divide by the number of groups": 1 + m * theta2,
    }
    return Solution(1 + m * theta2 / q, mistakes)


@exercise("4.5", "Stein's rule", points=2, simulated=True)
def _stein() -> Solution:
    """Three sums of mean squared errors, in ms²: effects times 0, 1 and 10."""
    (y, X, Z, _), fit = sleep_rows(), sleep_fit()
    truth = henderson.solve_henderson(y, X, Z, fit.theta)[1]
    v, q, repeats = fit.sigma**2 / 2, 18, 20_000
    noise = np.random.default_rng(45).normal(0, np.sqrt(v), (repeats, q))
    noise -= noise.mean(axis=1, keepdims=True)
    scales = (0, 1, 10)

    def total(factor: Callable[[FloatArray], FloatArray | float]) -> FloatArray:
        """Error of the deviations, when they are multiplied by a factor."""
        errors = []
        for scale in scales:
            deviations = scale * truth + noise
            squares = np.sum(deviations**2, axis=1, keepdims=True)
            error = factor(squares) * deviations - scale * truth
            errors.append(np.mean(np.sum(error**2, axis=1)))
        return np.array(errors)

    known = henderson.shrinkage_factor([2], fit.theta)[0]
    right = total(lambda squares: np.maximum(0, 1 - (q - 3) * v / squares))
    mistakes = {
        "these are the errors of the raw deviations": total(lambda squares: 1.0),
        "these are the errors with the known factor": total(lambda squares: known),
        "the factor must not fall below zero": total(lambda squares: 1 - (q - 3) * v / squares),
    }
    return Solution(right, mistakes, spread=0.05 * right)


@exercise("4.7", "Tomorrow's measurement", points=2)
def _tomorrow() -> Solution:
    """An array of shape (2, 2).

    A row for driver 309 and a row for a new one; lower and upper end in ms.
    """
    (y, X, Z, subject), fit = sleep_rows(), sleep_fit()
    beta, b = henderson.solve_henderson(y, X, Z, fit.theta)
    covariance = henderson.prediction_error_covariance(X, Z, fit.theta, fit.sigma)
    x = np.array([1.0, 9.0])
    j = list(np.unique(subject)).index("309")
    w = np.concatenate([x, np.eye(18)[j]])
    line = x @ covariance[:2, :2] @ x
    centers = np.array([x @ beta + b[j], x @ beta])
    level = np.array([w @ covariance @ w, line + fit.tau**2])
    conditional = henderson.conditional_covariance(Z, fit.theta, fit.sigma)[j, j]

    uncorrelated = np.array([line + covariance[2 + j, 2 + j], level[1]])

    def interval(
        variances: FloatArray, sigma2: float = fit.sigma**2, z: float = 1.96
    ) -> FloatArray:
        half = z * np.sqrt(variances + sigma2)
        return np.column_stack([centers - half, centers + half])

    mistakes = {
        "a new measurement has an error too: sigma squared is missing": interval(level, 0.0),
        "the error of the fixed effects is missing": interval(np.array([conditional, fit.tau**2])),
        "the errors of the line and of the effect are correlated": interval(uncorrelated),
        "this is one standard deviation to each side": interval(level, z=1.0),
    }
    return Solution(interval(level), mistakes)


@exercise("4.8", "How many parameters are 18 random effects?", digits=5)
def _how_many() -> Solution:
    """Three numbers: at the estimate, at theta = 100, at theta = 0.001."""
    thetas = sleep_fit().theta, 100.0, 0.001
    factor = np.array([henderson.shrinkage_factor([10], theta)[0] for theta in thetas])
    mistakes = {
        "the mean of the 18 effects is counted twice": 2 + 18 * factor,
        "the two fixed effects count too": 17 * factor,
    }
    return Solution(2 + 17 * factor, mistakes)
