"""From data to the inner problem: terms gathered and checked, columns centered and scaled.

    terms -> Model -> standardize -> Problem (X, factors, and the way back)

Everything in a `Problem` but the response is used again when the response changes.
"""

import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg.lapack import dpstrf

from mixedsmooth._checks import as_vector, choice, for_each_row, frozen, leaves_residual, locked
from mixedsmooth._linalg import positive_diagonal
from mixedsmooth.model import blocked, sparse, unpenalized
from mixedsmooth.model.covariance import Covariance, Diagonal, Scalar, pack, unpack
from mixedsmooth.model.engine import LARGEST, Factor, Shape
from mixedsmooth.model.parts import (
    FieldPart,
    Frame,
    Intercept,
    Part,
    SmoothPart,
    SparseFieldPart,
    coded,
    merged,
)
from mixedsmooth.model.rows import (
    Rows,
    among,
    as_column,
    beside,
    common_index,
    index_of,
    number_column,
    rows_of,
)
from mixedsmooth.model.terms import Group, Linear, Offset, Smooth, Term, Tuning, written

FloatArray = NDArray[np.float64]

WITHIN = 1e-7  # relative: a column that X leaves less of is among its combinations
DENSE_TAIL = 4_000  # columns of Z outside the largest factor that a dense matrix may hold
WEIGHTS = 1e15  # the largest weight over the smallest: beyond it the smallest is lost in rounding


@dataclass(frozen=True, eq=False)
class Model:
    """What was asked for: the data and the terms.

    Attributes
    ----------
    y : ndarray, shape (n,)
        Response.
    fixed : tuple of Part
        What makes the columns of X.
    groups : tuple of Group
        Random-effects terms in the user's order, which is that of theta.
    frame : Frame
        The data of the terms.
    weights : ndarray, shape (n,), or None
        Weights of the rows.
    sigma : float or None
        The residual standard deviation, where it is known.
    offset : ndarray, shape (n,), or None
        Known part of the linear predictor, without `known`.
    known : tuple of Part
        Known parts of the linear predictor that are made from the data.
    rows : Rows
        Which rows of the data these are.
    formula : str or None
        The formula that the terms were read from, or one that says the same, if there is one.
    notes : tuple of str
        What a reader of the fit should know of its terms.
    tuned : tuple of Smooth
        The terms with a range that a fit estimates, as they are at present.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> subject = ["a", "a", "b", "b"]
    >>> terms = ms.linear(days=[0, 2, 0, 2]), ms.group(subject=subject)
    >>> model = model_of(np.array([1.0, 2.0, 4.0, 5.0]), terms)
    >>> model.intercept, model.fixed_names, model.group_names, model.covariances
    (True, ['(Intercept)', 'days'], ['subject'], [Full(k=1)])
    """

    y: FloatArray
    fixed: tuple[Part, ...]
    groups: tuple[Group, ...]
    frame: Frame
    weights: FloatArray | None
    sigma: float | None
    offset: FloatArray | None
    known: tuple[Part, ...]
    rows: Rows
    formula: str | None
    notes: tuple[str, ...] = ()
    tuned: tuple[Smooth, ...] = ()

    @property
    def intercept(self) -> bool:
        """Whether the first column of X is one of ones."""
        return isinstance(self.fixed[0], Intercept)

    @cached_property
    def fixed_names(self) -> list[str]:
        """Names of the columns of X."""
        return [name for part in self.fixed for name in part.names]

    @cached_property
    def group_names(self) -> list[str]:
        """Names of the terms: the factor, with .1, .2, ... when a group has it again."""
        factors = [g.factor for g in self.groups]
        seen = [0 if g.is_curve else factors[:i].count(g.factor) for i, g in enumerate(self.groups)]
        return [f"{f}.{i}" if i else f for f, i in zip(factors, seen, strict=True)]

    @cached_property
    def whole_names(self) -> list[str]:
        """Names of the terms, where the blocks of a smooth have the name of the smooth."""
        return [
            g.parts[0].name if g.is_curve else name
            for g, name in zip(self.groups, self.group_names, strict=True)
        ]

    @property
    def covariances(self) -> list[Covariance]:
        """Covariances of the terms."""
        return [g.covariance for g in self.groups]

    @cached_property
    def whole_offset(self) -> FloatArray | None:
        """All that is known of the linear predictor, shape (n,)."""
        columns = [column for part in self.known for column in part.columns(self.frame)]
        columns += [] if self.offset is None else [self.offset]
        return np.asarray(sum(columns)) if columns else None

    @property
    def tunings(self) -> list[Tuning]:
        """The ranges that a fit estimates, of the terms that the model has."""
        parts = {id(part) for g in self.groups for part in g.parts}
        return [
            term.tuning
            for term in self.tuned
            if term.tuning is not None and id(term.random[0].parts[0]) in parts
        ]

    def at_ranges(self, ranges: Sequence[float]) -> "Model":
        """Return the model with its `tunings` at other values."""
        tunings = self.tunings
        tuned: list[Smooth] = []
        parts: dict[int, SmoothPart] = {}
        groups: dict[int, Group] = {}
        for term in self.tuned:
            if term.tuning is None or term.tuning not in tunings:
                continue
            made = term.tuning.at(ranges[len(tuned)])
            tuned.append(made)
            parts |= {id(old): new for old, new in zip(term.fixed, made.fixed, strict=True)}
            both = zip(term.random, made.random, strict=True)
            groups |= {id(old.parts[0]): replace(new, frame=self.frame) for old, new in both}
        return replace(
            self,
            fixed=tuple(parts.get(id(part), part) for part in self.fixed),
            groups=tuple(groups.get(id(g.parts[0]), g) for g in self.groups),
            tuned=tuple(tuned),
        )

    @property
    def lines(self) -> list[SmoothPart]:
        """The fixed parts of smooths."""
        return [part for part in self.fixed if isinstance(part, SmoothPart)]


