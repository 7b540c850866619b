"""Kyle's markets, played at random under given pricing rules and intensities."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt32

from gtrade.numerics.counter_random import normals
from gtrade.problems.kyle import Kyle, KyleSequential
from gtrade.simulation.samplers import AbstractSampler, Outcomes

DEVIATIONS = (0.5, 0.8, 1.0, 1.25, 1.5)
"""Factors by which a deviating insider multiplies its orders."""


class KyleMarket(AbstractSampler):
    """One auction; every outcome but the profits is a deviation from its mean.

    Attributes:
        problem: the market.
        price_impact: slope of the pricing rule, shape ().
        intensity: shares that each insider buys per unit of its signal, shape ().
    """

    problem: Kyle
    price_impact: Float[Array, ""]
    intensity: Float[Array, ""]

    @property
    def numbers_per_path(self) -> int:
        return 24

    def draw(
        self, key: PRNGKeyArray, paths: UInt32[Array, " paths"]
    ) -> Float[Array, "draws paths"]:
        """Return standard normals: value, noise, the first and all others' errors."""
        market_key, error_key = jax.random.split(key)
        dtype = self.price_impact.dtype
        market = normals(market_key, paths, 2, dtype)
        errors = jax.lax.cond(
            self.problem.signal_noise_std > 0,
            lambda: normals(error_key, paths, 2, dtype),
            lambda: jnp.zeros_like(market),  # not worth drawing
        )
        return jnp.concatenate([market, errors])

    def mirrored(
        self, shocks: Float[Array, "draws paths"]
    ) -> Float[Array, "draws paths"]:
        """Turn noise flow round; profits are even in all shocks together."""
        signs = jnp.array([1, -1, 1, 1], shocks.dtype)
        return shocks * signs[:, None]

    def outcomes(self, shocks: Float[Array, "draws paths"]) -> Outcomes:
        """Return what a market comes to.

        `insider_profit` is the mean of all insiders', `rest` the value less what the
        first insider pays for the others' flow, and `deviation_profits`, shape
        (factors, paths), what the first insider earns with its orders times each of
        `DEVIATIONS`.
        """
        problem, dtype = self.problem, shocks.dtype
        count = problem.num_insiders.astype(dtype)
        value = problem.value_std * shocks[0]
        noise = problem.noise_std * shocks[1]
        # Without information a signal is noise of no size that anybody could use.
        is_heard = jnp.isfinite(problem.signal_noise_std)
        error_std = jnp.where(is_heard, problem.signal_noise_std, 0)
        error = error_std * shocks[2]
        signal = value + error
        if problem.signals == "common":
            others = (count - 1) * signal
        else:
            others = (count - 1) * value + error_std * jnp.sqrt(count - 1) * shocks[3]
        own, others = self.intensity * signal, self.intensity * others
        flow = own + others + noise
        gap = value - self.price_impact * flow  # value less price
        factors = jnp.array(DEVIATIONS, dtype)[:, None]
        pushed = gap[None] - self.price_impact * (factors - 1) * own[None]
        return {
            "value": value,
            "signal": signal,
            "flow": flow,
            "gap": gap,
            "rest": value - self.price_impact * (others + noise),
            "value_square": value**2,
            "insider_profit": (own + others) * gap / count,
            "dealer_profit": -flow * gap,
            "noise_profit": noise * gap,
            "deviation_profits": factors * own[None] * pushed,
        }


class KyleAuctions(AbstractSampler):
    """Auctions in sequence, in what the price has still to learn.

    That and the price impact shrink together, past the smallest float with many
    insiders. So both come as logarithms, and what is still to learn before an auction
    is carried in a unit of its own.

    Attributes:
        problem: the market.
        shares: part of what the price does not know that an insider's order in each
            auction takes it to, lambda beta dt, shape (auctions,).
        log_price_impacts: logarithm of lambda in each auction, shape (auctions,).
        log_units: logarithm of what is about the standard deviation of the value before
            each auction, and after the last one, price, shape (auctions + 1,).
    """

    problem: KyleSequential
    shares: Float[Array, " auctions"]
    log_price_impacts: Float[Array, " auctions"]
    log_units: Float[Array, " edges"]

    @property
    def numbers_per_path(self) -> int:
        return 12 * len(self.shares)

    def draw(
        self, key: PRNGKeyArray, paths: UInt32[Array, " paths"]
    ) -> Float[Array, "draws paths"]:
        """Return standard normals: the value, then noise in each auction."""
        return normals(key, paths, 1 + len(self.shares), self.shares.dtype)

    def mirrored(
        self, shocks: Float[Array, "draws paths"]
    ) -> Float[Array, "draws paths"]:
        """Turn noise flow round; profits are even in all shocks together."""
        return jnp.concatenate([shocks[:1], -shocks[1:]])

    def outcomes(self, shocks: Float[Array, "draws paths"]) -> Outcomes:
        """Return outcomes in each auction, shape (auctions, paths), and their sums.

        `gap` is the value less the price that the auction sets, `move` the price move.
        `unit_move_square`, `unit_move_gap` and `unit_gap_square` are products of the
        move, the gap before and the gap after the auction in its unit.
        """
        count = self.problem.num_insiders.astype(shocks.dtype)
        units, impacts = self.log_units[:-1], self.log_price_impacts
        log_noise = jnp.log(self.problem.noise_std)
        log_noise = log_noise + jnp.log(self.problem.durations) / 2
        noise_std = jnp.exp(impacts + log_noise - units)  # what it moves prices by
        growth = jnp.exp(units - self.log_units[1:])
        pushed = noise_std[:, None] * shocks[1:]
        start = jnp.exp(jnp.log(self.problem.value_std) - self.log_units[0]) * shocks[0]

        # One auction waits for another in this alone: the rest is arithmetic on all.
        def auction(gap, now):
            kept, growth, pushed = now
            left = kept * gap - pushed
            return growth * left, left

        kept = 1 - count * self.shares
        _, left = jax.lax.scan(auction, start, (kept, growth, pushed))
        gap = jnp.concatenate([start[None], growth[:-1, None] * left[:-1]])
        share = self.shares[:, None]
        move = count * share * gap + pushed
        unit = jnp.exp(units)[:, None]
        worth = jnp.exp(2 * units - impacts)[:, None]  # of products over the impact
        insider = share * gap * left * worth
        return {
            "gap_square": (left * unit) ** 2,
            "move": move * unit,
            "unit_move_square": move**2,
            "unit_move_gap": move * gap,
            "unit_gap_square": left**2,
            "insider_profit": insider,
            "dealer_profit": -move * left * worth,
            "noise_profit": pushed * left * worth,
            "total_profit": count * insider.sum(axis=0),
        }
