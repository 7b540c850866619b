"""Chunks: lanes of one shape that are computed and committed together.

The driver plans chunks of lanes that are still missing; workers compute and commit
them, in this process or in others (`gtrade.sweeps.worker`). Chunks decide nothing about
results. Nothing here imports jax: other processes read chunks before they start it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from gtrade.sweeps.table import row_ids

if TYPE_CHECKING:
    from gtrade.sweeps.grid import Group

_SECONDS_PER_CHUNK = 5.0
_MOST_ROWS_PER_CHUNK = 2**16
_MOST_BYTES_PER_CHUNK = 2**28
_BLOCK = 2**16


@dataclasses.dataclass(frozen=True, eq=False)
class Chunk:
    """Lanes of one group that are computed and committed together.

    Attributes:
        name: of the file that will hold its rows.
        group: index of the group.
        rows: positions of the lanes' points within the group.
        replications: the lanes' replication numbers.
        width: lane width per device.
    """

    name: str
    group: int
    rows: np.ndarray
    replications: np.ndarray
    width: int

    def failure(self, error: BaseException) -> Failure:
        """Return what there is to say if it cannot be computed."""
        return Failure(self.name, self.group, len(self.rows), error)


@dataclasses.dataclass(frozen=True)
class Report:
    """What came of a chunk: how many rows have no answer, the width used, by whom."""

    name: str
    group: int
    num_rows: int
    num_failed: int
    width: int
    seconds: float
    worker: str


@dataclasses.dataclass(frozen=True, eq=False)
class Failure:
    """Rows that could not be computed, and why: a chunk, or all of a group."""

    name: str
    group: int
    num_rows: int
    error: BaseException


@dataclasses.dataclass(frozen=True)
class Calls:
    """The compiled calls of a group.

    Attributes:
        width: lanes per device.
        num_devices: devices that share a call.
        bytes_per_result: of one lane's row and arrays.
    """

    width: int
    num_devices: int
    bytes_per_result: float


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


class Queue:
    """The missing lanes of a group, handed out as chunks of about equal times.

    A kill then loses seconds, whatever a call costs.
    """

    def __init__(
        self,
        group: Group,
        lanes: Lanes,
        *,
        rows_per_chunk: int | None,
        name: Callable[[np.ndarray], str],
    ) -> None:
        """Hand nothing out yet: `calls` has to be set first.

        Args:
            group: the group.
            lanes: what is missing of it.
            rows_per_chunk: rounded up to whole calls; adapted to the time a call takes
                if None.
            name: returns a new file name for rows of these ids.
        """
        self.group, self.lanes, self.calls = group, lanes, Calls(1, 1, 0.0)
        self._rows_per_chunk, self._name = rows_per_chunk, name
        self._num_calls = 1

    def next(self) -> Chunk | None:
        """Return the next chunk, None if nothing is left to hand out."""
        size = self.calls.width * self.calls.num_devices
        num_calls = self._num_calls
        if self._rows_per_chunk is not None:
            num_calls = math.ceil(self._rows_per_chunk / size)
        rows, replications = self.lanes.take(num_calls * size)
        if not len(rows):
            return None
        ids = row_ids(self.group.points[rows], replications)
        width = self.calls.width
        return Chunk(self._name(ids), self.group.index, rows, replications, width)

    def learn(self, report: Report) -> None:
        """Adapt to the time a chunk took, and to a width that memory allowed."""
        calls = self.calls
        if report.width < calls.width:
            calls = self.calls = dataclasses.replace(calls, width=report.width)
        size = calls.width * calls.num_devices
        most_bytes = _MOST_BYTES_PER_CHUNK / max(calls.bytes_per_result, 1)
        most_rows = min(_MOST_ROWS_PER_CHUNK, int(most_bytes))
        per_call = report.seconds / math.ceil(report.num_rows / size)
        num_calls = int(_SECONDS_PER_CHUNK / max(per_call, 1e-9))
        self._num_calls = max(min(num_calls, most_rows // size), 1)
