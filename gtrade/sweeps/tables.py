"""Nested tables of a spec, such as `[[problem.firms]]`, as a model declares them."""

from typing import Any

from gtrade.catalog.base import Parameter
from gtrade.sweeps.complaints import Complaints, RuleError
from gtrade.sweeps.values import normalise


def normalise_tables(
    parameter: Parameter, value: Any, key: str, complaints: Complaints
) -> list[dict[str, Any]]:
    """Return a list of tables with every default filled in, values in their one form.

    Args:
        parameter: of type "table".
        value: what the spec holds.
        key: its dotted key, for messages.
        complaints: collects everything that is wrong.
    """
    if not isinstance(value, list) or not all(isinstance(x, dict) for x in value):
        complaints.add(key, "must be a list of tables", value)
        return []
    if not value:
        complaints.add(key, "must hold at least one table", value)
    return [
        _normalise_table(parameter, table, f"{key}.{position}", complaints)
        for position, table in enumerate(value)
    ]


def _normalise_table(
    parameter: Parameter, table: dict[str, Any], key: str, complaints: Complaints
) -> dict[str, Any]:
    names = [field.name for field in parameter.fields]
    for name in table:
        if name not in names:
            complaints.add_unknown(name, names, prefix=f"{key}.")
    result = {}
    for field in parameter.fields:
        where = f"{key}.{field.name}"
        if field.name not in table:
            if field.is_required:
                complaints.add(where, f"is required ({field.doc})")
            else:
                result[field.name] = field.default
        elif field.fields:
            result[field.name] = normalise_tables(
                field, table[field.name], where, complaints
            )
        else:
            try:
                result[field.name] = normalise(field, table[field.name])
            except RuleError as error:
                complaints.add_rule(where, error)
    return result
