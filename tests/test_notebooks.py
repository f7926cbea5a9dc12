"""The notebooks that the build makes from the chapters: what is in them, and that they work."""

import ast
import csv
import io
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pytest
import yaml
from book._ext.notebooks import ARCHIVE, FOLDER
from book._ext.notebooks.chapter import Code, find_check, without_glue
from book._ext.notebooks.markdown import escaped, heading_anchor, protect_start
from book._ext.serve import HTML
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import docutils_namespace, patch_docutils

import mixedsmooth as ms

ROOT = Path(__file__).parents[1]
EXERCISES = HTML / FOLDER
INSTRUCTOR = EXERCISES / "instructor"
RUN = "04_blup"  # the chapter whose solutions are run here
GRADED = "02_matrices"  # the chapter that nbgrader grades here

SPHINX_WARNS = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


# ---- a small book ----

CHAPTER = r"""---
jupytext: {text_representation: {extension: .md, format_name: myst}}
kernelspec: {display_name: Python 3, language: python, name: python3}
---
(ch-small)=
# A *small* chapter

Five $ and a_b, `code`, {ref}`ch-other`, {ref}`a word <ch-other>`, [a site](https://example.org/a).

```{code-cell} ipython3
import mixedsmooth as ms
```

```{code-cell} ipython3
:tags: [remove-cell]
from myst_nb import glue
hidden = 3
glue("hidden", hidden)
```

## Facts

```{math}
:label: eq-small
\E[y] &= X\beta, \\
y &\sim \N(X\beta, V)
```

By {eq}`eq-small`, and {ref}`ex-1-2`:

- one $\tr V$,

  $$
  a = b
  $$
- two

| a | b |
|---|---|
| $\|x\|$ | `c` |

```{admonition} Proposition
Let $a$ be

$$
\N = 1.
$$
```

```{code-cell} ipython3
:tags: [hide-input]
print(hidden)
```

```{libcode} mixedsmooth.derivations.henderson.shrinkage_factor
```

## Exercises

```{exercise-start} Shrink
:label: ex-1-1
```
Call the result `answer_1_1`.
```{exercise-end}
```

```{solution-start} ex-1-1
:class: dropdown
```
By secret reasoning.
```{code-cell} ipython3
secret_step = 41
```
Then:
```{code-cell} ipython3
answer_1_1 = secret_step + 1
ms.exercises.check("1.1", answer_1_1)
```
```{solution-end}
```

```{exercise-start} Prove
:label: ex-1-2
```
Why?
```{exercise-end}
```

```{solution-start} ex-1-2
:class: dropdown
```
Because of a secret.
```{solution-end}
```

## Further reading

None.
"""

OTHER = "(ch-other)=\n# The other page\n\nNothing to do here.\n"
INDEX = "# Book\n\n```{toctree}\n:numbered: 2\n\nsmall\nother\n```\n"


def build(folder: Path, chapter: str = CHAPTER, url: str = "") -> Path:
    """Build a book of two pages; return the folder with its notebooks."""
    source = folder / "source"
    source.mkdir(parents=True)
    for name, text in {"index": INDEX, "small": chapter, "other": OTHER}.items():
        (source / f"{name}.md").write_text(text, encoding="utf-8")
    warnings = io.StringIO()
    with patch_docutils(), docutils_namespace():
        app = Sphinx(
            source,
            None,
            folder / "html",
            folder / "doctrees",
            "html",
            confoverrides={
                "extensions": ["myst_nb", "sphinx_exercise", "libcode", "notebooks"],
                "source_suffix": {".md": "myst-nb"},  # the default would be an earlier book's
                "html_theme": "basic",
                "html_title": "Small Book",
                "html_baseurl": url,
                "myst_enable_extensions": ["dollarmath", "amsmath"],
                "mathjax3_config": {"tex": {"macros": MACROS}},
                "math_numfig": True,
                "math_eqref_format": "({number})",
                "nb_execution_mode": "off",
                "numfig": True,
                "suppress_warnings": ["myst.header"],
            },
            status=None,
            warning=warnings,
        )
        app.build()
    unexpected = [line for line in warnings.getvalue().splitlines() if "py:func" not in line]
    assert unexpected == []
    return folder / "html" / FOLDER


