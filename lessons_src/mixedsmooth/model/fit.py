"""The result of a fit: frozen, with summaries in text and HTML, and predictions.

What the optimum alone determines is stored; everything else is computed when it is asked for, and
kept. Inside, columns are centered and scaled; `Scales` maps back.
"""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import scipy.linalg
import scipy.special
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import as_vector
from mixedsmooth.model import blocked, sparse
from mixedsmooth.model.blocked import Factorized, Products, Shape, deviance, pack, residual_variance
from mixedsmooth.model.terms import (
    Covariate,
    Data,
    Group,
    Linear,
    Spline,
    codes_at,
    effect_columns,
    effect_names,
)

if TYPE_CHECKING:
    import pandas as pd

FloatArray = NDArray[np.float64]
Method = Literal["REML", "ML", "GCV"]


@dataclass(frozen=True, eq=False)
class Model:
    """What was asked for: the data and the terms.

    Attributes
    ----------
    y : ndarray, shape (n,)
        Response.
    intercept : bool
        Whether X has a column of ones.
    covariates : tuple of Covariate
        The other columns of X.
    groups : tuple of Group
        Random-effects terms in the user's order, which is that of theta.
    weights : ndarray, shape (n,), or None
        Weights of the rows.
    sigma : float or None
        The residual standard deviation, where it is known.
    """

    y: FloatArray
    intercept: bool
    covariates: tuple[Covariate, ...]
    groups: tuple[Group, ...]
    weights: FloatArray | None
    sigma: float | None

    @cached_property
    def fixed_names(self) -> list[str]:
        """Names of the columns of X."""
        ones = ["(Intercept)"] if self.intercept else []
        return ones + [name for covariate in self.covariates for name in covariate.names]

    @cached_property
    def group_names(self) -> list[str]:
        """Names of the terms: the factor, with .1, .2, ... when it occurs again."""
        factors = [g.factor for g in self.groups]
        seen = [factors[:i].count(factor) for i, factor in enumerate(factors)]
        return [f"{f}.{i}" if i else f for f, i in zip(factors, seen, strict=True)]

    @cached_property
    def shapes(self) -> list[Shape]:
        """Shapes of the terms, in the user's order."""
        return [
            Shape(len(g.levels), len(effect_names(g)), g.correlated, g.scalar) for g in self.groups
        ]

    @cached_property
    def order(self) -> list[int]:
        """Positions of the terms in the blocks: the head is the one with most levels."""
        sizes = [(shape.levels, shape.effects) for shape in self.shapes]
        head = sizes.index(max(sizes))
        return [head, *(i for i in range(len(sizes)) if i != head)]


@dataclass(frozen=True, eq=False)
class Scales:
    """How the inner, centered and scaled columns relate to the user's.

    Attributes
    ----------
    beta_0 : ndarray, shape (p,)
        Least-squares coefficients, which are taken out of y before anything else.
    y_scale : float
        y = X beta_0 + y_scale times the inner y.
    K : ndarray, shape (p, p)
        The inner X is X K.
    B : tuple of ndarray, each of shape (k, k)
        The inner effects of a level are B b / y_scale, for each term in the user's order.
    criterion : float
        What to add to the inner criterion.
    """

    beta_0: FloatArray
    y_scale: float
    K: FloatArray
    B: tuple[FloatArray, ...]
    criterion: float

    def outward(self, T: Sequence[FloatArray], model: Model) -> list[FloatArray]:
        """Map the inner T, head first, to the user's T in the user's order."""
        back: list[FloatArray] = [np.empty(0)] * len(T)
        for i, inner in zip(model.order, T, strict=True):
            back[i] = _triangle(np.linalg.solve(self.B[i], inner))
        return back

    def inward(self, T: Sequence[FloatArray], model: Model) -> list[FloatArray]:
        """Map the user's T to the inner T, head first."""
        return [_triangle(self.B[i] @ T[i]) for i in model.order]


