"""Laplace approximation and adaptive quadrature: against lme4, against integrals, limits."""

import json
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import Mock

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.special import gammaln, xlogy
from scipy.stats import norm, poisson

import mixedsmooth as ms
from mixedsmooth._checks import full_rank
from mixedsmooth.derivations.design import (
    grouping_columns,
    intercept_slope_columns,
    lambda_template,
)
from mixedsmooth.derivations.laplace import (
    PoissonFit,
    adaptive_gauss_hermite_deviance,
    fit_agq,
    fit_laplace,
    laplace_deviance,
    penalized_mode,
)
from mixedsmooth.derivations.search import newton
from mixedsmooth.reproduce import _counts_with, _lost_sums

FloatArray = NDArray[np.float64]


class Counts(NamedTuple):
    """Counts, a design, and the groups."""

    y: FloatArray
    X: FloatArray
    group: NDArray[Any]


@pytest.fixture(scope="module")
def epil() -> Counts:
    """Seizure counts: y ~ lbase + trt + (1 | subject)."""
    trial = ms.load_epil()
    X = np.column_stack([np.ones(len(trial)), trial.lbase, trial.trt == "progabide"])
    return Counts(np.asarray(trial.y, dtype=np.float64), X, trial.subject.astype(int))


@pytest.fixture(scope="module")
def fits(epil: Counts) -> dict[int, PoissonFit]:
    Z, levels = grouping_columns(epil.group)
    return {
        1: fit_laplace(epil.y, epil.X, Z, lambda_template(1, len(levels))),
        25: fit_agq(*epil, nodes=25),
    }


def saturated(y: NDArray[Any]) -> float:
    """Return the log-likelihood of Poisson counts at mu = y."""
    return float((xlogy(y, y) - y - gammaln(y + 1)).sum())


# lme4 1.1.31 under R 4.2.2: glmer(y ~ lbase + trt + (1 | subject), poisson, nAGQ = 1 or 25), bobyqa
# to rhoend = 1e-10. Both searches stop where the deviance is flat to its last digits, so the
# parameters have six; its square, twelve, is what the log-likelihood has at best. lme4's standard
# errors come from differences with a step of 1e-4.
@pytest.mark.parametrize("nodes", [1, 25])
def test_the_fit_is_lme4s(
    nodes: int, fits: dict[int, PoissonFit], epil: Counts, reference: dict[str, Any]
) -> None:
    lme4, fit = reference[f"epil_poisson_AGQ{nodes}"], fits[nodes]
    assert fit.converged
    assert_allclose(fit.beta, lme4["beta"], rtol=1e-6)
    assert_allclose(fit.theta, [lme4["theta"]], rtol=1e-6)
    assert_allclose(fit.se, lme4["se"], rtol=5e-6)
    assert_allclose(fit.b, lme4["ranef"], rtol=0, atol=2e-6)
    # with more than one node, lme4 leaves out the saturated log-likelihood, -382.9523
    left_out = saturated(epil.y) if nodes > 1 else 0.0
    assert_allclose(fit.loglik, lme4["loglik"] + left_out, rtol=0, atol=1e-7)
    assert_allclose(saturated(epil.y), -382.9523, rtol=0, atol=5e-5)


@pytest.mark.parametrize("nodes", [1, 25])
def test_the_deviance_at_lme4s_estimates(
    nodes: int, epil: Counts, reference: dict[str, Any]
) -> None:
    lme4 = reference[f"epil_poisson_AGQ{nodes}"]
    found = adaptive_gauss_hermite_deviance(lme4["theta"], lme4["beta"], *epil, nodes)
    left_out = saturated(epil.y) if nodes > 1 else 0.0
    assert_allclose(found, -2 * (lme4["loglik"] + left_out), rtol=0, atol=1e-7)


@pytest.mark.parametrize("nodes", [1, 25])
def test_the_fit_is_a_minimum(nodes: int, fits: dict[int, PoissonFit], epil: Counts) -> None:
    fit = fits[nodes]
    at = np.append(fit.theta, fit.beta)
    for step in 1e-3 * np.vstack([np.eye(4), -np.eye(4)]):
        theta, *beta = at + step
        assert adaptive_gauss_hermite_deviance(theta, beta, *epil, nodes) > fit.deviance + 1e-6


