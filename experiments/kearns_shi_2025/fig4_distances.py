"""Figure 4: distances of FTPL's play to three kinds of equilibrium against kappa."""

from experiment import SMOKE_PLAY, read_arguments, run, summary, write

COLUMNS = ("distance_to_cce", "distance_to_ce", "distance_to_nash")


def main(argv=None):
    """Draw the distances of the shared run."""
    arguments = read_arguments(__doc__, argv)
    table = run(arguments, "ftpl", smoke=SMOKE_PLAY)
    from gtrade.plotting.trading import distances

    rows = summary(table, COLUMNS)
    write(
        arguments,
        "fig4_distances",
        rows=rows,
        figure=distances(table),
        formats={"kappa": "g"},
    )


if __name__ == "__main__":
    main()
