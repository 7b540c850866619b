"""Schedules for several assets, cost and risk estimated from simulated fills."""

from typing import Any

import equinox as eqx
from jaxtyping import Array, Int, PRNGKeyArray

from gtrade._arrays import as_int
from gtrade._checks import InadmissibleError, check_shape, check_static
from gtrade.problems.almgren_chriss_portfolio import (
    AlmgrenChrissPortfolio,
    PortfolioSchedule,
)
from gtrade.problems.base import validate_if_concrete
from gtrade.simulation.almgren_chriss_portfolio import PortfolioSampler
from gtrade.simulation.monte_carlo import estimate
from gtrade.simulation.order_statistics import estimate_quantiles
from gtrade.solution import Solution
from gtrade.solvers.almgren_chriss_portfolio import PortfolioClosedForm
from gtrade.solvers.monte_carlo import AbstractMonteCarlo, check_num_paths


class PortfolioMonteCarlo(AbstractMonteCarlo):
    """Compute the optimal schedule, then execute it on random price paths.

    Attributes:
        num_paths: at least 2, shape ().
        has_quantiles: whether value at risk and what lies beyond it are estimated, too
            (static): a dozen passes over the same paths instead of one. NaN if not.
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

    def answer(self, problem: AlmgrenChrissPortfolio) -> Solution[PortfolioSchedule]:
        """Return the optimal schedule."""
        return PortfolioClosedForm().solve(problem)

    def simulate(
        self,
        problem: AlmgrenChrissPortfolio,
        answer: PortfolioSchedule,
        key: PRNGKeyArray,
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return estimates of mean, variance, value at risk and the mean beyond it."""
        sampler = PortfolioSampler(problem.admitted()[0], answer.trades)
        moments = estimate(sampler, key, self.num_paths)
        mean = {
            "expected_cost": moments.mean["shortfall"],
            "variance": moments.variance["shortfall"],
        }
        error = {
            "expected_cost": moments.standard_error["shortfall"],
            "variance": moments.variance_error["shortfall"],
        }
        value = value_error = tail = tail_error = mean["variance"] * float("nan")
        if self.has_quantiles:
            found = estimate_quantiles(
                sampler,
                key,
                self.num_paths,
                name="shortfall",
                levels=problem.confidence[None],
            )
            value, value_error = found.value[0], found.standard_error[0]
            tail, tail_error = found.tail_mean[0], found.tail_error[0]
        mean |= {"value_at_risk": value, "conditional_value_at_risk": tail}
        error |= {
            "value_at_risk": value_error,
            "conditional_value_at_risk": tail_error,
        }
        return mean, error
