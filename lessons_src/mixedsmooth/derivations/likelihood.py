"""Maximum likelihood for the random-intercept model, two ways (chapters 2 and 3).

The model is y = X beta + Z b + e with b ~ N(0, tau^2 I) and e ~ N(0, sigma^2 I), so that

    y ~ N(X beta, V),    V = tau^2 Z Z' + sigma^2 I = sigma^2 (Z Lambda Lambda' Z' + I)

with Lambda = theta I and theta = tau / sigma. Everything here is dense and meant to be read: V is
n x n. The parameters of the likelihood functions are (log tau, log sigma).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from mixedsmooth._checks import as_matrix, as_vector, choice, positive
from mixedsmooth._linalg import cholesky, inverse, least_squares, solve_lower
from mixedsmooth.derivations.data import (
    Checked,
    matrix,
    mixed_data,
    regression_data,
    standard_deviations,
    without_fit,
)

# the designs of the examples; they can be imported from here too
from mixedsmooth.derivations.design import (
    grouping_columns as grouping_columns,
)
from mixedsmooth.derivations.design import (
    intercept_slope_columns as intercept_slope_columns,
)
from mixedsmooth.derivations.design import relative_factor
from mixedsmooth.derivations.design import slope_columns as slope_columns

FloatArray = NDArray[np.float64]
NegLogLik = Callable[[ArrayLike, ArrayLike, ArrayLike, ArrayLike], float]

MAX_DENSE_ROWS = 5_000  # an n x n matrix of float64 has then 200 MB
SEARCH = {"xatol": 1e-8, "fatol": 1e-9, "maxiter": 2_000, "maxfev": 4_000}


def marginal_covariance(
    Z: ArrayLike, Lambda: ArrayLike, sigma: float
) -> FloatArray:
    """V, the covariance of y once the random effects are integrated out.

    With b = Lambda u, u ~ N(0, sigma^2 I):  V = sigma^2 (Z Lambda Lambda' Z' + I).

    Parameters
    ----------
    Z : array_like, shape (n, q)
        Design of the random effects.
    Lambda : float or array_like, shape (q, q)
        Relative covariance factor. A number theta stands for theta I: independent effects with
        standard deviation tau = theta sigma.
    sigma : float
        Residual standard deviation, in the units of y.

    Returns
    -------
    ndarray, shape (n, n)
        The covariance matrix, in squared units of y.

    Raises
    ------
    ValueError
        If Z has more than 5,000 rows (the matrix would not fit into memory), a value is not
        finite, theta is negative, sigma is not positive, or the shapes do not fit.

    References
    ----------
    Wood (2006), section 6.2; Bates et al. (2015), equations 2 to 4.

    Examples
    --------
    >>> Z, _ = grouping_columns(["A", "A", "B"])
    >>> print(marginal_covariance(Z, 2.0, 1.0))
    [[5. 4. 0.]
     [4. 5. 0.]
     [0. 0. 5.]]
    """
    Z = matrix("Z", Z)
    n, q = Z.shape
    if n > MAX_DENSE_ROWS:
        raise ValueError(
            f"Z has {n} rows, and V would be {n} x {n}; this function forms V to show it and stops "
            f"at {MAX_DENSE_ROWS} rows"
        )
    sigma = positive("sigma", sigma)
    # Var(b) = sigma^2 Lambda Lambda'  (eq-2-var-b)
    ZLambda = Z @ relative_factor(Lambda, q)
    # V = sigma^2 (Z Lambda Lambda' Z' + I)  (eq-2-marginal)
    V: FloatArray = sigma**2 * (ZLambda @ ZLambda.T + np.eye(n))
    return V


def generalized_least_squares(
    y: ArrayLike, X: ArrayLike, V: ArrayLike
) -> FloatArray:
    """Best linear unbiased estimate of beta when y has covariance V.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    V : array_like, shape (n, n)
        Covariance of y, positive definite. Its scale does not matter.

    Returns
    -------
    ndarray, shape (p,)
        The solution of X' V^-1 X beta = X' V^-1 y.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, X is rank deficient, or V is not positive
        definite.

    References
    ----------
    Searle, Casella and McCulloch (1992), equation 7.20.

    Examples
    --------
    With weights 1 and 1/9 the mean of 1 and 11 lies at a tenth of the way:

    >>> import numpy as np
    >>> print(generalized_least_squares([1, 11], [[1], [1]], np.diag([1.0, 9.0])))
    [2.]
    """
    y, X = regression_data(y, X)
    # V = L L'
    L = cholesky(as_matrix("V", V, n=len(y)))
    # beta: least squares of L^-1 y on L^-1 X  (eq-3-star)
    return least_squares(solve_lower(L, X), solve_lower(L, y))


def covariance_of_beta(X: ArrayLike, V: ArrayLike) -> FloatArray:
    """Covariance of the generalized least squares estimate when y has covariance V.

    Parameters
    ----------
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    V : array_like, shape (n, n)
        Covariance of y, positive definite.

    Returns
    -------
    ndarray, shape (p, p)
        (X' V^-1 X)^-1.

    Raises
    ------
    ValueError
        As `generalized_least_squares`.

    References
    ----------
    Searle, Casella and McCulloch (1992), section 7.2.

    Examples
    --------
    The mean of four independent rows with variance 1:

    >>> import numpy as np
    >>> print(covariance_of_beta(np.ones((4, 1)), np.eye(4)))
    [[0.25]]
    """
    X = matrix("X", X)
    # V = L L',  X* = L^-1 X = Q R,  X' V^-1 X = R'R
    _, R = np.linalg.qr(solve_lower(cholesky(as_matrix("V", V, n=len(X))), X))
    # Cov(beta_hat) = (X' V^-1 X)^-1  (eq-3-covbeta)
    return inverse(R.T)


def negloglik_transformed(
    theta: ArrayLike, y: ArrayLike, X: ArrayLike, Z: ArrayLike
) -> float:
    """Negative log-likelihood by transforming the rows to independence.

    With V = L L', the rows of L^-1 y are independent with variance 1, and
    -l = n/2 log(2 pi) + log|L| + ||L^-1 (y - X beta)||^2 / 2, beta by least squares of L^-1 y
    on L^-1 X.

    Parameters
    ----------
    theta : array_like, shape (2,)
        (log tau, log sigma), the logarithms of the standard deviations.
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects.
    Z : array_like, shape (n, q)
        Design of the random intercepts.

    Returns
    -------
    float
        The negative log-likelihood, maximized over beta.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, or X is rank deficient.

    References
    ----------
    Wood (2006), section 6.2.2; Clark (2016), function llMixed.

    Examples
    --------
    >>> import numpy as np
    >>> import mixedsmooth as ms
    >>> sleep = ms.load_sleepstudy()
    >>> X = np.column_stack([np.ones(180), sleep.days])
    >>> Z, _ = grouping_columns(sleep.subject)
    >>> print(round(negloglik_transformed(np.log([36.01, 30.90]), sleep.reaction, X, Z), 4))
    897.0393
    """
    tau, sigma = standard_deviations(theta)
    y, X, Z = mixed_data(y, X, Z)
    # V = tau^2 Z Z' + sigma^2 I  (eq-3-marginal)
    V = marginal_covariance(Checked(Z), tau / sigma, sigma)
    # V = L L'
    L = cholesky(V)
    # y* = L^-1 y and X* = L^-1 X: independent rows with variance 1
    # (eq-3-star)
    y_star, X_star = solve_lower(L, y), solve_lower(L, X)
    # beta: least squares of y* on X*, generalized least squares of y on X
    residual = y_star - X_star @ least_squares(X_star, y_star)
    # -l = n/2 log(2 pi) + log|L| + ||y* - X* beta||^2 / 2  (eq-3-loglik)
    return float(
        len(y) / 2 * np.log(2 * np.pi)
        + np.log(np.diag(L)).sum()
        + residual @ residual / 2
    )


def negloglik_mvn(
    theta: ArrayLike,
    y: ArrayLike,
    X: ArrayLike,
    Z: ArrayLike,
    beta: Literal["gls", "ols"] = "gls",
) -> float:
    """Negative log-likelihood as one multivariate normal density: -log N(y; X beta, V).

    Parameters
    ----------
    theta : array_like, shape (2,)
        (log tau, log sigma), the logarithms of the standard deviations.
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects.
    Z : array_like, shape (n, q)
        Design of the random intercepts.
    beta : {"gls", "ols"}
        Generalized least squares, which maximizes the likelihood; or ordinary least squares, a
        shortcut that is right in balanced designs only.

    Returns
    -------
    float
        The negative log-likelihood at that beta.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, X is rank deficient, or `beta` is neither "gls"
        nor "ols".

    References
    ----------
    Clark (2016), function llMixedMV, which takes the shortcut.

    Examples
    --------
    >>> import numpy as np
    >>> import mixedsmooth as ms
    >>> sleep = ms.load_sleepstudy()
    >>> X = np.column_stack([np.ones(180), sleep.days])
    >>> Z, _ = grouping_columns(sleep.subject)
    >>> print(round(negloglik_mvn(np.log([36.01, 30.90]), sleep.reaction, X, Z), 4))
    897.0393
    """
    tau, sigma = standard_deviations(theta)
    y, X, Z = mixed_data(y, X, Z)
    V = marginal_covariance(Checked(Z), tau / sigma, sigma)
    if choice("beta", beta, ("gls", "ols")) == "gls":
        coefficients = generalized_least_squares(Checked(y), Checked(X), V)
    else:
        coefficients = least_squares(X, y)
    # -l = -log N(y; X beta, V)  (eq-3-mvn)
    return -float(multivariate_normal(mean=X @ coefficients, cov=V).logpdf(y))


def score(
    theta: ArrayLike, y: ArrayLike, X: ArrayLike, Z: ArrayLike
) -> FloatArray:
    """Gradient of `negloglik_transformed`: it is zero at the optimum.

    Beta is at its best for every theta, so it contributes nothing (the envelope theorem), and for
    each parameter d(-l) = (tr(V^-1 dV) - r' V^-1 dV V^-1 r) / 2, r = y - X beta, with
    dV = 2 tau^2 Z Z' for log tau and dV = 2 sigma^2 I for log sigma.

    Parameters
    ----------
    theta : array_like, shape (2,)
        (log tau, log sigma), the logarithms of the standard deviations.
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects.
    Z : array_like, shape (n, q)
        Design of the random intercepts.

    Returns
    -------
    ndarray, shape (2,)
        Derivatives of the negative log-likelihood by log tau and by log sigma.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, or X is rank deficient.

    References
    ----------
    Searle, Casella and McCulloch (1992), section 6.3.

    Examples
    --------
    >>> import numpy as np
    >>> import mixedsmooth as ms
    >>> sleep = ms.load_sleepstudy()
    >>> X = np.column_stack([np.ones(180), sleep.days])
    >>> Z, _ = grouping_columns(sleep.subject)
    >>> print(score(np.log([36.02, 30.90]), sleep.reaction, X, Z).round(3))
    [0.007 0.048]
    """
    tau, sigma = standard_deviations(theta)
    y, X, Z = mixed_data(y, X, Z)
    L = cholesky(marginal_covariance(Checked(Z), tau / sigma, sigma))
    y_star, X_star = solve_lower(L, y), solve_lower(L, X)
    Z_star = solve_lower(L, Z)
    r_star = y_star - X_star @ least_squares(X_star, y_star)
    # d(-l) = (tr(V^-1 dV) - r' V^-1 dV V^-1 r) / 2  (eq-3-score),
    # tr(V^-1 Z Z') = ||Z*||^2  and  r' V^-1 Z Z' V^-1 r = ||Z*' r*||^2
    by_log_tau = tau**2 * (
        np.sum(Z_star**2) - np.sum((Z_star.T @ r_star) ** 2)
    )
    # sigma^2 I = V - tau^2 Z Z':
    # both terms follow from tr(V^-1 V) = n and r' V^-1 r
    by_log_sigma = len(y) - r_star @ r_star - by_log_tau
    return np.array([by_log_tau, by_log_sigma])


@dataclass(frozen=True)
class MaximumLikelihood:
    """Maximum likelihood fit of the random-intercept model.

    Attributes
    ----------
    tau, sigma : float
        Standard deviations of the random intercepts and of the residuals, in the units of y.
    beta : ndarray, shape (p,)
        Fixed effects.
    cov_beta : ndarray, shape (p, p)
        Their covariance, (X' V^-1 X)^-1.
    negloglik : float
        The negative log-likelihood at the optimum.
    n : int
        Number of rows.
    path : ndarray, shape (m, 2)
        (log tau, log sigma) after each step of the optimizer, the start first.
    evaluations : int
        How often the likelihood was computed.
    converged : bool
        Whether the optimizer met its tolerance.
    on_boundary : bool
        Whether the optimum is at tau = 0: the groups do not differ more than the residuals explain.

    Examples
    --------
    >>> Z, _ = grouping_columns(["a", "a", "b", "b", "c", "c"])
    >>> fit = fit_ml([1, 2, 5, 6, 2, 4], [[1]] * 6, Z)
    >>> print(round(fit.theta, 4), fit.se.round(4), fit.parameters)
    1.4907 [0.9526] 3
    >>> fit.aic == fit.deviance + 2 * fit.parameters
    True
    """

    tau: float
    sigma: float
    beta: FloatArray
    cov_beta: FloatArray
    negloglik: float
    n: int
    path: FloatArray
    evaluations: int
    converged: bool
    on_boundary: bool

    @property
    def theta(self) -> float:
        """Relative standard deviation tau / sigma."""
        return self.tau / self.sigma

    @property
    def se(self) -> FloatArray:
        """Standard errors of beta, shape (p,)."""
        return np.sqrt(np.diag(self.cov_beta))

    @property
    def loglik(self) -> float:
        """Log-likelihood."""
        return -self.negloglik

    @property
    def deviance(self) -> float:
        """Minus twice the log-likelihood."""
        return 2 * self.negloglik

    @property
    def parameters(self) -> int:
        """Number of estimated parameters: p fixed effects and two standard deviations."""
        return len(self.beta) + 2

    @property
    def aic(self) -> float:
        """Akaike's criterion, deviance + 2 parameters."""
        return self.deviance + 2 * self.parameters

    @property
    def bic(self) -> float:
        """Schwarz's criterion, deviance + log(n) parameters."""
        return self.deviance + float(np.log(self.n)) * self.parameters


def fit_ml(
    y: ArrayLike,
    X: ArrayLike,
    Z: ArrayLike,
    negloglik: NegLogLik = negloglik_transformed,
    start: ArrayLike | None = None,
) -> MaximumLikelihood:
    """Maximize the likelihood of the random-intercept model over (log tau, log sigma).

    The optimizer is that of Nelder and Mead, as in the source, run until its simplex is smaller
    than 1e-8 in every direction; the standard deviations then have at least six right digits.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects.
    Z : array_like, shape (n, q)
        Design of the random intercepts.
    negloglik : callable
        `negloglik_transformed`, `negloglik_mvn`, or another function of (theta, y, X, Z).
    start : array_like, shape (2,), optional
        Where to start, as (log tau, log sigma). Without it, the residual variance of ordinary least
        squares is shared equally.

    Returns
    -------
    MaximumLikelihood
        Frozen record of the fit. A tau of zero is a result, marked by `on_boundary`.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, X is rank deficient, the columns of X explain y
        without error, or the search is lost because `start` is too far out.

    References
    ----------
    Wood (2006), section 6.2.2; Nelder and Mead (1965), Computer Journal 7, 308-313.

    Examples
    --------
    >>> import numpy as np
    >>> import mixedsmooth as ms
    >>> sleep = ms.load_sleepstudy()
    >>> X = np.column_stack([np.ones(180), sleep.days])
    >>> Z, _ = grouping_columns(sleep.subject)
    >>> fit = fit_ml(sleep.reaction, X, Z)
    >>> print(f"{fit.tau:.4f} {fit.sigma:.4f} {fit.deviance:.4f}")
    36.0121 30.8954 1794.0786
    """
    y, X, Z = mixed_data(y, X, Z)
    n = len(y)
    _, ols_residual = without_fit(y, X)
    mean_square = float(ols_residual @ ols_residual) / n
    theta_0 = _start(start, mean_square)
    # the functions of this module know that they need not look again
    own = negloglik in (negloglik_transformed, negloglik_mvn)
    path = [theta_0]
    optimum = minimize(
        negloglik,
        theta_0,
        args=(Checked(y), Checked(X), Checked(Z)) if own else (y, X, Z),
        method="Nelder-Mead",
        callback=lambda theta: path.append(theta.copy()),
        options=SEARCH,
    )
    tau, sigma = np.exp(optimum.x)
    value = float(optimum.fun)
    # The simplex cannot reach log tau = -infinity: there it is ordinary least squares.
    at_zero = n / 2 * (np.log(2 * np.pi * mean_square) + 1)
    on_boundary = bool(at_zero <= value + 1e-9 * abs(value))
    if on_boundary:
        if _slope_at_zero(ols_residual, Z) < 0:
            raise ValueError(
                f"start {theta_0.tolist()} is so far out that the likelihood is flat there, and "
                "the search ended at tau = 0, which is not the optimum; start nearer, or leave "
                "start out"
            )
        tau, sigma, value = 0.0, np.sqrt(mean_square), float(at_zero)
    V = marginal_covariance(Checked(Z), tau / sigma, sigma)
    return MaximumLikelihood(
        tau=float(tau),
        sigma=float(sigma),
        beta=generalized_least_squares(Checked(y), Checked(X), V),
        cov_beta=covariance_of_beta(Checked(X), V),
        negloglik=value,
        n=n,
        path=np.array(path),
        evaluations=int(optimum.nfev),
        converged=bool(optimum.success),
        on_boundary=on_boundary,
    )


def _start(start: ArrayLike | None, mean_square: float) -> FloatArray:
    """Find where to start: from a half of the residual variance each, if nothing else is said."""
    guess = np.full(2, np.log(mean_square / 2) / 2)
    theta = guess if start is None else as_vector("start", start)
    if theta.shape != (2,) or np.abs(theta - guess).max() > 15:
        raise ValueError(
            "start must be (log tau, log sigma), each within 15 of the logarithm of the residual "
            f"standard deviation, {guess[0]:.1f}; found {theta.tolist()}"
        )
    return theta


def _slope_at_zero(residual: FloatArray, Z: FloatArray) -> float:
    """Differentiate -l by tau^2 at tau = 0, where y - X beta is that of ordinary least squares."""
    s2 = residual @ residual / len(residual)
    # (||Z||^2 - ||Z'r||^2 / s^2) / (2 s^2)  (eq-3-boundary)
    slope = (np.sum(Z**2) - np.sum((Z.T @ residual) ** 2) / s2) / (2 * s2)
    return float(slope)
