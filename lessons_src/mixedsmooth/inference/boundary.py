"""Is a variance zero? The restricted likelihood-ratio test (chapter 13).

A variance of zero is the edge of what a variance can be, so that half of a chi-square does not tell
how often the statistic is as large. Without other random effects its distribution is known: that of
a function of independent squares, one for each eigenvalue of Z'(I - H)Z and one for the rest. Where
these eigenvalues are equal it is that of F; otherwise it is simulated, which needs no fits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import scipy.special
from numpy.typing import NDArray

from mixedsmooth._checks import listed, whole
from mixedsmooth._linalg import cholesky, solve_lower
from mixedsmooth._tables import Table
from mixedsmooth.inference.simulation import seed_of
from mixedsmooth.model.covariance import Diagonal, Scalar
from mixedsmooth.model.engine import Factor, indicators
from mixedsmooth.model.fit import Fit, GeneralizedFit
from mixedsmooth.model.problem import Problem
from mixedsmooth.model.summary import Printed, Summary

FloatArray = NDArray[np.float64]

DENSE_EFFECTS = 5_000  # columns of Z whose eigenvalues are computed
NONE = 1e-10  # of the largest eigenvalue: less is zero
EQUAL = 1e-8  # relative: eigenvalues that differ by less are equal
GRID = np.geomspace(1e-5, 1e7, 120)  # of lambda times the mean eigenvalue
BATCH = 1_000  # draws at a time


@dataclass(frozen=True, eq=False, repr=False)
class VarianceTest(Printed):
    """The test that one variance is zero.

    Attributes
    ----------
    term : str
        What was tested, as ``sd days | subject`` or ``sd s(x)``.
    statistic : float
        RLRT, the fall of the restricted deviance when the variance is estimated.
    p : float
        Its p-value: exact, or simulated as (1 + draws that reach the statistic) / (1 + n).
    p_mixture : float
        That of an equal mixture of zero and a chi-square with one degree of freedom, which holds
        only where the rows fall into many independent parts.
    exact : bool
        Whether `p` is exact.
    zero_probability : float
        Of an estimate of zero where there is no variance; the mixture takes 0.5.
    n : int
        Draws; 0 if none were needed.
    seed : int or None
        Where the random numbers began; None if none were needed.
    notes : tuple of str
        What a reader should know.
    """

    term: str
    statistic: float
    p: float
    p_mixture: float
    exact: bool
    zero_probability: float
    n: int
    seed: int | None
    notes: tuple[str, ...]

    def _summary(self) -> Summary:
        header = ("RLRT", "p", "p of the mixture", "P(zero)")
        values = (self.statistic, self.p, self.p_mixture, self.zero_probability)
        row = (f"{self.statistic:.4f}", *(f"{value:.4g}" for value in values[1:]))
        title = f"Restricted likelihood-ratio test of {self.term} = 0"
        return Summary(title, (Table("", header, (row,), labels=0),), self.notes)


def variance_test(fit: Fit, term: str, *, n: int = 10_000, seed: int | None = None) -> VarianceTest:
    """Test whether one variance of a linear mixed model is zero.

    Parameters
    ----------
    fit : Fit
        A linear mixed model. Unless it is by REML, it is fitted again by REML.
    term : str
        A term with one variance: the name of its factor, or of a smooth, such as ``s(x)``. Without
        it the curve is what its penalty leaves free: a straight line, or nothing for a basis with
        shrinkage. Of several effects that are not correlated one: ``sd days | subject``.
    n : int
        Draws from the distribution of the statistic, where it has no closed form; at least 100.
    seed : int, optional
        Where the random numbers begin; otherwise anywhere, and the result tells.

    Returns
    -------
    VarianceTest
        Statistic and p-values.

    Raises
    ------
    ValueError
        If the model is generalized, has no such variance, or one that is correlated with others; or
        if the term has more than 5,000 effects.

    Notes
    -----
    The p-value is exact if there are no other random effects and the eigenvalues of Z'(I - H)Z are
    equal: in a balanced one-way layout. Without others it is otherwise exact up to the draws. With
    others it is an approximation that takes these as known, so that the rest of y has the one
    variance under test.

    References
    ----------
    Crainiceanu and Ruppert (2004), Journal of the Royal Statistical Society B 66, 165-185; Greven,
    Crainiceanu, Kuechenhoff and Peters (2008), Journal of Computational and Graphical Statistics
    17, 870-891; Scheipl, Greven and Kuechenhoff (2008), Computational Statistics and Data Analysis
    52, 3283-3299.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fit = ms.lmm_formula("grams ~ 1 + (1 | batch)", ms.load_dyestuff())
    >>> variance_test(fit, "batch")
    Restricted likelihood-ratio test of sd (Intercept) | batch = 0
    <BLANKLINE>
      RLRT         p  p of the mixture  P(zero)
    6.3690  0.004398          0.005807   0.5611
    <BLANKLINE>
    Exact: RLRT is a function of F = 4.5983 with 5 and 24 degrees of freedom
    """
    if not isinstance(fit, Fit):
        raise ValueError(f"fit is what lmm() returns, found {fit!r:.60}")
    if isinstance(fit, GeneralizedFit):
        raise ValueError(
            "variance_test() is for linear mixed models; use compare() with a fit without the "
            "term, whose p is conservative"
        )
    n, drawn_from = whole("n", n, least=100), seed_of(seed)
    variance = _found(fit, term)
    for tuning in fit.model.tunings:
        if variance.name.startswith(f"sd {tuning.label}"):
            raise ValueError(
                f"term {term!r} has a range that is estimated, and without a variance there is no "
                "range, so that the distribution is another; give the range"
            )
    notes = []
    if fit.method != "REML":
        notes.append(f"Fitted again by REML; the fit was by {fit.method}")
        fit = fit.refit("REML")
    others = _without(fit.problem, variance)
    # RLRT = d_R(0) - min d_R
    statistic = max(fit.solver(others, "REML").criterion - fit.criterion, 0.0)
    mu = _eigenvalues(fit.problem, variance)
    degrees = None if fit.model.sigma is not None else fit.n - len(fit.beta) - len(mu)
    exact = not others.factors and bool(np.ptp(mu) <= EQUAL * mu.max())
    if exact:
        p, zero, law = _of_equal(fit, variance, mu, degrees)
        notes.append(f"Exact: RLRT is a function of {law}")
    else:
        null = rlrt_null(mu, degrees, n, drawn_from)
        p = (1 + int(np.sum(null >= statistic))) / (1 + n) if statistic > 0 else 1.0
        zero = float(np.mean(null == 0))
        notes.append(f"Simulated: {n} draws, seed {drawn_from}")
        if not np.any(null >= statistic):
            notes.append("No draw reached the statistic, so p is at most what is told")
        if others.factors:
            notes.append("Approximate: the other random effects are taken as known")
    # of 0 and a chi-square with equal shares
    p_mixture = float(scipy.special.chdtrc(1, statistic)) / 2 if statistic > 0 else 1.0
    return VarianceTest(
        term=variance.name,
        statistic=statistic,
        p=p,
        p_mixture=p_mixture,
        exact=exact,
        zero_probability=zero,
        n=0 if exact else n,
        seed=None if exact else drawn_from,
        notes=tuple(notes),
    )


def rlrt_null(mu: FloatArray, degrees: int | None, n: int, seed: int) -> FloatArray:
    """Draw from the distribution of RLRT where the variance is zero.

    Parameters
    ----------
    mu : ndarray, shape (K,)
        Eigenvalues of Z'(I - H)Z that are above zero.
    degrees : int or None
        Residual degrees of freedom beside them, n - p - K; None if sigma is known.
    n : int
        Draws.
    seed : int
        Where the random numbers begin.

    Returns
    -------
    ndarray, shape (n,)
        The draws, some of them zero.

    References
    ----------
    Crainiceanu and Ruppert (2004), section 3.

    Examples
    --------
    >>> null = rlrt_null(np.full(5, 5.0), 24, 20_000, seed=1)
    >>> print(f"{np.mean(null == 0):.2f} {np.mean(null > 6.368955):.4f}")  # 0.5611 and 0.0044
    0.56 0.0043
    """
    rng = np.random.default_rng(seed)
    c = 1 + np.outer(mu, GRID / mu.mean())
    log_c = np.log(c).sum(axis=0)
    null = np.empty(n)
    for start in range(0, n, BATCH):
        rows = slice(start, min(start + BATCH, n))
        squares = rng.chisquare(1, (rows.stop - start, len(mu)))
        left, total = squares @ (1 / c), squares.sum(axis=1)
        # d(0) - d(lambda) = m log(sum w^2 / (sum w^2 / c + rest)) - sum log c, c = 1 + lambda mu
        # (eq-sure-rlrt)
        if degrees is None:
            fall = total[:, None] - left - log_c
        else:
            rest = rng.chisquare(degrees, len(total)) if degrees else np.zeros(len(total))
            ratio = (left + rest[:, None]) / (total + rest)[:, None]
            fall = -(len(mu) + degrees) * np.log(ratio) - log_c
        null[rows] = np.maximum(_peaks(fall), 0.0)
    return null


def _peaks(values: FloatArray) -> FloatArray:
    """Return the highest value of each row, between its columns by a parabola."""
    row, best = np.arange(len(values)), values.argmax(axis=1)
    inner = np.clip(best, 1, values.shape[1] - 2)
    before, at, after = (values[row, inner + i] for i in (-1, 0, 1))
    bend = np.minimum(before - 2 * at + after, -np.finfo(float).tiny)
    peak = at - (after - before) ** 2 / (8 * bend)
    return np.asarray(np.where(inner == best, peak, values[row, best]))


# ---- which variance ----


class _Variance(NamedTuple):
    """One variance of a model: that of a term, or of one of its effects."""

    name: str
    term: int
    effect: int | None  # None if all effects of the term share it


def _found(fit: Fit, term: str) -> _Variance:
    """Find the variance that is meant, or say which there are."""
    known: dict[str, _Variance] = {}
    for i, (name, r) in enumerate(fit.random.items()):
        g = fit.model.groups[i]
        covariance = g.covariance
        if isinstance(covariance, Scalar):
            variance = _Variance(
                f"sd {r.names[0]} | {name}" if g.is_field else f"sd {name}", i, None
            )
            known |= {name: variance, variance.name: variance}
            continue
        own = [_Variance(f"sd {of} | {name}", i, a) for a, of in enumerate(r.names)]
        if len(own) == 1:
            known |= {name: own[0]}
        elif not isinstance(covariance, Diagonal) and term in (name, *(v.name for v in own)):
            raise ValueError(
                f"term {term!r} has effects that are correlated, so that with a variance its "
                "correlations vanish too; fit with correlated=False (|| in a formula), or use "
                "compare() with a fit without the effect, whose p is conservative"
            )
        if isinstance(covariance, Diagonal) or len(own) == 1:
            known |= {variance.name: variance for variance in own}
    if not known:
        raise ValueError(
            f"term {term!r:.60} cannot be tested: the model has no random effects, or only some "
            "that are correlated; those are left out by compare() with a fit without them"
        )
    if not isinstance(term, str) or term not in known:
        raise ValueError(f"term must be one of {listed(list(known))}; found {term!r:.60}")
    return known[term]


def _without(problem: Problem, variance: _Variance) -> Problem:
    """Leave out the effects of one variance; it has the criterion of that model, and no more."""
    factors, back = list(problem.factors), list(problem.back)
    factor = factors.pop(variance.term)
    to_user = back.pop(variance.term)
    if variance.effect is not None and factor.shape.k > 1:
        kept = [a for a in range(factor.shape.k) if a != variance.effect]
        factors.insert(variance.term, _of_effects(factor, kept))
        back.insert(variance.term, to_user[np.ix_(kept, kept)])
    return replace(problem, factors=tuple(factors), back=tuple(back))


def _of_effects(factor: Factor, kept: Sequence[int]) -> Factor:
    shape = factor.shape._replace(covariance=Diagonal(len(kept)))
    return replace(factor, effects=tuple(factor.effects[a] for a in kept), shape=shape)


def _tested(problem: Problem, variance: _Variance) -> Factor:
    factor = problem.factors[variance.term]
    return factor if variance.effect is None else _of_effects(factor, [variance.effect])


# ---- the distribution of its estimate where it is zero ----


def _eigenvalues(problem: Problem, variance: _Variance) -> FloatArray:
    """Eigenvalues of Z'W(I - H)Z that are not zero, with H the projection on X."""
    factor, X, w = _tested(problem, variance), problem.X, problem.model.weights
    if factor.shape.structure is not None:
        raise ValueError(
            f"{variance.name} is that of {factor.shape.levels} levels with a sparse precision, and "
            "the test takes their whole covariance; use compare(), whose p is conservative"
        )
    if factor.shape.size > DENSE_EFFECTS:
        raise ValueError(
            f"{variance.name} has {factor.shape.size} effects, and the test takes the eigenvalues "
            f"of a matrix with as many rows, up to {DENSE_EFFECTS}; use compare(), whose p is "
            "conservative"
        )
    n = len(X)
    Z = indicators([factor], np.arange(n), n, None)
    WX = X if w is None else w[:, None] * X
    ZZ = (Z.T @ (Z if w is None else Z.multiply(w[:, None]))).toarray()
    half = solve_lower(cholesky(X.T @ WX), (Z.T @ WX).T)
    mu = np.linalg.eigvalsh(ZZ - half.T @ half)
    mu = np.asarray(mu[mu > NONE * np.abs(ZZ).sum(axis=0).max()])
    if not len(mu):
        raise ValueError(
            f"{variance.name} has effects that the columns of X have as well, so that nothing "
            "tells its variance; leave the term out"
        )
    equal = bool(np.ptp(mu) <= EQUAL * mu.max())
    if problem.model.sigma is None and equal and n - X.shape[1] - len(mu) < 1:
        raise ValueError(
            f"{variance.name} leaves no residual degree of freedom, so that nothing tells its "
            "variance from sigma; use a coarser factor"
        )
    return mu


