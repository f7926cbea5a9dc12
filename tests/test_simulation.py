"""Simulation from a fit: its moments, its seeds, every kind of model; and quantile residuals."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

import mixedsmooth as ms
from mixedsmooth.inference.simulation import generator

FloatArray = NDArray[np.float64]

SLEEP = ms.load_sleepstudy()
EPIL = ms.load_epil()
PASTES = ms.load_pastes()
MODELS = (
    "slopes",
    "weights and offset",
    "uncorrelated",
    "crossed",
    "smooth and group",
    "no effects",
    "GCV",
)
GENERALIZED = (
    "poisson",
    "nb",
    "binomial",
    "bernoulli",
    "agq",
    "gamma",
    "gamma by PQL",
    "ig",
)


def sleep_fit(**options: Any) -> ms.Fit:
    subject = ms.group(subject=SLEEP.subject, days=SLEEP.days)
    return ms.lmm(SLEEP.reaction, ms.linear(days=SLEEP.days), subject, **options)


def covariance_of(fit: ms.Fit) -> FloatArray:
    """V, from what the fit reports of its groups, one row and column at a time."""
    w = np.ones(fit.n) if fit.model.weights is None else fit.model.weights
    V = np.diag(fit.sigma**2 / w)
    for g, random in zip(fit.model.groups, fit.random.values(), strict=True):
        if not g.is_smooth:
            z, codes = np.column_stack(g.columns(g.frame)), g.codes(g.frame)
            V += (codes[:, None] == codes) * (z @ random.cov @ z.T)
    return V


@cache
def models() -> dict[str, ms.Fit]:
    rng = np.random.default_rng(3)
    weights, offset = rng.uniform(0.5, 4, 180), SLEEP.days**1.5
    curve = ms.smooth(days=SLEEP.days, basis="cr", k=6)
    wavy = SLEEP.reaction + 60 * np.sin(SLEEP.days)
    return {
        "slopes": sleep_fit(),
        "weights and offset": sleep_fit(weights=weights, offset=offset, sigma=30.0),
        "uncorrelated": ms.lmm(
            SLEEP.reaction,
            ms.linear(days=SLEEP.days),
            ms.group(subject=SLEEP.subject, days=SLEEP.days, correlated=False),
        ),
        "crossed": ms.lmm(PASTES.strength, ms.group(batch=PASTES.batch), ms.group(c=PASTES.cask)),
        "smooth and group": ms.lmm(wavy, curve, ms.group(subject=SLEEP.subject)),
        "no effects": ms.lmm(SLEEP.reaction, ms.linear(days=SLEEP.days)),
        "GCV": ms.lmm(wavy, curve, method="GCV"),
    }


@pytest.mark.parametrize("name", MODELS)
def test_mean_and_covariance_are_those_of_the_model(name: str) -> None:
    fit, R = models()[name], 3_000
    y = fit.simulate(R, seed=11)
    V = covariance_of(fit)
    names = {column: getattr(SLEEP, column) for column in ("days", "subject")}
    if name == "crossed":
        names = {"batch": PASTES.batch, "c": PASTES.cask}
    given: dict[str, Any] = {} if fit.offset is None else {"offset": fit.offset}
    mean = fit.predict(names, effects=False, **given)
    # standard scores of the means, and of some random combinations of the rows, whose sum of
    # squares is chi-square with R degrees of freedom: 4.5 standard errors
    assert np.abs((y.mean(0) - mean) / np.sqrt(np.diag(V) / R)).max() < 4.5
    a = np.random.default_rng(0).standard_normal((fit.n, 20))
    squares = (((y - mean) @ a) ** 2).sum(0) / np.einsum("is,ij,js->s", a, V, a)
    assert np.abs(squares - R).max() < 4.5 * np.sqrt(2 * R)
    # and of two rows of one group, and of two of different ones: their covariance
    i, j, k = 0, 3, fit.n - 1
    centered = y - mean
    for one, other in ((i, j), (i, k)):
        error = np.sqrt((V[one, one] * V[other, other] + V[one, other] ** 2) / R)
        assert abs(np.mean(centered[:, one] * centered[:, other]) - V[one, other]) < 4.5 * error


def test_replicate_i_comes_from_child_i() -> None:
    fit = sleep_fit()
    children = np.random.SeedSequence(4).spawn(3)
    first = fit.simulate(3, seed=4)
    assert_array_equal(fit.simulate(1, seed=4), first[:1])
    assert not np.array_equal(fit.simulate(3, seed=5), first)
    assert not np.array_equal(fit.simulate(2), fit.simulate(2))
    rng, other = np.random.default_rng(children[2]), generator(4, 2)
    assert rng.random() == other.random()
    # by hand: effects level by level, then the errors
    z = np.random.default_rng(children[1]).standard_normal(18 * 2 + 180)
    (r,) = fit.random.values()
    b = z[:36].reshape(18, 2) @ np.linalg.cholesky(r.cov).T
    codes = fit.model.groups[0].codes(fit.model.groups[0].frame)
    mean = fit.beta[0] + b[codes, 0] + (fit.beta[1] + b[codes, 1]) * SLEEP.days
    assert_allclose(first[1], mean + fit.sigma * z[36:], rtol=1e-12)


def test_a_variance_of_zero_draws_no_effects() -> None:
    fit = ms.lmm(SLEEP.days, ms.group(subject=SLEEP.subject))  # all subjects have the same days
    assert fit.on_boundary
    y = fit.simulate(1, seed=0)[0]
    normal = generator(0, 0).standard_normal(18 + 180)[18:]
    assert_allclose(y, fit.beta[0] + fit.sigma * normal, rtol=1e-12)


@cache
def generalized() -> dict[str, ms.GeneralizedFit]:
    rng = np.random.default_rng(1)
    subject = ms.group(subject=EPIL.subject)
    size = np.exp(0.5 + 0.3 * rng.standard_normal(59)[np.repeat(np.arange(59), 4)])
    trials = np.tile([5, 12], 118)
    successes = rng.binomial(trials, 1 / (1 + size))
    positive = size * rng.gamma(5.0, 0.2, 236)
    return {
        "poisson": ms.glmm(EPIL.y, ms.linear(lbase=EPIL.lbase), subject, offset=0.5),
        "nb": ms.glmm(EPIL.y, subject, family="negative-binomial"),
        "binomial": ms.glmm(successes, subject, family="binomial", trials=trials),
        "bernoulli": ms.glmm(1.0 * (successes > 4), subject, family="bernoulli", link="probit"),
        "agq": ms.glmm(EPIL.y, subject, method="agq"),
        "gamma": ms.glmm(positive, subject, family="gamma"),
        "gamma by PQL": ms.glmm(positive, subject, family="gamma", method="pql"),
        "ig": ms.glmm(positive, subject, family="inverse-gaussian"),
    }


@pytest.mark.parametrize("name", GENERALIZED)
def test_generalized_means_are_those_of_the_model(name: str) -> None:
    fit, R = generalized()[name], 2_000
    y = fit.simulate(R, seed=2)
    fit.family.check(y[0])
    nodes, w = np.polynomial.hermite_e.hermegauss(60)
    tau = fit.random["subject"].sd[0]
    eta = np.column_stack([c for part in fit.model.fixed for c in part.columns(fit.model.frame)])
    eta = eta @ fit.beta + (0.0 if fit.offset is None else fit.offset)
    by_node = [fit.family.scale * fit.family.mean(eta + tau * node) for node in nodes]
    mean = np.array(by_node).T @ w / w.sum()
    # over all rows, whose groups are independent: by the standard error of replicate means
    scaled = (y - mean).mean(1)
    assert abs(scaled.mean()) < 4.5 * scaled.std() / np.sqrt(R)
    # rows of one subject vary together
    centered = y - mean
    pair = (centered[:, 0] * centered[:, 1]).mean()
    assert tau == 0 or pair > 0


@pytest.mark.parametrize("name", GENERALIZED)
def test_residuals_of_the_right_model_are_normal(name: str) -> None:
    fit = generalized()[name]
    # given the effects that were drawn, eta is known: put it beside the response it made
    y = fit.family.draw(np.random.default_rng(8), fit._linear_predictor)
    again = fit.with_response(y, theta=fit.theta)
    object.__setattr__(again, "estimates", fit.estimates)
    object.__setattr__(again, "family", fit.family)
    residuals = np.asarray(again.quantile_residuals(seed=3))
    assert scipy.stats.kstest(residuals, "norm").pvalue > 1e-3


def test_residuals_of_counts_by_hand() -> None:
    fit = generalized()["poisson"]
    mu = np.exp(fit.linear_predictor)
    u = np.asarray(scipy.stats.norm.cdf(fit.quantile_residuals(seed=9)))
    low, high = scipy.stats.poisson.cdf(EPIL.y - 1, mu), scipy.stats.poisson.cdf(EPIL.y, mu)
    assert np.all((u > low - 1e-9) & (u < high + 1e-9))
    assert_allclose((u - low) / (high - low), generator(9, 0).random(236), atol=1e-6)
    assert not np.array_equal(fit.quantile_residuals(), fit.quantile_residuals())


def test_residuals_far_out_are_finite() -> None:
    y = EPIL.y.copy()
    fit = ms.glmm(y, ms.linear(lbase=EPIL.lbase), ms.group(subject=EPIL.subject))
    y[7] = 900.0  # which no Poisson variable with the old mean would be
    far = fit.with_response(y, theta=fit.theta)
    object.__setattr__(far, "estimates", fit.estimates)
    residuals = np.asarray(far.quantile_residuals(seed=1))
    assert np.all(np.isfinite(residuals))
    assert 8 < residuals[7] < 9


def test_scaled_residuals_of_a_linear_model() -> None:
    w = np.random.default_rng(2).uniform(1, 3, 180)
    fit = sleep_fit(weights=w)
    scaled = fit.residuals / fit.sigma * np.sqrt(w)
    assert_allclose(fit.quantile_residuals(), scaled, rtol=1e-12)


def test_series_where_y_was_one() -> None:
    pd = pytest.importorskip("pandas")
    y = pd.Series(SLEEP.reaction, index=np.arange(180) + 1000)
    y.iloc[5] = np.nan
    fit = ms.lmm(y, ms.group(subject=SLEEP.subject), missing="drop")
    assert fit.simulate(2, seed=1).shape == (2, 179)
    residuals = fit.quantile_residuals()
    assert isinstance(residuals, pd.Series)
    assert 1005 not in residuals.index


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0,), "n must be a whole number of at least 1, found 0"),
        ((2.5,), "n must be a whole number"),
        ((2, -1), "seed must be a whole number of at least 0, found -1"),
        ((2, "x"), "seed must be a whole number"),
    ],
)
def test_wrong_arguments(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sleep_fit().simulate(*arguments)


def test_what_has_no_distribution_says_so() -> None:
    subject = ms.group(subject=EPIL.subject)
    quasi = ms.glmm(EPIL.y, subject, method="pql", dispersion=True)
    for wrong in (lambda: quasi.simulate(1), quasi.quantile_residuals):
        with pytest.raises(ValueError, match="residual scale of"):
            wrong()
    weighted = ms.glmm(EPIL.y, subject, weights=np.tile([1.0, 2.0], 118))
    with pytest.raises(ValueError, match="repeat the rows"):
        weighted.simulate(1)
