"""NumPy baseline: the published follow-the-perturbed-leader on many runs at once.

The learners of Kearns and Shi (arXiv 2502.07606v2) in self-play, all runs advanced
together: one table of values per step, vectorised over the lanes (a lane is one player
of one run), with Python loops over rounds, steps and trades. This is what a careful
NumPy user would write, and the program that the package's benchmark is measured
against. It needs NumPy alone.

    python numpy_baseline.py --runs 100 --rounds 2500 --kappa 0 0.5 1 --out table.json
"""

import argparse
import json
import time

import numpy as np


def _reachable(t, horizon, target, min_trade, max_trade):
    """Return the least and greatest holdings after t steps that can reach target."""
    left = horizon - t
    low = max(t * min_trade, target - left * max_trade)
    high = min(t * max_trade, target - left * min_trade)
    return low, high


class ResponseTables:
    """Best responses of many lanes with one target, by backward induction.

    Minimises sum_t linear_t a_t + weights_t a_t (a_t + kappa A_{t-1}); ties go to the
    smallest trade at the earliest step. Only values are stored: the trades are found
    again on the way forward, from the holdings that the lane does reach.
    """

    def __init__(self, horizon, target, min_trade, max_trade, kappa):
        self.horizon, self.target = horizon, target
        self.min_trade, self.max_trade = min_trade, max_trade
        self.kappa = kappa  # (lanes,)
        self.lanes = np.arange(len(kappa))
        self.bounds = [
            _reachable(t, horizon, target, min_trade, max_trade)
            for t in range(horizon + 1)
        ]
        # Rows of +inf on either side stand for holdings that cannot reach the target.
        self.pad = max_trade - min_trade
        self.values = []
        for low, high in self.bounds:
            table = np.full((high - low + 1 + 2 * self.pad, len(kappa)), np.inf)
            self.values.append(table)
        self.values[horizon][self.pad] = 0.0
        sizes = [high - low + 1 for low, high in self.bounds]
        self.slopes = np.empty((max(sizes), len(kappa)))
        self.scratch = np.empty((max(sizes), len(kappa)))

    def solve(self, linear, weights):
        """Return the best responses, (T, lanes), to coefficients of that shape."""
        horizon, pad = self.horizon, self.pad
        cross = self.kappa * weights  # (T, lanes)
        squares = np.arange(self.min_trade, self.max_trade + 1)[:, None] ** 2
        for t in range(horizon - 1, 0, -1):
            low, high = self.bounds[t]
            next_low, next_high = self.bounds[t + 1]
            table = self.values[t][pad : pad + high - low + 1]
            table[:] = np.inf
            slopes = self.slopes[: high - low + 1]
            np.multiply(np.arange(low, high + 1)[:, None], cross[t], out=slopes)
            slopes += linear[t]
            own = squares * weights[t]  # (trades, lanes)
            for k in range(self.min_trade, self.max_trade + 1):
                first, last = max(low, next_low - k), min(high, next_high - k)
                if first > last:
                    continue
                size = last - first + 1
                start = pad + first + k - next_low
                candidate = self.scratch[:size]
                np.multiply(slopes[first - low : last - low + 1], k, out=candidate)
                candidate += own[k - self.min_trade]
                candidate += self.values[t + 1][start : start + size]
                rows = table[first - low : last - low + 1]
                np.minimum(rows, candidate, out=rows)
        return self._forward(linear, weights, cross)

    def _forward(self, linear, weights, cross):
        trades = np.arange(self.min_trade, self.max_trade + 1)[:, None]
        holdings = np.zeros(len(self.lanes), dtype=np.int64)
        schedule = np.empty((self.horizon, len(self.lanes)), dtype=np.int64)
        for t in range(self.horizon - 1):
            rows = holdings + trades + (self.pad - self.bounds[t + 1][0])
            slope = linear[t] + holdings * cross[t]
            candidates = trades * slope + trades**2 * weights[t]
            candidates += self.values[t + 1][rows, self.lanes]
            schedule[t] = np.argmin(candidates, axis=0) + self.min_trade
            holdings += schedule[t]
        schedule[-1] = self.target - holdings
        return schedule


