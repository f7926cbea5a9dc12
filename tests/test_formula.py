"""Formulas: the same fit, to the last digit, as with terms, and the columns of R."""

import copy
import json
import pickle
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mixedsmooth as ms
from mixedsmooth.model.formula import glmm_formula, lmm_formula, read_formula
from mixedsmooth.model.parts import Intercept, read
from mixedsmooth.model.terms import Linear

Data = dict[str, Any]

DESIGNS = json.loads((Path(__file__).parent / "reference" / "formula_design.json").read_text())


@pytest.fixture(scope="module")
def data() -> Data:
    """Crossed and nested factors, numbers and labels, from a fixed seed."""
    rng = np.random.default_rng(20150507)
    n = 240
    a, b, c = (rng.integers(0, m, n) for m in (6, 4, 8))
    x, z = rng.normal(size=(2, n))
    dose = rng.choice(["high", "low", "none"], n)
    slope = rng.normal(size=6)
    y = 1 + x + 0.5 * x * z + (dose == "low") + slope[a] * x + rng.normal(size=6)[a]
    y = y + rng.normal(size=(6, 4))[a, b] + rng.normal(size=8)[c] + rng.normal(size=n)
    text = np.array(list("ABCDEF"))
    columns = {"y": y, "x": x, "z": z, "dose": dose, "a": text[a], "b": b, "c": c}
    w = np.exp(0.5 * rng.normal(size=n))
    counts, trials = rng.poisson(w * np.exp(0.3 * x + 0.4 * slope[a])), rng.integers(2, 9, n)
    hits = rng.binomial(trials, 1 / (1 + np.exp(-0.5 * x)))
    return columns | {"w": w, "counts": counts, "hits": hits, "misses": trials - hits}


@pytest.fixture(scope="module")
def sleep() -> Data:
    data = ms.load_sleepstudy()
    return {"Reaction": data.reaction, "Days": data.days, "Subject": data.subject}


def joined(*columns: Any) -> np.ndarray:
    return np.array([":".join(map(str, labels)) for labels in zip(*columns, strict=True)])


def assert_same_fit(found: ms.Fit, wanted: ms.Fit, names: bool = True) -> None:
    assert found.names == wanted.names or not names
    for name in ("beta", "theta", "sigma", "criterion", "cov_beta", "fitted"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    assert list(found.random) == list(wanted.random)
    for name, effects in found.random.items():
        assert effects.names == wanted.random[name].names or not names
        np.testing.assert_array_equal(effects.effects, wanted.random[name].effects)


# The sleep study


@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("Reaction ~ Days + (Days | Subject)", {}),
        ("Reaction ~ 1 + Days + (1 + Days | Subject)", {}),
        ("Reaction ~ Days + (Days || Subject)", {"correlated": False}),
        ("Reaction ~ Days + (0 + Days | Subject)", {"intercept": False}),
        ("Reaction ~ Days + (Days - 1 | Subject)", {"intercept": False}),
        ("Reaction ~ Days + (-1 + Days | Subject)", {"intercept": False}),
        ("`Reaction` ~ (`Days` | Subject) + Days", {}),
    ],
)
@pytest.mark.parametrize("method", ["REML", "ML"])
def test_slopes_are_those_of_the_terms(
    sleep: Data, formula: str, options: dict[str, bool], method: Any
) -> None:
    days = sleep["Days"]
    term = ms.group(Subject=sleep["Subject"], Days=days, **options)
    wanted = ms.lmm(sleep["Reaction"], ms.linear(Days=days), term, method=method)
    assert_same_fit(lmm_formula(formula, sleep, method=method), wanted)


def test_agrees_with_lme4(sleep: Data, reference: dict[str, Any]) -> None:
    for key in ("sleepstudy_slope_REML", "sleepstudy_independent_REML"):
        fit = lmm_formula(
            reference[key]["formula"].replace("((1 | Subject) + (0 + Days", "(Days"), sleep
        )
        # lme4 1.1.31, printed to 15 digits, at its optimum
        np.testing.assert_allclose(fit.criterion, reference[key]["criterion"], rtol=1e-9)
        np.testing.assert_allclose(fit.beta, reference[key]["beta"], rtol=1e-6)
        np.testing.assert_allclose(fit.theta, reference[key]["theta"], rtol=1e-5)


def test_weights_are_those_of_lmm(sleep: Data) -> None:
    weights = 1.0 + sleep["Days"] % 3
    found = lmm_formula("Reaction ~ Days + (1 | Subject)", sleep, weights=weights)
    terms = ms.linear(Days=sleep["Days"]), ms.group(Subject=sleep["Subject"])
    assert_same_fit(found, ms.lmm(sleep["Reaction"], *terms, weights=weights))


def test_reads_a_data_frame(sleep: Data) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(sleep)
    found = lmm_formula("Reaction ~ Days + (Days | Subject)", frame)
    assert_same_fit(found, lmm_formula("Reaction ~ Days + (Days | Subject)", sleep))
    new = frame.iloc[[3, 77]]
    np.testing.assert_array_equal(found.predict(new), found.fitted[[3, 77]])


# Fixed effects


@pytest.mark.parametrize("formula", ["y ~ x * z + (1 | c)", "y ~ (x + z + x:z) + z:x + (1 | c)"])
def test_interaction_of_numbers_is_their_product(data: Data, formula: str) -> None:
    columns = {"x": data["x"], "z": data["z"], "x:z": data["x"] * data["z"]}
    wanted = ms.lmm(data["y"], ms.linear(**columns), ms.group(c=data["c"]))
    assert_same_fit(lmm_formula(formula, data), wanted)


