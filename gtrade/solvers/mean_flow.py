"""Equilibria of the two-player trading game by pivoting on mean flows.

With linear prices and one box of trade limits a mixed strategy matters to the opponent
through its mean flow alone, and its own least cost depends on that mean flow too:

- For kappa < 2 it is `sum_t w phi(m_t)` with `w = 1 - kappa/2` and phi the square
  interpolated between whole numbers, since every mean flow is a mixture of schedules
  that round each of its trades up or down.
- For kappa >= 2 best responses are vertices of the feasible flows, and all vertices are
  arrangements of the same trades: `sum_t a_t^2` is the same for all, a constant.

A pair of mean flows is an equilibrium, then, if each player's marginal values

    g_it = lambda_i - (M m_j)_t

lie in the subdifferential of its piecewise linear cost: on a kink (a whole trade for
kappa < 2, a limit beyond) between the slopes beside it, elsewhere equal to the slope.
That is a linear complementarity problem with `2 T + 2` equations, whatever the size of
the trades, though nobody could list the schedules. Lemke's method follows the solutions
of the problem with prices `M m_j + z c_i` from a z where one is known down to zero.

- For kappa >= 2 the known one is that of large z: fill by the order of c alone. It is
  the only one there, so that the path must end at z = 0 (Lemke 1965; Eaves 1971). Early
  trades of one player against late trades of the other make for short paths in boxes
  that are symmetric; in others some paths are too long.
- For kappa < 2 it is a rounding of the fractional equilibrium at z = 1, which c makes
  one; the path is short if an equilibrium is near. It may be too long, or lead away
  for good, since such a start may lie on another path: then other roundings are tried.

A generic c leaves ties only where targets tie with limits. The second right-hand side,
a symbolic perturbation of the targets, breaks those. Tables are computed from scratch
every few hundred pivots, and at the end, so that rounding does not build up.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gtrade.problems.discrete_trading import TradingGame
from gtrade.responses.separable import cheapest_schedule

# Rates and steps below this, relative to the largest, are rounding.
_TINY = 1e-11
# Pivots between two factorisations from scratch, which undo the rounding of pivots.
_PIVOTS_BETWEEN_SOLVES = 200
# Up to this kappa random orders come first.
_SMALL_FOR_RANDOM = 3.0
# Directions and starts to try.
NUM_ATTEMPTS = 8
# Part of the room between two slopes that the noise of a start may take.
_NOISE = 0.8


class MeanFlows(NamedTuple):
    """Where a path ended.

    Attributes:
        trades: mean flows, shape (2, horizon).
        cell: whole trades below them between which and `cell + width` they are mixed,
            shape (2, horizon), int32.
        width: shares from one kink of the cost to the next, shape (), int32.
        is_found: whether the path reached z = 0, shape ().
        num_pivots: breakpoints passed, shape ().
    """

    trades: Float[Array, "2 horizon"]
    cell: Int[Array, "2 horizon"]
    width: Int[Array, ""]
    is_found: Bool[Array, ""]
    num_pivots: Int[Array, ""]


def follow_path(
    game: TradingGame,
    start: Int[Array, "2 horizon"],
    attempt: Int[Array, ""] | int,
    max_pivots: int,
) -> MeanFlows:
    """Follow one path to an equilibrium of a game that is not general.

    Args:
        game: one instance in float64, with admissible numbers.
        start: schedules to start from for kappa < 2.
        attempt: varies the directions, from 0 to NUM_ATTEMPTS - 1.
        max_pivots: breakpoints after which to give up (static).
    """
    horizon, kappa = game.horizon, game.permanent_impact
    dtype = kappa.dtype
    is_convex = kappa < 2
    lowest, highest = game.lowest_trade, game.highest_trade
    width = jnp.where(is_convex, 1, max(highest - lowest, 1)).astype(dtype)
    line = _Line(
        weight=jnp.where(is_convex, 1 - kappa / 2, 0),
        width=width,
        low=jnp.asarray(lowest, dtype),
        high=jnp.asarray(highest, dtype),
    )
    impact = jnp.eye(horizon, dtype=dtype) + kappa * jnp.tril(
        jnp.ones((horizon, horizon), dtype), -1
    )
    # Without own costs prices may be scaled: at large kappa rates would differ widely.
    impact = impact / jnp.where(is_convex, 1, kappa)
    noise = jnp.asarray(_noise(horizon), dtype)[attempt]
    begin = jax.tree.map(
        lambda near, far: jnp.where(is_convex, near, far),
        _near_start(line, impact, start, noise),
        _far_start(game, impact, noise, attempt),
    )
    return _pivot(game, line, impact, begin, max_pivots)


class _Start(NamedTuple):
    """Where a path begins.

    Attributes:
        trades: on kinks but for one a player, shape (2, horizon).
        free: the step of that one, which may be on a kink too, shape (2,).
        direction: c of the prices `M m_j + z c_i`, shape (2, horizon).
        depth: z, shape ().
    """

    trades: Float[Array, "2 horizon"]
    free: Int[Array, "2"]
    direction: Float[Array, "2 horizon"]
    depth: Float[Array, ""]


class _Line(NamedTuple):
    """A trade's piecewise linear own cost: kinks `low, low + width, ..., high`."""

    weight: Array
    width: Array
    low: Array
    high: Array

    def slope(self, cell):
        """Return the slope on [cell, cell + width]."""
        return self.weight * (2 * cell + 1)

    def limits(self, kink):
        """Return the subdifferential at a kink; unbounded at the limits of trades."""
        below = jnp.where(kink <= self.low, -jnp.inf, self.slope(kink - self.width))
        above = jnp.where(kink >= self.high, jnp.inf, self.slope(kink))
        return below, above


