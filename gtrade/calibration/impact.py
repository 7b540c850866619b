"""Price impact: what a share of net order flow does to the price.

Kyle's lambda is in currency per share. Two relatives that are not: the sensitivity of
returns to the imbalance ratio (a pure number) and Amihud's illiquidity (per currency
traded). All three grow as markets get thinner, none can stand in for another.
"""

from typing import Literal, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float

from gtrade._checks import InadmissibleError
from gtrade.calibration.windows import (
    as_series,
    check_values,
    check_window,
    latest,
    window_sums,
)

Errors = Literal["classical", "robust"]


class PriceImpact(eqx.Module):
    """Kyle's lambda by regression; of each window's end, shape (n,), where rolling."""

    price_impact: Float[Array, "..."]  # currency per share
    intercept: Float[Array, "..."]  # currency per bar; 0 without one
    standard_error: Float[Array, "..."]  # of the price impact
    t_statistic: Float[Array, "..."]
    r_squared: Float[Array, "..."]
    num_bars: Float[Array, "..."]  # pairs that were used


class ImbalanceSensitivity(eqx.Module):
    """Returns regressed on the imbalance ratio: not a price impact per share."""

    imbalance_sensitivity: Float[Array, "..."]  # return per unit of imbalance ratio
    intercept: Float[Array, "..."]
    standard_error: Float[Array, "..."]
    t_statistic: Float[Array, "..."]
    r_squared: Float[Array, "..."]
    num_bars: Float[Array, "..."]


class _Line(NamedTuple):
    """A straight line fitted to points."""

    slope: Array
    intercept: Array
    standard_error: Array
    t_statistic: Array
    r_squared: Array
    num_pairs: Array


def price_impact(
    price_changes: ArrayLike,
    signed_volume: ArrayLike,
    *,
    window: int | None = None,
    with_intercept: bool = True,
    errors: Errors = "classical",
    skipna: bool = False,
    min_periods: int | None = None,
) -> PriceImpact:
    """Estimate Kyle's lambda: mid changes regressed on signed volume.

    Least squares in dp = c + lambda q + e. Estimates below zero are returned as they
    are; where signed volume does not vary (without intercept: is zero) all is NaN.

    Args:
        price_changes: dp, change of the mid over the bar, shape (n,), currency.
        signed_volume: q, bought less sold by those who demand liquidity, over the same
            bar, shape (n,), shares.
        window: bars, the current one included, for an estimate at every bar, with the
            first `window - 1` NaN; None for one estimate from all bars.
        with_intercept: fit c, else it is 0.
        errors: "classical" (equal variances; residual degrees of freedom) or "robust"
            (heteroskedasticity-consistent, White 1980, without a correction: HC0).
        skipna: leave out bars where either number is not finite, else such a bar makes
            every window that holds it NaN.
        min_periods: with `skipna`, the fewest bars for an estimate; by default one more
            than there are coefficients.

    Raises:
        ValueError: for different lengths, an unknown `errors`, or a window too short.
    """
    changes, flow = as_series(price_changes=price_changes, signed_volume=signed_volume)
    is_valid = jnp.isfinite(changes) & jnp.isfinite(flow)
    line = _fit(
        flow, changes, is_valid, window, with_intercept, errors, skipna, min_periods
    )
    return PriceImpact(*line)


def imbalance_sensitivity(
    returns: ArrayLike,
    signed_volume: ArrayLike,
    volume: ArrayLike,
    *,
    window: int | None = None,
    with_intercept: bool = True,
    errors: Errors = "classical",
    skipna: bool = False,
    min_periods: int | None = None,
) -> ImbalanceSensitivity:
    """Regress returns on the imbalance ratio, signed volume over volume.

    The slope is a pure number: the return at one-sided flow. It does not know how many
    shares were needed for that, so it is no price impact. Bars without volume have no
    ratio and count as missing.

    Args:
        returns: of the bar, shape (n,).
        signed_volume: shape (n,), shares.
        volume: shape (n,), shares.
        window: as in `price_impact`, like the rest.
        with_intercept: see there.
        errors: see there.
        skipna: see there.
        min_periods: see there.

    Raises:
        ValueError: as there, and for a volume below zero.
    """
    returns, flow, total = as_series(
        returns=returns, signed_volume=signed_volume, volume=volume
    )
    check_values("be at least 0", lambda x: x >= 0, volume=volume)
    ratio = jnp.where(total > 0, flow / jnp.where(total > 0, total, 1), jnp.nan)
    is_valid = jnp.isfinite(returns) & jnp.isfinite(ratio)
    line = _fit(
        ratio, returns, is_valid, window, with_intercept, errors, skipna, min_periods
    )
    return ImbalanceSensitivity(*line)


