"""Intervals of predictions: for the mean of a group, or for its next observation (chapter 13).

The linear predictor of a new row is eta = x'beta + z'b. Its error has two parts: that of b if beta
were known, and that of beta, which moves b too.

    Var(eta_hat - eta) = sigma^2 q'H^-1 q + (x - B'q)' Var(beta_hat) (x - B'q)

with q = Lambda'z, H = Lambda'Z'WZ Lambda + I and B = H^-1 Lambda'Z'WX. The variances are taken as
known, at their estimates. A group that the model does not know has its whole variance.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from mixedsmooth._checks import choice, for_each_row, locked, share
from mixedsmooth._tables import Table
from mixedsmooth.inference.simulation import has_distribution
from mixedsmooth.model.families import Binomial, Family
from mixedsmooth.model.fit import Fit, GeneralizedFit
from mixedsmooth.model.laplace import LEAST_WEIGHT
from mixedsmooth.model.parts import Data, SmoothPart, read
from mixedsmooth.model.summary import Printed, Summary

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
Kind = Literal["confidence", "prediction"]

FAR = 8.0  # standard deviations of a linear predictor, beyond which it is not looked at
COARSE, FINE = 0.5, 0.004  # steps between
HALVINGS = 60  # of the interval in which a quantile is looked for
LARGEST = 1e100  # of a mean
SHOWN = 20  # predictions that are printed
UNCOUNTED = 1e15  # a whole number beyond which there are no digits for the next


@dataclass(frozen=True, eq=False, repr=False)
class PredictionIntervals(Printed):
    """Predictions with intervals.

    Attributes
    ----------
    value : ndarray, shape (m,)
        Predictions, as `predict` gives them; for the next count of successes, of as many trials.
    se : ndarray, shape (m,)
        Standard deviations of the errors of prediction: of the linear predictor in a generalized
        model, with the error of an observation in a linear one where that is predicted.
    lower, upper : ndarray, shape (m,)
        Ends of the intervals.
    level : float
        Coverage, between 0 and 1.
    kind : {"confidence", "prediction"}
        For a mean, or for an observation.

    Examples
    --------
    >>> two = np.array([1.0, 2.0])
    >>> PredictionIntervals(two, two, two - 2, two + 2, 0.95, "confidence")
    95 % confidence intervals of 2 predictions
    <BLANKLINE>
    Value  SE  Lower  Upper
        1   1     -1      3
        2   2      0      4
    """

    value: FloatArray
    se: FloatArray
    lower: FloatArray
    upper: FloatArray
    level: float
    kind: Kind

    def __post_init__(self) -> None:
        """Make the arrays read-only."""
        for values in (self.value, self.se, self.lower, self.upper):
            locked(values)

    def to_pandas(self) -> "pd.DataFrame":
        """Return a data frame with a row for each prediction, which needs pandas."""
        import pandas as pd

        names = ("value", "se", "lower", "upper")
        return pd.DataFrame({name: getattr(self, name) for name in names})

    def _summary(self) -> Summary:
        columns = np.column_stack([self.value, self.se, self.lower, self.upper])
        rows = tuple(tuple(f"{value:.5g}" for value in row) for row in columns[:SHOWN])
        title = f"{100 * self.level:.6g} % {self.kind} intervals of {len(columns)} predictions"
        more = (f"The first {SHOWN} rows",) if len(columns) > SHOWN else ()
        return Summary(title, (Table("", ("Value", "SE", "Lower", "Upper"), rows, labels=0),), more)


def predict_interval(
    fit: Fit,
    data: Data,
    level: float = 0.95,
    kind: Kind = "confidence",
    new_levels: Literal["error", "population"] = "error",
    offset: ArrayLike | None = None,
    trials: ArrayLike | None = None,
) -> PredictionIntervals:
    """Predict with intervals, as `Fit.predict_interval` tells.

    Parameters
    ----------
    fit : Fit
        Any fit.
    data : mapping of str to array_like
        Columns by the names that the terms were given.
    level : float
        Coverage.
    kind : {"confidence", "prediction"}
        For the mean, or for an observation.
    new_levels : {"error", "population"}
        What to do with a label that the model does not know.
    offset : array_like, optional
        Known part of the linear predictor of the new rows.
    trials : array_like, optional
        Trials of the new rows.

    Returns
    -------
    PredictionIntervals
        The predictions and their intervals.

    Raises
    ------
    ValueError
        As `Fit.predict_interval`.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> epil = ms.load_epil()
    >>> fit = ms.glmm(epil.y, ms.linear(lbase=epil.lbase), ms.group(subject=epil.subject))
    >>> new = {"lbase": [0.0, 1.0], "subject": ["1", "somebody new"]}
    >>> seizures = predict_interval(fit, new, kind="prediction", new_levels="population")
    >>> print(seizures.value.round(1), seizures.lower, seizures.upper)
    [ 6.9 13.8] [2. 3.] [14. 43.]
    """
    level = share("level", level)
    choice("kind", kind, ("confidence", "prediction"))
    mean_only = kind == "confidence"
    if not isinstance(fit, GeneralizedFit):
        _no_trials(trials, "the model has no binomial response")
        value = fit.predict(data, new_levels=new_levels, offset=offset)
        error = 0.0 if mean_only else fit.sigma**2
        se = np.sqrt(error_variances(fit, data) + error)
        half = float(ndtri((1 + level) / 2)) * se
        return PredictionIntervals(value, se, value - half, value + half, level, kind)
    if not (mean_only or has_distribution(fit)):
        raise ValueError(
            "the fit has a residual scale beside its family, and no distribution has that; use "
            'kind="confidence", or family "negative-binomial"'
        )
    eta = fit.predict(data, new_levels=new_levels, offset=offset, scale="link")
    se = np.sqrt(error_variances(fit, data))
    family = fit.family
    if isinstance(family, Binomial) and not mean_only:
        if trials is None and not family.binary:
            raise ValueError("trials of the new rows are needed to predict their successes")
        m = for_each_row("trials", 1.0 if trials is None else trials, len(eta))
        family = replace(family, trials=m)
    else:
        _no_trials(trials, "trials are for the next successes of a binomial")
    value = family.mean(eta)
    if mean_only:
        half = float(ndtri((1 + level) / 2)) * se
        ends = [_mean(family, eta + side * half) for side in (-1, 1)]
        lower, upper = np.minimum(*ends), np.maximum(*ends)
    else:
        value = family.scale * value
        tails = (1 - level) / 2, (1 + level) / 2
        rows = [_quantiles(_of_row(family, i), eta[i], se[i], tails) for i in range(len(eta))]
        lower, upper = np.array(rows).reshape(-1, 2).T
    return PredictionIntervals(value, se, lower, upper, level, kind)


def _no_trials(trials: ArrayLike | None, why: str) -> None:
    if trials is not None:
        raise ValueError(f"trials cannot be given: {why}")


# ---- variances of linear predictors ----


def error_variances(fit: Fit, data: Data) -> FloatArray:
    """Variances of the errors of linear predictors, with those of groups that are not known.

    Parameters
    ----------
    fit : Fit
        Any fit.
    data : mapping of str to array_like
        New rows, by the names that the terms were given.

    Returns
    -------
    ndarray, shape (m,)
        Var(eta_hat - eta), at the estimated variances.

    References
    ----------
    Henderson (1975), Biometrics 31, 423-447.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> fit = ms.lmm([1.0, 3.0, 6.0], sigma=2.0)
    >>> print(error_variances(fit, {"any": [0]}).round(4))  # of a mean: 4 / 3
    [1.3333]
    """
    model, problem, f = fit.model, fit.problem, fit.factorization
    parts = [*model.fixed, *(part for g in model.groups for part in g.parts)]
    inputs = [each for g in model.groups for each in g.factor_inputs]
    frame = read(data, inputs + [each for part in parts for each in part.inputs], model.frame.made)
    X = np.column_stack([column for part in model.fixed for column in part.columns(frame)])
    codes, q, variance = [], [], np.zeros(frame.n)
    for g, T, back, random in zip(
        model.groups, f.T, problem.back, fit.random.values(), strict=True
    ):
        Z, of_row = np.column_stack(g.columns(frame)), g.codes(frame)
        new = of_row < 0
        # z' Var(b) z of a level that is not known
        variance[new] += _squares(Z[new], random.cov)
        if isinstance(part := g.parts[0], SmoothPart):
            variance += random.cov[0, 0] * part.beyond(frame)
        # q = Lambda'z in scaled columns
        q.append(np.where(new[:, None], 0.0, Z @ back @ T))
        codes.append(of_row)
    if not codes:
        return _squares(X, fit.cov_beta)
    B = _effects_of_beta(fit)
    Q = np.concatenate(q, axis=1)
    moved = np.empty_like(X)
    levels = np.stack(codes, axis=1)
    distinct, which = np.unique(levels, axis=0, return_inverse=True)
    for c, chosen in enumerate(distinct):
        rows = which.reshape(-1) == c
        inverse = _inverse_at(fit, chosen)
        variance[rows] += fit.sigma**2 * _squares(Q[rows], inverse)
        at = np.concatenate([B_f[level] for B_f, level in zip(B, chosen, strict=True)])
        moved[rows] = X[rows] - Q[rows] @ at
    # sigma^2 q'H^-1 q + (x - B'q)' Var(beta_hat) (x - B'q)  (eq-sure-predict)
    return variance + _squares(moved, fit.cov_beta)


def _squares(rows: FloatArray, M: FloatArray) -> FloatArray:
    """Compute r'M r for each row r."""
    return np.asarray(np.einsum("ia,ab,ib->i", rows, M, rows))


