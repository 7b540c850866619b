"""Rules that columns of market data share: positive, whole, in order, once each."""

import bisect
from typing import Any

import numpy as np

from gtrade.calibration.rules import Columns, Rule


def finite(name: str) -> Rule:
    """Require a finite number."""
    return Rule(name, "be a finite number", lambda c: np.isfinite(c[name]))


def positive(name: str, *, is_optional: bool = False) -> Rule:
    """Require a finite number above zero, or none."""
    if is_optional:
        phrase = "be greater than 0 and finite, where it is given"
    else:
        phrase = "be greater than 0 and finite"

    def is_good(c: Columns) -> np.ndarray:
        x = c[name]
        good = (x > 0) & (x < np.inf)
        return good | np.isnan(x) if is_optional else good

    return Rule(name, phrase, is_good)


def whole(name: str, *, at_least: int | None = None) -> Rule:
    """Require a whole number that a float holds exactly."""
    phrase = "be a whole number"
    low = -(2.0**53) if at_least is None else float(at_least)
    if at_least is not None:
        phrase += f", at least {at_least}"

    def is_good(c: Columns) -> np.ndarray:
        x = c[name]
        return (x >= low) & (x <= 2.0**53) & (np.floor(x) == x)

    return Rule(name, phrase, is_good)


def one_of(name: str, *values: float, phrase: str | None = None) -> Rule:
    """Require one of a few numbers."""
    listed = ", ".join(f"{x:g}" for x in values[:-1]) + f" or {values[-1]:g}"
    return Rule(name, phrase or f"be {listed}", lambda c: np.isin(c[name], values))


def named(name: str) -> Rule:
    """Require a label that is not empty, and was text in UTF-8."""

    def is_good(c: Columns) -> np.ndarray:
        names = c[name].names
        has_name = np.array(
            [x.isprintable() and "\ufffd" not in x for x in names], bool
        )
        has_name &= np.array([bool(x) for x in names], bool)
        return has_name[c[name].codes] if len(has_name) else np.ones(0, bool)

    return Rule(name, "be a name, in UTF-8", is_good)


def in_order(
    name: str, *, within: tuple[str, ...] = (), is_strict: bool = False
) -> Rule:
    """Require that numbers do not decrease (or increase) down the rows.

    Where they do, as few rows as possible are bad: one clock that is far ahead does not
    condemn all that follow it.

    Args:
        name: of the column.
        within: labels; only rows with the same ones are compared.
        is_strict: equal numbers break the rule too.
    """
    phrase = f"{'increase' if is_strict else 'not decrease'} from row to row"
    phrase += f" of one {' and '.join(within)}" if within else ""

    def is_good(c: Columns) -> np.ndarray:
        x = c[name]
        if not within:
            return longest_in_order(x, is_strict=is_strict)
        group = combined(*(c[label] for label in within)).astype(np.int64)
        order = np.argsort(group, kind="stable")
        # Groups one above the other, in exact whole numbers: one pass serves them all.
        ranks = np.unique(x, return_inverse=True)[1].astype(np.int64)
        keys = group[order] * (len(x) + 1) + ranks[order]
        good = np.empty(len(x), bool)
        good[order] = longest_in_order(keys, is_strict=is_strict)
        return good

    return Rule(name, phrase, is_good)


def longest_in_order(x: np.ndarray, *, is_strict: bool = False) -> np.ndarray:
    """Mark the most entries that are in order; of equal choices the earlier ones.

    (Patience sorting, from the end; only data out of order pay for it.)
    """
    steps = np.diff(x)
    if (steps > 0).all() if is_strict else (steps >= 0).all():
        return np.ones(len(x), bool)
    place = bisect.bisect_left if is_strict else bisect.bisect_right
    ends: list[float] = []  # least (negated) end of a run of each length
    ends_at: list[int] = []
    after = np.full(len(x), -1)
    for i, value in zip(range(len(x) - 1, -1, -1), (-x[::-1]).tolist(), strict=True):
        length = place(ends, value)
        after[i] = ends_at[length - 1] if length else -1
        ends[length : length + 1] = [value]
        ends_at[length : length + 1] = [i]
    good, at = np.zeros(len(x), bool), ends_at[-1]
    while at >= 0:
        good[at] = True
        at = int(after[at])
    return good


def combined(*labels: Any) -> np.ndarray:
    """Return one code for every combination of labels that occurs."""
    total = labels[0].codes.astype(np.int64)
    for label in labels[1:]:
        total = total * max(len(label.names), 1) + label.codes
    return np.unique(total, return_inverse=True)[1]


def same_within(name: str, label: str) -> Rule:
    """Require the value of the label's first row in all its rows."""

    def is_good(c: Columns) -> np.ndarray:
        codes, x = c[label].codes, c[name]
        _, first, group = np.unique(codes, return_index=True, return_inverse=True)
        start = x[first][group]
        return (x == start) | (np.isnan(x) & np.isnan(start))

    return Rule(name, f"be the same in all rows of one {label}", is_good)


def unique(name: str, *labels: str) -> Rule:
    """Require that a combination of labels comes once."""

    def is_good(c: Columns) -> np.ndarray:
        first = np.unique(combined(*(c[x] for x in labels)), return_index=True)[1]
        good = np.zeros(len(c[name]), bool)
        good[first] = True
        return good

    beside = tuple(x for x in labels if x != name)
    phrase = f"come once with each {' and '.join(beside)}"
    return Rule(name, phrase, is_good, beside=beside)
