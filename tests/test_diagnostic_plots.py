"""Figures of residuals and effects: what they draw, that it fits, and what they refuse."""

import io
from collections.abc import Callable, Iterator
from typing import Any, cast

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy.stats import norm

import mixedsmooth as ms
from mixedsmooth import plots
from mixedsmooth.inference.diagnostics import scaled_residuals

mpl.use("Agg")

SLEEP, EPIL, PASTES = ms.load_sleepstudy(), ms.load_epil(), ms.load_pastes()
SLOPES = ms.lmm_formula("reaction ~ days + (days | subject)", SLEEP)
COUNTS = ms.glmm_formula("y ~ lbase + (1 | subject)", EPIL)
NESTED = ms.lmm_formula("strength ~ 1 + (1 | batch) + (1 | sample)", PASTES)
CURVE = ms.lmm_formula('accel ~ s(time, bs="cr", k=20)', ms.load_mcycle())

FIGURES: dict[str, Callable[[], Axes | list[Axes]]] = {
    "residuals": lambda: plots.residuals(SLOPES),
    "residuals of counts": lambda: plots.residuals(COUNTS),
    "residuals of a curve": lambda: plots.residuals(CURVE),
    "qq": lambda: plots.qq(SLOPES),
    "qq of counts": lambda: plots.qq(COUNTS),
    "qq, nested": lambda: plots.qq(NESTED),
    "qq of a curve": lambda: plots.qq(CURVE),
    "caterpillar": lambda: plots.caterpillar(SLOPES.random["subject"]),
    "caterpillar of 59": lambda: plots.caterpillar(COUNTS.random["subject"]),
}
each_figure = pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)


@pytest.fixture(autouse=True)
def _book_style_and_no_figure_left() -> Iterator[None]:
    with mpl.rc_context():
        plots.style()
        yield
        plt.close("all")


def xy(line: Any) -> NDArray[np.float64]:
    return np.column_stack([line.get_xdata(), line.get_ydata()])


def panels(drawn: Axes | list[Axes]) -> list[Axes]:
    return [drawn] if isinstance(drawn, Axes) else drawn


@each_figure
def test_no_labels_overlap(draw: Callable[[], Axes | list[Axes]]) -> None:
    figure = panels(draw())[0].figure
    assert figure.get_figwidth() == 6.5  # type: ignore[union-attr]
    figure.canvas.draw()
    boxes: list[tuple[str, Bbox]] = []
    for axes in figure.axes:
        hidden = set()  # labels of ticks outside of the view are not drawn
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            for tick in axis.get_major_ticks():
                if not min(limits) <= tick.get_loc() <= max(limits):
                    hidden |= {tick.label1, tick.label2}
        for text in axes.findobj(Text):
            assert isinstance(text, Text)
            if text.get_visible() and text.get_text() and text not in hidden:
                boxes.append((text.get_text(), Text.get_window_extent(text)))
    assert len(boxes) > len(figure.axes)
    overlapping = [
        (name, other)
        for i, (name, box) in enumerate(boxes)
        for other, other_box in boxes[i + 1 :]
        if Bbox.intersection(box.padded(-0.5), other_box.padded(-0.5)) is not None
    ]
    assert overlapping == []


@each_figure
def test_the_figure_is_the_same_at_every_run(draw: Callable[[], Axes | list[Axes]]) -> None:
    written = []
    for _ in range(2):
        text = io.StringIO()
        panels(draw())[0].figure.savefig(text, format="svg", metadata={"Date": None})  # type: ignore[union-attr]
        written.append(text.getvalue())
        plt.close("all")
    assert written[0] == written[1]


# ---- residuals ----


def test_residuals_are_drawn_with_their_trend_and_spread() -> None:
    ax = plots.residuals(SLOPES)
    _, points, trend, above, below = ax.get_lines()
    assert_array_equal(xy(points), np.column_stack([SLOPES.fitted, scaled_residuals(SLOPES)]))
    assert_allclose(xy(above)[:, 1] - xy(trend)[:, 1], xy(trend)[:, 1] - xy(below)[:, 1])
    box = ax.get_legend()
    assert box is not None
    assert [text.get_text() for text in box.get_texts()] == ["trend", "trend ± spread"]
    assert trend.get_linestyle() != above.get_linestyle()  # and not by color alone


def test_trend_and_spread_are_found() -> None:
    rng = np.random.default_rng(1)
    x = np.sort(rng.uniform(size=600))
    fit = ms.lmm(x + 0.1 * rng.normal(size=600), ms.linear(x=x))
    given = np.sin(3 * np.asarray(fit.fitted)) + (0.2 + x) * rng.normal(size=600)
    ax = plots.residuals(fit, residuals=given)
    _, points, trend, above, _ = ax.get_lines()
    assert_array_equal(xy(points)[:, 1], given)
    at, value = xy(trend).T
    inside = slice(5, -5)
    # 600 rows with noise up to 1.2 about a curve of some 8 degrees of freedom: 0.1, three times
    assert_allclose(value[inside], np.sin(3 * at[inside]), atol=0.3)
    x_at = np.interp(at, np.asarray(fit.fitted), x)
    assert_allclose((xy(above)[:, 1] - value)[inside], 0.2 + x_at[inside], rtol=0.35)


