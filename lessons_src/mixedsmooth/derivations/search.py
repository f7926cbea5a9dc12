"""Searches for the best of one parameter or a few."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from mixedsmooth._linalg import cholesky, inverse

FloatArray = NDArray[np.float64]


def argmin(f: Callable[[float], float], lower: float, upper: float) -> float:
    """Best point of a grid in steps of one half or less, refined between its neighbors.

    Examples
    --------
    >>> round(argmin(lambda x: (x - 1) ** 2, -3, 4), 6)
    1.0
    """
    grid = np.linspace(lower, upper, 1 + int(np.ceil(2 * (upper - lower))))
    values = [f(point) for point in grid]
    best = int(np.argmin(values))
    around = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    refined = minimize_scalar(
        f, bounds=around, method="bounded", options={"xatol": 1e-10}
    )
    return float(refined.x if refined.fun < values[best] else grid[best])


def newton(
    f: Callable[[FloatArray], float], x: FloatArray
) -> tuple[FloatArray, FloatArray, bool]:
    """Finish a search by Newton's steps: the point, the inverse Hessian, and success.

    The inverse is NaN where the Hessian has not been positive definite.

    Examples
    --------
    >>> x, H_inverse, converged = newton(lambda x: (x[0] - 1) ** 2, np.array([0.9]))
    >>> print(x.round(6), H_inverse.round(6), converged)
    [1.] [[0.5]] True
    """
    H_inverse = np.full((len(x), len(x)), np.nan)
    for _ in range(5):
        # H step = -gradient
        gradient, H = derivatives(f, x)
        try:
            H_inverse = inverse(cholesky(H))
        except ValueError:
            return x, H_inverse, False
        step = -H_inverse @ gradient
        x = x + step
        if np.all(np.abs(step) <= 1e-6 * (1 + np.abs(x))):
            return x, H_inverse, True
    return x, H_inverse, False


def derivatives(
    f: Callable[[FloatArray], float], x: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Gradient and Hessian by central differences.

    Examples
    --------
    >>> gradient, H = derivatives(lambda x: x[0] ** 2 + x[0] * x[1], np.array([1.0, 2.0]))
    >>> print(gradient.round(6), H.round(6).tolist())
    [4. 1.] [[2.0, 1.0], [1.0, 0.0]]
    """
    m = len(x)
    # the error of a second difference is h^2 by truncation and eps / h^2 by rounding
    h = np.diag(1e-3 * (1 + np.abs(x)))
    scale = np.diag(h)
    up = np.array([f(x + h[i]) for i in range(m)])
    down = np.array([f(x - h[i]) for i in range(m)])
    H = np.diag((up - 2 * f(x) + down) / scale**2)
    for i in range(m):
        for j in range(i):
            corners = (
                f(x + h[i] + h[j])
                - f(x + h[i] - h[j])
                - f(x - h[i] + h[j])
                + f(x - h[i] - h[j])
            )
            H[i, j] = H[j, i] = corners / (4 * scale[i] * scale[j])
    # the gradient takes smaller steps s and 2 s, of which the errors of order s^2 cancel
    near = np.array([f(x + s) - f(x - s) for s in 0.2 * h])
    far = np.array([f(x + 2 * s) - f(x - 2 * s) for s in 0.2 * h])
    gradient = (8 * near - far) / (12 * 0.2 * scale)
    return gradient, H
