"""What a solver and a learner are."""

import abc
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import equinox as eqx
from jaxtyping import Array, Int, PRNGKeyArray

from gtrade.solution import Solution


class AbstractSolver(eqx.Module):
    """How an answer is computed: hyperparameters and one method."""

    # Options for the XLA compiler on CPUs that were measured to pay for this solver.
    cpu_compiler_options: ClassVar[dict[str, Any]] = {}

    @property
    def uses_closed_form(self) -> bool:
        """Whether best responses come from the closed form, not a dynamic program.

        Verification then takes the dynamic program where that is affordable.
        """
        return False

    @abc.abstractmethod
    def solve(self, problem: Any, *, key: PRNGKeyArray | None = None) -> Solution:
        """Solve one instance; map over a batch outside."""

    @classmethod
    def validate_for(cls, problem: Mapping[str, Any], **numbers: Any) -> None:
        """Raise ValueError if a solver's numbers do not fit the problem's.

        Args:
            problem: the problem's numbers by name, scalars or columns.
            numbers: the solver's own, scalars or columns; each valid by itself.
        """
        del problem, numbers

    def prepare(self, problems: Any) -> Self:
        """Return this solver with static facts about a concrete batch filled in.

        Called on the host, before compilation, with all problems that will share a
        compiled call. Whatever it fills in makes the call faster, never different.
        """
        del problems
        return self


class AbstractLearner(eqx.Module):
    """A player that learns from the others' flow, as a pure init / act / update triple.

    It faces copies of itself, recorded flow or an adversary alike
    (`gtrade.solvers.self_play`). Randomness comes in from outside: `draw` makes what
    one `act` consumes, so that a run can be replayed on recorded draws.
    """

    @abc.abstractmethod
    def init(self, game: Any) -> Any:
        """Return the state before the first round, for one player of the game."""

    @abc.abstractmethod
    def draw(self, game: Any, key: PRNGKeyArray) -> Any:
        """Return the random numbers of one round for one player."""

    @abc.abstractmethod
    def act(
        self, game: Any, target: Int[Array, ""], state: Any, noise: Any
    ) -> Int[Array, " horizon"]:
        """Return the schedule to play this round, shape (horizon,), int32."""

    @abc.abstractmethod
    def update(self, state: Any, opponents_flow: Int[Array, " horizon"]) -> Any:
        """Return the state after a round in which the others traded this flow."""
