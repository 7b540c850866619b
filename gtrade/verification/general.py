"""Evidence about one profile of a game with general one-step costs.

Of a single profile all equilibrium concepts say the same: the distance is what a player
gains from its best deviation. The best schedule comes from a dynamic program over the
holdings, with every step's cost written down from its definition; solvers split the
target over tables that leave the holdings out.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gtrade.numerics.precision import require_float64
from gtrade.problems.discrete_trading import TradingGame, holdings_before
from gtrade.responses.dynamic_programming import shortest_schedule


def deviation_gains(
    game: TradingGame, schedules: Int[Array, "rounds players horizon"]
) -> Float[Array, " players"]:
    """Return what each player gains by leaving a pure profile, shape (players,).

    Args:
        game: one instance.
        schedules: a history of a single round.

    Raises:
        ValueError: if float64 is off, or the history has several rounds.
    """
    require_float64("verification")
    num_rounds = schedules.shape[0]
    if num_rounds != 1:
        raise ValueError(
            "verification of a game with general one-step costs takes one profile, a"
            f" history of 1 round; got {num_rounds}"
        )
    profile = jnp.asarray(schedules[0], jnp.int64)
    flow, costs = profile.sum(axis=0), game.costs(profile)

    def of_player(player):
        best = best_schedule(game, flow - profile[player], game.targets[player])
        return (costs - game.costs(profile.at[player].set(best)))[player]

    return jax.lax.map(of_player, jnp.arange(game.num_players))


def best_schedule(
    game: TradingGame, others: Int[Array, " horizon"], target: Int[Array, ""]
) -> Int[Array, " horizon"]:
    """Return the cheapest schedule against the others' flow, shape (horizon,)."""
    dtype = game.permanent_impact.dtype
    before = holdings_before(others)
    lows, highs = (jnp.asarray(bounds) for bounds in game.trade_bounds)

    def one_step_cost(t, holdings, trade):
        moved = game.temporary_price(trade.astype(others.dtype) + others[t])
        held = (holdings.astype(before.dtype) + before[t]).astype(dtype)
        cost = trade.astype(dtype) * (moved + game.permanent_impact * held)
        if game.fixed_fee is not None:
            cost = cost + jnp.where(trade != 0, game.fixed_fee, 0)
        return jnp.where((trade >= lows[t]) & (trade <= highs[t]), cost, jnp.inf)

    schedule, _ = shortest_schedule(
        one_step_cost,
        target,
        horizon=game.horizon,
        min_trade=game.lowest_trade,
        max_trade=game.highest_trade,
        dtype=dtype,
    )
    return schedule.astype(others.dtype)
