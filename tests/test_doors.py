"""Formulas and data frames as users bring them: names, labels and mistakes of all kinds."""

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import mixedsmooth as ms

N = 120


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    g = rng.integers(0, 12, N)
    x = rng.uniform(0, 10, N)
    f = np.array(["high", "low", "mid"])[rng.integers(0, 3, N)]
    y = 1 + 0.3 * x + rng.normal(size=12)[g] + (f == "low") + rng.normal(size=N)
    return pd.DataFrame({"y": y, "x": x, "z": rng.normal(size=N), "f": f, "g": g})


# ---- names ----


@pytest.mark.parametrize("name", ["weights", "offset"])
def test_a_column_may_be_called_like_an_argument(frame: pd.DataFrame, name: str) -> None:
    data = frame.rename(columns={"z": name})
    data.loc[3, name] = np.nan
    given = (1 + frame.x).mask(frame.index == 7)
    fit = ms.lmm_formula(f"y ~ {name} + (1 | g)", data, missing="drop", **{name: given})
    other = data.rename(columns={name: "z"})
    same = ms.lmm_formula("y ~ z + (1 | g)", other, missing="drop", **{name: given})
    assert_array_equal(fit.rows, np.delete(np.arange(N), [3, 7]))
    assert fit.rows.size == same.rows.size
    assert dict(fit.model.rows.missing) == {name: 1, f"{name}=": 1}
    assert fit.criterion == same.criterion
    assert_array_equal(fit.beta, same.beta)


def test_columns_without_use_may_have_any_name(frame: pd.DataFrame) -> None:
    plain = ms.lmm_formula("y ~ z + (1 | g)", frame)
    odd = frame.rename(columns={"x": 2019, "f": ("a", "b")})
    fit = ms.lmm_formula("y ~ z + (1 | g)", odd)
    assert fit.criterion == plain.criterion
    assert_array_equal(fit.predict(odd), plain.predict(frame))
    with pytest.raises(ValueError, match=r"at `2019` .*a column named 2019; names must be text"):
        ms.lmm_formula("y ~ `2019` + (1 | g)", odd)
    with pytest.raises(ValueError, match=r"no column zz, .* did you mean z\? It has y, z, g$"):
        ms.lmm_formula("y ~ zz + (1 | g)", odd)


def test_two_columns_of_one_name(frame: pd.DataFrame) -> None:
    twice = frame[["y", "z", "g", "x", "x"]]
    table = pa.Table.from_arrays([pa.array(twice.iloc[:, j]) for j in range(5)], list("yzgxx"))
    plain = ms.lmm_formula("y ~ z + (1 | g)", frame)
    for data in (twice, table):
        fit = ms.lmm_formula("y ~ z + (1 | g)", data)
        assert fit.criterion == plain.criterion
        with pytest.raises(ValueError, match=r"at x .*data has 2 columns named x; give each"):
            ms.lmm_formula("y ~ x + (1 | g)", data)
        with pytest.raises(ValueError, match="data has 2 columns named x"):
            ms.lmm_formula("y ~ x + (1 | g)", frame).predict(data)


def test_of_many_columns_a_message_names_the_first(frame: pd.DataFrame) -> None:
    wide = pd.concat([frame, pd.DataFrame(np.ones((N, 1000))).add_prefix("v")], axis=1)
    fit = ms.lmm_formula("y ~ z + (1 | g)", wide)
    without = wide.drop(columns="z")
    for wrong in (
        lambda: ms.lmm_formula("y ~ qq + (1 | g)", wide),
        lambda: fit.predict(without),
    ):
        with pytest.raises(ValueError, match=r"it has y, x, .*\.\.\. \(100\d in all\)$") as error:
            wrong()
        assert len(str(error.value)) < 250


# ---- labels ----


DATES: dict[str, Any] = {
    "pandas": lambda days: pd.Series(days),
    "objects": lambda days: pd.Series(days).dt.date,
    "polars": lambda days: pl.Series(days).cast(pl.Date),
    "arrow": lambda days: pa.array(days).cast(pa.date32()),
    "numpy": lambda days: days.astype("M8[s]"),
}


@pytest.mark.parametrize("kind", DATES)
def test_dates_nest(frame: pd.DataFrame, kind: str) -> None:
    days = np.datetime64("2024-01-30", "us") + frame.g.to_numpy() * np.timedelta64(1, "D")
    data = {**{name: frame[name].to_numpy() for name in "yzf"}, "d": DATES[kind](days)}
    fit = ms.lmm_formula("y ~ z + (1 | d/f)", data)
    plain = ms.lmm_formula("y ~ z + (1 | g/f)", frame)
    assert_allclose(fit.criterion, plain.criterion, rtol=1e-12)
    assert str(fit.random["d:f"].levels[0]) == "2024-01-30:high"
    again = {**data, "d": days.astype("M8[ns]")}  # of another unit
    assert_array_equal(fit.predict(again), fit.predict(data))


def test_times_of_day_nest(frame: pd.DataFrame) -> None:
    times = pd.Timestamp("2024-01-30") + pd.to_timedelta(frame.g * 30, unit="min")
    data = frame.assign(d=times)
    fit = ms.lmm_formula("y ~ z + (1 | d:f)", data)
    plain = ms.lmm_formula("y ~ z + (1 | g:f)", frame)
    assert_allclose(fit.criterion, plain.criterion, rtol=1e-12)
    assert {"2024-01-30:high", "2024-01-30T0530:high"} <= set(fit.random["d:f"].levels)


