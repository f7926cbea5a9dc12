"""Checks of what a user passes in: each names the argument, what was found and what to do.

Columns come as lists, arrays, or columns of pandas, Polars or pyarrow. None of these three is
imported: what is used of them is what they share with numpy, and the few names they give to
categories and to columns.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from numbers import Complex, Real
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
Labels = NDArray[Any]

LARGEST = 1e150  # the square of a larger number, summed over rows, overflows
EXACT = 2.0**53  # from here on, floats skip whole numbers
UNEXPLAINED = 1e-13  # of the largest |y|: less than this is rounding

QUICK = frozenset(map(np.dtype, ("f8", "f4", "i8", "i4")))  # most columns, told at a glance
KINDS = {"c": "complex numbers", "m": "time differences", "M": "dates", "V": "records"}
KINDS |= dict.fromkeys("biuf", "numbers") | {"U": "text", "S": "bytes"}
OF_OBJECTS = {"text": np.str_, "numbers": None, "dates": "datetime64[us]"}
ADVICE = {
    "text": "convert with float",
    "bytes": "decode them",
    "dates": "give days since a start, as numbers",
    "time differences": "give them in days or seconds, as numbers",
    "complex numbers": "give their real part",
    "categories": "where these count something, convert with float",
    "LabelColumn": 'in a frame write frame["f"] = labels(frame["f"], first=...), and in a formula '
    'factor(f, ref="low")',
}
AS_LABELS = {"Interval": "make them text and keep their order with .cat.rename_categories(str)"}
LISTED = 20  # names that a message tells
UNITS = "use other units"


class MissingValuesError(ValueError):
    """A value is missing where none may be: NaN, None, NaT, NA, null or masked."""


# ---- columns of numbers ----


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
        A float64 array; the input itself when it is one already. What is kept goes through
        `frozen`.

    Raises
    ------
    ValueError
        If `values` are not numbers, not one-dimensional, empty, of another length, missing, masked,
        not finite, or so large or so small that their squares are not.

    Examples
    --------
    >>> as_vector("x", [1, 2, 3])
    array([1., 2., 3.])
    """
    vector = _as_floats(name, values)
    _shaped(name, vector, 1, "vector with one number a row", n)
    _moderate(name, vector)
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
    found = _as_floats(name, values)
    return as_vector(name, np.full(n, found) if found.ndim == 0 else found, n)


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
        As `as_vector`, for a matrix and its columns.

    Examples
    --------
    >>> as_matrix("X", [[1, 0], [1, 1]]).shape
    (2, 2)
    """
    matrix = _as_floats(name, values)
    _shaped(name, matrix, 2, f"matrix (rows x columns; one column is {name}[:, None])", n)
    if any(hasattr(kind, "categories") for kind in getattr(values, "dtypes", ())):
        raise ValueError(f"{name} has columns of categories; {ADVICE['categories']}")
    _moderate(name, matrix)
    return matrix


def frozen(values: NDArray[Any]) -> NDArray[Any]:
    """Return a copy that nobody can write to.

    Parameters
    ----------
    values : ndarray
        Numbers or labels.

    Returns
    -------
    ndarray
        The copy.

    Examples
    --------
    >>> frozen(np.ones(2)).flags.writeable
    False
    """
    return locked(np.array(values))


def locked(values: NDArray[Any]) -> NDArray[Any]:
    """Make an array read-only, and return it.

    Parameters
    ----------
    values : ndarray
        What was computed here, so that no copy is needed.

    Returns
    -------
    ndarray
        The same array.

    Examples
    --------
    >>> locked(np.ones(2)).flags.writeable
    False
    """
    values.setflags(write=False)
    return values


# ---- columns of labels ----


@dataclass(frozen=True, eq=False)
class LabelColumn:
    """A column of labels whose levels have an order of their own.

    Attributes
    ----------
    codes : ndarray of int, shape (n,)
        Positions in `levels`; -1 where the label is missing.
    levels : ndarray, shape (m,)
        The labels.

    Examples
    --------
    >>> column = LabelColumn(np.array([1, 0, -1]), np.array(["low", "high"]))
    >>> len(column), np.asarray(column)
    (3, array(['high', 'low', None], dtype=object))
    >>> np.asarray(column[:2])
    array(['high', 'low'], dtype='<U4')
    """

    codes: IntArray
    levels: Labels

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.codes)

    def __getitem__(self, rows: Any) -> "LabelColumn":
        """Return some of the rows, with the same levels: a slice, a mask or positions."""
        return LabelColumn(frozen(self.codes[rows]), self.levels)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Labels:
        """Return the labels as an array, of objects where one is missing."""
        labels = self.levels[self.codes]
        if np.any(self.codes < 0):
            labels = labels.astype(object)
            labels[self.codes < 0] = None
        return labels if dtype is None else labels.astype(dtype)


def as_labels(name: str, values: ArrayLike, n: int | None = None) -> Labels:
    """Return `values` as a vector of labels, one a row, none of them missing.

    Parameters
    ----------
    name : str
        What the caller's user knows the argument as.
    values : array_like, shape (n,)
        Text, numbers or dates that name groups.
    n : int, optional
        The length that the other arguments have.

    Returns
    -------
    ndarray, shape (n,)
        Labels that sort: text, or numbers or dates if all are.

    Raises
    ------
    ValueError
        If the labels are not one-dimensional, empty, of another length, missing (None, NaN, NaT),
        masked, a mixture of text and numbers, or of a kind that has no order.

    Examples
    --------
    >>> as_labels("group", ["a", "b", "a"])
    array(['a', 'b', 'a'], dtype='<U1')
    """
    found = _categories(values)
    if found is not None:
        levels, codes = _leveled(name, *found, n)
        return levels[codes]
    labels, kind = _read(name, "label", values)
    _shaped(name, labels, 1, "vector with one label a row", n)
    if " and " in kind:
        raise ValueError(f"{name} mixes {kind}; make all labels text with str()")
    listed = labels.dtype == object or not hasattr(values, "__array__")
    if labels.dtype == object and kind in OF_OBJECTS:
        labels = np.array(labels.tolist(), dtype=OF_OBJECTS[kind])
    if labels.dtype.kind in "fM":
        _none_missing(name, "label", np.isnan(labels))
        _none_infinite(name, np.isinf(labels))
    # Whole numbers become floats beside a float, or beyond 64 bits.
    inexact = listed and labels.dtype.kind == "f" and float(np.abs(labels).max()) >= EXACT
    if labels.dtype.kind not in "biufUM" or inexact:
        raise ValueError(
            f"{name} must hold labels that sort: text, dates, or numbers of 64 bits; found {kind}, "
            f"such as {_shown(labels[0])}; {AS_LABELS.get(kind, 'make them text')}"
        )
    return labels


def levels_and_codes(name: str, values: ArrayLike, n: int | None = None) -> tuple[Labels, IntArray]:
    """Return the distinct labels and which of them each row has.

    Parameters
    ----------
    name : str
        What the caller's user knows the argument as.
    values : array_like, shape (n,)
        Labels; those of a categorical column have an order of their own.
    n : int, optional
        The length that the other arguments have.

    Returns
    -------
    levels : ndarray, shape (m,)
        The labels that occur: sorted, or in the order of the categories. Read-only.
    codes : ndarray of int, shape (n,)
        Positions in `levels`. Read-only.

    Raises
    ------
    ValueError
        As `as_labels`.

    Examples
    --------
    >>> levels_and_codes("dose", ["low", "high", "low"])
    (array(['high', 'low'], dtype='<U4'), array([1, 0, 1]))
    """
    found = _categories(values)
    if found is None:
        levels, codes = _distinct(as_labels(name, values, n))
    else:
        levels, codes = _leveled(name, *found, n)
        if isinstance(values, LabelColumn) and levels[0] != values.levels[0]:
            raise ValueError(
                f"{name} has no row with {_shown(values.levels[0])}, its first level; name another"
            )
    return frozen(levels), frozen(codes)


def as_covariate(
    name: str, values: ArrayLike, n: int | None = None
) -> tuple[NDArray[Any], Labels | None]:
    """Return a column of numbers as it is, and a column of labels as codes.

    Parameters
    ----------
    name : str
        What the caller's user knows the argument as.
    values : array_like, shape (n,)
        Numbers, or labels: text, or categories of any kind.
    n : int, optional
        The length that the other arguments have.

    Returns
    -------
    values : ndarray, shape (n,)
        float64 numbers, or codes of the levels.
    levels : ndarray or None
        The labels, as `levels_and_codes` gives them; None for numbers.

    Raises
    ------
    ValueError
        As `as_vector` and `as_labels`.

    Examples
    --------
    >>> as_covariate("days", [0, 3])
    (array([0., 3.]), None)
    >>> as_covariate("dose", ["low", "high"])
    (array([1, 0]), array(['high', 'low'], dtype='<U4'))
    """
    if type(values) is np.ndarray and values.dtype in QUICK:
        return as_vector(name, values, n), None
    if _categories(values) is None:
        array, kind = _read(name, "label", values)
        if "text" not in kind:
            return as_vector(name, array, n), None
    levels, codes = levels_and_codes(name, values, n)
    return codes, levels


def occurring(levels: Labels, codes: IntArray) -> tuple[Labels, IntArray]:
    """Leave out the levels that no row has.

    Parameters
    ----------
    levels : ndarray, shape (m,)
        Labels.
    codes : ndarray of int, shape (n,)
        Positions in `levels`.

    Returns
    -------
    levels : ndarray
        The labels that occur, in the same order.
    codes : ndarray of int, shape (n,)
        Positions in them.

    Examples
    --------
    >>> occurring(np.array(["high", "low", "mid"]), np.array([2, 0, 2]))
    (array(['high', 'mid'], dtype='<U4'), array([1, 0, 1]))
    """
    present = np.bincount(codes, minlength=len(levels)) > 0
    return levels[present], (np.cumsum(present) - 1)[codes]


def match(name: str, values: ArrayLike, levels: Labels) -> IntArray:
    """Return which of the known levels each new label is.

    Parameters
    ----------
    name : str
        What the caller's user knows the argument as.
    values : array_like, shape (n,)
        Labels.
    levels : ndarray, shape (m,)
        The levels of `levels_and_codes`, in any order.

    Returns
    -------
    ndarray of int, shape (n,)
        Positions in `levels`; -1 for a label that is not among them.

    Raises
    ------
    ValueError
        As `as_labels`, and if labels are text where the levels are numbers, or the other way.

    Examples
    --------
    >>> match("dose", ["low", "none"], np.array(["low", "high"]))
    array([ 0, -1])
    """
    labels = as_labels(name, values)
    if KINDS[labels.dtype.kind] != KINDS[levels.dtype.kind]:
        raise ValueError(
            f"{name}: labels must be of the kind that the model was fitted with, such as "
            f"{_shown(levels[0])}; found {_shown(labels[0])}"
        )
    if labels.dtype.kind == "M":  # dates of one unit, as whole numbers
        unit = np.promote_types(labels.dtype, levels.dtype)
        labels, levels = (dates.astype(unit).astype(np.int64) for dates in (labels, levels))
    position = {level: code for code, level in enumerate(levels.tolist())}
    return np.array([position.get(label, -1) for label in labels.tolist()], dtype=np.intp)


# ---- missing values ----


def missing_in(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    """Say of each value whether it is missing: NaN, None, NaT, NA, null, masked, no category.

    Parameters
    ----------
    name : str
        What the caller's user knows the argument as.
    values : array_like, shape (n,)
        Numbers or labels.

    Returns
    -------
    ndarray of bool, shape (n,)
        True where a value is missing.

    Raises
    ------
    ValueError
        If a number is infinite, which is not missing, or `values` are no array.

    Examples
    --------
    >>> missing_in("days", [0, None, float("nan")])
    array([False,  True,  True])
    """
    missing: NDArray[np.bool_]
    found = _categories(values)
    if found is not None:
        categories, codes = found
        missing = np.append(missing_in(name, categories), True)[codes]  # the last is that of -1
        return missing
    array, missing = _array(name, values)
    if array.dtype == object:
        kinds = np.array([_kind(item) for item in array.flat]).reshape(array.shape)
        infinite = np.asarray(kinds == "numbers")
        infinite[infinite] = [abs(item) == np.inf for item in array[infinite]]
        missing = missing | (kinds == "missing")
    elif array.dtype.kind in "fcmM":
        infinite = np.isinf(array)
        missing = missing | np.isnan(array)
    else:
        return missing
    _none_infinite(name, infinite & ~missing)
    return missing


# ---- data with names ----


def all_names(data: Any) -> list[Any]:
    """Return the names of the columns: of what has keys, of structured arrays, of frames.

    Parameters
    ----------
    data : mapping, data frame, table or structured array
        Columns by name.

    Returns
    -------
    list
        The names, in order; those that are no text too, which no term can use.

    Raises
    ------
    ValueError
        If `data` has no names.

    Examples
    --------
    >>> all_names({"days": [0, 1], 2020: [3, 4]})
    ['days', 2020]
    """
    names: Any = None
    if hasattr(type(data), "__getitem__") and callable(getattr(data, "keys", None)):
        names = data.keys()
    elif hasattr(type(data), "__array__"):  # numpy, pyarrow, Polars
        fields = getattr(getattr(data, "dtype", None), "names", None)
        names = fields or getattr(data, "column_names", None) or getattr(data, "columns", None)
    if names is None:
        raise ValueError(
            "data must be columns by name, such as a dict or a data frame; "
            f"found {type(data).__name__}"
        )
    return list(names)


def names_of(data: Any) -> list[str]:
    """Return the names of the columns of a mapping or a data frame.

    Parameters
    ----------
    data : mapping, data frame, table or structured array
        Columns by name.

    Returns
    -------
    list of str
        The names, in order.

    Raises
    ------
    ValueError
        If `data` has no names, or a name is not text.

    Examples
    --------
    >>> names_of({"days": [0, 1]})
    ['days']
    """
    names = all_names(data)
    for found in names:
        if not isinstance(found, str):
            raise ValueError(f"data has a column named {_shown(found)}; names must be text")
    return names


def column_of(data: Any, name: str) -> ArrayLike:
    """Return one column of a mapping or a data frame.

    Parameters
    ----------
    data : mapping, data frame, table or structured array
        Columns by name.
    name : str
        The name.

    Returns
    -------
    array_like, shape (n,)
        The column.

    Raises
    ------
    ValueError
        If `data` has no names, not this one, or this one twice.

    Examples
    --------
    >>> column_of({"days": [0, 1]}, "days")
    [0, 1]
    """
    names = all_names(data)
    if name not in names:
        raise ValueError(
            f"data has no column {name}, which the model needs; it has {listed(names)}"
        )
    if names.count(name) > 1:
        raise ValueError(
            f"data has {names.count(name)} columns named {name}; give each a name of its own"
        )
    column: ArrayLike = data[name]
    return column


def listed(names: Sequence[Any]) -> str:
    """Write names for a message, the first of them if there are many.

    Parameters
    ----------
    names : sequence
        Names of columns.

    Returns
    -------
    str
        Their text.

    Examples
    --------
    >>> listed(["days", "dose"])
    'days, dose'
    """
    more = f", ... ({len(names)} in all)" if len(names) > LISTED else ""
    return ", ".join(map(str, names[:LISTED])) + more or "none"


# ---- options ----


def choice(name: str, value: object, allowed: Sequence[str]) -> str:
    """Return `value` if it is one of the words that are allowed.

    Parameters
    ----------
    name : str
        What the caller's user knows the argument as.
    value : str
        The word to look at.
    allowed : sequence of str
        The words.

    Returns
    -------
    str
        The word.

    Raises
    ------
    ValueError
        If it is another word, or none.

    Examples
    --------
    >>> choice("method", "ML", ["REML", "ML"])
    'ML'
    """
    if isinstance(value, str) and value in allowed:
        return str(value)
    *others, last = (f'"{word}"' for word in allowed)
    either = f"{', '.join(others)} or {last}" if others else last
    raise ValueError(f"{name} must be {either}, found {_shown(value)}")


def flag(name: str, value: object) -> bool:
    """Return `value` if it is True or False.

    Parameters
    ----------
    name : str
        What the caller's user knows the argument as.
    value : bool
        The value to look at.

    Returns
    -------
    bool
        The value.

    Raises
    ------
    ValueError
        If it is something else, even if that counts as true.

    Examples
    --------
    >>> flag("correlated", True)
    True
    """
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name} must be True or False, found {_shown(value)}")
    return bool(value)


def whole(name: str, value: object, least: int, most: int | None = None) -> int:
    """Return `value` as an int if it is a whole number in a range.

    Parameters
    ----------
    name : str
        What the caller's user knows the argument as.
    value : int
        The number to look at.
    least : int
        The smallest that is allowed.
    most : int, optional
        The largest that is allowed.

    Returns
    -------
    int
        The number.

    Raises
    ------
    ValueError
        If it is not a whole number (2.0 and True are not), or out of range.

    Examples
    --------
    >>> whole("k", 10, least=3)
    10
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise ValueError(f"{name} must be a whole number, found {_shown(value)}")
    if number < least or (most is not None and number > most):
        span = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise ValueError(f"{name} must be a whole number {span}, found {_shown(value)}")
    return number


