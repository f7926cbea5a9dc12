"""Likelihood-ratio tests: against lme4, and of what cannot be compared."""

from typing import Any

import numpy as np
import pytest
import scipy.stats
from numpy.testing import assert_allclose

import mixedsmooth as ms

SLEEP = ms.load_sleepstudy()


def sleep(right: str, **options: Any) -> ms.Fit:
    return ms.lmm_formula(f"reaction ~ {right}", SLEEP, **options)


def epil(right: str, **options: Any) -> ms.GeneralizedFit:
    return ms.glmm_formula(f"y ~ {right}", ms.load_epil(), **options)


# ---- what lme4 finds ----


@pytest.mark.parametrize(
    ("less", "more", "method", "change", "df"),
    [  # lme4 1.1.31 under R 4.2.2: 2 (logLik(more) - logLik(less)), to the digits of the searches
        ("days + (1 | subject)", "days + (days | subject)", "ML", 42.139298516235, 2),
        ("days + (1 | subject)", "days + (days | subject)", "REML", 42.836813434969, 2),
        ("1 + (days | subject)", "days + (days | subject)", "ML", 23.53653747313, 1),
    ],
)
def test_lme4(less: str, more: str, method: Any, change: float, df: int) -> None:
    compared = ms.compare(sleep(more, method=method), sleep(less, method=method))
    assert compared.names == ["fit_1", "fit_0"]
    assert_allclose(compared.change, [np.nan, change], atol=1e-6)
    assert_allclose(compared.df, [np.nan, df])
    assert_allclose(compared.p, [np.nan, scipy.stats.chi2.sf(change, df)], rtol=1e-5)


def test_columns_are_those_of_the_fits() -> None:
    fits = [
        sleep(right, method="ML")
        for right in ("1 + (1 | subject)", "days + (1 | subject)", "days + (days | subject)")
    ]
    compared = ms.compare(*fits)
    assert compared.fits == tuple(fits)
    for name in ("npar", "loglik", "aic", "bic"):
        assert_allclose(getattr(compared, name), [getattr(fit, name) for fit in fits])
        assert not getattr(compared, name).flags.writeable
    assert_allclose(compared.deviance, [fit.criterion for fit in fits])
    assert_allclose(compared.change[1:], -np.diff([fit.criterion for fit in fits]))


def test_the_table() -> None:
    compared = ms.compare(sleep("days + (1 | subject)"), sleep("days + (days | subject)"))
    text = str(compared)
    assert text == repr(compared)
    assert "fit_0     4  1794.4651  1807.2369  -893.2325  1786.4651" in text
    assert "fit_0: reaction ~ days + (1 | subject)" in text
    assert "<table" in compared._repr_html_()
    frame = compared.to_pandas()
    assert frame.loc["fit_1", "df"] == 2
    assert np.isnan(frame.loc["fit_0", "p"])


# ---- nested or not ----


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ("days", "days + (1 | subject)"),
        ("days + (1 | subject)", "days + (days || subject)"),
        ("days + (days || subject)", "days + (days | subject)"),
        ("days + (0 + days | subject)", "days + (days | subject)"),
        ("days + (1 | subject)", "s(days, bs='cr', k=5) + (1 | subject)"),
        ("days", "days + I(days^2)"),
        ("days + (1 | subject)", "I(3 * days + 1) + I(days^2) + (1 | subject)"),
    ],
)
def test_models_within_others(less: str, more: str) -> None:
    compared = ms.compare(sleep(less, method="ML"), sleep(more, method="ML"))
    assert compared.change[1] > -1e-6
    assert np.isfinite(compared.p[1])
    assert not any(note.startswith("No test") for note in compared.notes)


