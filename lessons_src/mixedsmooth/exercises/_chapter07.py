"""Answers to the exercises of chapter 7."""

from functools import cache

import numpy as np

from mixedsmooth.datasets import load_insteval
from mixedsmooth.derivations.henderson import shrinkage_factor
from mixedsmooth.exercises._common import fit_intercepts, sleep_rows
from mixedsmooth.exercises._registry import Solution, exercise
from mixedsmooth.model import blocked
from mixedsmooth.model.fit import Fit, Method
from mixedsmooth.model.lmm import lmm
from mixedsmooth.model.terms import group, linear


@exercise(
    "7.1",
    "Fill-in by counting",
    "two counts for c = 30: students first, lecturers first",
    points=2,
    digits=7,
)
def _fill_in() -> Solution:
    def entries(first: int, second: int, last: int = 2) -> int:
        """Diagonal of the first, strip below it, and the full corner."""
        rest = second + last
        return first + first * rest + rest * (rest + 1) // 2

    return Solution(
        [entries(100, 30), entries(30, 100)],
        {
            "X and y have columns too": [entries(100, 30, 0), entries(30, 100, 0)],
            "the diagonal counts too": [entries(100, 30) - 132, entries(30, 100) - 132],
        },
    )


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


@exercise(
    "7.2",
    "An engine in thirty lines",
    "two numbers: theta, sigma in cm",
    points=3,
)
def _thirty_lines() -> Solution:
    fit = _growth()
    return Solution(
        [fit.theta[0], fit.sigma],
        {"theta is tau divided by sigma": [fit.theta[0] * fit.sigma, fit.sigma]},
    )


@exercise("7.3", "Squares equal degrees of freedom", "one ratio", points=3)
def _squares() -> Solution:
    def shrinkage(method: Method) -> float:
        return float(shrinkage_factor([10], fit_intercepts(sleep_rows(), method).theta)[0])

    s = shrinkage("ML")
    return Solution(
        s,
        {
            "this is 1 - s, the part that is lost": 1 - s,
            "divide by the number of groups": 18 * s,
            "this is the ratio at the REML estimate": shrinkage("REML"),
        },
    )


@exercise(
    "7.4",
    "In pieces, and merged",
    "two numbers: the sum of squares that was lost, the number of rows that were lost",
    points=3,
    digits=7,
)
def _merged() -> Solution:
    ratings = load_insteval()
    keys = np.column_stack([ratings.d, ratings.dept.astype(int), ratings.service])
    _, cell, size = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
    cell = cell.ravel()
    means = np.bincount(cell, ratings.y) / size
    within = float(np.sum((ratings.y - means[cell]) ** 2))
    n, cells = len(ratings), len(size)
    return Solution(
        [within, n - cells],
        {
            "the second number is that of all rows, and some are still there": [within, n],
            "the second number is that of the rows that are left": [within, cells],
            "this is the sum of squares about the overall mean": [
                np.sum((ratings.y - ratings.y.mean()) ** 2),
                n - cells,
            ],
        },
    )


@exercise("7.5", "The slope at a singular theta", "one second derivative", points=2, digits=3)
def _singular() -> Solution:
    # the 60 ratings of the chapter, with its six parameters
    rng = np.random.default_rng(1)
    student = np.repeat(np.arange(20), 3)
    lecturer = np.concatenate([rng.permutation(5)[:3] for _ in range(20)])
    y = rng.normal(size=20)[student] + rng.normal(size=5)[lecturer] + rng.normal(size=60)
    both = (np.ones(60), rng.normal(size=60))
    factors = [blocked.Factor(student, 20, both, True), blocked.Factor(lecturer, 5, both, True)]
    A = blocked.cross_products(factors, np.column_stack(both), y, None)

    def d(last: float, reml: bool = False) -> float:
        theta = np.array([0.9, -0.3, last, 1.2, 0.4, 0.7])
        return blocked.deviance(A, blocked.factorize(A, blocked.unpack(theta, A.factors)), reml)

    h = 0.01
    return Solution(
        2 * (d(h) - d(0)) / h**2,
        {
            "this is the difference of the two values": d(h) - d(0),
            "this is a slope: divide by h squared": (d(h) - d(0)) / h,
            "this is that of the REML criterion": 2 * (d(h, True) - d(0, True)) / h**2,
        },
    )


@exercise(
    "7.6",
    "Departments that never meet",
    "two counts of multiplications: of the dense factorization, by departments",
    points=2,
)
def _departments() -> Solution:
    dense, parts = 560**3 / 3, 14 * 40**3 / 3
    return Solution(
        [dense, parts],
        {
            "a factorization takes a third of the cube": [3 * dense, 3 * parts],
            "there are 14 departments": [dense, parts / 14],
            "these are entries, not multiplications": [560 * 561 / 2, 14 * 40 * 41 / 2],
        },
    )
