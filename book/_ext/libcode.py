"""The directive ``libcode``: the source of a function or class of the library, as it stands.

A chapter never holds a copy of library code. It names the objects, one a line::

    ```{libcode} mixedsmooth.derivations.likelihood.negloglik_transformed
    ```

and the page shows their source, with each docstring cut to its summary (the derivation around it
says the rest) and a link to the entry in the API reference.

Comments of the library cite the equations of the book by their labels, ``# V = L L'  (eq-3-star)``.
On the page such a label is the equation's number, and a link to it. Below the equation stands the
link back: to the line, in the box of a function on the same page if there is one, else on another
page, else to the function's entry in the API reference. Both are made when the numbers are known,
from the nodes of the page; no script is needed.
"""

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from html import escape
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

from docutils import nodes  # type: ignore[import-untyped]
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata
from sphinx.writers.html5 import HTML5Translator

PAGE_WIDTH = 78  # characters of code that a page shows without scrolling
CITATION = re.compile(r"\((eq-[a-z0-9-]+)\)")


# ---- code and what it cites ----


class LibraryCode(NamedTuple):
    """A piece of the library: its code, the file it stands in, its role in cross references."""

    code: str
    file: str
    role: str


def library_code(name: str) -> LibraryCode:
    """Find a function or class of the library by its dotted name.

    Raises
    ------
    ValueError
        If there is no such object, or it is neither a function nor a class.
    """
    found = _locate(name)
    if inspect.isclass(found):
        role = "class"
    elif inspect.isfunction(found):
        role = "func" if found.__name__ == found.__qualname__ else "meth"
    else:
        raise ValueError(f"{name!r} is a {type(found).__name__}; name a function or a class")
    code = textwrap.dedent(inspect.getsource(found))
    return LibraryCode(shorten_docstrings(code), inspect.getfile(found), role)


def _locate(name: str) -> Any:
    """Import the longest module in a dotted name, then follow the attributes."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        module_name = ".".join(parts[:end])
        try:
            found: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is None or not module_name.startswith(error.name):
                raise  # the module is there, but something that it imports is not
            continue
        for attribute in parts[end:]:
            if not hasattr(found, attribute):
                kind = "module" if isinstance(found, ModuleType) else "class"
                raise ValueError(f"{name!r}: no {attribute!r} in the {kind} {found.__name__!r}")
            found = getattr(found, attribute)
        return found
    raise ValueError(f"{name!r}: no module {parts[0]!r}")


def shorten_docstrings(code: str) -> str:
    """Cut every docstring in the code to its summary, the text up to the first blank line."""
    lines = code.splitlines()
    documented = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    owners = [node for node in ast.walk(ast.parse(code)) if isinstance(node, documented)]
    for owner in sorted(owners, key=lambda node: node.lineno, reverse=True):  # from below
        docstring = ast.get_docstring(owner)
        if docstring is None:
            continue
        statement = owner.body[0]
        summary = docstring.split("\n\n")[0]
        raw = "r" if "\\" in summary else ""
        quoted = f'{raw}"""{summary}"""'
        indent = " " * statement.col_offset
        shortened = [
            part
            for line in quoted.splitlines()
            for part in textwrap.wrap(
                line, PAGE_WIDTH, initial_indent=indent, subsequent_indent=indent
            )
        ]
        lines[statement.lineno - 1 : statement.end_lineno] = shortened
    return "\n".join(lines) + "\n"


@cache
def cited_labels(name: str) -> tuple[str, ...]:
    """List the equations that a function or class cites, each once, in order."""
    return tuple(dict.fromkeys(CITATION.findall(library_code(name).code)))


@cache
def citing_names(package: str = "mixedsmooth") -> tuple[str, ...]:
    """Name all functions and classes of a library that cite an equation."""
    root = Path(str(importlib.import_module(package).__file__)).parent
    names = []
    for file in sorted(root.rglob("*.py")):
        module = ".".join([package, *file.relative_to(root).with_suffix("").parts])
        text = file.read_text(encoding="utf-8")
        names += [
            f"{module.removesuffix('.__init__')}.{node.name}"
            for node in ast.parse(text).body
            if isinstance(node, (ast.FunctionDef, ast.ClassDef))
            and CITATION.search(ast.get_source_segment(text, node) or "")
        ]
    return tuple(names)


def anchor(label: str, name: str) -> str:
    """Name the line of a function that cites an equation."""
    return f"{label}-in-{name.rpartition('.')[2]}"


# ---- the directive ----


class ShownCode(nodes.literal_block):  # type: ignore[misc]
    """Code of the library, with links to the equations that it cites."""


class CitedMath(nodes.math_block):  # type: ignore[misc]
    """An equation, with links to the lines of code that cite it."""


class LibCode(SphinxDirective):
    """Show library code; the names stand in the argument, or one a line in the content."""

    has_content = True
    optional_arguments = 1
    final_argument_whitespace = True
    option_spec: ClassVar[dict[str, Any]] = {}

    def run(self) -> list[nodes.Node]:
        """Make one box for each name."""
        names = " ".join([*self.arguments, *self.content]).split()
        if not names:
            raise self.error("libcode: name a function or a class, for example module.function")
        return [self._box(name) for name in names]

    def _box(self, name: str) -> nodes.Node:
        try:
            library = library_code(name)
        except ValueError as error:
            raise self.error(f"libcode: {error}") from error
        self.env.note_dependency(library.file)
        link = pending_xref(
            "",
            nodes.Text("API"),
            refdomain="py",
            reftype=library.role,
            reftarget=name,
            refdoc=self.env.docname,
            refexplicit=True,
            refwarn=True,
        )
        caption = nodes.paragraph("", "", classes=["libcode-caption"])
        caption += nodes.literal(name, name)
        if not name.rpartition(".")[2].startswith("_"):  # what is private has no entry
            caption += [nodes.Text(" "), link]
        block = ShownCode(library.code, library.code, language="python", name=name)
        shown_on(self.env).setdefault(self.env.docname, []).append(name)
        box = nodes.container("", caption, block, classes=["libcode"])
        self.set_source_info(block)
        return box


# ---- which page shows which function ----


def shown_on(env: BuildEnvironment) -> dict[str, list[str]]:
    """Give the names of the functions that each page shows."""
    if not hasattr(env, "libcode_shown"):
        env.libcode_shown = {}  # type: ignore[attr-defined]
    return env.libcode_shown  # type: ignore[attr-defined,no-any-return]


def purge(app: Sphinx, env: BuildEnvironment, page: str) -> None:
    """Forget a page that is read again."""
    shown_on(env).pop(page, None)


def merge(app: Sphinx, env: BuildEnvironment, pages: set[str], other: BuildEnvironment) -> None:
    """Take over what a parallel process has read."""
    shown_on(env).update({page: names for page, names in shown_on(other).items() if page in pages})


# ---- links between equations and lines ----


def link_code_and_equations(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Put the number of each cited equation into the code, and the links into both."""
    for block in doctree.findall(ShownCode):
        equations = {label: equation(app, page, label) for label in cited_labels(block["name"])}
        known = {label: found for label, found in equations.items() if found}
        block["links"] = {
            label: f'<a class="cited-equation" href="{escape(address)}"'
            f' aria-label="equation {number}">{number}</a>'
            for label, (number, address) in known.items()
        }
        shown = CITATION.sub(
            lambda cited, known=known: known.get(cited[1], (cited[0],))[0],  # type: ignore[misc]
            block.rawsource,
        )
        block.children = []
        block += nodes.Text(shown)
    for formula in list(doctree.findall(nodes.math_block)):
        label = formula.get("label")
        lines = list(lines_of(app, page, label)) if label else []
        if lines:
            number = (equation(app, page, label) or ("", ""))[0].strip("()")
            cited = CitedMath(formula.rawsource, formula.astext(), **formula.attributes)
            cited.source, cited.line = formula.source, formula.line
            cited["links"] = ", ".join(
                f'<a href="{escape(address)}" aria-label="code of equation {number}: {name}">'
                f"<code>{name}</code></a>"
                for name, address in lines
            )
            formula.replace_self(cited)


