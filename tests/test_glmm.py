"""Counts and proportions: against lme4, MASS, gamm4 and the derivations; invariances and limits."""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.special
import scipy.stats
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

import mixedsmooth as ms
from mixedsmooth.derivations.laplace import fit_agq, fit_laplace, laplace_deviance
from mixedsmooth.derivations.likelihood import grouping_columns, intercept_slope_columns
from mixedsmooth.derivations.pql import PQLFit, fit_pql
from mixedsmooth.derivations.reml import lambda_template
from mixedsmooth.model import blocked, laplace, problem
from mixedsmooth.model.covariance import pack_slopes, unpack
from mixedsmooth.model.engine import indicators
from mixedsmooth.model.families import Binomial, Family, Poisson
from mixedsmooth.model.parts import Data
from mixedsmooth.model.terms import Term
from tests.test_laplace import saturated

FloatArray = NDArray[np.float64]
MethodName = Literal["laplace", "pql", "agq"]

# tests/reference/make_glmm.R: lme4 1.1.31 and gamm4 0.2.6 under R 4.2.2, glmer(..., control =
# glmerControl(optimizer = "bobyqa", rhoend = 1e-10, tolPwrss = 1e-12)).
GLMM = json.loads((Path(__file__).parent / "reference" / "glmm.json").read_text())

EPIL = ms.load_epil()
SUBJECT = EPIL.subject.astype(int)  # in the order of R's levels
SLEEP = ms.load_sleepstudy()
DESIGN = ms.linear(lbase=EPIL.lbase, trt=EPIL.trt)
INTERCEPTS = ms.group(subject=SUBJECT)


# ---- lme4, MASS, gamm4 ----


def fit_of(key: str) -> ms.GeneralizedFit:
    """Fit the model of an entry of the reference."""
    if key.startswith("cbpp"):
        data = GLMM["cbpp"]
        herd = np.array(data["herd"], dtype=int)
        terms: tuple[Term, ...] = ms.linear(period=data["period"]), ms.group(herd=herd)
        arguments: dict[str, Any] = {"family": "binomial", "trials": data["size"]}
        if key.endswith("agq9"):
            arguments |= {"method": "agq", "nodes": 9}
        return ms.glmm(data["incidence"], *terms, **arguments)
    if key == "ticks_laplace":
        data = GLMM["ticks"]
        names = ("INDEX", "BROOD", "LOCATION")  # numbers, in the order of R's levels
        labels: list[dict[str, Any]] = [{name: np.array(data[name], dtype=int)} for name in names]
        factors = [ms.group(**label) for label in labels]
        return ms.glmm(data["TICKS"], ms.linear(YEAR=data["YEAR"], HEIGHT=data["HEIGHT"]), *factors)
    if key == "epil_offset":
        return ms.glmm(EPIL.y, ms.linear(trt=EPIL.trt), INTERCEPTS, offset=EPIL.lbase)
    if key.startswith("epil_bernoulli"):
        method: MethodName = "agq" if key.endswith("agq25") else "laplace"
        return ms.glmm(EPIL.y > 4, DESIGN, INTERCEPTS, family="bernoulli", method=method)
    lines = ms.group(
        subject=SUBJECT, period=EPIL.period, correlated=not key.endswith("independent")
    )
    return ms.glmm(EPIL.y, DESIGN, ms.linear(period=EPIL.period), lines)


CASES = [
    "cbpp_laplace",
    "cbpp_agq9",
    "ticks_laplace",
    "epil_slope",
    "epil_independent",
    "epil_offset",
    "epil_bernoulli",
    "epil_bernoulli_agq25",
]


@pytest.mark.parametrize("key", CASES)
def test_lme4(key: str) -> None:
    wanted, fit = GLMM[key], fit_of(key)
    assert fit.converged
    loglik = fit.loglik
    if key == "cbpp_agq9":  # nAGQ > 1: lme4 leaves out the log-likelihood of the saturated model
        y, m = np.array(GLMM["cbpp"]["incidence"]), np.array(GLMM["cbpp"]["size"])
        loglik -= scipy.stats.binom.logpmf(y, m, y / m).sum()
    assert_allclose(loglik, wanted["loglik"], atol=1e-7)
    # bobyqa ends where the deviance is flat to 1e-8, which is 1e-4 of a standard error
    assert np.all(np.abs(fit.beta - wanted["beta"]) < 1e-4 * fit.se)
    assert_allclose(fit.theta, wanted["theta"], atol=2e-5)
    # lme4's standard errors come from second differences of its deviance
    assert_allclose(fit.se, wanted["se"], rtol=1e-3)
    assert_allclose(fit.pearson, wanted["pearson"], atol=1e-4)
    for name, random in fit.random.items():
        assert_allclose(random.effects.T, list(wanted["ranef"][name].values()), atol=2e-5)


