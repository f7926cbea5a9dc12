"""A chapter in pieces: text, code, and exercises with their solutions.

Read from what Sphinx made of the chapter's page, so that the page and the notebooks cannot differ.
The page leaves out cells tagged ``remove-cell``; what later cells need of them is put back here.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from docutils import nodes  # type: ignore[import-untyped]
from sphinx.errors import ExtensionError
from sphinx_exercise.nodes import exercise_enumerable_node, solution_node

from .markdown import INVISIBLE, Markdown

BOX = "notebook-links"  # class of what a page shows, and a notebook does not


@dataclass(frozen=True)
class Text:
    """A Markdown cell."""

    source: str


@dataclass(frozen=True)
class Code:
    """A code cell."""

    source: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Check:
    """The check at the end of a solution: ``ms.exercises.check("4.1", answer_4_1)``."""

    number: str
    answer: str
    call: str


@dataclass(frozen=True)
class Exercise:
    """An exercise and its solution; `check` is None if no answer is computed."""

    number: str
    task: tuple[Text | Code, ...]
    solution: tuple[Text | Code, ...]
    check: Check | None

    @property
    def key(self) -> str:
        """The label of the exercise, such as ``ex-4-1``."""
        return "ex-" + self.number.replace(".", "-")


@dataclass(frozen=True)
class Chapter:
    """A chapter: its number, its title and its pieces after the title."""

    name: str
    number: str
    title: str
    pieces: tuple[Text | Code | Exercise, ...]

    @property
    def exercises(self) -> tuple[Exercise, ...]:
        """The exercises, in order."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Exercise))


@dataclass(frozen=True)
class Numbers:
    """The numbers that Sphinx gave to a page, each by the id of what bears it.

    Attributes
    ----------
    sections : dict of str to str
        ``"4.2"``; the page's own has the key ``""``.
    figures : dict of str to str
        With the word that references use, ``"Fig. 4.2"``.
    exercises : dict of str to str
        ``"4.2"``.
    """

    sections: dict[str, str]
    figures: dict[str, str]
    exercises: dict[str, str]


def read_chapter(
    doctree: nodes.document,
    name: str,
    cells: list[Code | None],
    numbers: Numbers,
    markdown: Markdown,
) -> Chapter:
    """Read a chapter from its resolved doctree.

    Parameters
    ----------
    doctree : document
        The page, with numbers and references resolved.
    name : str
        Name of the page.
    cells : list of Code or None
        The cells of the source by their index; None for one that is not code.
    numbers : Numbers
        Numbers of sections, figures and exercises.
    markdown : Markdown
        Writes the text.

    Raises
    ------
    ExtensionError
        If a solution has no exercise, or a check is called with the number of another exercise.
    """
    return _Reader(name, cells, numbers, markdown).chapter(doctree)


