"""Nash equilibria of the trading game in fractional shares, for any number of players.

On schedules that meet their targets the symmetric part of `M = I + kappa L` is
`(1 - kappa/2) I`, so for kappa < 2 the players' first-order conditions

    M sum_j a_j + M' a_i - lambda_i 1  in  -N_[low, high](a_i),   sum_t a_it = V_i

are a strictly monotone variational inequality with one solution. Without active bounds
it is a linear system of the size of the horizon. With bounds, Douglas-Rachford
splitting alternates between the box and the linear conditions, whose resolvent couples
the players through their total flow alone: again one matrix of the horizon's size,
factorised once, however many players there are.
"""

import functools
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from gtrade._arrays import as_float
from gtrade._checks import (
    check,
    check_integer,
    check_positive,
    check_shape,
)
from gtrade.numerics.lanes import one_by_one
from gtrade.numerics.loops import iterate_until
from gtrade.numerics.precision import integer_dtype_for, product, require_float64
from gtrade.problems.base import validate_if_concrete
from gtrade.problems.discrete_trading import TradingGame
from gtrade.problems.general_costs import check_linear, require_linear
from gtrade.problems.strategies import FractionalSchedules
from gtrade.responses.separable import cheapest_schedule
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver
from gtrade.solvers.starts import even_schedules

# Steps after which the splitting method takes its other length.
_CHANGES_OF_LENGTH = (600, 8600, 14_600)
# Multiplications up to which sums, compiled with the rest of a step into one kernel,
# are faster on a CPU than calls of a matrix product: three times for two players and
# five steps.
_MOST_SUMMED = 1000


