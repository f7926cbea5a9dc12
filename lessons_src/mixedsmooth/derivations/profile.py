"""Profiles of the deviance (chapter 13).

The model is y ~ N(X beta, V) with V = Z (I kron S) Z' + sigma^2 I. The k effects of a level have
the covariance S. A reader's parameters phi are the standard deviations and correlations in S, then
sigma, then beta. To profile one of them is to hold it at a value v and to minimize the deviance
over all others:

    d(v) = min of d(phi) over all phi whose parameter is v
    zeta(v) = sign(v - v_hat) sqrt(d(v) - d(v_hat))

If the parameter is v, then d(v) - d(v_hat) is nearly chi-square with one degree of freedom, so that
zeta is nearly standard normal: an interval holds all v with ``|zeta(v)| <= 1.96``. Everything here
is dense and meant to be read: V is n x n.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, minimize
from scipy.special import ndtri

from mixedsmooth._checks import share, whole
from mixedsmooth._linalg import cholesky, log_det, solve_lower
from mixedsmooth.derivations.data import Checked, mixed_data
from mixedsmooth.derivations.design import lambda_template
from mixedsmooth.derivations.likelihood import SEARCH, marginal_covariance
from mixedsmooth.derivations.reml import fit_profiled

FloatArray = NDArray[np.float64]
Method = Literal["ML", "REML"]

FARTHEST = 20  # doublings of a step outward, before an end is called infinite


class Pieces(NamedTuple):
    """Parameters as a reader names them.

    Attributes
    ----------
    sd : ndarray, shape (k,)
        Standard deviations of the effects of a level.
    corr : ndarray, shape (k, k)
        Their correlations.
    sigma : float
        Residual standard deviation.
    """

    sd: FloatArray
    corr: FloatArray
    sigma: float


def pieces(phi: ArrayLike, k: int) -> Pieces:
    """Read standard deviations, correlations and sigma from a vector.

    Parameters
    ----------
    phi : array_like
        The covariance of a level column by column, standard deviations on its diagonal and
        correlations below; then sigma; what follows is not looked at.
    k : int
        Effects of a level.

    Returns
    -------
    Pieces
        The parameters.

    Examples
    --------
    >>> sd, corr, sigma = pieces([24.0, 0.1, 6.0, 25.0], 2)
    >>> print(sd, corr[1, 0], sigma)
    [24.  6.] 0.1 25.0
    """
    phi = np.asarray(phi, dtype=np.float64)
    columns, rows = np.triu_indices(k)
    corr = np.eye(k)
    below = rows > columns
    values = phi[: len(rows)]
    corr[rows[below], columns[below]] = values[below]
    corr[columns[below], rows[below]] = values[below]
    return Pieces(values[~below], corr, float(phi[len(rows)]))


def natural_deviance(
    phi: ArrayLike,
    y: ArrayLike,
    X: ArrayLike,
    Z: ArrayLike,
    k: int,
    method: Method = "ML",
) -> float:
    """Deviance of standard deviations, correlations and sigma, with beta at its best.

    Parameters
    ----------
    phi : array_like
        Parameters, in the order of `pieces`.
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank; p may be 0.
    Z : array_like, shape (n, q)
        Design of the random effects, the k columns of a level side by side.
    k : int
        Effects of a level.
    method : {"ML", "REML"}
        Which likelihood.

    Returns
    -------
    float
        Minus twice the (restricted) log-likelihood; infinite where V has no Cholesky factor.

    Raises
    ------
    ValueError
        If Z has more than 5,000 rows.

    References
    ----------
    Harville (1977), section 4.2.

    Examples
    --------
    >>> y, X, Z = [1, 2, 5, 6, 2, 4], [[1]] * 6, np.kron(np.eye(3), [[1], [1]])
    >>> round(natural_deviance([1.5, 0.9], y, X, Z, 1), 6)
    22.183536
    """
    y, X, Z = (np.asarray(array, dtype=np.float64) for array in (y, X, Z))
    sd, corr, sigma = pieces(phi, k)
    n, p = X.shape
    # S = D R D, the covariance of the effects of a level
    S = np.outer(sd, sd) * corr
    try:
        # V = Z (I kron S) Z' + sigma^2 I = L L'
        between = Z @ np.kron(np.eye(Z.shape[1] // k), S) @ Z.T
        L = cholesky(between + marginal_covariance(Checked(Z), 0.0, sigma))
    except ValueError:
        return np.inf
    # least squares of L^-1 y on L^-1 X
    Q, R = np.linalg.qr(solve_lower(L, X))
    y_star = solve_lower(L, y)
    residual = y_star - Q @ (Q.T @ y_star)
    # d = n log(2 pi) + log|V| + (y - X beta)' V^-1 (y - X beta)
    d = n * np.log(2 * np.pi) + log_det(L) + residual @ residual
    if method == "REML":
        # and for REML  log|X' V^-1 X| - p log(2 pi)
        d += 2 * np.log(np.abs(np.diag(R))).sum() - p * np.log(2 * np.pi)
    return float(d)


def profile_deviance(
    which: int,
    value: float,
    y: ArrayLike,
    X: ArrayLike,
    Z: ArrayLike,
    k: int,
    start: ArrayLike,
    method: Method = "ML",
) -> float:
    """Least deviance of all models in which one parameter has a given value.

    Parameters
    ----------
    which : int
        Position of the parameter in phi, that of the first coefficient being k (k + 1) / 2 + 1.
    value : float
        What it is held at.
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    Z : array_like, shape (n, q)
        Design of the random effects, the k columns of a level side by side.
    k : int
        Effects of a level.
    start : array_like
        Phi where the search begins: its standard deviations above zero, its correlations between
        -1 and 1.
    method : {"ML", "REML"}
        Which likelihood.

    Returns
    -------
    float
        d(v).

    References
    ----------
    Bates and Watts (1988), Nonlinear Regression Analysis and its Applications, section 6.1.

    Examples
    --------
    >>> y, X, Z = [1, 2, 5, 6, 2, 4], [[1]] * 6, np.kron(np.eye(3), [[1], [1]])
    >>> round(profile_deviance(0, 1.5, y, X, Z, 1, [1.0, 1.0]), 6)
    22.111199
    """
    y, X = np.asarray(y, dtype=np.float64), np.asarray(X, dtype=np.float64)
    # the covariance parameters; beta follows from them
    phi = np.array(start, dtype=np.float64)[: k * (k + 1) // 2 + 1]
    free = np.arange(len(phi)) != which
    if which < len(phi):
        phi[which] = value
    else:
        # y - v x_j ~ N(X_rest beta_rest, V)
        column = which - len(phi)
        y, X = y - value * X[:, column], np.delete(X, column, axis=1)
    # logarithms, and arctanh of correlations, have no bounds
    correlation = free & is_correlation(k)
    scale = free & ~is_correlation(k)
    eta = np.zeros(len(phi))
    eta[correlation] = np.arctanh(phi[correlation])
    eta[scale] = np.log(phi[scale])

    def deviance_at(eta_free: FloatArray) -> float:
        eta[free] = eta_free
        phi[correlation] = np.tanh(eta[correlation])
        phi[scale] = np.exp(np.minimum(eta[scale], 300))
        return natural_deviance(phi, y, X, Z, k, method)

    if not free.any():
        return deviance_at(eta[free])
    # twice, as a simplex may collapse too early
    for _ in range(2):
        found = minimize(
            deviance_at, eta[free], method="Nelder-Mead", options=SEARCH
        )
        eta[free] = found.x
    least = float(found.fun)
    if which < len(phi) and is_correlation(k)[which]:
        # a correlation is free where one of its two variances is zero
        i, j = np.triu_indices(k)
        of_pair = (i == j) & np.isin(i, (i[which], j[which]))
        for sd in np.flatnonzero(of_pair):
            at_zero = profile_deviance(
                int(sd), 0.0, y, X, Z, k, start, method
            )
            least = min(least, at_zero)
    return least


def is_correlation(k: int) -> NDArray[np.bool_]:
    """Which of the standard deviations, correlations and sigma are correlations.

    Parameters
    ----------
    k : int
        Effects of a level.

    Returns
    -------
    ndarray of bool, shape (k (k + 1) / 2 + 1,)
        Whether a parameter is a correlation.

    Examples
    --------
    >>> print(is_correlation(2))
    [False  True False False]
    """
    columns, rows = np.triu_indices(k)
    return np.append(rows > columns, [False])


def estimates(
    y: ArrayLike, X: ArrayLike, Z: ArrayLike, k: int, method: Method = "ML"
) -> tuple[FloatArray, float]:
    """Return the estimate of phi and its deviance, by the profiled criterion of chapters 5 and 6.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    Z : array_like, shape (n, q)
        Design of the random effects, the k columns of a level side by side.
    k : int
        Effects of a level.
    method : {"ML", "REML"}
        Which likelihood.

    Returns
    -------
    phi : ndarray, shape (k (k + 1) / 2 + 1 + p,)
        Standard deviations and correlations, sigma, beta.
    deviance : float
        d(phi).

    Raises
    ------
    ValueError
        As `mixedsmooth.derivations.reml.fit_profiled`.

    Examples
    --------
    >>> y, X, Z = [1, 2, 5, 6, 2, 4], [[1]] * 6, np.kron(np.eye(3), [[1], [1]])
    >>> phi, d = estimates(y, X, Z, 1)
    >>> print(phi.round(4), round(d, 4))
    [1.4907 1.     3.3333] 22.111
    """
    y, X, Z = mixed_data(y, X, Z)
    levels = Z.shape[1] // whole("k", k, least=1)
    fit = fit_profiled(y, X, Z, lambda_template(k, levels), method)
    # S = sigma^2 T T'
    T = fit.Lambda[:k, :k]
    S = fit.sigma**2 * T @ T.T
    sd = np.sqrt(np.diag(S))
    corr = S / np.where(np.outer(sd, sd) > 0, np.outer(sd, sd), 1.0)
    columns, rows = np.triu_indices(k)
    of_level = np.where(rows == columns, sd[rows], corr[rows, columns])
    return np.concatenate([of_level, [fit.sigma], fit.beta]), fit.criterion


def signed_root(value: float, estimate: float, rise: float) -> float:
    """Zeta, the signed root of the rise of the deviance.

    Parameters
    ----------
    value : float
        Where the parameter is held.
    estimate : float
        Its estimate.
    rise : float
        d(value) - d(estimate).

    Returns
    -------
    float
        Zeta.

    Examples
    --------
    >>> signed_root(1.0, 2.0, 4.0)
    -2.0
    """
    # zeta = sign(v - v_hat) sqrt(d(v) - d(v_hat))  (eq-sure-zeta)
    return float(np.sign(value - estimate) * np.sqrt(max(rise, 0.0)))


def profile_interval(
    which: int,
    y: ArrayLike,
    X: ArrayLike,
    Z: ArrayLike,
    k: int,
    level: float = 0.95,
    method: Method = "ML",
) -> tuple[float, float]:
    """Return the values of a parameter whose deviance is not too high.

    Parameters
    ----------
    which : int
        Position of the parameter in phi.
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    Z : array_like, shape (n, q)
        Design of the random effects, the k columns of a level side by side.
    k : int
        Effects of a level.
    level : float
        Coverage, between 0 and 1.
    method : {"ML", "REML"}
        Which likelihood.

    Returns
    -------
    lower, upper : float
        Where zeta is -z and z. An end that is not reached is 0, -1, 1 or infinite.

    Raises
    ------
    ValueError
        If `level` is not between 0 and 1; and as `estimates`.

    References
    ----------
    Bates et al. (2015), section 5.1.

    Examples
    --------
    >>> y, X, Z = [1, 2, 5, 6, 2, 4], [[1]] * 6, np.kron(np.eye(3), [[1], [1]])
    >>> lower, upper = profile_interval(0, y, X, Z, 1)
    >>> round(lower, 4), round(upper, 4)
    (0.0, 4.8211)
    """
    z = float(ndtri((1 + share("level", level)) / 2))
    y, X, Z = mixed_data(y, X, Z)
    data = Checked(y), Checked(X), Checked(Z)
    phi, least = estimates(*data, k, method)
    estimate = float(phi[which])

    def excess(value: float) -> float:
        d = profile_deviance(which, value, *data, k, phi, method)
        return abs(signed_root(value, estimate, d - least)) - z

    # |zeta(v)| <= z  (eq-sure-profile-interval)
    lowest, highest = -np.inf, np.inf
    if which <= k * (k + 1) // 2:
        bounded = is_correlation(k)[which]
        lowest, highest = (-1.0, 1.0) if bounded else (0.0, np.inf)
    step = 0.1 * abs(estimate) if estimate else 0.1
    ends = []
    for sign, limit in ((-1, lowest), (1, highest)):
        inside = estimate
        for doubling in range(FARTHEST):
            outside = estimate + sign * step * 2**doubling
            if sign * outside >= sign * limit:
                outside = limit
            reached = excess(outside) > 0
            if reached or outside == limit:
                break
            inside = outside
        end = brentq(excess, inside, outside) if reached else limit
        ends.append(float(end))
    return ends[0], ends[1]
