"""Labels whose first level is named: the baseline of a covariate, in any column of labels."""

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import mixedsmooth as ms
from mixedsmooth import _checks as checks

DOSE = ["low", "none", "high", "none", "low", "high", "none", "low"]
Y = np.array([3.0, 1.0, 8.0, 2.0, 4.0, 7.0, 1.5, 3.5])
G = np.array(list("abababab"))

COLUMNS: dict[str, tuple[Any, Any, list[Any]]] = {
    "text": (DOSE, "none", ["none", "high", "low"]),
    "already first": (DOSE, "high", ["high", "low", "none"]),
    "last": (DOSE, "low", ["low", "high", "none"]),
    "text of numpy": (np.array(DOSE), np.str_("none"), ["none", "high", "low"]),
    "series": (pd.Series(DOSE), "none", ["none", "high", "low"]),
    "string": (pd.Series(DOSE, dtype="string"), "none", ["none", "high", "low"]),
    "the order of categories": (
        pd.Categorical(DOSE, categories=["none", "some", "low", "high"]),
        "low",
        ["low", "none", "high"],
    ),
    "numbers": ([3, 1, 2, 1], 2, [2, 1, 3]),
    "a float for a whole number": ([3, 1, 2, 1], 2.0, [2, 1, 3]),
    "bools": ([True, False], True, [True, False]),
    "dates": (np.array(["2020-01-01", "2020-01-02"], "M8[D]"), dt.date(2020, 1, 2), []),
    "missing labels": (["b", None, "a", float("nan"), "b"], "b", ["b", "a"]),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_the_level_that_is_named_comes_first(kind: str) -> None:
    values, first, levels = COLUMNS[kind]
    column: Any = ms.labels(values, first=first)
    of_pandas = isinstance(values, pd.Series)
    ordered = np.asarray(column.cat.categories) if of_pandas else column.levels
    codes = np.asarray(column.cat.codes) if of_pandas else column.codes
    if levels:
        assert ordered.tolist() == levels
    assert ordered[0] == first
    assert len(column) == len(values)
    missing = checks.missing_in("f", values)
    assert_array_equal(codes == -1, missing)
    whole = np.asarray(values)[~missing]
    assert_array_equal(ordered[codes[~missing]], whole)
    if of_pandas:
        return
    assert not column.levels.flags.writeable
    assert not column.codes.flags.writeable
    with pytest.raises(AttributeError, match="cannot assign"):
        column.levels = whole


def test_labels_are_an_array_and_can_be_cut() -> None:
    column = ms.labels(DOSE, first="none")
    assert_array_equal(np.asarray(column), DOSE)
    assert np.asarray(column, dtype=object).dtype == object
    assert_array_equal(np.asarray(column[2:4]), DOSE[2:4])
    assert_array_equal(np.asarray(column[np.array([0, 5])]), ["low", "high"])
    assert_array_equal(np.asarray(column[column.codes == 0]), ["none"] * 3)
    assert column[2:4].levels is column.levels
    gaps: Any = ["b", None, "a"]
    assert np.asarray(ms.labels(gaps, first="b")).tolist() == gaps


BAD: dict[str, tuple[Any, Any, str]] = {
    "another": (DOSE, "med", "^first must be one of the labels high, low, none; found 'med'$"),
    "of many": (list("abcdefg"), "z", r"one of the labels a, b, c, d, e, \.\.\.; found 'z'$"),
    "no number": (DOSE, 1, "^first must be one of the labels high, low, none; found 1$"),
    "no text": ([1, 2], "1", "^first must be one of the labels 1, 2; found '1'$"),
    "None": (DOSE, None, "found None$"),
    "NaN": ([1.0, 2.0, np.nan], np.nan, r"^first must be one of the labels 1.0, 2.0; found nan"),
    "a list": (DOSE, ["low"], r"found \['low'\]$"),
    "a category without rows": (
        pd.Categorical(DOSE, categories=["none", "some", "low", "high"]),
        "some",
        "^first must be one of the labels none, low, high; found 'some'$",
    ),
    "mixture": (["a", 1], "a", "^values mixes text and numbers"),
    "nothing": ([None, None], "a", "^values has no value: all 2 are missing"),
    "matrix": ([["a", "b"]], "a", r"^values must be a vector with one label a row"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_cannot_come_first_is_told(kind: str) -> None:
    values, first, message = BAD[kind]
    with pytest.raises(ValueError, match=message):
        ms.labels(values, first=first)


def test_the_baseline_of_a_covariate() -> None:
    column = ms.labels(DOSE, first="none")
    fit = ms.lmm(Y, ms.linear(dose=column), ms.group(g=G))
    assert fit.names == ["(Intercept)", "dose[high]", "dose[low]"]
    other = pd.Categorical(DOSE, categories=["none", "high", "low"])
    same = ms.lmm(Y, ms.linear(dose=other), ms.group(g=G))
    assert_array_equal(fit.beta, same.beta)
    # beside the sorted baseline: the same means
    plain = ms.lmm(Y, ms.linear(dose=DOSE), ms.group(g=G))
    assert plain.names == ["(Intercept)", "dose[low]", "dose[none]"]
    assert_allclose(fit.fitted, plain.fitted, rtol=1e-12)


def test_labels_are_taken_wherever_labels_are() -> None:
    column = ms.labels(DOSE, first="none")
    assert ms.linear({"dose": column}).parts[0].names == ["dose[high]", "dose[low]"]
    group = ms.group(dose=column)
    assert group.levels.tolist() == ["none", "high", "low"]
    assert_array_equal(group.codes(group.frame), column.codes)
    slopes = ms.group(g=G, dose=column)
    assert slopes.names == ["(Intercept)", "dose[high]", "dose[low]"]
    x = np.tile([0.0, 1, 2, 3, 4, 5], 3)
    by = ms.labels(np.repeat(["a", "b", "c"], 6), first="c")
    curves = ms.smooth(x=x, k=4, by={"f": by})
    assert [g.factor for g in curves.random] == ["s(x):f[c]", "s(x):f[a]", "s(x):f[b]"]
    assert ms.smooth(x=x, k=4, by={"f": by}, shared=True).random[0].levels.tolist() == [*"cab"]


def test_labels_in_new_data() -> None:
    fit = ms.lmm(Y, ms.linear(dose=DOSE), ms.group(g=G))
    expected = fit.predict({"dose": DOSE, "g": G})
    for first in ("none", "low"):
        column = ms.labels(DOSE, first=first)
        assert_array_equal(fit.predict({"dose": column, "g": G}), expected)
        # of new rows none may have the baseline
        assert_array_equal(fit.predict({"dose": column[2:3], "g": G[2:3]}), expected[2:3])
    gaps: Any = ["low", None]
    with pytest.raises(ValueError, match=r"^dose has 1 missing label\(s\), the first in row 1"):
        fit.predict({"dose": ms.labels(gaps, first="low"), "g": G[:2]})


def test_missing_labels_are_left_out() -> None:
    gaps: Any = [None if i in (1, 5) else dose for i, dose in enumerate(DOSE)]
    column = ms.labels(gaps, first="none")
    kept = np.delete(np.arange(8), [1, 5])
    fit = ms.lmm(Y, ms.linear(dose=column), ms.group(g=G), missing="drop")
    assert_array_equal(fit.rows, kept)
    other = ms.labels([DOSE[row] for row in kept], first="none")
    same = ms.lmm(Y[kept], ms.linear(dose=other), ms.group(g=G[kept]))
    assert fit.names == same.names
    assert_array_equal(fit.beta, same.beta)
    with pytest.raises(ValueError, match=r"^missing values \(dose 2\) in 2 of 8 rows: rows 1, 5;"):
        ms.lmm(Y, ms.linear(dose=column), ms.group(g=G))


def test_a_baseline_without_rows_is_told() -> None:
    column = ms.labels(DOSE, first="none")
    y: Any = [None if dose == "none" else value for dose, value in zip(DOSE, Y, strict=True)]
    with pytest.raises(
        ValueError,
        match=r"^dose has no row left with none, its first level; name another "
        r"\(in the rows that are used: 5 of 8; 3 left out: missing in y 3\)$",
    ):
        ms.lmm(y, ms.linear(dose=column), ms.group(g=G), missing="drop")
    with pytest.raises(ValueError, match=r"^dose has no row with 'none', its first level; name an"):
        ms.linear(dose=column[[0, 2]])
    # a plain baseline is that of the labels that are left
    kept = [value for value in y if value is not None]
    assert len(kept) == 5
    dropped = ms.lmm(y, ms.linear(dose=DOSE), ms.group(g=G), missing="drop")
    assert dropped.names == ["(Intercept)", "dose[low]"]


def test_one_column_of_several_terms_has_one_order() -> None:
    column = ms.labels(DOSE, first="none")
    fit = ms.lmm(Y, ms.linear(dose=column), ms.group(g=G, dose=column, intercept=False), sigma=1.0)
    assert fit.names == ["(Intercept)", "dose[high]", "dose[low]"]
    assert fit.random["g"].names == ["dose[none]", "dose[high]", "dose[low]"]


def test_labels_of_a_column_of_pandas_stay_one() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"dose": ["low", None, "high", "none"], "x": range(4)}, index=list("abcd"))
    frame["dose"] = ms.labels(frame["dose"], first="none")
    assert frame["dose"].cat.categories.tolist() == ["none", "high", "low"]
    assert frame["dose"].isna().tolist() == [False, True, False, False]
    assert (frame["dose"].name, frame["dose"].index.tolist()) == ("dose", list("abcd"))
    assert ms.linear(dose=frame["dose"]).parts[0].names == ["dose[high]", "dose[low]"]
    # others have no place in a frame, which would hold each as one object
    frame["dose"] = ms.labels(["low", "none", "high", "none"], first="none")
    with pytest.raises(ValueError, match=r'dose .*LabelColumn.*write frame\["f"\] = labels'):
        ms.linear(dose=frame["dose"])
