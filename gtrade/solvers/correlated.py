"""Extreme correlated equilibria of small games, by linear programming on the host."""

import math
from collections.abc import Mapping
from typing import Any, Self

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PRNGKeyArray

from gtrade._checks import InadmissibleError, check_integer
from gtrade.problems.base import replace_fields, validate_if_concrete
from gtrade.problems.bimatrix import BimatrixGame
from gtrade.problems.discrete_trading import TradingGame
from gtrade.problems.enumeration import (
    count_schedules,
    enumerate_schedules,
    joint_costs,
)
from gtrade.problems.general_costs import limits_per_step
from gtrade.problems.strategies import CorrelatedExtremes
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractHostSolver, require_concrete
from gtrade.solvers.correlated_programs import extreme_equilibria

CONCEPTS = ("cce", "ce")

_MAX_JOINT = 100_000


class CorrelatedLP(AbstractHostSolver):
    """Find the correlated equilibria of least and of greatest total cost.

    Attributes:
        concept: "cce", coarse correlated equilibrium: nobody gains from a fixed action;
            or "ce": nobody gains from replacing any action that it is told (static).
        max_joint: most joint actions of a game (static). With 10^5 of them, a coarse
            equilibrium takes seconds, the other kind minutes and gigabytes.
        num_actions: actions of each player that a solution is padded to (static); the
            game's own if None.
    """

    concept: str = eqx.field(static=True, default="cce")
    max_joint: int = eqx.field(static=True, default=_MAX_JOINT)
    num_actions: tuple[int, ...] | None = eqx.field(static=True, default=None)

    def __check_init__(self) -> None:
        """Check values."""
        validate_if_concrete(self)

    @classmethod
    def validate(
        cls,
        *,
        concept: Any = "cce",
        max_joint: Any = _MAX_JOINT,
        num_actions: Any = None,
    ) -> None:
        """Raise ValueError for inadmissible numbers."""
        del num_actions
        if concept not in CONCEPTS:
            rule = f"be one of {', '.join(CONCEPTS)}"
            raise InadmissibleError("concept", rule, concept)
        check_integer(max_joint=max_joint, at_least=1)

    @classmethod
    def validate_for(cls, problem: Mapping[str, Any], **numbers: Any) -> None:
        """Raise ValueError for games of more than `max_joint` joint actions."""
        max_joint = int(numbers.get("max_joint", _MAX_JOINT))
        counts = _count_joint(problem)
        is_large = (counts > max_joint).astype(bool)
        if not is_large.any():
            return
        rule = (
            f"be at least {_written(counts.max())}, the number of joint actions (the"
            " welfare of larger games is bounded by ftpl's play and the welfare"
            " identity)"
        )
        rows = np.flatnonzero(is_large).tolist() if counts.ndim else None
        raise InadmissibleError("max_joint", rule, max_joint, rows, counts.size)

    def prepare(self, problems: Any) -> Self:
        """Note the most actions that each player of a batch has."""
        if not isinstance(problems, TradingGame):
            return self
        require_concrete(self, problems)
        targets = np.asarray(problems.targets).reshape(-1, problems.num_players)
        bounds = problems.trade_bounds
        num_actions = tuple(
            max(count_schedules(target, *bounds) for target in np.unique(column))
            for column in targets.T
        )
        return replace_fields(self, num_actions=num_actions)

    def abstract_solution(self, problem: Any) -> Solution[CorrelatedExtremes]:
        """Return the shapes and dtypes of a solution."""
        schedules = None
        if isinstance(problem, TradingGame):
            sizes = self.num_actions or self.prepare(problem).num_actions or ()
            dtype = problem.permanent_impact.dtype
            shape = (len(sizes), max(sizes), problem.horizon)
            schedules = _abstract(shape, np.int32)
        else:
            sizes, dtype = problem.shape, problem.costs_row.dtype
        deviations = (max(sizes),) * (1 if self.concept == "cce" else 2)
        joint = _abstract(sizes, dtype)
        multipliers = _abstract((len(sizes), *deviations), dtype)
        value = CorrelatedExtremes(
            best=joint,
            worst=joint,
            best_multipliers=multipliers,
            worst_multipliers=multipliers,
            num_actions=_abstract((len(sizes),), np.int32),
            schedules=schedules,
            concept=self.concept,
        )
        whole = _abstract((), np.int32)
        status = jax.tree.map(lambda _: whole, Status.converged)
        return Solution(value, status, _abstract((), dtype), whole)

    def solve_on_host(
        self, problem: BimatrixGame | TradingGame, *, key: PRNGKeyArray | None = None
    ) -> Solution[CorrelatedExtremes]:
        """Solve both linear programs.

        Returns:
            The two equilibria, with status `converged`; `stalled` (a program found no
            optimum) or `nonfinite` (costs overflow), both with NaN. The residual is the
            largest violation of a constraint, in units of the range of costs that a
            player can choose from; `num_steps` counts iterations of both programs.

        Raises:
            ValueError: for a game of more than `max_joint` joint actions.
        """
        self.validate_for(vars(problem), max_joint=self.max_joint)
        like = self.abstract_solution(problem)
        schedules, costs = _normal_form(problem, like.value.best.shape)
        with np.errstate(over="ignore"):
            is_finite = np.isfinite(costs.size * np.abs(costs).max())
        extremes = extreme_equilibria(costs, self.concept) if is_finite else None
        if extremes is None:
            blank = jax.tree.map(_blank, like)
            status = Status.stalled if is_finite else Status.nonfinite
            return eqx.tree_at(lambda x: x.status, blank, status)
        best, worst = extremes
        parts: dict[str, Any] = {
            "best": best.joint,
            "worst": worst.joint,
            "best_multipliers": best.multipliers,
            "worst_multipliers": worst.multipliers,
            "num_actions": np.array(costs.shape[1:]),
            "schedules": schedules,
        }
        value = CorrelatedExtremes(**parts, concept=self.concept)
        violation: Any = max(best.violation, worst.violation)
        num_steps: Any = best.num_steps + worst.num_steps
        solution = Solution(value, Status.converged, violation, num_steps)
        return jax.tree.map(_padded, solution, like)


