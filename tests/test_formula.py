"""Formulas of lme4: the same fit, to the last digit, as with terms."""

import sys
from typing import Any

import numpy as np
import pytest

import mixedsmooth as ms
from mixedsmooth.model.formula import lmm_formula

Data = dict[str, Any]


@pytest.fixture(autouse=True)
def _formulae() -> None:
    pytest.importorskip("formulae")


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
    return {"y": y, "x": x, "z": z, "dose": dose, "a": text[a], "b": b, "c": c}


@pytest.fixture(scope="module")
def sleep() -> Data:
    data = ms.load_sleepstudy()
    return {"Reaction": data.reaction, "Days": data.days, "Subject": data.subject}


def joined(*columns: Any) -> np.ndarray:
    return np.array([":".join(map(str, labels)) for labels in zip(*columns, strict=True)])


def assert_same_fit(found: ms.Fit, wanted: ms.Fit) -> None:
    assert found.names == wanted.names
    for name in ("beta", "theta", "sigma", "criterion", "cov_beta", "fitted"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    assert list(found.random) == list(wanted.random)
    for name, effects in found.random.items():
        assert effects.names == wanted.random[name].names
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


# What is not supported says so


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("y ~ x + x | c", "each random term in parentheses"),
        ("x + (1 | c)", "each random term in parentheses"),
        ("y ~ x + (1 | c) )", "each random term in parentheses"),
        ("y ~ x + (1 | c", "cannot be read"),
        ("y ~ x ~ z", "cannot be read"),
        ("y ~ . + (1 | c)", "cannot be read"),
        ("y ~ x + (1 ||| c)", "cannot be read"),
        ("", "cannot be read"),
        ("log(y) ~ x + (1 | c)", "response must be one column"),
        ("y + x ~ x + (1 | c)", "response must be one column"),
        ("y ~ log(x) + (1 | c)", r"function log\(...\) is not supported"),
        ("y ~ offset(x) + (1 | c)", r"function offset\(...\) is not supported"),
        ("y ~ {x + 1} + (1 | c)", r"function I\(...\) is not supported"),
        ("y ~ x**2 + (1 | c)", r"Binary \*\* is not supported"),
        ("y ~ 2 * x + (1 | c)", "Literal 2 is not supported"),
        ("y ~ x - (1 | c)", "random term can only be added"),
        ("y ~ x * (1 | c)", "random term can only be added"),
        ("y ~ x + ((1 | a) | c)", "random term can only be added"),
        ("y ~ x + (x | 1)", "must be grouping columns"),
        ("y ~ x + (0 | c)", "has no effect"),
        ("y ~ x + (dose || c)", r"labels of dose .* left of \|\|"),
        ("y ~ dose + x:dose + (1 | c)", "x:dose without x is not supported"),
        ("y ~ x", "neither a grouping factor nor a smooth"),
        (
            "y ~ x + (1 | nobody)",
            "data has no column nobody, which the model needs; it has y, x, z",
        ),
        ("Y ~ x + (1 | c)", "data has no column Y"),
    ],
)
def test_what_is_not_supported_says_so(data: Data, formula: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lmm_formula(formula, data)


def test_crossed_labels_cannot_have_a_colon(data: Data) -> None:
    with pytest.raises(ValueError, match="label with a colon"):
        lmm_formula("y ~ x + (1 | b:a)", {**data, "a": np.char.add(data["a"], ":")})


def test_columns_of_different_lengths(data: Data) -> None:
    short = {**data, "b": data["b"][1:], "z": data["z"][1:]}
    with pytest.raises(ValueError, match="b has 239 rows"):
        lmm_formula("y ~ x + (1 | a:b)", short)
    with pytest.raises(ValueError, match="z has 239 rows"):
        lmm_formula("y ~ x * z + (1 | a)", short)


def test_says_what_to_install(sleep: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "formulae.parser", None)
    with pytest.raises(ImportError, match=r"pip install mixedsmooth\[formula\]"):
        lmm_formula("Reaction ~ Days + (Days | Subject)", sleep)
