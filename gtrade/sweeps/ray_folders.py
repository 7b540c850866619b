"""Folders of Ray clusters: those that a killed driver has left are removed."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

_PREFIX = "gtrade-cluster-"
_SECONDS = 60  # more than a driver needs to lock the folder that it has made


def make_folder(place: str | Path) -> tuple[Path, int]:
    """Make a folder for a cluster, and remove those that killed drivers have left.

    Args:
        place: where to make it.

    Returns:
        The folder, and a lock on it: a file descriptor to close in the end.
    """
    for other in Path(place).glob(f"{_PREFIX}*"):
        _remove_left(other)
    for other in Path(place).glob(f".{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - other.stat().st_mtime > _SECONDS:
                _remove_left(other)
    made = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=place))
    lock = os.open(made, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    # Hidden until it is locked: nobody else would know that it is in use.
    return made.rename(made.with_name(made.name[1:])), lock


def _remove_left(folder: Path) -> None:
    """Remove a folder of this user that no process has locked."""
    with contextlib.suppress(OSError):
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock).st_uid == os.getuid():
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
