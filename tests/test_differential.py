"""The library beside the formulas of a textbook, on the examples and on 200 random designs."""

from typing import get_args

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from tests.models import Example, Grouping, Method, every_example

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

by_both = pytest.mark.parametrize("method", get_args(Method))


def assert_is_dense(example: Example, method: Method) -> None:
    """Compare a fit with the n x n formulas at its theta."""
    fit = example.fit(method)
    dense = example.dense(fit.theta, method)
    assert abs(fit.criterion - dense.criterion) <= 1e-10 * max(1.0, abs(dense.criterion))
    assert_allclose(fit.sigma, dense.sigma, rtol=1e-8)
    se = np.sqrt(np.diag(dense.cov_beta))
    assert len(fit.beta) == len(se)
    # the sign of the straight line of a smooth is free, so of its coefficient too
    p = 1 + len(example.fixed)
    assert_allclose((fit.beta - dense.beta)[:p] / se[:p], 0, atol=1e-6)
    assert_allclose(fit.se, se, rtol=1e-6)
    scale = dense.sigma / np.sqrt(1.0 if example.weights is None else example.weights)
    curves = example.X @ dense.beta + example.Z @ dense.b
    assert_allclose((fit.fitted - curves) / scale, 0, atol=1e-6)
    wanted = example.effects(dense.b)
    for term, found, T, block in zip(
        fit.random.values(), wanted, example.factors(fit.theta), example.blocks, strict=True
    ):
        assert_allclose(term.cov, dense.sigma**2 * T @ T.T, rtol=1e-8, atol=0)
        if block.kind != "scalar":  # the coefficients of a curve may be in another order
            unit = dense.sigma / np.sqrt(np.mean(block.columns**2, axis=0))
            assert_allclose((term.effects - found) / unit, 0, atol=1e-6)


@by_both
@every_example
def test_an_example_is_the_dense_formula(example: Example, method: Method) -> None:
    assert_is_dense(example, method)


@every_example
def test_an_example_is_singular_where_it_says_so(example: Example) -> None:
    assert example.fit().on_boundary == ("singular" in example.covers)


# ---- random designs ----


def random_design(seed: int) -> Example:
    """Make a model of one to three factors, nested or crossed, in units from 1e-8 to 1e8."""
    rng = np.random.default_rng([20150507, seed])
    n = int(rng.integers(25, 120))

    def unit() -> float:
        return float(10.0 ** rng.uniform(-8, 8))

    fixed = {f"x{j}": rng.standard_normal(n) for j in range(rng.integers(0, 4))}
    random: list[Grouping] = []
    effects = np.zeros(n)
    codes = np.zeros(n, dtype=np.intp)
    nested = rng.random() < 0.4
    for j in range(rng.integers(1, 4)):
        finer = codes * 3 if nested else 0
        size = 3 if nested and j else int(rng.integers(2, 9))
        codes = coded(finer + rng.integers(0, size, n))
        room = n // 2 // (codes.max() + 1)  # for effects of a level
        names = [name for name in fixed if rng.random() < 0.4][: max(room - 1, 0)]
        if codes.max() == 0 or room == 0:
            break
        intercept = not names or rng.random() < 0.8
        grouping = Grouping(
            f"g{j}",
            codes,
            {name: fixed[name] for name in names},
            intercept=intercept,
            correlated=bool(rng.random() < 0.6),
        )
        (block,) = grouping.blocks
        size_of_effects = rng.choice([0.0, 0.3, 1.0, 5.0])  # zero: the fit may be singular
        b = size_of_effects * rng.standard_normal((block.levels, block.effects))
        effects += np.sum(block.columns * b[codes], axis=1)
        random.append(grouping)
    y = effects + rng.standard_normal(n) + sum(fixed.values())
    # the units of the columns, and an origin that is not zero
    units = {name: unit() for name in fixed}
    origins = {name: rng.choice([0.0, 3.0, -30.0]) for name in fixed}
    moved = {name: units[name] * (fixed[name] + origins[name]) for name in fixed}
    scaled = [
        Grouping(g.name, g.codes, {s: moved[s] for s in g.slopes}, g.intercept, g.correlated)
        for g in random
    ]
    weights = rng.uniform(0.1, 10.0, n) * unit() if rng.random() < 0.3 else None
    y = unit() * (y + rng.choice([0.0, 100.0]))
    return Example(f"random {seed}", y, scaled, moved, weights)


def coded(codes: IntArray) -> IntArray:
    """Return codes of the levels that occur, from 0."""
    return np.unique(codes, return_inverse=True)[1].astype(np.intp)


@pytest.mark.parametrize("seed", range(200))
def test_a_random_design_is_the_dense_formula(seed: int) -> None:
    example = random_design(seed)
    for method in get_args(Method):
        assert_is_dense(example, method)
