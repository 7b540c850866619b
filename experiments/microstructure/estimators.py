"""Price impact, VPIN and spreads of one trading day, from trades and best quotes.

With `--data DIR` of the AMZN sample (`amzn_2012-06-21_level1.csv.gz`); without it a
market is simulated in which impact is known.
"""

import argparse
import functools
import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parents[1]))

from common import Arguments, write

FILE = "amzn_2012-06-21_level1.csv.gz"
OPEN, CLOSE = 34_200.0, 57_600.0  # seconds after midnight
WIDTHS = (10, 60, 300)  # of bars, seconds
BAR, WINDOW = 10, 360  # seconds; bars, so that windows are an hour
BUCKETS = 500  # in the day
HORIZONS = np.array([1.0, 2, 5, 10, 20, 30, 60, 120, 300])
SIMULATED_IMPACT = 8e-5  # USD per share


def main(argv=None):
    """Estimate, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, metavar="DIR", help="of the sample files")
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="DIR")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, seconds")
    given = parser.parse_args(argv)
    arguments = Arguments(given.out, given.smoke)
    from gtrade.cli.environment import prepare_environment

    prepare_environment()
    import jax

    if given.data:
        quotes, trades = read(given.data / FILE)
        market = "AMZN, 21 June 2012"
    else:
        quotes, trades = simulate(num_trades=500 if given.smoke else 9000)
        market = "Simulated market"
    with jax.enable_x64(True):
        write(
            arguments,
            "estimators",
            rows=impact_by_width(quotes, trades),
            note="Kyle's lambda in 1e-5 USD per share, by width of bars.",
            formats={"seconds": "d", "bars": "d"},
        )
        day = over_the_day(quotes, trades)
        write(
            arguments,
            "estimators_day",
            rows=hourly(day),
            figure=draw_day(day, market),
            note="Last value of each hour; lambda in 1e-5 USD per share.",
        )
        spreads = spreads_after(quotes, trades)
    write(
        arguments,
        "estimators_spreads",
        rows=spreads,
        figure=draw_spreads(spreads, market),
        note="Means over trades, in US cents.",
        formats={"seconds": "g"},
    )


def read(path):
    """Return quotes after every event, and visible executions."""
    import pyarrow.csv

    table = pyarrow.csv.read_csv(path)
    rows = {name: table[name].to_numpy() for name in table.column_names}
    is_trade = rows["type"] == 4
    mids = (rows["bid_1e4"] + rows["ask_1e4"]) / 2e4
    trades = {
        "times": rows["time_s"][is_trade],
        "prices": rows["price_1e4"][is_trade] / 1e4,
        "sizes": rows["size"][is_trade].astype(float),
        # `direction` is that of the order that was hit.
        "signs": -rows["direction"][is_trade].astype(float),
    }
    return {"times": rows["time_s"], "mids": mids}, trades


def simulate(num_trades, seed=0):
    """Simulate a day in which every share bought lifts the mid by the same amount."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(OPEN + 1, CLOSE, num_trades))
    signs = np.where(rng.random(num_trades) < 0.6, 1.0, -1.0).cumprod()
    sizes = np.ceil(rng.exponential(70.0, num_trades))
    news = 0.005 * rng.normal(size=num_trades)
    mids = 220 + np.cumsum(SIMULATED_IMPACT * signs * sizes + news)
    before = np.concatenate([[220.0], mids[:-1]])
    trades = {"times": times, "prices": before + 0.05 * signs, "sizes": sizes}
    quotes = {
        "times": np.concatenate([[OPEN], times]),
        "mids": np.concatenate([[220.0], mids]),
    }
    return quotes, {**trades, "signs": signs}


def bars_of(quotes, trades, width):
    """Return mid changes and trades by bar."""
    from gtrade.calibration import estimators

    num_bars = int((CLOSE - OPEN) / width)
    index = functools.partial(estimators.bar_index, start=OPEN, width=float(width))
    mids = estimators.last_in_bar(
        quotes["mids"], index(quotes["times"]), num_bars=num_bars
    )
    of_trades = estimators.bars(
        trades["prices"],
        trades["sizes"],
        trades["signs"],
        index(trades["times"]),
        num_bars=num_bars,
    )
    return np.diff(mids, prepend=quotes["mids"][0]), of_trades


def impact_by_width(quotes, trades):
    """Return Kyle's lambda of the day for several widths of bars."""
    from gtrade.calibration import estimators

    rows = []
    for width in WIDTHS:
        changes, bars = bars_of(quotes, trades, width)
        found = {
            errors: estimators.price_impact(changes, bars.signed_volume, errors=errors)
            for errors in ("classical", "robust")
        }
        rows.append(
            {
                "seconds": width,
                "bars": len(changes),
                "lambda": 1e5 * float(found["classical"].price_impact),
                "classical error": 1e5 * float(found["classical"].standard_error),
                "robust error": 1e5 * float(found["robust"].standard_error),
                "R2": float(found["classical"].r_squared),
            }
        )
    return rows


