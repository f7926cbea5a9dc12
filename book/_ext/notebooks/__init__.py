"""Notebooks from the chapters: student, solutions, instructor, and one archive of all.

A chapter's source is the only place where its exercises stand. When the pages are built, this
extension writes from each page that has exercises, below the folder of the pages,

- ``exercises/NAME.ipynb``, the student's notebook,
- ``exercises/solutions/NAME.ipynb``, complete, runs from top to bottom,
- ``exercises/instructor/source/NAME/NAME.ipynb``, the source of an assignment for nbgrader, with a
  configuration that fits,
- ``exercises/shrinking-and-smoothing-exercises.zip``, all of these with a README and the library;

and puts links to them below the heading of the exercises and into the page's download button.
The files are the same, byte for byte, from build to build.
"""

import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes  # type: ignore[import-untyped]
from myst_nb.core.read import read_myst_markdown_notebook
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata
from sphinx_exercise.nodes import exercise_enumerable_node

import mixedsmooth as ms

from .chapter import (
    BOX,
    Chapter,
    Code,
    Numbers,
    exercise_heading,
    read_chapter,
    section_heading,
)
from .kinds import Course, instructor_notebook, solution_notebook, student_notebook
from .markdown import Markdown

FOLDER = "exercises"
ARCHIVE = "shrinking-and-smoothing-exercises"
HERE = Path(__file__).parent


# ---- from the pages to chapters ----


def chapter_names(app: Sphinx) -> list[str]:
    """Name the pages that have exercises."""
    registry = getattr(app.env, "sphinx_exercise_registry", {})
    return sorted({entry["docname"] for entry in registry.values()})


def chapter(app: Sphinx, name: str) -> Chapter:
    """Read one chapter from its page and its source."""
    doctree = app.env.get_and_resolve_doctree(name, app.builder)
    numbers = Numbers(
        sections=found_numbers(app.env.toc_secnumbers.get(name, {})),
        figures={
            place: app.config.numfig_format["figure"] % number
            for place, number in figure_numbers(app, name, "figure").items()
        },
        exercises=figure_numbers(app, name, "exercise"),
    )
    macros = (app.config.mathjax3_config or {}).get("tex", {}).get("macros", {})
    url = book_url(app)
    titles = {other: app.env.titles[other].astext() for other in chapter_names(app)}
    markdown = Markdown(
        macros=macros,
        equation_numbers=figure_numbers(app, name, "displaymath"),
        headings=headings(doctree, numbers, Markdown(macros=macros)),
        page_url=lambda place: url and url + (f"{name}.html{place}" if place[0] == "#" else place),
        chapter_of={
            (f"{other}.html", title): found_numbers(app.env.toc_secnumbers.get(other, {}))[""]
            for other, title in titles.items()
        },
    )
    return read_chapter(doctree, name, source_cells(app, name), numbers, markdown)


def source_cells(app: Sphinx, name: str) -> list[Code | None]:
    """Read the code cells of a source, each at the index that its page knows it by."""
    source = Path(app.env.doc2path(name))
    config = app.env.myst_config  # type: ignore[attr-defined]  # set by myst_parser
    text = source.read_text(encoding="utf-8")
    notebook = read_myst_markdown_notebook(text, config, path=source)
    return [
        Code(cell.source.strip("\n"), tuple(cell.metadata.get("tags", ())))
        if cell.cell_type == "code"
        else None
        for cell in notebook.cells
    ]


def found_numbers(found: Mapping[str, tuple[int, ...] | None]) -> dict[str, str]:
    """Write the numbers of sections or figures as the page shows them; deep ones have none."""
    return {place.removeprefix("#"): ".".join(map(str, n)) for place, n in found.items() if n}


def figure_numbers(app: Sphinx, name: str, kind: str) -> dict[str, str]:
    """Map ids to the numbers of a page's figures, equations or exercises."""
    return found_numbers(app.env.toc_fignumbers.get(name, {}).get(kind, {}))


def headings(doctree: nodes.document, numbers: Numbers, text: Markdown) -> dict[str, str]:
    """Map ids to the headings that stand for them in a notebook."""
    found: dict[str, str] = {}
    for title in doctree.findall(nodes.title):
        if isinstance(title.parent, nodes.section):
            heading = section_heading(title.parent, numbers, text)
            found |= dict.fromkeys(title.parent["ids"], heading)
    for exercise in doctree.findall(exercise_enumerable_node):
        title = text.inline(exercise.children[0])
        found[exercise["label"]] = exercise_heading(numbers.exercises[exercise["label"]], title)
    return found


