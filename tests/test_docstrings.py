"""Every public function and class of the library shows what it is for, by an example that runs."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "lessons_src" / "mixedsmooth"
MODULES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name == "__init__.py" or not path.name.startswith("_")
]
Definition = ast.FunctionDef | ast.ClassDef


def public(body: list[ast.stmt]) -> Iterator[Definition]:
    """Functions and classes without an underscore."""
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node


def base_names(node: ast.ClassDef) -> set[str]:
    return {ast.unparse(base).rpartition(".")[2] for base in node.bases}


def needs_example(node: Definition) -> bool:
    """Whether it is a function, or a class that does something: no protocol, error or record."""
    if isinstance(node, ast.FunctionDef):
        return True
    declared = any(
        name == "Protocol" or name.endswith(("Error", "Exception")) for name in base_names(node)
    )
    return bool(list(public(node.body))) and not declared


def has_example(node: Definition) -> bool:
    """Whether its docstring, or that of one of its methods, has an example."""
    nodes = [node, *public(node.body)] if isinstance(node, ast.ClassDef) else [node]
    return any(">>> " in (ast.get_docstring(each) or "") for each in nodes)


def without_example(source: str) -> list[str]:
    definitions = public(ast.parse(source).body)
    return [node.name for node in definitions if needs_example(node) and not has_example(node)]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_all_that_is_public_has_an_example(module: Path) -> None:
    assert without_example(module.read_text(encoding="utf-8")) == []


def test_what_needs_an_example() -> None:
    source = '''
def shown():
    """Return 1.

    >>> shown()
    1
    """

def bare(): ...

def _private(): ...

class Record(NamedTuple):
    x: int

class Interface(Protocol):
    def method(self): ...

class WrongError(ValueError):
    def message(self): ...

class Bare:
    @property
    def size(self): ...

class Shown:
    def method(self):
        """Return 2.

        >>> Shown().method()
        2
        """
'''
    assert without_example(source) == ["bare", "Bare"]
