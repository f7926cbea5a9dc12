"""The parametric bootstrap: fit the model again to what it simulates (chapter 13).

    y_i ~ the fitted model,  t_i = statistic of the fit to y_i

The spread of t_i about the estimate t stands for that of t about the truth. Fits on the boundary
are part of it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import a_callable, choice, locked, share, whole
from mixedsmooth._tables import Table
from mixedsmooth.inference import together
from mixedsmooth.inference.intervals import Intervals
from mixedsmooth.inference.parameters import Estimates, named_likelihood, parameters
from mixedsmooth.inference.progress import Progress, long_work
from mixedsmooth.inference.simulation import generator, seed_of, simulator
from mixedsmooth.model.fit import Fit, GeneralizedFit
from mixedsmooth.model.summary import Printed, Summary

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Statistic = Callable[[Fit], float | ArrayLike | Mapping[str, float]]

FEWEST = 20  # replicates
NOTHING = 1e-4  # a standard deviation below this part of sigma is zero
PERFECT = 1 - 1e-10  # a correlation of this size is 1


@dataclass(frozen=True, eq=False, repr=False)
class Bootstrap(Printed):
    """Replicates of a statistic.

    Attributes
    ----------
    names : list of str
        What was computed of each fit.
    estimate : ndarray, shape (k,)
        The same of the fit from which the data were simulated.
    replicates : ndarray, shape (n_done, k)
        The same of each fit to simulated data, in the order of the seed's children. A correlation
        is not a number where a variance is zero, and a row is not where its data could not be
        fitted.
    singular : ndarray of bool, shape (n_done,)
        Whether the fit of the replicate is on the boundary.
    converged : ndarray of bool, shape (n_done,)
        Whether its search ended at a minimum.
    n : int
        How many replicates were asked for.
    seed : int
        From which all of it can be drawn again.
    likelihood : str
        How each was fitted.
    failures : tuple of str
        What was said where data could not be fitted.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> pastes = ms.load_pastes()
    >>> fit = ms.lmm(pastes.strength, ms.group(sample=pastes.sample))
    >>> boot = ms.bootstrap(fit, n=999, seed=1)
    >>> boot.n_done, boot.names
    (999, ['sd (Intercept) | sample', 'sigma', '(Intercept)'])
    >>> print(boot["sigma"][:3].round(2), boot.se.round(2))
    [0.84 0.71 0.81] [0.42 0.11 0.58]
    """

    names: list[str]
    estimate: FloatArray
    replicates: FloatArray
    singular: BoolArray
    converged: BoolArray
    n: int
    seed: int
    likelihood: str
    failures: tuple[str, ...] = ()

    @property
    def n_done(self) -> int:
        """How many replicates there are: fewer than n if it was interrupted."""
        return len(self.replicates)

    @property
    def se(self) -> FloatArray:
        """Standard deviations of the replicates that are finite, shape (k,)."""
        return np.array([_spread(column) for column in self.replicates.T])

    @property
    def bias(self) -> FloatArray:
        """Means of the replicates that are finite, minus the estimates, shape (k,)."""
        means = np.array([_mean(column) for column in self.replicates.T])
        return np.where(np.isfinite(self.estimate), means - self.estimate, np.nan)

    @property
    def on_boundary(self) -> dict[str, int]:
        """How many fits are on the boundary, and which standard deviation or correlation is there.

        Under ``"any"`` the fits; under a name those in which this standard deviation is zero, or
        this correlation 1, -1 or not defined. Statistics of your own are not looked at.
        """
        sigma = self["sigma"] if "sigma" in self.names else np.ones(self.n_done)
        counts = {"any": int(self.singular.sum())}
        for name, column in zip(self.names, self.replicates.T, strict=True):
            if name.startswith("sd "):
                counts[name] = int(np.sum(column <= NOTHING * sigma))
            elif name.startswith("corr "):
                fitted = ~np.isnan(sigma)
                counts[name] = int(np.sum(fitted & ~(np.abs(column) < PERFECT)))
        return counts

    def __getitem__(self, name: str) -> FloatArray:
        """Replicates of one statistic, shape (n_done,)."""
        if name not in self.names:
            raise ValueError(f"there is no {name!r}; there are {', '.join(self.names)}")
        return self.replicates[:, self.names.index(name)]

    def confint(
        self, level: float = 0.95, kind: Literal["percentile", "basic"] = "percentile"
    ) -> "Intervals":
        """Intervals from the replicates.

        Their ends are order statistics: of n replicates the k-th from below and the k-th from
        above, with k the whole part of (n + 1) (1 - level) / 2.

        Parameters
        ----------
        level : float
            Coverage, between 0 and 1.
        kind : {"percentile", "basic"}
            Between quantiles of the replicates; or these reflected at the estimate, as if the
            replicates were as far from the estimate as the estimate is from the truth.

        Returns
        -------
        Intervals
            The intervals.

        Raises
        ------
        ValueError
            If `kind` is unknown, or there are too few replicates for the level.

        References
        ----------
        Davison and Hinkley (1997), Bootstrap Methods and their Application, sections 5.2 and 5.3.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> pastes = ms.load_pastes()
        >>> fit = ms.lmm(pastes.strength, ms.group(sample=pastes.sample))
        >>> boot = ms.bootstrap(fit, n=999, seed=1)
        >>> lower, upper = boot.confint(0.9)["sigma"]
        >>> bool(lower == np.sort(boot["sigma"])[49]), bool(upper == np.sort(boot["sigma"])[-50])
        (True, True)
        """
        tail = (1 - share("level", level)) / 2
        choice("kind", kind, ("percentile", "basic"))
        needed = int(np.ceil(1 / tail * (1 - 1e-12))) - 1
        if self.n_done < needed:
            raise ValueError(
                f"level {level:g} needs at least {needed} replicates, and there are "
                f"{self.n_done}; take more, or a lower level"
            )
        ends = np.array([_order_statistics(column, tail) for column in self.replicates.T])
        lower, upper = ends.reshape(-1, 2).T
        if kind == "basic":
            # 2 t - t_(n + 1 - k)  to  2 t - t_(k)  (eq-sure-bootstrap)
            lower, upper = 2 * self.estimate - upper, 2 * self.estimate - lower
        return Intervals(
            names=list(self.names),
            estimate=self.estimate.copy(),
            lower=lower,
            upper=upper,
            level=level,
            kind=f"{kind} bootstrap",
            likelihood=self.likelihood,
            notes=self.notes,
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader should know of the replicates."""
        asked = "" if self.n_done == self.n else f" of the {self.n} that were asked for"
        notes = [f"Replicates: {self.n_done}{asked}, seed {self.seed}"]
        if self.singular.any():
            counts = self.on_boundary
            notes.append(f"On the boundary: {counts['any']} of the fits")
            where = (name for name in counts if name != "any" and counts[name])
            notes += [f"- {name}: {counts[name]}" for name in where]
        if self.failures:
            notes.append(f"Not fitted: {len(self.failures)}, as {self.failures[0]}")
        if others := int(np.sum(~self.converged)) - len(self.failures):
            notes.append(f"Not converged: {others}")
        missing = np.isnan(self.replicates).sum(axis=0) - len(self.failures)
        for name, count in zip(self.names, missing, strict=True):
            if count:
                notes.append(f"{name}: not a number in {count}, which its interval leaves out")
        return tuple(notes)

    def to_pandas(self) -> "pd.DataFrame":
        """Return the replicates as a data frame, which needs pandas."""
        import pandas as pd

        index = pd.RangeIndex(self.n_done, name="replicate")
        return pd.DataFrame(self.replicates, index=index, columns=self.names)

    def _summary(self) -> Summary:
        columns = zip(self.names, self.estimate, self.bias, self.se, strict=True)
        rows = tuple((name, *(f"{value:.5g}" for value in values)) for name, *values in columns)
        table = Table("", ("Statistic", "Estimate", "Bias", "SE"), rows, labels=1)
        return Summary(f"Parametric bootstrap, fits by {self.likelihood}", (table,), self.notes)


