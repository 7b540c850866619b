"""Games and comparisons that several tests of position building share."""

import numpy as np

import gtrade
from tests.references import position_building, position_costs


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
