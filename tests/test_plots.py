"""The figures: what they draw, that no two labels overlap, and what they refuse."""

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.path import Path
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

import mixedsmooth as ms
from mixedsmooth import plots
from mixedsmooth.derivations.likelihood import grouping_columns
from mixedsmooth.model.curves import Surface

mpl.use("Agg")

SLEEP, GAS = ms.load_sleepstudy(), ms.load_gasoline()
SUBJECTS = np.unique(SLEEP.subject)
EFFECTS = np.random.default_rng(7).normal(size=18)
X = np.column_stack([np.ones(180), SLEEP.days])
Z, _ = grouping_columns(SLEEP.subject)
V = 1297.0 * Z @ Z.T + 954.5 * np.eye(180)


def bowl(theta: Any, y: Any, X: Any, Z: Any) -> float:
    """Stand in for a likelihood, with the minimum 100 at (tau, sigma) = (36, 31)."""
    log_tau, log_sigma = theta
    return float(100 + 20 * (log_tau - np.log(36)) ** 2 + 150 * (log_sigma - np.log(31)) ** 2)


PATH = np.log([[20.0, 40.0], [50.0, 35.0], [30.0, 33.0], [36.0, 31.0]])

GRID_X, GRID_Y = np.linspace(8.0, 18.0, 30), np.linspace(0.5, 1.25, 20)
HILL = 5 * np.exp(-((GRID_Y - 0.9) ** 2) / 0.03) + 0.1 * GRID_X[:, None]
SURFACE = Surface(
    "s(compression, equivalence)",
    ("compression", "equivalence"),
    (GRID_X, GRID_Y),
    HILL - 3,
    0.1 + 0.01 * (GRID_X[:, None] - 13) ** 2 + 0.3 * (GRID_Y - 0.9) ** 2,
    9.0,
)
ETHANOL, COLUMBUS = ms.load_ethanol(), ms.load_columbus()
CRIME = dict(zip(COLUMBUS.district, COLUMBUS.crime, strict=True))

Draw = Callable[[Axes | None], Axes]
FIGURES: dict[str, Draw] = {
    "lines_by_group": lambda ax: plots.lines_by_group(
        SLEEP.days, SLEEP.reaction, SLEEP.subject, ax, highlight=["308", "337", "309", "335"]
    ),
    "between": lambda ax: plots.between(
        GAS.lincomep, GAS.lcarpcap, GAS.country, ax, highlight=["U.S.A.", "TURKEY", "JAPAN"]
    ),
    "within": lambda ax: plots.within(GAS.lincomep, GAS.lcarpcap, GAS.country, ax),
    "variance_buckets": lambda ax: plots.variance_buckets(1296.87, 954.5, ax, unit="ms²"),
    "effective_sample_size": lambda ax: plots.effective_sample_size(10, ax, n_groups=18, icc=0.6),
    "matrix_picture": lambda ax: plots.matrix_picture(
        V, ax, row_labels=SLEEP.subject, column_labels=SLEEP.subject
    ),
    "matrix_picture, long": lambda ax: plots.matrix_picture(
        Z, ax, row_labels=SLEEP.subject, column_labels=SUBJECTS
    ),
    "matrix_picture, numbers": lambda ax: plots.matrix_picture(V[:6, :6], ax, annotate=True),
    "likelihood_surface": lambda ax: plots.likelihood_surface(
        SLEEP.reaction, X, Z, ax, negloglik=bowl, path=PATH, optimum=(36, 31)
    ),
    "effects": lambda ax: plots.effects(
        SUBJECTS, EFFECTS, np.full(18, 0.3), ax, reference=EFFECTS, reference_label="lme4"
    ),
    "shrinkage": lambda ax: plots.shrinkage(EFFECTS, 0.6 * EFFECTS, SUBJECTS, ax),
    "shrinkage_factor_curve": lambda ax: plots.shrinkage_factor_curve(
        1.166, ax, group_sizes=[1, 2, 9, 10]
    ),
    "surface": lambda ax: plots.surface(
        SURFACE, ax, points=ETHANOL, near=0.1, label="NOx [µg/J]", xlabel="compression ratio"
    )[0],
    "map": lambda ax: plots.map(COLUMBUS.polygons, CRIME, ax, annotate=True, label="crimes"),
    "map, marked": lambda ax: plots.map(
        COLUMBUS.polygons, {"3": 1.0, "4": -2.5}, ax, mark=["4"], marked="below zero"
    ),
}
each_figure = pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES.keys())


