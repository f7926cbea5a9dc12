"""How a search ends: by a callback, at a curve through all points, far from sigma; and after."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import mixedsmooth as ms

I = np.arange(20)  # noqa: E741
X = I / 19
Y = np.sin(4 * np.pi * X) + 0.1 * np.cos(37 * I)  # two minima: a line, and a curve


@pytest.mark.parametrize("stop", [5, 20, 35])
def test_a_stopped_search_is_at_the_lowest_place_that_it_saw(stop: int) -> None:
    seen: list[float] = []

    def callback(number: int, theta: Any, value: float) -> bool:
        seen.append(value)
        return number >= stop

    fit = ms.lmm(Y, ms.smooth(x=X), callback=callback)
    assert not fit.converged
    assert fit.reason == f"stopped by the callback at evaluation {stop}"
    assert_allclose(fit.criterion, min(seen), rtol=1e-12)


@pytest.mark.parametrize("at", [3, 12, 25, 40])
@pytest.mark.parametrize("error", [ValueError, np.linalg.LinAlgError, KeyError])
def test_an_error_in_the_callback_is_raised(at: int, error: type[Exception]) -> None:
    def callback(number: int, theta: Any, value: float) -> None:
        if number == at:
            raise error("mine")

    with pytest.raises(error, match="mine"):
        ms.lmm(Y, ms.smooth(x=X), callback=callback)


@pytest.mark.parametrize("n", [10, 12])
def test_gcv_knows_no_score_of_a_curve_through_all_points(n: int) -> None:
    x = np.random.default_rng(0).uniform(size=n)
    fit = ms.lmm(np.sin(6 * x) + x**7, ms.smooth(x=x, k=n), method="GCV")
    assert np.isfinite(fit.criterion)


def test_effects_much_larger_than_noise_are_fitted() -> None:
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(10), 4)
    b, noise = rng.normal(size=10), rng.normal(size=40)
    fit = ms.lmm(b[g] + 1e-6 * noise, ms.group(g=g))
    within = 1e-6 * noise - 1e-6 * np.bincount(g, noise)[g] / 4
    assert_allclose(fit.sigma, np.sqrt(within @ within / 30), rtol=1e-2)  # digits of r^2 cancel


def fits() -> list[Any]:
    """One fit of each kind."""
    rng = np.random.default_rng(1)
    g, counts = np.arange(20) % 4, rng.poisson(3.0, 20)
    return [
        ms.lmm(Y, ms.smooth(x=X, k=6), ms.group(g=g)),
        ms.lmm(Y, ms.smooth(x=X), method="GCV"),
        ms.glmm(counts, ms.linear(x=X), ms.group(g=g)),
        ms.glmm(counts, ms.linear(x=X), ms.group(g=g), method="agq"),
        ms.glmm(counts, ms.linear(x=X), ms.group(g=g), method="pql"),
    ]


@pytest.mark.parametrize("fit", fits(), ids=repr)
def test_a_fit_can_be_sent_to_another_process(fit: Any) -> None:
    for again in (pickle.loads(pickle.dumps(fit)), copy.deepcopy(fit)):
        assert_array_equal(again.beta, fit.beta)
        assert str(again) == str(fit)
        assert_allclose(again.with_response(fit.model.y).fitted, fit.fitted, rtol=1e-6)


def test_crossed_labels_match_by_value() -> None:
    rng = np.random.default_rng(2)
    data = {"y": rng.normal(size=24), "a": np.arange(24) % 4, "b": np.repeat(["p", "q"], 12)}
    fit = ms.lmm_formula("y ~ (1 | a:b)", data)
    want = fit.predict({"a": [0, 3], "b": ["p", "q"]})
    assert_array_equal(fit.predict({"a": [0.0, 3.0], "b": ["p", "q"]}), want)
    assert np.ptp(fit.random["a:b"].effects) > 0 or fit.on_boundary


@pytest.mark.parametrize("exponent", [-12, -6, 6, 12])
def test_the_unit_of_the_weights_does_not_matter(exponent: int) -> None:
    w = np.linspace(1, 3, 20)
    for term in (ms.smooth(x=X), ms.group(g=I % 4, x=X)):
        fit = ms.lmm(Y, term, weights=w)
        scaled = ms.lmm(Y, term, weights=10.0**exponent * w)
        assert_allclose(scaled.criterion, fit.criterion, rtol=0, atol=1e-6)
        assert_allclose(scaled.fitted, fit.fitted, rtol=0, atol=1e-4)
        assert_allclose(scaled.sigma, fit.sigma * 10.0 ** (exponent / 2), rtol=1e-4)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_the_unit_of_a_meta_analysis_does_not_matter(unit: float) -> None:
    rng = np.random.default_rng(3)
    study, sd = np.repeat(np.arange(15), 2), rng.uniform(0.2, 1, 30)
    y = rng.normal(size=15)[study] + sd * rng.normal(size=30)
    fit = ms.lmm(y, ms.group(study=study), sigma=1, weights=1 / sd**2)
    other = ms.lmm(unit * y, ms.group(study=study), sigma=1, weights=1 / (unit * sd) ** 2)
    assert_allclose(other.random["study"].sd, unit * fit.random["study"].sd, rtol=1e-4)


def test_one_node_is_kept() -> None:
    counts = np.random.default_rng(4).poisson(3.0, 20)
    fit = ms.glmm(counts, ms.linear(x=X), ms.group(g=I % 4), method="agq", nodes=1)
    assert fit.refit().nodes == 1
    assert fit.refit("laplace").refit("agq").nodes == 25


def test_results_cannot_be_changed() -> None:
    fit = ms.lmm(Y, ms.smooth(x=X, basis="cr"), ms.group(g=I % 4))
    before = str(fit)
    fit.names.append("more")
    fit.edf["fixed"] = 0.0
    fit.random.clear()
    curve = fit.smooth("x", [0.5])
    matrices = (fit.problem.X, fit.problem.K, *fit.problem.back, *fit.factorization.T)
    for array in (fit.beta, fit.theta, fit.se, curve.value, curve.se, curve.x, *matrices):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 9.0
    assert str(fit) == before


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ([ms.smooth(x=X, k=5), ms.smooth(x=X, basis="cr", k=8)], r"two terms are called s\(x\)"),
        (
            [ms.linear({"s(x)": np.sin(I)}), ms.smooth(x=X, basis="cr")],
            r"two columns of X are called s\(x\)",
        ),
        ([ms.group({"s(x)": I % 4}), ms.smooth(x=X, basis="cr")], r"two terms are called s\(x\)"),
        ([ms.group({"fixed": I % 4})], "two terms are called fixed"),
        (
            [ms.group(g=I % 4), ms.group(g=I % 4, x=X, intercept=False), ms.group({"g.1": I % 5})],
            r"two terms are called g\.1",
        ),
        ([ms.linear({"(Intercept)": X}), ms.group(g=I % 4)], r"called \(Intercept\)"),
    ],
    ids=["smooths", "line", "group", "fixed", "numbered", "intercept"],
)
def test_results_are_known_by_their_names(terms: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ms.lmm(Y, *terms)


def test_another_response_is_checked_as_the_first_was() -> None:
    bits, g = np.tile([0, 1, 1], 8), np.repeat(np.arange(6), 4)
    fit = ms.glmm(bits, ms.group(g=g), family="bernoulli")
    with pytest.raises(ValueError, match="no level of g has both"):
        fit.with_response((np.arange(6) % 2)[g])
    with pytest.raises(ValueError, match="zeros and ones"):
        fit.with_response(2 * bits)


@pytest.mark.parametrize("theta", [[0.0, 0.3, 0.2], [0.0, 0.0, 0.3], [0.4, 0.0, 0.0]])
def test_a_given_theta_on_the_boundary_is_known_to_be_there(theta: list[float]) -> None:
    sleep = ms.load_sleepstudy()
    days = sleep.days
    fit = ms.lmm(sleep.reaction, ms.linear(days=days), ms.group(subject=sleep.subject, days=days))
    held = fit.refit(theta=theta)
    T = np.array([[theta[0], 0.0], theta[1:]])
    assert held.on_boundary
    assert_allclose(held.random["subject"].cov, held.sigma**2 * T @ T.T, rtol=1e-9, atol=1e-9)


def test_a_node_far_out_has_no_share() -> None:
    counts = np.random.default_rng(5).poisson(3.0, 20)
    fit = ms.glmm(counts, ms.linear(x=X), ms.group(g=I % 4), method="agq", start=[100.0])
    assert np.isfinite(fit.criterion)


def test_a_block_of_the_head_without_digits_is_refused() -> None:
    sleep = ms.load_sleepstudy()
    days = sleep.days
    fit = ms.lmm(sleep.reaction, ms.linear(days=days), ms.group(subject=sleep.subject, days=days))
    with pytest.raises(ValueError, match="without error"):
        fit.refit(theta=[9e6, 9e6, 1e-3])
