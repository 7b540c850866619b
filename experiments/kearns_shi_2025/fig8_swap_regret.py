"""Figure 8: no-swap-regret play (TreeSwap over FTPL) beside plain FTPL."""

from experiment import read_arguments, run, summary, write

COLUMNS = ("distance_to_ce", "distance_to_cce", "distance_to_nash", "welfare")
SWAP_ROUNDS = 22500  # 150^2
SMOKE_ROUNDS = ["solver.num_rounds=60"]


def main(argv=None):
    """Compare learners after the paper's and after equal rounds."""
    arguments = read_arguments(__doc__, argv)
    runs = {
        "swap-ftpl, 22 500 rounds": run(
            arguments, "swap_ftpl", smoke=["solver.branching=8"]
        ),
        "ftpl, 2500 rounds": run(arguments, "ftpl", smoke=SMOKE_ROUNDS),
        "ftpl, 22 500 rounds": run(
            arguments,
            "ftpl",
            name="ftpl_22500",
            changes=[
                f"solver.num_rounds={SWAP_ROUNDS}",
                "run.replications=20",
                "run.arrays=[]",
            ],
            smoke=SMOKE_ROUNDS,
        ),
    }
    from gtrade.plotting.learners import comparison

    tables = {name: summary(table, COLUMNS) for name, table in runs.items()}
    rows = [{"learner": name, **row} for name, lines in tables.items() for row in lines]
    swap, _, plain = tables.values()
    wins = [
        f"{a['kappa']:g}"
        for a, b in zip(swap, plain, strict=True)
        if a["distance_to_ce"] < b["distance_to_ce"]
    ]
    title = "No-swap-regret play has the larger swap regret at every κ"
    if wins:
        title = (
            "Swap regret: after as many rounds the no-swap-regret learner is below"
            f" plain FTPL only at κ = {', '.join(wins)}"
        )
    figure = comparison(
        runs,
        "distance_to_ce",
        unit="largest swap regret (cost per round)",
        title=title,
    )
    write(
        arguments, "fig8_swap_regret", rows=rows, figure=figure, formats={"kappa": "g"}
    )


if __name__ == "__main__":
    main()
