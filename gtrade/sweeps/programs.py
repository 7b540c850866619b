"""The two programs of a group: solve in the run's precision, verify in float64.

Both are compiled, unless the solver runs on the host.

A call computes `lane width x devices` lanes, a lane being one point with one key. The
width is fixed per group and every call is padded to it, because on a CPU the same lane
can differ in its last bits between batch widths.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from gtrade.catalog.base import resolve
from gtrade.problems.base import make_batch
from gtrade.solution import STATUS_NAMES, Solution
from gtrade.solving import HostProgram, LaneProgram, make_program
from gtrade.sweeps.grid import Grid, Group
from gtrade.sweeps.memory import available_memory

# Lanes of one call. On a CPU more only leaves the cache; on an accelerator the memory
# estimate is what binds.
_MOST_LANES = {"cpu": 1024}
_MOST_LANES_ELSEWHERE = 2**17
# A solver on the host takes them one by one, and a call is what a kill can lose.
_MOST_LANES_ON_HOST = 8

# Temporaries of a solve are unknown before it is compiled: room for so many times its
# arguments and results.
_MEMORY_FACTOR = 8
_MEMORY_SHARE = 0.4

NO_ANSWER = ("nonfinite", "invalid_input")
"""Statuses whose value means nothing: their floats are written as NaN."""


class GroupProgram:
    """Solves and verifies lanes of one group of grid points.

    Attributes:
        group: the group.
        num_devices: local devices that share a call.
    """

    def __init__(
        self, grid: Grid, group: Group, *, num_devices: int, num_sharing: int = 1
    ) -> None:
        """Build the group's problems and solvers; nothing is compiled yet.

        Args:
            grid: the whole grid.
            group: the group.
            num_devices: local devices to use.
            num_sharing: processes that share the machine's memory.

        Raises:
            ValueError: if a problem or solver cannot be built.
        """
        spec = grid.spec
        self.group, self.num_devices = group, num_devices
        self._num_sharing = num_sharing
        self._run = spec.run
        self._batch = _build(grid, group, spec.run.precision)
        self._solve = make_program(self._batch[1], self._batch[0], num_devices)
        self._verify = None
        if spec.is_verified:
            is_shared = spec.run.precision == "f64"
            self._exact = self._batch if is_shared else _build(grid, group, "f64")
            verify = resolve(spec.entry.verify)
            verify_one = _verifier(verify, spec.run.arrays)
            self._verify = LaneProgram(verify_one, num_devices=num_devices)
        self._names = [column.name for column in spec.evidence.columns]
        self._names += spec.run.arrays
        self._shapes: dict[int, tuple[Any, Any, Any, Any]] = {}

    def choose_width(self, num_lanes: int) -> int:
        """Return a lane width per device for a group of so many lanes.

        As many lanes as memory allows, balanced over the calls that makes.
        """
        platform = jax.local_devices()[0].platform
        most = _MOST_LANES.get(platform, _MOST_LANES_ELSEWHERE)
        if isinstance(self._solve, HostProgram):
            most = min(most, _MOST_LANES_ON_HOST)
        width = self._balanced(num_lanes, most)
        budget = memory_budget(self._num_sharing)
        if budget is None:
            return width
        size = width * self.num_devices
        per_lane = _num_bytes(self._abstract(width)) / size
        if _MEMORY_FACTOR * per_lane * size > budget:
            width = self._balanced(num_lanes, int(budget / _MEMORY_FACTOR / per_lane))
        while width > 1:
            needed = self._memory_bytes(width)
            if needed is None or needed <= budget:
                break
            width = math.ceil(width / 2)
        needed = self._memory_bytes(1) if width == 1 else None
        if needed is not None and needed > budget:
            raise ValueError(
                f"one solve on each of {self.num_devices} devices needs"
                f" {needed / 2**30:.1f} GiB, and {budget / 2**30:.1f} GiB are free;"
                " take fewer rounds, players or steps, or a larger machine"
            )
        return width

    def _balanced(self, num_lanes: int, most: int) -> int:
        per_call = max(most // self.num_devices, 1) * self.num_devices
        num_calls = math.ceil(num_lanes / per_call)
        return math.ceil(num_lanes / num_calls / self.num_devices)

    def bytes_per_result(self, width: int) -> float:
        """Return the size of one lane's row and arrays."""
        results = self._abstract(width)[-1]
        return _num_bytes(results) / (width * self.num_devices)

    def run(
        self, rows: np.ndarray, replications: np.ndarray, width: int
    ) -> dict[str, np.ndarray]:
        """Compute one call's lanes.

        Args:
            rows: positions of the lanes' points in `group.points`, at most
                `width x num_devices`.
            replications: the lanes' replication numbers.
            width: lanes per device.

        Returns:
            `status` (names), `residual`, `num_steps`, the model's columns and the
            requested arrays, one entry per lane.
        """
        num_lanes, size = len(rows), width * self.num_devices
        padding = (0, size - num_lanes)
        rows = np.pad(rows, padding, mode="edge")
        replications = np.pad(replications, padding, mode="edge")
        keys = self._keys(rows, replications)
        with precision_context(self._run.precision):
            lanes = (*_take(self._batch, rows), keys)
            if isinstance(self._solve, HostProgram):
                solution = self._solve(*lanes, num_lanes=num_lanes)
            else:
                solution = self._solve(*lanes)
        columns = {}
        if self._verify is not None:
            with precision_context("f64"):
                columns = self._verify(*_take(self._exact, rows), solution)
        fetched = jax.device_get((_evidence(solution), columns))
        (status, residual, num_steps), columns = jax.tree.map(
            lambda x: np.asarray(x)[:num_lanes], fetched
        )
        return {
            "status": np.asarray(STATUS_NAMES)[status],
            "residual": residual,
            "num_steps": num_steps,
            **self._without_non_answers(columns, status),
        }

    def _without_non_answers(
        self, columns: dict[str, np.ndarray], status: np.ndarray
    ) -> dict[str, np.ndarray]:
        if self._verify is None:
            return {}
        missing = [name for name in self._names if name not in columns]
        if missing:
            raise KeyError(f"verification returned no {', '.join(missing)}")
        codes = [STATUS_NAMES.index(name) for name in NO_ANSWER]
        empty = np.isin(status, codes)
        result = {}
        for name in self._names:
            values = columns[name]
            if values.dtype.kind == "f" and empty.any():
                values = values.copy()
                values[empty] = np.nan
            result[name] = values
        return result

    def _keys(self, rows: np.ndarray, replications: np.ndarray) -> PRNGKeyArray:
        points = self.group.points[rows]
        if self._run.common_keys:
            points = np.zeros_like(points)
        seed = np.uint32(self._run.seed)
        with precision_context("f32"):
            arguments = points.astype(np.uint32), replications.astype(np.uint32)
            return lane_keys(seed, *arguments)

    def _abstract(self, width: int) -> tuple[Any, Any, Any, Any]:
        """Return abstract solve inputs, solution, verify inputs and columns."""
        if width not in self._shapes:
            size = width * self.num_devices
            indices = np.zeros(size, np.uint32)
            keys = jax.eval_shape(lane_keys, np.uint32(0), indices, indices)
            inputs = (*_abstract_batch(self._batch, size), keys)
            with precision_context(self._run.precision):
                solution = self._solve.abstract_results(*inputs)
            arguments = columns = None
            if self._verify is not None:
                with precision_context("f64"):
                    arguments = (*_abstract_batch(self._exact, size), solution)
                    columns = self._verify.abstract_results(*arguments)
            self._shapes[width] = inputs, solution, arguments, columns
        return self._shapes[width]

    def _memory_bytes(self, width: int) -> int | None:
        """Return what the larger of the two calls needs, None if unknown."""
        inputs, _, arguments, _ = self._abstract(width)
        with precision_context(self._run.precision):
            needed = [self._solve.memory_bytes(*inputs)]
        if self._verify is not None:
            with precision_context("f64"):
                needed.append(self._verify.memory_bytes(*arguments))
        known = [size for size in needed if size is not None]
        return max(known) if len(known) == len(needed) else None


