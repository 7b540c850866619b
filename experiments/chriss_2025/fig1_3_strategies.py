"""Figures 1 to 3 of Chriss (2025): strategies in the two-by-two example.

Figure 1: every pair of active types, with what the two would do if the types were
known. Figure 2: the prior shifts. Figure 3: a type that is not there grows.
"""

import drawing
import numpy as np
from experiment import POINTS, float64, read_arguments, solve, spec_problem, write

# Probability that firm 2 is of type 1, whatever firm 1 is (figure 2).
PROBABILITIES = (0.01, 0.25, 0.5, 0.75, 0.99)
# Targets of firm 2's type 2, shares (figure 3); the example has 5.
GROWING = (5.0, 10.0, 20.0, 40.0)


def main(argv=None):
    """Draw the three figures, with a table of initial rates each."""
    arguments = read_arguments(__doc__, argv)
    num_points = POINTS if arguments.is_smoke else 201
    with float64():
        active_pairs(arguments, num_points)
        shifting_priors(arguments, num_points)
        growing_type(arguments, num_points)


def active_pairs(arguments, num_points):
    """Draw figure 1."""
    import gtrade

    problem = spec_problem("two_by_two")
    game = gtrade.PositionBuilding(**problem)
    paths = solve(game, num_points)
    known = known_types(game, num_points)
    positions = np.asarray(paths.schedules)
    rates = np.asarray(paths.initial_rates)
    names = type_names(game)
    rows = [
        {
            "firm": 1 + (s >= 2),
            "type": 1 + s % 2,
            "kappa": float(game.permanent_impacts[s]),
            "target": float(game.targets[s]),
            "initial_rate": rates[s],
            "against_type_1": initial(known, s, 0),
            "against_type_2": initial(known, s, 1),
            "held_at_half": positions[s, num_points // 2],
        }
        for s in range(4)
    ]
    peak = positions[3].max()
    figure = drawing.pairs(
        [positions[:2], positions[2:]],
        np.array([[known[k, r][0] for r in range(2)] for k in range(2)]),
        [names[:2], names[2:]],
        unit="position (shares)",
        title=(
            "A type does the same whichever rival it meets; the one with κ = 15 buys"
            f" {peak:.1f} shares on its way to 5"
        ),
        inset=True,
    )
    note = (
        "Trading rates at time 0 (shares per horizon): in the Bayesian equilibrium, and"
        " were the rival known to be of type 1 or 2. `held_at_half`: shares."
    )
    formats = dict.fromkeys(("firm", "type"), "d")
    formats |= dict.fromkeys(("kappa", "target"), "g") | {"initial_rate": ".8f"}
    write(
        arguments, "chriss_strategies", rows=rows, figure=figure, formats=formats,
        note=note,
    )  # fmt: skip


def shifting_priors(arguments, num_points):
    """Draw figure 2."""
    import gtrade

    problem = spec_problem("two_by_two")
    first = np.asarray(problem["prior"]).sum(axis=1)
    priors = [np.outer(first, [p, 1 - p]) for p in PROBABILITIES]
    games = gtrade.make_batch(
        gtrade.PositionBuilding, **{**problem, "prior": np.array(priors)}
    )
    paths = solve(games, num_points)
    positions = np.asarray(paths.schedules)
    names = type_names(gtrade.PositionBuilding(**problem))
    panels = {names[s]: positions[:, s] for s in range(4)}
    rates = np.asarray(paths.initial_rates)
    rows = [
        {"probability": p, **{f"rate_{n}": r for n, r in zip(SHORT, own, strict=True)}}
        for p, own in zip(PROBABILITIES, rates, strict=True)
    ]
    figure = drawing.families(
        panels,
        [f"{p:.0%}" for p in PROBABILITIES],
        unit="position (shares)",
        title=(
            "The likelier the rival of small impact and large target, the sooner"
            f" firm 1 buys: at first {rates[0, 0]:.2f} to {rates[-1, 0]:.1f} shares"
            " per horizon (type 1)"
        ),
        note="firm 2 is of\ntype 1 with",
        columns=2,
    )
    note = (
        "Trading rates at time 0 by firm and type, shares per horizon, over the"
        " probability that firm 2 is of type 1 (firm 1's types keep their marginals"
        " 0.6 and 0.4, independently)."
    )
    write(
        arguments, "chriss_priors", rows=rows, figure=figure, note=note,
        formats={"probability": "g"},
    )  # fmt: skip


def growing_type(arguments, num_points):
    """Draw figure 3."""
    import gtrade

    problem = spec_problem("two_by_two")
    targets = np.tile(problem["targets"], (len(GROWING), 1))
    targets[:, 3] = GROWING
    games = gtrade.make_batch(
        gtrade.PositionBuilding, **{**problem, "targets": targets}
    )
    paths = solve(games, num_points)
    positions = np.asarray(paths.schedules)
    rates = np.asarray(paths.initial_rates)
    names = type_names(gtrade.PositionBuilding(**problem))
    rows = [
        {"target": v, **{f"rate_{n}": r for n, r in zip(SHORT, own, strict=True)}}
        for v, own in zip(GROWING, rates, strict=True)
    ]
    peak = positions[-1, 0].max()
    figure = drawing.families(
        {names[s]: positions[:, s] for s in (0, 2)},
        [f"{v:g} shares" for v in GROWING],
        unit="position (shares)",
        title=(
            "A large rival that is not there changes what firms do: when type 2 of"
            f" firm 2 may want {GROWING[-1]:g} shares, firm 1 holds up to {peak:.1f} on"
            " its way to 3"
        ),
        note="type 2 of firm 2\nwould buy",
    )
    note = (
        "Trading rates at time 0 by firm and type, shares per horizon, over the target"
        " of firm 2's type 2 (prior of the example). Types 1 are active."
    )
    write(
        arguments, "chriss_inactive", rows=rows, figure=figure, note=note,
        formats={"target": "g"},
    )  # fmt: skip


SHORT = ("11", "12", "21", "22")


def known_types(game, num_points):
    """Return positions and initial rates of every pair of known types."""
    import gtrade

    kappas, targets = np.asarray(game.permanent_impacts), np.asarray(game.targets)
    first, second = game.num_types
    pairs = list(np.ndindex(first, second))
    chosen = np.array([(k, first + r) for k, r in pairs])
    games = gtrade.make_batch(
        gtrade.PositionBuilding,
        permanent_impacts=kappas[chosen],
        targets=targets[chosen],
        num_types=(1, 1),
    )
    paths = solve(games, num_points)
    schedules, rates = np.asarray(paths.schedules), np.asarray(paths.initial_rates)
    return {pair: (schedules[i], rates[i]) for i, pair in enumerate(pairs)}


def initial(known, s, rival):
    """Return a type's initial rate against a known type of the other firm."""
    pair, firm = ((s, rival), 0) if s < 2 else ((rival, s - 2), 1)
    return known[pair][1][firm]


def type_names(game):
    """Name all types by their impact and target."""
    firms = np.repeat(np.arange(game.num_firms), game.num_types)
    kappas, targets = np.asarray(game.permanent_impacts), np.asarray(game.targets)
    return [
        f"firm {f + 1}: κ = {k:g}, target {v:g}"
        for f, k, v in zip(firms, kappas, targets, strict=True)
    ]


if __name__ == "__main__":
    main()
