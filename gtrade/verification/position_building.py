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
from gtrade.solution import Solution
from gtrade.verification.positions import (
    continuous_gaps,
    euler_lagrange_residual,
    line_gaps,
    violation,
)
from gtrade.verification.stationarity import descent_gains

# Rows hold one axis a firm up to here; beyond, profiles share one axis.
_MOST_FIRM_AXES = 12
_MOST_REALISED = 2**17
# Breaches of what paths must satisfy, relative to the largest position, beyond which a
# gap says nothing.
_BREACH = 1e-4


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
    breach = violation(game, paths)
    gap = discretised if paths.follows_lines else continuous
    size = jnp.max(jnp.abs(paths.schedules))
    row = {
        # Of paths that are no strategies it would say nothing.
        "exploitability": jnp.where(breach > _BREACH * size, jnp.inf, gap),
        "discretised_gap": discretised,
        "continuous_gap": continuous,
        "descent_gain": jnp.max(descent_gains(game, paths.schedules)),
        "stationarity": jnp.max(euler_lagrange_residual(game, paths)),
        "violation": breach,
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
    is_compared = (planned > 0) & _pays_for_trades_alone(game)
    row["price_of_anarchy"] = jnp.where(
        is_compared, row["welfare"] / jnp.where(is_compared, planned, 1), jnp.nan
    )
    if "schedules" in arrays:
        row["schedules"] = paths.schedules
    if "times" in arrays:
        row["times"] = jnp.asarray(paths.times)
    if "cumulative_costs" in arrays:
        row["cumulative_costs"] = cumulative_costs(game, paths)
    return row


def _pays_for_trades_alone(game: PositionBuilding) -> Array:
    """Return whether firms minimise what the planner would, with the same freedom."""
    is_plain = (game.risk_aversions == 0).all()
    is_plain &= (game.non_strategic[:, 1:] == 0).all()
    return is_plain & (not game.is_bounded)


def _realised(game: PositionBuilding, paths: PositionPaths) -> Array:
    num_evaluations, num_firms = len(game.evaluation_impacts), game.num_firms
    num_profiles = 1
    for number in game.num_types:
        num_profiles *= number
    if num_evaluations * num_profiles * num_firms > _MOST_REALISED:
        return jnp.zeros((num_evaluations, 0, num_firms))
    costs = realised_costs(game, paths)
    if num_firms > _MOST_FIRM_AXES:
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
