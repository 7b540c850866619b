"""How many cores a process may use."""

import os
from pathlib import Path


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
