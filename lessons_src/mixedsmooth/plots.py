"""The figures of the book, for the reader's own data too.

Call `style()` once, then any figure function. Each takes an optional Matplotlib ``Axes`` to draw
on, makes a figure of the book's size when there is none, and returns the ``Axes``. No distinction
rests on color alone: markers, line styles, hatching or labels carry it as well.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Outline
from matplotlib.patheffects import AbstractPathEffect, withStroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline
from scipy.optimize import isotonic_regression
from scipy.spatial import cKDTree
from scipy.special import betaincinv, ndtri

from mixedsmooth._checks import (
    as_labels,
    as_matrix,
    as_vector,
    column_of,
    flag,
    listed,
    positive,
    share,
    whole,
)
from mixedsmooth.derivations.henderson import shrinkage_factor
from mixedsmooth.derivations.likelihood import NegLogLik, negloglik_transformed
from mixedsmooth.inference.diagnostics import scaled_residuals
from mixedsmooth.model.curves import Surface
from mixedsmooth.model.fit import Fit, GeneralizedFit, RandomEffects
from mixedsmooth.model.lmm import lmm
from mixedsmooth.model.parts import Data
from mixedsmooth.model.terms import smooth

if TYPE_CHECKING:
    from mixedsmooth.inference.profile import Path, Profile

__all__ = [
    "between",
    "caterpillar",
    "effective_sample_size",
    "effects",
    "likelihood_surface",
    "lines_by_group",
    "map",
    "matrix_picture",
    "profile_density",
    "profile_zeta",
    "qq",
    "residuals",
    "shrinkage",
    "shrinkage_factor_curve",
    "style",
    "surface",
    "variance_buckets",
    "within",
]

FloatArray = NDArray[np.float64]

# Okabe and Ito's colors for all kinds of color vision: the four of them that keep a contrast of
# 3:1 on white, and on a dark page under the filter invert(1) hue-rotate(180deg).
BLUE, VERMILION, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
COLORS = (BLUE, VERMILION, GREEN, PURPLE)
INK, GRAY = "#222222", "#808080"

_UNIFORM = LinearSegmentedColormap.from_list("uniform", [BLUE, BLUE])
_POSITIVE = LinearSegmentedColormap.from_list("positive", ["#9ccbe8", BLUE, "#003553"])
_SIGNED = LinearSegmentedColormap.from_list(
    "signed", ["#6b2f00", VERMILION, "#d9d9d9", BLUE, "#003553"]
)
# Of one lightness step after the other, so that they can be read in gray: values and their errors.
_STEPS = LinearSegmentedColormap.from_list(
    "steps", ["#e5f3fa", "#aecde1", "#78a7c8", "#3d83b1", "#006099"]
)
_ERRORS = LinearSegmentedColormap.from_list(
    "errors", ["#fcefde", "#e8c5a4", "#d49b70", "#c17043", "#ac401d"]
)
_HALO: list[AbstractPathEffect] = [
    withStroke(linewidth=2.5, foreground="white")
]  # around text on a color
_RING: dict[str, Any] = {"color": VERMILION, "fillstyle": "none", "markeredgewidth": 1.4}
_CHARACTER = 0.65  # width of a character of DejaVu Sans, as a share of the font size, rounded up
_LINE = 1.3  # height of a line of text, likewise

LONGEST = 22  # letters of a title above one of three panels
MOST_NAMED = 100  # levels that a figure names
MANY = 3000  # points from which on they are drawn as an image
FEWEST_FOR_A_TREND = 6  # distinct fitted values
CONTOURS = 8  # steps of a color scale, at most
APART = 15  # pixels between numbers on contours, at least
PAD = 0.1  # around the axes of a figure of several, in inches
ROUNDING = 1e-10  # a part of the variance of an effect that its predictions do not have


def style() -> None:
    """Set Matplotlib up for the book's figures.

    Transparent backgrounds and dark ink, so that a page can show the figure on white or inverted
    on black; text that can be read when the 6.5 by 4 inch figure is as wide as a phone; SVG output
    in notebooks, the same bytes for the same figure at every run (no date, fixed identifiers).

    Examples
    --------
    >>> from mixedsmooth import plots
    >>> plots.style()
    >>> import matplotlib.pyplot as plt
    >>> plt.rcParams["figure.figsize"]
    [6.5, 4.0]
    """
    plt.rcParams.update(
        {
            **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor"), INK),
            **dict.fromkeys(("xtick.color", "ytick.color"), INK),
            **dict.fromkeys(("figure.facecolor", "axes.facecolor", "savefig.facecolor"), "none"),
            **dict.fromkeys(("font.size", "axes.titlesize", "axes.labelsize"), 12),
            **dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), 11),
            **dict.fromkeys(("axes.spines.top", "axes.spines.right", "legend.frameon"), False),
            "figure.figsize": (6.5, 4.0),
            "figure.constrained_layout.use": True,
            "axes.prop_cycle": cycler(color=COLORS),
            "axes.titlelocation": "left",
            "font.family": "sans-serif",
            "font.sans-serif": ["DejaVu Sans"],
            "svg.fonttype": "path",
            "svg.hashsalt": "mixedsmooth",
        }
    )
    if _in_notebook():
        try:
            from matplotlib_inline.backend_inline import set_matplotlib_formats
        except ImportError:  # a kernel with another way to show figures
            return
        set_matplotlib_formats("svg", metadata={"Date": None})  # type: ignore[no-untyped-call]


def lines_by_group(
    x: ArrayLike,
    y: ArrayLike,
    group: ArrayLike,
    ax: Axes | None = None,
    *,
    highlight: Sequence[Any] = (),
    xlabel: str = "",
    ylabel: str = "",
) -> Axes:
    """Draw y against x, one line for each group.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        The observations; within a group they are joined in the order of x.
    group : array_like, shape (n,)
        The label of each observation's group.
    ax : Axes, optional
        Where to draw; a new figure without.
    highlight : sequence of labels, optional
        Groups to draw in color, with markers, and named at the right; the others are gray.
    xlabel, ylabel : str, optional
        Names of the axes, with units.

    Returns
    -------
    Axes
        With the gray lines first, in sorted order of the groups, then the highlighted ones, in the
        order given.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, or `highlight` names a group that is not there.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import mixedsmooth as ms
    >>> from mixedsmooth import plots
    >>> sleep = ms.load_sleepstudy()
    >>> ax = plots.lines_by_group(
    ...     sleep.days, sleep.reaction, sleep.subject, highlight=["308", "309"],
    ...     xlabel="days of sleep restriction", ylabel="reaction time [ms]")
    >>> len(ax.get_lines())
    18
    >>> plt.close()
    """
    x, y, group, levels, highlight = _grouped(x, y, group, highlight)
    ax = _axes(ax, xlabel, ylabel)

    def draw(level: Any, **look: Any) -> tuple[float, float]:
        rows = np.flatnonzero(group == level)
        rows = rows[np.argsort(x[rows], kind="stable")]
        ax.plot(x[rows], y[rows], **look)
        return float(x[rows[-1]]), float(y[rows[-1]])

    for level in levels:
        if level not in highlight:
            draw(level, color=GRAY, linewidth=1.0)
    looks = dict(zip(highlight, _looks(), strict=False))
    ends = [draw(level, **look._asdict(), linewidth=2.0) for level, look in looks.items()]
    _label_at_right(ax, ends, [str(level) for level in looks], [c.color for c in looks.values()])
    if np.all(x == np.round(x)):
        years = MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10])  # or days
        ax.xaxis.set_major_locator(years)
    return ax


def profile_zeta(
    profile: "Profile",
    names: Sequence[str] | None = None,
    axes: Sequence[Axes] | None = None,
    *,
    level: float = 0.95,
) -> list[Axes]:
    """Draw how zeta, the signed root of the rise of the deviance, grows with each parameter.

    A straight line says that an estimate plus and minus standard errors is a good interval. The
    dashed line is this straight line, with the slope at the estimate.

    Parameters
    ----------
    profile : Profile
        What ``fit.profile()`` returns.
    names : sequence of str, optional
        Parameters to draw; otherwise all that have a path.
    axes : sequence of Axes, optional
        Where to draw, one for each parameter; panels of a new figure without.
    level : float
        Coverage of the interval that is marked, between 0 and 1.

    Returns
    -------
    list of Axes
        One for each parameter.

    Raises
    ------
    ValueError
        If a name is unknown or its path is empty, there are too few axes, or `level` is not between
        0 and 1.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import mixedsmooth as ms
    >>> from mixedsmooth import plots
    >>> fit = ms.lmm_formula("reaction ~ days + (1 | subject)", ms.load_sleepstudy())
    >>> axes = plots.profile_zeta(fit.profile())
    >>> [ax.get_xlabel() for ax in axes[1:]]
    ['sigma', '(Intercept)', 'days']
    >>> plt.close()
    """
    z = float(ndtri((1 + share("level", level)) / 2))
    chosen, panels = _drawn(profile, names, axes)
    ends = profile.confint(level)
    for name, ax in zip(chosen, panels, strict=True):
        path, zeta = profile[name], _zeta_of(profile[name])
        v = np.linspace(path.value[0], path.value[-1], 200)
        estimate = float(profile.estimate[profile.names.index(name)])
        ax.axhline(0, color=GRAY, linewidth=0.8)
        with np.errstate(invalid="ignore"):
            line = float(zeta.derivative()(estimate)) * (v - estimate)
        ax.plot(v, line, "--", color=GRAY, linewidth=1.2)
        ax.plot(v, zeta(v), color=BLUE, linewidth=2)
        for end, height in zip(ends[name], (-z, z), strict=True):
            inside = path.value[0] <= end <= path.value[-1]
            if inside and abs(float(zeta(end)) - height) < 0.1:  # it is reached
                ax.plot([end, end], [0, height], color=VERMILION, linewidth=1.5)
                ax.plot(end, height, "o", color=VERMILION, markersize=5)
        ax.set_ylim(-4.5, 4.5)
        ax.set_yticks([-4, -2, 0, 2, 4])
        _name_below(ax, name)
    panels[0].set_ylabel("ζ")
    return panels


def profile_density(
    profile: "Profile",
    names: Sequence[str] | None = None,
    axes: Sequence[Axes] | None = None,
) -> list[Axes]:
    """Draw the density that a profile implies for each parameter, if zeta is standard normal.

    Where a path ends at the end of a range, such as a standard deviation of zero, the area under
    the curve is less than 1.

    Parameters
    ----------
    profile : Profile
        What ``fit.profile()`` returns.
    names : sequence of str, optional
        Parameters to draw; otherwise all that have a path.
    axes : sequence of Axes, optional
        Where to draw, one for each parameter; panels of a new figure without.

    Returns
    -------
    list of Axes
        One for each parameter.

    Raises
    ------
    ValueError
        If a name is unknown or its path is empty, or there are too few axes.

    References
    ----------
    Bates et al. (2015), section 5.1; lme4's `densityplot` of a profile.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import mixedsmooth as ms
    >>> from mixedsmooth import plots
    >>> fit = ms.lmm_formula("reaction ~ days + (1 | subject)", ms.load_sleepstudy())
    >>> (ax,) = plots.profile_density(fit.profile(), ["sigma"])
    >>> ax.get_xlabel()
    'sigma'
    >>> plt.close()
    """
    chosen, panels = _drawn(profile, names, axes)
    for name, ax in zip(chosen, panels, strict=True):
        path, zeta = profile[name], _zeta_of(profile[name])
        v = np.linspace(path.value[0], path.value[-1], 400)
        # p(v) = phi(zeta(v)) dzeta/dv
        density = np.exp(-(zeta(v) ** 2) / 2) / np.sqrt(2 * np.pi)
        density *= np.maximum(zeta.derivative()(v), 0.0)
        ax.plot(v, density, color=BLUE, linewidth=2)
        ax.fill_between(v, density, color=BLUE, alpha=0.15)
        estimate = float(profile.estimate[profile.names.index(name)])
        ax.axvline(estimate, color=VERMILION, linewidth=1.2, linestyle="--")
        ax.set_ylim(bottom=0)
        ax.set_yticks([])
        _name_below(ax, name)
    panels[0].set_ylabel("density")
    return panels


def between(
    x: ArrayLike,
    y: ArrayLike,
    group: ArrayLike,
    ax: Axes | None = None,
    *,
    highlight: Sequence[Any] = (),
    xlabel: str = "group mean of x",
    ylabel: str = "group mean of y",
) -> Axes:
    """Draw the group means of y against those of x, with their least-squares line.

    Each group counts once, whatever its size. The legend above the figure tells the slope.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        The observations.
    group : array_like, shape (n,)
        The label of each observation's group.
    ax : Axes, optional
        Where to draw; a new figure without.
    highlight : sequence of labels, optional
        Groups to draw with markers of their own, named in the legend.
    xlabel, ylabel : str, optional
        Names of the axes, with units.

    Returns
    -------
    Axes
        Its first line is the least-squares line.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, `highlight` names a group that is not there, or
        x has the same mean in all groups.

    See Also
    --------
    within : The same for the deviations from the group means.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import mixedsmooth as ms
    >>> from mixedsmooth import plots
    >>> gas = ms.load_gasoline()
    >>> ax = plots.between(gas.lincomep, gas.lcarpcap, gas.country, highlight=["U.S.A."])
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['slope 0.878', 'U.S.A.']
    >>> plt.close()
    """
    x, y, group, levels, highlight = _grouped(x, y, group, highlight)
    member = group == levels[:, None]
    mean_x, mean_y = (np.array([v[rows].mean() for rows in member]) for v in (x, y))
    if np.ptp(mean_x) <= 1e-12 * np.abs(mean_x).max():
        none = "there is no difference between the groups to draw a line through"
        raise ValueError(
            f"x has the mean {mean_x[0]:.6g} in every group: {none}; use an x that differs"
        )
    return _scatter_with_line(_axes(ax, xlabel, ylabel), mean_x, mean_y, levels, highlight)


def within(
    x: ArrayLike,
    y: ArrayLike,
    group: ArrayLike,
    ax: Axes | None = None,
    *,
    highlight: Sequence[Any] = (),
    xlabel: str = "x minus its group mean",
    ylabel: str = "y minus its group mean",
) -> Axes:
    """Draw the deviations of y and x from their group means, with their least-squares line.

    The line goes through the origin, where every group has its mean. The legend above the figure
    tells the slope.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        The observations.
    group : array_like, shape (n,)
        The label of each observation's group.
    ax : Axes, optional
        Where to draw; a new figure without.
    highlight : sequence of labels, optional
        Groups to draw with markers of their own, named in the legend.
    xlabel, ylabel : str, optional
        Names of the axes, with units.

    Returns
    -------
    Axes
        Its first line is the least-squares line.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, `highlight` names a group that is not there, or
        x does not vary within any group.

    See Also
    --------
    between : The same for the group means.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import mixedsmooth as ms
    >>> from mixedsmooth import plots
    >>> gas = ms.load_gasoline()
    >>> ax = plots.within(gas.lincomep, gas.lcarpcap, gas.country)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['slope 2.35']
    >>> plt.close()
    """
    x, y, group, levels, highlight = _grouped(x, y, group, highlight)
    deviation_x, deviation_y = x.copy(), y.copy()
    for rows in group == levels[:, None]:
        deviation_x[rows] -= x[rows].mean()
        deviation_y[rows] -= y[rows].mean()
    if np.abs(deviation_x).max() <= 1e-12 * np.abs(x).max():
        none = "there is no change within a group to draw a line through"
        raise ValueError(f"x is constant within every group: {none}; use an x that varies")
    ax = _axes(ax, xlabel, ylabel)
    return _scatter_with_line(ax, deviation_x, deviation_y, group, highlight)


def variance_buckets(
    between: float,
    within: float,
    ax: Axes | None = None,
    *,
    names: tuple[str, str] = ("between groups", "within groups"),
    unit: str = "",
) -> Axes:
    """Draw a variance as one bar, split in two buckets that are labeled with their shares.

    Parameters
    ----------
    between, within : float
        The variances, not negative; at least one of them positive.
    ax : Axes, optional
        Where to draw; a new, flat figure without.
    names : tuple of str, optional
        What the two buckets are called.
    unit : str, optional
        Unit of the variances, for example "ms²".

    Returns
    -------
    Axes
        With the two bars as its patches; the horizontal axis is the share of the total.

    Raises
    ------
    ValueError
        If a variance is negative or not finite, or both are zero.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from mixedsmooth import plots
    >>> ax = plots.variance_buckets(1296.87, 954.53, unit="ms²")
    >>> print(ax.texts[0].get_text())
    between groups
    58% (1297 ms²)
    >>> plt.close()
    """
    for name, variance in (("between", between), ("within", within)):
        if not (np.isfinite(variance) and variance >= 0):
            raise ValueError(f"{name} must be a finite variance, zero or more, found {variance}")
    total = positive("between + within", between + within)
    share = between / total

    ax = _axes(ax, height=1.9)
    look: dict[str, Any] = {"height": 1.0, "edgecolor": "white", "linewidth": 0.0}
    ax.barh(0, share, color=BLUE, **look)
    ax.barh(0, 1 - share, left=share, color=VERMILION, hatch="///", **look)
    for name, variance, x in ((names[0], between, 0.0), (names[1], within, 1.0)):
        value = f"{_number(variance)} {unit}".strip()
        text, side = f"{name}\n{variance / total:.0%} ({value})", "right" if x else "left"
        place: dict[str, Any] = {"textcoords": "offset points", "ha": side, "va": "bottom"}
        ax.annotate(text, (x, 0.5), (0, 5), annotation_clip=False, **place)
    ax.set(xlim=(0, 1), ylim=(-0.5, 0.5), yticks=[], xlabel="share of the variance")
    ax.set_xticks(np.linspace(0, 1, 5), [f"{tick:.0%}" for tick in np.linspace(0, 1, 5)])
    ax.spines["left"].set_visible(False)
    return ax


def effective_sample_size(
    group_size: int, ax: Axes | None = None, *, n_groups: int = 1, icc: float | None = None
) -> Axes:
    """Draw how many independent observations grouped ones are worth, for estimating a mean.

    With m observations in each of k groups and intraclass correlation rho,
    n_eff = m k / (1 + (m - 1) rho): from m k at rho = 0 down to k at rho = 1.

    Parameters
    ----------
    group_size : int
        Observations in each group, m.
    ax : Axes, optional
        Where to draw; a new figure without.
    n_groups : int, optional
        Number of groups, k.
    icc : float, optional
        An intraclass correlation to mark on the curve, between 0 and 1.

    Returns
    -------
    Axes
        Its first line is the curve.

    Raises
    ------
    ValueError
        If `group_size` or `n_groups` is below 1, or `icc` is not between 0 and 1.

    References
    ----------
    Kish, L. (1965). Survey Sampling. Wiley: the design effect 1 + (m - 1) rho.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from mixedsmooth import plots
    >>> ax = plots.effective_sample_size(10, n_groups=18, icc=0.576)
    >>> ax.get_legend().get_texts()[0].get_text()
    'at 0.576, 180 observations are worth 29.1'
    >>> plt.close()
    """
    group_size, n_groups = whole("group_size", group_size, 1), whole("n_groups", n_groups, 1)
    if icc is not None and not 0 <= icc <= 1:
        raise ValueError(f"icc must be a correlation between 0 and 1, found {icc}")
    n = group_size * n_groups

    ax = _axes(ax, "intraclass correlation", "effective sample size")
    rho = np.linspace(0, 1, 401)
    ax.plot(rho, n / (1 + (group_size - 1) * rho), color=BLUE, linewidth=2)
    ax.set(xlim=(0, 1), ylim=(0, 1.05 * n))
    for height in (n, n_groups):
        ax.axhline(height, color=GRAY, linewidth=1, linestyle=":", zorder=0)
    names = [f"{n} observation{'s'[: n > 1]}", f"{n_groups} group{'s'[: n_groups > 1]}"]
    _label_at_right(ax, [(1, n), (1, n_groups)], names, [INK, INK])
    if icc is not None:
        worth = n / (1 + (group_size - 1) * icc)
        label = f"at {_number(icc, 3)}, {n} observations are worth {_number(worth, 3)}"
        ax.plot(icc, worth, "o", color=VERMILION, markersize=9, clip_on=False, label=label)
        _legend_above(ax)
    return ax


def matrix_picture(
    M: ArrayLike,
    ax: Axes | None = None,
    *,
    row_labels: ArrayLike | None = None,
    column_labels: ArrayLike | None = None,
    annotate: bool = False,
) -> Axes:
    """Draw a matrix as a picture: zeros are blank, everything else is filled.

    The fill tells the size of an entry, with a colorbar, or with one line of text if all entries
    that are not zero are equal. Negative entries are hatched.

    Parameters
    ----------
    M : array_like, shape (n, k)
        The matrix.
    ax : Axes, optional
        Where to draw; a new figure without.
    row_labels, column_labels : array_like, shape (n,), (k,), optional
        Labels of rows and columns. Neighbors with the same label share one, in their middle; when
        there is no room for all, every second (third, ...) is shown.
    annotate : bool, optional
        Print the entries, to four digits, instead of telling their size by the fill.

    Returns
    -------
    Axes
        With the picture as its only image.

    Raises
    ------
    ValueError
        If `M` is not a matrix of finite numbers, labels do not match it, or `annotate` asks for
        more numbers than the axes can hold legibly.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from mixedsmooth import plots
    >>> Z = [[1, 0], [1, 0], [0, 1]]
    >>> ax = plots.matrix_picture(
    ...     Z, row_labels=["a", "a", "b"], column_labels=["a", "b"], annotate=True)
    >>> [text.get_text() for text in ax.texts]
    ['1', '1', '1']
    >>> plt.close()
    """
    M = as_matrix("M", M)
    n, k = M.shape
    rows = None if row_labels is None else as_labels("row_labels", row_labels, n)
    columns = None if column_labels is None else as_labels("column_labels", column_labels, k)
    ax = _axes(ax, height=_matrix_height(n, rows, columns, annotate))
    filled = np.ma.masked_equal(M, 0.0)
    entries = np.unique(filled.compressed())
    # Long thin matrices are stretched; for the others a cell is a square.
    square = not annotate and max(n, k) <= 4 * min(n, k)
    aspect: Literal["equal", "auto"] = "equal" if square else "auto"
    look: dict[str, Any] = {"cmap": _POSITIVE}
    if annotate or entries.size <= 1:
        look = {"cmap": _UNIFORM, "alpha": 0.2 if annotate else 1.0}
    elif entries[0] < 0:
        size = np.abs(entries).max()
        look = {"cmap": _SIGNED, "vmin": -size, "vmax": size}
    image = ax.imshow(filled, aspect=aspect, interpolation="nearest", **look)
    if look["cmap"] is not _UNIFORM:
        ax.figure.colorbar(image, ax=ax)
    if annotate:
        _print_entries(ax, M)
        ax.set_xticks(np.arange(1, k) - 0.5, minor=True)
        ax.set_yticks(np.arange(1, n) - 0.5, minor=True)
        ax.grid(which="minor", color=GRAY, linewidth=0.5)
    else:
        notes = [f"filled: {_number(entries[0])}, blank: 0"] if entries.size == 1 else []
        if entries.size and entries[0] < 0:
            hatched = np.ma.masked_greater_equal(M, 0.0)
            edges = np.arange(k + 1) - 0.5, np.arange(n + 1) - 0.5
            ax.pcolor(*edges, hatched, hatch="////", facecolor="none", edgecolor=INK, linewidth=0)
            notes = [*notes, "hatched: negative"]
        ax.set_xlabel("\n".join([f"{n} × {k}", *notes]))
    ax.tick_params(which="both", length=0, top=False, labeltop=True, labelbottom=False)
    ax.spines[:].set_visible(True)
    _tick_labels(ax, rows, columns)
    return ax


def likelihood_surface(
    y: ArrayLike,
    X: ArrayLike,
    Z: ArrayLike,
    ax: Axes | None = None,
    *,
    optimum: tuple[float, float],
    path: ArrayLike | None = None,
    tau_range: tuple[float, float] | None = None,
    sigma_range: tuple[float, float] | None = None,
    negloglik: NegLogLik = negloglik_transformed,
) -> Axes:
    """Draw how far the log-likelihood drops below its maximum, over tau and sigma.

    Contours stand at drops of 1, 2, 5, 10, 20, 50, ... Both axes are logarithmic, because the
    optimizer works with (log tau, log sigma), and labeled in the units of y.

    Parameters
    ----------
    y : array_like, shape (n,)
        Response.
    X : array_like, shape (n, p)
        Design matrix of the fixed effects.
    Z : array_like, shape (n, q)
        Design matrix of the random effects.
    ax : Axes, optional
        Where to draw; a new figure without.
    optimum : tuple of float
        (tau, sigma) to mark, for example ``(fit.tau, fit.sigma)``.
    path : array_like, shape (m, 2), optional
        The optimizer's steps as (log tau, log sigma), for example ``fit_ml(...).path``; drawn with
        markers as far as they lie in the ranges.
    tau_range, sigma_range : tuple of float, optional
        Lowest and highest value, in the units of y. Without, a factor of 2.5 (tau) and 1.5 (sigma)
        to either side of the optimum.
    negloglik : callable, optional
        Negative log-likelihood, called as ``negloglik((log tau, log sigma), y, X, Z)``, 1600 times.

    Returns
    -------
    Axes
        With tau on the horizontal and sigma on the vertical axis.

    Raises
    ------
    ValueError
        If an argument has the wrong shape or is not finite, or a range is not positive and rising.

    Notes
    -----
    The drop is measured from the smallest negative log-likelihood on the grid and at `optimum`.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> from mixedsmooth import plots
    >>> from mixedsmooth.derivations.likelihood import grouping_columns
    >>> y, X = np.array([1.0, 2.0, 4.0, 4.5, 9.0, 7.0]), np.ones((6, 1))
    >>> Z, levels = grouping_columns(["a", "a", "b", "b", "c", "c"])
    >>> ax = plots.likelihood_surface(
    ...     y, X, Z, optimum=(2.2, 1.0), tau_range=(0.5, 10), sigma_range=(0.3, 3))
    >>> ax.get_xscale()
    'log'
    >>> plt.close()
    """
    y = as_vector("y", y)
    X, Z = as_matrix("X", X, y.size), as_matrix("Z", Z, y.size)
    steps = None if path is None else as_matrix("path", path)
    if steps is not None and steps.shape[1] != 2:
        raise ValueError(
            f"path must have two columns, (log tau, log sigma), found {steps.shape[1]}"
        )
    tau, sigma = positive("optimum[0]", optimum[0]), positive("optimum[1]", optimum[1])
    tau_range = _range("tau_range", tau_range or (tau / 2.5, tau * 2.5))
    sigma_range = _range("sigma_range", sigma_range or (sigma / 1.5, sigma * 1.5))

    log_tau, log_sigma = (
        np.linspace(np.log(low), np.log(high), 40) for low, high in (tau_range, sigma_range)
    )
    value = np.array([[negloglik(np.array([t, s]), y, X, Z) for t in log_tau] for s in log_sigma])
    drop = value - min(value.min(), negloglik(np.log([tau, sigma]), y, X, Z))
    levels = _one_two_five(max(1.0, drop.min()), drop.max())
    if not levels:
        raise ValueError(
            f"tau_range {tau_range} and sigma_range {sigma_range} hold no contour: the drop in "
            f"log-likelihood goes from {drop.min():.3g} to {drop.max():.3g} there; widen them"
        )

    ax = _axes(ax, "τ, standard deviation between groups", "σ, standard deviation within")
    ax.set(xscale="log", yscale="log", xlim=tau_range, ylim=sigma_range)
    at = np.exp(log_tau), np.exp(log_sigma)
    contours = ax.contour(*at, drop, levels, colors=BLUE, linewidths=1.0)
    _label_contours(contours, (log_tau, log_sigma), drop, steps)
    if steps is not None:
        label = f"optimizer's path, {len(steps)} points"
        ax.plot(*np.exp(steps.T), "o-", color=VERMILION, markersize=4, linewidth=1, label=label)
    label = f"optimum: τ = {tau:.4g}, σ = {sigma:.4g}"
    ax.plot(tau, sigma, "*", color=INK, markersize=11, label=label, linestyle="none")
    for axis, limits in ((ax.xaxis, tau_range), (ax.yaxis, sigma_range)):
        ticks = _round_ticks(*limits)
        axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_ticks([], minor=True)
    _legend_above(ax)
    return ax


def surface(
    surface: Surface,
    axes: Axes | Sequence[Axes] | None = None,
    *,
    points: Data | None = None,
    near: float | None = None,
    equal: bool = False,
    label: str = "",
    xlabel: str = "",
    ylabel: str = "",
) -> list[Axes]:
    """Draw a surface by contours, and its standard errors beside it.

    Parameters
    ----------
    surface : Surface
        What ``fit.smooth()`` returns for two grids.
    axes : Axes or sequence of Axes, optional
        One to draw the surface on, or two for its standard errors, too; a new figure with two
        panels without.
    points : mapping of str to array_like, optional
        Observations to draw as dots: columns by the names of the two covariates, such as the data.
    near : float, optional
        What is farther than this from all points stays blank, as a part of the ranges of the
        grids: 0.1 for a tenth.
    equal : bool, optional
        Whether one unit is as long in both directions, as on a map.
    label : str, optional
        What the surface is, with units.
    xlabel, ylabel : str, optional
        Names of the axes, with units; without the names of the covariates.

    Returns
    -------
    list of Axes
        One, or two.

    Raises
    ------
    ValueError
        If `surface` is none, there are more axes than two, `points` lacks a covariate, `near` is
        not positive, is given without points, or leaves nothing to draw.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import numpy as np
    >>> import mixedsmooth as ms
    >>> from mixedsmooth import plots
    >>> ethanol = ms.load_ethanol()
    >>> c, e = ethanol.compression, ethanol.equivalence
    >>> fit = ms.lmm(ethanol.nox, ms.smooth(compression=c, equivalence=e, basis="t2", k=(4, 5)))
    >>> grids = {"compression": np.linspace(8, 18, 20), "equivalence": np.linspace(0.6, 1.2, 20)}
    >>> value, error = plots.surface(
    ...     fit.smooth("compression, equivalence", grids), points=ethanol, label="NOx [µg/J]")
    >>> value.get_xlabel(), value.get_ylabel()
    ('compression', 'equivalence')
    >>> plt.close()
    """
    if not isinstance(surface, Surface):
        raise ValueError(
            f"surface must be what fit.smooth() returns for two grids, found {surface!r:.60}"
        )
    for name, grid in zip(surface.names, surface.grids, strict=True):
        if len(grid) < 2 or np.any(np.diff(grid) <= 0):
            raise ValueError(f"surface must have a grid of {name} with two values or more, rising")
    equal = flag("equal", equal)
    seen = _seen(surface, points)
    far = np.zeros(surface.value.shape, dtype=bool)
    if near is not None:
        if seen is None:
            raise ValueError("near is a distance from the points; give points, too")
        far = _far(surface.grids, seen, positive("near", near))
    if axes is None:
        x, y = (float(np.ptp(grid)) for grid in surface.grids)
        height = min(1.4 + 2.6 * y / x, 6.5) if equal else 3.6
        panels = _panels(None, 2, height=height, sharey=True)
    else:
        panels = list(np.ravel(np.asarray(axes, dtype=object)))
    if len(panels) > 2:
        raise ValueError(f"axes must be one or two, found {len(panels)}")
    looks = ((surface.value, _STEPS, "estimate"), (surface.se, _ERRORS, "standard error"))
    lines = []
    for ax, (values, colors, title) in zip(panels, looks, strict=False):
        shown = np.ma.masked_array(values, mask=far).T
        lines.append(_filled_contours(ax, surface.grids, shown, colors, label))
        if seen is not None:
            _draw_seen(ax, surface.grids, seen)
        ax.set(xlim=surface.grids[0][[0, -1]], ylim=surface.grids[1][[0, -1]])
        ax.set(xlabel=xlabel or surface.names[0], title=title if len(panels) > 1 else "")
        if equal:
            ax.set_aspect("equal")
    panels[0].set_ylabel(ylabel or surface.names[1])
    _laid_out(panels[0])
    for contours in lines:
        _write_on_lines(contours)
    return panels


def map(
    polygons: Mapping[Any, ArrayLike],
    values: Mapping[Any, float],
    ax: Axes | None = None,
    *,
    mark: Sequence[Any] = (),
    marked: str = "",
    annotate: bool = False,
    limits: tuple[float, float] | None = None,
    label: str = "",
) -> Axes:
    """Draw a map of districts that are the darker the higher their value: a choropleth.

    Parameters
    ----------
    polygons : mapping of label to array_like of shape (m, 2)
        Outlines of the districts, such as ``ms.load_columbus().polygons``; rows of NaN stand
        between their parts. A part within another one of its district is a hole.
    values : mapping of label to float, or Series with labels as its index
        Values of districts; those without stay blank, and are dotted.
    ax : Axes, optional
        Where to draw; a new figure without.
    mark : sequence of labels, optional
        Districts to draw with a bold outline and hatching.
    marked : str, optional
        What it is that these have, for a line of text below the map.
    annotate : bool, optional
        Print the values, to two digits, in the districts that have room for them.
    limits : tuple of float, optional
        Lowest and highest value of the scale, to compare maps; without those of the values.
    label : str, optional
        What the values are, with units.

    Returns
    -------
    Axes
        With one scale for both directions.

    Raises
    ------
    ValueError
        If values are no mapping, a value is not finite or outside the limits, a value or a mark has
        no polygon, or an outline is none.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import mixedsmooth as ms
    >>> from mixedsmooth import plots
    >>> columbus = ms.load_columbus()
    >>> crime = dict(zip(columbus.district, columbus.crime))
    >>> ax = plots.map(columbus.polygons, crime, mark=["3"], label="crimes per 1000 households")
    >>> ax.get_aspect()
    1.0
    >>> plt.close()
    """
    for name, given in (("polygons", polygons), ("values", values)):
        if not hasattr(given, "items") or len(given) == 0:
            raise ValueError(
                f"{name} must be a mapping from the labels of districts, such as {{'a': ...}}; "
                f"found {given!r:.80}"
            )
    outlines = {each: _outline(each, polygon) for each, polygon in polygons.items()}
    values = dict(values.items())
    annotate = flag("annotate", annotate)
    chosen = [] if len(mark) == 0 else list(as_labels("mark", np.asarray(mark)))
    for name, labels in (("values", list(values)), ("mark", chosen)):
        if unknown := [each for each in labels if each not in outlines]:
            raise ValueError(f"{name} has {listed(unknown)}, for which there is no polygon")
    v = as_vector("values", list(values.values()))
    ends = (v.min(), v.max()) if limits is None else as_vector("limits", limits)
    if len(ends) != 2:
        raise ValueError(f"limits must be the lowest and the highest value, found {limits!r:.80}")
    low, high = (float(end) for end in ends)
    if not low <= v.min() <= v.max() <= high:
        raise ValueError(
            f"limits go from {low:g} to {high:g}, and values from {v.min():g} to {v.max():g}; "
            "widen them"
        )
    levels = _levels(low, high)
    ax = _axes(ax, height=5.0)
    fill = PatchCollection(
        [PathPatch(outlines[each]) for each in values],
        cmap=_STEPS,
        norm=BoundaryNorm(levels, _STEPS.N),
        edgecolor=INK,
        linewidth=0.6,
    )
    fill.set_array(v)
    ax.add_collection(fill)
    notes = []
    if without := [outline for each, outline in outlines.items() if each not in values]:
        for outline in without:
            ax.add_patch(PathPatch(outline, facecolor="none", hatch="..", edgecolor=GRAY))
        notes.append("dotted: no value")
    for each in chosen:
        look: dict[str, Any] = {"facecolor": "none", "hatch": "////", "zorder": 3}
        ax.add_patch(PathPatch(outlines[each], edgecolor=INK, linewidth=1.8, **look))
    if marked and chosen:
        notes.append(f"hatched: {marked}")
    ax.set(aspect="equal", xticks=[], yticks=[], xlabel="\n".join(notes))
    ax.spines[:].set_visible(False)
    ax.autoscale_view()
    _colorbar(ax, fill, levels, label)
    if annotate:
        _laid_out(ax)
        for each, value in values.items():
            _write_within(ax, outlines[each], _number(value, 2))
    return ax


def effects(
    levels: ArrayLike,
    effects: ArrayLike,
    sd: ArrayLike | None = None,
    ax: Axes | None = None,
    *,
    reference: ArrayLike | None = None,
    reference_label: str = "reference",
    xlabel: str = "predicted effect",
) -> Axes:
    """Draw predicted random effects in order of size, with intervals: a caterpillar plot.

    Parameters
    ----------
    levels : array_like, shape (q,)
        Labels of the groups.
    effects : array_like, shape (q,)
        Their predicted effects.
    sd : array_like, shape (q,), optional
        Standard deviations of the predictions; a bar reaches 1.96 of them to either side.
    ax : Axes, optional
        Where to draw; a new figure, high enough for all labels, without.
    reference : array_like, shape (q,), optional
        The same effects from another program, drawn as open rings around the points.
    reference_label : str, optional
        What the legend calls them, for example "lme4".
    xlabel : str, optional
        Name of the horizontal axis, with units.

    Returns
    -------
    Axes
        With the smallest effect at the bottom.

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, or a standard deviation is negative.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from mixedsmooth import plots
    >>> ax = plots.effects(["a", "b", "c"], [0.4, -1.0, 0.6], sd=[0.2, 0.2, 0.3])
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['b', 'a', 'c']
    >>> plt.close()
    """
    labels = as_labels("levels", levels)
    q = labels.size
    b = as_vector("effects", effects, q)
    spread = None if sd is None else as_vector("sd", sd, q)
    rings = None if reference is None else as_vector("reference", reference, q)
    if spread is not None and spread.min() < 0:
        raise ValueError(f"sd must not be negative, found {spread.min():g}")

    ax = _axes(ax, xlabel, height=_height(q))
    order, place = np.argsort(b, kind="stable"), np.arange(q)
    _level_axis(ax, labels[order])
    if spread is not None:
        reach = 1.96 * spread[order]
        label = "± 1.96 sd"
        ax.hlines(place, b[order] - reach, b[order] + reach, color=BLUE, label=label)
    ax.plot(b[order], place, "o", color=BLUE, markersize=5, label="prediction")
    if rings is not None:
        ax.plot(rings[order], place, "o", **_RING, markersize=10, label=reference_label)
    if spread is not None or rings is not None:
        _legend_above(ax)
    return ax


def shrinkage(
    raw: ArrayLike,
    predicted: ArrayLike,
    levels: ArrayLike,
    ax: Axes | None = None,
    *,
    xlabel: str = "deviation from the overall mean",
) -> Axes:
    """Draw how far prediction moves each group's raw deviation towards zero.

    Parameters
    ----------
    raw : array_like, shape (q,)
        The groups' mean residuals from the fixed effects, or their own least-squares estimates.
    predicted : array_like, shape (q,)
        The predicted random effects.
    levels : array_like, shape (q,)
        Labels of the groups.
    ax : Axes, optional
        Where to draw; a new figure, high enough for all labels, without.
    xlabel : str, optional
        Name of the horizontal axis, with units.

    Returns
    -------
    Axes
        With the smallest raw deviation at the bottom. An arrow leads from the ring (raw) to the
        point (predicted) wherever there is room for one.

    Raises
    ------
    ValueError
        If lengths differ or a value is not finite.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from mixedsmooth import plots
    >>> ax = plots.shrinkage([10.0, -4.0], [7.0, -3.0], ["a", "b"])
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['b', 'a']
    >>> plt.close()
    """
    labels = as_labels("levels", levels)
    start, end = as_vector("raw", raw, labels.size), as_vector("predicted", predicted, labels.size)

    ax = _axes(ax, xlabel, height=_height(labels.size))
    order, place = np.argsort(start, kind="stable"), np.arange(labels.size)
    _level_axis(ax, labels[order])
    ax.plot(start[order], place, "o", **_RING, markersize=6, label="raw")
    ax.plot(end[order], place, "o", color=BLUE, markersize=6, label="predicted")
    left, right = ax.get_xlim()
    point = (right - left) / _size(ax)[0]
    for row, (tail, head) in enumerate(zip(start[order], end[order], strict=True)):
        if abs(head - tail) > 9 * point:  # there is room between the markers
            arrow = {"arrowstyle": "-|>", "color": INK, "linewidth": 1.0, "shrinkA": 3.5}
            arrow |= {"shrinkB": 2.5, "mutation_scale": 8}
            ax.annotate("", (head, row), (tail, row), arrowprops=arrow)
    _legend_above(ax)
    return ax


def shrinkage_factor_curve(
    theta: float, ax: Axes | None = None, *, group_sizes: Sequence[float] = ()
) -> Axes:
    """Draw the share of its raw deviation that a group keeps, n / (n + 1 / theta²).

    Parameters
    ----------
    theta : float
        tau / sigma, above zero.
    ax : Axes, optional
        Where to draw; a new figure without.
    group_sizes : sequence of float, optional
        Group sizes n >= 1 to mark on the curve; their shares are told at the right.

    Returns
    -------
    Axes
        Its first line is the curve.

    Raises
    ------
    ValueError
        If `theta` is not positive, or a group size is below 1.

    See Also
    --------
    mixedsmooth.derivations.henderson.shrinkage_factor : The formula.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from mixedsmooth import plots
    >>> ax = plots.shrinkage_factor_curve(1.1656, group_sizes=[1, 10])
    >>> [text.get_text() for text in ax.texts]
    ['n = 1: 0.576', 'n = 10: 0.931']
    >>> plt.close()
    """
    theta = positive("theta", theta)
    sizes = np.unique(as_vector("group_sizes", group_sizes)) if len(group_sizes) else np.empty(0)
    if sizes.size and sizes[0] < 1:
        raise ValueError(f"group_sizes must be 1 or more, found {sizes[0]:g}")
    nine_tenths_kept = 9 / theta**2
    n = np.linspace(1, max(10.0, nine_tenths_kept, 1.1 * sizes.max(initial=1.0)), 401)

    ax = _axes(ax, "group size n", "share of the deviation kept")
    label = f"θ = {theta:.4g}"
    ax.plot(n, shrinkage_factor(n, theta), color=BLUE, linewidth=2, label=label)
    ax.axhline(1, color=GRAY, linewidth=1, linestyle=":", zorder=0)
    ax.set(xlim=(0, n[-1]), ylim=(0, 1.05))
    if sizes.size:
        shares = shrinkage_factor(sizes, theta)
        ax.plot(sizes, shares, "o", color=VERMILION, markersize=8)
        marked = list(zip(sizes.tolist(), shares.tolist(), strict=True))
        names = [f"n = {size:g}: {share:.3f}" for size, share in marked]
        _label_at_right(ax, marked, names, [INK] * len(marked))
    _legend_above(ax)
    return ax


def caterpillar(
    random: RandomEffects, axes: Sequence[Axes] | None = None, *, level: float = 0.95
) -> list[Axes]:
    """Draw the predicted effects of a term with their intervals: a panel for each effect.

    The levels have the same order in all panels, that of the first effect, so that a level can be
    followed from panel to panel. An interval that misses zero is drawn with a filled point.

    Parameters
    ----------
    random : RandomEffects
        The effects of a term, such as ``fit.random["subject"]``.
    axes : sequence of Axes, optional
        Where to draw, one for each effect; a new figure without, high enough for all labels. More
        than 100 levels are not named.
    level : float
        Coverage of the intervals, which are those of an effect given y at the estimated
        variances.

    Returns
    -------
    list of Axes
        With the smallest first effect at the bottom.

    Raises
    ------
    ValueError
        If `level` is not between 0 and 1, or there is not one of `axes` for each effect.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import mixedsmooth as ms
    >>> from mixedsmooth import plots
    >>> fit = ms.lmm_formula("reaction ~ days + (days | subject)", ms.load_sleepstudy())
    >>> intercepts, slopes = plots.caterpillar(fit.random["subject"])
    >>> [label.get_text() for label in intercepts.get_yticklabels()][:3]
    ['309', '310', '370']
    >>> plt.close()
    """
    if not isinstance(random, RandomEffects):
        raise ValueError(
            f"random must be the effects of one term, fit.random[...], found {random!r:.60}"
        )
    z = -float(ndtri((1 - share("level", level)) / 2))
    q, k = random.effects.shape
    named = q <= MOST_NAMED
    axes = _panels(axes, k, height=_height(q) if named else 4.0, sharey=True)
    order, place = np.argsort(random.effects[:, 0], kind="stable"), np.arange(q)
    bars: dict[str, Any] = {"color": BLUE} if named else {"color": GRAY, "linewidth": 0.4}
    points: dict[str, Any] = {"color": BLUE, "markersize": 5.0}
    points |= {} if named else {"color": INK, "markersize": 1.5}
    for a, (ax, name) in enumerate(zip(axes, random.names, strict=True)):
        b, reach = random.effects[order, a], z * random.conditional_sd[order, a]
        _level_axis(ax, random.levels[order])
        if not named:
            ax.set_yticks([])
            ax.grid(False)
        ax.hlines(place, b - reach, b + reach, **bars)
        apart = np.abs(b) > reach
        ax.plot(b[apart], place[apart], "o", **points)
        ax.plot(b[~apart], place[~apart], "o", markerfacecolor="w", **points)
        ax.set_xlabel(name)
        ax.tick_params(labelleft=ax is axes[0] and named)
    axes[0].set_ylabel(random.name)
    return axes


def residuals(fit: Fit, ax: Axes | None = None, *, residuals: ArrayLike | None = None) -> Axes:
    """Draw the residuals against the fitted values, with their trend and their spread.

    Where the model holds, the spread is the same all over, and the trend is straight: flat, but
    that it rises where effects are shrunk, as what shrinkage takes from a fitted value is in its
    residual. The trend is a smooth of the residuals, the spread one of their sizes, both by REML.

    Parameters
    ----------
    fit : Fit
        Any fit. Its residuals are drawn over the standard deviation that the model gives them; of
        a generalized fit the Pearson residuals, against the linear predictor.
    ax : Axes, optional
        Where to draw; a new figure without.
    residuals : array_like, shape (n,), optional
        Others to draw, such as ``fit.quantile_residuals(seed)``.

    Returns
    -------
    Axes
        With a line at zero, the residuals, the trend, and one spread above and below it. With
        fewer than six distinct fitted values there is neither trend nor spread.

    Raises
    ------
    ValueError
        If there is not one residual for each row that was used.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import mixedsmooth as ms
    >>> from mixedsmooth import plots
    >>> fit = ms.lmm_formula("reaction ~ days + (days | subject)", ms.load_sleepstudy())
    >>> ax = plots.residuals(fit)
    >>> points = ax.get_lines()[1]
    >>> print(points.get_ydata().max().round(2))  # of driver 332
    5.18
    >>> plt.close()
    """
    _look_at(fit)
    of, xlabel, ylabel = fit.fitted, "fitted value", "residual / sigma"
    if isinstance(fit, GeneralizedFit):
        of, xlabel, ylabel = fit.linear_predictor, "linear predictor", "Pearson residual"
    x, r = np.asarray(of, dtype=np.float64), scaled_residuals(fit)
    if residuals is not None:
        r, ylabel = as_vector("residuals", residuals, fit.n), "residual"
    ax = _axes(ax, xlabel, ylabel)
    ax.axhline(0, color=GRAY, linewidth=1, linestyle=":", zorder=0)
    points: dict[str, Any] = {"markersize": 4, "fillstyle": "none", "color": BLUE}
    points |= {"rasterized": fit.n > MANY, "alpha": 1 if fit.n <= MANY else 0.3}
    ax.plot(x, r, "o", **points)
    if len(np.unique(x)) >= FEWEST_FOR_A_TREND:
        grid = np.linspace(x.min(), x.max(), 101)
        trend = _trend(x, r, grid)
        # of a normal variable the mean size is sqrt(2 / pi) standard deviations
        spread = np.sqrt(np.pi / 2) * _trend(x, np.abs(r - _trend(x, r, x)), grid)
        ax.plot(grid, trend, color=INK, linewidth=2, label="trend")
        spread_look: dict[str, Any] = {"color": VERMILION, "linewidth": 1.5, "linestyle": "--"}
        ax.plot(grid, trend + spread, label="trend ± spread", **spread_look)
        ax.plot(grid, trend - spread, **spread_look)
        _legend_above(ax)
    return ax


def qq(
    fit: Fit,
    axes: Sequence[Axes] | None = None,
    *,
    residuals: ArrayLike | None = None,
    level: float = 0.95,
) -> list[Axes]:
    """Draw normal QQ plots of the residuals and of the predicted effects of each term.

    Residuals are drawn over the standard deviation that the model gives them, effects over that of
    their predictions, which are shrunk. Either lie about the diagonal where the model holds. The
    envelope is that of the order statistics of independent normal variables: of each point by
    itself, so that of many a few lie outside.

    Parameters
    ----------
    fit : Fit
        Any fit.
    axes : sequence of Axes, optional
        Where to draw, one for the residuals and one for each effect of a group; a new figure
        without.
    residuals : array_like, shape (n,), optional
        Others to draw, such as ``fit.quantile_residuals(seed)``.
    level : float
        Coverage of the envelope at each point.

    Returns
    -------
    list of Axes
        That of the residuals first.

    Raises
    ------
    ValueError
        If there is not one residual for each row that was used, `level` is not between 0 and 1, or
        there is not one of `axes` for each panel.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> import mixedsmooth as ms
    >>> from mixedsmooth import plots
    >>> fit = ms.lmm_formula("reaction ~ days + (days | subject)", ms.load_sleepstudy())
    >>> [ax.get_title("left") for ax in plots.qq(fit)]
    ['residuals', '(Intercept) | subject', 'days | subject']
    >>> plt.close()
    """
    _look_at(fit)
    share("level", level)
    r = scaled_residuals(fit) if residuals is None else as_vector("residuals", residuals, fit.n)
    samples = {"residuals": r}
    for (term, effects), g in zip(fit.random.items(), fit.model.groups, strict=True):
        if not g.is_smooth:
            # Var(b_hat) = Var(b) - Var(b | y)
            between = np.diag(effects.cov) - effects.conditional_sd**2
            for a, name in enumerate(effects.names):
                known = between[:, a] > ROUNDING * effects.cov[a, a]
                b = effects.effects[known, a] / np.sqrt(between[known, a])
                samples[f"{name} | {term}"] = b
    rows = int(np.ceil(len(samples) / 3))
    axes = _panels(axes, len(samples), height=2.9 * rows, sharey=False)
    for ax, (name, sample) in zip(axes, samples.items(), strict=True):
        _draw_qq(ax, sample, level)
        ax.set_title(name if len(name) <= LONGEST else name.replace(" | ", "\n| "), loc="left")
        ax.set_xlabel("normal quantile")
    axes[0].set_ylabel("standardized")
    return axes


def _look_at(fit: object) -> None:
    if not isinstance(fit, Fit):
        raise ValueError(f"fit must be what lmm() or glmm() returns, found {fit!r:.60}")


def _drawn(
    profile: "Profile", names: Sequence[str] | None, axes: Sequence[Axes] | None
) -> tuple[list[str], list[Axes]]:
    """Return the parameters to draw and an Axes for each."""
    from mixedsmooth.inference.profile import Profile

    if not isinstance(profile, Profile):
        raise ValueError(f"profile must be what fit.profile() returns, found {profile!r:.60}")
    if isinstance(names, str):
        raise ValueError(f"names must be a list, such as [{names!r}]")
    if names is None:
        chosen = [name for name in profile.names if len(profile[name].value) > 1]
    else:
        chosen = list(names)
    for name in chosen:
        if len(profile[name].value) < 2:
            raise ValueError(f"names has {name!r}, which has no path: {profile[name].lower}")
    if not chosen:
        raise ValueError("names is empty; name a parameter of the profile")
    rows = -(-len(chosen) // 3)
    return chosen, _panels(axes, len(chosen), height=2.3 * rows, sharey=False)


def _name_below(ax: Axes, name: str) -> None:
    """Name the horizontal axis, in as many lines as it takes."""
    room = int(_size(ax)[0] / (_CHARACTER * 12))
    ax.set_xlabel(fill(name, max(room, 10), break_long_words=False))


def _zeta_of(path: "Path") -> CubicSpline:
    """Zeta between the points of a path."""
    return CubicSpline(path.value, path.zeta)


class _Look(NamedTuple):
    color: str
    marker: str
    linestyle: str


def _looks() -> Iterator[_Look]:
    """Yield endless looks; cycles of 4, 5 and 3 repeat only after 60."""
    styles = zip(cycle(COLORS), cycle("os^Dv"), cycle(["-", "--", "-."]), strict=False)
    return (_Look(*look) for look in styles)


def _in_notebook() -> bool:
    """Whether IPython runs this, found without importing it."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None