def equation(app: Sphinx, page: str, label: str) -> tuple[str, str] | None:
    """Find the number of an equation and its address from a page; None if there is none."""
    found = app.env.get_domain("math").resolve_xref(
        app.env, page, app.builder, "eq", label, pending_xref(), nodes.inline()
    )
    return found and (found.astext(), found.get("refuri") or f"#{found['refid']}")


def lines_of(app: Sphinx, page: str, label: str) -> Iterator[tuple[str, str]]:
    """Find the functions that cite an equation, and the addresses of their lines from a page.

    Those that the page shows; if there is none, those of the first page that shows some; if there
    is none, the entries of the API reference.
    """
    boxes = shown_on(app.env)
    for where in sorted(boxes, key=lambda other: (other != page, other)):
        up = "" if where == page else app.builder.get_relative_uri(page, where)
        names = [name for name in dict.fromkeys(boxes[where]) if label in cited_labels(name)]
        if names:
            yield from ((name.rpartition(".")[2], f"{up}#{anchor(label, name)}") for name in names)
            return
    entries = app.env.get_domain("py").data["objects"]
    for name in citing_names():
        if name in entries and label in cited_labels(name):
            entry = entries[name]
            up = app.builder.get_relative_uri(page, entry.docname)
            yield name.rpartition(".")[2], f"{up}#{entry.node_id}"


def write_code(self: HTML5Translator, node: ShownCode) -> None:
    """Write highlighted code, then put the links into it."""
    plain = nodes.literal_block(node.rawsource, node.rawsource, language="python")
    try:
        self.visit_literal_block(plain)
    except nodes.SkipNode:
        anchors = {label: anchor(label, node["name"]) for label in node["links"]}
        self.body[-1] = "\n".join(
            linked(line, node["links"], anchors) for line in self.body[-1].split("\n")
        )
    raise nodes.SkipNode


def linked(line: str, links: dict[str, str], anchors: dict[str, str]) -> str:
    """Put links into a line; the first that cites an equation uses up its anchor."""
    for label in CITATION.findall(line):
        if label in anchors:
            line = f'<span class="cited-line" id="{anchors.pop(label)}">{line}</span>'
    return CITATION.sub(lambda cited: links.get(cited[1], cited[0]), line)


def write_formula(self: HTML5Translator, node: CitedMath) -> None:
    """Write an equation as ever, and the links below it."""
    try:
        self.visit_math_block(node)
    except nodes.SkipNode:
        self.body.append(f'<div class="equation-code">code: {node["links"]}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive, its nodes and the links."""
    app.add_directive("libcode", LibCode)
    app.add_node(ShownCode, html=(write_code, None))
    app.add_node(CitedMath, html=(write_formula, None))
    app.connect("env-purge-doc", purge)
    app.connect("env-merge-info", merge)
    app.connect("doctree-resolved", link_code_and_equations)
    return {
        "version": "2",
        "env_version": 1,
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }
