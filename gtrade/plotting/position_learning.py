"""Figures of runs of learners of positions: how fast they come to the equilibrium."""

import numpy as np
from matplotlib.figure import Figure

from gtrade.plotting import positions, style
from gtrade.plotting.equilibria import exploitability
from gtrade.plotting.panels import draw_all, rows_by_point
from gtrade.plotting.points import Results, lay_out, mean_and_error

_MOST_CURVES = 6
_CURVES = {
    "distance_curve": "rates of the last round",
    "average_distance_curve": "running averages",
}


def figures(table: Results) -> dict[str, Figure]:
    """Return all figures that a run of learners has something to show in.

    Args:
        table: of a finished or unfinished run, from `gtrade.load`.
    """
    makers = {
        "distances": distances,
        "schedules": positions.schedules,
        "exploitability": exploitability,
    }
    return draw_all(table, makers)


def distances(table: Results) -> Figure | None:
    """Draw mean squared distances to the equilibrium, with the power that they fall by.

    Args:
        table: of a run that kept `rounds` and a distance curve.
    """
    kept = [name for name in _CURVES if name in table.arrays]
    if "rounds" not in table.arrays or not kept:
        return None
    layout = lay_out(table)
    rounds = rows_by_point(table, "rounds", layout)
    curves = {name: rows_by_point(table, name, layout) for name in kept}
    shown = [i for i, rows in curves[kept[0]].items() if rows.size]
    if len(shown) > _MOST_CURVES:
        at = np.linspace(0, len(shown) - 1, _MOST_CURVES).round().astype(int)
        shown = [shown[i] for i in at]
    if not shown:
        return None
    first = curves[kept[0]]
    slopes = {i: fitted_slope(rounds[i][0], first[i].mean(axis=0)) for i in shown}
    powers = ", ".join(
        f"{slopes[i]:.2f}" + (f" ({layout.name(i)})" if layout.name(i) else "")
        for i in shown
    )
    title = "Mean squared distance to the Bayesian equilibrium goes as rounds to the"
    title += f" power of {powers}"
    with style.style():
        figure, panels = style.new_figure(
            1,
            len(kept),
            width=2.9 * len(kept) + 2.7,
            title=title,
            sharey=True,
            squeeze=False,
        )
        panels[0][0].set_yscale("log")  # shared
        panels[0][0].set_ylabel("squared distance (shares² / time)")
        for panel, name in zip(panels[0], kept, strict=True):
            ends = []
            for i, colour in zip(shown, style.sequence(len(shown)), strict=True):
                values, x = curves[name][i], rounds[i][0]
                mean, error, _ = mean_and_error(values, np.zeros(len(values), int), 1)
                # Bands that would reach 0 have no place on this axis.
                error = np.minimum(error[0], 0.45 * mean[0])
                style.draw_mean(panel, x, mean[0], error, colour=colour)
                ends.append((x[-1], mean[0][-1], layout.name(i), colour))
            panel.set_xscale("log")
            panel.set_xlabel("round")
            panel.set_title(_CURVES[name])
            panel.margins(x=0.01)
            if name == kept[-1]:
                style.label_ends(panel, ends)
    return figure


def fitted_slope(rounds: np.ndarray, values: np.ndarray) -> float:
    """Return the slope of log values against log rounds, over the last factor of 10.

    NaN where fewer than two of them are positive numbers.
    """
    is_late = (rounds >= rounds[-1] / 10) & np.isfinite(values) & (values > 0)
    if is_late.sum() < 2:
        return float("nan")
    return float(np.polyfit(np.log(rounds[is_late]), np.log(values[is_late]), 1)[0])
