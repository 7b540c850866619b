"""Kyle's lambda with an intercept, over stocks, days and windows in one batch.

One estimate with its error is one fit. A series of them, a window at every bar, is
`gtrade.calibration.impact.price_impact`; here each window is a problem of its own, with
errors for correlated noise, resamples and a status.
"""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from gtrade._arrays import as_float
from gtrade._checks import (
    InadmissibleError,
    check_integer,
    check_nonnegative,
    check_real,
    check_shape,
)
from gtrade.calibration.fit import Domain, Fit
from gtrade.calibration.linear import (
    AbstractLinearRegression,
    OrdinaryLeastSquares,
    weighted_mean,
)
from gtrade.calibration.windows import as_series, is_concrete
from gtrade.solution import Solution

# Share of a regressor's variation that other observations must account for: with less
# the line goes through one of them, whatever its noise.
_OTHERS = 1e-6


class LinearImpact(AbstractLinearRegression):
    """Mid changes explained by signed volume: dp = c + lambda q + e.

    Attributes:
        price_changes: change of the mid over each bar, shape (bars,), currency.
        signed_volume: bought less sold by those who demand liquidity, over the same
            bars, shape (bars,), shares.
        weights: how often each bar counts, 0 to leave it out, shape (bars,).

    Raises:
        ValueError: if a number is inadmissible.
    """

    names: ClassVar[tuple[str, ...]] = ("price_impact", "intercept")
    units: ClassVar[tuple[str, ...]] = ("currency/share", "currency/bar")
    domains: ClassVar[tuple[Domain, ...]] = ("real", "real")
    constant: ClassVar[int | None] = 1

    price_changes: Float[Array, " bars"] = eqx.field(converter=as_float)
    signed_volume: Float[Array, " bars"] = eqx.field(converter=as_float)
    weights: Float[Array, " bars"] = eqx.field(converter=as_float)

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        check_shape((None,), price_changes=self.price_changes)
        shape = self.price_changes.shape
        check_shape(shape, signed_volume=self.signed_volume, weights=self.weights)

    @classmethod
    def validate(cls, *, price_changes: Any, signed_volume: Any, weights: Any) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_real(ndim=1, price_changes=price_changes)
        check_real(ndim=1, signed_volume=signed_volume)
        check_nonnegative(ndim=1, weights=weights)

    def regressors(self) -> Float[Array, "bars 2"]:
        return jnp.stack([self.signed_volume, jnp.ones_like(self.signed_volume)], 1)

    def response(self) -> Float[Array, " bars"]:
        return self.price_changes

    def is_admissible(self) -> Bool[Array, ""]:
        """Return whether there are more bars than numbers, and flow and price vary.

        One bar with a trade among bars without is not enough: the line would go
        through it.
        """
        flow = self.signed_volume - weighted_mean(self.signed_volume, self.weights)
        squares = self.weights * flow**2
        total = squares.sum()
        count = self.weights.sum()
        alone = squares.max(initial=0) + total / jnp.maximum(count, 1)
        is_spread = alone < (1 - _OTHERS) * total
        return (
            (count > len(self.names))
            & jnp.isfinite(self.price_changes + self.signed_volume).all()
            & is_spread
            & (varies(self.signed_volume, self.weights) > 0)
            & (varies(self.price_changes, self.weights) > 0)
        )


def fit_windows(
    price_changes: ArrayLike,
    signed_volume: ArrayLike,
    ends: ArrayLike,
    *,
    window: int,
    fitter: OrdinaryLeastSquares | None = None,
    batch_size: int = 256,
) -> Solution[Fit]:
    """Fit Kyle's lambda in windows of one series, a few hundred at a time.

    Bars that are not finite are left out, like those before the first.

    Args:
        price_changes: shape (bars,), currency.
        signed_volume: shape (bars,), shares.
        ends: last bar of each window, from 0 on, shape (windows,), whole numbers.
        window: bars (static).
        fitter: with its kind of errors; robust ones (HC0) by default.
        batch_size: windows cut out at a time: bounds memory, changes no number
            (static).

    Returns:
        A solution with an axis of windows.

    Raises:
        ValueError: for different lengths, a window below one bar, or an end outside.
    """
    changes, flow = as_series(price_changes=price_changes, signed_volume=signed_volume)
    check_integer(at_least=1, window=window)
    check_integer(at_least=1, batch_size=batch_size)
    num = changes.shape[0]
    if is_concrete(ends):
        check_integer(at_least=0, ndim=1, ends=ends)
        if (jnp.asarray(ends) >= num).any():
            rule = f"be below the number of bars, {num}"
            raise InadmissibleError("ends", rule, jnp.asarray(ends).max())
    solver = OrdinaryLeastSquares() if fitter is None else fitter
    is_finite = jnp.isfinite(changes) & jnp.isfinite(flow)
    columns = [
        jnp.pad(jnp.where(is_finite, x, 0), (window, 0))
        for x in (changes, flow, is_finite.astype(changes.dtype))
    ]

    def one(end: Int[Array, ""]) -> Solution[Fit]:
        cut = (jax.lax.dynamic_slice(x, (end + 1,), (window,)) for x in columns)
        return solver.solve(LinearImpact(*cut))

    places = jnp.asarray(ends, jnp.int32)
    return jax.lax.map(one, places, batch_size=batch_size)


def varies(
    x: Float[Array, " observations"], weights: Float[Array, " observations"]
) -> Float[Array, ""]:
    """Return the range of the observations of positive weight; exactly 0 if equal."""
    is_used = weights > 0
    high = jnp.max(jnp.where(is_used, x, -jnp.inf), initial=-jnp.inf)
    low = jnp.min(jnp.where(is_used, x, jnp.inf), initial=jnp.inf)
    return jnp.where(is_used.any(), high - low, 0)
