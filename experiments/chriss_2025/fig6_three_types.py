"""Figure 6 of Chriss (2025): two firms with three types each."""

import drawing
import numpy as np
from experiment import POINTS, float64, read_arguments, solve, spec_problem, write
from fig1_3_strategies import known_types, type_names


def main(argv=None):
    """Draw every pair of active types beside what they would do if known."""
    arguments = read_arguments(__doc__, argv)
    num_points = POINTS if arguments.is_smoke else 201
    with float64():
        import gtrade

        game = gtrade.PositionBuilding(**spec_problem("three_by_three"))
        solution = gtrade.solve(game, gtrade.Spectral(num_points=num_points))
        gtrade.raise_unless_converged(solution)
        evidence = gtrade.verify(game, solution)
        known = known_types(game, num_points)
        paths = solve(game, num_points)
        positions = np.asarray(paths.schedules)
    targets, middle = np.asarray(game.targets), num_points // 2
    rows = [
        {
            "firm": 1 + (s >= 3),
            "type": 1 + s % 3,
            "kappa": float(game.permanent_impacts[s]),
            "target": targets[s],
            "initial_rate": float(paths.initial_rates[s]),
            "held_at_half": positions[s, middle] / targets[s],
            "expected_cost": float(evidence["expected_costs"][s]) / targets[s],
        }
        for s in range(6)
    ]
    names = [name.replace("target ", "V = ") for name in type_names(game)]
    unknown = positions[0].max() / targets[0]
    largest = max(known[0, r][0][0].max() for r in range(3)) / targets[0]
    figure = drawing.pairs(
        [positions[:3], positions[3:]],
        np.array([[known[k, r][0] for r in range(3)] for k in range(3)]),
        [names[:3], names[3:]],
        scale=[targets[:3], targets[3:]],
        unit="position / target",
        title=(
            f"Uncertainty tempers: the type with κ = 20 overbuys to {unknown:.1f} times"
            f" its target, up to {largest:.1f} times were the types known (dashed)"
        ),
    )
    note = (
        "`held_at_half` and `expected_cost` per share of the own target. Prior (rows:"
        f" firm 1's type): {prior_text(game)}; the paper's is not known here."
        f" Exploitability {float(evidence['exploitability']):.0e}."
    )
    formats = dict.fromkeys(("firm", "type"), "d")
    formats |= dict.fromkeys(("kappa", "target"), "g")
    write(
        arguments, "chriss_three_types", rows=rows, figure=figure, formats=formats,
        note=note,
    )  # fmt: skip


def prior_text(game):
    """Write a prior as rows of numbers."""
    prior = np.asarray(game.prior).reshape(game.num_types)
    return "; ".join(" ".join(f"{p:.2f}" for p in row) for row in prior)


if __name__ == "__main__":
    main()
