"""Curves and surfaces: a fitted smooth over a grid, with standard errors.

A smooth is a sum of blocks of random effects and fixed columns, f(x) = row(x) c. Its value has the
estimates of c, its standard error their covariance, and both are computed for many x at once.

    name -> Place, where the coefficients are -> SmoothRows, what they multiply -> Curve or Surface
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from numbers import Real
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import scipy.special
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import as_vector, flag, frozen, listed, locked, share
from mixedsmooth.model.bases import Basis
from mixedsmooth.model.parts import Frame, Input, Maker, SmoothPart, read
from mixedsmooth.model.problem import Model

FloatArray = NDArray[np.float64]

AT_ONCE = 1000  # points: as many rows of a basis are in memory


# ---- results ----


@dataclass(frozen=True, eq=False)
class Curve:
    """A fitted smooth over a grid.

    Attributes
    ----------
    label : str
        Name of the smooth; for a section of a surface, where it is.
    x : ndarray, shape (m,)
        The grid.
    value : ndarray, shape (m,)
        The curve, in the units of y.
    se : ndarray, shape (m,)
        Pointwise standard errors: of the curve given y, with the straight line and the intercept
        estimated and the variances taken as known.
    edf : float
        Effective degrees of freedom, the straight line included; for curves that share a smoothing
        parameter, those of all of them; for a difference, those of both curves; for a section,
        those of the surface.
    root : callable
        Makes rows L(x) for any x in the domain: the error of the curve is L(x) z with z ~ N(0, I),
        so that their length is the standard error. A process that has an error of its own at each
        new place has no such rows, and no band.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> mcycle = ms.load_mcycle()
    >>> fit = ms.lmm_formula('accel ~ s(time, bs="cr", k=20)', mcycle)
    >>> curve = fit.smooth("time", [2.4, 30.0, 57.6], intercept=True)
    >>> print(curve.value.round(1), curve.se.round(1))
    [-1.1 29.6 10.1] [12.5 7.5 16.7]
    >>> print(round(curve.kappa, 2), round(curve.critical(), 3))
    25.29 3.197
    """

    label: str
    x: FloatArray
    value: FloatArray
    se: FloatArray
    edf: float
    root: Callable[[FloatArray], FloatArray] = field(repr=False)

    @cached_property
    def kappa(self) -> float:
        """Length of the path that the direction of the error takes over the range of the grid."""
        from mixedsmooth.inference.bands import path_length

        return path_length(self.root, float(self.x.min()), float(self.x.max()))

    def critical(self, level: float = 0.95) -> float:
        """Return how many standard errors a simultaneous band reaches to either side.

        Parameters
        ----------
        level : float
            Probability that the band holds the whole curve, between 0 and 1.

        Returns
        -------
        float
            The critical value, by the volume-of-tube formula.

        Raises
        ------
        ValueError
            If `level` is not between 0 and 1, or the curve has no such band.
        """
        from mixedsmooth.inference.bands import critical_value

        return critical_value(self.kappa, level)

    def interval(
        self, level: float = 0.95, simultaneous: bool = False
    ) -> tuple[FloatArray, FloatArray]:
        """Return lower and upper ends of pointwise intervals, or of a band for the whole curve.

        Parameters
        ----------
        level : float
            Coverage, between 0 and 1.
        simultaneous : bool
            Whether it is that of the whole curve, over the range of the grid and between its
            points too; otherwise of each point by itself.

        Returns
        -------
        lower, upper : ndarray, shape (m,)
            The ends.

        Raises
        ------
        ValueError
            If `level` is not between 0 and 1, or the curve has no band: a process whose columns
            are as many as its locations.

        References
        ----------
        Nychka (1988), Journal of the American Statistical Association 83, 1134-1143, for what the
        intervals of the points hold; Krivobokova, Kneib and Claeskens (2010), the same 105,
        852-863, for the band.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> volvo = ms.load_volvo()
        >>> fit = ms.lmm(volvo.wear, ms.smooth(size=volvo.size, basis="cr", k=9))
        >>> curve = fit.smooth("size", [1.5, 2.0, 2.5])
        >>> curve.interval()[1].round(2), curve.interval(simultaneous=True)[1].round(2)
        (array([1.5 , 0.09, 0.7 ]), array([1.79, 0.24, 0.9 ]))
        """
        level = share("level", level)
        simultaneous = flag("simultaneous", simultaneous)
        half = (self.critical(level) if simultaneous else _quantile(level)) * self.se
        return self.value - half, self.value + half


@dataclass(frozen=True, eq=False)
class Surface:
    """A fitted smooth of several covariates, over the grid of two of them.

    Attributes
    ----------
    label : str
        Name of the smooth; where other covariates are held, at which values.
    names : tuple of str
        The two covariates, in the order of the smooth.
    grids : tuple of ndarray, of shapes (m,) and (l,)
        Their grids.
    value : ndarray, shape (m, l)
        The surface, in the units of y: a row for each value of the first covariate.
    se : ndarray, shape (m, l)
        Pointwise standard errors, as those of a `Curve`.
    edf : float
        Effective degrees of freedom of the whole smooth, its fixed columns included; for a
        difference, those of both.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> ethanol = ms.load_ethanol()
    >>> c, e = ethanol.compression, ethanol.equivalence
    >>> fit = ms.lmm(ethanol.nox, ms.smooth(c=c, e=e, basis="t2", k=(4, 5)))
    >>> surface = fit.smooth("c, e", {"c": [8.0, 10.0, 12.0], "e": [0.7, 0.9]})
    >>> surface.label, surface.names, surface.value.shape
    ('t2(c, e)', ('c', 'e'), (3, 2))
    >>> lower, upper = surface.interval()
    >>> bool(np.all(lower < surface.value) and np.all(surface.value < upper))
    True
    """

    label: str
    names: tuple[str, str]
    grids: tuple[FloatArray, FloatArray]
    value: FloatArray
    se: FloatArray
    edf: float

    def interval(
        self, level: float = 0.95, simultaneous: bool = False
    ) -> tuple[FloatArray, FloatArray]:
        """Return lower and upper ends of intervals, each with the coverage of its point.

        Parameters
        ----------
        level : float
            Coverage, between 0 and 1.
        simultaneous : bool
            As for a `Curve`; a surface has no such band.

        Returns
        -------
        lower, upper : ndarray, shape (m, l)
            The ends.

        Raises
        ------
        ValueError
            If `level` is not between 0 and 1, or a band for the whole surface is asked for: the
            formula for the length of a path has no like for an area here.

        Examples
        --------
        >>> import numpy as np
        >>> grids = np.array([0.0, 1.0]), np.array([0.0])
        >>> surface = Surface("s(x, y)", ("x", "y"), grids, np.zeros((2, 1)), np.ones((2, 1)), 2.0)
        >>> surface.interval(0.95)[1].round(2).tolist()
        [[1.96], [1.96]]
        """
        level = share("level", level)
        if flag("simultaneous", simultaneous):
            raise ValueError(
                f"simultaneous is True, and {self.label} is a surface: the volume-of-tube formula "
                "here is that of curves; take pointwise intervals, or the band of a section, such "
                f"as fit.smooth(..., {{{self.names[0]!r}: grid, {self.names[1]!r}: number}})"
            )
        half = _quantile(level) * self.se
        return self.value - half, self.value + half


def _quantile(level: float) -> float:
    """How many standard errors an interval of one point reaches to either side."""
    return -float(scipy.special.ndtri((1 - level) / 2))


# ---- where a smooth is in a model ----


class Place(NamedTuple):
    """Where the coefficients of a smooth are, and what they multiply.

    Attributes
    ----------
    label : str
        Name of the smooth.
    terms : frozenset of str
        Keys of its effective degrees of freedom.
    basis : Basis
        What makes its columns.
    by : Input or None
        What it is multiplied by, or has a curve for each level of.
    blocks : tuple of (int, int)
        Term and level of the effects of each block.
    fixed : tuple of int
        Its columns of X.
    random, free : ndarray, each of shape (k, r)
        Take the effects of all blocks, and the coefficients of the fixed columns, to those of the
        basis.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fit = ms.lmm_formula('wear ~ s(size, bs="cr", k=9)', ms.load_volvo())
    >>> (place,) = places(fit.model)
    >>> place.blocks, place.fixed, place.random.shape, place.is_coefficient
    (((0, 0),), (1,), (9, 7), False)
    """

    label: str
    terms: frozenset[str]
    basis: Basis
    by: Input | None
    blocks: tuple[tuple[int, int], ...]
    fixed: tuple[int, ...]
    random: FloatArray
    free: FloatArray

    @property
    def is_coefficient(self) -> bool:
        """Whether it is what a covariate is multiplied by."""
        return self.by is not None and self.by.levels is None

    @property
    def has_mean(self) -> bool:
        """Whether its columns have a mean over the data that can be told from a constant."""
        return self.basis.centered and len(self.blocks) > 1 and not self.is_coefficient


def places(model: Model) -> list[Place]:
    """Find all smooths of a model, curves of the levels of a factor one by one.

    Parameters
    ----------
    model : Model
        The model.

    Returns
    -------
    list of Place
        In the order of its terms.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> x, g = [0, 1, 2, 3, 4, 5] * 2, ["a"] * 6 + ["b"] * 6
    >>> y = [0, 1, 4, 9, 16, 26, 5, 4, 4, 3, 2, 2.0]
    >>> fit = ms.lmm(y, ms.linear(g=g), ms.smooth(x=x, by={"g": g}, basis="cr", k=4))
    >>> [(place.label, place.blocks, place.fixed) for place in places(fit.model)]
    [('s(x):g[a]', ((0, 0),), (2,)), ('s(x):g[b]', ((1, 0),), (3,))]
    """
    found: dict[str, list[tuple[int, int, SmoothPart]]] = {}
    for term, g in enumerate(model.groups):
        part = g.parts[0]
        if isinstance(part, SmoothPart):
            for code, level in enumerate(g.levels):
                label = part.name if g.is_curve else f"{part.name}[{level}]"
                found.setdefault(label, []).append((term, code, part))
    return [_place(model, label, blocks) for label, blocks in found.items()]


def _place(model: Model, label: str, blocks: Sequence[tuple[int, int, SmoothPart]]) -> Place:
    part = blocks[0][2]
    lines = [line for line in model.lines if line.name == label]
    nothing = np.empty((len(part.to), 0))
    return Place(
        label,
        frozenset(model.whole_names[term] for term, *_ in blocks),
        part.basis,
        part.by,
        blocks=tuple((term, level) for term, level, _ in blocks),
        fixed=tuple(model.fixed_names.index(name) for line in lines for name in line.names),
        random=np.hstack([block.to for _, _, block in blocks]),
        free=np.hstack([nothing, *(line.to for line in lines)]),
    )


def chosen(
    model: Model, name: str, minus: str | None, intercept: bool
) -> tuple[list[Place], list[int]]:
    """Find the smooth that is asked for, the one to take away from it, and its constant.

    Parameters
    ----------
    model : Model
        The model.
    name, minus : str
        Covariates or label of a smooth.
    intercept : bool
        Whether its constant is to be added: the intercept, or the mean of a coefficient.

    Returns
    -------
    places : list of Place
        One or two.
    constant : list of int
        The column of X whose coefficient is the constant, or none.

    Raises
    ------
    ValueError
        If a name fits no smooth or several, there is no intercept to add, or the second smooth is
        the first or one of other covariates.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fit = ms.lmm_formula("wear ~ s(size, k=9)", ms.load_volvo())
    >>> (place,), constant = chosen(fit.model, "size", None, intercept=True)
    >>> place.label, constant
    ('s(size)', [0])
    """
    known = places(model)
    place = _named(known, "name", name)
    if minus is not None:
        other = _named(known, "minus", minus)
        _check_difference(place, other, intercept)
        return [place, other], []
    return [place], [_constant(model, place)] if flag("intercept", intercept) else []


def _named(known: Sequence[Place], argument: str, name: str) -> Place:
    fitting = [
        place
        for place in known
        if name in (place.label, ", ".join(place.basis.names), ",".join(place.basis.names))
    ]
    if len(fitting) != 1:
        labels = ", ".join(place.label for place in known) or "none"
        raise ValueError(f"{argument} {name!r} fits {len(fitting)} smooths; the model has {labels}")
    return fitting[0]


def _constant(model: Model, place: Place) -> int:
    """Column of X that multiplies the constant of a smooth."""
    if place.by is not None and place.is_coefficient:
        if place.by.name not in model.fixed_names:
            raise ValueError(
                f"intercept is True, and X does not have {place.by.name}, whose coefficient "
                f"{place.label} is; leave it out, or add {place.by.name} to linear()"
            )
        return model.fixed_names.index(place.by.name)
    if not model.intercept:
        raise ValueError("intercept is True, and the model has none; leave it out")
    return 0


def _check_difference(one: Place, other: Place, intercept: bool) -> None:
    if one.label == other.label:
        raise ValueError(f"minus is {one.label} itself; name another curve")
    if one.basis.names != other.basis.names:
        raise ValueError(
            f"minus {other.label} is a smooth over {' and '.join(other.basis.names)}, and "
            f"{one.label} over {' and '.join(one.basis.names)}; name one of the same covariates"
        )
    if flag("intercept", intercept):
        raise ValueError("intercept is no part of a difference; leave it out")


# ---- what the coefficients multiply ----


@dataclass(frozen=True, eq=False)
class SmoothRows:
    """Rows of a smooth, or of the difference of two, over its coefficients.

    The coefficients are the effects of all blocks, those of the fixed columns, and the intercept if
    that is added.

    Attributes
    ----------
    places : sequence of Place
        One smooth or two.
    intercept : bool
        Whether the intercept is added.
    held : mapping of str to float
        Covariates that are held, for a section.
    means : ndarray, shape (r,)
        What is taken away from every row, so that the smooth sums to zero over the data.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fit = ms.lmm_formula('wear ~ s(size, bs="cr", k=9)', ms.load_volvo())
    >>> rows = SmoothRows(places(fit.model), intercept=True)
    >>> rows([1.5, 2.0]).shape  # 7 curved functions, a straight line and a constant
    (2, 9)
    """

    places: Sequence[Place]
    intercept: bool
    held: Mapping[str, float] = field(default_factory=dict)
    means: FloatArray | float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """The covariates, those that are held too."""
        return self.places[0].basis.names

    @property
    def label(self) -> str:
        """The smooths, and where other covariates are held."""
        at = " and ".join(f"{name} = {value:.6g}" for name, value in self.held.items())
        return " - ".join(place.label for place in self.places) + (f" at {at}" if at else "")

    def __call__(self, *x: ArrayLike) -> FloatArray:
        """Make the rows for values of the covariates that are not held, each of shape (m,)."""
        whole = self._with_held(x)
        signs = (1.0, -1.0)[: len(self.places)]
        B = [sign * p.basis.columns(*whole) for p, sign in zip(self.places, signs, strict=True)]
        columns = [B_p @ p.random for B_p, p in zip(B, self.places, strict=True)]
        columns += [B_p @ p.free for B_p, p in zip(B, self.places, strict=True)]
        return np.hstack([*columns, np.ones((len(B[0]), int(self.intercept)))]) - self.means

    def variance_beyond(self, variances: Sequence[float], x: Sequence[ArrayLike]) -> FloatArray:
        """Return the variance that no rows have: of processes at new places, each with its tau^2.

        The processes of two levels are independent there.
        """
        whole, beyond = self._with_held(x), np.zeros(np.shape(x[0]))
        for p, variance in zip(self.places, variances, strict=True):
            if p.basis.beyond is not None:
                beyond += variance * p.basis.beyond(*whole)
        return beyond

    def _with_held(self, x: Sequence[ArrayLike]) -> list[FloatArray]:
        """All covariates, those that are held too."""
        values = [np.asarray(each, dtype=np.float64) for each in x]
        m, varied = len(values[0]), iter(values)
        return [
            np.full(m, self.held[name]) if name in self.held else next(varied)
            for name in self.names
        ]

    def centered(self, frame: Frame) -> "SmoothRows":
        """Return the rows of what sums to zero over the data, if the smooth does not yet.

        The random columns of a product of bases have means; those of all others have none. With an
        intercept nothing is to be moved, nor in a coefficient, which adds to that of a line.
        """
        if self.intercept or not any(p.has_mean for p in self.places):
            return self
        x = [frame.numbers[name] for name in self.names]
        sums = sum(self(*(each[some] for each in x)).sum(axis=0) for some in _pieces(frame.n))
        return replace(self, means=np.asarray(sums) / frame.n)

    def held_at(self, held: Mapping[str, float]) -> "SmoothRows":
        """Return the rows of a section, with covariates held at numbers."""
        return replace(self, held=held)


def _pieces(m: int) -> list[slice]:
    """Divide m points into pieces, whose rows are in memory together."""
    return [slice(first, first + AT_ONCE) for first in range(0, m, AT_ONCE)]


def _errors(x: FloatArray, rows: SmoothRows, root: FloatArray) -> FloatArray:
    """Rows of a curve at x times a root of the covariance of its coefficients."""
    return np.concatenate([rows(x[some]) @ root for some in _pieces(len(x))])


def _errors_of_design(
    x: FloatArray, rows: SmoothRows, root: FloatArray, columns: Callable[[Any], list[FloatArray]]
) -> FloatArray:
    """Rows of a term with columns of its own, likewise."""
    return rows(*columns(x)) @ root


def _no_errors(x: FloatArray, why: str) -> FloatArray:
    """Tell why there are no rows."""
    raise ValueError(f"{why}, for which there is no band here; take pointwise intervals")


def over(
    rows: SmoothRows,
    grid: ArrayLike | Mapping[str, ArrayLike],
    coefficients: FloatArray,
    root: FloatArray,
    variances: Sequence[float],
    edf: float,
    made: Mapping[str, Maker] = MappingProxyType({}),
) -> Curve | Surface:
    """Evaluate a smooth over a grid.

    Parameters
    ----------
    rows : SmoothRows
        What the coefficients multiply.
    grid : array_like, shape (m,), or mapping
        A grid; for a surface a mapping of the covariates to grids or numbers; for a term with
        columns of its own, what these are made from.
    coefficients : ndarray, shape (r,)
        Estimates.
    root : ndarray, shape (r, r)
        A root of their covariance.
    variances : sequence of float
        Variance tau^2 of each smooth, which is that of a process where it has no data.
    edf : float
        Effective degrees of freedom.
    made : mapping of str to callable, optional
        How columns that are functions of data are made.

    Returns
    -------
    Curve or Surface
        A curve over one grid, a surface over two.

    Raises
    ------
    ValueError
        If the grid does not name the covariates, or has no grid or more than two, or a value is not
        finite or outside the domain.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fit = ms.lmm_formula('wear ~ s(size, bs="cr", k=9)', ms.load_volvo())
    >>> rows = SmoothRows(places(fit.model), intercept=True)
    >>> over(rows, [1.5, 2.0], np.eye(9)[-1], np.eye(9), [1.0], 1.0).value
    array([1., 1.])
    """
    if rows.places[0].basis.kind == "penalized":
        return _over_design(rows, grid, coefficients, root, edf, made)
    varied, held = _read(rows, grid)
    at = rows.held_at(held)
    grids = tuple(frozen(each) for each in varied.values())
    x = [each.ravel() for each in np.meshgrid(*grids, indexing="ij")]
    value, se = _evaluated(at, x, coefficients, root, variances)
    if len(grids) == 1:
        errors: Callable[[FloatArray], FloatArray] = partial(_errors, rows=at, root=root)
        if any(place.basis.beyond is not None for place in rows.places):
            errors = partial(_no_errors, why=f"{at.label} is a process with new errors at new x")
        return Curve(at.label, grids[0], locked(value), locked(se), edf, errors)
    one, other = grids
    value, se = (locked(each.reshape(len(one), len(other))) for each in (value, se))
    first, second = varied
    return Surface(at.label, (first, second), (one, other), value, se, edf)


def _evaluated(
    rows: SmoothRows,
    x: Sequence[FloatArray],
    coefficients: FloatArray,
    root: FloatArray,
    variances: Sequence[float],
) -> tuple[FloatArray, FloatArray]:
    """Value and standard error at points, piece by piece."""
    value, se = np.empty((2, len(x[0])))
    for some in _pieces(len(value)):
        points = [each[some] for each in x]
        C = rows(*points)
        value[some] = C @ coefficients
        beyond = rows.variance_beyond(variances, points)
        se[some] = np.sqrt(np.sum((C @ root) ** 2, axis=1) + beyond)
    return value, se


def _over_design(
    rows: SmoothRows,
    grid: Any,
    coefficients: FloatArray,
    root: FloatArray,
    edf: float,
    made: Mapping[str, Maker],
) -> Curve:
    """Evaluate a term whose columns the reader makes: over numbers, or a mapping with one column.

    Anything else that it can be made from is counted: 0, 1, 2, ...
    """
    name = next(iter(grid)) if isinstance(grid, Mapping) and len(grid) == 1 else None
    given = grid if name is None else grid[name]
    columns = partial(_columns_of_design, names=rows.names, made=made, name=name)
    points = columns(given)
    value, se = _evaluated(rows, points, coefficients, root, [0.0])
    things = np.array(given, dtype=object)
    if things.shape == value.shape and all(isinstance(each, Real) for each in things):
        x = as_vector(name or "grid", given)
        errors: Callable[[FloatArray], FloatArray] = partial(
            _errors_of_design, rows=rows, root=root, columns=columns
        )
    else:
        x = np.arange(len(value), dtype=np.float64)
        errors = partial(_no_errors, why=f"the grid of {rows.label} is no range of numbers")
    return Curve(rows.label, frozen(x), locked(value), locked(se), edf, errors)


def _columns_of_design(
    x: Any, names: Sequence[str], made: Mapping[str, Maker], name: str | None
) -> list[FloatArray]:
    """Columns of a term that the reader makes."""
    data = x if name is None else {name: x}
    frame = read(data, [Input(each) for each in names], made)
    return [frame.numbers[each] for each in names]


def _read(
    rows: SmoothRows, grid: ArrayLike | Mapping[str, ArrayLike]
) -> tuple[dict[str, FloatArray], dict[str, float]]:
    """Grids of covariates, and numbers at which others are held, in the order of the smooth."""
    names, basis = rows.names, rows.places[0].basis
    if not isinstance(grid, Mapping):
        if len(names) > 1:
            wanted = ", ".join(f"{name!r}: [...]" for name in names)
            raise ValueError(
                f"grid must be a mapping, as {rows.label} has {len(names)} covariates: "
                f"{{{wanted}}}; found {type(grid).__name__}"
            )
        return {names[0]: basis.within(names[0], grid)}, {}
    if set(grid) != set(names):
        raise ValueError(
            f"grid must name the covariates of {rows.label}, {listed(names)}; found "
            f"{listed(list(grid))}"
        )
    numbers = [name for name in names if np.isscalar(grid[name])]
    varied = {name: basis.within(name, grid[name]) for name in names if name not in numbers}
    held = {name: float(basis.within(name, np.atleast_1d(grid[name]))[0]) for name in numbers}
    if not 1 <= len(varied) <= 2:
        raise ValueError(
            f"grid must have one grid or two, and numbers for the other covariates of {rows.label};"
            f" found {len(varied)} grids"
        )
    return varied, held
