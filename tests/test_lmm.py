"""Fitting: against lme4 and the derivation, under changes that must not matter, and at limits."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

import mixedsmooth as ms
from mixedsmooth import published
from mixedsmooth.derivations.reml import fit_profiled
from mixedsmooth.model.fit import Fit
from mixedsmooth.model.terms import Term
from tests.test_blocked import MODELS, RandomModel, method_of

Method = Literal["REML", "ML"]

FloatArray = NDArray[np.float64]

FIVE_DIGITS = 5e-6  # relative: half a unit of the fifth significant digit


# ---- lme4 ----

# lme4 1.1.31 under R 4.2.2: lmer(formula, data, REML = ..., control = lmerControl(optimizer =
# "bobyqa", optCtrl = list(rhoend = 1e-11, maxfun = 1e5))); the formula stands in the reference.
CASES = [
    "sleepstudy_intercept_ML",
    "sleepstudy_intercept_REML",
    "sleepstudy_slope_ML",
    "sleepstudy_slope_REML",
    "sleepstudy_independent_REML",
    "sleepstudy_unbalanced_intercept_ML",
    "sleepstudy_unbalanced_slope_REML",
    "gasoline_intercept_ML",
    "gasoline_intercept_REML",
]


def fit_of(key: str, reference: dict[str, Any]) -> Fit:
    """Fit the model of an entry of the reference."""
    method: Method = "REML" if key.endswith("REML") else "ML"
    if key.startswith("gasoline"):
        cars = ms.load_gasoline()
        linear = ms.linear(year=cars.year - 1965, lincomep=cars.lincomep, lrpmg=cars.lrpmg)
        return ms.lmm(cars.lcarpcap, linear, ms.group(country=cars.country), method=method)
    sleep = ms.load_sleepstudy()
    keep = np.arange(180)
    if "unbalanced" in key:
        keep = np.array(reference["sleepstudy_unbalanced_rows"]) - 1
    y, days, subject = sleep.reaction[keep], sleep.days[keep], sleep.subject[keep]
    slopes: dict[str, Any] = {} if "intercept" in key else {"days": days}
    group = ms.group(correlated="independent" not in key, subject=subject, **slopes)
    return ms.lmm(y, ms.linear(days=days), group, method=method)


@dataclass(frozen=True)
class Case:
    """A fit of ours, and what lme4 says of the same model."""

    fit: Fit
    lme4: dict[str, Any]


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, reference: dict[str, Any]) -> Case:
    return Case(fit_of(request.param, reference), reference[request.param])


def test_the_cases_are_all_there_are(reference: dict[str, Any]) -> None:
    lme4 = {key for key, entry in reference.items() if "fitted_head" in entry}
    assert lme4 == set(CASES)


def test_the_likelihood_is_lme4s(case: Case) -> None:
    fit, lme4 = case.fit, case.lme4
    assert fit.converged
    assert not fit.on_boundary
    # at a minimum the criterion has twice the digits of the parameters
    assert_allclose(fit.criterion, lme4["criterion"], rtol=1e-12)
    assert_allclose(fit.loglik, -lme4["criterion"] / 2, rtol=1e-12)
    assert_allclose(fit.aic, lme4["AIC"], rtol=1e-12)
    assert_allclose(fit.bic, lme4["BIC"], rtol=1e-12)


def test_the_parameters_are_lme4s(case: Case) -> None:
    fit, lme4 = case.fit, case.lme4
    # rhoend = 1e-11 is a trust region for theta; the criterion is flat to 1e-13 of its value
    # within 1e-6 or so of the optimum, so five digits are certain
    assert_allclose(fit.theta, np.atleast_1d(lme4["theta"]), rtol=FIVE_DIGITS)
    assert_allclose(fit.sigma, lme4["sigma"], rtol=FIVE_DIGITS / 10)
    assert_allclose(fit.beta, lme4["beta"], rtol=FIVE_DIGITS)
    assert_allclose(fit.se, lme4["se"], rtol=FIVE_DIGITS)
    assert_allclose(fit.cov_beta, lme4["cov_beta"], rtol=2 * FIVE_DIGITS)


def test_the_random_effects_are_lme4s(case: Case) -> None:
    fit, lme4 = case.fit, case.lme4
    (random,) = fit.random.values()
    (by_name,) = lme4["ranef"].values()
    theirs = np.column_stack(list(by_name.values()))
    # an effect close to zero has fewer digits of its own: to 1e-6 of the largest
    assert_allclose(random.effects, theirs, rtol=FIVE_DIGITS, atol=1e-6 * np.abs(theirs).max())
    assert_allclose(fit.fitted[:6], lme4["fitted_head"], rtol=FIVE_DIGITS / 10)
    (conditional,) = lme4["cond_var"].values()
    if len(lme4["random"]) == 1:
        (covariance,) = lme4["random"].values()
        assert_allclose(random.cov, covariance, rtol=2 * FIVE_DIGITS)
        blocks = np.reshape(conditional, random.conditional_cov.shape)
        assert_allclose(random.conditional_cov, blocks, rtol=2 * FIVE_DIGITS)
    else:  # (Days || Subject) is two terms to lme4
        variances = [block[0][0] for block in lme4["random"].values()]
        assert_allclose(random.cov, np.diag(variances), rtol=2 * FIVE_DIGITS)
        by_level = np.column_stack(list(conditional.values()))
        assert_allclose(random.conditional_sd**2, by_level, rtol=2 * FIVE_DIGITS)


# ---- source 3 ----


def test_the_table_of_statsmodels(reference: dict[str, Any]) -> None:
    # Dirmeier (n.d.), cell 154: the summary of statsmodels. Where the note says that its optimizer
    # stopped early, the print is right to 1e-4 of the value only.
    fit = fit_of("sleepstudy_slope_REML", reference)
    covariance = fit.random["subject"].cov
    ours = {
        "n_obs": fit.n,
        "n_groups": len(fit.random["subject"].levels),
        "scale": fit.sigma**2,
        "loglik": fit.loglik,
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
        if "stopped early" in entry.note:
            stopped_early.add(name)
            assert abs(value - float(entry.value)) > half_unit
            assert_allclose(value, float(entry.value), rtol=1e-4)
        else:
            assert abs(value - float(entry.value)) <= half_unit
    assert stopped_early == {"scale", "variance_intercept.estimate", "covariance.estimate"}


# ---- InstEval ----


def test_insteval_is_lme4s() -> None:
    ratings = ms.load_insteval()
    linear = ms.linear(service=ratings.service)
    students, lecturers = ms.group(s=ratings.s), ms.group(d=ratings.d)
    # lme4 1.1.31: lmer(y ~ 1 + service + (1 | s) + (1 | d) + (1 | dept), InstEval, REML = FALSE).
    # Its optimizer stops at 237721.7688, with four digits of theta.
    fit = ms.lmm(ratings.y, linear, students, lecturers, ms.group(dept=ratings.dept), method="ML")
    assert fit.converged
    assert 237721.7688 - 1e-4 < fit.criterion < 237721.7688 + 0.5e-4
    assert_allclose(fit.theta, [0.27645, 0.43740, 0.06672], rtol=0, atol=1e-4)
    # lmer(y ~ 1 + service + (1 | s) + (1 | d), InstEval): REML criterion 237743.583
    fit = ms.lmm(ratings.y, linear, students, lecturers)
    assert fit.converged
    assert 237743.583 - 1e-3 < fit.criterion < 237743.583 + 0.5e-3


# ---- the dense derivation ----


@pytest.mark.parametrize("model", MODELS[1::2], ids=lambda model: str(model.seed))
def test_the_optimum_is_one(model: RandomModel) -> None:
    """The fit is the dense derivation's at its theta, and no step along theta goes lower."""
    method = method_of(model)
    fit = ms.lmm(model.y, *model.terms, method=method, weights=model.weights)
    assert fit.converged, fit.reason
    assert_allclose(model.dense(fit.theta, method), fit.criterion, rtol=1e-9, atol=1e-8)
    dense = model.dense_solution(fit.theta)
    assert_allclose(fit.beta, dense.beta, rtol=1e-7, atol=1e-8 * np.abs(dense.beta).max())
    b = np.concatenate([r.effects.ravel() for r in fit.random.values()])
    assert_allclose(b, dense.b, rtol=1e-6, atol=1e-8 * np.abs(dense.b).max())
    degrees = fit.n - (len(fit.beta) if method == "REML" else 0)
    assert_allclose(fit.sigma, np.sqrt(dense.r2 / degrees), rtol=1e-8)
    cov_beta = fit.sigma**2 * np.linalg.inv(dense.L_X @ dense.L_X.T)
    scale = np.sqrt(np.diag(cov_beta))
    assert_allclose(
        fit.cov_beta / np.outer(scale, scale),
        cov_beta / np.outer(scale, scale),
        rtol=0,
        atol=1e-8,
    )
    for step in np.diag(0.02 * model.scale):
        assert model.dense(fit.theta + step, method) > fit.criterion - 1e-6
        assert model.dense(fit.theta - step, method) > fit.criterion - 1e-6


