"""Terms of a model: what a user writes. Each knows how to make its columns for any data.

``linear(days=days)`` gives columns of X, ``group(subject=subject, days=days)`` columns of Z, and
``smooth(days=days)`` some of both: its random part is a group with one level. A column is an array,
a list, or a column of a data frame; numbers stay numbers, labels become indicators of all levels
but the first (treatment coding).

    what the user wrote -> Frame, each named column once, and Parts, which make columns from a Frame
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import (
    LabelColumn,
    a_callable,
    as_covariate,
    as_matrix,
    choice,
    column_of,
    flag,
    frozen,
    locked,
    match,
    names_of,
)
from mixedsmooth.model.bases import (
    BASES,
    OF_SEVERAL,
    Basis,
    own_options,
    range_bounds,
)
from mixedsmooth.model.covariance import Covariance, Diagonal, Full, Scalar
from mixedsmooth.model.parts import (
    Categories,
    ColumnOf,
    Data,
    Design,
    FieldPart,
    Frame,
    Input,
    Intercept,
    Labels,
    Part,
    SmoothPart,
    SparseFieldPart,
    coded,
    merged,
    same_column,
)
from mixedsmooth.model.precision import Precision
from mixedsmooth.model.rows import (
    SHOWN,
    Check,
    as_column,
    common_index,
    index_of,
    label_column,
    number_column,
)
from mixedsmooth.model.smooths import Scaling, Split, construct, split
from mixedsmooth.model.structures import Structure, shown, structure_of
from mixedsmooth.model.syntax import quoted
from mixedsmooth.model.tensor import tensor

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

ROUNDED = 1e-10  # relative: what a penalty may be off from symmetric or positive
UNPENALIZED = 1e-12  # of the largest eigenvalue of a penalty: less is none
DENSE_LEVELS = 300  # that depend on each other, up to which their precision has a dense root


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
    fixed : tuple of Part
        What a structure of the levels leaves free beside an intercept: means of components.
    notes : tuple of str
        What a reader of the fit should know of the term.

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
    fixed: tuple[Part, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Names of the effects of a level."""
        if isinstance(self.parts[0], FieldPart):
            return self.parts[0].effect.names
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
    def is_field(self) -> bool:
        """Whether its levels depend on each other."""
        return isinstance(self.parts[0], (FieldPart, SparseFieldPart))

    @property
    def precision(self) -> Precision | None:
        """What the engine is told of levels that depend on each other, if they are many."""
        part = self.parts[0]
        return part.precision if isinstance(part, SparseFieldPart) else None

    @property
    def independent(self) -> int:
        """Number of levels that the engine is told of: one where all rows share all effects."""
        return 1 if isinstance(self.parts[0], FieldPart) else len(self.levels)

    @property
    def factor_inputs(self) -> list[Input]:
        """The grouping factor, where its levels are independent."""
        return [] if self.is_curve or self.is_field else [Input(self.factor, self.levels)]

    def codes(self, frame: Frame) -> IntArray:
        """Level of each row, of those that the engine is told of."""
        if self.independent == 1:
            return np.zeros(frame.n, dtype=np.intp)
        return frame.codes(self.factor, self.levels)

    def columns(self, frame: Frame) -> list[FloatArray]:
        """Make what the effects of a level multiply, each of shape (n,)."""
        return [column for part in self.parts for column in part.columns(frame)]


