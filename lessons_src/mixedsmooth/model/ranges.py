"""The range of a Gaussian process is estimated outside the search for theta (chapter 12).

    rho -> columns of Z at rho -> min over theta -> criterion(rho),   and the least of these

A range changes the columns themselves, so each one is a model of its own, which the doors fit as
any other. The criterion as a function of log rho may have several minima and may fall to an end,
so it is looked at over the whole of it before it is refined.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize, minimize_scalar

from mixedsmooth.model.fit import Fit
from mixedsmooth.model.optimize import PREDICTED_DECREASE
from mixedsmooth.model.problem import Problem

FloatArray = NDArray[np.float64]
F = TypeVar("F", bound=Fit)
F_co = TypeVar("F_co", bound=Fit, covariant=True)
Progress = Callable[[int, FloatArray, float], object]

LOOKS = 10  # ranges at which the search for theta looks around
BETWEEN = 2  # ranges between two of these, at which it begins at the theta of the nearest
APART = 10.0  # a ratio of two thetas that says that they are of two minima
BRACKETS = 3  # that are refined, the lowest of them
EXACT = 1e-7  # of log range
SWEEPS = 2  # over several ranges, one after the other
AT_END = 1e-4  # of log range: closer to an end it is the end


class Solve(Protocol[F_co]):
    """What fits a problem whose ranges are held."""

    def __call__(
        self, problem: Problem, *, start: ArrayLike | None, callback: Progress | None
    ) -> F_co:
        """Fit the problem."""
        ...


def search_ranges(
    problem: Problem,
    solve: Solve[F],
    *,
    start: ArrayLike | None = None,
    callback: Progress | None = None,
) -> F:
    """Fit a model at the ranges at which its criterion is lowest.

    Parameters
    ----------
    problem : Problem
        A model with ranges to estimate, at any ranges.
    solve : callable
        Fits a problem at the ranges that it has.
    start : array_like, optional
        Where each search for theta begins. Without it the searches look around at the first
        ranges, and later begin at the theta of the nearest.
    callback : callable, optional
        Told of each evaluation at any ranges.

    Returns
    -------
    Fit
        The best fit; its evaluations are those at all ranges.

    Raises
    ------
    ValueError
        As `solve`, if it does so at all ranges.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> mcycle = ms.load_mcycle()
    >>> term = ms.smooth(time=mcycle.time, basis="gp", k=20)
    >>> fit = ms.lmm(mcycle.accel, term)
    >>> print(round(fit.ranges["s(time)"], 1), fit.npar)
    5.3 5
    """
    search = _Search[F](problem, solve, start, callback)
    with suppress(_StoppedError):
        search.look()
        search.refine()
    assert search.best_fit is not None
    return replace(search.best_fit, evaluations=search.evaluations)


class _StoppedError(Exception):
    """The callback has ended the search."""


class _Place(NamedTuple):
    """Logarithms of the ranges, and what was found there."""

    at: FloatArray
    theta: FloatArray
    criterion: float


class _Search(Generic[F]):
    """What has been found so far, over the logarithms of the ranges."""

    def __init__(
        self,
        problem: Problem,
        solve: Solve[F],
        start: ArrayLike | None,
        callback: Progress | None,
    ) -> None:
        self.problem, self.solve, self.start, self.callback = problem, solve, start, callback
        bounds = [tuning.bounds for tuning in problem.model.tunings]
        self.low, self.high = np.log(np.array(bounds)).T
        self.found: list[_Place] = []
        self.best_fit: F | None = None  # of all others the numbers are enough
        # from where searches begin: the same for all of a refinement, so that it sees one function
        self.begins: list[_Place] = []
        self.evaluations = 0
        self.stopped = False
        self.error: ValueError | None = None

    @property
    def best(self) -> _Place:
        """The lowest place."""
        return min(self.found, key=lambda place: place.criterion)

    def lowest(self) -> list[_Place]:
        """Return the best of what was found at each place."""
        at_place: dict[bytes, _Place] = {}
        for place in self.found:
            known = at_place.get(place.at.tobytes())
            if known is None or place.criterion < known.criterion:
                at_place[place.at.tobytes()] = place
        return list(at_place.values())

    def report(self, number: int, theta: FloatArray, value: float) -> bool:
        assert self.callback is not None
        self.evaluations += 1
        self.stopped = bool(self.callback(self.evaluations, theta, value))
        return self.stopped

    def criterion(self, at: FloatArray) -> float:
        """Fit at some ranges, from a look around if no start is given."""
        return self.fit(at, self.start)

    def nearby(self, at: FloatArray) -> float:
        """Fit at some ranges from the theta of the nearest place, and of the next if it differs."""
        at = np.clip(at, self.low, self.high)
        nearest = sorted(self.begins, key=lambda place: float(np.sum((place.at - at) ** 2)))
        one, *others = (place.theta for place in nearest[:2])
        starts = [one, *(other for other in others if _differ(one, other))]
        # at zero a search stays there
        value = min(self.fit(at, start if np.all(start > 0) else None) for start in starts)
        # where there is no fit, as high as the highest: a parabola through infinity is none
        return value if np.isfinite(value) else max(place.criterion for place in self.found)

    def fit(self, at: FloatArray, start: ArrayLike | None) -> float:
        """Fit at some ranges, keep the fit, and return its criterion."""
        at = np.clip(at, self.low, self.high)
        told = self.report if self.callback else None
        try:
            fit = self.solve(
                self.problem.at_ranges(np.exp(at).tolist()), start=start, callback=told
            )
        except ValueError as error:  # one without noise at this range, say
            self.error = error
            return np.inf
        if self.callback is None:
            self.evaluations += fit.evaluations
        self.found.append(_Place(at, fit.theta, float(fit.criterion)))
        if self.best_fit is None or fit.criterion < self.best_fit.criterion:
            self.best_fit = fit
        if self.stopped:
            raise _StoppedError
        return float(fit.criterion)

    def look(self) -> None:
        """Look at a grid of each range, the others held at their best so far."""
        at = (self.low + self.high) / 2
        for _ in range(SWEEPS if len(at) > 1 else 1):
            for i in range(len(at)):
                fine = (LOOKS - 1) * (BETWEEN + 1) + 1
                places = [
                    np.where(np.arange(len(at)) == i, x, at)
                    for x in np.linspace(self.low[i], self.high[i], fine)
                ]
                for place in places[:: BETWEEN + 1]:
                    self.criterion(place)
                if not self.found:
                    assert self.error is not None
                    raise self.error
                self.begins = self.lowest()
                for j, place in enumerate(places):
                    if j % (BETWEEN + 1):
                        self.nearby(place)
                at = self.best.at

    def refine(self) -> None:
        """Find the least criterion: by Brent's method between neighbors, or by a simplex."""
        lowest = np.inf
        while lowest - self.best.criterion > PREDICTED_DECREASE:
            self.begins = self.lowest()
            self._by_brent() if len(self.low) == 1 else self._by_simplex()
            at, _, lowest = self.best
            # as good as an end, and whether another minimum is there at these ranges
            to_low, to_high = at < self.low + AT_END, at > self.high - AT_END
            self.criterion(np.where(to_low, self.low, np.where(to_high, self.high, at)))

    def _by_brent(self) -> None:
        looked = sorted((float(place.at[0]), place.criterion) for place in self.begins)
        x, values = np.array(looked).T
        beside = np.pad(values, 1, constant_values=np.inf)
        lowest = np.flatnonzero((values <= beside[:-2]) & (values <= beside[2:]))
        for i in lowest[np.argsort(values[lowest])][:BRACKETS]:
            bounds = x[max(i - 1, 0)], x[min(i + 1, len(x) - 1)]
            if bounds[0] < bounds[1]:
                minimize_scalar(
                    lambda log_range: self.nearby(np.array([log_range])),
                    bounds=bounds,
                    method="bounded",
                    options={"xatol": EXACT},
                )

    def _by_simplex(self) -> None:
        step = (self.high - self.low) / (LOOKS - 1) / (BETWEEN + 1)
        begin = self.best.at
        inward = np.where(begin + step > self.high, -step, step)
        simplex = np.vstack([begin, begin + np.diag(inward)])
        options = {"xatol": EXACT, "fatol": 1e-10, "initial_simplex": simplex}
        minimize(self.nearby, begin, method="Nelder-Mead", options=options)


def _differ(one: FloatArray, other: FloatArray) -> bool:
    """Whether two thetas may be of two minima."""
    small, large = np.sort(np.abs([one, other]), axis=0)
    return bool(np.any(large > APART * small))
