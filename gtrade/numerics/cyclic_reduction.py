"""Block-tridiagonal systems with the same blocks in every row, by cyclic reduction.

Every other unknown is eliminated at once, by the same few products of blocks for all of
them; what is left has the same form and half the rows.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from gtrade.numerics.elimination import solve_tiny
from gtrade.numerics.precision import product


def solve_block_tridiagonal(
    below: Float[Array, "n n"],
    diagonal: Float[Array, "n n"],
    above: Float[Array, "n n"],
    right: Float[Array, "rows n"],
) -> tuple[Float[Array, "rows n"], Float[Array, ""]]:
    """Solve below x_{i-1} + diagonal x_i + above x_{i+1} = right_i, x zero outside.

    Rows are exchanged within blocks only: systems of 1, 2, 4, ... rows must not be
    singular either.

    Returns:
        x, and the largest 1-norm of a pivot's inverse. The last of these inverses is a
        block of the inverse of the whole, so that the norm is large where that is.
    """
    return _solve(below, diagonal, diagonal, above, right)


def _solve(
    below: Array, diagonal: Array, last: Array, above: Array, right: Array
) -> tuple[Array, Array]:
    """Do the same where the last row has its own diagonal block."""
    count, size = right.shape
    one = jnp.eye(size, dtype=right.dtype)
    last_inverse = solve_tiny(last, one)
    if count == 1:
        return product(right, last_inverse.T), _norm(last_inverse)
    inverse = solve_tiny(diagonal, one)
    is_odd = count % 2 == 1  # and then the last row is among those eliminated
    largest = _norm(inverse)
    if is_odd:
        largest = jnp.maximum(largest, _norm(last_inverse))

    def alone(rows: Array) -> Array:
        """Return eliminated unknowns for right sides of their rows."""
        if not is_odd:
            return product(rows, inverse.T)
        ends = product(rows[-1:], last_inverse.T)
        return jnp.concatenate([product(rows[:-1], inverse.T), ends])

    from_before, from_after = product(below, inverse), product(above, inverse)
    own = diagonal - product(from_before, above)
    both = own - product(from_after, below)
    if is_odd:
        end = own - product(product(above, last_inverse), below)
    else:
        end = last - product(from_before, above)
    given = alone(right[::2])
    left = right[1::2] - product(given[: count // 2], below.T)
    after = given[1:]
    moved = product(after, above.T)
    left = left - jnp.pad(moved, [(0, len(left) - len(moved)), (0, 0)])
    kept, pivots = _solve(
        -product(from_before, below), both, end, -product(from_after, above), left
    )
    # Every eliminated row has one that is kept before it, after it, or both.
    missing = right[::2]
    num = len(missing)
    missing = missing - jnp.pad(product(kept, below.T), [(1, 0), (0, 0)])[:num]
    after = jnp.pad(product(kept, above.T), [(0, 1), (0, 0)])[:num]
    found = alone(missing - after)
    found = jnp.pad(found, [(0, len(kept) + 1 - num), (0, 0)])
    kept = jnp.pad(kept, [(0, 1), (0, 0)])
    x = jnp.stack([found, kept], axis=1).reshape(-1, size)[:count]
    return x, jnp.maximum(largest, pivots)


def _norm(matrix: Float[Array, "n n"]) -> Float[Array, ""]:
    return jnp.max(jnp.abs(matrix).sum(axis=0))