def _axes(
    ax: Axes | None, xlabel: str = "", ylabel: str = "", *, height: float | None = None
) -> Axes:
    """Return the given Axes, or those of a new figure, with their names."""
    if ax is None:
        width, usual = plt.rcParams["figure.figsize"]
        _, ax = plt.subplots(figsize=(width, height or usual), layout="constrained")
    if xlabel:
        ax.set_xlabel(xlabel)
    if ylabel:
        ax.set_ylabel(ylabel)
    return ax


def _panels(axes: Sequence[Axes] | None, k: int, *, height: float, sharey: bool) -> list[Axes]:
    """Return the k given Axes, or those of a new figure, three in a row."""
    if axes is not None:
        given = list(np.ravel(np.asarray(axes, dtype=object)))
        if len(given) != k:
            raise ValueError(f"axes must have one for each of the {k} panels, found {len(given)}")
        return given
    columns = min(k, 3)
    rows = int(np.ceil(k / columns))
    size = (plt.rcParams["figure.figsize"][0], height)
    figure, made = plt.subplots(rows, columns, figsize=size, sharey=sharey, squeeze=False)
    figure.set_layout_engine("constrained", w_pad=PAD)  # numbers of two axes do not touch
    for ax in made.flat[k:]:
        figure.delaxes(ax)
    return list(made.flat[:k])


