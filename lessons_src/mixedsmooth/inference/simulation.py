"""New data from a fitted model, and residuals that a right model makes normal (chapter 13).

Replicate i is drawn by a generator of its own, child i of the seed. So it does not depend on how
many others there are, or on who draws them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from mixedsmooth._checks import whole
from mixedsmooth.model.families import Family
from mixedsmooth.model.fit import Fit, GeneralizedFit
from mixedsmooth.model.precision import Precision

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

SMALLEST = np.finfo(float).tiny  # of a probability, so that its normal quantile is finite
LARGEST = 1 - np.finfo(float).epsneg


def seed_of(seed: int | None) -> int:
    """Return a seed that is given, or one that nobody has drawn before.

    Parameters
    ----------
    seed : int or None
        A whole number of at least 0; or None for fresh entropy of the machine.

    Returns
    -------
    int
        The seed, from which everything can be drawn again.

    Raises
    ------
    ValueError
        If it is neither.

    Examples
    --------
    >>> seed_of(7), seed_of(None) == seed_of(None)
    (7, False)
    """
    if seed is None:
        entropy = np.random.SeedSequence().entropy
        assert isinstance(entropy, int)
        return entropy
    return whole("seed", seed, 0)


def generator(seed: int, i: int) -> np.random.Generator:
    """Return the generator of replicate i: child i of the seed.

    Parameters
    ----------
    seed : int
        The seed of all.
    i : int
        Number of the replicate, from 0.

    Returns
    -------
    numpy.random.Generator
        That of ``numpy.random.SeedSequence(seed).spawn(i + 1)[i]``.

    Examples
    --------
    >>> child = np.random.SeedSequence(7).spawn(3)[2]
    >>> bool(generator(7, 2).random() == np.random.default_rng(child).random())
    True
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(i,)))


@dataclass(frozen=True, eq=False)
class Effects:
    """What draws the random effects of one term.

    Attributes
    ----------
    codes : ndarray of int, shape (n,)
        Level of each row.
    columns : tuple of ndarray, each of shape (n,)
        What the effects of its level multiply.
    root : ndarray, shape (k, k)
        A factor of the covariance of the effects of a level.
    levels : int
        How many levels there are.
    structure : Precision or None
        Precision between the levels; None if they are independent.
    """

    codes: IntArray
    columns: tuple[FloatArray, ...]
    root: FloatArray
    levels: int
    structure: Precision | None


@dataclass(frozen=True, eq=False)
class Simulator:
    """A fitted model as a source of responses.

    Attributes
    ----------
    eta : ndarray, shape (n,)
        Offset + X beta and all smooths.
    effects : tuple of Effects
        Terms whose effects are drawn anew.
    scale : ndarray, shape (n,)
        Standard deviations of the errors of a linear mixed model.
    family : Family or None
        Distribution of y in a generalized one.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> pastes = ms.load_pastes()
    >>> fit = ms.lmm(pastes.strength, ms.group(batch=pastes.batch))
    >>> source = simulator(fit)
    >>> source.draw([generator(1, 0), generator(1, 1)]).shape
    (2, 60)
    """

    eta: FloatArray
    effects: tuple[Effects, ...]
    scale: FloatArray
    family: Family | None

    @cached_property
    def _size(self) -> int:
        drawn = sum(term.levels * len(term.root) for term in self.effects)
        return drawn + (len(self.eta) if self.family is None else 0)

    def draw(self, generators: Sequence[np.random.Generator]) -> FloatArray:
        """Draw a response from each generator, shape (R, n)."""
        normal = np.stack([rng.standard_normal(self._size) for rng in generators])
        y = np.tile(self.eta, (len(normal), 1))
        at = 0
        for term in self.effects:
            end = at + term.levels * len(term.root)
            # b = sigma T u,  u ~ N(0, P^-1)
            u = normal[:, at:end]
            if term.structure is not None:
                u = term.structure.draw(u.T).T
            b = u.reshape(-1, term.levels, len(term.root)) @ term.root.T
            for a, column in enumerate(term.columns):
                y += column * b[:, term.codes, a]
            at = end
        if self.family is None:
            return y + self.scale * normal[:, at:]
        by_row = zip(generators, y, strict=True)
        return np.stack([self.family.draw(rng, eta) for rng, eta in by_row])


