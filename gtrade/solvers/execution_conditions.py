"""First-order conditions of an execution plan."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from gtrade.problems.almgren_chriss import AlmgrenChriss, ExecutionSchedule


def marginal_spread(
    problem: AlmgrenChriss, plan: ExecutionSchedule
) -> Float[Array, ""]:
    """Return how far a plan is from first-order conditions, relative; shape ().

    To trade a share more in period k, and a share less otherwise, changes the
    objective at the rate `(1 + p) a_k n^p - gamma n_k - 2 lambda sigma^2 tau sum_{j >=
    k} x_j`, but for a constant. Periods below their caps must have one rate, and full
    ones none above it. Half of what they differ by is taken relative to the largest
    term; no trade at all meets them.
    """
    size = jnp.abs(plan.trades)
    left = jnp.abs(plan.holdings[1:])
    p = problem.exponent
    power = jnp.where(size > 0, jnp.where(size > 0, size, 1) ** p, 0)
    impact = (1 + p) * problem.impact_coefficients * power
    risk = problem.risk_aversion * problem.volatility**2 * problem.period_length
    later = 2 * risk * jnp.cumsum(left[::-1])[::-1]
    rate = impact - problem.permanent_impact * size - later
    is_full = size >= problem.caps * (1 - 16 * jnp.finfo(size.dtype).eps)
    # Lots and full periods have no say in how low a rate may be.
    low = jnp.where(is_full, jnp.inf, rate).min()
    spread = jnp.maximum(jnp.where(size > 0, rate, -jnp.inf).max() - low, 0)
    scale = jnp.maximum(impact.max(), later.max())
    return jnp.where(scale > 0, spread / 2 / jnp.where(scale > 0, scale, 1), 0)