@pytest.fixture(autouse=True)
def _book_style_and_no_figure_left() -> Iterator[None]:
    with mpl.rc_context():
        plots.style()
        yield
        plt.close("all")


def xy(line: Any) -> NDArray[np.float64]:
    return np.column_stack([line.get_xdata(), line.get_ydata()])


def legend(ax: Axes) -> list[str]:
    box = ax.get_legend()
    assert box is not None
    return [text.get_text() for text in box.get_texts()]


@each_figure
def test_makes_one_figure_when_there_is_none(draw: Draw) -> None:
    ax = draw(None)
    assert isinstance(ax, Axes)
    assert plt.get_fignums() == [ax.figure.number]  # type: ignore[union-attr]


@each_figure
def test_draws_on_the_given_axes(draw: Draw) -> None:
    _, (left, right) = plt.subplots(1, 2, figsize=(13, 5))
    assert draw(right) is right
    assert len(plt.get_fignums()) == 1
    assert not left.has_data()


@each_figure
def test_no_labels_overlap(draw: Draw) -> None:
    ax = draw(None)
    figure = ax.figure
    figure.canvas.draw()
    hidden: set[Text] = set()  # labels of ticks outside of the view are not drawn
    for axes in figure.axes:
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if not min(limits) <= tick.get_loc() <= max(limits):
                    hidden |= {tick.label1, tick.label2}
    boxes: list[tuple[str, Bbox]] = []
    for text in figure.findobj(Text):
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
def test_svg_is_the_same_at_every_run_and_transparent(draw: Draw) -> None:
    files = []
    for _ in range(2):
        file = io.StringIO()
        draw(None).figure.savefig(file, format="svg", metadata={"Date": None})  # type: ignore[union-attr]
        files.append(file.getvalue())
    assert files[0] == files[1]
    assert "<dc:date>" not in files[0]
    assert "<text" not in files[0]  # text is drawn as paths: no font of the reader's is needed
    for background in (plt.gcf().get_facecolor(), plt.gca().get_facecolor()):
        assert mpl.colors.to_rgba(background)[3] == 0


def test_lines_by_group_joins_each_group_in_order_of_x() -> None:
    ax = plots.lines_by_group(
        [2, 1, 1, 3, 2], [20.0, 10.0, 5.0, 30.0, 6.0], ["a", "a", "b", "a", "b"], highlight=["a"]
    )
    gray, highlighted = ax.get_lines()
    np.testing.assert_array_equal(xy(gray), [[1, 5], [2, 6]])
    np.testing.assert_array_equal(xy(highlighted), [[1, 10], [2, 20], [3, 30]])
    assert gray.get_marker() == "None"
    assert highlighted.get_marker() != "None"
    assert [text.get_text() for text in ax.texts] == ["a"]


def test_highlighted_groups_differ_in_more_than_color() -> None:
    ax = plots.lines_by_group(
        GAS.year, GAS.lcarpcap, GAS.country, highlight=list(np.unique(GAS.country))
    )
    looks = {(line.get_marker(), line.get_linestyle()) for line in ax.get_lines()}
    assert len(looks) == 15
    assert len({(line.get_color(), *look) for line in ax.get_lines() for look in looks}) >= 18


