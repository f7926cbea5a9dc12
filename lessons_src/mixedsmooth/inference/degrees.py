"""Tests of fixed effects: standard errors, degrees of freedom, contrasts (chapter 13).

A standard error is made of variances that are estimates themselves. How far l'Cl, the variance of
l'beta, moves with them says how many degrees of freedom it has: as many as give a scaled chi-square
the same mean and variance. Satterthwaite takes the curvature of the criterion at the fit; Kenward
and Roger take its expectation, and correct C as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse
import scipy.special
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import as_matrix, as_vector, choice, listed, locked
from mixedsmooth._linalg import cholesky, inverse, solve_lower
from mixedsmooth._tables import Table
from mixedsmooth.inference.sections import space_of
from mixedsmooth.inference.surface import DIFFERENCE, LinearSurface
from mixedsmooth.model.covariance import Diagonal, Full, Scalar, pack, pack_slopes, unpack
from mixedsmooth.model.engine import Factorization, indicators
from mixedsmooth.model.fit import Fit, GeneralizedFit
from mixedsmooth.model.optimize import unit_steps
from mixedsmooth.model.summary import Printed, Summary

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
Degrees = Literal["normal", "satterthwaite", "kenward-roger"]

STEP = 1e-3  # of a parameter, in units of its standard error, for second derivatives
FLAT = 1e-5  # in those units a curvature is about 1; below this there is none
UNSURE = 1e-4  # change of C, relative, in a direction of which the data say nothing
UNTOLD = 1e-8  # of the information there would be if beta were known: less is none
NO_CHANGE = 1e-7  # relative: a variance that varies less has no degrees of freedom to count
NO_MEAN = 0.01  # of the degrees of freedom from 2, as pbkrtest has it
DECREASE = 0.01  # of the criterion by one more step, beyond which a fit is not at its optimum
DENSE_EFFECTS = 4_000  # columns of Z: the matrices of Kenward and Roger have as many rows
NOTES = {
    "normal": "Normal distribution: the variances are taken as known",
    "satterthwaite": "Degrees of freedom by Satterthwaite",
    "kenward-roger": "Standard errors and degrees of freedom by Kenward and Roger",
}


# ---- results ----


@dataclass(frozen=True, eq=False, repr=False)
class Coefficients(Printed):
    """Fixed effects and their tests.

    Attributes
    ----------
    names : list of str
        Names of the columns of X.
    estimate, se, df, t, p : ndarray, shape (p,)
        Estimates, standard errors, degrees of freedom (infinite for a normal distribution), ratios,
        two-sided p-values.
    cov : ndarray, shape (p, p)
        Covariance of the estimates, whose diagonal has the squares of `se`.
    method : {"normal", "satterthwaite", "kenward-roger"}
        How the degrees of freedom were found.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fit = ms.lmm_formula("grams ~ 1 + (1 | batch)", ms.load_dyestuff())
    >>> fit.coefficients().to_pandas().df.round(3).tolist()  # six batches
    [5.0]
    """

    names: list[str]
    estimate: FloatArray
    se: FloatArray
    df: FloatArray
    t: FloatArray
    p: FloatArray
    cov: FloatArray
    method: Degrees

    def to_pandas(self) -> "pd.DataFrame":
        """Return the table as a data frame, names as index, which needs pandas."""
        import pandas as pd

        columns = {name: getattr(self, name) for name in ("estimate", "se", "df", "t", "p")}
        return pd.DataFrame(columns, index=pd.Index(self.names, name="effect"))

    def _summary(self) -> Summary:
        columns = zip(self.estimate, self.se, self.df, self.t, self.p, strict=True)
        cells = [_cells(self.method, *row) for row in columns]
        rows = tuple((name, *row) for name, row in zip(self.names, cells, strict=True))
        table = Table("", ("Effect", *_header(self.method)), rows, labels=1)
        return Summary("Tests of the fixed effects", (table,), (NOTES[self.method],))


@dataclass(frozen=True, eq=False, repr=False)
class Contrast(Printed):
    """A combination of fixed effects, and the test that it is zero.

    Attributes
    ----------
    weights : ndarray, shape (p,)
        What the fixed effects are multiplied by.
    estimate, se, df, t, p : float
        The combination, its standard error, degrees of freedom, ratio, two-sided p-value.
    method : {"normal", "satterthwaite", "kenward-roger"}
        How the degrees of freedom were found.
    """

    weights: FloatArray
    estimate: float
    se: float
    df: float
    t: float
    p: float
    method: Degrees

    def _summary(self) -> Summary:
        row = _cells(self.method, self.estimate, self.se, self.df, self.t, self.p)
        table = Table("", _header(self.method), (row,), labels=0)
        title = "Test of a combination of fixed effects"
        return Summary(title, (table,), (NOTES[self.method],))


@dataclass(frozen=True, eq=False, repr=False)
class JointContrast(Printed):
    """Several combinations of fixed effects, and the test that all of them are zero.

    Attributes
    ----------
    weights : ndarray, shape (r, p)
        What the fixed effects are multiplied by.
    estimate : ndarray, shape (r,)
        The combinations.
    F, df1, df2, p : float
        The statistic, its degrees of freedom, the p-value. With a normal distribution `df2` is
        infinite, and F times df1 is Wald's chi-square.
    method : {"normal", "satterthwaite", "kenward-roger"}
        How the degrees of freedom were found.
    """

    weights: FloatArray
    estimate: FloatArray
    F: float
    df1: float
    df2: float
    p: float
    method: Degrees

    def _summary(self) -> Summary:
        if self.method == "normal":
            cells = {"Chi-square": f"{self.F * self.df1:.5g}", "df": f"{self.df1:g}"}
        else:
            cells = {"F": f"{self.F:.5g}", "df1": f"{self.df1:g}", "df2": f"{self.df2:.2f}"}
        cells["p"] = f"{self.p:.4g}"
        table = Table("", tuple(cells), (tuple(cells.values()),), labels=0)
        title = "Joint test of combinations of fixed effects"
        return Summary(title, (table,), (NOTES[self.method],))


def _header(method: Degrees) -> tuple[str, ...]:
    if method == "normal":
        return "Estimate", "SE", "z", "p"
    return "Estimate", "SE", "df", "t", "p"


def _cells(
    method: Degrees, estimate: float, se: float, df: float, t: float, p: float
) -> tuple[str, ...]:
    degrees = () if method == "normal" else (f"{df:.2f}",)
    return f"{estimate:.5g}", f"{se:.5g}", *degrees, f"{t:.2f}", f"{p:.4g}"


# ---- tests ----


def coefficients(fit: Fit, df: Degrees) -> Coefficients:
    """Test each fixed effect.

    Parameters
    ----------
    fit : Fit
        Any fit.
    df : {"normal", "satterthwaite", "kenward-roger"}
        How to find the degrees of freedom.

    Returns
    -------
    Coefficients
        The tests.

    Raises
    ------
    ValueError
        As `Fit.coefficients`.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> sleep = ms.load_sleepstudy()
    >>> fit = ms.lmm_formula("reaction ~ days + (days | subject)", sleep)
    >>> coefficients(fit, "satterthwaite")
    Tests of the fixed effects
    <BLANKLINE>
    Effect       Estimate      SE     df      t          p
    (Intercept)    251.41  6.8246  17.00  36.84  1.171e-17
    days           10.467  1.5458  17.00   6.77  3.264e-06
    <BLANKLINE>
    Degrees of freedom by Satterthwaite
    """
    spread = _spread(fit, df)
    se = np.sqrt(np.diag(spread.cov))
    degrees = np.array([spread.degrees(row) for row in np.eye(len(fit.beta))])
    t = fit.beta / se
    p = 2 * scipy.special.stdtr(degrees, -np.abs(t))
    return Coefficients(
        names=fit.names,
        estimate=fit.beta,
        se=locked(se),
        df=locked(degrees),
        t=locked(t),
        p=locked(p),
        cov=locked(spread.cov),
        method=df,
    )


def contrast(fit: Fit, L: Mapping[str, float] | ArrayLike, df: Degrees) -> Contrast | JointContrast:
    """Test a combination of fixed effects, or several at once.

    Parameters
    ----------
    fit : Fit
        Any fit.
    L : mapping of str to float, or array_like of shape (p,) or (r, p)
        Weights of the fixed effects.
    df : {"normal", "satterthwaite", "kenward-roger"}
        How to find the degrees of freedom.

    Returns
    -------
    Contrast or JointContrast
        A t test of one combination, an F test of r rows.

    Raises
    ------
    ValueError
        As `Fit.contrast`.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> sleep = ms.load_sleepstudy()
    >>> fit = ms.lmm_formula("reaction ~ days + (days | subject)", sleep)
    >>> contrast(fit, {"(Intercept)": 1, "days": 9}, "satterthwaite")
    Test of a combination of fixed effects
    <BLANKLINE>
    Estimate      SE     df      t          p
      345.61  14.629  17.00  23.63  1.935e-14
    <BLANKLINE>
    Degrees of freedom by Satterthwaite
    """
    weights = _weights(L, fit.names)
    spread = _spread(fit, df)
    estimate = weights @ fit.beta
    if weights.ndim == 1:
        se = float(np.sqrt(weights @ spread.cov @ weights))
        degrees, t = spread.degrees(weights), float(estimate) / se
        p = 2 * float(scipy.special.stdtr(degrees, -abs(t)))
        return Contrast(weights, float(estimate), se, degrees, t, p, df)
    r = len(weights)
    # F = (L beta)' (L C L')^-1 L beta / r
    half = solve_lower(cholesky(weights @ spread.cov @ weights.T), estimate)
    scale, degrees = spread.joint_degrees(weights)
    F = scale * float(half @ half) / r
    # chi-square is the limit of r F
    p = scipy.special.fdtrc(r, degrees, F) if degrees < np.inf else scipy.special.chdtrc(r, r * F)
    return JointContrast(weights, locked(estimate), F, float(r), degrees, float(p), df)


def _weights(L: Mapping[str, float] | ArrayLike, names: list[str]) -> FloatArray:
    """Weights of all fixed effects, (p,) or (r, p), with rows that say something each."""
    if isinstance(L, str):
        raise ValueError(f'L is {L!r}; give weights by name, such as {{"{names[-1]}": 1}}')
    if isinstance(L, Mapping):
        unknown = [name for name in L if name not in names]
        if unknown:
            raise ValueError(
                f"L names {listed(unknown)}, and the fixed effects are {listed(names)}"
            )
        if not L:
            raise ValueError(f"L is empty; give weights of {listed(names)}")
        given = as_vector("L", list(L.values()))
        weights = np.zeros(len(names))
        weights[[names.index(name) for name in L]] = given
    else:
        weights = np.array(as_matrix("L", L) if np.ndim(L) == 2 else as_vector("L", L))
    if weights.shape[-1] != len(names):
        raise ValueError(
            f"L has {weights.shape[-1]} weights a row, and there are {len(names)} fixed effects: "
            f"{listed(names)}; give a weight for each, or a dict of names"
        )
    rows = np.atleast_2d(weights)
    rank = np.linalg.matrix_rank(rows / np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-300))
    if rank < len(rows):
        raise ValueError(
            f"L has {len(rows)} row(s) but rank {rank}: leave out rows of zeros and those that "
            "follow from the others"
        )
    return locked(weights)


# ---- how sure the variance of a combination is ----


class Spread(NamedTuple):
    """Covariance of beta, and how it varies with the estimates that it is made of.

    Attributes
    ----------
    cov : ndarray, shape (p, p)
        What standard errors are taken from.
    plain : ndarray, shape (p, p)
        C, without a correction for small samples.
    slopes : ndarray, shape (m, p, p)
        Change of C with m uncorrelated combinations of the variance parameters, each by its
        standard error.
    expected : bool
        Whether an F test matches the moments of Kenward and Roger, or those of Fai and Cornelius.

    Examples
    --------
    A mean of n values, C = sigma^2 / n, where sigma^2 has the standard error sigma^2 sqrt(2 / 9):

    >>> C = np.array([[0.5]])
    >>> spread = Spread(C, C, np.sqrt(2 / 9) * C[None], False)
    >>> round(spread.degrees(np.ones(1)), 6)
    9.0
    """

    cov: FloatArray
    plain: FloatArray
    slopes: FloatArray
    expected: bool = False

    def degrees(self, row: FloatArray) -> float:
        """Degrees of freedom of one combination."""
        # df = 2 (l'Cl)^2 / (g'Ag)  (eq-sure-satterthwaite)
        relative = (self.slopes @ row @ row) / (row @ self.plain @ row)
        variance = float(relative @ relative)
        return 2 / variance if variance > NO_CHANGE**2 else np.inf

    def joint_degrees(self, rows: FloatArray) -> tuple[float, float]:
        """Scale of F, and its second degrees of freedom."""
        if len(rows) == 1 or np.isinf([self.degrees(row) for row in rows]).all():
            return 1.0, self.degrees(rows[0])
        return self._kenward_roger(rows) if self.expected else (1.0, self._fai_cornelius(rows))

    def _fai_cornelius(self, rows: FloatArray) -> float:
        """Match the mean of F, a mean of squared t of uncorrelated combinations."""
        _, vectors = np.linalg.eigh(rows @ self.plain @ rows.T)
        df = np.array([self.degrees(row) for row in vectors.T @ rows])
        if df.min() <= 2:
            return 2.0  # a mean of F that is infinite
        # E = sum of df / (df - 2),  df_2 = 2 E / (E - r)
        excess = float(np.sum(2 / (df - 2)))  # E - r
        return 2 * (excess + len(df)) / excess if excess > 0 else np.inf

    def _kenward_roger(self, rows: FloatArray) -> tuple[float, float]:
        """Match the mean and the variance of a multiple of F, exact for Hotelling's T^2."""
        r = len(rows)
        L = cholesky(rows @ self.plain @ rows.T)
        half = solve_lower(L, rows)  # so that half C half' = I
        S = half @ self.slopes @ half.T
        # A_1 = sum tr(S)^2,  A_2 = sum tr(S S),  B = (A_1 + 6 A_2) / (2 r)
        A_1 = float(np.sum(np.trace(S, axis1=1, axis2=2) ** 2))
        A_2 = float(np.sum(S * S))
        B = (A_1 + 6 * A_2) / (2 * r)
        g = ((r + 1) * A_1 - (r + 4) * A_2) / ((r + 2) * A_2)
        c_1, c_2, c_3 = np.array([g, r - g, r + 2 - g]) / (3 * r + 2 * (1 - g))
        # E = 1 / (1 - A_2 / r),  V = 2 / r (1 + c_1 B) / ((1 - c_2 B)^2 (1 - c_3 B))
        # rho = V / (2 E^2),  df_2 = 4 + (r + 2) / (r rho - 1),  scale = df_2 / (E (df_2 - 2))
        inverse_mean = 1 - A_2 / r
        rho = inverse_mean**2 * (1 + c_1 * B) / ((1 - c_2 * B) ** 2 * (1 - c_3 * B)) / r
        df = float(4 + (r + 2) / (r * rho - 1))
        # with 2 degrees of freedom an F has no mean, and 0 / 0 stands for 1
        scale = 1.0 if abs(df - 2) < NO_MEAN else df * inverse_mean / (df - 2)
        if min(df, scale) <= 0:
            raise ValueError(
                f"no F has the mean and variance that Kenward and Roger expect of {r} rows of L "
                'here, as there are too few groups; use fewer rows, or "satterthwaite"'
            )
        return scale, df


