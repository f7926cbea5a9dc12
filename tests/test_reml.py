"""REML and random slopes: against lme4 and statsmodels, form against form, and at the limits."""

from typing import Any, Literal, NamedTuple
from unittest.mock import Mock

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.integrate import quad

import mixedsmooth as ms
from mixedsmooth import published
from mixedsmooth._checks import full_rank
from mixedsmooth.derivations.design import (
    LambdaTemplate,
    grouping_columns,
    intercept_slope_columns,
    lambda_template,
)
from mixedsmooth.derivations.likelihood import fit_ml
from mixedsmooth.derivations.penalized_ls import log_integral, profiled_deviance, solve_penalized
from mixedsmooth.derivations.reml import (
    ProfiledFit,
    fit_profiled,
    restricted_deviance,
    restricted_deviance_from_covariance,
    restricted_deviance_of_contrasts,
    restricted_log_integral,
)
from tests.conftest import Rows
from tests.test_penalized_ls import BAD, DESIGNS, GOOD, Design, every_design, gasoline_rows

FIVE_DIGITS = 5e-6  # relative: half a unit of the fifth significant digit


class Case(NamedTuple):
    """A model that lme4 has fitted, and what it says."""

    rows: Rows
    template: LambdaTemplate
    method: Literal["ML", "REML"]
    lme4: dict[str, Any]

    @property
    def theta(self) -> Any:
        """Always a vector."""
        return np.atleast_1d(self.lme4["theta"])

    @property
    def effects(self) -> Any:
        """Effects in the order of the columns of Z: those of a level beside each other."""
        (by_name,) = self.lme4["ranef"].values()
        return np.column_stack(list(by_name.values())).ravel()


# lme4 1.1.31 under R 4.2.2: lmer(formula, data, REML = ..., bobyqa to rhoend = 1e-11); the formula
# stands in the reference.
CASES = [
    "sleepstudy_intercept_REML",
    "sleepstudy_slope_ML",
    "sleepstudy_slope_REML",
    "sleepstudy_independent_REML",
    "sleepstudy_unbalanced_slope_REML",
    "gasoline_intercept_ML",
    "gasoline_intercept_REML",
]


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, reference: dict[str, Any]) -> Case:
    return case_of(request.param, reference)


def case_of(key: str, reference: dict[str, Any]) -> Case:
    method: Literal["ML", "REML"] = "REML" if key.endswith("REML") else "ML"
    if "gasoline" in key:
        return Case(gasoline_rows(), lambda_template(1, 18), method, reference[key])
    sleep = ms.load_sleepstudy()
    keep = np.arange(180)
    if "unbalanced" in key:
        keep = np.array(reference["sleepstudy_unbalanced_rows"]) - 1
    X = np.column_stack([np.ones(len(keep)), sleep.days[keep]])
    if "intercept" in key:
        Z, levels = grouping_columns(sleep.subject[keep])
        template = lambda_template(1, len(levels))
    else:
        Z, levels = intercept_slope_columns(sleep.subject[keep], sleep.days[keep])
        template = lambda_template(2, len(levels), correlated="independent" not in key)
    return Case(Rows(sleep.reaction[keep], X, Z), template, method, reference[key])


# ---- lme4 ----


def test_the_criterion_at_lme4s_theta_is_lme4s(case: Case) -> None:
    deviance = profiled_deviance if case.method == "ML" else restricted_deviance
    ours = deviance(case.template(case.theta), *case.rows)
    assert_allclose(ours, case.lme4["criterion"], rtol=1e-10)


def test_the_effects_at_lme4s_theta_are_lme4s(case: Case) -> None:
    solution = solve_penalized(*case.rows, case.template(case.theta))
    assert_allclose(solution.beta, case.lme4["beta"], rtol=1e-9)
    assert_allclose(solution.b, case.effects, rtol=2e-9)