SMALL = [m for m in MODELS if len(m.scale) <= 4][::6]


@pytest.mark.parametrize("model", SMALL, ids=lambda model: str(model.seed))
def test_the_optimum_is_not_above_the_derivations(model: RandomModel) -> None:
    method = method_of(model)
    fit = ms.lmm(model.y, *model.terms, method=method, weights=model.weights)
    y, X, Z = model.weighted
    other = fit_profiled(
        y, X, Z, lambda u: model.Lambda(model.scale * u), method, start=np.ones(len(model.scale))
    )
    log_weights = 0.0 if model.weights is None else float(np.log(model.weights).sum())
    assert fit.criterion <= other.criterion - log_weights + 1e-6


@pytest.mark.parametrize("model", MODELS[::6], ids=lambda model: str(model.seed))
def test_another_start_finds_nothing_better(model: RandomModel) -> None:
    method = method_of(model)
    fit = ms.lmm(model.y, *model.terms, method=method, weights=model.weights)
    start = model.scale * np.random.default_rng([model.seed, 3]).uniform(0.2, 3, len(model.scale))
    other = ms.lmm(model.y, *model.terms, method=method, weights=model.weights, start=start)
    assert other.converged
    assert fit.criterion <= other.criterion + 1e-6


# ---- changes that must not matter ----


