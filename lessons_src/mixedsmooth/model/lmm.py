"""Fitting a linear mixed model: columns, scaling, cross-products, optimum (chapters 5 to 7).

lmm(y, *terms) -> columns -> standardize -> cross_products -> minimize d(theta) -> Fit
"""

from collections.abc import Callable, Sequence

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray
from scipy.linalg.lapack import dpstrf
from scipy.optimize import OptimizeResult, minimize

from mixedsmooth._checks import as_vector
from mixedsmooth.model.blocked import (
    CrossProducts,
    Factor,
    cross_products,
    degrees_of_freedom,
    deviance,
    factorize,
    gradient,
    pack,
    solve,
    unpack,
)
from mixedsmooth.model.fit import Fit, Method, Model, Scales
from mixedsmooth.model.terms import Group, Linear, Term, effect_columns

FloatArray = NDArray[np.float64]
Progress = Callable[[int, FloatArray, float], object]

PREDICTED_DECREASE = 1e-6  # of the deviance by one more step: what converged means
NEARLY_ZERO = 1e-2  # a diagonal entry of T below this, in scaled units, may be a variance of zero


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
    *terms : Linear or Group
        What `linear` and `group` return. There is an intercept unless ``linear(intercept=False)``
        says otherwise.
    method : {"REML", "ML"}
        Restricted or full maximum likelihood.
    weights : array_like, shape (n,), optional
        Positive numbers w: the residual variance of a row is sigma^2 / w.
    start : array_like, optional
        Where the search begins, in the order of ``fit.theta``.
    callback : callable, optional
        Called after each evaluation with its number, theta and the criterion, to report progress;
        the search ends early when it returns True.

    Returns
    -------
    Fit
        Frozen record of the fit.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, weights are not positive, columns of X are
        combinations of others, there is no grouping factor, a term has as many effects as there
        are rows, y has no residual variance, or `method` is unknown.

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
    if method not in ("REML", "ML"):
        raise ValueError(f'method must be "REML" or "ML", found {method!r}')
    model = _model(as_vector("y", y), terms, weights)
    scales, factors, X, scaled_y = _standardize(model, method)
    A = cross_products(factors, X, scaled_y, model.weights)
    _check_rank(A, model.fixed_names)
    search = _Search(A, model, scales, method, callback)
    theta = search.start(start)
    theta, decrease, reason = search.run(theta)
    return Fit(
        model=model,
        scales=scales,
        method=method,
        products=A,
        factorization=factorize(A, unpack(theta, model.shapes)),
        converged=decrease <= PREDICTED_DECREASE,
        reason=reason,
        evaluations=search.evaluations,
    )


# ---- columns ----


def _model(y: FloatArray, terms: Sequence[Term], weights: ArrayLike | None) -> Model:
    n = len(y)
    linear = [term for term in terms if isinstance(term, Linear)]
    groups = [term for term in terms if isinstance(term, Group)]
    if len(linear) + len(groups) < len(terms):
        strange = next(term for term in terms if not isinstance(term, Linear | Group))
        raise ValueError(f"terms are what linear() and group() return; found {strange!r:.60}")
    if not groups:
        raise ValueError("terms have no grouping factor; add group(...), or use least squares")
    covariates = tuple(covariate for term in linear for covariate in term.covariates)
    rows = {g.factor: len(g.codes) for g in groups}
    rows |= {c.name: len(c.values) for c in covariates}
    for name, found in rows.items():
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
        if shape.levels * shape.effects >= n:
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
    y, y_center, y_scale = _standardized(model.y, model.intercept, w)
    if not y.any():
        raise ValueError("y is constant, so there is no variance to divide")
    factors, B = [], []
    for g in model.groups:
        effects = []
        centered = g.intercept and g.correlated
        names = effect_columns(g.intercept, g.covariates, n)
        B_g = np.eye(len(names))
        for a, column in enumerate(names):
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
    scales = Scales(y_center, y_scale, K, tuple(B), float(criterion))
    return scales, [factors[i] for i in model.order], X, y


def _standardized(
    column: FloatArray, centered: bool, w: FloatArray | None
) -> tuple[FloatArray, float, float]:
    center = float(np.average(column, weights=w)) if centered else 0.0
    inner = column - center
    scale = float(np.sqrt(np.average(inner**2, weights=w)))
    if scale <= 1e-14 * abs(center):  # a constant column, up to the rounding of its mean
        return np.zeros_like(column), center, 1.0
    return inner / scale, center, scale


def _check_rank(A: CrossProducts, names: list[str]) -> None:
    m = len(A.tail) - A.p - 1
    XX = A.tail[m:-1, m:-1]
    norm = np.sqrt(np.diag(XX))
    norm[norm == 0] = 1.0
    _, pivot, rank, _ = dpstrf(XX / np.outer(norm, norm), tol=1e-11)
    if rank < A.p:
        redundant = ", ".join(names[j - 1] for j in sorted(pivot[rank:]))
        raise ValueError(
            f"X has {A.p} columns but rank {rank}: column(s) {redundant} are combinations of the "
            "others; leave them out"
        )
    Xy, yy = A.tail[m:-1, -1], A.tail[-1, -1]
    residual = yy - Xy @ scipy.linalg.solve(XX, Xy, assume_a="pos")
    if residual <= 1e-13 * yy:
        raise ValueError(
            f"y is explained by the {A.p} columns of X without error, so there is no variance left "
            "to divide; use fewer columns"
        )


# ---- optimum ----


class _StopError(Exception):
    """The callback asked to stop."""


