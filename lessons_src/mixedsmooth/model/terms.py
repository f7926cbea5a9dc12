"""Terms of a model: what a user writes. Each knows how to make its columns for new data.

``linear(days=days)`` gives columns of X, ``group(subject=subject, days=days)`` columns of Z, and
``smooth(days=days)`` some of both: its random part is a group with one level. A column is an array,
a list, or a column of a data frame; numbers stay numbers, labels become indicators of all levels
but the first (treatment coding).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import as_labels, as_vector
from mixedsmooth.model.bases import Scaling, Smooth, construct

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
class Spline(Covariate):
    """The fixed or the random part of a smooth, as columns of a covariate.

    Attributes
    ----------
    label : str
        What the columns are called, such as ``s(days)``.
    smooth : Smooth
        The basis, split into fixed and random columns.
    random : bool
        Which of the two these are.
    by : Covariate or None
        Numbers that the curve is multiplied by, or labels of which `level` has the curve.
    level : label or None
        The level of `by`.
    """

    label: str
    smooth: Smooth
    random: bool
    by: Covariate | None
    level: Any

    @property
    def names(self) -> list[str]:
        """Names of the columns that it makes."""
        k = self.smooth.to_random.shape[1] if self.random else self.smooth.to_fixed.shape[1]
        return [self.label] if k == 1 else [f"{self.label}.{j + 1}" for j in range(k)]

    def columns(self) -> list[FloatArray]:
        """Return the columns themselves, each of shape (n,)."""
        part = self.smooth.random if self.random else self.smooth.fixed
        columns = part(self.values)
        if self.by is not None:
            columns = columns * self._weight(self.by)[:, None]
        return list(np.ascontiguousarray(columns.T))

    def _weight(self, by: Covariate) -> FloatArray:
        if by.levels is None:
            return np.asarray(by.values, dtype=np.float64)
        chosen = np.flatnonzero(by.levels == self.level)[0]
        return np.where(by.values == chosen, 1.0, 0.0)

    def at(self, data: Data) -> "Spline":
        """Return the part with the values of new data.

        Parameters
        ----------
        data : mapping of str to array_like
            New columns by name.

        Returns
        -------
        Spline
            Of the same basis.

        Raises
        ------
        ValueError
            If a name is missing, a value is not finite, or lengths differ.
        """
        values = as_vector(self.name, _column(data, self.name))
        by = None if self.by is None else self.by.at(data)
        if by is not None and len(by.values) != len(values):
            raise ValueError(
                f"{by.name} has {len(by.values)} rows where {self.name} has {len(values)}"
            )
        return replace(self, values=values, by=by)


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
    scalar : bool
        Whether all effects have one variance and no correlation: the random part of a smooth.
    """

    factor: str
    levels: NDArray[Any]
    codes: IntArray
    intercept: bool
    covariates: tuple[Covariate, ...]
    correlated: bool
    scalar: bool = False

    @property
    def is_curve(self) -> bool:
        """Whether it is the random part of a smooth that all rows share."""
        return self.scalar and len(self.levels) == 1


@dataclass(frozen=True, eq=False)
class Curves:
    """A smooth, or several: fixed columns, and random effects with one variance each.

    Attributes
    ----------
    fixed : tuple of Spline
        What the penalty leaves free: a straight line, or nothing.
    random : tuple of Group
        The penalized part, as effects of a factor with one level; for curves that share their
        smoothing parameter, with a level for each curve.
    """

    fixed: tuple[Spline, ...]
    random: tuple[Group, ...]


Term = Linear | Group | Curves


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
        covariate is not finite or is constant beside an intercept, or there is neither an
        intercept nor a slope.

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
    for covariate in covariates:
        if intercept and np.ptp(covariate.values) == 0:
            raise ValueError(
                f"{covariate.name} is constant, so its slopes cannot be told from the intercepts; "
                "leave it out"
            )
    return Group(factor, levels, codes, intercept, covariates, correlated)


