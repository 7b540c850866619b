"""From bytes to columns: text and Parquet files, read in blocks and never executed.

What is no table of text is refused by its first bytes: pickles, NumPy files, archives.
Lines are numbered as an editor numbers them.
"""

import codecs
import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from gtrade.calibration.cells import Collected
from gtrade.calibration.rules import DataError, Rule

_PREFIX = 1 << 16  # bytes looked at beforehand
_BLOCK = 1 << 22
_FOREIGN = (
    (b"\x93NUMPY", "a NumPy file"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x04", "a pickle"),
    (b"\x80\x05", "a pickle"),
    (b"PK\x03\x04", "a zip archive (or a spreadsheet)"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ\x00", "compressed with xz"),
    (b"ARROW1", "an Arrow file"),
    (b"SQLite format 3", "a database"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x1f\x8b", "compressed twice"),
)
_UNREADABLE = (OSError, pa.ArrowException, EOFError, UnicodeError)


@dataclass(frozen=True)
class Shape:
    """What the beginning of a file says.

    Attributes:
        path: of the file.
        names: of its columns; None for text without a header.
        num_columns: in the first row.
        is_parquet: else it is text separated by commas.
        is_compressed: with gzip.
    """

    path: Path
    names: tuple[str, ...] | None
    num_columns: int
    is_parquet: bool = False
    is_compressed: bool = False


@dataclass(frozen=True)
class Parsed:
    """Columns as they stand in a file, NaN for missing numbers.

    Attributes:
        columns: floats or `Labels`, by the name that was asked for.
        rows: number of each row, as `DataError.row` counts.
        place: "line" or "row".
        unreadable: rows that do not have the header's number of cells.
        unread: a rule for each column with cells that hold no number.
    """

    columns: dict[str, Any]
    rows: np.ndarray
    place: str
    unreadable: list[tuple[int, str]] = field(default_factory=list)
    unread: list[Rule] = field(default_factory=list)


def look_at(path: str | Path) -> Shape:
    """Find out what a file is from its beginning.

    Raises:
        DataError: for what is no table, saying what it is.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            start = file.read(_PREFIX)
        is_compressed = start[:2] == b"\x1f\x8b"
        if is_compressed:
            with pa.input_stream(path, compression="gzip") as stream:
                start = stream.read(_PREFIX)
    except _UNREADABLE as error:
        raise _failed(path, error) from None
    if start[:4] == b"PAR1" and not is_compressed:
        return _look_at_parquet(path)
    if path.suffix in (".parquet", ".pq") and start:
        raise DataError(path, "is not a Parquet file, or is damaged at its beginning")
    if not start.strip():
        raise DataError(path, "is empty")
    for magic, kind in _FOREIGN:
        if start.startswith(magic):
            what = f"is {kind}; CSV (plain or gzip) and Parquet are read"
            raise DataError(path, what)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") or start[1:2] == b"\x00":
        raise DataError(path, "is text in UTF-16; save it as UTF-8")
    first = re.split(rb"\r\n|\n|\r", start.removeprefix(b"\xef\xbb\xbf"), maxsplit=1)[0]
    if b"\x00" in first:
        raise DataError(path, "holds NUL bytes: not a text file", row=1, place="line")
    try:
        text = first.decode()
    except UnicodeDecodeError:
        rule = "is not text in UTF-8; save it as UTF-8"
        raise DataError(path, rule, row=1, place="line") from None
    cells = [cell.strip() for cell in next(csv.reader(io.StringIO(text)), [])]
    for mark, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(cells) == 1 and mark in text:
            rule = f"has columns separated by {name}; commas are expected"
            raise DataError(path, rule, row=1, place="line")
    if not any(cells):
        rule = "is empty where names of columns are expected"
        raise DataError(path, rule, row=1, place="line")
    # No column is called by a number, and one damaged cell makes no header.
    has_header = not any(_is_number(cell) for cell in cells)
    names = tuple(cells) if has_header else None
    return Shape(path, names, len(cells), is_compressed=is_compressed)


def parse(
    shape: Shape, wanted: Mapping[str, int], *, labels: Sequence[str] = ()
) -> Parsed:
    """Read some columns of a file.

    Args:
        shape: of the file.
        wanted: place of each column in the file, by the name that the result uses.
        labels: those that hold names; the others hold numbers, in `side` also the
            words buy and sell.

    Raises:
        DataError: for damage that leaves rows unknown.
    """
    try:
        if shape.is_parquet:
            return _parse_parquet(shape, wanted, labels)
        return _parse_text(shape, wanted, labels)
    except _UNREADABLE as error:
        raise _failed(shape.path, error) from None


def _parse_text(
    shape: Shape, wanted: Mapping[str, int], labels: Sequence[str]
) -> Parsed:
    own = [f"c{i}" for i in range(shape.num_columns)]
    used = sorted(set(wanted.values()))
    first = 1 if shape.names is None else 2
    ragged: list[tuple[int, int]] = []

    open_at: list[int] = []

    def note(row: Any) -> str:
        if "\n" in row.text.strip():
            open_at.append(row.number)
            return "error"
        ragged.append((row.number, row.actual_columns))
        return "skip"

    columns = Collected(wanted, labels)
    compression = "gzip" if shape.is_compressed else None
    with pa.input_stream(shape.path, compression=compression) as stream:
        try:
            reader = pyarrow.csv.open_csv(
                _ValidText(stream),
                read_options=pyarrow.csv.ReadOptions(
                    use_threads=False,  # rows are numbered only so
                    block_size=_BLOCK,
                    column_names=own,
                    skip_rows=first - 1,
                ),
                parse_options=pyarrow.csv.ParseOptions(
                    ignore_empty_lines=False, invalid_row_handler=note
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    check_utf8=False,
                    include_columns=[own[i] for i in used],
                    column_types={own[i]: pa.string() for i in used},
                    strings_can_be_null=False,
                ),
            )
            for batch in reader:
                columns.add({name: batch[own[i]] for name, i in wanted.items()})
        except _UNREADABLE as error:
            if open_at:
                raise _unclosed(shape.path, open_at[0]) from None
            if "Could not skip" not in str(error):  # else the header is all there is
                raise
    lines = np.arange(first, first + columns.num_rows + len(ragged))
    rows = lines[~np.isin(lines, [number for number, _ in ragged])]
    if columns.broken is not None:
        raise _unclosed(shape.path, int(rows[columns.broken]))
    expected = f"must have {shape.num_columns} columns, as line 1 has"
    lost = [(number, f"{expected}; got {found}") for number, found in ragged]
    # Blank lines are no rows, but they are lines of the file.
    rows, found, unread = columns.finish(rows, has_blanks=True)
    return Parsed(found, rows, "line", lost, unread)


class _ValidText(io.RawIOBase):
    """A stream of bytes in which what is not UTF-8 has become replacement characters.

    Cells with them are bad cells of their rows; pyarrow would fail on the whole file.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        block = self._stream.read(size)
        has_half = bool(self._decoder.getstate()[0])
        if block.isascii() and not has_half and block:
            return block
        # An empty result would be taken for the end.
        text = self._decoder.decode(block, final=not block)
        while not text and block:
            block = self._stream.read(size)
            text = self._decoder.decode(block, final=not block)
        return text.encode()


def _look_at_parquet(path: Path) -> Shape:
    try:
        with pq.ParquetFile(path) as file:
            names = tuple(file.schema_arrow.names)
    except _UNREADABLE as error:
        raise _failed(path, error) from None
    return Shape(path, names, len(names), is_parquet=True)


def _parse_parquet(
    shape: Shape, wanted: Mapping[str, int], labels: Sequence[str]
) -> Parsed:
    columns = Collected(wanted, labels)
    with pq.ParquetFile(shape.path, page_checksum_verification=True) as file:
        schema = file.schema_arrow
        for name, i in wanted.items():
            kind = schema.field(i).type
            is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
            is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
            is_moment = pa.types.is_timestamp(kind) and name == "time"
            is_good = is_number or pa.types.is_decimal(kind) or is_moment
            if name in labels:
                is_good = is_text or is_number or pa.types.is_dictionary(kind)
                is_good = is_good or pa.types.is_date(kind)
            if not is_good and not (is_text and name == "side"):
                rule = (
                    "hold text or whole numbers" if name in labels else "hold numbers"
                )
                raise DataError(
                    shape.path, rule, column=schema.names[i], value=f"type {kind}"
                )
        chosen = [schema.names[i] for i in sorted(set(wanted.values()))]
        for batch in file.iter_batches(columns=chosen):
            columns.add({k: batch[schema.names[i]] for k, i in wanted.items()})
    rows = np.arange(1, columns.num_rows + 1)
    rows, found, unread = columns.finish(rows, has_blanks=False)
    return Parsed(found, rows, "row", [], unread)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _unclosed(path: Path, line: int) -> DataError:
    # What it has swallowed cannot be counted, so no row can be skipped.
    return DataError(path, "a quotation mark is not closed", row=line, place="line")


def _failed(path: Path, error: BaseException) -> DataError:
    """Say in plain words why a file cannot be read."""
    text = getattr(error, "strerror", None) or str(error)
    if isinstance(error, FileNotFoundError):
        return DataError(path, "does not exist")
    if isinstance(error, IsADirectoryError):
        return DataError(path, "is a folder, not a file")
    if isinstance(error, PermissionError):
        return DataError(path, "may not be read (permission denied)")
    if "Truncated compressed" in text:
        return DataError(path, "is cut short: the gzip stream ends before its end")
    if "zlib" in text:
        return DataError(path, f"is damaged: its gzip stream does not unpack ({text})")
    if "magic bytes" in text or "file size" in text.lower():
        return DataError(path, "is damaged or cut short: a Parquet file has no end")
    if "straddling" in text:
        limit = _BLOCK >> 20
        return DataError(path, f"has a line longer than {limit} MiB: not a table")
    if isinstance(error, UnicodeError):
        return DataError(path, "holds bytes that are not text in UTF-8")
    return DataError(path, f"cannot be read: {text}")
