"""How sure is a curve? Point by point, on average, and everywhere at once (chapter 13).

A curve is f(x) = l(x)'a with the coefficients a = (beta, b), where b ~ N(0, tau^2 I). With the
variances known,

    a | y ~ N(a_hat, V),   V = sigma^2 (C'C + S)^-1,   C = [X Z],   S = diag(0, sigma^2 / tau^2)

The standard error of f(x) is the root of l(x)'V l(x), and 1.96 of them to either side make an
interval for each x. Over the whole curve the error in standard errors is

    (f_hat(x) - f(x)) / se(x) = T(x) z,   z ~ N(0, I),   T(x) = l(x)'R / se(x),   V = R R'

where T(x) has length one: as x moves, it draws a path on the unit sphere. The largest ``|T(x) z|``
is above c where the direction of z is close to the path or its mirror image, a tube around it. The
volume of the tube is, for a c that is not small, the length of the path times its width, and the
caps at its ends.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from mixedsmooth._checks import positive, share, whole
from mixedsmooth._linalg import cholesky, solve_lower
from mixedsmooth.derivations.data import matrix, vector

FloatArray = NDArray[np.float64]


def posterior_covariance(
    X: ArrayLike, Z: ArrayLike, tau: float, sigma: float
) -> FloatArray:
    """Covariance V of the coefficients (beta, b) given y.

    Parameters
    ----------
    X : array_like, shape (n, p)
        Design of the fixed effects.
    Z : array_like, shape (n, q)
        Design of the random effects.
    tau, sigma : float
        Standard deviations of the effects and of the residuals.

    Returns
    -------
    ndarray, shape (p + q, p + q)
        V.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, or a standard deviation is not positive.

    References
    ----------
    Nychka (1988), Journal of the American Statistical Association 83, 1134-1143.

    Examples
    --------
    >>> posterior_covariance([[1], [1], [1], [1]], np.zeros((4, 1)), 2.0, 1.0)
    array([[0.25, 0.  ],
           [0.  , 4.  ]])
    """
    root = _root(
        *_designs(X, Z), positive("tau", tau), positive("sigma", sigma)
    )
    # V = sigma^2 (C'C + S)^-1 = R R'
    return root @ root.T


def path_length(rows: ArrayLike, V: ArrayLike) -> float:
    """Length kappa of the path of T(x), as the sum of its steps.

    Parameters
    ----------
    rows : array_like, shape (m, k)
        l(x) for a fine grid of x; no standard error may be zero.
    V : array_like, shape (k, k)
        Covariance of the coefficients.

    Returns
    -------
    float
        The length.

    Raises
    ------
    ValueError
        If a value is not finite, shapes do not fit, or V is not positive definite.

    References
    ----------
    Sun and Loader (1994), Annals of Statistics 22, 1328-1345.

    Examples
    --------
    >>> x = np.linspace(0, np.pi / 2, 1001)
    >>> rows = np.column_stack([np.cos(x), np.sin(x)])
    >>> round(path_length(rows, np.eye(2)), 4)  # a quarter of a circle
    1.5708
    """
    T = _path(rows, V)
    # kappa = integral of ||T'(x)|| dx = sum ||T(x_i) - T(x_{i-1})||  (eq-sure-tube)
    return float(np.linalg.norm(np.diff(T, axis=0), axis=1).sum())


def exceedance(c: float, kappa: float) -> float:
    """Probability that the error is above c standard errors somewhere.

    Parameters
    ----------
    c : float
        Standard errors.
    kappa : float
        Length of the path.

    Returns
    -------
    float
        The volume of the tube; where it is above 1, tubes overlap, and c is too small for it.

    References
    ----------
    Sun and Loader (1994), equation 2.8.

    Examples
    --------
    >>> round(exceedance(1.96, 0.0), 4), round(exceedance(3.1968, 25.2904), 4)
    (0.05, 0.05)
    """
    # P(max |T(x) z| > c) = (kappa / pi) exp(-c^2 / 2) + 2 (1 - Phi(c))  (eq-sure-critical)
    return float(kappa / np.pi * np.exp(-c * c / 2) + 2 * ndtr(-c))


def critical_value(kappa: float, level: float = 0.95) -> float:
    """How many standard errors a band needs to hold the whole curve.

    Parameters
    ----------
    kappa : float
        Length of the path.
    level : float
        Probability that it does.

    Returns
    -------
    float
        The c whose `exceedance` is 1 - level.

    Raises
    ------
    ValueError
        If `level` is not between 0 and 1.

    Examples
    --------
    >>> round(critical_value(25.2904), 4)
    3.1968
    """
    alpha = 1 - share("level", level)
    return float(
        brentq(lambda c: exceedance(c, kappa) - alpha, 0, 40, xtol=1e-12)
    )


def simulated_critical_value(
    rows: ArrayLike,
    V: ArrayLike,
    level: float = 0.95,
    *,
    n: int = 20_000,
    seed: int = 0,
) -> float:
    """Find the same by drawing errors: the quantile of their largest size over the grid.

    Parameters
    ----------
    rows : array_like, shape (m, k)
        l(x) for a grid of x.
    V : array_like, shape (k, k)
        Covariance of the coefficients.
    level : float
        Probability that the band holds the whole curve.
    n, seed : int
        Number of draws, and where they begin.

    Returns
    -------
    float
        The quantile.

    Raises
    ------
    ValueError
        If a value is not finite, shapes do not fit, V is not positive definite, or `level` is not
        between 0 and 1.

    Examples
    --------
    >>> round(simulated_critical_value([[1.0]], [[4.0]], seed=2), 2)  # of one point
    1.96
    """
    T, level = _path(rows, V), share("level", level)
    rng = np.random.default_rng(whole("seed", seed, least=0))
    sizes = np.empty(whole("n", n, least=1))
    # of all draws at once the errors would not fit into memory
    for start in range(0, n, 1000):
        part = sizes[start : start + 1000]
        z = rng.standard_normal((T.shape[1], len(part)))
        part[:] = np.abs(T @ z).max(axis=0)
    return float(np.quantile(sizes, level))


class Coverage(NamedTuple):
    """How often a band held a curve, in repeated data.

    Attributes
    ----------
    at : ndarray, shape (n,)
        Share of the data sets whose band held the curve at each observation.
    average : float
        Its mean.
    everywhere : float
        Share of the data sets whose band held the curve at all of them.
    """

    at: FloatArray
    average: float
    everywhere: float


def coverage(
    f: ArrayLike,
    X: ArrayLike,
    Z: ArrayLike,
    tau: float,
    sigma: float,
    critical: float,
    *,
    n: int = 2000,
    seed: int = 0,
) -> Coverage:
    """Draw data around one curve, again and again, and look whether the band holds it.

    The curve stays the same, as a curve in nature does: it is no draw from the model. So its
    estimate is biased where it bends, and an interval there holds less than it says. The standard
    errors leave room for that bias on average over x, and no more.

    Parameters
    ----------
    f : array_like, shape (n,)
        The true curve at the observations.
    X, Z : array_like, shapes (n, p) and (n, q)
        Designs that it is estimated with.
    tau, sigma : float
        Standard deviations; sigma is that of the data too.
    critical : float
        How many standard errors the band reaches to either side: 1.96, or `critical_value`.
    n, seed : int
        Number of data sets, and where they begin.

    Returns
    -------
    Coverage
        At each x, on average, and everywhere.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, or a standard deviation or `critical` is not
        positive.

    References
    ----------
    Nychka (1988); Marra and Wood (2012), Scandinavian Journal of Statistics 39, 53-74.

    Examples
    --------
    >>> x = np.linspace(0, 1, 40)
    >>> X, Z = np.column_stack([np.ones(40), x]), np.maximum(x[:, None] - x[2:-2:4], 0)
    >>> held = coverage(np.sin(6 * x), X, Z, tau=10.0, sigma=0.3, critical=1.96)
    >>> print(round(held.average, 2), round(held.everywhere, 2))
    0.96 0.54
    """
    X, Z = _designs(X, Z)
    truth = vector("f", f, len(X))
    sigma, critical = positive("sigma", sigma), positive("critical", critical)
    C = np.hstack([X, Z])
    root = _root(X, Z, positive("tau", tau), sigma)
    # f_hat = C (C'C + S)^-1 C'y = H y,   se^2 = diag(C V C') = sigma^2 diag(H)
    L = C @ root
    H = L @ L.T / sigma**2
    se = np.linalg.norm(L, axis=1)
    rng = np.random.default_rng(whole("seed", seed, least=0))
    noise = sigma * rng.standard_normal((whole("n", n, least=1), len(truth)))
    held = np.abs((truth + noise) @ H - truth) <= critical * se
    at = held.mean(axis=0)
    return Coverage(at, float(at.mean()), float(held.all(axis=1).mean()))


def _designs(X: ArrayLike, Z: ArrayLike) -> tuple[FloatArray, FloatArray]:
    X = matrix("X", X)
    return X, matrix("Z", Z, n=len(X))


def _root(
    X: FloatArray, Z: FloatArray, tau: float, sigma: float
) -> FloatArray:
    """R with R R' = V: of C'C + S = L L' it is sigma L^-T."""
    C = np.hstack([X, Z])
    S = np.zeros(C.shape[1])
    S[X.shape[1] :] = sigma**2 / tau**2
    L = cholesky(C.T @ C + np.diag(S), "X is not of full column rank")
    return sigma * solve_lower(L, np.eye(len(L))).T


def _path(rows: ArrayLike, V: ArrayLike) -> FloatArray:
    V = matrix("V", V)
    rows = matrix("rows", rows)
    if rows.shape[1] != len(V):
        raise ValueError(
            f"rows must have {len(V)} columns, found {rows.shape[1]}"
        )
    # T(x) = l(x)'R / se(x),   V = R R'
    L = rows @ cholesky(V, "V is not positive definite")
    return np.asarray(L / np.linalg.norm(L, axis=1, keepdims=True))
