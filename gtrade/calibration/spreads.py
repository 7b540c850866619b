"""What a spread pays for: Roll's estimate and two decompositions by regression.

The decompositions give standard errors by the delta method: an estimate's error is a
mean of influences, one a row, and its variance allows them to be correlated over some
lags. Rows with a NaN are left out, so a NaN between two days keeps them apart.
"""

import math

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float

from gtrade._checks import check_integer, check_nonnegative
from gtrade.calibration.trades import prevailing
from gtrade.calibration.windows import (
    as_series,
    check_values,
    check_window,
    latest,
    window_sums,
)

# Regressors whose correlation is that close to 1 (in units of rounding) are the same.
_ROUNDING = 64


class SpreadComponents(eqx.Module):
    """Model of Madhavan, Richardson and Roomans (1997), shape () each."""

    adverse_selection: Float[Array, ""]  # theta, currency per share
    order_processing: Float[Array, ""]  # phi, currency per share
    sign_autocorrelation: Float[Array, ""]  # rho
    implied_spread: Float[Array, ""]  # 2 (phi + theta), currency
    adverse_share: Float[Array, ""]  # theta / (phi + theta)
    adverse_selection_error: Float[Array, ""]
    order_processing_error: Float[Array, ""]
    implied_spread_error: Float[Array, ""]
    adverse_share_error: Float[Array, ""]
    num_trades: Float[Array, ""]  # that were used


class SpreadShares(eqx.Module):
    """Shares of the half-spread by Huang and Stoll (1997), shape () each."""

    adverse_selection: Float[Array, ""]  # alpha
    inventory: Float[Array, ""]  # beta
    order_processing: Float[Array, ""]  # 1 - alpha - beta
    reversal_probability: Float[Array, ""]  # pi
    adverse_selection_error: Float[Array, ""]
    inventory_error: Float[Array, ""]
    order_processing_error: Float[Array, ""]
    reversal_probability_error: Float[Array, ""]
    num_trades: Float[Array, ""]  # that were used


class SpreadHorizons(eqx.Module):
    """What became of the spread that takers paid, by horizon."""

    effective: Float[Array, " n"]  # 2 x (price - mid), currency, one a trade
    realised: Float[Array, "horizons n"]  # 2 x (price - later mid)
    mean_effective: Float[Array, " horizons"]  # of trades with a later mid
    mean_realised: Float[Array, " horizons"]
    mean_impact: Float[Array, " horizons"]  # effective less realised


def roll_spread(
    price_changes: ArrayLike,
    *,
    window: int | None = None,
    skipna: bool = False,
    min_periods: int | None = None,
    if_undefined: float = math.nan,
) -> Float[Array, "..."]:
    """Return 2 sqrt(-cov(dp_t, dp_{t-1})) (Roll 1984), in currency.

    The covariance is that of the pairs (divisor: pairs less one).

    Args:
        price_changes: between trades, shape (n,), currency.
        window: changes, for a spread at every change; None for one of all.
        skipna: leave out pairs with a NaN, else it makes the spread NaN.
        min_periods: with `skipna`, the fewest pairs; 2 by default.
        if_undefined: what to return where the covariance is not negative: NaN or 0.
    """
    (changes,) = as_series(price_changes=price_changes)
    length = max(changes.shape[0], 3) if window is None else window
    # A window of n changes has n - 1 pairs.
    check_integer(at_least=3, window=length)
    needed = check_window(length - 1, skipna, min_periods, at_least=2)
    now, before = changes[1:], changes[:-1]
    is_valid = jnp.isfinite(now) & jnp.isfinite(before)
    (u, v, uv, count), _, _ = window_sums(
        lambda u, v, ones: (u, v, u * v, ones), (now, before), is_valid, length - 1
    )
    is_good = count >= needed
    many = jnp.where(is_good, count, 2)
    covariance = (uv - u * v / many) / (many - 1)
    is_defined = is_good & (covariance < 0)
    root = 2 * jnp.sqrt(jnp.where(is_defined, -covariance, 1))
    spread = jnp.where(is_defined, root, jnp.where(is_good, if_undefined, jnp.nan))
    first = jnp.full_like(changes[:1], jnp.nan)
    spread = jnp.concatenate([first, spread])
    return latest(spread) if window is None else spread