# tests/reference/make_reference.R: lme4 1.1.31, and glmmPQL of MASS
@pytest.mark.parametrize(("key", "nodes"), [("epil_poisson_AGQ1", 1), ("epil_poisson_AGQ25", 25)])
def test_epil(key: str, nodes: int, reference: dict[str, Any]) -> None:
    wanted = reference[key]
    fit = ms.glmm(EPIL.y, DESIGN, INTERCEPTS, method="agq", nodes=nodes)
    left_out = saturated(EPIL.y) if nodes > 1 else 0.0
    assert_allclose(fit.loglik - left_out, wanted["loglik"], atol=1e-7)
    assert_allclose(fit.beta, wanted["beta"], atol=3e-7)
    assert_allclose(fit.se, wanted["se"], rtol=4e-4)
    assert_allclose(fit.theta, wanted["theta"], atol=3e-8)
    assert_allclose(fit.random["subject"].effects[:, 0], wanted["ranef"], atol=1e-6)


def test_the_constant_that_lme4_leaves_out() -> None:
    # -382.9523 = sum(y log y - y - log y!), the log-likelihood of the saturated model
    assert_allclose(saturated(EPIL.y), -382.952339, atol=5e-7)


def test_glmmpql(reference: dict[str, Any]) -> None:
    wanted = reference["epil_poisson_PQL"]
    fit = ms.glmm(EPIL.y, DESIGN, INTERCEPTS, method="pql", dispersion=True)
    # glmmPQL stops when eta changes by 1e-6 in relative square, so it has six digits at best
    assert_allclose([fit.random["subject"].sd[0], fit.sigma], wanted["sd"], rtol=1e-5)
    assert_allclose(fit.beta, wanted["beta"], rtol=5e-6)
    assert np.isnan(fit.loglik)
    assert np.isnan(fit.criterion)


def test_gamm4() -> None:
    wanted = GLMM["epil_gamm"]
    curve = ms.smooth(base=EPIL.base, basis="cr", k=8)
    fit = ms.glmm(EPIL.y, ms.linear(trt=EPIL.trt), curve, INTERCEPTS)
    assert_allclose(fit.loglik, wanted["loglik"], atol=2e-6)
    assert_allclose(fit.theta[1], wanted["theta"][0], atol=2e-5)  # the subjects
    assert_allclose(fit.fitted, wanted["fitted"], rtol=5e-4)


# ---- the derivations ----


def cov_of(fit: PQLFit) -> FloatArray:
    """Covariance of intercept and slope, its lower triangle."""
    T = np.array([[fit.theta[0], 0], [fit.theta[1], fit.theta[2]]])
    covariance: FloatArray = (fit.sigma**2 * T @ T.T).ravel()[[0, 1, 3]]
    return covariance


@pytest.mark.parametrize("correlated", [True, False])
def test_laplace_is_that_of_the_derivation(correlated: bool) -> None:
    y, X = EPIL.y, np.column_stack([np.ones(236), EPIL.lbase, EPIL.period])
    Z, levels = intercept_slope_columns(SUBJECT, EPIL.period)
    template = lambda_template(2, len(levels), correlated=correlated)
    derived = fit_laplace(y, X, Z, template)
    lines = ms.group(subject=SUBJECT, period=EPIL.period, correlated=correlated)
    fit = ms.glmm(y, ms.linear(lbase=EPIL.lbase, period=EPIL.period), lines)
    assert_allclose(fit.loglik, derived.loglik, atol=1e-8)
    assert_allclose(fit.beta, derived.beta, atol=2e-6)
    assert_allclose(fit.theta, derived.theta, atol=2e-6)
    assert_allclose(fit.se, derived.se, rtol=2e-4)  # second differences there
    assert_allclose(fit.random["subject"].effects.ravel(), derived.b, atol=2e-6)


@pytest.mark.parametrize("nodes", [1, 2, 5, 25])
def test_quadrature_is_that_of_the_derivation(nodes: int) -> None:
    X = np.column_stack([np.ones(236), EPIL.lbase])
    derived = fit_agq(EPIL.y, X, SUBJECT, nodes)
    fit = ms.glmm(EPIL.y, ms.linear(lbase=EPIL.lbase), INTERCEPTS, method="agq", nodes=nodes)
    assert_allclose(fit.loglik, derived.loglik, atol=1e-8)
    assert_allclose(fit.beta, derived.beta, atol=2e-6)
    assert_allclose(fit.theta, derived.theta, atol=2e-6)
    assert_allclose(fit.se, derived.se, rtol=2e-4)


@pytest.mark.parametrize("dispersion", [True, False])
def test_pql_is_that_of_the_derivation(dispersion: bool) -> None:
    X = np.column_stack([np.ones(236), EPIL.lbase])
    Z, levels = grouping_columns(SUBJECT)
    derived = fit_pql(EPIL.y, X, Z, lambda_template(1, len(levels)), dispersion=dispersion)
    terms = ms.linear(lbase=EPIL.lbase), INTERCEPTS
    fit = ms.glmm(EPIL.y, *terms, method="pql", dispersion=dispersion)
    assert_allclose(fit.beta, derived.beta, atol=1e-6)
    assert_allclose(fit.random["subject"].sd[0], derived.sigma * derived.theta[0], atol=1e-6)
    assert_allclose(fit.sigma, derived.sigma, atol=1e-6)


