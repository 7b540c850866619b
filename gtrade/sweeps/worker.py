"""What computes chunks and commits them: in this process or in another."""

import math
import os
import socket
import time
from typing import Any, Protocol

import jax
import numpy as np

from gtrade.solution import SUCCESS_NAMES
from gtrade.sweeps.chunks import Calls, Chunk, Report
from gtrade.sweeps.grid import Grid
from gtrade.sweeps.programs import GroupProgram
from gtrade.sweeps.rows import make_arrays, make_rows, swept_array


class Committer(Protocol):
    """Where a worker's rows go."""

    def commit(self, rows: Any, arrays: Any, *, name: str) -> Any:
        """Write one chunk; when this returns, no crash can lose it."""
        ...


class Worker:
    """Computes chunks and commits them to a store; keeps one group compiled."""

    def __init__(
        self, grid: Grid, store: Committer, num_devices: int, *, num_sharing: int = 1
    ) -> None:
        """Compile nothing yet.

        Args:
            grid: the validated grid.
            store: where chunks are committed.
            num_devices: local devices to use.
            num_sharing: processes like this one that share the machine's memory.
        """
        self._num_sharing = num_sharing
        self.grid, self.store, self.num_devices = grid, store, num_devices
        self._program: GroupProgram | None = None

    def program(self, group: int) -> GroupProgram:
        """Return the programs of a group; those of the last group are let go."""
        if self._program is None or self._program.group.index != group:
            members = self.grid.groups[group]
            num_lanes = len(members.points) * self.grid.spec.run.replications
            num_devices = min(self.num_devices, num_lanes)
            self._program = GroupProgram(
                self.grid,
                members,
                num_devices=num_devices,
                num_sharing=self._num_sharing,
            )
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
        self.store.commit(*self._tables(chunk, results), name=chunk.name)
        return Report(
            name=chunk.name,
            group=chunk.group,
            num_rows=len(chunk.rows),
            num_failed=int((~np.isin(results["status"], SUCCESS_NAMES)).sum()),
            width=width,
            seconds=time.monotonic() - started,
            worker=f"process {os.getpid()} on {socket.gethostname()}",
        )

    def calls(self, group: int, width: int | None) -> Calls:
        """Return the calls of a group.

        Args:
            group: index of the group.
            width: lane width of an earlier run; chosen from memory if None.
        """
        program = self.program(group)
        if width is None:
            members = self.grid.groups[group]
            width = program.choose_width(
                len(members.points) * self.grid.spec.run.replications
            )
        return Calls(width, program.num_devices, program.bytes_per_result(width))

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


def device_facts() -> dict[str, Any]:
    """Return platform, kind and number of the local devices."""
    devices = jax.local_devices()
    return {
        "platform": devices[0].platform,
        "kind": devices[0].device_kind,
        "count": len(devices),
    }
