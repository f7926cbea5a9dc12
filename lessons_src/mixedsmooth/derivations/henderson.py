"""Predicting the random effects: Henderson's mixed model equations (chapter 4).

The model is y = X beta + Z b + e with b ~ N(0, sigma^2 Lambda Lambda') and e ~ N(0, sigma^2 I).
The joint density of y and b is largest where

    ||y - X beta - Z b||^2 + b' (Lambda Lambda')^-1 b

is smallest. Its derivatives by beta and by b, set to zero, are Henderson's equations:

    [ X'X   X'Z                         ] [ beta ]   [ X'y ]
    [ Z'X   Z'Z + (Lambda Lambda')^-1   ] [ b    ] = [ Z'y ]

The first part of the solution is the best linear unbiased estimate (BLUE) of beta, the second the
best linear unbiased prediction (BLUP) of b. `Lambda` is a number theta = tau / sigma, which stands
for theta I, or a q x q matrix.
"""

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import as_matrix, as_vector, positive
from mixedsmooth._linalg import cholesky, inverse, solve_lower
from mixedsmooth.derivations.data import Checked, mixed_data
from mixedsmooth.derivations.design import relative_factor
from mixedsmooth.derivations.likelihood import (
    generalized_least_squares,
    marginal_covariance,
)

FloatArray = NDArray[np.float64]

_NO_C = (
    "X and Z Lambda are so close to collinear that Henderson's equations cannot be solved; use a "
    "smaller Lambda, or solve_from_covariance"
)


