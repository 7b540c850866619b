"""Schedules that solvers of the trading game start from, within any trade limits."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from gtrade.problems.discrete_trading import TradingGame
from gtrade.responses.separable import cheapest_schedule


def even_schedules(game: TradingGame) -> Int[Array, "players horizon"]:
    """Return schedules of the most even trades; odd lots come late."""
    prices = jnp.zeros(game.horizon, game.permanent_impact.dtype)
    weight = jnp.ones((), prices.dtype)
    return _cheapest_for_all(game, prices, weight)


def front_schedules(game: TradingGame) -> Int[Array, "players horizon"]:
    """Return schedules that trade as early as the limits allow."""
    prices = jnp.arange(game.horizon, dtype=game.permanent_impact.dtype)
    weight = jnp.zeros((), prices.dtype)  # linear: fill the cheapest, earliest, first
    return _cheapest_for_all(game, prices, weight)


def random_schedules(
    game: TradingGame, key: PRNGKeyArray, *, count: int
) -> Int[Array, "players count horizon"]:
    """Return best responses to `count` draws of random prices for every player."""
    dtype = game.permanent_impact.dtype
    spread = 2.0 * (game.highest_trade - game.lowest_trade)
    shape = (game.num_players, count, game.horizon)
    prices = spread * jax.random.uniform(key, shape, dtype)
    weight = jnp.ones((), dtype)

    def respond(prices, target):
        return cheapest_schedule(game, prices, weight, target)

    each = jax.vmap(respond, in_axes=(0, None))
    return jax.vmap(each)(prices, game.targets)


def _cheapest_for_all(game: TradingGame, prices, weight):
    """Return every player's cheapest schedule at the same prices."""
    return jax.vmap(lambda v: cheapest_schedule(game, prices, weight, v))(game.targets)