def _spread(fit: Fit, df: Degrees) -> Spread:
    """Covariance of beta and its changes, in the way that was asked for."""
    choice("df", df, tuple(NOTES))
    if df == "normal":
        nothing = np.empty((0, len(fit.beta), len(fit.beta)))
        return Spread(fit.cov_beta, fit.cov_beta, nothing)
    if isinstance(fit, GeneralizedFit):
        raise ValueError(
            f'df "{df}" is for linear mixed models; use "normal", whose tests are those of Wald'
        )
    if fit.method == "GCV":
        raise ValueError(
            f'df "{df}" needs a likelihood, which a fit by GCV has not; use fit.refit("REML"), or '
            '"normal"'
        )
    if fit.ranges and df == "kenward-roger":
        raise ValueError(
            'df "kenward-roger" is for covariances that are linear in their parameters, which that '
            'of an estimated range is not; use "satterthwaite"'
        )
    if fit.ranges:
        return _satterthwaite_with_ranges(fit)
    return satterthwaite(fit) if df == "satterthwaite" else kenward_roger(fit)


# ---- Satterthwaite ----


def satterthwaite(fit: Fit) -> Spread:
    """Find how the covariance of beta varies, from the curvature of the criterion at the fit.

    The parameters are theta, in which a variance of zero is no edge: the criterion is even in it,
    so that it changes nothing and is left out, and log sigma^2. One factorization a step to each
    side of the optimum gives second derivatives of the criterion and first ones of C, whatever the
    number of rows.

    Parameters
    ----------
    fit : Fit
        A linear mixed model, by REML or ML.

    Returns
    -------
    Spread
        Covariance and changes.

    Raises
    ------
    ValueError
        If the fit is not at its optimum.

    References
    ----------
    Satterthwaite (1946), Biometrics Bulletin 2, 110-114; Fai and Cornelius (1996), Journal of
    Statistical Computation and Simulation 54, 363-378; Kuznetsova, Brockhoff and Christensen
    (2017), Journal of Statistical Software 82(13).

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> sleep = ms.load_sleepstudy()
    >>> spread = satterthwaite(ms.lmm_formula("reaction ~ days + (1 | subject)", sleep))
    >>> round(spread.degrees(np.array([0.0, 1.0])), 2)  # rows less 18 subjects and a slope
    161.0
    """
    A, reml, known = fit.factorization.A, fit.method == "REML", fit.model.sigma
    scale = fit.scales.y_scale
    T = [
        _echelon(T_f) if isinstance(covariance, Full) else T_f
        for T_f, covariance in zip(fit.factorization.T, A.covariances, strict=True)
    ]
    f = A.factorize(T)
    s2 = f.residual_variance(reml, None if known is None else (known / scale) ** 2)

    def slope(at: Factorization, variance: float) -> FloatArray:
        return pack_slopes(at.gradient(reml, variance), A.covariances)

    def covariance(at: Factorization) -> FloatArray:
        return scale**2 * s2 * at.covariance_of_beta(fit.problem.K)

    theta = pack(T, A.covariances)
    unit = unit_steps(T, f.degrees_of_freedom(reml), A.covariances) if len(theta) else theta
    C, m, p = covariance(f), len(theta), len(fit.beta)
    # of d(theta, log sigma^2) = log dets + N log sigma^2 + r^2 / sigma^2, and of C
    first, H, slopes = np.zeros(m + 1), np.zeros((m + 1, m + 1)), np.zeros((m + 1, p, p))
    for i, step in enumerate(STEP * np.diag(unit)):
        ahead, behind = (A.factorize(unpack(theta + s, A.covariances)) for s in (step, -step))
        H[:m, i] = unit * (slope(ahead, s2) - slope(behind, s2)) / (2 * STEP)
        slopes[i] = (covariance(ahead) - covariance(behind)) / (2 * STEP)
    here = slope(f, s2)
    first[:m] = unit * here
    if known is None:
        N = A.n - A.p if reml else A.n
        # d/dtheta of r^2 / sigma^2, the part of the slope that halves when sigma^2 doubles
        H[m, :m] = H[:m, m] = 2 * unit * (slope(f, 2 * s2) - here) / np.sqrt(N)
        H[m, m], slopes[m] = 1.0, C / np.sqrt(N)
    curvature, directions = np.linalg.eigh((H + H.T) / 2)
    steep = curvature > FLAT
    root = directions[:, steep] / np.sqrt(curvature[steep])
    if curvature.min() < -FLAT or np.sum((first @ root) ** 2) > 2 * DECREASE:
        raise ValueError(
            "the criterion is not at its lowest at the theta of this fit, so its curvature does "
            'not say how sure the variances are; fit without a given theta, or use "normal"'
        )
    _nothing_changes(C, np.tensordot(directions[:, ~steep].T, slopes, 1))
    # A = 2 H^-1 = (sqrt(2) root) (sqrt(2) root)'
    return Spread(C, C, np.sqrt(2) * np.tensordot(root.T, slopes, 1))


