"""What a fit tells: predictions, degrees of freedom, conditional covariances, summaries."""

import xml.etree.ElementTree as ElementTree
from dataclasses import FrozenInstanceError, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray

import mixedsmooth as ms
from mixedsmooth.derivations.henderson import conditional_covariance
from mixedsmooth.model.fit import Fit
from tests.test_blocked import MODELS, RandomModel, method_of

FloatArray = NDArray[np.float64]

SOME = pytest.mark.parametrize("model", MODELS[::6], ids=lambda model: str(model.seed))


def fit_model(model: RandomModel) -> Fit:
    return ms.lmm(model.y, *model.terms, method=method_of(model), weights=model.weights)


@pytest.fixture(scope="module")
def sleep() -> ms.SleepStudy:
    return ms.load_sleepstudy()


@pytest.fixture(scope="module")
def fit(sleep: ms.SleepStudy) -> Fit:
    """Straight lines by subject, a crossed factor, and a treatment as labels."""
    rng = np.random.default_rng(5)
    shift = np.array(["day", "late", "night"])[rng.integers(0, 3, 180)]
    room = rng.integers(0, 6, 180)
    y = sleep.reaction + 12 * rng.normal(size=6)[room] + 9 * (shift == "night")
    return ms.lmm(
        y,
        ms.linear(days=sleep.days, shift=shift),
        ms.group(subject=sleep.subject, days=sleep.days),
        ms.group(room=room),
    )


@pytest.fixture(scope="module")
def data(fit: Fit) -> dict[str, Any]:
    """Columns that the model was fitted to, by name."""
    frame = fit.model.frame
    labels = {name: levels[codes] for name, (codes, levels) in frame.labels.items()}
    return {"days": frame.numbers["days"], **labels}


@pytest.fixture(scope="module")
def singular(sleep: ms.SleepStudy) -> Fit:
    """Rooms that do not differ at all."""
    y, rooms = sleep.reaction, np.arange(180) % 5
    y = y - np.array([y[rooms == r].mean() for r in range(5)])[rooms]
    return ms.lmm(y, ms.group(subject=sleep.subject), ms.group(room=rooms))


# ---- against the dense derivation ----


@SOME
def test_degrees_of_freedom_are_traces_of_the_hat_matrix(model: RandomModel) -> None:
    fit = fit_model(model)
    y, X, Z = model.weighted
    # (D'D + P) (u, beta) = D'y with D = [Z Lambda  X] and P = I for u; the fit is D (u, beta)
    q = Z.shape[1]
    D = np.column_stack([Z @ model.Lambda(fit.theta), X / np.linalg.norm(X, axis=0)])
    C = D.T @ D + np.diag(np.arange(D.shape[1]) < q)
    coefficients = np.linalg.solve(C, D.T)
    hat = D @ coefficients
    assert_allclose(sum(fit.edf.values()), np.trace(hat), rtol=1e-7)
    root = np.ones(len(y)) if model.weights is None else np.sqrt(model.weights)
    assert_allclose(hat @ y, root * fit.fitted, rtol=1e-6, atol=1e-7 * np.abs(y).max())
    assert_allclose(fit.edf["fixed"], X.shape[1], rtol=1e-12)
    by_column = np.einsum("ij,ji->i", coefficients, D)
    at = 0
    for g in model.groupings:
        size = g.levels * len(g.T)
        assert_allclose(fit.edf[g.name], by_column[at : at + size].sum(), rtol=1e-6, atol=1e-7)
        at += size


@SOME
def test_conditional_covariances_are_the_blocks_of_the_whole(model: RandomModel) -> None:
    fit = fit_model(model)
    _, _, Z = model.weighted
    whole = conditional_covariance(Z, model.Lambda(fit.theta), fit.sigma)
    at = 0
    for g in model.groupings:
        k = len(g.T)
        found = fit.random[g.name]
        for j in range(g.levels):
            block = whole[at : at + k, at : at + k]
            unit = np.sqrt(np.outer(np.diag(found.cov), np.diag(found.cov)))
            assert np.all(np.abs(found.conditional_cov[j] - block) <= 1e-6 * unit)
            at += k
        diagonal = np.diagonal(found.conditional_cov, axis1=1, axis2=2)
        assert_allclose(found.conditional_sd, np.sqrt(diagonal), rtol=1e-12)


