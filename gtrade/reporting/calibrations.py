"""Tables, figures and the page of a calibration."""

import html
import json
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gtrade.calibration.results import Calibration, finite_or_none
from gtrade.catalog.base import resolve
from gtrade.catalog.calibrations import CALIBRATIONS, CalibrationEntry
from gtrade.reporting.html import STYLE, draw_svg
from gtrade.reporting.tables import Summary, print_summary, show_number, summary_html

_MOST_ROWS = 40


def summarise_calibration(
    found: Calibration, names: tuple[str, ...], *, most_rows: int = _MOST_ROWS
) -> Summary:
    """Return a table of estimates, one row a fit: value, standard error, interval.

    Args:
        found: the calibration.
        names: numbers and diagnostics that are shown.
        most_rows: fits that are listed; a note says how many are not.
    """
    names = tuple(name for name in names or found.units if name in found.rows)
    labels = [name for name in found.rows if name not in _numeric(found)]
    labels = labels[: labels.index("status") + 1]
    labels = [name for name in labels if name not in ("start", "end")]
    headers, columns = list(labels), [[str(x) for x in found.rows[k]] for k in labels]
    is_number = [found.rows[k].dtype.kind in "iuf" for k in labels]
    for i, name in enumerate(labels):
        if is_number[i]:
            columns[i] = [show_number(float(x)) for x in found.rows[name]]
    for name in names:
        unit = found.units.get(name, "")
        headers.append(f"{name} ({unit})" if unit else name)
        is_number.append(True)
        columns.append(_cells(found, name))
    rows = list(zip(*columns, strict=True))
    left = len(rows) - most_rows
    note = f"{left} more fits are not listed" if left > 0 else ""
    remarks = [
        f"{row_name}: {word} {found.rows[column][i]}"
        for column, word in (
            ("at_bound", "at the end of its domain:"),
            ("not_identified", "left open by the data:"),
        )
        for i, row_name in enumerate(columns[0][:most_rows])
        if column in found.rows and found.rows[column][i]
    ]
    bad = found.facts.get("num_dropped_rows", 0)
    dropped = f"{bad} bad rows of the data were left out" if bad else ""
    note = "\n".join(filter(None, [*remarks, dropped, note]))
    title = f"{found.model}: estimate ± standard error [95 % interval]"
    return Summary(
        title, tuple(headers), tuple(rows[:most_rows]), tuple(is_number), note
    )


def print_calibration(
    found: Calibration, entry: CalibrationEntry, console: Any
) -> None:
    """Print the headline numbers on a rich console; all of them for a single fit."""
    if len(next(iter(found.rows.values()))) == 1:
        print_summary(_one_fit(found), console)
        return
    print_summary(summarise_calibration(found, entry.headline), console)


def write_calibration_report(found: Calibration, folder: str | Path) -> Path:
    """Write `report.html`, and the figures as PNG and SVG, into a folder.

    A figure that cannot be drawn is named in the report and loses nothing else.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    entry = CALIBRATIONS[found.model]
    drawings, problem = {}, ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            figures = resolve(entry.figures)(found)
        for name, figure in figures.items():
            figure.savefig(folder / f"{name}.png", dpi=150)
            drawings[name] = draw_svg(figure, name)
            (folder / f"{name}.svg").write_text(drawings[name], encoding="utf-8")
    except OSError:
        raise
    except Exception as error:  # a report without figures is better than none
        problem = f"The figures could not be drawn ({type(error).__name__}: {error})."
    path = folder / "report.html"
    path.write_text(_page(found, entry, drawings, problem), encoding="utf-8")
    return path


def _one_fit(found: Calibration) -> Summary:
    """Return a table of one fit, a number a row."""
    whole = summarise_calibration(found, tuple(found.units))
    headers = ("number", "unit", "estimate", "standard error", "95 % interval")
    rows = []
    for name, unit in found.units.items():
        value, error, low, high = (
            show_number(float(found.rows[f"{name}{end}"][0]))
            for end in ("", "_se", "_low", "_high")
        )
        rows.append((name, unit, value, error, f"{low} to {high}"))
    for name in ("status", "r_squared", "num_observations"):
        value = found.rows[name][0]
        if name == "status" or np.isfinite(value):
            text = str(value) if name == "status" else show_number(float(value))
            rows.append((name, "", text, "", ""))
    is_number = (False, False, True, True, True)
    return Summary(found.model, headers, tuple(rows), is_number, whole.note)


def _numeric(found: Calibration) -> set[str]:
    return {
        f"{name}{end}" for name in found.units for end in ("", "_se", "_low", "_high")
    }


def _cells(found: Calibration, name: str) -> list[str]:
    values = found.rows[name]
    if f"{name}_se" not in found.rows:
        return [show_number(float(x)) for x in values]
    cells = []
    for i, value in enumerate(values):
        error, low, high = (
            float(found.rows[f"{name}_{end}"][i]) for end in ("se", "low", "high")
        )
        text = show_number(float(value))
        if math.isfinite(error):
            ends = f"[{show_number(low)}, {show_number(high)}]"
            text = f"{text} ± {show_number(error)} {ends}"
        cells.append(text)
    return cells


def _page(
    found: Calibration,
    entry: CalibrationEntry,
    drawings: Mapping[str, str],
    problem: str,
) -> str:
    shown = tuple(found.units)
    diagnostics = tuple(
        name
        for name in ("r_squared", "num_observations", "num_dropped", "num_agreeing")
        if name in found.rows
    )
    numbers = summary_html(
        summarise_calibration(found, (*shown, *diagnostics), most_rows=500)
    )
    title = html.escape(f"{entry.name}: gtrade calibration")
    parts = [
        f"<h1>{html.escape(entry.name)}</h1>",
        f"<p>{html.escape(entry.summary)} <em>{html.escape(entry.source)}</em></p>",
        f'<h2>Estimates</h2><div class="wide">{numbers}</div>',
    ]
    if problem:
        parts.append(f'<p class="warning">{html.escape(problem)}</p>')
    for name, drawing in drawings.items():
        parts.append(f'<figure aria-label="{html.escape(name)}">{drawing}</figure>')
    facts = json.dumps(finite_or_none(dict(found.facts)), indent=2)
    parts.append(f"<h2>Data and options</h2><pre>{html.escape(facts)}</pre>")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )
