"""The search for theta: where it begins, how it goes down, and the boundary (chapter 7).

    look around -> descend from the best few places -> leave the boundary -> the lowest of all

Entries of T are in the units of centered and scaled columns. The criterion of a smooth may have
several minima and is flat near theta = 0, where the smooth is a straight line or nothing; so a
search that begins at one place may end at the wrong one.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import combinations, product
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.ndimage import minimum_filter
from scipy.optimize import minimize, minimize_scalar

from mixedsmooth._checks import locked
from mixedsmooth.model.covariance import Covariance, Scalar, pack, pack_slopes, unpack
from mixedsmooth.model.descent import descend
from mixedsmooth.model.engine import LARGEST, Factorization, Products, penalty
from mixedsmooth.model.families import Family
from mixedsmooth.model.laplace import (
    Anchor,
    Mode,
    NoModeError,
    OutOfRangeError,
    Response,
    anchor,
    find_mode,
    laplace,
    laplace_deviance,
    positive_weights,
    quadrature,
    times,
    working_products,
)

FloatArray = NDArray[np.float64]

PREDICTED_DECREASE = 1e-6  # of the deviance by one more step: what converged means
FAR = 30  # steps of unit length after which the unit is measured anew
WIDE = 12.0  # log theta beyond which a curve is a line, or goes through all points
LOST = 1e-14  # a residual variance below this part of that of y is made of rounding errors
NEARLY_ZERO = 1e-2  # a diagonal entry of T below this may be a variance of zero
FEW = 30  # residual degrees of freedom below which groups are looked at as smooths are
LEVELS = 10.0 ** np.arange(-3, 4.1, 0.5)  # of theta, where a search looks around
COARSE = 10.0 ** np.arange(-2, 3.1, 1.25)  # of several theta jointly
JOINTLY = 3  # variances at a time, if there are no more; else two
DESCENTS = 4  # from the best places
START_STEPS = (6, 2, 2)  # of reweighting in each round of the start
NEWTON_STEPS = 4
FEW_ROWS = 100  # of counts, below which groups are looked at as smooths are
MARGINAL_LEVELS = (0.1, 1.0, 10.0, 100.0)  # of the theta of smooths, where a search looks around
MARGINAL_DESCENTS = 2  # from the best of them
LOG_PARAMETERS = (-25.0, 40.0)  # of a family, among which a search begins
LARGE_SIZE = 10.0  # over the mean: the largest with which a search begins
DOUBTFUL = 1.0  # rise of the deviance where a variance is zero, below which that is tried
FARTHEST = 200.0  # logarithm of a parameter of a family
HALVINGS = 60  # of the way to a linear predictor that is out of range
DIFFERENCE = 1e-3  # of a parameter, in units of its standard error, for second derivatives


class Stopped(Exception):  # noqa: N818, it is no error
    """A callback asked to stop."""


class NoResidualError(ValueError):
    """Nothing is left of y for the residuals."""

    def __init__(self) -> None:
        super().__init__(
            "y is explained by its terms without error, so there is no residual variance; "
            "use fewer random effects"
        )


class UnboundedError(ValueError):
    """The likelihood has no maximum: it rises as sigma falls to zero."""

    def __init__(self) -> None:
        super().__init__(
            "the likelihood rises without end as sigma falls to zero, because the terms can fit "
            'every row without error; use method="REML", of intervals likelihood="REML", or fewer '
            "columns"
        )


class Optimum(NamedTuple):
    """Where a search ended.

    Attributes
    ----------
    theta : ndarray
        The parameters.
    factorization : engine.Factorization
        The cross-products, factored there.
    value : float
        The (restricted) deviance there.
    decrease : float
        Of the criterion by one more step, as the curvature foretells.
    reason : str
        Why the search ended.
    """

    theta: FloatArray
    factorization: Factorization
    value: float
    decrease: float
    reason: str


@dataclass(eq=False)
class Criterion:
    """The criterion of a linear mixed model as a function of theta, which counts evaluations.

    Attributes
    ----------
    A : engine.Products
        The cross-products.
    reml : bool
        Whether it is the restricted deviance.
    variance : float or None
        sigma^2 in inner units, where it is known.
    report : callable or None
        Told of each evaluation: its number, T and the value. It may raise `Stopped`.
    evaluations : int
        How many there were.
    lowest : tuple
        The lowest value, and its T.

    Examples
    --------
    >>> from mixedsmooth.model.blocked import cross_products
    >>> from mixedsmooth.model.engine import Factor, Shape
    >>> groups = Factor(np.array([0, 0, 1, 1]), (np.ones(4),), Shape(2, Scalar(1)))
    >>> A = cross_products([groups], np.ones((4, 1)), np.array([1.0, 2.0, 4.0, 5.0]))
    >>> criterion = Criterion(A, False, None, None)
    >>> value, slope = criterion.value_and_slope(np.array([1.0]))
    >>> print(round(value, 4), slope.round(4), criterion.evaluations)
    13.5487 [-1.3333] 1
    """

    A: Products
    reml: bool
    variance: float | None
    report: Callable[[int, Sequence[FloatArray], float], None] | None
    evaluations: int = 0
    lowest: tuple[float, Sequence[FloatArray]] = (np.inf, ())

    @cached_property
    def covariances(self) -> list[Covariance]:
        """Covariances of the terms."""
        return self.A.covariances

    def factorize(self, theta: FloatArray) -> Factorization:
        """Factor the cross-products at theta, and count."""
        self.evaluations += 1
        return self.A.factorize(unpack(theta, self.covariances))

    def value(self, theta: FloatArray) -> float:
        """Return the criterion; infinite where y is explained without error."""
        try:
            f = self.factorize(theta)
        except np.linalg.LinAlgError:
            return np.inf
        return self.reported(f, f.deviance(self.reml, self.variance))

    def value_and_slope(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Criterion and its gradient at theta."""
        try:
            f = self.factorize(theta)
        except np.linalg.LinAlgError:
            raise NoResidualError from None
        value = self.reported(f, f.deviance(self.reml, self.variance))
        return value, pack_slopes(f.gradient(self.reml, self.variance), self.covariances)

    def optimum(self, theta: FloatArray, decrease: float, reason: str) -> Optimum:
        """Factor the cross-products where a search ended; that is no evaluation of the search."""
        try:
            f = self.A.factorize(unpack(theta, self.covariances))
        except np.linalg.LinAlgError:
            raise NoResidualError from None
        for T_f in f.T:
            locked(T_f)
        return Optimum(theta, f, f.deviance(self.reml, self.variance), decrease, reason)

    def reported(self, f: Factorization, value: float) -> float:
        """Return the value, once it is reported."""
        if value <= self.lowest[0]:
            self.lowest = value, f.T
        if self.report is not None:
            self.report(self.evaluations, f.T, value)
        return value


