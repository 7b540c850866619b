"""Figures 4 and 5 of Chriss (2025): how costs add up over the horizon."""

import drawing
import numpy as np
from experiment import float64, read_arguments, solve, spec_problem, write
from fig1_3_strategies import type_names


def main(argv=None):
    """Draw cumulative realised and expected costs of the two-by-two example."""
    arguments = read_arguments(__doc__, argv)
    with float64():
        import jax

        import gtrade
        from gtrade.problems.position_costs import cumulative_costs

        game = gtrade.PositionBuilding(**spec_problem("two_by_two"))
        paths = solve(game)
        realised = cumulative_realised(game, paths)
        expected = np.asarray(jax.jit(cumulative_costs)(game, paths))
        names = type_names(game)
        known = [complete_costs(game, k, r) for k, r in np.ndindex(2, 2)]
    targets = np.asarray(game.targets)
    middle = paths.num_points // 2
    rows = []
    for place, (k, r) in enumerate(np.ndindex(2, 2)):
        for firm, s in enumerate((k, 2 + r)):
            cost = realised[k, r, firm] / targets[s]
            rows.append(
                {
                    "types": f"({k + 1}, {r + 1})",
                    "firm": firm + 1,
                    "cost": cost[-1],
                    "spent_by_half": cost[middle] / cost[-1],
                    "types_known": known[place][firm] / targets[s],
                }
            )
    figure = realised_figure(realised, targets, names, rows)
    note = (
        "Realised costs at the firms' own κ, over their targets, and the share of them"
        " paid by half time. `types_known`: what the firm pays where both types are"
        " common knowledge."
    )
    write(
        arguments, "chriss_cumulative_costs", rows=rows, figure=figure, note=note,
        formats={"firm": "d", "spent_by_half": ".2f"},
    )  # fmt: skip

    from gtrade.plotting.style import save

    share = expected[:, middle] / expected[:, -1]
    figure = expected_figure(expected / targets[:, None], names, share)
    save(figure, arguments.out, "chriss_expected_costs")


def cumulative_realised(game, paths):
    """Return realised costs at own impacts up to each time, (2, 2, firms, points)."""
    positions, rates = np.asarray(paths.positions), np.asarray(paths.rates)
    kappas = np.asarray(game.permanent_impacts)
    up_to = paths.rule.cumulative(paths.times).T
    result = np.empty((2, 2, 2, paths.num_points))
    for k, r in np.ndindex(2, 2):
        flow, total = rates[k] + rates[2 + r], positions[k] + positions[2 + r]
        for firm, s in enumerate((k, 2 + r)):
            result[k, r, firm] = ((flow + kappas[s] * total) * rates[s]) @ up_to
    return result


def complete_costs(game, k, r):
    """Return both firms' costs at own impacts where types k and r are known."""
    import gtrade
    from gtrade.problems.position_costs import expected_costs

    chosen = np.array([k, 2 + r])
    known = gtrade.PositionBuilding(
        np.asarray(game.permanent_impacts)[chosen], np.asarray(game.targets)[chosen]
    )
    return np.asarray(expected_costs(known, solve(known)))


def realised_figure(realised, targets, names, rows):
    """Draw one panel a pair of active types."""
    from gtrade.plotting import style

    shares = [row["spent_by_half"] for row in rows]
    with style.style():
        figure, grid = style.new_figure(
            2, 2, width=7.4, height=5.0, squeeze=False, sharex=True, sharey=True,
            title=(
                f"At half time firms have paid {min(shares):.0%} to"
                f" {max(shares):.0%} of their cost: those who overbuy sell again at"
                " the price they moved"
            ),
        )  # fmt: skip
        times = np.linspace(0.0, 1.0, realised.shape[-1])
        for k, r in np.ndindex(2, 2):
            axes = grid[k][r]
            for firm, s in enumerate((k, 2 + r)):
                colour = (style.BLUE, style.ORANGE)[firm]
                cost = realised[k, r, firm] / targets[s]
                axes.plot(times, cost, color=colour)
            axes.set_xlim(0.0, 1.0)
            axes.set_title(f"{names[k]}\n{names[2 + r]}", fontsize=8)
            if k:
                axes.set_xlabel(drawing.TIME)
            if not r:
                axes.set_ylabel("cost so far / own target")
        for k, r in np.ndindex(2, 2):  # the limits are final now
            ends = [
                (1.0, realised[k, r, f, -1] / targets[s], f"firm {f + 1}", colour)
                for f, (s, colour) in enumerate(
                    zip((k, 2 + r), (style.BLUE, style.ORANGE), strict=True)
                )
            ]
            style.label_ends(grid[k][r], ends)
    return figure


def expected_figure(expected, names, share):
    """Draw all types' expected costs in one panel."""
    from gtrade.plotting import style

    with style.style():
        figure, axes = style.new_figure(
            width=6.6, height=3.6,
            title=(
                f"At half time the four types have paid {share.min():.0%} to"
                f" {share.max():.0%} of what they expect to pay in the end"
            ),
        )  # fmt: skip
        times = np.linspace(0.0, 1.0, expected.shape[-1])
        ends = []
        colours = style.colours_for(len(expected))
        for cost, name, colour in zip(expected, names, colours, strict=True):
            axes.plot(times, cost, color=colour)
            ends.append((1.0, cost[-1], name, colour))
        axes.set_xlim(0.0, 1.0)
        axes.set_xlabel(drawing.TIME)
        axes.set_ylabel("expected cost so far / own target")
        style.label_ends(axes, ends)
    return figure


if __name__ == "__main__":
    main()
