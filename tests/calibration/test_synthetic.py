"""Made-up data pass the checks of real data, and hold the numbers they were made of."""

import dataclasses
import time

import jax
import numpy as np
import pytest
from scipy import stats

from gtrade import PositionBuilding
from gtrade.calibration import readers, signing, writers
from gtrade.calibration.bars import signed_bars
from gtrade.calibration.records import DailyCounts
from gtrade.calibration.synthetic import (
    Market,
    decaying_sum,
    simulate_events,
    simulate_trades,
)
from gtrade.calibration.synthetic_records import (
    OrderFlow,
    simulate_counts,
    simulate_executions,
    simulate_schedules,
)
from tests.calibration import compiled
from tests.calibration.tables import assert_same

COUNTS = {
    "news_probability": [0.3, 0.6],
    "bad_probability": 0.4,
    "buy_rate": [50.0, 2e4],
    "sell_rate": [60.0, 1e4],
    "informed_rate": [40.0, 3e3],
}


@pytest.fixture(scope="module")
def events():
    return simulate_events(Market(), 60_000, seed=1)


@pytest.fixture(scope="module")
def orders():
    return simulate_executions(OrderFlow(fill_noise=0.0), 2000, seed=3)


@pytest.fixture(scope="module")
def schedules():
    with jax.enable_x64(True):
        game = PositionBuilding(
            permanent_impacts=[2.0, 2.0, 2.0],
            targets=[1.0, 3.0, -1.0],
            num_types=(1, 2),
            prior=[0.25, 0.75],
        )
        return simulate_schedules(game, num_times=33, num_days=40, seed=5)


@pytest.mark.parametrize("width", [10, 60])
@pytest.mark.parametrize("seed", [1, 2])
def test_bars_recover_the_price_impact(in_float64, width, seed):
    market = Market(price_impact=5e-5, volatility=0.007, sign_persistence=0.4)
    bars = signed_bars(simulate_events(market, 60_000, seed=seed), width)
    found = compiled.price_impact(bars["price_change"], bars["signed_volume"])
    assert found.num_bars == 23_400 // width
    assert abs(found.price_impact - 5e-5) < 3 * found.standard_error
    assert found.standard_error < 5e-6  # so that the bound above means something


def test_units_of_the_market(in_float64):
    """Prices of a hundredth: impact too; the grid must follow."""
    fine = {"tick": 1e-4, "half_spread": 1e-4}
    small = Market(price_impact=1e-6, volatility=1e-4, start_price=3.0, **fine)
    bars = signed_bars(simulate_events(small, 60_000, seed=1), 10)
    found = compiled.price_impact(bars["price_change"], bars["signed_volume"])
    assert abs(found.price_impact - 1e-6) < 3 * found.standard_error


def test_impact_that_decays_is_seen_at_once_and_gone_later(in_float64):
    lasting = Market(price_impact=5e-5, volatility=0.002)
    decaying = Market(
        price_impact=5e-5, volatility=0.002, transient_impact=2e-4, decay_rate=0.2
    )
    slopes = []
    for market in (lasting, decaying):
        for width in (10, 60):
            bars = signed_bars(simulate_events(market, 60_000, seed=4), width)
            found = compiled.price_impact(bars["price_change"], bars["signed_volume"])
            slopes.append(float(found.price_impact))
    np.testing.assert_allclose(slopes[:2], 5e-5, rtol=0.06)
    assert 1.2e-4 < slopes[2] < 2.5e-4
    assert 5e-5 < slopes[3] < 0.65 * slopes[2]


def test_decaying_sums():
    rng = np.random.default_rng(0)
    for n in (1, 2, 3, 100, 513):
        x, factors = rng.normal(size=n), rng.random(n)
        total, expected = 0.0, []
        for step, factor in zip(x, factors, strict=True):
            total = factor * total + step
            expected.append(total)
        np.testing.assert_allclose(decaying_sum(x, factors), expected, rtol=1e-12)


def test_a_made_up_day_looks_like_a_day(events):
    assert (len(events), events.num_dropped) == (60_000, 0)
    assert events.time[0] >= 34_200
    assert events.time[-1] < 57_600
    assert abs((events.kind == 4).mean() - 0.16) < 0.01
    assert abs((events.kind == 5).mean() - 0.04) < 0.01
    assert (events.order_id[events.kind == 5] == 0).all()
    assert abs(events.size.mean() - 70) < 2
    np.testing.assert_allclose(events.bid * 100, np.round(events.bid * 100), rtol=1e-12)
    spread = events.ask - events.bid
    assert (spread > 0.1 - 1e-9).all()
    assert (spread < 0.13).all()
    trades = events.executions()
    met = np.where(trades.side > 0, trades.ask, trades.bid)
    np.testing.assert_array_equal(trades.price, met)
    # What is taken was there.
    before = np.flatnonzero(events.is_execution()) - 1
    there = np.where(trades.side > 0, events.ask_size[before], events.bid_size[before])
    assert (trades.size <= there).all()


