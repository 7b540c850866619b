"""Orders as words and numbers, chances of orders, and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade._checks import InadmissibleError
from gtrade.problems.base import replace_fields
from gtrade.problems.glosten_milgrom import encode_orders

TWO = {"low": 90.0, "high": 110.0, "prior_high": 0.4, "informed_fraction": 0.3}
MANY = {"values": [90.0, 97.0, 110.0], "prior": [0.2, 0.5, 0.3]}


def many(**changes):
    return gtrade.GlostenMilgrom(informed_fraction=0.3, **MANY, **changes)


def test_words_are_numbers():
    codes = encode_orders([["buy", "sell"], ["pass", "buy"]])
    assert codes.tolist() == [[1, -1], [0, 1]]
    assert codes.dtype == np.int32
    words = gtrade.GlostenMilgrom(orders=["buy", "pass", "sell"], **TWO)
    numbers = gtrade.GlostenMilgrom(orders=[1, 0, -1], **TWO)
    assert words.orders.dtype == jnp.int32
    assert words.orders.tolist() == numbers.orders.tolist() == [1, 0, -1]
    assert gtrade.GlostenMilgrom(**TWO).orders.shape == (0,)
    assert gtrade.GlostenMilgrom(orders=[], **TWO).orders.dtype == jnp.int32


def test_chances_of_orders(x64):
    noise = {"buy_probability": 0.2, "sell_probability": 0.5}
    low, high = gtrade.GlostenMilgrom(**TWO, **noise).order_probabilities
    np.testing.assert_allclose(low, [0.3 + 0.35, 0.21, 0.14], rtol=1e-6)
    np.testing.assert_allclose(high, [0.35, 0.21, 0.3 + 0.14], rtol=1e-6)
    game = many(**noise)
    found = game.probabilities_at(jnp.asarray(95.0), jnp.asarray(110.0))
    # At its own value as an ask an informed trader passes.
    wanted = [[0.65, 0.21, 0.14], [0.35, 0.51, 0.14], [0.35, 0.51, 0.14]]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-6)


def test_decimal_probabilities_may_miss_one_by_their_rounding():
    gtrade.GlostenMilgrom(
        buy_probability=np.float32(0.7), sell_probability=np.float32(0.3), **TWO
    )
    thirds = np.full(3, 1 / 3, np.float32)
    gtrade.GlostenMilgrom(informed_fraction=0.1, values=[1.0, 2.0, 3.0], prior=thirds)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"low": None}, "low must be given, or values and prior; got None"),
        ({"high": 80.0}, "high must be at least low; got 80.0"),
        ({"high": np.inf}, "high must be finite; got inf"),
        ({"prior_high": 1.1}, r"prior_high must lie in \[0, 1\]; got 1.1"),
        ({"informed_fraction": -0.1}, r"informed_fraction must lie in \[0, 1\]"),
        ({"buy_probability": 2.0}, r"buy_probability must lie in \[0, 1\]; got 2.0"),
        (
            {"buy_probability": 0.6},
            "sell_probability must add up to at most 1 with buy_probability; got 0.5",
        ),
        (
            {"buy_probability": np.array([0.1, 0.6])},
            r"sell_probability must add up to at most 1 .*; got 0.5 \(row 1\)",
        ),
        ({"orders": ["buy", "hold"]}, "orders must hold .*; got 'hold'"),
        ({"orders": [1.0]}, "orders must hold .*; got 1.0"),
        ({"orders": [1, 2]}, r"orders must hold -1, 0 and 1; got \[1, 2\]"),
        ({"orders": [["buy"], ["sell"]]}, "orders must be whole numbers in a batch"),
        ({"values": [1.0, 2.0]}, "low must be left out with values and prior"),
    ],
)
def test_refusals_of_two_values(numbers, message):
    with pytest.raises(InadmissibleError, match=message):
        gtrade.GlostenMilgrom.validate(**TWO | numbers)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"prior": None}, "prior must be given with values or prior; got None"),
        ({"values": [1.0], "prior": [1.0]}, "values must hold at least two values"),
        ({"prior": [0.5, 0.5]}, "prior must have one probability for each of 3 values"),
        ({"values": [1.0, 3.0, 2.0]}, "values must ascend"),
        ({"prior": [0.5, 0.6, -0.1]}, "prior must hold no negative probability"),
        ({"prior": [0.5, 0.3, 0.1]}, "prior must add up to 1"),
        ({"prior": [0.5, 0.3, np.nan]}, "prior must be finite"),
    ],
)
def test_refusals_of_many_values(numbers, message):
    with pytest.raises(InadmissibleError, match=message):
        gtrade.GlostenMilgrom.validate(informed_fraction=0.3, **MANY | numbers)


def test_refusals_name_what_is_built():
    with pytest.raises(ValueError, match="orders must hold"):
        gtrade.GlostenMilgrom(orders=["buy", "hold"], **TWO)
    with pytest.raises(ValueError, match="low must have shape"):
        gtrade.GlostenMilgrom(**TWO | {"low": [1.0, 2.0]})
    with pytest.raises(ValueError, match="prior must have"):
        gtrade.GlostenMilgrom(
            informed_fraction=0.3, values=[1.0, 2.0], prior=[0.2, 0.3, 0.5]
        )


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("low", np.nan),
        ("low", 111.0),
        ("prior_high", 1.5),
        ("informed_fraction", -0.5),
        ("buy_probability", 0.9),
    ],
)
def test_traced_numbers_are_judged_without_an_exception(field, bad):
    game = gtrade.GlostenMilgrom(orders=[1, -1], **TWO)

    @jax.jit
    def judge(value):
        return replace_fields(game, **{field: value}).admitted()

    good = getattr(game, field)
    same, is_valid = judge(good)
    assert is_valid
    assert getattr(same, field) == good
    safe, is_valid = judge(jnp.full_like(good, bad))
    assert not is_valid
    gtrade.GlostenMilgrom.validate(
        **{name: getattr(safe, name) for name in TWO} | {"orders": safe.orders}
    )


def test_traced_priors_are_judged():
    game = many()
    judge = jax.jit(lambda prior: replace_fields(game, prior=prior).admitted()[1])
    assert judge(jnp.array([0.2, 0.5, 0.3]))
    assert not judge(jnp.array([0.2, 0.5, 0.2]))
    assert not judge(jnp.array([0.2, 1.0, -0.2]))