def mixed_model_equations(
    y: ArrayLike, X: ArrayLike, Z: ArrayLike, Lambda: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Henderson's mixed model equations C [beta; b] = r, with sigma^2 divided out.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    Z : array_like, shape (n, q)
        Design of the random effects.
    Lambda : float or array_like, shape (q, q)
        Relative covariance factor of b, nonsingular; a number theta stands for theta I.

    Returns
    -------
    C : ndarray, shape (p + q, p + q)
        The coefficient matrix [[X'X, X'Z], [Z'X, Z'Z + (Lambda Lambda')^-1]].
    r : ndarray, shape (p + q,)
        The right-hand side [X'y, Z'y].

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, X is rank deficient, or Lambda is singular: then
        its inverse, which these equations contain, does not exist.

    References
    ----------
    Henderson (1950); Robinson (1991), equation 1.2.

    Examples
    --------
    >>> C, r = mixed_model_equations([1, 3, 5], [[1], [1], [1]], [[1, 0], [1, 0], [0, 1]], 2.0)
    >>> print(C)
    [[3.   2.   1.  ]
     [2.   2.25 0.  ]
     [1.   0.   1.25]]
    >>> print(r)
    [9. 4. 5.]
    """
    y, X, Z = mixed_data(y, X, Z)
    # (eq-blup-henderson)
    # C = [ X'X   X'Z                       ]
    #     [ Z'X   Z'Z + (Lambda Lambda')^-1 ]
    precision = _relative_precision(Lambda, Z.shape[1])
    C = np.block([[X.T @ X, X.T @ Z], [Z.T @ X, Z.T @ Z + precision]])
    # r = [ X'y ]
    #     [ Z'y ]
    r = np.concatenate([X.T @ y, Z.T @ y])
    return C, r


def solve_henderson(
    y: ArrayLike, X: ArrayLike, Z: ArrayLike, Lambda: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """BLUE of beta and BLUP of b, as the solution of Henderson's equations.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    Z : array_like, shape (n, q)
        Design of the random effects.
    Lambda : float or array_like, shape (q, q)
        Relative covariance factor of b, nonsingular; a number theta stands for theta I.

    Returns
    -------
    beta : ndarray, shape (p,)
        Best linear unbiased estimate of the fixed effects.
    b : ndarray, shape (q,)
        Best linear unbiased prediction of the random effects.

    Raises
    ------
    ValueError
        As `mixed_model_equations`.

    References
    ----------
    Henderson (1950); Robinson (1991), section 2.

    Examples
    --------
    >>> beta, b = solve_henderson([1, 3, 5], [[1], [1], [1]], [[1, 0], [1, 0], [0, 1]], 2.0)
    >>> print(beta.round(4), b.round(4))
    [3.4211] [-1.2632  1.2632]
    """
    C, r = mixed_model_equations(y, X, Z, Lambda)
    # C [beta; b] = r  (eq-blup-henderson)
    solution = scipy.linalg.cho_solve((cholesky(C, _NO_C), True), r)
    p = np.shape(X)[1]
    return solution[:p], solution[p:]


def solve_from_covariance(
    y: ArrayLike, X: ArrayLike, Z: ArrayLike, Lambda: ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """BLUE and BLUP once more, from the n x n covariance matrix of y.

    Generalized least squares gives beta; the conditional mean of b given y is
    Cov(b, y) V^-1 (y - X beta) = Lambda Lambda' Z' (Z Lambda Lambda' Z' + I)^-1 (y - X beta).
    Lambda may be singular here.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    Z : array_like, shape (n, q)
        Design of the random effects, of no more than 5,000 rows.
    Lambda : float or array_like, shape (q, q)
        Relative covariance factor of b; a number theta stands for theta I.

    Returns
    -------
    beta : ndarray, shape (p,)
        Best linear unbiased estimate of the fixed effects.
    b : ndarray, shape (q,)
        Best linear unbiased prediction of the random effects.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, X is rank deficient, or there are more than 5,000
        rows.

    References
    ----------
    Wood (2006), section 6.2.4; McCulloch and Searle (2001), equations 6.24 and 6.42.

    Examples
    --------
    >>> beta, b = solve_from_covariance([1, 3, 5], [[1], [1], [1]], [[1, 0], [1, 0], [0, 1]], 2.0)
    >>> print(beta.round(4), b.round(4))
    [3.4211] [-1.2632  1.2632]
    """
    y, X, Z = mixed_data(y, X, Z)
    # V_0 = V / sigma^2 = Z Lambda Lambda' Z' + I
    V_0 = marginal_covariance(Checked(Z), Lambda, sigma=1.0)
    # beta = (X' V_0^-1 X)^-1 X' V_0^-1 y
    beta = generalized_least_squares(Checked(y), Checked(X), V_0)
    # b = Lambda Lambda' Z' V_0^-1 (y - X beta)
    # (eq-blup-conditional-mean)
    Lambda = relative_factor(Lambda, Z.shape[1])
    weighted = scipy.linalg.cho_solve((cholesky(V_0), True), y - X @ beta)
    return beta, Lambda @ (Lambda.T @ (Z.T @ weighted))


def prediction_error_covariance(
    X: ArrayLike, Z: ArrayLike, Lambda: ArrayLike, sigma: float
) -> FloatArray:
    """Covariance of the estimation and prediction errors: sigma^2 C^-1.

    C is the coefficient matrix of Henderson's equations. The blocks are Var(beta_hat),
    Cov(beta_hat, b_hat - b) and Var(b_hat - b), so the last counts that beta is estimated too.

    Parameters
    ----------
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    Z : array_like, shape (n, q)
        Design of the random effects.
    Lambda : float or array_like, shape (q, q)
        Relative covariance factor of b, nonsingular; a number theta stands for theta I.
    sigma : float
        Residual standard deviation, in the units of y.

    Returns
    -------
    ndarray, shape (p + q, p + q)
        The covariance of (beta_hat - beta, b_hat - b).

    Raises
    ------
    ValueError
        As `mixed_model_equations`, or if sigma is not positive.

    References
    ----------
    Henderson (1975), Biometrics 31, 423-447; Robinson (1991), section 2.

    Examples
    --------
    >>> C_inverse = prediction_error_covariance([[1], [1], [1]], [[1, 0], [1, 0], [0, 1]], 2.0, 1.0)
    >>> print(C_inverse.round(3))
    [[ 2.368 -2.105 -1.895]
     [-2.105  2.316  1.684]
     [-1.895  1.684  2.316]]
    """
    sigma = positive("sigma", sigma)
    no_y = np.zeros(len(as_matrix("X", X)))
    C, _ = mixed_model_equations(no_y, X, Z, Lambda)
    # Var(beta_hat - beta, b_hat - b) = sigma^2 C^-1
    # (eq-blup-error-covariance)
    return sigma**2 * inverse(cholesky(C, _NO_C))


def conditional_covariance(
    Z: ArrayLike, Lambda: ArrayLike, sigma: float
) -> FloatArray:
    """Covariance of b given y when beta is known: sigma^2 (Z'Z + (Lambda Lambda')^-1)^-1.

    These are the conditional variances that lme4 reports. They are written here as
    sigma^2 Lambda (Lambda' Z' Z Lambda + I)^-1 Lambda', which needs no inverse of Lambda, so
    Lambda may be singular.

    Parameters
    ----------
    Z : array_like, shape (n, q)
        Design of the random effects.
    Lambda : float or array_like, shape (q, q)
        Relative covariance factor of b; a number theta stands for theta I.
    sigma : float
        Residual standard deviation, in the units of y.

    Returns
    -------
    ndarray, shape (q, q)
        The conditional covariance, in squared units of b.

    Raises
    ------
    ValueError
        If a value is not finite, theta is negative, the shapes do not fit, or sigma is not
        positive.

    References
    ----------
    Bates et al. (2015), equations 57 to 59.

    Examples
    --------
    >>> print(conditional_covariance([[1, 0], [1, 0], [0, 1]], 2.0, 1.0).round(4))
    [[0.4444 0.    ]
     [0.     0.8   ]]
    """
    Z = as_matrix("Z", Z)
    sigma = positive("sigma", sigma)
    Lambda = relative_factor(Lambda, Z.shape[1])
    # sigma^2 M^-1 = sigma^2 Lambda (Lambda' Z' Z Lambda + I)^-1 Lambda'
    # (eq-blup-conditional-variance-short)
    ZLambda = Z @ Lambda
    L = cholesky(ZLambda.T @ ZLambda + np.eye(Z.shape[1]))
    half = sigma * solve_lower(L, Lambda.T)
    return half.T @ half


def shrinkage_factor(n_j: ArrayLike, theta: float) -> FloatArray:
    """Share of a group's mean residual that its predicted intercept keeps.

    b_j = n_j / (n_j + 1 / theta^2) times the mean residual of the n_j rows of group j.

    Parameters
    ----------
    n_j : array_like, shape (m,)
        Numbers of rows in the groups, each at least 1.
    theta : float
        tau / sigma, positive.

    Returns
    -------
    ndarray, shape (m,)
        Factors between 0 (no information: predict the mean) and 1 (no shrinkage).

    Raises
    ------
    ValueError
        If a group size is below 1 or theta is not positive.

    References
    ----------
    Robinson (1991), section 3; Searle, Casella and McCulloch (1992), section 3.4.

    Examples
    --------
    >>> print(shrinkage_factor([1, 4, 100], theta=0.5).round(4))
    [0.2    0.5    0.9615]
    """
    n_j = as_vector("n_j", n_j)
    if n_j.min() < 1:
        raise ValueError(
            f"n_j counts the rows of a group and is at least 1; found {n_j.min():g}"
        )
    # n_j / (n_j + 1 / theta^2)  (eq-blup-shrinkage)
    return n_j / (n_j + 1 / positive("theta", theta) ** 2)


def _relative_precision(Lambda: ArrayLike, q: int) -> FloatArray:
    """(Lambda Lambda')^-1, the one inverse that the equations themselves contain."""
    Lambda = relative_factor(Lambda, q)
    singular = (
        "Lambda is singular (a variance of zero): Henderson's equations contain the inverse of "
        "Lambda Lambda'; use solve_from_covariance, which does not"
    )
    return inverse(cholesky(Lambda @ Lambda.T, singular))
