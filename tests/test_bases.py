"""Spline bases: against mgcv and gamm4, against their definitions, under changes of units."""

import json
import pickle
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline
from scipy.optimize import root

import mixedsmooth as ms
from mixedsmooth import published
from mixedsmooth.derivations.likelihood import grouping_columns
from mixedsmooth.derivations.reml import ProfiledFit, fit_profiled
from mixedsmooth.model.bases import BASES, Basis, cr, cs, ps, rk
from mixedsmooth.model.smooths import Scaling, Split, construct, split

FloatArray = NDArray[np.float64]

# mgcv 1.8-41 under R 4.2.2: smoothCon(s(x, bs = ..., k = ...), data, absorb.cons = ...,
# scale.penalty = TRUE), PredictMat, and gam(..., sp = 0.5); tests/reference/make_bases.R.
MGCV: dict[str, Any] = json.loads((Path(__file__).parent / "reference" / "bases.json").read_text())
CASES = [key for key, case in MGCV.items() if "bs" in case]
KINDS = list(BASES)

UNEVEN = np.array([0.1, 0.4, 0.4, 1.3, 1.9, 2.0, 2.0, 3.7, 4.0, 4.6, 5.9, 6.0, 7.7, 8.1, 9.2])


def mgcv(key: str) -> dict[str, Any]:
    """One case, its lists as arrays."""
    return {k: np.array(v, float) if isinstance(v, list) else v for k, v in MGCV[key].items()}


def basis_of(case: dict[str, Any]) -> Basis:
    return BASES[case["bs"]](case["x"], case["k"])


def penalized_fit(
    smooth: Split, x: FloatArray, y: FloatArray, lam: float, at: ArrayLike
) -> tuple[FloatArray, float]:
    """Fitted values at new points, and effective degrees of freedom, for lambda b'b."""

    def columns(values: ArrayLike) -> FloatArray:
        ones = np.ones(np.size(values))
        return np.column_stack([ones, smooth.fixed(values), smooth.random(values)])

    C = columns(x)
    free = 1 + smooth.to_fixed.shape[1]
    penalty = np.diag(np.r_[np.zeros(free), np.full(C.shape[1] - free, lam)])
    A = C.T @ C + penalty
    return columns(at) @ np.linalg.solve(A, C.T @ y), float(np.trace(np.linalg.solve(A, C.T @ C)))


# ---- mgcv ----


@pytest.mark.parametrize("key", CASES)
def test_knots_columns_and_penalty_are_mgcvs(key: str) -> None:
    case = mgcv(key)
    basis = basis_of(case)
    assert_allclose(basis.knots, case["knots"], rtol=0, atol=1e-12)
    assert_allclose(basis.columns(case["at"]), case["X"], rtol=0, atol=1e-12)
    S = basis.S / split(basis, case["x"]).scale
    assert_allclose(S, case["S"], rtol=0, atol=1e-12 * np.abs(case["S"]).max())


@pytest.mark.parametrize("key", CASES)
def test_constraint_and_scale_are_mgcvs(key: str) -> None:
    case = mgcv(key)
    basis = basis_of(case)
    smooth = split(basis, case["x"])
    assert_allclose(smooth.scale, case["scale"], rtol=1e-12)
    Z_c = smooth.constraint
    assert_allclose(basis.columns(case["at"]) @ Z_c, case["X_absorbed"], rtol=0, atol=1e-12)
    S = Z_c.T @ basis.S @ Z_c / smooth.scale
    assert_allclose(S, case["S_absorbed"], rtol=0, atol=1e-12 * np.abs(case["S"]).max())
    (to_random,) = smooth.to_random
    assert to_random.shape[1] == min(case["rank"], len(S))


