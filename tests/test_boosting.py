"""Boosting: its path is shrinkage, its end is least squares, and its numbers are mboost's."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy.interpolate import BSpline
from scipy.optimize import brentq

import mixedsmooth as ms
from mixedsmooth.derivations.boosting import (
    Boosted,
    Learner,
    boost,
    boosted_smoother,
    boosted_values,
    corrected_aic,
    cross_validated,
    degrees_of_steps,
    lambda_for,
    learner,
    smoother,
)
from mixedsmooth.derivations.design import grouping_columns
from mixedsmooth.derivations.eigensplit import eigen_split
from mixedsmooth.derivations.spline import spline_basis, spline_penalty

FloatArray = NDArray[np.float64]

FAT = ms.load_bodyfat()
PREDICTORS = [name for name in FAT if name != "dexfat"]
VOLVO = ms.load_volvo()
SIZE = (VOLVO.size - VOLVO.size.min()) / np.ptp(VOLVO.size)


def lines(names: list[str]) -> list[Learner]:
    return [learner(FAT[name]) for name in names]


def last(fit: Boosted, names: list[str], step: int = -1) -> dict[str, float]:
    return {name: float(b[step, 0]) for name, b in zip(names, fit.path, strict=True)}


def wear() -> list[Learner]:
    """Return the line of the engines' wear, and its bends without the line."""
    knots = np.arange(1, 8) / 8
    bends = eigen_split(spline_basis(SIZE, knots), spline_penalty(knots)).Z
    return [learner(SIZE), learner(bends, np.eye(7))]


# ---- mboost, by what its documents print ----


def test_three_lines_as_in_the_tutorial() -> None:
    # mboost, vignette mboost_tutorial (Hofner et al. 2014), section 3.1.2:
    # coef(glmboost(DEXfat ~ hipcirc + kneebreadth + anthro3a, data = bodyfat), off2int = TRUE)
    names = ["hipcirc", "kneebreadth", "anthro3a"]
    terms = lines(names)
    fit = boost(FAT.dexfat, terms)
    intercept = boosted_values(fit, terms, [[0.0]] * 3)[-1, 0]
    found = [intercept, *last(fit, names).values()]
    assert_allclose(found, [-75.207, 0.511, 1.901, 8.907], rtol=0, atol=5.1e-4)


def test_nine_lines_as_in_the_illustrations() -> None:
    # mboost, vignette mboost_illustrations (Buehlmann and Hothorn 2007), with options(digits = 5):
    # bf_glm <- glmboost(DEXfat ~ ., data = bodyfat, center = TRUE); coef(bf_glm)
    terms = lines(PREDICTORS)
    fit = boost(FAT.dexfat, terms)
    printed = {
        "age": 0.013602,
        "waistcirc": 0.189716,
        "hipcirc": 0.351626,
        "elbowbreadth": -0.384140,
        "kneebreadth": 1.736589,
        "anthro3a": 3.326860,
        "anthro3b": 3.656524,
        "anthro3c": 0.595363,
        "anthro4": 0.0,
    }
    assert_allclose(list(last(fit, PREDICTORS).values()), list(printed.values()), atol=5.1e-7)
    # its intercept is without the offset, which it prints as 30.783
    intercept = boosted_values(fit, terms, [[0.0]] * 9)[:, 0] - fit.offset
    assert round(fit.offset, 3) == 30.783
    assert_allclose(intercept[-1], -98.816608, rtol=0, atol=5.1e-7)
    # mstop(aic <- AIC(bf_glm)); coef(bf_glm[mstop(aic)])
    stop = int(np.argmin(corrected_aic(FAT.dexfat, fit.fitted, degrees_of_steps(fit, terms))))
    assert stop == 45
    printed |= {
        "age": 0.0023271,
        "waistcirc": 0.1893046,
        "hipcirc": 0.3488781,
        "elbowbreadth": 0.0,
        "kneebreadth": 1.5217686,
        "anthro3a": 3.3268603,
        "anthro3b": 3.6051548,
        "anthro3c": 0.5043133,
    }
    assert_allclose(list(last(fit, PREDICTORS, stop).values()), list(printed.values()), atol=5.1e-8)
    assert_allclose(intercept[stop], -97.8458288, atol=5.1e-8)


