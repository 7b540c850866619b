"""The reference recovers simulated numbers and reproduces published facts.

Facts on market data need the data files (`tests/calibration/market_data.py`).
"""

from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import norm

from tests.calibration.market_data import read

from .estimators import (
    amihud,
    buckets,
    bulk_shares,
    huang_stoll,
    lee_ready,
    madhavan,
    position_limit,
    quote_rule,
    regression,
    roll_spread,
    rolling_regression,
    tick_rule,
    trade_spreads,
    trailing_score,
    trailing_share,
    vpin,
)


def test_regression():
    rng = np.random.default_rng(0)
    x = rng.normal(2, 3, 60)
    y = 0.7 * x - 1 + rng.normal(size=60) * (1 + np.abs(x))
    found = regression(y, x)
    (slope, constant), covariance = np.polyfit(x, y, 1, cov=True)
    rest, spread = y - constant - slope * x, x - x.mean()
    robust = np.sqrt(np.sum(spread**2 * rest**2)) / np.sum(spread**2)
    known = {
        "slope": slope,
        "intercept": constant,
        "standard_error": np.sqrt(covariance[0, 0]),
        "t_statistic": slope / np.sqrt(covariance[0, 0]),
        "r_squared": np.corrcoef(x, y)[0, 1] ** 2,
        "robust_error": robust,
    }
    assert found == pytest.approx(known, rel=1e-11)
    bare = regression(y, x, intercept=False)
    assert bare["slope"] == pytest.approx(x @ y / (x @ x), rel=1e-12)
    scaled = regression(y, 5 * x)
    assert scaled["slope"] == pytest.approx(found["slope"] / 5, rel=1e-12)
    assert np.isnan(regression(y, np.ones(60))["slope"])


def test_rolling_windows():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 12))
    y[7] = np.nan
    strict = rolling_regression(y, x, 4)["slope"]
    assert np.isnan(strict[[0, 1, 2, 7, 8, 9, 10]]).all()
    for end in (4, 5, 6, 7, 12):
        window = slice(end - 4, end)
        assert strict[end - 1] == pytest.approx(np.polyfit(x[window], y[window], 1)[0])
    loose = rolling_regression(y, x, 4, skipna=True, min_periods=3)["slope"]
    assert loose[8] == pytest.approx(np.polyfit(x[[5, 6, 8]], y[[5, 6, 8]], 1)[0])
    assert np.isnan(rolling_regression(y, x, 4, skipna=True, min_periods=4)["slope"][8])


def test_amihud_and_roll():
    assert amihud([0.01, -0.02, 0.5], [10, 20, 30], [100, 50, 0]) == pytest.approx(
        1.5e-5
    )
    rng = np.random.default_rng(2)
    side = rng.choice([-1.0, 1.0], 200_001)
    middle = np.cumsum(0.01 * rng.normal(size=200_001))
    assert roll_spread(np.diff(middle + 0.05 * side)) == pytest.approx(0.1, rel=0.02)
    assert np.isnan(roll_spread([1.0, 2.0, 3.0, 4.0]))


def test_signs():
    prices = [10, 10, 11, 11, 10, 10, 12]
    np.testing.assert_array_equal(tick_rule(prices), [0, 0, 1, 1, -1, -1, 1])
    mids = [9, 10, 12, 11, 10, 11, 12]
    np.testing.assert_array_equal(quote_rule(prices, mids), [1, 0, -1, 0, 0, -1, 0])
    np.testing.assert_array_equal(lee_ready(prices, mids), [1, 0, -1, 1, -1, -1, 1])


def test_buckets_split_bars():
    # Bars of 3 bought, 5 sold, 4 bought, into buckets of 4; nothing is left over.
    np.testing.assert_allclose(buckets([3, 5, 4], [1, 0, 1], 4), [3, 0, 4])
    np.testing.assert_allclose(buckets([3, 5, 3], [1, 0, 1], 4), [3, 0])
    np.testing.assert_allclose(buckets([10], [0.3], 4), [1.2, 1.2])
    np.testing.assert_allclose(
        vpin([3, 5, 4], [1, 0, 1], 4, 3), [np.nan, np.nan, 2.5 / 3]
    )
    # A fiftieth of 1,844,058 in floating point loses the last of fifty buckets.
    total = 1_844_058
    assert total // (total / 50) == 49
    assert len(buckets([total], [1], Fraction(total, 50))) == 50


def test_vpin_of_plain_flows():
    rng = np.random.default_rng(3)
    volumes = rng.integers(1, 50, 300)
    last = vpin(volumes, np.ones(300), 40, 20)
    np.testing.assert_allclose(last[19:], 1)
    np.testing.assert_allclose(vpin(volumes, np.full(300, 0.5), 40, 20)[19:], 0)
    changes = rng.normal(size=300)
    base = vpin(volumes, bulk_shares(changes), 40, 20)
    other = vpin(7 * volumes, bulk_shares(0.01 * changes), 280, 20)
    np.testing.assert_allclose(base, other, rtol=1e-9)
    np.testing.assert_array_equal(bulk_shares(np.zeros(3)), 0.5)


