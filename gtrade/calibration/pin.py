"""Daily counts of buys and sells, and how many of them the informed send (PIN).

On a day without news, probability 1 - alpha, buys and sells are Poisson with rates e_b
and e_s. On a day of bad news, probability alpha delta, mu more sells come on average;
on a day of good news, alpha (1 - delta), mu more buys (Easley, Kiefer, O'Hara &
Paperman 1996, with a rate for either side).
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, Float, Int, PRNGKeyArray

from gtrade._arrays import as_float
from gtrade._checks import check, check_nonnegative, check_real, check_shape
from gtrade.problems.base import validate_if_concrete


class PinParameters(eqx.Module):
    """What daily counts are drawn from.

    Attributes:
        news_probability: alpha in [0, 1], shape ().
        bad_probability: delta, that news is bad, in [0, 1], shape ().
        buy_rate: e_b, uninformed buys a day, at least 0, shape ().
        sell_rate: e_s, uninformed sells a day, at least 0, shape ().
        informed_rate: mu, informed orders on a day with news, at least 0, shape ().

    Raises:
        ValueError: if a number is inadmissible.
    """

    news_probability: Float[Array, ""] = eqx.field(converter=as_float)
    bad_probability: Float[Array, ""] = eqx.field(converter=as_float)
    buy_rate: Float[Array, ""] = eqx.field(converter=as_float)
    sell_rate: Float[Array, ""] = eqx.field(converter=as_float)
    informed_rate: Float[Array, ""] = eqx.field(converter=as_float)

    def __check_init__(self) -> None:
        """Check shapes, and values where they are concrete."""
        check_shape(
            (),
            news_probability=self.news_probability,
            bad_probability=self.bad_probability,
            buy_rate=self.buy_rate,
            sell_rate=self.sell_rate,
            informed_rate=self.informed_rate,
        )
        validate_if_concrete(self)

    @classmethod
    def validate(
        cls,
        *,
        news_probability: Any,
        bad_probability: Any,
        buy_rate: Any,
        sell_rate: Any,
        informed_rate: Any,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        for name, value in (
            ("news_probability", news_probability),
            ("bad_probability", bad_probability),
        ):
            check_real(**{name: value})
            check("lie in [0, 1]", lambda x: (x >= 0) & (x <= 1), **{name: value})
        check_nonnegative(buy_rate=buy_rate)
        check_nonnegative(sell_rate=sell_rate)
        check_nonnegative(informed_rate=informed_rate)


class Days(NamedTuple):
    """Simulated days, shape (days,) each: counts, and 1 for good news, -1 for bad."""

    buys: Int[Array, " days"]
    sells: Int[Array, " days"]
    news: Int[Array, " days"]


def pin_log_likelihood(
    buys: Int[Array, " days"] | Float[Array, " days"],
    sells: Int[Array, " days"] | Float[Array, " days"],
    parameters: PinParameters,
) -> Float[Array, ""]:
    """Return the log-likelihood of daily counts, for any counts without overflow.

    Args:
        buys: of each day, whole numbers, shape (days,).
        sells: of each day, whole numbers, shape (days,).
        parameters: of the days; gradients in them are exact, bounds included.

    Returns:
        The sum over days, shape (); -inf if a day cannot be.
    """
    return daily_log_likelihoods(buys, sells, parameters).sum()


def daily_log_likelihoods(
    buys: Int[Array, " days"] | Float[Array, " days"],
    sells: Int[Array, " days"] | Float[Array, " days"],
    parameters: PinParameters,
) -> Float[Array, " days"]:
    """Return each day's part of `pin_log_likelihood`."""
    return _log_mixture(*_kinds_of_day(buys, sells, parameters))


def news_probabilities(
    buys: Int[Array, " days"] | Float[Array, " days"],
    sells: Int[Array, " days"] | Float[Array, " days"],
    parameters: PinParameters,
) -> Float[Array, "days 3"]:
    """Return how likely each day had no news, bad news and good news.

    Args:
        buys: of each day, whole numbers, shape (days,).
        sells: of each day, whole numbers, shape (days,).
        parameters: of the days.
    """
    chances, logs = _kinds_of_day(buys, sells, parameters)
    return jax.nn.softmax(logs + jnp.log(chances)[:, None], axis=0).T


def log_poisson(
    count: Float[Array, "*shape"], rate: Float[Array, ""]
) -> Float[Array, "*shape"]:
    """Return log of a Poisson probability, accurate for counts of any size.

    With d = (rate - count) / count it is count (log(1 + d) - d), less what Stirling's
    formula leaves of log(count!): no large numbers cancel (Loader 2000).
    """
    is_zero = count == 0
    safe = jnp.where(is_zero, 1, count)
    excess = (rate - safe) / safe
    is_near = excess > -0.5
    far = jnp.log(jnp.where(rate > 0, rate, 1) / safe)
    log = jnp.where(is_near, jnp.log1p(jnp.where(is_near, excess, 0)), far)
    deviance = safe * (jnp.where(rate > 0, log, -jnp.inf) - excess)
    return jnp.where(is_zero, -rate, deviance - _log_factorial_excess(safe))


