"""Python in the reader's browser: the library's wheel, Pyodide, and JupyterLite.

- Each page says, in two ``<meta>`` elements, where Pyodide and the library's wheel are.
- Each chapter has a button that opens its notebook in the JupyterLite site, in ``lite/``, and
  others if the repository has an address: see ``launch``.
- The wheel is put into ``_static/wheels/``, under a folder named by its content, so that a
  browser never takes an old one from its cache.
- With ``LITE=local`` in the environment, the set that ``make pyodide`` gathers is put into
  ``pyodide/``, and nothing is asked from another host. Otherwise Pyodide comes from its CDN.

None of this is made where the packages of the extra ``lite`` are not installed.
"""

import os
import shutil
import subprocess
import sys
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from docutils import nodes  # type: ignore[import-untyped]
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.util.typing import ExtensionMetadata

from . import jupyterlite, launch, pyodide

ROOT = Path(__file__).parents[3]


def available() -> bool:
    """Say whether the packages of the extra ``lite`` are installed."""
    return all(find_spec(name) for name in ("jupyterlite_pyodide_kernel", "hatchling"))


def is_local() -> bool:
    """Say whether Pyodide is to stand beside the pages."""
    asked = os.environ.get("LITE", "")
    if asked not in {"", "local"}:
        raise ExtensionError(f"LITE must be `local`, or not set; it is `{asked}`.")
    if asked and not (pyodide.FOLDER / pyodide.LOCK.name).is_file():
        raise ExtensionError("LITE=local, and there is no local Pyodide: run `make pyodide` first.")
    return asked == "local"


def build_wheel(folder: Path) -> Path:
    """Build the library's wheel; the same sources make the same bytes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = (sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory")
    subprocess.run((*command, folder), cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def prepare(app: Sphinx, config: Config) -> None:
    """Find what every page names, and build the wheel; a change in it writes all pages anew."""
    config.lite_repository = launch.repository_address()
    if available():
        wheel = build_wheel(Path(app.outdir).parent / "wheel")
        content = pyodide.digest(wheel.read_bytes())
        config.lite_wheel = f"_static/wheels/{content[:8]}/{wheel.name}"
        config.lite_pyodide = "pyodide/" if is_local() else pyodide.CDN


def name_addresses(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Tell the scripts of a page where Pyodide and the wheel are."""
    addresses = {"pyodide": app.config.lite_pyodide, "mixedsmooth-wheel": app.config.lite_wheel}
    for name, address in addresses.items():
        if address:
            link = escape(context["pathto"](address, resource=True), quote=True)
            context["metatags"] = context.get("metatags", "") + (
                f'<meta name="{name}" content="{link}" />\n'
            )


def add_launch_menu(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Offer to run a chapter: a button if there is one way, a menu if there are several."""
    exercises = getattr(app.env, "sphinx_exercise_registry", {}).values()
    if page not in {exercise["docname"] for exercise in exercises}:
        return
    links = [launch.lite_link(page, context["pathto"]("", resource=True))] if available() else []
    links += launch.hosted_links(page, app.config.lite_repository)
    buttons = [{"type": "link", "label": "launch", **link._asdict()} for link in links]
    if len(buttons) > 1:
        menu = {"type": "group", "label": "launch-buttons", "icon": "fas fa-rocket"}
        buttons = [menu | {"tooltip": "Run this chapter", "buttons": buttons}]
    context["header_buttons"][:0] = buttons


def finish(app: Sphinx, failure: Exception | None) -> None:
    """Put the wheel, the JupyterLite site and a local Pyodide beside the pages."""
    if failure or not available() or app.builder.name != "html":
        return
    html = Path(app.outdir)
    for folder in ("_static/wheels", "lite", "pyodide"):
        shutil.rmtree(html / folder, ignore_errors=True)
    wheel = html / app.config.lite_wheel
    wheel.parent.mkdir(parents=True)
    shutil.copy(html.parent / "wheel" / wheel.name, wheel)
    if is_local():
        shutil.copytree(pyodide.FOLDER, html / "pyodide")
    jupyterlite.build(html / "lite", html / "exercises", wheel, is_local())


def setup(app: Sphinx) -> ExtensionMetadata:
    """Connect the functions to the events of the build."""
    app.add_config_value("lite_pyodide", "", "html")
    app.add_config_value("lite_repository", "", "html")
    app.add_config_value("lite_wheel", "", "html")
    app.connect("config-inited", prepare)
    app.connect("html-page-context", name_addresses)
    app.connect("html-page-context", add_launch_menu, priority=510)  # after the theme's buttons
    app.connect("build-finished", finish, priority=900)  # after the notebooks are written
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
