"""The dense derivation of profiles: against other densities, closed forms and the engine."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal

import mixedsmooth as ms
from mixedsmooth.derivations.design import grouping_columns, intercept_slope_columns
from mixedsmooth.derivations.profile import (
    estimates,
    is_correlation,
    natural_deviance,
    pieces,
    profile_deviance,
    profile_interval,
    signed_root,
)

RNG = np.random.default_rng(20)
GROUP = np.repeat(np.arange(8), 5)
COVARIATE = RNG.normal(size=40)
X = np.column_stack([np.ones(40), COVARIATE])
Z1, _ = grouping_columns(GROUP)
Z2, _ = intercept_slope_columns(GROUP, COVARIATE)
B = RNG.normal(size=(8, 2)) @ [[1.0, 0.4], [0.0, 0.8]]
Y = 2 + COVARIATE + B[GROUP, 0] + B[GROUP, 1] * COVARIATE + RNG.normal(size=40)
PHI = [1.2, 0.3, 0.7, 0.9]  # sd, correlation, sd, sigma


def of_engine(k: int, method: Any) -> ms.Fit:
    group = ms.group(g=GROUP, x=COVARIATE) if k == 2 else ms.group(g=GROUP)
    return ms.lmm(Y, ms.linear(x=COVARIATE), group, method=method)


def test_pieces() -> None:
    sd, corr, sigma = pieces([3.0, 0.1, 0.2, 2.0, 0.3, 1.0, 5.0], 3)
    assert_allclose(sd, [3, 2, 1])
    assert_allclose(corr, [[1, 0.1, 0.2], [0.1, 1, 0.3], [0.2, 0.3, 1]])
    assert sigma == 5
    assert_allclose(is_correlation(3), [0, 1, 1, 0, 1, 0, 0])


def test_deviance_is_that_of_a_normal_density() -> None:
    S = np.array([[1.44, 0.3 * 1.2 * 0.7], [0.3 * 1.2 * 0.7, 0.49]])
    V = Z2 @ np.kron(np.eye(8), S) @ Z2.T + 0.81 * np.eye(40)
    beta = np.linalg.solve(X.T @ np.linalg.solve(V, X), X.T @ np.linalg.solve(V, Y))
    expected = -2 * multivariate_normal(X @ beta, V).logpdf(Y)
    assert_allclose(natural_deviance(PHI, Y, X, Z2, 2), expected, rtol=1e-12)
    # REML: the density of contrasts K'y with K'K = I, and log|X'X| beside it
    K = np.linalg.svd(X)[0][:, 2:]
    contrasts = multivariate_normal(np.zeros(38), K.T @ V @ K).logpdf(K.T @ Y)
    expected = -2 * contrasts + np.linalg.slogdet(X.T @ X)[1]
    assert_allclose(natural_deviance(PHI, Y, X, Z2, 2, "REML"), expected, rtol=1e-12)


def test_no_positive_definite_covariance() -> None:
    impossible = [1.0, 0.9, -0.9, 1.0, 0.9, 1.0, 1e-9]
    assert natural_deviance(impossible, Y, X, np.hstack([Z1, Z1, Z1]), 3) == np.inf


@pytest.mark.parametrize("method", ["ML", "REML"])
def test_estimates_are_those_of_the_engine(method: Any) -> None:
    phi, d = estimates(Y, X, Z2, 2, method)
    fit = of_engine(2, method)
    r = fit.random["g"]
    expected = [r.sd[0], r.corr[1, 0], r.sd[1], fit.sigma, *fit.beta]
    assert_allclose(phi, expected, rtol=1e-5)
    assert_allclose(d, fit.criterion, rtol=1e-9)
    assert_allclose(natural_deviance(phi, Y, X, Z2, 2, method), d, rtol=1e-9)


@pytest.mark.parametrize("method", ["ML", "REML"])
def test_intervals_are_those_of_the_engine(method: Any) -> None:
    fit = of_engine(1, method)
    intervals = fit.confint(0.8, likelihood=method)
    for which, name in enumerate(intervals.names[:3]):
        ends = profile_interval(which, Y, X, Z1, 1, 0.8, method)
        # the derivation's search ends within 1e-8 of the least deviance
        assert_allclose(ends, intervals[name], rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("method", ["ML", "REML"])
def test_paths_of_slopes_are_those_of_the_engine(method: Any) -> None:
    profile = of_engine(2, method).profile(method)
    phi, least = estimates(Y, X, Z2, 2, method)
    for which, name in enumerate(profile.names):
        path = profile[name]
        for at in (2, -3):
            value, zeta = path.value[at], path.zeta[at]
            d = profile_deviance(which, value, Y, X, Z2, 2, phi, method)
            found = signed_root(value, phi[which], d - least)
            assert_allclose(found, zeta, rtol=1e-5, err_msg=name)


def test_a_correlation_at_its_end_and_a_variance_of_zero() -> None:
    phi, _ = estimates(Y, X, Z2, 2)
    at_one = profile_deviance(1, 1.0, Y, X, Z2, 2, phi)
    near_one = profile_deviance(1, 1 - 1e-9, Y, X, Z2, 2, phi)
    assert_allclose(at_one, near_one, rtol=0, atol=1e-4)
    without = ms.lmm(Y, ms.linear(x=COVARIATE), ms.group(g=GROUP), method="ML").criterion
    assert_allclose(profile_deviance(2, 0.0, Y, X, Z2, 2, phi), without, rtol=0, atol=1e-6)


def test_an_end_that_is_not_reached() -> None:
    noise = np.random.default_rng(3).normal(size=40)
    lower, upper = profile_interval(0, noise, X, Z1, 1)
    assert lower == 0
    assert 0 < upper < 2


def test_signs_and_levels() -> None:
    assert signed_root(3.0, 2.0, 9.0) == 3
    assert signed_root(1.0, 2.0, 9.0) == -3
    assert signed_root(1.0, 2.0, -1e-12) == 0  # rounding
    with pytest.raises(ValueError, match="level"):
        profile_interval(0, Y, X, Z1, 1, 1.5)
    with pytest.raises(ValueError, match="k must be a whole number"):
        estimates(Y, X, Z1, 0)
