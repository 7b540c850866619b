"""The push of a total rate on prices, and the rate that has a given push.

With g(y) = N h(y) + y h'(y) and a >= 0 a total rate y pushes by r = g(y) + a y. Among
logarithms this is a smooth increasing function whose slope stays between 1 and the
exponent of h, however steep or flat h itself is at zero. Newton's method there needs a
few steps from anywhere, where a bisection of y takes 64; and as r is computed anew from
the rate found, an error of that rate is no error of the caller's conditions.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from gtrade.problems.power_law_position import PowerLawPosition


class Pushed(NamedTuple):
    """Rates, with what they push.

    Attributes:
        sign: of the rate, shape (*shape).
        log_rate: logarithm of its size, which itself may be too small for a float.
        rate: y.
        log_push: logarithm of the size of r.
        pushed: r.
        steepness: slope of `log_push` in `log_rate`.
    """

    sign: Float[Array, "*shape"]
    log_rate: Float[Array, "*shape"]
    rate: Float[Array, "*shape"]
    log_push: Float[Array, "*shape"]
    pushed: Float[Array, "*shape"]
    steepness: Float[Array, "*shape"]

    @property
    def gain(self) -> Float[Array, "*shape"]:
        """Return the slope of the rate in the push."""
        return self.rate / (self.pushed * self.steepness)


class Push(NamedTuple):
    """The map from rates to pushes.

    Attributes:
        game: one instance.
        linear: a >= 0, shape ().
    """

    game: PowerLawPosition
    linear: Float[Array, ""]

    def at(
        self, sign: Float[Array, "*shape"], log_rate: Float[Array, "*shape"]
    ) -> Pushed:
        """Return what rates push, given their signs and the logarithms of sizes."""
        p, e = self.game.exponent, self.game.smoothing
        count = self.game.num_firms
        size = jnp.exp(log_rate)
        square = jnp.maximum(size**2 + e**2, jnp.finfo(size.dtype).tiny)
        # Without smoothing the size may leave the range of floats, its power need not.
        is_sharp = e == 0
        share = jnp.where(is_sharp, 1, size**2 / square)
        log_square = jnp.where(is_sharp, 2 * log_rate, jnp.log(square))
        # h = y (y^2 + e^2)^((p - 1) / 2), y h' / h and y h'' / h'.
        power = jnp.exp(log_rate + (p - 1) / 2 * log_square)
        tilt = 1 + (p - 1) * share
        bend = (p - 1) * share * (p * share + 3 * (1 - share)) / tilt
        curved, straight = (count + tilt) * power, self.linear * size
        rise = (count + 1 + bend) * tilt * power
        push = curved + straight
        return Pushed(
            sign=jnp.broadcast_to(sign, size.shape),
            log_rate=log_rate,
            rate=sign * size,
            log_push=jnp.log(push),
            pushed=sign * push,
            steepness=(rise + straight) / push,
        )

    def move(self, now: Pushed, pushed: Float[Array, "*shape"]) -> Pushed:
        """Return rates whose push is close to `pushed`, the closer `now` already is."""
        sign = jnp.where(pushed < 0, -1, 1).astype(pushed.dtype)
        tiny = jnp.finfo(pushed.dtype).tiny
        wanted = jnp.log(jnp.maximum(jnp.abs(pushed), tiny))
        low, high = self._bracket(wanted)
        near = now.log_rate + (wanted - now.log_push) / now.steepness
        log_rate = jnp.clip(jnp.where(sign == now.sign, near, high), low, high)
        # The step above was free, for all that it needs was known. One more leaves a
        # tenth in places far away, and rounding close to the end of a solve.
        here = self.at(sign, log_rate)
        log_rate = log_rate + (wanted - here.log_push) / here.steepness
        log_rate = jnp.clip(log_rate, low, high)
        return self.at(sign, log_rate)

    def _bracket(self, wanted: Array) -> tuple[Array, Array]:
        """Return bounds of log y for given log r: each term's own, and half of it."""
        p, e = self.game.exponent, self.game.smoothing
        dtype, count = wanted.dtype, self.game.num_firms
        # With m = max(y, e) the sum y^2 + e^2 is between m^2 and 2 m^2.
        off = jnp.where(e == 0, 0, (p - 1) / 2 * jnp.log(2.0).astype(dtype))
        of_h = jnp.log(count + p), jnp.log(count + jnp.where(e == 0, p, 1))
        least = jnp.minimum(*of_h) + jnp.minimum(off, 0)
        most = jnp.maximum(*of_h) + jnp.maximum(off, 0)
        edge = jnp.log(e)  # -inf without smoothing

        def curved(log_h: Array) -> Array:
            """Return log y where y m^(p - 1) is given."""
            is_large = log_h >= p * edge
            return jnp.where(
                is_large, log_h / p, log_h - (p - 1) * jnp.where(is_large, 0, edge)
            )

        straight = wanted - jnp.log(self.linear)
        half = jnp.log(2.0).astype(dtype)
        high = jnp.minimum(curved(wanted - least), straight)
        low = jnp.minimum(curved(wanted - half - most), straight - half)
        # Pushes stay in the range of floats; so do rates where these are alike.
        floor = jnp.log(jnp.finfo(dtype).tiny) / 2
        floor = floor / jnp.where(e == 0, jnp.minimum(p, 1), 1)
        return jnp.maximum(low, floor), jnp.maximum(high, floor)
