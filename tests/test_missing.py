"""Rows that miss a value are told, or left out as if they had never been there."""

import datetime as dt
import inspect
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

import mixedsmooth as ms
from mixedsmooth import _checks as checks
from mixedsmooth.model.problem import complete_cases
from mixedsmooth.model.rows import Rows, rows_of, take
from mixedsmooth.model.terms import Group


def package(name: str) -> Any:
    """Import a package that only the tests use, where it is installed."""
    return import_module(name) if find_spec(name) else None


pl, pa = package("polars"), package("pyarrow")

N = 40
NAN = float("nan")

Maker = Callable[[list[Any]], Any]


def used_rows(columns: dict[str, Any], missing: str) -> Rows:
    """Find the rows in which no column misses a value, as a formula does."""
    return rows_of({name: checks.missing_in(name, c) for name, c in columns.items()}, missing)


def of(*values: Any) -> Any:
    """List values, some of which are missing."""
    return list(values)


def masked(values: list[Any]) -> Any:
    """Mask what is missing, above a value that would be wrong."""
    known = next(value for value in values if value is not None)
    missing = [value is None for value in values]
    return np.ma.array([known if value is None else value for value in values], mask=missing)


def floats(values: list[Any]) -> Any:
    return np.array([NAN if value is None else value for value in values], dtype=float)


def dates(values: list[Any]) -> Any:
    return np.array(["NaT" if v is None else f"2020-01-{v + 1:02d}" for v in values], "M8[D]")


def text(values: list[Any]) -> list[Any]:
    return [None if value is None else "abcdefghij"[value] for value in values]


def backwards(values: list[Any]) -> Any:
    """Categories in an order of their own, some of which no row has."""
    return pd.Categorical(text(values), categories=list("zjihgfedcba"))


def dictionary(values: list[Any]) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(values, type=pa.int8()), list("jihgfedcba"))


# Each makes a column from whole numbers 0..9 and None.
NUMBERS: dict[str, Maker] = {
    "list": list,
    "tuple": tuple,
    "list with NaN": lambda v: [NAN if each is None else each for each in v],
    "floats": floats,
    "float32": lambda v: floats(v).astype(np.float32),
    "objects": lambda v: np.array(v, dtype=object),
    "masked": masked,
    "masked and NaN": lambda v: np.ma.array(
        [(5.0 if i % 2 else NAN) if e is None else e for i, e in enumerate(v)],
        mask=[i % 2 == 1 and e is None for i, e in enumerate(v)],
        dtype=float,
    ),
    "masked objects": lambda v: masked(np.array(v, dtype=object).tolist()).astype(object),
    "pandas": lambda v: pd.Series(v, dtype=float),
    "pandas Int64": lambda v: pd.Series(v, dtype="Int64"),
    "pandas Float64": lambda v: pd.Series(v, dtype="Float64"),
    "pandas objects": lambda v: pd.Series(v, dtype=object),
    "pandas array": lambda v: pd.array(v, dtype="Int64"),
}
LABELS: dict[str, Maker] = NUMBERS | {
    "text": text,
    "text objects": lambda v: np.array(text(v), dtype=object),
    "text with NaN": lambda v: [NAN if each is None else each for each in text(v)],
    "masked text": lambda v: masked(text(v)),
    "text of numpy": lambda v: np.array(text(v), dtype=np.dtypes.StringDType(na_object=None)),
    "dates": dates,
    "date objects": lambda v: [None if e is None else dt.date(2020, 1, e + 1) for e in v],
    "pandas dates": lambda v: pd.Series(dates(v)),
    "pandas string": lambda v: pd.Series(text(v), dtype="string"),
    "pandas text": lambda v: pd.Series(text(v)),
    "pandas category": lambda v: pd.Series(text(v), dtype="category"),
    "categories": backwards,
    "category index": lambda v: pd.CategoricalIndex(backwards(v)),
    "pandas boolean": lambda v: pd.Series(
        [None if e is None else e > 4 for e in v], dtype="boolean"
    ),
}
if pl is not None:
    NUMBERS |= {"Polars": lambda v: pl.Series(v, dtype=pl.Int64)}
    LABELS |= {
        "Polars": lambda v: pl.Series(v, dtype=pl.Int64),
        "Polars text": lambda v: pl.Series(text(v)),
        "Polars Categorical": lambda v: pl.Series(text(v), dtype=pl.Categorical),
        "Polars Enum": lambda v: pl.Series(text(v), dtype=pl.Enum(list("zjihgfedcba"))),
        "Polars dates": lambda v: pl.Series(LABELS["date objects"](v)),
    }
