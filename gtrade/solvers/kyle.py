"""Closed form of Kyle's single auction, and its simulation."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from gtrade._arrays import as_int
from gtrade._checks import InadmissibleError, check_shape, check_static
from gtrade.problems.base import validate_if_concrete
from gtrade.problems.kyle import Kyle
from gtrade.simulation.kyle import KyleMarket
from gtrade.simulation.monte_carlo import controlled, estimate, slope
from gtrade.simulation.samplers import Antithetic
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver
from gtrade.solvers.monte_carlo import AbstractMonteCarlo, check_num_paths

VARIANCE_REDUCTIONS = ("none", "antithetic", "control")

_PROFITS = ("insider_profit", "dealer_profit", "noise_profit")


class KyleEquilibrium(eqx.Module):
    """The linear equilibrium of one auction.

    Attributes:
        price_impact: price per share of flow (lambda), shape ().
        intensity: shares that each insider buys per unit of its signal above the mean
            (beta), shape ().
    """

    price_impact: Float[Array, ""]
    intensity: Float[Array, ""]


class KyleClosedForm(AbstractSolver):
    """Evaluate the linear equilibrium of one auction (Kyle 1985, theorem 1)."""

    def solve(
        self, problem: Kyle, *, key: PRNGKeyArray | None = None
    ) -> Solution[KyleEquilibrium]:
        """Solve one market.

        Returns:
            The equilibrium, with status `converged`; `degenerate` where insiders know
            nothing: then neither they nor prices move; `nonfinite` where the answer
            is beyond the range of floats; or `invalid_input`.
        """
        market, is_valid = problem.admitted()
        dtype = market.value_std.dtype
        count = market.num_insiders.astype(dtype)
        # Ratios of standard deviations: squares of prices could overflow.
        signal_std = jnp.hypot(market.value_std, market.signal_noise_std)
        correlation = market.value_std / signal_std  # of value and signal
        known_std = market.value_std * correlation
        if market.signals == "common":
            rivalry = 1 + count
        else:
            rivalry = 2 + (count - 1) * correlation**2
        impact = jnp.sqrt(count) * known_std / (rivalry * market.noise_std)
        intensity = market.noise_std / (jnp.sqrt(count) * signal_std)
        # beta lambda d = phi, in logarithms: XLA would reorder products of numbers
        # far from 1 until they overflow.
        residual = jnp.log(impact) + jnp.log(intensity) + jnp.log(rivalry)
        residual = residual - 2 * jnp.log(correlation)
        is_certain = problem.is_certain

        def settle(x: Array) -> Array:
            return jnp.where(is_valid, jnp.where(is_certain, 0, x), jnp.nan)

        status = Status.where(is_certain, Status.degenerate, Status.converged)
        # Ratios of standard deviations beyond the range of floats.
        is_usual = (impact > 0) & jnp.isfinite(impact) & (intensity > 0)
        is_usual = (is_usual & jnp.isfinite(intensity)) | is_certain
        status = Status.where(is_usual, status, Status.nonfinite)
        status = Status.where(is_valid, status, Status.invalid_input)
        value = KyleEquilibrium(settle(impact), settle(intensity))
        return Solution(
            value, status, settle(jnp.abs(residual)), jnp.zeros((), jnp.int32)
        )


class KyleMonteCarlo(AbstractMonteCarlo):
    """Play the closed form many times over.

    Attributes:
        num_paths: markets played, at least 2, shape ().
        variance_reduction: for profits: "none", "antithetic" (every market is also
            played with the opposite noise flow) or "control" (the value's square, whose
            mean is known) (static).
    """

    num_paths: Int[Array, ""] = eqx.field(converter=as_int, default=100_000)
    variance_reduction: str = eqx.field(static=True, default="none")

    def __check_init__(self) -> None:
        """Check shapes, and values where they are concrete."""
        check_shape((), num_paths=self.num_paths)
        validate_if_concrete(self)

    @classmethod
    def validate(
        cls, *, num_paths: Any = 100_000, variance_reduction: Any = "none"
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_num_paths(num_paths)
        check_static(variance_reduction=variance_reduction)
        if variance_reduction not in VARIANCE_REDUCTIONS:
            rule = "be one of " + ", ".join(repr(x) for x in VARIANCE_REDUCTIONS)
            raise InadmissibleError("variance_reduction", rule, variance_reduction)

    def answer(self, problem: Kyle) -> Solution[KyleEquilibrium]:
        return KyleClosedForm().solve(problem)

    def simulate(
        self, problem: Kyle, answer: KyleEquilibrium, key: PRNGKeyArray
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return estimates and standard errors by column name."""
        market = KyleMarket(problem, answer.price_impact, answer.intensity)
        joint = ("value", "flow", "signal", "rest", "value_square", *_PROFITS)
        found = estimate(market, key, self.num_paths, joint=joint)
        mean = {name: found.mean[name] for name in (*_PROFITS, "deviation_profits")}
        error = {name: found.standard_error[name] for name in mean}
        mean["posterior_variance"] = found.variance["gap"]
        error["posterior_variance"] = found.variance_error["gap"]
        mean["price_impact"], error["price_impact"] = slope(found, "value", "flow")
        # An insider's best order is half of what its signal says about the rest,
        # over the price impact.
        expected, uncertainty = slope(found, "rest", "signal")
        mean["intensity"] = expected / (2 * answer.price_impact)
        error["intensity"] = uncertainty / (2 * answer.price_impact)
        if self.variance_reduction == "antithetic":
            paired = estimate(Antithetic(market), key, self.num_paths)
            for name in _PROFITS:
                mean[name], error[name] = paired.mean[name], paired.standard_error[name]
        if self.variance_reduction == "control":
            known = problem.value_std**2
            for name in _PROFITS:
                mean[name], error[name] = controlled(found, name, "value_square", known)
        is_certain = problem.is_certain
        return _blank_ratios(mean, is_certain), _blank_ratios(error, is_certain)


def _blank_ratios(columns: dict[str, Array], is_certain: Array) -> dict[str, Array]:
    """Say nothing about slopes where nothing moves."""
    ratios = ("price_impact", "intensity")
    return columns | {
        name: jnp.where(is_certain, jnp.nan, columns[name]) for name in ratios
    }
