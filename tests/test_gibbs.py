"""The Gibbs sampler: against posteriors by quadrature, its priors, and what it is given."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr

import mixedsmooth as ms
from mixedsmooth.derivations.design import grouping_columns, intercept_slope_columns
from mixedsmooth.derivations.gibbs import Draws, HalfT, InverseGamma, Prior, gibbs
from tests.conftest import Rows

FloatArray = NDArray[np.float64]


def assert_mean(draws: ArrayLike, expected: ArrayLike) -> None:
    """Compare means with expectations: within 4.5 standard errors, by the means of 40 batches."""
    chain = np.asarray(draws, dtype=np.float64)
    means = chain.reshape(40, len(chain) // 40, *chain.shape[1:]).mean(axis=1)
    error = means.std(axis=0, ddof=1) / np.sqrt(40)
    z = (means.mean(axis=0) - expected) / error
    assert np.abs(z).max() < 4.5, f"{z} standard errors from {expected!r}"


# ---- one effect: the posterior of a balanced one-way layout, on a grid ----


class OneWay(NamedTuple):
    """A balanced one-way layout of m groups with r rows each."""

    y: FloatArray
    X: FloatArray
    Z: FloatArray
    r: int


@pytest.fixture(scope="module")
def layout() -> OneWay:
    """Six batches of five samples, as the Dyestuff data are."""
    batch = np.repeat(np.arange(6), 5)
    rng = np.random.default_rng(12)
    y = 1500 + 50 * rng.standard_normal(6)[batch] + 50 * rng.standard_normal(30)
    return OneWay(y, np.ones((30, 1)), grouping_columns(batch)[0], 5)


def half_t(scale: float, nu: float) -> Callable[[FloatArray], FloatArray]:
    """Log-density of a half-t standard deviation, up to a constant."""
    return lambda tau: -(nu + 1) / 2 * np.log1p((tau / scale) ** 2 / nu)


def inverse_gamma(epsilon: float) -> Callable[[FloatArray], FloatArray]:
    """Log-density of a standard deviation whose square is inverse gamma, up to a constant."""
    return lambda tau: -(2 * epsilon + 1) * np.log(tau) - epsilon / tau**2


def by_quadrature(
    layout: OneWay, log_prior: Callable[[FloatArray], FloatArray]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Grids of log tau and log sigma and the weights of their posterior; mu is integrated out."""
    y, r = layout.y.reshape(-1, layout.r), layout.r
    m = len(y)
    within = float(np.sum((y - y.mean(axis=1, keepdims=True)) ** 2))
    between = r * float(np.sum((y.mean(axis=1) - y.mean()) ** 2))
    log_tau, log_sigma = np.linspace(-8, 9, 1201)[:, None], np.linspace(3, 5.2, 201)
    tau, sigma = np.exp(log_tau), np.exp(log_sigma)
    omega2 = sigma**2 + r * tau**2
    # the restricted likelihood, the prior of tau, and the Jacobian of log tau; log sigma is flat
    log_p = -m * (r - 1) * log_sigma - within / (2 * sigma**2)
    log_p = log_p - (m - 1) / 2 * np.log(omega2) - between / (2 * omega2)
    log_p = log_p + log_prior(tau) + log_tau
    p = np.exp(log_p - log_p.max())
    return tau, sigma, p / p.sum()


@pytest.mark.parametrize(
    ("prior", "log_prior"),
    [
        (HalfT(50.0), half_t(50.0, 2)),
        (HalfT([10.0], nu=1), half_t(10.0, 1)),
        (InverseGamma(20.0), inverse_gamma(20.0)),
        (InverseGamma(0.1), inverse_gamma(0.1)),
    ],
    ids=["half-t", "half-Cauchy", "inverse gamma", "vague inverse gamma"],
)
def test_one_effect_has_the_posterior_of_the_quadrature(
    layout: OneWay, prior: Prior, log_prior: Callable[[FloatArray], FloatArray]
) -> None:
    y, X, Z, r = layout
    found = gibbs(y, X, Z, 1, prior, draws=8_000, seed=3)
    tau, sigma, p = by_quadrature(layout, log_prior)
    sd = found.sd[:, 0]
    # the distribution function of tau, at its quartiles and in its lower tail
    F = np.cumsum(p.sum(axis=1))
    for share in (0.05, 0.25, 0.5, 0.75, 0.95):
        at = int(np.searchsorted(F, share))
        assert_mean(sd <= np.exp(np.log(tau[at, 0]) + 17 / 2400), F[at])
    assert_mean(found.sigma, np.sum(p * sigma))
    assert_mean(found.sigma**2, np.sum(p * sigma**2))
    # E b_j = E[shrinkage] (mean_j - mean), E beta = mean, Var beta = E[omega^2] / n
    shrinkage = np.sum(p * r * tau**2 / (sigma**2 + r * tau**2))
    assert_mean(found.b[:, :, 0], shrinkage * (y.reshape(-1, r).mean(axis=1) - y.mean()))
    assert_mean(found.beta[:, 0], y.mean())
    if not isinstance(prior, HalfT) or prior.nu > 1:  # else heavy tails: no steady mean
        variance = np.sum(p * (sigma**2 + r * tau**2)) / len(y)
        assert_mean((found.beta[:, 0] - y.mean()) ** 2, variance)


