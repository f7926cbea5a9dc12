"""Terms of a model: what a user writes. Each knows how to make its columns for any data.

``linear(days=days)`` gives columns of X, ``group(subject=subject, days=days)`` columns of Z, and
``smooth(days=days)`` some of both: its random part is a group with one level. A column is an array,
a list, or a column of a data frame; numbers stay numbers, labels become indicators of all levels
but the first (treatment coding).

    what the user wrote -> Frame, each named column once, and Parts, which make columns from a Frame
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from itertools import product
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import (
    EXACT,
    LabelColumn,
    as_covariate,
    as_labels,
    as_vector,
    column_of,
    flag,
    frozen,
    match,
    names_of,
    occurring,
)
from mixedsmooth.model.bases import Basis
from mixedsmooth.model.covariance import Covariance, Diagonal, Full, Scalar
from mixedsmooth.model.rows import (
    SHOWN,
    Check,
    as_column,
    common_index,
    index_of,
    label_column,
    number_column,
)
from mixedsmooth.model.smooths import Scaling, construct
from mixedsmooth.model.syntax import quoted

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]


class Data(Protocol):
    """Columns by name: a dict, a data frame, a table, a data set."""

    def __getitem__(self, name: str, /) -> Any:
        """Return a column."""


Maker = Callable[[Data], ArrayLike]


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
    >>> days = linear(days=[0, 1, 2]).frame
    >>> frame = merged([days, group(subject=["a", "a", "b"]).frame])
    >>> list(frame.numbers), list(frame.labels)
    (['days'], ['subject'])
    >>> merged([days, linear(days=[0, 1, 3]).frame])
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
            _same(name, numbers.setdefault(name, values), values)
        for name, (codes, levels) in frame.labels.items():
            known = labels.setdefault(name, Labels(codes, levels))
            if known.codes is not codes:
                _same(name, known.levels[known.codes], levels[codes])
    for name in numbers.keys() & labels.keys():
        codes, levels = labels[name]
        _same(name, numbers[name], levels[codes])
    return Frame(frames[0].n, numbers, labels, made)


def _same(name: str, one: NDArray[Any], other: NDArray[Any]) -> None:
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
    for name, levels in inputs:
        column = made[name](data) if name in made else column_of(data, name)
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
        codes = frame.labels[self.name].codes
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
        What the columns are called, such as ``s(days)``.
    basis : Basis
        Basis over named covariates.
    to : ndarray, shape (k, r)
        Takes the coefficients of the columns to those of the basis.
    by : Input or None
        Numbers that the curve is multiplied by, or labels of which `level` has the curve.
    level : int
        Code of the level of `by`.

    Examples
    --------
    >>> (line,) = smooth(days=[0, 1, 2, 3, 4], basis="cr", k=4).fixed
    >>> (column,) = line.columns(read({"days": [0, 4]}, line.inputs))
    >>> line.names, column.round(3)
    (['s(days)'], array([-0.671, 0.671]))
    """

    basis: Basis
    to: FloatArray
    by: Input | None = None
    level: int = 0

    @property
    def names(self) -> list[str]:
        """Names of the columns."""
        r = self.to.shape[1]
        return [self.name] if r == 1 else [f"{self.name}.{j + 1}" for j in range(r)]

    @property
    def inputs(self) -> list[Input]:
        """The covariates, and `by`."""
        return [Input(name) for name in self.basis.names] + ([self.by] if self.by else [])

    def columns(self, frame: Frame) -> list[FloatArray]:
        """Make the columns, each of shape (n,)."""
        columns = self.basis.columns(*(frame.numbers[name] for name in self.basis.names)) @ self.to
        if self.by is not None and self.by.levels is None:
            columns = columns * frame.numbers[self.by.name][:, None]
        elif self.by is not None:
            columns = columns * (frame.labels[self.by.name].codes == self.level)[:, None]
        return list(np.ascontiguousarray(columns.T))


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


# ---- terms ----


