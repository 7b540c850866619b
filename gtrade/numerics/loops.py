"""The one convergence loop."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float

from gtrade.solution import Solution, Status

State = TypeVar("State")


def iterate_until(
    step: Callable[[State], tuple[State, Float[Array, ""]]],
    state: State,
    *,
    tol: ArrayLike,
    max_steps: int,
    has_cycled: Callable[[State], Bool[Array, ""]] | None = None,
) -> Solution[State]:
    """Apply `step(state) -> (state, residual)` until the residual is at most `tol`.

    Args:
        step: one update and the residual it reached, shape ().
        state: the initial state, any pytree of arrays.
        tol: the residual that ends the loop.
        max_steps: the largest number of updates (static).
        has_cycled: tells from a state that the iteration is back where it was.

    Returns:
        The last state, with status `converged`, `cycled`, `max_steps_reached` or
        `nonfinite`.
    """
    if has_cycled is None:
        has_cycled = _never

    def unfinished(carry):
        state, residual, num_steps = carry
        # NaN compares false: a failed instance stops instead of holding up its batch.
        return (residual > tol) & (num_steps < max_steps) & ~has_cycled(state)

    def body(carry):
        state, _, num_steps = carry
        return *step(state), num_steps + 1

    residual_like = jax.eval_shape(step, state)[1]  # the state may hold integers
    infinity = jnp.full((), jnp.inf, residual_like.dtype)
    carry = (state, infinity, jnp.zeros((), jnp.int32))
    state, residual, num_steps = jax.lax.while_loop(unfinished, body, carry)
    status = Status.where(has_cycled(state), Status.cycled, Status.max_steps_reached)
    status = Status.where(residual <= tol, Status.converged, status)
    failed = (num_steps > 0) & ~jnp.isfinite(residual)
    status = Status.where(failed, Status.nonfinite, status)
    return Solution(state, status, residual, num_steps)


def _never(state: object) -> Bool[Array, ""]:
    del state
    return jnp.zeros((), bool)
