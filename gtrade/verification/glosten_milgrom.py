"""Evidence about quotes: break-even and Bayes' rule from the chances of orders."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln, xlogy
from jaxtyping import Array, Float

from gtrade.numerics.precision import product, require_float64
from gtrade.problems.glosten_milgrom import ExpectedCurves, GlostenMilgrom, QuotePath
from gtrade.simulation.simulated import Simulated, answer_of, simulated_columns
from gtrade.solution import Solution, has_value

CURVES = {
    "expected_spreads": "spreads",
    "expected_beliefs_high": "beliefs_high",
    "expected_beliefs_low": "beliefs_low",
    "expected_uncertainties": "uncertainties",
}


def verify_glosten_milgrom(
    problem: GlostenMilgrom,
    solver: Any,
    solution: Solution[QuotePath | Simulated[QuotePath]],
    arrays: tuple[str, ...] = (),
) -> dict[str, Array]:
    """Measure a path of quotes; see the catalog for the columns."""
    require_float64("verification")
    answer = answer_of(solution.value)
    path = jax.tree.map(lambda x: x.astype(jnp.float64), answer)
    high_rate, low_rate, decay = learning_rates(problem)
    columns = {
        "bids": path.bids[:-1],
        "asks": path.asks[:-1],
        "beliefs": path.beliefs,
        "spreads": path.spreads[:-1],
        "final_bid": path.bids[-1],
        "final_ask": path.asks[-1],
        "dealer_profit": _expected_profit(problem, path),
        "zero_profit_residual": zero_profit_residual(problem, path),
        "belief_residual": belief_residual(problem, path),
        "curve_residual": curve_residual(problem, path.curves),
        "information_rate_high": high_rate,
        "information_rate_low": low_rate,
        "decay_factor": decay,
    }
    num_trades = getattr(solver, "num_trades", 0)
    absent = jnp.full(num_trades + 1, jnp.nan)
    curves = {
        name: absent if path.curves is None else getattr(path.curves, field)
        for name, field in CURVES.items()
    }
    if isinstance(solution.value, Simulated):
        columns |= curves | simulated_columns(solution.value)
    has_answer = has_value(solution.status)
    columns = {k: jnp.where(has_answer, x, jnp.nan) for k, x in columns.items()}
    columns["market_fails"] = problem.market_fails & has_answer
    kept = {"mean_values": product(_weights(path.beliefs), problem.levels), **curves}
    return columns | {name: kept[name] for name in arrays}


def zero_profit_residual(problem: GlostenMilgrom, path: QuotePath) -> Float[Array, ""]:
    """Return how far any quote is from the mean value given the order, price units.

    The mean is taken by Bayes' rule, with the chances of the order at the quotes; where
    nobody sends it there is none. Spreads count by their distance from ask less bid.
    """
    weights = _weights(path.beliefs)
    chances = jax.vmap(problem.probabilities_at)(path.bids, path.asks)
    worst = jnp.abs(path.spreads - (path.asks - path.bids)).max()
    for order, quotes in ((0, path.bids), (2, path.asks)):
        joint = weights * chances[..., order]
        total = joint.sum(axis=-1)
        mean = product(joint, problem.levels) / jnp.where(total > 0, total, 1)
        gap = jnp.where(total > 0, jnp.abs(quotes - mean), 0)
        worst = jnp.maximum(worst, gap.max())
    return worst


def belief_residual(problem: GlostenMilgrom, path: QuotePath) -> Float[Array, ""]:
    """Return the largest violation of the prior and of Bayes' rule in any step."""
    weights = _weights(path.beliefs)
    start = jnp.abs(weights[0] - problem.initial_beliefs).max()
    if not len(problem.orders):
        return start
    chances = jax.vmap(problem.probabilities_at)(path.bids[:-1], path.asks[:-1])
    seen = jnp.take_along_axis(chances, problem.orders[:, None, None] + 1, axis=-1)
    joint = weights[:-1] * seen[..., 0]
    total = joint.sum(axis=-1, keepdims=True)
    after = jnp.where(total > 0, joint / jnp.where(total > 0, total, 1), weights[:-1])
    return jnp.maximum(start, jnp.abs(after - weights[1:]).max())


