"""What the library computes for the numbers of the ledger, block by block as the sources go.

The book's ledger page and the tests compare `computed` with ``data/published.toml``. A number
that its source got wrong is computed right.
"""

import math
from collections.abc import Callable, Mapping
from functools import cache, partial
from types import MappingProxyType

import numpy as np
import scipy.linalg
import scipy.stats
from numpy.typing import NDArray

from mixedsmooth.datasets import load_gasoline, load_sleepstudy, load_volvo
from mixedsmooth.derivations.henderson import solve_from_covariance, solve_henderson
from mixedsmooth.derivations.laplace import fit_laplace
from mixedsmooth.derivations.likelihood import (
    MaximumLikelihood,
    fit_ml,
    grouping_columns,
    intercept_slope_columns,
    negloglik_mvn,
)
from mixedsmooth.derivations.penalized_ls import solve_penalized
from mixedsmooth.derivations.reml import lambda_template, restricted_deviance
from mixedsmooth.model.lmm import lmm
from mixedsmooth.model.terms import linear, smooth
from mixedsmooth.published import Value, entries

FloatArray = NDArray[np.float64]
Block = dict[str, Value]


@cache
def computed() -> Mapping[str, Value]:
    """Compute every number of the ledger that the chapters reproduce or correct.

    Returns
    -------
    mapping of str to float, int or str
        Value by ledger key, in the order of the sources; read-only.

    Examples
    --------
    >>> round(computed()["clark.ml.tau"], 3)
    36.012
    >>> computed()["fitzgerald.figure1.last_year"]
    1978
    """
    blocks = (
        _clark_indicator(),
        _clark_data(),
        _clark_ml(),
        _clark_mvn(),
        _clark_lme4(),
        _clark_effects(),
        _clark_lme4_effects(),
        _clark_volvo(),
        _clark_gamm4(),
        _clark_gamm4_cs(),
        _fitzgerald_years(),
        _dirmeier_head(),
        _dirmeier_u(),
        _dirmeier_simulation(),
        _dirmeier_statsmodels(),
        _dirmeier_henderson(),
        _dirmeier_poisson(),
    )
    return MappingProxyType({key: value for block in blocks for key, value in block.items()})


# Source 1: Clark (2016) ---------------------------------------------------------------------------


def _clark_indicator() -> Block:
    Z, levels = grouping_columns(["A", "A", "B", "B", "C", "C"])
    return {
        f"clark.indicator.{i + 1}.{level.lower()}": float(Z[i, j])
        for i in range(len(Z))
        for j, level in enumerate(levels)
    }


def _clark_data() -> Block:
    subjects, rows = np.unique(load_sleepstudy().subject, return_counts=True)
    (days,) = np.unique(rows)  # fails if the subjects differ
    return {"clark.data.subjects": len(subjects), "clark.data.days": int(days)}


def _clark_ml() -> Block:
    return _results("clark.ml", _maximum_likelihood())


def _clark_mvn() -> Block:
    y, X, Z, _ = _sleep()
    return _results("clark.mvn", fit_ml(y, X, Z, negloglik=partial(negloglik_mvn, beta="ols")))


def _results(row: str, fit: MaximumLikelihood) -> Block:
    return {
        f"{row}.tau": fit.tau,
        f"{row}.sigma": fit.sigma,
        f"{row}.negloglik": fit.negloglik,
        f"{row}.intercept": float(fit.beta[0]),
        f"{row}.days": float(fit.beta[1]),
    }


def _clark_lme4() -> Block:
    y, _, Z, _ = _sleep()
    fit = _maximum_likelihood()
    return {
        "clark.lme4.aic": fit.aic,
        "clark.lme4.bic": fit.bic,
        "clark.lme4.loglik": fit.loglik,
        "clark.lme4.deviance": fit.deviance,
        "clark.lme4.df_resid": len(y) - fit.parameters,
        "clark.lme4.sd_subject": fit.tau,
        "clark.lme4.sd_residual": fit.sigma,
        "clark.lme4.n_obs": len(y),
        "clark.lme4.n_groups": Z.shape[1],
        "clark.lme4.intercept": float(fit.beta[0]),
        "clark.lme4.days": float(fit.beta[1]),
    }


