"""The sparse engine: the same criterion, optimum and effects as the blocked one."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import mixedsmooth as ms
from mixedsmooth.model import blocked, problem, sparse
from mixedsmooth.model.covariance import Full, pack_slopes, unpack
from mixedsmooth.model.engine import Factor, Shape
from tests.test_blocked import MODELS, RandomModel, method_of

SOME = MODELS[::8]


@pytest.mark.parametrize("model", SOME, ids=lambda model: str(model.seed))
def test_the_optimum_is_the_blocked_engines(
    model: RandomModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = method_of(model)
    dense = ms.lmm(model.y, *model.terms, method=method, weights=model.weights)
    monkeypatch.setattr(problem, "DENSE_TAIL", -1)
    fit = ms.lmm(model.y, *model.terms, method=method, weights=model.weights)
    assert isinstance(fit.factorization, sparse.Factorization)
    # the slope is taken by differences: the criterion is right to 1e-6 all the same
    assert_allclose(fit.criterion, dense.criterion, rtol=0, atol=2e-5)
    scale = np.abs(dense.residuals).max()
    assert_allclose(fit.fitted, dense.fitted, rtol=0, atol=0.02 * scale)


def crossed() -> tuple[list[Factor], np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    n, ones = 400, np.ones(400)
    x = rng.normal(size=n)
    factors = [
        Factor(rng.integers(0, 30, n), (ones, x), Shape(30, Full(2))),
        Factor(rng.integers(0, 12, n), (ones,), Shape(12, Full(1))),
    ]
    y = rng.normal(size=n) + 0.7 * rng.normal(size=30)[factors[0].codes]
    return factors, np.column_stack([ones, x]), y, rng.uniform(0.5, 2, n)


@pytest.mark.parametrize("reml", [False, True])
def test_each_function_is_the_blocked_engines(reml: bool) -> None:
    factors, X, y, w = crossed()
    theta = np.array([0.8, -0.3, 0.4, 0.6])
    A, S = blocked.cross_products(factors, X, y, w), sparse.cross_products(factors, X, y, w)
    T = unpack(theta, A.covariances)
    f, g = A.factorize(T), S.factorize(T)
    value = f.deviance(reml)
    assert_allclose(g.deviance(reml), value, rtol=1e-12)
    # central differences with step 1e-4 of a function of about 1e3, rounded to 1e-13 of that
    slope = pack_slopes(f.gradient(reml), A.covariances)
    assert_allclose(pack_slopes(g.gradient(reml), S.covariances), slope, rtol=0, atol=1e-5)
    for ours, theirs in zip(g.solve()[1], f.solve()[1], strict=True):
        assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    for ours, theirs in zip(g.conditional_covariances(), f.conditional_covariances(), strict=True):
        assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
    # estimated from 32 random vectors
    for ours, theirs in zip(g.degrees_of_freedom(reml), f.degrees_of_freedom(reml), strict=True):
        assert_allclose(ours, theirs, rtol=0.1)


def test_pupils_in_classes_in_schools() -> None:
    # 4,300 classes and schools in the tail: too many for a dense matrix
    rng = np.random.default_rng(2)
    school = rng.integers(0, 300, 15_000)
    room = school * 14 + rng.integers(0, 14, 15_000)
    pupil = room * 2 + rng.integers(0, 2, 15_000)
    effects = 0.5 * rng.normal(size=300)[school] + 0.8 * rng.normal(size=8_400)[pupil]
    y = effects + 0.4 * rng.normal(size=4_200)[room] + rng.normal(size=15_000)
    fit = ms.lmm(y, ms.group(pupil=pupil), ms.group(room=room), ms.group(school=school))
    assert isinstance(fit.factorization, sparse.Factorization)
    assert fit.converged
    # about four standard errors of a standard deviation of 300 effects, less for the others
    assert_allclose(fit.theta, [0.8, 0.4, 0.5], atol=0.1)
