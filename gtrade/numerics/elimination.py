"""Small linear systems by elimination, in plain array operations.

For batches of systems of a few unknowns within larger programs. LAPACK's kernels split
a batch over a CPU's threads and wait for them; where several host devices run one such
program side by side, they can wait for each other for ever.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact


def solve_small(
    matrix: Inexact[Array, "n n"], right: Inexact[Array, " n"]
) -> Inexact[Array, " n"]:
    """Solve matrix @ x = right, real or complex, by Gauss-Jordan with row pivoting.

    Returns:
        x, shape (n,); not finite where the matrix is singular.
    """
    size = len(matrix)
    rows = jnp.arange(size)
    table = jnp.concatenate([matrix, right[:, None]], axis=1)

    def eliminate(k: Array, table: Array) -> Array:
        column = table[:, k]
        pivot = jnp.argmax(jnp.where(rows >= k, jnp.abs(column), -1))
        # Rows k and pivot change places.
        order = jnp.where(rows == k, pivot, jnp.where(rows == pivot, k, rows))
        table = table[order]
        lead = table[k] / table[k, k]
        rest = table - table[:, k][:, None] * lead[None, :]
        return jnp.where((rows == k)[:, None], lead[None, :], rest)

    return jax.lax.fori_loop(0, size, eliminate, table)[:, -1]
