"""What all tables of data share: immutable columns on the host that passed checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from gtrade.calibration.rules import DataError, Origin, Rule, screen

Phases = tuple[tuple[Rule, ...], tuple[Rule, ...]]


@dataclass(frozen=True, eq=False)
class Labels:
    """Names of rows: a code for each row, and the names that codes stand for.

    Attributes:
        codes: int64, shape (n,), positions in `names`.
        names: in the order in which they first occur.
    """

    codes: np.ndarray
    names: tuple[str, ...]

    @classmethod
    def of(cls, values: Any) -> "Labels":
        """Return labels from text or numbers, one a row."""
        if isinstance(values, Labels):
            return values
        if not isinstance(values, pa.Array | pa.ChunkedArray):
            values = pa.array([str(x) for x in values], pa.string())
        found = pa.chunked_array(values) if isinstance(values, pa.Array) else values
        encoded = found.combine_chunks().dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.combine_chunks()
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        return cls(codes, tuple(encoded.dictionary.to_pylist()))

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, rows: Any) -> Any:
        """Return the name of one row, or the labels of some, names unused left out."""
        if np.ndim(rows) == 0 and not isinstance(rows, slice):
            return self.names[self.codes[rows]]
        codes = self.codes[rows]
        used, first, again = np.unique(codes, return_index=True, return_inverse=True)
        order = np.argsort(first, kind="stable")
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        return Labels(place[again], tuple(self.names[i] for i in used[order]))


@dataclass(frozen=True, eq=False)
class AbstractTable:
    """Columns with one entry a row.

    Columns are NumPy arrays that cannot be written to, or `Labels`; those that may be
    left out (None) are all there or all absent.

    Attributes:
        dropped: rows left out on reading, by the rule that they broke.
    """

    dropped: Mapping[str, int] = field(default_factory=dict, kw_only=True)

    rules: ClassVar[Phases] = ((), ())
    whole_columns: ClassVar[Mapping[str, type]] = {}

    def __post_init__(self) -> None:
        """Check columns and put arrays in their place that cannot change.

        Raises:
            DataError: naming the row, the column and the rule.
        """
        table = type(self).__name__
        columns = {}
        for name in self.column_names():
            value = getattr(self, name)
            if value is None:
                continue
            if name in self.label_names():
                columns[name] = Labels.of(value)
                continue
            value = np.asarray(value)
            if value.dtype.kind not in "iuf" or value.ndim != 1:
                found = f"{value.dtype} of shape {value.shape}"
                rule = "be numbers in one dimension"
                raise DataError(table, rule, column=name, value=found)
            columns[name] = value
        optional = [f.name for f in fields(self) if f.default is None]
        if 0 < sum(name in columns for name in optional) < len(optional):
            raise DataError(table, f"{' and '.join(optional)} must come together")
        if len({len(x) for x in columns.values()}) > 1:
            listed = ", ".join(f"{name} {len(x)}" for name, x in columns.items())
            raise DataError(table, f"columns must have one length; got {listed}")
        screen(columns, self.rules_for(columns), Origin(table))
        for name, value in columns.items():
            if not isinstance(value, Labels):
                value = np.array(value, self.whole_columns.get(name, np.float64))
                value.flags.writeable = False
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(getattr(self, self.column_names()[0]))

    @property
    def num_dropped(self) -> int:
        """How many rows were left out on reading."""
        return sum(self.dropped.values())

    @classmethod
    def column_names(cls) -> list[str]:
        """Return the names of columns in their order."""
        return [f.name for f in fields(cls) if f.name != "dropped"]

    @classmethod
    def label_names(cls) -> set[str]:
        """Return the names of columns that hold labels."""
        return {f.name for f in fields(cls) if f.type in (Labels, "Labels")}

    @classmethod
    def rules_for(cls, columns: Sequence[str] | Mapping[str, Any]) -> list[list[Rule]]:
        """Return the rules that need no more than some columns, by phase."""
        return [
            [rule for rule in phase if {rule.column, *rule.beside} <= set(columns)]
            for phase in cls.rules
        ]


def shifted(x: np.ndarray) -> np.ndarray:
    """Return the entry of the row before, NaN for the first."""
    return np.concatenate([np.full(min(1, len(x)), np.nan), x[:-1]])