if pa is not None:
    NUMBERS |= {
        "Arrow": lambda v: pa.array(v, type=pa.int64()),
        "Arrow chunks": lambda v: pa.chunked_array([v[:7], v[7:]], type=pa.int64()),
        "Arrow in pandas": lambda v: pd.Series(v, dtype="int64[pyarrow]"),
    }
    LABELS |= {
        "Arrow": lambda v: pa.array(v, type=pa.int64()),
        "Arrow text": lambda v: pa.chunked_array([text(v[:7]), text(v[7:])], type=pa.string()),
        "Arrow dictionary": dictionary,
        "Arrow null in a dictionary": lambda v: pa.DictionaryArray.from_arrays(
            pa.array([10 if e is None else e for e in v]), pa.array([*"abcdefghij", None])
        ),
        "Arrow text in pandas": lambda v: pd.Series(text(v), dtype="string[pyarrow]"),
        "Arrow dictionary in pandas": lambda v: pd.Series(
            pd.arrays.ArrowExtensionArray(dictionary(v))
        ),
    }


def with_gaps(rng: np.random.Generator, values: Any, share: float) -> list[Any]:
    gaps = rng.random(len(values)) < share
    return [None if gap else value for value, gap in zip(values.tolist(), gaps, strict=True)]


def assert_same(one: ms.Fit, other: ms.Fit) -> None:
    """Compare to the last digit."""
    assert one.names == other.names
    assert one.criterion == other.criterion
    for name in ("theta", "beta", "se", "fitted", "residuals"):
        assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
    assert one.random.keys() == other.random.keys()
    for name, effects in one.random.items():
        assert effects.levels.tolist() == other.random[name].levels.tolist()
        assert_array_equal(effects.effects, other.random[name].effects)


def cleaned(values: list[Any], rows: Any) -> list[Any]:
    return [values[row] for row in rows]


# ---- the same fit as of data without these rows ----


@pytest.mark.parametrize("kind", NUMBERS)
def test_numbers_of_any_kind_may_be_missing(kind: str) -> None:
    rng = np.random.default_rng(1)
    make = NUMBERS[kind]
    y, x, g = rng.normal(size=N).tolist(), rng.integers(0, 10, N), rng.integers(0, 5, N).tolist()
    gaps = with_gaps(rng, x, 0.2)
    rows = [row for row in range(N) if gaps[row] is not None]
    fit = ms.lmm(y, ms.linear(x=make(gaps)), ms.group(g=g), missing="drop")
    other = ms.lmm(
        cleaned(y, rows), ms.linear(x=make(cleaned(gaps, rows))), ms.group(g=cleaned(g, rows))
    )
    assert_same(fit, other)
    assert fit.rows.tolist() == rows
    with pytest.raises(ValueError, match=rf"^missing values \(x {N - len(rows)}\) in"):
        ms.lmm(y, ms.linear(x=make(gaps)), ms.group(g=g))


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_any_kind_may_be_missing(kind: str) -> None:
    rng = np.random.default_rng(2)
    make = LABELS[kind]
    y, g = rng.normal(size=N).tolist(), rng.integers(0, 6, N)
    gaps = with_gaps(rng, g, 0.2)
    rows = [row for row in range(N) if gaps[row] is not None]
    fit = ms.lmm(y, ms.group(g=make(gaps)), missing="drop")
    other = ms.lmm(cleaned(y, rows), ms.group(g=make(cleaned(gaps, rows))))
    assert_same(fit, other)
    assert fit.random["g"].levels.dtype.kind == other.random["g"].levels.dtype.kind
    assert_array_equal(used_rows({"g": make(gaps)}, "drop").used, rows)
    with pytest.raises(ValueError, match=rf"^missing values \(g {N - len(rows)}\) in"):
        ms.lmm(y, ms.group(g=make(gaps)))


@pytest.mark.parametrize("kind", LABELS)
def test_a_column_without_some_rows_is_of_its_kind(kind: str) -> None:
    rng = np.random.default_rng(3)
    gaps = with_gaps(rng, rng.integers(0, 10, 20), 0.3)
    column = LABELS[kind](gaps)
    rows = used_rows({"f": column}, "drop").used
    found = checks.levels_and_codes("f", take(column, rows))
    expected = checks.levels_and_codes("f", LABELS[kind](cleaned(gaps, rows)))
    assert found[0].tolist() == expected[0].tolist()
    assert_array_equal(found[1], expected[1])