def _satterthwaite_with_ranges(fit: Fit) -> Spread:
    """Find the same where ranges are among the parameters, from differences of the deviance."""
    space = space_of(fit, fit.method == "REML")
    chart, free = space.whole()
    moving = np.abs(free.x) > 0  # a variance of zero stays there
    chart, x = chart._replace(directions=chart.directions[:, moving]), free.x[moving]

    def covariance(x: FloatArray) -> FloatArray:
        surface, psi = space.surface.inner(chart.origin + chart.directions @ x)
        assert isinstance(surface, LinearSurface)
        f, sigma = surface.factorize(psi)
        return (fit.scales.y_scale * sigma) ** 2 * f.covariance_of_beta(fit.problem.K)

    H, columns = chart.curvature(x)
    changes = [covariance(x + step) - covariance(x - step) for step in DIFFERENCE * columns.T]
    C, slopes = covariance(x), np.array(changes) / (2 * DIFFERENCE)
    L = cholesky(
        H,
        "the criterion is not at its lowest at the parameters of this fit, so its curvature does "
        'not say how sure the variances are; use "normal"',
    )
    # A = 2 H^-1
    root = solve_lower(L, slopes.reshape(len(x), -1)).reshape(slopes.shape)
    return Spread(C, C, np.sqrt(2) * root)


