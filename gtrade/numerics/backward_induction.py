"""Finite-horizon dynamic programming over whole units: value and policy tables."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gtrade._arrays import smallest_int_dtype

StepCost = Callable[
    [Int[Array, ""], Int[Array, " states"], Int[Array, ""]], Float[Array, " states"]
]


def cheapest_split(
    step_cost: StepCost,
    units: Int[Array, ""],
    *,
    horizon: int,
    max_units: int,
    dtype: jnp.dtype,
) -> tuple[Int[Array, " horizon"], Float[Array, ""]]:
    """Split `units` over the steps at least cost, by backward induction.

    The state is the number of units still to place, `remaining`. The tables hold
    `O(max_units * horizon^2 / 2)` entries; the minimum over actions runs one action at
    a time, so no array of states x actions is ever formed.

    Args:
        step_cost: `step_cost(t, remaining, placed)` for an array of states before the
            step and one action in 0..max_units; +inf forbids.
        units: total to place, shape (), in 0..horizon * max_units; may be traced.
        horizon: number of steps (static).
        max_units: most units in a step (static).
        dtype: floating dtype of the values.

    Returns:
        Units placed at each step, shape (horizon,), int32 - of several cheapest splits
        the lexicographically smallest - and the least cost, shape ().
    """
    # Feasible states after t steps: max(0, units - t*m) .. min(units, (T-t)*m).
    width = max_units * (horizon // 2) + 1
    policy_dtype = smallest_int_dtype(0, max_units)
    steps = jnp.arange(horizon, dtype=jnp.int32)

    def lowest(t):
        return jnp.maximum(0, units - t * max_units)

    offsets = jnp.arange(width, dtype=jnp.int32)
    infinity = jnp.full((max_units,), jnp.inf, dtype)

    def backward(value, t):
        # value[j] belongs to the state lowest(t + 1) + j after this step.
        remaining = lowest(t) + offsets
        padded = jnp.concatenate([infinity, value, infinity])
        # In a batch this slice is a gather: one a step, not one an action.
        shift = lowest(t) - lowest(t + 1)
        aligned = jax.lax.dynamic_slice_in_dim(padded, shift, width + max_units)

        def try_action(placed, best):
            least, action = best
            after = jax.lax.dynamic_slice_in_dim(aligned, max_units - placed, width)
            cost = after + step_cost(t, remaining, placed).astype(dtype)
            is_better = cost < least  # strict: of equals the smallest action stays
            action = jnp.where(is_better, placed.astype(policy_dtype), action)
            return jnp.where(is_better, cost, least), action

        start = jnp.full((width,), jnp.inf, dtype), jnp.zeros((width,), policy_dtype)
        return jax.lax.fori_loop(0, max_units + 1, try_action, start)

    final = jnp.full((width,), jnp.inf, dtype).at[0].set(0)  # lowest(T) = 0
    value, policy = jax.lax.scan(backward, final, steps, reverse=True)

    def forward(remaining, step):
        t, actions = step
        placed = actions[remaining - lowest(t)].astype(jnp.int32)
        return remaining - placed, placed

    _, schedule = jax.lax.scan(forward, units, (steps, policy))
    return schedule, value[0]
