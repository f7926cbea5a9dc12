"""Checks of what a user passes in: each names the argument, what was found and what to do."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


def as_vector(name: str, values: ArrayLike, n: int | None = None) -> FloatArray:
    """Return `values` as a vector of n finite floats, or say what is wrong with it.

    Parameters
    ----------
    name : str
        What the caller's user knows the argument as.
    values : array_like, shape (n,)
        Numbers.
    n : int, optional
        The length that the other arguments have.

    Returns
    -------
    ndarray, shape (n,)
        A float64 array; the input itself when it is one already.

    Raises
    ------
    ValueError
        If `values` are not numbers, not one-dimensional, empty, of another length, or not finite.

    Examples
    --------
    >>> as_vector("x", [1, 2, 3])
    array([1., 2., 3.])
    """
    vector = _as_floats(name, values)
    if vector.ndim != 1 or vector.size == 0:
        raise ValueError(
            f"{name} must be a vector with one number a row, found shape {vector.shape}"
        )
    _same_length(name, vector.shape[0], n)
    _finite(name, vector)
    return vector


def for_each_row(name: str, values: ArrayLike, n: int) -> FloatArray:
    """Return `values` as a vector of n finite numbers; one number stands for all rows.

    Parameters
    ----------
    name : str
        What the caller's user knows the argument as.
    values : array_like, shape (n,), or float
        The data to look at.
    n : int
        Number of rows.

    Returns
    -------
    ndarray, shape (n,)
        The vector.

    Raises
    ------
    ValueError
        As `as_vector`.

    Examples
    --------
    >>> for_each_row("trials", 5, 3)
    array([5., 5., 5.])
    """
    return as_vector(name, np.full(n, values) if np.ndim(values) == 0 else values, n)


def as_matrix(name: str, values: ArrayLike, n: int | None = None) -> FloatArray:
    """Return `values` as an n x k matrix of finite floats, or say what is wrong with it.

    Parameters
    ----------
    name : str
        What the caller's user knows the argument as.
    values : array_like, shape (n, k)
        Numbers.
    n : int, optional
        The number of rows that the other arguments have.

    Returns
    -------
    ndarray, shape (n, k)
        A float64 array; the input itself when it is one already.

    Raises
    ------
    ValueError
        If `values` are not numbers, not two-dimensional, empty, of another length, or not finite.

    Examples
    --------
    >>> as_matrix("X", [[1, 0], [1, 1]]).shape
    (2, 2)
    """
    matrix = _as_floats(name, values)
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(
            f"{name} must be a matrix (rows x columns), found shape {matrix.shape}; "
            f"write one column as {name}[:, None]"
        )
    _same_length(name, matrix.shape[0], n)
    _finite(name, matrix)
    return matrix


def as_labels(name: str, values: ArrayLike, n: int | None = None) -> NDArray[Any]:
    """Return `values` as a vector of labels, one a row, none of them missing.

    Parameters
    ----------
    name : str
        What the caller's user knows the argument as.
    values : array_like, shape (n,)
        Strings or numbers that name groups.
    n : int, optional
        The length that the other arguments have.

    Returns
    -------
    ndarray, shape (n,)
        Labels that sort: strings, or numbers if all are numbers.

    Raises
    ------
    ValueError
        If the labels are not one-dimensional, empty, of another length, missing (None or NaN), or
        a mixture of text and numbers.

    Examples
    --------
    >>> as_labels("group", ["a", "b", "a"])
    array(['a', 'b', 'a'], dtype='<U1')
    """
    labels = np.asarray(values)
    if labels.ndim != 1 or labels.size == 0:
        raise ValueError(
            f"{name} must be a vector with one label a row, found shape {labels.shape}"
        )
    _same_length(name, labels.shape[0], n)
    if labels.dtype == object:
        missing = np.array([_is_missing(label) for label in labels])
    elif np.issubdtype(labels.dtype, np.floating):
        missing = ~np.isfinite(labels)
    else:
        missing = np.zeros(labels.shape, dtype=bool)
    if missing.any():
        raise ValueError(
            f"{name} has {missing.sum()} missing label(s), the first in row "
            f"{int(np.argmax(missing))}; drop these rows or give the group a name"
        )
    if labels.dtype == object:
        kinds = {isinstance(label, str) for label in labels}
        if len(kinds) > 1:
            raise ValueError(f"{name} mixes text and numbers; make all labels text with str()")
        labels = labels.astype(str) if kinds == {True} else np.array(labels.tolist())
    return labels


def positive(name: str, value: float) -> float:
    """Return `value` as a float if it is finite and above zero.

    Parameters
    ----------
    name : str
        What the caller's user knows the argument as.
    value : float
        The number to look at.

    Returns
    -------
    float
        The number.

    Raises
    ------
    ValueError
        If it is zero, negative, infinite or NaN.

    Examples
    --------
    >>> positive("sigma", 2)
    2.0
    """
    number = float(value)
    if not np.isfinite(number) or number <= 0:
        raise ValueError(f"{name} must be a finite number above zero, found {value}")
    return number


def node_count(nodes: int) -> int:
    """Return a number of quadrature nodes if it is one.

    Parameters
    ----------
    nodes : int
        The number to look at.

    Returns
    -------
    int
        The number.

    Raises
    ------
    ValueError
        If it is not a whole number from 1 to 100.

    Examples
    --------
    >>> node_count(25)
    25
    """
    found = as_vector("nodes", np.atleast_1d(nodes))
    if len(found) != 1 or found[0] != int(found[0]) or not 1 <= found[0] <= 100:
        raise ValueError(f"nodes must be a whole number from 1 to 100, found {nodes!r}")
    return int(found[0])


def full_rank(name: str, X: FloatArray, labels: Sequence[str] | None = None) -> None:
    """Raise unless the columns of `X` are linearly independent, and name those that are not.

    Parameters
    ----------
    name : str
        What the caller's user knows the matrix as.
    X : ndarray, shape (n, p)
        The matrix.
    labels : sequence of str, optional
        Column names for the message; counted from 0 without.

    Raises
    ------
    ValueError
        If a column is, to working precision, a combination of the others.

    Examples
    --------
    >>> import numpy as np
    >>> full_rank("X", np.eye(3))
    """
    scale = np.linalg.norm(X, axis=0)
    scale[scale == 0] = 1.0  # a zero column stays zero, and is found below
    R, pivot = scipy.linalg.qr(X / scale, mode="r", pivoting=True)
    size = np.abs(np.diag(R))
    rank = int(np.sum(size > size[0] * max(X.shape) * np.finfo(float).eps)) if size[0] > 0 else 0
    if rank < X.shape[1]:
        names = labels if labels is not None else [str(j) for j in range(X.shape[1])]
        redundant = ", ".join(names[j] for j in sorted(pivot[rank:]))
        raise ValueError(
            f"{name} has {X.shape[1]} columns but rank {rank}: column(s) {redundant} are "
            "combinations of the others; leave them out"
        )


def _is_missing(label: Any) -> bool:
    """Tell None, NaN, which is not equal to itself, and pandas' NA, which does not say."""
    try:
        return label is None or bool(label != label)
    except TypeError:
        return True


def _as_floats(name: str, values: ArrayLike) -> FloatArray:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must hold numbers only, found {values!r:.80}") from None


def _same_length(name: str, found: int, wanted: int | None) -> None:
    if wanted is not None and found != wanted:
        raise ValueError(
            f"{name} has {found} rows where the other arguments have {wanted}; "
            "give one row for each observation"
        )


def _finite(name: str, values: FloatArray) -> None:
    bad = ~np.isfinite(values)
    if bad.any():
        row = int(np.argwhere(bad)[0, 0])
        raise ValueError(
            f"{name} has {bad.sum()} value(s) that are NaN or infinite, the first in row {row}; "
            "drop these rows or fill them in"
        )
