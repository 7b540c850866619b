"""Tables of data: their checks, their files, and what a known day holds."""

import itertools

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gtrade.calibration import readers, signing, writers
from gtrade.calibration.bars import signed_bars
from gtrade.calibration.data import Events, Trades
from gtrade.calibration.records import DailyCounts, Executions, Schedules
from gtrade.calibration.requirements import longest_in_order
from gtrade.calibration.rules import DataError
from gtrade.calibration.tables import Labels
from tests.calibration import compiled, market_data
from tests.calibration.tables import assert_same


def make_events(**changes):
    columns = {
        "time": [34200.0, 34201.0, 34201.0, 34204.0],
        "kind": [1, 4, 5, 3],
        "order_id": [1, 1, 0, 2],
        "size": [100, 60, 20, 40],
        "price": [10.0, 10.0, 10.05, 10.1],
        "direction": [1, 1, -1, -1],
        "bid": [10.0, 9.9, 9.9, 9.9],
        "bid_size": [100, 40, 40, 40],
        "ask": [10.1, 10.1, 10.1, 10.2],
        "ask_size": [50, 50, 50, 10],
    }
    return Events(**(columns | changes))


def test_events_know_their_trades_and_quotes():
    events = make_events()
    np.testing.assert_array_equal(events.sign, [0, -1, 1, 0])
    np.testing.assert_allclose(events.mid, [10.05, 10, 10, 10.05])
    np.testing.assert_allclose(events.mid_before, [np.nan, 10.05, 10, 10])
    visible, everything = events.executions(), events.executions(with_hidden=True)
    np.testing.assert_array_equal(visible.size, [60])
    np.testing.assert_array_equal(visible.bid, [10.0])
    np.testing.assert_array_equal(everything.side, [-1, 1])
    np.testing.assert_array_equal(everything.signed_size, [-60, 20])
    np.testing.assert_array_equal(everything.bid, [10.0, 9.9])
    # 0.1 for a second, then 0.2 for three.
    np.testing.assert_allclose(events.time_weighted_spread(), (0.1 + 0.6) / 4)
    assert events.num_dropped == 0


def test_columns_cannot_be_changed():
    size = np.array([100.0, 60, 20, 40])
    events = make_events(size=size)
    size[0] = -1
    assert events.size[0] == 100
    with pytest.raises(ValueError, match="read-only"):
        events.size[0] = 5
    with pytest.raises(AttributeError):
        events.size = size
    assert events.kind.dtype == np.int8
    assert events.size.dtype == np.float64


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": [1, 2, -3, 4]}, "Events, row 3: size must be greater than 0 and fin"),
        ({"time": [1, 2, 0, 3]}, "Events, row 3: time must not decrease"),
        ({"bid": [10, 10, 11, 10]}, r"row 3: bid .*crossed.* got 11 where ask is 10.1"),
        ({"size": [1, 2]}, "columns must have one length; got time 4, kind 4, .* 2"),
        ({"size": ["1", "2", "3", "4"]}, "size must be numbers in one dimension"),
        ({"size": np.ones((4, 1))}, r"one dimension; got float64 of shape \(4, 1\)"),
        ({"kind": [1, 4, 8, 3]}, "row 3: kind must be a kind of event"),
    ],
)
def test_tables_in_memory_keep_the_same_rules(changes, message):
    with pytest.raises(DataError, match=message):
        make_events(**changes)


def test_quotes_of_trades_come_together():
    with pytest.raises(DataError, match="bid and ask must come together"):
        Trades(time=[1.0], price=[1.0], size=[1.0], side=[0], bid=[1.0])


def test_labels_keep_the_order_of_rows():
    labels = Labels.of(["b", "a", "b", "c"])
    assert labels.names == ("b", "a", "c")
    np.testing.assert_array_equal(labels.codes, [0, 1, 0, 2])
    assert labels[3] == "c"
    some = labels[np.array([False, False, True, True])]
    assert some.names == ("b", "c")
    np.testing.assert_array_equal(some.codes, [0, 1])
    assert Labels.of([3, 1, 3]).names == ("3", "1")


