"""How a dealer learns from orders: beliefs along paths, and the spread on average."""

import json

import numpy as np
from experiment import read_arguments, run, write

INFORMED = 0.2  # along the paths shown
NUM_SHOWN = 7
LONGEST = 100
SHOWN = (10, 50, 100)


def main(argv=None):
    """Draw paths of beliefs, and the decay of the mean spread against its rate."""
    arguments = read_arguments(__doc__, argv)
    length = 20 if arguments.is_smoke else LONGEST
    smoke = ("run.replications=1", f"solver.num_trades={length}")
    curves = run(arguments, "glosten_milgrom", smoke=(*smoke, "solver.num_paths=2000"))
    orders = draw_orders(length)
    paths = run(
        arguments,
        "glosten_milgrom_paths",
        changes=(f"sweep.problem.orders={json.dumps(orders)}",),
        smoke=("run.replications=1",),
    )
    rows = [
        table_row(curves, i, [n for n in SHOWN if n <= length])
        for i in range(len(curves))
    ]
    write(
        arguments, "glosten_milgrom", rows=rows,
        figure=draw(curves, np.asarray(paths["beliefs"])),
        formats={"informed": "g", "decay_factor": ".4f", "slope": ".4f"},
        note="Mean spread before a trade, exactly and as simulated; `slope`: the factor"
        " by which the exact one last fell in a trade, which tends to `decay_factor`."
        " Values 90 and 110, even odds at first.",
    )  # fmt: skip


def draw_orders(length):
    """Return orders when the value is high, then when low, from the same arrivals."""
    rng = np.random.default_rng(4)
    is_informed = rng.random((NUM_SHOWN, length)) < INFORMED
    noise = rng.random((NUM_SHOWN, length)) < 0.5
    is_buy = [np.where(is_informed, is_high, noise) for is_high in (True, False)]
    return np.where(np.concatenate(is_buy), "buy", "sell").tolist()


def table_row(curves, i, shown):
    """Return one row of the table."""
    exact = np.asarray(curves["expected_spreads"][i])
    row = {
        "informed": float(curves["problem.informed_fraction"][i]),
        "spread_1": float(exact[0]),
    }
    for n in shown:
        row[f"spread_{n + 1}"] = float(exact[n])
        row[f"simulated_{n + 1}"] = float(curves["expected_spreads_mc"][i][n])
        row[f"simulated_{n + 1}_se"] = float(curves["expected_spreads_se"][i][n])
    row["slope"] = float(exact[-1] / exact[-2])
    row["decay_factor"] = float(curves["decay_factor"][i])
    return row


def draw(curves, beliefs):
    """Draw the two panels."""
    from gtrade.plotting import style

    fractions = np.asarray(curves["problem.informed_fraction"])
    chosen = int(np.argmin(np.abs(fractions - INFORMED)))
    exact = np.asarray(curves["expected_spreads"])
    last = exact.shape[1] - 1
    shares = exact[:, last] / exact[:, 0]
    title = (
        f"{last} trades close the spread to {shares[0]:.0%} of what it was when"
        f" {fractions[0]:.0%} of traders know the value, to"
        f" {shares[chosen]:.1%} when {fractions[chosen]:.0%} do"
    )
    trades = np.arange(last + 1)
    with style.style():
        figure, (left, right) = style.new_figure(1, 2, width=10.0, title=title)
        draw_beliefs(left, curves, chosen, beliefs)
        right.set_yscale("log")
        labels = []
        colours = style.sequence(len(fractions))
        marks = np.unique(np.linspace(0, last, 11).round().astype(int))
        for i, colour in enumerate(colours):
            right.plot(trades, exact[i], color=colour)
            rate = exact[i, 0] * np.asarray(curves["decay_factor"])[i] ** trades
            right.plot(trades, rate, color=colour, linestyle="--", linewidth=0.8)
            right.errorbar(
                marks,
                np.asarray(curves["expected_spreads_mc"])[i, marks],
                2 * np.asarray(curves["expected_spreads_se"])[i, marks],
                fmt="o", color=colour, markersize=3.5,
            )  # fmt: skip
            text = f"{fractions[i]:.0%} informed"
            labels.append((float(last), float(exact[i, last]), text, colour))
        right.set(xlabel="trades seen", ylabel="mean spread (price)", xlim=(0, last))
        right.set_ylim(bottom=0.4 * exact.min())
        note = "lines: exact sums\ndots: simulated\ndashed: first spread × ρⁿ"
        right.text(0.03, 0.04, note, transform=right.transAxes, fontsize=8)
        style.label_ends(right, labels)
    return figure


def draw_beliefs(axes, curves, chosen, beliefs):
    """Draw beliefs along paths when the value is high and when it is low."""
    from gtrade.plotting import style

    colours, labels = (style.BLUE, style.ORANGE), []
    trades = np.arange(beliefs.shape[1])
    half = len(beliefs) // 2
    for own, colour in zip((beliefs[:half], beliefs[half:]), colours, strict=True):
        for path in own:
            axes.plot(trades, path, color=colour, linewidth=0.7, alpha=0.6)
    for name, colour in zip(("high", "low"), colours, strict=True):
        mean = np.asarray(curves[f"expected_beliefs_{name}"][chosen])
        axes.plot(trades, mean, color=colour, linewidth=2.2)
        text = f"value {name}\n(thick: mean)"
        labels.append((float(trades[-1]), float(mean[-1]), text, colour))
    axes.set(xlabel="trades seen", xlim=(0, trades[-1]), ylim=(0, 1))
    axes.set_ylabel(f"belief in the high value, {INFORMED:.0%} informed")
    style.label_ends(axes, labels)


if __name__ == "__main__":
    main()
