"""Is a variance zero? Against closed forms, the dense derivation, RLRsim, and at the limits."""

from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.testing import assert_allclose, assert_array_equal

import mixedsmooth as ms
from mixedsmooth.derivations import boundary as derivation
from mixedsmooth.derivations.design import grouping_columns
from mixedsmooth.inference import boundary
from mixedsmooth.inference.boundary import rlrt_null

LEFT_OUT = [0, 1, 4, 8, 13, 21, 22, 23, 29, 40, 41, 57]  # of the pastes


@pytest.fixture(scope="module")
def dyestuff() -> ms.Fit:
    return ms.lmm_formula("grams ~ 1 + (1 | batch)", ms.load_dyestuff())


@pytest.fixture(scope="module")
def pastes() -> dict[str, Any]:
    data = ms.load_pastes()
    return {name: np.delete(np.asarray(data[name]), LEFT_OUT) for name in data}


# ---- balanced: exact ----


def test_dyestuff(dyestuff: ms.Fit) -> None:
    test = ms.variance_test(dyestuff, "batch")
    # lme4 1.1.31, and R's aov and pf: F 4.598266190719 with 5 and 24 degrees of freedom
    assert_allclose(test.statistic, 6.368955313621, rtol=1e-8)
    assert_allclose(test.p, 0.004397531268306, rtol=1e-10)
    assert_allclose(test.zero_probability, 0.5610892301448, rtol=1e-12)
    assert_allclose(test.p_mixture, scipy.stats.chi2.sf(test.statistic, 1) / 2)
    assert (test.exact, test.n, test.seed) == (True, 0, None)
    assert test.term == "sd (Intercept) | batch"
    closed = derivation.rlrt_exact(4.598266190719, 6, 5)
    assert_allclose([closed.statistic, closed.p], [test.statistic, test.p], rtol=1e-9)


@pytest.mark.parametrize(
    ("method", "ratio", "expected"),
    [  # R: pf(1, 5, 24), pf(6 / 5, 5, 24); and at the estimates for dyestuff, by lme4 1.1.31
        ("REML", 0.0, 0.5610892301448),
        ("ML", 0.0, 0.6609970028499),
        ("REML", None, 0.048418),
        ("ML", None, 0.099839),
    ],
)
def test_the_probability_of_zero(
    method: Any, ratio: float | None, expected: float, dyestuff: ms.Fit
) -> None:
    if ratio is None:
        ratio = float(dyestuff.refit(method).theta[0] ** 2)
    found = derivation.zero_probability(6, 5, ratio, reml=method == "REML")
    assert_allclose(found, expected, atol=6e-7)


def test_the_probability_of_zero_is_that_of_fits() -> None:
    rng, batch = np.random.default_rng(4), np.repeat(np.arange(4), 3)
    for method in ("REML", "ML"):
        fit = ms.lmm(rng.normal(size=12), ms.group(batch=batch), method=method)
        zero = [
            fit.with_response(rng.normal(size=12) + 0.5 * rng.normal(size=4)[batch]).theta[0] == 0
            for _ in range(200)
        ]
        expected = derivation.zero_probability(4, 3, 0.25, reml=method == "REML")
        assert abs(np.mean(zero) - expected) < 4 * np.sqrt(expected * (1 - expected) / 200)


def test_the_probability_of_zero_goes_to_a_half() -> None:
    few, many, more = (derivation.zero_probability(a, 5) for a in (5, 50, 5_000))
    assert few > many > more > 0.5
    assert more < 0.502


def test_covariates_that_all_groups_share_leave_it_exact() -> None:
    sleep = ms.load_sleepstudy()
    fit = ms.lmm_formula("reaction ~ days + (1 | subject)", sleep)
    test = ms.variance_test(fit, "subject")
    residual = sleep.reaction - fit.beta[1] * sleep.days
    groups = [residual[sleep.subject == s] for s in np.unique(sleep.subject)]
    between = 10 * np.var([g.mean() for g in groups], ddof=1)
    within = sum(np.sum((g - g.mean()) ** 2) for g in groups) / 161
    assert test.exact
    assert_allclose(test.p, scipy.stats.f.sf(between / within, 17, 161), rtol=1e-6)