class TooLargeError(ValueError):
    """A theta is so large that sigma would vanish beside it."""


class Scales(NamedTuple):
    """How the inner response relates to the user's: y = X beta_0 + y_scale times the inner y.

    Attributes
    ----------
    beta_0 : ndarray, shape (p,)
        Least-squares coefficients, which are taken out of y before anything else.
    y_scale : float
        Root mean square of what is left.
    """

    beta_0: FloatArray
    y_scale: float


@dataclass(frozen=True, eq=False)
class Problem:
    """The model in centered and scaled columns, and the way back.

    Attributes
    ----------
    model : Model
        What was asked for.
    X : ndarray, shape (n, p)
        Fixed effects.
    factors : tuple of Factor
        Random-effects terms.
    K : ndarray, shape (p, p)
        X is the user's X times K.
    back : tuple of ndarray, each of shape (k, k)
        The user's effects of a level are this times the inner ones.
    unit : float
        What the columns of X and the factors are multiplied by, beside their own scales.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> subject = ["a", "a", "b", "b"]
    >>> terms = ms.linear(days=[0, 2, 0, 2]), ms.group(subject=subject)
    >>> problem = standardize(model_of(np.array([1.0, 2.0, 4.0, 5.0]), terms))
    >>> y, scales = problem.response()
    >>> print(y, scales.beta_0, scales.y_scale)  # what 2.5 + 0.5 days leaves, and its scale
    [-1. -1. 1. 1.] [2.5 0.5] 1.5
    >>> T = problem.inward("theta", [2.0])
    >>> problem.theta(T), problem.engine.__name__
    (array([2.]), 'mixedsmooth.model.blocked')
    """

    model: Model
    X: FloatArray
    factors: tuple[Factor, ...]
    K: FloatArray
    back: tuple[FloatArray, ...]
    unit: float = 1.0

    @property
    def engine(self) -> ModuleType:
        """The module whose `cross_products` suit the factors."""
        if not self.factors:
            return unpenalized
        if any(f.shape.structure for f in self.factors):
            return sparse
        sizes = [f.shape.size for f in self.factors]
        head = max(self.factors, key=lambda f: (f.shape.levels, f.shape.k)).shape.size
        return blocked if sum(sizes) - head <= DENSE_TAIL else sparse

    def outward(self, T: Sequence[FloatArray]) -> list[FloatArray]:
        """Map the inner T to the user's."""
        return [_triangle(back @ T_f) for back, T_f in zip(self.back, T, strict=True)]

    def inward(self, name: str, theta: ArrayLike) -> list[FloatArray]:
        """Map a theta of the user, known to them as `name`, to the inner T."""
        covariances = self.model.covariances
        size = sum(covariance.size for covariance in covariances)
        given = as_vector(name, theta) if size or np.size(theta) else np.empty(0)
        if len(given) != size:
            raise ValueError(f"{name} must have the {size} entries of theta, found {len(given)}")
        by_user = zip(self.back, unpack(given, covariances), strict=True)
        T = [_triangle(np.linalg.solve(back, T_f)) for back, T_f in by_user]
        if max((np.abs(T_f).max() for T_f in T), default=0.0) > LARGEST:
            raise TooLargeError(
                f"{name} goes up to {np.abs(given).max():.3g}, beside which sigma would vanish; "
                "give standard deviations of the effects over sigma"
            )
        return T

    def theta(self, T: Sequence[FloatArray]) -> FloatArray:
        """Theta of the user, from the inner T."""
        return pack(self.outward(T), self.model.covariances)

    def effects(self, b: Sequence[FloatArray]) -> list[FloatArray]:
        """Map inner effects of shape (m, k) to the user's."""
        return [b_f @ back.T for back, b_f in zip(self.back, b, strict=True)]

    def in_unit(self, unit: float) -> "Problem":
        """Return the problem with coefficients near 1 where the linear predictor is near `unit`."""
        if unit == self.unit:
            return self
        c = unit / self.unit
        factors = tuple(replace(f, effects=tuple(c * z for z in f.effects)) for f in self.factors)
        back = tuple(locked(c * matrix) for matrix in self.back)
        return replace(
            self,
            X=locked(c * self.X),
            factors=factors,
            K=locked(c * self.K),
            back=back,
            unit=unit,
        )

    def at_ranges(self, ranges: Sequence[float]) -> "Problem":
        """Return the problem with the ranges that a fit estimates at other values."""
        return standardize(self.model.at_ranges(ranges)).in_unit(self.unit)

    def with_response(self, y: ArrayLike) -> "Problem":
        """Return the problem with another response of as many rows."""
        rows = self.model.rows
        if not rows.complete and np.shape(y) == (rows.total,):
            raise ValueError(
                f"y has all {rows.total} rows of the data, and the fit uses {rows}; give the "
                f"{len(rows.used)} rows of fit.rows"
            )
        named = None if rows.index is None else rows.index[rows.used]
        common_index([("the response of the fit", named), ("y", index_of(y))])
        y = frozen(as_vector("y", y, len(self.model.y)))
        return replace(self, model=replace(self.model, y=y))

    def response(self) -> tuple[FloatArray, Scales]:
        """Take the least-squares fit out of y and scale what is left.

        The criterion is the same for y - X beta_0, whatever beta_0 is, and digits are saved.

        Raises
        ------
        ValueError
            If nothing is left.
        """
        w, X, offset = self.model.weights, self.X, self.model.whole_offset
        y = self.model.y if offset is None else self.model.y - offset
        center = _weighted_mean(y, w) if self.model.intercept else 0.0
        centered = y - center
        if self.model.intercept and np.ptp(y) == 0:
            what = "y" if offset is None else "y without its offset"
            raise ValueError(f"{what} is constant, so there is no variance to divide")
        weighted = centered if w is None else w * centered
        beta = np.asarray(np.linalg.solve(_normal_matrix(X, w), X.T @ weighted), dtype=np.float64)
        residual = centered - X @ beta
        y_scale = float(np.sqrt(_weighted_mean(residual * residual, w)))
        leaves_residual(residual, y, f"the {X.shape[1]} columns of X")
        if self.model.intercept:
            beta[0] += center
        return residual / y_scale, Scales(self.K @ beta, y_scale)

    def offset(self, y_scale: float, reml: bool) -> float:
        """Return what the user's criterion has beside the inner one."""
        # r^2 has the units of y^2; and log|X_inner' .. X_inner| = log|X' .. X| + 2 log|K|
        n, p = self.X.shape
        if not reml:
            return float(2 * n * np.log(y_scale))
        log_det_K = np.log(np.abs(np.diag(self.K))).sum()
        return float(2 * (n - p) * np.log(y_scale) - 2 * log_det_K)


