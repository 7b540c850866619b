"""Verification from Python: the evidence of any model, without its details."""

import functools
from typing import Any

import jax
import numpy as np

from gtrade.catalog import MODELS, get_model
from gtrade.catalog.base import resolve
from gtrade.problems.base import is_batch
from gtrade.solution import Solution
from gtrade.solving import LaneProgram, share_among


def verify(
    problems: Any,
    solution: Solution,
    *,
    solver: Any = None,
    arrays: tuple[str, ...] = (),
) -> dict[str, np.ndarray]:
    """Measure how good a solution is, in float64 and apart from the solver.

    Args:
        problems: one problem, or a batch.
        solution: what `gtrade.solve` or `gtrade.solve_batch` returned for it.
        solver: what produced it; lets the evidence use another oracle than the solver
            did, where there are two. Its numbers are not trusted.
        arrays: names of larger results wanted besides (`gtrade models NAME`).

    Returns:
        The model's columns by name, with the batch axis if there is one; NaN where the
        solver had no answer. The numbers are those that the problem holds: a kappa
        of 0.1 in float32 is verified as that float32 number.

    Raises:
        TypeError: if no model of the catalog has such problems.
    """
    target = _verifier(type(problems))
    is_single = not is_batch(problems)
    if is_single:
        problems, solution = jax.tree.map(lambda x: x[None], (problems, solution))
    size = len(jax.tree.leaves(problems)[0])
    with jax.enable_x64(True):
        exact = _widen(problems)
        if solver is not None:
            solver = share_among(_widen(solver.prepare(problems)), size)
        row = _program(target, tuple(arrays))(exact, solver, solution)
        columns = {name: np.asarray(value) for name, value in row.items()}
    return {name: x[0] for name, x in columns.items()} if is_single else columns


def _verifier(problem: type) -> str:
    for name in MODELS:
        entry = get_model(name)
        if resolve(entry.problem) is problem:
            return entry.verify
    raise TypeError(f"no model of the catalog has problems of type {problem.__name__}")


def _widen(module: Any) -> Any:
    def widen(x: Any) -> Any:
        is_float = isinstance(x, jax.Array) and jax.numpy.issubdtype(
            x.dtype, jax.numpy.floating
        )
        return x.astype(jax.numpy.float64) if is_float else x

    return jax.tree.map(widen, module)


@functools.cache
def _program(target: str, arrays: tuple[str, ...]) -> LaneProgram:
    function = resolve(target)

    def verify_one(problem, solver, solution):
        return function(problem, solver, solution, arrays)

    return LaneProgram(verify_one, num_devices=1)
