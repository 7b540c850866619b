"""Simulated sales of several assets against a plain loop over the same shocks."""

import jax
import jax.numpy as jnp
import numpy as np

from gtrade.simulation.almgren_chriss_portfolio import PortfolioSampler
from tests.references.almgren_chriss import portfolio_shortfall
from tests.solvers.portfolios import THREE, make, market

OUTCOMES = jax.jit(lambda sampler, shocks: sampler.outcomes(shocks)["shortfall"])


def trades():
    rng = np.random.default_rng(0)
    sold = rng.normal(size=(6, 3)) * 100
    return sold + (np.array(THREE["shares"]) - sold.sum(axis=0)) / 6


def test_shortfalls_follow_from_fills(x64):
    sampler = PortfolioSampler(make(), jnp.asarray(trades(), make().shares.dtype))
    shocks = jax.random.normal(jax.random.key(0), (6, 3, 4), sampler.trades.dtype)
    found = OUTCOMES(sampler, shocks)
    # The reference maps shocks by a triangular root, the sampler by the symmetric one.
    variances, vectors = np.linalg.eigh(np.array(THREE["covariance"]))
    root = vectors * np.sqrt(variances) @ vectors.T
    turn = np.linalg.solve(np.linalg.cholesky(np.array(THREE["covariance"])), root)
    wanted = [
        portfolio_shortfall(trades(), market(THREE), np.array(shocks[..., i]) @ turn.T)
        for i in range(4)
    ]
    np.testing.assert_allclose(found, wanted, rtol=1e-11 if x64 else 1e-4)


def test_singular_covariances_have_a_root(in_float64):
    factor = np.array([1.0, 2.0, -1.0])
    problem = make(covariance=np.outer(factor, factor))
    sampler = PortfolioSampler(problem, jnp.asarray(trades()))
    noise = np.array(sampler.noise)
    wanted = np.array(problem.period_length * problem.covariance)
    np.testing.assert_allclose(noise @ noise.T, wanted, atol=1e-7)
    # A portfolio that the factor does not move has no risk: its fills are certain.
    hedged = np.tile([[2.0, -1.0, 0.0]], (6, 1))
    problem = make(covariance=np.outer(factor, factor), shares=[12.0, -6.0, 0.0])
    sampler = PortfolioSampler(problem, jnp.asarray(hedged))
    shocks = sampler.draw(jax.random.key(1), jnp.arange(50, dtype=jnp.uint32))
    assert shocks.shape == (6, 3, 50)
    shortfalls = OUTCOMES(sampler, shocks)
    cost = jax.jit(lambda problem, n: problem.expected_cost(n))(
        problem, jnp.asarray(hedged)
    )
    np.testing.assert_allclose(shortfalls, cost, rtol=1e-6)
