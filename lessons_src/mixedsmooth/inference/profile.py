"""Profiles: one parameter is held, all others follow, and the deviance rises (chapter 13).

    zeta(v) = sign(v - estimate) sqrt(d(v) - d(estimate))

where d(v) is the least deviance of all models whose parameter is v. A path is followed outward from
the estimate, each point from the one before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import scipy.special
from numpy.typing import NDArray
from scipy.optimize import brentq

from mixedsmooth._checks import locked, share
from mixedsmooth.inference.intervals import Intervals
from mixedsmooth.inference.parameters import (
    named_likelihood,
    parameters,
    position,
    with_likelihood,
)
from mixedsmooth.inference.sections import STRIDE, Section, Space, space_of
from mixedsmooth.model.fit import Fit
from mixedsmooth.model.optimize import PREDICTED_DECREASE, UnboundedError

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]

REACH = 4.0  # of zeta, where a path ends: more than the 3.3 of 99.9 %
LONGER, SHORTER = 4.0, 0.25  # the most that a step may differ from the one before
MOST_GAINED = 1.5  # of zeta by one step; a longer one is made shorter
SHORTENINGS = 12  # of one step
VANISHED = 1e-4  # of the estimate: a sigma below is on its way to zero
RESTARTS = 5  # from deviances that are lower than that of the fit
SAME = 1e-5  # a difference of zeta that is none
LOWER = "The deviance is lower at other parameters than at those of the fit"
UNDEFINED = "a correlation is not defined where a variance is zero"


class Path(NamedTuple):
    """The profile of one parameter.

    Attributes
    ----------
    value : ndarray
        Values of the parameter, in rising order; the estimate is among them.
    zeta : ndarray
        The signed root of the rise of the deviance at each.
    lower, upper : str
        Why the path ends there, if it does not reach a zeta of 4; empty if it does.
    """

    value: FloatArray
    zeta: FloatArray
    lower: str
    upper: str


@dataclass(frozen=True, eq=False, repr=False)
class Profile:
    """The profiles of all parameters of a fit.

    Attributes
    ----------
    names : list of str
        The parameters.
    estimate : ndarray
        Their estimates.
    likelihood : str
        Which likelihood it is.
    paths : dict of str to Path
        The profile of each parameter; that of a correlation that is not defined is empty.
    notes : tuple of str
        What else a reader should know.
    traces : tuple
        What intervals are refined with.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fit = ms.lmm_formula("reaction ~ days + (1 | subject)", ms.load_sleepstudy())
    >>> slope = fit.profile()["days"]
    >>> slope.value[[0, -1]].round(1), slope.zeta[[0, -1]].round(1)
    (array([ 7. , 13.9]), array([-4.2,  4.2]))
    """

    names: list[str]
    estimate: FloatArray
    likelihood: str
    paths: dict[str, Path]
    notes: tuple[str, ...]
    traces: tuple["Trace | None", ...]

    def __getitem__(self, name: str) -> Path:
        """Return the profile of one parameter."""
        return self.paths[self.names[position(name, self.names)]]

    def confint(self, level: float = 0.95) -> Intervals:
        """Return the values whose deviance is not higher than chi-square allows.

        Parameters
        ----------
        level : float
            Coverage, between 0 and 1.

        Returns
        -------
        Intervals
            The ends are found on the profile itself, not between its points. An end that is not
            reached is the end of the range of the parameter, and a note says so.

        Raises
        ------
        ValueError
            If `level` is not between 0 and 1.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> fit = ms.lmm_formula("reaction ~ days + (days | subject)", ms.load_sleepstudy())
        >>> intervals = fit.profile().confint(0.95)
        >>> print("{:.2f} to {:.2f}".format(*intervals["days"]))
        7.36 to 13.58
        """
        # |zeta| <= z  (eq-sure-profile-interval)
        bound = float(scipy.special.ndtri((1 + share("level", level)) / 2))
        notes, ends = list(self.notes), np.full((2, len(self.names)), np.nan)
        for i, followed in enumerate(self.traces):
            if followed is None:
                notes.append(f"{self.names[i]}: {UNDEFINED}")
                continue
            for side in (0, 1):
                try:
                    ends[side, i], note = followed.end(side, bound)
                except LowerError:
                    note = f"{self.names[i]}: {LOWER}; fit again from another start"
                notes += [note] if note else []
        lower, upper = ends
        return Intervals(
            self.names, self.estimate, lower, upper, level, "profile", self.likelihood, tuple(notes)
        )

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row for each point of each path, which needs pandas."""
        import pandas as pd

        paths = [self.paths[name] for name in self.names]
        lengths = [len(path.value) for path in paths]
        return pd.DataFrame(
            {
                "parameter": np.repeat(self.names, lengths),
                "value": np.concatenate([path.value for path in paths]),
                "zeta": np.concatenate([path.zeta for path in paths]),
            }
        )

    def __repr__(self) -> str:
        """Tell the likelihood and the parameters."""
        return f"<Profile of {len(self.names)} parameters, likelihood: {self.likelihood}>"


