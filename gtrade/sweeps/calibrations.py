"""The folder of a calibration: estimates, draws and curves, committed by a manifest."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from gtrade.calibration.results import Calibration, finite_or_none
from gtrade.sweeps.files import StoreError, read_checked, write_file, write_table

FORMAT = 1
MANIFEST, ESTIMATES, DRAWS, CURVES = (
    "calibration.json",
    "estimates.parquet",
    "draws.parquet",
    "curves.parquet",
)


def check_free(folder: str | Path) -> None:
    """Raise StoreError unless a folder is absent, empty or what a killed run left."""
    folder = Path(folder)
    if is_calibration(folder):
        raise StoreError(f"{folder}: holds a calibration; choose another folder")
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder}: is a file; choose a folder")
    if folder.is_dir() and not _is_cut_short(folder):
        raise StoreError(f"{folder}: holds other files; choose an empty folder")


def write_calibration(calibration: Calibration, folder: str | Path) -> Path:
    """Write a folder that `load_calibration` reads; its manifest, last, commits it.

    Raises:
        StoreError: if the folder holds anything else.
    """
    folder = Path(folder)
    check_free(folder)
    folder.mkdir(parents=True, exist_ok=True)
    draw = np.arange(len(next(iter(calibration.draws.values()), ())))
    tables = {
        ESTIMATES: calibration.rows,
        DRAWS: {"draw": draw, **calibration.draws},
        CURVES: calibration.curves,
    }
    for name, columns in tables.items():
        arrays = {key: np.asarray(x) for key, x in columns.items()}
        table = pa.table(arrays) if arrays else pa.table({"empty": pa.array([])})
        write_file(folder / name, lambda file, table=table: write_table(table, file))
    manifest = {
        "format": FORMAT,
        "model": calibration.model,
        "units": dict(calibration.units),
        "facts": finite_or_none(dict(calibration.facts)),
    }
    text = json.dumps(manifest, indent=2, allow_nan=False) + "\n"
    write_file(folder / MANIFEST, lambda file: file.write(text.encode()))
    return folder


def is_calibration(folder: str | Path) -> bool:
    """Return whether a folder holds a finished calibration."""
    return (Path(folder) / MANIFEST).is_file()


def load_calibration(folder: str | Path) -> Calibration:
    """Read a folder that `write_calibration` wrote.

    Raises:
        StoreError: naming the file, if it is missing, damaged or of another format.
    """
    folder = Path(folder)
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        version, model = manifest["format"], manifest["model"]
        units, facts = dict(manifest["units"]), dict(manifest["facts"])
    except FileNotFoundError:
        raise StoreError(
            f"{folder}: holds no finished calibration ({MANIFEST} is absent); make one"
            " with `gtrade calibrate ... --out`"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: cannot be read ({error})") from None
    if version != FORMAT:
        raise StoreError(f"{path}: has format {version}; this version reads {FORMAT}")
    rows, draws, curves = (_read(folder / name) for name in (ESTIMATES, DRAWS, CURVES))
    draws.pop("draw", None)
    curves.pop("empty", None)
    return Calibration(model, rows, units, draws, curves, facts)


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        table = read_checked(path)
    except (OSError, pa.ArrowException, EOFError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise StoreError(f"{path}: cannot be read ({reason})") from None
    return {
        name: table.column(name).to_numpy(zero_copy_only=False)
        for name in table.column_names
    }


def _is_cut_short(folder: Path) -> bool:
    """Return whether a folder holds only what a killed process left."""
    known = {ESTIMATES, DRAWS, CURVES, "report"}
    return all(
        path.name in known or path.name.endswith(".tmp") for path in folder.iterdir()
    )