@dataclass(frozen=True, eq=False)
class Source:
    """What a term was made from, and how: to make it again from some of its rows.

    Attributes
    ----------
    frame : Frame
        The columns as they were given, with missing values: NaN, or a code of -1.
    make : callable
        Makes the term from a frame without missing values.
    incomplete : tuple of str
        Names of the columns that miss values.
    baselines : mapping of str to object
        First levels that were asked for by name.
    index : pandas.Index or None
        Names of the rows.

    Examples
    --------
    >>> term = linear(days=[0, 1, None, 3])
    >>> term.frame.n, term.source.missing
    (3, {'days': array([False, False,  True, False])})
    >>> term.source.at(np.array([1, 3])).frame.numbers["days"]
    array([1., 3.])
    """

    frame: Frame
    make: Callable[[Frame], Any]
    incomplete: tuple[str, ...]
    baselines: Mapping[str, Any]
    index: Any

    @property
    def name(self) -> str:
        """Name of one of the columns."""
        return next(iter([*self.frame.numbers, *self.frame.labels]))

    @property
    def missing(self) -> dict[str, NDArray[np.bool_]]:
        """Where the columns miss values, of those that do."""
        numbers, labels = self.frame.numbers, self.frame.labels
        return {
            name: np.isnan(numbers[name]) if name in numbers else labels[name].codes < 0
            for name in self.incomplete
        }

    def at(self, rows: IntArray) -> Any:
        """Make the term from some rows, where nothing is missing."""
        frame = self.frame.at(rows)
        for name, first in self.baselines.items():
            if frame.labels[name].levels[0] != first:
                raise ValueError(
                    f"{name} has no row left with {first!s}, its first level; name another"
                )
        return self.make(frame)


@dataclass(frozen=True, eq=False)
class Linear:
    """Fixed effects, linear in their columns.

    Attributes
    ----------
    intercept : bool
        Whether there is a column of ones.
    parts : tuple of Part
        The others.
    frame : Frame
        Their data, of the rows where none is missing.
    source : Source or None
        What the term was made from; None if its parts were put together by hand.
    """

    intercept: bool
    parts: tuple[Part, ...]
    frame: Frame
    source: Source | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class Group:
    """Random effects of a grouping factor: for each level an intercept, slopes, or a curve.

    Attributes
    ----------
    factor : str
        Name of the grouping factor.
    levels : ndarray, shape (m,)
        Its labels; for the random part of a smooth, one.
    parts : tuple of Part
        What the effects of a level multiply.
    covariance : Covariance
        Covariance of the effects of a level.
    frame : Frame
        Their data, of the rows where none is missing.
    source : Source or None
        What the term was made from; None if its parts were put together by hand.

    Examples
    --------
    >>> term = group(subject=["a", "a", "b"], days=[0, 1, 2])
    >>> term.names, term.covariance
    (['(Intercept)', 'days'], Full(k=2))
    >>> print(term.codes(term.frame), *term.columns(term.frame))
    [0 0 1] [1. 1. 1.] [0. 1. 2.]
    """

    factor: str
    levels: NDArray[Any]
    parts: tuple[Part, ...]
    covariance: Covariance
    frame: Frame
    source: Source | None = field(default=None, repr=False)

    @property
    def names(self) -> list[str]:
        """Names of the effects of a level."""
        return [name for part in self.parts for name in part.names]

    @property
    def is_smooth(self) -> bool:
        """Whether it is the random part of a smooth."""
        return isinstance(self.parts[0], SmoothPart)

    @property
    def is_curve(self) -> bool:
        """Whether it is the random part of a smooth with one level, which needs no factor."""
        return self.is_smooth and len(self.levels) == 1

    @property
    def factor_inputs(self) -> list[Input]:
        """The grouping factor, where there is one."""
        return [] if self.is_curve else [Input(self.factor, self.levels)]

    def codes(self, frame: Frame) -> IntArray:
        """Level of each row."""
        if self.is_curve:
            return np.zeros(frame.n, dtype=np.intp)
        return frame.labels[self.factor].codes

    def columns(self, frame: Frame) -> list[FloatArray]:
        """Make what the effects of a level multiply, each of shape (n,)."""
        return [column for part in self.parts for column in part.columns(frame)]


