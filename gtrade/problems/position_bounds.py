"""Bounds on positions: polynomials in time that leave room for a path."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gtrade._checks import InadmissibleError
from gtrade.problems.types import firm_of_type

_ROUNDING = 1e-9  # relative to the largest bound or target


def has_room(
    lower: Float[Array, "types times"],
    upper: Float[Array, "types times"],
    targets: Float[Array, " types"],
) -> Bool[Array, ""]:
    """Return whether bounds at times from 0 to 1 admit a path; traceable."""
    slack = 1e-5 * (1 + jnp.max(jnp.abs(targets)))
    good = (lower <= upper + slack).all()
    good &= (lower[:, 0] <= slack).all() & (upper[:, 0] >= -slack).all()
    good &= (lower[:, -1] <= targets + slack).all()
    return good & (upper[:, -1] >= targets - slack).all()


def check_bounds(
    num_types: tuple[int, ...], targets: Any, lower: Any, upper: Any
) -> None:
    """Require bounds that leave room for a path from 0 to every type's target."""
    firms = np.asarray(firm_of_type(num_types))
    targets = np.asarray(targets, np.float64)
    sides: dict[str, np.ndarray] = {}
    given = [np.abs(targets).max(initial=0)]
    for side in (lower, upper):
        values = np.asarray([] if side is None else side, np.float64)
        given.append(np.abs(values[np.isfinite(values)]).max(initial=0))
    rounding = _ROUNDING * max(given)
    for name, side, sign in (("lower", lower, -1.0), ("upper", upper, 1.0)):
        if side is None:
            continue
        sides[name] = at = _bound_values(name, side, len(num_types))
        word = "most" if sign < 0 else "least"
        rule = f"be at {word} 0 at time 0, where positions start"
        _check_firms(name, rule, sign * at[..., 0] >= -rounding, side)
        room = sign * (at[..., firms, -1] - targets) >= -rounding
        room = np.stack(
            [room[..., firms == f].all(axis=-1) for f in range(len(num_types))], -1
        )
        _check_firms(
            name, f"be at {word} every target of the firm at time 1", room, side
        )
    if len(sides) == 2:
        room = (sides["upper"] >= sides["lower"]).all(axis=-1)
        _check_firms("upper", "be at least lower at all times", room, upper)


def _bound_values(name: str, side: Any, num_firms: int) -> np.ndarray:
    """Return a bound on a grid of times, shape (..., firms, times)."""
    array = np.asarray(side)
    if array.dtype.kind not in "iuf":
        raise InadmissibleError(name, "be numbers", side)
    if array.ndim not in (2, 3) or array.shape[-2] != num_firms:
        rule = f"have coefficients for each of {num_firms} firms"
        raise InadmissibleError(name, rule, side)
    array = array.astype(np.float64)
    _check_firms(name, "not be NaN", ~np.isnan(array).any(axis=-1), side)
    constant, rest = array[..., :1], array[..., 1:]
    _check_firms(
        name,
        "have finite coefficients of t, t^2, ...",
        np.isfinite(rest).all(axis=-1),
        side,
    )
    times = np.linspace(0.0, 1.0, 129)
    powers = times[None, :] ** np.arange(1, array.shape[-1])[:, None]
    return constant + rest @ powers


def _check_firms(name: str, rule: str, good: Any, side: Any) -> None:
    """Require what holds or not for every firm (last axis), with rows before it."""
    if good.all():
        return
    values = np.asarray(side)
    *row, firm = (int(i) for i in np.argwhere(~good)[0])
    value = (
        values[(*row, firm)] if values.ndim == len(row) + 2 else values[..., firm, :]
    )
    rows = None if not row else np.flatnonzero(~good[:, firm]).tolist()
    count = None if not row else len(good)
    raise InadmissibleError(f"{name}[{firm}]", rule, value, rows, count)
