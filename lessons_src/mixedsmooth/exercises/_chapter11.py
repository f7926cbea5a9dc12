"""Answers to the exercises of chapter 11."""

from functools import cache
from typing import Any

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import ArrayLike
from scipy.special import expit

from mixedsmooth import GeneralizedFit, glmm, group, linear, load_epil
from mixedsmooth.derivations.laplace import adaptive_gauss_hermite_deviance
from mixedsmooth.exercises._registry import Solution, exercise

_epil = cache(load_epil)


def _fit(y: ArrayLike, *terms: Any, **options: Any) -> GeneralizedFit:
    """Fit baseline and treatment, with an intercept for each patient and further terms."""
    epil = _epil()
    fixed = linear(lbase=epil.lbase, trt=epil.trt)
    return glmm(y, fixed, group(subject=epil.subject), *terms, **options)


@exercise("11.1", "An offset in place of a covariate")
def _offset() -> Solution:
    """Two numbers: the coefficient of the treatment, the standard deviation of the patients."""
    epil = _epil()
    trt, patient = linear(trt=epil.trt), group(subject=epil.subject)

    def estimates(fit: GeneralizedFit) -> list[float]:
        return [float(fit.beta[-1]), float(fit.random["subject"].sd[0])]

    coefficient, sd = estimates(glmm(epil.y, trt, patient, offset=np.log(epil.base / 4)))
    mistakes = {
        "the offset is missing": estimates(glmm(epil.y, trt, patient)),
        "the baseline is to be an offset, not a covariate": estimates(_fit(epil.y)),
        "the second number is to be a standard deviation, not a variance": [coefficient, sd**2],
    }
    return Solution([coefficient, sd], mistakes)


@exercise("11.2", "The next term", points=2)
def _next_term() -> Solution:
    """Two numbers: the term, and the difference of the logarithms (true minus Laplace)."""
    theta, M = 0.5, 8.0
    v = theta**2 * M
    term = theta**2 * v * (2 * v - 3) / (24 * (1 + v) ** 3)
    x, w = hermegauss(60)
    step = theta * x / np.sqrt(1 + v)
    g = -(x**2) / (2 * (1 + v)) - M * (np.expm1(step) - step)
    difference = float(np.log(np.sum(w * np.exp(g + x**2 / 2)) / np.sqrt(2 * np.pi)))
    turned = [term, -difference]
    mistakes = {
        "the second number is to be a difference of logarithms, true minus Laplace": turned,
        "this is on the scale of the deviance": [-2 * term, -2 * difference],
    }
    return Solution([term, difference], mistakes)


@exercise("11.3", "How many nodes?")
def _nodes() -> Solution:
    """Two whole numbers of nodes: at the Laplace estimates, and with theta = 2."""
    epil = _epil()
    fit = _fit(epil.y)
    X = np.column_stack([np.ones(len(epil)), epil.lbase, epil.trt == "progabide"])

    def needed(tolerance: float) -> list[int]:
        found = []
        for theta in (fit.theta[0], 2.0):
            arguments = theta, fit.beta, epil.y, X, epil.subject
            d = [adaptive_gauss_hermite_deviance(*arguments, nodes) for nodes in range(1, 61)]
            found.append(1 + int(np.argmax(np.abs(np.subtract(d, d[-1])) < tolerance)))
        return found

    half = "its half, the log-likelihood, is not enough"
    mistakes = {f"the deviance is to be within 1e-6, {half}": needed(2e-6)}
    return Solution(needed(1e-6), mistakes)


