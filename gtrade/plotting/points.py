"""How the grid points of a run lie along the axes of a figure.

One swept number becomes the horizontal axis; what else is swept tells lines apart.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

_MOST_LINES = 6
_PREFERRED = "problem.permanent_impact"

_SYMBOLS = {
    "permanent_impact": "κ",
    "noise": "η",
    "temporary_exponent": "p",
    "risk_aversion": "risk aversion",
    "step_constant": "c",
}
_LABELS = {
    "permanent_impact": "permanent impact κ (multiple of temporary impact)",
    "noise": "noise η (cost per share)",
    "num_rounds": "rounds of play",
    "max_rounds": "largest number of rounds",
    "horizon": "horizon (steps)",
    "targets": "target (shares)",
    "target": "target (shares)",
    "non_strategic": "believed non-strategic flow (shares)",
    "risk_aversion": "risk aversion (cost per share²)",
    "min_trade": "least trade a step (shares)",
    "max_trade": "most trade a step (shares)",
    "temporary_exponent": "exponent p of temporary impact",
    "fixed_fee": "fixed fee of a step with a trade (cost)",
    "branching": "branching M",
    "depth": "depth d of the tree",
    "step_constant": "step constant c",
    "epsilon": "least gain worth a move (cost)",
}
# Words that mean something else in some models: symbol and label.
_EXECUTION = {
    "permanent_impact": ("γ", "permanent impact γ (currency/share²)"),
    "temporary_impact": ("η", "temporary impact η (currency x time/share²)"),
    "risk_aversion": ("λ", "risk aversion λ (1/currency)"),
    "horizon": ("T", "horizon T (time)"),
    "volatility": ("σ", "volatility σ (currency/share/root of time)"),
    "shares": ("X", "shares X"),
}
_OWN_WORDS = {
    "almgren-chriss": _EXECUTION,
    "almgren-chriss-portfolio": _EXECUTION,
}


class Results(Protocol):
    """What figures need of a table of results (`gtrade.load`)."""

    manifest: Mapping[str, Any]

    def __len__(self) -> int:
        """Return the number of rows."""
        ...

    def __getitem__(self, name: str) -> Any:
        """Return a column or kept array, one entry per row."""
        ...

    def columns(self) -> list[str]:
        """Return the column names."""
        ...

    @property
    def swept(self) -> list[str]:
        """Names of the swept keys."""
        ...

    @property
    def arrays(self) -> list[str]:
        """Names of the arrays kept besides."""
        ...


@dataclasses.dataclass(frozen=True)
class Line:
    """Points that belong together, in the order of the axis.

    Attributes:
        label: what sets it apart, empty if nothing does.
        members: indices into the points, shape (n,).
    """

    label: str
    members: np.ndarray


@dataclasses.dataclass(frozen=True)
class Layout:
    """The points of a run, along one axis.

    Attributes:
        points: point numbers, ascending, shape (points,).
        member: index of every row's point, shape (rows,).
        key: the swept key along the axis, None if no number is swept.
        x: place of every point on the axis, shape (points,).
        values: what was swept, by key: one value a point.
        lines: which points are joined; at most six lines are shown.
        num_lines: lines that there are.
        model: of the run, whose words for its numbers are used.
    """

    points: np.ndarray
    member: np.ndarray
    key: str | None
    x: np.ndarray
    values: Mapping[str, Sequence[Any]]
    lines: list[Line]
    num_lines: int
    model: str = ""

    def name(self, point: int) -> str:
        """Return a point in words, empty if nothing was swept."""
        return _in_words(self.values, self.values, point, self.model)

    @property
    def is_joined(self) -> bool:
        """Whether neighbours on the axis may be joined by a line."""
        return self.key is not None

    @property
    def label(self) -> str:
        """Label of the axis."""
        return axis_label(self.key, self.model) if self.key else ""

    @property
    def is_logarithmic(self) -> bool:
        """Whether the axis spans factors rather than differences."""
        x = np.unique(self.x)
        if self.key is None or len(x) < 3 or x[0] <= 0 or x[-1] < 50 * x[0]:
            return False
        steps = np.diff(np.log(x))
        return bool(steps.max() < 4 * steps.min())


def lay_out(table: Results) -> Layout:
    """Decide what goes along the axis and what tells lines apart."""
    points, first, member = np.unique(
        table["point"], return_index=True, return_inverse=True
    )
    values = {
        key: _plain_values(table[key], first)
        for key in table.swept
        if key in table.columns()
    }
    model = table.manifest.get("spec", {}).get("model", "")
    numeric = [k for k, column in values.items() if _is_axis(column)]
    if not numeric:
        x = np.arange(len(points), dtype=np.float64)
        one = [Line("", np.arange(len(points)))]
        return Layout(points, member, None, x, values, one, 1, model)
    key = max(numeric, key=lambda k: (k == _PREFERRED, len(set(values[k]))))
    x = np.array(values[key], np.float64)
    others = [k for k in values if k != key]
    if len(set(x)) == len(points):  # the other keys move along with the axis
        others = []
    groups = _groups([values[k] for k in others], len(points))
    chosen = groups
    if len(groups) > _MOST_LINES:
        at = np.linspace(0, len(groups) - 1, _MOST_LINES).round().astype(int)
        chosen = [groups[i] for i in at]
    lines = [
        Line(
            _in_words(values, others, own[0], model),
            own[np.argsort(x[own], kind="stable")],
        )
        for own in chosen
    ]
    return Layout(points, member, key, x, values, lines, len(groups), model)


def _in_words(
    values: Mapping[str, Sequence[Any]], keys: Iterable[str], point: int, model: str
) -> str:
    return ", ".join(
        f"{symbol(key, model)} = {show(values[key][point])}" for key in keys
    )


def _plain_values(column: Any, rows: np.ndarray) -> list[Any]:
    """Return some rows of a column as hashable Python values."""
    if isinstance(column, np.ndarray):
        return [_tuple(value) for value in column[rows].tolist()]
    return [_plain(column[i]) for i in rows]


def _groups(columns: Sequence[Sequence[Any]], size: int) -> list[np.ndarray]:
    """Return the points that agree in all columns, in the order of the first ones."""
    member = np.zeros(size, np.int64)
    for column in columns:
        codes: dict[Any, int] = {}
        own = np.array([codes.setdefault(value, len(codes)) for value in column])
        _, member = np.unique(member * len(codes) + own, return_inverse=True)
    order = np.argsort(member, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(member[order])) + 1)
    return sorted(groups, key=lambda group: group[0])


def mean_and_error(
    values: np.ndarray, member: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean, standard error and count of rows by point.

    Rows with a value that is not finite count as absent.

    Args:
        values: one entry per row, shape (rows, ...).
        member: index of each row's point, shape (rows,).
        size: number of points.

    Returns:
        Mean and standard error, shape (points, ...): NaN without rows, the error also
        with a single one; count, shape (points,).
    """
    values = np.asarray(values, np.float64)
    is_good = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    values, member = values[is_good], np.asarray(member)[is_good]
    tail = values.shape[1:]
    count = np.bincount(member, minlength=size)
    wide = count.reshape(-1, *[1] * len(tail)).astype(np.float64)
    total = np.zeros((size, *tail))
    np.add.at(total, member, values)
    mean = np.divide(total, wide, out=np.full(total.shape, np.nan), where=wide > 0)
    squares = np.zeros((size, *tail))
    np.add.at(squares, member, (values - mean[member]) ** 2)
    spread = np.full(total.shape, np.nan)
    np.divide(squares, wide * (wide - 1), out=spread, where=wide > 1)
    return mean, np.sqrt(spread), count


