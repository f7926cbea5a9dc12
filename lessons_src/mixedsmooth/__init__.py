"""Mixed models and additive models, derived, coded and checked.

The library of the book *Shrinking and Smoothing*. Its thread: a random effect and a smooth are
the same thing, a set of coefficients with a quadratic penalty.

Examples
--------
>>> import mixedsmooth as ms
>>> sleep = ms.load_sleepstudy()
>>> len(sleep)
180
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mixedsmooth import published
from mixedsmooth.datasets import (
    Bacteria,
    BodyFat,
    CarbonDioxide,
    Columbus,
    Dataset,
    Dyestuff,
    Epil,
    Ethanol,
    Gasoline,
    InstEval,
    Meuse,
    Motorcycle,
    Pastes,
    SleepStudy,
    Volvo,
    load_bacteria,
    load_benchmark,
    load_bodyfat,
    load_co2,
    load_columbus,
    load_coverage,
    load_dyestuff,
    load_epil,
    load_ethanol,
    load_gasoline,
    load_insteval,
    load_mcycle,
    load_meuse,
    load_pastes,
    load_sleepstudy,
    load_volvo,
)
from mixedsmooth.inference.bootstrap import bootstrap
from mixedsmooth.inference.boundary import variance_test
from mixedsmooth.inference.comparison import compare
from mixedsmooth.model.fit import Fit, GeneralizedFit, RandomEffects
from mixedsmooth.model.formula import glmm_formula, lmm_formula
from mixedsmooth.model.glmm import glmm
from mixedsmooth.model.lmm import lmm
from mixedsmooth.model.structures import neighbours, relationship
from mixedsmooth.model.terms import group, labels, linear, penalized, smooth

if TYPE_CHECKING:
    from mixedsmooth import exercises
else:

    def __getattr__(name: str) -> Any:
        """Load the exercises at their first use: they need scipy.stats, which takes its time."""
        if name == "exercises":
            return import_module("mixedsmooth.exercises")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__version__ = "0.1.0"

__all__ = [
    "Bacteria",
    "BodyFat",
    "CarbonDioxide",
    "Columbus",
    "Dataset",
    "Dyestuff",
    "Epil",
    "Ethanol",
    "Fit",
    "Gasoline",
    "GeneralizedFit",
    "InstEval",
    "Meuse",
    "Motorcycle",
    "Pastes",
    "RandomEffects",
    "SleepStudy",
    "Volvo",
    "bootstrap",
    "compare",
    "exercises",
    "glmm",
    "glmm_formula",
    "group",
    "labels",
    "linear",
    "lmm",
    "lmm_formula",
    "load_bacteria",
    "load_benchmark",
    "load_bodyfat",
    "load_co2",
    "load_columbus",
    "load_coverage",
    "load_dyestuff",
    "load_epil",
    "load_ethanol",
    "load_gasoline",
    "load_insteval",
    "load_mcycle",
    "load_meuse",
    "load_pastes",
    "load_sleepstudy",
    "load_volvo",
    "neighbours",
    "penalized",
    "published",
    "relationship",
    "smooth",
    "variance_test",
]
