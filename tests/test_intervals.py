"""Intervals against lme4 and glmmTMB; standard errors; what is printed and what is refused."""

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import ndtri

import mixedsmooth as ms
from mixedsmooth.derivations.design import intercept_slope_columns
from mixedsmooth.derivations.profile import estimates, natural_deviance
from mixedsmooth.derivations.search import derivatives
from mixedsmooth.inference.intervals import Intervals

SLEEP, EPIL = ms.load_sleepstudy(), ms.load_epil()
SLOPES = "reaction ~ days + (days | subject)"
EPIL_TERMS = ms.linear(lbase=EPIL.lbase, trt=EPIL.trt), ms.group(subject=EPIL.subject)

# Davies and Goldsmith (1972), Statistical Methods in Research and Production: Dyestuff of lme4
YIELD = [
    *(1545, 1440, 1440, 1520, 1580, 1540, 1555, 1490, 1560, 1495, 1595, 1550, 1605, 1510, 1560),
    *(1445, 1440, 1595, 1465, 1545, 1595, 1630, 1515, 1635, 1625, 1520, 1455, 1450, 1480, 1445),
]
BATCH = np.repeat(list("ABCDEF"), 5)


def dyestuff(method: Any = "REML") -> ms.Fit:
    return ms.lmm(YIELD, ms.group(batch=BATCH), method=method)


def assert_ends(
    intervals: Intervals, reference: dict[str, tuple[float, float]], rtol: float
) -> None:
    """Compare both ends of each parameter, relative to the width."""
    assert intervals.names == list(reference)
    for name, (lower, upper) in reference.items():
        assert_allclose(
            intervals[name], (lower, upper), rtol=0, atol=rtol * (upper - lower), err_msg=name
        )


# ---- profiles ----

# lme4 1.1.31, confint(profile(lmer(Reaction ~ Days + (Days | Subject), REML = FALSE), signames =
# FALSE), level): ends are interpolated there, to about 1e-4 of a width
SLEEP_ML = {
    0.80: [
        (17.38075935809, 32.074310605965),
        (-0.3091517650687, 0.4884913331632),
        (4.387530358291, 7.511530002715),
        (23.774427103077, 27.653113808239),
        (242.707904296092, 260.102308169969),
        (8.49733520308, 12.437236466187),
    ],
    0.95: [
        (14.381484399601, 37.71601874028),
        (-0.4815004080572, 0.684985892413),
        (3.801164762383, 8.753386766561),
        (22.898266215013, 28.857997322742),
        (237.680695469373, 265.129514691758),
        (7.358653295307, 13.575918741498),
    ],
    0.99: [
        (11.697964515019, 43.924862873213),
        (-0.6111834722016, 0.8620229261822),
        (3.313161322177, 10.130578023176),
        (22.149064366086, 30.028253423997),
        (232.619538530182, 270.19066739621),
        (6.212281309512, 14.72228988876),
    ],
}


@pytest.mark.parametrize("level", SLEEP_ML)
def test_sleep_study(level: float) -> None:
    intervals = ms.lmm_formula(SLOPES, SLEEP).confint(level)
    names = [
        *("sd (Intercept) | subject", "corr days, (Intercept) | subject", "sd days | subject"),
        *("sigma", "(Intercept)", "days"),
    ]
    assert_ends(intervals, dict(zip(names, SLEEP_ML[level], strict=True)), 2e-4)
    assert intervals.notes == ()


def test_independent_effects() -> None:
    # lme4 1.1.31, confint(profile(lmer(Reaction ~ Days + (Days || Subject), REML = FALSE)))
    reference = {
        "sd (Intercept) | subject": (15.258646, 37.78646),
        "sd days | subject": (3.964074, 8.76916),
        "sigma": (22.880555, 28.78760),
        "(Intercept)": (237.572148, 265.23806),
        "days": (7.334067, 13.60051),
    }
    fit = ms.lmm_formula("reaction ~ days + (days || subject)", SLEEP)
    assert_ends(fit.confint(), reference, 2e-4)


def test_dyestuff() -> None:
    # lme4 1.1.31, confint(profile(lmer(Yield ~ 1 + (1 | Batch), REML = FALSE), signames = FALSE))
    reference = {
        "sd (Intercept) | batch": (12.198535214877, 84.063046709422),
        "sigma": (38.229984882596, 67.657696244772),
        "(Intercept)": (1486.45149996883, 1568.54849436812),
    }
    fit = dyestuff()
    assert_ends(fit.confint(), reference, 2e-4)
    wide = fit.confint(0.99)
    assert wide["sd (Intercept) | batch"][0] == 0
    # 5.402826, the likelihood ratio of lme4: anova(lmer(...), lm(Yield ~ 1)) by ML
    assert wide.notes == (
        "sd (Intercept) | batch: the lower end is 0, as zeta comes to 2.32 only, not 2.58",
    )
    assert_allclose(2.32, np.sqrt(5.402826), atol=0.005)