def test_durations_of_mixed_parents():
    found = Executions(
        parent=["A", "B", "A", "B", "A"],
        time=[10, 11, 13, 15, 20],
        side=[1, -1, 1, -1, 1],
        size=np.ones(5),
        price=np.ones(5),
        arrival_price=np.ones(5),
        market_volume=np.full(5, np.nan),
        arrival_time=[4, np.nan, 4, np.nan, 4],
    )
    np.testing.assert_array_equal(found.duration, [6, np.nan, 3, 4, 7])


def test_counts_of_stocks_with_fewer_days_are_padded():
    counts = DailyCounts(
        day=["1", "1", "2"], stock=["X", "Y", "X"], buys=[1, 2, 3], sells=[4, 5, 6]
    )
    found = counts.padded()
    np.testing.assert_array_equal(found["buys"], [[1, 3], [2, 0]])
    np.testing.assert_array_equal(found["sells"], [[4, 6], [5, 0]])
    np.testing.assert_array_equal(found["weights"], [[1, 1], [1, 0]])


def test_paths_of_firms():
    seen = Schedules(
        day=["1"] * 4, firm=["a", "b"] * 2, time=[0, 0, 1, 1], position=[0, 0, 5, 7]
    )
    (first, second) = seen.paths()
    assert first[:2] == ("1", "a")
    np.testing.assert_array_equal(second[3], [0, 7])


def longest(x, is_strict):
    """Try every choice of entries, fewest left out first, later ones first."""
    for size in range(len(x), -1, -1):
        for chosen in itertools.combinations(range(len(x)), size):
            steps = np.diff(x[list(chosen)])
            if (steps > 0).all() if is_strict else (steps >= 0).all():
                return size
    raise AssertionError


@pytest.mark.parametrize("is_strict", [False, True])
def test_as_few_rows_as_possible_are_out_of_order(is_strict):
    rng = np.random.default_rng(6)
    for _ in range(60):
        x = rng.integers(0, 6, rng.integers(1, 9)).astype(float)
        good = longest_in_order(x, is_strict=is_strict)
        steps = np.diff(x[good])
        assert (steps > 0).all() if is_strict else (steps >= 0).all()
        assert good.sum() == longest(x, is_strict)


@pytest.mark.parametrize(
    ("times", "bad"),
    [
        ([1, 2, 99, 3, 4, 5], 2),  # a clock far ahead
        ([1, 2, 3, 0, 4, 5], 3),  # and one behind
        ([1, 3, 2, 4], 2),  # of two, the one that goes back
    ],
)
def test_one_wrong_clock_is_one_bad_row(tmp_path, times, bad):
    rows = ["time,price,size,side", *(f"{t},10,1,1" for t in times)]
    path = write(tmp_path / "t.csv", rows)
    with pytest.raises(DataError, match=f"line {bad + 2}: time must not decrease"):
        readers.read_trades(path)
    found = readers.read_trades(path, skip_bad=True)
    np.testing.assert_array_equal(found.time, np.delete(times, bad))
    rows = ["firm,time,position", *(f"{f},{t},1" for t in times for f in "ab")]
    path = write(tmp_path / "s.csv", rows)
    found = readers.read_schedules(path, skip_bad=True)
    assert found.num_dropped == 2
    for *_, seen, _ in found.paths():
        np.testing.assert_array_equal(seen, np.delete(times, bad))


def write(path, rows):
    path.write_text("\n".join(rows) + "\n")
    return path


