"""The penalized cubic spline: against R, scipy's smoothing spline, definitions, and its limits."""

from itertools import pairwise
from math import comb, factorial
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy.integrate import fixed_quad
from scipy.interpolate import CubicSpline, make_smoothing_spline
from scipy.optimize import minimize_scalar

import mixedsmooth as ms
from mixedsmooth.derivations.spline import (
    choose_gcv,
    fit_penalized,
    gcv,
    lambda_path,
    root_as_printed,
    spline_basis,
    spline_penalty,
    symmetric_root,
)
from mixedsmooth.kernels import rk

FloatArray = NDArray[np.float64]

GRID = np.arange(101) / 100


class Smooth(NamedTuple):
    """Response, design and penalty of a spline, and what they were made from."""

    y: FloatArray
    X: FloatArray
    S: FloatArray
    x: FloatArray
    knots: FloatArray

    def curve(self, coef: FloatArray) -> FloatArray:
        """Values on the grid of the reference."""
        return spline_basis(GRID, self.knots) @ coef


def smooth(x: FloatArray, y: FloatArray, knots: FloatArray) -> Smooth:
    return Smooth(y, spline_basis(x, knots), spline_penalty(knots), x, knots)


def volvo_smooth() -> Smooth:
    """Wear against engine size, scaled to [0, 1], with the seven knots of Clark (2016)."""
    volvo = ms.load_volvo()
    x = (volvo.size - volvo.size.min()) / np.ptp(volvo.size)
    return smooth(x, volvo.wear, np.arange(1, 8) / 8)


def random_smooth(seed: int) -> Smooth:
    """Noise at 30 random points, 12 knots."""
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(size=30))
    return smooth(x, rng.normal(size=30), (np.arange(12) + 0.5) / 12)


def straight_line(data: Smooth) -> FloatArray:
    line: FloatArray = np.polyval(np.polyfit(data.x, data.y, 1), data.x).astype(np.float64)
    return line


@pytest.fixture(scope="module")
def volvo() -> Smooth:
    return volvo_smooth()


# ---- R ----


# Base R 4.2.2, solve(crossprod(B) + lambda * S, crossprod(B, wear)). Normal equations square the
# condition number 900 of the scaled columns: R's coefficients have ten digits, its curve more.
def test_the_fit_is_rs(volvo: Smooth, reference: dict[str, Any]) -> None:
    theirs = reference["volvo_rk_lambda_1e4"]
    fit = fit_penalized(volvo.y, volvo.X, volvo.S, theirs["lambda"])
    assert_allclose(fit.coef, theirs["coef"], rtol=1e-8)
    assert_allclose(volvo.curve(fit.coef), theirs["fit"], rtol=1e-11)
    assert_allclose(fit.edf, theirs["edf"], rtol=1e-11)
    assert_allclose(fit.gcv, theirs["gcv"], rtol=1e-11)
    eigenvalues = np.linalg.eigvalsh(volvo.S)[::-1]
    assert_allclose(eigenvalues, theirs["penalty_eigenvalues"], rtol=1e-11, atol=1e-16)


# Base R 4.2.2, optimize(..., tol = 1e-10): where the score is flat, a search that compares its
# values has half their digits, about 1e-7 of log lambda, and the score itself has all.
def test_the_choice_by_gcv_is_rs(volvo: Smooth, reference: dict[str, Any]) -> None:
    theirs = reference["volvo_rk_gcv"]
    fit = choose_gcv(volvo.y, volvo.X, volvo.S)
    assert_allclose(np.log(fit.lam), theirs["log_lambda"], rtol=0, atol=5e-7)
    assert_allclose(fit.gcv, theirs["gcv"], rtol=1e-12)
    assert_allclose(fit.edf, theirs["edf"], rtol=1e-7)
    assert_allclose(volvo.curve(fit.coef), theirs["fit"], rtol=1e-7)
    at_theirs = gcv(np.exp(theirs["log_lambda"]), volvo.y, volvo.X, volvo.S)
    assert_allclose(at_theirs, theirs["gcv"], rtol=1e-12)


