"""Terms of every kind against mgcv, gamm4, nlme and gstat.

The numbers are those of tests/reference/terms.json; its README tells the calls and the digits.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixedsmooth as ms

FILE = Path(__file__).parent / "reference" / "terms.json"
REFERENCE: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
ETHANOL, MCYCLE, AIR = ms.load_ethanol(), ms.load_mcycle(), ms.load_co2()
COLUMBUS, MEUSE = ms.load_columbus(), ms.load_meuse()


def varying() -> ms.Fit:
    """Fit the effect of the compression, as a curve of the mixture."""
    cr: Any = {"equivalence": ETHANOL.equivalence, "basis": "cr", "k": 10}
    return ms.lmm(
        ETHANOL.nox,
        ms.linear(compression=ETHANOL.compression),
        ms.smooth(**cr),
        ms.smooth(**cr, by={"compression": ETHANOL.compression}),
    )


def season() -> ms.Fit:
    return ms.lmm(
        AIR.co2,
        ms.smooth(year=AIR.year, basis="cr", k=20),
        ms.smooth(month=AIR.month, basis="cc", k=12, period=(0.5, 12.5)),
    )


def field() -> ms.Fit:
    graph = ms.neighbours(COLUMBUS.pairs)
    return ms.lmm(COLUMBUS.crime, ms.group(district=COLUMBUS.district, precision=graph))


def kriging(reach: float | None) -> ms.Fit:
    return ms.lmm(
        np.log(MEUSE.zinc),
        ms.linear(root=np.sqrt(MEUSE.distance)),
        ms.smooth(x=MEUSE.x, y=MEUSE.y, basis="gp", kernel="exponential", range=reach, trend=False),
    )


def of_ethanol(basis: Any, k: Any) -> Callable[[], ms.Fit]:
    return lambda: ms.lmm(
        ETHANOL.nox,
        ms.smooth(
            compression=ETHANOL.compression, equivalence=ETHANOL.equivalence, basis=basis, k=k
        ),
    )


def of_mcycle(**options: Any) -> Callable[[], ms.Fit]:
    return lambda: ms.lmm(MCYCLE.accel, ms.smooth(time=MCYCLE.time, k=20, **options))


FITS: dict[str, Callable[[], ms.Fit]] = {
    "ethanol.varying": varying,
    "ethanol.t2": of_ethanol("t2", (5, 8)),
    "ethanol.tp": lambda: ms.lmm(
        ETHANOL.nox, ms.smooth(equivalence=ETHANOL.equivalence, basis="tp", k=10)
    ),
    "ethanol.tp2": of_ethanol("tp", 30),
    "mcycle.tp20": of_mcycle(basis="tp"),
    "mcycle.gp": of_mcycle(basis="gp", kernel="matern32", range=10),
    "co2.season": season,
    "columbus.mrf": field,
}


@cache
def fit(case: str) -> ms.Fit:
    return FITS[case]()


def reference(case: str) -> dict[str, Any]:
    data, model = case.split(".")
    found: dict[str, Any] = REFERENCE[data][model]
    return found


def scaling(case: str) -> float:
    """Return what mgcv's free columns X R^-1 add to -REML where ours are X: -log |R|.

    In its varying coefficient they are diag(c) B U with orthonormal U. Ours are diag(c) B times the
    coefficients of 1, and those of the centered line in unit length. A natural spline has its
    values at the knots for coefficients: so the two vectors are 1 and l, and |R| is the area of
    their parallelogram. All other terms have the same columns as mgcv's.
    """
    if case != "ethanol.varying":
        return 0.0
    # mgcv's knots are quantiles of the distinct values
    x = ETHANOL.equivalence
    line = np.quantile(np.unique(x), np.linspace(0, 1, 10)) - x.mean()
    unit = line / np.linalg.norm(line)
    return -0.5 * float(np.log(10 - unit.sum() ** 2))


# mgcv stops at a relative change of 1e-12; near a flat optimum that leaves lambda about 1e-6 of
# itself, and the criterion the rest of its digits. It has the t2's variance of zero at 1e-10.
@pytest.mark.parametrize("case", FITS)
def test_criterion(case: str) -> None:
    wanted = reference(case)
    assert_allclose(fit(case).criterion / 2 + scaling(case), wanted["reml"], rtol=0, atol=1e-8)


@pytest.mark.parametrize("case", FITS)
def test_residual_variance(case: str) -> None:
    assert_allclose(fit(case).sigma ** 2, reference(case)["sigma2"], rtol=1e-6)


@pytest.mark.parametrize("case", FITS)
def test_fitted_values_to_a_millionth_of_their_spread(case: str) -> None:
    wanted = np.array(reference(case)["fitted"])
    assert_allclose(fit(case).fitted, wanted, rtol=0, atol=1e-7 * np.ptp(wanted))


@pytest.mark.parametrize("case", FITS)
def test_degrees_of_freedom(case: str) -> None:
    edf = fit(case).edf
    fixed = edf.pop("fixed")
    if case == "ethanol.varying":
        # mgcv counts the coefficient's mean with its curve; here it is a linear term
        edf["s(equivalence):compression"] += fixed - 1
        fixed = 1.0
    assert_allclose(fixed, 1, rtol=1e-12)
    assert_allclose(list(edf.values()), reference(case)["edf"], rtol=1e-6)


@pytest.mark.parametrize("case", sorted(FITS.keys() - {"columbus.mrf"}))
def test_predictions_at_new_points(case: str) -> None:
    at = reference(case)["at"]
    assert_allclose(fit(case).predict(at), at["mean"], rtol=0, atol=1e-7 * np.ptp(at["mean"]))


@pytest.mark.parametrize("case", sorted(FITS.keys() - {"columbus.mrf", "ethanol.varying"}))
def test_each_smooth_by_itself_with_its_standard_errors(case: str) -> None:
    at = reference(case)["at"]
    smooths = [name for name in fit(case).edf if name != "fixed"]
    for name, value, se in zip(smooths, at["value"], at["se"], strict=True):
        names = name.split("(")[1].rstrip(")").split(", ")
        if len(names) == 1:
            curve = fit(case).smooth(name, at[names[0]])
            found = curve.value, curve.se
        else:  # a surface has all pairs of the two grids; those of the reference are its diagonal
            first, second = (np.array(at[n]) for n in names)
            order = np.argsort(first), np.argsort(second)
            surface = fit(case).smooth(name, {names[0]: first, names[1]: second})
            assert np.all(order[0] == order[1])
            found = np.diag(surface.value), np.diag(surface.se)
        assert_allclose(found[0], value, rtol=0, atol=1e-7 * np.ptp(value))
        assert_allclose(found[1], se, rtol=1e-6)


def test_the_varying_coefficient_is_that_of_mgcv() -> None:
    at = reference("ethanol.varying")["at"]
    new = {name: np.array(at[name]) for name in ("compression", "equivalence")}
    # of mgcv: the smooth times the compression; here the slope and a curve about it
    line = fit("ethanol.varying").beta[1]
    curve = fit("ethanol.varying").smooth("s(equivalence):compression", new["equivalence"])
    assert_allclose((line + curve.value) * new["compression"], at["value"][1], rtol=1e-8)


def test_districts_by_themselves_with_their_standard_errors() -> None:
    wanted = reference("columbus.mrf")["at"]
    district = fit("columbus.mrf").random["district"]
    at = [district.levels.tolist().index(label) for label in wanted["district"]]
    assert_allclose(district.effects[at, 0], wanted["value"][0], rtol=1e-8)
    assert_allclose(district.conditional_sd[at, 0], wanted["se"][0], rtol=1e-8)
    predicted = fit("columbus.mrf").predict({"district": wanted["district"]})
    assert_allclose(predicted, wanted["mean"], rtol=1e-8)


def test_a_surface_has_the_variances_of_gamm4() -> None:
    wanted = reference("ethanol.t2_gamm4")
    surface = fit("ethanol.t2")
    sd = {name: group.sd[0] for name, group in surface.random.items()}
    # lme4 stops its search earlier, at 1e-5 of a standard deviation and 1e-6 of the criterion
    assert_allclose(surface.criterion, wanted["reml_criterion"], rtol=0, atol=1e-6)
    assert surface.criterion <= wanted["reml_criterion"]
    assert_allclose(surface.sigma, wanted["sigma"], rtol=1e-5)
    assert_allclose(
        [sd[f"t2(compression, equivalence).{block}"] for block in ("equivalence", "compression")],
        [wanted["sd"]["Xr.0"], wanted["sd"]["Xr.1"]],
        rtol=1e-4,
    )
    assert sd["t2(compression, equivalence).both"] == wanted["sd"]["Xr"] == 0
    assert_allclose(surface.fitted, wanted["fitted"], rtol=0, atol=1e-5 * np.ptp(surface.fitted))


# ---- kriging ----


def test_kriging_is_the_regression_with_correlated_errors() -> None:
    wanted = REFERENCE["meuse"]["gls_exp"]
    found = kriging(wanted["range"])
    # gls found its own range and nugget, to a relative change of 1e-12 in a flat criterion
    assert_allclose(found.loglik, wanted["loglik"], rtol=0, atol=1e-8)
    assert_allclose(found.beta, wanted["beta"], rtol=1e-6)
    assert_allclose(found.se, wanted["se"], rtol=1e-6)
    tau = found.random["s(x, y)"].sd[0]
    assert_allclose(tau**2 + found.sigma**2, wanted["sigma"] ** 2, rtol=1e-6)
    assert_allclose(found.sigma**2 / wanted["sigma"] ** 2, wanted["nugget_share"], rtol=1e-6)


def test_kriging_predicts_as_gstat_does() -> None:
    wanted = REFERENCE["meuse"]["universal_kriging"]
    found = kriging(REFERENCE["meuse"]["gls_exp"]["range"])
    new = {"x": wanted["x"], "y": wanted["y"], "root": np.sqrt(wanted["distance"])}
    told = found.predict_interval(new, kind="prediction")
    # gstat had the variances of gls
    assert_allclose(told.value, wanted["prediction"], rtol=1e-6)
    assert_allclose(told.se**2, wanted["variance"], rtol=1e-6)


def test_the_range_is_estimated_as_gls_does() -> None:
    wanted = REFERENCE["meuse"]["gls_exp"]
    found = kriging(None)
    # the criterion is flat: a change of 1e-10 moves the range by 1e-5 of itself
    assert_allclose(found.ranges["s(x, y)"], wanted["range"], rtol=1e-4)
    assert_allclose(found.loglik, wanted["loglik"], rtol=0, atol=1e-7)
    assert found.loglik > wanted["loglik"] - 1e-9
    assert_allclose(found.beta, wanted["beta"], rtol=1e-4)