def test_interaction_with_labels_is_the_product_of_their_columns(data: Data) -> None:
    fit = lmm_formula("y ~ x:dose + dose + x + (1 | c)", data)
    x, low, none = data["x"], 1.0 * (data["dose"] == "low"), 1.0 * (data["dose"] == "none")
    columns = {"dose[low]": low, "dose[none]": none, "x": x}
    columns |= {"x:dose[low]": x * low, "x:dose[none]": x * none}
    assert fit.names == ["(Intercept)", *columns]
    wanted = ms.lmm(data["y"], ms.linear(**columns), ms.group(c=data["c"]))
    np.testing.assert_array_equal(fit.beta, wanted.beta)
    assert fit.criterion == wanted.criterion


def test_levels_of_the_first_factor_change_fastest_as_in_r(data: Data) -> None:
    sex = {"sex": np.where(data["z"] > 0, "f", "m"), **data}
    names = lmm_formula("y ~ dose * sex + x + (1 | c)", sex).names
    assert names[1:] == [
        "dose[low]", "dose[none]", "sex[m]", "x", "dose[low]:sex[m]", "dose[none]:sex[m]",
    ]  # fmt: skip


@pytest.mark.parametrize("formula", ["y ~ 0 + x + (1 | c)", "y ~ x - 1 + (1 | c)"])
def test_intercept_can_be_left_out(data: Data, formula: str) -> None:
    terms = ms.linear(intercept=False, x=data["x"]), ms.group(c=data["c"])
    assert_same_fit(lmm_formula(formula, data), ms.lmm(data["y"], *terms))


def test_a_term_can_be_taken_away(data: Data) -> None:
    found = lmm_formula("y ~ x * z - x:z + (1 | c)", data)
    assert_same_fit(found, lmm_formula("y ~ x + z + (1 | c)", data))


# Grouping factors


@pytest.mark.parametrize("formula", ["y ~ x + (x | a/b)", "y ~ x + (x | a) + (x | a:b)"])
def test_nested_factors_are_the_outer_and_the_crossed(data: Data, formula: str) -> None:
    cells: Data = {"a:b": joined(data["a"], data["b"]), "x": data["x"]}
    terms = ms.group(a=data["a"], x=data["x"]), ms.group(**cells)
    wanted = ms.lmm(data["y"], ms.linear(x=data["x"]), *terms)
    assert_same_fit(lmm_formula(formula, data), wanted)


def test_three_nested_factors(data: Data) -> None:
    fit = lmm_formula("y ~ x + (1 | dose/a/b)", data)
    assert list(fit.random) == ["dose", "dose:a", "dose:a:b"]
    labels = joined(data["dose"], data["a"], data["b"])
    assert fit.random["dose:a:b"].levels.tolist() == sorted(set(labels))


def test_terms_of_one_factor_stay_apart(data: Data) -> None:
    terms = ms.group(a=data["a"]), ms.group(a=data["a"], x=data["x"], intercept=False)
    wanted = ms.lmm(data["y"], ms.linear(x=data["x"]), *terms)
    assert_same_fit(lmm_formula("y ~ x + (1 | a) + (0 + x | a)", data), wanted)


def test_slopes_of_an_interaction(data: Data) -> None:
    slopes = {"x": data["x"], "z": data["z"], "x:z": data["x"] * data["z"]}
    terms = ms.linear(x=data["x"]), ms.group(correlated=False, c=data["c"], **slopes)
    assert_same_fit(lmm_formula("y ~ x + (x * z || c)", data), ms.lmm(data["y"], *terms))


# Predictions take the columns of the data


@pytest.mark.parametrize(
    "formula", ["y ~ x * dose + (x | a/b)", "y ~ x * z + (x:z | a) + (1 | c)", "y ~ (1 | c:b:a)"]
)
def test_predict_takes_the_columns_of_the_data(data: Data, formula: str) -> None:
    fit = lmm_formula(formula, data)
    rows = [5, 17, 200]
    new = {name: column[rows] for name, column in data.items() if name != "y"}
    np.testing.assert_allclose(fit.predict(new), fit.fitted[rows], rtol=1e-13)
    fixed = {name: new[name] for name in ("x", "z", "dose")}
    assert len(fit.predict(fixed, effects=False)) == 3
    with pytest.raises(ValueError, match="data has no column"):
        fit.predict({name: new[name] for name in new if name not in ("a", "x")})


def test_predict_finds_new_cells(data: Data) -> None:
    fit = lmm_formula("y ~ x + (1 | a:b)", data)
    new: Data = {"x": [0.0, 1.0], "a": ["A", "A"], "b": [0, 9]}
    with pytest.raises(ValueError, match="a:b has the new label A:9"):
        fit.predict(new)
    population = fit.predict(new, new_levels="population")
    assert population[1] == fit.predict({"x": [1.0]}, effects=False)[0]
    assert population[0] != fit.predict({"x": [0.0]}, effects=False)[0]


def test_without_an_intercept_labels_have_all_their_levels(data: Data) -> None:
    # y ~ 0 + dose is y ~ dose in other columns
    names = [f"dose[{level}]" for level in np.unique(data["dose"])]
    for formula, columns in (
        ("y ~ 0 + dose + x + (1 | c)", [*names, "x"]),
        ("y ~ x + dose - 1 + (1 | c)", ["x", *names]),
    ):
        fit = lmm_formula(formula, data)
        assert fit.names == columns
        fit = fit.refit("ML", theta=[0.7])
        other = lmm_formula("y ~ x + dose + (1 | c)", data).refit("ML", theta=[0.7])
        np.testing.assert_allclose(fit.fitted, other.fitted, rtol=1e-10)
        np.testing.assert_allclose(fit.criterion, other.criterion, rtol=1e-12)
    fit = lmm_formula("y ~ x + (0 + dose | c)", data)
    assert fit.random["c"].names == names


