"""All evidence about answers to position building, as row columns."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array

from gtrade.numerics.precision import require_float64
from gtrade.problems.position_building import PositionBuilding
from gtrade.problems.position_costs import (
    cumulative_costs,
    expected_costs,
    planner_costs,
    realised_costs,
    total_costs,
)
from gtrade.problems.position_paths import PositionPaths
from gtrade.problems.types import MOST_PROFILES
from gtrade.solution import Solution
from gtrade.verification.positions import (
    continuous_gaps,
    euler_lagrange_residual,
    line_gaps,
    violation,
)
from gtrade.verification.stationarity import descent_gains

# Rows hold one axis a firm up to here; beyond, profiles share one axis.
MOST_AXES = 12
_LARGEST_ROW = MOST_PROFILES


def verify_position_solution(
    game: PositionBuilding,
    solver: Any,
    solution: Solution[PositionPaths],
    arrays: tuple[str, ...] = (),
) -> dict[str, Array]:
    """Measure a solution of a position-building game; see the catalog for the columns.

    Raises:
        ValueError: if float64 is off.
    """
    del solver
    require_float64("verification")
    paths = _widen(solution.value)
    discretised = jnp.max(line_gaps(game, paths.schedules))
    continuous = jnp.max(continuous_gaps(game, paths))
    row = {
        "exploitability": discretised if paths.follows_lines else continuous,
        "discretised_gap": discretised,
        "continuous_gap": continuous,
        "descent_gain": jnp.max(descent_gains(game, paths.schedules)),
        "stationarity": jnp.max(euler_lagrange_residual(game, paths)),
        "violation": violation(game, paths),
        "initial_rates": paths.initial_rates,
        "expected_costs": expected_costs(game, paths),
        "realised_costs": _realised(game, paths),
    }
    if game.is_bounded:  # neither knows of bounds
        row["descent_gain"] = row["stationarity"] = jnp.full((), jnp.nan)
    if game.prior is not None:
        row["welfare"] = total_costs(game, paths)
        row["planner_costs"] = planner_costs(game)
    else:  # no common prior to expect over
        row["welfare"] = jnp.full_like(game.evaluation_impacts, jnp.nan)
        row["planner_costs"] = row["welfare"]
    planned = row["planner_costs"]
    row["price_of_anarchy"] = jnp.where(
        planned > 0, row["welfare"] / jnp.where(planned > 0, planned, 1), jnp.nan
    )
    if "schedules" in arrays:
        row["schedules"] = paths.schedules
    if "times" in arrays:
        row["times"] = jnp.asarray(paths.times)
    if "cumulative_costs" in arrays:
        row["cumulative_costs"] = cumulative_costs(game, paths)
    return row


def _realised(game: PositionBuilding, paths: PositionPaths) -> Array:
    num_evaluations, num_firms = len(game.evaluation_impacts), game.num_firms
    num_profiles = 1
    for number in game.num_types:
        num_profiles *= number
    if num_profiles * num_firms > _LARGEST_ROW:  # only conditionals come so far
        return jnp.zeros((num_evaluations, 0, num_firms))
    costs = realised_costs(game, paths)
    if num_firms > MOST_AXES:
        return costs
    return costs.reshape(num_evaluations, *game.num_types, num_firms)


def _widen(paths: PositionPaths) -> PositionPaths:
    return PositionPaths(
        schedules=paths.schedules.astype(jnp.float64),
        positions=paths.positions.astype(jnp.float64),
        rates=paths.rates.astype(jnp.float64),
        initial_rates=paths.initial_rates.astype(jnp.float64),
        rule=paths.rule,
    )
