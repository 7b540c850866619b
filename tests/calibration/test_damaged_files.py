"""Damage done to files: each kind is one clear message that says where."""

import gzip
import io
import os
import pickle
import warnings
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gtrade.calibration import readers
from gtrade.calibration.rules import DataError

HEADER = "time,type,order_id,size,price,direction,bid,bid_size,ask,ask_size"
ROWS = [
    "34200.5,1,7,100,99.98,1,99.98,100,100.02,300",
    "34201.0,1,8,200,100.02,-1,99.98,100,100.02,500",
    "34201.0,4,8,50,100.02,-1,99.98,100,100.02,450",
    "34203.25,3,7,100,99.98,1,99.97,400,100.02,450",
]
TRADES = ["time,price,size,side", "1,10,100,1", "2,10.5,200,-1", "3,10.25,50,0"]
FILLS = [
    "parent,time,side,size,price,arrival_price,market_volume,arrival_time",
    "A,10,1,100,50.1,50,1000,0",
    "A,20,1,100,50.2,50,,0",
    "B,15,-1,70,49.9,50.1,800,5",
]
COUNTS = ["day,stock,buys,sells", "1,X,10,20", "1,Y,5,6", "2,X,11,19"]
PATHS = ["firm,time,position", "a,0,0", "a,0.5,0.4", "b,0,0", "b,0.5,1"]


def text(*rows):
    return ("\n".join(rows) + "\n").encode()


def events(row=None, column=None, cell=None):
    """Return the bytes of a file of events, with one cell (row from 1) replaced."""
    rows = [line.split(",") for line in (HEADER, *ROWS)]
    if row is not None:
        rows[row][HEADER.split(",").index(column)] = cell
    return text(*(",".join(line) for line in rows))


def changed(lines, row, cells):
    return text(*lines[:row], cells, *lines[row + 1 :])


@dataclass
class Damage:
    """A file, the words of its message, and how many rows are good without the bad."""

    content: bytes
    words: tuple[str, ...]
    row: int | None = None
    kind: str = "events"
    good: int | None = None  # None: nothing to save
    options: dict = field(default_factory=dict)
    name: str = "file.csv"


def cell(row, column, value, words, good=3, **kwargs):
    words = (f"line {row + 1}: ", column, *words)
    return Damage(events(row, column, value), words, row + 1, good=good, **kwargs)


def parquet(**columns):
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


GOOD = events()
PACKED = gzip.compress(GOOD * 50, mtime=0)
SAVED = io.BytesIO()
np.save(SAVED, np.arange(5))
TABLE = parquet(time=[1.0, 2.0], price=[10.0, 11.0], size=[5, -6], side=[1, -1])