def _noise(horizon: int) -> np.ndarray:
    """Return fixed generic numbers in [-1, 1], shape (attempts, 2, horizon)."""
    rng = np.random.default_rng(1965)
    return rng.uniform(-1, 1, (NUM_ATTEMPTS, 2, horizon))


def _near_start(line: _Line, impact, start, noise):
    """Return a start for kappa < 2: schedules that c makes an equilibrium at z = 1.

    Their marginal values lie between the slopes beside them, by noise.
    """
    trades = start.astype(noise.dtype)
    has_room = trades < line.high
    free = _index_of_largest(jnp.where(has_room, noise, -2))
    cell = jnp.minimum(trades, line.high - line.width)
    price = line.weight * (_NOISE * noise - 2 * trades)
    price = jnp.where(_is_at(free, trades), -line.slope(cell), price)
    direction = price - _product(impact, trades[::-1])
    return _Start(trades, free, direction, jnp.ones((), noise.dtype))


def _far_start(game, impact, noise, attempt):
    """Return a start for kappa >= 2: fillings by the order of c, and a large z.

    Early trades are set against late ones; then both players fill in random orders of
    their own, which takes fewer pivots near kappa = 2, where that comes first; then in
    a random order and its reverse, which can do better in boxes that are not symmetric;
    and so on in turn.
    """
    horizon = game.horizon
    order = jnp.arange(horizon, dtype=noise.dtype)[None] + 0.3 * noise
    opposed = jnp.concatenate([order[:1], -order[1:]]) / horizon
    reverse = jnp.stack([noise[0], 0.01 * noise[1] - noise[0]])
    is_near_two = game.permanent_impact < _SMALL_FOR_RANDOM
    kind = (attempt + is_near_two.astype(jnp.int32)) % 3
    direction = jnp.where(kind == 0, opposed, jnp.where(kind == 1, noise, reverse))
    zero = jnp.zeros((), noise.dtype)
    trades = jnp.stack(
        [cheapest_schedule(game, direction[i], zero, game.targets[i]) for i in (0, 1)]
    ).astype(noise.dtype)
    # The dearest step that is filled, in part or just so; the cheapest if none is.
    is_filled = trades > game.lowest_trade
    dearest = _index_of_largest(jnp.where(is_filled, direction, -jnp.inf))
    cheapest = _index_of_largest(-direction)
    free = jnp.where(is_filled.any(axis=1), dearest, cheapest)
    # From twice the z at which c alone still decides the order.
    price, own = _product(impact, trades[::-1]), free[:, None]
    price = jnp.abs(price - jnp.take_along_axis(price, own, axis=1))
    apart = jnp.abs(direction - jnp.take_along_axis(direction, own, axis=1))
    ratio = jnp.where(_is_at(free, trades), 0, price / jnp.where(apart > 0, apart, 1))
    return _Start(trades, free, direction, 2 * ratio.max() + 1)


def _index_of_largest(rows):
    return jnp.argmax(rows, axis=1).astype(jnp.int32)


def _is_at(step, like):
    """Return a mask, true at one step of every row."""
    place = jnp.arange(like.shape[1], dtype=jnp.int32)
    return place[None] == step[:, None]


def _product(matrix, rows):
    return jnp.matmul(rows, matrix.T, precision=jax.lax.Precision.HIGHEST)


