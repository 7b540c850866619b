"""Figures of a run of the discrete trading game, from its table of results alone.

`figures` is what a report shows; each of the others draws one kind of result. All take
any run: without a sweep, over one key or several, with columns missing or rows without
an answer. A function returns None where the table has nothing for it to show.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gtrade.plotting import style
from gtrade.plotting.learners import regret_over_rounds
from gtrade.plotting.panels import (
    Panel,
    draw_all,
    draw_columns,
    means_by_point,
    rows_by_point,
)
from gtrade.plotting.points import Layout, Results, lay_out, mean_and_error

_MOST_PANELS = 12
_MOST_PLAYERS = 6

_DISTANCES = {
    "distance_to_nash": ("Nash", style.ORANGE),
    "distance_to_ce": ("correlated", style.GREEN),
    "distance_to_cce": ("coarse correlated", style.BLUE),
}
_VARIATIONS = {
    "tv_distance_ks25": ("KS25's form", style.ORANGE),
    "tv_distance": ("total variation", style.BLUE),
}


def figures(table: Results) -> dict[str, Figure]:
    """Return all figures that a run of the trading game has something to show in.

    Args:
        table: of a finished or unfinished run, from `gtrade.load`.
    """
    makers = {
        "distances": distances,
        "regret": regret_over_rounds,
        "correlation": correlation,
        "welfare": welfare,
        "schedules": mean_schedules,
        "outcomes": outcomes,
    }
    return draw_all(table, makers)


def distances(table: Results) -> Figure | None:
    """Draw the distances to the three kinds of equilibrium."""
    layout = lay_out(table)
    worst = {
        name: np.nanmax(mean)
        for name in _DISTANCES
        if (mean := means_by_point(table, name, layout)) is not None
    }
    if not worst:
        return None
    parts = [f"{worst[n]:.2g} of a {_DISTANCES[n][0]}" for n in reversed(worst)]
    title = "Play ends within " + ", ".join(parts) + " equilibrium"
    return draw_columns(
        table, layout, _DISTANCES, title=title, unit="distance (cost per round)"
    )


def correlation(table: Results) -> Figure | None:
    """Draw how far joint play is from independent play, in both forms."""
    layout = lay_out(table)
    mean = means_by_point(table, "tv_distance", layout)
    if mean is None:
        return None
    low, high = int(np.nanargmin(mean)), int(np.nanargmax(mean))
    title = f"Total variation from independent play is {mean[high]:.2g}"
    if layout.name(low):
        title = (
            f"Play is most correlated at {layout.name(high)} (total variation"
            f" {mean[high]:.2g}), least at {layout.name(low)} ({mean[low]:.2g})"
        )
    return draw_columns(
        table,
        layout,
        _VARIATIONS,
        title=title,
        unit="distance of joint play from its marginals",
        allows_log=False,
    )


def welfare(table: Results) -> Figure | None:
    """Draw the total cost of play beside the least that any schedules could cost.

    Games with general one-step costs have no welfare identity: they go without.
    """
    layout = lay_out(table)
    mean = means_by_point(table, "welfare", layout)
    if mean is None:
        return None
    least = _least_total_costs(table, layout)
    if least is None:
        worst = int(np.nanargmax(mean))
        title = f"Play costs up to {mean[worst]:.4g} a round"
    else:
        excess = mean - least
        worst = int(np.nanargmax(excess))
        title = (
            f"Play costs up to {excess[worst]:.3g} a round more than the least possible"
            f" {least[worst]:.4g}"
        )
    title += f" (at {layout.name(worst)})" if layout.name(worst) else ""
    with style.style():
        figure, axes = style.new_figure(title=title)
        draw = Panel(axes, table, layout)
        several = len(layout.lines) > 1
        colours = style.colours_for(len(layout.lines))
        for line, colour in zip(layout.lines, colours, strict=True):
            colour = colour if several else style.BLUE
            draw.column("welfare", line.members, line.label or "play", colour)
            if least is None:
                continue
            draw.values(
                least,
                line.members,
                "" if several else "least possible",
                colour if several else style.INK,
                linestyle="--",
                marker="",
            )
        if several and least is not None:
            draw.note("dashed: least possible")
        draw.finish("total cost (per round)")
    return figure


def mean_schedules(table: Results) -> Figure | None:
    """Draw every player's mean flow by step, one panel a point."""
    if "mean_trades" not in table.columns():
        return None
    layout = lay_out(table)
    flows = {
        i: rows
        for i, rows in rows_by_point(table, "mean_trades", layout).items()
        if len(rows)
    }
    if not flows:
        return None
    shown = list(flows)
    if len(shown) > _MOST_PANELS:
        at = np.linspace(0, len(shown) - 1, _MOST_PANELS).round().astype(int)
        shown = [shown[i] for i in at]
    first = {i: float(flows[i][:, :, 0].mean()) for i in shown}
    low, high = min(first, key=first.__getitem__), max(first, key=first.__getitem__)
    title = f"In the first step players buy {first[high]:.2g} shares on average"
    if len(shown) > 1 and first[high] > first[low]:
        title += f" at {layout.name(high)}, {first[low]:.2g} at {layout.name(low)}"
    columns = min(len(shown), 4 if len(shown) != 9 else 3)
    rows = -(-len(shown) // columns)
    with style.style():
        figure, panels = style.new_figure(
            rows,
            columns,
            width=max(4.5, 2.15 * columns),
            height=0.7 + 1.6 * rows,
            title=title,
            squeeze=False,
            sharey=True,
        )
        for place, panel in enumerate(panels.flat):
            if place >= len(shown):
                panel.remove()
                continue
            _draw_flows(panel, flows[shown[place]])
            panel.set_title(layout.name(shown[place]))
            if place % columns == 0:
                panel.set_ylabel("mean flow (shares)")
            if place + columns >= len(shown):
                panel.set_xlabel("step")
        last = panels.flat[columns - 1]
        style.label_ends(last, _flow_labels(flows[shown[columns - 1]]))
    return figure


def outcomes(table: Results) -> Figure | None:
    """Draw how runs ended, for solvers that can end in more than one way."""
    status = np.asarray(table["status"])
    if set(status) == {"completed"}:
        return None
    layout = lay_out(table)
    size = len(layout.points)
    count = np.bincount(layout.member, minlength=size)
    share = {
        str(name): np.bincount(layout.member[status == name], minlength=size) / count
        for name in sorted(set(status))
    }
    parts = [f"{np.mean(status == name):.0%} {_words(name)}" for name in share]
    title = f"How {len(table)} runs ended: " + ", ".join(parts)
    is_joined = len(layout.lines) == layout.num_lines == 1
    with style.style():
        figure, axes = style.new_figure(height=2.8, title=title)
        draw = Panel(axes, table, layout)
        for name, colour in zip(share, style.colours_for(len(share)), strict=True):
            draw.values(
                100 * share[name],
                layout.lines[0].members if is_joined else np.arange(size),
                _words(name),
                colour,
                joined=is_joined,
            )
        axes.set_ylim(-5, 105)
        draw.finish("share of runs (%)")
    return figure


def flow_concentration(
    kappa: np.ndarray,
    mean: np.ndarray,
    error: np.ndarray,
    *,
    smallest: float,
    largest: float,
    title: str,
) -> Figure:
    """Draw the mean squared total flow, which decides welfare, against kappa.

    Args:
        kappa: shape (points,).
        mean: of |sum of all schedules|^2, shape (points,), squared shares.
        error: standard errors, shape (points,).
        smallest: least value that any schedules attain.
        largest: largest such value.
        title: the finding.
    """
    with style.style():
        figure, axes = style.new_figure(title=title)
        style.draw_mean(
            axes, kappa, mean, error, colour=style.BLUE, marker="o", clip_on=False
        )
        for level, text in ((smallest, "smallest"), (largest, "largest")):
            axes.axhline(level, color=style.INK, linestyle="--", linewidth=1)
            axes.annotate(
                f"{text} possible, {level:.4g}",
                (1, level),
                xycoords=("axes fraction", "data"),
                xytext=(0, 4),
                textcoords="offset points",
                ha="right",
                fontsize=8,
            )
        axes.axvspan(axes.get_xlim()[0], 2, color=style.PALE, alpha=0.4, linewidth=0)
        axes.set_ylim(0, largest * 1.15)
        axes.margins(x=0)
        for x, text in ((1, "concentration\ncosts"), (6, "concentration\nsaves")):
            if x < kappa.max():
                axes.annotate(
                    text,
                    (x, 0.06),
                    xycoords=("data", "axes fraction"),
                    ha="center",
                    color=style.GREY,
                    fontsize=8,
                )
        axes.set_xlabel("permanent impact κ (multiple of temporary impact)")
        axes.set_ylabel("mean of |S|² (shares²)")
    return figure


def least_total_cost(
    *,
    horizon: int,
    targets: Sequence[int],
    min_trade: int,
    max_trade: int,
    permanent_impact: float,
) -> float:
    """Return the smallest total cost that any schedules of all players have.

    By the welfare identity it is `(1 - kappa/2) |S|^2 + kappa/2 (sum V)^2` with the
    total flow S as even as possible for kappa < 2 and as uneven as possible beyond
    (docs, "Welfare identity").
    """
    total = int(np.sum(targets))
    if permanent_impact < 2:
        each, extra = divmod(total, horizon)
        square = (horizon - extra) * each**2 + extra * (each + 1) ** 2
    else:
        span = max_trade - min_trade
        flow = np.full(horizon, min_trade * len(targets), np.int64)
        for target in targets:
            units = target - horizon * min_trade
            # Extreme schedules, all sorted alike: the largest trades come first.
            flow += np.clip(units - span * np.arange(horizon), 0, span)
        square = int((flow**2).sum())
    return (1 - permanent_impact / 2) * square + permanent_impact / 2 * total**2


def _least_total_costs(table: Results, layout: Layout) -> np.ndarray | None:
    """Return the least total cost of every point, None if it is unknown for one."""
    problems = _problems(table, layout)
    for problem in problems:
        numbers = [problem.pop(x, None) for x in ("temporary_exponent", "fixed_fee")]
        limits = [problem["min_trade"], problem["max_trade"]]
        # A list is one limit per step; mixed with numbers it is written as a text.
        has_steps = any(np.ndim(x) or isinstance(x, str) for x in limits)
        if has_steps or any(x is not None for x in numbers):
            return None
    return np.array([least_total_cost(**problem) for problem in problems])


def _problems(table: Results, layout: Layout) -> list[dict[str, Any]]:
    """Return the numbers of the problem at every point."""
    _, first = np.unique(table["point"], return_index=True)
    problems = []
    for row in first:
        problem = dict(table.manifest["spec"]["problem"])
        for key in table.swept:
            owner, _, name = key.partition(".")
            if owner != "problem":
                continue
            name, _, position = name.partition(".")
            value = table[key][row]
            if position:
                whole = list(problem[name])
                whole[int(position)] = value
                value = whole
            problem[name] = value
        problems.append(problem)
    return problems


def _draw_flows(axes: Axes, rows: np.ndarray) -> None:
    """Draw mean flows of a point: each player's, or their range if they are many."""
    mean, error, _ = mean_and_error(rows, np.zeros(len(rows), int), 1)
    steps = np.arange(1, rows.shape[-1] + 1)
    axes.axhline(0, color=style.GREY, linewidth=0.7)
    axes.set_xticks(steps if len(steps) <= 12 else steps[:: len(steps) // 6])
    if rows.shape[1] > _MOST_PLAYERS:
        flows = mean[0]
        axes.fill_between(
            steps, flows.min(axis=0), flows.max(axis=0), color=style.SKY, alpha=0.4
        )
        axes.plot(steps, flows.mean(axis=0), color=style.BLUE)
        return
    looks = [{"markersize": 4.5}, {"linestyle": (0, (3, 3)), "markersize": 3}]
    for player, colour in enumerate(style.PALETTE[: rows.shape[1]]):
        # Players often do the same: dashes let the one below show.
        look = {"marker": "o" if len(steps) <= 30 else "", **looks[player > 0]}
        flow, spread = mean[0, player], error[0, player]
        style.draw_mean(axes, steps, flow, spread, colour=colour, **look)


def _flow_labels(rows: np.ndarray) -> list[tuple[float, float, str, Any]]:
    flows, horizon = rows.mean(axis=0), rows.shape[-1]
    if len(flows) > _MOST_PLAYERS:
        return [(horizon, flows.mean(axis=0)[-1], "mean of\nplayers", style.BLUE)]
    return [
        (horizon, flow[-1], f"player {i + 1}", style.PALETTE[i])
        for i, flow in enumerate(flows)
    ]


def _words(status: str) -> str:
    return str(status).replace("_", " ")
