"""The likelihood of a generalized linear mixed model, by Laplace and by quadrature (chapter 11).

The model is y | u ~ p(y | eta) with eta = offset + X beta + Z Lambda u and u ~ N(0, I). With

    g(u) = log p(y | u) - ||u||^2 / 2

the likelihood is the integral of exp g(u) / (2 pi)^(q/2). It is approximated around the maximum of
g, the mode u_hat, where the negative curvature of g is L L' = Lambda'Z'WZ Lambda + I:

    d(theta, beta) = -2 g(u_hat) + log|L|^2                                   (Laplace)

Where the levels of a term have a known precision P, ||u||^2 is u'P u, I is P, and log|L|^2 is less
log|P|.

For one scalar effect a group the integral is a product of integrals over a line, and adaptive
Gauss-Hermite quadrature puts nodes around each mode; one node is Laplace.

The mode is found by penalized iteratively reweighted least squares: a linear mixed model with the
working response z = eta + s / w, where s is the score, and the weights w, again and again: Newton's
steps. W is the observed information; with the natural link it is the expected one too, and s is
y - mu.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property, partial
from types import ModuleType
from typing import NamedTuple

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray

from mixedsmooth.model.covariance import Covariance
from mixedsmooth.model.engine import (
    ExactFactorization,
    Factor,
    Factorization,
    Products,
    Shape,
    penalty,
)
from mixedsmooth.model.families import Family, Moments, Sensitivity

FloatArray = NDArray[np.float64]

ROUNDS = 200  # of reweighting, before the search for the mode gives up
RISE = 1e-16  # of g by one more step, below which u is the mode
UPHILL = 10  # of these with a curvature of the wrong sign
WIDER = 100.0  # times Lambda, for a mode that is hardly shrunk
SHORTEST = 1e-12  # part of a step
LEAST_WEIGHT = 1e-200  # so that (y - mu) / w and its product with w are finite


@dataclass(frozen=True, eq=False)
class Response:
    """The data of a generalized model, in centered and scaled columns.

    Attributes
    ----------
    y : ndarray, shape (n,)
        Counts.
    family : Family
        Their distribution.
    offset : ndarray, shape (n,), or 0
        Known part of eta.
    weights : ndarray, shape (n,), or 1
        How many rows each stands for.
    X : ndarray, shape (n, p)
        Fixed effects.
    factors : sequence of Factor
        Random-effects terms.
    engine : module
        Forms cross-products.

    Examples
    --------
    >>> from mixedsmooth.model import blocked
    >>> from mixedsmooth.model.covariance import Scalar
    >>> from mixedsmooth.model.engine import Shape
    >>> from mixedsmooth.model.families import Poisson
    >>> days = np.array([0.0, 1.0, 2.0])
    >>> slopes = Factor(np.array([0, 0, 1]), (days,), Shape(2, Scalar(1)))
    >>> y = np.array([1.0, 2.0, 5.0])
    >>> data = Response(y, Poisson(), 0.0, 1.0, np.ones((3, 1)), [slopes], blocked)
    >>> data.random_part([np.array([[0.5], [0.7]])])
    array([0. , 0.5, 1.4])
    """

    y: FloatArray
    family: Family
    offset: FloatArray | float
    weights: FloatArray | float
    X: FloatArray
    factors: Sequence[Factor]
    engine: ModuleType

    @property
    def covariances(self) -> list[Covariance]:
        """Covariances of the terms."""
        return [factor.shape.covariance for factor in self.factors]

    @property
    def shapes(self) -> list[Shape]:
        """Shapes of the terms."""
        return [factor.shape for factor in self.factors]

    @cached_property
    def constant(self) -> float:
        """What does not depend on eta in the log-density, summed over the rows."""
        return float(np.sum(self.weights * self.family.constants(self.y)))

    def moments(self, eta: FloatArray) -> Moments:
        """Density of each row, and its derivatives, as often as the row counts."""
        # far out the derivatives overflow; there the density is zero, and a step is refused
        with np.errstate(over="ignore", invalid="ignore"):
            moments = self.family.moments(self.y, eta)
        if isinstance(self.weights, float):
            return moments
        return Moments(*(self.weights * values for values in moments))

    def sensitivities(self, eta: FloatArray) -> list[Sensitivity]:
        """Differentiate by the parameter of the family, as often as the row counts."""
        with np.errstate(over="ignore", invalid="ignore"):
            found = self.family.sensitivities(self.y, eta)
        return [Sensitivity(*(self.weights * values for values in each)) for each in found]

    def products(self, X: FloatArray, y: FloatArray, w: FloatArray, slack: float) -> Products:
        """Cross-products with weights for this once."""
        A: Products = self.engine.cross_products(self.factors, X, y, w, slack=slack, reused=False)
        return A

    def random_part(self, b: Sequence[FloatArray]) -> FloatArray:
        """Z b for b of shape (m, k) for each term."""
        parts = (factor.times(effects) for factor, effects in zip(self.factors, b, strict=True))
        return np.asarray(sum(parts))


class Mode(NamedTuple):
    """The maximum of g at one theta and beta.

    Attributes
    ----------
    u : list of ndarray, each of shape (m, k)
        Where it is.
    eta : ndarray, shape (n,)
        Linear predictor there.
    moments : Moments
        The family there.
    f : engine.Factorization
        That of the cross-products with the weights w, without X: L.
    log_density : float
        g(u_hat), without its constants.
    """

    u: list[FloatArray]
    eta: FloatArray
    moments: Moments
    f: Factorization
    log_density: float


class Value(NamedTuple):
    """A deviance and its derivatives.

    Attributes
    ----------
    deviance : float
        Minus twice the log-likelihood, without its constants.
    by_T : list of ndarray, each of shape (k, k)
        Derivatives by the entries of each T.
    by_beta : ndarray, shape (p,)
        Derivatives by beta.
    by_parameters : ndarray, shape (0,) or (1,)
        Derivatives of the whole deviance by the logarithm of the family's parameter.
    """

    deviance: float
    by_T: list[FloatArray]
    by_beta: FloatArray
    by_parameters: FloatArray


class NoModeError(Exception):
    """No maximum of g was found."""


class OutOfRangeError(ValueError):
    """Means left the range of numbers."""

    def __init__(self, link: str = "") -> None:
        super().__init__(
            "on the way to the optimum the linear predictor reaches zero, where the inverse link "
            'has no mean; fit with link="log"'
            if link == "inverse"
            else "the means of y are too large or too small to represent on the way to the "
            "optimum; check the scale of offset, y and the columns"
        )


def positive_weights(moments: Moments) -> FloatArray:
    """Weights for a step: the observed information, or the expected one where that is negative.

    Parameters
    ----------
    moments : Moments
        The family at a linear predictor.

    Returns
    -------
    ndarray, shape (n,)
        Weights above zero.

    Examples
    --------
    >>> from mixedsmooth.model.families import InverseGaussian
    >>> moments = InverseGaussian().moments(np.array([0.25, 1.0]), np.zeros(2))
    >>> print(moments.weight, positive_weights(moments))
    [-0.5  1. ] [1. 1.]
    """
    w = moments.weight
    if w.min() < 0:
        w = np.where(w < 0, moments.expected, w)
    return np.maximum(w, LEAST_WEIGHT)


def working_response(eta: FloatArray, moments: Moments, w: FloatArray) -> FloatArray:
    """Response of the linear mixed model that approximates the data at eta.

    Parameters
    ----------
    eta : ndarray, shape (n,)
        The part of the linear predictor that is free.
    moments : Moments
        The family at the linear predictor.
    w : ndarray, shape (n,)
        Weights of the rows.

    Returns
    -------
    ndarray, shape (n,)
        The working response.

    Raises
    ------
    ValueError
        If means are out of range.

    Examples
    --------
    >>> from mixedsmooth.model.families import Poisson
    >>> y, eta = np.array([2.0]), np.zeros(1)
    >>> moments = Poisson().moments(y, eta)
    >>> working_response(eta, moments, moments.weight)
    array([1.])
    """
    if not (np.all(np.isfinite(moments.score)) and np.all(np.isfinite(w))):
        raise OutOfRangeError
    # z = eta + s / w, where s = y - mu for the natural link  (eq-11-irls) (eq-11-working)
    return eta + moments.score / w


def working_products(data: Response, eta: FloatArray, moments: Moments, w: FloatArray) -> Products:
    """Cross-products of the weighted linear mixed model that approximates the data at eta.

    Parameters
    ----------
    data : Response
        The data.
    eta : ndarray, shape (n,)
        The part of the linear predictor that is free.
    moments : Moments
        The family at the linear predictor.
    w : ndarray, shape (n,)
        Weights of the rows.

    Returns
    -------
    Products
        Of Z, X and the working response.

    Examples
    --------
    >>> from mixedsmooth.model import blocked
    >>> from mixedsmooth.model.covariance import Scalar
    >>> from mixedsmooth.model.engine import Shape
    >>> from mixedsmooth.model.families import Poisson
    >>> one = Factor(np.array([0, 0]), (np.ones(2),), Shape(1, Scalar(1)))
    >>> y, eta, X = np.array([0.0, 1.0]), np.zeros(2), np.ones((2, 1))
    >>> data = Response(y, Poisson(), 0.0, 1.0, X, [one], blocked)
    >>> moments = data.moments(eta)
    >>> A = working_products(data, eta, moments, moments.weight)
    >>> beta, u = A.factorize([np.eye(1)]).solve()
    >>> print(beta)  # the mean of z = (-1, 0)
    [-0.5]
    """
    z = working_response(eta, moments, w)
    # Only the coefficients are wanted, not r^2; so the last pivot, where digits cancel if z'Wz is
    # large, is moved away from zero.
    slack = 1 + float(np.abs(z) @ np.abs(w * z))
    return data.products(data.X, z, w, slack)


@dataclass(frozen=True, eq=False)
class Anchor:
    """Where the search for a mode is linearized first: a linear mixed model that is always at hand.

    Attributes
    ----------
    A : engine.Products
        Cross-products of Z with the weights at some eta, near those that will be met.
    weight, target : ndarray, shape (n,)
        w, and w z = w eta + s.
    """

    A: Products
    weight: FloatArray
    target: FloatArray


def anchor(data: Response, eta: FloatArray) -> Anchor:
    """Linearize the data at a linear predictor.

    Parameters
    ----------
    data : Response
        The data.
    eta : ndarray, shape (n,)
        The linear predictor.

    Returns
    -------
    Anchor
        Weights and working response there.

    Examples
    --------
    >>> from mixedsmooth.model import blocked
    >>> from mixedsmooth.model.covariance import Scalar
    >>> from mixedsmooth.model.engine import Shape
    >>> from mixedsmooth.model.families import Poisson
    >>> one = Factor(np.array([0, 0]), (np.ones(2),), Shape(1, Scalar(1)))
    >>> data = Response(np.array([0.0, 1.0]), Poisson(), 0.0, 1.0, np.ones((2, 1)), [one], blocked)
    >>> near = anchor(data, np.log([2.0, 4.0]))
    >>> print(near.weight, near.target - near.weight * np.log([2.0, 4.0]))  # mu, and y - mu
    [2. 4.] [-2. -3.]
    """
    moments = data.moments(eta)
    w = positive_weights(moments)
    return Anchor(_of_random(data, w), w, w * eta + moments.score)


def _of_random(data: Response, w: FloatArray) -> Products:
    """Z'WZ, without X and a response."""
    return data.products(data.X[:, :0], np.zeros(len(data.y)), w, slack=1.0)


