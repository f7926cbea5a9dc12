"""Terms of a model: what a user writes. Each knows how to make its columns for new data.

``linear(days=days)`` gives columns of X, ``group(subject=subject, days=days)`` columns of Z. A
column is an array, a list, or a column of a data frame; numbers stay numbers, labels become
indicators of all levels but the first (treatment coding).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import as_labels, as_vector

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
Data = Mapping[str, ArrayLike]


@dataclass(frozen=True, eq=False)
class Covariate:
    """A named column of data: numbers, or labels with treatment coding.

    Attributes
    ----------
    name : str
        The keyword that it was given under.
    values : ndarray, shape (n,)
        Numbers, or codes of the levels.
    levels : ndarray or None
        Sorted labels, the first of them the baseline; None for numbers.
    """

    name: str
    values: NDArray[Any]
    levels: NDArray[Any] | None

    @property
    def names(self) -> list[str]:
        """Names of the columns that it makes."""
        if self.levels is None:
            return [self.name]
        return [f"{self.name}[{level}]" for level in self.levels[1:]]

    def columns(self) -> list[FloatArray]:
        """Return the columns themselves, each of shape (n,)."""
        if self.levels is None:
            return [self.values]
        return [(self.values == code).astype(float) for code in range(1, len(self.levels))]

    def at(self, data: Data) -> "Covariate":
        """Return the covariate with the values of new data, coded with the old levels.

        Parameters
        ----------
        data : mapping of str to array_like
            New columns by name.

        Returns
        -------
        Covariate
            Of the same name and levels.

        Raises
        ------
        ValueError
            If the name is missing, a value is not finite, or a label is new.
        """
        new = _column(data, self.name)
        if self.levels is None:
            return Covariate(self.name, as_vector(self.name, new), None)
        labels = as_labels(self.name, new)
        codes, known = _match(labels, self.levels)
        if not known.all():
            raise ValueError(
                f"{self.name} has the new label {labels[~known][0]!s}; the model knows "
                f"{_shortened(self.levels)}"
            )
        return Covariate(self.name, codes, self.levels)


@dataclass(frozen=True, eq=False)
class Linear:
    """Fixed effects, linear in their columns.

    Attributes
    ----------
    intercept : bool
        Whether there is a column of ones.
    covariates : tuple of Covariate
        The others.
    """

    intercept: bool
    covariates: tuple[Covariate, ...]


@dataclass(frozen=True, eq=False)
class Group:
    """Random effects of a grouping factor: for each level an intercept, slopes, or both.

    Attributes
    ----------
    factor : str
        Name of the grouping factor.
    levels : ndarray, shape (m,)
        Its labels, sorted.
    codes : ndarray of int, shape (n,)
        Level of each row.
    intercept : bool
        Whether each level has an intercept of its own.
    covariates : tuple of Covariate
        What the slopes belong to.
    correlated : bool
        Whether the effects of one level may be correlated.
    """

    factor: str
    levels: NDArray[Any]
    codes: IntArray
    intercept: bool
    covariates: tuple[Covariate, ...]
    correlated: bool


Term = Linear | Group


def linear(*, intercept: bool = True, **columns: ArrayLike) -> Linear:
    """Make the fixed effects: an intercept and covariates.

    Parameters
    ----------
    intercept : bool
        Whether to add a column of ones.
    **columns : array_like, each of shape (n,)
        Covariates by name: numbers, or labels, whose first level in sorted order is the baseline.

    Returns
    -------
    Linear
        A term for `lmm`.

    Raises
    ------
    ValueError
        If a column is empty, not one-dimensional or not finite, if lengths differ, if labels have
        one level only, or if there is neither a column nor an intercept.

    Examples
    --------
    >>> linear(days=[0, 1, 2], dose=["low", "high", "low"]).covariates[1].names
    ['dose[low]']
    """
    if not columns and not intercept:
        raise ValueError("linear() has no columns; name at least one, or leave it out")
    return Linear(intercept, _covariates(columns))


def group(*, correlated: bool = True, intercept: bool = True, **columns: ArrayLike) -> Group:
    """Make the random effects of a grouping factor.

    ``group(subject=s)`` is lme4's ``(1 | s)``; ``group(subject=s, days=d)`` is ``(d | s)``;
    with ``correlated=False`` it is ``(d || s)``, and with ``intercept=False`` ``(0 + d | s)``.

    Parameters
    ----------
    correlated : bool
        Whether the effects of one level may be correlated.
    intercept : bool
        Whether each level has an intercept of its own.
    **columns : array_like, each of shape (n,)
        The first names the grouping factor and holds its labels; the others are covariates with a
        slope for each level.

    Returns
    -------
    Group
        A term for `lmm`.

    Raises
    ------
    ValueError
        If no factor is named, it has one level only, labels are missing, lengths differ, a
        covariate is not finite, or there is neither an intercept nor a slope.

    Examples
    --------
    >>> group(subject=["a", "a", "b"], days=[0, 1, 0]).levels
    array(['a', 'b'], dtype='<U1')
    """
    if not columns:
        raise ValueError("group() needs a grouping factor: group(subject=labels)")
    (factor, labels), *slopes = columns.items()
    levels, codes = _levels(as_labels(factor, labels))
    if len(levels) < 2:
        raise ValueError(
            f"{factor} has one level only ({levels[0]!s}): a random effect needs at least two "
            "groups; check the labels or leave the term out"
        )
    if not slopes and not intercept:
        raise ValueError(f"group({factor}=...) has neither an intercept nor a slope; add one")
    covariates = _covariates(dict(slopes), n=len(codes))
    return Group(factor, levels, codes, intercept, covariates, correlated)


def effect_names(term: Term) -> list[str]:
    """Names of the columns of a term, ``(Intercept)`` first if there is one.

    Parameters
    ----------
    term : Linear or Group
        A term.

    Returns
    -------
    list of str
        One name for each column of X, or for each effect of a level.

    Examples
    --------
    >>> effect_names(linear(days=[0, 1]))
    ['(Intercept)', 'days']
    """
    ones = ["(Intercept)"] if term.intercept else []
    return ones + [name for covariate in term.covariates for name in covariate.names]


def effect_columns(intercept: bool, covariates: tuple[Covariate, ...], n: int) -> list[FloatArray]:
    """Columns of X, or the values that each effect of a level multiplies.

    Parameters
    ----------
    intercept : bool
        Whether there is a column of ones.
    covariates : tuple of Covariate
        The covariates, of n rows each.
    n : int
        Number of rows.

    Returns
    -------
    list of ndarray, each of shape (n,)
        In the order of `effect_names`.

    Examples
    --------
    >>> effect_columns(True, (), 2)
    [array([1., 1.])]
    """
    ones = [np.ones(n)] if intercept else []
    return ones + [column for covariate in covariates for column in covariate.columns()]


def codes_at(term: Group, data: Data) -> IntArray:
    """Level of each row of new data, -1 for a label that the model does not know.

    Parameters
    ----------
    term : Group
        The term with its known levels.
    data : mapping of str to array_like
        New columns by name.

    Returns
    -------
    ndarray of int, shape (n,)
        Positions in ``term.levels``.

    Raises
    ------
    ValueError
        If the factor is not among the data, or a label is missing.

    Examples
    --------
    >>> codes_at(group(subject=["a", "a", "b"]), {"subject": ["b", "c"]})
    array([ 1, -1])
    """
    codes, known = _match(as_labels(term.factor, _column(data, term.factor)), term.levels)
    return np.where(known, codes, -1)


def _covariates(columns: Mapping[str, ArrayLike], n: int | None = None) -> tuple[Covariate, ...]:
    found: list[Covariate] = []
    for name, values in columns.items():
        array = np.asarray(values)
        if array.dtype.kind in "biuf":
            vector = as_vector(name, array, n)
            found.append(Covariate(name, vector, None))
        else:
            levels, codes = _levels(as_labels(name, array, n))
            if len(levels) < 2:
                raise ValueError(f"{name} has one level only ({levels[0]!s}); leave it out")
            found.append(Covariate(name, codes, levels))
        n = len(array)
    return tuple(found)


def _levels(labels: NDArray[Any]) -> tuple[NDArray[Any], IntArray]:
    """Sorted levels and the code of each row; integers of small range need no sorting."""
    if labels.dtype.kind in "iu":
        low, high = int(labels.min()), int(labels.max())
        if high - low <= 2 * len(labels):
            present = np.bincount(labels - low) > 0
            codes = (np.cumsum(present) - 1)[labels - low]
            return np.flatnonzero(present).astype(labels.dtype) + low, codes
    levels, codes = np.unique(labels, return_inverse=True)
    return levels, codes


def _match(labels: NDArray[Any], levels: NDArray[Any]) -> tuple[IntArray, NDArray[np.bool_]]:
    if labels.dtype.kind != levels.dtype.kind and "U" in (labels.dtype.kind, levels.dtype.kind):
        raise ValueError(
            f"labels must be of the kind that the model was fitted with, such as {levels[0]!r}; "
            f"found {labels[0]!r}"
        )
    codes = np.minimum(np.searchsorted(levels, labels), len(levels) - 1)
    return codes, levels[codes] == labels


def _column(data: Data, name: str) -> ArrayLike:
    try:
        return data[name]
    except KeyError:
        raise ValueError(
            f"data has no column {name}, which the model needs; it has {', '.join(data)}"
        ) from None


def _shortened(levels: NDArray[Any]) -> str:
    shown = ", ".join(str(level) for level in levels[:5])
    return shown + (", ..." if len(levels) > 5 else "")