def test_names_of_arguments_may_be_columns(data: Data) -> None:
    renamed = {**data, "intercept": data["x"], "correlated": data["c"]}
    fit = lmm_formula("y ~ intercept + (intercept | correlated)", renamed)
    assert fit.names == ["(Intercept)", "intercept"]
    assert fit.criterion == lmm_formula("y ~ x + (x | c)", data).criterion


def test_categories_that_are_numbers_are_labels(data: Data) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(data).astype({"b": "category"})
    levels = np.unique(data["b"])
    assert lmm_formula("y ~ b + (1 | c)", frame).names == [
        "(Intercept)",
        *(f"b[{level}]" for level in levels[1:]),
    ]
    assert_same_fit(lmm_formula("y ~ x + (1 | b)", frame), lmm_formula("y ~ x + (1 | b)", data))


# The columns of R


@pytest.mark.parametrize("design", DESIGNS["designs"], ids=lambda design: design["formula"])
def test_the_columns_are_those_of_model_matrix(design: dict[str, Any]) -> None:
    # R 4.2.2: model.matrix(formula, data), and with the terms of data for new rows
    data = {name: np.array(column) for name, column in DESIGNS["data"].items()}
    data["y"] = data["x"]
    fixed = read_formula(f"y ~ {design['formula']}", data).terms[0]
    assert isinstance(fixed, Linear)
    parts = ((Intercept(),) if fixed.intercept else ()) + fixed.parts
    names = [name for part in parts for name in part.names]
    plain = [re.sub(r"\[(.*?)\]", r"\1", name) for name in names]
    assert [name.replace(" = ", "=") for name in plain] == [
        name.replace(" = ", "=") for name in design["names"]
    ]
    new = {name: np.array(column) for name, column in DESIGNS["new"].items()}
    inputs = [each for part in parts for each in part.inputs]
    frames = replace(fixed.frame, n=24), replace(read(new, inputs, fixed.frame.made), n=3)
    for frame, wanted in zip(frames, (design["columns"], design["new"]), strict=True):
        found = [column for part in parts for column in part.columns(frame)]
        # R prints 15 digits, of columns of order 1 but for powers of new z = 6
        np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=1e-12)


# Functions of columns


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("log(w)", lambda d: np.log(d["w"])),
        ("log( w/100 )", lambda d: np.log(d["w"] / 100)),
        ("log2(w)", lambda d: np.log2(d["w"])),
        ("log10(w)", lambda d: np.log10(d["w"])),
        ("log1p(w)", lambda d: np.log1p(d["w"])),
        ("exp(x)", lambda d: np.exp(d["x"])),
        ("sqrt(w * w + 1)", lambda d: np.sqrt(d["w"] * d["w"] + 1)),
        ("abs(x - z)", lambda d: np.abs(d["x"] - d["z"])),
        ("I(x^2)", lambda d: d["x"] ** 2),
        ("I(x**2)", lambda d: d["x"] ** 2),
        ("I(-x^2)", lambda d: -(d["x"] ** 2)),
        ("I(2 - x - z)", lambda d: 2 - d["x"] - d["z"]),
        ("I(x / w / 2)", lambda d: d["x"] / d["w"] / 2),
        ("I(2^x^2)", lambda d: 2 ** (d["x"] ** 2)),
        ("I((x + z) * 1e-3)", lambda d: (d["x"] + d["z"]) * 1e-3),
        ("log(sqrt(w))", lambda d: np.log(np.sqrt(d["w"]))),
        ("scale(z)", lambda d: (d["z"] - d["z"].mean()) / d["z"].std(ddof=1)),
    ],
)
def test_a_function_is_a_column(data: Data, text: str, values: Any) -> None:
    (name,) = read_formula(f"y ~ {text}", data).terms[0].parts[0].names  # type: ignore[union-attr]
    wanted = ms.lmm(data["y"], ms.linear({name: values(data)}), ms.group(c=data["c"]))
    found = lmm_formula(f"y ~ {text} + (1 | c)", data)
    assert_same_fit(found, wanted)
    rows = [3, 99]
    new = {name: column[rows] for name, column in data.items()}
    np.testing.assert_array_equal(found.predict(new), found.fitted[rows])


def test_spaces_do_not_make_another_column(data: Data) -> None:
    found = lmm_formula("y ~ log( w+1 ) + (log(w + 1)|c) + log(w +1)", data)
    assert found.names == ["(Intercept)", "log(w + 1)"]


LEARNERS = [
    "poly(x, 2)", "poly(log(w), 3, raw=True)", "scale(x)", "factor(b)", "dose", "s(x, k=5)",
    "s(log(w), bs='cr', k=5)", "log(w):scale(z)", "factor(b, ref=2)", "s(x, k=4, by=factor(b))",
    "s(x, k=4, by=dose, shared=True)", "s(x, k=5, by=z)", "offset(log(w))", "poly(x, 2) * dose",
]  # fmt: skip


@pytest.mark.parametrize("term", LEARNERS)
def test_predictions_use_what_was_learned(data: Data, term: str) -> None:
    fit = lmm_formula(f"y ~ z + {term} + (1 | c)", data)
    rows = [5, 17, 18]  # few rows: another mean, other knots, not all levels
    new = {name: column[rows] for name, column in data.items() if name != "y"}
    np.testing.assert_allclose(fit.predict(new), fit.fitted[rows], rtol=1e-12)
    for again in (pickle.loads(pickle.dumps(fit)), copy.deepcopy(fit)):
        np.testing.assert_array_equal(again.predict(new), fit.predict(new))


def test_orthogonal_polynomials_are_orthonormal(data: Data) -> None:
    year = {**data, "year": 1990 + 30 * (data["x"] - data["x"].min())}
    (part,) = read_formula("y ~ poly(year, 6)", year).terms[0].parts  # type: ignore[union-attr]
    P = np.array(
        part.columns(
            read(year, part.inputs, read_formula("y ~ poly(year, 6)", year).terms[0].frame.made)
        )
    )
    np.testing.assert_allclose(P @ P.T, np.eye(6), atol=1e-10)
    np.testing.assert_allclose(P.sum(axis=1), 0, atol=1e-10)


