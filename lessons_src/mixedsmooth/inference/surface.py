"""The deviance as a function of covariance factors C and sigma (chapter 13).

The engine profiles sigma and knows T, the factor relative to sigma. To hold a standard deviation
takes C = sigma T, all entries of which stand in one vector psi, then log sigma. A generalized model
has the logarithm of its family's parameter there, and beta. Ranges that are estimated have their
logarithms before beta. A `Chart` is a flat piece of the space
of psi, on which a deviance can be minimized.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from mixedsmooth.model.descent import descend
from mixedsmooth.model.engine import Factorization, Products
from mixedsmooth.model.laplace import (
    Anchor,
    Mode,
    NoModeError,
    OutOfRangeError,
    Response,
    find_mode,
    laplace,
    laplace_deviance,
    quadrature,
)
from mixedsmooth.model.optimize import FARTHEST, NEARLY_ZERO, PREDICTED_DECREASE
from mixedsmooth.model.problem import Problem

FloatArray = NDArray[np.float64]

STEEP = 3e-4  # a slope in units of curvature 1 that is taken for zero
DIFFERENCE = 1e-4  # of a coordinate, for second derivatives
KEPT = 8  # sets of columns at ranges, to be used again
LEAST_NOISE = np.log(1e-5)  # of sigma in inner units, where ranges are free
FLAT = 1e-9  # of the largest curvature: a smaller one is rounding
OTHER, DIAGONAL, CURVE = np.arange(3, dtype=np.int8)  # parts that a coordinate plays


@dataclass(frozen=True, eq=False)
class Surface(ABC):
    """A deviance as a function of psi: all entries of the inner C of each term, then the rest.

    Attributes
    ----------
    sizes : tuple of int
        Effects of a level of each term.

    Examples
    --------
    A linear model has one:

    >>> import mixedsmooth as ms
    >>> fit = ms.lmm_formula("reaction ~ 1 + (1 | subject)", ms.load_sleepstudy(), method="ML")
    >>> C, rest = LinearSurface((1,), fit.factorization.A, False).parted(np.array([2.0, -0.5]))
    >>> print(C[0], rest)
    [[2.]] [-0.5]
    """

    sizes: tuple[int, ...]

    @property
    @abstractmethod
    def exact(self) -> bool:
        """Whether there are slopes without differences."""

    @abstractmethod
    def value(self, psi: FloatArray) -> float:
        """Return the deviance."""

    @abstractmethod
    def value_and_slope(self, psi: FloatArray) -> tuple[float, FloatArray]:
        """Return the deviance and its slope by all of psi."""

    @cached_property
    def tail(self) -> int:
        """Where psi has what comes after the C."""
        return sum(k * k for k in self.sizes)

    def inner(self, psi: FloatArray) -> tuple["Surface", FloatArray]:
        """Return the surface of one set of columns, and its psi."""
        return self, psi

    def parted(self, psi: FloatArray) -> tuple[list[FloatArray], FloatArray]:
        """Divide psi into the C of each term, and the rest."""
        C, at = [], 0
        for k in self.sizes:
            C.append(psi[at : at + k * k].reshape(k, k))
            at += k * k
        return C, psi[at:]


@dataclass(frozen=True, eq=False)
class LinearSurface(Surface):
    """Deviance of a linear mixed model, beta at its best; psi ends with log sigma.

    Attributes
    ----------
    A : engine.Products
        The cross-products.
    reml : bool
        Whether it is the restricted deviance.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fit = ms.lmm_formula("reaction ~ 1 + (1 | subject)", ms.load_sleepstudy(), method="ML")
    >>> surface = LinearSurface((1,), fit.factorization.A, reml=False)
    >>> sigma = fit.sigma / fit.scales.y_scale  # in the units of the search
    >>> value, slope = surface.value_and_slope(np.array([fit.theta[0] * sigma, np.log(sigma)]))
    >>> print(round(value + fit.problem.offset(fit.scales.y_scale, False), 3), slope.round(3) + 0.0)
    1910.541 [0. 0.]
    """

    A: Products
    reml: bool

    @property
    def exact(self) -> bool:
        """As the engine says."""
        return self.A.exact_slopes

    def factorize(self, psi: FloatArray) -> tuple[Factorization, float]:
        """Factor the cross-products; return sigma too."""
        C, (log_sigma,) = self.parted(psi)
        if abs(log_sigma) > FARTHEST:
            raise OutOfRangeError
        sigma = float(np.exp(log_sigma))
        return self.A.factorize([C_f / sigma for C_f in C]), sigma

    def value(self, psi: FloatArray) -> float:
        """Return the deviance at C and sigma."""
        f, sigma = self.factorize(psi)
        return f.deviance(self.reml, sigma**2)

    def value_and_slope(self, psi: FloatArray) -> tuple[float, FloatArray]:
        """Return the deviance and its slope by C and log sigma."""
        f, sigma = self.factorize(psi)
        by_T = f.gradient(self.reml, sigma**2)
        # T = C / sigma, and beside it  N log sigma^2 + r^2 / sigma^2
        by_C = np.concatenate([np.empty(0), *(G.ravel() for G in by_T)]) / sigma
        N = f.A.n - f.A.p if self.reml else f.A.n
        by_log_sigma = 2 * (N - f.r2 / sigma**2) - psi[:-1] @ by_C
        return f.deviance(self.reml, sigma**2), np.append(by_C, by_log_sigma)


@dataclass(frozen=True, eq=False)
class MarginalSurface(Surface):
    """Deviance of a generalized model; psi ends with the family's logarithm and inner beta.

    Attributes
    ----------
    data : Response
        The data.
    nodes : int
        Nodes of the quadrature; 1 for Laplace.
    near : Anchor
        From where modes are searched.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> from mixedsmooth.inference.sections import space_of
    >>> fit = ms.glmm_formula("y ~ lbase + (1 | subject)", ms.load_epil())
    >>> space = space_of(fit, reml=False)
    >>> bool(abs(space.surface.value(space.psi) - fit.criterion) < 1e-6)
    True
    """

    data: Response
    nodes: int
    near: Anchor

    @property
    def exact(self) -> bool:
        """As the engine says."""
        return self.near.A.exact_slopes

    def mode(self, psi: FloatArray) -> tuple[Response, Mode]:
        """Return the data with the family that psi tells, and the mode."""
        T, rest = self.parted(psi)
        of_family, beta = np.split(rest, [len(self.data.family.log_parameters)])
        if np.any(np.abs(of_family) > FARTHEST):
            raise OutOfRangeError
        data = self.data
        if len(of_family):
            data = replace(data, family=data.family.at(of_family))
        return data, find_mode(data, T, beta, self.near)

    def value(self, psi: FloatArray) -> float:
        """Return the deviance at C, the family's parameter and beta."""
        data, mode = self.mode(psi)
        if self.nodes == 1:
            return laplace_deviance(mode) - 2 * data.constant
        return quadrature(data, mode, self.nodes).deviance - 2 * data.constant

    def value_and_slope(self, psi: FloatArray) -> tuple[float, FloatArray]:
        """Return the deviance and its slope by all of these."""
        data, mode = self.mode(psi)
        at = laplace(data, mode) if self.nodes == 1 else quadrature(data, mode, self.nodes)
        slope = [*(G.ravel() for G in at.by_T), at.by_parameters, at.by_beta]
        return at.deviance - 2 * data.constant, np.concatenate(slope)