def test_the_fit_is_lme4s(case: Case) -> None:
    lme4, fit = case.lme4, fit_profiled(*case.rows, case.template, case.method)
    assert fit.converged
    # at a minimum the criterion has twice the digits of the parameters
    assert_allclose(fit.criterion, lme4["criterion"], rtol=1e-10)
    assert_allclose(fit.theta, case.theta, rtol=FIVE_DIGITS)
    assert_allclose(fit.sigma, lme4["sigma"], rtol=FIVE_DIGITS / 10)
    assert_allclose(fit.beta, lme4["beta"], rtol=FIVE_DIGITS)
    assert_allclose(fit.se, lme4["se"], rtol=FIVE_DIGITS)
    assert_allclose(fit.cov_beta, lme4["cov_beta"], rtol=2 * FIVE_DIGITS)
    # an effect close to zero has fewer digits of its own: to 1e-5 of the largest
    assert_allclose(fit.b, case.effects, rtol=FIVE_DIGITS, atol=1e-6 * np.abs(case.effects).max())
    k = case.template.k
    covariance = fit.sigma**2 * (fit.Lambda @ fit.Lambda.T)[:k, :k]
    theirs = np.array([np.ravel(block)[0] for block in lme4["random"].values()])
    if len(lme4["random"]) == 1:
        theirs = np.array(next(iter(lme4["random"].values())))
        assert_allclose(covariance, theirs, rtol=2 * FIVE_DIGITS)
    else:
        assert_allclose(np.diag(covariance), theirs, rtol=2 * FIVE_DIGITS)
        assert covariance[0, 1] == 0


def test_ml_is_the_fit_of_chapter_3(unbalanced: Rows) -> None:
    fit = fit_profiled(*unbalanced, lambda_template(1, 16))
    other = fit_ml(*unbalanced)
    assert_allclose(fit.criterion, other.deviance, rtol=1e-11)
    assert_allclose([fit.theta[0], fit.sigma], [other.theta, other.sigma], rtol=1e-6)
    assert_allclose(fit.cov_beta, other.cov_beta, rtol=1e-6)


# ---- source 3 ----


def test_the_table_of_statsmodels(reference: dict[str, Any]) -> None:
    # Dirmeier (n.d.), cell 154: the summary of statsmodels, and the beta of cell 197. Where the
    # note says that its optimizer stopped early, the print is right to 1e-4 of the value only.
    case = case_of("sleepstudy_slope_REML", reference)
    fit = fit_profiled(*case.rows, case.template, "REML")
    covariance = fit.sigma**2 * (fit.Lambda @ fit.Lambda.T)[:2, :2]
    ours = {
        "scale": fit.sigma**2,
        "loglik": -fit.criterion / 2,
        "variance_intercept.estimate": covariance[0, 0],
        "covariance.estimate": covariance[0, 1],
        "variance_days.estimate": covariance[1, 1],
    }
    for name, beta, se in zip(("intercept", "days"), fit.beta, fit.se, strict=True):
        ours |= {f"{name}.estimate": beta, f"{name}.se": se, f"{name}.z": beta / se}
        ours |= {f"{name}.lower": beta - 1.959963984540054 * se}
        ours |= {f"{name}.upper": beta + 1.959963984540054 * se}
    entries = published.entries()
    stopped_early = set()
    for name, value in ours.items():
        entry = entries[f"dirmeier.statsmodels.{name}"]
        half_unit = 0.5 * 10.0**-entry.decimals
        assert entry.exact is not None
        assert_allclose(value, float(entry.exact), rtol=2 * FIVE_DIGITS)
        if "stopped early" in entry.note:
            stopped_early.add(name)
            assert abs(value - float(entry.value)) > half_unit
            assert_allclose(value, float(entry.value), rtol=1e-4)
        else:
            assert abs(value - float(entry.value)) <= half_unit
    assert stopped_early == {"scale", "variance_intercept.estimate", "covariance.estimate"}
    for name, beta in zip(("intercept", "days"), fit.beta, strict=True):
        printed = float(entries[f"dirmeier.henderson.{name}"].value)
        assert_allclose(beta, printed, rtol=0, atol=5e-9)


# ---- one criterion in three forms ----


@every_design
def test_the_forms_are_equal(design: Design) -> None:
    y, X, Z, Lambda = design
    ours = restricted_deviance(Lambda, y, X, Z)
    assert_allclose(restricted_deviance_from_covariance(Lambda, y, X, Z), ours, rtol=1e-10)
    constant = np.linalg.slogdet(X.T @ X)[1]
    of_contrasts = restricted_deviance_of_contrasts(Lambda, y, X, Z)
    assert_allclose(of_contrasts + constant, ours, rtol=1e-10)
    assert abs(constant) > 1