@dataclass(frozen=True)
class Data:
    """Slopes by subject, intercepts by a crossed factor, a treatment, weights."""

    y: FloatArray
    x: FloatArray
    dose: NDArray[np.str_]
    f: NDArray[np.str_]
    g: NDArray[np.int64]
    w: FloatArray

    def terms(self) -> tuple[Term, ...]:
        """Return the terms of the model."""
        linear = ms.linear(x=self.x, dose=self.dose)
        return linear, ms.group(f=self.f, x=self.x), ms.group(g=self.g)

    def fit(self, method: Method = "REML") -> Fit:
        """Fit the model."""
        return ms.lmm(self.y, *self.terms(), method=method, weights=self.w)


def draw_data() -> Data:
    rng = np.random.default_rng(7)
    n = 150
    f, g = rng.integers(0, 12, n), rng.integers(0, 6, n)
    x, w = rng.normal(size=n) + 1, rng.uniform(0.5, 2, n)
    dose = np.array(["low", "mid", "high"])[rng.integers(0, 3, n)]
    b, c = rng.normal(size=(12, 2)) @ [[1.0, 0.4], [0.0, 0.7]], 0.8 * rng.normal(size=6)
    y = 3 + x + (dose == "low") + b[f, 0] + b[f, 1] * x + c[g] + rng.normal(size=n) / np.sqrt(w)
    return Data(y, x, dose, np.array(list("ABCDEFGHIJKL"))[f], 10 * g, w)


DATA = draw_data()
methods = pytest.mark.parametrize("method", ["ML", "REML"])
FITS = {method: DATA.fit(method) for method in ("ML", "REML")}


def assert_same_optimum(fit: Fit, criterion: float, theta: FloatArray) -> None:
    # The search ends when one more step would lower the criterion by less than 1e-6. It leaves less
    # as a rule; a criterion off by 1e-7 is a theta off by 3e-4 of its standard error.
    assert fit.converged
    assert_allclose(fit.criterion, criterion, rtol=0, atol=1e-7)
    assert_allclose(fit.theta, theta, rtol=1e-4, atol=3e-5 * np.abs(theta).max())


@methods
@pytest.mark.parametrize("scale", [1e-6, -3.0, 1e6])
def test_the_unit_of_y(method: Method, scale: float) -> None:
    fit, base = replace(DATA, y=scale * DATA.y).fit(method), FITS[method]
    # each of the n (REML: n - p) residuals has the Jacobian |scale|
    degrees = base.n - (len(base.beta) if method == "REML" else 0)
    assert_same_optimum(fit, base.criterion + 2 * degrees * np.log(abs(scale)), base.theta)
    assert_allclose(fit.beta, scale * base.beta, rtol=1e-5)
    assert_allclose(fit.sigma, abs(scale) * base.sigma, rtol=1e-6)


@methods
def test_the_origin_of_y(method: Method) -> None:
    fit, base = replace(DATA, y=DATA.y + 1e5).fit(method), FITS[method]
    assert_same_optimum(fit, base.criterion, base.theta)
    assert_allclose(fit.beta - [1e5, 0, 0, 0], base.beta, rtol=1e-5)


@methods
def test_a_steep_slope(method: Method) -> None:
    # what X explains does not matter to the rest, even if the residual is 1e-10 of y'y
    fit, base = replace(DATA, y=DATA.y + 1e5 * DATA.x).fit(method), FITS[method]
    assert_same_optimum(fit, base.criterion, base.theta)
    assert_allclose(fit.beta - [0, 1e5, 0, 0], base.beta, rtol=1e-5)


@methods
@pytest.mark.parametrize("scale", [1e-6, -2.0, 1e6])
def test_the_unit_of_a_covariate(method: Method, scale: float) -> None:
    fit, base = replace(DATA, x=scale * DATA.x).fit(method), FITS[method]
    # REML: log|X'V^-1 X| has 2 log|scale| more
    shift = 2 * np.log(abs(scale)) if method == "REML" else 0.0
    theta = base.theta / [1, scale, abs(scale), 1]
    assert_same_optimum(fit, base.criterion + shift, theta)
    assert_allclose(fit.beta * [1, scale, 1, 1], base.beta, rtol=1e-5)
    assert_allclose(fit.fitted, base.fitted, rtol=1e-5)


