"""Families: densities against scipy.stats, derivatives against differences; in models too."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.testing import assert_allclose
from numpy.typing import NDArray

import mixedsmooth as ms
from mixedsmooth.model import families, laplace, problem
from mixedsmooth.model.families import (
    Bernoulli,
    Binomial,
    Family,
    Gamma,
    InverseGaussian,
    NegativeBinomial,
    Poisson,
)
from mixedsmooth.model.optimize import MarginalDeviance
from mixedsmooth.model.terms import Term

FloatArray = NDArray[np.float64]

N = 120
TRIALS = np.tile([1.0, 4.0, 9.0], N // 3)
FAMILIES: dict[str, Family] = {
    "poisson": Poisson(),
    "nb": NegativeBinomial(1.7),
    "nb, large size": NegativeBinomial(2e4),
    "bernoulli": Bernoulli(np.ones(N)),
    "binomial": Binomial(TRIALS),
    "probit": Binomial(TRIALS, "probit"),
    "cloglog": Binomial(TRIALS, "cloglog"),
    "gamma": Gamma(3.0),
    "gamma, large shape": Gamma(400.0),
    "gamma inverse": Gamma(3.0, "inverse"),
    "ig": InverseGaussian(3.0),
    "ig inverse": InverseGaussian(3.0, "inverse"),
}


def drawn(family: Family, eta: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draw responses."""
    mean = family.mean(eta)
    draws: dict[str, Callable[[], Any]] = {
        "poisson": lambda: rng.poisson(mean),
        "negative-binomial": lambda: rng.poisson(mean * rng.gamma(2.0, 0.5, len(mean))),
        "bernoulli": lambda: rng.binomial(1, mean),
        "binomial": lambda: rng.binomial(TRIALS.astype(int), mean),
        "gamma": lambda: mean * rng.gamma(3.0, 1 / 3, len(mean)),
        "inverse-gaussian": lambda: rng.wald(mean, 3.0),
    }
    return np.asarray(draws[family.name](), dtype=float)


def exact(family: Any, y: FloatArray, eta: FloatArray) -> FloatArray:
    """Log-density by scipy.stats, in its own parameters."""
    mean = family.mean(eta)
    if family.name == "poisson":
        logs = scipy.stats.poisson.logpmf(y, mean)
    elif family.name == "negative-binomial":
        logs = scipy.stats.nbinom.logpmf(y, family.size, family.size / (family.size + mean))
    elif family.name == "gamma":
        logs = scipy.stats.gamma.logpdf(y, family.shape, scale=mean / family.shape)
    elif family.name == "inverse-gaussian":
        logs = scipy.stats.invgauss.logpdf(y, mean / family.shape, scale=family.shape)
    else:
        logs = scipy.stats.binom.logpmf(y, family.trials, mean)
    return np.asarray(logs)


