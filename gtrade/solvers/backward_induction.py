"""Solvers of position building in steps: feedback and open-loop equilibrium."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from gtrade._checks import check_integer, check_static
from gtrade.problems.base import validate_if_concrete
from gtrade.problems.feedback_position import (
    FeedbackPlay,
    FeedbackPositionGame,
    OpenLoopPlay,
    follow_rules,
)
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver
from gtrade.solvers.feedback_rules import feedback_rules, open_loop_rules


class BackwardInduction(AbstractSolver):
    """Find the Markov perfect equilibrium in linear rules, from the last step back.

    In every step the firms' first-order conditions are one linear system, given what
    the steps after it are worth. Where each firm's cost is convex in its own trade in
    every step, the equilibrium exists and is the only one that backward induction can
    reach.

    Attributes:
        num_steps: T, at least 1 (static).
    """

    num_steps: int = eqx.field(static=True, default=64)

    cpu_block: ClassVar[int | None] = 128  # up to twice as fast as 4096 at a time

    def __check_init__(self) -> None:
        """Check values."""
        validate_if_concrete(self)

    @classmethod
    def validate(cls, *, num_steps: Any = 64) -> None:
        """Raise ValueError for inadmissible numbers."""
        check_static(num_steps=num_steps)
        check_integer(num_steps=num_steps, at_least=1)

    def solve(
        self, problem: FeedbackPositionGame, *, key: PRNGKeyArray | None = None
    ) -> Solution[FeedbackPlay]:
        """Solve one game; float32 is taken, float64 is better for large impacts.

        Returns:
            Rules and play, with status `converged`, `stalled` (in some step a firm's
            cost is not convex in its own trade, so that it has no best response),
            `nonfinite` or `invalid_input`; the residual is the largest error of the
            first-order conditions relative to their coefficients.
        """
        game, is_valid = _admitted(problem)
        gains, values, curvature, errors = feedback_rules(
            game.permanent_impacts, self.num_steps
        )
        open_loop = open_loop_rules(game.permanent_impacts, self.num_steps)
        play = FeedbackPlay(
            gains,
            values,
            follow_rules(gains, game.targets),
            follow_rules(open_loop, game.targets),
        )
        has_responses = (curvature > 0).all()
        return _solution(play, is_valid, has_responses, errors.max(), self.num_steps)


class OpenLoop(AbstractSolver):
    """Find the equilibrium of schedules that are fixed before the first step.

    Attributes:
        num_steps: T, at least 1 (static).
    """

    num_steps: int = eqx.field(static=True, default=64)

    cpu_block: ClassVar[int | None] = 128  # up to twice as fast as 4096 at a time

    def __check_init__(self) -> None:
        """Check values."""
        validate_if_concrete(self)

    @classmethod
    def validate(cls, *, num_steps: Any = 64) -> None:
        """Raise ValueError for inadmissible numbers."""
        BackwardInduction.validate(num_steps=num_steps)

    def solve(
        self, problem: FeedbackPositionGame, *, key: PRNGKeyArray | None = None
    ) -> Solution[OpenLoopPlay]:
        """Solve one game.

        Returns:
            The schedules, with status `converged`, `nonfinite` or `invalid_input`; the
            residual is how far marginal costs of a firm differ between steps, relative
            to the largest of all.
        """
        game, is_valid = _admitted(problem)
        rules = open_loop_rules(game.permanent_impacts, self.num_steps)
        trades = follow_rules(rules, game.targets)
        impacts = game.permanent_impacts[:, None]
        flow = trades.sum(axis=0)
        held = jnp.cumsum(flow) - flow
        rest = game.targets[:, None] - jnp.cumsum(trades, axis=1)
        marginal = (self.num_steps + impacts / 2) * (flow[None] + trades)
        marginal = marginal + impacts * (held[None] + rest)
        spread = marginal.max(axis=1) - marginal.min(axis=1)
        residual = spread.max() / jnp.maximum(
            jnp.abs(marginal).max(), jnp.finfo(trades.dtype).tiny
        )
        play = OpenLoopPlay(trades)
        return _solution(play, is_valid, jnp.ones((), bool), residual, self.num_steps)


def _admitted(game: FeedbackPositionGame):
    """Return the game with inadmissible numbers replaced, and whether there were none.

    What stands in must not be NaN, which would spread through a batched solve.
    """
    is_valid = game.is_admissible
    replaced = jax.tree.map(lambda x: jnp.where(is_valid, x, jnp.ones_like(x)), game)
    return replaced, is_valid


def _solution(play, is_valid, has_responses, residual, num_steps) -> Solution:
    leaves = jax.tree.leaves(play)
    is_finite = jnp.stack([jnp.isfinite(x).all() for x in leaves]).all()
    status = Status.where(has_responses, Status.converged, Status.stalled)
    status = Status.where(is_finite, status, Status.nonfinite)
    status = Status.where(is_valid, status, Status.invalid_input)
    play = jax.tree.map(lambda x: jnp.where(is_valid, x, jnp.nan), play)
    residual = jnp.where(is_valid, residual, jnp.nan)
    return Solution(play, status, residual, jnp.asarray(num_steps, jnp.int32))
