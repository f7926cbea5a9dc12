"""The descent: against SciPy's, on functions with known minima."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from scipy.optimize import minimize, rosen, rosen_der

from mixedsmooth.model.descent import Objective, descend

FloatArray = NDArray[np.float64]


def counted(objective: Objective) -> tuple[Objective, list[int]]:
    """Return the objective, and a list with the number of its evaluations."""
    count = [0]

    def counting(x: FloatArray) -> tuple[float, FloatArray]:
        count[0] += 1
        return objective(x)

    return counting, count


@pytest.mark.parametrize("size", [1, 2, 5, 12])
@pytest.mark.parametrize("condition", [1.0, 1e2, 1e4])
def test_a_parabola_is_minimized(size: int, condition: float) -> None:
    rng = np.random.default_rng(size)
    Q = np.linalg.qr(rng.normal(size=(size, size)))[0]
    H = Q @ np.diag(np.geomspace(1, condition, size)) @ Q.T
    at = rng.normal(size=size)
    end = descend(lambda x: (float((x - at) @ H @ (x - at)) / 2, H @ (x - at)), 0 * at, 1e-9)
    assert_allclose(end.x, at, rtol=0, atol=1e-6)
    # the next step is Newton's, to the digits of the curvature that was learnt
    assert end.slope @ end.step <= 0


@pytest.mark.parametrize("size", [2, 4, 8])
def test_rosenbrocks_valley_takes_about_as_many_evaluations_as_scipy_does(size: int) -> None:
    objective, count = counted(lambda x: (float(rosen(x)), rosen_der(x)))
    start = np.full(size, -1.2)
    end = descend(objective, start, 1e-6)
    theirs = minimize(
        rosen, start, jac=rosen_der, method="L-BFGS-B",
        options={"gtol": 1e-6, "ftol": 1e-14, "maxcor": 20},
    )  # fmt: skip
    assert_allclose(rosen(end.x), theirs.fun, rtol=0, atol=1e-9)
    assert count[0] <= 1.5 * theirs.nfev


def test_a_step_beyond_the_domain_is_shortened() -> None:
    def logarithm(x: FloatArray) -> tuple[float, FloatArray]:
        if x[0] <= 0:
            return np.inf, np.full(1, np.nan)
        return float(x[0] - np.log(x[0])), 1 - 1 / x

    assert_allclose(descend(logarithm, np.array([30.0]), 1e-9).x, 1, rtol=1e-8)
    assert_allclose(descend(logarithm, np.array([1e-4]), 1e-9).x, 1, rtol=1e-8)


def test_a_flat_place_is_an_end() -> None:
    objective, count = counted(lambda x: (1.0, np.zeros(2)))
    end = descend(objective, np.ones(2), 1e-5)
    assert count[0] == 1
    assert_allclose(end.x, 1)
    assert_allclose(end.step, 0)


def test_noise_of_rounding_ends_the_descent() -> None:
    rng = np.random.default_rng(0)
    objective, count = counted(
        lambda x: (1e8 + float(x @ x) + 1e-8 * rng.normal(), 2 * x + 1e-6 * rng.normal(size=3))
    )
    end = descend(objective, np.ones(3), 1e-12)
    assert np.abs(end.x).max() < 1e-2
    assert count[0] < 200