def node_count(nodes: object) -> int:
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
    return whole("nodes", nodes, 1, 100)


def positive(name: str, value: object) -> float:
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
        If it is not a number, or zero, negative, infinite or NaN.

    Examples
    --------
    >>> positive("sigma", 2)
    2.0
    """
    number = _number(value)
    if not 0 < number < np.inf:
        raise ValueError(f"{name} must be a finite number above zero, found {_shown(value)}")
    return number


def share(name: str, value: object) -> float:
    """Return `value` as a float if it is between zero and one, and neither.

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
        If it is not a number, or not between 0 and 1.

    Examples
    --------
    >>> share("level", 0.95)
    0.95
    """
    number = _number(value)
    if not 0 < number < (1 + number) / 2 < 1:  # the half of what is left of 1 is a number too
        raise ValueError(f"{name} must be between 0 and 1, found {_shown(value)}")
    return number


def a_callable(name: str, value: object) -> Callable[..., Any]:
    """Return `value` if it can be called.

    Parameters
    ----------
    name : str
        What the caller's user knows the argument as.
    value : callable
        The function to look at.

    Returns
    -------
    callable
        The function.

    Raises
    ------
    ValueError
        If it cannot be called.

    Examples
    --------
    >>> a_callable("callback", print)("called")
    called
    """
    if not callable(value):
        raise ValueError(f"{name} must be a function, found {_shown(value)}")
    return value


# ---- what a model needs ----


def leaves_residual(left: FloatArray, y: FloatArray, by: str) -> None:
    """Raise if nothing but rounding errors is left of y.

    Parameters
    ----------
    left : ndarray, shape (n,)
        Residuals.
    y : ndarray, shape (n,)
        Response.
    by : str
        What explains y, for the message.

    Raises
    ------
    ValueError
        If it explains y without error.

    Examples
    --------
    >>> leaves_residual(np.array([0.1, -0.1]), np.array([1.0, 2.0]), "its mean")
    """
    if np.linalg.norm(left) <= UNEXPLAINED * np.sqrt(left.size) * np.abs(y).max():
        raise ValueError(
            f"y is explained by {by} without error, so there is no variance left to divide; "
            "use fewer columns"
        )


def full_rank(name: str, X: FloatArray) -> None:
    """Raise unless the columns of `X` are linearly independent, and name those that are not.

    Parameters
    ----------
    name : str
        What the caller's user knows the matrix as.
    X : ndarray, shape (n, p)
        The matrix.

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
        redundant = ", ".join(map(str, sorted(pivot[rank:])))
        raise ValueError(
            f"{name} has {X.shape[1]} columns but rank {rank}: column(s) {redundant} are "
            "combinations of the others; leave them out"
        )