def test_pql_ends_with_random_slopes() -> None:
    # of 18 drivers and 10 days, as in source 3: each round has the noise of a search for theta
    rng = np.random.default_rng(2)
    driver = np.repeat(np.arange(18), 10)
    for turn in range(4):
        b = rng.multivariate_normal([0, 0], [[0.1, 0.025], [0.025, 0.1]], 18)[driver]
        y = rng.poisson(np.exp(0.1 + 0.1 * SLEEP.days + b[:, 0] + b[:, 1] * SLEEP.days))
        terms = ms.linear(days=SLEEP.days), ms.group(driver=driver, days=SLEEP.days)
        fit = ms.glmm(y, *terms, method="pql")
        assert fit.converged
        if turn:  # the dense derivation takes some seconds
            continue
        Z, levels = intercept_slope_columns(driver, SLEEP.days)
        X = np.column_stack([np.ones(180), SLEEP.days])
        derived = fit_pql(y, X, Z, lambda_template(2, len(levels)), dispersion=False)
        assert_allclose(fit.beta, derived.beta, atol=1e-4)
        assert_allclose(fit.random["driver"].cov.ravel()[[0, 1, 3]], cov_of(derived), atol=1e-4)


# ---- the integral itself ----


@pytest.mark.parametrize("family", ["poisson", "bernoulli"])
def test_quadrature_is_the_integral(family: Literal["poisson", "bernoulli"]) -> None:
    rng = np.random.default_rng(4)
    group = np.repeat(np.arange(6), 4)
    eta = np.linspace(-3, 3, 6)[group]
    if family == "poisson":
        y = rng.poisson(np.exp(eta)).astype(float)
    else:
        y = (rng.random(24) < scipy.special.expit(eta)).astype(float)
    fit = ms.glmm(y, ms.linear(), ms.group(g=group), family=family, method="agq", nodes=60)
    (theta,), (beta,) = fit.theta, fit.beta

    def likelihood(b: float, of: FloatArray) -> float:
        eta = beta + b
        if family == "poisson":
            log_p = scipy.stats.poisson.logpmf(of, np.exp(eta)).sum()
        else:
            log_p = np.log(scipy.special.expit((2 * of - 1) * eta)).sum()
        return float(np.exp(log_p) * scipy.stats.norm.pdf(b, scale=theta))

    total = sum(
        np.log(
            scipy.integrate.quad(
                likelihood, -12 * theta, 12 * theta, args=(y[group == j],), epsabs=1e-14, limit=200
            )[0]
        )
        for j in range(6)
    )
    assert_allclose(fit.loglik, total, atol=1e-8)


# ---- gradients, and the engine's functions of rows ----

FAMILIES: dict[str, Family] = {
    "poisson": Poisson(),
    "bernoulli": Binomial(np.ones(120)),
    "binomial": Binomial(np.tile([1.0, 4.0, 9.0], 40)),
}


def data_of(name: str, terms: tuple[Term, ...]) -> laplace.Response:
    """Random data of a family."""
    rng = np.random.default_rng(5)
    family = FAMILIES[name]
    y = rng.binomial(np.broadcast_to(np.asarray(family.scale), 120).astype(int), 0.3).astype(float)
    if name == "poisson":
        y = rng.poisson(2.0, 120).astype(float)
    inner = problem.standardize(problem.model_of(y, terms, None, 1.0))
    offset = 0.2 * rng.normal(size=120)
    return laplace.Response(y, family, offset, 1.0, inner.X, inner.factors, inner.engine)


def terms_of(name: str) -> tuple[Term, ...]:
    """Return terms of some structure."""
    rng = np.random.default_rng(6)
    a, b, x = rng.integers(0, 14, 120), rng.integers(0, 9, 120), rng.random(120)
    line = ms.linear(x=x)
    structures: dict[str, tuple[Term, ...]] = {
        "intercept": (line, ms.group(a=a)),
        "slope": (line, ms.group(a=a, x=x)),
        "slope alone": (line, ms.group(a=a, x=x, intercept=False)),
        "independent": (line, ms.group(a=a, x=x, correlated=False)),
        "crossed": (line, ms.group(a=a, x=x), ms.group(b=b)),
        "twice crossed": (line, ms.group(a=a), ms.group(b=b, x=x), ms.group(c=(a + b) % 5)),
        "smooth": (ms.smooth(x=x, k=6),),
        "smooth and groups": (ms.smooth(x=x, k=6), ms.group(a=a, x=x)),
    }
    return structures[name]


STRUCTURES = [
    "intercept",
    "slope",
    "independent",
    "crossed",
    "twice crossed",
    "smooth",
    "smooth and groups",
]


