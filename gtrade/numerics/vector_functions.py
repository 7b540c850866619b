"""Logarithm, sine and cosine in arithmetic that compilers can vectorise.

On CPUs XLA calls a scalar library function for each in float64, tens of nanoseconds a
number, and in float32 it guards against arguments that do not occur here.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

# Terms of series that leave nothing to a float: float32, float64.
_LOG_TERMS = {32: 5, 64: 11}
_CIRCLE_TERMS = {32: (5, 5), 64: (10, 9)}


def log(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return the logarithm of positive normal numbers.

    To a few units in the last place, by the series of the inverse hyperbolic tangent.
    """
    info = jnp.finfo(x.dtype)
    integer = jnp.int32 if info.bits == 32 else jnp.int64
    bits = jax.lax.bitcast_convert_type(x, integer)
    half = _bits_of(math.sqrt(0.5), x.dtype)
    # Powers of two by which the mantissa gets between sqrt(1/2) and sqrt(2).
    power = (bits - half) >> info.nmant
    mantissa = jax.lax.bitcast_convert_type(bits - (power << info.nmant), x.dtype)
    if info.bits == 32:
        exponent = power.astype(x.dtype)
    else:
        # A small integer behind 2^52 is a float: int64 is not converted in vectors.
        behind = (power + 1024) | _bits_of(2.0**52, x.dtype)
        exponent = jax.lax.bitcast_convert_type(behind, x.dtype) - (2.0**52 + 1024)
    ratio = (mantissa - 1) / (mantissa + 1)
    terms = [1 / (2 * k + 1) for k in range(_LOG_TERMS[info.bits])]
    return exponent * math.log(2) + 2 * ratio * _polynomial(terms, ratio * ratio)


def circle(*words: UInt32[Array, "..."], dtype: Any) -> tuple[Array, Array]:
    """Return cosine and sine of an angle uniform on the circle.

    Two bits of random words say which quarter of the circle, the others where within
    it, up to an eighth of a turn from its middle: there Taylor's series converge to the
    last digit. Angles are midpoints of cells.

    Args:
        words: one of random bits in float32, two in float64.
        dtype: float32 or float64.
    """
    bits = jnp.finfo(dtype).bits
    top = words[0]
    if bits == 32:
        within = 2 * (top & (2**30 - 1)).astype(jnp.int32) + (1 - 2**30)
        angle = within.astype(dtype) * (math.pi / 4 * 2.0**-30)
    else:
        whole = (top.astype(jnp.uint64) << 32) | words[1].astype(jnp.uint64)
        digits = ((whole << 2) >> 12) | (1023 << 52) | 1  # a number in (1, 2)
        angle = (jax.lax.bitcast_convert_type(digits, dtype) - 1.5) * (math.pi / 2)
    square = angle * angle
    num_cosine, num_sine = _CIRCLE_TERMS[bits]
    cosine = [(-1) ** k / math.factorial(2 * k) for k in range(num_cosine)]
    sine = [(-1) ** k / math.factorial(2 * k + 1) for k in range(num_sine)]
    x, y = _polynomial(cosine, square), angle * _polynomial(sine, square)
    x = jnp.where(top >> 31 != 0, -x, x)
    is_upright = (top & 2**30) != 0
    return jnp.where(is_upright, y, x), jnp.where(is_upright, x, y)


def _bits_of(number: float, dtype: Any) -> int:
    """Return a float's bits as an integer."""
    kind = np.dtype(dtype)
    return int(np.array(number, kind).view(f"i{kind.itemsize}"))


def _polynomial(coefficients: list[float], x: Array) -> Array:
    value = jnp.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = value * x + coefficient
    return value
