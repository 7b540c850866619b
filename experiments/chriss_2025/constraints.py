"""Limits on one firm's positions: short sales and overbuying (Chriss 2024, 2409.15459).

Firm 1 buys one share and has the limit, firm 2 buys (or sells) `ratio` shares.
"""

import itertools

import closed_forms
import numpy as np
from experiment import batched, float64, read_arguments, write

KAPPAS = (0.1, 0.5, 10.0, 50.0)
RATIOS = (1.0, 5.0, 10.0, 20.0)
SHORT_SALES = (-np.inf, -0.6, -0.2, 0.0)  # least position of firm 1, shares
OVERBUYING = (np.inf, 2.0, 1.5, 1.0)  # its largest
NUM_POINTS = 129


def main(argv=None):
    """Tabulate and draw both kinds of limits."""
    arguments = read_arguments(__doc__, argv)
    kappas = (0.5, 10.0) if arguments.is_smoke else KAPPAS
    ratios = (5.0, 10.0) if arguments.is_smoke else RATIOS
    num_points = 17 if arguments.is_smoke else NUM_POINTS
    with float64():
        buying = solve_all(kappas, ratios, "upper", OVERBUYING, num_points)
        # A rival who buys never makes firm 1 sell short, one who sells does.
        short = solve_all(kappas, ratios, "lower", SHORT_SALES, num_points)
        sellers = [-ratio for ratio in ratios if ratio > 1]
        selling = solve_all(kappas, sellers, "lower", SHORT_SALES, num_points)
    least = min(row["schedules"][0].min() for row in short)
    tables = (
        ("overbuying", "upper", buying, overbuying_title(buying), ""),
        (
            "short_sales", "lower", selling, short_title(selling),
            " Against rivals who buy (`ratio` 1 to 20) no such limit binds: firm 1's"
            f" position never falls below {least:.3g} (proof: README)."
        ),
    )  # fmt: skip
    for name, side, rows, title, more in tables:
        free = [row for row in rows if not np.isfinite(row[side])]
        off = max(off_the_closed_form(row) for row in free)
        shown = [
            {name: value for name, value in row.items() if name != "schedules"}
            for row in rows
            if any(binds(r, row) for r in rows)
        ]
        note = (
            f"Costs of firm 1 (one share, `{side}` limit) and firm 2 (`ratio` shares);"
            " `change`: against no limit, in units of cost; `change_total`: of both"
            " together, in per cent. Paths on straight lines between"
            f" {num_points} times (without a limit costs are within {off:.0e} of the"
            " total cost of the closed form); `exploitability`: largest saving of a"
            f" firm from another such path within its limits. All {len(rows)} games"
            " converged;"
            " left out are κ and ratios at which no limit binds." + more
        )
        formats = {"kappa": "g", "ratio": "g", side: "g", "exploitability": ".0e"}
        formats |= {"change_1": "+.2f", "change_2": "+.2f", "change_total": "+.2f"}
        write(
            arguments, f"chriss_{name}", rows=shown, formats=formats, note=note,
            figure=draw(rows, side, kappas, title),
        )  # fmt: skip


def solve_all(kappas, ratios, side, limits, num_points):
    """Return a row for every kappa, ratio and limit; no limit comes first."""
    import gtrade
    from gtrade.problems.position_costs import expected_costs
    from gtrade.verification.positions import line_gaps

    points = list(itertools.product(kappas, ratios, limits))
    absent = limits[0]
    games = gtrade.make_batch(
        gtrade.PositionBuilding,
        permanent_impacts=np.array([[k, k] for k, _, _ in points]),
        targets=np.array([[1.0, ratio] for _, ratio, _ in points]),
        num_types=(1, 1),
        **{side: np.array([[[limit], [absent]] for _, _, limit in points])},
    )
    solution = gtrade.solve_batch(games, gtrade.Constrained(num_points=num_points))
    gtrade.raise_unless_converged(solution)
    costs = np.asarray(batched(expected_costs)(games, solution.value))
    schedules = np.asarray(solution.value.schedules)
    gaps = np.asarray(batched(line_gaps)(games, solution.value.schedules))
    rows = []
    for i, (kappa, ratio, limit) in enumerate(points):
        free = costs[i - i % len(limits)]
        change = costs[i] - free
        rows.append(
            {
                "kappa": kappa,
                "ratio": ratio,
                side: limit,
                "cost_1": costs[i, 0],
                "cost_2": costs[i, 1],
                "change_1": change[0] + 0.0,
                "change_2": change[1] + 0.0,
                "change_total": 100 * (costs[i].sum() / free.sum() - 1) + 0.0,
                "exploitability": gaps[i].max(),
                "schedules": schedules[i],
            }
        )
    return rows


