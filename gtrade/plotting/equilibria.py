"""Figures of runs that computed equilibria, from their tables of results alone.

`figures` is what a report shows; each of the others draws one kind of result. All take
any run and return None where the table has nothing for them to show.
"""

import numpy as np
from matplotlib.figure import Figure

from gtrade.plotting import style, trading
from gtrade.plotting.panels import Panel, draw_all, means_by_point
from gtrade.plotting.points import Results, lay_out

# Gains below it are rounding; zeros are drawn there on logarithmic axes.
_LEAST_GAIN = 1e-16
_GAINS = {
    "exploitability": ("gain", style.BLUE),
    "lots_exploitability": ("in whole lots", style.ORANGE),
    "deviation_gain": ("gain", style.BLUE),
}


def figures(table: Results) -> dict[str, Figure]:
    """Return all figures that a run of an equilibrium solver has something to show in.

    Args:
        table: of a finished or unfinished run, from `gtrade.load`.
    """
    makers = {
        "welfare": welfare,
        "exploitability": exploitability,
        "supports": support_sizes,
        "schedules": trading.mean_schedules,
        "outcomes": outcomes,
    }
    return draw_all(table, makers)


def welfare(table: Results) -> Figure | None:
    """Draw the total cost in equilibrium: of those found, or its exact range."""
    layout = lay_out(table)
    best = means_by_point(table, "welfare_best", layout)
    worst = means_by_point(table, "welfare_worst", layout)
    if best is None or worst is None:
        mean = means_by_point(table, "welfare", layout)
        if mean is None:
            return None
        low, high = int(np.nanargmin(mean)), int(np.nanargmax(mean))
        title = f"Equilibria cost {_number(mean[high])} in total"
        if layout.name(low) and mean[high] > mean[low]:
            title = (
                f"Equilibria cost {_number(mean[low])} in total at"
                f" {layout.name(low)}, {_number(mean[high])} at {layout.name(high)}"
            )
    else:
        widest = int(np.nanargmax(worst - best))
        kind = _concept(table)
        title = (
            f"{kind} cost between {_number(best[widest])} and"
            f" {_number(worst[widest])} in total"
        )
        if layout.name(widest):
            title += f" at {layout.name(widest)}, where they differ most"
    with style.style():
        figure, axes = style.new_figure(title=title)
        draw = Panel(axes, table, layout)
        several = len(layout.lines) > 1
        for line, colour in zip(
            layout.lines, style.colours_for(len(layout.lines)), strict=True
        ):
            if best is None or worst is None:
                draw.column("welfare", line.members, line.label, colour)
                continue
            at = line.members
            names = [f"{line.label}, {n}" if several else n for n in ("best", "worst")]
            low_colour = colour if several else style.GREEN
            high_colour = colour if several else style.ORANGE
            if layout.is_joined:
                axes.fill_between(
                    layout.x[at], best[at], worst[at], color=colour, alpha=0.15, lw=0
                )
            draw.values(best, at, names[0], low_colour)
            draw.values(worst, at, names[1], high_colour)
        draw.finish("total cost")
    return figure


def exploitability(table: Results) -> Figure | None:
    """Draw the largest gain from a deviation, on a logarithmic axis."""
    layout = lay_out(table)
    means = {n: means_by_point(table, n, layout) for n in _GAINS}
    shown = {name: mean for name, mean in means.items() if mean is not None}
    if not shown:
        return None
    worst = {name: float(np.nanmax(mean)) for name, mean in shown.items()}
    parts = [
        f"{worst[name]:.1e}" + (" in whole lots" if name.startswith("lots") else "")
        if worst[name] > 0
        else "nothing"
        for name in shown
    ]
    title = "No deviation gains more than " + ", ".join(parts) + " on average"
    if not any(gain > 0 for gain in worst.values()):
        title = "No deviation gains anything"
    with style.style():
        figure, axes = style.new_figure(height=3.0, title=title)
        axes.set_yscale("log")
        axes.set_ylim(_LEAST_GAIN / 3, 30 * max(*worst.values(), _LEAST_GAIN))
        draw = Panel(axes, table, layout)
        several = len(layout.lines) > 1
        for place, (name, mean) in enumerate(shown.items()):
            kind, colour = _GAINS[name]
            floor = np.where(np.isfinite(mean), np.maximum(mean, _LEAST_GAIN), np.nan)
            for line, own in zip(
                layout.lines, style.colours_for(len(layout.lines)), strict=True
            ):
                names = [x for x in (line.label, kind if len(shown) > 1 else "") if x]
                draw.values(
                    floor, line.members, ", ".join(names), own if several else colour,
                    linestyle="-" if place == 0 else "--",
                )  # fmt: skip
        if any((mean <= _LEAST_GAIN).any() for mean in shown.values()):
            draw.note(f"zero is drawn at {_LEAST_GAIN:g}")
        draw.finish("gain from a deviation (cost)")
    return figure


def support_sizes(table: Results) -> Figure | None:
    """Draw how many pure strategies each player mixes."""
    layout = lay_out(table)
    if "support_size" not in table.columns():
        return None
    sizes = [np.asarray(x, np.float64) for x in table["support_size"]]
    mean = np.full(len(layout.points), np.nan)
    largest = np.full(len(layout.points), np.nan)
    for i in range(len(layout.points)):
        rows = np.flatnonzero(layout.member == i)
        own = np.concatenate([np.ravel(sizes[row]) for row in rows])
        own = own[np.isfinite(own) & (own > 0)]
        if len(own):
            mean[i], largest[i] = own.mean(), own.max()
    if not np.isfinite(mean).any():
        return None
    if np.nanmax(largest) == 1:
        title = "All equilibria found are pure"
    else:
        at = int(np.nanargmax(largest))
        title = f"A player mixes up to {largest[at]:.0f} strategies"
        title += f" (at {layout.name(at)})" if layout.name(at) else ""
    with style.style():
        figure, axes = style.new_figure(height=3.0, title=title)
        draw = Panel(axes, table, layout)
        several = len(layout.lines) > 1
        for line, colour in zip(
            layout.lines, style.colours_for(len(layout.lines)), strict=True
        ):
            label = line.label if several else "mean"
            draw.values(mean, line.members, label, colour)
            if not several:
                draw.values(
                    largest, line.members, "largest", style.GREY, linestyle="--"
                )
        draw.finish("strategies in use by a player")
        axes.set_ylim(bottom=0)
    return figure


def outcomes(table: Results) -> Figure | None:
    """Draw how searches ended, unless all of them found an equilibrium."""
    if set(np.asarray(table["status"])) == {"converged"}:
        return None
    return trading.outcomes(table)


def _concept(table: Results) -> str:
    concept = table.manifest["spec"]["solver"].get("concept", "cce")
    is_coarse = concept == "cce" or "solver.concept" in table.swept
    return "Coarse correlated equilibria" if is_coarse else "Correlated equilibria"


def _number(value: float) -> str:
    return f"{round(value, 9) + 0.0:.4g}"  # what is left of zero is rounding
