"""The layers of the library: nothing imports upward, and derivations and engine do not meet."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "lessons_src" / "mixedsmooth"
LAYERS = [
    "syntax",
    "covariance",
    "precision",
    "engine",
    "blocked",
    "unpenalized",
    "sparse",
    "bases",
    "smooths",
    "tensor",
    "rows",
    "structures",
    "parts",
    "terms",
    "functions",
    "problem",
    "families",
    "laplace",
    "descent",
    "optimize",
    "summary",
    "curves",
    "fit",
    "ranges",
    "lmm",
    "glmm",
    "formula",
]
# What is computed from a fit. The methods of a fit load it when they are called.
INFERENCE = [
    "progress",
    "parameters",
    "intervals",
    "surface",
    "sections",
    "profile",
    "degrees",
    "comparison",
    "simulation",
    "boundary",
    "together",
    "bootstrap",
    "confidence",
    "prediction",
    "bands",
    "diagnostics",
]


def imported(module: Path, *, loading: bool = False) -> set[str]:
    """Name the modules of the library that a module imports, wherever the import stands.

    With `loading` those alone that are imported when the module is.
    """
    tree = ast.parse(module.read_text(encoding="utf-8"))
    found = set()
    for node in tree.body if loading else ast.walk(tree):
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


@pytest.mark.parametrize("module", LAYERS)
def test_the_engine_loads_no_inference(module: str) -> None:
    path = PACKAGE / "model" / f"{module}.py"
    inference = "mixedsmooth.inference"
    assert not any(name.startswith(inference) for name in imported(path, loading=True))
    # a fit and its curves have methods for what is computed from them
    if module not in ("curves", "fit"):
        assert not any(name.startswith(inference) for name in imported(path))


def test_inference_has_its_layers() -> None:
    package = PACKAGE / "inference"
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    assert modules <= set(INFERENCE)
    for layer, module in enumerate(INFERENCE):
        if module in modules:
            names = imported(package / f"{module}.py")
            of_package = {name.split(".")[2] for name in names if name.count(".") > 1}
            below = set(INFERENCE[:layer])
            assert of_package & set(INFERENCE) <= below, module


@pytest.mark.parametrize(("package", "other"), [("model", "derivations"), ("derivations", "model")])
def test_derivations_and_engine_do_not_meet(package: str, other: str) -> None:
    for module in (PACKAGE / package).glob("*.py"):
        assert not any(name.startswith(f"mixedsmooth.{other}") for name in imported(module))