def search(criterion: Criterion, start: FloatArray | None = None) -> Optimum:
    """Minimize the criterion of a linear mixed model.

    Parameters
    ----------
    criterion : Criterion
        What is minimized.
    start : ndarray, optional
        Where to begin; otherwise at a guess and, where there may be several minima, at the best of
        the places that `look` finds.

    Returns
    -------
    Optimum
        The lowest minimum found.

    Raises
    ------
    ValueError
        If y is explained without error.

    Examples
    --------
    In two groups of two, the squares between are 9 and those within are 1; theta^2 = 4 by ML.

    >>> from mixedsmooth.model.blocked import cross_products
    >>> from mixedsmooth.model.engine import Factor, Shape
    >>> groups = Factor(np.array([0, 0, 1, 1]), (np.ones(4),), Shape(2, Scalar(1)))
    >>> A = cross_products([groups], np.ones((4, 1)), np.array([1.0, 2.0, 4.0, 5.0]))
    >>> optimum = search(Criterion(A, False, None, None))
    >>> print(optimum.theta.round(4), round(optimum.value, 4))
    [2.] 12.9734
    """
    if start is not None:
        return _run(criterion, start)
    guess, unit = _guess(criterion)
    best = None
    with suppress(NoResidualError):
        best = _run(criterion, guess, unit)
    improved = True
    while improved:
        improved = False
        for place in look(criterion, guess if best is None else best.theta):
            try:
                found = _run(criterion, place)
            except NoResidualError:
                continue
            if best is None or found.value < best.value - PREDICTED_DECREASE:
                best, improved = found, True
    if best is None:
        raise NoResidualError
    return best


def look(criterion: Criterion, theta: FloatArray) -> list[FloatArray]:
    """Find places from which other minima than that at theta may be reached.

    Parameters
    ----------
    criterion : Criterion
        What is minimized.
    theta : ndarray
        A minimum, or a guess.

    Returns
    -------
    list of ndarray
        A few values of theta: the lowest of those that are lower than their neighbors in a coarse
        grid, over each variance alone and over some jointly.

    Examples
    --------
    A smooth of a sine has a minimum at theta = 0, where it is nothing, and another:

    >>> import mixedsmooth as ms
    >>> x = np.arange(20) / 19
    >>> y = np.sin(4 * np.pi * x) + 0.1 * np.cos(37 * np.arange(20))
    >>> A = ms.lmm(y, ms.smooth(x=x)).factorization.A
    >>> criterion = Criterion(A, True, None, None)
    >>> place = look(criterion, np.zeros(1))[0]
    >>> round(criterion.value(np.zeros(1)), 2), place.round(1), round(criterion.value(place), 2)
    (57.89, array([316.2]), -18.44)
    """
    A = criterion.A
    few = A.n - A.p < FEW
    variances = [
        (i, c)
        for i, covariance in enumerate(A.covariances)
        for c in range(covariance.columns if few or isinstance(covariance, Scalar) else 0)
    ]
    T = unpack(theta, A.covariances)

    def at(levels: Sequence[float], some: Sequence[tuple[int, int]]) -> FloatArray:
        moved = [T_f.copy() for T_f in T]
        for (i, c), level in zip(some, levels, strict=True):
            moved[i][:, c] = 0.0
            moved[i][c, c] = level
        return pack(moved, A.covariances)

    # what is next to theta belongs to its own minimum
    known = [np.clip(np.abs(T[i][c, c]), LEVELS[0], LEVELS[-1]) for i, c in variances]
    places = []
    together = 2 if len(variances) > JOINTLY else len(variances)
    for size, levels in ((1, LEVELS), (together, COARSE)) if together > 1 else ((1, LEVELS),):
        step = np.log(levels[1] / levels[0])
        for chosen in combinations(range(len(variances)), size):
            some = [variances[v] for v in chosen]
            here = np.log([known[v] for v in chosen])
            corners = list(product(levels, repeat=size))
            grid = [at(corner, some) for corner in corners]
            values = np.reshape([criterion.value(place) for place in grid], (len(levels),) * size)
            lowest = (values == minimum_filter(values, 3)) & np.isfinite(values)
            for j in np.flatnonzero(lowest):
                if np.abs(np.log(corners[j]) - here).max() > step:
                    places.append((values.flat[j], grid[j]))
    best = [place for _, place in sorted(places, key=itemgetter(0))[:DESCENTS]]
    # correlations are not looked at; with few degrees of freedom it costs little to try more
    alike = COARSE if any(covariance.k > 1 and few for covariance in A.covariances) else ()
    return best + [at([level] * len(variances), variances) for level in alike]