class _Path(NamedTuple):
    """A point on the path; with T steps there are n = 2 T + 2 basic variables.

    Variables are the trades (2 T), their marginal values (2 T), both players'
    multipliers and z, in this order.
    """

    table: Array  # basic against nonbasic variables, (n, n - 1)
    value: Array  # of the basic variables, (n,)
    drift: Array  # their derivative by the perturbation of the targets, (n,)
    basic: Array  # (n,)
    nonbasic: Array  # (n - 1,)
    kink: Array  # of every trade: where it is, or where its cell begins, (2 T,)
    column: Array  # of the entering variable, ()
    sign: Array  # +1 if it grows, -1 if it falls, ()
    num_pivots: Array
    is_over: Array
    is_found: Array


def _pivot(game, line: _Line, impact, begin: _Start, max_pivots):
    """Follow the path from a start."""
    trades, free, direction, depth = begin
    horizon = game.horizon
    num = 2 * horizon  # trades; marginal values come after them
    dtype = trades.dtype
    last = 2 * num + 2  # z
    at_free = _is_at(free, trades)
    cell = jnp.minimum(trades, line.high - line.width)
    # Beyond 2 a filling has one trade between the limits, in the first cell.
    cell = jnp.where(line.width > 1, line.low, cell)
    kink = jnp.where(at_free, cell, trades).ravel()
    matrix, right = _equations(game, impact, direction)
    # Targets move into the free trade's cell.
    into = jnp.where((at_free & (trades == cell)).any(axis=1), 1.0, -1.0)
    into = into.astype(dtype) * jnp.array([1.0, 0.77], dtype)
    shift = jnp.zeros(num + 2, dtype).at[num:].set(into)
    step_place = jnp.arange(num, dtype=jnp.int32)
    is_free = at_free.ravel()
    order = jnp.argsort(is_free, stable=True).astype(jnp.int32)
    bound, freed = order[: num - 2], order[num - 2 :]
    multipliers = jnp.arange(2 * num, last, dtype=jnp.int32)
    basic = jnp.concatenate([num + bound, freed, multipliers])
    nonbasic = jnp.concatenate([bound, num + freed, jnp.full(1, last, jnp.int32)])

    def bounds(kink):
        """Return lower and upper bounds of all variables while they are basic."""
        below, above = line.limits(kink)
        infinite = jnp.full(2, jnp.inf, dtype)
        low = jnp.concatenate([kink, below, -infinite, jnp.zeros(1, dtype)])
        high = jnp.concatenate([kink + line.width, above, infinite, infinite[:1]])
        return low, high

    def factorised(path, depth):
        """Return the table and the values of a basis, from scratch."""
        # A variable that enters stands at the end that it starts from.
        entering = path.nonbasic[path.column]
        low, high = bounds(path.kink)
        at_end = jnp.where(path.sign > 0, low[entering], high[entering])
        resting = jnp.concatenate(
            [path.kink, line.slope(path.kink), jnp.zeros(2, dtype), depth[None]]
        )
        is_entering = jnp.arange(last + 1, dtype=jnp.int32) == entering
        resting = jnp.where(is_entering & (entering < last), at_end, resting)
        left = matrix[:, path.nonbasic]
        columns = [left, (right - _product(left, resting[path.nonbasic]))[:, None]]
        solved = jnp.linalg.solve(
            matrix[:, path.basic], jnp.concatenate([*columns, shift[:, None]], axis=1)
        )
        return path._replace(
            table=solved[:, :-2], value=solved[:, -2], drift=solved[:, -1]
        )

    def complement(path, reached, is_up):
        """Let the partner of a variable enter that has come to an end of its range."""
        is_trade = reached < num
        step = jnp.where(is_trade, reached, reached - num)
        change = jnp.where(is_trade & is_up, line.width, 0)
        change = jnp.where(~is_trade & ~is_up, -line.width, change)
        partner = jnp.where(is_trade, reached + num, step)
        return path._replace(
            kink=jnp.where(step_place == step, path.kink + change, path.kink),
            column=jnp.argmax(path.nonbasic == partner).astype(jnp.int32),
            sign=jnp.where(is_up, 1.0, -1.0).astype(dtype),
        )

    def advance(path):
        low, high = bounds(path.kink)
        low_basic, high_basic = low[path.basic], high[path.basic]
        entering = path.nonbasic[path.column]
        column = jax.lax.dynamic_index_in_dim(path.table, path.column, 1, False)
        rate = -path.sign * column
        tiny = _TINY * jnp.maximum(jnp.abs(rate).max(), 1)
        rises, falls = rate > tiny, rate < -tiny
        room = jnp.where(rises, high_basic - path.value, low_basic - path.value)
        safe = jnp.where(rises | falls, rate, 1)
        length = jnp.where(rises | falls, room / safe, jnp.inf)
        least = length.min()
        ties = length <= least + _TINY * (1 + jnp.abs(least))
        second = jnp.where(ties, -path.drift / safe, jnp.inf)
        row = jnp.argmin(second).astype(jnp.int32)
        is_z = entering == last
        own = jnp.where(is_z, depth, high[entering] - low[entering])
        flips = own < least
        is_ray = ~jnp.isfinite(jnp.minimum(own, least))
        num_pivots = path.num_pivots + 1

        def flip(path):
            moved = path._replace(value=path.value + own * rate)
            return complement(moved, entering, path.sign > 0)

        def exchange(path):
            step = jnp.maximum(least, 0)
            leaving = path.basic[row]
            is_up = rate[row] > 0
            start = jnp.where(path.sign > 0, low[entering], high[entering])
            start = jnp.where(is_z, depth, start)
            pivot = column[row]
            line_of_row = path.table[row] / pivot
            table = path.table - column[:, None] * line_of_row[None]
            table = table.at[row].set(line_of_row)
            table = table.at[:, path.column].set(-column / pivot)
            table = table.at[row, path.column].set(1 / pivot)
            value = path.value + step * rate
            drift = path.drift + second[row] * rate
            moved = path._replace(
                table=table,
                value=value.at[row].set(start + path.sign * step),
                drift=drift.at[row].set(path.sign * second[row]),
                basic=path.basic.at[row].set(entering),
                nonbasic=path.nonbasic.at[path.column].set(leaving),
            )
            return complement(moved, leaving, is_up)

        leaves = path.basic[row] == last
        is_end = jnp.where(flips, is_z, leaves & ~is_ray)
        moved = jax.lax.cond(flips & ~is_z, flip, exchange, path)
        moved = jax.tree.map(
            lambda new, old: jnp.where(is_ray | (flips & is_z), old, new), moved, path
        )
        moved = moved._replace(
            num_pivots=num_pivots,
            is_over=is_end | is_ray | (num_pivots >= max_pivots),
            is_found=is_end,
        )
        is_due = num_pivots % _PIVOTS_BETWEEN_SOLVES == 0
        zero = jnp.zeros((), dtype)
        return jax.lax.cond(
            is_due & ~moved.is_over,
            lambda path: factorised(path, zero),
            lambda path: path,
            moved,
        )

    nothing: Any = None
    false = jnp.zeros((), bool)
    path = _Path(
        nothing,
        nothing,
        nothing,
        basic.astype(jnp.int32),
        nonbasic.astype(jnp.int32),
        kink,
        jnp.asarray(num, jnp.int32),
        -jnp.ones((), dtype),
        jnp.zeros((), jnp.int32),
        false,
        false,
    )
    path = factorised(path, depth)
    path = jax.lax.while_loop(lambda path: ~path.is_over, advance, path)
    # At the end z is zero; whatever is not basic rests on its kink.
    place_of_z = jnp.argmax(path.nonbasic == last).astype(jnp.int32)
    resting = path._replace(column=place_of_z)
    final = factorised(resting, jnp.zeros((), dtype))
    all_trades = path.kink
    is_trade = final.basic < num
    target = jnp.where(is_trade, final.basic, num)
    all_trades = all_trades.at[target].set(final.value, mode="drop")
    is_basic = jnp.zeros(num, bool).at[target].set(is_trade, mode="drop")
    # A trade at the upper limit has no cell of its own: it rounds down from above.
    cell = jnp.where(is_basic | (line.width <= 1), path.kink, line.low)
    room = 1e-9 * line.width
    is_inside = (all_trades >= line.low - room) & (all_trades <= line.high + room)
    return MeanFlows(
        trades=all_trades.reshape(2, horizon),
        cell=cell.reshape(2, horizon).astype(jnp.int32),
        width=line.width.astype(jnp.int32),
        is_found=path.is_found & is_inside.all(),
        num_pivots=path.num_pivots,
    )


def _equations(game, impact, direction):
    """Return matrix and right-hand side of the conditions, all variables in order."""
    horizon = game.horizon
    num, dtype = 2 * horizon, impact.dtype
    matrix = jnp.zeros((num + 2, 2 * num + 3), dtype)
    matrix = matrix.at[:num, num : 2 * num].set(jnp.eye(num, dtype=dtype))
    for player in (0, 1):
        rows = slice(player * horizon, (player + 1) * horizon)
        others = slice((1 - player) * horizon, (2 - player) * horizon)
        matrix = matrix.at[rows, others].set(impact)
        matrix = matrix.at[rows, 2 * num + player].set(-1.0)
        matrix = matrix.at[rows, 2 * num + 2].set(direction[player])
        matrix = matrix.at[num + player, rows].set(1.0)
    right = jnp.zeros(num + 2, dtype).at[num:].set(game.targets.astype(dtype))
    return matrix, right