class Cases(NamedTuple):
    """What is given for each row, of the rows that a model uses.

    Attributes
    ----------
    y : ndarray, shape (n,)
        Response.
    terms : sequence of Linear, Group, Smooth or Offset
        Terms, made from these rows.
    weights, offset, trials : ndarray, shape (n,), or None
        What else was given.
    rows : Rows
        Which rows they are.
    """

    y: FloatArray
    terms: Sequence[Term]
    weights: FloatArray | None
    offset: FloatArray | None
    trials: FloatArray | None
    rows: Rows


def complete_cases(
    y: ArrayLike,
    terms: Sequence[Term],
    missing: str,
    *,
    weights: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    trials: ArrayLike | None = None,
) -> Cases:
    """Find the rows in which nothing is missing, and make all that is given from them.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    terms : sequence of Linear, Group, Smooth or Offset
        What the user wrote.
    missing : {"error", "drop"}
        Whether rows that miss a value are an error, or left out.
    weights : array_like, shape (n,), optional
        Weights of the rows.
    offset, trials : array_like, shape (n,), or float, optional
        Known part of the linear predictor; numbers of trials.

    Returns
    -------
    Cases
        The same, of the rows that are left: what the user had given if the other rows had never
        been there.

    Raises
    ------
    ValueError
        If values are missing and must not be, no row is left, a term cannot be made from what is
        left, lengths or the indexes of pandas differ, or numbers are not.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> term = ms.group(g=["a", "b", None, "b", "c"])
    >>> cases = complete_cases([1.0, 2.0, 3.0, 4.0, None], [term], "drop")
    >>> cases.y, cases.terms[0].levels, str(cases.rows)
    (array([1., 2., 4.]), array(['a', 'b'], dtype='<U1'), '3 of 5; 2 left out: missing in y 1, g 1')
    """
    choice("missing", missing, ("error", "drop"))
    given = {"weights": weights, "offset": offset, "trials": trials}
    indexes = [(name, index_of(values)) for name, values in {"y": y, **given}.items()]
    response, _, complete = as_column(number_column, "y", y)
    total = len(response)
    columns, masks = beside(given, total)
    columns["y"] = response
    if not complete:
        masks = {"y": np.isnan(response), **masks}
    for term in terms:
        source = getattr(term, "source", None)
        if source is not None and source.frame.n:
            _check_length(source.frame, total)
            indexes.append((source.name, source.index))
            for name, mask in source.missing.items():
                masks[name] = masks.get(name, False) | mask
    common_index(indexes)
    found = rows_of(masks, missing) if masks else Rows.all_of(total)
    rows = replace(found, index=index_of(y))
    if masks:
        columns = {name: column[rows.used] for name, column in columns.items()}
        with among(rows):
            terms = [_at(term, rows) for term in terms]
    extra = {name: columns.get(name) for name in ("weights", "offset", "trials")}
    return Cases(y=columns["y"], terms=terms, **extra, rows=rows)


