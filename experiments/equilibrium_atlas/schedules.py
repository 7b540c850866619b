"""Mean trades in equilibrium of two buyers, a buyer and a seller, and a predator."""

import drawing
import numpy as np
from atlas import read_arguments, searched, write
from maps import SMOKE

KAPPAS = (0.2, 1.0, 1.9, 2.5, 5.0)
GAMES = {
    (10, 10): "two buyers",
    (10, -10): "buyer and seller",
    (10, 0): "buyer and predator",
}


def main(argv=None):
    """Tabulate and draw the equilibrium of the portfolio start."""
    arguments = read_arguments(__doc__, argv)
    sweep = f"sweep={{{SMOKE['map_targets']}}}"
    points = searched(arguments, "map_targets", smoke=[sweep])
    kappas = (1.0, 3.0) if arguments.is_smoke else KAPPAS
    rows, panels = [], {}
    for point in points:
        targets = tuple(point["problem"]["targets"])
        kappa = point["problem"]["permanent_impact"]
        if targets not in GAMES or kappa not in kappas or not point["rows"]:
            continue
        found = point["rows"][0]
        panels[GAMES[targets], kappa] = found["mean_trades"]
        for player, (target, flow) in enumerate(
            zip(targets, found["mean_trades"], strict=True), 1
        ):
            rows.append(
                {
                    "game": GAMES[targets],
                    "kappa": kappa,
                    "player": player,
                    "target": target,
                    **{f"step_{t}": round(x, 6) + 0.0 for t, x in enumerate(flow, 1)},
                    "support": found["support_size"][player - 1],
                }
            )
    note = (
        "Expected trades, in shares, in the equilibrium that the portfolio start leads"
        " to (there may be others); five steps, −5 to 5 a step."
    )
    formats = dict.fromkeys(("player", "target", "support"), "d") | {"kappa": "g"}
    formats |= dict.fromkeys([n for n in rows[0] if n.startswith("step")], ".2f")
    title = (
        "Two buyers hurry, a buyer and a seller wait for each other, and a predator"
        " buys first to sell to the buyer at the end"
    )
    last = [np.array([panels[game, k] for k in kappas[2:]]) for game in GAMES.values()
            if all((game, k) in panels for k in kappas)]  # fmt: skip
    if last and all(len(x) > 1 and np.ptp(x, axis=0).max() < 1e-6 for x in last):
        title += f"; mean trades are the same from κ = {kappas[2]:g} to {kappas[-1]:g}"
    figure = drawing.flows(panels, title=title)
    write(
        arguments, "atlas_schedules", rows=rows, figure=figure, formats=formats,
        note=note,
    )  # fmt: skip


if __name__ == "__main__":
    main()