@pytest.mark.parametrize("key", CASES)
def test_penalized_fit_is_mgcvs(key: str) -> None:
    case = mgcv(key)
    smooth = split(basis_of(case), case["x"])
    fit, edf = penalized_fit(smooth, case["x"], case["y"], 0.5, case["at"])
    assert_allclose(fit, case["fit"], rtol=1e-10)
    assert_allclose(edf, case["edf"], rtol=1e-10)


@pytest.mark.parametrize("criterion", ["GCV.Cp", "REML", "ML"])
def test_volvo_fit_at_mgcvs_smoothing_parameter(criterion: str, reference: dict[str, Any]) -> None:
    # mgcv 1.8-41: gam(wear ~ s(x, bs = "cr", k = 9), method = criterion)
    want = reference[f"volvo_cr9_{criterion}"]
    volvo = ms.load_volvo()
    x = (volvo.size - volvo.size.min()) / np.ptp(volvo.size)
    smooth = construct(x, "cr", k=9)
    assert_allclose(smooth.basis.knots, want["knots"], rtol=0, atol=1e-12)
    fit, edf = penalized_fit(smooth, x, volvo.wear, want["sp"], want["x"])
    assert_allclose(fit, want["fit"], rtol=1e-10)
    assert_allclose(edf, want["edf"], rtol=1e-10)


def test_volvo_fit_with_reproducing_kernel(reference: dict[str, Any]) -> None:
    want = reference["volvo_rk_lambda_1e4"]  # base R, normal equations, 7 knots at 1/8 ... 7/8
    volvo = ms.load_volvo()
    x = (volvo.size - volvo.size.min()) / np.ptp(volvo.size)
    at = np.linspace(0, 1, 101)
    given = rk(x, knots=np.arange(1, 8) / 8)
    values = np.linalg.eigvalsh(given.S)[::-1]
    # R clips the rounding errors of the two zeros
    assert_allclose(values, want["penalty_eigenvalues"], rtol=1e-10, atol=1e-17)
    # lambda S = (lambda scale) (S / scale)
    smooth = split(given, x)
    fit, edf = penalized_fit(smooth, x, volvo.wear, 1e-4 * smooth.scale, at)
    assert_allclose(fit, want["fit"], rtol=1e-8)  # cond of the normal equations is about 1e8
    assert_allclose(edf, want["edf"], rtol=1e-8)
    # the same knots, by number, and the unscaled covariate
    smooth = construct(volvo.size, "rk", k=9)
    at = volvo.size.min() + np.ptp(volvo.size) * at
    at[-1] = volvo.size.max()
    fit, _ = penalized_fit(smooth, volvo.size, volvo.wear, 1e-4 * smooth.scale, at)
    assert_allclose(fit, want["fit"], rtol=1e-8)


# ---- gamm4 ----


def gamm(smooth: Split) -> tuple[ProfiledFit, list[float]]:
    """Fit the sleep study by REML; the variances of subjects, smooth and residuals."""
    sleep = ms.load_sleepstudy()
    Z_subject, _ = grouping_columns(sleep.subject)
    Z_smooth = smooth.random(sleep.days)
    m, r = Z_subject.shape[1], Z_smooth.shape[1]
    fit = fit_profiled(
        sleep.reaction,
        np.column_stack([np.ones(180), smooth.fixed(sleep.days)]),
        np.column_stack([Z_subject, Z_smooth]),
        lambda theta: np.diag(np.repeat(theta, [m, r])),
        method="REML",
        start=[1.0, 0.1],
    )
    return fit, [*(fit.sigma * fit.theta) ** 2, fit.sigma**2]