def _clark_effects() -> Block:
    """Predict the effects from the marginal covariance, as the source does."""
    y, X, Z, subjects = _sleep()
    _, b = solve_from_covariance(y, X, Z, _maximum_likelihood().theta)
    return {
        f"clark.effects.{subject}": float(b_j) for subject, b_j in zip(subjects, b, strict=True)
    }


def _clark_lme4_effects() -> Block:
    """Predict the effects from Henderson's equations, which lme4 solves."""
    y, X, Z, subjects = _sleep()
    _, b = solve_henderson(y, X, Z, _maximum_likelihood().theta)
    return {
        f"clark.lme4_effects.{subject}": float(b_j)
        for subject, b_j in zip(subjects, b, strict=True)
    }


def _clark_volvo() -> Block:
    volvo = load_volvo()
    sizes: Block = {
        f"clark.volvo.size.{i}": float(size)
        for i, size in enumerate(volvo.size, start=1)
        if i != 14  # the 2.32 that the page lost
    }
    wears: Block = {
        f"clark.volvo.wear.{i}": float(wear) for i, wear in enumerate(volvo.wear, start=1)
    }
    run = ",".join(f"{size:.2f}" for size in volvo.size if size == 2.32)
    block: Block = {"clark.volvo.n": len(volvo), "clark.volvo.run_of_2_32": run}
    return block | sizes | wears


def _clark_gamm4() -> Block:
    """Fit a line and a random intercept: Reaction ~ Days + (1 | Subject), by REML."""
    y, X, Z, _ = _sleep()
    # within drivers, days is the only column: sigma^2 = RSS / (n - q - 1)
    _, rss, _, _ = np.linalg.lstsq(np.column_stack([Z, X[:, 1]]), y)
    sigma2 = float(rss[0]) / (len(y) - Z.shape[1] - 1)
    block, cov_beta = _gamm("clark.gamm4", X, np.empty((len(y), 0)), 0.0, sigma2)
    errors = np.sqrt(np.diag(cov_beta))
    return block | {"clark.gamm4.correlation": float(cov_beta[0, 1] / errors.prod())}


def _clark_gamm4_cs() -> Block:
    """Fit a smooth with shrinkage and a random intercept, the penalty scaled as in 2016."""
    y, X, _, _ = _sleep()
    sleep = load_sleepstudy()
    # within drivers, with their means as fixed effects, the smooth is the only random term
    curve = smooth(days=sleep.days, basis="cs", scaling="mean")
    within = lmm(y, linear(subject=sleep.subject), curve)
    tau2_smooth = float(within.random["s(days)"].cov[0, 0])
    Z_smooth = np.column_stack(curve.random[0].covariates[0].columns())
    row = "clark.gamm4_cs"
    block, _ = _gamm(row, X[:, :1], Z_smooth, tau2_smooth, within.sigma**2)
    return block | {
        f"{row}.variance_smooth": tau2_smooth,
        f"{row}.sd_smooth": math.sqrt(tau2_smooth),
        f"{row}.n_smooth": Z_smooth.shape[1],
    }


