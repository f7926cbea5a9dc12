"""Distributions of y given its mean, with their links: what a model needs of them (chapter 11).

With the linear predictor eta of a row, and l = log p(y | eta),

    score = dl/deta = (y - mu) mu' / V,    weight = -d^2 l/deta^2,    expected = mu'^2 / V

where mu is the mean, mu' = dmu/deta, and V = Var(y | eta). `weight` is the observed information and
`expected` its mean. With the natural link they are the same, and the score is y - mu. A family is
one class: how it checks the response, where that ends, its density and derivatives, how it is
drawn. What it has besides a mean, a size or a shape, is estimated on the scale of its logarithm.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import (
    betainc,
    betaincc,
    digamma,
    erfcx,
    expit,
    gammainc,
    gammaincc,
    gammaln,
    log_ndtr,
    ndtr,
    ndtri,
)

from mixedsmooth._checks import choice, for_each_row, frozen

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

ROWS = 16_384  # at a time, so that what is computed on the way stays in the cache
STIRLING = 100.0  # from here on, series have all digits, where differences of log-gamma lose them
LOG_2PI = float(np.log(2 * np.pi))


class Moments(NamedTuple):
    """What the density of each row is at its eta.

    Attributes
    ----------
    log_density : ndarray, shape (n,)
        log p(y | eta) without what does not depend on eta; minus infinity outside the domain.
    score, weight, slope : ndarray, shape (n,)
        Its first derivative, minus its second, and minus its third.
    expected : ndarray, shape (n,)
        Mean of the weight.
    """

    log_density: FloatArray
    score: FloatArray
    weight: FloatArray
    slope: FloatArray
    expected: FloatArray


class Sensitivity(NamedTuple):
    """Derivatives of the density of each row by the logarithm of a parameter of the family.

    Attributes
    ----------
    log_density, score, weight : ndarray, shape (n,)
        Those of the whole log p(y | eta), of the score, and of the weight.
    """

    log_density: FloatArray
    score: FloatArray
    weight: FloatArray


@dataclass(frozen=True, eq=False)
class Family(ABC):
    """A distribution with a link.

    Attributes
    ----------
    name, link : str
        What they are called.
    parameter : str
        The attribute that is estimated besides the mean; none for most.
    variance : str
        How the variance depends on the mean and that parameter.
    discrete : bool
        Whether y is a whole number.
    binary : bool
        Whether y is zero or one in each row, so that its variance follows from its mean.
    scale : ndarray, shape (n,), or 1
        The mean of y is `scale` times the mean that is predicted: the trials of a binomial.

    Examples
    --------
    >>> family = Gamma(shape=2.0)
    >>> print(family.log_parameters.round(4), round(family.at(np.log([3.0])).shape, 12))
    [0.6931] 3.0
    >>> Poisson().log_parameters, Poisson().sensitivities(np.ones(1), np.zeros(1))
    (array([], dtype=float64), [])
    """

    name: ClassVar[str]
    parameter: ClassVar[str] = ""
    variance: ClassVar[str] = ""
    discrete: ClassVar[bool] = True

    @property
    @abstractmethod
    def link(self) -> str:
        """What the link is called."""

    @property
    def binary(self) -> bool:
        """Whether y is zero or one in each row."""
        return False

    @property
    def scale(self) -> FloatArray | float:
        """What the mean of one trial is multiplied by."""
        return 1.0

    @property
    def log_parameters(self) -> FloatArray:
        """Logarithm of the parameter, shape (1,), or nothing, shape (0,)."""
        return np.log([getattr(self, self.parameter)]) if self.parameter else np.empty(0)

    def at(self, log_parameters: FloatArray) -> Self:
        """Return the family with another parameter."""
        if not self.parameter:
            return self
        return replace(self, **{self.parameter: float(np.exp(log_parameters[0]))})

    @abstractmethod
    def check(self, y: FloatArray) -> None:
        """Raise a ValueError unless the family has such values."""

    @abstractmethod
    def ends(self, y: FloatArray) -> tuple[BoolArray, BoolArray]:
        """Rows where y is at its lower end, and at its upper end."""

    @abstractmethod
    def moments(self, y: FloatArray, eta: FloatArray) -> Moments:
        """Log-density without constants, and its derivatives."""

    def sensitivities(self, y: FloatArray, eta: FloatArray) -> list[Sensitivity]:
        """Differentiate by the logarithm of the parameter, if there is one."""
        return []

    @abstractmethod
    def mean(self, eta: FloatArray) -> FloatArray:
        """Mean of y over the scale."""

    @abstractmethod
    def constants(self, y: FloatArray) -> FloatArray:
        """Return what does not depend on eta in log p(y | eta), shape (n,)."""

    @abstractmethod
    def start(self, y: FloatArray) -> FloatArray:
        """Return an eta near y, to begin with."""

    @abstractmethod
    def draw(self, rng: np.random.Generator, eta: FloatArray) -> FloatArray:
        """Draw a y for each row, shape (n,)."""

    @abstractmethod
    def cdf(self, y: FloatArray, eta: FloatArray) -> FloatArray:
        """P(Y <= y), for any real y; the shapes of y and eta broadcast."""

    def unit(self, y: FloatArray) -> float:
        """Size of eta where it has a unit: for an inverse link."""
        return 1.0


# ---- counts ----


@dataclass(frozen=True, eq=False)
class Poisson(Family):
    """Counts with a logarithmic link: log p = y eta - exp(eta) - log y!.

    Examples
    --------
    >>> poisson, y, eta = Poisson(), np.array([0.0, 2.0]), np.log([1.0, 2.0])
    >>> poisson.check(y)
    >>> print(poisson.mean(eta), poisson.moments(y, eta).weight)
    [1. 2.] [1. 2.]
    >>> log_likelihood = np.sum(poisson.moments(y, eta).log_density + poisson.constants(y))
    >>> print(round(log_likelihood, 4))  # of e^-1 and 2^2 e^-2 / 2!
    -2.3069
    """

    name: ClassVar[str] = "poisson"

    @property
    def link(self) -> str:
        """The logarithm."""
        return "log"

    def check(self, y: FloatArray) -> None:
        """Raise a ValueError unless y has counts, and one above zero."""
        _whole("y", y, "; a rate is a count with an offset, log exposure")
        if y.max() == 0:
            raise ValueError("y is zero in every row, so its mean has no finite logarithm")

    def ends(self, y: FloatArray) -> tuple[BoolArray, BoolArray]:
        """Rows where y is zero; there is no upper end."""
        return y == 0, np.zeros(len(y), dtype=bool)

    def moments(self, y: FloatArray, eta: FloatArray) -> Moments:
        """Log-density without constants, and its derivatives."""
        mu = self.mean(eta)
        return Moments(y * eta - mu, y - mu, mu, mu, mu)

    def mean(self, eta: FloatArray) -> FloatArray:
        """Mean of y; infinite where eta is too large, which ends a step that went too far."""
        with np.errstate(over="ignore"):
            return np.exp(eta)

    def constants(self, y: FloatArray) -> FloatArray:
        """-log y!."""
        return np.asarray(-gammaln(y + 1))

    def start(self, y: FloatArray) -> FloatArray:
        """Return an eta near y, to begin with."""
        return np.log(y + 0.5)

    def draw(self, rng: np.random.Generator, eta: FloatArray) -> FloatArray:
        """Draw counts."""
        return rng.poisson(self.mean(eta)).astype(np.float64)

    def cdf(self, y: FloatArray, eta: FloatArray) -> FloatArray:
        """P(Y <= y) = P(a gamma variable of shape y + 1 is above mu)."""
        counts = np.floor(y)
        return np.where(counts < 0, 0.0, gammaincc(np.maximum(counts, 0) + 1, self.mean(eta)))


@dataclass(frozen=True, eq=False)
class NegativeBinomial(Poisson):
    """Counts with Var(y) = mu + mu^2 / size and a logarithmic link: Poisson of a gamma mean (NB2).

    Attributes
    ----------
    size : float
        r, above zero; with an infinite one it is Poisson.

    References
    ----------
    Lawless (1987), Canadian Journal of Statistics 15, 209-225; R's dnbinom.

    Examples
    --------
    >>> counts, y, eta = NegativeBinomial(1.0), np.array([0.0, 2.0]), np.log([1.0, 1.0])
    >>> log_density = counts.moments(y, eta).log_density + counts.constants(y)
    >>> print(np.exp(log_density).round(4))  # size 1 is geometric: (1/2)^(y + 1)
    [0.5   0.125]
    >>> NegativeBinomial(np.inf).moments(y, eta).weight  # as Poisson
    array([1., 1.])
    """

    name: ClassVar[str] = "negative-binomial"
    parameter: ClassVar[str] = "size"
    variance: ClassVar[str] = "mu + mu^2 / size"

    size: float = 1.0

    def moments(self, y: FloatArray, eta: FloatArray) -> Moments:
        """Log-density without constants, and its derivatives."""
        if np.isinf(self.size):
            return super().moments(y, eta)
        r = self.size
        share, rest, log_sum = self._shares(eta)
        # Var y = mu + mu^2 / r, and mu'^2 over it is r mu / (r + mu)  (eq-11-nb-variance)
        expected = r * rest
        # s = r / (r + mu) (y - mu),  w = (y + r) r mu / (r + mu)^2  (eq-11-nb-score)
        score = share * y - r * rest
        weight = (y + r) * share * rest
        slope = weight * (share - rest)
        # log p = y eta - (y + r) log(1 + mu / r) + ...  (eq-11-nb)
        log_density = y * eta - (y + r) * log_sum
        return Moments(log_density, score, weight, slope, expected)

    def sensitivities(self, y: FloatArray, eta: FloatArray) -> list[Sensitivity]:
        """Differentiate by log r."""
        r = self.size
        share, rest, log_sum = self._shares(eta)
        by_log_density = _by_count(self._by_log_size, y) - r * log_sum + (y + r) * rest
        by_weight = (r + (y + r) * (rest - share)) * share * rest
        by_score = (share * y - r * rest) * rest
        return [Sensitivity(by_log_density, by_score, by_weight)]

    def _shares(self, eta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return r / (r + mu), mu / (r + mu) and log(1 + mu / r), also where mu overflows."""
        with np.errstate(over="ignore", divide="ignore"):
            odds = np.exp(eta) / self.size
            return 1 / (1 + odds), 1 / (1 + 1 / odds), np.log1p(odds)

    def constants(self, y: FloatArray) -> FloatArray:
        """Return log Gamma(y + r) - log Gamma(r) - y log r - log y!."""
        # the factors of p(y) without mu  (eq-11-nb)
        if np.isinf(self.size):
            return super().constants(y)
        return _by_count(self._constants, y)

    def draw(self, rng: np.random.Generator, eta: FloatArray) -> FloatArray:
        """Draw counts: Poisson of a gamma mean."""
        if np.isinf(self.size):
            return super().draw(rng, eta)
        r = self.size
        return rng.poisson(self.mean(eta) * rng.gamma(r, 1 / r, np.shape(eta))).astype(np.float64)

    def cdf(self, y: FloatArray, eta: FloatArray) -> FloatArray:
        """P(Y <= y) = P(a beta variable of r and y + 1 is below r / (r + mu))."""
        if np.isinf(self.size):
            return super().cdf(y, eta)
        counts, (share, *_) = np.floor(y), self._shares(eta)
        below = betainc(self.size, np.maximum(counts, 0) + 1, share)
        return np.where(counts < 0, 0.0, below)

    def _constants(self, y: FloatArray) -> FloatArray:
        r = self.size
        if r < STIRLING:
            rising = gammaln(y + r) - gammaln(r) - y * np.log(r)
        else:
            rising = (y + r - 0.5) * np.log1p(y / r) - y + _remainder(y + r) - _remainder(r)
        return np.asarray(rising - gammaln(y + 1))

    def _by_log_size(self, y: FloatArray) -> FloatArray:
        """Return r times the derivative of the constants by r."""
        r = self.size
        if r < STIRLING:
            return np.asarray(r * (digamma(y + r) - digamma(r)) - y)
        slopes = _remainder_slope(y + r) - _remainder_slope(r)
        return np.asarray(r * (np.log1p(y / r) - 0.5 / (y + r) + slopes) + 0.5 - y)