def test_columns_are_found_by_mapping_and_by_usual_names(tmp_path):
    rows = [
        "Qty,when,Px,who,note",
        "5,1378054800083,10.5,BUY,x",
        "6,1378054801000,9,s,",
    ]
    columns = {"time": "when", "price": "Px", "size": "Qty", "side": "who"}
    path = write(tmp_path / "a.csv", rows)
    found = readers.read_trades(path, columns=columns, time_unit="ms")
    np.testing.assert_array_equal(found.time, [1378054800.083, 1378054801])
    np.testing.assert_array_equal(found.side, [1, -1])
    assert found.bid is None
    path = write(tmp_path / "b.csv", ["unix_us,price_1e4,volume", "1500000,22395,3"])
    found = readers.read_trades(path, signs="none")
    assert (found.time[0], found.price[0], found.side[0]) == (1.5, 2.2395, 0)
    assert readers.read_any(path).side[0] == 0
    found = readers.read_trades(path, signs="tick", time_unit="ns")
    assert found.time[0] == 0.0015
    with pytest.raises(DataError, match=r"no column 'side' \(nor sign\)"):
        readers.read_trades(path)
    with pytest.raises(DataError, match="no column 'bid'"):
        readers.read_trades(path, signs="quote")
    with pytest.raises(ValueError, match="columns must name .*; got colour"):
        readers.read_trades(path, columns={"colour": "x"})
    with pytest.raises(ValueError, match="time_unit must be one of"):
        readers.read_trades(path, signs="tick", time_unit="minutes")
    with pytest.raises(ValueError, match="signs must be one of"):
        readers.read_trades(path, signs="guess")


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_moments_and_decimals_of_parquet(tmp_path, unit):
    columns = {
        "time": pa.array([1_340_271_000, 1_340_271_001], pa.timestamp("s")),
        "price": pa.array([10, 11], pa.decimal128(10, 2)),
        "size": pa.array([5, 6], pa.uint8()),
        "side": pa.array(["buy", "SELL"]),
    }
    columns["time"] = columns["time"].cast(pa.timestamp(unit))
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    found = readers.read_any(tmp_path / "t.parquet")
    np.testing.assert_array_equal(found.time, [1_340_271_000, 1_340_271_001])
    np.testing.assert_array_equal(found.price, [10, 11])
    np.testing.assert_array_equal(found.side, [1, -1])


