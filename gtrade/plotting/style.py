"""One look for all figures: colours, fonts, direct labels, bands, files.

Figures are `matplotlib.figure.Figure` objects made without pyplot: no backend is
chosen, no window opens and no global setting changes.
"""

import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe & Ito's colours, told apart with every common kind of colour blindness; yellow
# is left out because it vanishes on white.
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, SKY, AMBER = "#AA4499", "#56B4E9", "#E69F00"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, SKY, AMBER)
INK, GREY, PALE = "#222222", "#777777", "#DDDDDD"

_TITLE_SIZE = 10.5
_MOST_VECTORS = 2000
_SETTINGS = {
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 7.0,
    "axes.labelsize": 9.0,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#E8E8E8",
    "grid.linewidth": 0.6,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "lines.linewidth": 1.5,
    "lines.markersize": 3.5,
    "lines.solid_capstyle": "round",
    "text.color": INK,
    "figure.facecolor": "white",
    "svg.fonttype": "none",
    "svg.hashsalt": "gtrade",
}


def style() -> AbstractContextManager[None]:
    """Return a context in which figures are made (and written) in the house style."""
    # The user's own settings must not show; the backend is none of a figure's business.
    skipped = ("backend", "interactive", "toolbar", "date", "timezone")
    defaults = {
        key: value
        for key, value in dict.items(matplotlib.rcParamsDefault)
        if not key.startswith(skipped)
    }
    settings: Any = {**defaults, **_SETTINGS}
    return matplotlib.rc_context(settings)


def new_figure(
    rows: int = 1,
    columns: int = 1,
    *,
    width: float = 6.5,
    height: float = 3.6,
    title: str = "",
    **subplots: Any,
) -> tuple[Figure, Any]:
    """Make a figure and its axes; use it inside `style()`.

    Args:
        rows: of panels.
        columns: of panels.
        width: inches.
        height: inches.
        title: of the whole figure: what it shows to be true.
        **subplots: passed to `Figure.subplots`.

    Returns:
        The figure; its axes, a single one or an array as `Figure.subplots` has it.
    """
    figure = Figure(figsize=(width, height), layout="constrained")
    if title:
        set_title(figure, title)
    return figure, figure.subplots(rows, columns, **subplots)


def set_title(figure: Figure, title: str) -> None:
    """Put the title of a figure at its upper left, in as many lines as it needs."""
    # A bold letter is about 0.63 of the font's size wide.
    letters = int(figure.get_figwidth() * 72 / (0.63 * _TITLE_SIZE))
    lines = textwrap.fill(title.replace(" = ", "\u00a0=\u00a0"), letters)
    figure.suptitle(lines, x=0.01, ha="left", fontweight="bold", fontsize=_TITLE_SIZE)


def sequence(number: int) -> list[Any]:
    """Return colours for ordered values, dark to light; safe in grey as well."""
    colours = matplotlib.colormaps["viridis"](np.linspace(0.0, 0.8, max(number, 2)))
    return [tuple(colour) for colour in colours[:number]]


def colours_for(number: int) -> list[Any]:
    """Return distinct colours for unordered things, as many as asked for."""
    return list(PALETTE[:number]) if number <= len(PALETTE) else sequence(number)


def draw_mean(
    axes: Axes,
    x: np.ndarray,
    mean: np.ndarray,
    error: np.ndarray,
    *,
    colour: Any,
    **line: Any,
) -> None:
    """Draw a mean with a band of two standard errors; NaNs leave gaps."""
    raster = is_raster(x)
    axes.plot(x, mean, color=colour, rasterized=raster, **line)
    error = np.where(np.isfinite(error), error, 0.0)
    axes.fill_between(
        x,
        mean - 2 * error,
        mean + 2 * error,
        color=colour,
        alpha=0.17,
        linewidth=0,
        rasterized=raster,
    )


def is_raster(x: np.ndarray) -> bool:
    """Whether points are too many for vectors: an SVG of them would not open."""
    return len(x) > _MOST_VECTORS


def label_ends(
    axes: Axes,
    labels: Sequence[tuple[float, float, str, Any]],
    *,
    size: float = 8.0,
    gap: float = 5.0,
) -> None:
    """Write labels right of the axes beside line ends, moved apart where they collide.

    Call it last: limits and scale of the axes must be final.

    Args:
        axes: the panel.
        labels: (x, y, text, colour) of every line end, data coordinates; those that are
            not finite are left out.
        size: of the font, points.
        gap: between line end and label, points.
    """
    labels = [label for label in labels if np.isfinite(label[:2]).all()]
    if not labels:
        return
    figure = axes.get_figure(root=True)
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()  # so that data have a place on the page
    to_points = 72 / figure.dpi
    ends = [axes.transData.transform(label[:2])[1] * to_points for label in labels]
    heights = [1.25 * size * (1 + label[2].count("\n")) for label in labels]
    places = spread(np.array(ends), np.array(heights))
    for (x, y, text, colour), end, place in zip(labels, ends, places, strict=True):
        axes.annotate(
            text,
            (x, y),
            xytext=(gap, place - end),
            textcoords="offset points",
            color=colour,
            fontsize=size,
            va="center",
            annotation_clip=False,
        )


def spread(places: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Move intervals apart as little as needed, keeping their order.

    Args:
        places: centres, shape (n,).
        heights: lengths of the intervals, shape (n,).

    Returns:
        New centres, least in squared distance from the old ones, shape (n,).
    """
    order = np.argsort(places, kind="stable")
    lengths = heights[order]
    offsets = np.concatenate([[0.0], np.cumsum((lengths[1:] + lengths[:-1]) / 2)])
    # Without the offsets the new centres must not decrease: pool adjacent violators.
    blocks: list[list[float]] = []  # mean, count
    for value in places[order] - offsets:
        blocks.append([float(value), 1.0])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            mean, count = blocks.pop()
            total = blocks[-1][1] + count
            blocks[-1][0] = (blocks[-1][0] * blocks[-1][1] + mean * count) / total
            blocks[-1][1] = total
    pooled = np.concatenate([np.full(int(count), mean) for mean, count in blocks])
    result = np.empty(len(places))
    result[order] = pooled + offsets
    return result


def save(figure: Figure, folder: str | Path, name: str, *, dpi: int = 130) -> Path:
    """Write a figure as PNG and SVG; equal figures give equal files.

    Returns:
        The path of the PNG.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with style():
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})
        figure.savefig(folder / f"{name}.png", dpi=dpi, metadata={"Software": None})
    return folder / f"{name}.png"