@dataclass(frozen=True, eq=False)
class Tuning:
    """A number in the columns of a smooth that a fit estimates: the range of a Gaussian process.

    Attributes
    ----------
    label : str
        What the smooth is called.
    value : float
        At which it is made.
    bounds : tuple of float
        Smallest and largest value that is worth a look.
    at : callable
        Makes the smooth, from the same rows, at another value.

    Examples
    --------
    >>> term = smooth(x=[0, 1, 3, 4], basis="gp")
    >>> term.tuning.name, term.tuning.at(2.5).tuning.value
    ('range s(x)', 2.5)
    """

    label: str
    value: float
    bounds: tuple[float, float]
    at: Callable[[float], "Smooth"] = field(repr=False)

    @property
    def name(self) -> str:
        """What the number is called among the parameters."""
        return f"range {self.label}"

    @property
    def end(self) -> str:
        """Which of its bounds the value is at, "smallest" or "largest"; else nothing."""
        at_end = np.isclose(self.value, self.bounds, rtol=1e-9, atol=0.0)
        return "smallest" if at_end[0] else "largest" if at_end[1] else ""


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
    text : str or None
        How a formula writes it, if one can.
    source : Source or None
        What the term was made from; None if its parts were put together by hand.
    tuning : Tuning or None
        A number in its columns that is to be estimated, if there is one.
    """

    fixed: tuple[SmoothPart, ...]
    random: tuple[Group, ...]
    frame: Frame
    text: str | None
    source: Source | None = field(default=None, repr=False)
    tuning: Tuning | None = None


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
    covariance: Any = None,
    precision: Any = None,
    **named: ArrayLike,
) -> Group:
    """Make the random effects of a grouping factor.

    ``group(subject=s)`` is lme4's ``(1 | s)``; ``group(subject=s, days=d)`` is ``(d | s)``;
    with ``correlated=False`` it is ``(d || s)``, and with ``intercept=False`` ``(0 + d | s)``.

    Levels are independent unless it is known how they depend on each other: one effect a level,
    b ~ N(0, tau^2 K) or b ~ N(0, tau^2 Q^-1), for all levels of K or Q, with data or without.
    Where the rows of Q sum to zero, as those of a graph, the mean of each of its components is
    free: the effects of a component sum to zero over the rows, and each component but the first
    has a column of X. A Q of more than 300 levels, or the inverse of the relationships of as many
    animals, stays sparse, and levels may be a hundred thousand.

    Parameters
    ----------
    columns : mapping of str to array_like, optional
        Columns whose names cannot be keywords: a dict, a data frame. They come first.
    correlated : bool
        Whether the effects of one level may be correlated.
    intercept : bool
        Whether each level has an intercept of its own.
    covariance : pair of levels and matrix, or Relationship, optional
        K, positive definite, such as ``relationship(pedigree)``.
    precision : pair of levels and matrix, optional
        Q, dense or sparse, such as ``neighbours(pairs)``.
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
        intercept nor a slope. With a covariance or a precision: if both are given, it is not a
        symmetric, positive definite matrix of the levels (a precision: but for the means of
        components), a label of the data is none of its levels, a component has no data, or there
        are several effects a level.

    Examples
    --------
    >>> group(subject=["a", "a", "b"], days=[0, 1, 0]).levels
    array(['a', 'b'], dtype='<U1')
    >>> import mixedsmooth as ms
    >>> street = ms.neighbours([("a", "b"), ("b", "c"), ("c", "d")])
    >>> fit = ms.lmm([1.0, 2.0, 4.0, 4.5], ms.group(house=["a", "a", "c", "c"], precision=street))
    >>> print(fit.random["house"].levels, fit.random["house"].effects.ravel().round(1) + 0.0)
    ['a' 'b' 'c' 'd'] [-1.3  0.   1.3  1.3]
    """
    given = _given("group", columns, named)
    if not given:
        raise ValueError("group() needs a grouping factor: group(subject=labels)")
    (factor, labels), *slopes = given.items()
    ones = (Intercept(),) if flag("intercept", intercept) else ()
    read = [(factor, label_column, labels), *((name, as_covariate, x) for name, x in slopes)]
    names = [name for name, _ in slopes]
    of_levels = {"covariance": covariance, "precision": precision}
    known = [structure_of(name, value) for name, value in of_levels.items() if value is not None]
    if len(known) > 1:
        raise ValueError("covariance and precision are both given; one is the other's inverse")
    structure = known[0] if known else None
    correlated = flag("correlated", correlated)
    return _made(read, partial(_group, factor, names, ones, correlated, structure))


def _group(
    factor: str,
    slopes: Sequence[str],
    ones: tuple[Part, ...],
    correlated: bool,
    structure: Structure | None,
    frame: Frame,
) -> Group:
    parts = ones + _parts(frame, slopes)
    term = group_of(factor, frame.labels[factor], parts, frame, correlated)
    return term if structure is None else _field(term, structure)


def _field(term: Group, structure: Structure) -> Group:
    """Let the levels of a term depend on each other."""
    if len(term.names) > 1:
        raise ValueError(
            f"group({term.factor}=...) has {len(term.names)} effects a level, "
            f"{' and '.join(term.names)}, and with a {structure.name} it takes one; write a term "
            "for each, with intercept=False for a slope"
        )
    (effect,), levels = term.parts, structure.levels
    codes = structure.codes(term.factor, term.levels)
    counts = np.zeros(len(levels))
    counts[codes] = np.bincount(term.codes(term.frame))
    fixed = []
    for c, rows in enumerate(structure.components if structure.intrinsic else ()):
        if not counts[rows].any():
            raise ValueError(
                f"precision has a component without data, that of {shown(levels[rows])}, whose "
                "mean nothing tells; leave these levels out"
            )
        if c > 0:
            of_component = np.zeros((len(levels), 1))
            of_component[rows] = 1.0
            name = f"{term.factor}[component {c + 1}]"
            if not isinstance(effect, Intercept):
                name = f"{name}:{effect.name}"
            fixed.append(FieldPart(name, term.factor, of_component, effect, structure))
    part: FieldPart | SparseFieldPart
    if structure.name == "precision" and len(levels) > DENSE_LEVELS:
        covariance: Covariance = Full(1)
        part = SparseFieldPart(term.factor, effect, structure, structure.sparse(counts))
    else:
        to = locked(structure.root(counts))
        covariance = Scalar(to.shape[1])
        part = FieldPart(term.factor, term.factor, to, effect, structure)
    return replace(
        term,
        levels=levels,
        parts=(part,),
        covariance=covariance,
        fixed=tuple(fixed),
        notes=tuple(structure.notes(term.factor, counts)),
    )


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
    k: int | tuple[int, ...] | None = None,
    by: Data | None = None,
    shared: bool = False,
    scaling: Scaling = "norm",
    period: tuple[float, float] | None = None,
    kernel: str | None = None,
    range: float | None = None,
    trend: bool = True,
    **named: ArrayLike,
) -> Smooth:
    """Make a smooth of a covariate, or a surface over several.

    Parameters
    ----------
    columns : mapping of str to array_like, optional
        Covariates whose names cannot be keywords: ``smooth({"period": p}, k=4)``. They come first.
    basis : {"cr", "cs", "cc", "ps", "rk", "tp", "gp", "t2"}
        Cubic regression spline, the same with shrinkage, cyclic, P-spline, reproducing kernel; of
        one covariate or more, a thin plate spline and a Gaussian process; of two or more, the
        tensor product of cubic regression splines. See `mixedsmooth.model.bases`.
    k : int or tuple of int, optional
        Size of the basis, 10 if it is not given; of "t2" that of each covariate or one for all, 5;
        of "tp" 10, 30 or 110 for one, two or three covariates; of "gp" as many as there are
        distinct locations, up to 300.
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
    period : tuple of two floats, optional
        Of "cc": where the period begins and ends. Without it the range of the data is the period.
    kernel : {"exponential", "matern32", "matern52", "gaussian", "spherical"}, optional
        Of "gp": the correlation, a function of distance over range; "matern32" if not given.
    range : float, optional
        Of "gp": the range, in units of the covariates. Without it the fit estimates it.
    trend : bool
        Of "gp": whether a constant and the covariates themselves have no penalty. Without a trend
        the process has mean zero, and its variance is tau^2.
    **named : array_like, each of shape (n,)
        Covariates, by name.

    Returns
    -------
    Smooth
        A term for `lmm`.

    Raises
    ------
    ValueError
        If there is no covariate, or one too many for the basis; one is not finite, constant, or
        has fewer than k distinct values; if basis, k or scaling are unknown; an option belongs to
        another basis; or if `by` does not fit.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> term = smooth(days=ms.load_sleepstudy().days, basis="cr")
    >>> term.fixed[0].names, len(term.random[0].names)
    (['s(days)'], 8)
    """
    given = _given("smooth", columns, named)
    if not given:
        raise ValueError("smooth() takes covariates by name, such as smooth(x=x), found none")
    read, of_by = [(name, number_column, values) for name, values in given.items()], None
    if by is not None:
        if len(names_of(by)) != 1:
            raise ValueError(
                f"by takes one column by name, such as by={{'z': z}}, found {len(names_of(by))}"
            )
        ((of_by, multiplier),) = _given("by", by, {}).items()
        read.append((of_by, as_covariate, multiplier))
    if isinstance(period, np.ndarray):
        period = tuple(period.tolist())
    options: dict[str, Any] = {"basis": basis, "k": k, "scaling": scaling, "period": period}
    options |= {"kernel": kernel, "range": range, "trend": flag("trend", trend)}
    make = _tuned if basis == "gp" and range is None else _smooth
    return _made(read, partial(make, tuple(given), of_by, flag("shared", shared), options))


def _tuned(
    names: tuple[str, ...],
    by: str | None,
    shared: bool,
    options: Mapping[str, Any],
    frame: Frame,
    value: float | None = None,
) -> Smooth:
    """Make a Gaussian process whose range is to be estimated, first in the middle of its bounds."""
    low, high = bounds = range_bounds(*(frame.numbers[name] for name in names), names=names)
    value = math.sqrt(low * high) if value is None else value
    made = _smooth(names, by, shared, options, frame, value)
    at = partial(_tuned, names, by, shared, options, frame)
    return replace(made, tuning=Tuning(_label("s", names, by), value, bounds, at))


def _smooth(
    names: tuple[str, ...],
    by: str | None,
    shared: bool,
    options: Mapping[str, Any],
    frame: Frame,
    range: float | None = None,
) -> Smooth:
    columns = {name: frame.numbers[name] for name in names}
    basis = choice("basis", options["basis"], (*BASES, *OF_SEVERAL, "t2"))
    kind, construct_as = ("t2", _tensor) if basis == "t2" else ("s", construct)
    made = construct_as(columns, **options if range is None else {**options, "range": range})
    label, factor = _label(kind, names, by), None
    if by is not None:
        ((factor,),) = (part.inputs for part in _parts(frame, [by]))
    text = _smooth_text(kind, names, factor, {**options, "shared": shared})
    if shared:
        if factor is None:
            raise ValueError("shared=True is for the curves of the levels of by; name by, too")
        if factor.levels is None:
            raise ValueError(f"shared=True needs labels in by, and {factor.name} has numbers")
        blocks = [
            SmoothPart(label, made.basis, to, block=block)
            for block, to in zip(made.blocks, made.to_random, strict=True)
        ]
        return Smooth((), tuple(_blocks(blocks, frame, factor)), frame, text)
    curves = [label]
    if factor is not None and factor.levels is not None:
        curves = [f"{label}[{level}]" for level in factor.levels]
    elif factor is not None and not frame.numbers[factor.name].any():
        raise ValueError(f"{factor.name} is zero in every row, so the curve has no effect")
    fixed: list[SmoothPart] = []
    random: list[Group] = []
    for code, curve in enumerate(curves):
        line = SmoothPart(curve, made.basis, made.to_fixed, factor, code)
        blocks = [
            replace(line, to=to, block=block)
            for block, to in zip(made.blocks, made.to_random, strict=True)
        ]
        fixed += [line] if line.names else []
        random += _blocks(blocks, frame)
    return Smooth(tuple(fixed), tuple(random), frame, text)


def _label(kind: str, names: Sequence[str], by: str | None) -> str:
    label = f"{kind}({', '.join(names)})"
    return label if by is None else f"{label}:{by}"


def _tensor(
    columns: Mapping[str, FloatArray], basis: str, scaling: Scaling, **options: Any
) -> Split:
    """Make a tensor product, k for all covariates or for each."""
    k = own_options(basis, **options).get("k", 5)
    if len(columns) < 2:
        raise ValueError(
            f"basis 't2' takes two covariates or more, found {', '.join(columns)} alone; for a "
            "curve use basis='cr'"
        )
    each = tuple(k) if isinstance(k, (tuple, list)) else (k,) * len(columns)
    if len(each) != len(columns):
        raise ValueError(
            f"k has {len(each)} number(s), and basis 't2' {len(columns)} covariates, "
            f"{' and '.join(columns)}; give one for each, or one for all"
        )
    return tensor(list(columns.values()), each, tuple(columns), scaling)


def _blocks(
    blocks: Iterable[SmoothPart], frame: Frame, factor: Input | None = None
) -> Iterator[Group]:
    """Yield random effects of one variance for each penalized block, or for each at all levels."""
    for block in blocks:
        name, levels = factor or Input(block.label, np.array([block.label]))
        assert levels is not None
        yield Group(name, levels, (block,), Scalar(len(block.names)), frame)


def _smooth_text(
    kind: str, names: Sequence[str], by: Input | None, options: Mapping[str, Any]
) -> str:
    """Write a smooth as a formula does, with the options that are not the usual ones."""
    usual: dict[str, Any] = {"bs": "t2" if kind == "t2" else "cs", "k": None, "shared": False}
    usual |= {"scaling": "norm", "period": None, "kernel": None, "range": None, "trend": True}
    named = {"bs" if option == "basis" else option: value for option, value in options.items()}
    parts = [quoted(name) for name in names] + ([f"by={quoted(by.name)}"] if by else [])
    parts += [f"{o}={_literal(named[o])}" for o in usual if named[o] != usual[o]]
    return f"{kind}({', '.join(parts)})"


def _literal(value: Any) -> str:
    """Write the value of an option."""
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, (tuple, list)):
        return f"c({', '.join(map(_literal, value))})"
    return str(value)


def penalized(
    name: str,
    Z: ArrayLike,
    S: ArrayLike,
    predict: Callable[[Any], ArrayLike] | None = None,
) -> Smooth:
    """Make a term of a design and a penalty: the term of which all others are cases.

    Its part of the linear predictor is Z b with the penalty lambda b'Sb: b ~ N(0, tau^2 S^-) with
    lambda = sigma^2 / tau^2, and free where S is zero. If what is free can make a constant over the
    rows, the term sums to zero over them, as smooths do, and the constant is the intercept's.

    Parameters
    ----------
    name : str
        What the term is called.
    Z : array_like, shape (n, k)
        Design: a row for each observation.
    S : array_like, shape (k, k)
        Penalty, symmetric and positive semidefinite. It is not scaled.
    predict : callable, optional
        Makes the columns of Z for other data, of shape (m, k), from what `Fit.predict` is given,
        or from the grid that `Fit.smooth` is given.

    Returns
    -------
    Smooth
        A term for `lmm`.

    Raises
    ------
    ValueError
        If `name` is no text, Z and S do not fit together or are not finite, S is not symmetric,
        has a negative eigenvalue or is zero.

    References
    ----------
    Ruppert, Wand and Carroll (2003), Semiparametric Regression, section 4.9; Wood (2017), section
    5.8.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> mcycle = ms.load_mcycle()
    >>> def kinks(data):
    ...     return np.maximum(np.subtract.outer(np.asarray(data["time"]), np.arange(5, 55, 5)), 0)
    >>> term = penalized("kinks", kinks({"time": mcycle.time}), np.eye(10), predict=kinks)
    >>> fit = ms.lmm(mcycle.accel, ms.linear(time=mcycle.time), term)
    >>> fit.predict({"time": [10.0, 20.0, 30.0]}).round(1)
    array([   1.1, -128.1,   43.4])
    """
    if not isinstance(name, str) or not name:
        raise ValueError(f"name must be the name of the term, found {name!r:.60}")
    columns = _columns_of_matrix("Z", Z)
    k = len(columns)
    root = _root_of_penalty(as_matrix("S", S), k)
    names = tuple(f"{name}.{j + 1}" for j in range(k))
    design = Design(name, k, None if predict is None else a_callable("predict", predict))
    read = [(of, number_column, column) for of, column in zip(names, columns, strict=True)]
    return _made(read, partial(_penalized, names, design, root))


def _columns_of_matrix(name: str, values: Any) -> list[Any]:
    """Columns of a matrix, which may miss values; of a data frame, with its index."""
    if hasattr(values, "iloc"):
        return [values.iloc[:, j] for j in range(values.shape[1])]
    matrix = values if isinstance(values, np.ndarray) else np.asarray(values)
    if matrix.ndim != 2 or not matrix.size:
        raise ValueError(
            f"{name} must be a matrix, a row for each observation, found shape {matrix.shape}"
        )
    return list(matrix.T)


def _root_of_penalty(S: FloatArray, k: int) -> FloatArray:
    """E with S = E'E, a row for each direction that is penalized."""
    if S.shape != (k, k):
        raise ValueError(f"S must be {k} x {k}, as Z has {k} columns, found shape {S.shape}")
    if np.abs(S - S.T).max() > ROUNDED * np.abs(S).max():
        raise ValueError("S must be symmetric; give (S + S.T) / 2 if that is what is meant")
    e, V = np.linalg.eigh((S + S.T) / 2)
    if e[0] < -ROUNDED * np.abs(e).max():
        raise ValueError(
            f"S must be positive semidefinite, and its smallest eigenvalue is {e[0]:.3g}, its "
            f"largest {e[-1]:.3g}"
        )
    penalized = e > UNPENALIZED * e[-1]
    if not penalized.any():
        raise ValueError("S is zero, so that nothing is penalized; use linear()")
    return np.asarray((V[:, penalized] * np.sqrt(e[penalized])).T)


