"""Figure 7: the total cost of FTPL's play against kappa, and its kink at two."""

import fig6_actions
import numpy as np
from experiment import SMOKE_PLAY, read_arguments, run, summary, write


def main(argv=None):
    """Draw welfare, and the concentration of flow that explains it."""
    arguments = read_arguments(__doc__, argv)
    table = run(arguments, "ftpl", smoke=SMOKE_PLAY)
    actions = run(
        arguments,
        "ftpl",
        name="ftpl_schedules",
        changes=fig6_actions.CHANGES,
        smoke=SMOKE_PLAY,
    )
    from gtrade.plotting.points import lay_out, mean_and_error
    from gtrade.plotting.trading import flow_concentration, least_total_cost, welfare

    problem = table.manifest["spec"]["problem"]
    # The keys of general one-step costs are absent from the paper's game.
    problem = {name: value for name, value in problem.items() if value is not None}
    rows = summary(table, ["welfare"])
    layout = lay_out(actions)
    flow = actions["schedules"].astype(np.int64).sum(axis=2)
    squares = (flow**2).sum(axis=-1).mean(axis=1)  # (runs,)
    mean, error, _ = mean_and_error(squares, layout.member, len(rows))
    for row, value, spread in zip(rows, mean, error, strict=True):
        row["least"] = least_total_cost(**problem, permanent_impact=row["kappa"])
        row["excess"] = row["welfare"] - row["least"]
        row["squared_flow"], row["squared_flow_se"] = value, spread
    # Kappa 0 and 4 read the smallest and the largest square off the identity.
    least, total = least_total_cost, sum(problem["targets"])
    smallest = least(**problem, permanent_impact=0.0)
    largest = 2 * total**2 - least(**problem, permanent_impact=4.0)
    title = (
        "Why the total cost bends at κ = 2: the trading of both players concentrates"
        f" as κ grows (|S|² from {mean[0]:.3g} to {mean.max():.3g}), and its weight"
        " 1\u00a0−\u00a0κ/2 changes sign"
    )
    figure = flow_concentration(
        layout.x, mean, error, smallest=smallest, largest=largest, title=title
    )
    note = (
        "`least`: the least total cost of any schedules, from the welfare identity"
        " (1 − κ/2)|S|² + κ/2 (ΣV)². `squared_flow`: mean of |S|² over the rounds of"
        f" {fig6_actions.RUNS} runs."
    )
    formats = {"kappa": "g", "least": ".0f"}
    write(
        arguments,
        "fig7_welfare",
        rows=rows,
        figure=welfare(table),
        formats=formats,
        note=note,
    )
    rows = [
        {k: row[k] for k in ("kappa", "squared_flow", "squared_flow_se")}
        for row in rows
    ]
    write(
        arguments,
        "fig7_concentration",
        rows=rows,
        figure=figure,
        formats=formats,
    )


if __name__ == "__main__":
    main()
