"""Counts: penalized quasi-likelihood (chapter 11).

The model is y | b ~ Poisson(mu) with log mu = eta = X beta + Z b + offset and b = Lambda u. For
counts there is no residual standard deviation: sigma = 1 and u ~ N(0, I). The likelihood has no
closed form. Around a current eta, the Poisson model looks like a weighted linear mixed model for

    z = eta + (y - mu) / mu     with weights     w = mu,

the working response and weights. Penalized quasi-likelihood fits that linear model, takes its
fitted values as the new eta, and goes on until eta stands still.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from mixedsmooth._checks import as_vector
from mixedsmooth._linalg import inverse, least_squares, positive_diagonal
from mixedsmooth.derivations.data import (
    Checked,
    as_counts,
    count_data,
    mixed_data,
    vector,
)
from mixedsmooth.derivations.design import LambdaTemplate
from mixedsmooth.derivations.penalized_ls import solve_penalized
from mixedsmooth.derivations.reml import fit_profiled

FloatArray = NDArray[np.float64]


def working_response(y: ArrayLike, eta: ArrayLike) -> FloatArray:
    """Working response of the Poisson model with log link, z = eta + (y - mu) / mu.

    Parameters
    ----------
    y : array_like, shape (n,)
        Counts.
    eta : array_like, shape (n,)
        Linear predictor, log mu.

    Returns
    -------
    ndarray, shape (n,)
        First-order Taylor expansion of log y around mu.

    Raises
    ------
    ValueError
        If y is not a vector of counts, lengths differ, or a value is not finite.

    References
    ----------
    Breslow and Clayton (1993), section 2.

    Examples
    --------
    >>> print(working_response([0, 1, 3], [0.0, 0.0, 0.0]))
    [-1.  0.  2.]
    """
    y = as_counts(y)
    eta = vector("eta", eta, n=len(y))
    # z = eta + (y - mu) / mu  (eq-11-irls)
    return eta + y * np.exp(-eta) - 1


def working_weights(mu: ArrayLike) -> FloatArray:
    """Working weights of the Poisson model with log link, (d mu / d eta)^2 / Var(y) = mu.

    Parameters
    ----------
    mu : array_like, shape (n,)
        Means, positive.

    Returns
    -------
    ndarray, shape (n,)
        The inverse variances of the working response.

    Raises
    ------
    ValueError
        If a mean is not finite or not above zero.

    References
    ----------
    Breslow and Clayton (1993), section 2.

    Examples
    --------
    >>> print(working_weights([0.5, 2.0]))
    [0.5 2. ]
    """
    mu = as_vector("mu", mu)
    if mu.min() <= 0:
        raise ValueError(
            f"mu holds means of counts, which are above zero; found {mu.min():g}"
        )
    # w = (d mu / d eta)^2 / Var(y) = mu^2 / mu  (eq-11-family)
    return mu.copy()


def poisson_regression(
    y: ArrayLike, X: ArrayLike, offset: ArrayLike | None = None
) -> FloatArray:
    """Coefficients of a Poisson regression, by iteratively reweighted least squares.

    Parameters
    ----------
    y : array_like, shape (n,)
        Counts.
    X : array_like, shape (n, p)
        Design, of full column rank.
    offset : array_like, shape (n,), optional
        Known part of the linear predictor.

    Returns
    -------
    ndarray, shape (p,)
        The maximum likelihood estimate.

    Raises
    ------
    ValueError
        If y is not a vector of counts or has none above zero, lengths differ, a value is not
        finite, or X is rank deficient.

    References
    ----------
    Nelder and Wedderburn (1972), section 1.

    Examples
    --------
    >>> print(poisson_regression([1, 2, 6], [[1], [1], [1]]).round(6))  # log 3
    [1.098612]
    """
    y, X, _, offset = count_data(y, X, offset=offset)
    eta = np.log(y + 0.1)
    for _ in range(50):
        # sqrt(w) (z - offset) = sqrt(w) X beta + e  (eq-11-irls)
        root, response = _working_rows(y, eta, offset)
        beta = least_squares(root[:, None] * X, response)
        previous, eta = eta, X @ beta + offset
        if np.abs(eta - previous).max() < 1e-10:
            break
    return beta


@dataclass(frozen=True)
class PQLFit:
    """Fit of a Poisson mixed model by penalized quasi-likelihood.

    Attributes
    ----------
    beta, se : ndarray, shape (p,)
        Fixed effects and their standard errors, from the last linear mixed model.
    theta : ndarray
        Parameters of Lambda.
    sd : ndarray, shape (k,)
        Standard deviations of the k random effects of a level, sigma times the row norms of T.
    sigma : float
        Residual scale of the working response; 1 without dispersion.
    b : ndarray, shape (q,)
        Predicted random effects.
    eta : ndarray, shape (n,)
        Linear predictor, with the offset.
    iterations : int
        Linear mixed models fitted.
    converged : bool
        Whether eta stands still.
    """

    beta: FloatArray
    se: FloatArray
    theta: FloatArray
    sd: FloatArray
    sigma: float
    b: FloatArray
    eta: FloatArray
    iterations: int
    converged: bool


def fit_pql(
    y: ArrayLike,
    X: ArrayLike,
    Z: ArrayLike,
    template: LambdaTemplate,
    dispersion: bool = True,
    offset: ArrayLike | None = None,
) -> PQLFit:
    """Fit a Poisson mixed model by penalized quasi-likelihood.

    Each turn fits the weighted linear mixed model by maximum likelihood, to the end. It is no
    maximum likelihood fit of the counts: its variances are biased where the counts are small.

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
    dispersion : bool
        Whether the working response has a residual scale sigma to estimate, as in MASS::glmmPQL,
        or sigma = 1, as the Poisson distribution says.
    offset : array_like, shape (n,), optional
        Known part of the linear predictor.

    Returns
    -------
    PQLFit
        The fit; look at `converged`.

    Raises
    ------
    ValueError
        If y is not a vector of counts or has none above zero, lengths differ, a value is not
        finite, or X is rank deficient.

    References
    ----------
    Breslow and Clayton (1993), section 2; Venables and Ripley (2002), section 10.4, for sigma;
    Dirmeier (n.d.), section Poisson GLMMs, for the loop.

    Examples
    --------
    >>> import numpy as np
    >>> from mixedsmooth.derivations.design import grouping_columns
    >>> from mixedsmooth.derivations.design import lambda_template
    >>> Z, levels = grouping_columns(["a", "a", "b", "b", "c", "c"])
    >>> y = [1, 2, 5, 9, 0, 3]
    >>> fit = fit_pql(y, np.ones((6, 1)), Z, lambda_template(1, 3), dispersion=False)
    >>> print(fit.beta.round(3), fit.sd.round(3), fit.converged)
    [1.049] [0.644] True
    """
    y, X, Z, offset = count_data(y, X, Z, offset)
    start = poisson_regression(Checked(y), Checked(X), Checked(offset))
    eta = offset + X @ start
    theta = template.parameters(np.eye(Z.shape[1]))
    converged, iterations = False, 0
    while not converged and iterations < 100:
        iterations += 1
        # sqrt(w) (z - offset) = sqrt(w) (X beta + Z b) + e,
        # Var(e) = sigma^2 I  (eq-11-working)
        root, response = _working_rows(y, eta, offset)
        response, X_w, Z_w = mixed_data(
            response, root[:, None] * X, root[:, None] * Z
        )
        rows = Checked(response), Checked(X_w), Checked(Z_w)
        if dispersion:
            linear = fit_profiled(*rows, template, start=theta)
            theta, sigma = linear.theta, linear.sigma
        else:
            theta, sigma = _fit_without_scale(rows, template), 1.0
        # beta and b of Henderson's equations  (eq-11-henderson)
        solution = solve_penalized(*rows, template(theta))
        # eta = X beta + Z b + offset
        previous, eta = eta, X @ solution.beta + Z @ solution.b + offset
        converged = bool(np.abs(eta - previous).max() <= 1e-7)
    # Var(beta_hat) = sigma^2 (L_X L_X')^-1
    cov_beta = sigma**2 * inverse(solution.L_X)
    # tau_0 = sigma theta_1,  tau_1 = sigma sqrt(theta_2^2 + theta_3^2)
    # (eq-6-read)
    T = template(theta)[: template.k, : template.k]
    return PQLFit(
        beta=solution.beta,
        se=np.sqrt(np.diag(cov_beta)),
        theta=theta,
        sd=sigma * np.linalg.norm(T, axis=1),
        sigma=sigma,
        b=solution.b,
        eta=eta,
        iterations=iterations,
        converged=converged,
    )


def _working_rows(
    y: FloatArray, eta: FloatArray, offset: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """sqrt(w) and the response sqrt(w) (z - offset), whose errors have one variance."""
    root = np.sqrt(working_weights(np.exp(eta)))
    z = working_response(Checked(y), Checked(eta))
    return root, root * (z - offset)


def _fit_without_scale(
    rows: tuple[Checked, Checked, Checked], template: LambdaTemplate
) -> FloatArray:
    """Theta that minimizes the deviance of a linear mixed model with sigma = 1."""
    # always from Lambda = I: at a zero, where the last turn may have ended, the slope vanishes
    start = template.parameters(np.eye(template.k * template.levels))

    def criterion(theta: FloatArray) -> float:
        # log|L_Z|^2 + r2, up to a constant
        solution = solve_penalized(*rows, template(theta))
        return solution.log_det_Z + solution.r2

    found = minimize(
        criterion, start, method="BFGS", jac="3-point", options={"gtol": 1e-7}
    )
    return template.parameters(positive_diagonal(template(found.x)))
