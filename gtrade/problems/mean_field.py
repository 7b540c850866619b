"""Position building by N firms with one kappa, and its limit as N grows.

The equilibrium with mean target m is, at time t (Chriss 2025, arXiv 2501.01241),

    x_i = m rise(t; -g) + (V_i - m) rise(t; kappa),   g = kappa (N - 1) / (N + 1),
    rise(t; s) = (e^{s t} - 1) / (e^s - 1).

Targets that stay as they are while N grows move the price without limit, so a share's
temporary and permanent impact both are 1/N of what they were: the price then moves with
the firms' mean. Costs are divided by N, the equilibrium stays the same, and kappa,
the ratio of both impacts, with it. As N grows, g rises to kappa with an error
of 2 kappa / (N + 1).
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float

from gtrade._arrays import as_float
from gtrade._checks import check_integer, check_nonnegative, check_real, check_shape
from gtrade.numerics.linear_ode import phi_functions
from gtrade.numerics.quadrature import SMOOTH
from gtrade.problems.position_paths import PositionPaths


def many_firms_path(
    permanent_impact: ArrayLike,
    targets: Float[Array, " firms"],
    times: Float[Array, " times"],
    *,
    num_firms: int | None = None,
    mean_target: ArrayLike | None = None,
) -> Float[Array, "firms times"]:
    """Return equilibrium positions of some of N firms with one kappa.

    Args:
        permanent_impact: kappa, at least 0, shape ().
        targets: of the firms to show.
        times: in [0, 1].
        num_firms: N; as many as there are targets if left out.
        mean_target: of all N firms; of these targets if left out, shape ().

    Raises:
        ValueError: for inadmissible numbers, naming argument, rule and value.
    """
    kappa, targets, mean = _numbers(permanent_impact, targets, mean_target)
    count = len(targets) if num_firms is None else num_firms
    check_integer(num_firms=count, at_least=1)
    growth = kappa * ((count - 1) / (count + 1))
    return _paths(growth, kappa, targets, mean, times)


def mean_field_path(
    permanent_impact: ArrayLike,
    targets: Float[Array, " firms"],
    times: Float[Array, " times"],
    *,
    mean_target: ArrayLike | None = None,
) -> Float[Array, "firms times"]:
    """Return the limit of equilibrium positions as the number of firms grows.

    Of the distribution of targets, only the mean enters. The mean of all positions
    keeps the price constant in the limit, so that any path with the right end then is a
    best response; deviations from the mean are those of every finite N, which do not
    depend on N.

    Args:
        permanent_impact: kappa, at least 0, shape ().
        targets: of the firms to show.
        times: in [0, 1].
        mean_target: of all firms; of these targets if left out, shape ().

    Raises:
        ValueError: for inadmissible numbers, naming argument, rule and value.
    """
    kappa, targets, mean = _numbers(permanent_impact, targets, mean_target)
    return _paths(kappa, kappa, targets, mean, times)


def mean_field_profile(
    permanent_impact: ArrayLike,
    targets: Float[Array, " firms"],
    *,
    num_points: int = 65,
) -> PositionPaths:
    """Return all firms on their limit paths: a profile for a game of finitely many.

    Args:
        permanent_impact: kappa, at least 0, shape ().
        targets: of all firms.
        num_points: equally spaced times of the schedules.
    """
    kappa, targets, mean = _numbers(permanent_impact, targets, None)
    check_integer(num_points=num_points, at_least=2)

    def paths(times: Array) -> Array:
        return _paths(kappa, kappa, targets, mean, times)

    uniform = np.linspace(0.0, 1.0, num_points)
    times = jnp.asarray(np.concatenate([uniform, SMOOTH.times]), targets.dtype)
    positions, rates = jax.jvp(paths, (times,), (jnp.ones_like(times),))
    return PositionPaths(
        schedules=positions[:, :num_points],
        positions=positions[:, num_points:],
        rates=rates[:, num_points:],
        initial_rates=rates[:, 0],
        rule=SMOOTH,
    )


def mean_field_correction(
    permanent_impact: ArrayLike,
    mean_target: ArrayLike,
    times: Float[Array, " times"],
) -> Float[Array, " times"]:
    """Return c(t), where N firms are at limit + c(t) / (N + 1) + O(1 / N^2).

    Every firm lags behind its limit by as much, c being 2 kappa m times the derivative
    of rise(t; s) in s at -kappa.

    Args:
        permanent_impact: kappa, at least 0, shape ().
        mean_target: m, shape ().
        times: in [0, 1].
    """
    kappa, _, mean = _numbers(permanent_impact, jnp.zeros(1), mean_target)
    one, times = jnp.ones_like(kappa), as_float(times).astype(kappa.dtype)
    _, slope = jax.jvp(lambda g: _decelerating(g, times), (kappa,), (one,))
    return -2 * kappa * mean * slope


def mean_field_costs(
    permanent_impact: ArrayLike,
    targets: Float[Array, " firms"],
    *,
    mean_target: ArrayLike | None = None,
) -> Float[Array, " firms"]:
    """Return what firms pay in the limit, prices moving with the mean flow.

    It is V_i m kappa / (1 - e^-kappa): all shares are bought at one price.

    Args:
        permanent_impact: kappa, at least 0, shape ().
        targets: of the firms to show.
        mean_target: of all firms; of these targets if left out, shape ().

    Raises:
        ValueError: for inadmissible numbers, naming argument, rule and value.
    """
    kappa, targets, mean = _numbers(permanent_impact, targets, mean_target)
    return targets * mean / phi_functions(kappa, 1)[1]


def mean_field_gain(
    permanent_impact: ArrayLike, mean_target: ArrayLike, num_firms: int
) -> Float[Array, ""]:
    """Return what one of N firms saves by leaving the limit paths all are on.

    Prices move with the mean flow. The saving, m^2 (kappa/2 coth(kappa/2) - 1) / N
    whatever the firm's own target, is exact for every N: the limit is an approximate
    equilibrium of the finite games.

    Args:
        permanent_impact: kappa, at least 0, shape ().
        mean_target: m, shape ().
        num_firms: N.
    """
    kappa, _, mean = _numbers(permanent_impact, jnp.zeros(1), mean_target)
    _, phi_1, phi_2, phi_3 = phi_functions(kappa, 3)
    check_integer(num_firms=num_firms, at_least=1)
    # The direct form loses all digits for small kappa, the other some for large.
    direct = 1 / phi_1 - 1 - kappa / 2
    excess = jnp.where(kappa < 1, kappa**2 * (phi_2 / 2 - phi_3) / phi_1, direct)
    return mean**2 * excess / num_firms


def _paths(
    growth: Array, kappa: Array, targets: Array, mean: Array, times: Array
) -> Float[Array, "firms times"]:
    times = as_float(times).astype(targets.dtype)
    common = _decelerating(growth, times)
    own = jnp.exp(kappa * (times - 1)) * _decelerating(kappa, times)
    return mean * common[None, :] + (targets - mean)[:, None] * own[None, :]


def _decelerating(rate: Array, times: Array) -> Float[Array, " times"]:
    """Return (1 - e^(-rate t)) / (1 - e^-rate) for a rate of at least 0."""
    return times * phi_functions(rate * times, 1)[1] / phi_functions(rate, 1)[1]


def _numbers(kappa: Any, targets: Any, mean: Any) -> tuple[Array, Array, Array]:
    """Return arrays of one dtype, checked where they are concrete."""
    _check_concrete(check_nonnegative, permanent_impact=kappa)
    _check_concrete(functools.partial(check_real, ndim=1), targets=targets)
    targets = as_float(targets)
    check_shape((None,), targets=targets)
    if mean is None:
        mean = targets.mean()
    _check_concrete(check_real, mean_target=mean)
    return (
        as_float(kappa).astype(targets.dtype),
        targets,
        as_float(mean).astype(targets.dtype),
    )


def _check_concrete(check: Callable[..., None], **subject: Any) -> None:
    """Run a check of numbers unless they are traced."""
    if not any(isinstance(x, Tracer) for x in jax.tree.leaves(subject)):
        check(**subject)