def _guess(criterion: Criterion) -> tuple[FloatArray, FloatArray]:
    """T = I in scaled units, improved by two steps of Schall's fixed point; and a unit."""
    covariances = criterion.covariances
    T = [np.eye(c.k) for c in covariances]
    for _ in range(2):
        f = criterion.factorize(pack(T, covariances))
        degrees = f.degrees_of_freedom(criterion.reml)
        _, u = f.solve()
        variance = f.residual_variance(criterion.reml, criterion.variance)
        squares = [shape.squares(u_f) for shape, u_f in zip(f.A.shapes, u, strict=True)]
        T = schall_step(T, squares, degrees, covariances, variance)
    return pack(T, covariances), unit_steps(T, degrees, covariances)


def _unit_at(criterion: Criterion, theta: FloatArray) -> FloatArray:
    try:
        f = criterion.factorize(theta)
    except np.linalg.LinAlgError:
        raise NoResidualError from None
    return unit_steps(f.T, f.degrees_of_freedom(criterion.reml), criterion.covariances)


def _run(criterion: Criterion, theta: FloatArray, unit: FloatArray | None = None) -> Optimum:
    """Descend from theta, and leave the boundary where it is no minimum."""
    if unit is None:
        unit = _unit_at(criterion, theta)
    while True:
        begin = theta
        theta, decrease = _descend(criterion, begin, unit)
        if np.abs((theta - begin) / unit).max() > FAR:
            unit = _unit_at(criterion, theta)
            theta, decrease = _descend(criterion, theta, unit)
        theta, ended = leave_boundary(theta, criterion.covariances, criterion.value)
        if ended:
            break
    if criterion.variance is None and np.abs(theta).max() > LARGEST:
        raise NoResidualError
    return criterion.optimum(theta, decrease, f"predicted decrease of the criterion {decrease:.1e}")


def _descend(criterion: Criterion, theta: FloatArray, unit: FloatArray) -> tuple[FloatArray, float]:
    """Minimize by L-BFGS, in units of theta in which the curvature is about 1."""

    def scaled(phi: FloatArray) -> tuple[float, FloatArray]:
        value, slope = criterion.value_and_slope(phi * unit)
        return value, slope * unit

    # a slope g foretells a decrease of g^2 / 2
    end = descend(scaled, theta / unit, 3e-5 + criterion.A.error)
    decrease = -float(end.slope @ end.step) / 2
    # Near the optimum the next step is right to first order, and costs nothing; unless the
    # curvature, about 1 in these units, was learnt from rounding errors.
    sound = decrease <= PREDICTED_DECREASE and end.step @ end.step <= 20 * decrease
    return (end.x + end.step if sound else end.x) * unit, decrease


def cross_validate(criterion: Criterion, start: FloatArray | None) -> Optimum:
    """Minimize the GCV score n rss / (n - edf)^2 over log theta, for a model of smooths.

    Parameters
    ----------
    criterion : Criterion
        Its cross-products and count.
    start : ndarray, optional
        Where to begin; otherwise at the best place of a grid, or with several smooths at the best
        few of a coarse grid.

    Returns
    -------
    Optimum
        The minimum.

    References
    ----------
    Craven and Wahba (1979), Numerische Mathematik 31, 377-403.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> volvo = ms.load_volvo()
    >>> fit = ms.lmm(volvo.wear, ms.smooth(size=volvo.size, basis="rk", k=9))
    >>> criterion = Criterion(fit.factorization.A, True, None, None)
    >>> _, edf = residual_and_degrees(cross_validate(criterion, None).factorization)
    >>> round(edf, 3)  # as choose_gcv of mixedsmooth.derivations.spline
    4.219
    """
    A = criterion.A

    def theta_of(log_theta: FloatArray) -> FloatArray:
        theta: FloatArray = np.exp(np.clip(log_theta, -WIDE, WIDE))
        return theta

    def score(log_theta: FloatArray) -> float:
        try:
            f = criterion.factorize(theta_of(log_theta))
        except np.linalg.LinAlgError:
            return np.inf
        rss, edf = residual_and_degrees(f)
        if rss <= LOST * A.n or edf >= A.n:  # the curve goes through all points
            return np.inf
        return criterion.reported(f, float(np.log(A.n * rss / (A.n - edf) ** 2)))

    if start is None:
        smooths = len(A.shapes)
        places = [np.full(smooths, level) for level in np.linspace(-9, 9, 37)]
        if smooths > 1:
            best = min(places, key=score)
            for i in range(smooths):
                moved = best + np.outer(np.linspace(-9, 9, 19) - best[i], np.eye(smooths)[i])
                best = min([best, *moved], key=score)
            joint = product(np.log(COARSE), repeat=smooths) if smooths <= JOINTLY else ()
            places = [best, *map(np.array, joint)]
        begins = sorted(places, key=score)[: 1 if smooths == 1 else DESCENTS]
    else:
        begins = [np.log(np.maximum(start, 1e-6))]
    options = {"xatol": 1e-7, "fatol": 1e-12, "maxiter": 2000, "maxfev": 4000}
    ends = [minimize(score, begin, method="Nelder-Mead", options=options) for begin in begins]
    optimum = min(ends, key=lambda end: end.fun)
    decrease = 0.0 if optimum.success else np.inf
    reason = f"simplex of the GCV score: {optimum.message}"
    return criterion.optimum(theta_of(optimum.x), decrease, reason)


