"""Position building when temporary impact is a power of the total trading rate."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gtrade._arrays import as_float
from gtrade._checks import (
    InadmissibleError,
    check,
    check_nonnegative,
    check_positive,
    check_real,
    check_shape,
)
from gtrade.problems.base import AbstractProblem, replace_fields

# With smoothing, smaller exponents bend the cost of trading alone the wrong way.
LEAST_SMOOTH_EXPONENT = 1 / 17


class PowerLawPosition(AbstractProblem):
    """Firms build positions over [0, 1] against a power law of their total rate.

    Firm i trades at rate x_i' and pays `h(X') + kappa X` a share, X the sum of all
    positions and `h(y) = sign(y) |y|^p` (Almgren 2003 for one trader; Chriss 2024,
    arXiv 2409.03586, is p = 1). With `smoothing` e > 0 the power is rounded off near
    zero, `h(y) = y (y^2 + e^2)^((p - 1) / 2)`. Costs are minimised.

    Attributes:
        targets: shares that each firm ends with, negative for short, shape (firms,).
        permanent_impact: kappa >= 0, shape ().
        exponent: p > 0, shape ().
        smoothing: e >= 0, a trading rate, shape ().

    Raises:
        ValueError: if a number is inadmissible.
    """

    targets: Float[Array, " firms"] = eqx.field(converter=as_float)
    permanent_impact: Float[Array, ""] = eqx.field(converter=as_float)
    exponent: Float[Array, ""] = eqx.field(converter=as_float)
    smoothing: Float[Array, ""] = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        check_shape((None,), targets=self.targets)
        check_shape(
            (),
            permanent_impact=self.permanent_impact,
            exponent=self.exponent,
            smoothing=self.smoothing,
        )

    @classmethod
    def validate(
        cls,
        *,
        targets: Any,
        permanent_impact: Any,
        exponent: Any,
        smoothing: Any = 0.0,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        if np.ndim(targets) < 1 or np.shape(targets)[-1] < 1:
            raise InadmissibleError("targets", "name at least one firm", targets)
        check_real(ndim=1, targets=targets)
        check_nonnegative(permanent_impact=permanent_impact)
        check_positive(exponent=exponent)
        check_nonnegative(smoothing=smoothing)
        is_sharp = np.asarray(smoothing) == 0
        check(
            "be at least 1/17 where smoothing is greater than 0",
            lambda p: np.logical_or(p >= LEAST_SMOOTH_EXPONENT, is_sharp),
            exponent=np.broadcast_to(
                exponent, np.broadcast_shapes(np.shape(exponent), is_sharp.shape)
            ),
        )

    @property
    def num_firms(self) -> int:
        """Number of firms N."""
        return self.targets.shape[-1]

    def admitted(self) -> tuple["PowerLawPosition", Bool[Array, ""]]:
        """Return an instance that can be computed with, and whether it is this one."""
        is_valid = (
            jnp.isfinite(self.targets).all()
            & (self.permanent_impact >= 0)
            & jnp.isfinite(self.permanent_impact)
            & (self.exponent > 0)
            & jnp.isfinite(self.exponent)
            & (self.smoothing >= 0)
            & jnp.isfinite(self.smoothing)
            & ((self.exponent >= LEAST_SMOOTH_EXPONENT) | (self.smoothing == 0))
        )
        return self.replaced_unless(is_valid), is_valid

    def replaced_unless(self, is_valid: Bool[Array, ""]) -> "PowerLawPosition":
        """Return this instance, or a harmless one of the same shapes."""
        names = ("targets", "permanent_impact", "exponent", "smoothing")
        values = {n: jnp.where(is_valid, getattr(self, n), 1) for n in names}
        return replace_fields(self, **values)

    @property
    def has_singular_balance(self) -> Bool[Array, ""]:
        """Whether targets cancel where that leaves the first-order conditions empty.

        If the firms' total target is zero, so is their total rate; and where the slope
        of h at zero is zero or infinite, no firm can then trade (docs, "Existence").
        """
        largest = jnp.abs(self.targets).max()
        rounding = 4 * self.num_firms * jnp.finfo(self.targets.dtype).eps * largest
        cancels = (jnp.abs(self.targets.sum()) <= rounding) & (largest > 0)
        return cancels & (self.exponent != 1) & (self.smoothing == 0)

    def pressure(self, rate: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return h, the temporary price move at a total rate."""
        size, is_zero = self._size(rate)
        return jnp.where(is_zero, 0, rate * size ** ((self.exponent - 1) / 2))

    def slope(self, rate: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return h'; at zero without smoothing it is infinite for p < 1."""
        p = self.exponent
        size, is_zero = self._size(rate)
        square, rounding = rate**2, self.smoothing**2
        usual = size ** ((p - 1) / 2) * ((p * square + rounding) / size)
        at_zero = jnp.where(p < 1, jnp.inf, jnp.where(p > 1, 0, 1))
        return jnp.where(is_zero, at_zero.astype(usual.dtype), usual)

    def curvature_ratio(
        self, rate: Float[Array, "..."], own: Float[Array, "..."]
    ) -> Float[Array, "..."]:
        """Return the second derivative of h(X') x_i' in x_i', over 2 h'(X').

        Positive where a firm's cost is convex around its own rate.
        """
        p = self.exponent
        size, is_zero = self._size(rate)
        square, rounding = rate**2, self.smoothing**2
        bend = (p - 1) * (p * square + 3 * rounding) / (p * square + rounding)
        # At a total rate of zero h' has no finite ratio; it is one without own trades.
        at_zero = jnp.where((own == 0) | (p == 1), 1, -jnp.inf)
        safe = jnp.where(is_zero, 1, bend)
        usual = 1 + safe * (rate / size) * own / 2
        return jnp.where(is_zero, at_zero.astype(usual.dtype), usual)

    def marginal_spread(
        self, positions: Float[Array, "firms times"], rates: Float[Array, "firms times"]
    ) -> Float[Array, ""]:
        """Return how much firms' marginal costs vary over time, relative; shape ().

        They are `h(X') + h'(X') x_i' + kappa (X - x_i)` and constant in equilibrium:
        their derivative is the Euler-Lagrange equation. On the cells of a grid, with
        positions at midpoints, they are the exact gradient of `costs`. The spread of
        each firm is taken relative to the largest of the three terms.
        """
        total = rates.sum(axis=0)[None]
        others = positions.sum(axis=0)[None] - positions
        # No own trade has no marginal effect, however steep h is.
        slope = jnp.where(rates == 0, 0, self.slope(total))
        terms = self.pressure(total), slope * rates, self.permanent_impact * others
        marginal = terms[0] + terms[1] + terms[2]
        spread = (marginal.max(axis=1) - marginal.min(axis=1)).max()
        largest = jnp.stack([jnp.abs(term).max() for term in terms]).max()
        return spread / jnp.maximum(largest, jnp.finfo(largest.dtype).tiny)

    def costs(self, schedules: Float[Array, "firms points"]) -> Float[Array, " firms"]:
        """Return the firms' costs of piecewise-linear paths, exactly; shape (firms,).

        Args:
            schedules: positions at equally spaced times of [0, 1], both ends included.
        """
        rates, middles = cells(schedules)
        total = rates.sum(axis=0)
        others = middles.sum(axis=0)[None] - middles
        price = self.pressure(total)[None] + self.permanent_impact * others
        fixed = self.permanent_impact / 2 * schedules[:, -1] ** 2
        return (rates * price).mean(axis=1) + fixed

    def _size(self, rate):
        size = rate**2 + self.smoothing**2
        is_zero = size == 0
        return jnp.where(is_zero, 1, size), is_zero


def cells(
    schedules: Float[Array, "firms points"],
) -> tuple[Float[Array, "firms cells"], Float[Array, "firms cells"]]:
    """Return rates and mid positions between equally spaced times of [0, 1]."""
    num_cells = schedules.shape[-1] - 1
    rates = jnp.diff(schedules, axis=-1) * num_cells
    return rates, (schedules[:, 1:] + schedules[:, :-1]) / 2


class SampledPaths(eqx.Module):
    """Paths of all firms at equally spaced times of [0, 1], both ends included.

    Attributes:
        schedules: positions, shares, shape (firms, points).
        rates: trading rates at the same times, shares/horizon, shape (firms, points).
    """

    schedules: Float[Array, "firms points"]
    rates: Float[Array, "firms points"]