def bootstrap(
    fit: Fit,
    n: int = 1000,
    seed: int | None = None,
    statistic: Statistic | None = None,
    progress: Progress = None,
) -> Bootstrap:
    """Simulate from a fit, and fit the model again to each response.

    The fits to one model that is small, which is most of them, are searched together as arrays:
    ten thousand take about as long as a few hundred one by one. Others begin at the estimate, or
    look around where there are smooths.

    Parameters
    ----------
    fit : Fit
        A fit by any method.
    n : int
        How many replicates, at least 20.
    seed : int, optional
        A whole number from which the same can be drawn again; otherwise fresh entropy, which the
        result has as `seed`. Replicate i is fitted to row i of ``fit.simulate(n, seed)``.
    statistic : callable, optional
        What to compute of each fit: a function that takes a `Fit` and returns a number, some
        numbers, or numbers by name. Otherwise all parameters.
    progress : bool or callable, optional
        True for a bar by tqdm, and nothing where that is not installed; or a function that is told
        how many are done, and of how many.

    Returns
    -------
    Bootstrap
        The replicates. An interrupt from the keyboard ends the work with those that are done.

    Raises
    ------
    ValueError
        If `n` is below 20, the fit is none or is of no distribution (`Fit.simulate` tells which),
        or the statistic gives something else.

    References
    ----------
    Davison and Hinkley (1997), chapter 2; Bates et al. (2015), section 5.1, on boundaries.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> pastes = ms.load_pastes()
    >>> fit = ms.lmm(pastes.strength, ms.group(batch=pastes.batch), ms.group(sample=pastes.sample))
    >>> def share_within(fit):  # of the variance of one measurement
    ...     return fit.sigma**2 / (fit.sigma**2 + sum(r.cov[0, 0] for r in fit.random.values()))
    >>> boot = ms.bootstrap(fit, n=199, seed=1, statistic=share_within)
    >>> print(boot.estimate.round(3), boot.on_boundary)
    [0.063] {'any': 51}
    """
    if not isinstance(fit, Fit):
        raise ValueError(f"fit must be what lmm() or glmm() returns, found {fit!r:.60}")
    source = simulator(fit)
    n, seed = whole("n", n, FEWEST), seed_of(seed)
    if statistic is not None:
        a_callable("statistic", statistic)
    names, estimate = _named(statistic, fit)

    def responses(first: int, last: int) -> FloatArray:
        return source.draw([generator(seed, i) for i in range(first, last)])

    parts: list[_Part] = []
    done = 0
    with long_work(progress, n) as tell:
        tell(0)
        for part in _parts(fit, n, responses, statistic, names):
            parts.append(part)
            done += len(part.values)
            tell(done)
    values = [part.values for part in parts]
    return Bootstrap(
        names=names,
        estimate=locked(estimate),
        replicates=locked(np.concatenate([np.empty((0, len(names))), *values])),
        singular=_joined([part.singular for part in parts]),
        converged=_joined([part.converged for part in parts]),
        n=n,
        seed=seed,
        likelihood="PQL" if str(fit.method) == "pql" else named_likelihood(fit),
        failures=tuple(text for part in parts for text in part.failures),
    )


