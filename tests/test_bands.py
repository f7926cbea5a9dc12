"""Bands for a whole curve, the difference of two curves, and the dense derivation of both."""

import pickle
from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy.special import ndtr

import mixedsmooth as ms
from mixedsmooth.derivations import bands as dense
from mixedsmooth.inference.bands import critical_value, path_length
from mixedsmooth.model import problem
from mixedsmooth.model.curves import chosen
from mixedsmooth.model.smooths import construct

FloatArray = NDArray[np.float64]

MCYCLE, SLEEP, EPIL = ms.load_mcycle(), ms.load_sleepstudy(), ms.load_epil()
GRID = np.linspace(2.4, 57.6, 2001)
SEED = 20_000


def accident() -> ms.Fit:
    return ms.lmm_formula('accel ~ s(time, bs="cr", k=20)', MCYCLE)


def two_curves(shared: bool = False, crossed: bool = False) -> ms.Fit:
    """Curves of three levels, with a parameter each, or a common one; other groups across them."""
    rng = np.random.default_rng(3)
    x, g = rng.uniform(size=90), np.repeat(["a", "b", "c"], 30)
    y = np.where(g == "a", np.sin(6 * x), 4 * (x - 0.5) ** 2) + 0.3 * rng.normal(size=90)
    h = np.arange(90) % 7
    if crossed:
        y = y + 0.5 * rng.normal(size=7)[h]
    smooth = ms.smooth(x=x, by={"g": g}, basis="cr", k=6, shared=shared)
    means = ms.group(g=g, x=x) if shared else ms.linear(g=g)
    return ms.lmm(y, means, smooth, *([ms.group(h=h)] if crossed else []))


def posterior(fit: ms.Fit, W: FloatArray | float = 1.0) -> tuple[FloatArray, Callable[..., slice]]:
    """Dense covariance of (b, beta) in the user's units, and where a level of a term stands."""
    frame = fit.model.frame
    blocks, roots, sizes = [], [], []
    for g, r in zip(fit.model.groups, fit.random.values(), strict=True):
        columns, codes = np.column_stack(g.columns(frame)), g.codes(frame)
        for level in range(len(g.levels)):
            blocks.append(columns * (codes == level)[:, None])
            d, U = np.linalg.eigh(r.cov)
            roots.append(U * np.sqrt(np.maximum(d, 0)))
        sizes.append((len(g.levels), columns.shape[1]))
    X = [column for part in fit.model.fixed for column in part.columns(frame)]
    C = np.column_stack([*blocks, *X])
    outward = scipy.linalg.block_diag(*roots, np.eye(len(X)))  # a variance may be zero
    C = C @ outward
    S = np.diag(np.append(np.full(len(outward) - len(X), fit.sigma**2), np.zeros(len(X))))
    at = np.cumsum([0, *(m * k for m, k in sizes)])

    def place(term: int, level: int) -> slice:
        k = sizes[term][1]
        return slice(at[term] + level * k, at[term] + (level + 1) * k)

    CW = (C.T * W) @ C
    return fit.sigma**2 * outward @ np.linalg.inv(CW + S) @ outward.T, place


# ---- the motorcycle ----


def test_the_fit_and_its_standard_errors_are_those_of_mgcv() -> None:
    # reference_more.json, mcycle_band$cr: mgcv 1.8-41,
    # gam(accel ~ s(times, bs = "cr", k = 20), data = mcycle, method = "REML")
    fit = accident()
    assert_allclose(fit.criterion / 2, 616.0093804833, rtol=1e-11)
    assert_allclose(fit.edf["s(time)"], 11.78490409608, rtol=1e-6)
    assert_allclose(fit.sigma**2, 509.01210690942, rtol=1e-7)
    curve = fit.smooth("time", [2.4, 16.2, 30, 43.8, 57.6], intercept=True)
    se = [12.47351090854, 4.43305579455, 7.54298842245, 7.38571290403, 16.70560036936]
    assert_allclose(curve.se, se, rtol=1e-7)
    # with the intercept the curve is the mean
    assert_allclose(
        fit.smooth("time", MCYCLE.time, intercept=True).value, fit.fitted, rtol=0, atol=1e-9
    )