def _gamm(
    row: str, X: FloatArray, Z_smooth: FloatArray, tau2_smooth: float, sigma2: float
) -> tuple[Block, FloatArray]:
    """Compute what gamm4 prints, and the covariance of beta, at the optimum.

    In the balanced design, REML estimates sigma^2 and the smooth from differences within drivers,
    and sigma^2 + 10 tau^2 by the mean square of the drivers (chapter 10). So tau^2 needs no search.
    """
    y, _, Z, _ = _sleep()
    q, days = Z.shape[1], len(y) // Z.shape[1]
    tau2 = (days * float(np.var(Z.T @ y / days, ddof=1)) - sigma2) / days
    Z_all = np.hstack([Z_smooth, Z])
    theta = np.sqrt(np.repeat([tau2_smooth, tau2], [Z_smooth.shape[1], q]) / sigma2)
    solution = solve_penalized(y, X, Z_all, np.diag(theta))
    sigma = math.sqrt(sigma2)
    L_X_inverse = scipy.linalg.solve_triangular(solution.L_X, np.eye(X.shape[1]), lower=True)
    cov_beta = sigma2 * L_X_inverse.T @ L_X_inverse
    block: Block = {
        "reml": restricted_deviance(np.diag(theta), y, X, Z_all),
        "variance_subject": tau2,
        "sd_subject": math.sqrt(tau2),
        "variance_residual": sigma2,
        "sd_residual": sigma,
        "n_obs": len(y),
        "n_groups": q,
    }
    scaled = (y - X @ solution.beta - Z_all @ solution.b) / sigma
    names = ("min", "q1", "median", "q3", "max")
    for name, quantile in zip(names, np.quantile(scaled, [0, 0.25, 0.5, 0.75, 1]), strict=True):
        block |= {f"scaled_residuals.{name}": float(quantile)}
    coefficients = zip(solution.beta, np.sqrt(np.diag(cov_beta)), strict=True)
    for name, (beta, se) in zip(("intercept", "days"), coefficients, strict=False):
        block |= {
            f"{name}.estimate": float(beta),
            f"{name}.se": float(se),
            f"{name}.t": float(beta / se),
        }
    return {f"{row}.{name}": value for name, value in block.items()}, cov_beta


# Source 2: Fitzgerald (2021) ----------------------------------------------------------------------


def _fitzgerald_years() -> Block:
    gasoline = load_gasoline()
    countries = len(np.unique(gasoline.country))
    first, last = int(gasoline.year.min()), int(gasoline.year.max())
    block: Block = {"fitzgerald.text.first_year": first}
    for figure in ("figure1", "figure2", "figure3"):
        block |= {
            f"fitzgerald.{figure}.countries": countries,
            f"fitzgerald.{figure}.first_year": first,
            f"fitzgerald.{figure}.last_year": last,
        }
    return block


# Source 3: Dirmeier (n.d.) ------------------------------------------------------------------------


def _dirmeier_head() -> Block:
    sleep = load_sleepstudy()
    block: Block = {}
    for table in ("head", "head_again"):
        for i in range(5):
            block |= {
                f"dirmeier.{table}.{i + 1}.reaction": float(sleep.reaction[i]),
                f"dirmeier.{table}.{i + 1}.days": int(sleep.days[i]),
                f"dirmeier.{table}.{i + 1}.subject": int(sleep.subject[i]),
            }
    return block


def _dirmeier_u() -> Block:
    sleep = load_sleepstudy()
    U, _ = intercept_slope_columns(sleep.subject, sleep.days)
    n, columns = U.shape
    # numpy prints the first and the last three rows and columns of a large array
    return {
        f"dirmeier.u.{i + 1}.{j + 1}": float(U[i, j])
        for i in (0, 1, 2, n - 3, n - 2, n - 1)
        for j in (0, 1, 2, columns - 3, columns - 2, columns - 1)
    }


def _dirmeier_simulation() -> Block:
    """Draw the random effects as cell 93 does, with the legacy generator of numpy."""
    Q = 0.1 * np.array([[1, 0.25], [0.25, 1]])
    gamma = scipy.stats.multivariate_normal.rvs(
        cov=np.kron(np.eye(18), Q), random_state=np.random.RandomState(23)
    )
    block: Block = {"dirmeier.simulation.gamma_mean": float(gamma.mean())}
    return block | {f"dirmeier.gamma.{i}": float(effect) for i, effect in enumerate(gamma, start=1)}


