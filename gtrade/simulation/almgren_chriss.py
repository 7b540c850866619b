"""Prices and fills of an execution plan, period by period."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt32

from gtrade.numerics.counter_random import normals
from gtrade.problems.almgren_chriss import AlmgrenChriss
from gtrade.simulation.samplers import AbstractSampler, Outcomes


class ExecutionSampler(AbstractSampler):
    """Executes a plan on random price paths.

    Prices and fills follow the definition of the model (`AlmgrenChriss`), not its mean
    and variance. Prices are counted from the first one, which no shortfall depends on.

    The outcome is `shortfall`: what all shares would have made at the first price less
    what the fills made, currency.

    Attributes:
        problem: one instance.
        trades: shares sold in each period, shape (periods,).
    """

    problem: AlmgrenChriss
    trades: Float[Array, " periods"]

    def draw(
        self, key: PRNGKeyArray, paths: UInt32[Array, " paths"]
    ) -> Float[Array, "periods paths"]:
        """Return standard normal price shocks, one after each period."""
        return normals(key, paths, self.problem.num_periods, self.trades.dtype)

    def outcomes(self, shocks: Float[Array, "periods paths"]) -> Outcomes:
        """Return what each path's execution falls short of the first price."""
        problem, trades = self.problem, self.trades
        side = jnp.sign(trades)
        size = jnp.abs(trades)
        power = jnp.where(size > 0, jnp.where(size > 0, size, 1) ** problem.exponent, 0)
        concession = side * (problem.fixed_cost + problem.impact_coefficients * power)
        noise = problem.volatility * jnp.sqrt(problem.period_length)

        def period(state, now):
            price, shortfall = state
            trade, concession, shock = now
            shortfall = shortfall - trade * (price - concession)
            price = price + noise * shock - problem.permanent_impact * trade
            return (price, shortfall), None

        start = jnp.zeros_like(shocks[0]), jnp.zeros_like(shocks[0])
        end, _ = jax.lax.scan(period, start, (trades, concession, shocks))
        return {"shortfall": end[1]}

    @property
    def numbers_per_path(self) -> int:
        return self.problem.num_periods + 8
