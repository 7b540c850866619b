"""The arguments of every command, as dataclasses that tyro reads."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tyro.conf import FlagCreatePairsOff, Positional, UseAppendAction, arg, subcommand

_DESCRIPTION = "Batch solver for the games that traders play."


@dataclasses.dataclass(frozen=True)
class Run:
    """Solve or sweep what a spec describes; --out again goes on where it stopped."""

    spec: Annotated[Positional[Path], arg(metavar="SPEC")]
    """TOML file: model, numbers, solver and sweep axes."""
    set: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="KEY=VALUE")] = ()
    """Replace a value of the spec, such as solver.noise=10."""
    set_from: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """Take draws of estimated numbers from a calibration's folder, one point a draw."""
    out: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """Folder of the results; without it a table is printed."""
    json: Annotated[str | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """Write the results as one JSON document; - for stdout, and nothing else there."""
    executor: Literal["local", "ray"] = "local"
    """Where chunks are computed."""
    chunk: Annotated[int | None, arg(metavar="N", help_behavior_hint="")] = None
    """Rows per result file (default: about five seconds of work); changes no result."""
    force_resume: bool = False
    """Go on in DIR although spec, versions or device differ."""
    debug: bool = False
    """Show tracebacks."""

    def __call__(self) -> int:
        """Run the command."""
        from gtrade.cli.run import run_command

        return run_command(self)


@dataclasses.dataclass(frozen=True)
class Report:
    """Write tables and figures of a finished or unfinished run to DIR/report."""

    folder: Annotated[Positional[Path], arg(metavar="DIR")]
    """Folder of a run."""
    debug: bool = False
    """Show tracebacks."""

    def __call__(self) -> int:
        """Run the command."""
        from gtrade.cli.results import report_command

        return report_command(self)


@dataclasses.dataclass(frozen=True)
class Export:
    """Write the rows of a run for other tools."""

    folder: Annotated[Positional[Path], arg(metavar="DIR")]
    """Folder of a run."""
    to: Literal["csv", "parquet", "zarr"]
    """Format; CSV holds lists as JSON text."""
    out: Annotated[Path | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """What to write; by default results.csv (.parquet, .zarr) in DIR."""
    debug: bool = False
    """Show tracebacks."""

    def __call__(self) -> int:
        """Run the command."""
        from gtrade.cli.results import export_command

        return export_command(self)


@dataclasses.dataclass(frozen=True)
class Compact:
    """Merge the files of a run into fewer, larger ones."""

    folder: Annotated[Positional[Path], arg(metavar="DIR")]
    """Folder of a run that nobody is writing to."""
    debug: bool = False
    """Show tracebacks."""

    def __call__(self) -> int:
        """Run the command."""
        from gtrade.cli.results import compact_command

        return compact_command(self)


@dataclasses.dataclass(frozen=True)
class Models:
    """List the models, or everything about one of them."""

    name: Annotated[
        Positional[str | None], arg(metavar="NAME", help_behavior_hint="")
    ] = None
    """A model."""
    debug: bool = False
    """Show tracebacks."""

    def __call__(self) -> int:
        """Run the command."""
        from gtrade.cli.models import models_command

        return models_command(self)


@dataclasses.dataclass(frozen=True)
class Doctor:
    """Show devices, memory and versions; say what is wrong and how to mend it."""

    debug: bool = False
    """Show tracebacks."""

    def __call__(self) -> int:
        """Run the command."""
        from gtrade.cli.doctor import doctor_command

        return doctor_command()


@dataclasses.dataclass(frozen=True)
class Calibrate:
    """Fit impact or information coefficients to trade data, with errors."""

    data: Annotated[Positional[tuple[Path, ...]], arg(metavar="FILE")]
    """CSV, gzipped CSV or Parquet; for LOBSTER messages and order book."""
    model: Annotated[str, arg(metavar="NAME", help_behavior_hint="")]
    """What to fit; `gtrade models` lists the names."""
    window: Annotated[str | None, arg(metavar="TIME", help_behavior_hint="")] = None
    """Length of bars, such as 5min."""
    every: Annotated[str | None, arg(metavar="TIME", help_behavior_hint="")] = None
    """Fit periods of this length too, each by itself."""
    horizon: Annotated[str | None, arg(metavar="TIME", help_behavior_hint="")] = None
    """Over which a position would be built: the unit of time of the estimates."""
    set: Annotated[UseAppendAction[tuple[str, ...]], arg(metavar="KEY=VALUE")] = ()
    """Another option of the fit."""
    columns: Annotated[
        UseAppendAction[tuple[str, ...]], arg(metavar="NAME=COLUMN")
    ] = ()
    """What a column of the file is called, such as price=px."""
    time_unit: Annotated[
        Literal["s", "ms", "us", "ns"] | None, arg(help_behavior_hint="")
    ] = None
    """Of times in the file; by default seconds, or what a column's name says."""
    skip_bad: bool = False
    """Drop and count bad rows instead of stopping at the first."""
    draws: Annotated[int, arg(metavar="N")] = 1000
    """Draws of the estimates for `gtrade run --set-from`."""
    seed: Annotated[int, arg(metavar="N")] = 0
    """Of the draws."""
    out: Annotated[Path | None, arg(metavar="DIR", help_behavior_hint="")] = None
    """Folder of estimates, draws and report; without it a table is printed."""
    json: Annotated[str | None, arg(metavar="FILE", help_behavior_hint="")] = None
    """Write the estimates as JSON; - for stdout, and nothing else there."""
    debug: bool = False
    """Show tracebacks."""

    def __call__(self) -> int:
        """Run the command."""
        from gtrade.cli.calibrate import calibrate_command

        return calibrate_command(self)


Command = (
    Annotated[Run, subcommand("run")]
    | Annotated[Report, subcommand("report")]
    | Annotated[Export, subcommand("export")]
    | Annotated[Compact, subcommand("compact")]
    | Annotated[Calibrate, subcommand("calibrate")]
    | Annotated[Models, subcommand("models")]
    | Annotated[Doctor, subcommand("doctor")]
)


def parse(
    argv: Sequence[str],
) -> Run | Report | Export | Compact | Calibrate | Models | Doctor:
    """Return the command of a command line; help and errors raise SystemExit."""
    return tyro.cli(
        Command,
        prog="gtrade",
        description=_DESCRIPTION,
        args=_repeat_set(argv),
        config=(FlagCreatePairsOff,),
    )


def _repeat_set(argv: Sequence[str]) -> list[str]:
    """Write `--set a=1 b=2` as `--set a=1 --set b=2`; a word without = ends it."""
    result: list[str] = []
    is_setting = False
    for word in argv:
        if is_setting and result[-1] != "--set" and "=" in word and word[0] != "-":
            result.append("--set")
        else:
            is_setting = word == "--set" or (is_setting and result[-1] == "--set")
        result.append(word)
    return result
