"""The machinery of the book: its page extensions, what it vendors, and the pages it writes."""

import io
import re
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from book._ext.libcode import library_code, merge, purge, shorten_docstrings, shown_on
from book._ext.pages import dropdowns_to_details
from book._ext.serve import HTML
from bs4 import BeautifulSoup
from docutils import nodes  # type: ignore[import-untyped]
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


def build_pages(folder: Path, **pages: str) -> tuple[str, Sphinx]:
    """Build pages with libcode into ``html``; return the warnings and the builder of it all."""
    source = folder / "source"
    source.mkdir()
    for name, content in pages.items():
        (source / f"{name}.md").write_text(content)
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
                "numfig": True,
                "math_numfig": True,
                "math_eqref_format": "({number})",
            },
            status=None,
            warning=warnings,
        )
        app.build()
    return warnings.getvalue(), app


def build_page(folder: Path, content: str) -> tuple[str, str, Any]:
    """Build one page with libcode; return its HTML, the warnings and the environment."""
    warnings, app = build_pages(folder, index=content)
    return text(folder / "html/index.html"), warnings, app.env


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


# Both chapters show a function that cites (1.1) and (2.1); that of (2.2) stands in chapter 1. The
# function that cites (1.2) is shown nowhere and has an entry in the reference. Nothing cites (1.3).
SCORE = "mixedsmooth.derivations.likelihood.score"
NEGLOGLIK_MVN = "mixedsmooth.derivations.likelihood.negloglik_mvn"
FIRST = f"""# First

```{{math}}
:label: eq-3-star
y = x
```

```{{math}}
:label: eq-3-mvn
y = x
```

```{{math}}
:label: eq-nobody
y = x
```

```{{libcode}} {SHOWN}
{SCORE}
```
"""
SECOND = f"""# Second

```{{math}}
:label: eq-3-loglik
y = x
```

```{{math}}
:label: eq-3-score
y = x
```

```{{libcode}} {SHOWN}
```
"""
CONTENTS = f"""# Book

```{{toctree}}
:numbered:
first
second
```

```{{eval-rst}}
.. py:function:: {SHOWN}
.. py:function:: {SCORE}
.. py:function:: {NEGLOGLIK_MVN}
```
"""


@SPHINX_WARNS
@pytest.mark.usefixtures("extension_path")
def test_code_links_its_equations_and_equations_their_code(tmp_path: Path) -> None:
    warnings, app = build_pages(tmp_path, index=CONTENTS, first=FIRST, second=SECOND)
    assert warnings == ""
    pages = {
        name: BeautifulSoup(text(tmp_path / f"html/{name}.html"), "html.parser") for name in ORDER
    }
    # the number in the comment leads to the equation, on this page or on another
    cited = pages["first"].select(".libcode .cited-equation")
    assert [(a.text, a["href"], a["aria-label"]) for a in cited] == [
        ("(1.1)", "#equation-eq-3-star", "equation (1.1)"),
        ("(2.1)", "second.html#equation-eq-3-loglik", "equation (2.1)"),
        ("(2.2)", "second.html#equation-eq-3-score", "equation (2.2)"),
    ]
    places = []
    for a in cited:
        line: Any = a.find_parent("span", class_="cited-line")
        places.append(line["id"])
        assert "\n" not in line.text
        assert a.find_parent("span", class_="c1") is not None  # highlighted as a comment still
        page, _, place = str(a["href"]).partition("#")
        assert pages[page.removesuffix(".html") or "first"].find(id=place) is not None
    assert "(eq-3-marginal)" in pages["first"].text  # what no page defines stays as it is
    # whoever reads the nodes of the page, as the notebooks do, finds the numbers in the code
    resolved = app.env.get_and_resolve_doctree("first", app.builder)
    box = next(iter(resolved.findall(nodes.literal_block)))
    assert "||y* - X* beta||^2 / 2  (2.1)" in box.astext()
    # the equation leads to the line: of the same page, of another, or to the entry
    way = "code of equation"
    assert [links_of(pages, name) for name in ORDER] == [
        [],
        [
            ("(1.1)", f"{way} 1.1: negloglik_transformed", f"#{places[0]}"),
            ("(1.2)", f"{way} 1.2: negloglik_mvn", f"index.html#{NEGLOGLIK_MVN}"),
        ],
        [
            ("(2.1)", f"{way} 2.1: negloglik_transformed", f"#{places[1]}"),
            ("(2.2)", f"{way} 2.2: score", f"first.html#{places[2]}"),
        ],
    ]


ORDER = ("index", "first", "second")


def links_of(pages: dict[str, BeautifulSoup], name: str) -> list[tuple[str, str, str]]:
    """Give the number, the label and the target of each link below an equation of a page."""
    found = []
    for link in pages[name].select(".equation-code a"):
        below: Any = link.find_parent(class_="equation-code")
        number = below.find_previous_sibling(class_="math").select_one(".eqno").find(string=True)
        page, _, place = str(link["href"]).partition("#")
        assert pages[page.removesuffix(".html") or name].find(id=place) is not None
        spoken = str(link["aria-label"])
        assert link.text in spoken
        found.append((str(number), spoken, str(link["href"])))
    return found


def test_what_pages_show_is_forgotten_and_merged() -> None:
    here, there, app = SimpleNamespace(), SimpleNamespace(), SimpleNamespace()
    env: Any = here
    shown_on(env)["old"] = ["a"]
    purge(app, env, "old")  # type: ignore[arg-type]
    assert shown_on(env) == {}
    other: Any = there
    shown_on(other).update(new=["b"], unread=["c"])
    merge(app, env, {"new"}, other)  # type: ignore[arg-type]
    assert shown_on(env) == {"new": ["b"]}


@SPHINX_WARNS
@pytest.mark.usefixtures("extension_path")
def test_a_line_that_cites_again_has_no_second_anchor(tmp_path: Path) -> None:
    name = "mixedsmooth.derivations.laplace.penalized_mode"
    equation = "```{math}\n:label: eq-11-gradient\ny = x\n```\n"
    page, _, _ = build_page(tmp_path, f"# Page\n\n{equation}\n```{{libcode}} {name}\n```\n")
    soup = BeautifulSoup(page, "html.parser")
    assert len(soup.select(".cited-equation")) == 2
    lines = soup.select(".cited-line")
    assert [line["id"] for line in lines] == ["eq-11-gradient-in-penalized_mode"]
    assert "L L' = Lambda' Z' W Z Lambda + I" in lines[0].text


@SPHINX_WARNS
@pytest.mark.usefixtures("extension_path")
def test_a_private_function_is_shown_without_an_entry(tmp_path: Path) -> None:
    name = "mixedsmooth.derivations.penalized_ls._pivots"
    page, warnings, _ = build_page(tmp_path, f"# Page\n\n```{{libcode}} {name}\n```\n")
    assert warnings == ""
    assert "_pivots" in page
    assert ">API<" not in page


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