def curve_residual(
    problem: GlostenMilgrom, curves: ExpectedCurves | None
) -> Float[Array, ""]:
    """Return the largest error of averages over paths, spreads over high - low.

    Binomial weights come from factorials and beliefs from products of likelihoods,
    both in logarithms. NaN for K values, which have no such averages.
    """
    if curves is None:
        return jnp.full((), jnp.nan)
    assert problem.low is not None
    assert problem.high is not None
    exact = _averages(problem, len(curves.spreads))
    errors = jax.tree.map(lambda x, y: jnp.abs(x - y).max(), curves, exact)
    span = problem.high - problem.low
    spread = jnp.where(span > 0, errors.spreads / jnp.where(span > 0, span, 1), 0)
    others = errors.beliefs_high, errors.beliefs_low, errors.uncertainties
    return jnp.stack([spread, *others]).max()


def learning_rates(
    problem: GlostenMilgrom,
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """Return how fast an arrival teaches which of two values it is.

    Returns:
        The mean gain in log-odds of the true value, if that is the high and if it is
        the low one (Kullback-Leibler divergences, infinite where an order can prove
        it), and the factor by which the mean of sqrt(mu (1 - mu)) shrinks. NaN for K
        values, where they change along the path.
    """
    if not problem.is_two_valued:
        nan = jnp.full((), jnp.nan)
        return nan, nan, nan
    low, high = problem.order_probabilities

    def divergence(true, other):
        ratio = jnp.log(jnp.where(true > 0, true, 1)) - jnp.log(other)
        return jnp.where(true > 0, true * ratio, 0).sum()

    decay = jnp.sqrt(low * high).sum()
    return divergence(high, low), divergence(low, high), decay


def _expected_profit(problem: GlostenMilgrom, path: QuotePath) -> Float[Array, ""]:
    """Return what the dealer expects to make on an order at its first quotes."""
    bid, ask, levels = path.bids[0], path.asks[0], problem.levels
    sells, _, buys = problem.probabilities_at(bid, ask).T
    gains = buys * (ask - levels) + sells * (levels - bid)
    return product(problem.initial_beliefs, gains)


def _weights(beliefs: Float[Array, "times *values"]) -> Float[Array, "times values"]:
    """Return the probabilities of all values."""
    if beliefs.ndim == 2:
        return beliefs
    return jnp.stack([1 - beliefs, beliefs], axis=-1)


def _averages(problem: GlostenMilgrom, num_points: int) -> ExpectedCurves:
    """Return averages over paths of trades, one number of trades at a time."""
    assert problem.low is not None
    assert problem.high is not None
    sell, _, buy = problem.order_probabilities.T
    traded = jnp.where(sell + buy > 0, sell + buy, 1)
    is_active = (sell + buy > 0).all()
    buy, sell = (jnp.where(is_active, x / traded, 0.5) for x in (buy, sell))
    prior, span = problem.initial_beliefs, problem.high - problem.low
    buys = jnp.arange(num_points, dtype=prior.dtype)

    def at(trades):
        sells = jnp.maximum(trades - buys, 0)
        paths = xlogy(buys[:, None], buy[None]) + xlogy(sells[:, None], sell[None])
        ways = gammaln(trades + 1) - gammaln(buys + 1) - gammaln(sells + 1)
        chances = jnp.exp(ways[:, None] + paths)
        chances = jnp.where((buys <= trades)[:, None], chances, 0)
        joint = paths + jnp.log(prior)[None]
        is_seen = (joint > -jnp.inf).any(axis=1, keepdims=True)
        mu = jax.nn.softmax(jnp.where(is_seen, joint, jnp.log(prior)[None]), axis=1)
        uncertain = mu[:, 0] * mu[:, 1]
        both = product(mu, buy) * product(mu, sell)
        gap = span * (buy[1] * sell[0] - buy[0] * sell[1]) * uncertain
        spreads = jnp.where(both > 0, gap / jnp.where(both > 0, both, 1), 0)
        mixed = product(chances, prior)
        return ExpectedCurves(
            spreads=product(mixed, spreads),
            beliefs_high=product(chances[:, 1], mu[:, 1]),
            beliefs_low=product(chances[:, 0], mu[:, 1]),
            uncertainties=product(mixed, jnp.sqrt(uncertain)),
        )

    return jax.lax.map(at, buys)
