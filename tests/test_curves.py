"""Surfaces, their sections and their differences: against mgcv, predictions and dense algebra."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy.special import ndtri

import mixedsmooth as ms
from mixedsmooth.model import curves, problem
from mixedsmooth.model.curves import Curve, Surface, chosen
from mixedsmooth.model.smooths import construct
from tests.test_bands import posterior

FloatArray = NDArray[np.float64]

ETHANOL = ms.load_ethanol()
TERMS = json.loads((Path(__file__).parent / "reference" / "terms.json").read_text())
C_GRID, E_GRID = np.linspace(8.0, 17.0, 5), np.linspace(0.6, 1.2, 4)
GRIDS = {"compression": C_GRID, "equivalence": E_GRID}
NAME = "compression, equivalence"

rng = np.random.default_rng(12)
X, Y, W = rng.uniform(size=(3, 150))
G = np.repeat(["a", "b", "c"], 50)
WEIGHTS = rng.uniform(0.5, 2.0, size=150)
RESPONSE = np.sin(5 * X) * Y + (G == "b") * X * Y + np.repeat([0.0, 1.0, -1.0], 50)
RESPONSE = RESPONSE + 0.2 * rng.normal(size=150)


def ethanol() -> ms.Fit:
    columns = {"compression": ETHANOL.compression, "equivalence": ETHANOL.equivalence}
    return ms.lmm(ETHANOL.nox, ms.smooth(columns, basis="t2", k=(5, 8)))


def of_levels(**options: Any) -> ms.Fit:
    """Fit a surface for each of three levels."""
    surface = ms.smooth(x=X, y=Y, by={"g": G}, basis="t2", k=(4, 4), **options)
    return ms.lmm(RESPONSE, ms.linear(g=G), surface, weights=WEIGHTS)


def mesh(surface: Surface) -> list[FloatArray]:
    return [each.ravel() for each in np.meshgrid(*surface.grids, indexing="ij")]


def dense_rows(fit: ms.Fit, name: str, sign: float, x: list[FloatArray]) -> FloatArray:
    """Rows of a smooth over all random effects and coefficients of a model, one block at a time."""
    _, place = posterior(fit)
    size = sum(len(g.levels) * g.covariance.k for g in fit.model.groups)
    rows = np.zeros((len(x[0]), size + len(fit.beta)))
    for term, g in enumerate(fit.model.groups):
        part: Any = g.parts[0]
        for code, level in enumerate(g.levels):
            if name == (part.name if g.is_curve else f"{part.name}[{level}]"):
                rows[:, place(term, code)] = sign * part.basis.columns(*x) @ part.to
    for line in fit.model.lines:
        if line.name == name:
            first = size + fit.names.index(line.names[0])
            block = sign * line.basis.columns(*x) @ line.to
            rows[:, first : first + block.shape[1]] = block
    return rows


# ---- what it is ----


@pytest.mark.parametrize(("key", "basis", "k"), [("t2", "t2", (5, 8)), ("tp2", "tp", 30)])
def test_a_surface_has_the_values_and_errors_of_mgcv(key: str, basis: str, k: Any) -> None:
    # terms.json, ethanol.t2 and ethanol.tp2: mgcv 1.8-41, predict(type = "terms", se.fit = TRUE) of
    # gam(nox ~ t2(compression, equivalence, bs = "cr", k = c(5, 8)), method = "REML"), and of
    # s(compression, equivalence, bs = "tp", k = 30); its search stops at about 1e-6 of log lambda
    mgcv = TERMS["ethanol"][key]
    at = mgcv["at"]
    columns = {"compression": ETHANOL.compression, "equivalence": ETHANOL.equivalence}
    fit = ms.lmm(ETHANOL.nox, ms.smooth(columns, basis=basis, k=k))
    surface = fit.smooth(NAME, {name: at[name] for name in columns})
    assert isinstance(surface, Surface)
    assert_allclose(np.diag(surface.value), at["value"][0], rtol=0, atol=2e-6)
    assert_allclose(np.diag(surface.se), at["se"][0], rtol=2e-6)
    assert_allclose(surface.edf, mgcv["edf"][0], rtol=2e-6)


def test_rows_are_the_first_covariate_whatever_the_order_of_the_grids() -> None:
    fit = ethanol()
    surface = fit.smooth(NAME, GRIDS)
    other = fit.smooth("t2(compression, equivalence)", dict(reversed(GRIDS.items())))
    assert isinstance(surface, Surface)
    assert isinstance(other, Surface)
    assert surface.label == "t2(compression, equivalence)"
    assert surface.names == other.names == ("compression", "equivalence")
    assert surface.value.shape == surface.se.shape == (5, 4)
    assert_array_equal(surface.grids[0], C_GRID)
    assert_array_equal(surface.grids[1], E_GRID)
    assert_array_equal(surface.value, other.value)
    assert_array_equal(surface.value, fit.smooth("compression,equivalence", GRIDS).value)


def test_with_the_intercept_it_is_the_prediction() -> None:
    fit = ethanol()
    surface = fit.smooth(NAME, GRIDS, intercept=True)
    assert isinstance(surface, Surface)
    new = dict(zip(surface.names, mesh(surface), strict=True))
    predicted = fit.predict_interval(new, level=0.9)
    assert_allclose(surface.value.ravel(), predicted.value, rtol=0, atol=1e-12)
    assert_allclose(surface.se.ravel(), predicted.se, rtol=1e-10)
    lower, upper = surface.interval(0.9)
    assert_allclose(lower.ravel(), predicted.lower, rtol=0, atol=1e-12)
    assert_allclose(upper.ravel(), predicted.upper, rtol=0, atol=1e-12)


def test_without_it_sums_to_zero_over_the_data() -> None:
    fit = ethanol()
    shifted = fit.smooth(NAME, GRIDS, intercept=True).value - fit.smooth(NAME, GRIDS).value
    assert_allclose(shifted, np.mean(fit.fitted), rtol=1e-10)
    # the random columns alone have a mean
    assert np.abs(shifted - fit.beta[0]).max() > 1e-3


def test_counts_have_a_surface_on_the_scale_of_the_link() -> None:
    y = np.random.default_rng(1).poisson(np.exp(0.5 + np.sin(4 * X) * Y))
    fit = ms.glmm(y, ms.smooth(x=X, y=Y, basis="t2", k=(4, 4)), ms.group(g=G))
    surface = fit.smooth("x, y", {"x": [0.1, 0.5, 0.9], "y": [0.2, 0.8]}, intercept=True)
    assert isinstance(surface, Surface)
    new = dict(zip(("x", "y"), mesh(surface), strict=True))
    eta = fit.predict(new, effects=False, scale="link")
    assert_allclose(surface.value.ravel(), eta, rtol=0, atol=1e-10)
    new_group = fit.predict_interval(new | {"g": ["a"] * 6})
    assert np.all(surface.se.ravel() < new_group.se + fit.random["g"].sd)
    V, _ = posterior(fit, np.asarray(fit.fitted))
    rows = dense_rows(fit, "t2(x, y)", 1.0, mesh(surface))
    rows[:, len(rows.T) - len(fit.beta)] = 1.0
    assert_allclose(surface.se.ravel() ** 2, np.sum(rows @ V * rows, axis=1), rtol=1e-6)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("crossed", [False, True])
def test_errors_are_those_of_the_dense_posterior(shared: bool, crossed: bool) -> None:
    """Of the surface of a level, and of the difference of two: several blocks each."""
    fit = of_levels(shared=shared)
    if crossed:
        h = np.arange(150) % 7
        y = RESPONSE + np.sin(3.0 * np.arange(7))[h]
        terms = ms.linear(g=G), ms.smooth(x=X, y=Y, by={"g": G}, basis="t2", k=4, shared=shared)
        fit = ms.lmm(y, *terms, ms.group(h=h), weights=WEIGHTS)
    V, _ = posterior(fit, WEIGHTS)
    one, other = "t2(x, y):g[a]", "t2(x, y):g[b]"
    assert len(chosen(fit.model, one, None, intercept=False)[0][0].blocks) == 3
    grids = {"x": [0.1, 0.4, 0.9], "y": [0.2, 0.7]}
    b = np.concatenate([fit.random[name].effects.ravel() for name in fit.random])
    for minus in (None, other):
        surface = fit.smooth(one, grids, minus=minus)
        assert isinstance(surface, Surface)

        def rows(x: list[FloatArray], minus: str | None = minus) -> FloatArray:
            C = dense_rows(fit, one, 1.0, x)
            return C if minus is None else C + dense_rows(fit, minus, -1.0, x)

        C = rows(mesh(surface)) - rows([X, Y]).mean(axis=0)
        assert_allclose(surface.value.ravel(), C @ np.append(b, fit.beta), rtol=0, atol=1e-9)
        assert_allclose(surface.se.ravel() ** 2, np.sum(C @ V * C, axis=1), rtol=1e-6)
    assert surface.label == f"{one} - {other}"


def test_the_degrees_of_freedom_are_those_of_all_blocks() -> None:
    fit = of_levels()
    grids = {"x": [0.1, 0.4], "y": [0.2]}
    apart = [fit.smooth(f"t2(x, y):g[{level}]", grids).edf for level in "ab"]
    assert_allclose(apart, [fit.edf[f"t2(x, y):g[{level}]"] for level in "ab"], rtol=1e-12)
    both = fit.smooth("t2(x, y):g[a]", grids, minus="t2(x, y):g[b]")
    assert_allclose(both.edf, sum(apart), rtol=1e-12)
    shared = of_levels(shared=True)
    terms = [name for name in shared.edf if name != "fixed"]
    of_all = shared.smooth("t2(x, y):g[a]", grids).edf
    assert_allclose(of_all, sum(shared.edf[name] for name in terms), rtol=1e-12)


def test_the_sparse_engine_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = of_levels()
    monkeypatch.setattr(problem, "DENSE_TAIL", 0)
    sparse = fit.solver(fit.problem, "REML", theta=fit.theta)
    assert type(sparse.factorization) is not type(fit.factorization)
    for minus in (None, "t2(x, y):g[c]"):
        wanted, found = (
            each.smooth("t2(x, y):g[a]", {"x": [0.2, 0.6], "y": [0.3]}, minus=minus)
            for each in (fit, sparse)
        )
        assert_allclose(found.value, wanted.value, rtol=0, atol=1e-8)
        assert_allclose(found.se, wanted.se, rtol=1e-6)


def test_a_varying_coefficient_adds_to_the_coefficient_of_its_line() -> None:
    y = RESPONSE + W * (1 + X * Y)
    terms = ms.linear(w=W), ms.smooth(x=X, y=Y, by={"w": W}, basis="t2", k=4)
    fit = ms.lmm(y, *terms)
    surface = fit.smooth("t2(x, y):w", {"x": [0.2, 0.5, 0.8], "y": [0.3, 0.6]})
    assert isinstance(surface, Surface)
    x, z = mesh(surface)
    slopes = [fit.predict({"x": x, "y": z, "w": np.full(6, w)}) for w in (0.0, 1.0)]
    coefficient = fit.beta[fit.names.index("w")] + surface.value.ravel()
    assert_allclose(coefficient, slopes[1] - slopes[0], rtol=0, atol=1e-10)


def test_many_points_are_evaluated_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = ethanol()
    whole = fit.smooth(NAME, GRIDS)
    monkeypatch.setattr(curves, "AT_ONCE", 3)
    pieces = fit.smooth(NAME, GRIDS)
    assert_allclose(pieces.value, whole.value, rtol=0, atol=1e-13)
    assert_allclose(pieces.se, whole.se, rtol=1e-12)


# ---- processes ----


@pytest.mark.parametrize("trend", [False, True])
def test_a_process_has_the_errors_of_kriging(trend: bool) -> None:
    meuse = ms.load_meuse()
    process = ms.smooth(
        x=meuse.x, y=meuse.y, basis="gp", kernel="exponential", range=200, trend=trend
    )
    fit = ms.lmm(np.log(meuse.zinc), process)
    surface = fit.smooth(
        "x, y", {"x": [179500.0, 180500.0], "y": [331000.0, 332000.0]}, intercept=True
    )
    assert isinstance(surface, Surface)
    new = dict(zip(("x", "y"), mesh(surface), strict=True))
    predicted = fit.predict_interval(new)
    assert_allclose(surface.value.ravel(), predicted.value, rtol=1e-10)
    assert_allclose(surface.se.ravel(), predicted.se, rtol=1e-8)
    section = fit.smooth("x, y", {"x": [179500.0, 180500.0], "y": 331000.0}, intercept=True)
    assert_allclose(section.se, surface.se[:, 0], rtol=1e-10)
    assert_allclose(
        np.subtract(*section.interval()[::-1]), 2 * ndtri(0.975) * section.se, rtol=1e-9
    )
    with pytest.raises(ValueError, match="at y = 331000 is a process with new errors"):
        section.interval(simultaneous=True)
    # where there are fewer columns than places the smooth is all there is
    few = ms.smooth(x=meuse.x, y=meuse.y, basis="gp", k=20, range=200, trend=trend)
    curve = ms.lmm(np.log(meuse.zinc), few).smooth(
        "x, y", {"x": [179500.0, 180500.0], "y": 331000.0}
    )
    assert isinstance(curve, Curve)
    assert curve.critical() > 1.96


def test_processes_of_two_levels_are_independent_at_new_places() -> None:
    process = ms.smooth(x=X, by={"g": G}, basis="gp", k=150, range=0.2, trend=False)
    fit = ms.lmm(RESPONSE, ms.linear(g=G), process)
    far = [30.0]  # from all data: a process is what it was before them
    taus = [fit.random[f"s(x):g[{level}]"].sd[0] for level in "ab"]
    difference = fit.smooth("s(x):g[a]", far, minus="s(x):g[b]")
    assert_allclose(difference.value, 0, atol=1e-9)
    assert_allclose(difference.se, np.hypot(*taus), rtol=1e-9)


# ---- sections ----


def test_a_section_is_a_curve_on_the_surface() -> None:
    fit = ethanol()
    surface = fit.smooth(NAME, GRIDS)
    for held, along, row in (("compression", "equivalence", 0), ("equivalence", "compression", 1)):
        number = GRIDS[held][2]
        section = fit.smooth(NAME, {held: number, along: GRIDS[along]})
        assert isinstance(section, Curve)
        assert section.label == f"t2(compression, equivalence) at {held} = {number:.6g}"
        assert_array_equal(section.x, GRIDS[along])
        assert_allclose(section.value, surface.value.take(2, axis=row), rtol=0, atol=1e-13)
        assert_allclose(section.se, surface.se.take(2, axis=row), rtol=1e-12)
        assert section.edf == surface.edf
        # its band holds for the curve, whatever the points of the grid
        assert_allclose(np.linalg.norm(section.root(section.x), axis=1), section.se, rtol=1e-12)
        assert 2 < section.critical() < 4
        ends = fit.smooth(NAME, {held: number, along: GRIDS[along][[0, -1]]})
        assert isinstance(ends, Curve)
        assert_allclose(ends.kappa, section.kappa, rtol=1e-9)
        assert pickle.loads(pickle.dumps(section)).kappa == section.kappa


def test_three_covariates_have_curves_and_surfaces_as_sections() -> None:
    y = RESPONSE + X * Y * W
    fit = ms.lmm(y, ms.smooth(x=X, y=Y, w=W, basis="t2", k=3))
    surface = fit.smooth("x, y, w", {"w": [0.2, 0.7], "x": [0.1, 0.5, 0.9], "y": 0.5})
    assert isinstance(surface, Surface)
    assert surface.label == "t2(x, y, w) at y = 0.5"
    assert surface.names == ("x", "w")
    assert surface.value.shape == (3, 2)
    curve = fit.smooth("x, y, w", {"w": 0.7, "x": [0.1, 0.5, 0.9], "y": 0.5}, intercept=True)
    assert isinstance(curve, Curve)
    assert curve.label == "t2(x, y, w) at y = 0.5 and w = 0.7"
    new = {"x": curve.x, "y": np.full(3, 0.5), "w": np.full(3, 0.7)}
    assert_allclose(curve.value, fit.predict(new), rtol=0, atol=1e-11)
    assert_allclose(curve.se, fit.predict_interval(new).se, rtol=1e-9)
    for whole in ({"x": [0.1], "y": [0.1], "w": [0.1]}, {"x": 0.1, "y": 0.1, "w": 0.1}):
        with pytest.raises(ValueError, match=r"one grid or two, .* found [03] grids"):
            fit.smooth("x, y, w", whole)


def test_a_curve_takes_a_mapping_too() -> None:
    fit = ms.lmm_formula('accel ~ s(time, bs="cr", k=8)', ms.load_mcycle())
    plain, named = fit.smooth("time", [3.0, 30.0]), fit.smooth("time", {"time": [3.0, 30.0]})
    assert isinstance(named, Curve)
    assert_array_equal(plain.value, named.value)
    assert plain.label == named.label == "s(time)"


# ---- columns of the reader's own ----


def test_a_penalized_term_is_evaluated_by_its_function() -> None:
    basis = construct(X, "cr", 8)
    made = {
        "array": lambda x: basis.basis.columns(x),
        "mapping": lambda data: basis.basis.columns(data["x"]),
    }
    plain = ms.lmm(RESPONSE, ms.smooth(x=X, basis="cr", k=8))
    wanted = plain.smooth("x", [0.1, 0.5, 0.9])
    for kind, predict in made.items():
        term = ms.penalized("own", basis.basis.columns(X), basis.basis.S, predict=predict)
        fit = ms.lmm(RESPONSE, term)
        grid: Any = [0.1, 0.5, 0.9] if kind == "array" else {"x": [0.1, 0.5, 0.9]}
        curve = fit.smooth("own", grid)
        assert isinstance(curve, Curve)
        assert curve.label == "own"
        assert_array_equal(curve.x, wanted.x)
        assert_allclose(curve.value, wanted.value, rtol=0, atol=1e-7)
        assert_allclose(curve.se, wanted.se, rtol=1e-6)
        assert_allclose(curve.kappa, wanted.kappa, rtol=1e-5)
        assert_allclose(
            fit.smooth("own", grid, intercept=True).value,
            plain.smooth("x", [0.1, 0.5, 0.9], intercept=True).value,
            rtol=0,
            atol=1e-7,
        )
    check = fit.basis_check(20, seed=1)
    assert check.names == ["own"]
    assert np.isnan(check.index[0])


def test_a_penalized_term_of_anything_is_counted() -> None:
    def of_texts(texts: Any) -> FloatArray:
        return np.array([[len(text), text.count("a")] for text in texts["text"]], dtype=float)

    texts = [chr(97 + i % 3) * (1 + i % 5) for i in range(150)]
    fit = ms.lmm(RESPONSE, ms.penalized("text", of_texts({"text": texts}), np.eye(2), of_texts))
    curve = fit.smooth("text", {"text": ["aaa", "b"]}, intercept=True)
    assert isinstance(curve, Curve)
    assert curve.x.tolist() == [0.0, 1.0]
    assert_allclose(curve.value, fit.predict({"text": ["aaa", "b"]}), rtol=1e-12)
    with pytest.raises(ValueError, match="grid of text is no range of numbers"):
        curve.interval(simultaneous=True)
    without = ms.lmm(RESPONSE, ms.penalized("text", of_texts({"text": texts}), np.eye(2)))
    with pytest.raises(ValueError, match="text was made without predict"):
        without.smooth("text", [1.0])


# ---- what it is not changed by ----


def test_units_and_order_of_rows_do_not_matter() -> None:
    fit = ms.lmm(RESPONSE, ms.smooth(x=X, y=Y, basis="t2", k=(4, 5)))
    wanted = fit.smooth("x, y", {"x": [0.1, 0.6], "y": [0.2, 0.9]})
    order = np.random.default_rng(3).permutation(150)
    x, y = 1000 * X[order] + 5, Y[order] / 60
    other = ms.lmm(1e3 * RESPONSE[order], ms.smooth(x=x, y=y, basis="t2", k=(4, 5)))
    found = other.smooth("x, y", {"x": [105.0, 605.0], "y": [0.2 / 60, 0.9 / 60]})
    assert_allclose(found.value, 1e3 * wanted.value, rtol=0, atol=1e-2)
    assert_allclose(found.se, 1e3 * wanted.se, rtol=1e-4)


# ---- intervals ----


def test_intervals_of_a_surface_are_those_of_its_points() -> None:
    surface = ethanol().smooth(NAME, GRIDS)
    lower, upper = surface.interval(0.8)
    assert_allclose(upper - surface.value, ndtri(0.9) * surface.se, rtol=1e-9)
    assert_allclose(surface.value - lower, ndtri(0.9) * surface.se, rtol=1e-9)
    with pytest.raises(ValueError, match=r"is a surface: .* or the band of a section"):
        surface.interval(simultaneous=True)
    with pytest.raises(ValueError, match="level must be"):
        surface.interval(95)


# ---- what is refused ----


@pytest.mark.parametrize(
    ("message", "ask"),
    [
        ("grid must be a mapping, .* 2 covariates", lambda fit: fit.smooth(NAME, [1.0, 2.0])),
        (
            "grid must name the covariates of t2.*; found compression",
            lambda fit: fit.smooth(NAME, {"compression": [9.0]}),
        ),
        (
            "grid must name the covariates",
            lambda fit: fit.smooth(NAME, {**GRIDS, "nox": [1.0]}),
        ),
        ("found 0 grids", lambda fit: fit.smooth(NAME, {"compression": 9, "equivalence": 1.0})),
        ("equivalence has 1 value", lambda fit: fit.smooth(NAME, GRIDS | {"equivalence": np.nan})),
        ("equivalence", lambda fit: fit.smooth(NAME, GRIDS | {"equivalence": "0.9"})),
        ("equivalence", lambda fit: fit.smooth(NAME, GRIDS | {"equivalence": [[0.9], [1.0]]})),
        ("'compression' fits 0", lambda fit: fit.smooth("compression", GRIDS)),
        ("'t2' fits 0 .* has t2.compr", lambda fit: fit.smooth("t2", GRIDS)),
        ("minus is t2", lambda fit: fit.smooth(NAME, GRIDS, minus=NAME)),
    ],
)
def test_bad_surfaces_are_told(message: str, ask: Callable[[ms.Fit], object]) -> None:
    with pytest.raises(ValueError, match=message):
        ask(ethanol())


def test_values_outside_the_domain_are_counted_on_their_grid() -> None:
    fit = ms.lmm(RESPONSE, ms.smooth(x=X, basis="ps", k=6))
    with pytest.raises(ValueError, match=r"x has 2 value\(s\) outside the range"):
        fit.smooth("x", {"x": np.array([-1.0, 0.5, 3.0])})
