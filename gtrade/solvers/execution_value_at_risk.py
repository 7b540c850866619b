"""Plans of least value at risk: the frontier, searched for one point."""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import ndtri
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from gtrade._arrays import as_optional_float
from gtrade._checks import (
    InadmissibleError,
    check,
    check_nonnegative,
    check_real,
    check_shape,
)
from gtrade.problems.almgren_chriss import (
    AlmgrenChriss,
    ExecutionSchedule,
    ValueAtRiskSchedule,
)
from gtrade.problems.base import replace_fields, validate_if_concrete
from gtrade.solution import Solution, Status
from gtrade.solvers.almgren_chriss import optimal_plan
from gtrade.solvers.base import AbstractSolver

# Factors of the risk aversion of an even plan that are searched, by float width.
_MOST_FACTORS = {4: 1e15, 8: 1e24}
_HALVINGS = 66  # after which neighbouring numbers are left
_ROUNDING = 1e6


class _Search(NamedTuple):
    """Where a search along the frontier is, with logarithms of risk aversions.

    Attributes:
        low: too little, or the least there is.
        high: too much.
        next: to be looked at.
        level: the last one looked at.
        plan: its plan.
        std: standard deviation of its shortfall.
        has_risk: whether plans differ in risk at all.
        is_convex: whether the plan is the optimum.
    """

    low: Float[Array, ""]
    high: Float[Array, ""]
    next: Float[Array, ""]
    level: Float[Array, ""]
    plan: ExecutionSchedule
    std: Float[Array, ""]
    has_risk: Bool[Array, ""]
    is_convex: Bool[Array, ""]


class ValueAtRisk(AbstractSolver):
    """Minimise `E + z sqrt(V)`, the liquidity-adjusted value at risk.

    Its plan lies on the frontier of `E + lambda V`, where `2 lambda sqrt(V) = z`
    (Almgren & Chriss 2001, section 3.3). The left side increases in lambda: one root.
    It has a limit, the marginal cost of trading all shares at once over the risk of
    keeping one for a period; for z from there on, trading at once is optimal.

    Attributes:
        confidence: of the value at risk, at least 0.5 and below 1, shape (); None: the
            problem's.
        z_score: z itself in its place, at least 0, shape ().
    """

    confidence: Float[Array, ""] | None = eqx.field(
        converter=as_optional_float, default=None
    )
    z_score: Float[Array, ""] | None = eqx.field(
        converter=as_optional_float, default=None
    )

    def __check_init__(self) -> None:
        """Check shapes and values."""
        check_shape((), confidence=self.confidence, z_score=self.z_score)
        validate_if_concrete(self)

    @classmethod
    def validate(cls, *, confidence: Any = None, z_score: Any = None) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        if confidence is not None:
            _check_confidence(confidence)
            if z_score is not None:
                rule = "be left out where confidence is given"
                raise InadmissibleError("z_score", rule, z_score)
        if z_score is not None:
            check_nonnegative(z_score=z_score)

    @classmethod
    def validate_for(
        cls, problem: Any, *, confidence: Any = None, z_score: Any = None
    ) -> None:
        """Raise ValueError for lots, or for a confidence below one half."""
        if problem.get("lot_size") is not None:
            rule = "be left out for value at risk, whose plans are not in whole lots"
            raise InadmissibleError("lot_size", rule, problem["lot_size"])
        if confidence is None and z_score is None:
            _check_confidence(problem.get("confidence", 0.95))

    def solve(
        self, problem: AlmgrenChriss, *, key: PRNGKeyArray | None = None
    ) -> Solution[ValueAtRiskSchedule]:
        """Solve one instance.

        Returns:
            The plan, with status `converged`, `degenerate` (all shares trade at once,
            the implied risk aversion is infinite), `stalled` or `invalid_input`; the
            residual is that of `2 lambda sqrt(V) = z`, relative.

        Raises:
            ValueError: for a problem in lots.
        """
        self.validate_for({"lot_size": problem.lot_size, "confidence": 0.95})
        problem, is_valid = problem.admitted()
        z_score = self.z_score
        if z_score is None:
            confidence = self.confidence
            z_score = ndtri(problem.confidence if confidence is None else confidence)
        z_score = z_score.astype(problem.shares.dtype)
        is_valid = is_valid & (z_score >= 0) & jnp.isfinite(z_score)
        z_score = jnp.where(is_valid, z_score, 0)

        width = math.log(_MOST_FACTORS[z_score.dtype.itemsize])

        def search(i: Array, state: _Search) -> _Search:
            """Look at a risk aversion: none at first, then the middle of a bracket."""
            tried = replace_fields(problem, risk_aversion=jnp.exp(state.next))
            found = optimal_plan(tried)
            std = jnp.sqrt(problem.variance(found.plan.trades))
            has_risk = jnp.where(i == 0, (std > 0) & (z_score > 0), state.has_risk)
            is_high = 2 * jnp.exp(state.next) * std > z_score
            low = jnp.where(is_high, state.low, state.next)
            high = jnp.where(is_high, state.next, state.high)
            # The variance falls from that without risk aversion: a bound on lambda.
            least = jnp.where(has_risk, z_score, 1) / jnp.where(has_risk, 2 * std, 1)
            low = jnp.where(i == 0, jnp.log(least), low)
            high = jnp.where(i == 0, low + width, high)
            middle = jnp.where(has_risk, low + (high - low) / 2, -jnp.inf)
            return _Search(
                low,
                high,
                middle,
                state.next,
                found.plan,
                std,
                has_risk,
                found.is_convex,
            )

        nothing = jnp.zeros_like(z_score)
        start = _Search(
            low=nothing,
            high=nothing,
            next=nothing - jnp.inf,
            level=nothing,
            plan=ExecutionSchedule(
                problem.even_trades, problem.holdings(problem.even_trades)
            ),
            std=nothing,
            has_risk=nothing > 0,
            is_convex=nothing == 0,
        )
        found = jax.lax.fori_loop(0, _HALVINGS, search, start)
        found = jax.lax.stop_gradient(found)
        level, at_level = _with_derivatives(problem, z_score, found)
        risk_aversion = jnp.exp(level)
        residual = jnp.abs(2 * risk_aversion * found.std - z_score)
        residual = residual / jnp.where(z_score > 0, z_score, 1)

        limit = self._limit(problem)
        can_trade = problem.caps[0] >= jnp.abs(problem.shares)
        is_at_once = (z_score >= limit) & can_trade & (problem.shares != 0)
        is_at_once = is_at_once & (problem.volatility > 0) & (z_score > 0)
        at_once = problem.immediate_trades
        nothing_left = jnp.append(problem.shares, jnp.zeros_like(at_once))
        trades = jnp.where(is_at_once, at_once, at_level.trades)
        holdings = jnp.where(is_at_once, nothing_left, at_level.holdings)
        risk_aversion = jnp.where(is_at_once, jnp.inf, risk_aversion)
        residual = jnp.where(found.has_risk & ~is_at_once, residual, 0)
        plan = ValueAtRiskSchedule(trades, holdings, risk_aversion, z_score)

        tol = _ROUNDING * jnp.finfo(residual.dtype).eps
        status = Status.where(residual <= tol, Status.converged, Status.stalled)
        status = Status.where(is_at_once, Status.degenerate, status)
        is_valid = is_valid & (found.is_convex | is_at_once)
        status = Status.where(is_valid, status, Status.invalid_input)
        plan, residual = jax.tree.map(
            lambda x: jnp.where(is_valid, x, jnp.nan), (plan, residual)
        )
        return Solution(plan, status, residual, jnp.zeros((), jnp.int32))

    def _limit(self, problem: AlmgrenChriss) -> Float[Array, ""]:
        """Return the least z for which trading all shares at once is optimal."""
        if problem.num_periods == 1:
            return jnp.zeros_like(problem.shares)
        size = jnp.abs(problem.shares)
        p = problem.exponent
        power = jnp.where(size > 0, size, 1) ** p
        marginal = (1 + p) * problem.impact_coefficients[0] * power
        marginal = marginal - problem.permanent_impact * size
        risk = problem.volatility * jnp.sqrt(problem.period_length)
        return marginal / jnp.where(risk > 0, risk, 1)


