"""A cross-check by gradient descent: costs and automatic differentiation alone."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gtrade.problems.position_building import PositionBuilding
from gtrade.problems.position_costs import costs_along_lines

_STEPS = 40
_LENGTH = 0.25  # own cost has second derivative 2 in rates: errors halve in each step


def descent_gains(
    game: PositionBuilding, schedules: Float[Array, "types points"]
) -> Float[Array, " types"]:
    """Return what each type saves by descending its own discretised cost.

    All others' paths stay as they are. Rates are the coordinates, in which the cost is
    as well conditioned as it can be; bounds are left out of account. Where positions
    are a best response nothing is saved; elsewhere the best response is reached to
    within rounding unless risk aversion is above 100.

    Args:
        game: the game.
        schedules: positions at equally spaced times, shares.
    """
    num_cells = schedules.shape[-1] - 1
    start = jnp.diff(schedules) * np.asarray(num_cells, schedules.dtype)

    def positions(rates: Array) -> Array:
        ends = jnp.cumsum(rates, axis=1) / np.asarray(num_cells, rates.dtype)
        return jnp.pad(ends, [(0, 0), (1, 0)])

    def costs(rates: Array) -> Array:
        return costs_along_lines(game, positions(rates), schedules)

    length = _LENGTH / (1 + jnp.max(game.risk_aversions) / 100)

    def step(rates: Array, _: None) -> tuple[Array, None]:
        gradient = jax.grad(lambda v: costs(v).sum())(rates) * num_cells
        return rates - length * (gradient - gradient.mean(axis=1, keepdims=True)), None

    found, _ = jax.lax.scan(step, start, None, length=_STEPS)
    return costs(start) - costs(found)
