"""Intervals of predictions: dense formulas, other functions of the library, R, and coverage."""

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from scipy.integrate import quad

import mixedsmooth as ms
from mixedsmooth.derivations.bootstrap import prediction_variance
from mixedsmooth.inference.prediction import _effects_of_beta, _quantiles, _weights
from mixedsmooth.model.families import (
    Binomial,
    Family,
    Gamma,
    InverseGaussian,
    NegativeBinomial,
    Poisson,
)

FloatArray = NDArray[np.float64]

SLEEP, EPIL = ms.load_sleepstudy(), ms.load_epil()
KEPT = np.random.default_rng(1).random(180) < 0.5
SUBJECT, DAYS, REACTION = SLEEP.subject[KEPT], SLEEP.days[KEPT], SLEEP.reaction[KEPT]
ITEM = np.random.default_rng(2).integers(0, 5, KEPT.sum()).astype(str)
Z95 = 1.959963984540054  # scipy 1.14, special.ndtri(0.975)


@cache
def models() -> dict[str, ms.Fit]:
    days, slopes = ms.linear(days=DAYS), ms.group(subject=SUBJECT, days=DAYS)
    rng = np.random.default_rng(3)
    w = rng.uniform(0.5, 4, len(DAYS))
    shifted = REACTION + 12 * ITEM.astype(float)
    wavy = REACTION + 60 * np.sin(DAYS)
    curve = ms.smooth(days=DAYS, basis="cr", k=6)
    return {
        "slopes": ms.lmm(REACTION, days, slopes),
        "uncorrelated, ML": ms.lmm(
            REACTION, days, ms.group(subject=SUBJECT, days=DAYS, correlated=False), method="ML"
        ),
        "weights": ms.lmm(REACTION, days, slopes, weights=w),
        "known sigma, offset": ms.lmm(REACTION, days, slopes, sigma=30.0, offset=DAYS**2),
        "crossed": ms.lmm(shifted, days, slopes, ms.group(item=ITEM)),
        "two terms": ms.lmm(
            REACTION,
            days,
            ms.group(subject=SUBJECT),
            ms.group(subject=SUBJECT, intercept=False, days=DAYS),
        ),
        "smooth": ms.lmm(wavy, curve, ms.group(subject=SUBJECT)),
        "GCV": ms.lmm(wavy, curve, method="GCV"),
        "on the boundary": ms.lmm(DAYS + 0.01 * REACTION, ms.group(item=ITEM)),
        "no effects": ms.lmm(REACTION, days),
    }


NAMES = (
    "slopes",
    "uncorrelated, ML",
    "weights",
    "known sigma, offset",
    "crossed",
    "two terms",
    "smooth",
    "GCV",
    "on the boundary",
    "no effects",
)
NEW = {
    "days": np.array([0.0, 4.5, 9.0, 2.0]),
    "subject": np.array(["308", "372", "308", "nobody"]),
    "item": np.array(["0", "4", "nothing", "1"]),
}