# ---- reading what came in ----


def _as_floats(name: str, values: ArrayLike) -> FloatArray:
    """Numbers as float64, none of them masked; the input itself when it is that already."""
    if type(values) is np.ndarray and values.dtype in QUICK:
        return values.astype(np.float64, copy=False)
    array, kind = _read(name, "value", values)
    if _categories(values) is not None:
        kind = "categories"
    if kind != "numbers" and array.size > 0:
        found = _shown(array.flat[0])
        advice = ADVICE.get(kind, "give one number a row")
        if kind == "text" and array.ndim == 0:
            advice = f"give the column itself, such as data[{found}]"
        raise ValueError(f"{name} must hold numbers only, found {kind}, such as {found}; {advice}")
    try:
        with np.errstate(over="ignore"):  # a long double that overflows is infinite, and told
            return array.astype(np.float64)
    except OverflowError:
        raise ValueError(f"{name} has whole numbers too large to be squared; {UNITS}") from None


def _read(name: str, noun: str, values: Any) -> tuple[NDArray[Any], str]:
    """Return the array that numpy makes of values, and in a word what it holds."""
    array, masked = _array(name, values)
    _none_missing(name, "masked value", masked)
    if array.dtype != object:
        return array, KINDS.get(array.dtype.kind, str(array.dtype))
    kinds = [_kind(item) for item in array.flat]
    found = set(kinds)
    if "missing" in found:
        _none_missing(name, noun, np.reshape([kind == "missing" for kind in kinds], array.shape))
    return array, " and ".join(sorted(found, reverse=True))


