"""A Gibbs sampler for the linear mixed model: the posterior, draw by draw (chapter 13).

The model is y = X beta + Z b + e with e ~ N(0, sigma^2 I) and, in each of J groups, k effects
b_j ~ N(0, Sigma). A posterior needs priors::

    beta and log sigma   flat
    Sigma                `HalfT`: a half-t distribution for each standard deviation;
                         or `InverseGamma`: an inverse gamma for each variance

Both are inverse Wishart, Sigma ~ IW(nu + k - 1, diag(s)), with one difference. The inverse gamma
fixes s. The half-t draws it: with s_i = 2 nu / a_i and 1 / a_i ~ Gamma(1/2, rate 1 / A_i^2), the
standard deviation of effect i is A_i times the size of a t with nu degrees of freedom.

Given all the rest, every part has a distribution that is easy to draw from. The sampler draws one
part after the other, again and again, and its draws settle to the posterior of all parts together.
"""

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import (
    as_vector,
    leaves_residual,
    locked,
    positive,
    whole,
)
from mixedsmooth._linalg import cholesky, solve_lower
from mixedsmooth.derivations.data import mixed_data

FloatArray = NDArray[np.float64]

MAX_COLUMNS = (
    1_000  # of X and Z together: a draw factors a matrix of this size
)


class HalfT(NamedTuple):
    """Half-t priors: for each effect, its standard deviation is ``scale`` times the size of a t.

    Attributes
    ----------
    scale : float or array_like, shape (k,)
        A size that would not surprise, for each effect in its own units; one number for all.
    nu : float
        Degrees of freedom of the t. With 2, each correlation by itself is uniform between -1 and 1;
        with 1, the prior of a standard deviation is half-Cauchy.

    References
    ----------
    Gelman (2006), for one variance; Huang and Wand (2013), for a covariance matrix.

    Examples
    --------
    >>> HalfT(scale=50.0)
    HalfT(scale=50.0, nu=2.0)
    """

    scale: ArrayLike
    nu: float = 2.0


class InverseGamma(NamedTuple):
    """Inverse gamma priors: for each effect, 1 / variance has a gamma distribution.

    Attributes
    ----------
    epsilon : float
        Shape and rate of that gamma distribution. A small number was long thought to say little.

    References
    ----------
    Gelman (2006), on what it does say.

    Examples
    --------
    >>> InverseGamma(0.001)
    InverseGamma(epsilon=0.001)
    """

    epsilon: float


Prior: TypeAlias = HalfT | InverseGamma


class Draws(NamedTuple):
    """Draws from the posterior, in the order in which they were drawn; read-only.

    Attributes
    ----------
    beta : ndarray, shape (draws, p)
        Fixed effects.
    b : ndarray, shape (draws, J, k)
        Effects of the J groups.
    sigma : ndarray, shape (draws,)
        Residual standard deviation.
    Sigma : ndarray, shape (draws, k, k)
        Covariance matrix of the effects of a group.

    Examples
    --------
    >>> Sigma = np.array([[[4.0, 3.0], [3.0, 9.0]]])
    >>> draws = Draws(np.zeros((1, 1)), np.zeros((1, 3, 2)), np.ones(1), Sigma)
    >>> print(draws.sd, draws.corr[0, 0, 1])
    [[2. 3.]] 0.5
    """

    beta: FloatArray
    b: FloatArray
    sigma: FloatArray
    Sigma: FloatArray

    @property
    def sd(self) -> FloatArray:
        """Standard deviations of the effects, of shape (draws, k)."""
        return np.sqrt(np.diagonal(self.Sigma, axis1=1, axis2=2))

    @property
    def corr(self) -> FloatArray:
        """Correlations of the effects, of shape (draws, k, k)."""
        return self.Sigma / (self.sd[:, :, None] * self.sd[:, None, :])


