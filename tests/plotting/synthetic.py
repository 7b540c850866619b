"""Tables of made-up results, with the interface of `gtrade.load`."""

import itertools

import numpy as np

PROBLEM = {
    "horizon": 5,
    "targets": [10, 10],
    "min_trade": -5,
    "max_trade": 5,
    "permanent_impact": 1.0,
}
DISTANCES = ("distance_to_cce", "distance_to_nash", "distance_to_ce")


class FakeTable:
    def __init__(self, data, manifest, swept, arrays):
        self._data, self.manifest = data, manifest
        self.swept, self.arrays = swept, arrays

    def __len__(self):
        return len(self._data["point"])

    def __getitem__(self, name):
        return self._data[name]

    def columns(self):
        return [name for name in self._data if name not in self.arrays]


def make_table(
    axes,
    *,
    replications=1,
    status="completed",
    num_players=2,
    num_rounds=40,
    without=(),
    is_failed=lambda row: False,
):
    """Return a table over the product of axes; a tuple of keys moves together."""
    grid = list(itertools.product(*axes.values()))
    keys = [k for key in axes for k in (key if isinstance(key, tuple) else (key,))]
    points = []
    for at in grid:
        pairs = zip(axes, at, strict=True)
        whole = [x if isinstance(k, tuple) else (x,) for k, x in pairs]
        points.append(list(itertools.chain(*whole)))
    size = len(points) * replications
    rng = np.random.default_rng(0)
    point = np.repeat(np.arange(len(points)), replications)
    data = {
        "point": point,
        "replication": np.tile(np.arange(replications), len(points)),
        "status": np.array([status] * size),
    }
    for place, key in enumerate(keys):
        column = [points[i][place] for i in point]
        is_ragged = isinstance(column[0], list) and len({len(v) for v in column}) > 1
        data[key] = [np.array(v) for v in column] if is_ragged else np.array(column)
    horizons = np.asarray(data.get("problem.horizon", [PROBLEM["horizon"]] * size))
    results = {name: rng.uniform(0.1, 9, size) for name in DISTANCES}
    results |= {
        "tv_distance": rng.uniform(0, 1, size),
        "tv_distance_ks25": rng.uniform(0, 1.2, size),
        "welfare": rng.uniform(250, 300, size),
        "mean_trades": [rng.normal(2, 1, (num_players, t)) for t in horizons],
        "regret_curve": rng.uniform(1, 2, (size, num_rounds, num_players)),
    }
    if len(set(horizons)) == 1:
        results["mean_trades"] = np.array(results["mean_trades"])
    for row in range(size):
        if is_failed(row):
            data["status"][row] = "nonfinite"
            for values in results.values():
                values[row] = np.full_like(values[row], np.nan)
    data |= {k: v for k, v in results.items() if k not in without}
    arrays = ["regret_curve"] if "regret_curve" not in without else []
    whole = {key.partition(".")[2] for key in keys}
    problem = {k: v for k, v in PROBLEM.items() if k not in whole}
    manifest = {"spec": {"problem": problem, "solver": {"name": "ftpl"}}}
    return FakeTable(data, manifest, keys, arrays)