def test_the_critical_value_is_that_of_the_tube_over_the_path_of_mgcv() -> None:
    curve = accident().smooth("time", GRID, intercept=True)
    rows = curve.root(GRID)
    # the same script: kappa over 2001 points, the root of the formula by uniroot(tol = 1e-12)
    kappa, critical = 25.29043761827, 3.19675430452
    assert_allclose(dense.path_length(rows, np.eye(rows.shape[1])), kappa, rtol=1e-8)
    for solve in (critical_value, dense.critical_value):
        assert_allclose(solve(kappa, 0.95), critical, rtol=1e-10)
    # over a path divided more finely kappa is a little longer: by 2e-5, so that c rises by 1e-5
    assert kappa < curve.kappa < kappa * (1 + 3e-5)
    assert_allclose(curve.critical(), critical, rtol=3e-6)
    # the same script: 100,000 draws, quantile 3.18666; five standard errors of that of 20,000
    # are 0.05 (the density of the largest error at 3.19 is 0.16)
    drawn = dense.simulated_critical_value(rows[::5], np.eye(rows.shape[1]), n=20_000, seed=SEED)
    assert abs(drawn - 3.18666376583) < 0.05


def test_a_band_holds_whole_curves_as_often_as_it_says() -> None:
    fit = accident()
    rng = np.random.default_rng(SEED)
    curve = fit.smooth("time", GRID[::5], intercept=True)
    errors = curve.root(curve.x) @ rng.standard_normal((len(curve.root(GRID[:1])[0]), 20_000))
    for level in (0.8, 0.95, 0.99):
        half = curve.interval(level, simultaneous=True)[1] - curve.value
        share = np.mean(np.all(np.abs(errors) <= half[:, None], axis=0))
        # where tubes overlap the formula counts twice, which makes the band wider: by what is seen
        # here, a hundredth at 80 %; four standard errors of the share of 20,000
        four = 4 * np.sqrt(level * (1 - level) / 20_000)
        assert level - four < share < level + 0.1 * (1 - level) + four
        points = curve.interval(level)[1] - curve.value
        assert abs(np.mean(np.abs(errors) <= points[:, None]) - level) < 0.01
        assert np.mean(np.all(np.abs(errors) <= points[:, None], axis=0)) < level - 0.05


def test_the_engine_has_the_curve_of_the_dense_derivation() -> None:
    fit = accident()
    made = construct(MCYCLE.time, "cr", 20)
    X = np.column_stack([np.ones(133), made.fixed(MCYCLE.time)])
    tau = fit.random["s(time)"].sd[0]
    V = dense.posterior_covariance(X, made.random(MCYCLE.time), tau, fit.sigma)
    for intercept in (0.0, 1.0):
        rows = np.column_stack([np.full(2001, intercept), made.fixed(GRID), made.random(GRID)])
        curve = fit.smooth("time", GRID, intercept=bool(intercept))
        assert_allclose(curve.se, np.sqrt(np.einsum("ij,jk,ik->i", rows, V, rows)), rtol=1e-8)
        own = curve.root(GRID)
        assert_allclose(
            dense.path_length(own, np.eye(own.shape[1])), dense.path_length(rows, V), rtol=1e-8
        )


# ---- what a path is not changed by, and where it has no length ----


@pytest.mark.parametrize(("unit", "origin", "of_y"), [(60.0, 0, 1), (1, 2000.0, 1), (1, 0, 1e-6)])
def test_units_do_not_matter(unit: float, origin: float, of_y: float) -> None:
    x = origin + unit * MCYCLE.time
    other = ms.lmm(of_y * MCYCLE.accel, ms.smooth(x=x, basis="cr", k=12))
    fit = ms.lmm(MCYCLE.accel, ms.smooth(x=MCYCLE.time, basis="cr", k=12))
    ends = np.array([2.4, 57.6])
    for intercept in (False, True):
        kappa = fit.smooth("x", ends, intercept=intercept).kappa
        found = other.smooth("x", origin + unit * ends, intercept=intercept)
        assert_allclose(found.kappa, kappa, rtol=1e-5)
        assert_allclose(found.se, of_y * fit.smooth("x", ends, intercept=intercept).se, rtol=1e-5)


def test_the_range_of_the_grid_counts_and_not_its_points() -> None:
    fit = accident()
    whole = fit.smooth("time", GRID).kappa
    assert fit.smooth("time", [57.6, 2.4]).kappa == whole
    left, right = (fit.smooth("time", ends).kappa for ends in ([2.4, 20.0], [20.0, 57.6]))
    assert_allclose(left + right, whole, rtol=1e-5)


