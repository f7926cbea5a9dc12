"""Fit one case with one Python program, several times; run by bench.py in a process of its own.

fit.py PROGRAM CASE ROWS REPEATS ANSWER      writes times, criterion and memory to ANSWER
fit.py simulate CASE ROWS FILE               writes the simulated columns for R
"""

import importlib.metadata
import json
import platform
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mixedsmooth as ms

Columns = dict[str, NDArray[Any]]
Estimates = tuple[Any, float, Any, float]  # beta, sigma, theta, criterion

ROWS_PER_GROUP = 10
COUNTS = ("epil", "bernoulli")  # the cases of glmm, by Laplace
PACKAGES = {"ours": "mixedsmooth", "mixedlm": "mixedlm", "statsmodels": "statsmodels"}


def simulate(rows: int) -> Columns:
    """Return y, x and group of a growth model: sd 1.5 and 0.5, correlation 0.3, sigma 1."""
    rng = np.random.default_rng(20150507)
    groups = rows // ROWS_PER_GROUP
    L = np.linalg.cholesky([[1.5**2, 0.3 * 1.5 * 0.5], [0.3 * 1.5 * 0.5, 0.5**2]])
    b = rng.standard_normal((groups, 2)) @ L.T
    g = np.repeat(np.arange(groups), ROWS_PER_GROUP)
    x = rng.standard_normal(rows)
    y = rng.standard_normal(rows)
    # y = 10 + b_0 + (2 + b_1) x + e, added up in place so that the peak is not that of this line
    y += 10
    y += np.repeat(b[:, 0], ROWS_PER_GROUP)
    slope = np.repeat(b[:, 1], ROWS_PER_GROUP)
    slope += 2
    slope *= x
    y += slope
    return {"y": y, "x": x, "g": g}


def simulate_bits(rows: int) -> Columns:
    """Return y of zeros and ones, x and group: log odds -0.5 + 0.7 x + b_0, b_0 of sd 0.8."""
    rng = np.random.default_rng(20150507)
    groups = rows // 100
    g, x = rng.integers(0, groups, rows), rng.standard_normal(rows)
    log_odds = -0.5 + 0.7 * x + 0.8 * rng.standard_normal(groups)[g]
    return {"y": (rng.random(rows) < 1 / (1 + np.exp(-log_odds))).astype(float), "x": x, "g": g}


def simulate_surface(rows: int) -> Columns:
    """Return y, compression and equivalence, of shapes and sizes as in the ethanol data."""
    rng = np.random.default_rng(20150507)
    compression = rng.choice([7.5, 9, 12, 15, 18], rows)
    equivalence = rng.uniform(0.535, 1.232, rows).round(3)
    rise = 0.1 * compression * (equivalence < 0.8) * (1 - equivalence)
    mean = 3.7 * np.exp(-(((equivalence - 0.92) / 0.14) ** 2)) + rise
    y = mean + 0.25 * rng.standard_normal(rows)
    return {"y": y, "compression": compression, "equivalence": equivalence}


def columns(case: str, rows: int) -> Columns:
    """Return the data of a case by lme4's names."""
    if case == "bernoulli":
        return simulate_bits(rows)
    if case == "t2":
        return simulate_surface(rows)
    if rows:
        return simulate(rows)
    if case == "epil":
        epil = ms.load_epil()
        return {name: getattr(epil, name) for name in ("y", "lbase", "trt", "subject")}
    if case == "sleepstudy":
        sleep = ms.load_sleepstudy()
        return {"Reaction": sleep.reaction, "Days": sleep.days, "Subject": sleep.subject}
    ratings = ms.load_insteval()
    return {name: getattr(ratings, name) for name in ("y", "service", "s", "d", "dept")}


# ---- the programs: each makes a function that fits once ----