def _of_equal(
    fit: Fit, variance: _Variance, mu: FloatArray, degrees: int | None
) -> tuple[float, float, str]:
    """P-value, probability of zero, and the law, where all eigenvalues are equal."""
    factor, w, K = _tested(fit.problem, variance), fit.model.weights, len(mu)
    e, scales = fit.problem.response()
    We = e if w is None else w * e
    # S_1 = |Z'We|^2 / mu,  S_0 = e'We - S_1,  F = (S_1 / K) / (S_0 / degrees)
    S_1 = float(np.sum(factor.sums(We) ** 2) / mu.mean())
    if degrees is None:
        assert fit.model.sigma is not None
        chi_square = S_1 * (scales.y_scale / fit.model.sigma) ** 2
        p = float(scipy.special.chdtrc(K, chi_square)) if chi_square > K else 1.0
        law = f"a chi-square with {K} degrees of freedom"
        return p, float(scipy.special.chdtr(K, K)), law
    F = (S_1 / K) / ((float(e @ We) - S_1) / degrees)
    p = float(scipy.special.fdtrc(K, degrees, F)) if F > 1 else 1.0
    law = f"F = {F:.4f} with {K} and {degrees} degrees of freedom"
    return p, float(scipy.special.fdtr(K, degrees, 1)), law
