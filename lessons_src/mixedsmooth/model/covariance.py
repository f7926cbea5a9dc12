"""Covariances of the random effects of one level: small types in place of flags (chapter 6).

The k effects of a level have the covariance sigma^2 T T'. A type says which entries of the lower
triangular T are parameters, and what follows from that: how they are packed into theta, how a
derivative by T becomes one by theta, and where a search begins.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Entries = tuple[NDArray[np.intp], NDArray[np.intp]]


@dataclass(frozen=True)
class Covariance:
    """T whose parameters are some of its entries; theta has them column by column, as in lme4.

    Attributes
    ----------
    k : int
        Effects of a level.

    Examples
    --------
    >>> T = Full(2).unpack(np.array([1.0, 2.0, 3.0]))
    >>> print(T, Full(2).pack(T))
    [[1. 0.]
     [2. 3.]] [1. 2. 3.]
    """

    k: int

    @property
    def entries(self) -> Entries:
        """Rows and columns of the parameters in T."""
        raise NotImplementedError

    @property
    def size(self) -> int:
        """Number of parameters."""
        return len(self.entries[0])

    @property
    def columns(self) -> int:
        """Columns of T that can vanish one by one: the variances that may be zero."""
        return self.k

    def unpack(self, theta: FloatArray) -> FloatArray:
        """T from its parameters: of shape (..., k, k) from theta of shape (..., size)."""
        T = np.zeros((*theta.shape[:-1], self.k, self.k))
        T[..., *self.entries] = theta
        return T

    def pack(self, T: FloatArray) -> FloatArray:
        """Parameters of T: the inverse of `unpack`."""
        return np.asarray(T[..., *self.entries])

    def slope(self, by_T: FloatArray) -> FloatArray:
        """Return derivatives by the parameters, from derivatives by all entries of T."""
        return self.pack(by_T)

    def ratio(self, squares: FloatArray, edf: FloatArray) -> FloatArray:
        """Squares and products of the effects, over their degrees of freedom: I at the optimum."""
        raise NotImplementedError

    def degrees(self, edf: FloatArray) -> FloatArray:
        """Degrees of freedom that each diagonal entry of T rests on."""
        return edf


@dataclass(frozen=True)
class Full(Covariance):
    """T is a full lower triangle: any variances and correlations.

    Examples
    --------
    >>> Full(2).size, Full(3).size
    (3, 6)
    >>> squares, edf = np.array([[8.0, 2.0], [2.0, 2.0]]), np.array([2.0, 2.0])
    >>> print(Full(2).ratio(squares, edf))
    [[4. 1.]
     [1. 1.]]
    """

    @property
    def entries(self) -> Entries:
        """The lower triangle."""
        # T = [theta_1 0; theta_2 theta_3]  (eq-6-template)
        return _lower(self.k)

    def ratio(self, squares: FloatArray, edf: FloatArray) -> FloatArray:
        """All squares and products."""
        return np.asarray(squares / np.sqrt(np.outer(edf, edf)))


@dataclass(frozen=True)
class Diagonal(Covariance):
    """T is diagonal: a variance for each effect, and no correlation.

    Examples
    --------
    >>> print(Diagonal(2).unpack(np.array([1.0, 3.0])))
    [[1. 0.]
     [0. 3.]]
    >>> print(Diagonal(2).ratio(np.array([[8.0, 2.0], [2.0, 2.0]]), np.array([2.0, 2.0])))
    [[4. 0.]
     [0. 1.]]
    """

    @property
    def entries(self) -> Entries:
        """The diagonal."""
        return _diagonal(self.k)

    def ratio(self, squares: FloatArray, edf: FloatArray) -> FloatArray:
        """Take the squares alone."""
        return np.diag(np.diag(squares) / edf)


@dataclass(frozen=True)
class Scalar(Covariance):
    """T = theta I: one variance for all effects, as for the random part of a smooth.

    Examples
    --------
    >>> print(Scalar(2).unpack(np.array([3.0])))
    [[3. 0.]
     [0. 3.]]
    >>> Scalar(2).slope(np.array([[1.0, 9.0], [2.0, 3.0]]))
    array([4.])
    >>> print(Scalar(2).ratio(np.array([[8.0, 2.0], [2.0, 2.0]]), np.array([2.0, 3.0])))
    [[2. 0.]
     [0. 2.]]
    """

    @property
    def entries(self) -> Entries:
        """One entry stands for all."""
        return _diagonal(1)

    @property
    def columns(self) -> int:
        """All columns vanish together."""
        return 1

    def unpack(self, theta: FloatArray) -> FloatArray:
        """Theta I."""
        return np.diag(np.repeat(theta, self.k))

    def slope(self, by_T: FloatArray) -> FloatArray:
        """Sum of the derivatives by the diagonal of T."""
        return np.atleast_1d(np.trace(by_T))

    def ratio(self, squares: FloatArray, edf: FloatArray) -> FloatArray:
        """Take the sum of the squares."""
        return np.diag(np.full(self.k, np.trace(squares) / edf.sum()))

    def degrees(self, edf: FloatArray) -> FloatArray:
        """All of them, for each entry."""
        return np.full_like(edf, edf.sum())


@cache
def _lower(k: int) -> Entries:
    columns, rows = np.triu_indices(k)
    return rows.astype(np.intp), columns.astype(np.intp)


@cache
def _diagonal(k: int) -> Entries:
    return np.arange(k), np.arange(k)


def unpack(theta: FloatArray, covariances: Sequence[Covariance]) -> list[FloatArray]:
    """Return the T of each term.

    Parameters
    ----------
    theta : ndarray, shape (..., d)
        All parameters, one term after the other.
    covariances : sequence of Covariance
        Those of the terms.

    Returns
    -------
    list of ndarray, each of shape (..., k, k)
        Lower triangular matrices.

    Examples
    --------
    >>> print(unpack(np.array([1.0, 2.0, 3.0]), [Full(2)])[0])
    [[1. 0.]
     [2. 3.]]
    """
    T, at = [], 0
    for covariance in covariances:
        T.append(covariance.unpack(theta[..., at : at + covariance.size]))
        at += covariance.size
    return T


def pack(T: Sequence[FloatArray], covariances: Sequence[Covariance]) -> FloatArray:
    """Return theta, the parameters of each T: the inverse of `unpack`.

    Parameters
    ----------
    T : sequence of ndarray, each of shape (..., k, k)
        Matrices, of which the entries that are no parameters are left out.
    covariances : sequence of Covariance
        Those of the terms.

    Returns
    -------
    ndarray, shape (..., d)
        theta.

    Examples
    --------
    >>> print(pack([np.array([[1.0, 9.0], [2.0, 3.0]])], [Full(2)]))
    [1. 2. 3.]
    """
    entries = [c.pack(T_f) for c, T_f in zip(covariances, T, strict=True)]
    return np.concatenate(entries, axis=-1) if entries else np.empty(0)


def pack_slopes(by_T: Sequence[FloatArray], covariances: Sequence[Covariance]) -> FloatArray:
    """Return derivatives by theta from derivatives by the entries of each T.

    Parameters
    ----------
    by_T : sequence of ndarray, each of shape (k, k)
        Derivatives.
    covariances : sequence of Covariance
        Those of the terms.

    Returns
    -------
    ndarray
        One derivative for each parameter.

    Examples
    --------
    >>> print(pack_slopes([np.array([[1.0, 9.0], [2.0, 3.0]])], [Scalar(2)]))
    [4.]
    """
    entries = (c.slope(S) for c, S in zip(covariances, by_T, strict=True))
    return np.concatenate([np.empty(0), *entries])