@methods
@pytest.mark.parametrize("shift", [-5.0, 1e4])
def test_the_origin_of_a_covariate(method: Method, shift: float) -> None:
    fit, base = replace(DATA, x=DATA.x + shift).fit(method), FITS[method]
    # b_0 + b_1 x = (b_0 - shift b_1) + b_1 (x + shift):  the covariance becomes R cov R'
    R = np.array([[1.0, -shift], [0.0, 1.0]])
    assert fit.converged
    assert_allclose(fit.criterion, base.criterion, rtol=0, atol=1e-7)
    assert_allclose(fit.random["f"].cov, R @ base.random["f"].cov @ R.T, rtol=1e-4)
    assert_allclose(fit.random["f"].effects, base.random["f"].effects @ R.T, rtol=1e-3, atol=1e-3)
    assert_allclose(fit.fitted, base.fitted, rtol=1e-5)
    assert_allclose(fit.theta[3], base.theta[3], rtol=1e-4)


@methods
def test_the_order_of_the_rows(method: Method) -> None:
    rows = np.random.default_rng(8).permutation(len(DATA.y))
    data = Data(*(getattr(DATA, name)[rows] for name in ("y", "x", "dose", "f", "g", "w")))
    fit, base = data.fit(method), FITS[method]
    assert_same_optimum(fit, base.criterion, base.theta)
    assert_allclose(fit.fitted, base.fitted[rows], rtol=1e-5)


@methods
def test_the_names_of_the_groups(method: Method) -> None:
    # A becomes L, B becomes K, ...: the levels sort in the opposite order
    turned = np.array([chr(ord("A") + ord("L") - ord(label)) for label in DATA.f])
    fit, base = replace(DATA, f=turned).fit(method), FITS[method]
    assert_same_optimum(fit, base.criterion, base.theta)
    assert_allclose(fit.random["f"].effects, base.random["f"].effects[::-1], rtol=1e-3, atol=1e-4)


@methods
def test_the_baseline(method: Method) -> None:
    # "high" sorts first, "z high" last: another column of X, with a Jacobian of one
    turned = np.where(DATA.dose == "high", "z high", DATA.dose)
    fit, base = replace(DATA, dose=turned).fit(method), FITS[method]
    assert fit.names == ["(Intercept)", "x", "dose[mid]", "dose[z high]"]
    assert_same_optimum(fit, base.criterion, base.theta)
    constant, x, low, mid = base.beta
    assert_allclose(fit.beta, [constant + low, x, mid - low, -low], rtol=1e-4)


@methods
def test_the_order_of_the_terms(method: Method) -> None:
    linear, slopes, intercepts = DATA.terms()
    base = FITS[method]
    fit = ms.lmm(DATA.y, intercepts, slopes, linear, method=method, weights=DATA.w)
    assert_same_optimum(fit, base.criterion, np.roll(base.theta, 1))
    assert list(fit.random) == ["g", "f"]
    assert_allclose(fit.random["f"].effects, base.random["f"].effects, rtol=1e-3, atol=1e-4)
    # linear() in two
    halves = ms.linear(x=DATA.x), ms.linear(dose=DATA.dose)
    fit = ms.lmm(DATA.y, *halves, slopes, intercepts, method=method, weights=DATA.w)
    assert_array_equal(fit.theta, base.theta)
    assert_array_equal(fit.beta, base.beta)


@methods
def test_the_larger_factor_may_stand_second(method: Method) -> None:
    # the terms have one shape, and theta must not change places
    larger, smaller = ms.group(f=DATA.f), ms.group(g=DATA.g)
    first = ms.lmm(DATA.y, larger, smaller, method=method)
    second = ms.lmm(DATA.y, smaller, larger, method=method)
    assert_same_optimum(second, first.criterion, first.theta[::-1])
    assert abs(first.theta[0] - first.theta[1]) > 0.1


@pytest.mark.parametrize("kind", [str, object, list, tuple, "category", "series"])
def test_the_kind_of_the_columns(kind: Any) -> None:
    def convert(column: NDArray[Any]) -> Any:
        if kind in ("category", "series"):
            import pandas as pd

            labels = kind == "category" and column.dtype.kind == "U"
            return pd.Series(column, dtype="category" if labels else None)
        if kind is str:
            return column.astype(str) if column.dtype.kind in "iU" else column
        return column.astype(object) if kind is object else kind(column.tolist())

    data = Data(*(convert(getattr(DATA, name)) for name in ("y", "x", "dose", "f", "g", "w")))
    fit, base = data.fit(), FITS["REML"]
    assert fit.names == base.names
    # 0, 10, ..., 50 sort as text as they do as numbers
    assert_array_equal(fit.theta, base.theta)
    assert_array_equal(fit.random["g"].levels.astype(str), base.random["g"].levels.astype(str))


