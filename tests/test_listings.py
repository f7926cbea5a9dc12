"""The lists that the build makes: a new chapter is its own files and one line in the contents."""

import importlib
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from book._ext.listings import LISTS, MARKER, chapters_of, fill_in, listed
from sphinx.errors import ExtensionError

import mixedsmooth as ms

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "book"
PAGES = ("index", "teaching", "api", "data")


def page(name: str, book: Path = BOOK) -> str:
    return (book / f"{name}.md").read_text(encoding="utf-8")


def filled(name: str) -> str:
    return fill_in(page(name), BOOK)


def test_no_marker_is_left() -> None:
    used = {marker[1] for name in PAGES for marker in MARKER.finditer(page(name))}
    assert used == LISTS.keys()
    assert not any("{generated}" in filled(name) for name in PAGES)


def test_every_chapter_is_on_the_first_page_and_on_that_of_teachers() -> None:
    chapters = chapters_of(BOOK)
    assert [c.number for c in chapters] == list(range(1, len(chapters) + 1))  # as Sphinx counts
    for name in ("index", "teaching"):
        assert re.findall(r"^\| \[\]\((\w+)\.md\) \|", filled(name), re.M) == [
            c.name for c in chapters
        ]
    assert all(c.about["question"] in filled("index") for c in chapters)


def test_every_exercise_is_on_the_page_of_teachers_with_its_points() -> None:
    text = filled("teaching")
    for number, exercise in ms.exercises.EXERCISES.items():
        link = f"[{number}](#ex-{number.replace('.', '-')})"
        assert f"{link} ({exercise.points})" in text
    assert "[4.6](#ex-4-6)," in text  # which has no check


def test_a_chapter_is_named_once_among_beliefs() -> None:
    beliefs = filled("teaching").split("| what many believe |")[1].split("\n\n")[0]
    assert beliefs.count("| [3](03_likelihood.md) |") == 1
    assert beliefs.count("\n| | ") == sum(
        len(c.about["teaching"]["beliefs"]) - 1 for c in chapters_of(BOOK)
    )


def test_every_exercise_of_a_course_is_one_of_its_chapter() -> None:
    for c in chapters_of(BOOK):
        for session in c.about["teaching"]["sessions"]:
            for number in [*session["in_class"], *session["at_home"]]:
                assert f":label: ex-{number.replace('.', '-')}\n" in c.text
                assert number.startswith(f"{c.number}.")


def test_every_public_module_is_in_the_reference_once() -> None:
    found = re.findall(r"automodule:: (\S+)", filled("api"))
    public = {
        module.name
        for module in pkgutil.walk_packages(ms.__path__, "mixedsmooth.")
        if "._" not in module.name
    } - {"mixedsmooth.derivations", "mixedsmooth.inference", "mixedsmooth.model"}
    assert sorted(found) == sorted(public)
    for name in found:
        assert importlib.import_module(name).__doc__


def test_modules_of_a_chapter_link_it() -> None:
    assert (
        "### Maximum likelihood for the random-intercept model, two ways\n\n"
        "`mixedsmooth.derivations.likelihood`: the code of [](02_matrices.md) and "
        "[](03_likelihood.md).\n"
    ) in filled("api")
    kernels = filled("api").split("`mixedsmooth.kernels`")[1].split("\n")[0]
    assert kernels == (
        ": the code of [](08_spline.md), [](09_mixed_smooth.md), [](10_gamm.md) and "
        "[](12_every_term.md)."
    )


def test_words_are_joined() -> None:
    assert [listed(list("abc")[:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]


def test_an_unknown_list_is_refused() -> None:
    with pytest.raises(ExtensionError, match="generated nonsense: give chapters, "):
        fill_in("```{generated} nonsense\n```", BOOK)


# ---- a new chapter ----

CHAPTER = """---
question: What comes last?
teaching:
  builds_on: [11_counts]
  beliefs:
    - {believed: Nothing comes after the last., helps: Wait.}
  sessions:
    - {in_class: ["99.1"], at_home: [], afterwards: stop}
---
# The last things

```{exercise-start} Half of it
:label: ex-99-1
```
"""
DERIVATION = '"""The last derivation (chapter 99)."""\n'
EXERCISE = '''"""Answers to the exercises of chapter 99."""

from mixedsmooth.exercises._registry import Solution, exercise


@exercise("99.1", "Half of it", points=3)
def _half() -> Solution:
    """One number."""
    return Solution(1 / 2)
'''
SHOW = """
from pathlib import Path
from book._ext import listings
from mixedsmooth import exercises
for name in ("index", "teaching", "api"):
    print(listings.fill_in(Path("book", f"{name}.md").read_text(encoding="utf-8"), Path("book")))
print(exercises.check("99.1", 0.5))
"""


def test_a_new_chapter_is_its_own_files_and_one_line(tmp_path: Path) -> None:
    library = tmp_path / "lessons_src" / "mixedsmooth"
    shutil.copytree(Path(ms.__file__).parent, library, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "data").symlink_to(ROOT / "data")
    book = tmp_path / "book"
    (book / "_ext").mkdir(parents=True)
    shutil.copy(BOOK / "_ext" / "listings.py", book / "_ext")
    for source in BOOK.glob("*.md"):
        shutil.copy(source, book)
    sessions = sum(len(c.about["teaching"]["sessions"]) for c in chapters_of(BOOK))
    contents = (BOOK / "_toc.yml").read_text(encoding="utf-8")
    before = "  - caption: Back matter\n"
    assert before in contents

    (book / "_toc.yml").write_text(contents.replace(before, f"      - file: 99_last\n{before}"))
    (book / "99_last.md").write_text(CHAPTER)
    (library / "derivations" / "last.py").write_text(DERIVATION)
    (library / "exercises" / "_chapter99.py").write_text(EXERCISE)

    run = subprocess.run(
        [sys.executable, "-c", SHOW],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{tmp_path / 'lessons_src'}"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    for shown in (
        "| [](99_last.md) | What comes last? |",
        "| [](99_last.md) | [11](11_counts.md) | [99.1](#ex-99-1) (3) |",
        "| [99](99_last.md) | Nothing comes after the last. | Wait. |",
        f"| {sessions + 1}: chapter [99](99_last.md) | [99.1](#ex-99-1) |  | stop |",
        "### The last derivation\n\n`mixedsmooth.derivations.last`: the code of [](99_last.md).",
        ".. automodule:: mixedsmooth.derivations.last\n",
        "Exercise 99.1: right.",
    ):
        assert shown in run.stdout