# ---- the error of source 1 ----


# Base R 4.2.2: the root as source 1 prints it, and lm.fit (Householder QR) on the augmented rows.
def test_the_printed_root_gives_the_printed_curve(volvo: Smooth, reference: dict[str, Any]) -> None:
    theirs = reference["volvo_rk_lambda_1e4"]
    printed = fit_penalized(volvo.y, volvo.X, volvo.S, 1e-4, root=root_as_printed)
    assert_allclose(printed.coef, theirs["coef_as_printed"], rtol=1e-9)
    assert_allclose(volvo.curve(printed.coef), theirs["fit_as_printed"], rtol=1e-11)


def test_the_size_of_the_error(volvo: Smooth) -> None:
    # the figures of the errata: B'B misses S by 0.0097, and the curve moves by up to 0.173
    B = root_as_printed(volvo.S)
    assert_allclose(np.abs(B.T @ B - volvo.S).max(), 0.0097, rtol=0, atol=5e-5)
    printed = fit_penalized(volvo.y, volvo.X, volvo.S, 1e-4, root=root_as_printed)
    right = fit_penalized(volvo.y, volvo.X, volvo.S, 1e-4)
    moved = volvo.curve(printed.coef) - volvo.curve(right.coef)
    assert_allclose(np.abs(moved).max(), 0.173, rtol=0, atol=5e-4)


def test_the_printed_root_written_out(volvo: Smooth) -> None:
    # crossprod(U) %*% sqrt(D), eigenvalues in R's falling order
    d, U = np.linalg.eigh(volvo.S)
    U, D = U[:, ::-1], np.diag(np.maximum(d[::-1], 0))
    assert_allclose(root_as_printed(volvo.S), U.T @ U @ np.sqrt(D), rtol=0, atol=1e-9)


# ---- the kernel, the basis and the penalty ----


def bernoulli_polynomial(degree: int, x: FloatArray) -> FloatArray:
    """B_m(x) = sum_k (m over k) B_k x^(m - k), from the Bernoulli numbers."""
    numbers = (1, -1 / 2, 1 / 6, 0, -1 / 30)
    polynomial = np.zeros_like(x)
    for k in range(degree + 1):
        polynomial += comb(degree, k) * numbers[k] * x ** (degree - k)
    return polynomial


def test_the_kernel_is_made_of_bernoulli_polynomials() -> None:
    x, z = GRID, np.array([0.0, 0.3, 0.5, 0.99, 1.0])
    k_2 = [bernoulli_polynomial(2, points) / factorial(2) for points in (x, z)]
    k_4 = bernoulli_polynomial(4, np.abs(x[:, None] - z)) / factorial(4)
    assert_allclose(rk(x, z), np.outer(*k_2) - k_4, rtol=0, atol=1e-16)


def test_the_kernel_is_symmetric_and_the_ends_are_one() -> None:
    assert_array_equal(rk(GRID, GRID), rk(GRID, GRID).T)
    assert_allclose(rk([0], GRID), rk([1], GRID), rtol=0, atol=1e-17)


def test_the_basis_is_line_and_kernel(volvo: Smooth) -> None:
    assert volvo.X.shape == (19, 9)
    assert_array_equal(volvo.X[:, 0], np.ones(19))
    assert_array_equal(volvo.X[:, 1], volvo.x)
    assert_array_equal(volvo.X[:, 2:], rk(volvo.x, volvo.knots))


def second_derivative(x: FloatArray, coef: FloatArray, knots: FloatArray) -> FloatArray:
    """By differences of five values, exact for the quartics between the knots."""
    h = 2e-3
    weights = np.array([-1, 16, -30, 16, -1]) / (12 * h**2)
    steps = h * np.arange(-2, 3)
    values = [spline_basis(x + step, knots) @ coef for step in steps]
    derivative: FloatArray = weights @ np.array(values)
    return derivative