def _nothing_changes(C: FloatArray, changes: FloatArray) -> None:
    """Raise if C moves in a direction that the data say nothing of."""
    se = np.sqrt(np.diag(C))
    if np.abs(changes / np.outer(se, se)).max(initial=0.0) > UNSURE:
        raise ValueError(
            "the data say nothing of a variance that the standard errors are made of, as when a "
            "factor has as many levels as there are columns of X that are constant in each; leave "
            "out the term, or such columns"
        )


def _echelon(T: FloatArray) -> FloatArray:
    """Turn T, which changes no covariance T T', so that its columns of zeros come last."""
    # A variance of zero before others would hide how covariances with it may grow.
    T, column = T.copy(), 0
    for row in range(len(T)):
        if np.any(T[row, column:] != 0):
            Q, _ = np.linalg.qr(T[row, column:, None], mode="complete")
            T[:, column:] = T[:, column:] @ Q
            T[row, column + 1 :] = 0.0
            column += 1
    return T


# ---- Kenward and Roger ----


def kenward_roger(fit: Fit) -> Spread:
    """Adjust the covariance of beta, and find how it varies, by the expected information.

    The parameters are the variances and covariances of the effects, and sigma^2; V is linear in
    them. All is computed from the cross-products of Z and X: V itself is never formed.

    Parameters
    ----------
    fit : Fit
        A linear mixed model, by REML.

    Returns
    -------
    Spread
        Covariance and changes.

    Raises
    ------
    ValueError
        If the fit is by ML, Z has more than 4,000 columns, or a term has a sparse precision.

    References
    ----------
    Kenward and Roger (1997), Biometrics 53, 983-997; Halekoh and Hojsgaard (2014), Journal of
    Statistical Software 59(9).

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> sleep = ms.load_sleepstudy()
    >>> spread = kenward_roger(ms.lmm_formula("reaction ~ days + (days | subject)", sleep))
    >>> round(spread.degrees(np.array([0.0, 1.0])), 6)  # a slope for each of 18 subjects
    17.0
    """
    if fit.method != "REML":
        raise ValueError(
            f'df "kenward-roger" is for fits by REML, and this is one by {fit.method}; use '
            'fit.refit("REML")'
        )
    q = sum(factor.shape.size for factor in fit.problem.factors)
    if q > DENSE_EFFECTS:
        raise ValueError(
            f'df "kenward-roger" takes matrices of {q} x {q} here, as many rows as there are '
            f'random effects, and its limit is {DENSE_EFFECTS}; "satterthwaite" has no limit'
        )
    if any(factor.shape.structure for factor in fit.problem.factors):
        raise ValueError(
            'df "kenward-roger" takes the whole covariance of the levels, and the model has a term '
            'with a sparse precision of many; use "satterthwaite"'
        )
    known, scale = fit.model.sigma, fit.scales.y_scale
    s2 = fit.factorization.residual_variance(True, None if known is None else (known / scale) ** 2)
    M, N, XVX = _weighted_products(fit, s2)
    terms = _terms(fit)
    gamma = s2 * np.array([variance for term in terms for variance in term.parameters])
    m, p, n = len(gamma), len(XVX), fit.n

    # With V_r = dV/dgamma_r:  X_r = X'V^-1 V_r V^-1 X = -P_r,  Q_rs = X'V^-1 V_r V^-1 V_s V^-1 X,
    # K_rs = tr(V^-1 V_r V^-1 V_s),  k_r = tr(V^-1 V_r)
    residual = int(known is None)
    X, k = np.zeros((m + residual, p, p)), np.zeros(m + residual)
    Q, K = np.zeros((m + residual, m + residual, p, p)), np.zeros((m + residual,) * 2)
    for one in terms:
        N_one = one.folded(N)
        EN = np.einsum("rab,jbp->rjap", one.E, N_one)
        X[one.at] = np.einsum("jap,rjaq->rpq", N_one, EN)
        diagonal = M[one.rows, one.rows].reshape(one.levels, one.k, one.levels, one.k)
        k[one.at] = np.einsum("jajb,rba->r", diagonal, one.E)
        for other in terms:
            block = M[one.rows, other.rows].reshape(one.levels, one.k, other.levels, other.k)
            pairs = block.transpose(1, 3, 0, 2).reshape(one.k * other.k, -1)
            G = (pairs @ pairs.T).reshape(one.k, other.k, one.k, other.k)
            K[one.at, other.at] = np.einsum("abcd,rac,sbd->rs", G, one.E, other.E)
            E_other = np.einsum("sab,jbp->sjap", other.E, other.folded(N))
            across = np.einsum("iajb,sjbq->siaq", block, E_other, optimize=True)
            Q[one.at, other.at] = np.einsum("riap,siaq->rspq", EN, across)
    if residual:
        # sigma^2 V_e = V - sum gamma_s V_s
        K[m, :m] = K[:m, m] = (k[:m] - K[:m, :m] @ gamma) / s2
        k[m] = (n - k[:m] @ gamma) / s2
        K[m, m] = (k[m] - K[m, :m] @ gamma) / s2
        Q[:m, m] = (X[:m] - np.tensordot(gamma, Q[:m, :m], (0, 1))) / s2
        Q[m, :m] = Q[:m, m].swapaxes(1, 2)
        X[m] = (XVX - np.tensordot(gamma, X[:m], 1)) / s2
        Q[m, m] = (X[m] - np.tensordot(gamma, Q[:m, m], 1)) / s2
    # C_r = Phi X_r Phi, the change of Phi = (X'V^-1 X)^-1 with gamma_r
    Phi = inverse(cholesky(XVX))
    C = Phi @ X @ Phi
    # I_rs = (K_rs - 2 tr(Phi Q_rs) + tr(Phi X_r Phi X_s)) / 2,  W = I^-1
    information = K / 2 - np.einsum("pq,rsqp->rs", Phi, Q) + np.einsum("rpq,sqp->rs", C, X) / 2
    unit = np.sqrt(np.diag(K) / 2)
    curvature, directions = np.linalg.eigh(information / np.outer(unit, unit))
    directions = directions.T / unit
    told = curvature > UNTOLD
    _nothing_changes(Phi, np.tensordot(directions[~told], C, 1))
    root = directions[told] / np.sqrt(curvature[told, None])
    # Phi_A = Phi + 2 Phi (sum W_rs (Q_rs - X_r Phi X_s)) Phi  (eq-sure-kr)
    twice = np.einsum("hr,hs,rspq->pq", root, root, Q, optimize=True)
    slopes = np.tensordot(root, C, 1)
    bias = Phi @ twice @ Phi - np.einsum("hpq,qs,hst->pt", slopes, XVX, slopes)
    outward = scale * fit.problem.K
    adjusted = outward @ (Phi + (bias + bias.T)) @ outward.T
    return Spread(adjusted, outward @ Phi @ outward.T, outward @ slopes @ outward.T, expected=True)