def test_residuals_of_counts_are_over_the_linear_predictor() -> None:
    ax = plots.residuals(COUNTS)
    points = ax.get_lines()[1]
    assert_array_equal(xy(points), np.column_stack([COUNTS.linear_predictor, COUNTS.pearson]))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("linear predictor", "Pearson residual")


def test_few_fitted_values_have_no_trend() -> None:
    fit = ms.lmm(SLEEP.reaction, ms.linear(half=np.where(SLEEP.days > 4, "late", "early")))
    assert len(plots.residuals(fit).get_lines()) == 2
    alone = ms.lmm(SLEEP.reaction)
    assert len(plots.residuals(alone).get_lines()) == 2


def test_one_row_a_group_leaves_a_straight_trend() -> None:
    # a meta-analysis: what shrinkage takes away is in the residual
    y = np.array([28.0, 8, -3, 7, -1, 1, 18, 12])
    fit = ms.lmm(y, ms.group(study=np.arange(8)), sigma=4.0)
    _, points, trend, above, _ = plots.residuals(fit).get_lines()
    x, r = xy(points).T
    line = np.polyfit(x, r, 1)
    assert_allclose(xy(trend)[:, 1], np.polyval(line, xy(trend)[:, 0]), atol=1e-9)
    assert_allclose(xy(above)[:, 1], xy(trend)[:, 1], atol=1e-6)


def test_many_points_are_an_image() -> None:
    rng = np.random.default_rng(1)
    g = np.arange(4000) % 40
    fit = ms.lmm(rng.normal(size=40)[g] + rng.normal(size=4000), ms.group(g=g))
    assert plots.residuals(fit).get_lines()[1].get_rasterized()
    assert not plots.residuals(SLOPES).get_lines()[1].get_rasterized()


# ---- qq ----


def test_a_qq_plot_has_a_panel_for_each_effect() -> None:
    residuals, intercepts, slopes = plots.qq(SLOPES)
    assert residuals.get_title("left") == "residuals"
    r = SLOPES.random["subject"]
    for ax, a in ((intercepts, 0), (slopes, 1)):
        diagonal, points = ax.get_lines()
        spread = np.sqrt(r.cov[a, a] - r.conditional_sd[:, a] ** 2)
        assert_allclose(xy(points)[:, 1], np.sort(r.effects[:, a] / spread), rtol=1e-12)
        assert_array_equal(xy(diagonal)[:, 0], xy(diagonal)[:, 1])
        # medians of order statistics, near the quantiles of (i - 0.3175) / (n + 0.365)
        # (Filliben 1975, Technometrics 17, 111-117), to three digits of the share
        middle = norm.ppf((np.arange(1, 19) - 0.3175) / 18.365)
        assert_allclose(xy(points)[1:-1, 0], middle[1:-1], atol=2e-3)
        assert_allclose(norm.cdf(xy(points)[-1, 0]), 0.5 ** (1 / 18), rtol=1e-12)