@pytest.mark.parametrize("theta", [0.0, 0.01, 1.2, 8.0])
def test_the_forms_are_equal_on_the_sleep_study(theta: float, unbalanced: Rows) -> None:
    ours = restricted_deviance(theta, *unbalanced)
    assert_allclose(restricted_deviance_from_covariance(theta, *unbalanced), ours, rtol=1e-10)
    constant = np.linalg.slogdet(unbalanced.X.T @ unbalanced.X)[1]
    of_contrasts = restricted_deviance_of_contrasts(theta, *unbalanced)
    assert_allclose(of_contrasts + constant, ours, rtol=1e-10)


@pytest.mark.parametrize("theta", [0.0, 0.4, 3.0])
def test_the_integral_over_beta_is_an_integral(theta: float) -> None:
    rng = np.random.default_rng(1)
    y, X, Z = rng.normal(size=6), rng.normal(size=(6, 1)), np.kron(np.eye(2), np.ones((3, 1)))
    center = solve_penalized(y, X, Z, theta).beta[0]

    def likelihood(beta: float) -> float:
        return float(np.exp(log_integral([beta], 0.8, y, X, Z, theta)))

    by_quadrature, _ = quad(likelihood, center - 15, center + 15, epsabs=0, epsrel=1e-11)
    ours = restricted_log_integral(0.8, y, X, Z, theta)
    assert_allclose(ours, np.log(by_quadrature), rtol=0, atol=1e-10)


@every_design
def test_the_restricted_deviance_is_the_minimum_over_sigma(design: Design) -> None:
    y, X, Z, Lambda = design
    best = restricted_deviance(Lambda, y, X, Z)
    sigma = np.sqrt(solve_penalized(*design).r2 / (len(y) - X.shape[1]))
    assert_allclose(-2 * restricted_log_integral(sigma, *design), best, rtol=1e-12)
    assert -2 * restricted_log_integral(1.01 * sigma, *design) > best
    assert -2 * restricted_log_integral(0.99 * sigma, *design) > best


@every_design
def test_new_columns_for_x_add_a_constant(design: Design) -> None:
    # X R has the same column space: beta changes to R^-1 beta, with the Jacobian |det R|
    y, X, Z, Lambda = design
    R = np.random.default_rng(2).normal(size=(3, 3))
    constant = 2 * np.linalg.slogdet(R)[1]
    before, after = (restricted_deviance(Lambda, y, X_, Z) for X_ in (X, X @ R))
    assert_allclose(after - before, constant, rtol=0, atol=1e-9)
    assert abs(constant) > 0.1
    # the contrasts see the column space alone
    of_contrasts = [restricted_deviance_of_contrasts(Lambda, y, X_, Z) for X_ in (X, X @ R)]
    assert_allclose(of_contrasts[0], of_contrasts[1], rtol=1e-11)


@every_design
def test_beta_does_not_matter_to_the_criterion(design: Design) -> None:
    y, X, Z, Lambda = design
    moved = restricted_deviance(Lambda, y + X @ [5.0, -3.0, 2.0], X, Z)
    assert_allclose(moved, restricted_deviance(Lambda, y, X, Z), rtol=1e-10)


def test_theta_zero_is_ordinary_least_squares(unbalanced: Rows) -> None:
    y, X, _ = unbalanced
    n, p = X.shape
    _, (rss,), _, _ = np.linalg.lstsq(X, y, rcond=None)
    expected = np.linalg.slogdet(X.T @ X)[1] + (n - p) * (1 + np.log(2 * np.pi * rss / (n - p)))
    assert_allclose(restricted_deviance(0.0, *unbalanced), expected, rtol=1e-12)


# ---- theta ----


def test_lambda_is_filled_column_by_column() -> None:
    # as lme4 does: Bates et al. (2015), section 2.3
    T = [[1, 0, 0], [2, 4, 0], [3, 5, 6]]
    Lambda = lambda_template(3, 2)([1, 2, 3, 4, 5, 6])
    assert_array_equal(Lambda, np.kron(np.eye(2), T))
    independent = lambda_template(3, 2, correlated=False)([1, 2, 3])
    assert_array_equal(independent, np.diag([1, 2, 3, 1, 2, 3]))
    assert_array_equal(lambda_template(1, 3)(0.5), 0.5 * np.eye(3))


@pytest.mark.parametrize(("k", "correlated", "number"), [(1, True, 1), (3, True, 6), (3, False, 3)])
def test_parameters_are_read_back(k: int, correlated: bool, number: int) -> None:
    template = lambda_template(k, 4, correlated)
    theta = np.random.default_rng(3).normal(size=number)
    assert_array_equal(template.parameters(template(theta)), theta)


