"""Maximum likelihood, two ways: against lme4 and base R, against each other, and at the limits."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal
from unittest.mock import Mock

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import mixedsmooth as ms
from mixedsmooth._checks import as_matrix, full_rank
from mixedsmooth.derivations.design import grouping_columns, intercept_slope_columns, slope_columns
from mixedsmooth.derivations.likelihood import (
    MAX_DENSE_ROWS,
    MaximumLikelihood,
    covariance_of_beta,
    fit_ml,
    generalized_least_squares,
    marginal_covariance,
    negloglik_mvn,
    negloglik_transformed,
    score,
)
from tests.conftest import Rows

SIX_DIGITS = 5e-7  # relative: half a unit of the sixth significant digit
THETAS = [(0.0, 0.0), (3.58, 3.43), (-4.0, 3.0), (4.0, 1.0)]

# lme4 1.1.31 under R 4.2.2:
# lmer(Reaction ~ Days + (1 | Subject), sleepstudy, REML = FALSE,
#      control = lmerControl(optimizer = "bobyqa", optCtrl = list(rhoend = 1e-11, maxfun = 1e5)))
LME4 = "sleepstudy_intercept_ML"


@pytest.fixture(scope="module")
def fit(balanced: Rows) -> MaximumLikelihood:
    return fit_ml(*balanced)


def test_optimum_is_lme4s(fit: MaximumLikelihood, reference: dict[str, Any]) -> None:
    lme4 = reference[LME4]
    assert_allclose(fit.sigma, lme4["sigma"], rtol=SIX_DIGITS)
    assert_allclose(fit.theta, lme4["theta"], rtol=SIX_DIGITS)
    assert_allclose(fit.tau, lme4["sigma"] * lme4["theta"], rtol=SIX_DIGITS)
    assert_allclose(fit.tau**2, lme4["random"]["Subject"][0][0], rtol=2 * SIX_DIGITS)
    assert_allclose(fit.beta, lme4["beta"], rtol=1e-9)
    assert_allclose(fit.se, lme4["se"], rtol=SIX_DIGITS)
    assert_allclose(fit.cov_beta, lme4["cov_beta"], rtol=2 * SIX_DIGITS)
    # at a minimum the criterion has twice the digits of the parameters
    assert_allclose(fit.deviance, lme4["criterion"], rtol=1e-11)
    assert_allclose(fit.aic, lme4["AIC"], rtol=1e-11)
    assert_allclose(fit.bic, lme4["BIC"], rtol=1e-11)
    assert fit.converged
    assert not fit.on_boundary


def test_optimum_on_unbalanced_rows_is_lme4s(unbalanced: Rows, reference: dict[str, Any]) -> None:
    # the same call of lme4 1.1.31 on the rows sleepstudy_unbalanced_rows
    lme4 = reference["sleepstudy_unbalanced_intercept_ML"]
    ours = fit_ml(*unbalanced)
    assert_allclose(ours.sigma, lme4["sigma"], rtol=SIX_DIGITS)
    assert_allclose(ours.theta, lme4["theta"], rtol=SIX_DIGITS)
    assert_allclose(ours.beta, lme4["beta"], rtol=SIX_DIGITS)
    assert_allclose(ours.se, lme4["se"], rtol=SIX_DIGITS)
    assert_allclose(ours.deviance, lme4["criterion"], rtol=1e-11)


@pytest.mark.parametrize("beta", ["gls", "ols"])
def test_the_two_estimates_of_beta_on_unbalanced_rows(
    beta: Literal["gls", "ols"], unbalanced: Rows, reference: dict[str, Any]
) -> None:
    # R 4.2.2: optim(c(3, 3), nll, gls = ..., control = list(reltol = 1e-15, maxit = 5000));
    # its Nelder-Mead stops at about six digits of the standard deviations
    r = reference[f"unbalanced_nll_beta_{beta}"]
    ours = fit_ml(*unbalanced, negloglik=partial(negloglik_mvn, beta=beta))
    assert_allclose(ours.negloglik, r["nll"], rtol=1e-11)
    assert_allclose([ours.tau, ours.sigma], [r["tau"], r["sigma"]], rtol=SIX_DIGITS)


def test_the_shortcut_costs_nothing_on_balanced_rows_and_something_on_unbalanced(
    balanced: Rows, unbalanced: Rows
) -> None:
    theta = np.log([36.0, 31.0])
    assert_allclose(
        negloglik_mvn(theta, *balanced, beta="ols"), negloglik_mvn(theta, *balanced), rtol=1e-13
    )
    cost = negloglik_mvn(theta, *unbalanced, beta="ols") - negloglik_mvn(theta, *unbalanced)
    assert cost > 0.1


@pytest.mark.parametrize("theta", THETAS)
def test_the_two_ways_are_equal(theta: tuple[float, float], unbalanced: Rows) -> None:
    assert_allclose(
        negloglik_mvn(theta, *unbalanced), negloglik_transformed(theta, *unbalanced), rtol=1e-9
    )


@pytest.mark.parametrize("theta", THETAS)
def test_score_is_the_slope(theta: tuple[float, float], unbalanced: Rows) -> None:
    h = 1e-5
    by_differences = [
        (
            negloglik_transformed(theta + step, *unbalanced)
            - negloglik_transformed(theta - step, *unbalanced)
        )
        / (2 * h)
        for step in h * np.eye(2)
    ]
    # central differences are right to h^2 of the slope, and to cond(V) eps times the value, over h
    value = negloglik_transformed(theta, *unbalanced)
    assert_allclose(score(theta, *unbalanced), by_differences, rtol=1e-8, atol=1e-13 * value / h)


def test_score_vanishes_at_the_optimum_and_not_at_the_printed_one(
    fit: MaximumLikelihood, balanced: Rows
) -> None:
    at_optimum = score(np.log([fit.tau, fit.sigma]), *balanced)
    at_print = score(np.log([36.02, 30.9]), *balanced)  # Clark (2016), as printed
    assert np.abs(at_optimum).max() < 1e-4
    assert np.abs(at_print).max() > 0.04


@pytest.mark.parametrize("start", [(0.0, 0.0), (10.0, -3.0), (3.0, 6.0)])
def test_the_start_does_not_matter(
    start: tuple[float, float], fit: MaximumLikelihood, balanced: Rows
) -> None:
    other = fit_ml(*balanced, start=start)
    assert_allclose([other.tau, other.sigma], [fit.tau, fit.sigma], rtol=SIX_DIGITS)
    assert_array_equal(other.path[0], start)
    # the path goes down
    values = [negloglik_transformed(theta, *balanced) for theta in other.path]
    assert np.all(np.diff(values) <= 1e-9)


def test_a_start_on_the_plateau_is_told(balanced: Rows) -> None:
    with pytest.raises(ValueError, match=r"start \[-8.0, 8.0\].*start nearer"):
        fit_ml(*balanced, start=(-8, 8))


@pytest.mark.parametrize("start", [[300.0, 3.0], [3.0, 300.0], [3.0], [np.nan, 3.0]])
def test_a_useless_start_is_told(start: list[float], balanced: Rows) -> None:
    with pytest.raises(ValueError, match="start"):
        fit_ml(*balanced, start=start)


def test_closed_form_of_the_balanced_one_way_layout() -> None:
    # Searle, Casella and McCulloch (1992), section 3.7: with a groups of m rows the maximum
    # likelihood estimates are MSE and (SSA / a - MSE) / m when the latter is positive.
    rng = np.random.default_rng(1)
    a, m = 7, 4
    group = np.repeat(np.arange(a), m)
    y = 10 + 3 * rng.normal(size=a)[group] + rng.normal(size=a * m)
    means = y.reshape(a, m).mean(axis=1)
    mse = np.sum((y - means[group]) ** 2) / (a * (m - 1))
    ssa = m * np.sum((means - y.mean()) ** 2)
    fit = fit_ml(y, np.ones((a * m, 1)), grouping_columns(group)[0])
    assert_allclose(fit.sigma**2, mse, rtol=2 * SIX_DIGITS)
    assert_allclose(fit.tau**2, (ssa / a - mse) / m, rtol=2 * SIX_DIGITS)


def test_a_variance_of_zero_is_a_result() -> None:
    # Two mirrored rows in each group: the group means do not differ at all.
    group = np.repeat(np.arange(6), 2)
    y = np.repeat(np.arange(1.0, 7.0), 2) * np.tile([-1.0, 1.0], 6)
    fit = fit_ml(y, np.ones((12, 1)), grouping_columns(group)[0])
    assert fit.on_boundary
    assert fit.tau == 0
    # there it is ordinary least squares: sigma^2 is the mean square about the mean
    assert_allclose(fit.sigma**2, np.var(y), rtol=1e-12)
    assert_allclose(fit.negloglik, 6 * (np.log(2 * np.pi * np.var(y)) + 1), rtol=1e-12)


def test_tau_to_zero_is_ordinary_least_squares_and_sigma_the_residual(balanced: Rows) -> None:
    y, X, _ = balanced
    residual = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
    mean_square = np.mean(residual**2)
    expected = len(y) / 2 * (np.log(2 * np.pi * mean_square) + 1)
    nearly_zero = negloglik_transformed((-30, np.log(mean_square) / 2), *balanced)
    assert_allclose(nearly_zero, expected, rtol=1e-12)


def test_tau_to_infinity_is_least_squares_within_groups(unbalanced: Rows) -> None:
    # With theta = tau / sigma large the intercepts are free: the slope is that within subjects.
    # At theta = 1e3 what is left of the difference is of the order 1 / theta^2.
    y, X, Z = unbalanced
    within = np.linalg.lstsq(np.column_stack([Z, X[:, 1]]), y, rcond=None)[0]
    beta = generalized_least_squares(y, X, marginal_covariance(Z, 1e3, 1.0))
    assert_allclose(beta[1], within[-1], rtol=1e-6)


def test_units_do_not_matter(fit: MaximumLikelihood, balanced: Rows) -> None:
    y, X, Z = balanced
    seconds = fit_ml(y / 1000, X, Z)
    assert_allclose([seconds.tau, seconds.sigma], [fit.tau / 1000, fit.sigma / 1000], rtol=1e-6)
    # the density changes by the Jacobian of the scaling
    assert_allclose(seconds.negloglik, fit.negloglik - len(y) * np.log(1000), rtol=1e-10)


def test_order_and_names_do_not_matter(fit: MaximumLikelihood, balanced: Rows) -> None:
    y, X, Z = balanced
    rng = np.random.default_rng(2)
    rows, columns = rng.permutation(len(y)), rng.permutation(Z.shape[1])
    shuffled = fit_ml(y[rows], X[rows], Z[rows][:, columns])
    assert_allclose(shuffled.negloglik, fit.negloglik, rtol=1e-12)
    assert_allclose([shuffled.tau, shuffled.sigma], [fit.tau, fit.sigma], rtol=1e-6)


def test_a_large_mean_is_no_trouble(fit: MaximumLikelihood, balanced: Rows) -> None:
    y, X, Z = balanced
    shifted = fit_ml(y + 1e6, X, Z)
    assert_allclose([shifted.tau, shifted.sigma], [fit.tau, fit.sigma], rtol=1e-6)
    assert_allclose(shifted.beta, [fit.beta[0] + 1e6, fit.beta[1]], rtol=1e-10)


# ---- the matrices ----


def test_z_of_source_1() -> None:
    # Clark (2016), section Model Formulation, the printed table of z, ZA, ZB, ZC
    Z, levels = grouping_columns(["A", "A", "B", "B", "C", "C"])
    assert_array_equal(levels, ["A", "B", "C"])
    assert_array_equal(Z, [[1, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]])


def test_u_of_source_3() -> None:
    # Dirmeier (n.d.), the printed excerpt of U: first and last three rows and columns
    sleep = ms.load_sleepstudy()
    U, _ = intercept_slope_columns(sleep.subject, sleep.days)
    assert U.shape == (180, 36)
    assert_array_equal(U[:3, :3], [[1, 0, 0], [1, 1, 0], [1, 2, 0]])
    assert_array_equal(U[:3, -3:], np.zeros((3, 3)))
    assert_array_equal(U[-3:, :3], np.zeros((3, 3)))
    assert_array_equal(U[-3:, -3:], [[0, 1, 7], [0, 1, 8], [0, 1, 9]])


def test_slope_columns_are_the_odd_columns_of_both() -> None:
    sleep = ms.load_sleepstudy()
    both, levels = intercept_slope_columns(sleep.subject, sleep.days)
    assert_array_equal(both[:, ::2], grouping_columns(sleep.subject)[0])
    assert_array_equal(both[:, 1::2], slope_columns(sleep.subject, sleep.days)[0])
    assert_array_equal(levels, np.unique(sleep.subject))


def test_group_labels_only_name_the_columns() -> None:
    by_text, _ = grouping_columns(["x", "z", "y", "x"])
    by_number, _ = grouping_columns([1, 30, 2, 1])
    assert_array_equal(by_text, by_number)


def test_marginal_covariance_entry_by_entry() -> None:
    # Cov(y_i, y_k) = sigma^2 (z_i' Lambda Lambda' z_k + [i = k]), written out with loops
    rng = np.random.default_rng(3)
    Z, Lambda, sigma = rng.normal(size=(5, 3)), np.tril(rng.normal(size=(3, 3))), 1.7
    V = marginal_covariance(Z, Lambda, sigma)
    for i in range(5):
        for k in range(5):
            by_hand = sum(
                Z[i, a] * Lambda[a, c] * Lambda[b, c] * Z[k, b]
                for a in range(3)
                for b in range(3)
                for c in range(3)
            )
            assert_allclose(V[i, k], sigma**2 * (by_hand + (i == k)), rtol=1e-12, atol=1e-12)


def test_marginal_covariance_of_a_number_is_that_of_theta_times_identity(balanced: Rows) -> None:
    Z = balanced.Z
    assert_array_equal(
        marginal_covariance(Z, 1.5, 2.0), marginal_covariance(Z, 1.5 * np.eye(18), 2.0)
    )


# ---- bad input ----

GOOD: dict[str, Any] = {
    "theta": [0.0, 0.0],
    "y": [1.0, 2.0, 4.0, 3.0],
    "X": [[1.0, 0.0], [1.0, 1.0], [1.0, 2.0], [1.0, 4.0]],
    "Z": [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]],
}
BAD = [
    ("theta", [0.0], r"theta must be \(log tau, log sigma\)"),
    ("theta", [0.0, np.nan], r"theta has 1 value.*NaN or infinite"),
    ("theta", [0.0, 800.0], r"theta must be .* between -300 and 300"),
    ("y", [1.0, 2.0, 4.0], r"X has 4 rows where the other arguments have 3"),
    ("y", [1.0, np.nan, 4.0, 3.0], r"y has 1 value.*first in row 1"),
    ("y", [[1.0], [2.0], [4.0], [3.0]], r"y must be a vector.*\(4, 1\)"),
    ("y", ["a", "b", "c", "d"], r"y must hold numbers only"),
    ("X", [1.0, 1.0, 1.0, 1.0], r"X must be a matrix.*X\[:, None\]"),
    ("X", [[1.0, 0.0], [1.0, 1.0], [1.0, np.inf], [1.0, 4.0]], r"X has 1 value.*row 2"),
    ("X", [[1.0, 2.0]] * 4, r"X has 2 columns but rank 1: column\(s\) [01] "),
    ("X", [[1.0, 0.0]] * 4, r"X has 2 columns but rank 1: column\(s\) 1 "),
    ("Z", [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], r"Z has 3 rows where the other arguments have 4"),
    ("Z", [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, np.nan]], r"Z has 1 value.*row 3"),
]


@pytest.mark.parametrize("function", [negloglik_transformed, negloglik_mvn, score])
@pytest.mark.parametrize(("argument", "value", "message"), BAD)
def test_bad_input_is_told(
    function: Callable[..., object], argument: str, value: object, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        function(**{**GOOD, argument: value})


@pytest.mark.parametrize(("argument", "value", "message"), [b for b in BAD if b[0] != "theta"])
def test_fit_tells_bad_input(argument: str, value: object, message: str) -> None:
    arguments = {k: v for k, v in {**GOOD, argument: value}.items() if k != "theta"}
    with pytest.raises(ValueError, match=message):
        fit_ml(**arguments)


def test_the_good_input_is_good() -> None:
    assert np.isfinite(negloglik_transformed(**GOOD))


def test_an_unknown_beta_is_told() -> None:
    with pytest.raises(ValueError, match=r"beta must be \"gls\" or \"ols\", found 'lasso'"):
        negloglik_mvn(**GOOD, beta="lasso")  # type: ignore[arg-type]


def test_a_perfect_fit_is_told() -> None:
    X = np.array(GOOD["X"])
    with pytest.raises(ValueError, match="explained by the 2 columns of X without error"):
        fit_ml(X @ [1.0, 2.0], X, GOOD["Z"])


@pytest.mark.parametrize("fitted", ["own", "other"])
def test_a_search_looks_at_its_data_once(
    fitted: str, balanced: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, convert = Mock(wraps=full_rank), Mock(wraps=as_matrix)
    monkeypatch.setattr("mixedsmooth.derivations.data.full_rank", look)
    monkeypatch.setattr("mixedsmooth.derivations.data.as_matrix", convert)
    if fitted == "own":
        result = fit_ml(*balanced)
        assert result.evaluations > 50
        assert look.call_count == 1
        assert convert.call_count == 2  # X and Z
    else:  # a function of the reader's own gets arrays to compute with
        result = fit_ml(*balanced, negloglik=on_arrays)
        assert look.call_count == 1 + result.evaluations
    assert_allclose(result.tau, 36.0121, rtol=1e-5)


def on_arrays(theta: Any, y: Any, X: Any, Z: Any) -> float:
    """Write the likelihood as a reader would, of arrays."""
    assert all(type(array) is np.ndarray for array in (y, X, Z))
    return negloglik_transformed(theta, y, X, Z)


def test_covariance_of_beta_is_the_formula(unbalanced: Rows) -> None:
    _, X, Z = unbalanced
    V = marginal_covariance(Z, 1.2, 30.0)
    assert_allclose(covariance_of_beta(X, V), np.linalg.inv(X.T @ np.linalg.solve(V, X)), rtol=1e-9)
    with pytest.raises(ValueError, match="V must be a positive definite 125 x 125 matrix"):
        covariance_of_beta(X, -V)


def test_one_group_is_told() -> None:
    with pytest.raises(ValueError, match=r"group has one level only \(a\).*at least two groups"):
        grouping_columns(["a", "a"])


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ([1.0, np.nan, 2.0], r"group has 1 missing label\(s\), the first in row 1"),
        (["a", None, "b"], r"group has 1 missing label\(s\), the first in row 1"),
        (np.array(["a", 2], dtype=object), "group mixes text and numbers"),
        ([["a", "b"]], r"group must be a vector.*\(1, 2\)"),
        ([], r"group must be a vector.*\(0,\)"),
    ],
)
def test_bad_labels_are_told(group: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grouping_columns(group)


def test_slope_columns_tell_bad_input() -> None:
    with pytest.raises(ValueError, match="x has 2 rows where the other arguments have 3"):
        slope_columns(["a", "b", "b"], [1, 2])
    with pytest.raises(ValueError, match=r"x has 1 value.*NaN or infinite"):
        intercept_slope_columns(["a", "b"], [1, np.nan])


@pytest.mark.parametrize(
    ("Z", "Lambda", "sigma", "message"),
    [
        (np.ones((MAX_DENSE_ROWS + 1, 1)), 1.0, 1.0, "Z has 5001 rows.*stops at 5000"),
        (np.eye(2), -1.0, 1.0, "Lambda is theta .* not negative; found -1"),
        (np.eye(2), np.nan, 1.0, "Lambda has 1 value.*NaN"),
        (np.eye(2), np.eye(3), 1.0, r"Lambda must be a number or a 2 x 2 matrix.*\(3, 3\)"),
        (np.eye(2), 1.0, 0.0, "sigma must be a finite number above zero, found 0"),
        (np.eye(2), 1.0, -2.0, "sigma must be a finite number above zero, found -2"),
        (np.eye(2), 1.0, np.inf, "sigma must be a finite number above zero, found inf"),
    ],
)
def test_marginal_covariance_tells_bad_input(
    Z: Any, Lambda: Any, sigma: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        marginal_covariance(Z, Lambda, sigma)


@pytest.mark.parametrize("V", [np.zeros((2, 2)), [[1.0, 2.0], [2.0, 1.0]], np.ones((2, 3))])
def test_generalized_least_squares_tells_a_bad_v(V: Any) -> None:
    with pytest.raises(ValueError, match="V must be a positive definite 2 x 2 matrix"):
        generalized_least_squares([1, 2], [[1], [1]], V)