def _by_count(function: Callable[[FloatArray], FloatArray], y: FloatArray) -> FloatArray:
    """Apply a function to counts, once to each count where they are small."""
    if y.max() >= len(y):
        return function(y)
    values: FloatArray = function(np.arange(y.max() + 1))
    return values[y.astype(np.intp)]


# ---- successes ----


class Tail(NamedTuple):
    """Logarithm of a probability as a function of eta, and three derivatives."""

    log: FloatArray
    first: FloatArray
    second: FloatArray
    third: FloatArray


def _probit_tail(eta: FloatArray) -> Tail:
    """Return log Phi(eta)."""
    log = np.asarray(log_ndtr(eta))
    # the inverse Mills ratio phi / Phi, and its derivatives
    ratio = np.exp(-eta * eta / 2 - LOG_2PI / 2 - log)
    first = -ratio * (eta + ratio)
    return Tail(log, ratio, first, -first * (eta + ratio) - ratio * (1 + first))


def _probit(eta: FloatArray) -> tuple[Tail, Tail]:
    success, failure = _probit_tail(eta), _probit_tail(-eta)
    return success, Tail(failure.log, -failure.first, failure.second, -failure.third)


def _cloglog(eta: FloatArray) -> tuple[Tail, Tail]:
    """Return log(1 - exp(-exp(eta))), and -exp(eta)."""
    # where t overflows, a failure has no density, and a step that goes there is refused
    with np.errstate(over="ignore"):
        t = np.exp(eta)
    near = np.clip(t, 1e-300, 700.0)  # beyond, a success is certain
    log = np.where(t < 1e-10, eta - t / 2, np.log(-np.expm1(-near)))
    # q = t / (exp(t) - 1),  q' = q (1 - t - q), where digits cancel if t is small
    q = near / np.expm1(near)
    series = -near / 2 - near**2 / 12 + near**4 / 720
    rest = np.where(near < 1e-2, series, 1 - near - q)
    second = q * rest
    third = second * (rest - q) - q * near
    return Tail(log, q, second, third), Tail(-t, -t, -t, -t)


