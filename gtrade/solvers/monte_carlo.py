"""What the Monte Carlo solvers of all models share."""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from gtrade._checks import InadmissibleError, check_integer
from gtrade.simulation.simulated import Simulated
from gtrade.solution import Solution, Status, has_value
from gtrade.solvers.base import AbstractSolver

LEAST_PATHS = 2
CPU_OPTIONS = {"xla_cpu_prefer_vector_width": 512}


class AbstractMonteCarlo(AbstractSolver):
    """Answer in closed form, and simulate what the answer says.

    Paths stream through memory in chunks, whatever their number; it is an array field,
    so that a sweep over it compiles once.
    """

    num_paths: eqx.AbstractVar[Int[Array, ""]]

    cpu_block: ClassVar[int | None] = 64  # each runs alone: see `estimate`

    def cpu_compiler_options(self, problems: Any) -> dict[str, Any]:
        del problems
        return dict(CPU_OPTIONS)

    @abc.abstractmethod
    def answer(self, problem: Any) -> Solution:
        """Return the closed form's solution."""

    @abc.abstractmethod
    def simulate(
        self, problem: Any, answer: Any, key: PRNGKeyArray
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return estimates and standard errors by column name."""

    def solve(
        self, problem: Any, *, key: PRNGKeyArray | None = None
    ) -> Solution[Simulated]:
        """Answer and simulate one instance.

        Returns:
            The answer with estimates; status `completed`, or the closed form's where
            that is another than `converged`. `num_steps` counts paths.

        Raises:
            ValueError: without a key.
        """
        if key is None:
            raise InadmissibleError("key", "be given to simulate", None)
        solution = self.answer(problem)
        mean, error = self.simulate(problem, solution.value, key)
        is_answered = has_value(solution.status)
        mean, error = jax.tree.map(
            lambda x: jnp.where(is_answered, x, jnp.nan), (mean, error)
        )
        is_usual = solution.status == Status.converged
        status = Status.where(is_usual, Status.completed, solution.status)
        value = Simulated(solution.value, mean, error)
        return Solution(value, status, solution.residual, self.num_paths)


def check_num_paths(num_paths: Any) -> None:
    """Raise ValueError unless these are numbers of paths; scalars or columns."""
    check_integer(num_paths=num_paths, at_least=LEAST_PATHS)
