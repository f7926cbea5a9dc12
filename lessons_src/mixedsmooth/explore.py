"""Pictures with a slider, which need neither a server nor a library in the browser.

All frames are computed beforehand. An explorable is one inline SVG and an ``<input type="range">``;
a few lines of script put the path of another frame into the picture. It asks no other host for
anything, works offline and in a notebook, by mouse, by touch and by keyboard, and tells a screen
reader the caption of each frame. Without scripts, the start frame is a picture like any other.

Colors follow the text around it (``currentColor``), in light and in dark mode. There is no id in
it, so any number of them can stand on a page.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from mixedsmooth._checks import as_matrix, as_vector

FloatArray = NDArray[np.float64]

WIDTH, HEIGHT = 440, 320  # of the picture, in units of its viewBox
TOP, RIGHT, BOTTOM = 12, 14, 46  # margins around the window of the data
ROW = 18  # height of one row of `explorable_rows`
DISC = 17  # radius of the largest disc of `explorable_map`

# the blue of the book's figures, darker in dark text's company and lighter in light text's
BLUE = "stroke:currentColor;stroke:color-mix(in srgb,#0072B2 70%,currentColor)"
FILLED = (
    f"{BLUE};fill:currentColor;fill:color-mix(in srgb,#0072B2 70%,currentColor);fill-opacity:.25"
)

# Each picture on the page is set up once. The slider speaks for itself by aria-valuetext, so the
# text beside it need not be announced a second time.
SCRIPT = """
document.querySelectorAll(".explorable:not([data-ready])").forEach(box => {
  const frames = JSON.parse(box.dataset.frames), slider = box.querySelector("input");
  const show = () => {
    const [path, caption] = frames[slider.value];
    box.querySelector(".moving").setAttribute("d", path);
    box.querySelector("output").textContent = caption;
    slider.setAttribute("aria-valuetext", caption);
  };
  box.dataset.ready = "";
  slider.disabled = false;
  slider.addEventListener("input", show);
  show();
});
"""


PICTURE = """\
<div class="explorable" role="group" aria-label="{label}" \
style="max-width:34rem;margin:1rem auto;padding:0 6px" data-frames="{frames}">
<svg viewBox="0 0 {width} {height}" role="img" \
style="display:block;width:100%;height:auto" fill="none">\
<title>{title}</title><desc>{description}</desc>
<g font-size="14" font-family="sans-serif" fill="currentColor">{standing}</g>
<path class="moving" transform="scale(.1)" stroke-width="{stroke}" \
stroke-linecap="round" stroke-linejoin="round" style="{look}" d="{path}"/></svg>
<label style="display:block">{label} \
<input type="range" min="0" max="{last}" step="1" value="{start}" \
aria-valuetext="{now}" autocomplete="off" disabled="disabled" \
style="display:block;width:100%;min-height:2rem;margin:0"/></label>
<output aria-live="off" style="display:block;min-height:3em">{now}</output>
<script>{script}</script>
</div>"""


@dataclass(frozen=True)
class Explorable:
    """Picture with a slider. A notebook and the book show it; ``str()`` tells what it is.

    Attributes
    ----------
    label : str
        Name of the slider.
    captions : tuple of str
        What is told at each frame.
    start : int
        Frame that is shown first.
    html : str
        The picture, the slider and the script: one element, which can stand in any page.

    Examples
    --------
    >>> lines = [[0, 1], [0, 2]]
    >>> picture = explorable([0, 1], lines, [1, 2], xlabel="x", ylabel="y", label="slope")
    >>> picture.captions
    ('slope = 1', 'slope = 2')
    """

    label: str
    captions: tuple[str, ...]
    start: int
    html: str = field(repr=False)

    def _repr_html_(self) -> str:
        return self.html

    def __str__(self) -> str:
        """Tell the slider's name, the number of frames, and the first, last and start frame."""
        first, last, now = (self.captions[i] for i in (0, -1, self.start))
        run = f"{len(self.captions)} frames, from {first} to {last}"
        return f"{self.label}: {run}; starts at {now}"


