"""What paths of positions cost: expected, realised, cumulative, and in total.

All integrals are exact to rounding: they are taken at the quadrature nodes that come
with the paths. (Chriss 2025, arXiv 2501.01241, sections 3-5.)
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from gtrade.numerics.precision import product
from gtrade.numerics.quadrature import cells
from gtrade.problems.position_building import PositionBuilding
from gtrade.problems.position_paths import PositionPaths, piecewise_linear
from gtrade.problems.types import profile_indicators, types_in_profile


class Overlaps(NamedTuple):
    """Integrals over [0, 1] of products of two types' paths.

    Attributes:
        temporary: int x_s' x_r' dt, shape (types, types).
        permanent: int x_s x_r' dt, r trading at the price that s moved, same shape.
    """

    temporary: Float[Array, "types types"]
    permanent: Float[Array, "types types"]


def overlaps(paths: PositionPaths) -> Overlaps:
    """Return all pairs' overlaps: every realised cost is a sum of them."""
    weighted = paths.rates * jnp.asarray(paths.rule.weights, paths.rates.dtype)[None, :]
    return Overlaps(
        product(paths.rates, weighted.T), product(paths.positions, weighted.T)
    )


def cost_densities(
    game: PositionBuilding, paths: PositionPaths
) -> Float[Array, "types nodes"]:
    """Return every type's expected cost per unit time at the quadrature nodes."""
    times = paths.rule.times
    positions, rates = paths.positions, paths.rates
    price_of_flow = rates + game.expected_others(rates) + game.flow_rates(times)
    moved = positions + game.expected_others(positions) + game.flow(times)
    price = price_of_flow + game.permanent_impacts[:, None] * moved
    return price * rates + game.risk_of_types[:, None] * positions**2


def expected_costs(
    game: PositionBuilding, paths: PositionPaths
) -> Float[Array, " types"]:
    """Return every type's expected cost: own impact, own beliefs, shape (types,)."""
    return paths.integrals(cost_densities(game, paths))


def cumulative_costs(
    game: PositionBuilding, paths: PositionPaths
) -> Float[Array, "types points"]:
    """Return expected costs up to each of the equally spaced times."""
    return paths.cumulative(cost_densities(game, paths))


def realised_costs(
    game: PositionBuilding, paths: PositionPaths
) -> Float[Array, "evaluations profiles firms"]:
    """Return what every firm pays in every profile of types.

    The non-strategic flow is a belief and has no realised counterpart; only the firms
    trade here. Risk is no cost.

    Returns:
        tau + kappa pi for each evaluation impact kappa, profiles in C order.
    """
    temporary, permanent = (
        _in_profiles(pairs, game.num_types) for pairs in overlaps(paths)
    )
    return temporary[None] + game.evaluation_impacts[:, None, None] * permanent[None]


def total_costs(
    game: PositionBuilding, paths: PositionPaths
) -> Float[Array, " evaluations"]:
    """Return all firms' expected realised cost, for each evaluation impact.

    Raises:
        ValueError: without a common prior, which the expectation is over.
    """
    joint, marginals = game.joint_beliefs()
    temporary, permanent = (
        (joint * pairs).sum() + (marginals * jnp.diagonal(pairs)).sum()
        for pairs in overlaps(paths)
    )
    return temporary + game.evaluation_impacts * permanent


def planner_costs(game: PositionBuilding) -> Float[Array, " evaluations"]:
    """Return the least total cost, if one planner traded for all firms.

    It is E[(sum of targets)^2] (1 + kappa / 2): all trade at constant rates.

    Raises:
        ValueError: without a common prior.
    """
    joint, marginals = game.joint_beliefs()
    targets = game.targets
    second = (targets[:, None] * joint * targets[None, :]).sum()
    second = second + (marginals * targets**2).sum()
    return second * (1 + game.evaluation_impacts / 2)


def _in_profiles(
    pairs: Float[Array, "types types"], num_types: tuple[int, ...]
) -> Float[Array, "profiles firms"]:
    # What all members' paths add up to, at each type's trades; then at the members'.
    total = product(jnp.asarray(profile_indicators(num_types), pairs.dtype), pairs)
    return jnp.take_along_axis(total, types_in_profile(num_types), axis=1)


def costs_along_lines(
    game: PositionBuilding,
    schedules: Float[Array, "types points"],
    profile: Float[Array, "types points"],
) -> Float[Array, " types"]:
    """Return expected costs of straight lines between equally spaced times.

    Args:
        game: the game.
        schedules: each type's own positions at these times.
        profile: the positions that all types expect of each other.

    Returns:
        The exact costs in continuous time, shape (types,).
    """
    num_cells = schedules.shape[-1] - 1
    rule = cells(num_cells)
    own, others = piecewise_linear(schedules), piecewise_linear(profile)
    price = own.rates + game.expected_others(others.rates)
    price = price + game.flow_rates(rule.times)
    moved = own.positions + game.expected_others(others.positions)
    moved = moved + game.flow(rule.times)
    cost = (price + game.permanent_impacts[:, None] * moved) * own.rates
    return own.integrals(cost + game.risk_of_types[:, None] * own.positions**2)
