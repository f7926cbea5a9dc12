"""The checks of the exercises: what they say to right and wrong answers, and where the book asks.

That the solutions of the book are right shows in its built pages, where the checks were executed.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from book._ext.serve import HTML
from numpy.typing import ArrayLike, NDArray

import mixedsmooth as ms
from mixedsmooth.exercises import EXERCISES, Check, Exercise, check, numbers
from mixedsmooth.exercises._diagnosis import Quantity, Target, diagnose, slack_of

FloatArray = NDArray[np.float64]
BOOK = Path(__file__).parents[1] / "book"

every_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=list(EXERCISES))


def right_answer(exercise: Exercise) -> Any:
    """Return the right answer as an array, or as a dict of arrays."""
    right = exercise.solve().right
    if isinstance(right, Mapping):
        return {name: np.asarray(value, dtype=np.float64) for name, value in right.items()}
    return np.asarray(right, dtype=np.float64)


def changed(exercise: Exercise, change: Callable[[FloatArray], Any]) -> Check:
    """Check the right answer after a change; in a dict, after a change of each part."""
    right = right_answer(exercise)
    if isinstance(right, dict):
        return check(exercise.number, {name: change(value) for name, value in right.items()})
    return check(exercise.number, change(right))


def to_digits(value: FloatArray, digits: int) -> FloatArray:
    return np.asarray(np.vectorize(lambda x: float(f"{x:.{digits - 1}e}"))(value))


# ---- right answers ----


@every_exercise
def test_the_right_answer_is_right(exercise: Exercise) -> None:
    found = changed(exercise, lambda value: value)
    assert found
    assert found.right
    assert repr(found).startswith(f"Exercise {exercise.number}: right")


@every_exercise
def test_an_answer_may_be_a_list_or_a_column_or_rounded_to_the_digits_asked(
    exercise: Exercise,
) -> None:
    assert changed(exercise, lambda value: value.tolist())
    assert changed(exercise, lambda value: to_digits(value, exercise.digits))
    if not isinstance(exercise.solve().right, Mapping):
        value = right_answer(exercise)
        if value.ndim == 0:
            assert check(exercise.number, value[None])
        if value.ndim == 1:
            assert check(exercise.number, pd.Series(value, index=list(range(len(value)))[::-1]))
        if value.ndim == 2:
            assert check(exercise.number, pd.DataFrame(value))


# ---- wrong answers ----

WRONG: dict[str, tuple[Callable[[FloatArray], Any], str]] = {
    "negated": (lambda v: -v, "sign"),
    "twice": (lambda v: 2 * v, "factor|likelihood"),
    "thousandfold": (lambda v: 1000 * v, "factor"),
    "squared": (lambda v: v**2, "square|variance"),
    "more": (lambda v: np.append(v, 1.0), "shape"),
    "layers": (lambda v: np.stack([v, v]), "shape"),
    "text": (lambda v: "a lot", "not numbers"),
    "digits as text": (lambda v: [str(x) for x in np.ravel(v)], "not numbers"),
    "function": (lambda v: np.mean, "not numbers"),
    "truth": (lambda v: v > 0, "not numbers"),
    "NaN": (lambda v: np.where(np.arange(v.size) == 0, np.nan, v.ravel())[()], "not finite"),
    "three dots": (lambda v: ..., "unanswered"),
    "None": (lambda v: None, "unanswered"),
}


@pytest.mark.parametrize("slip", WRONG)
@every_exercise
def test_a_wrong_answer_is_told_its_kind(exercise: Exercise, slip: str) -> None:
    change, kind = WRONG[slip]
    if exercise.simulated and slip in ("twice", "squared"):
        kind = "some|near|typical|wrong"  # chance allows for too much to say more
    found = changed(exercise, change)
    assert not found
    assert re.fullmatch(kind, found.kind), repr(found)
    assert_tells_no_answer(found, exercise)


class Exact(NamedTuple):
    """An exercise with one array of numbers that chance does not move."""

    exercise: Exercise
    right: FloatArray

    def found(self, answer: object) -> Check:
        """Check an answer, and that the answer is not told."""
        found = check(self.exercise.number, answer)
        assert_tells_no_answer(found, self.exercise)
        return found


@pytest.fixture(scope="module")
def exact() -> list[Exact]:
    return [
        Exact(e, right_answer(e))
        for e in EXERCISES.values()
        if not e.simulated and not isinstance(e.solve().right, Mapping)
    ]


@pytest.fixture(scope="module")
def several(exact: list[Exact]) -> list[Exact]:
    """Those of more than one number."""
    return [e for e in exact if e.right.size > 1]


def test_a_logarithm_is_told(exact: list[Exact]) -> None:
    positive = [e for e in exact if np.all(e.right > 0)]
    assert len(positive) > 30
    for e in positive:
        found = e.found(np.log(e.right))
        assert found.kind == "log", repr(found)


def test_transposed_numbers_are_told(several: list[Exact]) -> None:
    told = [
        e.found(e.right.T)
        for e in several
        if e.right.ndim == 2 and not np.array_equal(e.right, e.right.T)
    ]
    assert len(told) > 5
    assert {found.kind for found in told} == {"transposed"}


def test_numbers_in_another_order_are_told(several: list[Exact]) -> None:
    for e in several:
        found = e.found(e.right[::-1])
        assert found.kind == "order" or found.right == np.allclose(e.right, e.right[::-1])


def test_right_entries_among_wrong_ones_are_counted(several: list[Exact]) -> None:
    for e in several:
        wrong = e.right.ravel().copy()
        wrong[np.abs(wrong).argmax()] *= 1.37
        found = e.found(wrong.reshape(e.right.shape))
        n = e.right.size
        counted = f"{n - 1} of {n} entries {'is' if n == 2 else 'are'} right"
        assert (found.kind, counted in found.message) == ("some", True), repr(found)


def test_coarse_rounding_is_told(exact: list[Exact]) -> None:
    for e in exact:
        for digits in range(1, e.exercise.digits):
            found = e.found(to_digits(e.right, digits))
            # a number such as 1.5 is right to two digits
            assert found.kind == "rounded" or found, repr(found)


def test_a_near_miss_is_told(exact: list[Exact]) -> None:
    for e in exact:
        factors = np.linspace(1.015, 0.985, e.right.size)
        found = e.found(e.right * factors.reshape(e.right.shape))
        assert found.kind == "near", repr(found)


@every_exercise
def test_typical_mistakes_are_told_by_their_hints(exercise: Exercise) -> None:
    solution = exercise.solve()
    for hint, mistake in solution.mistakes.items():
        if isinstance(solution.right, Mapping):
            assert isinstance(mistake, Mapping)
            found = check(exercise.number, {**solution.right, **mistake})
            assert re.fullmatch(
                rf"in the dict, \w+: {re.escape(hint)}; the rest is right", found.message
            )
        else:
            found = check(exercise.number, mistake)
            assert found.message == hint
        assert found.kind == "typical"
        assert_tells_no_answer(found, exercise)


# What comes out where the slip is made in a simulation, and chance has its part: one or two seeds.
WITH_CHANCE = [
    ("13.6", [0.0180, 0.6727, 0.13112, 0.79851], "90 %"),
    ("13.6", [0.0072, 0.6912, 0.13112, 0.79851], "90 %"),
    ("13.6", [0.0, 0.6635, 0.08384, 0.84788], "by REML"),
    ("13.9", [31.3, 28.9, 41.9], "grams"),
    ("13.9", [38.2, 36.3, 42.6], "grams"),
    ("13.9", [49.8, 50.0, 51.1], "within batches"),
    ("13.11", [0.852, 0.786, 0.471], "not the normal"),
    ("13.11", [0.816, 0.830, 0.563], "two-sided"),
    ("13.11", [0.728, 0.744, 0.445], "ddof=1"),
    ("13.11", [0.673, 0.967, 0.999], "ten days"),
    ("13.11", [0.998, 0.717, 0.433], "18 drivers"),
]


@pytest.mark.parametrize(("number", "given", "hint"), WITH_CHANCE)
def test_a_typical_mistake_is_told_through_chance(
    number: str, given: list[float], hint: str
) -> None:
    found = check(number, given)
    assert found.kind == "typical"
    assert hint in found.message


def assert_tells_no_answer(found: Check, exercise: Exercise) -> None:
    """No number of the answer stands in the message, if it has three digits or more."""
    right = right_answer(exercise)
    values = np.concatenate(
        [np.ravel(v) for v in (right.values() if isinstance(right, dict) else [right])]
    )
    for digits in (3, 4, 5):
        for number in np.unique(np.abs(values)):
            written = f"{number:.{digits}g}"
            if sum(c.isdigit() for c in written.lstrip("0.")) >= 3:
                assert written not in found.message


# ---- the diagnosis by itself ----


def told(
    given: object, right: ArrayLike, quantity: Quantity = "", simulated: bool = False
) -> tuple[str, str]:
    value = np.asarray(right, dtype=np.float64)
    slack = 0.1 * np.abs(value) if simulated else slack_of(value, 4)
    found = diagnose(given, Target(value, slack, 4, quantity, "numbers", (), simulated))
    return found.kind, found.message


@pytest.mark.parametrize(
    ("quantity", "factor", "kind", "message"),
    [
        ("log-likelihood", -1, "sign", "minus the log-likelihood"),
        ("log-likelihood", -2, "likelihood", "the deviance, not the log-likelihood"),
        ("negative log-likelihood", -1, "sign", "the log-likelihood, where minus"),
        ("negative log-likelihood", 2, "likelihood", "twice what is asked"),
        ("deviance", -0.5, "likelihood", "the log-likelihood, not the deviance"),
        ("deviance", 0.5, "likelihood", "minus the log-likelihood, not the deviance"),
        ("deviance", -1, "sign", "the sign is wrong"),
        ("", 2.0, "factor", "off by a factor of 2"),
        ("", -0.5, "factor", "off by a factor of 2, and the sign is wrong"),
        ("", 100, "factor", "a power of ten"),
        ("", -0.001, "factor", "and the sign is wrong"),
        ("", 1.7, "wrong", "none of the usual slips"),
        ("", 18**0.5, "wrong", "none of the usual slips"),
        ("", 0, "wrong", "none of the usual slips"),
    ],
)
def test_factors_of_one_number(quantity: Quantity, factor: float, kind: str, message: str) -> None:
    found_kind, found_message = told(factor * 812.3456, 812.3456, quantity)
    assert (found_kind, message in found_message) == (kind, True), found_message


def test_any_common_factor_of_several_numbers_is_told() -> None:
    kind, message = told([2.6, 3.9, 5.2], [2, 3, 4])
    assert (kind, message.split(":")[0]) == ("factor", "all off by a common factor")
    assert told([2.6, 3.9, 5.0], [2, 3, 4])[0] == "wrong"


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ([1 / 3, 1 / 7], "reciprocal"),
        (np.exp([3.0, 7.0]), "exp"),
        (np.log10([3.0, 7.0]), "log"),
        (np.sqrt([3.0, 7.0]), "root"),
        ([7, 3], "order"),
        ([3, -7], "some"),
        ([[3, 7]], "shape"),
        ([3, float("inf")], "not finite"),
        ([3, [7]], "not numbers"),
        ([3 + 1j, 7], "not numbers"),
        ({"a": 3}, "not numbers"),
        ([None, 7], "not finite"),
        (pd.Series([3, pd.NA]), "not numbers"),
    ],
)
def test_kinds_of_wrong(given: object, kind: str) -> None:
    assert told(given, [3, 7])[0] == kind


def test_what_is_wrong_with_the_rest_is_told() -> None:
    right = [3.0, 7.0, 11.0]
    assert told([3, -7, -11], right)[1] == (
        "1 of 3 entries is right; the first that is not is [1]. Of the rest: the sign is wrong"
    )
    assert told([3, 49, 11], right, "standard deviation")[1].endswith(
        "Of the rest: a variance, where a standard deviation is asked"
    )
    assert told([[3, 7], [11, 1]], [[3, 7], [11, 13]])[1] == (
        "3 of 4 entries are right; the first that is not is [1, 1]"
    )


def test_rounding_is_told_with_the_digits_that_are_left() -> None:
    assert told(36, 36.41208)[1] == "right to 2 digits: give at least 4 digits"
    assert told(40, 36.01208)[1] == "right to 1 digit: give at least 4 digits"
    assert told([36.01, 0.2], [36.01208, 0.21])[1].startswith("1 of 2 entries is right")
    assert told([36.0, 0.2], [36.01208, 0.2134])[1] == "right to 1 digit: give at least 4 digits"
    assert told([36, 0], [36.01208, 0.2134])[1] == "rounded too coarsely: give at least 4 digits"
    assert told(3800, 3828)[1] == "right to 2 digits: give all digits"
    assert told(36.01, 36.01208)[0] == "right"
    assert told(0, 0.2134)[0] == "wrong"  # and not a rounded number


def test_a_simulation_may_be_off_by_chance_but_not_by_more() -> None:
    assert told(0.52, 0.5, simulated=True) == ("right", "right, as far as a simulation can tell")
    assert told(0.6, 0.5, simulated=True)[0] == "near"
    assert told(52, 0.5, simulated=True)[0] == "factor"
    assert told([0.9, 0.8], [0.6, 0.5], simulated=True)[0] == "wrong"


def test_zero_is_right_to_rounding_errors_only() -> None:
    assert told([1.5, 1e-9], [1.5, 0.0])[0] == "right"
    assert told([1.5, 1e-3], [1.5, 0.0])[0] == "some"


# ---- the interface ----


def test_there_is_a_list_with_points() -> None:
    assert numbers() == list(EXERCISES)
    assert numbers(chapter=2) == ["2.1", "2.2", "2.3", "2.4", "2.5"]
    assert {e.points for e in EXERCISES.values()} == {1, 2, 3}
    assert EXERCISES["10.3"].answer_name == "answer_10_3"
    assert list(EXERCISES) == sorted(EXERCISES, key=lambda n: [int(i) for i in n.split(".")])
    with pytest.raises(TypeError):
        EXERCISES["0.0"] = EXERCISES["1.1"]  # type: ignore[index]


@pytest.mark.parametrize("number", ["4.6", "nonsense", 4.1])
def test_an_unknown_number_is_refused(number: Any) -> None:
    with pytest.raises(ValueError, match=r"number must be .*; there are 1\.1, 1\.2, "):
        check(number, 1.0)


def test_nothing_is_computed_for_an_unanswered_exercise(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise AssertionError

    monkeypatch.setattr(Exercise, "solve", property(lambda self: fail), raising=False)
    assert check("3.1", ...).kind == "unanswered"


def test_a_dict_is_checked_by_name() -> None:
    right = dict(right_answer(EXERCISES["5.1"]))
    assert check("5.1", 3.0).kind == "not numbers"
    missing = check("5.1", {name: value for name, value in right.items() if name != "u"})
    assert (missing.kind, missing.message) == ("names", "the names in the dict: u is missing")
    more = check("5.1", right | {"U": 1})
    assert more.message == "the names in the dict: U is not asked for"
    one = check("5.1", right | {"sigma": right["sigma"] ** 2, "u": ...})
    assert one.message.startswith("in the dict, u: not answered yet; wanted: u of a dict")
    assert one.message.endswith("sigma: the square of what is asked; the rest is right")


def test_a_check_shows_itself_in_a_notebook() -> None:
    wrong = Check("1.1", "wrong", "a < b")
    assert not wrong
    assert repr(wrong) == "Exercise 1.1: not yet. A < b."
    for found, name in ((wrong, "wrong"), (Check("1.1", "right", "right"), "right")):
        box = ElementTree.fromstring(found._repr_html_())
        assert box.get("class") == f"exercise-check {name}"
        assert box.get("role") == "status"
        assert "".join(box.itertext())[2:] == repr(found)


# ---- the book ----


class InBook(NamedTuple):
    """An exercise as it stands in a chapter."""

    title: str
    text: str
    solution: str


def chapters() -> dict[int, str]:
    files = sorted(BOOK.glob("[0-9][0-9]_*.md"))
    return {int(file.name[:2]): file.read_text(encoding="utf-8") for file in files}


def exercises_of(chapter: str) -> dict[str, InBook]:
    started = (
        r"```\{exercise-start\} ([^\n]*)\n:label: ex-(\d+)-(\d+)\n```\n(.*?)```\{exercise-end\}"
    )
    found = {}
    for title, n, m, text in re.findall(started, chapter, re.S):
        solved = re.search(
            rf"```\{{solution-start\}} ex-{n}-{m}\n(.*?)```\{{solution-end\}}", chapter, re.S
        )
        assert solved, f"exercise {n}.{m} has no solution"
        found[f"{n}.{m}"] = InBook(title, text, solved[1])
    return found


@pytest.fixture(scope="module")
def in_book() -> dict[str, InBook]:
    return {k: e for text in chapters().values() for k, e in exercises_of(text).items()}


def code_cells(text: str) -> list[str]:
    return re.findall(r"```\{code-cell\} ipython3\n(.*?)\n```", text, re.S)


def test_every_answer_that_the_book_names_has_a_check(in_book: dict[str, InBook]) -> None:
    named = [
        number for number, e in in_book.items() if f"`answer_{number.replace('.', '_')}`" in e.text
    ]
    assert named == list(EXERCISES)


@every_exercise
def test_the_book_asks_for_the_answer_and_checks_its_solution(
    exercise: Exercise, in_book: dict[str, InBook]
) -> None:
    asked = in_book[exercise.number]
    assert asked.title == exercise.title
    *_, last = asked.text.strip().split("\n\n")
    assert last.startswith("Call ")
    assert f"`{exercise.answer_name}`" in last
    assert ("allows for chance" in last) == exercise.simulated
    *_, end = code_cells(asked.solution)[-1].split("\n")
    assert end == f'ms.exercises.check("{exercise.number}", {exercise.answer_name})'


def test_every_chapter_imports_the_library_in_one_way() -> None:
    for number, text in chapters().items():
        assert "\nimport mixedsmooth as ms\n" in code_cells(text)[0], f"chapter {number}"


@pytest.mark.book
def test_the_checks_of_all_solutions_say_right_in_the_built_book() -> None:
    pages = {file.stem: file for file in BOOK.glob("[0-9][0-9]_*.md")}
    said = re.compile(r'<div class="exercise-check (\w+)".*?<strong>Exercise ([\d.]+):', re.S)
    found = [
        (number, kind)
        for page in sorted(pages)
        for kind, number in said.findall((HTML / f"{page}.html").read_text(encoding="utf-8"))
    ]
    assert found == [(number, "right") for number in EXERCISES]


def test_the_library_exports_the_exercises() -> None:
    assert ms.exercises.check is check
