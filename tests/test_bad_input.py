"""What cannot be right is refused: a ValueError names the argument and tells what was found.

First, columns: each kind of damage in each place that takes a column. Then all other arguments.
Last, what looks odd and is right.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

import mixedsmooth as ms
from mixedsmooth import kernels, plots, published
from mixedsmooth.derivations import (
    design,
    eigensplit,
    henderson,
    laplace,
    likelihood,
    penalized_ls,
    pql,
    reml,
    spline,
    tensor,
)
from mixedsmooth.explore import explorable, explorable_map, explorable_rows
from mixedsmooth.model import bases
from mixedsmooth.model.curves import Surface

FloatArray = NDArray[np.float64]
Call = Callable[[], object]
Bad = dict[str, tuple[Call, str]]  # by id: the call, and what the message says

N = 24
X = np.linspace(0.0, 1.0, N) ** 2
Z = np.cos(5.0 * np.arange(N))
Y = np.round(3 + X + np.sin(7.0 * np.arange(N)) + np.repeat([0.0, 2.0, -1.0, 1.0], 6), 3)
G = np.repeat(["a", "b", "c", "d"], 6)
H = np.tile(["p", "q", "r"], 8)
COUNTS = np.tile([0.0, 3, 1, 5, 2, 1, 0, 4], 3)
BITS = np.tile([0.0, 1, 1, 0, 1, 0, 0, 1], 3)
GROUP = ms.group(g=G)
DESIGN = np.column_stack([np.ones(N), X])
INDICATORS = (G[:, None] == np.unique(G)).astype(float)
LAMBDA = 0.7 * np.eye(4)
PENALTY = np.diag([0.0, 1.0])
MARGIN = tensor.Margin(DESIGN, np.cos(X)[:, None])
SURFACE = Surface("s(x, y)", ("x", "y"), (X[:2], X[:2]), np.eye(2), np.ones((2, 2)), 2.0)
SQUARE = {"a": np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])}


@cache
def fit() -> ms.Fit:
    """Fit a straight line, a smooth and groups, to ask wrong things of."""
    return ms.lmm(Y, ms.linear(x=X), ms.smooth(t=Z, k=5, basis="ps"), GROUP)


@cache
def counts() -> ms.GeneralizedFit:
    """Fit counts."""
    return ms.glmm(COUNTS, ms.linear(x=X), GROUP)


@cache
def counts_with_offset() -> ms.GeneralizedFit:
    """Fit counts with an exposure."""
    return ms.glmm(COUNTS, GROUP, offset=Z)


def formula(text: Any, **columns: Any) -> ms.Fit:
    return ms.lmm_formula(text, {"y": Y, "x": X, "z": Z, "g": G, "h": H} | columns)


# ---- columns of numbers ----


def with_row_3(value: object) -> list[object]:
    """Numbers but for one."""
    return [value if i == 3 else float(x) for i, x in enumerate(X)]


NOT_NUMBERS: dict[str, tuple[Any, str]] = {
    "masked": (np.ma.masked_array(X, mask=np.arange(N) == 3), r"1 .*row 3"),
    "NaN": (np.array(with_row_3(np.nan)), r"1 .*row 3"),
    "infinite": (np.array(with_row_3(-np.inf)), r"1 value.*row 3"),
    "None": (with_row_3(None), r"1 .*row 3"),
    "pandas NA": (pd.array(with_row_3(pd.NA), dtype="Float64"), r"1 .*row 3"),
    "complex": (X + 1j, "complex"),
    "dates": (np.arange(N).astype("datetime64[D]"), "date"),
    "time differences": (np.arange(N).astype("timedelta64[h]"), "time"),
    "bytes": (np.array([b"1.5", b"2"] * (N // 2)), "bytes"),
    "dicts": ([{"a": 1}] * N, "dict"),
    "two columns": (np.column_stack([X, X]), rf"shape \({N}, 2\)"),
    "empty": ([], r"shape \(0,\)"),
    "too large to square": (np.where(np.arange(N) == 3, 1e160, X), "1e\\+160.*row 3"),
    "too small to square": (1e-170 * (1 + X), "2e-170"),
}
# Where labels may stand too, text is right.
TEXT = {"text": ([str(x) for x in X], "text"), "a category": (pd.Categorical(Y), "categor")}

Place = Callable[[Any], object]
NUMBERS: dict[str, tuple[str, Place]] = {
    "lmm y": ("y", lambda v: ms.lmm(v, GROUP)),
    "lmm weights": ("weights", lambda v: ms.lmm(Y, GROUP, weights=v)),
    "smooth": ("t", lambda v: ms.lmm(Y, ms.smooth(t=v, k=5))),
    "glmm y": ("y", lambda v: ms.glmm(v, GROUP)),
    "glmm offset": ("offset", lambda v: ms.glmm(COUNTS, GROUP, offset=v)),
    "glmm trials": ("trials", lambda v: ms.glmm(BITS, GROUP, family="binomial", trials=v)),
    "predict": ("x", lambda v: fit().predict({"x": v, "t": Z, "g": G})),
    "predict a smooth": ("t", lambda v: fit().predict({"x": X, "t": v, "g": G})),
    "predict with offset": (
        "offset",
        lambda v: counts_with_offset().predict({"g": G}, offset=v),
    ),
    "Fit.smooth": ("t|grid", lambda v: fit().smooth("t", v)),
    "Fit.smooth of a mapping": ("t", lambda v: fit().smooth("t", {"t": v})),
    "with_response": ("y", lambda v: fit().with_response(v)),
    "formula y": ("y", lambda v: formula("y ~ x + (1 | g)", y=v)),
    "formula weights": (
        "weights",
        lambda v: ms.lmm_formula("y ~ (1 | g)", {"y": Y, "g": G}, weights=v),
    ),
    "negloglik": ("y", lambda v: likelihood.negloglik_mvn([1, 1], v, DESIGN, INDICATORS)),
    "henderson": ("y", lambda v: henderson.solve_henderson(v, DESIGN, INDICATORS, LAMBDA)),
    "penalized": ("y", lambda v: penalized_ls.solve_penalized(v, DESIGN, INDICATORS, LAMBDA)),
    "penalized spline": ("y", lambda v: spline.fit_penalized(v, DESIGN, PENALTY, 0.1)),
    "slope columns": ("x", lambda v: design.slope_columns(G, v)),
    "poisson_regression": ("y", lambda v: pql.poisson_regression(v, DESIGN)),
    "laplace offset": (
        "offset",
        lambda v: laplace.laplace_deviance(LAMBDA, [1, 0], COUNTS, DESIGN, INDICATORS, v),
    ),
    "kernel": ("x", lambda v: kernels.rk(v, [0.5])),
    "knots": ("knots", lambda v: spline.spline_penalty(v)),
    "basis": ("age", lambda v: bases.cr(v, 5, name="age")),
    "lines_by_group": ("y", lambda v: plots.lines_by_group(X, v, G)),
    "explorable": ("x", lambda v: explorable(v, [Y, Y], [1, 2], xlabel="", ylabel="", label="")),
}
COVARIATES: dict[str, tuple[str, Place]] = {
    "linear": ("x", lambda v: ms.lmm(Y, ms.linear(x=v), GROUP)),
    "a slope": ("z", lambda v: ms.lmm(Y, ms.group(g=G, z=v))),
    "by": ("z", lambda v: ms.lmm(Y, ms.smooth(t=X, k=5, by={"z": v}))),
    "formula": ("x", lambda v: formula("y ~ x + (1 | g)", x=v)),
}


@pytest.mark.parametrize("damage", [*NOT_NUMBERS, *TEXT])
@pytest.mark.parametrize("place", NUMBERS)
def test_what_is_no_column_of_numbers(place: str, damage: str) -> None:
    name, use = NUMBERS[place]
    values, found = (NOT_NUMBERS | TEXT)[damage]
    with pytest.raises(ValueError, match=rf"(?s)\b({name})\b.*{found}"):
        use(values)


@pytest.mark.parametrize("damage", NOT_NUMBERS)
@pytest.mark.parametrize("place", COVARIATES)
def test_what_is_no_covariate(place: str, damage: str) -> None:
    name, use = COVARIATES[place]
    values, found = NOT_NUMBERS[damage]
    with pytest.raises(ValueError, match=rf"(?s)\b({name})\b.*{found}"):
        use(values)


# ---- columns of labels ----


def label_3(value: object) -> list[object]:
    """Labels but for one."""
    return [value if i == 3 else str(label) for i, label in enumerate(G)]


DAYS = np.repeat(np.arange(4), 6).astype("datetime64[D]")
NOT_LABELS: dict[str, tuple[Any, str]] = {
    "None": (label_3(None), r"1 .*row 3"),
    "NaN": (label_3(np.nan), r"1 .*row 3"),
    "NaN among numbers": (np.where(np.arange(N) == 3, np.nan, 1.0 * (X > 0.5)), "1 .*row 3"),
    "pandas NA": (label_3(pd.NA), r"1 .*row 3"),
    "pandas text": (pd.Series(label_3(None), dtype="string"), r"1 .*row 3"),
    "pandas category": (pd.Categorical(label_3(None)), r"1 .*row 3"),
    "NaT": (np.where(np.arange(N) == 3, np.datetime64("NaT"), DAYS), r"1 .*row 3"),
    "masked": (np.ma.masked_array(G, mask=np.arange(N) == 3), r"1 .*row 3"),
    "text and numbers": (label_3(7), "number"),
    "tuples": ([("a", 1), ("b", 2)] * (N // 2), rf"shape \({N}, 2\)"),
    "lists of unequal length": ([["a"], ["a", "b"]] * (N // 2), r"list|\[\['a'\]"),
    "bytes": (np.array([b"a", b"b"] * (N // 2)), "bytes"),
    "complex": (np.array([1j, 2j] * (N // 2)), "complex"),
    "a scalar": ("abcd", r"shape \(\)|'abcd'"),
    "empty": ([], r"shape \(0,\)"),
}
LABELS: dict[str, tuple[str, Place]] = {
    "group": ("g", lambda v: ms.lmm(Y, ms.group(g=v))),
    "linear": ("f", lambda v: ms.lmm(Y, ms.linear(f=v), GROUP)),
    "by": ("f", lambda v: ms.lmm(Y, ms.smooth(t=X, k=5, by={"f": v}))),
    "predict": ("g", lambda v: fit().predict({"x": X, "t": Z, "g": v})),
    "formula": ("g", lambda v: formula("y ~ x + (1 | g)", g=v)),
    "formula a:b": ("g", lambda v: formula("y ~ x + (1 | g:h)", g=v)),
    "grouping_columns": ("group", lambda v: design.grouping_columns(v)),
    "quadrature": ("group", lambda v: laplace.fit_agq(COUNTS, DESIGN, v)),
    "lines_by_group": ("group", lambda v: plots.lines_by_group(X, Y, v)),
}
NUMBERS_TOO = {"linear", "by"}  # where a column of numbers is right


@pytest.mark.parametrize("damage", NOT_LABELS)
@pytest.mark.parametrize("place", LABELS)
def test_what_is_no_column_of_labels(place: str, damage: str) -> None:
    name, use = LABELS[place]
    values, found = NOT_LABELS[damage]
    if place in NUMBERS_TOO:
        found = {"NaT": "dates"}.get(damage, found)
    with pytest.raises(ValueError, match=rf"(?s)\b{name}\b.*({found})"):
        use(values)


# ---- models ----

REPEATED = "(two|twice|again|already|several|differ)"

MODELS: Bad = {
    "no term and a constant": (lambda: ms.lmm(np.ones(N)), "y is constant"),
    "a line without noise": (lambda: ms.lmm(X, ms.linear(x=X)), "y is explained by"),
    "offset for all of y": (lambda: ms.lmm(Y, GROUP, offset=Y), "without its offset is constant"),
    "offset of another length for lmm": (
        lambda: ms.lmm(Y, GROUP, offset=X[1:]),
        f"offset has {N - 1} rows",
    ),
    "a column for a term": (lambda: ms.lmm(Y, X), r"terms are .*found array"),
    "a group in a list": (lambda: ms.lmm(Y, [GROUP]), r"terms are .*found \["),
    "no fixed effect": (
        lambda: ms.lmm(Y, ms.linear(intercept=False, x=0 * X), GROUP),
        r"\bx\b|terms",
    ),
    "rows of a group": (lambda: ms.lmm(Y[1:], GROUP), f"g has {N} rows where y has {N - 1}"),
    "rows of a covariate": (
        lambda: ms.lmm(Y, ms.linear(x=X[1:]), GROUP),
        f"x has {N - 1} rows where y has {N}",
    ),
    "rows of weights": (
        lambda: ms.lmm(Y, GROUP, weights=X[1:] + 1),
        f"weights has {N - 1} rows",
    ),
    "a constant response": (lambda: ms.lmm(np.ones(N), GROUP), "y is constant"),
    "a straight line": (lambda: ms.lmm(2 * X, ms.linear(x=X), GROUP), "y is explained by"),
    "groups without error": (
        lambda: ms.lmm(np.unique(G, return_inverse=True)[1] ** 2.0, GROUP),
        "y is explained by",
    ),
    "two columns the same": (
        lambda: ms.lmm(Y, ms.linear(x=X, twice=2 * X), GROUP),
        r"rank 2.*(x|twice) are combinations",
    ),
    "a level for each row": (
        lambda: ms.lmm(Y, ms.group(row=np.arange(N))),
        rf"row=.*{N} effects for {N} rows",
    ),
    "one name in two terms": (
        lambda: ms.lmm(Y, ms.linear(x=X), ms.linear(x=Z), GROUP),
        rf"\bx\b.*{REPEATED}",
    ),
    "one name, a slope": (
        lambda: ms.lmm(Y, ms.linear(x=X), ms.group(g=G, x=Z)),
        rf"\bx\b.*{REPEATED}",
    ),
    "one name, a smooth": (
        lambda: ms.lmm(Y, ms.linear(x=X), ms.smooth(x=Z, k=5)),
        rf"\bx\b.*{REPEATED}",
    ),
    "one name, by": (
        lambda: ms.lmm(Y, ms.linear(z=X), ms.smooth(x=X, k=5, by={"z": Z})),
        rf"\bz\b.*{REPEATED}",
    ),
    "one name, two factors": (lambda: ms.lmm(Y, GROUP, ms.group(g=H)), rf"\bg\b.*{REPEATED}"),
    "one name, labels and factor": (
        lambda: ms.lmm(Y, ms.linear(g=H), GROUP),
        rf"\bg\b.*{REPEATED}",
    ),
    "one name, glmm": (
        lambda: ms.glmm(COUNTS, ms.linear(x=X), ms.group(g=G, x=Z)),
        rf"\bx\b.*{REPEATED}",
    ),
    "weight zero": (
        lambda: ms.lmm(Y, GROUP, weights=np.arange(N)),
        "weights must be positive, found 0 in row 0",
    ),
    "sigma text": (lambda: ms.lmm(Y, GROUP, sigma="a"), "sigma must be .*found 'a'"),
    "sigma zero": (lambda: ms.lmm(Y, GROUP, sigma=0), "sigma must be .*found 0"),
    "sigma NaN": (lambda: ms.lmm(Y, GROUP, sigma=np.nan), "sigma must be .*found nan"),
    "sigma a list": (lambda: ms.lmm(Y, GROUP, sigma=[1, 2]), r"sigma must be .*found \[1, 2\]"),
    "method lower case": (lambda: ms.lmm(Y, GROUP, method="reml"), "method must be .*found 'reml'"),
    "method a list": (
        lambda: ms.lmm(Y, GROUP, method=["REML"]),
        r"method must be .*found \['REML'\]",
    ),
    "method None": (lambda: ms.lmm(Y, GROUP, method=None), "method must be .*found None"),
    "GCV with groups": (lambda: ms.lmm(Y, GROUP, method="GCV"), '"GCV" is for models with smooths'),
    "GCV with sigma": (
        lambda: ms.lmm(Y, ms.smooth(x=X, k=5), method="GCV", sigma=1.0),
        '"GCV" estimates sigma',
    ),
    "start too long": (lambda: ms.lmm(Y, GROUP, start=[1, 2]), "start must have the 1 .*found 2"),
    "start too far": (lambda: ms.lmm(Y, GROUP, start=[1e20]), r"start.*1e\+20"),
    "start NaN": (lambda: ms.lmm(Y, GROUP, start=[np.nan]), "start has 1 value"),
    "start text": (lambda: ms.lmm(Y, GROUP, start=["one"]), "start must hold numbers"),
    "callback a number": (lambda: ms.lmm(Y, GROUP, callback=3), "callback must be .*found 3"),
    "callback text, GCV": (
        lambda: ms.lmm(Y, ms.smooth(x=X, k=5), method="GCV", callback="print"),
        "callback must be .*found 'print'",
    ),
}

TERMS: Bad = {
    "linear of nothing": (lambda: ms.linear(intercept=False), r"linear\(\) has no columns"),
    "linear of a list": (
        lambda: ms.linear([1, 2, 3]),
        "(linear|data|columns).*(name|mapping).*list",
    ),
    "linear of an array": (lambda: ms.linear(X), "(linear|data|columns).*(name|mapping).*ndarray"),
    "linear of a string": (lambda: ms.linear("x"), "(linear|data|columns).*(name|mapping).*str"),
    "linear of a number": (lambda: ms.linear(x=1.0), r"x must be a vector.*shape \(\)"),
    "linear, a name that is no text": (lambda: ms.linear({1: X}), r"\b1\b.*text|text.*\b1\b"),
    "linear, one level": (lambda: ms.linear(f=["a"] * N), r"f has one level only \(a\)"),
    "linear, unequal lengths": (lambda: ms.linear(x=X, z=Z[1:]), f"z has {N - 1} rows .*{N}"),
    "linear, intercept text": (
        lambda: ms.linear(intercept="no", x=X),
        "intercept must be .*found 'no'",
    ),
    "linear, intercept a column": (
        lambda: ms.linear(intercept=X),
        "intercept must be .*found array",
    ),
    "group of nothing": (lambda: ms.group(), r"group\(\) needs a grouping factor"),
    "group of labels": (lambda: ms.group(G), "(group|data|columns).*(name|mapping).*ndarray"),
    "group of one level": (lambda: ms.group(g=["a"] * N), r"g has one level only \(a\)"),
    "group without effects": (
        lambda: ms.group(g=G, intercept=False),
        "neither an intercept nor a slope",
    ),
    "group with a constant slope": (lambda: ms.group(g=G, z=np.ones(N)), "z is constant"),
    "group, correlated text": (
        lambda: ms.group(g=G, x=X, correlated="no"),
        "correlated must be .*found 'no'",
    ),
    "group, correlated a number": (
        lambda: ms.group(g=G, x=X, correlated=0),
        "correlated must be .*found 0",
    ),
    "group, intercept None": (
        lambda: ms.group(g=G, x=X, intercept=None),
        "intercept must be .*found None",
    ),
    "group, unequal lengths": (lambda: ms.group(g=G, x=X[1:]), f"x has {N - 1} rows .* {N}"),
    "smooth of nothing": (lambda: ms.smooth(), r"smooth\(\) takes covariates.*found none"),
    "smooth of two": (lambda: ms.smooth(x=X, z=Z), "'cs' takes one covariate, found 2, x and z"),
    "smooth of a mapping of two": (
        lambda: ms.smooth({"x": X, "z": Z}),
        "'cs' takes one covariate, found 2, x and z",
    ),
    "smooth of an array": (lambda: ms.smooth(X), "(smooth|data|columns).*(name|mapping).*ndarray"),
    "smooth of a constant": (lambda: ms.smooth(x=np.ones(N)), r"x is constant \(1\)"),
    "smooth of few values": (
        lambda: ms.smooth(x=np.arange(N) % 4, k=5),
        "x has 4 distinct values, fewer than the 5",
    ),
    "basis unknown": (lambda: ms.smooth(x=X, basis="te"), "basis must be .*found 'te'"),
    "basis a list": (lambda: ms.smooth(x=X, basis=["cr"]), r"basis must be .*found \['cr'\]"),
    "k not whole": (lambda: ms.smooth(x=X, k=2.5), "k must be a whole number, found 2.5"),
    "k a float": (lambda: ms.smooth(x=X, k=5.0), "k must be a whole number, found 5.0"),
    "k true": (lambda: ms.smooth(x=X, k=True), "k must be a whole number, found True"),
    "k text": (lambda: ms.smooth(x=X, k="5"), "k must be a whole number, found '5'"),
    "k small": (lambda: ms.smooth(x=X, k=2), "k must be .*at least 3.*found 2"),
    "k a column": (lambda: ms.smooth(x=X, k=Z), "k must be a whole number, found array"),
    "scaling": (lambda: ms.smooth(x=X, scaling="max"), "scaling must be .*found 'max'"),
    "by an array": (lambda: ms.smooth(x=X, by=Z), r"\bby\b.*ndarray|data must be .*ndarray"),
    "by text": (lambda: ms.smooth(x=X, by="f"), r"\bby\b.*str|data must be .*str"),
    "by two": (lambda: ms.smooth(x=X, by={"g": G, "z": Z}), "by takes one column.*found 2"),
    "by zeros": (lambda: ms.smooth(x=X, k=5, by={"z": 0 * X}), r"\bz\b.*zero"),
    "by one level": (lambda: ms.smooth(x=X, by={"f": ["a"] * N}), "f has one level only"),
    "by of another length": (lambda: ms.smooth(x=X, by={"z": Z[1:]}), f"z has {N - 1} rows"),
    "shared without by": (lambda: ms.smooth(x=X, shared=True), "shared=True .*by"),
    "shared by numbers": (
        lambda: ms.smooth(x=X, by={"z": Z}, shared=True),
        "shared=True needs labels .*z has numbers",
    ),
    "shared text": (
        lambda: ms.smooth(x=X, k=5, by={"g": G}, shared="yes"),
        "shared must be .*found 'yes'",
    ),
    "range zero": (lambda: ms.smooth(x=X, basis="gp", range=0), "range must be .*above zero.*0"),
    "range nan": (lambda: ms.smooth(x=X, basis="gp", range=np.nan), "range must be .*found nan"),
    "range a column": (lambda: ms.smooth(x=X, basis="gp", range=X), "range must be .*array"),
    "range of another": (lambda: ms.smooth(x=X, range=1.0), "range is an option of basis 'gp'"),
    "kernel unknown": (
        lambda: ms.smooth(x=X, basis="gp", kernel="exp"),
        "kernel must be .*found 'exp'",
    ),
    "kernel of another": (
        lambda: ms.smooth(x=X, z=Z, basis="tp", kernel="gaussian"),
        "kernel is an option of basis 'gp', and the basis is 'tp'",
    ),
    "spherical in four dimensions": (
        lambda: ms.smooth(x=X, z=Z, y=Y, w=Z**2, basis="gp", kernel="spherical", range=1.0),
        "'spherical' is for up to 3 covariates, found 4",
    ),
    "trend text": (lambda: ms.smooth(x=X, basis="gp", trend="no"), "trend must be .*found 'no'"),
    "trend of another": (lambda: ms.smooth(x=X, trend=False), "trend is an option of basis 'gp'"),
    "a trend on a line": (
        lambda: ms.smooth(x=X, y=2 * X, basis="gp", range=1.0),
        "x and y lie so that .* of the trend .* trend=False",
    ),
    "period of another": (
        lambda: ms.smooth(x=X, basis="tp", period=(0, 1)),
        "period is an option of basis 'cc', and the basis is 'tp'",
    ),
    "period one number": (
        lambda: ms.smooth(x=X, basis="cc", period=3),
        "period must be two numbers.*found 3",
    ),
    "period backwards": (
        lambda: ms.smooth(x=X, basis="cc", period=(1, 0)),
        r"period must be two numbers.*found \(1, 0\)",
    ),
    "period nan": (lambda: ms.smooth(x=X, basis="cc", period=(0, np.nan)), "period has .*NaN"),
    "period too short": (
        lambda: ms.smooth(x=X, basis="cc", period=(0, 0.5)),
        "x must lie in the period from 0 to 0.5, found values from 0 to 1",
    ),
    "predict outside of the period": (
        lambda: ms.lmm(Y, ms.smooth(x=X, basis="cc", k=6, period=(-1, 2))).predict({"x": [5.0]}),
        r"x has 1 value\(s\) outside the period from -1 to 2.*such as 5",
    ),
    "k of a tensor for one": (lambda: ms.smooth(x=X, k=(5, 8)), r"k must be .*\(5, 8\)"),
    "k for three of two": (
        lambda: ms.smooth(x=X, z=Z, basis="t2", k=(5, 5, 5)),
        "k has 3 number.*2 covariates, x and z",
    ),
    "tensor of one": (lambda: ms.smooth(x=X, basis="t2"), "two covariates or more, found x alone"),
    "tensor of few values": (
        lambda: ms.smooth(x=X, z=Z, basis="t2", k=(5, 30)),
        "z has 24 distinct values, fewer than the 30",
    ),
    "k below the polynomials": (
        lambda: ms.smooth(x=X, z=Z, basis="tp", k=3),
        "k must be at least 4 for basis 'tp' of 2 .*3 columns are polynomials.*found 3",
    ),
    "k below the trend": (
        lambda: ms.smooth(x=X, z=Z, basis="gp", range=1.0, k=3),
        "k must be at least 4 for basis 'gp' of 2 .*found 3",
    ),
    "k beyond the points": (
        lambda: ms.smooth(x=X, z=np.round(Z), basis="tp", k=25),
        r"x and z have \d+ distinct points, fewer than the 25",
    ),
    "k beyond the locations": (
        lambda: ms.smooth(x=X, z=Z, basis="gp", range=1.0, k=28),
        "x and z have 24 distinct points, and the 3 columns of the trend; k=28 is too large",
    ),
    "points on a line": (
        lambda: ms.smooth(x=X, z=2 * X - 1, basis="tp", k=10),
        "x and z lie so that the 3 polynomials .*are not independent",
    ),
    "surface of a constant": (
        lambda: ms.smooth(x=X, z=0 * Z, basis="tp"),
        r"z is constant \(0\)",
    ),
    "surface of labels": (lambda: ms.smooth(x=X, g=G, basis="tp"), "g must hold numbers only"),
    "surface of two lengths": (lambda: ms.smooth(x=X, z=Z[1:], basis="tp"), "z has 23 rows"),
    "an argument's name for a column": (
        lambda: ms.smooth(x=X, k=5, by={"g": G}, shared=X),
        "shared must be .*found array",
    ),
}

LEVELS = list("abcd")
K = np.array([[2.0, 1, 0, 0], [1, 2, 1, 0], [0, 1, 2, 1], [0, 0, 1, 2]])
STREET = ms.neighbours(["ab", "bc", "cd"])


def with_entry(row: int, column: int, value: float) -> FloatArray:
    """Return K with another entry, and that across the diagonal."""
    changed = K.copy()
    changed[row, column] = changed[column, row] = value
    return changed


def known(**given: Any) -> object:
    return ms.group(g=G, **given)


STRUCTURES: Bad = {
    "both": (lambda: known(covariance=(LEVELS, K), precision=STREET), "are both given"),
    "a graph": (lambda: known(covariance=STREET), "is a precision; give precision="),
    "no pair": (lambda: known(covariance=K[:3]), r"covariance must be a pair .*\(levels, K\)"),
    "a number": (lambda: known(precision=3), r"precision must be a pair .*\(levels, Q\).*found 3"),
    "levels twice": (lambda: known(covariance=(list("abca"), K)), "a is there 2 times"),
    "one level": (lambda: known(covariance=(["a"], [[1.0]])), "two or more, found a"),
    "levels missing": (lambda: known(covariance=(["a", None, "c", "d"], K)), "levels .*1 missing"),
    "another size": (lambda: known(covariance=(LEVELS, K[:3, :3])), r"of its 4 levels.*\(3, 3\)"),
    "not square": (lambda: known(precision=(LEVELS, K[:3])), r"of its 4 levels.*\(3, 4\)"),
    "a vector": (lambda: known(covariance=(LEVELS, K[0])), "covariance must be a matrix"),
    "text in it": (lambda: known(covariance=(LEVELS, [["x"] * 4] * 4)), "covariance must hold num"),
    "NaN": (lambda: known(covariance=(LEVELS, with_entry(0, 1, np.nan))), "covariance has 2 value"),
    "sparse NaN": (
        lambda: known(precision=(LEVELS, scipy.sparse.csr_array(with_entry(0, 1, np.nan)))),
        "precision has 2 value",
    ),
    "not symmetric": (
        lambda: known(covariance=(LEVELS, K + np.eye(4, k=2))),
        "must be symmetric, and has 1 and 0 between a and c",
    ),
    "not symmetric, sparse": (
        lambda: known(precision=(LEVELS, scipy.sparse.csr_array(K + np.eye(4, k=2)))),
        "must be symmetric, and has 1 and 0 between a and c",
    ),
    "indefinite": (
        lambda: known(covariance=(LEVELS, with_entry(0, 1, 5))),
        "positive definite, and its smallest eigenvalue is -3.1",
    ),
    "singular": (
        lambda: known(covariance=(LEVELS, np.ones((4, 4)))),
        "positive definite, and its smallest eigenvalue is .*merge levels",
    ),
    "an indefinite precision": (
        lambda: known(precision=(LEVELS, with_entry(0, 1, 5))),
        "positive semidefinite, and its smallest eigenvalue is -3.1",
    ),
    "edges below zero": (
        lambda: known(
            precision=(
                LEVELS,
                np.diag([-1.0, 1, 1, -1]) - np.diag([-1.0, 2, -1], 1) - np.diag([-1.0, 2, -1], -1),
            )
        ),
        "positive semidefinite, and its diagonal has -1 for a",
    ),
    "one edge below zero": (  # more than the others between its ends, 1 / (2 + 1 + 1)
        lambda: known(
            precision=(
                LEVELS,
                [[1.5, -1, 0, -0.5], [-1, 2, -1, 0], [0, -1, 0.6, 0.4], [-0.5, 0, 0.4, 0.1]],
            )
        ),
        "positive semidefinite, and its smallest eigenvalue is -",
    ),
    "a penalty of bends": (
        lambda: known(
            precision=(LEVELS, np.diff(np.eye(4), 2, axis=0).T @ np.diff(np.eye(4), 2, axis=0))
        ),
        "null space of dimension 2 on the levels a, b, c.*constants.*penalized",
    ),
    "a precision of rank one": (
        lambda: known(precision=(LEVELS, np.ones((4, 4)))),
        "null space of dimension 3 .*nothing may have no penalty",
    ),
    "zeros": (lambda: known(precision=(LEVELS, np.zeros((4, 4)))), "precision has zeros only"),
    "free and not": (
        lambda: known(
            precision=(LEVELS, np.kron(np.eye(2), [[1, -1], [-1, 1]]) + np.diag([0, 0, 1, 1]))
        ),
        "1 of 2 components whose rows sum to zero, such as that of a, b",
    ),
    "labels that are no levels": (
        lambda: known(covariance=(list("abcx"), K)),
        r"g has 1 label\(s\) that covariance does not have among its 4 levels: d",
    ),
    "labels of another kind": (
        lambda: known(precision=(range(4), K)),
        "g has labels that are text, such as a, and the levels of precision are numbers",
    ),
    "a component without data": (
        lambda: known(precision=ms.neighbours(["ab", "bc", "cd", "xy"])),
        "a component without data, that of x, y",
    ),
    "two effects": (
        lambda: ms.group(g=G, x=X, covariance=(LEVELS, K)),
        r"2 effects a level, \(Intercept\) and x, and with a covariance it takes one",
    ),
    "a relationship as a precision": (
        lambda: known(precision=ms.relationship([("a", "b", None)])),
        "a relationship is a covariance",
    ),
    "neighbours of nothing": (lambda: ms.neighbours([]), "pairs is empty"),
    "neighbours, a number": (lambda: ms.neighbours(3), "pairs must be pairs of labels"),
    "neighbours, triples": (lambda: ms.neighbours([(1, 2, 3)]), "pairs must be pairs of labels"),
    "neighbours, three columns": (lambda: ms.neighbours(np.ones((2, 3))), r"two columns.*\(2, 3\)"),
    "neighbours, data of one": (lambda: ms.neighbours({"a": [1]}), "two columns, found a"),
    "neighbours of itself": (lambda: ms.neighbours(["ab", "bb"]), "b as a neighbor of itself"),
    "neighbours missing": (lambda: ms.neighbours([("a", None)]), "pairs has 1 missing"),
    "neighbours mixed": (lambda: ms.neighbours([("a", 1)]), "pairs mixes numbers and text"),
    "neighbours, unequal": (lambda: ms.neighbours({"a": [1], "b": [2, 3]}), "1 and 2 rows"),
    "neighbours, levels twice": (lambda: ms.neighbours(["ab"], levels=["a", "a"]), "2 times"),
    "neighbours, levels lack one": (lambda: ms.neighbours(["ab"], levels=["a", "c"]), "levels: b"),
    "neighbours, numbers": (lambda: ms.neighbours(["ab"], levels=[1, 2]), "levels are numbers"),
    "pedigree of nothing": (lambda: ms.relationship([]), "pedigree is empty"),
    "pedigree, a number": (lambda: ms.relationship(3), "pedigree must be triples"),
    "pedigree of pairs": (lambda: ms.relationship([(1, 2)]), "pedigree must be triples"),
    "pedigree, one parent": (lambda: ms.relationship({1: 2}), r"\(sire, dam\) for 1, found 2"),
    "pedigree without dam": (
        lambda: ms.relationship(pd.DataFrame({"animal": [1], "sire": [2]})),
        "no column dam",
    ),
    "an animal twice": (lambda: ms.relationship([(1, 2, 3), (1, 2, 4)]), "the animal 1 twice"),
    "an animal without a name": (lambda: ms.relationship([(None, 2, 3)]), "no animal in row 0"),
    "its own parent": (lambda: ms.relationship([(1, 1, 2)]), "1 among its own ancestors"),
    "a loop": (
        lambda: ms.relationship([(5, 4, None), (1, 2, 3), (2, 3, None), (3, None, 1)]),
        "[123] among its own ancestors",
    ),
    "a parent called 0": (lambda: ms.relationship([(1, 0, 0)]), "0 as a parent.*None"),
    "an animal that is a pair": (
        lambda: ms.relationship([((1, 2), None, None)]),
        r"animal must hold one label a row, found shape \(1, 2\)",
    ),
    "a parent called -1": (lambda: ms.relationship([(1, -1, -1)]), "-1 as a parent.*None"),
    "a parent called NaN": (lambda: ms.relationship([("a", "NaN", None)]), "'NaN' as a par.*None"),
    "a pedigree that mixes": (lambda: ms.relationship([(1, "a", "b")]), "pedigree mixes .*text"),
    "parents that mix": (lambda: ms.relationship([("a", 1, "b")]), "pedigree mixes .*text"),
    "penalized, a name": (lambda: ms.penalized(3, DESIGN, PENALTY), "name must be .*found 3"),
    "penalized, a vector": (lambda: ms.penalized("p", X, PENALTY), "Z must be a matrix"),
    "penalized, no penalty": (lambda: ms.penalized("p", DESIGN, 0 * PENALTY), "S is zero"),
    "penalized, another size": (
        lambda: ms.penalized("p", DESIGN, np.eye(3)),
        r"S must be 2 x 2.*\(3, 3\)",
    ),
    "penalized, not symmetric": (
        lambda: ms.penalized("p", DESIGN, [[1, 1], [0, 1]]),
        "S must be symmetric",
    ),
    "penalized, indefinite": (
        lambda: ms.penalized("p", DESIGN, np.diag([1.0, -1])),
        "semidefinite, and its smallest eigenvalue is -1",
    ),
    "penalized, infinite": (
        lambda: ms.penalized("p", np.add(DESIGN, [0, np.inf]), PENALTY),
        r"p\.2 has .*infinite",
    ),
    "penalized, predict a number": (
        lambda: ms.penalized("p", DESIGN, PENALTY, predict=3),
        "predict must be a function",
    ),
    "penalized, nothing to predict by": (
        lambda: penalized_fit(None).predict({"x": X}),
        "p was made without predict",
    ),
    "penalized, another number of columns": (
        lambda: penalized_fit(lambda data: np.ones((3, 4))).predict({"x": X}),
        "what predict of p returns must have 2 columns.*found 4",
    ),
    "penalized, no matrix": (
        lambda: penalized_fit(lambda data: np.ones(3)).predict({"x": X}),
        "what predict of p returns must be a matrix",
    ),
}


def penalized_fit(predict: Any) -> ms.Fit:
    return ms.lmm(Y, ms.penalized("p", np.column_stack([X, Z]), np.eye(2), predict=predict))


FITS: Bad = {
    "predict from an array": (lambda: fit().predict(DESIGN), "data must be .*found ndarray"),
    "predict from a list": (lambda: fit().predict([1.0, 2.0]), "data must be .*found list"),
    "predict from None": (lambda: fit().predict(None), "data must be .*found NoneType"),
    "predict without a column": (
        lambda: fit().predict({"x": X, "g": G}),
        "data has no column t, .*it has x, g",
    ),
    "predict without a column of a frame": (
        lambda: fit().predict(pd.DataFrame({"x": X, "t": Z})),
        "data has no column g, .*it has x, t",
    ),
    "predict from nothing": (lambda: fit().predict({}), "data has no column"),
    "predict, unequal lengths": (
        lambda: fit().predict({"x": X[1:], "t": Z, "g": G}),
        rf"(?=.*'x': {N - 1})(?=.*'g': {N})",
    ),
    "predict a new label": (
        lambda: fit().predict({"x": [0], "t": [0], "g": ["e"]}),
        "g has the new label e",
    ),
    "predict labels that are numbers": (
        lambda: fit().predict({"x": [0], "t": [0], "g": [1]}),
        "labels must be of the kind .*found 1",
    ),
    "predict outside of the domain": (
        lambda: fit().predict({"x": [0], "t": [9], "g": ["a"]}),
        r"t .*9",
    ),
    "new_levels": (
        lambda: fit().predict({"x": X, "t": Z, "g": G}, new_levels="zero"),
        "new_levels must be .*found 'zero'",
    ),
    "effects text": (
        lambda: fit().predict({"x": X, "t": Z, "g": G}, effects="no"),
        "effects must be .*found 'no'",
    ),
    "scale of counts": (
        lambda: counts().predict({"x": X, "g": G}, scale="log"),
        "scale must be .*found 'log'",
    ),
    "offset missing": (
        lambda: counts_with_offset().predict({"g": G}),
        "model has an offset; give that of the new rows",
    ),
    "offset unknown": (
        lambda: counts().predict({"x": X, "g": G}, offset=1.0),
        "offset is given, and the model was fitted without one",
    ),
    "a smooth of another name": (
        lambda: fit().smooth("z", Z),
        r"name 'z' fits 0 smooths; the model has s\(t\)",
    ),
    "a smooth by a number": (lambda: fit().smooth(0, Z), "name 0 "),
    "a grid outside of the domain": (lambda: fit().smooth("t", [0.0, 9.0]), "t .*9"),
    "level text": (
        lambda: fit().smooth("t", Z).interval("a"),
        "level must be between 0 and 1, found 'a'",
    ),
    "level in percent": (
        lambda: fit().smooth("t", Z).interval(95),
        "level must be between 0 and 1, found 95",
    ),
    "level NaN": (
        lambda: fit().smooth("t", Z).interval(np.nan),
        "level must be between 0 and 1, found nan",
    ),
    "refit by nonsense": (lambda: fit().refit("best"), "method must be .*found 'best'"),
    "refit by a list": (lambda: fit().refit(["ML"]), r"method must be .*found \['ML'\]"),
    "refit by a method of counts": (lambda: fit().refit("laplace"), "method must be .*'laplace'"),
    "refit groups by GCV": (lambda: fit().refit("GCV"), '"GCV" is for models with smooths'),
    "refit counts by AGQ": (lambda: counts().refit("AGQ"), "method must be .*found 'AGQ'"),
    "refit counts by nonsense": (lambda: counts().refit("bayes"), "method must be .*'bayes'"),
    "refit counts by REML": (lambda: counts().refit("REML"), "method must be .*found 'REML'"),
    "with_response of another length": (
        lambda: fit().with_response(Y[1:]),
        f"y has {N - 1} rows",
    ),
    "with_response of a constant": (lambda: fit().with_response(np.ones(N)), "y is constant"),
    "with_response of negative counts": (
        lambda: counts().with_response(COUNTS - 1),
        "y must have counts .*found -1 in row 0",
    ),
}

GENERALIZED: Bad = {
    "family unknown": (
        lambda: ms.glmm(COUNTS, GROUP, family="normal"),
        "family must be .*found 'normal'",
    ),
    "link of another family": (
        lambda: ms.glmm(COUNTS, GROUP, link="logit"),
        "link must be \"log\", found 'logit'",
    ),
    "link unknown": (
        lambda: ms.glmm(BITS, GROUP, family="bernoulli", link="cauchit"),
        'link must be "logit", "probit" or "cloglog", found \'cauchit\'',
    ),
    "link a number": (lambda: ms.glmm(COUNTS, GROUP, link=1), "link must be .*found 1"),
    "gamma of zero": (
        lambda: ms.glmm(COUNTS, GROUP, family="gamma"),
        'y is 0 in row 0, and "gamma" has values above zero',
    ),
    "inverse Gaussian below zero": (
        lambda: ms.glmm(X - 1, GROUP, family="inverse-gaussian"),
        'y is -.* and "inverse-gaussian" has values above zero',
    ),
    "gamma without noise": (
        lambda: ms.glmm(np.exp(X), ms.linear(x=X), GROUP, family="gamma"),
        "y is explained .*without error",
    ),
    "gamma of a constant": (
        lambda: ms.glmm(np.ones(N), GROUP, family="gamma", link="inverse"),
        "y is explained .*without error",
    ),
    "half a count of NB": (
        lambda: ms.glmm(COUNTS + 0.5, GROUP, family="negative-binomial"),
        "y must have counts .*found 0.5 in row 0",
    ),
    "size by PQL": (
        lambda: ms.glmm(COUNTS, GROUP, family="negative-binomial", method="pql"),
        '"pql" has no likelihood from which a size',
    ),
    "weights of zero": (
        lambda: ms.glmm(COUNTS, GROUP, weights=np.zeros(N)),
        "weights must be positive, found 0",
    ),
    "weights of another length": (
        lambda: ms.glmm(COUNTS, GROUP, weights=X[1:]),
        f"weights has {N - 1} rows",
    ),
    "callback text": (
        lambda: ms.glmm(COUNTS, GROUP, callback="print"),
        "callback must be a function, found 'print'",
    ),
    "quadrature without a group": (
        lambda: ms.glmm(COUNTS, ms.linear(x=X), method="agq"),
        '"agq" takes one grouping factor',
    ),
    "family a list": (
        lambda: ms.glmm(COUNTS, GROUP, family=["poisson"]),
        r"family must be .*found \['poisson'\]",
    ),
    "method upper case": (
        lambda: ms.glmm(COUNTS, GROUP, method="Laplace"),
        "method must be .*found 'Laplace'",
    ),
    "method of lmm": (
        lambda: ms.glmm(COUNTS, GROUP, method="REML"),
        "method must be .*found 'REML'",
    ),
    "dispersion text": (
        lambda: ms.glmm(COUNTS, GROUP, method="pql", dispersion="yes"),
        "dispersion must be .*found 'yes'",
    ),
    "dispersion by Laplace": (
        lambda: ms.glmm(COUNTS, GROUP, dispersion=True),
        "dispersion is estimated by method \"pql\" only.*'laplace'",
    ),
    "negative nodes": (lambda: ms.glmm(COUNTS, GROUP, nodes=-3), "nodes must be .*found -3"),
    "no nodes": (
        lambda: ms.glmm(COUNTS, GROUP, method="agq", nodes=0),
        "nodes must be .*found 0",
    ),
    "many nodes": (
        lambda: ms.glmm(COUNTS, GROUP, method="agq", nodes=101),
        "nodes must be .*found 101",
    ),
    "half a node": (
        lambda: ms.glmm(COUNTS, GROUP, method="agq", nodes=2.5),
        "nodes must be .*found 2.5",
    ),
    "nodes of a refit": (
        lambda: counts().refit("agq", nodes=0),
        "nodes must be .*found 0",
    ),
    "quadrature of slopes": (
        lambda: ms.glmm(COUNTS, ms.group(g=G, x=X), method="agq"),
        '"agq" takes one grouping factor with one effect',
    ),
    "negative counts": (
        lambda: ms.glmm(COUNTS - 1, GROUP),
        "y must have counts .*found -1 in row 0",
    ),
    "half a count": (
        lambda: ms.glmm(COUNTS + 0.5, GROUP),
        "y must have counts .*found 0.5 in row 0",
    ),
    "no count": (lambda: ms.glmm(np.zeros(N), GROUP), "y is zero in every row"),
    "two for a bit": (
        lambda: ms.glmm(2 * BITS, GROUP, family="bernoulli"),
        "y is 2 in row 1.*zeros and ones",
    ),
    "no failure": (lambda: ms.glmm(np.ones(N), GROUP, family="bernoulli"), "y has no failure"),
    "separated": (
        lambda: ms.glmm((X > 0.5) * 1.0, ms.linear(x=X), ms.group(h=H), family="bernoulli"),
        "y is separated by x",
    ),
    "no level with both": (
        lambda: ms.glmm((G > "b") * 1.0, GROUP, family="bernoulli"),
        "no level of g has both",
    ),
    "trials missing": (
        lambda: ms.glmm(BITS, GROUP, family="binomial"),
        "trials must be given",
    ),
    "trials of counts": (lambda: ms.glmm(COUNTS, GROUP, trials=9), "trials cannot be given"),
    "too few trials": (
        lambda: ms.glmm(COUNTS, GROUP, family="binomial", trials=4),
        "y is 5 in row 3, which has 4 trials",
    ),
    "half a trial": (
        lambda: ms.glmm(BITS, GROUP, family="binomial", trials=2.5),
        "trials must have counts .*found 2.5",
    ),
    "trials zero": (
        lambda: ms.glmm(0 * BITS, GROUP, family="binomial", trials=BITS),
        "trials is zero in row 0",
    ),
    "trials text": (
        lambda: ms.glmm(BITS, GROUP, family="binomial", trials="two"),
        "trials must .*found.*two",
    ),
    "offset of another length": (
        lambda: ms.glmm(COUNTS, GROUP, offset=X[1:]),
        f"offset has {N - 1} rows",
    ),
    "offset text": (lambda: ms.glmm(COUNTS, GROUP, offset="log"), "offset must .*log"),
    "offset too large": (
        lambda: ms.glmm(COUNTS, GROUP, offset=1e4 * X),
        "offset",
    ),
    "start of another length": (
        lambda: ms.glmm(COUNTS, GROUP, start=[1.0, 1.0]),
        "start must have the 1 .*found 2",
    ),
}

FORMULAS: Bad = {
    "no tilde": (lambda: formula("y"), 'formula "y", at y .*~ is missing'),
    "empty": (lambda: formula(""), 'formula "", at the end'),
    "not text": (lambda: formula(3), r"formula.*\b3\b"),
    "no such column": (lambda: formula("y ~ age + (1 | g)"), "data has no column age"),
    "a function": (lambda: formula("y ~ ln(x) + (1 | g)"), "function ln is not known; write log"),
    "an open parenthesis": (lambda: formula("y ~ (x + (1 | g)"), "never closed"),
    "nothing left of the bar": (lambda: formula("y ~ x + ( | g)"), "formula "),
    "a bar without a factor": (lambda: formula("y ~ x + (x | 1)"), r"right of \|"),
    "no effect": (lambda: formula("y ~ x + (0 | g)"), r"\(0 \| g\) has no effect"),
    "a random term in a product": (lambda: formula("y ~ x * (1 | g)"), "random term can only"),
    "two responses": (lambda: formula("y + z ~ x + (1 | g)"), "response must be one column"),
    "5,000 terms": (
        lambda: formula("y ~ " + " + ".join(f"x{j}" for j in range(5000)) + " + (1 | g)"),
        "formula .*long|formula .*terms|formula .*deep|data has no column x0",
    ),
    "3,000 parentheses": (
        lambda: formula("y ~ " + "(" * 3000 + "x" + ")" * 3000 + " + (1 | g)"),
        "formula .*(deep|nest|parenthes|long|recursion)",
    ),
    "data an array": (
        lambda: ms.lmm_formula("y ~ x + (1 | g)", DESIGN),
        "data must be .*found ndarray",
    ),
    "data rows": (
        lambda: ms.lmm_formula("y ~ x + (1 | g)", [{"y": 1.0}]),
        "data must be .*found list",
    ),
    "method": (
        lambda: ms.lmm_formula("y ~ (1 | g)", {"y": Y, "g": G}, method="ml"),
        "method must be .*found 'ml'",
    ),
    "labels with a colon": (
        lambda: formula("y ~ (1 | g:h)", g=[f"{label}:1" for label in G]),
        "g has a label with a colon",
    ),
}

DERIVATIONS: Bad = {
    "theta of three": (
        lambda: likelihood.negloglik_transformed([1, 1, 1], Y, DESIGN, INDICATORS),
        r"theta .*(3|shape)",
    ),
    "rows of X": (
        lambda: likelihood.negloglik_transformed([1, 1], Y[1:], DESIGN, INDICATORS),
        f"X has {N} rows .*{N - 1}",
    ),
    "X a column": (
        lambda: likelihood.negloglik_mvn([1, 1], Y, X, INDICATORS),
        r"X must be a matrix .*found shape \(24,\)",
    ),
    "X masked": (
        lambda: likelihood.negloglik_mvn(
            [1, 1], Y, np.ma.masked_array(DESIGN, mask=np.isclose(DESIGN, X[3])), INDICATORS
        ),
        "X has .*masked",
    ),
    "rank of X": (
        lambda: likelihood.fit_ml(Y, np.column_stack([DESIGN, X]), INDICATORS),
        "X has 3 columns but rank 2",
    ),
    "beta by nonsense": (
        lambda: likelihood.negloglik_mvn([1, 1], Y, DESIGN, INDICATORS, beta="wls"),
        "beta must be .*found 'wls'",
    ),
    "sigma negative": (
        lambda: likelihood.marginal_covariance(INDICATORS, LAMBDA, -1.0),
        "sigma must be .*found -1",
    ),
    "V not positive": (
        lambda: likelihood.generalized_least_squares(Y, DESIGN, -np.eye(N)),
        r"\bV\b",
    ),
    "start of another length": (
        lambda: likelihood.fit_ml(Y, DESIGN, INDICATORS, start=[1.0]),
        "(theta|start) .*(1|shape)",
    ),
    "Lambda of another size": (
        lambda: henderson.solve_henderson(Y, DESIGN, INDICATORS, np.eye(3)),
        r"Lambda .*\(3, 3\)",
    ),
    "theta negative": (lambda: henderson.shrinkage_factor([1, 2], -1.0), "theta .*-1"),
    "u of another length": (
        lambda: penalized_ls.penalized_objective([1, 1], [0], Y, DESIGN, INDICATORS, LAMBDA),
        r"\bu\b .*1",
    ),
    "template of no effect": (lambda: design.lambda_template(0, 3), r"\bk\b .*0"),
    "template of half a level": (
        lambda: design.lambda_template(1, 2.5),
        "levels .*2.5",
    ),
    "method of fit_profiled": (
        lambda: reml.fit_profiled(
            Y,
            DESIGN,
            INDICATORS,
            design.lambda_template(1, 4),
            method="reml",
        ),
        "method must be .*found 'reml'",
    ),
    "method of fit_mixed": (
        lambda: eigensplit.fit_mixed(Y, DESIGN, PENALTY, method="GCV"),
        "method must be .*found 'GCV'",
    ),
    "row-wise product of other rows": (
        lambda: tensor.rowwise_kronecker(DESIGN, DESIGN[:5]),
        "B_2 .*5",
    ),
    "margin without a free column": (
        lambda: tensor.margin(DESIGN, np.eye(2)),
        "S penalizes constants",
    ),
    "margin without a free constant": (
        lambda: tensor.margin(DESIGN, np.diag([1.0, 0.0])),
        "S penalizes constants",
    ),
    "summed penalty that is not square": (
        lambda: tensor.summed_penalty(PENALTY, DESIGN),
        "S_2 .*square|S has shape",
    ),
    "varying coefficient of another length": (
        lambda: tensor.varying(X[:5], MARGIN, MARGIN),
        r"\bc\b .*5",
    ),
    "starts for other blocks": (
        lambda: tensor.fit_blocks(Y, tensor.varying(Z, MARGIN, MARGIN), start=[1.0]),
        "start .*2 blocks",
    ),
    "penalty of another size": (
        lambda: spline.fit_penalized(Y, DESIGN, np.eye(3), 1.0),
        r"\bS\b .*\(3, 3\)",
    ),
    "penalty not symmetric": (
        lambda: spline.symmetric_root([[1.0, 1.0], [0.0, 1.0]]),
        r"\bS\b .*symmetric",
    ),
    "lambda negative": (lambda: spline.fit_penalized(Y, DESIGN, PENALTY, -0.1), "lam .*-0.1"),
    "bounds reversed": (
        lambda: spline.choose_gcv(Y, DESIGN, PENALTY, bounds=(1.0, 0.1)),
        r"bounds .*1",
    ),
    "knots outside": (lambda: spline.spline_penalty([0.5, 1.5]), "knots .*1.5"),
    "x outside": (lambda: kernels.rk([2.0], [0.5]), r"\bx\b .*2"),
    "a kernel": (lambda: kernels.correlation("cubic", [0.5]), r"kernel must be .*cubic"),
    "a negative distance": (lambda: kernels.correlation("gaussian", [-0.5]), r"\br\b .*-0.5"),
    "nodes zero": (lambda: laplace.fit_agq(COUNTS, DESIGN, G, nodes=0), "nodes must be .*found 0"),
    "beta of another length": (
        lambda: laplace.laplace_deviance(LAMBDA, [1.0], COUNTS, DESIGN, INDICATORS),
        "beta .*1",
    ),
    "mu negative": (lambda: pql.working_weights([1.0, -1.0]), "mu .*-1"),
    "counts negative": (lambda: pql.poisson_regression(-COUNTS, DESIGN), "y must .*-3"),
}

FURNITURE: Bad = {
    "a number that is not published": (
        lambda: published.check("clark.lme4.nothing", 1.0),
        "key 'clark.lme4.nothing' is not in the ledger",
    ),
    "a ledger without status": (
        lambda: published.parse(
            '[sources.s]\nauthors = "a"\ntitle = "t"\nurl = "u"\n'
            '[s.a]\nwhere = "w"\nchapter = 1\nb = { printed = "1", what = "b" }'
        ),
        "ledger",
    ),
    "no such exercise": (lambda: ms.exercises.check("1.99", 0), "number must be .*found '1.99'"),
    "k and knots": (lambda: bases.rk(X, 5, knots=[0.5]), "k .*knots"),
    "knots reversed": (lambda: bases.rk(X, knots=[0.6, 0.4]), r"knots must be increasing.*0\.6"),
    "a label to highlight": (
        lambda: plots.lines_by_group(X, Y, G, highlight=["e"]),
        "highlight names 'e'",
    ),
    "a negative variance": (
        lambda: plots.variance_buckets(-1.0, 2.0),
        "between must be .*found -1",
    ),
    "no one in a group": (
        lambda: plots.effective_sample_size(0),
        "group_size must be .*found 0",
    ),
    "a correlation of 2": (
        lambda: plots.effective_sample_size(5, icc=2.0),
        "icc must be .*found 2",
    ),
    "a surface that is a curve": (
        lambda: plots.surface(fit().smooth("t", [0.0, 0.5])),
        "surface must be what fit.smooth.* for two grids",
    ),
    "near to nothing": (lambda: plots.surface(SURFACE, near=0.1), "near is .* give points"),
    "near that is negative": (
        lambda: plots.surface(SURFACE, near=-0.1, points={"x": X, "y": X}),
        r"near must be .*found -0\.1",
    ),
    "points far away": (
        lambda: plots.surface(SURFACE, near=0.1, points={"x": X + 9, "y": X}),
        r"near is 0\.1, and nothing",
    ),
    "points without y": (lambda: plots.surface(SURFACE, points={"x": X}), "y"),
    "a grid that falls": (
        lambda: plots.surface(replace(SURFACE, grids=(np.array([1.0, 0]), SURFACE.grids[1]))),
        "grid of x with two values or more, rising",
    ),
    "equal axes": (lambda: plots.surface(SURFACE, equal="yes"), "equal must be"),
    "a value without a polygon": (
        lambda: plots.map(SQUARE, {"a": 1.0, "b": 2.0}),
        "values has b, for which there is no polygon",
    ),
    "a mark without a polygon": (
        lambda: plots.map(SQUARE, {"a": 1.0}, mark=["b"]),
        "mark has b, for which",
    ),
    "a mark that is a text": (lambda: plots.map(SQUARE, {"a": 1.0}, mark="a"), "mark must be"),
    "a map of nothing": (lambda: plots.map(SQUARE, {}), "values"),
    "a map of an array": (
        lambda: plots.map(SQUARE, np.ones(2)),
        r"values must be a mapping .*found array\(\[1., 1.\]",
    ),
    "a map without polygons": (lambda: plots.map([], {"a": 1.0}), "polygons must be a mapping"),
    "three limits": (
        lambda: plots.map(SQUARE, {"a": 1.0}, limits=(0, 1, 2)),
        "limits must be the lowest and the highest value",
    ),
    "a corner at infinity": (
        lambda: plots.map({"a": [[0, 0], [1, np.inf], [1, 0]]}, {"a": 1.0}),
        "polygons of a have a corner that is infinite",
    ),
    "a map of NaN": (lambda: plots.map(SQUARE, {"a": np.nan}), "values has 1 value"),
    "limits inside": (lambda: plots.map(SQUARE, {"a": 1.0}, limits=(2, 3)), "limits go from 2"),
    "a polygon of one column": (
        lambda: plots.map({"a": [1.0, 2.0]}, {"a": 1.0}),
        r"polygons of a must have two columns, found shape \(2,\)",
    ),
    "a polygon of two corners": (
        lambda: plots.map({"a": SQUARE["a"][:2]}, {"a": 1.0}),
        "polygons of a have no part with three",
    ),
    "a picture of a column": (lambda: plots.matrix_picture(X), "M must be a matrix"),
    "a negative sd": (lambda: plots.effects(["a", "b"], [1, 2], sd=[1, -1]), "sd must .*found -1"),
    "effects without levels": (lambda: plots.effects(["a"], [1, 2]), "(levels|effects) has . rows"),
    "unequal deviations": (
        lambda: plots.shrinkage([1.0, 2.0], [1.0], ["a", "b"]),
        "predicted has 1 rows",
    ),
    "a frame that is none": (
        lambda: explorable(X, [Y, Y], [1, 2], xlabel="", ylabel="", label="", start=2),
        "start must be a frame, 0 to 1, found 2",
    ),
    "curves of another grid": (
        lambda: explorable(X, [Y[1:]] * 2, [1, 2], xlabel="", ylabel="", label=""),
        rf"curves has shape \(2, {N - 1}\)",
    ),
    "names of rows": (
        lambda: explorable_rows(["a"], [1, 2], [[1, 2]] * 2, [1, 2], xlabel="", label=""),
        "rows has 1 names for 2 rings",
    ),
    "a rate below zero": (
        lambda: explorable_map([[0, 0]], [[0, 0]], [1], [[1], [-1]], [1, 2], size="", label=""),
        "fixed and moving are shown as areas; give positive numbers, found -1",
    ),
}

BAD = {
    f"{part}: {name}": case
    for part, cases in {
        "model": MODELS,
        "term": TERMS,
        "structure": STRUCTURES,
        "fit": FITS,
        "glmm": GENERALIZED,
        "formula": FORMULAS,
        "derivation": DERIVATIONS,
        "furniture": FURNITURE,
    }.items()
    for name, case in cases.items()
}


@pytest.fixture(autouse=True)
def no_figures() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=list(BAD))
def test_a_wrong_argument(call: Call, message: str) -> None:
    with pytest.raises(ValueError, match=rf"(?s){message}"):
        call()


# ---- what looks odd and is right ----


def same(one: ms.Fit, other: ms.Fit) -> None:
    assert one.names == other.names
    assert_allclose(one.criterion, other.criterion, rtol=1e-12)
    assert_allclose(one.beta, other.beta, rtol=1e-9)


PLAIN = ms.linear(x=X)
SAME: dict[str, Callable[[], ms.Fit]] = {
    "a list": lambda: ms.lmm(list(Y), ms.linear(x=list(X)), ms.group(g=list(G))),
    "decimals": lambda: ms.lmm([Decimal(str(y)) for y in Y], PLAIN, GROUP),
    "a covariate of decimals": lambda: ms.lmm(
        Y, ms.linear(x=[Decimal(repr(float(x))) for x in X]), GROUP
    ),
    "objects": lambda: ms.lmm(Y.astype(object), ms.linear(x=X.astype(object)), GROUP),
    "a mask of nothing": lambda: ms.lmm(np.ma.masked_array(Y, mask=False), PLAIN, GROUP),
    "pandas": lambda: ms.lmm(pd.Series(Y), ms.linear(x=pd.Series(X)), ms.group(g=pd.Series(G))),
    "nullable numbers": lambda: ms.lmm(pd.array(Y, dtype="Float64"), PLAIN, GROUP),
    "categories of groups": lambda: ms.lmm(Y, PLAIN, ms.group(g=pd.Categorical(G))),
    "a mapping": lambda: ms.lmm(Y, ms.linear({"x": X}), ms.group({"g": G})),
    "a data frame": lambda: ms.lmm(Y, ms.linear(pd.DataFrame({"x": X})), GROUP),
    "numbers of a group": lambda: ms.lmm(
        Y, PLAIN, ms.group(g=np.unique(G, return_inverse=True)[1])
    ),
    "dates of a group": lambda: ms.lmm(Y, PLAIN, ms.group(g=DAYS)),
}


@pytest.mark.parametrize("way", SAME)
def test_the_same_data_in_another_form(way: str) -> None:
    same(SAME[way](), ms.lmm(Y, PLAIN, GROUP))


def test_one_column_in_several_terms_is_one_column() -> None:
    slopes = ms.lmm(Y, ms.linear(x=X), ms.group(g=G, x=list(X)))
    assert slopes.names == ["(Intercept)", "x"]
    # two factors of one name, as uncorrelated effects are often written
    both = ms.lmm(Y, PLAIN, GROUP, ms.group(g=G, x=X, intercept=False))
    assert list(both.random) == ["g", "g.1"]


def test_names_that_are_arguments_too() -> None:
    period = ms.smooth({"period": X}, k=4)
    found = ms.lmm(Y, period, GROUP)
    assert "s(period)" in found.edf
    k = ms.lmm(Y, ms.smooth({"k": X}, k=4), GROUP)
    assert_allclose(k.criterion, found.criterion, rtol=1e-12)
    taken = ms.lmm(Y, ms.linear({"intercept": X}), ms.group({"correlated": G}))
    same_but_names = ms.lmm(Y, PLAIN, GROUP)
    assert_allclose(taken.beta, same_but_names.beta, rtol=1e-9)
    assert taken.names == ["(Intercept)", "intercept"]


def test_the_order_of_categories_is_kept() -> None:
    order = ["r", "p", "q"]
    doses = pd.Categorical(H, categories=order)
    found = ms.lmm(Y, ms.linear(h=doses), GROUP)
    assert found.names == ["(Intercept)", "h[p]", "h[q]"]
    plain = ms.lmm(Y, ms.linear(h=H), GROUP)
    assert plain.names == ["(Intercept)", "h[q]", "h[r]"]
    # the mean of r is the intercept of one, and a sum of the other
    assert_allclose(found.beta[0], plain.beta[0] + plain.beta[2], rtol=1e-9)
    assert_allclose(
        found.predict({"h": ["p", "q", "r"], "g": ["a", "a", "a"]}),
        plain.predict({"h": ["p", "q", "r"], "g": ["a", "a", "a"]}),
        rtol=1e-9,
    )
    groups = ms.lmm(Y, ms.group(h=doses))
    assert_array_equal(groups.random["h"].levels, order)


def test_categories_of_numbers_are_labels() -> None:
    found = ms.lmm(Y, ms.linear(h=pd.Categorical(np.tile([30, 10, 20], 8))), GROUP)
    assert found.names == ["(Intercept)", "h[20]", "h[30]"]


def test_a_category_that_no_row_has_makes_no_column() -> None:
    doses = pd.Categorical(H, categories=["p", "nobody", "q", "r"])
    assert ms.lmm(Y, ms.linear(h=doses), GROUP).names == ["(Intercept)", "h[q]", "h[r]"]


def test_without_an_intercept_all_levels_have_a_column() -> None:
    # as R's 0 + h
    found = ms.lmm(Y, ms.linear(intercept=False, h=H), GROUP)
    plain = ms.lmm(Y, ms.linear(h=H), GROUP)
    assert found.names == ["h[p]", "h[q]", "h[r]"]
    assert_allclose(found.criterion, plain.criterion, rtol=1e-10)
    assert_allclose(found.beta, plain.beta[0] + np.append(0, plain.beta[1:]), rtol=1e-8)
    assert_allclose(found.predict({"h": H, "g": G}), plain.fitted, rtol=1e-8)


def test_without_an_intercept_only_the_first_labels_have_all_levels() -> None:
    # as R's 0 + h + f: the columns would not be independent otherwise
    f = np.array(["s", "t"])[(np.arange(N) // 3) % 2]
    found = ms.lmm(Y, ms.linear(intercept=False, h=H, f=f), GROUP)
    assert found.names == ["h[p]", "h[q]", "h[r]", "f[t]"]


def test_without_an_intercept_each_label_of_a_level_has_an_effect() -> None:
    # lme4's (0 + h | g)
    found = ms.lmm(Y, ms.group(g=G, h=H, intercept=False, correlated=False))
    assert found.random["g"].names == ["h[p]", "h[q]", "h[r]"]


def test_formulas_without_an_intercept_have_all_levels() -> None:
    found = formula("y ~ 0 + h + (1 | g)")
    assert found.names == ["h[p]", "h[q]", "h[r]"]
    assert formula("y ~ x + (0 + h | g)").random["g"].names == ["h[p]", "h[q]", "h[r]"]


def test_a_refit_of_crossed_labels_predicts() -> None:
    found = formula("y ~ x + (1 | g:h)")
    again = found.refit("ML")
    data = {"x": X, "g": G, "h": H}
    assert_allclose(again.predict(data), again.fitted, rtol=1e-9)
    moved = found.with_response(Y + 1)
    assert_allclose(moved.predict(data), found.predict(data) + 1, rtol=1e-8)


def test_a_refit_by_quadrature_keeps_its_nodes() -> None:
    bits = ms.glmm(BITS, GROUP, family="bernoulli", method="agq", nodes=7)
    assert bits.nodes == 7
    assert_allclose(
        bits.refit("laplace").refit("agq", nodes=7).criterion, bits.criterion, rtol=1e-9
    )


def test_columns_are_copied() -> None:
    y, x, t, g, w = Y.copy(), X.copy(), Z.copy(), G.copy(), 1 + X
    found = ms.lmm(y, ms.linear(x=x), ms.smooth(t=t, k=5), ms.group(g=g, x=x), weights=w)
    before = found.residuals.copy(), found.predict({"x": X, "t": Z, "g": G})
    for column in (y, x, t, w):
        column[:] = 0.0
    g[:] = "d"
    assert_array_equal(found.residuals, before[0])
    assert_array_equal(found.predict({"x": X, "t": Z, "g": G}), before[1])
    assert_array_equal(found.random["g"].levels, np.unique(G))
    assert_allclose(found.refit("ML").criterion, found.refit("REML").refit("ML").criterion)


def test_columns_of_counts_are_copied() -> None:
    y, offset, trials = BITS.copy(), Z.copy(), np.full(N, 2.0)
    found = ms.glmm(y, GROUP, family="binomial", trials=trials, offset=offset)
    before = found.residuals.copy()
    for column in (y, offset, trials):
        column[:] = 9.0
    assert_array_equal(found.residuals, before)
    assert_array_equal(found.refit("laplace").residuals.round(6), before.round(6))


READ_ONLY: dict[str, Callable[[ms.Fit], FloatArray]] = {
    "beta": lambda found: found.beta,
    "se": lambda found: found.se,
    "cov_beta": lambda found: found.cov_beta,
    "theta": lambda found: found.theta,
    "fitted": lambda found: found.fitted,
    "residuals": lambda found: found.residuals,
    "effects": lambda found: found.random["g"].effects,
    "cov": lambda found: found.random["g"].cov,
    "conditional_cov": lambda found: found.random["g"].conditional_cov,
    "levels": lambda found: found.random["g"].levels,
}


@pytest.mark.parametrize("name", READ_ONLY)
def test_what_a_fit_tells_cannot_be_changed(name: str) -> None:
    for found in (ms.lmm(Y, PLAIN, GROUP), ms.glmm(COUNTS, PLAIN, GROUP)):
        values = READ_ONLY[name](found)
        before = values.copy()
        with suppress(ValueError):  # read-only, or a copy
            values[...] = values[::-1].copy()
        assert_array_equal(READ_ONLY[name](found), before)


FRAMES = ("pandas", "polars", "pyarrow")


def frame(kind: str, columns: dict[str, Any]) -> Any:
    """Return a table of one of the packages."""
    package = pytest.importorskip(kind)
    return package.table(columns) if kind == "pyarrow" else package.DataFrame(columns)


@pytest.mark.parametrize("kind", FRAMES)
def test_data_frames_are_mappings(kind: str) -> None:
    data = frame(kind, {"y": Y, "x": X, "z": Z, "t": Z, "g": G.tolist()})
    assert_array_equal(fit().predict(data), fit().predict({"x": X, "t": Z, "g": G}))
    same(ms.lmm(data["y"], ms.linear(x=data["x"]), ms.group(g=data["g"])), ms.lmm(Y, PLAIN, GROUP))
    same(ms.lmm_formula("y ~ x + (1 | g)", data), ms.lmm(Y, PLAIN, GROUP))
    with pytest.raises(ValueError, match="data has no column h"):
        ms.lmm_formula("y ~ h + (1 | g)", data)


@pytest.mark.parametrize("kind", FRAMES)
def test_columns_of_data_frames_with_a_gap(kind: str) -> None:
    data = frame(kind, {"y": with_row_3(None), "g": label_3(None)})
    with pytest.raises(ValueError, match=r"(?s)\by\b.*row 3"):
        ms.lmm(data["y"], GROUP)
    with pytest.raises(ValueError, match=r"(?s)\bg\b.*row 3"):
        ms.lmm(Y, ms.group(g=data["g"]))


def test_an_enumeration_of_polars_keeps_its_order() -> None:
    polars = pytest.importorskip("polars")
    doses = polars.Series(H.tolist(), dtype=polars.Enum(["r", "p", "q"]))
    assert ms.lmm(Y, ms.linear(h=doses), GROUP).names == ["(Intercept)", "h[p]", "h[q]"]


def test_shared_curves_can_be_evaluated_for_a_level() -> None:
    shared = ms.lmm(Y, ms.smooth(t=Z, k=5, by={"g": G}, shared=True), GROUP)
    curve = shared.smooth("s(t):g[b]", Z)
    predicted = shared.predict({"t": Z, "g": np.full(N, "b")})
    assert_allclose(np.diff(curve.value), np.diff(predicted), rtol=1e-8, atol=1e-10)
    assert np.all(curve.se > 0)
    for name in ("s(t):g[e]", "t"):  # none, and one of four
        with pytest.raises(ValueError, match=re.escape(f"name {name!r} fits")):
            shared.smooth(name, Z)


def test_the_callback_sees_the_score_of_cross_validation() -> None:
    seen: list[tuple[int, FloatArray, float]] = []
    found = ms.lmm(
        Y,
        ms.smooth(x=X, k=5),
        method="GCV",
        callback=lambda number, theta, score: seen.append((number, theta.copy(), score)),
    )
    assert [number for number, _, _ in seen] == list(range(1, len(seen) + 1))
    assert len(seen) > 5
    assert min(score for _, _, score in seen) == pytest.approx(found.criterion, rel=1e-6)


def test_large_and_small_units_are_right() -> None:
    plain = ms.lmm(Y, PLAIN, ms.group(g=G, x=X, correlated=False))
    for unit in (1e-100, 1e100):
        scaled = ms.lmm(
            Y * unit, ms.linear(x=X / unit), ms.group(g=G, x=X / unit, correlated=False)
        )
        assert_allclose(scaled.beta / plain.beta, [unit, unit**2], rtol=1e-6)


@pytest.mark.parametrize("decades", [12, 18, 40])
@pytest.mark.parametrize("slopes", [{}, {"x": X}], ids=["intercepts", "slopes"])
def test_weights_over_many_decades(slopes: dict[str, FloatArray], decades: int) -> None:
    weights = 10.0 ** np.linspace(-decades / 2, decades / 2, N)[::-1]
    found = None
    try:
        found = ms.lmm(Y, PLAIN, ms.group(g=G, **slopes), weights=weights)
    except ValueError as error:
        message = str(error)
    if found is None:
        assert "weights" in message
        return
    assert np.isfinite([found.criterion, *found.beta, *found.se, *found.theta]).all()
    # the rows of the largest weights have the smallest errors
    assert_allclose(found.fitted[:3], Y[:3], atol=1.0)