@pytest.mark.parametrize(
    ("less", "more", "why"),
    [
        ("days + (1 | subject)", "I(days^2) + (1 | subject)", "they have as many parameters"),
        ("I(days^2) + (1 | subject)", "days + (days | subject)", "its columns of X are not among"),
        ("days + (1 | half)", "days + (days | subject)", "its variances are not among"),
        ("days + (days || subject)", "days + (1 | subject) + (days | half)", "its variances"),
        ("days + s(days, k=5)", "days + (days | subject)", "its variances are not among"),
    ],
)
def test_models_beside_others(less: str, more: str, why: str) -> None:
    data = {name: np.asarray(SLEEP[name]) for name in SLEEP}
    data["half"] = np.arange(180) % 7
    fits = [ms.lmm_formula(f"reaction ~ {right}", data, method="ML") for right in (less, more)]
    compared = ms.compare(*fits)
    assert np.isnan(compared.p[1])
    (note,) = (note for note in compared.notes if note.startswith("No test"))
    assert note.startswith(f"No test of fit_1 against fit_0: {why}")


def test_a_known_sigma_is_within_an_unknown_one() -> None:
    known = sleep("days + (1 | subject)", method="ML", sigma=30.0)
    compared = ms.compare(known, sleep("days + (1 | subject)", method="ML"))
    assert compared.df[1] == 1
    assert np.isfinite(compared.p[1])
    larger = sleep("days + (days | subject)", method="ML", sigma=30.0)
    smaller = sleep("days + (1 | subject)", method="ML")
    assert np.isnan(ms.compare(smaller, larger).p[1])


@pytest.mark.parametrize(
    ("less", "more", "edge"),
    [
        ("days + (1 | subject)", "days + (days | subject)", True),
        ("days", "days + (1 | subject)", True),
        ("days + (days || subject)", "days + (days | subject)", False),  # a correlation of zero
        ("1 + (days | subject)", "days + (days | subject)", False),
    ],
)
def test_a_variance_of_zero_is_told(less: str, more: str, edge: bool) -> None:
    compared = ms.compare(sleep(less, method="ML"), sleep(more, method="ML"))
    told = [note for note in compared.notes if "as a variance of zero is an edge" in note]
    assert bool(told) == edge
    assert all(note.endswith("see variance_test()") for note in told)


def test_a_fit_on_its_boundary_is_told() -> None:
    data = {name: np.asarray(SLEEP[name]) for name in SLEEP}
    data["half"] = np.arange(180) % 7  # says nothing
    fits = [
        ms.lmm_formula(f"reaction ~ {right} + (1 | half)", data, method="ML")
        for right in ("1", "days")
    ]
    assert all(fit.on_boundary for fit in fits)
    assert any("as fit_0 is on an edge" in note for note in ms.compare(*fits).notes)


# ---- generalized models ----


def test_generalized_models() -> None:
    less, more = epil("lbase + (1 | subject)"), epil("lbase * trt + (1 | subject)")
    compared = ms.compare(less, more)
    change = less.criterion - more.criterion
    assert_allclose(compared.p[1], scipy.stats.chi2.sf(change, 2))
    # without a group there is nothing to approximate
    by_quadrature = epil("lbase + (1 | subject)", method="agq")
    compared = ms.compare(epil("lbase"), by_quadrature)
    assert compared.df[1] == 1
    (note,) = (note for note in compared.notes if "edge" in note)
    assert note.endswith("p is conservative, as a variance of zero is an edge")


# ---- what cannot be compared ----


