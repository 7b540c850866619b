"""Running a spec: groups into lanes, lanes into chunks, chunks into a store.

The driver plans chunks of lanes that are still missing and hands them to a `Worker`,
which computes and commits them. The local executor is the plain loop `_run_locally`;
another executor replaces that loop alone. Chunks decide nothing about results.
"""

import dataclasses
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gtrade.solution import SUCCESS_NAMES
from gtrade.sweeps.grid import Grid, Group
from gtrade.sweeps.manifest import make_manifest
from gtrade.sweeps.programs import GroupProgram
from gtrade.sweeps.progress import Progress
from gtrade.sweeps.rows import make_arrays, make_rows, swept_array
from gtrade.sweeps.spec import Spec
from gtrade.sweeps.store import MemoryStore, Store
from gtrade.sweeps.table import Table, row_ids

_SECONDS_PER_CHUNK = 5.0
_MOST_ROWS_PER_CHUNK = 2**16
_MOST_BYTES_PER_CHUNK = 2**28
_BLOCK = 2**16


@dataclasses.dataclass(frozen=True, eq=False)
class Chunk:
    """Lanes of one group that are computed and committed together.

    Attributes:
        group: index of the group.
        rows: positions of the lanes' points within the group.
        replications: the lanes' replication numbers.
        width: lane width per device.
    """

    group: int
    rows: np.ndarray
    replications: np.ndarray
    width: int


@dataclasses.dataclass(frozen=True)
class Report:
    """What came of a chunk: its file, how many rows have no answer, the width used."""

    name: str
    num_rows: int
    num_failed: int
    width: int
    seconds: float


class Worker:
    """Computes chunks and commits them to a store; keeps one group compiled."""

    def __init__(
        self, grid: Grid, store: Store | MemoryStore, num_devices: int
    ) -> None:
        """Compile nothing yet.

        Args:
            grid: the validated grid.
            store: where chunks are committed.
            num_devices: local devices to use.
        """
        self.grid, self.store, self.num_devices = grid, store, num_devices
        self._program: GroupProgram | None = None

    def program(self, group: int) -> GroupProgram:
        """Return the programs of a group; those of the last group are let go."""
        if self._program is None or self._program.group.index != group:
            members = self.grid.groups[group]
            num_lanes = len(members.points) * self.grid.spec.run.replications
            num_devices = min(self.num_devices, num_lanes)
            self._program = GroupProgram(self.grid, members, num_devices=num_devices)
        return self._program

    def execute(self, chunk: Chunk) -> Report:
        """Compute and commit a chunk, with narrower calls if memory runs out."""
        started = time.monotonic()
        program, width = self.program(chunk.group), chunk.width
        while True:
            try:
                results = _run_calls(program, chunk, width)
                break
            except jax.errors.JaxRuntimeError as error:
                if "RESOURCE_EXHAUSTED" not in str(error) or width == 1:
                    raise
                width = math.ceil(width / 2)
        name = self.store.commit(*self._tables(chunk, results))
        num_failed = int((~np.isin(results["status"], SUCCESS_NAMES)).sum())
        seconds = time.monotonic() - started
        return Report(name, len(chunk.rows), num_failed, width, seconds)

    def _tables(self, chunk: Chunk, results: dict[str, np.ndarray]) -> tuple[Any, Any]:
        spec = self.grid.spec
        points = self.grid.groups[chunk.group].points[chunk.rows]
        whole = {
            key.key: column
            for axis in spec.axes
            for key, column in zip(axis.keys, axis.columns, strict=True)
        }
        swept = {
            key.key: swept_array(key, self.grid.values(key.key, points), whole[key.key])
            for key in spec.swept
        }
        rows = make_rows(
            points=points,
            replications=chunk.replications,
            precision=spec.run.precision,
            swept=swept,
            results=results,
            columns=spec.evidence.columns if spec.is_verified else (),
        )
        arrays = make_arrays(
            points=points,
            replications=chunk.replications,
            results=results,
            names=spec.run.arrays,
        )
        return rows, arrays


def _run_calls(
    program: GroupProgram, chunk: Chunk, width: int
) -> dict[str, np.ndarray]:
    size = width * program.num_devices
    parts = [
        program.run(chunk.rows[i : i + size], chunk.replications[i : i + size], width)
        for i in range(0, len(chunk.rows), size)
    ]
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}


