"""Loops of different lengths under `vmap`: a finished lane makes room for the next.

A loop under `vmap` takes as many steps as its slowest lane, in all lanes. Where a CPU
computes a few lanes at a time anyway, each of these can go on to an instance that
waits, as soon as its own has ended: all lanes then do useful work until none waits.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool


def loop_in_queue(
    start: Callable[..., Any],
    is_unfinished: Callable[[Any], Bool[Array, ""]],
    step: Callable[..., Any],
    *,
    width: int,
) -> Callable[..., Any]:
    """Return a while loop over one instance whose lanes, on a CPU, queue up.

    Elsewhere all lanes run in step: a wide machine waits for the slowest one at no
    cost. The loop has no derivatives; callers stop gradients before it.

    Args:
        start: from the instance's arrays to the state before the first step; cheap, for
            it is computed after every step.
        is_unfinished: whether a state needs another step.
        step: from a state and the instance's arrays to the next state.
        width: lanes that a CPU computes at a time.

    Returns:
        A function of the instance's arrays that returns the last state.
    """

    def run(*args: Array) -> Any:
        return jax.lax.while_loop(
            is_unfinished, lambda state: step(state, *args), start(*args)
        )

    def run_in_queue(size: int, args: tuple[Array, ...]) -> Any:
        def fill(slots: Array) -> tuple[Any, tuple[Array, ...]]:
            mine = tuple(x.at[slots].get(mode="clip") for x in args)
            return jax.vmap(start)(*mine), mine

        def is_busy(slots: Array, states: Any) -> Array:
            return (slots < size) & jax.vmap(is_unfinished)(states)

        def goes_on(carry: Any) -> Array:
            slots, *_ = carry
            return (slots < size).any()

        def advance(carry: Any) -> Any:
            slots, waiting, states, mine, results = carry
            states = choose(
                is_busy(slots, states), jax.vmap(step)(states, *mine), states
            )
            has_ended = ~is_busy(slots, states)
            # Slots that run on write nowhere.
            places = jnp.where(has_ended, slots, size)
            results = jax.tree.map(
                lambda all_, new: all_.at[places].set(new, mode="drop"), results, states
            )
            next_slots = waiting + jnp.cumsum(has_ended, dtype=slots.dtype) - 1
            slots = jnp.where(has_ended, jnp.minimum(next_slots, size), slots)
            waiting = waiting + has_ended.sum(dtype=slots.dtype)
            fresh = fill(slots)
            states, mine = choose(has_ended, fresh, (states, mine))
            return slots, waiting, states, mine, results

        slots = jnp.arange(min(width, size), dtype=jnp.int32)
        states, mine = fill(slots)
        results = jax.tree.map(
            lambda x: jnp.zeros((size, *x.shape[1:]), x.dtype), states
        )
        waiting = jnp.asarray(len(slots), slots.dtype)
        carry = (slots, waiting, states, mine, results)
        return jax.lax.while_loop(goes_on, advance, carry)[-1]

    @jax.custom_batching.custom_vmap
    def single(*args: Array) -> Any:
        return run(*args)

    @single.def_vmap
    def _(size: int, in_batched: list[bool], *args: Array) -> tuple[Any, Any]:
        lanes = tuple(
            x if is_batched else jnp.broadcast_to(x, (size, *x.shape))
            for x, is_batched in zip(args, in_batched, strict=True)
        )
        if jax.default_backend() == "cpu":
            results = run_in_queue(size, lanes)
        else:
            results = jax.vmap(run)(*lanes)
        return results, jax.tree.map(lambda _: True, results)

    return single


def choose(condition: Array, new: Any, old: Any) -> Any:
    """Take, lane by lane, one of two pytrees with lanes on the first axis."""

    def one(new: Array, old: Array) -> Array:
        lanes = condition.reshape(-1, *[1] * (new.ndim - 1))
        return jnp.where(lanes, new, old)

    return jax.tree.map(one, new, old)
