"""Fitting a generalized linear mixed model: counts and proportions (chapter 11).

``glmm(y, *terms)`` -> columns -> standardize -> start -> minimize d(theta, beta) -> GeneralizedFit
"""

from dataclasses import fields
from functools import partial
from typing import Literal, NamedTuple, get_args

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linprog, minimize

from mixedsmooth._checks import as_vector, for_each_row, node_count
from mixedsmooth.model import sparse
from mixedsmooth.model.blocked import Factor, Shape, pack, pack_slopes, unpack
from mixedsmooth.model.columns import Columns, engine_for, model_of, standardize
from mixedsmooth.model.families import Binomial, Family, Poisson
from mixedsmooth.model.fit import Model, Scales
from mixedsmooth.model.generalized import GeneralizedFit
from mixedsmooth.model.laplace import (
    LEAST_WEIGHT,
    Mode,
    NoModeError,
    Response,
    Value,
    find_mode,
    laplace,
    laplace_deviance,
    quadrature,
    times,
    working_products,
)
from mixedsmooth.model.lmm import lmm
from mixedsmooth.model.search import leave_boundary, schall_step, unit_steps
from mixedsmooth.model.terms import Linear, Term

FloatArray = NDArray[np.float64]
FamilyName = Literal["poisson", "binomial", "bernoulli"]
MethodName = Literal["laplace", "pql", "agq"]

PREDICTED_DECREASE = 1e-6  # of the deviance by one more step: what converged means
DIFFERENCE = 1e-3  # of a parameter, in units of its standard error, for second derivatives
PQL_ROUNDS = 200
STILL = 1e-9  # change of eta in one round of PQL that ends it
NOISE = 1e-4  # change of eta that ends it once it has stopped falling
START_STEPS = (6, 2, 2)  # of reweighting in each round of the start
NEWTON_STEPS = 4
VAGUE = 10.0  # a standard error of a scaled coefficient above this may say that it is infinite

OUT_OF_RANGE = (
    "the means of y are too large or too small to represent on the way to the optimum; check the "
    "scale of offset, y and the columns"
)


