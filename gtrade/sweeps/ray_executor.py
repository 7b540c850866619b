"""Chunks on the workers of a Ray cluster: one actor a device, which it keeps.

A worker commits what it computes; a chunk whose worker was lost goes to another one.
The driver holds no rows and may be killed at any time. Ray itself is imported only
here, and only when an executor is made.
"""

import collections
import dataclasses
import os
import secrets
import shutil
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, Self

from gtrade.sweeps.chunks import Calls, Chunk, Failure, Report
from gtrade.sweeps.cores import num_cores
from gtrade.sweeps.packages import require
from gtrade.sweeps.ray_folders import make_folder
from gtrade.sweeps.ray_worker import (
    Job,
    RayWorker,
    checked_versions,
    worker_environment,
)
from gtrade.sweeps.spec import Spec
from gtrade.sweeps.store import StoreError

_RETRIES = 3  # of a chunk whose worker was lost
_QUESTION_RETRIES = 9  # all rows of a group depend on one
_MOST_LOST_STARTING = 10  # workers in a row
_PAUSE = 60  # seconds without new workers after that, while there are others
_CHUNKS_PER_WORKER = 2  # in flight: one computing, one waiting
# Ray's sockets lie in its folder, and their paths have to be short.
_SHORT = "/tmp" if os.path.isdir("/tmp") else None
_TOKEN = secrets.token_hex(32)  # of local clusters; a process reads it only once
_STORE_BYTES = 2**27  # of Ray's object store: chunks are small, and rows go to files


class WorkerLostError(RuntimeError):
    """A chunk whose workers were lost, one after the other."""


@dataclasses.dataclass(eq=False)
class _Request:
    """What a worker is to do.

    Attributes:
        method: of `RayWorker`: "execute", a question of the driver, or else "start" or
            "check", which say only that the worker is there.
        arguments: of the method.
        chunk: to execute.
        num_lost: workers lost over it.
        answer: to a question.
    """

    method: str
    arguments: tuple[Any, ...] = ()
    chunk: Chunk | None = None
    num_lost: int = 0
    answer: Any = None

    @property
    def is_own(self) -> bool:
        """Whether nobody waits for it but the executor."""
        return self.method in ("start", "check")


