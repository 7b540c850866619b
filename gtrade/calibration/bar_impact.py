"""Permanent and temporary impact of a market's own order flow, from bars of trades.

Takers together buy q shares net and trade V in a bar of length tau, a share of the
horizon. The mid moves by gamma q, and what takers pay beyond the mid at the bar's start
is fixed_cost a share, half of the permanent move, since they trade on its way, and
(eta / tau) q for the rate of trading (calibration.md section 2, with the cost of
Almgren & Chriss 2000 in continuous time):

    change of the mid        = c + gamma q + noise
    cost of a share, cost/V  = fixed_cost + (gamma / 2 + eta / tau) q^2 / V + noise

Both are fitted by least squares; errors allow unequal variances, and noise of one bar
that enters both. kappa = gamma / eta is the number that position building needs.
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from gtrade._arrays import as_float
from gtrade._checks import check_nonnegative, check_positive, check_real, check_shape
from gtrade.calibration.fit import Domain, Fit, release
from gtrade.problems.base import AbstractProblem, validate_if_concrete
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver

_LEAST_BARS = 8


class BarImpact(AbstractProblem):
    """Bars of a market: one instance.

    Attributes:
        mid_changes: over each bar, price, shape (bars,).
        flows: shares that takers bought less those sold, shape (bars,).
        volumes: shares traded, 0 where nobody did, shape (bars,).
        costs: what takers paid beyond the mid at the bar's start, currency, (bars,).
        bar_length: as a share of the horizon, shape ().
        weights: 0 leaves a bar out, shape (bars,).

    Raises:
        ValueError: if a number is inadmissible.
    """

    names: ClassVar[tuple[str, ...]] = (
        "permanent_impact",
        "temporary_impact",
        "fixed_cost",
        "volatility",
    )
    units: ClassVar[tuple[str, ...]] = (
        "price/share",
        "price horizon/share",
        "price",
        "price/sqrt(horizon)",
    )
    domains: ClassVar[tuple[Domain, ...]] = ("positive", "positive", "real", "positive")

    mid_changes: Float[Array, " bars"] = eqx.field(converter=as_float)
    flows: Float[Array, " bars"] = eqx.field(converter=as_float)
    volumes: Float[Array, " bars"] = eqx.field(converter=as_float)
    costs: Float[Array, " bars"] = eqx.field(converter=as_float)
    bar_length: Float[Array, ""] = eqx.field(converter=as_float)
    weights: Float[Array, " bars"] = eqx.field(converter=as_float)

    def __check_init__(self) -> None:
        """Check shapes, and values where they are concrete."""
        count = np.shape(self.mid_changes)[-1]
        check_shape(
            (count,),
            mid_changes=self.mid_changes,
            flows=self.flows,
            volumes=self.volumes,
            costs=self.costs,
            weights=self.weights,
        )
        check_shape((), bar_length=self.bar_length)
        validate_if_concrete(self)

    @classmethod
    def validate(
        cls,
        *,
        mid_changes: Any,
        flows: Any,
        volumes: Any,
        costs: Any,
        bar_length: Any,
        weights: Any,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes one series or a batch."""
        check_real(ndim=1, mid_changes=mid_changes)
        check_real(ndim=1, flows=flows)
        check_nonnegative(ndim=1, volumes=volumes)
        check_real(ndim=1, costs=costs)
        check_positive(bar_length=bar_length)
        check_nonnegative(ndim=1, weights=weights)

    def numbers(
        self,
    ) -> tuple[Float[Array, " 4"], Float[Array, "bars 4"], Float[Array, ""]]:
        """Return the estimates, each bar's influence on them, and R2 of the mids."""
        weights = self.weights
        slope = _line(self.flows, self.mid_changes, weights)
        is_traded = self.volumes > 0
        volumes = jnp.where(is_traded, self.volumes, 1)
        shortfall, intensity = self.costs / volumes, self.flows**2 / volumes
        cost = _line(intensity, shortfall, jnp.where(is_traded, weights, 0))
        gamma, tau = slope.slope, self.bar_length
        eta = (cost.slope - gamma / 2) * tau
        variance = slope.variance / tau
        estimates = jnp.stack([gamma, eta, cost.intercept, jnp.sqrt(variance)])
        by_eta = (cost.by_slope - slope.by_slope / 2) * tau
        by_volatility = slope.by_variance / tau / (2 * jnp.sqrt(variance))
        influence = jnp.stack(
            [slope.by_slope, by_eta, cost.by_intercept, by_volatility], axis=-1
        )
        return estimates, influence, slope.r_squared

    def is_admissible(self) -> Bool[Array, ""]:
        """Return whether there are bars enough, and flow that varies."""
        used = (self.weights > 0) & (self.volumes > 0)
        spread = jnp.where(used, self.flows, 0)
        return (used.sum() >= _LEAST_BARS) & (jnp.abs(spread).max() > 0)