@methods
def test_doubled_weights(method: Method) -> None:
    # sigma^2 / w stays the same with sigma^2 twice as large
    fit, base = replace(DATA, w=2 * DATA.w).fit(method), FITS[method]
    assert_same_optimum(fit, base.criterion, base.theta / np.sqrt(2))
    assert_allclose(fit.sigma, np.sqrt(2) * base.sigma, rtol=1e-6)
    assert_allclose(fit.cov_beta, base.cov_beta, rtol=1e-4)


def test_weights_of_one_are_none() -> None:
    ones, none = (ms.lmm(DATA.y, *DATA.terms(), weights=w) for w in (np.ones(len(DATA.y)), None))
    assert_allclose(ones.criterion, none.criterion, rtol=1e-13)
    assert_allclose(ones.theta, none.theta, rtol=1e-7)


def test_a_weight_is_a_mean_of_rows() -> None:
    # Two rows with equal X and Z, and their mean with weight two, tell the same of beta and tau:
    # the differences within pairs have only sigma to tell of.
    noise = np.random.default_rng(9).normal(size=len(DATA.y))
    heavy = ms.lmm(DATA.y, *DATA.terms(), weights=np.full(len(DATA.y), 2.0))
    twice: list[Term] = [
        ms.linear(x=np.tile(DATA.x, 2), dose=np.tile(DATA.dose, 2)),
        ms.group(f=np.tile(DATA.f, 2), x=np.tile(DATA.x, 2)),
        ms.group(g=np.tile(DATA.g, 2)),
    ]
    # differences of the size that sigma expects leave sigma where it is, and so the rest
    n = len(DATA.y)
    spread = noise * np.sqrt(n * heavy.sigma**2 / 2 / (noise @ noise))
    pairs = ms.lmm(np.concatenate([DATA.y + spread, DATA.y - spread]), *twice)
    assert_allclose(pairs.sigma, heavy.sigma, rtol=1e-5)
    assert_allclose(pairs.theta, heavy.theta, rtol=1e-4)
    assert_allclose(pairs.beta, heavy.beta, rtol=1e-5)


def test_the_data_are_left_alone() -> None:
    before = {name: getattr(DATA, name).copy() for name in ("y", "x", "w", "f", "g", "dose")}
    DATA.fit()
    for name, column in before.items():
        assert_array_equal(getattr(DATA, name), column)


# ---- the boundary ----

STARTS = [None, 0.0, 1e-3, 1.0, 100.0]
starts = pytest.mark.parametrize("start", STARTS)


def start_of(start: float | None, size: int) -> FloatArray | None:
    return None if start is None else np.full(size, start)


@starts
@methods
def test_a_variance_of_zero(method: Method, start: float | None) -> None:
    # two mirrored rows in each group: the group means do not differ at all
    group = np.repeat(np.arange(6), 2)
    y = np.repeat(np.arange(1.0, 7.0), 2) * np.tile([-1.0, 1.0], 6)
    fit = ms.lmm(y, ms.group(g=group), method=method, start=start_of(start, 1))
    assert fit.converged
    assert fit.on_boundary
    assert_array_equal(fit.theta, [0.0])
    assert_array_equal(fit.random["g"].effects, np.zeros((6, 1)))
    assert_array_equal(fit.random["g"].conditional_sd, np.zeros((6, 1)))
    # there it is ordinary least squares, and REML's sigma^2 the unbiased one
    variance = np.var(y, ddof=1 if method == "REML" else 0)
    assert_allclose(fit.sigma**2, variance, rtol=1e-12)
    assert_allclose(fit.se, [np.sqrt(variance / 12)], rtol=1e-12)


def crossed_without(rng: np.random.Generator) -> tuple[FloatArray, Any, Any, FloatArray]:
    """6 x 4 cells of two rows: effects of f, none of g, and a covariate."""
    f, g = np.repeat(np.arange(6), 8), np.tile(np.repeat(np.arange(4), 2), 6)
    noise = rng.normal(size=24).repeat(2) * np.tile([-1.0, 1.0], 24)
    y = 10 + 2 * rng.normal(size=6)[f] + noise
    x = rng.normal(size=24).repeat(2) * np.tile([-1.0, 1.0], 24)
    return y, f, g, x