def test_a_point_is_a_band_of_one() -> None:
    curve = accident().smooth("time", [20.0])
    assert curve.kappa == 0
    assert_allclose(curve.interval(simultaneous=True), curve.interval(), rtol=1e-12)


def test_a_straight_line_has_a_path_in_closed_form() -> None:
    x = np.arange(20.0)
    rng = np.random.default_rng(1)
    fit = ms.lmm(x + rng.normal(size=20), ms.smooth(x=x, basis="cr", k=8)).refit(theta=[0.0])
    # its error is the slope's alone, which crosses zero: one direction, and so no length
    line = fit.smooth("x", [0.0, 7.0, 19.0])
    assert_allclose(line.kappa, 0, atol=1e-7)
    assert_allclose(line.critical(), 1.959963984540054, rtol=1e-7)
    # with a mean of variance 1/20 and a slope of 1/665 about 9.5, an angle of two arctan
    curve = fit.smooth("x", [0.0, 19.0], intercept=True)
    assert_allclose(curve.kappa, 2 * np.arctan(9.5 * np.sqrt(20 / 665)), rtol=1e-5)


def test_a_curve_without_error_has_a_band_without_width() -> None:
    x = np.arange(20.0)
    y = np.sin(x)
    fit = ms.lmm(y, ms.smooth(x=x, basis="cs", k=8)).refit(theta=[0.0])
    curve = fit.smooth("x", x)
    assert_array_equal(curve.se, 0)
    assert curve.kappa == 0
    assert_array_equal(curve.interval(simultaneous=True), np.zeros((2, 20)))


@pytest.mark.parametrize("level", [1e-12, 0.01, 0.5, 0.999999, 1 - 1e-14])
@pytest.mark.parametrize("kappa", [0.0, 1e-9, 3.0, 1e4])
def test_the_formula_is_solved_at_any_level(level: float, kappa: float) -> None:
    c = critical_value(kappa, level)
    # bisection to 1e-12 in c, where the probability has a slope below 1.1 c times itself
    assert_allclose(dense.exceedance(c, kappa), 1 - level, rtol=1e-10, atol=0 if c > 1e-3 else 1e-9)
    assert c <= critical_value(kappa + 1.0, level)
    assert c <= critical_value(kappa, (1 + level) / 2)


def test_a_path_is_followed_as_finely_as_it_winds() -> None:
    # a circle that is run through 50 times: chords of 2^9 steps are 0.6 % too short
    def winding(x: FloatArray) -> FloatArray:
        return np.column_stack([np.cos(50 * x), np.sin(50 * x)]) * (1 + x[:, None])

    assert_allclose(path_length(winding, 0.0, 2 * np.pi), 100 * np.pi, rtol=2e-5)


# ---- the difference of two curves ----


@pytest.mark.parametrize("crossed", [False, True])
@pytest.mark.parametrize("shared", [False, True])
def test_a_difference_has_the_joint_covariance(shared: bool, crossed: bool) -> None:
    fit = two_curves(shared, crossed)
    one, other = ("s(x):g[a]", "s(x):g[b]")
    grid = np.linspace(0.02, 0.98, 9)
    curves = fit.smooth(one, grid), fit.smooth(other, grid)
    difference = fit.smooth(one, grid, minus=other)
    assert difference.label == "s(x):g[a] - s(x):g[b]"
    assert_allclose(difference.value, curves[0].value - curves[1].value, rtol=1e-10, atol=1e-12)
    V, place = posterior(fit)
    rows = np.zeros((9, len(V)))
    for sign, at in zip((1, -1), chosen(fit.model, one, other, intercept=False)[0], strict=True):
        B = sign * at.basis.columns(grid)
        (block,) = at.blocks
        rows[:, place(*block)] = B @ at.random
        for j, column in zip(at.fixed, (B @ at.free).T, strict=True):
            rows[:, len(V) - len(fit.beta) + j] = column
    assert_allclose(difference.se, np.sqrt(np.einsum("ij,jk,ik->i", rows, V, rows)), rtol=1e-6)
    # the covariance of the two curves matters, if they share a line, or other groups
    apart = np.hypot(curves[0].se, curves[1].se)
    assert (np.abs(difference.se / apart - 1).max() > 1e-4) == (shared or crossed)
    # both ways the same
    back = fit.smooth(other, grid, minus=one)
    assert_allclose(back.value, -difference.value, rtol=1e-12)
    assert_allclose(back.se, difference.se, rtol=1e-9)
    assert_allclose(back.kappa, difference.kappa, rtol=1e-6)
    assert difference.critical() > 2.3
    expected = fit.edf["g.1"] if shared else curves[0].edf + curves[1].edf
    assert_allclose(difference.edf, expected, rtol=1e-12)


