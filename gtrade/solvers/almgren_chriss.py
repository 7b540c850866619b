"""The optimal execution plan, whichever extensions of the model are asked for."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from gtrade.problems.almgren_chriss import AlmgrenChriss, ExecutionSchedule
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver
from gtrade.solvers.execution_conditions import marginal_spread
from gtrade.solvers.execution_hyperbolic import hyperbolic_schedule, riccati_schedule
from gtrade.solvers.execution_lots import lot_schedule
from gtrade.solvers.execution_marginal import marginal_schedule

# Rounding units that first-order conditions may be missed by.
_ROUNDING = 1e4


class AlmgrenChrissClosedForm(AbstractSolver):
    """Compute the plan that minimises `E + lambda V` exactly.

    Which formula answers depends on the keys that are given: hyperbolic functions
    without any; a linear recursion for a volume profile; for caps, power laws and
    their combinations one equation in one unknown; for lots, moves of single lots from
    its solution.
    """

    def solve(
        self, problem: AlmgrenChriss, *, key: PRNGKeyArray | None = None
    ) -> Solution[ExecutionSchedule]:
        """Solve one instance.

        Returns:
            The plan, with status `converged`, `stalled` (rounding spoiled it),
            `max_steps_reached` or `invalid_input` (also if costs are not convex where
            the plan would be, which can happen for `impact_exponent` above 1). The
            residual is that of the first-order conditions, relative; for lots, what
            moving the best one would gain.
        """
        problem, is_valid = problem.admitted()
        answer = optimal_plan(problem)
        tol = _ROUNDING * jnp.finfo(answer.residual.dtype).eps
        is_met = answer.residual <= tol
        status = Status.where(is_met, Status.converged, Status.stalled)
        status = Status.where(answer.is_found, status, Status.max_steps_reached)
        is_valid = is_valid & answer.is_convex
        status = Status.where(is_valid, status, Status.invalid_input)
        plan, residual = jax.tree.map(
            lambda x: jnp.where(is_valid, x, jnp.nan), (answer.plan, answer.residual)
        )
        num_steps = jnp.where(is_valid, answer.num_steps, 0)
        return Solution(plan, status, residual, num_steps)


class Answer(NamedTuple):
    """A plan, its residual, and how the computation went."""

    plan: ExecutionSchedule
    residual: Float[Array, ""]
    is_found: Bool[Array, ""]
    is_convex: Bool[Array, ""]
    num_steps: Int[Array, ""]


def optimal_plan(problem: AlmgrenChriss) -> Answer:
    """Return the optimum of an admissible instance."""
    true, zero = jnp.ones((), bool), jnp.zeros((), jnp.int32)
    if problem.num_periods == 1:  # there is one plan, whatever the costs
        trades = problem.immediate_trades
        plan = ExecutionSchedule(
            trades, jnp.append(problem.shares, jnp.zeros_like(trades))
        )
        return Answer(plan, jnp.zeros_like(problem.shares), true, true, zero)
    if problem.lot_size is not None:
        lots = lot_schedule(problem)
        return Answer(
            lots.plan, lots.gain, lots.is_found, lots.is_convex, lots.num_steps
        )
    is_linear = problem.impact_exponent is None and problem.max_participation is None
    if is_linear:
        is_even = problem.volumes is None or problem.scales_with_volume is False
        rule = hyperbolic_schedule if is_even else riccati_schedule
        plan = rule(problem)
        return Answer(plan, marginal_spread(problem, plan), true, true, zero)
    search = marginal_schedule(problem)
    residual = marginal_spread(problem, search.plan)
    return Answer(
        search.plan, residual, search.is_found, search.is_convex, search.num_steps
    )
