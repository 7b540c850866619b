"""Evidence about answers to position building under uncertain impact, as row columns.

Every type's own quadratic program is solved again from the game and the trades alone.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gtrade.numerics.precision import product, require_float64
from gtrade.problems.types import types_in_profile
from gtrade.problems.uncertain_impact import Trades, UncertainImpact
from gtrade.responses.impact_models import savings, smallest_curvatures
from gtrade.solution import Solution

# Rows hold one axis a firm up to here; beyond, profiles share one axis.
MOST_AXES = 12


def pair_costs(
    game: UncertainImpact, trades: Float[Array, "types trades"]
) -> Float[Array, "models types types"]:
    """Return a_k' G_m a_l: what type k pays for type l's trades if m's model is true.

    Every expected or realised cost is a sum of these.
    """
    matrices = game.impact_matrices(trades.shape[-1])
    prices = product(matrices, trades.T[None])  # (models, trades, types)
    return product(trades[None], prices)


def model_costs(
    game: UncertainImpact, trades: Float[Array, "types trades"]
) -> Float[Array, "models types"]:
    """Return every type's expected cost, were the model of each type the true one."""
    costs = pair_costs(game, trades)
    weights = game.beliefs() + jnp.eye(game.size, dtype=trades.dtype)
    return (weights[None] * costs).sum(axis=2)


def misjudgements(
    game: UncertainImpact, trades: Float[Array, "types trades"]
) -> Float[Array, "models types"]:
    """Return how much each type could save in expectation, were each model true.

    The others' trades are held. The diagonal is the gain from a deviation under the
    type's own model: 0 in equilibrium. What stands off it is the price of being wrong.
    """
    matrices = game.impact_matrices(trades.shape[-1])
    return savings(matrices, trades, game.expected_others(trades))


def realised_costs(
    game: UncertainImpact, trades: Float[Array, "types trades"]
) -> Float[Array, "profiles firms"]:
    """Return what every firm pays in every profile, its own model being true."""
    own = jnp.diagonal(pair_costs(game, trades), axis1=0, axis2=1)  # [l, k]
    members = types_in_profile(game.num_types)
    # What all members' trades add up to, for each member.
    return own[members[:, :, None], members[:, None, :]].sum(axis=1)


def verify_uncertain_impact_solution(
    game: UncertainImpact,
    solver: Any,
    solution: Solution[Trades],
    arrays: tuple[str, ...] = (),
) -> dict[str, Array]:
    """Measure a solution of a game with uncertain impact; the catalog has the columns.

    Raises:
        ValueError: if float64 is off.
    """
    del solver
    require_float64("verification")
    value: Trades = jax.tree.map(lambda x: x.astype(jnp.float64), solution.value)
    trades = value.trades
    num_trades = trades.shape[-1]
    costs, losses = model_costs(game, trades), misjudgements(game, trades)
    _, marginals = game.joint_beliefs()
    realised = realised_costs(game, trades)
    if game.num_firms <= MOST_AXES:
        realised = realised.reshape(*game.num_types, game.num_firms)
    row = {
        "exploitability": jnp.max(jnp.diagonal(losses)),
        "violation": jnp.max(jnp.abs(trades.sum(axis=-1) - game.targets)),
        "smallest_curvatures": smallest_curvatures(game.impact_matrices(num_trades)),
        "condition": value.condition,
        "welfare": (marginals * jnp.diagonal(costs)).sum(),
        "initial_rates": trades[:, 0] * num_trades,
        "expected_costs": jnp.diagonal(costs),
        "realised_costs": realised,
        "model_costs": costs,
        "misjudgements": losses,
    }
    if "schedules" in arrays:
        row["schedules"] = value.schedules
    if "times" in arrays:
        row["times"] = jnp.asarray(value.times)
    return row
