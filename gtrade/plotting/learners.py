"""Figures of learners: regret over the rounds, runs compared, bounds checked."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from gtrade.plotting import style
from gtrade.plotting.panels import rows_by_point
from gtrade.plotting.points import Results, lay_out, mean_and_error

_MOST_CURVES = 6
_CURVE_POINTS = 300


def regret_over_rounds(
    table: Results, points: Sequence[int] | None = None
) -> Figure | None:
    """Draw cumulative and average regret after each round, of the worse-off player.

    Args:
        table: of a run that kept `regret_curve`.
        points: which points to show; at most six, spread evenly, if None.
    """
    if "regret_curve" not in table.arrays:
        return None
    layout = lay_out(table)
    curves = {
        i: curve.max(axis=-1)
        for i, curve in rows_by_point(table, "regret_curve", layout).items()
        if len(curve) and curve.shape[1] > 1
    }
    shown = list(curves) if points is None else [i for i in points if i in curves]
    if points is None and len(shown) > _MOST_CURVES:
        at = np.linspace(0, len(shown) - 1, _MOST_CURVES).round().astype(int)
        shown = [shown[i] for i in at]
    if not shown:
        return None
    final = {i: float(np.nanmean(curves[i][:, -1])) for i in shown}
    low, high = min(final, key=final.__getitem__), max(final, key=final.__getitem__)
    title = f"Average regret ends at {final[high]:.2g}"
    if len(shown) > 1:
        title = (
            f"Average regret ends between {final[low]:.2g} ({layout.name(low)})"
            f" and {final[high]:.2g} ({layout.name(high)})"
        )
    with style.style():
        figure, panels = style.new_figure(1, 2, width=8.2, height=3.5, title=title)
        ends: list[list[tuple[float, float, str, Any]]] = [[], []]
        for i, colour in zip(shown, style.sequence(len(shown)), strict=True):
            rounds = curve_rounds(curves[i].shape[1])
            average = curves[i][:, rounds - 1]
            for panel, values, at in zip(
                panels, (average * rounds, average), ends, strict=True
            ):
                member = np.zeros(len(values), int)
                mean, error, _ = mean_and_error(values, member, 1)
                style.draw_mean(panel, rounds, mean[0], error[0], colour=colour)
                at.append((rounds[-1], mean[0][-1], layout.name(i), colour))
        panels[0].set_title("cumulative")
        panels[1].set_title("average")
        panels[0].set_ylabel("regret (cost)")
        panels[1].set_ylabel("regret (cost per round)")
        values = np.concatenate([line.get_ydata() for line in panels[1].lines])
        if values[np.isfinite(values)].min() > 0:
            panels[1].set_yscale("log")
        for panel, at in zip(panels, ends, strict=True):
            panel.set_xlabel("round")
            panel.margins(x=0.01)
            style.label_ends(panel, at if panel is panels[1] or len(at) > 1 else [])
    return figure


def single_regrets(
    table: Results, points: Sequence[int], *, num_runs: int = 5
) -> Figure | None:
    """Draw the cumulative regret of single runs, one panel a point.

    Args:
        table: of a run that kept `regret_curve`.
        points: one panel each.
        num_runs: replications drawn.
    """
    if "regret_curve" not in table.arrays:
        return None
    layout = lay_out(table)
    curves = rows_by_point(table, "regret_curve", layout)
    falls = {}
    with style.style():
        figure, panels = style.new_figure(
            1, len(points), width=2.6 * len(points) + 0.4, height=2.9, squeeze=False
        )
        for panel, i in zip(panels[0], points, strict=True):
            runs = curves[i].max(axis=-1)
            total = runs * np.arange(1, runs.shape[1] + 1)
            fall = (np.maximum.accumulate(total, axis=1) - total).max(axis=1)
            falls[layout.name(i)] = fall.mean() / np.abs(total).max(axis=1).mean()
            rounds = curve_rounds(runs.shape[1])
            for run, colour in zip(
                total[:num_runs], style.sequence(num_runs), strict=False
            ):
                panel.plot(rounds, run[rounds - 1], color=colour, linewidth=1)
            panel.set_title(layout.name(i))
            panel.set_xlabel("round")
            panel.margins(x=0.01)
        panels[0][0].set_ylabel("cumulative regret (cost)")
        most = max(falls, key=falls.__getitem__)
        style.set_title(
            figure,
            f"Single runs: at {most} cumulative regret falls back by"
            f" {falls[most]:.0%} of its peak",
        )
    return figure


def comparison(
    tables: Mapping[str, Results], column: str, *, unit: str, title: str
) -> Figure:
    """Draw one column of several runs over the same axis.

    Args:
        tables: by the name to label them with.
        column: a number per row.
        unit: label of the vertical axis.
        title: the finding.
    """
    with style.style():
        figure, axes = style.new_figure(title=title)
        ends, colours = [], style.colours_for(len(tables))
        for (name, table), colour in zip(tables.items(), colours, strict=True):
            layout = lay_out(table)
            mean, error, _ = mean_and_error(
                table[column], layout.member, len(layout.points)
            )
            order = layout.lines[0].members
            x, mean, error = layout.x[order], mean[order], error[order]
            style.draw_mean(axes, x, mean, error, colour=colour, marker="o")
            ends.append((x[-1], mean[-1], name, colour))
            axes.set_xlabel(layout.label)
        axes.set_yscale("log")
        axes.set_ylabel(unit)
        style.label_ends(axes, ends)
    return figure


def run_clouds(
    groups: Mapping[str, Mapping[str, np.ndarray]], *, unit: str, title: str
) -> Figure:
    """Draw every run of several solvers as a dot, with mean and median, by panel.

    Args:
        groups: by panel, then by solver, positive numbers of shape (runs,).
        unit: label of the vertical axis.
        title: the finding.
    """
    with style.style():
        figure, panels = style.new_figure(
            1, len(groups), width=1.75 * len(groups) + 0.8, height=3.4, title=title,
            squeeze=False, sharey=True,
        )  # fmt: skip
        panels[0][0].set_yscale("log")  # shared
        for panel, (name, solvers) in zip(panels[0], groups.items(), strict=True):
            for place, (values, colour) in enumerate(
                zip(solvers.values(), style.PALETTE, strict=False)
            ):
                # Golden-ratio steps spread neighbours without chance.
                x = place - 0.3 + 0.6 * ((np.arange(len(values)) * 0.618034) % 1)
                alpha = float(np.clip(60 / len(values), 0.12, 0.5))
                panel.plot(x, values, ".", color=colour, alpha=alpha, markersize=3.5)
                for level, dashes in ((values.mean(), "-"), (np.median(values), ":")):
                    panel.hlines(
                        level, place - 0.38, place + 0.38, color=style.INK,
                        linestyle=dashes, linewidth=1.4,
                    )  # fmt: skip
            panel.set_title(name)
            panel.set_xticks(range(len(solvers)), list(solvers))
            panel.set_xlim(-0.6, len(solvers) - 0.4)
        panels[0][0].set_ylabel(unit)
        panels[0][-1].annotate(
            "solid: mean\ndotted: median", (0.04, 0.03), xycoords="axes fraction",
            fontsize=7.5, color=style.GREY,
        )  # fmt: skip
    return figure


def bound_check(
    rounds: np.ndarray,
    series: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]],
    bounds: Mapping[str, Mapping[str, np.ndarray]],
    *,
    title: str,
) -> Figure:
    """Draw regret against the length of play, beside proved bounds, by panel.

    Args:
        rounds: lengths of play, shape (n,).
        series: by panel and learner, mean regret and its standard error, each (n,).
        bounds: by panel and learner, the bound for the learner of that name, (n,).
        title: the finding.
    """
    with style.style():
        figure, panels = style.new_figure(
            1, len(series), width=3.3 * len(series) + 1.4, height=3.6, title=title,
            squeeze=False, sharey=True,
        )  # fmt: skip
        for panel, (name, learners) in zip(panels[0], series.items(), strict=True):
            panel.set_xscale("log")
            panel.set_yscale("log")
            panel.set_xticks(rounds, [f"{r:g}" for r in rounds])
            panel.minorticks_off()
            ends = []
            colours = style.colours_for(len(learners))
            for (label, (mean, error)), colour in zip(
                learners.items(), colours, strict=True
            ):
                style.draw_mean(panel, rounds, mean, error, colour=colour, marker="o")
                ends.append((rounds[-1], mean[-1], label, colour))
                if label in bounds[name]:
                    bound = bounds[name][label]
                    panel.plot(rounds, bound, color=colour, linestyle="--")
                    ends.append((rounds[-1], bound[-1], f"bound: {label}", colour))
            panel.set_title(name)
            panel.set_xlabel("rounds of play")
        panels[0][0].set_ylabel("average regret (cost per round)")
        style.label_ends(panels[0][-1], ends)
    return figure


def curve_rounds(num_rounds: int) -> np.ndarray:
    """Return the rounds at which a curve is drawn: all, or 300 spread by factors."""
    if num_rounds <= _CURVE_POINTS:
        return np.arange(1, num_rounds + 1)
    half = _CURVE_POINTS // 2
    even = np.linspace(1, num_rounds, half)
    return np.unique(
        np.concatenate([even, np.geomspace(1, num_rounds, half)]).round().astype(int)
    )
