"""Quotes on an asset of two values, in log-odds: what counts is how many bought.

With l = log(mu / (1 - mu)) every order adds its log-likelihood ratio to l, so beliefs
along a path are a cumulative sum, and they depend on counts alone. Certainty is l =
+-inf, which nothing moves.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gtrade.problems.glosten_milgrom import GlostenMilgrom


class LogRatios(eqx.Module):
    """log P(order | high) - log P(order | low) of a buy and of a sell, shape ().

    `buy` is in [0, inf] and `sell` in [-inf, 0]; a pass tells nothing.
    """

    buy: Float[Array, ""]
    sell: Float[Array, ""]


class Quotes(eqx.Module):
    """Quotes and belief at log-odds of any shape; prices.

    `spread` is exact to rounding however small it is beside the prices.
    """

    bid: Float[Array, "*shape"]
    ask: Float[Array, "*shape"]
    spread: Float[Array, "*shape"]
    belief: Float[Array, "*shape"]


def log_ratios(problem: GlostenMilgrom) -> LogRatios:
    """Return the evidence in a buy and in a sell; infinite if only informed do it."""
    informed = problem.informed_fraction
    sell, _, buy = problem.noise_probabilities

    def ratio(noise: Float[Array, ""]) -> Float[Array, ""]:
        # log((a + noise) / noise): small a loses nothing.
        odds = informed / jnp.where(noise > 0, noise, 1)
        certain = jnp.where(informed > 0, jnp.inf, 0).astype(odds.dtype)
        return jnp.where(noise > 0, jnp.log1p(odds), certain)

    return LogRatios(ratio(buy), -ratio(sell))


def count_orders(
    orders: Int[Array, " orders"],
) -> tuple[Int[Array, " times"], Int[Array, " times"]]:
    """Return how many have bought and sold before each order and after the last."""
    before = (1, 0)
    buys = jnp.cumsum(jnp.pad(orders == 1, before), dtype=jnp.int32)
    sells = jnp.cumsum(jnp.pad(orders == -1, before), dtype=jnp.int32)
    return buys, sells


def log_odds_after(
    prior: Float[Array, ""],
    ratios: LogRatios,
    buys: Int[Array, "*shape"],
    sells: Int[Array, "*shape"],
) -> Float[Array, "*shape"]:
    """Return the log-odds of the high value after so many buys and sells.

    A buy is paired with a sell before the rest is added: with symmetric noise a pair
    tells exactly nothing, and rounding does not grow with the length of the path.
    """
    pairs = jnp.minimum(buys, sells)
    pair = jnp.where(
        jnp.isinf(ratios.buy) & jnp.isinf(ratios.sell), 0, ratios.buy + ratios.sell
    )
    log_odds = prior + _times(pairs, pair)
    log_odds += _times(buys - pairs, ratios.buy) + _times(sells - pairs, ratios.sell)
    return jnp.where(jnp.isinf(prior), prior, log_odds)


def quotes_at(
    problem: GlostenMilgrom, ratios: LogRatios, log_odds: Float[Array, "*shape"]
) -> Quotes:
    """Return what the dealer quotes at given log-odds.

    With x and y the log-odds after a buy and after a sell, the spread is (high - low)
    (sigmoid(x) - sigmoid(y)), a quotient of hyperbolic functions with no difference of
    rounded numbers left; it is written in e^-|x| and e^-|y|, which do not overflow.
    """
    assert problem.low is not None
    assert problem.high is not None
    is_certain = jnp.isinf(log_odds)
    bought = jnp.where(is_certain, log_odds, log_odds + ratios.buy)
    sold = jnp.where(is_certain, log_odds, log_odds + ratios.sell)
    span = problem.high - problem.low
    after_buy, buy_tail, buy_share = _sigmoid(bought)
    after_sell, sell_tail, sell_share = _sigmoid(sold)
    # Where both are on one side of even odds, the one that is nearer.
    tail = jnp.where(sold > 0, sell_tail, jnp.where(bought < 0, buy_tail, 1))
    distance = -jnp.expm1(ratios.sell - ratios.buy)
    return Quotes(
        bid=problem.low + span * after_sell,
        ask=problem.low + span * after_buy,
        spread=span * distance * tail * buy_share * sell_share,
        belief=_sigmoid(log_odds)[0],
    )


def is_possible(
    problem: GlostenMilgrom, orders: Int[Array, " orders"]
) -> Bool[Array, ""]:
    """Return whether somebody would have sent each of the orders.

    Only orders without noise can be impossible: where nobody is informed, or after what
    has ruled out the one value at which they are sent. In which sequence they came does
    not matter. Passes are left out: they tell nothing, even if nobody ever passes.
    """
    assert problem.prior_high is not None
    sell, _, buy = problem.noise_probabilities
    bought = (orders == 1).any() & (buy == 0)
    sold = (orders == -1).any() & (sell == 0)
    nobody = problem.informed_fraction == 0
    never_bought = bought & (nobody | (problem.prior_high == 0))
    never_sold = sold & (nobody | (problem.prior_high == 1))
    return ~(never_bought | never_sold | (bought & sold))


def _sigmoid(
    x: Float[Array, "*shape"],
) -> tuple[Float[Array, "*shape"], Float[Array, "*shape"], Float[Array, "*shape"]]:
    """Return 1 / (1 + e^-x), and e^-|x| and 1 / (1 + e^-|x|) on the way to it."""
    tail = jnp.exp(-jnp.abs(x))
    share = 1 / (1 + tail)
    return jnp.where(x < 0, tail * share, share), tail, share


def _times(
    count: Int[Array, "*shape"], ratio: Float[Array, ""]
) -> Float[Array, "*shape"]:
    """Return count x ratio: nothing seen tells nothing, infinite ratio or not."""
    seen = jnp.maximum(count, 1).astype(ratio.dtype) * ratio
    return jnp.where(count > 0, seen, 0)