@dataclass(frozen=True, eq=False)
class Smooth:
    """A smooth, or one for each level: fixed columns, and blocks of random effects.

    Attributes
    ----------
    fixed : tuple of SmoothPart
        What the penalty leaves free: a straight line, or nothing.
    random : tuple of Group
        The penalized part, as effects of a factor with one level; for curves that share their
        smoothing parameter, with a level for each curve.
    frame : Frame
        Their data, of the rows where none is missing.
    text : str
        How a formula writes it.
    source : Source or None
        What the term was made from; None if its parts were put together by hand.
    """

    fixed: tuple[SmoothPart, ...]
    random: tuple[Group, ...]
    frame: Frame
    text: str
    source: Source | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class Offset:
    """A known part of the linear predictor, which is made from data as columns of X are.

    Attributes
    ----------
    parts : tuple of Part
        Its columns; their sum is the offset.
    frame : Frame
        Their data.
    """

    parts: tuple[Part, ...]
    frame: Frame


Term = Linear | Group | Smooth | Offset
T = TypeVar("T", Linear, Group, Smooth)


def linear(columns: Data | None = None, /, *, intercept: bool = True, **named: ArrayLike) -> Linear:
    """Make the fixed effects: an intercept and covariates.

    Parameters
    ----------
    columns : mapping of str to array_like, optional
        Covariates whose names cannot be keywords: a dict, a data frame.
    intercept : bool
        Whether to add a column of ones. Without one in the model, the first covariate with labels
        has a column for each level.
    **named : array_like, each of shape (n,)
        Covariates by name: numbers, or labels. The baseline is the first level in sorted order; for
        categorical data, the first category.

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
    >>> linear(days=[0, 1, 2], dose=["low", "high", "low"]).parts[1].names
    ['dose[low]']
    """
    given = _given("linear", columns, named)
    if not given and not flag("intercept", intercept):
        raise ValueError("linear() has no columns; name at least one, or leave it out")
    read = [(name, as_covariate, values) for name, values in given.items()]
    return _made(read, partial(_linear, list(given), flag("intercept", intercept)))


def _linear(names: Sequence[str], intercept: bool, frame: Frame) -> Linear:
    return Linear(intercept, _parts(frame, names), frame)