def test_nested_factors() -> None:
    # lme4 1.1.31, confint(profile(lmer(strength ~ 1 + (1 | batch) + (1 | sample), REML = FALSE)))
    pastes = ms.load_pastes()
    fit = ms.lmm(pastes.strength, ms.group(sample=pastes.sample), ms.group(batch=pastes.batch))
    for level, ends in (
        (
            0.95,
            [(2.1579337, 4.053589), (0, 2.946591), (0.6520234, 1.085448), (58.66365, 61.443016)],
        ),
        (0.99, [(1.9829151, 4.492471), (0, 3.776505), (0.6103545, 1.196684), (58.08295, 62.02372)]),
    ):
        names = ["sd (Intercept) | sample", "sd (Intercept) | batch", "sigma", "(Intercept)"]
        assert_ends(fit.confint(level), dict(zip(names, ends, strict=True)), 2e-4)


def test_counts() -> None:
    # lme4 1.1.31, confint(profile(glmer(y ~ lbase + trt + (1 | subject), poisson)))
    reference = {
        "sd (Intercept) | subject": (0.4210163, 0.65976798),
        "(Intercept)": (1.5861629, 2.01734221),
        "lbase": (0.8099682, 1.21273110),
        "trt[progabide]": (-0.6397821, -0.03607436),
    }
    intervals = ms.glmm(EPIL.y, *EPIL_TERMS).confint()
    assert_ends(intervals, reference, 1e-3)
    assert intervals.likelihood == "Laplace"


def test_counts_with_a_size() -> None:
    # glmmTMB 1.1.5, confint(glmmTMB(y ~ lbase + trt + (1 | subject), family = nbinom2), method =
    # "uniroot"), theta_ being the log of the sd; TMB::tmbprofile(obj, "betad"), the log of the size
    reference = {
        "sd (Intercept) | subject": (np.exp(-0.9808157), np.exp(-0.45751218)),
        "size": (4.6484017, 11.609547),
        "(Intercept)": (1.6030159, 2.03445555),
        "lbase": (0.8104021, 1.21276222),
        "trt[progabide]": (-0.6389962, -0.03533733),
    }
    intervals = ms.glmm(EPIL.y, *EPIL_TERMS, family="negative-binomial").confint()
    assert_ends(intervals, reference, 2e-4)


def test_zeros_and_ones() -> None:
    # glmmTMB 1.1.5, exp of TMB::confint(TMB::tmbprofile(obj, "theta")) of
    # glmmTMB(y ~ trt + I(week > 2) + (1 | id), bacteria, family = binomial)
    bacteria = ms.load_bacteria()
    terms = (
        ms.linear(trt=bacteria.trt, late=(bacteria.week > 2).astype(float)),
        ms.group(id=bacteria.id),
    )
    fit = ms.glmm(bacteria.y, *terms, family="bernoulli")
    assert_allclose(fit.confint()["sd (Intercept) | id"], (0.49371736, 2.2264703), rtol=2e-4)


def test_an_infinite_size_has_an_interval_without_upper_end() -> None:
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(25), 6), rng.normal(size=150)
    y = np.round(np.exp(0.5 + 0.4 * x + 0.7 * rng.normal(size=25)[g]))
    fit = ms.glmm(y, ms.linear(x=x), ms.group(g=g), family="negative-binomial")
    assert np.isinf(fit.family.log_parameters[0])
    intervals = fit.confint()
    lower, upper = intervals["size"]
    assert 1 < lower < 1000
    assert upper == np.inf
    assert intervals.estimate[intervals.names.index("size")] == np.inf
    poisson = ms.glmm(y, ms.linear(x=x), ms.group(g=g)).confint()
    assert_allclose(intervals["x"], poisson["x"], rtol=1e-3)


def test_quadrature_has_its_own_likelihood() -> None:
    fit = ms.glmm(EPIL.y, *EPIL_TERMS, method="agq", nodes=9)
    intervals = fit.confint()
    assert intervals.likelihood == "quadrature with 9 nodes"
    laplace = fit.refit("laplace").confint()
    # the sd by quadrature is a little larger
    assert np.all(
        intervals["sd (Intercept) | subject"] > np.array(laplace["sd (Intercept) | subject"])
    )
    one_node = fit.refit("agq", nodes=1).confint()
    assert_allclose(one_node.lower, laplace.lower, rtol=1e-5)


