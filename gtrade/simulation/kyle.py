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
        return normals(key, paths, 4, self.price_impact.dtype)

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

    Attributes:
        problem: the market.
        shares: part of what the price does not know that an insider's order in each
            auction takes it to, lambda beta dt, shape (auctions,).
        price_impacts: lambda in each auction, shape (auctions,).
    """

    problem: KyleSequential
    shares: Float[Array, " auctions"]
    price_impacts: Float[Array, " auctions"]

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
        """
        count = self.problem.num_insiders.astype(shocks.dtype)
        noise_std = self.problem.noise_std * jnp.sqrt(self.problem.durations)

        def auction(gap, now):
            share, impact, std, shock = now
            noise = std * shock
            move = count * share * gap + impact * noise
            left = gap - move
            # Orders are share times gap over impact; where both underflow, nothing.
            order = jnp.where(impact > 0, share * (gap / impact), 0)
            profits = order * left, -(count * order + noise) * left, noise * left
            return left, (left, move, *profits)

        start = self.problem.value_std * shocks[0]
        inputs = self.shares, self.price_impacts, noise_std, shocks[1:]
        _, (gap, move, insider, dealer, noise) = jax.lax.scan(auction, start, inputs)
        before = jnp.concatenate([start[None], gap[:-1]])
        return {
            "gap_square": gap**2,
            "move": move,
            "move_square": move**2,
            "move_gap": move * before,
            "insider_profit": insider,
            "dealer_profit": dealer,
            "noise_profit": noise,
            "total_profit": count * insider.sum(axis=0),
        }