MACROS = yaml.safe_load((ROOT / "book/_config.yml").read_text())["sphinx"]["config"][
    "mathjax3_config"
]["tex"]["macros"]


def read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def sources(notebook: NotebookNode, kind: str) -> list[str]:
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


def as_text(notebook: NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make room for a small book, whose first exercise is worth 3 points."""
    monkeypatch.syspath_prepend(ROOT / "book/_ext")
    exercise = type("Exercise", (), {"points": 3})
    monkeypatch.setattr(ms.exercises, "EXERCISES", {"1.1": exercise})
    return tmp_path


@SPHINX_WARNS
def test_student_notebook(folder: Path) -> None:
    student = read(build(folder) / "small.ipynb")
    text = as_text(student)
    assert "secret" not in text
    assert sources(student, "code") == [
        "import mixedsmooth as ms",
        "hidden = 3",
        "print(hidden)",
        "answer_1_1 = ...  # your answer",
        'ms.exercises.check("1.1", answer_1_1)',
    ]
    assert student.cells[-2].source == "*Write your answer here.*"
    assert [cell.id for cell in student.cells if cell.id.startswith("ex-")] == [
        "ex-1-1-answer",
        "ex-1-1-check",
        "ex-1-2-words",
    ]
    hidden = next(cell for cell in student.cells if cell.source == "print(hidden)")
    assert hidden.metadata.tags == ["hide-input"]


@SPHINX_WARNS
def test_markdown_says_all_that_the_page_says(folder: Path) -> None:
    student = read(build(folder) / "small.ipynb")
    head, opening, facts, code, exercises, first, second, *_ = sources(student, "markdown")
    assert head.startswith("# 1. A *small* chapter\n\nChapter 1 of *Small Book*, version")
    assert opening == (
        r"Five \$ and a_b, `code`, The other page, a word, [a site](https://example.org/a)."
    )
    assert facts == (
        "## 1.1 Facts\n\n"
        "$$\n\\begin{split}\n\\operatorname{E}[y] &= X\\beta, \\\\\n"
        "y &\\sim \\mathcal{N}(X\\beta, V)\n\\end{split}\n\\tag{1.1}\n$$\n\n"
        "By (1.1), and [Exercise 1.2](#Exercise-1.2:-Prove):\n\n"
        "- one $\\operatorname{tr} V$,\n\n  $$a = b$$\n\n- two\n\n"
        "| a | b |\n|---|---|\n| $\\vert x\\vert$ | `c` |\n\n"
        "> **Proposition.**\n>\n> Let $a$ be\n>\n> $$\\mathcal{N} = 1.$$"
    )
    assert code.startswith(
        "From the library, `mixedsmooth.derivations.henderson.shrinkage_factor`:\n\n"
        "```python\ndef shrinkage_factor("
    )
    assert exercises == "## 1.2 Exercises"
    assert first == "### Exercise 1.1: Shrink\n\nCall the result `answer_1_1`."
    assert second == "### Exercise 1.2: Prove\n\nWhy?"


@SPHINX_WARNS
def test_links_lead_to_the_published_book(folder: Path) -> None:
    student = read(build(folder, url="https://example.org/book") / "small.ipynb")
    text = as_text(student)
    assert "the page [small.html](https://example.org/book/small.html)" in text
    assert "[The other page](https://example.org/book/other.html#ch-other)" in text
    assert "[(1.1)](https://example.org/book/small.html#equation-eq-small)" in text


@SPHINX_WARNS
def test_solution_notebook(folder: Path) -> None:
    solutions = read(build(folder) / "solutions/small.ipynb")
    assert sources(solutions, "code")[-2:] == [
        "secret_step = 41",
        'answer_1_1 = secret_step + 1\nms.exercises.check("1.1", answer_1_1)',
    ]
    assert "**Solution of exercise 1.2**\n\nBecause of a secret." in as_text(solutions)


@SPHINX_WARNS
def test_instructor_notebook(folder: Path) -> None:
    instructor = read(build(folder) / "instructor/source/small/small.ipynb")
    cells = {cell.id: cell for cell in instructor.cells}
    answer, test = cells["ex-1-1-answer"], cells["ex-1-1-test"]
    assert answer.source == (
        "answer_1_1 = ...  # your answer\n### BEGIN SOLUTION\nsecret_step = 41\n\n"
        "answer_1_1 = secret_step + 1\n### END SOLUTION"
    )
    assert answer.metadata.nbgrader == {
        "schema_version": 3,
        "grade_id": "ex-1-1-answer",
        "grade": False,
        "solution": True,
        "locked": False,
        "task": False,
    }
    assert test.source.startswith('ms.exercises.check("1.1", answer_1_1)\n### BEGIN HIDDEN')
    assert test.metadata.nbgrader.points == 3
    assert cells["ex-1-1-words"].source == "By secret reasoning.\n\nThen:"
    assert cells["ex-1-2-words"].metadata.nbgrader.grade
    assert cells["ex-1-2-words"].metadata.nbgrader.solution


@SPHINX_WARNS
def test_two_builds_write_the_same_bytes(folder: Path) -> None:
    first, second = build(folder / "a"), build(folder / "b")
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert len(files) >= 7
    for file in files:
        assert (first / file).read_bytes() == (second / file).read_bytes()


@SPHINX_WARNS
def test_page_links_the_notebooks(folder: Path) -> None:
    page = (build(folder).parent / "small.html").read_text()
    links = re.findall(r'href="(exercises/[^"]+)" download', page)
    assert links == [
        "exercises/small.ipynb",
        "exercises/solutions/small.ipynb",
        f"exercises/{ARCHIVE}.zip",
    ]
    assert "exercises/" not in (build(folder / "again").parent / "other.html").read_text()


@SPHINX_WARNS
@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("Why?", "Why?\n\n: no\n\n![picture](small.md)", r"small.md:\d+: a notebook cannot"),
        ('check("1.1"', 'check("1.2"', "exercise 1.1 calls the check of 1.2"),
        ("label: ex-1-2", "label: ex-1-3", "the label 'ex-1-3' is that of exercise 1.2"),
    ],
)
def test_what_cannot_be_right_stops_the_build(
    folder: Path, old: str, new: str, complaint: str
) -> None:
    changed = CHAPTER.replace(old, new)
    if "ex-1-3" in new:
        changed = changed.replace("ex-1-2", "ex-1-3")
    with pytest.raises(ExtensionError, match=complaint):
        build(folder, changed)


# ---- its parts ----


def test_glue_is_taken_out_of_a_cell_and_the_rest_stays() -> None:
    code = 'from myst_nb import glue\n\nx = 1  # kept\nglue("x", x)\ny = [\n    x,\n]\n'
    assert without_glue(code) == "x = 1\ny = [\n    x,\n]"
    assert without_glue('glue("x", 1)') == ""


@pytest.mark.parametrize(
    "last", ["x = 1", 'ms.exercises.check("1.1", f(x))', 'check("1.1", x)', "x; print(x)"]
)
def test_only_the_check_of_a_named_answer_counts(last: str) -> None:
    assert find_check([Code(last)]) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5 * 3 * 2", r"5 \* 3 \* 2"),
        ("_x_ and a_b", r"\_x\_ and a_b"),
        ("$5 < 6, <b>", r"\$5 < 6, \<b>"),
        ("[1](2)", r"[1\](2)"),
        (r"\N", r"\\N"),
    ],
)
def test_text_is_not_taken_for_markdown(text: str, expected: str) -> None:
    assert escaped(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("1. x", r"1\. x"), ("- x", r"\- x"), ("# x", r"\# x"), ("-1", "-1")]
)
def test_a_paragraph_stays_a_paragraph(text: str, expected: str) -> None:
    assert protect_start(text) == expected


def test_anchors_are_those_of_jupyter() -> None:
    assert heading_anchor("4.2 Stein's rule") == "4.2-Stein's-rule"
    assert heading_anchor("4.2 The matrix $V$") == ""


# ---- the notebooks of the book ----


def chapters() -> list[str]:
    return sorted(path.stem for path in EXERCISES.glob("*.ipynb")) or ["no-built-book"]


def places() -> list[str]:
    return [
        place.format(chapter)
        for chapter in chapters()
        for place in ("{0}", "solutions/{0}", "instructor/source/{0}/{0}")
    ]


each_notebook = pytest.mark.parametrize("place", places())
each_chapter = pytest.mark.parametrize("chapter", chapters())
book = pytest.mark.book


@book
@each_notebook
def test_is_a_valid_notebook_without_outputs(place: str) -> None:
    notebook = read(EXERCISES / f"{place}.ipynb")
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook.metadata.mixedsmooth.version == ms.__version__
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    for cell in notebook.cells:
        assert cell.source.strip()
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


RAW = [
    r"\{[a-z:-]+\}`",  # a role
    r"^\s*(```|:::)\{",  # a directive
    r"^\s*:[a-z-]+: ",  # its options
    r"^\([a-z0-9-]+\)=",  # a label
    r"\b(ch|sec|eq|fig|ex|page)-[a-z0-9]+-[a-z0-9]",  # the name of one
    rf"\\({'|'.join(MACROS)})(?![A-Za-z])",  # a command that Jupyter's MathJax does not know
    r"\]\((?!https://|#)",  # a link that leads nowhere
    r"\$\$[^\s$][^$\n]*\n",  # mathematics that begins beside its dollars and goes on
]


@book
@each_notebook
@pytest.mark.parametrize("syntax", RAW)
def test_text_is_plain_markdown(place: str, syntax: str) -> None:
    notebook = read(EXERCISES / f"{place}.ipynb")
    for text in sources(notebook, "markdown"):
        prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        assert re.findall(syntax, prose, re.MULTILINE) == []


@book
@each_notebook
def test_dollars_and_environments_are_closed(place: str) -> None:
    for text in sources(read(EXERCISES / f"{place}.ipynb"), "markdown"):
        prose = re.sub(r"```.*?```|`[^`\n]+`", "", text, flags=re.DOTALL).replace(r"\$", "")
        assert prose.count("$$") % 2 == 0
        assert prose.replace("$$", "").count("$") % 2 == 0
        assert prose.count(r"\begin{") == prose.count(r"\end{")


@book
@each_notebook
def test_links_within_a_notebook_lead_to_a_heading(place: str) -> None:
    text = as_text(read(EXERCISES / f"{place}.ipynb"))
    anchors = {heading_anchor(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) <= anchors


@book
@each_notebook
def test_code_needs_nothing_of_the_book(place: str) -> None:
    for code in sources(read(EXERCISES / f"{place}.ipynb"), "code"):
        names = {
            alias.name if isinstance(node, ast.Import) else node.module
            for node in ast.walk(ast.parse(code))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        assert {str(name).partition(".")[0] for name in names} <= {
            "mixedsmooth",
            "numpy",
            "scipy",
            "matplotlib",
            "pandas",
            *sys.stdlib_module_names,
        }
        assert "../" not in code


@book
@each_chapter
def test_every_exercise_of_the_page_is_there(chapter: str) -> None:
    page = (HTML / f"{chapter}.html").read_text(encoding="utf-8")
    shown = re.findall(r'<span class="caption-number">Exercise ([\d.]+) </span>', page)
    assert len(shown) >= 4
    for place in (chapter, f"solutions/{chapter}", f"instructor/source/{chapter}/{chapter}"):
        text = as_text(read(EXERCISES / f"{place}.ipynb"))
        assert re.findall(r"^### Exercise ([\d.]+): ", text, re.MULTILINE) == shown


def checked(chapter: str) -> list[str]:
    """Numbers of a chapter's exercises that have a check."""
    return ms.exercises.numbers(int(chapter[:2]))


@book
@each_chapter
def test_every_check_of_the_library_has_its_cells(chapter: str) -> None:
    cells = {cell.id: cell.source for cell in read(EXERCISES / f"{chapter}.ipynb").cells}
    for number in checked(chapter):
        key = number.replace(".", "-")
        answer = f"answer_{key.replace('-', '_')}"
        assert cells[f"ex-{key}-answer"] == f"{answer} = ...  # your answer"
        assert cells[f"ex-{key}-check"] == f'ms.exercises.check("{number}", {answer})'
    assert sum(key.endswith("-check") for key in cells) == len(checked(chapter))


@book
@each_chapter
def test_student_notebook_tells_no_solution(chapter: str) -> None:
    student = read(EXERCISES / f"{chapter}.ipynb")
    shown = as_text(student)
    instructor = read(INSTRUCTOR / f"source/{chapter}/{chapter}.ipynb")
    secrets = [
        line.strip()
        for cell in instructor.cells
        for part in re.findall(r"### BEGIN SOLUTION\n(.*?)\n### END", cell.source, re.DOTALL)
        for line in part.splitlines()
    ]
    secrets += [
        sentence
        for cell in instructor.cells
        if cell.id.endswith("-words")
        for sentence in cell.source.splitlines()
    ]
    assert len(secrets) > 20
    lines = {line.strip() for line in shown.splitlines()}
    told = {secret for secret in secrets if len(secret) > 30} & lines
    own = {line.strip() for code in chapter_code(student) for line in code.splitlines()}
    assert told - own == set()
    for number in checked(chapter):
        for value in right_numbers(number):
            assert not re.search(rf"(?<![\d.]){re.escape(value)}", exercise_part(student)), number


def chapter_code(notebook: NotebookNode) -> list[str]:
    return [
        cell.source
        for cell in notebook.cells
        if cell.cell_type == "code" and not cell.id.startswith("ex-")
    ]


def exercise_part(notebook: NotebookNode) -> str:
    """Text of the notebook from its first exercise on."""
    text = as_text(notebook)
    return text[text.index("### Exercise") :]


def right_numbers(number: str) -> Iterator[str]:
    """Write the right answer's numbers to five digits, but not those that need fewer."""
    right = ms.exercises.EXERCISES[number].solve().right
    parts = list(right.values()) if hasattr(right, "values") else [right]
    for value in np.concatenate([np.ravel(np.asarray(part, float)) for part in parts]):
        digits = f"{abs(value):.5g}"
        if len(digits.replace(".", "").lstrip("0")) == 5:
            yield digits


@book
@each_chapter
def test_page_offers_its_notebooks(chapter: str) -> None:
    page = (HTML / f"{chapter}.html").read_text(encoding="utf-8")
    header, _, article = page.partition("<article")
    assert f'href="{FOLDER}/{chapter}.ipynb"' in header  # in the download menu
    for file in (f"{chapter}.ipynb", f"solutions/{chapter}.ipynb", f"{ARCHIVE}.zip"):
        assert f'href="{FOLDER}/{file}">' in article


@book
@each_chapter
def test_archive_holds_the_same_files(chapter: str) -> None:
    with zipfile.ZipFile(EXERCISES / f"{ARCHIVE}.zip") as archive:
        names = archive.namelist()
        for place in (chapter, f"solutions/{chapter}", f"instructor/source/{chapter}/{chapter}"):
            file = f"{place}.ipynb"
            assert archive.read(f"{ARCHIVE}/{file}") == (EXERCISES / file).read_bytes()
    assert f"{ARCHIVE}/README.md" in names
    assert f"{ARCHIVE}/instructor/nbgrader_config.py" in names
    assert names == sorted(names)


# ---- they run ----


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder away from the book, and a Python where myst_nb cannot be imported."""
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "myst_nb.py").write_text("raise ImportError('there is no myst_nb here')\n")
    monkeypatch.setenv("PYTHONPATH", str(packages))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    scripts = Path(sys.executable).parent  # nbgrader calls one of another package
    monkeypatch.setenv("PATH", f"{scripts}{os.pathsep}{os.environ['PATH']}")
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def run(*command: str, folder: Path) -> str:
    """Run a command of the environment, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@book
def test_solution_notebook_runs_and_its_checks_say_right(bare: Path) -> None:
    shutil.copy(EXERCISES / f"solutions/{RUN}.ipynb", bare)
    run(*f"jupyter execute --inplace --timeout=300 {RUN}.ipynb".split(), folder=bare)
    verdicts = verdict_texts(read(bare / f"{RUN}.ipynb"))
    assert verdicts
    for number, verdict in zip(checked(RUN), verdicts, strict=True):
        assert verdict.startswith(f"Exercise {number}: right")


def plain_outputs(cell: NotebookNode) -> list[str]:
    """Take what a run cell shows as text; it may draw a figure too."""
    return [output.data["text/plain"] for output in cell.outputs if "data" in output]


def verdict_texts(notebook: NotebookNode) -> list[str]:
    """Take what the checks of a run notebook say."""
    return [
        next(text for text in plain_outputs(cell) if text.startswith("Exercise"))
        for cell in notebook.cells
        if cell.cell_type == "code" and "ms.exercises.check(" in cell.source
    ]


@book
def test_student_notebook_runs_unanswered(bare: Path) -> None:
    shutil.copy(EXERCISES / f"{GRADED}.ipynb", bare)
    run(*f"jupyter execute --inplace --timeout=300 {GRADED}.ipynb".split(), folder=bare)
    verdicts = verdict_texts(read(bare / f"{GRADED}.ipynb"))
    assert verdicts
    for number, verdict in zip(checked(GRADED), verdicts, strict=True):
        assert verdict.startswith(f"Exercise {number}: not yet. Not answered yet")


# ---- nbgrader ----


@book
@each_chapter
def test_nbgrader_finds_the_assignment_valid(chapter: str) -> None:
    from nbgrader.nbgraderformat import reads

    path = INSTRUCTOR / f"source/{chapter}/{chapter}.ipynb"
    notebook = reads(path.read_text(encoding="utf-8"), as_version=4)
    points = sum(
        cell.metadata.nbgrader.points for cell in notebook.cells if cell.id.endswith("-test")
    )
    assert points == sum(ms.exercises.EXERCISES[number].points for number in checked(chapter))


@book
def test_nbgrader_gives_full_part_and_no_points(bare: Path) -> None:
    """Assign, hand in three submissions, and grade them."""
    course = bare / "course"
    shutil.copytree(INSTRUCTOR, course)
    notebook = f"{GRADED}/{GRADED}.ipynb"
    run("nbgrader", "generate_assignment", GRADED, "--quiet", folder=course)

    release = read(course / "release" / notebook)
    assert not re.search("BEGIN|END|_outcome", as_text(release))
    solved = {cell.id: cell for cell in read(course / "source" / notebook).cells}
    answers = [cell.id for cell in release.cells if cell.id.endswith("-answer")]
    wrong = {key: f"answer_{number_of(key).replace('.', '_')} = 12345.678" for key in answers}
    right = {key: solved[key].source for key in answers}
    half = len(answers) // 2
    submissions = {
        "right": right,
        "half": right | {key: wrong[key] for key in answers[half:]},
        "empty": {},
    }
    for student, answered in submissions.items():
        submitted = read(course / "release" / notebook)
        for cell in submitted.cells:
            cell.source = answered.get(cell.id, cell.source)
        path = course / "submitted" / student / notebook
        path.parent.mkdir(parents=True)
        nbformat.write(submitted, path)
    run("nbgrader", "autograde", GRADED, "--quiet", folder=course)

    run("nbgrader", "export", folder=course)
    with (course / "grades.csv").open() as file:
        score = {row["student_id"]: float(row["raw_score"]) for row in csv.DictReader(file)}
    points = {key: ms.exercises.EXERCISES[number_of(key)].points for key in answers}
    assert score == {
        "right": sum(points.values()),
        "half": sum(points[key] for key in answers[:half]),
        "empty": 0,
    }


def number_of(key: str) -> str:
    """Take the number of an exercise from the id of its cell: ``ex-2-3-answer`` is 2.3's."""
    return key.removeprefix("ex-").removesuffix("-answer").replace("-", ".")