def test_between_is_the_regression_of_the_group_means() -> None:
    ax = plots.between(GAS.lincomep, GAS.lcarpcap, GAS.country, highlight=["U.S.A."])
    means = np.array(
        [
            [GAS.lincomep[GAS.country == level].mean(), GAS.lcarpcap[GAS.country == level].mean()]
            for level in np.unique(GAS.country)
        ]
    )
    line, others, highlighted = ax.get_lines()
    slope, intercept = np.polyfit(means[:, 0], means[:, 1], 1)
    ends = xy(line)
    np.testing.assert_allclose(ends[:, 1], intercept + slope * ends[:, 0], rtol=1e-10)
    np.testing.assert_allclose(xy(others), means[:-1], rtol=1e-12)
    np.testing.assert_allclose(xy(highlighted), means[-1:], rtol=1e-12)
    assert legend(ax) == [f"slope {slope:.3f}", "U.S.A."]


def test_within_has_the_slope_of_the_regression_with_group_dummies() -> None:
    ax = plots.within(GAS.lincomep, GAS.lcarpcap, GAS.country)
    dummies, _ = grouping_columns(GAS.country)
    design = np.column_stack([GAS.lincomep, dummies])
    slope = np.linalg.lstsq(design, GAS.lcarpcap, rcond=None)[0][0]
    line, points = ax.get_lines()
    ends = xy(line)
    np.testing.assert_allclose(ends[:, 1], slope * ends[:, 0], rtol=1e-9)
    assert xy(points).shape == (342, 2)
    np.testing.assert_allclose(xy(points).mean(axis=0), 0, atol=1e-12)
    assert legend(ax) == [f"slope {slope:.2f}"]


def test_variance_buckets_split_the_bar_by_share() -> None:
    ax = plots.variance_buckets(3.0, 1.0, names=("country", "year"))
    first, second = ax.patches
    assert (first.get_x(), first.get_width()) == (0, 0.75)  # type: ignore[attr-defined]
    assert (second.get_x(), second.get_width()) == (0.75, 0.25)  # type: ignore[attr-defined]
    assert first.get_hatch() != second.get_hatch()
    assert [text.get_text() for text in ax.texts] == ["country\n75% (3)", "year\n25% (1)"]


def test_effective_sample_size_runs_from_observations_to_groups() -> None:
    ax = plots.effective_sample_size(10, n_groups=18, icc=0.5)
    curve = xy(ax.get_lines()[0])
    np.testing.assert_allclose(curve[[0, -1]], [[0, 180], [1, 18]])
    marked = xy(ax.get_lines()[-1])
    np.testing.assert_allclose(marked, [[0.5, 180 / 5.5]])
    assert legend(ax) == ["at 0.5, 180 observations are worth 32.7"]


def test_matrix_picture_leaves_zeros_blank() -> None:
    M = np.array([[2.0, 0.0, -3.0], [0.0, 1.5, 0.0]])
    ax = plots.matrix_picture(M)
    shown = ax.get_images()[0].get_array()
    assert isinstance(shown, np.ma.MaskedArray)
    np.testing.assert_array_equal(shown.mask, M == 0)
    np.testing.assert_array_equal(shown.compressed(), [2, -3, 1.5])
    assert ax.get_images()[0].get_clim() == (-3, 3)
    assert ax.get_xlabel() == "2 × 3\nhatched: negative"
    (hatched,) = ax.collections
    assert hatched.get_hatch()
    (cell,) = hatched.get_paths()
    corners = np.asarray(cell.vertices)
    np.testing.assert_array_equal(
        [corners.min(axis=0), corners.max(axis=0)], [[1.5, -0.5], [2.5, 0.5]]
    )


def test_matrix_picture_says_what_equal_entries_are() -> None:
    ax = plots.matrix_picture(Z)
    assert ax.get_xlabel() == "180 × 18\nfilled: 1, blank: 0"
    assert len(ax.figure.axes) == 1  # a colorbar would tell nothing


def test_matrix_picture_of_zeros_is_blank() -> None:
    shown = plots.matrix_picture(np.zeros((2, 2))).get_images()[0].get_array()
    assert isinstance(shown, np.ma.MaskedArray)
    assert shown.count() == 0


