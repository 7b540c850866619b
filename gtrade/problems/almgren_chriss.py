"""Selling (or buying) a block of shares: impact now against risk later."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gtrade._arrays import as_float, as_optional_float
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
from gtrade.problems.execution_checks import (
    LOT_TOLERANCE,
    check_convex,
    check_lots,
    check_room,
    lot_slack,
)


class AlmgrenChriss(AbstractProblem):
    """One trader executes `shares` over `horizon` in `num_periods` equal periods.

    With tau the length of a period, x_k the shares left after period k and
    `n_k = x_{k-1} - x_k` traded in it (Almgren & Chriss 2001, section 1; a sale of
    positive `shares`, a purchase of negative ones),

        S_k    = S_{k-1} + sigma sqrt(tau) xi_k - gamma n_k
        fill_k = S_{k-1} - epsilon sign(n_k) - sign(n_k) a_k |n_k|^p

    for independent standard normal xi_k. The implementation shortfall is
    `X S_0 - sum n_k fill_k`; its mean plus `risk_aversion` times its variance is to be
    minimised. Temporary impact `a_k = eta (tau w_k)^-p` is linear in the trading rate
    without `impact_exponent`, and w_k is one without a volume profile.

    Attributes:
        shares: X, shares to sell; negative to buy, shape ().
        horizon: T > 0, in the unit of time of `volatility`, shape ().
        num_periods: N (static).
        volatility: sigma >= 0, currency per share per square root of time, shape ().
        permanent_impact: gamma >= 0, currency per share squared, shape ().
        temporary_impact: eta > 0, currency * time^p / share^(1 + p), shape (); for
            p = 1 it must exceed `gamma tau w_k / 2`.
        fixed_cost: epsilon >= 0, currency per share, shape ().
        risk_aversion: lambda >= 0, 1 / currency, shape ().
        impact_exponent: p > 0, shape (); None: 1.
        max_participation: largest share of a period's volume that may be traded,
            above 0, shape (); needs `volumes`.
        volumes: shares that the market trades in each period, above 0, shape
            (num_periods,).
        lot_size: shares in a lot, above 0, of which whole numbers trade, shape ().
        scales_with_volume: whether `w_k` is a period's volume over the mean of all
            (static); None: where `volumes` come without `max_participation`.
        confidence: of value at risk and conditional value at risk, between 0 and 1,
            shape ().

    Raises:
        ValueError: if a number is inadmissible.
    """

    shares: Float[Array, ""] = eqx.field(converter=as_float)
    horizon: Float[Array, ""] = eqx.field(converter=as_float)
    num_periods: int = eqx.field(static=True)
    volatility: Float[Array, ""] = eqx.field(converter=as_float)
    permanent_impact: Float[Array, ""] = eqx.field(converter=as_float)
    temporary_impact: Float[Array, ""] = eqx.field(converter=as_float)
    fixed_cost: Float[Array, ""] = eqx.field(converter=as_float, default=0.0)
    risk_aversion: Float[Array, ""] = eqx.field(converter=as_float, default=0.0)
    impact_exponent: Float[Array, ""] | None = eqx.field(
        converter=as_optional_float, default=None
    )
    max_participation: Float[Array, ""] | None = eqx.field(
        converter=as_optional_float, default=None
    )
    volumes: Float[Array, " periods"] | None = eqx.field(
        converter=as_optional_float, default=None
    )
    lot_size: Float[Array, ""] | None = eqx.field(
        converter=as_optional_float, default=None
    )
    scales_with_volume: bool | None = eqx.field(static=True, default=None)
    confidence: Float[Array, ""] = eqx.field(converter=as_float, default=0.95)

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        names = (*_NUMBERS, "impact_exponent", "max_participation", "lot_size")
        check_shape((), **{name: getattr(self, name) for name in names})
        check_shape((self.num_periods,), volumes=self.volumes)

    @classmethod
    def validate(
        cls,
        *,
        shares: Any,
        horizon: Any,
        num_periods: Any,
        volatility: Any,
        permanent_impact: Any,
        temporary_impact: Any,
        fixed_cost: Any = 0.0,
        risk_aversion: Any = 0.0,
        impact_exponent: Any = None,
        max_participation: Any = None,
        volumes: Any = None,
        lot_size: Any = None,
        scales_with_volume: Any = None,
        confidence: Any = 0.95,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_static(num_periods=num_periods, scales_with_volume=scales_with_volume)
        check_integer(num_periods=num_periods, at_least=1)
        check_real(shares=shares)
        check_positive(horizon=horizon)
        check_nonnegative(volatility=volatility)
        check_nonnegative(permanent_impact=permanent_impact)
        check_positive(temporary_impact=temporary_impact)
        check_nonnegative(fixed_cost=fixed_cost)
        check_nonnegative(risk_aversion=risk_aversion)
        check_real(confidence=confidence)
        check("be between 0 and 1", lambda p: (p > 0) & (p < 1), confidence=confidence)
        if scales_with_volume is not None and not isinstance(scales_with_volume, bool):
            rule = "be true or false"
            raise InadmissibleError("scales_with_volume", rule, scales_with_volume)
        if scales_with_volume and volumes is None:
            rule = "be left out where there are no volumes"
            raise InadmissibleError("scales_with_volume", rule, scales_with_volume)
        weights, bounds = np.ones(1), np.full(1, np.inf)
        if volumes is not None:
            if np.shape(volumes)[-1:] != (num_periods,):
                rule = f"have one number for each of the {num_periods} periods"
                raise InadmissibleError("volumes", rule, volumes)
            check_positive(ndim=1, volumes=volumes)
            if _is_profile(scales_with_volume, max_participation):
                weights = np.asarray(volumes, float)
                weights = weights / weights.mean(axis=-1, keepdims=True)
        if max_participation is not None:
            if volumes is None:
                rule = "come with volumes"
                raise InadmissibleError("max_participation", rule, max_participation)
            check_positive(max_participation=max_participation)
            bounds = np.asarray(max_participation, float)[..., None] * volumes
        if impact_exponent is not None:
            check_positive(impact_exponent=impact_exponent)
        if lot_size is not None:
            check_positive(lot_size=lot_size)
            check_lots(shares, lot_size)
            lots = np.asarray(lot_size, float)[..., None]
            bounds = np.floor(bounds / lots + LOT_TOLERANCE) * lots
        check_room(shares, bounds, num_periods)
        check_convex(
            shares,
            np.asarray(horizon, float) / num_periods,
            permanent_impact,
            temporary_impact,
            impact_exponent,
            weights,
            bounds,
        )

    @property
    def period_length(self) -> Float[Array, ""]:
        """Length tau of a period."""
        return self.horizon / self.num_periods

    @property
    def side(self) -> Float[Array, ""]:
        """1 for a sale, -1 for a purchase, 0 for neither."""
        return jnp.sign(self.shares)

    @property
    def exponent(self) -> Float[Array, ""]:
        """Exponent p of temporary impact in the trading rate."""
        if self.impact_exponent is None:
            return jnp.ones_like(self.shares)
        return self.impact_exponent

    @property
    def volume_weights(self) -> Float[Array, " periods"]:
        """Volume w_k that temporary impact is relative to, of mean one."""
        is_profile = _is_profile(self.scales_with_volume, self.max_participation)
        if self.volumes is None or not is_profile:
            return jnp.ones(self.num_periods, self.shares.dtype)
        return self.volumes / self.volumes.mean()

    @property
    def impact_coefficients(self) -> Float[Array, " periods"]:
        """Coefficients a_k: trading n shares in period k moves its fills by a_k n^p."""
        if self.impact_exponent is None:
            return self.temporary_impact / (self.period_length * self.volume_weights)
        rate = 1 / (self.period_length * self.volume_weights)
        return self.temporary_impact * rate**self.exponent

    @property
    def caps(self) -> Float[Array, " periods"]:
        """Most shares that each period may trade, infinite without a bound.

        With lots, a whole number of them.
        """
        if self.max_participation is None or self.volumes is None:
            return jnp.full(self.num_periods, jnp.inf, self.shares.dtype)
        caps = self.max_participation * self.volumes
        if self.lot_size is None:
            return caps
        lots = caps / self.lot_size
        return jnp.floor(lots + lot_slack(lots)) * self.lot_size

    @property
    def half_life(self) -> Float[Array, ""]:
        """Time 1 / kappa in which an unbounded plan shrinks by e; inf without risk.

        For linear impact without a volume profile, from
        `2 (cosh(kappa tau) - 1) = tau^2 lambda sigma^2 / (eta - gamma tau / 2)`; NaN
        for other impact.
        """
        is_profile = _is_profile(self.scales_with_volume, self.max_participation)
        if self.impact_exponent is not None or (
            self.volumes is not None and is_profile
        ):
            return jnp.full_like(self.shares, jnp.nan)
        tau = self.period_length
        net = self.temporary_impact - self.permanent_impact * tau / 2
        root = jnp.sqrt(self.risk_aversion / net) * self.volatility
        return tau / (2 * jnp.arcsinh(tau * root / 2))

    def admitted(self) -> tuple["AlmgrenChriss", Bool[Array, ""]]:
        """Return an instance that can be computed with, and whether it is this one."""
        is_valid = (
            jnp.isfinite(self.shares)
            & (self.horizon > 0)
            & jnp.isfinite(self.horizon)
            & (self.volatility >= 0)
            & jnp.isfinite(self.volatility)
            & (self.permanent_impact >= 0)
            & jnp.isfinite(self.permanent_impact)
            & (self.temporary_impact > 0)
            & jnp.isfinite(self.temporary_impact)
            & (self.fixed_cost >= 0)
            & jnp.isfinite(self.fixed_cost)
            & (self.risk_aversion >= 0)
            & jnp.isfinite(self.risk_aversion)
            & (self.confidence > 0)
            & (self.confidence < 1)
        )
        for bound in (self.impact_exponent, self.max_participation, self.lot_size):
            if bound is not None:
                is_valid = is_valid & (bound > 0) & jnp.isfinite(bound)
        if self.volumes is not None:
            is_valid = (
                is_valid & ((self.volumes > 0) & jnp.isfinite(self.volumes)).all()
            )
        if self.lot_size is not None:
            lots = jnp.abs(self.shares / self.lot_size)
            is_whole = jnp.abs(lots - jnp.round(lots)) <= lot_slack(lots)
            is_valid = is_valid & is_whole
        is_valid = is_valid & self._has_room & self._is_convex
        safe: dict[str, Any] = {}
        for name in (*_NUMBERS, "impact_exponent", "max_participation", "lot_size"):
            value = getattr(self, name)
            harmless = {"permanent_impact": 0, "confidence": 0.5}.get(name, 1)
            if name == "max_participation":
                harmless = 2
            if value is not None:
                safe[name] = jnp.where(is_valid, value, harmless)
        if self.volumes is not None:
            safe["volumes"] = jnp.where(is_valid, self.volumes, 1)
        return replace_fields(self, **safe), is_valid

    @property
    def _has_room(self) -> Bool[Array, ""]:
        """Whether the caps let all shares trade, up to rounding."""
        slack = 4 * self.num_periods * jnp.finfo(self.shares.dtype).eps
        return self.caps.sum() >= jnp.abs(self.shares) * (1 - slack)

    @property
    def _is_convex(self) -> Bool[Array, ""]:
        """Whether a period's cost is convex in what it trades; always where p > 1."""
        coefficients = self.impact_coefficients
        if self.impact_exponent is None:
            return (2 * coefficients > self.permanent_impact).all()
        p = self.exponent
        most = jnp.minimum(jnp.abs(self.shares), self.caps)
        most = jnp.where(most > 0, most, 1)
        bend = p * (p + 1) * coefficients * most ** (p - 1)
        return (p > 1) | (bend > self.permanent_impact).all() | (self.shares == 0)

    def holdings(self, trades: Float[Array, " periods"]) -> Float[Array, " points"]:
        """Return what is left before, between and after the periods, (N + 1,).

        Summed from the end, where little is left: the last is 0, the first what all
        trades sum to.
        """
        left = jnp.cumsum(trades[::-1])[::-1]
        return jnp.append(left, jnp.zeros((), trades.dtype))

    def period_costs(
        self, trades: Float[Array, " periods"]
    ) -> Float[Array, " periods"]:
        """Return what each period adds to the expected shortfall, shape (N,).

        `epsilon |n_k| + a_k |n_k|^(1 + p) + gamma n_k x_k`: the permanent impact of a
        trade is paid by what is left to trade after it.
        """
        left = self.holdings(trades)[1:]
        size = jnp.abs(trades)
        return (
            self.fixed_cost * size
            + self.temporary_costs(trades)
            + self.permanent_impact * trades * left
        )

    def temporary_costs(
        self, trades: Float[Array, " periods"]
    ) -> Float[Array, " periods"]:
        """Return the cost `a_k |n_k|^(1 + p)` of temporary impact, shape (N,)."""
        if self.impact_exponent is None:
            return self.impact_coefficients * trades**2
        size = jnp.abs(trades)
        is_zero = size == 0
        power = jnp.where(is_zero, 1, size) ** (1 + self.exponent)
        return self.impact_coefficients * jnp.where(is_zero, 0, power)

    def expected_cost(self, trades: Float[Array, " periods"]) -> Float[Array, ""]:
        """Return the mean E of the implementation shortfall, currency."""
        return self.period_costs(trades).sum()

    def variance(self, trades: Float[Array, " periods"]) -> Float[Array, ""]:
        """Return its variance `V = sigma^2 tau sum x_k^2`, currency squared."""
        left = self.holdings(trades)[1:]
        return self.volatility**2 * self.period_length * (left**2).sum()

    def objective(self, trades: Float[Array, " periods"]) -> Float[Array, ""]:
        """Return `E + lambda V`, which is minimised."""
        return self.expected_cost(trades) + self.risk_aversion * self.variance(trades)

    @property
    def even_trades(self) -> Float[Array, " periods"]:
        """The same trade in every period, whatever the caps and lots."""
        return jnp.full(self.num_periods, 1, self.shares.dtype) * (
            self.shares / self.num_periods
        )

    @property
    def immediate_trades(self) -> Float[Array, " periods"]:
        """All shares in the first period, whatever the caps and lots."""
        first = jnp.arange(self.num_periods) == 0
        return jnp.where(first, self.shares, 0)

    @property
    def volume_trades(self) -> Float[Array, " periods"]:
        """The same share of every period's volume; even where there is no profile."""
        return self.shares / self.num_periods * self.volume_weights


