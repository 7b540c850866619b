"""Best responses among paths that follow straight lines between equally spaced times.

Along such lines a type's expected cost is a quadratic in its positions at the inner
times, with one tridiagonal matrix; everything that the others do enters the gradient.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gtrade.numerics.precision import product
from gtrade.problems.position_building import PositionBuilding


class LineCosts(NamedTuple):
    """A type's cost along lines, as a quadratic about given positions.

    With h a change of the inner positions, cost(x + h) = cost(x) + gradient h + h Q h,
    Q being the tridiagonal matrix of int h'^2 + risk_aversion h^2.

    Attributes:
        gradient: at the inner times, shape (types, cells - 1).
        diagonal: of Q, shape (types,).
        off_diagonal: of Q, shape (types,).
    """

    gradient: Float[Array, "types inner"]
    diagonal: Float[Array, " types"]
    off_diagonal: Float[Array, " types"]


def line_costs(
    game: PositionBuilding,
    schedules: Float[Array, "types points"],
    others: Float[Array, "types points"] | None = None,
) -> LineCosts:
    """Return the quadratic that every type faces.

    Args:
        game: the game.
        schedules: own positions at equally spaced times.
        others: what each type expects the other firms' positions to sum to; what
            `schedules` imply if left out.
    """
    num_cells = schedules.shape[-1] - 1
    width = 1.0 / num_cells
    if others is None:
        others = game.expected_others(schedules)
    price = line_prices(game, others)
    # Own permanent impact costs kappa V^2 / 2 whatever the path.
    slope = 2 * jnp.diff(schedules) / width + price
    risk = game.risk_of_types[:, None]
    held = (schedules[:, :-2] + 4 * schedules[:, 1:-1] + schedules[:, 2:]) / 3
    gradient = slope[:, :-1] - slope[:, 1:] + risk * width * held
    return LineCosts(gradient, *_own_costs(game.risk_of_types, width))


def _own_costs(
    risk: Float[Array, " types"], width: float
) -> tuple[Float[Array, " types"], Float[Array, " types"]]:
    """Return the diagonal of Q of every type, and what is beside it."""
    return 2 / width + risk * 2 * width / 3, -1 / width + risk * width / 6


def line_blocks(
    game: PositionBuilding, num_cells: int
) -> tuple[Float[Array, "types types"], ...]:
    """Return what positions a time before, at and after an inner time do to gradients.

    The gradients of `line_costs` at that time change by `before`, `on` and `after`
    times the positions of all types.
    """
    beliefs, width = game.beliefs(), 1.0 / num_cells
    own, side = _own_costs(game.risk_of_types, width)
    bend = beliefs / width
    drift = game.permanent_impacts[:, None] * beliefs / 2
    beside = 2 * jnp.diag(side) - bend
    return beside + drift, 2 * (jnp.diag(own) + bend), beside - drift


def line_prices(
    game: PositionBuilding, others: Float[Array, "types points"]
) -> Float[Array, "types cells"]:
    """Return what a share costs in each cell, own trades apart.

    It is w + u' + kappa (y + u), averaged over the cell, with y and w the positions and
    rates expected of the others.
    """
    num_cells = others.shape[-1] - 1
    times = np.linspace(0.0, 1.0, num_cells + 1)
    rates = (jnp.diff(others) + jnp.diff(game.flow(times))) * num_cells
    held = (others[:, 1:] + others[:, :-1]) / 2
    held = held + cell_means(game.non_strategic, num_cells)
    return rates + game.permanent_impacts[:, None] * held


def best_lines(
    game: PositionBuilding,
    schedules: Float[Array, "types points"],
    others: Float[Array, "types points"] | None = None,
) -> Float[Array, "types points"]:
    """Return every type's best response along lines, bounds aside.

    Args:
        game: the game.
        schedules: any positions that start at 0 and end at the targets.
        others: as for `line_costs`.
    """
    step = newton_step(line_costs(game, schedules, others))
    return schedules.at[:, 1:-1].add(-step / 2)


def newton_step(costs: LineCosts) -> Float[Array, "types inner"]:
    """Return Q^-1 gradient, one tridiagonal system a type."""
    main, side = costs.diagonal, costs.off_diagonal

    # Elimination by scans: LAPACK's own would block a thread for every batch, and
    # several devices share the threads of a CPU.
    def forward(carry: tuple[Array, Array], right: Array) -> tuple[Any, Any]:
        ratio, value = carry
        pivot = main - side * ratio
        carry = side / pivot, (right - side * value) / pivot
        return carry, carry

    def backward(after: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
        ratio, value = now
        step = value - ratio * after
        return step, step

    zero = jnp.zeros_like(main)
    _, eliminated = jax.lax.scan(forward, (zero, zero), costs.gradient.T)
    _, steps = jax.lax.scan(backward, zero, eliminated, reverse=True)
    return steps.T


def cell_means(
    coefficients: Float[Array, "types coefficients"], num_cells: int
) -> Float[Array, "types cells"]:
    """Return means of polynomials over equal cells of [0, 1]."""
    edges = np.linspace(0.0, 1.0, num_cells + 1)
    powers = np.arange(1, coefficients.shape[1] + 1)[:, None]
    moments = np.diff(edges[None, :] ** powers) / powers * num_cells
    table = jnp.asarray(moments, coefficients.dtype)
    return product(coefficients, table)
