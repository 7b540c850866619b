"""Figures of runs that sell several assets: holdings over time, and the frontier."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gtrade.plotting import style
from gtrade.plotting.almgren_chriss import frontier
from gtrade.plotting.panels import draw_all, rows_by_point
from gtrade.plotting.points import Results, lay_out

_MOST_PANELS = 6
_MOST_ASSETS = 6


def figures(table: Results) -> dict[str, Figure]:
    """Return all figures that a run of a portfolio has something to show in.

    Args:
        table: of a finished or unfinished run, from `gtrade.load`.
    """
    return draw_all(table, {"holdings": holdings, "frontier": frontier})


def holdings(table: Results) -> Figure | None:
    """Draw what is held of each asset over time, one panel a grid point."""
    if "holdings" not in table.columns():
        return None
    layout = lay_out(table)
    found = rows_by_point(table, "holdings", layout)
    paths = {i: rows[0] for i, rows in found.items() if rows.size}
    if not paths:
        return None
    shown = list(paths)
    if len(shown) > _MOST_PANELS:
        at = np.linspace(0, len(shown) - 1, _MOST_PANELS).round().astype(int)
        shown = [shown[i] for i in at]
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    with style.style():
        figure, panels = style.new_figure(
            rows,
            columns,
            width=max(6.0, 3.1 * columns),
            height=0.9 + 2.4 * rows,
            title=finding(paths, {i: layout.name(i) for i in shown}),
            squeeze=False,
            sharey=True,
        )
        for place, panel in enumerate(panels.flat):
            if place >= len(shown):
                panel.remove()
                continue
            path = paths[shown[place]]
            draw_paths(panel, np.linspace(0, 1, len(path)), path)
            panel.set_title(layout.name(shown[place]))
            if place % columns == 0:
                panel.set_ylabel("held (shares)")
            if place + columns >= len(shown):
                panel.set_xlabel("time (horizons)")
        if shown:
            label_assets(panels.flat[min(columns, len(shown)) - 1], paths[shown[-1]])
    return figure


def finding(paths: dict[int, np.ndarray], names: dict[int, str]) -> str:
    """Say which asset is traded in both directions, and how far."""
    turns = {i: round_trips(paths[i]) for i in names}
    point = max(turns, key=lambda i: turns[i].max())
    asset = int(turns[point].argmax())
    if turns[point][asset] <= 1e-6 * np.abs(paths[point]).max():
        return "Every asset is traded in one direction only"
    where = f" (at {names[point]})" if names[point] else ""
    return (
        f"Asset {asset + 1} hedges: {_number(turns[point][asset])} shares of it are"
        f" traded there and back{where}"
    )


def round_trips(path: np.ndarray) -> np.ndarray:
    """Return the shares of each asset that are both bought and sold, shape (assets,).

    Args:
        path: holdings, shape (points, assets).
    """
    trades = np.diff(path, axis=0)
    return (np.abs(trades).sum(axis=0) - np.abs(path[-1] - path[0])) / 2


def draw_paths(axes: Axes, times: np.ndarray, path: np.ndarray) -> None:
    """Draw one line an asset."""
    colours = style.colours_for(min(path.shape[1], _MOST_ASSETS))
    marker = "o" if len(times) <= 30 else None
    for number, held in enumerate(path.T):
        colour = colours[number] if number < len(colours) else style.PALE
        axes.plot(times, held, color=colour, marker=marker, zorder=2 - number / 1e3)
    axes.axhline(0, color=style.GREY, linewidth=0.7, zorder=1)
    axes.set_xlim(times[0], times[-1])


def label_assets(axes: Axes, path: np.ndarray) -> None:
    """Name the assets in the upper right corner, in the colours of their lines."""
    number = min(path.shape[1], _MOST_ASSETS)
    colours: list[Any] = style.colours_for(number)
    for place, colour in enumerate(colours):
        axes.annotate(
            f"asset {place + 1}",
            (0.98, 0.97 - 0.09 * place),
            xycoords="axes fraction",
            ha="right",
            va="top",
            fontsize=8,
            color=colour,
        )


def _number(x: float) -> str:
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:.3g}"