def smooth(
    *,
    basis: str = "cs",
    k: int = 10,
    by: Data | None = None,
    shared: bool = False,
    scaling: Scaling = "norm",
    **columns: ArrayLike,
) -> Curves:
    """Make a smooth of a covariate.

    Parameters
    ----------
    basis : {"cr", "cs", "cc", "ps", "rk"}
        Cubic regression spline, the same with shrinkage, cyclic, P-spline, reproducing kernel; see
        `mixedsmooth.model.bases`.
    k : int
        Size of the basis.
    by : mapping of one name to a column, optional
        Numbers: the curve is multiplied by them, a varying coefficient, whose mean is a `linear`
        term. Labels: a curve for each level, beside a `group` or `linear` term for their means.
    shared : bool
        Whether the curves of all levels of `by` share one smoothing parameter: random curves.
        Their straight-line parts are penalized too where the basis is "cs"; otherwise they belong
        into a `group` term with a slope.
    scaling : {"norm", "mean"}
        Unit of the penalty, today's or the older one of mgcv. It changes the variance of the
        smooth, and no fit.
    **columns : array_like, shape (n,)
        One covariate, by name.

    Returns
    -------
    Curves
        A term for `lmm`.

    Raises
    ------
    ValueError
        If there is not one covariate, it is not finite, constant, or has fewer than k distinct
        values; if basis, k or scaling are unknown; or if `by` does not fit.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> term = smooth(days=ms.load_sleepstudy().days, basis="cr")
    >>> term.fixed[0].names, len(term.random[0].covariates[0].names)
    (['s(days)'], 8)
    """
    if len(columns) != 1:
        raise ValueError(f"smooth() takes one covariate by name, found {len(columns)}")
    ((name, values),) = columns.items()
    x = as_vector(name, values)
    made = construct(x, basis, k, scaling=scaling, name=name)
    if by is None:
        if shared:
            raise ValueError("shared=True is for the curves of the levels of by; name by, too")
        return _curves([(f"s({name})", None, None)], name, x, made)
    if len(by) != 1:
        raise ValueError(f"by takes one column by name, such as by={{'z': z}}, found {len(by)}")
    (factor,) = _covariates(by, n=len(x))
    label = f"s({name}):{factor.name}"
    if factor.levels is None:
        if shared:
            raise ValueError(f"shared=True needs labels in by, and {factor.name} has numbers")
        return _curves([(label, factor, None)], name, x, made)
    if not shared:
        parts = [(f"{label}[{level}]", factor, level) for level in factor.levels]
        return _curves(parts, name, x, made)
    part = Spline(name, x, None, label, made, True, None, None)
    curves = Group(factor.name, factor.levels, factor.values, False, (part,), False, scalar=True)
    return Curves((), (curves,))


def _curves(
    parts: Sequence[tuple[str, Covariate | None, Any]], name: str, x: FloatArray, made: Smooth
) -> Curves:
    fixed, random = [], []
    for label, by, level in parts:
        line = Spline(name, x, None, label, made, False, by, level)
        wiggle = replace(line, random=True)
        if line.names:
            fixed.append(line)
        codes = np.zeros(len(x), dtype=np.intp)
        random.append(Group(label, np.array([label]), codes, False, (wiggle,), False, scalar=True))
    return Curves(tuple(fixed), tuple(random))


def effect_names(term: Linear | Group) -> list[str]:
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
    if term.is_curve:
        return np.zeros(len(np.asarray(_column(data, term.covariates[0].name))), dtype=np.intp)
    codes, known = _match(as_labels(term.factor, _column(data, term.factor)), term.levels)
    return np.where(known, codes, -1)


def _covariates(columns: Mapping[str, ArrayLike], n: int | None = None) -> tuple[Covariate, ...]:
    found: list[Covariate] = []
    for name, values in columns.items():
        array = np.asarray(values)
        if array.dtype.kind not in "biuf":
            array = as_labels(name, array, n)  # text, or the numbers in an array of objects
        if array.dtype.kind in "biuf":
            found.append(Covariate(name, as_vector(name, array, n), None))
        else:
            levels, codes = _levels(array)
            if len(levels) < 2:
                raise ValueError(f"{name} has one level only ({levels[0]!s}); leave it out")
            found.append(Covariate(name, codes, levels))
        n = len(array)
    return tuple(found)


def _levels(labels: NDArray[Any]) -> tuple[NDArray[Any], IntArray]:
    """Sorted levels and the code of each row; integers of small range need no sorting."""
    if labels.dtype.kind in "iu" and labels.dtype != np.uint64:
        whole = labels.astype(np.int64)  # the differences of small integers may be larger
        low, high = int(whole.min()), int(whole.max())
        if high - low <= 2 * len(labels):
            present = np.bincount(whole - low) > 0
            codes = (np.cumsum(present) - 1)[whole - low]
            return (np.flatnonzero(present) + low).astype(labels.dtype), codes
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
