"""One figure for each extension: power-law, transient and uncertain impact, hiding.

Learning has a spec of its own, `specs/learning.toml`. Answers are certified before they
are drawn.
"""

import numpy as np
from experiment import float64, read_arguments, run, write

EXPONENTS = (0.5, 0.75, 1.0, 1.5)
THETAS = (0.05, 0.25, 0.5, 2.0)
DECAYS = (1.0, 20.0, 5.0)  # of firm 1's two types and of firm 2
NOISES = (3.0, 1.0, 0.3, 0.1)
FORMATS = {"exploitability": ".0e", "belief_error": ".0e", "alternates": ""}


def main(argv=None):
    """Solve, certify and draw each extension."""
    arguments = read_arguments(__doc__, argv)
    smoke = arguments.is_smoke
    with float64():
        for name, make in {
            "chriss_power_law": power_law,
            "chriss_transient": transient,
            "chriss_uncertain": uncertain,
            "chriss_hidden": hidden,
        }.items():
            rows, figure = make(smoke)
            write(arguments, name, rows=rows, figure=figure, formats=FORMATS)
    learning(arguments)


def solved(problems, solver):
    """Return a solution and its evidence."""
    import gtrade

    solution = gtrade.solve_batch(problems, solver)
    gtrade.raise_unless_converged(solution)
    return solution, gtrade.verify(problems, solution, arrays=("schedules",))


def lines(title, label, names, x, values, *, unit, markers=None):
    """Return a figure of lines with their names at their ends."""
    from gtrade.plotting import style

    with style.style():
        figure, axes = style.new_figure(title=title)
        ends = []
        for name, y, colour in zip(
            names, values, style.sequence(len(names)), strict=True
        ):
            axes.plot(x, y, color=colour, marker=markers)
            ends.append((x[-1], y[-1], name, colour))
        axes.set_xlabel(label)
        axes.set_ylabel(unit)
        axes.set_xlim(x[0], x[-1])
        style.label_ends(axes, ends)
    return figure


def power_law(smoke):
    """Two firms of target 1 at kappa = 4, for several exponents."""
    import gtrade

    games = gtrade.make_batch(
        gtrade.PowerLawPosition,
        targets=[1.0, 1.0],
        permanent_impact=4.0,
        exponent=np.array(EXPONENTS),
    )
    points = 17 if smoke else 129
    solution, evidence = solved(games, gtrade.PowerLawClosedForm(num_points=points))
    schedules = evidence["schedules"][:, 0]
    rates = np.asarray(solution.value.rates)[:, 0]
    title = (
        "The more concave the impact, the earlier firms buy: half time finds"
        f" {schedules[0, points // 2]:.0%} bought at p = {EXPONENTS[0]:g},"
        f" {schedules[-1, points // 2]:.0%} at p = {EXPONENTS[-1]:g}"
    )
    names = [f"p = {p:g}" for p in EXPONENTS]
    times = np.linspace(0, 1, points)
    rows = [
        {"exponent": p, "initial_rate": r[0], "final_rate": r[-1], "exploitability": e}
        for p, r, e in zip(EXPONENTS, rates, evidence["exploitability"], strict=True)
    ]
    unit = "position of either firm (shares)"
    return rows, lines(title, "time (horizons)", names, times, schedules, unit=unit)


def transient(smoke):
    """Trades of two equal firms, for several temporary costs."""
    import gtrade

    points = 17 if smoke else 41
    games = gtrade.make_batch(
        gtrade.TransientImpact,
        targets=[1.0, 1.0],
        decay=1.0,
        temporary_cost=np.array(THETAS),
    )
    solution, evidence = solved(games, gtrade.TransientLinearSystem(num_points=points))
    trades = np.asarray(solution.value.trades)[:, 0]
    title = (
        "Below the critical cost of 1/4 two firms buy and sell in turn: hot potatoes"
        " instead of a block at the start"
    )
    names = [f"θ = {theta:g}" for theta in THETAS]
    rows = [
        {
            "temporary_cost": theta,
            "first_trade": own[0],
            "second_trade": own[1],
            "alternates": "yes" if np.any(flags) else "no",
            "exploitability": gap,
        }
        for theta, own, flags, gap in zip(
            THETAS, trades, evidence["is_alternating"], evidence["exploitability"],
            strict=True,
        )
    ]  # fmt: skip
    times = np.linspace(0, 1, points)
    return rows, lines(
        title, "time (horizons)", names, times, trades, unit="trade (shares)",
        markers=".",
    )  # fmt: skip