def find_mode(data: Response, T: Sequence[FloatArray], beta: FloatArray, near: Anchor) -> Mode:
    """Maximize g by penalized iteratively reweighted least squares, with step-halving.

    Parameters
    ----------
    data : Response
        The data.
    T : sequence of ndarray, each of shape (k, k)
        Lower triangular factors.
    beta : ndarray, shape (p,)
        Fixed effects.
    near : Anchor
        Where to begin: at the mode of the linear mixed model there, and if that leads nowhere at
        u = 0.

    Returns
    -------
    Mode
        The maximum.

    Raises
    ------
    NoModeError
        If g is not finite at the start, or has no maximum within 200 steps; or a step, however
        short, leads down, which is a matter of digits.

    References
    ----------
    Bates, Maechler, Bolker and Walker (2015), section 3; lme4's `glmer`.

    Examples
    --------
    With theta = beta = 1 the mode is where u = sum(y - exp(1 + u)):

    >>> from mixedsmooth.model import blocked
    >>> from mixedsmooth.model.covariance import Scalar
    >>> from mixedsmooth.model.engine import Shape
    >>> from mixedsmooth.model.families import Poisson
    >>> one = Factor(np.array([0, 0]), (np.ones(2),), Shape(1, Scalar(1)))
    >>> data = Response(np.array([0.0, 1.0]), Poisson(), 0.0, 1.0, np.ones((2, 1)), [one], blocked)
    >>> mode = find_mode(data, [np.eye(1)], np.ones(1), anchor(data, np.zeros(2)))
    >>> print(mode.u[0].round(6), round(mode.log_density, 6))
    [[-1.]] -2.5
    """
    fixed = data.offset + data.X @ beta
    target = near.target - near.weight * fixed
    begin = _linear_mode(data, T, target, near.A)
    # Newton's steps, by  grad g = Lambda'Z's - u  and its curvature L L'  (eq-11-gradient)
    with suppress(NoModeError):
        return _climb(data, T, fixed, begin)
    with suppress(NoModeError):
        return _climb(data, T, fixed, [np.zeros_like(u_f) for u_f in begin])
    if data.family.link != "inverse":
        raise NoModeError
    # both may be outside of the domain: nearer to the anchor
    wide = [WIDER * T_f for T_f in T]
    return _climb(data, T, fixed, [WIDER * u_f for u_f in _linear_mode(data, wide, target, near.A)])


