"""Keep what Python makes of its modules' sources, so that a second visit need not make it again.

This file runs in Pyodide, in a reader's browser, before anything else (see live-worker.js).
Compiling the 700 modules that the first cell of a chapter imports takes two thirds of the time
that they need.
"""

import io
import os
import sys
import tarfile
from importlib.machinery import SourceFileLoader

FOLDER = "/tmp/bytecode"
MORE = 50  # files that make it worth while to keep them all anew

sys.dont_write_bytecode = False
sys.pycache_prefix = FOLDER
# What is kept belongs to one version of everything, so the age of a source says nothing.
SourceFileLoader.path_stats = (  # type: ignore[method-assign]
    lambda self, path: {"mtime": 0, "size": None}
)

kept = 0


def count() -> int:
    """Count the files of bytecode."""
    return sum(len(files) for *_, files in os.walk(FOLDER))


def restore(archive: bytes) -> None:
    """Take what an earlier visit has kept."""
    global kept
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall("/", filter="fully_trusted")  # our own, and checking takes longer
    kept = count()


def archive() -> bytes | None:
    """Pack all bytecode, if there is much that is new."""
    global kept
    if count() < kept + MORE:
        return None
    kept = count()
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        tar.add(FOLDER)
    return file.getvalue()