def _trend(x: FloatArray, r: FloatArray, at: FloatArray) -> FloatArray:
    """Smooth of r over x."""
    if np.ptp(r) == 0:
        return np.full(len(at), r[0])
    k = min(10, len(np.unique(x)) - 1)
    try:
        return lmm(r, smooth(x=x, basis="cr", k=k)).predict({"x": at})
    except ValueError:  # with one row a group r is a straight line in x, and nothing is left of it
        return np.asarray(np.polyval(np.polyfit(x, r, 1), at))


def _draw_qq(ax: Axes, sample: FloatArray, level: float) -> None:
    """Ordered values against normal quantiles, the diagonal and the envelope."""
    n = len(sample)
    if not n:
        ax.text(0.5, 0.5, "estimated as zero", ha="center", transform=ax.transAxes)
        ax.set(xticks=[], yticks=[])
        return
    i = np.arange(1, n + 1)
    # U_(i) ~ Beta(i, n + 1 - i)
    middle, low, high = (
        ndtri(betaincinv(i, n + 1 - i, p)) for p in (0.5, (1 - level) / 2, (1 + level) / 2)
    )
    ax.fill_between(middle, low, high, color=GRAY, alpha=0.3, linewidth=0)
    ax.plot(middle, middle, color=INK, linewidth=1)
    look: dict[str, Any] = {"markersize": 4, "fillstyle": "none", "color": BLUE}
    ax.plot(middle, np.sort(sample), "o", rasterized=n > MANY, **look)