def uncertain(smoke):
    """One firm unsure how long impact lasts, against one that is not."""
    import gtrade

    points = 17 if smoke else 65
    game = gtrade.make_batch(
        gtrade.UncertainImpact,
        targets=np.ones((1, 3)),
        permanent_impacts=[0.0] * 3,
        transient_impacts=[5.0] * 3,
        decays=list(DECAYS),
        num_types=(2, 1),
        prior=[[0.5], [0.5]],
    )
    _, evidence = solved(game, gtrade.LinearSystem(num_points=points))
    schedules = evidence["schedules"][0]
    losses = evidence["misjudgements"][0]
    spent = evidence["model_costs"][0] - losses
    worst = float((losses / spent)[:2, :2].max())
    title = (
        "Who believes that impact lasts buys early, who believes that it fades buys"
        f" evenly; misjudging it costs up to {worst:.1%}"
    )
    names = ["firm 1, lasting", "firm 1, fading", "firm 2"]
    rows = [
        {"type": name, "decay": decay, "initial_rate": rate}
        for name, decay, rate in zip(
            names, DECAYS, evidence["initial_rates"][0], strict=True
        )
    ]
    times = np.linspace(0, 1, schedules.shape[1])
    unit = "position (shares)"
    return rows, lines(title, "time (horizons)", names, times, schedules, unit=unit)


def hidden(smoke):
    """What the arbitrageur still does not know, for several strengths of noise."""
    import gtrade

    games = gtrade.make_batch(
        gtrade.HiddenTargetGame,
        target_mean=1.0,
        target_std=1.0,
        permanent_impact=5.0,
        noise_std=np.array(NOISES),
    )
    _, evidence = solved(games, gtrade.BayesFilter(num_steps=8 if smoke else 64))
    stds = evidence["belief_stds"]
    saved = evidence["mean_hiding_value"]
    title = (
        "With much noise it pays to be hidden"
        f" ({saved[0]:+.2f} at σ = {NOISES[0]:g}), with little it costs"
        f" ({saved[-1]:+.2f} at σ = {NOISES[-1]:g})"
    )
    rows = [
        {
            "noise_std": noise,
            "initial_rate": rate[0],
            "mean_hiding_value": value,
            "exploitability": gap,
            "belief_error": error,
        }
        for noise, rate, value, gap, error in zip(
            NOISES, evidence["initial_rates"], saved, evidence["exploitability"],
            evidence["belief_error"], strict=True,
        )
    ]  # fmt: skip
    times = np.linspace(0, 1, stds.shape[1] + 1)[: stds.shape[1]]
    names = [f"σ = {noise:g}" for noise in NOISES]
    unit = "what is still unknown (shares, s.d.)"
    return rows, lines(title, "time (horizons)", names, times, stds, unit=unit)


def learning(arguments):
    """Distances to the equilibrium over rounds of play without a prior."""
    from gtrade.plotting.position_learning import figures

    table = run(arguments, "learning", smoke=["solver.num_rounds=200"])
    names = [name for name in ("exploitability", "distance") if name in table.columns()]
    rows = []
    for constant in sorted(set(table["solver.step_constant"])):
        own = np.asarray(table["solver.step_constant"]) == constant
        row = {"step_constant": constant}
        row |= {name: float(np.asarray(table[name])[own].mean()) for name in names}
        rows.append(row)
    drawn = figures(table)
    write(arguments, "chriss_learning", rows=rows, figure=next(iter(drawn.values())))


if __name__ == "__main__":
    main()
