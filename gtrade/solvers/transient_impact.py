"""The equilibrium of position building under transient impact: two linear systems."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from gtrade._checks import check_integer, check_static
from gtrade.numerics.precision import product
from gtrade.numerics.toeplitz import solve_toeplitz
from gtrade.problems.base import validate_if_concrete
from gtrade.problems.transient_impact import TransientImpact, TransientTrades
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver

# Rounding units that a residual of linear systems of this kind may have.
_ROUNDING = 1e4


class TransientLinearSystem(AbstractSolver):
    """Solve for the firms' common trades and for their differences.

    With the own-cost matrix A (positive definite) and the lower triangular matrix B of
    the others' impact, firm i's first-order condition `A x_i + B sum_{j != i} x_j ~ 1`
    decouples: their mean obeys `(A + (N - 1) B) v ~ 1` and every difference from it
    `(A - B) w ~ 1` (Luo & Schied 2018, arXiv 1807.03813). Since B + B' is the kernel
    matrix, both matrices have a positive definite symmetric part: the equilibrium
    exists and is unique, for any number of firms.

    Attributes:
        num_points: equally spaced trading times on [0, 1], both ends included (static).
    """

    num_points: int = eqx.field(static=True, default=65)

    cpu_block: ClassVar[int | None] = 128  # three times as fast as 4096 at a time

    def __check_init__(self) -> None:
        """Check the values."""
        validate_if_concrete(self)

    @classmethod
    def validate(cls, *, num_points: Any = 65) -> None:
        """Raise ValueError for inadmissible numbers."""
        check_static(num_points=num_points)
        check_integer(num_points=num_points, at_least=2)

    def solve(
        self, problem: TransientImpact, *, key: PRNGKeyArray | None = None
    ) -> Solution[TransientTrades]:
        """Solve one instance.

        Returns:
            The trades, with status `converged`, `stalled` (rounding spoiled the linear
            systems) or `invalid_input`; the residual is the largest violation of the
            first-order conditions and of the targets, relative to the largest target.
        """
        problem, is_valid = problem.admitted()
        others = problem.others_impact(self.num_points)
        num_firms, targets = problem.num_firms, problem.targets
        # Times are equally spaced: what a trade does depends on the lag alone.
        fading, unit = others[:, 0], jnp.eye(1, self.num_points, dtype=others.dtype)[0]
        fading = fading + unit / 2
        own = fading + 2 * problem.temporary_cost * unit
        # A - B is upper triangular: own impact has what later trades move beyond B.
        columns = jnp.stack([own + (num_firms - 1) * others[:, 0], own - others[:, 0]])
        solve = jax.vmap(solve_toeplitz, in_axes=(0, None, None))
        common, deviation = solve(columns, fading, jnp.ones_like(own))
        common, deviation = common / common.sum(), deviation / deviation.sum()
        mean = targets.mean()
        trades = mean * common[None] + (targets - mean)[:, None] * deviation[None]

        # A = B + B' + 2 theta, so that A x_i + B (the others') takes products with B.
        total = trades.sum(axis=0)[None]
        marginal = product(total, others.T) + product(trades, others)
        marginal = marginal + 2 * problem.temporary_cost * trades
        marginal = marginal - marginal.mean(axis=1, keepdims=True)
        missing = trades.sum(axis=1) - targets
        scale = jnp.maximum(jnp.abs(targets).max(), jnp.finfo(targets.dtype).tiny)
        residual = jnp.maximum(jnp.abs(marginal).max(), jnp.abs(missing).max()) / scale
        tol = _ROUNDING * jnp.finfo(residual.dtype).eps
        status = Status.where(residual <= tol, Status.converged, Status.stalled)
        status = Status.where(is_valid, status, Status.invalid_input)
        value = TransientTrades(trades, common, deviation)
        value, residual = jax.tree.map(
            lambda x: jnp.where(is_valid, x, jnp.nan), (value, residual)
        )
        return Solution(value, status, residual, jnp.zeros((), jnp.int32))