def axis_label(key: str, model: str = "") -> str:
    """Return what an axis over a swept key of a model is called, with its unit."""
    name, position, owner = _parts(key)
    usual = _LABELS.get(name, name.replace("_", " ") or key)
    _, label = _OWN_WORDS.get(model, {}).get(name, ("", usual))
    label += f" of {owner}" if owner else ""
    return f"{label}, position {position}" if position else label


def symbol(key: str, model: str = "") -> str:
    """Return a short name of a swept key of a model."""
    name, position, owner = _parts(key)
    usual = _SYMBOLS.get(name, name or key)
    short, _ = _OWN_WORDS.get(model, {}).get(name, (usual, ""))
    short += f" of {owner}" if owner else ""
    return f"{short}[{position}]" if position else short


def _parts(key: str) -> tuple[str, str, str]:
    """Return name, position and owner of a dotted key.

    "problem.targets.1" is position 1 of the targets, and the target in
    "problem.firms.0.types.1.target" is that of "firm 1, type 2".
    """
    parts = key.split(".")[1:]
    owners, place = [], 0
    while len(parts) > place + 2 and parts[place + 1].isdecimal():
        if parts[place + 2].isdecimal():
            break
        owner = parts[place].removesuffix("s")
        owners.append(f"{owner} {int(parts[place + 1]) + 1}")
        place += 2
    name = parts[place] if len(parts) > place else ""
    return name, ".".join(parts[place + 1 :]), ", ".join(owners)


def show(value: Any) -> str:
    """Write a swept value briefly."""
    if isinstance(value, list | tuple):
        return "(" + ", ".join(show(x) for x in value) + ")"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    return _tuple(value)


def _tuple(value: Any) -> Any:
    return tuple(_tuple(x) for x in value) if isinstance(value, list) else value


def _is_axis(column: list[Any]) -> bool:
    is_number = all(
        isinstance(x, int | float) and not isinstance(x, bool) for x in column
    )
    return is_number and len(set(column)) > 1
