"""Figure 5: how far joint play is from independent play against kappa."""

from experiment import SMOKE_PLAY, read_arguments, run, summary, write

COLUMNS = ("tv_distance", "tv_distance_ks25")


def main(argv=None):
    """Draw both forms of total variation of the shared run."""
    arguments = read_arguments(__doc__, argv)
    table = run(arguments, "ftpl", smoke=SMOKE_PLAY)
    from gtrade.plotting.trading import correlation

    rows = summary(table, COLUMNS)
    note = (
        "`tv_distance` is half the l1 norm of joint minus product; `tv_distance_ks25`"
        " is the paper's form, l1 over the joint's support without the half."
    )
    write(
        arguments,
        "fig5_total_variation",
        rows=rows,
        figure=correlation(table),
        formats={"kappa": "g"},
        note=note,
    )


if __name__ == "__main__":
    main()