TAILS: dict[str, Callable[[FloatArray], tuple[Tail, Tail]]] = {
    "probit": _probit,
    "cloglog": _cloglog,
}
MEANS: dict[str, Callable[[FloatArray], Any]] = {
    "logit": expit,
    "probit": ndtr,
    "cloglog": lambda eta: -np.expm1(-np.exp(np.minimum(eta, 700.0))),
}
STARTS: dict[str, Callable[[FloatArray], Any]] = {
    "logit": lambda p: np.log(p / (1 - p)),
    "probit": ndtri,
    "cloglog": lambda p: np.log(-np.log1p(-p)),
}


@dataclass(frozen=True, eq=False)
class Binomial(Family):
    """Successes among m trials: log p = y log(prob) + (m - y) log(1 - prob) + log(m choose y).

    Attributes
    ----------
    trials : ndarray, shape (n,)
        m, for each row; all 1 for Bernoulli responses.
    link : {"logit", "probit", "cloglog"}
        How the probability follows from eta: exp(eta) / (1 + exp(eta)), Phi(eta), or
        1 - exp(-exp(eta)).

    Examples
    --------
    >>> binomial, y, eta = Binomial(np.array([3.0, 3.0])), np.array([1.0, 2.0]), np.zeros(2)
    >>> print(binomial.scale * binomial.mean(eta), binomial.moments(y, eta).weight)
    [1.5 1.5] [0.75 0.75]
    >>> log_likelihood = np.sum(binomial.moments(y, eta).log_density + binomial.constants(y))
    >>> print(round(np.exp(log_likelihood), 4))  # 3/8 times 3/8
    0.1406
    >>> print(Binomial(np.ones(1), "probit").moments(np.ones(1), np.zeros(1)).score.round(4))
    [0.7979]
    """

    name: ClassVar[str] = "binomial"

    trials: FloatArray = field(repr=False)
    link: str = "logit"

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
        _whole("y", y, "; a proportion is a count of successes with trials=")
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
        """Log-density without constants, and its derivatives."""
        one_block = self._logit if self.link == "logit" else self._by_tails
        log_density, score, weight, slope, expected = whole = np.empty((5, len(eta)))
        for first in range(0, len(eta), ROWS):
            rows = slice(first, first + ROWS)
            one_block(y[rows], self.trials[rows], eta[rows], whole[:, rows])
        if self.link == "logit":  # the natural link
            expected = weight
        return Moments(log_density, score, weight, slope, expected)

    def _logit(self, y: FloatArray, m: FloatArray, eta: FloatArray, out: FloatArray) -> None:
        log_density, score, weight, slope, _ = out
        e = np.exp(-np.abs(eta))
        larger = 1 / (1 + e)  # of p and 1 - p; each has all its digits
        smaller = e * larger
        p = np.where(eta > 0, larger, smaller)
        score[:] = y - m * p
        weight[:] = m * smaller * larger
        slope[:] = weight * (1 - 2 * p)
        # log(1 + exp(eta)) = max(eta, 0) - log(larger)
        log_density[:] = y * eta - m * (np.maximum(eta, 0.0) - np.log(larger))

    def _by_tails(self, y: FloatArray, m: FloatArray, eta: FloatArray, out: FloatArray) -> None:
        success, failure = TAILS[self.link](eta)
        with np.errstate(over="ignore", invalid="ignore"):
            # where there is none, its logarithm may be infinite
            for values, success_d, failure_d in zip(out[:4], success, failure, strict=True):
                values[:] = np.where(y > 0, y * success_d, 0.0)
                values += np.where(y < m, (m - y) * failure_d, 0.0)
            # weight and slope are minus the second and third derivatives
            np.negative(out[2:4], out=out[2:4])
            # mu'^2 / V = m (p'/p) (p' / (1 - p))
            out[4] = -m * success.first * failure.first

    def mean(self, eta: FloatArray) -> FloatArray:
        """Probability of a success."""
        return np.asarray(MEANS[self.link](eta))

    def constants(self, y: FloatArray) -> FloatArray:
        """Return log(m choose y)."""
        m = self.trials
        return np.asarray(gammaln(m + 1) - gammaln(y + 1) - gammaln(m - y + 1))

    def start(self, y: FloatArray) -> FloatArray:
        """Return an eta near y, to begin with."""
        return np.asarray(STARTS[self.link]((y + 0.5) / (self.trials + 1)))

    def draw(self, rng: np.random.Generator, eta: FloatArray) -> FloatArray:
        """Draw successes."""
        return rng.binomial(self.trials.astype(np.intp), self.mean(eta)).astype(np.float64)

    def cdf(self, y: FloatArray, eta: FloatArray) -> FloatArray:
        """P(Y <= y) = P(a beta variable of y + 1 and m - y is above the probability)."""
        m = self.trials
        successes = np.clip(np.floor(y), 0, m)
        failures = m - successes
        below = betaincc(successes + 1, np.maximum(failures, 1), self.mean(eta))
        return np.where(y < 0, 0.0, np.where(failures == 0, 1.0, below))


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

    name: ClassVar[str] = "bernoulli"

    def check(self, y: FloatArray) -> None:
        """Raise a ValueError unless y has zeros and ones, and both."""
        over = np.flatnonzero(y > 1)
        if len(over):
            raise ValueError(
                f'y is {y[over[0]]:g} in row {over[0]}, and "bernoulli" has zeros and ones; for '
                'more trials a row use "binomial"'
            )
        super().check(y)


