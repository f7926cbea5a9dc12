"""Families on hard data: far from it, near the ends of parameters, with several minima."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from scipy.special import gammaln

import mixedsmooth as ms
from mixedsmooth.model import blocked, laplace, problem
from mixedsmooth.model.covariance import Scalar
from mixedsmooth.model.families import Gamma, InverseGaussian, NegativeBinomial
from mixedsmooth.model.glmm import _factorize
from mixedsmooth.model.optimize import _descend_marginal, _to_minimum, leave_boundary

FloatArray = NDArray[np.float64]


# ---- far out ----


def test_means_that_overflow_are_no_warning() -> None:
    # an error in these tests
    found = NegativeBinomial(2.0).moments(np.array([0.0, 3.0]), np.array([800.0, -800.0]))
    assert_allclose(found.score, [-2.0, 3.0])
    assert_allclose([found.weight, found.expected], [[0, 0], [2, 0]], atol=1e-300)
    assert_allclose(found.log_density[1], -2400)


def test_ratios_that_underflow_keep_their_density() -> None:
    gamma, y, eta = Gamma(0.05), np.array([1e-300]), np.array([90.0])
    found = gamma.moments(y, eta).log_density + gamma.constants(y)
    # scipy.stats has infinity there
    formula = -0.95 * np.log(y) + 0.05 * (np.log(0.05) - eta) - gammaln(0.05)
    assert_allclose(found, formula, rtol=1e-13)


# ---- the size of a negative binomial ----


def test_a_finite_size_is_not_called_infinite() -> None:
    # drawn with size 8; PQL's effects leave so little variance that a search that begins with the
    # size that is best beside them begins, and ends, at infinity
    y = "180121520367100025211307022011020002203150111232402003118101001002121103031002"
    x = (
        "26 -188 -55 17 49 -7 -141 25 7 -190 -216 -210 46 -12 145 5 -141 -234 -6 -74 -105 -145 70 "
        "-201 240 -40 -75 72 50 -137 -30 -15 189 -23 76 -135 -10 38 -50 29 -144 147 45 11 90 -32 "
        "61 6 -64 141 30 71 90 10 -29 -135 -16 -3 -5 161 177 202 5 -6 263 -50 -12 45 -6 17 71 -123 "
        "48 21 32 160 66 -8"
    )
    g = "015622212511130325546524355516424640635103425213552521635616164666510613122656"
    counts, column = np.array(list(y), float), np.array(x.split(), float) / 100
    slopes = ms.group(g=list(g), x=column, correlated=False)
    fit = ms.glmm(counts, ms.linear(x=column), slopes, family="negative-binomial")
    poisson = ms.glmm(counts, ms.linear(x=column), slopes)
    assert np.isfinite(fit.family.log_parameters[0])
    assert fit.criterion < poisson.criterion - 0.05


# ---- minima at variances of zero ----


class TwoMinima:
    """Stands for a deviance: 0 at theta = 0, and about 0.01 at the minimum near theta = 0.4."""

    data = SimpleNamespace(covariances=(Scalar(1),))
    lowest: tuple[float, Any] = (np.inf, None)

    def value(self, at: FloatArray) -> float:
        t = float(at[0]) ** 2
        value = 100 * (t * (t - 0.16) ** 2 + 0.0006 * t)
        self.lowest = min(self.lowest, (value, at), key=lambda found: found[0])
        return value

    def value_and_slope(
        self, x: FloatArray, origin: FloatArray, unit: FloatArray
    ) -> tuple[float, FloatArray]:
        at = origin + unit @ x
        t = float(at[0]) ** 2
        by_t = 100 * ((t - 0.16) ** 2 + 2 * t * (t - 0.16) + 0.0006)
        return self.value(at), unit.T @ (2 * at * by_t)

    def parted(self, at: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        return at, np.empty(0), np.empty(0)


def test_a_lower_minimum_at_zero_is_found() -> None:
    deviance: Any = TwoMinima()
    unit = np.array([[0.2]])
    assert abs(_to_minimum(deviance, np.array([0.5]), unit)[0] - 0.4) < 0.05
    assert _descend_marginal(deviance, np.array([0.5]), unit) == 0


def test_rounding_keeps_no_variance_from_zero() -> None:
    def criterion(theta: FloatArray) -> float:  # with an error in its tenth digit
        return 2000 + float(theta[0] ** 2) + (3e-10 if theta[0] == 0 else 0.0)

    theta, ended = leave_boundary(np.array([1e-7]), [Scalar(1)], criterion)
    assert ended
    assert theta == 0


# ---- inverse links ----


@pytest.mark.parametrize("seed", [9, 11])
def test_the_inverse_link_begins_inside_its_domain(seed: int) -> None:
    # with a shape of 0.07 the inverses of y spread over a hundred powers of ten
    rng = np.random.default_rng(seed)
    g = np.arange(60) % 6
    y = rng.gamma(0.07, 1 / 0.07, 60) / (1 + 0.1 * rng.normal(size=6)[g])
    fit = ms.glmm(y, ms.group(g=g.tolist()), family="gamma", link="inverse")
    assert fit.converged
    assert np.all(fit.linear_predictor > 0)


def test_an_optimum_outside_of_the_domain_is_told() -> None:
    # eta = b1 + b2 x is below zero at x = 2 where the likelihood is highest
    x, y = np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.1, 0.4, 50.0, 50.0])
    root = np.sqrt(y)  # the log-likelihood is that of weighted least squares
    X = np.column_stack([np.ones(4), x])
    assert np.min(X @ np.linalg.lstsq(root[:, None] * X, root / y)[0]) < 0
    with pytest.raises(ValueError, match=r'linear predictor reaches zero.*link="log"'):
        ms.glmm(y, ms.linear(x=x), family="inverse-gaussian", link="inverse")


# ---- inverse Gaussian: rows with a negative observed information ----


@pytest.mark.parametrize("unit", [1e-8, 1e8])
def test_units_of_inverse_gaussian(unit: float) -> None:
    rng = np.random.default_rng(5)
    g = np.arange(24) % 6
    y = rng.wald(np.exp(rng.normal(size=6)[g]), 0.3)
    here, there = (
        ms.glmm(values, ms.group(g=g.tolist()), family="inverse-gaussian")
        for values in (y, unit * y)
    )
    assert there.converged
    assert_allclose(there.criterion - here.criterion, 48 * np.log(unit), rtol=1e-9)
    assert_allclose(there.theta, here.theta, atol=1e-6)


def test_blocks_with_small_pivots() -> None:
    # negative weights leave pivots between zero and one
    H = np.array([[1.0, 0.5], [0.5, 0.45]])[:, :, None]
    inverse, log_det = blocked._inverse(np.repeat(H, 3, axis=2), signed=True)
    assert_allclose(inverse[:, :, 1], np.linalg.inv(H[:, :, 0]))
    assert_allclose(log_det, 3 * np.log(0.2))
    for wrong in (np.diag([1.0, -0.1]), np.zeros((2, 2)), np.array([[1e17, 1e17], [1e17, 1e17]])):
        with pytest.raises(np.linalg.LinAlgError):
            blocked._inverse(np.repeat(wrong[:, :, None], 3, axis=2), signed=True)


def test_steps_are_newtons_where_information_is_negative(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(8), 5)
    y = rng.wald(np.exp(rng.normal(size=8)[g]), 1.0)
    model = problem.model_of(y, (ms.linear(), ms.group(g=g.tolist())), None, 1.0)
    inner = problem.standardize(model)
    data = laplace.Response(y, InverseGaussian(1.0), 0.0, 1.0, inner.X, inner.factors, inner.engine)
    rounds, curvature = [], laplace._curvature

    def counted(*arguments: Any) -> Any:
        rounds.append(1)
        return curvature(*arguments)

    monkeypatch.setattr(laplace, "_curvature", counted)
    T, beta = [np.array([[0.7]])], np.zeros(1)
    mode = laplace.find_mode(data, T, beta, laplace.anchor(data, np.zeros(40)))
    assert np.any(mode.moments.weight < 0)
    pull = laplace.spherical_sums(data, T, mode.moments.score)[0]
    assert_allclose(pull, mode.u[0], atol=1e-7)
    assert len(rounds) < 10  # 30 by the expected information


def test_a_joint_information_that_is_not_positive() -> None:
    y = np.array([0.1, 0.1])
    factor = ms.group(g=["a", "b"])
    inner = problem.standardize(problem.model_of(y, (ms.linear(), factor), None, 1.0))
    data = laplace.Response(y, InverseGaussian(1.0), 0.0, 1.0, inner.X, inner.factors, inner.engine)
    eta = np.zeros(2)
    moments = data.moments(eta)
    assert np.all(moments.weight < 0)
    f = laplace._of_random(data, np.ones(2)).factorize([np.array([[0.5]])])
    mode = laplace.Mode([np.zeros((2, 1))], eta, moments, f, 0.0)
    assert np.isfinite(_factorize(data, mode, moments.weight).log_det_Z)


# ---- callbacks ----


@pytest.mark.parametrize("stop", range(1, 60, 3))
@pytest.mark.parametrize("family", ["poisson", "negative-binomial"])
def test_a_callback_may_stop_at_any_evaluation(family: Any, stop: int) -> None:
    epil = ms.load_epil()
    reported: list[tuple[int, float]] = []

    def callback(number: int, theta: FloatArray, value: float) -> bool:
        reported.append((number, value))
        return len(reported) == stop

    terms = ms.smooth(lbase=epil.lbase, k=5), ms.group(subject=epil.subject)
    fit = ms.glmm(epil.y, *terms, family=family, callback=callback)
    numbers = [number for number, _ in reported]
    assert numbers == sorted(set(numbers))
    if len(reported) == stop:
        assert not fit.converged
        assert fit.reason == f"stopped by the callback at evaluation {numbers[-1]}"
        assert_allclose(fit.criterion, min(value for _, value in reported), rtol=1e-9)
    else:
        assert fit.converged
