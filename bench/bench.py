"""Time the library beside lme4, mgcv, statsmodels and mixedlm: same data, models and criterion.

``make bench`` runs it. Every pair of program and case has a process of its own, so that its peak
memory is its own. A time is that of a fit: from arrays or a data frame in memory until beta,
sigma, theta and the criterion have been read. It is the median of several fits in one process, the
first of them, which loads and compiles what is loaded late, not counted when there are others.
Each program uses as many BLAS threads as it does by default.

This file needs the standard library only: a process begins with the peak memory of the one that
started it, so this one stays small.
"""

import argparse
import importlib.util
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

HERE = Path(__file__).parent
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Case(NamedTuple):
    """A model for a data set, and what the library should need for it."""

    title: str
    repeats: dict[str, int]  # fits for each program
    budget_seconds: float | None = None
    budget_megabytes: float | None = None
    skip: Mapping[str, str] = MappingProxyType({})  # reasons by program


CROSSED = "its random effects are nested in one factor; crossed ones would be one dense block"
LIKELIHOOD = "its mixed models for counts are Bayesian, with no likelihood that is maximized"

CASES = {
    "sleepstudy": Case(
        "sleepstudy, days + (days | subject), REML",
        {"ours": 200, "ours, 1 thread": 200, "lme4": 20, "mixedlm": 50, "statsmodels": 20},
        budget_seconds=0.002,
    ),
    "insteval": Case(
        "InstEval, service + (1 | s) + (1 | d), REML",
        {"ours": 5, "ours, 1 thread": 5, "lme4": 3, "mixedlm": 3},
        budget_seconds=0.7,
        skip={"statsmodels": CROSSED},
    ),
    "insteval-dept": Case(
        "InstEval, service + (1 | s) + (1 | d) + (1 | dept), ML",
        {"ours": 5, "ours, 1 thread": 5, "lme4": 3, "mixedlm": 3},
        budget_seconds=1.3,
        skip={"statsmodels": CROSSED},
    ),
    "million": Case(
        "1e6 rows, 1e5 groups, x + (x | g), REML",
        {"ours": 5, "ours, 1 thread": 5, "lme4": 1, "mixedlm": 1, "statsmodels": 1},
        budget_seconds=1.0,
        budget_megabytes=500,
    ),
    "epil": Case(
        "epilepsy, Poisson, lbase + trt + (1 | subject), Laplace",
        {"ours": 50, "ours, 1 thread": 50, "lme4": 10, "mixedlm": 10},
        skip={"statsmodels": LIKELIHOOD},
    ),
    "bernoulli": Case(
        "1e5 rows, 1e3 groups, Bernoulli, x + (1 | g), Laplace",
        {"ours": 10, "ours, 1 thread": 10, "lme4": 1, "mixedlm": 3},
        skip={"statsmodels": LIKELIHOOD},
    ),
    "t2": Case(
        "1e5 rows, t2(compression, equivalence, k = (5, 8)), REML",
        {"ours": 5, "ours, 1 thread": 5, "mgcv": 5},
        budget_seconds=2.0,
    ),
    "growth-1e4": Case("1e4 rows, 1e3 groups, x + (x | g), REML", {"ours": 50}),
    "growth-1e5": Case("1e5 rows, 1e4 groups, x + (x | g), REML", {"ours": 10}),
    "growth-1e6": Case("1e6 rows, 1e5 groups, x + (x | g), REML", {"ours": 5}),
    "growth-1e7": Case("1e7 rows, 1e6 groups, x + (x | g), REML", {"ours": 3}),
}
ROWS = {"million": 10**6, "bernoulli": 10**5, "t2": 10**5} | {
    f"growth-1e{k}": 10**k for k in (4, 5, 6, 7)
}
PROGRAMS = ("ours", "ours, 1 thread", "lme4", "mgcv", "mixedlm", "statsmodels")
IN_R = ("lme4", "mgcv")

Result = dict[str, Any]


# ---- one process ----


def run(program: str, case: str, timeout: float, folder: Path) -> Result:
    """Fit in a process of its own; return what it tells, its median time and its peak memory."""
    answer = folder / "answer.json"
    answer.unlink(missing_ok=True)
    repeats = str(CASES[case].repeats[program])
    rows = str(ROWS.get(case, 0))
    if program in IN_R:
        data = folder / f"{case}.bin"
        if case in ROWS and not data.exists():
            subprocess.run(
                [sys.executable, HERE / "fit.py", "simulate", case, rows, data], check=True
            )
        script = HERE / f"{program}.R"
        line: list[str | Path] = ["Rscript", script, case, rows, repeats, answer, data]
    else:
        name = program.split(",")[0]
        line = [sys.executable, HERE / "fit.py", name, case, rows, repeats, answer]
    log = folder / "log.txt"
    with log.open("w") as output:
        process = subprocess.Popen(
            line, env=environment(program), stdout=output, stderr=subprocess.STDOUT
        )
    timer = threading.Timer(timeout, process.kill)
    timer.start()
    _, status, usage = os.wait4(process.pid, 0)
    late = not timer.is_alive()
    timer.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode or not answer.exists():
        message = (log.read_text(errors="replace").split("\n") or [""])[-2:]
        reason = f"no fit within {timeout:g} s" if late else f"failed: {' '.join(message)[:200]}"
        return {"skipped": reason}
    result: Result = json.loads(answer.read_text())
    return {
        "median": statistics.median(result["seconds"][1:] or result["seconds"]),
        "peak_megabytes": usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10),
        **result,
    }