def test_a_factor_has_the_reference_that_is_asked_for(data: Data) -> None:
    assert lmm_formula('y ~ factor(dose, ref="none") + (1 | c)', data).names == [
        "(Intercept)", "factor(dose, ref = \"none\")[high]", "factor(dose, ref = \"none\")[low]",
    ]  # fmt: skip
    numbers = lmm_formula("y ~ factor(b, ref=2) + (1 | c)", data)
    assert [name[-3:] for name in numbers.names[1:]] == ["[0]", "[1]", "[3]"]
    floats = data | {"b": data["b"].astype(float)}
    assert lmm_formula("y ~ factor(b, ref=2) + (1 | c)", floats).names == numbers.names


# Smooths, offsets, responses


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("s(x)", lambda d: ms.smooth(x=d["x"])),
        ('s(x, bs="cr", k=7)', lambda d: ms.smooth(x=d["x"], basis="cr", k=7)),
        ("s(x, k=5, scaling='mean')", lambda d: ms.smooth(x=d["x"], k=5, scaling="mean")),
        ("s(x, by=z, k=5)", lambda d: ms.smooth(x=d["x"], k=5, by={"z": d["z"]})),
        ("s(x, k=4, by=dose)", lambda d: ms.smooth(x=d["x"], k=4, by={"dose": d["dose"]})),
        (
            "s(x, k=4, by=a, shared=TRUE)",
            lambda d: ms.smooth(x=d["x"], k=4, by={"a": d["a"]}, shared=True),
        ),
        ("s(log(w), k=5)", lambda d: ms.smooth({"log(w)": np.log(d["w"])}, k=5)),
        ("s(w / 2, k=5)", lambda d: ms.smooth({"w/2": d["w"] / 2}, k=5)),
        ("s(x, w, k=12)", lambda d: ms.smooth(x=d["x"], w=d["w"], basis="tp", k=12)),
        (
            "s(w, x, bs='gp', k=12, kernel='spherical', range=0.5, trend=FALSE)",
            lambda d: ms.smooth(
                w=d["w"], x=d["x"], basis="gp", k=12, kernel="spherical", range=0.5, trend=False
            ),
        ),
        (
            "s(x, k=6, bs='cc', period=c(-10, 10.5))",
            lambda d: ms.smooth(x=d["x"], k=6, basis="cc", period=(-10, 10.5)),
        ),
        ("t2(x, w, k=c(4, 3))", lambda d: ms.smooth(x=d["x"], w=d["w"], basis="t2", k=(4, 3))),
        (
            "t2(x, log(w), bs='cr', k=4)",
            lambda d: ms.smooth({"x": d["x"], "log(w)": np.log(d["w"])}, basis="t2", k=4),
        ),
        (
            "s(x, w, k=8, by=dose)",
            lambda d: ms.smooth(x=d["x"], w=d["w"], basis="tp", k=8, by={"dose": d["dose"]}),
        ),
    ],
)
def test_a_smooth_is_that_of_smooth(data: Data, text: str, term: Any) -> None:
    terms = ms.linear(z=data["z"]), term(data), ms.group(c=data["c"])
    found = lmm_formula(f"y ~ {text} + z + (1 | c)", data, method="ML")
    assert_same_fit(found, ms.lmm(data["y"], *terms, method="ML"))


def test_groups_and_smooths_keep_their_order(data: Data) -> None:
    fit = lmm_formula("y ~ (1 | c) + s(x, k=4) + z + (1 | a) + s(w, k=4)", data)
    assert list(fit.random) == ["c", "s(x)", "a", "s(w)"]


def test_offsets_are_taken_from_the_data(data: Data) -> None:
    known = np.log(data["w"]) + 2 * data["z"]
    terms = ms.linear(x=data["x"]), ms.group(a=data["a"])
    text = "{} ~ x + (1 | a) + offset(log(w)) + offset(2 * z)"
    fit, poisson = lmm_formula(text.format("y"), data), glmm_formula(text.format("counts"), data)
    np.testing.assert_array_equal(fit.offset, known)
    assert_same_fit(fit, ms.lmm(data["y"], *terms, offset=known))
    assert_same_fit(poisson, ms.glmm(data["counts"], *terms, offset=known))
    new: Data = {"x": [0.0], "a": ["A"], "w": [2.0], "z": [0.0]}
    none = new | {"w": [1.0]}
    np.testing.assert_allclose(fit.predict(new) - fit.predict(none), np.log(2), rtol=1e-13)


def test_a_response_can_be_a_function(data: Data) -> None:
    terms = ms.linear(x=data["x"]), ms.group(c=data["c"])
    assert_same_fit(lmm_formula("log(w) ~ x + (1 | c)", data), ms.lmm(np.log(data["w"]), *terms))


def test_successes_and_failures(data: Data) -> None:
    terms = ms.linear(x=data["x"]), ms.group(a=data["a"])
    trials = data["hits"] + data["misses"]
    wanted = ms.glmm(data["hits"], *terms, family="binomial", trials=trials)
    for text in ("cbind(hits, misses) ~ x + (1 | a)", "hits ~ x + (1 | a)"):
        given = None if "cbind" in text else trials
        assert_same_fit(glmm_formula(text, data, family="binomial", trials=given), wanted)
    number = data | {"n": trials}
    text = "cbind(hits, n - hits) ~ x + (1 | a)"
    assert_same_fit(glmm_formula(text, number, family="binomial"), wanted)


