"""Temporary impact that is a power of the trading rate: h(v) = eta |v|^p.

What a fill costs a share is known with noise. Whether that noise is of one size or
grows with the cost decides which residuals to take: of costs ("level") or of their
logarithms ("log"). Logarithms need costs above zero, and to leave the others out makes
impact look larger than it is: with costs of both signs take levels.
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float

from gtrade._arrays import as_float, as_optional_float
from gtrade._checks import (
    InadmissibleError,
    check_nonnegative,
    check_positive,
    check_real,
    check_shape,
)
from gtrade.calibration.fit import AbstractRegression, Domain, Fit
from gtrade.calibration.linear import weighted_mean
from gtrade.calibration.linear_impact import varies

KINDS = ("level", "log")

# Exponents to search from: impact is concave as a rule.
_EXPONENTS = (0.3, 0.6, 1.0, 1.7)
# Least coefficient to search from, as a share of a typical cost.
_LEAST = 1e-3


class PowerLawImpact(AbstractRegression):
    """Costs of fills explained by a power of the rate at which they were made.

    The coefficient is the cost at a reference rate: its unit does not depend on the
    exponent, and at a rate that is typical of the data its error hardly does. `at_rate`
    takes it elsewhere; at a rate of 1 it is the eta of h(v) = eta |v|^p.

    Attributes:
        rates: shares a unit of time, either sign, shape (fills,).
        costs: what a share cost beyond the price before and the fixed cost, above zero
            where the trader paid: for a sale price less fill, shape (fills,), currency.
        noise_scales: standard deviation of the residuals, up to a factor that is the
            same for all, shape (fills,).
        weights: how often each fill counts, 0 to leave it out, shape (fills,).
        reference_rate: rate at which the coefficient is the cost, shape (); None: the
            geometric mean of the rates.
        kind: of residuals, "level" or "log" (static). With "log", rates of 0 and costs
            that are not above 0 are not admitted, unless at weight 0.

    Raises:
        ValueError: if a number is inadmissible.
    """

    names: ClassVar[tuple[str, ...]] = ("temporary_impact", "exponent")
    units: ClassVar[tuple[str, ...]] = ("currency/share at the reference rate", "1")
    domains: ClassVar[tuple[Domain, ...]] = ("positive", "positive")

    rates: Float[Array, " fills"] = eqx.field(converter=as_float)
    costs: Float[Array, " fills"] = eqx.field(converter=as_float)
    noise_scales: Float[Array, " fills"] = eqx.field(converter=as_float)
    weights: Float[Array, " fills"] = eqx.field(converter=as_float)
    reference_rate: Float[Array, ""] | None = eqx.field(
        converter=as_optional_float, default=None
    )
    kind: str = eqx.field(static=True, default="level")

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        check_shape((None,), rates=self.rates)
        check_shape(
            self.rates.shape,
            costs=self.costs,
            noise_scales=self.noise_scales,
            weights=self.weights,
        )
        if self.reference_rate is not None:
            check_shape((), reference_rate=self.reference_rate)

    @classmethod
    def validate(
        cls,
        *,
        rates: Any,
        costs: Any,
        noise_scales: Any,
        weights: Any,
        reference_rate: Any = None,
        kind: Any = "level",
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        if kind not in KINDS:
            rule = "be " + " or ".join(repr(name) for name in KINDS)
            raise InadmissibleError("kind", rule, kind)
        check_real(ndim=1, rates=rates)
        check_real(ndim=1, costs=costs)
        check_positive(ndim=1, noise_scales=noise_scales)
        check_nonnegative(ndim=1, weights=weights)
        if reference_rate is not None:
            check_positive(reference_rate=reference_rate)
        if kind == "log":
            is_used = np.asarray(weights) > 0
            used_rates = np.where(is_used, np.abs(np.asarray(rates)), 1)
            used_costs = np.where(is_used, np.asarray(costs), 1)
            check_positive(ndim=1, rates=used_rates)
            check_positive(ndim=1, costs=used_costs)

    @property
    def reference(self) -> Float[Array, ""]:
        """The rate at which the coefficient is the cost."""
        if self.reference_rate is not None:
            return self.reference_rate
        rates = jnp.abs(self.rates)
        weights = jnp.where(rates > 0, self.weights, 0)
        return jnp.exp(weighted_mean(jnp.log(_safe(rates)), weights))

    def residuals(self, values: Float[Array, " 2"]) -> Float[Array, " fills"]:
        if self.kind == "level":
            return (self.costs - self.predict(values)) / self.noise_scales
        line = jnp.log(values[0]) + values[1] * self._log_ratios()
        return (jnp.log(_safe(self.costs)) - line) / self.noise_scales

    def predict(self, values: Float[Array, " 2"]) -> Float[Array, " fills"]:
        """Return the cost of a share at each rate, shape (fills,)."""
        is_trade = jnp.abs(self.rates) > 0
        power = jnp.exp(values[1] * self._log_ratios())
        return jnp.where(is_trade, values[0] * power, 0)

    def total_sum_of_squares(self) -> Float[Array, ""]:
        if self.kind == "level":
            return (self.weights * (self.costs / self.noise_scales) ** 2).sum()
        logs = jnp.log(_safe(self.costs))
        precisions = self.weights / self.noise_scales**2
        return (precisions * (logs - weighted_mean(logs, precisions)) ** 2).sum()

    def scale(self) -> Float[Array, " 2"]:
        cost = weighted_mean(jnp.abs(self.costs), self.weights)
        return jnp.stack([cost, jnp.ones_like(cost)])

    def starts(self) -> Float[Array, "starts 2"]:
        exponents = jnp.array(_EXPONENTS, self.rates.dtype)
        precisions = self.weights / self.noise_scales**2

        def start(exponent: Array) -> Array:
            shape = self.predict(jnp.stack([jnp.ones_like(exponent), exponent]))
            squares = (precisions * shape**2).sum()
            slope = (precisions * shape * self.costs).sum() / _safe(squares)
            return jnp.stack([jnp.maximum(slope, _LEAST * self.scale()[0]), exponent])

        return jax.vmap(start)(exponents)

    def is_admissible(self) -> Bool[Array, ""]:
        """Return whether there are more fills than numbers, with rates and costs."""
        is_used = self.weights > 0
        total = self.total_sum_of_squares()
        is_fit = is_used & jnp.isfinite(self.rates) & jnp.isfinite(self.costs)
        if self.kind == "log":
            is_fit = is_fit & (self.costs > 0) & (jnp.abs(self.rates) > 0)
        is_trade = is_used & (jnp.abs(self.rates) > 0)
        return (
            (is_fit == is_used).all()
            & (self.weights.sum() > len(self.names))
            & is_trade.any()
            & (total > 0)
        )

    def _log_ratios(self) -> Float[Array, " fills"]:
        """Return logarithms of the rates over the reference, exactly 0 if all equal."""
        rates = jnp.abs(self.rates)
        logs = jnp.log(_safe(rates)) - jnp.log(self.reference)
        if self.reference_rate is not None:
            return logs
        weights = jnp.where(rates > 0, self.weights, 0)
        return jnp.where(varies(rates, weights) > 0, logs, 0)


def at_rate(fit: Fit, reference: ArrayLike, rate: ArrayLike) -> Fit:
    """Return a fit of `PowerLawImpact` with its coefficient at another rate.

    Args:
        fit: one fit.
        reference: rate at which its coefficient is the cost.
        rate: the one wanted, greater than 0; 1 for the eta of h(v) = eta |v|^p.
    """
    dtype = fit.values.dtype
    log = jnp.log(as_float(rate).astype(dtype) / as_float(reference).astype(dtype))

    def moved(free: Float[Array, " 2"]) -> Float[Array, " 2"]:
        return jnp.stack([free[0] + log * jnp.exp(free[1]), free[1]])

    def value(free: Float[Array, " 2"]) -> Float[Array, " 2"]:
        return jnp.exp(moved(free))

    slope = jax.jacfwd(moved)(fit.free)
    free_covariance = slope @ fit.free_covariance @ slope.T
    values = value(fit.free)
    is_known = fit.is_identified & ~fit.is_at_bound
    # Away from the reference, what the exponent leaves open the coefficient does too.
    is_known = jnp.where(jnp.abs(log) > 0, is_known.all() & is_known, is_known)
    covariance = values[:, None] * values[None] * free_covariance
    is_open = ~(is_known[:, None] & is_known[None])
    return eqx.tree_at(
        lambda x: (x.values, x.covariance, x.free, x.free_covariance, x.is_identified),
        fit,
        (
            values,
            jnp.where(is_open, jnp.nan, covariance),
            moved(fit.free),
            free_covariance,
            is_known | fit.is_at_bound,
        ),
    )


def _safe(x: Array) -> Array:
    """Return x, 1 where it is not positive."""
    return jnp.where(x > 0, x, 1)