def variances_at_the_root(smooth: Split, start: list[float]) -> list[float]:
    """Polish the variances of the model without fixed columns: there REML has no slope.

    tr(P V_i) = y' P V_i P y for V = sum of variance_i V_i, P = V^-1 - V^-1 1 (1' V^-1 1)^-1 1' V^-1
    """
    sleep = ms.load_sleepstudy()
    Z_subject, _ = grouping_columns(sleep.subject)
    Z_smooth = smooth.random(sleep.days)
    parts = [Z_subject @ Z_subject.T, Z_smooth @ Z_smooth.T, np.eye(180)]

    def slopes(log_variances: FloatArray) -> list[float]:
        variances = np.exp(log_variances)
        V = np.tensordot(variances, parts, axes=1)
        V_inverse = np.linalg.solve(V, np.eye(180))
        sums = V_inverse.sum(axis=0)
        P = V_inverse - np.outer(sums, sums) / sums.sum()
        Py = P @ sleep.reaction
        return [
            v * ((P * part).sum() - Py @ part @ Py)
            for v, part in zip(variances, parts, strict=True)
        ]

    solution = root(slopes, np.log(start), tol=1e-13)
    assert np.abs(solution.fun).max() < 1e-10
    return list(np.exp(solution.x))


def test_gamm4_with_shrinkage(reference: dict[str, Any]) -> None:
    want = reference["gamm4_cs"]  # gamm4 0.2.6: Reaction ~ s(Days, bs = "cs"), (1 | Subject)
    smooth = construct(ms.load_sleepstudy().days, "cs", k=10)
    fit, variances = gamm(smooth)
    # gamm4 0.2.6 stops a little early, with its default controls: 2e-8 above the optimum, with four
    # digits of the variances. Source 1 printed more of them: see the test of the scalings.
    assert want["criterion"] - 1e-7 < fit.criterion < want["criterion"]
    assert_allclose(variances, want["variance"], rtol=2e-4)
    curve = fit.beta[0] + smooth.random(range(10)) @ fit.b[18:]
    assert_allclose(curve, want["fitted_by_day"], rtol=1e-5)


def test_gamm4_without_shrinkage(reference: dict[str, Any]) -> None:
    want = reference["gamm4_cr"]  # gamm4 0.2.6: Reaction ~ s(Days, bs = "cr"), (1 | Subject)
    smooth = construct(ms.load_sleepstudy().days, "cr", k=10)
    fit, variances = gamm(smooth)
    assert want["criterion"] - 1e-7 < fit.criterion < want["criterion"]
    assert_allclose(variances, want["variance"], rtol=2e-5, atol=1e-6)  # the smooth's is zero
    # so this is the straight line: lme4 1.1.31, Reaction ~ Days + (1 | Subject), at its optimum
    line = reference["gamm4_linear"]["variance"]
    assert_allclose(variances, [line[0], 0, line[1]], rtol=1e-6, atol=1e-6)
    assert_allclose(np.abs(fit.beta), np.abs(want["beta"]), rtol=1e-6)
    assert smooth.to_fixed.shape[1] == 1


def test_scalings_differ_by_the_factor_between_two_versions_of_mgcv() -> None:
    days = ms.load_sleepstudy().days
    now, before = construct(days, "cs"), construct(days, "cs", scaling="mean")
    fit_now, variances_now = gamm(now)
    fit_before, variances_before = gamm(before)
    assert_allclose(fit_before.criterion, fit_now.criterion, rtol=1e-12)
    assert_allclose(variances_before[1] / variances_now[1], now.scale / before.scale, rtol=1e-5)
    assert f"{now.scale / before.scale:.2f}" == "24.52"  # as the ledger says
    # source 1 printed three decimals; with the older scaling the optimum has every one of them
    printed = [
        published.entries()[f"clark.gamm4_cs.variance_{part}"].printed
        for part in ("subject", "smooth", "residual")
    ]
    optimum = variances_at_the_root(before, variances_before)
    assert [f"{variance:.3f}" for variance in optimum] == printed


def test_cs_in_mgcv_depends_on_rounding_errors() -> None:
    # which straight line gets 0.1: both answers in mgcv, about equally often
    order = MGCV["cs_order"]
    assert order["first"] + order["second"] == 200
    assert 60 < order["first"] < 140
    # it matters: with the two exchanged the sleep study's criterion is not the published one
    days = ms.load_sleepstudy().days
    basis = cs(days, 10)
    exchanged = basis.root.copy()
    exchanged[-2:] *= np.sqrt([[0.1], [10.0]])
    fit, _ = gamm(split(replace(basis, root=exchanged), days))
    assert fit.criterion > gamm(split(basis, days))[0].criterion + 0.5


