"""Figures of calibrations: data against the fitted curve, and fits over time.

They are drawn from a `Calibration` alone.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gtrade.plotting.style import BLUE, GREY, ORANGE, new_figure, style

_BINS = 12


def figures(found: Any) -> dict[str, Figure]:
    """Return the figures of a calibration: those for which it has the columns."""
    made = {
        "fit": fitted_lines(found),
        "curve": fitted_curve(found),
        "periods": over_periods(found),
    }
    return {name: figure for name, figure in made.items() if figure is not None}


def fitted_lines(found: Any) -> Figure | None:
    """Draw bars, means of groups of them, and both lines of an impact fit."""
    curves = found.curves
    if "flow" not in curves or not np.isfinite(curves.get("intensity", np.nan)).any():
        return None
    slope, low, high = _first(found, "permanent_impact")
    title = (
        f"The mid moves by {slope:.3g} {found.units['permanent_impact']} of net flow"
        + (f" ({low:.2g} to {high:.2g})" if np.isfinite(low) else "")
    )
    kappa, kappa_low, kappa_high = _first(found, "kappa")
    if np.isfinite(kappa):
        title += f"; kappa is {kappa:.3g} ({kappa_low:.2g} to {kappa_high:.2g})"
    with style():
        figure, (left, right) = new_figure(1, 2, width=8, height=3.6, title=title)
        _scatter(left, curves["flow"], curves["mid_change"])
        _line(left, curves["flow"], (slope, low, high), 0.0)
        left.set_xlabel("net flow of takers in a bar (shares)")
        left.set_ylabel("change of the mid (price)")
        _scatter(right, curves["intensity"], curves["shortfall"])
        tau = found.facts["window"] / found.facts["horizon"]
        eta, eta_low, eta_high = _first(found, "temporary_impact")
        cost, *_ = _first(found, "fixed_cost")
        _line(
            right,
            curves["intensity"],
            (
                slope / 2 + eta / tau,
                slope / 2 + eta_low / tau,
                slope / 2 + eta_high / tau,
            ),
            cost,
            anchored=True,
        )
        right.set_xlabel("squared net flow over volume (shares)")
        right.set_ylabel("paid beyond the first mid (price)")
    return figure


def fitted_curve(found: Any) -> Figure | None:
    """Draw points, and a line with its band, as the calibration's facts name them."""
    words, curves = found.facts.get("axes"), found.curves
    if not words:
        return None
    with style():
        figure, axes = new_figure(width=6.5, height=3.6, title=words["title"])
        if "points_x" in curves:
            is_cloud = "centres_x" in curves or np.isnan(curves["line_x"]).any()
            if is_cloud:
                axes.plot(curves["points_x"], curves["points_y"], ".", color=GREY)
            else:
                _scatter(axes, curves["points_x"], curves["points_y"])
        if "centres_x" in curves:
            places = curves["centres_x"], curves["centres_y"]
            axes.plot(*places, "X", color=ORANGE, markersize=9)
        if "line_x" in curves:
            axes.plot(curves["line_x"], curves["line"], color=ORANGE)
        if "line_low" in curves:
            edges = curves["line_low"], curves["line_high"]
            axes.fill_between(
                curves["line_x"], *edges, color=ORANGE, alpha=0.2, linewidth=0
            )
            axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
        axes.set_xlabel(words["x"])
        axes.set_ylabel(words["y"])
    return figure


def over_periods(found: Any) -> Figure | None:
    """Draw each number of the fits to periods with intervals, and of the whole."""
    starts = found.rows.get("start")
    if starts is None or len(starts) < 3:
        return None
    names = [name for name in found.units if np.isfinite(found.rows[name][1:]).any()]
    with style():
        figure, axes = new_figure(
            len(names),
            1,
            width=7,
            height=1.5 * len(names) + 0.6,
            title=_finding(found, names[0]),
            sharex=True,
            squeeze=False,
        )
        hours = (starts[1:] + found.rows["end"][1:]) / 7200
        for name, panel in zip(names, axes[:, 0], strict=True):
            value, low, high = (
                found.rows[f"{name}{end}"][1:] for end in ("", "_low", "_high")
            )
            low_high = np.concatenate([low, high])
            panel.vlines(hours, low, high, color=BLUE, linewidth=1)
            panel.plot(hours, value, "o", color=BLUE)
            _, low, high = _first(found, name)
            panel.axhline(found.rows[name][0], color=ORANGE)
            if np.isfinite(low):
                panel.axhspan(low, high, color=ORANGE, alpha=0.15, linewidth=0)
            known = np.concatenate([value, low_high])
            known = known[np.isfinite(known)]
            if known.min() > 0 and known.max() > 30 * known.min():
                panel.set_yscale("log")
            unit = found.units[name]
            label = name.replace("_", " ")
            panel.set_title(f"{label} ({unit})" if unit else label)
        axes[-1, 0].set_xlabel("time of day (h); orange: the fit to all of it")
    return figure


def _finding(found: Any, name: str) -> str:
    values, errors = found.rows[name][1:], found.rows[f"{name}_se"][1:]
    is_known = np.isfinite(values) & np.isfinite(errors)
    words = name.replace("_", " ").capitalize()
    if is_known.sum() < 2:
        return f"{words} of each period"
    values, errors = values[is_known], errors[is_known]
    excess = ((values - np.average(values, weights=errors**-2.0)) / errors) ** 2
    ratio = values.max() / values.min() if values.min() > 0 else np.nan
    moved = excess.sum() > len(values) + 3 * np.sqrt(2 * len(values))
    if not moved:
        return f"{words} of the periods differs by no more than its errors"
    return f"{words} differs between periods by more than its errors" + (
        f": up to {ratio:.1f} times" if np.isfinite(ratio) else ""
    )


def _first(found: Any, name: str) -> tuple[float, float, float]:
    value, low, high = (found.rows[f"{name}{end}"][0] for end in ("", "_low", "_high"))
    return float(value), float(low), float(high)


def _scatter(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """Draw points, and means of groups of equal size with two standard errors."""
    is_point = np.isfinite(x) & np.isfinite(y)
    x, y = x[is_point], y[is_point]
    axes.plot(x, y, ".", color=GREY, alpha=0.35, markersize=3, rasterized=len(x) > 2000)
    groups = np.array_split(np.argsort(x), min(_BINS, max(1, len(x) // 5)))
    means = [(x[g].mean(), y[g].mean(), y[g].std() / np.sqrt(len(g))) for g in groups]
    place, height, error = np.array(means).T
    axes.errorbar(place, height, 2 * error, fmt="o", color=BLUE, linewidth=1)


def _line(
    axes: Axes,
    x: np.ndarray,
    slopes: tuple[float, float, float],
    intercept: float,
    *,
    anchored: bool = False,
) -> None:
    """Draw a fitted line through its data, and the band of its slope."""
    x = x[np.isfinite(x)]
    ends = np.linspace(min(x.min(), 0) if anchored else x.min(), x.max(), 50)
    middle = x.mean() if anchored else 0.0
    slope, low, high = slopes
    height = intercept + slope * middle
    axes.plot(ends, height + slope * (ends - middle), color=ORANGE)
    if np.isfinite(low) and np.isfinite(high):
        edges = [height + s * (ends - middle) for s in (low, high)]
        axes.fill_between(ends, *edges, color=ORANGE, alpha=0.2, linewidth=0)