# ---- positive measurements ----


@dataclass(frozen=True, eq=False)
class _Positive(Family):
    """Measurements above zero, with a shape, and the link "log" or "inverse".

    Attributes
    ----------
    shape : float
        What the variance is divided by, above zero.
    link : {"log", "inverse"}
        mu = exp(eta), or mu = 1 / eta for eta above zero.
    """

    parameter: ClassVar[str] = "shape"
    discrete: ClassVar[bool] = False

    shape: float = 1.0
    link: str = "log"

    def check(self, y: FloatArray) -> None:
        """Raise a ValueError unless y is above zero."""
        if y.min() <= 0:
            row = int(y.argmin())
            raise ValueError(
                f'y is {y[row]:g} in row {row}, and "{self.name}" has values above zero; leave '
                "such rows out, or model zeros apart"
            )

    def ends(self, y: FloatArray) -> tuple[BoolArray, BoolArray]:
        """No row: y is inside its range."""
        return np.zeros((2, len(y)), dtype=bool)[0], np.zeros(len(y), dtype=bool)

    def mean(self, eta: FloatArray) -> FloatArray:
        """Mean of y.

        Raises
        ------
        ValueError
            If an inverse link meets an eta that is not above zero.
        """
        if self.link == "log":
            with np.errstate(over="ignore"):
                return np.exp(eta)
        if eta.min() <= 0:
            raise ValueError(
                f"the linear predictor is {eta.min():.4g} in row {int(eta.argmin())}, and its "
                'inverse is no mean above zero; stay near the data, or fit with link="log"'
            )
        return 1 / eta

    def start(self, y: FloatArray) -> FloatArray:
        """Return an eta near y, to begin with; by an inverse link that of the mean of all y.

        The logarithm of a value near zero says little of its mean; and the inverse link begins
        inside its domain.
        """
        if self.link == "inverse":
            return np.full(len(y), 1 / y.mean())
        return np.asarray(np.log(np.maximum(y, y.mean() / 1000)))

    def unit(self, y: FloatArray) -> float:
        """Size of eta where it has a unit: for an inverse link."""
        return 1.0 if self.link == "log" else float(1 / y.mean())

    def _inside(self, eta: FloatArray) -> tuple[FloatArray, BoolArray]:
        """Return 1 / mu, and the rows where it is above zero; 1 takes its place elsewhere."""
        with np.errstate(over="ignore"):
            t = np.exp(-eta) if self.link == "log" else eta
        inside = t > 0
        return np.where(inside, t, 1.0), inside


