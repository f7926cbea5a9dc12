"""A reader's own design and penalty: what other terms are cases of."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

import mixedsmooth as ms
from mixedsmooth.inference.parameters import parameters
from mixedsmooth.model.bases import cr, ps
from mixedsmooth.model.smooths import construct

FloatArray = NDArray[np.float64]

RNG = np.random.default_rng(0)
N = 60
X = RNG.uniform(size=N)
Y = np.sin(6 * X) + RNG.normal(size=N) / 3
LABELS = np.repeat(list("abcdef"), 10)


@pytest.mark.parametrize("make", [ps, cr])
@pytest.mark.parametrize("method", ["REML", "ML", "GCV"])
def test_a_smooth_by_its_design_and_penalty(make: Any, method: Any) -> None:
    basis = make(X, 10, name="x")
    own = ms.penalized("f", basis.columns(X), basis.S, lambda data: basis.columns(data["x"]))
    smooth = ms.smooth(x=X, basis=basis.kind, k=10)
    fits = ms.lmm(Y, own, method=method), ms.lmm(Y, smooth, method=method)
    # each at the lowest place that its search finds
    assert_allclose(fits[0].fitted, fits[1].fitted, atol=1e-6)
    # and at the same place; a smooth divides its penalty by a scale
    scale = construct(X, basis.kind, 10).scale
    fits = fits[0].refit(theta=np.sqrt(scale) * fits[1].theta), fits[1]
    assert_allclose(fits[0].fitted, fits[1].fitted, atol=1e-9)
    new = {"x": np.linspace(X.min(), X.max(), 7)}
    assert_allclose(fits[0].predict(new), fits[1].predict(new), atol=1e-9)
    assert_allclose(fits[0].criterion, fits[1].criterion, rtol=1e-9)
    assert fits[0].edf["f"] == pytest.approx(fits[1].edf["s(x)"], rel=1e-8)
    assert_allclose(fits[0].predict_interval(new).se, fits[1].predict_interval(new).se, rtol=1e-8)


def test_a_smooth_in_a_generalized_model_with_groups_and_weights() -> None:
    basis, counts = ps(X, 8, name="x"), RNG.poisson(np.exp(1 + np.sin(6 * X))).astype(float)
    own = ms.penalized("f", basis.columns(X), basis.S)
    smooth, group = ms.smooth(x=X, basis="ps", k=8), ms.group(g=LABELS)
    one, other = (ms.glmm(counts, term, group) for term in (own, smooth))
    assert_allclose(one.criterion, other.criterion, rtol=1e-8)
    assert_allclose(one.fitted, other.fitted, rtol=1e-5)
    w = RNG.uniform(0.5, 2, N)
    linear, usual = (ms.lmm(Y, term, group, weights=w) for term in (own, smooth))
    assert_allclose(linear.criterion, usual.criterion, rtol=1e-8)
    assert_allclose(linear.fitted, usual.fitted, atol=1e-6)


def test_a_group_by_its_indicators() -> None:
    Z = (LABELS[:, None] == np.unique(LABELS)).astype(float)
    y = Y + np.repeat(RNG.normal(size=6), 10)
    one, other = ms.lmm(y, ms.penalized("g", Z, np.eye(6))), ms.lmm(y, ms.group(g=LABELS))
    assert_allclose(one.criterion, other.criterion, rtol=1e-11)
    assert_allclose(one.fitted, other.fitted, atol=1e-6)
    # the penalty is as it was given, so that tau^2 is the variance of a coefficient
    assert_allclose(parameters(one).values, parameters(other).values, rtol=1e-5)
    assert parameters(one).names == ["sd g", "sigma", "(Intercept)"]


def test_ridge_regression_in_closed_form() -> None:
    Z = RNG.normal(size=(N, 9))
    y = 2 + Z @ RNG.normal(size=9) / 2 + RNG.normal(size=N)
    fit = ms.lmm(y, ms.penalized("ridge", Z, np.eye(9), predict=lambda data: data["Z"]))
    lam = fit.sigma**2 / float(fit.random["ridge"].cov[0, 0])
    D = np.column_stack([np.ones(N), Z])
    beta = np.linalg.solve(D.T @ D + lam * np.diag([0.0] + [1.0] * 9), D.T @ y)
    assert_allclose(fit.fitted, D @ beta, atol=1e-10)
    assert fit.beta[0] == pytest.approx(beta[0])
    assert_allclose(fit.predict({"Z": np.eye(9)}), beta[0] + beta[1:], atol=1e-10)


def test_a_penalty_in_other_units_is_the_same_fit() -> None:
    Z, S = RNG.normal(size=(N, 5)), np.diag([1.0, 2, 3, 4, 5])
    one, other = (ms.lmm(Y, ms.penalized("p", Z, c * S)) for c in (1.0, 1e6))
    assert_allclose(other.criterion, one.criterion, rtol=1e-10)
    turn = np.linalg.qr(RNG.normal(size=(5, 5)))[0]
    turned = ms.lmm(Y, ms.penalized("p", Z @ turn, turn.T @ S @ turn))
    assert_allclose(turned.criterion, one.criterion, rtol=1e-10)
    assert_allclose(turned.fitted, one.fitted, atol=1e-6)


def test_what_is_free_is_centered_where_it_has_a_constant() -> None:
    hats = np.maximum(1 - np.abs(X[:, None] * 5 - np.arange(6)), 0)  # they sum to one
    D = np.diff(np.eye(6), axis=0)
    with_constant = ms.lmm(Y, ms.penalized("f", hats, D.T @ D))
    assert with_constant.names == ["(Intercept)"]
    assert abs(float(np.sum(with_constant.fitted - with_constant.beta[0]))) < 1e-8
    line = np.column_stack([X, np.maximum(X[:, None] - [0.3, 0.6], 0)])
    without = ms.lmm(Y, ms.penalized("f", line, np.diag([0.0, 1, 1])))
    assert without.names == ["(Intercept)", "f"]
    plain = ms.lmm(Y, ms.linear(x=X), ms.penalized("f", line[:, 1:], np.eye(2)))
    assert_allclose(without.criterion, plain.criterion, rtol=1e-10)
    assert_allclose(without.fitted, plain.fitted, atol=1e-7)


def test_rows_that_miss_a_value_are_dropped() -> None:
    Z: FloatArray = RNG.normal(size=(N, 4))
    holes = Z.copy()
    holes[5, 2] = holes[9, 0] = np.nan
    rows = np.delete(np.arange(N), [5, 9])
    fit = ms.lmm(Y[rows], ms.penalized("p", Z[rows], np.eye(4)))
    for given in (holes, pd.DataFrame(holes), holes.tolist(), np.ma.masked_invalid(holes)):
        dropped = ms.lmm(Y, ms.penalized("p", given, np.eye(4)), missing="drop")
        assert_array_equal(dropped.rows, rows)
        assert dropped.criterion == fit.criterion
    with pytest.raises(ValueError, match=r"missing values \(p.1 1, p.3 1\) in 2 of 60 rows"):
        ms.lmm(Y, ms.penalized("p", holes, np.eye(4)))


def test_new_columns_are_made_once_for_each_prediction() -> None:
    calls = []

    def predict(data: Any) -> FloatArray:
        calls.append(data)
        return np.column_stack([data["x"], np.square(data["x"])])

    fit = ms.lmm(Y, ms.penalized("p", predict({"x": X}), np.eye(2), predict))
    new = {"x": np.array([0.1, 0.2])}
    first = fit.predict(new)
    assert len(calls) == 2
    new["x"] = np.array([0.3, 0.4])  # of the same dict
    assert np.all(fit.predict(new) != first)
    assert fit.formula is None
    assert "p.1" not in str(fit)
    assert "2 columns" in str(fit)
