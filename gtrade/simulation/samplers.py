"""What is simulated: random outcomes of one path after another."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, UInt32

Outcomes = dict[str, Float[Array, "*shape paths"]]


class AbstractSampler(eqx.Module):
    """Draws shocks, and turns shocks into outcomes.

    The two are apart so that shocks can be shared, mirrored, or fed in from elsewhere.
    """

    @abc.abstractmethod
    def draw(self, key: PRNGKeyArray, paths: UInt32[Array, " paths"]) -> Any:
        """Return the shocks of these paths, a pytree with the paths' axis last.

        The shocks of a path depend on the key and its number alone
        (`gtrade.numerics.counter_random`).

        Args:
            key: one key for all paths.
            paths: numbers of the paths.
        """

    @abc.abstractmethod
    def outcomes(self, shocks: Any) -> Outcomes:
        """Return what happens under shocks, by name: arrays with paths last."""

    @property
    def numbers_per_path(self) -> int:
        """Numbers that a path keeps in memory while it is computed, roughly."""
        return 16

    def mirrored(self, shocks: Any) -> Any:
        """Return shocks that are as likely and move the opposite way; for normals."""
        return jax.tree.map(jnp.negative, shocks)


class Antithetic(AbstractSampler):
    """Means over a path and its mirror image: one draw, two paths.

    Outcomes that are odd in the shocks have no variance left.
    """

    sampler: AbstractSampler

    def draw(self, key: PRNGKeyArray, paths: UInt32[Array, " paths"]) -> Any:
        return self.sampler.draw(key, paths)

    def outcomes(self, shocks: Any) -> Outcomes:
        there = self.sampler.outcomes(shocks)
        back = self.sampler.outcomes(self.sampler.mirrored(shocks))
        return jax.tree.map(lambda x, y: (x + y) / 2, there, back)

    @property
    def numbers_per_path(self) -> int:
        return 2 * self.sampler.numbers_per_path


class Difference(AbstractSampler):
    """Outcomes of one sampler minus those of another, under the same shocks.

    With common random numbers the standard error is that of the difference.

    Attributes:
        first: draws the shocks.
        second: takes shocks of the same form; only outcomes of both are compared.
    """

    first: AbstractSampler
    second: AbstractSampler

    def draw(self, key: PRNGKeyArray, paths: UInt32[Array, " paths"]) -> Any:
        return self.first.draw(key, paths)

    def outcomes(self, shocks: Any) -> Outcomes:
        one, other = self.first.outcomes(shocks), self.second.outcomes(shocks)
        return {name: x - other[name] for name, x in one.items() if name in other}

    @property
    def numbers_per_path(self) -> int:
        return self.first.numbers_per_path + self.second.numbers_per_path


def simulate(sampler: AbstractSampler, key: PRNGKeyArray, num_paths: int) -> Outcomes:
    """Return the outcomes of paths 0 to `num_paths` - 1, all in memory.

    Args:
        sampler: what to simulate.
        key: source of randomness.
        num_paths: how many (static).
    """
    return sampler.outcomes(sampler.draw(key, jnp.arange(num_paths, dtype=jnp.uint32)))
