"""Who started a trade, in NumPy: the rules of trades.py for millions of rows.

The estimators compile for every length of a series; files have every length.
"""

from dataclasses import replace

import numpy as np
from scipy.special import ndtr

from gtrade.calibration.data import Trades
from gtrade.calibration.rules import DataError

METHODS = ("given", "tick", "quote", "lee-ready", "bulk", "none")


def sign(trades: Trades, method: str, *, bar_seconds: float = 60.0) -> Trades:
    """Return trades with sides by a rule.

    Args:
        trades: with quotes just before each, for "quote" and "lee-ready".
        method: one of `METHODS`; "given" and "none" change nothing.
        bar_seconds: length of bars, for "bulk".

    Returns:
        Sides 1, -1 and 0 where the rule cannot tell; for "bulk" the expected side, one
        for all trades of a bar.

    Raises:
        DataError: if quotes are needed and absent.
        ValueError: for an unknown method or a length not above 0.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {method!r}")
    if method in ("given", "none"):
        return trades
    if method == "tick":
        return replace(trades, side=tick_signs(trades.price))
    if method == "bulk":
        return replace(trades, side=bulk_signs(trades, bar_seconds=bar_seconds))
    if trades.bid is None or trades.ask is None:
        raise DataError("Trades", f"bid and ask are needed for the {method} rule")
    side = np.sign(trades.price - (trades.bid + trades.ask) / 2)
    side = np.where(np.isnan(side), 0, side)
    if method == "lee-ready":
        side = np.where(side == 0, tick_signs(trades.price), side)
    return replace(trades, side=side)


def tick_signs(price: np.ndarray) -> np.ndarray:
    """Return the sign of the last change of price; 0 before the first change."""
    moves = np.sign(np.diff(price, prepend=price[:1]))
    last = np.maximum.accumulate(np.where(moves != 0, np.arange(len(moves)), 0))
    return moves[last]


def bulk_signs(trades: Trades, *, bar_seconds: float) -> np.ndarray:
    """Return 2 Phi(dp / sd) - 1 of each trade's bar, from bars with trades.

    dp is the change of the last price from one bar to the next, 0 in the first, and sd
    its deviation over all bars (divisor n - 1).
    """
    if not (bar_seconds > 0 and np.isfinite(bar_seconds)):
        raise ValueError(f"bar_seconds must be greater than 0; got {bar_seconds}")
    bars = np.floor(trades.time / bar_seconds)
    is_last = np.append(np.diff(bars) != 0, True)[: len(bars)]
    close = trades.price[is_last]
    change = np.diff(close, prepend=close[:1])
    spread = change.std(ddof=1) if len(change) > 1 and np.ptp(change) > 0 else 0.0
    share = ndtr(change / spread) if spread > 0 else np.full(len(change), 0.5)
    which = np.cumsum(np.concatenate([[False], is_last[:-1]]))
    return (2 * share - 1)[which]
