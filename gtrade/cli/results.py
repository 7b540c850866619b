"""`gtrade report`, `export` and `compact`: commands on the folder of a run."""

from typing import TYPE_CHECKING

from gtrade.cli.console import make_console
from gtrade.cli.errors import unwritable

if TYPE_CHECKING:
    from gtrade.cli.arguments import Compact, Export, Report


def report_command(arguments: "Report") -> int:
    """Write the report of a run, or of a calibration, and print its table."""
    from gtrade.sweeps.calibrations import is_calibration

    if is_calibration(arguments.folder):
        return _report_calibration(arguments)
    from gtrade.reporting.html import write_report
    from gtrade.reporting.tables import print_summary, summarise
    from gtrade.sweeps.store import load

    table = load(arguments.folder)
    try:
        path = write_report(table, arguments.folder / "report")
    except OSError as error:
        raise unwritable(arguments.folder / "report", error) from None
    print_summary(summarise(table), make_console())
    print(f"report: {path}")
    return 0


def _report_calibration(arguments: "Report") -> int:
    from gtrade.catalog.calibrations import CALIBRATIONS
    from gtrade.reporting.calibrations import (
        print_calibration,
        write_calibration_report,
    )
    from gtrade.sweeps.calibrations import load_calibration

    found = load_calibration(arguments.folder)
    try:
        path = write_calibration_report(found, arguments.folder / "report")
    except OSError as error:
        raise unwritable(arguments.folder / "report", error) from None
    print_calibration(found, CALIBRATIONS[found.model], make_console())
    print(f"report: {path}")
    return 0


def export_command(arguments: "Export") -> int:
    """Write the rows of a run in another format."""
    from gtrade.reporting.export import SUFFIXES, export
    from gtrade.sweeps.store import load

    table = load(arguments.folder)
    default = arguments.folder / ("results" + SUFFIXES[arguments.to])
    path = arguments.out or default
    try:
        export(table, path, arguments.to)
    except OSError as error:
        raise unwritable(path, error) from None
    print(path)
    return 0


def compact_command(arguments: "Compact") -> int:
    """Merge the files of a run into fewer, larger ones."""
    from gtrade.sweeps.compaction import compact

    removed = compact(arguments.folder)
    print(f"{arguments.folder}: {removed} files fewer")
    return 0