def dense(fit: ms.Fit, frame: dict[str, Any]) -> FloatArray:
    """Variances by the n x n formula, from the user's columns and what the fit reports."""
    model = fit.model
    X, X_new = (
        np.column_stack([c for part in model.fixed for c in part.columns(f)])
        for f in (model.frame, frame["frame"])
    )
    Z: list[FloatArray] = []
    Z_new: list[FloatArray] = []
    blocks: list[FloatArray] = []
    extra = np.zeros(len(X_new))
    for g, random in zip(model.groups, fit.random.values(), strict=True):
        levels = np.arange(len(g.levels))
        for f, parts in ((model.frame, Z), (frame["frame"], Z_new)):
            z, codes = np.column_stack(g.columns(f)), g.codes(f)
            parts.append((z[:, None] * (codes[:, None] == levels)[:, :, None]).reshape(len(z), -1))
        new = g.codes(frame["frame"]) < 0
        z = np.column_stack(g.columns(frame["frame"]))
        extra += new * np.einsum("ia,ab,ib->i", z, random.cov, z)
        root = np.linalg.cholesky(random.cov / fit.sigma**2 + 1e-14 * np.eye(len(random.cov)))
        blocks.append(np.kron(np.eye(len(levels)), root))
    if not blocks:
        return np.asarray(np.einsum("ij,jk,ik->i", X_new, fit.cov_beta, X_new))
    Z_all, z_all = np.hstack(Z), np.hstack(Z_new)
    Lambda = np.zeros((Z_all.shape[1], Z_all.shape[1]))
    at = 0
    for block in blocks:
        Lambda[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    w = np.ones(fit.n) if model.weights is None else np.sqrt(model.weights)
    X, Z_all = w[:, None] * X, w[:, None] * Z_all  # rows of equal variance
    by_row = zip(X_new, z_all, strict=True)
    variances = [prediction_variance(x, z, X, Z_all, Lambda, fit.sigma) for x, z in by_row]
    return np.asarray(extra + variances)


@pytest.mark.parametrize("name", NAMES)
def test_variance_is_that_of_the_dense_formula(name: str) -> None:
    from mixedsmooth.model.parts import read

    fit = models()[name]
    given: dict[str, Any] = {} if fit.offset is None else {"offset": NEW["days"] ** 2}
    found = fit.predict_interval(NEW, new_levels="population", **given)
    inputs = [each for g in fit.model.groups for each in g.factor_inputs]
    parts = [*fit.model.fixed, *(part for g in fit.model.groups for part in g.parts)]
    inputs += [each for part in parts for each in part.inputs]
    frame = read(NEW, inputs) if inputs else fit.model.frame
    variance = dense(fit, {"frame": frame})
    assert_allclose(found.se**2, variance, rtol=1e-7)
    assert_allclose(found.value, fit.predict(NEW, new_levels="population", **given), rtol=1e-14)
    assert_allclose(found.upper - found.value, Z95 * found.se, rtol=1e-12)
    assert_allclose(found.value - found.lower, Z95 * found.se, rtol=1e-12)
    again = fit.predict_interval(NEW, 0.8, "prediction", new_levels="population", **given)
    assert_allclose(again.se**2, variance + fit.sigma**2, rtol=1e-7)
    half = scipy.stats.norm.ppf(0.9) * again.se
    assert_allclose(again.upper, again.value + half, rtol=1e-12)


def test_smooth_with_its_intercept_has_the_same_standard_errors() -> None:
    # The curve alone has mgcv's se (tests of smooths); here the intercept is added, as in
    # predict(se.fit = TRUE). By R 4.2.2, mgcv 1.8.41, on this library's volvo.csv:
    # m <- gam(wear ~ s(size, bs = "cr", k = 9), data = d, method = "REML")
    # predict(m, data.frame(size = c(1.5, 2, 2.5)), se.fit = TRUE)
    volvo = ms.load_volvo()
    fit = ms.lmm(volvo.wear, ms.smooth(size=volvo.size, basis="cr", k=9))
    found = fit.predict_interval({"size": [1.5, 2.0, 2.5]})
    assert_allclose(found.value, [3.820089325, 2.763344784, 3.263861113], rtol=1e-6)
    assert_allclose(found.se, [0.3908175101, 0.2327049474, 0.2794396898], rtol=1e-5)


def test_a_new_group_has_its_variance() -> None:
    fit = models()["slopes"]
    new = {"days": [6.0], "subject": ["nobody"]}
    found = fit.predict_interval(new, new_levels="population")
    x = np.array([1.0, 6.0])
    variance = x @ (fit.cov_beta + fit.random["subject"].cov) @ x
    assert_allclose(found.se**2, variance, rtol=1e-12)
    with pytest.raises(ValueError, match="new label nobody"):
        fit.predict_interval(new)


def test_units_and_origins_do_not_matter() -> None:
    fit = models()["slopes"]
    found = fit.predict_interval(NEW, new_levels="population")
    weeks = {**NEW, "days": NEW["days"] / 7 + 1000}
    far = ms.lmm(
        REACTION / 1000,
        ms.linear(days=DAYS / 7 + 1000),
        ms.group(subject=SUBJECT, days=DAYS / 7 + 1000),
    )
    again = far.predict_interval(weeks, new_levels="population")
    assert_allclose(1000 * again.se, found.se, rtol=1e-4)
    assert_allclose(1000 * again.value, found.value, rtol=1e-5)


def test_coverage() -> None:
    # over the effects and errors that the model draws, with the variances that it has
    fit, R = models()["slopes"], 300
    y = fit.simulate(R, seed=1)
    rows: dict[str, Any] = {"days": [3.0, 9.0], "subject": ["308", "372"]}
    truth = np.empty((R, 2))
    (g,) = fit.model.groups
    levels = [list(g.levels).index(name) for name in rows["subject"]]
    for i, child in enumerate(np.random.SeedSequence(1).spawn(R)):
        rng = np.random.default_rng(child)
        z = rng.standard_normal(2 * len(g.levels)).reshape(-1, 2)
        b = z @ np.linalg.cholesky(fit.random["subject"].cov).T
        for r, (day, level) in enumerate(zip(rows["days"], levels, strict=True)):
            truth[i, r] = fit.beta @ [1.0, day] + b[level] @ [1.0, day]
    ends = [fit.with_response(row, theta=fit.theta).predict_interval(rows, 0.8) for row in y]
    # each interval has an estimate of sigma, so the standard score is nearly normal
    scores = np.array([(t - end.value) / end.se for t, end in zip(truth, ends, strict=True)])
    inside = np.abs(scores) < scipy.stats.norm.ppf(0.9)
    assert np.all(np.abs(inside.mean(0) - 0.8) < 3.5 * np.sqrt(0.16 / R))
    assert_allclose(scores.std(0), 1, atol=3.5 / np.sqrt(2 * R))


# ---- generalized models ----


@cache
def generalized() -> dict[str, ms.GeneralizedFit]:
    rng = np.random.default_rng(1)
    subject = ms.group(subject=EPIL.subject)
    lbase = ms.linear(lbase=EPIL.lbase)
    trials = np.tile([5, 12], 118)
    mean = np.exp(0.5 + 0.3 * rng.standard_normal(59)[np.repeat(np.arange(59), 4)])
    successes = rng.binomial(trials, 1 / (1 + mean))
    positive = mean * rng.gamma(5.0, 0.2, 236)
    return {
        "poisson": ms.glmm(EPIL.y, lbase, subject),
        "offset": ms.glmm(EPIL.y, lbase, subject, offset=0.3, weights=rng.uniform(1, 2, 236)),
        "agq": ms.glmm(EPIL.y, lbase, subject, method="agq", nodes=9),
        "pql": ms.glmm(EPIL.y, lbase, subject, method="pql", dispersion=True),
        "nb": ms.glmm(EPIL.y, lbase, subject, family="negative-binomial"),
        "binomial": ms.glmm(successes, lbase, subject, family="binomial", trials=trials),
        "probit": ms.glmm(1.0 * (successes > 4), lbase, subject, family="bernoulli", link="probit"),
        "gamma": ms.glmm(positive, lbase, subject, family="gamma"),
        "gamma, pql": ms.glmm(positive, lbase, subject, family="gamma", method="pql"),
        "inverse": ms.glmm(positive, lbase, subject, family="gamma", link="inverse"),
        "ig": ms.glmm(positive, lbase, subject, family="inverse-gaussian"),
    }


GENERALIZED = (
    "poisson",
    "offset",
    "agq",
    "pql",
    "nb",
    "binomial",
    "probit",
    "gamma",
    "gamma, pql",
    "inverse",
    "ig",
)
COUNTED = {"lbase": [0.0, 1.0, -0.5], "subject": ["1", "7", "somebody"]}


@pytest.mark.parametrize("name", ["poisson", "nb", "gamma", "ig"])
def test_means_far_beyond_the_data(name: str) -> None:
    # counts without digits for the next one, measurements of up to 1e100
    for lbase in (-300.0, 45.0, 300.0):
        new = {"lbase": [lbase], "subject": ["1"]}
        found = generalized()[name].predict_interval(new, kind="prediction")
        assert 0 <= found.lower <= found.upper


@pytest.mark.parametrize("name", GENERALIZED)
def test_effects_move_with_beta_as_in_the_factorization(name: str) -> None:
    # L_X L_X' = X'WX - (Lambda'Z'WX)'B, where W is computed anew
    fit = generalized()[name]
    problem, f, w = fit.problem, fit.factorization, _weights(fit)
    assert w is not None
    (B,) = _effects_of_beta(fit)
    WX = w[:, None] * problem.X
    of_effects = np.stack([problem.factors[0].sums(x) @ f.T[0] for x in WX.T], axis=2)
    left = problem.X.T @ WX - np.einsum("mkp,mkr->pr", of_effects, B @ problem.K)
    tolerance = 1e-6 if fit.method == "pql" else 1e-9  # its eta moves until it stands still
    assert_allclose(f.L_X @ f.L_X.T, left, rtol=tolerance, atol=1e-9)


@pytest.mark.parametrize("name", GENERALIZED)
def test_confidence_intervals_are_those_of_the_linear_predictor(name: str) -> None:
    fit = generalized()[name]
    given: dict[str, Any] = {} if fit.offset is None else {"offset": [0.0, 1.0, 2.0]}
    found = fit.predict_interval(COUNTED, 0.9, new_levels="population", **given)
    eta = fit.predict(COUNTED, scale="link", new_levels="population", **given)
    half = scipy.stats.norm.ppf(0.95) * found.se
    ends = np.sort(fit.family.mean(np.array([eta - half, eta + half])), axis=0)
    assert_allclose([found.lower, found.upper], ends, rtol=1e-12)
    assert_allclose(found.value, fit.family.mean(eta), rtol=1e-12)
    # the conditional variance of one effect, if beta is known; and more, as it is not
    one = {"lbase": [0.0], "subject": ["1"]}
    one_given: dict[str, Any] = {} if fit.offset is None else {"offset": 0.0}
    se = fit.predict_interval(one, **one_given).se[0]
    r = fit.random["subject"]
    row = list(r.levels).index("1")
    assert se > 0.9 * r.conditional_sd[row, 0]
    x = np.array([1.0, -0.5])
    variance = x @ fit.cov_beta @ x + r.cov[0, 0]  # of somebody new
    assert_allclose(found.se[2] ** 2, variance, rtol=1e-9)


def mixture(family: Family, y: float, eta: float, se: float) -> float:
    """P(Y <= y) by scipy's adaptive quadrature."""

    def integrand(t: float) -> float:
        place = eta + se * t
        if family.link == "inverse" and place <= 0:
            return 0.0
        below = float(family.cdf(np.array([y]), np.array([place]))[0])
        return below * float(scipy.stats.norm.pdf(t))

    points = list(np.linspace(-8, 8, 41))
    return float(sum(quad(integrand, a, b, epsabs=1e-12)[0] for a, b in pairwise(points)))


@pytest.mark.parametrize(
    ("family", "eta", "se"),
    [
        (Poisson(), 1.0, 0.2),
        (Poisson(), 6.0, 1.5),
        (Poisson(), -6.0, 0.3),
        (NegativeBinomial(2.0), 2.0, 0.5),
        (NegativeBinomial(np.inf), 2.0, 0.5),
        (Binomial(np.array([12.0])), 0.5, 0.7),
        (Binomial(np.array([1.0]), "probit"), 0.5, 0.7),
        (Binomial(np.array([40.0]), "cloglog"), -1.0, 0.4),
        (Gamma(3.0), 1.0, 0.6),
        (Gamma(3.0, "inverse"), 0.7, 0.1),
        (InverseGaussian(4.0), 0.3, 0.3),
    ],
)
def test_quantiles_are_those_of_the_mixture(family: Family, eta: float, se: float) -> None:
    for p, q in zip((0.025, 0.9), _quantiles(family, eta, se, (0.025, 0.9)), strict=True):
        if not family.discrete:
            assert_allclose(mixture(family, q, eta, se), p, rtol=1e-7)
            continue
        assert q == round(q)
        assert mixture(family, q, eta, se) >= p - 1e-9
        assert q == 0 or mixture(family, q - 1, eta, se) < p + 1e-9


def test_quantiles_of_a_linear_predictor_that_is_known() -> None:
    found = _quantiles(Poisson(), np.log(7.0), 1e-12, (0.025, 0.975))
    assert found == list(scipy.stats.poisson(7.0).ppf([0.025, 0.975]))
    found = _quantiles(Gamma(2.0), 0.0, 1e-12, (0.025, 0.975))
    assert_allclose(found, scipy.stats.gamma(2.0, scale=0.5).ppf([0.025, 0.975]), rtol=1e-9)


def test_prediction_intervals_of_counts() -> None:
    fit = generalized()["poisson"]
    found = fit.predict_interval(COUNTED, 0.9, "prediction", new_levels="population")
    assert np.all(found.lower == np.round(found.lower))
    eta = fit.predict(COUNTED, scale="link", new_levels="population")
    draws = np.random.default_rng(0).standard_normal((40_000, 3)) * found.se + eta
    y = np.random.default_rng(1).poisson(np.exp(draws))
    below, above = np.mean(y < found.lower, axis=0), np.mean(y > found.upper, axis=0)
    assert np.all(below < 0.05 + 0.004)
    assert np.all(above < 0.05 + 0.004)
    # one number further in and it would be too many
    assert np.all(np.mean(y <= found.lower, axis=0) > 0.05 - 0.004)
    assert np.all(np.mean(y >= found.upper, axis=0) > 0.05 - 0.004)


def test_predictions_of_successes_need_their_trials() -> None:
    fit = generalized()["binomial"]
    with pytest.raises(ValueError, match="trials of the new rows are needed"):
        fit.predict_interval(COUNTED, kind="prediction", new_levels="population")
    found = fit.predict_interval(
        COUNTED, kind="prediction", new_levels="population", trials=[10, 20, 30]
    )
    assert np.all(found.upper <= [10, 20, 30])
    p = fit.predict(COUNTED, new_levels="population")
    assert_allclose(found.value, p * [10, 20, 30])
    with pytest.raises(ValueError, match="trials cannot be given"):
        fit.predict_interval(COUNTED, new_levels="population", trials=3)
    with pytest.raises(ValueError, match="trials cannot be given"):
        models()["slopes"].predict_interval(NEW, new_levels="population", trials=3)
    bits = generalized()["probit"].predict_interval(
        COUNTED, kind="prediction", new_levels="population"
    )
    assert set(bits.upper) <= {0.0, 1.0}


def test_a_mean_that_an_inverse_link_does_not_have_is_infinite() -> None:
    fit = generalized()["inverse"]
    found = fit.predict_interval(COUNTED, 1 - 1e-14, new_levels="population")
    assert found.upper[2] == np.inf
    assert np.all(found.lower > 0)
    observed = fit.predict_interval(COUNTED, 0.9, "prediction", new_levels="population")
    assert np.all(np.isfinite(observed.upper))


# ---- arguments ----


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"level": 1.0}, "level must be between 0 and 1"),
        ({"kind": "both"}, "kind must be"),
        ({"new_levels": "drop"}, "new_levels must be"),
        ({"offset": 1.0}, "offset is given"),
    ],
)
def test_wrong_arguments(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        models()["slopes"].predict_interval({"days": [1.0], "subject": ["308"]}, **arguments)


def test_wrong_data() -> None:
    fit = models()["slopes"]
    with pytest.raises(ValueError, match="subject"):
        fit.predict_interval({"days": [1.0]})
    with pytest.raises(ValueError, match="offset"):
        models()["known sigma, offset"].predict_interval({"days": [1.0], "subject": ["308"]})
    with pytest.raises(ValueError, match="residual scale beside its family"):
        generalized()["pql"].predict_interval(COUNTED, kind="prediction", new_levels="population")


def test_data_frames() -> None:
    pd = pytest.importorskip("pandas")
    fit = models()["slopes"]
    new = pd.DataFrame(NEW, index=[5, 6, 7, 8])
    found = fit.predict_interval(new, new_levels="population")
    frame = found.to_pandas()
    assert list(frame.columns) == ["value", "se", "lower", "upper"]
    assert_allclose(frame["se"], found.se)
    assert not found.se.flags.writeable
    formula = ms.lmm_formula("log(reaction) ~ days + (days | subject)", SLEEP)
    rows = {"days": [1.0], "subject": ["308"]}
    assert formula.predict_interval(rows).se[0] > 0


def test_the_print_shows_the_first_rows() -> None:
    fit = ms.lmm_formula("reaction ~ days + (1 | subject)", ms.load_sleepstudy())
    text = str(fit.predict_interval(ms.load_sleepstudy(), 0.9))
    lines = text.splitlines()
    assert lines[0] == "90 % confidence intervals of 180 predictions"
    assert lines[2].split() == ["Value", "SE", "Lower", "Upper"]
    assert len(lines) == 2 + 1 + 20 + 2
    assert lines[-1] == "The first 20 rows"