def _size(ax: Axes) -> tuple[float, float]:
    """Width and height of the axes in points, before layout: close enough to place text."""
    return 72 * ax.bbox.width / ax.figure.dpi, 72 * ax.bbox.height / ax.figure.dpi


def _laid_out(ax: Axes) -> None:
    """Give all axes of the figure the places that they will have, for what is written on them."""
    figure = ax.get_figure(root=True)
    if figure is not None:
        figure.draw_without_rendering()


def _height(levels: int) -> float:
    """Height of a figure that has room for so many labels, in inches."""
    return max(4.0, 1.0 + levels * 11 * _LINE / 72)


def _seen(surface: Surface, points: Data | None) -> tuple[FloatArray, FloatArray] | None:
    """Places of the observations."""
    if points is None:
        return None
    one, other = surface.names
    x = as_vector(one, column_of(points, one))
    return x, as_vector(other, column_of(points, other), len(x))


def _far(
    grids: tuple[FloatArray, FloatArray], seen: tuple[FloatArray, FloatArray], near: float
) -> NDArray[np.bool_]:
    """Which points of a grid are farther from all that were seen, in parts of the ranges."""
    unit = [np.ptp(grid) for grid in grids]
    x, y = np.meshgrid(*(grid / u for grid, u in zip(grids, unit, strict=True)), indexing="ij")
    tree = cKDTree(np.column_stack([each / u for each, u in zip(seen, unit, strict=True)]))
    far: NDArray[np.bool_] = tree.query(np.stack([x, y], axis=-1))[0] > near
    if far.all():
        raise ValueError(f"near is {near:g}, and nothing on the grids is as near to a point")
    return far


