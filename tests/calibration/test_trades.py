import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtrade.calibration import estimators
from tests.calibration import compiled, loops

NAN = np.nan


def test_tick_rule_by_hand():
    prices = [10.0, 10.0, 11.0, 11.0, NAN, 11.0, 10.5, 10.5, 12.0]
    expected = [0, 0, 1, 1, NAN, 1, -1, -1, 1]
    np.testing.assert_array_equal(compiled.tick_rule(np.array(prices)), expected)


def test_tick_rule_equals_a_loop(x64):
    rng = np.random.default_rng(1)
    prices = 100 + np.cumsum(rng.integers(-1, 2, 500)) / 4
    prices[rng.random(500) < 0.05] = NAN
    found = estimators.tick_rule(prices)
    np.testing.assert_array_equal(found, loops.tick_signs(prices))
    assert found.dtype == (jnp.float64 if x64 else jnp.float32)
    np.testing.assert_array_equal(jax.jit(estimators.tick_rule)(prices), found)
    np.testing.assert_array_equal(  # units and origin of prices
        compiled.tick_rule(8 * prices + 16), found
    )


def test_quote_rule_and_lee_ready_by_hand():
    prices = np.array([10.0, 10.5, 10.25, 10.25, 10.25, 10.0])
    mids = np.array([10.25, 10.25, 10.25, NAN, 10.25, 10.0])
    np.testing.assert_array_equal(
        compiled.quote_rule(prices, mids), [-1, 1, 0, NAN, 0, 0]
    )
    # At the mid, or without one: the last tick, down from 10.5.
    np.testing.assert_array_equal(
        compiled.lee_ready(prices, mids), [-1, 1, -1, -1, -1, -1]
    )


def test_first_trade_at_the_mid_has_no_sign():
    found = compiled.lee_ready(np.array([10.0, 10.0]), np.array([10.0, 9.0]))
    np.testing.assert_array_equal(found, [0, 1])


def test_prevailing_quotes(in_float64):
    times, values = np.array([1.0, 2.0, 2.0, 3.0]), np.array([10.0, 20.0, 21.0, 30.0])
    at = np.array([0.5, 1.0, 2.0, 2.5, 9.0])
    strictly = compiled.prevailing(times, values, at)
    np.testing.assert_array_equal(strictly, [NAN, NAN, 10, 21, 30])
    known = compiled.prevailing(times, values, at, is_strict=False)
    np.testing.assert_array_equal(known, [NAN, 10, 21, 21, 30])
    late = compiled.prevailing(times, values, at, delay=1.0, is_strict=False)
    np.testing.assert_array_equal(late, [NAN, NAN, 10, 10, 30])
    table = compiled.prevailing(times, values, at.reshape(5, 1))
    assert table.shape == (5, 1)


def test_bars_equal_a_loop(in_float64):
    rng = np.random.default_rng(3)
    n, num_bars = 300, 40
    times = 100.0 + np.sort(rng.uniform(-10, 90, n))  # some before, some after
    times[(times > 120) & (times < 128)] = 120.0  # leaves bars empty
    prices, sizes = rng.normal(50, 1, n), rng.integers(1, 9, n)
    signs = rng.choice([-1, 0, 1], n)
    index = compiled.bar_index(times, start=100.0, width=2.0)
    np.testing.assert_array_equal(index, np.floor((times - 100) / 2))
    found = compiled.bars(prices, sizes, signs, index, num_bars=num_bars)
    found = jax.tree.map(np.asarray, found)
    last = NAN
    for bar in range(num_bars):
        own = np.flatnonzero((times >= 100 + 2 * bar) & (times < 102 + 2 * bar))
        last = prices[own[-1]] if len(own) else last
        assert found.volume[bar] == sizes[own].sum()
        assert found.signed_volume[bar] == (sizes * signs)[own].sum()
        assert int(found.num_trades[bar]) == len(own)
        np.testing.assert_array_equal(found.last_price[bar], last)


def test_bars_before_the_first_trade_have_no_price(in_float64):
    found = compiled.last_in_bar(
        np.array([5.0, 7.0, 8.0]), np.array([-1, 1, 1]), num_bars=4
    )
    np.testing.assert_array_equal(found, [NAN, 8, 8, 8])


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="width must be greater than 0; got 0.0"):
        estimators.bar_index(np.arange(3.0), start=0.0, width=0.0)
    with pytest.raises(ValueError, match=r"steps_of_times\[0\] must be at least 0"):
        estimators.prevailing(np.array([2.0, 1.0]), np.zeros(2), np.zeros(1))
    with pytest.raises(ValueError, match=r"steps_of_index\[0\] must be at least 0"):
        estimators.last_in_bar(np.zeros(2), np.array([1, 0]), num_bars=2)
    with pytest.raises(ValueError, match="index must hold integers; got float"):
        estimators.last_in_bar(np.zeros(2), np.zeros(2), num_bars=2)
    with pytest.raises(ValueError, match=r"sizes\[1\] must be at least 0; got -2.0"):
        estimators.bars(
            np.ones(2), np.array([1.0, -2.0]), np.ones(2), np.zeros(2, int), num_bars=1
        )
    with pytest.raises(ValueError, match="num_bars must be at least 1; got 0"):
        estimators.last_in_bar(np.zeros(2), np.zeros(2, int), num_bars=0)
