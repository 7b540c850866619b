"""The double oracle from given starts: restricted games that grow by best responses."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gtrade.problems.discrete_trading import TradingGame
from gtrade.responses.general import table_response
from gtrade.responses.separable import cheapest_schedule
from gtrade.solvers.complementary_pivoting import pivot_to_equilibrium

# Weights below this are rounding; dropping them changes costs by less than `tol`.
_TINY_WEIGHT = 1e-13
# Gains that are this far below zero, relative to the costs, are not rounding.
_LARGEST_ROUNDING = 1e-10
_PIVOTS_PER_LABEL = 12
_LABELS_TO_TRY = 8


class Best(NamedTuple):
    """The best profile so far, over all starts.

    Attributes:
        schedules: supports, shape (2, max_support, horizon).
        weights: probabilities, shape (2, max_support).
        gap: largest gain relative to the cost scale, shape ().
        steps: steps taken so far, shape ().
    """

    schedules: Int[Array, "2 support horizon"]
    weights: Float[Array, "2 support"]
    gap: Float[Array, ""]
    steps: Int[Array, ""]

    @classmethod
    def nothing(cls, game: TradingGame, size: int) -> "Best":
        dtype = game.permanent_impact.dtype
        return cls(
            jnp.zeros((2, size, game.horizon), jnp.int32),
            jnp.zeros((2, size), dtype),
            jnp.full((), jnp.inf, dtype),
            jnp.zeros((), jnp.int32),
        )

    def with_profile(self, schedules, weights, gap) -> "Best":
        """Take a profile if it is better, padded; count one step."""
        is_better = gap < self.gap
        room = ((0, 0), (0, self.weights.shape[1] - weights.shape[1]))
        schedules = jnp.pad(schedules, (*room, (0, 0)))
        return Best(
            jnp.where(is_better, schedules, self.schedules),
            jnp.where(is_better, jnp.pad(weights, room), self.weights),
            jnp.where(is_better, gap, self.gap),
            self.steps + 1,
        )


class _Sets(NamedTuple):
    """The restricted game; `size` schedules a player, not all in use.

    Attributes:
        schedules: shape (2, size, horizon).
        is_used: which places hold a schedule, shape (2, size).
        idle: steps since a schedule was last in the support, shape (2, size).
        costs: of each player, both by (first's schedule, second's), shape (2, size,
            size).
        steps: taken from this start, shape ().
        is_over: whether this start has come to its end, shape ().
    """

    schedules: Int[Array, "2 size horizon"]
    is_used: Bool[Array, "2 size"]
    idle: Int[Array, "2 size"]
    costs: Float[Array, "2 size size"]
    steps: Int[Array, ""]
    is_over: Bool[Array, ""]


def gap_of(
    game: TradingGame,
    schedules: Int[Array, "2 count horizon"],
    weights: Float[Array, "2 count"],
) -> Float[Array, ""]:
    """Return the largest gain from a deviation relative to the cost scale.

    Args:
        game: one instance.
        schedules: of both players' mixtures.
        weights: their probabilities.

    Returns:
        The gain relative to the largest absolute cost among these schedules, by exact
        best responses; infinite if it is NaN or far below zero.
    """
    gains, scale = [], 0.0
    for player in (0, 1):
        other = 1 - player
        reply = _respond(game, schedules[other], weights[other], player)
        own = game.cost_matrix(reply[None], schedules[other])[0]
        costs = game.cost_matrix(schedules[player], schedules[other])
        gains.append(_weigh(weights[player], costs - own[None], weights[other]))
        scale = jnp.maximum(scale, jnp.abs(costs).max())
    return _relative(gains, scale)


def _relative(gains, scale):
    """Return the larger of two gains relative to a scale, if both can be right.

    A best response gains nothing at worst: less than that is a fault, not a gap of 0,
    and the gap infinite.
    """
    gaps = jnp.stack(gains) / jnp.where(scale > 0, scale, 1)
    is_right = (gaps >= -_LARGEST_ROUNDING).all()
    return jnp.where(is_right, jnp.maximum(gaps.max(), 0), jnp.inf)


def search(
    game: TradingGame,
    starts: Int[Array, "starts 2 count horizon"],
    labels: Int[Array, " starts"],
    best: Best,
    tol: Float[Array, ""],
    size: int,
    num_starts: Int[Array, ""] | int,
    max_steps: Int[Array, ""] | int,
) -> Best:
    """Run the double oracle from start after start until one converges.

    Args:
        game: one instance with admissible numbers.
        starts: schedules of both players' first sets.
        labels: first label of the pivoting, for every start.
        best: what was found before; nothing is searched if that is within `tol`.
        tol: largest gain relative to the cost scale that ends the search.
        size: most schedules in a set (static).
        num_starts: how many of the starts to try.
        max_steps: most best-response steps from one start.

    Returns:
        The better of `best` and the best profile on the way.
    """

    def unfinished(carry):
        attempt, _, best = carry
        return (attempt < num_starts) & (best.gap > tol)

    def advance(carry):
        attempt, sets, best = carry
        sets, best = _step(game, sets, best, labels[attempt], tol)
        is_over = sets.is_over | (sets.steps >= max_steps)
        attempt = attempt + is_over.astype(jnp.int32)
        sets = jax.lax.cond(
            is_over & (attempt < num_starts),
            lambda: _open(game, starts[attempt], size),
            lambda: sets,
        )
        return attempt, sets, best

    first = jnp.zeros((), jnp.int32)
    carry = first, _open(game, starts[0], size), best
    return jax.lax.while_loop(unfinished, advance, carry)[2]


def _open(game, start, size: int) -> _Sets:
    """Return the restricted game of a start, without duplicates."""
    count = min(start.shape[1], size)
    start = start[:, :count]
    schedules = jnp.pad(start, ((0, 0), (0, size - count), (0, 0)))
    same = (start[:, :, None] == start[:, None]).all(axis=-1)
    earlier = jnp.tril(jnp.ones((count, count), bool), -1)
    is_first = ~(same & earlier[None]).any(axis=2)
    is_used = jnp.pad(is_first, ((0, 0), (0, size - count)))
    costs = jnp.stack(
        [
            game.cost_matrix(schedules[0], schedules[1]),
            game.cost_matrix(schedules[1], schedules[0]).T,
        ]
    )
    zero = jnp.zeros((), jnp.int32)
    idle = jnp.zeros(is_used.shape, jnp.int32)
    return _Sets(schedules, is_used, idle, costs, zero, zero == 1)


def _step(game, sets: _Sets, best: Best, label, tol):
    """Solve the restricted game, add both best responses, note the profile."""
    size = sets.is_used.shape[1]
    found = pivot_to_equilibrium(
        sets.costs[0],
        sets.costs[1],
        tol=1e-12,
        initial_label=label,
        has_row=sets.is_used[0],
        has_col=sets.is_used[1],
        max_pivots=_PIVOTS_PER_LABEL * 2 * size,
        num_starts=min(_LABELS_TO_TRY, 2 * size),
    )
    weights = _cleaned(jnp.stack([found.row, found.col]))
    pairs = sets.is_used[0][:, None] & sets.is_used[1][None]
    scale = jnp.where(pairs[None], jnp.abs(sets.costs), 0).max()
    # Pivoting that lost its way may leave weights that are no probabilities.
    is_sound = jnp.isfinite(weights).all()
    gains, is_new = [], []
    schedules, is_used, idle, costs = sets[:4]
    idle = jnp.where(weights > 0, 0, idle + 1)
    for player in (0, 1):
        other = 1 - player
        reply = _respond(game, sets.schedules[other], weights[other], player)
        # Costs of the reply, and against it, for every schedule of the other's set.
        own = game.cost_matrix(reply[None], sets.schedules[other])[0]
        matrix = sets.costs[player] if player == 0 else sets.costs[player].T
        excess = jnp.where(weights[other][None] > 0, matrix - own[None], 0)
        gains.append(_weigh(weights[player], excess, weights[other]))
        known = is_used[player] & (schedules[player] == reply[None]).all(axis=1)
        is_new.append(~known.any())
        # A free place, else the one whose schedule has been idle for longest.
        worth = jnp.where(is_used[player], idle[player], jnp.iinfo(jnp.int32).max)
        place = jnp.argmax(worth)
        has_place = worth[place] > 0
        adds = is_new[-1] & has_place & is_sound
        is_new[-1] = adds

        def put(array, value, place=place, adds=adds):
            return jnp.where(adds, array.at[place].set(value), array)

        schedules = schedules.at[player].set(put(schedules[player], reply))
        is_used = is_used.at[player].set(put(is_used[player], True))
        idle = idle.at[player].set(put(idle[player], 0))
        # The other's set as it is now: its own new schedule is already there.
        own = game.cost_matrix(reply[None], schedules[other])[0]
        against = game.cost_matrix(schedules[other], reply[None])[:, 0]
        columns = (own, against) if player == 0 else (against, own)
        costs = jnp.stack(
            [
                put(costs[i], columns[i])
                if player == 0
                else put(costs[i].T, columns[i]).T
                for i in (0, 1)
            ]
        )
    gap = _relative(gains, scale)
    is_over = ~(is_new[0] | is_new[1])
    best = best.with_profile(sets.schedules, weights, gap)
    sets = _Sets(schedules, is_used, idle, costs, sets.steps + 1, is_over)
    return sets, best


def _weigh(row, matrix, col):
    """Return row' matrix col, in full precision."""
    return (row * (matrix * col[None]).sum(axis=1)).sum()


def _cleaned(weights):
    """Drop weights that are rounding."""
    weights = jnp.where(weights > _TINY_WEIGHT, weights, 0)
    return weights / weights.sum(axis=1, keepdims=True)


def _respond(game: TradingGame, others, weights, player: int):
    """Return the exact best response to a mixture of whole schedules."""
    if game.is_general:
        table = game.expected_step_costs(others, weights)
        reply, _ = table_response(
            table, game.targets[player], min_trade=game.lowest_trade
        )
        return reply
    flow = (weights[:, None] * others.astype(weights.dtype)).sum(axis=0)
    pressure, weight = game.price_pressure(flow), game.own_cost_weight
    return cheapest_schedule(game, pressure, weight, game.targets[player])