def _linear_mode(
    data: Response, T: Sequence[FloatArray], target: FloatArray, A: Products
) -> list[FloatArray]:
    """Return the mode of a linear mixed model, from its cross-products and W z."""
    return A.factorize(T).solve_spherical(spherical_sums(data, T, target))


class _Point(NamedTuple):
    """A place on the way to the mode."""

    u: list[FloatArray]
    eta: FloatArray
    moments: Moments
    g: float


def _point(data: Response, u: list[FloatArray], eta: FloatArray) -> _Point:
    moments = data.moments(eta)
    return _Point(u, eta, moments, float(moments.log_density.sum()) - penalty(u, data.shapes) / 2)


def _climb(
    data: Response, T: Sequence[FloatArray], fixed: FloatArray, u: Sequence[FloatArray]
) -> Mode:
    """Maximize g from u, where `fixed` is the rest of the linear predictor."""
    here = _point(data, list(u), fixed + data.random_part(times(u, T)))
    if not np.isfinite(here.g):
        raise NoModeError
    uphill = 0
    for _ in range(ROUNDS):
        # L L' step = Lambda'Z's - P u, which is to say that u + step solves
        # the weighted penalized least-squares problem with the response z
        pull = spherical_sums(data, T, here.moments.score)
        slope = [
            shape.within(pull_f - shape.pulled(u_f))
            for pull_f, u_f, shape in zip(pull, here.u, data.shapes, strict=True)
        ]
        f, definite = _curvature(data, here.moments, T)
        step = f.solve_spherical(slope)
        # the rise by a whole step, to second order
        rise = sum(float(np.vdot(s, t)) for s, t in zip(slope, step, strict=True)) / 2
        if rise <= RISE:
            if not definite:  # a saddle
                raise NoModeError
            return Mode(here.u, here.eta, here.moments, f, here.g)
        along = partial(_along, data, here, step, data.random_part(times(step, T)))
        length, there = 1.0, along(1.0)
        while not there.g >= here.g - 1e-14 * abs(here.g):
            length /= 2
            if length < SHORTEST:
                raise NoModeError
            there = along(length)
        # where the curvature has the wrong sign a step may be far too short
        uphill += not definite
        if uphill > UPHILL:
            raise NoModeError
        while not definite and (further := along(2 * length)).g > there.g:
            length, there = 2 * length, further
        here = there
    raise NoModeError