def gibbs(
    y: ArrayLike,
    X: ArrayLike,
    Z: ArrayLike,
    k: int,
    prior: Prior,
    *,
    draws: int = 4_000,
    warmup: int = 500,
    seed: int | None = None,
) -> Draws:
    """Draw from the posterior of a linear mixed model with one grouping factor.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    Z : array_like, shape (n, J k)
        Design of the effects, the k columns of a group beside each other, as
        `intercept_slope_columns` makes them. X and Z have no more than 1,000 columns.
    k : int
        Effects of a group: 1 for an intercept, 2 for intercept and slope.
    prior : HalfT or InverseGamma
        Prior of the variances of the effects.
    draws, warmup : int
        How many draws are kept, and how many are made before and thrown away.
    seed : int, optional
        Seed; without one, each call draws anew.

    Returns
    -------
    Draws
        Fixed effects, effects, residual standard deviation and covariance matrix.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, X is rank deficient, Z is not made of groups of k
        columns, there are too many columns, the columns leave no residual (then the posterior is
        not a distribution), the prior is none of the two, or draws, warmup or seed is no whole
        number.

    References
    ----------
    Gelfand and Smith (1990); Huang and Wand (2013), for the half-t;
    Makalic and Schmidt (2016), for that of one variance.

    Examples
    --------
    >>> from mixedsmooth.derivations.design import grouping_columns
    >>> Z, _ = grouping_columns(list("aabbcc"))
    >>> y, X, prior = [1, 3, 6, 4, 8, 9], np.ones((6, 1)), HalfT(scale=5.0)
    >>> draws = gibbs(y, X, Z, 1, prior, draws=200, seed=1)
    >>> draws.beta.shape, draws.b.shape, draws.sd.shape
    ((200, 1), (200, 3, 1), (200, 1))
    """
    y, X, Z = mixed_data(y, X, Z)
    n, p, k, J = len(y), X.shape[1], *_effects_and_groups(X, Z, k)
    nu, scale, s = _inverse_wishart(prior, k)
    draws = whole("draws", draws, least=1)
    warmup = whole("warmup", warmup, least=0)
    seed = seed if seed is None else whole("seed", seed, least=0)
    W = np.hstack([X, Z])
    left = y - W @ np.linalg.lstsq(W, y)[0]
    leaves_residual(left, y, f"the {W.shape[1]} columns of X and Z")

    beta, b = np.empty((draws, p)), np.empty((draws, J, k))
    sigma, Sigma = np.empty(draws), np.empty((draws, k, k))
    WtW, Wty, precision = W.T @ W, W.T @ y, np.zeros((p + J * k, p + J * k))
    rng = np.random.default_rng(seed)
    # a start, soon forgotten; Omega is Sigma^-1
    sigma2 = float(np.var(y))
    Omega = np.eye(k) / sigma2
    for i in range(-warmup, draws):
        # beta, b ~ N(C^-1 W'y / sigma^2, C^-1) with W = [X Z] and
        # C = W'W / sigma^2 + diag(0, I kron Sigma^-1)  (eq-sure-gibbs)
        precision[p:, p:] = np.kron(np.eye(J), Omega)
        L = cholesky(WtW / sigma2 + precision)
        z = rng.standard_normal(p + J * k)
        half = solve_lower(L, Wty / sigma2)
        beta_b = solve_lower(L, half + z, transposed=True)
        b_i = beta_b[p:].reshape(J, k)
        # sigma^2 ~ ||y - X beta - Z b||^2 / chi^2_n
        e = y - W @ beta_b
        sigma2 = float(e @ e) / rng.chisquare(n)
        # Sigma ~ IW(nu + k - 1 + J, diag(s) + sum of b_j b_j'):
        # with R R' the second of these, R' Sigma^-1 R = T T' is Wishart
        R = cholesky(np.diag(s) + b_i.T @ b_i)
        T = _wishart_root(nu + k - 1 + J, k, rng)
        root = solve_lower(T, R.T)  # root' root = Sigma
        inverse_root = solve_lower(R, T, transposed=True)
        Omega = inverse_root @ inverse_root.T
        # 1 / a ~ Gamma((nu + k) / 2, rate nu diag(Sigma^-1) + 1 / A^2)
        if scale is not None:
            rate = nu * np.diag(Omega) + 1 / scale**2
            s = 2 * nu * rng.gamma((nu + k) / 2, 1 / rate)
        if i >= 0:
            beta[i], b[i] = beta_b[:p], b_i
            sigma[i], Sigma[i] = np.sqrt(sigma2), root.T @ root
    return Draws(locked(beta), locked(b), locked(sigma), locked(Sigma))


def _wishart_root(df: float, k: int, rng: np.random.Generator) -> FloatArray:
    """T with T T' ~ Wishart(df, I), lower triangular: Bartlett's decomposition."""
    T = np.tril(rng.standard_normal((k, k)), -1)
    T[np.diag_indices(k)] = np.sqrt(rng.chisquare(df - np.arange(k)))
    return T


def _effects_and_groups(
    X: FloatArray, Z: FloatArray, k: int
) -> tuple[int, int]:
    """K effects in each of J groups, if Z has as many columns."""
    k, q = whole("k", k, least=1), Z.shape[1]
    if q % k or q == k:
        raise ValueError(
            f"Z has {q} columns, and k = {k} effects a group make no two groups or more of them; "
            "give the k columns of a group beside each other, one group after the other"
        )
    if X.shape[1] + q > MAX_COLUMNS:
        raise ValueError(
            f"X and Z have {X.shape[1] + q} columns, and every draw factors a matrix of this size; "
            f"this function stops at {MAX_COLUMNS:,} columns"
        )
    return k, q // k


def _inverse_wishart(
    prior: Prior, k: int
) -> tuple[float, FloatArray | None, FloatArray]:
    """Degrees of freedom nu, scale A if s is drawn, and s, fixed or to start from."""
    if isinstance(prior, InverseGamma):
        # IW(2 epsilon + k - 1, 2 epsilon I): its variances are IG(epsilon, epsilon)
        nu = 2 * positive("epsilon", prior.epsilon)
        return nu, None, np.full(k, nu)
    if not isinstance(prior, HalfT):
        raise ValueError(
            f"prior must be HalfT(scale) or InverseGamma(epsilon), found {prior!r}"
        )
    scale = as_vector("scale", np.atleast_1d(prior.scale))
    if len(scale) not in (1, k) or scale.min() <= 0:
        raise ValueError(
            f"scale must be one number above zero, or one for each of the {k} effects of a group; "
            f"found {scale.tolist()}"
        )
    nu, scale = positive("nu", prior.nu), np.broadcast_to(scale, k)
    # s = 2 nu / a, where 1 / a has the mean A^2 / 2
    return nu, scale, nu * scale**2
