"""`gtrade run`."""

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gtrade.cli.console import make_console
from gtrade.cli.environment import prepare_environment
from gtrade.cli.errors import CommandError
from gtrade.cli.output import check_writable, write_json

if TYPE_CHECKING:
    from gtrade.cli.arguments import Run
    from gtrade.sweeps.spec import Spec
    from gtrade.sweeps.table import Table

SOME_WITHOUT_ANSWER = 3


def run_command(arguments: "Run") -> int:
    """Solve or sweep, print or write the results, and return the exit code."""
    if arguments.executor == "ray":
        _prepare_ray(arguments)
    if arguments.chunk is not None and arguments.chunk < 1:
        raise CommandError(f"--chunk: must be at least 1; got {arguments.chunk}")
    from gtrade.sweeps.spec import load_spec

    spec = load_spec(arguments.spec, arguments.set, arguments.set_from)
    if arguments.set_from is not None:
        print(_describe_draws(spec, arguments.set_from), file=sys.stderr)
    check_writable(arguments.json)
    prepare_environment(calls_lapack=spec.solver_entry.calls_lapack)
    from gtrade.solution import SUCCESS_NAMES
    from gtrade.sweeps.run import run_spec

    started = time.monotonic()
    with contextlib.redirect_stdout(sys.stderr):  # Ray's remarks belong there
        table = run_spec(
            spec,
            arguments.out,
            executor=arguments.executor,
            chunk=arguments.chunk,
            force_resume=arguments.force_resume,
            is_shown=True,
        )
    seconds = time.monotonic() - started
    if arguments.json is not None:
        write_json(document(spec, table, seconds), arguments.json)
    if arguments.json != "-":
        _show(table, arguments.out)
    elif arguments.out is not None:
        _write_report(table, arguments.out)
    counts = table.status_counts()
    is_whole = len(table) >= spec.num_points * spec.run.replications
    is_answered = is_whole and set(counts) <= set(SUCCESS_NAMES)
    return 0 if is_answered else SOME_WITHOUT_ANSWER


def _describe_draws(spec: "Spec", folder: Path) -> str:
    """Return which keys are set by which draws, in a line."""
    draws = spec.draws or {}
    by_column: dict[str, list[str]] = {}
    for key, column in draws["columns"].items():
        by_column.setdefault(column, []).append(key)
    pairs = [f"{column} sets {', '.join(keys)}" for column, keys in by_column.items()]
    count = next(len(axis) for axis in spec.axes if axis.form == "draws")
    line = f"{count} draws of {folder}: {'; '.join(pairs)}"
    dropped = draws["num_dropped"]
    return f"{line} ({dropped} with missing numbers left out)" if dropped else line


def _prepare_ray(arguments: "Run") -> None:
    """Refuse what cannot work; leave the accelerators to the workers."""
    from gtrade.sweeps.packages import require

    require("ray", "'gtrade[ray]'")
    if arguments.out is None:
        raise CommandError(
            "--executor ray: needs --out DIR, a folder that all workers can write to"
        )
    os.environ["JAX_PLATFORMS"] = "cpu"


def document(spec: "Spec", table: "Table", seconds: float) -> dict[str, Any]:
    """Return the JSON document of a run."""
    from gtrade.sweeps.rows import finite_or_none

    device = table.manifest["device"]
    return {
        "model": spec.model,
        "problem": finite_or_none(dict(spec.problem)),
        "solver": finite_or_none({"name": spec.solver, **spec.solver_values}),
        "rows": table.to_records(),
        "meta": {
            "version": table.manifest["versions"]["gtrade"],
            "device": f"{device['count']} x {device['kind']}",
            "precision": spec.run.precision,
            "seconds": round(seconds, 3),
        },
    }


def _show(table: "Table", out: Path | None) -> None:
    from gtrade.reporting.tables import print_summary, summarise

    print_summary(summarise(table), make_console())
    if out is not None:
        report = _write_report(table, out)
        if report is not None:
            print(f"report: {report}")


def _write_report(table: "Table", out: Path) -> Path | None:
    from gtrade.reporting.html import write_report

    try:
        return write_report(table, out / "report")
    except Exception as error:  # the results are safe; the report can be made again
        print(
            f"the report could not be written ({type(error).__name__}: {error});"
            f" try `gtrade report {out}`",
            file=sys.stderr,
        )
        return None
