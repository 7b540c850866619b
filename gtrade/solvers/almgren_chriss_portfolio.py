"""Liquidation of several assets: one eigendecomposition, then one asset at a time."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float, PRNGKeyArray

from gtrade.numerics.precision import product
from gtrade.numerics.sinh_profile import decay_per_step, sinh_profile
from gtrade.problems.almgren_chriss_portfolio import (
    AlmgrenChrissPortfolio,
    PortfolioSchedule,
)
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver

# Rounding units by which conditions may be missed, for a coordinate of 1.
_ROUNDING = 1e4


class PortfolioClosedForm(AbstractSolver):
    """Turn to portfolios that neither risk nor impact connects, and sell each alone.

    First-order conditions at the inner times are, with A = H - tau G / 2,

        A (2 x_k - x_{k-1} - x_{k+1}) + risk_aversion tau^2 C x_k = 0.

    With A = L L' and the eigenvectors U of L^-1 C L^-T, the coordinates y = U' L' x
    obey N independent scalar recursions, whose solutions are ratios of sinh (Almgren &
    Chriss 2001, appendix A; a triangular L in the place of the symmetric root of A
    gives the same x and saves a decomposition).

    Derivatives come from the conditions, not from the eigenvectors, which have none
    where eigenvalues coincide: at a risk aversion of 0 all do.
    """

    def solve(
        self, problem: AlmgrenChrissPortfolio, *, key: PRNGKeyArray | None = None
    ) -> Solution[PortfolioSchedule]:
        """Solve one instance.

        Returns:
            The schedule, with status `converged`, `stalled` (rounding spoiled it) or
            `invalid_input`; the residual is the largest violation of the conditions
            for the coordinates y, relative to the largest of these and the curvature.
        """
        problem, is_valid = problem.admitted()
        impact = problem.net_impact
        risk = problem.risk_aversion * problem.period_length**2 * problem.covariance
        steps = problem.num_periods
        holdings, trades = optimal_schedule(problem.shares, impact, risk, steps)

        impact, risk, path = jax.lax.stop_gradient((impact, risk, holdings))
        basis = _decouple(impact, risk)
        missed = product(_conditions(path, impact, risk), basis.assets)
        size = jnp.abs(product(basis.inverse, path[0])).max() * (
            4 + basis.curvatures.max()
        )
        residual = jnp.max(jnp.abs(missed), initial=0) / jnp.where(size > 0, size, 1)
        tol = _ROUNDING * jnp.finfo(residual.dtype).eps
        status = Status.where(residual <= tol, Status.converged, Status.stalled)
        status = Status.where(is_valid, status, Status.invalid_input)
        rates = decay_per_step(basis.curvatures) / problem.period_length
        value, residual = jax.tree.map(
            lambda x: jnp.where(is_valid, x, jnp.nan),
            (PortfolioSchedule(trades, holdings, rates), residual),
        )
        return Solution(value, status, residual, jnp.zeros((), jnp.int32))


@functools.partial(jax.custom_jvp, nondiff_argnums=(3,))
def optimal_schedule(
    shares: Float[Array, " assets"],
    impact: Float[Array, "assets assets"],
    risk: Float[Array, "assets assets"],
    num_periods: int,
) -> tuple[Float[Array, "points assets"], Float[Array, "periods assets"]]:
    """Return the holdings and sales that make what they cost least.

    Args:
        shares: to sell, shape (assets,).
        impact: A = H - tau G / 2, positive definite.
        risk: risk aversion times tau^2 C, positive semidefinite, in the units of A.
        num_periods: N (static).
    """
    basis = _decouple(impact, risk)
    profile = jax.vmap(lambda c: sinh_profile(c, num_periods), out_axes=1)
    positions, changes = profile(basis.curvatures)
    start = product(basis.inverse, shares)[None]
    holdings = product(positions * start, basis.assets.T)
    holdings = holdings.at[0].set(shares)
    return holdings, product(changes * start, basis.assets.T)


@optimal_schedule.defjvp
def _differentiate(num_periods: int, primals: tuple, tangents: tuple) -> tuple:
    """Differentiate the first-order conditions at their solution."""
    shares, impact, risk = primals
    schedule = optimal_schedule(shares, impact, risk, num_periods)
    if num_periods == 1:
        start, _, _ = tangents
        return schedule, (jnp.stack([start, 0 * start]), start[None])
    start, impact_change, risk_change = tangents
    right = -_conditions(schedule[0], impact_change, risk_change)
    right = right.at[0].add(product(start, impact))
    basis = jax.lax.stop_gradient(_decouple(impact, risk))

    def conditions(inner: Array) -> Array:
        return _conditions(jnp.pad(inner, [(1, 1), (0, 0)]), impact, risk)

    def inverse(_, right: Array) -> Array:
        solved = _solve_recursions(basis.curvatures, product(right, basis.assets))
        return product(solved, basis.assets.T)

    inner = jax.lax.custom_linear_solve(conditions, right, inverse, symmetric=True)
    holdings = jnp.concatenate([start[None], inner, jnp.zeros_like(start)[None]])
    return schedule, (holdings, holdings[:-1] - holdings[1:])


class _Decoupled(NamedTuple):
    """Portfolios that are sold independently of each other.

    Attributes:
        assets: W, what they consist of, one a column, with W' A W = 1.
        inverse: W^-1, which gives the coordinates y of holdings.
        curvatures: diagonal of W' risk W, at least 0, ascending, shape (assets,).
    """

    assets: Float[Array, "assets assets"]
    inverse: Float[Array, "assets assets"]
    curvatures: Float[Array, " assets"]


def _decouple(
    impact: Float[Array, "assets assets"], risk: Float[Array, "assets assets"]
) -> _Decoupled:
    root = jnp.linalg.cholesky(impact)
    half = solve_triangular(root, risk, lower=True)
    both = solve_triangular(root, half.T, lower=True)
    curvatures, vectors = jnp.linalg.eigh((both + both.T) / 2)
    assets = solve_triangular(root.T, vectors, lower=False)
    # Rounding may leave a variance of zero slightly below it.
    return _Decoupled(assets, product(vectors.T, root.T), jnp.maximum(curvatures, 0))


def _conditions(
    holdings: Float[Array, "points assets"],
    impact: Float[Array, "assets assets"],
    risk: Float[Array, "assets assets"],
) -> Float[Array, "inner assets"]:
    """Return the conditions' left sides at the inner times."""
    inner = holdings[1:-1]
    bends = 2 * inner - holdings[:-2] - holdings[2:]
    return product(bends, impact) + product(inner, risk)


def _solve_recursions(
    curvatures: Float[Array, " assets"], right: Float[Array, "inner assets"]
) -> Float[Array, "inner assets"]:
    """Solve (2 + c) y_k - y_{k-1} - y_{k+1} = right_k, y zero outside, for every c."""

    def forward(before, right):
        factor, value = before
        factor = 1 / (2 + curvatures - factor)
        value = (right + value) * factor
        return (factor, value), (factor, value)

    def backward(after, row):
        factor, value = row
        value = value + factor * after
        return value, value

    zero = jnp.zeros_like(curvatures)
    _, rows = jax.lax.scan(forward, (zero, zero), right)
    return jax.lax.scan(backward, zero, rows, reverse=True)[1]
