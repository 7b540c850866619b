"""Evidence about Kyle's auctions in sequence: deviations, pricing, learning.

Prices, orders and what is left to learn shrink together, by hundreds of powers of ten
with many insiders. So all is measured relative to the scale of its auction.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gtrade.numerics.precision import require_float64
from gtrade.problems.kyle import KyleSequential
from gtrade.simulation.simulated import answer_of, simulated_columns
from gtrade.solution import Solution, has_value


def verify_kyle_sequential(
    problem: KyleSequential,
    solver: Any,
    solution: Solution,
    arrays: tuple[str, ...] = (),
) -> dict[str, Array]:
    """Measure an equilibrium; see the catalog for the columns.

    Of a solution only price impacts and intensities are read. What the dealer knows
    follows from them by linear projection, and what an insider could earn by a linear
    quadratic control problem against the others' orders.
    """
    del solver
    require_float64("verification")
    answer = jax.tree.map(lambda x: x.astype(jnp.float64), answer_of(solution.value))
    is_certain = problem.is_certain
    market, is_valid = problem.admitted()
    count = market.num_insiders.astype(jnp.float64)
    steps = market.durations
    log_impact = jnp.where(is_certain, 0, answer.log_price_impact)
    log_intensity = jnp.where(is_certain, 0, answer.log_intensity)
    share = jnp.exp(log_impact + log_intensity + jnp.log(steps))
    log_noise = jnp.log(market.noise_std) + jnp.log(steps) / 2

    # What an auction leaves of the variance that it finds, relative to that.
    log_start = 2 * jnp.log(market.value_std)

    def learn(log_variance: Array, now: tuple[Array, Array, Array]) -> Any:
        share, log_impact, log_noise = now
        noise = jnp.exp(2 * (log_impact + log_noise) - log_variance)
        flow = (count * share) ** 2 + noise  # variance of lambda y over Sigma
        projection = count * share / flow
        left = (1 - count * share) ** 2 + noise
        after = log_variance + jnp.log(left)
        return after, (log_variance, after, projection)

    inputs = share, log_impact, log_noise
    _, (before, after, projection) = jax.lax.scan(learn, log_start, inputs)

    # Best responses from the last auction back; alpha lambda has no scale.
    others = 1 - (count - 1) * share

    def respond(slope: Array, now: tuple[Array, Array, Array, Array]) -> Any:
        """Take lambda_n alpha_n to lambda_(n-1) alpha_(n-1)."""
        share, others, log_impact, log_previous = now
        best = others * (1 - 2 * slope) / (2 * (1 - slope))
        left = others - best
        value = best * left + slope * left**2  # lambda_n alpha_(n-1)
        loss = (1 - slope) * (share - best) ** 2
        return value * jnp.exp(log_previous - log_impact), (best, loss, slope)

    previous = jnp.concatenate([log_impact[:1], log_impact[:-1]])
    inputs = share, others, log_impact, previous
    none = jnp.zeros((), jnp.float64)
    _, (best, loss, slope) = jax.lax.scan(respond, none, inputs, reverse=True)
    # The gain from a deviation: losses summed along the path played, per insider.
    gain = (loss * jnp.exp(before - log_impact)).sum()
    is_concave = (slope < 1).all()  # else ever larger orders earn ever more
    gain = jnp.where(is_concave, gain, jnp.inf)

    earned = share * (1 - count * share) * jnp.exp(before - log_impact)
    noise_loss = jnp.exp(log_impact + 2 * log_noise)
    columns = {
        "price_impact": jnp.exp(log_impact),
        "intensity": jnp.exp(log_intensity),
        "insider_profit": earned,
        "posterior_variance": jnp.exp(after),
        "total_profit": count * earned.sum(),
        "exploitability": gain,
        "foc_residual": jnp.abs(best / share - 1).max(),
        "pricing_residual": jnp.abs(projection - 1).max(),
        "second_order": (1 - slope).min(),
        "dealer_profit": _dealer_profit(count, share, before, log_impact, log_noise),
        "noise_profit": -noise_loss,
    }
    still = {"posterior_variance": 0.0, "second_order": 1.0}
    kept = {
        "times": jnp.cumsum(steps),
        "log_posterior_variance": after,
        "log_price_impact": log_impact,
    }
    frozen = {"times": kept["times"], "log_posterior_variance": -jnp.inf}
    frozen["log_price_impact"] = -jnp.inf
    columns |= {name: kept[name] for name in arrays}
    still |= frozen
    columns = {
        name: jnp.where(is_certain, still.get(name, 0.0), x)
        for name, x in columns.items()
    }
    columns |= simulated_columns(solution.value)
    is_answered = has_value(solution.status) & is_valid
    return {name: jnp.where(is_answered, x, jnp.nan) for name, x in columns.items()}


def _dealer_profit(
    count: Float[Array, ""],
    share: Float[Array, " auctions"],
    log_variance: Float[Array, " auctions"],
    log_impact: Float[Array, " auctions"],
    log_noise: Float[Array, " auctions"],
) -> Float[Array, " auctions"]:
    """Return E[flow (price - value)] in each auction."""
    noise = jnp.exp(log_impact + 2 * log_noise)
    informed = jnp.exp(log_variance - log_impact) * count * share
    return noise - informed * (1 - count * share)
