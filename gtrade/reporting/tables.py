"""The summary of a run: mean and standard error over replications at each point."""

import dataclasses
import html
import math
from typing import Any

import numpy as np

from gtrade.sweeps.table import Table

UNVERIFIED_HEADLINE = ("residual", "num_steps")


@dataclasses.dataclass(frozen=True)
class Summary:
    """A table of texts, ready to print.

    Attributes:
        title: what it shows.
        headers: of the columns.
        rows: cells as text.
        is_number: which columns are right-aligned.
        note: what is left out, empty if nothing is.
    """

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    is_number: tuple[bool, ...]
    note: str = ""


def summarise(table: Table, *, most_points: int = 50) -> Summary:
    """Summarise the headline columns of a run at every grid point.

    Rows with a non-finite value (no answer) are left out of mean and standard error;
    the status column counts them.

    Args:
        table: of a run.
        most_points: points that are listed; a note says how many are not.

    Returns:
        One row per point: swept values, rows, statuses, then "mean ± standard error"
        with three significant digits.
    """
    points, first, member = np.unique(
        table["point"], return_index=True, return_inverse=True
    )
    num_listed = min(len(points), most_points)
    is_listed = member < num_listed
    member = member[is_listed]
    counts = np.bincount(member, minlength=num_listed)
    headers, columns, is_number = (
        ["point"],
        [[str(p) for p in points[:num_listed]]],
        [True],
    )

    def add(header: str, cells: list[str], right: bool) -> None:
        headers.append(header)
        columns.append(cells)
        is_number.append(right)

    for key in table.swept:
        values = table[key]
        cells = [show_value(values[row]) for row in first[:num_listed]]
        is_text = isinstance(values, np.ndarray) and values.dtype.kind == "U"
        add(key, cells, not is_text)
    add("rows", [str(count) for count in counts], True)
    add(
        "status",
        _statuses(np.asarray(table["status"])[is_listed], member, num_listed),
        False,
    )
    units = {column["name"]: column["unit"] for column in table.described()}
    for name in _headline(table):
        unit = units.get(name, "")
        header = f"{name} [{unit}]" if unit not in ("", "1") else name
        add(header, _means(table[name], is_listed, member, num_listed), True)
    note = ""
    if num_listed < len(points):
        note = f"{len(points) - num_listed} more points are not listed"
    return Summary(
        title=f"{table.manifest['spec']['model']}: {len(table)} rows",
        headers=tuple(headers),
        rows=tuple(zip(*columns, strict=True)),
        is_number=tuple(is_number),
        note=note,
    )


def _headline(table: Table) -> list[str]:
    return list(table.manifest["headline"] or UNVERIFIED_HEADLINE)


def _statuses(status: np.ndarray, member: np.ndarray, size: int) -> list[str]:
    names, codes = np.unique(status, return_inverse=True)
    counts = np.zeros((size, len(names)), np.int64)
    np.add.at(counts, (member, codes), 1)
    cells = []
    for row in counts:
        found = np.flatnonzero(row)
        if len(found) == 1:
            cells.append(str(names[found[0]]))
        else:
            order = found[np.argsort(-row[found], kind="stable")]
            cells.append(", ".join(f"{row[i]} {names[i]}" for i in order))
    return cells


def _means(
    values: Any, is_listed: np.ndarray, member: np.ndarray, size: int
) -> list[str]:
    if isinstance(values, list):
        return ["(lists)"] * size
    values = values[is_listed].astype(np.float64)
    flat = values.reshape(len(values), -1)
    is_good = np.isfinite(flat).all(axis=1)
    member, flat = member[is_good], flat[is_good]
    counts = np.bincount(member, minlength=size)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        sums = np.zeros((size, flat.shape[1]))
        np.add.at(sums, member, flat)
        mean = sums / counts
        squares = np.zeros_like(sums)
        np.add.at(squares, member, (flat - mean[member]) ** 2)
        error = np.sqrt(squares / (counts - 1) / counts)
    is_list = values.ndim > 1
    return [
        _mean_cell(mean[i], error[i], int(counts[i, 0]), is_list) for i in range(size)
    ]


def _mean_cell(mean: np.ndarray, error: np.ndarray, count: int, is_list: bool) -> str:
    if not count:
        return "-"
    if is_list:
        return "[" + ", ".join(show_number(x) for x in mean) + "]"
    text = show_number(float(mean[0]))
    return text if count == 1 else f"{text} ± {show_number(float(error[0]))}"


def show_number(value: float) -> str:
    """Write a number with three significant digits (all digits before the point)."""
    if not math.isfinite(value) or value == 0:
        return f"{value:.3g}"
    if 99.95 <= abs(value) < 1e6:
        return f"{value:.0f}"
    return f"{value:.3g}"


def show_value(value: Any) -> str:
    """Write a swept value in full: it names the point."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return "[" + ", ".join(show_value(x) for x in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def print_summary(summary: Summary, console: Any) -> None:
    """Print a summary on a rich console."""
    from rich.box import SIMPLE
    from rich.table import Table as RichTable
    from rich.text import Text

    grid = RichTable(title=Text(summary.title), box=SIMPLE, title_justify="left")
    for header, is_number in zip(summary.headers, summary.is_number, strict=True):
        # Numbers are never cut; long dotted keys may break after a dot.
        title = Text(header.replace(".", ".\n"), overflow="fold")
        justify = "right" if is_number else "left"
        grid.add_column(title, justify=justify, no_wrap=is_number, overflow="fold")
    for row in summary.rows:
        grid.add_row(*(Text(cell) for cell in row))
    console.print(grid)
    if summary.note:
        console.print(Text(summary.note))


def summary_html(summary: Summary) -> str:
    """Return a summary as an HTML table, all text escaped."""
    kinds = ["number" if is_number else "text" for is_number in summary.is_number]

    def line(cells: tuple[str, ...], tag: str) -> str:
        pairs = zip(cells, kinds, strict=True)
        inner = "".join(
            f'<{tag} class="{kind}">{html.escape(cell)}</{tag}>' for cell, kind in pairs
        )
        return f"<tr>{inner}</tr>"

    body = "\n".join(line(row, "td") for row in summary.rows)
    note = f"<p>{html.escape(summary.note)}</p>" if summary.note else ""
    head = line(summary.headers, "th")
    return f"<table><thead>{head}</thead>\n<tbody>{body}</tbody></table>{note}"
