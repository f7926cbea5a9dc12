"""Many fits at once: the criterion, its slope, and the optimum, beside the engine one by one."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

import mixedsmooth as ms
from mixedsmooth.inference import together
from mixedsmooth.inference.parameters import parameters
from mixedsmooth.inference.together import Responses, design_of, parameters_of, serves
from mixedsmooth.model.covariance import pack_slopes, unpack

FloatArray = NDArray[np.float64]

SLEEP, PASTES = ms.load_sleepstudy(), ms.load_pastes()
KEPT = np.random.default_rng(0).random(180) < 0.6
SUBJECT, DAYS, REACTION = SLEEP.subject[KEPT], SLEEP.days[KEPT], SLEEP.reaction[KEPT]
FEW = np.isin(SUBJECT, np.unique(SUBJECT)[:6])
# Davies and Goldsmith (1972), table 6.1: yields of dyestuff from six batches
DYESTUFF = np.fromstring(
    """1545 1440 1440 1520 1580  1540 1555 1490 1560 1495  1595 1550 1605 1510 1560
       1445 1440 1595 1465 1545  1595 1630 1515 1635 1625  1520 1455 1450 1480 1445""",
    sep=" ",
)
BATCH = np.repeat(list("ABCDEF"), 5)

MODELS = (
    "balanced",
    "unbalanced, ML",
    "uncorrelated",
    "three effects",
    "weights and offset",
    "known sigma",
    "few groups",
    "nested",
    "crossed, ML",
    "two terms of one factor",
    "slopes in the tail",
    "one-way",
    "on the boundary",
    "no intercept",
)


@cache
def models() -> dict[str, ms.Fit]:
    rng = np.random.default_rng(5)
    days, x = ms.linear(days=DAYS), rng.normal(size=len(DAYS))
    slopes = ms.group(subject=SUBJECT, days=DAYS)
    w = rng.uniform(0.5, 3, len(DAYS))
    item = rng.integers(0, 4, 180)
    crossed = ms.group(batch=PASTES.batch), ms.group(cask=PASTES.cask)
    return {
        "balanced": ms.lmm_formula("reaction ~ days + (days | subject)", SLEEP),
        "unbalanced, ML": ms.lmm(REACTION, days, slopes, method="ML"),
        "uncorrelated": ms.lmm(
            REACTION, days, ms.group(subject=SUBJECT, days=DAYS, correlated=False)
        ),
        "three effects": ms.lmm(REACTION, days, ms.group(subject=SUBJECT, days=DAYS, x=x)),
        "weights and offset": ms.lmm(REACTION, days, slopes, weights=w, offset=DAYS**2),
        "known sigma": ms.lmm(REACTION, days, slopes, sigma=25.0),
        "few groups": ms.lmm(
            REACTION[FEW],
            ms.linear(days=DAYS[FEW]),
            ms.group(subject=SUBJECT[FEW], days=DAYS[FEW]),
        ),
        "nested": ms.lmm(
            PASTES.strength, ms.group(batch=PASTES.batch), ms.group(sample=PASTES.sample)
        ),
        "crossed, ML": ms.lmm(PASTES.strength, *crossed, method="ML"),
        "two terms of one factor": ms.lmm(
            REACTION,
            days,
            ms.group(subject=SUBJECT),
            ms.group(subject=SUBJECT, intercept=False, days=DAYS),
        ),
        "slopes in the tail": ms.lmm(
            SLEEP.reaction + 9 * item + 2 * item * SLEEP.days,
            ms.linear(days=SLEEP.days),
            ms.group(subject=SLEEP.subject),
            ms.group(item=item, days=SLEEP.days),
            weights=rng.uniform(0.5, 3, 180),
        ),
        "one-way": ms.lmm(DYESTUFF, ms.group(batch=BATCH), method="ML"),
        "on the boundary": ms.lmm(SLEEP.days + 0.1 * x[0], ms.group(subject=SLEEP.subject)),
        "no intercept": ms.lmm(
            REACTION, ms.linear(days=DAYS, intercept=False), ms.group(subject=SUBJECT)
        ),
    }


@pytest.mark.parametrize("name", MODELS)
def test_criterion_and_slope_are_those_of_the_engine(name: str) -> None:
    fit = models()[name]
    assert serves(fit)
    rng, reml = np.random.default_rng(2), fit.method == "REML"
    problem, w = fit.problem, fit.model.weights
    y = rng.standard_normal((4, fit.n)) + fit.model.y / np.std(fit.model.y)
    theta = np.concatenate([fit.theta[None] * 0, rng.uniform(0.1, 1.5, (3, len(fit.theta)))])
    state = Responses.of(design_of(fit), y).state(theta)
    known = fit.model.sigma
    variance = None if known is None else (known / fit.scales.y_scale) ** 2
    covariances = fit.model.covariances
    for r in range(4):
        A = fit.factorization.A.with_response(problem.factors, problem.X, y[r], w)
        f = A.factorize(unpack(theta[r], covariances))
        assert_allclose(state.deviance[r], f.deviance(reml, variance), rtol=1e-11)
        slope = pack_slopes(f.gradient(reml, variance), covariances)
        assert_allclose(state.slope[r], slope, rtol=1e-7, atol=1e-8)
        assert_allclose(state.beta[r], f.solve()[0], rtol=1e-8, atol=1e-10)
        assert_allclose(state.variance[r], f.residual_variance(reml, variance), rtol=1e-11)


@pytest.mark.parametrize("name", MODELS)
def test_optima_are_those_found_one_by_one(name: str) -> None:
    fit, R = models()[name], 60
    y = fit.simulate(R, seed=3)
    optima = design_of(fit).search(y)
    assert optima.found.all()
    alone = [fit.with_response(row) for row in y]
    # a search ends where another step would gain less than 1e-6
    assert_allclose(optima.criterion, [f.criterion for f in alone], rtol=0, atol=1e-6)
    assert_array_equal(optima.singular, [f.on_boundary for f in alone])
    inside = ~optima.singular
    found = parameters_of(optima, fit)[inside]
    theirs = np.array([parameters(f).values for f in alone])[inside].reshape(found.shape)
    scale = np.abs(theirs).mean(axis=0)
    # to first order the criterion does not see the error, so parameters have half the digits
    assert np.all(np.abs(found - theirs) <= 2e-3 * scale)
    assert np.median(np.abs(found - theirs) / scale) < 1e-6
    for r in range(3):
        theta = fit.problem.theta([T[r] for T in optima.T])
        held = fit.with_response(y[r], theta=theta)
        assert_allclose(held.criterion, optima.criterion[r], rtol=1e-11)
        assert held.on_boundary == optima.singular[r]
        assert_allclose(held.beta, optima.beta[r], rtol=1e-9)
        assert_allclose(held.sigma, optima.sigma[r], rtol=1e-9)


def test_a_replicate_does_not_depend_on_the_others() -> None:
    fit = models()["unbalanced, ML"]
    y, design = fit.simulate(40, seed=8), design_of(models()["unbalanced, ML"])
    all_of_them, few = design.search(y), design.search(y[10:13])
    assert_allclose(all_of_them.criterion[10:13], few.criterion, rtol=1e-12)
    assert_allclose(all_of_them.beta[10:13], few.beta, rtol=1e-8)


def test_equal_levels_are_one_class() -> None:
    assert_array_equal(design_of(models()["balanced"]).count, [18.0])
    unbalanced = design_of(models()["unbalanced, ML"])
    assert unbalanced.count.sum() == 18
    assert len(unbalanced.count) > 10
    # one intercept a level: a class for each number of rows
    sizes = np.bincount(np.unique(SUBJECT, return_inverse=True)[1])
    intercepts = design_of(ms.lmm(REACTION, ms.group(subject=SUBJECT)))
    assert_array_equal(np.sort(intercepts.count), np.sort(np.unique(sizes, return_counts=True)[1]))


def test_what_is_not_searched_together() -> None:
    size = ms.load_volvo()
    epil = ms.load_epil()
    curve = ms.smooth(size=size.size, basis="cr", k=5)
    rng = np.random.default_rng(1)
    g, h = rng.integers(0, 90, 400), rng.integers(0, 80, 400)
    many = rng.normal(size=3300)
    other: dict[str, Any] = {
        "smooth": ms.lmm(size.wear, curve),
        "GCV": ms.lmm(size.wear, curve, method="GCV"),
        "counts": ms.glmm(epil.y, ms.group(subject=epil.subject)),
        "no effects": ms.lmm(SLEEP.reaction, ms.linear(days=SLEEP.days)),
        "large tail": ms.lmm(rng.normal(size=400) + g % 7, ms.group(g=g), ms.group(h=h)),
        "many classes": ms.lmm(
            many + rng.normal(size=3300), ms.group(g=np.repeat(np.arange(1100), 3), x=many)
        ),
    }
    assert not any(serves(fit) for fit in other.values())


def test_searches_that_do_not_end_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = models()["unbalanced, ML"]
    y = fit.simulate(5, seed=1)
    monkeypatch.setattr(together, "ROUNDS", 2)
    assert not design_of(fit).search(y).found.any()
    monkeypatch.undo()

    def fails(self: Responses, theta: FloatArray) -> Any:
        if len(theta) == 5 and not np.allclose(theta, theta[0]):
            raise np.linalg.LinAlgError
        return state(self, theta)

    state = Responses.state
    monkeypatch.setattr(Responses, "state", fails)
    assert not design_of(fit).search(y).found.any()


def test_a_search_that_begins_on_the_boundary_is_not_taken_for_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # at zero the slope vanishes: a little further out the criterion is lower, if zero is no optimum
    fit = models()["one-way"]
    y = fit.simulate(80, seed=3)
    singular = design_of(fit).search(y).singular
    assert 0 < singular.sum() < 80
    monkeypatch.setattr(together, "INSIDE", 0.0)
    at_zero = design_of(fit.refit(theta=[0.0])).search(y)
    assert_array_equal(at_zero.found, singular)
    assert at_zero.singular[at_zero.found].all()