class FractionalNash(AbstractSolver):
    """Solve the game in fractional shares, then round it to whole lots.

    Rounding goes by cumulative positions, with thresholds spread over the players so
    that their errors cancel; then players in turn move to their best responses, and
    the profile with the smallest largest gain is kept. The fractional schedules are an
    equilibrium of the game in fractional shares; the whole ones are an epsilon
    equilibrium of the game itself, and verification says with which epsilon.

    Attributes:
        tol: of the residual, relative to the largest average trade, shape ().
        max_steps: largest number of splitting steps (static).
        max_rounds: rounds of best responses after rounding (static).
    """

    tol: Float[Array, ""] = eqx.field(converter=as_float, default=1e-10)
    max_steps: int = eqx.field(static=True, default=20_000)
    max_rounds: int = eqx.field(static=True, default=10)
    cpu_block: ClassVar[int | None] = 256  # settles twice as fast as 4096 at a time

    def __check_init__(self) -> None:
        """Check shapes, and values where they are concrete."""
        check_shape((), tol=self.tol)
        validate_if_concrete(self)

    @classmethod
    def validate(
        cls, *, tol: Any = 1e-10, max_steps: Any = 20_000, max_rounds: Any = 10
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_positive(tol=tol)
        check_integer(max_steps=max_steps, at_least=1)
        check_integer(max_rounds=max_rounds, at_least=0)

    @classmethod
    def validate_for(cls, problem: Mapping[str, Any], **numbers: Any) -> None:
        """Raise ValueError for games whose fractional equilibrium is not unique."""
        del numbers
        check_linear("fractional-nash", problem)
        rule = (
            "be less than 2 for fractional-nash: only then is the game in fractional"
            " shares strictly monotone"
        )
        impact = problem["permanent_impact"]
        check(rule, lambda kappa: kappa < 2, permanent_impact=impact)

    @property
    def uses_closed_form(self) -> bool:
        """Best responses come from the closed form."""
        return True

    def solve(
        self, problem: TradingGame, *, key: PRNGKeyArray | None = None
    ) -> Solution[FractionalSchedules]:
        """Solve one game.

        Returns:
            Fractional and whole schedules, with status `converged`,
            `max_steps_reached` or `invalid_input` (kappa of 2 or more among traced
            numbers, targets out of reach); the residual is the distance between the
            box and the linear conditions, relative to the largest average trade.

        Raises:
            ValueError: if float64 is off, or the game has general one-step costs.
        """
        require_float64("fractional-nash")
        game = problem
        require_linear("fractional-nash", game)
        game, is_valid = game.admitted()
        kappa = game.permanent_impact
        is_valid = is_valid & (kappa < 2)
        inner = fractional_equilibrium(
            game,
            jnp.where(is_valid, kappa, 1),
            tol=self.tol,
            max_steps=self.max_steps,
        )
        trades = inner.value
        schedules = _settle(game, round_positions(game, trades), self.max_rounds)
        status = Status.where(is_valid, inner.status, Status.invalid_input)
        value = FractionalSchedules(
            jnp.where(is_valid, trades, jnp.nan), jnp.where(is_valid, schedules, 0)
        )
        residual = jnp.where(is_valid, inner.residual, jnp.nan)
        return Solution(value, status, residual, inner.num_steps)


def fractional_equilibrium(
    game: TradingGame,
    permanent_impact: Float[Array, ""],
    *,
    tol: Float[Array, ""] | float,
    max_steps: int,
) -> Solution[Float[Array, "players horizon"]]:
    """Return the equilibrium in fractional shares, shape (players, horizon).

    Args:
        game: one instance in float64; its own permanent impact is not read.
        permanent_impact: kappa in [0, 2), shape ().
        tol: of the residual, relative to the largest average trade.
        max_steps: largest number of splitting steps (static).
    """
    horizon, players = game.horizon, game.num_players
    dtype = permanent_impact.dtype
    low, high = (jnp.asarray(bound, dtype)[None] for bound in game.trade_bounds)
    targets = game.targets.astype(dtype)
    identity, ones = jnp.eye(horizon, dtype=dtype), jnp.ones(horizon, dtype)
    impact = identity + permanent_impact * jnp.tril(
        jnp.ones((horizon, horizon), dtype), -1
    )

    # Without bounds: (n M + M') S is constant, and so is M' a_i + M S for every player.
    total = jnp.linalg.solve(players * impact + impact.T, ones)
    total = total * (targets.sum() / total.sum())
    pair = jnp.stack([ones, product(impact, total)], axis=1)
    level, shift = jnp.linalg.solve(impact.T, pair).T
    price = (targets + shift.sum()) / level.sum()
    start = price[:, None] * level[None] - shift[None]

    scale = jnp.maximum(jnp.abs(targets).max() / horizon, 1)
    # Limits that bind the players apart want the first length, limits that bind their
    # total, whose coupling is the stiffer the more they are, the second.
    lengths = (1.0, (2 / players) ** 0.5) if players > 2 else (1.0,)
    resolvents = [_resolvent(impact, targets, length) for length in lengths]
    split = functools.partial(
        _split, lengths=lengths, low=low, high=high, max_steps=max_steps
    )
    # Most games are done after a step or two, a few take hundreds.
    solution = one_by_one(split)(resolvents, start, scale, jnp.asarray(tol, dtype))
    inside = solution.value
    # The iterate meets the limits exactly and the targets to `tol`; mend the targets
    # where there is room, so that a schedule is never cheaper for falling short.
    has_room = (inside > low + tol * scale) & (inside < high - tol * scale)
    count = jnp.maximum(has_room.sum(axis=1), 1).astype(dtype)
    missing = (targets - inside.sum(axis=1)) / count
    mended = jnp.where(has_room, inside + missing[:, None], inside)
    mended = jnp.clip(mended, low, high)
    return eqx.tree_at(lambda s: s.value, solution, mended)


def _split(resolvents, start, scale, tol, *, lengths, low, high, max_steps):
    """Alternate between box and linear conditions; return the last point of the box.

    Args:
        resolvents: of the linear conditions, one for each length.
        start: where to begin, shape (players, horizon).
        scale: of the residual, shape ().
        tol: largest residual, shape ().
        lengths: one, or two that take turns (static).
        low: fewest shares of each step, shape (1, horizon).
        high: most shares, same shape.
        max_steps: largest number of steps (static).
    """
    ends = jnp.array(_CHANGES_OF_LENGTH, jnp.int32)

    def step(state):
        point, _, count = state
        inside = jnp.clip(point, low, high)
        resolve = resolvents[0]
        if len(lengths) > 1:
            # Distances from the box are multiples of the length.
            change = lengths[1] / lengths[0]
            ratio = jnp.where((ends[::2] == count).any(), change, 1)
            ratio = jnp.where((ends[1::2] == count).any(), 1 / change, ratio)
            point = inside + ratio * (point - inside)
            is_first = (count >= ends).sum(dtype=jnp.int32) % 2 == 0
            resolve = jax.tree.map(lambda *x: jnp.where(is_first, *x), *resolvents)
        move = resolve(2 * inside - point) - inside
        return (point + move, inside, count + 1), jnp.abs(move).max() / scale

    state = start, start, jnp.zeros((), jnp.int32)
    solution = iterate_until(step, state, tol=tol, max_steps=max_steps)
    return eqx.tree_at(lambda s: s.value, solution, solution.value[1])


class _Resolvent(NamedTuple):
    """Solves `u_i + length F_i(u) - lambda_i 1 = z_i` with sums of u_i given.

    The multipliers are eliminated; players are coupled through their total alone:
    `u_i = own z_i - shared sum_j z_j + constant_i`.
    """

    own: Float[Array, "horizon horizon"]
    shared: Float[Array, "horizon horizon"]
    constant: Float[Array, "players horizon"]

    def __call__(self, point):
        total = point.sum(axis=0)
        if point.size * len(total) <= _MOST_SUMMED:
            common = (self.shared * total[None]).sum(axis=1)
            own = (point[:, None] * self.own[None]).sum(axis=2)
        else:
            common = product(self.shared, total)
            own = product(point, self.own.T)
        return own - common[None] + self.constant


def _resolvent(impact, targets, length: float) -> _Resolvent:
    identity, players = jnp.eye(impact.shape[0], dtype=impact.dtype), len(targets)
    inverse = jnp.linalg.inv(identity + length * impact.T)
    along = inverse.sum(axis=1)
    along = along / along.sum()
    inverse = inverse - along[:, None] * inverse.sum(axis=0)[None]
    pressure = length * product(inverse, impact)
    # The total is (1 + players pressure)^-1 (inverse sum_j z_j + along sum_j V_j).
    shared = product(pressure, jnp.linalg.inv(identity + players * pressure))
    constant = targets[:, None] * along[None]
    constant = constant - product(shared, along)[None] * targets.sum()
    return _Resolvent(inverse, product(shared, inverse), constant)


def round_positions(
    game: TradingGame,
    trades: Float[Array, "players horizon"],
    thresholds: Float[Array, " players"] | None = None,
) -> Int[Array, "players horizon"]:
    """Round fractional schedules to whole lots by their cumulative positions.

    Args:
        game: one instance.
        trades: fractional schedules that meet targets and limits.
        thresholds: position t is `floor(fractional position + threshold)`, in (0, 1);
            spread evenly over the players if None.

    Returns:
        Schedules that meet the targets, every trade next to the fractional one, shape
        (players, horizon), int32.
    """
    players = trades.shape[0]
    if thresholds is None:
        place = jnp.arange(players, dtype=trades.dtype)
        thresholds = (place + 0.5) / players
    # Rounding errors of sums must not move a position that is whole.
    position = jnp.cumsum(trades, axis=1)
    nearest = jnp.round(position)
    scale = jnp.maximum(jnp.abs(position).max(), 1)
    position = jnp.where(jnp.abs(position - nearest) < 1e-9 * scale, nearest, position)
    whole = jnp.floor(position + thresholds[:, None]).astype(jnp.int32)
    whole = whole.at[:, -1].set(game.targets)
    return jnp.diff(whole, axis=1, prepend=jnp.zeros((players, 1), jnp.int32))


def _settle(game: TradingGame, schedules: Int[Array, "players horizon"], rounds: int):
    """Let players respond in turn; return the profile of the smallest largest gain."""
    weight = game.own_cost_weight
    bound = game.num_players * game.horizon * game.largest_trade
    flow_dtype = integer_dtype_for(bound, "the players' net position")

    def respond(flow, own, target):
        others = flow - own.astype(flow.dtype)
        linear = game.price_pressure(others)
        best = cheapest_schedule(game, linear, weight, target, flow=others)
        less, more = (
            (own - best).astype(linear.dtype),
            (own + best).astype(linear.dtype),
        )
        return best, (linear * less + weight * less * more).sum()

    def largest_gain(profile):
        flow = profile.sum(axis=0, dtype=flow_dtype)
        _, gains = jax.vmap(lambda a, v: respond(flow, a, v))(profile, game.targets)
        return gains.max()

    def move(flow, player):
        own, target = player
        best, gain = respond(flow, own, target)
        new = jnp.where(gain > 0, best, own)
        return flow + (new - own).astype(flow.dtype), new

    def step(carry):
        profile, best, least, count = carry
        flow = profile.sum(axis=0, dtype=flow_dtype)
        _, profile = jax.lax.scan(move, flow, (profile, game.targets))
        gain = largest_gain(profile)
        best = jnp.where(gain < least, profile, best)
        return profile, best, jnp.minimum(gain, least), count + 1

    def unfinished(carry):
        return (carry[2] > 0) & (carry[3] < rounds)

    is_inside = (
        (schedules >= game.lowest_trade) & (schedules <= game.highest_trade)
    ).all(axis=1)
    schedules = jnp.where(is_inside[:, None], schedules, even_schedules(game))
    carry = schedules, schedules, largest_gain(schedules), jnp.zeros((), jnp.int32)
    return jax.lax.while_loop(unfinished, step, carry)[1]
