"""Penalized quasi-likelihood: against MASS::glmmPQL, its limits and invariances."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixedsmooth as ms
from mixedsmooth.derivations.design import (
    grouping_columns,
    intercept_slope_columns,
    lambda_template,
)
from mixedsmooth.derivations.penalized_ls import solve_penalized
from mixedsmooth.derivations.pql import (
    fit_pql,
    poisson_regression,
    working_response,
    working_weights,
)
from mixedsmooth.derivations.reml import fit_profiled
from mixedsmooth.reproduce import _counts_with, _lost_sums
from tests.conftest import Rows


@pytest.fixture(scope="module")
def epil() -> Rows:
    """Seizure counts: y ~ lbase + trt + (1 | subject)."""
    trial = ms.load_epil()
    X = np.column_stack([np.ones(len(trial)), trial.lbase, trial.trt == "progabide"])
    Z, _ = grouping_columns(trial.subject)
    return Rows(np.asarray(trial.y, dtype=np.float64), X, Z)


TEMPLATE = lambda_template(1, 59)


# MASS::glmmPQL under R 4.2.2, nlme 3.1.162: y ~ lbase + trt, random = ~1 | subject, poisson. It
# stops once ||change of eta||^2 < 1e-6 ||eta||^2, here after five fits; the limit is 6e-6 away.
def test_with_dispersion_it_is_glmmpql(epil: Rows, reference: dict[str, Any]) -> None:
    fit = fit_pql(*epil, TEMPLATE)
    assert fit.converged
    expected = reference["epil_poisson_PQL"]
    assert_allclose(fit.beta, expected["beta"], rtol=0, atol=2e-6)
    assert_allclose([fit.sd[0], fit.sigma], expected["sd"], rtol=1e-5)


def test_stopped_where_glmmpql_stops_every_digit_agrees(
    epil: Rows, reference: dict[str, Any]
) -> None:
    y, X, Z = epil
    beta = np.array([np.log(y.mean()), 0, 0])
    for _ in range(30):  # Poisson regression
        mu = np.exp(X @ beta)
        beta = beta + np.linalg.solve(X.T @ (mu[:, None] * X), X.T @ (y - mu))
    eta, change, fits = X @ beta, 1.0, 0
    while change >= 1e-6:
        root = np.sqrt(working_weights(np.exp(eta)))
        rows = root * working_response(y, eta), root[:, None] * X, root[:, None] * Z
        fit, fits = fit_profiled(*rows, TEMPLATE), fits + 1
        previous, eta = eta, X @ fit.beta + Z @ fit.b
        change = np.sum((eta - previous) ** 2) / np.sum(eta**2)
    assert fits == 5
    expected = reference["epil_poisson_PQL"]
    assert_allclose(fit.beta, expected["beta"], rtol=0, atol=1e-8)
    # printed with seven decimals
    sd = [fit.sigma * fit.theta[0], fit.sigma]
    assert_allclose(sd, expected["sd"], rtol=0, atol=1e-7)


@pytest.mark.parametrize("dispersion", [True, False])
def test_it_stands_still(epil: Rows, dispersion: bool) -> None:
    y, X, Z = epil
    fit = fit_pql(*epil, TEMPLATE, dispersion)
    assert fit.converged
    # the scores: X'(y - mu) = 0 and Z'(y - mu) = b / theta^2
    residual = y - np.exp(fit.eta)
    assert_allclose(X.T @ residual, 0, rtol=0, atol=1e-4)
    assert_allclose(Z.T @ residual, fit.b / fit.theta[0] ** 2, rtol=0, atol=1e-4)
    assert_allclose(fit.eta, X @ fit.beta + Z @ fit.b, rtol=1e-12)
    # se is that of generalized least squares with V = sigma^2 (W^-1 + theta^2 Z Z')
    V = fit.sigma**2 * (np.diag(np.exp(-fit.eta)) + fit.theta[0] ** 2 * Z @ Z.T)
    covariance = np.linalg.inv(X.T @ np.linalg.solve(V, X))
    assert_allclose(fit.se, np.sqrt(np.diag(covariance)), rtol=1e-6)
    assert_allclose(fit.sd, fit.sigma * fit.theta, rtol=1e-12)


def test_theta_is_the_best_of_the_last_linear_model(epil: Rows) -> None:
    y, X, Z = epil
    fit = fit_pql(*epil, TEMPLATE, dispersion=False)
    root = np.sqrt(np.exp(fit.eta))
    rows = root * working_response(y, fit.eta), root[:, None] * X, root[:, None] * Z

    def criterion(theta: float) -> float:
        solution = solve_penalized(*rows, theta)
        return solution.log_det_Z + solution.r2

    best = criterion(fit.theta[0])
    assert criterion(fit.theta[0] + 1e-3) > best
    assert criterion(fit.theta[0] - 1e-3) > best
    assert fit.sigma == 1


def test_the_working_response_is_the_expansion_of_the_logarithm() -> None:
    eta = np.array([-1.0, 0.5, 2.0])
    # at y = mu it is eta, with the slope d eta / d mu = 1 / mu
    assert_allclose(working_response([1, 2, 3], np.log([1, 2, 3])), np.log([1, 2, 3]), atol=1e-15)
    slope = working_response([1, 1, 1], eta) - working_response([0, 0, 0], eta)
    assert_allclose(slope, 1 / np.exp(eta), rtol=1e-14)
    assert_allclose(working_weights(np.exp(eta)), np.exp(eta), rtol=0)


def test_the_regression_solves_its_score_equations(epil: Rows) -> None:
    y, X, _ = epil
    offset = np.linspace(-1, 1, len(y))
    beta = poisson_regression(y, X, offset)
    assert_allclose(X.T @ (y - np.exp(X @ beta + offset)), 0, rtol=0, atol=1e-8)
    # an intercept and groups: the logarithms of the means
    groups = np.column_stack([np.ones(5), [0, 0, 1, 1, 1]])
    assert_allclose(poisson_regression([0, 4, 6, 1, 2], groups), [np.log(2), np.log(1.5)])


def test_random_slopes_may_end_on_the_boundary() -> None:
    # at the fixed point the score equations hold, with a covariance Q that is singular
    Z, _ = intercept_slope_columns(np.repeat(np.arange(18), 10), np.tile(np.arange(10.0), 18))
    X = np.column_stack([np.ones(180), np.tile(np.arange(10.0), 18)])
    y = _counts_with(_lost_sums())
    template = lambda_template(2, 18)
    fit = fit_pql(y, X, Z, template, dispersion=False)
    assert fit.converged
    assert_allclose(fit.theta[2], 0, rtol=0, atol=1e-4)
    Lambda = template(fit.theta)
    residual = y - np.exp(fit.eta)
    assert_allclose(X.T @ residual, 0, rtol=0, atol=1e-3)
    assert_allclose(Lambda @ (Lambda.T @ (Z.T @ residual)), fit.b, rtol=0, atol=1e-4)


def test_order_does_not_matter_and_an_offset_shifts(epil: Rows) -> None:
    y, X, Z = epil
    fit = fit_pql(*epil, TEMPLATE)
    rng = np.random.default_rng(1)
    rows, columns = rng.permutation(236), rng.permutation(59)
    other = fit_pql(y[rows], X[rows], Z[rows][:, columns], TEMPLATE, offset=np.full(236, 0.7))
    assert_allclose(other.beta, fit.beta - [0.7, 0, 0], rtol=0, atol=1e-6)
    assert_allclose(other.b, fit.b[columns], rtol=0, atol=1e-6)
    assert_allclose(other.sd, fit.sd, rtol=1e-6)


BAD = [
    ("y", [1, 2.5, 0, 1], "y must hold counts.*found 2.5 in row 1"),
    ("y", [1, 2, -1, 1], "y must hold counts.*found -1 in row 2"),
    ("y", [1, np.nan, 0, 1], "y has 1 value.*NaN"),
    ("y", [0, 0, 0, 0], "y has no count above zero"),
    ("X", [[1.0]] * 3, "X has 3 rows where the other arguments have 4"),
    ("X", [[1.0, 2.0]] * 4, "X has 2 columns but rank 1"),
    ("Z", [[1.0, 0.0]] * 3, "Z has 3 rows"),
    ("offset", [0.0], "offset has 1 rows"),
]


@pytest.mark.parametrize(("argument", "value", "message"), BAD)
def test_bad_input_is_told(argument: str, value: object, message: str) -> None:
    good: dict[str, Any] = {
        "y": [1, 2, 0, 4],
        "X": [[1.0]] * 4,
        "Z": [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]],
        "template": lambda_template(1, 2),
    }
    with pytest.raises(ValueError, match=message):
        fit_pql(**{**good, argument: value})


def test_bad_means_are_told() -> None:
    with pytest.raises(ValueError, match="mu holds means of counts"):
        working_weights([1.0, 0.0])
    with pytest.raises(ValueError, match="eta has 1 rows"):
        working_response([1, 2], [0.0])


@pytest.mark.parametrize("seed", [9, 22, 26, 38])
def test_standard_deviations_of_slopes_are_those_of_the_covariance(seed: int) -> None:
    # data on which the search without dispersion ends at columns of the other sign
    rng = np.random.default_rng(seed)
    group, x = np.repeat(np.arange(6), 4), rng.normal(size=24)
    Z, _ = intercept_slope_columns(group, x)
    y = rng.poisson(np.exp(1 + 0.8 * Z @ rng.normal(size=12)))
    fit = fit_pql(y, np.ones((24, 1)), Z, lambda_template(2, 6), dispersion=False)
    assert fit.converged
    T = np.array([[fit.theta[0], 0.0], fit.theta[1:]])
    assert_allclose(fit.sd**2, np.diag(T @ T.T), rtol=1e-12)
    assert np.all(np.diag(T) >= 0)