@dataclass(frozen=True, eq=False)
class Gamma(_Positive):
    """Measurements above zero with Var(y) = mu^2 / shape.

    References
    ----------
    McCullagh and Nelder (1989), chapter 8.

    Examples
    --------
    >>> gamma, y, eta = Gamma(1.0), np.array([2.0]), np.log([2.0])
    >>> print(gamma.moments(y, eta).log_density + gamma.constants(y))  # exponential: -1 - log 2
    [-1.69314718]
    >>> Gamma(1.0, "inverse").mean(np.array([0.5]))
    array([2.])
    """

    name: ClassVar[str] = "gamma"
    variance: ClassVar[str] = "mu^2 / shape"

    def moments(self, y: FloatArray, eta: FloatArray) -> Moments:
        """Log-density without constants, and its derivatives."""
        nu = self.shape
        t, inside = self._inside(eta)
        # log p = -nu (q - 1 - log q) + ...,  q = y / mu
        q = y * t
        log_q = np.log(y) - (eta if self.link == "log" else -np.log(t))
        log_density = np.where(inside, -nu * _excess(q, log_q), -np.inf)
        if self.link == "log":
            return Moments(log_density, nu * (q - 1), nu * q, -nu * q, np.full(len(y), nu))
        weight = nu / t**2
        return Moments(log_density, nu * (1 / t - y), weight, -2 * weight / t, weight)

    def sensitivities(self, y: FloatArray, eta: FloatArray) -> list[Sensitivity]:
        """Differentiate by the logarithm of the shape."""
        nu, moments = self.shape, self.moments(y, eta)
        by_constant = nu * (np.log(nu) - digamma(nu)) if nu < STIRLING else _gamma_slope(nu)
        by_log_density = moments.log_density + by_constant
        return [Sensitivity(by_log_density, moments.score, moments.weight)]

    def constants(self, y: FloatArray) -> FloatArray:
        """Return nu log nu - nu - log Gamma(nu) - log y."""
        nu = self.shape
        if nu < STIRLING:
            of_shape = nu * np.log(nu) - nu - gammaln(nu)
        else:
            of_shape = (np.log(nu) - LOG_2PI) / 2 - _remainder(nu)
        return np.asarray(of_shape - np.log(y))

    def draw(self, rng: np.random.Generator, eta: FloatArray) -> FloatArray:
        """Draw measurements."""
        return self.mean(eta) * rng.gamma(self.shape, 1 / self.shape, np.shape(eta))

    def cdf(self, y: FloatArray, eta: FloatArray) -> FloatArray:
        """P(Y <= y)."""
        return np.asarray(gammainc(self.shape, self.shape * np.maximum(y, 0) / self.mean(eta)))


