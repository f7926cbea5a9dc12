"""Fitting a linear mixed model: columns, scaling, cross-products, optimum (chapters 5 to 7).

``lmm(y, *terms)`` -> Model -> standardize -> cross-products -> minimize d(theta) -> Fit
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import a_callable, choice, positive
from mixedsmooth.model.covariance import pack
from mixedsmooth.model.engine import Products
from mixedsmooth.model.fit import METHODS, Fit, Method
from mixedsmooth.model.optimize import (
    PREDICTED_DECREASE,
    Criterion,
    Stopped,
    UnboundedError,
    cross_validate,
    search,
)
from mixedsmooth.model.problem import Problem, complete_cases, model_of, standardize
from mixedsmooth.model.ranges import search_ranges
from mixedsmooth.model.rows import Missing, among
from mixedsmooth.model.terms import Term

FloatArray = NDArray[np.float64]
VANISHED = 1e-10  # of the variance that X leaves of y: a sigma^2 on its way to zero

Progress = Callable[[int, FloatArray, float], object]


def lmm(
    y: ArrayLike,
    *terms: Term,
    method: Method = "REML",
    weights: ArrayLike | None = None,
    sigma: float | None = None,
    offset: ArrayLike | None = None,
    start: ArrayLike | None = None,
    callback: Progress | None = None,
    missing: Missing = "error",
) -> Fit:
    """Fit a linear mixed model.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    *terms : Linear, Group or Smooth
        What `linear`, `group` and `smooth` return. There is an intercept unless
        ``linear(intercept=False)`` says otherwise. Without a group or a smooth it is a linear
        model, fitted through the same likelihood.
    method : {"REML", "ML", "GCV"}
        Restricted or full maximum likelihood; or generalized cross-validation, for models whose
        only random effects are smooths.
    weights : array_like, shape (n,), optional
        Positive numbers w: the residual variance of a row is sigma^2 / w.
    sigma : float, optional
        The residual standard deviation where it is known and need not be estimated: 1 if the
        weights are the inverses of known variances, as in a meta-analysis.
    offset : array_like, shape (n,), or float, optional
        Known part of the mean of y.
    start : array_like, optional
        Where the search begins, in the order of ``fit.theta``. Without it the search looks around
        first, as the criterion of a smooth may have several minima.
    callback : callable, optional
        Called after each evaluation with its number, theta and the criterion, to report progress;
        the first two, which make a start, are not reported. When it returns something true the
        search ends at the lowest place seen so far.
    missing : {"error", "drop"}
        What to do with rows that miss a value (NaN, None, NaT, NA, null, masked) in any column:
        raise, or fit as if they had never been there. ``fit.rows`` are those that were used.

    Returns
    -------
    Fit
        Frozen record of the fit.

    Raises
    ------
    ValueError
        If lengths differ, a value is missing or not finite, a name stands for two different
        columns, weights are not positive, columns of X are combinations of others, a grouping
        factor has as many effects as there are rows, y has no residual variance, `start` does not
        fit, or `method` is unknown or "GCV" in a model with groups.

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
    if sigma is not None:
        sigma = positive("sigma", sigma)
    if callback is not None:
        a_callable("callback", callback)
    choice("method", method, METHODS)
    cases = complete_cases(y, terms, missing, weights=weights, offset=offset)
    with among(cases.rows):
        given = cases.weights, sigma, cases.offset, cases.rows
        problem = standardize(model_of(cases.y, cases.terms, *given))
    return fit_problem(problem, method, start=start, callback=callback)


def fit_problem(
    problem: Problem,
    method: Method,
    *,
    A: Products | None = None,
    start: ArrayLike | None = None,
    theta: ArrayLike | None = None,
    callback: Progress | None = None,
) -> Fit:
    """Fit a model that is checked: what `lmm` and another fit of the same model share.

    Ranges of Gaussian processes are searched too, unless theta is given: then they stay as they
    are.

    Parameters
    ----------
    problem : Problem
        Data and terms, standardized.
    method : {"REML", "ML", "GCV"}
        What is optimized.
    A : Products, optional
        Cross-products of the same columns with any response, to be used again.
    start : array_like, optional
        Where the search begins.
    theta : array_like, optional
        Parameters that are held; there is no search then.
    callback : callable, optional
        Told of each evaluation.

    Returns
    -------
    Fit
        The fit.

    Raises
    ------
    ValueError
        As `lmm`.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> problem = standardize(model_of(np.array([1.0, 2.0, 4.0, 5.0]), [ms.group(g=[0, 0, 1, 1])]))
    >>> fit_problem(problem, "ML").theta.round(4)
    array([2.])
    >>> fit_problem(problem, "ML", theta=[1.0])
    <Fit by ML: 4 rows, criterion 13.5487>
    """
    if problem.model.tunings and theta is None:
        solve = partial(_fit_at_ranges, method=method)
        return search_ranges(problem, solve, start=start, callback=callback)
    return _fit_at_ranges(problem, method, A=A, start=start, theta=theta, callback=callback)


def _fit_at_ranges(
    problem: Problem,
    method: Method,
    *,
    A: Products | None = None,
    start: ArrayLike | None = None,
    theta: ArrayLike | None = None,
    callback: Progress | None = None,
) -> Fit:
    """Fit a model at the ranges that it has."""
    model = problem.model
    reml = choice("method", method, METHODS) == "REML"
    if method == "GCV" and not all(g.is_curve for g in model.groups):
        raise ValueError('method "GCV" is for models with smooths only; use "REML" with groups')
    if method == "GCV" and model.sigma is not None:
        raise ValueError('method "GCV" estimates sigma; use "REML" or "ML" where it is known')
    y, scales = problem.response()
    columns = problem.factors, problem.X, y, model.weights
    A = problem.engine.cross_products(*columns) if A is None else A.with_response(*columns)

    def report(number: int, T: Sequence[FloatArray], value: float) -> None:
        assert callback is not None
        outward = np.exp(value) * scales.y_scale**2 if method == "GCV" else value + offset
        if callback(number, problem.theta(T), outward):
            raise Stopped

    offset = problem.offset(scales.y_scale, reml)
    variance = None if model.sigma is None else (model.sigma / scales.y_scale) ** 2
    criterion = Criterion(A, reml, variance, report if callback else None)

    def inner(name: str, given: ArrayLike) -> FloatArray:
        return pack(problem.inward(name, given), A.covariances)

    begin = None if start is None else inner("start", start)
    try:
        if not problem.factors:
            optimum = criterion.optimum(np.empty(0), 0.0, "there is no theta to search")
        elif theta is not None:
            optimum = criterion.optimum(inner("theta", theta), 0.0, "theta is given")
        elif method == "GCV":
            optimum = cross_validate(criterion, begin)
        else:
            optimum = search(criterion, begin)
    except Stopped:
        reason = f"stopped by the callback at evaluation {criterion.evaluations}"
        optimum = criterion.optimum(pack(criterion.lowest[1], A.covariances), np.inf, reason)
    fits_all = A.p + sum(shape.size for shape in A.shapes) >= A.n
    searched = method == "ML" and model.sigma is None and theta is None
    if searched and fits_all and optimum.factorization.residual_variance(reml) < VANISHED:
        raise UnboundedError
    return Fit(
        problem=problem,
        scales=scales,
        method=method,
        factorization=optimum.factorization,
        converged=optimum.decrease <= PREDICTED_DECREASE,
        reason=optimum.reason,
        evaluations=criterion.evaluations,
        solver=fit_problem,
    )