def p_spline(x: FloatArray, df: float) -> Learner:
    """Make mboost's bbs(x, df = df): cubic, 20 inner knots, and its own count of df.

    mboost counts the trace of 2 H - H'H, with the intercept.
    """
    step = np.ptp(x) / 21
    knots = x.min() + step * np.arange(-3, 25)
    B = BSpline.design_matrix(np.minimum(x, x.max() - 1e-9 * step), knots, 3).toarray()
    S = np.diff(np.eye(B.shape[1]), 2, axis=0)
    S = S.T @ S
    lam = np.exp(
        brentq(lambda at: 2 * np.trace(H := smoother(B, S, np.exp(at))) - np.sum(H**2) - df, -9, 20)
    )
    # the columns sum to one, so that the centered ones are collinear: one direction less
    U = np.linalg.svd(np.ones((1, B.shape[1])))[2][1:].T
    return learner(B @ U, U.T @ S @ U, df=float(np.trace(smoother(B, S, lam))) - 1)


def test_nine_splines_as_in_the_tutorial() -> None:
    # mboost, vignette mboost_tutorial, section 3.2: gam2 <- gamboost(DEXfat ~ .,
    # baselearner = "bbs", data = bodyfat); the sums of squares after 40, 80, 100 and 1000 steps,
    # and the terms of the first 33 steps and of all
    terms = [p_spline(FAT[name].astype(float), 4.0) for name in PREDICTORS]
    fit = boost(FAT.dexfat, terms, steps=1000)
    rss = np.sum((FAT.dexfat - fit.fitted) ** 2, axis=1)
    assert rss[[40, 80, 100, 1000]].round().tolist() == [544, 479, 460, 267]
    early = {PREDICTORS[j] for j in fit.chosen[:33]}
    assert early == set(PREDICTORS) - {"age", "elbowbreadth"}
    assert set(fit.chosen.tolist()) == set(range(9))


# ---- what the steps are ----


@pytest.mark.parametrize("nu", [0.1, 0.7, 1.0])
@pytest.mark.parametrize("term", ["line", "bends", "groups"])
def test_one_learner_is_a_power_of_its_hat_matrix(term: str, nu: float) -> None:
    y = VOLVO.wear
    groups = learner(grouping_columns(np.arange(19) % 5)[0], np.eye(5), df=2.0)
    t = {"line": wear()[0], "bends": wear()[1], "groups": groups}[term]
    fit = boost(y, [t], nu, steps=60)
    r = y - y.mean()
    for m in (0, 1, 7, 60):
        path = boosted_smoother(t.Z @ t.solve, nu, m)
        assert_allclose(fit.fitted[m], y.mean() + path @ r, rtol=0, atol=1e-10)
        assert_allclose(degrees_of_steps(fit, [t])[m], 1 + np.trace(path), rtol=0, atol=1e-10)


def test_the_steps_shrink_each_direction_by_itself() -> None:
    t = wear()[1]
    H = smoother(t.Z, t.S, t.lam)
    h, U = np.linalg.eigh(H)
    few, many = (boosted_smoother(H, 0.1, m) for m in (5, 100))
    assert_allclose(U.T @ few @ U, np.diag(1 - (1 - 0.1 * h) ** 5), rtol=0, atol=1e-12)
    assert_allclose(U.T @ many @ U, np.diag(1 - (1 - 0.1 * h) ** 100), rtol=0, atol=1e-12)
    # A penalized fit of the same degrees of freedom divides them otherwise: after few steps
    # boosting holds back more of the smoothest direction, after many more of the rough ones.
    for boosted, sharper in ((few, False), (many, True)):
        lam = lambda_for(float(np.trace(boosted)), t.Z, t.S)
        more = np.diag(U.T @ (boosted - smoother(t.Z, t.S, lam)) @ U)[-7:]
        assert_allclose(more.sum(), 0, atol=1e-9)
        assert (more[-1] > 0) == sharper
        assert np.all((more[:4] < 0) == sharper)


def test_many_steps_are_least_squares() -> None:
    names = ["hipcirc", "kneebreadth", "anthro3a"]
    terms = lines(names)
    fit = boost(FAT.dexfat, terms, nu=0.5, steps=3000)
    X = np.column_stack([np.ones(71), *(FAT[name] for name in names)])
    beta = np.linalg.lstsq(X, FAT.dexfat)[0]
    intercept = boosted_values(fit, terms, [[0.0]] * 3)[-1, 0]
    assert_allclose([intercept, *last(fit, names).values()], beta, rtol=1e-9)
    # and with them the degrees of freedom are all
    assert_allclose(degrees_of_steps(fit, terms)[-1], 4, rtol=1e-4)


def test_each_step_is_the_best_of_all() -> None:
    y, terms = VOLVO.wear, wear()
    fit = boost(y, terms, nu=0.3, steps=40)
    assert set(fit.chosen.tolist()) == {0, 1}
    for m, j in enumerate(fit.chosen):
        left = []
        for t in terms:
            # penalized least squares by rows that are added
            root = np.linalg.cholesky(t.lam * t.S + 1e-300 * np.eye(len(t.S))).T
            rows = np.vstack([t.Z, root])
            r = y - fit.fitted[m]
            b = np.linalg.lstsq(rows, np.append(r, np.zeros(len(root))))[0]
            left.append(np.sum((r - t.Z @ b) ** 2))
        assert j == int(np.argmin(left))
        moved = [np.any(b[m + 1] != b[m]) for b in fit.path]
        assert moved == [i == j for i in range(2)]