# ---- fits ----


class _Part(NamedTuple):
    """Some replicates: statistics, whether singular, whether converged, and what went wrong."""

    values: FloatArray
    singular: BoolArray
    converged: BoolArray
    failures: list[str]


def _parts(
    fit: Fit,
    n: int,
    responses: Callable[[int, int], FloatArray],
    statistic: Statistic | None,
    names: list[str],
) -> Iterator[_Part]:
    """Fit to all responses, together or one by one."""

    def alone(y: FloatArray, theta: FloatArray | None = None) -> _Part:
        try:
            again = _refit(fit, y) if theta is None else fit.with_response(y, theta=theta)
        except ValueError as error:
            missing, no = np.full((1, len(names)), np.nan), np.zeros(1, dtype=bool)
            return _Part(missing, no, no, [str(error)])
        found, values = _named(statistic, again)
        if found != names:
            raise ValueError(
                f"statistic gave {', '.join(found)} for a replicate, and {', '.join(names)} for "
                "the fit; it must give the same each time"
            )
        flags = np.array([again.on_boundary]), np.array([again.converged])
        return _Part(values[None], *flags, [])

    if not together.serves(fit):
        for i in range(n):
            yield alone(responses(i, i + 1)[0])
        return
    design = together.design_of(fit)
    for first in range(0, n, design.at_once):
        y = responses(first, min(first + design.at_once, n))
        optima = design.search(y)
        if statistic is None:
            values = together.parameters_of(optima, fit)
            part = _Part(values, optima.singular, optima.found, [])
            for r in np.flatnonzero(~optima.found):
                one = alone(y[r])
                values[r], part.singular[r] = one.values[0], one.singular[0]
                part.converged[r] = one.converged[0]
                part.failures.extend(one.failures)
            yield part
            continue
        for i, found in enumerate(optima.found):
            theta = fit.problem.theta([T_f[i] for T_f in optima.T])
            yield alone(y[i], theta if found else None)


