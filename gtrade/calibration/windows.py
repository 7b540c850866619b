"""Series of numbers and what can be said of their trailing windows.

Blocks of w entries cut every window of w entries in two: the tail of one block and the
head of the next, and both have running sums that start afresh. So a sum over a window
adds entries of that window only, about one of them (the last of the block where it
starts). Nothing is the difference of two long running sums: an outlier or a NaN touches
the windows that hold it and no other, and errors do not grow with the series. The work
is O(n), whatever the window.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Bool, Float

from gtrade._arrays import as_float
from gtrade._checks import InadmissibleError, check_integer, check_shape

Terms = Callable[..., Sequence[Array]]


def as_series(**columns: ArrayLike) -> list[Float[Array, " n"]]:
    """Convert columns to one floating dtype: the widest of those given as floats.

    Raises:
        ValueError: naming the column that is not one-dimensional or has another length
            than the first.
    """
    given = [getattr(x, "dtype", None) for x in columns.values()]
    floats = [d for d in given if d is not None and jnp.issubdtype(d, jnp.floating)]
    widest = max(floats, key=lambda d: d.itemsize) if floats else jnp.result_type(float)
    dtype = jax.dtypes.canonicalize_dtype(widest)
    series = [as_float(x).astype(dtype) for x in columns.values()]
    for name, x in zip(columns, series, strict=True):
        check_shape((None,), **{name: x})
        check_shape((len(series[0]),), **{name: x})
    return series


def is_concrete(*values: Any) -> bool:
    """Whether all values are numbers that can be looked at, not traced ones."""
    return not any(isinstance(x, Tracer) for x in jax.tree.leaves(values))


def check_window(
    window: int, skipna: bool, min_periods: int | None, *, at_least: int = 1
) -> int:
    """Return how many valid entries a window needs.

    Raises:
        ValueError: unless `window` is a whole number, at least `at_least`, and
            `min_periods`, which only means something with `skipna`, lies between.
    """
    check_integer(at_least=at_least, window=window)
    if min_periods is None:
        return at_least if skipna else window
    if not skipna:
        rule = "be left out unless skipna is True"
        raise InadmissibleError("min_periods", rule, min_periods)
    check_integer(at_least=at_least, min_periods=min_periods)
    if min_periods > window:
        raise InadmissibleError(
            "min_periods", f"be at most window {window}", min_periods
        )
    return min_periods


def window_sums(
    terms: Terms,
    columns: Sequence[Float[Array, " n"]],
    is_valid: Bool[Array, " n"],
    window: int,
    *,
    is_centred: bool = True,
) -> tuple[list[Float[Array, " n"]], list[Float[Array, " n"]]]:
    """Sum terms over the valid entries of every window.

    Args:
        terms: maps the columns, less their references, and last a column of ones to
            arrays to be summed; all are zero where not valid.
        columns: what windows slide over; only valid entries are read.
        is_valid: entries that count.
        window: number of entries.
        is_centred: take a reference near the window away first, else zero.

    Returns:
        The sums, one array a term, at the windows' ends, the first `window - 1` NaN;
        the references, one array a column.
    """
    num = is_valid.shape[0]
    mask = _blocks(is_valid, window)
    blocks = [jnp.where(mask, _blocks(x, window), 0) for x in columns]
    ones = mask.astype(columns[0].dtype)
    if is_centred:
        # The last entry of a block is in every window that starts there.
        last = jnp.max(jnp.where(mask, jnp.arange(window), 0), axis=1)
        references = [
            jax.lax.stop_gradient(jnp.take_along_axis(x, last[:, None], axis=1)[:, 0])
            for x in blocks
        ]
    else:
        references = [jnp.zeros_like(x[:, 0]) for x in blocks]

    def sums(first: int, reverse: bool) -> list[Array]:
        """Run along blocks from the `first` on, about references from the 0th on."""
        last = mask.shape[0] - 1 + first
        own_ones, own_mask = ones[first:last], mask[first:last]
        deviations = [
            jnp.where(own_mask, x[first:last] - reference[:-1, None], 0)
            for x, reference in zip(blocks, references, strict=True)
        ]
        found = terms(*deviations, own_ones)
        return [jax.lax.cumsum(x, axis=1, reverse=reverse) for x in found]

    tails, heads = sums(0, True), sums(1, False)
    totals = [
        tail + jnp.pad(head[:, :-1], ((0, 0), (1, 0)))
        for tail, head in zip(tails, heads, strict=True)
    ]
    spread_out = [
        jnp.broadcast_to(reference[:-1, None], tails[0].shape)
        for reference in references
    ]
    return (
        [_at_ends(x, num, window) for x in totals],
        [_at_ends(x, num, window) for x in spread_out],
    )


def is_constant(
    x: Float[Array, " n"], is_valid: Bool[Array, " n"], window: int
) -> Bool[Array, " n"]:
    """Whether all valid entries of a window are the same number, exactly."""
    mask = _blocks(is_valid, window)
    values = jax.lax.stop_gradient(_blocks(x, window))
    lowest, highest = (
        _extremes(jnp.where(mask, sign * values, -jnp.inf)) for sign in (-1, 1)
    )
    num = is_valid.shape[0]
    return _at_ends(highest, num, window) == -_at_ends(lowest, num, window)


def rolling_mean(
    x: ArrayLike,
    *,
    window: int,
    skipna: bool = False,
    min_periods: int | None = None,
) -> Float[Array, " n"]:
    """Return means of trailing windows.

    Args:
        x: shape (n,).
        window: entries, the current one included.
        skipna: leave out what is not finite, else it makes the mean NaN.
        min_periods: with `skipna`, the fewest entries that make a mean; 1 by default.
    """
    (x,) = as_series(x=x)
    needed = check_window(window, skipna, min_periods)
    (total, count), (reference,) = window_sums(
        lambda u, ones: (u, ones), (x,), jnp.isfinite(x), window
    )
    mean = reference + total / jnp.maximum(count, 1)
    return jnp.where(count >= needed, mean, jnp.nan)


def trailing_percentile(
    x: ArrayLike,
    *,
    window: int,
    skipna: bool = False,
    min_periods: int | None = None,
) -> Float[Array, " n"]:
    """Return the empirical distribution function of trailing windows at their ends.

    The share of the window's entries that are at most the last one, itself included: in
    (0, 1], and 1 where the last is the highest. Work O(n w), memory O(n).

    Args:
        x: shape (n,).
        window: entries, the current one included.
        skipna: leave out what is not finite, else it makes the share NaN. A current
            entry that is not finite always does.
        min_periods: with `skipna`, the fewest entries to compare with; 1 by default.
    """
    (x,) = as_series(x=x)
    needed = check_window(window, skipna, min_periods)
    num = x.shape[0]
    padded = jnp.concatenate([jnp.full(window - 1, jnp.nan, x.dtype), x])

    def compare(lag, counts):
        below, found = counts
        earlier = jax.lax.dynamic_slice(padded, (window - 1 - lag,), (num,))
        below += (jnp.isfinite(earlier) & (earlier <= x)).astype(jnp.int32)
        return below, found + jnp.isfinite(earlier).astype(jnp.int32)

    zeros = jnp.zeros(num, jnp.int32)
    below, found = jax.lax.fori_loop(0, window, compare, (zeros, zeros))
    share = below.astype(x.dtype) / jnp.maximum(found, 1).astype(x.dtype)
    is_good = jnp.isfinite(x) & (found >= needed) & (jnp.arange(num) >= window - 1)
    return jnp.where(is_good, share, jnp.nan)


def trailing_score(x: ArrayLike, *, window: int) -> Float[Array, " n"]:
    """Return deviations from the trailing median over the trailing robust deviation.

    The deviation is the median absolute one, times 1.4826 so that it estimates a
    Gaussian's standard deviation. Where it is zero, scores are 0 at the median and
    infinite elsewhere. Work O(n w log w); a window with a NaN gives NaN.

    Args:
        x: shape (n,).
        window: entries, the current one included.
    """
    (x,) = as_series(x=x)
    check_window(window, False, None, at_least=2)
    num = x.shape[0]
    if num < window:
        return jnp.full(num, jnp.nan, x.dtype)

    def score(start):
        own = jax.lax.dynamic_slice(x, (start,), (window,))
        middle = jnp.median(own)
        spread = 1.4826 * jnp.median(jnp.abs(own - middle))
        above = own[-1] - middle
        return jnp.where(above == 0, above, above / spread)

    starts = jnp.arange(num - window + 1)
    size = max(1, min(num, 2**20 // window))  # a few megabytes of windows at once
    scores = jax.lax.map(score, starts, batch_size=size)
    return jnp.concatenate([jnp.full(window - 1, jnp.nan, x.dtype), scores])


def last_valid(x: Float[Array, " n"]) -> Float[Array, " n"]:
    """Return the latest entry so far that is not NaN; NaN before the first."""
    places = jnp.where(jnp.isnan(x), -1, jnp.arange(x.shape[0]))
    latest = jax.lax.cummax(places, axis=0)
    return jnp.where(latest < 0, jnp.nan, x[jnp.maximum(latest, 0)])


def check_values(
    rule: str, is_good: Callable[[np.ndarray], Any], **series: Any
) -> None:
    """Require a rule of every concrete entry that is not NaN, naming the first bad one.

    Raises:
        ValueError: naming the series and the place, the rule and the value.
    """
    ((name, x),) = series.items()
    if not is_concrete(x):
        return
    array = np.asarray(x)
    bad = ~(np.asarray(is_good(array)) | np.isnan(array))
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        place = "".join(f"[{i}]" for i in first)
        raise InadmissibleError(name + place, rule, array[first])


def _blocks(x: Array, window: int) -> Array:
    """Cut into rows of `window` entries, the last with padding and used as a next."""
    num_blocks = x.shape[0] // window + 1
    padded = jnp.pad(x, (0, num_blocks * window - x.shape[0]))
    return padded.reshape(num_blocks, window)


def _extremes(blocks: Array) -> Array:
    tail = jax.lax.cummax(blocks[:-1], axis=1, reverse=True)
    head = jax.lax.cummax(blocks[1:], axis=1)
    none = jnp.full_like(head[:, :1], -math.inf)
    return jnp.maximum(tail, jnp.concatenate([none, head[:, :-1]], axis=1))


def _at_ends(starts: Array, num: int, window: int) -> Array:
    """Move what is known at windows' starts, in blocks, to their ends."""
    flat = starts.reshape(-1)[: max(num - window + 1, 0)]
    return jnp.concatenate([jnp.full(num - flat.shape[0], jnp.nan, flat.dtype), flat])