def _draw_seen(
    ax: Axes, grids: tuple[FloatArray, FloatArray], seen: tuple[FloatArray, FloatArray]
) -> None:
    """Draw the observations within the grids as dots, whole ones at the edges too."""
    (x, y), (of_x, of_y) = seen, grids
    within = (x >= of_x[0]) & (x <= of_x[-1]) & (y >= of_y[0]) & (y <= of_y[-1])
    look: dict[str, Any] = {"color": INK, "markersize": 3, "clip_on": False}
    ax.plot(x[within], y[within], ".", rasterized=within.sum() > MANY, **look)


def _filled_contours(
    ax: Axes,
    grids: tuple[FloatArray, FloatArray],
    values: Any,
    colors: LinearSegmentedColormap,
    label: str,
) -> Any:
    """Fill the steps between contours; and draw the lines, which are returned, and a colorbar."""
    levels = _levels(float(values.min()), float(values.max()))
    filled = ax.contourf(*grids, values, levels, cmap=colors)
    lines = ax.contour(*grids, values, levels, colors=INK, linewidths=0.6)
    _colorbar(ax, filled, levels, label)
    return lines


def _levels(low: float, high: float) -> FloatArray:
    """Round numbers from below the lowest to above the highest value."""
    return np.asarray(MaxNLocator(CONTOURS, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high))


