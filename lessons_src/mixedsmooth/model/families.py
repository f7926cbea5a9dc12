"""Distributions of counts, with their natural link: what a generalized model needs of them.

    log p(y | eta) = y eta - A(eta) + log h(y),   mu = A'(eta),   w = A''(eta) = Var(y | eta)

With the natural link the observed and the expected information are the same, w.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, gammaln

FloatArray = NDArray[np.float64]

ROWS = 16_384  # at a time, so that what is computed on the way stays in the cache


class Moments(NamedTuple):
    """What the density of each row is at its eta.

    Attributes
    ----------
    log_density : ndarray, shape (n,)
        y eta - A(eta), without log h(y).
    mean, weight, slope : ndarray, shape (n,)
        The first three derivatives of A: mu, w and dw/deta.
    """

    log_density: FloatArray
    mean: FloatArray
    weight: FloatArray
    slope: FloatArray


class Family(Protocol):
    """A distribution with its natural link.

    Attributes
    ----------
    name, link : str
        What they are called.
    scale : ndarray, shape (n,), or 1
        The mean of y is `scale` times the mean that is predicted: the trials of a binomial.
    """

    name: ClassVar[str]
    link: ClassVar[str]

    @property
    def scale(self) -> FloatArray | float:
        """What the mean of one trial is multiplied by."""

    def moments(self, y: FloatArray, eta: FloatArray) -> Moments:
        """Log-density without constants, and the derivatives of A."""

    def mean(self, eta: FloatArray) -> FloatArray:
        """Mean of y over the scale."""

    def constant(self, y: FloatArray) -> float:
        """Sum of log h(y)."""

    def start(self, y: FloatArray) -> FloatArray:
        """Return an eta near y, to begin with."""


@dataclass(frozen=True, eq=False)
class Poisson:
    """Counts with a logarithmic link: A = exp(eta), h = 1 / y!."""

    name: ClassVar[str] = "poisson"
    link: ClassVar[str] = "log"

    @property
    def scale(self) -> float:
        """One: a Poisson count has no trials."""
        return 1.0

    def moments(self, y: FloatArray, eta: FloatArray) -> Moments:
        """Log-density without constants, and the derivatives of A."""
        mu = self.mean(eta)
        return Moments(y * eta - mu, mu, mu, mu)

    def mean(self, eta: FloatArray) -> FloatArray:
        """Mean of y; infinite where eta is too large, which ends a step that went too far."""
        with np.errstate(over="ignore"):
            return np.exp(eta)

    def constant(self, y: FloatArray) -> float:
        """Sum of log h(y)."""
        return -float(gammaln(y + 1).sum())

    def start(self, y: FloatArray) -> FloatArray:
        """Return an eta near y, to begin with."""
        return np.log(y + 0.5)


@dataclass(frozen=True, eq=False)
class Binomial:
    """Successes among m trials, with a logit link: A = m log(1 + exp(eta)), h = m choose y.

    Attributes
    ----------
    trials : ndarray, shape (n,)
        m, for each row; all 1 for Bernoulli responses.
    """

    name: ClassVar[str] = "binomial"
    link: ClassVar[str] = "logit"

    trials: FloatArray

    @property
    def scale(self) -> FloatArray:
        """The trials."""
        return self.trials

    def moments(self, y: FloatArray, eta: FloatArray) -> Moments:
        """Log-density without constants, and the derivatives of A."""
        moments = Moments(*np.empty((4, len(eta))))
        for first in range(0, len(eta), ROWS):
            rows = slice(first, first + ROWS)
            log_density, mean, weight, slope = (values[rows] for values in moments)
            eta_, m = eta[rows], self.trials[rows]
            e = np.exp(-np.abs(eta_))
            larger = 1 / (1 + e)  # of p and 1 - p; each has all its digits
            smaller = e * larger
            p = np.where(eta_ > 0, larger, smaller)
            mean[:] = m * p
            weight[:] = m * smaller * larger
            slope[:] = weight * (1 - 2 * p)
            # log(1 + exp(eta)) = max(eta, 0) - log(larger)
            log_density[:] = y[rows] * eta_ - m * (np.maximum(eta_, 0.0) - np.log(larger))
        return moments

    def mean(self, eta: FloatArray) -> FloatArray:
        """Probability of a success."""
        probability: FloatArray = expit(eta)
        return probability

    def constant(self, y: FloatArray) -> float:
        """Sum of log h(y)."""
        m = self.trials
        return float((gammaln(m + 1) - gammaln(y + 1) - gammaln(m - y + 1)).sum())

    def start(self, y: FloatArray) -> FloatArray:
        """Return an eta near y, to begin with."""
        return np.log((y + 0.5) / (self.trials - y + 0.5))