@starts
@methods
def test_a_term_of_variance_zero_might_be_left_out(method: Method, start: float | None) -> None:
    y, f, g, x = crossed_without(np.random.default_rng(1))
    terms = ms.linear(x=x), ms.group(f=f)
    without = ms.lmm(y, *terms, method=method)
    fit = ms.lmm(y, *terms, ms.group(g=g), method=method, start=start_of(start, 2))
    assert fit.converged
    assert fit.on_boundary
    assert not without.on_boundary
    assert fit.theta[1] == 0
    assert_allclose(fit.theta[0], without.theta[0], rtol=1e-4)
    assert_allclose(fit.criterion, without.criterion, rtol=0, atol=1e-7)
    assert_allclose(fit.beta, without.beta, rtol=1e-6)


@starts
@pytest.mark.parametrize("origin", [0.0, 4.5, -30.0])
@pytest.mark.parametrize("ratio", [0.5, -0.5])
def test_a_correlation_of_one(ratio: float, origin: float, start: float | None) -> None:
    # Each group has a line; the slopes are a multiple of the intercepts at x = 4.5, exactly. The
    # residuals are one pattern at right angles to lines, so the noise of the lines is larger
    # than what they vary beside their common direction.
    x = np.arange(10.0)
    a = np.array([-3.0, -1.0, -0.5, 0.2, 0.8, 1.5, 2.0])
    pattern = np.cos(np.pi * np.arange(10)) * np.array([1, 3, 2, 1, 2, 2, 1, 2, 3, 1])
    basis = np.column_stack([np.ones(10), x])
    pattern = pattern - basis @ np.linalg.lstsq(basis, pattern, rcond=None)[0]
    y = (20 + np.outer(a, 1 + ratio * (x - 4.5)) + pattern).ravel()
    days, group = np.tile(x, 7) - 4.5 + origin, np.repeat(np.arange(7), 10)
    fit = ms.lmm(y, ms.linear(days=days), ms.group(g=group, days=days), start=start_of(start, 3))
    assert fit.converged
    assert fit.on_boundary
    # cov(b_0, b_1) at another origin keeps |correlation| one; its sign there is that of
    # (1 - ratio origin) ratio
    sign = np.sign((1 - ratio * origin) * ratio)
    assert_allclose(fit.random["g"].corr[1, 0], sign, rtol=0, atol=1e-9)
    best = ms.lmm(y, ms.linear(days=days), ms.group(g=group, days=days))
    assert_allclose(fit.criterion, best.criterion, rtol=0, atol=1e-5)


@starts
@pytest.mark.parametrize(("correlated", "origin"), [(False, 0.0), (True, 0.0), (True, 7.3)])
def test_slopes_alone(correlated: bool, origin: float, start: float | None) -> None:
    # slopes that vary, and intercepts that do not: at one x all groups are the same
    rng = np.random.default_rng(3)
    x, group = np.tile(np.arange(-4.0, 5.0), 8), np.repeat(np.arange(8), 9)
    noise = np.abs(x) * np.tile([1.0, -1, 1, -1, 0, -1, 1, -1, 1], 8) + np.tile(
        [1.0, -2, 1, 0, 0, 0, -1, 2, -1], 8
    )
    basis = np.column_stack([np.ones(9), np.arange(-4.0, 5.0)])
    noise = noise - np.tile(basis @ np.linalg.lstsq(basis, noise[:9], rcond=None)[0], 8)
    y = 5 + rng.normal(size=8)[group] * x + noise
    at = x + origin
    terms = ms.linear(x=at), ms.group(correlated=correlated, g=group, x=at)
    size = 3 if correlated else 2
    fit = ms.lmm(y, *terms, start=start_of(start, size))
    alone = ms.lmm(y, ms.linear(x=x), ms.group(intercept=False, g=group, x=x))
    assert fit.converged
    assert fit.on_boundary
    assert_allclose(fit.criterion, alone.criterion, rtol=0, atol=1e-6)
    slope = alone.random["g"].sd[0]
    assert_allclose(fit.random["g"].sd, [abs(origin) * slope, slope], rtol=1e-3, atol=1e-3)
    assert np.all(np.isfinite(fit.random["g"].conditional_sd))


@methods
def test_a_zero_is_not_a_trap(method: Method) -> None:
    # at theta = 0 the gradient vanishes for every model
    for start in (np.zeros(4), [0, 0, 0, 1.0], [0, 1.0, 0, 0], np.full(4, 100.0), -np.ones(4)):
        fit = ms.lmm(DATA.y, *DATA.terms(), method=method, weights=DATA.w, start=start)
        assert_same_optimum(fit, FITS[method].criterion, FITS[method].theta)


# ---- closed forms ----


