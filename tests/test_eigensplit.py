"""A smooth as a mixed model: against nlme and the penalized fit, and at the limits."""

from typing import Any, Literal

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from mixedsmooth.derivations.design import lambda_template
from mixedsmooth.derivations.eigensplit import eigen_split, fit_mixed, z_as_printed
from mixedsmooth.derivations.likelihood import fit_ml
from mixedsmooth.derivations.penalized_ls import profiled_deviance
from mixedsmooth.derivations.reml import (
    fit_profiled,
    restricted_deviance,
    restricted_deviance_from_covariance,
)
from mixedsmooth.derivations.spline import fit_penalized, spline_basis, spline_penalty
from tests.test_spline import Smooth, random_smooth, smooth, straight_line, volvo_smooth

Method = Literal["ML", "REML"]
METHODS: tuple[Method, ...] = ("ML", "REML")
both_methods = pytest.mark.parametrize("method", METHODS)


@pytest.fixture(scope="module")
def volvo() -> Smooth:
    return volvo_smooth()


# ---- nlme ----


# nlme 3.1.162 under R 4.2.2: lme(wear ~ XF - 1, random = list(one = pdIdent(~ Zr - 1)), method,
# msTol = 1e-14, reltol = 1e-14). A search that compares values of the criterion finds log theta to
# about 1e-7, and nlme prints tau with nine digits; at a minimum the criterion has twice the digits.
@both_methods
def test_the_fit_is_nlmes(method: Method, volvo: Smooth, reference: dict[str, Any]) -> None:
    nlme = reference[f"volvo_rk_{method}"]
    fit = fit_mixed(volvo.y, volvo.X, volvo.S, method)
    assert fit.method == method
    assert_allclose(fit.criterion, nlme["criterion"], rtol=1e-12)
    assert_allclose(fit.sigma, nlme["sigma"], rtol=1e-7)
    assert_allclose(fit.tau, nlme["tau"], rtol=1e-6)
    assert_allclose(fit.lam, nlme["lambda"], rtol=2e-6)
    assert_allclose(fit.edf, nlme["edf"], rtol=5e-7)
    assert_allclose(volvo.curve(fit.coef), nlme["fit"], rtol=1e-7)


# ---- the split ----


@pytest.mark.parametrize("data", [volvo_smooth(), random_smooth(1)], ids=["volvo", "random"])
def test_the_split_is_the_same_curve_and_penalty(data: Smooth) -> None:
    split = eigen_split(data.X, data.S)
    p, r = data.X.shape[1], len(data.knots)
    assert split.X_F.shape == (len(data.y), 2)
    assert split.Z.shape == (len(data.y), r)
    assert np.all(split.d > 0)
    assert np.all(np.diff(split.d) <= 0)
    rng = np.random.default_rng(0)
    for _ in range(5):
        beta_F, b = rng.normal(size=2), rng.normal(size=r)
        beta = split.map_back @ np.concatenate([beta_F, b])
        assert_allclose(data.X @ beta, split.X_F @ beta_F + split.Z @ b, rtol=0, atol=1e-12)
        assert_allclose(beta @ data.S @ beta, b @ b, rtol=1e-10)
        # U_F and U_R D_+^(-1/2): the way there
        there = np.linalg.solve(split.map_back, beta)
        assert_allclose(there, np.concatenate([beta_F, b]), rtol=0, atol=1e-10)
    U_F = split.map_back[:, : p - r]
    assert_allclose(U_F.T @ U_F, np.eye(2), rtol=0, atol=1e-14)
    assert_allclose(data.S @ U_F, 0, rtol=0, atol=1e-15)


def test_the_columns_of_new_points(volvo: Smooth) -> None:
    split = eigen_split(volvo.X, volvo.S)
    new = spline_basis([0.05, 0.6], volvo.knots)
    at_new = eigen_split(new, volvo.S)
    assert_allclose(
        new @ split.map_back, np.column_stack([at_new.X_F, at_new.Z]), rtol=0, atol=1e-15
    )


