"""What every solver returns: a value, why it stopped, and what it cost."""

from typing import Generic, TypeVar

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

Value = TypeVar("Value")


class Status(eqx.Enumeration):
    """Why a solver stopped: one vocabulary for the whole package."""

    converged = "The residual met the tolerance."
    completed = "A fixed amount of work was done (learners, simulations)."
    degenerate = "A limiting case was answered by its limit (see the model's page)."
    cycled = "The dynamics returned to an earlier state."
    max_steps_reached = "The step limit was reached before the residual met `tol`."
    stalled = "No further progress; the gap reached is in `residual`."
    nonfinite = "A non-finite residual appeared during the solve."
    invalid_input = "The numbers of this instance are not admissible."


STATUS_NAMES = (
    "converged",
    "completed",
    "degenerate",
    "cycled",
    "max_steps_reached",
    "stalled",
    "nonfinite",
    "invalid_input",
)
SUCCESS_NAMES = ("converged", "completed", "degenerate")


class Solution(eqx.Module, Generic[Value]):
    """A solver's answer. It does not hold its problem.

    Attributes:
        value: the model's answer, a pytree.
        status: why the solver stopped.
        residual: the quantity that was driven to zero, shape (); why the loop
            stopped, not evidence (that is what `gtrade.verification` is for).
        num_steps: steps taken, shape ().
    """

    value: Value
    status: Status
    residual: Float[Array, ""]
    num_steps: Int[Array, ""]


def status_names(status: Status) -> np.ndarray:
    """Return the member names of a status, with the batch shape of the status."""
    (codes,) = jax.tree.leaves(status)
    return np.asarray(np.asarray(STATUS_NAMES)[np.asarray(codes)])


def is_success(status: Status) -> np.ndarray:
    """Return where a status counts as an answer, with the batch shape."""
    return np.isin(status_names(status), SUCCESS_NAMES)


def has_value(status: Status) -> Bool[Array, "..."]:
    """Return where a solution's value may be read, answer or not; traceable."""
    return (status != Status.invalid_input) & (status != Status.nonfinite)


def raise_unless_converged(solution: Solution) -> None:
    """Raise on the host if any instance has no answer.

    Raises:
        RuntimeError: naming the first bad index, its status and its residual.
    """
    good = is_success(solution.status)
    if good.all():
        return
    index = tuple(int(i) for i in np.argwhere(~good)[0])
    name = str(status_names(solution.status)[index])
    residual = np.asarray(solution.residual)[index]
    where = f"instance {', '.join(map(str, index))}" if index else "the instance"
    raise RuntimeError(
        f"{where} ended as {name!r} with residual {residual:.3g}"
        f" ({(~good).sum()} of {good.size} without an answer)"
    )