def probability_of_informed_trading(parameters: PinParameters) -> Float[Array, ""]:
    """Return PIN, the share of informed orders in all that are expected."""
    informed = parameters.news_probability * parameters.informed_rate
    total = informed + parameters.buy_rate + parameters.sell_rate
    return jnp.where(total > 0, informed / jnp.where(total > 0, total, 1), 0)


def opening_spread(
    parameters: PinParameters, low: Float[Array, ""], high: Float[Array, ""]
) -> Float[Array, ""]:
    """Return the spread that breaks even on the first order of a day, price.

    Args:
        parameters: of the days.
        low: value after bad news, price, shape ().
        high: value after good news; without news it is their mean by delta.

    Returns:
        PIN (high - low) where news and uninformed orders are symmetric.
    """
    news = parameters.news_probability * parameters.informed_rate
    bad = parameters.bad_probability
    buys = parameters.buy_rate + news * (1 - bad)
    sells = parameters.sell_rate + news * bad
    return (high - low) * news * bad * (1 - bad) * (1 / buys + 1 / sells)


def simulate_days(key: PRNGKeyArray, parameters: PinParameters, num_days: int) -> Days:
    """Draw days.

    Args:
        key: source of randomness.
        parameters: of the days.
        num_days: how many (static).
    """
    for_news, for_kind, for_buys, for_sells = jax.random.split(key, 4)
    dtype = parameters.news_probability.dtype
    has_news = jax.random.uniform(for_news, (num_days,), dtype)
    is_bad = jax.random.uniform(for_kind, (num_days,), dtype)
    sign = jnp.where(is_bad < parameters.bad_probability, -1, 1)
    news = jnp.where(has_news < parameters.news_probability, sign, 0)
    informed = parameters.informed_rate
    buy_rates = parameters.buy_rate + jnp.where(news == 1, informed, 0)
    sell_rates = parameters.sell_rate + jnp.where(news == -1, informed, 0)
    return Days(
        jax.random.poisson(for_buys, buy_rates, dtype=jnp.int32),
        jax.random.poisson(for_sells, sell_rates, dtype=jnp.int32),
        news.astype(jnp.int32),
    )


def _kinds_of_day(
    buys: Any, sells: Any, parameters: PinParameters
) -> tuple[Float[Array, " kinds"], Float[Array, "kinds days"]]:
    """Return how likely no, bad and good news are, and what counts say to each."""
    alpha, delta = parameters.news_probability, parameters.bad_probability
    dtype, informed = alpha.dtype, parameters.informed_rate
    buys, sells = (jnp.asarray(x).astype(dtype) for x in (buys, sells))
    few_buys = log_poisson(buys, parameters.buy_rate)
    few_sells = log_poisson(sells, parameters.sell_rate)
    many_buys = log_poisson(buys, parameters.buy_rate + informed)
    many_sells = log_poisson(sells, parameters.sell_rate + informed)
    kinds = [few_buys + few_sells, few_buys + many_sells, many_buys + few_sells]
    chances = jnp.stack([1 - alpha, alpha * delta, alpha * (1 - delta)])
    return chances, jnp.stack(kinds)


def _log_mixture(
    weights: Float[Array, " kinds"], logs: Float[Array, "kinds days"]
) -> Float[Array, " days"]:
    """Return log(sum weight exp(log)), with derivatives in weights that are 0.

    `jax.nn.logsumexp` has none there.
    """
    is_weighed = weights[:, None] > 0
    largest = jnp.where(is_weighed, logs, -jnp.inf).max(axis=0)
    largest = jax.lax.stop_gradient(jnp.where(jnp.isfinite(largest), largest, 0))
    # Only kinds without weight can exceed it; their ratio ends where floats do.
    most = 0.9 * float(np.log(jnp.finfo(logs.dtype).max))
    ratios = jnp.exp(jnp.minimum(logs - largest[None], most))
    return jnp.log((weights[:, None] * ratios).sum(axis=0)) + largest


def _log_factorial_excess(count: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Return log(count!) less count log(count) - count, for counts of at least 1."""
    large = jnp.maximum(count, 16)
    inverse = 1 / large**2
    series = (
        1 / 12 - inverse * (1 / 360 - inverse * (1 / 1260 - inverse / 1680))
    ) / large
    series = series + 0.5 * jnp.log(2 * np.pi * large)
    small = jnp.minimum(count, 16)
    exact = gammaln(small + 1) - small * jnp.log(small) + small
    return jnp.where(count < 16, exact, series)