# ---- the search ----


@pytest.fixture(scope="module")
def slopes(reference: dict[str, Any]) -> Case:
    return case_of("sleepstudy_unbalanced_slope_REML", reference)


@pytest.fixture(scope="module")
def fit(slopes: Case) -> ProfiledFit:
    return fit_profiled(*slopes.rows, slopes.template, "REML")


def test_the_optimum_is_a_minimum(slopes: Case, fit: ProfiledFit) -> None:
    def criterion(theta: Any) -> float:
        return restricted_deviance(slopes.template(theta), *slopes.rows)

    assert_allclose(criterion(fit.theta), fit.criterion, rtol=1e-11)
    for step in 1e-3 * np.eye(3):
        assert criterion(fit.theta + step) > fit.criterion
        assert criterion(fit.theta - step) > fit.criterion


@pytest.mark.parametrize("start", [(0.1, 0.0, 0.1), (-1.0, 0.2, -1.0), (5.0, 1.0, 5.0)])
def test_the_start_does_not_matter(
    start: tuple[float, ...], slopes: Case, fit: ProfiledFit
) -> None:
    other = fit_profiled(*slopes.rows, slopes.template, "REML", start=start)
    assert other.converged
    assert_allclose(other.criterion, fit.criterion, rtol=1e-11)
    assert_allclose(other.theta, fit.theta, rtol=FIVE_DIGITS)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_unit_of_the_covariate_does_not_matter(
    scale: float, slopes: Case, fit: ProfiledFit
) -> None:
    y, X, Z = slopes.rows
    X, Z = X * [1, scale], Z * np.tile([1, scale], Z.shape[1] // 2)
    other = fit_profiled(y, X, Z, slopes.template, "REML")
    assert other.converged
    assert_allclose(other.theta * [1, scale, scale], fit.theta, rtol=FIVE_DIGITS)
    assert_allclose(other.criterion, fit.criterion + 2 * np.log(scale), rtol=1e-10)


def test_a_large_mean_is_no_trouble(slopes: Case, fit: ProfiledFit) -> None:
    y, X, Z = slopes.rows
    other = fit_profiled(y + 1e6, X, Z, slopes.template, "REML")
    assert_allclose(other.theta, fit.theta, rtol=FIVE_DIGITS)
    assert_allclose(other.beta - [1e6, 0], fit.beta, rtol=1e-8)
    assert_allclose(other.criterion, fit.criterion, rtol=1e-11)


def test_a_template_of_ones_own(slopes: Case, fit: ProfiledFit) -> None:
    # the same model by standard deviations and correlation
    def by_correlation(parameters: Any) -> Any:
        (sd_0, sd_1), rho = np.exp(parameters[:2]), np.tanh(parameters[2])
        return slopes.template([sd_0, rho * sd_1, sd_1 * np.sqrt(1 - rho**2)])

    other = fit_profiled(*slopes.rows, by_correlation, "REML", start=[0.0, 0.0, 0.0])
    assert_allclose(other.criterion, fit.criterion, rtol=1e-11)
    assert_allclose(slopes.template.parameters(other.Lambda), fit.theta, rtol=FIVE_DIGITS)


@pytest.mark.parametrize("method", ["ML", "REML"])
def test_a_variance_of_zero_is_a_result(method: Literal["ML", "REML"]) -> None:
    # Two mirrored rows in each group: the group means do not differ at all.
    group = np.repeat(np.arange(6), 2)
    y = np.repeat(np.arange(1.0, 7.0), 2) * np.tile([-1.0, 1.0], 6)
    fit = fit_profiled(
        y, np.ones((12, 1)), grouping_columns(group)[0], lambda_template(1, 6), method
    )
    assert fit.converged
    assert_array_equal(fit.theta, [0.0])
    assert_array_equal(fit.b, np.zeros(6))
    # there it is ordinary least squares, and REML's sigma^2 the unbiased one
    variance = np.var(y, ddof=1 if method == "REML" else 0)
    assert_allclose(fit.sigma**2, variance, rtol=1e-12)
    assert_allclose(fit.se, [np.sqrt(variance / 12)], rtol=1e-12)


def test_reml_of_the_balanced_one_way_layout_is_the_analysis_of_variance() -> None:
    # Searle, Casella and McCulloch (1992), section 3.8: with a groups of m rows, and when the
    # second is positive, the estimates are MSE and (MSA - MSE) / m, unbiased both.
    rng = np.random.default_rng(4)
    a, m = 7, 4
    group = np.repeat(np.arange(a), m)
    y = 10 + 3 * rng.normal(size=a)[group] + rng.normal(size=a * m)
    means = y.reshape(a, m).mean(axis=1)
    mse = np.sum((y - means[group]) ** 2) / (a * (m - 1))
    msa = m * np.sum((means - y.mean()) ** 2) / (a - 1)
    Z, _ = grouping_columns(group)
    fit = fit_profiled(y, np.ones((a * m, 1)), Z, lambda_template(1, a), "REML")
    assert_allclose(fit.sigma**2, mse, rtol=1e-6)
    assert_allclose((fit.theta[0] * fit.sigma) ** 2, (msa - mse) / m, rtol=1e-6)


# ---- bad input ----


FORMS = {
    restricted_deviance: {"y", "X", "Z", "Lambda"},
    restricted_deviance_from_covariance: {"y", "X", "Z", "Lambda"},
    restricted_deviance_of_contrasts: {"y", "X", "Z", "Lambda"},
    restricted_log_integral: {"sigma", "y", "X", "Z", "Lambda"},
}


@pytest.mark.parametrize(
    ("function", "argument", "value", "message"),
    [(function, *bad) for function, takes in FORMS.items() for bad in BAD if bad[0] in takes],
)
def test_bad_input_is_told(function: Any, argument: str, value: object, message: str) -> None:
    arguments = {name: GOOD[name] for name in FORMS[function]}
    function(**arguments)  # the good input is good
    with pytest.raises(ValueError, match=message):
        function(**{**arguments, argument: value})


@pytest.mark.parametrize(
    ("k", "levels", "message"),
    [(0, 3, "k must be a whole number"), (1.5, 3, "k must be"), (1, 0, "levels must be")],
)
def test_a_bad_template_is_told(k: Any, levels: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lambda_template(k, levels)


@pytest.mark.parametrize("theta", [[1.0, 2.0], [1.0, 2.0, np.nan], [[1.0, 0.0], [0.0, 1.0]]])
def test_a_bad_theta_is_told(theta: Any) -> None:
    with pytest.raises(ValueError, match="theta"):
        lambda_template(2, 3)(theta)


@pytest.mark.parametrize(
    ("argument", "value", "message"),
    [
        ("method", "reml", 'method must be "ML" or "REML", found \'reml\''),
        ("template", lambda theta: theta * np.eye(2), "start is needed"),
        ("template", lambda_template(1, 3), "Lambda must be a number or a 2 x 2 matrix"),
        (
            "start",
            [1.0, 2.0],
            "theta must hold 1 parameters for the 1 random effects of a level; found 2",
        ),
        ("start", [np.nan], "start has 1 value.*NaN"),
        ("y", [1.0, 3.0, 5.0, 9.0], "y is explained by the 2 columns of X without error"),
        *[bad for bad in BAD if bad[0] in "yXZ"],
    ],
)
def test_fit_tells_bad_input(argument: str, value: object, message: str) -> None:
    arguments = {name: GOOD[name] for name in ("y", "X", "Z")}
    arguments["template"] = lambda_template(1, 2)
    with pytest.raises(ValueError, match=message):
        fit_profiled(**{**arguments, argument: value})


def test_groups_without_any_residual_are_told() -> None:
    # y is constant within groups: the likelihood grows without bound as theta does
    group = np.repeat(np.arange(4), 3)
    Z, _ = grouping_columns(group)
    with pytest.raises(ValueError, match="y is explained by X and Z without error"):
        fit_profiled(
            np.array([1.0, 4.0, 2.0, 7.0])[group], np.ones((12, 1)), Z, lambda_template(1, 4)
        )


def test_the_designs_are_what_their_names_say() -> None:
    ranks = {name: np.linalg.matrix_rank(design.Lambda) for name, design in DESIGNS.items()}
    assert ranks["no slopes"] == ranks["correlation one"] == 7
    assert ranks["zero"] == 0
    assert ranks["slopes"] == 14


def test_a_search_looks_at_its_data_once(balanced: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    look = Mock(wraps=full_rank)
    monkeypatch.setattr("mixedsmooth.derivations.data.full_rank", look)
    y, X, Z = balanced
    fit = fit_profiled(y, X, Z, lambda_template(1, 18))
    assert fit.evaluations > 50
    assert look.call_count == 1
