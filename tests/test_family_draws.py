"""Families: what they draw, and their distribution functions, against scipy.stats."""

from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

from mixedsmooth.model.families import (
    Bernoulli,
    Binomial,
    Family,
    Gamma,
    InverseGaussian,
    NegativeBinomial,
    Poisson,
)

FloatArray = NDArray[np.float64]
TRIALS = np.array([1.0, 3.0, 10.0])
FAMILIES: dict[str, Family] = {
    "poisson": Poisson(),
    "nb": NegativeBinomial(1.7),
    "nb, infinite size": NegativeBinomial(np.inf),
    "bernoulli": Bernoulli(np.ones(3)),
    "logit": Binomial(TRIALS),
    "probit": Binomial(TRIALS, "probit"),
    "cloglog": Binomial(TRIALS, "cloglog"),
    "gamma": Gamma(3.0),
    "gamma inverse": Gamma(3.0, "inverse"),
    "ig": InverseGaussian(3.0),
    "ig inverse": InverseGaussian(3.0, "inverse"),
}
ETA = np.array([0.2, 0.7, 1.4])


def of_scipy(family: Family, eta: FloatArray) -> Any:
    """Return the distribution that scipy has for the same mean."""
    log = np.exp(eta) if family.link == "log" else 1 / eta
    if isinstance(family, NegativeBinomial) and np.isfinite(family.size):
        return scipy.stats.nbinom(family.size, family.size / (family.size + log))
    if isinstance(family, Poisson):
        return scipy.stats.poisson(log)
    if isinstance(family, Binomial):
        probability = {
            "logit": scipy.special.expit,
            "probit": scipy.stats.norm.cdf,
            "cloglog": lambda t: 1 - np.exp(-np.exp(t)),
        }[family.link](eta)
        return scipy.stats.binom(family.trials, probability)
    if isinstance(family, Gamma):
        return scipy.stats.gamma(family.shape, scale=log / family.shape)
    assert isinstance(family, InverseGaussian)
    return scipy.stats.invgauss(log / family.shape, scale=family.shape)


@pytest.mark.parametrize("name", FAMILIES)
def test_distribution_function_is_that_of_scipy(name: str) -> None:
    family = FAMILIES[name]
    ends = [-3.0, -0.5, 0.0, 0.3, 1.0, 1.5, 2.0, 3.0, 9.0, 10.0, 11.0, 40.0]
    y = np.array(ends)[:, None] * np.ones(3)
    # double precision on both sides, so all but a few of the last digits
    assert_allclose(family.cdf(y, ETA), of_scipy(family, ETA).cdf(y), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("name", FAMILIES)
def test_draws_have_the_distribution(name: str) -> None:
    family, R = FAMILIES[name], 4_000
    rng = np.random.default_rng(5)
    y = np.array([family.draw(rng, ETA) for _ in range(R)])
    assert y.dtype == np.float64
    theirs = of_scipy(family, ETA)
    # means and variances within 4.5 standard errors; the fourth moment is taken from the draws
    assert np.all(np.abs(y.mean(0) - theirs.mean()) < 4.5 * y.std(0) / np.sqrt(R))
    squares = (y - theirs.mean()) ** 2
    assert np.all(np.abs(squares.mean(0) - theirs.var()) < 4.5 * squares.std(0) / np.sqrt(R))
    assert family.discrete == bool(np.all(y == np.round(y)))
    for row in range(3):  # and the distribution function, by the largest distance
        values = np.unique(y[:, row])
        share = np.mean(y[:, row] <= values[:, None], axis=1)
        exact = family.cdf(values[:, None] * np.ones(3), ETA)[:, row]
        assert np.abs(share - exact).max() < 2.1 / np.sqrt(R)  # Kolmogorov: p = 0.0003


def test_draws_are_those_of_the_generator() -> None:
    for family in FAMILIES.values():
        one, again, other = (family.draw(np.random.default_rng(s), ETA) for s in (1, 1, 2))
        assert_array_equal(one, again)
        assert not np.array_equal(one, other) or isinstance(family, Bernoulli)


def test_tails_far_out() -> None:
    # exp(2 shape / mu) overflows where its tail underflows
    steep = InverseGaussian(2_000.0)
    exact = scipy.stats.norm.cdf(np.sqrt(2_000.0) * np.array([-0.02, 0.02]))
    found = steep.cdf(np.array([0.98, 1.02]), np.zeros(2))
    assert_allclose(found, exact, rtol=0.02)
    # and where it is nearly normal, exponents of 1e18 would leave no digits of their difference
    narrow = InverseGaussian(1e18).cdf(1 + np.array([-1e-9, 0.0, 1e-9]), np.zeros(3))
    assert_allclose(narrow, scipy.stats.norm.cdf([-1, 0, 1]), atol=1e-6)
    far = InverseGaussian(2.0).cdf(np.array([1e50, 1e50]), np.array([-600.0, 600.0]))
    assert_allclose(far, [1.0, 1.0])  # 2 Phi(-sqrt(shape / y)) if the mean is infinite
    with pytest.raises(ValueError, match="linear predictor is -1"):
        Gamma(1.0, "inverse").draw(np.random.default_rng(0), np.array([-1.0]))
