"""The files around the library tell the truth: README, versions, environments, packages."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

import mixedsmooth as ms

ROOT = Path(__file__).parents[1]
DATA_FILES = {
    "sleepstudy.csv",
    "gasoline.csv",
    "volvo.csv",
    "epil.csv",
    "insteval.csv.gz",
    "bacteria.csv",
    "pastes.csv",
    "dyestuff.csv",
    "mcycle.csv",
    "ethanol.csv",
    "co2.csv",
    "columbus.csv",
    "columbus_neighbours.csv",
    "columbus_polygons.csv",
    "meuse.csv",
    "bodyfat.csv",
    "benchmark.json",
    "coverage.json",
    "published.toml",
}


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(text("pyproject.toml"))["project"]
    return table


def optional() -> dict[str, list[str]]:
    """Return the requirements of each extra, without the other extras that it includes."""
    extras: dict[str, list[str]] = project()["optional-dependencies"]
    return {
        extra: [item for item in items if not item.startswith(f"{project()['name']}[")]
        for extra, items in extras.items()
    }


def split_requirement(requirement: str) -> tuple[str, str]:
    """'numpy>=1.26' -> ('numpy', '>=1.26')."""
    match = re.fullmatch(r"([A-Za-z0-9._-]+?)\s*([<>=!~].*)?", requirement)
    assert match is not None, requirement
    return match[1].lower(), match[2] or ""


# README


def block(language: str) -> str:
    match = re.search(rf"^```{language}\n(.*?)^```$", text("README.md"), re.MULTILINE | re.DOTALL)
    assert match is not None
    return match[1]


def test_the_lines_of_the_readme_run_and_print_what_it_shows() -> None:
    code = block("python")
    assert len(code.splitlines()) <= 10
    run = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout == block("text")


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", "data/README.md", "tests/reference/README.md"]
)
def test_linked_files_are_there(name: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", text(name))
    missing = [
        target
        for target in targets
        if "://" not in target and not ((ROOT / name).parent / target).exists()
    ]
    assert missing == []


# Versions


def test_version_is_the_same_everywhere() -> None:
    assert project()["version"] == ms.__version__
    assert str(yaml.safe_load(text("CITATION.cff"))["version"]) == ms.__version__
    assert re.search(rf"^## \[{re.escape(ms.__version__)}\]", text("CHANGELOG.md"), re.MULTILINE)
    assert re.search(rf"\b{re.escape(ms.__version__)}\.", text("README.md"))


def test_citation_has_what_the_format_requires() -> None:
    citation = yaml.safe_load(text("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    assert citation["authors"] == project()["authors"]
    assert citation["license"] == project()["license"]


# The conda environment

CONDA_NAMES = {"matplotlib": "matplotlib-base"}  # without the windows that a book does not open


def test_conda_environment_agrees_with_pyproject() -> None:
    listed = yaml.safe_load(text("environment.yml"))["dependencies"]
    (by_pip,) = (item["pip"] for item in listed if isinstance(item, dict))
    by_conda = [item for item in listed if isinstance(item, str)]
    assert "-e ." in by_pip
    assert "pip" in by_conda
    environment = dict(
        split_requirement(item) for item in by_conda + by_pip if item not in ("-e .", "pip")
    )
    wanted = dict(
        split_requirement(item) for item in project()["dependencies"] + optional()["book"]
    )
    wanted = {CONDA_NAMES.get(name, name): bound for name, bound in wanted.items()}
    wanted["python"] = project()["requires-python"]
    assert environment == wanted


def test_bounds_of_a_package_agree_between_extras() -> None:
    bounds: dict[str, set[str]] = {}
    for requirements in optional().values():
        for name, bound in map(split_requirement, requirements):
            bounds.setdefault(name, set()).add(bound)
    assert [name for name, found in bounds.items() if len(found) > 1] == []


# The lock


def locked() -> dict[str, str]:
    """Each locked package, with the text up to the next one."""
    parts = re.split(
        r"^([a-z0-9][a-z0-9._-]*)(?===)", text("requirements.lock"), flags=re.MULTILINE
    )
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_lock_has_every_direct_dependency() -> None:
    groups = [project()["dependencies"], *optional().values()]
    direct = {split_requirement(requirement)[0] for group in groups for requirement in group}
    assert direct - locked().keys() == set()


def test_lock_has_exact_versions_hashes_and_no_address() -> None:
    assert "://" not in text("requirements.lock")
    assert "--index-url" not in text("requirements.lock")
    for name, rest in locked().items():
        assert re.match(r"==[0-9][^\s;]*( ;[^\\\n]*)? \\\n    --hash=sha256:[0-9a-f]{64}", rest), (
            name
        )


# The packages


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the source distribution from the checkout, and the wheel from that."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT],
        check=True,
        capture_output=True,
    )
    return folder


def test_source_distribution_has_data_tests_and_license(packages: Path) -> None:
    (sdist,) = packages.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"data/{name}" for name in DATA_FILES} <= names
    assert {"LICENSE", "README.md", "pyproject.toml", "tests/test_project_files.py"} <= names


def test_wheel_alone_loads_the_data_and_the_ledger(packages: Path, tmp_path: Path) -> None:
    (wheel,) = packages.glob("*.whl")
    site = tmp_path / "away" / "from" / "the" / "checkout"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    assert {path.name for path in (site / "mixedsmooth" / "data").iterdir()} >= DATA_FILES
    assert (site / "mixedsmooth" / "py.typed").exists()
    check = f"""
import sys
sys.path.insert(0, {str(site)!r})
import mixedsmooth as ms
from mixedsmooth import published
assert ms.__file__.startswith({str(site)!r}), ms.__file__
loaders = ms.load_sleepstudy, ms.load_gasoline, ms.load_volvo, ms.load_epil, ms.load_columbus
print(*(len(load()) for load in loaders), len(published.entries()) > 300)
"""
    run = subprocess.run(
        [sys.executable, "-I", "-c", check],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert run.stdout.split() == ["180", "342", "19", "236", "49", "True"]
