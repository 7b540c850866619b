"""Figures of runs of Kyle's models, from their tables of results alone.

All take any run and return None where the table has nothing for them to show.
"""

import dataclasses
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from gtrade.plotting import style
from gtrade.plotting.panels import (
    Panel,
    draw_all,
    draw_columns,
    means_by_point,
    rows_by_point,
)
from gtrade.plotting.points import Layout, Results, lay_out
from gtrade.plotting.positions import outcomes

_MOST_LINES = 6


def figures(table: Results) -> dict[str, Figure]:
    """Return the figures of a run of one auction."""
    return draw_all(table, {"market": market, "profits": profits, "outcomes": outcomes})


def sequential_figures(table: Results) -> dict[str, Figure]:
    """Return the figures of a run of auctions in sequence."""
    makers = {"discovery": discovery, "total_profit": total, "outcomes": outcomes}
    return draw_all(table, makers)


def market(table: Results) -> Figure | None:
    """Draw price impact and what the price leaves unknown along a sweep."""
    layout = _market_layout(lay_out(table))
    names = {
        "price_impact": "price impact (price/share)",
        "posterior_variance": "variance left (price²)",
    }
    means = {name: means_by_point(table, name, layout) for name in names}
    if any(mean is None for mean in means.values()):
        return None
    impact = means["price_impact"]
    assert impact is not None
    low, high = np.nanmin(impact), np.nanmax(impact)
    title = f"A share moves the price by {low:.3g}"
    title += f" to {high:.3g}" if high > low * (1 + 1e-9) else ""
    with style.style():
        figure, axes = style.new_figure(1, 2, width=8.0, title=title)
        colours = style.colours_for(len(layout.lines))
        for axis, (name, unit) in zip(axes, names.items(), strict=True):
            panel = Panel(axis, table, layout)
            for line, colour in zip(layout.lines, colours, strict=True):
                panel.column(name, line.members, line.label, colour)
            axis.set_ylim(bottom=0)
            panel.finish(unit, is_last=axis is axes[-1])
    return figure


def _market_layout(layout: Layout) -> Layout:
    """Leave out lines that differ in keys of the solver only: one market."""
    seen: set[tuple[Any, ...]] = set()
    lines = []
    for line in layout.lines:
        first = line.members[0]
        own = {k: v[first] for k, v in layout.values.items() if k != layout.key}
        market = tuple(v for k, v in own.items() if not k.startswith("solver."))
        if market not in seen:
            seen.add(market)
            lines.append(line)
    return dataclasses.replace(layout, lines=lines)


def profits(table: Results) -> Figure | None:
    """Draw an insider's expected profit, with what simulation found beside it."""
    layout = lay_out(table)
    if means_by_point(table, "insider_profit", layout) is None:
        return None
    columns: dict[str, tuple[str, Any]] = {
        "insider_profit": ("expected", style.PALETTE[0])
    }
    title = "What one insider earns"
    if means_by_point(table, "insider_profit_mc", layout) is not None:
        columns["insider_profit_mc"] = ("simulated", style.PALETTE[1])
        error = np.asarray(table["insider_profit_se"], np.float64)
        gap = np.asarray(table["insider_profit_mc"], np.float64)
        gap = np.abs(gap - np.asarray(table["insider_profit"], np.float64))
        is_random = (error > 0) & np.isfinite(gap)
        if is_random.any():
            worst = (gap[is_random] / error[is_random]).max()
            title += f": simulations are at most {worst:.1f} standard errors off"
    unit = "profit (price x shares)"
    return draw_columns(table, layout, columns, title=title, unit=unit)


def discovery(table: Results) -> Figure | None:
    """Draw what the price has still to learn, and its impact, auction by auction."""
    layout = lay_out(table)
    if not {"posterior_variance", "price_impact"} <= set(table.columns()):
        return None
    variance = rows_by_point(table, "posterior_variance", layout)
    impact = rows_by_point(table, "price_impact", layout)
    shown = [i for i, rows in variance.items() if rows.size and len(impact[i])]
    # Of a certain value there is nothing to learn.
    shown = [i for i in shown if _prior_variance(table, layout, i) > 0]
    if not shown:
        return None
    if len(shown) > _MOST_LINES:
        at = np.linspace(0, len(shown) - 1, _MOST_LINES).round().astype(int)
        shown = [shown[i] for i in at]
    colours = style.colours_for(len(shown))
    with style.style():
        figure, axes = style.new_figure(1, 2, width=8.4)
        ends = []
        left = []
        for point, colour in zip(shown, colours, strict=True):
            after, slope = variance[point][0], impact[point][0]
            number = len(after)
            share = np.arange(1, number + 1) / number
            start = _prior_variance(table, layout, point)
            edges = np.concatenate([[0], share])
            whole = np.concatenate([[start], after]) / start
            axes[0].plot(edges, whole, color=colour)
            axes[1].stairs(slope, edges, color=colour, baseline=None)
            ends.append((1.0, float(slope[-1]), layout.name(point), colour))
            left.append(np.interp(0.5, edges, whole))
        axes[0].set_ylabel("variance left, share of the first")
        axes[1].set_ylabel("price impact (price/share)")
        axes[1].set_ylim(bottom=0)
        for axis in axes:
            axis.set_xlabel("auctions held, share of all")
            axis.set_xlim(0, 1)
        low, high = 1 - max(left), 1 - min(left)
        known = f"{low:.0%}"
        known += f" to {high:.0%}" if high - low > 0.005 else ""
        style.set_title(figure, f"Halfway the price has learnt {known} of the value")
        style.label_ends(axes[1], ends)
    return figure


def total(table: Results) -> Figure | None:
    """Draw insiders' total profit along a sweep."""
    layout = lay_out(table)
    mean = means_by_point(table, "total_profit", layout)
    if mean is None or not layout.is_joined:
        return None
    columns: dict[str, tuple[str, Any]] = {"total_profit": ("", style.PALETTE[0])}
    title = f"All insiders together earn {np.nanmin(mean):.3g} to {np.nanmax(mean):.3g}"
    unit = "profit (price x shares)"
    return draw_columns(table, layout, columns, title=title, unit=unit)


def _prior_variance(table: Results, layout: Any, point: int) -> float:
    """Return the variance that learning starts from."""
    key = "problem.value_std"
    if key in layout.values:
        return float(layout.values[key][point]) ** 2
    return float(table.manifest["spec"]["problem"]["value_std"]) ** 2
