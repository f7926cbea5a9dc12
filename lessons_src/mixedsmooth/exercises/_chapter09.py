"""Answers to the exercises of chapter 9."""

from functools import cache
from typing import Literal

import numpy as np
import scipy.linalg
import scipy.optimize

from mixedsmooth import lmm, smooth
from mixedsmooth.datasets import load_volvo
from mixedsmooth.derivations.eigensplit import MixedFit, eigen_split, fit_mixed
from mixedsmooth.derivations.penalized_ls import profiled_deviance
from mixedsmooth.derivations.reml import restricted_deviance
from mixedsmooth.derivations.spline import fit_penalized, spline_penalty
from mixedsmooth.exercises._common import engines, gcv_fit, least_squares
from mixedsmooth.exercises._diagnosis import FloatArray
from mixedsmooth.exercises._registry import Solution, exercise


@cache
def _volvo(method: Literal["REML", "ML"]) -> MixedFit:
    _, y, X, S = engines()
    return fit_mixed(y, X, S, method)


@exercise("9.1", "Two knots by hand")
def _two_knots() -> Solution:
    """Two eigenvalues, the larger one first."""
    d = np.linalg.eigvalsh(spline_penalty([0.25, 0.75])[2:, 2:])[::-1]
    diagonals = np.array([11.5, 8.5]) / 7680
    mistakes = {
        "these are the diagonals, the eigenvalues are sums and differences": diagonals,
        "these are the squares of the columns of T": np.array([192, 1280]),
    }
    return Solution(d, mistakes)


@exercise("9.2", "A fixed point", points=2)
def _fixed_point() -> Solution:
    """One smoothing parameter."""
    mistakes = {
        "this is the lambda of ML: divide by n less the degrees of freedom": _volvo("ML").lam,
        "this is the lambda of GCV": gcv_fit().lam,
    }
    return Solution(_volvo("REML").lam, mistakes)


@exercise("9.3", "The cut", points=3, digits=5)
def _cut() -> Solution:
    """Two numbers: criterion, EDF."""
    _, y, X, S = engines()
    parts = eigen_split(X, S)
    MZ = parts.Z - parts.X_F @ least_squares(parts.Z, parts.X_F)

    def criterion(log_lam: float) -> float:
        return profiled_deviance(np.exp(-log_lam / 2), y, parts.X_F, MZ)

    found = scipy.optimize.minimize_scalar(criterion, bounds=(-9, -4), options={"xatol": 1e-9})
    ml, reml = _volvo("ML"), _volvo("REML")
    mistakes = {
        "this is the fit with Z, not with Z + X_F K": [ml.criterion, ml.edf],
        "this is the REML fit": [reml.criterion, reml.edf],
    }
    return Solution([found.fun, fit_penalized(y, X, S, np.exp(found.x)).edf], mistakes)


@exercise("9.4", "Another penalty", points=2)
def _another_penalty() -> Solution:
    """One EDF."""
    volvo = load_volvo()
    term = smooth(size=volvo.size, basis="ps", k=9)
    fit = lmm(volvo.wear, term)
    edf, edf_ml = (sum(f.edf.values()) for f in (fit, fit.refit("ML")))
    mistakes = {
        "this is the fit of the chapter, with the other penalty": _volvo("REML").edf,
        "this is the ML fit": edf_ml,
        "the intercept counts too": edf - 1,
    }
    return Solution(edf, mistakes)


@exercise("9.5", "Coverage", points=3, simulated=True)
def _coverage() -> Solution:
    """Two shares between 0 and 1: with the Bayesian, with the sampling standard errors."""
    _, _, X, S = engines()
    truth, parts, runs = _volvo("REML"), eigen_split(X, S), 1000
    noise = truth.sigma * np.random.default_rng(95).normal(size=(19, runs))
    Y = truth.fitted[:, None] + noise
    # REML for all samples at once, on a grid:  r^2 = y'(I - H) y
    lams = np.append(np.geomspace(1e-6, 1e3, 91), np.inf)
    line = parts.X_F @ np.linalg.pinv(parts.X_F)
    hats = np.array([_hat(parts.X_F, parts.Z, lam) for lam in lams[:-1]] + [line])
    m = scipy.linalg.svdvals(parts.Z - line @ parts.Z) ** 2
    r2 = np.array([np.sum(Y * (Y - H @ Y), axis=0) for H in hats])
    log_det = np.log1p(m / lams[:, None]).sum(axis=1)
    best = np.argmin(log_det[:, None] + 17 * np.log(r2), axis=0)
    sigma = np.sqrt(np.take_along_axis(r2, best[None], axis=0)[0] / 17)

    def share(hats: FloatArray, sigma: FloatArray | float, bayesian: bool) -> float:
        """Of engines and samples, with a hat matrix for each sample or one for all."""
        fits = np.einsum("...ij,j...->i...", hats, Y) if hats.ndim == 3 else hats @ Y
        square = hats if bayesian else hats @ hats
        variance = np.diagonal(square, axis1=-2, axis2=-1)
        sd = sigma * np.sqrt(variance.T if hats.ndim == 3 else variance[:, None])
        return float(np.mean(np.abs(fits - truth.fitted[:, None]) < 1.96 * sd))

    known = _hat(parts.X_F, parts.Z, truth.lam)
    right, wrong = (
        [share(H, sd, bayesian) for bayesian in (True, False)]
        for H, sd in ((hats[best], sigma), (known, truth.sigma))
    )
    mistakes = {"sigma and lambda are to be estimated from each sample": wrong}
    return Solution(right, mistakes, spread=0.09)


def _hat(X_F: FloatArray, Z: FloatArray, lam: float) -> FloatArray:
    """H of y_hat = H y for a smooth."""
    W = np.hstack([X_F, Z])
    penalty = np.diag(np.repeat([0.0, lam], [X_F.shape[1], Z.shape[1]]))
    hat: FloatArray = W @ np.linalg.solve(W.T @ W + penalty, W.T)
    return hat


@exercise("9.6", "A line, or a curve?", points=3)
def _line_or_curve() -> Solution:
    """One difference of REML criteria."""
    _, y, X, S = engines()
    parts = eigen_split(X, S)
    at_zero = restricted_deviance(0.0, y, parts.X_F, parts.Z)
    ml_at_zero = profiled_deviance(0.0, y, parts.X_F, parts.Z)
    mistakes = {"this is the difference of the ML criteria": ml_at_zero - _volvo("ML").criterion}
    return Solution(at_zero - _volvo("REML").criterion, mistakes)