def test_a_known_sigma_has_a_chi_square() -> None:
    # Cochran's Q: effects with known standard errors
    rng = np.random.default_rng(6)
    y, g = rng.normal(size=24) + rng.normal(size=8).repeat(3), np.arange(8).repeat(3)
    fit = ms.lmm(y, ms.group(g=g), sigma=1.2)
    test = ms.variance_test(fit, "g")
    Q = 3 * np.sum((y.reshape(8, 3).mean(axis=1) - y.mean()) ** 2) / 1.2**2
    assert test.exact
    assert Q > 7
    assert_allclose(test.p, scipy.stats.chi2.sf(Q, 7), rtol=1e-10)
    assert_allclose(test.statistic, Q - 7 - 7 * np.log(Q / 7), rtol=1e-7)
    assert_allclose(test.zero_probability, scipy.stats.chi2.cdf(7, 7))


@pytest.mark.parametrize("seed", [3, 8])  # F is 1.7, and 5.9
def test_weights_that_every_group_shares_leave_it_exact(seed: int) -> None:
    rng, g, w = np.random.default_rng(seed), np.arange(6).repeat(3), np.tile([1.0, 2.0, 3.0], 6)
    y = rng.normal(size=18) + 0.7 * rng.normal(size=6)[g]
    test = ms.variance_test(ms.lmm(y, ms.group(g=g), weights=w), "g")
    # analysis of variance with weights
    means = np.bincount(g, w * y) / 6
    between = 6 * np.var(means, ddof=1)
    F = between / (np.sum(w * (y - means[g]) ** 2) / 12)
    assert F > 1
    assert test.exact
    assert_allclose(test.p, scipy.stats.f.sf(F, 5, 12), rtol=1e-9)
    assert_allclose(test.statistic, derivation.rlrt_exact(F, 6, 3).statistic, rtol=1e-6)


def test_an_estimate_of_zero() -> None:
    y = np.tile([1.0, 2.0, 4.0], 5) + 0.01 * np.arange(15)
    test = ms.variance_test(ms.lmm(y, ms.group(g=np.repeat(np.arange(5), 3))), "g")
    assert (test.statistic, test.p, test.p_mixture) == (0.0, 1.0, 1.0)
    uneven = ms.lmm(y, ms.group(g=np.repeat(np.arange(5), [2, 3, 4, 3, 3])))
    test = ms.variance_test(uneven, "g", n=200, seed=1)
    assert (test.statistic, test.p, test.exact) == (0.0, 1.0, False)


# ---- otherwise: simulated ----


def test_rlrsim(pastes: dict[str, Any]) -> None:
    # RLRsim 3.1.8 under R 4.2.2: set.seed(1); exactRLRT(lmer(strength ~ 1 + (1 | batch)), 1e6);
    # three standard errors of 200,000 draws, and of a million
    fit = ms.lmm_formula("strength ~ 1 + (1 | batch)", pastes)
    test = ms.variance_test(fit, "batch", n=200_000, seed=1)
    assert_allclose(test.statistic, 11.718, atol=5e-4)
    assert_allclose(test.p, 0.000232, atol=3 * np.sqrt(0.000232 * (1 / 2e5 + 1e-6)))
    assert not test.exact


def test_rlrsim_beside_another_factor() -> None:
    # exactRLRT(lmer(strength ~ 1 + (1 | batch)), mA with (1 | sample) too, m0 with that alone, 1e6)
    fit = ms.lmm_formula("strength ~ 1 + (1 | batch) + (1 | sample)", ms.load_pastes())
    test = ms.variance_test(fit, "batch", n=100_000, seed=1)
    assert_allclose(test.statistic, 0.65766, atol=5e-6)
    assert_allclose(test.p, 0.1786, atol=3 * np.sqrt(0.18 * 0.82 * (1e-5 + 1e-6)))
    assert any("Approximate: the other random effects" in note for note in test.notes)


