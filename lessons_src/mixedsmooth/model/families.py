"""Distributions of counts, with their natural link: what a model needs of them (chapter 11).

    log p(y | eta) = y eta - A(eta) + log h(y),   mu = A'(eta),   w = A''(eta) = Var(y | eta)

With the natural link the observed and the expected information are the same, w. A family is one
class: how it checks the response, where that ends, its density and derivatives.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, gammaln

from mixedsmooth._checks import choice, for_each_row, frozen

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

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
    binary : bool
        Whether y is zero or one in each row, so that its variance follows from its mean.
    scale : ndarray, shape (n,), or 1
        The mean of y is `scale` times the mean that is predicted: the trials of a binomial.
    """

    name: ClassVar[str]
    link: ClassVar[str]

    @property
    def binary(self) -> bool:
        """Whether y is zero or one in each row."""

    @property
    def scale(self) -> FloatArray | float:
        """What the mean of one trial is multiplied by."""

    def check(self, y: FloatArray) -> None:
        """Raise a ValueError unless the family has such values."""

    def ends(self, y: FloatArray) -> tuple[BoolArray, BoolArray]:
        """Rows where y is at its lower end, and at its upper end."""

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
    """Counts with a logarithmic link: A = exp(eta), h = 1 / y!.

    Examples
    --------
    >>> poisson, y, eta = Poisson(), np.array([0.0, 2.0]), np.log([1.0, 2.0])
    >>> poisson.check(y)
    >>> print(poisson.mean(eta), poisson.moments(y, eta).weight)
    [1. 2.] [1. 2.]
    >>> log_likelihood = poisson.moments(y, eta).log_density.sum() + poisson.constant(y)
    >>> print(round(log_likelihood, 4))  # of e^-1 and 2^2 e^-2 / 2!
    -2.3069
    """

    name: ClassVar[str] = "poisson"
    link: ClassVar[str] = "log"
    binary: ClassVar[bool] = False
    scale: ClassVar[float] = 1.0

    def check(self, y: FloatArray) -> None:
        """Raise a ValueError unless y has counts, and one above zero."""
        _whole("y", y)
        if y.max() == 0:
            raise ValueError("y is zero in every row, so its mean has no finite logarithm")

    def ends(self, y: FloatArray) -> tuple[BoolArray, BoolArray]:
        """Rows where y is zero; there is no upper end."""
        return y == 0, np.zeros(len(y), dtype=bool)

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

    Examples
    --------
    >>> binomial, y, eta = Binomial(np.array([3.0, 3.0])), np.array([1.0, 2.0]), np.zeros(2)
    >>> print(binomial.scale * binomial.mean(eta), binomial.moments(y, eta).weight)
    [1.5 1.5] [0.75 0.75]
    >>> log_likelihood = binomial.moments(y, eta).log_density.sum() + binomial.constant(y)
    >>> print(round(np.exp(log_likelihood), 4))  # 3/8 times 3/8
    0.1406
    """

    name: ClassVar[str] = "binomial"
    link: ClassVar[str] = "logit"

    trials: FloatArray

    @property
    def binary(self) -> bool:
        """Whether each row has one trial."""
        return bool(np.all(self.trials == 1))

    @property
    def scale(self) -> FloatArray:
        """The trials."""
        return self.trials

    def check(self, y: FloatArray) -> None:
        """Raise a ValueError unless y has successes, no more than trials, and failures too."""
        m = self.trials
        _whole("y", y)
        over = np.flatnonzero(y > m)
        if len(over):
            raise ValueError(
                f"y is {y[over[0]]:g} in row {over[0]}, which has {m[over[0]]:g} trials; check "
                "that y has successes"
            )
        if y.max() == 0 or np.all(y == m):
            value = "no success" if y.max() == 0 else "no failure"
            raise ValueError(f"y has {value} in any row, so its odds are not finite")

    def ends(self, y: FloatArray) -> tuple[BoolArray, BoolArray]:
        """Rows without a success, and without a failure."""
        return y == 0, y == self.trials

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
        return np.asarray(expit(eta))

    def constant(self, y: FloatArray) -> float:
        """Sum of log h(y)."""
        m = self.trials
        return float((gammaln(m + 1) - gammaln(y + 1) - gammaln(m - y + 1)).sum())

    def start(self, y: FloatArray) -> FloatArray:
        """Return an eta near y, to begin with."""
        return np.log((y + 0.5) / (self.trials - y + 0.5))


@dataclass(frozen=True, eq=False)
class Bernoulli(Binomial):
    """Zeros and ones: one trial in each row.

    Examples
    --------
    >>> bernoulli = Bernoulli(np.ones(2))
    >>> bernoulli.binary
    True
    >>> bernoulli.check(np.array([0.0, 2.0]))
    Traceback (most recent call last):
    ValueError: y is 2 in row 1, and "bernoulli" has zeros and ones; ...
    """

    def check(self, y: FloatArray) -> None:
        """Raise a ValueError unless y has zeros and ones, and both."""
        over = np.flatnonzero(y > 1)
        if len(over):
            raise ValueError(
                f'y is {y[over[0]]:g} in row {over[0]}, and "bernoulli" has zeros and ones; for '
                'more trials a row use "binomial"'
            )
        super().check(y)


def _binomial(n: int, trials: ArrayLike) -> Binomial:
    m = frozen(for_each_row("trials", trials, n))
    _whole("trials", m)
    if m.min() == 0:
        raise ValueError(f"trials is zero in row {int(m.argmin())}; leave such rows out")
    return Binomial(m)


FAMILIES: dict[str, Callable[[int, Any], Family]] = {
    "poisson": lambda n, trials: Poisson(),
    "binomial": _binomial,
    "bernoulli": lambda n, trials: Bernoulli(np.ones(n)),
}


def family_of(name: str, y: FloatArray, trials: ArrayLike | None) -> Family:
    """Return the family of a name, once y fits it.

    Parameters
    ----------
    name : str
        Key of `FAMILIES`.
    y : ndarray, shape (n,)
        Response.
    trials : array_like, shape (n,), or int, optional
        Trials of each row, for "binomial" and nothing else.

    Returns
    -------
    Family
        The family.

    Raises
    ------
    ValueError
        If the name is unknown, or y or trials do not fit.

    Examples
    --------
    >>> family_of("binomial", np.array([1.0, 2.0]), 3).scale
    array([3., 3.])
    """
    choice("family", name, tuple(FAMILIES))
    if (trials is not None) != (name == "binomial"):
        raise ValueError(
            f'trials {"must" if trials is None else "cannot"} be given with family "{name}"'
            + ("" if trials is None else '; a number of trials belongs to "binomial"')
        )
    family = FAMILIES[name](len(y), trials)
    family.check(y)
    return family


def _whole(name: str, counts: FloatArray) -> None:
    wrong = np.flatnonzero((counts < 0) | (counts != np.round(counts)))
    if len(wrong):
        raise ValueError(
            f"{name} must have counts 0, 1, 2, ..., found {counts[wrong[0]]:g} in row {wrong[0]}"
            + ("; a rate is a count with an offset, log exposure" if name == "y" else "")
        )