@pytest.mark.parametrize("seed", range(4))
def test_the_penalty_is_the_integrated_squared_second_derivative(seed: int) -> None:
    rng = np.random.default_rng(seed)
    knots = np.array([0.1, 0.25, 0.5, 0.85])
    coef = rng.normal(size=6)
    # between two knots the square is a polynomial of degree four: three points are exact
    pieces = np.concatenate([[0], knots, [1]])
    integral = sum(
        fixed_quad(lambda x: second_derivative(x, coef, knots) ** 2, a, b, n=3)[0]
        for a, b in pairwise(pieces)
    )
    # rounding errors of the differences: 1e-16 / h^2 beside second derivatives of 0.1
    assert_allclose(coef @ spline_penalty(knots) @ coef, integral, rtol=1e-7)


def test_a_line_has_no_penalty(volvo: Smooth) -> None:
    assert_array_equal(volvo.S[:2], 0)
    assert_array_equal(volvo.S[:, :2], 0)
    assert np.linalg.matrix_rank(volvo.S) == 7


@pytest.mark.parametrize("n", [1, 4, 30])
def test_the_root_is_a_root(n: int) -> None:
    A = np.random.default_rng(n).normal(size=(n, max(n - 2, 1)))
    S = A @ A.T
    B = symmetric_root(S)
    assert_allclose(B.T @ B, S, rtol=0, atol=1e-14 * n * np.abs(S).max())
    assert_allclose(B, B.T, rtol=0, atol=1e-14 * n * np.abs(B).max())


def test_negative_rounding_errors_count_as_zero() -> None:
    B = symmetric_root(np.diag([4.0, 1.0, -1e-13, 1e-13]))
    assert_array_equal(B, np.diag([2.0, 1.0, 0.0, 0.0]))


# ---- the fit ----


def dense(data: Smooth, lam: float) -> tuple[FloatArray, FloatArray]:
    """Hat matrix H = X (X'X + lambda S)^-1 X', and H y."""
    gram = data.X.T @ data.X + lam * data.S
    H = data.X @ np.linalg.solve(gram, data.X.T)
    return H, H @ data.y


# The normal equations lose the square of the condition number, up to six digits.
@pytest.mark.parametrize("lam", [1e-6, 1e-4, 1e-2, 1.0])
def test_the_record_by_its_definitions(volvo: Smooth, lam: float) -> None:
    H, fitted = dense(volvo, lam)
    rss, n = np.sum((volvo.y - fitted) ** 2), len(volvo.y)
    fit = fit_penalized(volvo.y, volvo.X, volvo.S, lam)
    assert fit.lam == lam
    assert_array_equal(fit.fitted, volvo.X @ fit.coef)
    assert_allclose(fit.fitted, fitted, rtol=1e-9)
    assert_allclose(fit.edf, np.trace(H), rtol=1e-9)
    assert_allclose(fit.rss, rss, rtol=1e-9)
    assert_allclose(fit.gcv, n * rss / (n - np.trace(H)) ** 2, rtol=1e-9)
    assert gcv(lam, volvo.y, volvo.X, volvo.S) == fit.gcv


@pytest.mark.parametrize("lam", [1e-6, 1e-3, 1.0])
def test_the_fit_is_the_minimum(volvo: Smooth, lam: float) -> None:
    def objective(coef: FloatArray) -> float:
        residual = volvo.y - volvo.X @ coef
        return float(residual @ residual + lam * coef @ volvo.S @ coef)

    coef = fit_penalized(volvo.y, volvo.X, volvo.S, lam).coef
    rng = np.random.default_rng(1)
    for _ in range(20):
        assert objective(coef + 1e-3 * rng.normal(size=9) * np.abs(coef)) > objective(coef)


