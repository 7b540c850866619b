"""The game of KS25 against kappa: Nash equilibria, FTPL, the planner's optimum."""

import drawing
import numpy as np
from atlas import (
    by_point,
    count_distinct,
    planner,
    read_arguments,
    run,
    searched,
    write,
)

SMOKE = ['sweep={"problem.permanent_impact" = [0.5, 1.0, 3.0, 5.0]}']


def main(argv=None):
    """Tabulate and draw welfare, how many equilibria were found, and their supports."""
    arguments = read_arguments(__doc__, argv)
    nash = searched(arguments, "paper_nash", smoke=SMOKE)
    rounds = ["solver.num_rounds=60"]
    ftpl = by_point(run(arguments, "paper_ftpl", smoke=[*SMOKE, *rounds]))
    rows = []
    for found, learned in zip(nash, ftpl, strict=True):
        costs = [row["welfare"] for row in found["rows"]]
        sizes = [size for row in found["rows"] for size in row["support_size"]]
        play = np.array([row["welfare"] for row in learned["rows"]])
        rows.append(
            {
                "kappa": found["problem"]["permanent_impact"],
                "planner": planner(found["problem"]),
                "best_nash": min(costs),
                "worst_nash": max(costs),
                "ftpl": play.mean(),
                "ftpl_se": play.std(ddof=1) / np.sqrt(len(play)),
                "ftpl_regret": np.mean([r["distance_to_cce"] for r in learned["rows"]]),
                "distinct": count_distinct(found["rows"]),
                "pure": float(np.mean([row["is_pure"] for row in found["rows"]])),
                "support": f"{min(sizes)}-{max(sizes)}",
                "converged": f"{len(found['rows'])}/{found['num_starts']}",
            }
        )
    note = (
        f"Total costs of both players. `distinct`: equilibria among {starts(nash)},"
        " told apart by costs and mean flows (players exchanged count as another):"
        " a lower bound on how many there are, as `best_nash` and `worst_nash` are"
        " bounds on the extremes. `pure`: share of starts that end in a pure one."
        " `support`: schedules a player mixes. `ftpl`: mean of"
        f" {len(ftpl[0]['rows'])} runs; its play is a coarse correlated equilibrium up"
        " to `ftpl_regret`. `planner`: the least cost of any schedules (exact)."
        " The best coarse correlated equilibrium of this game, too large to enumerate,"
        " costs at least that, and at most what `best_nash` does."
    )
    formats = {"kappa": "g", "planner": "g", "distinct": "d", "pure": ".2f"}
    formats |= {"best_nash": ".2f", "worst_nash": ".2f"}
    figure = drawing.curves(
        [row["kappa"] for row in rows],
        {
            "planner": [row["planner"] for row in rows],
            "FTPL's play": [row["ftpl"] for row in rows],
            "Nash": ([r["best_nash"] for r in rows], [r["worst_nash"] for r in rows]),
        },
        unit="total cost",
        title=finding(rows),
        closer=2.0,
    )
    write(
        arguments, "atlas_paper_game", rows=rows, figure=figure, formats=formats,
        note=note,
    )  # fmt: skip


def starts(points):
    """Say how equilibria were searched for."""
    return f"the portfolio start and {points[0]['num_starts'] - 1} random starts"


def finding(rows):
    """Say what Nash costs where it costs most beyond play."""
    last = rows[-1]
    return (
        "Beyond κ = 2 mixed Nash equilibria cost ever more while learned play stays"
        f" near the least possible: {last['best_nash']:.0f} against"
        f" {last['ftpl']:.0f} and {last['planner']:.0f} at κ = {last['kappa']:g}"
    )


if __name__ == "__main__":
    main()
