"""Answers to the exercises of chapter 8."""

import numpy as np
import scipy.interpolate
import scipy.linalg
from numpy.typing import ArrayLike

from mixedsmooth.datasets import load_volvo
from mixedsmooth.derivations import spline
from mixedsmooth.exercises._common import engines, gcv_fit
from mixedsmooth.exercises._diagnosis import FloatArray
from mixedsmooth.exercises._registry import Solution, exercise


@exercise("8.1", "One knot by hand")
def _one_knot() -> Solution:
    """One number."""
    right = spline.spline_penalty([0.5])[2, 2]
    mistakes = {
        "the second term is subtracted, and it is negative itself": 1 / 288 - right,
        "the second term is missing": 1 / 576,
    }
    return Solution(right, mistakes)


@exercise("8.2", "Any root will do")
def _any_root() -> Solution:
    """An array of shape (19,)."""
    _, y, X, S = engines()
    turned = spline.fit_penalized(y, X, S, 1e-4, root=_turned_cholesky)
    printed = spline.fit_penalized(y, X, S, 1e-4, root=spline.root_as_printed)
    mistakes = {
        "this is not a root of S: L L' is S, so L' is": turned.fitted,
        "this is the root as source 1 prints it": printed.fitted,
        "this is the fit without a penalty": spline.fit_penalized(y, X, S, 0.0).fitted,
    }
    return Solution(spline.fit_penalized(y, X, S, 1e-4).fitted, mistakes)


def _turned_cholesky(S: ArrayLike) -> FloatArray:
    """L in place of L': a slip."""
    L = np.linalg.cholesky(np.asarray(S)[2:, 2:])
    return np.hstack([np.zeros((len(L), 2)), L])


@exercise("8.3", "How the line is reached", points=2)
def _to_the_line() -> Solution:
    """One sum."""
    _, _, X, S = engines()
    # S v = d X'X v
    d = scipy.linalg.eigh(S, X.T @ X, eigvals_only=True)[2:]
    mistakes = {
        "this is the sum of the d, not of the 1/d": np.sum(d),
        "these are eigenvalues of S alone": np.sum(1 / np.linalg.eigvalsh(S)[2:]),
    }
    return Solution(np.sum(1 / d), mistakes)


@exercise("8.4", "Engines of the same size", points=2, quantity="standard deviation")
def _same_size() -> Solution:
    """Two estimates of sigma: within the sizes, from the curve by GCV."""
    x, y, X, S = engines()
    _, which, m = np.unique(x, return_inverse=True, return_counts=True)
    pure = float(np.sum((y - (np.bincount(which, y) / m)[which]) ** 2))
    given, best = spline.fit_penalized(y, X, S, 1e-4), gcv_fit()

    def sigmas(degrees: int, fit: spline.PenalizedFit) -> FloatArray:
        return np.sqrt([pure / degrees, fit.rss / (19 - fit.edf)])

    none_off = [pure / 10, best.rss / 19]
    mistakes = {
        "nine means have been estimated": sigmas(19, best),
        "the curve is to be the one that GCV chooses": sigmas(10, given),
        "the degrees of freedom of the curve are to be taken off": np.sqrt(none_off),
    }
    return Solution(sigmas(10, best), mistakes)


@exercise("8.5", "Lambda in liters")
def _in_liters() -> Solution:
    """One smoothing parameter, in cubic liters."""
    lam, r = gcv_fit().lam, np.ptp(load_volvo().size)
    dx = "the length of dx counts too"
    mistakes = {
        "the factor is to be turned around": lam / r**3,
        f"the second derivative alone gives the fourth power; {dx}": r**4 * lam,
        "this is lambda on the scale from 0 to 1": lam,
    }
    return Solution(r**3 * lam, mistakes)


@exercise("8.6", "The smoothing spline", points=3)
def _smoothing_spline() -> Solution:
    """Three values of the curve: at 0.25, 0.5 and 0.75."""
    x, y, _, _ = engines()
    lam, at = gcv_fit().lam, np.array([0.25, 0.5, 0.75])
    size, which, m = np.unique(x, return_inverse=True, return_counts=True)
    means, seven = np.bincount(which, y) / m, spline.spline_basis(at, np.arange(1, 8) / 8)

    def curve(w: FloatArray, lam: float) -> FloatArray:
        values: FloatArray = scipy.interpolate.make_smoothing_spline(size, means, w, lam)(at)
        return values

    mistakes = {
        "this is the curve with seven knots": seven @ gcv_fit().coef,
        "several engines have the same size: weight the means": curve(np.ones(len(m)), lam),
        "lambda is to be the one that GCV chooses": curve(m.astype(np.float64), 1e-4),
    }
    return Solution(curve(m.astype(np.float64), lam), mistakes)


@exercise("8.7", "A dearer degree of freedom", points=2, digits=3)
def _dearer() -> Solution:
    """One EDF."""
    _, y, X, S = engines()
    # on the grid of the chapter
    fits = [spline.fit_penalized(y, X, S, lam) for lam in np.logspace(-7, 1, 61)]
    edf, rss = np.array([(fit.edf, fit.rss) for fit in fits]).T

    def chosen(cost: float) -> float:
        return float(edf[np.argmin(rss / (19 - cost * edf) ** 2)])

    mistakes = {"this is what GCV itself chooses": chosen(1.0)}
    return Solution(chosen(1.4), mistakes)
