"""Figures of execution plans: the frontier of cost and risk, and the plans on it."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gtrade.plotting import style
from gtrade.plotting.panels import draw_all, rows_by_point
from gtrade.plotting.points import Layout, Results, lay_out, mean_and_error
from gtrade.plotting.positions import outcomes

_MOST_PLANS = 6


def figures(table: Results) -> dict[str, Figure]:
    """Return all figures that a run of an execution model has something to show in.

    Args:
        table: of a finished or unfinished run, from `gtrade.load`.
    """
    makers = {"frontier": frontier, "schedules": schedules, "outcomes": outcomes}
    return draw_all(table, makers)


def frontier(table: Results) -> Figure | None:
    """Draw expected cost against standard deviation, one line for each of a sweep.

    Returns:
        None where the table has fewer than three plans.
    """
    layout = lay_out(table)
    names = ("expected_cost", "variance", "even_cost", "even_variance")
    if len(layout.points) < 3 or not set(names) <= set(table.columns()):
        return None
    cost, risk, even_cost, even_risk = (_mean(table, name, layout) for name in names)
    if not np.isfinite(cost * risk).any():
        return None
    risk, even_risk = np.sqrt(risk), np.sqrt(even_risk)
    unit, word = _scale(np.nanmax(np.abs(np.concatenate([cost, risk, even_risk]))))
    with style.style():
        figure, axes = style.new_figure(title=_saving(cost, risk, even_cost, even_risk))
        ends = []
        colours = style.colours_for(len(layout.lines))
        for line, colour in zip(layout.lines, colours, strict=True):
            own = line.members[np.isfinite(cost[line.members] * risk[line.members])]
            if not len(own):
                continue
            marker = "o" if len(own) <= 40 else None
            axes.plot(risk[own] / unit, cost[own] / unit, color=colour, marker=marker)
            axes.plot(
                even_risk[own] / unit,
                even_cost[own] / unit,
                "s",
                color=colour,
                markerfacecolor="white",
                markersize=6,
            )
            last = own[-1] if risk[own[-1]] > risk[own[0]] else own[0]
            ends.append((risk[last] / unit, cost[last] / unit, line.label, colour))
        axes.annotate(
            "squares: equal trades",
            (0.98, 0.97),
            xycoords="axes fraction",
            ha="right",
            va="top",
            fontsize=8,
            color=style.GREY,
        )
        axes.set_xlabel(f"standard deviation of the shortfall ({word}currency units)")
        axes.set_ylabel(f"expected shortfall ({word}currency units)")
        axes.set_xlim(left=0)
        style.label_ends(axes, [end for end in ends if end[2]])
    return figure


def schedules(table: Results) -> Figure | None:
    """Draw shares left over time, for a few points of the sweep."""
    if "holdings" not in table.columns():
        return None
    layout = lay_out(table)
    rows = rows_by_point(table, "holdings", layout)
    paths = {i: found[0] for i, found in rows.items() if found.size}
    if not paths:
        return None
    shown = list(paths)
    if len(shown) > _MOST_PLANS:
        at = np.linspace(0, len(shown) - 1, _MOST_PLANS).round().astype(int)
        shown = [shown[i] for i in at]
    half = {i: _time_of_half(paths[i]) for i in shown}
    low, high = min(shown, key=half.__getitem__), max(shown, key=half.__getitem__)
    title = f"Half of the shares are traded by {half[low]:.0%} of the time"
    if high != low and layout.name(low):
        title += f" ({layout.name(low)}), or by {half[high]:.0%} ({layout.name(high)})"
    with style.style():
        figure, axes = style.new_figure(title=title)
        ends: list[tuple[float, float, str, Any]] = []
        for i, colour in zip(shown, style.sequence(len(shown)), strict=True):
            _draw_plan(axes, paths[i], colour)
            place = _label_place(paths[i])
            ends.append((*place, layout.name(i), colour))
        axes.set_xlabel("time (horizons)")
        axes.set_ylabel("shares left")
        axes.set_xlim(0, 1)
        _annotate(axes, ends)
    return figure


def _draw_plan(axes: Axes, path: np.ndarray, colour: Any) -> None:
    times = np.linspace(0, 1, len(path))
    marker = "o" if len(path) <= 30 else None
    axes.plot(times, path, color=colour, marker=marker)


def _annotate(axes: Axes, ends: list[tuple[float, float, str, Any]]) -> None:
    """List the plans in the corner above them, in the order of what is left."""
    named = [end for end in ends if end[2]]
    for place, (_, _, text, colour) in enumerate(
        sorted(named, key=lambda end: -end[1])
    ):
        axes.annotate(
            text,
            (0.98, 0.96 - 0.075 * place),
            xycoords="axes fraction",
            ha="right",
            va="top",
            fontsize=8,
            color=colour,
        )


def _label_place(path: np.ndarray) -> tuple[float, float]:
    """Return where a plan is best told from others: in its middle."""
    middle = (len(path) - 1) // 2
    return middle / max(len(path) - 1, 1), float(np.abs(path[middle]))


def _time_of_half(path: np.ndarray) -> float:
    """Return the share of the horizon after which half of a plan is traded."""
    left = np.abs(path) / (np.abs(path[0]) or 1.0)
    times = np.linspace(0, 1, len(path))
    return float(np.interp(-0.5, -left, times))


def _mean(table: Results, name: str, layout: Layout) -> np.ndarray:
    return mean_and_error(table[name], layout.member, len(layout.points))[0]


def _scale(largest: float) -> tuple[float, str]:
    for unit, word in ((1e9, "billion "), (1e6, "million "), (1e3, "thousand ")):
        if largest >= unit:
            return unit, word
    return 1.0, ""


def _saving(
    cost: np.ndarray, risk: np.ndarray, even_cost: np.ndarray, even_risk: np.ndarray
) -> str:
    """Say what risk costs to avoid, at the plan of about half the even plan's."""
    with np.errstate(invalid="ignore", divide="ignore"):
        kept = np.where(even_risk > 0, risk / even_risk, np.nan)
        paid = np.where(even_cost > 0, cost / even_cost - 1, np.nan)
    good = np.flatnonzero(np.isfinite(kept) & np.isfinite(paid))
    if not len(good) or kept[good].max() - kept[good].min() < 1e-6:
        return "Expected cost and risk of the plans"
    chosen = good[np.argmin(np.abs(kept[good] - 0.5))]
    return (
        f"A plan with {1 - kept[chosen]:.0%} less risk than equal trades costs"
        f" {paid[chosen]:.0%} more"
    )
