"""What all experiments share: arguments, runs through the pipeline, result files."""

import argparse
import csv
import dataclasses
import importlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

FIGURES = Path(__file__).parents[1] / "docs" / "figures"
SMOKE = ("run.replications=2", "run.seed=1")


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Where results go, and whether sizes are tiny."""

    out: Path
    is_smoke: bool


def read_arguments(description: str, argv: Sequence[str] | None = None) -> Arguments:
    """Read `--out DIR` and `--smoke`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="DIR")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, seconds")
    given = parser.parse_args(argv)
    return Arguments(given.out, given.smoke)


def run_all(names: Sequence[str], description: str, argv: Any = None) -> None:
    """Run experiments by the names of their modules, in one process: jax starts once.

    Args:
        names: of modules with a function `main(argv)`.
        description: shown by `--help`.
        argv: of the script; `sys.argv` if None.
    """
    arguments = read_arguments(description, argv)
    passed_on = ["--out", str(arguments.out)] + ["--smoke"] * arguments.is_smoke
    from gtrade.cli.environment import prepare_environment

    prepare_environment()  # before any experiment imports jax
    seconds = {}
    for name in names:
        started = time.monotonic()
        importlib.import_module(name).main(passed_on)
        seconds[name] = time.monotonic() - started
    width = max(map(len, names))
    print("\n".join(f"{name:{width}} {s:6.1f} s" for name, s in seconds.items()))


def publish(
    results: Path,
    description: str,
    argv: Any = None,
    rename: Callable[[str], str] = str,
) -> None:
    """Copy what a full run has written: figures to the docs, tables to `results`.

    Args:
        results: folder for the tables.
        description: shown by `--help`.
        argv: of the script; `sys.argv` if None.
        rename: gives a figure's name in the docs.
    """
    arguments = read_arguments(description, argv)
    for folder, ending in ((FIGURES, "png"), (results, "md")):
        folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(arguments.out.glob(f"*.{ending}")):
            name = rename(file.name) if folder == FIGURES else file.name
            shutil.copyfile(file, folder / name)
            print(folder / name)


def run(
    specs: Path,
    arguments: Arguments,
    spec: str,
    *,
    name: str | None = None,
    changes: Sequence[str] = (),
    smoke: Sequence[str] = (),
) -> Any:
    """Run a spec, or go on with it, and return its table.

    Experiments that need the same run share it.

    Args:
        specs: folder of the spec.
        arguments: of the script.
        spec: name of the file, without `.toml`.
        name: of the run, if `changes` make it another one.
        changes: "key=value" settings.
        smoke: further settings for tiny sizes.
    """
    from gtrade.cli.environment import prepare_environment
    from gtrade.sweeps import load_spec

    prepare_environment()  # before jax: one device a core, kept compilations
    from gtrade.sweeps import run_spec

    if arguments.is_smoke:
        changes = [*changes, *SMOKE, *smoke]
    folder = (name or spec) + ("-smoke" if arguments.is_smoke else "")
    resolved = load_spec(specs / f"{spec}.toml", changes)
    return run_spec(resolved, arguments.out / "runs" / folder, is_shown=True)


def write(
    arguments: Arguments,
    name: str,
    *,
    rows: Sequence[Mapping[str, Any]],
    figure: Any = None,
    note: str = "",
    formats: Mapping[str, str] | None = None,
) -> None:
    """Write rows as CSV and Markdown and a figure as PNG and SVG; print the table."""
    from gtrade.plotting.style import save

    arguments.out.mkdir(parents=True, exist_ok=True)
    with open(arguments.out / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    text = markdown(rows, formats or {})
    if note:
        text += f"\n{note}\n"
    (arguments.out / f"{name}.md").write_text(text, encoding="utf-8")
    if figure is not None:
        save(figure, arguments.out, name)
    print(f"\n{name}\n\n{text}")


def markdown(rows: Sequence[Mapping[str, Any]], formats: Mapping[str, str]) -> str:
    """Return rows as a Markdown table, numbers right-aligned.

    A column `x` with a neighbour `x_se` is written "mean ± standard error".
    """
    names = [n for n in rows[0] if not (n.endswith("_se") and n[:-3] in rows[0])]
    cells = [[_cell(row, name, formats) for name in names] for row in rows]
    is_number = [not isinstance(rows[0][name], str) for name in names]
    widths = [
        max(len(name), *(len(line[i]) for line in cells))
        for i, name in enumerate(names)
    ]

    def line(parts: Sequence[str]) -> str:
        padded = [
            part.rjust(width) if right else part.ljust(width)
            for part, width, right in zip(parts, widths, is_number, strict=True)
        ]
        return "| " + " | ".join(padded) + " |"

    rule = [
        "-" * (width - 1) + (":" if right else "-")
        for width, right in zip(widths, is_number, strict=True)
    ]
    return "\n".join([line(names), line(rule), *map(line, cells)]) + "\n"


def summary(
    table: Any, columns: Sequence[str], key: str = "problem.permanent_impact"
) -> list[dict[str, float]]:
    """Return mean and standard error of columns at every point of a run."""
    from gtrade.plotting.points import lay_out, mean_and_error

    layout = lay_out(table)
    _, first = np.unique(table["point"], return_index=True)
    rows: list[dict[str, float]] = [
        {"kappa": float(x)} for x in np.asarray(table[key])[first]
    ]
    for name in columns:
        mean, error, _ = mean_and_error(table[name], layout.member, len(rows))
        for row, value, spread in zip(rows, mean, error, strict=True):
            row[name], row[f"{name}_se"] = float(value), float(spread)
    return rows


def _cell(row: Mapping[str, Any], name: str, formats: Mapping[str, str]) -> str:
    value = row[name]
    if isinstance(value, str):
        return value
    pattern = formats.get(name)
    text = format(value, pattern) if pattern else _three_digits(value)
    error = row.get(f"{name}_se")
    return text if error is None else f"{text} ± {_three_digits(error)}"


def _three_digits(value: float) -> str:
    if value == 0 or not np.isfinite(value):
        return f"{value:g}"
    size = int(np.floor(np.log10(abs(float(f"{value:.2e}")))))
    return f"{value:.{max(2 - size, 0)}f}"