@exercise("11.4", "A patient and the population", points=2)
def _population() -> Solution:
    """Four numbers: two means of counts, two probabilities; of a patient with b = 0 first."""
    epil = _epil()
    counts = _fit(epil.y, method="agq")
    fewer = (epil.y < epil.base / 4).astype(float)
    odds = _fit(fewer, family="bernoulli", method="agq")
    tau, tau_p = (float(fit.random["subject"].sd[0]) for fit in (counts, odds))
    x, w = hermegauss(40)

    def answer(tau2: float, eta: float) -> list[float]:
        mean = float(np.exp(counts.beta[0]))
        p = expit(eta + tau_p * np.append(0, x))
        return [mean, mean * float(np.exp(tau2 / 2)), float(p[0]), float(w @ p[1:] / w.sum())]

    eta = float(odds.beta[0] + odds.beta[2])
    mistakes = {
        "the patients of the second part are on progabide": answer(tau**2, float(odds.beta[0])),
        "tau is a standard deviation, and is to be squared in the exponent": answer(tau, eta),
    }
    return Solution(answer(tau**2, eta), mistakes)


@exercise("11.5", "Rows that vary", points=2)
def _rows() -> Solution:
    """One ratio of variance to mean, at a mean of 8."""
    epil = _epil()
    fit = _fit(epil.y, group(row=np.arange(len(epil))))
    tau = float(fit.random["row"].sd[0])
    mistakes = {
        "the Poisson variance of the counts is missing": 8 * np.expm1(tau**2),
        "this is the variance of the logarithm, not of the mean": 1 + 8 * tau**2,
        "this is the variance, not its ratio to the mean": 8 + 64 * np.expm1(tau**2),
    }
    return Solution(1 + 8 * np.expm1(tau**2), mistakes)


@exercise("11.7", "A variance of one half")
def _factor() -> Solution:
    """Three numbers: a variance, a probability of zero in percent, a ratio of two of these."""
    mu, size = 8.0, 2.0

    def answer(variance: float, zero: float) -> list[float]:
        return [variance, 100 * zero, zero * float(np.exp(mu))]

    variance, zero = mu + mu**2 / size, float((1 + mu / size) ** -size)
    inverted = mu + mu**2 * size, float((1 + mu * size) ** (-1 / size))
    mistakes = {
        "the size is one over the variance of G": answer(*inverted),
        "the Poisson part of the variance is missing": answer(mu**2 / size, zero),
        "the first number is to be the variance, not its ratio to the mean": answer(
            variance / mu, zero
        ),
        "the probability of a zero is to be in percent": [
            variance,
            zero,
            zero * float(np.exp(mu)),
        ],
        "divide by Poisson's probability of a zero, not the other way around": [
            variance,
            100 * zero,
            float(np.exp(-mu)) / zero,
        ],
        "the variance of G is multiplied by the square of the mean": answer(mu + mu / size, zero),
    }
    return Solution(answer(variance, zero), mistakes)


@exercise("11.8", "Does it get better with time?", points=2)
def _time() -> Solution:
    """Two ratios, of the slope of the period to its standard error: Poisson, negative binomial."""
    epil = _epil()
    fixed = linear(lbase=epil.lbase, trt=epil.trt, period=epil.period)
    patient = group(subject=epil.subject)
    poisson = glmm(epil.y, fixed, patient)
    negbin = glmm(epil.y, fixed, patient, family="negative-binomial")
    rows = glmm(epil.y, fixed, patient, group(row=np.arange(len(epil))))
    alone = [glmm(epil.y, fixed), glmm(epil.y, fixed, family="negative-binomial")]

    def ratios(*fits: GeneralizedFit, entry: int = 3) -> list[float]:
        return [float(fit.beta[entry] / fit.se[entry]) for fit in fits]

    mistakes = {
        "these are the ratios of the treatment": ratios(poisson, negbin, entry=2),
        "these are the slopes; divide by their standard errors": [
            float(fit.beta[3]) for fit in (poisson, negbin)
        ],
        "these are the standard errors; divide the slopes by them": [
            float(fit.se[3]) for fit in (poisson, negbin)
        ],
        "the patients are missing": ratios(*alone),
        "the second is to be negative binomial, not a normal effect for each row": ratios(
            poisson, rows
        ),
    }
    return Solution(ratios(poisson, negbin), mistakes)
