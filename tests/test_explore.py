"""Pictures with a slider: well-formed, small, complete, named for a screen reader, and on guard."""

import json
import re
from collections.abc import Callable
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from mixedsmooth.explore import Explorable, explorable, explorable_map, explorable_rows

FloatArray = NDArray[np.float64]

GRID = np.linspace(0, 1, 100)
VALUES = np.logspace(-6, 2, 41)
CURVES = np.array([np.sin(9 * GRID) * np.exp(-k / 10) for k in range(41)])
POINTS = np.column_stack([GRID[::10], CURVES[0, ::10]])
CAPTIONS = [f"λ = {value:.2g}, 0 < EDF & so on" for value in VALUES]
NAMES = [f"driver {j}" for j in range(18)]
RAW = np.linspace(-80, 70, 18)
KEPT = np.linspace(0, 1, 31)
OUTLINES = np.array(
    [[0, 0], [0, 1], [1, 1], [1, 0], [np.nan, np.nan], [1, 0], [1, 1], [3, 1], [3, 0]]
)
CENTERS = np.array([[0.5, 0.5], [2, 0.5]])
RATES = np.array([4.0, 16.0])
MIXED = RATES + np.outer(KEPT, [6.0, -6.0])


def curve() -> Explorable:
    return explorable(
        GRID, CURVES, VALUES, points=POINTS, xlabel="size <scaled>", ylabel="wear",
        label='smoothing "parameter"', captions=CAPTIONS, start=7, description="A & B",
    )  # fmt: skip


def rows() -> Explorable:
    return explorable_rows(
        NAMES, RAW, np.outer(KEPT, RAW), KEPT, xlabel="effect [ms]", label="kept", start=30
    )


def districts() -> Explorable:
    return explorable_map(
        OUTLINES, CENTERS, RATES, MIXED, KEPT, size="rate <per 1000>", label="strength", start=2
    )


PICTURES = pytest.mark.parametrize("make", [curve, rows, districts])
Make = Callable[[], Explorable]


def tree(picture: Explorable) -> ET.Element:
    return ET.fromstring(picture.html)


def one(root: ET.Element, tag: str) -> ET.Element:
    (found,) = root.iter(tag)
    return found


def moving(root: ET.Element) -> ET.Element:
    (found,) = (path for path in root.iter("path") if path.get("class") == "moving")
    return found


def frames(picture: Explorable) -> list[list[str]]:
    found: list[list[str]] = json.loads(tree(picture).attrib["data-frames"])
    return found


def corners(path: str) -> FloatArray:
    """Points of a path of the kinds 'M l l l' and 'M h M h', in units of the viewBox."""
    at, found = np.zeros(2), []
    for command, numbers in re.findall(r"([Mlh])([-\d ]*)", path):
        pair = [int(number) for number in re.findall(r"-?\d+", numbers)]
        if command == "h":
            continue
        at = np.array(pair, dtype=float) + (at if command == "l" else 0)
        found.append(at)
    return np.array(found) / 10


@PICTURES
def test_it_is_well_formed_small_and_asks_no_other_host(make: Make) -> None:
    html = make().html
    ET.fromstring(html)
    assert len(html.encode()) < 60_000
    assert not re.search(r"https?:|//|url\(|@import|\bsrc=|\bhref=", html)
    # nothing by which two of them could clash
    assert not re.search(r'\bid="|\bfor="', html)


@PICTURES
def test_it_has_a_frame_for_each_value_and_shows_the_start(make: Make) -> None:
    picture = make()
    root, found = tree(picture), frames(picture)
    slider = one(root, "input").attrib
    assert [caption for _, caption in found] == list(picture.captions)
    assert (slider["min"], slider["max"], slider["step"]) == ("0", str(len(found) - 1), "1")
    assert slider["value"] == str(picture.start)
    assert moving(root).get("d") == found[picture.start][0]
    assert len({path for path, _ in found}) == len(found)


