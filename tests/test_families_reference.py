"""Families, links, offsets and weights against R: tests/reference/make_families.R, families.json.

glmmTMB 1.1.5, driven on until its gradient was below 1e-10; R 4.2.2's glm, MASS 7.3.58.2, lme4
1.1.31 and nlme 3.1.162; and base R, where no program has the model. README.md beside the file says
which is which, and what each entry is.
"""

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

import mixedsmooth as ms
from mixedsmooth.model import laplace, problem
from mixedsmooth.model.families import family_of
from mixedsmooth.model.glmm import FamilyName
from mixedsmooth.model.optimize import MarginalDeviance
from mixedsmooth.model.terms import Term

FloatArray = NDArray[np.float64]

R = json.loads((Path(__file__).parent / "reference" / "families.json").read_text())

EPIL, SLEEP, BACTERIA = ms.load_epil(), ms.load_sleepstudy(), ms.load_bacteria()
SUBJECT = EPIL.subject.astype(int)
PERIODIC = 1 + np.arange(1, 237) % 3  # weights: 1 + the row's number, from 1, modulo 3
SECONDS = SLEEP.reaction / 1000
DAYS = ms.linear(Days=SLEEP.days)
DRIVERS = ms.group(Subject=SLEEP.subject)
SLOPES = ms.group(Subject=SLEEP.subject, Days=SLEEP.days)
BASELINE = ms.linear(lbase=EPIL.lbase, trt=EPIL.trt)
PATIENTS = ms.group(subject=SUBJECT)
TREATMENTS = {"trt=drug": BACTERIA.trt == "drug", "trt=drug+": BACTERIA.trt == "drug+"}
COURSE = ms.linear(TREATMENTS, week=BACTERIA.week)
CHILDREN = ms.group(id=BACTERIA.id)
GAMMA: dict[str, Any] = {"family": "gamma"}
IG: dict[str, Any] = {"family": "inverse-gaussian"}
NB2: dict[str, Any] = {"family": "negative-binomial"}


def fit(key: str) -> ms.GeneralizedFit:
    """Fit the model of an entry."""
    case, _, link = key.partition("_")
    if case in ("bacteria", "cbpp"):
        chosen: dict[str, Any] = {"link": link}
        if case == "bacteria":
            return ms.glmm(BACTERIA.y, COURSE, CHILDREN, family="bernoulli", **chosen)
        data = R["cbpp"]
        herds = ms.linear(period=data["period"]), ms.group(herd=np.array(data["herd"], dtype=int))
        return ms.glmm(data["incidence"], *herds, family="binomial", trials=data["size"], **chosen)
    if case in ("slopes", "crossed", "under"):
        data = {name: np.array(column) for name, column in R[case].items()}
        x, y = data["x"], data["y"]
        groups: dict[str, tuple[Term, ...]] = {
            "slopes": (ms.group(g=data["g"], x=x),) if case == "slopes" else (),
            "crossed": (ms.group(a=data["a"]), ms.group(b=data["b"])) if case == "crossed" else (),
            "under": (ms.group(g=data["g"]),) if case == "under" else (),
        }
        family: Any = "poisson" if key.endswith("poisson") else "negative-binomial"
        return ms.glmm(y, ms.linear(x=x), *groups[case], family=family)
    exposure = {"offset": np.log(EPIL.base / 4)}
    drift = {"offset": np.log(1 + SLEEP.days / 100)}
    models: dict[str, tuple[Any, tuple[Term, ...], dict[str, Any]]] = {
        "epil_nb2": (EPIL.y, (BASELINE, PATIENTS), NB2),
        "epil_nb2_offset": (EPIL.y, (ms.linear(trt=EPIL.trt), PATIENTS), NB2 | exposure),
        "epil_nb2_weights": (EPIL.y, (BASELINE, PATIENTS), NB2 | {"weights": PERIODIC}),
        "epil_poisson_weights": (EPIL.y, (BASELINE, PATIENTS), {"weights": PERIODIC}),
        "sleep_gamma": (SLEEP.reaction, (DAYS, DRIVERS), GAMMA),
        "sleep_gamma_slope": (SLEEP.reaction, (DAYS, SLOPES), GAMMA),
        "sleep_gamma_inverse": (SECONDS, (DAYS, DRIVERS), GAMMA | {"link": "inverse"}),
        "sleep_gamma_weights": (
            SLEEP.reaction,
            (DAYS, DRIVERS),
            GAMMA | {"weights": PERIODIC[:180]},
        ),
        "sleep_gamma_offset": (SLEEP.reaction, (DAYS, DRIVERS), GAMMA | drift),
        "sleep_ig": (SLEEP.reaction, (DAYS, DRIVERS), IG),
        "sleep_ig_slope": (SLEEP.reaction, (DAYS, SLOPES), IG),
        "sleep_ig_inverse": (SECONDS, (DAYS, DRIVERS), IG | {"link": "inverse"}),
        "glm_epil_poisson": (EPIL.y, (BASELINE,), {}),
        "glm_epil_poisson_offset": (EPIL.y, (ms.linear(trt=EPIL.trt),), exposure),
        "glm_epil_nb2": (EPIL.y, (BASELINE,), NB2),
        "glm_epil_nb2_offset": (EPIL.y, (ms.linear(trt=EPIL.trt),), NB2 | exposure),
        "glm_quine_nb2": (
            R["quine"]["Days"],
            (ms.linear({name: R["quine"][name] for name in ("Eth", "Sex", "Age", "Lrn")}),),
            NB2,
        ),
        "glm_sleep_gamma": (SLEEP.reaction, (DAYS,), GAMMA),
        "glm_sleep_gamma_offset": (SLEEP.reaction, (DAYS,), GAMMA | drift),
        "glm_sleep_gamma_inverse": (SECONDS, (DAYS,), GAMMA | {"link": "inverse"}),
        "glm_sleep_ig": (SLEEP.reaction, (DAYS,), IG),
        "glm_sleep_ig_inverse": (SECONDS, (DAYS,), IG | {"link": "inverse"}),
    }
    if key.startswith(("glm_bacteria", "glm_cbpp")):
        data, link = R["cbpp"], key.rpartition("_")[2]
        if "bacteria" in key:
            return ms.glmm(BACTERIA.y, COURSE, family="bernoulli", link=link)  # type: ignore[arg-type]
        terms = ms.linear(period=data["period"])
        return ms.glmm(
            data["incidence"],
            terms,
            family="binomial",
            trials=data["size"],
            link=link,  # type: ignore[arg-type]
        )
    y, terms_, options = models[key]
    return ms.glmm(y, *terms_, **options)


