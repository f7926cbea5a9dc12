"""Fitting a generalized linear mixed model: counts and proportions (chapter 11).

``glmm(y, *terms)`` -> Model -> standardize -> start -> minimize d(theta, beta) -> GeneralizedFit
"""

from dataclasses import fields, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog

from mixedsmooth._checks import as_vector, choice, flag, for_each_row, frozen, node_count
from mixedsmooth.model.families import Family, family_of
from mixedsmooth.model.fit import GENERALIZED_METHODS, Fit, GeneralizedFit, GeneralizedMethod
from mixedsmooth.model.laplace import Response, times, working_products, working_response
from mixedsmooth.model.lmm import fit_problem as fit_linear
from mixedsmooth.model.optimize import search_marginal
from mixedsmooth.model.problem import Model, Problem, Scales, model_of, standardize
from mixedsmooth.model.terms import Intercept, Term

FloatArray = NDArray[np.float64]
FamilyName = Literal["poisson", "binomial", "bernoulli"]

PQL_ROUNDS = 200
STILL = 1e-9  # change of eta in one round of PQL that ends it
NOISE = 1e-4  # change of eta that ends it once it has stopped falling
VAGUE = 10.0  # a standard error of a scaled coefficient above this may say that it is infinite


def glmm(
    y: ArrayLike,
    *terms: Term,
    family: FamilyName = "poisson",
    method: GeneralizedMethod = "laplace",
    trials: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    nodes: int = 25,
    dispersion: bool = False,
    start: ArrayLike | None = None,
) -> GeneralizedFit:
    """Fit a generalized linear mixed model for counts or proportions.

    Parameters
    ----------
    y : array_like, shape (n,)
        Counts; for "binomial" the successes, for "bernoulli" zeros and ones.
    *terms : Linear, Group or Smooth
        What `linear`, `group` and `smooth` return. There is an intercept unless
        ``linear(intercept=False)`` says otherwise.
    family : {"poisson", "binomial", "bernoulli"}
        Distribution of y given the random effects, with its natural link: log or logit.
    method : {"laplace", "pql", "agq"}
        Laplace approximation of the likelihood; penalized quasi-likelihood; or adaptive
        Gauss-Hermite quadrature, for one grouping factor with one effect.
    trials : array_like, shape (n,), or int, optional
        How many trials each row counts the successes of, for "binomial".
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

    Returns
    -------
    GeneralizedFit
        Frozen record of the fit; look at `converged`.

    Raises
    ------
    ValueError
        If y has values that the family does not (negative, not whole, successes above trials) or
        the same extreme value everywhere; the fixed effects separate the responses, so that a
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
    y = as_vector("y", y)
    distribution = family_of(family, y, trials)
    known = None if offset is None else frozen(for_each_row("offset", offset, len(y)))
    model = model_of(y, terms, None, None if dispersion else 1.0)
    return fit_problem(standardize(model), distribution, known, method, nodes=nodes, start=start)


def fit_problem(
    problem: Problem,
    family: Family,
    offset: FloatArray | None,
    method: GeneralizedMethod,
    *,
    nodes: int = 25,
    start: ArrayLike | None = None,
    theta: ArrayLike | None = None,
) -> GeneralizedFit:
    """Fit a model that is checked: what `glmm` and another fit of the same model share.

    Parameters
    ----------
    problem : Problem
        Data and terms, standardized; sigma is None if PQL estimates it, otherwise 1.
    family : Family
        Distribution of y.
    offset : ndarray, shape (n,), or None
        Known part of the linear predictor.
    method : {"laplace", "pql", "agq"}
        How.
    nodes : int
        Nodes of the quadrature.
    start : array_like, optional
        Theta at which the search begins.
    theta : array_like, optional
        Theta that is held; only beta is searched then.

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
    >>> fit = fit_problem(standardize(model), family_of("poisson", y, None), None, "laplace")
    >>> print(fit.beta.round(3), fit.theta.round(3))
    [0.98] [0.67]
    """
    family.check(problem.model.y)
    _check_groups(problem.model, family)
    nodes = node_count(nodes)
    if choice("method", method, GENERALIZED_METHODS) == "pql":
        return _fit_pql(problem, family, offset, start, theta)
    if method == "agq":
        _check_scalar(problem.model)
    problem = replace(problem, model=replace(problem.model, sigma=1.0))
    begin = None if start is None else problem.inward("start", start)
    held = None if theta is None else problem.inward("theta", theta)
    data = Response(
        y=problem.model.y,
        family=family,
        offset=0.0 if offset is None else offset,
        X=problem.X,
        factors=problem.factors,
        engine=problem.engine,
    )
    optimum = search_marginal(data, nodes if method == "agq" else 1, begin, held)
    if not optimum.converged or np.any(np.diag(optimum.covariance) > VAGUE**2):
        _check_separation(problem, family)
    mode, K = optimum.mode, problem.K
    products = working_products(data, problem.X, mode.eta - data.offset, mode.moments)
    return GeneralizedFit(
        problem=problem,
        scales=Scales(np.zeros(len(K)), 1.0),
        method=method,
        factorization=products.factorize(mode.f.T),
        converged=optimum.converged,
        reason=optimum.reason,
        evaluations=optimum.evaluations,
        solver=fit_problem,
        family=family,
        offset=offset,
        estimates=(K @ optimum.beta, problem.effects(times(mode.u, mode.f.T))),
        covariance=K @ optimum.covariance @ K.T,
        deviance=optimum.deviance - 2 * family.constant(problem.model.y),
        nodes=nodes if method == "agq" else 1,
    )


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
    offset: FloatArray | None,
    start: ArrayLike | None,
    theta: ArrayLike | None,
) -> GeneralizedFit:
    """Fit weighted linear mixed models to the working response until eta stands still."""
    y, model = problem.model.y, problem.model
    known = 0.0 if offset is None else offset
    eta = family.start(y)
    evaluations, change = 0, np.inf
    for turn in range(1, PQL_ROUNDS + 1):
        try:
            # z - o = X beta + Z b + e,  e ~ N(0, W^-1)
            z, w = working_response(y, eta - known, family.moments(y, eta))
            working = standardize(replace(model, y=z, weights=w))
            fit = fit_linear(working, "ML", start=start, theta=theta)
        except ValueError as error:
            _check_separation(problem, family)
            raise ValueError(f"round {turn} of PQL: {error}") from None
        start, evaluations = fit.theta, evaluations + fit.evaluations
        last, change = change, float(np.abs(fit.fitted + known - eta).max())
        eta = fit.fitted + known
        scale = 1 + np.abs(eta).max()
        # each fit finds theta to some digits only, and below these nothing moves closer
        still = change <= STILL * scale or (change <= NOISE * scale and change >= last / 2)
        if still:
            break
    if not still or np.any(fit.se * np.abs(1 / np.diag(problem.K)) > VAGUE):
        _check_separation(problem, family)
    inner = {field.name: getattr(fit, field.name) for field in fields(Fit)}
    changed = {
        "problem": replace(fit.problem, model=model),
        "method": "pql",
        "converged": bool(still and fit.converged),
        "reason": f"in round {turn} of PQL eta changed by {change:.1e}",
        "evaluations": evaluations,
        "solver": fit_problem,
    }
    return GeneralizedFit(
        **inner | changed,
        family=family,
        offset=offset,
        estimates=(fit.beta, [r.effects for r in fit.random.values()]),
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