def test_matrix_picture_prints_entries_where_they_stand() -> None:
    ax = plots.matrix_picture([[0.0, -1234.56], [0.5, 0.0]], annotate=True)
    placed = {text.get_text(): text.get_position() for text in ax.texts}
    assert placed == {"−1235": (1, 0), "0.5": (0, 1)}


def test_neighbors_with_the_same_label_share_it() -> None:
    ax = plots.matrix_picture(Z, row_labels=SLEEP.subject, column_labels=SUBJECTS)
    assert [label.get_text() for label in ax.get_yticklabels()] == list(SUBJECTS)
    np.testing.assert_array_equal(ax.get_yticks(), 10 * np.arange(18) + 4.5)


def test_likelihood_surface_shows_the_drop() -> None:
    ax = plots.likelihood_surface(SLEEP.reaction, X, Z, negloglik=bowl, path=PATH, optimum=(36, 31))
    contours = ax.collections[0]
    assert list(contours.levels[:4]) == [1, 2, 5, 10]  # type: ignore[attr-defined]
    # On the contour of a drop of 1, the likelihood is 1 less than at the optimum.
    outline = contours.get_paths()[0].vertices
    on_it = [bowl(np.log(point), None, None, None) - 100 for point in np.asarray(outline)]
    np.testing.assert_allclose(on_it, 1, atol=0.05)  # the grid has 40 x 40 points
    path, optimum = ax.get_lines()
    np.testing.assert_allclose(xy(path), np.exp(PATH))
    np.testing.assert_allclose(xy(optimum), [[36, 31]])
    assert legend(ax) == ["optimizer's path, 4 points", "optimum: τ = 36, σ = 31"]
    assert {"1", "5"} <= {text.get_text() for text in ax.texts}


def test_likelihood_surface_calls_the_function_on_the_grid() -> None:
    asked = []

    def negloglik(theta: Any, y: Any, X: Any, Z: Any) -> float:
        asked.append(np.exp(theta))
        return bowl(theta, y, X, Z)

    plots.likelihood_surface(
        SLEEP.reaction, X, Z, negloglik=negloglik,
        optimum=(36, 31), tau_range=(10, 90), sigma_range=(20, 50),
    )  # fmt: skip
    assert len(asked) == 40 * 40 + 1
    np.testing.assert_allclose(asked[-1], [36, 31])
    np.testing.assert_allclose(np.min(asked, axis=0), [10, 20])
    np.testing.assert_allclose(np.max(asked, axis=0), [90, 50])


def test_effects_are_sorted_with_their_intervals_and_rings() -> None:
    reference = [0.5, -0.9, 0.7]
    ax = plots.effects(["a", "b", "c"], [0.6, -1.0, 0.4], [0.1, 0.2, 0.3], reference=reference)
    _, points, rings = ax.get_lines()
    np.testing.assert_array_equal(xy(points), [[-1.0, 0], [0.4, 1], [0.6, 2]])
    np.testing.assert_array_equal(xy(rings), [[-0.9, 0], [0.7, 1], [0.5, 2]])
    assert rings.get_fillstyle() == "none"
    bars = np.array([path.vertices for path in ax.collections[0].get_paths()])
    half = 1.96 * np.array([0.2, 0.3, 0.1])
    np.testing.assert_allclose(bars[:, 0, 0], np.array([-1.0, 0.4, 0.6]) - half)
    np.testing.assert_allclose(bars[:, 1, 0], np.array([-1.0, 0.4, 0.6]) + half)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "c", "a"]


def test_figures_with_group_labels_grow_with_the_groups() -> None:
    ax = plots.effects(np.arange(59), np.arange(59.0))
    heights = np.diff([label.get_window_extent().y0 for label in ax.get_yticklabels()])
    assert heights.min() > 11 * ax.figure.dpi / 72


