"""Figure 3: cumulative and average regret of FTPL over the rounds."""

import numpy as np
from experiment import SMOKE_PLAY, read_arguments, run, summary, write

KAPPAS = (0.0, 1.0, 2.0, 3.0, 5.0, 10.0)
SINGLE_RUNS = (1.0, 2.0, 3.0)
EARLY = (250, 500, 1000)  # rounds in the table


def main(argv=None):
    """Draw mean regret and single runs."""
    arguments = read_arguments(__doc__, argv)
    table = run(arguments, "ftpl", smoke=SMOKE_PLAY)
    from gtrade.plotting.learners import regret_over_rounds, single_regrets
    from gtrade.plotting.points import lay_out, mean_and_error

    rows = summary(table, ["distance_to_cce"])
    layout = lay_out(table)
    worst = table["regret_curve"].max(axis=-1)
    for early in (r for r in EARLY if r < worst.shape[1]):
        mean, error, _ = mean_and_error(worst[:, early - 1], layout.member, len(rows))
        for row, value, spread in zip(rows, mean, error, strict=True):
            row[f"after_{early}"], row[f"after_{early}_se"] = value, spread
    points = [int(np.argmin(np.abs(layout.x - kappa))) for kappa in KAPPAS]
    write(
        arguments,
        "fig3_regret",
        rows=rows,
        figure=regret_over_rounds(table, points),
        formats={"kappa": "g"},
    )
    points = [int(np.argmin(np.abs(layout.x - kappa))) for kappa in SINGLE_RUNS]
    rows = [
        {"kappa": layout.x[i], "mean_largest_fall": f, "mean_end": e}
        for i, f, e in falls(worst, layout, points)
    ]
    figure = single_regrets(table, points)
    write(
        arguments, "fig3_single_runs", rows=rows, figure=figure, formats={"kappa": "g"}
    )


def falls(worst, layout, points):
    """Return point, mean largest fall of cumulative regret from a peak, mean end."""
    cumulative = worst * np.arange(1, worst.shape[1] + 1)
    for i in points:
        own = cumulative[layout.member == i]
        fall = (np.maximum.accumulate(own, axis=1) - own).max(axis=1)
        yield i, float(fall.mean()), float(own[:, -1].mean())


if __name__ == "__main__":
    main()
