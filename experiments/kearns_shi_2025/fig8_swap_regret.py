"""Figure 8: no-swap-regret play (TreeSwap over FTPL) beside plain FTPL."""

from experiment import SMOKE_PLAY, read_arguments, run, summary, write

COLUMNS = ("distance_to_ce", "distance_to_cce", "distance_to_nash", "welfare")
ROUNDS = 22500  # 150^2, as many as TreeSwap plays
LESS_NOISE = (
    10.0  # besides the paper's 50: TreeSwap's learners see only 150 meta-rounds
)
SMOKE_SWAP = ["solver.branching=8"]


def main(argv=None):
    """Compare learners after the paper's and after equal rounds."""
    arguments = read_arguments(__doc__, argv)
    as_long = [
        f"solver.num_rounds={ROUNDS}",
        "run.replications=20",
        "run.arrays=[]",
    ]
    runs = {
        "swap-ftpl, η = 50": run(arguments, "swap_ftpl", smoke=SMOKE_SWAP),
        f"swap-ftpl, η = {LESS_NOISE:g}": run(
            arguments,
            "swap_ftpl",
            name="swap_ftpl_less_noise",
            changes=[f"solver.noise={LESS_NOISE}"],
            smoke=SMOKE_SWAP,
        ),
        "ftpl, 2500 rounds": run(arguments, "ftpl", smoke=SMOKE_PLAY),
        "ftpl, 22 500 rounds": run(
            arguments, "ftpl", name="ftpl_22500", changes=as_long, smoke=SMOKE_PLAY
        ),
    }
    from gtrade.plotting.learners import comparison

    tables = {name: summary(table, COLUMNS) for name, table in runs.items()}
    rows = [{"learner": name, **row} for name, lines in tables.items() for row in lines]
    figure = comparison(
        runs,
        "distance_to_ce",
        unit="largest swap regret (cost per round)",
        title=finding(*tables.values()),
    )
    write(
        arguments,
        "fig8_swap_regret",
        rows=rows,
        figure=figure,
        note=f"swap-ftpl plays {ROUNDS} rounds (150², 20 runs).",
        formats={"kappa": "g"},
    )


def finding(swap, swap_less, _, plain):
    """Say where TreeSwap has less swap regret than FTPL after as many rounds."""

    def wins(rows):
        pairs = zip(rows, plain, strict=True)
        better = [
            f"{a['kappa']:g}"
            for a, b in pairs
            if a["distance_to_ce"] < b["distance_to_ce"]
        ]
        return f"κ = {', '.join(better)}" if better else "no κ"

    return (
        f"TreeSwap has less swap regret than FTPL at {wins(swap)} with the paper's"
        f" noise, at {wins(swap_less)} with η = {LESS_NOISE:g}"
    )


if __name__ == "__main__":
    main()
