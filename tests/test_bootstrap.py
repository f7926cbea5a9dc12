"""The bootstrap: replicates, boundary, intervals, statistics, progress and interrupts."""

import sys
import types
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import mixedsmooth as ms
from mixedsmooth.derivations.bootstrap import bootstrap_interval, parametric_bootstrap
from mixedsmooth.derivations.design import grouping_columns, lambda_template
from mixedsmooth.derivations.reml import fit_profiled
from mixedsmooth.inference import together
from mixedsmooth.inference.bootstrap import Bootstrap
from mixedsmooth.inference.parameters import parameters
from tests.test_together import BATCH, DYESTUFF

SLEEP, EPIL, PASTES = ms.load_sleepstudy(), ms.load_epil(), ms.load_pastes()


@cache
def slopes() -> ms.Fit:
    return ms.lmm_formula("reaction ~ days + (days | subject)", SLEEP)


@cache
def replicated() -> Bootstrap:
    return ms.bootstrap(slopes(), 60, seed=4)


def test_replicate_i_is_the_fit_to_simulation_i() -> None:
    boot, y = replicated(), slopes().simulate(60, seed=4)
    assert boot.names == parameters(slopes()).names
    assert_array_equal(boot.estimate, parameters(slopes()).values)
    for i in (0, 7, 59):
        alone = slopes().with_response(y[i])
        assert_allclose(boot.replicates[i], parameters(alone).values, rtol=2e-4)
        assert boot.singular[i] == alone.on_boundary
    assert boot.converged.all()
    assert not boot.replicates.flags.writeable


def test_a_seed_gives_the_same_again_however_it_is_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = replicated()
    fewer = ms.bootstrap(slopes(), 25, seed=4)
    assert_allclose(fewer.replicates, whole.replicates[:25], rtol=1e-7)
    monkeypatch.setattr(together, "AT_ONCE", 7)
    assert_allclose(ms.bootstrap(slopes(), 60, seed=4).replicates, whole.replicates, rtol=1e-7)
    fresh = ms.bootstrap(slopes(), 20)
    assert_array_equal(ms.bootstrap(slopes(), 20, seed=fresh.seed).replicates, fresh.replicates)
    assert fresh.seed != ms.bootstrap(slopes(), 20).seed


# Davies and Goldsmith's dyestuff, six batches of five: the estimate is zero where the F ratio is
# below (a - 1) / a by ML, and below 1 by REML; that ratio is F(5, 24) times the ratio of expected
# mean squares. Probabilities: R 4.2.2, pf() with the fits of lme4 1.1.31.
@pytest.mark.parametrize(("method", "exact"), [("ML", 0.0998387822434), ("REML", 0.0484182928665)])
def test_share_of_zeros_of_a_one_way_layout(method: Any, exact: float) -> None:
    fit, n = ms.lmm(DYESTUFF, ms.group(batch=BATCH), method=method), 10_000
    boot = ms.bootstrap(fit, n, seed=20)
    zeros = boot.on_boundary["sd (Intercept) | batch"]
    assert zeros == boot.on_boundary["any"] == np.sum(boot["sd (Intercept) | batch"] == 0)
    assert abs(zeros / n - exact) < 3.5 * np.sqrt(exact * (1 - exact) / n)
    # the fit in closed form: mean squares between and within
    y = fit.simulate(n, seed=20).reshape(n, 6, 5)
    within = np.sum((y - y.mean(2, keepdims=True)) ** 2, axis=(1, 2))
    between = 5 * np.sum((y.mean(2) - y.mean((1, 2))[:, None]) ** 2, axis=1)
    means = between / (6 if method == "ML" else 5), within / 24
    pooled = (between + within) / (30 if method == "ML" else 29)
    zero = means[0] <= means[1]
    sigma = np.sqrt(np.where(zero, pooled, means[1]))
    sd = np.sqrt(np.where(zero, 0, (means[0] - means[1]) / 5))
    assert_array_equal(boot.singular, zero)
    assert_allclose(boot["sigma"], sigma, rtol=1e-4)
    assert_allclose(boot["sd (Intercept) | batch"], sd, rtol=1e-3, atol=0.5)


