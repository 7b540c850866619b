"""The one convergence loop."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from gtrade.solution import Solution, Status

State = TypeVar("State")


def iterate_until(
    step: Callable[[State], tuple[State, Float[Array, ""]]],
    state: State,
    *,
    tol: ArrayLike,
    max_steps: int,
) -> Solution[State]:
    """Apply `step(state) -> (state, residual)` until the residual is at most `tol`.

    Args:
        step: one update and the residual it reached, shape ().
        state: the initial state, any pytree of arrays.
        tol: the residual that ends the loop.
        max_steps: the largest number of updates (static).

    Returns:
        The last state, with status `converged`, `max_steps_reached` or `nonfinite`.
    """

    def unfinished(carry):
        _, residual, num_steps = carry
        # NaN compares false: a failed instance stops instead of holding up its batch.
        return (residual > tol) & (num_steps < max_steps)

    def body(carry):
        state, _, num_steps = carry
        return *step(state), num_steps + 1

    residual_like = jax.eval_shape(step, state)[1]  # the state may hold integers
    infinity = jnp.full((), jnp.inf, residual_like.dtype)
    carry = (state, infinity, jnp.zeros((), jnp.int32))
    state, residual, num_steps = jax.lax.while_loop(unfinished, body, carry)
    status = Status.where(residual <= tol, Status.converged, Status.max_steps_reached)
    failed = (num_steps > 0) & ~jnp.isfinite(residual)
    status = Status.where(failed, Status.nonfinite, status)
    return Solution(state, status, residual, num_steps)
