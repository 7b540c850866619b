"""How fast equilibria of N firms approach their limit, the mean moving the price.

Firms have targets spread about one mean, or drawn at random from a distribution with
that mean. Equilibria come from the spectral solver, the limit and the predicted
distances from closed forms.
"""

import functools
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from common import read_arguments, write

KAPPAS = (1.0, 5.0, 20.0)
SHOWN = 5.0  # kappa of the figure
NUMBERS = (2, 3, 5, 10, 20, 50, 100, 200)
MEAN, SPREAD = 1.0, 0.5  # of the targets; standard deviation of those drawn
NUM_DRAWS = 100
NUM_POINTS = 65


def main(argv=None):
    """Solve games of growing size and compare them with their limit."""
    arguments = read_arguments(__doc__, argv)
    from gtrade.cli.environment import prepare_environment

    prepare_environment()
    import jax

    numbers, kappas, num_draws = NUMBERS, KAPPAS, NUM_DRAWS
    if arguments.is_smoke:
        numbers, kappas, num_draws = (2, 8, 32), (1.0, 5.0), 4
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        rows = [
            measure(kappa, number, rng.normal(MEAN, SPREAD, (num_draws, number)))
            for kappa in kappas
            for number in numbers
        ]
    note = (
        f"Targets with mean {MEAN:g}. `distance`: largest difference of any firm's"
        " position to its limit, at any of 65 times, for targets equally spaced about"
        f" the mean; `leading_term`: what the closed form predicts. `drawn`: root mean"
        f" square over {num_draws} draws of independent targets with standard deviation"
        f" {SPREAD:g}, each against the limit of the distribution;"
        " `drawn_leading_term`: predicted. `gain`: what one firm saves by leaving the"
        " limit paths that all are on, as a share of the mean cost; recomputed by"
        " verification. `exploitability`: of the equilibria of the first kind, as a"
        " share of it too."
    )
    formats = {"kappa": "g", "firms": "d", "exploitability": ".0e"}
    formats |= dict.fromkeys(("distance", "drawn", "gain"), ".3g")
    formats |= dict.fromkeys(("leading_term", "drawn_leading_term"), ".3g")
    write(
        arguments,
        "many_firms",
        rows=rows,
        figure=draw([row for row in rows if row["kappa"] == SHOWN]),
        note=note,
        formats=formats,
    )


def measure(kappa, number, drawn):
    """Return one row: games of one size."""
    import gtrade
    from gtrade.problems.mean_field import (
        mean_field_correction,
        mean_field_costs,
        mean_field_gain,
    )

    times = np.linspace(0.0, 1.0, NUM_POINTS)
    spaced = MEAN + np.linspace(-1.0, 1.0, number)
    targets = np.vstack([spaced, drawn])
    games = gtrade.make_batch(
        gtrade.PositionBuilding,
        targets=targets,
        permanent_impacts=np.full(number, kappa),
    )
    solution = gtrade.solve_batch(games, gtrade.Spectral(num_points=NUM_POINTS))
    gtrade.raise_unless_converged(solution)
    evidence = gtrade.verify(games, solution)
    limits, gains_from_leaving = compiled()
    away = np.abs(np.asarray(solution.value.schedules) - limits(kappa, targets, times))
    distances = away.max(axis=(1, 2))
    gains = np.asarray(gains_from_leaving(kappa, spaced)) / number
    np.testing.assert_allclose(gains, mean_field_gain(kappa, MEAN, number), rtol=1e-6)
    mean_cost = float(mean_field_costs(kappa, spaced, mean_target=MEAN).mean())
    correction = np.abs(mean_field_correction(kappa, MEAN, times)).max()
    # A mean target higher by 1 moves every limit path by this.
    moved = np.abs(gtrade.mean_field_path(kappa, [0.0], times, mean_target=1.0)).max()
    return {
        "kappa": kappa,
        "firms": number,
        "distance": float(distances[0]),
        "leading_term": float(correction) / (number + 1),
        "drawn": float(np.sqrt((distances[1:] ** 2).mean())),
        "drawn_leading_term": float(moved) * SPREAD / number**0.5,
        "gain": float(gains.max()) / mean_cost,
        "exploitability": float(evidence["exploitability"][0]) / number / mean_cost,
    }


@functools.cache
def compiled():
    """Return limit paths and gains from leaving them, one program for each size."""
    import jax
    import jax.numpy as jnp

    import gtrade
    from gtrade.problems.mean_field import mean_field_profile
    from gtrade.verification.positions import continuous_gaps

    def limits(kappa, targets, times):
        def one(own):
            return gtrade.mean_field_path(kappa, own, times, mean_target=MEAN)

        return jax.vmap(one)(targets)

    def gains(kappa, targets):
        game = gtrade.PositionBuilding(jnp.full(targets.shape, kappa), targets)
        return continuous_gaps(game, mean_field_profile(kappa, targets))

    return jax.jit(limits), jax.jit(gains)


def draw(rows):
    """Return the figure: distances against the number of firms."""
    from gtrade.plotting import style

    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    number = columns["firms"]
    names = {
        "drawn": "targets drawn at random",
        "distance": "targets with the same mean",
        "gain": "gain from leaving (share of cost)",
    }
    lines = {
        "drawn": "drawn_leading_term",
        "distance": "leading_term",
        "gain": "gain",
    }
    many = number >= min(10, number[-2])
    slopes = {
        name: np.polyfit(np.log(number[many]), np.log(columns[name][many]), 1)[0]
        for name in names
    }
    title = (
        "The distance to the limit falls as 1/N (fitted power"
        f" {slopes['distance']:.2f}) and, where targets are drawn, as 1/√N"
        f" ({slopes['drawn']:.2f}); κ = {rows[0]['kappa']:g}"
    )
    with style.style():
        figure, axes = style.new_figure(title=title)
        ends = []
        for name, colour in zip(names, style.colours_for(len(names)), strict=True):
            axes.loglog(number, columns[name], "o", color=colour, markersize=4)
            axes.loglog(number, columns[lines[name]], color=colour)
            ends.append((number[-1], columns[name][-1], names[name], colour))
        axes.set_xlabel("number of firms N")
        axes.set_ylabel("distance (shares; the mean target is 1)")
        axes.set_xticks(number, [str(n) for n in number], minor=False)
        axes.minorticks_off()
        style.label_ends(axes, ends)
    return figure


if __name__ == "__main__":
    main()
