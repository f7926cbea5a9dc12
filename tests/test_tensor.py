"""Tensor products: against mgcv and gamm4, by hand, at their limits, and the dense derivation."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

import mixedsmooth as ms
from mixedsmooth.derivations.eigensplit import fit_mixed
from mixedsmooth.derivations.tensor import (
    Margin,
    fit_blocks,
    margin,
    rowwise_kronecker,
    summed_penalty,
    surface,
    varying,
)
from mixedsmooth.model.bases import cr
from mixedsmooth.model.lmm import fit_problem
from mixedsmooth.model.smooths import Split, construct
from mixedsmooth.model.tensor import natural, tensor

FloatArray = NDArray[np.float64]
Columns = dict[str, NDArray[Any]]

# mgcv 1.8-41, gamm4 0.2-6 and lme4 1.1-31 under R 4.2.2: gam(y ~ t2(..., bs = "cr", k = ...),
# method = "REML") with a tolerance of 1e-9 for the search; tests/reference/make_tensor.R
R: dict[str, Any] = json.loads((Path(__file__).parent / "reference" / "tensor.json").read_text())


def columns(key: str) -> Columns:
    return {name: np.array(values) for name, values in R[key].items()}


ETHANOL = ms.load_ethanol()
C, E, NOX = ETHANOL.compression, ETHANOL.equivalence, ETHANOL.nox
WIDE, WIDE_AT = columns("wide_data"), columns("wide_at")
THREE, THREE_AT = columns("three_data"), columns("three_at")
X, Z = WIDE["x"], WIDE["z"]
ETHANOL_AT = {"compression": [8, 10.5, 18, 19], "equivalence": [0.5, 0.9, 1.1, 1.3]}
ETHANOL_TERM = ms.smooth(compression=C, equivalence=E, basis="t2", k=(5, 8))
WIDE_TERM = ms.smooth(x=X, z=Z, basis="t2", k=(6, 5))
FITS: dict[str, tuple[ms.Fit, Any]] = {
    "ethanol": (ms.lmm(NOX, ETHANOL_TERM), ETHANOL_AT),
    "ethanol_ml": (ms.lmm(NOX, ETHANOL_TERM, method="ML"), ETHANOL_AT),
    "ethanol_mirrored": (
        ms.lmm(NOX, ms.smooth(mirrored=-C, equivalence=E, basis="t2", k=(5, 8))),
        {"mirrored": [-8, -10.5, -18, -19], "equivalence": ETHANOL_AT["equivalence"]},
    ),
    "wide": (ms.lmm(WIDE["y"], WIDE_TERM), WIDE_AT),
    "wide_exchanged": (
        ms.lmm(WIDE["y"], ms.smooth(z=Z, x=X, basis="t2", k=(5, 6))),
        WIDE_AT,
    ),
    "wide_weights": (ms.lmm(WIDE["y"], WIDE_TERM, weights=WIDE["w"]), WIDE_AT),
    "wide_group": (
        ms.lmm(WIDE["y"], ms.group(group=WIDE["group"]), WIDE_TERM, weights=WIDE["w"]),
        WIDE_AT,
    ),
    "three": (
        ms.lmm(
            THREE["y"],
            ms.smooth(x=THREE["x"], v=THREE["v"], w=THREE["w"], basis="t2", k=(4, 5, 3)),
        ),
        THREE_AT,
    ),
}
each_fit = pytest.mark.parametrize("key", FITS)


def of_smooth(fit: ms.Fit) -> float:
    """EDF of the surface, under the one name that it has."""
    (edf,) = (edf for name, edf in fit.edf.items() if name.startswith("t2"))
    return edf


# ---- mgcv and gamm4 ----


# mgcv ends its search before a variance is zero, so its criterion may be above ours by 3e-8.
# Between two searches that end within 1e-10 of the lowest criterion, fitted values differ by 1e-5
# of their standard errors, and so do predictions.
@each_fit
def test_criterion_and_fit_are_mgcvs(key: str) -> None:
    (fit, new), mgcv = FITS[key], R[key]
    spread = np.ptp(mgcv["fitted"])
    assert_allclose(fit.criterion, mgcv["criterion"], rtol=0, atol=5e-8)
    assert_allclose(of_smooth(fit), np.atleast_1d(mgcv["edf"])[-1], rtol=0, atol=1e-6)
    assert_allclose(fit.fitted, mgcv["fitted"], rtol=0, atol=1e-6 * spread)
    assert_allclose(fit.predict(new), mgcv["predicted"], rtol=0, atol=1e-5 * spread)
    if fit.method == "REML":
        assert_allclose(fit.sigma, mgcv["sigma"], rtol=1e-7)


def test_criterion_at_mgcvs_smoothing_parameters_is_mgcvs() -> None:
    fit, mgcv = FITS["wide_weights"][0], R["wide_weights"]
    at = fit_problem(fit.problem, "REML", theta=1 / np.sqrt(mgcv["sp"]))
    assert_allclose(at.criterion, mgcv["criterion"], rtol=0, atol=1e-10)


# predict(gam, type = "terms", se.fit = TRUE); mgcv shifts the surface to sum to zero
def test_surface_and_standard_errors_are_mgcvs() -> None:
    fit, mgcv = FITS["wide_weights"][0], R["wide_weights"]
    rows = slice(0, 40)
    found = [
        fit.smooth("t2(x, z)", {"x": [x], "z": [z]}) for x, z in zip(X[rows], Z[rows], strict=True)
    ]
    values, errors = np.array([(s.value[0, 0], s.se[0, 0]) for s in found]).T
    assert_allclose(values, mgcv["term"][rows], rtol=0, atol=1e-6 * np.ptp(mgcv["term"]))
    assert_allclose(errors, mgcv["term_se"][rows], rtol=1e-5)


def test_variances_are_gamm4s() -> None:
    fit, gamm4 = FITS["ethanol"][0], R["ethanol_gamm4"]
    sd = [effects.sd[0] for effects in fit.random.values()]
    # gamm4 ends its search where theta is right to 1e-4; the criterion is flat there
    assert_allclose(sd, gamm4["sd"], rtol=1e-4)
    assert_allclose(fit.sigma, gamm4["sigma"], rtol=1e-5)
    assert_allclose(fit.criterion, gamm4["criterion"], rtol=0, atol=5e-8)
    assert_allclose(fit.fitted, gamm4["fitted"], rtol=0, atol=1e-5 * np.ptp(gamm4["fitted"]))


def test_counts_are_gamm4s() -> None:
    gamm4 = R["count_gamm4"]
    fit = ms.glmm(WIDE["count"], ms.group(group=WIDE["group"]), WIDE_TERM, family="poisson")
    assert_allclose(fit.loglik, gamm4["loglik"], rtol=0, atol=1e-7)
    assert_allclose(fit.fitted, gamm4["fitted"], rtol=0, atol=1e-5 * np.ptp(gamm4["fitted"]))


# ---- names ----


def test_one_variance_is_zero_and_told() -> None:
    fit = FITS["ethanol"][0]
    label = "t2(compression, equivalence)"
    blocks = [f"{label}.both", f"{label}.equivalence", f"{label}.compression"]
    assert list(fit.random) == blocks
    assert [fit.random[block].sd[0] > 0 for block in blocks] == [False, True, True]
    assert fit.on_boundary
    assert list(fit.edf) == ["fixed", label]
    assert_allclose(fit.edf["fixed"], 1)


def test_blocks_of_three_covariates_are_in_mgcvs_order() -> None:
    x = np.arange(30.0)
    made = tensor([x, x**2 % 31, x**3 % 37], (3, 4, 5), ("x", "v", "w"))
    assert made.blocks == ("all", "v:w", "x:w", "w", "x:v", "v", "x")
    assert [to.shape[1] for to in made.to_random] == [6, 12, 6, 12, 4, 8, 4]
    assert made.to_fixed.shape == (60, 7)


# ---- the split by hand ----


@pytest.fixture(scope="module")
def made() -> Split:
    return tensor([X, Z], (6, 5), ("x", "z"))


def test_coefficients_are_values_on_the_grid_of_knots(made: Split) -> None:
    assert_allclose(made.basis.columns(*made.basis.knots.T), np.eye(30), rtol=0, atol=1e-12)


def test_products_bend_where_their_block_says(made: Split) -> None:
    grid = np.linspace(0, 1, 7)
    x, z = 200 + 9000 * grid, 0.0001 + 0.004 * grid
    for block, to in zip(made.blocks, made.to_random, strict=True):
        along_x = made.basis.columns(x, np.full(7, 0.002)) @ to
        along_z = made.basis.columns(np.full(7, 3000.0), z) @ to
        for along, name in ((along_x, "x"), (along_z, "z")):
            bend = np.abs(np.diff(along, n=2, axis=0)).max() / np.abs(to).max()
            assert (bend > 1e-3) == (block in (name, "both")), (block, name)


def test_free_columns_sum_to_zero_and_are_lines(made: Split) -> None:
    free = made.fixed(X, Z)
    assert_allclose(free.sum(axis=0), 0, rtol=0, atol=1e-10)
    lines = np.column_stack([np.ones_like(X), X / 1e4, 1e3 * Z, X / 10 * Z])
    left = free - lines @ np.linalg.lstsq(lines, free)[0]
    assert_allclose(left, 0, rtol=0, atol=1e-10)


def test_penalty_of_the_basis_is_that_of_the_effects(made: Split) -> None:
    to = np.hstack(made.to_random)
    assert_allclose(to.T @ made.basis.S @ to, made.scale * np.eye(26), rtol=0, atol=1e-12)
    assert_allclose(made.basis.S @ made.to_fixed, 0, rtol=0, atol=1e-8)


def test_constant_and_line_are_turned_lines_of_one_size() -> None:
    part = natural(cr(X, 6), X)
    both = cr(X, 6).columns(X) @ part.straight
    assert np.ptp(both[:, 0]) < 1e-12
    assert_allclose((both**2).mean(), 1, rtol=1e-12)
    # the two lines that mgcv turns: one is zero at the first knot, the other has coefficients at
    # right angles to it; each has mean square 1, and a rotation takes them to `both`
    knots = cr(X, 6).knots
    rising = knots - knots[0]
    falling = 1 - rising * rising.sum() / (rising @ rising)
    lines = cr(X, 6).columns(X) @ np.column_stack([rising, falling])
    lines = lines / np.sqrt((lines**2).mean(axis=0))
    turn = np.linalg.lstsq(lines, both)[0]
    assert_allclose(turn.T @ turn, np.eye(2), rtol=0, atol=1e-9)


# mgcv's older rule, smoothCon of mgcv 1.7: S over mean abs(S) / mean abs(X'X), block by block, of
# all columns X of the surface
def test_the_older_scaling_changes_variances_alone(made: Split) -> None:
    now = FITS["wide"][0]
    before = ms.lmm(WIDE["y"], ms.smooth(x=X, z=Z, basis="t2", k=(6, 5), scaling="mean"))
    assert_allclose(before.criterion, now.criterion, rtol=0, atol=1e-9)
    assert_allclose(before.fitted, now.fitted, rtol=0, atol=1e-6 * np.ptp(now.fitted))
    of_x, of_z = natural(cr(X, 6), X), natural(cr(Z, 5), Z)
    both = [np.hstack([m.bent, m.straight]) for m in (of_x, of_z)]
    every = rowwise_kronecker(cr(X, 6).columns(X) @ both[0], cr(Z, 5).columns(Z) @ both[1])
    size = np.abs(every.T @ every).mean()
    older = tensor([X, Z], (6, 5), ("x", "z"), "mean")
    for block, to in zip(older.to_random, made.to_random, strict=True):
        assert_allclose(block, to * np.sqrt(to.shape[1] / 30**2 / size / made.scale), rtol=1e-10)


# ---- what must not matter, and limits ----


@pytest.mark.parametrize(("unit", "origin"), [(1e-6, 0.0), (1e6, 3e6)])
def test_units_and_origin_of_a_covariate_do_not_matter(unit: float, origin: float) -> None:
    fit = FITS["wide_weights"][0]
    term = ms.smooth(x=unit * X + origin, z=Z, basis="t2", k=(6, 5))
    other = ms.lmm(WIDE["y"], term, weights=WIDE["w"])
    assert_allclose(other.criterion, fit.criterion, rtol=0, atol=1e-8)
    assert_allclose(other.theta, fit.theta, rtol=1e-4)
    assert_allclose(other.fitted, fit.fitted, rtol=0, atol=1e-6 * np.ptp(fit.fitted))


def test_the_order_of_covariates_permutes_blocks() -> None:
    one, other = FITS["wide"][0], FITS["wide_exchanged"][0]
    assert list(one.random) == ["t2(x, z).both", "t2(x, z).z", "t2(x, z).x"]
    assert list(other.random) == ["t2(z, x).both", "t2(z, x).x", "t2(z, x).z"]
    assert_allclose(other.theta[[0, 2, 1]], one.theta, rtol=1e-5)
    assert_allclose(other.fitted, one.fitted, rtol=0, atol=1e-7 * np.ptp(one.fitted))


def test_the_order_of_rows_does_not_matter() -> None:
    order = np.random.default_rng(5).permutation(len(X))
    fit = FITS["wide_weights"][0]
    term = ms.smooth(x=X[order], z=Z[order], basis="t2", k=(6, 5))
    other = ms.lmm(WIDE["y"][order], term, weights=WIDE["w"][order])
    assert_allclose(other.criterion, fit.criterion, rtol=0, atol=1e-9)
    assert_allclose(other.fitted, fit.fitted[order], rtol=0, atol=1e-6 * np.ptp(fit.fitted))


def test_an_additive_surface_needs_no_block_of_both(made: Split) -> None:
    additive = [
        part
        for name, x in (("x", X), ("z", Z))
        for smooth in (construct({name: x}, "cr", {"x": 6, "z": 5}[name]),)
        for part in (smooth.fixed(x), smooth.random(x))
    ]
    wanted = np.column_stack(additive)
    wanted = wanted / np.linalg.norm(wanted, axis=0)
    _, *others = made.to_random
    B = made.basis.columns(X, Z)
    without = np.column_stack([np.ones_like(X), made.fixed(X, Z), *(B @ to for to in others)])
    without = without / np.linalg.norm(without, axis=0)
    left = wanted - without @ np.linalg.lstsq(without, wanted)[0]
    assert np.linalg.norm(left, axis=0).max() < 1e-9
    # and a product of two bends does
    product = np.sin(X / 1500) * np.exp(-900 * Z)
    left = product - without @ np.linalg.lstsq(without, product)[0]
    assert np.linalg.norm(left) > 0.05 * np.linalg.norm(product)


def test_a_surface_of_no_variance_is_the_product_of_lines() -> None:
    fit = FITS["wide"][0]
    lines = fit_problem(fit.problem, "REML", theta=np.zeros(3))
    D = np.column_stack([np.ones_like(X), X / 1e4, 1e3 * Z, X / 10 * Z])
    want = D @ np.linalg.lstsq(D, WIDE["y"])[0]
    assert_allclose(lines.fitted, want, rtol=0, atol=1e-9)


def test_a_surface_for_each_level_is_a_surface_of_its_rows() -> None:
    half = np.where(np.arange(len(X)) % 2, "odd", "even")
    term = ms.smooth(x=X, z=Z, basis="t2", k=(4, 3), by={"half": half})
    fit = ms.lmm(WIDE["y"], ms.linear(half=half), term)
    assert len(fit.random) == 6
    assert list(fit.edf) == ["fixed", "t2(x, z):half[even]", "t2(x, z):half[odd]"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": (6, 500)}, "z has .* distinct values, fewer than the 500"),
        ({"k": (2, 5)}, "k must be at least 3 .* found 2"),
        ({"k": (6, 5, 4)}, "k has 3 number"),
        ({"scaling": "none"}, "scaling must be"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ms.smooth(x=X, z=Z, basis="t2", **options)


# ---- the dense derivation ----


def part_of(x: FloatArray, k: int) -> Margin:
    basis = cr(x, k)
    return margin(basis.columns(x), basis.S)


def test_the_derivation_fits_as_the_engine() -> None:
    fit = FITS["ethanol"][0]
    dense = fit_blocks(NOX, surface(part_of(C, 5), part_of(E, 8)))
    assert_allclose(dense.criterion, fit.criterion, rtol=0, atol=1e-8)
    assert_allclose(dense.sigma, fit.sigma, rtol=1e-7)
    assert_allclose(dense.fitted, fit.fitted, rtol=0, atol=1e-7 * np.ptp(fit.fitted))
    assert_allclose(dense.edf.sum() + 3, of_smooth(fit), rtol=0, atol=1e-5)
    assert dense.theta[0] == 0


def test_the_derivation_fits_by_maximum_likelihood() -> None:
    fit = FITS["ethanol_ml"][0]
    dense = fit_blocks(NOX, surface(part_of(C, 5), part_of(E, 8)), "ML", start=[0.1, 2.0, 0.3])
    assert_allclose(dense.criterion, fit.criterion, rtol=0, atol=1e-8)


@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_separate_variances_do_not_see_units_and_one_does(unit: float) -> None:
    of_e, basis_e = part_of(E, 8), cr(E, 8)
    separate = [fit_blocks(NOX, surface(part_of(c, 5), of_e)) for c in (C, unit * C)]
    assert_allclose(separate[1].fitted, separate[0].fitted, rtol=0, atol=1e-6)
    one = [
        fit_mixed(
            NOX,
            rowwise_kronecker(basis.columns(c), basis_e.columns(E)),
            summed_penalty(basis.S, basis_e.S),
        )
        for c in (C, 1e-3 * C)
        for basis in (cr(c, 5),)
    ]
    assert one[0].edf - one[1].edf > 10
    assert np.abs(one[0].fitted - one[1].fitted).max() > 0.2


# gam(nox ~ s(equivalence, bs = "cr", k = 10) + s(equivalence, by = compression, bs = "cr", k = 10))
def test_varying_coefficient_is_mgcvs() -> None:
    mgcv = R["ethanol_varying"]
    curve = partial(ms.smooth, equivalence=E, basis="cr", k=10)
    fit = ms.lmm(NOX, curve(), ms.linear(compression=C), curve(by={"compression": C}))
    spread = np.ptp(mgcv["fitted"])
    assert_allclose(fit.fitted, mgcv["fitted"], rtol=0, atol=1e-7 * spread)
    assert_allclose(fit.predict(ETHANOL_AT), mgcv["predicted"], rtol=0, atol=1e-6 * spread)
    # mgcv counts the linear part to its second smooth
    edf = [fit.edf["s(equivalence)"], fit.edf["s(equivalence):compression"] + 1]
    assert_allclose(edf, mgcv["edf"], rtol=0, atol=1e-6)
    # Its free columns of that are c B U with U orthonormal. Ours are c, which is c B 1, and c B l
    # with l of length 1: they are its columns times U'[1 l], whose determinant is the area of the
    # parallelogram of 1 and l, and log|X'V^-1 X| has twice its logarithm more.
    corner = np.column_stack([np.ones(10), construct(E, "cr", 10).to_fixed])
    area = np.sqrt(np.linalg.det(corner.T @ corner))
    assert_allclose(fit.criterion - 2 * np.log(area), mgcv["criterion"], rtol=0, atol=1e-8)


def test_varying_coefficient_derived() -> None:
    curve = partial(ms.smooth, equivalence=E, basis="cr", k=10)
    fit = ms.lmm(NOX, curve(), ms.linear(compression=C), curve(by={"compression": C}))
    designs = varying(C, part_of(E, 10), part_of(E, 10))
    dense = fit_blocks(NOX, designs)
    assert_allclose(dense.fitted, fit.fitted, rtol=0, atol=1e-7 * np.ptp(fit.fitted))
    assert_allclose(dense.edf[0] + 1, fit.edf["s(equivalence)"], rtol=0, atol=1e-5)
    # the criterion, up to that of another basis of the same free columns: X = ours K
    ours = np.column_stack(
        [column for part in fit.model.fixed for column in part.columns(fit.model.frame)]
    )
    K = np.linalg.lstsq(ours, designs.X)[0]
    constant = 2 * np.linalg.slogdet(K)[1]
    assert_allclose(dense.criterion - constant, fit.criterion, rtol=0, atol=1e-8)


def test_margins_need_a_free_constant() -> None:
    with pytest.raises(ValueError, match="S penalizes constants"):
        margin([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.diag([0.0, 1.0, 1.0]))


def test_rows_of_designs_belong_together() -> None:
    with pytest.raises(ValueError, match="B_2 has 2 rows"):
        rowwise_kronecker([[1.0], [2.0], [3.0]], [[1.0], [2.0]])


def test_rowwise_products_are_kronecker_products_of_rows() -> None:
    rng = np.random.default_rng(3)
    A, B = rng.standard_normal((4, 3)), rng.standard_normal((4, 2))
    assert_array_equal(rowwise_kronecker(A, B), [np.kron(a, b) for a, b in zip(A, B, strict=True)])