def glmm(
    y: ArrayLike,
    *terms: Term,
    family: FamilyName = "poisson",
    method: MethodName = "laplace",
    trials: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    nodes: int = 25,
    dispersion: bool = False,
) -> GeneralizedFit:
    """Fit a generalized linear mixed model for counts or proportions.

    Parameters
    ----------
    y : array_like, shape (n,)
        Counts; for "binomial" the successes, for "bernoulli" zeros and ones.
    *terms : Linear, Group or Curves
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
    if method not in get_args(MethodName):
        raise ValueError(f'method must be "laplace", "pql" or "agq", found {method!r}')
    if dispersion and method != "pql":
        raise ValueError(f'dispersion is estimated by method "pql" only, and method is {method!r}')
    y = as_vector("y", y)
    distribution = _family(family, y, trials)
    known = None if offset is None else for_each_row("offset", offset, len(y))
    model = model_of(y, terms, None, None if dispersion else 1.0)
    _check_groups(model, distribution)
    return fit_model(model, distribution, known, method, nodes)


def fit_model(
    model: Model, family: Family, offset: FloatArray | None, method: MethodName, nodes: int = 25
) -> GeneralizedFit:
    """Fit a model that is checked: what `glmm` and `GeneralizedFit.refit` share.

    Parameters
    ----------
    model : Model
        Data and terms; sigma is None if PQL estimates it, otherwise 1.
    family : Family
        Distribution of y.
    offset : ndarray, shape (n,), or None
        Known part of the linear predictor.
    method : {"laplace", "pql", "agq"}
        How.
    nodes : int
        Nodes of the quadrature.

    Returns
    -------
    GeneralizedFit
        The fit.

    Raises
    ------
    ValueError
        As `glmm`.
    """
    if method == "pql":
        return _fit_pql(model, family, offset)
    columns = standardize(model)
    X, factors, K, B = columns
    if method == "agq":
        nodes = node_count(nodes)
        _check_scalar(factors)
    data = Response(model.y, family, 0.0 if offset is None else offset, X, factors)
    search = _Search(data, nodes if method == "agq" else 1)
    optimum = search.run()
    if not optimum.converged or np.any(np.diag(optimum.covariance) > VAGUE**2):
        _check_separation(model, family, columns)
    mode = optimum.mode
    scales = Scales(np.zeros(X.shape[1]), 1.0, K, B, 0.0)
    products = working_products(data, X, mode.eta - data.offset, mode.moments)
    b: list[FloatArray] = [np.empty(0)] * len(factors)
    for i, effects, T in zip(model.order, mode.u, mode.f.T, strict=True):
        b[i] = np.asarray(np.linalg.solve(B[i], T @ effects.T).T, dtype=np.float64)
    return GeneralizedFit(
        model=model,
        scales=scales,
        method="AGQ" if method == "agq" else "Laplace",
        products=products,
        factorization=search.engine.factorize(products, mode.f.T),
        converged=optimum.converged,
        reason=optimum.reason,
        evaluations=search.evaluations,
        family=family,
        offset=offset,
        estimates=(K @ optimum.beta, b),
        covariance=K @ optimum.covariance @ K.T,
        deviance=optimum.deviance - 2 * family.constant(model.y),
        nodes=search.nodes,
    )


# ---- Laplace and quadrature ----


class _Optimum(NamedTuple):
    """Where the deviance is least; beta and its covariance belong to the scaled columns."""

    mode: Mode
    beta: FloatArray
    covariance: FloatArray
    deviance: float
    converged: bool
    reason: str


class _Search:
    """Minimizes the deviance over theta and beta, and counts the evaluations.

    In the coordinates x the parameters are origin + unit x, with a curvature of about 1.
    """

    def __init__(self, data: Response, nodes: int) -> None:
        self.data = data
        self.nodes = nodes
        self.engine = engine_for(data.factors)
        self.shapes = [
            Shape(f.levels, len(f.effects), f.correlated, f.scalar) for f in data.factors
        ]
        self.u = [np.zeros((shape.levels, shape.effects)) for shape in self.shapes]
        self.evaluations = 0

    def run(self) -> _Optimum:
        """Search from a penalized fit to the optimum."""
        T, beta, to_theta, to_beta = self._start()
        theta = pack(T, self.shapes)
        k = len(theta)
        unit = scipy.linalg.block_diag(np.diag(to_theta), to_beta)
        ended = False
        while not ended:
            origin = np.concatenate([theta, beta])
            found = minimize(
                self._scaled,
                np.zeros(len(origin)),
                args=(origin, unit),
                jac=True,
                method="L-BFGS-B",
                options={"gtol": 1e-4, "ftol": 1e-13, "maxcor": 20, "maxiter": 500},
            )
            theta, beta = np.split(origin + unit @ found.x, [k])
            theta, ended = leave_boundary(theta, self.shapes, partial(self._deviance, beta=beta))
        return self._finish(np.concatenate([theta, beta]), k, unit)

    def _start(self) -> tuple[list[FloatArray], FloatArray, FloatArray, FloatArray]:
        """T and beta of a few rounds of PQL, and units of theta and beta.

        In a round beta and u are found together by reweighted penalized least squares, then T by
        Schall's fixed point.
        """
        data, engine = self.data, self.engine
        T = [np.eye(shape.effects) for shape in self.shapes]
        eta = data.family.start(data.y)
        for steps in START_STEPS:
            penalized = -np.inf
            for _ in range(steps):
                moments = data.family.moments(data.y, eta)
                A = working_products(data, data.X, eta - data.offset, moments)
                try:
                    f = engine.factorize(A, T)
                except np.linalg.LinAlgError:
                    raise ValueError(OUT_OF_RANGE) from None
                beta, u = engine.solve(A, f)
                target = data.offset + data.X @ beta + data.random_part(times(u, T))
                squares = sum(float(np.vdot(effects, effects)) for effects in u)
                reached = float(data.family.moments(data.y, target).log_density.sum()) - squares / 2
                # half of the way if it would be a step down
                eta = target if reached >= penalized else (eta + target) / 2
                penalized = max(penalized, reached)
            degrees = engine.degrees_of_freedom(A, f, reml=False)
            T = schall_step(T, u, degrees, self.shapes, 1.0)
        p = data.X.shape[1]
        # of beta: the deviance has the curvature 2 L_X L_X'
        to_beta = scipy.linalg.solve_triangular(f.L_X(p), np.eye(p) / np.sqrt(2), lower=True).T
        return T, beta, unit_steps(T, degrees, self.shapes), to_beta

    def _finish(self, parameters: FloatArray, k: int, unit: FloatArray) -> _Optimum:
        """Second derivatives at the optimum, for its last digits and for standard errors."""
        T = unpack(parameters[:k], self.shapes)
        # a variance of zero stays there; by symmetry its column has no slope
        varying = pack([np.broadcast_to(np.any(M != 0, axis=0), M.shape) for M in T], self.shapes)
        free = np.append(varying > 0, np.ones(len(parameters) - k, dtype=bool))
        unit = unit[:, free]

        def slope(x: FloatArray) -> FloatArray:
            return self._scaled(x, parameters, unit)[1]

        steps = DIFFERENCE * np.eye(unit.shape[1])
        H = np.array([(slope(step) - slope(-step)) / (2 * DIFFERENCE) for step in steps])
        x, decrease = np.zeros(len(steps)), np.inf
        try:
            factor = scipy.linalg.cho_factor((H + H.T) / 2, lower=True)
        except np.linalg.LinAlgError:
            reason = "the deviance has no minimum: its curvature is not positive"
            covariance = np.full((len(parameters) - k,) * 2, np.nan)
        else:
            for _ in range(NEWTON_STEPS):
                g = slope(x)
                step = -scipy.linalg.cho_solve(factor, g)
                decrease = -float(g @ step) / 2
                x = x + step
                if decrease <= PREDICTED_DECREASE**2:
                    break
            reason = f"predicted decrease of the criterion {decrease:.1e}"
            # Var = 2 H^-1, because the deviance is -2 log-likelihood
            root = unit[k:]
            covariance = 2 * root @ scipy.linalg.cho_solve(factor, root.T)
        theta, beta = np.split(parameters + unit @ x, [k])
        mode = self._mode(theta, beta)
        return _Optimum(
            mode=mode,
            beta=beta,
            covariance=covariance,
            deviance=self._deviance_of(mode),
            converged=decrease <= PREDICTED_DECREASE,
            reason=reason,
        )

    def _scaled(
        self, x: FloatArray, origin: FloatArray, unit: FloatArray
    ) -> tuple[float, FloatArray]:
        """Deviance at origin + unit x, and its gradient by x."""
        k = len(origin) - self.data.X.shape[1]
        parameters = origin + unit @ x
        if self.engine is sparse:  # the variances that the gradient needs are not at hand
            ends = [
                self._deviance(*np.split(parameters + step, [k]))
                for column in DIFFERENCE * unit.T
                for step in (column, -column)
            ]
            slope = (np.array(ends[::2]) - np.array(ends[1::2])) / (2 * DIFFERENCE)
            return self._deviance(*np.split(parameters, [k])), slope
        mode = self._mode(*np.split(parameters, [k]))
        value = laplace(self.data, mode) if self.nodes == 1 else self._quadrature(mode)
        slope = np.append(pack_slopes(value.by_T, self.shapes), value.by_beta)
        return value.deviance, unit.T @ slope

    def _deviance(self, theta: FloatArray, beta: FloatArray) -> float:
        return self._deviance_of(self._mode(theta, beta))

    def _deviance_of(self, mode: Mode) -> float:
        return laplace_deviance(mode) if self.nodes == 1 else self._quadrature(mode).deviance

    def _quadrature(self, mode: Mode) -> Value:
        return quadrature(self.data, mode, self.nodes)

    def _mode(self, theta: FloatArray, beta: FloatArray) -> Mode:
        """Find the mode, from the last one found or from zero."""
        self.evaluations += 1
        T = unpack(theta, self.shapes)
        for u in (self.u, [np.zeros_like(effects) for effects in self.u]):
            try:
                mode = find_mode(self.data, T, beta, u)
            except (NoModeError, np.linalg.LinAlgError):
                continue
            self.u = mode.u
            return mode
        raise ValueError(OUT_OF_RANGE)


def _check_scalar(factors: list[Factor]) -> None:
    """Raise unless there is one effect in each group, and no other."""
    if len(factors) != 1 or len(factors[0].effects) != 1:
        effects = " + ".join(str(len(factor.effects)) for factor in factors)
        raise ValueError(
            f'method "agq" takes one grouping factor with one effect a level, found {len(factors)} '
            f'term(s) with {effects} effects; use "laplace"'
        )


# ---- penalized quasi-likelihood ----


def _fit_pql(model: Model, family: Family, offset: FloatArray | None) -> GeneralizedFit:
    """Fit weighted linear mixed models to the working response until eta stands still."""
    fixed = Linear(model.intercept, model.covariates)
    known = 0.0 if offset is None else offset
    columns = standardize(model)
    eta = family.start(model.y)
    theta, evaluations, change = None, 0, np.inf
    for turn in range(1, PQL_ROUNDS + 1):
        moments = family.moments(model.y, eta)
        w = np.maximum(moments.weight, LEAST_WEIGHT)
        try:
            fit = lmm(
                eta - known + (model.y - moments.mean) / w,
                fixed,
                *model.groups,
                method="ML",
                weights=w,
                sigma=model.sigma,
                start=theta,
            )
        except ValueError as error:
            _check_separation(model, family, columns)
            raise ValueError(f"round {turn} of PQL: {error}") from None
        theta, evaluations = fit.theta, evaluations + fit.evaluations
        last, change = change, float(np.abs(fit.fitted + known - eta).max())
        eta = fit.fitted + known
        scale = 1 + np.abs(eta).max()
        # each fit finds theta to some digits only, and below these nothing moves closer
        still = change <= STILL * scale or (change <= NOISE * scale and change >= last / 2)
        if still:
            break
    if not still or np.any(fit.se * np.abs(1 / np.diag(columns.K)) > VAGUE):
        _check_separation(model, family, columns)
    inner = {field.name: getattr(fit, field.name) for field in fields(fit)}
    return GeneralizedFit(
        **inner
        | {
            "model": model,
            "method": "PQL",
            "converged": bool(still and fit.converged),
            "reason": f"in round {turn} of PQL eta changed by {change:.1e}",
            "evaluations": evaluations,
        },
        family=family,
        offset=offset,
        estimates=(fit.beta, [r.effects for r in fit.random.values()]),
        covariance=fit.cov_beta,
        deviance=np.nan,
        nodes=0,
    )


# ---- data that determine no estimate ----


def _check_separation(model: Model, family: Family, columns: Columns) -> None:
    """Raise if a combination of the fixed effects separates the responses.

    There is a direction gamma in which the likelihood never falls, so that beta has no finite
    estimate, if x'gamma is <= 0 where y is at its lower end, >= 0 at its upper end, 0 between, and
    not 0 everywhere. Random effects do not change that, as it holds for each of their values.

    References
    ----------
    Albert and Anderson (1984), Biometrika 71, 1-10, for groups of zeros and ones.
    """
    y, m = model.y, family.scale
    low = y == 0
    high = (y == m) if family.name == "binomial" else np.zeros_like(low)
    sign = np.where(high, 1.0, -1.0) * (low | high)
    rows = np.unique(np.column_stack([columns.X, sign]), axis=0)
    X, sign = rows[:, :-1], rows[:, -1]
    ends = sign != 0
    direction = linprog(
        -(sign[ends] @ X[ends]),
        A_ub=-sign[ends, None] * X[ends],
        b_ub=np.zeros(int(ends.sum())),
        A_eq=X[~ends] if not ends.all() else None,
        b_eq=np.zeros(int((~ends).sum())) if not ends.all() else None,
        bounds=(-1, 1),
    )
    if not direction.success or -direction.fun <= 1e-7:
        return
    gamma = columns.K @ direction.x
    named = [
        name
        for name, entry in zip(model.fixed_names, gamma, strict=True)
        if abs(entry) > 1e-7 * np.abs(gamma).max() and name != "(Intercept)"
    ]
    raise ValueError(
        f"y is separated by {' and '.join(named) or 'the intercept'}: in one direction all its "
        "values are at an end of their range, so a coefficient has no finite estimate; leave the "
        "column out, or merge its levels"
    )


# ---- checks of the response ----


def _family(name: str, y: FloatArray, trials: ArrayLike | None) -> Family:
    """Return the family, once y fits it."""
    if name not in get_args(FamilyName):
        raise ValueError(f'family must be "poisson", "binomial" or "bernoulli", found {name!r}')
    if (trials is not None) != (name == "binomial"):
        raise ValueError(
            f'trials {"must" if trials is None else "cannot"} be given with family "{name}"'
            + ("" if trials is None else '; a number of trials belongs to "binomial"')
        )
    _whole("y", y)
    if name == "poisson":
        if y.max() == 0:
            raise ValueError("y is zero in every row, so its mean has no finite logarithm")
        return Poisson()
    m = np.ones_like(y)
    if trials is not None:
        m = for_each_row("trials", trials, len(y))
        _whole("trials", m)
        if m.min() == 0:
            raise ValueError(f"trials is zero in row {int(m.argmin())}; leave such rows out")
    over = np.flatnonzero(y > m)
    if len(over):
        found = f"y is {y[over[0]]:g} in row {over[0]}"
        if name == "bernoulli":
            raise ValueError(
                f'{found}, and "bernoulli" has zeros and ones; for more trials a row use "binomial"'
            )
        raise ValueError(f"{found}, which has {m[over[0]]:g} trials; check that y has successes")
    if y.max() == 0 or np.all(y == m):
        value = "no success" if y.max() == 0 else "no failure"
        raise ValueError(f"y has {value} in any row, so its odds are not finite")
    return Binomial(m)


def _check_groups(model: Model, family: Family) -> None:
    """Raise if no level of a factor has both successes and failures."""
    if family.name == "poisson":
        return
    failures = family.scale - model.y
    for g in model.groups:
        if g.intercept and not g.is_curve:
            both = [np.bincount(g.codes, ends) > 0 for ends in (model.y, failures)]
            if not np.any(both[0] & both[1]):
                raise ValueError(
                    f"no level of {g.factor} has both successes and failures, so the variance of "
                    "its effects has no finite estimate; use a coarser factor"
                )


def _whole(name: str, counts: FloatArray) -> None:
    wrong = np.flatnonzero((counts < 0) | (counts != np.round(counts)))
    if len(wrong):
        raise ValueError(
            f"{name} must have counts 0, 1, 2, ..., found {counts[wrong[0]]:g} in row {wrong[0]}"
            + ("; a rate is a count with an offset, log exposure" if name == "y" else "")
        )