def test_reml_of_the_balanced_one_way_layout_is_the_analysis_of_variance() -> None:
    # Searle, Casella and McCulloch (1992), section 3.8: with a groups of m rows, and when the
    # second is positive, the estimates are MSE and (MSA - MSE) / m.
    rng = np.random.default_rng(4)
    a, m = 7, 4
    group = np.repeat(np.arange(a), m)
    y = 10 + 2 * rng.normal(size=a)[group] + rng.normal(size=a * m)
    means = y.reshape(a, m).mean(axis=1)
    mse = ((y - means[group]) ** 2).sum() / (a * (m - 1))
    msa = m * means.var(ddof=1)
    fit = ms.lmm(y, ms.group(g=group))
    assert_allclose(fit.sigma**2, mse, rtol=1e-6)
    assert_allclose(fit.random["g"].cov, [[(msa - mse) / m]], rtol=1e-6)
    assert_allclose(fit.beta, [y.mean()], rtol=1e-12)
    assert_allclose(fit.se, [np.sqrt(msa / (a * m))], rtol=1e-6)
    # and each prediction is the mean of the group, shrunken by n / (n + 1 / theta^2)
    shrunken = (means - y.mean()) * (1 - mse / msa)
    assert_allclose(fit.random["g"].effects[:, 0], shrunken, rtol=1e-6)


# ---- bad input ----

N = 12
GOOD_Y = np.array([1.0, 3, 2, 5, 4, 6, 8, 7, 9, 9, 10, 13])
GOOD_X = np.array([2.0, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11])
GOOD_G = np.repeat(["a", "b", "c"], 4)


def with_bad(column: FloatArray, value: float) -> FloatArray:
    return np.where(np.arange(len(column)) == 2, value, column)