def _at(term: Any, rows: Rows) -> Any:
    """Make a term from the rows that are used; an intercept alone is the same for any rows."""
    source = getattr(term, "source", None)
    return source.at(rows.used) if source is not None and source.frame.n else term


def _check_length(frame: Frame, n: int) -> None:
    if frame.n != n:
        name = next(iter([*frame.numbers, *frame.labels]))
        raise ValueError(f"{name} has {frame.n} rows where y has {n}; give one row for each")


def model_of(
    y: FloatArray,
    terms: Sequence[Term],
    weights: ArrayLike | None = None,
    sigma: float | None = None,
    offset: ArrayLike | None = None,
    rows: Rows | None = None,
) -> Model:
    """Gather the terms of a model and check that they fit together.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Response.
    terms : sequence of Linear, Group or Smooth
        What the user wrote.
    weights : array_like, shape (n,), optional
        Weights of the rows.
    sigma : float, optional
        The residual standard deviation, where it is known.
    offset : array_like, shape (n,), or float, optional
        Known part of the linear predictor.
    rows : Rows, optional
        Which rows of the data these are; otherwise all.

    Returns
    -------
    Model
        The model, with a copy of y.

    Raises
    ------
    ValueError
        As `mixedsmooth.model.lmm.lmm` tells for its terms and weights.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> days, subject = [0, 1, 2, 0, 1, 2], ["a", "a", "a", "b", "b", "b"]
    >>> terms = ms.linear(days=days), ms.group(subject=subject, days=days)
    >>> model = model_of(np.arange(6.0), terms)
    >>> model.fixed_names, model.groups[0].names
    (['(Intercept)', 'days'], ['(Intercept)', 'days'])
    """
    n = len(y)
    for term in terms:
        if not isinstance(term, (Linear, Group, Smooth, Offset)):
            raise ValueError(
                f"terms are what linear(), group() and smooth() return; found {term!r:.60}"
            )
    smooths = [term for term in terms if isinstance(term, Smooth)]
    groups = tuple(
        g
        for term in terms
        for g in ((term,) if isinstance(term, Group) else getattr(term, "random", ()))
    )
    linear = [term for term in terms if isinstance(term, Linear)]
    frames = [term.frame for term in terms if term.frame.n]
    for frame in frames:
        _check_length(frame, n)
    fixed: list[Part] = [Intercept()] if all(term.intercept for term in linear) else []
    fixed += [part for term in linear for part in term.parts]
    fixed += [part for term in smooths for part in term.fixed]
    fixed += [part for g in groups for part in g.fixed]
    if not fixed:
        raise ValueError("terms have no fixed effect; leave the intercept in, or add a column")
    w = None if weights is None else _checked_weights(weights, n)
    frame = merged(frames) if frames else Frame(n, {}, {})
    groups = tuple(replace(g, frame=frame) for g in groups)
    for g in groups:
        effects = len(g.levels) * g.covariance.k
        if sigma is None and g.is_field:
            if w is None and _like_residuals(g, isinstance(fixed[0], Intercept)):
                raise ValueError(
                    f"group({g.factor}=...) has an effect for each row, and what is known of its "
                    "levels is what holds for residuals, so they cannot be told apart; leave the "
                    "term out"
                )
        elif sigma is None and effects >= n and not g.is_curve:
            raise ValueError(
                f"group({g.factor}=...) has {effects} effects for {n} rows, so they cannot be told "
                "from the residuals; use fewer slopes or a coarser factor"
            )
    o = None if offset is None else frozen(for_each_row("offset", offset, n))
    known = tuple(part for term in terms if isinstance(term, Offset) for part in term.parts)
    rows = rows or Rows.all_of(n)
    text = written(terms)
    notes = tuple(note for g in groups for note in g.notes)
    tuned = tuple(term for term in smooths if term.tuning is not None)
    given = frozen(y), coded(fixed), groups, frame, w, sigma, o, known, rows, text
    model = Model(*given, notes=notes, tuned=tuned)
    _check_names("columns of X", model.fixed_names)
    _check_names("terms", [*model.group_names, "fixed"])
    return _with_means(model)