def test_signs_persist_as_asked():
    side = simulate_trades(Market(sign_persistence=0.5), 40_000, seed=2).side
    assert abs((side[1:] * side[:-1]).mean() - 0.5) < 0.02
    side = simulate_trades(Market(), 40_000, seed=2).side
    assert abs((side[1:] * side[:-1]).mean()) < 0.02


def test_unsigned_trades_are_signed_by_quotes(tmp_path):
    trades = simulate_trades(Market(), 5000, seed=7)
    assert len(trades) == 5000
    path = tmp_path / "trades.csv"
    writers.write_trades(trades, path, with_side=False)
    assert path.read_text().startswith('"time","price","size","bid","ask"\n')
    assert_same(readers.read_trades(path, signs="lee-ready"), trades)
    writers.write_trades(trades, path, with_side=False, with_quotes=False)
    found = readers.read_any(path)
    assert found.bid is None
    np.testing.assert_array_equal(found.side, signing.tick_signs(trades.price))
    assert (found.side == trades.side).mean() > 0.8


def test_the_seed_decides():
    first, again, other = (
        simulate_events(Market(), 2000, seed=seed) for seed in (8, 8, 9)
    )
    assert_same(first, again)
    assert (first.size != other.size).any()


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"tick": 0.0}, "tick must be greater than 0"),
        ({"tick": 0.00015}, "tick must be a multiple of 1e-4"),
        ({"volatility": -1.0}, "volatility must be at least 0"),
        ({"execution_share": 0.99}, "execution_share must be at most 1 with hidden"),
        ({"sign_persistence": 1.0}, "sign_persistence must be below 1"),
        ({"mean_size": 0.5}, "mean_size must be at least 1"),
    ],
)
def test_inadmissible_markets(numbers, message):
    with pytest.raises(ValueError, match=message):
        Market(**numbers)


def test_prices_do_not_fall_to_zero():
    with pytest.raises(ValueError, match="start_price must be higher"):
        simulate_events(Market(start_price=0.05, half_spread=0.2), 10, seed=1)
    with pytest.raises(ValueError, match="start_price must be higher"):
        simulate_executions(OrderFlow(start_price=1.0), 100, seed=1)
    with pytest.raises(ValueError, match="horizon"):
        OrderFlow(horizon=(5.0, 2.0))
    with pytest.raises(ValueError, match="temporary_impact must be at least 0"):
        OrderFlow(temporary_impact=-1.0)


def test_fills_follow_the_model(orders):
    flow, slices = OrderFlow(), 10
    shape = (2000, slices)
    side, size, fill, arrival, tau = (
        x.reshape(shape)
        for x in (
            orders.side,
            orders.size,
            orders.price,
            orders.arrival_price,
            orders.duration,
        )
    )
    assert (size == np.round(size)).all()
    np.testing.assert_allclose(tau, tau[:, :1].repeat(slices, 1), rtol=1e-6)
    assert tau.min() >= 60
    assert tau.max() <= 720
    # Nothing has moved before the first fill but its own cost.
    cost = (side * (fill - arrival))[:, 0]
    rate = (size / tau)[:, 0]
    np.testing.assert_allclose(
        cost, flow.half_spread + flow.temporary_impact * rate, atol=1e-8
    )
    price = fill - side * (flow.half_spread + flow.temporary_impact * size / tau)
    moves = np.diff(price, axis=1)
    scale = flow.volatility * np.sqrt(tau[:, 1:])
    shocks = (moves - side[:, 1:] * flow.permanent_impact * size[:, :-1]) / scale
    assert stats.kstest(shocks.ravel(), "norm").pvalue > 1e-3
    # Regressed on what it was made of, gamma comes back.
    x = (side[:, 1:] * size[:, :-1] / scale).ravel()
    y = (moves / scale).ravel()
    slope, error = x @ y / (x @ x), 1 / np.sqrt(x @ x)
    assert abs(slope - flow.permanent_impact) < 3 * error
    assert error < 0.1 * flow.permanent_impact
    share = (orders.size / orders.market_volume).reshape(shape)
    assert share.max() < 0.25
    assert share.min(axis=1).max() > 0.15  # parents differ
    assert share.max(axis=1).min() < 0.008


def test_fills_are_off_by_chance(orders):
    noisy = simulate_executions(OrderFlow(fill_noise=0.03), 2000, seed=3)
    off = noisy.price - orders.price
    assert abs(off.std() / 0.03 - 1) < 0.02
    assert abs(np.corrcoef(off[1:], off[:-1])[0, 1]) < 0.03
    np.testing.assert_array_equal(noisy.arrival_price, orders.arrival_price)