@SOME
def test_fitted_and_residuals(model: RandomModel) -> None:
    fit = fit_model(model)
    b = np.concatenate([r.effects.ravel() for r in fit.random.values()])
    atol = 1e-10 * np.abs(model.y).max()
    assert_allclose(fit.fitted, model.X @ fit.beta + model.Z @ b, rtol=1e-8, atol=atol)
    assert_allclose(fit.residuals, model.y - fit.fitted, rtol=0, atol=0)


@SOME
def test_covariances_and_correlations(model: RandomModel) -> None:
    fit = fit_model(model)
    Lambda = model.Lambda(fit.theta)
    at = 0
    for g in model.groupings:
        k = len(g.T)
        T = Lambda[at : at + k, at : at + k]
        r = fit.random[g.name]
        assert_allclose(r.cov, fit.sigma**2 * T @ T.T, rtol=1e-10)
        assert_allclose(r.sd, np.sqrt(np.diag(r.cov)), rtol=1e-12)
        zero = r.sd == 0
        assert np.all(np.isnan(r.corr[zero]))
        kept = np.ix_(~zero, ~zero)
        assert_allclose((np.outer(r.sd, r.sd) * r.corr)[kept], r.cov[kept], rtol=1e-12)
        at += g.levels * k


# ---- likelihood ----


def test_parameters_are_counted(fit: Fit) -> None:
    # 4 of beta, 3 + 1 of theta, sigma
    assert fit.npar == 9
    assert_allclose(fit.aic, -2 * fit.loglik + 18, rtol=1e-14)
    assert_allclose(fit.bic, -2 * fit.loglik + 9 * np.log(180), rtol=1e-14)
    assert_allclose(fit.se, np.sqrt(np.diag(fit.cov_beta)), rtol=1e-14)


def test_a_refit_by_the_other_method_is_the_fit_by_it(fit: Fit, data: dict[str, Any]) -> None:
    linear = ms.linear(days=data["days"], shift=data["shift"])
    direct = ms.lmm(fit.model.y, linear, *fit.model.groups, method="ML")
    ml = fit.refit("ML")
    assert (fit.method, ml.method) == ("REML", "ML")
    assert ml.converged
    assert_allclose(ml.criterion, direct.criterion, rtol=0, atol=1e-7)
    assert_allclose(ml.theta, direct.theta, rtol=2e-5)
    assert_allclose(ml.beta, direct.beta, rtol=1e-5)
    back = ml.refit("REML")
    assert_allclose(back.criterion, fit.criterion, rtol=0, atol=1e-7)


def test_a_refit_keeps_the_weights_and_the_intercept_out() -> None:
    model = next(m for m in MODELS if m.weights is not None and not m.intercept)
    fit = fit_model(model)
    other = fit.refit("ML" if fit.method == "REML" else "REML")
    assert other.names == fit.names
    assert other.model.weights is fit.model.weights
    assert_allclose(model.dense(other.theta, other.method), other.criterion, rtol=1e-9, atol=1e-8)
    assert_allclose(other.refit(fit.method).criterion, fit.criterion, rtol=0, atol=1e-6)


def test_a_refit_of_a_singular_fit(singular: Fit) -> None:
    ml = singular.refit("ML")
    assert ml.converged
    assert ml.on_boundary
    assert ml.theta[1] == 0


def test_a_refit_by_an_unknown_method_is_told(fit: Fit) -> None:
    with pytest.raises(ValueError, match='method must be "REML", "ML" or "GCV", found \'AIC\''):
        fit.refit("AIC")  # type: ignore[arg-type]


# ---- the same model, another response or a given theta ----


@SOME
def test_at_a_given_theta_it_is_the_dense_derivation(model: RandomModel) -> None:
    fit = fit_model(model)
    theta = model.scale * np.random.default_rng([model.seed, 4]).uniform(0.2, 3, len(model.scale))
    y = model.y[::-1] + 0.5 * model.y
    other = replace(model, y=y)
    cases = (model, fit.refit(theta=theta)), (other, fit.with_response(y, theta=theta))
    for wanted, found in cases:
        assert found.method == fit.method
        assert_allclose(found.theta, theta, rtol=1e-9, atol=1e-9 * np.abs(theta).max())
        expected = wanted.dense(theta, method_of(model))
        assert_allclose(found.criterion, expected, rtol=1e-9, atol=1e-8)
        dense = wanted.dense_solution(theta)
        assert_allclose(found.beta, dense.beta, rtol=1e-7, atol=1e-8 * np.abs(dense.beta).max())
        b = np.concatenate([r.effects.ravel() for r in found.random.values()])
        assert_allclose(b, dense.b, rtol=1e-6, atol=1e-8 * np.abs(dense.b).max())


