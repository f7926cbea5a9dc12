"""What the library computes for the numbers of the ledger, block by block as the sources go.

The book's ledger page and the tests compare `computed` with ``data/published.toml``. A number
that its source got wrong is computed right.
"""

from collections.abc import Mapping
from functools import cache, partial
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from mixedsmooth.datasets import load_gasoline, load_sleepstudy, load_volvo
from mixedsmooth.derivations.henderson import solve_from_covariance, solve_henderson
from mixedsmooth.derivations.likelihood import (
    MaximumLikelihood,
    fit_ml,
    grouping_columns,
    intercept_slope_columns,
    negloglik_mvn,
)
from mixedsmooth.published import Value

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
        _fitzgerald_years(),
        _dirmeier_head(),
        _dirmeier_u(),
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


# Source 3: Dirmeier (2019) ------------------------------------------------------------------------


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
