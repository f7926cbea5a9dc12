"""Fitting a generalized linear mixed model: counts and proportions (chapter 11).

``glmm(y, *terms)`` -> Model -> standardize -> start -> minimize d(theta, beta) -> GeneralizedFit
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog

from mixedsmooth._checks import a_callable, choice, flag, node_count
from mixedsmooth.model.engine import Factorization
from mixedsmooth.model.families import Family, NegativeBinomial, Poisson, family_of
from mixedsmooth.model.fit import GENERALIZED_METHODS, Fit, GeneralizedFit, GeneralizedMethod
from mixedsmooth.model.laplace import (
    LEAST_WEIGHT,
    Mode,
    Response,
    positive_weights,
    times,
    working_products,
    working_response,
)
from mixedsmooth.model.lmm import Progress
from mixedsmooth.model.lmm import fit_problem as fit_linear
from mixedsmooth.model.optimize import PREDICTED_DECREASE, Stopped, search_marginal
from mixedsmooth.model.parts import Intercept
from mixedsmooth.model.problem import (
    Model,
    Problem,
    Scales,
    TooLargeError,
    complete_cases,
    model_of,
    standardize,
)
from mixedsmooth.model.ranges import search_ranges
from mixedsmooth.model.rows import Missing, among
from mixedsmooth.model.terms import Term

FloatArray = NDArray[np.float64]
FamilyName = Literal[
    "poisson", "negative-binomial", "binomial", "bernoulli", "gamma", "inverse-gaussian"
]
LinkName = Literal["log", "logit", "probit", "cloglog", "inverse"]

PQL_ROUNDS = 200
STILL = 1e-9  # change of eta in one round of PQL that ends it
NOISE = 1e-4  # change of eta that ends it once it has stopped falling
NEARLY_POISSON = 1e3  # a size over the mean above which Poisson is tried
VAGUE = 10.0  # a standard error of a scaled coefficient above this may say that it is infinite


def glmm(
    y: ArrayLike,
    *terms: Term,
    family: FamilyName = "poisson",
    link: LinkName | None = None,
    method: GeneralizedMethod = "laplace",
    trials: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    nodes: int = 25,
    dispersion: bool = False,
    start: ArrayLike | None = None,
    callback: Progress | None = None,
    missing: Missing = "error",
) -> GeneralizedFit:
    """Fit a generalized linear mixed model for counts, proportions or positive measurements.

    Parameters
    ----------
    y : array_like, shape (n,)
        Counts for "poisson" and "negative-binomial"; for "binomial" the successes, for "bernoulli"
        zeros and ones; measurements above zero for "gamma" and "inverse-gaussian".
    *terms : Linear, Group or Smooth
        What `linear`, `group` and `smooth` return. There is an intercept unless
        ``linear(intercept=False)`` says otherwise. Without a group or a smooth it is a generalized
        linear model, fitted through the same likelihood.
    family : str
        Distribution of y given the random effects: "poisson", "negative-binomial" (NB2, with the
        variance mu + mu^2 / size), "binomial", "bernoulli", "gamma" (mu^2 / shape) or
        "inverse-gaussian" (mu^3 / shape). A size or shape is estimated by maximum likelihood
        together with all else, and stands in ``fit.family``.
    link : str, optional
        "log" for counts; "logit", "probit" or "cloglog" for probabilities; "log" or "inverse" for
        measurements. Otherwise the first of these.
    method : {"laplace", "pql", "agq"}
        Laplace approximation of the likelihood, with the observed information; penalized
        quasi-likelihood, which has none, so that it takes no negative binomial, and estimates the
        shape of the others by the moments of its residuals; or adaptive Gauss-Hermite quadrature,
        for one grouping factor with one effect.
    trials : array_like, shape (n,), or int, optional
        How many trials each row counts the successes of, for "binomial".
    weights : array_like, shape (n,), optional
        Positive numbers: how many rows with the same y each row stands for. Its log-density counts
        as often.
    offset : array_like, shape (n,), or float, optional
        Known part of the linear predictor, such as the logarithm of an exposure.
    nodes : int
        Nodes of the quadrature for each group, from 1 (Laplace) to 100.
    dispersion : bool
        Whether PQL estimates a residual scale sigma beside the family's variance, as glmmPQL of
        R's MASS does.
    start : array_like, optional
        Where the search begins, in the order of ``fit.theta``. Without it the search looks around
        first, if there are smooths.
    callback : callable, optional
        Called after each evaluation with its number, theta and the criterion (by PQL, which has no
        criterion, after each round). When it returns something true the search ends at the lowest
        place seen so far.
    missing : {"error", "drop"}
        What to do with rows that miss a value (NaN, None, NaT, NA, null, masked) in any column:
        raise, or fit as if they had never been there. ``fit.rows`` are those that were used.

    Returns
    -------
    GeneralizedFit
        Frozen record of the fit; look at `converged`.

    Raises
    ------
    ValueError
        If y has values that the family does not (negative, not whole, successes above trials, a
        measurement of zero) or the same extreme value everywhere; family, link and method do not go
        together; the fixed effects separate the responses, so that a
        coefficient would be infinite; there is a length, number, column or argument that does not
        fit; or PQL's working model cannot be fitted.

    References
    ----------
    Breslow and Clayton (1993), Journal of the American Statistical Association 88, 9-25; Pinheiro
    and Bates (1995), Journal of Computational and Graphical Statistics 4, 12-35.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> epil = ms.load_epil()
    >>> fit = glmm(
    ...     epil.y, ms.linear(lbase=epil.lbase, trt=epil.trt), ms.group(subject=epil.subject)
    ... )
    >>> print(f"{fit.loglik:.4f} {fit.random['subject'].sd[0]:.4f}", fit.beta.round(4))
    -671.7125 0.5232 [ 1.8033  1.0106 -0.3344]
    """
    choice("method", method, GENERALIZED_METHODS)
    if flag("dispersion", dispersion) and method != "pql":
        raise ValueError(f'dispersion is estimated by method "pql" only, and method is {method!r}')
    if callback is not None:
        a_callable("callback", callback)
    cases = complete_cases(y, terms, missing, weights=weights, offset=offset, trials=trials)
    with among(cases.rows):
        distribution = family_of(family, cases.y, cases.trials, link)
        given = cases.weights, None if dispersion else 1.0, cases.offset, cases.rows
        problem = standardize(model_of(cases.y, cases.terms, *given))
    return fit_problem(problem, distribution, method, nodes=nodes, start=start, callback=callback)


def fit_problem(
    problem: Problem,
    family: Family,
    method: GeneralizedMethod,
    *,
    nodes: int = 25,
    start: ArrayLike | None = None,
    theta: ArrayLike | None = None,
    callback: Progress | None = None,
) -> GeneralizedFit:
    """Fit a model that is checked: what `glmm` and another fit of the same model share.

    Ranges of Gaussian processes are searched too, unless theta is given: then they stay as they
    are.

    Parameters
    ----------
    problem : Problem
        Data and terms, standardized; sigma is None if PQL estimates it, otherwise 1.
    family : Family
        Distribution of y.
    method : {"laplace", "pql", "agq"}
        How.
    nodes : int
        Nodes of the quadrature.
    start : array_like, optional
        Theta at which the search begins.
    theta : array_like, optional
        Theta that is held; only the other parameters are searched then.
    callback : callable, optional
        Told of each evaluation.

    Returns
    -------
    GeneralizedFit
        The fit.

    Raises
    ------
    ValueError
        As `glmm`.

    Examples
    --------
    >>> import mixedsmooth as ms
    >>> y = np.array([1.0, 2.0, 5.0, 9.0, 0.0, 3.0])
    >>> model = model_of(y, [ms.group(g=["a", "a", "b", "b", "c", "c"])], sigma=1.0)
    >>> fit = fit_problem(standardize(model), family_of("poisson", y, None), "laplace")
    >>> print(fit.beta.round(3), fit.theta.round(3))
    [0.98] [0.67]
    """
    if not problem.model.tunings or theta is not None:
        return _fit_at_ranges(
            problem, family, method, nodes=nodes, start=start, theta=theta, callback=callback
        )
    if choice("method", method, GENERALIZED_METHODS) == "pql":
        raise ValueError(
            'method "pql" has no criterion by which a range could be estimated; use "laplace", or '
            "give the range"
        )
    solve = partial(_fit_at_ranges, family=family, method=method, nodes=nodes)
    return search_ranges(problem, solve, start=start, callback=callback)


def _fit_at_ranges(
    problem: Problem,
    family: Family,
    method: GeneralizedMethod,
    *,
    nodes: int = 25,
    start: ArrayLike | None = None,
    theta: ArrayLike | None = None,
    callback: Progress | None = None,
) -> GeneralizedFit:
    """Fit a model at the ranges that it has."""
    model = problem.model
    family.check(model.y)
    _check_groups(model, family)
    nodes = node_count(nodes)
    if choice("method", method, GENERALIZED_METHODS) == "pql":
        return _fit_pql(problem, family, start, theta, callback)
    if method == "agq":
        _check_scalar(model)
    problem = replace(problem, model=replace(model, sigma=1.0)).in_unit(family.unit(model.y))
    begin = None if start is None else problem.inward("start", start)
    held = None if theta is None else problem.inward("theta", theta)
    data = Response(
        y=model.y,
        family=family,
        offset=0.0 if model.whole_offset is None else model.whole_offset,
        weights=1.0 if model.weights is None else model.weights,
        X=problem.X,
        factors=problem.factors,
        engine=problem.engine,
    )

    def report(number: int, T: Sequence[FloatArray], value: float) -> None:
        if callback is not None and callback(number, problem.theta(T), value):
            raise Stopped

    nodes = nodes if method == "agq" else 1
    optimum = search_marginal(data, nodes, begin, held, report)
    size = getattr(optimum.family, "size", 0.0)
    if size > NEARLY_POISSON * model.y.mean() and not optimum.stopped:
        # the deviance is flat there; if it is no lower than that of Poisson, the size is infinite
        poisson = search_marginal(replace(data, family=Poisson()), nodes, begin, held)
        if poisson.deviance <= optimum.deviance + PREDICTED_DECREASE:
            optimum = poisson._replace(family=NegativeBinomial(np.inf))
    if not optimum.converged or np.any(np.diag(optimum.covariance) > VAGUE**2):
        _check_separation(problem, family)
    mode, K = optimum.mode, problem.K
    data = replace(data, family=optimum.family)
    w = np.where(mode.moments.weight == 0, LEAST_WEIGHT, mode.moments.weight)
    factorization = _factorize(data, mode, w)
    return GeneralizedFit(
        problem=problem,
        scales=Scales(np.zeros(len(K)), 1.0),
        method=method,
        factorization=factorization,
        converged=optimum.converged,
        reason=optimum.reason,
        evaluations=optimum.evaluations,
        solver=fit_problem,
        family=optimum.family,
        estimates=(K @ optimum.beta, problem.effects(times(mode.u, mode.f.T))),
        covariance=K @ optimum.covariance @ K.T,
        deviance=optimum.deviance,
        nodes=nodes,
    )


def _factorize(data: Response, mode: Mode, w: FloatArray) -> Factorization:
    """Factor the weighted linear mixed model at the mode, with beta.

    Together with beta the observed information need not be positive.
    """
    eta = mode.eta - data.offset
    try:
        return working_products(data, eta, mode.moments, w).factorize(mode.f.T)
    except np.linalg.LinAlgError:
        positive = positive_weights(mode.moments)
        return working_products(data, eta, mode.moments, positive).factorize(mode.f.T)


def _check_scalar(model: Model) -> None:
    """Raise unless there is one effect in each group, and no other."""
    effects = [g.covariance.k for g in model.groups]
    if effects != [1]:
        raise ValueError(
            f'method "agq" takes one grouping factor with one effect a level, found {len(effects)} '
            f'term(s) with {" + ".join(map(str, effects))} effects; use "laplace"'
        )


# ---- penalized quasi-likelihood ----


def _fit_pql(
    problem: Problem,
    family: Family,
    start: ArrayLike | None,
    theta: ArrayLike | None,
    callback: Progress | None,
) -> GeneralizedFit:
    """Fit weighted linear mixed models to the working response until eta stands still."""
    y, model = problem.model.y, problem.model
    if isinstance(family, NegativeBinomial):
        raise ValueError(
            'method "pql" has no likelihood from which a size could be estimated; use "laplace", '
            'or family "poisson" with dispersion=True'
        )
    # A shape is what the residual variance is divided by: 1 / sigma^2, estimated with the rest.
    unscaled = family.at(np.zeros(1))
    free = replace(model, offset=None, known=(), sigma=None if family.parameter else model.sigma)
    known = 0.0 if model.whole_offset is None else model.whole_offset
    each = 1.0 if model.weights is None else model.weights
    eta = family.start(y)
    evaluations, change = 0, np.inf
    for turn in range(1, PQL_ROUNDS + 1):
        try:
            # z - o = X beta + Z b + e,  e ~ N(0, W^-1)
            moments = unscaled.moments(y, eta)
            w = np.maximum(moments.expected, LEAST_WEIGHT)
            z = working_response(eta - known, moments, w)
            working = standardize(replace(free, y=z, weights=each * w))
            fit = fit_linear(working, "ML", start=start, theta=theta)
        except ValueError as error:
            _check_separation(problem, family)
            # after the first round the start is no longer the user's
            grew = turn > 1 and isinstance(error, TooLargeError)
            why = "the variances of the working model grow without end" if grew else error
            raise ValueError(f"round {turn} of PQL: {why}") from None
        start, evaluations = fit.theta, evaluations + fit.evaluations
        before, eta = eta, np.asarray(fit.fitted) + known
        last, change = change, float(np.abs(eta - before).max())
        scale = 1 + np.abs(eta).max()
        # each fit finds theta to some digits only, and below these nothing moves closer
        still = change <= STILL * scale or (change <= NOISE * scale and change >= last / 2)
        if still or (callback is not None and callback(turn, fit.theta, np.nan)):
            break
    if not still or np.any(fit.se * np.abs(1 / np.diag(problem.K)) > VAGUE):
        _check_separation(problem, family)
    inner = {field.name: getattr(fit, field.name) for field in fields(Fit)}
    changed = {
        "problem": replace(fit.problem, model=replace(model, sigma=free.sigma)),
        "method": "pql",
        "converged": bool(still and fit.converged),
        "reason": f"in round {turn} of PQL eta changed by {change:.1e}",
        "evaluations": evaluations,
        "solver": fit_problem,
    }
    return GeneralizedFit(
        **inner | changed,
        family=unscaled.at(-2 * np.log([fit.sigma])),
        estimates=fit._solution,
        covariance=fit.cov_beta,
        deviance=np.nan,
        nodes=0,
    )


# ---- data that determine no estimate ----


def _check_separation(problem: Problem, family: Family) -> None:
    """Raise if a combination of the fixed effects separates the responses.

    There is a direction gamma in which the likelihood never falls, so that beta has no finite
    estimate, if x'gamma is <= 0 where y is at its lower end, >= 0 at its upper end, 0 between, and
    not 0 everywhere. Random effects do not change that, as it holds for each of their values.

    References
    ----------
    Albert and Anderson (1984), Biometrika 71, 1-10, for groups of zeros and ones.
    """
    low, high = family.ends(problem.model.y)
    if not np.any(low | high):
        return
    sign = np.where(high, 1.0, -1.0) * (low | high)
    rows = np.unique(np.column_stack([problem.X, sign]), axis=0)
    X, sign = rows[:, :-1], rows[:, -1]
    ends = sign != 0
    direction = linprog(
        -(sign[ends] @ X[ends]),
        A_ub=-sign[ends, None] * X[ends],
        b_ub=np.zeros(int(ends.sum())),
        A_eq=X[~ends],
        b_eq=np.zeros(int((~ends).sum())),
        bounds=(-1, 1),
    )
    if not direction.success or -direction.fun <= 1e-7:
        return
    gamma = problem.K @ direction.x
    named = [
        name
        for name, entry in zip(problem.model.fixed_names, gamma, strict=True)
        if abs(entry) > 1e-7 * np.abs(gamma).max() and name != "(Intercept)"
    ]
    raise ValueError(
        f"y is separated by {' and '.join(named) or 'the intercept'}: in one direction all its "
        "values are at an end of their range, so a coefficient has no finite estimate; leave the "
        "column out, or merge its levels"
    )


def _check_groups(model: Model, family: Family) -> None:
    """Raise if each level of a factor has all its rows at one end of the range of y."""
    low, high = family.ends(model.y)
    for g in model.groups:
        if isinstance(g.parts[0], Intercept):
            codes = g.codes(model.frame)
            if not np.any((np.bincount(codes, ~low) > 0) & (np.bincount(codes, ~high) > 0)):
                raise ValueError(
                    f"no level of {g.factor} has both successes and failures, so the variance of "
                    "its effects has no finite estimate; use a coarser factor"
                )