@dataclass(frozen=True, eq=False)
class RandomEffects:
    """The random effects of one term.

    Attributes
    ----------
    name : str
        Name of the grouping factor.
    levels : ndarray, shape (m,)
        Its labels.
    names : list of str
        Names of the k effects of a level.
    cov : ndarray, shape (k, k)
        Covariance of the effects of a level.
    effects : ndarray, shape (m, k)
        Predicted effects (BLUPs), a row for each level.
    conditional : callable
        Computes `conditional_cov`, when it is asked for: in large models it is most of the work.
    """

    name: str
    levels: NDArray[Any]
    names: list[str]
    cov: FloatArray
    effects: FloatArray
    conditional: Callable[[], FloatArray]

    @cached_property
    def conditional_cov(self) -> FloatArray:
        """Covariance of the effects given y at the estimated parameters, shape (m, k, k)."""
        return self.conditional()

    @property
    def sd(self) -> FloatArray:
        """Standard deviations of the effects, shape (k,)."""
        return np.sqrt(np.diag(self.cov))

    @property
    def corr(self) -> FloatArray:
        """Correlations of the effects, shape (k, k); NaN where a variance is zero."""
        scale = np.outer(self.sd, self.sd)
        return np.divide(self.cov, scale, out=np.full_like(scale, np.nan), where=scale > 0)

    @property
    def conditional_sd(self) -> FloatArray:
        """Conditional standard deviations of the effects, shape (m, k)."""
        return np.sqrt(np.diagonal(self.conditional_cov, axis1=1, axis2=2))

    def to_pandas(self) -> "pd.DataFrame":
        """Return the effects as a data frame, levels as index, which needs pandas."""
        import pandas as pd

        index = pd.Index(self.levels, name=self.name)
        return pd.DataFrame(self.effects, index=index, columns=self.names)