def book_url(app: Sphinx) -> str:
    """Address of the published book, ending in a slash; empty if it has none."""
    url = str(app.config.html_baseurl or "")
    return url if not url or url.endswith("/") else url + "/"


# ---- from chapters to files ----


def library_wheel(app: Sphinx) -> Path | None:
    """Find the library's wheel, which the extension ``lite`` builds."""
    name = getattr(app.config, "lite_wheel", "")
    return Path(app.outdir).parent / "wheel" / Path(name).name if name else None


def how_to_install(url: str, wheel: Path | None) -> str:
    """Say how a reader of a notebook gets the library."""
    if wheel is None:
        way = "by `pip install .` in the folder of the book"
    elif url:
        way = f"by `%pip install {url}{FOLDER}/{wheel.name}` in a cell of its own"
    else:
        way = f"by `pip install {wheel.name}`, the file beside it in `{ARCHIVE}.zip`"
    return (
        "The notebook needs the library `mixedsmooth`. In JupyterLite it is there; elsewhere it is"
        f" installed once, {way}."
    )


def json_text(notebook: nbformat.NotebookNode) -> str:
    """Write a notebook, always with the same bytes."""
    nbformat.validate(notebook)
    return json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def files_of(chapter: Chapter, course: Course) -> dict[str, str]:
    """Make the three notebooks of a chapter: their paths and their contents."""
    name = chapter.name
    return {
        f"{name}.ipynb": json_text(student_notebook(chapter, course)),
        f"solutions/{name}.ipynb": json_text(solution_notebook(chapter, course)),
        f"instructor/source/{name}/{name}.ipynb": json_text(instructor_notebook(chapter, course)),
    }


def write_notebooks(app: Sphinx, failure: Exception | None) -> None:
    """Write all notebooks and the archive, when the pages are written."""
    if failure or app.builder.name != "html":
        return
    folder = Path(app.outdir) / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    wheel = library_wheel(app)
    url = book_url(app)
    course = Course(app.config.html_title, url, how_to_install(url, wheel))
    files: dict[str, bytes] = {}
    for name in chapter_names(app):
        made = files_of(chapter(app, name), course)
        files |= {path: content.encode() for path, content in made.items()}
    for path in sorted((HERE / "handout").rglob("*")):
        if path.is_file():
            text = path.read_text(encoding="utf-8").replace("@VERSION@", ms.__version__)
            files[path.relative_to(HERE / "handout").as_posix()] = text.encode()
    if wheel is not None:
        files[wheel.name] = wheel.read_bytes()
    for path_name, content in files.items():
        (folder / path_name).parent.mkdir(parents=True, exist_ok=True)
        (folder / path_name).write_bytes(content)
    write_archive(folder / f"{ARCHIVE}.zip", files)


def write_archive(target: Path, files: dict[str, bytes]) -> None:
    """Pack files into one folder of an archive, in order and without a date."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(files.items()):
            info = zipfile.ZipInfo(f"{ARCHIVE}/{name}")
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)


# ---- links on the pages ----


def add_box(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Put links to the notebooks below the heading of the exercises."""
    first = next(iter(doctree.findall(exercise_enumerable_node)), None)
    if first is None or app.builder.format != "html":
        return
    up = "../" * name.count("/") + FOLDER
    links = [
        (f"{up}/{name}.ipynb", "student notebook", ".ipynb"),
        (f"{up}/solutions/{name}.ipynb", "solutions", ".ipynb"),
        (f"{up}/{ARCHIVE}.zip", "all chapters", ".zip"),
    ]
    shown = " · ".join(
        f'<span><a class="reference internal" href="{target}" download>{text}</a> ({kind})</span>'
        for target, text, kind in links
    )
    box = f"<p><strong>Work on it:</strong> {shown}</p>"
    section = first.parent
    section.insert(1, nodes.raw("", box, format="html", classes=[BOX]))


def add_download(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Offer the student's notebook at the download button of a chapter."""
    if page not in chapter_names(app):
        return
    for group in context.get("header_buttons", ()):
        if group["label"] == "download-buttons":
            group["buttons"].insert(
                0,
                {
                    "type": "link",
                    "url": context["pathto"](f"{FOLDER}/{page}.ipynb", resource=True),
                    "text": ".ipynb",
                    "icon": "fas fa-code",
                    "tooltip": "Download the student's notebook",
                    "label": "download-notebook-button",
                },
            )


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the functions to the events of the build."""
    app.connect("doctree-resolved", add_box)
    app.connect("html-page-context", add_download, priority=502)  # after the theme's buttons
    app.connect("build-finished", write_notebooks, priority=400)  # before JupyterLite takes them
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
