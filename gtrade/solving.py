"""Solving one instance or a batch: with sweeps, the only owner of `jax.jit`."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from jaxtyping import PRNGKeyArray

from gtrade.problems.base import is_batch
from gtrade.solution import Solution
from gtrade.solvers.base import AbstractHostSolver, AbstractSolver, require_concrete

_ARRAY_TYPES = (jax.Array, np.ndarray, jax.ShapeDtypeStruct)


class LaneProgram:
    """A function of one instance, compiled for a batch over the local devices.

    Attributes:
        num_devices: devices that share a batch; its size must be a multiple.
        num_compilations: shapes (static structures) traced so far.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        num_devices: int | None = None,
        cpu_compiler_options: dict[str, Any] | None = None,
        cpu_block: int | None = None,
    ) -> None:
        """Set the program up; nothing is compiled yet.

        Args:
            function: takes pytrees of single instances, returns a pytree of arrays.
            num_devices: local devices to use; all if None.
            cpu_compiler_options: XLA options that pay on CPUs; left out elsewhere, and
                where this version of XLA does not know them.
            cpu_block: lanes that a CPU computes at a time, so that what lies between
                stays in its caches; all at once if None, and elsewhere.
        """
        devices = jax.local_devices()[:num_devices]
        self.num_devices = len(devices)
        self.num_compilations = 0
        mesh = jax.make_mesh(
            (len(devices),), ("lanes",), axis_types=(AxisType.Auto,), devices=devices
        )
        lanes = PartitionSpec("lanes")
        is_cpu = devices[0].platform == "cpu"
        block = cpu_block if is_cpu else None

        def call(arrays: Any, static: _Static) -> Any:
            self.num_compilations += 1  # tracing only

            def one(x: Any) -> Any:
                return function(*eqx.combine(x, static.value))

            num_lanes = len(jax.tree.leaves(arrays)[0]) // self.num_devices
            mapped = jax.vmap(one)
            if block is not None and num_lanes > block:
                mapped = functools.partial(jax.lax.map, one, batch_size=block)
            if self.num_devices > 1:
                mapped = jax.shard_map(
                    mapped, mesh=mesh, in_specs=lanes, out_specs=lanes, check_vma=False
                )
            return mapped(arrays)

        options = supported_options(cpu_compiler_options) if is_cpu else None
        self._jitted = jax.jit(call, static_argnums=1, compiler_options=options)
        self._sharding = NamedSharding(mesh, lanes) if self.num_devices > 1 else None

    def __call__(self, *args: Any) -> Any:
        """Run on pytrees whose array leaves carry a leading batch axis."""
        return self._jitted(*_split(args))

    def abstract_results(self, *args: Any) -> Any:
        """Return shapes, dtypes and placement of the results, computing nothing.

        The arguments may be abstract; a later call of the same shapes is not traced
        again.
        """
        results = self._jitted.eval_shape(*_split(args))
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self._sharding),
            results,
        )

    def memory_bytes(self, *args: Any) -> int | None:
        """Return what the compiled call needs, all devices together; None if unknown.

        The arguments may be abstract (`jax.ShapeDtypeStruct` leaves).
        """
        analysis = self._jitted.lower(*_split(args)).compile().memory_analysis()
        if analysis is None:
            return None
        parts = (
            analysis.temp_size_in_bytes,
            analysis.argument_size_in_bytes,
            analysis.output_size_in_bytes,
        )
        return sum(parts) * self.num_devices


class HostProgram:
    """What `LaneProgram` is, for solvers on the host: lanes are solved one by one."""

    def __call__(self, *args: Any, num_lanes: int | None = None) -> Solution:
        """Solve a batch.

        Args:
            args: problems, solvers and keys, with a leading batch axis; keys may be
                None.
            num_lanes: lanes to solve; those after them repeat the last one, and so do
                their solutions. All if None.

        Returns:
            The stacked solutions, in NumPy arrays.

        Raises:
            TypeError: under a transformation.
        """
        problems, solvers, keys = args
        require_concrete(solvers, problems, keys)
        size = _batch_size(problems)
        problems, solvers = jax.device_get((problems, solvers))
        solutions = []
        for lane in range(num_lanes or size):
            problem, solver, key = _take_lane((problems, solvers, keys), lane)
            solutions.append(solver.solve(problem, key=key))
        solutions += solutions[-1:] * (size - len(solutions))
        return jax.tree.map(lambda *leaves: np.stack(leaves), *solutions)

    def abstract_results(self, *args: Any) -> Any:
        """Return shapes and dtypes of the results, computing nothing.

        The arguments may be abstract.
        """

        def first(x: Any) -> Any:
            is_array = isinstance(x, _ARRAY_TYPES)
            return jax.ShapeDtypeStruct(x.shape[1:], x.dtype) if is_array else x

        problems, solvers, _ = args
        size = _batch_size(problems)
        solver = jax.tree.map(first, solvers)
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((size, *x.shape), x.dtype),
            solver.abstract_solution(jax.tree.map(first, problems)),
        )

    def memory_bytes(self, *args: Any) -> int:
        """Return the size of the results: of a solve, one lane is there at a time."""
        leaves = jax.tree.leaves(self.abstract_results(*args))
        return sum(x.size * x.dtype.itemsize for x in leaves)