def _colorbar(ax: Axes, of: Any, levels: FloatArray, label: str) -> None:
    """Explain the steps of a color scale below the axes, numbers where there is room for them."""
    bar = ax.figure.colorbar(of, ax=ax, location="bottom", aspect=25, pad=0.02, drawedges=True)
    texts = [_short(level) for level in levels]
    width = _CHARACTER * 11 * (max(len(text) for text in texts) + 1)
    every = int(np.ceil(width * (len(levels) - 1) / _size(ax)[0]))
    bar.set_ticks(list(levels[::every]), labels=texts[::every])
    bar.ax.minorticks_off()
    bar.set_label(label)


def _write_on_lines(contours: Any) -> None:
    """Write its level on each line, where that is within the axes and covers no other."""
    ax = contours.axes
    taken: list[Any] = []
    for text in ax.clabel(contours, fmt=_short, fontsize=10, colors=INK, inline=False):
        text.set_path_effects(_HALO)
        box = text.get_window_extent()
        inside = all(ax.bbox.contains(*corner) for corner in box.corners())
        if inside and not any(box.overlaps(other) for other in taken):
            taken.append(box.padded(APART))
        else:
            text.remove()


def _outline(label: Any, polygon: ArrayLike) -> Outline:
    """Parts of a polygon as one path, holes the other way round."""
    at = np.asarray(polygon, dtype=np.float64)
    if at.ndim != 2 or at.shape[1] != 2:
        raise ValueError(f"polygons of {label} must have two columns, found shape {at.shape}")
    if np.isinf(at).any():
        raise ValueError(f"polygons of {label} have a corner that is infinite; mend it")
    ends = np.flatnonzero(np.isnan(at).any(axis=1))
    parts = [part[~np.isnan(part).any(axis=1)] for part in np.split(at, ends)]
    parts = [part for part in parts if len(part) > 2]
    if not parts:
        raise ValueError(f"polygons of {label} have no part with three corners or more")
    vertices, codes = [], []
    for part in parts:
        around = sum(Outline(other).contains_point(part[0]) for other in parts if other is not part)
        x, y = part.T
        left_about = np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) > 0
        turned = part if left_about == (around % 2 == 0) else part[::-1]
        vertices += [turned, turned[:1]]
        codes += [Outline.MOVETO, *[Outline.LINETO] * (len(part) - 1), Outline.CLOSEPOLY]
    return Outline(np.concatenate(vertices), codes)


