"""The road between an equation of the book and its line of code."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
from book._ext.libcode import CITATION, cited_labels, citing_names
from book._ext.listings import modules_of

import mixedsmooth
import mixedsmooth.derivations
import mixedsmooth.inference
import mixedsmooth.model

PACKAGES = mixedsmooth, mixedsmooth.derivations, mixedsmooth.inference, mixedsmooth.model
ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "lessons_src"
PAGES = {page.stem: page.read_text(encoding="utf-8") for page in (ROOT / "book").glob("*.md")}
FILES = sorted((LIBRARY / "mixedsmooth").rglob("*.py"))

WITH_CODE = 59  # labelled equations that have code, at the least


def labels() -> list[str]:
    """List the labels of the book's equations, each as often as it is defined."""
    directive, dollars = r"^\s*:label: (eq-\S+)$", r"^\s*\$\$ \((eq-\S+)\)$"
    return [
        label
        for page in PAGES.values()
        for pattern in (directive, dollars)
        for label in re.findall(pattern, page, re.M)
    ]


def shown() -> set[str]:
    """Name the functions and classes that the pages show."""
    return {
        name
        for page in PAGES.values()
        for box in re.findall(r"^```\{libcode\}(.*?)^```", page, re.M | re.S)
        for name in box.split()
    }


def entries() -> set[str]:
    """Name the functions and classes that have an entry in the API reference."""
    return {
        f"{module.__name__}.{name}"
        for package in PACKAGES
        for module in modules_of(package)
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == module.__name__
    }


def test_no_label_is_defined_twice() -> None:
    assert [label for label, times in Counter(labels()).items() if times > 1] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(LIBRARY)))
def test_each_cited_label_is_that_of_an_equation(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    mentioned = re.findall(r"\beq-[a-z0-9]+-[a-z0-9-]+", text)
    assert sorted(CITATION.findall(text)) == sorted(mentioned), "write a label as (eq-...)"
    assert set(mentioned) <= set(labels())


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(LIBRARY)))
def test_each_citation_is_a_comment_of_a_function_or_class(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    comments = [line for line in text.splitlines() if CITATION.search(line)]
    assert [line for line in comments if not line.lstrip().startswith("#")] == []
    within = [
        label
        for node in ast.parse(text).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        for label in CITATION.findall(ast.get_source_segment(text, node) or "")
    ]
    assert sorted(within) == sorted(CITATION.findall(text))


def test_code_that_cites_is_shown_or_has_an_entry() -> None:
    names = citing_names()
    assert len(names) > 20
    assert sorted(set(names) - shown() - entries()) == []


def test_many_equations_have_code() -> None:
    cited = {label for name in citing_names() for label in cited_labels(name)}
    print(f"{len(cited)} of {len(labels())} labelled equations have code")
    assert len(cited) >= WITH_CODE