@pytest.mark.parametrize("mu", [[5.0] * 5, [8.0, 3.0, 1.0, 0.5], [1e4, 1.0, 1e-3]])
def test_each_draw_is_the_statistic_of_its_squares(mu: list[float]) -> None:
    null = rlrt_null(np.array(mu), 24, 60, seed=5)
    rng = np.random.default_rng(5)
    squares, rest = rng.chisquare(1, (60, len(mu))), rng.chisquare(24, 60)
    dense = [derivation.rlrt(mu, s, r, 24) for s, r in zip(squares, rest, strict=True)]
    assert_allclose(null, dense, rtol=2e-3, atol=2e-4)  # of a grid, and a parabola
    assert_array_equal(null == 0, np.array(dense) < 1e-9)


def test_the_derivation_draws_from_the_same_distribution() -> None:
    mu = [8.0, 3.0, 1.0, 0.5]
    dense = derivation.rlrt_null(mu, 20, draws=600, seed=1)
    null = rlrt_null(np.array(mu), 20, 40_000, seed=2)
    assert abs(np.mean(dense == 0) - np.mean(null == 0)) < 4 * np.sqrt(0.25 / 600)
    found = scipy.stats.ks_2samp(dense[dense > 0], null[null > 0])
    assert found.pvalue > 1e-3


def test_equal_eigenvalues_are_drawn_as_f_says() -> None:
    draws = 100_000
    null = rlrt_null(np.full(5, 5.0), 24, draws, seed=3)
    zero = derivation.zero_probability(6, 5)
    assert abs(np.mean(null == 0) - zero) < 4 * np.sqrt(zero * (1 - zero) / draws)
    for F in (1.5, 3.0, 5.0):
        statistic, p = derivation.rlrt_exact(F, 6, 5)
        assert abs(np.mean(null > statistic) - p) < 4 * np.sqrt(p * (1 - p) / draws)


def test_a_known_sigma_is_drawn_as_chi_square_says() -> None:
    null = rlrt_null(np.full(7, 3.0), None, 100_000, seed=3)
    for Q in (9.0, 14.0, 20.0):
        p = scipy.stats.chi2.sf(Q, 7)
        share = np.mean(null > Q - 7 - 7 * np.log(Q / 7))
        assert abs(share - p) < 4 * np.sqrt(p * (1 - p) / 100_000)


def test_the_statistic_is_that_of_the_spectrum(pastes: dict[str, Any]) -> None:
    fit = ms.lmm_formula("strength ~ cask + (1 | batch)", pastes)
    Z, _ = grouping_columns(pastes["batch"])
    X = np.column_stack([np.ones(48), *(pastes["cask"] == c for c in "bc")])
    spectrum = derivation.spectrum(pastes["strength"], X, Z)
    test = ms.variance_test(fit, "batch", n=200, seed=1)
    assert_allclose(derivation.rlrt(*spectrum), test.statistic, rtol=1e-7)
    mu = boundary._eigenvalues(fit.problem, boundary._found(fit, "batch"))
    assert_allclose(np.sort(spectrum.mu), mu, rtol=1e-9)
    assert spectrum.degrees == 48 - 3 - len(mu)


def test_weights_are_rows_in_other_units(pastes: dict[str, Any]) -> None:
    w = 1.0 + np.arange(48) % 3
    fit = ms.lmm_formula("strength ~ 1 + (1 | batch)", pastes, weights=w)
    root = np.sqrt(w)[:, None]
    Z = root * grouping_columns(pastes["batch"])[0]
    mu, squares, rest, degrees = derivation.spectrum(root[:, 0] * pastes["strength"], root, Z)
    test = ms.variance_test(fit, "batch", n=200, seed=1)
    assert_allclose(derivation.rlrt(mu, squares, rest, degrees), test.statistic, rtol=1e-7)
    found = boundary._eigenvalues(fit.problem, boundary._found(fit, "batch"))
    assert_allclose(found / found.max(), np.sort(mu) / mu.max(), rtol=1e-9)
    same = ms.lmm_formula("strength ~ 1 + (1 | batch)", pastes, weights=np.full(48, 7.0))
    plain = ms.lmm_formula("strength ~ 1 + (1 | batch)", pastes)
    one, other = (ms.variance_test(each, "batch", n=500, seed=2) for each in (same, plain))
    assert one.p == other.p