def _along(
    data: Response, here: _Point, step: Sequence[FloatArray], move: FloatArray, length: float
) -> _Point:
    """Return the place after a part of a step."""
    u = [u_f + length * s for u_f, s in zip(here.u, step, strict=True)]
    return _point(data, u, here.eta + length * move)


def _curvature(
    data: Response, moments: Moments, T: Sequence[FloatArray]
) -> tuple[Factorization, bool]:
    """L L' = Lambda'Z'WZ Lambda + P, if it is definite; otherwise the same of positive weights."""
    signed = moments.weight.min() < 0
    if signed:
        with suppress(np.linalg.LinAlgError):
            return _of_random(data, moments.weight).factorize(T), True
    return _of_random(data, positive_weights(moments)).factorize(T), not signed


def laplace_deviance(mode: Mode) -> float:
    """Return -2 g(u_hat) + log|L|^2, without the constants of log p(y | u).

    Examples
    --------
    >>> from mixedsmooth.model import blocked
    >>> from mixedsmooth.model.covariance import Scalar
    >>> from mixedsmooth.model.engine import Shape
    >>> from mixedsmooth.model.families import Poisson
    >>> one = Factor(np.array([0, 0]), (np.ones(2),), Shape(1, Scalar(1)))
    >>> data = Response(np.array([0.0, 1.0]), Poisson(), 0.0, 1.0, np.ones((2, 1)), [one], blocked)
    >>> mode = find_mode(data, [np.eye(1)], np.ones(1), anchor(data, np.zeros(2)))
    >>> round(laplace_deviance(mode), 4)  # 5 + log(1 + 2)
    6.0986
    """
    # d = -2 log p(y | u) + ||u||^2 + log|L|^2  (eq-11-laplace)
    return -2 * mode.log_density + mode.f.log_det_Z