def _dirmeier_statsmodels() -> Block:
    sleep = load_sleepstudy()
    G, sigma = _random_slopes()
    Lambda = _slopes_factor(G / sigma**2)
    y, X, Z = _sleep_with_slopes()
    solution = solve_penalized(y, X, Z, Lambda)
    L_X_inverse = scipy.linalg.solve_triangular(solution.L_X, np.eye(2), lower=True)
    errors = sigma * np.sqrt(np.sum(L_X_inverse**2, axis=0))
    _, sizes = np.unique(sleep.subject, return_counts=True)
    block: Block = {
        "n_obs": len(sleep),
        "n_groups": len(sizes),
        "min_group_size": int(sizes.min()),
        "max_group_size": int(sizes.max()),
        "mean_group_size": float(sizes.mean()),
        "scale": sigma**2,
        "loglik": -restricted_deviance(Lambda, y, X, Z) / 2,
    }
    half_width = float(scipy.stats.norm.ppf(0.975))
    for name, beta, se in zip(("intercept", "days"), solution.beta, errors, strict=True):
        block |= {
            f"{name}.estimate": float(beta),
            f"{name}.se": float(se),
            f"{name}.z": float(beta / se),
            f"{name}.p": float(2 * scipy.stats.norm.sf(abs(beta / se))),
            f"{name}.lower": float(beta - half_width * se),
            f"{name}.upper": float(beta + half_width * se),
        }
    names = ("variance_intercept", "covariance", "variance_days")
    estimates = G[(0, 1, 1), (0, 0, 1)]
    printed_errors = sigma * _errors_of_relative(estimates / sigma**2)
    for name, estimate, se in zip(names, estimates, printed_errors, strict=True):
        block |= {f"{name}.estimate": float(estimate), f"{name}.se": float(se)}
    return {f"dirmeier.statsmodels.{name}": value for name, value in block.items()}


def _errors_of_relative(relative: FloatArray) -> FloatArray:
    """Return the standard errors of the entries 11, 21, 22 of G / sigma^2, from the curvature.

    The Std.Err. that the source prints is sigma times these: of neither G / sigma^2 nor G.
    """
    y, X, Z = _sleep_with_slopes()

    def loglik(entries: FloatArray) -> float:
        intercept, covariance, slope = entries
        relative = np.array([[intercept, covariance], [covariance, slope]])
        return -restricted_deviance(_slopes_factor(relative), y, X, Z) / 2

    intercept, _, slope = relative
    step = 2e-3 * np.array([intercept, np.sqrt(intercept * slope), slope])
    # with steps h and 2h, the errors of order h^2 cancel
    fine, coarse = (_second_differences(loglik, relative, h * step) for h in (1, 2))
    information = -(4 * fine - coarse) / 3
    errors: FloatArray = np.sqrt(np.diag(np.linalg.solve(information, np.eye(3))))
    return errors


def _second_differences(
    function: Callable[[FloatArray], float], at: FloatArray, step: FloatArray
) -> FloatArray:
    """Return the matrix of second derivatives, by central differences."""
    moves = np.diag(step)
    changes = [
        [sum(i * j * function(at + i * a + j * b) for i in (1, -1) for j in (1, -1)) for b in moves]
        for a in moves
    ]
    return np.array(changes) / (4 * np.outer(step, step))


def _dirmeier_henderson() -> Block:
    y, X, Z = _sleep_with_slopes()
    G, sigma = _random_slopes()
    beta, _ = solve_henderson(y, X, Z, _slopes_factor(G / sigma**2))
    return {
        "dirmeier.henderson.intercept": float(beta[0]),
        "dirmeier.henderson.days": float(beta[1]),
    }


