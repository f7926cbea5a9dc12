"""Answers to the exercises of chapter 4."""

from collections.abc import Callable

import numpy as np

from mixedsmooth.derivations.henderson import (
    conditional_covariance,
    prediction_error_covariance,
    shrinkage_factor,
    solve_henderson,
)
from mixedsmooth.derivations.likelihood import intercept_slope_columns
from mixedsmooth.exercises._common import least_squares, sleep_fit, sleep_rows
from mixedsmooth.exercises._diagnosis import FloatArray
from mixedsmooth.exercises._registry import Solution, exercise


@exercise(
    "4.1",
    "Driver 309 by hand",
    "an array of shape (2, 2): a row for three days and a row for ten; prediction, conditional "
    "standard deviation in ms",
)
def _driver_309() -> Solution:
    (y, X, _, subject), fit = sleep_rows(), sleep_fit()
    residual = (y - X @ fit.beta)[subject == "309"]
    days = np.array([3, 10])
    means = np.array([residual[:3].mean(), residual.mean()])
    factor = shrinkage_factor(days, fit.theta)
    sd = fit.sigma / np.sqrt(days + 1 / fit.theta**2)
    return Solution(
        np.column_stack([factor * means, sd]),
        {
            "the means are not shrunk": np.column_stack([means, sd]),
            "the factor has 1/theta squared in it, not 1/theta": np.column_stack(
                [days / (days + 1 / fit.theta) * means, sd]
            ),
            "this is the standard deviation of the mean, not of the effect": np.column_stack(
                [factor * means, fit.sigma / np.sqrt(days)]
            ),
        },
    )


@exercise(
    "4.2",
    "Shrinkage by extra rows, and a sum of zero",
    "an array of shape (20,): two fixed effects, then 18 predictions",
    points=2,
)
def _extra_rows() -> Solution:
    (y, X, Z, _), theta = sleep_rows(), sleep_fit().theta
    beta, b = solve_henderson(y, X, Z, theta)

    def with_rows(block: float) -> FloatArray:
        W = np.block([[X, Z], [np.zeros((18, 2)), block * np.eye(18)]])
        return least_squares(np.concatenate([y, np.zeros(18)]), W)

    return Solution(
        np.concatenate([beta, b]),
        {
            "the extra rows hold the root of lambda, not lambda": with_rows(theta**-2),
            "the extra rows hold the root of lambda, which is 1/theta": with_rows(theta),
            "these are not shrunk: the extra rows have no effect": with_rows(0.0),
        },
    )


@exercise(
    "4.3",
    "A random slope",
    "an array of shape (18, 2): a row for each driver; intercept in ms, slope in ms a day",
    points=2,
)
def _random_slope() -> Solution:
    y, X, _, subject = sleep_rows()
    Z, levels = intercept_slope_columns(subject, X[:, 1])
    factor = np.array([[0.929, 0.0], [0.018, 0.223]])

    def effects(Lambda: FloatArray) -> tuple[FloatArray, FloatArray]:
        beta, b = solve_henderson(y, X, Z, Lambda)
        return beta, b.reshape(18, 2)

    beta, b = effects(np.kron(np.eye(18), factor))
    own = [least_squares(y[subject == level], X[subject == level]) - beta for level in levels]
    return Solution(
        b,
        {
            "Lambda is transposed: the factor is lower triangular": effects(
                np.kron(np.eye(18), factor.T)
            )[1],
            "Lambda has the order of the columns wrong": effects(np.kron(factor, np.eye(18)))[1],
            "these are the drivers' own lines, not shrunk": own,
            "add no fixed effects: the deviations from the common line are asked": b + beta,
        },
    )


@exercise(
    "4.4",
    "What estimating beta costs",
    "two ratios: of the sleep study, of the other design",
    points=2,
)
def _cost_of_beta() -> Solution:
    theta2 = sleep_fit().theta ** 2
    m, q = np.array([10, 50]), np.array([18, 5])
    return Solution(
        1 + m * theta2 / q,
        {
            "q and m are exchanged": 1 + q * theta2 / m,
            "divide by the number of groups": 1 + m * theta2,
        },
    )


@exercise(
    "4.5",
    "Stein's rule",
    "three sums of mean squared errors, in ms²: effects times 0, 1 and 10",
    points=2,
    simulated=True,
)
def _stein() -> Solution:
    (y, X, Z, _), fit = sleep_rows(), sleep_fit()
    truth = solve_henderson(y, X, Z, fit.theta)[1]
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

    right = total(lambda squares: np.maximum(0, 1 - (q - 3) * v / squares))
    return Solution(
        right,
        {
            "these are the errors of the raw deviations": total(lambda squares: 1.0),
            "these are the errors with the known factor": total(
                lambda squares: shrinkage_factor([2], fit.theta)[0]
            ),
            "the factor must not fall below zero": total(lambda squares: 1 - (q - 3) * v / squares),
        },
        spread=0.05 * right,
    )


@exercise(
    "4.7",
    "Tomorrow's measurement",
    "an array of shape (2, 2): a row for driver 309 and a row for a new one; lower and upper end "
    "in ms",
    points=2,
)
def _tomorrow() -> Solution:
    (y, X, Z, subject), fit = sleep_rows(), sleep_fit()
    beta, b = solve_henderson(y, X, Z, fit.theta)
    covariance = prediction_error_covariance(X, Z, fit.theta, fit.sigma)
    x = np.array([1.0, 9.0])
    j = list(np.unique(subject)).index("309")
    w = np.concatenate([x, np.eye(18)[j]])
    line = x @ covariance[:2, :2] @ x
    centers = np.array([x @ beta + b[j], x @ beta])
    level = np.array([w @ covariance @ w, line + fit.tau**2])
    conditional = conditional_covariance(Z, fit.theta, fit.sigma)[j, j]

    def interval(variances: FloatArray, width: float = 1.96) -> FloatArray:
        half = width * np.sqrt(variances)
        return np.column_stack([centers - half, centers + half])

    sigma2 = fit.sigma**2
    return Solution(
        interval(level + sigma2),
        {
            "a new measurement has an error too: sigma squared is missing": interval(level),
            "the error of the fixed effects is missing": interval(
                np.array([conditional, fit.tau**2]) + sigma2
            ),
            "the errors of the line and of the effect are correlated": interval(
                np.array([line + covariance[2 + j, 2 + j], level[1]]) + sigma2
            ),
            "this is one standard deviation to each side": interval(level + sigma2, 1.0),
        },
    )


@exercise(
    "4.8",
    "How many parameters are 18 random effects?",
    "three numbers: at the estimate, at theta = 100, at theta = 0.001",
    digits=5,
)
def _how_many() -> Solution:
    factor = np.array(
        [shrinkage_factor([10], theta)[0] for theta in (sleep_fit().theta, 100.0, 0.001)]
    )
    return Solution(
        2 + 17 * factor,
        {
            "the mean of the 18 effects is counted twice": 2 + 18 * factor,
            "the two fixed effects count too": 17 * factor,
        },
    )
