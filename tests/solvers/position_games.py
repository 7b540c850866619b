"""Games and functions that several tests of position building share."""

import jax
import numpy as np

import gtrade
from gtrade.problems import position_costs as own_costs
from gtrade.responses import position_lines
from gtrade.verification import positions, stationarity
from tests.references import position_building, position_costs

# Compiled once for each shape: operation by operation they take ten times as long.
expected_costs = jax.jit(own_costs.expected_costs)
realised_costs = jax.jit(own_costs.realised_costs)
total_costs = jax.jit(own_costs.total_costs)
planner_costs = jax.jit(own_costs.planner_costs)
cumulative_costs = jax.jit(own_costs.cumulative_costs)
costs_along_lines = jax.jit(own_costs.costs_along_lines)
line_gaps = jax.jit(positions.line_gaps)
continuous_gaps = jax.jit(positions.continuous_gaps)
euler_lagrange_residual = jax.jit(positions.euler_lagrange_residual)
descent_gains = jax.jit(stationarity.descent_gains)
line_costs = jax.jit(position_lines.line_costs)
best_lines = jax.jit(position_lines.best_lines)


def two_by_two(**changes):
    """Return the 2 x 2 example of Chriss 2025, section 5."""
    numbers = {
        "permanent_impacts": position_costs.IMPACTS,
        "targets": position_costs.TARGETS,
        "num_types": (2, 2),
        "prior": position_costs.PRIOR,
        "evaluation_impacts": position_costs.EVALUATION_IMPACTS,
    }
    return gtrade.PositionBuilding(**(numbers | changes))


def random_numbers(seed, shape, flow_degree=None):
    """Return the arguments of a random game."""
    rng = np.random.default_rng(seed)
    prior, impacts, targets = position_building.random_game(rng, shape)
    numbers = {
        "permanent_impacts": impacts,
        "targets": targets,
        "num_types": shape,
        "prior": prior,
    }
    if flow_degree is not None:
        numbers["non_strategic"] = rng.normal(size=(sum(shape), flow_degree + 1))
    return numbers


def beliefs(numbers):
    """Return the matrix of pairwise conditionals of a random game."""
    return position_building.conditionals(numbers["prior"])