MIXED = [
    *("epil_nb2", "epil_nb2_offset", "epil_nb2_weights", "epil_poisson_weights"),
    *("slopes_nb2", "crossed_nb2", "under_poisson"),
    *("sleep_gamma", "sleep_gamma_slope", "sleep_gamma_inverse", "sleep_gamma_weights"),
    *("sleep_gamma_offset", "sleep_ig", "sleep_ig_slope", "sleep_ig_inverse"),
    *("bacteria_logit", "bacteria_probit", "bacteria_cloglog"),
    *("cbpp_logit", "cbpp_probit", "cbpp_cloglog"),
]


@pytest.mark.parametrize("key", MIXED)
def test_laplace_is_that_of_glmmtmb(key: str) -> None:
    found, wanted = fit(key), R[key]
    assert found.converged
    assert_allclose(found.loglik, wanted["loglik"], rtol=0, atol=2e-9)
    assert_allclose((found.beta - wanted["beta"]) / found.se, 0, atol=2e-6)
    assert_allclose(found.se, wanted["se"], rtol=5e-5)
    sds = np.concatenate([effects.sd for effects in found.random.values()])
    assert_allclose(sds, np.atleast_1d(wanted["sd"]), rtol=2e-6)
    if "cor" in wanted:
        (effects,) = found.random.values()
        assert_allclose(effects.corr[0, 1], wanted["cor"], rtol=0, atol=1e-5)
    for parameter in ("size", "shape", "lambda"):
        if parameter in wanted:
            assert_allclose(np.exp(found.family.log_parameters), wanted[parameter], rtol=5e-6)
    assert found.npar == wanted["df"]
    if "_ig" in key:
        return  # whose effects stand under their own names
    for factor, modes in wanted["modes"].items():
        effects = found.random[factor]
        by_label = [np.atleast_1d(modes[str(level)]) for level in effects.levels]
        assert_allclose(effects.effects, np.array(by_label), rtol=0, atol=1e-5)


