"""What competition costs all firms together: against N and kappa, and with types."""

import closed_forms
import drawing
import numpy as np
from experiment import batched, float64, read_arguments, solve, write

NUM_FIRMS = (2, 3, 5, 10, 20)
KAPPAS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
# Two firms buy 1 - s or 1 + s shares each, with equal odds and correlation r.
SPREAD = 0.9
CORRELATIONS = (-0.9, 0.0, 0.9)


def main(argv=None):
    """Tabulate and draw the price of anarchy, without and with uncertainty."""
    arguments = read_arguments(__doc__, argv)
    firms = (2, 5) if arguments.is_smoke else NUM_FIRMS
    kappas = (1.0, 10.0) if arguments.is_smoke else KAPPAS
    with float64():
        complete(arguments, firms, np.array(kappas))
        uncertain(arguments, np.array(kappas))


def complete(arguments, firms, kappas):
    """Sweep the number of firms and kappa, targets drawn at random."""
    rng = np.random.default_rng(0)
    solved = {}
    for n in firms:
        targets = rng.uniform(0.1, 2.0, (len(kappas), n))
        solved[n] = ratios(
            permanent_impacts=np.repeat(kappas[:, None], n, axis=1),
            targets=targets,
            num_types=(1,) * n,
            evaluation_impacts=kappas[:, None],
        )
    gap = max(
        abs(value - closed_forms.price_of_anarchy(kappa, n))
        for n, values in solved.items()
        for kappa, value in zip(kappas, values, strict=True)
    )
    rows = [
        {"kappa": kappa, **{f"N_{n}": solved[n][i] for n in firms}}
        for i, kappa in enumerate(kappas)
    ]
    note = (
        "Total cost in equilibrium over the least total cost; one κ for all, targets"
        " drawn anew from 0.1 to 2 shares each time. It depends on N and κ alone:"
        " [(g/2) coth(g/2) + κ/2] / (1 + κ/2) with g = κ(N − 1)/(N + 1), here met to"
        f" {gap:.0e}; with κ it grows to 2N/(N + 1)."
    )
    figure = drawing.lines(
        kappas,
        {f"{n} firms (limit {2 * n / (n + 1):.2f})": solved[n] for n in firms},
        title=(
            f"Up to κ = 1 competition of {max(firms)} firms adds at most"
            f" {max(excess(solved, kappas)):.1%} to the total cost; it never doubles it"
        ),
        x_label="permanent impact κ (multiple of temporary impact)",
        y_label="total cost / planner's",
        log_x=True,
    )
    formats = {"kappa": "g"} | {f"N_{n}": ".6f" for n in firms}
    write(
        arguments, "chriss_anarchy", rows=rows, figure=figure, formats=formats,
        note=note,
    )  # fmt: skip


def excess(solved, kappas):
    """Return the prices of anarchy up to kappa = 1, less 1."""
    return [v - 1 for own in solved.values() for v in own[kappas <= 1]] or [0.0]


def uncertain(arguments, kappas):
    """Let two firms not know each other's target."""
    known = np.array([closed_forms.price_of_anarchy(k, 2) for k in kappas])
    prices = {}
    for r in CORRELATIONS:
        prior = np.array([[1 + r, 1 - r], [1 - r, 1 + r]]) / 4
        prices[r] = ratios(
            permanent_impacts=np.repeat(kappas[:, None], 4, axis=1),
            targets=np.tile([1 - SPREAD, 1 + SPREAD] * 2, (len(kappas), 1)),
            num_types=(2, 2),
            prior=prior,
            evaluation_impacts=kappas[:, None],
        )
    rows = [
        {
            "kappa": kappa,
            "known": known[i],
            **{f"r_{r:g}": prices[r][i] for r in CORRELATIONS},
        }
        for i, kappa in enumerate(kappas)
    ]
    change = {r: 100 * (prices[r] / known - 1) for r in CORRELATIONS}
    note = (
        f"Two firms buy {1 - SPREAD:g} or {1 + SPREAD:g} shares each, with equal odds;"
        " `r`: correlation of the two targets; `known`: targets known to both (the same"
        " for any targets). Expected total cost over the planner's, who knows the"
        " targets."
    )
    all_changes = np.array(list(change.values()))
    figure = drawing.lines(
        kappas,
        {f"correlation {r:g}".replace("-", "−"): v for r, v in change.items()},
        title=(
            f"Not knowing the rival's target saves up to {-all_changes.min():.1f} % of"
            f" the total cost, and adds up to {all_changes.max():.1f} % where one"
            " target is large when the other is small"
        ),
        x_label="permanent impact κ (multiple of temporary impact)",
        y_label="total cost against known targets (%)",
        log_x=True,
    )
    formats = {"kappa": "g"} | dict.fromkeys(list(rows[0])[1:], ".6f")
    write(
        arguments, "chriss_anarchy_types", rows=rows, figure=figure, formats=formats,
        note=note,
    )  # fmt: skip


def ratios(**columns):
    """Return prices of anarchy of a batch of games."""
    import gtrade
    from gtrade.problems.position_costs import planner_costs, total_costs

    games = gtrade.make_batch(gtrade.PositionBuilding, **columns)
    paths = solve(games, num_points=3)
    total = batched(total_costs)(games, paths)
    return np.asarray(total / batched(planner_costs)(games))[:, 0]


if __name__ == "__main__":
    main()
