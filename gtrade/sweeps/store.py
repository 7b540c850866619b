"""The store of a run: a folder that survives a kill at any moment.

    DIR/manifest.json                       what is run; written first
    DIR/rows/chunk-00042-<hash>.parquet     one row per point and replication
    DIR/arrays/chunk-00042-<hash>.parquet   requested arrays of the same rows
    DIR/log.jsonl                           what happened, one JSON object a line
    DIR/unreadable/                         rows files that had to be computed again
    DIR/lock                                held while a process drives a run here
    DIR/writer                              whose workers may commit

Every file is written under a temporary name, synced and renamed. A rows file is the
commit mark of its chunk: its arrays are in place before it. Nothing here imports jax.
"""

import contextlib
import datetime
import fcntl
import hashlib
import json
import os
import re
import secrets
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gtrade.sweeps.files import (
    UNREADABLE,
    StoreError,
    full,
    is_readable,
    lock_folder,
    read_checked,
    read_columns,
    write_file,
    write_table,
)
from gtrade.sweeps.manifest import continued, differences
from gtrade.sweeps.table import Table, row_ids

_CHUNK_NAME = re.compile(r"chunk-(\d+)-[0-9a-f]+")
# Temporary names of `write_file`, and of nobody else.
_LEFTOVER = ".*.[0-9]*.tmp"
# Metadata of a rows file: a JSON list of the files whose rows it holds instead.
REPLACES = b"gtrade.replaces"
_ATTEMPTS = 10


