"""Position building with bounds on positions, as a variational inequality.

Paths follow straight lines between equally spaced times, so bounds at these times
bound the whole path (if they are straight lines themselves). The first-order conditions
of all types are a linear complementarity problem, block tridiagonal in time. With one
kappa for all types the game is strictly monotone, its equilibrium unique and the
problem solved in finitely many pivoting steps; with different kappas that is not
proved. (Bounds as in Chriss 2024, arXiv 2409.15459.)
"""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from gtrade._arrays import as_float
from gtrade._checks import check_integer, check_positive, check_shape
from gtrade.numerics.block_tridiagonal import BlockTridiagonal
from gtrade.problems.base import validate_if_concrete
from gtrade.problems.position_building import PositionBuilding
from gtrade.problems.position_paths import PositionPaths, piecewise_linear
from gtrade.responses.position_lines import line_blocks, line_costs
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver
from gtrade.solvers.block_pivoting import solve_box_lcp
from gtrade.solvers.position_answers import finish, reachable, size_of


class Constrained(AbstractSolver):
    """Solve a game with bounds on positions (or without) by block pivoting.

    Attributes:
        tol: of the residual, shape ().
        num_points: equally spaced times (static).
        max_steps: most linear systems, each of types times (num_points - 2) unknowns
            (static).
    """

    tol: Float[Array, ""] = eqx.field(converter=as_float, default=1e-9)
    num_points: int = eqx.field(static=True, default=65)
    max_steps: int = eqx.field(static=True, default=500)

    def __check_init__(self) -> None:
        """Check shapes, and values where they are concrete."""
        check_shape((), tol=self.tol)
        validate_if_concrete(self)

    @classmethod
    def validate(
        cls, *, tol: Any = 1e-9, num_points: Any = 65, max_steps: Any = 500
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_positive(tol=tol)
        check_integer(num_points=num_points, at_least=3)
        check_integer(max_steps=max_steps, at_least=1)

    def solve(
        self, problem: PositionBuilding, *, key: PRNGKeyArray | None = None
    ) -> Solution[PositionPaths]:
        """Solve one game.

        Returns:
            Piecewise linear paths within the bounds, with status `converged`,
            `stalled` (rounding keeps the residual above `tol`), `max_steps_reached`,
            `nonfinite` or `invalid_input`; the residual is the
            largest distance of a position from where a scaled gradient step and the
            bounds would put it (the KKT residual), relative to the largest target or
            flow.
        """
        game, is_valid = problem.admitted()
        targets = game.targets
        times = np.linspace(0.0, 1.0, self.num_points)
        lower, upper = game.bounds(times[1:-1])
        ends = jnp.pad(targets[:, None], [(0, 0), (self.num_points - 1, 0)])
        # Unknowns by time, then type.
        found = solve_box_lcp(
            BlockTridiagonal(*line_blocks(game, self.num_points - 1)),
            line_costs(game, ends).gradient.T,
            lower.T,
            upper.T,
            max_steps=self.max_steps,
        )
        schedules = ends.at[:, 1:-1].set(found.point.T)
        residual = found.residual / size_of(game)
        ended = Status.where(found.has_ended, Status.stalled, Status.max_steps_reached)
        tol = reachable(self.tol, residual.dtype)
        status = Status.where(residual <= tol, Status.converged, ended)
        status = Status.where(jnp.isfinite(residual), status, Status.nonfinite)
        paths = piecewise_linear(schedules)
        return finish(paths, status, residual, found.num_steps, is_valid)