# ---- definitions ----


@pytest.mark.parametrize("k", [3, 4, 9])
def test_cr_is_the_natural_spline_through_its_coefficients(k: int) -> None:
    basis = cr(UNEVEN, k)
    beta = np.random.default_rng(k).normal(size=k)
    assert_allclose(basis.columns(basis.knots), np.eye(k), atol=1e-14)
    spline = CubicSpline(basis.knots, beta, bc_type="natural")
    x = np.linspace(basis.knots[0], basis.knots[-1], 201)
    assert_allclose(basis.columns(x) @ beta, spline(x), atol=1e-12)
    # beyond the knots: the tangent
    for end, out in [(basis.knots[0], [-5.0, 0.0]), (basis.knots[-1], [9.3, 20.0])]:
        tangent = spline(end) + spline(end, 1) * (np.array(out) - end)
        assert_allclose(basis.columns(out) @ beta, tangent, atol=1e-11)


def second_derivative(basis: Basis, x: FloatArray, step: float) -> FloatArray:
    """By central differences, exact for cubics up to rounding while no knot is within a step."""
    before, at, after = (basis.columns(x + d) for d in (-step, 0.0, step))
    second: FloatArray = (after - 2 * at + before) / step**2
    return second


@pytest.mark.parametrize("kind", ["cr", "cc"])
def test_penalty_is_the_integral_of_the_squared_second_derivative(kind: str) -> None:
    basis = BASES[kind](UNEVEN, 7)
    total = np.zeros_like(basis.S)
    # piecewise linear second derivatives: two-point Gauss quadrature is exact on each piece
    for low, high in pairwise(basis.knots):
        points = (low + high) / 2 + (high - low) / 2 * np.array([-1, 1]) / np.sqrt(3)
        curvature = second_derivative(basis, points, step=(high - low) / 10)
        total += (high - low) / 2 * curvature.T @ curvature
    assert_allclose(total, basis.S, rtol=0, atol=1e-10 * np.abs(basis.S).max())


def test_rk_penalty_is_the_integral_of_the_squared_second_derivative() -> None:
    basis = rk(np.linspace(0, 1, 20), knots=[0.2, 0.35, 0.8])
    # second derivatives of the kernel are quadratic between knots: three-point Gauss quadrature
    points, weights = np.polynomial.legendre.leggauss(3)
    total = np.zeros_like(basis.S)
    breaks = np.r_[0, basis.knots, 1]
    for low, high in pairwise(breaks):
        x = (low + high) / 2 + (high - low) / 2 * points
        d = (high - low) / 25
        # R is quartic in t between knots: five-point differences are exact
        weights5 = np.array([-1, 16, -30, 16, -1]) / (12 * d**2)
        steps = (-2 * d, -d, 0.0, d, 2 * d)
        curvature = sum(
            (w * basis.columns(x + s) for w, s in zip(weights5, steps, strict=True)),
            start=np.zeros((3, 5)),
        )
        total += (high - low) / 2 * curvature.T @ (weights[:, None] * curvature)
    assert_allclose(total, basis.S, rtol=0, atol=1e-9 * np.abs(basis.S).max())


