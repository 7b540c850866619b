"""Figure 6: the schedules that FTPL plays, and how often, over the rounds."""

import numpy as np
from experiment import SMOKE_PLAY, read_arguments, run, write

KAPPAS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
RUNS = 10
CHANGES = (f"run.replications={RUNS}", 'run.arrays=["schedules"]')


def main(argv=None):
    """Draw one run at each kappa; count schedules over ten."""
    arguments = read_arguments(__doc__, argv)
    table = run(
        arguments,
        "ftpl",
        name="ftpl_schedules",
        changes=CHANGES,
        smoke=SMOKE_PLAY,
    )
    from gtrade.plotting.play import actions
    from gtrade.plotting.points import lay_out

    layout = lay_out(table)
    schedules = table["schedules"].astype(np.int64)
    rows = [
        most_played(layout.x[i], schedules[layout.member == i])
        for i in range(len(layout.points))
    ]
    histories = {
        f"κ = {kappa:g}": schedules[layout.member == i][0]
        for kappa in KAPPAS
        for i in np.flatnonzero(layout.x == kappa)
    }
    write(
        arguments,
        "fig6_actions",
        rows=rows,
        figure=actions(histories),
        formats={"kappa": "g", "distinct_schedules": ".1f", "share_percent": ".1f"},
        note=(
            f"Last half of the rounds of {len(schedules) // len(rows)} runs, both"
            " players: the schedule played most over all runs, its share in one run"
            " (mean ± standard error), the share of each run's own favourite, and how"
            " many schedules a player used."
        ),
    )


def most_played(kappa, histories):
    """Return one row about the runs of a point, shape (runs, rounds, players, T)."""
    late = histories[:, histories.shape[1] // 2 :]
    runs, rounds, players, horizon = late.shape
    distinct, count = np.unique(late.reshape(-1, horizon), axis=0, return_counts=True)
    favourite = distinct[count.argmax()]
    share = (late == favourite).all(axis=-1).mean(axis=(1, 2))
    own, used = [], []
    for run_, player in np.ndindex(runs, players):
        _, times = np.unique(late[run_, :, player], axis=0, return_counts=True)
        own.append(times.max() / rounds)
        used.append(len(times))
    return {
        "kappa": kappa,
        "most_played": "(" + ", ".join(str(x) for x in favourite) + ")",
        "share_percent": 100 * share.mean(),
        "share_percent_se": 100 * share.std(ddof=1) / np.sqrt(runs),
        "own_favourite_percent": 100 * np.mean(own),
        "distinct_schedules": np.mean(used),
    }


if __name__ == "__main__":
    main()
