"""A chapter as a notebook in JupyterLite, with the local Pyodide."""

import json
import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from book._ext.serve import HTML, BookHandler, book_server
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from .conftest import DESKTOP, chromium

pytestmark = pytest.mark.browser

CHAPTER = "03_likelihood"
BUTTON = "Open as a notebook in the browser"
MINUTE = 60_000  # ms
PATIENCE = 5 * MINUTE
FIGURE = ".jp-OutputArea img"
WAITING, DONE = re.compile(r"\[\*\]"), re.compile(r"\[\d+\]")


@dataclass
class Traffic:
    """What the server has sent, and what the browser has asked others for."""

    url: str = ""
    sent: int = 0  # bytes of files, without headers
    elsewhere: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def traffic() -> Iterator[Traffic]:
    """Serve the book, with a local Pyodide, and count."""
    if not (HTML / "pyodide" / "pyodide-lock.json").exists():
        reason = "the book was built without a local Pyodide: run `make book LITE=local` first"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    seen = Traffic()

    class CountingHandler(BookHandler):
        def copyfile(self, source: Any, outputfile: Any) -> None:
            seen.sent += os.fstat(source.fileno()).st_size
            super().copyfile(source, outputfile)

    with book_server(handler=CountingHandler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        seen.url = f"http://127.0.0.1:{server.server_port}/"
        yield seen
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def reader(
    browser: Browser, traffic: Traffic, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BrowserContext]:
    """Open a browser that keeps files on disk from visit to visit, as a reader's does."""
    context = browser.browser_type.launch_persistent_context(
        tmp_path_factory.mktemp("profile"),
        executable_path=chromium(),
        args=["--no-sandbox"],
        viewport={"width": DESKTOP, "height": 900},
    )
    local = (traffic.url, "data:", "blob:")
    context.on(
        "request", lambda r: None if r.url.startswith(local) else traffic.elsewhere.append(r.url)
    )
    yield context
    context.close()


@dataclass
class Visit:
    """A chapter's notebook, opened from its page's button."""

    tab: Page
    traffic: Traffic
    began: float  # the time of the click [s], and what had been sent until then
    sent: int

    def run_all(self) -> tuple[float, float]:
        """Run all cells; seconds and MB from the click to the first result."""
        choose(self.tab, "Run", "Run All Cells")
        expect(prompts(self.tab).first).to_have_text(WAITING)
        expect(prompts(self.tab).first).to_have_text(DONE, timeout=PATIENCE)
        return time.perf_counter() - self.began, (self.traffic.sent - self.sent) / 1e6


def open_chapter(reader: BrowserContext, traffic: Traffic) -> Visit:
    """Open the chapter's page, and its notebook from there."""
    page = reader.new_page()
    page.goto(f"{traffic.url}{CHAPTER}.html", wait_until="networkidle")
    began, sent = time.perf_counter(), traffic.sent
    with reader.expect_page() as opened:
        page.get_by_role("link", name=BUTTON).click()
    page.close()
    expect(prompts(opened.value).first).to_be_visible(timeout=MINUTE)
    return Visit(opened.value, traffic, began, sent)


def choose(tab: Page, menu: str, entry: str) -> None:
    """Choose an entry of a menu."""
    tab.get_by_role("menuitem", name=menu, exact=True).click()
    tab.get_by_role("menuitem", name=entry, exact=True).click()


def prompts(tab: Page) -> Locator:
    """Find what stands before the code cells: a star while a cell waits or runs, then a number."""
    return tab.locator(".jp-CodeCell .jp-InputArea-prompt")


def published(tab: Page) -> list[list[str]]:
    """Read all check tables: of each row the verdict, and all that it says."""
    rows = tab.locator("table.published tbody tr").all()
    return [
        [str(row.get_attribute("class")), *row.locator("th, td").all_inner_texts()] for row in rows
    ]


@pytest.fixture(scope="module")
def notebook(reader: BrowserContext, traffic: Traffic) -> Page:
    """Run the chapter in a browser that has never seen it."""
    visit = open_chapter(reader, traffic)
    expect(visit.tab.locator(FIGURE)).to_have_count(0)
    seconds, megabytes = visit.run_all()
    print(f"\nfirst visit: {seconds:.0f} s, {megabytes:.1f} MB")
    expect(prompts(visit.tab).last).to_have_text(DONE, timeout=PATIENCE)
    return visit.tab


def test_numbers_in_the_notebook_are_those_of_the_page(
    notebook: Page, reader: BrowserContext, traffic: Traffic
) -> None:
    expect(notebook.locator("[data-mime-type*=error]")).to_have_count(0)
    expect(notebook.locator(FIGURE).first).to_be_visible()
    page = reader.new_page()
    page.goto(f"{traffic.url}{CHAPTER}.html")
    shown = published(page)
    assert {verdict for verdict, *_ in shown} == {"agrees", "corrected"}
    assert published(notebook) == shown
    page.close()


def test_work_can_be_downloaded(notebook: Page) -> None:
    notebook.keyboard.press("Control+s")
    expect(notebook.locator(".jp-NotebookCheckpoint")).to_have_text(re.compile("now|second"))
    with notebook.expect_download() as downloaded:
        choose(notebook, "File", "Download")
    content = json.loads(downloaded.value.path().read_text(encoding="utf-8"))
    assert downloaded.value.suggested_filename == f"{CHAPTER}.ipynb"
    assert any(cell.get("outputs") for cell in content["cells"])


@pytest.mark.usefixtures("notebook")
def test_second_visit_finds_the_work_and_comes_from_the_cache(
    reader: BrowserContext, traffic: Traffic
) -> None:
    visit = open_chapter(reader, traffic)
    expect(visit.tab.locator(FIGURE)).not_to_have_count(0)
    seconds, megabytes = visit.run_all()
    print(f"\nsecond visit: {seconds:.0f} s, {megabytes:.1f} MB")
    assert megabytes < 1


@pytest.mark.usefixtures("notebook")
def test_nothing_was_asked_from_other_hosts(traffic: Traffic) -> None:
    assert traffic.elsewhere == []