def test_counts_follow_the_model():
    counts = simulate_counts(**COUNTS, num_days=4000, seed=1)
    found = counts.padded()
    assert found["weights"].shape == (2, 4000)
    for stock in range(2):
        alpha, delta, buys, sells, more = (
            np.broadcast_to(COUNTS[k], 2)[stock] for k in COUNTS
        )
        pairs = (
            ("buys", buys, alpha * (1 - delta)),
            ("sells", sells, alpha * delta),
        )
        for name, rate, chance in pairs:
            mean = rate + chance * more
            variance = mean + chance * (1 - chance) * more**2
            x = found[name][stock]
            assert abs(x.mean() - mean) < 4 * np.sqrt(variance / len(x))
            assert 0.85 < x.var() / variance < 1.15
        # One kind of news a day: the two sides move apart.
        covariance = -(alpha**2) * delta * (1 - delta) * more**2
        sample = np.cov(found["buys"][stock], found["sells"][stock])[0, 1]
        assert 0.7 < sample / covariance < 1.3
    with pytest.raises(ValueError, match="news_probability must be at most 1"):
        simulate_counts(**COUNTS | {"news_probability": 1.5}, num_days=5, seed=1)


def test_schedules_are_the_equilibrium(schedules):
    paths = list(schedules.paths())
    assert len(paths) == 80
    ends = {"1": [], "2": []}
    for _, firm, times, positions in paths:
        np.testing.assert_allclose(times, np.linspace(0, 1, 33))
        assert positions[0] == 0
        ends[firm].append(round(positions[-1], 9))
    assert set(ends["1"]) == {1.0}
    assert set(ends["2"]) == {3.0, -1.0}
    assert 0.1 < np.mean([x == 3.0 for x in ends["2"]]) < 0.45


def test_schedules_of_one_kappa_have_the_closed_form(in_float64):
    kappa, targets = 3.0, np.array([2.0, 5.0])
    game = PositionBuilding(permanent_impacts=[kappa, kappa], targets=targets)
    seen = [
        simulate_schedules(game, num_times=33, noise_std=x, num_days=100, seed=5)
        for x in (0.0, 0.1)
    ]
    t, mean = seen[0].time, targets.mean()
    g = kappa / 3
    target = targets[seen[0].firm.codes]
    apart = np.expm1(kappa * t) / np.expm1(kappa)
    expected = mean * np.expm1(-g * t) / np.expm1(-g) + (target - mean) * apart
    np.testing.assert_allclose(seen[0].position, expected, atol=1e-9)
    error = (seen[1].position - seen[0].position)[t > 0]
    assert abs(error.std() - 0.1) < 0.005
    assert (seen[1].position[t == 0] == 0).all()


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_what_is_written_is_read_back(tmp_path, ending, events, orders, schedules):
    tables = {
        "events": events,
        "trades": events.executions(),
        "executions": orders,
        "counts": simulate_counts(**COUNTS, num_days=50, seed=1),
        "schedules": schedules,
    }
    for kind, table in tables.items():
        path = tmp_path / f"{kind}.{ending}"
        write = getattr(writers, f"write_{kind}")
        write(table, path)
        assert readers.sniff(path) == kind
        assert_same(readers.read_any(path), table)
        once = path.read_bytes()
        write(table, path)
        assert path.read_bytes() == once
    assert len(list(tmp_path.iterdir())) == len(tables)


def test_a_lobster_pair_is_read_back(tmp_path, events):
    message, book = tmp_path / "X_message_1.csv", tmp_path / "X_orderbook_1.csv"
    writers.write_lobster(events, message, book)
    assert_same(readers.read_any(message), events)
    with pytest.raises(ValueError, match="path must end in"):
        writers.write_lobster(events, message, tmp_path / "book.parquet")


def test_odd_names_and_missing_numbers_survive(tmp_path, orders):
    counts = DailyCounts(
        day=["1", "2", "3"], stock=['A,"B"', "Ä", "-1"], buys=[1, 2, 3], sells=[0, 0, 0]
    )
    for ending in ("csv", "parquet"):
        path = tmp_path / f"counts.{ending}"
        writers.write_counts(counts, path)
        assert_same(readers.read_counts(path), counts)
        volume = np.where(np.arange(20_000) % 3, 5.5, np.nan)
        unknown = dataclasses.replace(orders, market_volume=volume)
        path = tmp_path / f"orders.{ending}"
        writers.write_executions(unknown, path)
        assert_same(readers.read_executions(path), unknown)


def test_a_file_is_written_whole_or_not_at_all(tmp_path, events, monkeypatch):
    path = tmp_path / "events.csv"
    path.write_text("old")
    with pytest.raises(ValueError, match="path must end in .csv, .csv.gz or .parquet"):
        writers.write_events(events, tmp_path / "events.txt")
    finer = dataclasses.replace(events, price=events.price + 0.00003)
    with pytest.raises(ValueError, match="row 1: price must be a multiple of 1e-4"):
        writers.write_events(finer, path)

    def fail(table, file, *_, **__):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writers.pyarrow.csv, "write_csv", fail)
    with pytest.raises(OSError, match="No space"):
        writers.write_events(events, path)
    assert [x.name for x in tmp_path.iterdir()] == ["events.csv"]
    assert path.read_text() == "old"


@pytest.mark.slow
def test_a_million_events_take_seconds(tmp_path):
    start = time.monotonic()
    events = simulate_events(Market(transient_impact=1e-5), 1_000_000, seed=1)
    path = tmp_path / "events.csv.gz"
    writers.write_events(events, path)
    found = readers.read_events(path)
    assert_same(found, events)
    signed_bars(found, 10.0)
    assert time.monotonic() - start < 20
