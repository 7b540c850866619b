"""Sequential trade with a dealer who learns from orders (Glosten and Milgrom 1985)."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gtrade._arrays import as_float, as_int, as_optional_float
from gtrade._checks import InadmissibleError, check, check_real, check_shape
from gtrade.problems.base import AbstractProblem, replace_fields

ORDERS = ("sell", "pass", "buy")
ORDER_CODES = (-1, 0, 1)

# Decimal probabilities that add up to 1 may miss it by their rounding to float32.
_SLACK = 1e-6


def encode_orders(orders: Any) -> Any:
    """Return orders as whole numbers: "buy" 1, "sell" -1, "pass" 0.

    Args:
        orders: texts or whole numbers, nested to any depth; whatever holds other texts
            comes back as it is, for `validate` to name.
    """
    if not hasattr(orders, "shape"):
        orders = np.asarray(orders)
        orders = orders.astype(np.int32) if orders.size == 0 else orders
    if getattr(orders.dtype, "kind", "") != "U":
        return orders
    codes = np.select([orders == word for word in ORDERS], ORDER_CODES, -2)
    return orders if (codes == -2).any() else codes.astype(np.int32)


def _as_orders(orders: Any) -> Any:
    return as_int(encode_orders(orders))


class GlostenMilgrom(AbstractProblem):
    """A dealer quotes to one trader after the other and makes nothing on average.

    The asset is worth one of two values or of K. A trader who arrives knows which with
    probability `informed_fraction`; otherwise it buys, sells or passes with fixed
    probabilities. All orders are for one share. The ask is the expected value given a
    buy, the bid given a sell, and every order changes what the dealer believes.

    With two values, `low` and `high`, an informed trader buys when the value is high
    and sells when it is low (where a quote equals the value it earns nothing by that).
    With K `values` it buys if the value is above the ask, sells if it is below the bid,
    and passes otherwise, so that a pass is news too (Glosten & Milgrom 1985; O'Hara
    1995, chapter 3).

    Attributes:
        informed_fraction: a in [0, 1], shape ().
        low: value of the asset in the bad case, price, shape (); None with `values`.
        high: in the good case, at least `low`, price, shape (); None with `values`.
        prior_high: probability of the good case before the first order, in [0, 1],
            shape (); None with `values`.
        buy_probability: of an uninformed trader, shape ().
        sell_probability: of an uninformed trader, shape (); both add up to at most 1.
        orders: the path that is shown, 1 for a buy, -1 for a sell, 0 for a pass (or
            those words), shape (orders,).
        values: K values in ascending order, price, shape (values,); None for two.
        prior: their probabilities, shape (values,); None for two.

    Raises:
        ValueError: if a number is inadmissible.
    """

    informed_fraction: Float[Array, ""] = eqx.field(converter=as_float)
    low: Float[Array, ""] | None = eqx.field(converter=as_optional_float, default=None)
    high: Float[Array, ""] | None = eqx.field(converter=as_optional_float, default=None)
    prior_high: Float[Array, ""] | None = eqx.field(
        converter=as_optional_float, default=None
    )
    buy_probability: Float[Array, ""] = eqx.field(converter=as_float, default=0.5)
    sell_probability: Float[Array, ""] = eqx.field(converter=as_float, default=0.5)
    orders: Int[Array, " orders"] = eqx.field(converter=_as_orders, default=())
    values: Float[Array, " values"] | None = eqx.field(
        converter=as_optional_float, default=None
    )
    prior: Float[Array, " values"] | None = eqx.field(
        converter=as_optional_float, default=None
    )

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        check_shape(
            (),
            informed_fraction=self.informed_fraction,
            low=self.low,
            high=self.high,
            prior_high=self.prior_high,
            buy_probability=self.buy_probability,
            sell_probability=self.sell_probability,
        )
        check_shape((None,), orders=self.orders)
        if self.values is not None and self.prior is not None:
            check_shape((None,), values=self.values)
            check_shape(self.values.shape, prior=self.prior)

    @classmethod
    def validate(
        cls,
        *,
        informed_fraction: Any,
        low: Any = None,
        high: Any = None,
        prior_high: Any = None,
        buy_probability: Any = 0.5,
        sell_probability: Any = 0.5,
        orders: Any = (),
        values: Any = None,
        prior: Any = None,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        _check_probability(informed_fraction=informed_fraction)
        _check_probability(buy_probability=buy_probability)
        _check_probability(sell_probability=sell_probability)
        buys, sells = np.broadcast_arrays(buy_probability, sell_probability)
        rule = "add up to at most 1 with buy_probability"
        check(rule, lambda x: x + buys <= 1 + _SLACK, sell_probability=sells)
        two = {"low": low, "high": high, "prior_high": prior_high}
        if values is None and prior is None:
            _check_two_values(two)
        else:
            _check_many_values(two, values, prior)
        _check_orders(orders)

    @property
    def is_two_valued(self) -> bool:
        """Whether the asset is worth `low` or `high`."""
        return self.values is None

    @property
    def levels(self) -> Float[Array, " values"]:
        """All values, ascending, shape (values,)."""
        if self.values is not None:
            return self.values
        assert self.low is not None
        assert self.high is not None
        return jnp.stack([self.low, self.high])

    @property
    def initial_beliefs(self) -> Float[Array, " values"]:
        """Probabilities of the values before the first order, shape (values,)."""
        if self.prior is not None:
            return self.prior / self.prior.sum()
        assert self.prior_high is not None
        return jnp.stack([1 - self.prior_high, self.prior_high])

    @property
    def noise_probabilities(self) -> Float[Array, " 3"]:
        """Chances that an arrival is uninformed and sells, passes, buys, shape (3,)."""
        uninformed = 1 - self.informed_fraction
        passing = jnp.maximum(1 - self.buy_probability - self.sell_probability, 0)
        noise = jnp.stack([self.sell_probability, passing, self.buy_probability])
        return uninformed * noise

    @property
    def order_probabilities(self) -> Float[Array, "2 3"]:
        """Chances of a sell, a pass and a buy, given the low and the high value.

        Of two values; with more they depend on the quotes: `probabilities_at`.
        """
        return self.noise_probabilities[None] + self.informed_fraction * jnp.array(
            [[1, 0, 0], [0, 0, 1]], self.informed_fraction.dtype
        )

    def probabilities_at(
        self, bid: Float[Array, ""], ask: Float[Array, ""]
    ) -> Float[Array, "values 3"]:
        """Return the chances of a sell, a pass and a buy at quotes, given each value.

        Two values do not look at the quotes.
        """
        if self.values is None:
            return self.order_probabilities
        sells, buys = self.values < bid, self.values > ask
        acts = jnp.stack([sells, ~sells & ~buys, buys], axis=-1)
        informed = self.informed_fraction * acts.astype(self.values.dtype)
        return self.noise_probabilities[None] + informed

    @property
    def market_fails(self) -> Bool[Array, " 2"]:
        """Whether only informed traders would sell, would buy, shape (2,)."""
        noise = self.noise_probabilities[jnp.array([0, 2])]
        return (noise == 0) & (self.informed_fraction > 0)

    def admitted(self) -> tuple["GlostenMilgrom", Bool[Array, ""]]:
        """Return an instance that can be computed with, and whether it is this one."""
        fraction, orders = self.informed_fraction, self.orders
        buys, sells = self.buy_probability, self.sell_probability
        chances = jnp.stack([fraction, buys, sells])
        is_valid = ((chances >= 0) & (chances <= 1)).all()
        is_valid &= (buys + sells <= 1 + _SLACK) & (jnp.abs(orders) <= 1).all()
        safe: dict[str, Any] = {
            "informed_fraction": fraction,
            "buy_probability": buys,
            "sell_probability": sells,
        }
        levels, beliefs = self.levels, self.initial_beliefs
        is_valid &= jnp.isfinite(levels).all() & (jnp.diff(levels) >= 0).all()
        is_valid &= ((beliefs >= 0) & (beliefs <= 1)).all()
        if self.prior is not None:
            is_valid &= jnp.abs(self.prior.sum() - 1) <= _SLACK * len(self.prior)
            safe |= {"values": self.values, "prior": self.prior}
        else:
            safe |= {n: getattr(self, n) for n in ("low", "high", "prior_high")}
        safe = {
            k: jnp.where(is_valid, x, jnp.full_like(x, 0.5)) for k, x in safe.items()
        }
        safe["orders"] = jnp.where(is_valid, orders, jnp.zeros_like(orders))
        return replace_fields(self, **safe), is_valid


class ExpectedCurves(eqx.Module):
    """Averages over all paths of trades, before each of a number of trades.

    Attributes:
        spreads: mean spread on random values, price, shape (trades + 1,).
        beliefs_high: mean belief in the high value where it is high.
        beliefs_low: mean belief in the high value where the value is low.
        uncertainties: mean of sqrt(mu (1 - mu)) on random values; times high - low the
            mean standard deviation of the value in the dealer's eyes.
    """

    spreads: Float[Array, " trades"]
    beliefs_high: Float[Array, " trades"]
    beliefs_low: Float[Array, " trades"]
    uncertainties: Float[Array, " trades"]


class QuotePath(eqx.Module):
    """What the dealer quotes and believes before every order and after the last one.

    Attributes:
        bids: price, shape (orders + 1,).
        asks: price, shape (orders + 1,).
        spreads: asks less bids, computed without cancellation, shape (orders + 1,).
        beliefs: that the value is high, shape (orders + 1,); for K values their
            probabilities, shape (orders + 1, values).
        curves: averages over paths; None for K values, where the order of trades
            matters.
    """

    bids: Float[Array, " times"]
    asks: Float[Array, " times"]
    spreads: Float[Array, " times"]
    beliefs: Float[Array, "times *values"]
    curves: ExpectedCurves | None = None


def _check_probability(**subject: Any) -> None:
    check_real(**subject)
    check("lie in [0, 1]", lambda x: (x >= 0) & (x <= 1), **subject)


def _check_two_values(two: Mapping[str, Any]) -> None:
    for name, value in two.items():
        if value is None:
            raise InadmissibleError(name, "be given, or values and prior", None)
    check_real(low=two["low"])
    check_real(high=two["high"])
    low, high = np.broadcast_arrays(two["low"], two["high"])
    check("be at least low", lambda x: x >= low, high=high)
    _check_probability(prior_high=two["prior_high"])


def _check_many_values(two: Mapping[str, Any], values: Any, prior: Any) -> None:
    for name, value in two.items():
        if value is not None:
            raise InadmissibleError(name, "be left out with values and prior", value)
    for name, value in (("values", values), ("prior", prior)):
        if value is None:
            raise InadmissibleError(name, "be given with values or prior", None)
    if np.ndim(values) < 1 or np.shape(values)[-1] < 2:
        raise InadmissibleError("values", "hold at least two values", values)
    if np.ndim(prior) < 1 or np.shape(prior)[-1] != np.shape(values)[-1]:
        rule = f"have one probability for each of {np.shape(values)[-1]} values"
        raise InadmissibleError("prior", rule, prior)
    check_real(ndim=1, values=values)
    check("ascend", lambda x: np.diff(x, axis=-1) >= 0, ndim=1, values=values)
    check_real(ndim=1, prior=prior)
    check("hold no negative probability", lambda x: x >= 0, ndim=1, prior=prior)
    slack = _SLACK * np.shape(prior)[-1]
    check("add up to 1", lambda x: abs(x.sum(-1) - 1) <= slack, ndim=1, prior=prior)


def _check_orders(orders: Any) -> None:
    is_text = np.asarray(orders).dtype.kind in "UO"
    if is_text and np.ndim(orders) > 1:
        rule = "be whole numbers in a batch (see encode_orders)"
        raise InadmissibleError("orders", rule, np.asarray(orders).ravel()[0])
    codes = np.asarray(encode_orders(orders))
    if codes.dtype.kind not in "iu":
        bad = [x for x in np.asarray(orders).ravel() if x not in ORDERS]
        rule = 'hold "buy", "sell" and "pass" (or 1, -1 and 0)'
        raise InadmissibleError("orders", rule, str(bad[0]) if is_text else bad[0])
    check("hold -1, 0 and 1", lambda x: abs(x) <= 1, ndim=1, orders=codes)
