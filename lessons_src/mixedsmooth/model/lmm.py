"""Fitting a linear mixed model: columns, scaling, cross-products, optimum (chapters 5 to 7).

``lmm(y, *terms)`` -> columns -> standardize -> cross_products -> minimize d(theta) -> Fit
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from mixedsmooth._checks import as_vector, positive
from mixedsmooth.model.blocked import (
    Products,
    deviance,
    pack,
    pack_slopes,
    residual_variance,
    unpack,
)
from mixedsmooth.model.columns import (
    Columns,
    engine_for,
    model_of,
    normal_matrix,
    standardize,
    weighted_mean,
)
from mixedsmooth.model.fit import Fit, Method, Model, Scales, engine_of, residual_and_degrees
from mixedsmooth.model.search import leave_boundary, schall_step, unit_steps
from mixedsmooth.model.terms import Term

FloatArray = NDArray[np.float64]
Progress = Callable[[int, FloatArray, float], object]

PREDICTED_DECREASE = 1e-6  # of the deviance by one more step: what converged means
FAR = 30  # steps of unit length after which the unit is measured anew
UNBOUNDED = 1e5  # an entry of T beyond this, in scaled units, says that sigma goes to zero

NO_RESIDUAL = (
    "y is explained by its groups without error, so there is no residual variance; "
    "use fewer random effects"
)


def lmm(
    y: ArrayLike,
    *terms: Term,
    method: Method = "REML",
    weights: ArrayLike | None = None,
    sigma: float | None = None,
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
    sigma : float, optional
        The residual standard deviation where it is known and need not be estimated: 1 if the
        weights are the inverses of known variances, as in a meta-analysis.
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
    if sigma is not None:
        sigma = positive("sigma", sigma)
    model = model_of(as_vector("y", y), terms, weights, sigma)
    if method == "GCV" and not all(g.is_curve for g in model.groups):
        raise ValueError('method "GCV" is for models with smooths only; use "REML" with groups')
    if method == "GCV" and sigma is not None:
        raise ValueError('method "GCV" estimates sigma; use "REML" or "ML" where it is known')
    columns = standardize(model)
    inner_y, scales = _standardize_response(model, columns, method)
    A = engine_for(columns.factors).cross_products(
        columns.factors, columns.X, inner_y, model.weights
    )
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
        factorization=search.engine.factorize(A, unpack(theta, A.factors)),
        converged=decrease <= PREDICTED_DECREASE,
        reason=reason,
        evaluations=search.evaluations,
    )


# ---- response ----


def _standardize_response(
    model: Model, columns: Columns, method: Method
) -> tuple[FloatArray, Scales]:
    """Take the least-squares fit out of y and scale what is left.

    The criterion is the same for y - X beta_0, whatever beta_0 is, and digits are saved.
    """
    y, w = model.y, model.weights
    X, K = columns.X, columns.K
    center = weighted_mean(y, w) if model.intercept else 0.0
    centered = y - center
    if model.intercept and np.ptp(y) == 0:
        raise ValueError("y is constant, so there is no variance to divide")
    weighted = centered if w is None else w * centered
    beta = np.asarray(np.linalg.solve(normal_matrix(X, w), X.T @ weighted), dtype=np.float64)
    residual = centered - X @ beta
    y_scale = float(np.sqrt(weighted_mean(residual * residual, w)))
    if y_scale <= 1e-13 * float(np.abs(y).max()):
        raise ValueError(
            f"y is explained by the {len(K)} columns of X without error, so there is no variance "
            "left to divide; use fewer columns"
        )
    if model.intercept:
        beta[0] += center
    # r^2 has the units of y^2; and log|X_inner' .. X_inner| = log|X' .. X| + 2 log|K|
    N = len(y) - len(K) if method == "REML" else len(y)
    criterion = 2 * N * np.log(y_scale)
    if method == "REML":
        criterion -= 2 * np.log(np.abs(np.diag(K))).sum()
    return residual / y_scale, Scales(K @ beta, y_scale, K, columns.B, float(criterion))


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
        self.variance = None if model.sigma is None else (model.sigma / scales.y_scale) ** 2
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
        """T = I in scaled units, improved by two steps of Schall's fixed point."""
        shapes = self.A.factors
        T = [np.eye(shape.effects) for shape in shapes]
        for _ in range(2):
            f = self.engine.factorize(self.A, T)
            self.evaluations += 1
            degrees = self.engine.degrees_of_freedom(self.A, f, self.reml)
            _, u = self.engine.solve(self.A, f)
            variance = residual_variance(self.A, f, self.reml, self.variance)
            T = schall_step(T, u, degrees, shapes, variance)
        return pack(T, shapes), unit_steps(T, degrees, shapes)

    def _unit_at(self, theta: FloatArray) -> FloatArray:
        T = unpack(theta, self.A.factors)
        self.evaluations += 1
        f = self.engine.factorize(self.A, T)
        degrees = self.engine.degrees_of_freedom(self.A, f, self.reml)
        return unit_steps(T, degrees, self.A.factors)

    def value_and_slope(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Criterion and its gradient at theta."""
        self.evaluations += 1
        self.last = theta
        try:
            f = self.engine.factorize(self.A, unpack(theta, self.A.factors))
        except np.linalg.LinAlgError:
            raise ValueError(NO_RESIDUAL) from None
        value = deviance(self.A, f, self.reml, self.variance)
        if self.callback is not None:
            outward = pack(self.scales.outward(f.T, self.model), self.model.shapes)
            if self.callback(self.evaluations, outward, value + self.scales.criterion):
                raise _StopError
        slope = pack_slopes(
            self.engine.gradient(self.A, f, self.reml, self.variance), self.A.factors
        )
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
                theta, ended = leave_boundary(
                    theta, self.A.factors, lambda trial: self.value_and_slope(trial)[0]
                )
                if ended:
                    break
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
