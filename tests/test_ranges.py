"""Ranges that are estimated: against nlme, against fits at given ranges, and what follows."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

import mixedsmooth as ms
from mixedsmooth.derivations.gaussian_process import distances, process_covariance, range_profile
from mixedsmooth.inference.degrees import _satterthwaite_with_ranges, satterthwaite
from mixedsmooth.inference.parameters import parameters
from mixedsmooth.inference.sections import space_of
from mixedsmooth.model.fit import Fit

FloatArray = NDArray[np.float64]
TERMS = Path(__file__).parent / "reference" / "terms.json"
TIME = np.asarray(ms.load_mcycle().time)[::2]
ACCEL = np.asarray(ms.load_mcycle().accel)[::2]


def smooth(range: float | None = None, k: int = 10, **options: Any) -> Any:
    return ms.smooth(time=TIME, basis="gp", k=k, range=range, **options)


@pytest.fixture(scope="module")
def fit() -> Fit:
    return ms.lmm(ACCEL, smooth())


def at(range: float, y: Any = ACCEL, **options: Any) -> Fit:
    return ms.lmm(y, smooth(range), **options)


# ---- the estimate ----


def test_meuse_is_that_of_gls() -> None:
    # R 4.2.2, nlme 3.1.162: gls(log(zinc) ~ sqrt(dist), correlation = corExp(c(200, 0.25),
    # form = ~ x + y, nugget = TRUE), method = "REML")
    gls = json.loads(TERMS.read_text(encoding="utf-8"))["meuse"]["gls_exp"]
    m = ms.load_meuse()
    process = ms.smooth(x=m.x, y=m.y, basis="gp", kernel="exponential", trend=False)
    fit = ms.lmm(np.log(m.zinc), ms.linear(sqrt_distance=np.sqrt(m.distance)), process)
    assert_allclose(fit.ranges["s(x, y)"], gls["range"], rtol=1e-4)
    assert_allclose(fit.criterion, -2 * gls["loglik"], rtol=1e-9)
    assert_allclose(fit.beta, gls["beta"], rtol=1e-6)
    assert_allclose(fit.se, gls["se"], rtol=1e-5)
    tau2 = fit.random["s(x, y)"].cov[0, 0]
    assert_allclose(fit.sigma**2 / (fit.sigma**2 + tau2), gls["nugget_share"], rtol=1e-4)
    assert fit.npar == 5


@pytest.mark.parametrize("method", ["REML", "ML", "GCV"])
def test_no_other_range_is_better(method: Any, fit: Fit) -> None:
    fit = fit.refit(method)
    (best,) = fit.ranges.values()
    assert_allclose(at(best, method=method).criterion, fit.criterion, rtol=1e-9)
    for other in [0.99 * best, 1.01 * best, *np.geomspace(0.3, 3000, 5)]:
        assert at(other, method=method).criterion >= fit.criterion - 1e-7


@pytest.mark.parametrize("kernel", ["exponential", "gaussian", "spherical"])
@pytest.mark.parametrize("seed", range(4))
def test_the_search_finds_the_lowest_of_several_minima(kernel: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, 10, (40, 2))
    K = process_covariance(distances(places), kernel, 3.0) + 1e-9 * np.eye(40)
    y = np.linalg.cholesky(K) @ rng.normal(size=40) + 0.4 * rng.normal(size=40)
    x, z = places.T
    fit = ms.lmm(y, ms.smooth(x=x, z=z, basis="gp", kernel=kernel, trend=False))
    # the dense criterion of the derivation, over ranges that the search does not know of
    deviance, _ = range_profile(np.geomspace(0.3, 60, 40), y, np.ones((40, 1)), places, kernel)
    assert fit.criterion <= deviance.min() + 1e-7


def test_the_unit_of_the_covariate_does_not_matter(fit: Fit) -> None:
    in_seconds = ms.smooth(time=TIME / 1000, basis="gp", k=10)
    again = ms.lmm(ACCEL, in_seconds)
    assert_allclose(again.ranges["s(time)"], fit.ranges["s(time)"] / 1000, rtol=1e-4)
    assert_allclose(again.loglik, fit.loglik + np.log(1000), rtol=1e-9)  # -log|X'X| / 2


def test_a_range_that_nothing_holds_is_at_its_end() -> None:
    x = np.linspace(0, 1, 30)
    y = 3 * x + np.random.default_rng(0).normal(scale=0.3, size=30)
    fit = ms.lmm(y, ms.smooth(x=x, basis="gp", kernel="exponential", trend=False))
    (tuning,) = fit.model.tunings
    assert tuning.end == "largest"
    assert "the largest that is looked at: the data do not hold it" in repr(fit._notes())
    intervals = fit.confint(likelihood="REML")
    lower, upper = intervals["range s(x)"]
    assert upper == np.inf
    assert lower < tuning.bounds[1]
    assert np.isnan(fit.confint(kind="wald", likelihood="REML")["range s(x)"]).all()


def test_two_ranges() -> None:
    rng = np.random.default_rng(5)
    x, z = rng.uniform(0, 10, (2, 150))
    y = np.sin(2 * x) + np.sin(0.8 * z) + rng.normal(scale=0.3, size=150)
    terms = [
        ms.smooth(x=x, basis="gp", kernel="gaussian", k=15),
        ms.smooth(z=z, basis="gp", kernel="gaussian", k=10),
    ]
    fit = ms.lmm(y, *terms)
    assert fit.npar == 3 + 2 + 1 + 2
    short, long = fit.ranges["s(x)"], fit.ranges["s(z)"]
    assert short < long
    for factors in ((1.05, 1), (0.95, 1), (1, 1.3), (1, 0.7)):
        held = [
            ms.smooth(x=x, basis="gp", kernel="gaussian", k=15, range=factors[0] * short),
            ms.smooth(z=z, basis="gp", kernel="gaussian", k=10, range=factors[1] * long),
        ]
        assert ms.lmm(y, *held).criterion >= fit.criterion - 1e-6


def test_counts() -> None:
    rng = np.random.default_rng(2)
    x = np.sort(rng.uniform(0, 10, 60))
    L = np.linalg.cholesky(process_covariance(distances(x[:, None]), "matern52", 1.5))
    y = rng.poisson(np.exp(1 + 0.8 * L @ rng.normal(size=60)))

    def counts(range: float | None) -> Fit:
        return ms.glmm(y, ms.smooth(x=x, basis="gp", kernel="matern52", k=10, range=range))

    fit = counts(None)
    assert fit.npar == counts(1.0).npar + 1
    (best,) = fit.ranges.values()
    for other in (0.97 * best, 1.03 * best):
        assert counts(other).criterion > fit.criterion
    lower, upper = fit.confint(kind="wald")["range s(x)"]
    assert lower < best < upper
    with pytest.raises(ValueError, match='"pql" has no criterion'):
        ms.glmm(y, ms.smooth(x=x, basis="gp", k=15), method="pql")


# ---- what follows the estimate ----


def test_predictions_are_those_at_the_range(fit: Fit) -> None:
    same = at(fit.ranges["s(time)"])
    new = {"time": [3.3, 20.0, 57.0]}
    assert_allclose(fit.predict(new), same.predict(new), rtol=1e-7)
    intervals = fit.predict_interval(new), same.predict_interval(new)
    assert_allclose(intervals[0].se, intervals[1].se, rtol=1e-6)
    curves = [each.smooth("time", new["time"]) for each in (fit, same)]
    assert_allclose(curves[0].se, curves[1].se, rtol=1e-6)


def test_theta_holds_the_range_too(fit: Fit) -> None:
    held = fit.refit(theta=fit.theta)
    assert held.ranges == fit.ranges
    assert_allclose(held.criterion, fit.criterion, rtol=1e-12)


def test_another_response_has_its_own_range(fit: Fit) -> None:
    y = fit.simulate(1, seed=3)[0]
    again = fit.with_response(y)
    assert again.ranges != fit.ranges
    assert_allclose(again.criterion, ms.lmm(y, smooth()).criterion, rtol=1e-9)


def test_the_bootstrap_estimates_it_again(fit: Fit) -> None:
    boot = ms.bootstrap(fit, n=20, seed=3)
    assert boot.names == parameters(fit).names
    first = fit.with_response(fit.simulate(20, seed=3)[0])
    assert_allclose(boot["range s(time)"][0], first.ranges["s(time)"], rtol=1e-5)
    assert np.ptp(boot["range s(time)"]) > 0


def test_rows_that_are_left_out(fit: Fit) -> None:
    y = np.append(ACCEL, np.nan)
    time = np.append(TIME, 1000.0)
    dropped = ms.lmm(y, ms.smooth(time=time, basis="gp", k=10), missing="drop")
    assert_allclose(dropped.criterion, fit.criterion, rtol=1e-9)
    assert_allclose(dropped.ranges["s(time)"], fit.ranges["s(time)"], rtol=1e-4)


def test_a_formula_makes_the_same_fit(fit: Fit) -> None:
    assert fit.formula is not None
    again = ms.lmm_formula(fit.formula, {"y": ACCEL, "time": TIME})
    assert_allclose(again.criterion, fit.criterion, rtol=1e-12)


def test_the_callback_ends_the_search() -> None:
    told: list[int] = []

    def callback(number: int, theta: FloatArray, value: float) -> bool:
        told.append(number)
        return number == 40

    fit = ms.lmm(ACCEL, smooth(), callback=callback)
    assert told == list(range(1, 41))
    assert fit.evaluations == 40


# ---- how sure it is ----


def test_the_slope_of_the_deviance_is_that_of_differences(fit: Fit) -> None:
    space = space_of(fit, reml=True)
    whole, free = space.whole()
    x = free.x + 0.1
    _, slope = whole.value_and_slope(x)
    h = 1e-5
    by_difference = [
        (whole.value(x + step) - whole.value(x - step)) / (2 * h) for step in h * np.eye(len(x))
    ]
    assert_allclose(slope, by_difference, rtol=1e-5)
    assert_allclose(
        space.surface.value(space.psi) + fit.problem.offset(fit.scales.y_scale, True),
        fit.criterion,
        rtol=1e-12,
    )


@pytest.mark.parametrize("likelihood", ["REML", "ML"])
def test_ends_of_profiles_have_the_deviance_of_refits(likelihood: Any, fit: Fit) -> None:
    fit = fit.refit(likelihood)
    intervals = fit.confint(likelihood=likelihood)
    for end in intervals["range s(time)"]:
        rise = at(end, method=likelihood).criterion - fit.criterion
        assert_allclose(rise, 3.841458820694124, rtol=1e-5)  # of chi-square
    if likelihood == "ML":
        # the line's coefficient held: its column leaves X, with any range
        lower, _ = intervals["s(time)"]
        (line,) = fit.model.lines
        rest = ACCEL - lower * line.columns(fit.model.frame)[0]
        term = smooth()
        without = [
            ms.lmm(rest, _without_line(term.tuning.at(r)), method="ML").criterion
            for r in np.geomspace(2, 30, 40)
        ]
        assert_allclose(min(without) - fit.criterion, 3.841458820694124, rtol=2e-3)


def _without_line(term: Any) -> Any:
    from dataclasses import replace

    return replace(term, fixed=(), tuning=None)


def test_a_range_widens_the_intervals_of_the_others(fit: Fit) -> None:
    held = at(fit.ranges["s(time)"])
    free, given = (each.confint(likelihood="REML") for each in (fit, held))
    for name in ("sd s(time)", "sigma"):
        assert free[name][0] < given[name][0]
        assert free[name][1] > given[name][1]


def test_degrees_of_freedom_count_it(fit: Fit) -> None:
    held = at(fit.ranges["s(time)"])
    row = np.array([0.0, 1.0])
    # with no range the way by differences is that of the other fits
    assert_allclose(
        _satterthwaite_with_ranges(held).degrees(row), satterthwaite(held).degrees(row), rtol=1e-5
    )
    assert fit.coefficients().df[1] < held.coefficients().df[1]
    with pytest.raises(ValueError, match="linear in their parameters"):
        fit.coefficients("kenward-roger")


def test_a_variance_beside_a_range_has_no_simple_test(fit: Fit) -> None:
    with pytest.raises(ValueError, match="give the range"):
        ms.variance_test(fit, "s(time)")


def test_a_range_without_a_fit_does_not_spoil_the_search() -> None:
    # of three rows with a trend some ranges explain all; no warning of numpy is to reach the user
    y = np.random.default_rng(5).normal(size=3)
    fit = ms.lmm(y, ms.smooth(x=np.arange(3.0), basis="gp"))
    assert np.isfinite(fit.criterion)


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_units_of_the_locations_change_the_range_and_a_constant(unit: float) -> None:
    fits = [ms.lmm(ACCEL, ms.smooth(time=u * TIME, basis="gp", k=10)) for u in (1.0, unit)]
    assert_allclose(fits[1].ranges["s(time)"], unit * fits[0].ranges["s(time)"], rtol=1e-4)
    assert_allclose(fits[1].fitted, fits[0].fitted, rtol=0, atol=1e-5)
    # log|X'V^-1 X|, with the line in X in its units
    constant = 2 * np.log(unit)
    assert_allclose(fits[1].criterion - constant, fits[0].criterion, rtol=0, atol=1e-7)
