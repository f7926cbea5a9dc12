"""The directive ``libcode``: the source of a function or class of the library, as it stands.

A chapter never holds a copy of library code. It names the objects, one a line::

    ```{libcode} mixedsmooth.derivations.likelihood.negloglik_transformed
    ```

and the page shows their source, with each docstring cut to its summary (the derivation around it
says the rest) and a link to the entry in the API reference.
"""

import ast
import importlib
import inspect
import textwrap
from types import ModuleType
from typing import Any, ClassVar, NamedTuple

from docutils import nodes  # type: ignore[import-untyped]
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.typing import ExtensionMetadata

PAGE_WIDTH = 78  # characters of code that a page shows without scrolling


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
        caption += [nodes.literal(name, name), nodes.Text(" "), link]
        block = nodes.literal_block(library.code, library.code, language="python")
        box = nodes.container("", caption, block, classes=["libcode"])
        self.set_source_info(block)
        return box


def setup(app: Sphinx) -> ExtensionMetadata:
    """Register the directive."""
    app.add_directive("libcode", LibCode)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