@dataclass(frozen=True, eq=False)
class RangedSurface(Surface):
    """A deviance of ranges too, with which the columns change: their logarithms are in psi.

    Attributes
    ----------
    problem : Problem
        The problem at the estimated ranges, in whose units C is.
    of : callable
        Makes the surface of a problem with its ranges held.
    first : int
        Where in psi the logarithms are.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> from mixedsmooth.inference.sections import space_of
    >>> mcycle = ms.load_mcycle()
    >>> fit = ms.lmm(mcycle.accel, ms.smooth(time=mcycle.time, basis="gp", k=20))
    >>> space = space_of(fit, reml=True)
    >>> _, slope = space.surface.value_and_slope(space.psi)
    >>> print(len(slope), bool(abs(slope[-1]) < 1e-3))  # C of 18 columns, sigma, the range
    326 True
    """

    problem: Problem
    of: Callable[[Problem], Surface]
    first: int

    @property
    def exact(self) -> bool:
        """As the engine says."""
        return self._held.exact

    @cached_property
    def _held(self) -> Surface:
        return self.of(self.problem)

    @cached_property
    def bounds(self) -> FloatArray:
        """Logarithms of the smallest and the largest ranges, shape (r, 2)."""
        return np.log([tuning.bounds for tuning in self.problem.model.tunings])

    @cached_property
    def _at(self) -> Callable[[tuple[float, ...]], tuple[Problem, Surface]]:
        @lru_cache(maxsize=KEPT)
        def at(logarithms: tuple[float, ...]) -> tuple[Problem, Surface]:
            problem = self.problem.at_ranges(np.exp(logarithms).tolist())
            return problem, self.of(problem)

        return at

    @property
    def _logarithms(self) -> slice:
        return slice(self.first, self.first + len(self.bounds))

    def _factors(self, problem: Problem, psi: FloatArray) -> list[tuple[FloatArray, float]]:
        """C of each term in the units of a problem, and what a change of it is multiplied by."""
        factors = []
        for C, back, old in zip(self.parted(psi)[0], problem.back, self.problem.back, strict=True):
            if C.shape == back.shape and np.array_equal(back, old):
                factors.append((C, 0.0))
            else:  # a range changes the columns of one variance, and even their number
                ratio = old[0, 0] / back[0, 0]
                factors.append((ratio * C[0, 0] * np.eye(len(back)), ratio))
        return factors

    def inner(self, psi: FloatArray) -> tuple[Surface, FloatArray]:
        """Return the surface at the ranges of psi, and its psi."""
        if isinstance(self._held, LinearSurface) and psi[self.tail] < LEAST_NOISE:
            raise OutOfRangeError  # r^2 / sigma^2 has lost its digits where a process fits all of y
        logarithms = np.clip(psi[self._logarithms], *self.bounds.T)
        problem, surface = self._at(tuple(logarithms.tolist()))
        C = [C_f.ravel() for C_f, _ in self._factors(problem, psi)]
        rest = np.delete(psi, self._logarithms)[self.tail :]
        return surface, np.concatenate([*C, rest])

    def value(self, psi: FloatArray) -> float:
        """Return the deviance at C, the ranges and the rest."""
        surface, inner = self.inner(psi)
        return surface.value(inner)

    def value_and_slope(self, psi: FloatArray) -> tuple[float, FloatArray]:
        """Return the deviance and its slope by all of these, by the ranges from differences."""
        surface, inner = self.inner(psi)
        value, by_inner = surface.value_and_slope(inner)
        of_C, rest = surface.parted(by_inner)
        problem, _ = self._at(tuple(np.clip(psi[self._logarithms], *self.bounds.T).tolist()))
        slope = []
        factors = self._factors(problem, psi)
        for k, G, (_, ratio) in zip(self.sizes, of_C, factors, strict=True):
            moved = np.zeros(k * k)
            moved[0] = ratio * np.trace(G)
            slope.append(moved if ratio else G.ravel())
        by_logarithms = []
        for i in range(len(self.bounds)):
            step = DIFFERENCE * (np.arange(len(psi)) == self.first + i)
            ends = self.value(psi + step) - self.value(psi - step)
            by_logarithms.append(ends / (2 * DIFFERENCE))
        at = self.first - self.tail
        return value, np.concatenate([*slope, rest[:at], by_logarithms, rest[at:]])