def rows_of(family: Family) -> tuple[FloatArray, FloatArray]:
    """Responses and linear predictors over a wide range."""
    eta = np.linspace(0.2, 6, N) if family.link == "inverse" else np.linspace(-5, 5, N)
    if family.link == "cloglog":
        eta = np.linspace(-8, 2, N)  # above, failures have a density of zero
    return drawn(family, eta[::-1], np.random.default_rng(3)), eta


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("rows", [families.ROWS, 17])  # 17: seven chunks, and one row over
def test_densities_are_those_of_scipy(
    name: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(families, "ROWS", rows)
    family = FAMILIES[name]
    y, eta = rows_of(family)
    found = family.moments(y, eta).log_density + family.constants(y)
    # what scipy is given has fewer digits: differences of log-gammas of 2e4, 1 - p for p near 1
    few = "large" in name or family.link == "probit"
    assert_allclose(found, exact(family, y, eta), rtol=1e-8 if few else 1e-11)


@pytest.mark.parametrize("name", FAMILIES)
def test_derivatives_by_eta(name: str) -> None:
    family = FAMILIES[name]
    y, eta = rows_of(family)
    h = 1e-5
    here, up, down = (family.moments(y, at) for at in (eta, eta + h, eta - h))
    scale = np.maximum(1.0, np.abs(here.log_density) * 1e-11 / h)  # of the rounding of differences
    for of, by in (("log_density", "score"), ("score", "weight"), ("weight", "slope")):
        sign = -1 if by == "weight" else 1
        numeric = sign * (getattr(up, of) - getattr(down, of)) / (2 * h)
        assert np.all(np.abs(numeric - getattr(here, by)) <= 1e-6 * (scale + np.abs(numeric))), by


@pytest.mark.parametrize("name", FAMILIES)
def test_expected_information_is_the_mean_of_the_observed(name: str) -> None:
    family = FAMILIES[name]
    if isinstance(family, Binomial):
        family = replace(family, trials=np.full(N, 3.0), **({"link": family.link}))
    eta = np.linspace(0.4, 2.0, 5) if family.link == "inverse" else np.linspace(-1.5, 1.0, 5)
    for at in eta:
        column = np.full(N, at)
        mean = float(np.max(family.mean(column[:1])))
        if family.name in ("gamma", "inverse-gaussian"):
            # Gauss-Legendre over the probabilities
            node, share = np.polynomial.legendre.leggauss(400)
            p, share = (node + 1) / 2, share / 2
            law = (
                scipy.stats.gamma(family.shape, scale=mean / family.shape)  # type: ignore[attr-defined]
                if family.name == "gamma"
                else scipy.stats.invgauss(mean / family.shape, scale=family.shape)  # type: ignore[attr-defined]
            )
            y = law.ppf(p)
        else:
            y = np.arange(4.0 if isinstance(family, Binomial) else 400.0)
            if isinstance(family, Binomial):
                family = replace(family, trials=np.full(4, 3.0))
            share = np.exp(exact(family, y, np.full(len(y), at)))
        moments = family.moments(y, np.full(len(y), at))
        assert_allclose(share @ moments.weight, moments.expected[0], rtol=1e-4)
        assert_allclose(share @ moments.score**2, moments.expected[0], rtol=2e-3)
        assert_allclose(share @ moments.score, 0, atol=2e-4 * moments.expected[0])


@pytest.mark.parametrize("name", [name for name, f in FAMILIES.items() if f.parameter])
@pytest.mark.parametrize("value", [0.3, 3.0, 99.0, 101.0, 1e5])
def test_derivatives_by_the_parameter(name: str, value: float) -> None:
    family = FAMILIES[name]
    y, eta = rows_of(family)
    h = 1e-4
    at = [family.at(np.log([value]) + step) for step in (0.0, h, -h)]
    (found,) = at[0].sensitivities(y, eta)
    whole = [f.moments(y, eta).log_density + f.constants(y) for f in at]
    assert_allclose(found.log_density, (whole[1] - whole[2]) / (2 * h), rtol=1e-6, atol=1e-7)
    for of in ("score", "weight"):
        ends = [getattr(f.moments(y, eta), of) for f in at[1:]]
        assert_allclose(getattr(found, of), (ends[0] - ends[1]) / (2 * h), rtol=1e-6, atol=1e-7)


def test_series_meet_the_functions_they_replace() -> None:
    y = np.arange(30.0)
    mu = np.full(30, 2.5)
    below, above = (NegativeBinomial(size) for size in (100 * (1 - 1e-13), 100.0))
    assert_allclose(below.constants(y), above.constants(y), rtol=1e-11, atol=1e-11)
    slopes = [f.sensitivities(y, np.log(mu))[0].log_density for f in (below, above)]
    assert_allclose(slopes[0], slopes[1], rtol=1e-9, atol=1e-10)
    below_, above_ = (Gamma(shape) for shape in (100 * (1 - 1e-13), 100.0))
    assert_allclose(below_.constants(y + 1), above_.constants(y + 1), atol=1e-12)
    slopes = [f.sensitivities(y + 1, np.log(y + 1))[0].log_density for f in (below_, above_)]
    assert_allclose(slopes[0], slopes[1], rtol=1e-9)


def test_a_large_size_is_nearly_poisson() -> None:
    y, eta = rows_of(Poisson())
    counts, poisson = NegativeBinomial(1e12), Poisson()
    assert_allclose(
        counts.moments(y, eta).log_density + counts.constants(y),
        poisson.moments(y, eta).log_density + poisson.constants(y),
        atol=1e-6,  # the difference is about mu^2 / size
    )
    for found, wanted in zip(
        NegativeBinomial(np.inf).moments(y, eta), poisson.moments(y, eta), strict=True
    ):
        assert_allclose(found, wanted, rtol=0)


def test_probabilities_keep_their_digits() -> None:
    eta, y = np.array([-40.0, 40.0]), np.array([0.0, 1.0])
    moments = Binomial(np.ones(2)).moments(y, eta)
    assert_allclose(moments.score[0], -np.exp(-40), rtol=1e-14)
    assert_allclose(moments.weight, np.exp(-40), rtol=1e-14)
    assert_allclose(moments.log_density, -np.exp(-40), atol=1e-16)
    far = Binomial(np.ones(2), "probit").moments(np.array([1.0, 0.0]), np.array([-30.0, 30.0]))
    # log Phi(-30), by mpmath 1.3 with 40 digits
    assert_allclose(far.log_density, -454.3212439563432, rtol=1e-14)
    early = Binomial(np.ones(1), "cloglog").moments(np.ones(1), np.array([-30.0]))
    assert_allclose(early.log_density, -30 - np.exp(-30) / 2, rtol=1e-15)
    assert_allclose(early.weight, np.exp(-30) / 2, rtol=1e-9)  # q t / 2 with q = 1


def test_outside_the_domain_there_is_no_density() -> None:
    for family in (Gamma(2.0, "inverse"), InverseGaussian(2.0, "inverse")):
        moments = family.moments(np.ones(2), np.array([-0.5, 0.5]))
        assert moments.log_density[0] == -np.inf
        assert np.isfinite(moments.log_density[1])
        with pytest.raises(ValueError, match=r"is -0\.5 in row 0, and its inverse is no mean"):
            family.mean(np.array([-0.5, 0.5]))


def test_where_a_response_ends() -> None:
    y = np.array([0.0, 1.0, 4.0, 9.0])
    for family in (Poisson(), NegativeBinomial()):
        low, high = family.ends(y)
        assert low.tolist() == [True, False, False, False]
        assert not high.any()  # a count has no largest value
    low, high = Binomial(np.array([4.0, 4.0, 4.0, 9.0])).ends(y)
    assert low.tolist() == [True, False, False, False]
    assert high.tolist() == [False, False, True, True]
    assert not np.any(Gamma().ends(y[1:]))


# ---- in models: the gradient in all parameters ----


def terms_of(name: str) -> tuple[Term, ...]:
    """Return terms of some structure."""
    rng = np.random.default_rng(6)
    a, b, x = rng.integers(0, 14, N), rng.integers(0, 9, N), rng.random(N)
    structures: dict[str, tuple[Term, ...]] = {
        "none": (ms.linear(x=x),),
        "intercept": (ms.linear(x=x), ms.group(a=a)),
        "slope alone": (ms.linear(x=x), ms.group(a=a, x=x, intercept=False)),
        "crossed": (ms.linear(x=x), ms.group(a=a, x=x), ms.group(b=b)),
        "smooth and groups": (ms.smooth(x=x, k=6), ms.group(a=a, x=x)),
    }
    return structures[name]


def gradients(name: str, structure: str, nodes: int, weighted: bool) -> tuple[Any, Any]:
    """Gradient by the formula and by central differences, at some parameters."""
    rng = np.random.default_rng(7)
    family = FAMILIES[name]
    inverse = family.link == "inverse"
    eta = (2.0 if inverse else 0.0) + 0.3 * rng.normal(size=N)
    y = drawn(family, eta, rng)
    inner = problem.standardize(problem.model_of(y, terms_of(structure), None, 1.0))
    weights: FloatArray | float = rng.integers(1, 4, N).astype(float) if weighted else 1.0
    offset = 0.2 * rng.normal(size=N)
    data = laplace.Response(y, family, offset, weights, inner.X, inner.factors, inner.engine)
    k = sum(covariance.size for covariance in data.covariances)
    beta = np.array(0.2 * rng.normal(size=data.X.shape[1]))
    beta[0] += 2.0 if inverse else 0.0
    theta = np.array(rng.random(k))
    theta = 0.05 + 0.1 * theta if inverse else 0.3 + 0.5 * theta
    at = np.concatenate([theta, family.log_parameters + 0.1, beta])
    start = np.full(N, 2.0) if inverse else family.start(y)
    deviance = MarginalDeviance(data, nodes, laplace.anchor(data, start), None)
    zero, unit = np.zeros(len(at)), np.eye(len(at))
    value, formula = deviance.value_and_slope(zero, at, unit)
    assert_allclose(value, deviance.value(at), rtol=1e-13)
    h = 1e-4
    d = [np.array([deviance.value(at + j * s) for s in h * unit]) for j in (-2, -1, 1, 2)]
    return formula, (d[0] - 8 * d[1] + 8 * d[2] - d[3]) / (12 * h)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("structure", ["none", "intercept", "crossed", "smooth and groups"])
@pytest.mark.parametrize("name", FAMILIES)
def test_laplace_gradient(name: str, structure: str, weighted: bool) -> None:
    formula, numeric = gradients(name, structure, 1, weighted)
    assert_allclose(formula, numeric, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("nodes", [2, 7])
@pytest.mark.parametrize("structure", ["intercept", "slope alone"])
@pytest.mark.parametrize("name", FAMILIES)
def test_quadrature_gradient(name: str, structure: str, nodes: int, weighted: bool) -> None:
    formula, numeric = gradients(name, structure, nodes, weighted)
    assert_allclose(formula, numeric, rtol=1e-6, atol=1e-5)
