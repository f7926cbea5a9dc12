"""Answers to the exercises of chapter 7."""

from collections.abc import Callable
from functools import cache

import numpy as np
from scipy.linalg import block_diag

from mixedsmooth import Fit, group, linear, lmm
from mixedsmooth.datasets import load_insteval
from mixedsmooth.derivations.henderson import shrinkage_factor
from mixedsmooth.derivations.likelihood import intercept_slope_columns
from mixedsmooth.derivations.penalized_ls import profiled_deviance
from mixedsmooth.derivations.reml import restricted_deviance
from mixedsmooth.exercises._common import fit_intercepts, sleep_rows
from mixedsmooth.exercises._diagnosis import FloatArray
from mixedsmooth.exercises._registry import Solution, exercise


@exercise("7.1", "Fill-in by counting", points=2, digits=7)
def _fill_in() -> Solution:
    """Two counts for c = 30: students first, lecturers first."""

    def entries(last: int) -> FloatArray:
        """Diagonal of the first factor, strip below it, and the full corner."""
        first, rest = np.array([100, 30]), np.array([30, 100]) + last
        return np.asarray(first + first * rest + rest * (rest + 1) // 2)

    right = entries(2)
    mistakes = {"X and y have columns too": entries(0), "the diagonal counts too": right - 132}
    return Solution(right, mistakes)


@cache
def _growth() -> Fit:
    """Fit a random intercept by ML to the 100,000 heights that chapter 7 simulates."""
    children = 10_000
    rng = np.random.default_rng(7)
    child = np.repeat(np.arange(children), 10)
    age = np.tile(np.arange(6.0, 16.0), children) - 10.0
    b = rng.multivariate_normal([0, 0], [[25.0, 1.2], [1.2, 0.36]], size=children)[child]
    e = rng.normal(0, 1.2, size=len(child))
    height = (138 + b[:, 0]) + (6 + b[:, 1]) * age + e
    return lmm(height, linear(age=age), group(child=child), method="ML")


@exercise("7.2", "An engine in thirty lines", points=3)
def _thirty_lines() -> Solution:
    """Two numbers: theta, sigma in cm."""
    fit = _growth()
    mistakes = {"theta is tau divided by sigma": [fit.theta[0] * fit.sigma, fit.sigma]}
    return Solution([fit.theta[0], fit.sigma], mistakes)


@exercise("7.3", "Squares equal degrees of freedom", points=3)
def _squares() -> Solution:
    """One ratio."""
    rows = sleep_rows()
    thetas = [fit_intercepts(rows, "ML").theta, fit_intercepts(rows, "REML").theta]
    s, s_reml = (shrinkage_factor([10], theta)[0] for theta in thetas)
    mistakes = {
        "this is 1 - s, the part that is lost": 1 - s,
        "divide by the number of groups": 18 * s,
        "this is the ratio at the REML estimate": s_reml,
    }
    return Solution(s, mistakes)


@exercise("7.4", "In pieces, and merged", points=3, digits=7)
def _merged() -> Solution:
    """Two numbers: the sum of squares that was lost, the number of rows that were lost."""
    ratings = load_insteval()
    keys = np.column_stack([ratings.d, ratings.dept.astype(int), ratings.service])
    _, cell, size = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    cell = cell.ravel()
    means = np.bincount(cell, ratings.y) / size
    within = float(np.sum((ratings.y - means[cell]) ** 2))
    n, cells = len(ratings), len(size)
    mistakes = {
        "the second number is that of all rows, and some are still there": [within, n],
        "the second number is that of the rows that are left": [within, cells],
        "this is the sum of squares about the overall mean": [n * ratings.y.var(), n - cells],
    }
    return Solution([within, n - cells], mistakes)


@exercise("7.5", "The slope at a singular theta", points=2, digits=3)
def _singular() -> Solution:
    """One second derivative."""
    # the 60 ratings of the chapter, with its six parameters
    rng = np.random.default_rng(1)
    student = np.repeat(np.arange(20), 3)
    lecturer = np.concatenate([rng.permutation(5)[:3] for _ in range(20)])
    y = rng.normal(size=20)[student] + rng.normal(size=5)[lecturer] + rng.normal(size=60)
    x = rng.normal(size=60)
    X = np.column_stack([np.ones(60), x])
    Z = np.hstack([intercept_slope_columns(factor, x)[0] for factor in (student, lecturer)])

    def rise(criterion: Callable[..., float]) -> float:
        """Of a criterion, from zero to h in the slope's diagonal entry of the students' T."""
        T_lecturers = np.kron(np.eye(5), [[1.2, 0.0], [0.4, 0.7]])
        at_zero, at_h = (
            block_diag(np.kron(np.eye(20), [[0.9, 0.0], [-0.3, last]]), T_lecturers)
            for last in (0.0, h)
        )
        return criterion(at_h, y, X, Z) - criterion(at_zero, y, X, Z)

    h = 0.01
    mistakes = {
        "this is the difference of the two values": rise(profiled_deviance),
        "this is a slope: divide by h squared": rise(profiled_deviance) / h,
        "this is that of the REML criterion": 2 * rise(restricted_deviance) / h**2,
    }
    return Solution(2 * rise(profiled_deviance) / h**2, mistakes)


@exercise("7.6", "Departments that never meet", points=2)
def _departments() -> Solution:
    """Two counts of multiplications: of the dense factorization, by departments."""
    dense, parts = 560**3 / 3, 14 * 40**3 / 3
    mistakes = {
        "a factorization takes a third of the cube": [3 * dense, 3 * parts],
        "there are 14 departments": [dense, parts / 14],
        "these are entries, not multiplications": [560 * 561 / 2, 14 * 40 * 41 / 2],
    }
    return Solution([dense, parts], mistakes)
