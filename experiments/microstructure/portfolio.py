"""Two stocks are sold, with and without an index future that may hedge them."""

import numpy as np
from experiment import read_arguments, run, write

NAMES = ("stock 1", "stock 2", "index future")
SHOWN = 1e-6  # risk aversion of the schedules that are drawn, per currency
STOCKS = {
    "shares": [500_000.0, 200_000.0],
    "covariance": [[1.00, 0.60], [0.60, 1.44]],
    "permanent_impact": [[2e-7, 0.0], [0.0, 3e-7]],
    "temporary_impact": [[4e-6, 0.0], [0.0, 6e-6]],
    "fixed_cost": [0.02, 0.02],
}


def main(argv=None):
    """Draw the schedules at one risk aversion, and the frontiers of all."""
    arguments = read_arguments(__doc__, argv)
    few = ['sweep."problem.risk_aversion"={ logspace = [-7, -5, 3] }']
    runs = {}
    for name, changes in (("hedged", {}), ("alone", STOCKS)):
        settings = [f"problem.{key}={value}" for key, value in changes.items()]
        if arguments.is_smoke:
            settings += few
        runs[name] = run(
            arguments, "portfolio",
            name=f"portfolio_{name}", changes=settings, smoke=["run.replications=1"],
        )  # fmt: skip
    aversions = np.asarray(runs["hedged"]["problem.risk_aversion"])
    place = int(np.abs(np.log(aversions / SHOWN)).argmin())
    frontiers = {
        name: (np.asarray(table["expected_cost"]), np.sqrt(table["variance"]))
        for name, table in runs.items()
    }
    rows = [
        {
            "risk_aversion": aversions[i],
            **{
                f"{what}_{name}": values[i] / 1e6
                for name, pair in frontiers.items()
                for what, values in zip(("cost", "risk"), pair, strict=True)
            },
            "gap_hedged": runs["hedged"]["optimality_gap"][i],
            "round_trips": runs["hedged"]["round_trip_cost"][i],
        }
        for i in range(len(aversions))
    ]
    paths = [np.array(runs[name]["holdings"][place].tolist()) for name in frontiers]
    formats = {"risk_aversion": ".2e", "gap_hedged": ".0e", "round_trips": ",.0f"}
    write(
        arguments, "almgren_chriss_portfolio", rows=rows, formats=formats,
        figure=draw(paths, frontiers, place),
        note=(
            "Expected cost and standard deviation in millions of currency;"
            " `round_trips`: fixed cost of trading the future, in currency."
        ),
    )  # fmt: skip


def draw(paths, frontiers, place):
    """Draw holdings over time beside expected cost against risk."""
    from gtrade.plotting import style

    hedged, alone = paths
    cost, risk = (x[place] for x in frontiers["alone"])
    order = np.argsort(frontiers["hedged"][0])
    best = np.interp(cost, *(x[order] for x in frontiers["hedged"]))
    days = np.linspace(0, 5, len(hedged))
    with style.style():
        figure, (left, right) = style.new_figure(
            1, 2, width=9.6, height=3.9,
            title=(
                f"Shorting the index for a while takes {1 - best / risk:.0%} off the"
                " risk of selling two stocks, at the same expected cost"
            ),
        )  # fmt: skip
        ends = []
        for i, colour in enumerate(style.colours_for(3)):
            left.plot(days, hedged[:, i] / 1e3, "o-", color=colour)
            if i < 2:
                dashes = {"linestyle": (0, (3, 2)), "linewidth": 1.1}
                left.plot(days, alone[:, i] / 1e3, color=colour, **dashes)
            at = len(days) // (8 if i < 2 else 2)
            offset = (10, 6) if i < 2 else (8, -10)
            left.annotate(
                NAMES[i], (days[at], hedged[at, i] / 1e3), xytext=offset,
                textcoords="offset points", color=colour, fontsize=8,
            )  # fmt: skip
        left.axhline(0, color=style.GREY, linewidth=0.7)
        left.set_xlim(0, 5)
        left.set_xlabel("time (days)")
        left.set_ylabel("held (thousand shares)")
        left.set_title("schedules; dashed: without the future")
        for (name, (costs, risks)), colour in zip(
            frontiers.items(), (style.BLUE, style.GREY), strict=True
        ):
            right.plot(risks / 1e6, costs / 1e6, color=colour)
            right.plot(risks[place] / 1e6, costs[place] / 1e6, "o", color=colour)
            text = "with the future" if name == "hedged" else "stocks alone"
            ends.append((risks[0] / 1e6, costs[0] / 1e6, text, colour))
        right.set_xlim(left=0)
        right.set_ylim(bottom=0)
        right.set_xlabel("standard deviation of the shortfall (millions)")
        right.set_ylabel("expected shortfall (millions)")
        right.set_title("frontiers; dots: the schedules on the left")
        for x, y, text, colour in ends:
            dx, va = (-4, "top") if text.startswith("with") else (0, "bottom")
            right.annotate(
                text, (x, y), xytext=(dx, -5 if va == "top" else 5), ha="right", va=va,
                textcoords="offset points", color=colour, fontsize=8,
            )  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
