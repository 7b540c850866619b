"""Averages over all paths of trades, exactly: beliefs depend on how many bought.

Passes tell nothing and are left out: what is counted is trades. Each of them is a buy
with a probability that depends on the value alone, so after n trades the number of buys
is binomial. Its weights are carried from one n to the next by Pascal's rule, sums of
products of positive numbers: no factorials, and no Monte Carlo.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gtrade.problems.glosten_milgrom import ExpectedCurves, GlostenMilgrom
from gtrade.solvers.two_value_quotes import (
    LogRatios,
    log_odds_after,
    quotes_at,
)


def expected_curves(
    problem: GlostenMilgrom,
    prior: Float[Array, ""],
    ratios: LogRatios,
    num_trades: int,
) -> ExpectedCurves:
    """Return averages before the first, second, ... trade.

    Args:
        problem: with two values.
        prior: log-odds of the high value before the first trade, shape ().
        ratios: evidence in a buy and in a sell.
        num_trades: the last entry is after so many; takes time in its square.

    Returns:
        Curves of `num_trades + 1` entries; constant if nobody ever trades.
    """
    dtype = prior.dtype
    buys = jnp.arange(num_trades + 1)
    chance = buy_chances(problem)
    high = jax.nn.sigmoid(prior)
    low = jax.nn.sigmoid(-prior)

    def step(weights, trades):
        sells = jnp.maximum(trades - buys, 0)
        log_odds = log_odds_after(prior, ratios, buys, sells)
        quotes = quotes_at(problem, ratios, log_odds)
        given_low, given_high = weights
        mixed = low * given_low + high * given_high
        # exp(-|l| / 2) / (1 + exp(-|l|)), without the rounding of 1 - mu.
        halved = jnp.exp(-jnp.abs(log_odds) / 2)
        uncertain = halved / (1 + halved**2)
        means = ExpectedCurves(
            spreads=(mixed * quotes.spread).sum(),
            beliefs_high=(given_high * quotes.belief).sum(),
            beliefs_low=(given_low * quotes.belief).sum(),
            uncertainties=(mixed * uncertain).sum(),
        )
        one_more = jnp.pad(weights[:, :-1], ((0, 0), (1, 0)))
        weights = (1 - chance)[:, None] * weights + chance[:, None] * one_more
        return weights, means

    start = jnp.zeros((2, num_trades + 1), dtype).at[:, 0].set(1)
    return jax.lax.scan(step, start, buys)[1]


def buy_chances(problem: GlostenMilgrom) -> Float[Array, " 2"]:
    """Return the chance that a trade is a buy, given the low and the high value."""
    sell, _, buy = problem.order_probabilities.T
    total = sell + buy
    return jnp.where(total > 0, buy / jnp.where(total > 0, total, 1), 0.5)
