"""Kyle's market: informed traders hide among noise, and the price learns from flow."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gtrade._arrays import as_float, as_int, as_optional_float
from gtrade._checks import (
    InadmissibleError,
    check,
    check_integer,
    check_nonnegative,
    check_positive,
    check_real,
    check_shape,
    check_static,
)
from gtrade.problems.base import AbstractProblem, replace_fields

SIGNALS = ("common", "private")


class Kyle(AbstractProblem):
    """One auction between informed traders, noise traders and a dealer.

    The value is normal with mean `value_mean` and standard deviation `value_std`; noise
    traders send a normal order with mean zero. Insiders see the value with a normal
    error, one error for all ("common") or an independent one each ("private"), and send
    orders linear in what they see. The dealer sees total flow and sets the price to the
    expected value (Kyle 1985, section 2; several insiders: Holden & Subrahmanyam 1992,
    Admati & Pfleiderer 1988).

    Attributes:
        value_std: standard deviation of the value, at least 0, price, shape ().
        noise_std: of noise traders' flow, greater than 0 unless the value is certain,
            shares, shape ().
        signal_noise_std: of the signals' error, at least 0, infinite for no
            information, price, shape ().
        value_mean: expected value, price, shape ().
        num_insiders: M, at least 1, shape ().
        signals: "common" or "private" (static).

    Raises:
        ValueError: if a number is inadmissible.
    """

    value_std: Float[Array, ""] = eqx.field(converter=as_float)
    noise_std: Float[Array, ""] = eqx.field(converter=as_float)
    signal_noise_std: Float[Array, ""] = eqx.field(converter=as_float, default=0.0)
    value_mean: Float[Array, ""] = eqx.field(converter=as_float, default=0.0)
    num_insiders: Int[Array, ""] = eqx.field(converter=as_int, default=1)
    signals: str = eqx.field(static=True, default="common")

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        check_shape(
            (),
            value_std=self.value_std,
            noise_std=self.noise_std,
            signal_noise_std=self.signal_noise_std,
            value_mean=self.value_mean,
            num_insiders=self.num_insiders,
        )

    @classmethod
    def validate(
        cls,
        *,
        value_std: Any,
        noise_std: Any,
        signal_noise_std: Any = 0.0,
        value_mean: Any = 0.0,
        num_insiders: Any = 1,
        signals: Any = "common",
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        if signals not in SIGNALS:
            rule = "be " + " or ".join(repr(name) for name in SIGNALS)
            raise InadmissibleError("signals", rule, signals)
        check_nonnegative(value_std=value_std)
        _check_noise(value_std=value_std, noise_std=noise_std)
        if np.asarray(signal_noise_std).dtype.kind not in "iuf":
            check_real(signal_noise_std=signal_noise_std)
        check("be at least 0", lambda x: x >= 0, signal_noise_std=signal_noise_std)
        check_real(value_mean=value_mean)
        check_integer(num_insiders=num_insiders, at_least=1)

    @property
    def is_certain(self) -> Bool[Array, ""]:
        """Whether insiders know nothing that the dealer does not."""
        return (self.value_std == 0) | jnp.isinf(self.signal_noise_std)

    def admitted(self) -> tuple["Kyle", Bool[Array, ""]]:
        """Return an instance that can be computed with, and whether it is this one.

        The instance has a standard deviation of 1 where insiders know nothing.
        """
        is_valid = (
            _is_admitted(self.value_std, self.noise_std, self.num_insiders)
            & (self.signal_noise_std >= 0)
            & jnp.isfinite(self.value_mean)
        )
        is_usual = is_valid & ~self.is_certain
        return _replaced_unless(is_usual, self), is_valid

    def signal_moments(self) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Return variance of a signal and covariance of two insiders' signals."""
        variance = self.value_std**2 + self.signal_noise_std**2
        return variance, variance if self.signals == "common" else self.value_std**2

    def flow_moments(
        self, intensity: Float[Array, ""]
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Return covariance of value and flow, and variance of flow.

        Args:
            intensity: shares that each insider buys per unit of its signal above the
                mean.
        """
        count = self.num_insiders.astype(intensity.dtype)
        variance, covariance = self.signal_moments()
        informed = count * variance + count * (count - 1) * covariance
        with_value = count * intensity * self.value_std**2
        return with_value, intensity**2 * informed + self.noise_std**2

    def best_intensity(
        self, price_impact: Float[Array, ""], intensity: Float[Array, ""]
    ) -> Float[Array, ""]:
        """Return an insider's best intensity against a pricing rule and the others.

        Expected values and others' flow are linear in what an insider sees, so no other
        order does better, linear in the signal or not.

        Args:
            price_impact: price per share of flow.
            intensity: that of the other insiders.
        """
        others = (self.num_insiders - 1).astype(intensity.dtype)
        variance, covariance = self.signal_moments()
        residual = self.value_std**2 - price_impact * others * intensity * covariance
        return residual / (2 * price_impact * variance)


class KyleSequential(AbstractProblem):
    """Auctions in sequence between insiders who know the value, noise and a dealer.

    Auction n takes `step_lengths[n]` of time and draws noise of variance `noise_std**2`
    times that. Give `step_lengths`, or `num_auctions` equal steps over a total time of
    1 (Kyle 1985, section 3; several insiders: Holden & Subrahmanyam 1992).

    Attributes:
        value_std: standard deviation of the value, at least 0, price, shape ().
        noise_std: of noise traders' flow per unit of time, greater than 0 unless the
            value is certain, shares/sqrt(time), shape ().
        num_insiders: M, at least 1, shape ().
        value_mean: expected value, price, shape ().
        num_auctions: N, at least 1 (static).
        step_lengths: durations, greater than 0, time, shape (auctions,).

    Raises:
        ValueError: if a number is inadmissible.
    """

    value_std: Float[Array, ""] = eqx.field(converter=as_float)
    noise_std: Float[Array, ""] = eqx.field(converter=as_float)
    num_insiders: Int[Array, ""] = eqx.field(converter=as_int, default=1)
    value_mean: Float[Array, ""] = eqx.field(converter=as_float, default=0.0)
    num_auctions: int | None = eqx.field(static=True, default=None)
    step_lengths: Float[Array, " auctions"] | None = eqx.field(
        converter=as_optional_float, default=None
    )

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        check_shape(
            (),
            value_std=self.value_std,
            noise_std=self.noise_std,
            num_insiders=self.num_insiders,
            value_mean=self.value_mean,
        )
        _check_one_of(self.num_auctions, self.step_lengths)
        if self.step_lengths is not None:
            check_shape((None,), step_lengths=self.step_lengths)

    @classmethod
    def validate(
        cls,
        *,
        value_std: Any,
        noise_std: Any,
        num_insiders: Any = 1,
        value_mean: Any = 0.0,
        num_auctions: Any = None,
        step_lengths: Any = None,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_nonnegative(value_std=value_std)
        _check_noise(value_std=value_std, noise_std=noise_std)
        check_integer(num_insiders=num_insiders, at_least=1)
        check_real(value_mean=value_mean)
        _check_one_of(num_auctions, step_lengths)
        if num_auctions is not None:
            check_static(num_auctions=num_auctions)
            check_integer(num_auctions=num_auctions, at_least=1)
            return
        if np.ndim(step_lengths) < 1 or np.shape(step_lengths)[-1] < 1:
            rule = "hold at least one duration"
            raise InadmissibleError("step_lengths", rule, step_lengths)
        check_positive(ndim=1, step_lengths=step_lengths)

    @property
    def durations(self) -> Float[Array, " auctions"]:
        """Lengths of all auctions, shape (auctions,)."""
        if self.step_lengths is not None:
            return self.step_lengths
        assert self.num_auctions is not None
        number = self.num_auctions
        return jnp.full(number, 1 / number, self.value_std.dtype)

    @property
    def is_certain(self) -> Bool[Array, ""]:
        """Whether insiders know nothing that the dealer does not."""
        return self.value_std == 0

    def admitted(self) -> tuple["KyleSequential", Bool[Array, ""]]:
        """Return an instance that can be computed with, and whether it is this one.

        The instance has a standard deviation of 1 where insiders know nothing.
        """
        is_valid = _is_admitted(self.value_std, self.noise_std, self.num_insiders)
        is_valid &= jnp.isfinite(self.value_mean)
        steps = self.step_lengths
        if steps is not None:
            is_valid &= ((steps > 0) & jnp.isfinite(steps)).all()
        return _replaced_unless(is_valid & ~self.is_certain, self), is_valid


def _replaced_unless(is_usual, problem):
    """Return the problem, or one of the same shapes with all numbers 1."""
    names = [
        name
        for name, value in vars(problem).items()
        if isinstance(value, jax.Array) and name != "num_insiders"
    ]
    safe = {n: jnp.where(is_usual, getattr(problem, n), 1) for n in names}
    count = problem.num_insiders
    return replace_fields(
        problem, **safe, num_insiders=jnp.where(is_usual, count, 1).astype(count.dtype)
    )


def _is_admitted(value_std, noise_std, num_insiders):
    is_noisy = (noise_std > 0) | ((noise_std == 0) & (value_std == 0))
    is_finite = jnp.isfinite(value_std) & jnp.isfinite(noise_std)
    return is_finite & (value_std >= 0) & is_noisy & (num_insiders >= 1)


def _check_noise(*, value_std: Any, noise_std: Any) -> None:
    """Require noise wherever there is something to hide."""
    check_nonnegative(noise_std=noise_std)
    is_certain = np.asarray(value_std) == 0
    shape = np.broadcast_shapes(np.shape(noise_std), is_certain.shape)
    check(
        "be greater than 0 unless value_std is 0 (without noise the flow gives the"
        " value away, and no linear equilibrium exists)",
        lambda x: np.logical_or(x > 0, is_certain),
        noise_std=np.broadcast_to(noise_std, shape),
    )


def _check_one_of(num_auctions: Any, step_lengths: Any) -> None:
    if num_auctions is None and step_lengths is None:
        rule = "be given, or else step_lengths"
        raise InadmissibleError("num_auctions", rule, num_auctions)
    if num_auctions is not None and step_lengths is not None:
        rule = "be left out where step_lengths are given"
        raise InadmissibleError("num_auctions", rule, num_auctions)