def _effects_of_beta(fit: Fit) -> list[FloatArray]:
    """B = H^-1 Lambda'Z'WX of each term, by the user's beta: shapes (m, k, p)."""
    problem, f = fit.problem, fit.factorization
    w = _weights(fit)
    columns = []
    for x in problem.X.T:
        wx = x if w is None else w * x
        q = [factor.sums(wx) @ T for factor, T in zip(problem.factors, f.T, strict=True)]
        columns.append(f.solve_spherical(q))
    # the user's X times K is the scaled X
    B = [np.stack(of_term, axis=2) for of_term in zip(*columns, strict=True)]
    return [np.linalg.solve(problem.K.T, B_f[..., None])[..., 0] for B_f in B]


def _inverse_at(fit: Fit, chosen: Sequence[int]) -> FloatArray:
    """Rows and columns of H^-1 that belong to one level of each term."""
    shapes = fit.factorization.A.shapes
    columns = []
    for term, shape in enumerate(shapes):
        for a in range(shape.k):
            q = [np.zeros((of.levels, of.k)) for of in shapes]
            q[term][chosen[term], a] = 1.0
            u = fit.factorization.solve_spherical(q)
            columns.append(np.concatenate([u_f[c] for u_f, c in zip(u, chosen, strict=True)]))
    return np.stack(columns, axis=1)