def published_ftpl_batch(
    horizon,
    targets,
    min_trade,
    max_trade,
    kappa,
    eta,
    num_rounds,
    num_runs,
    rng=None,
    *,
    noise=None,
):
    """Play the published FTPL in `num_runs` independent runs.

    Args:
        horizon: number of steps T.
        targets: one target for each player.
        min_trade: smallest trade of a step.
        max_trade: largest trade of a step.
        kappa: market impact coefficient, a number or one for each run.
        eta: noise is uniform on [0, eta].
        num_rounds: number of rounds R.
        num_runs: number of runs.
        rng: NumPy generator; draws by round, run, player, coordinate.
        noise: shape (R, runs, players, 2T), replaces the draws.

    Returns:
        The history of trades, int8, shape (runs, R, players, T).
    """
    players = len(targets)
    if not horizon * min_trade <= min(targets) <= max(targets) <= horizon * max_trade:
        raise ValueError(f"targets={targets} cannot be reached")
    if max(abs(min_trade), abs(max_trade)) > 127:
        raise ValueError("trades do not fit int8")
    kappa = np.broadcast_to(np.asarray(kappa, dtype=np.float64), (num_runs,))
    # Players with one target share a table; their lanes go by player, then run.
    groups = []
    for target in dict.fromkeys(targets):
        members = [i for i, other in enumerate(targets) if other == target]
        lanes_kappa = np.tile(kappa, len(members))
        tables = ResponseTables(horizon, target, min_trade, max_trade, lanes_kappa)
        groups.append((members, tables))

    history = np.empty((num_rounds, num_runs, players, horizon), dtype=np.int8)
    others_flow = np.zeros((horizon, players, num_runs), dtype=np.int64)
    profile = np.empty((horizon, players, num_runs), dtype=np.int64)
    for r in range(num_rounds):
        if noise is None:
            draw = rng.uniform(0.0, eta, (num_runs, players, 2 * horizon))
        else:
            draw = noise[r]
        draw = draw.transpose(2, 1, 0)  # (2T, players, runs)
        prefix = np.cumsum(others_flow, axis=0) - others_flow
        linear = others_flow + kappa * prefix + draw[:horizon]
        weights = r + draw[horizon:]
        for members, tables in groups:
            shape = (horizon, len(members) * num_runs)
            schedule = tables.solve(
                linear[:, members].reshape(shape), weights[:, members].reshape(shape)
            )
            profile[:, members] = schedule.reshape(horizon, len(members), num_runs)
        others_flow += profile.sum(axis=1, keepdims=True) - profile
        history[r] = profile.transpose(2, 1, 0)
    return np.ascontiguousarray(history.transpose(1, 0, 2, 3))


def all_schedules(horizon, target, min_trade, max_trade):
    """Return every feasible schedule, shape (num, T), in lexicographic order."""
    schedules = np.zeros((1, 0), dtype=np.int64)
    trades = np.arange(min_trade, max_trade + 1)
    for t in range(1, horizon + 1):
        low, high = _reachable(t, horizon, target, min_trade, max_trade)
        longer = np.concatenate(
            [
                np.repeat(schedules, len(trades), axis=0),
                np.tile(trades, len(schedules))[:, None],
            ],
            axis=1,
        )
        holdings = longer.sum(axis=1)
        schedules = longer[(low <= holdings) & (holdings <= high)]
    return schedules


def _impact_of(flow, kappa):
    """Return M b = b + kappa * (strict prefix sums of b) along the last axis."""
    return flow + kappa * (np.cumsum(flow, axis=-1) - flow)


def _least_costs(schedules, own_costs, mean_flows, kappa, chunk=512):
    """Return the least cost of a schedule against each flow (batch, T)."""
    slopes = _impact_of(mean_flows, kappa)
    least = [
        (slopes[s : s + chunk] @ schedules.T + own_costs).min(axis=1)
        for s in range(0, len(slopes), chunk)
    ]
    return np.concatenate(least)


def _group_sums(labels, rows, num_labels):
    """Return the sum of the rows with each label, shape (num_labels, columns)."""
    columns = [np.bincount(labels, column, num_labels) for column in rows.T]
    return np.stack(columns, axis=1)