def test_the_size_of_the_test() -> None:
    # 300 data sets without the variance: p below 0.1 in a tenth of them
    rng, g = np.random.default_rng(7), np.repeat(np.arange(6), [2, 3, 9, 4, 2, 5])
    fit = ms.lmm(rng.normal(size=25), ms.group(g=g))
    tests = (
        ms.variance_test(fit.with_response(rng.normal(size=25)), "g", n=200, seed=i)
        for i in range(300)
    )
    share = np.mean([test.p < 0.1 for test in tests])
    assert abs(share - 0.1) < 4 * np.sqrt(0.09 / 300)


# ---- which variance ----


def test_names() -> None:
    sleep = ms.load_sleepstudy()
    fit = ms.lmm_formula("reaction ~ days + (days || subject)", sleep)
    slopes = ms.variance_test(fit, "sd days | subject", n=200, seed=1)
    without = ms.lmm_formula("reaction ~ days + (1 | subject)", sleep)
    assert_allclose(slopes.statistic, without.criterion - fit.criterion, rtol=1e-6)
    intercepts = ms.variance_test(fit, "sd (Intercept) | subject", n=200, seed=1)
    without = ms.lmm_formula("reaction ~ days + (0 + days | subject)", sleep)
    assert_allclose(intercepts.statistic, without.criterion - fit.criterion, rtol=1e-6)
    curve = ms.lmm_formula("reaction ~ s(days, bs='cr', k=5) + (1 | subject)", sleep)
    one, other = (ms.variance_test(curve, t, n=200, seed=1) for t in ("s(days)", "sd s(days)"))
    assert one.statistic == other.statistic
    line = ms.lmm_formula("reaction ~ days + (1 | subject)", sleep)
    assert one.term == other.term == "sd s(days)"
    # the column of the line has another unit, which moves REML criteria by a constant
    scale = np.ptp(curve.model.lines[0].columns(curve.model.frame)[0]) / 9
    assert_allclose(one.statistic, line.criterion + 2 * np.log(scale) - curve.criterion, atol=1e-6)


def test_fits_by_other_methods_are_made_again(dyestuff: ms.Fit) -> None:
    by_ml = ms.variance_test(dyestuff.refit("ML"), "batch")
    assert by_ml.p == ms.variance_test(dyestuff, "batch").p
    assert by_ml.notes[0] == "Fitted again by REML; the fit was by ML"
    volvo = ms.load_volvo()
    curve = ms.lmm_formula("wear ~ s(size, bs='cr', k=9)", volvo, method="GCV")
    test = ms.variance_test(curve, "s(size)", n=200, seed=1)
    assert test.p == ms.variance_test(curve.refit("REML"), "s(size)", n=200, seed=1).p


def test_a_seed_gives_the_same_again(pastes: dict[str, Any]) -> None:
    fit = ms.lmm_formula("strength ~ 1 + (1 | batch)", pastes)
    first = ms.variance_test(fit, "batch", n=300)
    again = ms.variance_test(fit, "batch", n=300, seed=first.seed)
    assert (first.p, first.zero_probability) == (again.p, again.zero_probability)
    assert f"seed {first.seed}" in str(first)
    assert ms.variance_test(fit, "batch", n=300).seed != first.seed


def test_units_do_not_matter(pastes: dict[str, Any]) -> None:
    fit = ms.lmm_formula("strength ~ 1 + (1 | batch)", pastes)
    scaled = fit.with_response(1e6 * np.asarray(pastes["strength"]))
    one, other = (ms.variance_test(each, "batch", n=400, seed=2) for each in (fit, scaled))
    assert_allclose(one.statistic, other.statistic, rtol=1e-6)
    assert one.p == other.p


