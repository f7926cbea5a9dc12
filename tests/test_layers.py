"""The layers of the engine: nothing imports upward, and derivations and engine do not meet."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "lessons_src" / "mixedsmooth"
LAYERS = [
    "syntax",
    "covariance",
    "engine",
    "blocked",
    "unpenalized",
    "sparse",
    "bases",
    "smooths",
    "rows",
    "terms",
    "functions",
    "problem",
    "families",
    "laplace",
    "descent",
    "optimize",
    "summary",
    "fit",
    "lmm",
    "glmm",
    "formula",
]


def imported(module: Path) -> set[str]:
    """Name the modules of the library that a module imports, wherever the import stands."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.startswith("mixedsmooth")}


def test_every_module_of_the_engine_has_its_layer() -> None:
    modules = {path.stem for path in (PACKAGE / "model").glob("*.py")} - {"__init__"}
    assert modules == set(LAYERS)


@pytest.mark.parametrize("layer", range(len(LAYERS)), ids=LAYERS)
def test_nothing_imports_upward(layer: int) -> None:
    below = {f"mixedsmooth.model.{name}" for name in LAYERS[:layer]}
    of_engine = {
        ".".join(name.split(".")[:3])
        for name in imported(PACKAGE / "model" / f"{LAYERS[layer]}.py")
        if name.startswith("mixedsmooth.model.")
    }
    assert of_engine <= below


@pytest.mark.parametrize(("package", "other"), [("model", "derivations"), ("derivations", "model")])
def test_derivations_and_engine_do_not_meet(package: str, other: str) -> None:
    for module in (PACKAGE / package).glob("*.py"):
        assert not any(name.startswith(f"mixedsmooth.{other}") for name in imported(module))
