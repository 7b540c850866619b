"""Maps of Nash equilibria over impact and horizon, trade limits and targets."""

import drawing
import numpy as np
from atlas import count_distinct, planner, read_arguments, searched, write
from paper_game import starts

KAPPA = "problem.permanent_impact"
# Tiny sweeps of four games each, all of one shape: they share their programs.
SMOKE = {
    "map_horizon": f'"problem.horizon" = [5], "{KAPPA}" = [0.5, 1.0, 3.0, 5.0]',
    "map_limits": (
        'zip={"problem.min_trade" = [-5], "problem.max_trade" = [5]},'
        f' "{KAPPA}" = [0.5, 1.0, 3.0, 5.0]'
    ),
    "map_targets": f'"problem.targets" = [[10, 10], [10, 0]], "{KAPPA}" = [1.0, 3.0]',
}
LABELS = {
    "map_horizon": lambda p: f"T = {p['horizon']}",
    "map_limits": lambda p: f"θ = {p['max_trade']}",
    "map_targets": lambda p: "{}:{}".format(*p["targets"]).replace("-", "−"),
}
TITLES = {
    "map_horizon": "horizon (10:10, θ = 5)",
    "map_limits": "trade limit (10:10, T = 5)",
    "map_targets": "targets (T = 5, θ = 5)",
}


def main(argv=None):
    """Tabulate the three sweeps and draw one map each."""
    arguments = read_arguments(__doc__, argv)
    maps = {}
    for spec, axes in SMOKE.items():
        points = searched(arguments, spec, smoke=[f"sweep={{{axes}}}"])
        rows = [describe(point, LABELS[spec](point["problem"])) for point in points]
        note = (
            f"Nash equilibria found by {starts(points)}; extremes and `distinct` are"
            " bounds. `loss_best`, `loss_worst`: where their total cost lies between"
            " the least (0) and the largest (1) that any schedules have. `pure`: share"
            " of starts that end in a pure equilibrium. `steps`: best responses of the"
            " portfolio start."
        )
        formats = {"kappa": "g", "planner": "g", "distinct": "d", "steps": "d"}
        formats |= {"loss_best": ".3f", "loss_worst": ".3f", "pure": ".2f"}
        formats |= {"best_nash": ".2f", "worst_nash": ".2f", "largest_support": "d"}
        write(arguments, f"atlas_{spec}", rows=rows, formats=formats, note=note)
        maps[TITLES[spec]] = rows
    from gtrade.plotting.style import save

    save(drawing.maps(maps, title=finding(maps)), arguments.out, "atlas_maps")


def describe(point, label):
    """Return one line of the table."""
    problem, rows = point["problem"], point["rows"]
    least = planner(problem)
    smallest = planner({**problem, "permanent_impact": 0.0})
    total = sum(problem["targets"])
    largest = 2 * total**2 - planner({**problem, "permanent_impact": 4.0})
    # Total cost is linear in |S|^2, which lies between these two.
    span = abs(1 - problem["permanent_impact"] / 2) * (largest - smallest)
    costs = [row["welfare"] for row in rows] or [np.nan]
    sizes = [size for row in rows for size in row["support_size"]] or [0]
    return {
        "game": label,
        "kappa": problem["permanent_impact"],
        "planner": least,
        "best_nash": min(costs),
        "worst_nash": max(costs),
        "loss_best": max((min(costs) - least) / span, 0.0) if span else 0.0,
        "loss_worst": max((max(costs) - least) / span, 0.0) if span else 0.0,
        "pure": float(np.mean([r["is_pure"] for r in rows])) if rows else np.nan,
        "largest_support": int(max(sizes)),
        "distinct": count_distinct(rows),
        "steps": int(rows[0]["num_steps"]) if rows else -1,
        "converged": f"{len(rows)}/{point['num_starts']}",
    }


def finding(maps):
    """Say where equilibria lose most, and where they are mixed."""
    rows = [row for own in maps.values() for row in own if row["kappa"] > 2]
    pure = [row["loss_best"] for row in rows if row["pure"] > 0]
    worst = max(row["loss_worst"] for row in rows if row["pure"] < 1)
    title = (
        f"Beyond κ = 2 mixed equilibria lose up to {worst:.0%} of the range of total"
        " costs"
    )
    if pure and max(pure) < 1e-6:
        title += "; where a pure one is found, it costs the least possible"
    return title


if __name__ == "__main__":
    main()
