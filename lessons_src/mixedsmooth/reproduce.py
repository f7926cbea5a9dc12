"""What the library computes for the numbers of the ledger, block by block as the sources go.

The book's ledger page and the tests compare `computed` with ``data/published.toml``. A number
that its source got wrong is computed right.
"""

import math
from collections.abc import Callable, Mapping
from functools import cache, partial
from types import MappingProxyType

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from mixedsmooth import linear, lmm, smooth
from mixedsmooth._linalg import inverse
from mixedsmooth.datasets import load_gasoline, load_sleepstudy, load_volvo
from mixedsmooth.derivations import likelihood
from mixedsmooth.derivations.henderson import solve_from_covariance, solve_henderson
from mixedsmooth.derivations.laplace import fit_laplace
from mixedsmooth.derivations.penalized_ls import solve_penalized
from mixedsmooth.derivations.reml import lambda_template, restricted_deviance
from mixedsmooth.model.bases import cs
from mixedsmooth.model.smooths import split
from mixedsmooth.published import Value, entries

FloatArray = NDArray[np.float64]
Block = dict[str, Value]


@cache
def computed() -> Mapping[str, Value]:
    """Compute every number of the ledger that the chapters reproduce or correct.

    Returns
    -------
    mapping of str to float, int or str
        Value by ledger key, in the order of the ledger; read-only.

    Examples
    --------
    >>> round(computed()["clark.ml.tau"], 3)
    36.012
    >>> computed()["fitzgerald.figure1.last_year"]
    1978
    """
    clark = _clark_data() | _clark_ml() | _clark_effects() | _clark_volvo()
    clark |= _clark_gamm4() | _clark_gamm4_cs()
    dirmeier = _dirmeier_data() | _dirmeier_simulation() | _dirmeier_statsmodels()
    values = clark | _fitzgerald_years() | dirmeier | _dirmeier_poisson()
    plain = {k: v.item() if isinstance(v, np.generic) else v for k, v in values.items()}
    order = list(entries())
    return MappingProxyType({key: plain[key] for key in sorted(plain, key=order.index)})


def _below(row: str, block: Block) -> Block:
    """Put the names of a block below a key of the ledger."""
    return {f"{row}.{name}": value for name, value in block.items()}


# Source 1: Clark (2016) ---------------------------------------------------------------------------


def _clark_data() -> Block:
    Z, levels = likelihood.grouping_columns(["A", "A", "B", "B", "C", "C"])
    names = [f"clark.indicator.{i}.{level.lower()}" for i in range(1, 7) for level in levels]
    subjects, rows = np.unique(load_sleepstudy().subject, return_counts=True)
    (days,) = np.unique(rows)  # fails if the subjects differ
    sizes: Block = {"clark.data.subjects": len(subjects), "clark.data.days": days}
    return sizes | dict(zip(names, Z.ravel(), strict=True))


def _clark_ml() -> Block:
    y, X, Z, _ = _sleep()
    fit = _maximum_likelihood()
    ols = likelihood.fit_ml(y, X, Z, negloglik=partial(likelihood.negloglik_mvn, beta="ols"))
    printed = {name: getattr(fit, name) for name in ("aic", "bic", "loglik", "deviance")}
    sizes: Block = {"n_obs": len(y), "n_groups": Z.shape[1], "df_resid": len(y) - fit.parameters}
    sds: Block = {"sd_subject": fit.tau, "sd_residual": fit.sigma}
    block = _below("clark.lme4", printed | sizes | sds | _line(fit.beta))
    for row, found in {"ml": fit, "mvn": ols}.items():
        estimates = {name: getattr(found, name) for name in ("tau", "sigma", "negloglik")}
        block |= _below(f"clark.{row}", estimates | _line(found.beta))
    return block


def _line(beta: FloatArray) -> Block:
    return {"intercept": beta[0], "days": beta[1]}


def _clark_effects() -> Block:
    """Predict the effects from V, as the source does, and from Henderson's equations, as lme4."""
    y, X, Z, subjects = _sleep()
    ways = {"effects": solve_from_covariance, "lme4_effects": solve_henderson}
    block: Block = {}
    for row, solve in ways.items():
        _, b = solve(y, X, Z, _maximum_likelihood().theta)
        block |= {f"clark.{row}.{subject}": b_j for subject, b_j in zip(subjects, b, strict=True)}
    return block


def _clark_volvo() -> Block:
    volvo = load_volvo()
    run = ",".join(f"{size:.2f}" for size in volvo.size if size == 2.32)
    sizes = _counted("clark.volvo.size", volvo.size)
    del sizes["clark.volvo.size.14"]  # the 2.32 that the page lost
    wears = _counted("clark.volvo.wear", volvo.wear)
    return {"clark.volvo.n": len(volvo), "clark.volvo.run_of_2_32": run, **sizes, **wears}


def _counted(row: str, values: FloatArray) -> Block:
    return {f"{row}.{i}": value for i, value in enumerate(values, start=1)}


def _clark_gamm4() -> Block:
    """Fit a line and a random intercept: Reaction ~ Days + (1 | Subject), by REML."""
    y, X, Z, _ = _sleep()
    # within drivers, days is the only column: sigma^2 = RSS / (n - q - 1)
    _, rss, _, _ = np.linalg.lstsq(np.column_stack([Z, X[:, 1]]), y)
    sigma2 = float(rss[0]) / (len(y) - Z.shape[1] - 1)
    block, cov_beta = _gamm("clark.gamm4", X, np.empty((len(y), 0)), 0.0, sigma2)
    errors = np.sqrt(np.diag(cov_beta))
    return block | {"clark.gamm4.correlation": cov_beta[0, 1] / errors.prod()}


