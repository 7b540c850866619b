"""How many cores a process may use, and how many threads XLA should."""

import os
from pathlib import Path

# A call of LAPACK on a batch holds one thread of XLA's pool while others work for it:
# with one for each device, calls on all devices would wait for each other for ever.
# Elsewhere more than one only cut small steps to pieces: FTPL takes three times as
# long.
_THREADS_FOR_LAPACK = 4


def num_threads(num_devices: int, *, calls_lapack: bool) -> int:
    """Return the threads that XLA's pool on a CPU needs (its variable PJRT_NPROC).

    Args:
        num_devices: host devices of this process.
        calls_lapack: whether programs may call LAPACK on batches.
    """
    return num_devices * (_THREADS_FOR_LAPACK if calls_lapack else 1)


def num_cores() -> int:
    """Return the cores of this process: its affinity, within a container's quota."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        cores = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        cores = min(cores, max(int(int(quota) / int(period)), 1))
    except (OSError, ValueError):  # no control group, or "max": no quota
        pass
    return cores