def amihud_illiquidity(
    returns: ArrayLike,
    prices: ArrayLike,
    volume: ArrayLike,
    *,
    window: int | None = None,
    skipna: bool = False,
    min_periods: int | None = None,
) -> Float[Array, "..."]:
    """Return the mean of |return| / (price * volume) (Amihud 2002), per currency.

    Bars without volume are left out; NaN where none is left.

    Args:
        returns: of the bar, shape (n,).
        prices: shape (n,), currency, above zero.
        volume: shape (n,), shares.
        window: bars, for a mean at every bar; None for one of all.
        skipna: leave out bars with a NaN, else it makes the mean NaN.
        min_periods: with `skipna`, the fewest bars with volume; 1 by default.

    Raises:
        ValueError: for a price not above zero or a volume below it.
    """
    returns, prices, volume = as_series(returns=returns, prices=prices, volume=volume)
    check_values("be greater than 0", lambda x: x > 0, prices=prices)
    check_values("be at least 0", lambda x: x >= 0, volume=volume)
    value = prices * volume
    is_missing = ~(jnp.isfinite(returns) & jnp.isfinite(value) & (prices > 0))
    is_traded = (value > 0) & ~is_missing
    ratio = jnp.where(is_traded, jnp.abs(returns), 0) / jnp.where(is_traded, value, 1)
    length = max(ratio.shape[0], 1) if window is None else window
    needed = check_window(length, skipna, min_periods)
    missing = is_missing.astype(ratio.dtype)
    sums, _, _ = window_sums(
        lambda r, gone, ones: (r, gone, ones),
        (ratio, missing),
        is_traded | is_missing,
        length,
        is_centred=False,
    )
    total, gone, count = sums
    traded = count - gone
    is_good = (traded >= (needed if skipna else 1)) & (skipna | (gone == 0))
    means = jnp.where(is_good, total / jnp.maximum(traded, 1), jnp.nan)
    return latest(means) if window is None else means


def _fit(
    x: Float[Array, " n"],
    y: Float[Array, " n"],
    is_valid: Bool[Array, " n"],
    window: int | None,
    with_intercept: bool,
    errors: str,
    skipna: bool,
    min_periods: int | None,
) -> _Line:
    """Fit y = c + slope x, to all points or to those of every trailing window."""
    if errors not in ("classical", "robust"):
        raise InadmissibleError("errors", 'be "classical" or "robust"', errors)
    num_coefficients = 2 if with_intercept else 1
    # Too few bars for one estimate are no fault of an argument: NaN.
    length = max(x.shape[0], num_coefficients + 1) if window is None else window
    needed = check_window(length, skipna, min_periods, at_least=num_coefficients + 1)
    if window is None:
        moments = _moments_of_all(x, y, is_valid, with_intercept)
    else:
        moments = _moments_of_windows(
            x, y, is_valid, window, with_intercept, errors == "robust"
        )
    return _line(moments, num_coefficients, needed, errors == "robust")


class _Moments(NamedTuple):
    """Sums of products about the means (about zero without intercept)."""

    count: Array
    mean_x: Array
    mean_y: Array
    xx: Array
    xy: Array
    yy: Array
    residual: Array | None  # sum of squared residuals, if it is known directly
    weighted: Array  # sum of x^2 times squared residuals
    is_constant: Array