def test_the_path_makes_the_fitted_values() -> None:
    terms = wear()
    fit = boost(VOLVO.wear, terms, nu=0.3, steps=40)
    made = boosted_values(fit, terms, [t.Z + t.center for t in terms])
    assert_allclose(made, fit.fitted, rtol=0, atol=1e-12)
    rss = np.sum((VOLVO.wear - fit.fitted) ** 2, axis=1)
    assert np.all(np.diff(rss) < 0)


def test_units_shift_and_order_of_rows_do_not_matter() -> None:
    names = ["hipcirc", "kneebreadth", "anthro3a"]
    fit = boost(FAT.dexfat, lines(names))
    order = np.random.default_rng(1).permutation(71)
    other = boost(
        1000 * FAT.dexfat[order] + 7, [learner(10 * FAT[name][order] - 3) for name in names]
    )
    assert_array_equal(other.chosen, fit.chosen)
    assert_allclose(other.fitted, 1000 * fit.fitted[:, order] + 7, rtol=1e-10)
    assert_allclose(other.path[0], 100 * fit.path[0], rtol=1e-9)


def test_effects_of_groups_are_pulled_to_the_mean_less_with_each_step() -> None:
    dyestuff = ms.load_dyestuff()
    # 6 batches of 5: lambda = 20 gives 5 * 5 / (5 + 20) = 1 degree of freedom
    t = learner(grouping_columns(dyestuff.batch)[0], np.eye(6))
    assert_allclose(t.lam, 20.0, rtol=1e-9)
    fit = boost(dyestuff.grams, [t], nu=0.1, steps=50)
    means = [dyestuff.grams[dyestuff.batch == batch].mean() for batch in "ABCDEF"]
    kept = 1 - (1 - 0.1 * 5 / 25) ** np.arange(51)
    effects = fit.path[0]
    assert_allclose(effects, np.outer(kept, means - dyestuff.grams.mean()), rtol=0, atol=1e-9)


# ---- degrees of freedom, and when to stop ----


@pytest.mark.parametrize("df", [0.5, 1.0, 4.0, 6.5])
def test_lambda_gives_the_degrees_of_freedom(df: float) -> None:
    t = wear()[1]
    lam = lambda_for(df, t.Z, np.eye(7))
    assert_allclose(np.trace(smoother(t.Z, np.eye(7), lam)), df, rtol=1e-9)
    # by the eigenvalues: sum of 1 / (1 + lambda / d)
    d = np.linalg.eigvalsh(t.Z.T @ t.Z)
    assert_allclose(np.sum(d / (d + lam)), df, rtol=1e-8)


def test_a_line_that_is_not_penalized_keeps_its_degree() -> None:
    knots = np.arange(1, 8) / 8
    X, S = spline_basis(SIZE, knots), spline_penalty(knots)
    with pytest.raises(ValueError, match=r"df must be above 2 and below 9 .* found 1"):
        lambda_for(1.0, X, S)


def test_degrees_of_freedom_are_those_of_the_hat_matrix() -> None:
    y, terms = VOLVO.wear, wear()
    fit = boost(y, terms, nu=0.3, steps=12)
    # y to the fitted values, with the choices held: column by column
    B = np.zeros((19, 19))
    for i in range(19):
        f, unit = np.full(19, 1 / 19), np.eye(19)[i]
        for j in fit.chosen:
            t = terms[j]
            f = f + 0.3 * t.Z @ np.linalg.solve(t.Z.T @ t.Z + t.lam * t.S, t.Z.T @ (unit - f))
        B[:, i] = f
    assert_allclose(B @ y, fit.fitted[-1], rtol=0, atol=1e-10)
    assert_allclose(degrees_of_steps(fit, terms)[-1], np.trace(B), rtol=1e-10)


def test_cross_validation_leaves_each_row_out_once() -> None:
    # two folds of three rows, and one step that is a whole fit: a line through the other three
    x, y = np.array([0.0, 1, 2, 3, 4, 5]), np.array([1.0, 3, 2, 5, 4, 7])
    risk = cross_validated(y, [learner(x)], nu=1.0, steps=1, folds=2, seed=3)
    fold = np.random.default_rng(3).permutation(6) % 2
    by_mean, by_line = 0.0, 0.0
    for k in (0, 1):
        kept, out = fold != k, fold == k
        by_mean += np.sum((y[out] - y[kept].mean()) ** 2)
        by_line += np.sum((y[out] - np.polyval(np.polyfit(x[kept], y[kept], 1), x[out])) ** 2)
    assert_allclose(risk, [by_mean / 6, by_line / 6], rtol=1e-10)


