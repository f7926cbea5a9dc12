"""Time fields whose levels are many: on grids, and over a pedigree; and compare with the truth.

``make bench`` runs it after inference.py, and the times go into the same data/benchmark.json. One
BLAS thread, each case in a process of its own. The time is that of the processor for the whole fit
by REML, from the labels in memory until the effects of all levels have been read; the graph or the
pedigree is read before, which has a time of its own. The peak memory is that of the process, with
the data.

fields.py                 all cases
fields.py CASE ANSWER     one case, its answer into a file
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is loaded

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

import mixedsmooth as ms  # noqa: E402
from mixedsmooth.model.precision import Precision  # noqa: E402

OUTPUT = Path(__file__).parents[1] / "data" / "benchmark.json"
MEMORY = 2_000  # MB that no case may take
SD, SIGMA = 1.0, 0.5  # of the simulated fields, and of the errors
GENERATIONS, SIRES, DAMS = 10, 50, 1_000  # of the pedigree: chosen anew in each generation


class Case(NamedTuple):
    """What is timed, and what it may take."""

    title: str
    levels: int
    rows: int
    seconds: float
    truth: Callable[["Case", np.random.Generator], "Truth"]


class Truth(NamedTuple):
    """A term for labels, and the effects of its levels that are simulated."""

    levels: NDArray[Any]
    effects: NDArray[np.float64]
    term: Callable[[NDArray[Any]], Any]


def on_a_grid(case: Case, rng: np.random.Generator) -> Truth:
    """Return a field on a square grid."""
    side = round(case.levels**0.5)
    place = np.arange(side * side).reshape(side, side)
    across = np.column_stack([place[:, :-1].ravel(), place[:, 1:].ravel()])
    graph = ms.neighbours(
        np.concatenate([across, np.column_stack([place[:-1].ravel(), place[1:].ravel()])])
    )
    field = Precision(graph.Q.tocsc(), np.zeros(side**2, dtype=np.intp), np.ones(side**2))
    effects = SD * field.draw(rng.standard_normal((side**2, 1)))[:, 0]
    return Truth(graph.levels, effects, lambda node: ms.group(node=node, precision=graph))


def of_a_pedigree(case: Case, rng: np.random.Generator) -> Truth:
    """Return breeding values: each generation has parents that were chosen from the last."""
    size = case.levels // GENERATIONS
    sire, dam = np.full((2, case.levels), -1)
    for first in range(size, case.levels, size):
        last = np.arange(first - size, first)
        chosen = rng.permutation(last)[: SIRES + DAMS]
        sire[first : first + size] = rng.choice(chosen[:SIRES], size)
        dam[first : first + size] = rng.choice(chosen[SIRES:], size)
    known = [
        (animal, None if s < 0 else s, None if d < 0 else d)
        for animal, (s, d) in enumerate(zip(sire.tolist(), dam.tolist(), strict=True))
    ]
    relationship = ms.relationship(known)
    a = rng.standard_normal(case.levels)
    # a = (a_sire + a_dam) / 2 + m,  var(m) = 1/2 - (F_sire + F_dam) / 4
    F = np.asarray(relationship.inbreeding)
    for first in range(size, case.levels, size):
        own = slice(first, first + size)
        s, d = sire[own], dam[own]
        a[own] = (a[s] + a[d]) / 2 + a[own] * np.sqrt(0.5 - (F[s] + F[d]) / 4)
    return Truth(
        relationship.levels,
        SD * a,
        lambda animal: ms.group(animal=animal, covariance=relationship),
    )


CASES = {
    "grid-10k": Case("a field on a grid of 100 x 100", 10_000, 50_000, 5.0, on_a_grid),
    "grid-100k": Case("a field on a grid of 316 x 316", 99_856, 500_000, 60.0, on_a_grid),
    "pedigree": Case("100,000 animals of 10 generations", 100_000, 100_000, 60.0, of_a_pedigree),
}


def measure(name: str) -> dict[str, Any]:
    """Simulate a case, fit it, and compare with what was simulated."""
    case = CASES[name]
    rng = np.random.default_rng(20261122)
    began = time.process_time()
    truth = case.truth(case, rng)
    read = time.process_time() - began
    code = rng.integers(0, case.levels, case.rows)
    if case.rows == case.levels:  # a record of each animal
        code = np.arange(case.levels)
    x = rng.standard_normal(case.rows)
    y = 2 + 0.7 * x + truth.effects[code] + SIGMA * rng.standard_normal(case.rows)
    labels = truth.levels[code]
    began = time.process_time()
    fit = ms.lmm(y, ms.linear(x=x), truth.term(labels))
    (field,) = fit.random.values()
    seconds = time.process_time() - began
    return {
        "model": f"{case.title}, {case.rows:,} rows",
        "seconds": seconds,
        "structure": read,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "sd": float(field.sd[0]),
        "sigma": fit.sigma,
        "slope": float(fit.beta[1]),
        "correlation": float(np.corrcoef(field.effects[:, 0], truth.effects)[0, 1]),
        "converged": fit.converged,
        "evaluations": fit.evaluations,
    }


def main() -> None:
    """Measure all cases, print them, and add them to the results."""
    results: dict[str, Any] = {}
    for name, case in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            answer = Path(folder) / "answer.json"
            subprocess.run([sys.executable, __file__, name, str(answer)], check=True)
            one = results[name] = json.loads(answer.read_text(encoding="utf-8"))
        held = one["seconds"] <= case.seconds and one["memory"] <= MEMORY
        print(
            f"\n{name}: {one['model']}\n  {one['seconds']:.1f} s, {one['memory']:.0f} MB; budget "
            f"{case.seconds:g} s, {MEMORY} MB: {'held' if held else 'MISSED'}\n"
            f"  sd {one['sd']:.4f} of {SD:g}, sigma {one['sigma']:.4f} of {SIGMA:g}, slope "
            f"{one['slope']:.4f} of 0.7; effects correlate with the true ones by "
            f"{one['correlation']:.3f}"
        )
    report = json.loads(OUTPUT.read_text(encoding="utf-8"))
    report["fields"] = results
    OUTPUT.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[2]).write_text(json.dumps(measure(sys.argv[1])), encoding="utf-8")
    else:
        main()