def binds(row, other):
    """Return whether a limit of `row` binds, in the game of `other`."""
    is_same = (row["kappa"], row["ratio"]) == (other["kappa"], other["ratio"])
    return is_same and abs(row["change_1"]) > 1e-9


def off_the_closed_form(row):
    """Return how far costs without limits are from continuous time, relative."""
    exact = closed_forms.costs(row["kappa"], [1.0, row["ratio"]])
    found = np.array([row["cost_1"], row["cost_2"]])
    return np.abs(found - exact).max() / exact.sum()


def draw(rows, side, kappas, title):
    """Draw firm 1's positions, ratios down and kappa across."""
    import drawing

    from gtrade.plotting import style

    ratios = [r for r in dict.fromkeys(row["ratio"] for row in rows) if r != 1]
    limits = list(dict.fromkeys(row[side] for row in rows))
    with style.style():
        figure, grid = style.new_figure(
            len(ratios), len(kappas), width=1.85 * len(kappas) + 1.7,
            height=1.6 * len(ratios) + 0.9, title=title, squeeze=False, sharex=True,
            sharey="row",
        )  # fmt: skip
        colours = style.sequence(len(limits))[::-1]
        for i, j in np.ndindex(len(ratios), len(kappas)):
            axes = grid[i][j]
            own = [
                r for r in rows if (r["ratio"], r["kappa"]) == (ratios[i], kappas[j])
            ]
            for row, colour in zip(own, colours, strict=True):
                path = row["schedules"][0]
                free = not np.isfinite(row[side])
                axes.plot(
                    np.linspace(0, 1, len(path)), path, color=colour,
                    linestyle=(0, (3, 2)) if free else "-", zorder=3 if free else 2,
                )  # fmt: skip
            axes.set_xlim(0, 1)
            axes.set_xticks([0, 0.5, 1])
            if i == 0:
                axes.set_title(f"κ = {kappas[j]:g}")
            if i == len(ratios) - 1:
                axes.set_xlabel("time (horizons)")
            if j == 0:
                verb = "buys" if ratios[i] > 0 else "sells"
                axes.set_ylabel(f"rival {verb} {abs(ratios[i]):g}\nposition (shares)")
        word = "at most" if side == "upper" else "at least"
        names = [
            f"{word} {limit:g}".replace("-", "−") if np.isfinite(limit) else "no limit"
            for limit in limits
        ]
        key = list(zip(names, colours, strict=True))
        drawing.write_key(grid[0][-1], key, "firm 1 may hold")
    return figure


def overbuying_title(rows):
    """Say whom the tightest limit on overbuying costs how much."""
    worst = max(rows, key=lambda row: row["change_1"] if row["upper"] == 1 else 0)
    return (
        "A ban on overbuying costs the small firm and saves its rival more: at"
        f" κ = {worst['kappa']:g} and a rival {worst['ratio']:g} times its size"
        f" {worst['change_1']:+.0f} and {worst['change_2']:+.0f}".replace("-", "−")
        + f" (both together {worst['change_total']:+.0f} %)".replace("-", "−")
    )


def short_title(rows):
    """Say whom a ban on short sales costs how much."""
    worst = max(rows, key=lambda row: row["change_1"] if row["lower"] == 0 else 0)
    return (
        "Against a large seller a buyer first sells short; a ban costs it and saves the"
        f" seller more: at κ = {worst['kappa']:g} and {-worst['ratio']:g} shares"
        f" {worst['change_1']:+.0f} and {worst['change_2']:+.0f}".replace("-", "−")
        + f" (both together {worst['change_total']:+.0f} %)".replace("-", "−")
    )


if __name__ == "__main__":
    main()