def explorable(
    x: ArrayLike,
    curves: ArrayLike,
    values: ArrayLike,
    *,
    points: ArrayLike | None = None,
    xlabel: str,
    ylabel: str,
    label: str,
    captions: Sequence[str] | None = None,
    start: int = 0,
    description: str | None = None,
) -> Explorable:
    """Make a curve that changes with a slider, over points that stay.

    Parameters
    ----------
    x : array_like, shape (m,)
        Grid on which the curves are known.
    curves : array_like, shape (f, m)
        One curve a frame.
    values : array_like, shape (f,)
        Value of the slider at each frame.
    points : array_like, shape (k, 2), optional
        Data, drawn as open rings at (x, y).
    xlabel, ylabel : str
        Names of the axes, with their units.
    label : str
        Name of the slider.
    captions : sequence of str, length f, optional
        What is told at each frame, on the page and to a screen reader; default ``label = value``.
    start : int
        Number of the frame that is shown first, from 0.
    description : str, optional
        What the picture shows, for somebody who cannot see it; default: what is on the axes.

    Returns
    -------
    Explorable
        The last expression of a notebook's cell shows it.

    Raises
    ------
    ValueError
        If shapes differ, a value is not finite, there are fewer than two grid points or frames, or
        `start` is no frame.

    Examples
    --------
    >>> x = np.linspace(0, 1, 5)
    >>> powers = [1, 2, 3]
    >>> print(explorable(x, [x**k for k in powers], powers, xlabel="x", ylabel="y", label="power"))
    power: 3 frames, from power = 1 to power = 3; starts at power = 1
    """
    values = _two_or_more("values", values)
    x = _two_or_more("x", x)
    curves = _frames("curves", curves, len(values), len(x), "grid point")
    rings = np.empty((0, 2)) if points is None else as_matrix("points", points)
    if rings.shape[1] != 2:
        raise ValueError(f"points must have two columns, x and y, found shape {rings.shape}")
    window = _Window(_limits(x, rings[:, 0]), _limits(curves, rings[:, 1]), left=58, height=HEIGHT)
    return _explorable(
        [_line(window, x, curve) for curve in curves],
        _axes(window, xlabel) + _y_axis(window, ylabel) + _rings(window, rings),
        window,
        stroke_width=25,
        title=f"{ylabel} against {xlabel}",
        description=description
        or f"A curve that changes with the slider {label}, and {len(rings)} points.",
        label=label,
        captions=_captions(captions, label, values),
        start=start,
    )


def explorable_rows(
    rows: Sequence[str],
    fixed: ArrayLike,
    moving: ArrayLike,
    values: ArrayLike,
    *,
    xlabel: str,
    label: str,
    captions: Sequence[str] | None = None,
    start: int = 0,
    description: str | None = None,
) -> Explorable:
    """Make a picture with one named row for each group: a ring that stays and a dot that moves.

    Parameters
    ----------
    rows : sequence of str, length k
        Names of the rows, from the top.
    fixed : array_like, shape (k,)
        Where the open rings stand.
    moving : array_like, shape (f, k)
        Where the filled dots stand, one frame a row.
    values : array_like, shape (f,)
        Value of the slider at each frame.
    xlabel : str
        Name of the axis, with its unit.
    label : str
        Name of the slider.
    captions : sequence of str, length f, optional
        What is told at each frame, on the page and to a screen reader; default ``label = value``.
    start : int
        Number of the frame that is shown first, from 0.
    description : str, optional
        What the picture shows, for somebody who cannot see it; default: the names of the rows.

    Returns
    -------
    Explorable
        The last expression of a notebook's cell shows it.

    Raises
    ------
    ValueError
        If shapes differ, a value is not finite, there are fewer than two frames, or `start` is no
        frame.

    Examples
    --------
    >>> raw, kept = np.array([-3.0, 4.0]), np.array([0.0, 0.5, 1.0])
    >>> print(explorable_rows(["a", "b"], raw, np.outer(kept, raw), kept, xlabel="effect",
    ...                       label="kept", start=2))
    kept: 3 frames, from kept = 0 to kept = 1; starts at kept = 1
    """
    values = _two_or_more("values", values)
    fixed = as_vector("fixed", fixed)
    moving = _frames("moving", moving, len(values), len(fixed), "row")
    if len(rows) != len(fixed):
        raise ValueError(f"rows has {len(rows)} names for {len(fixed)} rings; give one for each")
    at: FloatArray = np.arange(0.5, len(rows))
    window = _Window(
        _limits(fixed, moving),
        (float(len(rows)), 0.0),
        left=24 + 8 * max(len(name) for name in rows),
        height=ROW * len(rows) + TOP + BOTTOM,
    )
    return _explorable(
        [_dots(window, frame, at) for frame in moving],
        _axes(window, xlabel)
        + _row_names(window, rows, at)
        + _rings(window, np.column_stack([fixed, at])),
        window,
        stroke_width=85,
        title=f"{xlabel}, a row for each of {len(rows)}",
        description=description
        or f"Rings that stay and dots that move with the slider {label}: {', '.join(rows)}.",
        label=label,
        captions=_captions(captions, label, values),
        start=start,
    )


