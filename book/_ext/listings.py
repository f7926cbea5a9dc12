"""Lists that the pages do not keep by hand: of chapters, exercises and modules.

A page says where a list is to stand,

    ```{generated} chapters
    ```

and what it is made from stands elsewhere, once: ``_toc.yml``, the front matter of the chapters
(``question`` and ``teaching``), their exercises, the docstrings of the library. So a new chapter is
its own files and one line in the table of contents.
"""

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import getdoc
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.typing import ExtensionMetadata

import mixedsmooth as ms

MARKER = re.compile(r"^```\{generated\} (\w+)(?: (\S+))?\n```$", re.M)
EXERCISE = re.compile(r"^:label: (ex-\d+-(\d+))$", re.M)
OF_CHAPTERS = re.compile(r" \(chapters? ([\d, and to]+)\)\.?$")  # at the end of a docstring's head
NOWHERE = 1000  # the place of a module that no chapter derives: behind those of the chapters


# ---- chapters ----


@dataclass(frozen=True)
class Chapter:
    """A chapter, as its file describes it.

    Attributes
    ----------
    name : str
        Its file, without the ending.
    number : int
        Its number, with which the name of the file begins.
    text : str
        Its source.
    about : dict
        Its front matter.
    """

    name: str
    number: int
    text: str
    about: dict[str, Any]

    @property
    def link(self) -> str:
        """Its number, linked."""
        return f"[{self.number}]({self.name}.md)"


def chapters_of(book: Path) -> list[Chapter]:
    """Read the chapters of a book: the files in the numbered parts of its table of contents."""
    contents = yaml.safe_load((book / "_toc.yml").read_text(encoding="utf-8"))
    names = [
        entry["file"]
        for part in contents["parts"]
        if part.get("numbered")
        for entry in part["chapters"]
    ]
    chapters = []
    for name in names:
        text = (book / f"{name}.md").read_text(encoding="utf-8")
        about = yaml.safe_load(text.split("---\n")[1])
        if missing := {"question", "teaching"} - about.keys():
            raise ExtensionError(
                f"{name}.md lacks {', '.join(sorted(missing))} in its front matter"
            )
        chapters.append(Chapter(name, int(name.split("_")[0]), text, about))
    return chapters


def table(header: str, rows: list[str]) -> str:
    """Write a table in Markdown."""
    return "\n".join([header, "|---" * (header.count("|") - 1) + "|", *rows])


def list_chapters(chapters: list[Chapter]) -> str:
    """Name the question of each chapter."""
    rows = [f"| []({c.name}.md) | {c.about['question']} |" for c in chapters]
    return table("| chapter | answers |", rows)


def list_exercises(chapters: list[Chapter]) -> str:
    """List the exercises of each chapter with their points, and the chapters it builds on."""
    links = {c.name: c.link for c in chapters}
    rows = []
    for c in chapters:
        exercises = []
        for label, place in EXERCISE.findall(c.text):
            checked = ms.exercises.EXERCISES.get(f"{c.number}.{place}")
            points = f" ({checked.points})" if checked else ""
            exercises.append(f"[{c.number}.{place}](#{label}){points}")
        needed = ", ".join(links[name] for name in c.about["teaching"]["builds_on"])
        rows.append(f"| []({c.name}.md) | {needed} | {', '.join(exercises)} |")
    return table("| chapter | builds on | exercises (points) |", rows)


def list_beliefs(chapters: list[Chapter]) -> str:
    """List what students believe, and what helps."""
    rows = []
    for c in chapters:
        for i, belief in enumerate(c.about["teaching"]["beliefs"]):
            of_chapter = "" if i else f"{c.link} "
            rows.append(f"| {of_chapter}| {belief['believed']} | {belief['helps']} |")
    return table("| chapter | what many believe | what helps |", rows)


def list_sessions(chapters: list[Chapter]) -> str:
    """Plan a course in which no chapter is left out."""
    rows: list[str] = []
    for c in chapters:
        for session in c.about["teaching"]["sessions"]:
            part = f", {session['part']}" if "part" in session else ""
            in_class, at_home = (
                ", ".join(f"[{n}](#ex-{n.replace('.', '-')})" for n in session[place])
                for place in ("in_class", "at_home")
            )
            rows.append(
                f"| {len(rows) + 1}: chapter {c.link}{part} | {in_class} | {at_home} "
                f"| {session['afterwards']} |"
            )
    return table("| session | in class | at home | afterwards a student can |", rows)


def list_uses(chapters: list[Chapter], name: str) -> str:
    """Say which chapters use a name of the library."""
    used = [c.link for c in chapters if re.search(rf"\b{name}\b", c.text)]
    return f"Used in chapter{'s' if len(used) > 1 else ''} {listed(used)}."