def _array(name: str, values: Any) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return what numpy makes of values, text as the objects it came as; and what is masked."""
    try:
        array = np.asarray(values)
        # Rows that are masked come as a list of arrays, whose masks numpy drops.
        masked = np.ma.array(values) if array.ndim > 1 and isinstance(values, Sequence) else values
        # Of a list of text and None numpy makes text, 'None' among it.
        listed = array.dtype.kind == "U" and not hasattr(values, "__array__")
        if listed or array.dtype.kind == "T":
            array = np.array(values, dtype=object)
    except Exception:  # whatever the array of another library raises
        raise ValueError(
            f"{name} must hold numbers or labels, one a row, found {_shown(values)}"
        ) from None
    if array.dtype.names is None and np.ma.is_masked(masked):
        return array, np.ma.getmaskarray(masked)
    return array, np.zeros(array.shape, dtype=bool)


def _kind(item: object) -> str:
    """Say in a word what one item is."""
    if isinstance(item, str):
        return "text"
    if item is None or item is np.ma.masked or _is_undefined(item):
        return "missing"
    if isinstance(item, timedelta | np.timedelta64):  # numpy has it among the whole numbers
        return "time differences"
    if isinstance(item, Real | Decimal | np.bool_):
        return "numbers"
    if isinstance(item, date | np.datetime64):
        return "dates" if getattr(item, "tzinfo", None) is None else "dates of a time zone"
    if isinstance(item, bytes):
        return "bytes"
    return "complex numbers" if isinstance(item, Complex) else type(item).__name__


def _is_undefined(item: Any) -> bool:
    """Tell NaN and NaT, which are not equal to themselves, and pandas' NA, which does not say."""
    try:
        return bool(item != item)
    except Exception:  # of NA, or of an array, which is no label, but not missing either
        return not hasattr(item, "__len__")


