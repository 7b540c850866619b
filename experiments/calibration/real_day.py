"""A real day end to end: events, impact, kappa, and what a firm does against rivals.

With `--data DIR` of the AMZN sample (`amzn_2012-06-21_level1.csv.gz`); without it a
market is simulated in which impact is known.
"""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1]))

from common import Arguments, write

FILE = "amzn_2012-06-21_level1.csv.gz"
HERE = Path(__file__).parent
WINDOWS = (60.0, 300.0, 600.0)  # lengths of bars, seconds
WINDOW, EVERY, HORIZON = 300.0, 3600.0, 1800.0
SPECS = {"one rival": "from_calibration", "two rivals": "from_calibration_two_rivals"}


def main(argv=None):
    """Calibrate, solve for every draw, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, metavar="DIR", help="of the sample file")
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="DIR")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, seconds")
    given = parser.parse_args(argv)
    arguments = Arguments(given.out, given.smoke)
    from gtrade.cli.environment import prepare_environment

    prepare_environment()
    from gtrade.calibration.from_events import impact
    from gtrade.plotting.calibration import fitted_lines, over_periods

    events, market = read(given.data, is_smoke=given.smoke)
    num_draws = 40 if given.smoke else 1000
    fits = {
        window: impact(
            events, window=window, every=EVERY, horizon=HORIZON, num_draws=num_draws
        )
        for window in WINDOWS
    }
    chosen = fits[WINDOW]
    write(
        arguments,
        "calibration_impact",
        rows=[impact_row(window, found) for window, found in fits.items()],
        figure=fitted_lines(chosen),
        note=f"{market}. Estimates by length of bars; time in half hours, impact in"
        " 1e-5 USD per share and 1e-6 USD half hours per share.",
        formats={"seconds": "d"},
    )
    write(
        arguments,
        "calibration_periods",
        rows=period_rows(chosen),
        figure=over_periods(chosen),
        note=f"{market}, an hour a row, bars of five minutes.",
    )
    tables = {
        name: solve(arguments, chosen, spec, name) for name, spec in SPECS.items()
    }
    write(
        arguments,
        "calibration_schedules",
        rows=[row for name, table in tables.items() for row in cost_rows(name, table)],
        figure=draw_schedules(tables, chosen),
        note="Quantiles over draws of kappa; costs per squared share bought, in units"
        " of temporary impact.",
    )


def read(folder, *, is_smoke):
    """Return the events of the sample, or of a simulated day, and a name."""
    from gtrade.calibration.readers import read_events
    from gtrade.calibration.synthetic import Market, simulate_events

    if folder is not None:
        return read_events(folder / FILE), "AMZN, 21 June 2012"
    market = Market(transient_impact=4e-5, decay_rate=0.02)
    return simulate_events(market, 8000 if is_smoke else 57_000, seed=1), "Simulated"


def impact_row(window, found):
    """Return the numbers of a whole day, impact in readable units."""
    row = {"seconds": int(window)}
    scales = {"permanent_impact": 1e5, "temporary_impact": 1e6, "kappa": 1.0}
    for name, scale in scales.items():
        row[name] = float(found.rows[name][0] * scale)
        row[f"{name}_se"] = float(found.rows[f"{name}_se"][0] * scale)
    return row | {"r_squared": float(found.rows["r_squared"][0])}


def period_rows(found):
    """Return the numbers of each hour."""
    rows = []
    for i, period in enumerate(found.rows["period"]):
        row = {"from": str(period), "status": str(found.rows["status"][i])}
        for name, scale in (("permanent_impact", 1e5), ("volatility", 1.0)):
            row[name] = float(found.rows[name][i] * scale)
            row[f"{name}_se"] = float(found.rows[f"{name}_se"][i] * scale)
        rows.append(row)
    return rows


def solve(arguments, found, spec, name):
    """Return the run of a spec over the draws of a calibration."""
    from gtrade.sweeps import load_spec, run_spec
    from gtrade.sweeps.calibrations import write_calibration

    suffix = "-smoke" if arguments.is_smoke else ""
    folder = arguments.out / "runs" / f"calibration{suffix}"
    shutil.rmtree(folder, ignore_errors=True)
    write_calibration(found, folder)
    resolved = load_spec(HERE / f"{spec}.toml", (), folder)
    out = arguments.out / "runs" / f"{name.replace(' ', '-')}{suffix}"
    shutil.rmtree(out, ignore_errors=True)
    return run_spec(resolved, out, is_shown=True)


def cost_rows(name, table):
    """Return quantiles of the first firm's cost and of the price of anarchy."""
    from gtrade.calibration.decision import bands

    rows = []
    for column in ("expected_costs", "price_of_anarchy"):
        band = bands(table, column)[0]
        low, middle, high = np.reshape(band.quantiles, (3, -1))[:, 0]
        rows.append(
            {
                "against": name,
                "number": column,
                "2.5 %": float(low),
                "median": float(middle),
                "97.5 %": float(high),
            }
        )
    return rows


def draw_schedules(tables, found):
    """Draw the firm's and the rivals' positions with bands over the draws."""
    from gtrade.calibration.decision import bands
    from gtrade.plotting.style import BLUE, GREY, ORANGE, new_figure, style

    low, high = (float(found.rows[f"kappa_{end}"][0]) for end in ("low", "high"))
    title = (
        f"Everybody buys early; kappa's interval ({low:.2g} to {high:.2g}) leaves open"
        " how early"
    )
    with style():
        figure, axes = new_figure(1, 2, width=8, height=3.6, title=title, sharey=True)
        for panel, (name, table) in zip(axes, tables.items(), strict=True):
            band = bands(table, "schedules")[0]
            times = np.asarray(table["times"][0]) * HORIZON / 60
            lines = ((0, BLUE, "this firm", "-"), (1, ORANGE, "a rival", "--"))
            for firm, colour, label, dashes in lines:
                lower, middle, upper = band.quantiles[:, firm]
                panel.fill_between(
                    times, lower, upper, color=colour, alpha=0.25, linewidth=0
                )
                panel.plot(times, middle, dashes, color=colour, label=label)
            panel.axhline(1.0, color=GREY, linewidth=0.7)
            panel.set_title(f"against {name}")
            panel.set_xlabel("minutes")
            panel.legend(frameon=False, loc="lower right")
        axes[0].set_ylabel("position (targets of this firm)")
    return figure


if __name__ == "__main__":
    main()
