"""`--set key=value`: changes to a spec from the command line."""

import copy
import re
import tomllib
from collections.abc import Iterable
from typing import Any

from gtrade.sweeps.complaints import Complaints

_PART = re.compile(r'"([^"]*)"|([^."]+)')
_BARE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]*")


def parse_value(text: str) -> Any:
    """Read a TOML value; a plain word is a text.

    Raises:
        ValueError: if it is neither.
    """
    try:
        parsed = tomllib.loads("value = " + text)
        if set(parsed) == {"value"}:
            return parsed["value"]
    except tomllib.TOMLDecodeError:
        pass
    if _BARE.fullmatch(text):
        return text
    raise ValueError(text)


def split_key(key: str) -> list[str]:
    """Split a dotted key; what follows `sweep.` (or `calibration.`) is one key."""
    parts = [quoted or bare for quoted, bare in _PART.findall(key)]
    if parts and parts[0] == "sweep" and len(parts) > 1:
        if parts[1] in ("zip", "table") and len(parts) > 2:
            return [*parts[:2], ".".join(parts[2:])]
        return ["sweep", ".".join(parts[1:])]
    if parts and parts[0] == "calibration" and len(parts) > 1:
        return ["calibration", ".".join(parts[1:])]
    return parts


def apply_overrides(
    document: dict[str, Any], settings: Iterable[str], complaints: Complaints
) -> dict[str, Any]:
    """Return a copy of a parsed spec with `key=value` settings applied in order.

    A setting that cannot be read or placed is noted in `complaints`.
    """
    document = copy.deepcopy(document)
    for setting in settings:
        key, equals, text = setting.partition("=")
        key = key.strip()
        if not equals or not key:
            complaints.add("--set", "must have the form key=value", setting)
            continue
        try:
            value = parse_value(text.strip())
        except ValueError:
            rule = "must be a TOML value or a plain word (quote other texts)"
            complaints.add(f"--set {key}", rule, text)
            continue
        swept = _sweeps(document, key)
        if swept:
            axis = f"sweep.{swept}"
            rule = f"is swept by this spec; set {axis} (a list) instead"
            complaints.add(f"--set {key}", rule)
            continue
        try:
            _place(document, split_key(key), value)
        except LookupError as error:
            complaints.add(f"--set {key}", str(error.args[0]))
    return document


def _sweeps(document: dict[str, Any], key: str) -> str | None:
    """Return the axis that would silently win over a plain value."""
    sweep = document.get("sweep", {})
    if not isinstance(sweep, dict):
        return None
    if key in sweep and key not in ("zip", "table"):
        return key
    zipped = sweep.get("zip", {})
    return f"zip.{key}" if isinstance(zipped, dict) and key in zipped else None


def _place(node: Any, parts: list[str], value: Any) -> None:
    for depth, part in enumerate(parts):
        is_last = depth == len(parts) - 1
        at = ".".join(parts[:depth])
        position: Any = part
        if isinstance(node, list):
            if not part.isdecimal() or int(part) >= len(node):
                last = len(node) - 1
                raise LookupError(f"{at} has positions 0 to {last}, not {part!r}")
            position = int(part)
        elif not isinstance(node, dict):
            raise LookupError(f"{at} is a single value, without positions")
        elif not is_last:
            node.setdefault(part, {})
        if is_last:
            node[position] = value
        else:
            node = node[position]
