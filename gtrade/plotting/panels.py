"""Panels along the axis of a sweep, shared by the figures of a run."""

import textwrap
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gtrade.plotting import style
from gtrade.plotting.points import Layout, Results, mean_and_error

_LABEL_WIDTH = 52


def draw_all(
    table: Results, makers: Mapping[str, Callable[[Results], Figure | None]]
) -> dict[str, Figure]:
    """Return the figures, by name, of those makers that have something to show."""
    if not len(table):
        return {}
    drawn = {name: make(table) for name, make in makers.items()}
    return {name: figure for name, figure in drawn.items() if figure is not None}


class Panel:
    """One set of axes along the layout's axis."""

    def __init__(self, axes: Axes, table: Results, layout: Layout) -> None:
        self.axes, self.table, self.layout = axes, table, layout
        self._ends: list[tuple[float, float, str, Any]] = []

    def column(
        self, name: str, members: np.ndarray, label: str, colour: Any, **line: Any
    ) -> None:
        """Draw mean and band of a column over some points."""
        layout = self.layout
        mean, error, count = mean_and_error(
            self.table[name], layout.member, len(layout.points)
        )
        if len(layout.points) == 1 and count[0] > 1:
            self._draw_rows(name, colour)
        self.values(mean, members, label, colour, error=error, **line)

    def values(
        self,
        values: np.ndarray,
        members: np.ndarray,
        label: str,
        colour: Any,
        *,
        error: np.ndarray | None = None,
        joined: bool = True,
        **line: Any,
    ) -> None:
        """Draw values, one a point, over some points."""
        x, y = self.layout.x[members], values[members]
        error = np.full(len(y), np.nan) if error is None else error[members]
        marker = {"marker": "o", **line}
        if joined and self.layout.is_joined:
            style.draw_mean(self.axes, x, y, error, colour=colour, **marker)
        elif marker["marker"]:
            shown = np.where(np.isfinite(error), error, 0.0)
            self.axes.errorbar(
                x,
                y,
                2 * shown,
                fmt="o",
                color=colour,
                markersize=5,
                rasterized=style.is_raster(x),
            )
        else:
            self.axes.hlines(y, x - 0.3, x + 0.3, color=colour, linestyles="--")
            x = x + 0.3
        good = np.flatnonzero(np.isfinite(y))
        if label and len(good):
            end = float(x[good[-1]]), float(y[good[-1]])
            self._ends.append((*end, label, colour))

    def note(self, text: str) -> None:
        """Write a remark in the upper left corner."""
        self.axes.annotate(
            text,
            (0.02, 0.97),
            xycoords="axes fraction",
            va="top",
            fontsize=8,
            color=style.GREY,
        )

    def finish(self, unit: str, *, is_alone: bool = True, is_last: bool = True) -> None:
        """Set axes and scale, then write the labels beside the line ends."""
        axes, layout = self.axes, self.layout
        axes.set_ylabel(unit)
        if layout.is_joined:
            if is_alone:
                axes.set_xlabel(textwrap.fill(layout.label, _LABEL_WIDTH))
            if layout.is_logarithmic:
                axes.set_xscale("log")
        elif len(layout.points) == 1:
            axes.set_xlim(-1, 1)
            axes.set_xticks([])
        else:
            at = np.arange(len(layout.points))
            if len(at) > 20:
                at = np.linspace(0, len(at) - 1, 20).round().astype(int)
            axes.set_xticks(
                at, [layout.name(int(i)) for i in at], rotation=30, ha="right"
            )
            axes.margins(x=0.1)
        if is_last:
            style.label_ends(axes, self._ends)

    def _draw_rows(self, name: str, colour: Any) -> None:
        """Draw every replication of a single point beside its mean."""
        values = np.asarray(self.table[name], np.float64)
        values = values[np.isfinite(values)]
        place = np.linspace(-0.6, -0.15, len(values))
        self.axes.plot(place, values, ".", color=colour, alpha=0.5, markersize=4)


def draw_columns(
    table: Results,
    layout: Layout,
    columns: Mapping[str, tuple[str, Any]],
    *,
    title: str,
    unit: str,
    allows_log: bool = True,
) -> Figure:
    """Draw several columns: in one panel or, with several lines each, in one apiece."""
    means = {name: means_by_point(table, name, layout) for name in columns}
    shown = {name: mean for name, mean in means.items() if mean is not None}
    names = list(shown)
    good = np.concatenate(list(shown.values()))
    good = good[np.isfinite(good)]
    is_log = allows_log and good.min() > 0 and good.max() > 20 * good.min()
    several = len(layout.lines) > 1
    with style.style():
        width = 6.5 if not several else 2.9 * len(names) + 0.9
        figure, axes = style.new_figure(
            1,
            len(names) if several else 1,
            width=width,
            title=title,
            sharey=True,
            squeeze=False,
        )
        panels = [Panel(a, table, layout) for a in axes.flat]
        if is_log:
            panels[0].axes.set_yscale("log")  # shared
        colours = style.colours_for(len(layout.lines))
        for place, name in enumerate(names):
            label, colour = columns[name]
            panel = panels[place if several else 0]
            for line, own in zip(layout.lines, colours, strict=True):
                if several:
                    panel.column(name, line.members, line.label, own)
                    panel.axes.set_title(label)
                else:
                    panel.column(name, line.members, label, colour)
        if not is_log:
            panels[0].axes.set_ylim(bottom=min(0.0, float(good.min()) * 1.05))
        if several and layout.num_lines > len(layout.lines):
            panels[0].note(f"{len(layout.lines)} of {layout.num_lines} lines shown")
        if several:
            figure.supxlabel(layout.label, fontsize=9)
        for place, panel in enumerate(panels):
            is_last = place == len(panels) - 1
            panel.finish(
                unit if place == 0 else "", is_alone=not several, is_last=is_last
            )
    return figure


def means_by_point(table: Results, name: str, layout: Layout) -> np.ndarray | None:
    """Return the mean at every point; None if the column is absent or all NaN."""
    if name not in table.columns():
        return None
    mean, _, _ = mean_and_error(table[name], layout.member, len(layout.points))
    return mean if np.isfinite(mean).any() else None


def rows_by_point(table: Results, name: str, layout: Layout) -> dict[int, np.ndarray]:
    """Return the finite rows of a list column by point; shapes may differ between."""
    values = table[name]
    order = np.argsort(layout.member, kind="stable")
    bounds = np.searchsorted(layout.member[order], np.arange(len(layout.points) + 1))
    rows = {}
    for i in range(len(layout.points)):
        own = [np.asarray(values[r]) for r in order[bounds[i] : bounds[i + 1]]]
        own = [value for value in own if np.isfinite(value).all()]
        rows[i] = np.stack(own) if own else np.zeros((0, 0, 0))
    return rows