def listed(words: list[str]) -> str:
    """Join words: a, b and c."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


# ---- modules ----


def modules_of(package: ModuleType) -> list[ModuleType]:
    """Import the public modules of a package: those of the chapters first, in their order."""
    names = [name for _, name, _ in pkgutil.iter_modules(package.__path__) if name[0] != "_"]
    modules = [importlib.import_module(f"{package.__name__}.{name}") for name in names]
    return sorted(modules, key=lambda module: (min(derived_in(module)), module.__name__))


def heading_of(module: ModuleType) -> str:
    """Give the first line of a module's docstring, without its period and the chapters."""
    return OF_CHAPTERS.sub("", (getdoc(module) or "").split("\n")[0]).removesuffix(".")


def derived_in(module: ModuleType) -> list[int]:
    """Which chapters derive the code of a module, as the first line of its docstring says."""
    found = OF_CHAPTERS.search((getdoc(module) or "").split("\n")[0])
    if not found:
        return [NOWHERE]
    numbers = [int(number) for number in re.findall(r"\d+", found[1])]
    return list(range(numbers[0], numbers[-1] + 1)) if "to" in found[1] else numbers


def doors() -> set[str]:
    """Name the modules in which the names stand that ``mixedsmooth`` itself offers."""
    return {getattr(getattr(ms, name), "__module__", "") for name in ms.__all__}


def list_modules(chapters: list[Chapter], group: str) -> str:
    """Document ``derivations``, ``doors``, ``inference``, ``engine`` or ``furniture``."""
    package = {"doors": ".model", "engine": ".model", "furniture": ""}.get(group, f".{group}")
    modules = modules_of(importlib.import_module(f"mixedsmooth{package}"))
    if group in ("doors", "engine"):
        modules = [m for m in modules if (m.__name__ in doors()) == (group == "doors")]
    if group == "furniture":  # the packages but the exercises have groups of their own
        modules = [m for m in modules if hasattr(m, "__all__") or not hasattr(m, "__path__")]
    return "\n\n".join(entry(module, chapters) for module in modules)


def entry(module: ModuleType, chapters: list[Chapter]) -> str:
    """Document a module, and link the chapters that derive its code."""
    derived = [f"[]({c.name}.md)" for c in chapters if c.number in derived_in(module)]
    where = f": the code of {listed(derived)}" if derived else ""
    return (
        f"### {heading_of(module)}\n\n`{module.__name__}`{where}.\n\n"
        f"```{{eval-rst}}\n.. automodule:: {module.__name__}\n   :members:\n"
        f"   :special-members: __len__\n```"
    )


def arrange(app: Sphinx, what: str, name: str, found: Any, options: Any, lines: list[str]) -> None:
    """Take off the line of a module that has become its heading; name the bases of a class."""
    if what == "module":
        del lines[:2]
    if what == "class":
        bases = [f"{base.__module__}.{base.__name__}" for base in found.__bases__]
        ours = [base for base in bases if base.startswith("mixedsmooth.") and "._" not in base]
        lines[:0] = [line for base in ours for line in (f"Bases: :py:class:`~{base}`", "")]


# ---- in the pages ----

LISTS: dict[str, Callable[..., str]] = {
    "chapters": list_chapters,
    "exercises": list_exercises,
    "beliefs": list_beliefs,
    "sessions": list_sessions,
    "uses": list_uses,
    "modules": list_modules,
}


def fill_in(text: str, book: Path) -> str:
    """Put the lists into the text of a page."""
    if not MARKER.search(text):
        return text
    chapters = chapters_of(book)

    def made(marker: re.Match[str]) -> str:
        name, argument = marker[1], marker[2]
        if name not in LISTS:
            raise ExtensionError(f"generated {name}: give {', '.join(LISTS)}")
        return LISTS[name](chapters, *([argument] if argument else []))

    return MARKER.sub(made, text)


def fill_page(app: Sphinx, page: str, source: list[str]) -> None:
    """Put the lists into the source of a page, before it is read."""
    source[0] = fill_in(source[0], Path(app.srcdir))


def pages_with_lists(app: Sphinx, *changed: Any) -> Iterator[str]:
    """Name the pages to read again, whatever has changed."""
    for page in app.env.found_docs:
        if MARKER.search(Path(app.env.doc2path(page)).read_text(encoding="utf-8")):
            yield page


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the functions to the events of the build."""
    app.connect("source-read", fill_page)
    app.connect("env-get-outdated", pages_with_lists)
    app.connect("autodoc-process-docstring", arrange)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