def _refit(fit: Fit, y: FloatArray) -> Fit:
    """Fit to another response: from the estimate, or where there are smooths from a look around."""
    problem = fit.problem.with_response(y)
    start = None
    if fit.theta.size and not any(g.is_smooth for g in fit.model.groups):
        # inside, as the slope by a variance of zero vanishes
        start = problem.theta([together.inside(T) for T in fit.factorization.T])
    if isinstance(fit, GeneralizedFit):
        nodes = max(fit.nodes, 1)
        return fit.solver(problem, fit.family, fit.method, nodes=nodes, start=start)
    return fit.solver(problem, fit.method, A=fit.factorization.A, start=start)


def _named(statistic: Statistic | None, fit: Fit) -> Estimates:
    """Names and values of what is computed of a fit."""
    if statistic is None:
        return parameters(fit)
    found = statistic(fit)
    if isinstance(found, Mapping):
        names, values = [str(name) for name in found], np.asarray(list(found.values()))
    else:
        values = np.asarray(found)
        many = values.ndim > 0
        names = [f"statistic[{i}]" for i in range(values.size)] if many else ["statistic"]
    values = values.reshape(-1)
    if values.dtype.kind not in "biuf" or len(values) != len(names) or not names:
        raise ValueError(
            f"statistic must give a number, some numbers, or numbers by name, found {found!r:.60}"
        )
    return Estimates(names, values.astype(np.float64))


# ---- numbers ----


def _order_statistics(column: FloatArray, tail: float) -> tuple[float, float]:
    """K-th smallest and k-th largest of the numbers in a column."""
    values = np.sort(column[~np.isnan(column)])
    k = int((len(values) + 1) * tail * (1 + 1e-12))
    return (float(values[k - 1]), float(values[-k])) if k else (np.nan, np.nan)


def _mean(column: FloatArray) -> float:
    values = column[np.isfinite(column)]
    return float(values.mean()) if len(values) else np.nan


def _spread(column: FloatArray) -> float:
    values = column[np.isfinite(column)]
    return float(values.std(ddof=1)) if len(values) > 1 else np.nan


def _joined(parts: list[BoolArray]) -> BoolArray:
    return np.asarray(locked(np.concatenate([np.zeros(0, dtype=bool), *parts])))
