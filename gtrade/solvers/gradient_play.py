"""Simultaneous gradient play on discretised costs (for position building).

Everyone's path follows straight lines between equally spaced times. Each type descends
its own expected cost, the others' paths being held. Costs are quadratic, so that
gradients are affine in rates: steps add up what trades of one cell cost in another, and
where they end the cost itself is differentiated automatically, which decides whether
anything is left to descend. Nothing here knows the Euler-Lagrange equation, which it is
a check of.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, PRNGKeyArray

from gtrade._arrays import as_float, as_optional_float
from gtrade._checks import check_integer, check_positive, check_shape
from gtrade.numerics.loops import iterate_until
from gtrade.numerics.precision import product
from gtrade.numerics.quadrature import cells
from gtrade.problems.base import replace_fields, validate_if_concrete
from gtrade.problems.position_building import PositionBuilding
from gtrade.problems.position_costs import costs_along_lines
from gtrade.problems.position_paths import PositionPaths, piecewise_linear
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver
from gtrade.solvers.position_answers import (
    check_unbounded,
    finish,
    reachable,
    require_unbounded,
    safe_step,
    size_of,
)

# Cells up to which a product with a table of ones is faster than running sums.
_MOST_IN_TABLE = 128


class GradientPlay(AbstractSolver):
    """Let every type descend its own discretised cost until no gradient is left.

    Attributes:
        tol: of the largest gradient with respect to a rate, relative to the largest
            target or flow times 1 + kappa, shape (). No less than 32 roundings count.
        learning_rate: step length, for rates; None for one that contracts (see
            `position_answers.safe_step`), shape ().
        num_points: equally spaced times (static).
        max_steps: largest number of steps (static).
        has_risk: whether anybody can be averse to risk (static); `prepare` finds out.
    """

    tol: Float[Array, ""] = eqx.field(converter=as_float, default=1e-10)
    learning_rate: Float[Array, ""] | None = eqx.field(
        converter=as_optional_float, default=None
    )
    num_points: int = eqx.field(static=True, default=65)
    max_steps: int = eqx.field(static=True, default=20_000)
    has_risk: bool = eqx.field(static=True, default=True)

    # Lanes of a block wait for its slowest one.
    cpu_block: ClassVar[int | None] = 32

    def __check_init__(self) -> None:
        """Check shapes, and values where they are concrete."""
        check_shape((), tol=self.tol, learning_rate=self.learning_rate)
        validate_if_concrete(self)

    @classmethod
    def validate(
        cls,
        *,
        tol: Any = 1e-10,
        learning_rate: Any = None,
        num_points: Any = 65,
        max_steps: Any = 20_000,
        has_risk: Any = True,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_positive(tol=tol)
        if learning_rate is not None:
            check_positive(learning_rate=learning_rate)
        check_integer(num_points=num_points, at_least=3)
        check_integer(max_steps=max_steps, at_least=1)

    @classmethod
    def validate_for(cls, problem: Mapping[str, Any], **numbers: Any) -> None:
        """Raise ValueError for games with bounds."""
        del numbers
        check_unbounded("gradient", problem)

    def prepare(self, problems: Any) -> Self:
        """Leave risk out where nobody in a concrete batch is averse to it."""
        risks = problems.risk_aversions
        if isinstance(risks, Tracer):
            return self
        return replace_fields(self, has_risk=bool(np.any(np.asarray(risks))))

    def solve(
        self, problem: PositionBuilding, *, key: PRNGKeyArray | None = None
    ) -> Solution[PositionPaths]:
        """Play one game.

        Returns:
            Piecewise linear paths, with status `converged`, `max_steps_reached`,
            `stalled` (rounding kept the gradient above `tol`), `nonfinite` (a learning
            rate too long) or `invalid_input`; the residual is the largest gradient
            that automatic differentiation finds in the answer, relative as `tol` is.
        """
        require_unbounded("gradient", problem)
        game, is_valid = problem.admitted()
        targets, num_cells = game.targets, self.num_points - 1
        rate = safe_step(game) if self.learning_rate is None else self.learning_rate
        scale = size_of(game) * (1 + jnp.max(game.permanent_impacts))
        beliefs, tol = game.beliefs(), reachable(self.tol, targets.dtype)

        def total(rates: Array, held: Array) -> Array:
            costs = costs_along_lines(game, _positions(rates), _positions(held))
            return costs.sum()

        constant = _flow_gradient(game, num_cells)

        def step(rates: Array) -> tuple[Array, Array]:
            others = product(beliefs, rates)
            gradient = 2 * rates + others + constant
            moved = game.permanent_impacts[:, None] * _held_midway(others)
            gradient = gradient + moved
            if self.has_risk:
                risk = game.risk_of_types[:, None]
                gradient = gradient + risk * _risk_gradient(rates)
            gradient = gradient - gradient.mean(axis=1, keepdims=True)
            residual = jnp.max(jnp.abs(gradient)) / scale
            return rates - rate * gradient, residual

        start = jnp.broadcast_to(targets[:, None], constant.shape)
        found = iterate_until(step, start, tol=tol, max_steps=self.max_steps)
        left = jax.grad(total)(found.value, found.value) * num_cells
        left = left - left.mean(axis=1, keepdims=True)
        residual = jnp.max(jnp.abs(left)) / scale
        # Twice: sums in another order are rounded otherwise.
        has_more = (found.status == Status.converged) & ~(residual <= 2 * tol)
        status = Status.where(has_more, Status.stalled, found.status)
        paths = piecewise_linear(_positions(found.value))
        return finish(paths, status, residual, found.num_steps, is_valid)


def _positions(rates: Float[Array, "types cells"]) -> Float[Array, "types points"]:
    ends = jnp.cumsum(rates, axis=1) / np.asarray(rates.shape[1], rates.dtype)
    return jnp.pad(ends, [(0, 0), (1, 0)])


def _held_midway(rates: Float[Array, "types cells"]) -> Float[Array, "types cells"]:
    """Return positions in the middle of every cell."""
    num_cells = rates.shape[1]
    if num_cells > _MOST_IN_TABLE:
        return (jnp.cumsum(rates, axis=1) - rates / 2) / num_cells
    table = (np.tri(num_cells) - np.eye(num_cells) / 2) / num_cells
    return product(rates, jnp.asarray(table.T, rates.dtype))


def _flow_gradient(
    game: PositionBuilding, num_cells: int
) -> Float[Array, "types cells"]:
    """Return what the believed flow adds to the price: its mean over every cell."""
    rule = cells(num_cells)
    price = game.permanent_impacts[:, None] * game.flow(rule.times)
    price = price + game.flow_rates(rule.times)
    weights = jnp.asarray(rule.weights[: rule.num_nodes] * num_cells, price.dtype)
    return product(price.reshape(game.size, num_cells, -1), weights)


def _risk_gradient(rates: Float[Array, "types cells"]) -> Float[Array, "types cells"]:
    """Return the gradient of int x^2 dt: what is held once a cell's trade has begun.

    Over a cell of length h, x^2 integrates to h (m^2 + (h r)^2 / 12), with m the
    position midway.
    """
    midway, num_cells = _held_midway(rates), rates.shape[1]
    later = midway.mean(axis=1, keepdims=True) - _held_midway(midway)
    return 2 * later + rates / (6 * num_cells**2)