def test_size_of_counts_that_vary_less() -> None:
    wanted = R["under_nb2"]
    found = fit("under_nb2")
    assert_allclose(found.loglik, wanted["loglik_poisson"], rtol=0, atol=1e-9)
    assert found.loglik > wanted["loglik_at_sizes"][3]  # at 10^4 it still rises
    assert found.family.size == np.inf  # type: ignore[attr-defined]


GLM = [key for key in R if key.startswith("glm_")]


@pytest.mark.parametrize("key", GLM)
def test_without_a_random_term_it_is_glm(key: str) -> None:
    found, wanted = fit(key), R[key]
    assert found.converged
    assert_allclose(found.loglik, wanted["loglik"], rtol=0, atol=1e-9)
    assert_allclose((found.beta - wanted["beta"]) / found.se, 0, atol=1e-6)
    assert_allclose(found.se, wanted["se"], rtol=1e-5)
    for parameter in ("size", "lambda", "shape"):
        if parameter in wanted:
            assert_allclose(np.exp(found.family.log_parameters), wanted[parameter], rtol=1e-6)
    assert found.npar == wanted["df"]


@pytest.mark.parametrize("weighted", ["", "_weights"])
@pytest.mark.parametrize("known", ["", "_offset"])
def test_without_a_random_term_it_is_lm(weighted: str, known: str) -> None:
    wanted = R[f"lm_sleep{weighted}{known}"]
    options: dict[str, Any] = {"weights": PERIODIC[:180]} if weighted else {}
    options |= {"offset": 5 * np.sqrt(SLEEP.days)} if known else {}
    found = ms.lmm(SLEEP.reaction, DAYS, **options)
    assert_allclose(found.loglik, wanted["loglik_REML"], rtol=1e-13)
    assert_allclose(found.refit("ML").loglik, wanted["loglik"], rtol=1e-13)
    assert_allclose(found.beta, wanted["beta"], rtol=1e-12)
    assert_allclose(found.se, wanted["se"], rtol=1e-12)
    assert_allclose(found.sigma, wanted["sigma"], rtol=1e-12)
    assert found.npar == wanted["df"]


@pytest.mark.parametrize("method", ["ML", "REML"])
@pytest.mark.parametrize("weighted", ["", "_weights"])
def test_an_offset_is_that_of_lmer(weighted: str, method: Any) -> None:
    wanted = R[f"sleep{weighted}_offset_{method}"]
    options: dict[str, Any] = {"weights": PERIODIC[:180]} if weighted else {}
    found = ms.lmm(
        SLEEP.reaction, DAYS, SLOPES, offset=5 * np.sqrt(SLEEP.days), method=method, **options
    )
    # lmer left gradients of up to 2e-5
    assert_allclose(found.criterion, wanted["criterion"], rtol=0, atol=1e-8)
    assert_allclose(found.beta, wanted["beta"], rtol=1e-7)
    assert_allclose(found.se, wanted["se"], rtol=1e-5)
    assert_allclose(found.random["Subject"].sd, wanted["sd"], rtol=1e-5)
    assert_allclose(found.sigma, wanted["sigma"], rtol=1e-6)


# ---- at given parameters, and by integration ----

SMALL = [key for key, case in R.items() if key.startswith("small_") and key != "small_note"]
RESPONSES = {"poisson": "count", "nb2": "count", "binary": "binary", "binomial": "successes"}


def small(key: str) -> tuple[FloatArray, dict[str, Any]]:
    """Response and options of a small case."""
    kind, _, link = key.removeprefix("small_").partition("_")
    names = {"poisson": "poisson", "nb2": "negative-binomial", "binary": "bernoulli"}
    names |= {"binomial": "binomial", "gamma": "gamma", "ig": "inverse-gaussian"}
    column = RESPONSES.get(kind) or R[key]["call"].split(" ")[0]
    options: dict[str, Any] = {"family": names[kind], "link": link or None}
    if kind == "binomial":
        options["trials"] = 5
    return np.array(R["small"][column], dtype=float), options


def loglik_at(key: str, at: dict[str, Any], nodes: int) -> float:
    """Log-likelihood at given parameters."""
    y, options = small(key)
    family = family_of(options["family"], y, options.get("trials"), options["link"])
    parameter = at.get("size") or at.get("shape") or at.get("lambda") or 1.0
    family = family.at(np.log([parameter]))
    terms = ms.linear(x=R["small"]["x"]), ms.group(g=R["small"]["g"])
    inner = problem.standardize(problem.model_of(y, terms, None, 1.0)).in_unit(family.unit(y))
    data = laplace.Response(y, family, 0.0, 1.0, inner.X, inner.factors, inner.engine)
    parameters = np.concatenate(
        [
            np.concatenate([T.ravel() for T in inner.inward("theta", [at["sd"]])]),
            family.log_parameters,
            np.linalg.solve(inner.K, at["beta"]),
        ]
    )
    near = laplace.anchor(data, family.start(y))
    return -MarginalDeviance(data, nodes, near, None).value(parameters) / 2