def test_the_signs_do_not_depend_on_rounding(volvo: Smooth) -> None:
    map_back = eigen_split(volvo.X, volvo.S).map_back
    for column in map_back.T:
        largest = np.flatnonzero(np.abs(column) > (1 - 1e-6) * np.abs(column).max())
        assert column[largest[0]] > 0
    # knots symmetric about 1/2: some vectors are antisymmetric, their largest entry twice there
    assert np.any(np.abs(map_back[2:, 2:].sum(axis=0)) < 1e-8 * np.abs(map_back[2:, 2:]).max())
    rng = np.random.default_rng(1)
    for _ in range(10):
        noise = 1e-16 * volvo.S * rng.uniform(-1, 1, size=volvo.S.shape)
        nearly = volvo.S + noise + noise.T
        assert_allclose(
            eigen_split(volvo.X, nearly).map_back[:, 2:], map_back[:, 2:], rtol=0, atol=1e-6
        )


def test_the_tolerance_separates_the_zeros(volvo: Smooth) -> None:
    S = np.diag([4.0, 1.0, 1e-3, 1e-14])
    X = np.eye(4)
    assert_array_equal(eigen_split(X, S).d, [4, 1, 1e-3])
    assert_array_equal(eigen_split(X, S, tolerance=1e-2).d, [4, 1])
    assert len(eigen_split(volvo.X, volvo.S, tolerance=0.5).d) == 2


def test_a_penalty_on_every_column_leaves_no_fixed_effects() -> None:
    split = eigen_split(np.eye(3), np.diag([4.0, 1.0, 0.25]))
    assert split.X_F.shape == (3, 0)
    assert_array_equal(split.Z, np.diag([0.5, 1.0, 2.0]))


# ---- the error of source 1 ----


def test_the_printed_z_is_the_split_of_another_penalty(volvo: Smooth) -> None:
    # X U_R D_+^(1/2): the penalty b'b is then beta' S^- beta, with the pseudoinverse
    printed = z_as_printed(volvo.X, volvo.S)
    d, U = np.linalg.eigh(volvo.S)
    U_R = U[:, ::-1][:, :7]
    written_out = volvo.X @ U_R @ np.diag(np.sqrt(d[::-1][:7]))
    assert_allclose(printed @ printed.T, written_out @ written_out.T, rtol=0, atol=1e-14)
    pseudoinverse = np.linalg.pinv(volvo.S, rcond=1e-10, hermitian=True)
    Z = eigen_split(volvo.X, pseudoinverse).Z
    assert_allclose(printed @ printed.T, Z @ Z.T, rtol=1e-9, atol=1e-16)


@both_methods
def test_the_printed_z_is_another_model(method: Method, volvo: Smooth) -> None:
    y, X, S = volvo[:3]
    printed = fit_mixed(y, X, np.linalg.pinv(S, rcond=1e-10, hermitian=True), method)
    right = fit_mixed(y, X, S, method)
    # computed here: it fits worse (ML 38.12 for 37.39, REML 39.46 for 38.51), and the curve moves
    worse = {"ML": (38.125, 37.393), "REML": (39.462, 38.514)}[method]
    assert_allclose([printed.criterion, right.criterion], worse, rtol=0, atol=5e-4)
    moved = np.abs(volvo.curve(printed.coef) - volvo.curve(right.coef)).max()
    assert_allclose(moved, {"ML": 0.151, "REML": 0.138}[method], rtol=0, atol=5e-4)
    # The criterion of the printed columns has a second minimum, at theta = 0. A search that only
    # goes down from a small theta stays there; the grid finds the better one.
    X_F, Z = eigen_split(X, S).X_F, z_as_printed(X, S)
    local = fit_profiled(y, X_F, Z, lambda_template(1, 7), method, start=[100.0])
    assert local.theta == 0
    assert local.criterion > printed.criterion + 0.05


# ---- the fit is the penalized fit ----


@both_methods
@pytest.mark.parametrize("seed", [None, 10, 18, 42])
def test_the_mixed_fit_is_the_penalized_fit(method: Method, seed: int | None) -> None:
    data = volvo_smooth() if seed is None else wave(seed)
    mixed = fit_mixed(*data[:3], method)
    penalized = fit_penalized(*data[:3], mixed.lam)
    assert 2.1 < mixed.edf < len(data.knots) + 2
    assert_allclose(mixed.fitted, penalized.fitted, rtol=0, atol=1e-8)
    assert_allclose(mixed.edf, penalized.edf, rtol=0, atol=1e-8)
    assert_allclose(mixed.coef, penalized.coef, rtol=1e-8, atol=1e-8 * np.abs(mixed.coef).max())
    assert_allclose(mixed.lam, (mixed.sigma / mixed.tau) ** 2, rtol=1e-12)


