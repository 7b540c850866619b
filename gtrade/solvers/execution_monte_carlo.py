"""Execution plans with their cost and risk estimated from simulated fills."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from gtrade._arrays import as_int
from gtrade._checks import InadmissibleError, check_shape, check_static
from gtrade.problems.almgren_chriss import AlmgrenChriss, ExecutionSchedule
from gtrade.problems.base import validate_if_concrete
from gtrade.simulation.almgren_chriss import ExecutionSampler
from gtrade.simulation.monte_carlo import estimate
from gtrade.simulation.order_statistics import estimate_quantiles
from gtrade.solution import Solution
from gtrade.solvers.almgren_chriss import AlmgrenChrissClosedForm
from gtrade.solvers.monte_carlo import AbstractMonteCarlo, check_num_paths


class AlmgrenChrissMonteCarlo(AbstractMonteCarlo):
    """Compute the optimal plan, then execute it on random price paths.

    Attributes:
        num_paths: at least 2, shape ().
        has_quantiles: whether value at risk and what lies beyond it are estimated, too
            (static): a dozen passes over the same paths instead of one.
    """

    num_paths: Int[Array, ""] = eqx.field(converter=as_int, default=100_000)
    has_quantiles: bool = eqx.field(static=True, default=True)

    def __check_init__(self) -> None:
        """Check shapes and values."""
        check_shape((), num_paths=self.num_paths)
        validate_if_concrete(self)

    @classmethod
    def validate(cls, *, num_paths: Any = 100_000, has_quantiles: Any = True) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_num_paths(num_paths)
        check_static(has_quantiles=has_quantiles)
        if not isinstance(has_quantiles, bool):
            raise InadmissibleError("has_quantiles", "be true or false", has_quantiles)

    def answer(self, problem: AlmgrenChriss) -> Solution[ExecutionSchedule]:
        """Return the optimal plan."""
        return AlmgrenChrissClosedForm().solve(problem)

    def simulate(
        self, problem: AlmgrenChriss, answer: ExecutionSchedule, key: PRNGKeyArray
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return estimates of mean, variance, value at risk and the mean beyond it."""
        sampler = ExecutionSampler(problem, answer.trades)
        moments = estimate(sampler, key, self.num_paths)
        mean = {
            "expected_cost": moments.mean["shortfall"],
            "variance": moments.variance["shortfall"],
        }
        error = {
            "expected_cost": moments.standard_error["shortfall"],
            "variance": moments.variance_error["shortfall"],
        }
        unknown = jnp.full((1,), jnp.nan, answer.trades.dtype)
        parts = unknown, unknown, unknown, unknown
        if self.has_quantiles:
            found = estimate_quantiles(
                sampler,
                key,
                self.num_paths,
                name="shortfall",
                levels=problem.confidence[None],
            )
            parts = (
                found.value,
                found.standard_error,
                found.tail_mean,
                found.tail_error,
            )
        value, value_error, tail, tail_error = parts
        mean |= {"value_at_risk": value[0], "conditional_value_at_risk": tail[0]}
        error |= {
            "value_at_risk": value_error[0],
            "conditional_value_at_risk": tail_error[0],
        }
        return mean, error