def test_boundary_is_counted_by_what_is_there() -> None:
    rng = np.random.default_rng(0)
    # centered, so that an sd of zero in scaled columns is one in the user's
    g, x = np.repeat(np.arange(8), 5), np.tile(np.arange(5.0) - 2, 8)
    fit = ms.lmm(rng.normal(size=40) + 0.3 * rng.normal(size=8)[g] * x, ms.group(g=g, x=x))
    boot = ms.bootstrap(fit, 200, seed=1)
    counts = boot.on_boundary
    sd_0, sd_x = boot["sd (Intercept) | g"], boot["sd x | g"]
    assert counts["sd (Intercept) | g"] == np.sum(sd_0 < 1e-4 * boot["sigma"]) > 0
    correlation = boot["corr x, (Intercept) | g"]
    undefined = np.isnan(correlation)
    assert counts["corr x, (Intercept) | g"] == np.sum(undefined | (abs(correlation) > 1 - 1e-9))
    assert undefined.sum() > 0
    assert counts["any"] == boot.singular.sum() >= np.sum((sd_0 == 0) | (sd_x == 0))
    assert any(f"not a number in {undefined.sum()}" in note for note in boot.notes)
    lower, upper = boot.confint(0.9)["corr x, (Intercept) | g"]
    assert -1 <= lower < upper <= 1


def test_intervals_by_hand() -> None:
    boot = replicated()
    values = np.sort(boot["days"])  # of 60 replicates: k is 3 for 90 %
    interval = boot.confint(0.9)
    assert interval["days"] == (values[2], values[-3])
    estimate = slopes().beta[1]
    lower, upper = boot.confint(0.9, "basic")["days"]
    assert (lower, upper) == (2 * estimate - values[-3], 2 * estimate - values[2])
    assert interval.kind == "percentile bootstrap"
    assert interval.likelihood == "REML"
    assert interval.level == 0.9
    assert any("60, seed 4" in note for note in interval.notes)
    assert_allclose(boot.se, np.nanstd(boot.replicates, axis=0, ddof=1), rtol=1e-12)
    assert_allclose(boot.bias + boot.estimate, np.nanmean(boot.replicates, axis=0), rtol=1e-12)
    # (n + 1) (1 - level) / 2 = 1 for 39 replicates
    assert ms.bootstrap(slopes(), 39, seed=4).confint()["days"][0] == boot["days"][:39].min()


def test_more_replicates_are_asked_for() -> None:
    with pytest.raises(
        ValueError, match=r"level 0.99 needs at least 199 replicates, and there are"
    ):
        replicated().confint(0.99)
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        replicated().confint(1.0)
    with pytest.raises(ValueError, match="kind must be"):
        replicated().confint(0.9, "bca")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="there is no 'day'; there are sd"):
        replicated()["day"]


def test_statistics_of_your_own() -> None:
    def ratio(fit: ms.Fit) -> float:
        return float(fit.random["subject"].sd[1] / fit.sigma)

    boot = ms.bootstrap(slopes(), 60, seed=4, statistic=ratio)
    full = replicated()
    assert boot.names == ["statistic"]
    expected = full["sd days | subject"] / full["sigma"]
    assert_allclose(boot["statistic"], expected, rtol=1e-9)
    assert boot.on_boundary == {"any": full.on_boundary["any"]}
    assert_allclose(boot.estimate, ratio(slopes()))
    several = ms.bootstrap(slopes(), 20, seed=4, statistic=lambda fit: fit.beta)
    assert several.names == ["statistic[0]", "statistic[1]"]
    assert_allclose(several.replicates, full.replicates[:20, -2:], rtol=1e-8)
    named = ms.bootstrap(slopes(), 20, seed=4, statistic=lambda fit: {"s": fit.sigma})
    assert named.names == ["s"]
    assert_allclose(named["s"], full["sigma"][:20], rtol=1e-9)


@pytest.mark.parametrize(
    "wrong", [lambda fit: "text", lambda fit: None, lambda fit: [], lambda fit: {"a": [1, 2]}]
)
def test_statistics_that_are_none(wrong: Any) -> None:
    with pytest.raises(ValueError, match="statistic must give a number"):
        ms.bootstrap(slopes(), 20, seed=1, statistic=wrong)