def _write_within(ax: Axes, outline: Outline, text: str) -> None:
    """Write a text into an outline, as near to its middle as it has room, if it has."""
    written = ax.text(0, 0, text, ha="center", va="center", fontsize=8, color=INK)
    written.set_path_effects(_HALO)
    box = written.get_window_extent().transformed(ax.transData.inverted())
    (left, low), (right, high) = outline.get_extents().get_points()
    x, y = (
        each.ravel()
        for each in np.meshgrid(np.linspace(left, right, 25), np.linspace(low, high, 25))
    )
    around = np.array([[i, j] for i in (-0.5, 0, 0.5) for j in (-0.5, 0, 0.5)])
    inside = np.all(
        [
            outline.contains_points(np.column_stack([x + i * box.width, y + j * box.height]))
            for i, j in around
        ],
        axis=0,
    )
    if not inside.any():
        written.remove()
        return
    off_middle = np.hypot(x - (left + right) / 2, y - (low + high) / 2)
    best = np.argmin(np.where(inside, off_middle, np.inf))
    written.set_position((x[best], y[best]))


def _grouped(
    x: ArrayLike, y: ArrayLike, group: ArrayLike, highlight: Sequence[Any]
) -> tuple[FloatArray, FloatArray, NDArray[Any], NDArray[Any], list[Any]]:
    """Check observations in groups; return them with the sorted levels and those to highlight."""
    x = as_vector("x", x)
    y, group = as_vector("y", y, x.size), as_labels("group", group, x.size)
    levels = np.unique(group)
    chosen = [] if len(highlight) == 0 else list(as_labels("highlight", np.asarray(highlight)))
    for level in chosen:
        if level not in levels:
            raise ValueError(f"highlight names '{level}', which is no label in group")
    return x, y, group, levels, chosen


