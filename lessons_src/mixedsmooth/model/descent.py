"""Descent by limited-memory BFGS: a short search for few parameters, with little beside it.

For the sleep study SciPy's L-BFGS-B spends more time between the evaluations than in them. Where
there are no bounds, and a curvature near 1, the method is short.
"""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Objective = Callable[[FloatArray], tuple[float, FloatArray]]

MEMORY = 20  # pairs of steps and changes of slope
ITERATIONS = 500
SHORTENINGS = 40  # of one step
FLAT = 1e-14  # relative decrease that is rounding
SUFFICIENT = 1e-3  # share of the foretold decrease that a step must have
STEEP = 0.9  # share of the slope along a step that must not be left


class Descent(NamedTuple):
    """Where a descent ended.

    Attributes
    ----------
    x, slope : ndarray
        The place, and the slope there.
    step : ndarray
        The step that would come next.
    """

    x: FloatArray
    slope: FloatArray
    step: FloatArray


def descend(objective: Objective, x: FloatArray, tolerance: float) -> Descent:
    """Minimize a function from x.

    Parameters
    ----------
    objective : callable
        Returns value and slope.
    x : ndarray
        Where to begin, in units in which the curvature is about 1.
    tolerance : float
        The largest entry of a slope that is taken for zero.

    Returns
    -------
    Descent
        The end.

    References
    ----------
    Nocedal and Wright (2006), algorithms 7.4 and 7.5; Liu and Nocedal (1989).

    Examples
    --------
    >>> end = descend(lambda x: (float(x @ x) - 2 * x[0], 2 * x - [2, 0]), np.array([3.0, 0]), 1e-8)
    >>> print(end.x.round(6))
    [1. 0.]
    """
    pairs: deque[tuple[FloatArray, FloatArray, float]] = deque(maxlen=MEMORY)
    value, slope = objective(x)
    step = -slope
    step = step * min(1.0, 1.0 / max(float(np.sqrt(step @ step)), 1e-300))
    for _ in range(ITERATIONS):
        if np.abs(slope).max() <= tolerance:
            break
        found = _line_search(objective, x, value, slope, step)
        if found is None and not pairs:
            break
        if found is None:  # the memory misleads: begin anew along the slope
            pairs.clear()
            step = -slope
            continue
        reached, new_value, new_slope = found
        s, y = reached - x, new_slope - slope
        flat = value - new_value <= FLAT * max(abs(value), abs(new_value), 1.0)
        x, value, slope = reached, new_value, new_slope
        if (curvature := float(s @ y)) > 0:
            pairs.append((s, y, curvature))
        step = _newton(slope, pairs)
        if flat:
            break
    return Descent(x, slope, _newton(slope, pairs))


def _newton(slope: FloatArray, pairs: deque[tuple[FloatArray, FloatArray, float]]) -> FloatArray:
    """Minus the slope times the approximate inverse curvature, by two loops over the pairs."""
    q, alphas = -slope, []
    for s, y, curvature in reversed(pairs):
        alpha = float(s @ q) / curvature
        q = q - alpha * y
        alphas.append(alpha)
    if pairs:
        _, y, curvature = pairs[-1]
        q = q * (curvature / float(y @ y))
    for (s, y, curvature), alpha in zip(pairs, reversed(alphas), strict=True):
        q = q + (alpha - float(y @ q) / curvature) * s
    return q


def _line_search(
    objective: Objective, x: FloatArray, value: float, slope: FloatArray, step: FloatArray
) -> tuple[FloatArray, float, FloatArray] | None:
    """Find a point along a step that is lower and less steep; None if there is none."""
    along = float(slope @ step)
    if along >= 0:
        return None
    shortest, longest, length = 0.0, np.inf, 1.0
    lowest = None
    for _ in range(SHORTENINGS):
        reached = x + length * step
        new_value, new_slope = objective(reached)
        new_along = float(new_slope @ step)
        if not new_value <= value + SUFFICIENT * length * along:
            longest = length
            # the minimum of the parabola through both values and the first slope
            bend = new_value - value - length * along
            parabola = -along * length**2 / (2 * bend) if np.isfinite(bend) and bend > 0 else 0.0
            inside = shortest + 0.1 * (longest - shortest), longest - 0.1 * (longest - shortest)
            length = min(max(parabola, inside[0]), inside[1])
            continue
        lowest = reached, new_value, new_slope
        if abs(new_along) <= -STEEP * along or (shortest > 0 and longest < np.inf):
            return lowest
        if new_along > 0:
            longest = length
            length = (shortest + length) / 2
            continue
        shortest = length
        length = 4 * length if longest == np.inf else (shortest + longest) / 2
    return lowest
