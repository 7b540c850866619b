"""Permanent and temporary impact by two regressions, each weighted by volatility."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from gtrade._arrays import as_float
from gtrade._checks import (
    InadmissibleError,
    check_nonnegative,
    check_positive,
    check_real,
    check_shape,
)
from gtrade.calibration.fit import Domain, Fit
from gtrade.calibration.linear import AbstractLinearRegression, OrdinaryLeastSquares
from gtrade.problems.base import validate_if_concrete
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver


class PermanentImpactRegression(AbstractLinearRegression):
    """How far the price falls with shares sold.

    Attributes:
        sizes: shares sold, negative if bought, shape (periods,).
        falls: price before less price after each period, currency, shape (periods,).
        noise_scales: standard deviation of the price's own moves, up to a factor that
            is the same for all, shape (periods,).
        weights: how often each period counts, shape (periods,).

    Raises:
        ValueError: if a number is inadmissible.
    """

    names: ClassVar[tuple[str, ...]] = ("permanent_impact",)
    units: ClassVar[tuple[str, ...]] = ("currency/share^2",)
    domains: ClassVar[tuple[Domain, ...]] = ("real",)
    constant: ClassVar[int | None] = None

    sizes: Float[Array, " periods"] = eqx.field(converter=as_float)
    falls: Float[Array, " periods"] = eqx.field(converter=as_float)
    noise_scales: Float[Array, " periods"] = eqx.field(converter=as_float)
    weights: Float[Array, " periods"] = eqx.field(converter=as_float)

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        check_shape((None,), sizes=self.sizes)
        check_shape(
            self.sizes.shape,
            falls=self.falls,
            noise_scales=self.noise_scales,
            weights=self.weights,
        )

    @classmethod
    def validate(
        cls, *, sizes: Any, falls: Any, noise_scales: Any, weights: Any
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_real(ndim=1, sizes=sizes)
        check_real(ndim=1, falls=falls)
        check_positive(ndim=1, noise_scales=noise_scales)
        check_nonnegative(ndim=1, weights=weights)

    def regressors(self) -> Float[Array, "periods 1"]:
        return (self.sizes / self.noise_scales)[:, None]

    def response(self) -> Float[Array, " periods"]:
        return self.falls / self.noise_scales

    def is_admissible(self) -> Bool[Array, ""]:
        """Return whether there are more periods than numbers, and something moved."""
        return _says_something(self)


class TemporaryImpactRegression(AbstractLinearRegression):
    """How far fills fall short of the price with the rate of trading, and its side.

    Attributes:
        rates: shares sold a unit of time, negative if bought, shape (fills,).
        shortfalls: price before less fill, currency, shape (fills,).
        noise_scales: standard deviation of fills, up to a factor that is the same for
            all, shape (fills,).
        weights: how often each fill counts, shape (fills,).

    Raises:
        ValueError: if a number is inadmissible.
    """

    names: ClassVar[tuple[str, ...]] = ("temporary_impact", "fixed_cost")
    units: ClassVar[tuple[str, ...]] = ("currency*time/share^2", "currency/share")
    domains: ClassVar[tuple[Domain, ...]] = ("real", "real")
    constant: ClassVar[int | None] = None

    rates: Float[Array, " fills"] = eqx.field(converter=as_float)
    shortfalls: Float[Array, " fills"] = eqx.field(converter=as_float)
    noise_scales: Float[Array, " fills"] = eqx.field(converter=as_float)
    weights: Float[Array, " fills"] = eqx.field(converter=as_float)

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        check_shape((None,), rates=self.rates)
        check_shape(
            self.rates.shape,
            shortfalls=self.shortfalls,
            noise_scales=self.noise_scales,
            weights=self.weights,
        )

    @classmethod
    def validate(
        cls, *, rates: Any, shortfalls: Any, noise_scales: Any, weights: Any
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_real(ndim=1, rates=rates)
        check_real(ndim=1, shortfalls=shortfalls)
        check_positive(ndim=1, noise_scales=noise_scales)
        check_nonnegative(ndim=1, weights=weights)

    def regressors(self) -> Float[Array, "fills 2"]:
        both = jnp.stack([self.rates, jnp.sign(self.rates)], axis=1)
        return both / self.noise_scales[:, None]

    def response(self) -> Float[Array, " fills"]:
        return self.shortfalls / self.noise_scales

    def is_admissible(self) -> Bool[Array, ""]:
        """Return whether there are more fills than numbers, and some fell short."""
        return _says_something(self)


class ExecutionRegressions(AbstractSolver):
    """Both regressions of a `PricedExecution`, in closed form.

    Their noise is independent in the model, so that they are the maximum of the joint
    likelihood but for the degrees of freedom in the two standard deviations. Errors of
    the one are taken to be independent of the other's.

    Attributes:
        errors: "classical" or "robust"; of the standard deviations by normal noise or
            by its fourth moment (static).
        num_lags: neighbouring periods whose noise is correlated; for the coefficients,
            and "robust" only (static).
    """

    errors: str = eqx.field(static=True, default="robust")
    num_lags: int = eqx.field(static=True, default=0)

    def __check_init__(self) -> None:
        """Check values where they are concrete."""
        validate_if_concrete(self)

    @classmethod
    def validate(cls, *, errors: Any = "robust", num_lags: Any = 0) -> None:
        """Raise ValueError for inadmissible numbers."""
        if errors == "bootstrap":
            raise InadmissibleError("errors", "be 'classical' or 'robust'", errors)
        OrdinaryLeastSquares.validate(errors=errors, num_lags=num_lags)

    def solve(self, problem: Any, *, key: PRNGKeyArray | None = None) -> Solution[Fit]:
        """Fit one instance."""
        del key
        solver = OrdinaryLeastSquares(errors=self.errors, num_lags=self.num_lags)
        parts = problem.permanent(), problem.temporary()
        solutions = [solver.solve(part) for part in parts]
        fits = [solution.value for solution in solutions]
        noises = [self._noise(part, fit) for part, fit in zip(parts, fits, strict=True)]
        stds = jnp.stack([std for std, _ in noises])
        errors = jnp.stack([error for _, error in noises])
        values = jnp.concatenate([*(fit.values for fit in fits), stds])
        is_good = problem.is_admissible()
        values = jnp.where(is_good, values, jnp.nan)
        blocks = [fit.covariance for fit in fits]
        free_blocks = [fit.free_covariance for fit in fits]
        is_identified = jnp.concatenate(
            [*(fit.is_identified for fit in fits), errors > 0]
        )
        covariance = jax.scipy.linalg.block_diag(*blocks, jnp.diag(errors**2))
        free = jax.scipy.linalg.block_diag(*free_blocks, jnp.diag((errors / stds) ** 2))
        used = problem.weights > 0
        likelihood = (problem.weights * problem.log_likelihoods(values)).sum()
        fit = Fit(
            values=values,
            covariance=jnp.where(is_good, covariance, jnp.nan),
            free=jnp.concatenate([values[:3], jnp.log(values[3:])]),
            free_covariance=jnp.where(is_good, free, jnp.nan),
            log_likelihood=likelihood,
            r_squared=jnp.full_like(likelihood, jnp.nan),
            is_at_bound=jnp.zeros_like(is_identified),
            is_identified=is_identified & is_good,
            rank=fits[0].rank + fits[1].rank + 2,
            condition=jnp.maximum(fits[0].condition, fits[1].condition),
            num_starts=jnp.zeros((), jnp.int32),
            num_agreeing=jnp.zeros((), jnp.int32),
            num_observations=used.sum(dtype=jnp.int32),
            num_dropped=(~used).sum(dtype=jnp.int32),
            names=problem.names,
            domains=problem.domains,
        )
        status = Status.where(
            fit.is_identified.all(), Status.converged, Status.degenerate
        )
        status = Status.where(is_good, status, Status.invalid_input)
        residual = jnp.maximum(solutions[0].residual, solutions[1].residual)
        return Solution(fit, status, residual, jnp.zeros((), jnp.int32))

    def _noise(
        self, part: AbstractLinearRegression, fit: Fit
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Return the standard deviation of the noise, and its error."""
        squares = part.weights * part.residuals(fit.values) ** 2
        count = part.weights.sum()
        freedom = jnp.maximum(count - fit.rank.astype(count.dtype), 1)
        variance = squares.sum() / freedom
        std = jnp.sqrt(variance)
        if self.errors == "classical":
            return std, std / jnp.sqrt(2 * freedom)
        spread = part.residuals(fit.values) ** 2 - variance
        return std, jnp.sqrt((part.weights * spread**2).sum()) / (2 * std * freedom)


def _says_something(problem: AbstractLinearRegression) -> Bool[Array, ""]:
    count = problem.weights.sum()
    total = problem.total_sum_of_squares()
    squares = (problem.weights[:, None] * problem.regressors() ** 2).sum()
    return (
        (count > len(problem.names))
        & (total > 0)
        & jnp.isfinite(total)
        & (squares > 0)
        & jnp.isfinite(squares)
    )
