"""The exercises of the book that ask for a computed answer, and a check for each.

A check says that an answer is right, or which kind of wrong it is: the shape, the sign, a factor, a
variance in place of a standard deviation, rounding, a mistake that is typical of this exercise. It
does not say what is right. The right answers are not stored: they are computed, from the library
and the data, when a check asks for them for the first time.

Examples
--------
>>> from mixedsmooth import exercises
>>> exercises.check("2.3", [0.95481, 13.92201])
Exercise 2.3: not yet. Off by a power of ten: check the units (ms or s, shares or percent).
"""

import html
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module

import numpy as np
from numpy.typing import ArrayLike

from mixedsmooth.exercises._diagnosis import Finding, Target, diagnose, slack_of
from mixedsmooth.exercises._registry import EXERCISES, Exercise, Solution

__all__ = ["EXERCISES", "Check", "Exercise", "Solution", "check", "numbers"]

# a module enters the exercises of its chapter into the list
for _module in sorted(module.name for module in pkgutil.iter_modules(__path__)):
    if _module.startswith("_chapter"):
        import_module(f"{__name__}.{_module}")


@dataclass(frozen=True)
class Check:
    """What `check` found. It counts as true if the answer is right.

    Attributes
    ----------
    number : str
        The exercise.
    kind : str
        ``"right"``, or a word for what is wrong: ``"unanswered"``, ``"not numbers"``,
        ``"not finite"``, ``"names"``, ``"shape"``, ``"transposed"``, ``"typical"``, ``"sign"``,
        ``"likelihood"``, ``"variance"``, ``"square"``, ``"root"``, ``"log"``, ``"exp"``,
        ``"reciprocal"``, ``"order"``, ``"factor"``, ``"rounded"``, ``"near"``, ``"some"``,
        ``"wrong"``.
    message : str
        The same for the reader.

    Examples
    --------
    >>> found = check("2.3", [1.0, 2.0])
    >>> found.kind, found.right, bool(found)
    ('wrong', False, False)
    """

    number: str
    kind: str
    message: str

    @property
    def right(self) -> bool:
        """Whether the answer is right.

        Examples
        --------
        >>> check("2.3", ...).right
        False
        """
        return self.kind == "right"

    def __bool__(self) -> bool:
        """Tell whether the answer is right."""
        return self.right

    def _verdict(self) -> str:
        return f"Exercise {self.number}: {self.message if self.right else 'not yet'}."

    def _explanation(self) -> str:
        """Make the message a sentence; if the answer is right, the verdict has said it."""
        return "" if self.right else f" {self.message[0].upper()}{self.message[1:]}."

    def __repr__(self) -> str:
        """Tell the verdict, and what is wrong."""
        return self._verdict() + self._explanation()

    def _repr_html_(self) -> str:
        mark, color = ("✓", "#009E73") if self.right else ("✗", "#D55E00")
        style = f"border-left: 0.3em solid {color}; padding: 0.2em 0.8em; margin: 0.5em 0"
        return (
            f'<div class="exercise-check {"right" if self.right else "wrong"}" role="status" '
            f'style="{style}"><span aria-hidden="true">{mark}</span> '
            f"<strong>{self._verdict()}</strong>{html.escape(self._explanation())}</div>"
        )


def numbers(chapter: int | None = None) -> list[str]:
    """Which exercises have a check.

    Parameters
    ----------
    chapter : int, optional
        Only those of one chapter.

    Returns
    -------
    list of str
        Numbers such as ``"3.2"``, in the order of the book.

    Examples
    --------
    >>> numbers(chapter=2)
    ['2.1', '2.2', '2.3', '2.4', '2.5']
    """
    return [number for number, e in EXERCISES.items() if chapter in (None, e.chapter)]


def check(number: str, answer: object) -> Check:
    """Say whether an answer is right, or which kind of wrong it is.

    Parameters
    ----------
    number : str
        Chapter and exercise, such as ``"3.2"``.
    answer : object
        The answer, as the exercise asks for it: a number, or an array, a list, a column or a table
        of a data frame, or a dict of these. Three dots stand for no answer.

    Returns
    -------
    Check
        True if right. Shows itself as text, and in a notebook.

    Raises
    ------
    ValueError
        If no exercise with a check has this number.

    Examples
    --------
    >>> check("3.1", ...)
    Exercise 3.1: not yet. Not answered yet; wanted: one variance, in ms².
    >>> check("2.1", [[26, 0, 33], [0, 110, 0], [33, 0, 74]])
    Exercise 2.1: right.
    >>> bool(check("2.1", [[26, 0, 33], [0, 110, 0]]))
    False
    """
    if number not in EXERCISES:
        there = f"found {number!r}; there are {', '.join(EXERCISES)}"
        raise ValueError(f"number must be that of an exercise with a check, {there}")
    exercise = EXERCISES[number]
    if answer is None or answer is ...:
        return Check(number, "unanswered", f"not answered yet; wanted: {exercise.wanted}")
    right = exercise.solve().right
    if isinstance(right, Mapping):
        finding = _check_parts(exercise, right, answer)
    else:
        finding = diagnose(answer, _target(exercise, right))
    return Check(number, finding.kind, finding.message)


def _check_parts(exercise: Exercise, right: Mapping[str, ArrayLike], answer: object) -> Finding:
    """Check a dict, name by name."""
    if not isinstance(answer, Mapping):
        kind = type(answer).__name__
        return Finding("not numbers", f"wanted: {exercise.wanted}; found a {kind}")
    missing = [f"{name} is missing" for name in right if name not in answer]
    unknown = [f"{name} is not asked for" for name in answer if name not in right]
    if missing or unknown:
        return Finding("names", f"the names in the dict: {', '.join(missing + unknown)}")
    found = {name: diagnose(answer[name], _target(exercise, right[name], name)) for name in right}
    wrong = {name: finding for name, finding in found.items() if finding.kind != "right"}
    if not wrong:
        return Finding("right", "right")
    told = "; ".join(f"{name}: {finding.message}" for name, finding in wrong.items())
    rest = "" if len(wrong) == len(right) else "; the rest is right"
    return Finding(next(iter(wrong.values())).kind, f"in the dict, {told}{rest}")


def _target(exercise: Exercise, right: ArrayLike, part: str = "") -> Target:
    """Make numbers of a solution, or of one part of it, for the comparison with an answer."""
    value, solution = np.asarray(right, dtype=np.float64), exercise.solve()
    if solution.spread is None:
        slack = slack_of(value, exercise.digits)
    else:
        slack = np.broadcast_to(np.asarray(solution.spread, dtype=np.float64), value.shape)
    mistakes = []
    for hint, wrong in solution.mistakes.items():
        of_part = wrong.get(part) if isinstance(wrong, Mapping) else wrong
        if of_part is not None:
            mistakes.append((hint, np.asarray(of_part, dtype=np.float64)))
    wanted = f"{part} of {exercise.wanted}" if part else exercise.wanted
    kind = exercise.digits, exercise.quantity, wanted
    return Target(value, slack, *kind, tuple(mistakes), exercise.simulated)