@dataclass(frozen=True, eq=False)
class InverseGaussian(_Positive):
    """Measurements above zero with Var(y) = mu^3 / shape.

    References
    ----------
    Tweedie (1957), Annals of Mathematical Statistics 28, 362-377; Chhikara and Folks (1974),
    Journal of the American Statistical Association 69, 250-254, for the distribution function.

    Examples
    --------
    >>> family, y, eta = InverseGaussian(1.0), np.array([1.0, 2.0]), np.zeros(2)
    >>> print(np.exp(family.moments(y, eta).log_density + family.constants(y)).round(4))
    [0.3989 0.1098]
    """

    name: ClassVar[str] = "inverse-gaussian"
    variance: ClassVar[str] = "mu^3 / shape"

    def moments(self, y: FloatArray, eta: FloatArray) -> Moments:
        """Log-density without constants, and its derivatives."""
        shape = self.shape
        t, inside = self._inside(eta)
        # log p = -shape (y t - 1)^2 / (2 y) + ...,  t = 1 / mu
        left = y * t - 1
        log_density = np.where(inside, -shape * left**2 / (2 * y), -np.inf)
        if self.link == "inverse":
            weight = shape * y
            return Moments(log_density, -shape * left, weight, np.zeros(len(y)), shape / t)
        by_log = shape * t  # as dt/deta = -t
        weight = by_log * (2 * y * t - 1)
        return Moments(log_density, by_log * left, weight, by_log * (1 - 4 * y * t), by_log)

    def sensitivities(self, y: FloatArray, eta: FloatArray) -> list[Sensitivity]:
        """Differentiate by the logarithm of the shape."""
        moments = self.moments(y, eta)
        return [Sensitivity(moments.log_density + 0.5, moments.score, moments.weight)]

    def constants(self, y: FloatArray) -> FloatArray:
        """Return log(shape / (2 pi y^3)) / 2."""
        return np.asarray((np.log(self.shape) - LOG_2PI - 3 * np.log(y)) / 2)

    def draw(self, rng: np.random.Generator, eta: FloatArray) -> FloatArray:
        """Draw measurements."""
        return rng.wald(self.mean(eta), self.shape)

    def cdf(self, y: FloatArray, eta: FloatArray) -> FloatArray:
        """P(Y <= y), by the two tails that Chhikara and Folks (1974) found."""
        inside = np.where(y > 0, y, 1.0)
        # from 1e100 on P is 1, and squares would not be finite
        ratio = inside / np.maximum(self.mean(eta), inside / 1e100)
        root = np.sqrt(self.shape / inside)
        # Phi(a) + exp(2 shape / mu) Phi(-b),  a = r (y / mu - 1),  b = r (y / mu + 1),
        # r = sqrt(shape / y), where 2 shape / mu = (b^2 - a^2) / 2
        a, b = root * (ratio - 1), root * (ratio + 1)
        mirrored = np.exp(-(a**2) / 2) * erfcx(b / np.sqrt(2)) / 2
        return np.where(y > 0, ndtr(a) + mirrored, 0.0)


