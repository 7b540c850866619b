"""Evidence about power-law position building: no path is cheaper, by duality."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gtrade.numerics.precision import require_float64
from gtrade.problems.power_law_position import PowerLawPosition, SampledPaths, cells
from gtrade.responses.power_law import least_cost, rate_cost
from gtrade.solution import Solution, has_value

# Relative to the largest target: what rounding in a narrower solve leaves.
_TARGET_TOLERANCE = 1e-3


def verify_power_law_position(
    problem: PowerLawPosition,
    solver: Any,
    solution: Solution[SampledPaths],
    arrays: tuple[str, ...] = (),
) -> dict[str, Array]:
    """Measure a profile of paths; see the catalog for the columns."""
    del solver
    require_float64("verification")
    paths = jax.tree.map(lambda x: x.astype(jnp.float64), solution.value)
    targets, ends = problem.targets, paths.schedules[:, -1]
    scale = jnp.maximum(jnp.abs(targets).max(), jnp.finfo(jnp.float64).tiny)
    miss = jnp.abs(jnp.concatenate([ends - targets, paths.schedules[:, 0]])).max()
    has_answer = has_value(solution.status) & (miss <= _TARGET_TOLERANCE * scale)
    # What a narrower solve misses of a target is traded evenly before costs are read.
    num_points = paths.schedules.shape[-1]
    time = jnp.arange(num_points, dtype=jnp.float64) / (num_points - 1)
    schedules = paths.schedules - paths.schedules[:, :1]
    schedules = schedules + (targets - schedules[:, -1])[:, None] * time[None]

    costs = problem.costs(schedules)
    (on_grid, on_paths), (found, _) = _gains(problem, schedules)
    rates, _ = cells(schedules)
    ratio = problem.curvature_ratio(rates.sum(axis=0)[None], rates)
    columns = {
        "exploitability": on_grid.max(),
        "gain_found": found.max(),
        "path_exploitability": on_paths.max(),
        "welfare": costs.sum(),
        "price_of_anarchy": costs.sum() / _least_welfare(problem),
        "expected_costs": costs,
        "initial_rates": paths.rates[:, 0],
        "final_rates": paths.rates[:, -1],
        "is_convex": (ratio >= 0).all(),
        "euler_lagrange_residual": problem.marginal_spread(
            paths.schedules, paths.rates
        ),
    }
    blank = {"b": False, "f": jnp.nan}
    columns = {
        name: jnp.where(has_answer, x, jnp.asarray(blank[x.dtype.kind], x.dtype))
        for name, x in columns.items()
    }
    kept = {"schedules": paths.schedules, "rates": paths.rates, "times": time}
    return columns | {name: kept[name] for name in arrays}


def _gains(
    problem: PowerLawPosition, schedules: Float[Array, "firms points"]
) -> tuple[Float[Array, "2 firms"], Float[Array, "2 firms"]]:
    """Return for each firm what no deviation gains more than, and what one gains.

    First against rates that are constant in every cell, whose costs need positions at
    midpoints; then against all rates, by positions at two Gauss points in every cell.
    Both have two points a cell here, so that they are compiled once.
    """
    rates, middles = cells(schedules)
    half = rates / (2 * 3**0.5 * rates.shape[-1])
    offsets = jnp.stack([jnp.zeros_like(half), half])
    positions = jnp.stack([middles[None] - offsets, middles[None] + offsets], axis=-1)
    positions = positions.reshape(2, schedules.shape[0], -1)
    rates = jnp.repeat(rates, 2, axis=-1)
    total, held = rates.sum(axis=0), positions.sum(axis=1)

    def of_firm(case):
        version, firm = case
        own, others = rates[firm], total - rates[firm]
        price = problem.permanent_impact * (held[version] - positions[version, firm])
        now = rate_cost(problem, others, price, own)
        response = least_cost(problem, others, price, problem.targets[firm], own)
        found = now - rate_cost(problem, others, price, response.rates)
        return now - response.bound, jnp.maximum(found, 0)

    shape = 2, schedules.shape[0]
    bounds, found = jax.lax.map(of_firm, tuple(jnp.indices(shape).reshape(2, -1)))
    return bounds.reshape(shape), found.reshape(shape)


def _least_welfare(problem: PowerLawPosition) -> Float[Array, ""]:
    """Return the least total cost: an even total rate, since y h(y) is convex."""
    total = problem.targets.sum()
    even = total * problem.pressure(total)
    return even + problem.permanent_impact / 2 * total**2