# ---- two effects ----


@pytest.fixture(scope="module")
def drivers() -> Rows:
    """Sleep study, an intercept and a slope for each driver."""
    sleep = ms.load_sleepstudy()
    X = np.column_stack([np.ones(180), sleep.days])
    return Rows(sleep.reaction, X, intercept_slope_columns(sleep.subject, sleep.days)[0])


def test_two_effects_have_the_posterior_of_the_quadrature(drivers: Rows) -> None:
    y, X, Z = drivers
    found = gibbs(y, X, Z, 2, HalfT([50.0, 10.0]), draws=10_000, seed=4)
    # every driver has the same days: the 18 least-squares lines and what is left of them suffice
    x = X[:10]
    lines, rss, *_ = np.linalg.lstsq(x, y.reshape(18, 10).T)
    d = lines - lines.mean(axis=1, keepdims=True)
    S, G = d @ d.T, np.linalg.inv(x.T @ x)
    log_1, log_2 = np.linspace(1.5, 4.8, 45), np.linspace(0.3, 3.3, 45)
    rho, log_s = np.linspace(-0.98, 0.98, 45), np.linspace(2.9, 3.6, 31)
    s1, s2, r, s = np.meshgrid(np.exp(log_1), np.exp(log_2), rho, np.exp(log_s), indexing="ij")
    # the covariance of a driver's line, and the restricted likelihood of lines and residuals
    a, b, c = s1**2 + s**2 * G[0, 0], s2**2 + s**2 * G[1, 1], r * s1 * s2 + s**2 * G[0, 1]
    det = a * b - c**2
    log_p = -144 * np.log(s) - rss.sum() / (2 * s**2) - 17 / 2 * np.log(det)
    log_p -= (b * S[0, 0] + a * S[1, 1] - 2 * c * S[0, 1]) / (2 * det)
    # the prior of Huang and Wand with nu = 2, s integrated out: |Sigma|^-3 over the product of
    # (2 (Sigma^-1)_ii + 1 / A_i^2)^2; and the Jacobian from Sigma to logarithms and correlation
    log_p -= 3 * np.log((s1 * s2) ** 2 * (1 - r**2)) - 3 * np.log(s1 * s2)
    for sd, scale in ((s1, 50.0), (s2, 10.0)):
        log_p -= 2 * np.log(2 / (sd**2 * (1 - r**2)) + 1 / scale**2)
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    assert_mean(found.sd, [np.sum(p * s1), np.sum(p * s2)])
    assert_mean(found.corr[:, 0, 1], np.sum(p * r))
    assert_mean(found.corr[:, 0, 1] ** 2, np.sum(p * r**2))
    assert_mean(found.sigma, np.sum(p * s))
    assert_mean(found.beta, lines.mean(axis=1))
    covariance = np.array([[np.sum(p * a), np.sum(p * c)], [np.sum(p * c), np.sum(p * b)]]) / 18
    deviation = found.beta - lines.mean(axis=1)
    assert_mean(deviation[:, :, None] * deviation[:, None, :], covariance)


# ---- priors, met again where the data say nothing ----


@pytest.fixture(scope="module")
def silent() -> Rows:
    """Two effects in each of three groups, with columns of zeros."""
    rng = np.random.default_rng(8)
    return Rows(rng.standard_normal(12), np.ones((12, 1)), np.zeros((12, 6)))


def prior_draws(silent: Rows, prior: Prior) -> Draws:
    return gibbs(*silent, 2, prior, draws=8_000, seed=5)


def test_half_t_standard_deviations_and_uniform_correlations_are_the_prior(silent: Rows) -> None:
    found = prior_draws(silent, HalfT([3.0, 0.5]))
    for sd, scale in zip(found.sd.T, (3.0, 0.5), strict=True):
        for t in (0.2, 0.8, 2.0, 4.0):
            assert_mean(sd <= scale * t, 2 * stdtr(2, t) - 1)
    for below in (-0.8, -0.3, 0.4):
        assert_mean(found.corr[:, 0, 1] <= below, (1 + below) / 2)


def test_half_cauchy_standard_deviations_are_the_prior(silent: Rows) -> None:
    found = prior_draws(silent, HalfT(2.0, nu=1))
    for t in (0.2, 0.8, 2.0, 8.0):
        assert_mean(found.sd[:, 1] <= 2 * t, 2 / np.pi * np.arctan(t))


