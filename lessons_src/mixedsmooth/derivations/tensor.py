"""Surfaces as products of smooths, and coefficients that vary (chapter 12).

A basis of a surface has as its columns all products of one column of each margin. Each margin is
split first, by its penalty: into X_j, a constant and a line, and Z_j, which bends and has the
penalty b'b. Then the products are of four kinds,

    X_1 x X_2   free              Z_1 x X_2   bends in the first
    X_1 x Z_2   bends in the second   Z_1 x Z_2   bends in both

and each kind but the first has a variance of its own: a mixed model with three of them. Below are
the split, the products, the fit, and, to see what separate variances are for, the penalty with one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import as_vector
from mixedsmooth._linalg import cholesky, inverse, least_squares
from mixedsmooth.derivations.data import matrix
from mixedsmooth.derivations.design import penalty_of
from mixedsmooth.derivations.eigensplit import eigen_split
from mixedsmooth.derivations.reml import Method, fit_profiled

FloatArray = NDArray[np.float64]


# ---- from two margins to a surface ----


def rowwise_kronecker(B_1: ArrayLike, B_2: ArrayLike) -> FloatArray:
    """All products of a column of one design and a column of another.

    Parameters
    ----------
    B_1 : array_like, shape (n, k_1)
        A design.
    B_2 : array_like, shape (n, k_2)
        Another, for the same rows.

    Returns
    -------
    ndarray, shape (n, k_1 k_2)
        The products; the column of B_2 changes fastest.

    Raises
    ------
    ValueError
        If lengths differ or a value is not finite.

    References
    ----------
    Wood (2006), section 4.1.8.

    Examples
    --------
    >>> print(rowwise_kronecker([[1, 2], [3, 4]], [[1, 10], [1, 10]]))
    [[ 1. 10.  2. 20.]
     [ 3. 30.  4. 40.]]
    """
    B_1 = matrix("B_1", B_1)
    B_2 = matrix("B_2", B_2, n=len(B_1))
    # B[i] = B_1[i] kron B_2[i]  (eq-term-rowkron)
    return (B_1[:, :, None] * B_2[:, None, :]).reshape(len(B_1), -1)


@dataclass(frozen=True)
class Margin:
    """A penalized design, split: made by `margin`.

    Attributes
    ----------
    X : ndarray, shape (n, m)
        Columns without a penalty; the first is constant.
    Z : ndarray, shape (n, r)
        Columns whose coefficients have the penalty b'b.
    """

    X: FloatArray
    Z: FloatArray


def margin(B: ArrayLike, S: ArrayLike) -> Margin:
    """Split a penalized design of one covariate into a constant, lines, and what bends.

    In a surface the constant and the line of one margin share a variance, each times what bends
    along the other. So their sizes matter. Here they are those of mgcv. Of the orthonormal bases of
    the null space that one is taken whose columns, but for the first, are zero in the first
    coefficient; each of them gets mean square 1 over the rows; then they are turned until one is
    constant.

    Parameters
    ----------
    B : array_like, shape (n, k)
        Columns of a basis.
    S : array_like, shape (k, k)
        Its penalty, which leaves constants free.

    Returns
    -------
    Margin
        The two parts; all entries of Z together have mean square 1.

    Raises
    ------
    ValueError
        If a value is not finite, S is not a penalty for B, or it is zero or penalizes constants.

    References
    ----------
    Wood, Scheipl and Faraway (2013), Statistics and Computing 23, section 3.1.

    Examples
    --------
    >>> part = margin([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    >>> print(part.Z.T.round(4))  # a constant and a line are free; this is at right angles to them
    [[-0.7071  1.4142 -0.7071]]
    """
    split = eigen_split(B, S)
    B = matrix("B", B)
    _free_constant(split.X_F)
    U_F = split.map_back[:, : split.X_F.shape[1]]
    # X_j = B_j U_F,  Z_j = B_j U_R D_+^(-1/2)  (eq-term-margins)
    lines = B @ _zero_at_first(U_F)
    lines = lines / _root_mean_square(lines, axis=0)
    # lines a = 1: turned so that the first is constant
    X = lines @ _turned_to(least_squares(lines, np.ones(len(B))))
    return Margin(X=X, Z=split.Z / _root_mean_square(split.Z))


def _free_constant(X_F: FloatArray) -> None:
    """Raise unless a combination of the columns without a penalty is constant."""
    ones = np.ones(len(X_F))
    if X_F.shape[1] == 0 or not np.allclose(
        X_F @ least_squares(X_F, ones), ones, rtol=0, atol=1e-8
    ):
        raise ValueError(
            "S penalizes constants, and a surface needs a margin with a constant in it; "
            "use a penalty that leaves them free"
        )


def _zero_at_first(U: FloatArray) -> FloatArray:
    """Orthonormal columns turned so that all but the first are zero in the first row."""
    return U @ _turned_to(U[0])


def _turned_to(a: FloatArray) -> FloatArray:
    """Orthogonal matrix whose first column has the direction of a."""
    Q, R = scipy.linalg.qr(a[:, None])
    Q[:, 0] *= np.sign(R[0, 0])
    return np.asarray(Q, dtype=np.float64)


def _root_mean_square(
    columns: FloatArray, axis: int | None = None
) -> FloatArray:
    return np.asarray(np.sqrt(np.mean(columns**2, axis=axis)))


@dataclass(frozen=True)
class Designs:
    """One design for what is free, and one for each variance.

    Attributes
    ----------
    X : ndarray, shape (n, p)
        Columns without a penalty.
    Z : tuple of ndarray, each of shape (n, q_j)
        Blocks of columns; the coefficients of a block have the penalty b'b and a variance.
    """

    X: FloatArray
    Z: tuple[FloatArray, ...]


def surface(first: Margin, second: Margin) -> Designs:
    """Multiply two margins: free products, and three blocks with a variance each.

    Parameters
    ----------
    first, second : Margin
        Margins of two covariates, for the same rows.

    Returns
    -------
    Designs
        X is the intercept and the free products, which sum to zero over the rows. Z is what bends
        in both covariates, in the second alone, and in the first alone: the order of mgcv's ``t2``.

    Raises
    ------
    ValueError
        If the margins have different numbers of rows.

    References
    ----------
    Wood, Scheipl and Faraway (2013), Statistics and Computing 23, section 3.2.

    Examples
    --------
    >>> part = margin([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    >>> designs = surface(part, part)
    >>> designs.X.shape, [block.shape for block in designs.Z]
    ((3, 4), [(3, 1), (3, 2), (3, 2)])
    """
    # f = (X_1 x X_2) beta + (Z_1 x Z_2) b + (X_1 x Z_2) b' + (Z_1 x X_2) b''
    # b, b' and b'' have a variance each  (eq-term-blocks)
    free = rowwise_kronecker(first.X, second.X)
    bends = (
        rowwise_kronecker(first.Z, second.Z),
        rowwise_kronecker(first.X, second.Z),
        rowwise_kronecker(first.Z, second.X),
    )
    # one of the products is constant: an intercept, and beside it free Z_c
    # with 1' free Z_c = 0  (eq-10-zero)
    Z_c = _turned_to(free.sum(axis=0))[:, 1:]
    return Designs(np.column_stack([np.ones(len(free)), free @ Z_c]), bends)


def summed_penalty(S_1: ArrayLike, S_2: ArrayLike) -> FloatArray:
    """Penalty with one variance: what bends in the first covariate plus what bends in the second.

    Bends are measured in the units of each covariate, so their sum depends on these: with x in
    centimeters and not in meters, the integral of f_xx^2 is 1e-6 of what it was. One smoothing
    parameter cannot make up for it.

    Parameters
    ----------
    S_1 : array_like, shape (k_1, k_1)
        Penalty of the first margin.
    S_2 : array_like, shape (k_2, k_2)
        Penalty of the second.

    Returns
    -------
    ndarray, shape (k_1 k_2, k_1 k_2)
        Penalty of the columns that `rowwise_kronecker` makes.

    Raises
    ------
    ValueError
        If a value is not finite or a matrix is not square.

    References
    ----------
    Wood (2006), section 4.1.8, which has two smoothing parameters for the two parts.

    Examples
    --------
    >>> print(summed_penalty([[1, -1], [-1, 1]], [[2]]))
    [[ 3. -1.]
     [-1.  3.]]
    """
    S_1, S_2 = matrix("S_1", S_1), matrix("S_2", S_2)
    k_1, k_2 = len(S_1), len(S_2)
    penalty_of(k_1, S_1), penalty_of(k_2, S_2)
    # S = S_1 kron I + I kron S_2
    return np.asarray(np.kron(S_1, np.eye(k_2)) + np.kron(np.eye(k_1), S_2))


# ---- a coefficient that varies ----


def varying(c: ArrayLike, level: Margin, slope: Margin) -> Designs:
    """Let the coefficient of c be a smooth of another covariate, beside a smooth of that alone.

    Parameters
    ----------
    c : array_like, shape (n,)
        The covariate whose coefficient varies.
    level, slope : Margin
        Margins of the other covariate, for f_0 and f_1 in y = f_0(x) + c f_1(x) + e.

    Returns
    -------
    Designs
        X holds the free columns of f_0, and c times those of f_1, and so c itself: the mean of the
        coefficient is free. Z has a block for each curve.

    Raises
    ------
    ValueError
        If lengths differ or a value is not finite.

    References
    ----------
    Hastie and Tibshirani (1993), Journal of the Royal Statistical Society B 55, 757-796.

    Examples
    --------
    >>> part = margin([[1, 0, 0], [0, 1, 0], [0, 0, 1]], [[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    >>> print(varying([1, 0, 2], part, part).Z[1].T.round(4))
    [[-0.7071  0.     -1.4142]]
    """
    c = as_vector("c", c, n=len(slope.X))[:, None]
    # y = f_0(x) + c f_1(x) + e  (eq-term-varying)
    X = np.column_stack([level.X, c * slope.X])
    return Designs(X, (level.Z, c * slope.Z))


# ---- the fit ----


@dataclass(frozen=True)
class BlockFit:
    """Fit of a model with a variance for each block of columns.

    Attributes
    ----------
    method : {"ML", "REML"}
        The criterion.
    theta : ndarray
        tau / sigma of each block; a zero is a result.
    sigma : float
        Residual standard deviation, in the units of y.
    fitted : ndarray, shape (n,)
        X beta + Z b, in the units of y.
    edf : ndarray
        Effective degrees of freedom of each block; each column of X has one more.
    criterion : float
        Minus twice the (restricted) log-likelihood at the optimum.
    """

    method: Method
    theta: FloatArray
    sigma: float
    fitted: FloatArray
    edf: FloatArray
    criterion: float


def fit_blocks(
    y: ArrayLike,
    designs: Designs,
    method: Method = "REML",
    start: Sequence[float] | None = None,
) -> BlockFit:
    """Fit y = X beta + Z_1 b_1 + Z_2 b_2 + ... + error with a variance for each block.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    designs : Designs
        X and the blocks.
    method : {"ML", "REML"}
        Which likelihood.
    start : sequence of float, optional
        The theta to start from, one for each block; 1 for all of them if it is not given.

    Returns
    -------
    BlockFit
        Frozen record of the fit.

    Raises
    ------
    ValueError
        As `fit_profiled`, or if `start` has not one number for each block.

    References
    ----------
    Wood, Scheipl and Faraway (2013), Statistics and Computing 23, section 4.

    Examples
    --------
    This surface bends along x.

    >>> import numpy as np
    >>> from mixedsmooth.derivations.spline import spline_basis, spline_penalty
    >>> grid = np.arange(7) / 6
    >>> x, z = np.repeat(grid, 7), np.tile(grid, 7)
    >>> y = np.sin(6 * x) + z + 0.1 * np.cos(37 * np.arange(49))
    >>> knots = np.array([0.2, 0.5, 0.8])
    >>> of_x, of_z = (margin(spline_basis(v, knots), spline_penalty(knots)) for v in (x, z))
    >>> fit = fit_blocks(y, surface(of_x, of_z))
    >>> print(fit.theta.round(2), fit.edf.round(2), round(fit.sigma, 3))
    [ 0.63  0.53 11.38] [5.72 3.73 5.98] 0.033
    """
    sizes = [block.shape[1] for block in designs.Z]
    Z = np.column_stack(designs.Z)

    def template(theta: FloatArray) -> FloatArray:
        # Lambda = diag(theta_1 I, theta_2 I, ...)
        return np.diag(np.repeat(np.abs(theta), sizes))

    begin = as_vector(
        "start", np.ones(len(sizes)) if start is None else start
    )
    if len(begin) != len(sizes):
        raise ValueError(
            f"start has {len(begin)} numbers, and there are {len(sizes)} blocks; "
            "give one theta for each"
        )
    fit = fit_profiled(y, designs.X, Z, template, method, begin)
    # EDF = diagonal of (W'W + P)^-1 W'W  (eq-9-edf),  W = [X  Z Lambda]
    # P has a one for each column of Z
    W = np.column_stack([designs.X, Z @ fit.Lambda])
    p = designs.X.shape[1]
    P = np.diag(np.repeat([0.0, 1.0], [p, Z.shape[1]]))
    C_inverse = inverse(cholesky(W.T @ W + P))
    of_column = np.sum(C_inverse * (W.T @ W), axis=1)[p:]
    return BlockFit(
        method=method,
        theta=np.abs(fit.theta),
        sigma=fit.sigma,
        fitted=designs.X @ fit.beta + Z @ fit.b,
        edf=np.add.reduceat(of_column, np.cumsum([0, *sizes[:-1]])),
        criterion=fit.criterion,
    )