# scipy's smoothing spline minimizes the same criterion over all functions, by B-splines with a
# knot at each point. With the knots of R(x, z) there too, our minimum is the same.
@pytest.mark.parametrize("lam", [1e-7, 1e-4, 1e-1])
def test_with_a_knot_at_each_point_it_is_the_smoothing_spline(lam: float) -> None:
    data = random_smooth(5)
    full = smooth(data.x, data.y, data.x)
    fit = fit_penalized(full.y, full.X, full.S, lam)
    theirs = make_smoothing_spline(full.x, full.y, lam=lam)
    assert_allclose(fit.fitted, theirs(full.x), rtol=0, atol=1e-9)
    inside = np.linspace(full.x[0], full.x[-1], 50)
    assert_allclose(spline_basis(inside, full.knots) @ fit.coef, theirs(inside), rtol=0, atol=1e-9)
    # where the quartic terms cancel, the curve is a cubic in each piece
    assert abs(fit.coef[2:].sum()) < 1e-6 * np.abs(fit.coef[2:]).max()


# ---- limits ----


def test_a_large_lambda_gives_the_straight_line(volvo: Smooth) -> None:
    line = straight_line(volvo)
    for lam, left in [(1e2, 1e-4), (1e6, 1e-8), (1e10, 1e-12), (1e20, 1e-13), (1e40, 1e-13)]:
        fit = fit_penalized(volvo.y, volvo.X, volvo.S, lam)
        assert_allclose(fit.fitted, line, rtol=0, atol=left)
        assert_allclose(fit.edf, 2, rtol=0, atol=10 * left)
    # and before the limit the line has not been reached
    assert np.abs(fit_penalized(volvo.y, volvo.X, volvo.S, 1e2).fitted - line).max() > 1e-5


def test_lambda_zero_is_least_squares(volvo: Smooth) -> None:
    fit = fit_penalized(volvo.y, volvo.X, volvo.S, 0)
    assert_allclose(fit.edf, 9, rtol=1e-12)
    # nine sizes and nine columns: the curve goes through the mean wear of each size
    means = [volvo.y[volvo.x == x].mean() for x in volvo.x]
    assert_allclose(fit.fitted, means, rtol=1e-11)
    nearly = fit_penalized(volvo.y, volvo.X, volvo.S, 1e-14)
    assert_allclose(nearly.fitted, means, rtol=1e-8)


def test_as_many_columns_as_points_interpolate() -> None:
    x = np.array([0, 0.1, 0.25, 0.45, 0.7, 0.8, 1])
    y = np.array([1.0, -1, 3, 2, 2.5, 0, 4])
    data = smooth(x, y, x[1:-1])
    fit = fit_penalized(data.y, data.X, data.S, 0)
    assert_allclose(fit.fitted, y, rtol=0, atol=1e-11)
    assert_allclose(fit.edf, 7, rtol=1e-13)
    assert fit.gcv == np.inf  # 0 / 0: nothing is left to judge by


def test_a_small_lambda_with_a_knot_at_each_point_is_the_natural_spline() -> None:
    x = np.array([0.05, 0.1, 0.25, 0.45, 0.7, 0.8, 1])
    y = np.array([1.0, -1, 3, 2, 2.5, 0, 4])
    data = smooth(x, y, x)
    fit = fit_penalized(data.y, data.X, data.S, 1e-14)
    natural = CubicSpline(x, y, bc_type="natural")
    inside = np.linspace(0.05, 1, 40)
    assert_allclose(spline_basis(inside, x) @ fit.coef, natural(inside), rtol=0, atol=1e-8)


# ---- invariances ----


