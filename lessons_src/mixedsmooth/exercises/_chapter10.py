"""Answers to the exercises of chapter 10."""

from functools import cache

import numpy as np
import scipy.linalg
import scipy.optimize

from mixedsmooth.derivations.reml import restricted_deviance
from mixedsmooth.exercises._common import least_squares, sleep_rows, sleep_study, standard_error
from mixedsmooth.exercises._diagnosis import FloatArray
from mixedsmooth.exercises._registry import Solution, exercise
from mixedsmooth.model.bases import Basis, cr, split
from mixedsmooth.model.fit import Fit
from mixedsmooth.model.lmm import lmm
from mixedsmooth.model.terms import group, linear, smooth


@exercise("10.1", "Three knots by hand", "the matrix S, of shape (3, 3)")
def _three_knots() -> Solution:
    d = np.outer([1, -2, 1], [1, -2, 1])
    return Solution(
        cr([0, 1, 2], k=3).S,
        {"B is to be divided by, not multiplied with": 2 / 3 * d, "B is missing": d},
    )


@exercise(
    "10.2",
    "Another constraint",
    "an array of shape (2, 3): a row for the sum to zero, a row for zero on day 0; days 0, 4 and "
    "9; in ms",
    points=2,
    quantity="standard deviation",
)
def _another_constraint() -> Solution:
    days = sleep_study().days
    basis = cr(days, k=10)
    B, S, at = basis.columns(days), basis.S, basis.columns([0, 4, 9])
    sum_to_zero = scipy.linalg.qr(B.sum(axis=0)[:, None])[0][:, 1:]
    constraints = (sum_to_zero, np.eye(10)[:, 1:])

    def errors(lam: float, *, bayesian: bool = True) -> FloatArray:
        rows = []
        for C in constraints:
            W = np.hstack([np.ones((180, 1)), B @ C])
            A = W.T @ W + lam * scipy.linalg.block_diag(0, C.T @ S @ C)
            part = np.hstack([np.zeros((3, 1)), at @ C])
            to_part = np.linalg.solve(A, part.T)
            covariance = part @ to_part if bayesian else to_part.T @ (W.T @ W) @ to_part
            rows.append(30 * np.sqrt(np.diag(covariance)))
        return np.array(rows)

    return Solution(
        errors(50.0),
        {
            "these are the errors without a penalty": errors(0.0),
            "these are sampling errors, which forget the bias": errors(50.0, bayesian=False),
        },
    )


@cache
def _smooth_and_drivers(basis: str) -> Fit:
    sleep = sleep_study()
    return lmm(sleep.reaction, smooth(days=sleep.days, basis=basis), group(subject=sleep.subject))


@exercise("10.3", "The choice that rounding makes", "one EDF, of the curve", points=3)
def _choice() -> Solution:
    (y, X, Z, _), days = sleep_rows(), sleep_study().days
    ours = _smooth_and_drivers("cs")
    theta_g = ours.random["subject"].sd[0] / ours.sigma
    plain = cr(days, k=10)
    through = plain.knots - plain.knots[0]
    through = through / np.linalg.norm(through)
    right_angle = 1 - through * through.sum()
    right_angle = right_angle / np.linalg.norm(right_angle)
    root = scipy.linalg.svdvals(plain.root)[-1]
    E = np.vstack([plain.root, np.sqrt(0.1) * root * right_angle, 0.1 * root * through])
    exchanged = Basis("cs", "days", plain.knots, plain.domain, E, plain.evaluate)
    Z_s = split(exchanged, days).random(days)

    def criterion(log_theta: float) -> float:
        Lambda = np.diag(np.repeat([np.exp(log_theta), theta_g], [9, 18]))
        return restricted_deviance(Lambda, y, X[:, :1], np.hstack([Z_s, Z]))

    theta = np.exp(scipy.optimize.minimize_scalar(criterion, bracket=(-5, -4)).x)
    inner = Z_s.T @ Z_s
    right = float(np.trace(np.linalg.solve(inner + np.eye(9) / theta**2, inner)))
    return Solution(
        right,
        {
            "this is the EDF of the basis as it is": ours.edf["s(days)"],
            "the intercept is not part of the curve": right + 1,
        },
    )


@exercise("10.4", "Three criteria of one model", "one difference of REML criteria")
def _three_criteria() -> Solution:
    sleep = sleep_study()
    straight = _smooth_and_drivers("cr")
    plain = lmm(sleep.reaction, linear(days=sleep.days), group(subject=sleep.subject))
    right = 2 * np.log(straight.beta[1] / plain.beta[1])
    return Solution(
        right,
        {
            "the determinant has the square of the factor": right / 2,
            "this is the factor itself; its logarithm counts, twice": np.exp(right / 2),
        },
    )


@exercise(
    "10.5",
    "How often is the variance zero?",
    "one share, between 0 and 1",
    points=3,
    simulated=True,
)
def _how_often_zero() -> Solution:
    # REML without an effect, in the eigenvectors of Z'MZ with the eigenvalues m: the criterion is
    #   sum log(1 + theta^2 m) + (n - 2) log(rest + sum z^2 / (1 + theta^2 m))
    days, runs = sleep_study().days, 5000
    Z = split(cr(days, k=10), days).random(days)
    X = np.column_stack([np.ones(180), days])
    m = scipy.linalg.svdvals(Z - X @ least_squares(Z, X)) ** 2
    rng = np.random.default_rng(105)
    z2, rest = rng.chisquare(1, (runs, len(m))), rng.chisquare(178 - len(m), runs)
    weights = 1 + np.append(0, np.geomspace(1e-4, 1e3, 71))[:, None] / m.max() * m
    criterion = np.log(weights).sum(axis=1)[:, None] + 178 * np.log(rest + (1 / weights) @ z2.T)
    share = float(np.mean(criterion.argmin(axis=0) == 0))
    return Solution(
        share,
        {
            "this is the share of samples with a variance above zero": 1 - share,
            "this is the rule for independent groups; here it does not hold": 0.5,
        },
        spread=4 * float(standard_error(share, 200)),
    )


@exercise("10.6", "Which part of the curve is a line?", "one reaction time, in ms")
def _common_line() -> Solution:
    y, X, _, _ = sleep_rows()
    beta = least_squares(y, X)
    return Solution(
        beta @ [1, 9],
        {
            "the ninth day is day 8: days count from 0": beta @ [1, 8],
            "this is the slope times nine: the intercept is missing": beta[1] * 9,
            "this is the mean of all rows": y.mean(),
        },
    )
