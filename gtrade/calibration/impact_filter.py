"""Learning price impact from one's own fills, one observation after another.

A trade shows two things. What it was filled below the price before it, less the fixed
cost, is temporary impact times the trading rate, and noise; how far the price fell over
the period is permanent impact times the trade, and noise. Both are linear regressions
through the origin with known noise, so that a normal belief stays normal: two numbers a
coefficient remember all that was seen, in any order.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import log_ndtr
from jaxtyping import Array, Float

# Standard deviations below 0 from which a continued fraction takes over, complete to
# float64 with that many levels.
_TAIL, _LEVELS = -3.0, 40


class SlopeBelief(eqx.Module):
    """A normal belief about the slope b of `response = b regressor + noise`.

    Attributes:
        precision: one over its variance, shape ().
        weighted_mean: the mean times the precision, shape ().
    """

    precision: Float[Array, ""]
    weighted_mean: Float[Array, ""]

    @property
    def mean(self) -> Float[Array, ""]:
        """Mean; NaN while nothing is known."""
        return self.weighted_mean / self.precision

    @property
    def std(self) -> Float[Array, ""]:
        """Standard deviation; infinite while nothing is known."""
        return 1 / jnp.sqrt(self.precision)

    @property
    def positive_mean(self) -> Float[Array, ""]:
        """Mean of the belief given that the slope is positive.

        Impact cannot be negative, estimates of it can. What is learnt from a prior that
        rules it out is the same belief, cut off at 0.
        """
        ratio = self.mean / self.std
        is_tail = ratio < _TAIL
        inner = jnp.where(is_tail, 0, ratio)
        density = jnp.exp(-(inner**2) / 2 - log_ndtr(inner)) / (2 * jnp.pi) ** 0.5
        # Far below 0 mean and correction cancel; a continued fraction is what is left.
        above = jnp.where(is_tail, -ratio, -_TAIL)
        # A loop: written out, divisions keep the compiler busy without end.
        levels = jnp.arange(_LEVELS, 1, -1, dtype=above.dtype)
        fraction, _ = jax.lax.scan(
            lambda fraction, level: (above + level / fraction, None), above, levels
        )
        return self.std * jnp.where(is_tail, 1 / fraction, inner + density)


def init_slope(mean: Float[Array, ""], std: Float[Array, ""]) -> SlopeBelief:
    """Return a belief before the first observation.

    Args:
        mean: what is expected; of no account where `std` is infinite.
        std: standard deviation, greater than 0; infinite if nothing is known.
    """
    precision = 1 / std**2
    return SlopeBelief(precision, precision * mean)


def update_slope(
    belief: SlopeBelief,
    regressor: Float[Array, ""],
    response: Float[Array, ""],
    noise_std: Float[Array, ""],
) -> SlopeBelief:
    """Return the belief after one more observation.

    Args:
        belief: the belief before.
        regressor: what the slope multiplies; 0 teaches nothing.
        response: what was seen.
        noise_std: standard deviation of the noise in it, greater than 0.
    """
    weight = regressor / noise_std**2
    return SlopeBelief(
        belief.precision + weight * regressor, belief.weighted_mean + weight * response
    )


class ImpactBelief(eqx.Module):
    """What a trader believes about temporary and permanent impact of one asset.

    Attributes:
        temporary: of eta, currency * time / share^2.
        permanent: of gamma, currency / share^2.
    """

    temporary: SlopeBelief
    permanent: SlopeBelief


class Execution(eqx.Module):
    """What one period of trading shows.

    Attributes:
        trade: shares sold (negative: bought), shape ().
        price_before: before the trade, currency, shape ().
        fill: average price of the trade, currency, shape (); without a trade any.
        price_after: at the end of the period, currency, shape ().
    """

    trade: Float[Array, ""]
    price_before: Float[Array, ""]
    fill: Float[Array, ""]
    price_after: Float[Array, ""]


def init_impact(
    temporary_mean: Float[Array, ""],
    temporary_std: Float[Array, ""],
    permanent_mean: Float[Array, ""],
    permanent_std: Float[Array, ""],
) -> ImpactBelief:
    """Return beliefs before the first trade; an infinite `std` for nothing known."""
    return ImpactBelief(
        init_slope(temporary_mean, temporary_std),
        init_slope(permanent_mean, permanent_std),
    )


def update_impact(
    belief: ImpactBelief,
    seen: Execution,
    *,
    period_length: Float[Array, ""],
    fixed_cost: Float[Array, ""],
    fill_noise_std: Float[Array, ""],
    price_noise_std: Float[Array, ""],
) -> ImpactBelief:
    """Return beliefs after one period.

    Args:
        belief: before it.
        seen: what the period showed.
        period_length: tau, time, shape ().
        fixed_cost: epsilon, known, currency per share, shape ().
        fill_noise_std: of the average fill, currency, greater than 0, shape ().
        price_noise_std: of the price over a period, sigma sqrt(tau), currency, greater
            than 0, shape ().
    """
    is_trade = seen.trade != 0
    slippage = seen.price_before - seen.fill - fixed_cost * jnp.sign(seen.trade)
    slippage = jnp.where(is_trade, slippage, 0)
    rate = seen.trade / period_length
    fall = seen.price_before - seen.price_after
    return ImpactBelief(
        update_slope(belief.temporary, rate, slippage, fill_noise_std),
        update_slope(belief.permanent, seen.trade, fall, price_noise_std),
    )


def filter_impact(
    belief: ImpactBelief, seen: Execution, **known: Float[Array, ""]
) -> tuple[ImpactBelief, ImpactBelief]:
    """Update beliefs over all periods of a record.

    Args:
        belief: before the first period.
        seen: with a leading axis of periods.
        **known: as in `update_impact`.

    Returns:
        Beliefs after the last period, and after each, with a leading axis.
    """

    def step(belief: ImpactBelief, seen: Execution):
        belief = update_impact(belief, seen, **known)
        return belief, belief

    return jax.lax.scan(step, belief, seen)