@jax.custom_jvp
def _with_derivatives(
    problem: AlmgrenChriss, z_score: Float[Array, ""], found: _Search
) -> tuple[Float[Array, ""], ExecutionSchedule]:
    """Return the level found and its plan, with derivatives of the equation's root.

    Those of the search are not: it halves brackets whatever their ends depend on. The
    rule is compiled only where derivatives are asked for.
    """
    del problem, z_score
    return found.level, found.plan


@_with_derivatives.defjvp
def _root_jvp(primals: Any, tangents: Any) -> Any:
    problem, z_score, found = primals
    problem_dot, z_dot, _ = tangents

    def look(
        problem: AlmgrenChriss, level: Array
    ) -> tuple[ExecutionSchedule, Float[Array, ""]]:
        plan = optimal_plan(replace_fields(problem, risk_aversion=jnp.exp(level))).plan
        variance = problem.variance(plan.trades)
        is_risky = found.has_risk & (variance > 0)
        return plan, jnp.where(is_risky, jnp.log(jnp.where(is_risky, variance, 1)), 0)

    # The root of `level + log(variance) / 2 = log(z / 2)`.
    level = found.level
    _, slopes = jax.linearize(look, problem, level)
    still = jax.tree.map(jnp.zeros_like, problem)
    plan_by_level, rise = slopes(still, jnp.ones_like(level))
    plan_by_problem, change = slopes(problem_dot, jnp.zeros_like(level))
    slope = 1 + rise / 2
    target_dot = z_dot / jnp.where(found.has_risk & (z_score > 0), z_score, 1)
    level_dot = (target_dot - change / 2) / jnp.where(slope > 0, slope, 1)
    level_dot = jnp.where(found.has_risk, level_dot, 0)
    plan_dot = jax.tree.map(
        lambda x, y: x + y * level_dot, plan_by_problem, plan_by_level
    )
    return (level, found.plan), (level_dot, plan_dot)


def _check_confidence(confidence: Any) -> None:
    check_real(confidence=confidence)
    check(
        "be at least 0.5 and below 1 for value at risk",
        lambda p: (p >= 0.5) & (p < 1),
        confidence=confidence,
    )
