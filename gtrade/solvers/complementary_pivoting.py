"""Lemke-Howson pivoting of bimatrix games, many at once.

The polytopes are `{x >= 0, B'x <= 1}` and `{y >= 0, A y <= 1}` for payoffs A, B scaled
to [1, 2]; a vertex pair in which every strategy is unused or a best response is an
equilibrium (von Stengel 2002, section 2). Labels 0..m-1 are the row player's
strategies, m..m+n-1 the column player's. Each polytope is kept as a condensed tableau:
one row per basic variable, one column per nonbasic one, and two right-hand sides.

The second right-hand side is the direction of a symbolic perturbation: of rows that
tie in the ratio test the one with the smaller second ratio leaves. That is the
lexicographic rule for a perturbation `1 + epsilon d` with a generic d, so degenerate
games do not cycle.

A CPU computes a block of lanes at once, one game a lane. Games differ in their numbers
of pivots by a factor of ten: a lane that has finished takes the next game of the batch
instead of waiting for the slowest of its block.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gtrade.numerics.lanes import lanes_last

# Entries below this cannot be pivots; ratios this close tie. Tableaux are of unit size.
_TINY = 1e-11
# Numbers of a block's two tableaux that a CPU core keeps in its cache.
_BLOCK_SIZE = 2**14
# Pairs of pivots between two looks at which lanes have finished.
_PAIRS_BETWEEN_LOOKS = 4


class Equilibrium(NamedTuple):
    """What pivoting found in one game.

    Attributes:
        row: probabilities of the row player, shape (rows,).
        col: probabilities of the column player, shape (cols,).
        gap: largest gain from a deviation, relative to the payoffs' range, shape ().
        num_pivots: pivots of all starts, shape ().
    """

    row: Array
    col: Array
    gap: Array
    num_pivots: Array


def pivot_to_equilibrium(
    costs_row: Float[Array, "rows cols"],
    costs_col: Float[Array, "rows cols"],
    *,
    tol: Float[Array, ""] | float,
    initial_label: Int[Array, ""] | int = 0,
    has_row: Bool[Array, " rows"] | None = None,
    has_col: Bool[Array, " cols"] | None = None,
    max_pivots: int = 2000,
    num_starts: int = 10,
) -> Equilibrium:
    """Return a Nash equilibrium of one game; map over a batch with `jax.vmap`.

    Args:
        costs_row: costs of the row player, float64.
        costs_col: costs of the column player, float64.
        tol: gain relative to the range of costs that ends the search.
        initial_label: label that is dropped first, modulo the number of labels in use.
        has_row: which rows there are (the others are padding); all if None.
        has_col: which columns there are; all if None.
        max_pivots: pivots of one start (static).
        num_starts: labels to try (static).

    Returns:
        The equilibrium of the first start that met `tol`, or the best of all starts.
    """
    rows, cols = costs_row.shape
    has_row = jnp.ones(rows, bool) if has_row is None else has_row
    has_col = jnp.ones(cols, bool) if has_col is None else has_col
    has = has_row[:, None] & has_col[None, :]

    kernel = functools.partial(
        _pivot_lanes, max_pivots=max_pivots, num_starts=num_starts
    )
    # Labels in use first: a start at padding would end before it began.
    used = jnp.concatenate([has_row, has_col])
    found = lanes_last(kernel)(
        _scaled(costs_row, has),
        _scaled(costs_col, has),
        jnp.argsort(~used, stable=True).astype(jnp.int32),
        used.sum(dtype=jnp.int32),
        jnp.asarray(tol, costs_row.dtype),
        jnp.asarray(initial_label, jnp.int32),
    )
    return Equilibrium(*found)


def _scaled(costs, has):
    """Return payoffs in [1, 2], and 0 where there is no strategy.

    Payoffs of zero make a strategy's row of the tableau vanish: it never leaves, so
    padding never enters.
    """
    low = jnp.where(has, costs, jnp.inf).min()
    high = jnp.where(has, costs, -jnp.inf).max()
    span = jnp.where(high > low, high - low, 1)
    return jnp.where(has, (high - costs) / span + 1, 0)


class _Lanes(NamedTuple):
    """The games that are being solved, one a lane; see `_pivot_lanes`."""

    game: Array  # index into the batch, (lanes,)
    payoffs: tuple[Array, Array]  # of row and column player, (rows, cols, lanes)
    tables: tuple[Array, Array]  # of the row player's x and the column player's y
    basic: tuple[Array, Array]  # label of each tableau row
    nonbasic: tuple[Array, Array]  # label of each tableau column
    entering: Array  # label to enter next, (lanes,)
    first: Array  # label that was dropped first, (lanes,)
    start: Array  # how many starts came before, (lanes,)
    pivots: Array  # of this start, (lanes,)
    spent: Array  # of all starts, (lanes,)
    is_done: Array  # whether this start has ended, (lanes,)
    best: tuple[Array, Array, Array]  # row, col and gap of the best start


def _pivot_lanes(
    payoffs_row,
    payoffs_col,
    order,
    num_labels,
    tol,
    initial_label,
    *,
    max_pivots,
    num_starts,
):
    """Solve a batch of games with the batch axis last."""
    rows, cols, size = payoffs_row.shape
    width = size
    if jax.default_backend() == "cpu":
        most = max(8, _BLOCK_SIZE // (rows * cols + rows + cols) // 8 * 8)
        width = min(size, most)
    batch = (
        jnp.moveaxis(payoffs_row, -1, 0),
        jnp.moveaxis(payoffs_col, -1, 0),
    )

    def load(game):
        """Return the payoffs of games, lanes last."""
        if width == size:
            return payoffs_row, payoffs_col
        return tuple(jnp.moveaxis(x[game], 0, -1) for x in batch)

    def fresh(lanes, game, start, payoffs):
        """Return lanes that stand before the first pivot of a start."""
        a, b = payoffs
        ones = jnp.ones((1, game.shape[0]), a.dtype)

        def table(matrix):
            num = matrix.shape[0]
            rhs = jnp.broadcast_to(ones, (num, 1, game.shape[0]))
            return jnp.concatenate([matrix, rhs, rhs * _direction(num)], axis=1)

        label = jnp.arange(rows + cols, dtype=jnp.int32)[:, None]
        label = jnp.broadcast_to(label, (rows + cols, game.shape[0]))
        place = (initial_label[game] + start) % num_labels[game]
        first = order[place, game]
        zero = jnp.zeros_like(game)
        return lanes._replace(
            game=game,
            payoffs=payoffs,
            tables=(table(jnp.swapaxes(b, 0, 1)), table(a)),
            basic=(label[rows:], label[:rows]),
            nonbasic=(label[:rows], label[rows:]),
            entering=first,
            first=first,
            start=start,
            pivots=zero,
            is_done=game >= size,
        )

    def pivot_pairs(lanes):
        """Pivot a few times, each polytope in turn."""

        def pair(_, lanes):
            # A row label is dropped from x's polytope, a column label from y's.
            for side in (0, 1):
                lanes = _pivot(lanes, side, rows, max_pivots)
            return lanes

        return jax.lax.fori_loop(0, _PAIRS_BETWEEN_LOOKS, pair, lanes)

    def look(carry):
        """Write down what has finished; give its lanes other work."""
        lanes, results, upcoming = carry
        row, col = _strategies(lanes, rows)
        gap = _gap(lanes.payoffs, row, col)
        gap = jnp.where(jnp.isfinite(gap), gap, jnp.inf)
        is_better = lanes.is_done & (gap < lanes.best[2])
        best = tuple(
            jnp.where(is_better, new, old)
            for new, old in zip((row, col, gap), lanes.best, strict=True)
        )
        spent = lanes.spent + jnp.where(lanes.is_done, lanes.pivots, 0)
        lanes = lanes._replace(best=best, spent=spent)
        is_active = lanes.game < size
        own = jnp.minimum(lanes.game, size - 1)
        most_starts = jnp.minimum(num_starts, num_labels[own])
        has_ended = (best[2] <= tol[own]) | (lanes.start + 1 >= most_starts)
        is_over = lanes.is_done & is_active & has_ended
        restarts = lanes.is_done & is_active & ~has_ended
        # Results of lanes that go on are written to a place past the end, and dropped.
        place = jnp.where(is_over, lanes.game, size)
        results = tuple(
            old.at[place].set(jnp.moveaxis(new, -1, 0), mode="drop")
            for new, old in zip((*best, spent), results, strict=True)
        )
        rank = jnp.cumsum(is_over.astype(jnp.int32), dtype=jnp.int32)
        game = jnp.where(is_over, jnp.minimum(upcoming + rank - 1, size), lanes.game)
        upcoming = jnp.minimum(upcoming + rank[-1], size)
        start = jnp.where(is_over, 0, lanes.start + restarts.astype(jnp.int32))
        is_new = is_over | restarts
        payoffs = load(jnp.minimum(game, size - 1))
        renewed = fresh(lanes, game, start, payoffs)
        zeros = jax.tree.map(jnp.zeros_like, lanes.best)
        renewed = renewed._replace(
            best=jax.tree.map(
                lambda none, old: jnp.where(is_over, none, old),
                (zeros[0], zeros[1], jnp.full_like(gap, jnp.inf)),
                best,
            ),
            spent=jnp.where(is_over, 0, spent),
        )
        lanes = jax.tree.map(
            lambda new, old: jnp.where(is_new, new, old), renewed, lanes
        )
        return lanes, results, upcoming

    game = jnp.arange(width, dtype=jnp.int32)
    zero = jnp.zeros((width,), jnp.int32)
    dtype = payoffs_row.dtype
    unset: Any = None
    blank = _Lanes(
        *(unset,) * 9,
        spent=zero,
        is_done=zero == 1,
        best=(
            jnp.zeros((rows, width), dtype),
            jnp.zeros((cols, width), dtype),
            jnp.full((width,), jnp.inf, dtype),
        ),
    )
    payoffs = (payoffs_row[..., :width], payoffs_col[..., :width])
    lanes = fresh(blank, game, zero, payoffs)
    results = (
        jnp.zeros((size, rows), dtype),
        jnp.zeros((size, cols), dtype),
        jnp.full((size,), jnp.inf, dtype),
        jnp.zeros((size,), jnp.int32),
    )

    def unfinished(carry):
        return (carry[0].game < size).any()

    def advance(carry):
        lanes, results, upcoming = carry
        carry = pivot_pairs(lanes), results, upcoming
        return jax.lax.cond(carry[0].is_done.any(), look, lambda carry: carry, carry)

    upcoming = jnp.asarray(width, jnp.int32)
    _, results, _ = jax.lax.while_loop(unfinished, advance, (lanes, results, upcoming))
    return tuple(jnp.moveaxis(x, 0, -1) for x in results)


def _direction(num: int) -> np.ndarray:
    """Return a generic perturbation of a right-hand side, shape (num, 1, 1).

    Fixed random numbers; a regular sequence has rational dependences, which tie.
    """
    return np.random.default_rng(1964).uniform(0.5, 1.5, (num, 1, 1))


def _pivot(lanes: _Lanes, side: int, rows: int, max_pivots: int) -> _Lanes:
    """Let the entering label into one polytope's basis, where it belongs there."""
    table, basic, nonbasic = (
        x[side] for x in (lanes.tables, lanes.basic, lanes.nonbasic)
    )
    entering = lanes.entering
    at_col = nonbasic == entering[None]
    # Only the first pivot can find its label basic here: it starts on the other side.
    is_live = ~lanes.is_done & at_col.any(axis=0)
    width = entering.shape[0]
    num_rows, num_cols = basic.shape[0], nonbasic.shape[0]
    if width == 1:
        place = jnp.argmax(at_col[:, 0])
        column = jax.lax.dynamic_index_in_dim(table, place, axis=1, keepdims=False)
    else:
        column = jnp.where(at_col[None], table[:, :num_cols], 0).sum(axis=1)
    can_leave = column > _TINY
    safe = jnp.where(can_leave, column, 1)
    ratio = jnp.where(can_leave, table[:, num_cols] / safe, jnp.inf)
    least = ratio.min(axis=0)
    ties = can_leave & (ratio <= (least + _TINY * (1 + jnp.abs(least)))[None])
    second = jnp.where(ties, table[:, num_cols + 1] / safe, jnp.inf)
    leaves = jnp.argmin(second, axis=0).astype(jnp.int32)
    # A ray cannot be: the polytopes are bounded. Rounding can pretend it; give up then.
    is_ray = is_live & ~can_leave.any(axis=0)
    moves = is_live & ~is_ray
    at_row = jnp.arange(num_rows, dtype=jnp.int32)[:, None] == leaves[None]
    at_row = at_row & moves[None]
    if width == 1:
        row = jax.lax.dynamic_index_in_dim(table, leaves[0], axis=0, keepdims=False)
    else:
        row = jnp.where(at_row[:, None], table, 0).sum(axis=0)
    pivot = jnp.where(at_row, column, 0).sum(axis=0)
    pivot = jnp.where(moves, pivot, 1)
    row = row / pivot[None]
    leaving = jnp.where(at_row, basic, 0).sum(axis=0, dtype=jnp.int32)
    at_col = jnp.pad(at_col, ((0, 2), (0, 0)))
    new = table - column[:, None] * row[None]
    new = jnp.where(at_col[None], (-column / pivot[None])[:, None], new)
    own_row = jnp.where(at_col, 1 / pivot[None], row)
    new = jnp.where(at_row[:, None], own_row[None], new)
    new = jnp.where(moves[None, None], new, table)
    basic = jnp.where(at_row, entering[None], basic)
    nonbasic = jnp.where(at_col[:-2] & moves[None], leaving[None], nonbasic)
    pivots = lanes.pivots + moves.astype(jnp.int32)
    is_done = lanes.is_done | is_ray | (moves & (leaving == lanes.first))

    def put(pair, x):
        return (x, pair[1]) if side == 0 else (pair[0], x)

    return lanes._replace(
        tables=put(lanes.tables, new),
        basic=put(lanes.basic, basic),
        nonbasic=put(lanes.nonbasic, nonbasic),
        entering=jnp.where(moves, leaving, entering),
        pivots=pivots,
        is_done=is_done | (pivots >= max_pivots),
    )


def _strategies(lanes: _Lanes, rows: int):
    """Read the mixed strategies off the bases, probabilities that sum to one."""
    found = []
    for side, first in ((0, 0), (1, rows)):
        basic = lanes.basic[side]
        count = lanes.nonbasic[side].shape[0]
        values = lanes.tables[side][:, count]
        label = first + jnp.arange(count, dtype=jnp.int32)
        at = basic[None] == label[:, None, None]
        weight = jnp.where(at, values[None], 0).sum(axis=1)
        weight = jnp.maximum(weight, 0)
        found.append(weight / weight.sum(axis=0)[None])
    return found


def _gap(payoffs, row, col):
    """Return the largest gain from a deviation; payoffs have unit range."""
    a, b = payoffs
    ahead = (a * col[None]).sum(axis=1)
    behind = (b * row[:, None]).sum(axis=0)
    # Differences from the best reply avoid subtracting two large values.
    loss_row = (row * (ahead.max(axis=0)[None] - ahead)).sum(axis=0)
    loss_col = (col * (behind.max(axis=0)[None] - behind)).sum(axis=0)
    return jnp.maximum(loss_row, loss_col)