class RayExecutor:
    """Has chunks computed by the workers of a cluster, or of a local one.

    Workers are actors. Ray ends the process of a task that used a GPU, with all that it
    has compiled; where it is told not to, a process that has started jax on one GPU is
    later given another, and two of them share a GPU.
    """

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
        self._waiting: collections.deque[_Request] = collections.deque()
        self._idle: list[Any] = []
        # The worker of a task, and what it does.
        self._busy: dict[Any, tuple[Any, _Request]] = {}
        self._outcomes: list[Report | Failure] = []
        self._num_lost_starting = 0
        self._paused_until = 0.0
        self._folder: Path | None = None
        self._lock = -1  # on the folder, a file descriptor
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
        self._environment = worker_environment(
            is_gpu=self._is_gpu, calls_lapack=self._spec.solver_entry.calls_lapack
        )
        resources = {"num_gpus": 1} if self._is_gpu else {"num_cpus": 1}
        self._actor = ray.remote(**resources)(RayWorker)

    def _connect(self) -> None:
        ray = self._ray
        self._set("RAY_USAGE_STATS_ENABLED", "0")
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
        self._folder, self._lock = make_folder(_SHORT or tempfile.gettempdir())
        if not (Path.home() / ".ray" / "auth_token").exists():
            # Without one Ray makes one, and leaves it in the user's home.
            self._set("RAY_AUTH_TOKEN", _TOKEN)
        ray.init(
            address="local",
            num_cpus=self._num_started or num_cores(),
            include_dashboard=False,
            object_store_memory=_STORE_BYTES,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(self._folder),
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
            for worker in (*self._idle, *(worker for worker, _ in self._busy.values())):
                self._ray.kill(worker)
        finally:
            self._waiting.clear()
            self._idle.clear()
            self._busy.clear()
            if self._is_owner:
                self._ray.shutdown()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                os.close(self._lock)
                self._folder = None
            self._restore()

    def _restore(self) -> None:
        for name in self._variables:
            os.environ.pop(name, None)
        self._variables.clear()

    def device_facts(self) -> dict[str, Any]:
        """Return platform, kind and number of a worker's devices."""
        self._device = self._ask("describe_device")
        return {**self._device, "count": self.num_workers}

    @property
    def num_workers(self) -> int:
        """Workers that there is room for now, and no more than were asked for."""
        resource = "GPU" if self._is_gpu else "CPU"
        found = max(int(self._ray.cluster_resources().get(resource, 1)), 1)
        return found if self._folder is None else min(self._num_started or found, found)

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
            )
        )

    def calls(self, group: int, width: int | None) -> Calls:
        """Return the calls of a group, of a width that was chosen before if given."""
        return self._ask("calls", self._job, group, width)

    @property
    def has_room(self) -> bool:
        """Whether another chunk may be submitted before one is collected."""
        return self._num_open < _CHUNKS_PER_WORKER * self.num_workers

    def submit(self, chunk: Chunk) -> None:
        """Have a chunk computed and committed."""
        self._waiting.append(_Request("execute", (self._job, chunk), chunk))
        self._employ()

    def collect(self) -> list[Report | Failure]:
        """Wait for one of the chunks in flight; nothing if there is none.

        Raises:
            StoreError: if it could not be written.
        """
        while not self._outcomes and self._num_open:
            self._advance()
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    @property
    def _num_coming(self) -> int:
        """Workers that will be idle as soon as they have said that they are there."""
        return sum(request.is_own for _, request in self._busy.values())

    @property
    def _num_open(self) -> int:
        """Requests that wait or are being worked on."""
        return len(self._waiting) + len(self._busy) - self._num_coming

    def _ask(self, method: str, *arguments: Any) -> Any:
        """Have the next worker that is idle answer a question, before any chunk."""
        request = _Request(method, arguments)
        self._waiting.appendleft(request)
        while request.answer is None:
            self._advance()
        return request.answer

    def _employ(self) -> None:
        """Give what waits to idle workers, and start more workers if there is room."""
        while self._waiting and self._idle:
            self._give(self._idle.pop(), self._waiting.popleft())
        if self._busy and time.monotonic() < self._paused_until:
            return
        # One more than a cluster that was joined has room for: it may grow.
        most = self.num_workers + (self._folder is None)
        num_new = min(len(self._waiting) - self._num_coming, most - len(self._busy))
        for _ in range(num_new):
            self._give(self._actor.remote(), _Request("start", (self._environment,)))

    def _give(self, worker: Any, request: _Request) -> None:
        task = getattr(worker, request.method).remote(*request.arguments)
        self._busy[task] = worker, request

    def _advance(self) -> None:
        """Wait until a worker is done with something."""
        self._employ()
        (task, *_), _ = self._ray.wait(list(self._busy), num_returns=1)
        worker, request = self._busy.pop(task)
        try:
            answer = self._ray.get(task)
        except self._ray.exceptions.RayTaskError as error:
            self._ray.kill(worker)  # its device may be out of order
            pass_on = self._lose if request.is_own else self._fail
            pass_on(request, error.cause or error)
        except self._ray.exceptions.RayError as error:
            self._ray.kill(worker)  # it may only be out of reach
            self._lose(request, error)
        else:
            self._idle.append(worker)
            if request.method == "start":
                self._num_lost_starting = 0
            elif request.chunk is not None:
                self._outcomes.append(answer)
            else:
                request.answer = answer

    def _fail(self, request: _Request, error: Exception) -> None:
        """Pass on an error that a worker had."""
        if request.chunk is None or isinstance(error, StoreError):
            raise error from None
        self._outcomes.append(request.chunk.failure(error))

    def _lose(self, request: _Request, error: Exception) -> None:
        """Have another worker do what a lost one did."""
        if request.method == "check":
            return
        # Idle workers may have been lost with it: those that answer are idle again.
        while self._idle:
            self._give(self._idle.pop(), _Request("check"))
        if request.method == "start":
            self._lose_starting(error)
            return
        request.num_lost += 1
        if request.num_lost <= (_RETRIES if request.chunk else _QUESTION_RETRIES):
            self._waiting.appendleft(request)
            return
        reason = str(error).partition("\n")[0]
        message = f"{request.num_lost} workers were lost, at last: {reason}"
        self._fail(request, WorkerLostError(message))

    def _lose_starting(self, error: Exception) -> None:
        """Start no more for a while if too many were lost; give up if all were."""
        self._num_lost_starting += 1
        if self._num_lost_starting < _MOST_LOST_STARTING:
            return
        if all(request.method == "start" for _, request in self._busy.values()):
            raise StoreError(f"executor ray: no worker starts ({error})")
        # One machine that is out of order holds up nothing on the others.
        self._num_lost_starting = 0
        self._paused_until = time.monotonic() + _PAUSE


def _is_cluster_likely() -> bool:
    """Whether there may be a cluster to join: named, or started on this machine."""
    place = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"
    return "RAY_ADDRESS" in os.environ or place.exists()
