"""Position building by matrix exponentials: conditionals and risk aversion too.

The Euler-Lagrange equations of all types

    A z'' + K P z' - 2 R z + u'' + K u' = 0,   A = 2 I + P,

are a linear system in (z, z', 1, t, ...), whose exponential is taken over short panels
of the day: over all of it, digits are lost like exp(kappa). Positions at the panels'
ends follow from one block-tridiagonal system, which says that rates are continuous.
Without a common prior the system may be singular, and then there is no equilibrium or
a continuum; with one and no risk aversion it never is.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from gtrade._checks import check_integer
from gtrade.numerics.cyclic_reduction import solve_block_tridiagonal
from gtrade.numerics.elimination import solve_tiny
from gtrade.numerics.exponential import exponentials
from gtrade.numerics.precision import product
from gtrade.numerics.quadrature import Rule
from gtrade.problems.position_building import PositionBuilding, differentiate
from gtrade.problems.position_paths import PositionPaths
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver
from gtrade.solvers.position_answers import (
    answer,
    check_unbounded,
    first_integral_residual,
    require_unbounded,
    size_of,
)

_NODES = 12  # of a panel
# Beyond it the system is singular to working precision (it grows like panels squared).
_SINGULAR = 1e-3


class MatrixExponential(AbstractSolver):
    """Solve a game by exponentials of its linear differential equation.

    Attributes:
        num_points: equally spaced times at which schedules are given (static).
        num_panels: panels of the day (static); more of them for larger kappa.
    """

    num_points: int = eqx.field(static=True, default=65)
    num_panels: int = eqx.field(static=True, default=16)

    cpu_block: ClassVar[int | None] = 32  # twice as fast as 4096 at a time

    def __check_init__(self) -> None:
        """Check the numbers."""
        self.validate(num_points=self.num_points, num_panels=self.num_panels)

    @classmethod
    def validate(cls, *, num_points: Any = 65, num_panels: Any = 16) -> None:
        """Raise ValueError for inadmissible numbers."""
        check_integer(num_points=num_points, at_least=2)
        check_integer(num_panels=num_panels, at_least=2)

    @classmethod
    def validate_for(cls, problem: Mapping[str, Any], **numbers: Any) -> None:
        """Raise ValueError for games with bounds."""
        del numbers
        check_unbounded("matrix-exponential", problem)

    def solve(
        self, problem: PositionBuilding, *, key: PRNGKeyArray | None = None
    ) -> Solution[PositionPaths]:
        """Solve one game; differentiable in all its numbers.

        Returns:
            The equilibrium, with status `converged`, `stalled` (the system is singular
            to working precision, or kappa too large for the panels), `nonfinite` or
            `invalid_input`; the residual is as for `Spectral`.
        """
        require_unbounded("matrix-exponential", problem)
        game, is_valid = problem.admitted()
        paths, condition = _solve(game, self.num_points, self.num_panels)
        residual = first_integral_residual(game, paths)
        solution = answer(game, paths, residual, is_valid)
        limit = _SINGULAR / jnp.finfo(residual.dtype).eps
        is_singular = (solution.status == Status.converged) & (condition > limit)
        status = Status.where(is_singular, Status.stalled, solution.status)
        return Solution(solution.value, status, solution.residual, solution.num_steps)


def _solve(
    game: PositionBuilding, num_points: int, num_panels: int
) -> tuple[PositionPaths, Float[Array, ""]]:
    """Return the paths, and about the condition number of the system for them."""
    rule = Rule(num_panels, _NODES)
    sampled, panels, offsets = _sampling(num_points, num_panels)
    generator, num_powers = _generator(game)
    spans = np.concatenate([[1 / num_panels], rule.times[:_NODES], offsets])
    flows = exponentials(generator, spans)
    size = game.size
    starts = np.arange(num_panels) / num_panels
    # Flows of any size leave the exponentials' scaling alone.
    powers = starts[:, None] ** np.arange(num_powers)
    powers = jnp.asarray(powers, generator.dtype) * size_of(game)
    panel, at_nodes, at_offsets = jnp.split(flows, [1, 1 + _NODES])
    panel = panel[0]
    by_position = panel[: 2 * size, :size]
    by_rate = panel[: 2 * size, size : 2 * size]
    by_flow = product(powers, panel[: 2 * size, 2 * size :].T)  # (panels, 2 size)

    # Rate at a panel's start from positions at both its ends.
    inverse = solve_tiny(by_rate[:size], jnp.eye(size, dtype=by_rate.dtype))
    from_start = -product(inverse, by_position[:size])
    from_flow = -product(by_flow[:, :size], inverse.T)
    # Rate at its end.
    end_by_start = by_position[size:] + product(by_rate[size:], from_start)
    end_by_end = product(by_rate[size:], inverse)
    end_by_flow = by_flow[:, size:] + product(from_flow, by_rate[size:].T)

    right = from_flow[1:] - end_by_flow[:-1]
    right = right.at[-1].add(product(inverse, game.targets[:, None])[:, 0])
    diagonal = end_by_end - from_start
    middle, norm = solve_block_tridiagonal(end_by_start, diagonal, -inverse, right)
    blocks = jnp.concatenate([end_by_start, diagonal, inverse])
    condition = jax.lax.stop_gradient(jnp.max(jnp.abs(blocks).sum(axis=0)) * norm)
    zero = jnp.zeros((1, size), middle.dtype)
    ends = jnp.concatenate([zero, middle, game.targets[None]])
    first = ends[:-1]
    rates = product(first, from_start.T) + product(ends[1:], inverse.T) + from_flow
    states = jnp.concatenate([first, rates, powers], axis=1)
    moved = jnp.einsum("nij,pj->ipn", at_nodes, states, precision="highest")
    moved = moved.reshape(len(generator), rule.size)
    schedules = jnp.einsum(
        "tij,tj->it", at_offsets[sampled, :size], states[panels], precision="highest"
    )
    schedules = schedules.at[:, -1].set(game.targets)
    paths = PositionPaths(
        schedules=schedules,
        positions=moved[:size],
        rates=moved[size : 2 * size],
        initial_rates=rates[0],
        rule=rule,
    )
    return paths, condition


def _sampling(
    num_points: int, num_panels: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where in which panel equally spaced times lie.

    Returns:
        For every time the number of its offset and of its panel; and the offsets from
        a panel's start, each once.
    """
    scaled = np.linspace(0.0, num_panels, num_points)
    panels = np.minimum(scaled.astype(int), num_panels - 1)
    offsets = np.round((scaled - panels) / num_panels, 14)
    offsets, sampled = np.unique(offsets, return_inverse=True)
    return sampled, panels, offsets


