"""Smooths of one covariate or more: against mgcv and gstat, their definitions, changes of units."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

import mixedsmooth as ms
from mixedsmooth.kernels import KERNELS, correlation
from mixedsmooth.model import bases
from mixedsmooth.model.bases import cc, cr, gp, range_bounds, tp
from mixedsmooth.model.smooths import construct, split

FloatArray = NDArray[np.float64]

# mgcv 1.8-41 and gstat 2.1.0 under R 4.2.2, the calls are in the entries: make_surfaces.R
HERE = Path(__file__).parent / "reference"
SURFACES: dict[str, Any] = json.loads((HERE / "surfaces.json").read_text())
TERMS: dict[str, Any] = json.loads((HERE / "terms.json").read_text())  # make_terms.R
DATA = {name: np.array(column) for name, column in SURFACES["data"].items()}
AT = {name: np.array(column) for name, column in SURFACES["at"].items()}
F = DATA["f"]


def of(*names: str, **options: Any) -> Any:
    """Return a smooth of columns of the data."""
    return ms.smooth({name: DATA[name] for name in names}, **options)


def season(k: int) -> Any:
    return of("hour", basis="cc", k=k, period=(0, 24))


MODELS: dict[str, list[Any]] = {
    "tp_1": [of("y", basis="tp", k=12)],
    "tp_2": [of("x", "y", basis="tp", k=15)],
    "tp_2_ml": [of("x", "y", basis="tp", k=15)],
    "tp_2_weights": [of("x", "y", basis="tp", k=30)],
    "tp_3": [of("x", "y", "z", basis="tp", k=24)],
    "tp_levels": [
        ms.linear(site=DATA["site"]),
        of("x", "y", basis="tp", k=12, by={"site": DATA["site"]}),
    ],
    "gp_spherical": [of("x", "y", basis="gp", k=20, kernel="spherical", range=60)],
    "gp_exponential": [of("x", "y", "z", basis="gp", k=25, kernel="exponential", range=40)],
    "gp_matern32": [of("x", "y", basis="gp", k=20, kernel="matern32", range=15)],
    "gp_1": [of("x", basis="gp", k=12, range=5)],
    "cc_period": [season(9)],
    "together": [of("x", "y", basis="tp", k=20), of("z", basis="cr", k=5), season(8)],
}


def smooth_edf(fit: ms.Fit) -> list[float]:
    return [value for name, value in fit.edf.items() if name != "fixed"]


# ---- mgcv ----


@pytest.mark.parametrize("key", list(MODELS))
def test_fit_is_mgcvs(key: str) -> None:
    want = SURFACES[key]
    weights = DATA["w"] if "weights" in key else None
    method: Any = "ML" if "ml" in key else "REML"
    fit = ms.lmm(F, *MODELS[key], weights=weights, method=method)
    # mgcv's search stops at a slope below 1e-9 of the criterion
    assert_allclose(fit.criterion, want["criterion"], rtol=1e-9)
    assert_allclose(smooth_edf(fit), np.atleast_1d(want["edf"]), rtol=1e-6)
    spread = np.ptp(want["fitted"])
    assert_allclose(fit.fitted, want["fitted"], rtol=0, atol=1e-7 * spread)
    # also outside of the data
    prediction = fit.predict_interval(AT)
    assert_allclose(prediction.value, want["predicted"], rtol=0, atol=1e-6 * spread)
    if method == "REML":  # by ML mgcv divides by n minus degrees of freedom
        assert_allclose(fit.sigma, want["sigma"], rtol=1e-7)
        assert_allclose(prediction.se, want["se"], rtol=1e-6)


def of_terms(case: str) -> tuple[ms.Fit, dict[str, Any]]:
    """Fit of a data set of the book, and what mgcv says of it."""
    mcycle, ethanol, co2 = ms.load_mcycle(), ms.load_ethanol(), ms.load_co2()
    year = ms.smooth(year=co2.year, basis="cr", k=20)
    month = ms.smooth(month=co2.month, basis="cc", k=12, period=(0.5, 12.5))
    data, key = case.split()
    models: dict[str, list[Any]] = {
        "tp20": [mcycle.accel, ms.smooth(time=mcycle.time, basis="tp", k=20)],
        "gp": [mcycle.accel, ms.smooth(time=mcycle.time, basis="gp", k=20, range=10)],
        "tp": [ethanol.nox, ms.smooth(e=ethanol.equivalence, basis="tp")],
        "season": [co2.co2, year, month],
    }
    y, *terms = models[key]
    return ms.lmm(y, *terms), TERMS[data][key]


@pytest.mark.parametrize("case", ["mcycle tp20", "mcycle gp", "ethanol tp", "co2 season"])
def test_data_of_the_book(case: str) -> None:
    fit, want = of_terms(case)
    # mgcv stopped by its default tolerance, where the criterion is flat
    assert_allclose(fit.criterion / 2, want["reml"], rtol=1e-9)
    assert_allclose(smooth_edf(fit), np.atleast_1d(want["edf"]), rtol=2e-6)
    assert_allclose(fit.fitted, want["fitted"], rtol=0, atol=1e-6 * np.ptp(want["fitted"]))


# ---- kriging ----


@pytest.mark.parametrize(
    ("model", "kernel"), [("Exp", "exponential"), ("Sph", "spherical"), ("Gau", "gaussian")]
)
def test_a_process_without_trend_is_ordinary_kriging(model: str, kernel: str) -> None:
    want = SURFACES[f"krige_{model}"]  # variance 0.5, range 30, nugget 0.2
    places, rows = np.unique(np.c_[DATA["x"], DATA["y"]], axis=0, return_index=True)
    x, y = places.T
    term = ms.smooth(x=x, y=y, basis="gp", kernel=kernel, range=30, trend=False)
    fit = ms.lmm(F[rows], term, sigma=np.sqrt(0.2)).refit(theta=[np.sqrt(0.5 / 0.2)])
    prediction = fit.predict_interval(AT, kind="prediction")
    # K of the Gaussian kernel has a condition of 1e16
    assert_allclose(prediction.value, want["prediction"], rtol=1e-7)
    assert_allclose(prediction.se**2, want["variance"], rtol=1e-7)


def test_meuse_is_that_of_nlme_and_gstat() -> None:
    want, krige = TERMS["meuse"]["gls_exp"], TERMS["meuse"]["universal_kriging"]
    meuse = ms.load_meuse()
    fit = ms.lmm(
        np.log(meuse.zinc),
        ms.linear(root=np.sqrt(meuse.distance)),
        ms.smooth(
            x=meuse.x,
            y=meuse.y,
            basis="gp",
            kernel="exponential",
            range=want["range"],
            trend=False,
        ),
    )
    assert_allclose(fit.criterion, -2 * want["loglik"], rtol=1e-11)
    assert_allclose(fit.beta, want["beta"], rtol=1e-6)
    tau2 = fit.random["s(x, y)"].cov[0, 0]
    assert_allclose(fit.sigma**2 / (fit.sigma**2 + tau2), want["nugget_share"], rtol=1e-6)
    assert_allclose(np.sqrt(fit.sigma**2 + tau2), want["sigma"], rtol=1e-6)
    new = {"x": krige["x"], "y": krige["y"], "root": np.sqrt(krige["distance"])}
    prediction = fit.predict_interval(new, kind="prediction")
    assert_allclose(prediction.value, krige["prediction"], rtol=1e-6)
    assert_allclose(prediction.se**2, krige["variance"], rtol=1e-6)


# ---- definitions ----


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("kernel", KERNELS)
def test_columns_of_a_process_have_its_covariance(kernel: str, d: int) -> None:
    x = np.random.default_rng(d).random((30, d))
    smooth = construct(
        {f"x{j}": x[:, j] for j in range(d)}, "gp", kernel=kernel, range=0.4, trend=False
    )
    assert smooth.fixed(*x.T).shape == (30, 0)
    K = correlation(kernel, cdist(x, x) / 0.4)
    Z = smooth.random(*x.T)
    assert_allclose(Z @ Z.T, K, rtol=0, atol=1e-12)
    # elsewhere: k(x_0, x) times what solves K, which is kriging
    at = np.random.default_rng(d + 9).random((5, d))
    k_0 = correlation(kernel, cdist(at, x) / 0.4)
    assert_allclose(smooth.random(*at.T) @ Z.T, k_0, rtol=0, atol=1e-8)


def test_a_trend_is_free_and_centered() -> None:
    x, y = DATA["x"], DATA["y"]
    smooth = construct({"x": x, "y": y}, "gp", k=20, range=30.0)
    lines = smooth.fixed(x, y)
    assert lines.shape == (120, 2)
    both = np.column_stack([np.ones(120), x, y])
    left = lines - both @ np.linalg.lstsq(both, lines, rcond=None)[0]
    assert np.abs(left).max() < 1e-10 * np.abs(lines).max()
    assert_allclose(np.r_[lines.sum(axis=0), smooth.random(x, y).sum(axis=0)], 0, atol=1e-9)


def test_thin_plate_spline_of_all_points_is_the_natural_cubic_spline() -> None:
    # in one dimension both minimize the integral of the squared second derivative
    y = np.round(DATA["y"], -1)
    k = len(np.unique(y))
    one = ms.lmm(F, ms.smooth(y=y, basis="tp", k=k))
    two = ms.lmm(F, ms.smooth(y=y, basis="cr", k=k))
    assert_allclose(one.fitted, two.fitted, rtol=0, atol=1e-6)
    assert_allclose(one.edf["s(y)"], two.edf["s(y)"], rtol=1e-5)
    at = {"y": [y.min() + 3.3, y.max() + 5.0]}
    assert_allclose(one.predict(at), two.predict(at), atol=1e-5)
    # the penalties are the same numbers, but for the constant 1/12 in r^3/12
    slope, distinct = np.linspace(-1, 1, k), np.unique(y)
    S_one, S_two = (
        np.linalg.solve(B.T, np.linalg.solve(B.T, basis.S).T)
        for basis in (tp(y, k=k), cr(y, k))
        for B in [basis.columns(distinct)]
    )
    assert_allclose(slope @ S_one @ slope, slope @ S_two @ slope, atol=1e-9)
    assert_allclose(S_one, S_two, rtol=0, atol=1e-6 * np.abs(S_two).max())


@pytest.mark.parametrize("d", [1, 2, 3])
def test_polynomials_have_no_penalty(d: int) -> None:
    x = np.random.default_rng(d).normal(size=(80, d)) * 100 + 2000
    basis = tp(*x.T, k={1: 8, 2: 12, 3: 22}[d])
    m = {1: 2, 2: 2, 3: 3}[d]
    z = (x - 2000) / 100
    wanted = [np.ones(80), *z.T]
    if m == 3:
        wanted += [z[:, i] * z[:, j] for i in range(d) for j in range(i + 1)]
    B = basis.columns(*x.T)
    beta = np.linalg.lstsq(B, np.column_stack(wanted), rcond=None)[0]
    assert_allclose(B @ beta, np.column_stack(wanted), atol=1e-9)
    assert np.abs(basis.root @ beta).max() < 1e-8 * np.abs(basis.root).max()
    assert np.linalg.matrix_rank(basis.root) == B.shape[1] - len(wanted)
    assert_allclose((B[:, -len(wanted) :] ** 2).mean(axis=0), 1, rtol=1e-12)


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("basis", ["tp", "gp"])
def test_rotating_and_shifting_the_covariates_changes_nothing(basis: str, d: int) -> None:
    rng = np.random.default_rng(d)
    x = rng.normal(size=(90, d))
    y = np.sin(2 * x[:, 0]) + x[:, 1] ** 2 + 0.3 * rng.normal(size=90)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    options: dict[str, Any] = {"range": 1.5} if basis == "gp" else {}

    def fitted(places: FloatArray) -> tuple[float, FloatArray]:
        columns = {f"x{j}": places[:, j] for j in range(d)}
        fit = ms.lmm(y, ms.smooth(columns, basis=basis, k=25, **options))
        return fit.criterion, fit.fitted

    one, other = fitted(x), fitted(x @ turn + 7)
    assert_allclose(other[1], one[1], rtol=0, atol=1e-7)
    if basis == "gp":  # whose lines keep their length; those of tp are scaled by the data
        assert_allclose(other[0], one[0], rtol=1e-9)


@pytest.mark.parametrize("basis", ["tp", "gp"])
def test_order_of_covariates_and_of_rows_changes_nothing(basis: str) -> None:
    options: dict[str, Any] = {"range": 40.0} if basis == "gp" else {}
    fit = ms.lmm(F, of("x", "y", basis=basis, k=20, **options))
    other = ms.lmm(F, of("y", "x", basis=basis, k=20, **options))
    assert_allclose(other.criterion, fit.criterion, rtol=1e-11)
    assert_allclose(other.fitted, fit.fitted, atol=1e-7)
    assert list(other.edf) == ["fixed", "s(y, x)"]
    rows = np.random.default_rng(3).permutation(120)
    columns = {name: DATA[name][rows] for name in ("x", "y")}
    moved = ms.lmm(F[rows], ms.smooth(columns, basis=basis, k=20, **options))
    assert_allclose(moved.criterion, fit.criterion, rtol=1e-11)
    assert_allclose(moved.fitted, fit.fitted[rows], atol=1e-7)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_units_of_the_covariates(factor: float) -> None:
    x, y = factor * DATA["x"], factor * DATA["y"]
    at = {"x": factor * AT["x"], "y": factor * AT["y"]}
    fit = ms.lmm(F, of("x", "y", basis="gp", k=20, range=40))
    moved = ms.lmm(F, ms.smooth(x=x, y=y, basis="gp", k=20, range=40 * factor))
    assert_allclose(moved.fitted, fit.fitted, atol=1e-7)
    assert_allclose(moved.predict(at), fit.predict(AT), atol=1e-6)
    # a line is factor times as long: 2 log(factor) for each of the two free columns
    assert_allclose(moved.criterion, fit.criterion + 4 * np.log(factor), rtol=1e-9)
    curve = ms.lmm(F, of("y", basis="tp", k=12))
    moved = ms.lmm(F, ms.smooth(y=y, basis="tp", k=12))
    assert_allclose(moved.criterion, curve.criterion, rtol=1e-10)
    assert_allclose(moved.predict(at), curve.predict(AT), atol=1e-6)


def test_leading_eigenvectors_of_many_points_are_those_of_the_whole() -> None:
    # beyond `SMALL` points some eigenvectors are found by Lanczos' method
    x, y = np.random.default_rng(2).random((2, 600))
    A = bases._thin_plate(cdist(np.c_[x, y], np.c_[x, y]), 2, 2)
    v, U = bases._leading(A, 20)
    values = np.linalg.eigvalsh(A)
    assert_allclose(v, values[np.argsort(-np.abs(values))][:20], rtol=1e-10)
    assert_allclose(A @ U, U * v, atol=1e-9 * np.abs(v[0]))


def test_blocks_of_rows_are_put_together(monkeypatch: pytest.MonkeyPatch) -> None:
    basis = tp(DATA["x"], DATA["y"], k=15)
    whole = basis.columns(DATA["x"], DATA["y"])
    monkeypatch.setattr(bases, "CELLS", 700)
    assert_allclose(basis.columns(DATA["x"], DATA["y"]), whole, atol=1e-12)


def test_more_than_two_thousand_points() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.random((2, 2500))
    f = np.sin(6 * x) * y + 0.1 * rng.normal(size=2500)
    for basis, options in (("tp", {}), ("gp", {"range": 0.3})):
        term = ms.smooth(x=x, y=y, basis=basis, k=40, **options)  # type: ignore[arg-type]
        knots = term.random[0].parts[0].basis.knots  # type: ignore[attr-defined]
        assert knots.shape == (2000, 2)
        assert (
            len(np.unique(np.vstack([knots, np.c_[x, y]]), axis=0)) == 2500
        )  # they are of the data
        rows = rng.permutation(2500)
        again = ms.smooth(x=x[rows], y=y[rows], basis=basis, k=40, **options)  # type: ignore[arg-type]
        assert_array_equal(again.random[0].parts[0].basis.knots, knots)  # type: ignore[attr-defined]
        fit = ms.lmm(f, term)
        assert 0.095 < fit.sigma < 0.105


# ---- covariance matrices that are nearly singular ----


@pytest.mark.parametrize("kernel", KERNELS)
def test_locations_that_nearly_coincide(kernel: str) -> None:
    rng = np.random.default_rng(4)
    x = np.r_[rng.random(40), rng.random(3)]
    x[40:] = x[:3] + 1e-13
    y = np.sin(6 * x) + 0.1 * rng.normal(size=43)
    at = {"x": np.linspace(0.05, 0.95, 50)}
    for reach in (0.5, 1000.0):
        fit = ms.lmm(y, ms.smooth(x=x, basis="gp", kernel=kernel, range=reach, trend=False))
        assert np.isfinite(fit.criterion)
        assert_allclose(fit.predict({"x": x}), fit.fitted, atol=1e-6)
        if reach == 0.5:
            assert np.abs(fit.predict(at) - np.sin(6 * at["x"])).max() < 0.25


def test_eigenvalues_below_rounding_errors_are_left_out() -> None:
    x = np.linspace(0, 1, 200)
    basis = gp(x, range=1.0, kernel="gaussian", trend=False)
    assert basis.root.shape[1] < 25
    Z = split(basis, x).random(x)
    assert_allclose(Z @ Z.T, correlation("gaussian", cdist(x[:, None], x[:, None])), atol=1e-11)


# ---- periods ----


def test_a_period_is_that_of_the_ends() -> None:
    basis = cc(DATA["hour"], 9, period=(0, 24))
    assert basis.domain == ((0.0, 24.0),)
    assert_allclose(basis.knots[[0, -1]], [0, 24])
    assert_allclose(basis.columns([0.0]), basis.columns([24.0]), atol=1e-14)
    # two winters of a year that the data begin in spring
    month = np.tile(np.arange(1.0, 13.0), 5)
    smooth = construct(month, "cc", k=12, period=(0.5, 12.5))
    assert_allclose(smooth.random([0.5]), smooth.random([12.5]), atol=1e-13)
    with pytest.raises(
        ValueError, match=r"month has 2 value\(s\) outside the period from 0\.5 to 12\.5.*13"
    ):
        split(cc(month, 12, period=(0.5, 12.5), name="month"), month).random([1.0, 13.0, 0.0])


# ---- as terms ----


def test_names_of_blocks_and_of_the_whole() -> None:
    fit = ms.lmm(F, of("x", "y", basis="t2", k=4), of("z", basis="tp", k=6))
    assert list(fit.edf) == ["fixed", "t2(x, y)", "s(z)"]
    assert list(fit.random) == ["t2(x, y).both", "t2(x, y).y", "t2(x, y).x", "s(z)"]
    assert fit.names == ["(Intercept)", "t2(x, y).1", "t2(x, y).2", "t2(x, y).3", "s(z)"]
    assert fit.edf["fixed"] == 1.0
    assert 3 <= fit.edf["t2(x, y)"] <= 15


@pytest.mark.parametrize("basis", ["tp", "gp", "t2"])
def test_surfaces_of_levels(basis: str) -> None:
    options: dict[str, Any] = {"range": 40.0, "k": 12} if basis == "gp" else {"k": 4}
    options = {"k": 12} if basis == "tp" else options
    by = {"site": DATA["site"]}
    kind = "t2" if basis == "t2" else "s"
    one = of("x", "y", basis=basis, by=by, **options)
    fit = ms.lmm(F, ms.linear(site=DATA["site"]), one)
    assert list(fit.edf) == ["fixed", f"{kind}(x, y):site[a]", f"{kind}(x, y):site[b]"]
    shared = ms.lmm(
        F, ms.group(site=DATA["site"]), of("x", "y", basis=basis, by=by, shared=True, **options)
    )
    assert all(len(effects.levels) == 2 for effects in shared.random.values())
    numeric = ms.lmm(
        F, ms.linear(z=DATA["z"]), of("x", "y", basis=basis, by={"z": DATA["z"]}, **options)
    )
    # twice z is half the surface
    twice = {**AT, "z": 2 * AT["z"]}
    smooth = numeric.predict(twice) - numeric.predict({**AT, "z": 0 * AT["z"]})
    assert_allclose(smooth, 2 * (numeric.predict(AT) - numeric.beta[0]), rtol=1e-9)


@pytest.mark.parametrize("basis", ["tp", "gp", "t2"])
def test_mapping_frame_and_keywords_are_the_same(basis: str) -> None:
    pd = pytest.importorskip("pandas")
    options: dict[str, Any] = {"range": 40.0} if basis == "gp" else {}
    options["k"] = 4 if basis == "t2" else 15
    columns = {"x": DATA["x"], "y": DATA["y"]}
    terms = [
        ms.smooth(columns, basis=basis, **options),
        ms.smooth(x=columns["x"], y=columns["y"], basis=basis, **options),
        ms.smooth(pd.DataFrame(columns), basis=basis, **options),
        ms.smooth({"x": columns["x"]}, y=columns["y"], basis=basis, **options),
    ]
    assert len({ms.lmm(F, term).criterion for term in terms}) == 1


def test_rows_with_missing_values_are_left_out() -> None:
    x = DATA["x"].copy()
    x[[3, 50]] = np.nan
    term = ms.smooth(x=x, y=DATA["y"], basis="tp", k=15)
    fit = ms.lmm(F, term, missing="drop")
    kept = np.delete(np.arange(120), [3, 50])
    want = ms.lmm(F[kept], ms.smooth(x=x[kept], y=DATA["y"][kept], basis="tp", k=15))
    assert_allclose(fit.criterion, want.criterion, rtol=1e-12)


def test_a_smooth_can_be_pickled() -> None:
    for term in (of("x", "y", basis="tp", k=12), of("x", "y", basis="gp", k=12)):
        again = pickle.loads(pickle.dumps(term))
        assert_array_equal(again.random[0].parts[0].to, term.random[0].parts[0].to)


def test_a_range_that_is_to_be_estimated() -> None:
    term = of("x", "y", basis="gp", kernel="exponential", trend=False)
    tuning = term.tuning
    assert (tuning.label, tuning.name) == ("s(x, y)", "range s(x, y)")
    distances = cdist(*[np.unique(np.c_[DATA["x"], DATA["y"]], axis=0)] * 2)
    least = distances[distances > 0].min()
    assert_allclose(tuning.bounds, [least / 10, 100 * distances.max()], rtol=1e-12)
    assert range_bounds(DATA["x"], DATA["y"]) == tuning.bounds
    made = tuning.at(33.0)
    assert (made.tuning.value, made.text) == (33.0, term.text)
    want = of("x", "y", basis="gp", kernel="exponential", trend=False, range=33.0)
    assert want.tuning is None
    (column,), (wanted,) = ([g.columns(g.frame)[0]] for g in (made.random[0], want.random[0]))
    assert_array_equal(column, wanted)


@pytest.mark.parametrize("by", ["z", "site"])
def test_a_process_times_another_column_is_kriging(by: str) -> None:
    # with dense matrices: universal kriging, the covariances times z z' or those of each level
    rows = np.unique(np.c_[DATA["x"], DATA["y"]], axis=0, return_index=True)[1][:60]
    data = {name: DATA[name][rows] for name in ("x", "y", by)}
    variances = np.array([0.5] if by == "z" else [0.5, 0.3])
    fit = ms.lmm(
        F[rows],
        ms.linear({by: data[by]}),
        ms.smooth(x=data["x"], y=data["y"], basis="gp", range=30, trend=False, by={by: data[by]}),
        sigma=0.4,
    ).refit(theta=np.sqrt(variances) / 0.4)

    def multipliers(columns: dict[str, Any]) -> FloatArray:
        if by == "z":
            return np.asarray(columns["z"])[:, None]
        levels = np.asarray(columns["site"])[:, None] == ["a", "b"]
        return np.asarray(levels, dtype=float)

    def covariance(one: dict[str, Any], other: dict[str, Any]) -> FloatArray:
        distances = cdist(np.c_[one["x"], one["y"]], np.c_[other["x"], other["y"]])
        between = multipliers(one) * variances @ multipliers(other).T
        return np.asarray(between * correlation("matern32", distances / 30))

    X, X_0 = (np.column_stack([np.ones(len(c[by])), multipliers(c)[:, -1]]) for c in (data, AT))
    V, V_0 = covariance(data, data) + 0.16 * np.eye(60), covariance(AT, data)
    weights = np.linalg.solve(V, V_0.T)
    left = X_0 - weights.T @ X
    cov_beta = np.linalg.inv(X.T @ np.linalg.solve(V, X))
    variance = covariance(AT, AT) - V_0 @ weights + left @ cov_beta @ left.T
    assert_allclose(fit.predict_interval(AT).se ** 2, np.diag(variance), rtol=1e-9)


def test_curves_that_share_have_all_blocks() -> None:
    by = {"site": DATA["site"]}
    shared = of("x", "y", basis="t2", k=4, by=by, shared=True)
    alone = of("x", "y", basis="t2", k=4)
    assert [g.names for g in shared.random] == [
        [name.replace("t2(x, y)", "t2(x, y):site") for name in g.names] for g in alone.random
    ]
    assert [g.covariance for g in shared.random] == [g.covariance for g in alone.random]
    assert all(list(g.levels) == ["a", "b"] for g in shared.random)


def test_sizes_that_are_not_given() -> None:
    rng = np.random.default_rng(6)
    x, y, z = rng.random((3, 350))
    covariates = {"x": x, "y": y, "z": z}
    # tp: as mgcv; gp: all locations up to 300, those of the trend among them
    for d, size in ((1, 10), (2, 30), (3, 110)):
        columns = dict(list(covariates.items())[:d])
        assert construct(columns, "tp").basis.root.shape[1] == size
        assert construct(columns, "gp", range=0.2).basis.root.shape == (300 - d - 1, 300)
    assert construct(x, "gp", range=0.2, kernel="exponential", k=352).basis.beyond is not None
    some = construct(x[:40], "gp", range=0.2, kernel="exponential")
    assert some.basis.root.shape == (40, 42)
    assert some.basis.beyond is not None
    assert construct(x[:40], "gp", range=0.2, k=41).basis.beyond is None
    assert ms.smooth(x=x, y=y, basis="t2").random[0].parts[0].basis.root.shape[1] == 25  # type: ignore[attr-defined]


@pytest.mark.parametrize("range", [1e-300, 1e300])
def test_a_range_beyond_all_distances_is_none_or_all(range: float) -> None:
    x = np.arange(5.0)
    columns = gp(x, range=range, kernel="exponential", trend=False)
    C = np.linalg.solve(columns.root.T, columns.columns(x).T)
    assert_allclose(C.T @ C, np.eye(5) if range < 1 else np.ones((5, 5)), atol=1e-12)


def test_a_period_may_be_an_array() -> None:
    month = np.tile(np.arange(1.0, 13), 3)
    y = np.sin(month)
    periods: list[Any] = [(0.5, 12.5), np.array([0.5, 12.5])]
    fits = [ms.lmm(y, ms.smooth(month=month, basis="cc", k=6, period=period)) for period in periods]
    assert fits[0].criterion == fits[1].criterion
