"""Plans in whole lots by dynamic programming over the lots that are left."""

from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, PRNGKeyArray

from gtrade._checks import InadmissibleError, check_integer, check_static
from gtrade.problems.almgren_chriss import AlmgrenChriss, ExecutionSchedule
from gtrade.problems.base import replace_fields, validate_if_concrete
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver


class ExecutionProgram(AbstractSolver):
    """Find the best plan in whole lots from tables of costs still to be paid.

    A step back is the min-plus product of what a period's trade costs with what is
    paid after it, `O(num_periods * lots^2)` in all. Unlike the closed form it does not
    rely on convexity.

    Attributes:
        max_lots: size of the tables (static); None: as many lots as the problem has,
            which `gtrade.solve` and `gtrade.solve_batch` look up.
    """

    max_lots: int | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        """Check the values."""
        validate_if_concrete(self)

    @classmethod
    def validate(cls, *, max_lots: Any = None) -> None:
        """Raise ValueError for inadmissible numbers."""
        if max_lots is not None:
            check_static(max_lots=max_lots)
            check_integer(max_lots=max_lots, at_least=0)

    @classmethod
    def validate_for(cls, problem: Any, **numbers: Any) -> None:
        """Raise ValueError for a problem without lots, or with more than the tables."""
        if problem.get("lot_size") is None:
            rule = "be given for the dynamic program, which counts lots"
            raise InadmissibleError("lot_size", rule, None)
        most = numbers.get("max_lots")
        if most is not None:
            lots = np.asarray(problem["shares"]) / np.asarray(problem["lot_size"])
            needed = int(np.round(np.abs(lots).max(initial=0)))
            if needed > most:
                rule = f"be at least {needed}, the most lots of any problem"
                raise InadmissibleError("max_lots", rule, most)

    def prepare(self, problems: AlmgrenChriss) -> Self:
        """Note the most lots of any problem."""
        shares, lot = problems.shares, problems.lot_size
        if self.max_lots is not None or lot is None or isinstance(shares, Tracer):
            return self
        lots = np.abs(np.asarray(shares) / np.asarray(lot))
        lots = lots[np.isfinite(lots)]
        return replace_fields(self, max_lots=int(np.round(lots.max(initial=0))))

    def solve(
        self, problem: AlmgrenChriss, *, key: PRNGKeyArray | None = None
    ) -> Solution[ExecutionSchedule]:
        """Solve one instance.

        Returns:
            The plan, with status `converged` or `invalid_input` (also if there are
            more lots than `max_lots`); the residual is how much the plan's objective
            differs from what the tables promise, relative.

        Raises:
            ValueError: without a lot size or, under tracing, without `max_lots`.
        """
        solver = self.prepare(problem)
        if problem.lot_size is None:
            raise InadmissibleError(
                "lot_size", "be given for the dynamic program", None
            )
        if solver.max_lots is None:
            rule = "be given where the number of lots is traced"
            raise InadmissibleError("max_lots", rule, None)
        problem, is_valid = problem.admitted()
        assert problem.lot_size is not None
        lot, dtype = problem.lot_size, problem.shares.dtype
        counts = jnp.arange(solver.max_lots + 1, dtype=dtype)
        total = jnp.round(jnp.abs(problem.shares) / lot)
        is_valid = is_valid & (total <= solver.max_lots)

        def own_costs(lots: Array) -> Array:
            size = lot * lots * jnp.ones(problem.num_periods, dtype)
            drift = problem.permanent_impact / 2
            return problem.temporary_costs(size) - drift * size**2

        costs = jax.vmap(own_costs)(counts).T
        scale = jnp.abs(costs).max()
        costs = costs / jnp.where(scale > 0, scale, 1)
        risk = problem.risk_aversion * problem.volatility**2 * problem.period_length
        risk = risk * lot**2 / jnp.where(scale > 0, scale, 1)
        room = jnp.round(problem.caps / lot)
        costs = jnp.where(counts[None] <= room[:, None], costs, jnp.inf)
        rest = np.arange(solver.max_lots + 1)
        rest = rest[:, None] - rest[None]  # lots left after a trade (columns)
        is_open = jnp.asarray(rest >= 0)
        rest = jnp.asarray(np.maximum(rest, 0))

        def backward(to_go: Array, cost: Array) -> tuple[Array, Array]:
            after = to_go + risk * counts**2
            table = jnp.where(is_open, cost[None] + after[rest], jnp.inf)
            return table.min(axis=1), jnp.argmin(table, axis=1).astype(jnp.int32)

        done = jnp.where(counts == 0, 0, jnp.inf).astype(dtype)
        promised, policy = jax.lax.scan(backward, done, costs, reverse=True)

        def forward(left: Array, choice: Array) -> tuple[Array, Array]:
            return left - choice[left], choice[left]

        start = jnp.where(is_valid, total, 0).astype(jnp.int32)
        _, lots = jax.lax.scan(forward, start, policy)
        lots = lots.astype(dtype)
        trades = problem.side * lot * lots
        left = problem.holdings(lots)[1:]
        numbers = jnp.arange(problem.num_periods)
        reached = costs[numbers, lots.astype(jnp.int32)].sum()
        reached = reached + risk * (left**2).sum()
        residual = jnp.abs(reached - promised[start])
        residual = residual / jnp.maximum(jnp.abs(reached), jnp.finfo(dtype).tiny)
        holdings = jnp.append(problem.shares, problem.holdings(trades)[1:])
        plan = ExecutionSchedule(trades, holdings)
        status = Status.where(is_valid, Status.converged, Status.invalid_input)
        plan, residual = jax.tree.map(
            lambda x: jnp.where(is_valid, x, jnp.nan), (plan, residual)
        )
        return Solution(plan, status, residual, jnp.zeros((), jnp.int32))
