"""Fewer, larger files: what becomes of a store of many chunks.

A larger file says in its metadata which files it replaces. Its renaming is the commit:
from then on those count for nothing, and they are removed. A kill at any moment leaves
every row exactly once for `load` and for a resume, which also ends the removal.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gtrade.sweeps.files import full, read_checked, write_file
from gtrade.sweeps.store import REPLACES, Store
from gtrade.sweeps.table import row_ids

_BYTES_PER_FILE = 2**28


def compact(folder: str | Path, *, bytes_per_file: int = _BYTES_PER_FILE) -> int:
    """Merge the files of a run into fewer ones of about a size.

    Files that cannot be read stay as they are: the next run computes their rows again.

    Args:
        folder: of a run, finished or not, that nobody is writing to.
        bytes_per_file: size, rows and arrays together, from which on a file is left
            alone.

    Returns:
        How many files there are less, arrays not counted.

    Raises:
        StoreError: if the folder holds no run, or another process is writing to it.
    """
    with Store.reopen(folder) as store:
        store.finished()
        before = len(_files(store.folder))
        try:
            for paths in _groups(store.folder, bytes_per_file):
                _merge(store, paths)
        except OSError as error:
            raise full(store.folder, error) from None
        removed = before - len(_files(store.folder))
        store.log("compacted", files=removed)
    return removed


def _files(folder: Path) -> list[Path]:
    return sorted((folder / "rows").glob("*.parquet"))


def _groups(folder: Path, bytes_per_file: int) -> Iterator[list[Path]]:
    """Yield neighbouring files, as many as make one of the wanted size."""
    group: list[Path] = []
    size = 0
    for path in _files(folder):
        arrays = folder / "arrays" / path.name
        own = path.stat().st_size + (arrays.stat().st_size if arrays.exists() else 0)
        if group and size + own > bytes_per_file:
            yield from [group] if len(group) > 1 else []
            group, size = [], 0
        group.append(path)
        size += own
    yield from [group] if len(group) > 1 else []


def _merge(store: Store, paths: Sequence[Path]) -> None:
    """Replace files by one that holds their rows, and do the same with their arrays."""
    folder, ids = store.folder, []
    for path in paths:
        table = pq.read_table(path, columns=["point", "replication"])
        ids.append(row_ids(*(column.to_numpy() for column in table.columns)))
    name = store.new_name(np.concatenate(ids))
    arrays = [folder / "arrays" / path.name for path in paths]
    if any(path.exists() for path in arrays):  # then all, or it is an error
        write_file(folder / "arrays" / name, lambda file: _join(arrays, file, {}))
    replaced = json.dumps([path.name for path in paths])
    metadata = {REPLACES: replaced.encode()}
    write_file(folder / "rows" / name, lambda file: _join(paths, file, metadata))
    for path in (*paths, *arrays):
        path.unlink(missing_ok=True)


def _join(paths: Sequence[Path], file: BinaryIO, metadata: dict[bytes, bytes]) -> None:
    """Write the tables of some files into one, holding one of them at a time."""
    schemas = [pq.read_schema(path).remove_metadata() for path in paths]
    schema = pa.unify_schemas(schemas, promote_options="permissive")
    schema = schema.with_metadata(metadata)
    with pq.ParquetWriter(
        file, schema, compression="zstd", write_page_checksum=True
    ) as writer:
        for path in paths:
            writer.write_table(read_checked(path).cast(schema))
