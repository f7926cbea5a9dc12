"""Live cells: the code of a page, run in the browser by a local Pyodide."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
from book._ext.serve import HTML, BookHandler
from playwright.sync_api import Browser, Locator, Page, expect

from .conftest import DESKTOP, PHONE, chromium

pytestmark = pytest.mark.browser

CHAPTER = "04_blup.html"
FIGURE = "#fig-blup-shrinkage"
KEPT = "async () => (await (await caches.open('mixedsmooth-bytecode')).keys()).length"
START, RUN = 120_000, 60_000  # milliseconds that a slow machine may take


@pytest.fixture(scope="module", autouse=True)
def local_pyodide() -> None:
    """Ask for a build that has Pyodide beside its pages."""
    if not (HTML / "pyodide" / "pyodide-lock.json").exists():
        reason = "the book was built without a local Pyodide: run `make book LITE=local` first"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


@dataclass
class Cell:
    """One cell of a page, as a reader uses it."""

    box: Locator

    def button(self, name: str) -> Locator:
        """Find a button by its words."""
        return self.box.get_by_role("button", name=name, exact=True)

    @property
    def editor(self) -> Locator:
        """Where the code is written."""
        return self.box.get_by_role("textbox")

    @property
    def status(self) -> Locator:
        """The line between code and output."""
        return self.box.locator(".live-status")

    @property
    def result(self) -> Locator:
        """What a run has shown."""
        return self.box.locator(".live-result")

    def run(self) -> None:
        """Press Run and wait for the end."""
        self.box.hover()
        self.button("Run").click()
        self.done()

    def done(self) -> None:
        """Wait until nothing runs any more."""
        expect(self.box).not_to_have_attribute("aria-busy", "true", timeout=START)

    def write(self, code: str) -> None:
        """Put other code into the editor."""
        if self.editor.count() == 0:
            self.box.hover()
            self.button("Edit").click()
        self.editor.press("Control+a")
        self.box.page.keyboard.insert_text(code)

    def picture(self) -> str:
        """Read the drawing that is shown."""
        image = self.box.locator("img:visible")
        expect(image).to_have_count(1)
        return str(image.evaluate("async (image) => (await fetch(image.src)).text()"))


def cell_of(tab: Page, selector: str) -> Cell:
    """Find the cell of a figure, with its code shown."""
    box = tab.locator("div.cell", has=tab.locator(selector))
    box.locator("details.above-input").evaluate_all("all => all.forEach(one => one.open = true)")
    return Cell(box)


def new_cell(tab: Page, code: str) -> Cell:
    """Write other code into the first cell below the set-up."""
    cell = Cell(tab.locator("div.cell:has(.live-bar)").nth(1))
    cell.write(code)
    return cell


def visit(browser: Browser, book_url: str, **options: object) -> tuple[Page, list[str]]:
    """Open the chapter; list the addresses that are asked for."""
    context = browser.new_context(viewport={"width": DESKTOP, "height": 900}, **options)  # type: ignore[arg-type]
    tab = context.new_page()
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    tab.goto(book_url + CHAPTER, wait_until="networkidle")
    return tab, asked


@pytest.fixture(scope="module")
def running(browser: Browser, book_url: str) -> Iterator[tuple[Page, list[str]]]:
    """Open the chapter and run its set-up."""
    tab, asked = visit(browser, book_url)
    Cell(tab.locator("div.cell:has(.live-bar)").first).run()
    yield tab, asked
    tab.context.close()


@pytest.fixture
def tab(running: tuple[Page, list[str]]) -> Iterator[Page]:
    """Lend the open chapter, and bring back the book's code and output."""
    tab, _ = running
    yield tab
    for stop in tab.get_by_role("button", name="Stop", exact=True).all():
        stop.click()
    while (resets := tab.locator("button.live-reset:not([hidden])")).count():
        resets.first.evaluate("button => button.click()")


# ---- what is loaded ----


def test_nothing_is_loaded_before_the_first_press(browser: Browser, book_url: str) -> None:
    tab, asked = visit(browser, book_url)
    tab.locator("div.cell").first.hover()
    tab.keyboard.press("Tab")
    heavy = re.compile(r"pyodide|\.whl|codemirror|live-|live_runner|/live/")
    assert [url for url in asked if heavy.search(url)] == []
    tab.context.close()


