"""Traders one by one: what quotes and beliefs ought to be, by counting who comes.

Bayes' rule is not applied where it is on trial: a quote is the mean value among those
who traded, a belief the share of those who sent an order.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, UInt32

from gtrade.numerics.counter_random import uniforms
from gtrade.problems.glosten_milgrom import GlostenMilgrom
from gtrade.simulation.samplers import AbstractSampler, Outcomes


class Arrivals(NamedTuple):
    """Uniform numbers that decide values and traders, shape (times, paths) each."""

    value: Float[Array, "times paths"]
    trader: Float[Array, "times paths"]


class PathArrivals(AbstractSampler):
    """One trader at each of the dealer's beliefs along a path of orders.

    Outcomes, before every order and after the last (`times` of them):

    - `buys`, `sells`: 1 for a trader who does, (times, paths);
    - `buy_values`, `sell_values`: their value less the quote, 0 for others;
    - `first_values`: of all who come first, 1 if a value is theirs, less the belief in
      it, (values, paths);
    and, if there are orders,

    - `follows`: 1 for a trader who sends the order of the path, (orders, paths);
    - `follow_values`: for those, 1 if a value is theirs, less the belief in it after
      the order, (orders, values, paths).

    Attributes:
        problem: the market.
        bids: price, shape (times,).
        asks: price, shape (times,).
        beliefs: probabilities of all values, shape (times, values).
    """

    problem: GlostenMilgrom
    bids: Float[Array, " times"]
    asks: Float[Array, " times"]
    beliefs: Float[Array, "times values"]

    def draw(self, key: PRNGKeyArray, paths: UInt32[Array, " paths"]) -> Arrivals:
        """Draw two numbers for each arrival."""
        value, trader = jax.random.split(key)
        count, dtype = len(self.bids), self.bids.dtype
        return Arrivals(
            uniforms(value, paths, count, dtype), uniforms(trader, paths, count, dtype)
        )

    def outcomes(self, shocks: Arrivals) -> Outcomes:
        """Count who comes."""
        dtype, levels = self.bids.dtype, self.problem.levels
        ends = jnp.cumsum(self.beliefs, axis=1)[:, :-1, None]
        place = (shocks.value[:, None] > ends).sum(axis=1)
        value = levels[place]
        buys, sells = self._trade(shocks.trader, place, value)
        own = place[:, None] == jnp.arange(len(levels))[None, :, None]
        own = own.astype(dtype)
        counted = {
            "buys": buys.astype(dtype),
            "sells": sells.astype(dtype),
            "buy_values": jnp.where(buys, value - self.asks[:, None], 0),
            "sell_values": jnp.where(sells, value - self.bids[:, None], 0),
            "first_values": own[0] - self.beliefs[0, :, None],
        }
        orders = self.problem.orders[:, None]
        if not len(orders):
            return counted
        follows = jnp.where(orders == 1, buys[:-1], ~buys[:-1] & ~sells[:-1])
        follows = jnp.where(orders == -1, sells[:-1], follows)
        surprise = own[:-1] - self.beliefs[1:, :, None]
        counted["follows"] = follows.astype(dtype)
        counted["follow_values"] = jnp.where(follows[:, None], surprise, 0)
        return counted

    def _trade(
        self,
        trader: Float[Array, "times paths"],
        place: Int[Array, "times paths"],
        value: Float[Array, "times paths"],
    ) -> tuple[Bool[Array, "times paths"], Bool[Array, "times paths"]]:
        """Return who buys and who sells."""
        informed, buying, selling = _bounds(self.problem)
        knows = trader < informed
        noise_buys = ~knows & (trader < buying)
        noise_sells = (trader >= buying) & (trader < selling)
        if self.problem.is_two_valued:
            gains_by_buy, gains_by_sell = place == 1, place == 0
        else:
            gains_by_buy = value > self.asks[:, None]
            gains_by_sell = value < self.bids[:, None]
        buys = jnp.where(knows, gains_by_buy, noise_buys)
        return buys, jnp.where(knows, gains_by_sell, noise_sells)

    @property
    def numbers_per_path(self) -> int:
        """Seven outcomes, and as many numbers on the way."""
        times, values = self.beliefs.shape
        return times * (10 + 2 * values)


class TradePaths(AbstractSampler):
    """Paths of trades, each of them once for either value.

    The same arrivals meet a high and a low value; averages over the dealer's prior are
    the two weighted by it. Traders who pass are not counted. Outcomes:

    - `spreads`, `uncertainties`: before each trade and after the last,
      (trades + 1, paths), on average over the prior;
    - `beliefs_high`, `beliefs_low`: the dealer's belief in the high value, for either
      value, (trades + 1, paths);
    - `profit`: what the dealer makes a trade, on average over the prior, (paths,).

    Attributes:
        problem: the market, with two values.
        num_trades: in each path (static).
    """

    problem: GlostenMilgrom
    num_trades: int = eqx.field(static=True)

    def draw(
        self, key: PRNGKeyArray, paths: UInt32[Array, " paths"]
    ) -> Float[Array, "trades paths"]:
        """Draw one number for each trader."""
        dtype = self.problem.informed_fraction.dtype
        # At least one: without a trade there is still a market.
        return uniforms(key, paths, max(self.num_trades, 1), dtype)

    def outcomes(self, shocks: Float[Array, "trades paths"]) -> Outcomes:
        """Trade, quote and learn."""
        low, high = self.problem.initial_beliefs
        informed, buying, selling = _bounds(self.problem)
        trader = shocks[: self.num_trades] * selling  # those who trade
        low_buys = (trader >= informed) & (trader < buying)
        is_market = selling > 0
        of_low = self._follow(low_buys, 0)
        of_high = self._follow(trader < buying, 1)
        mixed = jax.tree.map(lambda x, y: low * x + high * y, of_low, of_high)
        return {
            "spreads": mixed["spreads"],
            "uncertainties": mixed["uncertainties"],
            "beliefs_high": of_high["beliefs"],
            "beliefs_low": of_low["beliefs"],
            "profit": jnp.where(is_market, mixed["profit"], 0),
        }

    def _follow(self, buys: Bool[Array, "trades paths"], which: int) -> dict[str, Any]:
        """Return what the dealer sees and makes on orders when a value is true."""
        levels, prior = self.problem.levels, self.problem.initial_beliefs
        chances = self.problem.order_probabilities
        first = ((1, 0), (0, 0))
        bought = jnp.cumsum(jnp.pad(buys, first), axis=0, dtype=prior.dtype)
        count = jnp.arange(self.num_trades + 1, dtype=prior.dtype)[:, None]
        sold = count - bought
        # Likelihood of the path times the prior, for either value.
        low, high = (
            jnp.log(prior[k])
            + _times(bought, jnp.log(chances[k, 2]))
            + _times(sold, jnp.log(chances[k, 0]))
            for k in (0, 1)
        )
        is_seen = jnp.maximum(low, high) > -jnp.inf
        odds = jnp.where(is_seen, high, 0) - jnp.where(is_seen, low, 0)
        odds = jnp.where(is_seen, odds, jnp.log(prior[1]) - jnp.log(prior[0]))
        small = jnp.exp(-jnp.abs(odds))
        large, small = 1 / (1 + small), small / (1 + small)
        beliefs = jnp.where(odds > 0, large, small)
        doubts = jnp.where(odds > 0, small, large)

        span = levels[1] - levels[0]
        sale, purchase = (
            doubts * chances[0, k] + beliefs * chances[1, k] for k in (0, 2)
        )
        news = chances[1, 2] * chances[0, 0] - chances[1, 0] * chances[0, 2]
        spreads = _over(span * news * beliefs * doubts, sale * purchase)
        asks = levels[0] + span * _over(beliefs * chances[1, 2], purchase)
        bids = levels[0] + span * _over(beliefs * chances[1, 0], sale)
        value = levels[which]
        gains = jnp.where(buys, asks[:-1] - value, value - bids[:-1])
        return {
            "beliefs": beliefs,
            "spreads": spreads,
            "uncertainties": jnp.sqrt(beliefs * doubts),
            "profit": gains.sum(axis=0) / max(self.num_trades, 1),
        }

    @property
    def numbers_per_path(self) -> int:
        """For either value, what the dealer sees and what lies on the way."""
        return 16 * (self.num_trades + 1)


def _bounds(
    problem: GlostenMilgrom,
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """Return up to which number a trader is informed, else buys, else sells."""
    sell, _, buy = problem.noise_probabilities
    informed = problem.informed_fraction
    return informed, informed + buy, informed + buy + sell


def _times(
    count: Float[Array, "*shape"], log_chance: Float[Array, ""]
) -> Float[Array, "*shape"]:
    """Return count x log_chance, 0 for what was never seen."""
    return jnp.where(count > 0, count * jnp.where(count > 0, log_chance, 0), 0)


def _over(x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Array:
    return jnp.where(y > 0, x / jnp.where(y > 0, y, 1), 0)
