"""Executing a million shares: the frontier of cost and risk, and the plans on it."""

import numpy as np
from experiment import float64, read_arguments, run, write

MILLION = 1e6
NUM_PERIODS = 20
SHOWN = (1e-7, 1e-6, 1e-5)
# Shares that others trade, in millions a quarter of a day: busy mornings and evenings.
DAY = (3.2, 1.4, 1.2, 2.2)


def main(argv=None):
    """Draw the frontier with reference strategies, and plans of all kinds."""
    arguments = read_arguments(__doc__, argv)
    frontier = run(
        arguments,
        "almgren_chriss_frontier",
        smoke=["sweep.problem.risk_aversion={ logspace = [-9, -3, 20] }"],
    )
    published = run(
        arguments, "almgren_chriss_published", smoke=["solver.num_paths=1000"]
    )
    safest = run(arguments, "almgren_chriss_value_at_risk")
    rows = [
        {
            "risk_aversion": f"{lam:g}",
            "expected_cost": published["expected_cost"][i],
            "expected_cost_mc": published["expected_cost_mc"][i],
            "expected_cost_mc_se": published["expected_cost_se"][i],
            "std": np.sqrt(published["variance"][i]),
            "value_at_risk": published["value_at_risk"][i],
            "value_at_risk_mc": published["value_at_risk_mc"][i],
            "value_at_risk_mc_se": published["value_at_risk_se"][i],
            "half_life": published["half_life"][i],
        }
        for i, lam in enumerate(published["problem.risk_aversion"])
    ]
    money = dict.fromkeys(
        ("expected_cost", "expected_cost_mc", "std", "value_at_risk"), ",.0f"
    )
    money["value_at_risk_mc"] = ",.0f"
    write(
        arguments, "almgren_chriss_frontier", rows=rows,
        figure=draw_frontier(frontier, published, safest), formats=money,
        note="A million shares in five daily periods (Almgren and Chriss 2001, section"
        " 4); costs in dollars, value at risk at 95%, half-lives in days; columns _mc"
        " from simulated fills.",
    )  # fmt: skip
    plans = variants()
    rows = [
        {
            "plan": name,
            "expected_cost": float(plan["expected_cost"]),
            "std": float(np.sqrt(plan["variance"])),
            "first_day": float(1 - plan["holdings"][4] / MILLION),
            "optimality_gap": float(plan["optimality_gap"]),
        }
        for name, plan in plans.items()
    ]
    write(
        arguments, "almgren_chriss_schedules", rows=rows,
        figure=draw_schedules(published, plans),
        formats={"expected_cost": ",.0f", "std": ",.0f", "first_day": ".1%"},
        note="The same example in quarters of days at a risk aversion of 1e-6 per"
        " dollar; first_day is the share traded by its end.",
    )  # fmt: skip


def variants():
    """Return the evidence about plans with extensions of the model, by name."""
    base = {
        "shares": MILLION,
        "horizon": 5.0,
        "num_periods": NUM_PERIODS,
        "volatility": 0.95,
        "permanent_impact": 2.5e-7,
        "temporary_impact": 2.5e-6,
        "fixed_cost": 0.0625,
        "risk_aversion": 1e-6,
    }
    volumes = np.tile(np.array(DAY) * 1e5, 5)
    # The concession at a rate of 400 000 shares a day is that of linear impact.
    concave = {"impact_exponent": 0.6, "temporary_impact": 2.5e-6 * 4e5**0.4}
    changes = {
        "linear impact": {},
        "volume profile": {"volumes": volumes},
        "at most a third of the volume": {
            "volumes": volumes,
            "max_participation": 1 / 3,
        },
        "power law, exponent 0.6": concave,
        "lots of 25 000 shares": {"lot_size": 25_000.0},
    }
    found = {}
    with float64():
        import gtrade

        for name, change in changes.items():
            problem = gtrade.AlmgrenChriss(**{**base, **change})
            solution = gtrade.solve(problem, gtrade.AlmgrenChrissClosedForm())
            gtrade.raise_unless_converged(solution)
            found[name] = gtrade.verify(problem, solution)
    return found