def laplace(data: Response, mode: Mode) -> Value:
    """Laplace deviance and its derivatives by T and beta.

    Parameters
    ----------
    data : Response
        The data.
    mode : Mode
        The mode at T and beta.

    Returns
    -------
    Value
        -2 g(u_hat) + log|L|^2, and its gradient.

    References
    ----------
    Breslow and Clayton (1993), equation 3, for the approximation; the gradient is that of an
    implicit function, with one more solution for the movement of the mode.

    Examples
    --------
    >>> from mixedsmooth.model import blocked
    >>> from mixedsmooth.model.covariance import Scalar
    >>> from mixedsmooth.model.engine import Shape
    >>> from mixedsmooth.model.families import Poisson
    >>> one = Factor(np.array([0, 0]), (np.ones(2),), Shape(1, Scalar(1)))
    >>> data = Response(np.array([0.0, 1.0]), Poisson(), 0.0, 1.0, np.ones((2, 1)), [one], blocked)
    >>> mode = find_mode(data, [np.eye(1)], np.ones(1), anchor(data, np.zeros(2)))
    >>> value = laplace(data, mode)
    >>> print(round(value.deviance, 4), value.by_T[0].round(4), value.by_beta.round(4))
    6.0986 [[-1.1111]] [2.2222]
    """
    T, u, f = mode.f.T, mode.u, mode.f
    assert isinstance(f, ExactFactorization)
    score = mode.moments.score
    # log|L|^2 depends on eta through the weights:
    # d log|L|^2 / d eta_i = h_i dw_i / d eta_i
    h = f.row_variances(data.factors)
    through_weights = h * mode.moments.slope
    # and eta on theta and beta through the mode too:
    # L L' a = Lambda'Z' (h dw / d eta)
    a = f.solve_spherical(spherical_sums(data, T, through_weights))
    Za = data.random_part(times(a, T))
    by_eta = -2 * score + through_weights - mode.moments.weight * Za
    by_T = []
    direct = f.log_det_gradient()
    for factor, slope, u_f, a_f in zip(data.factors, direct, u, a, strict=True):
        slope = slope + factor.sums(by_eta).T @ u_f
        by_T.append(slope + factor.sums(score).T @ a_f)
    # a parameter of the family acts directly, through the weights, and through the mode
    by_parameters = [
        float(-2 * by.log_density.sum() + h @ by.weight + np.sum(Za * by.score))
        for by in data.sensitivities(mode.eta)
    ]
    return Value(laplace_deviance(mode), by_T, data.X.T @ by_eta, np.array(by_parameters))


