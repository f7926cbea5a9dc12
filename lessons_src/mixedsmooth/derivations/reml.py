"""REML and random slopes (chapter 6).

The model is that of chapter 5, y ~ N(X beta, sigma^2 V) with V = Z Lambda Lambda' Z' + I. Maximum
likelihood divides r2 by n as if beta were known. Restricted maximum likelihood integrates beta out
of the likelihood, under a flat prior, before it looks at the variances:

    restricted deviance = log|L_Z|^2 + log|L_X|^2 + (n - p) (1 + log(2 pi r2 / (n - p)))

The same criterion, up to a constant that X alone determines, is the likelihood of the contrasts of
y that do not depend on beta. Below are this form, the one in terms of V, and that of the contrasts;
then Lambda as a function of theta for random slopes, and the search for the best theta.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from mixedsmooth._checks import as_vector, choice, positive
from mixedsmooth._linalg import (
    cholesky,
    inverse,
    least_squares,
    log_det,
    positive_diagonal,
    solve_lower,
)
from mixedsmooth.derivations.data import Checked, mixed_data, without_fit
from mixedsmooth.derivations.design import LambdaTemplate

# for the examples; it can be imported from here too
from mixedsmooth.derivations.design import lambda_template as lambda_template
from mixedsmooth.derivations.likelihood import marginal_covariance
from mixedsmooth.derivations.penalized_ls import (
    PenalizedSolution,
    deviance,
    profiled_deviance,
    solve_penalized,
)

FloatArray = NDArray[np.float64]
Method = Literal["ML", "REML"]

SEARCH = {"xatol": 1e-8, "fatol": 1e-10, "maxiter": 5_000, "maxfev": 10_000}


def restricted_log_integral(
    sigma: float, y: ArrayLike, X: ArrayLike, Z: ArrayLike, Lambda: ArrayLike
) -> float:
    """Restricted log-likelihood: the likelihood integrated over beta under a flat prior, exact.

    The log-likelihood is quadratic in beta: its value at beta_hat minus
    ||L_X' (beta - beta_hat)||^2 / (2 sigma^2). So the integral is p(y | beta_hat) times the volume
    ``(2 pi sigma^2)^(p/2) / |L_X|`` under that Gaussian.

    Parameters
    ----------
    sigma : float
        Residual standard deviation, in the units of y.
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
        The logarithm of the integral of p(y | beta) over beta.

    Raises
    ------
    ValueError
        As `solve_penalized`, or if sigma is not positive.

    References
    ----------
    Laird and Ware (1982), section 3; Bates et al. (2015), equations 36 to 40.

    Examples
    --------
    >>> X, Z = [[1], [1], [1]], [[1, 0], [1, 0], [0, 1]]
    >>> round(restricted_log_integral(1.5, [1, 3, 5], X, Z, 2.0), 6)
    -4.775998
    """
    sigma = positive("sigma", sigma)
    solution = solve_penalized(y, X, Z, Lambda)
    # log p(y | beta_hat)
    at_beta_hat = -deviance(solution.beta, sigma, y, X, Z, Lambda) / 2
    # the Gaussian in beta has precision L_X L_X' / sigma^2:
    # p/2 log(2 pi sigma^2) - log|L_X|  (eq-6-volume)
    p = len(solution.beta)
    log_volume = p / 2 * np.log(2 * np.pi * sigma**2) - solution.log_det_X / 2
    # the restricted log-likelihood  (eq-6-reml)
    return float(at_beta_hat + log_volume)


def restricted_deviance(
    Lambda: ArrayLike, y: ArrayLike, X: ArrayLike, Z: ArrayLike
) -> float:
    """Restricted deviance of Lambda, with sigma profiled out: lme4's REML criterion.

    Minus twice `restricted_log_integral` is
    log|L_Z|^2 + log|L_X|^2 + (n - p) log(2 pi sigma^2) + r2 / sigma^2, and it is smallest at
    sigma^2 = r2 / (n - p).

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
        Minus twice the restricted log-likelihood, maximized over sigma. It changes by
        2 log|det R| when X becomes X R: compare it between models with the same X only.

    Raises
    ------
    ValueError
        As `solve_penalized`.

    References
    ----------
    Bates et al. (2015), equations 40 to 42.

    Examples
    --------
    >>> import numpy as np
    >>> import mixedsmooth as ms
    >>> from mixedsmooth.derivations.design import grouping_columns
    >>> sleep = ms.load_sleepstudy()
    >>> X = np.column_stack([np.ones(180), sleep.days])
    >>> Z, _ = grouping_columns(sleep.subject)
    >>> round(restricted_deviance(1.1979, sleep.reaction, X, Z), 4)
    1786.4651
    """
    solution = solve_penalized(y, X, Z, Lambda)
    degrees = solution.n - len(solution.beta)
    sigma2 = solution.r2 / degrees
    # log|L_Z|^2 + log|L_X|^2 + (n - p) (1 + log(2 pi r2 / (n - p)))
    # (eq-6-profiled)
    log_dets = solution.log_det_Z + solution.log_det_X
    return log_dets + degrees * (1 + float(np.log(2 * np.pi * sigma2)))


def restricted_deviance_from_covariance(
    Lambda: ArrayLike, y: ArrayLike, X: ArrayLike, Z: ArrayLike
) -> float:
    """Restricted deviance once more, from the n x n covariance matrix of y.

    With V = Z Lambda Lambda' Z' + I and the residual r of generalized least squares,

        log|V| + log|X' V^-1 X| + (n - p) log(2 pi sigma^2) + r' V^-1 r / sigma^2

    at its best sigma^2, r' V^-1 r / (n - p).

    Parameters
    ----------
    Lambda : float or array_like, shape (q, q)
        Relative covariance factor of b; a number theta stands for theta I.
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    Z : array_like, shape (n, q)
        Design of the random effects, of no more than 5,000 rows.

    Returns
    -------
    float
        The same number as `restricted_deviance`.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, X is rank deficient, theta is negative, or there
        are more than 5,000 rows.

    References
    ----------
    Harville (1977), section 4.2; Dirmeier (n.d.), the restricted likelihood.

    Examples
    --------
    >>> X, Z = [[1], [1], [1]], [[1, 0], [1, 0], [0, 1]]
    >>> round(restricted_deviance_from_covariance(2.0, [1, 3, 5], X, Z), 6)
    9.395724
    """
    y, X, Z = mixed_data(y, X, Z)
    # V_0 = L L',  y* = L^-1 y,  X* = L^-1 X
    L = cholesky(marginal_covariance(Checked(Z), Lambda, sigma=1.0))
    y_star, X_star = solve_lower(L, y), solve_lower(L, X)
    # X' V_0^-1 X = X*'X* = R'R
    _, R = np.linalg.qr(X_star)
    # r' V_0^-1 r = ||y* - X* beta||^2
    r_star = y_star - X_star @ least_squares(X_star, y_star)
    # sigma^2 = r' V_0^-1 r / (n - p)  (eq-6-sigma)
    degrees = len(y) - X.shape[1]
    sigma2 = r_star @ r_star / degrees
    # log|V_0| + log|X' V_0^-1 X| + (n - p) (1 + log(2 pi sigma^2))
    # (eq-6-profiled)
    return float(
        log_det(L) + log_det(R) + degrees * (1 + np.log(2 * np.pi * sigma2))
    )


def restricted_deviance_of_contrasts(
    Lambda: ArrayLike, y: ArrayLike, X: ArrayLike, Z: ArrayLike
) -> float:
    """Deviance of the contrasts K'y that do not depend on beta, with sigma profiled out.

    The n - p columns of K are an orthonormal basis of the complement of the columns of X. So
    K'X = 0, and K'y ~ N(0, sigma^2 K'VK) whatever beta is.

    Parameters
    ----------
    Lambda : float or array_like, shape (q, q)
        Relative covariance factor of b; a number theta stands for theta I.
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    Z : array_like, shape (n, q)
        Design of the random effects, of no more than 5,000 rows.

    Returns
    -------
    float
        `restricted_deviance` minus log|X'X|, a constant that does not depend on Lambda, because
        ``|K'VK| = |V| |X' V^-1 X| / |X'X|``.

    Raises
    ------
    ValueError
        As `restricted_deviance_from_covariance`.

    References
    ----------
    Patterson and Thompson (1971); Harville (1977), section 4.2.

    Examples
    --------
    >>> import numpy as np
    >>> X, Z = [[1], [1], [1]], [[1, 0], [1, 0], [0, 1]]
    >>> of_contrasts = restricted_deviance_of_contrasts(2.0, [1, 3, 5], X, Z)
    >>> print(round(of_contrasts + np.log(3), 6))  # X'X = 3
    9.395724
    """
    y, X, Z = mixed_data(y, X, Z)
    # [Q_X  K] R = X:  the first p columns of Q span X, the others its complement
    Q, _ = scipy.linalg.qr(X)
    K = Q[:, X.shape[1] :]
    # w = K'y ~ N(0, sigma^2 K'V_0 K),  K'V_0 K = L L'
    L = cholesky(K.T @ marginal_covariance(Checked(Z), Lambda, 1.0) @ K)
    w_star = solve_lower(L, K.T @ y)
    # sigma^2 = w' (K'V_0 K)^-1 w / (n - p)
    degrees = K.shape[1]
    sigma2 = w_star @ w_star / degrees
    # log|K'V_0 K| + (n - p) (1 + log(2 pi sigma^2))  (eq-6-contrasts)
    return float(log_det(L) + degrees * (1 + np.log(2 * np.pi * sigma2)))


@dataclass(frozen=True)
class ProfiledFit:
    """Fit of a linear mixed model by the profiled criterion.

    Attributes
    ----------
    method : {"ML", "REML"}
        The criterion.
    theta : ndarray
        Parameters of Lambda.
    Lambda : ndarray, shape (q, q)
        Relative covariance factor; the random effects have covariance sigma^2 Lambda Lambda'.
    sigma : float
        Residual standard deviation, in the units of y.
    beta : ndarray, shape (p,)
        Fixed effects.
    cov_beta : ndarray, shape (p, p)
        Their covariance.
    b : ndarray, shape (q,)
        Predicted random effects.
    criterion : float
        Minus twice the (restricted) log-likelihood at the optimum.
    evaluations : int
        How often the criterion was computed.
    converged : bool
        Whether the optimizer met its tolerance and, started again, found nothing better.

    Examples
    --------
    >>> Z = np.kron(np.eye(3), [[1], [1]])
    >>> fit = fit_profiled([1, 2, 5, 6, 2, 4], [[1]] * 6, Z, lambda_template(1, 3), "REML")
    >>> print(fit.theta.round(4), fit.se.round(4), fit.converged)
    [1.893] [1.1667] True
    """

    method: Method
    theta: FloatArray
    Lambda: FloatArray
    sigma: float
    beta: FloatArray
    cov_beta: FloatArray
    b: FloatArray
    criterion: float
    evaluations: int
    converged: bool

    @property
    def se(self) -> FloatArray:
        """Standard errors of beta, shape (p,)."""
        return np.sqrt(np.diag(self.cov_beta))


def fit_profiled(
    y: ArrayLike,
    X: ArrayLike,
    Z: ArrayLike,
    template: Callable[[FloatArray], FloatArray],
    method: Method = "ML",
    start: ArrayLike | None = None,
) -> ProfiledFit:
    """Minimize the profiled deviance, or the restricted one, over theta.

    The search of Nelder and Mead runs until its simplex is smaller than 1e-8, and then once more
    from a fresh simplex. It needs no bounds: the criterion depends on Lambda Lambda' only, which
    stays the same when a column of Lambda changes sign, and an optimum at zero is a smooth one.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    Z : array_like, shape (n, q)
        Design of the random effects.
    template : callable
        Function of theta that gives Lambda: `lambda_template`, or one of your own.
    method : {"ML", "REML"}
        `profiled_deviance` or `restricted_deviance`.
    start : array_like, optional
        The theta to start from. Without it, a `lambda_template` starts from Lambda = I; a function
        of your own needs it.

    Returns
    -------
    ProfiledFit
        Frozen record of the fit. From a `lambda_template`, the diagonal of Lambda is not negative;
        a zero on it is a result.

    Raises
    ------
    ValueError
        As `solve_penalized`; if `method` is neither "ML" nor "REML"; if `start` is missing or has
        the wrong length; or if `template` does not give a q x q matrix.

    References
    ----------
    Bates et al. (2015), section 3.4 and equation 55; Nelder and Mead (1965), Computer Journal 7,
    308-313.

    Examples
    --------
    >>> import numpy as np
    >>> import mixedsmooth as ms
    >>> from mixedsmooth.derivations.design import intercept_slope_columns
    >>> sleep = ms.load_sleepstudy()
    >>> X = np.column_stack([np.ones(180), sleep.days])
    >>> Z, levels = intercept_slope_columns(sleep.subject, sleep.days)
    >>> fit = fit_profiled(sleep.reaction, X, Z, lambda_template(2, len(levels)), method="REML")
    >>> print(fit.theta.round(4), round(fit.sigma, 4), round(fit.criterion, 4))
    [0.9667 0.0152 0.2309] 25.5918 1743.6283
    """
    y, X, Z = mixed_data(y, X, Z)
    criterion_of_Lambda = criterion_of(method)
    if start is not None:
        theta_0 = as_vector("start", start)
    elif isinstance(template, LambdaTemplate):
        theta_0 = template.parameters(np.eye(Z.shape[1]))
    else:
        raise ValueError(
            "start is needed: the template is a function that does not tell how many parameters "
            "it has; give the theta to start from"
        )
    beta_0, residual = without_fit(y, X)
    rows = Checked(residual), Checked(X), Checked(Z)

    def criterion(theta: FloatArray) -> float:
        return criterion_of_Lambda(template(theta), *rows)

    theta, evaluations, converged = _argmin(criterion, theta_0)
    if isinstance(template, LambdaTemplate):
        theta = template.parameters(positive_diagonal(template(theta)))
    solution = solve_penalized(*rows, template(theta))
    sigma2 = residual_variance(solution, method)
    return ProfiledFit(
        method=method,
        theta=theta,
        Lambda=template(theta),
        sigma=float(np.sqrt(sigma2)),
        beta=beta_0 + solution.beta,
        # Var(beta_hat) = sigma^2 (L_X L_X')^-1
        cov_beta=sigma2 * inverse(solution.L_X),
        b=solution.b,
        criterion=criterion(theta),
        evaluations=evaluations + 1,
        converged=converged,
    )


def _argmin(
    criterion: Callable[[FloatArray], float], start: FloatArray
) -> tuple[FloatArray, int, bool]:
    """Best theta, after how many evaluations, and whether the search came to an end."""
    first = minimize(criterion, start, method="Nelder-Mead", options=SEARCH)
    second = minimize(
        criterion, first.x, method="Nelder-Mead", options=SEARCH
    )
    theta, value = second.x, float(second.fun)
    gained = first.fun - value
    converged = second.success and gained <= 1e-9 * max(1.0, abs(value))
    # A simplex comes close to a zero and does not hit it. Is zero as good, to rounding errors?
    for i in range(len(theta)):
        at_zero = np.where(np.arange(len(theta)) == i, 0.0, theta)
        if criterion(at_zero) <= value + 1e-13 * abs(value):
            theta = at_zero
    return theta, first.nfev + second.nfev + len(theta), bool(converged)


def criterion_of(method: Method) -> Callable[..., float]:
    """Find the criterion of a method, a function of Lambda, y, X and Z.

    Parameters
    ----------
    method : {"ML", "REML"}
        Which likelihood.

    Returns
    -------
    callable
        `profiled_deviance` or `restricted_deviance`.

    Raises
    ------
    ValueError
        If it is neither.

    Examples
    --------
    >>> criterion_of("REML").__name__
    'restricted_deviance'
    """
    ml = choice("method", method, ("ML", "REML")) == "ML"
    return profiled_deviance if ml else restricted_deviance


def residual_variance(solution: PenalizedSolution, method: Method) -> float:
    """Best sigma^2 for a given Lambda.

    Parameters
    ----------
    solution : PenalizedSolution
        The solution for that Lambda.
    method : {"ML", "REML"}
        Which likelihood.

    Returns
    -------
    float
        r2 / n, or r2 / (n - p) by REML.

    Examples
    --------
    >>> solution = solve_penalized([1, 3, 5], [[1], [1], [1]], [[1, 0], [1, 0], [0, 1]], 2.0)
    >>> print(round(residual_variance(solution, "REML") / residual_variance(solution, "ML"), 4))
    1.5
    """
    # sigma^2 = r2 / n  (eq-pls-sigma),  or r2 / (n - p)  (eq-6-sigma)
    p = len(solution.beta) if method == "REML" else 0
    return solution.r2 / (solution.n - p)
