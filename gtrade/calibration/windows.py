"""Series of numbers and what can be said of their trailing windows.

Blocks of w entries cut every window of w entries in two: the tail of one block and the
head of the next, and both have running sums that start afresh. So a sum over a window
adds entries of that window only, about one of them (the last of the block where it
starts). Nothing is the difference of two long running sums: an outlier or a NaN touches
the windows that hold it and no other, and errors do not grow with the series. The work
is O(n), whatever the window.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

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


class WindowSums(NamedTuple):
    """What windows add up to, at their ends; the first `window - 1` are NaN."""

    sums: list[Float[Array, " n"]]  # one a term
    references: list[Float[Array, " n"]]  # one a column
    is_own: Bool[Array, " n"]  # the references are a valid entry of the window


def window_sums(
    terms: Terms,
    columns: Sequence[Float[Array, " n"]],
    is_valid: Bool[Array, " n"],
    window: int,
    *,
    is_centred: bool = True,
) -> WindowSums:
    """Sum terms over the valid entries of every window.

    Args:
        terms: maps the columns, less their references, and last a column of ones to
            arrays to be summed; all are zero where not valid.
        columns: what windows slide over; only valid entries are read.
        is_valid: entries that count.
        window: number of entries.
        is_centred: take a reference near the window away first, else zero.
    """
    num = is_valid.shape[0]
    mask = _blocks(is_valid, window)
    blocks = [jnp.where(mask, _blocks(x, window), 0) for x in columns]
    ones = mask.astype(columns[0].dtype)
    # The last entry of a block is in every window that starts there.
    last = jnp.max(jnp.where(mask, jnp.arange(window)[None, :], -1), axis=1)
    if is_centred:
        places = jnp.maximum(last, 0)[:, None]
        references = [
            jax.lax.stop_gradient(jnp.take_along_axis(x, places, axis=1)[:, 0])
            for x in blocks
        ]
    else:
        references = [jnp.zeros_like(x[:, 0]) for x in blocks]

    def sums(first: int, reverse: bool) -> list[Array]:
        """Run along blocks from the `first` on, about references from the 0th on."""
        end = mask.shape[0] - 1 + first
        own_ones, own_mask = ones[first:end], mask[first:end]
        deviations = [
            jnp.where(own_mask, x[first:end] - reference[:-1, None], 0)
            for x, reference in zip(blocks, references, strict=True)
        ]
        found = terms(*deviations, own_ones)
        return [jax.lax.cumsum(x, axis=1, reverse=reverse) for x in found]

    tails, heads = sums(0, True), sums(1, False)
    totals = [
        tail + jnp.pad(head[:, :-1], ((0, 0), (1, 0)))
        for tail, head in zip(tails, heads, strict=True)
    ]
    shape = tails[0].shape
    spread_out = [jnp.broadcast_to(r[:-1, None], shape) for r in references]
    is_own = jnp.arange(window)[None, :] <= last[:-1, None]
    return WindowSums(
        [_at_ends(x, num, window) for x in totals],
        [_at_ends(x, num, window) for x in spread_out],
        _at_ends(is_own.astype(ones.dtype), num, window) > 0,
    )


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
    (total, count), (reference,), _ = window_sums(
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
    infinite elsewhere. A window with a number that is not finite gives NaN. Work O(nw):
    a scan keeps the window sorted.

    Args:
        x: shape (n,).
        window: entries, the current one included.
    """
    (x,) = as_series(x=x)
    check_window(window, False, None, at_least=2)
    num = x.shape[0]
    if num < window:
        return jnp.full(num, jnp.nan, x.dtype)
    is_valid = jnp.isfinite(x)
    filled = jnp.where(is_valid, x, jnp.inf)  # sorts last
    place = jnp.arange(window)

    def score(ordered, new):
        low, high = (window - 1) // 2, window // 2
        middle = (ordered[low] + ordered[high]) / 2
        # The k entries nearest to the median are neighbours in order.
        absolute = [
            jnp.maximum(middle - ordered[: window - k], ordered[k:] - middle).min()
            for k in (low, high)
        ]
        spread = 1.4826 * (absolute[0] + absolute[1]) / 2
        above = new - middle
        return jnp.where(above == 0, above, above / spread)

    def slide(ordered, ends):
        old, new = ends
        gone = (ordered < old).sum()
        kept = jnp.where(place >= gone, jnp.roll(ordered, -1), ordered)
        kept = jnp.where(place == window - 1, jnp.inf, kept)
        at = (kept < new).sum()
        moved = jnp.where(place == at, new, jnp.roll(kept, 1))
        ordered = jnp.where(place < at, kept, moved)
        return ordered, score(ordered, new)

    first = jnp.sort(filled[:window])
    pairs = filled[: num - window], filled[window:]
    _, rest = jax.lax.scan(slide, first, pairs)
    scores = jnp.append(score(first, filled[window - 1]), rest)
    (_, count), _, _ = window_sums(
        lambda u, ones: (u, ones), (x,), is_valid, window, is_centred=False
    )
    scores = jnp.concatenate([jnp.full(window - 1, jnp.nan, x.dtype), scores])
    return jnp.where(count == window, scores, jnp.nan)


def last_valid(x: Float[Array, " n"]) -> Float[Array, " n"]:
    """Return the latest entry so far that is not NaN; NaN before the first."""
    places = jnp.where(jnp.isnan(x), -1, jnp.arange(x.shape[0]))
    latest = jax.lax.cummax(places, axis=0)
    return jnp.where(latest < 0, jnp.nan, x[jnp.maximum(latest, 0)])


def latest(x: Float[Array, " n"]) -> Float[Array, ""]:
    """Return the last entry; NaN if there is none."""
    return x[-1] if x.shape[0] else jnp.full((), jnp.nan, x.dtype)


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


def _at_ends(starts: Array, num: int, window: int) -> Array:
    """Move what is known at windows' starts, in blocks, to their ends."""
    flat = starts.reshape(-1)[: max(num - window + 1, 0)]
    return jnp.concatenate([jnp.full(num - flat.shape[0], jnp.nan, flat.dtype), flat])
