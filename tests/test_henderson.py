"""Henderson's equations: against lme4, against the conditional mean, and at the limits."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from mixedsmooth.derivations.design import intercept_slope_columns
from mixedsmooth.derivations.henderson import (
    conditional_covariance,
    mixed_model_equations,
    prediction_error_covariance,
    shrinkage_factor,
    solve_from_covariance,
    solve_henderson,
)
from mixedsmooth.derivations.likelihood import (
    fit_ml,
    generalized_least_squares,
    marginal_covariance,
)
from tests.conftest import Rows

CASES = ["sleepstudy_intercept_ML", "sleepstudy_unbalanced_intercept_ML"]


def rows_of(case: str, balanced: Rows, unbalanced: Rows) -> Rows:
    return unbalanced if "unbalanced" in case else balanced


@pytest.mark.parametrize("case", CASES)
def test_blue_and_blup_are_lme4s(
    case: str, balanced: Rows, unbalanced: Rows, reference: dict[str, Any]
) -> None:
    # lme4 1.1.31: lmer(Reaction ~ Days + (1 | Subject), REML = FALSE), ranef(m, condVar = TRUE).
    # theta is lme4's own, so that only the solutions are compared.
    lme4, rows = reference[case], rows_of(case, balanced, unbalanced)
    beta, b = solve_henderson(*rows, lme4["theta"])
    assert_allclose(beta, lme4["beta"], rtol=1e-9)
    assert_allclose(b, lme4["ranef"]["Subject"]["(Intercept)"], rtol=1e-8)
    conditional = conditional_covariance(rows.Z, lme4["theta"], lme4["sigma"])
    assert_allclose(np.diag(conditional), lme4["cond_var"]["Subject"], rtol=1e-9)
    errors = prediction_error_covariance(rows.X, rows.Z, lme4["theta"], lme4["sigma"])
    assert_allclose(errors[:2, :2], lme4["cov_beta"], rtol=1e-8)


def test_blups_at_our_own_optimum_are_lme4s(balanced: Rows, reference: dict[str, Any]) -> None:
    fit = fit_ml(*balanced)
    _, b = solve_henderson(*balanced, fit.theta)
    theirs = reference["sleepstudy_intercept_ML"]["ranef"]["Subject"]["(Intercept)"]
    assert_allclose(b, theirs, rtol=5e-7)


@pytest.mark.parametrize("theta", [1e-2, 0.5, 1.2, 8.0])
def test_henderson_is_the_conditional_mean(theta: float, unbalanced: Rows) -> None:
    beta, b = solve_henderson(*unbalanced, theta)
    beta_v, b_v = solve_from_covariance(*unbalanced, theta)
    assert_allclose(beta, beta_v, rtol=1e-10)
    assert_allclose(b, b_v, rtol=1e-10, atol=1e-10)


def random_slopes(n: int = 60) -> tuple[Rows, NDArray[np.float64]]:
    rng = np.random.default_rng(4)
    group, x = rng.integers(0, 7, size=n), rng.normal(size=n)
    Z, levels = intercept_slope_columns(group, x)
    T = np.array([[1.2, 0.0], [-0.4, 0.7]])
    rows = Rows(rng.normal(size=n), np.column_stack([np.ones(n), x]), Z)
    return rows, np.kron(np.eye(len(levels)), T)


def test_henderson_is_the_conditional_mean_with_correlated_slopes() -> None:
    rows, Lambda = random_slopes()
    for ours, theirs in zip(
        solve_henderson(*rows, Lambda), solve_from_covariance(*rows, Lambda), strict=True
    ):
        assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_the_solution_minimizes_the_penalized_sum_of_squares() -> None:
    (y, X, Z), Lambda = random_slopes()
    precision = np.linalg.inv(Lambda @ Lambda.T)

    def criterion(beta: NDArray[np.float64], b: NDArray[np.float64]) -> float:
        return float(np.sum((y - X @ beta - Z @ b) ** 2) + b @ precision @ b)

    beta, b = solve_henderson(y, X, Z, Lambda)
    best = criterion(beta, b)
    rng = np.random.default_rng(5)
    for _ in range(20):
        step = 1e-3 * rng.normal(size=len(beta) + len(b))
        assert criterion(beta + step[: len(beta)], b + step[len(beta) :]) > best


def test_prediction_errors_have_the_covariance_of_the_definition() -> None:
    # Not by way of C: b_hat - b and beta_hat - beta are linear in (b, e), so their covariance
    # follows from the two linear maps alone.
    (_, X, Z), Lambda = random_slopes()
    sigma, n, q = 1.3, len(X), Z.shape[1]

    def solution_map(Y: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(
            [np.concatenate(solve_from_covariance(y, X, Z, Lambda)) for y in Y.T]
        )

    from_e = solution_map(np.eye(n))
    from_b = solution_map(Z) - np.vstack([np.zeros((X.shape[1], q)), np.eye(q)])
    expected = sigma**2 * (from_e @ from_e.T + from_b @ Lambda @ Lambda.T @ from_b.T)
    assert_allclose(
        prediction_error_covariance(X, Z, Lambda, sigma), expected, rtol=1e-9, atol=1e-11
    )


def test_conditional_covariance_is_that_of_the_joint_normal() -> None:
    # Var(b) - Cov(b, y) V^-1 Cov(y, b)
    (_, _, Z), Lambda = random_slopes()
    sigma = 1.3
    psi = sigma**2 * Lambda @ Lambda.T
    V = marginal_covariance(Z, Lambda, sigma)
    expected = psi - psi @ Z.T @ np.linalg.solve(V, Z @ psi)
    assert_allclose(conditional_covariance(Z, Lambda, sigma), expected, rtol=1e-9, atol=1e-12)


def test_counting_beta_makes_the_error_larger(balanced: Rows) -> None:
    theta, sigma = 1.1656, 30.895
    known = np.diag(conditional_covariance(balanced.Z, theta, sigma))
    estimated = np.diag(prediction_error_covariance(balanced.X, balanced.Z, theta, sigma))[2:]
    assert np.all(estimated > known * 1.01)


def test_blups_are_the_mean_residuals_times_the_shrinkage_factor(unbalanced: Rows) -> None:
    y, X, Z = unbalanced
    theta, n_j = 1.13, Z.sum(axis=0)
    beta, b = solve_henderson(y, X, Z, theta)
    mean_residual = Z.T @ (y - X @ beta) / n_j
    assert_allclose(b, shrinkage_factor(n_j, theta) * mean_residual, rtol=1e-10)


def test_theta_to_infinity_is_no_shrinkage(balanced: Rows) -> None:
    y, X, Z = balanced
    beta, b = solve_henderson(y, X, Z, 1e3)
    dummies = np.linalg.lstsq(np.column_stack([Z, X[:, 1]]), y, rcond=None)[0]
    # the free intercepts, centered: b sums to zero for any theta
    assert_allclose(b, dummies[:-1] - dummies[:-1].mean(), rtol=1e-5)
    assert_allclose(beta[1], dummies[-1], rtol=1e-9)


def test_theta_to_zero_is_the_mean(unbalanced: Rows) -> None:
    y, X, Z = unbalanced
    beta, b = solve_henderson(y, X, Z, 1e-6)
    assert_allclose(beta, np.linalg.lstsq(X, y, rcond=None)[0], rtol=1e-9)
    assert_allclose(b, np.zeros(Z.shape[1]), atol=1e-8)
    assert_allclose(solve_from_covariance(y, X, Z, 0.0)[1], np.zeros(Z.shape[1]), atol=0)
    assert_allclose(conditional_covariance(Z, 0.0, 1.0), np.zeros((16, 16)), atol=0)


def test_order_and_units_do_not_matter(unbalanced: Rows) -> None:
    y, X, Z = unbalanced
    beta, b = solve_henderson(y, X, Z, 1.1)
    rng = np.random.default_rng(6)
    rows, columns = rng.permutation(len(y)), rng.permutation(Z.shape[1])
    beta_p, b_p = solve_henderson(y[rows] / 1000, X[rows], Z[rows][:, columns], 1.1)
    assert_allclose(beta_p * 1000, beta, rtol=1e-10)
    assert_allclose(b_p * 1000, b[columns], rtol=1e-9)


def test_blue_is_generalized_least_squares(unbalanced: Rows) -> None:
    y, X, Z = unbalanced
    beta, _ = solve_henderson(y, X, Z, 1.1)
    V = marginal_covariance(Z, 1.1, 7.0)
    assert_allclose(beta, generalized_least_squares(y, X, V), rtol=1e-11)


# ---- bad input ----

GOOD: dict[str, Any] = {
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
]


@pytest.mark.parametrize(
    "function", [mixed_model_equations, solve_henderson, solve_from_covariance]
)
@pytest.mark.parametrize(("argument", "value", "message"), BAD)
def test_bad_input_is_told(function: Any, argument: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function(**{**GOOD, argument: value})


@pytest.mark.parametrize("Lambda", [0.0, [[1.0, 0.0], [1.0, 0.0]]])
def test_a_singular_lambda_is_told(Lambda: Any) -> None:
    with pytest.raises(ValueError, match=r"Lambda is singular.*use solve_from_covariance"):
        solve_henderson(**{**GOOD, "Lambda": Lambda})
    beta, b = solve_from_covariance(**{**GOOD, "Lambda": Lambda})
    assert np.isfinite(beta).all()
    assert np.isfinite(b).all()


def test_equations_that_rounding_makes_singular_are_told() -> None:
    with pytest.raises(ValueError, match=r"so close to collinear.*use a smaller Lambda"):
        solve_henderson(**{**GOOD, "Lambda": 1e9})


@pytest.mark.parametrize("sigma", [0.0, -1.0, np.nan])
def test_a_sigma_that_is_not_positive_is_told(sigma: float) -> None:
    X, Z = GOOD["X"], GOOD["Z"]
    with pytest.raises(ValueError, match="sigma must be a finite number above zero"):
        prediction_error_covariance(X, Z, 1.0, sigma)
    with pytest.raises(ValueError, match="sigma must be a finite number above zero"):
        conditional_covariance(Z, 1.0, sigma)


def test_shrinkage_factor_tells_bad_input() -> None:
    with pytest.raises(ValueError, match=r"n_j counts the rows of a group.*found 0"):
        shrinkage_factor([3, 0], 1.0)
    with pytest.raises(ValueError, match="theta must be a finite number above zero, found 0"):
        shrinkage_factor([3, 1], 0.0)