def residual_and_degrees(f: Factorization) -> tuple[float, float]:
    """Residual sum of squares in inner units, and the effective degrees of freedom of all terms.

    Parameters
    ----------
    f : Factorization
        The factorization at theta.

    Returns
    -------
    rss : float
        r^2 without the penalty u'P u.
    edf : float
        p and those of the random effects.

    Examples
    --------
    At theta = 2 the means of two groups of two are shrunk by 2 theta^2 / (2 theta^2 + 1) = 8/9:

    >>> from mixedsmooth.model.blocked import cross_products
    >>> from mixedsmooth.model.engine import Factor, Shape
    >>> groups = Factor(np.array([0, 0, 1, 1]), (np.ones(4),), Shape(2, Scalar(1)))
    >>> A = cross_products([groups], np.ones((4, 1)), np.array([1.0, 2.0, 4.0, 5.0]))
    >>> rss, edf = residual_and_degrees(A.factorize([np.array([[2.0]])]))
    >>> print(round(rss, 4), round(edf, 4))  # 1 + 9 (1 - 8/9)^2 and 1 + 8/9
    1.1111 1.8889
    """
    _, u = f.solve()
    rss = f.r2 - penalty(u, f.A.shapes)
    degrees = f.degrees_of_freedom(reml=True)
    return rss, f.A.p + sum(float(of_effects.sum()) for of_effects in degrees)


def schall_step(
    T: Sequence[FloatArray],
    squares: Sequence[FloatArray],
    degrees: Sequence[FloatArray],
    covariances: Sequence[Covariance],
    variance: float,
) -> list[FloatArray]:
    """Improve T by one step of Schall's fixed point.

    At the optimum the sum of squares u'P u of the effects, over sigma^2, equals their degrees of
    freedom. So T is multiplied by the root of their ratio.

    Parameters
    ----------
    T : sequence of ndarray, each of shape (k, k)
        Lower triangular factors.
    squares : sequence of ndarray, each of shape (k, k)
        Squares and products of the effects u, summed over the levels.
    degrees : sequence of ndarray, each of shape (k,)
        Their effective degrees of freedom.
    covariances : sequence of Covariance
        Those of the terms.
    variance : float
        sigma^2.

    Returns
    -------
    list of ndarray, each of shape (k, k)
        The new T.

    References
    ----------
    Schall (1991), Biometrika 78, 719-727.

    Examples
    --------
    >>> squares, edf = [np.array([[8.0]])], [np.array([2.0])]
    >>> print(schall_step([np.eye(1)], squares, edf, [Scalar(1)], 1.0)[0].round(3))
    [[2.]]
    """
    better = []
    for T_f, own, edf, covariance in zip(T, squares, degrees, covariances, strict=True):
        # ||u||^2 / sigma^2 = EDF  (eq-7-edf)
        ratio = covariance.ratio(own / variance, edf)
        better.append(T_f @ np.linalg.cholesky(ratio + 1e-4 * np.eye(len(T_f))))
    return better


def unit_steps(
    T: Sequence[FloatArray], degrees: Sequence[FloatArray], covariances: Sequence[Covariance]
) -> FloatArray:
    """Root of the inverse curvature of a deviance by theta.

    By log T_aa the curvature is about 4 times the degrees of freedom.

    Parameters
    ----------
    T : sequence of ndarray, each of shape (k, k)
        Lower triangular factors.
    degrees : sequence of ndarray, each of shape (k,)
        Effective degrees of freedom of the effects.
    covariances : sequence of Covariance
        Those of the terms.

    Returns
    -------
    ndarray
        A step for each entry of theta.

    Examples
    --------
    >>> unit_steps([np.eye(1)], [np.array([16.0])], [Scalar(1)])
    array([0.125])
    """
    units = []
    for T_f, edf, covariance in zip(T, degrees, covariances, strict=True):
        size = np.maximum(np.linalg.norm(T_f, axis=1), 0.1)
        root = np.maximum(covariance.degrees(edf), 1.0) ** 0.25
        units.append(size[:, None] / (2 * np.outer(root, root)))
    return pack(units, covariances)


