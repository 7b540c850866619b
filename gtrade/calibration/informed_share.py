"""How many traders are informed, from buys, sells and passes of many days.

The asset is worth one of two values, drawn anew each day. An informed trader, who
arrives with probability a, buys if the value is high and sells if it is low; others
buy, sell or pass with fixed probabilities (Glosten & Milgrom 1985;
`gtrade.GlostenMilgrom`). Only the counts of a day matter, not the order of its orders.
"""

import abc
import itertools
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gtrade._arrays import as_float
from gtrade._checks import (
    InadmissibleError,
    check,
    check_nonnegative,
    check_real,
    check_shape,
)
from gtrade.calibration.fit import AbstractFitProblem, Domain, Fit

_STARTS = (0.03, 0.1, 0.3, 0.6, 0.9)
_PRIORS = (0.2, 0.5, 0.8)
_INSIDE = 0.01  # how far from 0 and 1 searches begin


class AbstractOrderDays(AbstractFitProblem):
    """Counts of orders of many days.

    Attributes:
        buys: of each day, whole numbers, shape (days,).
        sells: of each day, whole numbers, shape (days,).
        passes: traders of each day who did not trade, whole numbers, shape (days,).
    """

    buys: eqx.AbstractVar[Float[Array, " days"]]
    sells: eqx.AbstractVar[Float[Array, " days"]]
    passes: eqx.AbstractVar[Float[Array, " days"]]

    @abc.abstractmethod
    def prior_of(self, values: Float[Array, " parameters"]) -> Float[Array, ""]:
        """Return the probability that a day's value is high."""

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        check_shape((None,), buys=self.buys)
        days = self.buys.shape
        check_shape(days, sells=self.sells, passes=self.passes, weights=self.weights)

    def scale(self) -> Float[Array, " parameters"]:
        return jnp.ones((len(self.names),), self.buys.dtype)

    def starts(self) -> Float[Array, "starts parameters"]:
        """Return values that explain how many buy and pass on average."""
        counts = jnp.stack([self.buys, self.sells, self.passes])
        totals = (self.weights[None] * counts).sum(axis=1)
        everyone = totals.sum()
        shares = totals / jnp.where(everyone > 0, everyone, 1)
        has_prior = len(self.names) > 3
        grid = list(itertools.product(_STARTS, _PRIORS if has_prior else (0.5,)))
        informed, prior = jnp.asarray(np.array(grid).T, self.buys.dtype)
        if not has_prior:
            prior = jnp.broadcast_to(self.prior_of(informed), prior.shape)
        noise = 1 - informed
        trades = jnp.clip(1 - shares[2] / noise, _INSIDE, 1 - _INSIDE)
        buying = (shares[0] - prior * informed) / (noise * trades)
        buying = jnp.clip(buying, _INSIDE, 1 - _INSIDE)
        columns = [informed, trades, buying, prior]
        return jnp.stack(columns[: len(self.names)], axis=1)

    def log_likelihoods(
        self, values: Float[Array, " parameters"]
    ) -> Float[Array, " observations"]:
        informed, prior = values[0], self.prior_of(values)
        noise = noise_of(values)
        quiet = 1 - informed

        def given(buy: Array, sell: Array) -> Array:
            return _times_log(self.buys, buy) + _times_log(self.sells, sell)

        high = given(informed + quiet * noise.buy, quiet * noise.sell)
        low = given(quiet * noise.buy, informed + quiet * noise.sell)
        mixed = jnp.logaddexp(jnp.log(prior) + high, jnp.log1p(-prior) + low)
        return mixed + _times_log(self.passes, quiet * noise.passing)

    def is_admissible(self) -> Bool[Array, ""]:
        """Return whether several days have counts, and one of them two trades."""
        is_used = self.weights > 0
        numbers = jnp.stack([self.buys, self.sells, self.passes, self.weights])
        is_count = (jnp.isfinite(numbers) & (numbers >= 0)).all()
        trades = jnp.where(is_used, self.buys + self.sells, 0)
        prior = self.prior_of(self.starts()[0])
        is_good = is_count & (prior >= 0) & (prior <= 1)
        return is_good & ((trades > 0).sum() > 1) & (trades.max() > 1)


