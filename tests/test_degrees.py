"""Tests of coefficients: against lmerTest and pbkrtest, the dense derivation, and at the limits."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.testing import assert_allclose
from numpy.typing import NDArray

import mixedsmooth as ms
from mixedsmooth.derivations import degrees as derivation
from mixedsmooth.derivations.design import grouping_columns, intercept_slope_columns
from mixedsmooth.inference import degrees
from mixedsmooth.model import blocked, problem, sparse

FloatArray = NDArray[np.float64]
BOTH = ["satterthwaite", "kenward-roger"]

# 120 rows of the sleep study: R 4.2.2, set.seed(4); sort(sample(180, 120)), from zero
# fmt: off
KEPT = [
    0, 1, 2, 4, 6, 7, 8, 10, 11, 12, 18, 20, 21, 23, 25, 31, 32, 33, 34, 35, 36, 38, 40, 42, 43, 44,
    46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 58, 59, 60, 61, 62, 63, 64, 67, 70, 71, 72, 73, 74,
    75, 77, 78, 79, 81, 83, 84, 86, 93, 96, 99, 100, 101, 102, 103, 104, 106, 108, 109, 111, 112,
    114, 115, 116, 118, 120, 123, 124, 125, 127, 128, 129, 130, 132, 133, 134, 135, 136, 137, 138,
    140, 141, 142, 143, 144, 145, 146, 147, 149, 151, 152, 153, 154, 155, 157, 159, 161, 163, 164,
    165, 167, 168, 170, 171, 172, 173, 175, 176, 177, 178,
]
# fmt: on
LEFT_OUT = [0, 1, 4, 8, 13, 21, 22, 23, 29, 40, 41, 57]  # of the pastes


def rows_of(data: ms.Dataset, rows: Any) -> dict[str, Any]:
    return {name: np.asarray(data[name])[rows] for name in data}


@pytest.fixture(scope="module")
def part() -> dict[str, Any]:
    data = rows_of(ms.load_sleepstudy(), KEPT)
    data["quarter"] = np.array(["a", "b", "c", "d"])[np.digitize(data["days"], [3, 6, 8])]
    data["w"] = 1.0 + np.arange(120) % 3
    return data


@pytest.fixture(scope="module")
def pastes() -> dict[str, Any]:
    return rows_of(ms.load_pastes(), np.delete(np.arange(60), LEFT_OUT))


SLOPES = "reaction ~ days + (days | subject)"

# lmerTest 3.1.3 and pbkrtest 0.5.2 under R 4.2.2, lme4's bobyqa to rhoend = 1e-10:
# coef(summary(lmer(formula, data), ddf = ...)) and contestMD(fit, L, ddf = ...); all fixed effects
# are in L but an intercept beside others of a factor. se, df; F, df2. They differentiate by
# numbers, and searches end apart: that leaves six digits.
CASES = [
    pytest.param(
        SLOPES, "satterthwaite",
        [7.04950973931, 1.51966886932], [15.2857120746, 12.2348473539],
        (789.710760209, 13.9342468867), id="slopes",
    ),
    pytest.param(
        SLOPES, "kenward-roger",
        [7.10595243565, 1.53473332425], [16.2205406661, 16.0473782983],
        (737.455020214, 15.2913148899), id="slopes-kr",
    ),
    pytest.param(
        "reaction ~ quarter + (days | subject)", "satterthwaite",
        [7.09502685151, 7.48268217301, 10.23103663086, 11.89151014012],
        [19.1765901823, 83.7234608890, 34.6447712760, 18.8341888709],
        (17.0443566521, 36.2300903467), id="factor",
    ),
    pytest.param(
        "reaction ~ quarter + (days | subject)", "kenward-roger",
        [7.20752481859, 7.58535188949, 10.41888738448, 12.20472084781],
        [19.9523678867, 90.3263573818, 44.0340913998, 25.4157374200],
        (15.9511714465, 61.7488646141), id="factor-kr",
    ),
    pytest.param(
        "reaction ~ days + (days || subject)", "satterthwaite",
        [7.23512620192, 1.56956566782], [19.2327649452, 16.5350767372],
        (810.222789009, 15.600882409), id="independent",
    ),
    pytest.param(
        "reaction ~ days + (days || subject)", "kenward-roger",
        [7.26216785212, 1.57691679769], [21.1379661290, 20.9375377536],
        (780.535846381, 21.7748730072), id="independent-kr",
    ),
    pytest.param(
        "strength ~ cask + (1 | batch) + (1 | sample)", "satterthwaite",
        [1.07801153305, 1.30933792604, 1.40063766441],
        [22.5346730600, 15.9184256022, 16.8561195507],
        (0.70613829136, 16.3749331832), id="nested",
    ),
    pytest.param(
        "strength ~ cask + (1 | batch) + (1 | sample)", "kenward-roger",
        [1.08448296211, 1.31481450976, 1.41927380208],
        [22.2900096448, 15.5151474622, 16.4589935367],
        (0.688998038227, 15.9655891916), id="nested-kr",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("formula", "df", "se", "of_t", "of_F"), CASES)
def test_lmertest_and_pbkrtest(
    formula: str, df: Any, se: Any, of_t: Any, of_F: Any,
    part: dict[str, Any], pastes: dict[str, Any],
) -> None:  # fmt: skip
    fit = ms.lmm_formula(formula, part if "reaction" in formula else pastes)
    table = fit.coefficients(df)
    assert_allclose(table.se, se, rtol=2e-6)
    assert_allclose(table.df, of_t, rtol=5e-6)
    assert_allclose(table.t, fit.beta / table.se)
    assert_allclose(table.p, 2 * scipy.stats.t.sf(np.abs(table.t), table.df), rtol=1e-10)
    rows = np.eye(len(se))
    test = fit.contrast(rows[1:] if len(se) > 2 else rows, df)
    assert isinstance(test, degrees.JointContrast)
    assert_allclose([test.F, test.df2], of_F, rtol=5e-6)
    assert_allclose(test.p, scipy.stats.f.sf(test.F, len(test.weights), test.df2), rtol=1e-9)


def test_the_sleep_study() -> None:
    # lmerTest 3.1.3, pbkrtest 0.5.2; exact: 18 slopes less one, 180 - 18 - 1
    data = ms.load_sleepstudy()
    fit = ms.lmm_formula(SLOPES, data)
    for df in BOTH:
        table = fit.coefficients(df)  # type: ignore[arg-type]
        assert_allclose(table.df, 17, rtol=1e-6)
        assert_allclose(table.t[1], 6.77148, atol=6e-6)
        assert_allclose(table.p[1], 3.2638e-06, atol=6e-11)
    intercepts = ms.lmm_formula("reaction ~ days + (1 | subject)", data)
    for df in BOTH:
        table = intercepts.coefficients(df)  # type: ignore[arg-type]
        assert_allclose(table.df[1], 161, rtol=1e-6)
        assert_allclose(table.t[1], 13.015427819828, rtol=1e-9)


@pytest.mark.parametrize(
    ("method", "weights", "se", "df", "F", "df2"),
    [  # as above; pbkrtest leaves weights out of account, and its numbers are not used here
        ("REML", True, [7.27042229365, 1.54054412607], [15.8246570695, 12.5827881342],
         769.429225616, 14.3322715249),
        ("ML", False, [6.82808214933, 1.46085111576], [16.0696059490, 12.6589575423],
         839.999674966, 14.5282697842),
    ],
)  # fmt: skip
def test_satterthwaite_with_weights_and_by_ml(
    method: Any, weights: bool, se: Any, df: Any, F: float, df2: float,
    part: dict[str, Any],
) -> None:  # fmt: skip
    fit = ms.lmm_formula(SLOPES, part, method=method, weights=part["w"] if weights else None)
    table, test = fit.coefficients(), fit.contrast(np.eye(2))
    assert isinstance(test, degrees.JointContrast)
    assert_allclose(table.se, se, rtol=2e-6)
    assert_allclose(table.df, df, rtol=5e-6)
    assert_allclose([test.F, test.df2], [F, df2], rtol=5e-6)


# ---- the dense derivation ----


@pytest.mark.parametrize("method", ["REML", "ML"])
@pytest.mark.parametrize("weighted", [False, True])
def test_slopes_agree_with_the_dense_derivation(
    method: Any, weighted: bool, part: dict[str, Any]
) -> None:
    w = part["w"] if weighted else None
    fit = ms.lmm_formula(SLOPES, part, method=method, weights=w)
    Z, _ = intercept_slope_columns(part["subject"], part["days"])
    S = fit.random["subject"].cov
    parts = [
        *derivation.covariance_parts(Z, 2),
        np.diag(1 / part["w"] if weighted else np.ones(120)),
    ]
    gamma = [S[0, 0], S[1, 0], S[1, 1], fit.sigma**2]
    X = np.column_stack([np.ones(120), part["days"]])
    agree(fit, X, parts, gamma)


@pytest.mark.parametrize("formula", ["strength ~ cask + (1 | batch) + (1 | sample)"])
def test_nested_factors_agree_with_the_dense_derivation(
    formula: str, pastes: dict[str, Any]
) -> None:
    fit = ms.lmm_formula(formula, pastes)
    parts = [
        *(derivation.covariance_parts(grouping_columns(pastes[of])[0], 1)[0] for of in fit.random),
        np.eye(48),
    ]
    gamma = [*(r.cov[0, 0] for r in fit.random.values()), fit.sigma**2]
    agree(fit, np.column_stack([np.ones(48), *(pastes["cask"] == c for c in "bc")]), parts, gamma)


def test_a_smooth_agrees_with_the_dense_derivation() -> None:
    volvo = ms.load_volvo()
    fit = ms.lmm_formula("wear ~ s(size, bs='cr', k=9)", volvo)
    (factor,) = fit.problem.factors
    Z = np.column_stack(factor.effects)
    gamma = [(fit.sigma * fit.factorization.T[0][0, 0]) ** 2, fit.sigma**2]
    X = fit.problem.X @ np.linalg.inv(fit.problem.K)
    agree(fit, X, [Z @ Z.T, np.eye(fit.n)], gamma)


def agree(fit: ms.Fit, X: FloatArray, parts: list[FloatArray], gamma: list[float]) -> None:
    table, y = fit.coefficients(), fit.model.y
    for j, row in enumerate(np.eye(len(fit.beta))):
        match = derivation.satterthwaite(row, y, X, parts, gamma, fit.method)
        assert_allclose(table.df[j], match.df, rtol=1e-6)
        assert_allclose(table.se[j] ** 2, match.variance, rtol=1e-9)
    if fit.method == "REML":
        table, test = fit.coefficients("kenward-roger"), fit.contrast(np.eye(len(X.T)), BOTH[1])  # type: ignore[arg-type]
        assert isinstance(test, degrees.JointContrast)
        dense = derivation.kenward_roger(np.eye(len(X.T)), X, parts, gamma)
        assert_allclose(table.cov, dense.covariance, rtol=1e-7, atol=1e-9 * table.cov.max())
        F = float(fit.beta @ np.linalg.solve(dense.covariance, fit.beta)) / len(fit.beta)
        assert_allclose([test.F, test.df2], [dense.scale * F, dense.df], rtol=1e-7)
        for j, row in enumerate(np.eye(len(fit.beta))):
            dense = derivation.kenward_roger(row, X, parts, gamma)
            assert_allclose(table.df[j], dense.df, rtol=1e-7)
            assert_allclose(dense.scale, 1, rtol=1e-9)


def test_what_the_derivation_refuses() -> None:
    y, X, parts = np.array([1.0, 2.0, 4.0]), np.ones((3, 1)), [np.eye(3)]
    with pytest.raises(ValueError, match="rows have 2 weights and X has 1 columns"):
        derivation.satterthwaite([1, 0], y, X, parts, [1.0])
    with pytest.raises(ValueError, match="gamma has 2 rows where"):
        derivation.kenward_roger([1], X, parts, [1.0, 2.0])
    with pytest.raises(ValueError, match="must be positive definite"):
        derivation.kenward_roger([1], X, parts, [-1.0])
    with pytest.raises(ValueError, match='method must be "REML" or "ML"'):
        derivation.satterthwaite([1], y, X, parts, [1.0], "GCV")
    with pytest.raises(ValueError, match="Z has 3 columns, which is no multiple of 2"):
        derivation.covariance_parts(np.ones((4, 3)), 2)
    with pytest.raises(ValueError, match="Z has 2001 rows"):
        derivation.covariance_parts(np.ones((2001, 1)), 1)
    with pytest.raises(ValueError, match="X has 2001 rows"):
        derivation.kenward_roger([1], np.ones((2001, 1)), parts, [1.0])


# ---- invariances and limits ----


@pytest.mark.parametrize("df", BOTH)
def test_units_origins_and_the_order_of_rows_do_not_matter(df: Any, part: dict[str, Any]) -> None:
    fit = ms.lmm_formula(SLOPES, part).coefficients(df)
    order = np.random.default_rng(1).permutation(120)
    moved = {name: column[order] for name, column in part.items()}
    moved["reaction"] = 1e-3 * moved["reaction"]
    moved["days"] = 24 * (moved["days"] + 7)
    other = ms.lmm_formula(SLOPES, moved).contrast([0, 24], df)
    assert isinstance(other, degrees.Contrast)
    assert_allclose([1e3 * other.estimate, 1e3 * other.se], [fit.estimate[1], fit.se[1]], rtol=1e-6)
    assert_allclose(other.df, fit.df[1], rtol=1e-6)
    at_zero = ms.lmm_formula(SLOPES, moved).contrast({"(Intercept)": 1, "days": 24 * 7}, df)
    assert_allclose(at_zero.df, fit.df[0], rtol=1e-6)  # type: ignore[union-attr]


@pytest.mark.parametrize("df", BOTH)
def test_a_joint_test_does_not_depend_on_how_its_rows_are_written(
    df: Any, pastes: dict[str, Any]
) -> None:
    fit = ms.lmm_formula("strength ~ cask + (1 | batch) + (1 | sample)", pastes)
    rows = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    one, other = fit.contrast(rows, df), fit.contrast(np.array([[5, 1], [0.3, -0.2]]) @ rows, df)
    assert isinstance(one, degrees.JointContrast)
    assert isinstance(other, degrees.JointContrast)
    assert_allclose(one.F, other.F, rtol=1e-9)
    # Fai and Cornelius take the eigenvectors of L C L', which do
    if df == "kenward-roger":
        assert_allclose(one.df2, other.df2, rtol=1e-9)
    single, t = fit.contrast(rows[:1], df), fit.contrast(rows[0], df)
    assert isinstance(single, degrees.JointContrast)
    assert isinstance(t, degrees.Contrast)
    assert_allclose([single.F, single.df2, single.p], [t.t**2, t.df, t.p], rtol=1e-9)


@pytest.mark.parametrize("df", BOTH)
def test_a_linear_model_has_its_residual_degrees_of_freedom(df: Any) -> None:
    data = ms.load_sleepstudy()
    fit = ms.lmm_formula("reaction ~ days", data)
    assert_allclose(fit.coefficients(df).df, 178, rtol=1e-9)
    test = fit.contrast(np.eye(2), df)
    assert isinstance(test, degrees.JointContrast)
    assert_allclose(test.df2, 178, rtol=1e-9)
    known = ms.lmm_formula("reaction ~ days", data, sigma=30.0)
    assert np.all(np.isinf(known.coefficients(df).df))
    assert_allclose(known.coefficients(df).p, known.coefficients("normal").p)
    test, wald = known.contrast(np.eye(2), df), known.contrast(np.eye(2), "normal")
    assert isinstance(test, degrees.JointContrast)
    assert isinstance(wald, degrees.JointContrast)
    assert test.df2 == np.inf
    assert_allclose([test.F, test.p], [wald.F, wald.p])


@pytest.mark.parametrize("df", BOTH)
def test_what_a_known_sigma_leaves(df: Any) -> None:
    data = ms.load_sleepstudy()
    fit = ms.lmm_formula("reaction ~ days + (1 | subject)", data, sigma=30.0)
    mean = fit.contrast({"(Intercept)": 1, "days": 4.5}, df)
    assert_allclose(mean.df, 17, rtol=1e-6)  # type: ignore[union-attr]
    assert fit.coefficients(df).df[1] == np.inf  # the same in each subject: sigma alone


def test_a_variance_of_zero_is_left_out() -> None:
    data = rows_of(ms.load_sleepstudy(), np.arange(180))
    data["y"] = np.random.default_rng(0).normal(size=180)
    fit = ms.lmm_formula("y ~ days + (days || subject)", data)
    assert fit.random["subject"].sd[0] == 0 < fit.random["subject"].sd[1]
    without = ms.lmm_formula("y ~ days + (0 + days | subject)", data)
    assert_allclose(fit.coefficients().df, without.coefficients().df, rtol=1e-6)
    # Kenward and Roger count it
    assert np.all(fit.coefficients("kenward-roger").df < without.coefficients("kenward-roger").df)


@pytest.mark.parametrize(
    "T",
    [
        np.array([[0.0, 0.0], [3.0, 4.0]]),
        np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 0.0], [3.0, -1.0, 0.0]]),
        np.array([[1.0, 0.0], [2.0, 3.0]]),
        np.zeros((2, 2)),
    ],
)
def test_zeros_come_last(T: FloatArray) -> None:
    turned = degrees._echelon(T)
    assert_allclose(turned @ turned.T, T @ T.T, atol=1e-14)
    assert np.all(np.triu(turned, 1) == 0)
    rank = np.linalg.matrix_rank(T)
    assert np.all(turned[:, rank:] == 0)


def test_how_the_zero_is_written_does_not_matter() -> None:
    # The groups have the same mean, so that their variance at x = 0 is zero, and T has a row of
    # zeros before another. Any angle gives the same T T'.
    rng = np.random.default_rng(2)
    g, x = np.repeat(np.arange(8), 6), np.tile(np.arange(6.0) - 2.5, 8)
    e = rng.normal(size=(8, 6))
    y = (rng.normal(size=8)[g] * x) + (e - e.mean(axis=1, keepdims=True)).ravel()
    fit = ms.lmm_formula("y ~ x + (x | g)", {"y": y, "x": x, "g": g})
    (T,) = fit.factorization.T
    assert np.all(T[0] == 0)
    t = np.hypot(*T[1])
    found = []
    for angle in (0.0, 0.7, np.pi / 2):
        turned = np.array([[0.0, 0.0], [t * np.cos(angle), t * np.sin(angle)]])
        other = replace(fit, factorization=fit.factorization.A.factorize([turned]))
        found.append(degrees.satterthwaite(other).degrees(np.array([1.0, 2.0])))
    assert_allclose(found, found[0], rtol=1e-9)


def test_the_sparse_engine_agrees(monkeypatch: pytest.MonkeyPatch, pastes: dict[str, Any]) -> None:
    formula = "strength ~ cask + (1 | batch) + (1 | sample)"
    dense = ms.lmm_formula(formula, pastes)
    monkeypatch.setattr(problem, "DENSE_TAIL", -1)
    other = ms.lmm_formula(formula, pastes)
    assert isinstance(dense.factorization, blocked.Factorization)
    assert isinstance(other.factorization, sparse.Factorization)
    assert_allclose(other.coefficients().df, dense.coefficients().df, rtol=1e-4)
    assert_allclose(
        other.coefficients("kenward-roger").df, dense.coefficients("kenward-roger").df, rtol=1e-5
    )


def test_rows_left_out_and_an_offset(part: dict[str, Any]) -> None:
    fit = ms.lmm_formula(SLOPES, part)
    data = {name: np.append(column, column[:1]) for name, column in part.items()}
    data["days"] = np.append(part["days"], np.nan)
    data["o"] = np.arange(121.0) % 5
    data["reaction"] = data["reaction"] + data["o"]
    other = ms.lmm_formula("reaction ~ days + offset(o) + (days | subject)", data, missing="drop")
    for df in BOTH:
        one, same = (each.coefficients(df) for each in (fit, other))  # type: ignore[arg-type]
        assert_allclose(same.df, one.df, rtol=1e-6)
        assert_allclose(same.se, one.se, rtol=1e-6)


# ---- generalized models ----


def test_a_generalized_model_has_walds_tests() -> None:
    epil = ms.load_epil()
    fit = ms.glmm_formula("y ~ lbase + trt + (1 | subject)", epil)
    table = fit.coefficients()
    assert_allclose(table.p, 2 * scipy.stats.norm.sf(np.abs(fit.beta / fit.se)))
    assert np.all(np.isinf(table.df))
    test = fit.contrast([[0, 1, 0], [0, 0, 1]])
    assert isinstance(test, degrees.JointContrast)
    chi_square = fit.beta[1:] @ np.linalg.solve(fit.cov_beta[1:, 1:], fit.beta[1:])
    assert_allclose([2 * test.F, test.p], [chi_square, scipy.stats.chi2.sf(chi_square, 2)])
    assert "Chi-square  df" in str(test)
    for df in BOTH:
        with pytest.raises(ValueError, match=f'df "{df}" is for linear mixed models; use "normal"'):
            fit.coefficients(df)  # type: ignore[arg-type]


# ---- bad input ----


@pytest.fixture(scope="module")
def sleep() -> ms.Fit:
    return ms.lmm_formula(SLOPES, ms.load_sleepstudy())


@pytest.mark.parametrize(
    ("L", "message"),
    [
        ({}, r"L is empty; give weights of \(Intercept\), days"),
        ({"dayz": 1}, r"L names dayz, and the fixed effects are \(Intercept\), days"),
        ({"days": np.nan}, "L has 1 value"),
        ([1], r"L has 1 weights a row, and there are 2 fixed effects: \(Intercept\), days"),
        ([0, 0], "L has 1 row.* but rank 0"),
        ([[1, 0], [2, 0]], "L has 2 row.* but rank 1: leave out"),
        ([[1, 0], [0, 1], [1, 1]], "L has 3 row.* but rank 2"),
        ("days", "L is 'days'; give weights by name"),
    ],
)
def test_bad_contrasts(L: Any, message: str, sleep: ms.Fit) -> None:
    with pytest.raises(ValueError, match=message):
        sleep.contrast(L)


def test_rows_of_very_different_size_are_no_combinations(sleep: ms.Fit) -> None:
    small = sleep.contrast([[1e-9, 0], [0, 1e9]])
    assert_allclose(small.p, sleep.contrast(np.eye(2)).p, rtol=1e-6)


def test_fits_that_are_not_served(sleep: ms.Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match='df must be "normal", "satterthwaite" or "kenward-roger"'):
        sleep.coefficients("kr")  # type: ignore[arg-type]
    with pytest.raises(
        ValueError, match=r"is for fits by REML, and this is one by ML; use fit\.re"
    ):
        sleep.refit("ML").coefficients("kenward-roger")
    curve = ms.lmm_formula("reaction ~ s(days, k=5)", ms.load_sleepstudy(), method="GCV")
    for df in BOTH:
        with pytest.raises(ValueError, match="needs a likelihood, which a fit by GCV has not"):
            curve.coefficients(df)  # type: ignore[arg-type]
    assert_allclose(curve.coefficients("normal").se, curve.se)
    monkeypatch.setattr(degrees, "DENSE_EFFECTS", 35)
    with pytest.raises(ValueError, match=r'36 x 36 here.* its limit is 35; "satterthwaite" has no'):
        sleep.coefficients("kenward-roger")


@pytest.mark.parametrize("theta", [[1.0, 0.0, 0.2], [0.0, 0.0, 0.0], [0.929, 0.018, 0.3]])
def test_a_theta_that_is_not_the_best(theta: list[float], sleep: ms.Fit) -> None:
    with pytest.raises(ValueError, match="the criterion is not at its lowest at the theta"):
        sleep.refit(theta=theta).coefficients()


def test_the_best_theta_may_be_given(sleep: ms.Fit) -> None:
    assert_allclose(sleep.refit(theta=sleep.theta).coefficients().df, 17, rtol=1e-5)


def test_a_variance_that_the_data_do_not_tell() -> None:
    # three groups, and three columns that are constant in each
    g = np.repeat([0, 1, 2], 6)
    x, z = np.array([0.0, 1.0, 5.0])[g], np.array([0.0, 3.0, 1.0])[g]
    y = np.random.default_rng(3).normal(size=18) + x
    fit = ms.lmm_formula("y ~ x + z + (1 | g)", {"y": y, "x": x, "z": z, "g": g})
    with pytest.raises(ValueError, match="the data say nothing of a variance"):
        fit.coefficients("kenward-roger")


def test_an_f_that_nothing_matches() -> None:
    # correlated slopes of three groups, beside a column that is constant in each
    rng = np.random.default_rng(3)
    g = np.repeat(np.arange(3), 6)
    x, e, z = rng.normal(size=18), rng.normal(size=18), rng.normal(size=3)[g]
    y = e + x * np.array([0.0, 1.0, 3.0])[g]
    fit = ms.lmm_formula("y ~ x + z + (x | g)", {"y": y, "x": x, "z": z, "g": g})
    with pytest.raises(ValueError, match=r"no F has the mean and variance .* of 2 rows of L"):
        fit.contrast(np.eye(3)[:2], "kenward-roger")


# ---- what is shown ----


def test_tables(sleep: ms.Fit) -> None:
    table = sleep.coefficients("kenward-roger")
    text = str(table)
    assert text == repr(table)
    assert "Standard errors and degrees of freedom by Kenward and Roger" in text
    assert "<table" in table._repr_html_()
    frame = table.to_pandas()
    assert list(frame.columns) == ["estimate", "se", "df", "t", "p"]
    assert frame.loc["days", "t"] == table.t[1]
    assert str(sleep.contrast(np.eye(2))).splitlines()[2].split() == ["F", "df1", "df2", "p"]
    assert "z" in str(sleep.coefficients("normal")).split()
    for column in (table.se, table.df, table.t, table.p, table.cov):
        assert not column.flags.writeable
