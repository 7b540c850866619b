"""Sequential best-response dynamics with cycle detection."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from gtrade._arrays import as_float, as_int, smallest_int_dtype
from gtrade._checks import (
    InadmissibleError,
    check_integer,
    check_nonnegative,
    check_shape,
)
from gtrade.numerics.lanes import lanes_last
from gtrade.numerics.precision import integer_dtype_for
from gtrade.problems.base import validate_if_concrete
from gtrade.problems.discrete_trading import TradingGame, holdings_before
from gtrade.problems.general_costs import limits_per_step
from gtrade.responses.general import table_response
from gtrade.responses.separable import cheapest_schedule
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver
from gtrade.solvers.starts import even_schedules, front_schedules, random_schedules

# Earlier profiles that a new one is compared with at once.
_COMPARED = 32

STARTS = ("even", "front", "random")


def as_start(start: Any) -> Any:
    """Convert starting schedules; a named start stays a text (and so static)."""
    return start if isinstance(start, str) else as_int(start)


class ResponsePath(eqx.Module):
    """The profiles that best-response dynamics went through.

    Attributes:
        schedules: the final profile as a history of one round, shape (1, players,
            horizon).
        profiles: the start and the profile after each round, shape (max_rounds + 1,
            players, horizon); zero beyond the last round.
        potentials: the potential of each of these, shape (max_rounds + 1,). At
            kappa = 0 it falls in every round; it need not otherwise, nor with fees or
            prices that are not linear.
        cycle_start: index into `profiles` where a cycle begins, -1 without one.
        cycle_length: rounds in the cycle, 0 without one.
    """

    schedules: Int[Array, "1 players horizon"]
    profiles: Int[Array, "rounds players horizon"]
    potentials: Float[Array, " rounds"]
    cycle_start: Int[Array, ""]
    cycle_length: Int[Array, ""]


class _Played(NamedTuple):
    """What came of play; the first three as in `ResponsePath`."""

    profiles: Int[Array, "rounds players horizon"]
    potentials: Float[Array, " rounds"]
    num_rounds: Int[Array, ""]
    gain: Float[Array, ""]
    cycle_start: Int[Array, ""]


class BestResponseDynamics(AbstractSolver):
    """Let players in turn move to their best response (Kearns & Shi 2025, Algorithm 2).

    In a round every player, first to last, moves to its (lexicographically smallest)
    best response if that lowers its cost by more than `epsilon`. At kappa = 0 the
    potential falls with every move and the dynamics end in a pure equilibrium; for
    kappa > 0 they may cycle (Theorem 4.5), which is detected exactly.

    Attributes:
        start: "even" (static), "front" (as early as the limits allow), "random" (best
            responses to random prices; needs a key), or schedules, shape (players,
            horizon).
        epsilon: least gain worth a move, shape ().
        max_rounds: largest number of rounds (static).
    """

    start: Int[Array, "players horizon"] | str = eqx.field(
        converter=as_start, default="even"
    )
    epsilon: Float[Array, ""] = eqx.field(converter=as_float, default=0.0)
    max_rounds: int = eqx.field(static=True, default=1000)
    cpu_block: ClassVar[int | None] = 128  # 1.7 times as fast as 1024 at a time

    def __check_init__(self) -> None:
        """Check shapes, and values where they are concrete."""
        check_shape((), epsilon=self.epsilon)
        if not isinstance(self.start, str):
            check_shape((None, None), start=self.start)
        validate_if_concrete(self)

    @classmethod
    def validate(
        cls, *, start: Any = "even", epsilon: Any = 0.0, max_rounds: Any = 1000
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        if isinstance(start, str):
            if start not in STARTS:
                rule = f"be one of {', '.join(STARTS)}, or schedules"
                raise InadmissibleError("start", rule, start)
        else:
            check_integer(start=start, ndim=2)
        check_nonnegative(epsilon=epsilon)
        check_integer(max_rounds=max_rounds, at_least=1)

    @classmethod
    def validate_for(cls, problem: Mapping[str, Any], **numbers: Any) -> None:
        """Raise ValueError for starting schedules that the game does not admit."""
        start = numbers.get("start", "even")
        if isinstance(start, str):
            return
        start, targets = np.asarray(start), np.asarray(problem["targets"])
        shape = (targets.shape[-1], problem["horizon"])
        if start.shape[-2:] != shape:
            rule = f"have shape {shape}, players by horizon"
            raise InadmissibleError("start", rule, start.tolist())
        low, high = problem["min_trade"], problem["max_trade"]
        is_one_box = not (np.ndim(low) or np.ndim(high))
        box = f"in [{low}, {high}]" if is_one_box else "within the step's limits"
        rule = f"keep every trade {box} and meet the targets"
        lows = limits_per_step(problem["horizon"], min_trade=low)
        highs = limits_per_step(problem["horizon"], max_trade=high)
        feasible = ((start >= lows) & (start <= highs)).all(axis=(-2, -1))
        feasible = feasible & (start.sum(axis=-1) == targets).all(axis=-1)
        if feasible.ndim == 0 and not feasible:
            raise InadmissibleError("start", rule, start)
        if not feasible.all():
            bad = np.nonzero(~feasible)[0].tolist()
            value = start if start.ndim == 2 else start[bad[0]]
            raise InadmissibleError("start", rule, value, bad, feasible.size)

    @property
    def uses_closed_form(self) -> bool:
        """Best responses come from the closed form (of games that have one)."""
        return True

    def solve(
        self, problem: TradingGame, *, key: PRNGKeyArray | None = None
    ) -> Solution[ResponsePath]:
        """Play rounds until nobody gains more than `epsilon`, or a profile recurs.

        Returns:
            The path, with status `converged`, `cycled`, `max_steps_reached` or
            `invalid_input` (starting schedules that miss the targets or the limits);
            the residual is the largest gain that a player saw in the last round.
        """
        game = problem
        dtype = smallest_int_dtype(game.lowest_trade, game.highest_trade)
        start = self._starting_profile(game, key)
        lows, highs = game.trade_bounds
        is_valid = (
            (start.sum(axis=-1, dtype=start.dtype) == game.targets).all()
            & ((start >= lows[None]) & (start <= highs[None])).all()
            & game.admitted()[1]
        )
        leaves, structure = jax.tree.flatten((game, self.epsilon, start))

        def play(*leaves: Array) -> _Played:
            games, epsilon, starts = jax.tree.unflatten(structure, leaves)
            return self._play(games, epsilon, starts, dtype)

        played = lanes_last(play)(*leaves)
        last, cycle_start = played.num_rounds, played.cycle_start
        path = ResponsePath(
            schedules=played.profiles[last][None],
            profiles=played.profiles,
            potentials=played.potentials,
            cycle_start=cycle_start,
            cycle_length=jnp.where(cycle_start >= 0, last - cycle_start, 0),
        )
        gain = played.gain
        status = Status.where(cycle_start >= 0, Status.cycled, Status.max_steps_reached)
        status = Status.where(gain <= self.epsilon, Status.converged, status)
        status = Status.where(jnp.isfinite(gain), status, Status.nonfinite)
        status = Status.where(is_valid, status, Status.invalid_input)
        return Solution(path, status, gain, last)

    def _play(self, games, epsilon, starts, dtype) -> _Played:
        """Play games side by side; every array has a trailing axis of lanes.

        The loop is written for lanes rather than for one game so that a round costs
        what it touches: under `vmap`, every round would copy and search the room for
        all rounds.
        """
        num_lanes, num_places = starts.shape[-1], self.max_rounds + 1
        width = min(_COMPARED, num_places)

        def on_lanes(function):
            return jax.vmap(function, in_axes=-1, out_axes=-1)

        respond = on_lanes(self._round)

        @on_lanes
        def potential(game, profile):
            return game.potential(profile.astype(game.permanent_impact.dtype))

        def put(history, value, place):
            return jax.lax.dynamic_update_index_in_dim(history, value, place, 0)

        def unfinished(carry):
            count, *_, goes_on = carry
            return (count < self.max_rounds) & goes_on.any()

        def step(carry):
            count, profile, history, potentials, played, goes_on = carry
            new, gain = respond(games, epsilon, profile)

            def find(k, first):
                # Slices begin where they fit: the last ones overlap.
                begin = jnp.minimum(k * width, num_places - width)
                some = jax.lax.dynamic_slice_in_dim(history, begin, width)
                places = begin + jnp.arange(width, dtype=jnp.int32)
                is_equal = (some == new.astype(dtype)[None]).all(axis=(1, 2))
                is_equal &= (places <= count)[:, None]
                found = jnp.where(is_equal, places[:, None], num_places).min(axis=0)
                return jnp.minimum(first, found)

            gains_more = gain > epsilon
            nowhere = jnp.full((num_lanes,), num_places, jnp.int32)
            first = jax.lax.fori_loop(0, count // width + 1, find, nowhere)
            first = jnp.where(gains_more & (first < num_places), first, -1)
            count = count + 1
            profile = jnp.where(goes_on, new, profile)
            shown = jnp.where(goes_on, new, 0)
            history = put(history, shown.astype(dtype), count)
            potentials = put(potentials, potential(games, shown), count)
            now = count, gain, first
            played = [
                jnp.where(goes_on, x, y) for x, y in zip(now, played, strict=True)
            ]
            # NaN compares false: a failed game stops instead of holding up its batch.
            goes_on = goes_on & gains_more & (first < 0)
            return count, profile, history, potentials, played, goes_on

        float_dtype = games.permanent_impact.dtype
        zero = jnp.zeros((), jnp.int32)
        history = jnp.zeros((num_places, *starts.shape), dtype)
        potentials = jnp.zeros((num_places, num_lanes), float_dtype)
        played = [
            jnp.zeros((num_lanes,), jnp.int32),
            jnp.full((num_lanes,), jnp.inf, float_dtype),
            jnp.full((num_lanes,), -1, jnp.int32),
        ]
        carry = (
            zero,
            starts.astype(jnp.int32),
            put(history, starts.astype(dtype), 0),
            put(potentials, potential(games, starts), 0),
            played,
            jnp.ones((num_lanes,), bool),
        )
        count, _, history, potentials, played, _ = jax.lax.while_loop(
            unfinished, step, carry
        )

        # Of the room for all rounds only those played are turned round.
        def turn(k, turned):
            profiles, values = turned
            return (
                profiles.at[:, k].set(jnp.moveaxis(history[k], -1, 0)),
                values.at[:, k].set(potentials[k]),
            )

        turned = (
            jnp.zeros((num_lanes, *history.shape[:-1]), dtype),
            jnp.zeros((num_lanes, num_places), float_dtype),
        )
        turned = jax.lax.fori_loop(0, count + 1, turn, turned)
        history, potentials = (jnp.moveaxis(x, 0, -1) for x in turned)
        return _Played(history, potentials, *played)

    @staticmethod
    def _round(game: TradingGame, epsilon, profile: Int[Array, "players horizon"]):
        """Return the profile after every player moved once, and the largest gain."""
        epsilon = epsilon.astype(game.permanent_impact.dtype)

        respond = _general_response if game.is_general else _linear_response

        def move(flow, player):
            own, target = player
            best, terms = respond(game, flow - own.astype(flow.dtype), own, target)
            gain = terms.sum()
            # Equal costs can differ by rounding: such a gain would never settle.
            rounding = 4 * jnp.finfo(terms.dtype).eps * jnp.abs(terms).sum()
            gain = jnp.where(gain > rounding, gain, 0)
            new = jnp.where(gain > epsilon, best, own)
            return flow + (new - own).astype(flow.dtype), (new, gain)

        bound = game.num_players * game.horizon * game.largest_trade
        flow_dtype = integer_dtype_for(bound, "the players' net position")
        flow = profile.sum(axis=0, dtype=flow_dtype)
        _, (profile, gains) = jax.lax.scan(move, flow, (profile, game.targets))
        return profile, gains.max()

    def _starting_profile(self, game: TradingGame, key: PRNGKeyArray | None):
        if not isinstance(self.start, str):
            check_shape((game.num_players, game.horizon), start=self.start)
            return self.start
        if self.start == "even":
            return even_schedules(game)
        if self.start == "front":
            return front_schedules(game)
        if key is None:
            raise ValueError('start = "random" needs a `key`')
        return random_schedules(game, key, count=1)[:, 0]


def _linear_response(game, others, own, target):
    """Return a player's best response, and terms that add up to what it gains."""
    linear = game.price_pressure(others)
    weight = game.own_cost_weight.astype(linear.dtype)
    best = cheapest_schedule(game, linear, weight, target, flow=others)
    terms = jnp.stack(
        [
            linear * (own - best).astype(linear.dtype),
            weight
            * (own - best).astype(linear.dtype)
            * (own + best).astype(linear.dtype),
        ]
    )
    return best, terms


def _general_response(game, others, own, target):
    """Do as `_linear_response` for general one-step costs."""
    dtype, kappa = game.permanent_impact.dtype, game.permanent_impact
    table = game.expected_step_costs(others[None], jnp.ones((1,), dtype))
    best, _ = table_response(table, target, min_trade=game.lowest_trade)

    def temporary(trades):
        price = game.temporary_price(trades.astype(others.dtype) + others)
        return trades.astype(dtype) * price

    less, sum_of_both = (own - best).astype(dtype), (own + best).astype(dtype)
    terms = [
        temporary(own),
        -temporary(best),
        kappa * less * holdings_before(others).astype(dtype),
        -kappa / 2 * less * sum_of_both,
    ]
    if game.fixed_fee is not None:
        fewer = (own != 0).astype(dtype) - (best != 0).astype(dtype)
        terms.append(game.fixed_fee * fewer)
    return best, jnp.stack(terms)
