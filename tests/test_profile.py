"""Profiles against dense brute force, closed forms and other engines; their shape and ends."""

from typing import Any

import numpy as np
import pytest
import scipy.linalg
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtri

import mixedsmooth as ms
from mixedsmooth.derivations.design import intercept_slope_columns
from mixedsmooth.derivations.profile import profile_deviance
from mixedsmooth.inference.parameters import parameters
from mixedsmooth.inference.profile import Profile
from mixedsmooth.model import problem
from mixedsmooth.model.covariance import Full, unpack
from tests.models import EXAMPLES, Example

FloatArray = NDArray[np.float64]

SLEEP = ms.load_sleepstudy()
SLOPES = "reaction ~ days + (days | subject)"


@pytest.fixture(scope="module")
def sleep() -> Profile:
    return ms.lmm_formula(SLOPES, SLEEP).profile()


# ---- against the n x n covariance of y, minimized under a constraint ----


def dense(example: Example, theta: FloatArray, sigma: float, method: str) -> float:
    """Deviance of theta and sigma, beta at its best, from the covariance of y."""
    ZL = example.Z @ example.Lambda(theta)
    w = np.ones(example.n) if example.weights is None else example.weights
    try:
        L = np.linalg.cholesky(sigma**2 * (ZL @ ZL.T + np.diag(1 / w)))
    except np.linalg.LinAlgError:
        return 1e10
    if not np.all(np.isfinite(L)):
        return 1e10
    A = scipy.linalg.solve_triangular(L, np.column_stack([example.X, example.y]), lower=True)
    Q, R = np.linalg.qr(A[:, :-1])
    r = A[:, -1] - Q @ (Q.T @ A[:, -1])
    n, p = example.X.shape
    d = n * np.log(2 * np.pi) + 2 * np.log(np.diag(L)).sum() + r @ r
    if method == "REML":
        d += 2 * np.log(np.abs(np.diag(R))).sum() - p * np.log(2 * np.pi)
    return float(d)


def natural(fit: ms.Fit, theta: FloatArray, sigma: float) -> FloatArray:
    """Sds, correlations and sigma of a theta."""
    values = []
    for covariance, T in zip(
        fit.model.covariances, unpack(theta, fit.model.covariances), strict=True
    ):
        S = sigma**2 * T @ T.T
        sd = np.sqrt(np.diag(S))
        for c in range(covariance.columns):
            values.append(sd[c])
            for d in range(c + 1, covariance.k if isinstance(covariance, Full) else 0):
                values.append(S[c, d] / (sd[c] * sd[d]))
    return np.array([*values, sigma])


def least(example: Example, fit: ms.Fit, which: int, value: float, method: str) -> float:
    """Least deviance with one covariance parameter at a value, by sequential quadratic programs."""
    known = example.sigma

    def parted(x: FloatArray) -> tuple[FloatArray, float]:
        sigma = float(np.exp(np.clip(x[-1], -50, 50))) if known is None else known
        return x[: example.parameters], sigma

    def deviance(x: FloatArray) -> float:
        return dense(example, *parted(x), method)

    def missed(x: FloatArray) -> float:
        return float(natural(fit, *parted(x))[which] / value - 1)

    begin = np.append(fit.theta, np.log(fit.sigma))[: example.parameters + (known is None)]
    constraint = {"type": "eq", "fun": missed}
    options = {"ftol": 1e-13, "maxiter": 1000}
    for push in (0.0, 0.3):  # away from a boundary
        with np.errstate(all="ignore"):
            start = begin + push * (-1.0) ** np.arange(len(begin))
            end = minimize(deviance, start, method="SLSQP", constraints=constraint, options=options)
        if abs(missed(end.x)) < 1e-7:
            return float(end.fun)
    raise AssertionError("no model has the parameter at this value")


DENSE = [
    ("intercepts", "ML"),
    ("independent slopes", "REML"),
    ("three effects", "ML"),
    ("crossed", "ML"),
    ("weights", "ML"),  # on the boundary
    ("known variances", "ML"),
    ("smooth and group", "REML"),
    ("singular slopes", "ML"),
]


