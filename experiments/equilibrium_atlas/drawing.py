"""Figures of the atlas, in the style of gtrade's own."""

import numpy as np

KAPPA = "permanent impact κ (multiple of temporary impact)"


def curves(kappa, series, *, unit, title, closer=None):
    """Draw series against kappa; a pair is a band between two lines.

    Args:
        kappa: values on the axis.
        series: values, or lowest and highest values, by name.
        unit: of the values.
        title: the finding.
        closer: a second panel shows the excess over the first series up to here.
    """
    from gtrade.plotting import style

    kappa = np.asarray(kappa, float)
    with style.style():
        columns = 1 if closer is None else 2
        figure, panels = style.new_figure(
            1, columns, width=6.5 if closer is None else 8.6, height=3.8, title=title,
            squeeze=False,
        )  # fmt: skip
        _draw_curves(panels[0][0], kappa, series, unit)
        if closer is not None:
            first = np.asarray(next(iter(series.values())), float)
            near = kappa <= closer
            excess = {
                name: tuple((np.asarray(v) - first)[near] for v in values)
                if isinstance(values, tuple)
                else (np.asarray(values) - first)[near]
                for name, values in list(series.items())[1:]
            }
            unit = f"{unit} above the {next(iter(series))}'s"
            _draw_curves(panels[0][1], kappa[near], excess, unit, skip=1)
            panels[0][1].set_title(f"up to κ = {closer:g}")
    return figure


def _draw_curves(axes, kappa, series, unit, skip=0):
    from gtrade.plotting import style

    # The later ones are smaller, so that those below stay visible.
    colours = (style.BLUE, style.GREEN, style.ORANGE)[skip:]
    ends = []
    for place, ((name, values), colour) in enumerate(
        zip(series.items(), colours, strict=True)
    ):
        size, width = 7 - 2 * place, 3.4 - place
        line = {"color": colour, "marker": "o", "markersize": size, "linewidth": width}
        if not isinstance(values, tuple):
            values = np.asarray(values, float)
            axes.plot(kappa, values, **line)
            ends.append([kappa[-1], values[-1], name, colour])
            continue
        low, high = (np.asarray(v, float) for v in values)
        axes.fill_between(kappa, low, high, color=colour, alpha=0.12, linewidth=0)
        axes.plot(kappa, low, **line)
        axes.plot(kappa, high, **{**line, "linestyle": "--"}, markerfacecolor="white")
        if np.isclose(low[-1], high[-1]):
            ends.append([kappa[-1], high[-1], name, colour])
        else:
            ends.append([kappa[-1], low[-1], f"best {name}", colour])
            ends.append([kappa[-1], high[-1], f"worst {name}", colour])
    if kappa[-1] > 2:
        axes.axvline(2, color=style.GREY, linewidth=0.7, linestyle=":")
    axes.set_xlabel(KAPPA if not skip else "permanent impact κ")
    axes.set_ylabel(unit)
    style.label_ends(axes, ends)


def maps(tables, *, title):
    """Draw one heat map a table: loss of the worst equilibrium, and its support."""
    from matplotlib import colormaps

    from gtrade.plotting import style

    counts = [len({row["game"] for row in rows}) for rows in tables.values()]
    with style.style():
        figure, panels = style.new_figure(
            len(tables), 1, width=7.4, height=2.1 + 0.48 * sum(counts),
            title=title, squeeze=False, sharex=True,
            gridspec_kw={"height_ratios": counts},
        )  # fmt: skip
        for axes, (name, rows) in zip(panels[:, 0], tables.items(), strict=True):
            games = list(dict.fromkeys(row["game"] for row in rows))
            kappas = sorted({row["kappa"] for row in rows})
            loss = np.full((len(games), len(kappas)), np.nan)
            for row in rows:
                loss[games.index(row["game"]), kappas.index(row["kappa"])] = row[
                    "loss_worst"
                ]
            image = axes.imshow(
                100 * loss, cmap=colormaps["viridis_r"], vmin=0, vmax=100,
                aspect="auto",
            )  # fmt: skip
            for row in rows:
                i, j = games.index(row["game"]), kappas.index(row["kappa"])
                if not np.isfinite(loss[i, j]):
                    text = "not found"
                else:
                    kinds = {1.0: "pure", 0.0: "mixed"}
                    kind = kinds.get(row["pure"], "both")
                    size = row["largest_support"]
                    kind += f" {size}" if size > 1 else ""
                    text = f"{100 * loss[i, j]:.0f} %\n{kind}"
                dark = np.nan_to_num(loss[i, j]) > 0.4
                axes.text(
                    j, i, text, ha="center", va="center", fontsize=7,
                    color="white" if dark else style.INK,
                )  # fmt: skip
            axes.set_yticks(range(len(games)), games)
            axes.set_xticks(range(len(kappas)), [f"{k:g}" for k in kappas])
            axes.set_title(name)
            axes.grid(False)
            axes.tick_params(length=0)
        axes.set_xlabel(KAPPA)
        bar = figure.colorbar(image, ax=list(panels[:, 0]), shrink=0.5, aspect=30)
        bar.set_label("worst equilibrium found: place between the least\n"
                      "and the largest possible total cost (%)")  # fmt: skip
        bar.outline.set_visible(False)
    return figure


def flows(panels, *, title):
    """Draw mean flows of both players: games down, kappa across."""
    from gtrade.plotting import style

    games = list(dict.fromkeys(game for game, _ in panels))
    kappas = sorted({kappa for _, kappa in panels})
    with style.style():
        figure, grid = style.new_figure(
            len(games), len(kappas), width=1.6 * len(kappas) + 1.3,
            height=1.55 * len(games) + 0.9, title=title, squeeze=False,
            sharex=True, sharey=True,
        )  # fmt: skip
        for i, game in enumerate(games):
            for j, kappa in enumerate(kappas):
                axes = grid[i][j]
                axes.axhline(0, color=style.GREY, linewidth=0.7)
                trades = np.array(panels.get((game, kappa), np.zeros((0, 0))))
                steps = np.arange(1, trades.shape[-1] + 1)
                looks = ((style.BLUE, "-", 5), (style.ORANGE, (0, (3, 3)), 3))
                for flow, (colour, line, size) in zip(trades, looks, strict=False):
                    axes.plot(
                        steps, flow, color=colour, linestyle=line, marker="o",
                        markersize=size,
                    )  # fmt: skip
                axes.set_xticks(steps)
                if i == 0:
                    axes.set_title(f"κ = {kappa:g}")
                if i == len(games) - 1:
                    axes.set_xlabel("step")
            grid[i][0].set_ylabel(f"{game}\nmean trade (shares)")
        for i, game in enumerate(games):
            trades = np.array(panels.get((game, kappas[-1]), np.zeros((0, 1))))
            names = ("player 1", game.split(" and ")[-1])
            names = ("player 1", "player 2") if game == "two buyers" else (
                "buyer", names[1]
            )  # fmt: skip
            style.label_ends(
                grid[i][-1],
                [
                    (trades.shape[-1], flow[-1], name, colour)
                    for flow, name, colour in zip(
                        trades, names, (style.BLUE, style.ORANGE), strict=False
                    )
                ],
            )
    return figure
