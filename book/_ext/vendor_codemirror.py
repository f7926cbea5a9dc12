"""Copy the bundle of CodeMirror to where the pages find it (see ``make codemirror``)."""

import json
import shutil
import sys
from hashlib import sha256
from pathlib import Path

CODEMIRROR = Path(__file__).parents[1] / "_static" / "codemirror"
README = """\
# CodeMirror

The editor of the live cells: these npm packages (MIT License, see LICENSE), bundled into one file.
`make codemirror` renews it from `book/_ext/codemirror`, where the versions are.

| package | version |
|---|---|
{table}

| file | sha256 |
|---|---|
| codemirror.js | {digest} |
"""


def vendor(folder: Path) -> None:
    """Replace the vendored files by those of a folder in which the bundle was made."""
    packages = json.loads((folder / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    rows = [
        f"| {name.removeprefix('node_modules/')} | {package['version']} |"
        for name, package in packages.items()
        if name and not package.get("dev")
    ]
    bundle = (folder / "codemirror.js").read_bytes()
    shutil.rmtree(CODEMIRROR, ignore_errors=True)
    CODEMIRROR.mkdir(parents=True)
    (CODEMIRROR / "codemirror.js").write_bytes(bundle)
    shutil.copyfile(folder / "node_modules/@codemirror/view/LICENSE", CODEMIRROR / "LICENSE")
    (CODEMIRROR / "README.md").write_text(
        README.format(table="\n".join(rows), digest=sha256(bundle).hexdigest()), encoding="utf-8"
    )


if __name__ == "__main__":
    vendor(Path(sys.argv[1]))
