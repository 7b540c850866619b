"""Evidence about schedules for several assets: their cost, and what is left to gain.

The cost of a schedule is a convex quadratic function of the holdings x at the inner
times, with a Hessian K of blocks. Short of the optimum by g' K^-1 g / 2, with g the
gradient, a schedule can be measured without knowing where the optimum is.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve
from jax.scipy.special import ndtri
from jax.scipy.stats import norm
from jaxtyping import Array, Float

from gtrade.numerics.cyclic_reduction import solve_block_tridiagonal
from gtrade.numerics.precision import product, require_float64
from gtrade.problems.almgren_chriss_portfolio import (
    AlmgrenChrissPortfolio,
    PortfolioSchedule,
)
from gtrade.simulation.simulated import answer_of, simulated_columns
from gtrade.solution import Solution, has_value

# Relative to what an asset's holdings can be: what rounding in a narrower solve leaves.
_TOLERANCE = 1e-3


def verify_portfolio(
    problem: AlmgrenChrissPortfolio,
    solver: Any,
    solution: Solution,
    arrays: tuple[str, ...] = (),
) -> dict[str, Array]:
    """Measure a schedule; see the catalog for the columns."""
    del solver
    require_float64("verification")
    problem, is_valid = problem.admitted()
    answer: PortfolioSchedule = answer_of(solution.value)
    value = jax.tree.map(lambda x: x.astype(jnp.float64), answer)
    # Holdings between the ends are judged: they are a schedule however a narrower solve
    # rounds them. Sales, which would have to add up, are read from them.
    ends = problem.shares[None], jnp.zeros_like(problem.shares)[None]
    holdings = jnp.concatenate([ends[0], value.holdings[1:-1], ends[1]])
    trades = holdings[:-1] - holdings[1:]
    error = jnp.maximum(
        jnp.abs(trades - value.trades).max(axis=0),
        jnp.abs(holdings - value.holdings).max(axis=0),
    )
    is_schedule = error <= _TOLERANCE * _sizes(problem)
    residual, gap = optimality(problem, holdings)
    mean, variance = problem.expected_cost(trades), problem.variance(trades)
    spread = jnp.sqrt(variance)
    quantile, level = ndtri(problem.confidence), problem.confidence
    even, immediate = problem.even_trades, problem.immediate_trades
    least_fixed = (jnp.abs(problem.shares) * problem.fixed_costs).sum()
    columns = {
        "expected_cost": mean,
        "variance": variance,
        "objective": problem.objective(trades),
        "value_at_risk": mean + quantile * spread,
        "conditional_value_at_risk": mean + spread * norm.pdf(quantile) / (1 - level),
        "holdings": holdings,
        "trades": trades,
        "first_order_residual": residual,
        "optimality_gap": gap,
        "round_trip_cost": jnp.maximum(
            problem.paid_fixed_cost(trades) - least_fixed, 0
        ),
        "even_cost": problem.expected_cost(even),
        "even_variance": problem.variance(even),
        "immediate_cost": problem.expected_cost(immediate),
        "immediate_variance": problem.variance(immediate),
    }
    has_answer = has_value(solution.status) & is_valid & is_schedule.all()
    kept = {
        "times": jnp.linspace(0, problem.horizon, problem.num_periods + 1),
        "risks": _risks_of(problem, holdings),
    }
    columns = columns | {name: kept[name] for name in arrays}
    columns = {n: jnp.where(has_answer, x, jnp.nan) for n, x in columns.items()}
    return columns | simulated_columns(solution.value)


def optimality(
    problem: AlmgrenChrissPortfolio, holdings: Float[Array, "points assets"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Return how far holdings are from meeting the first-order conditions.

    Args:
        problem: an admissible one.
        holdings: from the shares to 0.

    Returns:
        The largest condition, relative to the terms that it sums; and an upper bound on
        how much cost, without the fixed one, some other schedule could save, currency.

    For any z and what it leaves, s = g - K z, the saving g' K^-1 g / 2 is

        (z' K z + 2 z' s + s' K^-1 s) / 2,

    and K is at least the Hessian without risk, whose inverse is at most
    tau / (2 (2 - 2 cos(pi / N))) times that of H - tau G / 2 in every time. So the
    bound holds for any z; where z solves K z = g to rounding, it is the saving itself.
    """
    if problem.num_periods == 1:
        zero = jnp.zeros((), holdings.dtype)
        return zero, zero
    tau, impact = problem.period_length, problem.net_impact
    risk = 2 * problem.risk_aversion * tau * problem.covariance
    flow = -2 * impact / tau
    middle = risk - 2 * flow

    def apply(path: Float[Array, "points assets"]) -> Array:
        """Multiply all holdings, those at both ends too, by the Hessian's rows."""
        bends = path[:-2] + path[2:] - 2 * path[1:-1]
        return product(bends, flow) + product(path[1:-1], risk)

    gradient = apply(holdings)
    terms = product(jnp.abs(holdings), jnp.abs(flow))
    terms = terms[:-2] + 2 * terms[1:-1] + terms[2:]
    terms = terms + product(jnp.abs(holdings[1:-1]), jnp.abs(risk))
    largest = terms.max(axis=0, keepdims=True)
    residual = jnp.abs(gradient) / jnp.where(largest > 0, largest, 1)

    step, _ = solve_block_tridiagonal(flow, middle, flow, gradient)
    padded = jnp.pad(step, [(1, 1), (0, 0)])
    done = apply(padded)
    left = gradient - done
    least = 2 - 2 * jnp.cos(jnp.pi / problem.num_periods)
    inverse = cho_solve(cho_factor(impact), left.T).T * tau / (2 * least)
    saved = (step * (done + 2 * left)).sum() + (left * inverse).sum()
    return residual.max(), saved / 2


def _sizes(problem: AlmgrenChrissPortfolio) -> Float[Array, " assets"]:
    """Return the most of each asset in a portfolio as dear to trade as the shares.

    With A the net impact, |x_i| is at most sqrt((A^-1)_ii x' A x).
    """
    impact, shares = problem.net_impact, problem.shares
    one = jnp.eye(len(shares), dtype=shares.dtype)
    inverse = jnp.diagonal(cho_solve(cho_factor(impact), one))
    return jnp.sqrt(inverse * (product(impact, shares) * shares).sum())


def _risks_of(
    problem: AlmgrenChrissPortfolio, holdings: Float[Array, "points assets"]
) -> Float[Array, " points"]:
    """Return the standard deviation of what holdings are worth, per root of time."""
    return jnp.sqrt((product(holdings, problem.covariance) * holdings).sum(axis=1))
