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

from mixedsmooth import published
from mixedsmooth.datasets import (
    Dataset,
    Epil,
    Gasoline,
    InstEval,
    SleepStudy,
    Volvo,
    load_epil,
    load_gasoline,
    load_insteval,
    load_sleepstudy,
    load_volvo,
)
from mixedsmooth.model.fit import Fit, RandomEffects
from mixedsmooth.model.formula import lmm_formula
from mixedsmooth.model.generalized import GeneralizedFit
from mixedsmooth.model.glmm import glmm
from mixedsmooth.model.lmm import lmm
from mixedsmooth.model.terms import group, linear, smooth

__version__ = "0.1.0"

__all__ = [
    "Dataset",
    "Epil",
    "Fit",
    "Gasoline",
    "GeneralizedFit",
    "InstEval",
    "RandomEffects",
    "SleepStudy",
    "Volvo",
    "glmm",
    "group",
    "linear",
    "lmm",
    "lmm_formula",
    "load_epil",
    "load_gasoline",
    "load_insteval",
    "load_sleepstudy",
    "load_volvo",
    "published",
    "smooth",
]
