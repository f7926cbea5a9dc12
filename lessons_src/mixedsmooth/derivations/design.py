"""Designs: Z of the random effects, their factor Lambda, and a penalty in its own directions.

The random effects are b = Lambda u with u ~ N(0, sigma^2 I), so that Var(b) = sigma^2 Lambda
Lambda'. For one grouping factor Lambda = I kron T, with one block T for each level.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import as_matrix, as_vector, levels_and_codes, whole
from mixedsmooth.derivations.data import matrix

FloatArray = NDArray[np.float64]

ROUNDING = 1e-12  # eigenvalues of a penalty below this share of the largest are zeros


# ---- Z ----


def grouping_columns(group: ArrayLike) -> tuple[FloatArray, NDArray[Any]]:
    """Z of a random intercept: one indicator column for each level of the grouping factor.

    Parameters
    ----------
    group : array_like, shape (n,)
        Label of the group of each row.

    Returns
    -------
    Z : ndarray, shape (n, q)
        ``Z[i, j]`` is 1 if row i belongs to level j, and 0 otherwise.
    levels : ndarray, shape (q,)
        The labels of the columns, sorted.

    Raises
    ------
    ValueError
        If a label is missing, or all rows belong to one group: then nothing tells the random
        intercept from the fixed one.

    References
    ----------
    Clark (2016), section Model Formulation.

    Examples
    --------
    >>> Z, levels = grouping_columns(["A", "A", "B", "B", "C", "C"])
    >>> print(Z)
    [[1. 0. 0.]
     [1. 0. 0.]
     [0. 1. 0.]
     [0. 1. 0.]
     [0. 0. 1.]
     [0. 0. 1.]]
    """
    levels, level_of_row = levels_and_codes("group", group)
    if len(levels) < 2:
        raise ValueError(
            f"group has one level only ({levels[0]!s}): a random effect needs at least two groups; "
            "check the labels or fit a model without it"
        )
    return np.eye(len(levels))[level_of_row], levels


def slope_columns(
    group: ArrayLike, x: ArrayLike
) -> tuple[FloatArray, NDArray[Any]]:
    """Z of a random slope: the indicator columns, multiplied by the covariate.

    Parameters
    ----------
    group : array_like, shape (n,)
        Label of the group of each row.
    x : array_like, shape (n,)
        The covariate whose slope differs between groups.

    Returns
    -------
    Z : ndarray, shape (n, q)
        ``Z[i, j]`` is ``x[i]`` if row i belongs to level j, and 0 otherwise.
    levels : ndarray, shape (q,)
        The labels of the columns, sorted.

    Raises
    ------
    ValueError
        If the lengths differ, a value is missing or infinite, or there is one group only.

    References
    ----------
    Bates et al. (2015), section 2.3.

    Examples
    --------
    >>> print(slope_columns(["A", "A", "B"], [0, 1, 5])[0])
    [[0. 0.]
     [1. 0.]
     [0. 5.]]
    """
    indicator, levels = grouping_columns(group)
    x = as_vector("x", x, n=len(indicator))
    return indicator * x[:, None], levels


def intercept_slope_columns(
    group: ArrayLike, x: ArrayLike
) -> tuple[FloatArray, NDArray[Any]]:
    """Z of a random intercept and slope, the two columns of a level beside each other.

    Parameters
    ----------
    group : array_like, shape (n,)
        Label of the group of each row.
    x : array_like, shape (n,)
        The covariate whose slope differs between groups.

    Returns
    -------
    Z : ndarray, shape (n, 2 q)
        Columns 2j and 2j + 1 are the intercept and the slope of level j, so that Z is block
        diagonal when the rows are sorted by group.
    levels : ndarray, shape (q,)
        The labels of the levels, sorted.

    Raises
    ------
    ValueError
        If the lengths differ, a value is missing or infinite, or there is one group only.

    References
    ----------
    Dirmeier (n.d.): the matrix called U there.

    Examples
    --------
    >>> print(intercept_slope_columns(["A", "A", "B"], [0, 1, 5])[0])
    [[1. 0. 0. 0.]
     [1. 1. 0. 0.]
     [0. 0. 1. 5.]]
    """
    intercepts, levels = grouping_columns(group)
    slopes, _ = slope_columns(group, x)
    Z = np.stack([intercepts, slopes], axis=2).reshape(len(intercepts), -1)
    return Z, levels


# ---- Lambda ----


def relative_factor(Lambda: ArrayLike, q: int) -> FloatArray:
    """Lambda as a q x q matrix: itself, or theta I for a number theta.

    Parameters
    ----------
    Lambda : float or array_like, shape (q, q)
        A relative covariance factor, or the number theta.
    q : int
        Number of random effects.

    Returns
    -------
    ndarray, shape (q, q)
        The matrix.

    Raises
    ------
    ValueError
        If a value is not finite, theta is negative, or the shape is not (q, q).

    Examples
    --------
    >>> print(relative_factor(2.0, 2))
    [[2. 0.]
     [0. 2.]]
    """
    if np.ndim(Lambda) == 0:
        (theta,) = as_vector("Lambda", np.atleast_1d(Lambda))
        if theta < 0:
            raise ValueError(
                f"Lambda is theta = tau / sigma, which is not negative; found {theta:g}"
            )
        return np.diag(np.full(q, theta))
    factor = as_matrix("Lambda", Lambda)
    if factor.shape != (q, q):
        raise ValueError(
            f"Lambda must be a number or a {q} x {q} matrix, one row for each column of Z; "
            f"found shape {factor.shape}"
        )
    return factor


@dataclass(frozen=True)
class LambdaTemplate:
    """Where the parameters theta stand in Lambda = I kron T: made by `lambda_template`.

    Attributes
    ----------
    k : int
        Random effects for each level, the rows of T.
    levels : int
        Levels of the grouping factor, the number of blocks.
    rows, columns : tuple of int
        Position in T of each parameter.
    """

    k: int
    levels: int
    rows: tuple[int, ...]
    columns: tuple[int, ...]

    def __call__(self, theta: ArrayLike) -> FloatArray:
        """Lambda for the parameters theta.

        Examples
        --------
        >>> print(lambda_template(2, 1)([0.9, 0.1, 0.2]))
        [[0.9 0. ]
         [0.1 0.2]]
        """
        theta = as_vector("theta", np.atleast_1d(theta))
        if len(theta) != len(self.rows):
            raise ValueError(
                f"theta must hold {len(self.rows)} parameters for the {self.k} random effects of a "
                f"level; found {len(theta)}"
            )
        # T: lower triangular, Var of a level = sigma^2 T T'  (eq-2-template)
        T = np.zeros((self.k, self.k))
        T[self.rows, self.columns] = theta
        # Lambda = I kron T  (eq-6-template)
        return np.kron(np.eye(self.levels), T)  # type: ignore[return-value]

    def parameters(self, Lambda: ArrayLike) -> FloatArray:
        """Theta that gives Lambda, read from its first block.

        Examples
        --------
        >>> print(lambda_template(2, 3).parameters(np.eye(6)))
        [1. 0. 1.]
        """
        return as_matrix("Lambda", Lambda)[self.rows, self.columns]


def lambda_template(
    k: int, levels: int, correlated: bool = True
) -> LambdaTemplate:
    """Lambda as a function of theta, for k random effects in each level of one factor.

    Lambda = I kron T with one k x k block T for each level, in the order of the columns that
    `intercept_slope_columns` makes. The effects of a level have the covariance sigma^2 T T'.

    Parameters
    ----------
    k : int
        Random effects for each level: 1 for an intercept, 2 for intercept and slope.
    levels : int
        Levels of the grouping factor.
    correlated : bool
        Whether T is lower triangular, with k (k + 1) / 2 parameters that fill it column by column;
        or diagonal, with k parameters and independent effects.

    Returns
    -------
    LambdaTemplate
        A function: ``template(theta)`` is Lambda, of shape (k levels, k levels).

    Raises
    ------
    ValueError
        If k or levels is not a whole number of at least 1.

    References
    ----------
    Bates et al. (2015), section 2.3 and equation 4.

    Examples
    --------
    >>> print(lambda_template(2, 2)([0.9, 0.1, 0.2]))
    [[0.9 0.  0.  0. ]
     [0.1 0.2 0.  0. ]
     [0.  0.  0.9 0. ]
     [0.  0.  0.1 0.2]]
    >>> print(lambda_template(2, 1, correlated=False)([0.9, 0.2]))
    [[0.9 0. ]
     [0.  0.2]]
    """
    k, levels = whole("k", k, least=1), whole("levels", levels, least=1)
    # column by column, the entries on and below the diagonal (or on it)
    below = range(k) if correlated else range(1)
    positions = [(j + i, j) for j in range(k) for i in below if j + i < k]
    rows, columns = zip(*positions, strict=True)
    return LambdaTemplate(k, levels, rows, columns)


# ---- penalties ----


def penalty_of(p: int, S: ArrayLike) -> FloatArray:
    """Return the penalty of p columns.

    Examples
    --------
    >>> penalty_of(2, [[0, 0], [0, 4]]).shape
    (2, 2)
    """
    S = matrix("S", S)
    if S.shape != (p, p):
        raise ValueError(
            f"S has shape {S.shape} and X has {p} columns; give one row and column for each"
        )
    return S


def eigen(
    S: ArrayLike, rounding: float = ROUNDING
) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues of a penalty in falling order, rounding errors set to zero, and eigenvectors.

    Examples
    --------
    >>> print(eigen([[0, 0], [0, 4]])[0])
    [4. 0.]
    """
    S = matrix("S", S)
    if S.shape[0] != S.shape[1]:
        raise ValueError(f"S must be square, found shape {S.shape}")
    asymmetry = np.abs(S - S.T).max()
    if asymmetry > ROUNDING * np.abs(S).max():
        raise ValueError(
            f"S must be symmetric, and S - S' has an entry of {asymmetry:.2g}; "
            "the penalty beta' S beta is that of (S + S') / 2: use this"
        )
    d, U = np.linalg.eigh(S)
    d, U = d[::-1], U[:, ::-1]
    threshold = rounding * np.abs(d).max()
    if d[-1] < -threshold:
        raise ValueError(
            f"S must be positive semidefinite, and has an eigenvalue of {d[-1]:.3g} beside a "
            f"largest of {d[0]:.3g}: such a penalty would reward wiggliness"
        )
    return np.where(d > threshold, d, 0.0), U


def signed(U: FloatArray) -> FloatArray:
    """Eigenvectors with the first entry of the largest size positive.

    Knots that are symmetric about 1/2 have eigenvectors with two entries of that size, which
    rounding errors must not choose between.

    Examples
    --------
    >>> print(signed(np.array([[-0.8, 0.6], [0.6, 0.8]])))
    [[ 0.8  0.6]
     [-0.6  0.8]]
    """
    size = np.abs(U)
    first = np.argmax(size > (1 - 1e-6) * size.max(axis=0), axis=0)
    signs: FloatArray = np.sign(U[first, np.arange(U.shape[1])])
    return U * signs
