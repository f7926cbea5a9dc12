"""What runs the book in the reader's browser: Pyodide's files, the wheel, JupyterLite, links."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml
from book._ext.lite import build_wheel, jupyterlite, launch, pyodide
from book._ext.serve import HTML

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://github.com/someone/shrinking"


# ---- the local Pyodide ----


def test_pins_of_the_kernel_are_the_versions_of_pyodides_lock() -> None:
    lock = pyodide.read_lock()
    pinned = dict(re.findall(r"^(\S+)==(\S+) --hash", pyodide.KERNEL_WHEELS.read_text(), re.M))
    needed = set(pyodide.closure(lock, pyodide.KERNEL_NEEDS))
    carried = set(pyodide.closure(lock, (*pyodide.LIBRARIES, "micropip")))
    assert pinned.keys() == needed - carried
    assert {name: lock["packages"][name]["version"] for name in pinned} == pinned


def test_a_file_that_differs_or_is_missing_is_named() -> None:
    right = pyodide.digest(b"right")
    assert pyodide.checked(b"right", "core.wasm", right, "somewhere") == b"right"
    with pytest.raises(pyodide.PyodideError, match=rf"core\.wasm from somewhere .* not {right}"):
        pyodide.checked(b"wrong", "core.wasm", right, "somewhere")
    with pytest.raises(pyodide.PyodideError, match=r"core\.wasm is missing in somewhere"):
        pyodide.checked(None, "core.wasm", right, "somewhere")


@pytest.mark.parametrize("content", [None, b"not a wheel"])
def test_carried_wheels_are_checked(
    content: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def carrier(folder: Path, *what: str) -> None:
        with ZipFile(folder / "open_webui-1-py3-none-any.whl", "w") as archive:
            for package in pyodide.read_lock()["packages"].values():
                if content is not None:
                    archive.writestr(pyodide.CARRIED + package["file_name"], content)

    monkeypatch.setattr(pyodide, "download", carrier)
    with pytest.raises(pyodide.PyodideError, match=r"contourpy-\S+\.whl (from|is missing in) open"):
        dict(pyodide.compiled_wheels(tmp_path, pyodide.read_lock()))


def test_without_npm_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pyodide.PyodideError, match=r"npm is missing.*apt-get install npm"):
        dict(pyodide.core_files(tmp_path))


def test_local_lock_has_what_is_there_and_says_what_is_not() -> None:
    lock = pyodide.read_lock()
    wanted = pyodide.closure(lock, pyodide.LIBRARIES + pyodide.KERNEL_NEEDS)
    files = {lock["packages"][name]["file_name"]: name.encode() for name in wanted}
    trimmed = pyodide.local_lock(lock, files)
    assert list(trimmed["packages"]) == wanted
    assert trimmed["packages"]["numpy"]["sha256"] == pyodide.digest(b"numpy")
    files.pop(lock["packages"]["scipy"]["file_name"])
    with pytest.raises(pyodide.PyodideError, match="No wheel was gathered of: scipy"):
        pyodide.local_lock(lock, files)


# ---- the wheel and the kernel's lock ----


def test_the_same_sources_make_the_same_wheel(tmp_path: Path) -> None:
    first, second = build_wheel(tmp_path / "1"), build_wheel(tmp_path / "2")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


def test_every_package_of_the_kernels_lock_has_all_that_it_needs() -> None:
    known = pyodide.read_lock()
    wheel = jupyterlite.EXTENSION / "static" / "pypi"
    (piplite,) = wheel.glob("piplite-*.whl")
    lock = jupyterlite.kernel_lock(known, pyodide.CDN, {"here/piplite.whl": piplite})
    assert lock["packages"]["piplite"]["file_name"] == "here/piplite.whl"
    assert lock["packages"]["numpy"]["file_name"].startswith(f"{pyodide.CDN}numpy-")
    for needed in jupyterlite.DEPENDS.values():
        assert set(needed) <= known["packages"].keys() | jupyterlite.DEPENDS.keys()


def site() -> tuple[dict[str, Any], dict[str, Any]]:
    """Read the kernel's settings and lock from the built site."""
    settings = json.loads((HTML / "lite" / "jupyter-lite.json").read_text())
    plugins = settings["jupyter-config-data"]["litePluginSettings"]
    lock = json.loads((HTML / "lite" / "pyodide-lock.json").read_text())
    return plugins[jupyterlite.PLUGIN], lock


