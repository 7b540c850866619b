"""Samplers with known laws."""

from collections.abc import Callable

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from gtrade._arrays import as_float
from gtrade.numerics.counter_random import normals, uniforms
from gtrade.simulation.samplers import AbstractSampler


class Shifted(AbstractSampler):
    """A normal number and a few others made of it and of a second one."""

    mean: Float[Array, ""] = eqx.field(converter=as_float, default=0.0)
    std: Float[Array, ""] = eqx.field(converter=as_float, default=1.0)

    def draw(self, key, paths):
        return normals(key, paths, 2, self.mean.dtype)

    def outcomes(self, shocks):
        x = self.mean + self.std * shocks[0]
        y = 3 + 0.5 * x - 2 * shocks[1]
        factors = jnp.array([1.0, -2.0, 0.0], x.dtype)[:, None]
        return {
            "x": x,
            "y": y,
            "exponential": jnp.exp(0.5 * shocks[1]),
            "rows": factors * x[None],
            "constant": jnp.full_like(x, 0.1),
        }


class Made(AbstractSampler):
    """What a function makes of one uniform number."""

    function: Callable = eqx.field(static=True)

    def draw(self, key, paths):
        return uniforms(key, paths, 1, jnp.result_type(float))

    def outcomes(self, shocks):
        return {"x": self.function(shocks[0])}
