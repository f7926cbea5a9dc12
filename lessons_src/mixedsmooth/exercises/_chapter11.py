"""Answers to the exercises of chapter 11."""

from functools import cache

import numpy as np
from numpy.polynomial.hermite_e import hermegauss

from mixedsmooth.datasets import Epil, load_epil
from mixedsmooth.derivations.laplace import adaptive_gauss_hermite_deviance
from mixedsmooth.exercises._diagnosis import FloatArray
from mixedsmooth.exercises._registry import Solution, exercise
from mixedsmooth.model.generalized import GeneralizedFit
from mixedsmooth.model.glmm import glmm
from mixedsmooth.model.terms import Group, Linear, group, linear


@cache
def _epil() -> Epil:
    return load_epil()


def _terms() -> tuple[Linear, Group]:
    epil = _epil()
    return linear(lbase=epil.lbase, trt=epil.trt), group(subject=epil.subject)


@cache
def _laplace() -> GeneralizedFit:
    return glmm(_epil().y, *_terms())


@exercise(
    "11.1",
    "An offset in place of a covariate",
    "two numbers: the coefficient of the treatment, the standard deviation of the patients",
)
def _offset() -> Solution:
    epil = _epil()

    def fit(offset: FloatArray | None, *columns: Linear) -> list[float]:
        found = glmm(epil.y, *columns, group(subject=epil.subject), offset=offset)
        return [float(found.beta[-1]), float(found.random["subject"].sd[0])]

    treatment = linear(trt=epil.trt)
    coefficient, sd = fit(np.log(epil.base / 4), treatment)
    return Solution(
        np.array([coefficient, sd]),
        {
            "the offset is missing": fit(None, treatment),
            "the baseline is to be an offset, not a covariate": fit(
                None, linear(lbase=epil.lbase, trt=epil.trt)
            ),
            "the second number is to be a standard deviation, not a variance": [
                coefficient,
                sd**2,
            ],
        },
    )


@exercise(
    "11.2",
    "The next term",
    "two numbers: the term, and the difference of the logarithms (true minus Laplace)",
    points=2,
)
def _next_term() -> Solution:
    theta, M = 0.5, 8.0
    v = theta**2 * M
    term = theta**2 * v * (2 * v - 3) / (24 * (1 + v) ** 3)
    x, w = hermegauss(60)
    step = theta * x / np.sqrt(1 + v)
    g = -(x**2) / (2 * (1 + v)) - M * (np.expm1(step) - step)
    difference = float(np.log(np.sum(w * np.exp(g + x**2 / 2)) / np.sqrt(2 * np.pi)))
    return Solution(
        np.array([term, difference]),
        {
            "the second number is to be a difference of logarithms, true minus Laplace": [
                term,
                -difference,
            ],
            "this is on the scale of the deviance": [-2 * term, -2 * difference],
        },
    )


@exercise(
    "11.3",
    "How many nodes?",
    "two whole numbers of nodes: at the Laplace estimates, and with theta = 2",
)
def _nodes() -> Solution:
    epil, fit = _epil(), _laplace()
    X = np.column_stack([np.ones(len(epil)), epil.lbase, epil.trt == "progabide"])

    def needed(theta: float, tolerance: float = 1e-6) -> int:
        arguments = theta, fit.beta, epil.y, X, epil.subject
        best = adaptive_gauss_hermite_deviance(*arguments, 60)
        return next(
            nodes
            for nodes in range(1, 61)
            if abs(adaptive_gauss_hermite_deviance(*arguments, nodes) - best) < tolerance
        )

    theta = float(fit.theta[0])
    return Solution(
        np.array([needed(theta), needed(2.0)]),
        {
            "the deviance is to be within 1e-6, its half, the log-likelihood, is not enough": [
                needed(theta, 2e-6),
                needed(2.0, 2e-6),
            ]
        },
    )


@exercise(
    "11.4",
    "A patient and the population",
    "four numbers: two means of counts, two probabilities; of a patient with b = 0 first",
    points=2,
)
def _population() -> Solution:
    epil = _epil()
    counts = glmm(epil.y, *_terms(), method="agq")
    fewer = (epil.y < epil.base / 4).astype(float)
    odds = glmm(fewer, *_terms(), family="bernoulli", method="agq")
    tau, tau_p = (float(fit.random["subject"].sd[0]) for fit in (counts, odds))
    eta = float(odds.beta[0] + odds.beta[2])
    x, w = hermegauss(40)
    w = w / w.sum()

    def answer(tau: float, tau_p: float, eta: float) -> list[float]:
        return [
            float(np.exp(counts.beta[0])),
            float(np.exp(counts.beta[0] + tau**2 / 2)),
            float(1 / (1 + np.exp(-eta))),
            float(np.sum(w / (1 + np.exp(-eta - tau_p * x)))),
        ]

    return Solution(
        np.array(answer(tau, tau_p, eta)),
        {
            "the patients of the second part are on progabide": answer(
                tau, tau_p, float(odds.beta[0])
            ),
            "tau is a standard deviation, and is to be squared in the exponent": answer(
                float(np.sqrt(tau)), tau_p, eta
            ),
        },
    )


@exercise("11.5", "Rows that vary", "one ratio of variance to mean, at a mean of 8", points=2)
def _rows() -> Solution:
    epil = _epil()
    fit = glmm(epil.y, *_terms(), group(row=np.arange(len(epil))))
    tau = float(fit.random["row"].sd[0])
    return Solution(
        1 + 8 * np.expm1(tau**2),
        {
            "the Poisson variance of the counts is missing": 8 * np.expm1(tau**2),
            "this is the variance of the logarithm, not of the mean": 1 + 8 * tau**2,
            "this is the variance, not its ratio to the mean": 8 + 64 * np.expm1(tau**2),
        },
    )
