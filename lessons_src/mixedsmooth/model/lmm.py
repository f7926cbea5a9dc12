"""Fitting a linear mixed model: columns, scaling, cross-products, optimum (chapters 5 to 7).

``lmm(y, *terms)`` -> columns -> standardize -> cross_products -> minimize d(theta) -> Fit
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg.lapack import dpstrf
from scipy.optimize import minimize

from mixedsmooth._checks import as_vector
from mixedsmooth.model import blocked, sparse
from mixedsmooth.model.blocked import Factor, Products, deviance, pack, pack_slopes, unpack
from mixedsmooth.model.fit import Fit, Method, Model, Scales, engine_of, residual_and_degrees
from mixedsmooth.model.terms import Curves, Group, Linear, Term, effect_columns

FloatArray = NDArray[np.float64]
Progress = Callable[[int, FloatArray, float], object]

DENSE_TAIL = 4_000  # columns of Z outside the largest factor that a dense matrix may hold
PREDICTED_DECREASE = 1e-6  # of the deviance by one more step: what converged means
FAR = 30  # steps of unit length after which the unit is measured anew
UNBOUNDED = 1e5  # an entry of T beyond this, in scaled units, says that sigma goes to zero
NEARLY_ZERO = 1e-2  # a diagonal entry of T below this, in scaled units, may be a variance of zero

NO_RESIDUAL = (
    "y is explained by its groups without error, so there is no residual variance; "
    "use fewer random effects"
)


def lmm(
    y: ArrayLike,
    *terms: Term,
    method: Method = "REML",
    weights: ArrayLike | None = None,
    start: ArrayLike | None = None,
    callback: Progress | None = None,
) -> Fit:
    """Fit a linear mixed model.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    *terms : Linear, Group or Curves
        What `linear`, `group` and `smooth` return. There is an intercept unless
        ``linear(intercept=False)`` says otherwise.
    method : {"REML", "ML", "GCV"}
        Restricted or full maximum likelihood; or generalized cross-validation, for models whose
        only random effects are smooths.
    weights : array_like, shape (n,), optional
        Positive numbers w: the residual variance of a row is sigma^2 / w.
    start : array_like, optional
        Where the search begins, in the order of ``fit.theta``.
    callback : callable, optional
        Called after each evaluation with its number, theta and the criterion, to report progress;
        the search ends early when it returns something true.

    Returns
    -------
    Fit
        Frozen record of the fit.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, weights are not positive, columns of X are
        combinations of others, there is neither a grouping factor nor a smooth, a grouping factor
        has as many effects as there are rows, y has no residual variance, `start` does not fit, or
        `method` is unknown or "GCV" in a model with groups.

    References
    ----------
    Bates, Maechler, Bolker and Walker (2015), Journal of Statistical Software 67(1).

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> sleep = ms.load_sleepstudy()
    >>> fit = lmm(sleep.reaction, ms.linear(days=sleep.days), ms.group(subject=sleep.subject))
    >>> print(f"{fit.criterion:.4f} {fit.sigma:.3f} {fit.random['subject'].sd[0]:.3f}")
    1786.4651 30.991 37.124
    """
    if method not in ("REML", "ML", "GCV"):
        raise ValueError(f'method must be "REML", "ML" or "GCV", found {method!r}')
    model = _model(as_vector("y", y), terms, weights)
    if method == "GCV" and not all(g.is_curve for g in model.groups):
        raise ValueError('method "GCV" is for models with smooths only; use "REML" with groups')
    scales, factors, X, inner_y = _standardize(model, method)
    in_tail = sum(f.size for f in factors[1:])
    engine = blocked if in_tail <= DENSE_TAIL else sparse
    A = engine.cross_products(factors, X, inner_y, model.weights)
    search = _Search(A, model, scales, method, callback)
    theta, unit = search.start(start)
    if method == "GCV":
        theta, decrease, reason = search.cross_validate(None if start is None else theta)
    else:
        theta, decrease, reason = search.run(theta, unit)
    return Fit(
        model=model,
        scales=scales,
        method=method,
        products=A,
        factorization=engine.factorize(A, unpack(theta, A.factors)),
        converged=decrease <= PREDICTED_DECREASE,
        reason=reason,
        evaluations=search.evaluations,
    )


# ---- columns ----


def _model(y: FloatArray, terms: Sequence[Term], weights: ArrayLike | None) -> Model:
    n = len(y)
    linear = [term for term in terms if isinstance(term, Linear)]
    smooths = [term for term in terms if isinstance(term, Curves)]
    groups: list[Group] = []
    for term in terms:
        if isinstance(term, Group):
            groups.append(term)
        elif isinstance(term, Curves):
            groups.extend(term.random)
        elif not isinstance(term, Linear):
            raise ValueError(
                f"terms are what linear(), group() and smooth() return; found {term!r:.60}"
            )
    if not groups:
        raise ValueError(
            "terms have neither a grouping factor nor a smooth; add group(...) or smooth(...), or "
            "use least squares"
        )
    covariates = tuple(covariate for term in linear for covariate in term.covariates)
    covariates += tuple(line for term in smooths for line in term.fixed)
    slopes = tuple(covariate for g in groups for covariate in g.covariates)
    rows = [(g.factor, len(g.codes)) for g in groups]
    for name, found in rows + [(c.name, len(c.values)) for c in covariates + slopes]:
        if found != n:
            raise ValueError(f"{name} has {found} rows where y has {n}; give one row for each")
    w = None
    if weights is not None:
        w = as_vector("weights", weights, n)
        if w.min() <= 0:
            raise ValueError(
                f"weights must be positive, found {w.min():g} in row {int(w.argmin())}; "
                "leave out rows that should not count"
            )
    model = Model(y, all(term.intercept for term in linear), covariates, tuple(groups), w)
    if not model.fixed_names:
        raise ValueError("terms have no fixed effect; leave the intercept in, or add a column")
    for g, shape in zip(groups, model.shapes, strict=True):
        if shape.levels * shape.effects >= n and not g.is_curve:
            raise ValueError(
                f"group({g.factor}=...) has {shape.levels * shape.effects} effects for {n} rows, "
                "so they cannot be told from the residuals; use fewer slopes or a coarser factor"
            )
    return model


def _standardize(
    model: Model, method: Method
) -> tuple[Scales, list[Factor], FloatArray, FloatArray]:
    """Center and scale all columns, so that units and origins do not matter.

    Centering moves a column along the intercept, so it needs one: in X, or among the correlated
    effects of a level.
    """
    n, w = len(model.y), model.weights
    columns = effect_columns(model.intercept, model.covariates, n)
    p = len(columns)
    X = np.empty((n, p))
    K = np.eye(p)  # X_inner = X K
    for j, column in enumerate(columns):
        if model.intercept and j == 0:
            X[:, 0] = 1.0
            continue
        X[:, j], center, scale = _standardized(column, model.intercept, w)
        K[j, j] = 1 / scale
        K[0, j] -= center / scale if model.intercept else 0.0
    y, inner_beta, y_scale = _least_squares_residual(model, X)
    factors, B = [], []
    for g in model.groups:
        effects = []
        centered = g.intercept and g.correlated
        columns = effect_columns(g.intercept, g.covariates, n)
        B_g = np.eye(len(columns))
        if g.scalar:  # one unit for all, as they share one variance
            scale = float(np.sqrt(np.mean([_mean(c * c, w) for c in columns])))
            factors.append(
                Factor(g.codes, len(g.levels), tuple(c / scale for c in columns), False, True)
            )
            B.append(scale * B_g)
            continue
        for a, column in enumerate(columns):
            if g.intercept and a == 0:
                effects.append(column)
                continue
            inner, center, scale = _standardized(column, centered, w)
            effects.append(inner)
            # b_0 + b_a x = (b_0 + center b_a) + scale b_a x_inner
            B_g[a, a] = scale
            B_g[0, a] += center if centered else 0.0
        factors.append(Factor(g.codes, len(g.levels), tuple(effects), g.correlated))
        B.append(B_g)
    N = n - p if method == "REML" else n
    # r^2 has the units of y^2; and log|X_inner' .. X_inner| = log|X' .. X| + 2 log|K|
    criterion = 2 * N * np.log(y_scale)
    if method == "REML":
        criterion -= 2 * np.log(np.abs(np.diag(K))).sum()
    scales = Scales(K @ inner_beta, y_scale, K, tuple(B), float(criterion))
    return scales, [factors[i] for i in model.order], X, y


def _standardized(
    column: FloatArray, centered: bool, w: FloatArray | None
) -> tuple[FloatArray, float, float]:
    center = _mean(column, w) if centered else 0.0
    inner = column - center if centered else column
    scale = float(np.sqrt(_mean(inner * inner, w)))
    if scale <= 1e-14 * abs(center):  # a constant column, up to the rounding of its mean
        return np.zeros_like(column), center, 1.0
    return inner / scale, center, scale


def _mean(values: FloatArray, w: FloatArray | None) -> float:
    return float(values.mean()) if w is None else float(w @ values) / float(w.sum())


def _least_squares_residual(model: Model, X: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Residual of y on the inner X, scaled; the coefficients, and the scale.

    The criterion is the same for y - X beta_0, whatever beta_0 is, and digits are saved.
    """
    y, w = model.y, model.weights
    weighted = X if w is None else X * w[:, None]
    XX = X.T @ weighted
    norm = np.sqrt(np.diag(XX))
    norm[norm == 0] = 1.0
    _, pivot, rank, _ = dpstrf(XX / np.outer(norm, norm), tol=1e-11)
    if rank < len(XX):
        redundant = ", ".join(model.fixed_names[j - 1] for j in sorted(pivot[rank:]))
        raise ValueError(
            f"X has {len(XX)} columns but rank {rank}: column(s) {redundant} are combinations of "
            "the others; leave them out"
        )
    center = _mean(y, w) if model.intercept else 0.0
    centered = y - center
    if model.intercept and np.ptp(y) == 0:
        raise ValueError("y is constant, so there is no variance to divide")
    beta = np.asarray(np.linalg.solve(XX, weighted.T @ centered), dtype=np.float64)
    residual = centered - X @ beta
    scale = float(np.sqrt(_mean(residual * residual, w)))
    if scale <= 1e-13 * float(np.abs(y).max()):
        raise ValueError(
            f"y is explained by the {len(XX)} columns of X without error, so there is no variance "
            "left to divide; use fewer columns"
        )
    if model.intercept:
        beta[0] += center
    return residual / scale, beta, scale


