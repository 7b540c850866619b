"""Figures 7 and 8 of Chriss (2025): a type that believes in a non-strategic buyer."""

import drawing
import numpy as np
from experiment import read_arguments, run, write

KEY = "problem.firms.1.types.0.non_strategic"
FLOW = 5.0  # section 5.2


def main(argv=None):
    """Draw all types with the paper's flow and without, and one over the flow."""
    arguments = read_arguments(__doc__, argv)
    table = run(arguments, "non_strategic", smoke=["run.replications=1"])
    flows = np.asarray(table[KEY])
    positions = np.array(table["schedules"])  # (flows, types, points)
    middle = positions.shape[2] // 2
    rows = [
        {
            "flow": flow,
            **{f"held_{n}": x for n, x in zip(NAMES, paths[:, middle], strict=True)},
            "expected_cost_21": costs[2],
            "exploitability": gain,
        }
        for flow, paths, costs, gain in zip(
            flows, positions, table["expected_costs"], table["exploitability"],
            strict=True,
        )
    ]  # fmt: skip
    with_flow = positions[list(flows).index(FLOW)]
    without = positions[list(flows).index(0.0)]
    panels = {FIRMS[s]: np.stack([without[s], with_flow[s]]) for s in range(4)}
    figure = drawing.families(
        panels,
        ["no flow", f"{FLOW:g} shares"],
        unit="position (shares)",
        note="type 1 of firm 2\nbelieves in",
        title=(
            "One type's belief in a buyer moves everybody: the believer holds"
            f" {with_flow[2, middle]:.2f} of its one share at half time, firm 1 waits"
        ),
        columns=2,
        limits=(0.0, max(1.0, with_flow.max()) * 1.04),
    )
    note = (
        "Positions at half time, by firm and type; all impacts and targets are 1, prior"
        " as in the two-by-two example. `flow`: shares that type 1 of firm 2 believes"
        " a non-strategic trader buys evenly over the horizon. Its expected cost"
        " counts the price that this trader moves."
    )
    formats = {"flow": "g", "exploitability": ".0e"}
    formats |= {f"held_{name}": ".6f" for name in NAMES}
    write(
        arguments, "chriss_non_strategic", rows=rows, figure=figure, formats=formats,
        note=note,
    )  # fmt: skip

    from gtrade.plotting.style import save

    figure = drawing.families(
        {FIRMS[s]: positions[:, s] for s in (2, 3, 0)},
        [f"{flow:g} shares" for flow in flows],
        unit="position (shares)",
        note="believed flow",
        title=(
            f"The more it expects others to buy, the more the believer overbuys: up to"
            f" {positions[-1, 2].max():.2f} shares on the way to 1 for a flow of"
            f" {flows[-1]:g}"
        ),
    )
    save(figure, arguments.out, "chriss_flows")


NAMES = ("11", "12", "21", "22")
FIRMS = (
    "firm 1, type 1",
    "firm 1, type 2",
    "firm 2, type 1: the believer",
    "firm 2, type 2",
)


if __name__ == "__main__":
    main()
