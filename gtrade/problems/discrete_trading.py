"""Competitive trading in whole lots over discrete steps (Kearns & Shi 2025)."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from gtrade._arrays import as_float, as_int, as_optional_float
from gtrade._checks import (
    InadmissibleError,
    check,
    check_integer,
    check_nonnegative,
    check_positive,
    check_shape,
    check_static,
)
from gtrade.numerics.precision import integer_dtype_for, widen
from gtrade.problems.base import AbstractProblem, replace_fields
from gtrade.problems.general_costs import as_limit, general_arguments, limits_per_step


class TradingGame(AbstractProblem):
    """Players reach targets in whole lots while they move the price for one another.

    In every step each player buys a whole number of shares (negative: sells) at a
    price that has moved by the step's net flow (temporary impact, coefficient one) and
    by `permanent_impact` times the net position built before the step (Kearns & Shi
    2025, arXiv 2502.07606, section 2). Costs are minimised.

    The last two attributes and limits of single steps make a game *general*: solvers
    that rest on linear prices refuse it (docs, "General one-step costs").

    Attributes:
        targets: shares that each player ends with, negative for short, shape
            (players,).
        permanent_impact: kappa, permanent relative to temporary impact, shape ().
        horizon: number of steps T (static).
        min_trade: fewest shares a player trades in a step (static; negative: sells);
            one number, or a tuple of one per step (a list is converted).
        max_trade: most shares a player trades in a step, likewise.
        temporary_exponent: p > 0: a net flow s of the step moves its price by
            sign(s) |s|^p, shape (); None: linear.
        fixed_fee: cost of every step in which a player trades, at least 0, shape ();
            None: none.

    Raises:
        ValueError: if a target cannot be reached within the trade limits, or a number
            is inadmissible.
    """

    targets: Int[Array, " players"] = eqx.field(converter=as_int)
    permanent_impact: Float[Array, ""] = eqx.field(converter=as_float)
    horizon: int = eqx.field(static=True)
    min_trade: int | tuple[int, ...] = eqx.field(static=True)
    max_trade: int | tuple[int, ...] = eqx.field(static=True)
    temporary_exponent: Float[Array, ""] | None = eqx.field(
        converter=as_optional_float, default=None
    )
    fixed_fee: Float[Array, ""] | None = eqx.field(
        converter=as_optional_float, default=None
    )

    def __post_init__(self) -> None:
        """Store trade limits in one form, so that equal games compile once."""
        self.min_trade = as_limit(self.min_trade, self.horizon)
        self.max_trade = as_limit(self.max_trade, self.horizon)

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        check_shape((None,), targets=self.targets)
        check_shape((), permanent_impact=self.permanent_impact)
        check_shape((), temporary_exponent=self.temporary_exponent)
        check_shape((), fixed_fee=self.fixed_fee)

    @classmethod
    def validate(
        cls,
        *,
        targets: Any,
        permanent_impact: Any,
        horizon: Any,
        min_trade: Any,
        max_trade: Any,
        temporary_exponent: Any = None,
        fixed_fee: Any = None,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_static(horizon=horizon)
        check_integer(horizon=horizon, at_least=1)
        lows = limits_per_step(horizon, min_trade=min_trade)
        highs = limits_per_step(horizon, max_trade=max_trade)
        is_one_box = not (np.ndim(min_trade) or np.ndim(max_trade))
        if (lows > highs).any():
            rule = f"be at least min_trade = {min_trade}"
            if not is_one_box:
                rule = "be at least min_trade in every step"
            raise InadmissibleError("max_trade", rule, max_trade)
        low, high = int(lows.min()), int(highs.max())
        if int(horizon) * max(abs(low), abs(high), high - low) >= 2**31:
            rule = (
                "keep horizon times trades, and times the range from min_trade to"
                f" max_trade, below 2^31 (horizon = {horizon}, min_trade = {low})"
            )
            raise InadmissibleError("max_trade", rule, max_trade)
        check_integer(targets=targets, ndim=1)
        if np.ndim(targets) < 1 or np.shape(targets)[-1] < 1:
            raise InadmissibleError("targets", "name at least one player", targets)
        box = f"in [{min_trade}, {max_trade}]" if is_one_box else "within the limits"
        low, high = int(lows.sum()), int(highs.sum())
        rule = f"lie in [{low}, {high}], what {horizon} trades {box} can reach"
        check(rule, lambda v: (v >= low) & (v <= high), ndim=1, targets=targets)
        check_nonnegative(permanent_impact=permanent_impact)
        if temporary_exponent is not None:
            check_positive(temporary_exponent=temporary_exponent)
        if fixed_fee is not None:
            check_nonnegative(fixed_fee=fixed_fee)

    @property
    def num_players(self) -> int:
        """Number of players n."""
        return self.targets.shape[-1]

    @property
    def is_general(self) -> bool:
        """Whether costs or limits go beyond linear prices in one box (static)."""
        return bool(general_arguments(vars(self)))

    @property
    def lowest_trade(self) -> int:
        """Fewest shares that a player may trade in any step."""
        low = self.min_trade
        return min(low) if isinstance(low, tuple) else low

    @property
    def highest_trade(self) -> int:
        """Most shares that a player may trade in any step."""
        high = self.max_trade
        return max(high) if isinstance(high, tuple) else high

    @property
    def largest_trade(self) -> int:
        """Most shares that a player may trade in any step, either way."""
        return max(abs(self.lowest_trade), abs(self.highest_trade))

    @property
    def trade_bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Fewest and most shares of each step, two int32 arrays of shape (horizon,)."""
        return (
            np.full(self.horizon, self.min_trade, np.int32),
            np.full(self.horizon, self.max_trade, np.int32),
        )

    @property
    def allowed_trades(self) -> np.ndarray:
        """Whether a step allows the trade lowest_trade + k, shape (horizon, K)."""
        trades = np.arange(self.lowest_trade, self.highest_trade + 1)
        lows, highs = self.trade_bounds
        return (trades >= lows[:, None]) & (trades <= highs[:, None])

    def admitted(self) -> tuple["TradingGame", Bool[Array, ""]]:
        """Replace what `validate` would refuse, where numbers are traced.

        A lane of a batch with inadmissible numbers must not hang a search or disturb
        its neighbours: solvers play the replacement and report `invalid_input`.

        Returns:
            A game with targets within reach (int32) and admissible numbers, and whether
            this game was admissible to begin with, shape ().
        """
        lows, highs = self.trade_bounds
        # Columns of targets are 64-bit where they are traced.
        least = np.asarray(lows.sum(), self.targets.dtype)
        most = np.asarray(highs.sum(), self.targets.dtype)
        targets = jnp.clip(self.targets, least, most)
        is_good = (targets == self.targets).all()
        numbers: dict[str, Any] = {"targets": targets.astype(jnp.int32)}
        for name in ("permanent_impact", "temporary_exponent", "fixed_fee"):
            number = getattr(self, name)
            if number is None:
                continue
            is_above = number > 0 if name == "temporary_exponent" else number >= 0
            is_admissible = jnp.isfinite(number) & is_above
            numbers[name] = jnp.where(is_admissible, number, 1)
            is_good &= is_admissible
        return replace_fields(self, **numbers), is_good

    @property
    def own_cost_weight(self) -> Float[Array, ""]:
        """Weight of sum a_t^2 in a player's own cost: 1 - kappa/2 (separability).

        With linear prices; see `own_constant` for what remains of it in general.
        """
        return 1 - self.permanent_impact / 2

    def own_constant(self, target: Int[Array, ""]) -> Float[Array, ""]:
        """Return kappa V^2 / 2, the part of a player's cost that its target fixes."""
        target = jnp.asarray(target).astype(self.permanent_impact.dtype)
        return self.permanent_impact * target * target / 2

    def temporary_price(self, flow: Shaped[Array, "*batch"]) -> Float[Array, "*batch"]:
        """Return how far net flows of a step move its price: sign(s) |s|^p."""
        flow = jnp.asarray(flow).astype(self.permanent_impact.dtype)
        if self.temporary_exponent is None:
            return flow
        return jnp.sign(flow) * jnp.abs(flow) ** self.temporary_exponent

    def price_pressure(
        self, flow: Shaped[Array, "*batch horizon"]
    ) -> Float[Array, "*batch horizon"]:
        """Return M flow: what a unit bought at each step pays for this flow.

        Args:
            flow: shares bought per step, shape (..., horizon); whole or fractional.

        Returns:
            `flow_t + kappa * sum_{s<t} flow_s`, same shape, price units, with
            `temporary_price(flow_t)` in a general game (where pressures do not add up).
        """
        flow = widen(flow)
        before = holdings_before(flow)  # exact for integers
        dtype = self.permanent_impact.dtype
        return self.temporary_price(flow) + self.permanent_impact * before.astype(dtype)

    def fees(self, schedule: Shaped[Array, "*batch horizon"]) -> Float[Array, "*batch"]:
        """Return the fixed fees of schedules: one for every step with a trade."""
        dtype = self.permanent_impact.dtype
        num_trades = (schedule != 0).sum(axis=-1, dtype=jnp.int32).astype(dtype)
        return num_trades * (0 if self.fixed_fee is None else self.fixed_fee)

    def costs(
        self, profile: Shaped[Array, "players horizon"]
    ) -> Float[Array, " players"]:
        """Return every player's cost of a profile, shape (players,)."""
        profile = widen(profile)
        pressure = self.price_pressure(profile.sum(axis=0))
        costs = (profile.astype(pressure.dtype) * pressure[None]).sum(axis=-1)
        return costs if self.fixed_fee is None else costs + self.fees(profile)

    def cost_matrix(
        self, own: Int[Array, "own horizon"], others: Int[Array, "others horizon"]
    ) -> Float[Array, "own others"]:
        """Return a player's cost of each of its schedules against each flow.

        Args:
            own: schedules of the player, shape (S, horizon).
            others: total flows of all others, shape (R, horizon).

        Returns:
            Costs, shape (S, R).
        """
        own, others = widen(own), widen(others)
        dtype = self.permanent_impact.dtype
        if self.temporary_exponent is None:
            pressure, alone = self.price_pressure(others), self.price_pressure(own)
        else:  # the permanent part is linear still
            kappa = self.permanent_impact
            pressure = kappa * holdings_before(others).astype(dtype)
            alone = kappa * holdings_before(own).astype(dtype)
        fixed = (own.astype(dtype) * alone).sum(axis=-1)
        if self.fixed_fee is not None:
            fixed = fixed + self.fees(own)
        costs = fixed[:, None] + jnp.matmul(
            own.astype(dtype), pressure.T, precision=jax.lax.Precision.HIGHEST
        )
        if self.temporary_exponent is None:
            return costs

        def add_step(total, flows):
            trade, flow = flows
            price = self.temporary_price(trade[:, None] + flow[None])
            return total + trade.astype(dtype)[:, None] * price, None

        return jax.lax.scan(add_step, costs, (own.T, others.T))[0]

    def expected_step_costs(
        self,
        others: Shaped[Array, "flows horizon"],
        weights: Float[Array, " flows"],
    ) -> Float[Array, "horizon trades"]:
        """Return what each trade of each step costs in expectation, holdings aside.

        A player's own permanent impact depends on its target and its trades' squares
        alone, `sum_t a_t A_{t-1} = (V^2 - sum_t a_t^2) / 2`, so that the expected cost
        of a schedule a is `sum_t table[t, a_t - lowest_trade] + own_constant(V)`.

        Args:
            others: total flows of all others, shape (R, horizon); fractional flows
                (means) are exact for linear prices only.
            weights: their probabilities, shape (R,); zero for padding.

        Returns:
            The table, shape (horizon, K), of trades lowest_trade + k; +inf where the
            step's limits forbid one.
        """
        others = widen(others)
        dtype = self.permanent_impact.dtype
        weights = weights.astype(dtype)

        def mean(flows):
            return jnp.matmul(
                weights, flows.astype(dtype), precision=jax.lax.Precision.HIGHEST
            )

        lowest, highest = self.lowest_trade, self.highest_trade
        whole = jnp.arange(lowest, highest + 1, dtype=jnp.int32)
        trades = whole.astype(dtype)[None]
        if self.temporary_exponent is None:
            price = trades + mean(others)[:, None]
        else:
            # A price that is not linear depends on more than the mean flow.
            def add_flow(total, weighted):
                weight, flow = weighted
                moved = whole.astype(flow.dtype)[None] + flow[:, None]
                return total + weight * self.temporary_price(moved), None

            zeros = jnp.zeros((self.horizon, highest - lowest + 1), dtype)
            price, _ = jax.lax.scan(add_flow, zeros, (weights, others))
        held = mean(holdings_before(others))[:, None]
        costs = trades * (price + self.permanent_impact * (held - trades / 2))
        if self.fixed_fee is not None:
            costs = costs + jnp.where(whole != 0, self.fixed_fee, 0)[None]
        return jnp.where(self.allowed_trades, costs, jnp.inf)

    def temporary_costs(
        self, profile: Shaped[Array, "players horizon"]
    ) -> Shaped[Array, " players"]:
        """Return c_temp of every player with linear prices, without fees.

        It is own flow against the step's net flow, whole for whole trades.
        """
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

        `sum_t sum_i a_it sum_{j>=i} a_jt`, shape (), in squared shares. Limits of
        single steps leave it one; fees and prices that are not linear do not.
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
        bound = 2 * (self.num_players * self.horizon * self.largest_trade) ** 2
        if jnp.issubdtype(profile.dtype, jnp.integer):
            profile = profile.astype(integer_dtype_for(bound, "a cost in whole shares"))
        return profile

    def welfare(self, profile: Shaped[Array, "players horizon"]) -> Float[Array, ""]:
        """Return the total cost (lower is better), shape ().

        With linear prices and without fees it is, by the welfare identity,
        (1-kappa/2) |sum_i a_i|^2 + kappa/2 (sum V)^2.
        """
        return self.costs(profile).sum()


def holdings_before(flow: Shaped[Array, "*batch horizon"]) -> Shaped[Array, "..."]:
    """Return the position built before each step: the strict prefix sums of a flow."""
    return jnp.cumsum(flow, axis=-1, dtype=flow.dtype) - flow
