"""What anarchy and correlation change, in a game small enough to enumerate."""

import itertools

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
from paper_game import starts

SMOKE = ['sweep={"problem.permanent_impact" = [0.5, 1.0, 3.0, 5.0]}']


def main(argv=None):
    """Compare Nash, correlated and coarse correlated equilibria with the planner."""
    arguments = read_arguments(__doc__, argv)
    nash = searched(arguments, "small_nash", smoke=SMOKE)
    programs = {
        concept: by_point(
            run(
                arguments, "small_correlated", name=f"small_correlated_{concept}",
                changes=[f'solver.concept="{concept}"'],
                smoke=[*SMOKE, "run.replications=1"],
            )
        )
        for concept in ("ce", "cce")
    }  # fmt: skip
    rows = []
    for i, found in enumerate(nash):
        problem = found["problem"]
        costs = [row["welfare"] for row in found["rows"]]
        costs += mixtures(problem, found["rows"])
        least = planner(problem)
        exact = {c: points[i]["rows"][0] for c, points in programs.items()}
        rows.append(
            {
                "kappa": problem["permanent_impact"],
                "planner": least,
                "best_nash": min(costs),
                "worst_nash": max(costs),
                "best_ce": exact["ce"]["welfare_best"],
                "worst_ce": exact["ce"]["welfare_worst"],
                "best_cce": exact["cce"]["welfare_best"],
                "worst_cce": exact["cce"]["welfare_worst"],
                "anarchy": ratio(max(costs), least),
                "stability": ratio(min(costs), least),
                "correlation": ratio(min(costs), exact["cce"]["welfare_best"]),
                "distinct": count_distinct(found["rows"]),
            }
        )
    note = (
        "Three steps, four shares each, −4 to 4 a step. Total costs. `ce`, `cce`: exact"
        " (linear programs over all joint schedules). Nash: equilibria found by"
        f" {starts(nash)}, and the mixture of any two pure ones of them where it is an"
        " equilibrium as well; `worst_nash` therefore is a lower bound and `best_nash`"
        " an upper bound (no Nash equilibrium costs less than `best_ce` or more than"
        f" `worst_ce`); where they meet, at {exact_at(rows)} of {len(rows)} κ, they are"
        " exact. `anarchy`, `stability`: worst and best Nash by planner;"
        " `correlation`: best Nash by best CCE. Left out where the least cost is not"
        " positive: read the differences. `distinct`: found by the"
        " starts, a lower bound."
    )
    figure = drawing.curves(
        [row["kappa"] for row in rows],
        {
            "coarse correlated": columns(rows, "best_cce", "worst_cce"),
            "correlated": columns(rows, "best_ce", "worst_ce"),
            "Nash found": columns(rows, "best_nash", "worst_nash"),
        },
        unit="total cost above the planner's",
        title=finding(rows),
    )
    formats = dict.fromkeys(("kappa", "planner"), "g") | {"distinct": "d"}
    formats |= dict.fromkeys([n for n in rows[0] if n[:4] in ("best", "wors")], ".2f")
    formats |= dict.fromkeys(("anarchy", "stability", "correlation"), ".3f")
    write(
        arguments, "atlas_anarchy", rows=rows, figure=figure, formats=formats, note=note
    )


def mixtures(problem, rows):
    """Return the total costs of mixed equilibria over two pure ones found.

    Candidates: each player mixes the two schedules it has in a pair of pure equilibria
    so that the other is indifferent. Every deviation is enumerated.
    """
    pure = {
        tuple(map(tuple, np.rint(row["mean_trades"]).astype(int).tolist()))
        for row in rows
        if row["is_pure"]
    }
    low, high = problem["min_trade"], problem["max_trade"]
    steps = range(low, high + 1)
    grid = np.array(list(itertools.product(steps, repeat=problem["horizon"])))
    schedules = [grid[grid.sum(axis=1) == target] for target in problem["targets"]]
    totals = []
    for one, two in itertools.combinations(sorted(pure), 2):
        pairs = [np.array(p) for p in zip(one, two, strict=True)]  # (2, horizon) each
        kappa = problem["permanent_impact"]
        costs = [cost(pairs[i], pairs[1 - i], kappa) for i in (0, 1)]  # own x other
        weights = []
        for i in (0, 1):  # of the other player, so that i is indifferent
            gap = costs[i][0] - costs[i][1]
            spread = gap[1] - gap[0]
            share = gap[1] / spread if spread else -1.0
            weights.insert(0, np.array([share, 1 - share]))
        if min(w.min() for w in weights) <= 0:
            continue
        values = [weights[i] @ costs[i] @ weights[1 - i] for i in (0, 1)]
        best = [
            (cost(schedules[i], pairs[1 - i], kappa) @ weights[1 - i]).min()
            for i in (0, 1)
        ]
        if all(v - b < 1e-9 for v, b in zip(values, best, strict=True)):
            totals.append(float(sum(values)))
    return totals


def cost(own, other, kappa):
    """Return the cost of every own flow against every other one, shape (own, other)."""
    flow = own[:, None] + other[None]
    before = np.cumsum(flow, axis=-1) - flow
    return (own[:, None] * (flow + kappa * before)).sum(axis=-1)


def exact_at(rows):
    """Return at how many kappa the correlated programs prove the Nash extremes."""
    return sum(
        abs(row["best_nash"] - row["best_ce"]) < 1e-6
        and abs(row["worst_nash"] - row["worst_ce"]) < 1e-6
        for row in rows
    )


def ratio(above, below):
    """Return how many times as much, NaN where the least cost is no measure."""
    return above / below if below > 0 else float("nan")


def columns(rows, low, high):
    """Return two columns as excess over the planner's cost."""
    return tuple([row[n] - row["planner"] for row in rows] for n in (low, high))


def finding(rows):
    """Say where anarchy costs most, and where correlation helps."""
    small = [row for row in rows if row["kappa"] <= 2]
    worst = max(small, key=lambda row: row["anarchy"])
    gap = max(row["best_nash"] - row["best_cce"] for row in rows)
    title = (
        f"Up to κ = 2 anarchy costs at most {worst['anarchy'] - 1:.0%}, at"
        f" κ = {worst['kappa']:g}; beyond, a good and a bad equilibrium drift apart"
    )
    return title + ("; correlation saves nothing" if gap < 1e-6 else "")


if __name__ == "__main__":
    main()
