"""What reacting to rivals costs: feedback strategies against fixed schedules.

Both are equilibria of the same game in steps: in one, firms commit to schedules at the
start (open loop, as in the continuous game); in the other, each watches all positions
and reacts (closed loop). Costs come from verification, with both certificates.
"""

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from common import read_arguments, write

NUM_STEPS = 256
KAPPAS = (0.1, 0.3, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)
TARGETS = {
    "1, 1": (1.0, 1.0),
    "1, 5": (1.0, 5.0),
    "1, -1/2": (1.0, -0.5),
    "1, 1, 1": (1.0, 1.0, 1.0),
    "five of 1": (1.0,) * 5,
}
SHOWN = ((5.0, "1, 1"), (5.0, "1, 5"))  # paths of the figure
LINES = {"1, 1": "2 firms", "1, 1, 1": "3 firms", "five of 1": "5 firms"}


def main(argv=None):
    """Solve both kinds of equilibrium over a range of impacts."""
    arguments = read_arguments(__doc__, argv)
    from gtrade.cli.environment import prepare_environment

    prepare_environment()
    import jax

    kappas, num_steps = (KAPPAS, NUM_STEPS)
    if arguments.is_smoke:
        kappas, num_steps = (1.0, 5.0), 16
    rows, paths = [], {}
    with jax.enable_x64(True):
        for name, targets in TARGETS.items():
            found, drawn = compare(name, targets, kappas, num_steps)
            rows += found
            paths |= drawn
    note = (
        f"`T` = {num_steps} steps. Costs per share of the own target; `extra`: what all"
        " firms pay more in total when they react, which depends on how many they are"
        " and not on how the total is split. `exploitability` and `off_path`: of"
        " the feedback equilibrium, from the start and from other states and steps;"
        " `open_loop_gain`: of the schedules, among schedules."
    )
    formats = {"kappa": "g", "extra": ".2%"}
    formats |= dict.fromkeys(("feedback", "open_loop"), "")
    formats |= dict.fromkeys(("exploitability", "off_path", "open_loop_gain"), ".0e")
    write(
        arguments,
        "open_closed_loop",
        rows=rows,
        figure=draw(rows, paths),
        note=note,
        formats=formats,
    )


def compare(name, targets, kappas, num_steps):
    """Return rows for games with these targets, and positions of some of them."""
    import gtrade

    games = gtrade.make_batch(
        gtrade.FeedbackPositionGame,
        targets=np.array(targets),
        permanent_impact=np.array(kappas),
    )
    evidence = {}
    for kind, solver in {
        "feedback": gtrade.BackwardInduction(num_steps=num_steps),
        "open loop": gtrade.OpenLoop(num_steps=num_steps),
    }.items():
        solution = gtrade.solve_batch(games, solver)
        gtrade.raise_unless_converged(solution)
        evidence[kind] = gtrade.verify(games, solution, arrays=("schedules",))
    reacting, fixed = evidence["feedback"], evidence["open loop"]
    rows, paths = [], {}
    for place, kappa in enumerate(kappas):
        costs = reacting["expected_costs"][place]
        committed = reacting["open_loop_costs"][place]
        np.testing.assert_allclose(committed, fixed["expected_costs"][place], rtol=1e-9)
        rows.append(
            {
                "targets": name,
                "kappa": float(kappa),
                "feedback": listed(costs / targets),
                "open_loop": listed(committed / targets),
                "extra": float(costs.sum() / committed.sum() - 1),
                "exploitability": float(reacting["exploitability"][place]),
                "off_path": float(reacting["off_path_gain"][place]),
                "open_loop_gain": float(reacting["open_loop_gain"][place]),
            }
        )
        if (kappa, name) in SHOWN:
            paths[kappa, name] = (
                reacting["schedules"][place],
                fixed["schedules"][place],
            )
    return rows, paths


def listed(values):
    """Return numbers side by side; one where all are the same."""
    if np.ptp(values) <= 1e-9 * np.abs(values).max():
        values = values[:1]
    return ", ".join(f"{value:.4g}" for value in values)


def draw(rows, paths):
    """Return the figure: paths of two games, and the extra cost against kappa."""
    from gtrade.plotting import style

    worst = max(rows, key=lambda row: row["extra"])
    title = (
        f"Reacting to each other costs firms up to {worst['extra']:.0%} more in total,"
        " however their targets are split"
    )
    with style.style():
        figure, panels = style.new_figure(1, 3, width=9.6, height=3.4, title=title)
        for axes, ((kappa, name), (reacting, fixed)) in zip(
            panels, paths.items(), strict=False
        ):
            times = np.linspace(0.0, 1.0, reacting.shape[1])
            ends = []
            colours = style.colours_for(len(reacting))
            is_same = np.abs(reacting - reacting[0]).max() < 1e-9
            shown = range(1 if is_same else len(reacting))
            for firm in shown:
                axes.plot(times, reacting[firm], color=colours[firm])
                axes.plot(times, fixed[firm], color=colours[firm], linestyle="--")
                owner = "both firms" if is_same else f"firm {firm + 1}"
                ends.append((1.0, reacting[firm, -1], owner, colours[firm]))
            axes.set_title(f"targets {name}, κ = {kappa:g}")
            axes.set_xlabel("time (horizons)")
            axes.set_xlim(0.0, 1.0)
            style.label_ends(axes, ends)
        panels[0].set_ylabel("position (shares)")
        panels[0].annotate(
            "solid: reacting\ndashed: fixed in advance", (0.35, 0.1),
            xycoords="axes fraction", fontsize=8, color=style.GREY,
        )  # fmt: skip
        axes, ends = panels[2], []
        colours = style.colours_for(len(LINES))
        for (name, label), colour in zip(LINES.items(), colours, strict=True):
            own = [row for row in rows if row["targets"] == name]
            x = np.array([row["kappa"] for row in own])
            y = 100 * np.array([row["extra"] for row in own])
            axes.semilogx(x, y, "o-", color=colour)
            ends.append((x[-1], y[-1], label, colour))
        axes.set_xlabel("permanent impact κ")
        axes.set_ylabel("extra total cost (%)")
        axes.set_title("what reacting costs in total")
        style.label_ends(axes, ends)
    return figure


if __name__ == "__main__":
    main()