def test_inverse_gamma_variances_are_the_prior(silent: Rows) -> None:
    found = prior_draws(silent, InverseGamma(2.0))
    for x in (0.4, 1.0, 3.0):  # P(1 / variance >= x) = (1 + 2 x) exp(-2 x), of Gamma(2, rate 2)
        assert_mean(found.sd**2 <= 1 / x, (1 + 2 * x) * np.exp(-2 * x))


# ---- what comes back ----


def test_draws_have_their_shapes_and_are_read_only(drivers: Rows) -> None:
    found = gibbs(*drivers, 2, HalfT([50.0, 10.0]), draws=7, warmup=3, seed=6)
    assert found.beta.shape == (7, 2)
    assert found.b.shape == (7, 18, 2)
    assert found.sigma.shape == (7,)
    assert found.Sigma.shape == found.corr.shape == (7, 2, 2)
    assert_array_equal(found.Sigma, found.Sigma.transpose(0, 2, 1))
    assert_allclose(found.sd**2, [np.diag(Sigma) for Sigma in found.Sigma], rtol=1e-14)
    assert_allclose(np.diagonal(found.corr, axis1=1, axis2=2), 1, rtol=1e-14)
    assert not any(array.flags.writeable for array in found)


def test_a_seed_gives_the_draws_again_and_the_warmup_is_thrown_away(layout: OneWay) -> None:
    y, X, Z, _ = layout

    def sigma(draws: int, warmup: int, seed: int | None) -> FloatArray:
        return gibbs(y, X, Z, 1, HalfT(50.0), draws=draws, warmup=warmup, seed=seed).sigma

    assert_array_equal(sigma(20, 10, 7)[5:], sigma(15, 15, 7))
    assert not np.array_equal(sigma(20, 10, 7), sigma(20, 10, 8))
    assert not np.array_equal(sigma(20, 10, None), sigma(20, 10, None))


def test_other_units_and_another_origin_change_the_draws_with_them(drivers: Rows) -> None:
    y, X, Z = drivers
    options: dict[str, Any] = {"draws": 50, "seed": 9}
    ours = gibbs(y, X, Z, 2, HalfT([50.0, 10.0]), **options)
    moved = gibbs(y / 1000 + 3 - X[:, 1], X, Z, 2, HalfT([0.05, 0.01]), **options)
    assert_allclose(moved.sd, ours.sd / 1000, rtol=1e-3)
    assert_allclose(moved.beta, ours.beta / 1000 + [3, -1], rtol=1e-3)


@pytest.mark.parametrize("unit", [1e-9, 1e9])
def test_the_start_is_forgotten_in_any_units(layout: OneWay, unit: float) -> None:
    y, X, Z, _ = layout
    found = gibbs(y, X, Z * unit, 1, HalfT(50 / unit), draws=4_000, seed=10)
    tau, _, p = by_quadrature(layout, half_t(50.0, 2))
    F = np.cumsum(p.sum(axis=1))
    at = int(np.searchsorted(F, 0.5))
    assert_mean(found.sd[:, 0] * unit <= tau[at, 0], F[at])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y": [1.0, 2.0]}, "X has 180 rows where the other arguments have 2"),
        ({"X": np.ones((180, 2))}, "X has 2 columns but rank 1"),
        ({"k": 0}, "k must be a whole number of at least 1, found 0"),
        ({"k": 5}, "Z has 36 columns, and k = 5 effects a group make no two groups"),
        ({"k": 36}, "Z has 36 columns, and k = 36 effects a group make no two groups"),
        ({"prior": "half-t"}, r"prior must be HalfT\(scale\) or InverseGamma\(epsilon\), found"),
        ({"prior": HalfT(0.0)}, "scale must be one number above zero"),
        ({"prior": HalfT([1.0, 2.0, 3.0])}, "or one for each of the 2 effects of a group"),
        ({"prior": HalfT([1.0, np.nan])}, "scale has 1 value"),
        ({"prior": HalfT(1.0, nu=0)}, "nu must be a finite number above zero, found 0"),
        ({"prior": InverseGamma(0.0)}, "epsilon must be a finite number above zero, found 0"),
        ({"draws": 0}, "draws must be a whole number of at least 1, found 0"),
        ({"warmup": -1}, "warmup must be a whole number of at least 0, found -1"),
        ({"seed": 1.5}, "seed must be a whole number, found 1.5"),
        ({"seed": -1}, "seed must be a whole number of at least 0, found -1"),
        ({"Z": np.ones((180, 1000))}, "X and Z have 1002 columns"),
        ({"y": np.arange(180.0) % 10}, "by the 38 columns of X and Z without error"),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else "",
)
def test_bad_input_is_told(drivers: Rows, change: dict[str, Any], message: str) -> None:
    given = {**drivers._asdict(), "k": 2, "prior": HalfT(50.0), "draws": 2, "warmup": 0}
    with pytest.raises(ValueError, match=message):
        gibbs(**given | change)