# R 4.2.2, tests/reference/make_counts.R: the Laplace deviance coded once more, at its minimum,
# where a last Newton step is below 1e-10. The estimate is on the boundary, theta_3 = 0.
def test_random_slopes_on_the_boundary_are_those_of_r() -> None:
    path = Path(__file__).parent / "reference" / "counts.json"
    expected = json.loads(path.read_text(encoding="utf-8"))["source3_poisson_laplace"]
    Z, _ = intercept_slope_columns(np.repeat(np.arange(18), 10), np.tile(np.arange(10.0), 18))
    X = np.column_stack([np.ones(180), np.tile(np.arange(10.0), 18)])
    y = _counts_with(_lost_sums())
    fit = fit_laplace(y, X, Z, lambda_template(2, 18))
    assert fit.converged
    assert_allclose(fit.deviance, expected["deviance"], rtol=0, atol=1e-9)
    assert_allclose(fit.beta, expected["beta"], rtol=0, atol=1e-9)
    assert_allclose(fit.theta[:2], expected["theta"][:2], rtol=0, atol=1e-9)
    assert_allclose(fit.theta[2], 0, rtol=0, atol=1e-5)
    assert_allclose(fit.b, expected["ranef"], rtol=0, atol=1e-9)


# ---- the mode ----


@pytest.mark.parametrize("theta", [0.0, 0.5, 5.0])
def test_the_gradient_vanishes_at_the_mode(theta: float, epil: Counts) -> None:
    Z, _ = grouping_columns(epil.group)
    mode = penalized_mode(theta, [1.8, 1.0, -0.3], epil.y, epil.X, Z)
    assert_allclose(theta * Z.T @ (epil.y - mode.mu), mode.u, rtol=0, atol=1e-8)
    assert_allclose(mode.L @ mode.L.T, theta**2 * Z.T @ (mode.mu[:, None] * Z) + np.eye(59))
    density = poisson.logpmf(epil.y, mode.mu).sum() - mode.u @ mode.u / 2
    assert_allclose(mode.log_density, density, rtol=1e-12)


def test_steps_too_long_are_halved() -> None:
    # the first Newton step is about 1000 / 2 and overflows exp(theta u) unless it is halved
    mode = penalized_mode(5.0, [0.0], [1000, 1000], [[1], [1]], np.eye(2))
    assert_allclose(5 * (1000 - np.exp(5 * mode.u)), mode.u, rtol=1e-9)


# ---- the integral ----