def _moments_of_all(x, y, is_valid, with_intercept) -> _Moments:
    """Take moments in two passes and residuals one by one."""
    ones = is_valid.astype(x.dtype)
    count = ones.sum()
    x, y = jnp.where(is_valid, x, 0), jnp.where(is_valid, y, 0)
    low = jnp.min(jnp.where(is_valid, x, jnp.inf), initial=jnp.inf)
    high = jnp.max(jnp.where(is_valid, x, -jnp.inf), initial=-jnp.inf)
    constant = low == high
    mean_x = mean_y = jnp.zeros_like(count)
    if with_intercept:
        many = jnp.maximum(count, 1)
        mean_x, mean_y = x.sum() / many, y.sum() / many
    else:
        constant = ~(jnp.abs(x) > 0).any()
    dx, dy = (x - mean_x) * ones, (y - mean_y) * ones
    xx, xy = (dx**2).sum(), (dx * dy).sum()
    residuals = dy - jnp.where(constant, 0, xy / jnp.where(constant, 1, xx)) * dx
    return _Moments(
        count, mean_x, mean_y, xx, xy, (dy**2).sum(),
        (residuals**2).sum(), ((dx * residuals) ** 2).sum(), constant,
    )  # fmt: skip


def _moments_of_windows(
    x, y, is_valid, window, with_intercept, with_fourth
) -> _Moments:
    """Take raw moments about a reference near the window and shift them to its mean."""

    def terms(u, v, ones):
        second = (ones, u, v, u * u, u * v, v * v)
        if not with_fourth:
            return second
        uu, uv = u * u, u * v
        return (*second, uu * u, uu * v, uv * v, uu * uu, uu * uv, uv * uv)

    sums, references, is_own = window_sums(
        terms, (x, y), is_valid, window, is_centred=with_intercept
    )
    n, u, v, uu, uv, vv, *rest = sums
    # About one of themselves, equal numbers are exactly zero.
    constant = ~(uu > 0)
    if with_intercept:
        many = jnp.maximum(n, 1)
        a, b = u / many, v / many  # the window's means about the references
    else:
        a = b = jnp.zeros_like(n)
    xx, xy, yy = uu - n * a * a, uv - n * a * b, vv - n * b * b
    if with_intercept:
        rounding = 8 * jnp.finfo(uu.dtype).eps * n * uu
        constant |= ~is_own & ~(xx > rounding)
    weighted = jnp.zeros_like(n)
    if with_fourth:
        uuu, uuv, uvv, uuuu, uuuv, uuvv = rest
        safe = jnp.where(constant | ~(xx > 0), 1, xx)
        slope = xy / safe
        xxxx = uuuu - 4 * a * uuu + 6 * a**2 * uu - 4 * a**3 * u + n * a**4
        xxx = uuu - 3 * a * uu + 3 * a**2 * u - n * a**3
        xxxy = uuuv - 3 * a * uuv + 3 * a**2 * uv - a**3 * v - b * xxx
        by_b = uuvv - 2 * b * uuv + b**2 * uu
        xxyy = (
            by_b
            - 2 * a * (uvv - 2 * b * uv + b**2 * u)
            + a**2 * (vv - 2 * b * v + n * b**2)
        )
        weighted = xxyy - 2 * slope * xxxy + slope**2 * xxxx
    mean_x, mean_y = references[0] + a, references[1] + b
    return _Moments(n, mean_x, mean_y, xx, xy, yy, None, weighted, constant)


def _line(m: _Moments, num_coefficients: int, needed: int, is_robust: bool) -> _Line:
    is_good = (m.count >= needed) & ~m.is_constant & (m.xx > 0)
    xx = jnp.where(is_good, m.xx, 1)
    slope = m.xy / xx
    left = m.yy - slope * m.xy if m.residual is None else m.residual
    left = jnp.maximum(left, 0)
    freedom = jnp.where(is_good, m.count - num_coefficients, 1)
    variance = m.weighted / xx**2 if is_robust else left / freedom / xx
    # The square root has no slope at zero, where a perfect fit would put it.
    is_positive = is_good & (variance > 0)
    error = jnp.where(is_positive, jnp.sqrt(jnp.where(is_positive, variance, 1)), 0)
    total = jnp.where(m.yy > 0, m.yy, 1)
    r_squared = jnp.where(m.yy > 0, 1 - left / total, jnp.nan)
    intercept = m.mean_y - slope * m.mean_x
    answers = slope, intercept, error, slope / error, r_squared
    return _Line(*(jnp.where(is_good, x, jnp.nan) for x in answers), num_pairs=m.count)
