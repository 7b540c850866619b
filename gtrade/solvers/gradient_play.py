"""Simultaneous gradient play on discretised costs (for position building).

Everyone's path follows straight lines between equally spaced times. Each type descends
its own expected cost, the others' paths being held, by automatic differentiation of the
cost itself: nothing here knows the Euler-Lagrange equation, which it is a check of.
"""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from gtrade._arrays import as_float, as_optional_float
from gtrade._checks import check_integer, check_positive, check_shape
from gtrade.numerics.loops import iterate_until
from gtrade.problems.base import validate_if_concrete
from gtrade.problems.position_building import PositionBuilding
from gtrade.problems.position_costs import costs_along_lines
from gtrade.problems.position_paths import PositionPaths, piecewise_linear
from gtrade.solution import Solution
from gtrade.solvers.base import AbstractSolver
from gtrade.solvers.position_answers import (
    check_unbounded,
    finish,
    reachable,
    require_unbounded,
    safe_step,
    size_of,
)


class GradientPlay(AbstractSolver):
    """Let every type descend its own discretised cost until no gradient is left.

    Attributes:
        tol: of the largest gradient with respect to a rate, relative to the largest
            target or flow times 1 + kappa, shape (). No less than 32 roundings count.
        learning_rate: step length, for rates; None for one that contracts (see
            `position_answers.safe_step`), shape ().
        num_points: equally spaced times (static).
        max_steps: largest number of steps (static).
    """

    tol: Float[Array, ""] = eqx.field(converter=as_float, default=1e-10)
    learning_rate: Float[Array, ""] | None = eqx.field(
        converter=as_optional_float, default=None
    )
    num_points: int = eqx.field(static=True, default=65)
    max_steps: int = eqx.field(static=True, default=20_000)

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

    def solve(
        self, problem: PositionBuilding, *, key: PRNGKeyArray | None = None
    ) -> Solution[PositionPaths]:
        """Play one game.

        Returns:
            Piecewise linear paths, with status `converged`, `max_steps_reached`,
            `nonfinite` (a learning rate too long) or `invalid_input`; the residual is
            the largest gradient, relative as `tol` is.
        """
        require_unbounded("gradient", problem)
        game, is_valid = problem.admitted()
        targets, num_cells = game.targets, self.num_points - 1
        rate = safe_step(game) if self.learning_rate is None else self.learning_rate
        optimiser = optax.sgd(1.0)
        scale = size_of(game) * (1 + jnp.max(game.permanent_impacts))

        def total(rates: Array, held: Array) -> Array:
            costs = costs_along_lines(game, _positions(rates), _positions(held))
            return costs.sum()

        def step(state: tuple[Array, Any]) -> tuple[tuple[Array, Any], Array]:
            rates, memory = state
            gradient = jax.grad(total)(rates, jax.lax.stop_gradient(rates)) * num_cells
            gradient = gradient - gradient.mean(axis=1, keepdims=True)
            updates, memory = optimiser.update(rate * gradient, memory, rates)
            residual = jnp.max(jnp.abs(gradient)) / scale
            moved: Any = optax.apply_updates(rates, updates)
            return (moved, memory), residual

        shape = (game.size, num_cells)
        start = jnp.broadcast_to(targets[:, None], shape)
        found = iterate_until(
            step,
            (start, optimiser.init(start)),
            tol=reachable(self.tol, start.dtype),
            max_steps=self.max_steps,
        )
        paths = piecewise_linear(_positions(found.value[0]))
        return finish(paths, found.status, found.residual, found.num_steps, is_valid)


def _positions(rates: Float[Array, "types cells"]) -> Float[Array, "types points"]:
    ends = jnp.cumsum(rates, axis=1) / np.asarray(rates.shape[1], rates.dtype)
    return jnp.pad(ends, [(0, 0), (1, 0)])
