"""Data: what a derivation is given, looked at once; and what must be left over to estimate from."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import (
    as_matrix,
    as_vector,
    full_rank,
    leaves_residual,
)
from mixedsmooth._linalg import least_squares

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Checked:
    """An array that has been looked at, so that no evaluation of a criterion looks at it again.

    The functions of this module take it where they take an array, and give back its content.

    Attributes
    ----------
    array : ndarray
        The content.

    Examples
    --------
    >>> y, X = regression_data([1, 3], [[1], [1]])
    >>> regression_data(Checked(y), Checked(X))[0] is y
    True
    """

    array: FloatArray

    def __array__(self, dtype: Any = None, copy: Any = None) -> FloatArray:
        """Give the content to a function that asks for an array."""
        return self.array


def vector(name: str, values: ArrayLike, n: int | None = None) -> FloatArray:
    """Return n finite numbers.

    Examples
    --------
    >>> vector("x", [1, 2])
    array([1., 2.])
    """
    if isinstance(values, Checked):
        return values.array
    return as_vector(name, values, n)


def matrix(name: str, values: ArrayLike, n: int | None = None) -> FloatArray:
    """Return a matrix of n rows of finite numbers.

    Examples
    --------
    >>> matrix("Z", [[1, 0], [0, 1]]).shape
    (2, 2)
    """
    if isinstance(values, Checked):
        return values.array
    return as_matrix(name, values, n)


def regression_data(
    y: ArrayLike, X: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Return response and design of a regression, of full column rank.

    Examples
    --------
    >>> y, X = regression_data([1, 3], [[1], [1]])
    >>> print(y, X.shape)
    [1. 3.] (2, 1)
    """
    y = vector("y", y)
    if not isinstance(X, Checked):
        X = Checked(as_matrix("X", X, n=len(y)))
        full_rank("X", X.array)
    return y, X.array


def mixed_data(
    y: ArrayLike, X: ArrayLike, Z: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return response and both designs of a mixed model.

    Examples
    --------
    >>> y, X, Z = mixed_data([1, 3, 5], [[1], [1], [1]], [[1, 0], [1, 0], [0, 1]])
    >>> print(Z.shape)
    (3, 2)
    """
    y, X = regression_data(y, X)
    return y, X, matrix("Z", Z, n=len(y))


def count_data(
    y: ArrayLike,
    X: ArrayLike,
    Z: ArrayLike | None = None,
    offset: ArrayLike | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return counts, designs and offset; without random effects, Z has no columns.

    Examples
    --------
    >>> y, X, Z, offset = count_data([0, 2], [[1], [1]])
    >>> print(Z.shape, offset)
    (2, 0) [0. 0.]
    """
    y, X = regression_data(as_counts(y), X)
    n = len(y)
    if not y.any():
        raise ValueError(
            "y has no count above zero, so the best mean is zero and its logarithm infinite; "
            "check the response"
        )
    Z = np.empty((n, 0)) if Z is None else matrix("Z", Z, n)
    offset = np.zeros(n) if offset is None else vector("offset", offset, n)
    return y, X, Z, offset


def as_counts(y: ArrayLike) -> FloatArray:
    """Return counts 0, 1, 2, ... as floats.

    Examples
    --------
    >>> as_counts([0, 3])
    array([0., 3.])
    """
    if isinstance(y, Checked):
        return y.array
    y = as_vector("y", y)
    bad = (y < 0) | (y != np.floor(y))
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"y must hold counts 0, 1, 2, ...; found {y[row]:g} in row {row}; give the counts "
            "themselves, and exposures as the offset log(exposure)"
        )
    return y


def as_coefficients(
    name: str, values: ArrayLike, matrix: str, columns: int
) -> FloatArray:
    """Return one number for each column of a matrix.

    Examples
    --------
    >>> as_coefficients("beta", [1, 2], "X", 2)
    array([1., 2.])
    """
    coefficients = as_vector(name, values)
    if len(coefficients) != columns:
        raise ValueError(
            f"{name} has {len(coefficients)} numbers and {matrix} has {columns} columns; "
            "give one number for each column"
        )
    return coefficients


def standard_deviations(theta: ArrayLike) -> tuple[float, float]:
    """Return both standard deviations, tau and sigma, from their logarithms.

    Examples
    --------
    >>> standard_deviations([0, 0])
    (1.0, 1.0)
    """
    log_sd = as_vector("theta", theta)
    if log_sd.shape != (2,) or np.abs(log_sd).max() > 300:
        raise ValueError(
            "theta must be (log tau, log sigma), two numbers between -300 and 300; "
            f"found {log_sd.tolist()}"
        )
    tau, sigma = np.exp(log_sd)
    return float(tau), float(sigma)


def not_negative(name: str, value: float) -> float:
    """Return a finite number, zero or above.

    Examples
    --------
    >>> not_negative("lam", 0)
    0.0
    """
    number = float(value)
    if not np.isfinite(number) or number < 0:
        raise ValueError(
            f"{name} must be a finite number, zero or above, found {value}"
        )
    return number


# ---- variance to estimate ----


def without_fit(
    y: FloatArray, X: FloatArray, columns: str = "columns of X"
) -> tuple[FloatArray, FloatArray]:
    """Return the coefficients of least squares and its residuals, which must not be zero.

    The criteria of a mixed model are the same for y and for these residuals, in which a large mean
    of y has cost no digits.

    Examples
    --------
    >>> y, X = regression_data([1, 3], [[1], [1]])
    >>> print(*without_fit(y, X))
    [2.] [-1.  1.]
    """
    beta = least_squares(X, y)
    residual = y - X @ beta
    leaves_residual(residual, y, f"the {X.shape[1]} {columns}")
    return beta, residual
