"""How much memory a process may still use."""

from collections.abc import Iterator
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


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
    found = [_left_of(group) for group in _own_groups()]
    known = [value for value in found if value is not None]
    return min(known) if known else None


def _own_groups() -> Iterator[Path]:
    """Yield the control groups that may limit this process, its own one first."""
    try:
        lines = _MEMBERSHIP.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, _, place = line.partition("::")  # version 2; version 1 names controllers
        own = Path(place.strip("/"))
        yield from (_GROUPS / group for group in (own, *own.parents) if place)
    yield _GROUPS


def _left_of(group: Path) -> int | None:
    pairs = (
        (group / "memory.max", group / "memory.current"),
        (
            group / "memory" / "memory.limit_in_bytes",
            group / "memory" / "memory.usage_in_bytes",
        ),
    )
    for limit, usage in pairs:
        try:
            return max(int(limit.read_text()) - int(usage.read_text()), 0)
        except (OSError, ValueError):  # absent, or "max": no limit
            continue
    return None
