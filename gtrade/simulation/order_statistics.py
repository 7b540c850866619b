"""Quantiles of any number of paths, exactly, in memory that does not grow.

Floats have the order of their bits, read as integers with the sign turned round. So an
order statistic is found digit by digit: every pass over the paths counts those below
fifteen candidates, and the paths are simulated anew in every pass. What comes out is
the order statistic itself, to the last bit; subnormal numbers count as zero, as they do
in arithmetic on CPUs.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from gtrade.numerics.lanes import fenced, one_by_one
from gtrade.simulation.monte_carlo import chunk_size_for, estimate
from gtrade.simulation.samplers import AbstractSampler, Outcomes

_DIGIT_BITS = 4  # a pass finds one digit with so many bits


class Quantiles(eqx.Module):
    """Sample quantiles of an outcome and means beyond them.

    Attributes:
        value: the order statistics, shape (levels,); rank ceil(p n) of n.
        standard_error: half the distance between the order statistics one standard
            deviation of their rank away on either side, shape (levels,).
        tail_mean: mean of the outcomes at or beyond each quantile, the expected
            shortfall of losses, shape (levels,).
        tail_error: its standard error, shape (levels,).
    """

    value: Float[Array, " levels"]
    standard_error: Float[Array, " levels"]
    tail_mean: Float[Array, " levels"]
    tail_error: Float[Array, " levels"]


def estimate_quantiles(
    sampler: AbstractSampler,
    key: PRNGKeyArray,
    num_paths: Int[Array, ""] | int,
    *,
    name: str,
    levels: Float[Array, " levels"],
    chunk_size: int | None = None,
) -> Quantiles:
    """Return quantiles of one scalar outcome, exact order statistics of the sample.

    The same key gives the same paths as `estimate`. To be called under `jit`;
    `gtrade.estimate_quantiles` is.

    Args:
        sampler: what to simulate.
        key: source of randomness.
        num_paths: at least 2, below 2^31; may be traced.
        name: of the outcome, shape (paths,) (static).
        levels: probabilities in (0, 1), shape (levels,).
        chunk_size: paths computed at a time (static).
    """
    size = chunk_size_for(sampler) if chunk_size is None else chunk_size

    def run(sampler: Any, key: PRNGKeyArray, count: Array, levels: Array) -> Quantiles:
        return _quantiles(sampler, key, count, levels, name, size)

    count = jnp.asarray(num_paths, jnp.int32)
    return one_by_one(run)(sampler, key, count, levels)


def _quantiles(sampler, key, count, levels, name, size):
    share = count.astype(levels.dtype)
    rank = jnp.clip(jnp.ceil(levels * share) - 1, 0, share - 1).astype(jnp.int32)
    rank = jnp.minimum(rank, count - 1)
    reach = jnp.ceil(jnp.sqrt(share * levels * (1 - levels))).astype(jnp.int32)
    below, above = jnp.minimum(reach, rank), jnp.minimum(reach, count - 1 - rank)
    ranks = jnp.stack([rank - below, rank, rank + above])

    def count_below(bounds: Array) -> Array:
        return _count_below(sampler, key, count, name, bounds, size)

    low, value, high = _select(count_below, ranks, levels.dtype)
    tails = _Excess(sampler, name, value)
    excess = estimate(tails, key, count, chunk_size=size)
    tail = value + excess.mean["excess"] / (1 - levels)
    value = jnp.where(excess.mean["is_missing"] > 0, jnp.nan, value)
    error = jnp.where(high == low, 0, high - low) / 2  # also of infinities
    return Quantiles(value, error, tail, excess.standard_error["excess"] / (1 - levels))


class _Excess(AbstractSampler):
    """By how much an outcome exceeds thresholds, and whether it is a number at all."""

    sampler: AbstractSampler
    name: str = eqx.field(static=True)
    thresholds: Float[Array, " levels"]

    def draw(self, key: PRNGKeyArray, paths: Any) -> Any:
        return self.sampler.draw(key, paths)

    def outcomes(self, shocks: Any) -> Outcomes:
        outcome = self.sampler.outcomes(shocks)[self.name]
        outcome, thresholds = outcome[None], self.thresholds[:, None]
        excess = jnp.where(outcome <= thresholds, 0, outcome - thresholds)
        is_missing = jnp.isnan(outcome[0]).astype(outcome.dtype)
        return {"excess": excess, "is_missing": is_missing}

    @property
    def numbers_per_path(self) -> int:
        return self.sampler.numbers_per_path + len(self.thresholds)


def _count_below(sampler, key, count, name, bounds, size):
    """Return how many of the first `count` outcomes lie below each bound."""
    places = jnp.arange(size, dtype=jnp.int32)

    def add_chunk(state):
        done, counts = state
        shocks = sampler.draw(key, (done + places).astype(jnp.uint32))
        outcome = sampler.outcomes(shocks)[name]
        outcome = jnp.where(places < count - done, outcome, jnp.inf)

        def compare(outcome, bounds):
            outcome = outcome.reshape((1,) * bounds.ndim + outcome.shape)
            is_below = outcome < bounds[..., None]
            return is_below.sum(axis=-1, dtype=jnp.int32)

        done = done + jnp.minimum(count - done, size)  # never past 2^31
        return done, counts + fenced(compare)(outcome, bounds)

    start = jnp.zeros((), jnp.int32), jnp.zeros(bounds.shape, jnp.int32)
    return jax.lax.while_loop(lambda state: state[0] < count, add_chunk, start)[1]


def _select(count_below, ranks, dtype):
    """Return the numbers with these ranks, counted from 0."""
    bits = jnp.finfo(dtype).bits
    kind = jnp.dtype(f"uint{bits}")
    steps = jnp.arange(1, 2**_DIGIT_BITS).astype(kind)

    def find_digit(i, found):
        shift = (bits - _DIGIT_BITS * (i + 1)).astype(kind)
        digits = (steps << shift).reshape((1,) * found.ndim + steps.shape)
        candidates = found[..., None] + digits
        below = count_below(_float_at(candidates, dtype))
        fits = (below <= ranks[..., None]).sum(axis=-1).astype(kind)
        return found + (fits << shift)

    found = jax.lax.fori_loop(
        0, bits // _DIGIT_BITS, find_digit, jnp.zeros(ranks.shape, kind)
    )
    return _float_at(found, dtype)


def _float_at(place: Array, dtype: Any) -> Array:
    """Return the float at a place in the order of floats, infinities at the ends."""
    bits = jnp.finfo(dtype).bits
    top = jnp.asarray(2 ** (bits - 1), place.dtype)
    is_negative = place < top
    pattern = jnp.where(is_negative, ~place, place ^ top)
    number = jax.lax.bitcast_convert_type(pattern, dtype)
    end = jnp.where(is_negative, -jnp.inf, jnp.inf).astype(dtype)
    number = jnp.where(jnp.isnan(number), end, number)
    return jnp.where(jnp.abs(number) < jnp.finfo(dtype).tiny, 0, number)