def test_cc_meets_itself_up_to_the_second_derivative() -> None:
    basis = BASES["cc"](UNEVEN, 6)
    low, high = basis.knots[0], basis.knots[-1]
    period = high - low
    d = 1e-3
    left, right = (basis.columns(high + s * d * np.arange(5)) for s in (-1, 1))
    assert_allclose(left[0], basis.columns([low])[0], atol=1e-14)
    # one-sided differences that are exact for cubics: first and second derivative at the seam
    first = np.array([-11, 18, -9, 2, 0]) / (6 * d)
    second = np.array([2, -5, 4, -1, 0]) / d**2
    assert_allclose(first @ right, -first @ left, atol=1e-9)
    assert_allclose(second @ right, second @ left, atol=1e-7)
    third = np.array([-1, 3, -3, 1, 0]) / d**3
    assert np.abs(third @ right + third @ left).max() > 0.1  # and no further: it is a spline
    x = np.linspace(low, high, 7)[:-1]
    for shift in (-2, 3):
        assert_allclose(basis.columns(x + shift * period), basis.columns(x), atol=1e-12)


def test_ps_is_a_partition_of_unity() -> None:
    basis = ps(UNEVEN, 8)
    x = np.linspace(UNEVEN[0], UNEVEN[-1], 100)
    B = basis.columns(x)
    assert_allclose(B.sum(axis=1), 1, rtol=1e-14)
    assert B.min() >= 0
    assert (np.count_nonzero(B, axis=1) <= 4).all()


@pytest.mark.parametrize("kind", KINDS)
def test_null_space_of_the_penalty(kind: str) -> None:
    basis = BASES[kind](UNEVEN, 7)
    k = basis.S.shape[0]
    x = np.linspace(UNEVEN[0], UNEVEN[-1], 50)
    size = {"cr": 2, "cs": 0, "cc": 1, "ps": 2, "rk": 2}[kind]
    assert np.linalg.matrix_rank(basis.S, tol=1e-10 * np.linalg.norm(basis.S, 2)) == k - size
    lines = np.column_stack([np.ones(50), x])[:, :size]
    beta = np.linalg.lstsq(basis.columns(x), lines, rcond=None)[0]
    assert_allclose(basis.columns(x) @ beta, lines, atol=1e-10)
    assert_allclose(basis.root @ beta, 0, atol=1e-9 * np.abs(basis.root).max())


@pytest.mark.parametrize("k", [3, 6, 12])
def test_cs_replaces_the_two_zero_eigenvalues(k: int) -> None:
    values, shrunk = np.linalg.eigvalsh(cr(UNEVEN, k).S), np.linalg.eigvalsh(cs(UNEVEN, k).S)
    smallest = values[2]
    assert_allclose(shrunk[:2], [0.01 * smallest, 0.1 * smallest], rtol=1e-6)
    assert_allclose(shrunk[2:], values[2:], rtol=1e-9)
    line = cs(UNEVEN, k).knots - UNEVEN.min()
    assert_allclose(cs(UNEVEN, k).S @ line, 0.1 * smallest * line, atol=1e-6 * smallest)


# ---- the split ----


@pytest.mark.parametrize("scaling", ["norm", "mean"])
@pytest.mark.parametrize("kind", KINDS)
def test_split_is_constrained_complete_and_of_unit_penalty(kind: str, scaling: Scaling) -> None:
    smooth = construct(UNEVEN, kind, k=8, scaling=scaling)
    basis, m = smooth.basis, smooth.to_fixed.shape[1]
    F, (R,) = smooth.to_fixed, smooth.to_random
    k, r = basis.S.shape[0], R.shape[1]
    assert m == {"cr": 1, "cs": 0, "cc": 0, "ps": 1, "rk": 1}[kind]
    assert m + r == k - 1
    # each column sums to zero over the data
    C = np.column_stack([smooth.fixed(UNEVEN), smooth.random(UNEVEN)])
    assert_allclose(C.sum(axis=0), 0, atol=1e-10 * np.abs(C).max())
    # with a constant they span what the basis spans
    everything, B = np.column_stack([np.ones(len(UNEVEN)), C]), basis.columns(UNEVEN)
    coefficients = np.linalg.lstsq(everything, B, rcond=None)[0]
    assert_allclose(everything @ coefficients, B, atol=1e-9)
    # penalties: none for fixed, the identity for random, none between
    assert_allclose(R.T @ basis.S @ R / smooth.scale, np.eye(r), atol=1e-8)
    assert_allclose(basis.root @ F, 0, atol=1e-12 * np.abs(basis.root).max())
    assert_allclose(np.linalg.norm(F, axis=0), 1, rtol=1e-12)