@dataclass(frozen=True, eq=False)
class Curve:
    """A fitted smooth over a grid.

    Attributes
    ----------
    label : str
        Name of the smooth.
    x : ndarray, shape (m,)
        The grid.
    value : ndarray, shape (m,)
        The curve, in the units of y.
    se : ndarray, shape (m,)
        Pointwise standard errors: of the curve given y, with the straight line and the intercept
        estimated and the variances taken as known.
    edf : float
        Effective degrees of freedom, the straight line included.
    """

    label: str
    x: FloatArray
    value: FloatArray
    se: FloatArray
    edf: float

    def interval(self, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Return lower and upper ends of pointwise intervals.

        Parameters
        ----------
        level : float
            Coverage, between 0 and 1.

        Returns
        -------
        lower, upper : ndarray, shape (m,)
            The ends.

        Raises
        ------
        ValueError
            If `level` is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise ValueError(f"level must be between 0 and 1, found {level}")
        half = float(scipy.special.ndtri((1 + level) / 2)) * self.se
        return self.value - half, self.value + half


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted linear mixed model.

    Attributes
    ----------
    model : Model
        Data and terms.
    scales : Scales
        How inner columns relate to the user's.
    method : {"REML", "ML", "GCV"}
        What was optimized.
    products : Products
        Cross-products of the inner columns.
    factorization : Factorized
        Their factorization at the optimum.
    converged : bool
        Whether another step would lower the criterion by less than 1e-6.
    reason : str
        Why the search ended.
    evaluations : int
        How often the criterion and its gradient were computed.
    """

    model: Model
    scales: Scales
    method: Method
    products: Products
    factorization: Factorized
    converged: bool
    reason: str
    evaluations: int

    @property
    def _engine(self) -> ModuleType:
        return engine_of(self.products)

    # ---- parameters ----

    @property
    def names(self) -> list[str]:
        """Names of the fixed effects."""
        return self.model.fixed_names

    @property
    def theta(self) -> FloatArray:
        """Entries of the relative covariance factors, term by term, column by column."""
        return pack(self._factors, self.model.shapes)

    @cached_property
    def _factors(self) -> list[FloatArray]:
        return self.scales.outward(self.factorization.T, self.model)

    @property
    def n(self) -> int:
        """Number of rows."""
        return self.products.n

    @cached_property
    def sigma(self) -> float:
        """Residual standard deviation, in the units of y."""
        if self.method == "GCV":
            rss, edf = self._residual_and_degrees
            return self.scales.y_scale * float(np.sqrt(rss / (self.n - edf)))
        if self.model.sigma is not None:
            return self.model.sigma
        variance = residual_variance(self.products, self.factorization, self.method == "REML")
        return self.scales.y_scale * float(np.sqrt(variance))

    @cached_property
    def _residual_and_degrees(self) -> tuple[float, float]:
        return residual_and_degrees(self.products, self.factorization)

    @cached_property
    def _solution(self) -> tuple[FloatArray, list[FloatArray]]:
        """Beta and b in the user's units and order."""
        inner_beta, inner_u = self._engine.solve(self.products, self.factorization)
        inner_b = [u @ T.T for u, T in zip(inner_u, self.factorization.T, strict=True)]
        beta = self.scales.beta_0 + self.scales.y_scale * (self.scales.K @ inner_beta)
        b = [
            self.scales.y_scale * np.linalg.solve(B, effects.T).T
            for B, effects in zip(self.scales.B, self._in_user_order(inner_b), strict=True)
        ]
        return beta, b

    @property
    def beta(self) -> FloatArray:
        """Fixed effects, shape (p,)."""
        return self._solution[0]

    @cached_property
    def cov_beta(self) -> FloatArray:
        """Covariance of the fixed effects, shape (p, p)."""
        L_X = self.factorization.L_X(self.products.p)
        # sigma^2 (L_X L_X')^-1 = (sigma L_X^-1)' (sigma L_X^-1), mapped by K
        root = scipy.linalg.solve_triangular(L_X, self.scales.K.T * self.sigma, lower=True)
        covariance: FloatArray = root.T @ root
        return covariance

    @property
    def se(self) -> FloatArray:
        """Standard errors of the fixed effects, shape (p,)."""
        return np.sqrt(np.diag(self.cov_beta))

    # ---- likelihood ----

    @cached_property
    def criterion(self) -> float:
        """Minus twice the log-likelihood or restricted log-likelihood; or the GCV score."""
        if self.method == "GCV":
            rss, edf = self._residual_and_degrees
            return self.scales.y_scale**2 * self.n * rss / (self.n - edf) ** 2
        known = self.model.sigma
        variance = None if known is None else (known / self.scales.y_scale) ** 2
        inner = deviance(self.products, self.factorization, self.method == "REML", variance)
        return inner + self.scales.criterion

    @property
    def loglik(self) -> float:
        """(Restricted) log-likelihood; not a number for a fit by GCV, which has none."""
        return np.nan if self.method == "GCV" else -self.criterion / 2

    @property
    def npar(self) -> int:
        """Number of parameters: beta, theta, and sigma unless it is known."""
        return len(self.names) + len(self.theta) + (self.model.sigma is None)

    @property
    def aic(self) -> float:
        """Akaike's criterion, -2 loglik + 2 npar."""
        return -2 * self.loglik + 2 * self.npar

    @property
    def bic(self) -> float:
        """Schwarz's criterion, -2 loglik + log(n) npar."""
        return -2 * self.loglik + float(np.log(self.n)) * self.npar

    @property
    def on_boundary(self) -> bool:
        """Whether a covariance matrix is singular: a variance of zero, or a correlation of +-1."""
        # the zeros are exact in the inner units; to center a covariate rounds
        return any(bool(np.any(np.diag(T) == 0)) for T in self.factorization.T)

    # ---- random effects ----

    @cached_property
    def random(self) -> dict[str, RandomEffects]:
        """The random effects of each term, by the name of its factor."""
        random = {}
        for i, (name, g) in enumerate(zip(self.model.group_names, self.model.groups, strict=True)):
            random[name] = RandomEffects(
                name=g.factor,
                levels=g.levels,
                names=effect_names(g),
                cov=self.sigma**2 * self._factors[i] @ self._factors[i].T,
                effects=self._solution[1][i],
                conditional=partial(self._conditional_covariance, i),
            )
        return random

    @cached_property
    def _inner_covariances(self) -> list[FloatArray]:
        return self._in_user_order(
            self._engine.conditional_covariances(self.products, self.factorization)
        )

    def _conditional_covariance(self, term: int) -> FloatArray:
        B = self.scales.B[term]
        back = self.sigma * scipy.linalg.solve_triangular(B, np.eye(len(B)))
        covariance: FloatArray = back @ self._inner_covariances[term] @ back.T
        return covariance

    @cached_property
    def edf(self) -> dict[str, float]:
        """Effective degrees of freedom: of the fixed effects, and of each random-effects term.

        Exact, but for models of the sparse engine, where they are estimated to about a percent.
        """
        degrees = self._engine.degrees_of_freedom(self.products, self.factorization, reml=True)
        random = [float(of_effects.sum()) for of_effects in self._in_user_order(degrees)]
        edf = {"fixed": float(self.products.p)}
        edf |= dict(zip(self.model.group_names, random, strict=True))
        for line in self.model.covariates:
            if isinstance(line, Spline):  # the straight line of a smooth belongs to it
                edf["fixed"] -= len(line.names)
                edf[line.label] += len(line.names)
        return edf

    def _in_user_order(self, blocks: Sequence[Any]) -> list[Any]:
        back: list[Any] = [None] * len(blocks)
        for i, block in zip(self.model.order, blocks, strict=True):
            back[i] = block
        return back

    # ---- smooths ----

    def smooth(self, name: str, grid: ArrayLike) -> "Curve":
        """Return a smooth over a grid, with pointwise Bayesian intervals.

        Parameters
        ----------
        name : str
            The covariate, or the label of the smooth, such as ``s(days)``.
        grid : array_like, shape (m,)
            Where to evaluate it, in the units of the covariate.

        Returns
        -------
        Curve
            The curve without intercept, which sums to zero over the data, and its standard errors.

        Raises
        ------
        ValueError
            If the model has no such smooth, the name fits several, or the grid leaves the domain.

        References
        ----------
        Nychka (1988), Journal of the American Statistical Association 83; Wood (2017), section
        6.10.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> volvo = ms.load_volvo()
        >>> fit = ms.lmm(volvo.wear, ms.smooth(size=volvo.size, basis="cr", k=9))
        >>> curve = fit.smooth("size", [1.5, 2.0, 2.5])
        >>> print(curve.value.round(2), curve.se.round(2))
        [ 0.78 -0.28  0.22] [0.37 0.19 0.24]
        """
        curves = {
            label: g
            for label, g in zip(self.model.group_names, self.model.groups, strict=True)
            if g.is_curve
        }
        fitting = [label for label, g in curves.items() if name in (label, g.covariates[0].name)]
        if len(fitting) != 1:
            known = ", ".join(curves) or "none"
            raise ValueError(f"name {name!r} fits {len(fitting)} smooths; the model has {known}")
        (label,) = fitting
        term = self.model.group_names.index(label)
        part = self.model.groups[term].covariates[0]
        assert isinstance(part, Spline)
        x = as_vector(part.name, grid)
        random, fixed = part.smooth.random(x), np.zeros((len(x), self.products.p))
        own = [j for j, column in enumerate(self.names) if column == label]
        fixed[:, own] = part.smooth.fixed(x)
        value = random @ self._solution[1][term][0] + fixed @ self.beta
        # of (b, beta) in inner units, and back
        inner = self._engine.joint_covariance(
            self.products, self.factorization, self.model.order.index(term)
        )
        back = scipy.linalg.block_diag(
            scipy.linalg.solve_triangular(self.scales.B[term], np.eye(random.shape[1])),
            self.scales.K,
        )
        columns = self.sigma * np.hstack([random, fixed]) @ back
        variance = np.einsum("ij,jk,ik->i", columns, inner, columns)
        return Curve(label, x, value, np.sqrt(np.maximum(variance, 0.0)), self.edf[label])

    # ---- predictions ----

    @cached_property
    def fitted(self) -> FloatArray:
        """X beta + Z b for the rows of the data, shape (n,)."""
        return self._linear_part()

    def _linear_part(self) -> FloatArray:
        model = self.model
        value = self._fixed_part(model.covariates, self.n)
        for name, g in zip(model.group_names, model.groups, strict=True):
            value += _random_part(self.random[name].effects, g.codes, g, g.covariates)
        return value

    @property
    def residuals(self) -> FloatArray:
        """Y minus fitted, shape (n,)."""
        return self.model.y - self.fitted

    def predict(
        self,
        data: Data,
        *,
        effects: bool = True,
        new_levels: Literal["error", "population"] = "error",
    ) -> FloatArray:
        """Predict the response for new data.

        Parameters
        ----------
        data : mapping of str to array_like
            Columns by the names that the terms were given: a dict, a data frame.
        effects : bool
            Whether to add the predicted random effects of groups; without them the prediction is
            that of the population, X beta and smooths, and no grouping factor is needed.
        new_levels : {"error", "population"}
            What to do with a label that the model does not know: raise, or predict with random
            effects of zero, their mean in the population.

        Returns
        -------
        ndarray, shape (m,)
            Predictions, in the units of y.

        Raises
        ------
        ValueError
            If a column is missing, lengths differ, a value is not finite, or a label is new.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> sleep = ms.load_sleepstudy()
        >>> fit = ms.lmm(
        ...     sleep.reaction,
        ...     ms.linear(days=sleep.days),
        ...     ms.group(subject=sleep.subject, days=sleep.days),
        ... )
        >>> fit.predict({"days": [0, 9], "subject": ["308", "308"]}).round(2)
        array([253.66, 430.66])
        """
        if new_levels not in ("error", "population"):
            raise ValueError(f'new_levels must be "error" or "population", found {new_levels!r}')
        covariates = tuple(covariate.at(data) for covariate in self.model.covariates)
        parts = []
        for name, g in zip(self.model.group_names, self.model.groups, strict=True):
            if not (effects or g.is_curve):
                continue
            codes = codes_at(g, data)
            if new_levels == "error" and codes.min() < 0:
                labels = np.asarray(data[g.factor])
                raise ValueError(
                    f"{g.factor} has the new label {labels[codes < 0][0]!s}, for which nothing was "
                    'learned; new_levels="population" predicts with the population mean'
                )
            slopes = tuple(covariate.at(data) for covariate in g.covariates)
            parts.append((self.random[name].effects, codes, g, slopes))
        lengths = {c.name: len(c.values) for c in covariates}
        for _, codes, g, slopes in parts:
            lengths |= {g.factor: len(codes)} | {c.name: len(c.values) for c in slopes}
        if not lengths:  # an intercept alone needs no column, and the data tell how many rows
            lengths = {name: np.size(data[name]) for name in data}
        if len(set(lengths.values())) != 1:
            raise ValueError(f"data must have columns of one length; found {lengths}")
        n = next(iter(lengths.values()))
        value = self._fixed_part(covariates, n)
        for part in parts:
            value += _random_part(*part)
        return value

    def _fixed_part(self, covariates: tuple[Covariate, ...], n: int) -> FloatArray:
        columns = effect_columns(self.model.intercept, covariates, n)
        value = np.zeros(n)
        for coefficient, column in zip(self.beta, columns, strict=True):
            value += coefficient * column
        return value

    # ---- another fit ----

    def refit(self, method: Method) -> "Fit":
        """Fit the same model to the same data by another method, starting at this optimum.

        Parameters
        ----------
        method : {"REML", "ML"}
            Restricted or full maximum likelihood. Compare fits that differ in their fixed effects
            by ML: REML criteria of different X are not comparable.

        Returns
        -------
        Fit
            The new fit; this one stays as it is.

        Raises
        ------
        ValueError
            If `method` is unknown.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> sleep = ms.load_sleepstudy()
        >>> terms = ms.linear(days=sleep.days), ms.group(subject=sleep.subject)
        >>> ms.lmm(sleep.reaction, *terms).refit("ML")
        <Fit by ML: 180 rows, criterion 1794.0786>
        """
        from mixedsmooth.model.lmm import lmm  # lmm imports Fit: at the top it would be a circle

        model = self.model
        fixed = Linear(model.intercept, model.covariates)
        return lmm(
            model.y,
            fixed,
            *model.groups,
            method=method,
            weights=model.weights,
            sigma=model.sigma,
            start=self.theta,
        )

    # ---- summaries ----

    def __str__(self) -> str:
        """Summarize the fit as lme4 does."""
        title, notes, tables = self._summary()
        parts = [title]
        for caption, header, rows in tables:
            lines = [header, *rows]
            widths = [max(len(line[c]) for line in lines) for c in range(len(header))]
            text = [
                "  ".join(
                    cell.ljust(width) if c < _TEXT_COLUMNS[caption] else cell.rjust(width)
                    for c, (cell, width) in enumerate(zip(line, widths, strict=True))
                ).rstrip()
                for line in lines
            ]
            parts.append("\n".join([f"{caption}:", *(f" {line}" for line in text)]))
        return "\n\n".join([*parts, "\n".join(notes)])

    def __repr__(self) -> str:
        """Tell the kind of model, its size and its criterion."""
        return f"<Fit by {self.method}: {self.n} rows, criterion {self.criterion:.4f}>"

    def _repr_html_(self) -> str:
        title, notes, tables = self._summary()
        parts = [f"<p>{html.escape(title)}</p>"]
        for caption, header, rows in tables:
            head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in header)
            body = "".join(
                "<tr>"
                + "".join(
                    f'<th scope="row">{html.escape(cell)}</th>'
                    if c < _TEXT_COLUMNS[caption]
                    else f'<td class="number">{html.escape(cell)}</td>'
                    for c, cell in enumerate(row)
                )
                + "</tr>"
                for row in rows
            )
            parts.append(
                f'<div class="table-scroll"><table class="fit"><caption>{caption}</caption>'
                f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
            )
        parts += [f"<p>{html.escape(note)}</p>" for note in notes]
        return "\n".join(parts)

    def _summary(self) -> tuple[str, list[str], list[tuple[str, list[str], list[list[str]]]]]:
        """Title, notes, and tables of (caption, header, rows)."""
        caption, scaled = self._scaled_residuals()
        quantiles = np.quantile(scaled, [0, 0.25, 0.5, 0.75, 1])
        residuals = (
            caption,
            ["Min", "1Q", "Median", "3Q", "Max"],
            [[f"{q:.4f}" for q in quantiles]],
        )
        random_rows = []
        for term, r in self.random.items():
            scalar = self.model.groups[self.model.group_names.index(term)].scalar
            for a, effect in enumerate([f"{len(r.names)} columns"] if scalar else r.names):
                corr = " ".join(f"{c:.2f}" for c in r.corr[a, :a])
                first = term if a == 0 else ""
                row = [first, effect, f"{r.cov[a, a]:.5g}", f"{r.sd[a]:.5g}"]
                random_rows.append([*row, corr if self._correlated(term) else ""])
        if self._has_residual:
            random_rows.append(["Residual", "", f"{self.sigma**2:.5g}", f"{self.sigma:.5g}", ""])
        random = ("Random effects", ["Group", "Effect", "Variance", "SD", "Corr"], random_rows)
        fixed = (
            "Fixed effects",
            ["Effect", "Estimate", "SE", "t" if self._has_residual else "z"],
            [
                [effect, f"{b:.5g}", f"{s:.5g}", f"{b / s:.2f}"]
                for effect, b, s in zip(self.names, self.beta, self.se, strict=True)
            ],
        )
        factors = {g.factor: len(g.levels) for g in self.model.groups if not g.is_curve}
        groups = ", ".join(f"{levels} {factor}" for factor, levels in factors.items())
        notes = [f"Rows: {self.n}" + (f"; levels: {groups}" if groups else "")]
        notes.append(
            "Effective degrees of freedom: "
            + ", ".join(f"{term} {value:.2f}" for term, value in self.edf.items())
        )
        notes += self._further_notes()
        if self.on_boundary:
            notes.append(
                "On the boundary: a variance is zero or effects are perfectly correlated (singular)"
            )
        if not self.converged:
            notes.append(f"Not converged: {self.reason}")
        return self._title(), notes, [residuals, random, fixed]

    def _title(self) -> str:
        names = {"REML": "REML criterion", "ML": "-2 log-likelihood", "GCV": "GCV score"}
        name = names[self.method]
        return f"Linear mixed model fit by {self.method}, {name}: {self.criterion:.4f}"

    def _scaled_residuals(self) -> tuple[str, FloatArray]:
        scaled = self.residuals / self.sigma
        if self.model.weights is not None:
            scaled = scaled * np.sqrt(self.model.weights)
        return "Scaled residuals", scaled

    @property
    def _has_residual(self) -> bool:
        return True

    def _further_notes(self) -> list[str]:
        return []

    def _correlated(self, term: str) -> bool:
        return self.model.groups[self.model.group_names.index(term)].correlated


