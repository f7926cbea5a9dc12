"""What one group changes, and whether a basis has room: against R, by hand, and where it ends."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import mixedsmooth as ms
from mixedsmooth.inference.diagnostics import Influence, scaled_residuals
from mixedsmooth.inference.parameters import parameters

SLEEP, EPIL, PASTES = ms.load_sleepstudy(), ms.load_epil(), ms.load_pastes()
MCYCLE, BACTERIA, DYESTUFF = ms.load_mcycle(), ms.load_bacteria(), ms.load_dyestuff()
SLOPES = "reaction ~ days + (days | subject)"


def row(found: Influence, level: str) -> int:
    return int(np.flatnonzero(found.levels == level)[0])


# ---- residuals ----


def test_driver_332_is_five_standard_deviations_off() -> None:
    # R 4.2.2, lme4 1.1.31: r <- residuals(m) / sigma(m); r[which.max(abs(r))],
    # sleepstudy[which.max(abs(r)), ]
    r = scaled_residuals(ms.lmm_formula(SLOPES, SLEEP))
    worst = int(np.abs(r).argmax())
    assert (worst, SLEEP.subject[worst], SLEEP.days[worst]) == (56, "332", 6)
    assert_allclose(r[worst], 5.179260373, rtol=1e-5)


def test_scaled_residuals_have_the_scale_of_their_model() -> None:
    w = np.tile([1.0, 4.0], 90)
    fit = ms.lmm_formula(SLOPES, SLEEP, weights=w)
    expected = (SLEEP.reaction - fit.fitted) * np.sqrt(w) / fit.sigma
    assert_allclose(scaled_residuals(fit), expected, rtol=1e-12)
    counts = ms.glmm_formula("y ~ lbase + (1 | subject)", EPIL)
    assert_array_equal(scaled_residuals(counts), counts.pearson)
    # as a quasi-likelihood the variance is sigma^2 mu
    quasi = ms.glmm(
        EPIL.y,
        ms.linear(lbase=EPIL.lbase),
        ms.group(subject=EPIL.subject),
        method="pql",
        dispersion=True,
    )
    assert quasi.sigma > 1.3
    expected = (EPIL.y - quasi.fitted) / (quasi.sigma * np.sqrt(quasi.fitted))
    assert_allclose(scaled_residuals(quasi), expected, rtol=1e-9)
    # and a gamma has sigma in its standard deviation, mu / sqrt(shape)
    times = ms.glmm(SLEEP.reaction, ms.group(subject=SLEEP.subject), family="gamma", method="pql")
    expected = (SLEEP.reaction - times.fitted) / (times.fitted * times.sigma)
    assert_allclose(scaled_residuals(times), expected, rtol=1e-6)


# ---- influence ----


def test_influence_of_drivers_is_that_of_lme4() -> None:
    # R 4.2.2, lme4 1.1.31, with xtol_abs 1e-12: update(m, data = subset(sleepstudy, Subject != l)),
    # the deviations by as.data.frame(VarCorr()); Cook's distance d' vcov(m)^-1 d / 2, which is
    # cooks.distance(influence(m, "Subject")) without its factor (18 - 2) / 18; and
    # -dfbetas(influence(m, "Subject")), as lme4 subtracts the other way round
    found = ms.lmm_formula(SLOPES, SLEEP).influence("subject")
    at = [row(found, level) for level in ("309", "332", "337")]
    beta = [[254.1315848, 10.94996246], [250.6494278, 10.52025761], [249.1286918, 9.963833725]]
    assert_allclose(found.beta[at], beta, rtol=1e-8)
    sds = [  # sd of intercepts, their correlation with slopes, sd of slopes, sigma
        [22.59672714, -0.118466181071, 5.735431575, 26.24559527],
        [26.75175681, -0.006264412297, 6.315378954, 21.80194163],
        [23.61078836, -0.094105471545, 5.712657181, 26.03457916],
    ]
    # both searches end where a step lowers a deviance of 1700 by less than 1e-6
    assert_allclose(found.without[at][:, :4], sds, rtol=1e-4, atol=1e-4)
    assert_allclose(found.cook[at], [0.148523397702, 0.006315102044, 0.125996279764], rtol=3e-5)
    dfbetas = [[-0.4108749, -0.3098969], [0.1050428, -0.0323276], [0.3335874, 0.3247750]]
    assert_allclose(found.dfbetas[at], dfbetas, rtol=1e-4)
    assert found.levels[found.cook.argmax()] == "309"
    assert found.converged.all()
    assert not found.failed


def test_influence_on_counts_is_that_of_lme4() -> None:
    # R 4.2.2, lme4 1.1.31: update(glmer(y ~ lbase + trt + (1 | subject), epil, poisson)) without
    # a patient, bobyqa with rhoend 1e-9, which leaves three to four digits of beta
    found = ms.glmm_formula("y ~ lbase + trt + (1 | subject)", EPIL).influence("subject")
    at = [row(found, "49"), row(found, "25")]
    beta = [
        [1.8069952904, 0.9365353038, -0.3704692158],
        [1.7646068021, 0.9810655279, -0.2886777737],
    ]
    assert_allclose(found.beta[at], beta, rtol=5e-4)
    assert found.names[0] == "sd (Intercept) | subject"
    assert_allclose(found.without[at, 0], [0.5040571228, 0.5085804516], rtol=5e-4)
    assert_allclose(found.cook[at], [0.231219828, 0.07366577067], rtol=5e-3)


def test_influence_with_crossed_factors_ends_at_zero_where_lme4_does() -> None:
    # R 4.2.2, lme4 1.1.31: lmer(strength ~ 1 + (1 | batch) + (1 | cask), Pastes) without A, H
    fit = ms.lmm_formula("strength ~ 1 + (1 | batch) + (1 | cask)", PASTES)
    found = fit.influence("batch")
    at = [row(found, "A"), row(found, "H")]
    expected = [
        [1.7742957905, 0.4514452308, 2.8203100612, 59.80740741],
        [1.626289179, 0.0, 2.690057312, 59.71296296],
    ]
    assert_allclose(found.without[at], expected, rtol=1e-4, atol=1e-12)
    assert fit.influence("cask").levels.tolist() == ["a", "b", "c"]


OTHERS: dict[str, Callable[[Any], ms.Fit]] = {
    "weights": lambda d: ms.lmm_formula(
        "reaction ~ days + (1 | subject)", d, weights=1 + np.arange(len(d)) % 3
    ),
    "ML, known sigma": lambda d: ms.lmm_formula(
        "reaction ~ days + (1 | subject)", d, sigma=30.0, method="ML"
    ),
    "an offset": lambda d: ms.lmm_formula(
        "reaction ~ 1 + offset(10 * days) + (1 | subject)", d, offset=np.arange(len(d)) % 2
    ),
    "a fixed factor": lambda d: ms.lmm_formula("reaction ~ half + (1 | subject)", d),
    "slopes without correlation": lambda d: ms.lmm_formula(
        "reaction ~ days + (days || subject)", d
    ),
}


@pytest.mark.parametrize("fit", OTHERS.values(), ids=OTHERS)
def test_leaving_a_level_out_is_fitting_without_its_rows(fit: Callable[[Any], ms.Fit]) -> None:
    data = pd.DataFrame({name: SLEEP[name] for name in SLEEP})
    data["half"] = np.where(data.days > 4, "late", "early")
    found = fit(data).influence("subject")
    names, estimate = parameters(fit(data))
    assert found.names == names
    assert_array_equal(found.estimate, estimate)
    for level in ("308", "335"):
        # a multiple of three and of two, so that weights and offset go on in the same way
        rows = np.flatnonzero(data.subject != level)
        whole = fit(data)
        kept = {
            name: None if values is None else values[rows]
            for name, values in (("w", whole.model.weights), ("o", whole.model.offset))
        }
        terms = {"w": "weights", "o": "offset"}
        other = _again(whole, data.iloc[rows], {terms[k]: v for k, v in kept.items()})
        found_row = found.without[row(found, level)]
        assert_allclose(found_row, parameters(other).values, rtol=2e-5, atol=1e-5)
        change = whole.beta - other.beta
        cook = change @ np.linalg.inv(whole.cov_beta) @ change / len(change)
        assert_allclose(found.cook[row(found, level)], cook, rtol=1e-4)
        assert_allclose(found.dfbetas[row(found, level)], change / other.se, rtol=1e-4, atol=1e-7)


def _again(fit: ms.Fit, data: pd.DataFrame, given: dict[str, Any]) -> ms.Fit:
    assert fit.formula is not None
    return ms.lmm_formula(fit.formula, data, sigma=fit.model.sigma, method=fit.method, **given)


FAMILIES: dict[str, Callable[[Any], ms.GeneralizedFit]] = {
    "bernoulli": lambda d: ms.glmm_formula("y ~ week + (1 | id)", d, family="bernoulli"),
    "pql": lambda d: ms.glmm_formula("y ~ week + (1 | id)", d, family="bernoulli", method="pql"),
    "agq": lambda d: ms.glmm_formula(
        "y ~ week + (1 | id)", d, family="bernoulli", method="agq", nodes=7
    ),
    "binomial": lambda d: ms.glmm_formula(
        "cbind(twice, trials - twice) ~ week + (1 | id)", d, family="binomial"
    ),
}


@pytest.mark.parametrize("fit", FAMILIES.values(), ids=FAMILIES)
def test_influence_in_every_family_is_fitting_again(
    fit: Callable[[Any], ms.GeneralizedFit],
) -> None:
    data = pd.DataFrame({name: BACTERIA[name] for name in BACTERIA})
    data = data[data.id.isin(data.id.unique()[:14])].reset_index(drop=True)
    data["trials"] = 2 + np.arange(len(data)) % 3
    data["twice"] = data.y * 2
    found = fit(data).influence("id")
    level = data.id.iloc[0]
    other = fit(data[data.id != level])
    expected = parameters(other).values
    assert_allclose(found.without[row(found, level)], expected, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("family", ["negative-binomial", "gamma", "inverse-gaussian"])
def test_a_size_or_a_shape_is_estimated_anew(family: Any) -> None:
    data = pd.DataFrame({"y": EPIL.y + (family != "negative-binomial"), "g": EPIL.subject})
    data = data[data.g.isin(np.unique(EPIL.subject)[:20])]
    fit = ms.glmm_formula("y ~ 1 + (1 | g)", data, family=family)
    found = fit.influence("g")
    level = data.g.iloc[0]
    other = ms.glmm_formula("y ~ 1 + (1 | g)", data[data.g != level], family=family)
    assert found.names[1] in ("size", "shape")
    assert_allclose(
        found.without[row(found, level)], parameters(other).values, rtol=1e-3, atol=2e-4
    )


def test_rows_that_were_left_out_stay_out() -> None:
    data = pd.DataFrame({name: SLEEP[name] for name in SLEEP})
    holes = data.copy()
    holes.loc[[3, 40, 41], "reaction"] = np.nan
    index = [f"row {i}" for i in range(180)]
    holes.index = pd.Index(index)
    found = ms.lmm_formula(SLOPES, holes, missing="drop").influence("subject")
    expected = ms.lmm_formula(SLOPES, data.drop([3, 40, 41])).influence("subject")
    assert_allclose(found.without, expected.without, rtol=1e-10)


def test_units_and_origins_do_not_matter() -> None:
    found = ms.lmm_formula(SLOPES, SLEEP).influence("subject")
    moved = {
        "reaction": SLEEP.reaction / 1000,
        "days": SLEEP.days / 7 + 2000,
        "subject": SLEEP.subject,
    }
    other = ms.lmm_formula(SLOPES, moved).influence("subject")
    # of beta the intercept is another one, two thousand weeks away
    assert_allclose(other.cook, found.cook, rtol=1e-3)
    assert_allclose(other.dfbetas[:, 1], found.dfbetas[:, 1], rtol=1e-3, atol=1e-5)


def test_a_level_that_carries_a_column_is_reported() -> None:
    rng = np.random.default_rng(1)
    g = np.repeat(list("abcdef"), 8)
    treated = np.where(g == "c", "yes", "no")
    y = rng.normal(size=48) + (g == "c") + np.repeat(rng.normal(size=6), 8)
    found = ms.lmm(y, ms.linear(treated=treated), ms.group(g=g)).influence("g")
    assert list(found.failed) == ["c"]
    assert "rank 1" in found.failed["c"]
    at = row(found, "c")
    assert np.isnan(found.cook[at])
    assert np.isnan(found.without[at]).all()
    assert np.isfinite(np.delete(found.cook, at)).all()
    assert "Not without c: X has 2 columns but rank 1" in str(found)
    assert "Not converged" not in str(found)
    assert "Not without c" in found._repr_html_()
    frame = found.to_pandas()
    assert frame.index.name == "g"
    assert frame["cook"].isna().tolist() == [level == "c" for level in "abcdef"]


def test_a_factor_that_would_have_one_level_is_reported() -> None:
    rng = np.random.default_rng(2)
    a, b = np.repeat(["p", "q", "r"], 12), np.repeat(["u", "v"], 18)
    b[a == "q"] = "u"  # v is in r alone
    b[a == "r"] = "v"
    y = rng.normal(size=36) + np.repeat(rng.normal(size=3), 12)
    found = ms.lmm(y, ms.group(a=a), ms.group(b=b)).influence("a")
    assert found.failed == {"r": "b has one level only: a random effect needs two groups"}


def test_curves_and_their_levels_can_be_left_out() -> None:
    by = {"subject": SLEEP.subject}
    shared = ms.smooth(days=SLEEP.days, by=by, shared=True, basis="cr", k=5)
    lines = ms.group(subject=SLEEP.subject, days=SLEEP.days)
    fit = ms.lmm(SLEEP.reaction, ms.smooth(days=SLEEP.days, basis="cr", k=5), lines, shared)
    found = fit.influence("subject")
    assert found.converged.all()
    assert np.isfinite(found.cook).all()


def test_the_print_says_what_is_largest() -> None:
    found = ms.lmm_formula("grams ~ 1 + (1 | batch)", DYESTUFF).influence("batch")
    caption, header, everything, *rows = str(found).splitlines()
    assert caption.startswith("Without one level of batch: Cook's distance")
    assert header.split() == ["batch", "Cook", "(Intercept)", "sigma"]
    assert everything.split() == ["(all)", "49.51"]
    assert [line.split()[0] for line in rows] == [
        str(level) for level in found.levels[np.argsort(-found.cook)]
    ]
    assert repr(found) == "<Influence of 6 levels of batch>"
    assert "<td" in found._repr_html_()
    many = ms.glmm_formula("y ~ lbase + (1 | subject)", EPIL).influence("subject")
    assert len(str(many).splitlines()) == 23  # no sigma, and the first twenty of 59
    assert "the first 20 of 59" in str(many)
    frame = many.to_pandas()
    assert list(frame) == [
        "cook",
        "dfbetas (Intercept)",
        "dfbetas lbase",
        "sd (Intercept) | subject",
        "(Intercept)",
        "lbase",
    ]
    assert_array_equal(frame["lbase"], many.beta[:, 1])


def test_arrays_are_read_only() -> None:
    found = ms.lmm_formula("grams ~ 1 + (1 | batch)", DYESTUFF).influence("batch")
    for array in (found.estimate, found.without, found.dfbetas, found.cook, found.converged):
        assert not array.flags.writeable


@pytest.mark.parametrize(
    ("message", "wrong"),
    [
        ("factor must be 'subject', found 'days'|factor must be", lambda f: f.influence("days")),
        ("factor must be", lambda f: f.influence(0)),
    ],
)
def test_unknown_factors_are_told(message: str, wrong: Callable[[ms.Fit], object]) -> None:
    with pytest.raises(ValueError, match=message):
        wrong(ms.lmm_formula(SLOPES, SLEEP))


def test_models_without_enough_groups_are_told() -> None:
    curve = ms.lmm_formula('accel ~ s(time, bs="cr", k=9)', MCYCLE)
    with pytest.raises(ValueError, match="no grouping factor"):
        curve.influence("s(time)")
    with pytest.raises(ValueError, match="no grouping factor"):
        curve.refit("GCV").influence("time")
    two = ms.lmm(SLEEP.reaction, ms.group(g=np.arange(180) % 2))
    with pytest.raises(ValueError, match=r"g has 2 levels, .* influence needs three"):
        two.influence("g")


# ---- room in a basis ----


@pytest.mark.parametrize(
    ("k", "edf", "index"), [(20, 11.7849041, 1.172402651), (5, 3.818157413, 0.4117144571)]
)
def test_the_index_is_that_of_mgcv(k: int, edf: float, index: float) -> None:
    # R 4.2.2, mgcv 1.8-41: k.check(gam(accel ~ s(times, bs = "cr", k = k), method = "REML",
    # data = mcycle)); its p by 400 permutations are 0.9675 and 0
    check = ms.lmm_formula(f'accel ~ s(time, bs="cr", k={k})', MCYCLE).basis_check(seed=1)
    assert check.names == ["s(time)"]
    assert check.columns.tolist() == [k - 1]
    assert_allclose(check.edf, [edf], rtol=1e-6)
    assert_allclose(check.index, [index], rtol=1e-6)
    # four standard errors of the two shares; 1/1001 is the least that 1000 permutations can give
    assert abs(check.p[0] - (0.9675 if k == 20 else 1 / 1001)) < (0.043 if k == 20 else 1e-12)


def test_the_p_of_noise_is_uniform() -> None:
    rng = np.random.default_rng(3)
    x = np.linspace(0, 1, 40)
    fit = ms.lmm(rng.normal(size=40), ms.smooth(x=x, k=5))
    p = [fit.with_response(rng.normal(size=40)).basis_check(20, seed=i).p[0] for i in range(150)]
    # fitting takes a little of the likeness of neighbors away, which raises p
    assert 0.4 < np.mean(p) < 0.7
    assert np.min(p) >= 1 / 21
    assert np.max(p) <= 1


def test_each_curve_is_checked_on_its_own_rows() -> None:
    rng = np.random.default_rng(4)
    x = np.tile(np.linspace(0, 1, 50), 2)
    g = np.repeat(["a", "b"], 50)
    # neighbors of two curves would be far apart, so that a mixture hides what is left in a
    y = np.where(g == "a", np.sin(40 * x), 0.0) + 0.1 * rng.normal(size=100)
    fit = ms.lmm(y, ms.linear(g=g), ms.smooth(x=x, by={"g": g}, k=5))
    check = fit.basis_check(seed=2)
    assert check.names == ["s(x):g[a]", "s(x):g[b]"]
    r = scaled_residuals(fit)
    for index, level in zip(check.index, "ab", strict=True):
        own = r[g == level]
        assert_allclose(index, np.mean(np.diff(own) ** 2) / 2 / np.mean(own**2), rtol=1e-12)
    assert check.index[0] < 0.4
    assert check.p[0] < 0.01
    shared = ms.lmm(y, ms.group(g=g, x=x), ms.smooth(x=x, by={"g": g}, shared=True, k=5))
    both = shared.basis_check(seed=2)
    r = scaled_residuals(shared).reshape(2, 50)
    assert_allclose(both.index, [np.mean(np.diff(r) ** 2) / 2 / np.mean(r**2)], rtol=1e-12)
    assert both.columns.tolist() == [8]
    assert_allclose(both.edf, [shared.edf["g.1"]])


def test_neighbors_over_two_covariates_are_the_three_nearest() -> None:
    # R 4.2.2, mgcv 1.8-41: r the residuals of gam(nox ~ t2(compression, equivalence, bs = "cr",
    # k = c(5, 8)), method = "REML"), ni <- mgcv:::nearest(3, scale(cbind(equivalence,
    # compression)))$ni, mean((r - r[ni])^2) / 2 / mean(r^2); its k.check scales by slopes instead
    fit = surface_of_ethanol(k=(5, 8))
    check = fit.basis_check(50, seed=1)
    assert check.names == ["t2(compression, equivalence)"]
    assert check.columns.tolist() == [39]
    assert_allclose(check.edf, [17.4975], rtol=1e-5)
    assert_allclose(check.index, [1.12803521512], rtol=1e-6)
    narrow = surface_of_ethanol(k=(3, 3)).basis_check(200, seed=1)
    assert narrow.index[0] < 0.8
    assert_allclose(narrow.p, 1 / 201)


def surface_of_ethanol(k: tuple[int, int]) -> ms.Fit:
    ethanol = ms.load_ethanol()
    columns = {"compression": ethanol.compression, "equivalence": ethanol.equivalence}
    return ms.lmm(ethanol.nox, ms.smooth(columns, basis="t2", k=k))


@pytest.mark.parametrize("shared", [False, True])
def test_neighbors_of_a_surface_are_of_its_level_and_whatever_the_units(shared: bool) -> None:
    rng = np.random.default_rng(8)
    x, z = rng.uniform(size=(2, 60))
    g = np.tile(["a", "b"], 30)
    x[:8:2], z[:8:2] = 3.0, 3.0  # four rows of a at one place
    y = np.sin(9 * x) * z + 0.1 * rng.normal(size=60)

    def check(unit: float, rows: Any) -> Any:
        smooth = ms.smooth(
            x=unit * x[rows], z=z[rows], by={"g": g[rows]}, basis="t2", k=3, shared=shared
        )
        return ms.lmm(y[rows], ms.linear(g=g[rows]), smooth)

    fit = check(1.0, np.arange(60))
    found = fit.basis_check(50, seed=1)
    r = scaled_residuals(fit)
    at = np.column_stack([x / x.std(), z / z.std()])
    apart = []
    for level in "ab":
        own = np.flatnonzero(g == level)
        distance = np.linalg.norm(at[own, None] - at[own], axis=2)
        np.fill_diagonal(distance, np.inf)
        nearest = own[np.argsort(distance, axis=1, kind="stable")[:, :3]]
        apart.append((r[own, None] - r[nearest]) ** 2)
    if shared:
        expected = [np.mean(apart) / 2 / np.mean(r**2)]
    else:
        expected = [
            np.mean(d) / 2 / np.mean(r[g == level] ** 2)
            for d, level in zip(apart, "ab", strict=True)
        ]
    assert_allclose(found.index, expected, rtol=1e-10)
    assert len(found.names) == len(expected)
    assert_allclose(
        found.edf.sum(), sum(edf for term, edf in fit.edf.items() if term != "fixed"), rtol=1e-12
    )
    again = check(1000.0, rng.permutation(60)).basis_check(50, seed=1)
    assert_allclose(again.index, found.index, rtol=1e-4)


def test_many_rows_at_one_place_are_neighbors() -> None:
    rng = np.random.default_rng(9)
    x, z = (np.repeat(each, 12) for each in rng.uniform(size=(2, 10)))
    # at a place all have the same error, and the nearest of a row are others at its place
    y = np.repeat(rng.normal(size=10), 12)
    check = ms.lmm(y, ms.smooth(x=x, z=z, basis="t2", k=3)).refit(theta=[0.0] * 3).basis_check(20)
    assert_allclose(check.index, 0, atol=1e-20)


def test_the_order_of_the_rows_does_not_matter() -> None:
    rng = np.random.default_rng(6)
    x = rng.permutation(80) / 80
    y = np.sin(20 * x) + 0.1 * rng.normal(size=80)
    order = np.argsort(x)
    given = ms.lmm(y, ms.smooth(x=x, k=6)).basis_check(seed=1)
    again = ms.lmm(y[order], ms.smooth(x=x[order], k=6)).basis_check(seed=1)
    assert_allclose(again.index, given.index, rtol=1e-6)
    assert again.p == given.p


def test_the_seed_is_kept_and_gives_the_same_again() -> None:
    fit = ms.lmm_formula("wear ~ s(size, k=9)", ms.load_volvo())
    first = fit.basis_check(50)
    assert fit.basis_check(50, first.seed).p == first.p
    assert fit.basis_check(50).seed != first.seed
    assert isinstance(first.seed, int)


def test_the_check_of_counts_and_of_gcv() -> None:
    counts = ms.glmm_formula("y ~ s(lbase, k=6) + (1 | subject)", EPIL).basis_check(50, seed=1)
    assert counts.columns.tolist() == [5]
    by_gcv = ms.lmm_formula('accel ~ s(time, bs="cr", k=20)', MCYCLE, method="GCV")
    assert by_gcv.basis_check(50, seed=1).index[0] > 1
    frame = counts.to_pandas()
    assert list(frame) == ["k'", "edf", "index", "p"]
    assert frame.index.tolist() == ["s(lbase)"]
    assert str(counts).splitlines()[0].endswith("by 50 permutations of the residuals (seed 1):")
    assert repr(counts) == "<BasisCheck of s(lbase)>"
    assert "<td" in counts._repr_html_()


@pytest.mark.parametrize(
    ("message", "wrong"),
    [
        ("has no smooth", lambda: ms.lmm_formula(SLOPES, SLEEP).basis_check()),
        ("n must be a whole", lambda: smooth().basis_check(n=19)),
        ("n must be a whole", lambda: smooth().basis_check(n=100.0)),  # type: ignore[arg-type]
        ("seed must be a whole", lambda: smooth().basis_check(seed=-1)),
        ("seed must be a whole", lambda: smooth().basis_check(seed="a")),  # type: ignore[arg-type]
    ],
)
def test_bad_checks_are_told(message: str, wrong: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()


def smooth() -> ms.Fit:
    return ms.lmm_formula("wear ~ s(size, k=9)", ms.load_volvo())


def test_an_interrupted_influence_keeps_what_it_has() -> None:
    fit = ms.lmm_formula("reaction ~ days + (days | subject)", ms.load_sleepstudy())
    told = []

    def interrupt(done: int, total: int) -> None:
        told.append((done, total))
        if done == 3:
            raise KeyboardInterrupt

    some, all_levels = fit.influence("subject", progress=interrupt), fit.influence("subject")
    assert told == [(0, 18), (1, 18), (2, 18), (3, 18)]
    assert (len(some.levels), some.asked) == (3, 18)
    assert "Interrupted: 3 of 18 levels" in str(some)
    assert "Interrupted" not in str(all_levels)
    np.testing.assert_array_equal(some.without, all_levels.without[:3])
    np.testing.assert_array_equal(some.cook, all_levels.cook[:3])