# ---- standard errors ----


def test_wald_intervals_of_coefficients() -> None:
    # lme4 1.1.31, confint(lmer(Reaction ~ Days + (Days | Subject)), method = "Wald")
    intervals = ms.lmm_formula(SLOPES, SLEEP).confint(kind="wald", likelihood="REML")
    assert_allclose(intervals["(Intercept)"], (238.029141117362, 264.781068579608), rtol=1e-6)
    assert_allclose(intervals["days"], (7.437593929865, 13.496977989327), rtol=1e-6)


@pytest.mark.parametrize("method", ["ML", "REML"])
def test_wald_intervals_are_by_the_curvature_of_the_dense_deviance(method: Any) -> None:
    fit = ms.lmm_formula(SLOPES, SLEEP)
    intervals = fit.confint(0.9, kind="wald", likelihood=method)
    X = np.column_stack([np.ones(180), SLEEP.days])
    Z, _ = intercept_slope_columns(SLEEP.subject, SLEEP.days)
    phi, _ = estimates(SLEEP.reaction, X, Z, 2, method)
    unit = np.array([10.0, 1.0, 5.0, 10.0])  # so that steps of differences suit all

    def deviance(scaled: Any) -> float:
        return natural_deviance(scaled * unit, SLEEP.reaction, X, Z, 2, method)

    _, H = derivatives(deviance, phi[:4] / unit)
    se = unit * np.sqrt(2 * np.diag(np.linalg.inv(H)))
    half = (intervals.upper - intervals.lower)[:4] / 2
    # second differences have about five digits
    assert_allclose(half, ndtri(0.95) * se, rtol=1e-4)
    assert_allclose((intervals.upper + intervals.lower) / 2, intervals.estimate, rtol=1e-12)
    assert_allclose(intervals.estimate[:4], phi[:4], rtol=1e-5)


def test_wald_interval_of_sigma_in_a_linear_model() -> None:
    fit = ms.lmm(SLEEP.reaction, ms.linear(days=SLEEP.days), method="ML")
    lower, upper = fit.confint(kind="wald")["sigma"]
    # Var(sigma_hat) = sigma^2 / (2 n)
    assert_allclose((upper - lower) / 2, ndtri(0.975) * fit.sigma / np.sqrt(360), rtol=1e-6)


def test_wald_intervals_of_a_generalized_model() -> None:
    fit = ms.glmm(EPIL.y, *EPIL_TERMS, family="negative-binomial")
    intervals = fit.confint(kind="wald")
    assert_allclose(intervals["lbase"], fit.beta[1] + ndtri([0.025, 0.975]) * fit.se[1])
    # glmmTMB 1.1.5, sqrt(diag(vcov(fit, full = TRUE))): of log sd and log size
    for name, se_of_log in (("sd (Intercept) | subject", 0.13185944), ("size", 0.23177298)):
        lower, upper = intervals[name]
        estimate = intervals.estimate[intervals.names.index(name)]
        assert_allclose((upper - lower) / 2 / ndtri(0.975), estimate * se_of_log, rtol=1e-4)


def test_on_the_boundary_there_is_no_standard_error() -> None:
    fit = ms.lmm(np.tile([1.0, 2, 3, 5, 8], 6), ms.group(g=np.repeat(list("abcdef"), 5)))
    assert fit.on_boundary
    for likelihood in ("ML", "REML"):
        intervals = fit.confint(kind="wald", likelihood=likelihood)
        assert np.all(np.isnan(intervals["sd (Intercept) | g"]))
        assert np.all(np.isfinite([intervals["sigma"], intervals["(Intercept)"]]))
        (note,) = intervals.notes
        assert note == "g: on the boundary, where a curvature gives no standard error"
    # sigma is that of a sample of 30
    lower, upper = fit.confint(kind="wald")["sigma"]
    sigma = fit.refit("ML").sigma
    assert_allclose((upper - lower) / 2, ndtri(0.975) * sigma / np.sqrt(60), rtol=1e-6)


def test_a_size_that_is_infinite_has_no_standard_error() -> None:
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(25), 6), rng.normal(size=150)
    y = np.round(np.exp(0.5 + 0.4 * x + 0.7 * rng.normal(size=25)[g]))
    fit = ms.glmm(y, ms.linear(x=x), ms.group(g=g), family="negative-binomial")
    intervals = fit.confint(kind="wald")
    assert np.all(np.isnan(intervals["size"]))
    assert intervals.notes == ("size: infinite, where a curvature gives no standard error",)
    poisson = ms.glmm(y, ms.linear(x=x), ms.group(g=g)).confint(kind="wald")
    name = "sd (Intercept) | g"
    assert_allclose(intervals[name], poisson[name], rtol=1e-4)