def _with_means(model: Model) -> Model:
    """Warn of a coefficient that varies around zero, as X does not have the column it is of."""
    centered: dict[str, str] = {}
    for part in (part for g in model.groups for part in g.parts):
        if isinstance(part, SmoothPart) and part.basis.centered and part.by is not None:
            if part.by.levels is None:
                centered[part.name] = part.by.name
        elif isinstance(part, FieldPart | SparseFieldPart) and part.structure.intrinsic:
            centered.update((part.name, each.name) for each in part.effect.inputs)
    if not centered:
        return model
    X = np.column_stack([c for part in model.fixed for c in part.columns(model.frame)])
    notes = []
    for term, name in centered.items():
        column = model.frame.numbers[name]
        left = column - X @ np.linalg.lstsq(X, column)[0]
        if np.linalg.norm(left) > WITHIN * np.linalg.norm(column):
            notes.append(
                f"{term} is a coefficient of {name} that is zero on average, as X does not have "
                f"{name}; for a coefficient with a mean add {name} to linear(), in a formula "
                f"+ {name}"
            )
            warnings.warn(notes[-1], UserWarning, stacklevel=_level_of_user())
    return replace(model, notes=(*model.notes, *notes))


def _level_of_user() -> int:
    """How many calls up the library was called, for a warning that is to name that line."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").startswith("mixedsmooth."):
        frame, level = frame.f_back, level + 1
    return level


def _like_residuals(g: Group, intercept: bool) -> bool:
    """Whether the effects of a field are, on the rows, independent and of one variance."""
    n = g.frame.n
    if g.covariance.k < n - intercept:
        return False
    Z = np.column_stack(g.columns(g.frame))
    v = np.random.default_rng(0).normal(size=(n, 2))
    v -= intercept * v.mean(axis=0)
    # ZZ'v, but for what an intercept has too: is it a multiple of any v?
    u = Z @ (Z.T @ v)
    u -= intercept * u.mean(axis=0)
    ratio = np.vdot(u, v) / np.vdot(v, v)
    return bool(np.linalg.norm(u - ratio * v) <= 1e-8 * np.linalg.norm(u))


def _check_names(of: str, names: Sequence[str]) -> None:
    """Raise if a name is given twice: results are known by their names."""
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise ValueError(
            f"two {of} are called {twice[0]}; give them names of their own, or leave one out"
        )


def _checked_weights(weights: ArrayLike, n: int) -> FloatArray:
    w = as_vector("weights", weights, n)
    if w.min() <= 0:
        raise ValueError(
            f"weights must be positive, found {w.min():g} in row {int(w.argmin())}; "
            "leave out rows that should not count"
        )
    if w.max() > WEIGHTS * w.min():
        raise ValueError(
            f"weights go from {w.min():.3g} to {w.max():.3g}, which is more than the digits of a "
            "double; leave out rows that hardly count"
        )
    return frozen(w)


def standardize(model: Model) -> Problem:
    """Center and scale all columns, so that units and origins do not matter.

    Centering moves a column along the intercept, so it needs one: in X, or among the correlated
    effects of a level.

    Parameters
    ----------
    model : Model
        The model.

    Returns
    -------
    Problem
        X, the factors, and how they relate to the user's columns.

    Raises
    ------
    ValueError
        If columns of X are combinations of others.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> days, subject = [1, 1, 5, 5, 1, 1, 5, 5], ["a"] * 4 + ["b"] * 4
    >>> terms = ms.linear(days=days), ms.group(subject=subject, days=days)
    >>> problem = standardize(model_of(np.arange(8.0), terms))
    >>> print(problem.X[:4, 1], problem.K[:, 1])  # (days - 3) / 2
    [-1. -1. 1. 1.] [-1.5 0.5]
    >>> print(problem.back[0])  # b_0 + b_1 (days - 3) / 2 = (b_0 - 1.5 b_1) + 0.5 b_1 days
    [[ 1.  -1.5]
     [ 0.   0.5]]
    """
    w = model.weights
    columns = [column for part in model.fixed for column in part.columns(model.frame)]
    inner, K = _standardized(columns, model.intercept, model.intercept, w)
    X = np.column_stack(inner)
    _check_rank(model, X)
    factors = [_factor(g, w) for g in model.groups]
    back = tuple(to_user for _, to_user in factors)
    for matrix in (X, K, *back):
        locked(matrix)
    return Problem(model, X, tuple(factor for factor, _ in factors), K, back)


def _factor(g: Group, w: FloatArray | None) -> tuple[Factor, FloatArray]:
    """Columns of a term, and the matrix that takes their effects to the user's."""
    columns = g.columns(g.frame)
    if isinstance(g.covariance, Scalar):  # one unit for all, as they share one variance
        scale = float(np.sqrt(np.mean([_weighted_mean(c * c, w) for c in columns])))
        inner, back = [c / scale for c in columns], np.eye(len(columns)) / scale
    else:
        intercept = isinstance(g.parts[0], Intercept)
        centered = intercept and not isinstance(g.covariance, Diagonal)
        inner, back = _standardized(columns, intercept, centered, w)
    if g.precision is not None:
        # effects whose variance given the others is about one, whatever the units of Q
        size = float(np.sqrt(g.precision.Q.diagonal().mean()))
        inner, back = [c * size for c in inner], back * size
    # T is relative to sigma: here to that of a row of mean weight
    unit = 1.0 if w is None else float(np.sqrt(w.mean()))
    shape = Shape(g.independent, g.covariance, g.precision)
    return Factor(g.codes(g.frame), tuple(z / unit for z in inner), shape), back / unit


