"""Transient impact that fades like a power of time."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from gtrade._arrays import as_float
from gtrade._checks import check_nonnegative, check_positive, check_shape
from gtrade.calibration.fit import Domain
from gtrade.calibration.propagator import (
    AbstractPropagator,
    check_numbers,
    check_series,
)


class PowerLawPropagator(AbstractPropagator):
    """G(t) = G_0 (1 + t / t_0)^-b exp(-c t), a mixture of exponentials for any b > 0.

    The onset time t_0 is where the power law sets in; it can be told from the exponent
    only where it spans several bars, and is given otherwise.

    Attributes:
        mid_changes: shape (bars,), currency.
        signed_volume: bought less sold by those who demand liquidity, shape (bars,).
        weights: how often each bar counts, 0 to leave it out, shape (bars,).
        interval: length of a bar, time, shape ().
        onset_time: t_0 > 0, time, shape (): given, or to search from.
        cutoff_rate: c >= 0, per time, shape (): impact of long ago is gone; given.
        fits_onset: whether t_0 is fitted (static).

    Raises:
        ValueError: if a number is inadmissible.
    """

    mid_changes: Float[Array, " bars"] = eqx.field(converter=as_float)
    signed_volume: Float[Array, " bars"] = eqx.field(converter=as_float)
    weights: Float[Array, " bars"] = eqx.field(converter=as_float)
    interval: Float[Array, ""] = eqx.field(converter=as_float)
    onset_time: Float[Array, ""] = eqx.field(converter=as_float)
    cutoff_rate: Float[Array, ""] = eqx.field(converter=as_float, default=0.0)
    fits_onset: bool = eqx.field(static=True, default=False)

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        check_series(self)
        check_shape((), onset_time=self.onset_time, cutoff_rate=self.cutoff_rate)

    @classmethod
    def validate(cls, **numbers: Any) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_numbers(numbers)
        check_positive(onset_time=numbers["onset_time"])
        check_nonnegative(cutoff_rate=numbers.get("cutoff_rate", 0.0))

    @property
    def names(self) -> tuple[str, ...]:
        """G_0, b and, if it is fitted, t_0."""
        onset = ("onset_time",) if self.fits_onset else ()
        return ("instant_impact", "exponent", *onset)

    @property
    def units(self) -> tuple[str, ...]:
        """Of the numbers."""
        return ("currency/share", "1", *(("time",) if self.fits_onset else ()))

    @property
    def domains(self) -> tuple[Domain, ...]:
        """All positive."""
        return ("positive",) * len(self.names)

    def kernel(
        self, values: Float[Array, " parameters"], times: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        onset = values[2] if self.fits_onset else self.onset_time
        log = -values[1] * jnp.log1p(times / onset) - self.cutoff_rate * times
        return values[0] * jnp.exp(log)

    def predict(self, values: Float[Array, " parameters"]) -> Float[Array, " bars"]:
        onset = values[2] if self.fits_onset else self.onset_time
        num = self.mid_changes.shape[0]
        times = jnp.arange(num - 1, dtype=values.dtype) * self.interval
        # From one lag to the next, without taking near equals apart.
        fall = -values[1] * jnp.log1p(self.interval / (onset + times))
        fall = jnp.expm1(fall - self.cutoff_rate * self.interval)
        steps = self.kernel(values, times) * fall
        return causal_convolution(
            jnp.concatenate([values[:1], steps]), self.signed_volume
        )

    def scale(self) -> Float[Array, " parameters"]:
        rest = [jnp.ones_like(self.onset_time)]
        rest += [self.onset_time] if self.fits_onset else []
        return jnp.stack([self.instant_impact(), *rest])

    def starts(self) -> Float[Array, "3 parameters"]:
        """Return the slope on a bar's own volume, with three exponents."""
        factors = jnp.ones((3, len(self.names)), self.onset_time.dtype)
        exponents = jnp.array([0.25, 0.5, 1.0], factors.dtype)
        return factors.at[:, 1].set(exponents) * self.scale()[None]


def causal_convolution(
    kernel: Float[Array, " n"], flow: Float[Array, " n"]
) -> Float[Array, " n"]:
    """Return sum_l kernel_l flow_(t - l), by Fourier transforms of twice the length."""
    num = flow.shape[0]
    length = 2 * num
    both = jnp.fft.rfft(kernel, length) * jnp.fft.rfft(flow, length)
    return jnp.fft.irfft(both, length)[:num]