def _weights(fit: Fit) -> FloatArray | None:
    """Weights of the rows in the factorization of a fit."""
    if not isinstance(fit, GeneralizedFit):
        return fit.model.weights
    each = 1.0 if fit.model.weights is None else fit.model.weights
    y, eta = fit.model.y, fit._linear_predictor
    if fit.method == "pql":  # a shape is in sigma there
        return each * np.maximum(fit.family.at(np.zeros(1)).moments(y, eta).expected, LEAST_WEIGHT)
    w = each * fit.family.moments(y, eta).weight
    return np.where(w == 0, LEAST_WEIGHT, w)


# ---- observations of a generalized model ----


def _mean(family: Family, eta: FloatArray) -> FloatArray:
    """Mean of y over the scale; infinite where an inverse link has none."""
    if family.link != "inverse":
        return family.mean(eta)
    return np.where(eta > 0, family.mean(np.where(eta > 0, eta, 1.0)), np.inf)


def _of_row(family: Family, i: int) -> Family:
    return replace(family, trials=family.trials[[i]]) if isinstance(family, Binomial) else family


def _quantiles(
    family: Family, eta: float, se: float, probabilities: Sequence[float]
) -> list[float]:
    """Quantiles of a y whose linear predictor is normal."""
    # P(Y <= y) rises over about one sd of y. With steps of that length and less the trapezoidal
    # rule is exact to exp(-2 pi^2).
    around = eta + se * np.linspace(-4, 4, 9)
    around = around[around > 0] if family.link == "inverse" else around
    mean = np.minimum(family.scale * family.mean(around), LARGEST)
    information = family.moments(mean, around).expected
    rise = 1 / (se * np.sqrt(information.max()) + 1 / LARGEST)
    steps = np.arange(-FAR, FAR, np.clip(rise, FINE, COARSE))
    weights = np.exp(-(steps**2) / 2)
    weights /= weights.sum()
    places = eta + se * steps
    if family.link == "inverse":  # beyond zero the mean is infinite
        places = np.maximum(places, 1 / LARGEST)

    def below(y: float) -> float:
        return float(weights @ family.cdf(np.array(y), places))

    find = _whole_quantile if family.discrete else _quantile
    return [find(below, p, float(np.median(mean))) for p in probabilities]


def _whole_quantile(below: Callable[[float], float], p: float, guess: float) -> float:
    """Smallest whole number y with P(Y <= y) >= p; infinite beyond 1e15."""
    low, high = -1.0, min(np.ceil(guess), UNCOUNTED)
    while below(high) < p:
        low, high = high, 2 * high + 1
        if high > UNCOUNTED:
            return np.inf
    while high - low > 1:
        middle = np.floor((low + high) / 2)
        low, high = (low, middle) if below(middle) >= p else (middle, high)
    return float(high)


def _quantile(below: Callable[[float], float], p: float, guess: float) -> float:
    """Y with P(Y <= y) = p, between powers of two and then by halving its logarithm."""
    high = guess
    while below(high) < p and high < LARGEST:
        high *= 2
    low = high / 2
    while below(low) >= p and low > 1 / LARGEST:
        low /= 2
    for _ in range(HALVINGS):
        middle = np.sqrt(low * high)
        low, high = (low, middle) if below(middle) >= p else (middle, high)
    return float(high)
