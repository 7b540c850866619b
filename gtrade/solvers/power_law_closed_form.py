"""Closed form of position building under power-law temporary impact.

With N firms the mean rate v obeys `v^(p-2) v' = -c`, and whatever a firm wants beyond
the mean it trades in proportion to the derivative of `(v(0)/v)^((N+p)/(N-1))`; for
p = 1 these are the exponentials of the linear model. All of it is written in
`l(t) = log(v(0)/v(t))`, which is smooth through p = 1 and through no impact.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from gtrade._checks import check, check_integer, check_static
from gtrade.numerics.bisection import bisect
from gtrade.problems.base import validate_if_concrete
from gtrade.problems.power_law_position import PowerLawPosition, SampledPaths
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver
from gtrade.solvers.power_law_conditions import (
    check_balance,
    judge,
    refuse_rows,
    sample_times,
    violation,
)

# Rounding units that the residual of an exact formula may have.
_ROUNDING = 1e4


class PowerLawClosedForm(AbstractSolver):
    """Evaluate the closed form at equally spaced times.

    For identical targets it is the equilibrium; for p > 1 trading may stop early. For
    different targets it is the only profile that meets the first-order conditions, and
    an equilibrium wherever verification finds no gain. It knows no smoothing.

    Attributes:
        num_points: times at which paths are given, both ends included (static).
    """

    num_points: int = eqx.field(static=True, default=65)

    def __check_init__(self) -> None:
        """Check the values."""
        validate_if_concrete(self)

    @classmethod
    def validate(cls, *, num_points: Any = 65) -> None:
        """Raise ValueError for inadmissible numbers."""
        check_static(num_points=num_points)
        check_integer(num_points=num_points, at_least=3)

    @classmethod
    def validate_for(cls, problem: Mapping[str, Any], **numbers: Any) -> None:
        """Raise ValueError for games without a closed form."""
        del numbers
        check(
            "be 0 for closed-form, which knows no smoothed impact; use newton",
            lambda smoothing: smoothing == 0,
            smoothing=problem.get("smoothing", 0.0),
        )
        check_balance("closed-form", problem)
        targets = np.asarray(problem["targets"], np.float64)
        stops = _stops_early_on_host(
            targets, problem["permanent_impact"], problem["exponent"]
        )
        bad = stops & (targets != targets[..., :1]).any(axis=-1)
        if bad.any():
            rule = (
                "be equal for closed-form where trading stops before the end (a large"
                " exponent, a small mean target): nobody can trade against a rate of"
                " zero"
            )
            raise refuse_rows("targets", rule, targets, bad)

    def solve(
        self, problem: PowerLawPosition, *, key: PRNGKeyArray | None = None
    ) -> Solution[SampledPaths]:
        """Evaluate one instance.

        Returns:
            The paths, with status `converged`, `stalled` (a firm's cost is not convex
            around its path, as can happen when targets differ) or `invalid_input` (what
            `validate_for` refuses, among traced numbers); the residual is the larger of
            the violation of the first- and of the second-order conditions, relative.
        """
        game, is_valid = problem.admitted()
        curve = mean_curve(game)
        is_equal = (game.targets == game.targets[0]).all()
        is_valid = (
            is_valid
            & (game.smoothing == 0)
            & ~game.has_singular_balance
            & ~(curve.stops_early & ~is_equal)
        )

        time = sample_times(game, self.num_points)
        position, rate, share, share_rate = curve.at(time)
        mean = game.targets.mean()
        beyond = (game.targets - mean)[:, None]
        # Ends are exact, so that every path meets its target.
        end = (time == 1)[None]
        schedules = mean * position[None] + beyond * share[None]
        paths = SampledPaths(
            jnp.where(end, game.targets[:, None], schedules),
            mean * rate[None] + beyond * share_rate[None],
        )
        residual = violation(game, paths.schedules, paths.rates)
        tol = _ROUNDING * jnp.finfo(residual.dtype).eps
        status = Status.where(residual <= tol, Status.converged, Status.stalled)
        return judge(paths, status, residual, jnp.zeros((), jnp.int32), is_valid)


class MeanCurve(NamedTuple):
    """The mean path per share of the mean target, and its first rate.

    Attributes:
        initial: first rate, shape ().
        decay: gamma = -d log(rate) / dt at time 0, shape ().
        exponent: p, shape ().
        order: (N + p) / (N - 1), the power of v(0)/v that differences follow; shape ().
    """

    initial: Float[Array, ""]
    decay: Float[Array, ""]
    exponent: Float[Array, ""]
    order: Float[Array, ""]

    @property
    def stops_early(self) -> Bool[Array, ""]:
        """Whether the rate is zero before time 1."""
        return (self.exponent - 1) * self.decay >= 1

    def at(self, time: Float[Array, " points"]):
        """Return mean position and rate, and the share and rate of differences.

        Args:
            time: times in [0, 1], shape (points,).

        Returns:
            Four arrays of shape (points,), each per share of its target.
        """
        p, initial, decay, order = self.exponent, self.initial, self.decay, self.order
        span, stopped = _log_decline(time, decay, p)  # log(v0 / v) / decay
        log = decay * span
        position = initial * _mean_of_exp(p * log) * span
        at_stop = initial / (p * jnp.where(stopped, decay, 1))
        position = jnp.where(stopped, at_stop, position)
        rate = jnp.where(stopped, 0, initial * jnp.exp(-log))

        # expm1(order * log) / expm1(order * last), without overflow or 0 / 0. Once
        # trading has stopped there are no differences, and any share will do.
        end, _ = _log_decline(jnp.ones_like(time), decay, p)
        rest = jnp.exp(order * decay * (span - end))
        whole = _mean_of_exp(order * decay * end) * end
        share = rest * _mean_of_exp(order * log) * span / whole
        steepness = 1 / jnp.where(stopped, 1, 1 - (p - 1) * decay * time)
        return position, rate, share, rest * steepness / whole


def mean_curve(game: PowerLawPosition) -> MeanCurve:
    """Return the mean path: its first rate solves a scalar equation, by bisection."""
    num_firms, p = game.num_firms, game.exponent
    mean = jnp.abs(game.targets.mean())
    mean = jnp.where(mean > 0, mean, 1)  # nothing is traded on average: any curve
    rate_of_decline = (
        game.permanent_impact * (num_firms - 1) / (p * num_firms ** (p - 1))
    ) / (num_firms + p)
    decline = rate_of_decline * mean ** (1 - p)  # c, for a mean target of one

    # v0^p - v(1)^p = p c with 0 <= v(1) <= 1 brackets v0 >= 1 within a factor.
    low = jnp.maximum(jnp.log(jnp.maximum(p * decline, 1)) / p, 0)
    high = jnp.log1p(p * decline) / p

    def excess(log_initial):
        initial = jnp.exp(log_initial)
        decay = decline * initial ** (1 - p)
        curve = MeanCurve(initial, decay, p, jnp.ones_like(p))
        return curve.at(jnp.ones((1,), p.dtype))[0][0] - 1

    initial = jnp.exp(bisect(excess, low, high))
    order = (num_firms + p) / max(num_firms - 1, 1)
    return MeanCurve(initial, decline * initial ** (1 - p), p, order)


def _log_decline(time, decay, p):
    """Return log(v0 / v(t)) / decay, finite everywhere, and where trading stopped."""
    z = (p - 1) * decay * time
    stopped = z >= 1
    return time * _mean_of_inverse(jnp.where(stopped, 0, z)), stopped


def _mean_of_inverse(z):
    """Return -log(1 - z) / z, the mean of 1 / (1 - s) over [0, z]."""
    is_small = jnp.abs(z) < jnp.finfo(z.dtype).eps ** 0.5
    safe = jnp.where(is_small, 0.5, z)
    return jnp.where(is_small, 1 + z / 2, -jnp.log1p(-safe) / safe)


def _mean_of_exp(z):
    """Return (1 - exp(-z)) / z, the mean of exp(-s) over [0, z]."""
    is_small = jnp.abs(z) < jnp.finfo(z.dtype).eps ** 0.5
    safe = jnp.where(is_small, 1, z)
    return jnp.where(is_small, 1 - z / 2, -jnp.expm1(-safe) / safe)


def _stops_early_on_host(targets, kappa, p):
    """Return for every instance whether trading ends before time 1; NumPy."""
    num_firms = targets.shape[-1]
    mean = np.abs(targets.mean(axis=-1))
    kappa, p = np.asarray(kappa, np.float64), np.asarray(p, np.float64)
    c = kappa * (num_firms - 1) / (p * num_firms ** (p - 1.0) * (num_firms + p))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return (p > 1) & ((p * c * mean) ** ((p - 1) / p) <= (p - 1) * c) & (c > 0)
