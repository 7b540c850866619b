"""Numbers of two real markets, known beforehand."""

import numpy as np
import pytest

from gtrade.calibration import estimators
from gtrade.calibration.bars import signed_bars
from tests.calibration import compiled, market_data


@pytest.fixture(scope="module")
def amazon():
    return market_data.amazon()


@pytest.fixture(scope="module")
def futures():
    return market_data.futures()


@pytest.mark.parametrize(
    ("width", "impact", "error", "robust", "r_squared"),
    [
        (10, 7.917e-5, 2.40e-6, 6.36e-6, 0.318),
        pytest.param(60, 8.211e-5, 5.11e-6, 7.49e-6, 0.399, marks=pytest.mark.slow),
        (300, 7.173e-5, 7.72e-6, 8.78e-6, 0.532),
    ],
)
def test_price_impact_of_a_day(
    amazon, in_float64, width, impact, error, robust, r_squared
):
    bars = signed_bars(amazon, width)
    changes, flow = bars["price_change"], bars["signed_volume"]
    num_bars = 23_400 // width
    found = compiled.price_impact(changes, flow)
    assert found.num_bars == num_bars
    assert abs(found.price_impact - impact) < 0.5e-8
    assert abs(found.standard_error - error) < 0.5e-8
    assert abs(found.r_squared - r_squared) < 0.5e-3
    found = compiled.price_impact(changes, flow, errors="robust")
    assert abs(found.standard_error - robust) < 0.5e-8


def test_vpin_of_a_day(amazon, in_float64):
    trades = amazon.executions()
    found = estimators.vpin(trades.size, trades.signed_size)
    np.testing.assert_allclose(found.bucket_volume, 12_264.96)
    assert found.vpin.shape == (50,)
    assert abs(found.vpin[-1] - 0.26875) < 0.5e-5


def test_executions_print_at_the_quotes_so_the_quote_rule_is_right(amazon, in_float64):
    trades = amazon.executions()
    assert np.isfinite(trades.bid).all()
    found = compiled.quote_rule(trades.price, (trades.bid + trades.ask) / 2)
    np.testing.assert_array_equal(found, trades.side)
    # The tick rule, which sees no quotes, is right far more often than a coin.
    ticks = compiled.tick_rule(trades.price)
    assert 0.6 < (np.asarray(ticks) == trades.side).mean() < 0.95


def test_spread_of_a_day(amazon, in_float64):
    trades = amazon.executions()
    found = compiled.spread_by_horizon(
        trades.time,
        trades.price,
        trades.side,
        amazon.time,
        amazon.mid,
        horizons=np.array([1.0, 10.0, 60.0, 300.0]),
    )
    # Takers pay a little less than the quoted spread; impact takes most of it away.
    assert (found.mean_effective < 0.1285).all()
    assert (found.mean_effective > 0.05).all()
    assert (found.mean_realised < found.mean_effective).all()
    assert (found.mean_impact > 0).all()


def test_bulk_vpin_of_the_futures(futures, in_float64):
    index = market_data.minutes(futures)
    num_bars = int(index[-1]) + 1
    assert num_bars == 2264
    found = compiled.bars(
        futures.price, futures.size, futures.side, index, num_bars=num_bars
    )
    changes = np.diff(found.last_price, prepend=found.last_price[0])
    assert abs(changes.std(ddof=1) - 0.33837) < 0.5e-5
    signed = compiled.bulk_signed_volume(changes, found.volume)
    by_reader = market_data.futures(signs="bulk").signed_size
    np.testing.assert_allclose(np.bincount(index, by_reader), signed, atol=1e-6)
    found = estimators.vpin(found.volume, signed)
    assert found.vpin.shape == (50,)
    assert abs(found.vpin[-1] - 0.22047) < 0.5e-5