# ---- differences that lose their digits, by series ----


def _excess(q: FloatArray, log_q: FloatArray) -> FloatArray:
    """Return q - 1 - log q, for q above zero; it may underflow."""
    d = q - 1
    excess = np.asarray(d - log_q)
    near = np.abs(d) < 1e-2
    # d^2 / 2 - d^3 / 3 + d^4 / 4 - ...
    series = np.polynomial.Polynomial([0, 0, *((-1) ** j / j for j in range(2, 10))])
    excess[near] = series(d[near])
    return excess


def _remainder(z: Any) -> Any:
    """Return log Gamma(z) less (z - 1/2) log z - z + log(2 pi) / 2, for z of 100 and more."""
    return (1 / 12 - (1 / 360 - 1 / (1260 * z**2)) / z**2) / z


def _remainder_slope(z: Any) -> Any:
    """Differentiate `_remainder`."""
    return -(1 / 12 - (1 / 120 - 1 / (252 * z**2)) / z**2) / z**2


def _gamma_slope(nu: float) -> float:
    """Return nu (log nu - digamma(nu))."""
    return float(0.5 - nu * _remainder_slope(nu))


# ---- by name ----


def _binomial(trials: ArrayLike, link: str, n: int) -> Binomial:
    m = frozen(for_each_row("trials", trials, n))
    _whole("trials", m)
    if m.min() == 0:
        raise ValueError(f"trials is zero in row {int(m.argmin())}; leave such rows out")
    return Binomial(m, link)