class _Term(NamedTuple):
    """One term of Z, its levels and effects, and the parameters of its covariance."""

    rows: slice
    levels: int
    k: int
    at: slice  # its parameters among all
    E: FloatArray  # change of the covariance of a level with each parameter
    parameters: FloatArray  # over sigma^2

    def folded(self, N: FloatArray) -> FloatArray:
        return N[self.rows].reshape(self.levels, self.k, -1)


def _terms(fit: Fit) -> list[_Term]:
    terms, row, at = [], 0, 0
    for factor, T in zip(fit.problem.factors, fit.factorization.T, strict=True):
        levels, k, covariance = factor.shape.levels, factor.shape.k, factor.shape.covariance
        if isinstance(covariance, Scalar):  # as many levels with one effect
            levels, k, T = levels * k, 1, T[:1, :1]
        a, b = np.arange(k), np.arange(k)
        if not isinstance(covariance, Diagonal):
            a, b = np.tril_indices(k)
        E = np.zeros((len(a), k, k))
        E[np.arange(len(a)), a, b] = E[np.arange(len(a)), b, a] = 1.0
        rows, own = slice(row, row + levels * k), slice(at, at + len(a))
        terms.append(_Term(rows, levels, k, own, E, (T @ T.T)[a, b]))
        row, at = rows.stop, own.stop
    return terms


