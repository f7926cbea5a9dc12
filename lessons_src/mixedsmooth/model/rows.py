"""Rows with missing values: which there are, and columns of any kind without them.

columns by name -> missing_in -> rows_of -> Rows -> take(column, rows.used)
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import (
    MissingValuesError,
    as_vector,
    choice,
    for_each_row,
    levels_and_codes,
    locked,
    missing_in,
)

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
Mask = NDArray[np.bool_]
Missing = Literal["error", "drop"]
Column = tuple[NDArray[Any], NDArray[Any] | None]  # numbers, or codes and their levels

Check = Callable[[str, ArrayLike, int | None], Column]  # reads one that is complete

SHOWN = 5  # rows that a message names
_LENGTH = "{} has {} rows where the other arguments have {}; give one row for each observation"


@dataclass(frozen=True, eq=False)
class Rows:
    """Which rows of the data a model uses, and why not the others.

    Attributes
    ----------
    used : ndarray of int
        Their positions, in order. Read-only.
    total : int
        How many rows the data have.
    missing : mapping of str to int
        How many values are missing, of the columns that miss some.
    index : pandas.Index or None
        Names of all rows, where the response is a column of pandas.

    Examples
    --------
    >>> in_y, in_g = np.array([False, False, True]), np.array([False, True, True])
    >>> rows = rows_of({"y": in_y, "g": in_g}, "drop")
    >>> rows.used, rows.total, rows.missing
    (array([0]), 3, {'y': 1, 'g': 2})
    >>> print(rows)
    1 of 3; 2 left out: missing in y 1, g 2
    """

    used: IntArray
    total: int
    missing: Mapping[str, int] = field(default_factory=dict)
    index: Any = None

    @classmethod
    def all_of(cls, total: int) -> "Rows":
        """Use all rows."""
        return cls(locked(np.arange(total)), total)

    @property
    def complete(self) -> bool:
        """Whether all rows are used."""
        return len(self.used) == self.total

    def __str__(self) -> str:
        """Tell how many rows are used, and what is missing in the others."""
        if self.complete:
            return f"{self.total}"
        return (
            f"{len(self.used)} of {self.total}; {self.total - len(self.used)} left out: "
            f"missing in {_counts(self.missing)}"
        )


def rows_of(masks: Mapping[str, Mask], missing: str) -> Rows:
    """Find the rows in which nothing is missing, from what is missing in each column.

    Parameters
    ----------
    masks : mapping of str to ndarray of bool, each of shape (n,)
        True where a column misses a value.
    missing : {"error", "drop"}
        Whether rows that miss a value are an error, or left out.

    Returns
    -------
    Rows
        Which rows are left.

    Raises
    ------
    ValueError
        If values are missing and must not be, no row is left, lengths differ, or a column is not
        one-dimensional.

    Examples
    --------
    >>> rows_of({"days": np.array([False, True])}, "drop").used
    array([0])
    >>> rows_of({"days": np.array([False, True])}, "error")
    Traceback (most recent call last):
    ValueError: missing values (days 1) in 1 of 2 rows: row 1; leave such rows out ...
    """
    choice("missing", missing, ("error", "drop"))
    total = next(iter(masks.values())).size
    incomplete = np.zeros(total, dtype=bool)
    for name, mask in masks.items():
        if mask.ndim != 1 or not mask.size:
            raise ValueError(
                f"{name} must be a vector with one value a row, found shape {mask.shape}"
            )
        if len(mask) != total:
            raise ValueError(_LENGTH.format(name, len(mask), total))
        incomplete |= mask
    counts = {name: int(mask.sum()) for name, mask in masks.items() if mask.any()}
    bad = np.flatnonzero(incomplete)
    if len(bad) and missing == "error":
        first = ", ".join(map(str, bad[:SHOWN])) + (", ..." if len(bad) > SHOWN else "")
        raise ValueError(
            f"missing values ({_counts(counts)}) in {len(bad)} of {total} rows: "
            f"{'rows' if len(bad) > 1 else 'row'} {first}; leave such rows out with "
            'missing="drop", or fill the values in'
        )
    if len(bad) == total:
        raise ValueError(
            f"no row is left: each of the {total} has a missing value, in {_counts(counts)}"
        )
    return Rows(locked(np.flatnonzero(~incomplete)), total, counts)


@contextmanager
def among(rows: Rows) -> Iterator[None]:
    """Say in the message of an error which rows it looked at, where some are left out.

    Parameters
    ----------
    rows : Rows
        The rows that are used.

    Raises
    ------
    ValueError
        What is raised inside, with the rows.

    Examples
    --------
    >>> with among(Rows(np.array([0, 2]), 3, {"days": 1})):
    ...     raise ValueError("y is constant")
    Traceback (most recent call last):
    ValueError: y is constant (in the rows that are used: 2 of 3; 1 left out: missing in days 1)
    """
    try:
        yield
    except ValueError as error:
        if rows.complete:
            raise
        raise ValueError(f"{error} (in the rows that are used: {rows})") from None


def take(values: Any, rows: IntArray) -> Any:
    """Return some rows of a column, as a column of its kind.

    Parameters
    ----------
    values : array_like, shape (n,)
        A list, an array, or a column of pandas, Polars or pyarrow.
    rows : ndarray of int
        Positions.

    Returns
    -------
    array_like
        What the values would have been without the other rows: of a nullable column of whole
        numbers, for one, whole numbers.

    Examples
    --------
    >>> take(["a", None, "b"], np.array([0, 2]))
    ['a', 'b']
    """
    if hasattr(values, "take"):  # numpy, pandas, pyarrow
        return values.take(rows)
    if hasattr(values, "__array__"):  # Polars, labels
        return values[rows]
    return [values[row] for row in rows]


# ---- columns that may miss values ----


def number_column(name: str, values: ArrayLike, n: int | None = None) -> Column:
    """Read a column of numbers, as `as_vector` does.

    Parameters
    ----------
    name : str
        What the caller's user knows the column as.
    values : array_like, shape (n,)
        Numbers.
    n : int, optional
        The length that the other columns have.

    Returns
    -------
    tuple
        The numbers, and None.

    Raises
    ------
    ValueError
        As `as_vector`.

    Examples
    --------
    >>> number_column("days", [0, 1])
    (array([0., 1.]), None)
    """
    return as_vector(name, values, n), None


def row_column(name: str, values: ArrayLike, n: int | None = None) -> Column:
    """Read numbers for all rows, of which one may stand for all, as `for_each_row` does.

    Parameters
    ----------
    name : str
        What the caller's user knows the column as.
    values : array_like, shape (n,), or float
        Numbers.
    n : int, optional
        Number of rows; otherwise one.

    Returns
    -------
    tuple
        The numbers, and None.

    Raises
    ------
    ValueError
        As `for_each_row`.

    Examples
    --------
    >>> row_column("offset", 1.5, 2)
    (array([1.5, 1.5]), None)
    """
    return for_each_row(name, values, 1 if n is None else n), None


def label_column(name: str, values: ArrayLike, n: int | None = None) -> Column:
    """Read a column of labels, as `levels_and_codes` does.

    Parameters
    ----------
    name : str
        What the caller's user knows the column as.
    values : array_like, shape (n,)
        Labels.
    n : int, optional
        The length that the other columns have.

    Returns
    -------
    tuple
        Codes and levels.

    Raises
    ------
    ValueError
        As `levels_and_codes`.

    Examples
    --------
    >>> label_column("dose", ["low", "high"])
    (array([1, 0]), array(['high', 'low'], dtype='<U4'))
    """
    levels, codes = levels_and_codes(name, values, n)
    return codes, levels


def as_column(
    check: Check,
    name: str,
    values: ArrayLike,
    n: int | None = None,
) -> tuple[NDArray[Any], NDArray[Any] | None, bool]:
    """Read a column that may miss values.

    Parameters
    ----------
    check : callable
        What reads it where no value is missing: `number_column`, `label_column` or `as_covariate`.
    name : str
        What the caller's user knows the column as.
    values : array_like, shape (n,)
        Numbers or labels.
    n : int, optional
        The length that the other columns have.

    Returns
    -------
    values : ndarray, shape (n,)
        Numbers, NaN where one is missing; or codes, -1 where a label is missing.
    levels : ndarray or None
        The labels that occur.
    complete : bool
        Whether nothing is missing.

    Raises
    ------
    ValueError
        As `check`; if all values are missing, or a number is infinite.

    Examples
    --------
    >>> as_column(label_column, "dose", ["low", None, "high"])
    (array([ 1, -1,  0]), array(['high', 'low'], dtype='<U4'), False)
    """
    try:
        return *check(name, values, n), True
    except MissingValuesError:
        missing = missing_in(name, values)
        if missing.ndim != 1:
            raise
    if n is not None and len(missing) != n:
        raise ValueError(_LENGTH.format(name, len(missing), n))
    rows = np.flatnonzero(~missing)
    if not len(rows):
        raise ValueError(f"{name} has no value: all {len(missing)} are missing; leave it out")
    # read as if the other rows had never been there
    found, levels = check(name, take(values, rows), len(rows))
    return spread(found, rows, len(missing)), levels, False


def beside(
    given: Mapping[str, ArrayLike | None], n: int
) -> tuple[dict[str, FloatArray], dict[str, Mask]]:
    """Read what is given for the rows beside y: weights, offset, trials.

    Parameters
    ----------
    given : mapping of str to array_like, shape (n,), or float, or None
        What was given; one number may stand for all rows, but for weights.
    n : int
        Number of rows.

    Returns
    -------
    columns : dict of str to ndarray, each of shape (n,)
        What is there, NaN where a value is missing.
    masks : dict of str to ndarray of bool, each of shape (n,)
        Where values are missing, of the columns that miss some.

    Raises
    ------
    ValueError
        As `as_column`.

    Examples
    --------
    >>> columns, masks = beside({"weights": [1, 2], "offset": 0.5, "trials": None}, 2)
    >>> columns, masks
    ({'weights': array([1., 2.]), 'offset': array([0.5, 0.5])}, {})
    """
    columns: dict[str, FloatArray] = {}
    masks: dict[str, Mask] = {}
    for name, values in given.items():
        if values is None:
            continue
        check = number_column if name == "weights" else row_column
        columns[name], _, complete = as_column(check, name, values, n)
        if not complete:
            masks[name] = np.isnan(columns[name])
    return columns, masks


def spread(values: NDArray[Any], rows: IntArray, total: int) -> NDArray[Any]:
    """Put the values of some rows where they belong among all: the others are NaN, or code -1.

    Parameters
    ----------
    values : ndarray of float or int
        Numbers or codes.
    rows : ndarray of int
        Where they belong.
    total : int
        Number of all rows.

    Returns
    -------
    ndarray, shape (total,)
        Read-only.

    Examples
    --------
    >>> spread(np.array([1.5, 2.5]), np.array([0, 2]), 3)
    array([1.5, nan, 2.5])
    """
    whole = np.full(total, np.nan if values.dtype.kind == "f" else -1, dtype=values.dtype)
    whole[rows] = values
    return locked(whole)


# ---- rows with names ----


def index_of(values: Any) -> Any:
    """Return the index of a column of pandas, and None of any other.

    Parameters
    ----------
    values : array_like
        A column.

    Returns
    -------
    pandas.Index or None
        The names of its rows.

    Examples
    --------
    >>> index_of([1.0, 2.0]) is None
    True
    """
    index = getattr(values, "index", None)
    return index if hasattr(index, "equals") else None  # a list has a method of this name


def common_index(indexes: Iterable[tuple[str, Any]]) -> Any:
    """Return the index that columns share, as rows are matched by position.

    Parameters
    ----------
    indexes : iterable of pairs of str and pandas.Index or None
        Names of columns, and what `index_of` finds.

    Returns
    -------
    pandas.Index or None
        The index; None if no column has one.

    Raises
    ------
    ValueError
        If two columns have different indexes.

    Examples
    --------
    >>> common_index([("x", None), ("z", None)]) is None
    True
    """
    known = [(name, index) for name, index in indexes if index is not None]
    for name, index in known[1:]:
        if index is not known[0][1] and not index.equals(known[0][1]):
            raise ValueError(
                f"{known[0][0]} and {name} are columns of pandas whose indexes differ, and rows "
                "are matched by position; bring them into one order, as in one data frame, or "
                f"give {name}.to_numpy()"
            )
    return known[0][1] if known else None


def _counts(missing: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in missing.items())
