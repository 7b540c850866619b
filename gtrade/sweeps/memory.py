"""How much memory a process may still use."""

from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")


def available_memory() -> int | None:
    """Return the bytes of host memory left, within the container's limit if any.

    None where the system does not say (outside Linux).
    """
    found = [_meminfo(), _group_left()]
    known = [value for value in found if value is not None]
    return min(known) if known else None


def _meminfo() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _group_left() -> int | None:
    pairs = (
        (_GROUPS / "memory.max", _GROUPS / "memory.current"),
        (
            _GROUPS / "memory" / "memory.limit_in_bytes",
            _GROUPS / "memory" / "memory.usage_in_bytes",
        ),
    )
    for limit, usage in pairs:
        try:
            return max(int(limit.read_text()) - int(usage.read_text()), 0)
        except (OSError, ValueError):  # absent, or "max": no limit
            continue
    return None