@pytest.mark.parametrize("theta", [0.1, 0.7, 2.0])
def test_more_nodes_converge_to_the_integral(theta: float) -> None:
    y, group, offset = [3, 0, 1, 7, 2], np.array([0, 0, 1, 1, 1]), np.linspace(-0.5, 0.5, 5)

    def integral(j: int) -> float:
        def integrand(u: float) -> float:
            mu = np.exp(0.4 + theta * u + offset[group == j])
            return float(poisson.pmf(np.array(y)[group == j], mu).prod() * norm.pdf(u))

        return float(quad(integrand, -9, 9, epsabs=0, epsrel=1e-12, limit=200)[0])

    expected = -2 * np.log([integral(0), integral(1)]).sum()
    arguments = theta, [0.4], y, np.ones((5, 1)), group
    errors = [
        abs(adaptive_gauss_hermite_deviance(*arguments, nodes, offset) - expected)
        for nodes in (1, 5, 15, 45)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[3] < 1e-9


def test_one_node_is_laplace(epil: Counts) -> None:
    Z, _ = grouping_columns(epil.group)
    for theta in (0.0, 0.5, 2.0):
        one = adaptive_gauss_hermite_deviance(theta, [1.8, 1.0, -0.3], *epil, 1)
        laplace = laplace_deviance(theta, [1.8, 1.0, -0.3], epil.y, epil.X, Z)
        assert_allclose(one, laplace, rtol=1e-13)


def test_theta_zero_is_the_poisson_regression(epil: Counts) -> None:
    y, X, _ = epil
    beta = np.array([np.log(y.mean()), 0, 0])
    for _ in range(30):
        mu = np.exp(X @ beta)
        beta = beta + np.linalg.solve(X.T @ (mu[:, None] * X), X.T @ (y - mu))
    expected = -2 * poisson.logpmf(y, np.exp(X @ beta)).sum()
    for nodes in (1, 9):
        found = adaptive_gauss_hermite_deviance(0.0, beta, *epil, nodes)
        assert_allclose(found, expected, rtol=1e-12)
    # groups without differences of their own: the best theta is zero
    counts = np.tile([1.0, 2, 3, 4], 6)
    fit = fit_agq(counts, np.ones((24, 1)), np.repeat(np.arange(6), 4), nodes=9)
    assert fit.converged
    assert_allclose(fit.theta, 0, rtol=0, atol=1e-5)
    assert_allclose(fit.beta, np.log(2.5), rtol=1e-7)
    assert_allclose(fit.se, 1 / np.sqrt(60), rtol=1e-4)


# ---- invariances ----


def test_order_and_labels_do_not_matter_and_an_offset_shifts(
    epil: Counts, fits: dict[int, PoissonFit]
) -> None:
    rows = np.random.default_rng(1).permutation(236)
    relabeled = np.array([f"patient {99 - j}" for j in epil.group])
    other = fit_agq(epil.y[rows], epil.X[rows], relabeled[rows], 25, np.full(236, 0.7))
    fit = fits[25]
    assert_allclose(other.beta, fit.beta - [0.7, 0, 0], rtol=0, atol=2e-6)
    assert_allclose(other.b, fit.b[::-1], rtol=0, atol=2e-6)
    assert_allclose(other.theta, fit.theta, rtol=2e-6)
    assert_allclose(other.deviance, fit.deviance, rtol=1e-11)


def test_random_slopes_are_fitted_at_a_minimum() -> None:
    rng = np.random.default_rng(2)
    group, x = np.repeat(np.arange(12), 8), np.tile(np.linspace(-1, 1, 8), 12)
    Z, levels = intercept_slope_columns(group, x)
    template = lambda_template(2, len(levels))
    b = template([0.6, 0.2, 0.5]) @ rng.normal(size=24)
    X = np.column_stack([np.ones(96), x])
    y = rng.poisson(np.exp(1 + 0.5 * x + Z @ b))
    fit = fit_laplace(y, X, Z, template)
    assert fit.converged
    assert fit.theta[0] > 0
    assert fit.theta[2] > 0
    best = laplace_deviance(template(fit.theta), fit.beta, y, X, Z)
    assert_allclose(best, fit.deviance, rtol=1e-11)
    for step in 1e-2 * np.vstack([np.eye(5), -np.eye(5)]):
        Lambda, beta = template(fit.theta + step[:3]), fit.beta + step[3:]
        assert laplace_deviance(Lambda, beta, y, X, Z) > best


# ---- bad input ----

BAD = [
    ("y", [1, 2.5, 0, 1], "y must hold counts.*found 2.5 in row 1"),
    ("y", [1, 2, -1, 1], "y must hold counts.*found -1 in row 2"),
    ("y", [1, np.nan, 0, 1], "y has 1 value.*NaN"),
    ("y", [0, 0, 0, 0], "y has no count above zero"),
    ("X", [[1.0]] * 3, "X has 3 rows where the other arguments have 4"),
    ("X", [[1.0, 2.0]] * 4, "X has 2 columns but rank 1"),
    ("group", ["a"] * 4, "group has one level only"),
    ("group", ["a", "b"], "group has 2 rows"),
    ("nodes", 0, "nodes must be a whole number from 1 to 100, found 0"),
    ("nodes", 2.5, "nodes must be a whole number"),
    ("offset", [0.0], "offset has 1 rows"),
    ("theta", -1.0, "not negative; found -1"),
    ("beta", [0.0, 1.0], "beta has 2 numbers and X has 1 columns"),
    ("beta", [1000.0], "beta and offset give means that are too large"),
]


@pytest.mark.parametrize(("argument", "value", "message"), BAD)
def test_bad_input_is_told(argument: str, value: object, message: str) -> None:
    good: dict[str, Any] = {
        "y": [1, 2, 0, 4],
        "X": [[1.0]] * 4,
        "group": ["a", "a", "b", "b"],
        "nodes": 5,
    }
    at: dict[str, Any] = {"theta": 0.5, "beta": [0.0]}
    with pytest.raises(ValueError, match=message):
        adaptive_gauss_hermite_deviance(**{**good, **at, argument: value})
    if argument not in at:
        with pytest.raises(ValueError, match=message):
            fit_agq(**{**good, argument: value})


@pytest.mark.parametrize("method", ["laplace", "agq"])
def test_a_search_looks_at_its_data_once(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    look = Mock(wraps=full_rank)
    monkeypatch.setattr("mixedsmooth.derivations.data.full_rank", look)
    y, X, group = [1, 2, 5, 9, 0, 3], np.ones((6, 1)), ["a", "a", "b", "b", "c", "c"]
    Z, _ = grouping_columns(group)
    fit = (
        fit_laplace(y, X, Z, lambda_template(1, 3))
        if method == "laplace"
        else fit_agq(y, X, group, 5)
    )
    assert fit.evaluations > 10
    assert look.call_count == 1


def test_newton_tells_a_saddle_from_a_minimum() -> None:
    x, H_inverse, converged = newton(lambda x: x[0] ** 2 - x[1] ** 2, np.array([1.0, 1.0]))
    assert_array_equal(x, [1.0, 1.0])
    assert np.isnan(H_inverse).all()
    assert not converged