def spread_components(
    prices: ArrayLike, signs: ArrayLike, *, num_lags: int = 1
) -> SpreadComponents:
    """Split the spread by the model of Madhavan, Richardson and Roomans (1997).

    dp_t = (phi + theta) x_t - (phi + rho theta) x_{t-1} + u_t with the first
    autocorrelation rho of signs. Just identified, in closed form: with coefficients b1
    and b2 of dp_t on a constant, x_t and x_{t-1}, theta = (b1 + b2) / (1 - rho) and
    phi = b1 - theta. All is NaN where signs do not vary or strictly alternate.

    Args:
        prices: of trades in their order, shape (n,), currency.
        signs: +1 for a buyer's, -1 for a seller's, shape (n,).
        num_lags: lags in the standard errors. Price noise makes u_t a moving average of
            order 1, negative, so with fewer the errors come out too wide.
    """
    prices, signs = as_series(prices=prices, signs=signs)
    check_integer(at_least=0, num_lags=num_lags)
    changes, now, before = jnp.diff(prices), signs[1:], signs[:-1]
    is_valid = jnp.isfinite(changes) & jnp.isfinite(now) & jnp.isfinite(before)
    n = jnp.maximum(is_valid.astype(prices.dtype).sum(), 1)
    y, x, z = (_centre(column, is_valid, n) for column in (changes, now, before))
    xx, xz, zz = (x * x).sum() / n, (x * z).sum() / n, (z * z).sum() / n
    xy, zy = (x * y).sum() / n, (z * y).sum() / n
    determinant = xx * zz - xz**2
    tolerance = _ROUNDING * jnp.finfo(x.dtype).eps
    is_good = determinant > tolerance * xx * zz
    determinant = jnp.where(is_good, determinant, 1)
    b1 = (zz * xy - xz * zy) / determinant
    b2 = (xx * zy - xz * xy) / determinant
    u = y - b1 * x - b2 * z
    size = jnp.sqrt(jnp.where(is_good, xx * zz, 1))
    rho = xz / size
    theta = (b1 + b2) / (1 - rho)
    share = theta / b1

    of_b1 = (zz * x - xz * z) * u / determinant
    of_b2 = (xx * z - xz * x) * u / determinant
    safe_xx, safe_zz = jnp.where(is_good, xx, 1), jnp.where(is_good, zz, 1)
    of_rho = x * z / size - rho * (x**2 / safe_xx + z**2 / safe_zz) / 2
    # What is left out has deviations 0 and no influence.
    of_theta = (of_b1 + of_b2 + theta * of_rho) / (1 - rho)
    of_share = (of_theta - share * of_b1) / b1

    def error(influence: Array) -> Array:
        return _standard_error(influence, n, num_lags)

    answers = (
        theta, b1 - theta, rho, 2 * b1, share,
        error(of_theta), error(of_b1 - of_theta), error(2 * of_b1), error(of_share),
    )  # fmt: skip
    is_good &= n > 3
    return SpreadComponents(
        *(jnp.where(is_good, x, jnp.nan) for x in answers), num_trades=n
    )


def spread_shares(
    mids: ArrayLike,
    spreads: ArrayLike,
    signs: ArrayLike,
    *,
    num_lags: int = 0,
    least_score: float = 3.0,
) -> SpreadShares:
    """Split the half-spread three ways (Huang and Stoll 1997).

    dm_t = (alpha + beta) (S_{t-1} / 2) Q_{t-1}
           - alpha (1 - 2 pi) (S_{t-2} / 2) Q_{t-2} + e_t,
    with E[Q_t | Q_{t-1}] = (1 - 2 pi) Q_{t-1}. Alpha is what the second coefficient
    shows of it, so it and beta are known apart only if pi differs from 1/2.

    Args:
        mids: prevailing just before each trade, shape (n,), currency.
        spreads: quoted just before each trade, shape (n,), currency.
        signs: of the trades, +1 or -1, shape (n,).
        num_lags: lags in the standard errors.
        least_score: alpha and beta are NaN unless the estimate of 1 - 2 pi is so many
            of its standard errors away from 0; only the order-processing share is left.
    """
    mids, spreads, signs = as_series(mids=mids, spreads=spreads, signs=signs)
    check_integer(at_least=0, num_lags=num_lags)
    check_nonnegative(least_score=least_score)
    check_values("be at least 0", lambda x: x >= 0, spreads=spreads)
    pushes = spreads / 2 * signs
    columns = jnp.diff(mids)[1:], pushes[1:-1], pushes[:-2], signs[1:-1], signs[:-2]
    is_valid = jnp.isfinite(jnp.stack(columns)).all(axis=0)
    n = jnp.maximum(is_valid.astype(mids.dtype).sum(), 1)
    y, x, z, now, before = (jnp.where(is_valid, c, 0) for c in columns)
    xx, xz, zz = (x * x).sum() / n, (x * z).sum() / n, (z * z).sum() / n
    xy, zy = (x * y).sum() / n, (z * y).sum() / n
    determinant = xx * zz - xz**2
    tolerance = _ROUNDING * jnp.finfo(x.dtype).eps
    is_good = (determinant > tolerance * xx * zz) & (n > 3)
    determinant = jnp.where(is_good, determinant, 1)
    c1 = (zz * xy - xz * zy) / determinant
    c2 = (xx * zy - xz * xy) / determinant
    e = y - c1 * x - c2 * z
    signed = jnp.where(is_good, (before * before).sum() / n, 1)
    persistence = (now * before).sum() / n / signed  # 1 - 2 pi

    of_c1 = (zz * x - xz * z) * e / determinant
    of_c2 = (xx * z - xz * x) * e / determinant
    of_persistence = (now - persistence * before) * before / signed
    error = _standard_error(of_persistence, n, num_lags)
    is_apart = is_good & (jnp.abs(persistence) > least_score * error)
    divisor = jnp.where(is_apart, persistence, 1)
    alpha = -c2 / divisor
    of_alpha = -(of_c2 + alpha * of_persistence) / divisor
    values = alpha, c1 - alpha, 1 - c1, (1 - persistence) / 2
    influences = of_alpha, of_c1 - of_alpha, of_c1, of_persistence / 2
    errors = [_standard_error(x, n, num_lags) for x in influences]
    known = (is_apart, is_apart, is_good, is_good) * 2
    answers = [
        jnp.where(k, x, jnp.nan) for k, x in zip(known, [*values, *errors], strict=True)
    ]
    return SpreadShares(*answers, num_trades=n)


