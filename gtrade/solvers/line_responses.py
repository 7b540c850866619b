"""Best-response dynamics of position building, damped, simultaneous or in turn.

With two firms and one kappa a best response multiplies the mode exp(2 pi i n t) of the
rival's rate by -(1/2) (1 + kappa / (2 pi i n)), so undamped responses converge exactly
for kappa < 2 pi sqrt(3) = 10.88; with N firms at once the radius is N - 1 times that.
Damping makes them converge for every kappa. (Chriss 2024, arXiv 2409.15459, damps too.)
"""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from gtrade._arrays import as_float, as_optional_float
from gtrade._checks import (
    InadmissibleError,
    check,
    check_integer,
    check_positive,
    check_shape,
)
from gtrade.numerics.loops import iterate_until
from gtrade.problems.base import validate_if_concrete
from gtrade.problems.position_building import PositionBuilding
from gtrade.problems.position_paths import PositionPaths, piecewise_linear
from gtrade.problems.types import firm_of_type
from gtrade.responses.position_lines import best_lines
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

ORDERS = ("simultaneous", "alternating")


class LineResponses(AbstractSolver):
    """Let all types move towards their best responses until nobody moves.

    Attributes:
        tol: of the largest move to a best response, relative to the largest target or
            flow, shape (). No less than 32 roundings count.
        damping: share of the way to the best response that is taken, in (0, 1]; None
            for one that contracts, shape ().
        order: "simultaneous", or "alternating": firms in turn (static).
        num_points: equally spaced times (static).
        max_steps: largest number of rounds (static).
    """

    tol: Float[Array, ""] = eqx.field(converter=as_float, default=1e-11)
    damping: Float[Array, ""] | None = eqx.field(
        converter=as_optional_float, default=None
    )
    order: str = eqx.field(static=True, default="simultaneous")
    num_points: int = eqx.field(static=True, default=65)
    max_steps: int = eqx.field(static=True, default=20_000)

    def __check_init__(self) -> None:
        """Check shapes, and values where they are concrete."""
        check_shape((), tol=self.tol, damping=self.damping)
        validate_if_concrete(self)

    @classmethod
    def validate(
        cls,
        *,
        tol: Any = 1e-11,
        damping: Any = None,
        order: Any = "simultaneous",
        num_points: Any = 65,
        max_steps: Any = 20_000,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_positive(tol=tol)
        if damping is not None:
            check("lie in (0, 1]", lambda x: (x > 0) & (x <= 1), damping=damping)
        if order not in ORDERS:
            raise InadmissibleError("order", f"be one of {', '.join(ORDERS)}", order)
        check_integer(num_points=num_points, at_least=3)
        check_integer(max_steps=max_steps, at_least=1)

    @classmethod
    def validate_for(cls, problem: Mapping[str, Any], **numbers: Any) -> None:
        """Raise ValueError for games with bounds."""
        del numbers
        check_unbounded("best-response", problem)

    def solve(
        self, problem: PositionBuilding, *, key: PRNGKeyArray | None = None
    ) -> Solution[PositionPaths]:
        """Play one game.

        Returns:
            Piecewise linear paths, with status `converged`, `max_steps_reached`,
            `nonfinite` (responses that diverge) or `invalid_input`; the residual is
            the last round's largest move, undamped, relative to the largest target.
        """
        require_unbounded("best-response", problem)
        game, is_valid = problem.admitted()
        targets = game.targets
        # A best response is a gradient step of length 1/2.
        damping = self.damping
        if damping is None:
            damping = jnp.minimum(2 * safe_step(game, has_risk=False), 1)
        damping = damping.astype(targets.dtype)
        scale = size_of(game)
        firms = firm_of_type(game.num_types)
        turns = range(game.num_firms)
        masks = [firms == f for f in turns]
        if self.order == "simultaneous":
            masks = [np.ones(game.size, bool)]
        movers = jnp.asarray(np.stack(masks))

        def round_of_moves(schedules: Array) -> tuple[Array, Array]:
            def move(schedules: Array, mask: Array) -> tuple[Array, Array]:
                change = best_lines(game, schedules) - schedules
                change = jnp.where(mask[:, None], change, 0)
                return schedules + damping * change, jnp.max(jnp.abs(change))

            schedules, moves = jax.lax.scan(move, schedules, movers)
            return schedules, jnp.max(moves) / scale

        times = jnp.asarray(np.linspace(0.0, 1.0, self.num_points), targets.dtype)
        found = iterate_until(
            round_of_moves,
            targets[:, None] * times[None, :],
            tol=reachable(self.tol, targets.dtype),
            max_steps=self.max_steps,
        )
        paths = piecewise_linear(found.value)
        return finish(paths, found.status, found.residual, found.num_steps, is_valid)
