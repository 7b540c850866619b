"""Box-constrained linear complementarity problems by block principal pivoting.

Find lower <= x <= upper such that F(x) = M x + q is 0 where x is inside, at least 0 at
a lower and at most 0 at an upper bound. Given a guess of which bounds hold, x follows
from one linear system; where signs are then wrong the guess is changed, everywhere at
once as long as that helps and one place at a time when it does not. For matrices with
positive principal minors, such as those of strictly monotone games, this ends after
finitely many systems. (Judice & Pires 1994, Computers & Operations Research 21(5).)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# Block moves without an improvement before single ones.
_PATIENCE = 10


class Pivoted(NamedTuple):
    """What block pivoting found.

    Attributes:
        point: within the bounds, shape (n,).
        residual: largest distance of x from x - F(x) / diagonal moved into the bounds,
            shape ().
        num_steps: linear systems solved.
        has_ended: whether every place is on its side, up to rounding.
    """

    point: Float[Array, " n"]
    residual: Float[Array, ""]
    num_steps: Int[Array, ""]
    has_ended: Bool[Array, ""]


def solve_box_lcp(
    matrix: Float[Array, "n n"],
    constant: Float[Array, " n"],
    lower: Float[Array, " n"],
    upper: Float[Array, " n"],
    *,
    max_steps: int,
) -> Pivoted:
    """Solve one problem.

    Args:
        matrix: M, with a positive diagonal.
        constant: q.
        lower: bounds below, -inf for none.
        upper: bounds above, inf for none.
        max_steps: most linear systems.
    """
    size = len(constant)
    diagonal = jnp.diagonal(matrix)
    one = jnp.eye(size, dtype=matrix.dtype)

    def point_for(side: Int[Array, " n"]) -> Array:
        bound = jnp.where(side > 0, upper, jnp.where(side < 0, lower, 0))
        is_free = side == 0
        system = jnp.where(is_free[:, None], matrix, one)
        solved = jnp.linalg.solve(system, jnp.where(is_free, -constant, bound))
        return jnp.where(is_free, solved, bound)

    def force_at(point: Array) -> Array:
        return jnp.matmul(matrix, point, precision=jax.lax.Precision.HIGHEST) + constant

    def residual_at(point: Array) -> Array:
        target = jnp.clip(point - force_at(point) / diagonal, lower, upper)
        return jnp.max(jnp.abs(point - target), initial=0)

    def wanted_side(point: Array, side: Array) -> Array:
        """Return the side each place should be on, through free from a bound."""
        force = force_at(point)
        rounding = 1e2 * jnp.finfo(point.dtype).eps * jnp.max(jnp.abs(point), initial=0)
        beyond = jnp.where(
            point > upper + rounding, 1, jnp.where(point < lower - rounding, -1, 0)
        )
        slack = rounding * diagonal
        leaves_upper = (side > 0) & (force > slack)
        leaves_lower = (side < 0) & (force < -slack)
        kept = jnp.where(leaves_upper | leaves_lower, 0, side)
        return jnp.where(side == 0, beyond, kept).astype(side.dtype)

    def unfinished(carry) -> Array:
        _, _, num_wrong, _, _, num_steps = carry
        return (num_wrong > 0) & (num_steps < max_steps)

    def body(carry):
        side, wanted, num_wrong, fewest, patience, num_steps = carry
        improves = num_wrong < fewest
        patience = jnp.where(improves, _PATIENCE, patience - 1)
        fewest = jnp.minimum(num_wrong, fewest)
        is_wrong = wanted != side
        last = size - 1 - jnp.argmax(is_wrong[::-1])
        single = is_wrong & (jnp.arange(size) == last)
        moves = jnp.where(patience > 0, is_wrong, single)
        side = jnp.where(moves, wanted, side)
        wanted = wanted_side(point_for(side), side)
        wrong = (wanted != side).sum().astype(jnp.int32)
        return side, wanted, wrong, fewest, patience, num_steps + 1

    side = jnp.zeros(size, jnp.int32)
    wanted = wanted_side(point_for(side), side)
    wrong = (wanted != side).sum().astype(jnp.int32)
    zero = jnp.zeros((), jnp.int32)
    carry = (side, wanted, wrong, zero + size + 1, zero + _PATIENCE, zero + 1)
    carry = jax.lax.while_loop(unfinished, body, carry)
    side, _, num_wrong, _, _, num_steps = carry
    point = jnp.clip(point_for(side), lower, upper)
    return Pivoted(point, residual_at(point), num_steps, num_wrong == 0)