class Chart(NamedTuple):
    """A flat piece of the space of psi, and the surface over it.

    Attributes
    ----------
    surface : Surface
        The deviance.
    sigma : float
        That of the estimate, in inner units.
    origin, directions : ndarray
        psi = origin + directions x.
    positive : sequence of int
        Which of x must not be negative.

    Examples
    --------
    The best standard deviation of the subjects where sigma is held at 50 ms:

    >>> import mixedsmooth as ms
    >>> fit = ms.lmm_formula("reaction ~ 1 + (1 | subject)", ms.load_sleepstudy(), method="ML")
    >>> y_scale = fit.scales.y_scale
    >>> surface = LinearSurface((1,), fit.factorization.A, reml=False)
    >>> at = np.array([0.0, np.log(50 / y_scale)])
    >>> chart = Chart(surface, 50 / y_scale, at, np.array([[1.0], [0.0]]))
    >>> x = np.array([1.0])
    >>> _, x = chart.least(x, chart.unit(x), np.array([DIAGONAL]))
    >>> print((y_scale * x).round(1))
    [33.8]
    """

    surface: Surface
    sigma: float
    origin: FloatArray
    directions: FloatArray
    positive: Sequence[int] = ()

    def value(self, x: FloatArray) -> float:
        """Return the deviance at x; infinite where there is none."""
        try:
            with np.errstate(all="ignore"):
                return self.surface.value(self.origin + self.directions @ x)
        except (np.linalg.LinAlgError, OutOfRangeError, NoModeError):
            return np.inf

    def value_and_slope(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Return the deviance at x and its slope by x."""
        if not self.surface.exact:
            steps = DIFFERENCE * np.eye(len(x))
            slope = [(self.value(x + s) - self.value(x - s)) / (2 * DIFFERENCE) for s in steps]
            return self.value(x), np.nan_to_num(slope)
        try:
            with np.errstate(all="ignore"):
                psi = self.origin + self.directions @ x
                value, slope_of_psi = self.surface.value_and_slope(psi)
        except (np.linalg.LinAlgError, OutOfRangeError, NoModeError):
            return np.inf, np.zeros(len(x))
        return value, self.directions.T @ slope_of_psi

    def curvature(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the second derivatives at x along some columns, and these columns.

        The columns are orthogonal as steps of psi: those of x may be nearly collinear, as an
        intercept far from the data and a slope are.
        """
        scale = np.ones(len(self.origin))
        scale[: self.surface.tail] = 1 / self.sigma
        R = np.linalg.qr(scale[:, None] * self.directions, mode="r")
        columns = scipy.linalg.solve_triangular(R, np.eye(len(R)))
        H = np.empty((len(x), len(x)))
        for i, step in enumerate(DIFFERENCE * columns.T):
            up, down = self.value_and_slope(x + step)[1], self.value_and_slope(x - step)[1]
            H[i] = (up - down) @ columns / (2 * DIFFERENCE)
        return (H + H.T) / 2, columns

    def unit(self, x: FloatArray) -> FloatArray:
        """Return columns along which the curvature at x is about 1."""
        H, columns = self.curvature(x)
        d, U = np.linalg.eigh(H)
        scale = np.maximum(np.abs(d), FLAT * np.abs(d).max(initial=1.0))
        return np.asarray(columns @ U / np.sqrt(scale))

    def least(
        self, x: FloatArray, unit: FloatArray, role: NDArray[np.int8]
    ) -> tuple[float, FloatArray]:
        """Minimize the deviance from x, in units of curvature about 1."""
        diagonal = np.flatnonzero(role >= DIAGONAL)
        for _ in range(1 + len(diagonal)):
            value, x = self._descended(x, unit)
            if np.any(x[list(self.positive)] < 0):
                return self._on_boundary(x)
            # A variance of zero has no slope, be it a minimum or not: look a little further out.
            for i in diagonal[np.abs(x[diagonal]) < NEARLY_ZERO]:
                outside = x.copy()
                outside[i] = NEARLY_ZERO / 3
                if self.value(outside) < value - PREDICTED_DECREASE:
                    x = outside
                    break
            else:
                break
        return value, x

    def most(self, x: FloatArray) -> float:
        """Return what the least deviance cannot exceed, as a correlation is free at an sd of 0."""
        at_zero = (np.where(np.arange(len(x)) == i, 0.0, x) for i in self.positive)
        return min((self._on_boundary(place)[0] for place in at_zero), default=np.inf)

    def _on_boundary(self, x: FloatArray) -> tuple[float, FloatArray]:
        """Minimize with a standard deviation of zero, where the search would leave for one below.

        Beside a correlation that is held, a change of sign would be one of the correlation.
        """
        free = np.ones(len(x), dtype=bool)
        free[list(self.positive)] = x[list(self.positive)] > 0
        inside = self._replace(directions=self.directions[:, free], positive=())
        on_it = np.zeros(len(x))
        value, on_it[free] = inside._descended(x[free], inside.unit(x[free]))
        return value, on_it

    def _descended(self, x: FloatArray, unit: FloatArray) -> tuple[float, FloatArray]:
        least, place = np.inf, np.zeros(len(x))

        def scaled(z: FloatArray) -> tuple[float, FloatArray]:
            nonlocal least, place
            value, slope = self.value_and_slope(x + unit @ z)
            if value < least:
                least, place = value, z
            return value, unit.T @ slope

        if not len(x):
            return self.value(x), x
        end = descend(scaled, place, STEEP)
        decrease = -float(end.slope @ end.step) / 2
        if 0 < decrease <= PREDICTED_DECREASE and np.array_equal(place, end.x):
            return least - decrease, x + unit @ (place + end.step)
        return least, x + unit @ place