def test_units_order_and_straight_lines(volvo: Smooth) -> None:
    y, X, S = volvo[:3]
    fit = fit_penalized(y, X, S, 1e-3)
    rows = np.random.default_rng(2).permutation(19)
    shuffled = fit_penalized(y[rows], X[rows], S, 1e-3)
    assert_allclose(shuffled.coef, fit.coef, rtol=1e-9)
    assert_allclose(shuffled.edf, fit.edf, rtol=1e-12)
    scaled = fit_penalized(1000 * y, X, S, 1e-3)
    assert_allclose(scaled.coef, 1000 * fit.coef, rtol=1e-11)
    assert_allclose(scaled.gcv, 1e6 * fit.gcv, rtol=1e-11)
    moved = fit_penalized(y + 5 - 3 * volvo.x, X, S, 1e-3)
    assert_allclose(moved.fitted, fit.fitted + 5 - 3 * volvo.x, rtol=0, atol=1e-12)
    mirrored = smooth(1 - volvo.x, y, 1 - volvo.knots)
    assert_allclose(fit_penalized(*mirrored[:3], 1e-3).fitted, fit.fitted, rtol=1e-11)
    # lambda S is what counts
    assert_allclose(fit_penalized(y, X, 100 * S, 1e-5).fitted, fit.fitted, rtol=1e-11)


# ---- the choice of lambda ----


def test_the_best_of_several_minima_is_chosen() -> None:
    y, X, S = random_smooth(64)[:3]
    logs = np.arange(np.log(1e-12), np.log(1e6), 0.1)
    scores = np.array([gcv(np.exp(log_lam), y, X, S) for log_lam in logs])
    minima = (scores[1:-1] < scores[:-2]) & (scores[1:-1] < scores[2:])
    assert minima.sum() == 2
    fit = choose_gcv(y, X, S)
    assert fit.gcv <= scores.min()
    # a search without a grid ends in the other one
    bounds = np.log([1e-12, 1e6])
    local = minimize_scalar(
        lambda log_lam: gcv(np.exp(log_lam), y, X, S), bounds=bounds, method="bounded"
    )
    assert local.fun > 1.05 * fit.gcv


def test_a_minimum_at_a_bound(volvo: Smooth) -> None:
    y, X, S = volvo[:3]
    assert_allclose(choose_gcv(y, X, S, bounds=(1e-8, 1e-4)).lam, 1e-4, rtol=1e-8)
    assert_allclose(choose_gcv(y, X, S, bounds=(5e-3, 5e-2)).lam, 5e-3, rtol=1e-8)


def test_noise_that_no_curve_explains_gets_a_line(volvo: Smooth) -> None:
    X, S = volvo.X, volvo.S
    noise = np.random.default_rng(3).normal(size=19)
    noise -= X @ np.linalg.lstsq(X, noise, rcond=None)[0]
    fit = choose_gcv(2 - 3 * volvo.x + noise, X, S)
    assert_allclose(fit.edf, 2, rtol=0, atol=1e-6)
    assert_allclose(fit.fitted, 2 - 3 * volvo.x, rtol=0, atol=1e-6)


def test_the_path_is_its_fits(volvo: Smooth) -> None:
    y, X, S = volvo[:3]
    lams = [1.0, 0.0, 1e-4]
    path = lambda_path(y, X, S, lams)
    assert_array_equal(path.lam, lams)
    assert path.coef.shape == (3, 9)
    assert path.fitted.shape == (3, 19)
    for i, lam in enumerate(lams):
        fit = fit_penalized(y, X, S, lam)
        assert_array_equal(path.coef[i], fit.coef)
        assert_array_equal(path.fitted[i], fit.fitted)
        assert path.edf[i] == fit.edf
        assert path.gcv[i] == fit.gcv
    assert path.edf[0] < path.edf[2] < path.edf[1]


# ---- bad input ----

KNOTS = [0.25, 0.5, 0.75]
POINTS = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
GOOD: dict[str, Any] = {
    "y": [1.0, 3.0, 2.0, 5.0, 4.0, 4.0],
    "X": spline_basis(POINTS, KNOTS),
    "S": spline_penalty(KNOTS),
}


