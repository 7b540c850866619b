"""`gtrade calibrate`."""

import contextlib
import difflib
import math
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gtrade.cli.console import make_console
from gtrade.cli.environment import prepare_environment
from gtrade.cli.errors import CommandError, unwritable
from gtrade.cli.output import check_writable, write_json

if TYPE_CHECKING:
    from gtrade.calibration.results import Calibration
    from gtrade.catalog.calibrations import CalibrationEntry
    from gtrade.cli.arguments import Calibrate

SOME_WITHOUT_ANSWER = 3
_SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"([0-9.]+(?:[eE][-+]?[0-9]+)?)\s*(ms|s|min|h|d)?")


def calibrate_command(arguments: "Calibrate") -> int:
    """Fit a model to data, print or write the results, and return the exit code."""
    from gtrade.catalog.base import resolve
    from gtrade.sweeps.calibrations import check_free, write_calibration

    entry = find_entry(arguments.model)
    options = read_options(entry, arguments)
    if not arguments.data:
        raise CommandError("FILE: name at least one file")
    if arguments.draws < 1:
        raise CommandError(f"--draws: must be at least 1; got {arguments.draws}")
    if arguments.out is not None:
        check_free(arguments.out)
    check_writable(arguments.json)
    data = read_data(entry, arguments)
    prepare_environment(calls_lapack=True)
    from gtrade.solution import SUCCESS_NAMES

    console = make_console(stderr=True)
    waiting: Any = contextlib.nullcontext()
    if sys.stderr.isatty():
        waiting = console.status(f"fitting {entry.name}")
    with waiting:
        found = resolve(entry.fit)(
            data, num_draws=arguments.draws, seed=arguments.seed, **options
        )
    if arguments.out is not None:
        try:
            write_calibration(found, arguments.out)
        except OSError as error:
            raise unwritable(arguments.out, error) from None
    if arguments.json is not None:
        write_json(document(found), arguments.json)
    if arguments.json != "-":
        show(found, entry)
    if arguments.out is not None:
        report = _write_report(found, arguments.out)
        if report is not None and arguments.json != "-":
            print(f"report: {report}")
    return 0 if set(found.rows["status"]) <= set(SUCCESS_NAMES) else SOME_WITHOUT_ANSWER


def find_entry(name: str) -> "CalibrationEntry":
    """Return the entry of a kind of fit.

    Raises:
        CommandError: naming all of them.
    """
    from gtrade.catalog.calibrations import CALIBRATIONS

    if name in CALIBRATIONS:
        return CALIBRATIONS[name]
    near = difflib.get_close_matches(name, CALIBRATIONS, 1)
    hint = f", did you mean {near[0]!r}?" if near else ""
    known = ", ".join(CALIBRATIONS)
    raise CommandError(f"--model: must be one of {known}; got {name!r}{hint}")


def read_options(entry: "CalibrationEntry", arguments: "Calibrate") -> dict[str, Any]:
    """Return a fit's options from the command line, defaults filled in.

    Raises:
        CommandError: naming the option, its rule and the value.
    """
    from gtrade.catalog.calibrations import DURATION
    from gtrade.sweeps.complaints import RuleError
    from gtrade.sweeps.overrides import parse_value
    from gtrade.sweeps.values import normalise

    given: dict[str, Any] = {}
    for name in ("window", "every", "horizon"):
        text = getattr(arguments, name)
        if text is not None:
            given[name] = read_duration(f"--{name}", text)
    for setting in arguments.set:
        name, equals, text = setting.partition("=")
        if not equals:
            raise CommandError(f"--set: must have the form key=value; got {setting!r}")
        try:
            given[name.strip()] = parse_value(text.strip())
        except ValueError:
            raise CommandError(
                f"--set {name}: must be a TOML value or a plain word; got {text!r}"
            ) from None
    known = [option.name for option in entry.options]
    found = {option.name: option.default for option in entry.options}
    for name, value in given.items():
        option = entry.option(name)
        if option is None:
            listed = ", ".join(known) or "none"
            raise CommandError(f"{entry.name} has no option {name!r}; it has: {listed}")
        try:
            found[name] = value = normalise(option, value)
        except RuleError as error:
            raise CommandError(f"{name}: {error}") from None
        if option.unit == DURATION and value is not None and not 0 < value < math.inf:
            raise CommandError(
                f"{name}: must be a finite time greater than 0, in seconds; got {value}"
            )
    return found


def read_duration(name: str, text: str) -> float:
    """Return seconds from a text such as 5min, 30s or 1.5h.

    Raises:
        CommandError: if it is none.
    """
    match = _DURATION.fullmatch(text.strip())
    try:
        value = float(match[1]) * _SECONDS[match[2] or "s"] if match else math.nan
    except ValueError:  # two points, say
        value = math.nan
    if not 0 < value < math.inf:
        units = ", ".join(_SECONDS)
        raise CommandError(
            f"{name}: must be a positive number with a unit ({units}), such as 5min;"
            f" got {text!r}"
        )
    return value


def read_data(entry: "CalibrationEntry", arguments: "Calibrate") -> Any:
    """Read the files of a command line as what a fit needs."""
    from gtrade.calibration.readers import read_any, sniff
    from gtrade.calibration.rules import DataError

    columns = {}
    for setting in arguments.columns:
        name, equals, column = setting.partition("=")
        if not equals or not name or not column:
            raise CommandError(
                f"--columns: must have the form name=column; got {setting!r}"
            )
        columns[name] = column
    options: dict[str, Any] = {"skip_bad": arguments.skip_bad}
    if columns:
        options["columns"] = columns
    files: Any = arguments.data
    first, *rest = files
    try:
        kind = sniff(first, columns)
    except DataError:
        if len(entry.data) > 1:
            raise
        kind = next(iter(entry.data))  # whose reader says what is missing
    if kind not in entry.data:
        raise CommandError(
            f"{first}: holds {kind}; {entry.name} reads {' or '.join(entry.data)}"
        )
    if rest:
        if kind != "events" or len(rest) > 1:
            raise CommandError(
                "FILE: give one; or two for events, messages and order book; got"
                f" {len(arguments.data)}"
            )
        options["orderbook"] = rest[0]
    if arguments.time_unit is not None:
        if kind in ("counts", "schedules"):
            raise CommandError(f"--time-unit: {kind} have no unit of time")
        options["time_unit"] = arguments.time_unit
    return read_any(first, kind, **options)


def show(found: "Calibration", entry: "CalibrationEntry") -> None:
    """Print the estimates as a table."""
    from gtrade.reporting.calibrations import print_calibration

    print_calibration(found, entry, make_console())


def document(found: "Calibration") -> dict[str, Any]:
    """Return the JSON document of a calibration."""
    from gtrade.calibration.results import finite_or_none

    return {
        "model": found.model,
        "units": dict(found.units),
        "rows": found.to_records(),
        "facts": finite_or_none(dict(found.facts)),
    }


def _write_report(found: "Calibration", out: Path) -> Path | None:
    from gtrade.reporting.calibrations import write_calibration_report

    try:
        return write_calibration_report(found, out / "report")
    except Exception as error:  # the estimates are safe
        print(
            f"the report could not be written ({type(error).__name__}: {error})",
            file=sys.stderr,
        )
        return None