@SOME
def test_another_response_is_a_fit_to_it(model: RandomModel) -> None:
    fit = fit_model(model)
    criterion = fit.criterion
    rng = np.random.default_rng([model.seed, 5])
    y = rng.permutation(model.y)
    found, direct = fit.with_response(y), fit_model(replace(model, y=y))
    assert found.converged == direct.converged
    assert_allclose(found.criterion, direct.criterion, rtol=0, atol=1e-7)
    assert_array_equal(found.model.y, y)
    assert_allclose(found.fitted + found.residuals, y, rtol=1e-12)
    # the first fit is what it was, and is found again
    assert_array_equal(fit.model.y, model.y)
    assert fit.criterion == criterion
    assert_allclose(found.with_response(model.y).criterion, criterion, rtol=0, atol=1e-7)


def test_a_theta_that_does_not_fit_is_told(fit: Fit) -> None:
    with pytest.raises(ValueError, match="theta must have the 4 entries of theta, found 1"):
        fit.refit(theta=[1.0])
    with pytest.raises(ValueError, match=r"theta has 1 value\(s\) that are NaN"):
        fit.with_response(fit.model.y, theta=[1, 1, 1, np.nan])


# ---- predictions ----


def test_rows_of_the_data_are_predicted_as_fitted(fit: Fit, data: dict[str, Any]) -> None:
    assert_allclose(fit.predict(data), fit.fitted, rtol=1e-13)
    assert_allclose(fit.predict(pd.DataFrame(data)), fit.fitted, rtol=1e-13)
    turned = {name: list(column[::-1]) for name, column in data.items()}
    assert_allclose(fit.predict(turned), fit.fitted[::-1], rtol=1e-13)
    more = data | {"unused": np.arange(3)}
    assert_allclose(fit.predict(more), fit.fitted, rtol=1e-13)


def test_without_effects_it_is_x_beta(fit: Fit, data: dict[str, Any]) -> None:
    fixed = {name: data[name] for name in ("days", "shift")}
    night, late = data["shift"] == "night", data["shift"] == "late"
    X = np.column_stack([np.ones(180), data["days"], late, night])
    assert_allclose(fit.predict(fixed, effects=False), X @ fit.beta, rtol=1e-13)
    # labels of groups do not matter then
    assert_allclose(
        fit.predict(fixed | {"subject": ["nobody"] * 180}, effects=False), X @ fit.beta, rtol=1e-13
    )


def test_one_row_is_the_sum_of_its_parts(fit: Fit) -> None:
    row: dict[str, Any] = {"days": [4.5], "shift": ["night"], "subject": ["309"], "room": [2]}
    subject, room = fit.random["subject"], fit.random["room"]
    b = subject.effects[list(subject.levels).index("309")]
    fixed = float(fit.beta @ [1, 4.5, 0, 1])
    expected = fixed + float(b @ [1, 4.5]) + float(room.effects[2, 0])
    assert_allclose(fit.predict(row), [expected], rtol=1e-13)
    # a new level has effects of zero, their mean; the effects of the other term stay
    new = row | {"subject": ["nobody"]}
    expected = fixed + float(room.effects[2, 0])
    assert_allclose(fit.predict(new, new_levels="population"), [expected], rtol=1e-13)
    newest = new | {"room": [77]}
    assert_allclose(fit.predict(newest, new_levels="population"), [fixed], rtol=1e-13)


def test_an_intercept_alone_takes_its_rows_from_the_data(singular: Fit) -> None:
    data = {"subject": ["308", "309"], "room": [0, 1]}
    for columns in (data, pd.DataFrame(data)):
        found = singular.predict(columns, effects=False)
        assert_array_equal(found, singular.beta.repeat(2))


ROW: dict[str, Any] = {"days": [1, 2], "shift": ["day"] * 2, "subject": ["308"] * 2, "room": [1, 2]}