def _scatter_with_line(
    ax: Axes, x: FloatArray, y: FloatArray, labels: NDArray[Any], highlight: list[Any]
) -> Axes:
    """Points, those of highlighted labels in looks of their own, and the least-squares line."""
    slope = (x - x.mean()) @ (y - y.mean()) / ((x - x.mean()) @ (x - x.mean()))
    ends = np.array([x.min(), x.max()])
    fitted = y.mean() + slope * (ends - x.mean())
    name = f"slope {_number(slope, 3)}"
    ax.plot(ends, fitted, color=INK, linewidth=2, label=name, zorder=3)
    others = ~np.isin(labels, highlight) if highlight else np.ones(labels.size, dtype=bool)
    ax.plot(x[others], y[others], "o", color=GRAY, markersize=5, fillstyle="none")
    for level, look in zip(highlight, _looks(), strict=False):
        rows = labels == level
        ax.plot(x[rows], y[rows], look.marker, color=look.color, markersize=7, label=str(level))
    _legend_above(ax)
    return ax


def _legend_above(ax: Axes) -> None:
    """Put a legend above the axes, in as many columns as there is room for."""
    handles, labels = ax.get_legend_handles_labels()
    font = 11
    column = _CHARACTER * font * max(len(label) for label in labels) + 3.5 * font
    rows = int(np.ceil(len(labels) / max(1, int(_size(ax)[0] / column))))
    look: dict[str, Any] = {"frameon": False, "borderaxespad": 0.3, "columnspacing": 1.2}
    look |= {"ncols": int(np.ceil(len(labels) / rows)), "fontsize": font}
    ax.legend(handles, labels, loc="lower left", bbox_to_anchor=(0, 1), **look)


def _label_at_right(
    ax: Axes, points: Sequence[tuple[float, float]], texts: Sequence[str], colors: Sequence[str]
) -> None:
    """Name points at the right of the axes, one below the other, as near to each as fits."""
    if not texts:
        return
    bottom, top = ax.get_ylim()
    ax.set_ylim(bottom, top)
    gap = _LINE * 11 / _size(ax)[1] * (top - bottom)
    leader = {"arrowstyle": "-", "linewidth": 0.8, "shrinkA": 1, "shrinkB": 3, "relpos": (0, 0.5)}
    order = np.argsort([y for _, y in points], kind="stable")
    stair = gap * np.arange(len(points))
    # The least squares heights that rise by the gap at least.
    heights = isotonic_regression(np.array([points[i][1] for i in order]) - stair).x + stair
    for i, height in zip(order, heights, strict=True):
        look: dict[str, Any] = {"color": colors[i], "fontsize": 11, "va": "center"}
        look |= {"annotation_clip": False, "arrowprops": leader | {"color": colors[i]}}
        place = ax.get_yaxis_transform()
        ax.annotate(texts[i], points[i], (1.04, height), textcoords=place, **look)


def _level_axis(ax: Axes, labels: NDArray[Any]) -> None:
    """Group labels, written horizontally, on the vertical axis, and a line at zero."""
    ax.axvline(0, color=GRAY, linewidth=1, linestyle=":", zorder=0)
    ax.set_yticks(np.arange(labels.size), [str(label) for label in labels])
    ax.set_ylim(-0.7, labels.size - 0.3)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", color=GRAY, alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)


def _number(value: float, digits: int = 4) -> str:
    """Write a number to four digits, or as many as asked for, with a true minus sign."""
    text = np.format_float_positional(value, precision=digits, fractional=False, trim="-")
    return text.replace("-", "−")


def _short(level: float) -> str:
    """Write a round number, with a true minus sign."""
    return f"{level:g}".replace("-", "−")


def _print_entries(ax: Axes, M: FloatArray) -> None:
    """Print the entries of M that are not zero in their cells, as large as fits."""
    width, height = _size(ax)
    texts = {(i, j): _number(M[i, j]) for i, j in np.argwhere(M)}
    longest = max((len(text) for text in texts.values()), default=1)
    room = width / M.shape[1] / (_CHARACTER * (longest + 1)), height / M.shape[0] / _LINE
    font = min(11.0, *room)
    if font < 6:
        raise ValueError(
            f"M has {M.shape[0]} x {M.shape[1]} entries, too many to print legibly here; "
            "leave annotate=False or show a part of M"
        )
    for (i, j), text in texts.items():
        ax.text(j, i, text, ha="center", va="center", fontsize=font)


def _tick_labels(ax: Axes, rows: NDArray[Any] | None, columns: NDArray[Any] | None) -> None:
    """Labels of rows at the left and of columns above."""
    width, height = _size(ax)
    line = 1.2 * 11
    ax.set_yticks(*([], []) if rows is None else _shared_labels(rows, height / line))
    if columns is None:
        ax.set_xticks([])
        return
    places, texts = _shared_labels(columns)
    if _CHARACTER * 11 * (max(len(text) for text in texts) + 1) * len(texts) <= width:
        ax.set_xticks(places, texts)
    else:
        ax.set_xticks(*_shared_labels(columns, width / line), rotation=90)


def _matrix_height(
    n: int, rows: NDArray[Any] | None, columns: NDArray[Any] | None, annotate: bool
) -> float:
    """Height of a figure with room for up to 30 row labels below upright column labels, inches."""
    if annotate:
        return min(4.0, 0.9 + 0.45 * n)
    runs = 0 if rows is None else len(_shared_labels(rows)[0])
    longest = 0 if columns is None else max(len(str(label)) for label in columns)
    return max(4.0, 0.8 + (min(runs, 30) * _LINE + longest * _CHARACTER) * 11 / 72)


def _shared_labels(
    labels: NDArray[Any], room: float | None = None
) -> tuple[list[float], list[str]]:
    """Label each run of equal labels once, in its middle; only every k-th if room is short."""
    starts = np.flatnonzero(np.r_[True, labels[1:] != labels[:-1]])
    middles = (starts + np.r_[starts[1:], labels.size] - 1) / 2
    every = 1 if room is None else int(np.ceil(starts.size / max(room, 1.0)))
    return list(middles[::every]), [str(label) for label in labels[starts[::every]]]


def _range(name: str, limits: tuple[float, float]) -> tuple[float, float]:
    low, high = (positive(name, limit) for limit in limits)
    if low >= high:
        raise ValueError(f"{name} must rise from its lowest to its highest value, found {limits}")
    return low, high


def _one_two_five(low: float, high: float) -> list[float]:
    """List 1, 2, 5, 10, 20, 50, ... from low to high."""
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    numbers = [digit * 10.0**decade for decade in decades for digit in (1, 2, 5)]
    return [number for number in numbers if low <= number <= high]


def _round_ticks(low: float, high: float) -> list[float]:
    """Round numbers from low to high, for a logarithmic axis."""
    ticks = _one_two_five(low, high)
    if len(ticks) < 4:
        ticks = [float(tick) for tick in MaxNLocator(7).tick_values(low, high)]
    return [tick for tick in ticks if low <= tick <= high]


def _label_contours(
    contours: Any,
    grid: tuple[FloatArray, FloatArray],
    drop: FloatArray,
    steps: FloatArray | None,
) -> None:
    """Write each contour's drop where it crosses the vertical through the minimum.

    Labels go to the side, below or above, where the path is not; those that do not cross there go
    to the other side. A label that would come too close to the one before it is left out.
    """
    ax, (log_tau, log_sigma) = contours.axes, grid
    row, column = np.unravel_index(np.argmin(drop), drop.shape)
    gap = 1.1 * _LINE * 10 / _size(ax)[1] * np.ptp(log_sigma)
    sides = [(log_sigma[part], drop[part, column]) for part in (np.s_[row::-1], np.s_[row:])]
    if steps is not None and _crowded(steps, log_tau[column], np.ptp(log_tau), log_sigma[row]):
        sides.reverse()
    places: list[tuple[float, float]] = []
    done = 0.0
    for heights, values in sides:
        taken = heights[0]
        rising = np.maximum.accumulate(values)
        for level in contours.levels[contours.levels < rising[-1]]:
            height = np.interp(level, rising, heights)
            too_close = abs(height - taken) < gap or abs(height - heights[-1]) < gap / 2
            if level > done and not too_close:
                places.append((np.exp(log_tau[column]), np.exp(height)))
                taken = height
        done = max(done, rising[-1])
    if places:
        ax.clabel(contours, manual=places, fmt="%g", colors=INK, fontsize=10)


def _crowded(steps: FloatArray, log_tau: float, width: float, log_sigma: float) -> bool:
    """Whether the path goes further below log_sigma than above it, close to log_tau."""
    fine = np.linspace(0, len(steps) - 1, 20 * len(steps))
    tau, sigma = (np.interp(fine, np.arange(len(steps)), column) for column in steps.T)
    near = sigma[np.abs(tau - log_tau) < width / 20]
    return bool(near.size > 0 and log_sigma - near.min() > near.max() - log_sigma)