def test_shrinkage_leads_from_raw_to_predicted() -> None:
    ax = plots.shrinkage([10.0, -4.0, 0.1], [7.0, -3.0, 0.09], ["a", "b", "c"])
    _, raw, predicted = ax.get_lines()
    np.testing.assert_array_equal(xy(raw), [[-4, 0], [0.1, 1], [10, 2]])
    np.testing.assert_array_equal(xy(predicted), [[-3, 0], [0.09, 1], [7, 2]])
    arrows = [(text.xyann, text.xy) for text in ax.texts if isinstance(text, Annotation)]
    assert arrows == [((-4, 0), (-3, 0)), ((10, 2), (7, 2))]  # none where the markers touch


def test_shrinkage_factor_curve_passes_the_marked_sizes() -> None:
    ax = plots.shrinkage_factor_curve(0.5, group_sizes=[12, 4])
    curve, _, marked = ax.get_lines()
    n, share = xy(curve).T
    np.testing.assert_allclose(share, n / (n + 4))
    np.testing.assert_allclose(xy(marked), [[4, 0.5], [12, 0.75]])
    assert [text.get_text() for text in ax.texts] == ["n = 4: 0.500", "n = 12: 0.750"]


y, two = SLEEP.reaction, [1.0, 2.0]


def surface(X: Any, **options: Any) -> Axes:
    return plots.likelihood_surface(
        y, X, Z, **{"optimum": (36.0, 31.0), "negloglik": bowl, **options}
    )


# ---- surfaces and maps ----


def test_a_surface_has_its_first_covariate_to_the_right() -> None:
    value = np.repeat(GRID_X[:, None], 20, axis=1)  # of the first covariate alone
    ax, error = plots.surface(replace(SURFACE, value=value))
    lines: Any = ax.collections[1]
    for level, path in zip(lines.levels, lines.get_paths(), strict=True):
        if len(path.vertices):
            assert np.allclose(path.vertices[:, 0], level)
    assert (ax.get_xlabel(), ax.get_ylabel()) == SURFACE.names
    assert (ax.get_title("left"), error.get_title("left")) == ("estimate", "standard error")
    assert [text.get_text() for text in ax.texts] != []


def test_lines_have_their_numbers_and_panels_their_scales() -> None:
    axes = plots.surface(SURFACE, label="NOx")
    figure = axes[0].figure
    bars = [each for each in figure.axes if each not in axes]
    assert [bar.get_xlabel() for bar in bars] == ["NOx", "NOx"]
    for ax, values in zip(axes, (SURFACE.value, SURFACE.se), strict=True):
        numbers = [float(text.get_text().replace("−", "-")) for text in ax.texts]
        assert len(numbers) >= 2
        assert all(values.min() <= number <= values.max() for number in numbers)
    (alone,) = plots.surface(SURFACE, plt.figure().add_subplot())
    assert alone.get_title("left") == ""


def test_what_is_far_from_the_points_is_blank() -> None:
    points = {"compression": [8.0, 99.0, 8.0], "equivalence": [0.5, 0.5, 9.0]}
    ax, _ = plots.surface(SURFACE, points=points, near=0.3, equal=True)
    filled = ax.collections[0]
    corners = np.concatenate([path.vertices for path in filled.get_paths()])
    away = (corners - [8.0, 0.5]) / [10.0, 0.75]
    assert 0.2 < np.linalg.norm(away, axis=1).max() <= 0.3 + 1e-9
    (dots,) = ax.get_lines()
    assert xy(dots).tolist() == [[8.0, 0.5]]  # the others are outside of the grids
    assert ax.get_aspect() == 1.0


@pytest.mark.parametrize("value", [0.0, 5.0, -1e-9, 1e9])
def test_a_flat_surface_is_drawn(value: float) -> None:
    flat = np.full_like(HILL, value)
    assert len(plots.surface(replace(SURFACE, value=flat, se=0 * flat))) == 2


def square(low: float, high: float) -> NDArray[np.float64]:
    return np.array([[low, low], [high, low], [high, high], [low, high], [low, low]])