def without_last() -> dict[str, Any]:
    return {name: np.asarray(SLEEP[name])[:-1] for name in SLEEP}


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            lambda: sleep("1 + (1 | subject)"),
            'have different columns of X.*use fit.refit\\("ML"\\)',
        ),
        (lambda: sleep("I(2 * days) + (1 | subject)"), "have different columns of X"),
        (lambda: sleep("days + (1 | subject)", method="ML"), "are by ML and REML, which differ"),
        (lambda: sleep("s(days, k=5)", method="GCV"), 'a fit by GCV has no .*with "REML" or "ML"'),
        (
            lambda: ms.lmm_formula("log(reaction) ~ days + (1 | subject)", SLEEP),
            "have different responses",
        ),
        (
            lambda: sleep("days + (1 | subject)", weights=np.arange(1.0, 181)),
            "have different weights",
        ),
        (lambda: sleep("days + (1 | subject)", offset=np.arange(180.0)), "have different offsets"),
        (
            lambda: ms.lmm_formula("reaction ~ days + (1 | subject)", without_last()),
            "have different responses",
        ),
        (lambda: epil("lbase + (1 | subject)"), "have different responses"),
        (lambda: 3, r"fits are what lmm\(\) and glmm\(\) return, .* number 1 is 3"),
    ],
)
def test_fits_that_differ(other: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ms.compare(sleep("days + (1 | subject)"), other())


def test_one_fit() -> None:
    with pytest.raises(ValueError, match="fits must be two or more, found 1"):
        ms.compare(sleep("days"))


def test_rows_of_the_same_data() -> None:
    y = np.array([1.0, 1.0, 2.0, 4.0, 3.0, 7.0])
    fits = []
    for missing in (0, 1):  # the responses that are left are the same
        column = y.copy()
        column[missing] = np.nan
        fits.append(ms.lmm(column, ms.linear(x=np.arange(6.0)), missing="drop", method="ML"))
    with pytest.raises(ValueError, match="fit_0 and fit_1 have different rows"):
        ms.compare(*fits)


def test_columns_of_one_name_with_other_values() -> None:
    shifted = {name: np.asarray(SLEEP[name]) for name in SLEEP}
    shifted["days"] = shifted["days"] ** 2
    other = ms.lmm_formula("reaction ~ days + (days | subject)", shifted)
    with pytest.raises(ValueError, match="have different columns of X"):
        ms.compare(sleep("days + (1 | subject)"), other)
    # their order does not matter
    fits = sleep("days + I(days^2) + (1 | subject)"), sleep("I(days^2) + days + (days | subject)")
    assert np.isfinite(ms.compare(*fits).p[1])


def test_generalized_fits_that_differ() -> None:
    fit = epil("lbase + (1 | subject)")
    for other, message in (
        (epil("lbase + trt + (1 | subject)", method="pql"), 'a fit by PQL has.*"laplace" or "agq"'),
        (fit.refit("agq", nodes=9), "are by agq with 9 nodes and laplace"),
    ):
        with pytest.raises(ValueError, match=message):
            ms.compare(fit, other)
    with pytest.raises(ValueError, match="are by agq with 5 nodes and agq with 9 nodes"):
        ms.compare(fit.refit("agq", nodes=9), fit.refit("agq", nodes=5))
    y = np.asarray(ms.load_epil().y, dtype=np.float64)
    group = ms.group(subject=ms.load_epil().subject)
    binomial = [
        ms.glmm(np.minimum(y, 5), group, family="binomial", trials=trials) for trials in (5, 6)
    ]
    with pytest.raises(ValueError, match="have different trials"):
        ms.compare(*binomial)
    gaussian = ms.lmm(y, ms.linear(lbase=ms.load_epil().lbase), group, method="ML")
    with pytest.raises(ValueError, match="have different kinds of response"):
        ms.compare(fit, gaussian)


def test_families_of_the_same_response() -> None:
    # the negative binomial contains the Poisson, at an infinite size
    fit, larger = (
        epil("lbase + (1 | subject)", family=family) for family in ("poisson", "negative-binomial")
    )
    found = ms.compare(larger, fit)
    assert found.names == ["fit_1", "fit_0"]
    change = fit.criterion - larger.criterion
    assert_allclose([found.change[1], found.df[1]], [change, 1])
    assert_allclose(found.p[1], scipy.stats.chi2.sf(change, 1))
    assert "p is conservative, as an infinite size is an edge" in found.notes[-1]
    # other families have an AIC, and no test
    seizures = ms.load_epil()
    positive = {**seizures, "y": seizures.y + 0.5}
    gamma = ms.glmm_formula("y ~ 1 + (1 | subject)", positive, family="gamma")
    inverse = ms.glmm_formula("y ~ lbase + (1 | subject)", positive, family="inverse-gaussian")
    found = ms.compare(gamma, inverse)
    assert_allclose(found.aic, [gamma.aic, inverse.aic])
    assert np.isnan(found.p[1])
    assert found.notes[-1].endswith("their families or links differ")
