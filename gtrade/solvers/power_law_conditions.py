"""What both solvers of power-law position building check their answers against."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gtrade._checks import InadmissibleError
from gtrade.problems.power_law_position import PowerLawPosition, SampledPaths
from gtrade.solution import Solution, Status


def check_balance(user: str, problem: Mapping[str, Any]) -> None:
    """Refuse targets that cancel where nobody can trade against a total rate of zero.

    Args:
        user: name of the solver.
        problem: its numbers by name, scalars or columns.

    Raises:
        InadmissibleError: naming the first such targets.
    """
    targets = np.asarray(problem["targets"], np.float64)
    exponent = np.asarray(problem["exponent"], np.float64)
    smoothing = np.asarray(problem.get("smoothing", 0.0), np.float64)
    largest = np.abs(targets).max(axis=-1)
    rounding = 1e-15 * targets.shape[-1] * largest
    bad = (
        (np.abs(targets.sum(axis=-1)) <= rounding)
        & (largest > 0)
        & (exponent != 1)
        & (smoothing == 0)
    )
    if not bad.any():
        return
    rule = (
        f"not cancel in total for {user} where exponent is not 1 and smoothing is 0:"
        " nobody can trade against a total rate of zero"
    )
    raise refuse_rows("targets", rule, targets, bad)


def refuse_rows(
    name: str, rule: str, values: np.ndarray, bad: np.ndarray
) -> InadmissibleError:
    """Return an error that names the first bad value of a list, or column of lists."""
    if bad.ndim == 0:
        return InadmissibleError(name, rule, values)
    rows = np.flatnonzero(bad)
    value = values[rows[0]] if values.ndim > 1 else values
    return InadmissibleError(name, rule, value, rows.tolist(), len(bad))


def sample_times(
    game: PowerLawPosition, num_points: int
) -> Float[Array, " num_points"]:
    """Return equally spaced times of [0, 1] in the game's precision."""
    return jnp.arange(num_points, dtype=game.targets.dtype) / (num_points - 1)


def violation(
    game: PowerLawPosition,
    positions: Float[Array, "firms times"],
    rates: Float[Array, "firms times"],
) -> Float[Array, ""]:
    """Return by how much first- and second-order conditions are missed, relative.

    First: `marginal_spread`. Second: how far a firm's cost is from convex around its
    rate, relative to 2 h'; zero where it is convex.
    """
    first = game.marginal_spread(positions, rates)
    ratio = game.curvature_ratio(rates.sum(axis=0)[None], rates)
    return jnp.maximum(first, jnp.maximum(-ratio.min(), 0))


def judge(
    paths: SampledPaths,
    status: Status,
    residual: Float[Array, ""],
    num_steps: Int[Array, ""],
    is_valid: Bool[Array, ""],
) -> Solution[SampledPaths]:
    """Return the solution, or one without numbers for an inadmissible instance."""
    status = Status.where(jnp.isnan(residual), Status.nonfinite, status)
    status = Status.where(is_valid, status, Status.invalid_input)
    paths, residual = jax.tree.map(
        lambda x: jnp.where(is_valid, x, jnp.nan), (paths, residual)
    )
    return Solution(paths, status, residual, jnp.where(is_valid, num_steps, 0))
