"""Lower bounds on what any schedule costs, by duality: no oracle has to be trusted.

A best-response gap computed with an oracle is too small if the oracle misses the best
response. The bounds here hold for every schedule, so a gap against them can only be too
large; they meet the optimum.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

_HALVINGS = 80


def least_cost_bound(
    linear: Float[Array, " horizon"],
    weight: Float[Array, ""],
    target: Int[Array, ""],
    *,
    min_trade: int,
    max_trade: int,
    in_whole_lots: bool = True,
) -> Float[Array, ""]:
    """Bound `sum_t linear_t a_t + weight a_t^2` from below, over trades that sum to V.

    For weight > 0: for every multiplier `lambda` the sum over steps of
    `min_k (linear_t k + weight k^2 - lambda k)`, plus `lambda V`, is a lower bound
    (weak duality); the best multiplier makes it tight. For weight <= 0 the trades of an
    optimum are a fixed multiset of limits and one remainder, and by the rearrangement
    inequality the cheapest assignment sorts them against `linear`.

    Args:
        linear: price of a unit at each step, shape (horizon,), float64.
        weight: own-cost weight of either sign, shape ().
        target: V, shape ().
        min_trade: fewest shares a step (static).
        max_trade: most shares a step (static).
        in_whole_lots: whether trades are whole; fractional needs weight > 0.

    Returns:
        The bound, shape ().
    """
    dual = _dual_bound(linear, weight, target, min_trade, max_trade, in_whole_lots)
    if not in_whole_lots:
        return dual
    sorted_bound = _sorted_bound(linear, weight, target, min_trade, max_trade)
    return jnp.where(weight > 0, dual, sorted_bound)


def _dual_bound(linear, weight, target, low: int, high: int, in_whole_lots: bool):
    curvature = jnp.where(weight > 0, 2 * weight, 1)
    total = target.astype(linear.dtype)

    def minimisers(level):
        best = (level - linear) / curvature
        best = jnp.floor(best + 0.5) if in_whole_lots else best
        return jnp.clip(best, low, high)

    def bound(level):
        trades = minimisers(level)
        # Summed after subtracting the multiplier: the terms cancel down to the answer.
        return (trades * (linear - level) + weight * trades**2).sum() + level * total

    def halve(_, bracket):
        below, above = bracket
        middle = below + (above - below) / 2
        is_low = minimisers(middle).sum() <= total
        return jnp.where(is_low, middle, below), jnp.where(is_low, above, middle)

    below = linear.min() + curvature * (low - 1)
    above = linear.max() + curvature * (high + 1)
    below, above = jax.lax.fori_loop(0, _HALVINGS, halve, (below, above))
    return jnp.maximum(bound(below), bound(above))


def _sorted_bound(linear, weight, target, low: int, high: int):
    horizon, span = linear.shape[0], high - low
    units = target.astype(jnp.int64) - horizon * low
    # Trades from largest to smallest, prices from smallest to largest.
    steps = jnp.arange(horizon, dtype=jnp.int64)
    trades = (low + jnp.clip(units - span * steps, 0, span)).astype(linear.dtype)
    return (jnp.sort(linear) * trades + weight * trades**2).sum()