def wave(seed: int) -> Smooth:
    """Make a sine and noise at 40 points, 15 knots."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(size=40)
    y = np.sin(2 * np.pi * x) + 0.3 * rng.normal(size=40)
    return smooth(x, y, (np.arange(15) + 0.5) / 15)


@pytest.mark.parametrize("data", [volvo_smooth(), wave(10)], ids=["volvo", "wave"])
def test_it_agrees_with_the_searches_of_other_chapters(data: Smooth) -> None:
    y, X, S = data[:3]
    split = eigen_split(X, S)
    q = split.Z.shape[1]
    for method in METHODS:
        ours = fit_mixed(y, X, S, method)
        theirs = fit_profiled(y, split.X_F, split.Z, lambda_template(1, q), method, start=[20.0])
        assert_allclose(ours.criterion, theirs.criterion, rtol=1e-12)
        assert_allclose(ours.sigma, theirs.sigma, rtol=1e-6)
        assert_allclose(ours.tau / ours.sigma, theirs.theta[0], rtol=1e-5)
    # chapter 3 works with V and (log tau, log sigma), to six digits
    ours = fit_mixed(y, X, S, "ML")
    start = np.log([ours.tau * 1.1, ours.sigma * 1.1])
    by_covariance = fit_ml(y, split.X_F, split.Z, start=start)
    assert_allclose(ours.criterion, by_covariance.deviance, rtol=1e-10)
    assert_allclose(ours.tau, by_covariance.tau, rtol=1e-4)
    reml = fit_mixed(y, X, S, "REML")
    by_V = restricted_deviance_from_covariance(reml.tau / reml.sigma, y, split.X_F, split.Z)
    assert_allclose(reml.criterion, by_V, rtol=1e-11)


@both_methods
def test_the_better_of_two_minima_is_found(method: Method, volvo: Smooth) -> None:
    # On the Volvo data theta = 0 is a local minimum too. A search downhill from theta = 1, a theta
    # that is small for these columns, ends there.
    y, X, S = volvo[:3]
    split = eigen_split(X, S)
    local = fit_profiled(y, split.X_F, split.Z, lambda_template(1, 7), method, start=[1.0])
    assert local.theta == 0
    fit = fit_mixed(y, X, S, method)
    assert fit.criterion < local.criterion - 1
    assert fit.tau > 0


@both_methods
def test_no_theta_is_better(method: Method, volvo: Smooth) -> None:
    criterion = profiled_deviance if method == "ML" else restricted_deviance
    for data in (volvo, wave(18), random_smooth(64), random_smooth(33)):
        split = eigen_split(data.X, data.S)
        fit = fit_mixed(*data[:3], method)
        thetas = np.append(0, 10.0 ** np.arange(-3, 6, 0.1))
        values = [criterion(theta, data.y, split.X_F, split.Z) for theta in thetas]
        assert fit.criterion <= min(values) + 1e-11


# ---- limits and invariances ----


@both_methods
def test_noise_that_no_curve_explains_gets_theta_zero(method: Method, volvo: Smooth) -> None:
    X, S = volvo.X, volvo.S
    noise = np.random.default_rng(3).normal(size=19)
    noise -= X @ np.linalg.lstsq(X, noise, rcond=None)[0]
    data = volvo._replace(y=2 - 3 * volvo.x + noise)
    fit = fit_mixed(data.y, X, S, method)
    assert fit.tau == 0
    assert fit.lam == np.inf
    assert_allclose(fit.edf, 2, rtol=1e-12)
    assert_allclose(fit.fitted, straight_line(data), rtol=0, atol=1e-12)
    degrees = {"ML": 19, "REML": 17}[method]
    assert_allclose(fit.sigma, np.sqrt(noise @ noise / degrees), rtol=1e-12)


@both_methods
def test_units_and_order_do_not_matter(method: Method, volvo: Smooth) -> None:
    y, X, S = volvo[:3]
    fit = fit_mixed(y, X, S, method)
    rows = np.random.default_rng(2).permutation(19)
    other = fit_mixed(1000 * y[rows] + 1e6, X[rows], S, method)
    # log theta has half the digits of the criterion, and 1e6 costs it three
    assert_allclose(other.lam, fit.lam, rtol=1e-5)
    assert_allclose(other.sigma, 1000 * fit.sigma, rtol=1e-6)
    assert_allclose(other.fitted, 1000 * fit.fitted[rows] + 1e6, rtol=1e-8)
    degrees = {"ML": 19, "REML": 17}[method]
    assert_allclose(other.criterion, fit.criterion + 2 * degrees * np.log(1000), rtol=0, atol=1e-8)
    # the units of the penalty: lambda S stays
    rescaled = fit_mixed(y, X, 1e6 * S, method)
    assert_allclose(rescaled.lam, 1e-6 * fit.lam, rtol=1e-6)
    assert_allclose(rescaled.fitted, fit.fitted, rtol=1e-6)


def test_a_straight_line_more_changes_the_line_only(volvo: Smooth) -> None:
    y, X, S = volvo[:3]
    fit, moved = fit_mixed(y, X, S), fit_mixed(y + 5 - 3 * volvo.x, X, S)
    assert_allclose(moved.lam, fit.lam, rtol=1e-6)
    assert_allclose(moved.fitted, fit.fitted + 5 - 3 * volvo.x, rtol=1e-7)


# ---- bad input ----

GOOD: dict[str, Any] = dict(zip("yXS", wave(10), strict=False))
P = 17


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("y", [1.0, 2.0], "X has 40 rows where the other arguments have 2"),
        ("y", np.append(np.zeros(39), np.nan), "y has 1 value.*first in row 39"),
        ("X", np.full((40, P), np.nan), "X has 680 value"),
        ("S", np.eye(3), r"S has shape \(3, 3\) and X has 17 columns"),
        ("S", np.triu(np.ones((P, P))), "S must be symmetric"),
        ("S", np.diag(np.append(np.ones(P - 1), -1.0)), "S must be positive semidefinite"),
        ("S", np.zeros((P, P)), "S is zero"),
        ("S", np.eye(P), "S penalizes all columns of X"),
        ("y", np.full(40, 3.0), "y is explained by the 2 columns without a penalty"),
        ("y", 1 + 2 * GOOD["X"][:, 1], "y is explained by the 2 columns without a penalty"),
        ("y", GOOD["X"] @ np.arange(P), "y has no noise|y is explained"),
        ("method", "GCV", 'method must be "ML" or "REML", found \'GCV\''),
    ],
)
def test_bad_input_is_told(argument: str, value: Any, message: str) -> None:
    fit_mixed(**GOOD)  # the good input is good
    with pytest.raises(ValueError, match=message):
        fit_mixed(**{**GOOD, argument: value})


@both_methods
def test_a_curve_without_noise_is_told(method: Method) -> None:
    # in the span of the columns, and smooth: lambda goes to zero
    knots = np.arange(1, 6) / 6
    x = np.linspace(0, 1, 30)
    X, S = spline_basis(x, knots), spline_penalty(knots)
    y = X @ np.array([1.0, 2.0, 30.0, -50.0, 20.0, 10.0, -40.0])
    with pytest.raises(ValueError, match="y has no noise"):
        fit_mixed(y, X, S, method)


def test_a_constant_x_is_told() -> None:
    X = spline_basis([0.3] * 40, (np.arange(15) + 0.5) / 15)
    with pytest.raises(ValueError, match="X determines 1 of the 2 coefficients"):
        fit_mixed(GOOD["y"], X, GOOD["S"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"S": np.zeros((P, P))}, "S is zero"),
        ({"S": -np.eye(P)}, "S must be positive semidefinite"),
        ({"S": np.eye(2)}, r"S has shape \(2, 2\)"),
        ({"X": [1.0, 2.0]}, "X must be a matrix"),
        ({"tolerance": 0.0}, "tolerance must be a finite number above zero"),
    ],
)
def test_a_bad_split_is_told(arguments: dict[str, Any], message: str) -> None:
    good = {"X": GOOD["X"], "S": GOOD["S"]}
    eigen_split(**good)
    with pytest.raises(ValueError, match=message):
        eigen_split(**{**good, **arguments})
    if "tolerance" not in arguments:
        with pytest.raises(ValueError, match=message):
            z_as_printed(**{**good, **arguments})
