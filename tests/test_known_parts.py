"""Offsets, weights, callbacks, links, and models of which a part is missing: what must agree."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

import mixedsmooth as ms

FloatArray = NDArray[np.float64]

SLEEP = ms.load_sleepstudy()
EPIL = ms.load_epil()
LINE = ms.linear(days=SLEEP.days)
SUBJECTS = ms.group(subject=SLEEP.subject, days=SLEEP.days)
RNG = np.random.default_rng(11)
N = 160
X = RNG.normal(size=N)
G = np.repeat(np.arange(16), 10)
B = 0.4 * RNG.normal(size=16)[G]
ETA = 0.6 + 0.3 * X + B
EXPOSURE = 0.5 + RNG.random(N)

RESPONSES: dict[str, tuple[NDArray[Any], dict[str, Any]]] = {
    "poisson": (RNG.poisson(np.exp(ETA)).astype(float), {}),
    "negative-binomial": (
        RNG.poisson(np.exp(ETA) * RNG.gamma(1.5, 1 / 1.5, N)).astype(float),
        {},
    ),
    "binomial": (RNG.binomial(7, 0.4 + 0.2 * np.tanh(ETA)).astype(float), {"trials": 7}),
    "bernoulli": (1.0 * (RNG.random(N) < 0.4 + 0.2 * np.tanh(ETA)), {"link": "cloglog"}),
    "gamma": (np.exp(ETA) * RNG.gamma(4.0, 0.25, N), {}),
    "inverse-gaussian": (RNG.wald(np.exp(ETA), 5.0), {}),
}


def fitted(family: Any, rows: Any = slice(None), **options: Any) -> ms.GeneralizedFit:
    """Fit a line and groups to the data of a family."""
    y, arguments = RESPONSES[family]
    terms = ms.linear(x=X[rows]), ms.group(g=G[rows])
    return ms.glmm(y[rows], *terms, family=family, **(arguments | options))


def assert_same(found: ms.Fit, wanted: ms.Fit, rtol: float = 1e-6) -> None:
    assert_allclose(found.criterion, wanted.criterion, rtol=1e-10)
    assert_allclose(found.beta, wanted.beta, rtol=rtol, atol=rtol)
    assert_allclose(found.theta, wanted.theta, rtol=rtol, atol=rtol)
    assert_allclose(found.se, wanted.se, rtol=10 * rtol)


# ---- offsets ----


@pytest.mark.parametrize("method", ["REML", "ML"])
def test_an_offset_is_taken_out_of_y(method: Any) -> None:
    offset = 3.0 * SLEEP.days + 100
    found = ms.lmm(SLEEP.reaction, LINE, SUBJECTS, offset=offset, method=method)
    plain = ms.lmm(SLEEP.reaction - offset, LINE, SUBJECTS, method=method)
    assert_same(found, plain, rtol=1e-10)
    assert_allclose(found.fitted, plain.fitted + offset, rtol=1e-13)
    assert_allclose(found.residuals, plain.residuals, atol=1e-9)
    # a line is in X, so beta moves by it and all else stays
    without = ms.lmm(SLEEP.reaction, LINE, SUBJECTS, method=method)
    assert_allclose(found.beta + np.array([100, 3]), without.beta, rtol=1e-9)
    assert_allclose(found.sigma, without.sigma, rtol=1e-9)


def test_predictions_ask_for_the_offset() -> None:
    fit = ms.lmm(SLEEP.reaction, LINE, SUBJECTS, offset=SLEEP.days)
    data = {"days": SLEEP.days, "subject": SLEEP.subject}
    assert_allclose(fit.predict(data, offset=SLEEP.days), fit.fitted, rtol=1e-13)
    with pytest.raises(ValueError, match="the model has an offset; give that of the new rows"):
        fit.predict(data)
    with pytest.raises(ValueError, match="offset is given, and the model was fitted without"):
        ms.lmm(SLEEP.reaction, LINE, SUBJECTS).predict(data, offset=1.0)


def test_with_response_keeps_the_offset() -> None:
    fit = ms.lmm(SLEEP.reaction, LINE, SUBJECTS, offset=SLEEP.days)
    again = fit.with_response(SLEEP.reaction + 7)
    assert_allclose(again.beta - fit.beta, [7, 0], atol=1e-8)
    assert_allclose(again.refit("ML").criterion, fit.refit("ML").criterion, rtol=1e-12)


@pytest.mark.parametrize("family", ["poisson", "negative-binomial", "gamma", "inverse-gaussian"])
@pytest.mark.parametrize("method", ["laplace", "agq", "pql"])
def test_a_constant_offset_moves_the_intercept(family: str, method: str) -> None:
    if (family, method) == ("negative-binomial", "pql"):
        pytest.skip("PQL has no size")
    plain, moved = (fitted(family, method=method, offset=o) for o in (None, 0.7))
    assert_allclose(moved.beta + np.array([0.7, 0]), plain.beta, rtol=1e-5)
    assert_allclose(moved.theta, plain.theta, rtol=1e-4)
    if method != "pql":
        assert_allclose(moved.criterion, plain.criterion, rtol=1e-11)


# ---- weights ----


@pytest.mark.parametrize("family", RESPONSES)
@pytest.mark.parametrize("method", ["laplace", "agq"])
def test_a_weight_is_a_number_of_rows(family: str, method: str) -> None:
    copies = 1 + np.arange(N) % 3
    rows = np.repeat(np.arange(N), copies)
    weighted = fitted(family, method=method, weights=copies)
    repeated = fitted(family, rows=rows, method=method)
    assert_same(weighted, repeated, rtol=1e-5)
    assert_allclose(weighted.family.log_parameters, repeated.family.log_parameters, rtol=1e-5)
    assert_allclose(weighted.pearson[rows] / np.sqrt(copies[rows]), repeated.pearson, atol=1e-5)


@pytest.mark.parametrize("family", ["poisson", "bernoulli"])
def test_a_weight_is_a_number_of_rows_by_pql(family: str) -> None:
    copies = 1 + np.arange(N) % 3
    weighted = fitted(family, method="pql", weights=copies)
    repeated = fitted(family, rows=np.repeat(np.arange(N), copies), method="pql")
    assert_allclose(weighted.beta, repeated.beta, rtol=1e-6)
    assert_allclose(weighted.random["g"].sd, repeated.random["g"].sd, rtol=1e-5)


@pytest.mark.parametrize("family", RESPONSES)
def test_weights_of_one_change_nothing(family: str) -> None:
    assert_same(fitted(family, weights=np.ones(N)), fitted(family), rtol=1e-7)


# ---- callback and start ----


@pytest.mark.parametrize("family", ["poisson", "negative-binomial", "gamma"])
def test_a_callback_is_told(family: str) -> None:
    told: list[tuple[int, FloatArray, float]] = []
    fit = fitted(family, callback=lambda *now: told.append(now))
    numbers = [number for number, _, _ in told]
    assert numbers == sorted(set(numbers))
    assert_allclose(min(value for _, _, value in told), fit.criterion, rtol=1e-9)
    nearest = min(told, key=lambda now: now[2])
    assert_allclose(nearest[1], fit.theta, rtol=1e-2)
    assert_array_equal(fit.beta, fitted(family).beta)


def test_a_callback_ends_the_search_at_the_lowest_place() -> None:
    told: list[float] = []

    def stop(number: int, theta: FloatArray, value: float) -> bool:
        told.append(value)
        return len(told) == 4

    fit = fitted("negative-binomial", callback=stop)
    assert not fit.converged
    assert "stopped by the callback" in fit.reason
    assert len(told) == 4
    assert_allclose(fit.criterion, min(told), rtol=1e-12)
    assert "Not converged: stopped by the callback" in str(fit)


def test_rounds_of_pql_are_told() -> None:
    told: list[tuple[int, FloatArray, float]] = []
    fit = fitted("poisson", method="pql", callback=lambda *now: told.append(now))
    assert [number for number, _, _ in told] == list(range(1, len(told) + 1))
    assert_allclose(told[-1][1], fit.theta, rtol=1e-6)
    assert not fitted("poisson", method="pql", callback=lambda *now: True).converged


@pytest.mark.parametrize("family", RESPONSES)
def test_another_start_ends_at_the_same_place(family: str) -> None:
    for start in ([0.05], [2.0]):
        assert_same(fitted(family, start=start), fitted(family), rtol=1e-4)


# ---- links, units, mirrors ----


@pytest.mark.parametrize(("family", "power"), [("gamma", 0), ("inverse-gaussian", 1)])
def test_units_of_measurements(family: Any, power: int) -> None:
    y, _ = RESPONSES[family]
    terms = ms.linear(x=X), ms.group(g=G)
    fits = [ms.glmm(c * y, *terms, family=family) for c in (1.0, 1000.0)]
    assert_allclose(fits[1].beta - fits[0].beta, [np.log(1000), 0], atol=1e-6)
    assert_allclose(fits[1].theta, fits[0].theta, rtol=1e-5)
    shapes = [np.exp(fit.family.log_parameters[0]) for fit in fits]
    assert_allclose(shapes[1], shapes[0] * 1000.0**power, rtol=1e-5)
    jacobian = 2 * N * np.log(1000)
    assert_allclose(fits[1].criterion - fits[0].criterion, jacobian, rtol=1e-9)


@pytest.mark.parametrize(("family", "power"), [("gamma", 0), ("inverse-gaussian", 1)])
def test_units_of_an_inverse_link(family: Any, power: int) -> None:
    y = 20 + RESPONSES[family][0]
    terms = ms.linear(x=X), ms.group(g=G)
    fits = [ms.glmm(c * y, *terms, family=family, link="inverse") for c in (1.0, 1000.0)]
    assert all(fit.converged for fit in fits)
    assert_allclose(fits[1].beta * 1000, fits[0].beta, rtol=1e-5)
    assert_allclose(fits[1].theta * 1000, fits[0].theta, rtol=1e-4, atol=1e-9)
    jacobian = 2 * N * np.log(1000)
    assert_allclose(fits[1].criterion - fits[0].criterion, jacobian, rtol=1e-9)


@pytest.mark.parametrize("link", ["logit", "probit"])
def test_failures_mirror_successes(link: Any) -> None:
    y, _ = RESPONSES["binomial"]
    terms = ms.linear(x=X), ms.group(g=G)
    successes, failures = (
        ms.glmm(counts, *terms, family="binomial", trials=7, link=link) for counts in (y, 7 - y)
    )
    assert_allclose(successes.beta, -failures.beta, rtol=1e-6)
    assert_allclose(successes.criterion, failures.criterion, rtol=1e-12)


def test_the_inverse_link_tells_where_it_ends() -> None:
    y = 1 / (0.4 + 0.1 * X.clip(-2, 2)) * RNG.gamma(20.0, 0.05, N)
    fit = ms.glmm(y, ms.linear(x=X), ms.group(g=G), family="gamma", link="inverse")
    data: dict[str, Any] = {"x": [0.0, -50.0], "g": [0, 0]}
    assert fit.predict(data, scale="link")[1] < 0
    with pytest.raises(ValueError, match="in row 1, and its inverse is no mean above zero"):
        fit.predict(data)


# ---- without random terms, and at theta of zero ----


@pytest.mark.parametrize("family", RESPONSES)
def test_at_theta_of_zero_it_is_the_model_without_groups(family: Any) -> None:
    y, arguments = RESPONSES[family]
    alone = ms.glmm(y, ms.linear(x=X), family=family, **arguments)
    held = fitted(family).refit(theta=[0.0])
    assert alone.converged
    assert_allclose(alone.criterion, held.criterion, rtol=1e-11)
    assert_allclose(alone.beta, held.beta, rtol=1e-6, atol=1e-8)
    assert_allclose(alone.se, held.se, rtol=1e-5)
    assert alone.npar == held.npar - 1
    assert (alone.random, alone.theta.tolist()) == ({}, [])
    assert "Generalized linear model" in str(alone)
    assert "nothing is shrunk" in str(alone)
    assert_allclose(alone.predict({"x": X}), alone.family.mean(alone.linear_predictor), rtol=1e-12)


@pytest.mark.parametrize("method", ["REML", "ML"])
def test_a_linear_model_is_least_squares(method: Any) -> None:
    w = 0.5 + RNG.random(180)
    fit = ms.lmm(SLEEP.reaction, LINE, weights=w, method=method)
    design = np.column_stack([np.ones(180), SLEEP.days]) * np.sqrt(w)[:, None]
    beta, rss, _, _ = np.linalg.lstsq(design, SLEEP.reaction * np.sqrt(w))
    assert_allclose(fit.beta, beta, rtol=1e-12)
    assert_allclose(fit.sigma**2, rss[0] / (178 if method == "REML" else 180), rtol=1e-12)
    held = ms.lmm(SLEEP.reaction, LINE, SUBJECTS, weights=w, method=method)
    assert_allclose(fit.criterion, held.refit(theta=[0, 0, 0]).criterion, rtol=1e-12)
    assert_allclose(fit.cov_beta, held.refit(theta=[0, 0, 0]).cov_beta, rtol=1e-10)
    assert "Linear model fit by" in str(fit)
    assert (fit.edf, fit.on_boundary, fit.evaluations) == ({"fixed": 2.0}, False, 0)
    again = fit.with_response(2 * SLEEP.reaction)
    assert_allclose(again.beta, 2 * fit.beta, rtol=1e-12)
    assert_allclose(ms.lmm(SLEEP.reaction).beta, [np.mean(SLEEP.reaction)], rtol=1e-14)


# ---- a size that runs to infinity ----


def test_counts_that_vary_less_are_poisson() -> None:
    y = RNG.binomial(20, 0.3, N).astype(float)
    terms = ms.linear(x=X), ms.group(g=G)
    counts = ms.glmm(y, *terms, family="negative-binomial")
    poisson = ms.glmm(y, *terms)
    assert counts.family.log_parameters[0] == np.inf
    assert counts.on_boundary
    assert counts.npar == poisson.npar + 1
    assert_same(counts, poisson, rtol=1e-8)
    assert "The size is infinite: y varies no more than Poisson allows" in str(counts)
    more = RESPONSES["negative-binomial"][0]
    again = counts.with_response(more)
    assert_same(again, ms.glmm(more, *terms, family="negative-binomial"), rtol=1e-6)
    assert not again.on_boundary


def test_the_summary_tells_the_parameter() -> None:
    fit = fitted("negative-binomial")
    assert f"Size: {fit.family.size:.5g}, by maximum likelihood" in str(fit)  # type: ignore[attr-defined]
    by_moments = fitted("gamma", method="pql")
    assert "by moments of the residuals (variance mu^2 / shape)" in str(by_moments)