@pytest.mark.parametrize(("name", "method"), DENSE, ids=[f"{n}, {m}" for n, m in DENSE])
def test_ends_are_where_a_dense_search_finds_the_bound(name: str, method: Any) -> None:
    example = EXAMPLES[name]
    fit = example.fit(method)
    intervals = fit.confint(0.9, likelihood=method)
    covariance = len(intervals.names) - (len(fit.names) if method == "ML" else 0)
    checked = 0
    for which, parameter in enumerate(intervals.names[:covariance]):
        for end in intervals[parameter]:
            if end in (0.0, -1.0, 1.0, np.inf):
                assert any(note.startswith(parameter) for note in intervals.notes)
                continue
            rise = least(example, fit, which, end, method) - fit.criterion
            # SLSQP finds the deviance to about 1e-8
            assert_allclose(np.sqrt(rise), ndtri(0.95), rtol=0, atol=1e-6, err_msg=parameter)
            checked += 1
    assert checked >= covariance


@pytest.mark.parametrize("name", ["slopes", "known sigma", "weighted smooth and crossed"])
def test_coefficients_are_where_a_dense_search_finds_the_bound(name: str) -> None:
    example = EXAMPLES[name]
    fit = example.fit("ML")
    intervals = fit.confint(0.9)
    known = example.sigma
    for j, coefficient in enumerate(fit.names):
        for end in intervals[coefficient]:
            without = Example(
                "", example.y - end * example.X[:, j], example.random, weights=example.weights
            )
            object.__setattr__(without, "X", np.delete(example.X, j, axis=1))

            def deviance(x: FloatArray, model: Example = without) -> float:
                sigma = float(np.exp(x[-1])) if known is None else known
                return dense(model, x[: example.parameters], sigma, "ML")

            x = np.append(fit.theta, np.log(fit.sigma))[: example.parameters + (known is None)]
            found = [minimize(deviance, x + push, method="Nelder-Mead",
                              options={"xatol": 1e-9, "fatol": 1e-11, "maxfev": 20_000}).fun
                     for push in (0.0, 0.1)]  # fmt: skip
            rise = min(found) - fit.criterion
            assert_allclose(np.sqrt(rise), ndtri(0.95), rtol=0, atol=1e-6, err_msg=coefficient)


# ---- closed forms ----


def test_a_linear_model_has_closed_forms() -> None:
    fit = ms.lmm(SLEEP.reaction, ms.linear(days=SLEEP.days), method="ML")
    profile = fit.profile()
    n, p = 180, 2
    slope = profile["days"]
    t = (slope.value - fit.beta[1]) / (fit.se[1] * np.sqrt(n / (n - p)))  # se by ML has n
    # d(v) - d = n log(1 + t^2 / (n - p))
    expected = np.sign(t) * np.sqrt(n * np.log1p(t**2 / (n - p)))
    assert_allclose(slope.zeta, expected, rtol=1e-7, atol=1e-9)
    ratio = fit.sigma**2 / profile["sigma"].value ** 2
    # d(sigma) - d = n (ratio - 1 - log ratio)
    expected = np.sign(1 - ratio) * np.sqrt(n * np.maximum(ratio - 1 - np.log(ratio), 0))
    assert_allclose(profile["sigma"].zeta, expected, rtol=1e-7, atol=1e-6)


def test_a_restricted_profile_of_sigma_has_n_minus_p() -> None:
    fit = ms.lmm(SLEEP.reaction, ms.linear(days=SLEEP.days))
    profile = fit.profile("REML")
    assert profile.names == ["sigma"]
    ratio = fit.sigma**2 / profile["sigma"].value ** 2
    expected = np.sign(1 - ratio) * np.sqrt(178 * np.maximum(ratio - 1 - np.log(ratio), 0))
    assert_allclose(profile["sigma"].zeta, expected, rtol=1e-7, atol=1e-6)


def test_where_the_slopes_have_no_variance_the_rise_is_the_likelihood_ratio() -> None:
    fit = ms.lmm_formula(SLOPES, SLEEP)
    # 42.1393, the change of -2 log-likelihood without slopes: lme4 1.1.31, anova() of two ML fits
    far = fit.confint(1 - 1e-11)
    assert far["sd days | subject"][0] == 0
    (note,) = (note for note in far.notes if note.startswith("sd days | subject: the lower"))
    assert "zeta comes to 6.49 only, not 6.81" in note
    assert_allclose(6.49, np.sqrt(42.1393), atol=0.005)
    # and there the correlation may be any
    assert far["corr days, (Intercept) | subject"] == (-1, 1)


# ---- shape ----


