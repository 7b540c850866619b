"""Composite FTPL beside the paper's FTPL: average regret of every run."""

import numpy as np
from experiment import read_arguments, run, write

KAPPAS = (1.0, 3.0, 5.0, 10.0)  # in the figure
LOCKED = 10.0  # a run with more average regret counts as locked into bad play
SMOKE_ROUNDS = ["solver.num_rounds=60"]


def main(argv=None):
    arguments = read_arguments(__doc__, argv)
    tables = {
        "KS25": run(arguments, "ftpl", smoke=SMOKE_ROUNDS),
        "composite": run(arguments, "composite", smoke=SMOKE_ROUNDS),
    }
    from gtrade.plotting.trading import run_clouds

    by_learner = {name: regrets(table) for name, table in tables.items()}
    rows = []
    for kappa in by_learner["KS25"]:
        row = {"kappa": kappa}
        for name, values in ((n, v[kappa]) for n, v in by_learner.items()):
            row[f"{name}_mean"] = values.mean()
            row[f"{name}_mean_se"] = values.std(ddof=1) / np.sqrt(len(values))
            row[f"{name}_median"] = float(np.median(values))
            row[f"{name}_max"] = values.max()
            row[f"{name}_locked"] = int((values > LOCKED).sum())
        rows.append(row)
    ratio = [row["KS25_median"] / row["composite_median"] for row in rows]
    last = rows[-1]
    title = (
        f"Composite FTPL has {min(ratio):.2g} to {max(ratio):.2g} times less regret in"
        " the median"
    )
    if last["composite_locked"]:
        title += (
            f"; at κ = {last['kappa']:g}, {last['composite_locked']} of its"
            f" {len(tables['composite']) // len(rows)} runs lock into bad play"
        )
    figure = run_clouds(
        {
            f"κ = {kappa:g}": {
                name: np.maximum(v[kappa], 1e-3) for name, v in by_learner.items()
            }
            for kappa in KAPPAS
        },
        unit="larger average regret of a run (cost per round)",
        title=title,
    )
    runs = len(tables["KS25"]) // len(rows)
    note = (
        f"Average regret of the worse-off player, {runs} runs. KS25: noise 50 on all 2T"
        " coordinates; composite: noise 5 on the T flows. `locked`: runs with more than"
        f" {LOCKED:g}."
    )
    formats = {"kappa": "g", "KS25_locked": "d", "composite_locked": "d"}
    write(
        arguments,
        "composite",
        rows=rows,
        figure=figure,
        formats=formats,
        note=note,
    )


def regrets(table):
    """Return the larger player's average regret of every run, by kappa."""
    kappa = np.asarray(table["problem.permanent_impact"])
    regret = np.asarray(table["distance_to_cce"])
    return {float(k): regret[kappa == k] for k in np.unique(kappa)}


if __name__ == "__main__":
    main()