def _categories(values: Any) -> tuple[NDArray[Any], IntArray] | None:
    """Return the categories of a categorical column and their codes, -1 for missing, if it is one.

    That of Polars without fixed categories is none: its order is that of the text.
    """
    if isinstance(values, LabelColumn):
        return values.levels, values.codes
    dtype: Any = getattr(values, "dtype", None)
    if hasattr(dtype, "pyarrow_dtype"):  # an array of pyarrow in a column of pandas
        values = getattr(values, "array", values).__arrow_array__()
    encoded = hasattr(getattr(values, "type", None), "index_type")
    if encoded and hasattr(values, "combine_chunks") and values.type.value_type != "null":
        values = values.combine_chunks()
    if hasattr(values, "dictionary"):  # pyarrow
        categories, codes = values.dictionary, values.indices
    elif not hasattr(getattr(dtype, "categories", None), "__array__"):
        return None
    elif hasattr(values, "to_physical"):  # Polars
        categories, codes = dtype.categories, values.to_physical()
    else:  # pandas: a column, or the array or index itself
        categories, codes = dtype.categories, getattr(values, "cat", values).codes
    floats = np.asarray(codes, dtype=np.float64)
    return np.asarray(categories), np.nan_to_num(floats, nan=-1).astype(np.intp)


