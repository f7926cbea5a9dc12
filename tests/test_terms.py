"""Terms: their columns, their names, new data, and what is wrong with bad columns."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

import mixedsmooth as ms
from mixedsmooth.model.covariance import Diagonal, Full
from mixedsmooth.model.parts import Data, coded, read
from mixedsmooth.model.terms import Group, Linear

FloatArray = NDArray[np.float64]

LABELS = np.array(["mid", "low", "high", "low"])


def columns_of(term: Linear) -> list[list[float]]:
    return [column.tolist() for part in term.parts for column in part.columns(term.frame)]


def names_of(term: Linear) -> list[str]:
    return [name for part in term.parts for name in part.names]


def codes_of(term: Group) -> NDArray[np.intp]:
    return term.codes(term.frame)


def codes_at(term: Group, data: Data) -> NDArray[np.intp]:
    """Code the labels of new data; -1 stands for an unknown one."""
    return term.codes(read(data, term.factor_inputs))


# ---- linear ----


def test_numbers_stay_numbers_and_labels_become_indicators() -> None:
    term = ms.linear(x=[1, 2, 3, 5], dose=LABELS)
    # treatment coding: "high" sorts first and is the baseline
    assert term.intercept
    assert names_of(term) == ["x", "dose[low]", "dose[mid]"]
    assert columns_of(term) == [[1, 2, 3, 5], [0, 1, 0, 1], [1, 0, 0, 0]]


def test_the_intercept_alone_and_left_out() -> None:
    assert ms.linear().intercept
    assert ms.linear().parts == ()
    term = ms.linear(intercept=False, x=[1, 2, 3, 4])
    assert not term.intercept
    assert columns_of(term) == [[1, 2, 3, 4]]


NUMBERS: dict[str, Any] = {
    "list": [1, 2, 3, 5],
    "tuple": (1, 2, 3, 5),
    "int8": np.array([1, 2, 3, 5], dtype=np.int8),
    "uint64": np.array([1, 2, 3, 5], dtype=np.uint64),
    "float32": np.array([1, 2, 3, 5], dtype=np.float32),
    "object": np.array([1, 2.0, 3, np.int64(5)], dtype=object),
    "series": pd.Series([1, 2, 3, 5], index=[9, 8, 7, 6]),
    "nullable": pd.Series([1, 2, 3, 5], dtype="Int64"),
    "nullable float": pd.Series([1, 2, 3, 5], dtype="Float64"),
}


@pytest.mark.parametrize("values", NUMBERS.values(), ids=NUMBERS)
def test_numbers_of_all_kinds(values: Any) -> None:
    frames = ms.linear(x=values).frame, ms.group(g=["a", "a", "b", "b"], x=values).frame
    for frame in frames:
        assert "x" not in frame.labels
        assert frame.numbers["x"].dtype == np.float64
        assert_array_equal(frame.numbers["x"], [1, 2, 3, 5])


def test_truth_values_are_zero_and_one() -> None:
    term = ms.linear(late=np.array([True, False, True, True]))
    assert names_of(term) == ["late"]
    assert columns_of(term) == [[1, 0, 1, 1]]


TEXTS: dict[str, Any] = {
    "list": LABELS.tolist(),
    "tuple": tuple(LABELS.tolist()),
    "object": LABELS.astype(object),
    "series": pd.Series(LABELS),
    "string": pd.Series(LABELS, dtype="string"),
    "category": pd.Series(LABELS, dtype="category"),
}


@pytest.mark.parametrize("values", TEXTS.values(), ids=TEXTS)
def test_labels_of_all_kinds(values: Any) -> None:
    term = ms.group(g=values)
    assert_array_equal(term.levels, ["high", "low", "mid"])
    assert_array_equal(codes_of(term), [2, 1, 0, 1])
    assert names_of(ms.linear(dose=values)) == ["dose[low]", "dose[mid]"]


def test_the_order_of_categories_is_kept() -> None:
    values = pd.Categorical(LABELS, categories=["low", "mid", "high"])
    for column in (values, pd.Series(values)):
        term = ms.group(g=column)
        assert_array_equal(term.levels, ["low", "mid", "high"])
        assert_array_equal(codes_of(term), [1, 0, 2, 0])
        # the first category is the baseline
        assert names_of(ms.linear(dose=column)) == ["dose[mid]", "dose[high]"]
        assert columns_of(ms.linear(dose=column)) == [[1, 0, 0, 0], [0, 0, 1, 0]]


def test_without_an_intercept_the_first_labels_stand_for_it() -> None:
    # as R's model.matrix(~ 0 + x + dose + arm): more would be combinations of the others
    arm = ["a", "b", "b", "a"]
    parts = coded(ms.linear(intercept=False, x=[1, 2, 3, 5], dose=LABELS, arm=arm).parts)
    names = [name for part in parts for name in part.names]
    assert names == ["x", "dose[high]", "dose[low]", "dose[mid]", "arm[b]"]


def test_columns_by_mapping_and_by_keyword() -> None:
    columns = {"period": [1, 2, 3, 5], "intercept": [0, 1, 0, 1]}
    for given in (columns, pd.DataFrame(columns)):
        term = ms.linear(given, x=[2, 2, 3, 3])
        assert names_of(term) == ["period", "intercept", "x"]
        assert columns_of(term) == [[1, 2, 3, 5], [0, 1, 0, 1], [2, 2, 3, 3]]
        grouping = ms.group({"correlated": LABELS}, x=[2, 2, 3, 3])
        assert (grouping.factor, grouping.names) == ("correlated", ["(Intercept)", "x"])
    with pytest.raises(ValueError, match=r"linear\(\) has period twice; give it once"):
        ms.linear(columns, period=[1, 2, 3, 4])
    with pytest.raises(ValueError, match="an argument without one must be a mapping"):
        ms.linear(np.ones(4))  # type: ignore[arg-type]


# ---- group ----


def test_the_first_column_of_a_group_is_its_factor() -> None:
    term = ms.group(subject=LABELS, days=[0, 1, 2, 3], dose=["a", "b", "a", "b"])
    assert term.factor == "subject"
    assert term.names == ["(Intercept)", "days", "dose[b]"]
    assert term.covariance == Full(3)
    term = ms.group(correlated=False, intercept=False, subject=LABELS, days=[0, 1, 2, 3])
    assert term.names == ["days"]
    assert term.covariance == Diagonal(1)


def test_without_an_intercept_all_levels_have_an_effect() -> None:
    term = ms.group(intercept=False, subject=["a", "a", "b", "b"], dose=LABELS)
    assert term.names == ["dose[high]", "dose[low]", "dose[mid]"]


GROUPS: dict[str, Any] = {
    "dense": np.array([3, 1, 2, 3]),
    "far apart": np.array([30_000_000, -10, 7, 30_000_000]),
    "int8 of full range": np.tile(np.arange(-128, 128), 2).astype(np.int8),
    "int16": np.tile(np.array([-32768, 32767]), 40_000).astype(np.int16),
    "uint8": np.array([255, 0, 255, 3], dtype=np.uint8),
    "uint64": np.array([2**64 - 1, 2**64 - 2, 2**64 - 1, 5], dtype=np.uint64),
    "negative": np.array([-5, -4, -5, -1]),
    "int64 limits": np.array([-(2**63), 2**63 - 1, 0, 0]),
    "float": np.array([0.5, 0.25, 0.5, 1e300]),
    "bool": np.array([True, False, True, True]),
    "dates": np.array(["2020-03-01", "2019-01-01", "2020-03-01", "2021-01-01"], "datetime64[D]"),
    "object numbers": np.array([3, 1, 2, 3], dtype=object),
}


@pytest.mark.parametrize("labels", GROUPS.values(), ids=GROUPS)
def test_levels_are_the_sorted_labels(labels: Any) -> None:
    term = ms.group(g=labels)
    levels, codes = np.unique(labels, return_inverse=True)
    assert_array_equal(term.levels, levels)
    assert_array_equal(codes_of(term), codes)
    if labels.dtype != object:
        assert term.levels.dtype == labels.dtype
    # and are found again
    assert_array_equal(codes_at(term, {"g": labels}), codes)


# ---- new data ----


def test_new_numbers_and_labels_are_coded_as_the_old_ones() -> None:
    term = ms.linear(days=[0, 1, 2, 3], dose=LABELS)
    data: dict[str, Any] = {"days": [7, 8], "dose": ["mid", "high"]}
    assert columns_at(term, data) == [[7, 8], [0, 0], [1, 0]]
    assert columns_at(term, pd.DataFrame(data)) == columns_at(term, data)


def columns_at(term: Linear, data: Data) -> list[list[float]]:
    frame = read(data, [each for part in term.parts for each in part.inputs])
    return [column.tolist() for part in term.parts for column in part.columns(frame)]


def test_unknown_labels_of_a_group_are_marked() -> None:
    term = ms.group(g=["b", "d", "b"])
    new = codes_at(term, {"g": ["a", "b", "c", "d", "e", "longer than the others"]})
    assert_array_equal(new, [-1, 0, -1, 1, -1, -1])
    # int and float are both numbers
    assert_array_equal(codes_at(ms.group(g=[1, 2, 1]), {"g": [2.0, 1.5]}), [1, -1])


DAYS = ms.linear(days=[0, 1, 2, 3])


def dose_at(data: Data, levels: int = 3) -> FloatArray:
    """Predict for new labels of a covariate; columns are read as for any prediction."""
    dose = np.array([f"d{i}" for i in range(levels)] * 3)
    i = np.arange(len(dose))
    fit = ms.lmm(np.cos(7 * i), ms.linear(dose=dose), ms.group(g=i % 4))
    return fit.predict(data, effects=False)


BAD_NEW: dict[str, tuple[Any, str]] = {
    "missing": (
        lambda: columns_at(DAYS, {"day": [1], "dose": ["low"]}),
        "data has no column days, which the model needs; it has day, dose",
    ),
    "missing from a frame": (
        lambda: columns_at(DAYS, pd.DataFrame({"day": [1]})),
        "data has no column days, .* it has day$",
    ),
    "NaN": (lambda: columns_at(DAYS, {"days": [1, np.nan]}), r"days has 1 value\(s\) that are NaN"),
    "text for a number": (lambda: columns_at(DAYS, {"days": ["a"]}), "days must hold numbers only"),
    "new label": (
        lambda: dose_at({"dose": ["d0", "d7"]}),
        "dose has the new label d7, for which nothing was learned; the model knows d0, d1, d2$",
    ),
    "new label among many": (
        lambda: dose_at({"dose": ["x"]}, levels=9),
        "dose has the new label x, .* the model knows d0, d1, d2, d3, d4, ...$",
    ),
    "missing label": (
        lambda: dose_at({"dose": np.array(["d0", None])}),
        r"dose has 1 missing label\(s\)",
    ),
    "numbers for text": (
        lambda: dose_at({"dose": [1, 2]}),
        "labels must be of the kind that the model was fitted with",
    ),
    "a factor that is missing": (
        lambda: codes_at(ms.group(g=LABELS), {"h": LABELS}),
        "data has no column g, which the model needs; it has h",
    ),
    "numbers for the labels of a factor": (
        lambda: codes_at(ms.group(g=["308", "309"]), {"g": [308]}),
        "labels must be of the kind that the model was fitted with.*'308'.*found.*308",
    ),
}


@pytest.mark.parametrize(("call", "message"), BAD_NEW.values(), ids=BAD_NEW)
def test_bad_new_data_are_told(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# ---- bad columns ----

BAD: dict[str, tuple[Any, str]] = {
    "nothing": (
        lambda: ms.linear(intercept=False),
        r"linear\(\) has no columns; name at least one, or leave it out",
    ),
    "infinite": (lambda: ms.linear(x=[np.inf, 1]), r"x has 1 value\(s\) that are NaN or infinite"),
    "mixture": (
        lambda: ms.linear(x=np.array(["a", 1], dtype=object)),
        r"x mixes text and numbers; make all labels text with str\(\)",
    ),
    "two lengths": (
        lambda: ms.linear(x=[1, 2, 3], z=[1, 2]),
        "z has 2 rows where the other arguments have 3; give one row for each",
    ),
    "two lengths, labels": (
        lambda: ms.linear(x=[1, 2, 3], z=["a", "b"]),
        "z has 2 rows where the other arguments have 3",
    ),
    "empty": (lambda: ms.linear(x=[]), "x must be a vector"),
    "matrix": (lambda: ms.linear(x=np.ones((2, 2))), r"x must be a vector .*\(2, 2\)"),
    "number": (lambda: ms.linear(x=3.0), r"x must be a vector .*\(\)"),
    "one label": (lambda: ms.linear(x=["a", "a"]), r"x has one level only \(a\); leave it out"),
    "no factor": (
        lambda: ms.group(),
        r"group\(\) needs a grouping factor: group\(subject=labels\)",
    ),
    "one group": (
        lambda: ms.group(g=["a", "a"]),
        r"g has one level only \(a\): a random effect needs at least two groups",
    ),
    "no effects": (
        lambda: ms.group(intercept=False, g=["a", "b"]),
        r"group\(g=...\) has neither an intercept nor a slope; add one",
    ),
    "slope too short": (
        lambda: ms.group(g=["a", "b", "a"], x=[1, 2]),
        "x has 2 rows where the other arguments have 3",
    ),
    "nothing but missing numbers": (
        lambda: ms.linear(x=np.array([np.nan, None])),
        "^x has no value: all 2 are missing; leave it out$",
    ),
    "nothing but missing labels": (
        lambda: ms.group(g=pd.Categorical([None, None, None])),
        "^g has no value: all 3 are missing",
    ),
    "always one or the other missing": (
        lambda: ms.group(g=np.array(["a", None, "b", None]), x=np.array([None, 1, np.nan, 2])),
        r"^g or x is missing in every row \(in the 0 of 4 rows without missing values\)$",
    ),
    "one label but for the missing": (
        lambda: ms.linear(x=np.array(["a", np.nan, "a"], dtype=object)),
        r"^x has one level only \(a\); leave it out \(in the 2 of 3 rows without missing values\)$",
    ),
    "one group but for the missing": (
        lambda: ms.group(g=[1.0, np.nan, 1.0]),
        r"^g has one level only \(1.0\): .* \(in the 2 of 3 rows without missing values\)$",
    ),
    "constant but for the missing": (
        lambda: ms.group(g=np.array(["a", None, "b"]), x=[1, 2, 1]),
        r"^x is constant, .* \(in the 2 of 3 rows without missing values\)$",
    ),
    "infinite beside missing": (
        lambda: ms.linear(x=np.array([None, 1.0, -np.inf])),
        r"^x has 1 value\(s\) that are infinite, the first in row 2; drop",
    ),
    "too few beside missing": (
        lambda: ms.linear(x=[1, 2, 3], z=np.array(["a", None])),
        "z has 2 rows where the other arguments have 3",
    ),
    "matrix with a gap": (
        lambda: ms.linear(x=np.array([[1, None], [2, 3]], dtype=object)),
        r"^x has 1 missing label\(s\), the first in row 0",
    ),
    "slope of a constant": (
        lambda: ms.group(g=["a", "b", "a"], x=[0.1, 0.1, 0.1]),
        "x is constant, so its slopes cannot be told from the intercepts; leave it out",
    ),
    "matrix of groups": (
        lambda: ms.group(g=np.ones((2, 2))),
        r"g must be a vector with one label a row, found shape \(2, 2\)",
    ),
}


@pytest.mark.parametrize(("call", "message"), BAD.values(), ids=BAD)
def test_bad_columns_are_told(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_a_constant_is_an_intercept_where_there_is_none() -> None:
    term = ms.group(intercept=False, g=["a", "b", "a"], x=[2.0, 2.0, 2.0])
    assert term.names == ["x"]


def test_terms_are_frozen() -> None:
    for term, name in ((ms.linear(x=[1, 2]), "intercept"), (ms.group(g=["a", "b"]), "levels")):
        with pytest.raises(AttributeError, match="cannot assign"):
            setattr(term, name, None)
