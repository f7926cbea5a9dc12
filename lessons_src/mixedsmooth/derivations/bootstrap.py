"""The parametric bootstrap, and how far a prediction may be off (chapter 13).

The fitted model y = X beta + Z b + e with b ~ N(0, sigma^2 Lambda Lambda') and e ~ N(0, sigma^2 I)
is taken for the truth: responses are drawn from it, and the model is fitted to each. What the
estimates do about the truth there, they are believed to do about the unknown one here.

    percentile:  t_(k)  to  t_(n + 1 - k),      k = (n + 1) (1 - level) / 2
    basic:       2 t - t_(n + 1 - k)  to  2 t - t_(k)

where t is the estimate, and t_(k) the k-th smallest of the n replicates.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import as_vector, choice, share, whole
from mixedsmooth._linalg import cholesky, solve_lower
from mixedsmooth.derivations.data import matrix
from mixedsmooth.derivations.design import relative_factor
from mixedsmooth.derivations.likelihood import (
    covariance_of_beta,
    marginal_covariance,
)
from mixedsmooth.derivations.reml import ProfiledFit, fit_profiled

FloatArray = NDArray[np.float64]

ROWS = 500  # of a dense fit that is made over and over


def simulate(
    fit: ProfiledFit, X: ArrayLike, Z: ArrayLike, rng: np.random.Generator
) -> FloatArray:
    """Draw a response from the fitted model.

    Parameters
    ----------
    fit : ProfiledFit
        The fit, which gives beta, Lambda and sigma.
    X : array_like, shape (n, p)
        Design of the fixed effects.
    Z : array_like, shape (n, q)
        Design of the random effects.
    rng : numpy.random.Generator
        Where the normal numbers come from, first those of b.

    Returns
    -------
    ndarray, shape (n,)
        The response.

    Examples
    --------
    >>> from mixedsmooth.derivations.reml import lambda_template
    >>> X, Z = np.ones((6, 1)), np.kron(np.eye(3), [[1], [1]])
    >>> fit = fit_profiled([1, 2, 5, 6, 2, 4], X, Z, lambda_template(1, 3), "REML")
    >>> print(simulate(fit, X, Z, np.random.default_rng(1)).round(2))
    [2.68 4.89 5.34 4.35 4.54 4.32]
    """
    X, Z = matrix("X", X), matrix("Z", Z)
    # u ~ N(0, I),  e ~ N(0, I)
    u, e = np.split(rng.standard_normal(Z.shape[1] + len(X)), [Z.shape[1]])
    # y = X beta + Z sigma Lambda u + sigma e  (eq-sure-bootstrap)
    mean = X @ fit.beta + Z @ (fit.sigma * fit.Lambda @ u)
    return np.asarray(mean + fit.sigma * e)


class Replicates(NamedTuple):
    """Estimates from responses that a fit has simulated, a row for each.

    Attributes
    ----------
    beta : ndarray, shape (n, p)
        Fixed effects.
    theta : ndarray, shape (n, d)
        Parameters of Lambda.
    sigma : ndarray, shape (n,)
        Residual standard deviations.
    """

    beta: FloatArray
    theta: FloatArray
    sigma: FloatArray


def parametric_bootstrap(
    fit: ProfiledFit,
    X: ArrayLike,
    Z: ArrayLike,
    template: Callable[[FloatArray], FloatArray],
    n: int,
    seed: int,
) -> Replicates:
    """Simulate, fit again by the same method, and keep the estimates.

    Parameters
    ----------
    fit : ProfiledFit
        The fit that is taken for the truth.
    X : array_like, shape (rows, p)
        Design of the fixed effects, of no more than 500 rows.
    Z : array_like, shape (rows, q)
        Design of the random effects.
    template : callable
        Function of theta that gives Lambda, as `fit_profiled` took it.
    n : int
        Replicates.
    seed : int
        Replicate i draws from child i of its SeedSequence.

    Returns
    -------
    Replicates
        The estimates.

    Raises
    ------
    ValueError
        If n or the seed is no whole number, or there are more than 500 rows.

    References
    ----------
    Davison and Hinkley (1997), Bootstrap Methods and their Application, chapter 2.

    Examples
    --------
    >>> from mixedsmooth.derivations.reml import lambda_template
    >>> X, Z = np.ones((6, 1)), np.kron(np.eye(3), [[1], [1]])
    >>> template = lambda_template(1, 3)
    >>> fit = fit_profiled([1, 2, 5, 6, 2, 4], X, Z, template, "REML")
    >>> replicates = parametric_bootstrap(fit, X, Z, template, n=20, seed=1)
    >>> int(np.sum(replicates.theta == 0))  # variances that are estimated as zero
    5
    """
    X, n, seed = matrix("X", X), whole("n", n, 1), whole("seed", seed, 0)
    if len(X) > ROWS:
        raise ValueError(
            f"X has {len(X)} rows, and a dense fit of more than {ROWS} "
            "takes too long to be made over and over; use mixedsmooth.bootstrap"
        )
    fits = []
    for child in np.random.SeedSequence(seed).spawn(n):
        y = simulate(fit, X, Z, np.random.default_rng(child))
        fits.append(fit_profiled(y, X, Z, template, fit.method))
    return Replicates(
        beta=np.array([again.beta for again in fits]),
        theta=np.array([again.theta for again in fits]),
        sigma=np.array([again.sigma for again in fits]),
    )


def bootstrap_interval(
    estimate: float,
    replicates: ArrayLike,
    level: float = 0.95,
    kind: str = "percentile",
) -> tuple[float, float]:
    """Interval from replicates of one estimate.

    Parameters
    ----------
    estimate : float
        The estimate.
    replicates : array_like, shape (n,)
        Its replicates.
    level : float
        Coverage, between 0 and 1.
    kind : {"percentile", "basic"}
        Quantiles of the replicates, or these reflected at the estimate.

    Returns
    -------
    lower, upper : float
        Its ends, which are order statistics: where k is no whole number the one further out.

    Raises
    ------
    ValueError
        If `kind` is unknown, or there are too few replicates for the level.

    References
    ----------
    Davison and Hinkley (1997), sections 5.2 and 5.3.

    Examples
    --------
    >>> bootstrap_interval(5.0, np.arange(1.0, 40.0))
    (1.0, 39.0)
    >>> bootstrap_interval(5.0, np.arange(1.0, 40.0), kind="basic")
    (-29.0, 9.0)
    """
    t = np.sort(as_vector("replicates", replicates))
    choice("kind", kind, ("percentile", "basic"))
    # k = (n + 1) (1 - level) / 2, rounded down, but for rounding errors
    k = int((len(t) + 1) * (1 - share("level", level)) / 2 + 1e-9)
    if k == 0:
        raise ValueError(
            f"replicates are {len(t)}, too few for level {level:g}; "
            "take more, or a lower level"
        )
    lower, upper = float(t[k - 1]), float(t[-k])
    if kind == "percentile":
        return lower, upper
    # replicates are as far from t as t from the truth  (eq-sure-bootstrap)
    return 2 * estimate - upper, 2 * estimate - lower


def prediction_variance(
    x: ArrayLike,
    z: ArrayLike,
    X: ArrayLike,
    Z: ArrayLike,
    Lambda: ArrayLike,
    sigma: float,
) -> float:
    """Variance of the error of a prediction, x'beta_hat + z'b_hat - (x'beta + z'b).

    With V = Var(y) and c = Cov(y, z'b), what y tells of z'b is c'V^-1 (y - X beta), and beta is
    estimated: universal kriging.

    Parameters
    ----------
    x : array_like, shape (p,)
        Fixed effects of the new row.
    z : array_like, shape (q,)
        Its random effects; zeros for a group of no row, whose own variance is to be added.
    X : array_like, shape (n, p)
        Design of the fixed effects.
    Z : array_like, shape (n, q)
        Design of the random effects.
    Lambda : float or array_like, shape (q, q)
        Relative covariance factor of b; a number theta stands for theta I.
    sigma : float
        Residual standard deviation. A new observation has the error sigma^2 besides.

    Returns
    -------
    float
        The variance.

    References
    ----------
    Henderson (1975), Biometrics 31, 423-447; Cressie (1993), Statistics for Spatial Data, section
    3.4.

    Examples
    --------
    Of two rows of one group, whose x cancels in their mean, it is sigma^2 / (1 / theta^2 + 2):

    >>> X, Z = np.array([[1.0], [-1.0]]), np.array([[1.0], [1.0]])
    >>> print(round(prediction_variance([0.0], [1.0], X, Z, 2.0, 1.0), 4))
    0.4444
    """
    X, Z = matrix("X", X), matrix("Z", Z)
    x, z = as_vector("x", x, X.shape[1]), as_vector("z", z, Z.shape[1])
    # Var(b) = sigma^2 Lambda Lambda',  c = Z Var(b) z
    root = sigma * relative_factor(Lambda, Z.shape[1])
    c = Z @ (root @ (root.T @ z))
    V = marginal_covariance(Z, Lambda, sigma)
    L = cholesky(V)
    c_star, X_star = solve_lower(L, c), solve_lower(L, X)
    # z'b if beta were known:  z' Var(b) z - c'V^-1 c
    known = np.sum((root.T @ z) ** 2) - c_star @ c_star
    # beta:  (x - X'V^-1 c)' (X'V^-1 X)^-1 (x - X'V^-1 c)  (eq-sure-predict)
    left = x - X_star.T @ c_star
    return float(known + left @ covariance_of_beta(X, V) @ left)