def _weighted_products(fit: Fit, s2: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Z'V^-1 Z, Z'V^-1 X and X'V^-1 X, in inner units."""
    factors, X, w = fit.problem.factors, fit.problem.X, fit.model.weights
    WX = X if w is None else w[:, None] * X
    if not factors:
        return np.empty((0, 0)), np.empty((0, X.shape[1])), X.T @ WX / s2
    Z = indicators(factors, np.arange(fit.n), fit.n, None)
    ZZ = (Z.T @ (Z if w is None else Z.multiply(w[:, None]))).toarray()
    ZX = Z.T @ WX
    Lambda = scipy.sparse.block_diag(
        [
            scipy.sparse.kron(scipy.sparse.eye_array(factor.shape.levels), T)
            for factor, T in zip(factors, fit.factorization.T, strict=True)
        ],
        format="csr",
    )
    # V^-1 = (W - W Z Lambda (Lambda'Z'WZ Lambda + I)^-1 Lambda'Z'W) / sigma^2
    LZZ = np.asarray(Lambda.T @ ZZ)
    L = cholesky(np.asarray((Lambda.T @ LZZ.T).T) + np.eye(len(ZZ)))
    half_Z, half_X = solve_lower(L, LZZ), solve_lower(L, np.asarray(Lambda.T @ ZX))
    M = (ZZ - half_Z.T @ half_Z) / s2
    return M, (ZX - half_Z.T @ half_X) / s2, (X.T @ WX - half_X.T @ half_X) / s2