def random_model(rng: np.random.Generator) -> dict[str, tuple[list[Any], Maker]]:
    """Columns with gaps in some of them, and how each is made."""
    share = rng.choice([0.0, 0.02, 0.1], size=7)

    def one_of(kinds: dict[str, Maker]) -> Maker:
        return kinds[str(rng.choice(list(kinds)))]

    n = 90
    whole = {
        "y": (rng.normal(size=n), floats),
        "x": (rng.integers(0, 10, n), one_of(NUMBERS)),
        "t": (rng.integers(0, 10, n), one_of(NUMBERS)),
        "f": (rng.integers(0, 3, n), one_of({k: LABELS[k] for k in ("text", "categories")})),
        "g": (rng.integers(0, 10, n), one_of(LABELS)),
        "weights": (rng.integers(1, 4, n), one_of(NUMBERS)),
        "offset": (rng.integers(0, 10, n), one_of(NUMBERS)),
    }
    return {
        name: (with_gaps(rng, values, gap), make)
        for (name, (values, make)), gap in zip(whole.items(), share, strict=True)
    }


MODELS: list[Callable[..., list[Any]]] = [  # each takes the columns that it uses
    lambda x, f, g: [ms.linear(x=x, f=f), ms.group(g=g)],
    lambda x, f, g: [ms.linear(x=x), ms.group(g=g, x=x), ms.group(f=f)],
    lambda x, t, f, g: [
        ms.linear(f=f),
        ms.smooth(t=t, k=5),
        ms.group(g=g, correlated=False, x=x),
    ],
    lambda t, f, g: [ms.linear(f=f), ms.smooth(t=t, k=5, by={"f": f}), ms.group(g=g)],
    lambda t, f: [ms.linear(f=f), ms.smooth(t=t, k=4, by={"f": f}, shared=True)],
    lambda x, t: [ms.linear(x=x, intercept=False), ms.smooth(t=t, k=5, basis="ps", by={"x": x})],
]


@pytest.mark.parametrize("seed", range(60))
def test_random_models_are_those_of_the_rows_that_are_left(seed: int) -> None:
    rng = np.random.default_rng(seed)
    columns = random_model(rng)
    model = MODELS[seed % len(MODELS)]
    of_terms = [*inspect.signature(model).parameters]
    extra = ["weights", "offset"][: rng.integers(0, 3)]
    used = [columns[name][0] for name in ("y", *of_terms, *extra)]
    rows = [row for row in range(90) if all(values[row] is not None for values in used)]

    def fit(rows: Any, missing: Any) -> ms.Fit:
        made = {name: make(cleaned(values, rows)) for name, (values, make) in columns.items()}
        terms = model(**{name: made[name] for name in of_terms})
        return ms.lmm(made["y"], *terms, missing=missing, **{name: made[name] for name in extra})

    assert_same(fit(range(90), "drop"), fit(rows, "error"))


