"""A little dense linear algebra that derivations and engine share."""

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def positive_diagonal(L: FloatArray) -> FloatArray:
    """Turn the columns of a lower triangular factor so that its diagonal is not negative.

    A factor of a covariance matrix is known up to the signs of its columns: L L' does not see them.

    Parameters
    ----------
    L : ndarray, shape (k, k)
        Lower triangular.

    Returns
    -------
    ndarray, shape (k, k)
        L with some columns times -1.

    Examples
    --------
    >>> print(positive_diagonal(np.array([[-2.0, 0.0], [1.0, 3.0]])))
    [[ 2.  0.]
     [-1.  3.]]
    """
    return L * np.where(np.diag(L) < 0, -1.0, 1.0)


def cholesky(V: FloatArray, complaint: str = "") -> FloatArray:
    """Lower triangular L with L L' = V.

    Parameters
    ----------
    V : ndarray, shape (n, n)
        Symmetric; the upper triangle is not read.
    complaint : str
        What to say if V is not positive definite; without it, just that.

    Returns
    -------
    ndarray, shape (n, n)
        L.

    Raises
    ------
    ValueError
        If V is not positive definite.

    Examples
    --------
    >>> print(cholesky(np.array([[4.0, 2.0], [2.0, 5.0]])))
    [[2. 0.]
     [1. 2.]]
    """
    try:
        return scipy.linalg.cholesky(V, lower=True)  # type: ignore[no-any-return]
    except (np.linalg.LinAlgError, ValueError):
        n = len(V)
        raise ValueError(
            complaint or f"V must be a positive definite {n} x {n} matrix, and this one is not"
        ) from None


def inverse(L: FloatArray) -> FloatArray:
    """(L L')^-1 from its factor: the covariance of estimates whose precision is L L'.

    Parameters
    ----------
    L : ndarray, shape (k, k)
        Lower triangular, without a zero on the diagonal.

    Returns
    -------
    ndarray, shape (k, k)
        The inverse, symmetric.

    Examples
    --------
    >>> print(inverse(np.array([[2.0, 0.0], [0.0, 0.5]])))
    [[0.25 0.  ]
     [0.   4.  ]]
    """
    return scipy.linalg.cho_solve((L, True), np.eye(len(L)))  # type: ignore[no-any-return]


def log_det(L: FloatArray) -> float:
    """log|L L'| of a triangular factor, whatever the signs on its diagonal.

    Parameters
    ----------
    L : ndarray, shape (k, k)
        Triangular, without a zero on the diagonal.

    Returns
    -------
    float
        The logarithm of the determinant.

    Examples
    --------
    >>> log_det(np.eye(3))
    0.0
    """
    return 2 * float(np.log(np.abs(np.diag(L))).sum())


def solve_lower(L: FloatArray, B: FloatArray, transposed: bool = False) -> FloatArray:
    """L^-1 B for a lower triangular L.

    Parameters
    ----------
    L : ndarray, shape (k, k)
        Lower triangular, without a zero on the diagonal.
    B : ndarray, shape (k,) or (k, m)
        Right-hand sides.

    Returns
    -------
    ndarray, shape (k,) or (k, m)
        The solutions.

    Examples
    --------
    >>> print(solve_lower(np.array([[2.0, 0.0], [1.0, 2.0]]), np.array([2.0, 3.0])))
    [1. 1.]
    """
    return scipy.linalg.solve_triangular(  # type: ignore[no-any-return]
        L, B, trans=int(transposed), lower=True
    )


def least_squares(X: FloatArray, y: FloatArray) -> FloatArray:
    """Coefficients of y on the columns of X, by X = Q R.

    Parameters
    ----------
    X : ndarray, shape (n, p)
        Design, of full column rank.
    y : ndarray, shape (n,)
        Response.

    Returns
    -------
    ndarray, shape (p,)
        The coefficients.

    Examples
    --------
    >>> print(least_squares(np.array([[1.0], [1.0]]), np.array([1.0, 3.0])))
    [2.]
    """
    Q, R = np.linalg.qr(X)
    return scipy.linalg.solve_triangular(R, Q.T @ y)  # type: ignore[no-any-return]