def test_cross_validation_repeats_with_its_seed_and_not_with_another() -> None:
    terms = lines(["hipcirc", "kneebreadth", "anthro3a"])
    first = cross_validated(FAT.dexfat, terms, steps=30, seed=5)
    assert_array_equal(first, cross_validated(FAT.dexfat, terms, steps=30, seed=5))
    assert np.all(first[1:] != cross_validated(FAT.dexfat, terms, steps=30, seed=6)[1:])


def test_as_many_folds_as_rows_leave_each_out() -> None:
    terms = lines(["hipcirc", "waistcirc"])
    risk = cross_validated(FAT.dexfat, terms, steps=20, folds=71, seed=1)
    assert_allclose(risk, cross_validated(FAT.dexfat, terms, steps=20, folds=71, seed=2))
    # the mean of the others is off by n / (n - 1)
    expected = np.mean((FAT.dexfat - FAT.dexfat.mean()) ** 2) * (71 / 70) ** 2
    assert_allclose(risk[0], expected, rtol=1e-12)


def test_the_criterion_is_that_of_its_paper() -> None:
    # Hurvich, Simonoff and Tsai (1998): log sigma^2 + 1 + 2 (df + 1) / (n - df - 2)
    y = FAT.dexfat
    fit = boost(y, lines(["hipcirc"]), steps=30)
    df = np.linspace(1, 20, 31)
    variance = np.mean((y - fit.fitted) ** 2, axis=1)
    expected = np.log(variance) + 1 + 2 * (df + 1) / (71 - df - 2)
    assert_allclose(corrected_aic(y, fit.fitted, df), expected, rtol=1e-12)


# ---- what is refused ----

LINE = learner([1.0, 2.0, 4.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: boost([1, 2, 3], []), "learners is empty"),
        (lambda: boost([1, 2], [LINE]), r"learners\[0\] has 3 rows where y has 2"),
        (lambda: boost([1, 2, np.nan], [LINE]), "y has 1 value.*row 2"),
        (lambda: boost([1, 2, 3], [LINE], nu=1.5), "nu must be at most 1.*found 1.5"),
        (lambda: boost([1, 2, 3], [LINE], nu=0), "nu must be a finite number above zero"),
        (lambda: boost([1, 2, 3], [LINE], steps=-1), "steps must be a whole number"),
        (lambda: learner([2.0, 2.0, 2.0]), "Z"),
        (lambda: learner(np.eye(3)[:, :2]), "df must be the number of columns, 2.*found 1"),
        (lambda: learner([[1, 2], [2, 4], [5, 10]], df=2), "Z"),
        (lambda: learner(np.eye(3), np.eye(2)), r"S has shape \(2, 2\) for 3 columns of Z"),
        (lambda: learner(np.eye(2), [[1, 1], [0, 1]]), "S must be symmetric"),
        (lambda: lambda_for(1, np.eye(2), [[1, 0], [0, -1]]), "S must be positive semidefinite"),
        (lambda: learner(np.eye(3), np.eye(3), df=2.5), "df must be above 0 and below 2"),
        (lambda: lambda_for(1, np.eye(3), np.zeros((3, 3))), "S must not be zero"),
        (lambda: smoother(np.eye(3), np.eye(3), -1), "lam must be a finite number above zero"),
        (lambda: smoother(np.ones((3, 2)), np.zeros((2, 2)), 0), "singular.*leave out"),
        (lambda: smoother(np.ones((2001, 1)), [[1]], 1), "2001 rows.*stops at 2000"),
        (lambda: boosted_smoother(np.ones((2, 3)), 0.1, 1), r"H must be square.*\(2, 3\)"),
        (
            lambda: boosted_values(boost([1, 2, 3], [LINE]), [LINE], []),
            "designs has 0 items for 1 learners",
        ),
        (
            lambda: degrees_of_steps(boost([1, 2, 3], [LINE]), [LINE, LINE]),
            "learners has 2 items, and the fit 1",
        ),
        (lambda: corrected_aic([1, 2, 3, 4], [[1, 2, 3]], [1]), "fitted has 3 columns for 4"),
        (lambda: corrected_aic([1, 2, 3, 4], [[1, 2, 3, 5]], [2]), "df must be below n - 2 = 2"),
        (lambda: cross_validated([1, 2, 3], [LINE], folds=4), "folds must be a whole number"),
        (
            lambda: cross_validated([1, 2, 3], [LINE], folds=3, seed=-1),
            "seed must be a whole number",
        ),
    ],
)
def test_what_is_refused(call, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=message):
        call()
