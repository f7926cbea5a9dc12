"""Does the search miss an optimum? Random fits from the default start, beside fits from others.

    python bench/search.py --fits 1200 --counts 180 --seed 1

A fit is worse if its criterion is above the best of all starts by more than 1e-3. Sines of several
periods and noise levels make criteria with more than one minimum: the curve, and a straight line.
``tests/test_search.py`` runs a part of the same fits.
"""

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import mixedsmooth as ms

FloatArray = NDArray[np.float64]
Refit = Callable[[FloatArray | None], ms.Fit]

TOLERANCE = 1e-3  # of the criterion: by how much a fit may be above the best
# of theta, all entries alike
STARTS: FloatArray = np.logspace(-2, 4, 7)
STARTS_OF_COUNTS: FloatArray = np.logspace(-2, 2, 7)  # on the scale of a logarithm
BASES = (*("cs",) * 3, "cr", "ps", "rk")  # the default more often
NOISE = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
KINDS = (
    *("one smooth",) * 5,
    *("two smooths", "three smooths", "smooth and group", "curve by numbers", "curves by labels"),
    *("groups", "groups with slopes"),
)
COUNTS = ("bernoulli", "poisson")


@dataclass(frozen=True)
class Problem:
    """A model for random data.

    Attributes
    ----------
    kind : str
        What it is an example of.
    label : str
        Its sizes, for the table of failures.
    fit : callable
        Fits it from a start, or from the default for None.
    starts : ndarray, shape (7,)
        Values of theta to begin with.
    """

    kind: str
    label: str
    fit: Refit
    starts: FloatArray


@dataclass(frozen=True)
class Outcome:
    """The criterion from the default start, and from the others.

    Attributes
    ----------
    problem : Problem
        The model.
    criterion : float
        From the default start; not a number if that found no optimum.
    others : tuple of float
        From the other starts that found one.
    refused : int
        Starts that ended in a ValueError: a variance of zero or without bounds.
    seconds : float
        Time of the default fit.
    """

    problem: Problem
    criterion: float
    others: tuple[float, ...]
    refused: int
    seconds: float

    @property
    def excess(self) -> float:
        """How far the default fit is above the best; infinite if it alone failed."""
        if np.isnan(self.criterion):
            return np.inf if self.others else 0.0
        return self.criterion - min(self.others, default=self.criterion)

    @property
    def worse(self) -> bool:
        """Whether the search missed an optimum."""
        return self.excess > TOLERANCE

    def __str__(self) -> str:
        """Tell the model and both criteria."""
        best = min(self.others, default=np.nan)
        return f"{self.problem.label}: {self.criterion:.4f}, and {best:.4f} from another start"