def test_everything_comes_from_the_book_itself(
    running: tuple[Page, list[str]], book_url: str
) -> None:
    _, asked = running
    assert any(url.endswith(".wasm") for url in asked)
    assert [url for url in asked if not url.startswith((book_url, "blob:", "data:"))] == []


def test_second_visit_takes_everything_from_the_cache(
    browser: Browser, book_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: dict[str, int] = {}
    copy = BookHandler.copyfile

    def count(handler: BookHandler, source: IO[bytes], target: IO[bytes]) -> None:
        sent[handler.path] = os.fstat(source.fileno()).st_size
        copy(handler, source, target)

    monkeypatch.setattr(BookHandler, "copyfile", count)
    # a profile on disk, as a reader has it: the cache in memory is too small for the big files
    context = browser.browser_type.launch_persistent_context(
        tmp_path, executable_path=chromium(), args=["--no-sandbox"]
    )
    for visit in ("first", "second"):
        sent.clear()
        tab = context.new_page()
        tab.goto(book_url + CHAPTER, wait_until="networkidle")
        cell = Cell(tab.locator("div.cell:has(.live-bar)").first)
        code = cell.box.locator(".cell_input pre").inner_text()
        cell.write(f"{code}\nimport live_bytecode\nprint('kept', live_bytecode.kept > 500)")
        cell.run()
        expect(cell.result).to_contain_text("tau 36.01208")
        expect(cell.result).to_contain_text(f"kept {visit == 'second'}")
        assert (sum(sent.values()) > 30_000_000) == (visit == "first"), sent
        while not tab.evaluate(KEPT):
            tab.wait_for_timeout(200)
        tab.close()
    assert sum(sent.values()) < 100_000
    context.close()


# ---- what a reader does ----


def test_changed_number_changes_the_figure(tab: Page) -> None:
    cell = cell_of(tab, FIGURE)
    book = cell.picture()
    cell.run()
    expect(cell.status).to_contain_text("Run by you")
    mine = cell.picture()
    caption = cell.box.locator("figcaption")
    expect(caption).to_be_visible()
    code = cell.box.locator(".cell_input pre").inner_text()
    assert "b_hat" in code

    cell.write(code.replace("b_hat", "b_hat / 2"))
    cell.run()
    changed = cell.picture()
    assert len({book, mine, changed}) == 3
    assert "changed code" in str(cell.box.locator("img:visible").get_attribute("alt"))

    cell.button("Show the book’s output").click()
    assert cell.picture() == book
    cell.button("Show your output").click()
    assert cell.picture() == changed

    cell.button("Reset").click()
    assert cell.picture() == book
    assert cell.box.locator(".cell_input pre").inner_text() == code
    expect(cell.editor).to_have_count(0)
    expect(cell.button("Run")).to_be_focused()


def test_the_figure_of_the_book_is_drawn_again(tab: Page) -> None:
    cell = cell_of(tab, FIGURE)
    book = cell.box.locator("img").bounding_box()
    cell.run()
    mine = cell.box.locator("img:visible").bounding_box()
    assert book is not None
    assert mine is not None
    assert mine["width"] == pytest.approx(book["width"], abs=1)
    assert mine["height"] == pytest.approx(book["height"], abs=1)


def test_an_edited_cell_above_counts_and_its_output_follows(tab: Page) -> None:
    first = Cell(tab.locator("div.cell:has(.live-bar)").first)
    code = first.box.locator(".cell_input pre").inner_text()
    first.write(code + "\nchanged = 41")
    second = new_cell(tab, "changed + 1")
    second.run()
    expect(second.result).to_have_text("42")
    expect(first.result).to_contain_text("tau 36.01208")
    expect(first.status).to_contain_text("Run again")


def test_a_page_runs_from_top_to_bottom(tab: Page) -> None:
    cell = new_cell(tab, "count = globals().get('count', 0) + 1\ncount")
    for _ in range(2):
        cell.run()
        expect(cell.result).to_have_text("1")


def test_endless_loop_is_stopped_and_python_starts_anew(tab: Page) -> None:
    cell = new_cell(tab, "print('on and on')\nwhile True:\n    pass")
    cell.button("Run").click()
    expect(cell.result).to_have_text("on and on\n", timeout=START)
    waiting = cell_of(tab, FIGURE)
    waiting.box.hover()
    waiting.button("Run").click()
    expect(waiting.status).to_contain_text("Waiting")
    cell.button("Stop").click()
    expect(cell.status).to_contain_text("Stopped")
    expect(waiting.status).to_contain_text("Stopped")
    cell.write("print(round(fit.tau, 2))")
    cell.run()
    expect(cell.result).to_have_text("36.01\n")


def test_endless_output_is_cut(tab: Page) -> None:
    cell = new_cell(tab, "for i in range(100_000):\n    print(i)")
    cell.run()
    expect(cell.result).to_contain_text("Only the first 100,000 characters are shown")
    assert len(cell.result.inner_text()) < 110_000


def test_traceback_is_of_the_readers_code(tab: Page) -> None:
    cell = new_cell(tab, "def ratio(a, b):\n    return a / b\n\nratio(1, 0)")
    cell.run()
    expect(cell.status).to_contain_text("ended with an error")
    shown = cell.result.inner_text()
    assert shown.startswith('Traceback (most recent call last):\n  File "this cell", line 4\n')
    assert "line 2, in ratio\n    return a / b" in shown
    assert shown.rstrip().endswith("ZeroDivisionError: division by zero")
    assert "/lib/python" not in shown
    assert "pyodide" not in shown


def test_error_of_the_library_names_its_line_and_the_readers(tab: Page) -> None:
    cell = new_cell(tab, "ms.lmm([1.0, 2.0], ms.group(g=['a']))")
    cell.run()
    shown = cell.result.inner_text()
    assert 'File "this cell", line 1' in shown
    assert len(re.findall("File ", shown)) == 2
    assert 'File "mixedsmooth/' in shown
    assert "ValueError" in shown


def test_syntax_error_points_to_the_place(tab: Page) -> None:
    cell = new_cell(tab, "1 +")
    cell.run()
    shown = cell.result.inner_text()
    assert shown.startswith('  File "this cell", line 1\n    1 +\n')
    assert "SyntaxError" in shown


def test_error_above_is_shown_where_it_is(tab: Page) -> None:
    above = new_cell(tab, "1 / 0")
    below = cell_of(tab, FIGURE)
    below.run()
    expect(below.status).to_contain_text("a cell above ended with an error")
    expect(above.result).to_contain_text("ZeroDivisionError")
    expect(below.result).to_have_count(0)
    expect(below.box.get_by_role("link", name="Go there")).to_have_attribute(
        "href", f"#{above.box.get_attribute('id')}"
    )


def test_values_are_shown_as_in_a_notebook(tab: Page) -> None:
    cell = new_cell(
        tab,
        "import warnings\n"
        "display(fit.tau > 36)\n"
        "warnings.warn('mind the gap')\n"
        "plt.plot([1, 2])\nplt.show()\n"
        "published.table([published.check('clark.ml.tau', fit.tau)])",
    )
    cell.run()
    outputs = cell.result.locator(":scope > *")
    kinds = outputs.evaluate_all("all => all.map(one => one.className || one.localName)")
    assert [re.sub(r".*live-", "", kind) for kind in kinds] == [
        "text",
        "stderr",
        "img",
        "output text_html",
    ]
    expect(outputs.nth(0)).to_have_text("True")
    expect(outputs.nth(1)).to_have_text("this cell, line 3: UserWarning: mind the gap\n")
    expect(outputs.nth(3).locator("table.published")).to_be_visible()


def test_semicolon_keeps_the_value_back(tab: Page) -> None:
    cell = new_cell(tab, "1 + 1;")
    cell.run()
    expect(cell.result).to_be_empty()


def test_random_numbers_come_again(tab: Page) -> None:
    first = Cell(tab.locator("div.cell:has(.live-bar)").first)
    code = first.box.locator(".cell_input pre").inner_text()
    first.write(code + "\nrng = np.random.default_rng(1)")
    cell = new_cell(tab, "rng.normal()")
    shown = []
    for _ in range(2):
        cell.run()
        shown.append(cell.result.inner_text())
    assert shown[0] == shown[1]


def test_explorable_moves_after_a_run(tab: Page) -> None:
    cell = cell_of(tab, ".explorable >> nth=0")
    cell.run()
    slider = cell.result.get_by_role("slider")
    before = slider.get_attribute("aria-valuetext")
    slider.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") != before


# ---- by keyboard, by ear, on a phone ----


def test_everything_works_by_keyboard(tab: Page) -> None:
    cell = Cell(tab.locator("div.cell:has(.live-bar)").nth(1))
    cell.button("Run").focus()
    expect(cell.box.locator(".live-bar")).not_to_have_css("opacity", "0")
    tab.keyboard.press("Tab")
    expect(cell.button("Edit")).to_be_focused()
    tab.keyboard.press("Enter")
    expect(cell.editor).to_be_focused()
    tab.keyboard.press("Control+a")
    tab.keyboard.insert_text("6 * 7")
    tab.keyboard.press("Tab")  # indents
    expect(cell.editor).to_be_focused()
    tab.keyboard.press("Shift+Enter")
    cell.done()
    expect(cell.result).to_have_text("42")
    tab.keyboard.press("Control+a")
    tab.keyboard.insert_text("6 * 8")
    tab.keyboard.press("Control+Enter")
    cell.done()
    expect(cell.result).to_have_text("48")
    expect(cell.editor).to_be_focused()
    tab.keyboard.press("Escape")
    tab.keyboard.press("Tab")
    expect(cell.editor).not_to_be_focused()


def test_progress_is_told_politely(tab: Page) -> None:
    voice = tab.locator(".live-voice")
    expect(voice).to_have_attribute("role", "status")
    cell = new_cell(tab, "import time; time.sleep(1)")
    cell.button("Run").click()
    expect(voice).to_have_text("Running")
    expect(voice).to_contain_text("Run by you", timeout=RUN)


def test_copy_button_copies_the_edited_code(tab: Page) -> None:
    tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    cell = new_cell(tab, "copied = 1")
    cell.box.locator(".cell_input .highlight").hover()
    cell.box.locator(".cell_input button.copybtn").click()
    assert tab.evaluate("navigator.clipboard.readText()") == "copied = 1"


def test_opening_the_editor_does_not_move_the_page(tab: Page) -> None:
    box = tab.locator("div.cell:has(.live-bar)").nth(1)
    code = box.locator(".cell_input pre")
    before = code.bounding_box()
    Cell(box).write(code.inner_text().rstrip())
    after = box.locator(".cm-content").bounding_box()
    assert before is not None
    assert after is not None
    assert after["height"] == pytest.approx(before["height"], abs=3)


def test_buttons_do_not_cover_each_other_on_a_phone(browser: Browser, book_url: str) -> None:
    context = browser.new_context(
        viewport={"width": PHONE, "height": 844}, has_touch=True, is_mobile=True
    )
    phone = context.new_page()
    phone.goto(book_url + CHAPTER)
    cell = phone.locator("div.cell:has(.live-bar)").first
    boxes = [
        cell.locator(selector).bounding_box()
        for selector in (".copybtn >> nth=0", ".live-run", ".live-edit", ".cell_input pre")
    ]
    copy, run, edit, code = (box for box in boxes if box is not None)
    for button in (run, edit):
        assert button["y"] >= copy["y"] + copy["height"]
        assert button["y"] >= code["y"] + code["height"]
        assert button["height"] >= 36
    assert edit["x"] >= run["x"] + run["width"]
    context.close()


# ---- when something is missing ----


def test_missing_file_is_told_and_tried_again(browser: Browser, book_url: str) -> None:
    tab, _ = visit(browser, book_url)
    tab.context.route("**/scipy-*.whl", lambda route: route.abort())
    cell = Cell(tab.locator("div.cell:has(.live-bar)").first)
    cell.run()
    expect(cell.status).to_contain_text("Python could not be loaded")
    expect(cell.status).to_contain_text("scipy")
    tab.context.unroute("**/scipy-*.whl")
    cell.button("Try again").click()
    cell.done()
    expect(cell.result).to_contain_text("tau 36.01208")
    tab.context.close()


def test_two_tabs_do_not_disturb_each_other(
    running: tuple[Page, list[str]], browser: Browser
) -> None:
    tab, _ = running
    other = tab.context.new_page()
    other.goto(tab.url)
    there, here = new_cell(other, "mine = 1\nmine"), new_cell(tab, "'mine' in globals()")
    there.run()
    here.run()
    expect(here.result).to_have_text("False")
    other.close()
