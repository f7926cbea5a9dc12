"""Counts: the Laplace approximation and adaptive quadrature (chapter 11).

The model is y | u ~ Poisson(mu) with log mu = X beta + Z Lambda u + offset and u ~ N(0, I): for
counts sigma = 1. The likelihood is the integral over u of exp(g(u)) / (2 pi)^(q/2) with

    g(u) = log p(y | u) - ||u||^2 / 2.

The Laplace approximation replaces g by its second-order expansion at its maximum u_hat, where
minus the second derivative is L L' = Lambda' Z' W Z Lambda + I with W = diag(mu):

    deviance = -2 log p(y | u_hat) + ||u_hat||^2 + log|L|^2

With one scalar effect for each group the integral is a product of one-dimensional ones, and
Gauss-Hermite quadrature, centered at u_hat and scaled by 1/L, makes each as exact as we like.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import gammaln, logsumexp

from mixedsmooth._checks import as_labels, node_count
from mixedsmooth._linalg import cholesky, log_det, positive_diagonal
from mixedsmooth.derivations.data import (
    Checked,
    as_coefficients,
    as_counts,
    count_data,
)
from mixedsmooth.derivations.design import (
    LambdaTemplate,
    grouping_columns,
    lambda_template,
    relative_factor,
)
from mixedsmooth.derivations.pql import poisson_regression
from mixedsmooth.derivations.search import newton

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class PenalizedMode:
    """Where the joint density of counts and random effects is largest.

    Attributes
    ----------
    u : ndarray, shape (q,)
        Spherical random effects at the maximum.
    b : ndarray, shape (q,)
        Lambda u.
    fixed : ndarray, shape (n,)
        X beta + offset.
    mu : ndarray, shape (n,)
        Means.
    L : ndarray, shape (q, q)
        Lower triangular, L L' = Lambda' Z' W Z Lambda + I.
    log_density : float
        g(u) = log p(y | u) - ||u||^2 / 2, with log y!.
    """

    u: FloatArray
    b: FloatArray
    fixed: FloatArray
    mu: FloatArray
    L: FloatArray
    log_density: float


def penalized_mode(
    Lambda: ArrayLike,
    beta: ArrayLike,
    y: ArrayLike,
    X: ArrayLike,
    Z: ArrayLike,
    offset: ArrayLike | None = None,
) -> PenalizedMode:
    """Maximize g(u) by penalized iteratively reweighted least squares, with step-halving.

    Parameters
    ----------
    Lambda : float or array_like, shape (q, q)
        Covariance factor of b; a number theta stands for theta I. It may be singular.
    beta : array_like, shape (p,)
        Fixed effects.
    y : array_like, shape (n,)
        Counts.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    Z : array_like, shape (n, q)
        Design of the random effects.
    offset : array_like, shape (n,), optional
        Known part of the linear predictor.

    Returns
    -------
    PenalizedMode
        The maximum and the factor L of the curvature there.

    Raises
    ------
    ValueError
        If y is not a vector of counts or has none above zero, lengths differ, a value is not
        finite, X is rank deficient, theta is negative, or the search finds no maximum.

    References
    ----------
    Bates et al. (2015), section 3, for the linear model; Breslow and Clayton (1993), section 2.

    Examples
    --------
    >>> mode = penalized_mode(0.5, [0.0], [1, 3, 0], [[1], [1], [1]], [[1, 0], [1, 0], [0, 1]])
    >>> print(mode.b.round(4))
    [ 0.3149 -0.2039]
    """
    y, X, Z, offset = count_data(y, X, Z, offset)
    beta = as_coefficients("beta", beta, "X", X.shape[1])
    fixed = X @ beta + offset
    Lambda = relative_factor(Lambda, Z.shape[1])
    ZLambda = Z @ Lambda
    log_factorials = float(gammaln(y + 1).sum())

    def g(u: FloatArray) -> float:
        # g(u) = log p(y | u) - ||u||^2 / 2  (eq-11-likelihood)
        # a step too far overflows to -inf
        eta = fixed + ZLambda @ u
        with np.errstate(over="ignore"):
            log_p = y @ eta - np.exp(eta).sum() - log_factorials
        return float(log_p - u @ u / 2)

    def curvature(u: FloatArray) -> tuple[FloatArray, FloatArray]:
        # L L' = Lambda' Z' W Z Lambda + I  (eq-11-gradient)
        mu: FloatArray = np.exp(fixed + ZLambda @ u)
        inner = ZLambda.T @ (mu[:, None] * ZLambda) + np.eye(len(u))
        return mu, cholesky(inner)

    u = np.zeros(Z.shape[1])
    value = g(u)
    if not np.isfinite(value):
        raise ValueError(
            "beta and offset give means that are too large to represent; check their scale"
        )
    for _ in range(200):
        # L L' step = Lambda' Z' (y - mu) - u  (eq-11-gradient)
        mu, L = curvature(u)
        gradient = ZLambda.T @ (y - mu) - u
        step = scipy.linalg.cho_solve((L, True), gradient)
        # the rise that is left; when rounding hides it, the step is the last
        rise = gradient @ step / 2
        if rise <= 1e-13 * (1 + abs(value) + log_factorials):
            u = u + step
            break
        while (new := g(u + step)) < value:
            step = step / 2
        u, value = u + step, new
    else:
        raise ValueError(
            "Lambda and beta give no maximum within 200 steps; check the scale of X and Z"
        )
    mu, L = curvature(u)
    return PenalizedMode(u, Lambda @ u, fixed, mu, L, g(u))


def laplace_deviance(
    Lambda: ArrayLike,
    beta: ArrayLike,
    y: ArrayLike,
    X: ArrayLike,
    Z: ArrayLike,
    offset: ArrayLike | None = None,
) -> float:
    """Minus twice the log-likelihood by the Laplace approximation, with all constants.

    Parameters
    ----------
    Lambda : float or array_like, shape (q, q)
        Covariance factor of b; a number theta stands for theta I. It may be singular.
    beta : array_like, shape (p,)
        Fixed effects.
    y : array_like, shape (n,)
        Counts.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    Z : array_like, shape (n, q)
        Design of the random effects.
    offset : array_like, shape (n,), optional
        Known part of the linear predictor.

    Returns
    -------
    float
        The deviance; exact for Lambda = 0.

    Raises
    ------
    ValueError
        As `penalized_mode`.

    References
    ----------
    Breslow and Clayton (1993), equation 3.

    Examples
    --------
    >>> X, Z = [[1], [1], [1]], [[1, 0], [1, 0], [0, 1]]
    >>> round(laplace_deviance(0.5, [0.0], [1, 3, 0], X, Z), 4)
    9.4462
    """
    mode = penalized_mode(Lambda, beta, y, X, Z, offset)
    # -2 g(u_hat) + log|L|^2  (eq-11-laplace)
    return -2 * mode.log_density + log_det(mode.L)


def adaptive_gauss_hermite_deviance(
    theta: float,
    beta: ArrayLike,
    y: ArrayLike,
    X: ArrayLike,
    group: ArrayLike,
    nodes: int,
    offset: ArrayLike | None = None,
) -> float:
    """Minus twice the log-likelihood by adaptive Gauss-Hermite quadrature, with all constants.

    One node is the Laplace approximation. With more, lme4's glmer leaves out a constant that it
    keeps with one: its log-likelihood is higher by minus that of the saturated model (mu = y),
    ``-sum(y log y - y - log y!)``; for the epilepsy data by 382.9523. Compare its log-likelihoods
    for the same kind of nAGQ only. Here all are on one scale.

    Parameters
    ----------
    theta : float
        Standard deviation of the random intercept.
    beta : array_like, shape (p,)
        Fixed effects.
    y : array_like, shape (n,)
        Counts.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    group : array_like, shape (n,)
        Label of the group of each row.
    nodes : int
        Nodes of the rule for each group, from 1 to 100.
    offset : array_like, shape (n,), optional
        Known part of the linear predictor.

    Returns
    -------
    float
        The deviance.

    Raises
    ------
    ValueError
        As `penalized_mode`; if there is one group only; if nodes is not a whole number from 1 to
        100.

    References
    ----------
    Pinheiro and Bates (1995), Journal of Computational and Graphical Statistics 4, 12-35.

    Examples
    --------
    >>> arguments = 0.5, [0.0], [1, 3, 0], [[1], [1], [1]], ["a", "a", "b"]
    >>> print(*(round(adaptive_gauss_hermite_deviance(*arguments, k), 4) for k in (1, 5, 25)))
    9.4462 9.4571 9.4572
    """
    Z, _ = grouping_columns(as_labels("group", group, n=np.size(y)))
    nodes = node_count(nodes)
    mode = penalized_mode(theta, beta, y, X, Z, offset)
    return _quadrature(mode, theta, as_counts(y), Z, nodes)


def _quadrature(
    mode: PenalizedMode,
    theta: float,
    y: FloatArray,
    Z: FloatArray,
    nodes: int,
) -> float:
    """Deviance by quadrature around the mode."""
    # integral f(x) exp(-x^2 / 2) dx = sum_k w_k f(x_k)
    x, w = hermegauss(nodes)
    # u_jk = u_hat_j + x_k / L_jj
    L = np.diag(mode.L)
    u = mode.u[:, None] + x / L[:, None]
    # g_j(u_jk) = log p(y_j | u_jk) - u_jk^2 / 2, summed over the rows of j
    y_i = y[:, None]
    eta = mode.fixed[:, None] + theta * (Z @ u)
    g = Z.T @ (y_i * eta - np.exp(eta) - gammaln(y_i + 1)) - u**2 / 2
    # log integral_j = log sum_k w_k exp(x_k^2 / 2 + g_jk)
    #                  - log L_jj - log(2 pi) / 2  (eq-11-agq)
    log_weights = np.log(w) + x**2 / 2 - np.log(2 * np.pi) / 2
    log_integrals = logsumexp(log_weights + g, axis=1) - np.log(L)
    return float(-2 * log_integrals.sum())


@dataclass(frozen=True)
class PoissonFit:
    """Fit of a Poisson mixed model by maximum (approximate) likelihood.

    Attributes
    ----------
    beta, se : ndarray, shape (p,)
        Fixed effects and standard errors; NaN if the curvature at the end is not positive.
    theta : ndarray
        Parameters of Lambda, the covariance factor of b.
    b : ndarray, shape (q,)
        Modes of the random effects given y.
    deviance : float
        Minus twice the log-likelihood, with all constants.
    evaluations : int
        How often the deviance was computed.
    converged : bool
        Whether the last Newton step moved no parameter by more than 1e-6 (1 + its size).

    Examples
    --------
    >>> fit = fit_agq([1, 2, 5, 9, 0, 3], [[1]] * 6, ["a", "a", "b", "b", "c", "c"])
    >>> fit.loglik == -fit.deviance / 2
    True
    """

    beta: FloatArray
    se: FloatArray
    theta: FloatArray
    b: FloatArray
    deviance: float
    evaluations: int
    converged: bool

    @property
    def loglik(self) -> float:
        """The log-likelihood, -deviance / 2."""
        return -self.deviance / 2


def fit_laplace(
    y: ArrayLike,
    X: ArrayLike,
    Z: ArrayLike,
    template: LambdaTemplate,
    offset: ArrayLike | None = None,
) -> PoissonFit:
    """Minimize the Laplace deviance over theta and beta together.

    The standard errors are those of lme4's glmer: twice the inverse of the Hessian of the deviance
    in (theta, beta), by central differences, of which the block of beta is taken.

    Parameters
    ----------
    y : array_like, shape (n,)
        Counts.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    Z : array_like, shape (n, q)
        Design of the random effects.
    template : LambdaTemplate
        Lambda as a function of theta, from `lambda_template`.
    offset : array_like, shape (n,), optional
        Known part of the linear predictor.

    Returns
    -------
    PoissonFit
        The fit; look at `converged`.

    Raises
    ------
    ValueError
        As `penalized_mode`.

    References
    ----------
    Breslow and Clayton (1993), equation 3; lme4, `glmer` with nAGQ = 1.

    Examples
    --------
    >>> import numpy as np
    >>> Z, _ = grouping_columns(["a", "a", "b", "b", "c", "c"])
    >>> fit = fit_laplace([1, 2, 5, 9, 0, 3], np.ones((6, 1)), Z, lambda_template(1, 3))
    >>> print(fit.beta.round(3), fit.theta.round(3), fit.converged)
    [0.98] [0.67] True
    """
    y, X, Z, offset = count_data(y, X, Z, offset)
    rows = Checked(y), Checked(X), Checked(Z), Checked(offset)

    def deviance(theta: FloatArray, beta: FloatArray) -> float:
        return laplace_deviance(template(theta), beta, *rows)

    return _fit(deviance, rows, template)


def fit_agq(
    y: ArrayLike,
    X: ArrayLike,
    group: ArrayLike,
    nodes: int = 25,
    offset: ArrayLike | None = None,
) -> PoissonFit:
    """Minimize the deviance by adaptive Gauss-Hermite quadrature over theta and beta together.

    Parameters
    ----------
    y : array_like, shape (n,)
        Counts.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    group : array_like, shape (n,)
        Label of the group of each row; each group has a random intercept.
    nodes : int
        Nodes of the rule for each group, from 1 to 100.
    offset : array_like, shape (n,), optional
        Known part of the linear predictor.

    Returns
    -------
    PoissonFit
        The fit; look at `converged`.

    Raises
    ------
    ValueError
        As `adaptive_gauss_hermite_deviance`.

    References
    ----------
    Pinheiro and Bates (1995), Journal of Computational and Graphical Statistics 4, 12-35.

    Examples
    --------
    >>> import numpy as np
    >>> group = ["a", "a", "b", "b", "c", "c"]
    >>> fit = fit_agq([1, 2, 5, 9, 0, 3], np.ones((6, 1)), group)
    >>> print(fit.beta.round(3), fit.theta.round(3), fit.converged)
    [0.979] [0.675] True
    """
    Z, levels = grouping_columns(as_labels("group", group, n=np.size(y)))
    nodes = node_count(nodes)
    y, X, Z, offset = count_data(y, X, Z, offset)
    rows = Checked(y), Checked(X), Checked(Z), Checked(offset)

    def deviance(theta: FloatArray, beta: FloatArray) -> float:
        # the same for theta and -theta
        size = abs(float(theta[0]))
        mode = penalized_mode(size, beta, *rows)
        return _quadrature(mode, size, y, Z, nodes)

    return _fit(deviance, rows, lambda_template(1, len(levels)))


def _fit(
    deviance: Callable[[FloatArray, FloatArray], float],
    rows: tuple[Checked, Checked, Checked, Checked],
    template: LambdaTemplate,
) -> PoissonFit:
    """Search from Lambda = I and the Poisson regression."""
    y, X, Z, offset = rows
    theta_0 = template.parameters(np.eye(Z.array.shape[1]))
    k = len(theta_0)
    evaluations = 0

    def d(parameters: FloatArray) -> float:
        nonlocal evaluations
        evaluations += 1
        return deviance(parameters[:k], parameters[k:])

    # (theta, beta) = argmin d(theta, beta)
    start = np.concatenate([theta_0, poisson_regression(y, X, offset)])
    near = minimize(
        d, start, method="BFGS", jac="3-point", options={"gtol": 1e-4}
    )
    found, H_inverse, converged = newton(d, near.x)
    beta = found[k:]
    Lambda = positive_diagonal(template(found[:k]))
    return PoissonFit(
        beta=beta,
        # Var = 2 H^-1, because the deviance is -2 log-likelihood
        se=np.sqrt(2 * np.diag(H_inverse)[k:]),
        theta=template.parameters(Lambda),
        b=penalized_mode(Lambda, beta, *rows).b,
        deviance=d(found),
        evaluations=evaluations,
        converged=converged,
    )
