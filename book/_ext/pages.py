"""What the pages of the book need beyond Jupyter Book and its theme.

- Solutions and other boxes of class ``dropdown`` become ``<details>`` elements, which open by
  click, by keyboard, by a search in the page and without any script.
- A page for unknown addresses, ``404.html``, that works wherever the book is served.
- A title and a description on the pages that have no source of their own.
- The vendored MathJax is loaded where there is mathematics, and nowhere else.
"""

from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup
from docutils import nodes  # type: ignore[import-untyped]
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util.typing import ExtensionMetadata

TAGLINE = "Mixed models and additive models, derived, coded and checked"
DESCRIPTIONS = {
    "search": "Search all chapters of Shrinking and Smoothing and the reference of its library.",
    "404": "There is no page of Shrinking and Smoothing at this address.",
}
NOT_FOUND = """
<h1>Page not found</h1>
<p>There is no page of this book at this address. It may have moved: look for it in the list of
chapters, <a href="search.html">search the book</a>, or start at
<a href="index.html">the first page</a>.</p>
"""


def load_mathjax_on_demand(app: Sphinx, config: Config) -> None:
    """Take MathJax off the list of scripts for all pages, where Jupyter Book puts every file."""
    config.html_js_files = [
        name for name in config.html_js_files if not str(name).startswith("mathjax/")
    ]


def dropdowns_to_details(body: str) -> str:
    """Turn each box of class ``dropdown`` into ``<details>``, its title into ``<summary>``."""
    soup = BeautifulSoup(body, "html.parser")
    for title in soup.select(".admonition.dropdown > .admonition-title"):
        title.name = "summary"
        if title.parent is not None:
            title.parent.name = "details"
    return str(soup)


def finish_page(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Complete the context from which one page is written."""
    if page == app.config.root_doc:
        context["title"] = TAGLINE  # the book's own title follows it in <title>
    if page in DESCRIPTIONS:
        description = escape(DESCRIPTIONS[page], quote=True)
        context["metatags"] = (
            context.get("metatags", "") + f'<meta name="description" content="{description}" />'
        )
    if "dropdown" in context.get("body", ""):
        context["body"] = dropdowns_to_details(context["body"])


def not_found_page(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Make the page for unknown addresses."""
    script = Path(__file__).with_name("notfound.js").read_text(encoding="utf-8")
    context = {
        "title": "Page not found",
        "body": NOT_FOUND,
        "metatags": f"<script>\n{script}</script>",
    }
    yield "404", context, "page.html"


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the functions to the events of the build."""
    app.add_config_value("comments_config", {}, "html")  # Jupyter Book always sets it
    app.connect("config-inited", load_mathjax_on_demand)
    app.connect("html-collect-pages", not_found_page)
    app.connect("html-page-context", finish_page)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