PROBABILITY = "logit", "probit", "cloglog"
LINKS: dict[str, tuple[str, ...]] = {  # the first is taken where none is named
    "poisson": ("log",),
    "negative-binomial": ("log",),
    "binomial": PROBABILITY,
    "bernoulli": PROBABILITY,
    "gamma": ("log", "inverse"),
    "inverse-gaussian": ("log", "inverse"),
}
FAMILIES: dict[str, Callable[[Any, str, int], Family]] = {
    "poisson": lambda trials, link, n: Poisson(),
    "negative-binomial": lambda trials, link, n: NegativeBinomial(),
    "binomial": _binomial,
    "bernoulli": lambda trials, link, n: Bernoulli(np.ones(n), link),
    "gamma": lambda trials, link, n: Gamma(link=link),
    "inverse-gaussian": lambda trials, link, n: InverseGaussian(link=link),
}


def family_of(
    name: str, y: FloatArray, trials: ArrayLike | None, link: str | None = None
) -> Family:
    """Return the family of a name, once y fits it.

    Parameters
    ----------
    name : str
        Key of `FAMILIES`.
    y : ndarray, shape (n,)
        Response.
    trials : array_like, shape (n,), or int, optional
        Trials of each row, for "binomial" and nothing else.
    link : str, optional
        One of `LINKS`; otherwise the first.

    Returns
    -------
    Family
        The family.

    Raises
    ------
    ValueError
        If the name or the link is unknown, or y or trials do not fit.

    Examples
    --------
    >>> family_of("binomial", np.array([1.0, 2.0]), 3).scale
    array([3., 3.])
    >>> family_of("gamma", np.array([1.0, 2.0]), None, "inverse").link
    'inverse'
    """
    if name == "gaussian":
        raise ValueError('family "gaussian" is that of lmm() and lmm_formula()')
    links = LINKS[choice("family", name, tuple(FAMILIES))]
    if trials is None and name == "binomial":
        raise ValueError(
            'trials must be given with family "binomial"; zeros and ones are "bernoulli", and in a '
            "formula cbind(successes, failures) tells the trials"
        )
    if trials is not None and name != "binomial":
        raise ValueError(
            f'trials cannot be given with family "{name}"; a number of trials belongs to "binomial"'
        )
    family = FAMILIES[name](trials, choice("link", link or links[0], links), len(y))
    family.check(y)
    return family


def _whole(name: str, counts: FloatArray, hint: str = "") -> None:
    wrong = np.flatnonzero((counts < 0) | (counts != np.round(counts)))
    if len(wrong):
        raise ValueError(
            f"{name} must have counts 0, 1, 2, ..., found {counts[wrong[0]]:g} in row {wrong[0]}"
            + hint
        )