def _generator(game: PositionBuilding) -> tuple[Array, int]:
    """Return C of d/dt (z, z', 1, t, ...) = C (z, z', 1, t, ...), and the powers.

    The powers are in units of the game's size.
    """
    size, dtype = game.size, game.targets.dtype
    beliefs = game.beliefs()
    impacts = game.permanent_impacts[:, None]
    one = jnp.eye(size, dtype=dtype)
    inverse = solve_tiny(2 * one + beliefs, one)
    slope = differentiate(game.non_strategic)
    force = impacts * slope
    bend = differentiate(slope)
    force = force.at[:, : bend.shape[1]].add(bend) / size_of(game)
    num_powers = force.shape[1]
    zero = jnp.zeros((size, size), dtype)
    risk = 2 * inverse * game.risk_of_types[None, :]
    drag = -product(inverse, impacts * beliefs)
    clock = jnp.asarray(np.diag(np.arange(1.0, num_powers), k=-1), dtype)
    none = jnp.zeros((num_powers, 2 * size), dtype)
    top = jnp.concatenate([zero, one, jnp.zeros((size, num_powers), dtype)], axis=1)
    middle = jnp.concatenate([risk, drag, -product(inverse, force)], axis=1)
    bottom = jnp.concatenate([none, clock], axis=1)
    return jnp.concatenate([top, middle, bottom], axis=0), num_powers
