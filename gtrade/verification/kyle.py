"""Evidence about Kyle's equilibria: best responses and pricing from second moments."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from gtrade.numerics.precision import require_float64
from gtrade.problems.kyle import Kyle
from gtrade.simulation.kyle import DEVIATIONS
from gtrade.simulation.simulated import answer_of, simulated_columns
from gtrade.solution import Solution, has_value


def verify_kyle(
    problem: Kyle, solver: Any, solution: Solution, arrays: tuple[str, ...] = ()
) -> dict[str, Array]:
    """Measure an equilibrium of one auction; see the catalog for the columns.

    Nothing is read from a solution but its price impact and intensity: profits and
    variances are moments of the Gaussian variables that these make.
    """
    del solver, arrays
    require_float64("verification")
    answer = answer_of(solution.value)
    impact = answer.price_impact.astype(jnp.float64)
    intensity = answer.intensity.astype(jnp.float64)
    is_certain = problem.is_certain
    market, is_valid = problem.admitted()
    safe_impact = jnp.where(is_certain, 1, impact)
    safe_intensity = jnp.where(is_certain, 1, intensity)

    with_value, flow = market.flow_moments(safe_intensity)
    projection = with_value / flow
    best = market.best_intensity(safe_impact, safe_intensity)
    signal, shared = market.signal_moments()
    variance = market.value_std**2
    num_others = (market.num_insiders - 1).astype(jnp.float64)

    def profit(factor: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return what an insider earns that multiplies its orders."""
        own = factor * safe_intensity
        crowd = num_others * safe_intensity * shared
        return own * (variance - safe_impact * (crowd + own * signal))

    gap = variance - 2 * safe_impact * with_value + safe_impact**2 * flow
    earned = profit(jnp.ones(()))
    order_variance = safe_intensity**2 * signal
    columns = {
        "price_impact": safe_impact,
        "intensity": safe_intensity,
        "insider_profit": earned,
        "posterior_variance": gap,
        # Where prices do not rise with flow, larger orders always earn more.
        "exploitability": jnp.where(
            safe_impact > 0,
            safe_impact * signal * (best - safe_intensity) ** 2,
            jnp.inf,
        ),
        "foc_residual": jnp.abs(best / safe_intensity - 1),
        "pricing_residual": jnp.abs(projection / safe_impact - 1),
        "depth": 1 / safe_impact,
        # Of a product of two Gaussian variables with mean zero.
        "profit_std": jnp.sqrt(order_variance * gap + earned**2),
        "dealer_profit": safe_impact * flow - with_value,
        "noise_profit": -safe_impact * market.noise_std**2,
        "value_price_correlation": with_value / jnp.sqrt(flow * variance),
        "deviation_profits": profit(jnp.array(DEVIATIONS)),
    }
    still = {
        "posterior_variance": problem.value_std**2,
        "depth": jnp.inf,
    }
    is_answered = has_value(solution.status) & is_valid
    columns = {
        name: jnp.where(is_certain, still.get(name, 0.0), x)
        for name, x in columns.items()
    }
    columns |= simulated_columns(solution.value)
    return {name: jnp.where(is_answered, x, jnp.nan) for name, x in columns.items()}
