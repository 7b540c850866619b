"""From cells to numbers: what a number, a missing number and a name look like.

Cells stay text until here, so that a bad one can be shown as it stands.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from gtrade.calibration.rules import Rule, show_text
from gtrade.calibration.tables import Labels

pc: Any = pyarrow.compute  # its functions are made on import, unseen by type checkers

_MISSING = ["", "NA", "N/A", "n/a", "NaN", "nan", "-nan", "NULL", "null", "None"]
_NUMBER = r"^[+-]?(([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|(?i:inf(inity)?))$"
_SIDES = {"buy": "1", "b": "1", "sell": "-1", "s": "-1"}


class Collected:
    """Columns collected block by block: floats, NaN where missing, or `Labels`.

    Attributes:
        num_rows: collected so far.
        broken: the first row with a cell that goes over several lines, from 0.
    """

    def __init__(self, wanted: Mapping[str, int], labels: Sequence[str]) -> None:
        self.labels = set(labels)
        self.chunks: dict[str, list[Any]] = {name: [] for name in wanted}
        self.bad: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
        self.first: dict[str, tuple[int, str]] = {}
        self.blank: list[np.ndarray] = []
        self.num_rows = 0
        self.broken: int | None = None

    def add(self, block: Mapping[str, pa.Array]) -> None:
        """Cast the next block of rows."""
        size = len(next(iter(block.values())))
        blank = np.ones(size, bool)
        for name, cells in block.items():
            if name in self.labels:
                cells = _as_text(cells)
                self._note_breaks(cells, np.arange(size))
                self.chunks[name].append(cells)
                blank &= _numpy(pc.equal(cells, ""))
                continue
            numbers, bad, missing = _as_numbers(cells, name)
            self.chunks[name].append(numbers)
            blank &= missing
            if len(bad):
                self.bad[name].append(bad + self.num_rows)
                self._note_breaks(cells.take(pa.array(bad)), bad)
                text = cells[int(bad[0])].as_py()
                self.first.setdefault(name, (int(bad[0]) + self.num_rows, text))
        self.blank.append(blank)
        self.num_rows += size

    def _note_breaks(self, cells: pa.Array, rows: np.ndarray) -> None:
        found = rows[_numpy(pc.match_substring(cells, "\n"))]
        if len(found):
            first = int(found[0]) + self.num_rows
            self.broken = first if self.broken is None else min(self.broken, first)

    def finish(
        self, rows: np.ndarray, *, has_blanks: bool
    ) -> tuple[np.ndarray, dict[str, Any], list[Rule]]:
        """Return row numbers, columns, and rules that unreadable cells have broken.

        Args:
            rows: number of each row collected.
            has_blanks: rows without anything in them are left out.
        """
        is_blank = np.concatenate([*self.blank, np.zeros(0, bool)])
        keep = ~is_blank if has_blanks else np.ones(len(rows), bool)
        columns: dict[str, Any] = {}
        unread = []
        for name, chunks in self.chunks.items():
            if name in self.labels:
                text = pa.chunked_array(chunks, pa.string())
                columns[name] = Labels.of(text.filter(pa.array(keep)))
                continue
            columns[name] = np.concatenate([*chunks, np.zeros(0)])[keep]
            if self.bad[name]:
                good = np.ones(len(rows), bool)
                good[np.concatenate(self.bad[name])] = False
                unread.append(_not_a_number(name, good[keep], self.first[name][1]))
        return rows[keep], columns, unread


def _not_a_number(name: str, good: np.ndarray, text: str) -> Rule:
    return Rule(name, "be a number", lambda c: good, value=show_text(text))


def _as_numbers(
    cells: pa.Array, name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return numbers, positions of cells that hold none, and which are missing."""
    if pa.types.is_timestamp(cells.type):
        per_second = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}[cells.type.unit]
        numbers = _numpy(_cast(pc.cast(cells, pa.int64()))) / per_second
    elif not pa.types.is_string(cells.type) and name != "side":
        numbers = _numpy(_cast(cells))
    else:
        cells = pc.cast(cells, pa.string())
        try:  # almost always every cell is a plain number
            numbers = _numpy(_cast(cells))
        except pa.ArrowInvalid:
            return _read_numbers(cells, name)
    return numbers, np.zeros(0, int), _numpy(pc.is_null(cells))


def _cast(cells: pa.Array) -> pa.Array:
    return pc.cast(cells, pa.float64(), safe=False)


def _read_numbers(
    cells: pa.Array, name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    plain = pc.utf8_trim_whitespace(pc.fill_null(cells, ""))
    if name == "side":
        words = pc.utf8_lower(plain)
        for word, number in _SIDES.items():
            plain = pc.if_else(pc.equal(words, word), number, plain)
    missing = _numpy(pc.is_in(plain, pa.array(_MISSING)))
    is_number = _numpy(pc.match_substring_regex(plain, _NUMBER))
    readable = pc.if_else(pa.array(is_number), plain, None)
    return _numpy(_cast(readable)), np.flatnonzero(~is_number & ~missing), missing


def _as_text(cells: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if not pa.types.is_string(cells.type):
        cells = pc.cast(cells, pa.string())
    return pc.utf8_trim_whitespace(pc.fill_null(cells, ""))


def _numpy(x: Any) -> np.ndarray:
    # Missing numbers become NaN.
    return np.array(x.to_numpy(zero_copy_only=False))