def test_a_hole_stays_blank_whichever_way_it_is_drawn() -> None:
    gap = np.full((1, 2), np.nan)
    for outer in (square(0, 9), square(0, 9)[::-1]):
        for inner in (square(3, 6), square(3, 6)[::-1]):
            ring = np.concatenate([outer, gap, inner, gap, square(4, 5), gap, square(20, 21)])
            ax = plots.map({"ring": ring}, {"ring": 1.0})
            (fill,) = ax.collections[:1]
            (path,) = fill.get_paths()
            areas = []
            for part in path.to_polygons():
                x, y = np.asarray(part)[:-1].T
                areas.append(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2)
            # the hole the other way round, and the island in it as the rest
            assert np.allclose(areas, [81, -9, 1, 1])
            plt.close()


def test_a_map_is_darker_where_values_are_higher() -> None:
    ax = plots.map(COLUMBUS.polygons, CRIME, limits=(0, 80), label="crimes")
    fill = ax.collections[0]
    ax.figure.canvas.draw()
    light = lightness(np.asarray(fill.get_facecolor())[:, :3])
    order = np.argsort(list(CRIME.values()))
    assert np.all(np.diff(light[order]) <= 1e-9)
    assert len(np.unique(light.round(6))) > 4
    assert ax.get_aspect() == 1.0
    (bar,) = [each for each in ax.figure.axes if each is not ax]
    assert bar.get_xlabel() == "crimes"
    assert bar.get_xlim() == (0, 80)


def test_a_map_takes_a_series() -> None:
    pandas = pytest.importorskip("pandas")
    shapes = {"a": square(0, 1), "b": square(1, 2)}
    maps = [plots.map(shapes, v) for v in ({"b": 1.0, "a": 2.0}, pandas.Series([1, 2], ["b", "a"]))]
    one, other = (np.asarray(ax.collections[0].get_array()) for ax in maps)
    assert np.array_equal(one, other)


def test_districts_are_marked_without_color() -> None:
    shapes = {"a": square(0, 1), "b": square(1, 2), "c": square(2, 3)}
    ax = plots.map(shapes, {"a": 1.0, "b": 2.0}, mark=["b"], marked="surely high", annotate=True)
    hatches = {patch.get_hatch() for patch in ax.patches}
    assert hatches == {"..", "////"}
    assert ax.get_xlabel() == "dotted: no value\nhatched: surely high"
    texts = {text.get_text(): text.get_position() for text in ax.texts}
    assert set(texts) == {"1", "2"}
    assert np.allclose([texts["1"], texts["2"]], [[0.5, 0.5], [1.5, 1.5]], atol=0.05)


def test_values_are_printed_where_there_is_room() -> None:
    shapes = {"wide": square(0, 100), "tiny": square(100, 101)}
    ax = plots.map(shapes, {"wide": 1.0, "tiny": 2.0}, annotate=True)
    assert [text.get_text() for text in ax.texts] == ["1"]
    columbus = plots.map(COLUMBUS.polygons, CRIME, annotate=True)
    for text in columbus.texts:
        corners = text.get_window_extent().corners()
        assert any(
            Path(part).contains_points(columbus.transData.inverted().transform(corners)).all()
            for path in columbus.collections[0].get_paths()
            for part in path.to_polygons()
        )