def test_the_options_are_those_of_the_doors(data: Data) -> None:
    terms = ms.linear(x=data["x"]), ms.group(a=data["a"])
    options: dict[str, Any] = {"weights": data["w"], "offset": data["z"], "start": [0.5]}
    seen: dict[str, list[Any]] = {"terms": [], "formula": []}

    def watcher(door: str) -> Any:
        return lambda number, theta, value: seen[door].append((number, theta.tolist(), value))

    linear = {**options, "sigma": 2.0, "method": "ML"}
    wanted = ms.lmm(data["y"], *terms, **linear, callback=watcher("terms"))
    found = lmm_formula("y ~ x + (1 | a)", data, **linear, callback=watcher("formula"))
    assert_same_fit(found, wanted)
    assert seen["terms"] == seen["formula"] != []
    general = {**options, "family": "gamma", "link": "log", "method": "agq", "nodes": 5}
    assert_same_fit(
        glmm_formula("w ~ x + (1 | a)", data, **general), ms.glmm(data["w"], *terms, **general)
    )
    scaled: dict[str, Any] = {"method": "pql", "dispersion": True}
    assert_same_fit(
        glmm_formula("counts ~ x + (1 | a)", data, **scaled),
        ms.glmm(data["counts"], *terms, **scaled),
    )


# Missing values


def with_gaps(data: Data) -> Data:
    """Leave a gap in each of five rows, in one of them two."""
    gaps: Data = {name: column.astype(object) for name, column in data.items()}
    for name, row in {"y": 3, "x": 7, "w": 11, "a": 23, "dose": 23, "b": 239}.items():
        gaps[name][row] = None
    return gaps


@pytest.mark.parametrize(
    "formula",
    [
        "y ~ poly(x, 2) + scale(log(w)) + factor(b) + dose + (1 | a)",
        "y ~ s(x, k=5) + offset(log(w)) + (1 | a:b) + dose",
        "log(w) ~ x * y + (x || a) + s(y, k=4, by=dose) + factor(b, ref=2)",
    ],
)
def test_rows_with_gaps_are_left_out_before_anything_is_learned(data: Data, formula: str) -> None:
    with pytest.raises(ValueError, match=r"missing values .* in 5 of 240 rows: row"):
        lmm_formula(formula, with_gaps(data))
    left = np.delete(np.arange(240), [3, 7, 11, 23, 239])
    whole = {name: column[left] for name, column in data.items()}
    fit = lmm_formula(formula, with_gaps(data), missing="drop")
    wanted = lmm_formula(formula, whole)
    assert_same_fit(fit, wanted)
    np.testing.assert_array_equal(fit.rows, left)
    np.testing.assert_array_equal(fit.refit("ML").rows, left)
    assert "Rows: 235 of 240; 5 left out" in str(fit)
    np.testing.assert_array_equal(fit.predict(whole), wanted.predict(whole))


def test_columns_that_are_not_named_may_have_gaps(data: Data) -> None:
    fit = lmm_formula("z ~ (1 | c)", with_gaps(data))
    assert fit.n == 240


def test_gaps_in_what_is_given_beside_the_formula(data: Data) -> None:
    weights, offset = data["w"].copy(), data["z"].copy()
    weights[5], offset[17] = np.nan, np.nan
    trials = data["hits"] + data["misses"] + np.where(np.arange(240) == 9, np.nan, 0)
    left = np.delete(np.arange(240), [5, 9, 17])
    whole = {name: column[left] for name, column in data.items()}
    found = glmm_formula(
        "hits ~ x + (1 | a)", data, family="binomial", trials=trials, weights=weights,
        offset=offset, missing="drop",
    )  # fmt: skip
    wanted = glmm_formula(
        "hits ~ x + (1 | a)", whole, family="binomial", trials=trials[left],
        weights=weights[left], offset=offset[left],
    )  # fmt: skip
    assert_same_fit(found, wanted)
    np.testing.assert_array_equal(found.rows, left)
    one = glmm_formula("hits ~ x + (1 | a)", data, family="binomial", trials=8, offset=0.5)
    terms = ms.linear(x=data["x"]), ms.group(a=data["a"])
    wanted = ms.glmm(data["hits"], *terms, family="binomial", trials=8, offset=0.5)
    assert_same_fit(one, wanted)


def test_fitted_values_have_the_index_of_the_data_frame(data: Data) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(with_gaps(data), index=[f"row {i}" for i in range(240)])
    fit = lmm_formula("log(w) ~ x + (1 | a)", frame, missing="drop")
    fitted: Any = fit.fitted
    assert list(fitted.index) == [
        name for i, name in enumerate(frame.index) if i not in (7, 11, 23)
    ]


def test_columns_of_other_indexes_are_told(data: Data) -> None:
    pandas = pytest.importorskip("pandas")
    columns = {name: pandas.Series(column) for name, column in data.items()}
    columns["x"] = columns["x"][::-1]
    with pytest.raises(ValueError, match="indexes differ"):
        lmm_formula("y ~ x + (1 | a)", columns)


# A fit as a formula


