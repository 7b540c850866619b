"""Composite FTPL beside the paper's FTPL: average regret of every run."""

import numpy as np
from experiment import SMOKE_PLAY, read_arguments, run, write

KAPPAS = (1.0, 3.0, 5.0, 10.0)  # in the figure
LOCKED = 10.0  # a run of composite FTPL with more average regret is locked in bad play


def main(argv=None):
    """Compare the runs of both learners."""
    arguments = read_arguments(__doc__, argv)
    tables = {
        "KS25": run(arguments, "ftpl", smoke=SMOKE_PLAY),
        "η = 5": run(arguments, "composite", smoke=SMOKE_PLAY),
        "η = 10": run(
            arguments,
            "composite",
            name="composite-10",
            changes=["solver.noise=10.0"],
            smoke=SMOKE_PLAY,
        ),
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
        for name in list(tables)[1:]:
            row[f"{name}_locked"] = int((regret[name][kappa] > LOCKED).sum())
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
        title=finding(rows, runs["η = 5"]),
    )
    note = (
        f"Average regret of the worse-off player. KS25: noise 50 on all 2T coordinates,"
        f" {runs['KS25']} runs; η: composite, noise on the T flows, {runs['η = 5']}"
        f" runs each. `locked`: runs with more than {LOCKED:g}. `swap`: swap regret."
    )
    write(
        arguments,
        "composite",
        rows=rows,
        figure=figure,
        formats={"kappa": "g", "η = 5_locked": "d", "η = 10_locked": "d"},
        note=note,
    )


def finding(rows, runs):
    """Say what the runs show, at the impacts in the figure."""
    rows = [row for row in rows if row["kappa"] in KAPPAS]
    ratio = [row["KS25_mean"] / row["η = 10_mean"] for row in rows]
    locked = {
        noise: sum(row[f"η = {noise}_locked"] for row in rows) for noise in (5, 10)
    }
    return (
        f"Composite FTPL with η = 10 has {min(ratio):.2g} to {max(ratio):.2g} times"
        f" less regret on average; of {runs * len(rows)} runs, {locked[10]} lock into"
        f" bad play at η = 10 and {locked[5]} at η = 5"
    )


def by_kappa(table, column):
    """Return a column of every run, by kappa."""
    kappa = np.asarray(table["problem.permanent_impact"])
    values = np.asarray(table[column])
    return {float(k): values[kappa == k] for k in np.unique(kappa)}


if __name__ == "__main__":
    main()
