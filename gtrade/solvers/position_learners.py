"""Learners of positions: gradient play, mirror descent, averaging, perturbed leaders.

A type's cost at prices p is |v|^2 + <p, v> in its rates v, so its gradient is 2 v + p.
All rules take their steps by each type's own count of rounds, since a rare type hears
less. Steps c / count suit a game that is strongly monotone: see the model's page.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gtrade._arrays import as_float
from gtrade._checks import check_nonnegative, check_positive
from gtrade.solvers.position_rounds import (
    AbstractPositionLearner,
    Rates,
    centre,
    check_learner,
    check_rounds,
)


class StochasticGradientPlay(AbstractPositionLearner):
    """Every type descends its own cost along the gradient of the round just played.

    Steps are step_constant / (count + step_offset), projected onto rates that meet the
    target.

    Attributes:
        step_constant: c, shape ().
        step_offset: rounds by which every count is ahead, which tames the first steps
            where permanent impact is large, shape ().
        num_rounds: as in `AbstractPositionLearner` (static).
        num_points: likewise.
        start: likewise.
    """

    step_constant: Float[Array, ""] = eqx.field(converter=as_float, default=1.0)
    step_offset: Float[Array, ""] = eqx.field(converter=as_float, default=0.0)
    num_rounds: int = eqx.field(static=True, default=4000)
    num_points: int = eqx.field(static=True, default=33)
    start: str = eqx.field(static=True, default="even")

    def __check_init__(self) -> None:
        """Check shapes, and values where they are concrete."""
        check_learner(
            self, step_constant=self.step_constant, step_offset=self.step_offset
        )

    @classmethod
    def validate(
        cls,
        *,
        step_constant: Any = 1.0,
        step_offset: Any = 0.0,
        num_rounds: Any = 4000,
        num_points: Any = 33,
        start: Any = "even",
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_positive(step_constant=step_constant)
        check_nonnegative(step_offset=step_offset)
        check_rounds(num_rounds, num_points, start)

    def init(self, targets: Float[Array, " types"], normal: Rates) -> Rates:
        return scattered(targets, normal)

    def rates(self, targets: Any, state: Rates, visits: Any, key: Any) -> Rates:
        del targets, visits, key
        return state

    def update(
        self, targets: Any, state: Rates, visits: Any, rates: Rates, prices: Rates
    ) -> Rates:
        del targets, rates
        step = self.step_constant.astype(state.dtype) / (
            visits + self.step_offset.astype(state.dtype)
        )
        return state - step[:, None] * centre(2 * state + prices)


class MirrorDescent(AbstractPositionLearner):
    """The same with the entropy in place of the square: rates keep the target's sign.

    Shares of the target are multiplied by exp(-step gradient / target) and scaled to
    sum to one. It finds the equilibrium only where nobody ever trades against its
    own target there.

    Attributes:
        step_constant: c, shape ().
        step_offset: as in `StochasticGradientPlay`, shape ().
        num_rounds: as in `AbstractPositionLearner` (static).
        num_points: likewise.
        start: likewise.
    """

    step_constant: Float[Array, ""] = eqx.field(converter=as_float, default=1.0)
    step_offset: Float[Array, ""] = eqx.field(converter=as_float, default=0.0)
    num_rounds: int = eqx.field(static=True, default=4000)
    num_points: int = eqx.field(static=True, default=33)
    start: str = eqx.field(static=True, default="even")

    def __check_init__(self) -> None:
        """Check shapes, and values where they are concrete."""
        check_learner(
            self, step_constant=self.step_constant, step_offset=self.step_offset
        )

    @classmethod
    def validate(
        cls,
        *,
        step_constant: Any = 1.0,
        step_offset: Any = 0.0,
        num_rounds: Any = 4000,
        num_points: Any = 33,
        start: Any = "even",
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_positive(step_constant=step_constant)
        check_nonnegative(step_offset=step_offset)
        check_rounds(num_rounds, num_points, start)

    def init(self, targets: Any, normal: Rates) -> Rates:
        del targets
        return normal

    def rates(
        self, targets: Float[Array, " types"], state: Rates, visits: Any, key: Any
    ) -> Rates:
        del visits, key
        return targets[:, None] * jax.nn.softmax(state, axis=1) * state.shape[1]

    def update(
        self,
        targets: Float[Array, " types"],
        state: Rates,
        visits: Any,
        rates: Rates,
        prices: Rates,
    ) -> Rates:
        step = self.step_constant.astype(state.dtype) / (
            visits + self.step_offset.astype(state.dtype)
        )
        step = jnp.where(targets == 0, 0, step / jnp.where(targets == 0, 1, targets))
        return state - step[:, None] * centre(2 * rates + prices)


class _Sum(eqx.Module):
    first: Rates
    total: Rates


class DualAveraging(AbstractPositionLearner):
    """The regularised leader of all gradients: v = start - c / sqrt(count) * their sum.

    It needs no curvature; where there is some, its running average does better than
    its last iterate.

    Attributes:
        step_constant: c, shape ().
        num_rounds: as in `AbstractPositionLearner` (static).
        num_points: likewise.
        start: likewise.
    """

    step_constant: Float[Array, ""] = eqx.field(converter=as_float, default=0.25)
    num_rounds: int = eqx.field(static=True, default=4000)
    num_points: int = eqx.field(static=True, default=33)
    start: str = eqx.field(static=True, default="even")

    def __check_init__(self) -> None:
        """Check shapes, and values where they are concrete."""
        check_learner(self, step_constant=self.step_constant)

    @classmethod
    def validate(
        cls,
        *,
        step_constant: Any = 0.25,
        num_rounds: Any = 4000,
        num_points: Any = 33,
        start: Any = "even",
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_positive(step_constant=step_constant)
        check_rounds(num_rounds, num_points, start)

    def init(self, targets: Float[Array, " types"], normal: Rates) -> _Sum:
        return _Sum(scattered(targets, normal), jnp.zeros_like(normal))

    def rates(
        self, targets: Any, state: _Sum, visits: Float[Array, " types"], key: Any
    ) -> Rates:
        del targets, key
        weight = self.step_constant.astype(visits.dtype)
        weight = weight / jnp.sqrt(jnp.maximum(visits, 1))
        return state.first - weight[:, None] * state.total

    def update(
        self, targets: Any, state: _Sum, visits: Any, rates: Rates, prices: Rates
    ) -> _Sum:
        del targets, visits
        return _Sum(state.first, state.total + centre(2 * rates + prices))


class PerturbedLeader(AbstractPositionLearner):
    """Composite FTPL with divisible lots: the leader of past prices, perturbed.

    Noise falls on the sum of past prices only; the own cost is known exactly and
    counts the coming round too. The leader is then a projection, since own costs are
    quadratic. Without noise this is gradient play with c = 1/2 and an offset of 1.

    Attributes:
        noise: perturbations are uniform on [0, noise], cost per share, shape ().
        num_rounds: as in `AbstractPositionLearner` (static).
        num_points: likewise.
        start: likewise; beliefs about prices that lead to such rates.
    """

    noise: Float[Array, ""] = eqx.field(converter=as_float, default=1.0)
    num_rounds: int = eqx.field(static=True, default=4000)
    num_points: int = eqx.field(static=True, default=33)
    start: str = eqx.field(static=True, default="even")

    def __check_init__(self) -> None:
        """Check shapes, and values where they are concrete."""
        check_learner(self, noise=self.noise)

    @classmethod
    def validate(
        cls,
        *,
        noise: Any = 1.0,
        num_rounds: Any = 4000,
        num_points: Any = 33,
        start: Any = "even",
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_nonnegative(noise=noise)
        check_rounds(num_rounds, num_points, start)

    def init(self, targets: Float[Array, " types"], normal: Rates) -> Rates:
        return -2 * (scattered(targets, normal) - targets[:, None])

    def rates(
        self,
        targets: Float[Array, " types"],
        state: Rates,
        visits: Float[Array, " types"],
        key: Any,
    ) -> Rates:
        noise = jax.random.uniform(key, state.shape, state.dtype)
        history = state + self.noise.astype(state.dtype) * noise
        return targets[:, None] - centre(history) / (2 * (visits[:, None] + 1))

    def update(
        self, targets: Any, state: Rates, visits: Any, rates: Rates, prices: Rates
    ) -> Rates:
        del targets, visits, rates
        return state + centre(prices)


def scattered(targets: Float[Array, " types"], normal: Rates) -> Rates:
    """Return rates that meet the targets, as far from even as the largest target."""
    return targets[:, None] + jnp.max(jnp.abs(targets)) * centre(normal)