def _dirmeier_poisson() -> Block:
    """Fit the Poisson model of cell 14 to the counts that the source did not print."""
    _, X, Z = _sleep_with_slopes()
    fit = fit_laplace(_counts_with(_lost_sums()), X, Z, lambda_template(2, 18))
    row = "dirmeier.poisson"
    block: Block = {
        f"{row}.beta_hat.intercept": float(fit.beta[0]),
        f"{row}.beta_hat.days": float(fit.beta[1]),
    }
    return block | {f"{row}.gamma_hat.{i}": float(b) for i, b in enumerate(fit.b, start=1)}


def _lost_sums() -> FloatArray:
    """Recover Z'y, two sums for each subject, from the printed estimates (chapter 11).

    The estimates solve Z'(y - mu) = Q^-1 gamma_hat for each subject, and Z'y is whole. To 2e-4,
    one matrix Q^-1 alone makes all 36 sums whole.
    """
    _, X, Z = _sleep_with_slopes()
    printed = entries()
    row = "dirmeier.poisson"
    beta = [float(printed[f"{row}.beta_hat.{name}"].value) for name in ("intercept", "days")]
    gamma = np.array([float(printed[f"{row}.gamma_hat.{i}"].value) for i in range(1, 37)])
    Q_inverse = np.array([[0.5530, -0.0621], [-0.0621, 0.2735]])
    mu = np.exp(X @ beta + Z @ gamma)
    sums: FloatArray = np.rint(Z.T @ mu + np.kron(np.eye(18), Q_inverse) @ gamma)
    return sums


def _counts_with(sums: FloatArray) -> FloatArray:
    """Make counts on ten days with a given sum, and a given sum weighted by day, for each subject.

    The sum goes to two days in a row, or to one. The likelihood sees no difference.
    """
    y = np.zeros((18, 11))
    for counts, (total, by_day) in zip(y, sums.reshape(18, 2), strict=True):
        day, later = (int(part) for part in divmod(by_day, total))
        counts[[day, day + 1]] = total - later, later
    return y[:, :10].ravel()


# The model that source 3 fits: Reaction ~ Days + (Days | Subject), by REML ------------------------


def _sleep_with_slopes() -> tuple[FloatArray, FloatArray, FloatArray]:
    y, X, _, _ = _sleep()
    sleep = load_sleepstudy()
    Z, _ = intercept_slope_columns(sleep.subject, sleep.days)
    return y, X, Z


@cache
def _random_slopes() -> tuple[FloatArray, float]:
    """Estimate the covariance G of intercept and slope, and sigma, without a search.

    The design is balanced, so the least-squares lines of the drivers and their residuals say it
    all (chapter 6).
    """
    y, X, _ = _sleep_with_slopes()
    X_1, y_1 = X[:10], y.reshape(18, 10).T  # a column for each driver
    lines, rss, _, _ = np.linalg.lstsq(X_1, y_1)
    # sigma^2 = RSS / (k (m - r)),  G = S / (k - 1) - sigma^2 (X_1'X_1)^-1
    sigma2 = float(rss.sum()) / (18 * (10 - 2))
    G = np.cov(lines) - sigma2 * np.linalg.solve(X_1.T @ X_1, np.eye(2))
    return G, math.sqrt(sigma2)


def _slopes_factor(relative: FloatArray) -> FloatArray:
    """Lambda = I kron T, with T T' the covariance of one driver over sigma^2."""
    return np.kron(np.eye(18), np.linalg.cholesky(relative))


# The model that source 1 fits: Reaction ~ Days + (1 | Subject) ------------------------------------


def _sleep() -> tuple[FloatArray, FloatArray, FloatArray, list[str]]:
    sleep = load_sleepstudy()
    X = np.column_stack([np.ones(len(sleep)), sleep.days])
    Z, subjects = grouping_columns(sleep.subject)
    return sleep.reaction, X, Z, subjects.tolist()


@cache
def _maximum_likelihood() -> MaximumLikelihood:
    y, X, Z, _ = _sleep()
    return fit_ml(y, X, Z)
