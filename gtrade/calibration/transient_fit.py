"""From a fitted kernel to the numbers of the game with transient impact."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from gtrade._arrays import as_float
from gtrade._checks import check_nonnegative, check_positive
from gtrade.calibration.windows import is_concrete
from gtrade.numerics.bisection import bisect

# Gauss's points in u with t = horizon u^6, which follow kernels that fall at once.
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(96)
_POWER = 6
# Logarithms of the decays that are told apart, per horizon.
_SLOWEST, _FASTEST = np.log(1e-9), np.log(1e9)


class TransientNumbers(eqx.Module):
    """What `gtrade.TransientImpact` with its exponential kernel takes.

    Attributes:
        decay: rho of exp(-rho t) with t in horizons, shape (); NaN where the kernel
            does not fade.
        temporary_cost: theta, of a squared trade in units of G(0), shape ().
        price_scale: G(0), currency per share: costs in the game times this are
            currency, shape ().
        misfit: how far the exponential is from the kernel at most, as a share of G(0):
            0 for a kernel that is one, shape ().
    """

    decay: Float[Array, ""]
    temporary_cost: Float[Array, ""]
    price_scale: Float[Array, ""]
    misfit: Float[Array, ""]


def transient_numbers(
    kernel: Callable[[Float[Array, " times"]], Float[Array, " times"]],
    horizon: ArrayLike,
    *,
    temporary_cost: ArrayLike = 0.0,
) -> TransientNumbers:
    """Return the game's numbers: of the exponential with the same mean over a horizon.

    So a position that is held has moved the price as far on average. Impact that lasts
    counts in the mean; whether an exponential is a fair picture of the kernel is what
    `misfit` is for. Differentiable in whatever the kernel depends on.

    Args:
        kernel: G at times of at least 0, positive and not increasing, as from
            `lambda times: problem.kernel(fit.values, times)`.
        horizon: time the game takes, in the kernel's unit, shape ().
        temporary_cost: what a trade of x shares costs besides, over x^2, currency per
            squared share, shape ().
    """
    if is_concrete(horizon, temporary_cost):
        check_positive(horizon=np.asarray(horizon))
        check_nonnegative(temporary_cost=np.asarray(temporary_cost))
    span = as_float(horizon)
    places = jnp.asarray((_POINTS + 1) / 2, span.dtype)
    shares = jnp.asarray(_WEIGHTS / 2, span.dtype) * _POWER * places ** (_POWER - 1)
    times = places**_POWER
    now = kernel(jnp.zeros(1, span.dtype))[0]
    ratio = kernel(span * times) / now
    mean = (shares * ratio).sum()

    def excess(log_decay: Array, mean: Array) -> Array:
        """Increases in the decay."""
        decay = jnp.exp(log_decay)
        return jnp.log(mean) - jnp.log(-jnp.expm1(-decay) / decay)

    known = jax.lax.stop_gradient(mean)
    ends = jnp.asarray([_SLOWEST, _FASTEST], span.dtype)
    root = jax.lax.stop_gradient(bisect(lambda x: excess(x, known), ends[0], ends[1]))
    # One of Newton's steps has the slope that halving an interval has not.
    slope = jax.grad(excess)(root, known)
    root = root - (excess(root, mean) - excess(root, known)) / slope
    is_fading = mean < 1 - 1000 * float(jnp.finfo(span.dtype).eps)
    decay = jnp.where(is_fading, jnp.exp(root), jnp.nan)
    misfit = jnp.abs(ratio - jnp.exp(-decay * times)).max()
    cost = as_float(temporary_cost).astype(span.dtype) / now
    return TransientNumbers(decay, cost, now, misfit)
