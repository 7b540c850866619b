"""Conversions shared by every problem and solver: strong dtypes, no surprises."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float


def as_float(x: ArrayLike) -> Float[Array, "..."]:
    """Convert to a strongly typed floating array; weak types would retrace.

    Arrays that are floating already keep their width; everything else takes the
    default width of the caller's x64 setting.
    """
    dtype = getattr(x, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
        dtype = jnp.result_type(float)
    return jnp.asarray(x, dtype=jax.dtypes.canonicalize_dtype(dtype))


def as_optional_float(x: ArrayLike | None) -> Float[Array, "..."] | None:
    """Convert as `as_float` does; None, a number left out, stays None."""
    return None if x is None else as_float(x)


def as_int(x: Any) -> Any:
    """Convert whole numbers to an int32 array; leave the rest for `validate` to name.

    A converter does not know the name of its field, so a fractional or non-numeric
    value, or one past 32 bits, passes through for the problem's own check to refuse.
    """
    if isinstance(x, Tracer):
        is_integer = jnp.issubdtype(x.dtype, jnp.integer)
        return x.astype(jnp.int32) if is_integer and x.dtype.itemsize <= 4 else x
    array = np.asarray(x)
    fits = array.dtype.kind in "iu" and (array == array.astype(np.int32)).all()
    return jnp.asarray(array, dtype=jnp.int32) if fits else x


def smallest_int_dtype(low: int, high: int):
    """Return the narrowest signed NumPy integer dtype that holds [low, high]."""
    for dtype in (jnp.int8, jnp.int16, jnp.int32):
        info = jnp.iinfo(dtype)
        if info.min <= low and high <= info.max:
            return dtype
    raise ValueError(f"no 32-bit integer dtype holds the range [{low}, {high}]")
