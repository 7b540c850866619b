"""Competitive trading in whole lots over discrete steps (Kearns & Shi 2025)."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from gtrade._arrays import as_float, as_int
from gtrade._checks import (
    InadmissibleError,
    check,
    check_integer,
    check_nonnegative,
    check_shape,
    check_static,
)
from gtrade.numerics.precision import integer_dtype_for, widen
from gtrade.problems.base import AbstractProblem


class TradingGame(AbstractProblem):
    """Players reach targets in whole lots while they move the price for one another.

    In every step each player buys a whole number of shares (negative: sells) at a
    price that has moved by the step's net flow (temporary impact, coefficient one) and
    by `permanent_impact` times the net position built before the step (Kearns & Shi
    2025, arXiv 2502.07606, section 2). Costs are minimised.

    Attributes:
        targets: shares that each player ends with, negative for short, shape
            (players,).
        permanent_impact: kappa, permanent relative to temporary impact, shape ().
        horizon: number of steps T (static).
        min_trade: fewest shares a player trades in a step (static; negative: sells).
        max_trade: most shares a player trades in a step (static).

    Raises:
        ValueError: if a target cannot be reached within the trade limits, or a number
            is inadmissible.
    """

    targets: Int[Array, " players"] = eqx.field(converter=as_int)
    permanent_impact: Float[Array, ""] = eqx.field(converter=as_float)
    horizon: int = eqx.field(static=True)
    min_trade: int = eqx.field(static=True)
    max_trade: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        check_shape((None,), targets=self.targets)
        check_shape((), permanent_impact=self.permanent_impact)

    @classmethod
    def validate(
        cls,
        *,
        targets: Any,
        permanent_impact: Any,
        horizon: Any,
        min_trade: Any,
        max_trade: Any,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_static(horizon=horizon, min_trade=min_trade, max_trade=max_trade)
        check_integer(horizon=horizon, at_least=1)
        check_integer(min_trade=min_trade)
        check_integer(max_trade=max_trade)
        if min_trade > max_trade:
            rule = f"be at least min_trade = {min_trade}"
            raise InadmissibleError("max_trade", rule, max_trade)
        low, high = int(min_trade), int(max_trade)
        if int(horizon) * max(abs(low), abs(high), high - low) >= 2**31:
            rule = (
                "keep horizon times trades, and times the range from min_trade to"
                f" max_trade, below 2^31 (horizon = {horizon}, min_trade = {min_trade})"
            )
            raise InadmissibleError("max_trade", rule, max_trade)
        check_integer(targets=targets, ndim=1)
        if np.ndim(targets) < 1 or np.shape(targets)[-1] < 1:
            raise InadmissibleError("targets", "name at least one player", targets)
        low, high = int(horizon) * low, int(horizon) * high
        rule = (
            f"lie in [{low}, {high}], what {horizon} trades in"
            f" [{min_trade}, {max_trade}] can reach"
        )
        check(rule, lambda v: (v >= low) & (v <= high), ndim=1, targets=targets)
        check_nonnegative(permanent_impact=permanent_impact)

    @property
    def num_players(self) -> int:
        """Number of players n."""
        return self.targets.shape[-1]

    @property
    def own_cost_weight(self) -> Float[Array, ""]:
        """Weight of sum a_t^2 in a player's own cost: 1 - kappa/2 (separability)."""
        return 1 - self.permanent_impact / 2

    def price_pressure(
        self, flow: Shaped[Array, "*batch horizon"]
    ) -> Float[Array, "*batch horizon"]:
        """Return M flow: what a unit bought at each step pays for this flow.

        Args:
            flow: shares bought per step, shape (..., horizon); whole or fractional.

        Returns:
            `flow_t + kappa * sum_{s<t} flow_s`, same shape, price units.
        """
        flow = widen(flow)
        before = holdings_before(flow)  # exact for integers
        dtype = self.permanent_impact.dtype
        return flow.astype(dtype) + self.permanent_impact * before.astype(dtype)

    def costs(
        self, profile: Shaped[Array, "players horizon"]
    ) -> Float[Array, " players"]:
        """Return every player's cost of a profile, shape (players,)."""
        profile = widen(profile)
        pressure = self.price_pressure(profile.sum(axis=0))
        return (profile.astype(pressure.dtype) * pressure[None]).sum(axis=-1)

    def temporary_costs(
        self, profile: Shaped[Array, "players horizon"]
    ) -> Shaped[Array, " players"]:
        """Return c_temp of every player: own flow against the step's net flow."""
        profile = self._whole(profile)
        flow = profile.sum(axis=0, dtype=profile.dtype)
        return (profile * flow[None]).sum(axis=-1)

    def permanent_costs(
        self, profile: Shaped[Array, "players horizon"]
    ) -> Shaped[Array, " players"]:
        """Return c_perm of every player: own flow against the position before."""
        profile = self._whole(profile)
        flow = profile.sum(axis=0, dtype=profile.dtype)
        return (profile * holdings_before(flow)[None]).sum(axis=-1)

    def averaged_permanent_costs(
        self, profile: Shaped[Array, "players horizon"]
    ) -> Float[Array, " players"]:
        """Return c_perm with the position averaged over the step (KS25 Lemma 4.7).

        Summed over players it is half the squared sum of targets for every profile.
        """
        dtype = self.permanent_impact.dtype
        permanent = self.permanent_costs(profile).astype(dtype)
        return permanent + self.temporary_costs(profile).astype(dtype) / 2

    def potential(self, profile: Shaped[Array, "players horizon"]) -> Shaped[Array, ""]:
        """Return the exact potential of the game at kappa = 0 (Monderer & Shapley).

        `sum_t sum_i a_it sum_{j>=i} a_jt`, shape (), in squared shares.
        """
        profile = self._whole(profile)
        flow = profile.sum(axis=0, dtype=profile.dtype)
        # Pairs i <= j: every ordered pair and the diagonal once more, halved.
        doubled = (flow * flow).sum() + (profile * profile).sum()
        is_whole = jnp.issubdtype(doubled.dtype, jnp.integer)
        return doubled // 2 if is_whole else doubled / 2

    def _whole(self, profile: Shaped[Array, "players horizon"]) -> Array:
        """Widen a profile so that sums of products of its trades cannot wrap."""
        profile = widen(profile)
        largest = max(abs(self.min_trade), abs(self.max_trade))
        bound = 2 * (self.num_players * self.horizon * largest) ** 2
        if jnp.issubdtype(profile.dtype, jnp.integer):
            profile = profile.astype(integer_dtype_for(bound, "a cost in whole shares"))
        return profile

    def welfare(self, profile: Shaped[Array, "players horizon"]) -> Float[Array, ""]:
        """Return the total cost (lower is better), shape ().

        By the welfare identity it is (1-kappa/2) |sum_i a_i|^2 + kappa/2 (sum V)^2.
        """
        return self.costs(profile).sum()


def holdings_before(flow: Shaped[Array, "*batch horizon"]) -> Shaped[Array, "..."]:
    """Return the position built before each step: the strict prefix sums of a flow."""
    return jnp.cumsum(flow, axis=-1, dtype=flow.dtype) - flow