@PICTURES
def test_it_has_names_for_a_screen_reader(make: Make) -> None:
    picture = make()
    root = tree(picture)
    svg, slider = one(root, "svg"), one(root, "input")
    assert svg.get("role") == "img"
    assert one(svg, "title").text
    assert one(svg, "desc").text
    assert slider in list(one(root, "label"))
    assert (one(root, "label").text or "").strip() == picture.label
    assert root.get("aria-label") == picture.label
    assert slider.get("aria-valuetext") == picture.captions[picture.start]
    assert one(root, "output").text == picture.captions[picture.start]
    # without scripts a slider that does nothing cannot be moved
    assert slider.get("disabled") == "disabled"


def test_the_texts_are_the_callers() -> None:
    root = tree(curve())
    texts = [text.text for text in root.iter("text")]
    assert "size <scaled>" in texts
    assert "wear" in texts
    assert one(root, "desc").text == "A & B"


def test_colors_follow_the_text() -> None:
    colors = re.findall(r'(?:fill|stroke)="([^"]*)"', curve().html)
    assert set(colors) == {"currentColor", "none"}


def scale(pixels: FloatArray, data: FloatArray) -> tuple[float, float]:
    """Slope and intercept of the picture's scale, from two points far apart."""
    slope = (pixels[-1] - pixels[0]) / (data[-1] - data[0])
    return slope, pixels[0] - slope * data[0]


@pytest.mark.parametrize("frame", [0, 20, 40])
def test_curve_and_rings_are_on_one_scale(frame: int) -> None:
    picture = curve()
    circles = [circle.attrib for circle in tree(picture).iter("circle")]
    rings = np.array([[float(c["cx"]), float(c["cy"])] for c in circles])
    assert len(rings) == len(POINTS)
    drawn = corners(frames(picture)[frame][0])
    for axis, data in ((0, GRID), (1, CURVES[frame])):
        # from the rings, whose places we know, to the curve: rounded to 0.1 each
        order = np.argsort(POINTS[:, axis])
        slope, intercept = scale(rings[order, axis], POINTS[order, axis])
        assert_allclose(drawn[:, axis], slope * data + intercept, rtol=0, atol=0.15)


def test_dots_move_in_their_rows_and_reach_the_rings() -> None:
    picture = rows()
    circles = [circle.attrib for circle in tree(picture).iter("circle")]
    rings = np.array([[float(c["cx"]), float(c["cy"])] for c in circles])
    found = [corners(path) for path, _ in frames(picture)]
    assert_allclose(found[-1], rings, rtol=0, atol=0.11)
    slope, intercept = scale(rings[:, 0], RAW)
    for kept, dots in zip(KEPT, found, strict=True):
        assert_allclose(dots[:, 0], slope * kept * RAW + intercept, rtol=0, atol=0.15)
        assert_allclose(dots[:, 1], rings[:, 1], rtol=0, atol=0.11)
    texts = [text.text for text in tree(picture).iter("text")]
    assert [text for text in texts if text in NAMES] == NAMES


def test_areas_are_numbers_and_the_map_keeps_its_proportions() -> None:
    picture = districts()
    rings = [
        [float(circle.attrib[name]) for name in ("cx", "cy", "r")]
        for circle in tree(picture).iter("circle")
    ]
    *on_map, small, large = np.array(rings)  # the last two are the key
    unit = np.diff([ring[0] for ring in on_map])[0] / 1.5  # of the map, in the viewBox's
    square = tree(picture).findall(".//{*}path")[0].attrib["d"]
    (left, bottom), (_, top), (right, _), _ = np.array(
        [float(number) for number in re.findall(r"[-\d.]+", square)]
    ).reshape(4, 2)
    assert_allclose([right - left, bottom - top], unit, atol=1)
    assert_allclose((on_map[1][2] / on_map[0][2]) ** 2, RATES[1] / RATES[0], rtol=0.02)
    for (path, _), mixed in zip(frames(picture), MIXED, strict=True):
        found = re.findall(r"M(\d+) (\d+)a(\d+) ", path)
        for (x, y, r), rate, ring in zip(found, mixed, on_map, strict=True):
            assert_allclose([int(x) + int(r), int(y)], 10 * ring[:2], atol=1)
            assert_allclose((int(r) / 10 / on_map[0][2]) ** 2, rate / RATES[0], rtol=0.03)
    assert {path.get("fill") for path in tree(picture).findall(".//{*}g/{*}path")} == {"none"}
    texts = [text.text for text in tree(picture).iter("text")]
    assert texts == ["4", "16", "rate <per 1000>"]
    assert_allclose((large[2] / small[2]) ** 2, 4, rtol=0.03)