def _leveled(
    name: str, categories: NDArray[Any], codes: IntArray, n: int | None
) -> tuple[Labels, IntArray]:
    """Return the categories that occur, and the code of each row; none is missing."""
    _shaped(name, codes, 1, "vector with one label a row", n)
    _none_missing(name, "label", codes < 0)
    levels, codes = occurring(categories, codes)
    levels = as_labels(name, levels)
    if len(np.unique(levels)) < len(levels):
        raise ValueError(f"{name} has two categories of the same name; merge them")
    return levels, codes


def _distinct(labels: Labels) -> tuple[Labels, IntArray]:
    """Sorted levels and the code of each row; integers of small range need no sorting."""
    if labels.dtype.kind in "iu" and labels.dtype != np.uint64:
        whole = labels.astype(np.int64)  # the differences of small integers may be larger
        low, high = int(whole.min()), int(whole.max())
        if high - low <= 2 * len(labels):
            span = (low + np.arange(high - low + 1)).astype(labels.dtype)
            return occurring(span, whole - low)
    if labels.dtype.kind != "U":
        return np.unique(labels, return_inverse=True)
    rows = labels.tolist()  # to hash text is faster than to sort it
    levels = np.array(sorted(set(rows)), dtype=labels.dtype)
    position = {level: code for code, level in enumerate(levels.tolist())}
    return levels, np.array([position[label] for label in rows], dtype=np.intp)


