"""Smooths in the engine: against mgcv and gamm4, against the derivations, and at the limits."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

import mixedsmooth as ms
from mixedsmooth.derivations.penalized_ls import profiled_deviance
from mixedsmooth.derivations.reml import restricted_deviance
from mixedsmooth.model import problem
from mixedsmooth.model.smooths import construct
from tests.models import Example, Smoothing

FloatArray = NDArray[np.float64]
SLEEP = ms.load_sleepstudy()
VOLVO = ms.load_volvo()
UNIT_SIZE = (VOLVO.size - VOLVO.size.min()) / np.ptp(VOLVO.size)


def gamm(basis: str, **options: Any) -> ms.Fit:
    smooth = ms.smooth(days=SLEEP.days, basis=basis, k=10, **options)
    return ms.lmm(SLEEP.reaction, smooth, ms.group(subject=SLEEP.subject))


# ---- mgcv 1.8.41: gam(wear ~ s(x, bs = "cr", k = 9), method = "REML" | "ML" | "GCV.Cp") ----


@pytest.mark.parametrize("method", ["REML", "ML"])
def test_volvo_is_mgcvs(method: Any, reference: dict[str, Any]) -> None:
    mgcv = reference[f"volvo_cr9_{method}"]
    fit = ms.lmm(VOLVO.wear, ms.smooth(x=UNIT_SIZE, basis="cr", k=9), method=method)
    # mgcv's criterion is minus the (restricted) log-likelihood; its optimizer stops at 1e-6 or so
    # of log lambda, so curves and EDF have about six digits, the criterion twice as many
    assert_allclose(fit.criterion / 2, mgcv["criterion"], rtol=1e-9)
    assert_allclose(sum(fit.edf.values()), mgcv["edf"], rtol=1e-5)
    assert_allclose(fit.fitted, mgcv["fitted"], rtol=2e-6)
    assert_allclose(fit.predict({"x": mgcv["x"]}), mgcv["fit"], rtol=2e-6)


def test_volvo_by_gcv_is_mgcvs(reference: dict[str, Any]) -> None:
    mgcv = reference["volvo_cr9_GCV.Cp"]
    fit = ms.lmm(VOLVO.wear, ms.smooth(x=UNIT_SIZE, basis="cr", k=9), method="GCV")
    assert_allclose(fit.criterion, mgcv["criterion"], rtol=1e-9)
    assert_allclose(fit.sigma**2, mgcv["sigma2"], rtol=1e-5)
    assert_allclose(sum(fit.edf.values()), mgcv["edf"], rtol=1e-4)
    assert_allclose(fit.fitted, mgcv["fitted"], rtol=1e-4)
    assert np.isnan(fit.loglik)
    again = ms.lmm(
        VOLVO.wear,
        ms.smooth(x=UNIT_SIZE, basis="cr", k=9),
        method="GCV",
        start=2 * fit.theta,
    )
    assert_allclose(again.theta, fit.theta, rtol=1e-5)
    assert again.evaluations < fit.evaluations


def dense_gcv(example: Example, theta: FloatArray) -> float:
    """Return n rss / (n - edf)^2, by the matrix that takes y to the fit."""
    ZL = example.Z @ example.Lambda(theta)
    D = np.hstack([example.X, ZL])
    penalty = np.diag(np.repeat([0.0, 1.0], [len(example.X.T), len(ZL.T)]))
    hat = D @ np.linalg.solve(D.T @ D + penalty, D.T)
    residual = example.y - hat @ example.y
    return float(example.n * residual @ residual / (example.n - np.trace(hat)) ** 2)


@pytest.mark.parametrize("turns", [1, 3])
def test_gcv_of_two_smooths_is_the_least(turns: int) -> None:
    rng = np.random.default_rng(turns)
    t, x = rng.random((2, 70))
    y = 1000 * (np.sin(2 * np.pi * turns * t) + 0.3 * (x - 0.5) ** 2 + 0.3 * rng.normal(size=70))
    example = Example("two", y, [Smoothing("t", t, "cr", 12), Smoothing("x", x, "cs", 6)])
    seen: list[float] = []
    fit = ms.lmm(y, *example.terms, method="GCV", callback=lambda *call: seen.append(call[2]))
    assert fit.converged
    assert_allclose(fit.criterion, dense_gcv(example, fit.theta), rtol=1e-9)
    assert_allclose(min(seen), fit.criterion, rtol=1e-9)
    grid = np.exp(np.linspace(-8, 8, 33))
    assert fit.criterion <= min(dense_gcv(example, np.array([a, b])) for a in grid for b in grid)


def test_standard_errors_of_predictions_are_mgcvs(reference: dict[str, Any]) -> None:
    # predict(g, se.fit = TRUE) has the intercept in it: the smooth sums to zero over the data, so
    # the two are uncorrelated, and the variances add. sigma^2 of mgcv is that of REML here.
    mgcv = reference["volvo_cr9_REML"]
    fit = ms.lmm(VOLVO.wear, ms.smooth(x=UNIT_SIZE, basis="cr", k=9))
    curve = fit.smooth("x", mgcv["x"])
    assert_allclose(curve.value + fit.beta[0], mgcv["fit"], rtol=2e-6)
    assert_allclose(fit.sigma**2, mgcv["sigma2"], rtol=1e-5)
    assert_allclose(np.sqrt(curve.se**2 + fit.se[0] ** 2), mgcv["se"], rtol=1e-5)
    lower, upper = curve.interval()
    assert_allclose(upper - lower, 2 * 1.959964 * curve.se, rtol=1e-6)


# ---- gamm4 0.2.6, lme4 1.1.31: gamm4(Reaction ~ s(Days, bs = ...), random = ~ (1 | Subject)) ----


@pytest.mark.parametrize("basis", ["cs", "cr"])
def test_sleepstudy_is_gamm4s(basis: str, reference: dict[str, Any]) -> None:
    gamm4 = reference[f"gamm4_{basis}"]
    fit = gamm(basis)
    # gamm4's search stopped 2e-8 above our criterion, which leaves 2e-5 of the variances open
    assert fit.criterion <= gamm4["criterion"]
    assert_allclose(fit.criterion, gamm4["criterion"], rtol=1e-10)
    variances = dict(zip(gamm4["groups"], gamm4["variance"], strict=True))
    assert_allclose(fit.random["subject"].cov[0, 0], variances["Subject"], rtol=5e-5)
    assert_allclose(fit.random["s(days)"].cov[0, 0], variances["Xr"], rtol=5e-4, atol=1e-8)
    assert_allclose(fit.sigma**2, variances["Residual"], rtol=5e-6)
    # a straight line may run either way; ours increases
    beta, se = np.atleast_1d(gamm4["beta"]), np.atleast_1d(gamm4["se"])
    assert_allclose(np.abs(fit.beta), np.abs(beta), rtol=1e-6)
    assert_allclose(fit.se, se, rtol=2e-5)
    days = {"days": np.arange(10)}
    assert_allclose(fit.predict(days, effects=False), gamm4["fitted_by_day"], rtol=1e-6)
    assert_allclose(fit.random["subject"].effects[:, 0], gamm4["ranef"], rtol=2e-4)
    scaled = np.quantile(fit.residuals / fit.sigma, [0, 0.25, 0.5, 0.75, 1])
    assert_allclose(scaled, gamm4["scaled_residual_quantiles"], rtol=2e-5, atol=2e-6)


def test_the_printed_variance_belongs_to_the_older_scaling() -> None:
    # Clark (2016) prints 4.455 for the smooth, 1378.144 and 960.806 for the rest
    old, new = gamm("cs", scaling="mean"), gamm("cs")
    assert round(old.random["s(days)"].cov[0, 0], 3) == 4.455
    assert_allclose(new.random["s(days)"].cov[0, 0], 0.181682, rtol=1e-5)
    assert_allclose(old.criterion, new.criterion, rtol=1e-12)
    assert_allclose(old.fitted, new.fitted, rtol=1e-8)


# ---- the derivations ----


@pytest.mark.parametrize("method", ["REML", "ML"])
def test_the_criterion_is_that_of_the_dense_derivation(method: str) -> None:
    made = construct(SLEEP.days, "cr", 6)
    fit = ms.lmm(
        SLEEP.reaction,
        ms.smooth(days=SLEEP.days, basis="cr", k=6),
        ms.group(subject=SLEEP.subject, days=SLEEP.days),
        method=method,  # type: ignore[arg-type]
    )
    X = np.column_stack([np.ones(180), made.fixed(SLEEP.days)])
    subjects = (SLEEP.subject[:, None] == np.unique(SLEEP.subject)).astype(float)
    both = np.stack([subjects, subjects * SLEEP.days[:, None]], axis=2).reshape(180, 36)
    Z = np.hstack([made.random(SLEEP.days), both])
    smooth, intercept, slope, sd = fit.theta
    Lambda = np.zeros((Z.shape[1], Z.shape[1]))
    Lambda[:4, :4] = smooth * np.eye(4)
    Lambda[4:, 4:] = np.kron(np.eye(18), [[intercept, 0.0], [slope, sd]])
    dense = restricted_deviance if method == "REML" else profiled_deviance
    assert_allclose(fit.criterion, dense(Lambda, SLEEP.reaction, X, Z), rtol=1e-10)
    # the sum of the EDF is the trace of the hat matrix
    joint = np.hstack([X, Z @ Lambda])
    penalty = np.diag(np.repeat([0.0, 1.0], [2, Z.shape[1]]))
    hat = np.linalg.solve(joint.T @ joint + penalty, joint.T @ joint)
    assert_allclose(sum(fit.edf.values()), np.trace(hat), rtol=1e-8)


def test_standard_errors_of_shared_curves_are_those_of_the_dense_posterior() -> None:
    rng = np.random.default_rng(6)
    t, g = rng.random(90), np.arange(90) % 4
    y = np.sin(5 * t + g) + 0.2 * rng.normal(size=90)
    labels = np.array(["a", "b", "c", "d"])
    fit = ms.lmm(y, ms.smooth(t=t, k=5, by={"g": labels[g]}, shared=True))
    columns = construct(t, "cs", 5).random
    D = np.hstack([np.ones((90, 1)), *((g == level)[:, None] * columns(t) for level in range(4))])
    precision = D.T @ D + np.diag(np.append([0.0], np.full(16, fit.theta[0] ** -2)))
    posterior = fit.sigma**2 * np.linalg.inv(precision)
    grid = np.array([0.1, 0.4, 0.9])
    for level in range(4):
        own = slice(1 + 4 * level, 5 + 4 * level)
        rows = columns(grid)
        expected = np.sqrt(np.einsum("ij,jk,ik->i", rows, posterior[own, own], rows))
        curve = fit.smooth(f"s(t):g[{labels[level]}]", grid)
        assert_allclose(curve.se, expected, rtol=1e-7)
        population = fit.predict({"t": grid, "g": labels[[level] * 3]}, effects=False)
        assert_allclose(fit.beta[0] + curve.value, population, rtol=1e-9)


@pytest.mark.parametrize("grouped", [False, True])
def test_standard_errors_are_those_of_the_dense_posterior(grouped: bool) -> None:
    # curved by the square, so that the smooth has a variance
    y = SLEEP.reaction + 3 * (SLEEP.days - 4) ** 2
    smooth = ms.smooth(days=SLEEP.days, basis="cr", k=6)
    fit = ms.lmm(y, smooth, *([ms.group(subject=SLEEP.subject)] if grouped else []))
    made = construct(SLEEP.days, "cr", 6)
    X = np.column_stack([np.ones(180), made.fixed(SLEEP.days)])
    Z, scale = made.random(SLEEP.days), np.full(4, fit.theta[0])
    if grouped:
        subjects = (SLEEP.subject[:, None] == np.unique(SLEEP.subject)).astype(float)
        Z, scale = np.hstack([Z, subjects]), np.append(scale, np.full(18, fit.theta[1]))
    joint = np.hstack([X, Z])
    precision = joint.T @ joint + np.diag(np.append([0.0, 0.0], scale**-2))
    posterior = fit.sigma**2 * np.linalg.inv(precision)
    grid = np.linspace(0, 9, 7)
    rows = np.zeros((7, joint.shape[1]))
    rows[:, 1], rows[:, 2:6] = made.fixed(grid)[:, 0], made.random(grid)
    expected = np.sqrt(np.einsum("ij,jk,ik->i", rows, posterior, rows))
    assert_allclose(fit.smooth("days", grid).se, expected, rtol=1e-7)


def test_the_sparse_engine_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    curve = ms.smooth(days=SLEEP.days, basis="cr", k=8)
    lines = ms.group(subject=SLEEP.subject, days=SLEEP.days)
    dense = ms.lmm(SLEEP.reaction, curve, lines)
    monkeypatch.setattr(problem, "DENSE_TAIL", 0)
    sparse = ms.lmm(SLEEP.reaction, curve, lines)
    assert_allclose(sparse.criterion, dense.criterion, rtol=1e-12)
    assert_allclose(sparse.theta, dense.theta, rtol=1e-4, atol=1e-6)
    assert_allclose(sparse.beta, dense.beta, rtol=1e-6)
    assert_allclose(sparse.se, dense.se, rtol=1e-5)
    grid = [0.0, 3.3, 9.0]
    assert_allclose(sparse.smooth("days", grid).se, dense.smooth("days", grid).se, rtol=1e-4)
    assert_allclose(
        sparse.random["subject"].conditional_cov, dense.random["subject"].conditional_cov, rtol=1e-4
    )


# ---- limits and invariances ----


def test_a_straight_line_needs_no_smooth() -> None:
    rng = np.random.default_rng(1)
    x = np.tile(np.linspace(0, 1, 20), 3)
    y = 1 + 2 * x
    y = y + np.tile([0.3, -0.5, 0.2], 20) + 1e-3 * rng.normal(size=60)
    fit = ms.lmm(y, ms.smooth(x=x, basis="cr", k=8))
    line = np.polynomial.Polynomial.fit(x, y, 1)(x)
    assert fit.edf["s(x)"] < 1.2
    assert_allclose(fit.fitted, line, atol=0.05)


def test_units_of_the_covariate_do_not_matter() -> None:
    years = ms.lmm(VOLVO.wear, ms.smooth(size=VOLVO.size, basis="cr", k=9))
    scaled = ms.lmm(VOLVO.wear, ms.smooth(size=5 + 1000 * VOLVO.size, basis="cr", k=9))
    assert_allclose(scaled.fitted, years.fitted, rtol=1e-6)
    assert_allclose(scaled.edf["s(size)"], years.edf["s(size)"], rtol=1e-5)


def test_order_of_rows_and_terms_does_not_matter() -> None:
    fit = gamm("cr")
    rows = np.random.default_rng(2).permutation(180)
    other = ms.lmm(
        SLEEP.reaction[rows],
        ms.group(subject=SLEEP.subject[rows]),
        ms.smooth(days=SLEEP.days[rows], basis="cr", k=10),
    )
    assert_allclose(other.criterion, fit.criterion, rtol=1e-11)
    assert_allclose(other.theta[::-1], fit.theta, rtol=1e-5, atol=1e-7)


def test_a_fit_is_the_sum_of_its_curves() -> None:
    rng = np.random.default_rng(8)
    t, x = rng.random((2, 60))
    y = 2 + np.sin(6 * t) + 3 * (x - 0.3) ** 2 - x + 0.2 * rng.normal(size=60)
    fit = ms.lmm(y, ms.smooth(t=t, basis="cr", k=8), ms.smooth(x=x, basis="ps", k=7))
    curves = fit.smooth("t", t), fit.smooth("x", x)
    assert_allclose(fit.beta[0] + curves[0].value + curves[1].value, fit.fitted, rtol=1e-9)
    for curve in curves:  # each sums to zero over the data
        assert_allclose(curve.value.sum(), 0, atol=1e-10)
    assert_allclose(1 + curves[0].edf + curves[1].edf, sum(fit.edf.values()), rtol=1e-12)


# ---- by, and random curves ----


def test_a_curve_for_each_level_is_a_model_for_each_level() -> None:
    # with a mean for each level, curves that share nothing but sigma
    rng = np.random.default_rng(3)
    x = np.tile(np.linspace(0, 1, 40), 2)
    g = np.repeat(["a", "b"], 40)
    y = np.where(g == "a", np.sin(6 * x), 3 + 4 * (x - 0.5) ** 2) + 0.1 * rng.normal(size=80)
    fit = ms.lmm(y, ms.linear(g=g), ms.smooth(x=x, by={"g": g}, basis="cr", k=8))
    assert set(fit.random) == {"s(x):g[a]", "s(x):g[b]"}
    truth = np.where(g == "a", np.sin(6 * x), 3 + 4 * (x - 0.5) ** 2)
    # five standard errors of a curve that leans on about a sixth of 40 rows with noise 0.1
    assert np.abs(fit.fitted - truth).max() < 0.2
    assert_allclose(fit.predict({"x": x, "g": g}), fit.fitted, rtol=1e-10)
    curve = fit.smooth("s(x):g[b]", [0.0, 0.5, 1.0])
    assert curve.value[1] < curve.value[0]
    with pytest.raises(ValueError, match="fits 2 smooths"):
        fit.smooth("x", [0.5])


def test_a_varying_coefficient() -> None:
    rng = np.random.default_rng(4)
    x, z = rng.uniform(size=(2, 300))
    y = 1 + z * (2 + np.cos(5 * x)) + 0.1 * rng.normal(size=300)
    fit = ms.lmm(y, ms.linear(z=z), ms.smooth(x=x, by={"z": z}, basis="cr", k=10))
    grid = np.linspace(0.02, 0.98, 9)
    slope = fit.beta[fit.names.index("z")] + fit.smooth("x", grid).value
    assert_allclose(slope, 2 + np.cos(5 * grid), atol=0.2)  # noise 0.1, few rows at each x


def test_random_curves_share_one_parameter() -> None:
    by = {"subject": SLEEP.subject}
    fit = ms.lmm(
        SLEEP.reaction,
        ms.linear(days=SLEEP.days),
        ms.group(subject=SLEEP.subject, days=SLEEP.days),
        ms.smooth(days=SLEEP.days, by=by, shared=True, basis="cr", k=5),
    )
    assert len(fit.theta) == 4
    curves = fit.random["subject.1"]
    assert curves.effects.shape == (18, 3)
    assert_allclose(curves.cov, curves.cov[0, 0] * np.eye(3), rtol=1e-12)
    seen = {"days": SLEEP.days, "subject": SLEEP.subject}
    assert_allclose(fit.predict(seen), fit.fitted, rtol=1e-10)
    # each curve by itself: what a subject has beside the lines
    lines = fit.beta[0] + fit.random["subject"].effects[:, 0]
    slopes = fit.beta[1] + fit.random["subject"].effects[:, 1]
    for level, (a, b) in enumerate(zip(lines, slopes, strict=True)):
        subject = fit.random["subject"].levels[level]
        curve = fit.smooth(f"s(days):subject[{subject}]", np.arange(10))
        rows = subject == SLEEP.subject
        assert_allclose(a + b * SLEEP.days[rows] + curve.value, fit.fitted[rows], rtol=1e-9)
    line = fit.predict({"days": [0, 9], "subject": ["new", "new"]}, new_levels="population")
    assert_allclose(line, fit.beta[0] + fit.beta[1] * np.array([0, 9]), rtol=1e-10)


# ---- bad input ----


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, r"smooth\(\) takes covariates by name.*found none"),
        ({"x": UNIT_SIZE, "z": UNIT_SIZE}, "basis 'cs' takes one covariate, found 2, x and z"),
        ({"x": UNIT_SIZE, "k": 20}, "x has 9 distinct values, fewer than the 20"),
        ({"x": np.ones(19)}, "x is constant"),
        ({"x": UNIT_SIZE, "basis": "te"}, "basis must be .*, found 'te'"),
        ({"x": UNIT_SIZE, "k": 5, "scaling": "none"}, 'scaling must be "norm" or "mean"'),
        (
            {"x": np.append(UNIT_SIZE[1:], np.nan)},
            r"x has 8 distinct values, .* \(in the 18 of 19 rows without missing values\)",
        ),
        ({"x": UNIT_SIZE, "k": 5, "shared": True}, "shared=True is for the curves of the levels"),
        ({"x": UNIT_SIZE, "k": 5, "by": {"z": [1.0]}}, "z has 1 rows where the other"),
        ({"x": UNIT_SIZE, "k": 5, "by": {}}, "by takes one column by name"),
        (
            {"x": UNIT_SIZE, "k": 5, "by": {"z": UNIT_SIZE}, "shared": True},
            "shared=True needs labels in by, and z has numbers",
        ),
    ],
)
def test_bad_smooths_are_told(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ms.smooth(**arguments)


def test_gcv_is_for_smooths_only() -> None:
    with pytest.raises(ValueError, match='method "GCV" is for models with smooths only'):
        ms.lmm(SLEEP.reaction, ms.group(subject=SLEEP.subject), method="GCV")


def test_unknown_smooths_and_values_outside_are_told() -> None:
    fit = ms.lmm(VOLVO.wear, ms.smooth(size=VOLVO.size, basis="ps", k=8))
    with pytest.raises(ValueError, match=r"'days' fits 0 smooths; the model has s\(size\)"):
        fit.smooth("days", [1.0])
    with pytest.raises(ValueError, match=r"size has 1 value.* outside the range"):
        fit.smooth("size", [2.0, 4.0])
    with pytest.raises(ValueError, match="data has no column size"):
        fit.predict({"days": [1.0]})
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        fit.smooth("size", [2.0]).interval(95)
