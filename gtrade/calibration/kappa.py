"""The game's kappa from the two impact coefficients of a market.

With a permanent impact gamma (currency per share squared), a temporary impact eta
(currency times time per share squared) and a horizon T, position building over [0, 1]
has kappa = gamma T / eta: what a share held all day costs others, in units of what it
costs to trade a share over the day.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from gtrade._arrays import as_float
from gtrade.calibration.fit import Fit, draws
from gtrade.solution import Status

_Z = 1.959963984540054  # of a 95 % interval


class Kappa(eqx.Module):
    """kappa with its uncertainty, to first order in that of the coefficients.

    Attributes:
        value: gamma T / eta, shape (...).
        standard_error: shape (...).
        interval: both ends of the symmetric interval, which may reach below zero,
            shape (2, ...).
        log_interval: the interval made in logarithms, above zero, shape (2, ...); NaN
            unless `value` is.
        status: `converged`; `degenerate` where the value is not above zero, or its
            error unknown; `invalid_input` (all NaN) where a number is not finite, or
            eta or T not above zero.
    """

    value: Float[Array, "..."]
    standard_error: Float[Array, "..."]
    interval: Float[Array, "2 ..."]
    log_interval: Float[Array, "2 ..."]
    status: Status


def kappa_from(
    gamma: ArrayLike,
    eta: ArrayLike,
    horizon: ArrayLike,
    covariance: ArrayLike,
    *,
    z: float = _Z,
) -> Kappa:
    """Return kappa and its intervals by the delta method.

    Args:
        gamma: permanent impact, currency / share^2, shape (...) or ().
        eta: temporary impact, currency time / share^2, likewise.
        horizon: T, in the unit of time of `eta`, likewise.
        covariance: of (gamma, eta), shape (..., 2, 2) or (2, 2); NaN where unknown.
        z: half the width of intervals, in standard errors.
    """
    gamma, eta, horizon = as_float(gamma), as_float(eta), as_float(horizon)
    covariance = as_float(covariance)
    shape = np.broadcast_shapes(
        gamma.shape, eta.shape, horizon.shape, covariance.shape[:-2]
    )
    lanes = [jnp.broadcast_to(x, shape).ravel() for x in (gamma, eta, horizon)]
    covariance = jnp.broadcast_to(covariance, (*shape, 2, 2)).reshape(-1, 2, 2)
    each = jax.vmap(lambda *numbers: _one(*numbers, z=z))(*lanes, covariance)
    pair = jax.tree.map(lambda x: jnp.moveaxis(x, 0, -1), each)
    return jax.tree.map(lambda x: x.reshape(*x.shape[:-1], *shape), pair)


def _one(gamma: Array, eta: Array, horizon: Array, covariance: Array, z: Any) -> Kappa:
    """Return kappa of one pair of coefficients."""
    is_valid = jnp.isfinite(gamma) & jnp.isfinite(horizon) & (horizon > 0)
    is_valid = is_valid & jnp.isfinite(eta) & (eta > 0)
    gamma, eta, horizon = (jnp.where(is_valid, x, 1) for x in (gamma, eta, horizon))
    value = gamma / eta * horizon

    # Relative errors first: squares of coefficients of 1e-30 would underflow.
    is_flat = gamma == 0  # then the slope in gamma is T / eta, not kappa / gamma
    slope = jnp.stack([jnp.where(is_flat, horizon / eta, value), -value])
    size = jnp.stack([jnp.where(is_flat, 1, gamma), eta])
    relative = covariance / size[:, None] / size[None, :]
    variance = (slope[:, None] * relative * slope[None, :]).sum()
    is_known = jnp.isfinite(variance) & (variance >= 0)
    error = jnp.sqrt(jnp.where(is_known, variance, jnp.nan))

    is_positive = value > 0
    spread = z * error / jnp.where(is_positive, value, 1)
    factor = jnp.where(is_positive, jnp.exp(spread), jnp.nan)
    status = Status.where(is_positive & is_known, Status.converged, Status.degenerate)
    values = (
        value,
        error,
        jnp.stack([value - z * error, value + z * error]),
        jnp.stack([value / factor, value * factor]),
    )
    value, error, ends, log_ends = (jnp.where(is_valid, x, jnp.nan) for x in values)
    status = Status.where(is_valid, status, Status.invalid_input)
    return Kappa(value, error, ends, log_ends, status)


def kappa_of_fit(
    fit: Fit,
    horizon: ArrayLike,
    *,
    permanent: str = "permanent_impact",
    temporary: str = "temporary_impact",
    z: float = _Z,
) -> Kappa:
    """Return kappa of a fit, or of a batch of fits.

    Args:
        fit: of both coefficients.
        horizon: T, in the unit of time of the temporary impact.
        permanent: name of gamma in the fit.
        temporary: name of eta.
        z: half the width of intervals, in standard errors.

    Raises:
        ValueError: if the fit has no numbers of these names.
    """
    places = np.array([_place(fit, permanent), _place(fit, temporary)])
    covariance = fit.covariance[..., places[:, None], places[None, :]]
    return kappa_from(fit[permanent], fit[temporary], horizon, covariance, z=z)


def kappa_draws(
    fit: Fit,
    key: PRNGKeyArray,
    num_draws: int,
    horizon: ArrayLike,
    *,
    permanent: str = "permanent_impact",
    temporary: str = "temporary_impact",
) -> Float[Array, " draws"]:
    """Draw values of kappa that are as uncertain as a fit's coefficients.

    Args:
        fit: one fit; above zero where the coefficients' domain is.
        key: source of randomness.
        num_draws: how many (static).
        horizon: T, in the unit of time of the temporary impact.
        permanent: name of gamma in the fit.
        temporary: name of eta.

    Raises:
        ValueError: if the fit has no numbers of these names.
    """
    first, second = _place(fit, permanent), _place(fit, temporary)
    values = draws(fit, key, num_draws)
    return values[:, first] / values[:, second] * as_float(horizon)


def discrete_kappa(kappa: ArrayLike, num_steps: ArrayLike) -> Float[Array, "..."]:
    """Return the weight of permanent impact in the trading game of that many steps.

    2 kappa / (2 T + kappa): with it, costs of schedules in T steps are those of the
    straight lines through them in continuous time, over T + kappa / 2.

    Args:
        kappa: of the continuous game on [0, 1], at least 0.
        num_steps: T, at least 1.
    """
    kappa, steps = as_float(kappa), as_float(num_steps)
    is_valid = (kappa >= 0) & (steps > 0)
    # Divided first, so that no kappa overflows.
    share = kappa / jnp.where(is_valid, 2 * steps + kappa, 1)
    share = jnp.where(jnp.isposinf(kappa), 1, share)
    return jnp.where(is_valid, 2 * share, jnp.nan)


def continuous_kappa(discrete: ArrayLike, num_steps: ArrayLike) -> Float[Array, "..."]:
    """Return kappa of the continuous game from the weight in a trading game.

    2 T kd / (2 - kd), infinite at 2 and NaN beyond, where no continuous game is.

    Args:
        discrete: weight kd of permanent impact in the trading game, at least 0.
        num_steps: T, at least 1.
    """
    discrete, steps = as_float(discrete), as_float(num_steps)
    is_inside = (discrete >= 0) & (discrete < 2) & (steps > 0)
    value = 2 * steps * discrete / jnp.where(is_inside, 2 - discrete, 1)
    value = jnp.where(is_inside, value, jnp.nan)
    return jnp.where((discrete == 2) & (steps > 0), jnp.inf, value)


def _place(fit: Fit, name: str) -> int:
    if name not in fit.names:
        known = ", ".join(fit.names)
        raise ValueError(f"the fit must have a number {name!r}; it has {known}")
    return fit.names.index(name)
