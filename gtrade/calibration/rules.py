"""Rules that rows of data must keep, and the one message when one does not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Columns = Mapping[str, Any]


class DataError(ValueError):
    """A file or a table cannot be used; the message is one line and says where.

    Attributes:
        source: the file, or the table's name for data in memory.
        rule: what is wrong; with a column, a phrase that follows "must".
        row: number of the offending row, or None. In text files it is the line as an
            editor counts it, a header being line 1; in Parquet files and in memory
            the first row is row 1.
        place: "line" or "row", what `row` counts.
        column: name of the column as the source spells it, or None.
        value: the offending value, or None.
        num_bad: how many rows are bad.
    """

    def __init__(
        self,
        source: Any,
        rule: str,
        *,
        row: int | None = None,
        place: str = "row",
        column: str | None = None,
        value: str | None = None,
        num_bad: int = 1,
    ) -> None:
        """Compose the one-line message."""
        self.source, self.rule, self.row, self.place = str(source), rule, row, place
        self.column, self.value, self.num_bad = column, value, num_bad
        message = self.source
        if row is not None:
            message += f", {place} {row}"
        message += f": {rule}" if column is None else f": {column} must {rule}"
        if value is not None:
            message += f"; got {value}"
        if num_bad > 1:
            message += f" ({num_bad} bad rows in all)"
        super().__init__(" ".join(message.splitlines()))

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes by what it was made of."""
        return _rebuild, (self.source, self.rule, self.__dict__)


def _rebuild(source: str, rule: str, made_of: dict[str, Any]) -> DataError:
    rest = {k: x for k, x in made_of.items() if k not in ("source", "rule")}
    return DataError(source, rule, **rest)


@dataclass(frozen=True)
class Rule:
    """What every row must satisfy.

    Attributes:
        column: the column at fault when it is broken.
        phrase: follows "must".
        is_good: maps columns to one boolean a row.
        beside: other columns that the message shows.
        value: of the first row that breaks it, where a column cannot tell.
    """

    column: str
    phrase: str
    is_good: Callable[[Columns], np.ndarray]
    beside: tuple[str, ...] = ()
    value: str | None = None


@dataclass(frozen=True)
class Origin:
    """Where rows came from, for messages.

    Attributes:
        source: file or table.
        place: "line" or "row".
        rows: number of every row in its source; None where they count 1, 2, ...
        names: of columns as the source spells them, where that differs.
        raw: columns as they stand in the source, before units were changed.
        unreadable: number of each row whose cells could not be told apart, and what is
            wrong with it.
        unread: rules that cells which hold no number have broken already.
    """

    source: Any
    place: str = "row"
    rows: np.ndarray | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    raw: Columns = field(default_factory=dict)
    unreadable: Sequence[tuple[int, str]] = ()
    unread: Sequence[Rule] = ()


def num_rows(columns: Columns) -> int:
    """Return how many rows columns have."""
    return len(next(iter(columns.values())))


def screen(
    columns: Columns,
    phases: Sequence[Sequence[Rule]],
    origin: Origin,
    *,
    skip_bad: bool = False,
) -> tuple[np.ndarray, dict[str, int]]:
    """Apply rules to rows: first those of single rows, then those of their order.

    Args:
        columns: by name, each with one entry a row and an index by boolean arrays.
        phases: rules; those of a later phase see only rows that passed the earlier.
        origin: where rows came from.
        skip_bad: count bad rows instead of raising.

    Returns:
        Which rows are good, and how many broke each rule first.

    Raises:
        DataError: for the first bad row, unless they are skipped.
    """
    keep = np.ones(num_rows(columns), bool)
    dropped: dict[str, int] = {}
    for _, reason in origin.unreadable:
        dropped[reason] = dropped.get(reason, 0) + 1
    first = origin.unreadable[0] if origin.unreadable and not skip_bad else None
    for number, rules in enumerate(phases):
        rules = [*origin.unread, *rules] if number == 0 else list(rules)
        inside = np.flatnonzero(keep)
        seen = columns if len(inside) == len(keep) else select(columns, keep)
        broken = np.full(len(inside), len(rules), np.int32)
        for index in reversed(range(len(rules))):
            broken[~rules[index].is_good(seen)] = index
        bad = np.flatnonzero(broken < len(rules))
        if not skip_bad and (len(bad) or first is not None):
            count = len(bad) + len(origin.unreadable)
            _raise_first(columns, rules, broken, bad, inside, origin, first, count)
        for index, count in zip(
            *np.unique(broken[bad], return_counts=True), strict=True
        ):
            rule = rules[index]
            name = origin.names.get(rule.column, rule.column)
            key = f"{name} must {rule.phrase}"
            dropped[key] = dropped.get(key, 0) + int(count)
        keep[inside[bad]] = False
    return keep, dropped


def _raise_first(
    columns: Columns,
    rules: Sequence[Rule],
    broken: np.ndarray,
    bad: np.ndarray,
    inside: np.ndarray,
    origin: Origin,
    unreadable: tuple[int, str] | None,
    count: int,
) -> None:
    at = None
    if len(bad):
        row = int(inside[bad[0]])
        at = row + 1 if origin.rows is None else int(np.asarray(origin.rows)[row])
    if at is None or (unreadable is not None and unreadable[0] < at):
        assert unreadable is not None
        raise DataError(
            origin.source,
            unreadable[1],
            row=unreadable[0],
            place=origin.place,
            num_bad=count,
        )
    rule = rules[int(broken[bad[0]])]
    value = rule.value
    if value is None:
        value = _show(rule.column, columns, origin, row)
        for other in rule.beside:
            name = origin.names.get(other, other)
            value += f" where {name} is {_show(other, columns, origin, row)}"
    raise DataError(
        origin.source,
        rule.phrase,
        row=at,
        place=origin.place,
        column=origin.names.get(rule.column, rule.column),
        value=value,
        num_bad=count,
    )


def select(columns: Columns, keep: np.ndarray) -> dict[str, Any]:
    """Return the columns of some rows."""
    if keep.all():
        return dict(columns)
    return {name: column[keep] for name, column in columns.items()}


def _show(name: str, columns: Columns, origin: Origin, row: int) -> str:
    column: Any = origin.raw.get(name, columns[name])
    value = column[row]
    if isinstance(value, str):
        return show_text(value)
    if value != value:
        return "nothing (missing or not a number)"
    number = value.item() if hasattr(value, "item") else value
    is_whole = isinstance(number, float) and number.is_integer() and abs(number) < 1e15
    return repr(int(number) if is_whole else number)


def show_text(text: str) -> str:
    """Quote a cell, shortened to what fits a line."""
    return repr(text if len(text) <= 40 else text[:37] + "...")
