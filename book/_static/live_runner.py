"""Run the cells of a page, and tell what they show as a notebook would.

This file runs in Pyodide, in a reader's browser (see live-worker.js). A page is always run from
top to bottom: each cell starts from the names that the cell above it left, wherever the reader
has been in between. So no result depends on the order in which buttons were pressed. Undone before
a cell runs again are the names that were bound and the draws from random generators.

Matplotlib takes this module as its backend.
"""

import io
import linecache
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from types import ModuleType
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg as FigureCanvas  # noqa: F401
from matplotlib.figure import Figure
from pyodide.code import CodeRunner

Send = Callable[[str, str], None]  # kind (stdout, stderr, html, text, svg or error) and content
Generator = np.random.Generator | np.random.RandomState

MOST = 100_000  # characters that a cell may print: a page holds no endless output


class State(NamedTuple):
    """What a cell leaves to the cell below it."""

    names: dict[str, Any]
    positions: list[tuple[Generator, Any]]  # each random generator, and where it stands


class Page:
    """A page that is being read.

    Attributes
    ----------
    names : dict
        The namespace of its cells.
    after : dict of str to State
        What each cell left that ran without an error; under "", what the first one finds.
    """

    def __init__(self, send: Send) -> None:
        self.send = send
        self.cell = ""  # the one that runs
        main = ModuleType("__main__")
        sys.modules["__main__"] = main
        self.names: dict[str, Any] = vars(main)
        self.names["display"] = self.display
        self.after = {"": self._state()}

    def run(self, cell: str, code: str, above: str) -> bool:
        """Run a cell below another one; return whether it ended without an error."""
        self.cell = cell
        self._restore(self.after[above])
        linecache.cache[cell] = (len(code), None, code.splitlines(keepends=True), cell)
        out, err = Stream("stdout", self.send), Stream("stderr", self.send)
        with redirect_stdout(out), redirect_stderr(err):
            try:
                runner = CodeRunner(
                    code, return_mode="last_expr", quiet_trailing_semicolon=True, filename=cell
                )
                value = runner.compile().run(self.names)
                if value is not None:
                    self.display(value)
                self.display_figures()
            except BaseException as error:  # exit() ends the cell, too
                plt.close("all")
                out.flush()
                err.flush()
                self.send("error", explain(error, cell))
                return False
            out.flush()
            err.flush()
        self.after[cell] = self._state()
        return True

    def display(self, *values: object) -> None:
        """Show values, each as what it is: a picture, HTML or text."""
        sys.stdout.flush()
        sys.stderr.flush()
        for value in values:
            html = None if isinstance(value, type) else getattr(value, "_repr_html_", None)
            if isinstance(value, Figure):
                self.send("svg", draw(value))
                plt.close(value)
            elif callable(html) and (shown := html()) is not None:
                self.send("html", shown)
            else:
                self.send("text", repr(value))

    def display_figures(self) -> None:
        """Show the figures that are open, and close them."""
        self.display(*map(plt.figure, plt.get_fignums()))

    def warning(
        self,
        message: Warning | str,
        category: type[Warning],
        file: str,
        line: int,
        source: str | None = None,
    ) -> str:
        """Write a warning, as ``warnings.formatwarning`` does."""
        return f"{_place(file, self.cell)}, line {line}: {category.__name__}: {message}\n"

    def _state(self) -> State:
        generators = [value for value in self.names.values() if isinstance(value, Generator)]
        return State(dict(self.names), [(each, _position(each)) for each in generators])

    def _restore(self, state: State) -> None:
        self.names.clear()
        self.names.update(state.names)
        for generator, position in state.positions:
            if isinstance(generator, np.random.RandomState):
                generator.set_state(position)
            else:
                generator.bit_generator.state = position


def _position(generator: Generator) -> Any:
    if isinstance(generator, np.random.RandomState):
        return generator.get_state()
    return generator.bit_generator.state


class Stream(io.TextIOBase):
    """What a cell prints, sent by the line."""

    def __init__(self, kind: str, send: Send) -> None:
        self.kind, self.send = kind, send
        self.line = ""
        self.left = MOST

    def write(self, text: str) -> int:
        """Take a piece of text, and send it when it ends a line."""
        self.line += text
        if "\n" in text:
            self.flush()
        return len(text)

    def flush(self) -> None:
        """Send what has not been sent."""
        text, self.line = self.line[: self.left], ""
        if text:
            self.left -= len(text)
            self.send(self.kind, text)
            if self.left == 0:
                self.send("stderr", f"\nOnly the first {MOST:,} characters are shown.\n")


def draw(figure: Figure) -> str:
    """Draw a figure as SVG, as the build of the book does."""
    file = io.StringIO()
    figure.savefig(
        file,
        format="svg",
        bbox_inches="tight",
        facecolor=figure.get_facecolor(),
        edgecolor=figure.get_edgecolor(),
        metadata={"Date": None},
    )
    return file.getvalue()


def explain(error: BaseException, cell: str) -> str:
    """Write a traceback of the reader's own lines, and of the line where it happened."""
    report = traceback.TracebackException.from_exception(error)
    for part in _parts(report):
        if getattr(part, "filename", None):  # a syntax error
            part.filename = _place(part.filename, cell)
        frames = [frame for frame in part.stack if frame.filename.startswith("cell-")]
        if frames and part.stack[-1] is not frames[-1]:
            frames.append(part.stack[-1])
        for frame in frames:
            frame.filename = _place(frame.filename, cell)
        part.stack[:] = frames
    text = "".join(report.format()).replace(", in <module>\n", "\n")
    return text if report.stack else text.removeprefix("Traceback (most recent call last):\n")


def _parts(report: traceback.TracebackException | None) -> Iterator[traceback.TracebackException]:
    if report is not None:
        yield report
        yield from _parts(report.__cause__)
        yield from _parts(report.__context__)


def _place(filename: str, cell: str) -> str:
    if filename.startswith("cell-"):
        return "this cell" if filename == cell else "a cell above"
    return filename.rpartition("/site-packages/")[2]


page: Page


def start(send: Send) -> Page:
    """Make the page of this worker."""
    global page
    build_only = ModuleType("myst_nb")
    vars(build_only)["glue"] = lambda name, variable, display=True: None
    sys.modules["myst_nb"] = build_only  # numbers in the text were put there by the build
    page = Page(send)
    warnings.formatwarning = page.warning  # type: ignore[assignment]
    return page


def show(*args: object, **kwargs: object) -> None:
    """Show the open figures: what ``plt.show()`` calls."""
    page.display_figures()