@pytest.mark.parametrize("key", SMALL)
def test_laplace_at_given_parameters(key: str) -> None:
    for at in R[key]["at"]:
        assert_allclose(loglik_at(key, at, nodes=1), at["laplace"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("key", SMALL)
def test_many_nodes_are_the_integral(key: str) -> None:
    for at in R[key]["at"]:
        if key == "small_gamma_inverse" or key == "small_ig_inverse":
            # the integral ends where eta does, within the reach of the nodes
            assert_allclose(loglik_at(key, at, nodes=15), at["exact"], rtol=0, atol=5e-3)
        else:
            assert_allclose(loglik_at(key, at, nodes=100), at["exact"], rtol=0, atol=1e-7)


@pytest.mark.parametrize("method", ["laplace", "agq"])
@pytest.mark.parametrize("key", SMALL)
def test_maximum_of_a_small_case(key: str, method: Any) -> None:
    y, options = small(key)
    terms = ms.linear(x=R["small"]["x"]), ms.group(g=R["small"]["g"])
    found = ms.glmm(y, *terms, method=method, nodes=60, **options)
    wanted = R[key]["laplace" if method == "laplace" else "exact"]
    if method == "agq" and key.endswith("_inverse"):
        pytest.skip("the integral ends where eta does")
    assert found.converged
    assert_allclose(found.loglik, wanted["loglik"], rtol=0, atol=1e-7)
    assert_allclose(found.beta, wanted["beta"], rtol=0, atol=2e-5)
    assert_allclose(found.random["g"].sd, wanted["sd"], rtol=2e-4, atol=1e-6)


# ---- PQL ----


@pytest.mark.parametrize("way", ["sigma_1", "dispersion"])
def test_pql_of_bacteria(way: str) -> None:
    wanted = R["bacteria_PQL"][way]
    found = ms.glmm(
        BACTERIA.y,
        COURSE,
        CHILDREN,
        family="bernoulli",
        method="pql",
        dispersion=way == "dispersion",
    )
    # the fixed point; each round finds theta to some digits only
    assert_allclose(found.beta, wanted["beta"], rtol=1e-5)
    assert_allclose(found.random["id"].sd, wanted["sd"], rtol=1e-5)
    if way == "dispersion":
        assert_allclose(found.sigma, wanted["sigma"], rtol=1e-5)


def test_pql_of_gamma_estimates_its_shape() -> None:
    wanted = R["sleep_gamma_PQL"]["dispersion"]
    found = ms.glmm(SLEEP.reaction, DAYS, DRIVERS, family="gamma", method="pql")
    assert_allclose(found.beta, wanted["beta"], rtol=1e-7)
    assert_allclose(found.random["Subject"].sd, wanted["sd"], rtol=1e-5)
    assert_allclose(found.sigma, wanted["sigma"], rtol=1e-6)
    assert_allclose(found.family.shape, wanted["sigma"] ** -2, rtol=1e-6)  # type: ignore[attr-defined]


# ---- smooths ----


@pytest.mark.parametrize("groups", ["", "_subject"])
def test_a_smooth_of_overdispersed_counts(groups: str) -> None:
    wanted = R[f"epil_nb2_smooth{groups}"]
    terms: list[Term] = [ms.linear(trt=EPIL.trt), ms.smooth(base=EPIL.base, basis="cr", k=8)]
    terms += [PATIENTS] if groups else []
    found = ms.glmm(EPIL.y, *terms, family="negative-binomial")
    assert_allclose(found.loglik, wanted["loglik"], rtol=0, atol=1e-8)
    assert_allclose(np.exp(found.family.log_parameters), wanted["size"], rtol=1e-5)
    assert_allclose(found.linear_predictor, wanted["eta"], rtol=0, atol=1e-5)


def test_families_have_a_name_each() -> None:
    assert {options["family"] for options in (small(key)[1] for key in SMALL)} == set(
        get_args(FamilyName)
    )