class Lanes:
    """The lanes of a group that are still missing, point by point."""

    def __init__(self, group: Group, replications: int, finished: np.ndarray) -> None:
        """Find out how many there are.

        Args:
            group: the group.
            replications: per point.
            finished: sorted ids of what is there already.
        """
        self._group, self._replications = group, replications
        self._finished = finished
        self._blocks = self._missing()
        self._rest = np.zeros(0, np.int64)
        self.total = len(group.points) * replications
        self.num_missing = self.total
        if len(finished):
            self.num_missing = sum(len(block) for block in self._missing())

    def _missing(self) -> Iterator[np.ndarray]:
        total = len(self._group.points) * self._replications
        for start in range(0, total, _BLOCK):
            lanes = np.arange(start, min(start + _BLOCK, total))
            points = self._group.points[lanes // self._replications]
            if len(self._finished):
                ids = row_ids(points, lanes % self._replications)
                at = np.searchsorted(self._finished, ids)
                at = np.minimum(at, len(self._finished) - 1)
                lanes = lanes[self._finished[at] != ids]
            yield lanes

    def take(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return rows and replications of the next `count` lanes, fewer at the end."""
        parts, have = [self._rest], len(self._rest)
        while have < count and (block := next(self._blocks, None)) is not None:
            parts.append(block)
            have += len(block)
        lanes = np.concatenate(parts)
        self._rest, lanes = lanes[count:], lanes[:count]
        return lanes // self._replications, lanes % self._replications


def run_spec(
    spec: Spec,
    out: str | Path | None = None,
    *,
    chunk: int | None = None,
    force_resume: bool = False,
    num_devices: int | None = None,
    is_shown: bool = False,
) -> Table:
    """Run a spec, or go on with it.

    Args:
        spec: resolved.
        out: folder of the results; in memory if None.
        chunk: rows per file, rounded up to whole calls; by default about five seconds
            of work. It changes no result.
        force_resume: go on in a folder of a different spec, version or device.
        num_devices: local devices to use; all if None.
        is_shown: whether progress is shown on stderr.

    Returns:
        The table of all finished rows.

    Raises:
        SpecError: for inadmissible numbers, before anything is compiled.
        StoreError: if `out` cannot be used.
    """
    grid = Grid(spec)
    grid.validate()
    manifest = make_manifest(spec, device_facts(), [_facts(g) for g in grid.groups])
    if out is None:
        store: Store | MemoryStore = MemoryStore(manifest)
    else:
        store = Store(out, manifest, force_resume=force_resume)
    with store:
        num_devices = num_devices or len(jax.local_devices())
        worker = Worker(grid, store, num_devices)
        _run_locally(worker, chunk, is_shown)
        return store.table()


def _run_locally(worker: Worker, rows_per_chunk: int | None, is_shown: bool) -> None:
    grid, store = worker.grid, worker.store
    replications = grid.spec.run.replications
    finished = store.finished()
    queues = [Lanes(group, replications, finished) for group in grid.groups]
    total = sum(queue.total for queue in queues)
    num_missing = sum(queue.num_missing for queue in queues)
    with Progress(total, total - num_missing, is_shown=is_shown) as progress:
        for name in store.damaged:
            progress.say(f"{name} cannot be read; its rows are computed again")
        for group, queue in zip(grid.groups, queues, strict=True):
            if not queue.num_missing:
                continue
            for report in _run_group(worker, group, queue, rows_per_chunk):
                progress.advance(report.num_rows, report.num_failed)
        store.log("finished", rows=total)
        if is_shown:
            progress.say(progress.text())


def _run_group(
    worker: Worker, group: Group, queue: Lanes, rows_per_chunk: int | None
) -> Iterator[Report]:
    """Execute the missing lanes of a group, chunk by chunk."""
    program, store = worker.program(group.index), worker.store
    width = store.manifest["lane_widths"].get(str(group.index))
    if width is None:
        width = program.choose_width(queue.total)
        store.set_lane_width(group.index, width)
    most_bytes = _MOST_BYTES_PER_CHUNK / max(program.bytes_per_result(width), 1)
    most_rows = min(_MOST_ROWS_PER_CHUNK, int(most_bytes))
    num_calls = 1
    while True:
        size = width * program.num_devices
        if rows_per_chunk is not None:
            num_calls = math.ceil(rows_per_chunk / size)
        rows, replications = queue.take(num_calls * size)
        if not len(rows):
            return
        report = worker.execute(Chunk(group.index, rows, replications, width))
        store.log("chunk", **dataclasses.asdict(report))
        if report.width != width:
            width = report.width
            store.set_lane_width(group.index, width)
            store.log("out of memory", group=group.index, lane_width=width)
        # Files of about equal times: a kill loses seconds, whatever a call costs.
        per_call = report.seconds / num_calls
        num_calls = int(_SECONDS_PER_CHUNK / max(per_call, 1e-9))
        num_calls = max(min(num_calls, most_rows // size), 1)
        yield report


def device_facts() -> dict[str, Any]:
    """Return platform, kind and number of the local devices."""
    devices = jax.local_devices()
    return {
        "platform": devices[0].platform,
        "kind": devices[0].device_kind,
        "count": len(devices),
    }


def _facts(group: Group) -> dict[str, Any]:
    return {"num_points": len(group.points), "label": dict(group.label)}
