"""The results of a fit: frozen, with summaries in text and HTML, and predictions.

What the optimum alone determines is stored; everything else is computed when it is asked for, and
kept. Inside, columns are centered and scaled; `Problem` and `Scales` map back.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, overload

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import (
    choice,
    column_of,
    flag,
    for_each_row,
    locked,
)
from mixedsmooth.model.covariance import Full
from mixedsmooth.model.curves import Curve, SmoothRows, Surface, chosen, over
from mixedsmooth.model.engine import Factorization
from mixedsmooth.model.families import Family
from mixedsmooth.model.laplace import LEAST_WEIGHT
from mixedsmooth.model.optimize import residual_and_degrees
from mixedsmooth.model.parts import Data, FieldPart, Frame, Input, read
from mixedsmooth.model.problem import Model, Problem, Scales
from mixedsmooth.model.rows import spread
from mixedsmooth.model.summary import (
    Summary,
    fixed_table,
    random_rows,
    random_table,
    residual_table,
)
from mixedsmooth.model.terms import Group

if TYPE_CHECKING:
    import pandas as pd

    from mixedsmooth.inference.degrees import Coefficients, Contrast, Degrees, JointContrast
    from mixedsmooth.inference.diagnostics import BasisCheck, Influence
    from mixedsmooth.inference.intervals import Intervals
    from mixedsmooth.inference.prediction import PredictionIntervals
    from mixedsmooth.inference.profile import Profile

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]
Values = Union[FloatArray, "pd.Series"]  # a Series where y was one
Method = Literal["REML", "ML", "GCV"]
GeneralizedMethod = Literal["laplace", "pql", "agq"]
POPULATION = '; new_levels="population" predicts with the population mean'
METHODS, GENERALIZED_METHODS = get_args(Method), get_args(GeneralizedMethod)


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

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> sleep = ms.load_sleepstudy()
    >>> terms = ms.linear(days=sleep.days), ms.group(subject=sleep.subject, days=sleep.days)
    >>> subject = ms.lmm(sleep.reaction, *terms).random["subject"]
    >>> print(subject.names, subject.sd.round(2), subject.corr[0, 1].round(2))
    ['(Intercept)', 'days'] [24.74 5.92] 0.07
    >>> print(subject.levels[0], subject.effects[0].round(2), subject.conditional_sd[0].round(2))
    308 [2.26 9.2 ] [12.07 2.3 ]
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
        return locked(self.conditional())

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
        variances = np.diagonal(self.conditional_cov, axis1=1, axis2=2)
        return np.sqrt(np.maximum(variances, 0.0))  # one that is zero may be rounded below

    def to_pandas(self) -> "pd.DataFrame":
        """Return the effects as a data frame, levels as index, which needs pandas."""
        import pandas as pd

        index = pd.Index(self.levels, name=self.name)
        return pd.DataFrame(self.effects, index=index, columns=self.names)


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted linear mixed model.

    Attributes
    ----------
    problem : Problem
        Data and terms, in the columns that were fitted.
    scales : Scales
        How the inner response relates to the user's.
    method : {"REML", "ML", "GCV"}
        What was optimized.
    factorization : engine.Factorization
        The cross-products, factored at the optimum.
    converged : bool
        Whether another step would lower the criterion by less than 1e-6.
    reason : str
        Why the search ended.
    evaluations : int
        How often the criterion and its gradient were computed.
    solver : callable
        What fits a problem, for another fit like this one.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> sleep = ms.load_sleepstudy()
    >>> terms = ms.linear(days=sleep.days), ms.group(subject=sleep.subject, days=sleep.days)
    >>> fit = ms.lmm(sleep.reaction, *terms)
    >>> fit
    <Fit by REML: 180 rows, criterion 1743.6283>
    >>> print(fit.names, fit.beta.round(2), fit.se.round(2), round(fit.sigma, 2))
    ['(Intercept)', 'days'] [251.41 10.47] [6.82 1.55] 25.59
    """

    problem: Problem
    scales: Scales
    method: Method
    factorization: Factorization
    converged: bool
    reason: str
    evaluations: int
    solver: Callable[..., "Fit"]

    @property
    def model(self) -> Model:
        """Data and terms."""
        return self.problem.model

    @property
    def formula(self) -> str | None:
        """The formula of the model, with the response y if it was made by terms.

        `lmm_formula` or `glmm_formula` make the same fit of it. None if no formula says the same:
        for labels whose effects are not correlated, or a covariate that is called y.
        """
        return self.model.formula

    # ---- parameters ----

    @property
    def names(self) -> list[str]:
        """Names of the fixed effects."""
        return list(self.model.fixed_names)

    @cached_property
    def theta(self) -> FloatArray:
        """Entries of the relative covariance factors, term by term, column by column."""
        return locked(self.problem.theta(self.factorization.T))

    @property
    def ranges(self) -> dict[str, float]:
        """Estimated ranges of Gaussian processes, by the names of the smooths.

        A range that was given is not among them.
        """
        return {tuning.label: tuning.value for tuning in self.model.tunings}

    @property
    def offset(self) -> FloatArray | None:
        """Known part of the linear predictor, shape (n,), or None."""
        return self.model.whole_offset

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.model.y)

    @cached_property
    def sigma(self) -> float:
        """Residual standard deviation, in the units of y."""
        if self.method == "GCV":
            rss, edf = self._residual_and_degrees
            return self.scales.y_scale * float(np.sqrt(rss / (self.n - edf)))
        if self.model.sigma is not None:
            return self.model.sigma
        variance = self.factorization.residual_variance(self.method == "REML")
        return self.scales.y_scale * float(np.sqrt(variance))

    @cached_property
    def _residual_and_degrees(self) -> tuple[float, float]:
        return residual_and_degrees(self.factorization)

    @cached_property
    def _solution(self) -> tuple[FloatArray, list[FloatArray]]:
        """Beta and b in the user's units."""
        f, scale = self.factorization, self.scales.y_scale
        beta, u = f.solve()
        b = self.problem.effects([u_f @ T_f.T for u_f, T_f in zip(u, f.T, strict=True)])
        beta = self.scales.beta_0 + scale * (self.problem.K @ beta)
        return locked(beta), [locked(scale * effects) for effects in b]

    @property
    def beta(self) -> FloatArray:
        """Fixed effects, shape (p,)."""
        return self._solution[0]

    @cached_property
    def cov_beta(self) -> FloatArray:
        """Covariance of the fixed effects, shape (p, p)."""
        return locked(self.sigma**2 * self.factorization.covariance_of_beta(self.problem.K))

    @property
    def se(self) -> FloatArray:
        """Standard errors of the fixed effects, shape (p,)."""
        return locked(np.sqrt(np.diag(self.cov_beta)))

    # ---- tests of coefficients ----

    def coefficients(self, df: "Degrees" = "satterthwaite") -> "Coefficients":
        """Test each fixed effect: estimate, standard error, degrees of freedom, t and p.

        Parameters
        ----------
        df : {"normal", "satterthwaite", "kenward-roger"}
            How to find the degrees of freedom. A normal distribution has none: it takes the
            variances as known. Kenward and Roger correct the standard errors as well; theirs are
            for fits by REML with up to 4,000 random effects.

        Returns
        -------
        Coefficients
            The tests.

        Raises
        ------
        ValueError
            If `df` is unknown or does not serve the fit, or theta was given and is not the optimum.

        References
        ----------
        Kuznetsova, Brockhoff and Christensen (2017), Journal of Statistical Software 82(13);
        Halekoh and Hojsgaard (2014), Journal of Statistical Software 59(9).

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> sleep = ms.load_sleepstudy()
        >>> fit = ms.lmm_formula("reaction ~ days + (1 | subject)", sleep)
        >>> fit.coefficients().df.round(1)
        array([ 22.8, 161. ])
        """
        from mixedsmooth.inference.degrees import coefficients

        return coefficients(self, df)

    def contrast(
        self, L: Mapping[str, float] | ArrayLike, df: "Degrees" = "satterthwaite"
    ) -> "Contrast | JointContrast":
        """Test a combination of fixed effects, or several at once.

        Parameters
        ----------
        L : mapping of str to float, or array_like of shape (p,) or (r, p)
            Weights of the fixed effects: by name, or for all of them. One combination has a t test,
            r rows have an F test.
        df : {"normal", "satterthwaite", "kenward-roger"}
            As `coefficients`.

        Returns
        -------
        Contrast or JointContrast
            The test that all combinations are zero.

        Raises
        ------
        ValueError
            As `coefficients`, or if `L` has an unknown name, another shape, or rows that follow
            from others.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> sleep = ms.load_sleepstudy()
        >>> fit = ms.lmm_formula("reaction ~ days + (days | subject)", sleep)
        >>> test = fit.contrast({"(Intercept)": 1, "days": 9})  # the mean on the last day
        >>> print(round(test.estimate, 1), round(test.se, 1), round(test.df, 1))
        345.6 14.6 17.0
        """
        from mixedsmooth.inference.degrees import contrast

        return contrast(self, L, df)

    # ---- likelihood ----

    @cached_property
    def criterion(self) -> float:
        """Minus twice the log-likelihood or restricted log-likelihood; or the GCV score."""
        scale = self.scales.y_scale
        if self.method == "GCV":
            rss, edf = self._residual_and_degrees
            return scale**2 * self.n * rss / (self.n - edf) ** 2
        reml, known = self.method == "REML", self.model.sigma
        variance = None if known is None else (known / scale) ** 2
        return self.factorization.deviance(reml, variance) + self.problem.offset(scale, reml)

    @property
    def loglik(self) -> float:
        """(Restricted) log-likelihood; not a number for a fit by GCV, which has none."""
        return np.nan if self.method == "GCV" else -self.criterion / 2

    @property
    def npar(self) -> int:
        """Number of parameters: beta, theta, estimated ranges, and sigma unless it is known."""
        of_variances = len(self.theta) + len(self.ranges) + (self.model.sigma is None)
        return len(self.names) + of_variances

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
        return self._is_singular

    @property
    def _is_singular(self) -> bool:
        # the zeros are exact in the inner units; to center a covariate rounds
        return any(bool(np.any(np.diag(T) == 0)) for T in self.factorization.T)

    # ---- intervals ----

    def confint(
        self,
        level: float = 0.95,
        kind: Literal["wald", "profile", "bootstrap"] = "profile",
        likelihood: Literal["ML", "REML"] = "ML",
        *,
        n: int = 1000,
        seed: int | None = None,
        progress: bool | Callable[[int, int], object] | None = None,
    ) -> "Intervals":
        """Compute intervals for the standard deviations, correlations, sigma and beta.

        Parameters
        ----------
        level : float
            Coverage, between 0 and 1.
        kind : {"wald", "profile", "bootstrap"}
            Estimates plus and minus standard errors; the values whose deviance is not too high; or
            percentiles of estimates from simulated data.
        likelihood : {"ML", "REML"}
            Which likelihood. A fit by the other is made again, and the estimates are those of the
            new one. Profiles by "REML" have no beta. A generalized model has its own likelihood
            and takes "ML" only.
        n : int
            Replicates of the bootstrap.
        seed : int, optional
            Seed of the bootstrap; otherwise a fresh one.
        progress : bool or callable, optional
            How the bootstrap tells its progress.

        Returns
        -------
        Intervals
            Names, estimates and ends; print it.

        Raises
        ------
        ValueError
            If an argument is unknown or out of range, or the fit is by GCV or PQL, which have no
            likelihood.

        References
        ----------
        Bates, Maechler, Bolker and Walker (2015), section 5.1.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> fit = ms.lmm_formula("reaction ~ days + (days | subject)", ms.load_sleepstudy())
        >>> print(fit.confint())
        95 % profile intervals, likelihood: ML
        <BLANKLINE>
        Parameter                         Estimate     Lower    Upper
        sd (Intercept) | subject            23.781    14.381   37.716
        corr days, (Intercept) | subject   0.08132  -0.48149  0.68502
        sd days | subject                   5.7168    3.8012   8.7534
        sigma                               25.592    22.898   28.858
        (Intercept)                         251.41    237.68   265.13
        days                                10.467    7.3587   13.576
        """
        from mixedsmooth.inference.confidence import confint

        return confint(self, level, kind, likelihood, n=n, seed=seed, progress=progress)

    def profile(self, likelihood: Literal["ML", "REML"] = "ML") -> "Profile":
        """Profile the deviance: how it rises when one parameter is held and all others follow.

        Parameters
        ----------
        likelihood : {"ML", "REML"}
            Which likelihood, as for `confint`.

        Returns
        -------
        Profile
            For each parameter values and zeta, the signed root of the rise of the deviance. It
            makes intervals of any level, and `plots.profile_zeta` and `plots.profile_density` draw
            it.

        Raises
        ------
        ValueError
            If `likelihood` is unknown, or the fit is by GCV or PQL, which have none.

        References
        ----------
        Bates and Watts (1988), Nonlinear Regression Analysis and its Applications, section 6.1.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> fit = ms.lmm_formula("reaction ~ days + (days | subject)", ms.load_sleepstudy())
        >>> profile = fit.profile()
        >>> print("{:.2f} to {:.2f}".format(*profile.confint(0.8)["sd days | subject"]))
        4.39 to 7.51
        """
        from mixedsmooth.inference.profile import profile

        return profile(self, likelihood)

    # ---- random effects ----

    @property
    def random(self) -> dict[str, RandomEffects]:
        """The random effects of each term, by the name of its factor."""
        return dict(self._random)

    @cached_property
    def _random(self) -> dict[str, RandomEffects]:
        T = self.problem.outward(self.factorization.T)
        found = {}
        for i, (name, g) in enumerate(zip(self.model.group_names, self.model.groups, strict=True)):
            cov, effects = self.sigma**2 * T[i] @ T[i].T, self._solution[1][i]
            conditional = partial(self._conditional_covariance, i)
            if isinstance(field := g.parts[0], FieldPart):
                # b = C u: all coefficients u have one variance, and a level has one effect
                cov, effects = cov[:1, :1], locked(field.to @ effects.T)
                conditional = partial(self._conditional_of_field, i, field.to)
            found[name] = RandomEffects(
                g.factor, g.levels, g.names, locked(cov), effects, conditional
            )
        return found

    @cached_property
    def _inner_covariances(self) -> list[FloatArray]:
        return self.factorization.conditional_covariances()

    def _conditional_covariance(self, term: int) -> FloatArray:
        back = self.sigma * self.problem.back[term]
        return back @ self._inner_covariances[term] @ back.T

    def _conditional_of_field(self, term: int, to: FloatArray) -> FloatArray:
        of_coefficients = self._conditional_covariance(term)[0]
        return np.asarray(np.sum(to @ of_coefficients * to, axis=1)[:, None, None])

    @property
    def edf(self) -> dict[str, float]:
        """Effective degrees of freedom: of the fixed effects, of each group, and of each smooth.

        Exact, but for models of the sparse engine with more than 2,000 effects, where they are
        estimated to about a percent.
        """
        return dict(self._edf)

    @cached_property
    def _edf(self) -> dict[str, float]:
        degrees = self.factorization.degrees_of_freedom(reml=True)
        edf = {"fixed": float(len(self.names))}
        for term, of_effects in zip(self.model.whole_names, degrees, strict=True):
            edf[term] = edf.get(term, 0.0) + float(of_effects.sum())
        for line in self.model.lines:  # the straight line of a smooth belongs to it
            edf["fixed"] -= len(line.names)
            edf[line.name] = edf.get(line.name, 0.0) + len(line.names)
        return edf

    # ---- smooths ----

    @overload
    def smooth(
        self,
        name: str,
        grid: Mapping[str, ArrayLike],
        *,
        intercept: bool = False,
        minus: str | None = None,
    ) -> Curve | Surface: ...

    @overload
    def smooth(
        self, name: str, grid: ArrayLike, *, intercept: bool = False, minus: str | None = None
    ) -> Curve: ...

    def smooth(
        self,
        name: str,
        grid: ArrayLike | Mapping[str, ArrayLike],
        *,
        intercept: bool = False,
        minus: str | None = None,
    ) -> Curve | Surface:
        """Return a smooth over a grid, or the difference of two, with Bayesian standard errors.

        Parameters
        ----------
        name : str
            The covariate, covariates such as ``x, y``, or the label of the smooth, such as
            ``s(days)``; for a curve of one level ``s(days):subject[308]``.
        grid : array_like, shape (m,), or mapping of str to array_like
            Where to evaluate it, in the units of the covariate. For a smooth of several a grid of
            each by name, ``{"x": x, "y": y}``: two of them make a surface. A single number in place
            of a grid holds its covariate there; what is left is a section, a curve or a surface.
            For a `penalized` term what its function `predict` takes: numbers, or columns by name.
        intercept : bool
            Whether to add the intercept, and its uncertainty; to a coefficient, which multiplies
            numbers, their own coefficient in X. Without it the smooth sums to zero over the data,
            unless it is a process without a trend, or a product of bases that multiplies numbers.
        minus : str, optional
            Another smooth of the same covariates, to take away from this one. Means that levels
            have by a `linear` or a `group` term are no part of their curves.

        Returns
        -------
        Curve or Surface
            The smooth and its standard errors; over two grids a surface.

        Raises
        ------
        ValueError
            If the model has no such smooth, the name fits several, the grid does not name its
            covariates or leaves the domain, there is no intercept to add, or `minus` is the same
            smooth or one of other covariates.

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
        >>> fit.smooth("size", [1.5, 2.0, 2.5], intercept=True).value.round(2)
        array([3.82, 2.76, 3.26])
        """
        places, constant = chosen(self.model, name, minus, intercept)
        blocks = [block for place in places for block in place.blocks]
        fixed = [j for place in places for j in place.fixed] + constant
        b = [self._solution[1][term][level] for term, level in blocks]
        # of (b, beta) in inner units, and back
        back = scipy.linalg.block_diag(
            *(self.problem.back[term] for term, _ in blocks), self.problem.K[fixed]
        )
        d, U = scipy.linalg.eigh(back @ self._joint_covariance(blocks) @ back.T)
        return over(
            SmoothRows(places, intercept).centered(self.model.frame),
            grid,
            coefficients=np.concatenate([*b, self.beta[fixed]]),
            root=self.sigma * U * np.sqrt(np.maximum(d, 0.0)),
            variances=[
                float(self.random[self.model.group_names[place.blocks[0][0]]].cov[0, 0])
                for place in places
            ],
            edf=sum(self.edf[term] for term in {term for p in places for term in p.terms}),
            made=self.model.frame.made,
        )

    def _joint_covariance(self, blocks: Sequence[tuple[int, int]]) -> FloatArray:
        """Covariance of (b, beta) over sigma^2 in inner units, b of a level of each term named."""
        f = self.factorization
        if len(blocks) == 1:
            return f.joint_covariance(*blocks[0])
        # of all b given beta: Lambda (Lambda'Z'WZ Lambda + I)^-1 Lambda'
        columns = []
        for term, level in blocks:
            for row in f.T[term]:
                q = [np.zeros((shape.levels, shape.k)) for shape in f.A.shapes]
                q[term][level] = row
                u = f.solve_spherical(q)
                columns.append(np.concatenate([f.T[t] @ u[t][j] for t, j in blocks]))
        # and what they have from beta: C_b,beta (L_X L_X') C_beta,b
        own = [f.joint_covariance(*block) for block in blocks]
        p = f.A.p
        C = np.vstack([joint[:-p, -p:] for joint in own])
        half = C @ f.L_X
        return np.block([[np.column_stack(columns) + half @ half.T, C], [C.T, own[0][-p:, -p:]]])

    # ---- predictions ----

    @property
    def fitted(self) -> Values:
        """Offset + X beta + Z b for the rows that were used, shape (n,)."""
        return self._named(self._means)

    @property
    def residuals(self) -> Values:
        """Y minus fitted, shape (n,)."""
        return self._named(self._residuals)

    @cached_property
    def _linear_predictor(self) -> FloatArray:
        eta = self._linear_part(self.model.frame, self.model.groups)
        offset = self.model.whole_offset
        return locked(eta if offset is None else eta + offset)

    @property
    def _means(self) -> FloatArray:
        return self._linear_predictor

    @cached_property
    def _residuals(self) -> FloatArray:
        return locked(self.model.y - self._means)

    def _named(self, values: FloatArray) -> Values:
        """Give values of the rows the index of y, where that was a column of pandas."""
        index = self.model.rows.index
        return values if index is None else _series(values, index[self.rows])

    @property
    def rows(self) -> IntArray:
        """Positions in the data of the rows that were used, shape (n,)."""
        return self.model.rows.used

    def at_full_length(self, values: ArrayLike) -> Values:
        """Spread values of the rows that were used over all rows of the data.

        Parameters
        ----------
        values : array_like, shape (n,)
            One number for each row that was used, such as `fitted` or `residuals`.

        Returns
        -------
        ndarray or pandas.Series
            One for each row of the data, NaN where a row was left out; a Series, with the index of
            y, where y was one.

        Raises
        ------
        ValueError
            If there is not one number for each row that was used.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> y, g = [1.0, 2.0, None, 4.0, 6.0], ["a", "a", "b", "b", "b"]
        >>> fit = ms.lmm(y, ms.group(g=g), missing="drop")
        >>> fit.rows, fit.at_full_length(fit.residuals).round(2)
        (array([0, 1, 3, 4]), array([-0.68,  0.32,   nan, -0.82,  1.18]))
        """
        column = np.asarray(values, dtype=np.float64)
        if column.shape != (self.n,):
            raise ValueError(
                f"values must have one number for each of the {self.n} rows that were used, found "
                f"shape {column.shape}"
            )
        rows = self.model.rows
        whole = spread(column, rows.used, rows.total)
        return whole if rows.index is None else _series(whole, rows.index)

    def predict(
        self,
        data: Data,
        *,
        effects: bool = True,
        new_levels: Literal["error", "population"] = "error",
        offset: ArrayLike | None = None,
    ) -> FloatArray:
        """Predict the response for new data.

        Parameters
        ----------
        data : mapping of str to array_like
            Columns by the names that the terms were given: a dict, a data frame.
        effects : bool
            Whether to add the predicted random effects of groups; without them the prediction is
            that of the population: X beta and all smooths.
        new_levels : {"error", "population"}
            What to do with a label that the model does not know: raise, or predict with random
            effects of zero, their mean in the population.
        offset : array_like, shape (m,), or float, optional
            Known part of the new means; needed if the model was given one. That of a formula is
            made from `data`.

        Returns
        -------
        ndarray, shape (m,)
            Predictions, in the units of y.

        Raises
        ------
        ValueError
            If a column is missing, lengths differ, a value is not finite, a label is new, or the
            offset is missing or not asked for.

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
        choice("new_levels", new_levels, ("error", "population"))
        with_effects = flag("effects", effects)
        groups = [g for g in self.model.groups if with_effects or g.is_smooth]
        parts = [*self.model.fixed, *self.model.known, *(p for g in groups for p in g.parts)]
        covariates = [each for part in parts for each in part.inputs]
        factors = [each for g in groups for each in g.factor_inputs]
        frame = read(data, [*factors, *covariates], self.model.frame.made)
        _refuse_new(data, frame, covariates)
        if new_levels == "error":
            _refuse_new(data, frame, factors, POPULATION)
        if (offset is None) != (self.model.offset is None):
            raise ValueError(
                "the model has an offset; give that of the new rows, such as 0"
                if offset is None
                else "offset is given, and the model was fitted without one"
            )
        value = self._linear_part(frame, groups)
        for column in (column for part in self.model.known for column in part.columns(frame)):
            value += column
        return value if offset is None else value + for_each_row("offset", offset, len(value))

    def _linear_part(self, frame: Frame, groups: Sequence[Group]) -> FloatArray:
        """X beta + Z b; a code of -1 stands for effects of zero."""
        value = np.zeros(frame.n)
        columns = [column for part in self.model.fixed for column in part.columns(frame)]
        for coefficient, column in zip(self.beta, columns, strict=True):
            value += coefficient * column
        for g in groups:
            b = self._solution[1][self.model.groups.index(g)]
            codes = g.codes(frame)
            for a, column in enumerate(g.columns(frame)):
                value += np.where(codes >= 0, column * b[codes, a], 0.0)
        return value

    # ---- simulation ----

    def simulate(self, n: int, seed: int | None = None) -> FloatArray:
        """Draw new responses from the model: new effects of all groups, and new errors.

        Smooths keep their curves, and the random part of a smooth is part of its curve.

        Parameters
        ----------
        n : int
            How many responses.
        seed : int, optional
            A whole number from which the same can be drawn again; otherwise fresh entropy.

        Returns
        -------
        ndarray, shape (n, rows)
            A response in each row, for the rows that were used. Row i comes from child i of
            ``numpy.random.SeedSequence(seed)``, as replicate i of `mixedsmooth.bootstrap` does.

        Raises
        ------
        ValueError
            If `n` is below 1, or what was fitted is no distribution: a generalized model with
            weights, or with a residual scale beside its family.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> sleep = ms.load_sleepstudy()
        >>> fit = ms.lmm(sleep.reaction, ms.group(subject=sleep.subject))
        >>> y = fit.simulate(200, seed=1)
        >>> y.shape, bool(abs(y.mean() - sleep.reaction.mean()) < 3)
        ((200, 180), True)
        """
        from mixedsmooth.inference.simulation import simulate

        return simulate(self, n, seed)

    def predict_interval(
        self,
        data: Data,
        level: float = 0.95,
        kind: Literal["confidence", "prediction"] = "confidence",
        new_levels: Literal["error", "population"] = "error",
        offset: ArrayLike | None = None,
        trials: ArrayLike | None = None,
    ) -> "PredictionIntervals":
        """Predict with intervals, which have the uncertainty of the fixed and random effects.

        Quantiles are normal, and the variances are taken as known.

        Parameters
        ----------
        data : mapping of str to array_like
            Columns by the names that the terms were given: a dict, a data frame.
        level : float
            Coverage, between 0 and 1.
        kind : {"confidence", "prediction"}
            For the mean of y, in the group of the row; or for a new observation there, of weight 1.
            In a generalized model the first is an interval of the linear predictor, mapped to
            means. The second has quantiles of y, whose linear predictor is normal: for counts the
            smallest and the largest whole number that leave no more than half of 1 - level outside.
        new_levels : {"error", "population"}
            What to do with a label that the model does not know: raise, or predict with random
            effects of zero. Its interval has the variance of the group.
        offset : array_like, shape (m,), or float, optional
            Known part of the linear predictor of the new rows, as for `predict`.
        trials : array_like, shape (m,), or float, optional
            Trials of the new rows, to predict successes of a binomial.

        Returns
        -------
        PredictionIntervals
            Arrays `value`, `se`, `lower` and `upper`.

        Raises
        ------
        ValueError
            As `predict`; or if `level` or `kind` is none, trials are missing or not asked for, or
            an observation of a model is to be predicted that has a residual scale beside its
            family.

        References
        ----------
        Henderson (1975), Biometrics 31, 423-447.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> fit = ms.lmm_formula("reaction ~ days + (days | subject)", ms.load_sleepstudy())
        >>> new = {"days": [10, 10], "subject": ["308", "a new one"]}
        >>> found = fit.predict_interval(new, new_levels="population")
        >>> print(found.value.round(1), found.lower.round(1), found.upper.round(1))
        [450.3 356.1] [419.3 223.6] [481.4 488.5]
        """
        from mixedsmooth.inference.prediction import predict_interval

        return predict_interval(self, data, level, kind, new_levels, offset, trials)

    def quantile_residuals(self, seed: int | None = None) -> Values:
        """Residuals that are standard normal if the model is right, given the predicted effects.

        Those of a linear mixed model are the scaled residuals. For other distributions a residual
        is the normal quantile of P(Y <= y). A whole number has no such probability of its own: one
        between P(Y < y) and P(Y <= y) is drawn.

        Parameters
        ----------
        seed : int, optional
            Seed of these draws; otherwise fresh entropy. Measurements need none.

        Returns
        -------
        ndarray or pandas.Series, shape (n,)
            The residuals; a Series where y was one.

        Raises
        ------
        ValueError
            If a generalized model was fitted with a residual scale beside its family.

        References
        ----------
        Dunn and Smyth (1996), Journal of Computational and Graphical Statistics 5, 236-244.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> pastes = ms.load_pastes()
        >>> fit = ms.lmm(pastes.strength, ms.group(batch=pastes.batch))
        >>> bool(np.allclose(fit.quantile_residuals(), fit.residuals / fit.sigma))
        True
        """
        from mixedsmooth.inference.simulation import quantile_residuals

        return self._named(quantile_residuals(self, seed))

    # ---- another fit ----

    def refit(self, method: Method | None = None, *, theta: ArrayLike | None = None) -> "Fit":
        """Fit the same model to the same data by another method, or at a given theta.

        Parameters
        ----------
        method : {"REML", "ML", "GCV"}, optional
            The method; otherwise the same. Compare fits that differ in their fixed effects by ML:
            REML criteria of different X are not comparable.
        theta : array_like, optional
            Entries of the relative covariance factors to hold, in the order of `theta`; nothing is
            searched then, and ranges stay as they are.

        Returns
        -------
        Fit
            The new fit; this one stays as it is.

        Raises
        ------
        ValueError
            If `method` is unknown, or `theta` does not fit.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> sleep = ms.load_sleepstudy()
        >>> terms = ms.linear(days=sleep.days), ms.group(subject=sleep.subject)
        >>> fit = ms.lmm(sleep.reaction, *terms)
        >>> fit.refit("ML")
        <Fit by ML: 180 rows, criterion 1794.0786>
        >>> fit.refit(theta=[0.0])
        <Fit by REML: 180 rows, criterion 1893.6637>
        """
        A = self.factorization.A
        method = self.method if method is None else method
        return self.solver(self.problem, method, A=A, theta=theta)

    def with_response(self, y: ArrayLike, *, theta: ArrayLike | None = None) -> "Fit":
        """Fit the same model to another response, and use again what does not depend on it.

        Parameters
        ----------
        y : array_like, shape (n,)
            The new response, as it is fitted: of a formula ``log(y) ~ x`` the logarithms.
        theta : array_like, optional
            Entries of the relative covariance factors to hold, in the order of `theta`; nothing is
            searched then, and ranges stay as they are.

        Returns
        -------
        Fit
            The new fit, by the same method; this one stays as it is.

        Raises
        ------
        ValueError
            If `y` or `theta` do not fit.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> sleep = ms.load_sleepstudy()
        >>> terms = ms.linear(days=sleep.days), ms.group(subject=sleep.subject)
        >>> fit = ms.lmm(sleep.reaction, *terms)
        >>> fit.with_response(sleep.reaction / 1000).beta.round(4)  # in seconds
        array([0.2514, 0.0105])
        """
        return replace(self, problem=self.problem.with_response(y)).refit(theta=theta)

    # ---- diagnostics ----

    def influence(
        self, factor: str, *, progress: bool | Callable[[int, int], object] | None = None
    ) -> "Influence":
        """Refit without each level of a factor, and tell what that changes.

        Parameters
        ----------
        factor : str
            A grouping factor of the model, with three levels or more.
        progress : bool or callable, optional
            True for a bar by tqdm, where that is installed; or what is called with the number of
            levels that are done and that of all. An interrupt keeps what is done.

        Returns
        -------
        Influence
            Estimates without each level, DFBETAS and Cook's distances, as
            `mixedsmooth.inference.diagnostics.influence` tells.

        Raises
        ------
        ValueError
            If the model has no such grouping factor, or one of two levels.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> fit = ms.lmm_formula("grams ~ 1 + (1 | batch)", ms.load_dyestuff())
        >>> print(fit.influence("batch").cook.round(2))
        [0.05 0.   0.14 0.09 0.56 0.35]
        """
        from mixedsmooth.inference.diagnostics import influence

        return influence(self, factor, progress)

    def basis_check(self, n: int = 1000, seed: int | None = None) -> "BasisCheck":
        """Ask of each smooth whether its basis has room enough.

        Parameters
        ----------
        n : int
            Number of permutations of the residuals, 20 or more.
        seed : int, optional
            Where they begin; otherwise anew at each call.

        Returns
        -------
        BasisCheck
            Columns, degrees of freedom, index and p of each smooth, as
            `mixedsmooth.inference.diagnostics.basis_check` tells.

        Raises
        ------
        ValueError
            If the model has no smooth, or `n` or `seed` are not such numbers.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> fit = ms.lmm_formula("wear ~ s(size, k=9)", ms.load_volvo())
        >>> print(fit.basis_check(seed=1).index.round(2))
        [0.98]
        """
        from mixedsmooth.inference.diagnostics import basis_check

        return basis_check(self, n, seed)

    # ---- summaries ----

    def __str__(self) -> str:
        """Summarize the fit as lme4 does."""
        return self._summary().text()

    def __repr__(self) -> str:
        """Tell the kind of model, its size and its criterion."""
        return f"<Fit by {self.method}: {self.n} rows, criterion {self.criterion:.4f}>"

    def _repr_html_(self) -> str:
        return self._summary().html()

    def _summary(self) -> Summary:
        caption, scaled = self._scaled_residuals()
        rows: list[tuple[str, ...]] = []
        for (term, r), g in zip(self.random.items(), self.model.groups, strict=True):
            covariance = g.covariance
            names = [f"{covariance.k} columns"] if g.is_smooth else r.names
            corr = r.corr if isinstance(covariance, Full) else None
            rows += random_rows(term, names, r.cov, corr)
        if self._has_residual:
            rows.append(("Residual", "", f"{self.sigma**2:.5g}", f"{self.sigma:.5g}", ""))
        ratio = "t" if self._has_residual else "z"
        fixed = fixed_table(self.names, self.beta, self.se, ratio)
        random = [random_table(rows)] if rows else []
        tables = (residual_table(caption, scaled), *random, fixed)
        formula = [] if self.formula is None else [f"Formula: {' '.join(self.formula.split())}"]
        return Summary(self._title(), tables, (*formula, *self._notes()))

    def _title(self) -> str:
        names = {"REML": "REML criterion", "ML": "-2 log-likelihood", "GCV": "GCV score"}
        name = names[self.method]
        kind = "Linear mixed model" if self.model.groups else "Linear model"
        return f"{kind} fit by {self.method}, {name}: {self.criterion:.4f}"

    def _notes(self) -> list[str]:
        factors = {g.factor: len(g.levels) for g in self.model.groups if not g.is_curve}
        groups = ", ".join(f"{levels} {factor}" for factor, levels in factors.items())
        degrees = ", ".join(f"{term} {value:.2f}" for term, value in self.edf.items())
        notes = [
            f"Rows: {self.model.rows}" + (f"; levels: {groups}" if groups else ""),
            f"Effective degrees of freedom: {degrees}",
        ]
        for tuning in self.model.tunings:
            end = f", the {tuning.end} that is looked at: the data do not hold it"
            told = f"Range of {tuning.label}: {tuning.value:.6g}, estimated"
            notes.append(told + (end if tuning.end else ""))
        notes += self.model.notes
        if not self.model.groups:
            notes.append("No random effects and no smooths: nothing is shrunk")
        if self._is_singular:
            notes.append(
                "On the boundary: a variance is zero or effects are perfectly correlated (singular)"
            )
        if not self.converged:
            notes.append(f"Not converged: {self.reason}")
        return notes

    def _scaled_residuals(self) -> tuple[str, FloatArray]:
        scaled = self._residuals / self.sigma
        if self.model.weights is not None:
            scaled = scaled * np.sqrt(self.model.weights)
        return "Scaled residuals", scaled

    @property
    def _has_residual(self) -> bool:
        return True


@dataclass(frozen=True, eq=False, repr=False)
class GeneralizedFit(Fit):
    """A fitted generalized linear mixed model.

    Everything that `Fit` has is here on the scale of the link: beta, effects and smooths are parts
    of the linear predictor, and sigma is 1 unless PQL estimated it. Conditional covariances and
    effective degrees of freedom are those of the weighted linear mixed model at the mode.

    Attributes
    ----------
    method : {"laplace", "pql", "agq"}
        How the likelihood was approximated.
    family : Family
        Distribution of y given the random effects, and its link.
    estimates : tuple
        Beta, and b of shape (m, k) for each term.
    covariance : ndarray, shape (p, p)
        Covariance of the fixed effects: for "laplace" and "agq" from the curvature of the deviance
        in theta and beta together, as lme4's glmer has it.
    deviance : float
        Minus twice the log-likelihood with all constants; not a number for PQL, which has none.
    nodes : int
        Nodes of the quadrature; 1 for Laplace, 0 for PQL.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> epil = ms.load_epil()
    >>> terms = ms.linear(lbase=epil.lbase, trt=epil.trt), ms.group(subject=epil.subject)
    >>> fit = ms.glmm(epil.y, *terms)
    >>> fit
    <GeneralizedFit by laplace, poisson: 236 rows, criterion 1343.4250>
    >>> print(fit.beta.round(3), fit.se.round(3))
    [ 1.803 1.011 -0.334] [0.108 0.101 0.151]
    >>> print(round(fit.dispersion, 1))  # twice the variance that a Poisson model allows
    2.0
    """

    method: GeneralizedMethod  # type: ignore[assignment]
    solver: Callable[..., "GeneralizedFit"]
    family: Family
    estimates: tuple[FloatArray, list[FloatArray]]
    covariance: FloatArray
    deviance: float
    nodes: int

    # ---- parameters ----

    @cached_property
    def _solution(self) -> tuple[FloatArray, list[FloatArray]]:
        beta, b = self.estimates
        return locked(beta), [locked(effects) for effects in b]

    @cached_property
    def cov_beta(self) -> FloatArray:
        """Covariance of the fixed effects, shape (p, p)."""
        return locked(self.covariance)

    @cached_property
    def criterion(self) -> float:
        """Minus twice the log-likelihood, with all constants; not a number for PQL."""
        return self.deviance

    @property
    def npar(self) -> int:
        """Number of parameters: as of `Fit`, with a size or a shape if it is estimated."""
        one_more = self._has_residual or bool(self.family.parameter)
        return len(self.names) + len(self.theta) + len(self.ranges) + int(one_more)

    @property
    def on_boundary(self) -> bool:
        """Whether a covariance matrix is singular, or the size of a negative binomial infinite."""
        return self._is_singular or bool(np.any(np.isinf(self.family.log_parameters)))

    # ---- tests of coefficients ----

    def coefficients(self, df: "Degrees" = "normal") -> "Coefficients":
        """Test each fixed effect by the normal distribution, as Wald's tests do.

        Parameters
        ----------
        df : {"normal"}
            The only one for a generalized model.

        Returns
        -------
        Coefficients
            The tests.

        Raises
        ------
        ValueError
            If `df` is another.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> epil = ms.load_epil()
        >>> fit = ms.glmm_formula("y ~ lbase + trt + (1 | subject)", epil)
        >>> fit.coefficients().p.round(4)
        array([0.    , 0.    , 0.0271])
        """
        return super().coefficients(df)

    def contrast(
        self, L: Mapping[str, float] | ArrayLike, df: "Degrees" = "normal"
    ) -> "Contrast | JointContrast":
        """Test a combination of fixed effects, or several at once, by Wald's tests.

        Parameters
        ----------
        L : mapping of str to float, or array_like of shape (p,) or (r, p)
            Weights of the fixed effects: by name, or for all of them. Several rows have a
            chi-square test.
        df : {"normal"}
            The only one for a generalized model.

        Returns
        -------
        Contrast or JointContrast
            The test that all combinations are zero.

        Raises
        ------
        ValueError
            As `Fit.contrast`.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> epil = ms.load_epil()
        >>> fit = ms.glmm_formula("y ~ lbase + trt + (1 | subject)", epil)
        >>> fit.contrast([[0, 1, 0], [0, 0, 1]])
        Joint test of combinations of fixed effects
        <BLANKLINE>
        Chi-square  df          p
            102.82   2  4.712e-23
        <BLANKLINE>
        Normal distribution: the variances are taken as known
        """
        return super().contrast(L, df)

    # ---- fitted values ----

    @property
    def linear_predictor(self) -> Values:
        """Eta, offset + X beta + Z b for the rows that were used, shape (n,)."""
        return self._named(self._linear_predictor)

    @property
    def fitted(self) -> Values:
        """Means of y given the predicted effects, shape (n,); for a binomial, of the successes."""
        return self._named(self._means)

    @property
    def pearson(self) -> Values:
        """Pearson residuals, (y - mean) over the family's standard deviation, shape (n,)."""
        return self._named(self._pearson)

    @cached_property
    def _means(self) -> FloatArray:
        return locked(self.family.scale * self.family.mean(self._linear_predictor))

    @cached_property
    def _pearson(self) -> FloatArray:
        moments = self.family.moments(self.model.y, self._linear_predictor)
        # (y - mu) / sqrt(V) = score / sqrt(expected information)
        scaled = moments.score / np.sqrt(np.maximum(moments.expected, LEAST_WEIGHT))
        w = self.model.weights
        return locked(scaled if w is None else np.sqrt(w) * scaled)

    @property
    def dispersion(self) -> float:
        """Pearson's chi-square over the rows less all effective degrees of freedom.

        About 1 if the counts vary as the family says; above 1 with overdispersion. Zeros and ones
        cannot be overdispersed, so for them it is not a number.
        """
        if self.family.binary:
            return np.nan
        return float(np.sum(self._pearson**2)) / (self.n - sum(self.edf.values()))

    def predict(
        self,
        data: Data,
        *,
        effects: bool = True,
        new_levels: Literal["error", "population"] = "error",
        scale: Literal["response", "link"] = "response",
        offset: ArrayLike | None = None,
    ) -> FloatArray:
        """Predict the mean of the response, or the linear predictor, for new data.

        Parameters
        ----------
        data : mapping of str to array_like
            Columns by the names that the terms were given: a dict, a data frame.
        effects : bool
            Whether to add the predicted random effects of groups. Without them the prediction is
            the mean in a group with effects of zero, which is not the mean over all groups.
        new_levels : {"error", "population"}
            What to do with a label that the model does not know: raise, or predict with random
            effects of zero.
        scale : {"response", "link"}
            Means (for a binomial, the probability of a success), or linear predictors.
        offset : array_like, shape (m,), or float, optional
            Known part of the linear predictor of the new rows; needed if the model was given one,
            0 for one unit of exposure. That of a formula is made from `data`.

        Returns
        -------
        ndarray, shape (m,)
            Predictions.

        Raises
        ------
        ValueError
            As `Fit.predict`.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> epil = ms.load_epil()
        >>> fit = ms.glmm(epil.y, ms.linear(lbase=epil.lbase), ms.group(subject=epil.subject))
        >>> new = {"lbase": [0.0, 1.0], "subject": ["1", "1"]}
        >>> fit.predict(new).round(2), fit.predict(new, scale="link").round(2)
        (array([ 6.9 , 18.71]), array([1.93, 2.93]))
        """
        choice("scale", scale, ("response", "link"))
        eta = super().predict(data, effects=effects, new_levels=new_levels, offset=offset)
        return eta if scale == "link" else self.family.mean(eta)

    # ---- another fit ----

    def refit(  # type: ignore[override]
        self,
        method: GeneralizedMethod | None = None,
        *,
        nodes: int | None = None,
        theta: ArrayLike | None = None,
    ) -> "GeneralizedFit":
        """Fit the same model to the same data by another method, or at a given theta.

        Parameters
        ----------
        method : {"laplace", "pql", "agq"}, optional
            The method; otherwise the same.
        nodes : int, optional
            Nodes of the quadrature; otherwise as many as here, or 25.
        theta : array_like, optional
            Entries of the covariance factors to hold, in the order of `theta`; only the fixed
            effects are searched then, and ranges stay as they are.

        Returns
        -------
        GeneralizedFit
            The new fit; this one stays as it is.

        Raises
        ------
        ValueError
            If `method` is unknown, or quadrature does not fit the model.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> epil = ms.load_epil()
        >>> fit = ms.glmm(epil.y, ms.linear(lbase=epil.lbase), ms.group(subject=epil.subject))
        >>> fit.refit("agq", nodes=9)
        <GeneralizedFit by agq, poisson: 236 rows, criterion 1348.0522>
        """
        if method is None:
            method = self.method
        if nodes is None:
            nodes = self.nodes if self.method == "agq" else 25
        return self.solver(self.problem, self.family, method, nodes=nodes, theta=theta)

    def with_response(self, y: ArrayLike, *, theta: ArrayLike | None = None) -> "GeneralizedFit":
        """Fit the same model to another response, and use again what does not depend on it.

        Parameters
        ----------
        y : array_like, shape (n,)
            The new response, as it is fitted: of a formula ``log(y) ~ x`` the logarithms.
        theta : array_like, optional
            Entries of the covariance factors to hold, in the order of `theta`; only the fixed
            effects are searched then, and ranges stay as they are.

        Returns
        -------
        GeneralizedFit
            The new fit, by the same method; this one stays as it is.

        Raises
        ------
        ValueError
            If `y` does not fit the family, or `theta` the model.

        Examples
        --------
        >>> import mixedsmooth as ms
        >>> epil = ms.load_epil()
        >>> fit = ms.glmm(epil.y, ms.linear(lbase=epil.lbase), ms.group(subject=epil.subject))
        >>> bool(fit.with_response(epil.y).criterion == fit.criterion)
        True
        """
        return replace(self, problem=self.problem.with_response(y)).refit(theta=theta)

    # ---- summaries ----

    def __repr__(self) -> str:
        """Tell the kind of model, its size and its criterion."""
        return (
            f"<GeneralizedFit by {self.method}, {self.family.name}: {self.n} rows, "
            f"criterion {self.criterion:.4f}>"
        )

    def _title(self) -> str:
        ways = {
            "laplace": "the Laplace approximation",
            "agq": f"adaptive Gauss-Hermite quadrature with {self.nodes} nodes",
            "pql": "penalized quasi-likelihood (which has no log-likelihood)",
        }
        kind = "Generalized linear mixed model" if self.model.groups else "Generalized linear model"
        way = ways[self.method] if self.model.groups else "maximum likelihood"
        title = f"{kind} ({self.family.name}, {self.family.link} link) fit by {way}"
        return title if self.method == "pql" else f"{title}, -2 log-likelihood: {self.deviance:.4f}"

    def _scaled_residuals(self) -> tuple[str, FloatArray]:
        return "Pearson residuals", self._pearson

    @property
    def _has_residual(self) -> bool:
        return self.model.sigma is None

    def _notes(self) -> list[str]:
        notes = super()._notes()
        family, parameter = self.family, self.family.parameter
        if not family.binary:
            notes.insert(
                2,
                f"Pearson chi-square over residual degrees of freedom: {self.dispersion:.2f} "
                f"(about 1 if y varies as {family.name})",
            )
        if parameter and np.isinf(family.log_parameters[0]):
            notes.append(
                "The size is infinite: y varies no more than Poisson allows, and this is its fit"
            )
        elif parameter:
            way = "moments of the residuals" if self.method == "pql" else "maximum likelihood"
            value = float(np.exp(family.log_parameters[0]))
            notes.insert(
                2, f"{parameter.capitalize()}: {value:.5g}, by {way} (variance {family.variance})"
            )
        return notes


def _series(values: FloatArray, index: Any) -> "pd.Series":
    """Make a column of pandas, of a copy: results stay as they are."""
    import pandas as pd

    return pd.Series(values, index=index, copy=True)


def _refuse_new(data: Data, frame: Frame, inputs: Iterable[Input], hint: str = "") -> None:
    """Raise if a row has a label that is not among the levels."""
    for name, levels in inputs:
        if levels is None:
            continue
        new = np.flatnonzero(frame.codes(name, levels) < 0)
        if len(new):
            known = ", ".join(str(level) for level in levels[:5])
            more = ", ..." if len(levels) > 5 else ""
            label = _label(data, name, frame, new[0])
            raise ValueError(
                f"{name} has the new label {label}, for which nothing was learned; the model "
                f"knows {known}{more}{hint}"
            )


def _label(data: Data, name: str, frame: Frame, row: int) -> str:
    """Text of a label of new data."""
    column = frame.made[name](data) if name in frame.made else column_of(data, name)
    return str(np.asarray(column)[row])
