"""A smooth is a mixed model: the eigen-split of a penalty (chapter 9).

With the eigenvectors U of S = U D U' the coefficients become U'beta. Those of the eigenvalues zero,
U_F'beta, are not penalized: they are fixed effects. The others, U_R'beta, are scaled by the roots
of their eigenvalues:

    beta_F = U_F' beta,   b = D_+^(1/2) U_R' beta,   beta = U_F beta_F + U_R D_+^(-1/2) b

Then beta' S beta = b'b, and with X_F = X U_F and Z = X U_R D_+^(-1/2) the penalized criterion is

    ||y - X beta||^2 + lambda beta' S beta = ||y - X_F beta_F - Z b||^2 + lambda b'b,

that of a mixed model with b ~ N(0, tau^2 I) and lambda = sigma^2 / tau^2 = 1 / theta^2. So maximum
likelihood, or REML, can choose lambda.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import as_matrix, as_vector, positive
from mixedsmooth._linalg import cholesky, inverse
from mixedsmooth.derivations.data import Checked, without_fit
from mixedsmooth.derivations.design import ROUNDING, eigen, penalty_of, signed
from mixedsmooth.derivations.penalized_ls import solve_penalized
from mixedsmooth.derivations.reml import (
    Method,
    criterion_of,
    residual_variance,
)
from mixedsmooth.derivations.search import argmin

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class EigenSplit:
    """A penalized design as fixed and random columns: made by `eigen_split`.

    Attributes
    ----------
    X_F : ndarray, shape (n, p - r)
        X U_F, columns without a penalty.
    Z : ndarray, shape (n, r)
        X U_R D_+^(-1/2), columns whose coefficients have the penalty b'b.
    map_back : ndarray, shape (p, p)
        [U_F, U_R D_+^(-1/2)]: beta = map_back @ [beta_F; b]. For new points, X_new @ map_back is
        [X_F, Z] there.
    d : ndarray, shape (r,)
        Diagonal of D_+, the positive eigenvalues in falling order.

    Examples
    --------
    >>> split = eigen_split([[1, 0], [1, 1], [1, 2]], [[0, 0], [0, 4]])
    >>> print(np.array([[1, 3]]) @ split.map_back)  # X_F and Z at a new point
    [[1.  1.5]]
    """

    X_F: FloatArray
    Z: FloatArray
    map_back: FloatArray
    d: FloatArray


def eigen_split(
    X: ArrayLike, S: ArrayLike, tolerance: float = ROUNDING
) -> EigenSplit:
    """Split X beta with penalty beta' S beta into X_F beta_F + Z b with penalty b'b.

    Source 1 prints Z = X U_R D_+^(+1/2). The exponent must be -1/2: only then is beta' S beta equal
    to b'b, so that effects of one variance are those of the penalty. `z_as_printed` is the other.

    In each eigenvector the entry of the largest size is made positive, the first of them if several
    are of that size. Eigenvectors of equal eigenvalues, as the zeros, are one orthonormal basis of
    many; the curve and the criteria do not depend on the choice.

    Parameters
    ----------
    X : array_like, shape (n, p)
        Design.
    S : array_like, shape (p, p)
        Penalty, symmetric and positive semidefinite, of rank r.
    tolerance : float
        Eigenvalues below this share of the largest count as zero.

    Returns
    -------
    EigenSplit
        Frozen record with X_F, Z, the map back to beta, and the eigenvalues.

    Raises
    ------
    ValueError
        If a value is not finite, S is not a penalty for X, or S is zero.

    References
    ----------
    Wood (2006), section 6.6; Clark (2016), section Additive model as a mixed model.

    Examples
    --------
    >>> split = eigen_split([[1, 0], [1, 1], [1, 2]], [[0, 0], [0, 4]])
    >>> print(split.X_F.T, split.Z.T, split.d)
    [[1. 1. 1.]] [[0.  0.5 1. ]] [4.]
    """
    X = as_matrix("X", X)
    tolerance = positive("tolerance", tolerance)
    # S = U D U',  D in falling order  (eq-9-eigen)
    # U = [U_R  U_F],  D = [ D_+  0 ]
    #                      [ 0    0 ]
    d, U = eigen(penalty_of(X.shape[1], S), tolerance)
    U = signed(U)
    rank = np.count_nonzero(d)
    if rank == 0:
        raise ValueError(
            "S is zero, so that nothing is penalized and there are no random effects; use least "
            "squares"
        )
    U_R, U_F, d = U[:, :rank], U[:, rank:], d[:rank]
    # beta = U_F beta_F + U_R D_+^(-1/2) b  (eq-9-split)
    map_back = np.column_stack([U_F, U_R / np.sqrt(d)])
    # X_F = X U_F,  Z = X U_R D_+^(-1/2)  (eq-9-split)
    Z = X @ (U_R / np.sqrt(d))
    return EigenSplit(X_F=X @ U_F, Z=Z, map_back=map_back, d=d)


def z_as_printed(X: ArrayLike, S: ArrayLike) -> FloatArray:
    """Source 1's Z = X U_R D_+^(1/2), whose effects do not have the penalty b'b: not for use.

    It is kept to show what the error does. With these columns b'b is beta' U_R D_+^(-1) U_R' beta:
    the directions that S penalizes most are penalized least.

    Parameters
    ----------
    X : array_like, shape (n, p)
        Design.
    S : array_like, shape (p, p)
        Penalty, symmetric and positive semidefinite, of rank r.

    Returns
    -------
    ndarray, shape (n, r)
        The columns of `eigen_split`, each multiplied by its eigenvalue.

    Raises
    ------
    ValueError
        As `eigen_split`.

    References
    ----------
    Clark (2016), section Additive model as a mixed model.

    Examples
    --------
    >>> print(z_as_printed([[1, 0], [1, 1], [1, 2]], [[0, 0], [0, 4]]).T)
    [[0. 2. 4.]]
    """
    split = eigen_split(X, S)
    # as printed: X U_R D_+^(1/2) = Z D_+
    return split.Z * split.d


@dataclass(frozen=True)
class MixedFit:
    """Fit of a smooth as a mixed model.

    Attributes
    ----------
    method : {"ML", "REML"}
        The criterion.
    lam : float
        Smoothing parameter sigma^2 / tau^2; infinite when tau is zero.
    sigma : float
        Residual standard deviation, in the units of y.
    tau : float
        Standard deviation of the random effects b.
    coef : ndarray, shape (p,)
        Coefficients beta of the columns of X.
    fitted : ndarray, shape (n,)
        X beta, in the units of y.
    edf : float
        Effective degrees of freedom, tr((X'X + lambda S)^-1 X'X).
    criterion : float
        Minus twice the (restricted) log-likelihood at the optimum.
    """

    method: Method
    lam: float
    sigma: float
    tau: float
    coef: FloatArray
    fitted: FloatArray
    edf: float
    criterion: float


def fit_mixed(
    y: ArrayLike, X: ArrayLike, S: ArrayLike, method: Method = "REML"
) -> MixedFit:
    """Fit a penalized regression as a mixed model, which chooses lambda = 1 / theta^2 by itself.

    The profiled deviance of y = X_F beta_F + Z b + e, or the restricted one, is minimized over
    log theta: first on a grid, from a smooth part that is next to nothing to one that is next to
    free of the penalty, and then between the neighbors of the best point. The optimum can be at
    theta = 0, the fit without random effects; this is looked at too. The grid is needed: on the
    Volvo data theta = 0 is a second, worse minimum, where a search from theta = 1 ends.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design.
    S : array_like, shape (p, p)
        Penalty, symmetric and positive semidefinite, that leaves a column or more free.
    method : {"ML", "REML"}
        `profiled_deviance` or `restricted_deviance`, with Lambda = theta I. The latter depends on
        the basis of X_F; here U_F is orthonormal.

    Returns
    -------
    MixedFit
        Frozen record of the fit, in terms of beta.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, S is not a penalty for X, all columns are
        penalized, X_F is rank deficient (an x that does not vary), y is without noise, or `method`
        is neither "ML" nor "REML".

    References
    ----------
    Wood (2006), section 6.6; Bates et al. (2015), section 3.4.

    Examples
    --------
    >>> import numpy as np
    >>> import mixedsmooth as ms
    >>> from mixedsmooth.derivations.spline import spline_basis, spline_penalty
    >>> volvo = ms.load_volvo()
    >>> x = (volvo.size - volvo.size.min()) / np.ptp(volvo.size)
    >>> knots = np.arange(1, 8) / 8
    >>> fit = fit_mixed(volvo.wear, spline_basis(x, knots), spline_penalty(knots), "REML")
    >>> print(round(fit.sigma, 4), round(fit.tau, 3), round(fit.criterion, 6))
    0.5924 12.0 38.513576
    """
    y = as_vector("y", y)
    X = as_matrix("X", X, n=len(y))
    criterion_of_theta = criterion_of(method)
    split = eigen_split(X, S)
    X_F, Z = split.X_F, split.Z
    _free_columns(X_F)
    beta_0, residual = without_fit(y, X_F, "columns without a penalty")
    rows = Checked(residual), Checked(X_F), Checked(Z)

    def criterion(theta: float) -> float:
        # the profiled deviance (eq-9-ml) or the restricted one (eq-9-reml)
        return criterion_of_theta(theta, *rows)

    # theta = argmin d(theta); the largest eigenvalue of theta^2 Z Z' goes from 1e-8 to 1e12
    size = np.log(np.linalg.norm(Z, ord=2))
    lower, upper = np.log(1e-4) - size, np.log(1e6) - size
    log_theta = argmin(
        lambda log_theta: criterion(np.exp(log_theta)), lower, upper
    )
    if log_theta > upper - 1e-3:
        raise ValueError(
            "y has no noise that the smooth part leaves over, so that lambda goes to zero; use "
            "fit_penalized with lam=0, or fewer columns"
        )
    theta = float(np.exp(log_theta))
    # is zero as good, to rounding errors?
    if criterion(0.0) <= criterion(theta) + 1e-13 * abs(criterion(theta)):
        theta = 0.0
    solution = solve_penalized(*rows, theta)
    # beta = U_F beta_F + U_R D_+^(-1/2) b  (eq-9-split)
    beta_F = beta_0 + solution.beta
    coef = split.map_back @ np.concatenate([beta_F, solution.b])
    sigma = float(np.sqrt(residual_variance(solution, method)))
    return MixedFit(
        method=method,
        # lambda = sigma^2 / tau^2 = 1 / theta^2  (eq-9-model)
        lam=1 / theta**2 if theta > 0 else np.inf,
        sigma=sigma,
        tau=theta * sigma,
        coef=coef,
        fitted=X @ coef,
        edf=_edf(X_F, theta * Z),
        criterion=criterion(theta),
    )


def _edf(X_F: FloatArray, ZLambda: FloatArray) -> float:
    """Effective degrees of freedom of the fixed and the shrunken columns."""
    # EDF = tr((W'W + P)^-1 W'W)  (eq-9-edf)
    # W = [X_F  theta Z],  P = [ 0  0 ]
    #                          [ 0  I ]
    W = np.column_stack([X_F, ZLambda])
    P = np.diag(np.repeat([0.0, 1.0], [X_F.shape[1], ZLambda.shape[1]]))
    C_inverse = inverse(cholesky(W.T @ W + P))
    return float(np.sum(C_inverse * (W.T @ W)))


def _free_columns(X_F: FloatArray) -> None:
    """Raise unless there are columns without a penalty, and the data determine them."""
    columns = X_F.shape[1]
    if columns == 0:
        raise ValueError(
            "S penalizes all columns of X: the mixed model needs one that is free, such as an "
            "intercept; add it to X, with a row and a column of zeros to S"
        )
    rank = int(np.linalg.matrix_rank(X_F))
    if rank < columns:
        raise ValueError(
            f"X determines {rank} of the {columns} coefficients without a penalty; is x constant?"
        )