# ---- likelihoods ----


def test_the_likelihood_that_is_asked_for_makes_the_estimates() -> None:
    reml, ml = dyestuff(), dyestuff("ML")
    assert_allclose(reml.confint().estimate, ml.confint().estimate, rtol=1e-6)
    of_reml = ml.confint(likelihood="REML")
    assert of_reml.names == ["sd (Intercept) | batch", "sigma"]
    assert of_reml.likelihood == "REML"
    assert_allclose(of_reml.estimate, [reml.random["batch"].sd[0], reml.sigma], rtol=1e-5)
    assert reml.confint(kind="wald", likelihood="REML").names == ml.confint(kind="wald").names


def test_in_a_balanced_layout_the_restricted_profile_has_a_closed_form() -> None:
    # Dyestuff: 6 batches of 5. With S_b and S_w the sums of squares between and within, and
    # lambda = sigma^2 + 5 sd^2, the restricted deviance is, but for constants,
    #     5 log lambda + S_b / lambda + 24 log sigma^2 + S_w / sigma^2
    y = np.reshape(YIELD, (6, 5))
    between = 5 * np.sum((y.mean(axis=1) - y.mean()) ** 2)
    within = np.sum((y - y.mean(axis=1, keepdims=True)) ** 2)
    profile = dyestuff().profile("REML")

    def deviance(sd: Any, sigma: Any) -> Any:
        large = sigma**2 + 5 * sd**2
        return 5 * np.log(large) + between / large + 24 * np.log(sigma**2) + within / sigma**2

    path = profile["sd (Intercept) | batch"]
    sigma = np.geomspace(10, 1000, 200_001)
    sd_hat, sigma_hat = profile.estimate
    for value, zeta in zip(path.value, path.zeta, strict=True):
        rise = deviance(value, sigma).min() - deviance(sd_hat, sigma_hat)
        # a step of the grid is 2e-5 of sigma
        assert_allclose(abs(zeta), np.sqrt(max(rise, 0.0)), rtol=0, atol=2e-4)


# ---- the record ----


def test_what_is_printed() -> None:
    fit = dyestuff()
    text = str(fit.confint(0.99))
    assert text.startswith("99 % profile intervals, likelihood: ML\n")
    assert re.search(r"sd \(Intercept\) \| batch +37.26 +0 +1\d\d\.\d+", text)
    assert text.endswith("the lower end is 0, as zeta comes to 2.32 only, not 2.58")
    assert repr(fit.confint(0.9)) == str(fit.confint(0.9))
    html = fit.confint(kind="wald")._repr_html_()
    assert "95 % Wald intervals, likelihood: ML" in html
    assert "<th" in html
    assert "(Intercept) | batch" in html


def test_data_frame_and_names() -> None:
    intervals = dyestuff().confint()
    frame = intervals.to_pandas()
    assert list(frame.columns) == ["estimate", "lower", "upper"]
    assert frame.index.name == "parameter"
    assert_array_equal(frame.loc["sigma", ["lower", "upper"]], intervals["sigma"])
    assert all(type(end) is float for end in intervals["sigma"])
    with pytest.raises(ValueError, match="name 'Sigma' is no parameter of the fit; it has sd"):
        intervals["Sigma"]
    with pytest.raises(ValueError, match="read-only"):
        intervals.lower[0] = 0.0


def test_a_response_of_pandas() -> None:
    frame = pd.DataFrame({"y": YIELD, "batch": BATCH}, index=np.arange(30) + 100)
    named = ms.lmm_formula("y ~ 1 + (1 | batch)", frame).confint()
    assert_array_equal(named.lower, dyestuff().confint().lower)


# ---- refusals ----


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 95, np.nan, "0.95", None])
@pytest.mark.parametrize("kind", ["wald", "profile", "bootstrap"])
def test_a_level_is_between_0_and_1(level: Any, kind: Any) -> None:
    with pytest.raises(ValueError, match="level"):
        dyestuff().confint(level, kind)


def test_other_arguments_are_checked() -> None:
    fit = dyestuff()
    with pytest.raises(ValueError, match=r'kind must be .*"bootstrap"'):
        fit.confint(kind="Profile")  # type: ignore[arg-type]
    for kind in ("wald", "profile"):
        with pytest.raises(ValueError, match=r'likelihood must be .*"REML"'):
            fit.confint(kind=kind, likelihood="GCV")  # type: ignore[arg-type]
