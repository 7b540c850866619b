"""Figures of these experiments, in the style of gtrade's own."""

import numpy as np

TIME = "time (horizons)"


def pairs(paths, complete, names, *, title, unit, inset=False, scale=None):
    """Draw what two firms do for every pair of active types.

    Args:
        paths: positions of firm 1's and of firm 2's types, each (types, points).
        complete: the same for every pair, were the types known, (types of firm 1,
            types of firm 2, 2, points).
        names: of firm 1's and of firm 2's types.
        title: the finding.
        unit: of the positions.
        inset: draw `complete` in an inset; dashed in the same panel if False.
        scale: what positions are divided by, for every type of each firm.
    """
    from gtrade.plotting import style

    colours = (style.BLUE, style.ORANGE)
    counts = [len(p) for p in paths]
    scale = scale or [np.ones(n) for n in counts]
    times = np.linspace(0.0, 1.0, paths[0].shape[1])
    with style.style():
        figure, grid = style.new_figure(
            *counts, width=2.2 * counts[1] + 3.4, height=2.05 * counts[0] + 1.0,
            title=title, squeeze=False, sharex=True, sharey=True,
        )  # fmt: skip
        for k, r in np.ndindex(*counts):
            axes = grid[k][r]
            own = [paths[0][k] / scale[0][k], paths[1][r] / scale[1][r]]
            known = [complete[k, r, 0] / scale[0][k], complete[k, r, 1] / scale[1][r]]
            small = axes.inset_axes([0.05, 0.63, 0.4, 0.3]) if inset else axes
            for mine, other, colour in zip(own, known, colours, strict=True):
                axes.plot(times, mine, color=colour)
                dashes = {} if inset else {"linestyle": (0, (3, 2)), "linewidth": 1.0}
                small.plot(times, other, color=colour, **dashes)
            if inset:
                small.plot(times, own[0], color=colours[0], alpha=0.3)
                small.plot(times, own[1], color=colours[1], alpha=0.3)
                small.set_xticks([])
                small.set_yticks([])
                small.set_title(
                    "types known (pale: unknown)", fontsize=7, color=style.GREY, pad=2
                )
            axes.set_xlim(0.0, 1.0)
            if inset:  # room for it
                top = max(paths[0].max(), paths[1].max())
                axes.set_ylim(-0.05 * top, 1.6 * top)
                axes.set_yticks(range(0, int(top) + 2, 2))
            axes.set_title(f"{names[0][k]}\n{names[1][r]}", fontsize=8)
            if r == 0:
                axes.set_ylabel(unit)
            if k == counts[0] - 1:
                axes.set_xlabel(TIME)
            axes.set_xticks([0, 0.5, 1])
        for k in range(counts[0]):
            ends = [
                (1.0, (paths[f][i] / scale[f][i])[-1], f"firm {f + 1}", colours[f])
                for f, i in ((0, k), (1, counts[1] - 1))
            ]
            style.label_ends(grid[k][-1], ends)
    return figure


def families(panels, labels, *, title, unit, note="", columns=None, limits=None):
    """Draw one family of lines a panel, coloured by one number.

    Args:
        panels: positions by name, each (lines, points).
        labels: of the lines of a family, written in the last panel.
        title: the finding.
        unit: of the lines.
        note: what the labels are, over them.
        columns: of panels; all if None.
        limits: of all y axes.
    """
    from gtrade.plotting import style

    columns = columns or len(panels)
    rows = -(-len(panels) // columns)
    with style.style():
        figure, grid = style.new_figure(
            rows, columns, width=2.5 * columns + 1.4, height=2.3 * rows + 0.9,
            title=title, squeeze=False, sharex=True, sharey=limits is not None,
        )  # fmt: skip
        colours = style.sequence(len(labels))
        for place, (name, lines) in enumerate(panels.items()):
            axes = grid.flat[place]
            times = np.linspace(0.0, 1.0, lines.shape[1])
            for line, colour in zip(lines, colours, strict=True):
                axes.plot(times, line, color=colour)
            axes.set_xlim(0.0, 1.0)
            axes.set_title(name)
            if limits is not None:
                axes.set_ylim(*limits)
            if place % columns == 0:
                axes.set_ylabel(unit)
            if place // columns == rows - 1:
                axes.set_xlabel(TIME)
        last = len(panels) - 1
        key = list(zip(labels, colours, strict=True))
        write_key(grid.flat[min(columns, last + 1) - 1], key, note)
    return figure


def write_key(axes, key, heading=""):
    """Write coloured labels right of a panel, a heading over them."""
    from gtrade.plotting import style

    place = 0.0  # in lines of text
    for text, colour in ([(heading, style.INK)] if heading else []) + key:
        axes.annotate(
            text, (1.0, 1.0), xycoords="axes fraction", xytext=(8, -12.5 * place),
            textcoords="offset points", color=colour, fontsize=8, va="top",
        )  # fmt: skip
        place += 1 + text.count("\n")


def lines(x, series, *, title, x_label, y_label, log_x=False, axes=None):
    """Draw named lines over x, labelled at their ends."""
    from gtrade.plotting import style

    with style.style():
        figure = None
        if axes is None:
            figure, axes = style.new_figure(width=6.6, height=3.7, title=title)
        else:
            axes.set_title(title)
        ends = []
        colours = style.colours_for(len(series))
        for (name, y), colour in zip(series.items(), colours, strict=True):
            axes.plot(x, y, color=colour, marker="o")
            ends.append((x[-1], y[-1], name, colour))
        if log_x:
            axes.set_xscale("log")
            axes.set_xticks(x, [f"{v:g}" for v in x])
            axes.minorticks_off()
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        style.label_ends(axes, ends)
    return figure
