"""Penalized least squares and the profiled deviance (chapter 5).

The model is y = X beta + Z b + e with b = Lambda u, u ~ N(0, sigma^2 I) and e ~ N(0, sigma^2 I).
Both u and e are spherical, with one variance. So the joint density of y and u is largest where

    ||y - X beta - Z Lambda u||^2 + ||u||^2

is smallest: least squares with a penalty on u. The likelihood is the integral of that density over
u. Its logarithm is quadratic in u, and the integral is exact:

    deviance = log|L_Z|^2 + n log(2 pi sigma^2) + (r2 + ||L_X' (beta - beta_hat)||^2) / sigma^2

with the minimum r2 and the Cholesky factors L_Z and L_X of the least squares problem. What is left
to search for is Lambda: beta and sigma have closed forms. Nothing is n x n, and Lambda is never
inverted: it may be singular, or zero.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import positive
from mixedsmooth._linalg import cholesky, log_det, solve_lower
from mixedsmooth.derivations.data import (
    Checked,
    as_coefficients,
    mixed_data,
    standard_deviations,
)
from mixedsmooth.derivations.design import relative_factor

FloatArray = NDArray[np.float64]


def penalized_objective(
    beta: ArrayLike,
    u: ArrayLike,
    y: ArrayLike,
    X: ArrayLike,
    Z: ArrayLike,
    Lambda: ArrayLike,
) -> float:
    """Penalized sum of squares, ||y - X beta - Z Lambda u||^2 + ||u||^2.

    Parameters
    ----------
    beta : array_like, shape (p,)
        Fixed effects.
    u : array_like, shape (q,)
        Spherical random effects, in the units of y; b = Lambda u.
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    Z : array_like, shape (n, q)
        Design of the random effects.
    Lambda : float or array_like, shape (q, q)
        Relative covariance factor of b; a number theta stands for theta I.

    Returns
    -------
    float
        The objective, in squared units of y.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, X is rank deficient, or theta is negative.

    References
    ----------
    Bates et al. (2015), equations 14 and 15.

    Examples
    --------
    >>> X, Z = [[1], [1], [1]], [[1, 0], [1, 0], [0, 1]]
    >>> penalized_objective([3], [-1, 1], [1, 3, 5], X, Z, 2.0)
    6.0
    """
    y, X, Z = mixed_data(y, X, Z)
    beta = as_coefficients("beta", beta, "X", X.shape[1])
    u = as_coefficients("u", u, "Z", Z.shape[1])
    # Q = ||y - X beta - Z Lambda u||^2 + ||u||^2  (eq-pls-joint)
    residual = y - X @ beta - Z @ (relative_factor(Lambda, Z.shape[1]) @ u)
    return float(residual @ residual + u @ u)


@dataclass(frozen=True)
class PenalizedSolution:
    """Solution of the penalized least squares problem.

    Attributes
    ----------
    beta : ndarray, shape (p,)
        The minimizing fixed effects, equal to generalized least squares.
    u : ndarray, shape (q,)
        The minimizing spherical random effects.
    b : ndarray, shape (q,)
        Lambda u, the best linear unbiased predictions.
    r2 : float
        The minimum of the penalized sum of squares, in squared units of y.
    L_Z : ndarray, shape (q, q)
        Lower triangular, L_Z L_Z' = Lambda' Z' Z Lambda + I.
    L_X : ndarray, shape (p, p)
        Lower triangular, L_X L_X' = X' (Z Lambda Lambda' Z' + I)^-1 X, the precision of beta
        times sigma^2.
    n : int
        Number of rows.

    Examples
    --------
    >>> solution = solve_penalized([1, 3, 5], [[1], [1], [1]], [[1, 0], [1, 0], [0, 1]], 2.0)
    >>> print(round(np.exp(solution.log_det_Z), 6), round(np.exp(solution.log_det_X), 6))
    45.0 0.422222
    """

    beta: FloatArray
    u: FloatArray
    b: FloatArray
    r2: float
    L_Z: FloatArray
    L_X: FloatArray
    n: int

    @property
    def log_det_Z(self) -> float:  # noqa: N802
        """log|L_Z|^2 = log|Lambda' Z' Z Lambda + I|."""
        return log_det(self.L_Z)

    @property
    def log_det_X(self) -> float:  # noqa: N802
        """log|L_X|^2."""
        return log_det(self.L_X)


def solve_penalized(
    y: ArrayLike, X: ArrayLike, Z: ArrayLike, Lambda: ArrayLike
) -> PenalizedSolution:
    """Minimize the penalized sum of squares, by one Cholesky factorization.

    The cross-products of [Z Lambda, X, y], with I added for the penalty, are factored with y as
    the last column. The factor then holds all that the likelihood needs: its last row solves the
    normal equations half-way, and the square of its last pivot is the minimum r2.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    Z : array_like, shape (n, q)
        Design of the random effects.
    Lambda : float or array_like, shape (q, q)
        Relative covariance factor of b; a number theta stands for theta I. It may be singular.

    Returns
    -------
    PenalizedSolution
        The solution, the minimum, and the factors L_Z and L_X.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, X is rank deficient, theta is negative, or X and
        Z explain y without error.

    References
    ----------
    Bates et al. (2015), equations 14 to 18. That y is appended, so that r2 is the square of the
    last pivot, is the way of the program MixedModels.jl.

    Examples
    --------
    >>> X, Z = [[1], [1], [1]], [[1, 0], [1, 0], [0, 1]]
    >>> solution = solve_penalized([1, 3, 5], X, Z, 2.0)
    >>> print(solution.beta.round(4), solution.b.round(4), round(solution.r2, 4))
    [3.4211] [-1.2632  1.2632] 2.9474
    """
    y, X, Z = mixed_data(y, X, Z)
    p, q = X.shape[1], Z.shape[1]
    Lambda = relative_factor(Lambda, q)
    # A = [W  y~]'[W  y~]  (eq-pls-augmented)
    #   = [ Lambda'Z'Z Lambda + I   Lambda'Z'X   Lambda'Z'y ]
    #     [ X'Z Lambda              X'X          X'y        ]
    #     [ y'Z Lambda              y'X          y'y        ]
    columns = np.column_stack([Z @ Lambda, X, y])
    A = columns.T @ columns
    A[:q, :q] += np.eye(q)
    # (eq-pls-crossproduct)
    # A = L L',  L = [ L_Z                  ]
    #                [ L_XZ   L_X           ]
    #                [ l_u'   l_beta'   r   ]
    L = _pivots(A, len(y))
    L_Z, L_XZ, L_X = L[:q, :q], L[q : q + p, :q], L[q : q + p, q : q + p]
    l_u, l_beta, r = L[-1, :q], L[-1, q : q + p], L[-1, -1]
    # the second half of the normal equations:
    # L_X' beta = l_beta,  L_Z' u = l_u - L_XZ' beta
    beta = solve_lower(L_X, l_beta, transposed=True)
    u = solve_lower(L_Z, l_u - L_XZ.T @ beta, transposed=True)
    # b = Lambda u  (eq-2-lambda)
    b = Lambda @ u
    return PenalizedSolution(beta, u, b, float(r**2), L_Z, L_X, len(y))


def log_integral(
    beta: ArrayLike,
    sigma: float,
    y: ArrayLike,
    X: ArrayLike,
    Z: ArrayLike,
    Lambda: ArrayLike,
) -> float:
    """Log-likelihood as the integral of p(y | u) p(u) over u, exact.

    The logarithm of the integrand, log p(y, u), is quadratic in u. Its expansion around the mode
    u_hat has no remainder, log p(y, u) = log p(y, u_hat) - (u - u_hat)' H (u - u_hat) / 2, and the
    integral is p(y, u_hat) times the volume ``(2 pi)^(q/2) |H|^(-1/2)`` under a Gaussian of height
    one.

    Parameters
    ----------
    beta : array_like, shape (p,)
        Fixed effects.
    sigma : float
        Standard deviation of e and of u, in the units of y.
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    Z : array_like, shape (n, q)
        Design of the random effects.
    Lambda : float or array_like, shape (q, q)
        Relative covariance factor of b; a number theta stands for theta I.

    Returns
    -------
    float
        log p(y), the log density of N(X beta, sigma^2 (Z Lambda Lambda' Z' + I)).

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, X is rank deficient, theta is negative, or sigma
        is not positive.

    References
    ----------
    Fitzgerald (2021), section Theory; Bates et al. (2015), equations 20 to 30.

    Examples
    --------
    >>> X, Z = [[1], [1], [1]], [[1, 0], [1, 0], [0, 1]]
    >>> round(log_integral([3], 1.5, [1, 3, 5], X, Z, 2.0), 6)
    -6.548147
    """
    y, X, Z = mixed_data(y, X, Z)
    n, q = Z.shape
    beta = as_coefficients("beta", beta, "X", X.shape[1])
    sigma = positive("sigma", sigma)
    ZLambda = Z @ relative_factor(Lambda, q)
    # Lambda'Z'Z Lambda + I = L_Z L_Z'
    L_Z = cholesky(ZLambda.T @ ZLambda + np.eye(q))
    # the mode: (Lambda'Z'Z Lambda + I) u_hat = Lambda'Z'(y - X beta)
    # (eq-pls-mode)
    u_hat = scipy.linalg.cho_solve((L_Z, True), ZLambda.T @ (y - X @ beta))
    # log p(y, u_hat) = -(n + q)/2 log(2 pi sigma^2) - Q / (2 sigma^2)
    # (eq-pls-joint)
    rows = Checked(y), Checked(X), Checked(Z)
    Q = penalized_objective(beta, u_hat, *rows, Lambda)
    at_mode = -(n + q) / 2 * np.log(2 * np.pi * sigma**2) - Q / (2 * sigma**2)
    # Q(u) = Q(u_hat) + ||L_Z'(u - u_hat)||^2  (eq-pls-expansion), so that
    # H = -d2 log p / du du' = L_Z L_Z' / sigma^2,
    # log|H| = log|L_Z|^2 - q log sigma^2
    log_det_H = log_det(L_Z) - q * np.log(sigma**2)
    # log p(y) = log p(y, u_hat) + q/2 log(2 pi) - log|H| / 2
    # (eq-pls-integral)
    return float(at_mode + q / 2 * np.log(2 * np.pi) - log_det_H / 2)


def deviance(
    beta: ArrayLike,
    sigma: float,
    y: ArrayLike,
    X: ArrayLike,
    Z: ArrayLike,
    Lambda: ArrayLike,
) -> float:
    """Minus twice the log-likelihood, arranged so that beta and sigma can be profiled out.

    Minus twice `log_integral`, its terms collected, and the minimum over u written as a parabola
    in beta around the best one: r2 + ||L_X' (beta - beta_hat)||^2.

    Parameters
    ----------
    beta : array_like, shape (p,)
        Fixed effects.
    sigma : float
        Standard deviation of e and of u, in the units of y.
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    Z : array_like, shape (n, q)
        Design of the random effects.
    Lambda : float or array_like, shape (q, q)
        Relative covariance factor of b; a number theta stands for theta I.

    Returns
    -------
    float
        The deviance.

    Raises
    ------
    ValueError
        As `solve_penalized`, or if sigma is not positive.

    References
    ----------
    Bates et al. (2015), equation 31.

    Examples
    --------
    >>> X, Z = [[1], [1], [1]], [[1, 0], [1, 0], [0, 1]]
    >>> round(deviance([3], 1.5, [1, 3, 5], X, Z, 2.0), 6)
    13.096294
    """
    sigma = positive("sigma", sigma)
    solution = solve_penalized(y, X, Z, Lambda)
    beta = as_coefficients("beta", beta, "X", len(solution.beta))
    # the minimum over u: r2 + ||L_X'(beta - beta_hat)||^2  (eq-6-square)
    excess = solution.L_X.T @ (beta - solution.beta)
    minimum = solution.r2 + excess @ excess
    # log|L_Z|^2 + n log(2 pi sigma^2) + minimum / sigma^2  (eq-pls-deviance)
    scale = solution.n * np.log(2 * np.pi * sigma**2)
    return float(solution.log_det_Z + scale + minimum / sigma**2)


def profiled_deviance(
    Lambda: ArrayLike, y: ArrayLike, X: ArrayLike, Z: ArrayLike
) -> float:
    """Deviance at the best beta and sigma for a given Lambda.

    The deviance is smallest at beta = beta_hat and at sigma^2 = r2 / n, where its derivative
    n / sigma^2 - r2 / sigma^4 by sigma^2 is zero. Lambda alone is left to search for.

    Parameters
    ----------
    Lambda : float or array_like, shape (q, q)
        Relative covariance factor of b; a number theta stands for theta I.
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    Z : array_like, shape (n, q)
        Design of the random effects.

    Returns
    -------
    float
        Minus twice the log-likelihood, maximized over beta and sigma.

    Raises
    ------
    ValueError
        As `solve_penalized`.

    References
    ----------
    Bates et al. (2015), equations 32 to 35.

    Examples
    --------
    >>> import numpy as np
    >>> import mixedsmooth as ms
    >>> from mixedsmooth.derivations.design import grouping_columns
    >>> sleep = ms.load_sleepstudy()
    >>> X = np.column_stack([np.ones(180), sleep.days])
    >>> Z, _ = grouping_columns(sleep.subject)
    >>> round(profiled_deviance(1.1656, sleep.reaction, X, Z), 4)
    1794.0786
    """
    solution = solve_penalized(y, X, Z, Lambda)
    n, sigma2 = solution.n, solution.r2 / solution.n
    # log|L_Z|^2 + n (1 + log(2 pi r2 / n))  (eq-pls-profiled)
    return solution.log_det_Z + n * (1 + float(np.log(2 * np.pi * sigma2)))


def doubled_log_determinant_deviance(
    log_theta: ArrayLike, y: ArrayLike, X: ArrayLike, Z: ArrayLike
) -> float:
    """Source 2's deviance of the random-intercept model, with its two errors: not for use.

    It is kept to show what they do. In terms of H = Z'Z / sigma^2 + I / sigma_b^2 the deviance is

        r2 / sigma^2 + log|H| + q log(sigma_b^2) + n log(sigma^2) + n log(2 pi)

    and the source has 2 log|H| and q log(2 pi). The wrong constant shifts the value and not the
    minimizer. The doubled log-determinant moves it: in a balanced design with m rows a group, the
    residual variance is multiplied by about (m - 1) / (m - 2), and the variance of the groups grows
    by about sigma^2 / m.

    Parameters
    ----------
    log_theta : array_like, shape (2,)
        (log sigma, log sigma_b), the logarithms of the standard deviations of the residuals and of
        the random intercepts, in the source's order.
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    Z : array_like, shape (n, q)
        Design of the random intercepts.

    Returns
    -------
    float
        Twice the value of the source's function.

    Raises
    ------
    ValueError
        As `solve_penalized`, or if log_theta is not two moderate numbers.

    References
    ----------
    Fitzgerald (2021), function ``loglik!``.

    Examples
    --------
    >>> import numpy as np
    >>> X, Z = [[1], [1], [1]], [[1, 0], [1, 0], [0, 1]]
    >>> log_theta = np.log([1.5, 3.0])
    >>> round(doubled_log_determinant_deviance(log_theta, [1, 3, 5], X, Z), 6)
    10.637362
    """
    sigma, sigma_b = standard_deviations(log_theta)
    solution = solve_penalized(y, X, Z, sigma_b / sigma)
    n, q = np.shape(Z)
    # log|H| = log|Z'Z / sigma^2 + I / sigma_b^2| = log|L_Z|^2 - q log sigma_b^2
    log_det_H = solution.log_det_Z - q * np.log(sigma_b**2)
    # as printed: 2 log|H| for log|H|, and q log(2 pi) for n log(2 pi)
    # (eq-pls-source)
    return float(
        solution.r2 / sigma**2
        + 2 * log_det_H
        + q * np.log(sigma_b**2)
        + n * np.log(sigma**2)
        + q * np.log(2 * np.pi)
    )


def _pivots(A: FloatArray, n: int) -> FloatArray:
    """Factor A = L L', whose last pivot must be more than the rounding errors of y'y."""
    explained = (
        "y is explained by X and Z without error, so there is no variance left to divide; use more "
        "rows, fewer columns, or a smaller Lambda"
    )
    L = cholesky(A, explained)
    if L[-1, -1] ** 2 <= n * np.finfo(float).eps * A[-1, -1]:
        raise ValueError(explained)
    return L
