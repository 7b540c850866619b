"""Should a firm's traders act as one?

A firm's m traders want one share each, and so do M traders outside. The firm may leave
them alone, send one trader with all m shares (naive centralisation) or represent itself
by any number of traders that share them evenly, each minimising its own cost. (Themes
of Chriss 2024, arXiv 2410.13583.)
"""

import closed_forms
import numpy as np
from experiment import batched, float64, read_arguments, solve, write

KAPPAS = (0.1, 1.0, 3.0, 10.0, 30.0, 100.0)
SIZES = ((2, 1), (5, 1), (5, 5), (5, 20), (20, 20))  # m, M
MOST = 400  # traders to represent


def main(argv=None):
    """Tabulate the firm's costs and draw them over the number of traders."""
    arguments = read_arguments(__doc__, argv)
    kappas = (1.0, 10.0) if arguments.is_smoke else KAPPAS
    sizes = SIZES[1:3] if arguments.is_smoke else SIZES
    rows = []
    for inside, outside in sizes:
        for kappa in kappas:
            numbers = np.arange(1, MOST + 1)
            costs = np.array([firm_cost(kappa, inside, outside, n) for n in numbers])
            best = int(costs.argmin()) + 1
            alone = costs[inside - 1]
            rows.append(
                {
                    "m": inside,
                    "M": outside,
                    "kappa": kappa,
                    "left_alone": alone,
                    "naive": costs[0],
                    "best_number": best,
                    "strategic": costs[best - 1],
                    "naive_change": 100 * (costs[0] / alone - 1),
                    "strategic_change": 100 * (costs[best - 1] / alone - 1),
                    "rivals_change": 100
                    * (
                        rival_cost(kappa, inside, outside, best)
                        / rival_cost(kappa, inside, outside, inside)
                        - 1
                    ),
                }
            )
    with float64():
        gap = largest_gap(rows, sizes)
    note = (
        "`left_alone`, `naive`, `strategic`: cost of the firm's m traders together,"
        " where they act for themselves, where one trades for all, and where the best"
        f" number of traders (up to {MOST}) does, each for its own cost; M traders"
        " outside want one share each. Changes in per cent of `left_alone`;"
        " `rivals_change`: of the M outside when the firm moves from m to the best"
        " number. Closed forms; the package's solver agrees to"
        f" {gap:.0e} of the total cost in all these games, naive and left alone."
    )
    formats = dict.fromkeys(("m", "M", "best_number"), "d") | {"kappa": "g"}
    formats |= dict.fromkeys([n for n in rows[0] if n.endswith("change")], "+.2f")
    write(
        arguments, "chriss_centralisation", rows=rows, formats=formats, note=note,
        figure=draw(kappas, sizes[min(3, len(sizes) - 1)], rows),
    )  # fmt: skip


def firm_cost(kappa, inside, outside, number):
    """Return what the firm pays if `number` traders share its shares evenly."""
    targets = np.append(np.full(number, inside / number), np.ones(outside))
    return number * closed_forms.costs(kappa, targets)[0]


def rival_cost(kappa, inside, outside, number):
    """Return what a trader outside pays then."""
    targets = np.append(np.full(number, inside / number), np.ones(outside))
    return closed_forms.costs(kappa, targets)[-1]


def largest_gap(rows, sizes):
    """Return how far closed forms and solved games are apart, relative."""
    import gtrade
    from gtrade.problems.position_costs import expected_costs

    gap = 0.0
    for inside, outside in sizes:
        own = [row for row in rows if (row["m"], row["M"]) == (inside, outside)]
        for number in (1, inside):
            targets = np.append(np.full(number, inside / number), np.ones(outside))
            kappas = np.array([row["kappa"] for row in own])
            games = gtrade.make_batch(
                gtrade.PositionBuilding,
                permanent_impacts=np.repeat(kappas[:, None], len(targets), axis=1),
                targets=np.tile(targets, (len(own), 1)),
                num_types=(1,) * len(targets),
            )
            paths = solve(games, num_points=3)
            costs = np.asarray(batched(expected_costs)(games, paths))
            closed = np.array([closed_forms.costs(k, targets) for k in kappas])
            gap = max(gap, (np.abs(costs - closed) / costs.sum(1)[:, None]).max())
    return gap


def draw(kappas, size, rows):
    """Draw the firm's cost over the number of traders, one line a kappa."""
    from gtrade.plotting import style

    inside, outside = size
    numbers = np.arange(1, 61)
    own = [row for row in rows if (row["m"], row["M"]) == size]
    worst = max(own, key=lambda row: row["naive_change"])
    gain = min(own, key=lambda row: row["strategic_change"])
    with style.style():
        figure, axes = style.new_figure(
            width=6.8, height=3.9,
            title=(
                f"{inside} traders against {outside}: a single one costs the firm up to"
                f" {worst['naive_change']:.1f} % more, {gain['best_number']} of them"
                f" save it up to {-gain['strategic_change']:.1f} %"
            ),
        )  # fmt: skip
        ends = []
        axes.axhline(0, color=style.GREY, linewidth=0.7)
        shown = [kappa for kappa in kappas if kappa <= 10]  # hardly a change beyond
        for kappa, colour in zip(shown, style.sequence(len(shown)), strict=True):
            cost = np.array([firm_cost(kappa, *size, n) for n in numbers])
            change = 100 * (cost / firm_cost(kappa, *size, inside) - 1)
            axes.plot(numbers, change, color=colour)
            best = change.argmin()
            axes.plot(numbers[best], change[best], "o", color=colour, markersize=5)
            ends.append((numbers[-1], change[-1], f"κ = {kappa:g}", colour))
        axes.set_xscale("log")
        ticks = [1, 2, 5, 10, 20, 40, 60]
        axes.set_xticks(ticks, [str(tick) for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel("traders that the firm represents itself by (dots: the best)")
        axes.set_ylabel(f"cost against {inside} separate traders (%)")
        style.label_ends(axes, ends)
    return figure


if __name__ == "__main__":
    main()
