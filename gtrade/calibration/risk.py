"""Limits and losses: how much to hold, and what executing it may cost."""

import math

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtri
from jaxtyping import Array, ArrayLike, Float

from gtrade._arrays import as_float
from gtrade._checks import check, check_positive
from gtrade.calibration.windows import as_series, check_values, is_concrete


class ExecutionRisk(eqx.Module):
    """Value at risk of an execution cost and the mean cost beyond it, currency."""

    value_at_risk: Float[Array, "..."]
    conditional_value_at_risk: Float[Array, "..."]


class SampledRisk(eqx.Module):
    """The same from simulated costs, with standard errors."""

    value_at_risk: Float[Array, ""]
    conditional_value_at_risk: Float[Array, ""]
    value_at_risk_error: Float[Array, ""]
    conditional_value_at_risk_error: Float[Array, ""]


def position_limit(
    base: ArrayLike,
    price_impact: ArrayLike,
    *,
    reference_size: ArrayLike,
    volatility: ArrayLike,
    lowest: ArrayLike = 0.0,
) -> Float[Array, "..."]:
    """Return base / (1 + lambda Q / vol), a limit that shrinks as markets get thinner.

    The impact of a reference trade is measured in standard deviations of the price, so
    units cancel. An impact at or below zero gives `base`. Where impact or volatility is
    NaN the result is `lowest`, and it never goes below that.

    Args:
        base: limit in a perfectly deep market, shares.
        price_impact: lambda, currency per share.
        reference_size: Q, shares.
        volatility: standard deviation of the price over the horizon, currency.
        lowest: the most conservative limit that is configured, shares, at most `base`.

    Raises:
        ValueError: for a size or a limit below zero or a volatility not above it.
    """
    numbers = base, reference_size, volatility, lowest
    if is_concrete(numbers):
        check_values("be at least 0", _is_nonnegative, base=base)
        check_values("be at least 0", _is_nonnegative, reference_size=reference_size)
        check_values("be greater than 0", lambda x: x > 0, volatility=volatility)
        check_values("be at least 0", _is_nonnegative, lowest=lowest)
        check("be at most base", lambda x: x <= base, lowest=lowest)
    impact = as_float(price_impact)
    base, size, volatility, lowest = (as_float(x).astype(impact.dtype) for x in numbers)
    limit = base / (1 + jnp.maximum(impact, 0) * size / volatility)
    limit = jnp.where(jnp.isnan(limit), lowest, limit)
    return jnp.maximum(limit, lowest)


def execution_risk(
    expected_cost: ArrayLike, variance: ArrayLike, *, probability: ArrayLike = 0.95
) -> ExecutionRisk:
    """Return VaR = E + z sqrt(V) and CVaR = E + sqrt(V) phi(z) / (1 - p).

    Exact where the cost is Gaussian, as the shortfall of a fixed schedule is under
    linear impact.

    Args:
        expected_cost: E, currency, any shape.
        variance: V, currency squared, of the same shape or scalar.
        probability: p, that the cost stays below the value at risk.

    Raises:
        ValueError: for a variance below zero or a probability not inside (0, 1).
    """
    if is_concrete(variance):
        check_values("be at least 0", _is_nonnegative, variance=variance)
    expected, variance, p = _as_common(expected_cost, variance, probability)
    _check_probability(probability)
    z = ndtri(p)
    density = jnp.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    is_positive = variance > 0
    std = jnp.where(
        is_positive, jnp.sqrt(jnp.where(is_positive, variance, 1)), variance
    )
    std = jnp.where(variance < 0, jnp.nan, std)
    return ExecutionRisk(expected + z * std, expected + std * density / (1 - p))


def quantile_error(
    probability: ArrayLike, density: ArrayLike, num_paths: ArrayLike
) -> Float[Array, "..."]:
    """Return sqrt(p (1 - p) / n) / f, the standard error of a simulated quantile.

    Args:
        probability: p, inside (0, 1).
        density: f, of the simulated number at its quantile; of a Gaussian,
            exp(-z^2 / 2) / sqrt(2 pi V).
        num_paths: n.
    """
    _check_probability(probability)
    if is_concrete(num_paths):
        check_positive(num_paths=num_paths)
    p, density, n = _as_common(probability, density, num_paths)
    return jnp.sqrt(p * (1 - p) / n) / density


def sampled_execution_risk(
    costs: ArrayLike, *, probability: ArrayLike = 0.95
) -> SampledRisk:
    """Return value at risk and the mean beyond it of simulated costs, of any law.

    The error of the quantile needs the density there, which is estimated from quantiles
    on both sides (Bofinger's distance); that of the mean beyond is the one of
    max(cost - VaR, 0), divided by 1 - p.

    Args:
        costs: independent, shape (paths,), currency.
        probability: p, inside (0, 1).

    Raises:
        ValueError: for a probability not inside (0, 1).
    """
    _check_probability(probability)
    (costs,) = as_series(costs=costs)
    n = costs.shape[0]
    p = as_float(probability).astype(costs.dtype)
    z = ndtri(p)
    bell = jnp.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    distance = (4.5 * bell**4 / (2 * z**2 + 1) ** 2 / n) ** 0.2
    distance = jnp.minimum(distance, jnp.minimum(p, 1 - p) / 2)
    places = jnp.stack([p - distance, p, p + distance])
    low, quantile, high = jnp.quantile(costs, places)
    beyond = jnp.maximum(costs - quantile, 0)
    # Costs lie far from zero: their mean is taken about the quantile.
    mean = quantile + beyond.mean() / (1 - p)
    error = jnp.std(beyond) / jnp.sqrt(jnp.asarray(n, costs.dtype)) / (1 - p)
    is_spread = high > low
    density = 2 * distance / jnp.where(is_spread, high - low, 1)
    of_quantile = jnp.sqrt(p * (1 - p) / n) / density
    return SampledRisk(quantile, mean, jnp.where(is_spread, of_quantile, 0), error)


def _as_common(*values: ArrayLike) -> list[Array]:
    """Convert to the widest dtype of those given as floating arrays."""
    arrays = [as_float(x) for x in values]
    given = [
        a.dtype
        for a, x in zip(arrays, values, strict=True)
        if getattr(getattr(x, "dtype", None), "kind", "") == "f"
    ]
    dtype = max(given or [arrays[0].dtype], key=lambda d: d.itemsize)
    return [a.astype(dtype) for a in arrays]


def _is_nonnegative(x: np.ndarray) -> np.ndarray:
    return x >= 0


def _check_probability(probability: ArrayLike) -> None:
    if is_concrete(probability):
        check_values(
            "be above 0 and below 1",
            lambda x: (x > 0) & (x < 1),
            probability=probability,
        )
