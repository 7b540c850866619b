"""What the atlas shares: runs, the planner's optimum, equilibria told apart."""

import functools
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

import common
from common import publish, read_arguments, run_all, write

__all__ = ["HERE", "by_point", "count_distinct", "planner", "publish"]
__all__ += ["read_arguments", "run", "run_all", "searched", "write"]

run = functools.partial(common.run, HERE / "specs")

# Most of a tiny run is compilation: sets this small are searched by one program instead
# of two, and searches of the same lanes, shape and settings share it.
MAX_SUPPORT, MAX_STEPS = 32, 100
SMOKE_SEARCH = (
    f"solver.max_support={MAX_SUPPORT}",
    f"solver.max_steps={MAX_STEPS}",
    "run.replications=1",
)


def searched(arguments, spec, **settings) -> list[dict[str, Any]]:
    """Return the equilibria found at every point, by random starts and the portfolio.

    Only those whose search has converged count.
    """
    settings["smoke"] = [*settings.get("smoke", ()), *SMOKE_SEARCH]
    random = by_point(run(arguments, spec, **settings))
    settings["changes"] = [
        *settings.get("changes", ()),
        'solver.start="portfolio"',
    ]
    if not arguments.is_smoke:
        settings["changes"].append("run.replications=1")
    first = by_point(run(arguments, spec, name=f"{spec}_portfolio", **settings))
    points = []
    for one, many in zip(first, random, strict=True):
        points.append({**many, "rows": one["rows"] + many["rows"]})
        points[-1]["num_starts"] = len(points[-1]["rows"])
        rows = [row for row in points[-1]["rows"] if row["status"] == "converged"]
        points[-1]["rows"] = rows
    return points


def by_point(table) -> list[dict[str, Any]]:
    """Return the problem of every point and its rows."""
    columns = {name: table[name] for name in table.columns()}
    points: dict[int, dict[str, Any]] = {}
    for i in range(len(table)):
        problem = dict(table.manifest["spec"]["problem"])
        for key in table.swept:
            problem[key.partition(".")[2]] = _plain(columns[key][i])
        point = points.setdefault(
            int(columns["point"][i]), {"problem": problem, "rows": []}
        )
        point["rows"].append({name: _plain(v[i]) for name, v in columns.items()})
    return [points[key] for key in sorted(points)]


def planner(problem) -> float:
    """Return the least total cost of any schedules."""
    from gtrade.plotting.trading import least_total_cost

    known = ("horizon", "targets", "min_trade", "max_trade", "permanent_impact")
    return least_total_cost(**{name: problem[name] for name in known})


def count_distinct(rows) -> int:
    """Return how many equilibria differ in costs or mean flows."""
    seen = {
        tuple(
            np.round(
                np.append(np.ravel(row["values"]), np.ravel(row["mean_trades"])), 4
            )
            + 0.0
        )
        for row in rows
    }
    return len(seen)


def _plain(value):
    return value.tolist() if hasattr(value, "tolist") else value
