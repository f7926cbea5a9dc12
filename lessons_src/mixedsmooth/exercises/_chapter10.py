"""Answers to the exercises of chapter 10."""

from functools import cache

import numpy as np
import scipy.linalg
import scipy.optimize

from mixedsmooth import Fit, group, linear, lmm, smooth
from mixedsmooth.derivations.reml import restricted_deviance
from mixedsmooth.exercises._common import least_squares, sleep_rows, sleep_study, standard_error
from mixedsmooth.exercises._diagnosis import FloatArray
from mixedsmooth.exercises._registry import Solution, exercise


def _penalty(k: int) -> FloatArray:
    """S of cr on the knots 0, 1, ..., k - 1: the columns hold the values at the knots."""
    # S = D' B^-1 D: second differences, and the integrals of the hats between them
    D = np.diff(np.eye(k), n=2, axis=0)
    B = np.eye(k - 2) * 2 / 3 + (np.eye(k - 2, k=1) + np.eye(k - 2, k=-1)) / 6
    return np.asarray(D.T @ np.linalg.solve(B, D))


def _whitened(columns: FloatArray, S: FloatArray) -> FloatArray:
    """Return columns for which the penalty S is the sum of squares."""
    d, U = np.linalg.eigh(S)
    kept = d > 1e-9 * d[-1]
    return np.asarray(columns @ U[:, kept] / np.sqrt(d[kept]))


@exercise("10.1", "Three knots by hand")
def _three_knots() -> Solution:
    """The matrix S, of shape (3, 3)."""
    d = np.outer([1, -2, 1], [1, -2, 1])
    mistakes = {"B is to be divided by, not multiplied with": 2 / 3 * d, "B is missing": d}
    return Solution(_penalty(3), mistakes)


def _at_the_days() -> FloatArray:
    """Columns of cr with a knot on each of the ten days."""
    return np.asarray(np.eye(10)[sleep_study().days.astype(int)])


def _sum_to_zero() -> FloatArray:
    """C, with which the columns B C sum to zero over the rows."""
    return np.asarray(scipy.linalg.qr(_at_the_days().sum(axis=0)[:, None])[0][:, 1:])


@exercise("10.2", "Another constraint", points=2, quantity="standard deviation")
def _another_constraint() -> Solution:
    """An array of shape (2, 3).

    A row for the sum to zero, a row for zero on day 0; days 0, 4 and 9; in ms.
    """
    B, S, at = _at_the_days(), _penalty(10), np.eye(10)[[0, 4, 9]]
    constraints = (_sum_to_zero(), np.eye(10)[:, 1:])

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

    mistakes = {
        "these are the errors without a penalty": errors(0.0),
        "these are sampling errors, which forget the bias": errors(50.0, bayesian=False),
    }
    return Solution(errors(50.0), mistakes)


@cache
def _smooth_and_drivers(basis: str) -> Fit:
    sleep = sleep_study()
    return lmm(sleep.reaction, smooth(days=sleep.days, basis=basis), group(subject=sleep.subject))


@exercise("10.3", "The choice that rounding makes", points=3)
def _choice() -> Solution:
    """One EDF, of the curve."""
    y, X, Z, _ = sleep_rows()
    ours = _smooth_and_drivers("cs")
    theta_g = ours.random["subject"].sd[0] / ours.sigma
    S, C = _penalty(10), _sum_to_zero()
    # the line through day 0, and what is at a right angle to it, span the null space of S
    through, right_angle = np.linalg.qr(np.column_stack([np.arange(10.0), np.ones(10)]))[0].T
    parts = 0.1 * np.outer(right_angle, right_angle) + 0.01 * np.outer(through, through)
    exchanged = S + np.linalg.eigvalsh(S)[2] * parts
    Z_s = _whitened(_at_the_days() @ C, C.T @ exchanged @ C)

    def criterion(log_theta: float) -> float:
        Lambda = np.diag(np.repeat([np.exp(log_theta), theta_g], [9, 18]))
        return restricted_deviance(Lambda, y, X[:, :1], np.hstack([Z_s, Z]))

    theta = np.exp(scipy.optimize.minimize_scalar(criterion, bracket=(-2, -1)).x)
    inner = Z_s.T @ Z_s
    right = float(np.trace(np.linalg.solve(inner + np.eye(9) / theta**2, inner)))
    mistakes = {
        "this is the EDF of the basis as it is": ours.edf["s(days)"],
        "the intercept is not part of the curve": right + 1,
    }
    return Solution(right, mistakes)


@exercise("10.4", "Three criteria of one model")
def _three_criteria() -> Solution:
    """One difference of REML criteria."""
    sleep = sleep_study()
    straight = _smooth_and_drivers("cr")
    plain = lmm(sleep.reaction, linear(days=sleep.days), group(subject=sleep.subject))
    right = 2 * np.log(straight.beta[1] / plain.beta[1])
    mistakes = {
        "the determinant has the square of the factor": right / 2,
        "this is the factor itself; its logarithm counts, twice": np.exp(right / 2),
    }
    return Solution(right, mistakes)


@exercise("10.5", "How often is the variance zero?", points=3, simulated=True)
def _how_often_zero() -> Solution:
    """One share, between 0 and 1."""
    # REML without an effect, in the eigenvectors of Z'MZ with the eigenvalues m: the criterion is
    #   sum log(1 + theta^2 m) + (n - 2) log(rest + sum z^2 / (1 + theta^2 m))
    X, runs = sleep_rows().X, 5000
    Z = _whitened(_at_the_days(), _penalty(10))
    m = scipy.linalg.svdvals(Z - X @ least_squares(Z, X)) ** 2
    rng = np.random.default_rng(105)
    z2, rest = rng.chisquare(1, (runs, len(m))), rng.chisquare(178 - len(m), runs)
    weights = 1 + np.append(0, np.geomspace(1e-4, 1e3, 71))[:, None] / m.max() * m
    criterion = np.log(weights).sum(axis=1)[:, None] + 178 * np.log(rest + (1 / weights) @ z2.T)
    share = float(np.mean(criterion.argmin(axis=0) == 0))
    mistakes = {
        "this is the share of samples with a variance above zero": 1 - share,
        "this is the rule for independent groups; here it does not hold": 0.5,
    }
    return Solution(share, mistakes, spread=4 * float(standard_error(share, 200)))


@exercise("10.6", "Which part of the curve is a line?")
def _common_line() -> Solution:
    """One reaction time, in ms."""
    y, X, _, _ = sleep_rows()
    beta = least_squares(y, X)
    mistakes = {
        "the ninth day is day 8: days count from 0": beta @ [1, 8],
        "this is the slope times nine: the intercept is missing": beta[1] * 9,
        "this is the mean of all rows": y.mean(),
    }
    return Solution(beta @ [1, 9], mistakes)
