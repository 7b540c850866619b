"""Block tridiagonal systems whose rows of blocks are all the same, some of them fixed.

Conditions on neighbouring times lead to them: unknowns are ordered by time, then
within it, and a block holds what one time does to another. Elimination from the first
time to the last costs count * size^3 instead of the (count * size)^3 of a dense
solver. It exchanges no rows, which is safe where the matrix, its rows scaled if need
be, plus its transpose is positive definite: so is, then, what elimination leaves.
Elsewhere callers have to look at residuals.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gtrade.numerics.elimination import solve_tiny
from gtrade.numerics.precision import product


class BlockTridiagonal(NamedTuple):
    """A matrix with the same three blocks in each of its `count` rows of blocks.

    Attributes:
        before: what the unknowns a place before do, shape (size, size).
        on: blocks on the diagonal, the same shape.
        after: what the unknowns a place after do, the same shape.
    """

    before: Float[Array, "size size"]
    on: Float[Array, "size size"]
    after: Float[Array, "size size"]

    def times(self, vector: Float[Array, "count size"]) -> Float[Array, "count size"]:
        """Return the matrix times a vector, of any number of places."""
        around = jnp.pad(vector, [(1, 1), (0, 0)])
        near = jnp.concatenate([around[:-2], vector, around[2:]], axis=1)
        blocks = jnp.concatenate([self.before, self.on, self.after], axis=1)
        return product(near, blocks.T)

    def solve(
        self, right: Float[Array, "count size"], is_free: Bool[Array, "count size"]
    ) -> Float[Array, "count size"]:
        """Return the vector that meets the equations of free unknowns.

        Args:
            right: right sides, and the values of unknowns that are not free.
            is_free: unknowns whose equations hold.

        Returns:
            x, shape (count, size); not finite where a block left is singular.
        """
        size = len(self.on)
        one = jnp.eye(size, dtype=self.on.dtype)

        def forward(table, row):
            # The place before is `table[:, -1] - table[:, :-1] @ x`, x the one here.
            right, is_free = row
            done = _times_small(self.before, table)
            keep = is_free[:, None]
            solved = solve_tiny(
                jnp.where(keep, self.on - done[:, :-1], one),
                jnp.concatenate(
                    [
                        jnp.where(keep, self.after, 0),
                        jnp.where(keep, right[:, None] - done[:, -1:], right[:, None]),
                    ],
                    axis=1,
                ),
                exchanges_rows=False,
            )
            return solved, solved

        def backward(after, table):
            x = table[:, -1] - _times_small(table[:, :-1], after[:, None])[:, 0]
            return x, x

        start = jnp.zeros((size, size + 1), right.dtype)
        _, tables = jax.lax.scan(forward, start, (right, is_free))
        solved = jax.lax.scan(backward, start[:, -1], tables, reverse=True)[1]
        return jnp.where(is_free, solved, right)  # without rounding where fixed


def _times_small(
    matrix: Float[Array, "rows size"], other: Float[Array, "size columns"]
) -> Float[Array, "rows columns"]:
    """Multiply, as sums that fuse with what is around; a library waits for each."""
    return (matrix[:, :, None] * other[None]).sum(axis=1)
