"""A Gaussian process is a random effect with a kernel, and kriging is its prediction (chapter 12).

The model is y = X beta + b + e with one effect for each place. Effects of places that are close to
each other are correlated:

    cov(b_i, b_j) = tau^2 k(d_ij / rho),   e ~ N(0, sigma^2 I)

With the matrix K of the correlations, V = tau^2 K + sigma^2 I. Two numbers shape it: the range rho,
and the share of the noise, the nugget, g = sigma^2 / (tau^2 + sigma^2). REML finds both. At a new
place the effect is predicted by its conditional mean, which geostatistics calls kriging:

    b0_hat = k0' (K + (sigma^2 / tau^2) I)^-1 (y - X beta_hat)

Henderson's equations of chapter 4 give the same number, if the new place is a level without data.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit

from mixedsmooth._checks import as_matrix, as_vector, positive, share
from mixedsmooth._linalg import (
    cholesky,
    inverse,
    least_squares,
    log_det,
    solve_lower,
)
from mixedsmooth.derivations.data import Checked, regression_data, without_fit
from mixedsmooth.derivations.henderson import (
    prediction_error_covariance,
    solve_henderson,
)
from mixedsmooth.derivations.reml import SEARCH
from mixedsmooth.derivations.search import argmin
from mixedsmooth.kernels import correlation

FloatArray = NDArray[np.float64]

MOST_PLACES = 2_000  # an n x n matrix is factored at each step of a search
LOG_ODDS = 12.0  # of the nugget: a share from 6e-6 to 1 less that
SINGULAR = (
    "places are so close to each other, or the range is so long, that the correlation matrix is "
    "singular to working precision; use a shorter range, or another kernel"
)


def distances(
    places: ArrayLike, others: ArrayLike | None = None
) -> FloatArray:
    """Distances between places, of all pairs.

    Parameters
    ----------
    places : array_like, shape (n, d)
        Coordinates, in one unit: kilometers, say.
    others : array_like, shape (m, d), optional
        Other places; otherwise the same.

    Returns
    -------
    ndarray, shape (n, m)
        Euclidean distances, in that unit.

    Raises
    ------
    ValueError
        If a coordinate is not finite, the places have different numbers of coordinates, or there
        are more than 2,000.

    Examples
    --------
    >>> print(distances([[0, 0], [3, 4]]))
    [[0. 5.]
     [5. 0.]]
    """
    places = _places("places", places)
    others = places if others is None else _places("others", others)
    if places.shape[1] != others.shape[1]:
        raise ValueError(
            f"others have {others.shape[1]} coordinates and places {places.shape[1]}; give the "
            "same ones, in the same order"
        )
    difference = places[:, None] - others
    return np.asarray(np.sqrt((difference**2).sum(axis=2)))


def process_covariance(
    d: ArrayLike, kernel: str, rho: float, tau: float = 1.0
) -> FloatArray:
    """Covariances of a Gaussian process at places that are d apart.

    Parameters
    ----------
    d : array_like
        Distances.
    kernel : {"exponential", "matern32", "matern52", "gaussian", "spherical"}
        Name of the correlation; see `mixedsmooth.kernels.correlation`.
    rho : float
        Range, in the unit of d.
    tau : float
        Standard deviation of the process, in the units of y.

    Returns
    -------
    ndarray
        tau^2 k(d / rho), of the shape of d.

    Raises
    ------
    ValueError
        If a distance is negative, the kernel is unknown, or rho or tau is not positive.

    References
    ----------
    Cressie (1993), section 2.3.

    Examples
    --------
    >>> process_covariance([0, 100, 200], "exponential", rho=100, tau=2).round(3)
    array([4.   , 1.472, 0.541])
    """
    r = np.asarray(d) / positive("rho", rho)
    # cov(b_i, b_j) = tau^2 k(d_ij / rho)  (eq-term-process)
    covariance: FloatArray = positive("tau", tau) ** 2 * correlation(
        kernel, r
    )
    return covariance


# ---- the criterion ----


def restricted_deviance(
    rho: float,
    nugget: float,
    y: ArrayLike,
    X: ArrayLike,
    places: ArrayLike,
    kernel: str,
) -> float:
    """Restricted deviance of range and nugget, with the size of all variances profiled out.

    With s^2 = tau^2 + sigma^2 and V = s^2 V_0, V_0 = (1 - g) K + g I, the best s^2 is the residual
    sum of squares r'V_0^-1 r over n - p.

    Parameters
    ----------
    rho : float
        Range.
    nugget : float
        The share g of the noise in the variance of an observation, between 0 and 1.
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    places : array_like, shape (n, d)
        Where the rows were observed, no more than 2,000.
    kernel : str
        Name of the correlation.

    Returns
    -------
    float
        Minus twice the restricted log-likelihood.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, X is rank deficient, rho is not positive, nugget
        is not between 0 and 1, the kernel is unknown, or V_0 is singular.

    References
    ----------
    Kitanidis (1983), Water Resources Research 19, 909-921; Harville (1977), section 4.2.

    Examples
    --------
    >>> y, X, places = [1, 2, 4, 3], np.ones((4, 1)), [[0], [1], [2], [3]]
    >>> round(restricted_deviance(2, 0.3, y, X, places, "exponential"), 4)
    10.8877
    """
    y, X, d = _process_data(y, X, places)
    nugget = share("nugget", nugget)
    K = process_covariance(d, kernel, rho)
    # V_0 = (1 - g) K + g I = L L',  y* = L^-1 y,  X* = L^-1 X
    L = cholesky((1 - nugget) * K + nugget * np.eye(len(y)), SINGULAR)
    y_star, X_star = solve_lower(L, y), solve_lower(L, X)
    # X' V_0^-1 X = X*'X* = R'R
    _, R = np.linalg.qr(X_star)
    r_star = y_star - X_star @ least_squares(X_star, y_star)
    # s^2 = r' V_0^-1 r / (n - p)  (eq-6-sigma)
    degrees = len(y) - X.shape[1]
    s2 = r_star @ r_star / degrees
    # log|V_0| + log|X' V_0^-1 X| + (n - p) (1 + log(2 pi s^2))
    # (eq-6-profiled)
    return float(
        log_det(L) + log_det(R) + degrees * (1 + np.log(2 * np.pi * s2))
    )


def range_profile(
    ranges: ArrayLike,
    y: ArrayLike,
    X: ArrayLike,
    places: ArrayLike,
    kernel: str,
) -> tuple[FloatArray, FloatArray]:
    """Least restricted deviance for each range, and the nugget's share that goes with it.

    A curve without a minimum says that the data do not hold the range: what the fixed effects leave
    is then a trend over the whole map, on which places get less alike as long as one can look.

    Parameters
    ----------
    ranges : array_like, shape (m,)
        Ranges.
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    places : array_like, shape (n, d)
        Where the rows were observed, no more than 2,000.
    kernel : str
        Name of the correlation.

    Returns
    -------
    deviance, nugget : ndarray, shape (m,)
        The least deviances, and where they are.

    Raises
    ------
    ValueError
        As `restricted_deviance`.

    Examples
    --------
    >>> y, X, places = [1, 2, 4, 3], np.ones((4, 1)), [[0], [1], [2], [3]]
    >>> deviance, nugget = range_profile([1, 2, 4], y, X, places, "exponential")
    >>> deviance.round(3)
    array([10.769, 10.572, 10.534])
    """
    ranges = as_vector("ranges", ranges)
    y, X, d = _process_data(y, X, places)
    rows = Checked(y), Checked(X), Checked(d)

    def best(rho: float) -> tuple[float, float]:
        def deviance(log_odds: float) -> float:
            return restricted_deviance(rho, expit(log_odds), *rows, kernel)

        log_odds = argmin(deviance, -LOG_ODDS, LOG_ODDS)
        return deviance(log_odds), float(expit(log_odds))

    deviances, nuggets = zip(*[best(rho) for rho in ranges], strict=True)
    return np.array(deviances), np.array(nuggets)


@dataclass(frozen=True)
class ProcessFit:
    """Fit of a Gaussian process by REML.

    Attributes
    ----------
    kernel : str
        Name of the correlation.
    rho : float
        Range.
    nugget : float
        The share of the noise, sigma^2 / (tau^2 + sigma^2).
    tau, sigma : float
        Standard deviations of the process and of the noise, in the units of y.
    beta : ndarray, shape (p,)
        Fixed effects.
    cov_beta : ndarray, shape (p, p)
        Their covariance, (X'V^-1 X)^-1.
    criterion : float
        Minus twice the restricted log-likelihood.

    Examples
    --------
    >>> y, places = [1, 3, 4, 2, 0, -1, 1, 2, 4, 3], np.arange(10)[:, None]
    >>> fit = fit_process(y, np.ones((10, 1)), places, "gaussian")
    >>> print(round(fit.rho, 3), round(fit.tau, 3), round(fit.sigma, 3))
    2.32 2.145 0.489
    """

    kernel: str
    rho: float
    nugget: float
    tau: float
    sigma: float
    beta: FloatArray
    cov_beta: FloatArray
    criterion: float


def fit_process(
    y: ArrayLike, X: ArrayLike, places: ArrayLike, kernel: str
) -> ProcessFit:
    """Fit range, nugget, variance and fixed effects by REML.

    The search of Nelder and Mead begins at the best of some ranges and shares. Ranges from a tenth
    of the shortest distance to ten times the longest are looked at; one at the end of that is a
    sign that the data do not hold it.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    places : array_like, shape (n, d)
        Where the rows were observed, no more than 2,000.
    kernel : str
        Name of the correlation.

    Returns
    -------
    ProcessFit
        Frozen record of the fit.

    Raises
    ------
    ValueError
        As `restricted_deviance`; or if all rows are from one place, or y has no residual variance.

    References
    ----------
    Pinheiro and Bates (2000), Mixed-Effects Models in S and S-PLUS, section 5.3.

    Examples
    --------
    >>> y, places = [1, 3, 4, 2, 0, -1, 1, 2, 4, 3], np.arange(10)[:, None]
    >>> round(fit_process(y, np.ones((10, 1)), places, "gaussian").criterion, 3)
    30.181
    """
    y, X, d = _process_data(y, X, places)
    beta_0, residual = without_fit(y, X)
    rows = Checked(residual), Checked(X), Checked(d)
    apart = d[d > 0]
    if not len(apart):
        raise ValueError("places are all the same; a range needs two or more")
    low, high = np.log(0.1 * apart.min()), np.log(10 * apart.max())

    def unpacked(x: FloatArray) -> tuple[float, float]:
        log_rho, log_odds = np.clip(x, [low, -LOG_ODDS], [high, LOG_ODDS])
        return float(np.exp(log_rho)), float(expit(log_odds))

    def deviance(x: FloatArray) -> float:
        return restricted_deviance(*unpacked(x), *rows, kernel)

    starts = [
        np.array([log_rho, log_odds])
        for log_rho in np.linspace(low, high, 12)
        for log_odds in (-4.0, -1.0, 1.0)
    ]
    found = minimize(
        deviance,
        min(starts, key=deviance),
        method="Nelder-Mead",
        options=SEARCH,
    )
    rho, nugget = unpacked(found.x)
    K = process_covariance(d, kernel, rho)
    L = cholesky((1 - nugget) * K + nugget * np.eye(len(y)), SINGULAR)
    y_star, X_star = solve_lower(L, residual), solve_lower(L, X)
    beta = least_squares(X_star, y_star)
    r_star = y_star - X_star @ beta
    s2 = r_star @ r_star / (len(y) - X.shape[1])
    _, R = np.linalg.qr(X_star)
    return ProcessFit(
        kernel=kernel,
        rho=rho,
        nugget=nugget,
        tau=float(np.sqrt((1 - nugget) * s2)),
        sigma=float(np.sqrt(nugget * s2)),
        beta=beta_0 + beta,
        # Var(beta_hat) = s^2 (R'R)^-1
        cov_beta=s2 * inverse(R.T),
        criterion=float(found.fun),
    )


# ---- prediction, two ways ----


def krige(
    fit: ProcessFit,
    y: ArrayLike,
    X: ArrayLike,
    places: ArrayLike,
    X0: ArrayLike,
    new_places: ArrayLike,
) -> tuple[FloatArray, FloatArray]:
    """Predict at new places as geostatistics writes it: universal kriging.

    Parameters
    ----------
    fit : ProcessFit
        Range and variances, which are taken as known.
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    places : array_like, shape (n, d)
        Where the rows were observed, no more than 2,000.
    X0 : array_like, shape (m, p)
        Design of the fixed effects at the new places.
    new_places : array_like, shape (m, d)
        The new places.

    Returns
    -------
    prediction : ndarray, shape (m,)
        x0'beta_hat + b0_hat, in the units of y.
    variance : ndarray, shape (m,)
        Of its error as a prediction of x0'beta + b0. For a new observation there, add sigma^2.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, X is rank deficient, or there are more than 2,000
        places.

    References
    ----------
    Cressie (1993), section 3.4.

    Examples
    --------
    Far from the data the process is not known, and its variance is added to that of the mean:

    >>> y, X, places = [1, 2, 4, 3, 5, 9], np.ones((6, 1)), [[0], [1], [2], [3], [5], [8]]
    >>> one = np.ones((1, 1))
    >>> fit = ProcessFit("exponential", 2.0, 0.2, 2.0, 1.0, one[0], one, 0.0)
    >>> prediction, variance = krige(fit, y, X, places, np.ones((2, 1)), [[4], [100]])
    >>> print(prediction.round(3), variance.round(3))
    [4.207 4.59 ] [2.231 5.605]
    """
    y, X, d = _process_data(y, X, places)
    X0 = as_matrix("X0", X0)
    # k0: correlations of the new places with those of the data
    d0 = distances(places, new_places)
    k0 = process_covariance(d0, fit.kernel, fit.rho)
    K = process_covariance(d, fit.kernel, fit.rho)
    # K + (sigma^2 / tau^2) I = L L'
    ratio = (fit.sigma / fit.tau) ** 2
    L = cholesky(K + ratio * np.eye(len(y)), SINGULAR)
    y_star, X_star, k_star = (solve_lower(L, M) for M in (y, X, k0))
    beta = least_squares(X_star, y_star)
    # b0_hat = k0' (K + (sigma^2/tau^2) I)^-1 (y - X beta_hat)
    # (eq-term-kriging)
    b0 = k_star.T @ (y_star - X_star @ beta)
    # tau^2 (1 - w'k0) + (x0 - X'w)' Var(beta_hat) (x0 - X'w),
    # w = (K + (sigma^2/tau^2) I)^-1 k0  (eq-term-krigvar)
    _, R = np.linalg.qr(X_star)
    moved = solve_lower(R.T, (X0 - k_star.T @ X_star).T)
    unknown = 1 - np.sum(k_star**2, axis=0) + np.sum(moved**2, axis=0)
    return X0 @ beta + b0, fit.tau**2 * unknown


def krige_by_henderson(
    fit: ProcessFit,
    y: ArrayLike,
    X: ArrayLike,
    places: ArrayLike,
    X0: ArrayLike,
    new_places: ArrayLike,
) -> tuple[FloatArray, FloatArray]:
    """Predict at new places as chapter 4 does: they are levels without data.

    K holds the correlations of all places, old and new, and Z has a row for each observation, with
    zeros in the columns of the new places. In Henderson's equations,

        [ X'X   X'Z                            ] [ beta ]   [ X'y ]
        [ Z'X   Z'Z + (sigma^2 / tau^2) K^-1   ] [ b    ] = [ Z'y ]

    the rows of the new places are K^-1 b = 0 there, which says b0 = k0'K_nn^-1 b_n with K_nn the
    correlations of the places with data. The other rows then give (K_nn^-1 sigma^2/tau^2 + I) b_n =
    y - X beta for one observation at each. Both together are the kriging equation, because

        k0' K_nn^-1 (I + g K_nn^-1)^-1 = k0' (K_nn + g I)^-1,   g = sigma^2 / tau^2.

    Parameters
    ----------
    fit : ProcessFit
        Range and variances, which are taken as known.
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects, of full column rank.
    places : array_like, shape (n, d)
        Where the rows were observed.
    X0 : array_like, shape (m, p)
        Design of the fixed effects at the new places.
    new_places : array_like, shape (m, d)
        The new places; with those of the data no more than 2,000.

    Returns
    -------
    prediction, variance : ndarray, shape (m,)
        The same numbers as from `krige`.

    Raises
    ------
    ValueError
        As `krige`; and if K is singular to working precision, for its inverse is needed here.

    References
    ----------
    Robinson (1991), section 4; Henderson (1975).

    Examples
    --------
    >>> y, X, places = [1, 2, 4, 3, 5, 9], np.ones((6, 1)), [[0], [1], [2], [3], [5], [8]]
    >>> one = np.ones((1, 1))
    >>> fit = ProcessFit("exponential", 2.0, 0.2, 2.0, 1.0, one[0], one, 0.0)
    >>> new = np.ones((2, 1)), [[4], [100]]
    >>> prediction, variance = krige_by_henderson(fit, y, X, places, *new)
    >>> print(prediction.round(3), variance.round(3))
    [4.207 4.59 ] [2.231 5.605]
    """
    y, X = regression_data(y, X)
    X0 = as_matrix("X0", X0)
    n = len(y)
    every = np.vstack([as_matrix("places", places, n), new_places])
    levels, of_row = np.unique(every, axis=0, return_inverse=True)
    # Z: which place a row is at; the new ones have no rows
    indicator = np.eye(len(levels))[of_row.reshape(-1)]
    Z, Z0 = indicator[:n], indicator[n:]
    # cov(b) = tau^2 K = sigma^2 Lambda Lambda'
    K = process_covariance(distances(levels), fit.kernel, fit.rho)
    Lambda = fit.tau / fit.sigma * cholesky(K, SINGULAR)
    # [ X'X   X'Z                            ] [ beta ]   [ X'y ]
    # [ Z'X   Z'Z + (sigma^2/tau^2) K^-1     ] [ b    ] = [ Z'y ]
    # (eq-term-henderson-gp)
    beta, b = solve_henderson(y, X, Z, Lambda)
    # the error of x0'beta + z0'b  (eq-blup-error-covariance)
    at = np.hstack([X0, Z0])
    errors = prediction_error_covariance(X, Z, Lambda, fit.sigma)
    return X0 @ beta + Z0 @ b, np.sum((at @ errors) * at, axis=1)


# ---- data ----


def _places(name: str, places: ArrayLike) -> FloatArray:
    coordinates = as_matrix(name, places)
    if len(coordinates) > MOST_PLACES:
        raise ValueError(
            f"{name} has {len(coordinates)} rows, and the distances would be a matrix of as many "
            f"rows and columns; this derivation forms it and stops at {MOST_PLACES}"
        )
    return coordinates


def _process_data(
    y: ArrayLike, X: ArrayLike, places: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Response, design, and distances, which a search computes once."""
    y, X = regression_data(y, X)
    if isinstance(places, Checked):
        return y, X, places.array
    d = distances(places)
    if len(d) != len(y):
        raise ValueError(
            f"places has {len(d)} rows and y has {len(y)}; give a place for each row"
        )
    return y, X, d