class BarRegression(AbstractSolver):
    """Both regressions of `BarImpact`, in closed form.

    A number that must be positive and is estimated below 0 is returned as it is and
    marked as at its bound, without an error.
    """

    def solve(
        self, problem: BarImpact, *, key: PRNGKeyArray | None = None
    ) -> Solution[Fit]:
        """Fit one instance."""
        del key
        values, influence, r_squared = problem.numbers()
        covariance = jnp.matmul(influence.T, influence, precision="highest")
        is_positive = jnp.array([x == "positive" for x in problem.domains])
        is_at_bound = is_positive & (values <= 0) & problem.is_admissible()
        ones = jnp.ones_like(values)
        safe = jnp.where(is_at_bound, 1, values)
        free = release(safe, problem.domains, ones)
        slope = jnp.where(is_positive, 1 / safe, 1)
        is_known = ~is_at_bound
        both = is_known[:, None] & is_known[None]
        spread = jnp.where(both, covariance * slope[:, None] * slope[None], 0)
        is_used = problem.weights > 0
        is_good = problem.is_admissible() & jnp.isfinite(values).all()
        is_good &= jnp.isfinite(covariance).all()
        one = jnp.ones((), jnp.int32)
        fit = Fit(
            values=values,
            covariance=jnp.where(both, covariance, jnp.nan),
            free=free,
            free_covariance=spread,
            log_likelihood=jnp.full((), jnp.nan, values.dtype),
            r_squared=r_squared,
            is_at_bound=is_at_bound,
            is_identified=jnp.ones_like(is_at_bound),
            rank=jnp.asarray(len(problem.names), jnp.int32),
            condition=jnp.ones((), values.dtype),
            num_starts=one,
            num_agreeing=one,
            num_observations=is_used.sum(dtype=jnp.int32),
            num_dropped=(~is_used).sum(dtype=jnp.int32),
            names=problem.names,
            domains=problem.domains,
        )

        def blank(x: Array) -> Array:
            is_float = jnp.issubdtype(x.dtype, jnp.floating)
            return jnp.where(is_good, x, jnp.nan) if is_float else x

        status = Status.where(is_good, Status.converged, Status.invalid_input)
        zero = jnp.zeros((), values.dtype)
        return Solution(jax.tree.map(blank, fit), status, zero, jnp.int32(0))


class _Line(eqx.Module):
    """A line through weighted points, and what each point adds to it."""

    slope: Float[Array, ""]
    intercept: Float[Array, ""]
    variance: Float[Array, ""]
    r_squared: Float[Array, ""]
    by_slope: Float[Array, " points"]
    by_intercept: Float[Array, " points"]
    by_variance: Float[Array, " points"]


def _line(x: Array, y: Array, weights: Array) -> _Line:
    count = weights.sum()
    mean_x, mean_y = (weights * x).sum() / count, (weights * y).sum() / count
    dx, dy = x - mean_x, y - mean_y
    spread = (weights * dx**2).sum()
    slope = (weights * dx * dy).sum() / spread
    intercept = mean_y - slope * mean_x
    left = dy - slope * dx
    squares = (weights * left**2).sum()
    variance = squares / (count - 2)
    by_slope = weights * dx * left / spread
    return _Line(
        slope,
        intercept,
        variance,
        1 - squares / (weights * dy**2).sum(),
        by_slope,
        weights * left / count - mean_x * by_slope,
        weights * (left**2 - squares / count) / count,
    )