FAMILIES: dict[str, tuple[str, str, bool]] = {
    "poisson": ("poisson", "laplace", False),
    "binomial": ("binomial", "laplace", False),
    "quadrature": ("poisson", "agq", False),
    "quasi-likelihood": ("poisson", "pql", True),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_generalized_models_are_those_of_the_rows_that_are_left(name: str) -> None:
    family, method, dispersion = FAMILIES[name]
    rng = np.random.default_rng(7)
    n = 80
    columns = {
        "y": with_gaps(rng, rng.integers(0, 6, n), 0.05),
        "x": with_gaps(rng, rng.integers(0, 10, n), 0.05),
        "g": with_gaps(rng, rng.integers(0, 8, n), 0.05),
        "weights": with_gaps(rng, rng.integers(1, 3, n), 0.05),
        "offset": with_gaps(rng, rng.normal(size=n), 0.05),
    }
    if family == "binomial":
        columns["trials"] = with_gaps(rng, rng.integers(6, 9, n), 0.05)
    rows = [i for i in range(n) if all(values[i] is not None for values in columns.values())]
    assert len({sum(v is None for v in values) for values in columns.values()} - {0}) > 1

    def fit(rows: Any, missing: Any) -> ms.GeneralizedFit:
        made = {name: floats(cleaned(values, rows)) for name, values in columns.items()}
        y, x, g = (made.pop(name) for name in "yxg")
        terms = ms.linear(x=x), ms.group(g=g)
        options: Any = {"family": family, "method": method, "dispersion": dispersion}
        return ms.glmm(y, *terms, **made, **options, missing=missing)

    dropped, other = fit(range(n), "drop"), fit(rows, "error")
    assert_array_equal(dropped.theta, other.theta)
    assert_array_equal(dropped.beta, other.beta)
    for values in ("fitted", "pearson", "linear_predictor"):
        assert_array_equal(getattr(dropped, values), getattr(other, values))
    assert str(dropped).replace(f"Rows: {dropped.model.rows}", f"Rows: {len(rows)}") == str(other)
    with pytest.raises(
        ValueError, match=rf"in {n - len(rows)} of {n} rows: rows .*, \.\.\.; leave"
    ):
        fit(range(n), "error")


def test_levels_and_knots_are_those_of_the_rows_that_are_left() -> None:
    x = [0.0, 1, 2, 3, 4, 5, 6, 7, 8, 100]
    y: list[Any] = [1.0, 3, 2, 5, 4, 7, 5, 8, 6, None]
    f = ["b", "c", "b", "c", "c", "b", "b", "c", "b", "a"]
    fit = ms.lmm(y, ms.linear(f=f), ms.smooth(x=x, k=5, basis="cr"), missing="drop")
    assert fit.names == ["(Intercept)", "f[c]", "s(x)"]  # "a", the baseline, is gone
    part: Any = fit.model.groups[0].parts[0]
    assert part.basis.knots.max() == 8


# ---- what is told ----

COLUMNS: dict[str, Any] = {
    "days": [0, None, 2, 3, 4, NAN],
    "subject": ["a", "a", None, "b", "b", "b"],
    "y": [1.0, 2.0, 4.0, 8.0, 9.0, 5.0],
}


def fit_columns(missing: Any = "error", **changed: Any) -> ms.Fit:
    data = COLUMNS | changed
    terms = ms.linear(days=data["days"]), ms.group(subject=data["subject"])
    return ms.lmm(data["y"], *terms, missing=missing)


def test_all_columns_are_told_at_once() -> None:
    with pytest.raises(
        ValueError,
        match=r"^missing values \(days 2, subject 1\) in 3 of 6 rows: rows 1, 2, 5; leave such "
        r'rows out with missing="drop", or fill the values in$',
    ):
        fit_columns()
    with pytest.raises(ValueError, match=r"^missing values \(y 1\) in 1 of 6 rows: row 3; leave"):
        fit_columns(days=range(6), subject=list("aabbab"), y=[1, 2, 3, None, 5, 6])
    with pytest.raises(ValueError, match=r"5 of 7 rows: rows 0, 1, 2, 3, 4; leave"):
        used_rows({"x": of(*[None] * 5, 1, 2)}, "error")
    many: Any = [None] * 7 + [1.0] * 3
    with pytest.raises(ValueError, match=r"7 of 10 rows: rows 0, 1, 2, 3, 4, \.\.\.; leave"):
        used_rows({"x": many}, "error")


def test_a_covariate_may_be_called_as_an_argument() -> None:
    fit = ms.lmm(of(1, None, 3, 5, 4, 7), ms.linear(y=of(0, 1, None, 3, 4, 6)), missing="drop")
    assert fit.rows.tolist() == [0, 3, 4, 5]
    assert fit.model.rows.missing == {"y": 2}


def test_a_curve_may_be_multiplied_by_its_own_covariate() -> None:
    x: Any = [None if i == 3 else float(i % 7) for i in range(20)]
    term = ms.smooth(x=x, k=5, by={"x": x})
    fit = ms.lmm(np.cos(np.arange(20.0)), ms.linear(x=x), term, missing="drop")
    assert_array_equal(fit.rows, np.delete(np.arange(20), 3))
    other: Any = [None if i == 3 else 2.0 for i in range(20)]
    with pytest.raises(ValueError, match=r"x names two different columns, 0\.0 and 2\.0 in row 0"):
        ms.smooth(x=x, k=5, by={"x": other})


def test_one_column_of_several_terms_is_counted_once() -> None:
    days, subject = COLUMNS["days"], COLUMNS["subject"]
    terms = ms.linear(days=days), ms.group(subject=subject, days=days)
    with pytest.raises(ValueError, match=r"^missing values \(days 2, subject 1\) in 3 of 6 rows"):
        ms.lmm(COLUMNS["y"], *terms)


BAD: dict[str, tuple[Callable[[], object], str]] = {
    "another word": (lambda: fit_columns("omit"), 'missing must be "error" or "drop", found'),
    "another word, nothing missing": (
        lambda: fit_columns(None, days=range(6), subject=list("aabbab")),
        'missing must be "error" or "drop", found None',
    ),
    "no row": (
        lambda: fit_columns("drop", y=[None, 2, None, None, None, 6]),
        r"^no row is left: each of the 6 has a missing value, in y 4, days 2, subject 1$",
    ),
    "no y": (lambda: fit_columns("drop", y=[NAN] * 6), "^y has no value: all 6 are missing"),
    "one group": (
        lambda: fit_columns("drop", days=[None, None, 2, 3, 4, 5]),
        r"^subject has one level only \(b\): .* "
        r"\(in the rows that are used: 3 of 6; 3 left out: missing in days 2, subject 1\)$",
    ),
    "two rows": (
        lambda: fit_columns("drop", y=[1, None, 3, 4, None, 5]),
        r"^group\(subject=...\) has 2 effects for 2 rows, .* \(in the rows that are used: 2 of 6",
    ),
    "infinite y": (
        lambda: fit_columns("drop", y=[1, None, 3, 4, np.inf, 5]),
        r"^y has 1 value\(s\) that are infinite, the first in row 4; drop",
    ),
    "infinite array": (
        lambda: fit_columns("drop", y=np.array([1, NAN, 3, 4, np.inf, 5])),
        "^y has 2 value.* infinite, the first in row 1; drop",
    ),
    "infinite offset": (
        lambda: ms.lmm(
            COLUMNS["y"], ms.linear(), offset=of(0, np.inf, 0, 0, 0, None), missing="drop"
        ),
        "^offset has 1 value.* infinite, the first in row 1",
    ),
    "one offset": (
        lambda: ms.lmm(COLUMNS["y"], ms.linear(), offset=NAN, missing="drop"),
        "^offset has 6 value.* NaN",
    ),
    "y too short": (
        lambda: fit_columns("drop", y=[1, 2, None]),
        "^days has 6 rows where y has 3; give one row for each",
    ),
    "weights too short": (
        lambda: ms.lmm(COLUMNS["y"], ms.linear(), weights=of(1, None), missing="drop"),
        "^weights has 2 rows where the other arguments have 6",
    ),
    "two lengths": (
        lambda: used_rows({"x": of(1, None), "z": [1, 2, 3]}, "drop"),
        "^z has 3 rows where the other arguments have 2",
    ),
    "a number for a column": (
        lambda: used_rows({"x": 3.0}, "drop"),
        r"^x must be a vector with one value a row, found shape \(\)",
    ),
    "weights of the rows that are left": (
        lambda: ms.lmm(COLUMNS["y"], ms.linear(), weights=of(1, None, 1, 0, 1, 1), missing="drop"),
        r"^weights must be positive, .* \(in the rows that are used: 5 of 6; 1 left out: missing",
    ),
    "trials of the rows that are left": (
        lambda: ms.glmm(
            [1, 2, 3, 4, 5, 6],
            ms.linear(),
            family="binomial",
            trials=of(5, None, 5, 3, 7, 7),
            missing="drop",
        ),
        r"y .* in row 2.* \(in the rows that are used: 5 of 6; 1 left out: missing in trials 1\)",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_left_out_is_told(name: str) -> None:
    call, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        call()


def test_new_data_must_be_complete() -> None:
    fit = fit_columns("drop")
    with pytest.raises(ValueError, match=r"^days has 1 value\(s\) that are NaN .* row 1"):
        fit.predict({"days": [1, NAN], "subject": ["a", "b"]})
    with pytest.raises(ValueError, match=r"^subject has 1 missing label\(s\), the first in row 0"):
        fit.predict({"days": [1, 2], "subject": of(None, "b")})


# ---- what is recorded ----


def test_what_was_left_out_is_recorded() -> None:
    sleep = ms.load_sleepstudy()
    days: list[Any] = sleep.days.tolist()
    days[4] = days[17] = None
    subject: list[Any] = sleep.subject.tolist()
    subject[17] = subject[100] = NAN
    fit = ms.lmm(sleep.reaction, ms.linear(days=days), ms.group(subject=subject), missing="drop")
    kept = np.delete(np.arange(180), [4, 17, 100])
    assert_array_equal(fit.rows, kept)
    assert not fit.rows.flags.writeable
    assert fit.n == 177
    assert (fit.model.rows.total, fit.model.rows.missing) == (180, {"days": 2, "subject": 2})
    note = "Rows: 177 of 180; 3 left out: missing in days 2, subject 2; levels: 18 subject"
    assert note in str(fit).splitlines()
    assert f"<p>{note}</p>" in fit._repr_html_()
    for again in (fit.refit("ML"), fit.with_response(np.asarray(fit.fitted) + sleep.days[kept])):
        assert_array_equal(again.rows, kept)
        assert note in str(again)


def test_nothing_is_left_out_where_nothing_is_missing() -> None:
    terms = ms.linear(x=range(6)), ms.group(g=list("aabbab"))
    fit = ms.lmm(COLUMNS["y"], *terms, missing="drop")
    assert_array_equal(fit.rows, range(6))
    assert not fit.rows.flags.writeable
    assert "Rows: 6; levels: 2 g" in str(fit).splitlines()
    assert_same(fit, ms.lmm(COLUMNS["y"], *terms))
    assert_array_equal(fit.at_full_length(fit.fitted), fit.fitted)


def test_values_at_full_length() -> None:
    fit = fit_columns("drop")
    assert fit.rows.tolist() == [0, 3, 4]
    whole = fit.at_full_length(fit.residuals)
    assert_array_equal(whole[[0, 3, 4]], fit.residuals)
    assert np.isnan(whole[[1, 2, 5]]).all()
    assert fit.at_full_length([1, 2, 3]).tolist()[3:5] == [2.0, 3.0]
    for values in ([1, 2], np.ones((3, 1)), 4.0, np.ones(6)):
        with pytest.raises(ValueError, match="one number for each of the 3 rows that were used"):
            fit.at_full_length(values)


def test_another_response_has_the_rows_that_were_used() -> None:
    fit = fit_columns("drop")
    other = fit.with_response([3.0, 1.0, 5.0])
    assert_array_equal(other.fitted + other.residuals, [3.0, 1.0, 5.0])
    with pytest.raises(
        ValueError,
        match=r"^y has all 6 rows of the data, and the fit uses 3 of 6; 3 left out: missing in "
        r"days 2, subject 1; give the 3 rows of fit.rows$",
    ):
        fit.with_response(COLUMNS["y"])
    with pytest.raises(ValueError, match="y has 4 rows where the other arguments have 3"):
        fit.with_response([1.0, 2.0, 3.0, 4.0])


def test_what_the_user_does_later_changes_nothing() -> None:
    x, g = np.array([0.0, NAN, 2, 3, 4, 9]), np.array(list("aabbab"), dtype=object)
    y = np.array(COLUMNS["y"])
    terms = ms.linear(x=x), ms.group(g=g)
    before = ms.lmm(y, *terms, missing="drop")
    x[:], g[:] = 0.0, "a"
    assert_same(ms.lmm(y, *terms, missing="drop"), before)
    assert terms[0].source is not None
    assert not terms[0].source.frame.numbers["x"].flags.writeable
    whole = np.arange(6.0)
    term = ms.linear(x=whole)
    whole[:] = 0.0
    assert_array_equal(term.frame.numbers["x"], range(6))


def test_a_term_can_be_used_again_with_other_rows() -> None:
    term = ms.group(g=of("a", "b", None, "c", "a", "b"))
    levels = []
    for y in ([1, None, 3, 4, 5, 6], [1, 2, 3, None, 5, 6]):
        (again,) = complete_cases(floats(y), [term], "drop").terms
        assert isinstance(again, Group)
        levels.append(again.levels.tolist())
    assert levels == [["a", "b", "c"], ["a", "b"]]
    assert term.levels.tolist() == ["a", "b", "c"]


def test_rows_tell_what_they_leave_out() -> None:
    rows = used_rows({"x": of(1, None, 3), "f": ["a", "b", "c"]}, "drop")
    assert isinstance(rows, Rows)
    assert (rows.used.tolist(), rows.total, rows.missing) == ([0, 2], 3, {"x": 1})
    assert not rows.complete
    assert not rows.used.flags.writeable
    assert str(rows) == "2 of 3; 1 left out: missing in x 1"
    assert str(used_rows({"x": [1, 2]}, "error")) == "2"
