"""What a user passes in is taken for what it is, or told: tables of good and of bad input."""

import datetime as dt
from collections import OrderedDict
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from mixedsmooth import _checks as checks

NAN = float("nan")
DAY = dt.date(2020, 1, 2)
UTC = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
DATES = np.array(["2020-01-02", "2019-05-01", "2020-01-02"], dtype="datetime64[D]")
RECORDS = np.array([(1, 2.0), (3, 4.0)], dtype=[("a", int), ("b", float)])
MASKED = np.ma.array([1.0, 1e6, 2.0], mask=[False, True, False])
SIZES = pd.Categorical(["small", "large", "small"], categories=["small", "medium", "large"])
CODED = pd.Categorical([30, 10, 30], categories=[30, 20, 10])


def objects(*items: Any) -> Any:
    """Make an array of objects, one for each item, whatever the items are."""
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


class Unreadable:
    """An array of another library."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        """Refuse to become one of numpy."""
        raise RuntimeError("detach it first")


# ---- numbers ----

NUMBERS: dict[str, tuple[Any, list[float]]] = {
    "floats": ([1.5, 2.0], [1.5, 2.0]),
    "ints": ((1, 2), [1, 2]),
    "bools": ([True, False], [1, 0]),
    "bools and numbers": ([True, 2.5], [1, 2.5]),
    "float32": (np.array([0.5, 2], dtype=np.float32), [0.5, 2]),
    "float16": (np.array([0.5, 2], dtype=np.float16), [0.5, 2]),
    "long double": (np.array([0.5, 2], dtype=np.longdouble), [0.5, 2]),
    "uint64": (np.array([2**64 - 1], dtype=np.uint64), [2.0**64]),
    "other byte order": (np.array([1.5, 2], dtype=">f8"), [1.5, 2]),
    "large whole numbers": ([2**70, 1], [2.0**70, 1]),
    "objects": (objects(1, 2.5, True), [1, 2.5, 1]),
    "Decimal": ([Decimal("1.5"), Decimal(2)], [1.5, 2]),
    "Fraction": ([Fraction(1, 4), 2], [0.25, 2]),
    "numpy scalars": (objects(np.float32(0.5), np.int8(2), np.bool_(True)), [0.5, 2, 1]),
    "range": (range(3), [0, 1, 2]),
    "nothing masked": (np.ma.array([1.0, 2.0], mask=[False, False]), [1, 2]),
    "no mask": (np.ma.array([1.0, 2.0]), [1, 2]),
    "pandas": (pd.Series([1.5, 2.0]), [1.5, 2]),
    "pandas Int64": (pd.Series([1, 2], dtype="Int64"), [1, 2]),
    "pandas Float64": (pd.Series([1.5, 2], dtype="Float64"), [1.5, 2]),
    "pandas boolean": (pd.Series([True, False], dtype="boolean"), [1, 0]),
    "pandas objects": (pd.Series([1, 2.5], dtype=object), [1, 2.5]),
    "pandas index": (pd.RangeIndex(2), [0, 1]),
    "zeros": ([0.0, -0.0], [0, 0]),
    "large": ([1e150, -1e150], [1e150, -1e150]),
    "small beside large": ([1e-300, 1.0], [1e-300, 1]),
}


@pytest.mark.parametrize(("values", "expected"), NUMBERS.values(), ids=NUMBERS)
def test_numbers_become_floats(values: Any, expected: list[float]) -> None:
    for found in (checks.as_vector("x", values), checks.as_covariate("x", values)[0]):
        assert found.dtype == np.float64
        assert type(found) is np.ndarray
        assert_array_equal(found, expected)
    assert_array_equal(checks.for_each_row("x", values, len(expected)), expected)
    assert checks.as_covariate("x", values)[1] is None


LARGE = "too large to be squared; use other units"
SMALL = "too small to be squared; use other units"
NOT_FINITE = r"x has {} value\(s\) that are NaN or infinite, the first in row {}; drop these rows"
MISSING = r"x has {} missing value\(s\), the first in row {}; drop these rows or fill them in"
ONLY = "x must hold numbers only, found "

BAD_NUMBERS: dict[str, tuple[Any, str]] = {
    "NaN": ([1.0, NAN, NAN], NOT_FINITE.format(2, 1)),
    "infinite": ([1.0, 2.0, -np.inf], NOT_FINITE.format(1, 2)),
    "infinite float32": (np.array([np.inf, 1], dtype=np.float32), NOT_FINITE.format(1, 0)),
    "infinite Decimal": ([Decimal("Infinity"), 1], NOT_FINITE.format(1, 0)),
    "None": ([1.0, None, 2.0], MISSING.format(1, 1)),
    "only None": ([None, None], MISSING.format(2, 0)),
    "NaN of an object": (objects(1.0, 2.0, NAN), MISSING.format(1, 2)),
    "NaN of Decimal": ([Decimal("NaN"), 1], MISSING.format(1, 0)),
    "signaling NaN": ([1, Decimal("sNaN")], MISSING.format(1, 1)),
    "NA": ([1, pd.NA], MISSING.format(1, 1)),
    "NaT among numbers": (objects(1.0, pd.NaT), MISSING.format(1, 1)),
    "masked among objects": (objects(1.0, np.ma.masked), MISSING.format(1, 1)),
    "pandas Int64": (pd.Series([1, None, 2], dtype="Int64"), NOT_FINITE.format(1, 1)),
    "pandas Float64": (pd.Series([1, None], dtype="Float64"), NOT_FINITE.format(1, 1)),
    "pandas boolean": (pd.Series([True, None], dtype="boolean"), MISSING.format(1, 1)),
    "pandas None": (pd.Series([None, 1.0]), NOT_FINITE.format(1, 0)),
    "mask": (MASKED, r"x has 1 masked value\(s\), the first in row 1; drop these rows or fill"),
    "mask of all": (
        np.ma.array([1, 2, 3], mask=True),
        r"x has 3 masked value\(s\), the first in row 0",
    ),
    "masked number": (np.ma.masked, r"x has 1 masked value\(s\)"),
    "complex": ([1 + 2j, 3], ONLY + r"complex numbers, such as \(1\+2j\); give their real part"),
    "complex object": (objects(1j, 2), ONLY + "numbers and complex numbers"),
    "dates": (DATES, ONLY + "dates, .*; give days since a start, as numbers"),
    "date objects": ([DAY, DAY], ONLY + "dates, such as datetime.date"),
    "pandas dates": (pd.Series(pd.to_datetime(["2020-01-01"])), ONLY + "dates"),
    "dates of a time zone": ([UTC], ONLY + "dates of a time zone"),
    "time differences": (np.array([1, 2], "timedelta64[s]"), ONLY + "time differences, .*seconds"),
    "timedelta": ([dt.timedelta(1)], ONLY + "time differences"),
    "timedelta64 object": (objects(np.timedelta64(1, "s"), 2), ONLY + "time differences and num"),
    "text": (["a", "b"], ONLY + "text, such as 'a'; convert with float"),
    "numeric text": (["1.5", "2"], ONLY + r"text, such as '1\.5'; convert with float"),
    "numeric text array": (np.array(["1.5", "2"]), ONLY + "text"),
    "numeric text objects": (objects("1.5", "2"), ONLY + "text"),
    "pandas text": (pd.Series(["1.5", "2"], dtype="string"), ONLY + "text"),
    "text of numpy": (np.array(["1.5"], dtype=np.dtypes.StringDType()), ONLY + "text"),
    "text and numbers": ([1.5, "2"], ONLY + "text and numbers"),
    "one text": ("abc", ONLY + "text, such as 'abc'"),
    "bytes": ([b"1", b"2"], ONLY + "bytes, such as b'1'; decode them"),
    "bytes array": (np.array([b"1"]), ONLY + "bytes"),
    "categories of numbers": (CODED, ONLY + "categories, such as 30; .*convert with float"),
    "categories in a column": (pd.Series(CODED), ONLY + "categories"),
    "categories in an index": (pd.CategoricalIndex(CODED), ONLY + "categories"),
    "records": (RECORDS, ONLY + "records"),
    "masked records": (np.ma.array(RECORDS, mask=[(True, False)] * 2), ONLY + "records"),
    "dicts": ([{}, {}], ONLY + "dict"),
    "a dict": ({"x": [1]}, ONLY + "dict"),
    "a generator": ((i for i in range(3)), ONLY + "generator"),
    "a function": (np.mean, ONLY + ".*function"),
    "arrays": (objects(np.ones(2), np.ones(3)), ONLY + "ndarray"),
    "intervals": (pd.cut([1, 2, 3], 2), ONLY + "categories"),
    "periods": (pd.period_range("2020", periods=2), ONLY + "Period"),
    "ragged": ([[1.0], [1.0, 2.0]], r"x must hold numbers or labels, one a row, found \[\[1\.0\]"),
    "unreadable": (Unreadable(), "x must hold numbers or labels, one a row, found .*Unreadable"),
    "no objects": (objects(), r"x must be a vector .*, found shape \(0,\)"),
    "empty": ([], r"x must be a vector with one number a row, found shape \(0,\)"),
    "matrix": (np.ones((2, 2)), r"x must be a vector with one number a row, found shape \(2, 2\)"),
    "column": (np.ones((2, 1)), r"found shape \(2, 1\)"),
    "frame": (pd.DataFrame({"x": [1, 2]}), r"found shape \(2, 1\)"),
    "overflow": ([10**400, 1], f"x has whole numbers {LARGE}"),
    "overflow of a Fraction": ([Fraction(10**400), 1], f"x has whole numbers {LARGE}"),
    "large": ([1.0, 2e160, 1.0], rf"x reaches 2e\+160, in row 1, {LARGE}"),
    "large negative": ([1.0, 1.0, -2e160], rf"x reaches 2e\+160, in row 2, {LARGE}"),
    "small": ([0.0, 2e-160], f"x reaches 2e-160, in row 1, {SMALL}"),
    "denormal": ([5e-324], f"x reaches 4.94066e-324, in row 0, {SMALL}"),
}


@pytest.mark.parametrize(("values", "message"), BAD_NUMBERS.values(), ids=BAD_NUMBERS)
def test_what_is_no_vector_of_numbers_is_told(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checks.as_vector("x", values)


def test_a_number_alone_is_no_vector_but_stands_for_all_rows() -> None:
    with pytest.raises(ValueError, match=r"x must be a vector .*, found shape \(\)"):
        checks.as_vector("x", 3.0)
    for one in (3, 3.0, np.float32(3), Decimal(3), np.array(3)):
        found = checks.for_each_row("x", one, 2)  # type: ignore[arg-type]
        assert found.dtype == np.float64
        assert_array_equal(found, [3.0, 3.0])


FOR_EACH_ROW: dict[str, tuple[Any, str]] = {
    "text": ("3", "x must hold numbers only, found text"),
    "None": (None, r"x has 1 missing value\(s\)"),
    "NaN": (NAN, r"x has 2 value\(s\) that are NaN"),
    "masked": (np.ma.masked, r"x has 1 masked value\(s\)"),
    "one row": ([1.0], "x has 1 rows where the other arguments have 2; give one row for each"),
    "ragged": ([[1], [1, 2]], "x must hold numbers or labels"),
}


@pytest.mark.parametrize(("values", "message"), FOR_EACH_ROW.values(), ids=FOR_EACH_ROW)
def test_what_stands_for_no_row_is_told(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checks.for_each_row("x", values, 2)


@pytest.mark.parametrize("check", [checks.as_labels, checks.levels_and_codes, checks.as_covariate])
@pytest.mark.parametrize("values", [[1, 2, 3], ["a", "b", "c"], SIZES], ids=str)
def test_another_length_is_told(check: Callable[..., Any], values: Any) -> None:
    with pytest.raises(ValueError, match="x has 3 rows where the other arguments have 2"):
        check("x", values, 2)
    check("x", values, 3)


def test_floats_are_not_copied_and_what_is_frozen_is() -> None:
    x = np.array([1.0, 2.0])
    X = np.ones((2, 3))
    assert checks.as_vector("x", x) is x
    assert checks.as_matrix("X", X) is X
    kept = checks.frozen(x)
    x[0] = 99.0
    assert_array_equal(kept, [1.0, 2.0])
    with pytest.raises(ValueError, match="read-only"):
        kept[0] = 99.0


MATRICES: dict[str, tuple[Any, str]] = {
    "vector": ([1.0, 2.0], r"X must be a matrix \(rows x columns; one column is X\[:, None\]\)"),
    "empty": (np.ones((3, 0)), r"X must be a matrix .*, found shape \(3, 0\)"),
    "three dimensions": (np.ones((2, 2, 2)), r"found shape \(2, 2, 2\)"),
    "NaN": ([[1, 2], [3, NAN]], r"X has 1 value\(s\) that are NaN or infinite, the first in row 1"),
    "None": ([[1, 2], [3, None]], r"X has 1 missing value\(s\), the first in row 1"),
    "mask": (
        np.ma.array(np.ones((2, 2)), mask=[[False, False], [False, True]]),
        r"X has 1 masked .* row 1",
    ),
    "masked rows": ([np.ma.array([1.0, 9.0], mask=[False, True])] * 2, r"X has 2 masked .* row 0"),
    "text": ([["1", "2"]], "X must hold numbers only, found text"),
    "text beside numbers": (pd.DataFrame({"a": [1], "b": ["x"]}), "found text and numbers"),
    "categories": (
        pd.DataFrame({"a": CODED[:2]}),
        "X has columns of categories; where these count",
    ),
    "large": ([[1, 1], [1e160, 1]], rf"X reaches 1e\+160, in row 1, {LARGE}"),
    "too few rows": (np.ones((3, 1)), "X has 3 rows where the other arguments have 2"),
    "dict": ({"a": [1]}, "X must hold numbers only, found dict"),
}


@pytest.mark.parametrize(("values", "message"), MATRICES.values(), ids=MATRICES)
def test_what_is_no_matrix_of_numbers_is_told(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checks.as_matrix("X", values, 2)


@pytest.mark.parametrize(
    "values",
    [
        [[1, 0], [1, 2]],
        [[True, False], [1, Decimal(2)]],
        pd.DataFrame({"a": [1, 1], "b": [0, 2.0]}),
        np.ma.array([[1, 0], [1, 2]]),
        [np.ma.array([1, 0]), [1, 2]],
        pd.DataFrame({"a": [1, 1], "dtype": [0, 2]}),
    ],
)
def test_a_matrix_of_numbers_is_one(values: Any) -> None:
    found = checks.as_matrix("X", values, 2)
    assert found.dtype == np.float64
    assert_array_equal(found, [[1, 0], [1, 2]])


# ---- labels ----

LABELS: dict[str, tuple[Any, list[Any], list[int]]] = {
    "text": (["b", "a", "b"], ["a", "b"], [1, 0, 1]),
    "text objects": (objects("b", "a"), ["a", "b"], [1, 0]),
    "text array": (np.array(["b", "a", "nan"]), ["a", "b", "nan"], [1, 0, 2]),
    "text of numpy": (np.array(["b", "a"], dtype=np.dtypes.StringDType()), ["a", "b"], [1, 0]),
    "text of pandas": (pd.Series(["b", "a"], dtype="string"), ["a", "b"], [1, 0]),
    "text that looks missing": (["None", "nan", "None"], ["None", "nan"], [0, 1, 0]),
    "empty text": (["", "a"], ["", "a"], [0, 1]),
    "ints": ([3, 1, 3], [1, 3], [1, 0, 1]),
    "far apart": ([10**12, -5, 10**12], [-5, 10**12], [1, 0, 1]),
    "limits": (np.array([2**63 - 1, -(2**63)]), [-(2**63), 2**63 - 1], [1, 0]),
    "int8": (np.array([127, -128], dtype=np.int8), [-128, 127], [1, 0]),
    "uint64": ([2**63 + 1, 2**63], [2**63, 2**63 + 1], [1, 0]),
    "at the upper limit": (np.array([2**63 - 1, 2**63 - 2]), [2**63 - 2, 2**63 - 1], [1, 0]),
    "uint64 of both ends": (np.array([2**64 - 1, 0], np.uint64), [0, 2**64 - 1], [1, 0]),
    "floats": ([0.5, 0.25, 0.5], [0.25, 0.5], [1, 0, 1]),
    "large floats": (np.array([1e300, 0.5]), [0.5, 1e300], [1, 0]),
    "bools": ([True, False], [False, True], [1, 0]),
    "number objects": (objects(3, 1.5), [1.5, 3.0], [1, 0]),
    "dates": (DATES, list(np.unique(DATES)), [1, 0, 1]),
    "date objects": ([dt.date(2020, 1, 2), dt.date(2019, 1, 1)], [], [1, 0]),
    "no mask": (np.ma.array([3, 1]), [1, 3], [1, 0]),
    "categories": (SIZES, ["small", "large"], [0, 1, 0]),
    "categories in a column": (pd.Series(SIZES), ["small", "large"], [0, 1, 0]),
    "categories in an index": (pd.CategoricalIndex(SIZES), ["small", "large"], [0, 1, 0]),
    "categories of numbers": (CODED, [30, 10], [0, 1, 0]),
    "categories of bools": (
        pd.Categorical([True, False], categories=[True, False]),
        [1, 0],
        [0, 1],
    ),
}


@pytest.mark.parametrize(("values", "levels", "codes"), LABELS.values(), ids=LABELS)
def test_levels_are_sorted_or_in_the_order_of_their_categories(
    values: Any, levels: list[Any], codes: list[int]
) -> None:
    found, rows = checks.levels_and_codes("g", values)
    assert_array_equal(rows, codes)
    if levels:
        assert found.tolist() == levels
    assert rows.dtype == np.intp
    assert not found.flags.writeable
    assert not rows.flags.writeable
    assert_array_equal(checks.as_labels("g", values), found[rows])
    assert_array_equal(checks.match("g", values, found), codes)


def test_levels_of_many_rows_are_those_of_numpy() -> None:
    rng = np.random.default_rng(1)
    for labels in (
        rng.integers(-50, 50, 1000),
        rng.integers(0, 10**9, 1000),
        rng.integers(-128, 128, 1000).astype(np.int8),
        rng.integers(0, 99, 1000).astype(str),
        rng.normal(size=1000).round(1),
        rng.integers(0, 2, 1000).astype(bool),
    ):
        levels, codes = np.unique(labels, return_inverse=True)
        found = checks.levels_and_codes("g", labels)
        assert found[0].dtype == labels.dtype
        assert_array_equal(found[0], levels)
        assert_array_equal(found[1], codes)


NO_LABEL = r"g has {} missing label\(s\), the first in row {}; drop these rows or give the group"

BAD_LABELS: dict[str, tuple[Any, str]] = {
    "None": (["a", None, "b"], NO_LABEL.format(1, 1)),
    "NaN": (["a", NAN], NO_LABEL.format(1, 1)),
    "NaN of an array": (np.array([1.0, NAN]), NO_LABEL.format(1, 1)),
    "infinite": ([np.inf, 1.0], r"g has 1 value\(s\) that are infinite, the first in row 0; drop"),
    "infinite object": (objects(1, -np.inf), r"g has 1 value\(s\) that are infinite, .* row 1"),
    "NA": (["a", pd.NA], NO_LABEL.format(1, 1)),
    "NaT": (["a", pd.NaT, pd.NaT], NO_LABEL.format(2, 1)),
    "NaT of an array": (np.array(["2020-01-01", "NaT"], "datetime64[D]"), NO_LABEL.format(1, 1)),
    "NaT of pandas": (pd.Series(pd.to_datetime(["2020-01-01", None])), NO_LABEL.format(1, 1)),
    "NA of pandas": (pd.Series(["a", None], dtype="string"), NO_LABEL.format(1, 1)),
    "NaN of pandas": (pd.Series(["a", None]), NO_LABEL.format(1, 1)),
    "Int64 of pandas": (pd.Series([1, None], dtype="Int64"), NO_LABEL.format(1, 1)),
    "no category": (pd.Categorical(["a", None, "b"]), NO_LABEL.format(1, 1)),
    "no categories": (pd.Categorical([None, None]), NO_LABEL.format(2, 0)),
    "text of numpy": (
        np.array(["a", None], dtype=np.dtypes.StringDType(na_object=None)),
        NO_LABEL.format(1, 1),
    ),
    "masked text": (
        np.ma.array(["a", "b"], mask=[False, True]),
        r"g has 1 masked value\(s\), .* row 1",
    ),
    "masked among text": (["a", np.ma.masked], NO_LABEL.format(1, 1)),
    "mask": (np.ma.array([1, 2], mask=[False, True]), r"g has 1 masked value\(s\)"),
    "mixture": (["a", 1], r"g mixes text and numbers; make all labels text with str\(\)"),
    "mixture of an array": (objects("a", 1), "g mixes text and numbers"),
    "numbers and dates": (objects(1, DAY), "g mixes numbers and dates"),
    "mixed categories": (pd.Categorical(objects("a", 1)), "g mixes text and numbers"),
    "complex": ([1j, 2], "g must hold labels that sort: .*; found complex numbers, .*; make them"),
    "time differences": (np.array([1], "timedelta64[s]"), "found time differences"),
    "dates of a time zone": ([UTC, UTC], "found dates of a time zone, .*; make them text"),
    "Decimal": ([Decimal(1), Decimal(2)], r"found numbers, such as Decimal\('1'\); make them text"),
    "Fraction": ([Fraction(1, 2)], "found numbers, such as Fraction"),
    "bytes": ([b"a", b"b"], "found bytes, such as b'a'; make them text"),
    "bytes and text": ([b"a", "b"], "g mixes text and bytes"),
    "dicts": ([{}, {"a": 1}], "found dict"),
    "tuples": ([("a", 1), ("b", 2)], r"one label a row, found shape \(2, 2\)"),
    "tuple objects": (objects(("a", 1), ("b", 2)), "found tuple"),
    "lists": ([["a"], ["b"]], r"found shape \(2, 1\)"),
    "ragged": ([["a"], ["b", "c"]], "g must hold numbers or labels, one a row"),
    "intervals": (pd.cut([1, 2, 3], 2), "found Interval, .*; make them text"),
    "records": (RECORDS, "found records"),
    "beyond 64 bits": ([2**70, 1], "numbers of 64 bits; found numbers, such as 118059"),
    "whole numbers as floats": ([2**63, -1], "found numbers, such as 9.22"),
    "large beside a float": ([2**53 + 1, 0.5], "found numbers, such as 90071"),
    "empty": ([], r"one label a row, found shape \(0,\)"),
    "empty categories": (pd.Categorical([]), r"one label a row, found shape \(0,\)"),
    "one text": ("abc", r"one label a row, found shape \(\)"),
}


@pytest.mark.parametrize(("values", "message"), BAD_LABELS.values(), ids=BAD_LABELS)
@pytest.mark.parametrize("check", [checks.as_labels, checks.levels_and_codes])
def test_what_is_no_label_is_told(check: Callable[..., Any], values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check("g", values)


@pytest.mark.parametrize(
    ("values", "codes", "levels"),
    [
        (["b", "a"], [1, 0], ["a", "b"]),
        (SIZES, [0, 1, 0], ["small", "large"]),
        (CODED, [0, 1, 0], [30, 10]),
        (pd.Series(CODED), [0, 1, 0], [30, 10]),
        (np.array(["1", "2"]), [0, 1], ["1", "2"]),
    ],
)
def test_a_covariate_of_labels(values: Any, codes: list[int], levels: list[Any]) -> None:
    found, of = checks.as_covariate("x", values)
    assert of is not None
    assert_array_equal(found, codes)
    assert of.tolist() == levels


BAD_COVARIATES: dict[str, tuple[Any, str]] = {
    "None among numbers": ([1, None], r"x has 1 missing label\(s\), the first in row 1"),
    "None among text": (["a", None], r"x has 1 missing label\(s\), the first in row 1"),
    "NaN": ([1.0, NAN], r"x has 1 value\(s\) that are NaN"),
    "no category": (pd.Categorical(["a", None]), r"x has 1 missing label\(s\)"),
    "mask": (MASKED, r"x has 1 masked value\(s\)"),
    "mixture": (["a", 1], "x mixes text and numbers"),
    "dates": (DATES, "x must hold numbers only, found dates, .*; give days since a start"),
    "date objects": ([DAY], "found dates, .*; give days since a start"),
    "time differences": (np.array([1], "timedelta64[s]"), "found time differences"),
    "complex": ([1j], "found complex numbers"),
    "bytes": ([b"a"], "found bytes"),
    "dicts": ([{}], "found dict"),
    "large": ([1e160, 1.0], LARGE),
}


@pytest.mark.parametrize(("values", "message"), BAD_COVARIATES.values(), ids=BAD_COVARIATES)
def test_what_is_no_covariate_is_told(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checks.as_covariate("x", values)


@pytest.mark.parametrize(
    ("levels", "new", "codes"),
    [
        (["low", "high"], ["high", "none", "low", "longer than the others"], [1, -1, 0, -1]),
        (["b", "a"], SIZES, [-1, -1, -1]),
        (["small", "large"], pd.Categorical(["large", "small"]), [1, 0]),
        ([30, 10], [10, 20, 30], [1, -1, 0]),
        ([1, 2], [2.0, 1.5], [1, -1]),
        ([1.5, 1.0], [1, 2], [1, -1]),
        ([2**62, 2**62 + 1], np.array([2**62 + 1], dtype=np.uint64), [1]),
        ([False, True], [True, False], [1, 0]),
        (np.unique(DATES), [DAY, dt.datetime(2020, 1, 2, 12)], [1, -1]),
        (DATES[:2], DATES.astype("datetime64[ns]"), [0, 1, 0]),
    ],
)
def test_new_labels_find_their_level(levels: Any, new: Any, codes: list[int]) -> None:
    found = checks.match("g", new, np.asarray(levels))
    assert found.dtype == np.intp
    assert_array_equal(found, codes)


@pytest.mark.parametrize(
    ("levels", "new", "message"),
    [
        (["308", "309"], [308], "such as '308'; found 308"),
        ([308, 309], ["308"], "such as 308; found '308'"),
        (DATES, ["2020-01-02"], r"such as datetime\.date\(2020, 1, 2\); found '2020-01-02'"),
        ([1, 2], DATES, "such as 1; found datetime"),
    ],
)
def test_labels_of_another_kind_are_told(levels: Any, new: Any, message: str) -> None:
    kind = "g: labels must be of the kind that the model was fitted with, "
    with pytest.raises(ValueError, match=kind + message):
        checks.match("g", new, np.asarray(levels))


@pytest.mark.parametrize("new", [[None], ["a", NAN], [{}], [], np.ma.array([1, 2], mask=True)])
def test_new_labels_are_labels(new: Any) -> None:
    with pytest.raises(ValueError, match=r"^g "):
        checks.match("g", new, np.array(["a", "b"]))


# ---- data with names ----


class Shelf(OrderedDict[str, Any]):
    """A mapping with a habit."""

    def __missing__(self, name: str) -> list[float]:
        """Make up the columns that it does not have."""
        return [0.0]


DATA: dict[str, Any] = {
    "dict": {"a": [1, 3], "b": [2.0, 4.0]},
    "mapping": Shelf(a=[1, 3], b=[2.0, 4.0]),
    "frame": pd.DataFrame({"a": [1, 3], "b": [2.0, 4.0]}),
    "records": RECORDS,
    "masked records": np.ma.array(RECORDS),
}


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_columns_are_found_by_name(data: Any) -> None:
    assert checks.names_of(data) == ["a", "b"]
    assert_array_equal(checks.as_vector("b", checks.column_of(data, "b")), [2.0, 4.0])
    with pytest.raises(
        ValueError, match=r"^data has no column days, which the model needs; it has a, b$"
    ):
        checks.column_of(data, "days")


@pytest.mark.parametrize("name", ["columns", "keys", "dtype"])
def test_a_column_may_be_called_as_a_frame_calls_its_parts(name: str) -> None:
    data = pd.DataFrame({"a": [1], name: [2]})
    assert checks.names_of(data) == ["a", name]
    assert_array_equal(checks.column_of(data, name), [2])


def test_columns_without_use_may_have_any_name() -> None:
    data = {1: [0], "a": [1]}
    assert checks.column_of(data, "a") == [1]
    with pytest.raises(ValueError, match="data has a column named 1; names must be text"):
        checks.names_of(data)
    with pytest.raises(ValueError, match=r"data has no column 1, .* it has 1, a"):
        checks.column_of(data, "1")
    with pytest.raises(ValueError, match=r"data has no column a, .* it has none"):
        checks.column_of({}, "a")


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (np.ones((2, 2)), "ndarray"),
        ([1, 2], "list"),
        (3, "int"),
        ("a", "str"),
        (None, "NoneType"),
        (np.float64(1), "float64"),
        (dict, "type"),
        (pd.DataFrame, "type"),
        ((i for i in "a"), "generator"),
    ],
)
def test_data_without_names_are_told(data: Any, kind: str) -> None:
    message = f"data must be columns by name, such as a dict or a data frame; found {kind}$"
    with pytest.raises(ValueError, match=message):
        checks.column_of(data, "a")
    with pytest.raises(ValueError, match=message):
        checks.names_of(data)


# ---- options ----


@pytest.mark.parametrize(
    ("allowed", "value", "message"),
    [
        (["REML", "ML", "GCV"], "reml", 'method must be "REML", "ML" or "GCV", found \'reml\''),
        (["REML", "ML"], None, 'method must be "REML" or "ML", found None'),
        (["ML"], ["ML"], r"method must be \"ML\", found \['ML'\]"),
        (["ML"], "", "method must be \"ML\", found ''"),
        (["ML"], np.array(["ML"]), 'method must be "ML", found array'),
        (["ML"], {}, 'method must be "ML", found {}'),
        (["ML"], True, 'method must be "ML", found True'),
        (["ML"], "x" * 999, 'method must be "ML", found .{80}$'),
    ],
)
def test_another_word_is_told(allowed: list[str], value: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checks.choice("method", value, allowed)


def test_words_flags_and_functions() -> None:
    assert type(checks.choice("method", np.str_("ML"), ["REML", "ML"])) is str
    assert checks.flag("shared", np.bool_(True)) is True
    assert checks.flag("shared", False) is False
    assert checks.a_callable("callback", print) is print


@pytest.mark.parametrize("value", ["no", "", 0, 1, 1.0, None, [True], np.array(True), np.int8(1)])
def test_what_only_counts_as_true_is_told(value: Any) -> None:
    with pytest.raises(ValueError, match="shared must be True or False, found "):
        checks.flag("shared", value)


@pytest.mark.parametrize("value", [3, "print", [print], {}])
def test_what_cannot_be_called_is_told(value: Any) -> None:
    with pytest.raises(ValueError, match="callback must be a function, found "):
        checks.a_callable("callback", value)


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3), np.array(3)])
def test_whole_numbers(value: Any) -> None:
    for found in (checks.whole("k", value, 3), checks.whole("k", value, 1, 3)):
        assert type(found) is int
        assert found == 3
    assert checks.node_count(value) == 3


@pytest.mark.parametrize(
    "value", [2.5, 2.0, np.float64(2), "2", None, True, np.bool_(True), [2], 2j, Decimal(2), NAN]
)
def test_what_is_no_whole_number_is_told(value: Any) -> None:
    with pytest.raises(ValueError, match="k must be a whole number, found "):
        checks.whole("k", value, 1)
    with pytest.raises(ValueError, match="nodes must be a whole number, found "):
        checks.node_count(value)


def test_a_whole_number_out_of_range_is_told() -> None:
    with pytest.raises(ValueError, match="k must be a whole number of at least 3, found 2"):
        checks.whole("k", 2, 3)
    with pytest.raises(ValueError, match="k must be a whole number from 3 to 5, found 6"):
        checks.whole("k", np.int64(6), 3, 5)
    for nodes in (0, 101, -3, 10**30):
        with pytest.raises(
            ValueError, match=f"nodes must be a whole number from 1 to 100, .*{nodes}"
        ):
            checks.node_count(nodes)


@pytest.mark.parametrize("value", [0.5, np.float32(0.5), Decimal("0.5"), Fraction(1, 2)])
def test_numbers_above_zero(value: Any) -> None:
    for found in (checks.positive("sigma", value), checks.share("level", value)):
        assert type(found) is float
        assert found == 0.5


NO_NUMBER = [0, -1.5, NAN, np.inf, -np.inf, "a", "0.5", None, 0.5j, [0.5], np.array([0.5]), True]
NO_NUMBER += [10**400, Decimal("NaN"), Decimal("sNaN"), np.timedelta64(1), pd.NA, pd.NaT, {}]


@pytest.mark.parametrize("value", NO_NUMBER, ids=str)
def test_what_is_no_number_above_zero_is_told(value: Any) -> None:
    with pytest.raises(ValueError, match="sigma must be a finite number above zero, found "):
        checks.positive("sigma", value)
    with pytest.raises(ValueError, match="level must be between 0 and 1, found "):
        checks.share("level", value)


def test_a_number_is_shown_as_its_user_wrote_it() -> None:
    with pytest.raises(ValueError, match=r"^sigma must be a finite number above zero, found 'a'$"):
        checks.positive("sigma", "a")
    with pytest.raises(ValueError, match=r"^level must be between 0 and 1, found 1\.0$"):
        checks.share("level", np.float64(1))


def test_the_last_share_below_one_has_no_half_of_its_rest() -> None:
    # (1 + level) / 2 would be 1, whose normal quantile is infinite
    nearest = 1 - 2**-53
    with pytest.raises(
        ValueError, match=r"level must be between 0 and 1, found 0.9999999999999999"
    ):
        checks.share("level", nearest)
    assert checks.share("level", 1 - 2**-52) == 1 - 2**-52


# ---- what a model needs ----


def test_a_residual_of_rounding_errors_is_told() -> None:
    y = np.array([3.0, -4e8, 1.0])
    for left in (np.zeros(3), np.full(3, 0.99e-13 * 4e8)):
        with pytest.raises(
            ValueError,
            match=r"^y is explained by the 2 columns of X without error, so there is no variance "
            r"left to divide; use fewer columns$",
        ):
            checks.leaves_residual(left, y, "the 2 columns of X")
    checks.leaves_residual(np.full(3, 1.01e-13 * 4e8), y, "the 2 columns of X")
    checks.leaves_residual(np.full(10**4, 1.01e-13), np.ones(10**4), "X")
    with pytest.raises(ValueError, match="y is explained by X"):
        checks.leaves_residual(np.zeros(2), np.zeros(2), "X")


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ([[1, 2], [1, 2], [1, 2]], "X has 2 columns but rank 1: column.s. 1 are combinations"),
        ([[0, 1], [0, 2], [0, 3]], "X has 2 columns but rank 1: column.s. 0 are combinations"),
        ([[0], [0]], "X has 1 columns but rank 0"),
    ],
)
def test_dependent_columns_are_told(X: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checks.full_rank("X", np.array(X, dtype=float))


# ---- columns of Polars and pyarrow, which no environment of the project needs ----


def test_columns_of_polars() -> None:
    pl: Any = pytest.importorskip("polars")
    data = pl.DataFrame({"a": [1, 3], "b": ["u", None]})
    assert checks.names_of(data) == ["a", "b"]
    assert_array_equal(checks.as_vector("a", checks.column_of(data, "a")), [1.0, 3.0])
    assert_array_equal(checks.as_matrix("X", data[["a"]]), [[1.0], [3.0]])
    with pytest.raises(ValueError, match=r"data has no column c, .*; it has a, b$"):
        checks.column_of(data, "c")
    with pytest.raises(ValueError, match=r"data must be columns by name, .* found LazyFrame"):
        checks.names_of(data.lazy())
    with pytest.raises(ValueError, match=r"b has 1 missing label\(s\), the first in row 1"):
        checks.as_labels("b", data["b"])
    with pytest.raises(ValueError, match=r"x has 1 value\(s\) that are NaN .* row 0"):
        checks.as_vector("x", pl.Series([None, 1]))
    with pytest.raises(ValueError, match=r"x has 1 missing value\(s\), the first in row 1"):
        checks.as_vector("x", pl.Series([True, None]))
    with pytest.raises(ValueError, match="found dates"):
        checks.as_vector("x", pl.Series([DAY]))
    assert_array_equal(checks.as_vector("x", pl.Series([Decimal("1.5")])), [1.5])
    sizes = pl.Enum(["small", "medium", "large"])
    levels, codes = checks.levels_and_codes("g", pl.Series(["large", "small"], dtype=sizes))
    assert levels.tolist() == ["small", "large"]
    assert_array_equal(codes, [1, 0])
    assert_array_equal(
        checks.match("g", pl.Series(["small", "medium"], dtype=sizes), levels), [0, -1]
    )
    with pytest.raises(ValueError, match=r"g has 1 missing label\(s\), the first in row 1"):
        checks.levels_and_codes("g", pl.Series(["small", None], dtype=sizes))
    # Without fixed categories their order is that of the text.
    levels, codes = checks.levels_and_codes("g", pl.Series(["b", "a"], dtype=pl.Categorical))
    assert levels.tolist() == ["a", "b"]
    assert_array_equal(codes, [1, 0])


def test_columns_of_pyarrow() -> None:
    pa: Any = pytest.importorskip("pyarrow")
    data = pa.table({"a": [1, 3], "b": ["u", "t"]})
    assert checks.names_of(data) == ["a", "b"]
    assert_array_equal(checks.as_vector("a", checks.column_of(data, "a")), [1.0, 3.0])
    assert checks.levels_and_codes("b", checks.column_of(data, "b"))[0].tolist() == ["t", "u"]
    with pytest.raises(ValueError, match=r"data has no column c, .*; it has a, b$"):
        checks.column_of(data, "c")
    with pytest.raises(ValueError, match=r"x has 1 value\(s\) that are NaN .* row 1"):
        checks.as_vector("x", pa.chunked_array([[1], [None]]))
    with pytest.raises(ValueError, match=r"x has 1 missing label\(s\), the first in row 1"):
        checks.as_covariate("x", pa.chunked_array([["a"], [None]]))
    coded = pa.array(["b", "a", "b"]).dictionary_encode()
    in_chunks = pa.chunked_array([coded[:1], pa.array(["a", "b"]).dictionary_encode()])
    of_pandas = pd.Series(["b", "a", "b"], dtype=pd.ArrowDtype(coded.type))
    for column in (coded, in_chunks, of_pandas):
        levels, codes = checks.levels_and_codes("g", column)
        assert levels.tolist() == ["b", "a"]
        assert_array_equal(codes, [0, 1, 0])
    # numpy's view of this column has lost its missing label
    with pytest.raises(ValueError, match=r"g has 1 missing label\(s\), the first in row 1"):
        checks.as_labels(
            "g", pa.chunked_array([coded[:1], pa.array([None, "b"]).dictionary_encode()])
        )
    missing = [pa.nulls(rows).dictionary_encode() for rows in (0, 2)]
    with pytest.raises(ValueError, match="g must hold numbers or labels, one a row, found"):
        checks.levels_and_codes("g", pa.chunked_array(missing))
    with pytest.raises(ValueError, match="x must hold numbers only, found categories"):
        checks.as_vector("x", pa.array([3, 1]).dictionary_encode())
    twice = pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["a", "a"]))
    with pytest.raises(ValueError, match="g has two categories of the same name; merge them"):
        checks.levels_and_codes("g", twice)


def test_columns_that_nearly_agree_are_independent() -> None:
    checks.full_rank("X", np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0 + 1e-10]]))
    with pytest.raises(ValueError, match="rank 1"):
        checks.full_rank("X", np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0 + 1e-17]]))