# of the tables of a summary; the other columns are numbers
_TEXT_COLUMNS = {
    "Scaled residuals": 0,
    "Pearson residuals": 0,
    "Random effects": 2,
    "Fixed effects": 1,
}


def engine_of(A: Products) -> ModuleType:
    """Return the module whose functions work on these cross-products: `blocked` or `sparse`.

    Parameters
    ----------
    A : Products
        What one of them formed.

    Returns
    -------
    module
        It has factorize, gradient, solve, degrees_of_freedom and conditional_covariances.
    """
    return sparse if isinstance(A, sparse.SparseCrossProducts) else blocked


def residual_and_degrees(A: Products, f: Factorized) -> tuple[float, float]:
    """Residual sum of squares in inner units, and the effective degrees of freedom of all terms.

    Parameters
    ----------
    A : Products
        The cross-products.
    f : Factorized
        Their factorization at theta.

    Returns
    -------
    rss : float
        r^2 without the penalty u'u.
    edf : float
        p and those of the random effects.
    """
    engine = engine_of(A)
    _, u = engine.solve(A, f)
    rss = f.r2 - sum(float(np.sum(effects**2)) for effects in u)
    degrees = engine.degrees_of_freedom(A, f, reml=True)
    return rss, A.p + sum(float(of_effects.sum()) for of_effects in degrees)


def _random_part(
    effects: FloatArray, codes: NDArray[np.intp], g: Group, slopes: tuple[Covariate, ...]
) -> FloatArray:
    """Rows of Z b for one term; a code of -1 stands for effects of zero."""
    value = np.zeros(len(codes))
    known = codes >= 0
    columns = effect_columns(g.intercept, slopes, len(codes))
    for a, column in enumerate(columns):
        value += np.where(known, column * effects[codes, a], 0.0)
    return value


def _triangle(M: NDArray[Any]) -> FloatArray:
    """Lower triangular T with T T' = M M' and no negative entry on its diagonal."""
    R = np.asarray(np.linalg.qr(M.T, mode="r"))
    return np.tril(R.T * np.where(np.diag(R) < 0, -1.0, 1.0))