def test_a_path_rises_through_the_estimate_in_even_steps(sleep: Profile) -> None:
    for name, estimate in zip(sleep.names, sleep.estimate, strict=True):
        path = sleep[name]
        (at,) = np.flatnonzero(path.zeta == 0)
        assert path.value[at] == pytest.approx(estimate, rel=1e-12)
        assert np.all(np.diff(path.value) > 0)
        assert np.all(np.diff(path.zeta) > 0)
        assert np.diff(path.zeta).max() < 0.9
        assert path.zeta[0] < -4
        assert path.zeta[-1] > 4 or (path.value[-1] == 1 and "range" in path.upper)
    assert sleep["corr days, (Intercept) | subject"].value[-1] == 1
    assert sleep["sigma"].lower == sleep["sigma"].upper == ""


def test_estimates_are_those_of_the_ml_fit(sleep: Profile) -> None:
    names, values = parameters(ms.lmm_formula(SLOPES, SLEEP, method="ML"))
    assert sleep.names == names
    assert_allclose(sleep.estimate, values, rtol=1e-10)
    assert sleep.likelihood == "ML"
    assert sleep.notes == ()


def test_levels_are_nested(sleep: Profile) -> None:
    wide = sleep.confint(0.99)
    for level in (0.5, 0.8, 0.95):
        narrow = sleep.confint(level)
        assert np.all(wide.lower < narrow.lower)
        assert np.all(narrow.lower < sleep.estimate)
        assert np.all(sleep.estimate < narrow.upper)
        assert np.all(narrow.upper < wide.upper)


def test_ends_do_not_depend_on_the_path(sleep: Profile) -> None:
    fit = ms.lmm_formula(SLOPES, SLEEP)
    short = fit.confint(0.5)  # its paths end at 0.67
    assert_allclose(short.lower, sleep.confint(0.5).lower, rtol=1e-6)
    assert_allclose(short.upper, sleep.confint(0.5).upper, rtol=1e-6)


def test_profile_as_a_data_frame(sleep: Profile) -> None:
    frame = sleep.to_pandas()
    assert list(frame.columns) == ["parameter", "value", "zeta"]
    days = frame[frame.parameter == "days"]
    assert_array_equal(days.value, sleep["days"].value)
    assert repr(sleep) == "<Profile of 6 parameters, likelihood: ML>"
    with pytest.raises(ValueError, match="read-only"):
        sleep["days"].value[0] = 0.0


# ---- units, origins, engines ----


def test_units_and_origins_do_not_matter(sleep: Profile) -> None:
    expected = sleep.confint()
    for scale in (-1e-6, 1e6):
        y = scale * SLEEP.reaction
        terms = ms.linear(days=SLEEP.days), ms.group(subject=SLEEP.subject, days=SLEEP.days)
        scaled = ms.lmm(y, *terms).confint()
        for name in expected.names[:4]:
            unit = 1.0 if name.startswith("corr") else abs(scale)
            assert_allclose(np.array(scaled[name]) / unit, expected[name], rtol=2e-6)
        for name in expected.names[4:]:
            assert_allclose(np.sort(np.array(scaled[name]) / scale), expected[name], rtol=2e-6)
    # days of the years from 2000 on: intercept and slope are correlated to 1 - 1e-11
    year = 2000 + SLEEP.days / 1000
    far = ms.lmm(
        SLEEP.reaction, ms.linear(days=year), ms.group(subject=SLEEP.subject, days=year)
    ).confint()
    for name in ("sd days | subject", "sigma", "days"):
        unit = 1.0 if name == "sigma" else 1000.0
        assert_allclose(np.array(far[name]) / unit, expected[name], rtol=1e-5)


def test_the_order_of_rows_and_effects_does_not_matter(sleep: Profile) -> None:
    order = np.random.default_rng(4).permutation(180)
    days, subject = SLEEP.days[order], SLEEP.subject[order]
    terms = ms.linear(days=days), ms.group(subject=subject, days=days)
    shuffled = ms.lmm(SLEEP.reaction[order], *terms).confint()
    assert_allclose(shuffled.lower, sleep.confint().lower, rtol=1e-6)
    assert_allclose(shuffled.upper, sleep.confint().upper, rtol=1e-6)


