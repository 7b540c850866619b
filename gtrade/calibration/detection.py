"""Signs of informed trading as series in [0, 1], each against its own past."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.special import ndtr
from jaxtyping import Array, ArrayLike, Float

from gtrade._arrays import as_float
from gtrade._checks import check
from gtrade.calibration.impact import price_impact
from gtrade.calibration.volume_clock import on_bars, vpin
from gtrade.calibration.windows import (
    as_series,
    check_values,
    check_window,
    is_concrete,
    trailing_percentile,
    trailing_score,
    window_sums,
)


class InformedFlow(eqx.Module):
    """Three views of the same bars, each in [0, 1] or NaN, shape (bars,)."""

    impact: Float[Array, " bars"]  # rolling lambda against its trailing median
    vpin: Float[Array, " bars"]  # share of recent VPINs at most the last
    belief: Float[Array, " bars"]  # that the value is the high one, after the bar


def toxicity(
    x: ArrayLike,
    *,
    window: int,
    skipna: bool = False,
    min_periods: int | None = None,
) -> Float[Array, " n"]:
    """Score VPIN, or lambda, by its empirical distribution over a trailing window.

    The share of the window's values that are at most the current one, itself included:
    0.95 says that such a value, or a higher one, came up in a twentieth of the window.

    Args:
        x: shape (n,).
        window: length of the reference, the current entry included.
        skipna: leave out what is not finite; a current entry that is not stays NaN.
        min_periods: with `skipna`, the fewest values to compare with; 1 by default.
    """
    return trailing_percentile(x, window=window, skipna=skipna, min_periods=min_periods)


def sequential_belief(
    signs: ArrayLike,
    *,
    informed_fraction: ArrayLike,
    buy_probability: ArrayLike = 0.5,
    sell_probability: ArrayLike = 0.5,
    prior_high: ArrayLike = 0.5,
    window: int | None = None,
) -> Float[Array, " n"]:
    """Return the belief that the value is the high one, after each order.

    Bayes' rule in the model of Glosten and Milgrom (1985) with two values: an informed
    trader buys if the value is high and sells if it is low, others buy and sell with
    given probabilities. The log-odds are a running sum. A NaN sign makes its belief and
    those after it NaN (with `window`, those whose window holds it).

    Args:
        signs: of orders, positive for a buy, negative for a sale, 0 for neither.
        informed_fraction: probability that a trader is informed, in [0, 1).
        buy_probability: that another trader buys, above 0.
        sell_probability: that another trader sells, above 0; together at most 1.
        prior_high: belief before the first order.
        window: start from the prior afresh and use only so many last orders; the value
            is then one that lasts about so long. All orders by default.

    Raises:
        ValueError: for probabilities out of range.
    """
    (signs,) = as_series(signs=signs)
    numbers = {
        "informed_fraction": informed_fraction,
        "buy_probability": buy_probability,
        "sell_probability": sell_probability,
        "prior_high": prior_high,
    }
    if is_concrete(numbers):
        _check_probabilities(**numbers)
    a, buys, sells, prior = (as_float(x).astype(signs.dtype) for x in numbers.values())
    of_buy = jnp.log1p(a / ((1 - a) * buys))
    of_sale = jnp.log1p(a / ((1 - a) * sells))
    steps = jnp.where(signs > 0, of_buy, jnp.where(signs < 0, -of_sale, 0))
    steps = jnp.where(jnp.isnan(signs), jnp.nan, steps)
    if window is None:
        evidence = jnp.cumsum(steps)
    else:
        check_window(window, False, None)
        (evidence, count), _, _ = window_sums(
            lambda u, ones: (u, ones),
            (steps,),
            jnp.isfinite(steps),
            window,
            is_centred=False,
        )
        evidence = jnp.where(count == window, evidence, jnp.nan)
    return jax.nn.sigmoid(jnp.log(prior) - jnp.log1p(-prior) + evidence)


def informed_flow(
    price_changes: ArrayLike,
    signed_volume: ArrayLike,
    volume: ArrayLike,
    *,
    window: int,
    reference_window: int,
    reference_buckets: int,
    informed_fraction: ArrayLike,
    belief_window: int | None = None,
    bucket_volume: ArrayLike | None = None,
    num_buckets: int = 50,
    max_buckets: int | None = None,
) -> InformedFlow:
    """Look for informed flow in three ways; none uses what comes later.

    - Kyle's lambda over the last bars, less its trailing median, over its trailing
      robust deviation, through the Gaussian distribution function;
    - the toxicity of the last complete bucket's VPIN;
    - the belief of a market maker who takes every bar for one order, in the direction
      of its net flow. (Pass single trades as bars to let every trade count.)

    Args:
        price_changes: of mids over bars, shape (n,), currency.
        signed_volume: shape (n,), shares.
        volume: shape (n,), shares.
        window: bars for lambda.
        reference_window: bars that lambda is compared with.
        reference_buckets: buckets that VPIN is compared with.
        informed_fraction: for the belief, in [0, 1).
        belief_window: bars, as `window` of `sequential_belief`.
        bucket_volume: as in `vpin`, like the rest. The default uses the volume of all
            bars, future ones included: give one to be strict.
        num_buckets: see there.
        max_buckets: see there.
    """
    lines = price_impact(price_changes, signed_volume, window=window)
    scores = trailing_score(lines.price_impact, window=reference_window)
    found = vpin(
        volume,
        signed_volume,
        bucket_volume=bucket_volume,
        num_buckets=num_buckets,
        max_buckets=max_buckets,
    )
    percentile = toxicity(found.vpin, window=reference_buckets)
    belief = sequential_belief(
        signed_volume, informed_fraction=informed_fraction, window=belief_window
    )
    return InformedFlow(
        impact=ndtr(scores),
        vpin=on_bars(found, percentile, num_bars=scores.shape[0]),
        belief=belief,
    )


def _check_probabilities(
    informed_fraction, buy_probability, sell_probability, prior_high
) -> None:
    check(
        "be at least 0 and below 1",
        lambda x: (x >= 0) & (x < 1),
        informed_fraction=informed_fraction,
    )
    inside = "be above 0 and at most 1"
    check(inside, lambda x: (x > 0) & (x <= 1), buy_probability=buy_probability)
    check(inside, lambda x: (x > 0) & (x <= 1), sell_probability=sell_probability)
    check_values("be in [0, 1]", lambda x: (x >= 0) & (x <= 1), prior_high=prior_high)
    total = buy_probability + sell_probability
    check(
        "be at most 1 together with sell_probability",
        lambda x: x <= 1,
        buy_probability=total,
    )