class _Search:
    """Minimizes the criterion over theta, and counts the evaluations."""

    def __init__(
        self,
        A: CrossProducts,
        model: Model,
        scales: Scales,
        method: Method,
        callback: Progress | None,
    ) -> None:
        self.A = A
        self.model = model
        self.scales = scales
        self.reml = method == "REML"
        self.callback = callback
        self.evaluations = 0
        self.last = np.empty(0)
        self.curvature: list[FloatArray] | None = None

    def start(self, theta: ArrayLike | None) -> FloatArray:
        """Where the search begins: what the user wants, or a guess from the data."""
        if theta is None:
            return self._guess()
        size = len(pack([np.eye(s.effects) for s in self.model.shapes], self.model.shapes))
        given = as_vector("start", theta)
        if len(given) != size:
            raise ValueError(f"start must have the {size} entries of theta, found {len(given)}")
        T = self.scales.inward(unpack(given, self.model.shapes), self.model)
        return pack(T, self.A.factors)

    def _guess(self) -> FloatArray:
        """T = I in scaled units, improved by two steps of Schall's (1991) fixed point.

        At the optimum the sum of squares of the effects u, over sigma^2, equals their degrees of
        freedom. So T is multiplied by the root of their ratio.
        """
        T = [np.eye(shape.effects) for shape in self.A.factors]
        N = self.A.n - (self.A.p if self.reml else 0)
        for _ in range(2):
            f = factorize(self.A, T)
            self.evaluations += 1
            degrees = degrees_of_freedom(self.A, f, self.reml)
            _, u = solve(self.A, f)
            for i, (edf, effects) in enumerate(zip(degrees, u, strict=True)):
                ratio = (N / f.r2) * (effects.T @ effects) / np.sqrt(np.outer(edf, edf))
                if not self.A.factors[i].correlated:
                    ratio = np.diag(np.diag(ratio))
                T[i] = T[i] @ np.linalg.cholesky(ratio + 1e-4 * np.eye(len(ratio)))
        # The curvature by log T_aa is about four times the degrees of freedom.
        self.curvature = [
            4 * np.sqrt(np.outer(edf, edf)) / np.diag(T_f)[:, None] ** 2
            for edf, T_f in zip(degrees, T, strict=True)
        ]
        return pack(T, self.A.factors)

    def value_and_slope(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Criterion and gradient, divided by n so that the first step has a sensible length."""
        self.evaluations += 1
        self.last = theta
        try:
            f = factorize(self.A, unpack(theta, self.A.factors))
        except np.linalg.LinAlgError:
            raise ValueError(
                "y is explained by its groups without error, so there is no residual variance; "
                "use fewer random effects"
            ) from None
        value = deviance(self.A, f, self.reml)
        if self.callback is not None:
            outward = pack(self.scales.outward(f.T, self.model), self.model.shapes)
            if self.callback(self.evaluations, outward, value + self.scales.criterion) is True:
                raise _StopError
        slope = pack(gradient(self.A, f, self.reml), self.A.factors)
        return value / self.A.n, slope / self.A.n

    def run(self, theta: FloatArray) -> tuple[FloatArray, float, str]:
        """Search from theta; return the optimum, the predicted decrease there, and the reason."""
        try:
            while True:
                theta, decrease = self._descend(theta)
                better = self._leave_boundary(theta)
                if better is None:
                    break
                theta = better
        except _StopError:
            return self.last, np.inf, f"stopped by the callback at evaluation {self.evaluations}"
        return theta, decrease, f"predicted decrease of the criterion {decrease:.1e}"

    def _descend(self, theta: FloatArray) -> tuple[FloatArray, float]:
        n = self.A.n
        inverse = None
        if self.curvature is not None:
            inverse, self.curvature = np.diag(n / pack(self.curvature, self.A.factors)), None
        previous = np.inf

        def stop_when_flat(intermediate_result: OptimizeResult) -> None:
            # Below the rounding of the criterion a line search has nothing to hold on to.
            nonlocal previous
            value = intermediate_result.fun
            if n * (previous - value) < 1e-9 + 1e-14 * n * abs(value):
                raise StopIteration
            previous = value

        optimum = minimize(
            self.value_and_slope,
            theta,
            jac=True,
            method="BFGS",
            callback=stop_when_flat,
            # at a curvature of order 0.1, a predicted decrease of about 1e-9
            options={
                "gtol": 1e-5 / np.sqrt(n),
                "maxiter": 200 + 20 * len(theta),
                "hess_inv0": inverse,
            },
        )
        step = -optimum.hess_inv @ optimum.jac
        decrease = -n * float(optimum.jac @ step) / 2
        # Near the optimum the next step is right to first order, and costs nothing.
        return optimum.x + (step if decrease <= PREDICTED_DECREASE else 0.0), decrease

    def _leave_boundary(self, theta: FloatArray) -> FloatArray | None:
        """Set variances to zero where that is the optimum, in place; or return a better theta.

        The criterion is even in each column of T, so at zero its slope vanishes whether or not
        zero is the optimum: look a little further out.
        """
        T = unpack(theta, self.A.factors)
        for matrix in T:
            for c in range(len(matrix)):
                if abs(matrix[c, c]) > NEARLY_ZERO:
                    continue
                found = matrix[c, c]
                values = []
                for entry in (found, 0.0, 3 * NEARLY_ZERO):
                    matrix[c, c] = entry
                    values.append(self.value_and_slope(pack(T, self.A.factors))[0])
                here, at_zero, outside = values
                if outside < min(here, at_zero):
                    return pack(T, self.A.factors)
                matrix[c, c] = 0.0 if at_zero <= here + 1e-13 * abs(here) else found
        theta[:] = pack(T, self.A.factors)
        return None
