"""Figures of a run of the discrete trading game, from its table of results alone.

`figures` is what a report shows; each of the others draws one kind of result. All take
any run: without a sweep, over one key or several, with columns missing or rows without
an answer. A function returns None where the table has nothing for it to show.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gtrade.plotting import style
from gtrade.plotting.points import Layout, Results, lay_out, mean_and_error

_MOST_PANELS = 12
_MOST_CURVES = 6
_MOST_PLAYERS = 6
_CURVE_POINTS = 300

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
    makers: dict[str, Callable[[Results], Figure | None]] = {
        "distances": distances,
        "regret": regret_over_rounds,
        "correlation": correlation,
        "welfare": welfare,
        "schedules": mean_schedules,
        "outcomes": outcomes,
    }
    if not len(table):
        return {}
    drawn = {name: make(table) for name, make in makers.items()}
    return {name: figure for name, figure in drawn.items() if figure is not None}


def distances(table: Results) -> Figure | None:
    """Draw the distances to the three kinds of equilibrium."""
    layout = lay_out(table)
    worst = {
        name: np.nanmax(mean)
        for name in _DISTANCES
        if (mean := _means(table, name, layout)) is not None
    }
    if not worst:
        return None
    parts = [f"{worst[n]:.2g} of a {_DISTANCES[n][0]}" for n in reversed(worst)]
    title = "Play ends within " + ", ".join(parts) + " equilibrium"
    return _draw_columns(
        table, layout, _DISTANCES, title=title, unit="distance (cost per round)"
    )


def correlation(table: Results) -> Figure | None:
    """Draw how far joint play is from independent play, in both forms."""
    layout = lay_out(table)
    mean = _means(table, "tv_distance", layout)
    if mean is None:
        return None
    low, high = int(np.nanargmin(mean)), int(np.nanargmax(mean))
    title = f"Total variation from independent play is {mean[high]:.2g}"
    if layout.names[low]:
        title = (
            f"Play is most correlated at {layout.names[high]} (total variation"
            f" {mean[high]:.2g}), least at {layout.names[low]} ({mean[low]:.2g})"
        )
    return _draw_columns(
        table,
        layout,
        _VARIATIONS,
        title=title,
        unit="distance of joint play from its marginals",
        allows_log=False,
    )


def welfare(table: Results) -> Figure | None:
    """Draw the total cost of play beside the least that any schedules could cost."""
    layout = lay_out(table)
    mean = _means(table, "welfare", layout)
    if mean is None:
        return None
    least = np.array([least_total_cost(**p) for p in _problems(table, layout)])
    excess = mean - least
    worst = int(np.nanargmax(excess))
    at = f" (at {layout.names[worst]})" if layout.names[worst] else ""
    title = (
        f"Play costs up to {excess[worst]:.3g} a round more than the least possible"
        f" {least[worst]:.4g}{at}"
    )
    with style.style():
        figure, axes = style.new_figure(title=title)
        draw = _Panel(axes, table, layout)
        several = len(layout.lines) > 1
        colours = style.colours_for(len(layout.lines))
        for line, colour in zip(layout.lines, colours, strict=True):
            colour = colour if several else style.BLUE
            draw.column("welfare", line.members, line.label or "play", colour)
            draw.values(
                least,
                line.members,
                "" if several else "least possible",
                colour if several else style.INK,
                linestyle="--",
                marker="",
            )
        if several:
            draw.note("dashed: least possible")
        draw.finish("total cost (per round)")
    return figure


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
        for i, curve in _rows_by_point(table, "regret_curve", layout).items()
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
            f"Average regret ends between {final[low]:.2g} ({layout.names[low]})"
            f" and {final[high]:.2g} ({layout.names[high]})"
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
                at.append((rounds[-1], mean[0][-1], layout.names[i], colour))
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
    curves = _rows_by_point(table, "regret_curve", layout)
    falls = {}
    with style.style():
        figure, panels = style.new_figure(
            1, len(points), width=2.6 * len(points) + 0.4, height=2.9, squeeze=False
        )
        for panel, i in zip(panels[0], points, strict=True):
            runs = curves[i].max(axis=-1)
            total = runs * np.arange(1, runs.shape[1] + 1)
            fall = (np.maximum.accumulate(total, axis=1) - total).max(axis=1)
            falls[layout.names[i]] = fall.mean() / np.abs(total).max(axis=1).mean()
            rounds = curve_rounds(runs.shape[1])
            for run, colour in zip(
                total[:num_runs], style.sequence(num_runs), strict=False
            ):
                panel.plot(rounds, run[rounds - 1], color=colour, linewidth=1)
            panel.set_title(layout.names[i])
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
                panel.plot(x, values, ".", color=colour, alpha=0.45, markersize=3.5)
                for level, dashes in ((values.mean(), "-"), (np.median(values), ":")):
                    panel.hlines(
                        level, place - 0.38, place + 0.38, color=style.INK,
                        linestyle=dashes, linewidth=1.4,
                    )  # fmt: skip
            panel.set_title(name)
            panel.set_xticks(range(len(solvers)), list(solvers))
            panel.set_xlim(-0.6, len(solvers) - 0.4)
        panels[0][0].set_ylabel(unit)
        panels[0][0].annotate(
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


def mean_schedules(table: Results) -> Figure | None:
    """Draw every player's mean flow by step, one panel a point."""
    if "mean_trades" not in table.columns():
        return None
    layout = lay_out(table)
    flows = {
        i: rows
        for i, rows in _rows_by_point(table, "mean_trades", layout).items()
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
        title += f" at {layout.names[high]}, {first[low]:.2g} at {layout.names[low]}"
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
            panel.set_title(layout.names[shown[place]])
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
    with style.style():
        figure, axes = style.new_figure(height=2.8, title=title)
        draw = _Panel(axes, table, layout)
        for name, colour in zip(share, style.colours_for(len(share)), strict=True):
            draw.values(
                100 * share[name], np.arange(size), _words(name), colour, joined=False
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
        style.draw_mean(axes, kappa, mean, error, colour=style.BLUE, marker="o")
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
                    text, (x, 0.06), xycoords=("data", "axes fraction"), ha="center",
                    color=style.GREY, fontsize=8,
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


def curve_rounds(num_rounds: int) -> np.ndarray:
    """Return the rounds at which a curve is drawn: all, or 300 spread by factors."""
    if num_rounds <= _CURVE_POINTS:
        return np.arange(1, num_rounds + 1)
    half = _CURVE_POINTS // 2
    even = np.linspace(1, num_rounds, half)
    return np.unique(
        np.concatenate([even, np.geomspace(1, num_rounds, half)]).round().astype(int)
    )


class _Panel:
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
            self._draw_rows(name, label, colour)
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
                x, y, 2 * shown, fmt=marker["marker"], color=colour, capsize=3
            )
        else:
            self.axes.hlines(y, x - 0.3, x + 0.3, color=colour, linestyles="--")
        good = np.flatnonzero(np.isfinite(y))
        if label and len(good):
            self._ends.append((x[good[-1]], y[good[-1]], label, colour))

    def note(self, text: str) -> None:
        """Write a remark in the upper left corner."""
        self.axes.annotate(
            text, (0.02, 0.97), xycoords="axes fraction", va="top", fontsize=8,
            color=style.GREY,
        )

    def finish(self, unit: str, *, is_labelled: bool = True) -> None:
        """Set axes and scale, then write the labels beside the line ends."""
        axes, layout = self.axes, self.layout
        axes.set_ylabel(unit)
        if layout.is_joined:
            axes.set_xlabel(layout.label)
            if layout.is_logarithmic:
                axes.set_xscale("log")
        elif len(layout.points) == 1:
            axes.set_xlim(-1, 1)
            axes.set_xticks([])
        else:
            at = np.arange(len(layout.points))
            if len(at) > 20:
                at = np.linspace(0, len(at) - 1, 20).round().astype(int)
            axes.set_xticks(at, [layout.names[i] for i in at], rotation=30, ha="right")
            axes.margins(x=0.1)
        if is_labelled:
            style.label_ends(axes, self._ends)

    def _draw_rows(self, name: str, label: str, colour: Any) -> None:
        """Draw every replication of a single point beside its mean."""
        values = np.asarray(self.table[name], np.float64)
        values = values[np.isfinite(values)]
        place = np.linspace(-0.6, -0.15, len(values))
        self.axes.plot(place, values, ".", color=colour, alpha=0.4, markersize=3)


def _draw_columns(
    table: Results,
    layout: Layout,
    columns: Mapping[str, tuple[str, Any]],
    *,
    title: str,
    unit: str,
    allows_log: bool = True,
) -> Figure:
    """Draw several columns: in one panel or, with several lines each, in one apiece."""
    names = [name for name in columns if _means(table, name, layout) is not None]
    means = np.concatenate([_means(table, name, layout) for name in names])
    good = means[np.isfinite(means)]
    is_log = allows_log and good.min() > 0 and good.max() > 20 * good.min()
    several = len(layout.lines) > 1
    with style.style():
        width = 6.5 if not several else 2.9 * len(names) + 0.9
        figure, axes = style.new_figure(
            1, len(names) if several else 1, width=width, title=title, sharey=True,
            squeeze=False,
        )
        panels = [_Panel(a, table, layout) for a in axes.flat]
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
        for place, panel in enumerate(panels):
            is_last = place == len(panels) - 1
            panel.finish(unit if place == 0 else "", is_labelled=is_last)
    return figure


def _means(table: Results, name: str, layout: Layout) -> np.ndarray | None:
    """Return the mean at every point; None if the column is absent or all NaN."""
    if name not in table.columns():
        return None
    mean, _, _ = mean_and_error(table[name], layout.member, len(layout.points))
    return mean if np.isfinite(mean).any() else None


def _rows_by_point(
    table: Results, name: str, layout: Layout
) -> dict[int, np.ndarray]:
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
