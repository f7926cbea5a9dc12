"""Live cells, as the build prepares them; tests/browser/test_live.py runs them."""

import json
import re
from hashlib import sha256
from pathlib import Path

import pytest
from book._ext.live import sources
from book._ext.serve import HTML
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

BOOK = Path(__file__).parents[1] / "book"


def test_sources_are_those_of_the_cells_that_run() -> None:
    hidden = new_code_cell("b = 2", metadata={"tags": ["remove-cell"]})
    left_out = new_code_cell("c = 3", metadata={"tags": ["not-live"]})
    cells = [new_code_cell("a = 1"), new_markdown_cell("Text"), hidden, left_out]
    notebook = new_notebook(cells=cells)
    assert sources(notebook) == [
        {"id": "cell-0", "source": "a = 1"},
        {"id": "cell-2", "source": "b = 2"},
    ]


def test_vendored_codemirror_is_what_its_readme_says() -> None:
    folder = BOOK / "_static/codemirror"
    readme = (folder / "README.md").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^\| codemirror.js \| ([0-9a-f]{64}) \|$", readme, re.M)
    bundle = (folder / "codemirror.js").read_bytes()
    assert listed == sha256(bundle).hexdigest()
    assert len(bundle) < 400_000
    wanted = json.loads((BOOK / "_ext/codemirror/package.json").read_text(encoding="utf-8"))
    for name, version in wanted["dependencies"].items():
        assert f"| {name} | {version} |" in readme


def test_lock_of_the_editor_names_no_address() -> None:
    lock = (BOOK / "_ext/codemirror/package-lock.json").read_text(encoding="utf-8")
    assert "integrity" in lock
    assert not re.search(r"https?:|resolved", lock)


@pytest.mark.book
def test_pages_with_cells_are_live_and_no_others() -> None:
    pages = sorted(HTML.glob("*.html"))
    assert pages, "there is no built book: run `make book` first"
    live = 0
    for page in pages:
        text = page.read_text(encoding="utf-8")
        has_cells = '<div class="cell ' in text
        assert ('type="module" src="_static/live.js' in text) == has_cells, page.name
        assert not re.search(r"_static/(live-\w+\.js|codemirror)", text), page.name
        if has_cells:
            listed = json.loads((HTML / f"_static/live/{page.stem}.json").read_text("utf-8"))
            shown = re.findall(r'id="(cell-\d+)"', text)
            assert [cell["id"] for cell in listed if cell["id"] in shown] == shown
            live += 1
    assert live >= 10