def explorable_map(
    outlines: ArrayLike,
    at: ArrayLike,
    fixed: ArrayLike,
    moving: ArrayLike,
    values: ArrayLike,
    *,
    size: str,
    label: str,
    captions: Sequence[str] | None = None,
    start: int = 0,
    description: str | None = None,
) -> Explorable:
    """Make a map with a ring that stays and a disc that changes with a slider in each district.

    Parameters
    ----------
    outlines : array_like, shape (m, 2)
        Corners of the districts as (x, y), with a row of NaN between two outlines.
    at : array_like, shape (k, 2)
        Where the rings and discs stand, in the same unit.
    fixed : array_like, shape (k,)
        What the areas of the rings show, zero or positive.
    moving : array_like, shape (f, k)
        Likewise of the discs, one frame a row.
    values : array_like, shape (f,)
        Value of the slider at each frame.
    size : str
        What the areas mean, with the unit.
    label : str
        Name of the slider.
    captions : sequence of str, length f, optional
        What is told at each frame, on the page and to a screen reader; default ``label = value``.
    start : int
        Number of the frame that is shown first, from 0.
    description : str, optional
        What the picture shows, for somebody who cannot see it; default: what the areas mean.

    Returns
    -------
    Explorable
        The last expression of a notebook's cell shows it.

    Raises
    ------
    ValueError
        If shapes differ, `fixed` or `moving` has a negative number or nothing else than zeros, a
        value is not finite, there are fewer than two frames, or `start` is no frame.

    Examples
    --------
    >>> square = [[0, 0], [0, 1], [1, 1], [1, 0]]
    >>> print(explorable_map(square, [[0.5, 0.5]], [4], [[4], [3]], [0, 1], size="rate",
    ...                      label="strength"))
    strength: 2 frames, from strength = 0 to strength = 1; starts at strength = 0
    """
    values = _two_or_more("values", values)
    corners: FloatArray = np.asarray(outlines, dtype=np.float64)
    if corners.ndim != 2 or corners.shape[1] != 2:
        raise ValueError(f"outlines must have two columns, x and y, found shape {corners.shape}")
    gaps = np.flatnonzero(np.isnan(corners).all(axis=1))
    filled = as_matrix("outlines", np.delete(corners, gaps, axis=0))
    parts = [part for part in np.split(filled, gaps - np.arange(len(gaps))) if len(part)]
    fixed = as_vector("fixed", fixed)
    moving = _frames("moving", moving, len(values), len(fixed), "district")
    centers = as_matrix("at", at)
    if centers.shape != (len(fixed), 2):
        give = f"{len(fixed)} rows, one for each ring, and two columns, x and y"
        raise ValueError(f"at has shape {centers.shape}; give {give}")
    areas = np.vstack([fixed, moving])
    if areas.min() < 0 or areas.max() == 0:
        found = f"found {areas.min():g} to {areas.max():g}"
        raise ValueError(f"fixed and moving are shown as areas; give positive numbers, {found}")
    x_limits, y_limits = (_limits(column) for column in filled.T)
    scale = (WIDTH - 2 * RIGHT) / np.ptp(x_limits)
    window = _Window(x_limits, y_limits, RIGHT, TOP + round(scale * np.ptp(y_limits)) + BOTTOM)
    across, down = window.x(centers[:, 0]), window.y(centers[:, 1])
    radii = DISC * np.sqrt(areas / areas.max())
    return _explorable(
        [_discs(across, down, r) for r in radii[1:]],
        "".join(_outline(window, part) for part in parts)
        + "".join(_ring(*ring) for ring in zip(across, down, radii[0], strict=True))
        + _size_key(window, size, float(areas.max())),
        window,
        stroke_width=20,
        title=f"Map of {size}",
        description=description
        or f"{len(fixed)} rings that stay and discs that change with the slider {label}.",
        label=label,
        captions=_captions(captions, label, values),
        start=start,
        look=FILLED,
    )


