"""Position building when impact fades: block trades on a grid of times."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gtrade._arrays import as_float
from gtrade._checks import (
    InadmissibleError,
    check_nonnegative,
    check_positive,
    check_real,
    check_shape,
)
from gtrade.problems.base import AbstractProblem, replace_fields

KERNELS = ("exponential", "power-law")

_HIGHEST = jax.lax.Precision.HIGHEST


class TransientImpact(AbstractProblem):
    """Firms build positions over [0, 1] while the impact of every trade decays.

    A share traded at time s moves the price at a later time t by the kernel G(t - s),
    with G(0) = 1; half of it is paid by the trade itself, and firms that trade at the
    same time share what the order of execution would cost them. Every trade of x shares
    costs `temporary_cost` x^2 besides (Schied & Zhang 2019, arXiv 1305.4013; Luo &
    Schied 2018, arXiv 1807.03813, for any number of firms). Costs are minimised.

    Attributes:
        targets: shares that each firm ends with, negative for short, shape (firms,).
        decay: rate rho > 0 of exp(-rho t), or exponent b > 0 of (1 + t)^-b, shape ().
        temporary_cost: theta >= 0, cost of a squared trade, shape ().
        kernel: "exponential" or "power-law" (static).

    Raises:
        ValueError: if a number is inadmissible.
    """

    targets: Float[Array, " firms"] = eqx.field(converter=as_float)
    decay: Float[Array, ""] = eqx.field(converter=as_float)
    temporary_cost: Float[Array, ""] = eqx.field(converter=as_float)
    kernel: str = eqx.field(static=True, default="exponential")

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        check_shape((None,), targets=self.targets)
        check_shape((), decay=self.decay, temporary_cost=self.temporary_cost)

    @classmethod
    def validate(
        cls,
        *,
        targets: Any,
        decay: Any,
        temporary_cost: Any,
        kernel: Any = "exponential",
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        if kernel not in KERNELS:
            rule = "be " + " or ".join(repr(name) for name in KERNELS)
            raise InadmissibleError("kernel", rule, kernel)
        if np.ndim(targets) < 1 or np.shape(targets)[-1] < 1:
            raise InadmissibleError("targets", "name at least one firm", targets)
        check_real(ndim=1, targets=targets)
        check_positive(decay=decay)
        check_nonnegative(temporary_cost=temporary_cost)

    @property
    def num_firms(self) -> int:
        """Number of firms N."""
        return self.targets.shape[-1]

    @property
    def critical_temporary_costs(self) -> Float[Array, " 2"]:
        """Temporary costs below which trades alternate in sign, shape (2,).

        (N - 1) G(0) / 4 for what the firms have in common and G(0) / 4 for how they
        differ.
        """
        return jnp.array([(self.num_firms - 1) / 4, 1 / 4], self.decay.dtype)

    def admitted(self) -> tuple["TransientImpact", Bool[Array, ""]]:
        """Return an instance that can be computed with, and whether it is this one."""
        is_valid = (
            jnp.isfinite(self.targets).all()
            & (self.decay > 0)
            & jnp.isfinite(self.decay)
            & (self.temporary_cost >= 0)
            & jnp.isfinite(self.temporary_cost)
        )
        safe = {
            name: jnp.where(is_valid, getattr(self, name), 1)
            for name in ("targets", "decay", "temporary_cost")
        }
        return replace_fields(self, **safe), is_valid

    def impact_after(self, lag: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return the kernel G at lags of at least zero, any shape."""
        if self.kernel == "exponential":
            return jnp.exp(-self.decay * lag)
        return (1 + lag) ** -self.decay

    def own_impact(self, num_points: int) -> Float[Array, "points points"]:
        """Return G(|t_k - t_l|) on equally spaced times of [0, 1].

        Positive definite, because G is convex and decreasing: no round trip earns
        money.
        """
        step = jnp.arange(num_points, dtype=self.decay.dtype) / (num_points - 1)
        return self.impact_after(jnp.abs(step[:, None] - step[None]))

    def others_impact(self, num_points: int) -> Float[Array, "points points"]:
        """Return what others' trades (columns) do to prices at one's own (rows).

        Lower triangular, with G(0) / 2 on the diagonal.
        """
        before = jnp.tril(self.own_impact(num_points))
        return before - jnp.eye(num_points, dtype=before.dtype) / 2

    def own_cost_matrix(self, num_points: int) -> Float[Array, "points points"]:
        """Return the Hessian of a firm's cost in its own trades, positive definite."""
        identity = jnp.eye(num_points, dtype=self.decay.dtype)
        return self.own_impact(num_points) + 2 * self.temporary_cost * identity

    def costs(self, trades: Float[Array, "firms points"]) -> Float[Array, " firms"]:
        """Return the firms' costs, shape (firms,).

        Args:
            trades: shares bought at equally spaced times of [0, 1], both ends included.
        """
        num_points = trades.shape[-1]
        others = trades.sum(axis=0)[None] - trades
        own = jnp.matmul(trades, self.own_cost_matrix(num_points), precision=_HIGHEST)
        cross = jnp.matmul(others, self.others_impact(num_points).T, precision=_HIGHEST)
        return (trades * (own / 2 + cross)).sum(axis=1)


class TransientTrades(eqx.Module):
    """Trades of all firms, and the two profiles that they are made of.

    Attributes:
        trades: shares bought at equally spaced times, shape (firms, points): the mean
            target times `common`, plus what a firm wants beyond the mean times
            `deviation`.
        common: trades per share of the mean target (v), shape (points,), sum 1.
        deviation: trades per share beyond the mean target (w), shape (points,), sum 1.
    """

    trades: Float[Array, "firms points"]
    common: Float[Array, " points"]
    deviation: Float[Array, " points"]