@pytest.mark.book
def test_files_of_the_site_are_those_of_its_lock() -> None:
    kernel, lock = site()
    text = (HTML / "lite" / "pyodide-lock.json").read_bytes()
    assert kernel["loadPyodideOptions"]["lockFileURL"].endswith(pyodide.digest(text))
    assert set(kernel["loadPyodideOptions"]["packages"]) <= lock["packages"].keys()
    assert jupyterlite.DEPENDS.keys() <= lock["packages"].keys()
    for package in lock["packages"].values():
        address = package["file_name"]
        if not address.startswith(pyodide.CDN):
            content = (HTML / "lite" / address).read_bytes()
            assert pyodide.digest(content) == package["sha256"], address


@pytest.mark.book
def test_pages_and_notebooks_use_one_pyodide_and_one_wheel() -> None:
    kernel, lock = site()
    page = (HTML / "01_grouped_data.html").read_text(encoding="utf-8")
    named = dict(re.findall(r'<meta name="(pyodide|mixedsmooth-wheel)" content="(.*?)" />', page))
    base = named["pyodide"]
    assert base in {pyodide.CDN, "pyodide/"}
    absolute = base if base == pyodide.CDN else f"./../{base}"
    assert kernel["pyodideUrl"] == f"{absolute}pyodide.mjs"
    assert lock["packages"]["numpy"]["file_name"].startswith(absolute)
    assert lock["packages"]["mixedsmooth"]["file_name"] == f"./../{named['mixedsmooth-wheel']}"


@pytest.mark.book
def test_every_students_notebook_opens_from_its_page() -> None:
    notebooks = {path.stem for path in (HTML / "exercises").glob("*.ipynb")}
    offered = {path.stem for path in (HTML / "lite" / "files").glob("*.ipynb")}
    linked = {
        path.stem
        for path in HTML.glob("*.html")
        if f"lite/notebooks/index.html?path={path.stem}.ipynb" in path.read_text(encoding="utf-8")
    }
    assert len(notebooks) >= 10
    assert notebooks == offered == linked


# ---- links ----


def test_links_to_binder_and_colab() -> None:
    assert [link.url for link in launch.hosted_links("03_likelihood", f"{REPOSITORY}.git")] == [
        "https://mybinder.org/v2/gh/someone/shrinking/notebooks"
        "?urlpath=lab/tree/notebooks/03_likelihood.ipynb",
        "https://colab.research.google.com/github/someone/shrinking/blob/notebooks"
        "/notebooks/03_likelihood.ipynb",
    ]


def test_without_a_repository_there_are_no_links() -> None:
    assert launch.hosted_links("03_likelihood", "") == []


@pytest.mark.parametrize("repository", ["someone/shrinking", "https://github.com/someone"])
def test_a_repository_must_have_an_address(repository: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"it is {repository!r}")):
        launch.hosted_links("03_likelihood", repository)


def test_published_notebooks_install_the_library_first() -> None:
    title = {"cell_type": "markdown", "metadata": {}, "source": "# 3"}
    imports = {"cell_type": "code", "metadata": {}, "source": "import mixedsmooth as ms"}
    notebook = json.dumps({"cells": [title, imports], "metadata": {}})
    cells = json.loads(launch.with_installation(notebook, REPOSITORY))["cells"]
    assert [cells[0], cells[2]] == [title, imports]
    assert f"%pip install --quiet git+{REPOSITORY}" in cells[1]["source"]


def test_without_a_repository_nothing_is_published(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "book/_ext/lite/launch.py"), str(tmp_path / "notebooks")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert bool(run.returncode) == (not launch.repository_address())
    assert (tmp_path / "notebooks").exists() == (not run.returncode)


# ---- workflows ----


@pytest.mark.parametrize("name", ["check.yml", "deploy.yml"])
def test_workflows_are_valid_and_run_the_tests(name: str) -> None:
    text = (ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow[True]  # YAML 1.1 reads the key `on` so
    assert workflow["permissions"] == {"contents": "read"}
    commands = []
    for job in workflow["jobs"].values():
        assert job["runs-on"]
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", step.get("uses", "actions/x@v1"))
            commands.append(step.get("run"))
    assert "bash .ci/run" in commands
