"""What a solver and a learner are."""

import abc
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import equinox as eqx
import jax
from jax.core import Tracer
from jaxtyping import Array, Int, PRNGKeyArray

from gtrade.solution import Solution


class AbstractSolver(eqx.Module):
    """How an answer is computed: hyperparameters and one method."""

    # Lanes that a CPU had best compute at a time; None: all.
    cpu_block: ClassVar[int | None] = None

    @property
    def uses_closed_form(self) -> bool:
        """Whether best responses come from the closed form, not a dynamic program.

        Verification then takes the dynamic program where that is affordable.
        """
        return False

    @abc.abstractmethod
    def solve(self, problem: Any, *, key: PRNGKeyArray | None = None) -> Solution:
        """Solve one instance; map over a batch outside."""

    def cpu_compiler_options(self, problems: Any) -> dict[str, Any]:
        """Return options of XLA that were measured to pay on CPUs for these problems.

        Args:
            problems: one, or a batch; only its shapes are read.
        """
        del problems
        return {}

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


class AbstractHostSolver(AbstractSolver):
    """A solver that runs on the host, in NumPy and SciPy, instance after instance.

    `gtrade.solve_batch` and sweeps stack its solutions: within a batch they have the
    shapes that `abstract_solution` names, with padding if need be. `prepare` can note
    what that takes.
    """

    @abc.abstractmethod
    def solve_on_host(
        self, problem: Any, *, key: PRNGKeyArray | None = None
    ) -> Solution:
        """Solve one instance; problem, solver and solution hold NumPy arrays."""

    @abc.abstractmethod
    def abstract_solution(self, problem: Any) -> Solution:
        """Return the shapes and dtypes of a solution, computing nothing.

        Args:
            problem: one instance; its array leaves may be `jax.ShapeDtypeStruct`.
        """

    def solve(self, problem: Any, *, key: PRNGKeyArray | None = None) -> Solution:
        """Fetch one instance to the host and solve it there.

        Raises:
            TypeError: under `jit`, `vmap` or another transformation.
        """
        require_concrete(self, problem, key)
        solver, problem = jax.device_get((self, problem))
        return solver.solve_on_host(problem, key=key)


def require_concrete(solver: AbstractHostSolver, *arguments: Any) -> None:
    """Refuse traced arguments of a solver that runs on the host.

    Raises:
        TypeError: naming the way round.
    """
    if any(isinstance(x, Tracer) for x in jax.tree.leaves((solver, arguments))):
        raise TypeError(
            f"{type(solver).__name__} runs on the host and cannot be traced; call it"
            " outside jit and vmap, for a batch through gtrade.solve_batch"
        )


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
