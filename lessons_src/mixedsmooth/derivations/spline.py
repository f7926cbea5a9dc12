"""The penalized cubic spline (chapter 8).

A curve f on [0, 1] is a straight line plus a bend at each of K knots z_j:

    f(x) = beta_1 + beta_2 x + sum_j beta_{j+2} R(x, z_j),    f = X beta at the data

R is the reproducing kernel of the cubic smoothing spline. Its merit is that the wiggliness of f is
a quadratic form with the kernel's own values: the integral of f''(x)^2 over [0, 1] is beta' S beta.
The penalized fit minimizes

    ||y - X beta||^2 + lambda beta' S beta = || [y]   [      X        ]      ||^2
                                             || [0] - [sqrt(lambda) B ] beta ||   with B'B = S,

ordinary least squares with K + 2 rows more. Below are the basis, the penalty and its root, the fit
with its effective degrees of freedom (EDF), and generalized cross-validation (GCV) to choose
lambda.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import as_vector, full_rank, positive
from mixedsmooth.derivations.data import Checked, matrix, not_negative, vector
from mixedsmooth.derivations.design import eigen, penalty_of
from mixedsmooth.derivations.search import argmin
from mixedsmooth.kernels import rk as rk
from mixedsmooth.kernels import unit_interval

FloatArray = NDArray[np.float64]


def spline_basis(x: ArrayLike, knots: ArrayLike) -> FloatArray:
    """Design of the spline, X = [1, x, R(x, z_1), ..., R(x, z_K)].

    Parameters
    ----------
    x : array_like, shape (n,)
        Covariate, scaled to [0, 1].
    knots : array_like, shape (K,)
        Knots z_j, distinct, in [0, 1]; not both 0 and 1, as R(x, 0) = R(x, 1).

    Returns
    -------
    ndarray, shape (n, K + 2)
        X. To draw the curve, make it for a grid of x and multiply it by the coefficients.

    Raises
    ------
    ValueError
        If a value is not finite or outside [0, 1], a knot is repeated, or 0 and 1 are both knots.

    References
    ----------
    Wood (2006), section 3.2.

    Examples
    --------
    >>> print(spline_basis([0, 0.5, 1], [0.5]).round(4))
    [[ 1.      0.     -0.0047]
     [ 1.      0.5     0.0031]
     [ 1.      1.     -0.0047]]
    """
    x = unit_interval("x", x)
    # X = [1, x, R(x, z)]  (eq-8-curve)
    return np.column_stack([np.ones(len(x)), x, rk(x, _distinct(knots))])


def spline_penalty(knots: ArrayLike) -> FloatArray:
    """Penalty S of the spline: beta' S beta is the integral of f''(x)^2 over [0, 1].

    The second derivatives of 1 and x are zero, and those of the other columns satisfy

        int R''(x, z_i) R''(x, z_j) dx = R(z_i, z_j),

    which is what makes R a reproducing kernel.

    Parameters
    ----------
    knots : array_like, shape (K,)
        Knots z_j, distinct, in [0, 1]; not both 0 and 1, as R(x, 0) = R(x, 1).

    Returns
    -------
    ndarray, shape (K + 2, K + 2)
        S, positive semidefinite of rank K.

    Raises
    ------
    ValueError
        If a knot is not finite, outside [0, 1], or repeated, or 0 and 1 are both knots.

    References
    ----------
    Wood (2006), section 3.2; Gu (2002), section 2.3.

    Examples
    --------
    >>> print((7680 * spline_penalty([0.25, 0.75])).round(4))
    [[ 0.   0.   0.   0. ]
     [ 0.   0.   0.   0. ]
     [ 0.   0.  11.5 -8.5]
     [ 0.   0.  -8.5 11.5]]
    """
    z = _distinct(knots)
    # S = [ 0  0       ]  with two rows and columns of zeros
    #     [ 0  R(z, z) ]  (eq-8-quadratic)
    S = np.zeros((len(z) + 2, len(z) + 2))
    S[2:, 2:] = rk(z, z)
    return S


def symmetric_root(S: ArrayLike) -> FloatArray:
    """Root B of a penalty, B'B = S: the symmetric one, U D^(1/2) U'.

    Parameters
    ----------
    S : array_like, shape (p, p)
        Penalty, symmetric and positive semidefinite. Eigenvalues within 1e-12 times the largest of
        zero are rounding errors, and count as zero.

    Returns
    -------
    ndarray, shape (p, p)
        B.

    Raises
    ------
    ValueError
        If a value is not finite, or S is not square, not symmetric, or has a negative eigenvalue.

    References
    ----------
    Wood (2006), section 3.2; Golub and Van Loan (2013), section 4.2.4.

    Examples
    --------
    >>> print(symmetric_root([[5, 4], [4, 5]]))
    [[2. 1.]
     [1. 2.]]
    """
    # S = U D U'
    d, U = eigen(S)
    # B = U D^(1/2) U'  (eq-8-root),
    # so that B'B = U D^(1/2) U'U D^(1/2) U' = U D U'
    return (U * np.sqrt(d)) @ U.T


def root_as_printed(S: ArrayLike) -> FloatArray:
    """Source 1's matrix root, which is not a root of S: not for use.

    It is kept to show what the error does. The source computes U'U D^(1/2) for U D^(1/2) U'. The
    eigenvectors cancel, U'U = I, and the penalty becomes beta' D beta: each eigenvalue, in falling
    order, penalizes a coefficient that it has nothing to do with. The intercept gets the largest.

    Parameters
    ----------
    S : array_like, shape (p, p)
        Penalty, symmetric and positive semidefinite.

    Returns
    -------
    ndarray, shape (p, p)
        D^(1/2), the eigenvalues in falling order.

    Raises
    ------
    ValueError
        As `symmetric_root`.

    References
    ----------
    Clark (2016), function ``matSqrt``.

    Examples
    --------
    >>> print(root_as_printed([[5, 4], [4, 5]]))
    [[3. 0.]
     [0. 1.]]
    """
    d, _ = eigen(S)
    # as printed: U'U D^(1/2) = D^(1/2)
    return np.diag(np.sqrt(d))


@dataclass(frozen=True)
class PenalizedFit:
    """Fit of a penalized regression for one lambda.

    Attributes
    ----------
    lam : float
        Smoothing parameter lambda.
    coef : ndarray, shape (p,)
        Coefficients beta.
    fitted : ndarray, shape (n,)
        X beta, in the units of y.
    edf : float
        Effective degrees of freedom, the trace of the matrix H in fitted = H y.
    rss : float
        Residual sum of squares, ||y - X beta||^2.
    gcv : float
        Generalized cross-validation score, n rss / (n - edf)^2. It is infinite where the EDF reach
        n: the curve then goes through the data, and nothing is left to judge it by.
    """

    lam: float
    coef: FloatArray
    fitted: FloatArray
    edf: float
    rss: float
    gcv: float


def fit_penalized(
    y: ArrayLike,
    X: ArrayLike,
    S: ArrayLike,
    lam: float,
    root: Callable[[ArrayLike], FloatArray] = symmetric_root,
) -> PenalizedFit:
    """Minimize ||y - X beta||^2 + lambda beta' S beta, by least squares on augmented rows.

    The normal equations are (X'X + lambda S) beta = X'y, so the trace of H is that of
    (X'X + lambda S)^-1 X'X. With the factorization QR of the augmented matrix, and Q_1 the part of
    Q in the rows of X, this is Q_1 = X R^-1 and

        EDF = tr((R'R)^-1 X'X) = tr(R^-T X'X R^-1) = ||Q_1||^2,

    without the n x n matrix H. The EDF fall from the number of columns at lambda = 0 to the number
    of columns without a penalty, 2 for the straight line, as lambda goes to infinity.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design.
    S : array_like, shape (p, p)
        Penalty, symmetric and positive semidefinite.
    lam : float
        Smoothing parameter lambda, not negative; zero for the fit without penalty.
    root : callable
        Function of S that gives B with B'B = S; `root_as_printed` shows the error of source 1.

    Returns
    -------
    PenalizedFit
        Frozen record of the fit.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, lam is negative, S is not a penalty for X, or the
        coefficients are not determined: by fewer distinct x than columns when lam is zero, or by an
        x that does not vary.

    References
    ----------
    Wood (2006), section 3.2.

    Examples
    --------
    >>> x, knots = [0, 0.2, 0.4, 0.6, 0.8, 1], [0.25, 0.5, 0.75]
    >>> X, S = spline_basis(x, knots), spline_penalty(knots)
    >>> fit = fit_penalized([1, 3, 2, 5, 4, 4], X, S, lam=1e-3)
    >>> print(fit.fitted.round(3), round(fit.edf, 3))
    [1.215 2.263 3.169 3.995 4.376 3.982] 3.962
    """
    y = vector("y", y)
    X = matrix("X", X, n=len(y))
    n, p = X.shape
    S = penalty_of(p, S)
    lam = not_negative("lam", lam)
    B = root(S)
    # ||y - X beta||^2 + lambda beta' S beta  (eq-8-objective)
    # is least squares of [y; 0] on [X; sqrt(lambda) B] = Q R  (eq-8-augmented)
    augmented = np.vstack([X, np.sqrt(lam) * B])
    _determined(augmented, X, lam)
    Q, R = np.linalg.qr(augmented)
    # R beta = Q' [y; 0] solves R'R beta = X'y,
    # R'R = X'X + lambda S  (eq-8-normal)
    coef = scipy.linalg.solve_triangular(
        R, Q.T @ np.concatenate([y, np.zeros(len(B))])
    )
    # y_hat = X beta = H y  (eq-8-hat)
    fitted = X @ coef
    # EDF = tr H = tr((X'X + lambda S)^-1 X'X) = ||Q_1||^2  (eq-8-edf)
    edf = float(np.sum(Q[:n] ** 2))
    rss = float(np.sum((y - fitted) ** 2))
    # GCV = n ||y - y_hat||^2 / (n - EDF)^2  (eq-8-gcv)
    left = n - edf
    score = n * rss / left**2 if left > 1e-8 * n else np.inf
    return PenalizedFit(lam, coef, fitted, edf, rss, score)


def gcv(lam: float, y: ArrayLike, X: ArrayLike, S: ArrayLike) -> float:
    """Generalized cross-validation score of lambda, n ||y - X beta||^2 / (n - EDF)^2.

    It stands for the error of predicting each y from the others. Leaving out row i multiplies its
    residual by 1 / (1 - H_ii); the score puts the mean EDF / n in the place of each H_ii.

    Parameters
    ----------
    lam : float
        Smoothing parameter lambda, not negative.
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design.
    S : array_like, shape (p, p)
        Penalty, symmetric and positive semidefinite.

    Returns
    -------
    float
        The score, in squared units of y; infinite where the EDF reach n.

    Raises
    ------
    ValueError
        As `fit_penalized`.

    References
    ----------
    Wood (2006), section 3.2; Craven and Wahba (1979), Numerische Mathematik 31, 377-403.

    Examples
    --------
    >>> x, knots = [0, 0.2, 0.4, 0.6, 0.8, 1], [0.25, 0.5, 0.75]
    >>> X, S = spline_basis(x, knots), spline_penalty(knots)
    >>> round(gcv(1e-3, [1, 3, 2, 5, 4, 4], X, S), 4)
    4.4914
    """
    return fit_penalized(y, X, S, lam).gcv


def choose_gcv(
    y: ArrayLike,
    X: ArrayLike,
    S: ArrayLike,
    bounds: tuple[float, float] = (1e-12, 1e6),
) -> PenalizedFit:
    """Fit with the lambda that has the smallest GCV score.

    GCV can have several minima. So log lambda runs over a grid, in steps of at most one half, and
    the best point of the grid is then refined between its neighbors.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design.
    S : array_like, shape (p, p)
        Penalty, symmetric and positive semidefinite.
    bounds : tuple of float
        Smallest and largest lambda, both positive. The default suits x in [0, 1].

    Returns
    -------
    PenalizedFit
        The fit. Its `lam` is at a bound when the score is smallest there: at the upper one, the
        data ask for no more than a straight line.

    Raises
    ------
    ValueError
        As `fit_penalized`, or if the bounds are not positive and increasing.

    References
    ----------
    Wood (2006), section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> import mixedsmooth as ms
    >>> volvo = ms.load_volvo()
    >>> x = (volvo.size - volvo.size.min()) / np.ptp(volvo.size)
    >>> knots = np.arange(1, 8) / 8
    >>> fit = choose_gcv(volvo.wear, spline_basis(x, knots), spline_penalty(knots))
    >>> print(round(np.log(fit.lam), 4), round(fit.edf, 4), round(fit.gcv, 4))
    -6.0545 4.219 0.4503
    """
    lower, upper = (positive("bounds", bound) for bound in bounds)
    if lower >= upper:
        raise ValueError(
            f"bounds must increase, found ({lower:g}, {upper:g}); give (smallest, largest) lambda"
        )
    rows = _penalized_data(y, X, S)
    # lambda = argmin GCV(lambda),  over log lambda
    limits = np.log([lower, upper])
    log_lam = argmin(lambda log_lam: gcv(np.exp(log_lam), *rows), *limits)
    return fit_penalized(*rows, np.exp(log_lam))


@dataclass(frozen=True)
class LambdaPath:
    """Fits for several lambda, one a row.

    Attributes
    ----------
    lam : ndarray, shape (m,)
        Smoothing parameters.
    coef : ndarray, shape (m, p)
        Coefficients. On a grid, ``spline_basis(grid, knots) @ path.coef.T`` has a curve a column.
    fitted : ndarray, shape (m, n)
        Fitted values.
    edf : ndarray, shape (m,)
        Effective degrees of freedom.
    gcv : ndarray, shape (m,)
        Generalized cross-validation scores.
    """

    lam: FloatArray
    coef: FloatArray
    fitted: FloatArray
    edf: FloatArray
    gcv: FloatArray


def lambda_path(
    y: ArrayLike, X: ArrayLike, S: ArrayLike, lams: ArrayLike
) -> LambdaPath:
    """Fit once for each lambda: from a wiggly curve to a straight line.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design.
    S : array_like, shape (p, p)
        Penalty, symmetric and positive semidefinite.
    lams : array_like, shape (m,)
        Smoothing parameters, not negative.

    Returns
    -------
    LambdaPath
        Frozen record of the fits, in the order of `lams`.

    Raises
    ------
    ValueError
        As `fit_penalized`.

    References
    ----------
    Wood (2006), section 3.2.

    Examples
    --------
    >>> x, knots = [0, 0.2, 0.4, 0.6, 0.8, 1], [0.25, 0.5, 0.75]
    >>> X, S = spline_basis(x, knots), spline_penalty(knots)
    >>> print(lambda_path([1, 3, 2, 5, 4, 4], X, S, [0, 1e-3, 1e3]).edf.round(3))
    [5.    3.962 2.   ]
    """
    lams = as_vector("lams", lams)
    rows = _penalized_data(y, X, S)
    fits = [fit_penalized(*rows, lam) for lam in lams]
    return LambdaPath(
        lam=lams,
        coef=np.array([fit.coef for fit in fits]),
        fitted=np.array([fit.fitted for fit in fits]),
        edf=np.array([fit.edf for fit in fits]),
        gcv=np.array([fit.gcv for fit in fits]),
    )


def _penalized_data(
    y: ArrayLike, X: ArrayLike, S: ArrayLike
) -> tuple[Checked, Checked, Checked]:
    """Response, design and penalty, looked at once for many lambda."""
    y = vector("y", y)
    X = matrix("X", X, n=len(y))
    return Checked(y), Checked(X), Checked(penalty_of(X.shape[1], S))


def _determined(augmented: FloatArray, X: FloatArray, lam: float) -> None:
    try:
        full_rank("X", augmented)
    except ValueError:
        raise ValueError(
            f"X, with {len(np.unique(X, axis=0))} distinct rows, and lam = {lam:g} do not "
            f"determine the {X.shape[1]} coefficients; use a larger lam, fewer knots, or an x that "
            "takes more values"
        ) from None


def _distinct(knots: ArrayLike) -> FloatArray:
    z = unit_interval("knots", knots)
    values, counts = np.unique(z, return_counts=True)
    if counts.max() > 1:
        raise ValueError(
            f"knots must be distinct, found {values[counts.argmax()]:g} {counts.max()} times; "
            "give each knot once"
        )
    if values[0] == 0 and values[-1] == 1:
        raise ValueError(
            "knots must not hold both 0 and 1, as R(x, 0) = R(x, 1) for all x; leave one out"
        )
    return z
