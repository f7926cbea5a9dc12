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

from mixedsmooth._checks import as_matrix, as_vector, positive
from mixedsmooth.derivations._shared import (
    cholesky,
    least_squares,
    mixed_data,
    solve_lower,
)
from mixedsmooth.derivations.likelihood import marginal_covariance
from mixedsmooth.derivations.penalized_ls import (
    deviance,
    profiled_deviance,
    solve_penalized,
)

FloatArray = NDArray[np.float64]


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
    # the Gaussian in beta has precision L_X L_X' / sigma^2:  p/2 log(2 pi sigma^2) - log|L_X|
    log_volume = (
        len(solution.beta) * np.log(2 * np.pi * sigma**2) - solution.log_det_X
    ) / 2
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
    >>> from mixedsmooth.derivations.likelihood import grouping_columns
    >>> sleep = ms.load_sleepstudy()
    >>> X = np.column_stack([np.ones(180), sleep.days])
    >>> Z, _ = grouping_columns(sleep.subject)
    >>> round(restricted_deviance(1.1979, sleep.reaction, X, Z), 4)
    1786.4651
    """
    solution = solve_penalized(y, X, Z, Lambda)
    degrees = np.size(y) - len(solution.beta)
    # log|L_Z|^2 + log|L_X|^2 + (n - p) (1 + log(2 pi r2 / (n - p)))
    return (
        solution.log_det_Z
        + solution.log_det_X
        + degrees * (1 + float(np.log(2 * np.pi * solution.r2 / degrees)))
    )


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
    # V = L L',  y* = L^-1 y,  X* = L^-1 X
    L = cholesky(marginal_covariance(Z, Lambda, sigma=1.0), len(y))
    y_star, X_star = solve_lower(L, y), solve_lower(L, X)
    # X' V^-1 X = X*'X* = R'R
    R = np.linalg.qr(X_star, mode="r")
    # r' V^-1 r = ||y* - X* beta||^2
    r_star = y_star - X_star @ least_squares(X_star, y_star)
    degrees = len(y) - X.shape[1]
    # log|V| + log|X' V^-1 X| + (n - p) (1 + log(2 pi r' V^-1 r / (n - p)))
    return float(
        2 * np.log(np.diag(L)).sum()
        + 2 * np.log(np.abs(np.diag(R))).sum()
        + degrees * (1 + np.log(2 * np.pi * (r_star @ r_star) / degrees))
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
    # K'y ~ N(0, sigma^2 K'VK),  K'VK = L L'
    L = cholesky(
        K.T @ marginal_covariance(Z, Lambda, sigma=1.0) @ K, K.shape[1]
    )
    contrasts_star = solve_lower(L, K.T @ y)
    degrees = K.shape[1]
    # log|K'VK| + (n - p) (1 + log(2 pi y'K (K'VK)^-1 K'y / (n - p)))
    return float(
        2 * np.log(np.diag(L)).sum()
        + degrees
        * (
            1
            + np.log(2 * np.pi * (contrasts_star @ contrasts_star) / degrees)
        )
    )


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
        """Lambda for the parameters theta."""
        theta = as_vector("theta", np.atleast_1d(theta))
        if len(theta) != len(self.rows):
            raise ValueError(
                f"theta must hold {len(self.rows)} parameters for the {self.k} random effects of a "
                f"level; found {len(theta)}"
            )
        T = np.zeros((self.k, self.k))
        T[self.rows, self.columns] = theta
        # Lambda = I kron T
        return np.kron(np.eye(self.levels), T)  # type: ignore[return-value]

    def parameters(self, Lambda: ArrayLike) -> FloatArray:
        """Theta that gives Lambda, read from its first block."""
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
    for name, number in (("k", k), ("levels", levels)):
        if number != int(number) or number < 1:
            raise ValueError(
                f"{name} must be a whole number of at least 1, found {number!r}"
            )
    # column by column, the entries on and below the diagonal (or on it)
    below = range(k) if correlated else range(1)
    positions = [(j + i, j) for j in range(k) for i in below if j + i < k]
    rows, columns = zip(*positions, strict=True)
    return LambdaTemplate(k, levels, rows, columns)


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
    """

    method: Literal["ML", "REML"]
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
    method: Literal["ML", "REML"] = "ML",
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
    >>> from mixedsmooth.derivations.likelihood import intercept_slope_columns
    >>> sleep = ms.load_sleepstudy()
    >>> X = np.column_stack([np.ones(180), sleep.days])
    >>> Z, levels = intercept_slope_columns(sleep.subject, sleep.days)
    >>> fit = fit_profiled(sleep.reaction, X, Z, lambda_template(2, len(levels)), method="REML")
    >>> print(fit.theta.round(4), round(fit.sigma, 4), round(fit.criterion, 4))
    [0.9667 0.0152 0.2309] 25.5918 1743.6283
    """
    y, X, Z = mixed_data(y, X, Z)
    if method not in ("ML", "REML"):
        raise ValueError(f'method must be "ML" or "REML", found {method!r}')
    if start is not None:
        theta_0 = as_vector("start", start)
    elif isinstance(template, LambdaTemplate):
        theta_0 = template.parameters(np.eye(Z.shape[1]))
    else:
        raise ValueError(
            "start is needed: the template is a function that does not tell how many parameters "
            "it has; give the theta to start from"
        )
    # The criterion is the same for y - X beta_0, whatever beta_0 is; with that of ordinary least
    # squares, a large mean of y costs no digits.
    beta_0 = least_squares(X, y)
    residual = y - X @ beta_0
    if residual @ residual <= (len(y) * np.finfo(float).eps) ** 2 * (y @ y):
        raise ValueError(
            f"y is explained by the {X.shape[1]} columns of X without error, so there is no "
            "variance left to divide; use more rows or fewer columns"
        )
    criterion_of_Lambda = (
        profiled_deviance if method == "ML" else restricted_deviance
    )

    def criterion(theta: FloatArray) -> float:
        return criterion_of_Lambda(template(theta), residual, X, Z)

    # theta = argmin d(theta)
    tolerances = {
        "xatol": 1e-8,
        "fatol": 1e-10,
        "maxiter": 5_000,
        "maxfev": 10_000,
    }
    first = minimize(
        criterion, theta_0, method="Nelder-Mead", options=tolerances
    )
    second = minimize(
        criterion, first.x, method="Nelder-Mead", options=tolerances
    )
    theta, value = second.x, float(second.fun)
    converged = second.success and first.fun - second.fun <= 1e-9 * max(
        1.0, abs(value)
    )
    # A simplex comes close to a zero and does not hit it. Is zero as good, to rounding errors?
    for i in range(len(theta)):
        at_zero = np.where(np.arange(len(theta)) == i, 0.0, theta)
        if criterion(at_zero) <= value + 1e-13 * abs(value):
            theta = at_zero
    if isinstance(template, LambdaTemplate):
        # of the columns that differ in sign alone, the one with a positive diagonal
        Lambda = template(theta)
        theta = template.parameters(
            Lambda * np.where(np.diag(Lambda) < 0, -1.0, 1.0)
        )
    solution = solve_penalized(residual, X, Z, template(theta))
    # sigma^2 = r2 / n,  or r2 / (n - p)
    sigma2 = solution.r2 / (len(y) - (X.shape[1] if method == "REML" else 0))
    # Var(beta_hat) = sigma^2 (L_X L_X')^-1
    cov_beta = sigma2 * scipy.linalg.cho_solve(
        (solution.L_X, True), np.eye(X.shape[1])
    )
    return ProfiledFit(
        method=method,
        theta=theta,
        Lambda=template(theta),
        sigma=float(np.sqrt(sigma2)),
        beta=beta_0 + solution.beta,
        cov_beta=cov_beta,
        b=solution.b,
        criterion=criterion(theta),
        evaluations=int(first.nfev + second.nfev) + len(theta) + 1,
        converged=bool(converged),
    )
