"""VPIN: how one-sided order flow is, on a clock that ticks with volume.

Easley, Lopez de Prado and O'Hara 2012. Trading is cut into buckets of equal volume; a
bar that crosses an edge is split in proportion. VPIN is the mean of |bought - sold| in
the last buckets, as a share of volume.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr
from jaxtyping import Array, ArrayLike, Float, Int

from gtrade._arrays import as_float
from gtrade._checks import (
    InadmissibleError,
    check_each,
    check_integer,
    check_positive,
)
from gtrade.calibration.windows import (
    as_series,
    check_values,
    is_concrete,
    rolling_mean,
)

# A last bucket that lacks so many units of rounding is complete.
_ROUNDING = 64


class VPIN(eqx.Module):
    """VPIN on the clock of volume, shape (buckets,)."""

    vpin: Float[Array, " buckets"]  # in [0, 1]; NaN for the first num_buckets - 1
    imbalance: Float[Array, " buckets"]  # bought less sold in each bucket, shares
    last_bar: Int[Array, " buckets"]  # the bar in which a bucket fills
    bucket_volume: Float[Array, ""]  # shares


def bulk_signed_volume(
    price_changes: ArrayLike, volume: ArrayLike, *, std: ArrayLike | None = None
) -> Float[Array, " n"]:
    """Classify the volume of bars in bulk, from their price changes alone.

    The share bought is Phi(dp / std), so the result is volume * (2 Phi(dp / std) - 1).
    A zero deviation says nothing: share 1/2, result 0.

    Args:
        price_changes: dp of each bar, shape (n,).
        volume: shape (n,), shares.
        std: deviation of price changes, in their unit; by default that of all bars
            given (divisor n - 1, NaNs left out), future ones included.

    Raises:
        ValueError: for a volume or a deviation below zero.
    """
    changes, volume = as_series(price_changes=price_changes, volume=volume)
    check_values("be at least 0", lambda x: x >= 0, volume=volume)
    if std is None:
        std = _deviation(changes)
    else:
        check_values("be at least 0", lambda x: x >= 0, std=std)
        std = as_float(std).astype(changes.dtype)
    has_spread = std != 0
    scores = jnp.where(has_spread, changes / jnp.where(has_spread, std, 1), 0)
    return volume * (2 * ndtr(scores) - 1)


def vpin(
    volume: ArrayLike,
    signed_volume: ArrayLike,
    *,
    bucket_volume: ArrayLike | None = None,
    num_buckets: int = 50,
    num_days: float = 1.0,
    max_buckets: int | None = None,
) -> VPIN:
    """Return VPIN from the volume of bars (or of trades) and how much of it was bought.

    A bucket left incomplete at the end is dropped. A bar with known volume and NaN as
    its signed volume makes the buckets it falls into NaN.

    Args:
        volume: of bars or trades in their order, shape (n,), shares.
        signed_volume: bought less sold, shape (n,), shares; from the tape, or from
            `bulk_signed_volume`.
        bucket_volume: of one bucket, shares; by default a fiftieth of the average
            daily volume.
        num_buckets: in one average.
        num_days: that the data span, for the default bucket.
        max_buckets: length of the results, where NaN stands for buckets that do not
            fill and what does not fit is left out; by default the number that fill,
            which cannot be known inside jit.

    Raises:
        ValueError: for inadmissible numbers, or inside jit without `max_buckets`.
    """
    volume, flow = as_series(volume=volume, signed_volume=signed_volume)
    check_integer(at_least=1, num_buckets=num_buckets)
    if not volume.shape[0]:
        raise ValueError("volume must hold at least one bar; got none")
    if is_concrete(volume, flow):
        rule = "be a number; bars without trades have a volume of 0"
        check_each(rule, lambda x: ~np.isnan(x), volume=volume)
        check_values("be at least 0", lambda x: x >= 0, volume=volume)
        slack = 1 + _ROUNDING * float(jnp.finfo(volume.dtype).eps)
        traded = np.asarray(volume)
        check_values(
            "be at most volume in size",
            lambda x: np.abs(x) <= traded * slack,
            signed_volume=flow,
        )
    clock = jnp.cumsum(volume)
    total = clock[-1]
    if bucket_volume is None:
        if is_concrete(num_days):
            check_positive(num_days=num_days)
        size = total / (50 * num_days)
    else:
        if is_concrete(bucket_volume):
            check_positive(bucket_volume=bucket_volume)
        size = as_float(bucket_volume).astype(volume.dtype)
    tolerance = 1 + _ROUNDING * jnp.finfo(volume.dtype).eps
    if max_buckets is None:
        if not is_concrete(total, size):
            rule = "be given where volumes are traced (inside jit, vmap or grad)"
            raise InadmissibleError("max_buckets", rule, max_buckets)
        with_volume = float(size) > 0
        filled = float(total) / float(size) * float(tolerance) if with_volume else 0
        max_buckets = int(np.floor(filled)) if np.isfinite(filled) else 0
    check_integer(at_least=0, max_buckets=max_buckets)

    numbers = jnp.arange(max_buckets + 1).astype(volume.dtype)
    edges = numbers * size
    is_filled = (edges[1:] <= total * tolerance) & (size > 0)
    bar, imbalance = _split(clock, volume, jnp.where(jnp.isnan(flow), 0, flow), edges)
    gone = jnp.where(jnp.isnan(flow), volume, 0)
    is_missing = jnp.diff(_split(clock, volume, gone, edges)[1]) > 0
    # Rounding must not carry a one-sided bucket beyond itself.
    imbalance = jnp.clip(jnp.diff(imbalance), -size, size)
    imbalance = jnp.where(is_filled & ~is_missing, imbalance, jnp.nan)
    safe = jnp.where(size > 0, size, 1)
    averages = rolling_mean(jnp.abs(imbalance) / safe, window=num_buckets)
    return VPIN(
        # A mean about a reference can leave [0, 1] by its rounding.
        vpin=jnp.clip(averages, 0, 1),
        imbalance=imbalance,
        last_bar=jnp.where(is_filled, bar[1:], volume.shape[0]).astype(jnp.int32),
        bucket_volume=size,
    )


def on_bars(found: VPIN, values: ArrayLike, *, num_bars: int) -> Float[Array, " bars"]:
    """Return a series of buckets as it was known at the end of each bar.

    Args:
        found: VPIN of these bars.
        values: one a bucket, for instance `found.vpin`, shape (buckets,).
        num_bars: number of bars that VPIN was computed from.

    Returns:
        The value of the last bucket that filled in or before the bar, NaN before the
        first, shape (num_bars,).
    """
    (values,) = as_series(values=values)
    if values.shape[0] == 0:
        return jnp.full(num_bars, jnp.nan, values.dtype)
    latest = (
        jnp.searchsorted(
            found.last_bar, jnp.arange(num_bars, dtype=jnp.int32), side="right"
        )
        - 1
    )
    return jnp.where(latest < 0, jnp.nan, values[jnp.maximum(latest, 0)])


def _split(clock: Array, volume: Array, part: Array, edges: Array):
    """Return the bars that edges fall into and what `part` adds up to at the edges."""
    edges = jnp.minimum(edges, clock[-1])
    bar = jnp.minimum(jnp.searchsorted(clock, edges, side="left"), len(clock) - 1)
    before = jnp.concatenate([jnp.zeros_like(clock[:1]), clock])
    so_far = jnp.concatenate([jnp.zeros_like(part[:1]), jnp.cumsum(part)])
    own = jnp.where(volume[bar] > 0, volume[bar], 1)
    share = jnp.clip((edges - before[bar]) / own, 0, 1)
    return bar, so_far[bar] + share * part[bar]


def _deviation(x: Float[Array, " n"]) -> Float[Array, ""]:
    is_valid = jnp.isfinite(x)
    count = is_valid.astype(x.dtype).sum()
    mean = jnp.where(is_valid, x, 0).sum() / jnp.maximum(count, 1)
    squares = jnp.where(is_valid, x - mean, 0) ** 2
    variance = squares.sum() / jnp.maximum(count - 1, 1)
    # The square root has no slope at zero, and equal changes may round to a spread.
    low = jnp.min(jnp.where(is_valid, x, jnp.inf))
    varies = low < jnp.max(jnp.where(is_valid, x, -jnp.inf))
    return jnp.where(varies, jnp.sqrt(jnp.where(varies, variance, 1)), 0)
