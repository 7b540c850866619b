"""Mixed strategies with given mean flows, of at most horizon + 1 schedules."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gtrade.problems.discrete_trading import TradingGame
from gtrade.solvers.mean_flow import MeanFlows


def mixtures(
    game: TradingGame, found: MeanFlows
) -> tuple[Int[Array, "2 count horizon"], Float[Array, "2 count"]]:
    """Return schedules and weights with given mean flows, at least own cost.

    The weights are peeled off one vertex of the cell after another: the `h` largest
    parts are rounded up, and each vertex brings one more part to an end of its cell, so
    that horizon + 1 schedules are enough (Caratheodory).
    """
    horizon = game.horizon
    width = found.width
    total = game.targets - found.cell.sum(axis=1, dtype=jnp.int32)
    count, rest = total // width, total % width
    dtype = found.trades.dtype
    part = (found.trades - found.cell.astype(dtype)) / width.astype(dtype)
    share = rest.astype(dtype) / width.astype(dtype)
    place = jnp.arange(horizon, dtype=jnp.int32)

    def peel_one(part, share, cell, count, rest):
        def peel(carry, _):
            part, mass = carry
            order = jnp.argsort(-part).astype(jnp.int32)
            rank = jnp.zeros(horizon, jnp.int32).at[order].set(place)
            is_up, is_next = rank < count, rank == count
            vertex = jnp.where(is_next, share, 0) + is_up.astype(dtype)
            # The largest weight that leaves the rest of the mixture within its cell.
            limit = jnp.where(
                is_up,
                part,
                jnp.where(
                    is_next,
                    jnp.minimum(_over(part, share), _over(1 - part, 1 - share)),
                    1 - part,
                ),
            )
            weight = jnp.clip(limit.min(), 0, 1)
            left = jnp.where(weight < 1, 1 - weight, 1)
            rest_part = (part - weight * vertex) / left
            rest_part = jnp.where(rest_part < 1e-12, 0, rest_part)
            rest_part = jnp.where(rest_part > 1 - 1e-12, 1, rest_part)
            schedule = cell + width * is_up.astype(jnp.int32)
            schedule = schedule + rest * is_next.astype(jnp.int32)
            return (rest_part, mass * (1 - weight)), (schedule, mass * weight)

        start = jnp.clip(part, 0, 1), jnp.ones((), dtype)
        _, (schedules, weights) = jax.lax.scan(peel, start, None, length=horizon + 1)
        return schedules, weights / weights.sum()

    return jax.vmap(peel_one)(part, share, found.cell, count, rest)


def _over(numerator, denominator):
    """Return the quotient, infinite for a denominator of zero."""
    is_zero = denominator <= 0
    return jnp.where(is_zero, jnp.inf, numerator / jnp.where(is_zero, 1, denominator))