BAD: dict[str, tuple[Any, str]] = {
    "y with NaN": (
        lambda: ms.lmm(with_bad(GOOD_Y, np.nan), ms.group(g=GOOD_G)),
        rf"missing values \(y 1\) in 1 of {N} rows: row 2",
    ),
    "y infinite": (
        lambda: ms.lmm(with_bad(GOOD_Y, -np.inf), ms.group(g=GOOD_G)),
        r"y has 1 value\(s\) that are NaN or infinite",
    ),
    "y text": (lambda: ms.lmm(GOOD_G, ms.group(g=GOOD_G)), "y must hold numbers only"),
    "y a matrix": (
        lambda: ms.lmm(GOOD_Y[:, None], ms.group(g=GOOD_G)),
        r"y must be a vector .* found shape \(12, 1\)",
    ),
    "y empty": (lambda: ms.lmm([], ms.group(g=GOOD_G)), r"y must be a vector .*\(0,\)"),
    "y constant": (
        lambda: ms.lmm(np.full(N, 0.1), ms.group(g=GOOD_G)),
        "y is constant, so there is no variance to divide",
    ),
    "y a line": (
        lambda: ms.lmm(3 + 0.1 * GOOD_X, ms.linear(x=GOOD_X), ms.group(g=GOOD_G)),
        "y is explained by the 2 columns of X without error.* use fewer columns",
    ),
    "y a line through zero": (
        lambda: ms.lmm(0.1 * GOOD_X, ms.linear(intercept=False, x=GOOD_X), ms.group(g=GOOD_G)),
        "y is explained by the 1 columns of X without error",
    ),
    "y group means": (
        lambda: ms.lmm(np.repeat([1.0, 2, 4], 4), ms.group(g=GOOD_G)),
        "y is explained by its terms without error",
    ),
    "shorter y": (
        lambda: ms.lmm(GOOD_Y[:-1], ms.group(g=GOOD_G)),
        "g has 12 rows where y has 11; give one row for each",
    ),
    "shorter covariate": (
        lambda: ms.lmm(GOOD_Y, ms.linear(x=GOOD_X[:-1]), ms.group(g=GOOD_G)),
        "x has 11 rows where y has 12",
    ),
    "two factors of one name, one shorter": (
        lambda: ms.lmm(GOOD_Y, ms.group(g=GOOD_G[:-1]), ms.group(g=GOOD_G)),
        "g has 11 rows where y has 12",
    ),
    "a covariate and a factor of one name, one shorter": (
        lambda: ms.lmm(GOOD_Y, ms.linear(g=GOOD_G), ms.group(g=GOOD_G[:-1])),
        "g has 11 rows where y has 12",
    ),
    "shorter weights": (
        lambda: ms.lmm(GOOD_Y, ms.group(g=GOOD_G), weights=np.ones(3)),
        "weights has 3 rows where the other arguments have 12",
    ),
    "weight zero": (
        lambda: ms.lmm(GOOD_Y, ms.group(g=GOOD_G), weights=with_bad(np.ones(N), 0)),
        "weights must be positive, found 0 in row 2; leave out rows",
    ),
    "weight negative": (
        lambda: ms.lmm(GOOD_Y, ms.group(g=GOOD_G), weights=with_bad(np.ones(N), -2)),
        "weights must be positive, found -2 in row 2",
    ),
    "weight NaN": (
        lambda: ms.lmm(GOOD_Y, ms.group(g=GOOD_G), weights=with_bad(np.ones(N), np.nan)),
        rf"missing values \(weights 1\) in 1 of {N} rows: row 2",
    ),
    "redundant column": (
        lambda: ms.lmm(
            GOOD_Y, ms.linear(x=GOOD_X, z=2 * GOOD_X - 1, w=GOOD_X**2), ms.group(g=GOOD_G)
        ),
        r"X has 4 columns but rank 3: column\(s\) (x|z) are combinations of the others",
    ),
    "constant column": (
        lambda: ms.lmm(GOOD_Y, ms.linear(x=GOOD_X, one=np.full(N, 0.1)), ms.group(g=GOOD_G)),
        r"X has 3 columns but rank 2: column\(s\) one are combinations",
    ),
    "redundant labels": (
        lambda: ms.lmm(
            GOOD_Y,
            ms.linear(g=GOOD_G),
            ms.linear(late=np.repeat([0, 1], [8, 4])),
            ms.group(h=np.arange(N) % 3),
        ),
        r"X has 4 columns but rank 3: column\(s\) (g\[c\]|late) are",
    ),
    "no fixed effect": (
        lambda: ms.lmm(GOOD_Y, ms.group(g=GOOD_G), replace(ms.linear(), intercept=False)),
        "terms have no fixed effect; leave the intercept in, or add a column",
    ),
    "unknown term": (
        lambda: ms.lmm(GOOD_Y, GOOD_X, ms.group(g=GOOD_G)),  # type: ignore[arg-type]
        r"terms are what linear\(\), group\(\) and smooth\(\) return; found array",
    ),
    "unknown method": (
        lambda: ms.lmm(GOOD_Y, ms.group(g=GOOD_G), method="reml"),  # type: ignore[arg-type]
        'method must be "REML", "ML" or "GCV", found \'reml\'',
    ),
    "an effect for each row": (
        lambda: ms.lmm(GOOD_Y, ms.group(row=np.arange(N))),
        r"group\(row=...\) has 12 effects for 12 rows",
    ),
    "more slopes than rows": (
        lambda: ms.lmm(GOOD_Y, ms.group(g=np.arange(N) // 2, x=GOOD_X)),
        r"group\(g=...\) has 12 effects for 12 rows.* use fewer slopes",
    ),
    "start too long": (
        lambda: ms.lmm(GOOD_Y, ms.group(g=GOOD_G), start=[1.0, 1.0]),
        "start must have the 1 entries of theta, found 2",
    ),
    "start NaN": (
        lambda: ms.lmm(GOOD_Y, ms.group(g=GOOD_G), start=[np.nan]),
        r"start has 1 value\(s\) that are NaN",
    ),
}


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_told(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_the_good_columns_are_good() -> None:
    fit = ms.lmm(GOOD_Y, ms.linear(x=GOOD_X), ms.group(g=GOOD_G), weights=np.ones(N))
    assert fit.converged


# ---- the callback ----


def test_the_callback_sees_the_search() -> None:
    seen: list[tuple[int, FloatArray, float]] = []
    fit = ms.lmm(DATA.y, *DATA.terms(), callback=lambda *call: seen.append(call))
    numbers, thetas, criteria = zip(*seen, strict=True)
    assert list(numbers) == list(range(numbers[0], fit.evaluations + 1))
    assert all(theta.shape == (4,) for theta in thetas)
    # in the user's units, and at the end within the predicted decrease of the optimum
    assert_allclose(min(criteria), fit.criterion, rtol=0, atol=1e-6)
    assert_allclose(thetas[int(np.argmin(criteria))], fit.theta, rtol=1e-2)


@pytest.mark.parametrize("true", [True, np.True_])
def test_the_callback_stops_the_search(true: bool) -> None:
    seen: list[tuple[int, FloatArray, float]] = []

    def stop_at_fifth(number: int, theta: FloatArray, criterion: float) -> bool:
        seen.append((number, theta, criterion))
        return true if len(seen) == 2 else False

    fit = ms.lmm(DATA.y, *DATA.terms(), callback=stop_at_fifth)
    assert len(seen) == 2
    number, theta, criterion = seen[-1]
    assert not fit.converged
    assert fit.reason == f"stopped by the callback at evaluation {number}"
    assert fit.evaluations == number
    assert_allclose(fit.theta, theta, rtol=1e-12)
    assert_allclose(fit.criterion, criterion, rtol=1e-12)
    assert f"Not converged: {fit.reason}" in str(fit)


def test_an_error_in_the_callback_comes_through() -> None:
    def fail(number: int, theta: FloatArray, criterion: float) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        ms.lmm(DATA.y, *DATA.terms(), callback=fail)


def test_a_fit_is_reproducible() -> None:
    first, second = DATA.fit(), DATA.fit()
    assert_array_equal(first.theta, second.theta)
    assert first.evaluations == second.evaluations