def _standardized(
    columns: Sequence[FloatArray], intercept: bool, centered: bool, w: FloatArray | None
) -> tuple[list[FloatArray], FloatArray]:
    """Scale all columns but an intercept, and center them; and the matrix K that does it."""
    inner, K = list(columns), np.eye(len(columns))
    for j in range(int(intercept), len(columns)):
        center = _weighted_mean(columns[j], w) if centered else 0.0
        column = columns[j] - center if centered else columns[j]
        scale = float(np.sqrt(_weighted_mean(column * column, w)))
        if scale <= 1e-14 * abs(center):  # a constant column, up to the rounding of its mean
            column, scale = np.zeros_like(column), 1.0
        # x_inner = (x - center) / scale
        inner[j] = column / scale
        K[0, j] -= center / scale
        K[j, j] = 1 / scale
    return inner, K


def _weighted_mean(values: FloatArray, w: FloatArray | None) -> float:
    return float(values.mean()) if w is None else float(w @ values) / float(w.sum())


def _normal_matrix(X: FloatArray, w: FloatArray | None) -> FloatArray:
    """X'WX."""
    return np.asarray(X.T @ (X if w is None else X * w[:, None]), dtype=np.float64)


def _triangle(M: NDArray[Any]) -> FloatArray:
    """Lower triangular T with T T' = M M' and no negative entry on its diagonal."""
    T = np.tril(np.asarray(np.linalg.qr(M.T, mode="r")).T)
    # what is rounding beside its row is zero: a variance, or a part of it, that is on the boundary
    T[np.abs(T) <= 1e-14 * np.linalg.norm(M, axis=1, keepdims=True)] = 0.0
    return positive_diagonal(T)


def _check_rank(model: Model, X: FloatArray) -> None:
    XX = _normal_matrix(X, model.weights)
    norm = np.sqrt(np.diag(XX))
    norm[norm == 0] = 1.0
    _, pivot, rank, _ = dpstrf(XX / np.outer(norm, norm), tol=1e-11)
    if rank < len(XX):
        redundant = ", ".join(model.fixed_names[j - 1] for j in sorted(pivot[rank:]))
        raise ValueError(
            f"X has {len(XX)} columns but rank {rank}: column(s) {redundant} are combinations of "
            "the others; leave them out"
        )
