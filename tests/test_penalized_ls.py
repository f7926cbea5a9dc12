"""Penalized least squares: against lme4, against V, as an integral, and source 2's error."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import multivariate_normal

import mixedsmooth as ms
from mixedsmooth.derivations.design import grouping_columns, intercept_slope_columns
from mixedsmooth.derivations.henderson import solve_from_covariance, solve_henderson
from mixedsmooth.derivations.likelihood import fit_ml, marginal_covariance, negloglik_transformed
from mixedsmooth.derivations.penalized_ls import (
    deviance,
    doubled_log_determinant_deviance,
    log_integral,
    penalized_objective,
    profiled_deviance,
    solve_penalized,
)
from tests.conftest import Rows

FloatArray = NDArray[np.float64]


class Design(NamedTuple):
    """Data of a model with several random effects, and a Lambda."""

    y: FloatArray
    X: FloatArray
    Z: FloatArray
    Lambda: FloatArray


def random_design(T: list[list[float]], seed: int) -> Design:
    """60 rows, unevenly shared by 7 groups, with random intercepts and slopes."""
    rng = np.random.default_rng(seed)
    group, x = rng.integers(0, 7, size=60), rng.normal(size=60)
    Z, levels = intercept_slope_columns(group, x)
    X = np.column_stack([np.ones(60), x, rng.normal(size=60)])
    Lambda: FloatArray = np.asarray(np.kron(np.eye(len(levels)), T), dtype=np.float64)
    return Design(3 + rng.normal(size=60), X, Z, Lambda)


DESIGNS = {
    "slopes": random_design([[1.2, 0.0], [-0.4, 0.7]], seed=1),
    "wide": random_design([[30.0, 0.0], [2.0, 10.0]], seed=2),
    "no slopes": random_design([[1.2, 0.0], [0.0, 0.0]], seed=3),
    "correlation one": random_design([[0.8, 0.0], [0.5, 0.0]], seed=4),
    "not triangular": random_design([[0.8, -0.3], [0.5, 0.6]], seed=5),
    "zero": random_design([[0.0, 0.0], [0.0, 0.0]], seed=6),
}
every_design = pytest.mark.parametrize("design", DESIGNS.values(), ids=DESIGNS)


def gasoline_rows() -> Rows:
    """Cars per person in 18 countries: the model of Fitzgerald (2021), year from 1965."""
    cars = ms.load_gasoline()
    X = np.column_stack([np.ones(len(cars)), cars.year - 1965, cars.lincomep, cars.lrpmg])
    return Rows(cars.lcarpcap, X, grouping_columns(cars.country)[0])


# ---- lme4 ----


# lme4 1.1.31 under R 4.2.2: lmer(..., REML = FALSE), bobyqa to rhoend = 1e-11; the formula stands
# in the reference. At lme4's own theta everything else is linear algebra, so 1e-9 is a wide margin.
@pytest.mark.parametrize(
    "case",
    ["sleepstudy_intercept_ML", "sleepstudy_unbalanced_intercept_ML", "gasoline_intercept_ML"],
)
def test_the_solution_at_lme4s_theta_is_lme4s(
    case: str, balanced: Rows, unbalanced: Rows, reference: dict[str, Any]
) -> None:
    lme4 = reference[case]
    if "gasoline" in case:
        rows = gasoline_rows()
    else:
        rows = unbalanced if "unbalanced" in case else balanced
    (effects,) = lme4["ranef"].values()
    n = len(rows.y)
    solution = solve_penalized(*rows, lme4["theta"])
    assert_allclose(solution.beta, lme4["beta"], rtol=1e-9)
    assert_allclose(solution.b, effects["(Intercept)"], rtol=2e-9)
    assert_allclose(solution.b, lme4["theta"] * solution.u, rtol=1e-14)
    assert_allclose(np.sqrt(solution.r2 / n), lme4["sigma"], rtol=1e-9)
    # Var(beta_hat) = sigma^2 (L_X L_X')^-1
    L_X_inverse = np.linalg.inv(solution.L_X)
    cov_beta = solution.r2 / n * L_X_inverse.T @ L_X_inverse
    assert_allclose(cov_beta, lme4["cov_beta"], rtol=1e-8)
    assert_allclose(profiled_deviance(lme4["theta"], *rows), lme4["criterion"], rtol=1e-10)
    assert_allclose(
        deviance(lme4["beta"], lme4["sigma"], *rows, lme4["theta"]), lme4["criterion"], rtol=1e-10
    )


# ---- the least squares problem ----


@every_design
def test_the_solution_is_that_of_the_covariance_matrix(design: Design) -> None:
    solution = solve_penalized(*design)
    beta, b = solve_from_covariance(*design)
    assert_allclose(solution.beta, beta, rtol=1e-9)
    assert_allclose(solution.b, b, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ["slopes", "wide", "not triangular"])
def test_the_solution_is_hendersons_where_lambda_is_nonsingular(name: str) -> None:
    solution = solve_penalized(*DESIGNS[name])
    beta, b = solve_henderson(*DESIGNS[name])
    assert_allclose(solution.beta, beta, rtol=1e-9)
    assert_allclose(solution.b, b, rtol=1e-9, atol=1e-11)


@every_design
def test_the_last_pivot_is_the_minimum(design: Design) -> None:
    solution = solve_penalized(*design)
    assert_allclose(
        penalized_objective(solution.beta, solution.u, *design), solution.r2, rtol=1e-11
    )
    rng = np.random.default_rng(7)
    for _ in range(20):
        beta = solution.beta + 1e-3 * rng.normal(size=3)
        u = solution.u + 1e-3 * rng.normal(size=len(solution.u))
        assert penalized_objective(beta, u, *design) > solution.r2


def test_the_objective_written_out() -> None:
    # y - X beta - Z Lambda u = (1 - 3 + 2, 3 - 3 + 2, 5 - 3 - 2) = (0, 2, 0), and ||u||^2 = 2
    X, Z = [[1], [1], [1]], [[1, 0], [1, 0], [0, 1]]
    assert penalized_objective([3], [-1, 1], [1, 3, 5], X, Z, 2.0) == 4 + 2


@every_design
def test_the_factors_are_those_of_the_definition(design: Design) -> None:
    _, X, Z, Lambda = design
    solution = solve_penalized(*design)
    V = marginal_covariance(Z, Lambda, 1.0)
    inner = Lambda.T @ Z.T @ Z @ Lambda + np.eye(len(Lambda))
    assert_allclose(solution.L_Z @ solution.L_Z.T, inner, rtol=1e-12, atol=1e-10)
    precision = X.T @ np.linalg.solve(V, X)
    assert_allclose(solution.L_X @ solution.L_X.T, precision, rtol=1e-9, atol=1e-10)
    # |I + Z Lambda Lambda' Z'| = |I + Lambda' Z' Z Lambda|
    assert_allclose(solution.log_det_Z, np.linalg.slogdet(V)[1], rtol=1e-10, atol=1e-12)
    assert_allclose(solution.log_det_X, np.linalg.slogdet(precision)[1], rtol=1e-9)


def test_a_number_is_theta_times_identity(unbalanced: Rows) -> None:
    theta_I = 1.3 * np.eye(unbalanced.Z.shape[1])
    assert profiled_deviance(1.3, *unbalanced) == profiled_deviance(theta_I, *unbalanced)


def test_theta_zero_is_ordinary_least_squares(unbalanced: Rows) -> None:
    y, X, Z = unbalanced
    beta, (rss,), _, _ = np.linalg.lstsq(X, y, rcond=None)
    solution = solve_penalized(y, X, Z, 0.0)
    assert_allclose(solution.beta, beta, rtol=1e-11)
    assert_allclose(solution.r2, rss, rtol=1e-11)
    assert_allclose(solution.b, 0, atol=0)
    assert solution.log_det_Z == 0
    n = len(y)
    expected = n * (1 + np.log(2 * np.pi * rss / n))
    assert_allclose(profiled_deviance(0.0, y, X, Z), expected, rtol=1e-12)


# ---- the likelihood ----


def points(design: Design) -> list[tuple[FloatArray, float]]:
    rng = np.random.default_rng(8)
    return [(3 * rng.normal(size=design.X.shape[1:]), sigma) for sigma in (0.3, 1.0, 20.0)]


@every_design
def test_the_integral_is_the_normal_density(design: Design) -> None:
    y, X, Z, Lambda = design
    for beta, sigma in points(design):
        density = multivariate_normal(X @ beta, marginal_covariance(Z, Lambda, sigma))
        assert_allclose(log_integral(beta, sigma, *design), density.logpdf(y), rtol=1e-9)


@pytest.mark.parametrize("theta", [0.0, 0.4, 3.0])
def test_the_integral_is_an_integral(theta: float) -> None:
    # one random effect, so that quadrature can do it: p(y | u) p(u), each a product of densities
    rng = np.random.default_rng(9)
    y, X, Z, beta, sigma = rng.normal(size=4), np.ones((4, 1)), np.ones((4, 1)), [0.3], 0.8

    def integrand(u: float) -> float:
        z = np.append((y - 0.3 - theta * u) / sigma, u / sigma)
        return float(np.prod(np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi * sigma**2)))

    by_quadrature, _ = quad(integrand, -12, 12, epsabs=0, epsrel=1e-11)
    assert_allclose(
        log_integral(beta, sigma, y, X, Z, theta), np.log(by_quadrature), rtol=0, atol=1e-10
    )


@every_design
def test_the_deviance_is_minus_twice_the_integral(design: Design) -> None:
    for beta, sigma in points(design):
        expected = -2 * log_integral(beta, sigma, *design)
        assert_allclose(deviance(beta, sigma, *design), expected, rtol=1e-11)


@every_design
def test_the_profiled_deviance_is_the_minimum_over_beta_and_sigma(design: Design) -> None:
    y, X, Z, Lambda = design
    solution = solve_penalized(*design)
    best = profiled_deviance(Lambda, y, X, Z)
    sigma = np.sqrt(solution.r2 / len(y))
    assert_allclose(deviance(solution.beta, sigma, *design), best, rtol=1e-12)
    for step in 1e-3 * np.eye(3):
        assert deviance(solution.beta + step, sigma, *design) > best
        assert deviance(solution.beta - step, sigma, *design) > best
    assert deviance(solution.beta, 1.01 * sigma, *design) > best
    assert deviance(solution.beta, 0.99 * sigma, *design) > best


@pytest.mark.parametrize("theta", [0.01, 0.5, 1.2, 8.0])
def test_the_profiled_deviance_is_that_of_the_transformed_rows(
    theta: float, unbalanced: Rows
) -> None:
    sigma = np.sqrt(solve_penalized(*unbalanced, theta).r2 / len(unbalanced.y))
    expected = 2 * negloglik_transformed(np.log([theta * sigma, sigma]), *unbalanced)
    assert_allclose(profiled_deviance(theta, *unbalanced), expected, rtol=1e-11)


@every_design
def test_only_lambda_lambda_transposed_matters(design: Design) -> None:
    y, X, Z, Lambda = design
    Q, _ = np.linalg.qr(np.random.default_rng(10).normal(size=Lambda.shape))
    assert_allclose(
        profiled_deviance(Lambda @ Q, y, X, Z), profiled_deviance(Lambda, y, X, Z), rtol=1e-10
    )


def test_units_and_order_do_not_matter(unbalanced: Rows) -> None:
    y, X, Z = unbalanced
    rng = np.random.default_rng(11)
    rows, columns = rng.permutation(len(y)), rng.permutation(Z.shape[1])
    shuffled = profiled_deviance(1.1, y[rows] / 1000, X[rows], Z[rows][:, columns])
    expected = profiled_deviance(1.1, y, X, Z) - 2 * len(y) * np.log(1000)
    assert_allclose(shuffled, expected, rtol=1e-11)


# ---- the error of source 2 ----


def as_printed(log_theta: FloatArray, y: FloatArray, X: FloatArray, Z: FloatArray) -> float:
    """Twice the value of ``loglik!`` of Fitzgerald (2021), transcribed line by line."""
    sigma, sigma_b = np.exp(log_theta)
    n_rows, n, p = len(y), Z.shape[1], X.shape[1]
    D = np.column_stack([X, Z])
    diagonal = np.diag(np.append(np.zeros(p), np.full(n, 1 / sigma_b**2)))
    left = D.T @ D / sigma**2 + diagonal
    beta_b = np.linalg.solve(left, D.T @ y / sigma**2)
    log_det = np.linalg.slogdet(left[p:, p:])[1]
    return float(
        np.sum((y - D @ beta_b) ** 2) / sigma**2
        + np.sum(beta_b[p:] ** 2) / sigma_b**2
        + 2 * log_det
        + n * np.log(sigma_b**2)
        + n_rows * np.log(sigma**2)
        + n * np.log(2 * np.pi)
    )


@pytest.mark.parametrize("log_theta", [(0.0, 0.0), (3.4, 3.6), (2.0, -1.0)])
def test_the_doubled_deviance_is_as_printed(
    log_theta: tuple[float, float], unbalanced: Rows
) -> None:
    ours = doubled_log_determinant_deviance(log_theta, *unbalanced)
    assert_allclose(ours, as_printed(np.array(log_theta), *unbalanced), rtol=1e-10)


@pytest.mark.parametrize("log_theta", [(0.0, 0.0), (3.4, 3.6), (2.0, -1.0)])
def test_without_the_two_errors_it_is_the_deviance(
    log_theta: tuple[float, float], unbalanced: Rows
) -> None:
    y, _, Z = unbalanced
    sigma, sigma_b = np.exp(log_theta)
    log_det = np.linalg.slogdet(Z.T @ Z / sigma**2 + np.eye(Z.shape[1]) / sigma_b**2)[1]
    corrected = (
        doubled_log_determinant_deviance(log_theta, *unbalanced)
        - log_det
        + (len(y) - Z.shape[1]) * np.log(2 * np.pi)
    )
    expected = 2 * negloglik_transformed([log_theta[1], log_theta[0]], *unbalanced)
    assert_allclose(corrected, expected, rtol=1e-11)


def test_the_doubled_determinant_inflates_both_variances() -> None:
    # A simulation of the source's design: N = 30 rows in each of n = 100 groups, an intercept and
    # p = 10 covariates, standard normal coefficients, variances 1 and 3, drawn in its order.
    rng = np.random.default_rng(0)
    N, n, p = 30, 100, 10
    group = np.repeat(np.arange(n), N)
    X = np.column_stack([np.ones(N * n), rng.normal(size=(N * n, p))])
    beta = rng.normal(size=p + 1)
    b = np.sqrt(3) * rng.normal(size=n)
    y = X @ beta + b[group] + rng.normal(size=N * n)
    Z, _ = grouping_columns(group)

    theta = minimize_scalar(profiled_deviance, bracket=(1.0, 2.0), args=(y, X, Z)).x
    sigma2 = solve_penalized(y, X, Z, theta).r2 / len(y)
    ml = np.array([sigma2, theta**2 * sigma2])
    doubled = minimize(
        doubled_log_determinant_deviance, [0.0, 0.0], args=(y, X, Z), method="Nelder-Mead"
    )
    printed = np.exp(2 * doubled.x)
    # This seed gives the figures of the errata, 1.011 and 3.335, and 1.047 and 3.369. (The search
    # for the last two stops at four digits, as the source's does: the optimum is at 1.0465.)
    assert_allclose(ml, [1.011, 3.335], rtol=0, atol=5e-4)
    assert_allclose(printed, [1.047, 3.369], rtol=0, atol=6e-4)
    # Balanced: the doubled term takes n of the n (N - 1) degrees of freedom within groups, so
    # sigma^2 grows by (N - 1) / (N - 2), and sigma_b^2 by sigma^2 / N. Both are the first terms of
    # an expansion in sigma^2 / (N sigma_b^2) = 0.01.
    assert_allclose(printed[0] / ml[0], (N - 1) / (N - 2), rtol=1e-3)
    assert_allclose(printed[1] - ml[1], ml[0] / N, rtol=0.03)


# ---- bad input ----

GOOD: dict[str, Any] = {
    "beta": [1.0, 0.5],
    "u": [0.1, -0.1],
    "sigma": 1.0,
    "y": [1.0, 2.0, 4.0, 3.0],
    "X": [[1.0, 0.0], [1.0, 1.0], [1.0, 2.0], [1.0, 4.0]],
    "Z": [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]],
    "Lambda": 1.0,
}
BAD = [
    ("y", [1.0, 2.0], "X has 4 rows where the other arguments have 2"),
    ("y", [1.0, 2.0, np.inf, 0.0], "y has 1 value.*first in row 2"),
    ("X", [[1.0, 1.0]] * 4, r"X has 2 columns but rank 1: column\(s\) [01] are"),
    ("Z", [[1.0], [1.0]], "Z has 2 rows where the other arguments have 4"),
    ("Lambda", -0.5, "Lambda is theta .* not negative; found -0.5"),
    ("Lambda", np.eye(3), r"Lambda must be a number or a 2 x 2 matrix"),
    ("beta", [1.0], "beta has 1 numbers and X has 2 columns"),
    ("beta", [1.0, np.nan], "beta has 1 value.*NaN"),
    ("u", [1.0], "u has 1 numbers and Z has 2 columns"),
    ("sigma", 0.0, "sigma must be a finite number above zero, found 0"),
]
TAKES = {
    penalized_objective: {"beta", "u", "y", "X", "Z", "Lambda"},
    solve_penalized: {"y", "X", "Z", "Lambda"},
    log_integral: {"beta", "sigma", "y", "X", "Z", "Lambda"},
    deviance: {"beta", "sigma", "y", "X", "Z", "Lambda"},
    profiled_deviance: {"y", "X", "Z", "Lambda"},
}


@pytest.mark.parametrize(
    ("function", "argument", "value", "message"),
    [(function, *bad) for function, takes in TAKES.items() for bad in BAD if bad[0] in takes],
)
def test_bad_input_is_told(function: Any, argument: str, value: object, message: str) -> None:
    arguments = {name: GOOD[name] for name in TAKES[function]}
    function(**arguments)  # the good input is good
    with pytest.raises(ValueError, match=message):
        function(**{**arguments, argument: value})


@pytest.mark.parametrize("log_theta", [[0.0], [0.0, np.nan], [0.0, 800.0]])
def test_the_doubled_deviance_tells_bad_input(log_theta: list[float]) -> None:
    with pytest.raises(ValueError, match="theta"):
        doubled_log_determinant_deviance(log_theta, GOOD["y"], GOOD["X"], GOOD["Z"])


def test_a_perfect_fit_is_told() -> None:
    X, Z = np.array(GOOD["X"]), GOOD["Z"]
    with pytest.raises(ValueError, match=r"y is explained by X and Z without error"):
        solve_penalized(X @ [1.0, 2.0], X, Z, 1.0)
    with pytest.raises(ValueError, match=r"y is explained by X and Z without error"):
        profiled_deviance(1e12, [1.0, 1.0, 2.0, 2.0], np.ones((4, 1)), Z)


def test_it_agrees_with_the_search_of_chapter_3(unbalanced: Rows) -> None:
    # fit_ml has six digits of theta; the minimum then has twelve
    fit = fit_ml(*unbalanced)
    assert_allclose(profiled_deviance(fit.theta, *unbalanced), fit.deviance, rtol=1e-11)
    solution = solve_penalized(*unbalanced, fit.theta)
    assert_allclose(np.sqrt(solution.r2 / len(unbalanced.y)), fit.sigma, rtol=1e-6)
    assert_allclose(solution.beta, fit.beta, rtol=1e-10)