@pytest.mark.parametrize(
    ("x", "knots", "message"),
    [
        ([0.5, 1.2], KNOTS, r"x must lie in \[0, 1\], found values from 0.5 to 1.2"),
        ([-0.1, 0.5], KNOTS, r"x must lie in \[0, 1\]"),
        ([0.5, np.nan], KNOTS, "x has 1 value.*NaN"),
        ([[0.5]], KNOTS, "x must be a vector"),
        (["a"], KNOTS, "x must hold numbers"),
        (POINTS, [0.5, 1.5], r"knots must lie in \[0, 1\]"),
        (POINTS, [0.5, np.inf], "knots has 1 value"),
        (POINTS, [0.5, 0.2, 0.5], "knots must be distinct, found 0.5 2 times"),
        (POINTS, [0.0, 0.5, 1.0], "knots must not hold both 0 and 1"),
        (POINTS, [], "knots must be a vector"),
    ],
)
def test_bad_points_are_told(x: Any, knots: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spline_basis(x, knots)
    if "knots" in message:
        with pytest.raises(ValueError, match=message):
            spline_penalty(knots)


def test_the_kernel_tells_bad_points() -> None:
    with pytest.raises(ValueError, match=r"x must lie in \[0, 1\]"):
        rk([2.0], [0.5])
    with pytest.raises(ValueError, match=r"z must lie in \[0, 1\]"):
        rk([0.5], [-1.0])


BAD_DATA = [
    ("y", [1.0, 2.0], "X has 6 rows where the other arguments have 2"),
    ("y", [1.0, 3.0, np.nan, 5.0, 4.0, 4.0], "y has 1 value.*NaN.*first in row 2"),
    ("X", np.full((6, 5), np.inf), "X has 30 value"),
    ("S", np.eye(4), r"S has shape \(4, 4\) and X has 5 columns"),
    ("S", np.ones((5, 4)), r"S has shape \(5, 4\)"),
    ("S", np.triu(np.ones((5, 5))), "S must be symmetric.*entry of 1"),
    ("S", np.diag([1.0, 1, 1, 1, -1e-6]), "positive semidefinite.*eigenvalue of -1e-06"),
    ("S", -np.eye(5), "positive semidefinite"),
]
FITS: dict[str, Any] = {
    "fit_penalized": lambda y, X, S: fit_penalized(y, X, S, 1e-3),
    "gcv": lambda y, X, S: gcv(1e-3, y, X, S),
    "choose_gcv": choose_gcv,
    "lambda_path": lambda y, X, S: lambda_path(y, X, S, [1e-3]),
}


@pytest.mark.parametrize("function", FITS.values(), ids=FITS)
@pytest.mark.parametrize(("argument", "value", "message"), BAD_DATA)
def test_bad_data_are_told(function: Any, argument: str, value: Any, message: str) -> None:
    function(**GOOD)  # the good data are good
    with pytest.raises(ValueError, match=message):
        function(**{**GOOD, argument: value})


@pytest.mark.parametrize("lam", [-1e-9, np.nan, np.inf])
def test_a_bad_lambda_is_told(lam: float) -> None:
    with pytest.raises(ValueError, match="lam must be a finite number, zero or above"):
        fit_penalized(**GOOD, lam=lam)


def test_a_root_needs_a_square() -> None:
    with pytest.raises(ValueError, match=r"S must be square, found shape \(2, 3\)"):
        symmetric_root(np.ones((2, 3)))


def test_too_few_points_are_told(volvo: Smooth) -> None:
    keep = volvo.x > 0  # eight of the nine sizes
    y, X = volvo.y[keep], volvo.X[keep]
    with pytest.raises(ValueError, match=r"8 distinct rows, and lam = 0 do not determine the 9"):
        fit_penalized(y, X, volvo.S, 0)
    assert fit_penalized(y, X, volvo.S, 1e-4).edf < 8


def test_a_constant_x_is_told() -> None:
    X = spline_basis([0.3] * 6, KNOTS)
    for lam in (0, 1.0):
        with pytest.raises(ValueError, match="X, with 1 distinct rows"):
            fit_penalized(GOOD["y"], X, GOOD["S"], lam)


@pytest.mark.parametrize("bounds", [(1.0, 1.0), (2.0, 1.0), (0.0, 1.0), (1.0, np.inf)])
def test_bad_bounds_are_told(bounds: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="bounds must"):
        choose_gcv(**GOOD, bounds=bounds)
