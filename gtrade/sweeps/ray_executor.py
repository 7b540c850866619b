"""Chunks on the workers of a Ray cluster: one task a chunk, one device a worker.

A worker commits what it computes; Ray starts a chunk again whose worker was lost. The
driver holds no rows and may be killed at any time. Ray itself is imported only here,
and only when an executor is made.
"""

import os
import secrets
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any, Self

from gtrade.sweeps.chunks import Calls, Chunk, Failure, Report
from gtrade.sweeps.cores import num_cores
from gtrade.sweeps.packages import require
from gtrade.sweeps.ray_worker import (
    Job,
    checked_versions,
    describe_calls,
    describe_device,
    execute,
)
from gtrade.sweeps.spec import Spec
from gtrade.sweeps.store import StoreError

_RETRIES = 3  # of a chunk whose worker was lost
_CHUNKS_PER_WORKER = 2  # in flight: one computing, one waiting
# Ray's sockets lie in its folder, and their paths have to be short.
_SHORT = "/tmp" if os.path.isdir("/tmp") else None
_TOKEN = secrets.token_hex(32)  # of local clusters; a process reads it only once
_STORE_BYTES = 2**27  # of Ray's object store: chunks are small, and rows go to files


class RayExecutor:
    """Has chunks computed by the workers of a cluster, or of a local one."""

    def __init__(self, spec: Spec, num_workers: int | None = None) -> None:
        """Start nothing yet.

        Args:
            spec: resolved.
            num_workers: of a cluster that is started here; one a core if None.

        Raises:
            MissingPackageError: without Ray.
        """
        self._variables: list[str] = []
        self._joins = _is_cluster_likely()
        if not self._joins:
            # Read when Ray is imported: keeps a local cluster on the loopback device.
            self._set("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        try:
            self._ray = require("ray", "'gtrade[ray]'")
        except ImportError:
            self._restore()
            raise
        self._spec, self._num_started = spec, num_workers
        self._pending: dict[Any, Chunk] = {}
        self._folder: str | None = None
        self._is_owner = False

    def __enter__(self) -> Self:
        """Join a running cluster, or start one on this machine's loopback device."""
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self) -> None:
        ray = self._ray
        if not ray.is_initialized():
            self._is_owner = True
            with warnings.catch_warnings():
                # Ray's processes replace themselves at once: no lock is held in them.
                warnings.filterwarnings("ignore", r"os\.fork\(\)", RuntimeWarning)
                self._connect()
        self._is_gpu = ray.cluster_resources().get("GPU", 0) >= 1
        self._environment = worker_environment(is_gpu=self._is_gpu)
        resources = {"num_gpus": 1} if self._is_gpu else {"num_cpus": 1}
        options = {"max_retries": _RETRIES, **resources}
        self._describe_device = ray.remote(**options)(describe_device)
        self._describe_calls = ray.remote(**options)(describe_calls)
        self._execute = ray.remote(**options)(execute)

    def _connect(self) -> None:
        ray = self._ray
        self._set("RAY_USAGE_STATS_ENABLED", "0")
        self._set("RAY_task_oom_retries", str(_RETRIES))  # else it is tried for ever
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
        if self._joins:
            try:
                ray.init(address="auto", **quiet)
            except (ConnectionError, ray.exceptions.RayError) as error:
                if "RAY_ADDRESS" in os.environ:
                    where = f"RAY_ADDRESS={os.environ['RAY_ADDRESS']}"
                    raise StoreError(
                        f"executor ray: no cluster answers at {where} ({error})"
                    ) from None
            else:
                return
        self._folder = tempfile.mkdtemp(prefix="gtrade-ray-", dir=_SHORT)
        if not (Path.home() / ".ray" / "auth_token").exists():
            # Without one Ray makes one, and leaves it in the user's home.
            self._set("RAY_AUTH_TOKEN", _TOKEN)
        ray.init(
            address="local",
            num_cpus=self._num_started or num_cores(),
            include_dashboard=False,
            object_store_memory=_STORE_BYTES,
            _node_ip_address="127.0.0.1",
            _temp_dir=self._folder,
            **quiet,
        )

    def _set(self, name: str, value: str) -> None:
        """Set a variable for Ray's processes until the end, unless the user has."""
        if name not in os.environ:
            self._variables.append(name)
            os.environ[name] = value

    def __exit__(self, *_: object) -> None:
        """Take back what is still waiting, and end a cluster that was started here."""
        try:
            for task in self._pending:
                self._ray.cancel(task, force=True)
        finally:
            self._pending.clear()
            if self._is_owner:
                self._ray.shutdown()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
            self._restore()

    def _restore(self) -> None:
        for name in self._variables:
            os.environ.pop(name, None)
        self._variables.clear()

    def device_facts(self) -> dict[str, Any]:
        """Return platform, kind and number of a worker's devices."""
        found = self._get(self._describe_device.remote(self._environment))
        self._device = found
        return {**found, "count": self.num_workers}

    @property
    def num_workers(self) -> int:
        """Workers that the cluster has room for now."""
        resource = "GPU" if self._is_gpu else "CPU"
        return max(int(self._ray.cluster_resources().get(resource, 1)), 1)

    @property
    def _num_sharing(self) -> int:
        """Workers that share a machine's memory, at most."""
        if self._is_gpu:
            return 1
        cores = [node["Resources"].get("CPU", 1) for node in self._ray.nodes()]
        return max(int(max(cores)), 1)

    def open(self, grid: Any, store: Any) -> None:
        """Take chunks of this grid from now on, for this store."""
        del grid  # workers make their own from the spec
        folder = str(Path(store.folder).absolute())
        self._job = self._ray.put(
            Job(
                spec=self._spec,
                folder=folder,
                writer=store.writer,
                device=self._device,
                versions=checked_versions(),
                num_sharing=self._num_sharing,
                environment=self._environment,
            )
        )

    def calls(self, group: int, width: int | None) -> Calls:
        """Return the calls of a group, of a width that was chosen before if given."""
        return self._get(self._describe_calls.remote(self._job, group, width))

    @property
    def has_room(self) -> bool:
        """Whether another chunk may be submitted before one is collected."""
        return len(self._pending) < _CHUNKS_PER_WORKER * self.num_workers

    def submit(self, chunk: Chunk) -> None:
        """Have a chunk computed and committed."""
        self._pending[self._execute.remote(self._job, chunk)] = chunk

    def collect(self) -> list[Report | Failure]:
        """Wait for one of the chunks in flight; nothing if there is none.

        Raises:
            StoreError: if it could not be written.
        """
        if not self._pending:
            return []
        (task, *_), _ = self._ray.wait(list(self._pending), num_returns=1)
        chunk = self._pending.pop(task)
        try:
            return [self._get(task)]
        except StoreError:
            raise
        except Exception as error:
            return [chunk.failure(error)]

    def _get(self, task: Any) -> Any:
        """Wait for a task; its errors are those that its worker had."""
        try:
            return self._ray.get(task)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause or error from None


def _is_cluster_likely() -> bool:
    """Whether there may be a cluster to join: named, or started on this machine."""
    place = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"
    return "RAY_ADDRESS" in os.environ or place.exists()


def worker_environment(*, is_gpu: bool) -> dict[str, str | None]:
    """Return the variables that a worker sets before it imports jax; None unsets one.

    A worker has one device. Compiled programs are kept where the driver keeps its own.
    """
    kept = [name for name in os.environ if name.startswith("JAX_PERSISTENT_CACHE")]
    kept += [name for name in ("JAX_COMPILATION_CACHE_DIR",) if name in os.environ]
    found: dict[str, str | None] = {name: os.environ[name] for name in kept}
    if is_gpu:
        return {**found, "JAX_PLATFORMS": None}
    flags = "--xla_force_host_platform_device_count=1"
    return {**found, "JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "PJRT_NPROC": "4"}
