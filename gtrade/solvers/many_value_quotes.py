"""Quotes on an asset of K values, with informed traders who look at them.

Who buys depends on the ask and the ask on who buys. If the informed buy from value j
on, the expected value given a buy is A_j; exactly one j agrees with its own A_j, the
first whose A_j is below v_j, and the ask is that A_j, the largest of all. With F_m the
probability of one of the first m values and d_m the step from value m to the next,

    A_j < v_j  if and only if
    noise sum_{m<j} F_m d_m > (noise + a) sum_{m>=j} (1 - F_m) d_m.

Both sides are sums of positive terms, computed in logarithms: nothing cancels, and
beliefs may come as close to certainty as they like. Where they agree to rounding the
quote is the value v_j, and those who know it pass: with values and noise that are
symmetric this happens after every buy.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gtrade.problems.glosten_milgrom import GlostenMilgrom

# Units of rounding in which two logarithms may differ and count as equal.
_ROUNDING = 256


class ElasticQuotes(eqx.Module):
    """Quotes at one belief, and what orders at them tell.

    Attributes:
        bid: price, shape ().
        ask: price, shape ().
        spread: exact to rounding however small it is, price, shape ().
        log_probabilities: of a sell, a pass and a buy given each value, (3, values).
    """

    bid: Float[Array, ""]
    ask: Float[Array, ""]
    spread: Float[Array, ""]
    log_probabilities: Float[Array, "3 values"]


class ElasticPath(eqx.Module):
    """Quotes and log-beliefs along a path; see `QuotePath` for shapes.

    Attributes:
        is_possible: whether somebody would have sent every order, shape ().
        uses_limit: whether a pass came that nobody would send, shape ().
    """

    bids: Float[Array, " times"]
    asks: Float[Array, " times"]
    spreads: Float[Array, " times"]
    log_beliefs: Float[Array, "times values"]
    is_possible: Bool[Array, ""]
    uses_limit: Bool[Array, ""]


def elastic_quotes(
    problem: GlostenMilgrom, log_beliefs: Float[Array, " values"]
) -> ElasticQuotes:
    """Return the quotes of a dealer with these beliefs.

    Where nobody uninformed would buy, no ask below the highest value that is possible
    breaks even. There it stands, and nobody gains by a buy; likewise for the bid.
    """
    values, informed = problem.levels, problem.informed_fraction
    noise = problem.noise_probabilities
    never = jnp.full((1,), -jnp.inf, log_beliefs.dtype)
    log_steps = _log(jnp.diff(values))
    up_to = jnp.minimum(jax.lax.cumlogsumexp(log_beliefs), 0)
    from_on = jnp.minimum(jax.lax.cumlogsumexp(log_beliefs, reverse=True), 0)
    # What the values below, and those above, lie away from each value on average.
    below = jnp.append(never, jax.lax.cumlogsumexp(up_to[:-1] + log_steps))
    above = jax.lax.cumlogsumexp(from_on[1:] + log_steps, reverse=True)
    above = jnp.append(above, never)
    mean = values[0] + jnp.exp(above[0])

    count = len(values)
    log_sell, log_buy = _log(noise[0]), _log(noise[2])
    is_fit, ties_ask = _compare(log_buy + below, _log(noise[2] + informed) + above)
    first_buyer = jnp.where(is_fit.any(), jnp.argmax(is_fit), count)
    is_fit, ties_bid = _compare(log_sell + above, _log(noise[0] + informed) + below)
    num_sellers = count - jnp.where(is_fit.any(), jnp.argmax(is_fit[::-1]), count)

    place = jnp.arange(count)
    buys, sells = place >= first_buyer, place < num_sellers
    # Cov(v, 1{v buys}) over the probability of a buy, times a: what a buy is news of.
    share = jnp.append(from_on, never)[first_buyer]
    news = jnp.logaddexp(
        jnp.append(never, up_to)[first_buyer] + jnp.append(above, never)[first_buyer],
        share + jnp.append(below, never)[first_buyer],
    )
    premium = _quotient(informed, news, noise[2] + informed * jnp.exp(share))
    share = jnp.append(never, up_to)[num_sellers]
    news = jnp.logaddexp(
        jnp.append(from_on, never)[num_sellers] + jnp.append(never, below)[num_sellers],
        share + jnp.append(never, above)[num_sellers],
    )
    discount = _quotient(informed, news, noise[0] + informed * jnp.exp(share))
    is_held = log_beliefs > -jnp.inf
    lowest = values[jnp.argmax(is_held)]
    highest = values[count - 1 - jnp.argmax(is_held[::-1])]
    fails = problem.market_fails
    discount = jnp.where(fails[0], mean - lowest, discount)
    premium = jnp.where(fails[1], highest - mean, premium)
    bid = _settle(mean - discount, values, ties_bid, num_sellers)
    ask = _settle(mean + premium, values, ties_ask, first_buyer - 1)
    bid, ask = jnp.where(fails[0], lowest, bid), jnp.where(fails[1], highest, ask)
    passes = ~buys & ~sells
    acts = jnp.stack([sells, passes, buys]).astype(values.dtype)
    chances = noise[:, None] + informed * acts
    return ElasticQuotes(bid, ask, premium + discount, _log(chances))


def elastic_path(problem: GlostenMilgrom) -> ElasticPath:
    """Return quotes and beliefs before every order and after the last one."""

    def step(carry, order):
        beliefs, is_possible, uses_limit = carry
        quotes = elastic_quotes(problem, beliefs)
        joint = beliefs + quotes.log_probabilities[order + 1]
        total = jax.nn.logsumexp(joint)
        is_seen = total > -jnp.inf
        is_pass = order == 0
        after = jnp.where(is_seen, joint - jnp.where(is_seen, total, 0), beliefs)
        # Of two values none passes unless noise does: then a pass is no news.
        carry = after, is_possible & (is_seen | is_pass), uses_limit | ~is_seen
        return carry, (quotes.bid, quotes.ask, quotes.spread, beliefs)

    start = _log(problem.initial_beliefs), jnp.array(True), jnp.array(False)
    (last, is_possible, uses_limit), path = jax.lax.scan(step, start, problem.orders)
    final = elastic_quotes(problem, last)
    ends = final.bid, final.ask, final.spread, last
    bids, asks, spreads, beliefs = (
        jnp.append(x, end[None], axis=0) for x, end in zip(path, ends, strict=True)
    )
    return ElasticPath(bids, asks, spreads, beliefs, is_possible, uses_limit)


def _compare(
    left: Float[Array, " values"], right: Float[Array, " values"]
) -> tuple[Bool[Array, " values"], Bool[Array, " values"]]:
    """Return where the left logarithms are larger, and where both are equal."""
    eps = float(jnp.finfo(left.dtype).eps)
    slack = _ROUNDING * eps * jnp.maximum(jnp.abs(right), 1)
    is_finite = jnp.isfinite(left) & jnp.isfinite(right)
    ties = is_finite & (jnp.abs(left - jnp.where(is_finite, right, 0)) <= slack)
    return (left > right) & ~ties, ties


def _settle(
    quote: Float[Array, ""],
    values: Float[Array, " values"],
    ties: Bool[Array, " values"],
    place: Int[Array, ""],
) -> Float[Array, ""]:
    """Return the quote, or the value at a place if it equals that to rounding."""
    inside = jnp.clip(place, 0, len(values) - 1)
    is_tie = (place == inside) & ties[inside]
    # The derivative remains that of the quote.
    rest = jax.lax.stop_gradient(values[inside] - quote)
    return jnp.where(is_tie, quote + rest, quote)


def _log(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return log x with -inf at 0, and a derivative of 0 there."""
    is_positive = x > 0
    log = jnp.log(jnp.where(is_positive, x, 1))
    return jnp.where(is_positive, log, -jnp.inf)


def _quotient(
    factor: Float[Array, ""], log_x: Float[Array, ""], y: Float[Array, ""]
) -> Float[Array, ""]:
    """Return factor exp(log_x) / y, and 0 where nobody trades."""
    return jnp.where(y > 0, factor * jnp.exp(log_x) / jnp.where(y > 0, y, 1), 0)