# A solver on the host is compiled by nobody else.
_compiled_costs = jax.jit(joint_costs)


def _normal_form(
    problem: BimatrixGame | TradingGame, sizes: tuple[int, ...]
) -> tuple[np.ndarray | None, np.ndarray]:
    """Return a trading game's schedules, padded, and costs (players, *actions).

    Args:
        problem: the game.
        sizes: players' numbers of actions, with padding.
    """
    if isinstance(problem, BimatrixGame):
        costs = np.stack([problem.costs_row, problem.costs_col])
        return None, costs.astype(np.float64)
    bounds = problem.trade_bounds
    listed = [enumerate_schedules(int(x), *bounds) for x in problem.targets]
    schedules = np.zeros((len(sizes), max(sizes), problem.horizon), np.int32)
    for player, flows in enumerate(listed):
        schedules[player, : len(flows)] = flows
    # Costs of padding too: games of one batch then compile to one shape.
    padded: Any = [schedules[player, :size] for player, size in enumerate(sizes)]
    with jax.enable_x64(True):
        exact = jax.tree.map(
            lambda x: x.astype(np.float64) if x.dtype.kind == "f" else x, problem
        )
        costs = np.asarray(_compiled_costs(exact, padded))
    own = tuple(slice(len(flows)) for flows in listed)
    return schedules, costs[:, *own]


def _count_joint(numbers: Mapping[str, Any]) -> np.ndarray:
    """Return the number of joint actions, exact, of one game or of each of a column."""
    if "targets" not in numbers:
        given = (numbers.get("costs_row"), numbers.get("payoffs_row"))
        (matrix,) = [x for x in given if x is not None]
        return np.array(math.prod(np.shape(matrix)[-2:]), object)
    horizon = numbers["horizon"]
    lows = limits_per_step(horizon, min_trade=numbers["min_trade"])
    highs = limits_per_step(horizon, max_trade=numbers["max_trade"])
    targets = np.asarray(numbers["targets"])
    distinct, place = np.unique(targets, return_inverse=True)
    counts = np.array([count_schedules(x, lows, highs) for x in distinct], object)
    return np.asarray(counts[place].reshape(targets.shape).prod(axis=-1), object)


def _written(count: int) -> str:
    """Write a count out, or its magnitude if that is all one could read."""
    return str(count) if count < 10**12 else f"about 10^{math.log10(count):.0f}"


def _abstract(shape: tuple[int, ...], dtype: Any) -> Any:
    return jax.ShapeDtypeStruct(shape, dtype)


def _blank(like: Any) -> np.ndarray:
    """Return NaN, or zero in place of whole numbers."""
    value = np.nan if np.issubdtype(like.dtype, np.floating) else 0
    return np.full(like.shape, value, like.dtype)


def _padded(values: Any, like: Any) -> np.ndarray:
    """Return values in a given dtype, with zeros after them along every axis."""
    result = np.zeros(like.shape, like.dtype)
    result[tuple(slice(size) for size in np.shape(values))] = values
    return result
