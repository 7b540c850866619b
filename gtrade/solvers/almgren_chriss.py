"""The optimal execution plan, whichever extensions of the model are asked for."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from gtrade.problems.almgren_chriss import AlmgrenChriss, ExecutionSchedule
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver
from gtrade.solvers.execution_conditions import marginal_spread
from gtrade.solvers.execution_hyperbolic import hyperbolic_schedule, riccati_schedule

# Rounding units, times periods, that first-order conditions may be missed by.
_ROUNDING = 1e4


class AlmgrenChrissClosedForm(AbstractSolver):
    """Compute the plan that minimises `E + lambda V` exactly.

    Which formula answers depends on the keys that are given: hyperbolic functions
    without any, a linear recursion for a volume profile.
    """

    def solve(
        self, problem: AlmgrenChriss, *, key: PRNGKeyArray | None = None
    ) -> Solution[ExecutionSchedule]:
        """Solve one instance.

        Returns:
            The plan, with status `converged` or `invalid_input`; the residual is that
            of the first-order conditions, relative.
        """
        problem, is_valid = problem.admitted()
        plan = optimal_schedule(problem)
        return as_solution(problem, plan, is_valid)


def optimal_schedule(problem: AlmgrenChriss) -> ExecutionSchedule:
    """Return the optimum of an admissible instance."""
    if problem.volumes is None:
        return hyperbolic_schedule(problem)
    return riccati_schedule(problem)


def as_solution(
    problem: AlmgrenChriss, plan: ExecutionSchedule, is_valid: Bool[Array, ""]
) -> Solution[ExecutionSchedule]:
    """Return a plan without iterations as a solution, NaN where it is not valid."""
    residual: Float[Array, ""] = marginal_spread(problem, plan)
    tol = _ROUNDING * jnp.finfo(residual.dtype).eps
    status = Status.where(residual <= tol, Status.converged, Status.stalled)
    status = Status.where(is_valid, status, Status.invalid_input)
    plan, residual = jax.tree.map(
        lambda x: jnp.where(is_valid, x, jnp.nan), (plan, residual)
    )
    return Solution(plan, status, residual, jnp.zeros((), jnp.int32))