class ChunkWriter:
    """Commits chunks to a folder for the process that drives a run there.

    Workers may outlive their driver. Once another process drives, what they commit
    would be there twice: the folder names the driver whose workers may write, and who
    commits holds a lock on that name.
    """

    def __init__(self, folder: str | Path, writer: str) -> None:
        """Write nothing yet.

        Args:
            folder: of the run.
            writer: `Store.writer` of the driver.
        """
        self.folder, self.writer = Path(folder), writer

    def commit(self, rows: pa.Table, arrays: pa.Table | None, *, name: str) -> None:
        """Write one chunk; when this returns, no crash can lose it.

        Raises:
            StoreError: if it cannot be written, or another process drives the run.
        """
        try:
            with open(self.folder / "writer", "rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH)
                if file.read().decode() != self.writer:
                    raise StoreError(f"{self.folder}: another process has gone on here")
                if arrays is not None:
                    path = self.folder / "arrays" / name
                    write_file(path, lambda f: write_table(arrays, f))
                path = self.folder / "rows" / name
                write_file(path, lambda f: write_table(rows, f))
        except OSError as error:
            raise full(self.folder, error) from None


class Store:
    """A folder in which this process alone drives a run, until `close`.

    Attributes:
        writer: name under which its workers commit.
    """

    def __init__(
        self,
        folder: str | Path,
        manifest: dict[str, Any],
        *,
        force_resume: bool = False,
        is_continued: bool = True,
    ) -> None:
        """Open a folder for a run, new or resumed.

        Args:
            folder: made if absent.
            manifest: of the run about to start.
            force_resume: go on although spec, versions or device differ.
            is_continued: whether the run goes on; else its manifest stays as it is.

        Raises:
            StoreError: if the folder cannot be written, another process writes to it,
                it holds a different run, or something that is no run.
        """
        self.folder = Path(folder)
        self.damaged: list[str] = []
        try:
            for part in ("rows", "arrays"):
                (self.folder / part).mkdir(parents=True, exist_ok=True)
            self._lock = lock_folder(self.folder)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise StoreError(f"{folder}: cannot be written ({reason})") from None
        try:
            self._open(manifest, force_resume, is_continued)
        except OSError as error:
            self.close()
            raise full(self.folder, error) from None
        except BaseException:
            self.close()
            raise

    @classmethod
    def reopen(cls, folder: str | Path) -> "Store":
        """Open the folder of a run for work on its files, whatever made them.

        Raises:
            StoreError: if there is no run, or another process writes to it.
        """
        manifest = read_manifest(folder)
        if manifest is None:
            raise StoreError(f"{folder}: holds no run (no manifest.json)")
        return cls(folder, manifest, is_continued=False)

    def _open(
        self, manifest: dict[str, Any], force_resume: bool, is_continued: bool
    ) -> None:
        self.writer = secrets.token_hex(16)
        with open(self.folder / "writer", "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # waits for a commit in progress
            file.truncate(0)
            file.write(self.writer.encode())
        self._chunks = ChunkWriter(self.folder, self.writer)
        self._remove_leftovers()
        old = read_manifest(self.folder)
        if not is_continued:
            self.manifest = manifest
            return
        if old is None:
            if any((self.folder / "rows").glob("*.parquet")):
                raise StoreError(f"{self.folder}: holds rows but no manifest.json")
            self.manifest = manifest
        else:
            changed = differences(old, manifest)
            if changed and not force_resume:
                raise StoreError(
                    f"{self.folder}: holds a different run; choose another folder, or"
                    " --force-resume to go on all the same:\n  " + "\n  ".join(changed)
                )
            self.manifest = continued(old, manifest, changed, _now())
        self._write_manifest()
        self.log("opened", resumed=old is not None)

    def _remove_leftovers(self) -> None:
        """Remove what killed processes had not written to its end."""
        for place in (self.folder, self.folder / "rows", self.folder / "arrays"):
            for leftover in place.glob(_LEFTOVER):
                leftover.unlink(missing_ok=True)

    def close(self) -> None:
        """Let other processes write here."""
        self._lock.close()

    def __enter__(self) -> "Store":
        """Return the store."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close the store; what workers of a whole run have left behind goes."""
        if kind is None:
            with contextlib.suppress(OSError):
                self._remove_leftovers()
        self.close()

    def finished(self) -> np.ndarray:
        """Return the sorted ids (`row_ids`) that need not be computed again.

        Rows files that cannot be read to their end, or whose arrays cannot, are set
        aside in DIR/unreadable and listed in `damaged`.
        """
        is_kept = bool(self.manifest["spec"]["run"]["arrays"])
        ids, names = {}, set()
        replaced: set[str] = set()
        for path in sorted((self.folder / "rows").glob("*.parquet")):
            arrays = self.folder / "arrays" / path.name
            try:
                table = read_checked(path)
                point = table.column("point").to_numpy()
                replication = table.column("replication").to_numpy()
                bad = None
            except (*UNREADABLE, KeyError):
                bad = path
            if bad is None and is_kept and not is_readable(arrays):
                bad = arrays
            if bad is None:
                names.add(path.name)
                ids[path.name] = row_ids(point, replication)
                replaced |= replaced_by(table)
                continue
            self.damaged.append(str(bad.relative_to(self.folder)))
            self.log("unreadable", file=self.damaged[-1])
            self._set_aside(path)
        # A kill may have come between a larger file and the end of those it replaces.
        for name in replaced & names:
            (self.folder / "rows" / name).unlink()
            names.remove(name)
        # Arrays without rows were cut off before their commit, or their rows went.
        for path in (self.folder / "arrays").glob("*.parquet"):
            if path.name not in names:
                path.unlink()
        empty = np.zeros(0, np.uint64)
        return np.unique(np.concatenate([empty, *(ids[name] for name in names)]))

    def _set_aside(self, path: Path) -> None:
        """Move a file out of `rows`, which stays readable as one dataset."""
        folder = self.folder / "unreadable"
        folder.mkdir(exist_ok=True)
        os.replace(path, folder / path.name)

    def new_name(self, ids: np.ndarray) -> str:
        """Return a new file name for rows of these ids (`row_ids`)."""
        digest = hashlib.sha256(self.manifest["spec_hash"].encode() + ids.tobytes())
        return f"chunk-{self._next_number():05d}-{digest.hexdigest()[:12]}.parquet"

    def commit(
        self, rows: pa.Table, arrays: pa.Table | None, *, name: str | None = None
    ) -> str:
        """Write one chunk; when this returns, no crash can lose it.

        Args:
            rows: of the chunk.
            arrays: requested arrays of the same rows.
            name: of its file; a new one if None.

        Returns:
            The chunk's file name.

        Raises:
            StoreError: if it cannot be written.
        """
        if name is None:
            point, replication = (rows.column(k) for k in ("point", "replication"))
            name = self.new_name(row_ids(point.to_numpy(), replication.to_numpy()))
        self._chunks.commit(rows, arrays, name=name)
        return name

    def _next_number(self) -> int:
        if not hasattr(self, "_number"):
            found = (
                _CHUNK_NAME.match(p.name) for p in (self.folder / "rows").iterdir()
            )
            self._number = max((int(match[1]) for match in found if match), default=-1)
        self._number += 1
        return self._number

    def set_lane_width(self, group: int, width: int) -> None:
        """Record the lane width of a group."""
        self.manifest["lane_widths"][str(group)] = width
        self._write_manifest()

    def _write_manifest(self) -> None:
        text = json.dumps(self.manifest, indent=1, allow_nan=False)
        try:
            path = self.folder / "manifest.json"
            write_file(path, lambda file: file.write(text.encode()))
        except OSError as error:
            raise full(self.folder, error) from None

    def log(self, event: str, **details: Any) -> None:
        """Append one line to the log, if there is room for it."""
        line = json.dumps({"time": _now(), "event": event, **details})
        with (
            contextlib.suppress(OSError),
            open(self.folder / "log.jsonl", "ab+") as file,
        ):
            # A kill may have cut the last line short.
            file.seek(max(file.tell() - 1, 0))
            start = b"" if file.read(1) in (b"", b"\n") else b"\n"
            file.write(start + line.encode() + b"\n")

    def table(self) -> Table:
        """Return what is finished."""
        return load(self.folder)


def read_manifest(folder: str | Path) -> dict[str, Any] | None:
    """Return the manifest of a run, None if there is none.

    Raises:
        StoreError: if it is there and cannot be read, or belongs to something else.
    """
    path = Path(folder) / "manifest.json"
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read ({error})") from None
    if not isinstance(manifest, dict) or not {"format", "spec"} <= set(manifest):
        raise StoreError(f"{path}: is not the manifest of a run")
    return manifest


def load(folder: str | Path) -> Table:
    """Read the results of a run, finished or not.

    Args:
        folder: what `gtrade run --out` was given.

    Returns:
        A table of all rows that can be read, by point and replication.

    Raises:
        StoreError: if the folder holds no run, or no rows yet.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if manifest is None:
        raise StoreError(f"{folder}: holds no run (no manifest.json)")
    for _ in range(_ATTEMPTS):
        # Files may be merged while they are read.
        with contextlib.suppress(FileNotFoundError):
            pieces, replaced = _read_all(folder)
            break
    else:
        raise StoreError(f"{folder}: its files change all the time; try again later")
    tables = [piece for name, piece in pieces.items() if name not in replaced]
    if not tables:
        raise StoreError(f"{folder}: holds no rows yet")

    def read_array(array: str) -> pa.Table:
        keys = ["point", "replication", array]
        # Listed now, not then: a resume may have replaced a file in the meantime.
        names = [path.name for path in sorted((folder / "rows").glob("*.parquet"))]
        files = [folder / "arrays" / n for n in names if n not in replaced]
        parts = [read_columns(file, keys) for file in files]
        return pa.concat_tables(parts, promote_options="permissive")

    return Table(pa.concat_tables(tables), manifest, read_array)


def _read_all(folder: Path) -> tuple[dict[str, pa.Table], set[str]]:
    """Return the rows files that can be read, and the names of those replaced."""
    pieces, replaced = {}, set()
    for path in sorted((folder / "rows").glob("*.parquet")):
        try:
            piece = read_checked(path)
        except FileNotFoundError:
            raise
        except UNREADABLE:
            continue  # the next run computes it again and says so
        replaced |= replaced_by(piece)
        pieces[path.name] = piece.replace_schema_metadata(None)
    return pieces, replaced


def replaced_by(table: pa.Table) -> set[str]:
    """Return the names of the files that the file of this table replaces."""
    listed = (table.schema.metadata or {}).get(REPLACES, b"[]")
    return set(json.loads(listed))


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


class MemoryStore:
    """The same for a run whose results are only returned."""

    def __init__(self, manifest: dict[str, Any]) -> None:
        """Start without rows."""
        self.manifest = manifest
        self.damaged: list[str] = []
        self._rows: list[pa.Table] = []
        self._arrays: list[pa.Table] = []

    def __enter__(self) -> "MemoryStore":
        """Return the store."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def finished(self) -> np.ndarray:
        """Return no ids."""
        return np.zeros(0, np.uint64)

    def new_name(self, ids: np.ndarray) -> str:
        """Return a name for the next chunk."""
        del ids
        return f"chunk {len(self._rows) + 1}"

    def commit(self, rows: pa.Table, arrays: pa.Table | None, *, name: str) -> str:
        """Keep one chunk."""
        self._rows.append(rows)
        if arrays is not None:
            self._arrays.append(arrays)
        return name

    def set_lane_width(self, group: int, width: int) -> None:
        """Record the lane width of a group."""
        self.manifest["lane_widths"][str(group)] = width

    def log(self, event: str, **details: Any) -> None:
        """Keep no log."""

    def table(self) -> Table:
        """Return all rows."""
        arrays = self._arrays

        def read_array(name: str) -> pa.Table:
            keys = ["point", "replication", name]
            parts = [table.select(keys) for table in arrays]
            return pa.concat_tables(parts, promote_options="permissive")

        rows = pa.concat_tables(self._rows)
        return Table(rows, self.manifest, read_array)
