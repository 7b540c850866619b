"""Box-constrained linear complementarity problems by block principal pivoting.

Find lower <= x <= upper such that F(x) = M x + q is 0 where x is inside, at least 0 at
a lower and at most 0 at an upper bound. Given a guess of which bounds hold, x follows
from one linear system; where signs are then wrong the guess is changed, everywhere at
once as long as that helps and one place at a time when it does not. For matrices with
positive principal minors, such as those of strictly monotone games, this ends after
finitely many systems. (Judice & Pires 1994, Computers & Operations Research 21(5).)
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gtrade.numerics.block_tridiagonal import BlockTridiagonal
from gtrade.numerics.lane_queue import loop_in_queue

# Block moves without an improvement before single ones.
_PATIENCE = 10
# Problems that a CPU solves side by side; more gain little and wait longer at the end.
_LANES_AT_ONCE = 16


class Pivoted(NamedTuple):
    """What block pivoting found.

    Attributes:
        point: within the bounds, shape (count, size).
        residual: largest distance of x from x - F(x) / diagonal moved into the bounds,
            shape ().
        num_steps: linear systems solved.
        has_ended: whether every place is on its side, up to rounding.
    """

    point: Float[Array, "count size"]
    residual: Float[Array, ""]
    num_steps: Int[Array, ""]
    has_ended: Bool[Array, ""]


class _Search(NamedTuple):
    """Where pivoting stands.

    Attributes:
        side: 1 at an upper, -1 at a lower bound, 0 free, shape (count, size).
        point: x with places on these sides, or those before the last move.
        num_wrong: places whose sides were wrong for it.
        fewest: least such number before.
        patience: block moves left without an improvement.
        num_steps: linear systems solved.
    """

    side: Int[Array, "count size"]
    point: Float[Array, "count size"]
    num_wrong: Int[Array, ""]
    fewest: Int[Array, ""]
    patience: Int[Array, ""]
    num_steps: Int[Array, ""]


def solve_box_lcp(
    matrix: BlockTridiagonal,
    constant: Float[Array, "count size"],
    lower: Float[Array, "count size"],
    upper: Float[Array, "count size"],
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
    found = _search(max_steps, matrix, constant, lower, upper)
    point = jnp.clip(found.point, lower, upper)
    force = matrix.times(point) + constant
    target = jnp.clip(point - force / jnp.diagonal(matrix.on)[None], lower, upper)
    residual = jnp.max(jnp.abs(point - target), initial=0)
    return Pivoted(point, residual, found.num_steps, found.num_wrong == 0)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def _search(
    max_steps: int,
    matrix: BlockTridiagonal,
    constant: Array,
    lower: Array,
    upper: Array,
) -> _Search:
    """Move places from side to side until none is wrong; out of steps, stop."""

    def start(*numbers: Array) -> _Search:
        constant = numbers[3]
        zero = jnp.zeros((), jnp.int32)
        unknown = zero + constant.size + 1
        side = jnp.zeros(constant.shape, jnp.int32)
        point = jnp.zeros_like(constant)
        return _Search(side, point, unknown, unknown, zero + _PATIENCE, zero)

    def is_unfinished(search: _Search) -> Array:
        return (search.num_wrong > 0) & (search.num_steps < max_steps)

    def step(search: _Search, *numbers: Array) -> _Search:
        matrix = BlockTridiagonal(*numbers[:3])
        constant, lower, upper = numbers[3:]
        side = search.side
        point = _point_for(side, matrix, constant, lower, upper)
        wanted = _wanted_side(point, side, matrix, constant, lower, upper)
        is_wrong = wanted != side
        num_wrong = is_wrong.sum().astype(jnp.int32)
        improves = num_wrong < search.fewest
        patience = jnp.where(improves, _PATIENCE, search.patience - 1)
        flat = is_wrong.ravel()
        last = flat.size - 1 - jnp.argmax(flat[::-1])
        single = (flat & (jnp.arange(flat.size) == last)).reshape(side.shape)
        moves = jnp.where(patience > 0, is_wrong, single)
        num_steps = search.num_steps + 1
        # Out of steps, sides stay those of the point.
        side = jnp.where(moves & (num_steps < max_steps), wanted, side)
        fewest = jnp.minimum(num_wrong, search.fewest)
        return _Search(side, point, num_wrong, fewest, patience, num_steps)

    queue = loop_in_queue(start, is_unfinished, step, width=_LANES_AT_ONCE)
    return queue(*matrix, constant, lower, upper)


@_search.defjvp
def _follow(max_steps: int, numbers: Any, changes: Any) -> tuple[_Search, _Search]:
    """Differentiate the last system: sides stay where small changes of numbers go."""
    found = _search(max_steps, *numbers)
    solve = functools.partial(_point_for, found.side)
    _, change = jax.jvp(solve, numbers, changes)
    still = jax.tree.map(lambda x: np.zeros(x.shape, jax.dtypes.float0), found)
    return found, still._replace(point=change)


def _point_for(side, matrix, constant, lower, upper):
    """Return x with places on their sides, and no force where they are free."""
    bound = jnp.where(side > 0, upper, lower)
    is_free = side == 0
    return matrix.solve(jnp.where(is_free, -constant, bound), is_free)


def _wanted_side(point, side, matrix, constant, lower, upper):
    """Return the side each place should be on, through free from a bound."""
    force = matrix.times(point) + constant
    rounding = 1e2 * jnp.finfo(point.dtype).eps * jnp.max(jnp.abs(point), initial=0)
    beyond = jnp.where(
        point > upper + rounding, 1, jnp.where(point < lower - rounding, -1, 0)
    )
    slack = rounding * jnp.diagonal(matrix.on)[None]
    leaves_upper = (side > 0) & (force > slack)
    leaves_lower = (side < 0) & (force < -slack)
    kept = jnp.where(leaves_upper | leaves_lower, 0, side)
    return jnp.where(side == 0, beyond, kept).astype(side.dtype)
