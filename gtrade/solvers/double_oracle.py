"""Exact Nash equilibria of the two-player trading game by a double oracle.

Each player keeps a small set of schedules. The game restricted to these sets is solved
exactly by Lemke-Howson pivoting; then each player's exact best response to the
opponent's mixture joins its set, until neither gains (McMahan, Gordon & Blum 2003). A
schedule's cost against a mixture is exact too: with linear prices the opponent's mean
flow decides it, otherwise its expected one-step costs do.

Where the sets start decides how long that takes. For kappa < 2 an equilibrium in whole
lots lies next to the one in fractional shares, so its roundings are the first start
(beyond 2 those of a game just below 2); even schedules, and schedules that trade as
early as they may, come next. Small sets are tried before large ones, since the cost of
pivoting grows with the square of their size.
A full set lets go of the schedule that has been out of use for longest.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from gtrade._arrays import as_float, smallest_int_dtype
from gtrade._checks import (
    InadmissibleError,
    check_integer,
    check_positive,
    check_shape,
)
from gtrade.numerics.lanes import one_by_one
from gtrade.numerics.precision import require_float64
from gtrade.problems.base import validate_if_concrete
from gtrade.problems.discrete_trading import TradingGame
from gtrade.problems.strategies import MixedSchedules
from gtrade.responses.general import table_response
from gtrade.responses.separable import cheapest_schedule
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver
from gtrade.solvers.fractional_nash import fractional_equilibrium, round_positions
from gtrade.solvers.lemke_howson import pivot_to_equilibrium
from gtrade.solvers.starts import even_schedules, front_schedules, random_schedules

STARTS = ("portfolio", "fractional", "even", "front", "random")

# Sets of this size are tried before sets of the full size.
_SMALL_SUPPORT = 32
_SMALL_STEPS = 64
# Starts that are tried again with sets of full size.
_LARGE_STARTS = 2
# Roundings of the fractional equilibrium that a player's set starts from.
_NUM_ROUNDINGS = 10
# Beyond it the splitting method of the fractional game would converge too slowly.
_LARGEST_IMPACT = 1.98
# Weights below this are rounding; dropping them changes costs by less than `tol`.
_TINY_WEIGHT = 1e-13
# Gains that are this far below zero, relative to the costs, are not rounding.
_LARGEST_ROUNDING = 1e-10
_PIVOTS_PER_LABEL = 12
_LABELS_TO_TRY = 8


class DoubleOracle(AbstractSolver):
    """Find an exact Nash equilibrium of a two-player trading game.

    Works for every permanent impact and for general one-step costs.

    Attributes:
        tol: largest gain from a deviation, relative to the largest absolute cost of a
            player among the schedules considered, shape ().
        start: where the sets of schedules start (static): "fractional", "even",
            "front" (as early as the limits allow), "random" (best responses to random
            prices; needs a key, which also draws the first label of the pivoting), or
            "portfolio", the first three in turn.
        max_support: most schedules in a player's set (static).
        max_steps: most best-response steps from one start (static).
    """

    tol: Float[Array, ""] = eqx.field(converter=as_float, default=1e-12)
    start: str = eqx.field(static=True, default="portfolio")
    max_support: int = eqx.field(static=True, default=128)
    max_steps: int = eqx.field(static=True, default=500)

    def __check_init__(self) -> None:
        """Check shapes, and values where they are concrete."""
        check_shape((), tol=self.tol)
        validate_if_concrete(self)

    @classmethod
    def validate(
        cls,
        *,
        tol: Any = 1e-12,
        start: Any = "portfolio",
        max_support: Any = 128,
        max_steps: Any = 500,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_positive(tol=tol)
        if start not in STARTS:
            raise InadmissibleError("start", f"be one of {', '.join(STARTS)}", start)
        check_integer(max_support=max_support, at_least=2)
        check_integer(max_steps=max_steps, at_least=1)

    @classmethod
    def validate_for(cls, problem: Mapping[str, Any], **numbers: Any) -> None:
        """Raise ValueError for games of more or fewer than two players."""
        del numbers
        targets = np.asarray(problem["targets"])
        if targets.shape[-1] != 2:
            rule = "name two players for double-oracle"
            raise InadmissibleError("targets", rule, problem["targets"])

    @property
    def uses_closed_form(self) -> bool:
        """Best responses come from the closed form where there is one."""
        return True

    def solve(
        self, problem: TradingGame, *, key: PRNGKeyArray | None = None
    ) -> Solution[MixedSchedules]:
        """Solve one game.

        Returns:
            Supports and weights, with status `converged`, `stalled` (no start came
            within `tol`; the best profile is returned) or `invalid_input`; the residual
            is the gain from the best deviation relative to the cost scale, `num_steps`
            counts best-response steps from all starts.

        Raises:
            ValueError: if float64 is off, or there are not two players.
        """
        require_float64("double-oracle")
        if problem.num_players != 2:
            raise ValueError(
                "double-oracle needs two players (for more: ftpl with"
                ' perturbation = "linear", or fractional-nash);'
                f" got {problem.num_players}"
            )
        if key is None and self.start == "random":
            raise ValueError('start = "random" needs a `key`')
        return one_by_one(self._solve_one)(problem, self.tol, key)

    def _solve_one(self, game: TradingGame, tol, key) -> Solution[MixedSchedules]:
        # Inadmissible numbers must not reach the oracles: they could hang there.
        game, is_valid = game.admitted()
        tol = tol.astype(game.permanent_impact.dtype)
        starts, label = self._starts(game, key)
        best = _Best.nothing(game, self.max_support)
        if self.max_support > _SMALL_SUPPORT:
            # Which of several equilibria of a restricted game is found decides much:
            # small sets are cheap enough to try every start with two first labels.
            several, steps = jnp.concatenate([starts, starts]), _SMALL_STEPS
            labels = label + jnp.arange(len(several), dtype=jnp.int32) // len(starts)
            steps = min(steps, self.max_steps)
            best = _search(game, several, labels, best, tol, _SMALL_SUPPORT, steps)
        labels = jnp.broadcast_to(label, (min(len(starts), _LARGE_STARTS),))
        size, steps = self.max_support, self.max_steps
        best = _search(game, starts[: len(labels)], labels, best, tol, size, steps)
        converged = best.gap <= tol
        status = Status.where(converged, Status.converged, Status.stalled)
        status = Status.where(is_valid, status, Status.invalid_input)
        dtype = smallest_int_dtype(game.lowest_trade, game.highest_trade)
        value = MixedSchedules(
            schedules=best.schedules.astype(dtype),
            weights=jnp.where(is_valid, best.weights, jnp.nan),
        )
        residual = jnp.where(is_valid, best.gap, jnp.nan)
        return Solution(value, status, residual, best.steps)

    def _starts(self, game: TradingGame, key):
        """Return starting schedules (starts, 2, count, horizon) and the first label."""
        kinds = (self.start,)
        if self.start == "portfolio":
            kinds = ("fractional", "even", "front")
        starts, label = [], jnp.zeros((), jnp.int32)
        for kind in kinds:
            if kind == "fractional":
                starts.append(_roundings(game))
            elif kind == "random":
                price_key, label_key = jax.random.split(key)
                count = _NUM_ROUNDINGS
                starts.append(random_schedules(game, price_key, count=count))
                label = jax.random.randint(label_key, (), 0, 2**16, jnp.int32)
            else:
                make = _spread_schedules if kind == "even" else front_schedules
                schedules = make(game)[:, None]
                starts.append(jnp.repeat(schedules, _NUM_ROUNDINGS, axis=1))
        return jnp.stack(starts), label


class _Best(NamedTuple):
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
    def nothing(cls, game: TradingGame, size: int) -> "_Best":
        dtype = game.permanent_impact.dtype
        return cls(
            jnp.zeros((2, size, game.horizon), jnp.int32),
            jnp.zeros((2, size), dtype),
            jnp.full((), jnp.inf, dtype),
            jnp.zeros((), jnp.int32),
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


def _search(game, starts, labels, best, tol, size: int, max_steps: int) -> _Best:
    """Run the double oracle from every start in turn until one converges."""
    num_starts = starts.shape[0]

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
            lambda: _open(game, starts[jnp.minimum(attempt, num_starts - 1)], size),
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


def _step(game, sets: _Sets, best: _Best, label, tol):
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
    gap = jnp.maximum(gains[0], gains[1]) / jnp.where(scale > 0, scale, 1)
    # A best response gains nothing at worst: less than that is a fault, not a gap of 0.
    is_sound &= gap >= -_LARGEST_ROUNDING
    gap = jnp.where(is_sound, jnp.maximum(gap, 0), jnp.inf)
    is_over = ~(is_new[0] | is_new[1])
    is_better = gap < best.gap
    room = ((0, 0), (0, best.weights.shape[1] - size))
    best = _Best(
        jnp.where(is_better, jnp.pad(sets.schedules, (*room, (0, 0))), best.schedules),
        jnp.where(is_better, jnp.pad(weights, room), best.weights),
        jnp.where(is_better, gap, best.gap),
        best.steps + 1,
    )
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


def _spread_schedules(game: TradingGame):
    """Return schedules as even as whole lots and limits allow, (2, horizon).

    Where limits permit, odd lots are spread over the horizon: double oracles that
    start there need far fewer steps than from an arrangement by ties.
    """
    dtype = game.permanent_impact.dtype
    spread = game.targets[:, None].astype(dtype) / game.horizon
    spread = jnp.broadcast_to(spread, (2, game.horizon))
    rounded = round_positions(game, spread, jnp.full((2,), 0.5, dtype))
    is_within = _is_within(game, rounded)[:, None]
    return jnp.where(is_within, rounded, even_schedules(game))


def _is_within(game: TradingGame, schedules):
    """Return whether every trade respects its step's limits, shape (...)."""
    low, high = (jnp.asarray(bound) for bound in game.trade_bounds)
    shape = (1,) * (schedules.ndim - 1) + (-1,)
    low, high = low.reshape(shape), high.reshape(shape)
    return ((schedules >= low) & (schedules <= high)).all(axis=-1)


def _roundings(game: TradingGame):
    """Return roundings of the fractional equilibrium, (2, count, horizon)."""
    kappa = jnp.minimum(game.permanent_impact, _LARGEST_IMPACT)
    trades = fractional_equilibrium(game, kappa, tol=1e-9, max_steps=2000).value
    # The splitting method meets limits exactly and targets only to its tolerance.
    thresholds = jnp.linspace(0.05, 0.95, _NUM_ROUNDINGS, dtype=trades.dtype)
    rounded = jax.vmap(
        lambda u: round_positions(game, trades, jnp.broadcast_to(u, (2,)))
    )(thresholds)
    is_feasible = _is_within(game, rounded)
    rounded = jnp.where(is_feasible[..., None], rounded, _spread_schedules(game)[None])
    return jnp.swapaxes(rounded, 0, 1)
