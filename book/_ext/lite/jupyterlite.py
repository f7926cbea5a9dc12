"""Make the JupyterLite site: the chapters' notebooks, and a kernel that has the library.

The kernel takes its packages by one lock: Pyodide's own, and with it the wheels that JupyterLite's
kernel brings and the library's. So ``import mixedsmooth`` works in a notebook at once, everything
is downloaded side by side, and no package index is asked.
"""

import json
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZipFile, ZipInfo

from packaging.utils import parse_wheel_filename

from . import pyodide

EXTENSION = Path(sys.prefix) / "share/jupyter/labextensions/@jupyterlite/pyodide-kernel-extension"
PLUGIN = "@jupyterlite/pyodide-kernel-extension:kernel"

# The wheels of this site, each with what it needs; Pyodide's lock has the others.
DEPENDS = {
    "comm": [],
    "ipykernel": [],
    "piplite": ["micropip"],
    "pyodide-kernel": ["comm", "ipython"],
    "mixedsmooth": ["numpy", "scipy", "matplotlib"],
}
# All that the start of the kernel and the first cell of a chapter ask for.
PRELOADED = ["micropip", "ipython", "jedi", *DEPENDS]

# Parts of Jupyter that ask other hosts, for news and for extensions.
DISABLED = [
    "@jupyterlab/apputils-extension:announcements",
    "@jupyterlab/extensionmanager-extension",
]
PREFERENCES = {
    "@jupyterlab/apputils-extension:themes": {"adaptive-theme": True},  # as the reader's system
    "@jupyterlab/notebook-extension:tracker": {
        "autoStartDefaultKernel": True,  # there is but one
        "windowingMode": "defer",  # all cells are in the page, for its search and screen readers
    },
}


def installed_wheel(name: str, folder: Path) -> Path:
    """Pack an installed package of pure Python into a wheel."""
    package = distribution(name)
    wheel = folder / f"{name}-{package.version}-py3-none-any.whl"
    with ZipFile(wheel, "w") as archive:
        for file in sorted(package.files or [], key=str):
            if file.suffix in {".py", ".typed"} or file.name in {"METADATA", "WHEEL", "LICENSE"}:
                archive.writestr(ZipInfo(file.as_posix()), file.read_binary())
    return wheel


def describe(wheel: Path, address: str) -> dict[str, Any]:
    """Describe a wheel of this site as Pyodide's lock does."""
    name, version, _, _ = parse_wheel_filename(wheel.name)
    return {
        "name": name,
        "version": str(version),
        "file_name": address,
        "install_dir": "site",
        "sha256": pyodide.digest(wheel.read_bytes()),
        "package_type": "package",
        "imports": [name.replace("-", "_")],
        "depends": DEPENDS[name],
        "unvendored_tests": False,
    }


def kernel_lock(lock: pyodide.Lock, base: str, wheels: dict[str, Path]) -> pyodide.Lock:
    """Join Pyodide's lock, its files at the address `base`, with the wheels at their addresses."""
    for package in lock["packages"].values():
        package["file_name"] = base + package["file_name"]
    ours = [describe(wheel, address) for address, wheel in wheels.items()]
    return lock | {"packages": lock["packages"] | {package["name"]: package for package in ours}}


def settings(base: str, lock: str) -> dict[str, Any]:
    """Say what is on in the site, where Pyodide is, and what the kernel loads."""
    kernel = {
        "pyodideUrl": f"{base}pyodide.mjs",
        "disablePyPIFallback": True,
        "loadPyodideOptions": {"lockFileURL": lock, "packages": PRELOADED},
    }
    return {
        "jupyter-lite-schema-version": 0,
        "jupyter-config-data": {
            "appName": "Shrinking and Smoothing",
            "appUrl": "./tree",
            "disabledExtensions": DISABLED,
            "litePluginSettings": {PLUGIN: kernel},
        },
    }


def build(lite: Path, notebooks: Path, wheel: Path, local: bool) -> None:
    """Write the site into the folder `lite`, beside the pages.

    Parameters
    ----------
    lite
        Where the site goes.
    notebooks
        The folder with the notebooks that the site offers.
    wheel
        The library's wheel, in its place among the pages.
    local
        Whether Pyodide is in the folder ``pyodide`` beside `lite`; else it comes from its CDN.
    """
    base = "./../pyodide/" if local else pyodide.CDN
    with TemporaryDirectory() as scratch:
        source = Path(scratch)
        comm = installed_wheel("comm", source)
        brought = {
            f"extensions/{EXTENSION.parent.name}/{EXTENSION.name}/static/pypi/{file.name}": file
            for file in (EXTENSION / "static" / "pypi").glob("*.whl")
            if parse_wheel_filename(file.name)[0] in DEPENDS
        }
        ours = {comm.name: comm, f"./../{wheel.relative_to(lite.parent).as_posix()}": wheel}
        known = pyodide.read_lock(pyodide.FOLDER / pyodide.LOCK.name if local else pyodide.LOCK)
        lock = json.dumps(kernel_lock(known, base, ours | brought))
        # The sum in its address keeps a browser from using an old lock with a new wheel.
        address = f"{pyodide.LOCK.name}?sha256={pyodide.digest(lock.encode())}"
        configuration = {
            "output_dir": str(lite),
            "ignore_sys_prefix": ["federated_extensions"],
            "federated_extensions": [str(EXTENSION)],
            "no_sourcemaps": True,
            "no_unused_shared_packages": True,
        }
        files = {
            "jupyter_lite_config.json": {"LiteBuildConfig": configuration},
            "jupyter-lite.json": settings(base, address),
            "overrides.json": PREFERENCES,
        }
        (source / "files").mkdir()
        for notebook in notebooks.glob("*.ipynb"):
            shutil.copy(notebook, source / "files")
        for name, content in files.items():
            (source / name).write_text(json.dumps(content), encoding="utf-8")
        command = (sys.executable, "-m", "jupyterlite_core", "build")
        subprocess.run(command, cwd=source, check=True, capture_output=True)
        shutil.copy(comm, lite)
        (lite / pyodide.LOCK.name).write_text(lock, encoding="utf-8")
