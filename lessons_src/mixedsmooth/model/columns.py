"""The columns of a model: gathered from its terms, checked, centered and scaled.

terms -> Model -> standardize -> (X, factors) and how they relate to the user's columns
"""

from collections.abc import Sequence
from types import ModuleType
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg.lapack import dpstrf

from mixedsmooth._checks import as_vector
from mixedsmooth.model import blocked, sparse
from mixedsmooth.model.blocked import Factor
from mixedsmooth.model.fit import Model
from mixedsmooth.model.terms import Curves, Group, Linear, Term, effect_columns

FloatArray = NDArray[np.float64]

DENSE_TAIL = 4_000  # columns of Z outside the largest factor that a dense matrix may hold


class Columns(NamedTuple):
    """Centered and scaled columns, and the way back.

    Attributes
    ----------
    X : ndarray, shape (n, p)
        Fixed effects.
    factors : list of Factor
        Random-effects terms, the head first.
    K : ndarray, shape (p, p)
        X is the user's X times K.
    B : tuple of ndarray, each of shape (k, k)
        The effects of a level are B times the user's, for each term in the user's order.
    """

    X: FloatArray
    factors: list[Factor]
    K: FloatArray
    B: tuple[FloatArray, ...]


def model_of(
    y: FloatArray,
    terms: Sequence[Term],
    weights: ArrayLike | None = None,
    sigma: float | None = None,
) -> Model:
    """Gather the terms of a model and check that they fit together.

    Parameters
    ----------
    y : ndarray, shape (n,)
        Response.
    terms : sequence of Linear, Group or Curves
        What the user wrote.
    weights : array_like, shape (n,), optional
        Weights of the rows.
    sigma : float, optional
        The residual standard deviation, where it is known.

    Returns
    -------
    Model
        The model.

    Raises
    ------
    ValueError
        As `mixedsmooth.model.lmm.lmm` tells for its terms and weights.
    """
    n = len(y)
    linear = [term for term in terms if isinstance(term, Linear)]
    smooths = [term for term in terms if isinstance(term, Curves)]
    groups: list[Group] = []
    for term in terms:
        if isinstance(term, Group):
            groups.append(term)
        elif isinstance(term, Curves):
            groups.extend(term.random)
        elif not isinstance(term, Linear):
            raise ValueError(
                f"terms are what linear(), group() and smooth() return; found {term!r:.60}"
            )
    if not groups:
        raise ValueError(
            "terms have neither a grouping factor nor a smooth; add group(...) or smooth(...), or "
            "use least squares"
        )
    covariates = tuple(covariate for term in linear for covariate in term.covariates)
    covariates += tuple(line for term in smooths for line in term.fixed)
    slopes = tuple(covariate for g in groups for covariate in g.covariates)
    rows = [(g.factor, len(g.codes)) for g in groups]
    for name, found in rows + [(c.name, len(c.values)) for c in covariates + slopes]:
        if found != n:
            raise ValueError(f"{name} has {found} rows where y has {n}; give one row for each")
    w = None
    if weights is not None:
        w = as_vector("weights", weights, n)
        if w.min() <= 0:
            raise ValueError(
                f"weights must be positive, found {w.min():g} in row {int(w.argmin())}; "
                "leave out rows that should not count"
            )
    model = Model(y, all(term.intercept for term in linear), covariates, tuple(groups), w, sigma)
    if not model.fixed_names:
        raise ValueError("terms have no fixed effect; leave the intercept in, or add a column")
    for g, shape in zip(groups, model.shapes, strict=True):
        if sigma is None and shape.levels * shape.effects >= n and not g.is_curve:
            raise ValueError(
                f"group({g.factor}=...) has {shape.levels * shape.effects} effects for {n} rows, "
                "so they cannot be told from the residuals; use fewer slopes or a coarser factor"
            )
    return model


def standardize(model: Model) -> Columns:
    """Center and scale all columns, so that units and origins do not matter.

    Centering moves a column along the intercept, so it needs one: in X, or among the correlated
    effects of a level.

    Parameters
    ----------
    model : Model
        The model.

    Returns
    -------
    Columns
        X, the factors, and how they relate to the user's columns.

    Raises
    ------
    ValueError
        If columns of X are combinations of others.
    """
    n, w = len(model.y), model.weights
    columns = effect_columns(model.intercept, model.covariates, n)
    p = len(columns)
    X = np.empty((n, p))
    K = np.eye(p)
    for j, column in enumerate(columns):
        if model.intercept and j == 0:
            X[:, 0] = 1.0
            continue
        X[:, j], center, scale = _standardized(column, model.intercept, w)
        K[j, j] = 1 / scale
        K[0, j] -= center / scale if model.intercept else 0.0
    _check_rank(model, X)
    factors, B = [], []
    for g in model.groups:
        effects = []
        centered = g.intercept and g.correlated
        columns = effect_columns(g.intercept, g.covariates, n)
        B_g = np.eye(len(columns))
        if g.scalar:  # one unit for all, as they share one variance
            scale = float(np.sqrt(np.mean([weighted_mean(c * c, w) for c in columns])))
            factors.append(
                Factor(g.codes, len(g.levels), tuple(c / scale for c in columns), False, True)
            )
            B.append(scale * B_g)
            continue
        for a, column in enumerate(columns):
            if g.intercept and a == 0:
                effects.append(column)
                continue
            inner, center, scale = _standardized(column, centered, w)
            effects.append(inner)
            # b_0 + b_a x = (b_0 + center b_a) + scale b_a x_inner
            B_g[a, a] = scale
            B_g[0, a] += center if centered else 0.0
        factors.append(Factor(g.codes, len(g.levels), tuple(effects), g.correlated))
        B.append(B_g)
    return Columns(X, [factors[i] for i in model.order], K, tuple(B))


def engine_for(factors: Sequence[Factor]) -> ModuleType:
    """Return the module that forms cross-products and factors them: `blocked` or `sparse`."""
    in_tail = sum(f.size for f in factors[1:])
    return blocked if in_tail <= DENSE_TAIL else sparse


def weighted_mean(values: FloatArray, w: FloatArray | None) -> float:
    """Mean of the rows by their weights, if they have any."""
    return float(values.mean()) if w is None else float(w @ values) / float(w.sum())


def normal_matrix(X: FloatArray, w: FloatArray | None) -> FloatArray:
    """X'WX."""
    return np.asarray(X.T @ (X if w is None else X * w[:, None]), dtype=np.float64)


def _standardized(
    column: FloatArray, centered: bool, w: FloatArray | None
) -> tuple[FloatArray, float, float]:
    center = weighted_mean(column, w) if centered else 0.0
    inner = column - center if centered else column
    scale = float(np.sqrt(weighted_mean(inner * inner, w)))
    if scale <= 1e-14 * abs(center):  # a constant column, up to the rounding of its mean
        return np.zeros_like(column), center, 1.0
    return inner / scale, center, scale


def _check_rank(model: Model, X: FloatArray) -> None:
    XX = normal_matrix(X, model.weights)
    norm = np.sqrt(np.diag(XX))
    norm[norm == 0] = 1.0
    _, pivot, rank, _ = dpstrf(XX / np.outer(norm, norm), tol=1e-11)
    if rank < len(XX):
        redundant = ", ".join(model.fixed_names[j - 1] for j in sorted(pivot[rank:]))
        raise ValueError(
            f"X has {len(XX)} columns but rank {rank}: column(s) {redundant} are combinations of "
            "the others; leave them out"
        )
