"""Every page of the built book, in a real browser."""

import os
import re
import threading
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from book._ext.serve import HTML, book_server
from playwright.sync_api import Locator, Page, expect

from .conftest import DESKTOP, PHONE, Visit, built_pages, settled

pytestmark = pytest.mark.browser
Look = Callable[[str], Visit]


def test_loads_without_errors_and_asks_no_other_host(page: str, visit: Look) -> None:
    assert visit(page).problems == []


def test_has_title_description_and_landmarks(page: str, visit: Look) -> None:
    seen = visit(page)
    assert seen.title
    assert seen.description
    assert min(seen.landmarks.values()) == 1, seen.landmarks
    assert seen.landmarks["h1:visible"] == 1


def test_titles_and_descriptions_differ(visit: Look) -> None:
    pages = built_pages()
    assert len({visit(page).title for page in pages}) == len(pages)
    assert len({visit(page).description for page in pages}) == len(pages)


def test_formulas_are_typeset(page: str, visit: Look) -> None:
    formulas = visit(page).formulas
    assert formulas["errors"] == []
    assert formulas["written"] == formulas["typeset"] == formulas["all"] == formulas["spoken"]


def test_images_load_and_have_a_text(page: str, visit: Look) -> None:
    images = visit(page).images
    assert [image["source"] for image in images if not image["loaded"]] == []
    assert [image["source"] for image in images if image["content"] and not image["alt"]] == []


@pytest.mark.parametrize(
    "syntax",
    [
        r"\$[^$\n]+\$",
        r"\\[(\[]",
        r"\\begin\{",
        r":::",
        r"```",
        r"\{(glue|cite|ref|eq|numref|doc|math)\b",
    ],
)
def test_shows_no_source_syntax(page: str, syntax: str, visit: Look) -> None:
    assert re.findall(syntax, visit(page).prose) == []


@pytest.mark.parametrize("width", [DESKTOP, PHONE])
def test_fits_the_window(page: str, width: int, visit: Look) -> None:
    assert visit(page).overflow[width] == []


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_text_has_contrast(page: str, mode: str, visit: Look) -> None:
    seen = visit(page)
    assert seen.measured[mode] > 0
    assert seen.low_contrast[mode] == []


def test_published_numbers_agree(page: str, visit: Look) -> None:
    assert visit(page).differing == 0


@cache
def anchors(page: str) -> "Anchors":
    """Read a page, once however many links lead to it."""
    return Anchors(page)


class Anchors(HTMLParser):
    """The ids and the links of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.feed((HTML / page).read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect from one tag."""
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif tag == "a" and name == "href" and value:
                self.links.add(value)


def test_links_lead_somewhere(page: str, book_url: str) -> None:
    broken = []
    for link in anchors(page).links:
        parts = urlsplit(link)
        if parts.scheme in {"http", "https", "mailto"}:
            continue
        path = (HTML / page).parent / unquote(parts.path) if parts.path else HTML / page
        target = Path(os.path.normpath(path))
        if not target.is_file() or (
            parts.fragment
            and unquote(parts.fragment) not in anchors(str(target.relative_to(HTML))).ids
        ):
            broken.append(link)
    assert broken == []


# ---- what a reader does ----


@pytest.fixture
def solution(tab: Page, book_url: str) -> Locator:
    """Find the first solution of the book, closed."""
    page = next(page for page in built_pages() if 'class="solution' in (HTML / page).read_text())
    tab.goto(book_url + page)
    settled(tab)
    return tab.locator("details.solution").first


def test_solution_opens_and_closes_by_click(solution: Locator) -> None:
    content = solution.locator(":scope > :not(summary)").first
    expect(content).to_be_hidden()
    solution.locator("summary").click(position={"x": 10, "y": 10})
    expect(content).to_be_visible()
    solution.locator("summary").click(position={"x": 10, "y": 10})
    expect(content).to_be_hidden()


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_solution_opens_by_keyboard(solution: Locator, key: str) -> None:
    content = solution.locator(":scope > :not(summary)").first
    tab = solution.page
    for _ in range(500):
        tab.keyboard.press("Tab")
        if solution.evaluate("box => document.activeElement === box.querySelector('summary')"):
            break
    expect(solution.locator("summary")).to_be_focused()
    assert expanded(solution) is False
    tab.keyboard.press(key)
    expect(content).to_be_visible()
    assert expanded(solution) is True


def expanded(solution: Locator) -> bool:
    """Say what a screen reader is told about the solution."""
    tab = solution.page
    session = tab.context.new_cdp_session(tab)
    handle = session.send("Runtime.evaluate", {"expression": "document.activeElement"})
    tree = session.send(
        "Accessibility.getPartialAXTree",
        {"objectId": handle["result"]["objectId"], "fetchRelatives": False},
    )
    properties = {p["name"]: p["value"]["value"] for p in tree["nodes"][0]["properties"]}
    return bool(properties["expanded"])


def test_address_of_a_closed_solution_opens_it(solution: Locator) -> None:
    solution.page.goto(f"{solution.page.url}#{solution.get_attribute('id')}")
    expect(solution).to_have_attribute("open", "")


def test_solutions_are_printed_open(solution: Locator) -> None:
    solution.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(solution).to_have_attribute("open", "")
    solution.page.evaluate("dispatchEvent(new Event('afterprint'))")
    expect(solution).not_to_have_attribute("open", "")


def test_search_finds_henderson(tab: Page, book_url: str) -> None:
    tab.goto(f"{book_url}search.html?q=Henderson")
    results = tab.locator("#search-results li a")
    expect(results.first).to_be_visible()
    results.first.click()
    expect(tab.locator("article")).to_contain_text("Henderson")


@pytest.mark.usefixtures("book_url")
@pytest.mark.parametrize("prefix", ["/", "/some/where/"])
@pytest.mark.parametrize("address", ["none.html", "no/such/page.html"])
def test_unknown_address_shows_the_404_page(tab: Page, prefix: str, address: str) -> None:
    with book_server(prefix=prefix) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        home = f"http://127.0.0.1:{server.server_port}{prefix}"
        response = tab.goto(home + address)
        assert response is not None
        assert response.status == 404
        expect(tab.locator("h1:visible")).to_contain_text("Page not found")
        assert tab.evaluate("getComputedStyle(document.querySelector('main')).display") != "block"
        tab.get_by_role("link", name="Skip to main content").focus()
        tab.keyboard.press("Enter")
        assert tab.url == f"{home}{address}#main-content"
        tab.get_by_role("link", name="the first page").click()
        assert tab.url == f"{home}index.html"
        server.shutdown()
        thread.join()