def profile(fit: Fit, likelihood: str = "ML") -> Profile:
    """Profile the deviance of a fit: the door is `Fit.profile`.

    Parameters
    ----------
    fit : Fit
        The fit.
    likelihood : {"ML", "REML"}
        Which likelihood; a fit by the other is made again. A generalized model has its own.

    Returns
    -------
    Profile
        The paths, out to a zeta of 4.

    Raises
    ------
    ValueError
        If `likelihood` is unknown, or the fit has none.

    References
    ----------
    Bates and Watts (1988), Nonlinear Regression Analysis and its Applications, section 6.1; Bates
    et al. (2015), section 5.1.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fit = ms.lmm_formula("reaction ~ days + (1 | subject)", ms.load_sleepstudy())
    >>> profile(fit, "REML")
    <Profile of 2 parameters, likelihood: REML>
    """
    fit = with_likelihood(fit, likelihood)
    return trace(fit, likelihood == "REML", REACH)


def trace(fit: Fit, reml: bool, reach: float) -> Profile:
    """Profile a fit by its own likelihood, out to some zeta.

    Parameters
    ----------
    fit : Fit
        The fit.
    reml : bool
        Whether it is by REML.
    reach : float
        How far the paths go.

    Returns
    -------
    Profile
        The paths.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fit = ms.lmm_formula("reaction ~ 1 + (1 | subject)", ms.load_sleepstudy(), method="ML")
    >>> trace(fit, False, 1.0)["sigma"].zeta[[0, -1]].round(1)
    array([-1.2,  1.2])
    """
    space = space_of(fit, reml)
    names, estimate = parameters(fit)
    notes: tuple[str, ...] = ()
    for _ in range(RESTARTS):
        try:
            traces = _traces(space, names, estimate, reach)
            break
        except LowerError as lower:
            # a search may end at the wrong minimum, and theta may have been given
            _, psi = space.minimum(lower.psi)
            space = replace(space, psi=psi)
            estimate = space.estimate(psi)
            sigma = names.index("sigma") if "sigma" in names else None
            if sigma is not None and estimate[sigma] < VANISHED * fit.sigma:
                raise UnboundedError from None
            notes = (f"{LOWER}, so these are the estimates there",)
    else:
        raise ValueError(f"{LOWER}, again and again: it has no minimum near that of the fit")
    notes += tuple(
        f"{t.section.name}: the deviance falls again on its way outward; an end is where it first "
        "comes to its bound"
        for t in traces
        if t is not None and t.falls
    )
    kept = len(traces)  # the restricted likelihood has no beta
    empty = Path(np.empty(0), np.empty(0), UNDEFINED, UNDEFINED)
    return Profile(
        names=names[:kept],
        estimate=locked(np.array(estimate[:kept])),
        likelihood=named_likelihood(fit),
        paths={
            name: empty if t is None else t.path() for name, t in zip(names, traces, strict=False)
        },
        notes=notes,
        traces=tuple(traces),
    )


def _traces(
    space: "Space", names: Sequence[str], estimate: FloatArray, reach: float
) -> list["Trace | None"]:
    """Follow all parameters to both sides."""
    deviance, psi = space.minimum(space.psi)
    if deviance < space.surface.value(space.psi) - PREDICTED_DECREASE:
        raise LowerError(psi)
    se, _ = space.standard_errors()
    traces: list[Trace | None] = []
    for section in space.sections(names, estimate, STRIDE * se):
        if section is None:
            traces.append(None)
            continue
        chart, x = section.chart(section.t), section.free.x
        start = Place(section.t, 0.0, x)
        sides = ([start], [start])
        followed = Trace(section, deviance, chart.most(x), chart.unit(x), sides, {})
        for side in (0, 1):
            followed.follow(side, reach)
        traces.append(followed)
    return traces


class Place(NamedTuple):
    """A point of a path: where it is, zeta without its sign, and what is free there."""

    t: float
    zeta: float
    x: FloatArray


class LowerError(Exception):
    """The deviance is lower than that of the estimate."""

    def __init__(self, psi: FloatArray) -> None:
        super().__init__()
        self.psi = psi


@dataclass(frozen=True, eq=False)
class Trace:
    """The profile of one parameter, as far as it has been followed.

    Attributes
    ----------
    section : Section
        The models with the parameter held.
    deviance : float
        The least of all.
    most : float
        What that with the parameter held cannot exceed.
    unit : ndarray
        Units of x in which the curvature is about 1.
    sides : tuple of list of Place
        Downward and upward, each from the estimate.
    why : dict of int to str
        Why a side is at its end.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fit = ms.lmm_formula("reaction ~ days + (1 | subject)", ms.load_sleepstudy(), method="ML")
    >>> followed = trace(fit, False, 1.0).traces[-1]  # of the slope
    >>> end, note = followed.end(1, 1.96)
    >>> round(end, 2)
    12.05
    """

    section: Section
    deviance: float
    most: float
    unit: FloatArray
    sides: tuple[list[Place], list[Place]]
    why: dict[int, str]

    def place(self, t: float, x: FloatArray, *, alone: bool = False) -> Place:
        """Minimize the deviance at t from x, and unless it is alone from other places too."""
        chart, free = self.section.chart(t), self.section.free
        value, x = chart.least(x, self.unit, free.role)
        for other in () if alone else free.elsewhere(x):
            lower, there = chart.least(other, self.unit, free.role)
            if lower < value - PREDICTED_DECREASE:
                value, x = lower, there
        if value < self.deviance - PREDICTED_DECREASE:
            raise LowerError(chart.origin + chart.directions @ x)
        # zeta = sign(v - v_hat) sqrt(d(v) - d(v_hat))  (eq-sure-zeta)
        rise = min(value, self.most) - self.deviance
        return Place(t, float(np.sqrt(max(rise, 0.0))), x)

    def follow(self, side: int, reach: float) -> list[Place]:
        """Step outward on a side (0 is down, 1 is up) until zeta reaches so far."""
        path, sign, limit = self.sides[side], 2 * side - 1, self.section.range[side]
        while side not in self.why and path[-1].zeta < reach:
            last = path[-1]
            if last.t == limit:
                self.why[side] = "end"
                break
            step, drift = self.section.step, 0.0 * last.x
            if len(path) > 1:
                before = path[-2]
                gained = abs(last.zeta - before.zeta)
                share_of_step = STRIDE / gained if gained > 0 else np.inf
                step = abs(last.t - before.t) * float(np.clip(share_of_step, SHORTER, LONGER))
                drift = (last.x - before.x) / (last.t - before.t)
            for _ in range(SHORTENINGS):
                t = last.t + sign * step
                if sign * (limit - t) < step / 4:
                    t = limit
                place = self.place(t, last.x + (t - last.t) * drift)
                if not np.isfinite(place.zeta):
                    place = self.place(t, last.x)
                gained = place.zeta - last.zeta
                if gained <= MOST_GAINED:
                    path.append(place)
                    break
                step *= max(SHORTER, STRIDE / gained)
            else:
                if np.isfinite(place.zeta):
                    path.append(place)
                else:
                    self.why[side] = "lost"
        return path

    @property
    def falls(self) -> bool:
        """Whether zeta does not rise all the way outward."""
        steps = (np.diff([place.zeta for place in path]) for path in self.sides)
        return any(bool(np.any(step < -PREDICTED_DECREASE)) for step in steps)

    def end(self, side: int, bound: float) -> tuple[float, str]:
        """Find where zeta reaches the bound; otherwise the end of the range, and a note."""
        section, way = self.section, ("lower", "upper")[side]
        path = self.follow(side, bound)
        beyond = [i for i, place in enumerate(path) if place.zeta >= bound]
        if not beyond:
            limit = section.limits[side]
            why = f"zeta comes to {max(place.zeta for place in path):.3g} only, not {bound:.3g}"
            if section.t == section.range[side]:
                why = "the estimate is there"
            return limit, f"{section.name}: the {way} end is {limit:g}, as {why}"
        inside, outside = path[beyond[0] - 1], path[beyond[0]]
        while True:
            end = self.between(inside, outside, bound)
            inside = self.place(end.t, end.x)
            # the way to the end may have left the lower of two minima
            if inside.zeta > bound - SAME:
                return section.value(end.t), ""

    def between(self, inside: Place, outside: Place, bound: float) -> Place:
        """Find where zeta reaches the bound between two places."""
        known = {place.t: place for place in (inside, outside)}

        def excess(t: float) -> float:
            if t not in known:
                one, other = sorted(known.values(), key=lambda place: abs(place.t - t))[:2]
                share_of_way = (t - one.t) / (other.t - one.t)
                x = one.x + share_of_way * (other.x - one.x)
                known[t] = self.place(t, x, alone=True)
            return known[t].zeta - bound

        exact = 1e-8 * abs(outside.t - inside.t)
        t = brentq(excess, inside.t, outside.t, xtol=exact)
        excess(t)
        return known[t]

    def path(self) -> Path:
        """Return values and zeta in rising order."""
        down, up = self.sides
        places = [*reversed(down), *up[1:]]
        signs = [-1.0] * (len(down) - 1) + [0.0] + [1.0] * (len(up) - 1)
        why = {"end": "the range of the parameter ends", "lost": "there is no deviance beyond"}
        return Path(
            locked(np.array([self.section.value(place.t) for place in places])),
            locked(np.array([s * p.zeta for s, p in zip(signs, places, strict=True)])),
            why.get(self.why.get(0, ""), ""),
            why.get(self.why.get(1, ""), ""),
        )
