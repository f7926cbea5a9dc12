"""Gaussian processes, dense: against nlme and gstat, and kriging as Henderson's equations."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

import mixedsmooth as ms
from mixedsmooth.derivations.gaussian_process import (
    ProcessFit,
    distances,
    fit_process,
    krige,
    krige_by_henderson,
    process_covariance,
    range_profile,
    restricted_deviance,
)
from mixedsmooth.derivations.reml import restricted_deviance_from_covariance
from mixedsmooth.kernels import KERNELS, correlation

FloatArray = NDArray[np.float64]
# R 4.2.2, nlme 3.1.162: gls(log(zinc) ~ sqrt(dist), correlation = corExp(c(200, 0.25),
# form = ~ x + y, nugget = TRUE), method = "REML"); gstat 2.1.0: krige() at its estimates
TERMS = Path(__file__).parent / "reference" / "terms.json"


class Rows(NamedTuple):
    """Response, design and places."""

    y: FloatArray
    X: FloatArray
    places: FloatArray


@pytest.fixture(scope="module")
def meuse() -> Rows:
    m = ms.load_meuse()
    X = np.column_stack([np.ones(len(m.zinc)), np.sqrt(m.distance)])
    return Rows(np.log(m.zinc), X, np.column_stack([m.x, m.y]))


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(TERMS.read_text(encoding="utf-8"))["meuse"]
    return found


@pytest.fixture(scope="module")
def fit(meuse: Rows) -> ProcessFit:
    return fit_process(*meuse, "exponential")


def few(n: int = 12, seed: int = 1) -> Rows:
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, 10, (n, 2))
    return Rows(rng.normal(size=n), np.column_stack([np.ones(n), places[:, 0]]), places)


# ---- kernels ----


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_is_a_correlation(kernel: str) -> None:
    r = np.linspace(0, 20, 400)
    k = correlation(kernel, r)
    assert k[0] == 1.0
    assert np.all(np.diff(k) <= 0)
    assert 0 <= k[-1] < 1e-5
    assert np.linalg.eigvalsh(process_covariance(distances(few().places), kernel, 2.0)).min() > 0


def test_kernels_at_one_range() -> None:
    # by hand, from the formulas of Stein (1999) and Cressie (1993)
    e = np.exp(-1.0)
    values = [float(correlation(kernel, 1.0)) for kernel in KERNELS]
    assert_allclose(values, [e, 2 * e, 7 / 3 * e, e, 0.0], rtol=1e-15)
    assert_allclose(float(correlation("spherical", 0.5)), 1 - 0.75 + 0.0625, rtol=1e-15)


def test_smoother_kernels_are_flatter_at_zero() -> None:
    h = 1e-4
    drop = {kernel: float(1 - correlation(kernel, h)) for kernel in KERNELS}
    # 1 - k is h, h^2 / 2, h^2 / 6, h^2 and 1.5 h there
    expected = {"exponential": h, "matern32": h**2 / 2, "matern52": h**2 / 6, "gaussian": h**2}
    for kernel, value in (expected | {"spherical": 1.5 * h}).items():
        assert_allclose(drop[kernel], value, rtol=1e-3)


def test_far_distances_are_no_nan() -> None:
    for kernel in KERNELS:
        assert correlation(kernel, 1e149) == 0.0


# ---- the fit ----


def test_meuse_is_that_of_gls(fit: ProcessFit, reference: dict[str, Any]) -> None:
    gls = reference["gls_exp"]
    assert_allclose(fit.rho, gls["range"], rtol=1e-6)
    assert_allclose(fit.nugget, gls["nugget_share"], rtol=1e-6)
    assert_allclose(np.hypot(fit.tau, fit.sigma), gls["sigma"], rtol=1e-6)
    assert_allclose(-fit.criterion / 2, gls["loglik"], rtol=1e-10)
    assert_allclose(fit.beta, gls["beta"], rtol=1e-7)
    assert_allclose(np.sqrt(np.diag(fit.cov_beta)), gls["se"], rtol=1e-6)


def test_the_criterion_is_that_of_chapter_6() -> None:
    rows = few()
    K = process_covariance(distances(rows.places), "matern32", 3.0)
    theta = np.sqrt(0.7 / 0.3)  # tau / sigma
    dense = restricted_deviance_from_covariance(
        theta * np.linalg.cholesky(K), rows.y, rows.X, np.eye(12)
    )
    assert_allclose(restricted_deviance(3.0, 0.3, *rows, "matern32"), dense, rtol=1e-12)


def test_units_and_origin_of_the_map_do_not_matter() -> None:
    rows = few(20)
    fit = fit_process(*rows, "exponential")
    moved = fit_process(rows.y, rows.X, 1000 * rows.places + [1e5, -3e5], "exponential")
    turned = fit_process(rows.y, rows.X, rows.places @ [[0.6, 0.8], [-0.8, 0.6]], "exponential")
    assert_allclose(moved.rho, 1000 * fit.rho, rtol=1e-5)
    assert_allclose([moved.criterion, turned.criterion], fit.criterion, rtol=1e-9)


def test_without_the_covariate_nothing_holds_the_range(meuse: Rows) -> None:
    ranges = np.geomspace(100, 1e5, 12)
    with_distance, _ = range_profile(ranges, *meuse, "exponential")
    without, nugget = range_profile(ranges, meuse.y, meuse.X[:, :1], meuse.places, "exponential")
    assert 0 < int(np.argmin(with_distance)) < 4
    assert np.all(np.diff(without) < 0)
    # tau^2 / rho comes to rest: a variogram that is a straight line
    tau2_over_rho = (1 - nugget) / nugget / ranges
    assert_allclose(tau2_over_rho[-1], tau2_over_rho[-2], rtol=0.03)


def test_a_profile_has_the_least_of_the_criterion() -> None:
    rows = few()
    ((least,), (nugget,)) = range_profile([2.0], *rows, "gaussian")
    assert_allclose(restricted_deviance(2.0, nugget, *rows, "gaussian"), least, rtol=1e-12)
    for other in (0.5 * nugget, min(1.5 * nugget, 0.999)):
        assert restricted_deviance(2.0, other, *rows, "gaussian") >= least - 1e-9


# ---- kriging ----


def test_kriging_is_that_of_gstat(fit: ProcessFit, meuse: Rows, reference: dict[str, Any]) -> None:
    gstat = reference["universal_kriging"]
    X0 = np.column_stack([np.ones(3), np.sqrt(gstat["distance"])])
    new = np.column_stack([gstat["x"], gstat["y"]])
    for way in (krige, krige_by_henderson):
        prediction, variance = way(fit, *meuse, X0, new)
        assert_allclose(prediction, gstat["prediction"], rtol=1e-6)
        # gstat's is of a new observation
        assert_allclose(variance + fit.sigma**2, gstat["variance"], rtol=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
def test_kriging_is_hendersons(kernel: str) -> None:
    rows = few()
    one = np.ones((1, 1))
    fit = ProcessFit(kernel, 2.0, 0.3, 1.2, 0.8, one[0], one, 0.0)
    # a new place, one of the data, and one new place twice
    new = np.array([[5.0, 5.0], rows.places[3], [1.0, 8.0], [1.0, 8.0]])
    X0 = np.column_stack([np.ones(4), new[:, 0]])
    assert_allclose(krige(fit, *rows, X0, new), krige_by_henderson(fit, *rows, X0, new), rtol=1e-7)


def test_kriging_without_noise_goes_through_the_data() -> None:
    rows = few()
    one = np.ones((1, 1))
    fit = ProcessFit("exponential", 2.0, 0.0, 1.0, 1e-6, one[0], one, 0.0)
    prediction, variance = krige(fit, *rows, rows.X, rows.places)
    assert_allclose(prediction, rows.y, atol=1e-8)
    assert_allclose(variance, 0.0, atol=1e-8)


# ---- bad input ----


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: distances(np.zeros((2001, 1))), "places has 2001 rows"),
        (lambda: distances([[0, 0]], [[1]]), "others have 1 coordinates and places 2"),
        (lambda: process_covariance([1.0], "exponential", 0.0), "rho"),
        (lambda: process_covariance([-1.0], "exponential", 1.0), "zero or above; found -1"),
        (lambda: correlation("cubic", [0.0]), "kernel must be"),
        (lambda: restricted_deviance(1, 1.5, *few(), "gaussian"), "nugget"),
        (lambda: fit_process(*few()._replace(places=np.ones((12, 1))), "gaussian"), "all the same"),
        (lambda: fit_process(*few()._replace(places=np.ones((3, 1))), "gaussian"), "3 rows and y"),
    ],
)
def test_bad_input(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
