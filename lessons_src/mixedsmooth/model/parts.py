"""Columns by name, and parts: what makes columns of X and Z for any data.

data with names -> Frame, each named column once -> parts, which make columns from a Frame
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import product
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import (
    EXACT,
    as_labels,
    as_matrix,
    as_vector,
    column_of,
    frozen,
    match,
    names_of,
    occurring,
)
from mixedsmooth.model.bases import Basis
from mixedsmooth.model.precision import Precision
from mixedsmooth.model.rows import common_index, index_of
from mixedsmooth.model.structures import Structure

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


class Data(Protocol):
    """Columns by name: a dict, a data frame, a table, a data set."""

    def __getitem__(self, name: str, /) -> Any:
        """Return a column."""


Maker = Callable[[Data], ArrayLike]


@dataclass(frozen=True, eq=False)
class Design:
    """The columns of a `penalized` term, from new data.

    Attributes
    ----------
    name : str
        The term.
    k : int
        Number of columns.
    predict : callable or None
        The reader's function of the data.

    Examples
    --------
    >>> Design("wave", 2, lambda x: [[np.sin(v), np.cos(v)] for v in x])([0.0])
    array([[0., 1.]])
    """

    name: str
    k: int
    predict: Callable[[Any], ArrayLike] | None

    def __call__(self, data: Any) -> FloatArray:
        """Make the columns, shape (m, k)."""
        if self.predict is None:
            raise ValueError(
                f"{self.name} was made without predict, so nothing tells its columns for new data; "
                f'use penalized("{self.name}", Z, S, predict=...), a function of the data'
            )
        Z = as_matrix(f"what predict of {self.name} returns", self.predict(data))
        if Z.shape[1] != self.k:
            raise ValueError(
                f"what predict of {self.name} returns must have {self.k} columns, as Z has, found "
                f"{Z.shape[1]}"
            )
        return Z


@dataclass(frozen=True, eq=False)
class ColumnOf:
    """One column of a `Design`.

    Attributes
    ----------
    design : Design
        All of them.
    j : int
        Which.

    Examples
    --------
    >>> ColumnOf(Design("wave", 2, lambda x: [[np.sin(v), np.cos(v)] for v in x]), 1)([0.0])
    array([1.])
    """

    design: Design
    j: int

    def __call__(self, data: Any) -> FloatArray:
        """Make the column, shape (m,)."""
        return self.design(data)[:, self.j]


# ---- data by name ----


class Labels(NamedTuple):
    """A column of labels: codes of the rows, -1 for a label that is not among the levels.

    Examples
    --------
    >>> dose = Labels(np.array([0, 2, 1, 2]), np.array(["high", "low", "mid"]))
    >>> dose.at(np.array([0, 1]))
    Labels(codes=array([0, 1]), levels=array(['high', 'mid'], dtype='<U4'))
    """

    codes: IntArray
    levels: NDArray[Any]

    def at(self, rows: IntArray) -> "Labels":
        """Return some rows, where no label is missing; levels that these do not have are gone."""
        levels, codes = occurring(self.levels, self.codes[rows])
        return Labels(frozen(codes), frozen(levels))


@dataclass(frozen=True, eq=False)
class Frame:
    """Named columns of n rows, read-only: numbers, and labels with their levels.

    Attributes
    ----------
    n : int
        Number of rows.
    numbers : mapping of str to ndarray, each of shape (n,)
        Covariates; NaN where a value is missing, in the frame of a `Source` only.
    labels : mapping of str to Labels
        Labels of covariates and of groups; those of crossed factors under ``"a:b"``.
    made : mapping of str to callable
        How columns that are functions of others are made from data; the rest are read by name.

    Examples
    --------
    >>> frame = Frame(3, {"days": np.array([0.0, 1.0, 2.0])}, {})
    >>> frame.at(np.array([0, 2])).numbers
    {'days': array([0., 2.])}
    """

    n: int
    numbers: Mapping[str, FloatArray]
    labels: Mapping[str, Labels]
    made: Mapping[str, Maker] = field(default_factory=dict)

    def at(self, rows: IntArray) -> "Frame":
        """Return some rows, where nothing is missing; levels that these do not have are gone."""
        numbers = {name: frozen(values[rows]) for name, values in self.numbers.items()}
        labels = {name: column.at(rows) for name, column in self.labels.items()}
        return replace(self, n=len(rows), numbers=numbers, labels=labels)

    def codes(self, name: str, levels: NDArray[Any]) -> IntArray:
        """Return which of some levels each row has, -1 for none: terms may have their own."""
        codes, known = self.labels[name]
        if known is levels or np.array_equal(known, levels):
            return codes
        return np.append(match(name, known, levels), -1)[codes]


class Input(NamedTuple):
    """A column that a part or a group reads from new data: numbers, or labels of known levels."""

    name: str
    levels: NDArray[Any] | None = None


def merged(frames: Sequence[Frame]) -> Frame:
    """Put the columns of all terms together, each name once.

    Parameters
    ----------
    frames : sequence of Frame
        Those of the terms, of one length.

    Returns
    -------
    Frame
        All columns.

    Raises
    ------
    ValueError
        If a name stands for two different columns, or lengths differ.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> days = ms.linear(days=[0, 1, 2]).frame
    >>> frame = merged([days, ms.group(subject=["a", "a", "b"]).frame])
    >>> list(frame.numbers), list(frame.labels)
    (['days'], ['subject'])
    >>> merged([days, ms.linear(days=[0, 1, 3]).frame])
    Traceback (most recent call last):
    ValueError: days names two different columns, 2.0 and 3.0 in row 2; ...
    """
    numbers: dict[str, FloatArray] = {}
    labels: dict[str, Labels] = {}
    made: dict[str, Maker] = {}
    for frame in frames:
        if frame.n != frames[0].n:
            name = next(iter([*frame.numbers, *frame.labels]))
            raise ValueError(
                f"{name} has {frame.n} rows where the other columns have {frames[0].n}; give one "
                "row for each observation"
            )
        made |= frame.made
        for name, values in frame.numbers.items():
            same_column(name, numbers.setdefault(name, values), values)
        for name, (codes, levels) in frame.labels.items():
            known = labels.setdefault(name, Labels(codes, levels))
            if known.codes is not codes:
                same_column(name, known.levels[known.codes], levels[codes])
    for name in numbers.keys() & labels.keys():
        codes, levels = labels[name]
        same_column(name, numbers[name], levels[codes])
    return Frame(frames[0].n, numbers, labels, made)


def same_column(name: str, one: NDArray[Any], other: NDArray[Any]) -> None:
    """Raise if a name stands for two different columns.

    Parameters
    ----------
    name : str
        The name.
    one, other : ndarray, each of shape (n,)
        What it stands for; missing values, NaN, are the same.

    Raises
    ------
    ValueError
        If they differ, with the first row where they do.

    Examples
    --------
    >>> same_column("days", np.array([0.0, np.nan]), np.array([0.0, np.nan]))
    """
    if one is other:
        return
    differ = (one != other) & ((one == one) | (other == other))  # both NaN is the same
    if differ.any():
        row = int(np.argmax(differ))
        raise ValueError(
            f"{name} names two different columns, {one[row]} and {other[row]} in row {row}; give "
            "each column a name of its own"
        )


def read(
    data: Data, inputs: Iterable[Input], made: Mapping[str, Maker] = MappingProxyType({})
) -> Frame:
    """Read the columns that a model needs from new data.

    Parameters
    ----------
    data : mapping of str to array_like
        New columns by name: a dict, a data frame.
    inputs : iterable of Input
        What is needed.
    made : mapping of str to callable, optional
        How columns that are functions of others are made.

    Returns
    -------
    Frame
        The columns, labels coded with the old levels.

    Raises
    ------
    ValueError
        If a name is missing, a value is not finite, or lengths or the indexes of pandas differ.

    Examples
    --------
    >>> weeks = {"weeks": lambda data: np.asarray(data["days"]) / 7}
    >>> frame = read({"days": [0, 14]}, [Input("days"), Input("weeks")], weeks)
    >>> frame.n, frame.numbers["days"], frame.numbers["weeks"]
    (2, array([ 0., 14.]), array([0., 2.]))
    """
    numbers, labels, indexes = {}, {}, []
    wanted: dict[tuple[str, bool], Input] = {}
    for each in inputs:
        key = each.name, each.levels is None
        known = wanted.setdefault(key, each)
        if known.levels is not None and each.levels is not None and each is not known:
            # terms may have their own levels of one factor: all are read
            more = each.levels[match(each.name, each.levels, known.levels) < 0]
            if len(more):
                wanted[key] = Input(each.name, np.concatenate([known.levels, more]))
    designs: dict[str, FloatArray] = {}  # each is made once for all its columns
    for name, levels in wanted.values():
        maker = made.get(name)
        if isinstance(maker, ColumnOf):
            if maker.design.name not in designs:
                designs[maker.design.name] = maker.design(data)
            column: Any = designs[maker.design.name][:, maker.j]
        else:
            column = maker(data) if maker else column_of(data, name)
        indexes.append((name, index_of(column)))
        if levels is None:
            numbers[name] = as_vector(name, column)
        else:
            labels[name] = Labels(match(name, column, levels), levels)
    common_index(indexes)
    lengths = {name: len(values) for name, values in numbers.items()}
    lengths |= {name: len(codes) for name, (codes, _) in labels.items()}
    if not lengths:  # an intercept alone needs no column, and the data tell how many rows
        lengths = {name: np.size(column_of(data, name)) for name in names_of(data)}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"data must have columns of one length; found {lengths}")
    return Frame(next(iter(lengths.values())), numbers, labels, made)


def joined_labels(columns: Mapping[str, ArrayLike]) -> NDArray[Any]:
    """Return labels, those of several columns joined by a colon.

    Parameters
    ----------
    columns : mapping of str to array_like, each of shape (n,)
        Labels of factors that are crossed.

    Returns
    -------
    ndarray, shape (n,)
        Labels.

    Raises
    ------
    ValueError
        If a label of a column but the last has a colon, or lengths differ.

    Examples
    --------
    >>> joined_labels({"school": ["a", "b"], "year": [1, 1]})
    array(['a:1', 'b:1'], dtype='<U...')
    """
    if len(columns) == 1:
        ((name, column),) = columns.items()
        return as_labels(name, column)
    texts: list[NDArray[np.str_]] = []
    for name, column in columns.items():
        labels = as_labels(name, column, len(texts[0]) if texts else None)
        if labels.dtype.kind == "f":  # 2.0 is the label 2, whatever stands in the other rows
            whole = (np.abs(labels) < EXACT) & (labels == np.round(labels))
            text = labels.astype(np.str_)
            text[whole] = labels[whole].astype(np.int64)
            labels = text
        elif labels.dtype.kind == "M":  # 2020-01-31, or 2020-01-31T1430, whatever their unit
            labels = np.char.replace(np.datetime_as_string(labels, unit="auto"), ":", "")
        labels = labels.astype(np.str_)
        # all but the last are split off at the first colons, so the last may have more of them
        if len(texts) < len(columns) - 1 and np.any(np.char.find(labels, ":") >= 0):
            raise ValueError(
                f"{name} has a label with a colon, which would be ambiguous in "
                f"{':'.join(columns)}; let {name} stand last, or write its labels without colons"
            )
        texts.append(labels)
    return reduce(lambda joined, text: np.char.add(np.char.add(joined, ":"), text), texts)


# ---- parts: what makes columns ----


@dataclass(frozen=True, eq=False)
class Part:
    """Some columns of X, or what the effects of a level multiply; this one, a numeric covariate.

    Attributes
    ----------
    name : str
        The covariate.

    Examples
    --------
    >>> frame = read({"days": [0, 9]}, [Input("days")])
    >>> Part("days").names, Part("days").columns(frame)
    (['days'], [array([0., 9.])])
    """

    name: str

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [self.name]

    @property
    def inputs(self) -> list[Input]:
        """What is read from the data."""
        return [Input(self.name)]

    def columns(self, frame: Frame) -> list[FloatArray]:
        """Make the columns, each of shape (n,)."""
        return [frame.numbers[self.name]]


@dataclass(frozen=True, eq=False)
class Intercept(Part):
    """A column of ones.

    Examples
    --------
    >>> Intercept().names, Intercept().columns(Frame(2, {}, {}))
    (['(Intercept)'], [array([1., 1.])])
    """

    name: str = "(Intercept)"

    @property
    def inputs(self) -> list[Input]:
        """Nothing is read."""
        return []

    def columns(self, frame: Frame) -> list[FloatArray]:
        """Ones."""
        return [np.ones(frame.n)]


@dataclass(frozen=True, eq=False)
class Categories(Part):
    """Indicators of the levels of a covariate with labels.

    Attributes
    ----------
    levels : ndarray
        Labels of the covariate, the first of them the baseline.
    first : int
        First level with a column: 1 for treatment coding; 0 where no intercept stands beside it.

    Examples
    --------
    >>> dose = Categories("dose", np.array(["high", "low", "none"]))
    >>> frame = read({"dose": ["low", "high"]}, dose.inputs)
    >>> dose.names, dose.columns(frame)
    (['dose[low]', 'dose[none]'], [array([1., 0.]), array([0., 0.])])
    """

    levels: NDArray[Any]
    first: int = 1

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [f"{self.name}[{level}]" for level in self.levels[self.first :]]

    @property
    def inputs(self) -> list[Input]:
        """The covariate."""
        return [Input(self.name, self.levels)]

    def columns(self, frame: Frame) -> list[FloatArray]:
        """Make the indicators, each of shape (n,)."""
        codes = frame.codes(self.name, self.levels)
        return [(codes == code).astype(float) for code in range(self.first, len(self.levels))]


@dataclass(frozen=True, eq=False)
class Product(Part):
    """Products of the columns of several covariates: an interaction.

    Attributes
    ----------
    factors : tuple of Part
        The covariates, which `name` joins by colons.

    Examples
    --------
    >>> both = Product("dose:days", (Categories("dose", np.array(["high", "low"])), Part("days")))
    >>> frame = read({"dose": ["low", "high"], "days": [3, 4]}, both.inputs)
    >>> both.names, both.columns(frame)
    (['dose[low]:days'], [array([3., 0.])])
    """

    factors: tuple[Part, ...]

    @property
    def names(self) -> list[str]:
        """Names of the columns; as in R, the levels of the first factor change fastest."""
        backwards = product(*(factor.names for factor in reversed(self.factors)))
        return [":".join(names[::-1]) for names in backwards]

    @property
    def inputs(self) -> list[Input]:
        """The covariates."""
        return [each for factor in self.factors for each in factor.inputs]

    def columns(self, frame: Frame) -> list[FloatArray]:
        """Return the products, each of shape (n,)."""
        backwards = product(*(factor.columns(frame) for factor in reversed(self.factors)))
        return [np.multiply.reduce(columns[::-1]) for columns in backwards]


@dataclass(frozen=True, eq=False)
class Bundle(Part):
    """Several parts that count as one covariate: the columns of a polynomial.

    Attributes
    ----------
    parts : tuple of Part
        The parts.

    Examples
    --------
    >>> curve = Bundle("curve", (Part("days"), Part("days^2")))
    >>> curve.names
    ['days', 'days^2']
    """

    parts: tuple[Part, ...]

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return [name for part in self.parts for name in part.names]

    @property
    def inputs(self) -> list[Input]:
        """What the parts read."""
        return [each for part in self.parts for each in part.inputs]

    def columns(self, frame: Frame) -> list[FloatArray]:
        """Make the columns, each of shape (n,)."""
        return [column for part in self.parts for column in part.columns(frame)]


@dataclass(frozen=True, eq=False)
class SmoothPart(Part):
    """The fixed columns of a smooth, or a block of random ones.

    Attributes
    ----------
    name : str
        What the smooth is called, such as ``s(days)``.
    basis : Basis
        Basis over named covariates.
    to : ndarray, shape (k, r)
        Takes the coefficients of the columns to those of the basis.
    by : Input or None
        Numbers that the curve is multiplied by, or labels of which `level` has the curve.
    level : int
        Code of the level of `by`.
    block : str
        Which block it is of a smooth that has several.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> (line,) = ms.smooth(days=[0, 1, 2, 3, 4], basis="cr", k=4).fixed
    >>> (column,) = line.columns(read({"days": [0, 4]}, line.inputs))
    >>> line.names, column.round(3)
    (['s(days)'], array([-0.671, 0.671]))
    """

    basis: Basis
    to: FloatArray
    by: Input | None = None
    level: int = 0
    block: str = ""

    @property
    def label(self) -> str:
        """Name of the block: that of the smooth, and which block it is."""
        return f"{self.name}.{self.block}" if self.block else self.name

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        r = self.to.shape[1]
        return [self.label] if r == 1 else [f"{self.label}.{j + 1}" for j in range(r)]

    @property
    def inputs(self) -> list[Input]:
        """The covariates, and `by`."""
        return [Input(name) for name in self.basis.names] + ([self.by] if self.by else [])

    def columns(self, frame: Frame) -> list[FloatArray]:
        """Make the columns, each of shape (n,)."""
        columns = self.basis.columns(*self._covariates(frame)) @ self.to
        if self.by is not None:
            columns = columns * self._multiplier(frame)[:, None]
        return list(np.ascontiguousarray(columns.T))

    def beyond(self, frame: Frame) -> FloatArray:
        """Return the variance, over tau^2, that no columns have: of a process at new places."""
        if self.basis.beyond is None:
            return np.zeros(frame.n)
        variance = self.basis.beyond(*self._covariates(frame))
        return variance if self.by is None else variance * self._multiplier(frame) ** 2

    def _covariates(self, frame: Frame) -> list[FloatArray]:
        return [frame.numbers[name] for name in self.basis.names]

    def _multiplier(self, frame: Frame) -> FloatArray:
        assert self.by is not None
        if self.by.levels is None:
            return frame.numbers[self.by.name]
        codes = frame.codes(self.by.name, self.by.levels)
        return np.asarray(codes == self.level, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class FieldPart(Part):
    """Effects of levels that depend on each other, as columns of independent effects.

    Attributes
    ----------
    name : str
        What the columns are called.
    factor : str
        The factor.
    to : ndarray, shape (m, r)
        Takes the coefficients of the columns to effects of the levels.
    effect : Part
        What the effect of a level multiplies: an intercept, or numbers.
    structure : Structure
        What is known of the levels.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> known = (["a", "b"], [[4.0, 2.0], [2.0, 2.0]])
    >>> (part,) = ms.group(g=["a", "b", "b"], covariance=known).parts
    >>> print(part.to)
    [[2. 0.]
     [1. 1.]]
    >>> part.columns(read({"g": ["b", "a"]}, part.inputs))
    [array([1., 2.]), array([1., 0.])]
    """

    factor: str
    to: FloatArray
    effect: Part
    structure: Structure

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        r = self.to.shape[1]
        return [self.name] if r == 1 else [f"{self.name}.{j + 1}" for j in range(r)]

    @property
    def inputs(self) -> list[Input]:
        """The factor, and numbers."""
        return [Input(self.factor, self.structure.levels), *self.effect.inputs]

    def columns(self, frame: Frame) -> list[FloatArray]:
        """Make the columns, each of shape (n,)."""
        (values,) = self.effect.columns(frame)
        codes = frame.codes(self.factor, self.structure.levels)
        return list(np.ascontiguousarray((self.to[codes] * values[:, None]).T))


@dataclass(frozen=True, eq=False)
class SparseFieldPart(Part):
    """What the effects of many levels multiply that depend on each other, each level's its own.

    Attributes
    ----------
    name : str
        The factor.
    effect : Part
        An intercept, or numbers.
    structure : Structure
        What is known of the levels.
    precision : Precision
        The same, as the engine takes it.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> line = ms.neighbours([(i, i + 1) for i in range(2_000)])
    >>> (part,) = ms.group(place=[0, 0, 7, 1_000], precision=line).parts
    >>> part.names, part.columns(read({"place": [3, 4]}, part.inputs)), part.precision.rank
    (['(Intercept)'], [array([1., 1.])], 2000)
    """

    effect: Part
    structure: Structure
    precision: Precision

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        return self.effect.names

    @property
    def inputs(self) -> list[Input]:
        """The factor, and numbers."""
        return [Input(self.name, self.structure.levels), *self.effect.inputs]

    def columns(self, frame: Frame) -> list[FloatArray]:
        """Make the column, of shape (n,)."""
        return self.effect.columns(frame)


def coded(parts: Sequence[Part]) -> tuple[Part, ...]:
    """Return the parts; without an intercept the first labels have a column for each level.

    Parameters
    ----------
    parts : sequence of Part
        With treatment coding.

    Returns
    -------
    tuple of Part
        As R's ``0 + f`` has them.

    Examples
    --------
    >>> [part.names for part in coded([Categories("dose", np.array(["high", "low"]))])]
    [['dose[high]', 'dose[low]']]
    """
    if any(isinstance(part, Intercept) for part in parts):
        return tuple(parts)
    first = next((part for part in parts if isinstance(part, Categories)), None)
    return tuple(replace(first, first=0) if first and part is first else part for part in parts)