BAD_DATA: dict[str, tuple[dict[str, Any], str]] = {
    "no covariate": (
        {name: column for name, column in ROW.items() if name != "days"},
        "data has no column days, which the model needs; it has shift, subject, room",
    ),
    "no factor": (
        {name: column for name, column in ROW.items() if name != "room"},
        "data has no column room",
    ),
    "new label of a fixed factor": (
        ROW | {"shift": ["day", "noon"]},
        "shift has the new label noon, for which .* learned; the model knows day, late, night$",
    ),
    "new group": (
        ROW | {"subject": ["308", "007"]},
        'subject has the new label 007, for which nothing was learned; .*; new_levels="population"',
    ),
    "NaN": (ROW | {"days": [np.nan, 1]}, r"days has 1 value\(s\) that are NaN"),
    "missing label": (ROW | {"subject": ["308", None]}, r"subject has 1 missing label\(s\)"),
    "numbers for labels": (ROW | {"subject": [308, 309]}, "labels must be of the kind"),
    "lengths": (
        ROW | {"days": [1, 2, 3]},
        "data must have columns of one length; found .*'days': 3, .*'shift': 2",
    ),
    "a factor too long": (
        ROW | {"room": [1, 2, 3]},
        "data must have columns of one length; found .*'room': 3",
    ),
    "empty": (ROW | {"days": []}, "days must be a vector"),
}


@pytest.mark.parametrize(("columns", "message"), BAD_DATA.values(), ids=BAD_DATA)
def test_bad_data_are_told(columns: dict[str, Any], message: str, fit: Fit) -> None:
    with pytest.raises(ValueError, match=message):
        fit.predict(columns)


def test_a_slope_of_another_length_is_told(sleep: ms.SleepStudy) -> None:
    fit = ms.lmm(sleep.reaction, ms.group(intercept=False, subject=sleep.subject, days=sleep.days))
    with pytest.raises(ValueError, match=r"columns of one length; found .*'days': 1, 'subject': 2"):
        fit.predict({"subject": ["308", "309"], "days": [1]})


def test_no_data_are_told(singular: Fit) -> None:
    with pytest.raises(ValueError, match=r"columns of one length; found \{\}"):
        singular.predict({}, effects=False)


def test_a_new_label_of_a_covariate_has_no_mean(fit: Fit) -> None:
    # the effects of a new group have mean zero; a new treatment has no coefficient
    with pytest.raises(ValueError, match="shift has the new label noon"):
        fit.predict(ROW | {"shift": ["day", "noon"]}, new_levels="population")


def test_an_unknown_way_with_new_levels_is_told(fit: Fit) -> None:
    with pytest.raises(ValueError, match='new_levels must be "error" or "population", found \'x\''):
        fit.predict(ROW, new_levels="x")  # type: ignore[arg-type]


# ---- random effects ----


def test_effects_as_a_frame(fit: Fit) -> None:
    frame = fit.random["subject"].to_pandas()
    assert list(frame.columns) == ["(Intercept)", "days"]
    assert frame.index.name == "subject"
    assert_array_equal(frame.to_numpy(), fit.random["subject"].effects)
    assert_array_equal(frame.index, fit.random["subject"].levels)


def test_a_factor_with_two_terms_has_two_names(sleep: ms.SleepStudy) -> None:
    fit = ms.lmm(
        sleep.reaction,
        ms.linear(days=sleep.days),
        ms.group(subject=sleep.subject),
        ms.group(intercept=False, subject=sleep.subject, days=sleep.days),
    )
    assert list(fit.random) == ["subject", "subject.1"]
    assert list(fit.edf) == ["fixed", "subject", "subject.1"]
    # (1 | s) + (0 + d | s) is (d || s)
    one = ms.lmm(
        sleep.reaction,
        ms.linear(days=sleep.days),
        ms.group(correlated=False, subject=sleep.subject, days=sleep.days),
    )
    assert_allclose(fit.criterion, one.criterion, rtol=1e-11)
    assert_allclose(fit.theta, one.theta, rtol=2e-5)
    assert "levels: 18 subject\n" in str(fit)


# ---- summaries ----


def table_of(text: str, caption: str) -> list[list[str]]:
    """Words of the lines below a caption, up to the next empty line."""
    _, found, rest = text.partition(f"{caption}:\n")
    assert found
    return [line.split() for line in rest.split("\n\n")[0].splitlines()]