@pytest.mark.parametrize("name", ["crossed"])
def test_the_sparse_engine_has_the_same_profiles(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = EXAMPLES[name].fit().confint(0.9)
    monkeypatch.setattr(problem, "DENSE_TAIL", 0)
    fit = EXAMPLES[name].fit()
    assert fit.problem.engine.__name__.endswith("sparse")
    sparse = fit.confint(0.9)
    assert_allclose(sparse.lower, blocked.lower, rtol=1e-5)
    assert_allclose(sparse.upper, blocked.upper, rtol=1e-5)


def test_rows_left_out_had_never_been_there() -> None:
    import pandas as pd

    frame = pd.DataFrame(
        {"reaction": SLEEP.reaction, "days": SLEEP.days, "subject": SLEEP.subject},
        index=np.arange(180)[::-1],
    )
    frame.iloc[[3, 50], 0] = np.nan
    dropped = ms.lmm_formula(SLOPES, frame, missing="drop").confint()
    without = ms.lmm_formula(SLOPES, frame.dropna()).confint()
    assert_array_equal(dropped.lower, without.lower)
    assert_array_equal(dropped.upper, without.upper)


# ---- boundaries ----


def test_a_correlation_keeps_its_sign() -> None:
    # Where the effects are the same up to sign, only an sd of zero lies between 1 and -1: there
    # the deviance is that of the smaller model, and no correlation matters.
    example = EXAMPLES["singular slopes"]
    fit = example.fit("ML")
    path = fit.profile()["corr x, (Intercept) | f"]
    labels, covariate = example.random[0].codes, example.random[0].slopes["x"]  # type: ignore[union-attr]
    linear, f = ms.linear(x=covariate), ms.group(f=labels)
    x = ms.group(f=labels, x=covariate, intercept=False)
    smaller = min(ms.lmm(example.y, linear, term, method="ML").criterion for term in (f, x))
    assert_allclose(path.zeta[0], -np.sqrt(smaller - fit.criterion), rtol=1e-5)


@pytest.mark.parametrize(
    ("seed", "which", "name", "side", "level"),
    [(56, 2, "sd x | g", 1, 0.99), (0, 5, "x", 0, 0.95)],
)
def test_beside_a_singular_covariance_there_may_be_a_lower_minimum(
    seed: int, which: int, name: str, side: int, level: float
) -> None:
    # estimates with a correlation of 1; away from them the least deviance is at another
    rng = np.random.default_rng(seed)
    n, m = int(rng.integers(18, 40)), int(rng.integers(3, 8))
    g = np.concatenate([np.arange(m), rng.integers(0, m, n - m)])
    h = np.concatenate([np.arange(4), rng.integers(0, 4, n - 4)])
    x = rng.normal(size=n)
    w = rng.choice([1.0, 2.0, 4.0], n) if seed % 5 == 0 else np.ones(n)
    s = rng.choice([0, 0.2, 0.7, 1.5], 3)
    y = 1 + 0.5 * x + s[0] * rng.normal(size=m)[g] + s[1] * x * rng.normal(size=m)[g]
    y += s[2] * rng.normal(size=4)[h] + rng.normal(size=n) / np.sqrt(w)
    fit = ms.lmm(y, ms.linear(x=x), ms.group(g=g, x=x), weights=w, method="ML")
    end = fit.confint(level)[name][side]
    X, root = np.column_stack([np.ones(n), x]), np.sqrt(w)[:, None]
    Z = intercept_slope_columns(g, x)[0]
    # rows of weight w, times its root, have the variance sigma^2
    data = root[:, 0] * y, root * X, root * Z
    least = min(profile_deviance(which, end, *data, 2, [sd, -0.6, 0.5, 1.0]) for sd in (0.3, 2.0))
    rise = least - np.log(w).sum() - fit.criterion
    assert_allclose(np.sqrt(rise), ndtri((1 + level) / 2), rtol=0, atol=1e-5)


def test_a_correlation_with_a_variance_of_zero_is_not_defined() -> None:
    rng = np.random.default_rng(8)
    g, x = np.repeat(np.arange(8), 6), np.tile([-5.0, -3, -1, 1, 3, 5], 8)
    noise = rng.normal(size=(8, 6))
    y = rng.normal(size=8)[g] * x + (noise - noise.mean(axis=1, keepdims=True)).ravel()
    fit = ms.lmm(y, ms.linear(x=x), ms.group(g=g, x=x), method="ML")
    assert fit.random["g"].sd[0] == 0
    profile = fit.profile()
    name = "corr x, (Intercept) | g"
    assert len(profile[name].value) == 0
    intervals = profile.confint()
    assert np.all(np.isnan(intervals[name]))
    assert f"{name}: a correlation is not defined where a variance is zero" in intervals.notes
    lower, upper = intervals["sd (Intercept) | g"]
    assert lower == 0 < upper
    assert "sd (Intercept) | g: the lower end is 0, as the estimate is there" in intervals.notes
    alone = ms.lmm(y, ms.linear(x=x), ms.group(g=g, x=x, correlated=False), method="ML").confint()
    assert_allclose(intervals["sigma"], alone["sigma"], rtol=1e-3)


def test_a_lower_deviance_is_told_and_used(sleep: Profile) -> None:
    held = ms.lmm_formula(SLOPES, SLEEP, method="ML").refit(theta=[1.0, 0.0, 0.3])
    profile = held.profile()
    (note,) = profile.notes
    assert note.startswith("The deviance is lower at other parameters than at those of the fit")
    assert_allclose(profile.estimate, sleep.estimate, rtol=1e-4)
    intervals = profile.confint()
    assert note in intervals.notes
    assert_allclose(intervals.lower, sleep.confint().lower, rtol=1e-5)


def two_minima(seed: int) -> ms.Fit:
    """Two periods of a sine in much noise: its curve is wiggly, or else nothing but a line."""
    t = np.arange(20) / 19
    y = np.sin(4 * np.pi * t) + 0.8 * np.random.default_rng(seed).normal(size=20)
    return ms.lmm(y, ms.smooth(t=t, basis="cr", k=12), method="ML")


def test_a_profile_that_falls_again_is_told() -> None:
    profile = two_minima(1).profile()
    path = profile["sd s(t)"]
    assert path.value[0] == 0
    assert path.zeta[0] > path.zeta[1] + 0.01
    (note,) = profile.notes
    assert note.startswith("sd s(t): the deviance falls again on its way outward")
    intervals = profile.confint()
    assert note in intervals.notes
    assert intervals["sd s(t)"][0] == 0


def test_a_path_goes_over_to_a_lower_minimum() -> None:
    fit = two_minima(45)
    (term,) = fit.problem.factors
    n, zeta = fit.n, {}
    intervals = fit.confint()
    # the columns that the fit has, all of them, against a grid over theta
    Z = np.zeros((n, term.shape.k))
    for a, effect in enumerate(term.effects):
        Z[:, a] = effect
    for name, end in (("(Intercept)", 0), ("(Intercept)", 1), ("s(t)", 1)):
        j, v = fit.names.index(name), intervals[name][end]
        K = fit.problem.K
        X = fit.problem.X @ np.linalg.inv(K)
        y, rest = fit.model.y - v * X[:, j], np.delete(X, j, axis=1)

        def deviance(theta: float, y: FloatArray = y, rest: FloatArray = rest) -> float:
            L = np.linalg.cholesky(np.eye(n) + theta**2 * Z @ Z.T)
            q, _ = np.linalg.qr(np.linalg.solve(L, rest))
            r = np.linalg.solve(L, y)
            r = r - q @ (q.T @ r)
            log_det = 2 * np.log(np.diag(L)).sum()
            return float(log_det + n * (1 + np.log(2 * np.pi * (r @ r) / n)))

        on_grid = min(deviance(theta) for theta in [0.0, *np.geomspace(1e-3, 1e3, 3001)])
        zeta[name, end] = np.sqrt(on_grid - fit.criterion)
    # a step of the grid is half a percent, and the deviance at its best is flat
    assert_allclose(list(zeta.values()), ndtri(0.975), rtol=0, atol=1e-4)


# ---- refusals ----


def test_what_has_no_likelihood_is_refused() -> None:
    volvo = ms.load_volvo()
    gcv = ms.lmm(volvo.wear, ms.smooth(size=volvo.size, basis="cr", k=9), method="GCV")
    for ask in (gcv.profile, gcv.confint):
        with pytest.raises(ValueError, match=r'by GCV has no likelihood; use fit.refit\("REML"\)'):
            ask()
    epil = ms.load_epil()
    terms = ms.linear(lbase=epil.lbase), ms.group(subject=epil.subject)
    pql = ms.glmm(epil.y, *terms, method="pql")
    with pytest.raises(ValueError, match=r'by PQL has no likelihood; use fit.refit\("laplace"\)'):
        pql.profile()
    with pytest.raises(ValueError, match='likelihood "REML" is that of lmm; a generalized model'):
        pql.refit("laplace").profile("REML")


def test_arguments_are_checked(sleep: Profile) -> None:
    with pytest.raises(ValueError, match="name 'day' is no parameter of the fit; it has sd"):
        sleep["day"]
    with pytest.raises(ValueError, match="level"):
        sleep.confint(1.0)
    fit = ms.lmm_formula(SLOPES, SLEEP)
    with pytest.raises(ValueError, match="likelihood"):
        fit.profile("reml")  # type: ignore[arg-type]