def ours(case: str, data: Columns) -> Callable[[], Estimates]:
    """Fit with this library."""

    def terms() -> list[Any]:
        if case == "sleepstudy":
            days, subject = data["Days"], data["Subject"]
            return [data["Reaction"], ms.linear(days=days), ms.group(subject=subject, days=days)]
        if case == "t2":
            pair = {name: data[name] for name in ("compression", "equivalence")}
            return [data["y"], ms.smooth(pair, basis="t2", k=(5, 8))]
        if not case.startswith("insteval"):
            return [data["y"], ms.linear(x=data["x"]), ms.group(g=data["g"], x=data["x"])]
        groups = [ms.group(s=data["s"]), ms.group(d=data["d"])]
        if case == "insteval-dept":
            groups.append(ms.group(dept=data["dept"]))
        return [data["y"], ms.linear(service=data["service"]), *groups]

    def fit_counts() -> Estimates:
        if case == "epil":
            linear = ms.linear(lbase=data["lbase"], trt=data["trt"])
            found = ms.glmm(data["y"], linear, ms.group(subject=data["subject"]))
        else:
            linear, group = ms.linear(x=data["x"]), ms.group(g=data["g"])
            found = ms.glmm(data["y"], linear, group, family="bernoulli")
        return found.beta, found.sigma, found.theta, found.criterion

    if case in COUNTS:
        return fit_counts

    def fit() -> Estimates:
        found = ms.lmm(*terms(), method="ML" if case == "insteval-dept" else "REML")
        return found.beta, found.sigma, found.theta, found.criterion

    return fit


def mixedlm(case: str, data: Columns) -> Callable[[], Estimates]:
    """Fit with the package mixedlm."""
    import mixedlm
    import pandas as pd

    frame = pd.DataFrame(data)

    def fit_counts() -> Estimates:
        if case == "epil":
            poisson = mixedlm.families.Poisson()
            found = mixedlm.glmer("y ~ lbase + trt + (1 | subject)", frame, family=poisson)
        else:
            bernoulli = mixedlm.families.Binomial()
            found = mixedlm.glmer("y ~ x + (1 | g)", frame, family=bernoulli)
        return found.beta, 1.0, found.theta, -2 * found.logLik().value

    if case in COUNTS:
        return fit_counts
    formula = {
        "sleepstudy": "Reaction ~ Days + (Days | Subject)",
        "insteval": "y ~ service + (1 | s) + (1 | d)",
        "insteval-dept": "y ~ service + (1 | s) + (1 | d) + (1 | dept)",
    }.get(case, "y ~ x + (x | g)")
    reml = case != "insteval-dept"

    def fit() -> Estimates:
        found = mixedlm.lmer(formula, frame, REML=reml)
        return found.beta, found.sigma, found.theta, found.REMLcrit() if reml else found.deviance

    return fit


def statsmodels(case: str, data: Columns) -> Callable[[], Estimates]:
    """Fit with statsmodels' MixedLM."""
    import pandas as pd
    from statsmodels.regression.mixed_linear_model import MixedLM

    frame = pd.DataFrame(data)
    fixed, slope, groups = ("Reaction ~ Days", "~Days", "Subject")
    if case != "sleepstudy":
        fixed, slope, groups = ("y ~ x", "~x", "g")

    def fit() -> Estimates:
        model = MixedLM.from_formula(fixed, frame, groups=groups, re_formula=slope)
        found = model.fit(reml=True)
        relative = np.linalg.cholesky(np.asarray(found.cov_re) / found.scale)
        theta = relative[np.triu_indices(2)[::-1]]
        return np.asarray(found.fe_params), found.scale**0.5, theta, -2 * found.llf

    return fit


# ---- the measurement ----


def blas_threads() -> int | None:
    """Return the number of threads of the linear algebra library, if that can be told."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return None
    return max((pool["num_threads"] for pool in threadpool_info()), default=None)


def megabytes() -> float:
    """Return the peak memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def main(program: str, case: str, rows: str, repeats: str, answer: str) -> None:
    """Measure, and write what was found."""
    data = columns(case, int(rows))
    fit = {"ours": ours, "mixedlm": mixedlm, "statsmodels": statsmodels}[program](case, data)
    before = megabytes()
    seconds = []
    for _ in range(int(repeats)):
        start = time.perf_counter()
        beta, sigma, theta, criterion = fit()
        seconds.append(time.perf_counter() - start)
    versions = {name: importlib.metadata.version(name) for name in ("numpy", "scipy", "pandas")}
    name = PACKAGES[program]
    found = {
        "seconds": seconds,
        "criterion": float(criterion),
        "beta": np.asarray(beta).tolist(),
        "sigma": float(sigma),
        "theta": np.asarray(theta).tolist(),
        "before_megabytes": before,
        "data_megabytes": sum(column.nbytes for column in data.values()) / 2**20,
        "blas_threads": blas_threads(),
        "versions": {
            "python": platform.python_version(),
            **versions,
            name: importlib.metadata.version(name),
        },
    }
    Path(answer).write_text(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1] == "simulate":
        simulated = columns(sys.argv[2], int(sys.argv[3]))
        with Path(sys.argv[4]).open("wb") as file:
            for column in simulated.values():
                column.astype(np.float64).tofile(file)
    else:
        main(*sys.argv[1:])