class OrderDays(AbstractOrderDays):
    """Counts of orders, with a known probability of the high value.

    Attributes:
        buys: of each day, whole numbers, shape (days,).
        sells: of each day, whole numbers, shape (days,).
        passes: traders of each day who did not trade, whole numbers, shape (days,).
        prior_high: probability that a day's value is high, in [0, 1], shape ().
        weights: of each day, 1 if left out; 0 leaves a day out.

    Raises:
        ValueError: if a number is inadmissible.
    """

    names: ClassVar[tuple[str, ...]] = (
        "informed_fraction",
        "noise_trade_probability",
        "noise_buy_share",
    )
    units: ClassVar[tuple[str, ...]] = ("1", "1", "1")
    domains: ClassVar[tuple[Domain, ...]] = ("share", "share", "share")

    buys: Float[Array, " days"] = eqx.field(converter=as_float)
    sells: Float[Array, " days"] = eqx.field(converter=as_float)
    passes: Float[Array, " days"] = eqx.field(converter=as_float)
    prior_high: Float[Array, ""] = eqx.field(converter=as_float)
    weights: Float[Array, " days"] = eqx.field(converter=as_float)

    def __init__(
        self,
        buys: Any,
        sells: Any,
        passes: Any,
        prior_high: Any = 0.5,
        weights: Any = None,
    ) -> None:
        """Give every day the weight 1 if none are given."""
        self.buys, self.sells = as_float(buys), as_float(sells)
        self.passes, self.prior_high = as_float(passes), as_float(prior_high)
        ones = jnp.ones_like(self.buys)
        self.weights = ones if weights is None else as_float(weights)

    @classmethod
    def validate(
        cls,
        *,
        buys: Any,
        sells: Any,
        passes: Any,
        prior_high: Any = 0.5,
        weights: Any = None,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        _check_counts(buys=buys, sells=sells, passes=passes, weights=weights)
        check_real(prior_high=prior_high)
        check("lie in [0, 1]", lambda x: (x >= 0) & (x <= 1), prior_high=prior_high)

    def prior_of(self, values: Float[Array, " parameters"]) -> Float[Array, ""]:
        del values
        return self.prior_high


class OrderDaysOfUnknownPrior(AbstractOrderDays):
    """Counts of orders; how often the value is high is fitted too.

    Attributes:
        buys: of each day, whole numbers, shape (days,).
        sells: of each day, whole numbers, shape (days,).
        passes: traders of each day who did not trade, whole numbers, shape (days,).
        weights: of each day, 1 if left out; 0 leaves a day out.

    Raises:
        ValueError: if a number is inadmissible.
    """

    names: ClassVar[tuple[str, ...]] = (*OrderDays.names, "prior_high")
    units: ClassVar[tuple[str, ...]] = ("1", "1", "1", "1")
    domains: ClassVar[tuple[Domain, ...]] = ("share", "share", "share", "share")

    buys: Float[Array, " days"] = eqx.field(converter=as_float)
    sells: Float[Array, " days"] = eqx.field(converter=as_float)
    passes: Float[Array, " days"] = eqx.field(converter=as_float)
    weights: Float[Array, " days"] = eqx.field(converter=as_float)

    def __init__(self, buys: Any, sells: Any, passes: Any, weights: Any = None) -> None:
        """Give every day the weight 1 if none are given."""
        self.buys, self.sells = as_float(buys), as_float(sells)
        self.passes = as_float(passes)
        ones = jnp.ones_like(self.buys)
        self.weights = ones if weights is None else as_float(weights)

    @classmethod
    def validate(
        cls, *, buys: Any, sells: Any, passes: Any, weights: Any = None
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        _check_counts(buys=buys, sells=sells, passes=passes, weights=weights)

    def prior_of(self, values: Float[Array, " parameters"]) -> Float[Array, ""]:
        return values[3]


class Noise(NamedTuple):
    """What an uninformed trader does: probabilities that add up to 1, shape () each."""

    buy: Float[Array, ""]
    sell: Float[Array, ""]
    passing: Float[Array, ""]


def noise_of(values: Float[Array, " parameters"]) -> Noise:
    """Return the uninformed trader's probabilities from the numbers of a fit."""
    trades, buying = values[1], values[2]
    return Noise(trades * buying, trades * (1 - buying), 1 - trades)


def noise_probabilities(fit: Fit) -> tuple[Noise, Noise]:
    """Return the uninformed trader's probabilities, and their standard errors.

    Args:
        fit: of `OrderDays` or `OrderDaysOfUnknownPrior`; one, map over a batch.

    Returns:
        Probabilities, and errors by the delta method; NaN where the data leave a number
        open, or it lies at a bound.
    """
    slopes = jax.jacfwd(noise_of)(fit.values)

    def error(slope: Array) -> Array:
        both = slope[:, None] * slope[None]
        return jnp.sqrt(jnp.where(both == 0, 0, both * fit.covariance).sum())

    return noise_of(fit.values), Noise(*(error(slope) for slope in slopes))


def _check_counts(*, weights: Any, **counts: Any) -> None:
    for name, column in counts.items():
        if np.ndim(column) < 1 or np.shape(column)[-1] < 1:
            raise InadmissibleError(name, "hold at least one day", column)
        check_nonnegative(ndim=1, **{name: column})
        rule = "be whole numbers"
        check(rule, lambda x: x == np.floor(x), ndim=1, **{name: column})
    if weights is not None:
        check_nonnegative(ndim=1, weights=weights)


def _times_log(count: Array, probability: Array) -> Array:
    """Return count log(probability), 0 where nothing was counted."""
    tiny = float(jnp.finfo(count.dtype).tiny)
    log = jnp.log(jnp.maximum(probability, tiny))
    return jnp.where(count > 0, count * log, 0)
