"""What a Ray worker runs: chunks of one job, on the one device that it has.

Nothing here imports jax or Ray: a worker decides which platform jax uses before it
starts it, and reads its arguments before that.
"""

import dataclasses
import os
import sys
from typing import Any

from gtrade.sweeps.chunks import Calls, Chunk, Report
from gtrade.sweeps.manifest import package_versions
from gtrade.sweeps.spec import Spec
from gtrade.sweeps.store import ChunkWriter, StoreError


@dataclasses.dataclass(frozen=True, eq=False)
class Job:
    """What all chunks of a run have in common.

    Attributes:
        spec: resolved.
        folder: of the results, absolute.
        writer: `Store.writer` of the driver.
        device: facts that every worker's device has to share.
        versions: of packages that every worker has to share.
        num_sharing: workers that share a machine's memory.
        environment: variables to set before jax is imported; None to unset one.
    """

    spec: Spec
    folder: str
    writer: str
    device: dict[str, Any]
    versions: dict[str, str]
    num_sharing: int
    environment: dict[str, str | None]


_worker: tuple[str, Any] | None = None


def checked_versions() -> dict[str, str]:
    """Return the versions that decide the last bits of results."""
    versions = package_versions()
    return {name: versions[name] for name in ("gtrade", "jax", "jaxlib")}


def describe_device(environment: dict[str, str | None]) -> dict[str, Any]:
    """Return platform, kind and number of the worker's devices."""
    _prepare(environment)
    from gtrade.sweeps.worker import device_facts

    return device_facts()


def describe_calls(job: Job, group: int, width: int | None) -> Calls:
    """Return the calls of a group, of a width that was chosen before if given."""
    return _worker_of(job).calls(group, width)


def execute(job: Job, chunk: Chunk) -> Report:
    """Compute and commit a chunk."""
    return _worker_of(job).execute(chunk)


def _worker_of(job: Job) -> Any:
    """Return this process's worker, which keeps a group compiled between chunks."""
    global _worker
    if _worker is None or _worker[0] != job.writer:
        _prepare(job.environment)
        from gtrade.sweeps.grid import Grid
        from gtrade.sweeps.worker import Worker, device_facts

        found = {**device_facts(), **checked_versions()}
        wanted = {**job.device, **job.versions}
        for fact in ("platform", "kind", *job.versions):
            if found[fact] != wanted[fact]:
                raise StoreError(
                    f"a worker has {fact} {found[fact]}, and others {wanted[fact]}: the"
                    " rows of one run need equal devices and versions"
                )
        store = ChunkWriter(job.folder, job.writer)
        worker = Worker(
            Grid(job.spec), store, num_devices=1, num_sharing=job.num_sharing
        )
        _worker = job.writer, worker
    return _worker[1]


def _prepare(environment: dict[str, str | None]) -> None:
    if "jax" in sys.modules:
        return
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
