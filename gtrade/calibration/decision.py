"""What uncertain numbers mean for a decision: bands, and what knowing them is worth."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Int

from gtrade._arrays import as_float
from gtrade._checks import InadmissibleError
from gtrade.solution import SUCCESS_NAMES


@dataclasses.dataclass(frozen=True)
class Bands:
    """How a result spreads over draws.

    Attributes:
        probabilities: of the quantiles.
        quantiles: of the result, shape (probabilities, ...).
        mean: over the draws, shape (...).
        num_draws: that had an answer.
        num_left_out: that had none.
        group: values of the other swept keys, by key.
    """

    probabilities: tuple[float, ...]
    quantiles: np.ndarray
    mean: np.ndarray
    num_draws: int
    num_left_out: int
    group: dict[str, Any]


def bands(
    table: Any,
    name: str,
    probabilities: Sequence[float] = (0.025, 0.5, 0.975),
    by: Sequence[str] = (),
) -> list[Bands]:
    """Return quantiles over draws of a column or kept array of a finished run.

    Args:
        table: what `gtrade.load` returns, or any mapping of columns with a `status`.
        name: of the column, such as "expected_costs", or of the array, "schedules".
        probabilities: of the quantiles, in [0, 1].
        by: keys that are swept besides the draws; each of their values has bands.

    Returns:
        One for each combination of the values in `by`, in order of coming.

    Raises:
        ValueError: for a probability outside [0, 1], or a result whose shape is not
            the same in every row of a group.
    """
    probabilities = tuple(float(p) for p in probabilities)
    for p in probabilities:
        if not 0 <= p <= 1:
            raise InadmissibleError("probabilities", "lie between 0 and 1", p)
    values = table[name]
    is_answered = np.isin(np.asarray(table["status"]), SUCCESS_NAMES)
    columns = [list(table[key]) for key in by]
    rows: dict[str, list[int]] = {}
    for row in range(len(is_answered)):
        label = repr([np.asarray(column[row]).tolist() for column in columns])
        rows.setdefault(label, []).append(row)
    found = []
    for members in rows.values():
        good = [row for row in members if is_answered[row]]
        group = {
            key: column[members[0]] for key, column in zip(by, columns, strict=True)
        }
        if not good:
            where = f" for {group}" if group else ""
            raise InadmissibleError("table", f"hold an answer{where}", "none")
        shapes = {np.shape(values[row]) for row in good}
        if len(shapes) > 1:
            rule = "have one shape in all rows of a group; name in `by` what decides it"
            raise InadmissibleError(name, rule, sorted(shapes))
        array = np.stack([np.asarray(values[row], np.float64) for row in good])
        found.append(
            Bands(
                probabilities,
                np.quantile(array, probabilities, axis=0),
                array.mean(axis=0),
                len(good),
                len(members) - len(good),
                group,
            )
        )
    return found


class ValueOfInformation(eqx.Module):
    """What it would save to know the numbers before deciding.

    Attributes:
        value: expected cost of the decision that is best on average, less that of the
            best decision for each draw: never below zero, shape ().
        expected_costs: of every decision, NaN where it has no cost for a draw, shape
            (decisions,).
        perfect_cost: expected cost of deciding after the draw is known, shape ().
        regrets: `expected_costs - perfect_cost`, never below zero, shape (decisions,).
        best: the decision that is best on average; -1 if there is none, shape ().
        num_left_out: draws for which no decision has a cost, shape ().
    """

    value: Float[Array, ""]
    expected_costs: Float[Array, " decisions"]
    perfect_cost: Float[Array, ""]
    regrets: Float[Array, " decisions"]
    best: Int[Array, ""]
    num_left_out: Int[Array, ""]


def value_of_information(
    costs: ArrayLike, weights: ArrayLike | None = None
) -> ValueOfInformation:
    """Return the value of perfect information about what was drawn.

    All NaN where no draw has a cost. The value is exact where the decisions include the
    best one for every draw and the best one on average, as those of
    `gtrade.calibration.decision_costs` do; other decisions give a bound from below.

    Args:
        costs: of every decision under every draw, NaN or infinite for none, shape
            (decisions, draws).
        weights: probabilities of the draws, up to a factor; equal if left out, shape
            (draws,).
    """
    costs = as_float(costs)
    dtype = costs.dtype
    if weights is None:
        weights = jnp.ones(costs.shape[1], dtype)
    weights = as_float(weights).astype(dtype)
    has_cost = jnp.isfinite(costs)
    is_used = has_cost.any(axis=0) & (weights > 0)
    share = jnp.where(is_used, weights, 0)
    share = share / jnp.where(is_used.any(), share.sum(), 1)
    is_choice = (has_cost | ~is_used[None]).all(axis=1) & is_used.any()
    least = jnp.where(has_cost, costs, jnp.inf).min(axis=0)
    least = jnp.where(is_used, least, 0)
    # Differences first, so that a value is never below zero by rounding.
    above = jnp.where(is_used[None] & has_cost, costs - least[None], 0)
    regrets = (above * share[None]).sum(axis=1)
    perfect = jnp.where(is_used.any(), (least * share).sum(), jnp.nan)
    chosen = jnp.argmin(jnp.where(is_choice, regrets, jnp.inf))
    regrets = jnp.where(is_choice, regrets, jnp.nan)
    is_open = is_choice.any()
    return ValueOfInformation(
        value=jnp.where(is_open, regrets[chosen], jnp.nan),
        expected_costs=perfect + regrets,
        perfect_cost=perfect,
        regrets=regrets,
        best=jnp.where(is_open, chosen, -1).astype(jnp.int32),
        num_left_out=(~has_cost.any(axis=0)).sum(dtype=jnp.int32),
    )
