"""How often intervals cover the truth: every kind, in data sets that a known model has made.

    python bench/coverage.py                  2,000 data sets of each design, with two processes
    python bench/coverage.py --sets 40        a quick look

For each of three designs the fit to the data at hand is taken for the truth. Data set i is row i of
``truth.simulate(sets, seed)``; of each, intervals of every kind are computed and compared with the
parameters of the truth. The result is data/coverage.json, which the book shows. Data sets go to the
processes in chunks, and what comes out does not depend on how many processes there are.
"""

import argparse
import json
import multiprocessing
import os
import platform
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is loaded: the processes share the cores

import numpy as np  # noqa: E402
import scipy.special  # noqa: E402

import mixedsmooth as ms  # noqa: E402
from mixedsmooth.inference.parameters import parameters  # noqa: E402

HERE = Path(__file__).parent
LEVEL = 0.95
CHUNK = 10  # data sets

Intervals = dict[str, dict[str, tuple[float, float]]]  # of each kind, by parameter


class Design(NamedTuple):
    """A design: what it is, and the fit that is the truth."""

    title: str
    truth: ms.Fit


def designs() -> dict[str, Design]:
    """Fit the models whose parameters are the truth."""
    sleep, dyestuff = ms.load_sleepstudy(), ms.load_dyestuff()
    few = np.isin(sleep.subject, np.unique(sleep.subject)[:6])
    few &= np.random.default_rng(6).random(len(few)) < 0.7

    def slopes(rows: Any) -> ms.Fit:
        days, subject = sleep.days[rows], sleep.subject[rows]
        group = ms.group(subject=subject, days=days)
        return ms.lmm(sleep.reaction[rows], ms.linear(days=days), group)

    whole = slopes(slice(None))
    # with the theta of all: six subjects tell little of a covariance
    small = slopes(few).refit(theta=whole.theta)
    return {
        "sleepstudy": Design("18 drivers, 10 days each; days + (days | driver)", whole),
        "unbalanced": Design(f"6 drivers, {few.sum()} rows; days + (days | driver)", small),
        "dyestuff": Design(
            "6 batches of 5; 1 + (1 | batch)",
            ms.lmm(dyestuff.grams, ms.group(batch=dyestuff.batch)),
        ),
    }


def wanted(names: list[str]) -> list[str]:
    """Leave out correlations, which many data sets do not define."""
    return [name for name in names if not name.startswith("corr ")]


def intervals(fit: ms.Fit, replicates: int, seed: int) -> Intervals:
    """Compute intervals of every kind."""

    def chosen(found: Any) -> dict[str, tuple[float, float]]:
        return {name: found[name] for name in wanted(found.names)}

    kinds: Intervals = {"Wald, normal": chosen(fit.confint(LEVEL, "wald", "REML"))}
    tables = {
        "Satterthwaite": fit.coefficients("satterthwaite"),
        "Kenward-Roger": fit.coefficients("kenward-roger"),
    }
    for title, table in tables.items():
        half = scipy.special.stdtrit(table.df, (1 + LEVEL) / 2) * table.se
        ends = zip(table.estimate - half, table.estimate + half, strict=True)
        kinds[title] = dict(zip(table.names, ends, strict=True))
    kinds["profile, ML"] = chosen(fit.confint(LEVEL, "profile", "ML"))
    kinds["profile, REML"] = chosen(fit.confint(LEVEL, "profile", "REML"))
    boot = ms.bootstrap(fit, replicates, seed)
    kinds["bootstrap, percentile"] = chosen(boot.confint(LEVEL, "percentile"))
    kinds["bootstrap, basic"] = chosen(boot.confint(LEVEL, "basic"))
    return kinds


class Task(NamedTuple):
    """Some data sets of a design."""

    design: str
    first: int
    last: int
    sets: int
    replicates: int
    seed: int


TRUTHS: dict[str, Design] = {}  # of this process


def work(task: Task) -> tuple[Task, list[Intervals]]:
    """Make intervals for some data sets; this runs in a process of its own."""
    if not TRUTHS:
        TRUTHS.update(designs())
    truth = TRUTHS[task.design].truth
    simulated = truth.simulate(task.last, task.seed)[task.first :]
    found = []
    for i, y in enumerate(simulated, start=task.first):
        found.append(intervals(truth.with_response(y), task.replicates, task.seed + 1 + i))
    return task, found


def summary(truth: dict[str, float], found: list[Intervals]) -> dict[str, Any]:
    """Count how many intervals of each kind cover the truth."""
    table: dict[str, Any] = {}
    for kind in found[0]:
        table[kind] = {}
        for name in found[0][kind]:
            lower, upper = np.array([of[kind][name] for of in found], dtype=float).T
            defined = ~(np.isnan(lower) | np.isnan(upper))
            covered = (lower <= truth[name]) & (truth[name] <= upper)
            share = float(covered[defined].mean()) if defined.any() else None
            se = None if share is None else float(np.sqrt(share * (1 - share) / defined.sum()))
            width = upper[defined] - lower[defined]
            table[kind][name] = {
                "coverage": share,
                "se": se,
                "too_low": int(np.sum(upper[defined] < truth[name])),
                "too_high": int(np.sum(lower[defined] > truth[name])),
                "undefined": int(np.sum(~defined)),
                "median_width": float(np.median(width)) if defined.any() else None,
            }
    return table


def done(tasks: list[Task], processes: int) -> Iterator[tuple[Task, list[Intervals]]]:
    """Do the tasks, in any order."""
    if processes == 1:
        yield from map(work, tasks)
        return
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap_unordered(work, tasks)


def main() -> None:
    """Measure, tell the progress, write the results."""
    parser = argparse.ArgumentParser(description="Measure the coverage of intervals.")
    parser.add_argument("--sets", type=int, default=2_000, help="data sets of each design")
    parser.add_argument("--replicates", type=int, default=999, help="of each bootstrap")
    parser.add_argument("--seed", type=int, default=20_260)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--output", type=Path, default=HERE.parent / "data" / "coverage.json")
    options = parser.parse_args()
    given = options.sets, options.replicates, options.seed
    TRUTHS.update(designs())
    tasks = [
        Task(name, first, min(first + CHUNK, options.sets), *given)
        for first in range(0, options.sets, CHUNK)
        for name in TRUTHS
    ]
    found: dict[str, dict[int, list[Intervals]]] = {name: {} for name in TRUTHS}
    began = time.perf_counter()
    for finished, (task, made) in enumerate(done(tasks, options.processes), start=1):
        found[task.design][task.first] = made
        spent = time.perf_counter() - began
        left = spent / finished * (len(tasks) - finished)
        print(
            f"\r{finished} of {len(tasks)} chunks, {left / 60:.1f} min left ",
            end="",
            file=sys.stderr,
        )
    print(file=sys.stderr)
    report: dict[str, Any] = {
        "date": date.today().isoformat(),
        "versions": {"mixedsmooth": ms.__version__, "python": platform.python_version()},
        "minutes": round((time.perf_counter() - began) / 60, 1),
        "level": LEVEL,
        "sets": options.sets,
        "replicates": options.replicates,
        "seed": options.seed,
        "designs": {},
    }
    for name, design in TRUTHS.items():
        truth = dict(zip(*parameters(design.truth), strict=True))
        every = [each for first in sorted(found[name]) for each in found[name][first]]
        report["designs"][name] = {
            "title": design.title,
            "truth": {key: float(truth[key]) for key in wanted(list(truth))},
            "results": summary(truth, every),
        }
    options.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"{options.output} has all of it")


if __name__ == "__main__":
    main()
