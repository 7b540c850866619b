"""Figures of runs of position games, from their tables of results alone.

All take any run and return None where the table has nothing for them to show.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gtrade.plotting import style, trading
from gtrade.plotting.equilibria import exploitability
from gtrade.plotting.panels import Panel, draw_all, rows_by_point
from gtrade.plotting.points import Results, lay_out

_MOST_PANELS = 8
_MOST_LINES = 8


def figures(table: Results) -> dict[str, Figure]:
    """Return all figures that a run of a position game has something to show in.

    Args:
        table: of a finished or unfinished run, from `gtrade.load`.
    """
    makers = {
        "schedules": schedules,
        "expected_costs": expected_costs,
        "price_of_anarchy": price_of_anarchy,
        "exploitability": exploitability,
        "outcomes": outcomes,
    }
    return draw_all(table, makers)


def schedules(table: Results) -> Figure | None:
    """Draw positions over time, one panel a grid point."""
    if "schedules" not in table.arrays:
        return None
    layout = lay_out(table)
    found = rows_by_point(table, "schedules", layout)
    paths = {i: rows[0] for i, rows in found.items() if len(rows)}
    if not paths:
        return None
    shown = list(paths)
    if len(shown) > _MOST_PANELS:
        at = np.linspace(0, len(shown) - 1, _MOST_PANELS).round().astype(int)
        shown = [shown[i] for i in at]
    first = paths[shown[0]]
    share = first[:, len(first[0]) // 2].sum() / (first[:, -1].sum() or np.nan)
    title = "Positions over the day"
    if np.isfinite(share) and share > 0:
        title = f"By the middle of the day {share:.0%} of all targets are held"
        title += f" (at {layout.name(shown[0])})" if layout.name(shown[0]) else ""
    names = labels(table, len(first))
    columns = min(len(shown), 4)
    rows = -(-len(shown) // columns)
    with style.style():
        figure, panels = style.new_figure(
            rows,
            columns,
            width=max(5.5, 2.3 * columns),
            height=0.9 + 2.2 * rows,
            title=title,
            squeeze=False,
            sharey=True,
        )
        for place, panel in enumerate(panels.flat):
            if place >= len(shown):
                panel.remove()
                continue
            is_labelled = place == min(columns, len(shown)) - 1
            draw_paths(panel, paths[shown[place]], names if is_labelled else [])
            panel.set_title(layout.name(shown[place]))
            if place % columns == 0:
                panel.set_ylabel("position (shares)")
            if place + columns >= len(shown):
                panel.set_xlabel("time (horizons)")
    return figure


def draw_paths(axes: Axes, paths: np.ndarray, names: Sequence[str]) -> None:
    """Draw positions at equally spaced times, and the names of the first few."""
    times = np.linspace(0.0, 1.0, paths.shape[1])
    colours = style.colours_for(min(len(paths), _MOST_LINES))
    ends: list[tuple[float, float, str, Any]] = []
    for number, path in enumerate(paths):
        colour = colours[number] if number < len(colours) else style.PALE
        axes.plot(times, path, color=colour, zorder=-number)
        if number < min(len(names), len(colours)):
            ends.append((1.0, float(path[-1]), names[number], colour))
    axes.set_xlim(0.0, 1.0)
    style.label_ends(axes, ends)


def labels(table: Results, size: int) -> list[str]:
    """Name firms and types in the order of lists per type."""
    problem = table.manifest["spec"]["problem"]
    names = []
    for number, firm in enumerate(problem.get("firms") or []):
        kinds = firm.get("types", [])
        for kind in range(len(kinds)):
            name = f"firm {number + 1}"
            names.append(f"{name}, type {kind + 1}" if len(kinds) > 1 else name)
    if len(names) != size:
        names = [f"firm {number + 1}" for number in range(size)]
    return names


def expected_costs(table: Results) -> Figure | None:
    """Draw the expected cost of every type along the sweep."""
    if "expected_costs" not in table.columns():
        return None
    layout = lay_out(table)
    values = _by_point(table, "expected_costs", len(layout.points), layout.member)
    if values is None or len(layout.points) < 2:
        return None
    names = labels(table, values.shape[1])
    line = layout.lines[0]
    low, high = values[line.members[0]], values[line.members[-1]]
    title = "Expected costs"
    if layout.is_joined and (low > 0).all():
        ratio = high / low
        title = (
            f"Expected costs change by factors of {ratio.min():.3g} to"
            f" {ratio.max():.3g} along the axis"
        )
    with style.style():
        figure, axes = style.new_figure(title=title)
        draw = Panel(axes, table, layout)
        chosen = range(min(values.shape[1], _MOST_LINES))
        for number, colour in zip(chosen, style.colours_for(len(chosen)), strict=True):
            draw.values(values[:, number], line.members, names[number], colour)
        if len(layout.lines) > 1:
            draw.note(f"where {line.label}")
        draw.finish("expected cost")
    return figure


def price_of_anarchy(table: Results) -> Figure | None:
    """Draw how much more all firms pay than if one planner traded for them."""
    if "price_of_anarchy" not in table.columns():
        return None
    layout = lay_out(table)
    values = _by_point(table, "price_of_anarchy", len(layout.points), layout.member)
    if values is None or len(layout.points) < 2 or not values.shape[1]:
        return None
    shown = values[:, 0]
    if not np.isfinite(shown).any():
        return None
    worst = int(np.nanargmax(shown))
    excess = shown[worst] - 1
    more = (
        f"{excess:.2%} more than" if excess < 10 else f"{shown[worst]:.3g} times what"
    )
    title = f"Together firms pay up to {more} they need to"
    title += f" (at {layout.name(worst)})" if layout.name(worst) else ""
    with style.style():
        figure, axes = style.new_figure(title=title)
        draw = Panel(axes, table, layout)
        for line, colour in zip(
            layout.lines, style.colours_for(len(layout.lines)), strict=True
        ):
            draw.values(shown, line.members, line.label, colour)
        if values.shape[1] > 1:
            draw.note("at the first evaluation impact")
        draw.finish("total cost / planner's cost")
    return figure


def outcomes(table: Results) -> Figure | None:
    """Draw how solves ended, unless all of them found an equilibrium."""
    if set(np.asarray(table["status"])) <= {"converged"}:
        return None
    return trading.outcomes(table)


def _by_point(
    table: Results, name: str, size: int, member: np.ndarray
) -> np.ndarray | None:
    """Return a list column's mean at every point; None if lengths differ."""
    column = [np.asarray(value, np.float64).ravel() for value in table[name]]
    if len({len(value) for value in column}) != 1:
        return None
    rows = np.stack(column)
    total = np.zeros((size, rows.shape[1]))
    np.add.at(total, member, rows)
    return total / np.bincount(member, minlength=size)[:, None]