def test_a_statistic_must_give_the_same_each_time() -> None:
    calls = iter([[1.0], *([[1.0, 2.0]] * 30)])
    with pytest.raises(ValueError, match="must give the same each time"):
        ms.bootstrap(slopes(), 20, seed=1, statistic=lambda fit: next(calls))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 19}, "n must be a whole number of at least 20, found 19"),
        ({"seed": 1.5}, "seed must be a whole number"),
        ({"statistic": 3}, "statistic must be a function"),
        ({"progress": 3}, "progress must be a function"),
        ({"fit": "reaction ~ days"}, "fit must be what lmm"),
    ],
)
def test_wrong_arguments(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ms.bootstrap(**{"fit": slopes(), **arguments})


# ---- the derivation ----


@pytest.mark.parametrize("method", ["ML", "REML"])
def test_the_dense_bootstrap_has_the_same_replicates(method: Any) -> None:
    kept = np.arange(180) < 60  # six subjects, of which the dense search takes its time
    subject, days, y = SLEEP.subject[kept], SLEEP.days[kept], SLEEP.reaction[kept]
    X, (Z, levels) = np.column_stack([np.ones(60), days]), grouping_columns(subject)
    template = lambda_template(1, len(levels))
    dense = fit_profiled(y, X, Z, template, method)
    replicates = parametric_bootstrap(dense, X, Z, template, n=20, seed=3)
    fit = ms.lmm(y, ms.linear(days=days), ms.group(subject=subject), method=method)
    boot = ms.bootstrap(fit, 20, seed=3)
    assert_allclose(replicates.beta, boot.replicates[:, -2:], rtol=1e-6)
    assert_allclose(replicates.sigma, boot["sigma"], rtol=1e-5)
    tau = replicates.theta[:, 0] * replicates.sigma
    assert_allclose(tau, boot["sd (Intercept) | subject"], rtol=1e-4, atol=1e-3)
    for level, kind in ((0.8, "percentile"), (0.9, "basic")):
        interval = boot.confint(level, kind)["sigma"]  # type: ignore[arg-type]
        dense_one = bootstrap_interval(dense.sigma, replicates.sigma, level, kind)
        assert_allclose(dense_one, interval, rtol=1e-5)


def test_the_dense_bootstrap_refuses_what_takes_too_long() -> None:
    Z = np.kron(np.eye(167), np.ones((3, 1)))
    y = np.random.default_rng(0).normal(size=501)
    template = lambda_template(1, 167)
    fit = fit_profiled(y[:6], np.ones((6, 1)), Z[:6, :2], lambda_template(1, 2))
    with pytest.raises(ValueError, match="X has 501 rows"):
        parametric_bootstrap(fit, np.ones((501, 1)), Z, template, 20, 1)
    with pytest.raises(ValueError, match="too few for level"):
        bootstrap_interval(1.0, np.arange(38.0))
    with pytest.raises(ValueError, match="kind must be"):
        bootstrap_interval(1.0, np.arange(50.0), kind="normal")


# ---- models that are fitted one by one ----


@cache
def others() -> dict[str, ms.Fit]:
    x = np.linspace(0, 1, 60)
    y = np.sin(7 * x) + 0.3 * np.random.default_rng(0).normal(size=60)
    rng, g = np.random.default_rng(1), np.repeat(np.arange(70), 4)
    h = rng.integers(0, 70, 280)
    subject = ms.group(subject=EPIL.subject)
    return {
        "smooth": ms.lmm(y, ms.smooth(x=x, k=8, basis="cr")),
        "GCV": ms.lmm(y, ms.smooth(x=x, k=8, basis="cr"), method="GCV"),
        "poisson": ms.glmm(EPIL.y, ms.linear(lbase=EPIL.lbase), subject),
        "nb": ms.glmm(EPIL.y, subject, family="negative-binomial"),
        "agq": ms.glmm(EPIL.y, subject, method="agq", nodes=5),
        "pql": ms.glmm(EPIL.y, subject, method="pql"),
        "no effects": ms.lmm(SLEEP.reaction, ms.linear(days=SLEEP.days)),
        "large tail": ms.lmm(
            rng.normal(size=280) + rng.normal(size=70)[g] + 0.5 * rng.normal(size=70)[h],
            ms.group(g=g),
            ms.group(h=h),
        ),
    }


@pytest.mark.parametrize(
    "name", ["smooth", "GCV", "poisson", "nb", "agq", "pql", "no effects", "large tail"]
)
def test_models_that_are_fitted_one_by_one(name: str) -> None:
    fit = others()[name]
    assert not together.serves(fit)
    boot = ms.bootstrap(fit, 20, seed=6)
    y = fit.simulate(20, seed=6)
    assert boot.replicates.shape == (20, len(parameters(fit).names))
    for i in (0, 13):
        alone = parameters(fit.with_response(y[i])).values
        assert_allclose(boot.replicates[i], alone, rtol=2e-4, atol=1e-4)
    named = {"laplace": "Laplace", "agq": f"quadrature with {getattr(fit, 'nodes', 0)} nodes"}
    assert boot.likelihood == named.get(fit.method, fit.method).replace("pql", "PQL")
    assert boot.confint(0.8).names == boot.names


def test_zeros_are_found_from_inside_and_from_zero() -> None:
    # the engine's own search looks around; from the estimate, also one of zero, it ends the same
    rng, g = np.random.default_rng(4), np.repeat(np.arange(70), 3)
    h = rng.permutation(g)
    y = rng.normal(size=210) + 0.4 * rng.normal(size=70)[g]
    fit = ms.lmm(y, ms.group(g=g), ms.group(h=h))
    assert not together.serves(fit)
    boot, simulated = ms.bootstrap(fit, 40, seed=1), fit.simulate(40, seed=1)
    alone = [fit.with_response(row).on_boundary for row in simulated]
    assert_array_equal(boot.singular, alone)
    assert 0 < sum(alone) < 40


def test_together_and_one_by_one_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    boot = replicated()
    monkeypatch.setattr(together, "serves", lambda fit: False)
    alone = ms.bootstrap(slopes(), 60, seed=4)
    assert_allclose(alone.replicates, boot.replicates, rtol=2e-4, atol=1e-5)
    assert_array_equal(alone.singular, boot.singular)


def test_replicates_not_found_together_are_fitted_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    boot = replicated()
    monkeypatch.setattr(together, "ROUNDS", 6)  # not enough for all of them
    found = together.design_of(slopes()).search(slopes().simulate(60, seed=4)).found
    assert 0 < found.sum() < 60
    again = ms.bootstrap(slopes(), 60, seed=4)
    assert_allclose(again.replicates, boot.replicates, rtol=2e-4, atol=1e-5)
    assert again.converged.all()


def test_data_that_cannot_be_fitted_are_counted() -> None:
    y = np.zeros(24)
    y[[3, 9, 17]] = 1.0
    fit = ms.glmm(y, ms.group(g=np.repeat(np.arange(6), 4)))
    fit = fit.refit(theta=[0.1])
    boot = ms.bootstrap(fit, 60, seed=2)
    none = np.flatnonzero(fit.simulate(60, seed=2).sum(1) == 0)  # has no finite logarithm
    assert len(none) > 0
    assert np.isnan(boot.replicates[none]).all()
    assert len(boot.failures) >= len(none)
    assert not boot.converged[none].any()
    assert any(note.startswith(f"Not fitted: {len(boot.failures)}, as y is") for note in boot.notes)
    assert np.isfinite(boot.confint(0.8)["(Intercept)"]).all()


def test_an_infinite_size_is_an_end() -> None:
    y = np.random.default_rng(0).poisson(5, 100)
    fit = ms.glmm(y, ms.group(g=np.repeat(np.arange(20), 5)), family="negative-binomial")
    boot = ms.bootstrap(fit, 24, seed=1)
    assert np.isinf(boot["size"]).sum() > 2
    assert boot.confint(0.8)["size"][1] == np.inf
    size = boot.names.index("size")
    assert np.isnan(boot.bias[size]) == np.isinf(boot.estimate[size])
    assert str(boot)


# ---- progress ----


def test_progress_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    monkeypatch.setattr(together, "AT_ONCE", 10)
    ms.bootstrap(slopes(), 25, seed=1, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 25), (10, 25), (20, 25), (25, 25)]


