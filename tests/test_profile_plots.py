"""Figures of profiles: what they draw, and what they refuse."""

from collections.abc import Iterator

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import ndtr, ndtri

import mixedsmooth as ms
from mixedsmooth import plots
from mixedsmooth.inference.profile import Profile

mpl.use("Agg")


@pytest.fixture(scope="module")
def profile() -> Profile:
    fit = ms.lmm_formula("reaction ~ days + (days | subject)", ms.load_sleepstudy())
    return fit.profile()


@pytest.fixture(autouse=True)
def _book_style_and_no_figure_left() -> Iterator[None]:
    with mpl.rc_context():
        plots.style()
        yield
        plt.close("all")


def test_zeta_has_a_panel_for_each_parameter(profile: Profile) -> None:
    axes = plots.profile_zeta(profile)
    assert [ax.get_xlabel().replace("\n", " ") for ax in axes] == profile.names
    for name, ax in zip(profile.names, axes, strict=True):
        _, tangent, curve, *ends = ax.get_lines()
        v, zeta = np.asarray(curve.get_xdata()), np.asarray(curve.get_ydata())
        assert_allclose(np.interp(profile[name].value, v, zeta), profile[name].zeta, atol=0.02)
        # the straight line touches the curve at the estimate
        line = np.asarray(tangent.get_ydata())
        near = np.abs(zeta) < 0.3
        assert_allclose(line[near], zeta[near], atol=0.05)
        marks = np.array([np.asarray(end.get_xydata())[-1] for end in (ends[1], ends[3])])
        assert_allclose(marks[:, 0], profile.confint()[name], rtol=1e-6)
        assert_allclose(marks[:, 1], ndtri([0.025, 0.975]))


def test_names_are_a_list(profile: Profile) -> None:
    with pytest.raises(ValueError, match=r"names must be a list, such as \['days'\]"):
        plots.profile_zeta(profile, "days")


def test_an_end_that_is_not_reached_is_not_marked(profile: Profile) -> None:
    (ax,) = plots.profile_zeta(profile, ["corr days, (Intercept) | subject"], level=0.998)
    assert len(ax.get_lines()) == 3 + 2  # the lower end alone


def test_density_integrates_to_what_zeta_covers(profile: Profile) -> None:
    for name, ax in zip(profile.names, plots.profile_density(profile), strict=True):
        curve = ax.get_lines()[0]
        v, density = np.asarray(curve.get_xdata()), np.asarray(curve.get_ydata())
        low, high = profile[name].zeta[[0, -1]]
        area = np.sum((density[1:] + density[:-1]) / 2 * np.diff(v))
        assert_allclose(area, ndtr(high) - ndtr(low), atol=2e-4)
        assert density.min() >= 0
    assert ndtr(profile["corr days, (Intercept) | subject"].zeta[-1]) < 0.999


def test_given_axes_and_names(profile: Profile) -> None:
    _, (left, right) = plt.subplots(1, 2)
    axes = plots.profile_density(profile, ["sigma", "days"], [left, right])
    assert axes == [left, right]
    assert left.get_xlabel() == "sigma"
    with pytest.raises(ValueError, match="axes must have one for each of the 1 panels, found 2"):
        plots.profile_zeta(profile, ["sigma"], [left, right])
    with pytest.raises(ValueError, match="name 'tau' is no parameter of the fit"):
        plots.profile_zeta(profile, ["tau"])
    with pytest.raises(ValueError, match="names is empty"):
        plots.profile_density(profile, [])
    with pytest.raises(ValueError, match="level"):
        plots.profile_zeta(profile, level=1.0)
    for draw in (plots.profile_zeta, plots.profile_density):
        with pytest.raises(ValueError, match=r"what fit.profile\(\) returns, found 'sigma'"):
            draw("sigma")  # type: ignore[arg-type]


def test_an_empty_path_is_left_out() -> None:
    rng = np.random.default_rng(8)
    g, x = np.repeat(np.arange(8), 6), np.tile([-5.0, -3, -1, 1, 3, 5], 8)
    noise = rng.normal(size=(8, 6))
    y = rng.normal(size=8)[g] * x + (noise - noise.mean(axis=1, keepdims=True)).ravel()
    profile = ms.lmm(y, ms.linear(x=x), ms.group(g=g, x=x)).profile()
    name = "corr x, (Intercept) | g"
    assert len(plots.profile_zeta(profile)) == len(profile.names) - 1
    with pytest.raises(ValueError, match="has no path: a correlation is not defined"):
        plots.profile_density(profile, [name])