# ---- from data to the picture's coordinates ----


@dataclass(frozen=True)
class _Window:
    """Where the data stand in the picture: limits in their units, margins in the viewBox's."""

    x_limits: tuple[float, float]
    y_limits: tuple[float, float]  # at the bottom, at the top
    left: int
    height: int

    def x(self, values: ArrayLike) -> FloatArray:
        return self.left + _share(values, *self.x_limits) * (WIDTH - RIGHT - self.left)

    def y(self, values: ArrayLike) -> FloatArray:
        bottom = self.height - BOTTOM
        return bottom - _share(values, *self.y_limits) * (bottom - TOP)

    def tenths(self, x: FloatArray, y: FloatArray) -> NDArray[np.int_]:
        return np.rint(10 * np.column_stack([self.x(x), self.y(y)])).astype(int)


def _share(values: ArrayLike, low: float, high: float) -> FloatArray:
    return np.asarray((np.asarray(values) - low) / (high - low))


def _limits(*parts: FloatArray) -> tuple[float, float]:
    everything = np.concatenate([part.ravel() for part in parts])
    low, high = float(everything.min()), float(everything.max())
    margin = 0.04 * (high - low) or 0.5
    return low - margin, high + margin


def _line(window: _Window, x: FloatArray, y: FloatArray) -> str:
    """Path of a curve in tenths of a unit; each step is short, and so are its digits."""
    at = window.tenths(x, y)
    steps = "".join(f"l{dx} {dy}".replace(" -", "-") for dx, dy in np.diff(at, axis=0))
    return f"M{at[0, 0]} {at[0, 1]}{steps}"


def _dots(window: _Window, x: FloatArray, y: FloatArray) -> str:
    """Path of strokes without length, which round caps make dots."""
    return "".join(f"M{across} {down}h1" for across, down in window.tenths(x, y))


def _discs(across: FloatArray, down: FloatArray, radii: FloatArray) -> str:
    """Path of circles in tenths of a unit: each is two half turns."""
    tenths = np.rint(10 * np.column_stack([across, down, radii])).astype(int)
    return "".join(
        f"M{x - r} {y}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0" for x, y, r in tenths
    )


# ---- what stays ----


def _text(x: float, y: float, anchor: str, text: str, turn: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turn}>{escape(text)}</text>'


def _segment(x1: float, y1: float, x2: float, y2: float, opacity: float = 1) -> str:
    path = f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"
    return f'<path d="{path}" stroke="currentColor" stroke-opacity="{opacity}"/>'


def _ticks(limits: tuple[float, float], window_size: float) -> list[tuple[float, str]]:
    low, high = min(limits), max(limits)
    ticks = MaxNLocator(nbins=max(2, int(window_size / 55))).tick_values(low, high)
    return [(tick, f"{tick:g}".replace("-", "−")) for tick in ticks if low <= tick <= high]


def _axes(window: _Window, xlabel: str) -> str:
    right, bottom = WIDTH - RIGHT, window.height - BOTTOM
    name = _text((window.left + right) / 2, window.height - 8, "middle", xlabel)
    parts = [_segment(window.left, bottom, right, bottom), name]
    for tick, name in _ticks(window.x_limits, right - window.left):
        at = float(window.x(tick))
        parts += [_segment(at, bottom, at, bottom + 4), _text(at, bottom + 18, "middle", name)]
    return "".join(parts)


def _y_axis(window: _Window, ylabel: str) -> str:
    bottom, middle = window.height - BOTTOM, (window.height - BOTTOM + TOP) / 2
    turn = f' transform="rotate(-90 14 {middle:.1f})"'
    name = _text(14, middle, "middle", ylabel, turn)
    parts = [_segment(window.left, TOP, window.left, bottom), name]
    for tick, name in _ticks(window.y_limits, bottom - TOP):
        at, left = float(window.y(tick)), window.left
        parts += [_segment(left - 4, at, left, at), _text(left - 7, at + 4.5, "end", name)]
    return "".join(parts)


