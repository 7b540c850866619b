"""Almgren and Chriss's coefficients from one's own orders.

A period in which n shares are sold (bought: n < 0) at a price S before it shows

    S' - S   = -gamma n + sigma sqrt(tau) xi,
    fill - S = -epsilon sign(n) - (eta / tau) n + phi zeta,

with independent standard normal xi and zeta. Where both prices were recorded the joint
likelihood falls into two regressions. Where only the price at arrival and the fills
were, each fill shows the price behind it through noise: the price is a random walk that
a Kalman filter integrates out, exactly. (The differences of fills are a moving average
of first order; the filter is its likelihood, and keeps what the arrival price says.)
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gtrade._arrays import as_float
from gtrade._checks import (
    check_nonnegative,
    check_positive,
    check_real,
    check_shape,
)
from gtrade.calibration.execution_regressions import (
    PermanentImpactRegression,
    TemporaryImpactRegression,
)
from gtrade.calibration.fit import AbstractFitProblem, Domain

NAMES = (
    "permanent_impact",
    "temporary_impact",
    "fixed_cost",
    "volatility",
    "fill_noise",
)
UNITS = (
    "currency/share^2",
    "currency*time/share^2",
    "currency/share",
    "currency/sqrt(time)",
    "currency/share",
)
DOMAINS: tuple[Domain, ...] = ("real", "real", "real", "positive", "positive")

# Shares of the noise in differences of fills that are the fills' own, to search from.
_OWN_NOISE = (0.1, 0.6)


class PricedExecution(AbstractFitProblem):
    """Periods of trading with the prices before and after each.

    Attributes:
        sizes: shares sold, negative if bought, 0 without a trade, shape (periods,).
        fills: average prices of the trades; of no account without one, (periods,).
        prices_before: at the start of each period, currency, shape (periods,).
        prices_after: at its end, currency, shape (periods,).
        intervals: length tau of each period, time, shape (periods,).
        noise_scales: how volatile each period's stock and day is beside the others, for
            price and fills alike; 1 for all of a kind, shape (periods,).
        weights: how often each period counts, 0 to leave it out, shape (periods,).

    Raises:
        ValueError: if a number is inadmissible.
    """

    names: ClassVar[tuple[str, ...]] = NAMES
    units: ClassVar[tuple[str, ...]] = UNITS
    domains: ClassVar[tuple[Domain, ...]] = DOMAINS

    sizes: Float[Array, " periods"] = eqx.field(converter=as_float)
    fills: Float[Array, " periods"] = eqx.field(converter=as_float)
    prices_before: Float[Array, " periods"] = eqx.field(converter=as_float)
    prices_after: Float[Array, " periods"] = eqx.field(converter=as_float)
    intervals: Float[Array, " periods"] = eqx.field(converter=as_float)
    noise_scales: Float[Array, " periods"] = eqx.field(converter=as_float)
    weights: Float[Array, " periods"] = eqx.field(converter=as_float)

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        check_shape((None,), sizes=self.sizes)
        check_shape(
            self.sizes.shape,
            fills=self.fills,
            prices_before=self.prices_before,
            prices_after=self.prices_after,
            intervals=self.intervals,
            noise_scales=self.noise_scales,
            weights=self.weights,
        )

    @classmethod
    def validate(cls, **numbers: Any) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        for name in ("sizes", "fills", "prices_before", "prices_after"):
            check_real(ndim=1, **{name: numbers[name]})
        check_positive(ndim=1, intervals=numbers["intervals"])
        check_positive(ndim=1, noise_scales=numbers["noise_scales"])
        check_nonnegative(ndim=1, weights=numbers["weights"])

    def permanent(self) -> PermanentImpactRegression:
        """Return the regression of price falls on shares sold."""
        return PermanentImpactRegression(
            self.sizes,
            self.prices_before - self.prices_after,
            self.noise_scales * jnp.sqrt(self.intervals),
            self.weights,
        )

    def temporary(self) -> TemporaryImpactRegression:
        """Return the regression of shortfalls on rates and sides."""
        is_trade = jnp.abs(self.sizes) > 0
        return TemporaryImpactRegression(
            self.sizes / self.intervals,
            jnp.where(is_trade, self.prices_before - self.fills, 0),
            self.noise_scales,
            jnp.where(is_trade, self.weights, 0),
        )

    def scale(self) -> Float[Array, " 5"]:
        permanent, temporary = self.permanent(), self.temporary()
        return jnp.concatenate(
            [
                permanent.scale(),
                temporary.scale(),
                _root_mean_square(permanent.response(), permanent.weights)[None],
                _root_mean_square(temporary.response(), temporary.weights)[None],
            ]
        )

    def starts(self) -> Float[Array, "1 5"]:
        zeros = jnp.zeros(3, self.sizes.dtype)
        return jnp.concatenate([zeros, self.scale()[3:]])[None]

    def log_likelihoods(self, values: Float[Array, " 5"]) -> Float[Array, " periods"]:
        permanent, temporary = self.permanent(), self.temporary()
        of_price = log_normal(permanent.residuals(values[:1]), values[3])
        of_fill = log_normal(temporary.residuals(values[1:3]), values[4])
        is_trade = jnp.abs(self.sizes) > 0
        return (
            of_price
            - jnp.log(permanent.noise_scales)
            + jnp.where(is_trade, of_fill - jnp.log(self.noise_scales), 0)
        )

    def is_admissible(self) -> Bool[Array, ""]:
        """Return whether there are more trades than numbers, and noise."""
        return self.permanent().is_admissible() & self.temporary().is_admissible()


class FilledExecution(AbstractFitProblem):
    """Parent orders of which the arrival price and the fills are known, no other price.

    A parent order is one observation: errors of kind "sandwich" take whatever happens
    within one as dependent, and a bootstrap draws whole orders. With few parents ask
    for those of kind "hessian".

    Attributes:
        sizes: shares sold in each period, negative if bought; 0 where nothing was
            filled and after an order's end, shape (parents, periods).
        fills: average prices; of no account where nothing was filled, same shape.
        arrival_prices: at the start of the first period, currency, shape (parents,).
        intervals: length tau of each period, time, shape (parents, periods).
        noise_scales: how volatile each parent's stock and day is beside the others, for
            price and fills alike; 1 for all of a kind, shape (parents,).
        weights: how often each parent counts, 0 to leave it out, shape (parents,).

    Raises:
        ValueError: if a number is inadmissible.
    """

    names: ClassVar[tuple[str, ...]] = NAMES
    units: ClassVar[tuple[str, ...]] = UNITS
    domains: ClassVar[tuple[Domain, ...]] = DOMAINS

    sizes: Float[Array, "parents periods"] = eqx.field(converter=as_float)
    fills: Float[Array, "parents periods"] = eqx.field(converter=as_float)
    arrival_prices: Float[Array, " parents"] = eqx.field(converter=as_float)
    intervals: Float[Array, "parents periods"] = eqx.field(converter=as_float)
    noise_scales: Float[Array, " parents"] = eqx.field(converter=as_float)
    weights: Float[Array, " parents"] = eqx.field(converter=as_float)

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        check_shape((None, None), sizes=self.sizes)
        check_shape(self.sizes.shape, fills=self.fills, intervals=self.intervals)
        check_shape(
            self.sizes.shape[:1],
            arrival_prices=self.arrival_prices,
            noise_scales=self.noise_scales,
            weights=self.weights,
        )

    @classmethod
    def validate(cls, **numbers: Any) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        for name in ("sizes", "fills"):
            check_real(ndim=2, **{name: numbers[name]})
        check_real(ndim=1, arrival_prices=numbers["arrival_prices"])
        check_positive(ndim=2, intervals=numbers["intervals"])
        check_positive(ndim=1, noise_scales=numbers["noise_scales"])
        check_nonnegative(ndim=1, weights=numbers["weights"])

    def scale(self) -> Float[Array, " 5"]:
        regression, noise, interval = self._roughly()
        return jnp.concatenate(
            [regression.scale(), jnp.stack([noise / jnp.sqrt(interval), noise])]
        )

    def starts(self) -> Float[Array, "2 5"]:
        regression, noise, interval = self._roughly()
        dtype = self.sizes.dtype
        zeros = jnp.zeros(3, dtype)
        own = jnp.array(_OWN_NOISE, dtype)
        noises = [noise * jnp.sqrt((1 - own) / interval), noise * jnp.sqrt(own / 2)]
        slopes = jnp.broadcast_to(zeros[None], (len(_OWN_NOISE), 3))
        return jnp.concatenate([slopes, jnp.stack(noises, axis=1)], axis=1)

    def log_likelihoods(self, values: Float[Array, " 5"]) -> Float[Array, " parents"]:
        def one(
            sizes: Array, fills: Array, intervals: Array, scale: Array
        ) -> Float[Array, ""]:
            def step(state: tuple[Array, Array], period: tuple[Array, ...]):
                return _filter(state, period, values, scale)

            nothing = jnp.zeros((), self.sizes.dtype)
            _, each = jax.lax.scan(step, (nothing, nothing), (sizes, fills, intervals))
            return each.sum()

        below = self.fills - self.arrival_prices[:, None]
        return jax.vmap(one)(self.sizes, below, self.intervals, self.noise_scales)

    def is_admissible(self) -> Bool[Array, ""]:
        """Return whether there are more fills than numbers, and noise in them."""
        regression, noise, _ = self._roughly()
        count = regression.weights.sum()
        return (count > len(self.names)) & jnp.isfinite(noise) & (noise > 0)

    def _roughly(self) -> tuple["_Shortfalls", Array, Array]:
        """Return fills' shortfalls since arrival, their noise and a typical period.

        The noise is that of differences between periods, in which the price has moved
        once.
        """
        is_fill = jnp.abs(self.sizes) > 0
        ones = is_fill.astype(self.sizes.dtype)
        weights = ones * self.weights[:, None]
        sold = jnp.cumsum(self.sizes, axis=1) - self.sizes
        below = jnp.where(is_fill, self.arrival_prices[:, None] - self.fills, 0)
        scaled = below / self.noise_scales[:, None]
        regression = _Shortfalls(sold, self.sizes / self.intervals, below, weights)
        pairs = weights[:, 1:] * ones[:, :-1]
        moves = jnp.diff(scaled, axis=1)
        first = weights[:, :1] * scaled[:, :1] ** 2
        squares = (pairs * moves**2).sum() + first.sum()
        count = pairs.sum() + weights[:, 0].sum()
        noise = jnp.sqrt(jnp.where(squares > 0, squares, 0) / jnp.maximum(count, 1))
        total = jnp.where(weights.sum() > 0, weights.sum(), 1)
        return regression, noise, (weights * self.intervals).sum() / total


class _Shortfalls(eqx.Module):
    """What is needed of fills to tell how large their coefficients can be."""

    sold: Array
    rates: Array
    below: Array
    weights: Array

    def scale(self) -> Float[Array, " 3"]:
        size = _root_mean_square(self.below, self.weights)
        return size / jnp.stack(
            [
                _safe(_root_mean_square(self.sold, self.weights)),
                _safe(_root_mean_square(self.rates, self.weights)),
                jnp.ones_like(size),
            ]
        )


def stack_parents(parents: Sequence[Any] | np.ndarray, **columns: Any) -> dict:
    """Turn rows of child fills into one row a parent order.

    Args:
        parents: order of each child, in their sequence within it, shape (children,).
        columns: of the children, shape (children,) each. After a parent's last child
            its row is filled up: with 0, `intervals` with 1.

    Returns:
        The columns by name, shape (parents, periods), in NumPy, and "parents": the
        orders, as they first appear, shape (parents,).

    Raises:
        ValueError: for columns of different lengths.
    """
    ids = np.asarray(parents)
    names, first, which = np.unique(ids, return_index=True, return_inverse=True)
    place = np.argsort(np.argsort(first))  # sorted names to their order of appearance
    row = place[which.reshape(-1)]
    order = np.argsort(row, kind="stable")
    counts = np.bincount(row, minlength=len(names))
    ends = np.cumsum(counts)
    period = np.arange(len(ids)) - np.repeat(ends - counts, counts)
    found: dict[str, Any] = {"parents": names[np.argsort(first)]}
    for name, column in columns.items():
        values = np.asarray(column)
        check_shape(ids.shape, **{name: values})
        filled = np.ones if name == "intervals" else np.zeros
        table = filled((len(names), counts.max(initial=0)), values.dtype)
        table[row[order], period] = values[order]
        found[name] = table
    return found


def log_normal(
    deviation: Float[Array, "*shape"], std: Float[Array, "..."]
) -> Float[Array, "*shape"]:
    """Return the logarithm of a normal density with mean 0."""
    return -0.5 * (deviation / std) ** 2 - jnp.log(std) - 0.5 * float(np.log(2 * np.pi))


def _filter(
    state: tuple[Array, Array],
    period: tuple[Array, ...],
    values: Array,
    scale: Array,
) -> tuple[tuple[Array, Array], Array]:
    """Learn of the price from a fill, then let it move on.

    Args:
        state: mean and variance of the price at the start of the period.
        period: shares sold, fill and length.
        values: the model's numbers.
        scale: of the noise.

    Returns:
        The next state, and the log-likelihood of the fill, 0 without one.
    """
    gamma, eta, epsilon, sigma, phi = values
    mean, variance = state
    size, fill, interval = period
    is_fill = jnp.abs(size) > 0
    own = (phi * scale) ** 2
    total = variance + own
    surprise = fill - (mean - epsilon * jnp.sign(size) - eta * size / interval)
    each = jnp.where(is_fill, log_normal(surprise, jnp.sqrt(total)), 0)
    share = jnp.where(is_fill, variance / total, 0)
    mean = mean + jnp.where(is_fill, share * surprise, 0) - gamma * size
    variance = (
        jnp.where(is_fill, share * own, variance) + (sigma * scale) ** 2 * interval
    )
    return (mean, variance), each


def _root_mean_square(x: Array, weights: Array) -> Array:
    return jnp.sqrt((weights * x**2).sum() / _safe(weights.sum()))


def _safe(x: Array) -> Array:
    return jnp.where(x > 0, x, 1)
