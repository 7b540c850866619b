"""What a Monte Carlo solver returns: an answer, and what simulation says about it."""

from typing import Any, Generic, TypeVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

Answer = TypeVar("Answer")


class Simulated(eqx.Module, Generic[Answer]):
    """An answer with estimates of its numbers from simulated paths.

    Attributes:
        answer: what the model's closed form returns.
        mean: estimates by column name; their shapes are those of the columns.
        standard_error: of the estimates.
    """

    answer: Answer
    mean: dict[str, Float[Array, "..."]]
    standard_error: dict[str, Float[Array, "..."]]


def answer_of(value: Any) -> Any:
    """Return the answer within a solution's value, simulated or not."""
    return value.answer if isinstance(value, Simulated) else value


def simulated_columns(value: Any) -> dict[str, Array]:
    """Return columns `<name>_mc` and `<name>_se` in float64, none if not simulated."""
    if not isinstance(value, Simulated):
        return {}
    columns = {}
    for name, mean in value.mean.items():
        columns[f"{name}_mc"] = mean.astype(jnp.float64)
        columns[f"{name}_se"] = value.standard_error[name].astype(jnp.float64)
    return columns
