"""What the searches for theta have in common: a start, a unit for the steps, the boundary.

Entries of T are in the units of centered and scaled columns.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mixedsmooth.model.blocked import Shape, pack, unpack

FloatArray = NDArray[np.float64]

NEARLY_ZERO = 1e-2  # a diagonal entry of T below this may be a variance of zero


def schall_step(
    T: Sequence[FloatArray],
    u: Sequence[FloatArray],
    degrees: Sequence[FloatArray],
    shapes: Sequence[Shape],
    variance: float,
) -> list[FloatArray]:
    """Improve T by one step of Schall's fixed point.

    At the optimum the sum of squares of the effects u, over sigma^2, equals their degrees of
    freedom. So T is multiplied by the root of their ratio.

    Parameters
    ----------
    T : sequence of ndarray, each of shape (k, k)
        Lower triangular factors.
    u : sequence of ndarray, each of shape (m, k)
        Spherical effects.
    degrees : sequence of ndarray, each of shape (k,)
        Their effective degrees of freedom.
    shapes : sequence of Shape
        The terms.
    variance : float
        sigma^2.

    Returns
    -------
    list of ndarray, each of shape (k, k)
        The new T.

    References
    ----------
    Schall (1991), Biometrika 78, 719-727.
    """
    better = []
    for T_f, effects, edf, shape in zip(T, u, degrees, shapes, strict=True):
        squares = (effects.T @ effects) / variance
        if shape.scalar:
            ratio = np.trace(squares) / edf.sum() * np.eye(shape.effects)
        elif shape.correlated:
            ratio = squares / np.sqrt(np.outer(edf, edf))
        else:
            ratio = np.diag(np.diag(squares) / edf)
        better.append(T_f @ np.linalg.cholesky(ratio + 1e-4 * np.eye(shape.effects)))
    return better


def unit_steps(
    T: Sequence[FloatArray], degrees: Sequence[FloatArray], shapes: Sequence[Shape]
) -> FloatArray:
    """Root of the inverse curvature of a deviance by theta.

    By log T_aa the curvature is about 4 times the degrees of freedom.

    Parameters
    ----------
    T : sequence of ndarray, each of shape (k, k)
        Lower triangular factors.
    degrees : sequence of ndarray, each of shape (k,)
        Effective degrees of freedom of the effects.
    shapes : sequence of Shape
        The terms.

    Returns
    -------
    ndarray
        A step for each entry of theta.
    """
    units = []
    for T_f, edf, shape in zip(T, degrees, shapes, strict=True):
        size = np.maximum(np.abs(np.diag(T_f)), 0.1)
        if shape.scalar:
            edf = np.full_like(edf, edf.sum())
        root = np.maximum(edf, 1.0) ** 0.25
        units.append(size[:, None] / (2 * np.outer(root, root)))
    return pack(units, shapes)


def leave_boundary(
    theta: FloatArray, shapes: Sequence[Shape], criterion: Callable[[FloatArray], float]
) -> tuple[FloatArray, bool]:
    """Set variances to zero where that is the optimum; or find a better theta outside.

    A criterion is even in each column of T, so at zero its slope vanishes whether or not zero is
    the optimum: look a little further out.

    Parameters
    ----------
    theta : ndarray
        Where a search ended.
    shapes : sequence of Shape
        The terms.
    criterion : callable
        What is minimized, as a function of theta.

    Returns
    -------
    theta : ndarray
        The same with small variances set to zero, or a better one.
    ended : bool
        Whether the search ends here; otherwise it goes on from the better theta.
    """
    T = unpack(theta, shapes)
    for matrix, shape in zip(T, shapes, strict=True):
        for c in range(1 if shape.scalar else len(matrix)):
            if abs(matrix[c, c]) > NEARLY_ZERO:
                continue
            found = matrix[c, c]
            values = []
            for entry in (found, 0.0, NEARLY_ZERO / 3):
                matrix[c, c] = entry
                values.append(criterion(pack(T, shapes)))
            here, at_zero, outside = values
            if outside < min(here, at_zero):
                return pack(T, shapes), False
            matrix[c, c] = 0.0 if at_zero <= here + 1e-14 * abs(here) else found
    return pack(T, shapes), True