@pytest.mark.parametrize("kind", ["cr", "ps", "rk"])
def test_fixed_column_is_an_increasing_line(kind: str) -> None:
    for k in range(4, 13):
        column = construct(UNEVEN, kind, k=k).fixed(UNEVEN)[:, 0]
        slope = (column[-1] - column[0]) / (UNEVEN[-1] - UNEVEN[0])
        assert_allclose(column, slope * (UNEVEN - UNEVEN.mean()), atol=1e-9)
        assert slope > 0


@pytest.mark.parametrize("kind", KINDS)
def test_signs_do_not_depend_on_rounding(kind: str) -> None:
    x = np.linspace(0, 1, 31)  # symmetric: entries of an eigenvector tie in size
    one, two = construct(x, kind, k=8), construct(3 * x, kind, k=8)
    if kind != "cc":  # eigenvalues of the equidistant cyclic spline come in pairs
        (R,), (R_two,) = one.to_random, two.to_random
        assert_allclose(R, R_two, atol=1e-6 * np.abs(R).max())
        for column in np.column_stack([one.to_fixed, R]).T:
            large = column[np.abs(column) > 1e-6 * np.abs(column).max()]
            assert large[-1] > 0
    assert_allclose(
        one.random(x) @ one.random(x).T, two.random(3 * x) @ two.random(3 * x).T, rtol=1e-6
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("shift", "factor"), [(-40.0, 1e-3), (2020.0, 365.25)])
def test_fit_does_not_depend_on_the_unit_of_x(kind: str, shift: float, factor: float) -> None:
    y = np.sin(UNEVEN) + np.random.default_rng(1).normal(size=len(UNEVEN))
    at = np.linspace(0.2, 9.1, 20)

    def line(values: FloatArray) -> FloatArray:
        return shift + factor * values

    fit, edf = penalized_fit(construct(UNEVEN, kind, k=8), UNEVEN, y, 0.3, at)
    moved, same_edf = penalized_fit(
        construct(line(UNEVEN), kind, k=8), line(UNEVEN), y, 0.3, line(at)
    )
    assert_allclose(moved, fit, rtol=1e-7)  # shifted by 40 units of 0.001: five digits are lost
    assert_allclose(same_edf, edf, rtol=1e-7)


@pytest.mark.parametrize("kind", ["cr", "ps", "rk", "cc"])
def test_fit_does_not_depend_on_the_direction_of_x(kind: str) -> None:
    y = np.sin(UNEVEN)
    fit, _ = penalized_fit(construct(UNEVEN, kind, k=8), UNEVEN, y, 0.3, UNEVEN)
    mirrored, _ = penalized_fit(construct(-UNEVEN, kind, k=8), -UNEVEN, y, 0.3, -UNEVEN)
    assert_allclose(mirrored, fit, rtol=1e-9)


@pytest.mark.parametrize("kind", ["cr", "cs"])
def test_many_uneven_knots_keep_their_digits(kind: str) -> None:
    x = np.random.default_rng(5).lognormal(sigma=1.5, size=2000)
    smooth = construct(x, kind, k=120)
    E = smooth.basis.root / np.sqrt(smooth.scale)
    (R,) = smooth.to_random
    # eigenvalues of S are 1e-16 of each other and further; those of E only 1e-8
    assert np.linalg.cond(E @ smooth.constraint) > 1e6
    assert_allclose((E @ R).T @ (E @ R), np.eye(R.shape[1]), atol=1e-6)
    if kind == "cr":
        assert_allclose(np.corrcoef(smooth.fixed(x)[:, 0], x)[0, 1], 1, rtol=1e-12)