def draw_frontier(frontier, published, safest):
    """Draw expected shortfall against its standard deviation."""
    from gtrade.plotting import style

    def place(table):
        risk = np.sqrt(np.asarray(table["variance"], float))
        return risk / MILLION, np.asarray(table["expected_cost"], float) / MILLION

    risk, cost = place(frontier)
    shown = np.isin(published["problem.risk_aversion"], (0.0, *SHOWN, 2e-6))
    even = float(published["even_variance"][0]) ** 0.5, float(published["even_cost"][0])
    at_once = float(published["immediate_cost"][0]) / MILLION
    even = even[0] / MILLION, even[1] / MILLION
    half = np.interp(-even[0] / 2, -risk, cost)
    title = (
        "Half of the risk of equal trades can be avoided for"
        f" {half - even[1]:.2f} million dollars, all of it for {at_once - even[1]:.2f}"
    )
    with style.style():
        figure, axes = style.new_figure(width=7.4, height=4.4, title=title)
        axes.plot(
            np.append(risk, 0.0), np.append(cost, at_once), color=style.BLUE, zorder=3
        )
        axes.fill_between(
            np.append(risk, 0.0), 0, np.append(cost, at_once), color=style.PALE,
            alpha=0.5, linewidth=0,
        )  # fmt: skip
        axes.annotate(
            "out of reach", (0.22, 0.35), color=style.GREY, fontsize=9, ha="center"
        )
        x, y = place(published)
        axes.plot(x[shown], y[shown], "o", color=style.BLUE, markersize=5, zorder=4)
        for lam, left, up in zip(
            np.asarray(published["problem.risk_aversion"])[shown],
            x[shown], y[shown], strict=True,
        ):  # fmt: skip
            text = f"λ = {lam:g}" if lam else "λ = 0: equal trades"
            below = lam in (2e-6, 1e-7)
            axes.annotate(
                text, (left, up), xytext=(-5, -13) if below else (5, 7),
                textcoords="offset points", fontsize=8, color=style.INK,
                ha="right" if below else "left",
            )  # fmt: skip
        axes.plot([0.0], [at_once], "s", color=style.ORANGE, markersize=6, zorder=4)
        axes.annotate(
            "all at once", (0.0, at_once), xytext=(9, -2), textcoords="offset points",
            fontsize=8, color=style.ORANGE, va="center",
        )  # fmt: skip
        which = list(safest["solver.confidence"]).index(0.95)
        best = place(safest)[0][which], place(safest)[1][which]
        level = float(safest["value_at_risk"][which]) / MILLION
        slope = (level - best[1]) / best[0]
        ends = np.array([0.0, level / slope])
        axes.plot(ends, level - slope * ends, "--", color=style.GREEN, linewidth=1)
        axes.plot(*best, "D", color=style.GREEN, markersize=5, zorder=4)
        axes.annotate(
            f"least value at risk at 95%:\n{level:.3f} million dollars",
            best, xytext=(48, 42), textcoords="offset points", fontsize=8,
            color=style.GREEN, arrowprops={"arrowstyle": "-", "color": style.GREEN},
        )  # fmt: skip
        axes.set_xlabel("standard deviation of the shortfall (million dollars)")
        axes.set_ylabel("expected shortfall (million dollars)")
        axes.set_xlim(0, 1.25)
        axes.set_ylim(0, 2.8)
    return figure


def draw_schedules(published, plans):
    """Draw what is left of the shares under published and extended plans."""
    from gtrade.plotting import style

    lams = list(published["problem.risk_aversion"])
    chosen = (0.0, *SHOWN)
    rate = {
        lam: 1 - published["holdings"][lams.index(lam)][1] / MILLION for lam in lams
    }
    title = (
        f"A risk aversion of 1e-6 has {rate[1e-6]:.0%} of the shares sold in the first"
        f" of five days, 1e-5 has {rate[1e-5]:.0%}"
    )
    with style.style():
        figure, axes = style.new_figure(
            1, 2, width=10.5, height=4.0, title=title, width_ratios=(1, 1.15)
        )
        for lam, colour in zip(chosen, style.sequence(len(chosen)), strict=True):
            path = np.asarray(published["holdings"][lams.index(lam)]) / MILLION
            axes[0].plot(np.arange(6), path, color=colour, marker="o")
            day = {0.0: 2.5, 1e-7: 2.0, 1e-6: 2.0, 1e-5: 2.0}[lam]
            height = float(np.interp(day, np.arange(6), path))
            below = lam == 1e-7
            axes[0].annotate(
                f"λ = {lam:g}", (day, height), color=colour, fontsize=8,
                xytext=(-4, -4) if below else (5, 4), textcoords="offset points",
                ha="right" if below else "left", va="top" if below else "bottom",
            )  # fmt: skip
        axes[0].set_title("plans of daily trades")
        times = np.linspace(0, 5, NUM_PERIODS + 1)
        colours = style.colours_for(len(plans))
        for (name, plan), colour in zip(plans.items(), colours, strict=True):
            traded = np.asarray(plan["trades"]) / 1e3
            axes[1].step(
                np.append(times[:-1], times[-1]), np.append(traded, traded[-1]),
                where="post", color=colour, label=name,
                linewidth=2.2 if name == "linear impact" else 1.3,
            )  # fmt: skip
        axes[1].legend(frameon=False, fontsize=8, labelcolor="linecolor")
        axes[1].set_title("trades of quarter days at λ = 1e-6")
        axes[0].set(xlabel="day", ylabel="million shares left", xlim=(0, 5.05))
        axes[0].set_ylim(0, 1.02)
        axes[1].set(xlabel="day", ylabel="thousand shares traded", xlim=(0, 5))
        axes[1].set_ylim(bottom=0)
    return figure


if __name__ == "__main__":
    main()