# ---- bad input ----


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ("subject", "term 'subject' has effects that are correlated.*correlated=False"),
        ("sd days | subject", "has effects that are correlated"),
        ("days", "term must be one of item, sd .Intercept. | item; found 'days'"),
        (3, "term must be one of"),
    ],
)
def test_terms_that_are_not_tested(term: Any, message: str) -> None:
    sleep = ms.load_sleepstudy()
    data = {name: np.asarray(sleep[name]) for name in sleep}
    data["item"] = np.arange(180) % 4
    fit = ms.lmm_formula("reaction ~ days + (days | subject) + (1 | item)", data)
    with pytest.raises(ValueError, match=message):
        ms.variance_test(fit, term)


def test_a_test_must_be_possible(
    dyestuff: ms.Fit, pastes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="n must be a whole number of at least 100"):
        ms.variance_test(dyestuff, "batch", n=10)
    with pytest.raises(ValueError, match=r"fit is what lmm\(\) returns, found 3"):
        ms.variance_test(3, "batch")  # type: ignore[arg-type]
    counts = ms.glmm_formula("y ~ lbase + (1 | subject)", ms.load_epil())
    with pytest.raises(ValueError, match=r"for linear mixed models; use compare\(\)"):
        ms.variance_test(counts, "subject")
    with pytest.raises(ValueError, match="'batch' cannot be tested: the model has no"):
        ms.variance_test(ms.lmm_formula("grams ~ 1", ms.load_dyestuff()), "batch")
    slopes = ms.lmm_formula("reaction ~ days + (days | subject)", ms.load_sleepstudy())
    with pytest.raises(ValueError, match=r"'days' cannot be tested: .* only some that are corr"):
        ms.variance_test(slopes, "days")
    with pytest.raises(ValueError, match="seed must be a whole number, found 'a'"):
        ms.variance_test(dyestuff, "batch", seed="a")  # type: ignore[arg-type]
    uneven = ms.lmm_formula("strength ~ 1 + (1 | batch)", pastes)
    with pytest.raises(ValueError, match="seed must be a whole number"):
        ms.variance_test(uneven, "batch", seed=-1)
    within = ms.lmm_formula("strength ~ batch + (1 | batch)", pastes)
    with pytest.raises(ValueError, match="has effects that the columns of X have as well"):
        ms.variance_test(within, "batch")
    monkeypatch.setattr(boundary, "DENSE_EFFECTS", 9)
    with pytest.raises(ValueError, match=r"has 10 effects, .* up to 9; use compare"):
        ms.variance_test(uneven, "batch")


def test_what_the_derivation_refuses() -> None:
    with pytest.raises(ValueError, match="a must be a whole number of at least 2"):
        derivation.zero_probability(1, 5)
    with pytest.raises(ValueError, match="ratio must be a finite number, zero or above"):
        derivation.zero_probability(6, 5, -1.0)
    with pytest.raises(ValueError, match="F must be a finite number"):
        derivation.rlrt_exact(-1.0, 6, 5)
    assert derivation.rlrt_exact(0.7, 6, 5) == (0.0, 1.0)
    with pytest.raises(ValueError, match="squares has 2 rows where"):
        derivation.rlrt([1.0], [1.0, 2.0], 1.0, 3)
    with pytest.raises(ValueError, match="Z has 5001 rows"):
        derivation.spectrum(np.arange(5001.0), np.ones((5001, 1)), np.ones((5001, 1)))


def test_the_table(dyestuff: ms.Fit) -> None:
    test = ms.variance_test(dyestuff, "batch")
    assert str(test) == repr(test)
    assert "sd (Intercept) | batch = 0" in str(test)
    assert "<table" in test._repr_html_()


def test_a_p_value_that_no_draw_supports_is_told() -> None:
    fit = ms.lmm_formula("reaction ~ days + (days || subject)", ms.load_sleepstudy())
    found = ms.variance_test(fit, "sd days | subject", n=200, seed=1)
    assert found.p == 1 / 201
    assert "No draw reached the statistic" in str(found)
    near = ms.lmm_formula("strength ~ 1 + (1 | batch) + (1 | sample)", ms.load_pastes())
    assert "No draw reached" not in str(ms.variance_test(near, "batch", n=200, seed=1))
