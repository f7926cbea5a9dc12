"""The built book, served on this machine, and a browser that visits each page once."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from book._ext.serve import HTML, book_server
from playwright.sync_api import Browser, Page, sync_playwright

PROBE = f"window.probe = {Path(__file__).with_name('probe.js').read_text(encoding='utf-8')}"
STILL = "*, ::before, ::after { transition: none !important; animation: none !important; }"
DESKTOP, PHONE = 1280, 390
CONTRAST = 4.5  # WCAG 2, level AA


def built_pages() -> list[str]:
    """List the pages of the built book."""
    return sorted(
        page.relative_to(HTML).as_posix()
        for page in HTML.rglob("*.html")
        if not page.relative_to(HTML).parts[0].startswith(("_", "lite"))
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for a page once for each."""
    if "page" in metafunc.fixturenames:
        metafunc.parametrize("page", built_pages() or ["no-built-book"])


@dataclass
class Visit:
    """What was seen on one page."""

    problems: list[str]
    title: str
    description: str
    landmarks: dict[str, int]
    formulas: dict[str, Any] = field(default_factory=dict)
    images: list[dict[str, Any]] = field(default_factory=list)
    prose: str = ""
    differing: int = 0
    overflow: dict[int, list[str]] = field(default_factory=dict)
    measured: dict[str, int] = field(default_factory=dict)
    low_contrast: dict[str, list[str]] = field(default_factory=dict)


@pytest.fixture(scope="session")
def book_url() -> Iterator[str]:
    """Address of the built book."""
    if not (HTML / "index.html").exists():
        pytest.fail("there is no built book: run `make book` first", pytrace=False)
    with book_server() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def chromium() -> str:
    """Find Chromium."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.fail("no Chromium: install it, or set CHROMIUM to its path", pytrace=False)
    return path


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Start Chromium without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def watched(browser: Browser, book_url: str) -> Iterator[tuple[Page, list[str]]]:
    """One tab, and the list of all that goes wrong in it."""
    context = browser.new_context(viewport={"width": DESKTOP, "height": 900}, color_scheme="light")
    tab = context.new_page()
    problems: list[str] = []

    def local(url: str) -> bool:
        return url.startswith((book_url, "data:", "blob:"))

    tab.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("requestfailed", lambda request: problems.append(f"failed: {request.url}"))
    tab.on("request", lambda r: None if local(r.url) else problems.append(f"other host: {r.url}"))
    tab.on(
        "response", lambda r: problems.append(f"{r.status}: {r.url}") if r.status >= 400 else None
    )
    yield tab, problems
    context.close()


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    """Open a fresh tab, for tests that use the page."""
    context = browser.new_context(viewport={"width": DESKTOP, "height": 900})
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def visit(watched: tuple[Page, list[str]], book_url: str) -> Callable[[str], Visit]:
    """Visit a page, once however many tests look at it."""
    tab, problems = watched

    @cache
    def look(page: str) -> Visit:
        problems.clear()
        tab.set_viewport_size({"width": DESKTOP, "height": 900})
        tab.goto(book_url + page, wait_until="load")
        settled(tab)
        seen = Visit(
            problems=list(problems),
            title=tab.title(),
            description=tab.evaluate(
                "document.querySelector('meta[name=description]')?.content ?? ''"
            ),
            landmarks={
                part: tab.locator(part).count()
                for part in ("main", "h1:visible", "html[lang]", "#pst-skip-link a[href]")
            },
        )
        tab.evaluate("probe.openAll()")
        seen.formulas = tab.evaluate("probe.formulas()")
        seen.images = tab.evaluate("probe.images()")
        seen.prose = tab.evaluate("probe.prose()")
        seen.differing = tab.locator("tr.differs").count()
        for width in (DESKTOP, PHONE):
            tab.set_viewport_size({"width": width, "height": 900})
            seen.overflow[width] = tab.evaluate("probe.overflow()")
        for mode in ("light", "dark"):
            tab.evaluate(f"document.documentElement.dataset.theme = '{mode}'")
            result = tab.evaluate(f"probe.lowContrast({CONTRAST})")
            seen.measured[mode], seen.low_contrast[mode] = result["measured"], result["low"]
        return seen

    return look


def settled(tab: Page) -> None:
    """Wait until formulas and fonts are in place, and put the probe into the page."""
    tab.evaluate(
        "async () => { await window.MathJax?.startup?.promise; await document.fonts.ready }"
    )
    tab.add_style_tag(content=STILL)
    tab.evaluate(PROBE)