def _row_names(window: _Window, rows: Sequence[str], at: FloatArray) -> str:
    names = [
        _text(window.left - 8, down + 4.5, "end", name)
        for name, down in zip(rows, window.y(at), strict=True)
    ]
    low, high = window.x_limits
    if low < 0 < high:
        zero = float(window.x(0))
        names.append(_segment(zero, TOP, zero, window.height - BOTTOM, opacity=0.35))
    return "".join(names)


def _ring(x: float, y: float, radius: float = 4.5) -> str:
    circle = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="none" '
    return circle + 'stroke="currentColor" stroke-width="1.3"/>'


def _rings(window: _Window, points: FloatArray) -> str:
    places = zip(window.x(points[:, 0]), window.y(points[:, 1]), strict=True)
    return "".join(_ring(x, y) for x, y in places)


def _outline(window: _Window, corners: FloatArray) -> str:
    steps = " ".join(f"{x / 10:g} {y / 10:g}" for x, y in window.tenths(*corners.T))
    return f'<path d="M{steps}z" fill="none" stroke="currentColor" stroke-opacity=".35"/>'


def _size_key(window: _Window, size: str, largest: float) -> str:
    """Two rings below the map, with their numbers, and what the areas mean."""
    middle, parts = window.height - BOTTOM / 2 + 4, []
    numbers = [tick for tick in MaxNLocator(nbins=4).tick_values(0, largest) if tick <= largest]
    at = float(RIGHT)
    for number in (numbers[1], numbers[-1]):
        radius = DISC * (number / largest) ** 0.5
        parts += [_ring(at + radius, middle, radius)]
        parts += [_text(at + 2 * radius + 5, middle + 4.5, "start", f"{number:g}")]
        at += 2 * radius + 5 + 10 * len(f"{number:g}") + 8
    return "".join([*parts, _text(at, middle + 4.5, "start", size)])


# ---- the whole ----


def _explorable(
    paths: list[str],
    standing: str,
    window: _Window,
    *,
    stroke_width: int,
    title: str,
    description: str,
    label: str,
    captions: tuple[str, ...],
    start: int,
    look: str = BLUE,
) -> Explorable:
    last = len(captions) - 1
    if not 0 <= start <= last:
        where = "it is the position in values, not a value"
        raise ValueError(f"start must be a frame, 0 to {last}, found {start}; {where}")
    pairs = list(zip(paths, captions, strict=True))
    frames = json.dumps(pairs, ensure_ascii=False, separators=(",", ":"))
    words = {"label": label, "title": title, "description": description, "frames": frames}
    words = {name: escape(text) for name, text in (words | {"now": captions[start]}).items()}
    size = {"width": WIDTH, "height": window.height, "stroke": stroke_width, "look": look}
    drawn = {"standing": standing, "path": paths[start]}
    slider = {"last": last, "start": start, "script": SCRIPT}
    return Explorable(label, captions, start, PICTURE.format(**words, **size, **drawn, **slider))


# ---- checks ----


def _two_or_more(name: str, values: ArrayLike) -> FloatArray:
    vector = as_vector(name, values)
    if len(vector) < 2:
        raise ValueError(f"{name} must hold two or more numbers, found {len(vector)}")
    return vector


def _frames(name: str, frames: ArrayLike, f: int, m: int, what: str) -> FloatArray:
    matrix = as_matrix(name, frames)
    if matrix.shape != (f, m):
        give = f"{f} rows, one for each of the values, and {m} columns, one for each {what}"
        raise ValueError(f"{name} has shape {matrix.shape}; give {give}")
    return matrix


def _captions(captions: Sequence[str] | None, label: str, values: FloatArray) -> tuple[str, ...]:
    if captions is None:
        return tuple(f"{label} = {value:g}" for value in values)
    if len(captions) != len(values):
        found = f"{len(captions)} texts for {len(values)} values"
        raise ValueError(f"captions has {found}; give one for each")
    return tuple(captions)