def test_signs_are_those_of_the_estimators(in_float64):
    rng = np.random.default_rng(3)
    n = 400
    mid = 100 + 0.01 * np.cumsum(rng.integers(-2, 3, n))
    has_quotes = rng.random(n) > 0.2
    trades = Trades(
        time=np.sort(rng.random(n)) * 3000,
        price=mid + 0.01 * rng.integers(-1, 2, n),
        size=rng.integers(1, 9, n),
        side=np.zeros(n),
        bid=np.where(has_quotes, mid - 0.01, np.nan),
        ask=np.where(has_quotes, mid + 0.01, np.nan),
    )
    mids = (trades.bid + trades.ask) / 2
    expected = {
        "tick": compiled.tick_rule(trades.price),
        "quote": np.nan_to_num(compiled.quote_rule(trades.price, mids)),
        "lee-ready": compiled.lee_ready(trades.price, mids),
    }
    for method, sides in expected.items():
        found = signing.sign(trades, method).side
        np.testing.assert_array_equal(found, sides)
        assert {-1, 1} <= set(found) <= {-1, 0, 1}
    # In bulk: bars of a minute, of which some are empty.
    _, index = np.unique(trades.time // 10, return_inverse=True)
    num_bars = int(index[-1]) + 1
    assert num_bars < 300
    volume = np.bincount(index, trades.size)
    close = np.array([trades.price[index == i][-1] for i in range(num_bars)])
    changes = np.diff(close, prepend=close[0])
    flow = compiled.bulk_signed_volume(changes, volume)
    found = signing.sign(trades, "bulk", bar_seconds=10)
    sums = np.bincount(index, found.signed_size)
    np.testing.assert_allclose(sums, flow, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("price", [[5.0], [5.0, 5.0, 5.0]])
def test_trades_at_one_price_say_nothing(price):
    n = len(price)
    trades = Trades(time=np.arange(n), price=price, size=np.ones(n), side=np.zeros(n))
    for method in ("tick", "bulk", "none"):
        np.testing.assert_array_equal(signing.sign(trades, method).side, 0)
    with pytest.raises(DataError, match="bid and ask are needed"):
        signing.sign(trades, "lee-ready")
    with pytest.raises(ValueError, match="bar_seconds must be greater than 0"):
        signing.sign(trades, "bulk", bar_seconds=0)


def loop_of_bars(events, width, start, end):
    """Add up event by event."""
    num_bars = int((end - start) // width)
    signed, close = np.zeros(num_bars), np.full(num_bars + 1, np.nan)
    known = [x for x in events.mid if x == x]
    before = known[0]
    for i, (time, mid) in enumerate(zip(events.time, events.mid, strict=True)):
        bar = int((time - start) // width)
        if mid == mid and bar < 0:
            before = mid
        if not 0 <= bar < num_bars:
            continue
        if mid == mid:
            close[bar + 1] = mid
        if events.kind[i] == 4:
            signed[bar] -= events.direction[i] * events.size[i]
    close[0] = before
    for bar in range(1, num_bars + 1):
        if close[bar] != close[bar]:
            close[bar] = close[bar - 1]
    return signed, np.diff(close)


@pytest.mark.parametrize("width", [1.0, 1.5, 7.0])
@pytest.mark.parametrize("start", [34199.5, 34200.5, 34201.0])
def test_bars_of_events(width, start):
    gone = np.array([10.1, np.nan, 10.1, 10.2])
    for events in (make_events(), make_events(ask=gone)):
        end = start + 10.6
        found = signed_bars(events, width, start=start, end=end)
        signed, changes = loop_of_bars(events, width, start, end)
        np.testing.assert_array_equal(found["signed_volume"], signed)
        np.testing.assert_allclose(found["price_change"], changes, atol=1e-12)
        assert found["num_trades"].sum() == (events.time[1] >= start)
        np.testing.assert_allclose(np.diff(found["time"]), width)
        hidden = signed_bars(events, width, start=start, end=end, with_hidden=True)
        assert hidden["volume"].sum() == found["volume"].sum() + 20


def test_bars_without_quotes_or_room():
    none = np.full(4, np.nan)
    found = signed_bars(make_events(bid=none, ask=none), 60.0)
    assert len(found["time"]) == 390
    assert np.isnan(found["price_change"]).all()
    assert found["volume"].sum() == 60
    with pytest.raises(ValueError, match="width_seconds must be greater than 0"):
        signed_bars(make_events(), 0.0)
    with pytest.raises(ValueError, match="do not fit"):
        signed_bars(make_events(), 30_000.0)


def test_bars_of_trades():
    trades = Trades(
        time=[61.0, 100, 119.9, 120, 400],
        price=[5.0, 6, 7, 6, 9],
        size=[1, 2, 3, 4, 5],
        side=[1, -1, 0, 1, -1],
    )
    found = signed_bars(trades, 60.0)
    np.testing.assert_array_equal(found["time"], [120, 180, 240, 300, 360, 420])
    np.testing.assert_array_equal(found["signed_volume"], [-1, 4, 0, 0, 0, -5])
    np.testing.assert_array_equal(found["price_change"], [2, -1, 0, 0, 0, 3])
    np.testing.assert_array_equal(found["num_trades"], [3, 1, 0, 0, 0, 1])


@pytest.fixture(scope="module")
def amazon():
    return market_data.amazon()


def test_a_real_day_is_what_its_description_says(amazon):
    assert (len(amazon), amazon.num_dropped) == (57_515, 0)
    counts = np.bincount(amazon.kind)
    np.testing.assert_array_equal(counts[1:], [27_845, 16, 18_235, 8_974, 2_445])
    visible = amazon.executions()
    assert (len(visible), visible.size.sum()) == (8_974, 613_248)
    assert amazon.executions(with_hidden=True).size.sum() == 613_248 + 197_507
    assert abs(amazon.time_weighted_spread() - 0.1285) < 0.5e-4
    np.testing.assert_allclose(amazon.mid[[0, -1]], [223.565, 220.575])
    # Visible executions print at the quotes they met.
    met = np.where(visible.side > 0, visible.ask, visible.bid)
    np.testing.assert_array_equal(visible.price[1:], met[1:])


@pytest.mark.parametrize("name", ["day.csv", "day.csv.gz", "day.parquet"])
def test_a_real_day_is_written_and_read_back(amazon, tmp_path, name):
    writers.write_events(amazon, tmp_path / name)
    assert_same(readers.read_any(tmp_path / name), amazon)
