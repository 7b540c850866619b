"""Small linear systems by elimination, in plain array operations.

For batches of systems of a few unknowns within larger programs. LAPACK's kernels split
a batch over a CPU's threads and wait for them; where several host devices run one such
program side by side, they can wait for each other for ever.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Inexact

# Unknowns up to which elimination, written out, beats a call of LAPACK for every
# system: four times as fast for two unknowns in a batch, equal for eight.
MOST_WRITTEN_OUT = 4


def solve_small(
    matrix: Inexact[Array, "n n"], right: Inexact[Array, " n"]
) -> Inexact[Array, " n"]:
    """Solve matrix @ x = right, real or complex, by Gauss-Jordan with row pivoting.

    Returns:
        x, shape (n,); not finite where the matrix is singular.
    """
    return solve_lanes(matrix, right[:, None])[:, 0]


def solve_tiny(
    matrix: Inexact[Array, "n n"],
    right: Inexact[Array, "n m"],
    *,
    exchanges_rows: bool = True,
) -> Inexact[Array, "n m"]:
    """Solve matrix @ x = right, with every step of the elimination written out.

    A batch of systems then is one long vector for each of a few operations. Beyond
    `MOST_WRITTEN_OUT` unknowns LAPACK takes over.

    Args:
        matrix: of the system.
        right: right sides.
        exchanges_rows: whether to look for the largest pivots (static). That is half of
            the work, and idle where the matrix plus its transpose is positive definite.

    Returns:
        x, shape (n, m); not finite where the matrix is singular.
    """
    size = len(matrix)
    if size > MOST_WRITTEN_OUT:
        return jnp.linalg.solve(matrix, right)
    rows = list(jnp.concatenate([matrix, right], axis=1))
    for k in range(size):
        for i in range(k + 1, size if exchanges_rows else 0):
            is_larger = jnp.abs(rows[i][k]) > jnp.abs(rows[k][k])
            rows[k], rows[i] = (
                jnp.where(is_larger, rows[i], rows[k]),
                jnp.where(is_larger, rows[k], rows[i]),
            )
        rows[k] = rows[k] / rows[k][k]
        for i in range(size):
            if i != k:
                rows[i] = rows[i] - rows[i][k] * rows[k]
    return jnp.stack(rows)[:, size:]


def solve_lanes(
    matrix: Inexact[Array, "n n *lanes"], right: Inexact[Array, "n m *lanes"]
) -> Inexact[Array, "n m *lanes"]:
    """Solve systems that lie next to each other in memory, if any, by Gauss-Jordan.

    Rows change places by selection, so that every operation is one along the lanes.

    Returns:
        x, shape (n, m, *lanes); not finite where a matrix is singular.
    """
    size = len(matrix)
    if not size:
        return right
    rows = jnp.arange(size, dtype=jnp.int32).reshape(-1, *(1,) * (matrix.ndim - 2))
    table = jnp.concatenate([matrix, right], axis=1)

    def eliminate(k: Array, table: Array) -> Array:
        column = jnp.abs(table[:, k])
        pivot = jnp.argmax(jnp.where(rows >= k, column, -1), axis=0)
        is_pivot = (rows == pivot.astype(jnp.int32)[None])[:, None]
        lead = jnp.where(is_pivot, table, 0).sum(axis=0)
        table = jnp.where(is_pivot, table[k][None], table)
        lead = lead / lead[k][None]
        rest = table - table[:, k][:, None] * lead[None]
        return jnp.where((rows == k)[:, None], lead[None], rest)

    return jax.lax.fori_loop(0, size, eliminate, table)[:, size:]