# ---- what is told ----


def _shaped(name: str, values: NDArray[Any], ndim: int, wanted: str, n: int | None) -> None:
    if values.ndim != ndim or values.size == 0:
        raise ValueError(f"{name} must be a {wanted}, found shape {values.shape}")
    if n is not None and len(values) != n:
        raise ValueError(
            f"{name} has {len(values)} rows where the other arguments have {n}; "
            "give one row for each observation"
        )


def _none_missing(name: str, noun: str, missing: NDArray[np.bool_]) -> None:
    if missing.any():
        what = noun if noun.startswith("masked") else f"missing {noun}"
        do = "give the group a name" if noun == "label" else "fill them in"
        raise MissingValuesError(
            f"{name} has {missing.sum()} {what}(s), the first in row {_first(missing)}; "
            f"drop these rows or {do}"
        )


def _none_infinite(name: str, infinite: NDArray[np.bool_]) -> None:
    if infinite.any():
        raise ValueError(
            f"{name} has {infinite.sum()} value(s) that are infinite, the first in row "
            f"{_first(infinite)}; drop these rows or fill them in"
        )


def _moderate(name: str, values: FloatArray) -> None:
    """Raise unless the numbers and their squares are finite, and not all squares are lost."""
    # One pass for the smallest, one for the largest: NaN stays NaN, and compares to nothing.
    largest = max(float(values.max()), -float(values.min()))
    if largest == 0 or 1 / LARGEST <= largest <= LARGEST:
        return
    bad = ~np.isfinite(values)
    if bad.any():
        error = ValueError if np.isinf(values).any() else MissingValuesError
        raise error(
            f"{name} has {bad.sum()} value(s) that are NaN or infinite, the first in row "
            f"{_first(bad)}; drop these rows or fill them in"
        )
    size = "large" if largest > 1 else "small"
    raise ValueError(
        f"{name} reaches {largest:g}, in row {_first(np.abs(values) == largest)}, too {size} to be "
        f"squared; {UNITS}"
    )


def _first(bad: NDArray[np.bool_]) -> int:
    return int(np.argwhere(np.atleast_1d(bad))[0, 0])


def _number(value: Any) -> float:
    """Return a number as a float, and anything else as NaN."""
    if isinstance(value, bool | np.timedelta64) or not isinstance(value, Real | Decimal):
        return np.nan
    try:
        return float(value)
    except (OverflowError, ValueError):
        return np.nan


def _shown(value: object) -> str:
    """Return what was found as the user would write it, cut to a line."""
    return f"{value.item() if isinstance(value, np.generic) else value!r:.80}"
