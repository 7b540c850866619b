"""Evidence about execution plans: costs from the definition, bounds from convexity."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Array, Bool, Float

from gtrade.numerics.precision import require_float64
from gtrade.problems.almgren_chriss import AlmgrenChriss, ValueAtRiskSchedule
from gtrade.problems.base import replace_fields
from gtrade.simulation.simulated import answer_of, simulated_columns
from gtrade.solution import Solution, has_value

# Relative to the shares to trade: what rounding in a narrower solve leaves.
_SHARE_TOLERANCE = 1e-3
# A period within this of its cap, relative, is full; a trade below it is none.
_FULL = 1e-6


def verify_almgren_chriss(
    problem: AlmgrenChriss,
    solver: Any,
    solution: Solution,
    arrays: tuple[str, ...] = (),
) -> dict[str, Array]:
    """Measure a plan; see the catalog for the columns."""
    del solver
    require_float64("verification")
    answer = answer_of(solution.value)
    plan = jax.tree.map(lambda x: x.astype(jnp.float64), answer)
    trades, holdings = plan.trades, plan.holdings
    tolerance = _SHARE_TOLERANCE * jnp.abs(problem.shares)
    missed = jnp.abs(trades.sum() - problem.shares)
    apart = jnp.abs(problem.holdings(trades) - holdings).max()
    has_answer = has_value(solution.status) & (jnp.maximum(missed, apart) <= tolerance)

    cost, variance = problem.expected_cost(trades), problem.variance(trades)
    std = jnp.sqrt(variance)
    left = jnp.abs(holdings[1:])
    is_risk_plan = isinstance(plan, ValueAtRiskSchedule)
    if isinstance(plan, ValueAtRiskSchedule):
        z_score = plan.z_score
        weights = z_score * jnp.sqrt(_risk(problem)) * _direction(left)
        objective = cost + z_score * std
    else:
        z_score = ndtri(problem.confidence)
        weights = 2 * problem.risk_aversion * _risk(problem) * left
        objective = cost + problem.risk_aversion * variance
    beyond = jnp.exp(-(z_score**2) / 2) / ((2 * jnp.pi) ** 0.5 * ndtr(-z_score))
    rates, scale = marginal_rates(problem, trades, weights)
    even, immediate = problem.even_trades, problem.immediate_trades
    if problem.lot_size is None:
        gap = linear_gap(problem, trades, rates)
    else:
        gap = swap_gap(problem, trades)
    columns = {
        "expected_cost": cost,
        "variance": variance,
        "objective": objective,
        "value_at_risk": cost + z_score * std,
        "conditional_value_at_risk": cost + beyond * std,
        "half_life": problem.half_life,
        "even_cost": problem.expected_cost(even),
        "even_variance": problem.variance(even),
        "immediate_cost": problem.expected_cost(immediate),
        "immediate_variance": problem.variance(immediate),
        "optimality_gap": gap,
        "first_order_residual": first_order_residual(problem, trades, rates) / scale,
        "kkt_residual": kkt_residual(problem, trades, rates, scale),
        "holdings": holdings,
        "trades": trades,
    }
    if is_risk_plan:
        is_risky = (z_score > 0) & (problem.shares != 0) & (problem.volatility > 0)
        implied = jnp.where(is_risky, z_score / (2 * std), 0)
        columns["implied_risk_aversion"] = implied
        columns["half_life"] = replace_fields(problem, risk_aversion=implied).half_life
    periods = jnp.arange(problem.num_periods + 1, dtype=jnp.float64)
    kept = {
        "times": periods * problem.horizon / problem.num_periods,
        "period_costs": problem.period_costs(trades),
        "marginal_rates": rates,
    }
    columns |= {name: kept[name] for name in arrays}
    columns = {name: jnp.where(has_answer, x, jnp.nan) for name, x in columns.items()}
    return columns | simulated_columns(solution.value)


def marginal_rates(
    problem: AlmgrenChriss,
    trades: Float[Array, " periods"],
    weights: Float[Array, " periods"],
) -> tuple[Float[Array, " periods"], Float[Array, ""]]:
    """Return what a share more costs in each period, but for a constant.

    Args:
        problem: one instance.
        trades: the plan.
        weights: derivative of the cost of risk in the shares left after each period,
            on the side of the plan.

    Returns:
        Derivatives of the objective in the trades, currency per share, with the
        holdings summed from the end, shape (periods,); and the size of the largest
        term in them, shape (), never 0.
    """
    size = problem.side * trades
    p = problem.exponent
    is_zero = size == 0
    power = jnp.where(is_zero, 0, jnp.where(is_zero, 1, jnp.abs(size)) ** p)
    impact = (1 + p) * problem.impact_coefficients * power * jnp.sign(size)
    later = jnp.cumsum(weights[::-1])[::-1]
    scale = jnp.maximum(jnp.abs(impact).max(), jnp.abs(later).max())
    rates = impact - problem.permanent_impact * size - later
    return rates, jnp.where(scale > 0, scale, 1)


def linear_gap(
    problem: AlmgrenChriss,
    trades: Float[Array, " periods"],
    rates: Float[Array, " periods"],
) -> Float[Array, ""]:
    """Bound how much lower the objective of any plan can be, currency.

    A convex function lies above its tangents: no plan that trades between nothing and
    the cap in every period can gain more than the tangent says at the cheapest such
    plan, which fills the periods of the lowest rates first. Where p > 1 the permanent
    impact bends costs of small trades down; tangents still bound them from below at
    trades that cost the less per share the smaller they are made. Anything else has
    an infinite bound.
    """
    size = problem.side * trades
    total = size.sum()  # of this plan: narrower solves miss the last digits of it
    order = jnp.argsort(rates)
    most = jnp.minimum(problem.caps, total)[order]
    filled = jnp.cumsum(most) - most
    cheapest = jnp.clip(total - filled, 0, most)
    above = (rates - rates.min())[order]
    gap = (above * (size[order] - cheapest)).sum()
    is_bound = _supports_tangents(problem, size).all() | (problem.num_periods == 1)
    return jnp.where(is_bound, gap, jnp.inf)


def _supports_tangents(
    problem: AlmgrenChriss, size: Float[Array, " periods"]
) -> Bool[Array, " periods"]:
    p, gamma = problem.exponent, problem.permanent_impact
    coefficients = problem.impact_coefficients
    is_positive = size > 0
    bend = 2 * p * coefficients * jnp.where(is_positive, size, 1) ** (p - 1)
    is_full = size >= problem.caps * (1 - _FULL)
    fits = is_positive & ((bend >= gamma) | is_full)
    return (p <= 1) | (gamma == 0) | (problem.shares == 0) | fits


def swap_gap(
    problem: AlmgrenChriss, trades: Float[Array, " periods"]
) -> Float[Array, ""]:
    """Bound how much lower the objective of any plan in whole lots can be, currency.

    The objective is M-convex: to get from a plan to a better one takes at most as many
    moves of single lots between periods as there are lots, and gains no more than the
    moves do one by one (Murota, Discrete Convex Analysis, 2003, section 6.2).
    """
    lot = (
        jnp.ones_like(problem.shares)
        if problem.lot_size is None
        else (problem.lot_size)
    )
    size = jnp.round(problem.side * trades / lot) * lot
    is_whole = jnp.abs(size - problem.side * trades) <= _FULL * lot

    def cost(size):
        return problem.temporary_costs(size) - problem.permanent_impact / 2 * size**2

    now = cost(size)
    given, taken = cost(size - lot) - now, cost(size + lot) - now
    risk = problem.risk_aversion * _risk(problem)
    left = problem.holdings(size)[1:]
    # A lot moved from period i to j > i is held after i, ..., j - 1; else it is not.
    later = jnp.cumsum(lot * (2 * left + lot)) - lot * (2 * left + lot)
    sooner = jnp.cumsum(lot * (2 * left - lot)) - lot * (2 * left - lot)
    index = jnp.arange(problem.num_periods)
    is_later = index[None] > index[:, None]
    held = jnp.where(
        is_later, later[None] - later[:, None], sooner[None] - sooner[:, None]
    )
    change = given[:, None] + taken[None] + risk * held
    may_give = size > lot / 2
    may_take = size + lot <= problem.caps * (1 + _FULL)
    may_move = may_give[:, None] & may_take[None] & ~jnp.eye(len(size), dtype=bool)
    gain = jnp.maximum(-jnp.where(may_move, change, 0).min(), 0)
    is_plan = is_whole.all() & (size >= 0).all()
    is_plan = is_plan & (size <= problem.caps * (1 + _FULL)).all()
    # Second differences are least at nothing where p > 1, and else at most convex.
    first = jnp.zeros_like(size)
    bend = cost(first + 2 * lot) - 2 * cost(first + lot)
    is_plan = is_plan & ((problem.exponent <= 1) | (bend >= 0).all())
    return jnp.where(is_plan, gain * jnp.abs(problem.shares) / lot, jnp.inf)


def first_order_residual(
    problem: AlmgrenChriss,
    trades: Float[Array, " periods"],
    rates: Float[Array, " periods"],
) -> Float[Array, ""]:
    """Return half the spread of the rates of periods that trade below their caps."""
    size = problem.side * trades
    is_inside = (size != 0) & (size < problem.caps * (1 - _FULL))
    spread = jnp.where(is_inside, rates, -jnp.inf).max()
    spread = spread - jnp.where(is_inside, rates, jnp.inf).min()
    return jnp.maximum(spread, 0) / 2


def kkt_residual(
    problem: AlmgrenChriss,
    trades: Float[Array, " periods"],
    rates: Float[Array, " periods"],
    scale: Float[Array, ""],
) -> Float[Array, ""]:
    """Return how far a plan is from optimality conditions with bounds, relative.

    Half of what the highest rate of a period that trades is above the lowest of one
    that has room, over `scale`; or, if larger, what a trade is beyond its bounds,
    over all shares.
    """
    size = problem.side * trades
    total = jnp.where(problem.shares == 0, 1, jnp.abs(problem.shares))
    is_full = size >= problem.caps * (1 - _FULL)
    high = jnp.where(size > 0, rates, -jnp.inf).max()
    low = jnp.where(is_full, jnp.inf, rates).min()
    beyond = jnp.maximum(size - problem.caps, -size).max()
    return jnp.maximum(jnp.maximum(high - low, 0) / 2 / scale, beyond / total)


def _direction(left: Float[Array, " periods"]) -> Float[Array, " periods"]:
    """Return a subgradient of the length of a vector, at what is left.

    Where nothing is left after any period, the one that has most to say against
    trading later: along what is left after the first.
    """
    length = jnp.sqrt((left**2).sum())
    first = jnp.where(jnp.arange(len(left)) == 0, 1.0, 0.0)
    return jnp.where(length > 0, left / jnp.where(length > 0, length, 1), first)


def _risk(problem: AlmgrenChriss) -> Float[Array, ""]:
    """Return the variance of a share that is held for one period."""
    return problem.volatility**2 * problem.period_length
