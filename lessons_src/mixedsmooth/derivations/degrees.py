"""Degrees of freedom as matched moments, with dense matrices (chapter 13).

The model is y ~ N(X beta, V) with V linear in its parameters,

    V = gamma_1 V_1 + ... + gamma_m V_m,

variances and covariances of random effects, and the variance of the residuals with V_m = I. The
generalized least-squares estimate of l'beta has the variance l'Cl, C = (X' V^-1 X)^-1. Its estimate
is treated as a scaled chi-square: one with df degrees of freedom has the variance 2 mean^2 / df.
Satterthwaite takes that variance from the curvature of the criterion at the estimates. Kenward and
Roger take it from the expected curvature, correct C for the bias that comes from estimating gamma,
and match an F for several combinations at once.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import as_matrix, as_vector, choice, whole
from mixedsmooth._linalg import cholesky, inverse
from mixedsmooth.derivations.data import matrix, regression_data

FloatArray = NDArray[np.float64]

MAX_DENSE_ROWS = (
    2_000  # V and each of its parts have as many rows and columns
)


class Match(NamedTuple):
    """A variance, and the degrees of freedom that its estimate has.

    Attributes
    ----------
    variance : float
        l'Cl.
    df : float
        Degrees of freedom.
    """

    variance: float
    df: float


class KenwardRoger(NamedTuple):
    """What the method of Kenward and Roger gives.

    Attributes
    ----------
    covariance : ndarray, shape (p, p)
        The adjusted covariance of beta.
    scale : float
        What the F statistic, with that covariance, is multiplied by.
    df : float
        Its second degrees of freedom; the first are the rows of L.
    """

    covariance: FloatArray
    scale: float
    df: float


def covariance_parts(Z: ArrayLike, k: int) -> list[FloatArray]:
    """Tell how V changes with the variances and covariances of the effects of a level.

    The columns of Z are those of one level after the other, k for each. With S the covariance of
    the effects of a level, V has the part Z (I kron S) Z'.

    Parameters
    ----------
    Z : array_like, shape (n, m k)
        Design of the random effects, of no more than 2,000 rows.
    k : int
        Effects of a level.

    Returns
    -------
    list of ndarray, each of shape (n, n)
        dV / dS_ab for the lower triangle of S, column by column.

    Raises
    ------
    ValueError
        If Z has more than 2,000 rows, or its columns are no multiple of k.

    Examples
    --------
    >>> V_1, V_2, V_3 = covariance_parts([[1, 0], [1, 2]], 2)  # one level: intercept and slope
    >>> print(V_2)  # of the covariance: row 1 has no slope
    [[0. 2.]
     [2. 4.]]
    """
    Z = matrix("Z", Z)
    n, q = Z.shape
    k = whole("k", k, least=1)
    if n > MAX_DENSE_ROWS:
        raise ValueError(
            f"Z has {n} rows, and each part of V would be {n} x {n}; this function stops at "
            f"{MAX_DENSE_ROWS} rows"
        )
    if q % k != 0:
        raise ValueError(
            f"Z has {q} columns, which is no multiple of {k}; give {k} for each level"
        )
    # Z_a has column a of each level
    columns = [Z[:, a::k] for a in range(k)]
    parts = []
    for b in range(k):
        for a in range(b, k):
            # dV/dS_ab = Z_a Z_b' + Z_b Z_a', or Z_a Z_a' for a variance
            V_ab = columns[a] @ columns[b].T
            parts.append(V_ab if a == b else V_ab + V_ab.T)
    return parts


def satterthwaite(
    row: ArrayLike,
    y: ArrayLike,
    X: ArrayLike,
    parts: Sequence[ArrayLike],
    gamma: ArrayLike,
    method: str = "REML",
) -> Match:
    """Satterthwaite's degrees of freedom of l'beta, step by step.

    Parameters
    ----------
    row : array_like, shape (p,)
        The combination l.
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design of the fixed effects.
    parts : sequence of array_like, each of shape (n, n)
        V_1 to V_m.
    gamma : array_like, shape (m,)
        The estimates, where the criterion is lowest.
    method : {"REML", "ML"}
        Which criterion that is.

    Returns
    -------
    Match
        l'Cl and its degrees of freedom.

    Raises
    ------
    ValueError
        If shapes do not fit, or V is not positive definite.

    References
    ----------
    Satterthwaite (1946); Kuznetsova, Brockhoff and Christensen (2017), section 2.

    Examples
    --------
    The mean of n numbers: the variance of y has n - 1 degrees of freedom.

    >>> y = np.array([1.0, 2.0, 4.0, 5.0])
    >>> s2 = np.var(y, ddof=1)
    >>> match = satterthwaite([1], y, np.ones((4, 1)), [np.eye(4)], [s2])
    >>> print(round(match.df, 6), round(4 * match.variance / s2, 6))
    3.0 1.0
    """
    choice("method", method, ("REML", "ML"))
    y, X = regression_data(y, X)
    L = _weights(row, X)[0]
    V_, V_inv = _covariance(parts, gamma, len(y))
    # C = (X' V^-1 X)^-1,  P = V^-1 - V^-1 X C X' V^-1
    C = inverse(cholesky(X.T @ V_inv @ X))
    P = V_inv - V_inv @ X @ C @ X.T @ V_inv
    Py = P @ y
    m = len(V_)
    H, g = np.empty((m, m)), np.empty(m)
    for r in range(m):
        # dC/dgamma_r = C X' V^-1 V_r V^-1 X C
        x = V_inv @ X @ C @ L
        g[r] = x @ V_[r] @ x
        for s in range(m):
            # of d = log|V| + log|X' V^-1 X| + y' P y:
            # H_rs = -tr(P V_r P V_s) + 2 y' P V_r P V_s P y;
            # by ML V^-1 in place of P in the trace
            T = P if method == "REML" else V_inv
            trace = np.sum((T @ V_[r]) * (T @ V_[s]).T)
            H[r, s] = -trace + 2 * Py @ V_[r] @ P @ V_[s] @ Py
    # gamma has the covariance A = 2 H^-1, as d is -2 log-likelihood
    A_g = 2 * np.linalg.solve(H, g)
    # Var(l'Cl) = g' A g = 2 (l'Cl)^2 / df  (eq-sure-satterthwaite)
    variance = float(L @ C @ L)
    return Match(variance, 2 * variance**2 / float(g @ A_g))


def kenward_roger(
    rows: ArrayLike,
    X: ArrayLike,
    parts: Sequence[ArrayLike],
    gamma: ArrayLike,
) -> KenwardRoger:
    """Find Kenward and Roger's covariance, and the F that they match.

    Parameters
    ----------
    rows : array_like, shape (p,) or (r, p)
        The combinations L.
    X : array_like, shape (n, p)
        Design of the fixed effects.
    parts : sequence of array_like, each of shape (n, n)
        V_1 to V_m.
    gamma : array_like, shape (m,)
        The estimates, by REML.

    Returns
    -------
    KenwardRoger
        Adjusted covariance, scale and degrees of freedom.

    Raises
    ------
    ValueError
        If shapes do not fit, or V is not positive definite.

    References
    ----------
    Kenward and Roger (1997), sections 2 and 3; Halekoh and Hojsgaard (2014), section 3.

    Examples
    --------
    A mean and a slope of n numbers: F with n - 2 degrees of freedom, and nothing to correct.

    >>> X = np.column_stack([np.ones(6), np.arange(6)])
    >>> covariance, scale, df = kenward_roger(np.eye(2), X, [np.eye(6)], [3.0])
    >>> round(scale, 6), round(df, 6)
    (1.0, 4.0)
    """
    X = as_matrix("X", X)
    L = _weights(rows, X)
    V_, V_inv = _covariance(parts, gamma, len(X))
    m, r_L = len(V_), len(L)
    # Phi = (X' V^-1 X)^-1
    Phi = inverse(cholesky(X.T @ V_inv @ X))
    # P_r = -X' V^-1 V_r V^-1 X
    W_ = [V_inv @ V_r for V_r in V_]
    P = [-X.T @ W_r @ V_inv @ X for W_r in W_]
    # Q_rs = X' V^-1 V_r V^-1 V_s V^-1 X
    Q = [[X.T @ W_r @ W_s @ V_inv @ X for W_s in W_] for W_r in W_]
    information = np.empty((m, m))
    for r in range(m):
        for s in range(m):
            # 2 I_rs = tr(V^-1 V_r V^-1 V_s) - 2 tr(Phi Q_rs)
            #          + tr(Phi P_r Phi P_s)
            information[r, s] = (
                np.trace(W_[r] @ W_[s])
                - 2 * np.trace(Phi @ Q[r][s])
                + np.trace(Phi @ P[r] @ Phi @ P[s])
            ) / 2
    # gamma has the covariance W = I^-1
    W = inverse(cholesky(information))
    # Phi is too small by as much again as it is biased:
    # Phi_A = Phi + 2 Phi sum_rs W_rs (Q_rs - P_r Phi P_s) Phi  (eq-sure-kr)
    U = sum(
        W[r, s] * (Q[r][s] - P[r] @ Phi @ P[s])
        for r in range(m)
        for s in range(m)
    )
    adjusted = Phi + 2 * Phi @ U @ Phi
    # Theta = L' (L Phi L')^-1 L
    Theta = L.T @ np.linalg.solve(L @ Phi @ L.T, L)
    # A_1 = sum W_rs tr(Theta Phi P_r Phi) tr(Theta Phi P_s Phi)
    # A_2 = sum W_rs tr(Theta Phi P_r Phi Theta Phi P_s Phi)
    S = [Theta @ Phi @ P_r @ Phi for P_r in P]
    traces = np.array([np.trace(S_r) for S_r in S])
    products = np.array([[np.trace(S_r @ S_s) for S_s in S] for S_r in S])
    A_1 = traces @ W @ traces
    A_2 = np.sum(W * products)
    # the mean of F, and its variance, from a Taylor expansion that is
    # corrected to be exact where F is
    B = (A_1 + 6 * A_2) / (2 * r_L)
    g = ((r_L + 1) * A_1 - (r_L + 4) * A_2) / ((r_L + 2) * A_2)
    below = 3 * r_L + 2 * (1 - g)
    c_1, c_2, c_3 = g / below, (r_L - g) / below, (r_L + 2 - g) / below
    mean = 1 / (1 - A_2 / r_L)
    variance = (
        (2 / r_L) * (1 + c_1 * B) / ((1 - c_2 * B) ** 2 * (1 - c_3 * B))
    )
    # an F has the mean df / (df - 2), and rho = variance / (2 mean^2) gives df
    rho = variance / (2 * mean**2)
    df = 4 + (r_L + 2) / (r_L * rho - 1)
    return KenwardRoger(adjusted, float(df / (mean * (df - 2))), float(df))


def _weights(rows: ArrayLike, X: FloatArray) -> FloatArray:
    L = as_matrix("rows", np.atleast_2d(np.asarray(rows)))
    if L.shape[1] != X.shape[1]:
        raise ValueError(
            f"rows have {L.shape[1]} weights and X has {X.shape[1]} columns; "
            "give one weight for each"
        )
    return L


def _covariance(
    parts: Sequence[ArrayLike], gamma: ArrayLike, n: int
) -> tuple[list[FloatArray], FloatArray]:
    """Return the parts of V as arrays, and V^-1."""
    if n > MAX_DENSE_ROWS:
        raise ValueError(
            f"X has {n} rows, and V would be {n} x {n}; this function forms V to show it and stops "
            f"at {MAX_DENSE_ROWS} rows"
        )
    V_ = [as_matrix(f"parts[{r}]", V_r, n) for r, V_r in enumerate(parts)]
    gamma = as_vector("gamma", gamma, len(V_))
    # V = sum gamma_r V_r
    V = sum(gamma_r * V_r for gamma_r, V_r in zip(gamma, V_, strict=True))
    return V_, inverse(
        cholesky(
            np.asarray(V),
            "V, the sum of gamma_r times its parts, must be "
            "positive definite",
        )
    )
