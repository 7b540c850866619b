"""What a problem is, and how columns of numbers become a batch of problems."""

import abc
import dataclasses
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

import equinox as eqx
import jax
import numpy as np
from jax.core import Tracer

Model = TypeVar("Model", bound=eqx.Module)


@dataclasses.dataclass(frozen=True, eq=False)
class Column:
    """Values of one number within nested tables, one for each instance of a batch."""

    values: np.ndarray


class AbstractProblem(eqx.Module):
    """One instance of a model: a scalar has shape (), never a batch axis."""

    @classmethod
    @abc.abstractmethod
    def validate(cls, **numbers: Any) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""

    def __check_init__(self) -> None:
        """Check the values of a concrete instance; traced ones pass."""
        validate_if_concrete(self)


def validate_if_concrete(module: Any) -> None:
    """Run `module.validate` on its own fields unless one of them is traced."""
    numbers = {f.name: getattr(module, f.name) for f in dataclasses.fields(module)}
    leaves = jax.tree.leaves(numbers)
    if not any(isinstance(x, Tracer) for x in leaves):
        type(module).validate(**numbers)


def field_rank(field: dataclasses.Field) -> int | None:
    """Return the declared rank of an array field, None for a static field."""
    if field.metadata.get("static", False):
        return None
    for declared in (field.type, *typing.get_args(field.type)):
        dims = getattr(declared, "dims", None)
        if dims is not None:
            return len(dims)
    raise TypeError(f"field {field.name!r} declares no array shape")


def is_batch(module: Any) -> bool:
    """Return whether the array fields carry an axis beyond their declared rank."""
    for field in dataclasses.fields(module):
        rank, value = field_rank(field), getattr(module, field.name)
        if rank is not None and isinstance(value, jax.Array):
            return value.ndim > rank
    return False


def replace_fields(module: Model, **values: Any) -> Model:
    """Return a copy with some fields replaced, single instance or batch alike.

    `dataclasses.replace` would run the checks of a single instance on a batch.
    """
    copy = object.__new__(type(module))
    for field in dataclasses.fields(module):
        value = values.pop(field.name, getattr(module, field.name))
        object.__setattr__(copy, field.name, value)
    if values:
        raise TypeError(f"{type(module).__name__} has no field {next(iter(values))!r}")
    return copy


def split_columns(
    model: type, numbers: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Separate columns (one axis more than declared) from values that are shared."""
    ranks: dict[str, Any] = {f.name: field_rank(f) for f in dataclasses.fields(model)}
    special: Any = getattr(model, "argument_ranks", {})  # arguments that are no fields
    if callable(special):
        special = special(numbers)
    ranks |= dict(special)
    columns, shared = {}, {}
    for name, value in numbers.items():
        rank = ranks.get(name)
        is_text = isinstance(value, str)  # a named rule in place of a number
        if rank is not None and not is_text and np.ndim(value) == rank + 1:
            columns[name] = np.asarray(value)
        else:
            shared[name] = value
    return columns, shared


def make_batch(model: type[Model], *, size: int | None = None, **numbers: Any) -> Model:
    """Build a batch of problems (or solvers) from columns.

    Args:
        model: the class to build.
        size: number of instances; needed only when no argument is a column.
        numbers: the class's arguments. A column has one axis more than its field
            declares; everything else is shared by every instance.

    Returns:
        One module whose array leaves carry a leading batch axis.

    Raises:
        ValueError: for inadmissible numbers, naming argument, rule, value and row,
            or columns of unequal length.
    """
    validate = getattr(model, "validate", None)
    if validate is not None:
        validate(**numbers)
    columns, shared = split_columns(model, numbers)
    lengths = {name: len(column) for name, column in columns.items()}
    if size is not None:
        lengths["size"] = size
    if len(set(lengths.values())) > 1:
        raise ValueError(f"columns must have one length; got {lengths}")
    if not lengths:
        raise ValueError("give at least one column, or `size`")
    (num_rows,) = set(lengths.values())
    rows = np.arange(num_rows)  # so that a batch without columns is still a batch
    build = eqx.filter_vmap(lambda _, row: model(**shared, **row))
    return build(rows, columns)
