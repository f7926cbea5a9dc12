"""The likelihood of a generalized linear mixed model, by Laplace and by quadrature (chapter 11).

The model is y | u ~ p(y | eta) with eta = offset + X beta + Z Lambda u and u ~ N(0, I). With

    g(u) = log p(y | u) - ||u||^2 / 2

the likelihood is the integral of exp g(u) / (2 pi)^(q/2). It is approximated around the maximum of
g, the mode u_hat, where the negative curvature of g is L L' = Lambda'Z'WZ Lambda + I:

    d(theta, beta) = -2 g(u_hat) + log|L|^2                                   (Laplace)

For one scalar effect a group the integral is a product of integrals over a line, and adaptive
Gauss-Hermite quadrature puts nodes around each mode; one node is Laplace.

The mode is found by penalized iteratively reweighted least squares: the linear mixed model of
`blocked` with the working response z = eta + (y - mu) / w and the weights w, again and again,
which are Newton's steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray

from mixedsmooth.model import blocked
from mixedsmooth.model.blocked import (
    CrossProducts,
    Factor,
    Factorization,
    Products,
    level_sums,
)
from mixedsmooth.model.columns import engine_for
from mixedsmooth.model.families import Family, Moments

FloatArray = NDArray[np.float64]

ROUNDS = 200  # of reweighting, before the search for the mode gives up
RISE = 1e-16  # of g by one more step, below which u is the mode
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
    X : ndarray, shape (n, p)
        Fixed effects.
    factors : list of Factor
        Random-effects terms, the head first.
    """

    y: FloatArray
    family: Family
    offset: FloatArray | float
    X: FloatArray
    factors: list[Factor]

    def random_part(self, b: Sequence[FloatArray]) -> FloatArray:
        """Z b for b of shape (m, k) for each term."""
        value = np.zeros(len(self.y))
        for factor, effects in zip(self.factors, b, strict=True):
            for a, z in enumerate(factor.effects):
                value += z * effects[factor.codes, a]
        return value


class Mode(NamedTuple):
    """The maximum of g at one theta and beta.

    Attributes
    ----------
    u : list of ndarray, each of shape (m, k)
        Where it is, head first.
    eta : ndarray, shape (n,)
        Linear predictor there.
    moments : Moments
        The family there.
    A : Products
        Cross-products with the weights w; X is left out.
    f : Factorization
        Their factorization, with L.
    log_density : float
        g(u_hat), without the sum of log h(y).
    """

    u: list[FloatArray]
    eta: FloatArray
    moments: Moments
    A: Products
    f: Factorization
    log_density: float


class Value(NamedTuple):
    """A deviance and its derivatives.

    Attributes
    ----------
    deviance : float
        Minus twice the log-likelihood, without the sum of log h(y).
    by_T : list of ndarray, each of shape (k, k)
        Derivatives by the entries of each T, head first.
    by_beta : ndarray, shape (p,)
        Derivatives by beta.
    """

    deviance: float
    by_T: list[FloatArray]
    by_beta: FloatArray


class NoModeError(Exception):
    """No maximum of g was found."""


def working_products(data: Response, X: FloatArray, eta: FloatArray, moments: Moments) -> Products:
    """Cross-products of the weighted linear mixed model that approximates the data at eta.

    Parameters
    ----------
    data : Response
        The data.
    X : ndarray, shape (n, p)
        Fixed effects that are free; those not in X are held at their value in `eta`.
    eta : ndarray, shape (n,)
        The part of the linear predictor that is free.
    moments : Moments
        The family at the linear predictor.

    Returns
    -------
    Products
        Of Z, X and the working response z = eta + (y - mu) / w.
    """
    w = np.maximum(moments.weight, LEAST_WEIGHT)
    z = eta + (data.y - moments.mean) / w
    engine = engine_for(data.factors)
    A: Products = engine.cross_products(data.factors, X, z, w, reused=False)
    # Only the coefficients are wanted, not r^2; so the last pivot, where digits cancel if z'Wz is
    # large, is moved away from zero.
    A.fixed[-1, -1] = 2 * A.fixed[-1, -1] + 1
    return A


def find_mode(
    data: Response, T: Sequence[FloatArray], beta: FloatArray, u: Sequence[FloatArray]
) -> Mode:
    """Maximize g by penalized iteratively reweighted least squares, with step-halving.

    Parameters
    ----------
    data : Response
        The data.
    T : sequence of ndarray, each of shape (k, k)
        Lower triangular factors, head first.
    beta : ndarray, shape (p,)
        Fixed effects.
    u : sequence of ndarray, each of shape (m, k)
        Where to begin.

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
    """
    engine, none = engine_for(data.factors), data.X[:, :0]
    eta = data.offset + data.X @ beta + data.random_part(times(u, T))
    moments = data.family.moments(data.y, eta)
    g = float(moments.log_density.sum()) - _squares(u) / 2
    if not np.isfinite(g):
        raise NoModeError
    for _ in range(ROUNDS):
        # L L' step = Lambda'Z'(y - mu) - u, which is to say that u + step solves the weighted
        # penalized least-squares problem with the response z
        pull = spherical_sums(data, T, data.y - moments.mean)
        slope = [pull_f - u_f for pull_f, u_f in zip(pull, u, strict=True)]
        A = engine.cross_products(data.factors, none, None, moments.weight, reused=False)
        f = engine.factorize(A, T)
        step = engine.solve_spherical(A, f, slope)
        # the rise by a whole step, to second order
        rise = sum(float(np.vdot(s, t)) for s, t in zip(slope, step, strict=True)) / 2
        if rise <= RISE:
            return Mode(list(u), eta, moments, A, f, g)
        move = data.random_part(times(step, T))
        length = 1.0
        while True:
            trial = [u_f + length * s for u_f, s in zip(u, step, strict=True)]
            trial_eta = eta + length * move
            moments = data.family.moments(data.y, trial_eta)
            reached = float(moments.log_density.sum()) - _squares(trial) / 2
            if reached >= g - 1e-14 * abs(g):
                break
            length /= 2
            if length < SHORTEST:
                raise NoModeError
        u, eta, g = trial, trial_eta, reached
    raise NoModeError


