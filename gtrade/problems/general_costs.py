"""What takes a trading game beyond linear prices in one box, and who refuses it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from gtrade._checks import InadmissibleError, check_integer

_NUMBERS = ("temporary_exponent", "fixed_fee")
_LIMITS = ("min_trade", "max_trade")


def as_limit(limit: Any, horizon: Any) -> Any:
    """Return limits per step as a tuple, and one that all steps share as a number."""
    if not _is_list(limit):
        return limit
    values = _entries(limit)
    is_shared = len(values) == horizon and all(x == values[0] for x in values)
    return values[0] if is_shared and values else values


def limits_per_step(horizon: int, **subject: Any) -> np.ndarray:
    """Check a trade limit and return it for every step, shape (horizon,), int64.

    Args:
        horizon: number of steps.
        subject: exactly one keyword, the argument's name and value.

    Raises:
        InadmissibleError: unless it is a whole number, or a list of one per step.
    """
    ((name, value),) = subject.items()
    if not _is_list(value):
        check_integer(**subject)
        return np.full(int(horizon), value, np.int64)
    values = _entries(value)
    if len(values) != horizon or {type(x) for x in values} != {int}:
        rule = f"be a whole number, or a list of one for each of {horizon} steps"
        raise InadmissibleError(name, rule, value)
    check_integer(ndim=1, **subject)
    return np.asarray(values, np.int64)


def general_arguments(numbers: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the arguments that make a game of these numbers general."""
    given = [name for name in _NUMBERS if numbers.get(name) is not None]
    horizon = numbers.get("horizon")
    given += [x for x in _LIMITS if _is_list(as_limit(numbers.get(x), horizon))]
    return tuple(given)


def check_linear(user: str, numbers: Mapping[str, Any]) -> None:
    """Refuse the numbers of a general game, naming the first of them.

    Args:
        user: what needs linear prices, no fees and one box for all steps.
        numbers: of the game by name, scalars or columns.

    Raises:
        InadmissibleError: for that argument.
    """
    for name in general_arguments(numbers):
        value = numbers[name]
        if name in _LIMITS:
            rule = f"be one number for all steps with {user}"
        else:
            rule = f"be left out with {user}, which plays linear prices without fees"
            value = np.asarray(value)[0] if np.ndim(value) else value
        raise InadmissibleError(name, rule, value)


def require_linear(user: str, game: Any) -> None:
    """Raise ValueError for a general game, also where its numbers are traced."""
    names = general_arguments(vars(game))
    if names:
        raise ValueError(
            f"{user} needs a game with linear prices, without fees and with one box of"
            f" trade limits for all steps; this one has {' and '.join(names)}"
        )


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple) or getattr(value, "ndim", 0) > 0


def _entries(values: Any) -> tuple[Any, ...]:
    return tuple(x.item() if hasattr(x, "item") else x for x in values)
