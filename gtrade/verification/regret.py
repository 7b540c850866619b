"""Regret of a history of play, exact over the whole set of schedules.

Past rounds enter through integer sums of flow, so a cost is an integer plus kappa times
an integer and rounds once. The best fixed schedule comes from an oracle of
`gtrade.responses`; which one is the caller's choice, so that a learner's own oracle
need not vouch for it. Games with general one-step costs take a history of one round.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gtrade.numerics.grouping import group_rows
from gtrade.numerics.precision import exact_dtype_for, require_float64
from gtrade.problems.discrete_trading import TradingGame, holdings_before
from gtrade.responses.dynamic_programming import quadratic_response
from gtrade.responses.separable import separable_response
from gtrade.verification.general import deviation_gains

Oracle = Callable[..., Int[Array, " horizon"]]


def separable_oracle(game: TradingGame) -> Oracle:
    """Return the closed-form oracle: (linear, weight, target) -> schedule."""
    return functools.partial(
        separable_response, min_trade=game.lowest_trade, max_trade=game.highest_trade
    )


def table_oracle(
    game: TradingGame, target_range: tuple[int, int] | None = None
) -> Oracle:
    """Return the dynamic-programming oracle: (linear, weight, target) -> schedule."""

    def oracle(linear, weight, target):
        return quadratic_response(
            linear,
            weight,
            jnp.zeros_like(linear),
            jnp.zeros((), linear.dtype),
            target,
            min_trade=game.lowest_trade,
            max_trade=game.highest_trade,
            target_range=target_range,
        )

    return oracle


def external_regret(
    game: TradingGame,
    schedules: Int[Array, "rounds players horizon"],
    oracle: Oracle | None = None,
) -> Float[Array, " players"]:
    """Return each player's average regret against its best fixed schedule.

    Args:
        game: one instance.
        schedules: the history of play, whole trades.
        oracle: exact minimiser of a linear-quadratic cost; the closed form if None.

    Returns:
        Cost per round above the best fixed schedule in hindsight, shape (players,);
        not clipped, so the rounding of an exact zero may show.

    Raises:
        ValueError: if float64 is off, or a general game meets several rounds.
    """
    require_float64("verification")
    if game.is_general:
        return deviation_gains(game, schedules)
    oracle = separable_oracle(game) if oracle is None else oracle
    num_rounds = schedules.shape[0]

    def of_player(player):
        own, others = _split(game, schedules, player)
        paid = _played_cost(game, own, others).sum()
        best = _fixed_cost(game, others.sum(axis=0), num_rounds, player, oracle)
        return (paid - best) / num_rounds

    return jax.lax.map(of_player, jnp.arange(game.num_players))


def regret_curve(
    game: TradingGame,
    schedules: Int[Array, "rounds players horizon"],
    oracle: Oracle | None = None,
) -> Float[Array, "rounds players"]:
    """Return the average regret after each round, shape (rounds, players)."""
    require_float64("verification")
    if game.is_general:
        return deviation_gains(game, schedules)[None]
    oracle = separable_oracle(game) if oracle is None else oracle
    rounds = jnp.arange(1, schedules.shape[0] + 1)

    def of_player(player):
        own, others = _split(game, schedules, player)
        paid = jnp.cumsum(_played_cost(game, own, others))
        flow = jnp.cumsum(others, axis=0)
        best = jax.vmap(lambda f, r: _fixed_cost(game, f, r, player, oracle))(
            flow, rounds
        )
        return (paid - best) / rounds.astype(paid.dtype)

    return jax.lax.map(of_player, jnp.arange(game.num_players)).T


def swap_regret(
    game: TradingGame,
    schedules: Int[Array, "rounds players horizon"],
    oracle: Oracle | None = None,
) -> Float[Array, " players"]:
    """Return each player's average swap regret: the sum of its conditional regrets.

    For every distinct schedule that a player used, the rounds of its use are compared
    with the best single replacement for just those rounds. The largest of the players'
    swap regrets is the distance of the empirical play to a correlated equilibrium.
    """
    require_float64("verification")
    if game.is_general:
        return deviation_gains(game, schedules)
    oracle = separable_oracle(game) if oracle is None else oracle
    num_rounds = schedules.shape[0]

    def of_player(player):
        own, others = _split(game, schedules, player)
        groups = group_rows(
            own.astype(jnp.int64), game.lowest_trade, game.highest_trade
        )
        places = jnp.arange(num_rounds, dtype=jnp.int32)
        count = places - groups.first + 1
        paid = _played_cost(game, own, others).sum()
        flow = groups.last_totals(others)
        best = jax.vmap(lambda f, c: _fixed_cost(game, f, c, player, oracle))(
            flow, count
        )
        return (paid - jnp.where(groups.is_last, best, 0).sum()) / num_rounds

    return jax.lax.map(of_player, jnp.arange(game.num_players))


def average_costs(
    game: TradingGame, schedules: Int[Array, "rounds players horizon"]
) -> Float[Array, " players"]:
    """Return each player's cost per round, shape (players,); the sum is welfare."""
    if game.is_general:
        return jax.lax.map(game.costs, schedules).mean(axis=0)

    def of_player(player):
        own, others = _split(game, schedules, player)
        return _played_cost(game, own, others).mean()

    return jax.lax.map(of_player, jnp.arange(game.num_players))


def whole_cost(
    game: TradingGame, temporary: Int[Array, "*batch"], permanent: Int[Array, "*batch"]
) -> Float[Array, "*batch"]:
    """Return an integer plus kappa times an integer, rounded once."""
    dtype = game.permanent_impact.dtype
    return temporary.astype(dtype) + game.permanent_impact * permanent.astype(dtype)


def _split(game, schedules, player):
    """Return a player's flows and the others' total, whole and exact."""
    num_rounds, num_players, horizon = schedules.shape
    largest = game.largest_trade
    # Against the sum over all rounds, a fixed schedule is multiplied by R n T flows.
    bound = 2 * num_rounds * num_players * (horizon * largest) ** 2
    dtype = exact_dtype_for(bound)
    own = jax.lax.dynamic_index_in_dim(schedules, player, axis=1, keepdims=False)
    own = own.astype(dtype)
    return own, schedules.astype(dtype).sum(axis=1) - own


def _played_cost(game, own, others):
    """Return the cost of each round, an integer plus kappa times an integer."""
    flow = own + others
    held = holdings_before(flow)
    return whole_cost(game, (own * flow).sum(axis=-1), (own * held).sum(axis=-1))


def _fixed_cost(game, flow, num_rounds, player, oracle):
    """Return the least total cost of one schedule against `num_rounds` rounds."""
    num_rounds = jnp.asarray(num_rounds, jnp.int64)
    weight = num_rounds.astype(game.permanent_impact.dtype) * game.own_cost_weight
    schedule = oracle(game.price_pressure(flow), weight, game.targets[player])
    schedule = schedule.astype(flow.dtype)
    # num_rounds copies of the own flow, beside the others' summed flow.
    copies = (num_rounds - 1).astype(flow.dtype) * schedule
    return _played_cost(game, schedule, flow + copies)