def test_a_difference_of_counts_has_the_weights_of_the_mode() -> None:
    rng = np.random.default_rng(5)
    x, g = rng.uniform(size=160), np.repeat(["a", "b"], 80)
    y = rng.poisson(np.exp(1 + np.where(g == "a", np.sin(6 * x), 2 * x)))
    fit = ms.glmm(y, ms.linear(g=g), ms.smooth(x=x, by={"g": g}, basis="cs", k=6))
    grid = np.linspace(0.05, 0.95, 5)
    difference = fit.smooth("s(x):g[a]", grid, minus="s(x):g[b]")
    V, place = posterior(fit, np.asarray(fit.fitted))
    rows = np.zeros((5, len(V)))
    curves, _ = chosen(fit.model, "s(x):g[a]", "s(x):g[b]", intercept=False)
    for sign, at in zip((1, -1), curves, strict=True):
        (block,) = at.blocks
        rows[:, place(*block)] = sign * at.basis.columns(grid) @ at.random
    assert_allclose(difference.se, np.sqrt(np.einsum("ij,jk,ik->i", rows, V, rows)), rtol=1e-6)


def test_the_sparse_engine_agrees_on_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    dense_fit = two_curves(shared=True, crossed=True)
    monkeypatch.setattr(problem, "DENSE_TAIL", 0)
    sparse_fit = two_curves(shared=True, crossed=True)
    assert type(sparse_fit.factorization) is not type(dense_fit.factorization)
    held = sparse_fit.refit(theta=dense_fit.theta)
    for name in ("a", "c"):
        wanted, found = (
            fit.smooth(f"s(x):g[{name}]", [0.2, 0.9], minus="s(x):g[b]")
            for fit in (dense_fit, held)
        )
        assert_allclose(found.se, wanted.se, rtol=1e-6)


def test_a_difference_of_curves_that_vanished_is_known() -> None:
    fit = two_curves(shared=True)
    none = fit.refit(theta=[*fit.theta[:3], 0.0])
    curve = none.smooth("s(x):g[a]", [0.1, 0.5], minus="s(x):g[b]")
    assert_array_equal(curve.se, 0)
    assert curve.kappa == 0


def test_a_curve_can_be_stored() -> None:
    curve = accident().smooth("time", [3.0, 30.0], intercept=True)
    assert pickle.loads(pickle.dumps(curve)).kappa == curve.kappa


# ---- what they refuse ----


@pytest.mark.parametrize(
    ("message", "wrong"),
    [
        ("minus is .* itself", lambda fit: fit.smooth("s(x):g[a]", [0.5], minus="s(x):g[a]")),
        ("minus 's.z.' fits 0 smooths", lambda fit: fit.smooth("s(x):g[a]", [0.5], minus="s(z)")),
        ("minus 'x' fits 3", lambda fit: fit.smooth("s(x):g[a]", [0.5], minus="x")),
        (
            "no part of a difference",
            lambda fit: fit.smooth("s(x):g[a]", [0.5], minus="s(x):g[b]", intercept=True),
        ),
        ("intercept must be", lambda fit: fit.smooth("s(x):g[a]", [0.5], intercept="yes")),
        (
            "simultaneous must be",
            lambda fit: fit.smooth("s(x):g[a]", [0.5]).interval(simultaneous=1),
        ),
        ("level must be", lambda fit: fit.smooth("s(x):g[a]", [0.5]).critical(95)),
    ],
)
def test_bad_curves_are_told(message: str, wrong: Callable[[ms.Fit], object]) -> None:
    fit = two_curves()
    with pytest.raises(ValueError, match=message):
        wrong(fit)


def test_curves_without_an_intercept_and_of_two_covariates_are_told() -> None:
    rng = np.random.default_rng(2)
    x, z, y = rng.normal(size=(3, 60))
    terms = ms.smooth(x=x, k=5), ms.smooth(z=z, k=5)
    with pytest.raises(ValueError, match=r"minus s\(z\) is a smooth over z, and s\(x\) over x"):
        ms.lmm(y, *terms).smooth("x", [0.0], minus="z")
    bare = ms.lmm(y, ms.linear(z=z, intercept=False), terms[0])
    with pytest.raises(ValueError, match="intercept is True, and the model has none"):
        bare.smooth("x", [0.0], intercept=True)
    with pytest.warns(UserWarning, match="add z to linear"):
        varying = ms.lmm(y, ms.smooth(x=x, by={"z": z}, k=5))
    with pytest.raises(ValueError, match=r"X does not have z, whose coefficient s\(x\):z is"):
        varying.smooth("x", [0.0], intercept=True)