def quadrature(data: Response, mode: Mode, nodes: int) -> Value:
    """Deviance by adaptive Gauss-Hermite quadrature, for one scalar effect a group.

    Parameters
    ----------
    data : Response
        The data, with one term of one effect.
    mode : Mode
        The mode at T and beta.
    nodes : int
        Nodes of the rule for each group.

    Returns
    -------
    Value
        -2 sum_j log integral_j, and its gradient.

    References
    ----------
    Pinheiro and Bates (1995), Journal of Computational and Graphical Statistics 4, 12-35.

    Examples
    --------
    >>> from mixedsmooth.model import blocked
    >>> from mixedsmooth.model.covariance import Scalar
    >>> from mixedsmooth.model.engine import Shape
    >>> from mixedsmooth.model.families import Poisson
    >>> groups = Factor(np.array([0, 0, 1]), (np.ones(3),), Shape(2, Scalar(1)))
    >>> y = np.array([1.0, 3.0, 0.0])
    >>> data = Response(y, Poisson(), 0.0, 1.0, np.ones((3, 1)), [groups], blocked)
    >>> mode = find_mode(data, [np.array([[0.5]])], np.zeros(1), anchor(data, np.zeros(3)))
    >>> constant = -2 * data.constant
    >>> [round(quadrature(data, mode, nodes).deviance + constant, 4) for nodes in (1, 5, 25)]
    [9.4462, 9.4571, 9.4572]
    """
    (factor,) = data.factors
    ((z,), codes), u, w = (factor.effects, factor.codes), mode.u[0][:, 0], mode.moments.weight
    theta = float(mode.f.T[0][0, 0])

    def by_group(values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(codes, values, minlength=factor.shape.levels))

    # H_j = L_jj^2 = 1 + theta^2 sum_i w_i z_i^2
    zwz = by_group(w * z * z)
    H = 1 + theta**2 * zwz
    # integral f(x) exp(-x^2 / 2) dx = sum_k omega_k f(x_k)
    x, omega = hermegauss(nodes)
    g_mode = by_group(mode.moments.log_density) - u**2 / 2
    total, by_u, by_u_x, by_theta_u = np.zeros((4, factor.shape.levels))
    score = np.zeros_like(data.y)
    by_parameters = np.zeros((len(data.family.log_parameters), factor.shape.levels))
    for x_k, omega_k in zip(x, omega, strict=True):
        # u_jk = u_hat_j + x_k / L_jj
        shift = x_k / np.sqrt(H)
        eta = mode.eta + theta * z * shift[codes]
        at_node = data.moments(eta)
        g = by_group(at_node.log_density) - (u + shift) ** 2 / 2
        share = omega_k / np.sqrt(2 * np.pi) * np.exp(x_k**2 / 2 + g - g_mode)
        # far out the share is zero, and the score may be infinite
        score_k = share[codes] * np.nan_to_num(at_node.score)
        z_score = by_group(z * score_k)
        slope = theta * z_score - share * (u + shift)
        total += share
        by_u += slope
        by_u_x += slope * x_k
        by_theta_u += z_score * (u + shift)
        score += score_k
        for i, by in enumerate(data.sensitivities(eta)):
            by_parameters[i] += by_group(share[codes] * np.nan_to_num(by.log_density))
    # -2 log integral_j = -2 (g_j(u_hat) + log sum_k share_jk) + log H_j;  and for the gradient the
    # means over the nodes, of which the place moves with u_hat and with H
    deviance = float(-2 * (g_mode + np.log(total)).sum() + np.log(H).sum())
    score /= total[codes]
    by_H = by_u_x / total / H**1.5 + 1 / H
    through_weights = (theta**2 * by_H)[codes] * z * z * mode.moments.slope
    a = (theta * by_group(z * through_weights) - 2 * by_u / total) / H
    by_eta = -2 * score + through_weights - w * z * theta * a[codes]
    moved = by_group(z * mode.moments.score) - theta * u * zwz  # H_j du_j / dtheta
    by_theta = (
        -2 * by_theta_u / total
        + u * by_group(z * through_weights)
        + 2 * theta * by_H * zwz
        + a * moved
    )
    through_H, through_u = (theta**2 * by_H)[codes] * z * z, theta * a[codes] * z
    through_mode = [
        float(through_H @ by.weight + through_u @ by.score) for by in data.sensitivities(mode.eta)
    ]
    return Value(
        deviance,
        by_T=[np.array([[by_theta.sum()]])],
        by_beta=data.X.T @ by_eta,
        by_parameters=-2 * (by_parameters / total).sum(axis=1) + through_mode,
    )


def spherical_sums(data: Response, T: Sequence[FloatArray], r: FloatArray) -> list[FloatArray]:
    """Lambda'Z'r, term by term.

    Examples
    --------
    >>> from mixedsmooth.model import blocked
    >>> from mixedsmooth.model.covariance import Scalar
    >>> from mixedsmooth.model.engine import Shape
    >>> from mixedsmooth.model.families import Poisson
    >>> groups = Factor(np.array([0, 0, 1]), (np.ones(3),), Shape(2, Scalar(1)))
    >>> data = Response(np.zeros(3), Poisson(), 0.0, 1.0, np.ones((3, 1)), [groups], blocked)
    >>> print(spherical_sums(data, [np.array([[2.0]])], np.array([1.0, 2.0, 4.0]))[0])
    [[6.]
     [8.]]
    """
    return [factor.sums(r) @ T_f for factor, T_f in zip(data.factors, T, strict=True)]


def times(u: Sequence[FloatArray], T: Sequence[FloatArray]) -> list[FloatArray]:
    """B = Lambda u, term by term.

    Examples
    --------
    >>> print(times([np.array([[1.0, 1.0]])], [np.array([[1.0, 0.0], [2.0, 3.0]])])[0])
    [[1. 5.]]
    """
    return [effects @ T_f.T for effects, T_f in zip(u, T, strict=True)]
