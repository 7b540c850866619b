"""Running a spec: groups into lanes, lanes into chunks, chunks into a store.

The driver hands out chunks of lanes that are still missing; an executor has them
computed and committed: one after the other in this process (`LocalExecutor`), or by
workers on many machines (`gtrade.sweeps.ray_executor`).
"""

import dataclasses
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import jax

from gtrade.sweeps.chunks import Calls, Chunk, Failure, Lanes, Queue, Report
from gtrade.sweeps.grid import Grid, Group
from gtrade.sweeps.manifest import make_manifest
from gtrade.sweeps.progress import Progress
from gtrade.sweeps.spec import Spec
from gtrade.sweeps.store import MemoryStore, Store, StoreError
from gtrade.sweeps.table import Table
from gtrade.sweeps.worker import Worker, device_facts

# A run that begins with so many failures and has nothing else is given up.
_MOST_FAILURES_FIRST = 10


class Executor(Protocol):
    """Has chunks computed and committed."""

    def __enter__(self) -> Self:
        """Start workers."""
        ...

    def __exit__(self, *_: object) -> None:
        """Stop them."""
        ...

    def device_facts(self) -> dict[str, Any]:
        """Return platform, kind and number of a worker's devices."""
        ...

    def open(self, grid: Grid, store: Any) -> None:
        """Take chunks of this grid from now on, for this store."""
        ...

    def calls(self, group: int, width: int | None) -> Calls:
        """Return the calls of a group, of a width that was chosen before if given."""
        ...

    @property
    def has_room(self) -> bool:
        """Whether another chunk may be submitted before one is collected."""
        ...

    def submit(self, chunk: Chunk) -> None:
        """Have a chunk computed and committed."""
        ...

    def collect(self) -> Iterable[Report | Failure]:
        """Wait for a submitted chunk; nothing if there is none."""
        ...


class LocalExecutor:
    """Computes chunks one after the other, each on all devices of this process."""

    def __init__(self, num_devices: int | None = None) -> None:
        """Start nothing yet.

        Args:
            num_devices: local devices to use; all if None.
        """
        self._num_devices = num_devices
        self._outcomes: list[Report | Failure] = []

    def __enter__(self) -> Self:
        """Return the executor."""
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def device_facts(self) -> dict[str, Any]:
        """Return platform, kind and number of the local devices."""
        return device_facts()

    def open(self, grid: Grid, store: Store | MemoryStore) -> None:
        """Take chunks of this grid from now on, for this store."""
        num_devices = self._num_devices or len(jax.local_devices())
        self._worker = Worker(grid, store, num_devices)

    def calls(self, group: int, width: int | None) -> Calls:
        """Return the calls of a group, of a width that was chosen before if given."""
        return self._worker.calls(group, width)

    @property
    def has_room(self) -> bool:
        """Whether another chunk may be submitted before one is collected."""
        return not self._outcomes

    def submit(self, chunk: Chunk) -> None:
        """Compute and commit a chunk.

        Raises:
            StoreError: if it cannot be written.
        """
        try:
            self._outcomes.append(self._worker.execute(chunk))
        except StoreError:
            raise
        except Exception as error:
            self._outcomes.append(chunk.failure(error))

    def collect(self) -> list[Report | Failure]:
        """Return what came of the chunk submitted last."""
        outcomes, self._outcomes = self._outcomes, []
        return outcomes


def run_spec(
    spec: Spec,
    out: str | Path | None = None,
    *,
    executor: Literal["local", "ray"] = "local",
    chunk: int | None = None,
    force_resume: bool = False,
    num_devices: int | None = None,
    is_shown: bool = False,
) -> Table:
    """Run a spec, or go on with it.

    A chunk that cannot be computed loses nothing else: its error is logged and shown,
    its rows are missing from the table, and the next run tries them again.

    Args:
        spec: resolved.
        out: folder of the results; in memory if None.
        executor: "local", on all devices of this machine, or "ray", by the workers of a
            cluster, which all have to reach `out`.
        chunk: rows per file, rounded up to whole calls; by default about five seconds
            of work. It changes no result.
        force_resume: go on in a folder of a different spec, version or device.
        num_devices: local devices to use, or workers of a Ray cluster that is started
            here; all if None.
        is_shown: whether progress is shown on stderr.

    Returns:
        The table of all finished rows.

    Raises:
        SpecError: for inadmissible numbers, before anything is compiled.
        StoreError: if `out` cannot be used, or not be written to any more.
        Exception: of the first chunk, if no row could be computed; after ten chunks
            without one the run is given up.
    """
    if out is None and executor != "local":
        raise StoreError(
            f"executor {executor}: needs a folder for the results that all workers can"
            " write to (--out DIR)"
        )
    grid = Grid(spec)
    grid.validate()
    with _make_executor(executor, spec, num_devices) as workers:
        facts = workers.device_facts()
        manifest = make_manifest(spec, facts, [_facts(g) for g in grid.groups])
        if out is None:
            store: Store | MemoryStore = MemoryStore(manifest)
        else:
            store = Store(out, manifest, force_resume=force_resume)
        with store:
            workers.open(grid, store)
            _drive(grid, store, workers, chunk, is_shown)
            return store.table()


