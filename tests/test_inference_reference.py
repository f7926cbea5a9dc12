"""What is computed from a fit, against lme4, lmerTest, pbkrtest, RLRsim, mgcv and glmmTMB.

The numbers are those of tests/reference/inference.json; its README tells the calls and the digits.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import ndtr

import mixedsmooth as ms
from mixedsmooth.inference.degrees import Contrast, JointContrast
from mixedsmooth.inference.parameters import parameters

FILE = Path(__file__).parent / "reference" / "inference.json"
REFERENCE: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
FORMULAS = {
    "sleepstudy": "reaction ~ days + (days | subject)",
    "sleepstudy_independent": "reaction ~ days + (days || subject)",
    "sleepstudy_intercept": "reaction ~ days + (1 | subject)",
    "sleepstudy_120": "reaction ~ days + (days | subject)",
    "sleepstudy_weights": "reaction ~ days + (days | subject)",
    "dyestuff": "grams ~ 1 + (1 | batch)",
    "pastes": "strength ~ 1 + (1 | sample) + (1 | batch)",
    "penicillin": "diameter ~ 1 + (1 | plate) + (1 | sample)",
    "cake": "angle ~ recipe + temp + (1 | dough)",
    "cake_150": "angle ~ recipe + temp + (1 | dough)",
    "cake_150_interaction": "angle ~ recipe * temp + (1 | dough)",
    "trial_crossed": "y ~ way + x + (1 | rater) + (1 | item)",
    "trial_slopes": "y ~ way + x + (x | rater) + (1 | item)",
    "trial_independent": "y ~ way + x + (x || rater) + (1 | item)",
}
SMOOTHS = {
    "volvo_smooth": "wear ~ s(size, bs='cr', k=8)",
    "mcycle_smooth": "accel ~ s(time, bs='cr', k=20)",
    "mcycle_late_smooth": "accel ~ s(time, bs='cr', k=8)",
}
MODELS = FORMULAS | SMOOTHS
LOADERS = {
    "sleepstudy": ms.load_sleepstudy,
    "dyestuff": ms.load_dyestuff,
    "pastes": ms.load_pastes,
    "epil": ms.load_epil,
    "bacteria": ms.load_bacteria,
    "mcycle": ms.load_mcycle,
    "volvo": ms.load_volvo,
}


@cache
def columns(case: str) -> dict[str, Any]:
    """Columns of a case: those of a file or of the reference, all rows or some."""
    name = case.split("_")[0]
    data = LOADERS[name]() if name in LOADERS else REFERENCE["data"][name]
    found = {column: np.asarray(data[column]) for column in data}
    of_rows = "cake_150" if case.startswith("cake_150") else case
    rows = REFERENCE.get(of_rows, {}).get("rows_from_zero")
    return found if rows is None else {column: x[rows] for column, x in found.items()}


@cache
def fitted(case: str, method: Any = "REML") -> ms.Fit:
    data = columns(case)
    weights = 1 + (1 + np.arange(180)) % 3 if case == "sleepstudy_weights" else None
    return ms.lmm_formula(FORMULAS[case], data, method=method, weights=weights)


def with_(part: str) -> list[str]:
    """List the models that have some results."""
    return [name for name in FORMULAS if part in REFERENCE[name]]


# ---- intervals ----


EXACT = [
    (case, percent, likelihood)
    for likelihood in ("ML", "REML")
    for percent in (95, 99)
    for case in with_(f"exact{percent}_{likelihood}")
]


@pytest.mark.parametrize(("case", "percent", "likelihood"), EXACT)
def test_profiles_end_where_the_dense_deviance_does(
    case: str, percent: int, likelihood: Any
) -> None:
    expected = REFERENCE[case][f"exact{percent}_{likelihood}"]
    found = fitted(case).confint(percent / 100, likelihood=likelihood)
    assert set(found.names) == set(expected["interval"])
    for name, (lower, upper) in expected["interval"].items():
        assert_allclose(found[name], (lower, upper), atol=1e-6 * (upper - lower))
    for name, estimate in expected["estimate"].items():  # where the deviance is flat
        lower, upper = found[name]
        at = found.names.index(name)
        assert_allclose(found.estimate[at], estimate, atol=1e-4 * (upper - lower))


PROFILED = [(case, percent) for percent in (80, 95, 99) for case in with_(f"profile{percent}")]


@pytest.mark.parametrize(("case", "percent"), PROFILED)
def test_profiles_are_those_of_lme4(case: str, percent: int) -> None:
    found = fitted(case).confint(percent / 100)
    for name, (lower, upper) in REFERENCE[case][f"profile{percent}"].items():
        # lme4 interpolates
        assert_allclose(found[name], (lower, upper), atol=2e-4 * (upper - lower))


@pytest.mark.parametrize(
    ("case", "formula", "family", "digits"),
    [
        ("epil_poisson", "y ~ lbase + trt + (1 | subject)", "poisson", 2e-3),
        ("epil_nb2", "y ~ lbase + trt + (1 | subject)", "negative-binomial", 1e-3),
        ("bacteria_logit", "y ~ trt + week + (1 | id)", "bernoulli", 2e-3),
    ],
)
def test_profiles_of_counts_are_those_of_glmer_and_glmmtmb(
    case: str, formula: str, family: Any, digits: float
) -> None:
    data = {**columns(case), "trt": ms.labels(columns(case)["trt"], first="placebo")}
    fit = ms.glmm_formula(formula, data, family=family)
    expected = REFERENCE[case]
    assert_allclose(fit.beta, list(expected["beta"].values()), atol=2e-4)
    names = dict(zip(expected["beta"], fit.names, strict=True))  # R writes trtdrug
    profiled, wald = fit.confint(), fit.confint(kind="wald")
    for name, (lower, upper) in expected["profile95"].items():
        found = profiled[names.get(name, name)]
        assert_allclose(found, (lower, upper), atol=digits * (upper - lower))
    for name, (lower, upper) in expected["wald95"].items():
        if name in names:
            assert_allclose(wald[names[name]], (lower, upper), atol=digits * (upper - lower))


def test_walds_intervals_are_those_of_lme4() -> None:
    found = fitted("sleepstudy").confint(kind="wald", likelihood="REML")
    for name, ends in REFERENCE["sleepstudy"]["wald95_REML"].items():
        assert_allclose(found[name], ends, rtol=1e-5)


# ---- tests of fixed effects ----


COEFFICIENTS = [
    (case, method)
    for method in ("satterthwaite", "kenward-roger")
    for case in with_(method.replace("-", "_"))  # pbkrtest has no weights
]


@pytest.mark.parametrize(("case", "method"), COEFFICIENTS)
def test_coefficients_are_those_of_lmertest_and_pbkrtest(case: str, method: Any) -> None:
    expected = REFERENCE[case][method.replace("-", "_")]
    found = fitted(case).coefficients(method)
    for column in ("estimate", "se", "df", "t"):
        wanted = [row[column] for row in expected.values()]
        # lmerTest differentiates numerically, at lme4's stop
        assert_allclose(getattr(found, column), wanted, rtol=2e-4, err_msg=column)
    assert_allclose(found.p, [row["p"] for row in expected.values()], rtol=1e-2)
    if method == "kenward-roger" and "kenward_roger_cov" in REFERENCE[case]:
        cov = np.array(REFERENCE[case]["kenward_roger_cov"])
        assert_allclose(found.cov, cov, rtol=1e-4, atol=1e-4 * np.abs(cov).max())


CONTRASTS = [
    (case, name, method)
    for case in with_("contrasts")
    for name, contrast in REFERENCE[case]["contrasts"].items()
    for method in ("satterthwaite", "kenward-roger")
    if method.replace("-", "_") in contrast
]


@pytest.mark.parametrize(("case", "name", "method"), CONTRASTS)
def test_contrasts_are_those_of_lmertest_and_pbkrtest(case: str, name: str, method: Any) -> None:
    contrast = REFERENCE[case]["contrasts"][name]
    L, expected = np.array(contrast["L"]), contrast[method.replace("-", "_")]
    found = fitted(case).contrast(L[0] if len(L) == 1 else L, method)
    assert isinstance(found, Contrast if len(L) == 1 else JointContrast)
    for value, wanted in expected.items():
        digits = 1e-2 if value == "p" else 3e-4
        assert_allclose(getattr(found, value), wanted, rtol=digits, err_msg=value)


# ---- comparisons ----

COMPARED = {
    "sleepstudy_ML": ["days + (1 | subject)", "1 + (days | subject)", "days + (days | subject)"],
    "sleepstudy_REML": ["days + (1 | subject)", "days + (days | subject)"],
    "sleepstudy_independent_ML": [
        "days + (1 | subject)", "days + (days || subject)", "days + (days | subject)"
    ],
    "cake_ML": [f"{x} + (1 | dough)" for x in ("1", "temp", "recipe + temp", "recipe * temp")],
    "epil_poisson": [f"{x} + (1 | subject)" for x in ("lbase", "lbase + trt", "lbase * trt")],
}  # fmt: skip
RESPONSES = {"sleepstudy": "reaction", "cake": "angle", "epil": "y"}


@pytest.mark.parametrize("case", COMPARED)
def test_comparisons_are_those_of_anova(case: str) -> None:
    expected, (name, *_, method) = REFERENCE["compare"][case], case.split("_")
    formulas = [f"{RESPONSES[name]} ~ {right}" for right in COMPARED[case]]
    if method == "poisson":
        found = ms.compare(*(ms.glmm_formula(formula, columns(name)) for formula in formulas))
    else:
        options: dict[str, Any] = {"method": method}
        fits = (ms.lmm_formula(formula, columns(name), **options) for formula in formulas)
        found = ms.compare(*fits)
    assert found.npar.tolist() == expected["npar"]
    assert_allclose(found.aic, expected["AIC"], atol=2e-5)
    assert_allclose(found.bic, expected["BIC"], atol=2e-5)
    assert_allclose(found.loglik, expected["loglik"], atol=1e-5)
    assert_allclose(found.change[1:], np.ravel(expected["change"]), atol=2e-5)
    assert_allclose(found.df[1:], np.ravel(expected["df"]))
    tested = np.isfinite(found.p[1:])
    # of models that are not nested anova has a p, too
    assert np.all(tested) == (case != "sleepstudy_ML")
    assert_allclose(found.p[1:][tested], np.ravel(expected["p"])[tested], rtol=1e-4)


def test_every_model_is_compared() -> None:
    assert set(COMPARED) == set(REFERENCE["compare"])


@pytest.mark.parametrize(
    ("case", "fit", "term"),
    [
        ("dyestuff", "dyestuff", "batch"),
        ("sleepstudy_intercept", "sleepstudy_intercept", "subject"),
        ("sleepstudy_120_intercept", "sleepstudy_120", "subject"),
        ("sleepstudy_independent", "sleepstudy_independent", "sd days | subject"),
        ("pastes_batch", "pastes", "batch"),
        ("volvo_smooth", "volvo_smooth", "s(size)"),
        ("mcycle_smooth", "mcycle_smooth", "s(time)"),
        ("mcycle_late_smooth", "mcycle_late_smooth", "s(time)"),
    ],
)
def test_variance_tests_are_those_of_the_spectral_form(case: str, fit: str, term: str) -> None:
    expected, n = REFERENCE["variance_test"][case], 10_000
    formula = "reaction ~ days + (1 | subject)" if fit == "sleepstudy_120" else MODELS[fit]
    data = columns(fit)
    if case == "mcycle_late_smooth":
        late = data["time"] > 40
        data = {name: column[late] for name, column in data.items()}
    found = ms.variance_test(ms.lmm_formula(formula, data), term, n=n, seed=12)
    assert_allclose(found.statistic, expected["statistic"], atol=2e-5)
    chance = 4 * np.sqrt(0.25 / n)
    assert_allclose(found.p, expected["p"], atol=4 * np.sqrt(0.2 / n))
    if "zero_probability" in expected:
        assert_allclose(found.zero_probability, expected["zero_probability"], atol=chance)


# ---- predictions, influence, smooths, residuals ----


@pytest.mark.parametrize("case", ["sleepstudy", "sleepstudy_120", "penicillin", "trial"])
def test_predictions_have_the_errors_of_the_dense_formula(case: str) -> None:
    expected = REFERENCE["prediction"][case]
    results = ("value", "se_confidence", "se_prediction")
    new = {name: column for name, column in expected.items() if name not in results}
    fit = fitted("trial_slopes" if case == "trial" else case)
    for kind in ("confidence", "prediction"):
        found = fit.predict_interval(new, kind=kind, new_levels="population")
        assert_allclose(found.value, expected["value"], rtol=1e-4)
        assert_allclose(found.se, expected[f"se_{kind}"], rtol=1e-4)


@pytest.mark.parametrize(
    ("case", "model", "method"),
    [
        ("sleepstudy_REML", "sleepstudy", "REML"),
        ("sleepstudy_ML", "sleepstudy", "ML"),
        ("trial_rater", "trial_crossed", "REML"),
        ("dyestuff", "dyestuff", "REML"),
    ],
)
def test_influence_is_that_of_refits_by_lme4(case: str, model: str, method: Any) -> None:
    expected = REFERENCE["influence"][case]
    fit = fitted(model, method)
    found = fit.influence(expected["group"])
    assert found.levels.tolist() == expected["levels"]
    se = np.array(expected["se_without"])
    wanted = np.reshape(expected["beta_without"], found.beta.shape)
    assert_allclose(found.beta - wanted, np.zeros_like(wanted), atol=5e-4 * float(se.min()))
    assert_allclose(found.cook, expected["cooks"], rtol=5e-3, atol=2e-4)
    # of the whole fit less that without the level, over the standard errors without it
    dfbetas = np.reshape(expected["dfbetas_own_se"], found.dfbetas.shape)
    sign = np.sign(np.sum(dfbetas * found.dfbetas))
    assert_allclose(found.dfbetas, sign * dfbetas, atol=1e-3)


def test_a_band_is_that_of_mgcv() -> None:
    expected = REFERENCE["mcycle_band"]["cr"]
    crash = ms.load_mcycle()
    fit = ms.lmm(crash.accel, ms.smooth(time=crash.time, basis="cr", k=20))
    grid = np.linspace(crash.time.min(), crash.time.max(), 2001)
    curve = fit.smooth("time", grid, intercept=True)
    assert_allclose(fit.sigma**2, expected["sigma2"], rtol=1e-6)
    assert_allclose(curve.kappa, expected["kappa"], rtol=1e-4)  # R sums over 2,001 points
    for level, ending in ((0.95, ""), (0.8, "_80"), (0.99, "_99")):
        assert_allclose(curve.critical(level), expected[f"critical_tube{ending}"], atol=2e-5)
    # the formula is an upper bound, and a good one
    assert 0 < curve.critical(0.95) - expected["critical_simulated"] < 0.02


def test_the_index_of_a_basis_is_that_of_mgcv() -> None:
    crash = ms.load_mcycle()
    for case in REFERENCE["basis_check"]["mcycle"]:
        fit = ms.lmm(crash.accel, ms.smooth(time=crash.time, basis="cr", k=case["k"]))
        found = fit.basis_check(n=2_000, seed=12)
        assert_allclose(found.index[0], case["k_index"], rtol=1e-5)
        assert_allclose(found.edf[0], case["edf"], rtol=1e-4)
        assert_allclose(found.p[0], case["p"], atol=4 * np.sqrt(0.25 / 2_000))


@pytest.mark.parametrize(
    ("case", "formula", "family"),
    [
        ("epil_poisson", "y ~ lbase + trt + (1 | subject)", "poisson"),
        ("epil_nb2", "y ~ lbase + trt + (1 | subject)", "negative-binomial"),
        ("bacteria_logit", "y ~ trt + week + (1 | id)", "bernoulli"),
    ],
)
def test_quantile_residuals_lie_in_the_jump_of_the_distribution(
    case: str, formula: str, family: Any
) -> None:
    expected = REFERENCE["quantile_residuals"][case]
    fit = ms.glmm_formula(formula, columns(case), family=family)
    u = ndtr(np.asarray(fit.quantile_residuals(seed=12)))
    lower, upper = np.array(expected["lower"]), np.array(expected["upper"])
    assert np.all(u >= lower - 1e-4)
    assert np.all(u <= upper + 1e-4)
    # and anywhere in it
    share = np.sort((u - lower) / (upper - lower))
    assert np.abs(share - (np.arange(len(u)) + 0.5) / len(u)).max() < 1.63 / np.sqrt(len(u))


def test_every_model_of_the_reference_is_used() -> None:
    of_library = set(FORMULAS) | {"epil_poisson", "epil_nb2", "bacteria_logit", "dyestuff_boot"}
    functions = {
        "compare", "variance_test", "prediction", "mcycle_band", "basis_check", "influence",
        "quantile_residuals",
    }  # fmt: skip
    assert set(REFERENCE) == of_library | functions | {"versions", "data", "recipes"}
    # the sds are those of the fits
    for case in ("sleepstudy_intercept", "trial_independent"):
        names, values = parameters(fitted(case))
        sds = [v for n, v in zip(names, values, strict=True) if n.startswith(("sd", "sigma"))]
        assert_allclose(np.sort(sds), np.sort(REFERENCE[case]["sd"]), rtol=1e-4)
