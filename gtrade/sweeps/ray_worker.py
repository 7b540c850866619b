"""What a Ray worker runs: chunks of one job, on the one device that it has.

Nothing here imports jax or Ray: a worker decides which platform jax uses before it
starts it, and reads its arguments before that.
"""

import contextlib
import dataclasses
import os
import pickle
import sys
from collections.abc import Iterator
from typing import Any

from gtrade.sweeps.chunks import Calls, Chunk, Report
from gtrade.sweeps.cores import num_threads
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
    """

    spec: Spec
    folder: str
    writer: str
    device: dict[str, Any]
    versions: dict[str, str]
    num_sharing: int


def checked_versions() -> dict[str, str]:
    """Return the versions that decide the last bits of results."""
    versions = package_versions()
    return {name: versions[name] for name in ("gtrade", "jax", "jaxlib")}


def worker_environment(*, is_gpu: bool, calls_lapack: bool) -> dict[str, str | None]:
    """Return the variables that a worker sets before it imports jax; None unsets one.

    A worker has one device. Compiled programs are kept where the driver keeps its own.

    Args:
        is_gpu: whether the device is a GPU.
        calls_lapack: see `gtrade.sweeps.cores.num_threads`.
    """
    kept = [name for name in os.environ if name.startswith("JAX_PERSISTENT_CACHE")]
    kept += [name for name in ("JAX_COMPILATION_CACHE_DIR",) if name in os.environ]
    found: dict[str, str | None] = {name: os.environ[name] for name in kept}
    if is_gpu:
        return {**found, "JAX_PLATFORMS": None}
    flags = "--xla_force_host_platform_device_count=1"
    threads = str(num_threads(1, calls_lapack=calls_lapack))
    return {**found, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "PJRT_NPROC": threads}


class RayWorker:
    """An actor: one process that keeps its device, and a group compiled, to its end."""

    def __init__(self) -> None:
        """Compile nothing yet."""
        self._worker: Any = None
        self._writer = ""

    def start(self, environment: dict[str, str | None]) -> None:
        """Set variables before jax is imported; None unsets one."""
        if "jax" in sys.modules:
            return
        for name, value in environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def check(self) -> None:
        """Do nothing: a worker that answers is there."""

    def describe_device(self) -> dict[str, Any]:
        """Return platform, kind and number of the worker's devices."""
        from gtrade.sweeps.worker import device_facts

        with _portable_errors():
            return device_facts()

    def calls(self, job: Job, group: int, width: int | None) -> Calls:
        """Return the calls of a group, of a width that was chosen before if given."""
        with _portable_errors():
            return self._worker_of(job).calls(group, width)

    def execute(self, job: Job, chunk: Chunk) -> Report:
        """Compute and commit a chunk."""
        with _portable_errors():
            return self._worker_of(job).execute(chunk)

    def _worker_of(self, job: Job) -> Any:
        if self._writer != job.writer:
            from gtrade.sweeps.grid import Grid
            from gtrade.sweeps.worker import Worker, device_facts

            found = {**device_facts(), **checked_versions()}
            wanted = {**job.device, **job.versions}
            for fact in ("platform", "kind", *job.versions):
                if found[fact] != wanted[fact]:
                    raise StoreError(
                        f"a worker has {fact} {found[fact]}, and others {wanted[fact]}:"
                        " the rows of one run need equal devices and versions"
                    )
            self._worker = Worker(
                Grid(job.spec),
                ChunkWriter(job.folder, job.writer),
                num_devices=1,
                num_sharing=job.num_sharing,
            )
            self._writer = job.writer
        return self._worker


@contextlib.contextmanager
def _portable_errors() -> Iterator[None]:
    """Keep the text of an error that the driver could not unpickle."""
    try:
        yield
    except Exception as error:
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            raise RuntimeError(f"{type(error).__name__}: {error}") from None
        raise