def precision_context(precision: str) -> Any:
    """Return a context in which floats are of this width, whatever the caller chose."""
    return jax.enable_x64(precision == "f64")


def memory_budget(num_sharing: int = 1) -> int | None:
    """Return the bytes a call may use on all local devices together.

    Args:
        num_sharing: processes that share the machine's memory.
    """
    devices = jax.local_devices()
    stats = [device.memory_stats() or {} for device in devices]
    limits = [s["bytes_limit"] for s in stats if "bytes_limit" in s]
    if limits:
        # Devices have their own memory, and nothing else runs on them.
        return int(2 * _MEMORY_SHARE * min(limits)) * len(devices)
    available = available_memory()
    return None if available is None else int(_MEMORY_SHARE * available / num_sharing)


@functools.partial(jax.jit, inline=True)
def lane_keys(
    seed: Int[Array, ""],
    points: Int[Array, " lanes"],
    replications: Int[Array, " lanes"],
) -> PRNGKeyArray:
    """Return `fold_in(fold_in(key(seed), point), replication)` for every lane."""
    base = jax.random.key(seed, impl="threefry2x32")

    def one(point: Int[Array, ""], replication: Int[Array, ""]) -> PRNGKeyArray:
        return jax.random.fold_in(jax.random.fold_in(base, point), replication)

    return jax.vmap(one)(points, replications)


def _build(grid: Grid, group: Group, precision: str) -> tuple[Any, Any]:
    """Build problems and solvers of a group, one per point, kept on the host."""
    spec, size = grid.spec, len(group.points)
    problem_numbers, solver_numbers = grid.numbers(group, group.points)
    with precision_context(precision):
        problem, solver = resolve(spec.entry.problem), resolve(spec.solver_entry.target)
        problems = make_batch(problem, size=size, **problem_numbers)
        solvers = make_batch(solver, size=size, **solver_numbers)
        solvers = solvers.prepare(problems)
    return jax.tree.map(_to_host, (problems, solvers))


def _to_host(leaf: Any) -> Any:
    return np.asarray(leaf) if isinstance(leaf, jax.Array) else leaf


def _take(batch: Any, rows: np.ndarray) -> Any:
    return jax.tree.map(lambda x: x[rows] if isinstance(x, np.ndarray) else x, batch)


def _abstract_batch(batch: Any, size: int) -> Any:
    def abstract(x: Any) -> Any:
        if not isinstance(x, np.ndarray):
            return x
        return jax.ShapeDtypeStruct((size, *x.shape[1:]), x.dtype)

    return jax.tree.map(abstract, batch)


def _verifier(
    verify: Callable[..., Any], arrays: tuple[str, ...]
) -> Callable[..., Any]:
    def verify_one(problem: Any, solver: Any, solution: Solution) -> dict[str, Array]:
        return verify(problem, solver, solution, arrays)

    return verify_one


def _evidence(solution: Solution) -> tuple[Array, Array, Array]:
    (status,) = jax.tree.leaves(solution.status)
    return status, solution.residual, solution.num_steps


def _num_bytes(tree: Any) -> int:
    leaves = [x for x in jax.tree.leaves(tree) if hasattr(x, "dtype")]
    # Keys have an extended dtype, which is all but itemsize-less to NumPy.
    return sum(math.prod(x.shape) * getattr(x.dtype, "itemsize", 8) for x in leaves)
