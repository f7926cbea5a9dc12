"""What an exercise and its solution are, and the list of all exercises."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from inspect import getdoc
from types import MappingProxyType
from typing import TypeAlias

from numpy.typing import ArrayLike

from mixedsmooth.exercises._diagnosis import Quantity

Answer: TypeAlias = ArrayLike | Mapping[str, ArrayLike]


@dataclass(frozen=True, eq=False)
class Solution:
    """The computed answer of an exercise.

    Attributes
    ----------
    right : array_like, or mapping of str to array_like
        The right answer; by name, where the exercise asks for a dict.
    mistakes : mapping of str to array_like
        Typical wrong answers, by the hint that is given for them.
    spread : array_like, optional
        How far an answer may be off, where it is not a number of digits that decides: by chance,
        in a simulation, or by the digits of a print.

    Examples
    --------
    >>> Solution([3.0, 4.0], {"these are the squares": [9.0, 16.0]}).mistakes
    {'these are the squares': [9.0, 16.0]}
    """

    right: Answer
    mistakes: Mapping[str, Answer] = field(default_factory=dict)
    spread: ArrayLike | None = None


@dataclass(frozen=True, eq=False)
class Exercise:
    """An exercise with a computed answer.

    Attributes
    ----------
    number : str
        Chapter and exercise, such as ``"3.2"``.
    title : str
        Its title in the book.
    wanted : str
        What the answer is, with shape and units.
    points : int
        Its weight in a coursework: 1 for a line of code, 2 for a page of thought, 3 for more.
    solve : callable
        Computes the `Solution`, once.
    quantity : str
        What the numbers are, if they are all of one kind.
    digits : int
        How many digits are asked for.
    simulated : bool
        Whether the answer comes from a simulation, so that chance moves it.

    Examples
    --------
    >>> exercise = EXERCISES["2.3"]
    >>> exercise.title, exercise.points, exercise.digits
    ('A covariance that no random intercept can make', 1, 4)
    """

    number: str
    title: str
    wanted: str
    points: int
    solve: Callable[[], Solution]
    quantity: Quantity = ""
    digits: int = 4
    simulated: bool = False

    @property
    def chapter(self) -> int:
        """The chapter it stands in.

        Examples
        --------
        >>> EXERCISES["2.3"].chapter
        2
        """
        return int(self.number.split(".")[0])

    @property
    def answer_name(self) -> str:
        """The name that the book gives to the answer, such as ``answer_3_2``.

        Examples
        --------
        >>> EXERCISES["2.3"].answer_name
        'answer_2_3'
        """
        return f"answer_{self.number.replace('.', '_')}"


_entered: dict[str, Exercise] = {}

EXERCISES: Mapping[str, Exercise] = MappingProxyType(_entered)
"""All exercises with a computed answer, by number, in the order of the book; read-only."""

Solver: TypeAlias = Callable[[], Solution]


def exercise(
    number: str,
    title: str,
    *,
    points: int = 1,
    quantity: Quantity = "",
    digits: int = 4,
    simulated: bool = False,
) -> Callable[[Solver], Solver]:
    """Enter the function below it, which computes the solution, into the list of exercises.

    What is wanted is the docstring of that function: a sentence, and behind a blank line another
    one if the first is not enough.

    Parameters
    ----------
    number, title, points, quantity, digits, simulated
        Attributes of the `Exercise`.

    Returns
    -------
    callable
        Decorator of a function without arguments that returns a `Solution`.

    Examples
    --------
    >>> @exercise("0.1", "A sum")
    ... def _a_sum() -> Solution:
    ...     'The sum of 1 and 2.'
    ...     return Solution(1 + 2, {"this is the product": 1 * 2})
    >>> _entered.pop("0.1").wanted
    'the sum of 1 and 2'
    """

    def enter(solve: Solver) -> Solver:
        once = cache(solve)
        wanted = wanted_by(getdoc(solve) or "")
        _entered[number] = Exercise(
            number, title, wanted, points, once, quantity, digits, simulated
        )
        return once

    return enter


def wanted_by(docstring: str) -> str:
    r"""Make one phrase of the sentences of a docstring, to stand behind ``wanted:``.

    Parameters
    ----------
    docstring : str
        One sentence, or two paragraphs.

    Returns
    -------
    str
        In lower case, without the period at the end, and with a colon between the two.

    Examples
    --------
    >>> wanted_by("Two numbers.\n\nMean and variance,\nin ms.")
    'two numbers: mean and variance, in ms'
    """
    parts = [" ".join(part.split()).removesuffix(".") for part in docstring.split("\n\n")]
    return ": ".join(part[:1].lower() + part[1:] for part in parts)