def spread_by_horizon(
    times: ArrayLike,
    prices: ArrayLike,
    signs: ArrayLike,
    quote_times: ArrayLike,
    mids: ArrayLike,
    *,
    horizons: ArrayLike,
) -> SpreadHorizons:
    """Compare what takers paid with what makers kept after some time.

    The effective spread is 2 x (price - mid just before the trade), the realised one
    2 x (price - mid a horizon later); the difference is the impact of the trade. Trades
    whose horizon ends after the last quote have no realised spread and are left out of
    the means of that horizon.

    Args:
        times: of trades, shape (n,). Seconds of a day need float64.
        prices: shape (n,), currency.
        signs: shape (n,); trades with 0 or NaN are left out of means.
        quote_times: not decreasing, shape (quotes,).
        mids: after each quote, shape (quotes,), currency.
        horizons: shape (horizons,), in the unit of time; 1 s to 5 min are usual.

    Raises:
        ValueError: for a horizon below zero or quote times that decrease.
    """
    times, prices, signs = as_series(times=times, prices=prices, signs=signs)
    quote_times, mids = as_series(quote_times=quote_times, mids=mids)
    (horizons,) = as_series(horizons=horizons)
    check_values("be at least 0", lambda x: x >= 0, horizons=horizons)
    horizons = horizons.astype(times.dtype)
    mid = prevailing(quote_times, mids, times).astype(prices.dtype)
    later = times[None, :] + horizons[:, None]
    future = prevailing(quote_times, mids, later, is_strict=False)
    is_over = later > quote_times[-1].astype(times.dtype)
    future = jnp.where(is_over, jnp.nan, future.astype(prices.dtype))
    signs = jnp.where(signs == 0, jnp.nan, signs)
    effective = 2 * signs * (prices - mid)
    realised = 2 * signs[None, :] * (prices[None, :] - future)
    is_known = jnp.isfinite(effective)[None, :] & jnp.isfinite(realised)
    count = is_known.astype(prices.dtype).sum(axis=1)

    def mean(x: Array) -> Array:
        return jnp.where(is_known, x, 0).sum(axis=1) / count

    paid, kept = mean(jnp.broadcast_to(effective, realised.shape)), mean(realised)
    return SpreadHorizons(effective, realised, paid, kept, paid - kept)


def _centre(x: Array, is_valid: Bool[Array, " n"], n: Array) -> Array:
    mean = jnp.where(is_valid, x, 0).sum() / n
    return jnp.where(is_valid, x - mean, 0)


def _standard_error(influence: Array, n: Array, num_lags: int) -> Array:
    """Return the error of a mean of influences that are correlated over some lags.

    Lags count in full, as is right for a moving average. Should the sum come out
    negative, Bartlett's falling weights, with which it cannot, take their place.
    """
    own = (influence**2).sum()
    pairs = [
        2 * (influence[lag:] * influence[:-lag]).sum() for lag in range(1, num_lags + 1)
    ]
    full = sum(pairs, own)
    falling = own
    for lag, pair in enumerate(pairs, start=1):
        falling += (1 - lag / (num_lags + 1)) * pair
    variance = jnp.where(full > 0, full, falling)
    is_positive = variance > 0
    return jnp.where(is_positive, jnp.sqrt(jnp.where(is_positive, variance, 1)), 0) / n
