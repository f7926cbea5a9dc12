"""Copy from an unpacked npm package of MathJax what the book needs (see ``make mathjax``)."""

import json
import shutil
import sys
from hashlib import sha256
from pathlib import Path

MATHJAX = Path(__file__).parents[1] / "_static" / "mathjax"
README = """\
# MathJax

From the npm package `mathjax`, version {version} (Apache License 2.0, see LICENSE), unchanged.
These are the files that a page with TeX can ask for: the component `tex-chtml`, its fonts, and the
TeX extensions that it loads when a formula needs one. `make mathjax` renews them.

| file | sha256 |
|---|---|
{table}
"""


def vendor(package: Path) -> None:
    """Replace the vendored files by those of the package."""
    version = json.loads((package / "package.json").read_text(encoding="utf-8"))["version"]
    extensions = package.glob("es5/input/tex/extensions/*.js")
    files = sorted(
        [
            package / "LICENSE",
            package / "es5" / "tex-chtml.js",
            *package.glob("es5/output/chtml/fonts/woff-v2/*.woff"),
            *(file for file in extensions if file.name != "all-packages.js"),
        ]
    )
    shutil.rmtree(MATHJAX, ignore_errors=True)
    rows = []
    for file in files:
        name = file.relative_to(package)
        target = MATHJAX / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
        rows.append(f"| {name.as_posix()} | {sha256(file.read_bytes()).hexdigest()} |")
    (MATHJAX / "README.md").write_text(
        README.format(version=version, table="\n".join(rows)), encoding="utf-8"
    )


if __name__ == "__main__":
    vendor(Path(sys.argv[1]))
