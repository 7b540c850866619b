"""How far paths of positions are from an equilibrium, from problem and paths alone.

Two gaps are measured. In the *discretised* game everyone follows straight lines between
equally spaced times, and a type's best response is a tridiagonal quadratic program,
with bounds and risk aversion if the game has them. In *continuous* time, with neither,
a type's cost exceeds its best response's by exactly

    int (x' - b')^2 dt = (1/4) int (r - mean r)^2 dt,
    r = 2 x' + y' + u' + kappa (y + u),

since the cost is quadratic in the own rate with second derivative 2.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gtrade.numerics.precision import product
from gtrade.problems.position_building import PositionBuilding
from gtrade.problems.position_paths import PositionPaths
from gtrade.responses.position_lines import line_costs, newton_step

# Positions so close to a bound, relative to the largest, may lean on it.
_ACTIVE = 1e-7


def line_gaps(
    game: PositionBuilding, schedules: Float[Array, "types points"]
) -> Float[Array, " types"]:
    """Return what each type could save at most by another path along such lines.

    Without bounds the gap is exact. With bounds it is the duality gap of the
    best-response program: prices of the bounds are read off where positions lean on
    them, and any prices bound the best response's cost from below. So the gap can be
    overstated, never understated.
    """
    costs = line_costs(game, schedules)
    gradient = costs.gradient
    slack = jnp.zeros_like(gradient)
    if game.is_bounded:
        times = np.linspace(0.0, 1.0, schedules.shape[-1])[1:-1]
        lower, upper = game.bounds(times)
        inner = schedules[:, 1:-1]
        near = _ACTIVE * jnp.max(jnp.abs(schedules))
        at_lower, at_upper = inner - lower <= near, upper - inner <= near
        lower_price = jnp.where(at_lower, jnp.maximum(gradient, 0), 0)
        upper_price = jnp.where(at_upper, jnp.maximum(-gradient, 0), 0)
        gradient = gradient - lower_price + upper_price
        slack = lower_price * jnp.where(at_lower, inner - lower, 0)
        slack = slack + upper_price * jnp.where(at_upper, upper - inner, 0)
    step = newton_step(costs._replace(gradient=gradient))
    return (gradient * step).sum(axis=1) / 4 + slack.sum(axis=1)


def continuous_gaps(
    game: PositionBuilding, paths: PositionPaths
) -> Float[Array, " types"]:
    """Return what each type could save by any other path in continuous time.

    Exact without risk aversion, an upper bound with it (which adds curvature); bounds
    are left out of account.
    """
    marginal = marginal_costs(game, paths)
    centred = marginal - paths.integrals(marginal)[:, None]
    return paths.integrals(centred**2) / 4


def marginal_costs(
    game: PositionBuilding, paths: PositionPaths
) -> Float[Array, "types nodes"]:
    """Return 2 x' + y' + u' + kappa (y + u) - 2 risk_aversion int x at the nodes.

    It is constant along a best response: the Euler-Lagrange equation, integrated once.
    """
    times = paths.rule.times
    others = game.expected_others(paths.positions) + game.flow(times)
    price = game.expected_others(paths.rates) + game.flow_rates(times)
    table = jnp.asarray(paths.rule.cumulative(times).T, paths.positions.dtype)
    held = product(paths.positions, table)
    marginal = 2 * paths.rates + price + game.permanent_impacts[:, None] * others
    return marginal - 2 * game.risk_of_types[:, None] * held


def euler_lagrange_residual(
    game: PositionBuilding, paths: PositionPaths
) -> Float[Array, " types"]:
    """Return the spread over time of what should be constant, cost per share."""
    marginal = marginal_costs(game, paths)
    return jnp.max(marginal, axis=1) - jnp.min(marginal, axis=1)


def violation(game: PositionBuilding, paths: PositionPaths) -> Float[Array, ""]:
    """Return the largest breach of what paths must satisfy, in shares.

    They start at 0, end at the targets, move by their rates (the initial ones compared
    in units of 1 + kappa) and stay within bounds at the schedule's times.
    """
    schedules, targets = paths.schedules, game.targets
    table = jnp.asarray(paths.rule.cumulative(paths.rule.times).T, paths.rates.dtype)
    moved = product(paths.rates, table)
    breaches = [
        schedules[:, 0],
        schedules[:, -1] - targets,
        paths.integrals(paths.rates) - targets,
        paths.positions - moved,
        paths.positions_at(paths.times) - schedules,
        (paths.rates_at(np.zeros(1))[:, 0] - paths.initial_rates)
        / (1 + game.permanent_impacts),
    ]
    if game.is_bounded:
        lower, upper = game.bounds(paths.times[1:-1])
        inner = schedules[:, 1:-1]
        breaches += [jnp.maximum(lower - inner, 0), jnp.maximum(inner - upper, 0)]
    return jnp.stack([jnp.max(jnp.abs(x), initial=0) for x in breaches]).max()
