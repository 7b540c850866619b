"""Validation on the host, before any device or compiler sees a number.

Every check takes its subject as a keyword, so that the message can name it, and a
scalar or a column of values: one pass over a sweep reports every bad point.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


class InadmissibleError(ValueError):
    """A number breaks a rule. Carries what a caller needs to say where.

    Attributes:
        argument: the argument's name.
        rule: what it must satisfy, as a phrase that follows "must".
        value: the first offending value.
        bad_rows: indices along the leading axis that fail, for a column; None for
            a single value.
        num_rows: in that column.
    """

    def __init__(
        self,
        argument: str,
        rule: str,
        value: Any,
        bad_rows: Sequence[int] | None = None,
        num_rows: int | None = None,
    ) -> None:
        """Compose the one-line message."""
        self.argument, self.rule, self.value = argument, rule, value
        self.num_rows = num_rows
        self.bad_rows = None if bad_rows is None else tuple(int(i) for i in bad_rows)
        message = f"{argument} must {rule}; got {_show(value)}"
        if self.bad_rows is not None:
            message += f" (row {self.bad_rows[0]}"
            if len(self.bad_rows) > 1:
                message += f", and {len(self.bad_rows) - 1} more of {num_rows} rows"
            message += ")"
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel between processes by what it was made of, not by its message."""
        made_of = (self.argument, self.rule, self.value, self.bad_rows, self.num_rows)
        return type(self), made_of


def _show(value: Any) -> str:
    # Arrays of NumPy and jax alike, scalars included, show as plain numbers.
    return repr(value.tolist() if hasattr(value, "tolist") else value)


def check(
    rule: str,
    is_good: Callable[[np.ndarray], np.ndarray],
    *,
    ndim: int = 0,
    **subject: Any,
) -> None:
    """Raise `InadmissibleError` unless `is_good` holds for every row of the subject.

    Args:
        rule: the phrase after "must".
        is_good: maps an array with `ndim` trailing value axes to booleans of the same
            shape, or already reduced over the value axes.
        ndim: rank of one value (0 for a scalar, 1 for a list); a leading axis more
            makes it a column.
        subject: exactly one keyword, the argument's name and value.

    Raises:
        InadmissibleError: naming argument, rule, first bad value and rows.
    """
    ((name, value),) = subject.items()
    array = np.asarray(value)
    good = np.asarray(is_good(array))
    while good.ndim > max(array.ndim - ndim, 0):
        good = good.all(axis=-1)
    if good.all():
        return
    if good.ndim == 0:
        raise InadmissibleError(name, rule, value)
    (bad,) = np.nonzero(~good)
    raise InadmissibleError(name, rule, array[bad[0]], bad.tolist(), len(good))


def check_real(*, ndim: int = 0, **subject: Any) -> None:
    """Require finite real numbers (booleans and strings are not numbers)."""
    ((name, value),) = subject.items()
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise InadmissibleError(name, "be a number", value)
    check("be finite", np.isfinite, ndim=ndim, **subject)


def check_positive(*, ndim: int = 0, **subject: Any) -> None:
    """Require finite numbers above zero."""
    check_real(ndim=ndim, **subject)
    check("be greater than 0", lambda x: x > 0, ndim=ndim, **subject)


def check_nonnegative(*, ndim: int = 0, **subject: Any) -> None:
    """Require finite numbers at or above zero."""
    check_real(ndim=ndim, **subject)
    check("be at least 0", lambda x: x >= 0, ndim=ndim, **subject)


def check_integer(
    *, at_least: int | None = None, ndim: int = 0, **subject: Any
) -> None:
    """Require whole numbers of an integer type that fit 32 bits."""
    ((name, value),) = subject.items()
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise InadmissibleError(name, "be a whole number", value)
    limit = 2**31
    check("fit 32 bits", lambda x: (x >= -limit) & (x < limit), ndim=ndim, **subject)
    if at_least is not None:
        check(f"be at least {at_least}", lambda x: x >= at_least, ndim=ndim, **subject)


def check_static(**subjects: Any) -> None:
    """Require single values, not columns: static fields are shared by a batch."""
    for name, value in subjects.items():
        if np.ndim(value) > 0:
            raise InadmissibleError(name, "be one value for the whole batch", value)


def check_shape(shape: tuple[int | None, ...], **subjects: Any) -> None:
    """Require exact shapes, None for any length; valid under tracing too.

    What a converter could not make an array of is left for `validate` to name.
    """
    for name, value in subjects.items():
        if not hasattr(value, "shape"):
            continue
        found = np.shape(value)
        matches = len(found) == len(shape) and all(
            want is None or want == have
            for want, have in zip(shape, found, strict=True)
        )
        if not matches:
            wanted = "(" + ", ".join("any" if n is None else str(n) for n in shape)
            raise ValueError(f"{name} must have shape {wanted}); got {found}")


def check_each(
    rule: str,
    is_good: Callable[[np.ndarray], np.ndarray],
    *,
    ndim: int = 1,
    **subject: Any,
) -> None:
    """Require a rule of every number in lists, naming the first that breaks it.

    Args:
        rule: the phrase after "must".
        is_good: maps an array of numbers to booleans of its shape.
        ndim: rank of one value; a leading axis more makes it a column.
        subject: exactly one keyword, the argument's name and value.

    Raises:
        InadmissibleError: naming the argument with the number's position, as in
            "targets[2]", the rule, the number and the rows.
    """
    ((name, value),) = subject.items()
    array = np.asarray(value)
    if array.dtype.kind not in "iuf":
        raise InadmissibleError(name, "hold numbers", value)
    bad = ~is_good(array)
    if not bad.any():
        return
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    position = first[array.ndim - ndim :]
    argument = name + "".join(f"[{i}]" for i in position)
    if array.ndim == ndim:
        raise InadmissibleError(argument, rule, array[first])
    rows = np.flatnonzero(bad[(slice(None), *position)])
    raise InadmissibleError(argument, rule, array[first], rows.tolist(), len(array))