def test_smooth_can_be_pickled() -> None:
    for kind in KINDS:
        smooth = construct(UNEVEN, kind, k=6)
        again = pickle.loads(pickle.dumps(smooth))
        assert_array_equal(again.random(UNEVEN), smooth.random(UNEVEN))


# ---- bad input ----


@pytest.mark.parametrize("kind", KINDS)
def test_bad_covariates(kind: str) -> None:
    make = BASES[kind]
    with pytest.raises(ValueError, match=r"days has 1 value\(s\) that are NaN.*row 2"):
        make([1.0, 2.0, np.nan, 4.0, 5.0], 4, name="days")
    with pytest.raises(ValueError, match=r"days is constant \(3\)"):
        make([3.0] * 12, 4, name="days")
    with pytest.raises(ValueError, match=f"days has 4 distinct.*fewer than the 5.*'{kind}'"):
        make([1, 2, 3, 4, 4, 4], 5, name="days")
    with pytest.raises(ValueError, match=f"k must be at least . for basis '{kind}', found 2"):
        make(UNEVEN, 2)
    with pytest.raises(ValueError, match=r"k must be a whole number, found 5\.0"):
        make(UNEVEN, 5.0)
    with pytest.raises(ValueError, match=r"x has 1 value.*NaN"):
        make(UNEVEN, 5).columns([np.nan])


@pytest.mark.parametrize(("kind", "least"), [("cr", 3), ("cs", 3), ("rk", 3), ("ps", 4), ("cc", 4)])
def test_smallest_k(kind: str, least: int) -> None:
    smooth = construct(UNEVEN, kind, k=least)
    assert np.isfinite(smooth.random(UNEVEN)).all()
    with pytest.raises(ValueError, match=f"at least {least} for basis '{kind}'"):
        construct(UNEVEN, kind, k=least - 1)


@pytest.mark.parametrize("kind", ["ps", "rk"])
def test_prediction_outside_the_range(kind: str) -> None:
    smooth = construct({"size": UNEVEN}, kind, k=6)
    assert smooth.random([0.1, 9.2]).shape[0] == 2  # the ends belong to it
    with pytest.raises(ValueError, match=r"size has 2 value\(s\) outside the range from 0\..*-1"):
        smooth.random([-1.0, 5.0, 11.0])
    with pytest.raises(ValueError, match=f"basis '{kind}', such as 9.5"):
        smooth.fixed([9.5])


def test_bad_knots() -> None:
    x = np.linspace(0, 1, 10)
    with pytest.raises(ValueError, match=r"x must lie in \[0, 1\].*from 0 to 3"):
        rk(3 * x, knots=[0.5])
    for knots in ([0.5, 0.4], [0.5, 0.5], [0.0, 0.5], [0.5, 1.0]):
        with pytest.raises(ValueError, match="knots must be increasing numbers between 0 and 1"):
            rk(x, knots=knots)
    with pytest.raises(ValueError, match="knots are so close"):
        rk(x, knots=[0.5, np.nextafter(0.5, 1), 0.7])
    with pytest.raises(ValueError, match="either k or knots"):
        rk(x)
    with pytest.raises(ValueError, match="either k or knots"):
        rk(x, 5, knots=[0.5])


def test_bad_names() -> None:
    with pytest.raises(ValueError, match=r"basis must be .*, found 'te'"):
        construct(UNEVEN, "te")
    with pytest.raises(ValueError, match='scaling must be "norm" or "mean", found \'max\''):
        construct(UNEVEN, "cr", scaling="max")  # type: ignore[arg-type]


def test_values_that_differ_by_rounding_errors_only() -> None:
    x = [0.0, 0.1, 0.2, 0.3, 0.1 + 0.2, 0.5]
    with pytest.raises(ValueError, match="x has values so unevenly spaced"):
        construct(x, "cr", k=6)