class _Reader:
    """Walks through one page, from top to bottom."""

    def __init__(
        self, name: str, cells: list[Code | None], numbers: Numbers, markdown: Markdown
    ) -> None:
        self.name, self.cells, self.numbers, self.markdown = name, cells, numbers, markdown
        self.next_cell = 0

    def chapter(self, doctree: nodes.document) -> Chapter:
        page = next(child for child in doctree.children if isinstance(child, nodes.section))
        title = next(child for child in page.children if isinstance(child, nodes.title))
        rest = page.children[page.index(title) + 1 :]
        return Chapter(
            name=self.name,
            number=self.numbers.sections[""],
            title=self.markdown.inline(title),
            pieces=tuple(joined(list(self.pieces(rest, depth=2)))),
        )

    def pieces(self, siblings: list[nodes.Node], depth: int) -> Iterator[Text | Code | Exercise]:
        """Yield what stands in some blocks, and in their sections."""
        exercise: nodes.Node | None = None
        for node in siblings:
            if isinstance(node, exercise_enumerable_node):
                exercise = node
            elif isinstance(node, solution_node):
                if exercise is None or exercise["label"] != node["target_label"]:
                    raise self._error(f"a solution of {node['target_label']!r} is not below it")
                yield self.exercise(exercise, node, depth)
                exercise = None
            elif isinstance(node, nodes.section):
                yield Text(f"{'#' * depth} {section_heading(node, self.numbers, self.markdown)}")
                yield from self.pieces(node.children[1:], depth + 1)
            elif isinstance(node, INVISIBLE) or BOX in node["classes"]:
                continue
            elif exercise is not None:
                break
            elif is_cell(node):
                yield from self.code(node)
            else:
                yield Text(self.markdown.block(node))
        if exercise is not None:
            raise self._error(f"no solution stands below {exercise['label']!r}")

    def code(self, node: nodes.Node) -> Iterator[Text | Code]:
        """Yield a cell, before it what the page leaves out, and after it the figure's caption."""
        index = node["cell_index"]
        for cell in self.cells[self.next_cell : index]:
            if cell is not None and (rest := without_glue(cell.source)):
                yield Code(rest, cell.tags)
        self.next_cell = index + 1
        cell = self.cells[index]
        if cell is None:
            raise self._error(f"cell {index} of the page is not code in the source")
        yield cell
        for figure in node.findall(nodes.figure):
            number = next(self.numbers.figures[i] for i in figure["ids"])
            caption = next(figure.findall(nodes.caption))
            yield Text(f"**{number}.** {self.markdown.inline(caption)}")

    def exercise(self, task: nodes.Node, solution: nodes.Node, depth: int) -> Exercise:
        label = task["label"]
        number = self.numbers.exercises[label]
        if label != "ex-" + number.replace(".", "-"):
            raise self._error(f"the label {label!r} is that of exercise {number}")
        subtitle = self.markdown.inline(task.children[0])
        heading = Text(f"{'#' * depth} {exercise_heading(number, subtitle)}")
        asked = list(self._content(task))
        answered = list(self._content(solution))
        check = find_check(answered)
        if check is not None and check.number != number:
            raise self._error(f"exercise {number} calls the check of {check.number}")
        return Exercise(number, tuple(joined([heading, *asked])), tuple(joined(answered)), check)

    def _content(self, box: nodes.Node) -> Iterator[Text | Code]:
        """Yield what stands in the box of an exercise or a solution, which has no sections."""
        for part in box.children[1:]:
            inside = part.children if isinstance(part, nodes.section) else [part]
            for piece in self.pieces(inside, depth=4):
                if isinstance(piece, Exercise):
                    raise self._error(f"exercise {piece.number} stands in another box")
                yield piece

    def _error(self, what: str) -> ExtensionError:
        return ExtensionError(f"{self.name}: {what}")


def is_cell(node: nodes.Node) -> bool:
    """Tell whether a node is a code cell."""
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"


def section_heading(section: nodes.section, numbers: Numbers, markdown: Markdown) -> str:
    """Heading of a section, with its number."""
    number = next((n for i in section["ids"] if (n := numbers.sections.get(i))), "")
    return f"{number} {markdown.inline(section.children[0])}".strip()


def exercise_heading(number: str, subtitle: str) -> str:
    """Heading of an exercise; `subtitle` is " (A short title)", as sphinx-exercise sets it."""
    return f"Exercise {number}: {subtitle.strip()[1:-1]}"


def joined(pieces: list[Any]) -> list[Any]:
    """Join neighboring texts to one; a heading begins a new one."""
    result: list[Any] = []
    for piece in pieces:
        last = result[-1] if result else None
        if isinstance(piece, Text) and isinstance(last, Text) and not piece.source.startswith("#"):
            result[-1] = Text(f"{last.source}\n\n{piece.source}")
        else:
            result.append(piece)
    return result


def without_glue(code: str) -> str:
    """Take from a cell what puts values into the page's text; a notebook has them already."""
    tree = ast.parse(code)
    kept = [statement for statement in tree.body if not _is_glue(statement)]
    return "\n".join(ast.get_source_segment(code, statement) or "" for statement in kept)


def _is_glue(statement: ast.stmt) -> bool:
    match statement:
        case ast.ImportFrom(module="myst_nb") | ast.Expr(ast.Call(ast.Name("glue"))):
            return True
        case _:
            return False


def find_check(solution: list[Text | Code]) -> Check | None:
    """Find the check, the last line of a solution's last code cell."""
    codes = [piece.source for piece in solution if isinstance(piece, Code)]
    body = ast.parse(codes[-1]).body if codes else []
    match body:
        case [
            *_,
            ast.Expr(
                ast.Call(
                    ast.Attribute(ast.Attribute(ast.Name("ms"), "exercises"), "check"),
                    [ast.Constant(str(number)), ast.Name(answer)],
                )
            ) as last,
        ]:
            return Check(number, answer, ast.get_source_segment(codes[-1], last) or "")
        case _:
            return None