def _batch_size(problems: Any) -> int:
    return next(x.shape[0] for x in jax.tree.leaves(problems) if hasattr(x, "shape"))


def _take_lane(batch: Any, lane: int) -> Any:
    return jax.tree.map(
        lambda x: x[lane] if isinstance(x, jax.Array | np.ndarray) else x, batch
    )


class _Static:
    """The leaves of a pytree that are not arrays, as one hashable value."""

    def __init__(self, value: Any) -> None:
        self.value = value
        leaves, structure = jax.tree.flatten(value)
        self._identity = (tuple(leaves), structure)

    def __hash__(self) -> int:
        return hash(self._identity)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Static) and self._identity == other._identity


def _split(args: Any) -> tuple[Any, _Static]:
    arrays, static = eqx.partition(args, lambda x: isinstance(x, _ARRAY_TYPES))
    return arrays, _Static(static)


def supported_options(options: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return those compiler options that XLA takes, None if there are none.

    They are debug options of XLA, worth a factor of several and free to disappear.
    """
    found = {k: v for k, v in (options or {}).items() if _is_supported(k, v)}
    return found or None


@functools.cache
def _is_supported(name: str, value: Any) -> bool:
    identity = jax.jit(lambda x: x + 1, compiler_options={name: value})
    try:
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            identity(np.zeros((), np.float32))
    except Exception:  # XLA names its errors differently from version to version
        return False
    return True


def solve(
    problem: Any, solver: AbstractSolver, *, key: PRNGKeyArray | None = None
) -> Solution:
    """Solve one instance, compiled.

    Args:
        problem: one problem.
        solver: a solver that fits it.
        key: source of randomness, for solvers that need one.

    Returns:
        The solver's solution, without a leading axis.
    """
    single = (problem, solver.prepare(problem), key)
    batch = jax.tree.map(lambda x: x[None] if isinstance(x, jax.Array) else x, single)
    solution = _program_of(batch[1], batch[0])(*batch)
    return jax.tree.map(lambda x: jnp.asarray(x[0]), solution)


def solve_batch(
    problems: Any, solvers: AbstractSolver, *, keys: PRNGKeyArray | None = None
) -> Solution:
    """Solve instance i of `problems` with instance i of `solvers`, on one device.

    Args:
        problems: from `make_batch`.
        solvers: from `make_batch`, or a single solver for all.
        keys: one key an instance, for solvers that need one.

    Returns:
        A solution whose leaves carry the batch axis.
    """
    if not is_batch(problems):
        raise ValueError("problems must be a batch (`gtrade.make_batch`), or use solve")
    size = len(jax.tree.leaves(problems)[0])
    if size == 0:
        raise ValueError("problems must hold at least one problem; got an empty batch")
    solvers = share_among(solvers.prepare(problems), size)
    for name, module in (("solvers", solvers), ("keys", keys)):
        lengths = {len(x) for x in jax.tree.leaves(module) if hasattr(x, "shape")}
        if not lengths <= {size}:
            rule = f"{name} must have one entry for each of {size} problems"
            raise ValueError(f"{rule}; got {min(lengths - {size})}")
    program = _program_of(solvers, problems)
    return jax.tree.map(jnp.asarray, program(problems, solvers, keys))


def share_among(module: Any, size: int) -> Any:
    """Give a single module a batch axis; one that has it is returned as it is."""
    if is_batch(module):
        return module
    return jax.tree.map(
        lambda x: (
            jnp.broadcast_to(x, (size, *x.shape)) if isinstance(x, jax.Array) else x
        ),
        module,
    )


def make_program(
    solver: AbstractSolver, problems: Any, num_devices: int
) -> LaneProgram | HostProgram:
    """Return what solves (problems, solvers, keys).

    Args:
        solver: one, or a batch; of its numbers none is read.
        problems: one, or a batch, of the shapes to come.
        num_devices: local devices to use.
    """
    return _make_program(*_kind(solver, problems), num_devices)


def _make_program(
    solver: type[AbstractSolver],
    options: tuple[tuple[str, Any], ...],
    num_devices: int,
) -> LaneProgram | HostProgram:
    if issubclass(solver, AbstractHostSolver):
        return HostProgram()

    def solve_one(problem, solver, key):
        return solver.solve(problem, key=key)

    return LaneProgram(
        solve_one,
        num_devices=num_devices,
        cpu_compiler_options=dict(options),
        cpu_block=solver.cpu_block,
    )


_kept_program = functools.cache(_make_program)


def _program_of(solver: AbstractSolver, problems: Any) -> LaneProgram | HostProgram:
    return _kept_program(*_kind(solver, problems), 1)


def _kind(solver: AbstractSolver, problems: Any) -> tuple[Any, Any]:
    """Return what a program depends on besides devices, hashable: class and options."""
    options = solver.cpu_compiler_options(problems)
    return type(solver), tuple(sorted(options.items()))