@PICTURES
def test_everything_is_inside_the_picture(make: Make) -> None:
    picture = make()
    width, height = map(int, one(tree(picture), "svg").attrib["viewBox"].split()[2:])
    for path, _ in frames(picture):
        at = corners(path)
        assert at.min() >= 0
        assert np.all(at.max(axis=0) <= [width, height])


def test_defaults_say_what_they_can() -> None:
    picture = explorable(
        [0, 1], [[0.0, 0.0], [-0.5, -0.5]], [1, 20], xlabel="x", ylabel="y", label="λ"
    )
    assert picture.captions == ("λ = 1", "λ = 20")
    assert "λ" in (one(tree(picture), "desc").text or "")
    assert not list(tree(picture).iter("circle"))
    flat = explorable([0, 1], np.zeros((2, 2)), [1, 2], xlabel="x", ylabel="y", label="λ")
    assert np.isfinite(corners(frames(flat)[0][0])).all()


def test_a_notebook_shows_the_html_and_print_does_not() -> None:
    picture = curve()
    assert picture._repr_html_() == picture.html
    assert "41 frames" in str(picture)
    assert len(repr(picture)) < 10_000
    with pytest.raises(AttributeError):
        picture.start = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x": [0.0]}, "x must hold two or more"),
        ({"x": [0.0, np.nan, 1.0]}, "x has 1 value"),
        ({"curves": np.zeros((2, 2))}, r"curves has shape \(2, 2\); give 2 rows.* 3 columns"),
        ({"curves": np.zeros(3)}, "curves must be a matrix"),
        ({"values": [1.0]}, "values must hold two or more"),
        ({"points": np.zeros((4, 3))}, "points must have two columns"),
        ({"captions": ["one"]}, "captions has 1 texts for 2 values"),
        ({"start": 2}, "start must be a frame, 0 to 1, found 2"),
        ({"start": -1}, "start must be a frame, 0 to 1, found -1"),
    ],
)
def test_bad_curves_are_refused(change: dict[str, object], message: str) -> None:
    good = {"x": [0, 1, 2], "curves": np.zeros((2, 3)), "values": [1, 2]}
    with pytest.raises(ValueError, match=message):
        explorable(**(good | change), xlabel="x", ylabel="y", label="λ")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": ["a"]}, "rows has 1 names for 2 rings"),
        ({"fixed": [1.0, np.inf]}, "fixed has 1 value"),
        ({"moving": np.zeros((2, 3))}, r"moving has shape \(2, 3\)"),
        ({"values": [1.0]}, "values must hold two or more"),
        ({"start": 5}, "start must be a frame"),
    ],
)
def test_bad_rows_are_refused(change: dict[str, object], message: str) -> None:
    good = {"rows": ["a", "b"], "fixed": [1, 2], "moving": np.zeros((2, 2)), "values": [0, 1]}
    with pytest.raises(ValueError, match=message):
        explorable_rows(**(good | change), xlabel="x", label="λ")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"outlines": [1.0, 2.0]}, "outlines must have two columns, x and y, found shape"),
        ({"outlines": [[0, 0], [np.nan, 1]]}, "outlines has 1 value"),
        ({"at": np.zeros((3, 2))}, r"at has shape \(3, 2\); give 2 rows"),
        ({"moving": np.zeros((2, 3))}, r"moving has shape \(2, 3\)"),
        ({"moving": [[1, 2], [1, -2]]}, "shown as areas; give positive numbers, found -2 to 2"),
        ({"fixed": [0, 0], "moving": np.zeros((2, 2))}, "positive numbers, found 0 to 0"),
        ({"start": 5}, "start must be a frame"),
    ],
)
def test_bad_maps_are_refused(change: dict[str, object], message: str) -> None:
    good = {
        "outlines": OUTLINES, "at": CENTERS, "fixed": [1, 2], "moving": np.ones((2, 2)),
        "values": [0, 1],
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        explorable_map(**(good | change), size="x", label="λ")  # type: ignore[arg-type]