def leave_boundary(
    theta: FloatArray, covariances: Sequence[Covariance], criterion: Callable[[FloatArray], float]
) -> tuple[FloatArray, bool]:
    """Set variances to zero where that is the optimum; or find a better theta outside.

    A criterion is even in each column of T, so at zero its slope vanishes whether or not zero is
    the optimum: look a little further out.

    Parameters
    ----------
    theta : ndarray
        Where a search ended.
    covariances : sequence of Covariance
        Those of the terms.
    criterion : callable
        What is minimized, as a function of theta.

    Returns
    -------
    theta : ndarray
        The same with small variances set to zero, or a better one.
    ended : bool
        Whether the search ends here; otherwise it goes on from the better theta.

    Examples
    --------
    >>> at = np.array([1e-4])
    >>> leave_boundary(at, [Scalar(1)], lambda theta: float(theta[0] ** 2))
    (array([0.]), True)
    >>> theta, ended = leave_boundary(at, [Scalar(1)], lambda theta: -float(theta[0] ** 2))
    >>> theta.round(4), ended
    (array([0.0033]), False)
    """
    T = unpack(theta, covariances)
    for matrix, covariance in zip(T, covariances, strict=True):
        for c in range(covariance.columns):
            if abs(matrix[c, c]) > NEARLY_ZERO:
                continue
            found = matrix[c, c]
            values = []
            for entry in (found, 0.0, NEARLY_ZERO / 3):
                matrix[c, c] = entry
                values.append(criterion(pack(T, covariances)))
            here, at_zero, outside = values
            if outside < min(here, at_zero):
                return pack(T, covariances), False
            rounding = max(1e-8, 1e-12 * abs(here))
            matrix[c, c] = 0.0 if at_zero <= here + rounding else found
    return pack(T, covariances), True


# ---- generalized models: theta, the family's parameter and beta together ----


