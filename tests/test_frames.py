"""Columns of pandas, Polars and pyarrow: read alike, their rows matched, the index of y kept."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

import mixedsmooth as ms

N = 24
RNG = np.random.default_rng(5)
X = RNG.integers(0, 8, N)
G = np.tile(["a", "b", "c", "d"], 6)
F = RNG.choice(["low", "mid", "high"], N)
Y = RNG.normal(size=N) + 0.3 * X
COUNTS = RNG.poisson(3, N)
GAPS = {"x": [3, 11], "g": [11], "f": [20], "y": [7]}
KEPT = np.delete(np.arange(N), [3, 7, 11, 20])
INDEX = pd.Index([f"row {i}" for i in range(N)])


def columns(with_gaps: bool = True) -> dict[str, list[Any]]:
    whole: dict[str, list[Any]] = {
        "y": Y.tolist(),
        "x": X.tolist(),
        "g": G.tolist(),
        "f": F.tolist(),
    }
    if with_gaps:
        for name, rows in GAPS.items():
            for row in rows:
                whole[name][row] = None
    return whole


def fit_of(data: Any, missing: Any = "error") -> Any:
    terms = ms.linear(x=data["x"], f=data["f"]), ms.group(g=data["g"], x=data["x"])
    return ms.lmm(data["y"], *terms, missing=missing)


def arrow(data: dict[str, list[Any]]) -> Any:
    return pytest.importorskip("pyarrow").table(data)


def arrow_in_pandas(data: dict[str, list[Any]]) -> Any:
    table = arrow(data)
    return table.to_pandas(types_mapper=pd.ArrowDtype)


def polars(data: dict[str, list[Any]]) -> Any:
    return pytest.importorskip("polars").DataFrame(data)


def polars_with_categories(data: dict[str, list[Any]]) -> Any:
    package = pytest.importorskip("polars")
    frame = package.DataFrame(data)
    kinds = {"g": package.Categorical, "f": package.Enum(["high", "low", "mid"])}
    return frame.cast({name: kind for name, kind in kinds.items() if name in frame.columns})


def nullable(data: dict[str, list[Any]]) -> Any:
    return pd.DataFrame(data).convert_dtypes()


def categorical(data: dict[str, list[Any]]) -> Any:
    frame = pd.DataFrame(data)
    return frame.astype({name: "category" for name in ("g", "f") if name in frame})


FRAMES: dict[str, Callable[[dict[str, list[Any]]], Any]] = {
    "dict": dict,
    "pandas": pd.DataFrame,
    "pandas, nullable": nullable,
    "pandas, categories": categorical,
    "pandas of Arrow": arrow_in_pandas,
    "Polars": polars,
    "Polars with categories": polars_with_categories,
    "Arrow": arrow,
}


@pytest.mark.parametrize("kind", FRAMES)
def test_frames_of_any_kind_are_the_same(kind: str) -> None:
    make = FRAMES[kind]
    reference = fit_of({"y": Y, "x": X, "g": G, "f": F})
    fit = fit_of(make(columns(with_gaps=False)))
    assert fit.names == reference.names
    assert_array_equal(fit.beta, reference.beta)
    assert_array_equal(fit.residuals, reference.residuals)
    new = make({name: values[:5] for name, values in columns(with_gaps=False).items()})
    assert_array_equal(fit.predict(new), reference.predict({"x": X[:5], "g": G[:5], "f": F[:5]}))

    dropped = fit_of(make(columns()), "drop")
    reference = fit_of({name: np.array(v)[KEPT] for name, v in columns(with_gaps=False).items()})
    assert_array_equal(dropped.rows, KEPT)
    assert dropped.names == reference.names
    assert_array_equal(dropped.beta, reference.beta)
    assert_array_equal(dropped.residuals, reference.residuals)
    with pytest.raises(
        ValueError,
        match=r"^missing values \(y 1, x 2, f 1, g 1\) in 4 of 24 rows: rows 3, 7, 11, 20;",
    ):
        fit_of(make(columns()))
    with pytest.raises(ValueError, match=r"^g has 1 missing label\(s\), the first in row 11"):
        fit.predict(make(columns()))


@pytest.mark.parametrize("kind", FRAMES)
def test_terms_take_whole_frames(kind: str) -> None:
    data = FRAMES[kind]({name: columns()[name] for name in ("g", "x")})
    fit = ms.lmm(Y, ms.group(data), missing="drop")
    assert_array_equal(fit.rows, np.delete(np.arange(N), [3, 11]))
    assert fit.random["g"].names == ["(Intercept)", "x"]


# ---- the index of y ----


def frame(with_gaps: bool = False) -> Any:
    return pd.DataFrame(columns(with_gaps), index=INDEX)


def test_values_have_the_index_of_the_response() -> None:
    plain = fit_of({"y": Y, "x": X, "g": G, "f": F})
    fit = fit_of(frame())
    for name in ("fitted", "residuals"):
        values, expected = getattr(fit, name), getattr(plain, name)
        assert type(expected) is np.ndarray
        assert type(values) is pd.Series
        assert values.index.equals(INDEX)
        assert_array_equal(values, expected)
    assert str(fit) == str(plain)
    # y decides: arrays beside it change nothing, and nor do columns of pandas beside an array
    series = ms.lmm(frame()["y"], ms.linear(x=X), ms.group(g=G))
    array = ms.lmm(Y, ms.linear(x=frame()["x"]), ms.group(g=frame()["g"]))
    assert type(series.fitted) is pd.Series
    assert type(array.fitted) is np.ndarray
    assert_array_equal(series.fitted, array.fitted)


def test_rows_that_are_left_have_their_part_of_the_index() -> None:
    fit = fit_of(frame(with_gaps=True), "drop")
    assert type(fit.residuals) is pd.Series
    assert fit.residuals.index.equals(INDEX[KEPT])
    whole = fit.at_full_length(fit.residuals)
    assert type(whole) is pd.Series
    assert whole.index.equals(INDEX)
    assert_array_equal(whole.iloc[KEPT], fit.residuals)
    assert whole.index[whole.isna()].tolist() == [f"row {i}" for i in (3, 7, 11, 20)]
    # where pandas puts it: into the frame it came from
    data = frame(with_gaps=True).assign(fitted=fit.fitted)
    assert_array_equal(data["fitted"], fit.at_full_length(fit.fitted))
    assert type(fit.refit("ML").fitted) is pd.Series


@pytest.mark.parametrize("method", ["laplace", "pql"])
def test_generalized_values_have_the_index_of_the_response(method: Any) -> None:
    y = pd.Series(COUNTS, index=INDEX, dtype="Int64")
    y.iloc[4] = pd.NA
    fit = ms.glmm(y, ms.linear(x=X), ms.group(g=G), method=method, missing="drop")
    rows = np.delete(np.arange(N), 4)
    plain = ms.glmm(COUNTS[rows], ms.linear(x=X[rows]), ms.group(g=G[rows]), method=method)
    for name in ("fitted", "residuals", "pearson", "linear_predictor"):
        values = getattr(fit, name)
        assert type(values) is pd.Series
        assert values.index.equals(INDEX[rows])
        assert_array_equal(values, getattr(plain, name))
    assert fit.dispersion == plain.dispersion


def test_a_series_of_results_is_a_copy() -> None:
    fit = fit_of(frame())
    before: NDArray[np.float64] = np.array(fit.fitted)
    values: Any = fit.fitted
    values.iloc[:] = 0.0
    assert_array_equal(fit.fitted, before)
    assert_array_equal(fit.residuals, Y - before)


# ---- rows are matched by position ----

OTHER = frame().iloc[::-1]
LATER = frame().set_axis(pd.RangeIndex(1, N + 1))

MISMATCHED: dict[str, tuple[Callable[[], object], str]] = {
    "y and a covariate": (lambda: ms.lmm(frame()["y"], ms.linear(x=OTHER["x"])), "y and x"),
    "y and a group": (lambda: ms.lmm(frame()["y"], ms.group(g=LATER["g"])), "y and g"),
    "y and a smooth": (lambda: ms.lmm(frame()["y"], ms.smooth(x=LATER["x"], k=4)), "y and x"),
    "y and labels": (
        lambda: ms.lmm(frame()["y"], ms.linear(f=ms.labels(OTHER["f"], first="low"))),
        "y and f",
    ),
    "y and weights": (
        lambda: ms.lmm(frame()["y"], ms.linear(x=X), weights=OTHER["x"] + 1),
        "y and weights",
    ),
    "y and offset": (
        lambda: ms.glmm(frame()["x"], ms.linear(), offset=OTHER["y"]),
        "y and offset",
    ),
    "weights and a covariate": (
        lambda: ms.lmm(Y, ms.linear(x=frame()["x"]), weights=OTHER["x"] + 1),
        "weights and x",
    ),
    "a third column": (
        lambda: ms.linear(x=frame()["x"], f=frame()["f"], z=OTHER["y"]),
        "x and z",
    ),
    "labels in another order": (
        lambda: ms.lmm(
            frame()["y"][:12],
            ms.linear(f=ms.labels(frame()["f"], first="low")[12:]),
        ),
        "y and f",
    ),
    "two terms": (
        lambda: ms.lmm(Y, ms.linear(x=frame()["x"]), ms.group(g=OTHER["g"])),
        "x and g",
    ),
    "two covariates": (lambda: ms.linear(x=frame()["x"], f=OTHER["f"]), "x and f"),
    "a slope": (lambda: ms.group(g=frame()["g"], x=OTHER["x"]), "g and x"),
    "by": (lambda: ms.smooth(x=frame()["x"], k=4, by={"f": OTHER["f"]}), "x and f"),
    "another response": (
        lambda: fit_of(frame()).with_response(OTHER["y"]),
        "the response of the fit and y",
    ),
    "another response, of all rows": (
        lambda: fit_of(frame(True), "drop").with_response(frame()["y"].iloc[: len(KEPT)]),
        "the response of the fit and y",
    ),
}


@pytest.mark.parametrize("name", MISMATCHED)
def test_columns_whose_rows_do_not_match_are_told(name: str) -> None:
    call, between = MISMATCHED[name]
    with pytest.raises(
        ValueError,
        match=f"^{between} are columns of pandas whose indexes differ, and rows are matched by "
        "position; bring them into one order, as in one data frame, or give .*to_numpy",
    ):
        call()


def test_rows_of_one_order_match() -> None:
    data = frame()
    expected = fit_of(data)
    # equal, if not the same index; an array beside any index; a shuffled frame is another order
    for one in (data.set_axis(pd.Index(INDEX.tolist())), {"y": Y, **dict(data.iloc[:, 1:])}):
        assert_array_equal(fit_of(one).beta, expected.beta)
    shuffled = fit_of(OTHER)
    assert shuffled.fitted.index.equals(OTHER.index)
    assert_allclose(shuffled.fitted[INDEX], expected.fitted, rtol=1e-9)
    fit = fit_of(frame(with_gaps=True), "drop")
    other = fit.with_response(frame()["y"].iloc[KEPT])
    assert_allclose(other.fitted, fit.fitted, rtol=1e-9)
    assert other.fitted.index.equals(INDEX[KEPT])
    half = ms.labels(data["f"], first="low")[::2]
    fit = ms.lmm(data["y"][::2], ms.linear(f=half))
    assert fit.names == ["(Intercept)", "f[high]", "f[mid]"]


def test_repeated_names_of_rows_are_no_trouble() -> None:
    data = frame(with_gaps=True).set_axis(pd.Index(["same"] * N))
    fit = fit_of(data, "drop")
    assert len(fit.fitted) == len(KEPT)
    assert len(fit.at_full_length(fit.fitted)) == N
