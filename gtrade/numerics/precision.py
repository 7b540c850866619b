"""Float width and full-precision products."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def require_float64(what: str) -> None:
    """Refuse to go on without 64-bit numbers.

    Raises:
        ValueError: naming the remedy, if x64 is off.
    """
    if jnp.result_type(float) != jnp.float64:
        raise ValueError(
            f"{what} needs float64; wrap the outermost call (outside jit) in"
            " `with jax.enable_x64(True):`, or choose float64 at program start"
        )


def integer_dtype_for(bound: int, what: str) -> Any:
    """Return int32 where `bound` fits it, else int64.

    Args:
        bound: largest absolute value that a sum can reach, an exact Python int.
        what: the sum's name, for the message.

    Raises:
        ValueError: if int64 is needed and x64 is off, or int64 is not enough either.
    """
    if bound < 2**31:
        return jnp.int32
    if bound >= 2**63:
        raise ValueError(f"{what} can reach {bound}, beyond 64-bit integers")
    if jnp.result_type(int) != jnp.int64:
        raise ValueError(
            f"{what} can reach {bound}, beyond 32-bit integers; wrap the outermost"
            " call (outside jit) in `with jax.enable_x64(True):`"
            ' (or set run.precision = "f64" in a spec)'
        )
    return jnp.int64


def exact_dtype_for(bound: int) -> Any:
    """Return int64 where sums of products stay below 2^63, else float64.

    For verification, which must go on: beyond 64 bits a product of whole numbers is
    rounded (once, relative 1e-16) instead of wrapping round.
    """
    require_float64("exact sums")
    return jnp.int64 if bound < 2**63 else jnp.float64


def widen(x: Array) -> Array:
    """Return integers in the widest dtype that is on, floats as they are.

    Narrow integers, as histories hold, overflow in sums and products.
    """
    x = jnp.asarray(x)
    is_integer = jnp.issubdtype(x.dtype, jnp.integer)
    return x.astype(jnp.result_type(int)) if is_integer else x


def product(a: Float[Array, "..."], b: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return the matrix product of `jnp.matmul` at full precision."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
