"""Random numbers by path number: path i draws the same whoever computes it.

A number is a hash (Threefry-2x32) of the key, the number of its path and its place
within the path. It does not depend on how many paths are drawn, in which pieces, or on
how many devices. (What a program then makes of uniform numbers may differ in the last
bit from what another one makes of them.)
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt32

from gtrade.numerics.lanes import fenced
from gtrade.numerics.threefry import threefry
from gtrade.numerics.vector_functions import circle, log

Paths = UInt32[Array, " paths"]


def uniforms(
    key: PRNGKeyArray, paths: Paths, num_draws: int, dtype: jnp.dtype
) -> Float[Array, "draws paths"]:
    """Draw numbers uniform on the open interval (0, 1), shape (draws, paths).

    They are midpoints of 2^23 cells in float32 and of 2^52 cells in float64, so that u
    and 1 - u are equally likely and neither 0 nor 1 occurs.

    Args:
        key: one key; used for these draws and nothing else.
        paths: numbers of the paths.
        num_draws: numbers for each path (static).
        dtype: float32 or float64.
    """
    dtype = jax.dtypes.canonicalize_dtype(dtype)
    if jnp.finfo(dtype).bits == 64:
        return _wide(*_hash(key, paths, _places(num_draws)))
    bits = _narrow(key, paths, num_draws) >> 9
    return (bits.astype(jnp.int32).astype(dtype) + 0.5) * 2.0**-23


def normals(
    key: PRNGKeyArray, paths: Paths, num_draws: int, dtype: jnp.dtype
) -> Float[Array, "draws paths"]:
    """Draw standard normal numbers, shape (draws, paths).

    By Box and Muller's pairs: a random radius in a random direction. Radii go up to
    6.7 in float32 and to 8.6 in float64.

    Args:
        key: one key; used for these draws and nothing else.
        paths: numbers of the paths.
        num_draws: numbers for each path (static).
        dtype: float32 or float64.
    """
    dtype = jax.dtypes.canonicalize_dtype(dtype)
    is_wide = jnp.finfo(dtype).bits == 64
    num_pairs = -(-num_draws // 2)
    places = 2 * _places(num_pairs)

    # A number is needed in several places; each is worked out once, behind a fence.
    def words(paths: Array) -> tuple[Array, ...]:
        first = _hash(key, paths, places)
        return first + _hash(key, paths, places | 1) if is_wide else first

    def radius(first: Array, last: Array) -> Array:
        if is_wide:
            share = _wide(first, last)
        else:  # small shares keep more digits than a number in [1, 2) would
            share = ((first >> 1).astype(jnp.int32).astype(dtype) + 0.5) * 2.0**-31
        return jnp.sqrt(-2 * log(share))

    first, last, *more = fenced(words)(paths)
    size = fenced(radius)(first, last)
    across, up = circle(*more, dtype=dtype) if is_wide else circle(last, dtype=dtype)
    pairs = jnp.stack([size * across, size * up], axis=1)
    return pairs.reshape(2 * num_pairs, -1)[:num_draws]


def _places(number: int) -> UInt32[Array, "number 1"]:
    return jnp.arange(number, dtype=jnp.uint32)[:, None]


def _hash(key, paths, place):
    """Return two words for every place of every path."""
    words = jax.random.key_data(key).astype(jnp.uint32)
    return threefry((words[..., 0], words[..., -1]), (place, paths[None]))


def _narrow(key, paths, num_draws):
    """Return a word for every draw of every path, shape (draws, paths)."""
    pairs = jnp.stack(_hash(key, paths, _places(-(-num_draws // 2))), axis=1)
    return pairs.reshape(-1, len(paths))[:num_draws]


def _wide(first: UInt32[Array, "..."], last: UInt32[Array, "..."]) -> Array:
    """Return uniform numbers in float64, midpoints of 2^52 cells of (0, 1)."""
    bits = (first.astype(jnp.uint64) << 32) | last.astype(jnp.uint64)
    digits = (bits >> 12) | (1023 << 52)  # behind a one: a number in [1, 2)
    return jax.lax.bitcast_convert_type(digits, jnp.float64) - (1 - 2.0**-53)