DAMAGES = {
    # What single cells hold.
    "text in numbers": cell(2, "size", "many", ("be a number; got 'many'",)),
    "comma as decimal point": Damage(
        changed(TRADES, 2, '2,"10,5",200,-1'), ("line 3", "'10,5'"), 3, "trades", 2
    ),
    "missing number": cell(2, "price", "", ("greater than 0", "nothing")),
    "nan": cell(3, "time", "NaN", ("nothing (missing or not a number)",)),
    "infinity": cell(3, "size", "inf", ("finite; got inf",)),
    "overflow": cell(3, "price", "1e999", ("finite; got inf",)),
    "negative size": cell(2, "size", "-200", ("greater than 0", "got -200")),
    "zero size": cell(4, "size", "0", ("greater than 0", "got 0")),
    "zero price": cell(4, "price", "0", ("greater than 0", "got 0")),
    "negative quote": cell(
        1, "bid", "-3", ("greater than 0 and finite, where", "got -3")
    ),
    "negative quoted size": cell(1, "ask_size", "-3", ("at least 0 and finite", "-3")),
    "infinite quote": cell(1, "ask", "inf", ("got inf",)),
    "crossed quotes": cell(
        3, "bid", "100.5", ("crossed quotes", "got 100.5 where ask is 100.02")
    ),
    "unknown kind": cell(2, "type", "9", ("be a kind of event, 1 to 7; got 9",)),
    "half a kind": cell(2, "type", "1.5", ("1 to 7; got 1.5",)),
    "half an order": cell(2, "order_id", "1.5", ("whole number; got 1.5",)),
    "direction of zero": cell(3, "direction", "0", ("be 1 or -1; got 0",)),
    "time beyond the day": cell(4, "time", "86400", ("[0, 86400); got 86400",)),
    "time before the day": cell(1, "time", "-1", ("[0, 86400); got -1",)),
    "unsorted times": cell(3, "time", "34200.75", ("not decrease", "got 34200.75")),
    "control characters": cell(2, "size", "1\x00\x00", ("be a number",)),
    "latin-1 in numbers": Damage(
        events().replace(b"200,100.02", b"\xe9\xe8,100.02", 1),
        ("line 3: size must be a number",),
        3,
        good=3,
    ),
    "side of two": Damage(
        changed(TRADES, 1, "1,10,100,2"), ("side", "1, -1 or 0; got 2"), 2, "trades", 2
    ),
    "half a side": Damage(
        changed(TRADES, 1, "1,10,100,0.5"), ("side", "got 0.5"), 2, "trades", 2
    ),
    "no name of a parent": Damage(
        changed(FILLS, 2, ",20,1,100,50.2,50,,0"),
        ("line 3: parent must be a name, in UTF-8; got ''",),
        3,
        "executions",
        2,
    ),
    "fill before arrival": Damage(
        changed(FILLS, 3, "B,15,-1,70,49.9,50.1,800,15"),
        ("arrival_time", "where time is 15"),
        4,
        "executions",
        2,
    ),
    "fill of the other side": Damage(
        changed(FILLS, 2, "A,20,-1,100,50.2,50,,0"),
        ("side must be the same in all rows of one parent; got -1",),
        3,
        "executions",
        2,
    ),
    "two arrival prices": Damage(
        changed(FILLS, 2, "A,20,1,100,50.2,50.5,,0"),
        ("arrival_price must be the same", "got 50.5"),
        3,
        "executions",
        2,
    ),
    "fills out of order": Damage(
        changed(FILLS, 2, "A,9,1,100,50.2,50,,0"),
        ("time must not decrease", "parent; got 9"),
        3,
        "executions",
        2,
    ),
    "half a count": Damage(
        changed(COUNTS, 2, "1,Y,5.5,6"), ("buys", "whole", "5.5"), 3, "counts", 2
    ),
    "count below zero": Damage(
        changed(COUNTS, 2, "1,Y,5,-6"), ("sells", "at least 0", "-6"), 3, "counts", 2
    ),
    "day twice": Damage(
        changed(COUNTS, 3, "1,X,11,19"),
        ("day must come once", "'1' where stock is 'X'"),
        4,
        "counts",
        2,
    ),
    "position twice": Damage(
        changed(PATHS, 2, "a,0,0.4"), ("time must increase",), 3, "schedules", 3
    ),
    "infinite position": Damage(
        changed(PATHS, 2, "a,0.5,-inf"), ("position", "finite"), 3, "schedules", 3
    ),
    # Rows.
    "row too short": Damage(
        text(HEADER, ROWS[0], "34201,1,8", *ROWS[2:]),
        ("line 3: must have 10 columns", "got 3"),
        3,
        good=3,
    ),
    "row too long": Damage(
        text(HEADER, *ROWS[:3], ROWS[3] + ",5"),
        ("line 5: must have 10 columns", "got 11"),
        5,
        good=3,
    ),
    "latin-1 in a row too long": Damage(
        GOOD.replace(b"450\n", b"450,\xe9t\xe9\n", 1), ("line 4: must have",), 4, good=3
    ),
    "row cut short": Damage(GOOD[:-25], ("line 5", "10 columns"), 5, good=3),
    "block of NUL bytes": Damage(GOOD + b"\0" * 500, ("line 6",), 6, good=4),
    "open quotation mark": Damage(
        events(2, "size", '"200'), ("line 3", "quotation mark"), 3
    ),
    "quotation marks over several rows": Damage(
        text(
            HEADER, ROWS[0].replace("7", '"7'), *ROWS[1:3], ROWS[3].replace("7", '7"')
        ),
        ("line 2", "quotation mark"),
        2,
    ),
    "name over several rows": Damage(
        text(FILLS[0], '"' + FILLS[1], "A" + '"' + FILLS[2][1:], FILLS[3]),
        ("line 2", "quotation mark"),
        2,
        "executions",
    ),
    # Whole files.
    "empty": Damage(b"", ("is empty",)),
    "blank": Damage(b"\n\n  \n", ("is empty",)),
    "header only": Damage(text(HEADER), ("has no rows",)),
    "header without an end": Damage(HEADER.encode(), ("has no rows",)),
    "missing column": Damage(
        GOOD.replace(b"direction", b"side"),
        ("no column 'direction'", "order_id, size, price, side"),
    ),
    "mapped column is missing": Damage(
        GOOD, ("no column 'Px'",), options={"columns": {"price": "Px"}}
    ),
    "column twice": Damage(
        GOOD.replace(b"bid_size", b"bid"), ("several columns for bid: bid and bid",)
    ),
    "column in two units": Damage(
        GOOD.replace(b"order_id", b"time_ms"), ("for time: time and time_ms",)
    ),
    "no header": Damage(text(*ROWS), ("no header",)),
    "semicolons": Damage(GOOD.replace(b",", b";"), ("by semicolons; commas",), 1),
    "tabs": Damage(GOOD.replace(b",", b"\t"), ("by tabs; commas",), 1),
    "UTF-16": Damage(GOOD.decode().encode("utf-16"), ("UTF-16; save it as UTF-8",)),
    "UTF-16 without a mark": Damage(GOOD.decode().encode("utf-16-le"), ("UTF-16",)),
    "latin-1": Damage(GOOD.replace(b"type", b"t\xe9pe"), ("UTF-8",), 1),
    "latin-1 in names": Damage(
        text(*FILLS).replace(b"B", b"B\xe9"),
        ("line 4: parent must be a name, in UTF-8; got 'B\ufffd'",),
        4,
        "executions",
        2,
    ),
    "NUL bytes at the start": Damage(b"ti\0me" + GOOD[4:], ("NUL",), 1),
    "only bad rows": Damage(
        text(HEADER, ROWS[0].replace("99.98", "-1")), ("line 2",), 2, good=0
    ),
    "gzip cut short": Damage(PACKED[:-9], ("cut short",), name="file.csv.gz"),
    "gzip cut at once": Damage(PACKED[:12], ("cut short",), name="file.csv.gz"),
    "gzip with a flipped bit": Damage(
        PACKED[:60] + bytes([PACKED[60] ^ 4]) + PACKED[61:],
        ("gzip stream does not unpack",),
        name="file.csv.gz",
    ),
    "gzip with a wrong checksum": Damage(
        PACKED[:-8] + b"\0\0\0\0" + PACKED[-4:], ("does not unpack",)
    ),
    "packed twice": Damage(gzip.compress(PACKED), ("compressed twice",)),
    "one endless line": Damage(
        text(HEADER, ROWS[0] + "0" * 9_000_000), ("line longer than",)
    ),
    "pickle": Damage(pickle.dumps({"time": [1.0]}), ("is a pickle",)),
    "NumPy file": Damage(SAVED.getvalue(), ("is a NumPy file",)),
    "zip": Damage(b"PK\x03\x04" + b"x" * 50, ("zip archive",)),
    "parquet without its beginning": Damage(
        b"XXXX" + TABLE[4:], ("not a Parquet file",), kind="trades", name="t.parquet"
    ),
    "parquet without its end": Damage(
        TABLE[:-4] + b"XXXX", ("cut short",), kind="trades", name="t.parquet"
    ),
    "parquet cut short": Damage(
        TABLE[: len(TABLE) // 2], ("cut short",), kind="trades", name="t.parquet"
    ),
    "parquet with text for numbers": Damage(
        parquet(time=[1.0], price=["10"], size=[5], side=[1]),
        ("price must hold numbers; got type",),
        kind="trades",
        name="t.parquet",
    ),
    "parquet with lists": Damage(
        parquet(time=[1.0], price=[[10.0]], size=[5], side=[1]),
        ("price must hold numbers; got type list",),
        kind="trades",
        name="t.parquet",
    ),
    "parquet with a bad row": Damage(
        TABLE, ("row 2: size must be greater than 0", "-6"), 2, "trades", 1
    ),
    "parquet with a null": Damage(
        parquet(time=[1.0, None], price=[1.0, 2.0], size=[5, 6], side=[1, 1]),
        ("row 2: time", "nothing"),
        2,
        "trades",
        1,
    ),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_one_clear_message(tmp_path, damage):
    path = tmp_path / damage.name
    path.write_bytes(damage.content)
    with pytest.raises(DataError) as caught:
        readers.read_any(path, damage.kind, **damage.options)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < len(str(path)) + 250
    for words in damage.words:
        assert words in message
    assert caught.value.row == damage.row
    assert caught.value.__cause__ is None
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.row) == (message, damage.row)


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_bad_rows_are_counted_and_dropped_and_nothing_else_is(tmp_path, damage):
    path = tmp_path / damage.name
    path.write_bytes(damage.content)
    options = {**damage.options, "skip_bad": True}
    if not damage.good:
        with pytest.raises(
            DataError, match="no good rows" if damage.good == 0 else "."
        ):
            readers.read_any(path, damage.kind, **options)
        return
    found = readers.read_any(path, damage.kind, **options)
    assert (len(found), found.num_dropped) == (damage.good, 1)
    ((rule, count),) = found.dropped.items()
    assert count == 1
    assert "must" in rule


def test_there_are_more_than_thirty_kinds():
    assert len({damage.content for damage in DAMAGES.values()}) > 60


def test_the_first_bad_row_is_named_and_all_are_counted(tmp_path):
    path = tmp_path / "file.csv"
    rows = ["5,10,100,1", "x,10,100,1", "6,10,-100,1", "1,1", "4,10,100,1", "7,y,1,3"]
    path.write_bytes(text(TRADES[0], *rows))
    with pytest.raises(DataError, match="line 3: time must be a number; got 'x'"):
        readers.read_trades(path)
    found = readers.read_trades(path, skip_bad=True)
    np.testing.assert_array_equal(found.time, [5])
    assert found.dropped == {
        "must have 4 columns, as line 1 has; got 2": 1,
        "time must be a number": 1,
        "price must be a number": 1,
        "size must be greater than 0 and finite": 1,
        "time must not decrease from row to row": 1,
    }
    path.write_bytes(text(TRADES[0], "5,10", *rows))
    with pytest.raises(DataError, match=r"line 2: must have .* \(5 bad rows in all\)"):
        readers.read_trades(path)


def test_blank_lines_count_as_lines_and_not_as_rows(tmp_path):
    path = tmp_path / "file.csv"
    path.write_bytes(text(TRADES[0], "", TRADES[1], "", "", "9,10,0,1", "", ""))
    with pytest.raises(DataError, match="line 6: size"):
        readers.read_trades(path)
    found = readers.read_trades(path, skip_bad=True)
    assert (len(found), found.num_dropped) == (1, 1)


def test_lines_are_numbered_across_blocks(tmp_path):
    path = tmp_path / "file.csv"
    size = 400_000
    rows = [f"{i},10.25,100,1" for i in range(size)]
    rows[1000] = "1000,10"
    rows[300_000] = "300000,10.25,-1,1"
    rows[399_999] = "399999,ten,1,1"
    path.write_bytes(text(TRADES[0], *rows))
    assert path.stat().st_size > 1.5 * 2**22  # more than one block
    del rows[1000]
    found = readers.read_trades(path, skip_bad=True)
    assert (len(found), found.num_dropped) == (size - 3, 3)
    path.write_bytes(text(TRADES[0], *rows))
    with pytest.raises(DataError, match=r"line 300001: .* \(2 bad rows in all\)"):
        readers.read_trades(path)


@pytest.mark.parametrize("reader", [readers.sniff, readers.read_any])
def test_what_is_no_file(tmp_path, reader):
    with pytest.raises(DataError, match=r"absent.csv: does not exist$"):
        reader(tmp_path / "absent.csv")
    with pytest.raises(DataError, match=r"is a folder, not a file$"):
        reader(tmp_path)
    path = tmp_path / "secret.csv"
    path.write_bytes(GOOD)
    path.chmod(0)
    if not os.access(path, os.R_OK):  # else the tests run as root
        with pytest.raises(DataError, match="permission denied"):
            reader(path)


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "file.csv"
    path.write_bytes(GOOD)
    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(DataError, match=r"may not be read \(permission denied\)$"):
        readers.read_events(path)


def test_a_device_or_pipe_full_of_nonsense(tmp_path):
    rng = np.random.default_rng(0)
    for seed in range(30):
        path = tmp_path / f"{seed}.csv"
        path.write_bytes(rng.bytes(2000))
        with pytest.raises(DataError):
            readers.read_any(path)


def test_random_damage_never_raises_anything_else(tmp_path):
    rng = np.random.default_rng(1)
    packed = gzip.compress(GOOD, mtime=0)
    outcomes = set()
    for content, name in ((GOOD, "a.csv"), (packed, "a.csv.gz"), (TABLE, "a.parquet")):
        for _ in range(150):
            damaged = bytearray(content)
            for _ in range(rng.integers(1, 4)):
                damaged[rng.integers(len(damaged))] = rng.integers(256)
            path = tmp_path / name
            path.write_bytes(bytes(damaged))
            for skip_bad in (False, True):
                try:
                    readers.read_any(path, skip_bad=skip_bad)
                    outcomes.add("read")
                except DataError:
                    outcomes.add("refused")
    assert outcomes == {"read", "refused"}


LOBSTER = [
    "34200.1,1,7,100,999800,1",
    "34200.2,4,7,50,999800,1",
    "34200.3,7,0,0,-1,-1",
]
BOOK = [
    "1000200,300,999800,100",
    "1000200,300,999800,50",
    "9999999999,0,-9999999999,0",
]


def write_pair(folder, message, book):
    paths = [folder / "Z_message_1.csv", folder / "Z_orderbook_1.csv"]
    for path, rows in zip(paths, (message, book), strict=True):
        path.write_bytes(text(*rows))
    return paths


def test_a_lobster_pair_with_empty_sides_and_a_halt(tmp_path):
    # Newer message files name a market participant, or null.
    newer = [f"{row},null" for row in LOBSTER]
    message, book = write_pair(tmp_path, newer, BOOK)
    assert len(readers.read_events(message)) == 3
    message, book = write_pair(tmp_path, LOBSTER, BOOK)
    for found in (readers.read_events(message, book), readers.read_any(message)):
        assert found.num_dropped == 0
        np.testing.assert_array_equal(found.kind, [1, 4, 7])
        np.testing.assert_array_equal(found.ask, [100.02, 100.02, np.nan])
        np.testing.assert_array_equal(found.bid, [99.98, 99.98, np.nan])
        np.testing.assert_array_equal(found.sign, [0, -1, 0])


@pytest.mark.parametrize(
    ("message", "book", "words"),
    [
        (LOBSTER, BOOK[:2], "has 3 rows where its order book Z_orderbook_1.csv has 2"),
        (LOBSTER[:1], BOOK, "has 1 rows where its order book Z_orderbook_1.csv has 3"),
        (LOBSTER, [HEADER, *BOOK[1:]], "is no LOBSTER order book"),
        (LOBSTER, [x + ",1" for x in BOOK], "is no LOBSTER order book"),
        (
            LOBSTER,
            [BOOK[0], "999700,300,999800,50", BOOK[2]],
            r"line 2: bid \(Z_orderbook_1.csv\) must not be above the ask \(crossed"
            r" quotes\); got 999800 where ask \(Z_orderbook_1.csv\) is 999700$",
        ),
        (
            [LOBSTER[0], "34200.2,4,7,50,9999999999,1", LOBSTER[2]],
            BOOK,
            "line 2: price must be greater than 0 and finite; got 9999999999",
        ),
        (LOBSTER, [BOOK[0], "1000200,300", BOOK[2]], "line 2: must have 4 columns"),
        (LOBSTER, [BOOK[0], "a,300,1,1", BOOK[2]], r"line 2: ask \(.*\) must be a num"),
        ([LOBSTER[0], "1,1", LOBSTER[2]], BOOK, "line 2: must have 6 columns"),
        (["x,1,7,1,1,1", *LOBSTER[1:]], BOOK, "line 1: time must be a number; got 'x'"),
        ([LOBSTER[0], "", LOBSTER[2]], BOOK, "line 2: must be in both files"),
        ([*LOBSTER[:2], "34200.3,3,1,0,5,1"], BOOK, "line 3: size must be greater"),
    ],
)
def test_a_damaged_lobster_pair(tmp_path, message, book, words):
    paths = write_pair(tmp_path, message, book)
    with pytest.raises(DataError, match=words):
        readers.read_events(*paths)
    if "line" in words:
        found = readers.read_events(*paths, skip_bad=True)
        assert (len(found), found.num_dropped) == (2, 1)
    else:
        with pytest.raises(DataError, match=words):
            readers.read_events(*paths, skip_bad=True)


def test_a_message_file_without_its_order_book(tmp_path):
    message, book = write_pair(tmp_path, LOBSTER, BOOK)
    book.rename(tmp_path / "elsewhere.csv")
    with pytest.raises(DataError, match="order book must be given"):
        readers.read_events(message)
    assert len(readers.read_events(message, tmp_path / "elsewhere.csv")) == 3
    with pytest.raises(DataError, match="has no header, so columns cannot be named"):
        readers.read_events(message, columns={"price": "p"})
    headed = tmp_path / "headed.csv"
    headed.write_bytes(GOOD)
    with pytest.raises(DataError, match="no order book belongs"):
        readers.read_events(headed, book)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + GOOD,
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(b"\n", b"\r"),
        GOOD.rstrip(),
        GOOD + b"\n\n",
        GOOD.replace(b",", b" , "),
        b"\n".join(b'"' + x.replace(b",", b'","') + b'"' for x in GOOD.split()),
        gzip.compress(GOOD),
        gzip.compress(GOOD[:200]) + gzip.compress(GOOD[200:]),
        GOOD.replace(b"34200.5", b"+3.42005E4"),
    ],
    ids="bom crlf cr no-end blank-end spaces quoted gzip gzip-parts exponent".split(),
)
def test_what_looks_odd_and_is_not_damage(tmp_path, content):
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = readers.read_events(path)
    assert (len(found), found.num_dropped) == (4, 0)
    np.testing.assert_array_equal(found.time, [34200.5, 34201.0, 34201.0, 34203.25])
    np.testing.assert_array_equal(found.ask_size, [300, 500, 450, 450])
    assert readers.sniff(path) == "events"


def test_locked_and_missing_quotes_and_equal_times_are_no_damage(tmp_path):
    path = tmp_path / "file.csv"
    path.write_bytes(events(2, "bid", "100.02"))
    assert readers.read_events(path).bid[1] == 100.02
    path.write_bytes(events(2, "bid", ""))
    found = readers.read_events(path)
    np.testing.assert_array_equal(np.isnan(found.mid), [False, True, False, False])
    assert readers.read_events(path).time[1] == found.time[2]
