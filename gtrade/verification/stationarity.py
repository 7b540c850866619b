"""A cross-check by gradient descent: costs and automatic differentiation alone."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gtrade.problems.position_building import PositionBuilding
from gtrade.problems.position_costs import costs_along_lines

_STEPS = 40


def descent_gains(
    game: PositionBuilding, schedules: Float[Array, "types points"]
) -> Float[Array, " types"]:
    """Return what each type saves by descending its own discretised cost.

    All others' paths stay as they are, and bounds are left out of account. Rates are
    the coordinates. The directions are conjugate gradients, their lengths those of the
    least cost along them: 40 steps find the best response to rounding up to a risk
    aversion of some hundreds, and what is saved is never overstated beyond.

    Args:
        game: the game.
        schedules: positions at equally spaced times, shares.
    """
    num_cells = schedules.shape[-1] - 1
    start = jnp.diff(schedules) * np.asarray(num_cells, schedules.dtype)

    def costs(rates: Array) -> Array:
        ends = jnp.cumsum(rates, axis=1) / np.asarray(num_cells, rates.dtype)
        positions = jnp.pad(ends, [(0, 0), (1, 0)])
        return costs_along_lines(game, positions, schedules)

    def marginal(rates: Array) -> Array:
        return jax.grad(lambda v: costs(v).sum())(rates) * num_cells

    def gradient(rates: Array) -> Array:
        slope = marginal(rates)
        return slope - slope.mean(axis=1, keepdims=True)

    def along(rates: Array, direction: Array) -> Array:
        return jax.jvp(gradient, (rates,), (direction,))[1]

    def step(carry: tuple[Array, Array, Array], _: None) -> tuple[Any, None]:
        rates, slope, direction = carry
        bend = along(rates, direction)
        square, curvature = _dots(slope, slope), _dots(direction, bend)
        # Conjugacy is lost to rounding once nothing is left to descend.
        goes_on = (square > least) & (curvature > 0)
        length = jnp.where(goes_on, square / jnp.where(goes_on, curvature, 1), 0)
        rates = rates + length * direction
        slope = slope + length * bend
        share = _dots(slope, slope) / jnp.where(goes_on, square, 1)
        return (rates, slope, jnp.where(goes_on, share, 0) * direction - slope), None

    slope, whole = gradient(start), marginal(start)
    least = 1e-20 * _dots(slope, slope) + 1e-26 * _dots(whole, whole)
    (found, _, _), _ = jax.lax.scan(step, (start, slope, -slope), None, length=_STEPS)
    return costs(start) - costs(found)


def _dots(a: Array, b: Array) -> Array:
    return (a * b).sum(axis=1, keepdims=True)
