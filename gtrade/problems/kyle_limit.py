"""Kyle's market in continuous time: one insider trades all the time."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from gtrade._arrays import as_float
from gtrade._checks import check, check_positive, check_real


class ContinuousKyle(eqx.Module):
    """The limit of auctions in sequence between times 0 and 1, one insider.

    Attributes:
        price_impact: lambda, the same at all times, price/share, shape ().
        posterior_variance: Sigma at the times asked for, price^2, shape (times,).
        intensity: beta at these times, infinite at the end, shares/price/time, shape
            (times,).
        total_profit: what the insider expects to earn, twice what one auction brings,
            price x shares, shape ().
    """

    price_impact: Float[Array, ""]
    posterior_variance: Float[Array, " times"]
    intensity: Float[Array, " times"]
    total_profit: Float[Array, ""]


def continuous_limit(
    *, value_std: ArrayLike, noise_std: ArrayLike, times: ArrayLike
) -> ContinuousKyle:
    """Return the equilibrium in continuous time (Kyle 1985, theorem 3).

    With several insiders there is none: they bid the information into the price at
    once (Holden & Subrahmanyam 1992).

    Args:
        value_std: standard deviation of the value, greater than 0, shape ().
        noise_std: of noise traders' flow in all, greater than 0, shape ().
        times: in [0, 1], shape (times,).

    Raises:
        ValueError: if a number is inadmissible.
    """
    check_positive(value_std=value_std)
    check_positive(noise_std=noise_std)
    check_real(ndim=1, times=times)
    check("lie between 0 and 1", lambda t: (t >= 0) & (t <= 1), ndim=1, times=times)
    value, noise = as_float(value_std), as_float(noise_std)
    left = 1 - as_float(times)
    variance = left * value**2
    safe = jnp.where(left > 0, left, 1)
    intensity = jnp.where(left > 0, noise / (value * safe), jnp.inf)
    return ContinuousKyle(value / noise, variance, intensity, value * noise)
