"""Models with one parameter held, in coordinates that have no bound (chapter 13).

The covariance factor C of a level's effects is written so that the parameter is one number of it:
the effects are put in an order with those of the parameter first, and C is triangular in that
order. The first row is then (sd, 0, ...), and the second sd (sin t, cos t, 0, ...) with the
correlation sin t. All else of C is linear in the numbers that are free.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from mixedsmooth._linalg import cholesky, positive_diagonal, solve_lower
from mixedsmooth.inference.parameters import natural
from mixedsmooth.inference.surface import (
    CURVE,
    DIAGONAL,
    DIFFERENCE,
    KEPT,
    LEAST_NOISE,
    OTHER,
    Chart,
    LinearSurface,
    MarginalSurface,
    RangedSurface,
    Surface,
)
from mixedsmooth.model.covariance import Covariance, Diagonal, Scalar
from mixedsmooth.model.engine import Products
from mixedsmooth.model.fit import Fit, GeneralizedFit
from mixedsmooth.model.laplace import Response, anchor
from mixedsmooth.model.optimize import NEARLY_ZERO
from mixedsmooth.model.problem import Problem
from mixedsmooth.model.terms import Tuning

FloatArray = NDArray[np.float64]

STRIDE = 0.6  # of zeta, from one point of a path to the next
FAR = 1e6  # an sd over the scale of the residuals, or a ratio to sigma, beyond which none looks
FAR_BETA = 200.0  # standard errors from its estimate, the farthest that a coefficient is looked at
NO_LIMIT = 1e10  # over the mean of y: a size that is as good as infinite
CURVES = (0.0, 3.0)  # theta of smooths from where other minima are looked for
LIVELY = 0.5  # theta of an effect from where a minimum with some variance is looked for
ZERO = 1e-9  # a diagonal entry of T below this is on the boundary


class Free(NamedTuple):
    """What is free at a place of psi.

    Attributes
    ----------
    directions : ndarray
        Steps of psi.
    x : ndarray
        Where they are at the estimate.
    role : ndarray of int
        What they are: a diagonal entry of a C, which may change its sign; that of a smooth, of
        which a deviance may have several minima; or another number.
    row : ndarray of int
        A number for each row of each C; -1 for what is no part of one.

    Examples
    --------
    >>> role, row = np.array([DIAGONAL, OTHER]), np.array([0, -1])
    >>> free = Free(np.eye(2), np.array([1.5, 0.2]), role, row)
    >>> [place.tolist() for place in free.elsewhere(np.array([0.0, 0.2]))]
    [[0.5, 0.2]]
    """

    directions: FloatArray
    x: FloatArray
    role: NDArray[np.int8]
    row: NDArray[np.intp]

    def elsewhere(self, x: FloatArray) -> Iterator[FloatArray]:
        """Yield places from where another minimum than that at x may be reached."""
        # beside a curve that is nothing there may be a wiggly one
        for i in np.flatnonzero(self.role == CURVE):
            for level in CURVES:
                yield np.where(np.arange(len(x)) == i, level, x)
        # beside a correlation of 1 or -1 one of zero, and beside a variance of zero another
        for i in np.flatnonzero((self.role == DIAGONAL) & (np.abs(x) < NEARLY_ZERO)):
            beside = (self.row == self.row[i]) & (self.role == OTHER)
            upright = np.where(beside, 0.0, x)
            upright[i] = max(float(np.linalg.norm(x[beside])), LIVELY)
            yield upright

    def at(self, chosen: slice | NDArray[np.bool_]) -> "Free":
        """Return some of the directions."""
        return Free(self.directions[:, chosen], self.x[chosen], self.role[chosen], self.row[chosen])


class Section(NamedTuple):
    """The models with one parameter held, by a coordinate t of the parameter.

    Attributes
    ----------
    name : str
        The parameter.
    t : float
        Its estimate, and the start of its paths.
    range : tuple of float
        Between which t stays.
    step : float
        Of t, for a zeta of about 0.6.
    value : callable
        The parameter as a function of t.
    chart : callable
        The surface at t, over what is free.
    free : Free
        What is free, and where it is at the estimate.
    limits : tuple of float
        What an end is called that is not reached.
    """

    name: str
    t: float
    range: tuple[float, float]
    step: float
    value: Callable[[float], float]
    chart: Callable[[float], Chart]
    free: Free
    limits: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Space:
    """All parameters of a fit as psi, and the sections through it.

    Attributes
    ----------
    fit : Fit
        The fit.
    reml : bool
        Whether the deviance is the restricted one.
    psi : ndarray
        The estimate.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fit = ms.lmm_formula("reaction ~ 1 + (1 | subject)", ms.load_sleepstudy(), method="ML")
    >>> space = space_of(fit, reml=False)
    >>> print(space.estimate(space.psi).round(1))
    [ 34.6  44.3 298.5]
    """

    fit: Fit
    reml: bool
    psi: FloatArray

    # ---- the estimate ----

    @cached_property
    def surface(self) -> Surface:
        """The deviance."""
        fit = self.fit
        return self.ranged(self.marginal if isinstance(fit, GeneralizedFit) else self.linear)

    def ranged(self, of: Callable[[Problem], Surface]) -> Surface:
        """Return the surface of the problem, or of all that it is with other ranges."""
        problem = self.fit.problem
        if not self.ranges:
            return of(problem)
        return RangedSurface(_sizes(problem), problem, of, len(self.psi) - self.after)

    def linear(self, problem: Problem) -> LinearSurface:
        """Make the surface of a linear model with its ranges held."""
        A = self.fit.factorization.A
        if problem is not self.fit.problem:
            y, w = problem.response()[0], problem.model.weights
            A = problem.engine.cross_products(problem.factors, problem.X, y, w)
        return LinearSurface(_sizes(problem), A, self.reml)

    def marginal(self, problem: Problem) -> MarginalSurface:
        """Make the surface of a generalized model with its ranges held."""
        fit, model = self.fit, self.fit.model
        assert isinstance(fit, GeneralizedFit)
        data = Response(
            y=model.y,
            family=fit.family,
            offset=0.0 if model.whole_offset is None else model.whole_offset,
            weights=1.0 if model.weights is None else model.weights,
            X=problem.X,
            factors=problem.factors,
            engine=problem.engine,
        )
        near = anchor(data, fit._linear_predictor)
        return MarginalSurface(_sizes(problem), data, fit.nodes, near)

    @property
    def ranges(self) -> list[Tuning]:
        """The ranges that are estimated."""
        return self.fit.model.tunings

    @property
    def after(self) -> int:
        """How many entries psi has from the ranges on: these, and beta of a generalized model."""
        generalized = isinstance(self.fit, GeneralizedFit)
        return len(self.ranges) + (len(self.fit.names) if generalized else 0)

    @property
    def covariances(self) -> list[Covariance]:
        """Those of the terms."""
        return self.fit.model.covariances

    @cached_property
    def C(self) -> list[FloatArray]:  # noqa: N802
        """Factors of the covariances of the user's effects, at the estimate."""
        C, _ = self.surface.parted(self.psi)
        y_scale, back = self.fit.scales.y_scale, self.fit.problem.back
        return [y_scale * back_f @ C_f for back_f, C_f in zip(back, C, strict=True)]

    @property
    def sigma(self) -> float:
        """Sigma in inner units."""
        generalized = isinstance(self.fit, GeneralizedFit)
        return 1.0 if generalized else float(np.exp(self.psi[self.surface.tail]))

    def values(self, psi: FloatArray) -> FloatArray:
        """Parameters at psi: sds, correlations, what is known by its logarithm, beta of a glmm."""
        space, values = replace(self, psi=psi), []
        for covariance, C_f in zip(self.covariances, space.C, strict=True):
            values += natural(C_f @ C_f.T, covariance).tolist()
        rest = psi[self.surface.tail :]
        at = len(rest) - self.after
        of_ranges, beta = np.split(rest[at:], [len(self.ranges)])
        if isinstance(self.fit, GeneralizedFit):
            infinite = np.isinf(self.fit.family.log_parameters)
            of_family = np.where(infinite, np.inf, np.exp(rest[:at]))
            beta = self.fit.problem.K @ beta
            return np.array([*values, *of_family, *np.exp(of_ranges), *beta])
        if self.fit.model.sigma is None:
            values.append(self.fit.scales.y_scale * np.exp(rest[0]))
        return np.array([*values, *np.exp(of_ranges)])

    # ---- what is free ----

    def within(self, term: int, C: FloatArray) -> FloatArray:
        """Columns of psi for matrices (m, k, k), parts of the C of a term in the user's units."""
        sizes = self.surface.sizes
        inner = np.linalg.solve(self.fit.problem.back[term], C) / self.fit.scales.y_scale
        columns = np.zeros((len(self.psi), len(C)))
        at = sum(k * k for k in sizes[:term])
        columns[at : at + sizes[term] ** 2] = inner.reshape(len(C), -1).T
        return columns

    def triangle(self, term: int, order: Sequence[int]) -> tuple[FloatArray, Free]:
        """Entries of a triangular C, its effects in an order: matrices, and how they are free."""
        covariance, C, k = self.covariances[term], self.C[term], self.covariances[term].k
        rows = np.array(order)
        if isinstance(covariance, Scalar):
            matrices, x, role = np.eye(k)[None], C[0, :1], np.full(1, CURVE)
            i = np.zeros(1, dtype=np.intp)
        elif isinstance(covariance, Diagonal):
            matrices = np.eye(k)[rows, :, None] * np.eye(k)[rows, None, :]
            x, role, i = np.diag(C)[rows], np.full(k, DIAGONAL), np.arange(k)
        else:
            i, columns = np.tril_indices(k)
            matrices = np.zeros((len(i), k, k))
            matrices[np.arange(len(i)), rows[i], columns] = 1.0
            L = positive_diagonal(_triangle(C[rows]))
            x, role = L[i, columns], np.where(i == columns, DIAGONAL, OTHER)
        directions = self.within(term, matrices)
        # so that x are entries of some T
        unit = self.sigma / np.linalg.norm(directions, axis=0)
        row = sum(self.surface.sizes[:term]) + i
        return matrices, Free(unit * directions, x / unit, role, row)

    def free(self, *, term: int | None = None, rest: int | None = None) -> list[Free]:
        """Return what is free, without one term or one coordinate of the rest."""
        terms = [f for f in range(len(self.covariances)) if f != term]
        parts = [self.triangle(f, range(self.covariances[f].k))[1] for f in terms]
        kept = [
            j for j in range(self.surface.tail, len(self.psi)) if j != rest and not self.known(j)
        ]
        unit = np.zeros((len(self.psi), len(kept)))
        unit[kept, np.arange(len(kept))] = 1.0
        return [*parts, _others(unit, self.psi[kept])]

    def known(self, j: int) -> bool:
        """Whether a coordinate of the rest stays: sigma, an infinite size, a range at its end."""
        place, first = j - self.surface.tail, len(self.psi) - self.after - self.surface.tail
        if place >= first:
            beyond = place - first
            return beyond < len(self.ranges) and bool(self.ranges[beyond].end)
        if isinstance(self.fit, GeneralizedFit):
            return bool(np.isinf(self.fit.family.log_parameters[place]))
        return self.fit.model.sigma is not None

    def whole(self) -> tuple[Chart, Free]:
        """Nothing is held."""
        free = _joined(self.free())
        return Chart(
            self.surface, self.sigma, self.psi - free.directions @ free.x, free.directions
        ), free

    def minimum(self, psi: FloatArray) -> tuple[float, FloatArray]:
        """Minimize over all parameters from psi."""
        chart, free = replace(self, psi=psi).whole()
        deviance, x = chart.least(free.x, chart.unit(free.x), free.role)
        return deviance, chart.origin + chart.directions @ x

    def estimate(self, psi: FloatArray) -> FloatArray:
        """All parameters, in the order of `parameters`."""
        values = self.values(psi)
        surface, inner = self.surface.inner(psi)
        if not isinstance(surface, LinearSurface):
            return values
        f, _ = surface.factorize(inner)
        scales = self.fit.scales
        beta = scales.beta_0 + scales.y_scale * (self.fit.problem.K @ f.solve()[0])
        return np.concatenate([values, beta])

    def standard_errors(self) -> tuple[FloatArray, list[str]]:
        """Compute standard errors of all parameters, and tell where there are none."""
        chart, free = self.whole()
        # a variance of zero stays there
        moving = (free.role == OTHER) | (np.abs(free.x) > ZERO)
        chart, x = chart._replace(directions=chart.directions[:, moving]), free.x[moving]
        H, columns = chart.curvature(x)
        by_x = np.empty((len(x), len(self.values(self.psi))))
        for i, step in enumerate(DIFFERENCE * columns.T):
            ends = (self.values(chart.origin + chart.directions @ (x + s)) for s in (step, -step))
            with np.errstate(invalid="ignore"):  # of an infinite size
                by_x[i] = np.subtract(*ends) / (2 * DIFFERENCE)
        notes = []
        try:
            # Var = 2 J' H^-1 J, because the deviance is -2 log-likelihood  (eq-sure-wald)
            root = solve_lower(cholesky(H), np.nan_to_num(by_x))
            se = np.sqrt(2 * np.sum(root**2, axis=0))
        except ValueError:
            se = np.full(by_x.shape[1], np.nan)
            notes.append("The curvature of the deviance is not positive: no standard errors")
        at = 0
        for f, (name, covariance) in enumerate(
            zip(self.fit.model.group_names, self.covariances, strict=True)
        ):
            own = self.triangle(f, range(covariance.k))[1]
            if np.any(np.abs(own.x[own.role >= DIAGONAL]) < ZERO):
                se[at : at + covariance.size] = np.nan
                notes.append(f"{name}: on the boundary, where a curvature gives no standard error")
            at += covariance.size
        if isinstance(self.fit, GeneralizedFit) and np.isinf(self.fit.family.log_parameters).any():
            se[at] = np.nan
            notes.append("size: infinite, where a curvature gives no standard error")
        for name, j in self.logarithms().items():
            if name.startswith("range ") and self.known(j):
                se[at + list(self.logarithms()).index(name)] = np.nan
                notes.append(f"{name}: at an end of what is looked at, and held there")
        surface, inner = self.surface.inner(self.psi)
        if isinstance(surface, LinearSurface):
            factored, sigma = surface.factorize(inner)
            cov = factored.covariance_of_beta(self.fit.problem.K)
            se = np.append(se, self.fit.scales.y_scale * sigma * np.sqrt(np.diag(cov)))
        return se, notes

    # ---- sections ----

    def sections(
        self, names: Sequence[str], estimate: FloatArray, steps: FloatArray
    ) -> list[Section | None]:
        """Make the section of each parameter; there is none of a correlation that is undefined."""
        made: list[Section | None] = []

        def add(make: Callable[..., Section], *which: int) -> None:
            at = len(made)
            defined = not np.isnan(estimate[at])
            made.append(make(names[at], float(steps[at]), *which) if defined else None)

        for f, covariance in enumerate(self.covariances):
            for d, c in zip(*covariance.entries, strict=True):
                if c == d:
                    add(self.of_sd, f, c)
                else:
                    add(self.of_correlation, f, c, d)
        for j in self.logarithms().values():
            add(self.of_logarithm, j)
        for j in range(0 if self.reml else len(self.fit.names)):
            generalized = isinstance(self.fit, GeneralizedFit)
            add(self.of_marginal_beta if generalized else self.of_beta, j)
        return made

    def logarithms(self) -> dict[str, int]:
        """Where psi has what is known by its logarithm: sigma or a family's number, and ranges."""
        first, ranges = self.surface.tail, [tuning.name for tuning in self.ranges]
        if isinstance(self.fit, GeneralizedFit):
            own = [self.fit.family.parameter] if self.fit.family.parameter else []
        else:
            own = ["sigma"]
        places = {name: first + j for j, name in enumerate([*own, *ranges])}
        if self.fit.model.sigma is not None:
            places.pop("sigma", None)
        return places

    def of_sd(self, name: str, step: float, f: int, c: int) -> Section:
        """Hold the sd of the effect c of the term f: the first entry of its C."""
        order = [c, *(a for a in range(self.covariances[f].k) if a != c)]
        matrices, own = self.triangle(f, order)
        direction = self.within(f, matrices[:1])[:, 0]
        free = _joined([*self.free(term=f), own.at(slice(1, None))])
        origin = self.outside(free)
        unit = self.sigma / float(np.linalg.norm(direction))

        def chart(sd: float) -> Chart:
            return Chart(self.surface, self.sigma, origin + sd * direction, free.directions)

        sd = float(np.linalg.norm(self.C[f][c]))
        return Section(
            name,
            sd,
            (0.0, FAR * max(unit, sd)),
            step if np.isfinite(step) else unit / 10,
            float,
            chart,
            free,
            (0.0, np.inf),
        )

    def of_correlation(self, name: str, step: float, f: int, c: int, d: int) -> Section:
        """Hold the correlation sin t of the effects c and d: the direction of C's second row."""
        order = [c, d, *(a for a in range(self.covariances[f].k) if a not in (c, d))]
        L = positive_diagonal(_triangle(self.C[f][order]))
        matrices, own = self.triangle(f, order)
        # the second row is x (sin t, cos t, 0, ...)
        pair = self.within(f, matrices[1:3])
        unit = self.sigma / float(np.linalg.norm(pair))
        size = float(np.hypot(L[1, 0], L[1, 1]))
        second = own.at(slice(2, 3))._replace(x=np.array([size / unit]))
        parts = [*self.free(term=f), own.at(slice(3, None)), own.at(slice(1)), second]
        free = _joined(parts)
        origin, at = self.outside(free), len(free.x)

        def chart(t: float) -> Chart:
            row = unit * pair @ [np.sin(t), np.cos(t)]
            directions = np.column_stack([free.directions[:, :-1], row])
            return Chart(self.surface, self.sigma, origin, directions, [at - 2, at - 1])

        t = float(np.arctan2(L[1, 0], L[1, 1]))
        near = max(float(np.cos(t)), 1e-3)  # to a correlation of 1 or -1
        angle = min(step / near, near / 4) if np.isfinite(step) else near / 4
        return Section(
            name,
            t,
            (-np.pi / 2, np.pi / 2),
            angle,
            lambda t: float(np.sin(t)),
            chart,
            free,
            (-1.0, 1.0),
        )

    def of_logarithm(self, name: str, step: float, j: int) -> Section:
        """Hold sigma, or the parameter of a family, by its logarithm."""
        free = _joined(self.free(rest=j))
        origin, axis = self.outside(free), np.zeros(len(self.psi))
        axis[j] = 1.0
        origin[j] = 0.0
        generalized = isinstance(self.fit, GeneralizedFit)
        scale = 1.0 if generalized or name != "sigma" else self.fit.scales.y_scale
        t = float(self.psi[j])
        lowest, highest = t - np.log(FAR), t + np.log(FAR)
        if name == "sigma" and self.ranges:
            lowest = min(t, max(lowest, LEAST_NOISE + 1.0))
        for tuning in self.ranges:
            if tuning.name == name:
                lowest, highest = np.log(tuning.bounds)
        if name == "size":
            mean = float(self.fit.model.y.mean())
            lowest, highest = min(lowest, np.log(mean / FAR)), np.log(NO_LIMIT * mean)

        def chart(t: float) -> Chart:
            return Chart(self.surface, self.sigma, origin + t * axis, free.directions)

        return Section(
            name,
            t,
            (lowest, highest),
            step / float(scale * np.exp(t)) if np.isfinite(step) else 0.1,
            lambda t: float(scale * np.exp(t)),
            chart,
            free,
            (0.0, np.inf),
        )

    def of_marginal_beta(self, name: str, step: float, j: int) -> Section:
        """Hold a coefficient of a generalized model, where beta is a part of psi."""
        fit = self.fit
        K_j, at = fit.problem.K[j], len(self.psi) - len(fit.names)
        beta = self.psi[at:]
        # K_j beta = v where beta = v K_j / |K_j|^2 + a combination of what is orthogonal to K_j
        others = scipy.linalg.null_space(K_j[None])
        columns = np.zeros((len(self.psi), others.shape[1] + 1))
        columns[at:, :-1], columns[at:, -1] = others, K_j / (K_j @ K_j)
        parts = self.free()
        tail = parts[-1]
        parts[-1] = tail.at(np.any(tail.directions[:at] != 0, axis=0))
        orthogonal = _others(columns[:, :-1], others.T @ beta)
        free = _joined([*parts, orthogonal])
        origin = self.outside(free)
        origin[at:] = 0.0

        def chart(v: float) -> Chart:
            return Chart(self.surface, self.sigma, origin + v * columns[:, -1], free.directions)

        return self.of_coefficient(name, step, float(K_j @ beta), chart, free)

    def of_beta(self, name: str, step: float, j: int) -> Section:
        """Hold a coefficient of a linear model: its column leaves X, and its part leaves y."""
        problem = self.fit.problem
        K_j, w = problem.K[j], problem.model.weights
        y, scales = problem.response()
        # K_j beta = v where beta = v K_j / |K_j|^2 + a combination of what is orthogonal to K_j
        X = problem.X @ scipy.linalg.null_space(K_j[None])
        column = problem.X @ K_j / (K_j @ K_j)
        free = _joined(self.free())
        origin = self.outside(free)

        @lru_cache(maxsize=KEPT)
        def without(at: Problem) -> Products:
            products: Products = at.engine.cross_products(at.factors, X, y, w)
            return products

        def chart(v: float) -> Chart:
            rest = y - (v - scales.beta_0[j]) / scales.y_scale * column

            def of(at: Problem) -> Surface:
                A = without(at).with_response(at.factors, X, rest, w)
                return LinearSurface(_sizes(at), A, self.reml)

            return Chart(self.ranged(of), self.sigma, origin, free.directions)

        surface, inner = self.surface.inner(self.psi)
        assert isinstance(surface, LinearSurface)
        f, _ = surface.factorize(inner)
        beta = scales.beta_0[j] + scales.y_scale * K_j @ f.solve()[0]
        return self.of_coefficient(name, step, float(beta), chart, free)

    def of_coefficient(
        self, name: str, step: float, estimate: float, chart: Callable[[float], Chart], free: Free
    ) -> Section:
        """Section of a coefficient, which has no end."""
        far = FAR_BETA * step / STRIDE
        return Section(
            name,
            estimate,
            (estimate - far, estimate + far),
            step,
            float,
            chart,
            free,
            (-np.inf, np.inf),
        )

    def outside(self, free: Free) -> FloatArray:
        """Psi without what is free, and without the C that the held parameter is of."""
        origin = self.psi.copy()
        origin[: self.surface.tail] = 0.0
        moved = np.any(free.directions[self.surface.tail :] != 0, axis=1)
        origin[self.surface.tail :][moved] = 0.0
        return origin