def linear_problem(number: int, seed: int) -> Problem:
    """Make a random linear mixed model, of the kinds in turn.

    Parameters
    ----------
    number : int
        Which of the series.
    seed : int
        Of the random numbers.

    Returns
    -------
    Problem
        The model.
    """
    kind, rng = KINDS[number % len(KINDS)], np.random.default_rng([seed, number])
    method: Literal["REML", "ML"] = "REML" if rng.random() < 0.5 else "ML"
    n = 20 if kind.startswith("groups") else int(rng.integers(20, 151))
    noise = float(rng.choice(NOISE))
    basis = str(rng.choice(BASES))
    smooths = {"one smooth": 1, "two smooths": 2, "three smooths": 3}.get(kind, 1)
    parts = smooths * (3 if kind == "curves by labels" else 1)
    k = int(rng.integers(5, min(20, n // (2 * parts)) + 1)) if n >= 10 * parts else 5
    y = noise * rng.standard_normal(n)
    terms: list[Any] = []
    if kind.startswith("groups"):
        levels, p = int(rng.integers(4, 6)), 13 if kind == "groups" else 8
        X = rng.standard_normal((n, p - 1))
        g = np.arange(n) % levels
        terms = [ms.linear(**{f"x{j}": column for j, column in enumerate(X.T)})]
        slopes: dict[str, Any] = {} if kind == "groups" else {"z": rng.standard_normal(n)}
        terms.append(ms.group(g=g, **slopes))
        y = y + float(rng.choice([0, 0.1, 1])) * rng.standard_normal(levels)[g]
        label = f"{number}, {kind}, {method}, n {n}, p {p}, {levels} levels, noise {noise:g}"
        return Problem(kind, label, _fit(y, terms, method), STARTS)
    for j in range(smooths):
        x = np.arange(n) / (n - 1) if rng.random() < 0.5 else rng.random(n)
        if j:
            x = rng.permutation(x)
        curve = np.sin(2 * np.pi * (rng.integers(1, 7) * x + rng.random()))
        size = 1.0 if j == 0 else float(rng.choice([0, 0.3, 1]))
        by: dict[str, Any] | None = None
        if kind == "curve by numbers":
            by = {"z": rng.random(n)}
            curve = curve * by["z"]
            terms.append(ms.linear(**by))
        elif kind == "curves by labels":
            labels = rng.integers(0, parts, n)
            labels[:parts] = np.arange(parts)
            by = {"f": np.array(["a", "b", "c"])[labels]}
            curve = curve * (labels < 2)
            terms.append(ms.linear(**by))
        y = y + size * curve
        column: dict[str, Any] = {f"x{j}": x}
        terms.append(ms.smooth(**column, basis=basis, k=k, by=by))
    if kind == "smooth and group":
        g = rng.permutation(np.arange(n) % int(rng.integers(3, 9)))
        y = y + float(rng.choice([0, 0.1, 1])) * rng.standard_normal(8)[g]
        terms.append(ms.group(g=g))
    label = f"{number}, {kind}, {method}, n {n}, {basis} k {k}, noise {noise:g}"
    return Problem(kind, label, _fit(y, terms, method), STARTS)


def count_problem(number: int, seed: int) -> Problem:
    """Make a random smooth of zeros and ones or of counts, in turn: 150 rows, six periods.

    Parameters
    ----------
    number : int
        Which of the series.
    seed : int
        Of the random numbers.

    Returns
    -------
    Problem
        The model.
    """
    family, rng = COUNTS[number % len(COUNTS)], np.random.default_rng([seed, number])
    n, k = 150, 20
    x = np.arange(n) / (n - 1) if rng.random() < 0.5 else rng.random(n)
    size = float(rng.choice([0.5, 1, 2, 3]))
    eta = size * np.sin(2 * np.pi * (6 * x + rng.random()))
    if family == "bernoulli":
        y = (rng.random(n) < 1 / (1 + np.exp(-eta))).astype(float)
    else:
        y = rng.poisson(np.exp(eta)).astype(float)
    term = ms.smooth(x=x, basis="ps", k=k)

    def fit(start: FloatArray | None) -> ms.Fit:
        options: dict[str, Any] = {"family": family, "start": start}
        return ms.glmm(y, term, **options)

    return Problem(family, f"{number}, {family}, size {size:g}", fit, STARTS_OF_COUNTS)


def _fit(y: FloatArray, terms: list[Any], method: Literal["REML", "ML"]) -> Refit:
    return lambda start: ms.lmm(y, *terms, method=method, start=start)


def look(problem: Problem) -> Outcome:
    """Fit a model from the default start and from all others.

    Parameters
    ----------
    problem : Problem
        The model.

    Returns
    -------
    Outcome
        The criteria.
    """
    begin = time.perf_counter()
    first = _criterion(problem, None)
    seconds = time.perf_counter() - begin
    others = [_criterion(problem, start) for start in starts(problem)]
    found = tuple(value for value in others if not np.isnan(value))
    return Outcome(problem, first, found, len(others) - len(found), seconds)


def starts(problem: Problem) -> list[FloatArray]:
    """Seven starts with all entries alike, and as many that mix them if there are several.

    Parameters
    ----------
    problem : Problem
        The model.

    Returns
    -------
    list of ndarray
        Values of theta.
    """
    size = _size(problem)
    alike = [np.full(size, value) for value in problem.starts]
    if size == 1:
        return alike
    rng = np.random.default_rng(size)
    return alike + list(rng.choice(problem.starts, (len(problem.starts), size)))


def _size(problem: Problem) -> int:
    """How many entries theta has; a start of a wrong length is told the right one."""
    for size in range(1, 10):
        try:
            problem.fit(np.ones(size))
        except ValueError as error:
            if str(error).startswith("start "):
                continue
        return size
    raise AssertionError("theta has more entries than any of these models")


def _criterion(problem: Problem, start: FloatArray | None) -> float:
    try:
        return problem.fit(start).criterion
    except ValueError:
        return np.nan


def main() -> None:
    """Print how many fits were worse, for each kind, and which."""
    parser = argparse.ArgumentParser(description="Count the fits whose search missed an optimum.")
    parser.add_argument("--fits", type=int, default=1200, help="linear mixed models")
    parser.add_argument("--counts", type=int, default=180, help="generalized ones")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    made = [linear_problem(number, arguments.seed) for number in range(arguments.fits)]
    made += [count_problem(number, arguments.seed) for number in range(arguments.counts)]
    outcomes = [look(problem) for problem in made]
    print(f"{'':20}{'fits':>6}{'worse':>7}{'by > 1':>8}{'refused':>9}{'ms a fit':>10}")
    for kind in [*dict.fromkeys(KINDS), *COUNTS]:
        of_kind = [outcome for outcome in outcomes if outcome.problem.kind == kind]
        if of_kind:
            print(_row(kind, of_kind))
    print(_row("all", outcomes))
    worse = [outcome for outcome in outcomes if outcome.worse]
    for outcome in sorted(worse, key=lambda outcome: -outcome.excess):
        print(outcome)
    sys.exit(f"{len(worse)} of {len(outcomes)} fits missed an optimum" if worse else 0)


def _row(name: str, outcomes: list[Outcome]) -> str:
    worse = sum(outcome.worse for outcome in outcomes)
    by_one = sum(outcome.excess > 1 for outcome in outcomes)
    refused = sum(outcome.refused for outcome in outcomes)
    milliseconds = 1e3 * float(np.median([outcome.seconds for outcome in outcomes]))
    return f"{name:20}{len(outcomes):6d}{worse:7d}{by_one:8d}{refused:9d}{milliseconds:10.1f}"


if __name__ == "__main__":
    main()