def random_terms(rng: np.random.Generator, data: Data) -> list[Any]:
    """Terms of a model drawn at random, with names that are no plain words."""
    data = {
        **data,
        "body mass": data["w"],
        "log(x)": data["z"],
        "a`b": data["dose"],
        "s": data["c"],
    }
    numbers, labels, groups = ["x", "body mass", "log(x)"], ["dose", "a`b"], ["a", "c", "s"]

    def some(names: list[str], least: int = 0) -> Data:
        chosen = rng.permutation(names)[: rng.integers(least, len(names) + 1)]
        return {str(name): data[str(name)] for name in chosen}

    options: list[Any] = []
    if rng.random() < 0.8:
        columns = some([*numbers, str(rng.choice(labels))])
        flags = {"intercept": bool(rng.random() < 0.7) or not columns}
        options.append(ms.linear(columns, **flags))
    slopes = some(numbers[:2])
    (factor,) = rng.choice(groups, 1)
    flags = {"intercept": bool(rng.random() < 0.7) or not slopes, "correlated": rng.random() < 0.5}
    options.append(
        ms.group({str(factor): data[factor]} | slopes, **{k: bool(v) for k, v in flags.items()})
    )
    if rng.random() < 0.5:
        options.append(ms.group({"a": data["a"]} | {"dose": data["dose"]}, intercept=False))
    if rng.random() < 0.7:
        by = {"dose": data["dose"]} if rng.random() < 0.4 else {"log(x)": data["z"]}
        kwargs: dict[str, Any] = {
            "basis": str(rng.choice(["cr", "cs", "ps"])),
            "k": int(rng.integers(4, 8)),
        }
        kwargs |= {"by": by} if rng.random() < 0.5 else {}
        kwargs |= {"shared": True} if "dose" in kwargs.get("by", {}) and rng.random() < 0.5 else {}
        kwargs |= {"scaling": "mean"} if rng.random() < 0.3 else {}
        options.append(ms.smooth({"w": data["w"]}, **kwargs))
    if rng.random() < 0.4:
        choices: list[dict[str, Any]] = [
            {"basis": "t2", "k": (4, 3)},
            {"basis": "t2", "k": 3},
            {"basis": "tp", "k": 9},
            {"basis": "gp", "k": 9, "range": 1.25, "kernel": "exponential"},
            {"basis": "gp", "k": 9, "range": 2, "trend": False},
        ]
        surface = choices[rng.integers(len(choices))]
        options.append(ms.smooth({"x": data["x"], "body mass": data["w"]}, **surface))
    return [options[i] for i in rng.permutation(len(options))]