# ---- optimum ----


class _StopError(Exception):
    """The callback asked to stop."""


class _Search:
    """Minimizes the criterion over theta, and counts the evaluations."""

    def __init__(
        self,
        A: Products,
        model: Model,
        scales: Scales,
        method: Method,
        callback: Progress | None,
    ) -> None:
        self.A = A
        self.engine = engine_of(A)
        self.model = model
        self.scales = scales
        self.reml = method == "REML"
        self.callback = callback
        self.evaluations = 0
        self.last = np.empty(0)

    def start(self, theta: ArrayLike | None) -> tuple[FloatArray, FloatArray]:
        """Where the search begins, the user's wish or a guess; and the unit of its steps."""
        if theta is None:
            return self._guess()
        size = len(pack([np.eye(s.effects) for s in self.model.shapes], self.model.shapes))
        given = as_vector("start", theta)
        if len(given) != size:
            raise ValueError(f"start must have the {size} entries of theta, found {len(given)}")
        T = self.scales.inward(unpack(given, self.model.shapes), self.model)
        theta = pack(T, self.A.factors)
        return theta, self._unit_at(theta)

    def _guess(self) -> tuple[FloatArray, FloatArray]:
        """T = I in scaled units, improved by two steps of Schall's (1991) fixed point.

        At the optimum the sum of squares of the effects u, over sigma^2, equals their degrees of
        freedom. So T is multiplied by the root of their ratio.
        """
        T = [np.eye(shape.effects) for shape in self.A.factors]
        N = self.A.n - (self.A.p if self.reml else 0)
        for _ in range(2):
            f = self.engine.factorize(self.A, T)
            self.evaluations += 1
            degrees = self.engine.degrees_of_freedom(self.A, f, self.reml)
            _, u = self.engine.solve(self.A, f)
            for i, (edf, effects) in enumerate(zip(degrees, u, strict=True)):
                shape = self.A.factors[i]
                squares = (N / f.r2) * (effects.T @ effects)
                if shape.scalar:
                    ratio = np.trace(squares) / edf.sum() * np.eye(shape.effects)
                elif shape.correlated:
                    ratio = squares / np.sqrt(np.outer(edf, edf))
                else:
                    ratio = np.diag(np.diag(squares) / edf)
                T[i] = T[i] @ np.linalg.cholesky(ratio + 1e-4 * np.eye(shape.effects))
        return pack(T, self.A.factors), self._unit(T, degrees)

    def _unit_at(self, theta: FloatArray) -> FloatArray:
        T = unpack(theta, self.A.factors)
        self.evaluations += 1
        f = self.engine.factorize(self.A, T)
        return self._unit(T, self.engine.degrees_of_freedom(self.A, f, self.reml))

    def _unit(self, T: list[FloatArray], degrees: list[FloatArray]) -> FloatArray:
        """Root of the inverse curvature: by log T_aa it is about 4 times the degrees of freedom."""
        units = []
        for T_f, edf, shape in zip(T, degrees, self.A.factors, strict=True):
            size = np.maximum(np.abs(np.diag(T_f)), 0.1)
            if shape.scalar:
                edf = np.full_like(edf, edf.sum())
            root = np.maximum(edf, 1.0) ** 0.25
            units.append(size[:, None] / (2 * np.outer(root, root)))
        return pack(units, self.A.factors)

    def value_and_slope(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Criterion and its gradient at theta."""
        self.evaluations += 1
        self.last = theta
        try:
            f = self.engine.factorize(self.A, unpack(theta, self.A.factors))
        except np.linalg.LinAlgError:
            raise ValueError(NO_RESIDUAL) from None
        value = deviance(self.A, f, self.reml)
        if self.callback is not None:
            outward = pack(self.scales.outward(f.T, self.model), self.model.shapes)
            if self.callback(self.evaluations, outward, value + self.scales.criterion):
                raise _StopError
        slope = pack_slopes(self.engine.gradient(self.A, f, self.reml), self.A.factors)
        return value, slope

    def run(self, theta: FloatArray, unit: FloatArray) -> tuple[FloatArray, float, str]:
        """Search from theta; return the optimum, the predicted decrease there, and the reason."""
        try:
            while True:
                begin = theta
                theta, decrease = self._descend(begin, unit)
                if np.abs((theta - begin) / unit).max() > FAR:
                    unit = self._unit_at(theta)
                    theta, decrease = self._descend(theta, unit)
                better = self._leave_boundary(theta)
                if better is None:
                    break
                theta = better
        except _StopError:
            return self.last, np.inf, f"stopped by the callback at evaluation {self.evaluations}"
        if np.abs(theta).max() > UNBOUNDED:
            raise ValueError(NO_RESIDUAL)
        return theta, decrease, f"predicted decrease of the criterion {decrease:.1e}"

    def cross_validate(self, theta: FloatArray | None) -> tuple[FloatArray, float, str]:
        """Minimize the GCV score n rss / (n - edf)^2 over log theta.

        It may have several minima: without a theta to begin with, a coarse grid, common to all
        smooths, finds one.
        """

        def score(log_theta: FloatArray) -> float:
            self.evaluations += 1
            f = self.engine.factorize(self.A, unpack(np.exp(log_theta), self.A.factors))
            rss, edf = residual_and_degrees(self.A, f)
            return float(np.log(self.A.n * rss / (self.A.n - edf) ** 2))

        if theta is None:
            smooths = len(self.A.factors)
            begin = min((np.full(smooths, level) for level in np.linspace(-9, 9, 37)), key=score)
        else:
            begin = np.log(np.maximum(theta, 1e-6))
        optimum = minimize(
            score,
            begin,
            method="Nelder-Mead",
            options={"xatol": 1e-7, "fatol": 1e-12, "maxiter": 2000, "maxfev": 4000},
        )
        decrease = 0.0 if optimum.success else np.inf
        return np.exp(optimum.x), decrease, f"simplex of the GCV score: {optimum.message}"

    def _descend(self, theta: FloatArray, unit: FloatArray) -> tuple[FloatArray, float]:
        """Minimize by L-BFGS-B, in units of theta in which the curvature is about 1."""

        def scaled(phi: FloatArray) -> tuple[float, FloatArray]:
            value, slope = self.value_and_slope(phi * unit)
            return value, slope * unit

        optimum = minimize(
            scaled,
            theta / unit,
            jac=True,
            method="L-BFGS-B",
            # A slope g foretells a decrease of g^2 / 2, and the criterion is rounded to 1e-15 n.
            options={
                "gtol": 3e-5 + 1e-7 * np.sqrt(self.A.n),
                "ftol": 1e-14,
                "maxcor": 20,
                "maxiter": 500,
            },
        )
        step = -optimum.hess_inv.matvec(optimum.jac)
        decrease = -float(optimum.jac @ step) / 2
        # Near the optimum the next step is right to first order, and costs nothing; unless the
        # curvature, about 1 in these units, was learnt from rounding errors.
        sound = decrease <= PREDICTED_DECREASE and step @ step <= 20 * decrease
        return (optimum.x + step if sound else optimum.x) * unit, decrease

    def _leave_boundary(self, theta: FloatArray) -> FloatArray | None:
        """Set variances to zero where that is the optimum, in place; or return a better theta.

        The criterion is even in each column of T, so at zero its slope vanishes whether or not
        zero is the optimum: look a little further out.
        """
        T = unpack(theta, self.A.factors)
        for matrix, shape in zip(T, self.A.factors, strict=True):
            for c in range(1 if shape.scalar else len(matrix)):
                if abs(matrix[c, c]) > NEARLY_ZERO:
                    continue
                found = matrix[c, c]
                values = []
                for entry in (found, 0.0, NEARLY_ZERO / 3):
                    matrix[c, c] = entry
                    values.append(self.value_and_slope(pack(T, self.A.factors))[0])
                here, at_zero, outside = values
                if outside < min(here, at_zero):
                    return pack(T, self.A.factors)
                matrix[c, c] = 0.0 if at_zero <= here + 1e-14 * abs(here) else found
        theta[:] = pack(T, self.A.factors)
        return None