def lightness(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    """L* of CIE 1976."""
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    Y = linear @ [0.2126, 0.7152, 0.0722]
    return np.asarray(116 * np.cbrt(Y) - 16)


@pytest.mark.parametrize("name", ["_STEPS", "_ERRORS"])
def test_scales_are_even_in_gray(name: str) -> None:
    light = lightness(getattr(plots, name)(np.linspace(0, 1, 9))[:, :3])
    steps = -np.diff(light)
    assert light[0] - light[-1] > 50
    assert np.all(np.abs(steps - steps.mean()) < 0.1 * steps.mean())


@pytest.mark.parametrize(
    ("message", "draw"),
    [
        ("y has 1 rows", lambda: plots.lines_by_group(two, [1.0], ["a", "b"])),
        ("x has 1 value", lambda: plots.lines_by_group([1.0, np.nan], two, ["a", "b"])),
        ("group has 3 rows", lambda: plots.within(two, two, ["a", "b", "c"])),
        ("highlight names 'c'", lambda: plots.between(two, two, ["a", "b"], highlight=["c"])),
        ("highlight must be", lambda: plots.between(two, two, ["a", "b"], highlight="a")),
        ("x has the mean 1 in every", lambda: plots.between([1.0, 1.0], two, ["a", "b"])),
        ("x is constant within", lambda: plots.within(two, two, ["a", "b"])),
        ("between must be", lambda: plots.variance_buckets(-1, 2)),
        ("within must be", lambda: plots.variance_buckets(1, np.nan)),
        (r"between \+ within must be", lambda: plots.variance_buckets(0, 0)),
        ("group_size must be", lambda: plots.effective_sample_size(0)),
        ("n_groups must be", lambda: plots.effective_sample_size(2, n_groups=1.5)),  # type: ignore[arg-type]
        ("icc must be", lambda: plots.effective_sample_size(2, icc=1.2)),
        ("M must be a matrix", lambda: plots.matrix_picture(two)),
        ("row_labels has 3 rows", lambda: plots.matrix_picture(np.eye(2), row_labels=[1, 2, 3])),
        ("column_labels has 1", lambda: plots.matrix_picture(np.eye(2), column_labels=["a"])),
        ("M has 180 x 18 entries", lambda: plots.matrix_picture(Z, annotate=True)),
        ("X has 10 rows", lambda: surface(X[:10])),
        ("path must have two", lambda: surface(X, path=X[:, :1])),
        (r"optimum\[0\] must", lambda: surface(X, optimum=(-3, 3))),
        (r"optimum\[1\] must", lambda: surface(X, optimum=(3, np.nan))),
        ("tau_range must rise", lambda: surface(X, tau_range=(9, 1))),
        ("hold no contour", lambda: surface(X, tau_range=(35, 36), sigma_range=(31, 32))),
        ("effects has 1 rows", lambda: plots.effects(["a", "b"], [1.0])),
        ("sd must not be negative", lambda: plots.effects(["a", "b"], two, [1.0, -1.0])),
        ("reference has 1 rows", lambda: plots.effects(["a", "b"], two, reference=[1.0])),
        ("predicted has 1 rows", lambda: plots.shrinkage(two, [1.0], ["a", "b"])),
        ("theta must be", lambda: plots.shrinkage_factor_curve(0)),
        ("group_sizes must be", lambda: plots.shrinkage_factor_curve(1, group_sizes=[0.5])),
    ],
)
def test_bad_input_is_named_before_a_figure_is_made(message: str, draw: Callable[[], Axes]) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
    if "entries" not in message:  # how many numbers fit is known only on the axes
        assert plt.get_fignums() == []


def test_colors_keep_their_contrast_on_white_and_inverted_on_black() -> None:
    # WCAG 2.2 asks for 3:1 between graphics and background. The matrix is that of the CSS filter
    # hue-rotate(180deg), Filter Effects Module Level 1, section 8.4.
    gray = np.array([0.213, 0.715, 0.072])
    rotate = 2 * np.tile(gray, (3, 1)) - np.eye(3)

    def luminance(rgb: NDArray[np.float64]) -> float:
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    dark_page = luminance(np.array(mpl.colors.to_rgb("#14181e")))
    for color in (*plots.COLORS, plots.INK, plots.GRAY):
        rgb = np.array(mpl.colors.to_rgb(color))
        inverted = np.clip(rotate @ (1 - rgb), 0, 1)
        assert 1.05 / (luminance(rgb) + 0.05) >= 3
        assert (luminance(inverted) + 0.05) / (dark_page + 0.05) >= 3