def _make_executor(name: str, spec: Spec, num_devices: int | None) -> Executor:
    if name == "local":
        return LocalExecutor(num_devices)
    from gtrade.sweeps.ray_executor import RayExecutor

    return RayExecutor(spec, num_devices)


def _drive(
    grid: Grid,
    store: Store | MemoryStore,
    workers: Executor,
    rows_per_chunk: int | None,
    is_shown: bool,
) -> None:
    """Have all missing lanes computed."""
    replications = grid.spec.run.replications
    finished = store.finished()
    queues = [
        Queue(
            group,
            Lanes(group, replications, finished),
            rows_per_chunk=rows_per_chunk,
            name=store.new_name,
        )
        for group in grid.groups
    ]
    total = sum(queue.lanes.total for queue in queues)
    num_missing = sum(queue.lanes.num_missing for queue in queues)
    failures: list[Failure] = []
    with Progress(total, total - num_missing, is_shown=is_shown) as progress:
        for name in store.damaged:
            progress.say(f"{name} cannot be read; its rows are computed again")
        for outcome in _outcomes(queues, store, workers):
            if isinstance(outcome, Failure):
                if failures:
                    outcome.error.__traceback__ = None  # holds a whole chunk's numbers
                failures.append(outcome)
                store.log("failed", **_described(outcome))
                progress.say(f"{outcome.num_rows} rows failed: {_text(outcome)}")
                is_hopeless = not progress.done + progress.reused
                if is_hopeless and len(failures) == _MOST_FAILURES_FIRST:
                    raise failures[0].error
                continue
            store.log("chunk", **dataclasses.asdict(outcome))
            queue = queues[outcome.group]
            before = queue.calls.width
            queue.learn(outcome)
            if queue.calls.width < before:
                store.set_lane_width(outcome.group, queue.calls.width)
                store.log(
                    "out of memory",
                    group=outcome.group,
                    lane_width=queue.calls.width,
                )
            progress.advance(outcome.num_rows, outcome.num_failed)
        if failures and not progress.done + progress.reused:
            raise failures[0].error
        store.log("finished", rows=total - sum(f.num_rows for f in failures))
        if is_shown:
            progress.say(progress.text())
        if failures:
            _tell(failures, progress, is_shown=is_shown)


def _outcomes(
    queues: list[Queue], store: Store | MemoryStore, workers: Executor
) -> Iterator[Report | Failure]:
    """Keep the workers busy; yield what comes of the chunks."""
    chunks = _chunks(queues, store, workers)
    is_over = False
    while True:
        while not is_over and workers.has_room:
            chunk = next(chunks, None)
            if chunk is None:
                is_over = True
            elif isinstance(chunk, Failure):
                yield chunk
            else:
                workers.submit(chunk)
        outcomes = list(workers.collect())
        if not outcomes:
            return
        yield from outcomes


def _chunks(
    queues: list[Queue], store: Store | MemoryStore, workers: Executor
) -> Iterator[Chunk | Failure]:
    for queue in queues:
        if not queue.lanes.num_missing:
            continue
        group = queue.group.index
        width = store.manifest["lane_widths"].get(str(group))
        try:
            queue.calls = workers.calls(group, width)
        except StoreError:
            raise
        except Exception as error:  # such as one solve that needs too much memory
            name = f"group {group}"
            yield Failure(name, group, queue.lanes.num_missing, error)
            continue
        if width is None:
            store.set_lane_width(group, queue.calls.width)
        while (chunk := queue.next()) is not None:
            yield chunk


def _tell(failures: list[Failure], progress: Progress, *, is_shown: bool) -> None:
    num_rows = sum(failure.num_rows for failure in failures)
    message = (
        f"{num_rows} rows could not be computed: {len(failures)} of the chunks failed"
        f" ({_text(failures[0])}); run again to try them again"
    )
    if is_shown:
        progress.say(message)
    else:
        warnings.warn(message, RuntimeWarning, stacklevel=4)


def _text(failure: Failure) -> str:
    return f"{type(failure.error).__name__}: {failure.error}".partition("\n")[0]


def _described(failure: Failure) -> dict[str, Any]:
    return {
        "name": failure.name,
        "group": failure.group,
        "num_rows": failure.num_rows,
        "error": f"{type(failure.error).__name__}: {failure.error}",
    }


def _facts(group: Group) -> dict[str, Any]:
    return {"num_points": len(group.points), "label": dict(group.label)}
