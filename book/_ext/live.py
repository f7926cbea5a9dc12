"""Live cells: what the pages need so that a reader can run their code in the browser.

- Each code cell gets an id, ``cell-`` and its place in the notebook.
- The sources of all cells of a page, those it does not show too, are written to
  ``_static/live/NAME.json``. The page names this file in ``<meta name="live-cells">``, and with it
  a version of the scripts, so that a browser's cache does not mix those of two builds.
- A page with cells loads ``live.js``, which does the rest.

A cell with the tag ``not-live`` has no button, and is not run before the cells below it.
"""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes  # type: ignore[import-untyped]
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.typing import ExtensionMetadata

STATIC = Path(__file__).parents[1] / "_static"
SCRIPTS = ["live.js", "live-worker.js", "live-editor.js", "live_runner.py", "live_bytecode.py"]


def cells_of(doctree: nodes.document) -> list[nodes.container]:
    """Find the code cells that a page shows."""
    return [
        node for node in doctree.findall(nodes.container) if node.get("nb_element") == "cell_code"
    ]


def name_cells(app: Sphinx, doctree: nodes.document) -> None:
    """Give each code cell of a page its id."""
    for cell in cells_of(doctree):
        cell["ids"].append(f"cell-{cell['cell_index']}")


def sources(notebook: Any) -> list[dict[str, str]]:
    """List the cells of a notebook that are run, with the ids that they have on the page."""
    return [
        {"id": f"cell-{index}", "source": cell.source}
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code" and "not-live" not in cell.metadata.get("tags", [])
    ]


def digest(content: bytes) -> str:
    """Make the part of an address that changes with the content."""
    return sha256(content).hexdigest()[:8]


def prepare(app: Sphinx, config: Config) -> None:
    """Take the files of live cells off the lists for all pages, where Jupyter Book puts them."""
    config.live_version = digest(b"".join((STATIC / name).read_bytes() for name in SCRIPTS))
    for names in (config.html_js_files, config.html_css_files):
        names[:] = [name for name in names if not str(name).startswith(("live", "codemirror/"))]


def make_page_live(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Write the sources of a page with code cells, and let it load the script."""
    if doctree is None or not cells_of(doctree):
        return
    notebook = nbformat.read(
        Path(app.outdir).parent / "jupyter_execute" / f"{page}.ipynb", as_version=4
    )
    content = json.dumps(sources(notebook), ensure_ascii=False)
    target = Path(app.outdir, "_static", "live", f"{page}.json")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(content, encoding="utf-8")

    address = context["pathto"](f"_static/live/{page}.json", 1)
    context["metatags"] = context.get("metatags", "") + (
        f'<meta name="live-cells" content="{address}?v={digest(content.encode())}"'
        f' data-version="{app.config.live_version}" />\n'
    )
    app.add_css_file("live.css")
    app.add_js_file("live.js", type="module")


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the functions to the events of the build."""
    app.add_config_value("live_version", "", "html")  # another version writes all pages anew
    app.connect("config-inited", prepare)
    app.connect("doctree-read", name_cells)
    app.connect("html-page-context", make_page_live)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