@pytest.mark.filterwarnings("ignore:.* is a coefficient of:UserWarning")
@pytest.mark.parametrize("seed", range(40))
def test_a_fit_by_terms_is_that_of_its_formula(data: Data, seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = {"body mass": data["w"], "log(x)": data["z"], "a`b": data["dose"], "s": data["c"]}
    fit = None
    while fit is None:
        with suppress(ValueError):  # twice the same column, for one
            fit = ms.lmm(data["y"], *random_terms(rng, data), method="ML")
    assert fit.formula is not None
    assert_same_fit(lmm_formula(fit.formula, data | names, method="ML"), fit)


def test_a_generalized_fit_by_terms_is_that_of_its_formula(data: Data) -> None:
    terms = ms.smooth(x=data["x"], k=4), ms.group(a=data["a"], z=data["z"], correlated=False)
    fit = ms.glmm(data["counts"], *terms, offset=data["z"])
    assert fit.formula == "y ~ 1 + s(x, k=4) + (z || a)"
    counts = data | {"y": data["counts"]}
    assert_same_fit(glmm_formula(fit.formula, counts, offset=data["z"]), fit)


def test_the_formula_is_what_was_given(data: Data) -> None:
    text = "y ~ x +\n    log( w ) + (1|a)"
    fit = lmm_formula(text, data)
    assert fit.formula == fit.refit("ML").formula == text
    assert "\nFormula: y ~ x + log( w ) + (1|a)\nRows" in str(fit)
    assert "<p>Formula: y ~ x + log( w ) + (1|a)</p>" in fit._repr_html_()
    counts = glmm_formula("counts ~ x + (1 | a)", data)
    assert counts.formula == "counts ~ x + (1 | a)"
    assert "Formula: counts ~ x + (1 | a)" in str(counts)


def test_what_no_formula_says_has_none(data: Data) -> None:
    linear, group = ms.linear(y=data["x"]), ms.group(c=data["c"])
    assert ms.lmm(data["y"], linear, group).formula is None
    labels = ms.group(a=data["a"], dose=data["dose"], correlated=False)
    fit = ms.lmm(data["y"], labels)
    assert fit.formula is None
    assert "Formula" not in str(fit)


# What is not understood says so, and where


@pytest.mark.parametrize(
    ("formula", "place", "message"),
    [
        ("y ~ x + foo(z) + (1 | c)", "foo(z) (character 9)", "function foo is not known.* log, "),
        ("y ~ lgo(x)", "lgo(x) (character 5)", r"did you mean log\?"),
        ("y ~ np.log(x)", "np.log(x) (character 5)", r"did you mean log\?"),
        ("y ~ np.exp(x)", "np.exp(x) (character 5)", r"did you mean exp\?"),
        ("y ~ C(dose)", "C(dose) (character 5)", r"write factor\(x\)"),
        ("y ~ as.factor(dose)", "as.factor(dose) (character 5)", r"write factor\(x\)"),
        ("y ~ ns(x, 3)", "ns(x, 3) (character 5)", r"write s\(x\)"),
        ("y ~ te(x, z)", "te(x, z) (character 5)", r"write t2\(x, z\)"),
        ("y ~ ti(x, z)", "ti(x, z) (character 5)", r"write t2\(x, z\)"),
        ("y ~ gp(x)", "gp(x) (character 5)", r'write s\(x, z, bs="gp"\)'),
        ("y ~ lag(x)", "lag(x) (character 5)", "not known; put its values in a column"),
        ("y ~ log(foo(x))", "foo(x) (character 9)", "function foo is not known"),
        ("y ~ log(poly(x, 2))", "poly(x, 2) (character 9)", "stands alone"),
        ("y ~ log(x, 2)", "log(x, 2) (character 5)", "takes one column, found 2"),
        ("y ~ log(w, base=2)", "2 (character 17)", r"log\(\) has no option base"),
        ("y ~ log(x > 2)", "> (character 11)", "a comparison is no term"),
        ("y = x", "= (character 3)", "stands ~"),
        ("y ~ log('x')", "'x' (character 9)", "a function takes columns"),
        ("y ~ log(2)", "log(2) (character 5)", "no column stands here"),
        ("y ~ log(x:z)", "x:z (character 9)", "a function takes columns"),
        ("y ~ poly(x)", "poly(x) (character 5)", "takes 2 arguments, found 1"),
        ("y ~ poly(x, 1.5)", "1.5 (character 13)", "degree must be a whole number from 1 to"),
        ("y ~ poly(c, 8)", "8 (character 13)", "degree must be a whole number from 1 to 7"),
        ("y ~ poly(x, z)", "z (character 13)", "a number, a text in quotes"),
        ("y ~ factor(dose, ref=low)", "low (character 22)", "a text in quotes"),
        ("y ~ factor(dose, ref='mid')", "'mid' (character 22)", "no level mid; it has high, low"),
        ("y ~ factor(x + z)", "x + z (character 12)", "name of a column"),
        ("y ~ log(x)", "log(x) (character 5)", "in row 1, of -0.3212"),
        ("y ~ sqrt(x - z)", "sqrt(x - z) (character 5)", "this is no finite number"),
        ("y ~ I(x / (b - 1))", "x / (b - 1) (character 7)", "in row .*, of .* and 0,"),
        ("y ~ exp(1000 * w)", "exp(1000 * w) (character 5)", "this is no finite number"),
        ("y ~ exp(400 * w)", "exp(400 * w) (character 5)", "no finite|too large to be squared"),
        ("y ~ log(dose)", "dose (character 9)", "dose must hold numbers only, found text"),
        ("y ~ scale(w / w)", "scale(w / w) (character 5)", "column is constant"),
        ("y ~ x ~ z", "z (character 9)", "second ~"),
        ("y ~ (x ~ z)", "x ~ z (character 6)", "second ~"),
        ("y ~ . + (1 | c)", ". (character 5)", "name the columns"),
        ("y ~ Dose", "Dose (character 5)", r"data has no column Dose, .* did you mean dose\?"),
        ("Y ~ x", "Y (character 1)", r"data has no column Y, .* did you mean y\? It has y, x"),
        ("y ~ x + (1 | nobody)", "nobody (character 14)", "no column nobody, .* it has y, x, z"),
        ("y ~ x + x | c", "x + x | c (character 5)", "stands in parentheses"),
        ("y ~ x || c", "x || c (character 5)", "stands in parentheses"),
        ("y ~ a %in% b", "a %in% b (character 5)", "write a:b"),
        ("y ~ x - z", "z (character 9)", "what is not there cannot be taken away"),
        ("y ~ x^2", "x^2 (character 5)", r"a power of numbers is I\(x\^2\)"),
        ("y ~ (x + z)^1.5", "1.5 (character 13)", "whole number from 1"),
        ("y ~ (x + z)^0", "0 (character 13)", "whole number from 1"),
        ("y ~ (x + z)^b", "b (character 13)", "whole number from 1"),
        ("y ~ 2 * x", "2 (character 5)", "the only numbers are 1"),
        ("y ~ x:1", "1 (character 7)", "the intercept, 1 or 0, can only be added"),
        ("y ~ (x - 1) * z", "(x - 1) (character 5)", "the intercept, 1 or 0, can only be added"),
        ("y ~ 'x'", "'x' (character 5)", "without quotes"),
        ("y ~ x - (1 | c)", "1 | c (character 10)", "can only be added"),
        ("y ~ x * s(z)", "s(z) (character 9)", "can only be added"),
        ("y ~ (s(x) + z)^2", "s(x) (character 6)", "can only be added"),
        ("y ~ x * (1 | c)", "1 | c (character 10)", "can only be added"),
        ("y ~ x + ((1 | a) | c)", "1 | a (character 11)", "can only be added"),
        ("y ~ (s(x) | c)", "s(x) (character 6)", "can only be added"),
        ("y ~ (x | 1)", "1 (character 10)", r"right of \| stand grouping columns"),
        ("y ~ (1 | a + b)", "a + b (character 10)", r"write \(1 \| a\) \+ \(1 \| b\)"),
        ("y ~ (1 | log(w))", "log(w) (character 10)", r"right of \| stand grouping columns"),
        ("y ~ (0 | c)", "0 | c (character 6)", r"\(0 \| c\) has no effect; write \(1 \| c\)"),
        ("y ~ (dose || c)", "dose || c (character 6)", r"write \(1 \| c\) \+ \(0 \+ dose \| c\)"),
        ("y ~ (poly(x, 2) || c)", "poly(x, 2) || c (character 6)", "keeps the effects of poly"),
        ("y ~ s()", "s() (character 5)", "takes covariates by name"),
        ("y ~ s(x, x)", "s(x, x) (character 5)", "a covariate stands here twice"),
        ("y ~ s(poly(x, 2))", "poly(x, 2) (character 7)", "2 columns, and one belongs here"),
        ("y ~ s(dose)", "s(dose) (character 5)", "numbers only, found text"),
        ("y ~ s(x, k=500)", "s(x, k=500) (character 5)", "distinct values, fewer than"),
        ("y ~ s(x, k=2.5)", "s(x, k=2.5) (character 5)", "k must be"),
        ("y ~ s(x, bs='te')", "s(x, bs='te') (character 5)", 'basis must be "cr", "cs"'),
        (
            "y ~ s(x, k=5, period=c(0, 1))",
            "s(x, k=5, period=c(0, 1)) (character 5)",
            "period is an option of basis 'cc'",
        ),
        (
            "y ~ s(x, z, bs='gp', m=c(3, 10))",
            "c(3, 10) (character 24)",
            "no option m here; .*kernel",
        ),
        ("y ~ s(x, z, bs='mrf')", "s(x, z, bs='mrf') (character 5)", "precision=neighbours"),
        ("y ~ s(x, z, bs='t2')", "s(x, z, bs='t2') (character 5)", r"write t2\(x, z\)"),
        ("y ~ t2(x, z, bs='ps')", "'ps' (character 17)", 'have the basis "cr"; leave bs out'),
        ("y ~ t2(x)", "t2(x) (character 5)", "takes two covariates or more, found x alone"),
        ("y ~ t2(x, z, k=c(5, 5, 5))", "t2(x, z, k=c(5, 5, 5)) (character 5)", "k has 3 number"),
        ("y ~ t2(x, z, k=c(5, z))", "z (character 21)", "a number, a text in quotes"),
        ("y ~ s(c, bs='re')", "s(c, bs='re') (character 5)", r"write \(1 \| g\)"),
        ("y ~ s(x, c, bs='fs')", "s(x, c, bs='fs') (character 5)", "by=g, shared=True"),
        ("y ~ s(x, fx=TRUE)", "TRUE (character 13)", r"s\(\) has no option fx here; it has bs, k"),
        ("y ~ s(x, m=2)", "2 (character 12)", "no option m here"),
        ("y ~ s(x, sp=0.1)", "0.1 (character 13)", "no option sp here"),
        ("y ~ s(x, id=1)", "1 (character 13)", "no option id here"),
        ("y ~ s(x, k=z)", "z (character 12)", "a number, a text in quotes"),
        ("y ~ offset(dose)", "dose (character 12)", "numbers only, found text"),
        ("y ~ offset(x, z)", "offset(x, z) (character 5)", "takes one column, found 2"),
        ("y ~ cbind(x, z)", "cbind(x, z) (character 5)", "stands left of ~"),
        ("hits / b ~ x", "hits / b (character 1)", r"write cbind\(hits, b - hits\)"),
        ("hits | trials(b) ~ x", "hits | trials(b) (character 1)", r"write cbind\(y, n - y\)"),
        ("y + x ~ x", "y + x (character 1)", "response must be one column"),
        ("poly(x, 2) ~ z", "poly(x, 2) (character 1)", "2 columns, and one belongs here"),
        ("dose ~ x", "dose (character 1)", "dose must hold numbers only"),
        ("s(y) ~ x", "s(y) (character 1)", "stands alone"),
        ("x + (1 | c)", "x + (1 | c) (character 1)", "~ is missing"),
        ("~ x", "~ (character 1)", "something is missing here"),
        ("y ~", "the end (character 4)", "something is missing after ~"),
        ("y ~ x +", "the end (character 8)", "something is missing after +"),
        ("y ~ x + (1 | c", "( (character 9)", "never closed"),
        ("y ~ x + (1 | c) )", ") (character 17)", "does not belong here"),
        ("y ~ x + (1 ||| c)", "| (character 14)", "something is missing"),
        ("y ~ { x + 1 }", "{ (character 5)", "something is missing"),
        ("y ~ s(k=5, x)", "x (character 12)", "columns come first"),
        ("y ~ s(x, k=5, k=6)", "k (character 15)", "given twice"),
        ("y ~ s(x, 2=3)", "2 (character 10)", "name of an option"),
    ],
)
def test_what_is_not_understood_says_so(data: Data, formula: str, place: str, message: str) -> None:
    with pytest.raises(ValueError, match="formula") as caught:
        read_formula(formula, data)
    told = str(caught.value)
    assert told.startswith(f'formula "{formula}", at {place}: ')
    assert re.search(message, told)
    assert "\n" not in told


def test_a_binomial_response_belongs_to_its_family(data: Data) -> None:
    text = "cbind(hits, misses) ~ x + (1 | a)"
    with pytest.raises(ValueError, match=r"at cbind\(hits, misses\) .*glmm_formula with family"):
        lmm_formula(text, data)
    with pytest.raises(ValueError, match=r"at cbind.*found family='poisson'$"):
        glmm_formula(text, data)
    with pytest.raises(ValueError, match=r"at cbind.*found family='binomial' and trials=$"):
        glmm_formula(text, data, family="binomial", trials=9)


def test_a_prediction_outside_the_domain_says_so(data: Data) -> None:
    fit = lmm_formula("y ~ log(w) + (1 | c)", data)
    with pytest.raises(
        ValueError, match=r'formula "y ~ log\(w\) \+ \(1 \| c\)", at log.*row 1, of 0'
    ):
        fit.predict({"w": [1.0, 0.0], "c": [1, 1]})
    factor = lmm_formula("y ~ factor(b) + (1 | c)", data)
    with pytest.raises(ValueError, match=r"factor\(b\) has the new label 7"):
        factor.predict({"b": [1, 7], "c": [1, 1]})


def test_too_many_columns_are_told(data: Data) -> None:
    with pytest.raises(ValueError, match="more than 240 columns"):
        lmm_formula("y ~ factor(x):factor(z)", data)


def test_of_crossed_labels_the_last_may_have_a_colon(data: Data) -> None:
    colons = {**data, "a": np.char.add(data["a"], ":")}
    with pytest.raises(ValueError, match=r"label with a colon.*; let a stand last"):
        lmm_formula("y ~ x + (1 | a:b)", colons)
    fit = lmm_formula("y ~ x + (1 | b:a)", colons)
    assert fit.criterion == lmm_formula("y ~ x + (1 | b:a)", data).criterion


def test_columns_of_different_lengths(data: Data) -> None:
    short = {**data, "b": data["b"][1:], "z": data["z"][1:]}
    with pytest.raises(ValueError, match="b has 239 rows"):
        lmm_formula("y ~ x + (1 | a:b)", short)
    with pytest.raises(ValueError, match="z has 239 rows"):
        lmm_formula("y ~ x * z + (1 | a)", short)
