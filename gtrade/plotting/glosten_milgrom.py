"""Figures of runs of a dealer who learns from orders, from their tables alone."""

import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gtrade.plotting import style
from gtrade.plotting.panels import draw_all, rows_by_point
from gtrade.plotting.points import Layout, Results, lay_out

_MOST_PANELS = 6
_MOST_LINES = 6
_LONGEST_NAME = 60
_TITLE_WIDTH = 34


def figures(table: Results) -> dict[str, Figure]:
    """Return all figures that a run has something to show in.

    Args:
        table: of a finished or unfinished run, from `gtrade.load`.
    """
    makers = {"quotes": quotes, "expected_spreads": expected_spreads}
    return draw_all(table, makers)


def quotes(table: Results) -> Figure | None:
    """Draw bid and ask before every order, one panel a grid point."""
    if "asks" not in table.columns():
        return None
    layout = lay_out(table)
    bids, asks = (rows_by_point(table, name, layout) for name in ("bids", "asks"))
    ends = np.asarray([table["final_bid"], table["final_ask"]], np.float64)
    _, first = np.unique(layout.member, return_index=True)
    shown = [i for i in asks if asks[i].size]
    if not shown:
        return None
    if len(shown) > _MOST_PANELS:
        at = np.linspace(0, len(shown) - 1, _MOST_PANELS).round().astype(int)
        shown = [shown[i] for i in at]
    paths = {
        i: np.stack(
            [
                np.append(side[i][0], end[first[i]])
                for side, end in zip((bids, asks), ends, strict=True)
            ]
        )
        for i in shown
    }
    gaps = {i: path[1] - path[0] for i, path in paths.items()}
    lead = next((i for i in shown if gaps[i][0] != gaps[i][-1]), shown[0])
    title = _spread_moved(gaps[lead]) + _at(layout, lead)
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    with style.style():
        figure, panels = style.new_figure(
            rows,
            columns,
            width=max(5.5, 3.0 * columns),
            height=0.9 + 2.4 * rows,
            title=title,
            squeeze=False,
        )
        for place, panel in enumerate(panels.flat):
            if place >= len(shown):
                panel.remove()
                continue
            is_labelled = (place + 1) % columns == 0 or place == len(shown) - 1
            draw_quotes(panel, paths[shown[place]], is_labelled=is_labelled)
            name = _short(layout.name(shown[place]))
            panel.set_title(textwrap.fill(name, _TITLE_WIDTH))
            if place % columns == 0:
                panel.set_ylabel("quote (price)")
            if place + columns >= len(shown):
                panel.set_xlabel("orders seen")
        if len(shown) < len(asks):
            figure.supxlabel(f"{len(shown)} of {len(asks)} points shown", fontsize=8)
    return figure


def _spread_moved(gap: np.ndarray) -> str:
    """Say in words what a path of orders does to the spread."""
    if gap[0] == gap[-1]:
        return f"The spread is {gap[0]:.3g}"
    moved = "narrows" if gap[-1] < gap[0] else "widens"
    number = f"{gap.size - 1} order{'s' if gap.size > 2 else ''}"
    return f"The spread {moved} from {gap[0]:.3g} to {gap[-1]:.3g} over {number}"


def draw_quotes(axes: Axes, path: np.ndarray, *, is_labelled: bool = True) -> None:
    """Draw bids and asks as steps with the spread between them.

    Args:
        axes: the panel.
        path: bids and asks before each order and after the last, shape (2, times).
        is_labelled: whether the lines are named at their ends.
    """
    times = np.arange(path.shape[1] + 1)
    steps = np.append(path, path[:, -1:], axis=1)
    axes.fill_between(
        times, steps[0], steps[1], step="post", color=style.PALE, alpha=0.5, linewidth=0
    )
    ends: list[tuple[float, float, str, Any]] = []
    for number, name in enumerate(("bid", "ask")):
        colour = style.PALETTE[number]
        axes.step(times, steps[number], where="post", color=colour)
        ends.append((float(times[-1]), float(steps[number, -1]), name, colour))
    axes.set_xlim(0, times[-1])
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if is_labelled:
        style.label_ends(axes, ends)


def expected_spreads(table: Results) -> Figure | None:
    """Draw the mean spread before every trade on a logarithmic scale."""
    if "expected_spreads" not in [*table.arrays, *table.columns()]:
        return None
    layout = lay_out(table)
    found = rows_by_point(table, "expected_spreads", layout)
    curves = {i: rows[0] for i, rows in found.items() if rows.size > len(rows) > 0}
    curves = {i: curve for i, curve in curves.items() if (curve > 0).any()}
    if not curves:
        return None
    shown: list[int] = []
    for i, curve in curves.items():  # orders leave averages as they are
        known = [curves[j] for j in shown]
        if not any(np.array_equal(curve, other) for other in known):
            shown.append(i)
    if len(shown) > _MOST_LINES:
        at = np.linspace(0, len(shown) - 1, _MOST_LINES).round().astype(int)
        shown = [shown[i] for i in at]
    lead = curves[shown[0]]
    share = lead[-1] / lead[0]
    title = f"{len(lead) - 1} trades leave {share:.2g} of the mean spread"
    title += _at(layout, shown[0])
    with style.style():
        figure, axes = style.new_figure(title=title)
        axes.set_yscale("log")
        ends: list[tuple[float, float, str, Any]] = []
        for i, colour in zip(shown, style.sequence(len(shown)), strict=True):
            curve = np.where(curves[i] > 0, curves[i], np.nan)
            axes.plot(np.arange(len(curve)), curve, color=colour)
            last = int(np.flatnonzero(np.isfinite(curve))[-1])
            name = _short(layout.name(i))
            ends.append((float(last), float(curve[last]), name, colour))
        axes.set_xlim(0, len(lead) - 1)
        axes.set_xlabel("trades seen")
        axes.set_ylabel("mean spread (price)")
        style.label_ends(axes, ends)
    return figure


def _short(name: str) -> str:
    """Return the name of a point; long paths of orders are cut."""
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 2] + " …"


def _at(layout: Layout, point: int) -> str:
    name = _short(layout.name(point))
    return f" (at {name})" if name else ""
