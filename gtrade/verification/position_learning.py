"""Evidence about learners of positions: gaps, regret, distance to the equilibrium.

The equilibrium that distances are taken to is that of firms which do know the prior. It
comes from the first-order conditions, one linear system a mode
(`gtrade.responses.position_modes`), and its own best-response gap is reported with it.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gtrade.numerics.precision import require_float64
from gtrade.problems.position_building import PositionBuilding
from gtrade.problems.position_costs import expected_costs
from gtrade.problems.position_paths import piecewise_linear
from gtrade.problems.repeated_positions import (
    LearningRecord,
    RepeatedPositionBuilding,
    line_positions,
)
from gtrade.responses.position_lines import line_prices
from gtrade.responses.position_modes import line_equilibrium, monotonicity_modulus
from gtrade.solution import Solution


def verify_learning(
    problem: RepeatedPositionBuilding,
    solver: Any,
    solution: Solution[LearningRecord],
    arrays: tuple[str, ...] = (),
) -> dict[str, Array]:
    """Measure what learners came to; see the catalog for the columns.

    Raises:
        ValueError: if float64 is off.
    """
    del solver
    require_float64("verification")
    record = jax.tree.map(_widen, solution.value)
    game = problem.stage_game()
    _, marginals = game.joint_beliefs()
    equilibrium = line_equilibrium(game, record.rates.shape[-1])
    last, average = record.rates[-1], record.averages[-1]
    schedules = line_positions(last)
    distances = squared_distances(record.rates, equilibrium, marginals)
    average_distances = squared_distances(record.averages, equilibrium, marginals)
    costs = expected_costs(game, piecewise_linear(schedules))
    columns = {
        "exploitability": jnp.max(rate_gaps(game, last)),
        "average_exploitability": jnp.max(rate_gaps(game, average)),
        "squared_distance": distances[-1],
        "average_squared_distance": average_distances[-1],
        "equilibrium_gap": jnp.max(rate_gaps(game, equilibrium)),
        "modulus": monotonicity_modulus(game),
        "violation": jnp.max(jnp.abs(last.mean(axis=1) - problem.targets)),
        "welfare": jnp.sum(marginals * costs),
        "regret": regret(problem, record),
        "initial_rates": last[:, 0],
        "expected_costs": costs,
        "visits": record.visits,
    }
    extra = {
        "schedules": schedules,
        "average_schedules": line_positions(average),
        "equilibrium_schedules": line_positions(equilibrium),
        "times": jnp.asarray(np.linspace(0.0, 1.0, schedules.shape[1])),
        "distance_curve": distances,
        "average_distance_curve": average_distances,
        "rounds": record.rounds,
    }
    return columns | {name: extra[name] for name in arrays if name in extra}


def squared_distances(
    rates: Float[Array, "records types cells"],
    equilibrium: Float[Array, "types cells"],
    marginals: Float[Array, " types"],
) -> Float[Array, " records"]:
    """Return squared distances of rates: of each type by its probability, summed.

    That is E sum_i int (v_i - v*_i)^2 dt over the firms i, in shares^2 per unit time.
    """
    squares = jnp.mean((rates - equilibrium[None]) ** 2, axis=-1)
    return jnp.sum(squares * marginals[None], axis=-1)


def regret(
    problem: RepeatedPositionBuilding, record: LearningRecord
) -> Float[Array, " types"]:
    """Return what each type paid above its best fixed path in hindsight, per round.

    Along lines, over the rounds in which the type was present; 0 for one that never
    was. Not clipped.
    """
    targets, prices = problem.targets, record.prices
    mean = prices.mean(axis=1)
    spread = jnp.mean((prices - mean[:, None]) ** 2, axis=1)
    # The best path trades at V - (p - mean p) / 2.
    best = targets**2 + mean * targets - spread / 4
    best = best + problem.permanent_impacts * targets**2 / 2
    return jnp.where(record.visits > 0, record.paid - best, 0)


def rate_gaps(
    game: PositionBuilding, rates: Float[Array, "types cells"]
) -> Float[Array, " types"]:
    """Return what each type expects to save at most by other straight lines.

    A cost |v|^2 + <p, v> exceeds its least value by the variance of 2 v + p over the
    cells, divided by 4.
    """
    others = game.expected_others(line_positions(rates))
    marginal = 2 * rates + line_prices(game, others)
    return jnp.mean((marginal - marginal.mean(axis=1)[:, None]) ** 2, axis=1) / 4


def _widen(x: Array) -> Array:
    return x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x
