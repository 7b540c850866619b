"""The report of a run: one self-contained HTML file, and its figures as files."""

import html
import io
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gtrade import catalog
from gtrade.reporting.tables import summarise, summary_html
from gtrade.sweeps.table import Table

_MOST_POINTS = 500
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto;
       padding: 0 1rem; color: #222; background: #fff; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #ddd; vertical-align: top; }
th { text-align: left; } .number { text-align: right; white-space: nowrap; }
.wide { overflow-x: auto; } figure { margin: 1rem 0; }
svg { max-width: 100%; height: auto; }
pre { background: #f6f6f6; padding: .8rem; overflow-x: auto; }
.warning { background: #fff3cd; padding: .6rem .8rem; }
"""


def write_report(table: Table, folder: str | Path) -> Path:
    """Write `report.html` and the figures as PNG and SVG into a folder.

    A figure that cannot be drawn is named in the report and loses nothing else.

    Args:
        table: of a finished or unfinished run.
        folder: made if absent.

    Returns:
        The path of the HTML file.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    figures, problem = _figures(table)
    drawings = {}
    for name, figure in figures.items():
        figure.savefig(folder / f"{name}.png", dpi=150)
        drawings[name] = draw_svg(figure, name)
        (folder / f"{name}.svg").write_text(drawings[name], encoding="utf-8")
    path = folder / "report.html"
    path.write_text(page(table, drawings, problem), encoding="utf-8")
    return path


def _figures(table: Table) -> tuple[dict[str, Any], str]:
    """Return the model's figures and, if there are none, why."""
    spec = table.manifest["spec"]
    entry = catalog.get_model(spec["model"])
    try:
        make = catalog.resolve(entry.evidence_of(spec["solver"]["name"]).figures)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make(table), ""
    except Exception as error:  # a report without figures is better than none
        reason = f"{type(error).__name__}: {error}"
        return {}, f"The figures could not be drawn ({reason})."


def draw_svg(figure: Any, name: str) -> str:
    """Return a figure as an SVG element; ids differ between figures of one page."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def page(table: Table, drawings: Mapping[str, str], problem: str = "") -> str:
    """Return the HTML page of a run.

    Args:
        table: of the run.
        drawings: SVG elements by name, put in as they are.
        problem: a warning above the figures, empty for none.
    """
    manifest = table.manifest
    spec = manifest["spec"]
    entry = catalog.get_model(spec["model"])
    expected = manifest["num_points"] * spec["run"]["replications"]
    statuses = table.status_counts()
    parts = [
        f"<h1>{_text(entry.name)}</h1>",
        f"<p>{_text(entry.summary)} <em>{_text(entry.source)}</em></p>",
        f"<p>{len(table)} of {expected} rows are finished.</p>",
        "<h2>Statuses</h2>",
        _pairs({name: str(count) for name, count in statuses.items()}),
        "<h2>Results</h2>",
        f'<div class="wide">{summary_html(summarise(table, most_points=_MOST_POINTS))}'
        "</div>",
    ]
    if drawings or problem:
        parts.append("<h2>Figures</h2>")
    if problem:
        parts.append(f'<p class="warning">{_text(problem)}</p>')
    for name, drawing in drawings.items():
        parts.append(f'<figure aria-label="{_text(name)}">{drawing}</figure>')
    parts += [
        "<h2>Columns</h2>",
        _columns(table),
        "<h2>Resolved spec</h2>",
        f"<pre>{_text(spec_toml(spec))}</pre>",
        f"<p>sha256 {_text(manifest['spec_hash'])}</p>",
        "<h2>Versions and device</h2>",
        _pairs({**manifest["versions"], "device": json.dumps(manifest["device"])}),
    ]
    title = _text(f"{entry.name}: gtrade report")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def spec_toml(resolved: Mapping[str, Any]) -> str:
    """Return a resolved spec as TOML; parameters that are unset are left out."""
    import tomli_w

    document = {key: value for key, value in resolved.items() if key != "sweep"}
    sweep: dict[str, Any] = {}
    for axis in resolved["sweep"]:
        if axis["form"] in ("zip", "table"):
            sweep[axis["form"]] = axis["values"]
        else:
            sweep.update(axis["values"])
    if sweep:
        document["sweep"] = sweep
    return tomli_w.dumps(_without_none(document))


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [_without_none(v) for v in value]
    return value


def _columns(table: Table) -> str:
    lines = "".join(
        f"<tr><td>{_text(column['name'])}</td><td>{_text(column['unit'])}</td>"
        f"<td>{_text(' x '.join(column['axes']))}</td>"
        f"<td>{_text(column['doc'])}</td></tr>"
        for column in table.described()
    )
    head = "<tr><th>column</th><th>unit</th><th>axes</th><th>meaning</th></tr>"
    return f"<table><thead>{head}</thead><tbody>{lines}</tbody></table>"


def _pairs(pairs: Mapping[str, str]) -> str:
    lines = "".join(
        f'<tr><td>{_text(name)}</td><td class="number">{_text(value)}</td></tr>'
        for name, value in pairs.items()
    )
    return f"<table><tbody>{lines}</tbody></table>"


def _text(value: str) -> str:
    return html.escape(str(value))