def space_of(fit: Fit, reml: bool) -> Space:
    """Write a fit as psi.

    Parameters
    ----------
    fit : Fit
        The fit.
    reml : bool
        Whether it is by REML.

    Returns
    -------
    Space
        What sections are made from.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fit = ms.lmm_formula("reaction ~ days + (1 | subject)", ms.load_sleepstudy(), method="ML")
    >>> se, notes = space_of(fit, reml=False).standard_errors()
    >>> print(se.round(2))  # of the subjects' sd, sigma, the intercept, the slope
    [6.45 1.72 9.51 0.8 ]
    """
    T = fit.factorization.T
    of_ranges = np.log([tuning.value for tuning in fit.model.tunings])
    if isinstance(fit, GeneralizedFit):
        # an infinite size is held where it is as good as infinite
        most = np.log(NO_LIMIT * fit.model.y.mean()) if fit.family.parameter == "size" else np.inf
        of_family = np.minimum(fit.family.log_parameters, most)
        beta = np.linalg.solve(fit.problem.K, fit.beta)
        rest = np.concatenate([of_family, of_ranges, beta])
        sigma = 1.0
    else:
        sigma = fit.sigma / fit.scales.y_scale
        rest = np.concatenate([np.log([sigma]), of_ranges])
    return Space(fit, reml, np.concatenate([*(sigma * T_f.ravel() for T_f in T), rest]))


def _sizes(problem: Problem) -> tuple[int, ...]:
    """Effects of a level of each term."""
    return tuple(covariance.k for covariance in problem.model.covariances)


def _triangle(M: FloatArray) -> FloatArray:
    """Lower triangular L with L L' = M M'."""
    return np.tril(np.asarray(np.linalg.qr(M.T, mode="r")).T)


def _joined(parts: Sequence[Free]) -> Free:
    return Free(
        np.hstack([part.directions for part in parts]),
        np.concatenate([part.x for part in parts]),
        np.concatenate([part.role for part in parts]),
        np.concatenate([part.row for part in parts]),
    )


def _others(directions: FloatArray, x: FloatArray) -> Free:
    """Return directions that are of no C."""
    return Free(directions, x, np.full(len(x), OTHER), np.full(len(x), -1))
