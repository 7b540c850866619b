"""Exponentials of one matrix over many spans, from one set of its powers.

Exponentials of t A are sums of t^k A^k / k!, so that spans share the powers. Where A is
large it is halved until the sums converge at once, and what comes out is squared as
often. A library's exponential would start over for every span, and under `vmap` work
out all degrees and all squarings that could be needed in any lane.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gtrade.numerics.lanes import largest_of_lanes
from gtrade.numerics.precision import product

# For matrices of norm 1 the term after A^18 / 18! is below a rounding of float64.
_DEGREE = 18
# More of them and the exponential overflows, whatever the matrix.
_MOST_SQUARINGS = 20


def exponentials(
    matrix: Float[Array, "n n"], spans: np.ndarray
) -> Float[Array, "spans n n"]:
    """Return exp(t A) for some times t >= 0; differentiable in A.

    Args:
        matrix: A; beyond a norm of 2^20 over the longest time the result is NaN.
        spans: times, known when compiled.
    """
    longest, size = float(np.max(spans)), len(matrix)
    norm = jax.lax.stop_gradient(jnp.max(jnp.abs(matrix).sum(axis=0))) * longest
    exponent = jnp.ceil(jnp.log2(jnp.maximum(norm, 1)))
    is_small = exponent <= _MOST_SQUARINGS  # false for NaN
    squarings = jnp.where(is_small, exponent, 0).astype(jnp.int32)
    scale = jnp.where(is_small, jnp.exp2(-exponent) * longest, jnp.nan)
    scaled = matrix * scale.astype(matrix.dtype)

    def multiply(power: Array, k: Array) -> tuple[Array, Array]:
        power = product(power, scaled) / k
        return power, power

    one = jnp.eye(size, dtype=matrix.dtype)
    degrees = jnp.arange(1, _DEGREE + 1, dtype=matrix.dtype)
    _, powers = jax.lax.scan(multiply, one, degrees)
    powers = jnp.concatenate([one[None], powers]).reshape(_DEGREE + 1, size * size)
    shares = (np.asarray(spans) / longest)[:, None] ** np.arange(_DEGREE + 1)
    result = product(jnp.asarray(shares, matrix.dtype), powers)
    result = result.reshape(len(spans), size, size)
    # One number for all lanes, so that a step nobody needs is left out.
    most = largest_of_lanes(squarings)

    def square(result: Array, k: Array) -> tuple[Array, None]:
        def squared(result: Array) -> Array:
            return jnp.where(k < squarings, product(result, result), result)

        return jax.lax.cond(k < most, squared, lambda x: x, result), None

    return jax.lax.scan(square, result, jnp.arange(_MOST_SQUARINGS, dtype=jnp.int32))[0]
