"""Files of a store: written whole or not at all, read with their checksums."""

import fcntl
import os
import socket
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from gtrade._files import write_file as write_file

UNREADABLE = (OSError, pa.ArrowException, EOFError)


class StoreError(ValueError):
    """A folder cannot be used for this run; the message says why and what helps."""


def full(folder: Path, error: OSError) -> StoreError:
    """Return what to say when a folder cannot be written any more."""
    reason = (error.strerror or str(error)).lower()
    return StoreError(
        f"{folder}: cannot be written any more ({reason}); finished rows are safe, and"
        " the same command goes on from there"
    )


def read_checked(path: Path) -> pa.Table:
    """Read a whole file with its checksums, so that damage anywhere is found."""
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        return file.read()


def read_columns(path: Path, names: list[str]) -> pa.Table:
    """Read some columns of a file.

    Raises:
        StoreError: naming the file, if it cannot be read.
    """
    try:
        return pq.read_table(path, columns=names)
    except UNREADABLE as error:
        reason = (getattr(error, "strerror", None) or str(error)).lower()
        raise StoreError(f"{path}: cannot be read ({reason})") from None


def is_readable(path: Path) -> bool:
    """Whether a file can be read to its end; its tables are not kept."""
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for _ in file.iter_batches():
                pass
    except UNREADABLE:
        return False
    return True


def write_table(table: pa.Table, file: BinaryIO) -> None:
    """Write a table with checksums, compressed."""
    pq.write_table(table, file, compression="zstd", write_page_checksum=True)


def lock_folder(folder: Path) -> Any:
    """Lock a folder for this process; the system lets go when the process ends."""
    file = open(folder / "lock", "a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise StoreError(
            f"{folder}: another run is writing here ({holder}); wait for it or choose"
            " another folder"
        ) from None
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    file.flush()
    return file