def _clark_gamm4_cs() -> Block:
    """Fit a smooth with shrinkage and a random intercept, the penalty scaled as in 2016."""
    y, X, _, _ = _sleep()
    sleep = load_sleepstudy()
    # within drivers, with their means as fixed effects, the smooth is the only random term
    curve = smooth(days=sleep.days, basis="cs", scaling="mean")
    within = lmm(y, linear(subject=sleep.subject), curve)
    tau2 = within.random["s(days)"].cov[0, 0]
    Z_smooth = split(cs(sleep.days), sleep.days, scaling="mean").random(sleep.days)
    block, _ = _gamm("clark.gamm4_cs", X[:, :1], Z_smooth, tau2, within.sigma**2)
    of_smooth: Block = {"variance": tau2, "sd": math.sqrt(tau2), "n": Z_smooth.shape[1]}
    return block | {f"clark.gamm4_cs.{name}_smooth": value for name, value in of_smooth.items()}


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
    cov_beta = sigma2 * inverse(solution.L_X)
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
    quantiles = np.quantile(scaled, [0, 0.25, 0.5, 0.75, 1])
    block |= _below("scaled_residuals", dict(zip(names, quantiles, strict=True)))
    coefficients = zip(solution.beta, np.sqrt(np.diag(cov_beta)), strict=True)
    for name, (beta, se) in zip(("intercept", "days"), coefficients, strict=False):
        block |= _below(name, {"estimate": beta, "se": se, "t": beta / se})
    return _below(row, block), cov_beta


# Source 2: Fitzgerald (2021) ----------------------------------------------------------------------


def _fitzgerald_years() -> Block:
    gasoline = load_gasoline()
    first = int(gasoline.year.min())
    shown: Block = {"countries": len(np.unique(gasoline.country)), "first_year": first}
    shown["last_year"] = int(gasoline.year.max())
    block: Block = {"fitzgerald.text.first_year": first}
    for figure in ("figure1", "figure2", "figure3"):
        block |= _below(f"fitzgerald.{figure}", shown)
    return block


# Source 3: Dirmeier (n.d.) ------------------------------------------------------------------------


def _dirmeier_data() -> Block:
    sleep = load_sleepstudy()
    block: Block = {}
    for i in range(5):
        row: Block = {"reaction": sleep.reaction[i], "days": int(sleep.days[i])}
        row["subject"] = int(sleep.subject[i])
        block |= _below(f"dirmeier.head.{i + 1}", row) | _below(f"dirmeier.head_again.{i + 1}", row)
    _, _, U = _sleep_with_slopes()
    n, columns = U.shape
    # numpy prints the first and the last three rows and columns of a large array
    return block | {
        f"dirmeier.u.{i + 1}.{j + 1}": U[i, j]
        for i in (0, 1, 2, n - 3, n - 2, n - 1)
        for j in (0, 1, 2, columns - 3, columns - 2, columns - 1)
    }


def _dirmeier_simulation() -> Block:
    """Draw the random effects as cell 93 does, with the legacy generator of numpy."""
    Q = 0.1 * np.array([[1, 0.25], [0.25, 1]])
    gamma = scipy.stats.multivariate_normal.rvs(
        cov=np.kron(np.eye(18), Q), random_state=np.random.RandomState(23)
    )
    return {"dirmeier.simulation.gamma_mean": gamma.mean(), **_counted("dirmeier.gamma", gamma)}


def _dirmeier_statsmodels() -> Block:
    sleep = load_sleepstudy()
    G, sigma = _random_slopes()
    Lambda = _slopes_factor(G / sigma**2)
    y, X, Z = _sleep_with_slopes()
    solution = solve_penalized(y, X, Z, Lambda)
    errors = sigma * np.sqrt(np.diag(inverse(solution.L_X)))
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
        ends = {"lower": beta - half_width * se, "upper": beta + half_width * se}
        z = {"z": beta / se, "p": 2 * scipy.stats.norm.sf(abs(beta / se))}
        block |= _below(name, {"estimate": beta, "se": se, **z, **ends})
    names = ("variance_intercept", "covariance", "variance_days")
    estimates = G[(0, 1, 1), (0, 0, 1)]
    printed_errors = sigma * _errors_of_relative(estimates / sigma**2)
    for name, estimate, se in zip(names, estimates, printed_errors, strict=True):
        block |= _below(name, {"estimate": estimate, "se": se})
    of_henderson = _line(solve_henderson(y, X, Z, Lambda)[0])
    return _below("dirmeier.statsmodels", block) | _below("dirmeier.henderson", of_henderson)


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


def _dirmeier_poisson() -> Block:
    """Fit the Poisson model of cell 14 to the counts that the source did not print."""
    _, X, Z = _sleep_with_slopes()
    fit = fit_laplace(_counts_with(_lost_sums()), X, Z, lambda_template(2, 18))
    block = _below("dirmeier.poisson.beta_hat", _line(fit.beta))
    return block | _counted("dirmeier.poisson.gamma_hat", fit.b)


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
    Z, _ = likelihood.intercept_slope_columns(sleep.subject, sleep.days)
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
    Z, subjects = likelihood.grouping_columns(sleep.subject)
    return sleep.reaction, X, Z, subjects.tolist()


@cache
def _maximum_likelihood() -> likelihood.MaximumLikelihood:
    y, X, Z, _ = _sleep()
    return likelihood.fit_ml(y, X, Z)
