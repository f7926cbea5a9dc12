"""Before a fit is believed: residuals, what one group changes, room in a basis (chapter 13).

`influence` refits without each level of a factor, from the optimum. `basis_check` asks whether the
residuals of neighbors along a smooth are too much alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from mixedsmooth._checks import choice, frozen, locked, occurring, whole
from mixedsmooth._linalg import cholesky, solve_lower
from mixedsmooth._tables import Table
from mixedsmooth.inference.parameters import parameters
from mixedsmooth.inference.progress import Progress, long_work
from mixedsmooth.inference.simulation import seed_of
from mixedsmooth.model.families import Binomial
from mixedsmooth.model.fit import Fit, GeneralizedFit
from mixedsmooth.model.parts import Labels, SmoothPart
from mixedsmooth.model.problem import standardize
from mixedsmooth.model.terms import Group

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

SHOWN = 20  # levels that are printed
NEAREST = 3  # neighbors of a row over several covariates, as many as mgcv has


def scaled_residuals(fit: Fit) -> FloatArray:
    """Residuals over the standard deviation that the model gives them.

    Parameters
    ----------
    fit : Fit
        Any fit.

    Returns
    -------
    ndarray, shape (n,)
        (y - fitted) sqrt(w) / sigma; of a generalized fit its Pearson residuals, over sigma where
        that is estimated.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> sleep = ms.load_sleepstudy()
    >>> fit = ms.lmm_formula("reaction ~ days + (days | subject)", sleep)
    >>> r = scaled_residuals(fit)
    >>> worst = abs(r).argmax()
    >>> print(sleep.subject[worst], sleep.days[worst], r[worst].round(2))
    332 6 5.18
    """
    w = fit.model.weights
    if isinstance(fit, GeneralizedFit):
        # a shape is 1 / sigma^2, and in the standard deviation already
        scaled = np.asarray(fit.pearson) / (1.0 if fit.family.parameter else fit.sigma)
    else:
        scaled = np.asarray(fit.residuals) * (1.0 if w is None else np.sqrt(w)) / fit.sigma
    return locked(scaled)


# ---- what one group changes ----


@dataclass(frozen=True, eq=False)
class Influence:
    """What each level of a factor changes, found by leaving it out.

    Attributes
    ----------
    factor : str
        The grouping factor.
    levels : ndarray, shape (m,)
        Its labels; fewer than there are, if the work was interrupted.
    asked : int
        How many levels were to be left out.
    names : list of str
        Names of the q parameters, as `parameters` lists them: standard deviations and correlations,
        sigma, then the p fixed effects.
    estimate : ndarray, shape (q,)
        Their estimates from all rows.
    without : ndarray, shape (m, q)
        Their estimates without each level; not numbers where there is no such fit.
    dfbetas : ndarray, shape (m, p)
        The fixed effects less those without the level, over the standard errors without it:
        positive where the level raises the coefficient.
    cook : ndarray, shape (m,)
        Cook's distances: the change of all fixed effects in the metric of their covariance, over p.
    converged : ndarray of bool, shape (m,)
        Whether the search without the level ended at an optimum.
    failed : mapping of object to str
        Why there is no fit without a level, of the levels that cannot be left out.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> pastes = ms.lmm_formula("strength ~ 1 + (1 | batch) + (1 | sample)", ms.load_pastes())
    >>> influence = pastes.influence("batch")
    >>> print(influence.levels[influence.cook.argmax()], influence.beta.ravel()[:2].round(2))
    E [59.81 60.14]
    """

    factor: str
    levels: NDArray[Any]
    asked: int
    names: list[str]
    estimate: FloatArray
    without: FloatArray
    dfbetas: FloatArray
    cook: FloatArray
    converged: NDArray[np.bool_]
    failed: Mapping[Any, str]

    @property
    def fixed_names(self) -> list[str]:
        """Names of the fixed effects, the last of the parameters."""
        return self.names[-self.dfbetas.shape[1] :]

    @property
    def beta(self) -> FloatArray:
        """Fixed effects without each level, shape (m, p)."""
        return self.without[:, -self.dfbetas.shape[1] :]

    def to_pandas(self) -> "pd.DataFrame":
        """Return a data frame, levels as index, which needs pandas.

        Returns
        -------
        pandas.DataFrame
            Cook's distances, a column ``dfbetas NAME`` for each fixed effect, and the parameters
            without the level by their names.
        """
        import pandas as pd

        columns = {"cook": self.cook}
        columns |= {
            f"dfbetas {n}": c for n, c in zip(self.fixed_names, self.dfbetas.T, strict=True)
        }
        columns |= dict(zip(self.names, self.without.T, strict=True))
        return pd.DataFrame(columns, index=pd.Index(self.levels, name=self.factor), copy=True)

    def __str__(self) -> str:
        """Show the levels that change most."""
        return "\n".join([self._table().text(), *self._notes()])

    def __repr__(self) -> str:
        """Tell the factor and its levels."""
        return f"<Influence of {len(self.levels)} levels of {self.factor}>"

    def _repr_html_(self) -> str:
        return self._table().html() + "".join(f"<p>{note}</p>" for note in self._notes())

    def _table(self) -> Table:
        order = np.argsort(-self.cook, kind="stable")  # what is not a number comes last
        order = order[np.isfinite(self.cook[order])]
        # a group may change sigma where it changes no coefficient
        sigma = [self.names.index("sigma")] if "sigma" in self.names else []
        rows = [("(all)", "", *("" for _ in self.fixed_names), *_digits(self.estimate[sigma]))]
        for j in order[:SHOWN]:
            changes = (f"{change:.3f}" for change in self.dfbetas[j])
            level = str(self.levels[j]), f"{self.cook[j]:.4f}"
            rows.append((*level, *changes, *_digits(self.without[j, sigma])))
        caption = f"Without one level of {self.factor}: Cook's distance, changes of the fixed "
        caption += "effects in standard errors (DFBETAS)" + ", and sigma" * len(sigma)
        if len(order) > SHOWN:
            caption += f"; the first {SHOWN} of {len(self.levels)}"
        header = (self.factor, "Cook", *self.fixed_names, *("sigma" for _ in sigma))
        return Table(caption, header, tuple(rows), labels=1)

    def _notes(self) -> list[str]:
        notes = [f"Not without {level}: {why}" for level, why in self.failed.items()]
        if len(self.levels) < self.asked:
            notes.append(f"Interrupted: {len(self.levels)} of {self.asked} levels were left out")
        known = np.isfinite(self.cook)
        notes += [
            f"Not converged without {level}" for level in self.levels[known & ~self.converged]
        ]
        return notes


def _digits(values: FloatArray) -> list[str]:
    return [f"{value:.4g}" for value in values]


def influence(fit: Fit, factor: str, progress: Progress = None) -> Influence:
    """Refit without each level of a factor, and tell what that changes.

    Variances are searched anew, from where they are. The smooths keep their bases, and random
    effects of levels without rows are no part of a likelihood, so that the parameters mean the same
    in every fit.

    Parameters
    ----------
    fit : Fit
        The fit.
    factor : str
        A grouping factor of the model, with three levels or more.
    progress : bool or callable, optional
        True for a bar by tqdm, where that is installed; or what is called with the number of levels
        that are done and that of all. An interrupt keeps what is done.

    Returns
    -------
    Influence
        Estimates without each level, DFBETAS and Cook's distances. A level without which there is
        no estimate is told in `failed`.

    Raises
    ------
    ValueError
        If the model has no such grouping factor, or one of two levels.

    References
    ----------
    Belsley, Kuh and Welsch (1980), Regression Diagnostics, section 2.1, for DFBETAS; Cook (1977),
    Technometrics 19, 15-18; for groups Demidenko and Stukel (2005), Statistics in Medicine 24,
    893-909.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fit = ms.lmm_formula("reaction ~ days + (1 | subject)", ms.load_sleepstudy())
    >>> found = influence(fit, "subject")
    >>> worst = found.cook.argmax()
    >>> print(found.levels[worst], found.cook[worst].round(3), found.dfbetas[worst].round(2))
    335 0.526 [ 0.07 -0.98]
    """
    codes, levels = _levels_of(fit, factor)
    names, estimate = parameters(fit)
    m, q, p = len(levels), len(names), len(fit.names)
    without, dfbetas = np.full((m, q), np.nan), np.full((m, p), np.nan)
    cook, converged, failed = np.full(m, np.nan), np.zeros(m, dtype=bool), {}
    unit, done = fit.se, 0
    L = cholesky(fit.cov_beta / np.outer(unit, unit))
    with long_work(progress, m) as tell:
        tell(0)
        for level in range(m):
            try:
                other = _at_rows(fit, np.flatnonzero(codes != level))
            except ValueError as error:
                failed[levels[level]] = str(error)
            else:
                change = fit.beta - other.beta
                # D = (beta - beta_without)' C^-1 (beta - beta_without) / p  (eq-sure-influence)
                half = solve_lower(L, change / unit)
                cook[level] = half @ half / p
                dfbetas[level] = change / other.se
                without[level] = parameters(other).values
                converged[level] = other.converged
            done = level + 1
            tell(done)
    return Influence(
        factor,
        levels[:done],
        m,
        names,
        estimate=locked(estimate),
        without=locked(without[:done]),
        dfbetas=locked(dfbetas[:done]),
        cook=locked(cook[:done]),
        converged=locked(converged[:done]),
        failed=failed,
    )


def _levels_of(fit: Fit, factor: str) -> tuple[IntArray, NDArray[Any]]:
    factors = {g.factor: g for g in fit.model.groups if not g.is_curve}
    if not factors:
        raise ValueError("the model has no grouping factor, of which a level could be left out")
    g = factors[choice("factor", factor, tuple(factors))]
    # a structure may have levels without data, which nothing is left out with
    levels, codes = occurring(g.levels, fit.model.frame.codes(g.factor, g.levels))
    if len(levels) < 3:
        raise ValueError(
            f"{factor} has {len(levels)} levels, and without one of them no variance can be told "
            "from the other; influence needs three"
        )
    return codes, levels


def _at_rows(fit: Fit, rows: IntArray) -> Fit:
    """Fit the same model to some of its rows. A level that has none of them keeps its place."""
    model = fit.model
    frame = replace(
        model.frame,
        n=len(rows),
        numbers={name: frozen(x[rows]) for name, x in model.frame.numbers.items()},
        labels={
            name: Labels(frozen(codes[rows]), levels)
            for name, (codes, levels) in model.frame.labels.items()
        },
    )
    for g in model.groups:
        if not g.is_curve and len(np.unique(frame.codes(g.factor, g.levels))) < 2:
            raise ValueError(f"{g.factor} has one level only: a random effect needs two groups")
    model = replace(
        model,
        y=frozen(model.y[rows]),
        groups=tuple(replace(g, frame=frame) for g in model.groups),
        frame=frame,
        weights=None if model.weights is None else frozen(model.weights[rows]),
        offset=None if model.offset is None else frozen(model.offset[rows]),
        rows=replace(model.rows, used=locked(model.rows.used[rows])),
    )
    problem = standardize(model)
    if not isinstance(fit, GeneralizedFit):
        return fit.solver(problem, fit.method, start=fit.theta)
    family = fit.family
    if isinstance(family, Binomial):
        family = replace(family, trials=frozen(family.trials[rows]))
    nodes = {"nodes": fit.nodes} if fit.method == "agq" else {}
    return fit.solver(problem, family, fit.method, start=fit.theta, **nodes)


# ---- room in a basis ----


@dataclass(frozen=True, eq=False)
class BasisCheck:
    """Whether the bases of the smooths have room enough.

    Attributes
    ----------
    names : list of str
        The smooths.
    columns : ndarray of int
        The columns of each, k': what the degrees of freedom cannot exceed.
    edf : ndarray
        The effective degrees of freedom of each.
    index : ndarray
        Half the mean squared difference of neighbors' residuals over their mean square. Below 1,
        neighbors are alike, and something is left that a larger basis may find.
    p : ndarray
        Share of the permutations of the residuals whose index is as low.
    n : int
        Number of permutations.
    seed : int
        Where they began.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> narrow = ms.lmm_formula('accel ~ s(time, bs="cr", k=5)', ms.load_mcycle())
    >>> print(narrow.basis_check(n=200, seed=1))
    Room in the bases, by 200 permutations of the residuals (seed 1):
     smooth   k'   edf  index        p
     s(time)   4  3.82  0.412  0.00498
    A low p with an edf near k' asks for a larger k
    """

    names: list[str]
    columns: IntArray
    edf: FloatArray
    index: FloatArray
    p: FloatArray
    n: int
    seed: int

    def to_pandas(self) -> "pd.DataFrame":
        """Return a data frame, smooths as index, which needs pandas."""
        import pandas as pd

        columns = {"k'": self.columns, "edf": self.edf, "index": self.index, "p": self.p}
        return pd.DataFrame(columns, index=pd.Index(self.names, name="smooth"), copy=True)

    def __str__(self) -> str:
        """Show a row for each smooth."""
        return f"{self._table().text()}\n{self._note}"

    def __repr__(self) -> str:
        """Tell the smooths."""
        return f"<BasisCheck of {', '.join(self.names)}>"

    def _repr_html_(self) -> str:
        return f"{self._table().html()}<p>{self._note}</p>"

    @property
    def _note(self) -> str:
        return "A low p with an edf near k' asks for a larger k"

    def _table(self) -> Table:
        columns = zip(self.names, self.columns, self.edf, self.index, self.p, strict=True)
        rows = tuple((s, str(k), f"{e:.2f}", f"{i:.3f}", f"{p:.3g}") for s, k, e, i, p in columns)
        caption = f"Room in the bases, by {self.n} permutations of the residuals (seed {self.seed})"
        return Table(caption, ("smooth", "k'", "edf", "index", "p"), rows, labels=1)


def basis_check(fit: Fit, n: int = 1000, seed: int | None = None) -> BasisCheck:
    """Ask of each smooth whether its basis has room enough.

    If it has, the residuals are noise along the covariate, and half the squared difference of
    neighbors is on average the variance of the residuals. If not, neighbors are alike. How alike
    they are by chance, permutations of the residuals tell. The neighbors over several covariates
    are the three nearest rows, each covariate in its standard deviations.

    Parameters
    ----------
    fit : Fit
        A fit with smooths.
    n : int
        Number of permutations, 20 or more.
    seed : int, optional
        Where they begin; otherwise anew at each call.

    Returns
    -------
    BasisCheck
        Columns, degrees of freedom, index and p of each smooth. The curve of a level is checked on
        the rows of that level; a `penalized` term has no index, as nothing tells its neighbors.

    Raises
    ------
    ValueError
        If the model has no smooth, or `n` or `seed` are not such numbers.

    References
    ----------
    Wood (2017), section 5.9; mgcv 1.8-41, ``k.check``, whose p is that of another permutation.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fit = ms.lmm_formula('accel ~ s(time, bs="cr", k=20)', ms.load_mcycle())
    >>> check = basis_check(fit, n=200, seed=1)
    >>> print(check.columns, check.edf.round(2), check.index.round(4), check.p > 0.8)
    [19] [11.78] [1.1724] [ True]
    """
    n, seed = whole("n", n, least=20), seed_of(seed)
    rng = np.random.default_rng(seed)
    smooths: dict[str, list[tuple[str, Group, SmoothPart]]] = {}
    for term, g in zip(fit.model.whole_names, fit.model.groups, strict=True):
        if isinstance(part := g.parts[0], SmoothPart):
            smooths.setdefault(part.name, []).append((term, g, part))
    if not smooths:
        raise ValueError("the model has no smooth, whose basis could be checked")
    residuals = scaled_residuals(fit)
    lines = [line.name for line in fit.model.lines for _ in line.names]
    columns = [
        sum(len(g.levels) * g.covariance.k for _, g, _ in blocks) + lines.count(name)
        for name, blocks in smooths.items()
    ]
    terms = [{term for term, *_ in blocks} for blocks in smooths.values()]
    found = [
        _alike(residuals, _neighbors(fit, g, part), n, rng) for (_, g, part), *_ in smooths.values()
    ]
    index, p = np.array(found).T
    return BasisCheck(
        names=list(smooths),
        columns=locked(np.array(columns)),
        edf=locked(np.array([sum(fit.edf[term] for term in own) for own in terms])),
        index=locked(index),
        p=locked(p),
        n=n,
        seed=seed,
    )


def _neighbors(fit: Fit, g: Group, part: SmoothPart) -> tuple[IntArray, IntArray, IntArray]:
    """Rows that a smooth has, in its order; and pairs of neighbors, by their places among them."""
    frame = fit.model.frame
    codes = g.codes(frame)
    rows = np.arange(fit.n)
    if part.by is not None and part.by.levels is not None:
        rows = np.flatnonzero(frame.codes(part.by.name, part.by.levels) == part.level)
    if part.basis.kind == "penalized":  # of its columns only the reader knows what is near
        return rows, rows[:0], rows[:0]
    x = np.stack([frame.numbers[name] for name in part.basis.names], axis=1)
    order = rows[np.lexsort((*x[rows].T[::-1], codes[rows]))]
    if x.shape[1] == 1:
        before = np.flatnonzero(np.diff(codes[order]) == 0)
        return order, before, before + 1
    at = x[order] / x.std(axis=0)
    pairs = [
        level[_nearest(at[level])]
        for code in np.unique(codes[order])
        if len(level := np.flatnonzero(codes[order] == code)) > 1
    ]
    one, other = np.concatenate(pairs).T if pairs else np.empty((2, 0), dtype=np.intp)
    return order, one, other


def _nearest(at: FloatArray) -> IntArray:
    """Pairs of each point and its nearest others, shape (pairs, 2)."""
    nearest = cKDTree(at).query(at, k=min(NEAREST + 1, len(at)))[1]
    itself = nearest == np.arange(len(at))[:, None]
    itself[~itself.any(axis=1), -1] = True  # many points at one place: others came first
    others = nearest[~itself].reshape(len(at), -1)
    return np.stack([np.repeat(np.arange(len(at)), others.shape[1]), others.ravel()], axis=1)


def _alike(
    residuals: FloatArray,
    neighbors: tuple[IntArray, IntArray, IntArray],
    n: int,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """How alike neighbors are, and how often permutations are as much."""
    order, one, other = neighbors
    r = residuals[order]
    if not len(one):
        return np.nan, np.nan

    def index(r: FloatArray) -> float:
        return float(np.mean((r[other] - r[one]) ** 2) / 2 / np.mean(r * r))

    seen = index(r)
    as_low = sum(index(rng.permutation(r)) <= seen for _ in range(n))
    return seen, (1 + as_low) / (n + 1)
