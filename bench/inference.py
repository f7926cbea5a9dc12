"""Time what is computed from a fit: a profile, and the parametric bootstrap; beside lme4.

``make bench`` runs it after bench.py, and the times go into the same data/benchmark.json. One BLAS
thread; each time is the shortest of three, that of lme4 one run, its bootstrap with fewer
replicates and scaled.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is loaded

import mixedsmooth as ms  # noqa: E402

OUTPUT = Path(__file__).parents[1] / "data" / "benchmark.json"
REPLICATES = 10_000


class Case(NamedTuple):
    """What is timed, what it may take, and R code of the same."""

    title: str
    work: Callable[[ms.Fit], object]
    budget: float
    code: str
    scale: float = 1.0


CASES = {
    "profile": Case(
        "sleepstudy, days + (days | subject), the profile of all parameters",
        lambda fit: fit.profile(),
        0.2,
        "profile(m)",
    ),
    "bootstrap": Case(
        f"sleepstudy, days + (days | subject), {REPLICATES} bootstrap replicates",
        lambda fit: ms.bootstrap(fit, REPLICATES, seed=1),
        4.0,
        "bootMer(m, fixef, nsim = 100, seed = 1)",
        REPLICATES / 100,
    ),
}


def seconds(work: Callable[[], object]) -> float:
    """Return the shortest time of three."""
    times = []
    for _ in range(3):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


def of_lme4(case: Case) -> float | None:
    """Return the time of lme4, or None where it is not installed."""
    if shutil.which("Rscript") is None:
        return None
    code = (
        "suppressMessages(library(lme4)); "
        "m <- suppressMessages(lmer(Reaction ~ Days + (Days | Subject), sleepstudy)); "
        f"t <- system.time(suppressWarnings(suppressMessages({case.code}))); "
        "cat(t[['elapsed']])"
    )
    ran = subprocess.run(["Rscript", "-e", code], capture_output=True, text=True)
    return case.scale * float(ran.stdout) if ran.returncode == 0 else None


def main() -> None:
    """Time the cases, print them, and add them to the results."""
    fit = ms.lmm_formula("reaction ~ days + (days | subject)", ms.load_sleepstudy())
    results: dict[str, Any] = {}
    for name, case in CASES.items():
        ours, theirs = seconds(lambda case=case: case.work(fit)), of_lme4(case)  # type: ignore[misc]
        held = "held" if ours <= case.budget else "MISSED"
        beside = "lme4 is not installed" if theirs is None else f"lme4 {theirs:.1f} s"
        print(f"\n{name}: {case.title}\n  {ours:.3f} s, {beside}; budget {case.budget:g} s: {held}")
        results[name] = {"model": case.title, "ours": ours, "lme4": theirs}
    report = json.loads(OUTPUT.read_text(encoding="utf-8"))
    report["inference"] = results
    OUTPUT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