def test_a_number_that_crosses_is_the_same_label_in_any_rows(frame: pd.DataFrame) -> None:
    dose = frame.g / 4  # some are whole
    dose[3] = 1e300
    fit = ms.lmm_formula("y ~ z + (1 | dose:f)", frame.assign(dose=dose))
    plain = ms.lmm_formula("y ~ z + (1 | g:f)", frame.assign(g=frame.g.mask(frame.index == 3, -1)))
    assert_allclose(fit.criterion, plain.criterion, rtol=1e-12)
    assert {"1:low", "1.25:low", f"1e+300:{frame.f[3]}"} <= set(fit.random["dose:f"].levels)
    one = frame.assign(dose=dose)[dose == 1.0]  # all are whole
    assert_array_equal(fit.predict(one), fit.fitted[dose == 1.0])


def test_intervals_become_labels_in_their_order(frame: pd.DataFrame) -> None:
    cut = pd.cut(frame.x, [-1.0, 2.5, 5.0, 100.0])
    with pytest.raises(ValueError, match=r"Interval.*with \.cat\.rename_categories\(str\)$"):
        ms.lmm_formula("y ~ c + (1 | g)", frame.assign(c=cut))
    fit = ms.lmm_formula("y ~ c + (1 | g)", frame.assign(c=cut.cat.rename_categories(str)))
    assert fit.names == ["(Intercept)", "c[(2.5, 5.0]]", "c[(5.0, 100.0]]"]


def test_a_reference_of_another_kind_is_told_as_written(frame: pd.DataFrame) -> None:
    data = frame.assign(h=frame.g % 3)
    with pytest.raises(ValueError, match=r"h has no level '2'; it has 0, 1, 2$"):
        ms.lmm_formula("y ~ factor(h, ref='2') + (1 | g)", data)
    with pytest.raises(ValueError, match=r"f has no level lwo; it has high, low, mid$"):
        ms.lmm_formula("y ~ factor(f, ref='lwo') + (1 | g)", data)


def test_labels_in_a_data_frame(frame: pd.DataFrame) -> None:
    column = ms.labels(frame.f.to_numpy(), first="mid")
    with pytest.raises(ValueError, match=r"f must hold .*in a formula factor\(f, ref=\"low\"\)"):
        ms.lmm_formula("y ~ f + (1 | g)", frame.assign(f=column))
    by_dict = ms.lmm_formula("y ~ f + (1 | g)", {**frame, "f": column})
    by_factor = ms.lmm_formula("y ~ factor(f, ref='mid') + (1 | g)", frame)
    assert_array_equal(by_dict.beta, by_factor.beta)
    by_frame = ms.lmm_formula("y ~ f + (1 | g)", frame.assign(f=ms.labels(frame.f, first="mid")))
    assert_array_equal(by_frame.beta, by_factor.beta)


def test_rows_of_new_data_are_matched_by_position(frame: pd.DataFrame) -> None:
    fit = ms.lmm_formula("y ~ z + (1 | g)", frame)
    mixed = {"z": frame.z.sort_values(), "g": frame.g}
    with pytest.raises(ValueError, match="indexes differ, and rows are matched by position"):
        fit.predict(mixed)
    assert_array_equal(fit.predict(frame.sort_values("z")), fit.fitted[frame.z.argsort()])


# ---- mistakes ----


def test_the_name_of_a_column_is_not_the_column(frame: pd.DataFrame) -> None:
    with pytest.raises(
        ValueError, match=r"^weights must hold .*; give the column itself, such as data\['x'\]$"
    ):
        ms.lmm_formula("y ~ z + (1 | g)", frame, weights="x")


@pytest.mark.parametrize(
    ("formula", "place", "message"),
    [
        ("y ~ $x", "$ (character 5)", r"missing after ~ here, as \$ has no meaning"),
        ("y ~ “x”", "“ (character 5)", "missing after ~ here, as “ has no meaning"),
        ("y ~ x + ()", ") (character 10)", r"missing after \( here; a formula is"),
        ("y ~ poly(x)", "poly(x) (character 5)", r"found 1; write poly\(x, 2\) or poly"),
        ("y ~ poly(x, degree=2)", "2 (character 20)", r"option degree here; write poly\(x, 2\)"),
        ("y ~ log(x, base=2)", "2 (character 17)", r"no option base here; write .*log2\(x\)"),
        ("y ~ scale(x, scale=F)", "F (character 20)", r"no option scale here; write scale\(x\)"),
        ("y ~ factor(g, levels=1)", "1 (character 22)", r"write factor\(x\) or factor\(x, ref="),
        ("y ~ us(1 | g)", "us(1 | g) (character 5)", r"us is not known; write \(x \| g\)"),
        ("y ~ lo(x)", "lo(x) (character 5)", r"lo is not known; write s\(x\)"),
    ],
)
def test_what_to_write_instead(frame: pd.DataFrame, formula: str, place: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        ms.lmm_formula(formula, frame)
    assert f"at {place}: " in str(error.value)