def test_a_coefficient_with_its_mean_is_what_is_predicted_for_one() -> None:
    rng = np.random.default_rng(3)
    x, z, noise = rng.random((3, 80))
    y = z * (2 + np.sin(6 * x)) + noise / 3
    terms = ms.linear(z=z, intercept=False), ms.smooth(x=x, basis="cr", k=6, by={"z": z})
    fit, at = ms.lmm(y, *terms), np.linspace(0.1, 0.9, 5)
    one = fit.predict_interval({"x": at, "z": np.ones(5)})
    curve = fit.smooth("x", at, intercept=True)
    np.testing.assert_allclose(curve.value, one.value, rtol=1e-9)
    np.testing.assert_allclose(curve.se, one.se, rtol=1e-9)
    assert np.abs(curve.value - fit.smooth("x", at).value - fit.beta[0]).max() < 1e-9


# ---- the dense derivation ----


def test_coverage_of_one_curve_is_the_exact_one() -> None:
    x = np.linspace(0, 1, 60)
    X = np.column_stack([np.ones(60), x])
    Z = np.maximum(x[:, None] - np.linspace(0.05, 0.95, 15), 0)
    f, tau, sigma = np.sin(2 * np.pi * x) * np.exp(-2 * x), 8.0, 0.2
    V = dense.posterior_covariance(X, Z, tau, sigma)
    C = np.hstack([X, Z])
    H = C @ V @ C.T / sigma**2
    se, sd, bias = np.sqrt(np.diag(C @ V @ C.T)), sigma * np.linalg.norm(H, axis=1), H @ f - f
    c = dense.critical_value(dense.path_length(C, V))
    for critical in (1.959964, c):
        found = dense.coverage(f, X, Z, tau, sigma, critical, n=4000, seed=2)
        exact = ndtr((critical * se - bias) / sd) - ndtr((-critical * se - bias) / sd)
        assert_allclose(found.at, exact, atol=4.5 * 0.5 / np.sqrt(4000))
        assert_allclose(found.average, found.at.mean(), rtol=1e-12)
        assert found.everywhere <= found.at.min()
        if critical < c:  # on average over x, and not everywhere at once
            assert abs(found.average - 0.95) < 0.03
            assert found.everywhere < 0.7
        else:
            assert found.everywhere > 0.93


@pytest.mark.parametrize(
    ("message", "wrong"),
    [
        ("tau must be", lambda: dense.posterior_covariance([[1], [1]], [[1], [0]], 0, 1)),
        ("sigma must be", lambda: dense.posterior_covariance([[1], [1]], [[1], [0]], 1, -1)),
        ("Z has 1 row", lambda: dense.posterior_covariance([[1], [1]], [[1]], 1, 1)),
        ("X is not of full", lambda: dense.posterior_covariance(np.ones((3, 2)), np.eye(3), 1, 1)),
        ("rows must have 2 columns", lambda: dense.path_length([[1.0]], np.eye(2))),
        ("V is not positive", lambda: dense.path_length([[1.0, 0]], -np.eye(2))),
        ("level must be", lambda: dense.critical_value(3.0, 1)),
        ("n must be", lambda: dense.simulated_critical_value([[1]], [[1]], n=0)),
        ("seed must be", lambda: dense.simulated_critical_value([[1]], [[1]], seed=-1)),
        ("f has 1 row", lambda: dense.coverage([1], [[1], [1]], [[1], [0]], 1, 1, 2)),
        ("critical must be", lambda: dense.coverage([1, 1], [[1], [1]], [[1], [0]], 1, 1, 0)),
    ],
)
def test_bad_derivations_are_told(message: str, wrong: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()


def test_a_curve_is_shown_without_the_rows_it_is_made_from() -> None:
    shown = repr(accident().smooth("time", [10.0, 20.0]))
    assert shown.startswith("Curve(label='s(time)', x=array([10., 20.]), value=array(")
    assert len(shown) < 200
