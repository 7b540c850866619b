"""Bars of equal time from events or trades, on the host."""

import numpy as np

from gtrade.calibration.data import Events, Trades

_MOST_BARS = 10**8

OPEN, CLOSE = 34_200.0, 57_600.0  # 09:30 and 16:00, seconds after midnight


def signed_bars(
    table: Events | Trades,
    width_seconds: float,
    *,
    start: float | None = None,
    end: float | None = None,
    with_hidden: bool = False,
) -> dict[str, np.ndarray]:
    """Add trades up by bar, next to the price at the end of each bar.

    Bar i holds start + i width <= time < start + (i + 1) width. Prices are mids of
    events, or prices of trades where there are no quotes after events.

    Args:
        table: events, of which visible executions count as trades; or trades.
        width_seconds: of a bar.
        start: where bar 0 begins; by default 09:30 for events, and for trades the
            multiple of the width at or before the first.
        end: where bars end, a last bar that would pass it left out; by default 16:00
            for events, and for trades just after the last.
        with_hidden: hidden executions count as trades too.

    Returns:
        time: end of each bar, seconds, shape (bars,).
        signed_volume: shares bought less sold.
        volume: shares.
        num_trades: int64.
        price: the last in the bar, carried over empty bars; before the first it is
            the first of the day.
        price_change: from bar to bar; the first bar's from the last price before it,
            or from the first of the day.

    Raises:
        ValueError: for a width not above zero or no room for a bar.
    """
    if not (width_seconds > 0 and np.isfinite(width_seconds)):
        raise ValueError(f"width_seconds must be greater than 0; got {width_seconds}")
    if isinstance(table, Events):
        start = OPEN if start is None else start
        end = CLOSE if end is None else end
        chosen = table.is_execution(with_hidden=with_hidden)
        time, size = table.time[chosen], table.size[chosen]
        signed = size * -table.direction[chosen]
        price, price_time = table.mid, table.time
    else:
        first, last = (table.time[0], table.time[-1]) if len(table) else (0.0, 0.0)
        if start is None:
            start = float(np.floor(first / width_seconds) * width_seconds)
        if end is None:
            bars = np.floor((last - start) / width_seconds) + 1
            end = float(start + bars * width_seconds)
        time, size, signed = table.time, table.size, table.signed_size
        price, price_time = table.price, table.time
    num_bars = int(np.floor((end - start) / width_seconds * (1 + 1e-12)))
    if num_bars > _MOST_BARS:
        raise ValueError(
            f"bars of {width_seconds:g} s over {end - start:g} s are too many; are"
            " times in seconds?"
        )
    if num_bars < 1:
        raise ValueError(f"bars of {width_seconds} s do not fit in {end - start} s")

    index = np.floor((time - start) / width_seconds)
    inside = (index >= 0) & (index < num_bars)
    index, size, signed = index[inside].astype(np.int64), size[inside], signed[inside]

    def add(weights: np.ndarray) -> np.ndarray:
        return np.bincount(index, weights, minlength=num_bars)

    is_known = np.isfinite(price)
    price, price_time = price[is_known], price_time[is_known]
    if not len(price):
        close, change = np.full(num_bars, np.nan), np.full(num_bars, np.nan)
    else:
        of_price = np.floor((price_time - start) / width_seconds)
        ends = np.searchsorted(of_price, np.arange(-1, num_bars), side="right") - 1
        levels = price[np.maximum(ends, 0)]
        close, change = levels[1:], np.diff(levels)
    return {
        "time": start + width_seconds * np.arange(1, num_bars + 1),
        "signed_volume": add(signed),
        "volume": add(size),
        "num_trades": np.bincount(index, minlength=num_bars),
        "price": close,
        "price_change": change,
    }
