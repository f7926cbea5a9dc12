"""Links that open a chapter's notebook, and the notebooks of the branch that they lead to.

The repository's address is in ``_config.yml``, and there only. The deploy workflow publishes a
branch that is the repository with the students' notebooks in a folder ``notebooks``: Binder builds
its environment from the branch's ``environment.yml``, Colab takes the library from the repository
in a first cell. Run as a script, this module writes that folder.
"""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import yaml

BOOK = Path(__file__).parents[2]
NOTEBOOKS = BOOK / "_build" / "html" / "exercises"
BRANCH = "notebooks"
INSTALL = """\
# Where the library is missing, as on Colab, install it.
from importlib.util import find_spec

if find_spec("mixedsmooth") is None:
    %pip install --quiet git+{repository}"""


class Link(NamedTuple):
    """One way to run a chapter."""

    text: str
    tooltip: str
    url: str
    icon: str


def repository_address() -> str:
    """Read the repository's address; empty if it has none."""
    config = yaml.safe_load((BOOK / "_config.yml").read_text(encoding="utf-8"))
    return str(config["repository"]["url"])


def lite_link(name: str, root: str) -> Link:
    """Link to a chapter's notebook in this book's JupyterLite, from the book's `root`."""
    text = "Open as a notebook in the browser"
    url = f"{root}lite/notebooks/index.html?path={quote(name)}.ipynb"
    return Link(text, f"{text}: nothing to install", url, "fas fa-rocket")


def hosted_links(name: str, repository: str) -> list[Link]:
    """Link to a chapter's notebook on Binder and on Colab; both know repositories on GitHub."""
    if not repository:
        return []
    place = urlsplit(repository)
    owner_and_name = place.path.strip("/").removesuffix(".git")
    if place.netloc != "github.com" or owner_and_name.count("/") != 1:
        raise ValueError(
            "repository.url in _config.yml must be https://github.com/OWNER/NAME, or empty; "
            f"it is {repository!r}."
        )
    path = f"notebooks/{quote(name)}.ipynb"
    binder = f"https://mybinder.org/v2/gh/{owner_and_name}/{BRANCH}?urlpath=lab/tree/{path}"
    colab = f"https://colab.research.google.com/github/{owner_and_name}/blob/{BRANCH}/{path}"
    return [
        Link("Binder", "Run on Binder", binder, "_static/images/logo_binder.svg"),
        Link("Colab", "Run on Colab", colab, "_static/images/logo_colab.png"),
    ]


def with_installation(notebook: str, repository: str) -> str:
    """Put a cell that installs the library before the first code cell of a notebook."""
    content = json.loads(notebook)
    cells = content["cells"]
    first = next(i for i, cell in enumerate(cells) if cell["cell_type"] == "code")
    cell: dict[str, Any] = {
        "cell_type": "code",
        "execution_count": None,
        "id": "installation",
        "metadata": {},
        "outputs": [],
        "source": INSTALL.format(repository=repository),
    }
    content["cells"] = [*cells[:first], cell, *cells[first:]]
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def publish(folder: Path) -> None:
    """Write the notebooks of the published branch into a folder."""
    repository = repository_address()
    if not repository:
        sys.exit("repository.url in book/_config.yml is empty: no notebooks were published.")
    folder.mkdir(parents=True, exist_ok=True)
    for notebook in sorted(NOTEBOOKS.glob("*.ipynb")):
        text = with_installation(notebook.read_text(encoding="utf-8"), repository)
        (folder / notebook.name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    publish(Path(sys.argv[1]))
