"""The machinery of the book: its page extensions, what it vendors, and the pages it writes."""

import io
import re
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml
from book._ext.libcode import library_code, shorten_docstrings
from book._ext.pages import dropdowns_to_details
from book._ext.serve import HTML
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

ROOT = Path(__file__).parents[1]
BOOK = ROOT / "book"
SHOWN = "mixedsmooth.derivations.likelihood.negloglik_transformed"


# ---- libcode ----


def test_library_code_is_the_source_with_short_docstrings() -> None:
    shown = library_code(SHOWN)
    source = (ROOT / "lessons_src/mixedsmooth/derivations/likelihood.py").read_text()
    assert shown.role == "func"
    assert shown.file.endswith("likelihood.py")
    head, summary, *rest = shown.code.split('"""')
    assert head in source
    assert summary.strip() in source
    assert len(rest) == 1
    assert rest[0].strip() in source  # from the docstring's end to the last line, unchanged
    assert "Parameters" not in shown.code


def test_library_code_knows_classes_and_methods() -> None:
    assert library_code("mixedsmooth.published.Table").role == "class"
    assert library_code("mixedsmooth.published.Table.__str__").role == "meth"


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("nowhere.function", "no module 'nowhere'"),
        ("mixedsmooth.nothing", "no 'nothing' in the module 'mixedsmooth'"),
        ("mixedsmooth.published.Table.no", "no 'no' in the class 'Table'"),
        ("mixedsmooth.__version__", "is a str; name a function or a class"),
    ],
)
def test_library_code_refuses_what_is_not_there(name: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        library_code(name)


def test_broken_import_is_not_taken_for_a_missing_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_library.py").write_text("import not_installed_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        library_code("broken_library.function")


def test_docstrings_are_cut_to_their_summaries() -> None:
    code = '''\
@decorator
class Fit:
    r"""A fit of
    \\theta.

    Attributes
    ----------
    tau : float
    """

    tau: float

    def loss(self) -> float:
        """Return a loss.

        Long story.
        """
        text = """not a docstring

        at all"""
        return len(text)

    def plain(self) -> None:
        pass
'''
    short = '''\
@decorator
class Fit:
    r"""A fit of
    \\theta."""

    tau: float

    def loss(self) -> float:
        """Return a loss."""
        text = """not a docstring

        at all"""
        return len(text)

    def plain(self) -> None:
        pass
'''
    assert shorten_docstrings(code) == short


def test_a_long_summary_is_wrapped_to_the_width_of_the_page() -> None:
    summary = "Minimize the sum of squares and the penalty by least squares on augmented rows, once"
    shown = shorten_docstrings(f'def f() -> int:\n    """{summary}."""\n    return 1\n')
    assert max(map(len, shown.splitlines())) <= 78
    assert summary in " ".join(shown.split())


def build_page(folder: Path, text: str) -> tuple[str, str, Any]:
    """Build one page with libcode; return its HTML, the warnings and the environment."""
    source = folder / "source"
    source.mkdir()
    (source / "index.md").write_text(text)
    warnings = io.StringIO()
    with patch_docutils(), docutils_namespace():
        app = Sphinx(
            source,
            None,
            folder / "html",
            folder / "doctrees",
            "html",
            confoverrides={
                "extensions": ["myst_parser", "sphinx.ext.autodoc", "libcode"],
                "html_theme": "basic",
                "nitpicky": True,
                "autodoc_typehints": "none",
            },
            status=None,
            warning=warnings,
        )
        app.build()
    return (folder / "html/index.html").read_text(), warnings.getvalue(), app.env


@pytest.fixture
def extension_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BOOK / "_ext")


SPHINX_WARNS = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@SPHINX_WARNS
@pytest.mark.usefixtures("extension_path")
def test_libcode_shows_code_links_its_entry_and_notes_its_file(tmp_path: Path) -> None:
    name = "mixedsmooth.published.table"
    html, warnings, env = build_page(
        tmp_path,
        f"# Page\n\n```{{libcode}} {SHOWN}\n{name}\n```\n\n"
        f"```{{eval-rst}}\n.. py:function:: {name}\n.. py:function:: {SHOWN}\n```\n",
    )
    assert warnings == ""
    assert html.count('class="libcode docutils container"') == 2
    assert html.count('<span class="k">def</span>') == 2
    assert f'href="#{name}"' in html
    assert f'href="#{SHOWN}"' in html
    files = {Path(file).name for file in env.dependencies["index"]}
    assert files == {"likelihood.py", "published.py"}


@SPHINX_WARNS
@pytest.mark.usefixtures("extension_path")
@pytest.mark.parametrize("name", ["mixedsmooth.nothing", ""])
def test_libcode_with_a_wrong_name_is_an_error_of_the_build(tmp_path: Path, name: str) -> None:
    _, warnings, _ = build_page(tmp_path, f"# Page\n\n```{{libcode}} {name}\n```\n")
    assert "libcode:" in warnings


# ---- pages ----


def test_dropdowns_become_details() -> None:
    box = '<div class="{}"><p class="admonition-title">Hint</p><p>Try &lt;1&gt;</p></div>'
    closed = box.format("admonition dropdown")
    opened = box.format("admonition")
    changed = dropdowns_to_details(closed + opened)
    assert changed == (
        '<details class="admonition dropdown"><summary class="admonition-title">Hint</summary>'
        "<p>Try &lt;1&gt;</p></details>" + opened
    )


def test_vendored_mathjax_is_what_its_readme_says() -> None:
    folder = BOOK / "_static/mathjax"
    listed = dict(re.findall(r"^\| (\S+) \| ([0-9a-f]{64}) \|$", text(folder / "README.md"), re.M))
    present = {
        file.relative_to(folder).as_posix(): sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file() and file.name != "README.md"
    }
    assert "es5/tex-chtml.js" in present
    assert listed == present


def text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_every_page_of_the_contents_has_a_source_with_a_description() -> None:
    contents = yaml.safe_load(text(BOOK / "_toc.yml"))
    chapters = [chapter["file"] for part in contents["parts"] for chapter in part["chapters"]]
    descriptions = []
    for name in [contents["root"], *chapters]:
        front = yaml.safe_load(text(BOOK / f"{name}.md").split("---\n")[1])
        descriptions.append(front["myst"]["html_meta"]["description"])
    assert all(descriptions)
    assert len(set(descriptions)) == len(descriptions)


def test_lock_pins_every_package_and_names_no_index_and_no_path() -> None:
    lock = text(ROOT / "requirements.lock")
    assert not re.search(r"https?:|file:|--(extra-)?index-url|--find-links|(^|\s)/", lock)
    entries = re.split(r"\n(?=[a-z0-9])", lock.strip())
    assert len(entries) > 100
    assert [entry for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []
    for package in ("jupyter-book", "hatchling", "editables", "playwright", "pytest"):
        assert re.search(rf"^{package}==", lock, re.M), package


@pytest.mark.book
def test_pages_load_nothing_from_other_hosts() -> None:
    pages = [page for page in HTML.rglob("*.html") if "_static" not in page.parts]
    assert pages, "there is no built book: run `make book` first"
    loaded = re.compile(r"<(?:script|img|link|iframe|source)\b[^>]*(?:src|href)=\"(?:https?:)?//")
    assert [page.name for page in pages if loaded.search(text(page))] == []
    imported = re.compile(r"(?:@import|url\()\s*[\"']?(?:https?:)?//")
    assert [css.name for css in HTML.rglob("*.css") if imported.search(text(css))] == []
