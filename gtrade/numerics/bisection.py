"""Roots of increasing functions, one in every element of an array."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def bisect(
    function: Callable[[Float[Array, "*shape"]], Float[Array, "*shape"]],
    low: Float[Array, "*shape"],
    high: Float[Array, "*shape"],
    *,
    num_steps: int = 64,
) -> Float[Array, "*shape"]:
    """Return where an increasing function changes sign, element by element.

    A fixed number of halvings: no element waits for another, and none can fail.

    Args:
        function: acts on each element by itself and increases in it.
        low: left ends of the brackets, shape (*shape).
        high: right ends, of the same shape.
        num_steps: halvings (static); 64 end at neighbouring float64 numbers of a
            bracket that does not contain zero.

    Returns:
        The roots, shape (*shape); the nearer end where a bracket holds none.
    """

    def halve(_, bracket):
        low, high = bracket
        middle = low + (high - low) / 2
        is_right = function(middle) > 0
        return jnp.where(is_right, low, middle), jnp.where(is_right, middle, high)

    low, high = jax.lax.fori_loop(0, num_steps, halve, (low, high))
    return low + (high - low) / 2