def differences(data: laplace.Response, nodes: int) -> tuple[FloatArray, FloatArray]:
    """Gradient by the formula and by central differences, at some theta and beta."""
    rng = np.random.default_rng(7)
    covariances = data.covariances
    k = sum(covariance.size for covariance in covariances)
    at = np.concatenate([0.3 + 0.5 * rng.random(k), 0.3 * rng.normal(size=data.X.shape[1])])
    near = laplace.anchor(data, data.family.start(data.y))

    def value(parameters: FloatArray) -> laplace.Value:
        T = unpack(parameters[:k], covariances)
        mode = laplace.find_mode(data, T, parameters[k:], near)
        return laplace.laplace(data, mode) if nodes == 0 else laplace.quadrature(data, mode, nodes)

    here = value(at)
    formula = np.append(pack_slopes(here.by_T, covariances), here.by_beta)
    ends = [value(at + s).deviance - value(at - s).deviance for s in 1e-4 * np.eye(len(at))]
    return formula, np.array(ends) / 2e-4


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("structure", STRUCTURES)
def test_laplace_gradient(structure: str, family: str) -> None:
    formula, numeric = differences(data_of(family, terms_of(structure)), nodes=0)
    assert_allclose(formula, numeric, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("structure", ["intercept", "slope alone"])
@pytest.mark.parametrize("nodes", [1, 2, 7])
def test_quadrature_gradient(structure: str, family: str, nodes: int) -> None:
    formula, numeric = differences(data_of(family, terms_of(structure)), nodes=nodes)
    assert_allclose(formula, numeric, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("reused", [True, False])
@pytest.mark.parametrize("structure", STRUCTURES)
def test_rows_against_dense_matrices(structure: str, reused: bool) -> None:
    data = data_of("poisson", terms_of(structure))
    rng = np.random.default_rng(8)
    w, r = rng.random(120) + 0.1, rng.normal(size=120)
    A = blocked.cross_products(data.factors, data.X, data.y, w, reused=reused)
    T = [np.tril(0.5 + rng.random((c.k, c.k))) for c in data.covariances]
    f = A.factorize(T)
    Z = indicators(data.factors, np.arange(120), 120, None).toarray()
    Lambda = scipy.linalg.block_diag(
        *(np.kron(np.eye(s.levels), T_f) for s, T_f in zip(A.shapes, T, strict=True))
    )
    ZL = Z @ Lambda
    S = ZL.T @ (w[:, None] * ZL) + np.eye(len(Lambda))
    assert_allclose(f.log_det_Z, np.linalg.slogdet(S)[1], rtol=1e-11)
    variances = f.row_variances(data.factors)
    assert_allclose(variances, np.diag(ZL @ np.linalg.solve(S, ZL.T)), rtol=1e-9)
    u = f.solve_spherical(laplace.spherical_sums(data, T, r))
    assert_allclose(
        np.concatenate([part.ravel() for part in u]), np.linalg.solve(S, ZL.T @ r), atol=1e-10
    )


def test_few_levels_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    data = data_of("poisson", terms_of("twice crossed"))
    at_once = differences(data, nodes=0)[0]
    monkeypatch.setattr(blocked, "ENTRIES", 40)
    monkeypatch.setattr(blocked, "SMALL", 0)  # so that C is stored as sparse rows
    assert_allclose(differences(data, nodes=0)[0], at_once, rtol=1e-10)


def test_the_mode_is_found_from_far_away() -> None:
    # where means are nearly zero a whole step leads to means that are not finite: from the anchor,
    # so that u = 0 is the better begin, and from there, so that steps are halved
    y, group = np.array([1000.0, 900.0, 0.0, 1.0]), np.array([0, 0, 1, 1])
    inner = problem.standardize(
        problem.model_of(y, (ms.linear(), ms.group(g=group.tolist())), None, 1.0)
    )
    data = laplace.Response(y, Poisson(), 0.0, 1.0, inner.X, inner.factors, inner.engine)
    T, beta = [np.eye(1)], np.array([-10.0])
    near = laplace.anchor(data, np.full(4, -10.0))
    mode = laplace.find_mode(data, T, beta, near)
    u = mode.u[0][:, 0]
    # Z'(y - mu) = u
    sums = np.bincount(group, y - np.exp(beta[0] + u[group]))
    assert_allclose(sums, u, rtol=1e-6)
    assert_allclose(mode.log_density, np.sum(y * mode.eta - np.exp(mode.eta)) - u @ u / 2)


# ---- changes that must not matter ----


def test_units_and_origins() -> None:
    lines = ms.group(subject=SUBJECT, period=EPIL.period)
    fit = ms.glmm(EPIL.y, DESIGN, ms.linear(period=EPIL.period), lines)
    moved = 1000 * EPIL.period + 5000
    other = ms.glmm(
        EPIL.y, DESIGN, ms.linear(period=moved), ms.group(subject=SUBJECT, period=moved)
    )
    assert_allclose(other.criterion, fit.criterion, atol=1e-8)
    assert_allclose(other.beta[-1] * 1000, fit.beta[-1], rtol=1e-6)
    assert_allclose(other.fitted, fit.fitted, rtol=1e-6)
    assert_allclose(other.random["subject"].sd[1] * 1000, fit.random["subject"].sd[1], rtol=1e-5)


@pytest.mark.parametrize("method", ["laplace", "pql", "agq"])
def test_order_and_labels(method: MethodName) -> None:
    order = np.random.default_rng(9).permutation(236)
    names = np.array([f"p{1000 - s}" for s in SUBJECT])
    fit = ms.glmm(EPIL.y, DESIGN, INTERCEPTS, method=method)
    shuffled = ms.glmm(
        EPIL.y[order],
        ms.linear(lbase=EPIL.lbase[order], trt=EPIL.trt[order]),
        ms.group(subject=names[order]),
        method=method,
    )
    assert_allclose(shuffled.beta, fit.beta, rtol=1e-6)
    assert_allclose(shuffled.theta, fit.theta, rtol=1e-6)
    assert_allclose(shuffled.fitted, fit.fitted[order], rtol=1e-6)
    reverse = shuffled.random["subject"].effects[::-1, 0]
    assert_allclose(np.sort(reverse), np.sort(fit.random["subject"].effects[:, 0]), atol=1e-6)


@pytest.mark.parametrize("method", ["laplace", "pql", "agq"])
def test_a_constant_offset_is_an_intercept(method: MethodName) -> None:
    fit = ms.glmm(EPIL.y, DESIGN, INTERCEPTS, method=method)
    shifted = ms.glmm(EPIL.y, DESIGN, INTERCEPTS, method=method, offset=np.full(236, np.log(14)))
    assert_allclose(shifted.beta - fit.beta, [-np.log(14), 0, 0], atol=1e-6)
    assert_allclose(shifted.fitted, fit.fitted, rtol=1e-6)
    if method != "pql":
        assert_allclose(shifted.criterion, fit.criterion, atol=1e-8)


@pytest.mark.parametrize("method", ["laplace", "agq"])
def test_zeros_for_ones(method: MethodName) -> None:
    many = EPIL.y > 4
    fit = ms.glmm(many, DESIGN, INTERCEPTS, family="bernoulli", method=method)
    turned = ms.glmm(~many, DESIGN, INTERCEPTS, family="bernoulli", method=method)
    assert_allclose(turned.criterion, fit.criterion, atol=1e-8)
    assert_allclose(turned.beta, -fit.beta, atol=1e-5)
    ones = ms.glmm(many, DESIGN, INTERCEPTS, family="binomial", trials=1, method=method)
    assert_allclose(ones.criterion, fit.criterion, rtol=1e-12)


def test_a_binomial_is_a_sum_of_bernoullis() -> None:
    data = GLMM["cbpp"]
    y, m = np.array(data["incidence"]), np.array(data["size"])
    herd, period = np.array(data["herd"], dtype=int), np.array(data["period"])
    single = np.concatenate([np.arange(trials) < cases for cases, trials in zip(y, m, strict=True)])
    rows = np.repeat(np.arange(len(y)), m)
    fit = ms.glmm(
        single,
        ms.linear(period=period[rows]),
        ms.group(herd=herd[rows]),
        family="bernoulli",
    )
    together = fit_of("cbpp_laplace")
    assert_allclose(fit.beta, together.beta, atol=1e-7)
    assert_allclose(fit.se, together.se, rtol=1e-5)
    orders = scipy.special.gammaln([m + 1, y + 1, m - y + 1]).sum(axis=1) @ [1, -1, -1]
    assert_allclose(together.loglik - fit.loglik, orders, atol=1e-9)


# ---- limits ----


def test_a_variance_of_zero_is_a_result() -> None:
    # every group has the same counts: less variation between groups than by chance
    y, group, x = np.tile([2.0, 3.0, 5.0], 8), np.repeat(np.arange(8), 3), np.tile([0.0, 1, 2], 8)
    X = np.column_stack([np.ones(24), x])

    def negloglik(beta: FloatArray) -> float:
        return -float(scipy.stats.poisson.logpmf(y, np.exp(X @ beta)).sum())

    regression = -scipy.optimize.minimize(negloglik, [1.0, 0.0]).fun
    methods: tuple[MethodName, ...] = ("laplace", "agq")
    for method in methods:
        fit = ms.glmm(y, ms.linear(x=x), ms.group(g=group), method=method)
        assert fit.on_boundary
        assert fit.converged
        assert fit.theta[0] == 0
        assert_allclose(fit.loglik, regression, atol=1e-8)
        information = X.T @ (fit.fitted[:, None] * X)
        assert_allclose(fit.cov_beta, np.linalg.solve(information, np.eye(2)), rtol=1e-5)
        assert "singular" in str(fit)


def test_large_counts_leave_nothing_to_approximate() -> None:
    rng = np.random.default_rng(10)
    group = np.repeat(np.arange(10), 5)
    y = rng.poisson(np.exp(9 + 0.3 * rng.normal(size=10)[group]))
    fits = [ms.glmm(y, ms.linear(), ms.group(g=group), method=m) for m in ("laplace", "agq", "pql")]
    assert_allclose([fit.theta[0] for fit in fits[1:]], fits[0].theta[0], rtol=1e-4)
    assert_allclose(fits[1].loglik, fits[0].loglik, atol=1e-4)


def test_the_sparse_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(11)
    a, b, x = rng.integers(0, 30, 400), rng.integers(0, 12, 400), rng.normal(size=400)
    y = rng.poisson(np.exp(0.5 + 0.4 * x + 0.5 * rng.normal(size=30)[a] + rng.normal(size=12)[b]))
    terms = ms.linear(x=x), ms.group(a=a), ms.group(b=b)
    dense = ms.glmm(y, *terms)
    monkeypatch.setattr(problem, "DENSE_TAIL", -1)
    sparse = ms.glmm(y, *terms)
    assert sparse.converged
    assert_allclose(sparse.criterion, dense.criterion, atol=1e-6)
    assert_allclose(sparse.theta, dense.theta, atol=1e-5)
    assert_allclose(sparse.beta, dense.beta, atol=1e-5)
    assert_allclose(sparse.se, dense.se, rtol=1e-3)
    assert_allclose(sparse.random["b"].effects, dense.random["b"].effects, atol=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_no_better_point_nearby(seed: int) -> None:
    # the derivation's search, by differences of its own deviance, finds nothing lower
    rng = np.random.default_rng(seed)
    group = rng.integers(0, 8, 60)
    x = rng.normal(size=60)
    y = rng.poisson(np.exp(-0.5 + rng.normal(size=60) * (seed % 3) + 0.3 * x))
    data = ms.linear(x=x), ms.group(g=group, x=x)
    fit = ms.glmm(y, *data)
    assert fit.converged
    Z, levels = intercept_slope_columns(group, x)
    X = np.column_stack([np.ones(60), x])
    derived = fit_laplace(y, X, Z, lambda_template(2, len(levels)))
    assert fit.criterion <= derived.deviance + 1e-7


# ---- what it says ----


def test_predictions() -> None:
    fit = ms.glmm(EPIL.y, DESIGN, INTERCEPTS)
    data: Data = {"lbase": EPIL.lbase, "trt": EPIL.trt, "subject": SUBJECT}
    assert_allclose(fit.predict(data), fit.fitted, rtol=1e-12)
    assert_allclose(fit.predict(data, scale="link"), fit.linear_predictor, atol=1e-12)
    assert_allclose(np.log(fit.fitted), fit.linear_predictor, atol=1e-12)
    population = fit.predict({"lbase": [0.0], "trt": ["placebo"]}, effects=False)
    assert_allclose(population, np.exp(fit.beta[:1]))
    new: Data = {"lbase": [0.0], "trt": ["placebo"], "subject": [999]}
    assert_allclose(fit.predict(new, new_levels="population"), population)


def test_predictions_with_an_offset_and_of_probabilities() -> None:
    fit = fit_of("epil_offset")
    data: dict[str, Any] = {"trt": EPIL.trt, "subject": SUBJECT}
    assert_allclose(fit.predict(data, offset=EPIL.lbase), fit.fitted, rtol=1e-12)
    assert_allclose(fit.predict(data, offset=0.0) * np.exp(EPIL.lbase), fit.fitted, rtol=1e-12)
    with pytest.raises(ValueError, match="the model has an offset"):
        fit.predict(data)
    with pytest.raises(ValueError, match="without one"):
        ms.glmm(EPIL.y, DESIGN, INTERCEPTS).predict(data | {"lbase": EPIL.lbase}, offset=1.0)
    cattle = fit_of("cbpp_laplace")
    probability = cattle.predict({"period": ["1", "4"]}, effects=False)
    assert_allclose(probability, scipy.special.expit([cattle.beta[0], cattle.beta[[0, 3]].sum()]))
    assert_allclose(cattle.fitted.sum(), np.sum(GLMM["cbpp"]["incidence"]), rtol=0.02)


def test_overdispersion_is_shown() -> None:
    fit = ms.glmm(EPIL.y, DESIGN, INTERCEPTS)
    expected = np.sum((EPIL.y - fit.fitted) ** 2 / fit.fitted) / (236 - sum(fit.edf.values()))
    assert_allclose(fit.dispersion, expected)
    assert f"{expected:.2f} (about 1 if" in str(fit)
    assert np.isnan(fit_of("epil_bernoulli").dispersion)
    assert "Pearson chi-square" not in str(fit_of("epil_bernoulli"))
    # one effect a row takes it up
    rows = ms.glmm(EPIL.y, DESIGN, INTERCEPTS, ms.group(row=np.arange(236)))
    assert rows.dispersion < 1
    assert rows.criterion < fit.criterion - 50


def test_summaries() -> None:
    fit = ms.glmm(EPIL.y, DESIGN, INTERCEPTS)
    text = str(fit)
    assert text.startswith("Generalized linear mixed model (poisson, log link) fit by the Laplace")
    assert "-2 log-likelihood: 1343.4250" in text
    assert "Residual" not in text
    assert "z" in text.split("Fixed effects:")[1].splitlines()[1].split()
    assert repr(fit) == "<GeneralizedFit by laplace, poisson: 236 rows, criterion 1343.4250>"
    scale = ms.glmm(EPIL.y, DESIGN, INTERCEPTS, method="pql", dispersion=True)
    assert "Residual" in str(scale)
    assert "has no log-likelihood" in scale._repr_html_()
    assert fit.npar == 4
    assert scale.npar == 5
    assert_allclose(fit.aic, fit.criterion + 8)


def test_another_method() -> None:
    fit = ms.glmm(EPIL.y, DESIGN, INTERCEPTS)
    other = fit.refit("agq")
    assert other.nodes == 25
    assert_allclose(other.refit("laplace").criterion, fit.criterion, atol=1e-9)
    assert fit.refit("pql").method == "pql"


def test_nodes_are_kept() -> None:
    fit = ms.glmm(EPIL.y, DESIGN, INTERCEPTS, method="agq", nodes=5)
    assert fit.refit().nodes == fit.with_response(EPIL.y).nodes == 5
    assert fit.refit(nodes=9).nodes == 9
    assert fit.refit().criterion == fit.criterion
    assert fit.refit("laplace").nodes == 1


@pytest.mark.parametrize("method", ["laplace", "pql", "agq"])
def test_another_response_is_a_fit_to_it(method: MethodName) -> None:
    y = EPIL.y[::-1]
    fit = ms.glmm(EPIL.y, DESIGN, INTERCEPTS, method=method, offset=EPIL.lbase)
    direct = ms.glmm(y, DESIGN, INTERCEPTS, method=method, offset=EPIL.lbase)
    found = fit.with_response(y)
    assert found.criterion == direct.criterion or np.isnan(direct.criterion)
    assert_array_equal(found.theta, direct.theta)
    assert_array_equal(found.beta, direct.beta)
    with pytest.raises(ValueError, match="y must have counts"):
        fit.with_response(y - 1)


@pytest.mark.parametrize("theta", [0.0, 0.4])
def test_at_a_given_theta_beta_is_the_best(theta: float) -> None:
    X = np.column_stack([np.ones(236), EPIL.lbase])
    Z, _ = grouping_columns(SUBJECT)
    fit = ms.glmm(EPIL.y, ms.linear(lbase=EPIL.lbase), INTERCEPTS)
    best = scipy.optimize.minimize(
        lambda beta: laplace_deviance(theta, beta, EPIL.y, X, Z), fit.beta, options={"gtol": 1e-6}
    )
    held = fit.refit(theta=[theta])
    assert held.converged
    assert_array_equal(held.theta, [theta])
    assert_allclose(held.criterion, best.fun, atol=1e-7)
    assert_allclose(held.beta, best.x, atol=1e-5)
    again = fit.refit(theta=fit.theta)
    assert_allclose(again.criterion, fit.criterion, atol=1e-8)


def test_a_smooth_with_its_intervals() -> None:
    fit = ms.glmm(EPIL.y, ms.smooth(lbase=EPIL.lbase, basis="cr", k=6), INTERCEPTS)
    curve = fit.smooth("lbase", np.linspace(-1, 1.5, 9))
    lower, upper = curve.interval()
    assert np.all(np.diff(curve.value) > 0)
    assert np.all(lower < curve.value)
    assert np.all(curve.value < upper)
    assert_allclose(fit.edf["s(lbase)"], curve.edf)


# ---- data and arguments that do not fit ----

X = np.linspace(0, 1, 40)
G = np.repeat(np.arange(8), 5)
COUNTS = np.random.default_rng(12).poisson(2.0, 40)
BITS = (np.random.default_rng(13).random(40) < 0.5).astype(float)
HALF = X > 0.5


@pytest.mark.parametrize(
    ("y", "arguments", "message"),
    [
        (-COUNTS, {}, r"y must have counts 0, 1, 2, ..., found -\d"),
        (COUNTS + 0.5, {}, "found .*; a rate is a count with an offset"),
        (np.where(X == 1, np.nan, COUNTS), {}, "y"),
        (COUNTS[:-1], {}, "40 rows where y has 39"),
        (0 * COUNTS, {}, "y is zero in every row"),
        (COUNTS, {"family": "normal"}, 'family must be "poisson"'),
        (COUNTS, {"method": "REML"}, 'method must be "laplace"'),
        (COUNTS, {"dispersion": True}, '"pql" only'),
        (COUNTS, {"trials": 3}, 'trials cannot be given with family "poisson"'),
        (COUNTS, {"offset": X[:-1]}, "offset"),
        (COUNTS, {"offset": np.where(X == 1, np.inf, X)}, "offset"),
        (COUNTS, {"offset": 800.0 * (np.arange(40) % 2)}, "too large or too small"),
        (
            COUNTS,
            {"family": "bernoulli"},
            r'y is \d in row \d+, and "bernoulli" has zeros and ones; .* "binomial"',
        ),
        (COUNTS, {"family": "binomial"}, "trials must be given"),
        (
            COUNTS,
            {"family": "binomial", "trials": 1},
            "which has 1 trials; check that y has successes",
        ),
        (COUNTS, {"family": "binomial", "trials": 2.5}, "trials must have counts"),
        (COUNTS, {"family": "binomial", "trials": 10 * (X > 0)}, "trials is zero in row 0"),
        (np.ones(40), {"family": "bernoulli"}, "y has no failure"),
        (np.zeros(40), {"family": "bernoulli"}, "y has no success"),
        ((G % 2), {"family": "bernoulli"}, "no level of g has both successes and failures"),
        (COUNTS, {"method": "agq", "nodes": 0}, "nodes must be a whole number from 1 to 100"),
        (COUNTS, {"method": "agq", "nodes": 2.5}, "nodes must be a whole number"),
    ],
)
def test_wrong_input(y: FloatArray, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ms.glmm(y, ms.linear(x=X), ms.group(g=G), **arguments)


def test_quadrature_takes_one_effect() -> None:
    with pytest.raises(ValueError, match="one grouping factor with one effect"):
        ms.glmm(COUNTS, ms.linear(x=X), ms.group(g=G, x=X), method="agq")
    with pytest.raises(ValueError, match="one grouping factor with one effect"):
        ms.glmm(COUNTS, ms.linear(x=X), ms.group(g=G), ms.group(h=G % 3), method="agq")


@pytest.mark.parametrize("method", ["laplace", "agq", "pql"])
@pytest.mark.parametrize("complete", [True, False])
def test_separation(method: MethodName, complete: bool) -> None:
    z = BITS if complete else BITS * HALF
    # where it is complete, other columns may have a part in it
    named = "z" if complete else "z:"
    with pytest.raises(ValueError, match=rf"y is separated by (x and )?{named}"):
        ms.glmm(BITS, ms.linear(x=X, z=z), ms.group(g=G), family="bernoulli", method=method)


@pytest.mark.parametrize("method", ["laplace", "agq", "pql"])
def test_a_level_without_counts(method: MethodName) -> None:
    arm = np.where(G < 2, "quiet", "busy")
    with pytest.raises(ValueError, match=r"separated by arm\[quiet\]"):
        ms.glmm(COUNTS * (G > 1), ms.linear(x=X, arm=arm), ms.group(g=G), method=method)


# ---- lmm with a known sigma ----


def test_a_known_residual_variance_is_a_meta_analysis() -> None:
    # ten studies with known variances v: y_j ~ N(mu, v_j + tau^2), by direct minimization
    rng = np.random.default_rng(14)
    v = rng.uniform(0.02, 0.4, 10)
    y = rng.normal(1.0, np.sqrt(v + 0.25))

    def negloglik(parameters: FloatArray) -> float:
        mu, log_tau = parameters
        return -float(scipy.stats.norm.logpdf(y, mu, np.sqrt(v + np.exp(2 * log_tau))).sum())

    best = scipy.optimize.minimize(negloglik, [1.0, -1.0], options={"gtol": 1e-9})
    fit = ms.lmm(y, ms.linear(), ms.group(study=np.arange(10)), method="ML", weights=1 / v, sigma=1)
    assert_allclose(fit.loglik, -best.fun, atol=1e-9)
    assert_allclose(fit.beta[0], best.x[0], atol=1e-5)
    assert_allclose(fit.random["study"].sd[0], np.exp(best.x[1]), atol=1e-5)
    assert fit.sigma == 1
    assert fit.npar == 2
    same = fit.refit("REML").refit("ML")
    assert_allclose(same.criterion, fit.criterion, atol=1e-9)


def test_sigma_known_at_its_estimate() -> None:
    terms = ms.linear(days=SLEEP.days), ms.group(subject=SLEEP.subject, days=SLEEP.days)
    methods: tuple[Literal["REML", "ML"], ...] = ("REML", "ML")
    for method in methods:
        free = ms.lmm(SLEEP.reaction, *terms, method=method)
        held = ms.lmm(SLEEP.reaction, *terms, method=method, sigma=free.sigma)
        assert_allclose(held.criterion, free.criterion, atol=1e-7)
        assert_allclose(held.theta, free.theta, rtol=1e-4)
        # of r^2 / sigma^2 the mean is N, so any other sigma is worse
        other = ms.lmm(SLEEP.reaction, *terms, method=method, sigma=1.1 * free.sigma)
        assert other.criterion > free.criterion + 0.5


def test_sigma_must_fit() -> None:
    with pytest.raises(ValueError, match="sigma"):
        ms.lmm(SLEEP.reaction, ms.linear(), ms.group(s=SLEEP.subject), sigma=-1.0)
    with pytest.raises(ValueError, match='"GCV" estimates sigma'):
        ms.lmm(SLEEP.reaction, ms.smooth(days=SLEEP.days), method="GCV", sigma=1.0)
