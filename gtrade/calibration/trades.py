"""From a tape of trades and quotes to signs and bars.

Signs are +1 where the buyer demanded liquidity, -1 where the seller did and 0 where a
rule cannot tell.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int

from gtrade._arrays import as_float
from gtrade._checks import check_integer, check_positive, check_shape
from gtrade.calibration.windows import (
    as_series,
    check_values,
    is_concrete,
    last_valid,
)


class Bars(eqx.Module):
    """Trades added up by bar, shape (bars,)."""

    volume: Float[Array, " bars"]  # shares
    signed_volume: Float[Array, " bars"]  # shares
    num_trades: Int[Array, " bars"]
    last_price: Float[Array, " bars"]  # carried over empty bars; NaN before the first


def tick_rule(prices: ArrayLike) -> Float[Array, " n"]:
    """Sign trades by the last change of price.

    Up is a buy and down a sale; an unchanged price keeps the previous sign. Trades
    before the first change have 0. A NaN price has sign NaN and is passed over.

    Args:
        prices: of trades in their order, shape (n,).
    """
    (prices,) = as_series(prices=prices)
    filled = last_valid(prices)
    change = jnp.diff(filled, prepend=filled[:1])
    moves = jnp.where(jnp.isfinite(change), jnp.sign(change), 0)
    signs = last_valid(jnp.where(moves == 0, jnp.nan, moves))
    signs = jnp.where(jnp.isnan(signs), 0, signs)
    return jnp.where(jnp.isnan(prices), jnp.nan, signs)


def quote_rule(prices: ArrayLike, mids: ArrayLike) -> Float[Array, " n"]:
    """Sign trades by the side of the mid they are on: above is a buy, at it is 0.

    Args:
        prices: of trades, shape (n,).
        mids: prevailing just before each trade, shape (n,); NaN makes the sign NaN.
    """
    prices, mids = as_series(prices=prices, mids=mids)
    return jnp.sign(prices - mids)


def lee_ready(prices: ArrayLike, mids: ArrayLike) -> Float[Array, " n"]:
    """Sign trades by the quote rule and, at the mid or without one, by the tick rule.

    (Lee and Ready 1991; that quotes be five seconds old is for `prevailing`'s `delay`.)

    Args:
        prices: of trades in their order, shape (n,).
        mids: prevailing just before each trade, shape (n,).
    """
    by_quote = quote_rule(prices, mids)
    is_known = jnp.abs(by_quote) > 0
    return jnp.where(is_known, by_quote, tick_rule(prices).astype(by_quote.dtype))


def prevailing(
    times: ArrayLike,
    values: ArrayLike,
    at: ArrayLike,
    *,
    delay: float = 0.0,
    is_strict: bool = True,
) -> Float[Array, "..."]:
    """Return the last value known at some times; NaN before the first.

    Args:
        times: of the values, not decreasing, shape (n,). Seconds of a day need float64.
        values: shape (n,).
        at: times to look at, any shape.
        delay: look that much earlier.
        is_strict: only values of earlier times count, as for quotes that a trade has
            met; else those of the same time do as well.

    Raises:
        ValueError: for times that decrease.
    """
    times, values = as_series(times=times, values=values)
    _check_times(times)
    side = "left" if is_strict else "right"
    moments = as_float(at).astype(times.dtype) - delay
    found = jnp.searchsorted(times, moments, side=side) - 1
    return jnp.where(found < 0, jnp.nan, values[jnp.maximum(found, 0)])


def bar_index(times: ArrayLike, *, start: float, width: float) -> Int[Array, " n"]:
    """Return the bar of each time: floor((time - start) / width).

    Args:
        times: shape (n,); seconds of a day need float64.
        start: where bar 0 begins.
        width: of a bar, in the unit of time.

    Raises:
        ValueError: for a width not above zero.
    """
    (times,) = as_series(times=times)
    if is_concrete(width):
        check_positive(width=width)
    return jnp.floor((times - start) / width).astype(jnp.int32)


def last_in_bar(
    values: ArrayLike, index: ArrayLike, *, num_bars: int
) -> Float[Array, " bars"]:
    """Return the last value of each bar, carried over empty bars; NaN before the first.

    Args:
        values: in their order, shape (n,).
        index: bar of each, not decreasing, int, shape (n,); those outside
            [0, num_bars) are left out.
        num_bars: length of the result.
    """
    (values,) = as_series(values=values)
    index = _check_index(index, len(values), num_bars)
    last = (
        jnp.searchsorted(index, jnp.arange(num_bars, dtype=jnp.int32), side="right") - 1
    )
    # What came before bar 0 belongs to no bar.
    first = jnp.searchsorted(index, jnp.zeros((), index.dtype), side="left")
    return jnp.where(last < first, jnp.nan, values[jnp.maximum(last, 0)])


def bars(
    prices: ArrayLike,
    sizes: ArrayLike,
    signs: ArrayLike,
    index: ArrayLike,
    *,
    num_bars: int,
) -> Bars:
    """Add trades up by bar.

    Args:
        prices: of trades in their order, shape (n,), currency.
        sizes: shape (n,), shares.
        signs: +1, -1 or 0, shape (n,).
        index: bar of each trade, not decreasing, int, shape (n,), as from `bar_index`;
            trades outside [0, num_bars) are left out.
        num_bars: length of the results.

    Raises:
        ValueError: for sizes below zero or a decreasing index.
    """
    prices, sizes, signs = as_series(prices=prices, sizes=sizes, signs=signs)
    check_values("be at least 0", lambda x: x >= 0, sizes=sizes)
    index = _check_index(index, len(prices), num_bars)
    # Indices below zero would count from the end.
    places = jnp.where(index < 0, num_bars, index)

    def add(x: Array) -> Array:
        return jax.ops.segment_sum(x, places, num_bars, indices_are_sorted=False)

    return Bars(
        volume=add(sizes),
        signed_volume=add(sizes * signs),
        num_trades=add(jnp.ones(len(places), jnp.int32)),
        last_price=last_in_bar(prices, index, num_bars=num_bars),
    )


def _check_times(times: Array) -> None:
    if is_concrete(times):
        later = jnp.diff(times)
        check_values("be at least 0", lambda x: x >= 0, steps_of_times=later)


def _check_index(index: ArrayLike, length: int, num_bars: int) -> Int[Array, " n"]:
    check_integer(at_least=1, num_bars=num_bars)
    found = jnp.asarray(index)
    if not jnp.issubdtype(found.dtype, jnp.integer):
        raise ValueError(f"index must hold integers; got {found.dtype}")
    found = found.astype(jnp.int32)
    check_shape((length,), index=found)
    if is_concrete(found):
        later = jnp.diff(found)
        check_values("be at least 0", lambda x: x >= 0, steps_of_index=later)
    return found
