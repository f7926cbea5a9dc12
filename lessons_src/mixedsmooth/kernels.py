"""Kernels: functions of two points from which curves are built (chapters 8 to 10)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import as_vector

FloatArray = NDArray[np.float64]


def rk(x: ArrayLike, z: ArrayLike) -> FloatArray:
    """Reproducing kernel of the cubic smoothing spline, R(x, z), for all pairs.

    ``R(x, z) = k_2(x) k_2(z) - k_4(|x - z|)``, with the Bernoulli polynomials over 2! and over 4!::

        k_2(x) = ((x - 1/2)^2 - 1/12) / 2,   k_4(x) = ((x - 1/2)^4 - (x - 1/2)^2 / 2 + 7/240) / 24.

    As a function of x it is a quartic on either side of z, with two continuous derivatives and a
    third that jumps by one at z. A sum over knots is cubic in each piece if its coefficients add up
    to zero.

    Parameters
    ----------
    x : array_like, shape (n,)
        Points in [0, 1].
    z : array_like, shape (K,)
        Points in [0, 1].

    Returns
    -------
    ndarray, shape (n, K)
        R(x_i, z_j).

    Raises
    ------
    ValueError
        If a value is not finite or outside [0, 1].

    References
    ----------
    Wood (2006), section 3.2; Gu (2002), section 2.3.

    Examples
    --------
    >>> print((960 * rk([0, 0.5, 1], [0.5])).round(4))
    [[-4.5]
     [ 3. ]
     [-4.5]]
    """
    x, z = unit_interval("x", x)[:, None], unit_interval("z", z)
    from_half = np.abs(x - z) - 1 / 2
    # 4 k_2(x) k_2(z)  and  24 k_4(|x - z|)  (eq-8-bernoulli)
    quadratic = ((z - 1 / 2) ** 2 - 1 / 12) * ((x - 1 / 2) ** 2 - 1 / 12)
    quartic = from_half**4 - from_half**2 / 2 + 7 / 240
    # R(x, z) = k_2(x) k_2(z) - k_4(|x - z|)  (eq-8-kernel)
    return np.asarray(quadratic / 4 - quartic / 24)


def unit_interval(name: str, values: ArrayLike) -> FloatArray:
    """Return `values` as a vector of numbers in [0, 1], or say what is wrong with it.

    Parameters
    ----------
    name : str
        What the caller's user knows the argument as.
    values : array_like, shape (n,)
        Numbers.

    Returns
    -------
    ndarray, shape (n,)
        The vector.

    Raises
    ------
    ValueError
        If a value is not finite or outside [0, 1].

    Examples
    --------
    >>> unit_interval("x", [0, 1])
    array([0., 1.])
    """
    vector = as_vector(name, values)
    if vector.min() < 0 or vector.max() > 1:
        raise ValueError(
            f"{name} must lie in [0, 1], found values from {vector.min():g} to {vector.max():g}; "
            "scale it by the range of the data, (x - min) / (max - min)"
        )
    return vector
