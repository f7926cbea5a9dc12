"""Bands that hold a whole curve: the critical value of the volume-of-tube formula (chapter 13).

The error of a curve is L(x) z with z ~ N(0, I), and its standard error is ||L(x)||. So the largest
error in standard errors is the largest ``|T(x) z|`` over a path T(x) = L(x) / ||L(x)|| on the unit
sphere. How often it exceeds c depends on the length of that path alone.

    rows L(x) -> path T(x) -> its length kappa -> c
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from mixedsmooth._checks import share

FloatArray = NDArray[np.float64]

FEWEST, MOST = 9, 14  # the path is divided into 2^9 steps, and into up to 2^14
STEADY = 1e-5  # ... until twice as many change its length by less than this share
NO_ERROR = 1e-8  # rows shorter than this part of the longest have a direction of rounding errors


def path_length(root: Callable[[FloatArray], FloatArray], low: float, high: float) -> float:
    """Measure the path of the normalized rows, kappa.

    A row and its negative are one point: where the error passes through zero, the path goes on.

    Parameters
    ----------
    root : callable
        Takes x of shape (m,) to the rows L(x), shape (m, r).
    low, high : float
        Ends of the range of x.

    Returns
    -------
    float
        The length; 0 where all errors are multiples of one.

    References
    ----------
    Sun and Loader (1994), Annals of Statistics 22, 1328-1345, section 2.

    Examples
    --------
    >>> quarter = lambda x: np.column_stack([np.cos(x), np.sin(x)])
    >>> round(path_length(quarter, 0.0, np.pi / 2), 4) == round(np.pi / 2, 4)
    True
    """
    before = length = 0.0
    for doubling in range(FEWEST, MOST + 1):
        before, length = length, _length(root(np.linspace(low, high, 2**doubling + 1)))
        if abs(length - before) <= STEADY * length:
            break
    return length


def _length(L: FloatArray) -> float:
    norm = np.linalg.norm(L, axis=1)
    certain = norm <= NO_ERROR * norm.max()
    T = L[~certain] / norm[~certain, None]
    # kappa = sum ||T(x_i) - T(x_{i-1})||
    steps = [np.linalg.norm(T[1:] - sign * T[:-1], axis=1) for sign in (1, -1)]
    return float(np.minimum(*steps).sum())


def critical_value(kappa: float, level: float = 0.95) -> float:
    """Solve the volume-of-tube formula for the critical value.

    Parameters
    ----------
    kappa : float
        Length of the path.
    level : float
        Probability that the band holds the whole curve, between 0 and 1.

    Returns
    -------
    float
        How many standard errors the band reaches to either side; for kappa = 0 the quantile of
        the normal distribution.

    Raises
    ------
    ValueError
        If `level` is not between 0 and 1.

    References
    ----------
    Sun and Loader (1994), Annals of Statistics 22, 1328-1345, equation 2.8; Krivobokova, Kneib and
    Claeskens (2010), Journal of the American Statistical Association 105, 852-863.

    Examples
    --------
    >>> round(critical_value(0.0), 4), round(critical_value(25.2904), 4)
    (1.96, 3.1968)
    """
    alpha = 1 - share("level", level)

    # (kappa / pi) exp(-c^2 / 2) + 2 (1 - Phi(c)) = 1 - level  (eq-sure-critical)
    def excess(c: float) -> float:
        return kappa / np.pi * float(np.exp(-c * c / 2)) + 2 * float(ndtr(-c)) - alpha

    # 2 (1 - Phi(c)) <= exp(-c^2 / 2), so at this c the probability is alpha or less
    enough = float(np.sqrt(2 * np.log((kappa / np.pi + 1) / alpha)))
    return float(brentq(excess, 0.0, enough, xtol=1e-12))