def test_progress_by_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Any] = []

    class Bar:
        def __init__(self, total: int, file: Any) -> None:
            self.n, self.total = 0, total

        def update(self, more: int) -> None:
            self.n += more

        def close(self) -> None:
            events.append((self.n, self.total))

    fake, auto = types.ModuleType("tqdm"), types.ModuleType("tqdm.auto")
    auto.tqdm = Bar  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tqdm", fake)
    monkeypatch.setitem(sys.modules, "tqdm.auto", auto)
    ms.bootstrap(slopes(), 20, seed=1, progress=True)
    assert events == [(20, 20)]
    monkeypatch.setitem(sys.modules, "tqdm", None)  # not installed
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    assert ms.bootstrap(slopes(), 20, seed=1, progress=True).n_done == 20


def test_an_interrupt_keeps_what_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "AT_ONCE", 10)

    def stop(done: int, total: int) -> None:
        if done >= 30:
            raise KeyboardInterrupt

    boot = ms.bootstrap(slopes(), 60, seed=4, progress=stop)
    assert (boot.n_done, boot.n) == (30, 60)
    assert_allclose(boot.replicates, replicated().replicates[:30], rtol=1e-7)
    assert any("30 of the 60 that were asked for" in note for note in boot.notes)
    nothing = ms.bootstrap(
        slopes(), 60, seed=4, progress=lambda done, total: stop(done + 30, total)
    )
    assert nothing.n_done == 0
    with pytest.raises(ValueError, match="needs at least"):
        nothing.confint()
    assert str(nothing)


# ---- how it is shown ----


def test_tables() -> None:
    text = str(replicated())
    assert text.startswith("Parametric bootstrap, fits by REML")
    assert "Replicates: 60, seed 4" in text
    assert "<table" in replicated()._repr_html_()
    frame = pytest.importorskip("pandas") and replicated().to_pandas()
    assert list(frame.columns) == replicated().names
    assert frame.index.name == "replicate"