def test_the_envelope_holds_each_order_statistic_as_often_as_it_says() -> None:
    # drawn as a polygon: its lower edge, then its upper one backwards
    (ax,) = plots.qq(CURVE, level=0.9)
    polygon = ax.collections[0].get_paths()[0].vertices
    middle = np.asarray(ax.get_lines()[1].get_xdata())
    rng = np.random.default_rng(2)
    n = len(middle)
    draws = np.sort(rng.standard_normal((4000, n)), axis=1)
    for i in (0, 10, n // 2, n - 1):
        ends = np.unique(np.asarray(polygon)[np.isclose(np.asarray(polygon)[:, 0], middle[i]), 1])
        share = np.mean((draws[:, i] >= ends.min()) & (draws[:, i] <= ends.max()))
        # four standard errors of a share of 4000
        assert abs(share - 0.9) < 4 * np.sqrt(0.9 * 0.1 / 4000)


def test_effects_that_are_zero_are_said_to_be() -> None:
    rng = np.random.default_rng(3)
    fit = ms.lmm(rng.normal(size=60), ms.group(g=np.arange(60) % 6)).refit(theta=[0.0])
    _, effects = plots.qq(fit)
    assert [text.get_text() for text in effects.texts] == ["estimated as zero"]


def test_levels_without_rows_of_information_are_left_out() -> None:
    # a slope is unknown where its covariate is always zero
    rng = np.random.default_rng(4)
    g = np.repeat(np.arange(8), 10)
    x = np.where(g == 0, 0.0, np.tile(np.arange(10.0), 8))
    y = rng.normal(size=8)[g] + rng.normal(size=8)[g] * x + rng.normal(size=80)
    fit = ms.lmm(y, ms.linear(x=x), ms.group(g=g, x=x, correlated=False))
    *_, slopes = plots.qq(fit)
    assert len(slopes.get_lines()[1].get_xdata()) == 7  # type: ignore[arg-type]


def test_curves_have_no_panel_and_titles_break() -> None:
    terms = ms.smooth(days=SLEEP.days, k=5), ms.group(the_subject_of_the_study=SLEEP.subject)
    fit = ms.lmm(SLEEP.reaction, *terms)
    titles = [ax.get_title("left") for ax in plots.qq(fit)]
    assert titles == ["residuals", "(Intercept)\n| the_subject_of_the_study"]


def test_more_than_three_panels_have_rows() -> None:
    rng = np.random.default_rng(5)
    u, v = SLEEP.days**2 / 10, np.cos(SLEEP.days)
    y = SLEEP.reaction + rng.normal(size=18)[np.arange(180) // 10] * u
    terms = ms.linear(days=SLEEP.days), ms.group(subject=SLEEP.subject, days=SLEEP.days, u=u, v=v)
    drawn = plots.qq(ms.lmm(y, *terms))
    assert len(drawn) == 5
    figure = drawn[0].figure
    assert len(figure.axes) == 5
    assert figure.get_figheight() == pytest.approx(5.8)  # type: ignore[union-attr]


# ---- caterpillar ----


def test_a_caterpillar_has_a_panel_for_each_effect_in_one_order() -> None:
    r = SLOPES.random["subject"]
    intercepts, slopes = plots.caterpillar(r, level=0.8)
    order = np.argsort(r.effects[:, 0])
    names = [str(level) for level in r.levels[order]]
    assert [label.get_text() for label in intercepts.get_yticklabels()] == names
    assert (intercepts.get_xlabel(), slopes.get_xlabel()) == ("(Intercept)", "days")
    assert intercepts.get_ylabel() == "subject"
    for ax, a in ((intercepts, 0), (slopes, 1)):
        bars = np.array([path.vertices for path in ax.collections[0].get_paths()])
        reach = norm.ppf(0.9) * r.conditional_sd[order, a]
        assert_allclose(bars[:, 0, 0], r.effects[order, a] - reach, rtol=1e-12)
        assert_allclose(bars[:, 1, 0], r.effects[order, a] + reach, rtol=1e-12)
        assert_array_equal(bars[:, 0, 1], np.arange(18))
        _, filled, empty = ax.get_lines()  # a line at zero first
        apart = np.abs(r.effects[order, a]) > reach
        assert_array_equal(np.asarray(filled.get_ydata()), np.flatnonzero(apart))
        assert_array_equal(np.asarray(empty.get_ydata()), np.flatnonzero(~apart))
        assert empty.get_markerfacecolor() != filled.get_markerfacecolor()


def test_many_levels_have_no_names_and_no_tall_figure() -> None:
    rng = np.random.default_rng(6)
    g = np.arange(600) % 150
    fit = ms.lmm(rng.normal(size=150)[g] + rng.normal(size=600), ms.group(g=g))
    (ax,) = plots.caterpillar(fit.random["g"])
    assert list(ax.get_yticks()) == []
    assert ax.figure.get_figheight() == 4  # type: ignore[union-attr]


# ---- axes that are given, and what is refused ----


def test_they_draw_on_the_given_axes() -> None:
    figure, axes = plt.subplots(2, 3, figsize=(10, 6))
    assert plots.residuals(SLOPES, axes[0, 0]) is axes[0, 0]
    assert plots.caterpillar(SLOPES.random["subject"], axes[0, 1:]) == list(axes[0, 1:])
    assert plots.qq(SLOPES, axes[1]) == list(axes[1])
    assert plt.get_fignums() == [figure.number]


@pytest.mark.parametrize(
    ("message", "draw"),
    [
        ("residuals has 3 rows", lambda: plots.residuals(SLOPES, residuals=[1.0, 2, 3])),
        ("residuals has 3 rows", lambda: plots.qq(SLOPES, residuals=[1.0, 2, 3])),
        ("level must be", lambda: plots.qq(SLOPES, level=95)),
        (
            "fit must be what lmm.. or glmm.. returns, found None",
            lambda: plots.residuals(cast(Any, None)),
        ),
        (
            "fit must be what lmm.. or glmm.. returns, found 'fit'",
            lambda: plots.qq(cast(Any, "fit")),
        ),
        (
            "effects of one term, fit.random.*found <Fit",
            lambda: plots.caterpillar(cast(Any, SLOPES)),
        ),
        ("level must be", lambda: plots.caterpillar(SLOPES.random["subject"], level=1)),
    ],
)
def test_bad_input_is_named_before_a_figure_is_made(
    message: str, draw: Callable[[], object]
) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
    assert plt.get_fignums() == []


def test_a_wrong_number_of_axes_is_told() -> None:
    _, axes = plt.subplots(1, 2)
    with pytest.raises(ValueError, match="axes must have one for each of the 3 panels, found 2"):
        plots.qq(SLOPES, axes)
    with pytest.raises(ValueError, match="each of the 2 panels, found 1"):
        plots.caterpillar(SLOPES.random["subject"], axes[0])