def group(
    columns: Data | None = None,
    /,
    *,
    correlated: bool = True,
    intercept: bool = True,
    **named: ArrayLike,
) -> Group:
    """Make the random effects of a grouping factor.

    ``group(subject=s)`` is lme4's ``(1 | s)``; ``group(subject=s, days=d)`` is ``(d | s)``;
    with ``correlated=False`` it is ``(d || s)``, and with ``intercept=False`` ``(0 + d | s)``.

    Parameters
    ----------
    columns : mapping of str to array_like, optional
        Columns whose names cannot be keywords: a dict, a data frame. They come first.
    correlated : bool
        Whether the effects of one level may be correlated.
    intercept : bool
        Whether each level has an intercept of its own.
    **named : array_like, each of shape (n,)
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
    given = _given("group", columns, named)
    if not given:
        raise ValueError("group() needs a grouping factor: group(subject=labels)")
    (factor, labels), *slopes = given.items()
    ones = (Intercept(),) if flag("intercept", intercept) else ()
    read = [(factor, label_column, labels), *((name, as_covariate, x) for name, x in slopes)]
    names = [name for name, _ in slopes]
    return _made(read, partial(_group, factor, names, ones, flag("correlated", correlated)))


def _group(
    factor: str, slopes: Sequence[str], ones: tuple[Part, ...], correlated: bool, frame: Frame
) -> Group:
    parts = ones + _parts(frame, slopes)
    return group_of(factor, frame.labels[factor], parts, frame, correlated)


def group_of(
    name: str, factor: Labels, parts: Sequence[Part], frame: Frame, correlated: bool
) -> Group:
    """Make the random effects of a grouping factor from its codes and parts.

    Parameters
    ----------
    name : str
        Name of the factor; of crossed ones ``"a:b"``.
    factor : Labels
        Its codes and levels.
    parts : sequence of Part
        What the effects of a level multiply.
    frame : Frame
        Data of the parts.
    correlated : bool
        Whether the effects of one level may be correlated.

    Returns
    -------
    Group
        A term for `lmm`.

    Raises
    ------
    ValueError
        As `group`.

    Examples
    --------
    >>> classes = Labels(np.array([0, 0, 1, 2]), np.array(["a:1", "a:2", "b:1"]))
    >>> term = group_of("school:class", classes, [Intercept()], Frame(4, {}, {}), correlated=True)
    >>> term.factor, term.names, len(term.levels)
    ('school:class', ['(Intercept)'], 3)
    """
    codes, levels = factor
    if len(levels) < 2:
        raise ValueError(
            f"{name} has one level only ({levels[0]!s}): a random effect needs at least two "
            "groups; check the labels or leave the term out"
        )
    if not parts:
        raise ValueError(f"group({name}=...) has neither an intercept nor a slope; add one")
    parts = coded(parts)
    n = len(codes)
    whole = merged([Frame(n, {}, {name: factor}), frame if frame.n else replace(frame, n=n)])
    columns = [column for part in parts for column in part.columns(whole)]
    if isinstance(parts[0], Intercept):
        names = [name for part in parts for name in part.names]
        for constant in (c for c, column in enumerate(columns[1:], 1) if np.ptp(column) == 0):
            raise ValueError(
                f"{names[constant]} is constant, so its slopes cannot be told from the intercepts; "
                "leave it out"
            )
    covariance = Full(len(columns)) if correlated else Diagonal(len(columns))
    return Group(name, levels, parts, covariance, whole)


def smooth(
    columns: Data | None = None,
    /,
    *,
    basis: str = "cs",
    k: int = 10,
    by: Data | None = None,
    shared: bool = False,
    scaling: Scaling = "norm",
    **named: ArrayLike,
) -> Smooth:
    """Make a smooth of a covariate.

    Parameters
    ----------
    columns : mapping of one name to a column, optional
        The covariate, where its name cannot be a keyword: ``smooth({"period": p}, k=4)``.
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
    **named : array_like, shape (n,)
        One covariate, by name.

    Returns
    -------
    Smooth
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
    >>> term.fixed[0].names, len(term.random[0].names)
    (['s(days)'], 8)
    """
    given = _given("smooth", columns, named)
    if len(given) != 1:
        raise ValueError(f"smooth() takes one covariate by name, found {len(given)}")
    ((name, values),) = given.items()
    read, of_by = [(name, number_column, values)], None
    if by is not None:
        if len(names_of(by)) != 1:
            raise ValueError(
                f"by takes one column by name, such as by={{'z': z}}, found {len(names_of(by))}"
            )
        ((of_by, multiplier),) = _given("by", by, {}).items()
        read.append((of_by, as_covariate, multiplier))
    return _made(read, partial(_smooth, name, of_by, basis, k, flag("shared", shared), scaling))


def _smooth(
    name: str,
    by: str | None,
    basis: str,
    k: int,
    shared: bool,
    scaling: Scaling,
    frame: Frame,
) -> Smooth:
    made = construct(frame.numbers[name], basis, k, scaling=scaling, name=name)
    label, factor = f"s({name})", None
    if by is not None:
        ((factor,),) = (part.inputs for part in _parts(frame, [by]))
        label = f"{label}:{by}"
    text = _smooth_text(name, factor, bs=basis, k=k, shared=shared, scaling=scaling)
    if shared:
        if factor is None:
            raise ValueError("shared=True is for the curves of the levels of by; name by, too")
        if factor.levels is None:
            raise ValueError(f"shared=True needs labels in by, and {factor.name} has numbers")
        blocks = [SmoothPart(label, made.basis, to) for to in made.to_random]
        return Smooth((), tuple(_blocks(factor.name, factor.levels, blocks, frame)), frame, text)
    curves = [label]
    if factor is not None and factor.levels is not None:
        curves = [f"{label}[{level}]" for level in factor.levels]
    elif factor is not None and not frame.numbers[factor.name].any():
        raise ValueError(f"{factor.name} is zero in every row, so the curve has no effect")
    fixed: list[SmoothPart] = []
    random: list[Group] = []
    for code, curve in enumerate(curves):
        line, *blocks = (
            SmoothPart(curve, made.basis, to, factor, code)
            for to in (made.to_fixed, *made.to_random)
        )
        fixed += [line] if line.names else []
        random += _blocks(curve, np.array([curve]), blocks, frame)
    return Smooth(tuple(fixed), tuple(random), frame, text)


def _smooth_text(name: str, by: Input | None, **options: Any) -> str:
    """Write a smooth as a formula does, with the options that are not the usual ones."""
    usual = {"bs": "cs", "k": 10, "shared": False, "scaling": "norm"}
    given = {option: value for option, value in options.items() if value != usual[option]}
    written = [f'{o}="{v}"' if isinstance(v, str) else f"{o}={v}" for o, v in given.items()]
    return f"s({', '.join([quoted(name), *([f'by={quoted(by.name)}'] if by else []), *written])})"


def labels(values: ArrayLike, *, first: Any) -> "LabelColumn | pd.Series":
    """Make a column of labels whose first level, the baseline, is named.

    Parameters
    ----------
    values : array_like, shape (n,)
        Labels of any kind. Missing ones stay missing.
    first : label
        The level that comes first. The others keep their order: sorted, or that of the categories.

    Returns
    -------
    LabelColumn or pandas.Series
        A column for `linear`, `group` and `smooth`, and for data with names. Of a column of pandas,
        a column with categories.

    Raises
    ------
    ValueError
        If no row has the label `first`, or as `group` tells for its labels.

    Examples
    --------
    >>> dose = labels(["low", "none", "high", "none"], first="none")
    >>> dose.levels.tolist(), linear(dose=dose).parts[0].names
    (['none', 'high', 'low'], ['dose[high]', 'dose[low]'])
    """
    codes, found, _ = as_column(label_column, "values", values)
    levels = np.asarray(found)
    try:
        baseline = int(match("first", [first], levels)[0])
    except ValueError:  # it is no label, or not of their kind
        baseline = -1
    if baseline < 0:
        known = ", ".join(map(str, levels[:SHOWN])) + (", ..." if len(levels) > SHOWN else "")
        raise ValueError(f"first must be one of the labels {known}; found {first!r:.80}")
    order = np.array([baseline, *(code for code in range(len(levels)) if code != baseline)])
    rank = np.append(np.argsort(order), -1)  # the last is that of a missing label
    column = LabelColumn(frozen(rank[codes]), frozen(levels[order]))
    index = index_of(values)
    if index is None:
        return column
    import pandas as pd

    categories = pd.Categorical.from_codes(column.codes, column.levels)
    return pd.Series(categories, index=index, name=getattr(values, "name", None))


def _blocks(
    factor: str, levels: NDArray[Any], blocks: Sequence[SmoothPart], frame: Frame
) -> list[Group]:
    """Random effects of one variance for each penalized block of a smooth."""
    return [Group(factor, levels, (block,), Scalar(len(block.names)), frame) for block in blocks]


# ---- terms as a formula ----


def written(terms: Sequence[Term]) -> str | None:
    """Write terms as a formula, with the response y.

    Parameters
    ----------
    terms : sequence of Linear, Group or Smooth
        As a user makes them: not those of a formula, which has its own text.

    Returns
    -------
    str or None
        The formula; None if there is none for these terms.

    Examples
    --------
    >>> subject, days = ["a", "a", "b", "b"], [0, 1, 2, 3]
    >>> written([smooth(days=days, k=4), group(subject=subject, days=days, correlated=False)])
    'y ~ 1 + s(days, k=4) + (days || subject)'
    """
    linear = [term for term in terms if isinstance(term, Linear)]
    fixed = [quoted(part.name) for term in linear for part in term.parts]
    if not all(term.intercept for term in linear):
        fixed.insert(0, "0")
    others = [
        term.text if isinstance(term, Smooth) else _group_text(term)
        for term in terms
        if isinstance(term, (Smooth, Group))
    ]
    names = {name for term in terms for name in (*term.frame.numbers, *term.frame.labels)}
    if "y" in names or None in others:
        return None
    return "y ~ " + " + ".join([*(fixed or ["1"]), *map(str, others)])


def _group_text(term: Group) -> str | None:
    correlated = isinstance(term.covariance, Full)
    if not correlated and any(len(part.names) > 1 for part in term.parts):
        return None  # within || a formula has no labels
    names = [quoted(part.name) for part in term.parts if not isinstance(part, Intercept)]
    if not isinstance(term.parts[0], Intercept):
        names.insert(0, "0")
    bar = "|" if correlated else "||"
    return f"({' + '.join(names) or '1'} {bar} {quoted(term.factor)})"


def _given(
    function: str, columns: Data | None, named: Mapping[str, ArrayLike]
) -> dict[str, ArrayLike]:
    """Columns of a mapping and those by keyword, together."""
    if columns is None:
        return dict(named)
    plain = isinstance(columns, np.ndarray) and columns.dtype.names is None
    if plain or isinstance(columns, (list, tuple)) or not hasattr(columns, "__getitem__"):
        raise ValueError(
            f"{function}() takes columns by name, and an argument without one must be a mapping; "
            f"found {type(columns).__name__}: write {function}(x=x) or {function}({{'x': x}})"
        )
    given = {name: column_of(columns, name) for name in names_of(columns)}
    twice = given.keys() & named.keys()
    if twice:
        raise ValueError(f"{function}() has {', '.join(sorted(twice))} twice; give it once")
    return given | dict(named)


def _parts(frame: Frame, names: Iterable[str]) -> tuple[Part, ...]:
    """Parts of covariates."""
    return tuple(
        Part(name) if name in frame.numbers else _categories(name, frame.labels[name].levels)
        for name in names
    )


def _categories(name: str, levels: NDArray[Any]) -> Categories:
    if len(levels) < 2:
        raise ValueError(f"{name} has one level only ({levels[0]!s}); leave it out")
    return Categories(name, levels)


def _made(columns: Iterable[tuple[str, Check, ArrayLike]], make: Callable[[Frame], T]) -> T:
    """Read columns, and make a term from the rows where none misses a value."""
    numbers: dict[str, FloatArray] = {}
    labels: dict[str, Labels] = {}
    incomplete, baselines, indexes = [], {}, []
    n = None
    for name, check, values in columns:
        column, levels, complete = as_column(check, name, values, n)
        n = len(column)
        indexes.append((name, index_of(values)))
        if levels is None:
            column = frozen(column)
            _same(name, numbers.setdefault(name, column), column)
        else:
            labels[name] = Labels(column, levels)
        if not complete:
            incomplete.append(name)
        if isinstance(values, LabelColumn):
            baselines[name] = values.levels[0]
    index = common_index(indexes)
    frame = merged([Frame(n or 0, numbers, labels)])
    source = Source(frame, make, tuple(incomplete), baselines, index)
    if not incomplete:
        return replace(make(frame), source=source)
    missing = np.logical_or.reduce(list(source.missing.values()))
    rows = np.flatnonzero(~missing)
    try:
        if not len(rows):
            raise ValueError(f"{' or '.join(source.missing)} is missing in every row")
        term: T = replace(source.at(rows), source=source)
    except ValueError as error:
        raise ValueError(
            f"{error} (in the {len(rows)} of {n} rows without missing values)"
        ) from None
    return term
