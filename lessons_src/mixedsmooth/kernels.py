"""Kernels: functions of two points from which smooths are built (chapters 8, 9, 10 and 12)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import as_vector, choice

FloatArray = NDArray[np.float64]

VANISHED = 1e3  # a distance in ranges at which each correlation is zero to the last digit

KERNELS = ("exponential", "matern32", "matern52", "gaussian", "spherical")


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


def correlation(kernel: str, r: ArrayLike) -> FloatArray:
    """Correlation of a Gaussian process at two places that are r ranges apart.

    Each falls from 1 at r = 0 towards zero. It is a covariance in the plane and in space: the
    matrix of the correlations of any distinct places is positive definite.

    Parameters
    ----------
    kernel : {"exponential", "matern32", "matern52", "gaussian", "spherical"}
        Which: ``exp(-r)``; ``(1 + r) exp(-r)``, of paths with one derivative;
        ``(1 + r + r^2/3) exp(-r)``, with two; ``exp(-r^2)``, with all; and
        ``1 - 1.5 r + 0.5 r^3``, which is zero from r = 1 on.
    r : array_like
        Distances over the range, zero or above, of any shape.

    Returns
    -------
    ndarray
        Correlations, of the shape of r.

    Raises
    ------
    ValueError
        If `kernel` is unknown, or a distance is negative or not finite.

    References
    ----------
    Stein (1999), Interpolation of Spatial Data, sections 2.7 and 2.10, for Matern's; Cressie
    (1993), Statistics for Spatial Data, section 2.3.1, for the others.

    Examples
    --------
    >>> for kernel in KERNELS:
    ...     print(f"{kernel:12}", correlation(kernel, [0, 0.5, 1]).round(4))
    exponential  [1.     0.6065 0.3679]
    matern32     [1.     0.9098 0.7358]
    matern52     [1.     0.9603 0.8584]
    gaussian     [1.     0.7788 0.3679]
    spherical    [1.     0.3125 0.    ]
    """
    choice("kernel", kernel, KERNELS)
    distances = as_vector("r", np.ravel(r)).reshape(np.shape(r))
    if distances.min() < 0:
        raise ValueError(f"r holds distances, zero or above; found {distances.min():g}")
    r = np.minimum(distances, VANISHED)
    # k(r)  (eq-term-kernels)
    match kernel:
        case "exponential":
            k = np.exp(-r)
        case "matern32":
            k = (1 + r) * np.exp(-r)
        case "matern52":
            k = (1 + r + r**2 / 3) * np.exp(-r)
        case "gaussian":
            k = np.exp(-(r**2))
        case _:
            k = np.where(r < 1, 1 - 1.5 * r + 0.5 * r**3, 0.0)
    return np.asarray(k)


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