def metrics(history, kappa, min_trade, max_trade, *, curves=False):
    """Return the published metrics of every run, against all deviations.

    Args:
        history: integer trades, shape (runs, R, players, T).
        kappa: market impact coefficient, a number or one for each run.
        min_trade: smallest trade of a step.
        max_trade: largest trade of a step.
        curves: also compute the average regret after every round.

    Returns:
        A dict of float64 arrays: "regret", shape (runs, players); "distance_to_cce",
        "distance_to_nash", "distance_to_ce", "tv_distance", "tv_distance_ks25" and
        "welfare", shape (runs,); with `curves`, "regret_curve", (runs, R, players).
    """
    num_runs, num_rounds, players, horizon = history.shape
    kappas = np.broadcast_to(np.asarray(kappa, dtype=np.float64), (num_runs,))
    targets = history[0, 0].sum(axis=1, dtype=np.int64)
    schedules = [
        all_schedules(horizon, int(target), min_trade, max_trade).astype(np.float64)
        for target in targets
    ]
    powers = (max_trade - min_trade + 1) ** np.arange(horizon)
    gaps = {name: np.empty((num_runs, players)) for name in ("cce", "nash", "ce")}
    tv, tv_ks25, welfare = np.empty(num_runs), np.empty(num_runs), np.empty(num_runs)
    curve = np.empty((num_runs, num_rounds, players)) if curves else None

    for run in range(num_runs):
        kappa = kappas[run]
        play = history[run].astype(np.float64)
        total_flow = play.sum(axis=1)
        paid = np.einsum("rit,rt->ri", play, _impact_of(total_flow, kappa))
        welfare[run] = paid.mean(axis=0).sum()
        codes = (history[run].astype(np.int64) - min_trade) @ powers
        labels, counts = [], []
        for i in range(players):
            own = np.sum(schedules[i] * _impact_of(schedules[i], kappa), axis=1)
            others = total_flow - play[:, i]
            mean_flow = others.mean(axis=0, keepdims=True)
            least = _least_costs(schedules[i], own, mean_flow, kappa)[0]
            gaps["cce"][run, i] = paid[:, i].mean() - least

            played_own = np.sum(play[:, i] * _impact_of(play[:, i], kappa), axis=1)
            crossed = play[:, i].mean(axis=0) @ _impact_of(mean_flow[0], kappa)
            gaps["nash"][run, i] = played_own.mean() + crossed - least

            _, label, count = np.unique(
                codes[:, i], return_inverse=True, return_counts=True
            )
            means = _group_sums(label, others, len(count)) / count[:, None]
            leasts = _least_costs(schedules[i], own, means, kappa)
            gaps["ce"][run, i] = paid[:, i].mean() - leasts @ count / num_rounds
            labels.append(label)
            counts.append(count)

            if curves:
                rounds = np.arange(1, num_rounds + 1)
                means = np.cumsum(others, axis=0) / rounds[:, None]
                leasts = _least_costs(schedules[i], own, means, kappa)
                curve[run, :, i] = np.cumsum(paid[:, i]) / rounds - leasts

        joint, joint_count = np.unique(
            np.stack(labels, axis=1), axis=0, return_counts=True
        )
        product = np.ones(len(joint))
        for i in range(players):
            product *= counts[i][joint[:, i]] / num_rounds
        on_support = np.abs(joint_count / num_rounds - product).sum()
        tv_ks25[run] = on_support
        # Off the joint's support only the product has mass.
        tv[run] = (on_support + 1.0 - product.sum()) / 2

    result = {
        "regret": gaps["cce"],
        "distance_to_cce": gaps["cce"].max(axis=1),
        "distance_to_nash": gaps["nash"].max(axis=1),
        "distance_to_ce": gaps["ce"].max(axis=1),
        "tv_distance": tv,
        "tv_distance_ks25": tv_ks25,
        "welfare": welfare,
    }
    if curves:
        result["regret_curve"] = curve
    return result


def main():
    """Run the published setting and print means and deviations over runs."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    grid = [0, 0.5, 1, 1.5, 2, 2.5, 3, 5, 10]
    parser.add_argument("--kappa", type=float, nargs="+", default=grid)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=2500)
    parser.add_argument("--eta", type=float, default=50.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", help="JSON file for the means and deviations")
    parser.add_argument("--smoke", action="store_true", help="a few short runs")
    args = parser.parse_args()
    if args.smoke:
        args.runs, args.rounds, args.kappa = 2, 20, args.kappa[:1]

    rows = []
    for kappa in args.kappa:
        rng = np.random.default_rng(args.seed)
        start = time.perf_counter()
        history = published_ftpl_batch(
            5, (10, 10), -5, 5, kappa, args.eta, args.rounds, args.runs, rng
        )
        played = time.perf_counter()
        values = metrics(history, kappa, -5, 5)
        ended = time.perf_counter()
        row = {
            "kappa": kappa,
            "dynamics_seconds": played - start,
            "metrics_seconds": ended - played,
        }
        del values["regret"]
        for name, value in values.items():
            row[name] = {"mean": value.mean(), "std": value.std(ddof=1)}
        rows.append(row)
        print(json.dumps(row), flush=True)
    if args.out:
        with open(args.out, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
