"""Likelihood-ratio tests of nested fits, and information criteria (chapter 13)."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.special
from numpy.typing import NDArray

from mixedsmooth._checks import locked
from mixedsmooth._tables import Table
from mixedsmooth.model.covariance import Full, Scalar
from mixedsmooth.model.engine import Factor
from mixedsmooth.model.fit import Fit, GeneralizedFit
from mixedsmooth.model.summary import Printed, Summary

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]

NESTED = 1e-7  # of a column, relative, which others must explain all but


@dataclass(frozen=True, eq=False, repr=False)
class Comparison(Printed):
    """Fits to the same data, from the fewest parameters to the most.

    Attributes
    ----------
    fits : tuple of Fit
        The fits.
    names : list of str
        What they are called: ``fit_0``, ``fit_1`` and so on, in the order in which they were given.
    npar : ndarray of int, shape (m,)
        Numbers of parameters.
    loglik, aic, bic, deviance : ndarray, shape (m,)
        (Restricted) log-likelihoods, criteria of Akaike and Schwarz, minus twice the logarithms.
    change, df, p : ndarray, shape (m,)
        Fall of the deviance from the fit before, by as many parameters, and the probability of more
        under a chi-square. Not a number for the first; no p where fits are not nested.
    notes : tuple of str
        What a reader should know.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> sleep = ms.load_sleepstudy()
    >>> fit = ms.lmm_formula("reaction ~ days + (days | subject)", sleep, method="ML")
    >>> less = ms.lmm_formula("reaction ~ 1 + (days | subject)", sleep, method="ML")
    >>> compared = ms.compare(less, fit)
    >>> print(compared.npar, compared.change.round(4), compared.p.round(8))
    [5 6] [    nan 23.5365] [      nan 1.23e-06]
    """

    fits: tuple[Fit, ...]
    names: list[str]
    npar: NDArray[np.intp]
    loglik: FloatArray
    aic: FloatArray
    bic: FloatArray
    deviance: FloatArray
    change: FloatArray
    df: FloatArray
    p: FloatArray
    notes: tuple[str, ...]

    def to_pandas(self) -> "pd.DataFrame":
        """Return the table as a data frame, names as index, which needs pandas."""
        import pandas as pd

        columns = ("npar", "loglik", "aic", "bic", "deviance", "change", "df", "p")
        values = {name: getattr(self, name) for name in columns}
        return pd.DataFrame(values, index=pd.Index(self.names, name="fit"))

    def _summary(self) -> Summary:
        header = ("Fit", "npar", "AIC", "BIC", "logLik", "Deviance", "Change", "df", "p")
        rows = [
            (
                name,
                str(self.npar[i]),
                *(f"{column[i]:.4f}" for column in (self.aic, self.bic, self.loglik)),
                f"{self.deviance[i]:.4f}",
                *("" if np.isnan(value) else text for value, text in self._test(i)),
            )
            for i, name in enumerate(self.names)
        ]
        way = self.fits[0].method
        title = f"Comparison of {len(self.fits)} fits by {way}"
        return Summary(title, (Table("", header, tuple(rows), labels=1),), self.notes)

    def _test(self, i: int) -> list[tuple[float, str]]:
        change, df, p = self.change[i], self.df[i], self.p[i]
        return [(change, f"{change:.4f}"), (df, f"{df:.0f}"), (p, f"{p:.4g}")]


def compare(*fits: Fit) -> Comparison:
    """Compare fits to the same data by their likelihoods.

    Parameters
    ----------
    *fits : Fit
        Two or more, by the same method: "ML" if their fixed effects differ.

    Returns
    -------
    Comparison
        Criteria of each fit, and likelihood-ratio tests of each against the one before, where it
        contains that. Fits of different families can be compared by AIC; the negative binomial
        contains the Poisson.

    Raises
    ------
    ValueError
        If rows, responses, weights, offsets or methods differ, some fits are of counts and some of
        measurements, the fits are by REML and have different columns of X, or by GCV or PQL, which
        have no likelihood.

    References
    ----------
    Self and Liang (1987), Journal of the American Statistical Association 82, 605-610.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> sleep = ms.load_sleepstudy()
    >>> slopes = ms.lmm_formula("reaction ~ days + (days | subject)", sleep)
    >>> intercepts = ms.lmm_formula("reaction ~ days + (1 | subject)", sleep)
    >>> print(compare(intercepts, slopes))
    Comparison of 2 fits by REML
    <BLANKLINE>
    Fit    npar        AIC        BIC     logLik   Deviance   Change  df          p
    fit_0     4  1794.4651  1807.2369  -893.2325  1786.4651
    fit_1     6  1755.6283  1774.7860  -871.8141  1743.6283  42.8368   2  4.99e-10
    <BLANKLINE>
    fit_0: reaction ~ days + (1 | subject)
    fit_1: reaction ~ days + (days | subject)
    fit_1: p is conservative, as a variance of zero is an edge; see variance_test()
    """
    for i, fit in enumerate(fits):
        if not isinstance(fit, Fit):
            raise ValueError(
                f"fits are what lmm() and glmm() return, as in compare(fit_0, fit_1); number {i} "
                f"is {fit!r:.60}"
            )
    if len(fits) < 2:
        raise ValueError(f"fits must be two or more, found {len(fits)}")
    for i, fit in enumerate(fits[1:], 1):
        _comparable(fits[0], fit, f"fit_{i}")
    order = sorted(range(len(fits)), key=lambda i: fits[i].npar)
    names, ordered = [f"fit_{i}" for i in order], tuple(fits[i] for i in order)
    texts = zip(names, (fit.formula for fit in ordered), strict=True)
    notes = [f"{name}: {' '.join(text.split())}" for name, text in texts if text is not None]
    npar = np.array([fit.npar for fit in ordered])
    deviance = np.array([fit.criterion for fit in ordered])
    # change = d_0 - d_1, a chi-square with as many degrees of freedom as there are more parameters
    # (eq-sure-lrt)
    change, df = -np.diff(deviance), np.diff(npar)
    p = scipy.special.chdtrc(df, np.maximum(change, 0.0))
    for i, (less, more) in enumerate(pairwise(ordered)):
        untested = _untested(less, more)
        if untested:
            p[i] = np.nan
            notes.append(f"No test of {names[i + 1]} against {names[i]}: {untested}")
        elif _overdispersed(less, more):
            notes.append(f"{names[i + 1]}: p is conservative, as an infinite size is an edge")
        elif _variances(more) > _variances(less):
            instead = "" if isinstance(more, GeneralizedFit) else "; see variance_test()"
            edge = f"p is conservative, as a variance of zero is an edge{instead}"
            notes.append(f"{names[i + 1]}: {edge}")
        elif less.on_boundary:
            notes.append(f"{names[i + 1]}: p may be conservative, as {names[i]} is on an edge")
    return Comparison(
        fits=ordered,
        names=names,
        npar=locked(npar),
        loglik=locked(-deviance / 2),
        aic=locked(np.array([fit.aic for fit in ordered])),
        bic=locked(np.array([fit.bic for fit in ordered])),
        deviance=locked(deviance),
        change=locked(np.append(np.nan, change)),
        df=locked(np.append(np.nan, df)),
        p=locked(np.append(np.nan, p)),
        notes=tuple(notes),
    )


def _variances(fit: Fit) -> int:
    return sum(covariance.columns for covariance in fit.model.covariances)


# ---- what can be compared ----


def _comparable(one: Fit, other: Fit, name: str) -> None:
    """Raise unless the likelihoods of two fits are those of the same data."""
    for fit in (one, other):
        if fit.method in ("GCV", "pql"):
            better = '"REML" or "ML"' if fit.method == "GCV" else '"laplace" or "agq"'
            raise ValueError(
                f"a fit by {fit.method.upper()} has no likelihood to compare; use fit.refit(...) "
                f"with {better}"
            )
    for what, a, b in (
        ("responses", one.model.y, other.model.y),
        ("weights", one.model.weights, other.model.weights),
        ("offsets", one.model.whole_offset, other.model.whole_offset),
        ("rows", *_rows(one, other)),
        ("kinds of response", _kind(one), _kind(other)),
        ("trials", _trials(one), _trials(other)),
    ):
        if not _same(a, b):
            raise ValueError(
                f"fit_0 and {name} have different {what}; compare fits to the same data, that "
                "differ in their terms"
            )
    ways = {_way(fit) for fit in (one, other)} - {""}
    if len(ways) > 1:
        raise ValueError(
            f"fit_0 and {name} are by {' and '.join(sorted(ways))}, which differ for the same "
            "model too; use fit.refit(...) so that both are by the same"
        )
    if one.method == "REML" and not _same_columns(one, other):
        raise ValueError(
            f"fit_0 and {name} are by REML and have different columns of X, so that their criteria "
            'cannot be compared; use fit.refit("ML") for both'
        )


def _same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    return type(one) is type(other) and bool(one == other)


def _rows(one: Fit, other: Fit) -> tuple[Any, Any]:
    """Numbers of rows; or the rows that were used, where both had as many to choose from."""
    chosen = one.model.rows.total == other.model.rows.total
    return (one.rows, other.rows) if chosen else (one.n, other.n)


def _kind(fit: Fit) -> str:
    """Whether a likelihood is one of probabilities or of densities, which cannot be compared."""
    if not isinstance(fit, GeneralizedFit):
        return "linear"
    return "counts" if fit.family.discrete else "measurements"


def _family(fit: Fit) -> tuple[str, ...]:
    return (fit.family.name, fit.family.link) if isinstance(fit, GeneralizedFit) else ()


def _trials(fit: Fit) -> FloatArray:
    return np.asarray(fit.family.scale if isinstance(fit, GeneralizedFit) else 1.0)


def _way(fit: Fit) -> str:
    """Tell what was computed; nothing in a generalized model without groups, where it is exact."""
    if isinstance(fit, GeneralizedFit) and not fit.model.groups:
        return ""
    if isinstance(fit, GeneralizedFit) and fit.method == "agq":
        return f"agq with {fit.nodes} nodes"
    return fit.method


def _same_columns(one: Fit, other: Fit) -> bool:
    """Whether X has the same columns, in any order."""
    columns = [
        dict(zip(fit.names, (c for part in m.fixed for c in part.columns(m.frame)), strict=True))
        for fit, m in ((one, one.model), (other, other.model))
    ]
    same = (np.array_equal(columns[0][name], columns[1][name]) for name in one.names)
    return sorted(one.names) == sorted(other.names) and all(same)


# ---- whether one model is part of another ----


def _untested(less: Fit, more: Fit) -> str:
    """Why there is no test of one fit against a smaller one, or nothing."""
    if less.npar == more.npar:
        return "they have as many parameters"
    if _family(less) != _family(more) and not _overdispersed(less, more):
        return "their families or links differ"
    if not _within(less.problem.X, more.problem.X):
        return "its columns of X are not among those of the larger model, or their sums"
    if not _within(_of_variances(less), _of_variances(more)):
        return "its variances are not among those of the larger model"
    return ""


def _overdispersed(less: Fit, more: Fit) -> bool:
    """Whether one is Poisson and the other negative binomial, which is Poisson at its edge."""
    families = _family(less), _family(more)
    return families == (("poisson", "log"), ("negative-binomial", "log"))


def _of_variances(fit: Fit) -> FloatArray:
    """Change of V v with each parameter of V, for a random v: V is linear in them."""
    v = np.random.default_rng(0).normal(size=fit.n)
    changes = [change for factor in fit.problem.factors for change in _changes(factor, v)]
    if not isinstance(fit, GeneralizedFit):
        # sigma^2 W^-1; where sigma is known, that is no parameter
        residual = v if fit.model.weights is None else v / fit.model.weights
        changes.append(residual if fit.model.sigma is None else np.zeros(fit.n))
    return np.column_stack(changes) if changes else np.empty((fit.n, 0))


def _changes(factor: Factor, v: FloatArray) -> list[FloatArray]:
    sums, covariance = factor.shape.spread(factor.sums(v)), factor.shape.covariance
    if isinstance(covariance, Scalar):
        return [factor.times(sums)]  # Z P^-1 Z'v
    k = covariance.k
    # Z_a P^-1 Z_b'v for the effects a and b of each level
    Z = [[z * sums[factor.codes, b] for b in range(k)] for z in factor.effects]
    if isinstance(covariance, Full):
        return [Z[a][b] + Z[b][a] for a in range(k) for b in range(a + 1)]
    return [Z[a][a] for a in range(k)]


def _within(columns: FloatArray, others: FloatArray) -> bool:
    """Whether all columns are sums of the others, up to rounding."""
    size = np.linalg.norm(columns, axis=0)
    scale = np.linalg.norm(others, axis=0)
    U, found, _ = np.linalg.svd(others / np.where(scale > 0, scale, 1.0), full_matrices=False)
    U = U[:, found > NESTED * max(found, default=0.0)]
    return bool(np.all(np.linalg.norm(columns - U @ (U.T @ columns), axis=0) <= NESTED * size))