def environment(program: str) -> dict[str, str]:
    """Return the environment with the default number of BLAS threads, or with one."""
    variables = {name: value for name, value in os.environ.items() if name not in THREADS}
    return variables | dict.fromkeys(THREADS, "1") if program.endswith("1 thread") else variables


def missing(program: str) -> str | None:
    """Return why a program cannot be run, or None."""
    if program in IN_R:
        if shutil.which("Rscript") is None:
            return "Rscript is not installed"
        found = subprocess.run(["Rscript", "-e", f"library({program})"], capture_output=True)
        return None if found.returncode == 0 else f"R has no package {program}"
    name = "mixedsmooth" if program.startswith("ours") else program
    return None if importlib.util.find_spec(name) else f"{name} is not installed"


# ---- what is told ----


def machine() -> dict[str, Any]:
    """Return processor, cores, memory and system."""
    model = platform.processor()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].split(":")[1].strip() if lines else model
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gigabytes": round(pages / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "load_before": round(os.getloadavg()[0], 2),
    }


def table(case: str, results: dict[str, Result]) -> str:
    """Return the results of a case as text."""
    model = CASES[case]
    fits = {name: result for name, result in results.items() if "median" in result}
    best = min((result["criterion"] for result in fits.values()), default=0.0)
    ours = fits.get("ours", {}).get("median")
    lines = [
        f"\n{case}: {model.title}",
        f"  {'':<15}{'median':>12}{'ratio':>8}{'peak':>9}{'before':>9}{'criterion':>18}"
        f"{'above best':>12}{'fits':>6}",
    ]
    for name, result in results.items():
        if "median" not in result:
            lines.append(f"  {name:<15}skipped: {result['skipped']}")
            continue
        ratio = f"{result['median'] / ours:.1f}" if ours else ""
        lines.append(
            f"  {name:<15}{1e3 * result['median']:>9.2f} ms{ratio:>8}"
            f"{result['peak_megabytes']:>6.0f} MB{result['before_megabytes']:>6.0f} MB"
            f"{result['criterion']:>18.6f}{result['criterion'] - best:>12.1e}"
            f"{len(result['seconds']):>6}"
        )
    if ours and model.budget_seconds:
        held = "held" if ours <= model.budget_seconds else "MISSED"
        lines.append(f"  budget {1e3 * model.budget_seconds:g} ms: {held}")
    if ours and model.budget_megabytes:
        held = "held" if fits["ours"]["peak_megabytes"] <= model.budget_megabytes else "MISSED"
        lines.append(f"  budget {model.budget_megabytes:g} MB: {held}")
    if ours and case in ROWS:
        lines.append(
            f"  {1e6 * ours / ROWS[case]:.3f} us a row; the data are "
            f"{fits['ours']['data_megabytes']:.0f} MB"
        )
    return "\n".join(lines)


def main() -> None:
    """Run the programs on the cases, print the tables, write the results."""
    parser = argparse.ArgumentParser(description="Time mixed models in several programs.")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=list(PROGRAMS))
    parser.add_argument("--timeout", type=float, default=1800.0, help="seconds for a process")
    parser.add_argument("--output", type=Path, default=HERE.parent / "data" / "benchmark.json")
    options = parser.parse_args()
    report: dict[str, Any] = {"date": date.today().isoformat(), "machine": machine()}
    reasons = {program: missing(program) for program in options.programs}
    cases: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in options.cases:
            results: dict[str, Result] = {}
            for program in options.programs:
                if program not in {*CASES[case].repeats, *CASES[case].skip}:
                    continue
                reason = reasons[program] or CASES[case].skip.get(program)
                if reason is None:
                    results[program] = run(program, case, options.timeout, Path(folder))
                else:
                    results[program] = {"skipped": reason}
            print(table(case, results), flush=True)
            cases[case] = {"model": CASES[case].title, "results": results}
    versions: dict[str, str] = {}
    for entry in cases.values():
        for result in entry["results"].values():
            versions |= result.pop("versions", {})
    report |= {"versions": versions, "cases": cases}
    options.output.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"\n{options.output} has all of it")


if __name__ == "__main__":
    main()