_NUMBERS = (
    "shares",
    "horizon",
    "volatility",
    "permanent_impact",
    "temporary_impact",
    "fixed_cost",
    "risk_aversion",
    "confidence",
)


class ExecutionSchedule(eqx.Module):
    """A plan: what is traded in every period, and what is left between them.

    Attributes:
        trades: n_1 .. n_N, shares sold (negative: bought), shape (periods,).
        holdings: x_0 .. x_N, from `shares` to 0, shape (points,).
    """

    trades: Float[Array, " periods"]
    holdings: Float[Array, " points"]


class ValueAtRiskSchedule(eqx.Module):
    """A plan of least value at risk.

    Attributes:
        trades: as in `ExecutionSchedule`, shape (periods,).
        holdings: likewise, shape (points,).
        risk_aversion: at which the plan minimises `E + lambda V`, too, shape (); inf
            where all shares trade at once.
        z_score: z of the `E + z sqrt(V)` that is minimised, shape ().
    """

    trades: Float[Array, " periods"]
    holdings: Float[Array, " points"]
    risk_aversion: Float[Array, ""]
    z_score: Float[Array, ""]


def _is_profile(scales_with_volume: Any, max_participation: Any) -> bool:
    """Return whether volumes, where there are any, scale temporary impact."""
    if scales_with_volume is None:
        return max_participation is None
    return bool(scales_with_volume)
