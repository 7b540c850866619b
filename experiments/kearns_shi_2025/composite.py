"""Composite FTPL beside the paper's FTPL: average regret of every run."""

import numpy as np
from experiment import read_arguments, run, write

KAPPAS = (1.0, 3.0, 5.0, 10.0)  # in the figure
LOCKED = 10.0  # a run of composite FTPL with more average regret is locked in bad play
SMOKE_ROUNDS = ["solver.num_rounds=60"]


def main(argv=None):
    """Compare the runs of both learners."""
    arguments = read_arguments(__doc__, argv)
    tables = {
        "KS25": run(arguments, "ftpl", smoke=SMOKE_ROUNDS),
        "composite": run(arguments, "composite", smoke=SMOKE_ROUNDS),
    }
    from gtrade.plotting.learners import run_clouds

    regret = {n: by_kappa(table, "distance_to_cce") for n, table in tables.items()}
    swap = {n: by_kappa(table, "distance_to_ce") for n, table in tables.items()}
    rows = []
    for kappa in regret["KS25"]:
        row = {"kappa": kappa}
        for name in tables:
            values = regret[name][kappa]
            row[f"{name}_mean"] = values.mean()
            row[f"{name}_mean_se"] = values.std(ddof=1) / np.sqrt(len(values))
            row[f"{name}_median"] = np.median(values)
            row[f"{name}_max"] = values.max()
        row["composite_locked"] = int((regret["composite"][kappa] > LOCKED).sum())
        for name in tables:
            row[f"{name}_swap_median"] = np.median(swap[name][kappa])
        rows.append(row)
    runs = {name: len(table) // len(rows) for name, table in tables.items()}
    figure = run_clouds(
        {
            f"κ = {kappa:g}": {n: np.maximum(v[kappa], 1e-3) for n, v in regret.items()}
            for kappa in KAPPAS
        },
        unit="larger average regret of a run (cost per round)",
        title=finding(rows, runs["composite"]),
    )
    note = (
        f"Average regret of the worse-off player. KS25: noise 50 on all 2T coordinates,"
        f" {runs['KS25']} runs; composite: noise 5 on the T flows, {runs['composite']}"
        f" runs. `locked`: runs with more than {LOCKED:g}. `swap`: swap regret."
    )
    write(
        arguments,
        "composite",
        rows=rows,
        figure=figure,
        formats={"kappa": "g", "composite_locked": "d"},
        note=note,
    )


def finding(rows, runs):
    """Say what the runs show."""
    ratio = [row["KS25_median"] / row["composite_median"] for row in rows]
    locked = [
        f"{row['composite_locked']} at κ = {row['kappa']:g}"
        for row in rows
        if row["composite_locked"]
    ]
    title = (
        f"Composite FTPL has {min(ratio):.2g} to {max(ratio):.2g} times less regret in"
        " the median"
    )
    if locked:
        title += f"; of {runs} runs lock into bad play: {', '.join(locked)}"
    return title


def by_kappa(table, column):
    """Return a column of every run, by kappa."""
    kappa = np.asarray(table["problem.permanent_impact"])
    values = np.asarray(table[column])
    return {float(k): values[kappa == k] for k in np.unique(kappa)}


if __name__ == "__main__":
    main()