def simulator(fit: Fit) -> Simulator:
    """Make a source of responses from a fit.

    Parameters
    ----------
    fit : Fit
        Any fit that has a distribution.

    Returns
    -------
    Simulator
        The source.

    Raises
    ------
    ValueError
        If a generalized fit has weights, or a residual scale beside its family.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> pastes = ms.load_pastes()
    >>> source = simulator(ms.lmm(pastes.strength, ms.group(batch=pastes.batch)))
    >>> len(source.effects), source.family is None
    (1, True)
    """
    model = fit.model
    _refuse_residual_scale(fit)
    if isinstance(fit, GeneralizedFit) and model.weights is not None:
        raise ValueError(
            "the fit has weights, which say that each row stands for several rows with the same y; "
            "new data would not have that: repeat the rows instead"
        )
    eta = fit._linear_part(model.frame, [g for g in model.groups if g.is_smooth])
    if model.whole_offset is not None:
        eta = eta + model.whole_offset
    T_user, A = fit.problem.outward(fit.factorization.T), fit.factorization.A
    effects = tuple(
        Effects(
            g.codes(g.frame),
            tuple(g.columns(g.frame)),
            fit.sigma * T,
            shape.levels,
            shape.structure,
        )
        for g, T, shape in zip(model.groups, T_user, A.shapes, strict=True)
        if not g.is_smooth
    )
    # e ~ N(0, sigma^2 W^-1)
    weights = np.ones(fit.n) if model.weights is None else model.weights
    family = fit.family if isinstance(fit, GeneralizedFit) else None
    return Simulator(eta, effects, fit.sigma / np.sqrt(weights), family)


def simulate(fit: Fit, n: int, seed: int | None = None) -> FloatArray:
    """Draw new responses from a fit, as `Fit.simulate` tells.

    Parameters
    ----------
    fit : Fit
        Any fit that has a distribution.
    n : int
        How many.
    seed : int, optional
        Seed; otherwise fresh entropy.

    Returns
    -------
    ndarray, shape (n, rows)
        A response in each row.

    Raises
    ------
    ValueError
        As `simulator`, or if n or the seed is no whole number, or n is below 1.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> pastes = ms.load_pastes()
    >>> fit = ms.lmm(pastes.strength, ms.group(batch=pastes.batch))
    >>> one, two = simulate(fit, 1, seed=5), simulate(fit, 2, seed=5)
    >>> bool(np.all(one[0] == two[0]))  # the first is the same, however many there are
    True
    """
    source, n, seed = simulator(fit), whole("n", n, 1), seed_of(seed)
    return np.concatenate([source.draw([generator(seed, i)]) for i in range(n)])


def quantile_residuals(fit: Fit, seed: int | None = None) -> FloatArray:
    """Compute residuals that are standard normal if the model is right.

    Parameters
    ----------
    fit : Fit
        Any fit that has a distribution.
    seed : int, optional
        Seed for whole numbers, whose residuals are randomized; otherwise fresh entropy.

    Returns
    -------
    ndarray, shape (n,)
        Residuals given the predicted effects. One beyond 8.2 may stand for more: probabilities
        above 1 - 1e-16 cannot be told apart.

    Raises
    ------
    ValueError
        If a generalized fit has a residual scale beside its family, or the seed is no whole number.

    References
    ----------
    Dunn and Smyth (1996), Journal of Computational and Graphical Statistics 5, 236-244.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> epil = ms.load_epil()
    >>> fit = ms.glmm(epil.y, ms.linear(lbase=epil.lbase), ms.group(subject=epil.subject))
    >>> round(float(quantile_residuals(fit, seed=1).std()), 1)  # 1 if Poisson were right
    1.3
    """
    seed = seed_of(seed)
    _refuse_residual_scale(fit)
    if not isinstance(fit, GeneralizedFit):
        return fit._scaled_residuals()[1]
    family, y, eta = fit.family, fit.model.y, fit._linear_predictor
    u = family.cdf(y, eta)
    if family.discrete:
        # uniform between P(Y < y) and P(Y <= y)
        below = family.cdf(y - 1, eta)
        u = below + generator(seed, 0).random(fit.n) * (u - below)
    return np.asarray(ndtri(np.clip(u, SMALLEST, LARGEST)))


def has_distribution(fit: Fit) -> bool:
    """Whether y has a distribution: a residual scale beside a family belongs to none.

    Parameters
    ----------
    fit : Fit
        Any fit.

    Returns
    -------
    bool
        False for a fit by PQL that estimated a dispersion.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> epil = ms.load_epil()
    >>> terms = ms.linear(lbase=epil.lbase), ms.group(subject=epil.subject)
    >>> has_distribution(ms.glmm(epil.y, *terms))
    True
    >>> has_distribution(ms.glmm(epil.y, *terms, method="pql", dispersion=True))
    False
    """
    if not isinstance(fit, GeneralizedFit):
        return True
    return fit.model.sigma is not None or bool(fit.family.parameter)


def _refuse_residual_scale(fit: Fit) -> None:
    if not has_distribution(fit):
        raise ValueError(
            f"the fit has a residual scale of {fit.sigma:.3g} beside its family, and no "
            'distribution has that; use family "negative-binomial", or dispersion=False'
        )
