"""Simulation from Python: compiled, on all cores of a CPU, with progress."""

import collections
import concurrent.futures
import functools
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from gtrade._checks import InadmissibleError, check_integer
from gtrade.simulation import monte_carlo, order_statistics
from gtrade.simulation.monte_carlo import Estimates, Moments
from gtrade.simulation.order_statistics import Quantiles
from gtrade.simulation.samplers import AbstractSampler
from gtrade.solvers.monte_carlo import CPU_OPTIONS
from gtrade.solving import supported_options

# Paths that one call computes: seconds on a CPU, and a multiple of every chunk.
_PIECE = 2**22


def estimate(
    sampler: AbstractSampler,
    *,
    key: PRNGKeyArray,
    num_paths: int,
    joint: tuple[str, ...] = (),
    progress: Callable[[int, int], Any] | None = None,
) -> Estimates:
    """Estimate means and variances of a sampler's outcomes, with standard errors.

    Paths are simulated in pieces, on a CPU as many at a time as it has cores. Neither
    memory nor the answer depends on how many cores there are.

    Args:
        sampler: what to simulate.
        key: source of randomness; with the same key more paths add to fewer.
        num_paths: from 2 to 2^32 - 1.
        joint: scalar outcomes whose covariances are wanted.
        progress: called with paths done and paths in all after each piece.

    Raises:
        ValueError: if the number of paths is not admissible.
    """
    _check_num_paths(num_paths)
    num_paths = int(num_paths)
    begin, advance, merge, finish = _programs(joint)
    start = begin(sampler, key)
    bounds = [*range(0, num_paths, _PIECE), num_paths]
    first = _as_bound(bounds[0])
    compiled = advance.lower(sampler, key, start, first, first).compile()

    def run(piece: int) -> Moments:
        ends = _as_bound(bounds[piece]), _as_bound(bounds[piece + 1])
        return jax.block_until_ready(compiled(sampler, key, start, *ends))

    total = start
    with concurrent.futures.ThreadPoolExecutor(_num_threads()) as pool:
        pieces = collections.deque(pool.submit(run, i) for i in range(len(bounds) - 1))
        try:
            for done in bounds[1:]:
                # Pieces are let go of once they are added: memory does not grow.
                total = merge(total, pieces.popleft().result())
                if progress is not None:
                    progress(done, num_paths)
        finally:  # an interrupt does not wait for pieces that have not begun
            pool.shutdown(wait=False, cancel_futures=True)
    return finish(total)


def estimate_quantiles(
    sampler: AbstractSampler,
    *,
    key: PRNGKeyArray,
    num_paths: int,
    name: str,
    levels: ArrayLike,
) -> Quantiles:
    """Return exact sample quantiles of one outcome, and means beyond them.

    Args:
        sampler: what to simulate.
        key: source of randomness; the same key gives the same paths as `estimate`.
        num_paths: from 2 to 2^31 - 1.
        name: of the outcome, one number a path.
        levels: probabilities in (0, 1), shape (levels,).

    Raises:
        ValueError: if the number of paths or a level is not admissible.
    """
    check_integer(num_paths=num_paths, at_least=2)
    shares = jnp.asarray(levels)
    if shares.ndim != 1 or not ((shares > 0) & (shares < 1)).all():
        rule = "be a list of probabilities between 0 and 1"
        raise InadmissibleError("levels", rule, levels)
    return _quantile_program(name)(sampler, key, num_paths, shares)


def _check_num_paths(num_paths: Any) -> None:
    is_whole = isinstance(num_paths, int | np.integer)
    is_whole = is_whole and not isinstance(num_paths, bool)
    if not is_whole or not 2 <= num_paths < 2**32:
        rule = "be a whole number from 2 to 2^32 - 1"
        raise InadmissibleError("num_paths", rule, num_paths)


def _as_bound(number: int) -> Array:
    return jnp.asarray(number, jnp.uint32)


def _num_threads() -> int:
    """Return how many pieces to compute at a time: one a core, one on a GPU."""
    if jax.default_backend() != "cpu":
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def _programs(joint: tuple[str, ...]) -> tuple[Any, Any, Any, Any]:
    def advance(sampler, key, start, first, stop):
        return monte_carlo.advance(
            sampler, key, monte_carlo.at(start, first), stop, joint=joint
        )

    is_cpu = jax.default_backend() == "cpu"
    options = supported_options(CPU_OPTIONS) if is_cpu else None
    return (
        jax.jit(functools.partial(monte_carlo.begin, joint=joint)),
        jax.jit(advance, compiler_options=options),
        jax.jit(monte_carlo.merge),
        jax.jit(functools.partial(monte_carlo.finish, joint=joint)),
    )


@functools.cache
def _quantile_program(name: str) -> Any:
    def run(
        sampler: AbstractSampler,
        key: PRNGKeyArray,
        count: Array,
        levels: Float[Array, " n"],
    ) -> Quantiles:
        return order_statistics.estimate_quantiles(
            sampler, key, count, name=name, levels=levels
        )

    return jax.jit(run)