def over_the_day(quotes, trades):
    """Return rolling lambda and VPIN, by hour of the day."""
    from gtrade.calibration import estimators

    changes, bars = bars_of(quotes, trades, BAR)
    impact = estimators.price_impact(
        changes, bars.signed_volume, window=WINDOW, errors="robust"
    )
    bucket = trades["sizes"].sum() / BUCKETS
    signed = estimators.vpin(
        trades["sizes"], trades["sizes"] * trades["signs"], bucket_volume=bucket
    )
    bulk = estimators.vpin(
        bars.volume,
        estimators.bulk_signed_volume(changes, bars.volume),
        bucket_volume=bucket,
    )
    ends = (OPEN + BAR * np.arange(1, len(changes) + 1)) / 3600
    return {
        "quotes": (quotes["times"] / 3600, quotes["mids"]),
        "impact": (ends, 1e5 * np.asarray(impact.price_impact)),
        "error": 1e5 * np.asarray(impact.standard_error),
        "signed": (trades["times"][signed.last_bar] / 3600, np.asarray(signed.vpin)),
        "bulk": (ends[bulk.last_bar], np.asarray(bulk.vpin)),
    }


def hourly(day):
    """Return the last value before every full hour."""
    rows = []
    for hour in range(11, 17):
        row = {"hour": float(hour)}
        for name in ("impact", "signed", "bulk"):
            times, values = day[name]
            at = np.searchsorted(times, hour, side="right") - 1
            row[name] = float(values[at]) if at >= 0 else np.nan
        rows.append(row)
    return rows


def spreads_after(quotes, trades):
    """Return effective and realised spread by horizon, in cents."""
    from gtrade.calibration import estimators

    found = estimators.spread_by_horizon(
        trades["times"],
        trades["prices"],
        trades["signs"],
        quotes["times"],
        quotes["mids"],
        horizons=HORIZONS,
    )
    return [
        {
            "seconds": float(seconds),
            "effective": 100 * float(found.mean_effective[i]),
            "realised": 100 * float(found.mean_realised[i]),
            "impact": 100 * float(found.mean_impact[i]),
        }
        for i, seconds in enumerate(HORIZONS)
    ]


def draw_day(day, market):
    """Draw mid, rolling lambda and VPIN above each other."""
    from gtrade.plotting import style

    times, impact = day["impact"]
    known = impact[np.isfinite(impact)]
    both = times[np.isfinite(impact)]
    signed, bulk = (np.interp(both, *known_part(*day[n])) for n in ("signed", "bulk"))
    title = (
        f"{market}: a thousand shares moved the price by {known.min():.0f} to"
        f" {known.max():.0f} cents; VPIN is {np.mean(signed - bulk):.2f} lower if"
        " volume is classified in bulk"
    )
    with style.style():
        figure, panels = style.new_figure(
            3, 1, width=6.8, height=6.2, title=title, sharex=True
        )
        hours, mids = day["quotes"]
        panels[0].plot(hours, mids, color=style.INK, linewidth=0.8, rasterized=True)
        panels[0].set_ylabel("mid (USD)")
        style.draw_mean(panels[1], times, impact, day["error"], colour=style.BLUE)
        panels[1].set_ylim(bottom=0)
        panels[1].set_ylabel("λ (10⁻⁵ USD per share)")
        minutes = WINDOW * BAR // 60
        panels[1].set_title(
            f"Kyle's λ over {minutes} minutes, band of ±2 robust errors"
        )
        ends = []
        for name, label, colour in (
            ("signed", "signs of\nthe tape", style.BLUE),
            ("bulk", "bulk", style.ORANGE),
        ):
            at, values = day[name]
            panels[2].plot(at, values, color=colour)
            ends.append((at[-1], values[-1], label, colour))
        panels[2].set_ylim(0, 1)
        panels[2].set_ylabel("VPIN")
        panels[2].set_title(f"VPIN of 50 buckets, each 1/{BUCKETS} of the day's volume")
        panels[2].set_xlabel("time of day (hours)")
        panels[2].margins(x=0.01)
        style.label_ends(panels[2], ends)
    return figure


def known_part(times, values):
    """Leave out values that are NaN."""
    is_known = np.isfinite(values)
    return times[is_known], values[is_known]


def draw_spreads(rows, market):
    """Draw effective and realised spread against the horizon."""
    from gtrade.plotting import style

    seconds = np.array([row["seconds"] for row in rows])
    columns = {n: np.array([r[n] for r in rows]) for n in ("effective", "realised")}
    kept = columns["realised"] / columns["effective"]
    minute = kept[seconds == 60][0]
    later = f"keep {minute:.0%}" if minute >= 0 else f"have lost {-minute:.0%}"
    title = (
        f"{market}: makers keep {kept[0]:.0%} of the effective spread after"
        f" {seconds[0]:g} s and {later} of it after a minute"
    )
    with style.style():
        figure, axes = style.new_figure(width=6.5, height=3.4, title=title)
        ends = []
        for name, colour in (("effective", style.INK), ("realised", style.BLUE)):
            axes.plot(seconds, columns[name], color=colour, marker="o")
            ends.append((seconds[-1], columns[name][-1], name, colour))
        axes.axhline(0, color=style.GREY, linewidth=0.7)
        axes.set_xscale("log")
        axes.set_xticks(seconds, [f"{s:g}" for s in seconds])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("horizon (seconds)")
        axes.set_ylabel("spread (US cents per share)")
        style.label_ends(axes, ends)
    return figure


if __name__ == "__main__":
    main()
