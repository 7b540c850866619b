"""`gtrade models`: the catalog in words."""

import difflib
from typing import TYPE_CHECKING, Any

from gtrade.cli.console import make_console
from gtrade.cli.errors import CommandError

if TYPE_CHECKING:
    from gtrade.catalog.base import Evidence, ModelEntry, Parameter
    from gtrade.cli.arguments import Models


def models_command(arguments: "Models") -> int:
    """List the models, or print everything about one."""
    from gtrade import catalog

    console = make_console()
    if arguments.name is None:
        rows = [(name, catalog.get_model(name).summary) for name in catalog.MODELS]
        _print_table(console, "", ("model", "what it is"), rows)
        from gtrade.catalog.calibrations import ENTRIES

        rows = [(e.name, ", ".join(e.data), e.summary) for e in ENTRIES]
        headers = ("calibrate --model", "reads", "what it fits")
        _print_table(console, "", headers, rows)
        return 0
    if arguments.name not in catalog.MODELS:
        near = difflib.get_close_matches(arguments.name, catalog.MODELS, 1)
        hint = f", did you mean {near[0]!r}?" if near else ""
        known = ", ".join(catalog.MODELS)
        raise CommandError(f"NAME must be one of {known}; got {arguments.name!r}{hint}")
    _print_model(console, catalog.get_model(arguments.name))
    return 0


def _print_model(console: Any, entry: "ModelEntry") -> None:
    from rich.text import Text

    console.print(Text(f"{entry.name}: {entry.summary}"))
    console.print(Text(f"source: {entry.source}"))
    headers = ("key", "type", "unit", "default", "meaning and rule")
    rows = [row for p in entry.parameters for row in _parameter_rows(p)]
    _print_table(console, "[problem]", headers, rows)
    for solver in entry.solvers:
        console.print(Text(f'[solver] name = "{solver.name}": {solver.summary}'))
        console.print(Text(f"source: {solver.source}; precision {solver.precision}"))
        if solver.parameters:
            rows = [row for p in solver.parameters for row in _parameter_rows(p)]
            _print_table(console, "", headers, rows)
    for evidence, solvers in _kinds_of_evidence(entry).items():
        by = "" if len(solvers) == len(entry.solvers) else f" of {', '.join(solvers)}"
        for title, columns in (
            (f"columns of the result rows{by}", evidence.columns),
            (f"arrays kept on request (run.arrays){by}", evidence.arrays),
        ):
            rows = [(c.name, " x ".join(c.axes), c.unit, c.doc) for c in columns]
            if rows:
                headers = ("column", "axes", "unit", "meaning")
                _print_table(console, title, headers, rows)


def _kinds_of_evidence(entry: "ModelEntry") -> dict["Evidence", list[str]]:
    kinds: dict[Evidence, list[str]] = {}
    for solver in entry.solvers:
        kinds.setdefault(entry.evidence_of(solver.name), []).append(solver.name)
    return kinds


def _parameter_rows(parameter: "Parameter", prefix: str = "") -> list[tuple[str, ...]]:
    """Return the row of a parameter, and of the keys of its tables."""
    from gtrade.sweeps.complaints import show
    from gtrade.sweeps.values import describe

    if parameter.is_required:
        default = "required"
    else:
        default = "none" if parameter.default is None else show(parameter.default)
    grouped = " (a sweep compiles once per value)" if parameter.is_static else ""
    doc = parameter.doc + grouped
    name = prefix + parameter.name
    rows = [(name, describe(parameter), parameter.unit, default, doc)]
    for field in parameter.fields:
        rows += _parameter_rows(field, f"{name}.N.")
    return rows


def _print_table(
    console: Any, title: str, headers: tuple[str, ...], rows: list[tuple[str, ...]]
) -> None:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=SIMPLE, title=Text(title) if title else None, title_justify="left"
    )
    for header in headers:
        table.add_column(header, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)