def test_the_text_of_the_sleep_study(sleep: ms.SleepStudy) -> None:
    # every digit is lme4's: summary(lmer(Reaction ~ Days + (Days | Subject), sleepstudy)), version
    # 1.1.31; here five significant digits, and the effective degrees of freedom, of our own
    fit = ms.lmm(
        sleep.reaction,
        ms.linear(days=sleep.days),
        ms.group(subject=sleep.subject, days=sleep.days),
    )
    assert str(fit).splitlines() == [
        "Linear mixed model fit by REML, REML criterion: 1743.6283",
        "",
        "Scaled residuals:",
        "     Min       1Q  Median      3Q     Max",
        " -3.9536  -0.4634  0.0231  0.4634  5.1793",
        "",
        "Random effects:",
        " Group     Effect       Variance      SD  Corr",
        " subject   (Intercept)    612.09   24.74",
        "           days           35.072  5.9221  0.07",
        " Residual                 654.94  25.592",
        "",
        "Fixed effects:",
        " Effect       Estimate      SE      t",
        " (Intercept)    251.41  6.8246  36.84",
        " days           10.467  1.5458   6.77",
        "",
        "Formula: y ~ days + (days | subject)",
        "Rows: 180; levels: 18 subject",
        f"Effective degrees of freedom: fixed 2.00, subject {fit.edf['subject']:.2f}",
    ]


def test_the_numbers_of_the_text(fit: Fit) -> None:
    text = str(fit)
    assert text.startswith(f"Linear mixed model fit by REML, REML criterion: {fit.criterion:.4f}")
    header, *rows = table_of(text, "Fixed effects")
    assert header == ["Effect", "Estimate", "SE", "t"]
    assert [row[0] for row in rows] == ["(Intercept)", "days", "shift[late]", "shift[night]"]
    found = np.array([[float(cell) for cell in row[1:]] for row in rows])
    assert_allclose(found[:, 0], fit.beta, rtol=5e-5)
    assert_allclose(found[:, 1], fit.se, rtol=5e-5)
    assert_allclose(found[:, 2], fit.beta / fit.se, rtol=0, atol=0.0051)
    _, intercepts, slopes, rooms, residual = table_of(text, "Random effects")
    subject = fit.random["subject"]
    assert intercepts[:2] == ["subject", "(Intercept)"]
    assert slopes[0] == "days"
    assert rooms[:2] == ["room", "(Intercept)"]
    assert_allclose([float(x) for x in intercepts[2:]], [subject.cov[0, 0], subject.sd[0]], 5e-5)
    expected = [subject.cov[1, 1], subject.sd[1], subject.corr[1, 0]]
    assert_allclose([float(x) for x in slopes[1:]], expected, rtol=5e-5, atol=0.0051)
    assert_allclose(float(rooms[3]), fit.random["room"].sd[0], rtol=5e-5)
    assert residual[0] == "Residual"
    assert_allclose([float(x) for x in residual[1:]], [fit.sigma**2, fit.sigma], rtol=5e-5)
    _, quantiles = table_of(text, "Scaled residuals")
    ours = np.quantile(fit.residuals / fit.sigma, [0, 0.25, 0.5, 0.75, 1])
    assert_allclose([float(q) for q in quantiles], ours, rtol=0, atol=5.1e-5)
    assert "Rows: 180; levels: 18 subject, 6 room" in text
    assert "boundary" not in text
    assert "Not converged" not in text
    # no line ends in blanks
    assert all(line == line.rstrip() for line in text.splitlines())


def test_scaled_residuals_are_weighted() -> None:
    model = next(m for m in MODELS if m.weights is not None)
    assert model.weights is not None
    fit = fit_model(model)
    _, quantiles = table_of(str(fit), "Scaled residuals")
    largest = np.max(np.sqrt(model.weights) * fit.residuals) / fit.sigma
    assert_allclose(float(quantiles[-1]), largest, rtol=0, atol=5.1e-5)


def test_ml_is_named(fit: Fit) -> None:
    ml = fit.refit("ML")
    assert str(ml).startswith(
        f"Linear mixed model fit by ML, -2 log-likelihood: {ml.criterion:.4f}"
    )


def test_the_boundary_is_told(singular: Fit) -> None:
    assert singular.on_boundary
    line = "On the boundary: a variance is zero or effects are perfectly correlated (singular)"
    assert line in str(singular)
    assert line in singular._repr_html_()


def html_of(fit: Fit) -> ElementTree.Element:
    return ElementTree.fromstring(f"<div>{fit._repr_html_()}</div>")


def words(element: ElementTree.Element) -> str:
    return "".join(element.itertext())


def test_the_html_is_well_formed_and_says_the_same(fit: Fit) -> None:
    root = html_of(fit)
    tables = root.findall(".//table")
    assert [words(table.find("caption")) for table in tables] == [  # type: ignore[arg-type]
        "Scaled residuals",
        "Random effects",
        "Fixed effects",
    ]
    text = str(fit)
    for table in tables:
        columns = len(table.findall("thead/tr/th"))
        assert all(th.get("scope") == "col" for th in table.findall("thead/tr/th"))
        rows = table.findall("tbody/tr")
        assert rows
        for row in rows:
            assert len(row) == columns
            assert all(th.get("scope") == "row" for th in row.findall("th"))
            assert all(td.get("class") == "number" for td in row.findall("td"))
        caption = words(table.find("caption"))  # type: ignore[arg-type]
        lines = table_of(text, caption)[1:]
        cells = [[word for cell in row for word in words(cell).split()] for row in rows]
        assert cells == lines
    assert not any("style" in element.attrib for element in root.iter())
    paragraphs = [words(p) for p in root.findall("p")]
    assert paragraphs[0] == text.splitlines()[0]
    assert paragraphs[1:] == text.split("\n\n")[-1].splitlines()


def test_the_html_is_safe() -> None:
    rng = np.random.default_rng(6)
    names: dict[str, Any] = {"<b>&x": rng.normal(size=20)}
    g: dict[str, Any] = {'"g"<i>': np.arange(20) % 4}
    root = html_of(ms.lmm(rng.normal(size=20), ms.linear(**names), ms.group(**g)))
    assert "<b>&x" in [words(th) for th in root.iter("th")]
    assert '"g"<i>' in [words(th) for th in root.iter("th")]


def test_repr_is_short(fit: Fit) -> None:
    assert repr(fit) == f"<Fit by REML: 180 rows, criterion {fit.criterion:.4f}>"


# ---- frozen ----


@pytest.mark.parametrize("name", ["method", "converged", "theta", "beta", "something_new"])
def test_a_fit_is_frozen(name: str, fit: Fit) -> None:
    with pytest.raises((FrozenInstanceError, AttributeError)):
        setattr(fit, name, None)
    with pytest.raises(FrozenInstanceError):
        fit.random["subject"].cov = np.eye(2)  # type: ignore[misc]


def test_looking_changes_nothing(sleep: ms.SleepStudy) -> None:
    # what is computed on demand must not depend on what was asked for before
    def new() -> Fit:
        return ms.lmm(sleep.reaction, ms.group(subject=sleep.subject))

    first, second = new(), new()
    str(first)
    asked = [first.edf["subject"], first.criterion, first.sigma, *first.beta, *first.se]
    late = [second.sigma, *second.beta, *second.se, second.criterion]
    assert_array_equal([second.edf["subject"], late[3], *late[:3]], asked)
    third = new()
    _ = third.edf, third.random
    assert_array_equal(third.cov_beta, second.cov_beta)
    assert_array_equal(third.beta, second.beta)


def test_effects_agree_with_the_covariance_form(fit: Fit, data: dict[str, Any]) -> None:
    # b = Lambda Lambda' Z' V^-1 (y - X beta), beta by generalized least squares
    model = fit.model
    subject, room = model.groups
    Z = np.zeros((180, 42))
    rows = np.arange(180)
    Z[rows, 2 * subject.codes(model.frame)] = 1
    Z[rows, 2 * subject.codes(model.frame) + 1] = data["days"]
    Z[rows, 36 + room.codes(model.frame)] = 1
    by_term = [fit.random["subject"].cov] * 18 + [fit.random["room"].cov] * 6
    G = scipy.linalg.block_diag(*by_term)
    V = Z @ G @ Z.T + fit.sigma**2 * np.eye(180)
    r = model.y - fit.predict(data, effects=False)
    b = G @ Z.T @ np.linalg.solve(V, r)
    ours = np.concatenate([fit.random["subject"].effects.ravel(), fit.random["room"].effects[:, 0]])
    assert_allclose(ours, b, rtol=1e-8, atol=1e-8)
