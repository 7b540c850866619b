"""A record of every solver as a table, and as a figure of cost against size."""

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from rich.table import Table

from gtrade.plotting.style import PALETTE, new_figure, style

# Sizes that mean the same thing in different models, as the figure's columns.
PANELS = {
    "games in a call": ("batch",),
    "steps or points in time": (
        "horizon",
        "num_steps",
        "num_points",
        "num_auctions",
        "num_orders",
        "num_periods",
    ),
    "trade limit, strategies, types or lots": (
        "max_trade",
        "strategies",
        "num_types",
        "num_lots",
    ),
    "players, firms or assets": ("num_players", "num_firms", "num_assets"),
    "rounds, branching or paths": ("num_rounds", "branching", "num_paths"),
}
FAMILIES = {
    "trading game": ("trading-game",),
    "bimatrix": ("bimatrix",),
    "position building": ("position-building",),
    "other position games": (
        "power-law-position",
        "transient-impact",
        "uncertain-impact",
        "feedback-position",
        "hidden-target",
    ),
    "position learning": ("position-learning",),
    "microstructure": (
        "kyle",
        "kyle-sequential",
        "glosten-milgrom",
        "almgren-chriss",
        "almgren-chriss-portfolio",
    ),
}


def points(result, name):
    """Return sizes and seconds a call, for a batch or another size."""
    if name == "batch":
        rows = result["batches"]
        return [row["batch"] for row in rows], [row["run_s"] for row in rows]
    rows = result["growth"].get(name, [])
    return (
        [row["value"] for row in rows],
        [row["run_s"] / row["batch"] for row in rows],
    )


def fit_exponents(result):
    """Fit seconds = c size^p to the last three points, for every size measured."""
    exponents = {}
    for name in ("batch", *result["growth"]):
        sizes, seconds = points(result, name)
        if len(sizes) >= 2:
            x, y = np.log(sizes[-3:]), np.log(seconds[-3:])
            exponents[name] = float(np.polyfit(x, y, 1)[0])
    return exponents


def _number(x, digits=3):
    if x is None:
        return ""
    return f"{x:,.0f}" if abs(x) >= 100 else f"{x:.{digits}g}"


def _times(found):
    if found is None:
        return ""
    mark = "" if found.get("agrees", True) else " (differs)"
    return f"{_number(found['ratio'], 2)}{mark}"


def cells(result):
    """Return the table's cells for one solver: the batch of most games a second."""
    row = max(result["batches"], key=lambda row: row["games_per_s"])
    kind, share = row.get("binding"), row.get("of_bound")
    needed = row["memory_bytes"]
    exponents = {k: round(p, 1) + 0.0 for k, p in result["exponents"].items()}
    return [
        result["name"],
        row["precision"],
        _number(row["batch"]),
        _number(row["compile_s"], 2),
        _number(row["run_s"] / row["batch"] * 1e6),
        _number(row["games_per_s"]),
        "" if needed is None else _number(needed / row["batch"] / 1024, 2),
        "" if kind is None else f"{100 * share:.2g} % {kind}",
        str(row["devices"]),
        _times(result.get("baseline")),
        _times(result.get("peer")),
        _number(result["verification"]["verify_s"] * 1e6, 2),
        ", ".join(f"{name} {p:.1f}" for name, p in exponents.items()),
    ]


HEADERS = (
    ("solver", "left"),
    ("width", "left"),
    ("batch", "right"),
    ("compile s", "right"),
    ("us a game", "right"),
    ("games/s", "right"),
    ("kB a game", "right"),
    ("of the bound", "left"),
    ("devices", "right"),
    ("x NumPy, one core", "right"),
    ("x peer, one core", "right"),
    ("verify us", "right"),
    ("time ~ size^p", "left"),
)


_ELSEWHERE = ("games/s", "devices", "time ~ size^p")


def show(results, console, title):
    """Print the table."""
    table = Table(title=title)
    for header, side in HEADERS:
        table.add_column(header, justify=side)
    for result in results:
        table.add_row(*cells(result))
    console.print(table)


def as_markdown(results):
    """Return the table for the documentation, without what its text or figure says."""
    places = [i for i, (header, _) in enumerate(HEADERS) if header not in _ELSEWHERE]
    sides = {"left": "---", "right": "--:"}
    lines = [
        [HEADERS[i][0] for i in places],
        [sides[HEADERS[i][1]] for i in places],
        *([cells(result)[i] for i in places] for result in results),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def draw_costs(results, path, device):
    """Write the figure: seconds against every size, a row of panels a family."""
    shown = {
        family: [x for x in results if x["name"].split("/")[0] in models]
        for family, models in FAMILIES.items()
    }
    shown = {family: found for family, found in shown.items() if found}
    with style():
        figure, axes = new_figure(
            len(shown),
            len(PANELS),
            width=17.0,
            height=3.2 * len(shown),
            title=f"Seconds grow like powers of size: {device}",
            squeeze=False,
        )
        for row, (family, found) in zip(axes, shown.items(), strict=True):
            for axis, (title, names) in zip(row, PANELS.items(), strict=True):
                _draw_panel(axis, found, names)
                axis.set_title(f"{family}: {title}", fontsize=8)
        figure.savefig(path, dpi=130)


def _draw_panel(axis, results, names):
    ticks, largest, smallest = set(), 0.0, np.inf
    solvers = [result["name"].split("/", 1)[1] for result in results]
    for place, (result, solver) in enumerate(zip(results, solvers, strict=True)):
        is_unique = solvers.count(solver) == 1
        for name in names:
            sizes, seconds = points(result, name)
            if len(sizes) < 2:
                continue
            label = solver if is_unique else result["name"]
            axis.loglog(
                sizes,
                seconds,
                marker="o",
                markersize=2.5,
                linewidth=1.0,
                color=PALETTE[place % len(PALETTE)],
                linestyle="-" if place < len(PALETTE) else "--",
                label=f"{label} {round(result['exponents'][name], 1) + 0.0:.1f}",
            )
            ticks |= set(sizes)
            largest, smallest = max(largest, *seconds), min(smallest, *seconds)
    if not ticks:
        axis.set_visible(False)
        return
    is_batch = names == ("batch",)
    axis.set_ylabel("seconds a call" if is_batch else "seconds a game")
    low, high = np.floor(np.log10(smallest)), np.log10(largest)
    # Room for the legend above the lines.
    height = max(high - low, 1.0)
    high = low + height / (1 - min(0.055 * (len(axis.lines) + 1), 0.6))
    axis.set_ylim(10**low, 10**high)
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_locator(FixedLocator(_apart(sorted(ticks))))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
    legend = axis.legend(fontsize=6.5, frameon=False, loc="upper left")
    legend.set_in_layout(False)


def _apart(ticks):
    """Return the ticks that leave room between each other."""
    kept = ticks[:1]
    for tick in ticks[1:]:
        if np.log(tick / kept[-1]) > 0.1 * np.log(ticks[-1] / ticks[0]):
            kept.append(tick)
    return kept
