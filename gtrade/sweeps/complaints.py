"""Everything that is wrong with a spec, said at once and in one form."""

import difflib
import math
from collections.abc import Iterable
from typing import Any

_NOTHING: Any = object()
_LONGEST_VALUE = 80


class SpecError(ValueError):
    """A spec cannot be run.

    Attributes:
        problems: one line each, "FILE: key: rule; got value".
    """

    def __init__(self, problems: Iterable[str]) -> None:
        """Join the lines into one message."""
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class RuleError(ValueError):
    """One value breaks one rule; the collector adds file and key.

    Attributes:
        rule: a phrase that follows the key, such as "must be a number".
        value: the offending value, absent when there is none.
        hint: what ends the line.
    """

    def __init__(self, rule: str, value: Any = _NOTHING, hint: str = "") -> None:
        """Keep rule, value and a hint such as ", did you mean 'x'?" apart."""
        self.rule, self.value, self.hint = rule, value, hint
        super().__init__(rule)


class Complaints:
    """Collects problems of one spec and raises them together.

    Attributes:
        source: the file's name, which starts every line.
        lines: what has been found so far.
    """

    def __init__(self, source: str) -> None:
        """Start with nothing wrong."""
        self.source = source
        self.lines: list[str] = []

    def add(self, key: str, rule: str, value: Any = _NOTHING, hint: str = "") -> None:
        """Note one problem; the same line is kept once."""
        where = f"{self.source}: {key}: " if key else f"{self.source}: "
        got = "" if value is _NOTHING else f"; got {show(value)}"
        line = where + rule + got + hint
        if line not in self.lines:
            self.lines.append(line)

    def add_rule(self, key: str, error: RuleError) -> None:
        """Note what a check found."""
        self.add(key, error.rule, error.value, error.hint)

    def add_unknown(self, key: str, known: Iterable[str], prefix: str = "") -> None:
        """Note a key that nothing reads, with the nearest that something does."""
        known = tuple(known)
        rule = f"is not a known key{did_you_mean(key, known)}"
        if not difflib.get_close_matches(key, known, 1):
            rule += f" (known: {', '.join(known)})" if known else ""
        self.add(prefix + key, rule)

    def raise_any(self) -> None:
        """Raise `SpecError` if anything was noted."""
        if self.lines:
            raise SpecError(self.lines)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ", did you mean 'x'?" for a near miss, else an empty text."""
    close = difflib.get_close_matches(str(word), list(known), 1)
    return f", did you mean {close[0]!r}?" if close else ""


def show(value: Any) -> str:
    """Write a value the way TOML does, cut to a readable length."""
    text = _toml(value)
    if len(text) > _LONGEST_VALUE:
        text = text[: _LONGEST_VALUE - 3] + "..."
    return text


def _toml(value: Any) -> str:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\n", "\\n") + '"'
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, list | tuple):
        # No text of a long list is read to its end.
        return "[" + ", ".join(_toml(x) for x in value[:_LONGEST_VALUE]) + "]"
    if isinstance(value, dict):
        pairs = ", ".join(f"{k} = {_toml(v)}" for k, v in value.items())
        return "{ " + pairs + " }" if pairs else "{}"
    return repr(value) if isinstance(value, int | float) else str(value)