@dataclass(eq=False)
class MarginalDeviance:
    """Minus twice the marginal log-likelihood as a function of all parameters, which counts.

    Attributes
    ----------
    data : Response
        The data.
    nodes : int
        Nodes of the quadrature; 1 for Laplace.
    near : Anchor
        Where each search for a mode begins.
    report : callable or None
        Told of each evaluation: its number, T and the value. It may raise `Stopped`.
    evaluations : int
        How many there were.
    lowest : tuple
        The lowest value, and its parameters.

    Examples
    --------
    >>> from mixedsmooth.model import blocked
    >>> from mixedsmooth.model.engine import Factor, Shape
    >>> from mixedsmooth.model.families import Poisson
    >>> one = Factor(np.array([0, 0]), (np.ones(2),), Shape(1, Scalar(1)))
    >>> data = Response(np.array([0.0, 1.0]), Poisson(), 0.0, 1.0, np.ones((2, 1)), [one], blocked)
    >>> deviance = MarginalDeviance(data, nodes=1, near=anchor(data, np.zeros(2)), report=None)
    >>> theta_and_beta = np.array([1.0, 1.0])
    >>> print(round(deviance.value(theta_and_beta), 4))  # 5 + log 3: the mode is u = -1, eta = 0
    6.0986
    >>> _, slope = deviance.value_and_slope(np.zeros(2), theta_and_beta, np.eye(2))
    >>> print(slope.round(4))
    [-1.1111 2.2222]
    """

    data: Response
    nodes: int
    near: Anchor
    report: Callable[[int, Sequence[FloatArray], float], None] | None
    evaluations: int = 0
    lowest: tuple[float, FloatArray | None] = (np.inf, None)

    def parted(self, parameters: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Divide parameters into theta, the logarithm of the family's parameter, and beta."""
        ends = np.cumsum([self.data.X.shape[1], len(self.data.family.log_parameters)])
        theta, of_family, beta = np.split(parameters, len(parameters) - ends[::-1])
        return theta, of_family, beta

    def mode(self, parameters: FloatArray) -> tuple[Response, Mode]:
        """Return the data with the family that the parameters tell, and the mode."""
        self.evaluations += 1
        theta, of_family, beta = self.parted(parameters)
        if np.any(np.abs(of_family) > FARTHEST):
            raise OutOfRangeError
        family = self.data.family.at(of_family)
        data = self.data if family is self.data.family else replace(self.data, family=family)
        try:
            mode = find_mode(data, unpack(theta, data.covariances), beta, self.near)
        except (NoModeError, np.linalg.LinAlgError):
            raise OutOfRangeError from None
        return data, mode

    def of_mode(self, data: Response, mode: Mode) -> float:
        """Deviance at a mode, with all constants."""
        if self.nodes == 1:
            return laplace_deviance(mode) - 2 * data.constant
        return quadrature(data, mode, self.nodes).deviance - 2 * data.constant

    def value(self, parameters: FloatArray) -> float:
        """Deviance at all parameters."""
        data, mode = self.mode(parameters)
        return self.reported(parameters, mode, self.of_mode(data, mode))

    def value_and_slope(
        self, x: FloatArray, origin: FloatArray, unit: FloatArray
    ) -> tuple[float, FloatArray]:
        """Deviance at origin + unit x, and its gradient by x."""
        parameters = origin + unit @ x
        if not self.near.A.exact_slopes:
            ends = [
                self.value(parameters + step)
                for column in DIFFERENCE * unit.T
                for step in (column, -column)
            ]
            slope = (np.array(ends[::2]) - np.array(ends[1::2])) / (2 * DIFFERENCE)
            return self.value(parameters), slope
        data, mode = self.mode(parameters)
        at = laplace(data, mode) if self.nodes == 1 else quadrature(data, mode, self.nodes)
        value = self.reported(parameters, mode, at.deviance - 2 * data.constant)
        by_theta = pack_slopes(at.by_T, data.covariances)
        return value, unit.T @ np.concatenate([by_theta, at.by_parameters, at.by_beta])

    def reported(self, parameters: FloatArray, mode: Mode, value: float) -> float:
        """Return the value, once it is reported."""
        if value <= self.lowest[0]:
            self.lowest = value, parameters
        if self.report is not None:
            self.report(self.evaluations, mode.f.T, value)
        return value


class MarginalOptimum(NamedTuple):
    """Where the deviance is least; beta and its covariance belong to the scaled columns."""

    family: Family
    mode: Mode
    beta: FloatArray
    covariance: FloatArray
    deviance: float
    converged: bool
    reason: str
    evaluations: int
    stopped: bool = False


class _Place(NamedTuple):
    """Where a search begins: parameters, their units as columns, and the data linearized."""

    parameters: FloatArray
    unit: FloatArray
    near: Anchor


def search_marginal(
    data: Response,
    nodes: int,
    start: Sequence[FloatArray] | None = None,
    held: Sequence[FloatArray] | None = None,
    report: Callable[[int, Sequence[FloatArray], float], None] | None = None,
) -> MarginalOptimum:
    """Minimize the deviance of a generalized model over all its parameters.

    Parameters
    ----------
    data : Response
        The data.
    nodes : int
        Nodes of the quadrature; 1 for Laplace.
    start : sequence of ndarray, optional
        T at which to begin; otherwise a guess and, for smooths, the best of some more.
    held : sequence of ndarray, optional
        T that is not to move: only the other parameters are searched then.
    report : callable, optional
        Told of each evaluation: its number, T and the deviance.

    Returns
    -------
    MarginalOptimum
        The lowest minimum found.

    Raises
    ------
    ValueError
        If means leave the range of numbers on the way.

    Examples
    --------
    >>> from mixedsmooth.model import blocked
    >>> from mixedsmooth.model.engine import Factor, Shape
    >>> from mixedsmooth.model.families import Poisson
    >>> groups = Factor(np.array([0, 0, 1, 1, 2, 2]), (np.ones(6),), Shape(3, Scalar(1)))
    >>> y = np.array([1.0, 2.0, 5.0, 9.0, 0.0, 3.0])
    >>> data = Response(y, Poisson(), 0.0, 1.0, np.ones((6, 1)), [groups], blocked)
    >>> optimum = search_marginal(data, nodes=1)
    >>> print(optimum.beta.round(3), optimum.mode.f.T[0].round(3))
    [0.98] [[0.67]]
    """
    T = held if held is not None else start
    identity = [np.eye(c.k) for c in data.covariances]
    places = [_penalized(data, T or identity, improve=T is None)]
    evaluations = 0
    if T is None:
        others = []
        for other in _wigglier(data, places[0]):
            with suppress(OutOfRangeError):
                others.append(_penalized(data, other, improve=False))
        values = [_value_at(data, place) for place in others]
        evaluations += len(others)
        places += [others[j] for j in np.argsort(values)[:MARGINAL_DESCENTS]]
    found: list[MarginalOptimum] = []
    for place in places:
        deviance = MarginalDeviance(data, nodes, place.near, report, evaluations)
        k = len(deviance.parted(place.parameters)[0])
        unit = place.unit if held is None else place.unit[:, k:]
        with suppress(OutOfRangeError):
            try:
                end = _descend_marginal(deviance, place.parameters, unit)
                found.append(_finish(deviance, end, unit, NEWTON_STEPS))
            except Stopped:
                found.append(_stopped(deviance, unit))
                break
        evaluations = deviance.evaluations
    if not found:
        raise OutOfRangeError(data.family.link)
    last = found[-1]
    # Where the curvature of g vanishes the approximation falls without end: no minimum is there.
    sound = [optimum for optimum in found if optimum.converged and not last.stopped]
    best = min(sound or found, key=lambda optimum: optimum.deviance)
    if last.stopped:
        best = best._replace(converged=False, reason=last.reason, stopped=True)
    return best._replace(evaluations=last.evaluations)


def _value_at(data: Response, place: _Place) -> float:
    """Laplace deviance at a place; infinite where means are out of range."""
    try:
        return MarginalDeviance(data, 1, place.near, None).value(place.parameters)
    except OutOfRangeError:
        return np.inf


def _wigglier(data: Response, place: _Place) -> list[list[FloatArray]]:
    """Several T for the smooths, all alike, and each beside the others as they are at a place.

    With few rows the groups are treated as smooths are.
    """
    guess = unpack(place.parameters, data.covariances)
    few = len(data.y) < FEW_ROWS
    looked = [i for i, c in enumerate(data.covariances) if few or isinstance(c, Scalar)]
    chosen = [looked, *([i] for i in looked if len(looked) > 1)] if looked else []
    return [
        [level * np.eye(len(T_f)) if i in some else T_f for i, T_f in enumerate(guess)]
        for some in chosen
        for level in MARGINAL_LEVELS
    ]


def _penalized(data: Response, T: Sequence[FloatArray], improve: bool) -> _Place:
    """Begin with a few rounds of PQL.

    In a round beta and u are found together by reweighted penalized least squares, then the
    family's parameter as if u were known, and T by Schall's fixed point, if it is to be improved.
    """
    eta = _start(data)
    beta = np.linalg.solve(data.X.T @ data.X, data.X.T @ (eta - data.offset))
    if data.family.parameter == "shape":  # as it has the unit of y, or its inverse
        flat = np.full(len(eta), float(data.family.start(np.full(1, data.y.mean()))[0]))
        log_parameters, _ = _best_parameter(data, flat)
        data = replace(data, family=data.family.at(log_parameters))
    log_parameters, unit = np.empty(0), np.empty(0)
    for steps in START_STEPS:
        penalized = -np.inf
        for _ in range(steps):
            f = _working_factors(data, eta, T)
            target_beta, u = f.solve()
            target = data.offset + data.X @ target_beta + data.random_part(times(u, T))
            cost = penalty(u, data.shapes)
            reached = float(data.moments(target).log_density.sum()) - cost / 2
            # half of the way, or less, if it would be a step down
            up = np.isfinite(reached) and reached >= penalized
            way = 1.0 if up else _way_within(data, eta, target)
            eta, beta = eta + way * (target - eta), beta + way * (target_beta - beta)
            penalized = max(penalized, reached)
        if data.family.parameter:
            log_parameters, unit = _best_parameter(data, eta)
            data = replace(data, family=data.family.at(log_parameters))
        degrees = f.degrees_of_freedom(reml=False)
        if improve:
            squares = [shape.squares(u_f) for shape, u_f in zip(data.shapes, u, strict=True)]
            T = schall_step(T, squares, degrees, data.covariances, 1.0)
    if data.family.parameter:  # which scales the curvature
        f = _working_factors(data, eta, T)
        degrees = f.degrees_of_freedom(reml=False)
    # of beta: the deviance has the curvature 2 L_X L_X'
    to_beta = scipy.linalg.solve_triangular(f.L_X, np.eye(len(beta)) / np.sqrt(2), lower=True).T
    to_theta = unit_steps(T, degrees, data.covariances)
    return _Place(
        parameters=np.concatenate([pack(T, data.covariances), log_parameters, beta]),
        unit=scipy.linalg.block_diag(np.diag(np.append(to_theta, unit)), to_beta),
        near=anchor(data, eta),
    )


def _working_factors(data: Response, eta: FloatArray, T: Sequence[FloatArray]) -> Factorization:
    """Factor the weighted linear mixed model at a linear predictor."""
    moments = data.moments(eta)
    # the larger curvature makes the shorter step
    w = np.maximum(positive_weights(moments), moments.expected)
    try:
        return working_products(data, eta - data.offset, moments, w).factorize(T)
    except np.linalg.LinAlgError:
        raise OutOfRangeError(data.family.link) from None


def _start(data: Response) -> FloatArray:
    """Return a linear predictor to begin with, which is one of the model for an inverse link."""
    eta = data.family.start(data.y)
    if data.family.link != "inverse":
        return eta
    eta = eta + data.offset - np.mean(data.offset)
    return eta + max(0.0, 0.1 / float(data.y.mean()) - float(eta.min()))


def _way_within(data: Response, eta: FloatArray, target: FloatArray) -> float:
    """Part of the way from eta to the target, at most half, where the density is not zero."""
    way = 0.5
    for _ in range(HALVINGS):
        if np.isfinite(data.moments(eta + way * (target - eta)).log_density.sum()):
            return way
        way /= 2
    return 0.0


def _best_parameter(data: Response, eta: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Logarithm of the family's parameter that is likeliest at eta, and a unit for it."""

    def at(log_parameter: float) -> Response:
        return replace(data, family=data.family.at(np.array([log_parameter])))

    def deviance(log_parameter: float) -> float:
        there = at(log_parameter)
        return -2 * (float(there.moments(eta).log_density.sum()) + there.constant)

    def slope(log_parameter: float) -> float:
        (by,) = at(log_parameter).sensitivities(eta)
        return -2 * float(by.log_density.sum())

    # Known effects leave too little variance to a size. A size that is too large has no slope, from
    # one that is too small the way is found.
    low, high = LOG_PARAMETERS
    if data.family.parameter == "size":
        high = float(np.log(LARGE_SIZE * data.y.mean()))
    options = {"xatol": 1e-2}
    best = minimize_scalar(deviance, bounds=(low, high), method="bounded", options=options).x
    if best > LOG_PARAMETERS[1] - 1 and data.family.parameter == "shape":
        raise NoResidualError
    curvature = (slope(best + 0.1) - slope(best - 0.1)) / 0.2
    return np.array([best]), np.array([1 / np.sqrt(max(curvature, 0.1))])


def _descend_marginal(
    deviance: MarginalDeviance, parameters: FloatArray, unit: FloatArray
) -> FloatArray:
    """Go to a minimum, and look for a lower one where a variance is zero."""
    end = _to_minimum(deviance, parameters, unit)
    if len(unit.T) < len(parameters):
        return end
    theta, *others = deviance.parted(end)
    rest = np.concatenate(others)
    lowest, _ = deviance.lowest
    for zero in _zeros(theta, deviance.data.covariances):
        if np.array_equal(zero, theta) or _with_rest(deviance, rest, zero) > lowest + DOUBTFUL:
            continue
        other = _to_minimum(deviance, np.concatenate([zero, rest]), unit)
        value = deviance.value(other)
        if value < lowest - PREDICTED_DECREASE:
            end, lowest = other, value
    return end


def _zeros(theta: FloatArray, covariances: Sequence[Covariance]) -> list[FloatArray]:
    """Theta with one variance after the other set to zero."""
    places = []
    for i, covariance in enumerate(covariances):
        for c in range(covariance.columns):
            T = unpack(theta, covariances)
            T[i][:, c] = 0.0
            places.append(pack(T, covariances))
    return places


def _to_minimum(deviance: MarginalDeviance, parameters: FloatArray, unit: FloatArray) -> FloatArray:
    """Minimize by L-BFGS in coordinates of curvature about 1, and leave the boundary."""
    theta_moves = len(unit.T) == len(parameters)
    while True:
        origin = parameters

        def scaled(x: FloatArray, origin: FloatArray = origin) -> tuple[float, FloatArray]:
            try:
                return deviance.value_and_slope(x, origin, unit)
            except OutOfRangeError:
                return np.inf, np.zeros_like(x)

        found = descend(scaled, np.zeros(len(unit.T)), 1e-4)
        parameters = origin + unit @ found.x
        if not theta_moves:
            return parameters
        theta, *others = deviance.parted(parameters)
        rest = np.concatenate(others)
        at_rest = partial(_with_rest, deviance, rest)
        theta, ended = leave_boundary(theta, deviance.data.covariances, at_rest)
        parameters = np.concatenate([theta, rest])
        if ended:
            return parameters


def _with_rest(deviance: MarginalDeviance, rest: FloatArray, theta: FloatArray) -> float:
    """Deviance at theta and the rest; infinite where means are out of range."""
    try:
        return deviance.value(np.concatenate([theta, rest]))
    except OutOfRangeError:
        return np.inf


def _finish(
    deviance: MarginalDeviance, parameters: FloatArray, unit: FloatArray, steps: int
) -> MarginalOptimum:
    """Second derivatives at the optimum, for its last digits and for standard errors."""
    data, mode = deviance.mode(parameters)
    deviance.near = anchor(data, mode.eta)
    p, k = data.X.shape[1], len(deviance.parted(parameters)[0])
    if len(unit.T) == len(parameters):
        T = unpack(parameters, data.covariances)
        # a variance of zero stays there; by symmetry its column has no slope
        columns = [np.broadcast_to(np.any(M != 0, axis=0), M.shape) for M in T]
        varying = pack(columns, data.covariances)
        unit = unit[:, np.append(varying > 0, np.ones(len(parameters) - k, dtype=bool))]

    def slope(x: FloatArray) -> FloatArray:
        return deviance.value_and_slope(x, parameters, unit)[1]

    aside = DIFFERENCE * np.eye(unit.shape[1])
    H = np.array([(slope(step) - slope(-step)) / (2 * DIFFERENCE) for step in aside])
    x, decrease = np.zeros(unit.shape[1]), np.inf
    try:
        factor = scipy.linalg.cho_factor((H + H.T) / 2, lower=True)
    except np.linalg.LinAlgError:
        reason = "the deviance has no minimum: its curvature is not positive"
        covariance = np.full((p, p), np.nan)
    else:
        for _ in range(steps):
            g = slope(x)
            step = -scipy.linalg.cho_solve(factor, g)
            decrease = -float(g @ step) / 2
            x = x + step
            if decrease <= PREDICTED_DECREASE**2:
                break
        reason = f"predicted decrease of the criterion {decrease:.1e}"
        # Var = 2 H^-1, because the deviance is -2 log-likelihood
        root = unit[-p:]
        covariance = 2 * root @ scipy.linalg.cho_solve(factor, root.T)
    parameters = parameters + unit @ x
    data, mode = deviance.mode(parameters)
    value = deviance.reported(parameters, mode, deviance.of_mode(data, mode))
    return MarginalOptimum(
        family=data.family,
        mode=mode,
        beta=parameters[-p:],
        covariance=covariance,
        deviance=value,
        converged=decrease <= PREDICTED_DECREASE,
        reason=reason,
        evaluations=deviance.evaluations,
    )


def _stopped(deviance: MarginalDeviance, unit: FloatArray) -> MarginalOptimum:
    """End at the lowest place seen so far, because a callback asked for it."""
    evaluations, (_, lowest) = deviance.evaluations, deviance.lowest
    assert lowest is not None
    ended = _finish(replace(deviance, report=None), lowest, unit, steps=0)
    reason = f"stopped by the callback at evaluation {evaluations}"
    return ended._replace(converged=False, reason=reason, evaluations=evaluations, stopped=True)
