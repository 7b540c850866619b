"""Prices and fills of sales in several assets, period by period."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt32

from gtrade.numerics.counter_random import normals
from gtrade.numerics.precision import product
from gtrade.problems.almgren_chriss_portfolio import AlmgrenChrissPortfolio
from gtrade.simulation.samplers import AbstractSampler, Outcomes


class PortfolioSampler(AbstractSampler):
    """Executes a schedule on random price paths.

    Prices and fills follow the definition of the model (`AlmgrenChrissPortfolio`), not
    its mean and variance. Prices are counted from the first ones, which no shortfall
    depends on.

    The outcome is `shortfall`: what all shares would have made at the first prices less
    what the fills made, currency.

    Attributes:
        problem: one instance.
        trades: shares sold in each period, shape (periods, assets).
        noise: maps independent normal shocks to price changes of a period: a root of
            tau C, shape (assets, assets).
    """

    problem: AlmgrenChrissPortfolio
    trades: Float[Array, "periods assets"]
    noise: Float[Array, "assets assets"]

    def __init__(
        self, problem: AlmgrenChrissPortfolio, trades: Float[Array, "periods assets"]
    ) -> None:
        """Take the symmetric root, which a singular covariance has as well."""
        self.problem, self.trades = problem, trades
        variances, vectors = jnp.linalg.eigh(problem.period_length * problem.covariance)
        scaled = vectors * jnp.sqrt(jnp.maximum(variances, 0))[None]
        self.noise = product(scaled, vectors.T)

    def draw(
        self, key: PRNGKeyArray, paths: UInt32[Array, " paths"]
    ) -> Float[Array, "periods assets paths"]:
        """Return independent standard normal shocks, some after each period."""
        shape = self.trades.shape
        drawn = normals(key, paths, shape[0] * shape[1], self.trades.dtype)
        return drawn.reshape(*shape, -1)

    def outcomes(self, shocks: Float[Array, "periods assets paths"]) -> Outcomes:
        """Return what each path's execution falls short of the first prices."""
        problem, trades = self.problem, self.trades
        rates = trades / problem.period_length
        concessions = jnp.sign(trades) * problem.fixed_costs[None]
        concessions += product(rates, problem.temporary_impact)
        falls = product(trades, problem.permanent_impact)

        def period(state, now):
            prices, shortfall = state
            sold, concession, fall, shock = now
            fills = prices - concession[:, None]
            shortfall = shortfall - (sold[:, None] * fills).sum(axis=0)
            prices = prices + product(self.noise, shock) - fall[:, None]
            return (prices, shortfall), None

        start = jnp.zeros_like(shocks[0]), jnp.zeros_like(shocks[0, 0])
        end, _ = jax.lax.scan(period, start, (trades, concessions, falls, shocks))
        return {"shortfall": end[1]}

    @property
    def numbers_per_path(self) -> int:
        return self.trades.size + 2 * self.problem.num_assets + 8
