"""Linear systems whose matrix is the same along diagonals, by Levinson's recursion."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def solve_toeplitz(
    column: Float[Array, " n"], row: Float[Array, " n"], right: Float[Array, " n"]
) -> Float[Array, " n"]:
    """Solve T x = right, T_ij = column[i - j] for i >= j, row[j - i] above.

    From the solution for the first k unknowns to that for k + 1, in operations like k:
    n^2 in all, where elimination takes n^3, and none of them a call of LAPACK. It does
    not exchange rows, so that every leading block has to be far from singular, as where
    the symmetric part of T is positive definite.

    Args:
        column: the first column.
        row: the first row; its first entry is not read.
        right: the right side.
    """
    size, dtype = len(column), column.dtype
    # Window k of it is column[k], column[k - 1], ..., column[0], 0, ..., 0.
    backwards = jnp.concatenate([column[::-1], jnp.zeros(size, dtype)])
    above = jnp.pad(row[1:], (0, 1))
    start = jnp.zeros(size, dtype).at[0].set(1 / column[0])

    def step(state: tuple[Array, ...], k: Array) -> tuple[tuple[Array, ...], None]:
        # What the leading block takes to its first and to its last unit vector.
        first, last, found = state
        window = jax.lax.dynamic_slice(backwards, (size - 1 - k,), (size,))
        below_first, below_found = (window * first).sum(), (window * found).sum()
        above_last = (above * last).sum()
        moved = jnp.pad(last[:-1], (1, 0))
        scale = 1 / (1 - below_first * above_last)
        first, last = (
            (first - below_first * moved) * scale,
            (moved - above_last * first) * scale,
        )
        return (first, last, found + (right[k] - below_found) * last), None

    state = start, start, start * right[0]
    return jax.lax.scan(step, state, jnp.arange(1, size))[0][2]