def test_vpin_of_gaussian_bars():
    rng = np.random.default_rng(4)
    changes = rng.normal(size=(400_000, 2))
    one = np.abs(2 * norm.cdf(changes[:, 0]) - 1)
    assert abs(one.mean() - 1 / 2) < 4 * one.std() / np.sqrt(400_000)
    two = np.abs(norm.cdf(changes).sum(axis=1) - 1)
    assert abs(two.mean() - 1 / 3) < 4 * two.std() / np.sqrt(400_000)
    for bars, printed in ((10, 0.519), (50, 0.503)):
        sample = rng.normal(size=(2_000_000 // bars, bars))
        share = norm.cdf(sample / sample.std(axis=1, ddof=1, keepdims=True))
        assert abs(np.abs(2 * share - 1).mean() - printed) < 0.001


def markov_signs(rng, count, persistence):
    """Signs with that first autocorrelation, equally likely."""
    switch = rng.random(count) < (1 - persistence) / 2
    return np.where(np.cumsum(switch) % 2 == 0, 1.0, -1.0)


def test_madhavan_recovers():
    rng = np.random.default_rng(5)
    count, adverse, fixed, rho = 20_000, 0.03, 0.02, 0.3
    signs = markov_signs(rng, count, rho)
    news = 0.01 * rng.normal(size=count)
    news[1:] += adverse * (signs[1:] - rho * signs[:-1])
    prices = np.cumsum(news) + fixed * signs + 0.02 * rng.normal(size=count)
    changes = np.diff(prices, prepend=np.nan)
    found = madhavan(changes, signs)
    assert abs(found["adverse"] - adverse) < 3 * found["adverse_error"]
    assert abs(found["fixed"] - fixed) < 3 * found["fixed_error"]
    assert abs(found["share"] - 0.6) < 3 * found["share_error"]
    assert found["spread"] == pytest.approx(0.1, rel=0.03)
    without = madhavan(changes, signs, num_lags=0)
    assert without["adverse_error"] > found["adverse_error"]


@pytest.mark.parametrize("persistence", [0.0, 0.3, 0.6])
def test_madhavan_errors_need_lags(persistence):
    # With errors from rounding alone, errors without lags are sqrt(2 / (1 - rho)) times
    # too wide; one lag at half weight takes back a part of it.
    rng = np.random.default_rng(8)
    count, found = 4000, []
    for _ in range(150):
        signs = markov_signs(rng, count, persistence)
        news = np.zeros(count)
        news[1:] = 0.02 * (signs[1:] - persistence * signs[:-1])
        prices = np.cumsum(news) + 0.01 * signs + 0.02 * rng.normal(size=count)
        changes = np.diff(prices, prepend=np.nan)
        each = [madhavan(changes, signs, num_lags=lags) for lags in (0, 1, 12)]
        found.append([each[0]["adverse"], *[x["adverse_error"] for x in each]])
    found = np.array(found)
    true = found[:, 0].std(ddof=1)
    none, one, many = found[:, 1:].mean(axis=0) / true
    assert none == pytest.approx(np.sqrt(2 / (1 - persistence)), rel=0.2)
    assert many < one < none
    assert abs(many - 1) < 0.25


def test_madhavan_on_noise_and_on_glosten_milgrom():
    rng = np.random.default_rng(6)
    signs = rng.choice([-1.0, 1.0], 5000)
    noise = madhavan(np.diff(0.05 * signs, prepend=np.nan), signs)
    assert abs(noise["share"]) < 1e-9
    changes, flow = glosten_milgrom_changes(rng, 3000, 30, 0.3)
    first, before = flow[:, 1:], flow[:, :-1]
    mean = flow.mean()
    rho = np.mean((first - mean) * (before - mean)) / np.mean((flow - mean) ** 2)
    columns = [first.ravel(), before.ravel(), np.ones(first.size)]
    design = np.column_stack(columns)
    slopes = np.linalg.lstsq(design, changes[:, 1:].ravel(), rcond=None)[0]
    adverse = (slopes[0] + slopes[1]) / (1 - rho)
    assert adverse / slopes[0] == pytest.approx(1, abs=0.02)


def glosten_milgrom_changes(rng, paths, trades, informed):
    """Changes of transaction prices, value 0 or 1 at random, symmetric noise."""
    high = rng.random((paths, 1)) < 0.5
    buys = rng.random((paths, trades)) < np.where(high, 1 + informed, 1 - informed) / 2
    flow = np.where(buys, 1.0, -1.0)
    odds = ((1 + informed) / (1 - informed)) ** np.cumsum(flow, axis=1)
    prices = odds / (1 + odds)
    return np.diff(prices, axis=1, prepend=0.5), flow


def test_huang_stoll_recovers():
    rng = np.random.default_rng(7)
    count, adverse, inventory, reversal = 40_000, 0.3, 0.2, 0.65
    persistence = 1 - 2 * reversal
    signs = markov_signs(rng, count, persistence)
    spreads = rng.choice([0.02, 0.04], count)
    mids = np.zeros(count)
    for t in range(1, count):
        surprise = 0.0
        if t > 1:
            surprise = persistence * spreads[t - 2] / 2 * signs[t - 2]
        push = spreads[t - 1] / 2 * signs[t - 1]
        change = (adverse + inventory) * push - adverse * surprise
        mids[t] = mids[t - 1] + change + 0.002 * rng.normal()
    found = huang_stoll(mids, spreads, signs)
    assert abs(found["both"] - 0.5) < 3 * found["slope_error"]
    assert found["reversal"] == pytest.approx(reversal, abs=0.01)
    assert found["adverse"] == pytest.approx(adverse, abs=0.02)
    assert found["inventory"] == pytest.approx(inventory, abs=0.02)
    parts = found["adverse"] + found["inventory"] + found["processing"]
    assert parts == pytest.approx(1)


def test_trade_spreads():
    effective, realised = trade_spreads(
        [1.0, 2.5],
        [10.1, 9.8],
        [1, -1],
        [10.0, 9.9],
        [0.0, 2.0, 3.0],
        [10.0, 10.04, 9.75],
        1.0,
    )
    np.testing.assert_allclose(effective, [0.2, 0.2])
    np.testing.assert_allclose(realised[0], 2 * (10.1 - 10.04))
    assert np.isnan(realised[1])  # 3.5 is after the last quote


def test_trailing_scores_and_limits():
    series = [3.0, 1.0, 2.0, 5.0, 0.0]
    np.testing.assert_allclose(
        trailing_share(series, 3), [np.nan, np.nan, 2 / 3, 1, 1 / 3]
    )
    np.testing.assert_allclose(trailing_score(series, 3), [np.nan, np.nan, 0, 3, -1])
    assert position_limit(100, 0.5, 4, 2.0, 7) == 50
    assert position_limit(100, -0.5, 4, 2.0, 7) == 100
    assert position_limit(100, np.nan, 4, 2.0, 7) == 7


@pytest.fixture(scope="module")
def nasdaq():
    columns = read("amzn_2012-06-21_level1.csv.gz")
    return np.rec.fromarrays(list(columns.values()), names=list(columns))


def test_executions_of_the_day(nasdaq):
    trades = nasdaq[nasdaq["type"] == 4]
    assert len(trades) == 8974
    assert trades["size"].sum() == 613_248
    held = np.diff(nasdaq["time_s"])
    spread = (nasdaq["ask_1e4"] - nasdaq["bid_1e4"])[:-1] / 1e4
    assert abs(held @ spread / held.sum() - 0.1285) < 5.01e-5


@pytest.mark.parametrize(
    ("width", "impact", "error", "share", "count", "robust"),
    [
        (10, 7.917e-5, 2.40e-6, 0.318, 2340, 6.36e-6),
        (60, 8.211e-5, 5.11e-6, 0.399, 390, 7.49e-6),
        (300, 7.173e-5, 7.72e-6, 0.532, 78, 8.78e-6),
    ],
)
def test_impact_on_the_day(nasdaq, width, impact, error, share, count, robust):
    changes, flows = np.zeros(count), np.zeros(count)
    mid = (nasdaq["ask_1e4"] + nasdaq["bid_1e4"]) / 2e4
    bar = np.floor((nasdaq["time_s"] - 34200) / width).astype(int)
    before = mid[0]
    for k in range(count):
        inside = bar == k
        last = mid[inside][-1] if inside.any() else before
        changes[k], before = last - before, last
        fills = nasdaq[inside & (nasdaq["type"] == 4)]
        flows[k] = -np.sum(fills["direction"] * fills["size"])
    found = regression(changes, flows)
    assert abs(found["slope"] - impact) < 5.01e-9
    assert abs(found["standard_error"] - error) < 5.01e-9
    assert abs(found["r_squared"] - share) < 5.01e-4
    assert abs(found["robust_error"] - robust) < 5.01e-9


def test_vpin_of_the_day(nasdaq):
    trades = nasdaq[nasdaq["type"] == 4]
    volumes = [int(v) for v in trades["size"]]
    size = Fraction(sum(volumes), 50)
    assert float(size) == 12_264.96
    series = vpin(volumes, trades["direction"] == -1, size, 50)
    assert len(series) == 50
    assert abs(series[-1] - 0.26875) < 5.01e-6


def test_bulk_vpin_of_index_futures():
    trades = read("es_futures_trades_2013-09.csv.gz")
    minute = trades["unix_ms"] // 60_000
    volumes, closes = [], []
    for i, m in enumerate(minute):
        if i == 0 or m != minute[i - 1]:
            volumes.append(0)
            closes.append(0.0)
        volumes[-1] += int(trades["volume"][i])
        closes[-1] = trades["price"][i]
    assert len(volumes) == 2264
    changes = np.diff(closes, prepend=closes[0])
    assert abs(np.std(changes, ddof=1) - 0.33837) < 5.01e-6
    size = Fraction(sum(volumes), 50)
    series = vpin(volumes, bulk_shares(changes), size, 50)
    assert abs(series[-1] - 0.22047) < 5.01e-6