def _penalized(names: tuple[str, ...], design: Design, root: FloatArray, frame: Frame) -> Smooth:
    columns = [frame.numbers[name] for name in names]
    Z = np.column_stack(columns)
    # what E b = 0 leaves free
    free = Z @ scipy.linalg.null_space(root, rcond=ROUNDED)
    ones = np.ones(frame.n)
    left = ones - free @ np.linalg.lstsq(free, ones)[0] if free.size else ones
    basis = Basis(
        "penalized",
        names,
        knots=np.empty(0),
        domain=((-np.inf, np.inf),) * len(names),
        root=root,
        evaluate=_side_by_side,
        centered=bool(np.linalg.norm(left) <= ROUNDED * np.sqrt(frame.n)),
        scaled=False,
    )
    made = split(basis, *columns)
    frame = replace(frame, made={name: ColumnOf(design, j) for j, name in enumerate(names)})
    line = SmoothPart(design.name, basis, made.to_fixed)
    blocks = [replace(line, to=to) for to in made.to_random]
    return Smooth((line,) if line.names else (), tuple(_blocks(blocks, frame)), frame, None)


def _side_by_side(*columns: FloatArray) -> FloatArray:
    return np.column_stack(columns)


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
    if term.is_field:
        return None
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
            same_column(name, numbers.setdefault(name, column), column)
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