def laplace_deviance(mode: Mode) -> float:
    """Return -2 g(u_hat) + log|L|^2, without the sum of log h(y)."""
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
    """
    T, u, A, f = mode.f.T, mode.u, mode.A, mode.f
    assert isinstance(A, CrossProducts)  # sparse has no row_variances
    residual = data.y - mode.moments.mean
    # log|L|^2 depends on eta through the weights:
    # d log|L|^2 / d eta_i = h_i dw_i / d eta_i
    h = blocked.row_variances(A, f, data.factors)
    through_weights = h * mode.moments.slope
    # and eta on theta and beta through the mode too:
    # L L' a = Lambda'Z' (h dw / d eta)
    a = blocked.solve_spherical(A, f, spherical_sums(data, T, through_weights))
    by_eta = -2 * residual + through_weights
    by_eta -= mode.moments.weight * data.random_part(times(a, T))
    by_T = []
    direct = blocked.log_det_gradient(A, f)
    for factor, slope, u_f, a_f in zip(data.factors, direct, u, a, strict=True):
        slope = slope + level_sums(factor, by_eta).T @ u_f
        by_T.append(slope + level_sums(factor, residual).T @ a_f)
    return Value(laplace_deviance(mode), by_T, data.X.T @ by_eta)


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
    """
    (factor,) = data.factors
    ((z,), codes), u, w = (factor.effects, factor.codes), mode.u[0][:, 0], mode.moments.weight
    theta = float(mode.f.T[0][0, 0])

    def by_group(values: FloatArray) -> FloatArray:
        return np.asarray(np.bincount(codes, values, minlength=factor.levels))

    # H_j = L_jj^2 = 1 + theta^2 sum_i w_i z_i^2
    zwz = by_group(w * z * z)
    H = 1 + theta**2 * zwz
    # integral f(x) exp(-x^2 / 2) dx = sum_k omega_k f(x_k)
    x, omega = hermegauss(nodes)
    g_mode = by_group(mode.moments.log_density) - u**2 / 2
    total, by_u, by_u_x, by_theta_u = np.zeros((4, factor.levels))
    residual = np.zeros_like(data.y)
    for x_k, omega_k in zip(x, omega, strict=True):
        # u_jk = u_hat_j + x_k / L_jj
        shift = x_k / np.sqrt(H)
        at_node = data.family.moments(data.y, mode.eta + theta * z * shift[codes])
        g = by_group(at_node.log_density) - (u + shift) ** 2 / 2
        share = omega_k / np.sqrt(2 * np.pi) * np.exp(x_k**2 / 2 + g - g_mode)
        residual_k = share[codes] * (data.y - at_node.mean)
        z_residual = by_group(z * residual_k)
        slope = theta * z_residual - share * (u + shift)
        total += share
        by_u += slope
        by_u_x += slope * x_k
        by_theta_u += z_residual * (u + shift)
        residual += residual_k
    # -2 log integral_j = -2 (g_j(u_hat) + log sum_k share_jk) + log H_j;  and for the gradient the
    # means over the nodes, of which the place moves with u_hat and with H
    deviance = float(-2 * (g_mode + np.log(total)).sum() + np.log(H).sum())
    residual /= total[codes]
    by_H = by_u_x / total / H**1.5 + 1 / H
    through_weights = (theta**2 * by_H)[codes] * z * z * mode.moments.slope
    a = (theta * by_group(z * through_weights) - 2 * by_u / total) / H
    by_eta = -2 * residual + through_weights - w * z * theta * a[codes]
    moved = by_group(z * (data.y - mode.moments.mean)) - theta * u * zwz  # H_j du_j / dtheta
    by_theta = (
        -2 * by_theta_u / total
        + u * by_group(z * through_weights)
        + 2 * theta * by_H * zwz
        + a * moved
    )
    return Value(deviance, [np.array([[by_theta.sum()]])], data.X.T @ by_eta)


def spherical_sums(data: Response, T: Sequence[FloatArray], r: FloatArray) -> list[FloatArray]:
    """Lambda'Z'r, term by term."""
    return [level_sums(factor, r) @ T_f for factor, T_f in zip(data.factors, T, strict=True)]


def times(u: Sequence[FloatArray], T: Sequence[FloatArray]) -> list[FloatArray]:
    """B = Lambda u, term by term."""
    return [effects @ T_f.T for effects, T_f in zip(u, T, strict=True)]


def _squares(u: Sequence[FloatArray]) -> float:
    return sum(float(np.vdot(effects, effects)) for effects in u)
