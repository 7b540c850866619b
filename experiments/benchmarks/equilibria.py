"""Benchmark exact equilibria: pivoting, the double oracle and many players.

Run by hand: `python experiments/benchmarks/equilibria.py --out results.json`. Every
number is measured in this run, the baselines included; those of quantecon are left out
where it is not installed (`pip install -e '.[peers]'`). Nothing here is a test.
"""

import importlib.util
import time

import jax
import jax.numpy as jnp
import numpy as np
from measuring import (
    device_name,
    peak_operations,
    read_arguments,
    row,
    timed,
    write_record,
)
from rich.console import Console
from rich.table import Table

import gtrade
from gtrade.solution import is_success, status_names
from gtrade.solving import make_program, share_among
from gtrade.verification import best_response_gaps

PAPER = {"horizon": 5, "targets": [10, 10], "min_trade": -5, "max_trade": 5}
SIZE = 10  # strategies of a player in the pivoting benchmark
PARTS = ("pivoting", "paper", "day", "long", "players")
HAS_QUANTECON = importlib.util.find_spec("quantecon") is not None
if HAS_QUANTECON:
    import quantecon_baseline


def solve_over(num_devices, games, solver):
    """Return a call that solves a batch, and the number of devices that share it."""
    if num_devices == 1:
        return lambda: gtrade.solve_batch(games, solver)
    size = len(jax.tree.leaves(games)[0])
    solvers = share_among(solver.prepare(games), size)
    program = make_program(solver, games, num_devices)
    return lambda: program(games, solvers, None)


# --- Pivoting -------------------------------------------------------------------------


def draw_payoffs(kind, count):
    """Return payoffs of both players, two arrays (count, SIZE, SIZE)."""
    rng = np.random.default_rng(7)
    shape = (2, count, SIZE, SIZE)
    if kind == "normal":
        return rng.normal(size=shape)
    top = int(kind.rsplit("..", 1)[1])
    return rng.integers(0, top + 1, shape).astype(np.float64)


def largest_gap(payoffs, row_mix, col_mix):
    """Return the largest gain from a deviation over all games, in plain NumPy."""
    ahead = np.einsum("gij,gj->gi", payoffs[0], col_mix)
    behind = np.einsum("gij,gi->gj", payoffs[1], row_mix)
    loss_row = ahead.max(axis=1) - (ahead * row_mix).sum(axis=1)
    loss_col = behind.max(axis=1) - (behind * col_mix).sum(axis=1)
    sums = np.abs(np.stack([row_mix.sum(axis=1), col_mix.sum(axis=1)]) - 1)
    if sums.max() > 1e-12 or min(row_mix.min(), col_mix.min()) < 0:
        raise ValueError("a strategy is no distribution")
    return float(np.maximum(loss_row, loss_col).max())


def pivoting(kind, count, device_counts, repeats):
    """Time Lemke-Howson on random games of one kind, and quantecon's on the same."""
    payoffs = draw_payoffs(kind, count)
    games = gtrade.make_batch(
        gtrade.BimatrixGame, payoffs_row=payoffs[0], payoffs_col=payoffs[1]
    )
    games = jax.block_until_ready(jax.tree.map(jnp.asarray, games))
    solver, rows = gtrade.LemkeHowson(), []
    for devices in device_counts:
        call = solve_over(devices, games, solver)
        solution, first, later = timed(call, repeats)
        pair = [np.asarray(x) for x in (solution.value.row, solution.value.col)]
        pivots = int(np.asarray(solution.num_steps).sum())
        # One tableau a pivot: SIZE rows, SIZE columns and one right-hand side.
        operations = pivots * SIZE * (SIZE + 1)
        rows.append(
            row(
                f"Lemke-Howson, {SIZE} x {SIZE}, {kind}",
                "float64",
                count,
                devices,
                first,
                later,
                games_per_s=count / float(np.median(later)),
                largest_gap=largest_gap(payoffs, *pair),
                without_answer=int((~is_success(solution.status)).sum()),
                steps=pivots,
                most_steps=int(np.asarray(solution.num_steps).max()),
                multiply_adds=operations,
            )
        )
    if HAS_QUANTECON:
        # As many pivots as gtrade allows: the default, 10^6, is far slower where
        # pivoting cycles.
        what, solve_all = f"{SIZE} x {SIZE}, {kind}", quantecon_baseline.solve_all
        peer = solve_all(what, payoffs, solver.max_pivots, repeats, largest_gap)
        for mine in rows:
            mine["baseline_ratio"] = peer["run_s"] / mine["run_s"]
        rows.append(peer)
        if peer["without_answer"]:
            rows.append(solve_all(what, payoffs, 10**6, 1, largest_gap))
    return rows


# --- Double oracle --------------------------------------------------------------------


def double_oracle(name, numbers, kappas, num_devices, repeats):
    """Time the double oracle on a batch, and verify what it found."""
    kappas = np.asarray(kappas, np.float64)
    count = len(kappas)
    padded = np.resize(kappas, -(-count // num_devices) * num_devices)
    games = gtrade.make_batch(gtrade.TradingGame, **numbers, permanent_impact=padded)
    solver = gtrade.DoubleOracle()
    solution, first, later = timed(solve_over(num_devices, games, solver), repeats)
    evidence = gtrade.verify(games, solution, solver=solver)
    cost = np.abs(evidence["values"]).max(axis=1)
    relative = (evidence["exploitability"] / cost)[:count]
    steps = np.asarray(solution.num_steps)[:count]
    names, counts = np.unique(status_names(solution.status)[:count], return_counts=True)
    return row(
        f"DoubleOracle, {name}",
        "float64",
        count,
        num_devices,
        first,
        later,
        games_per_s=count / float(np.median(later)),
        largest_gap=float(relative.max()),
        gap_is="exploitability / largest cost of a player in the game, by verify",
        without_answer=int((~is_success(solution.status)).sum()),
        status={str(k): int(v) for k, v in zip(names, counts, strict=True)},
        steps=int(steps.sum()),
        median_steps=float(np.median(steps)),
        most_steps=int(steps.max()),
        largest_support=int(evidence["support_size"].max()),
    )


def paper_game(device_counts, repeats, is_smoke):
    """Time the double oracle on the paper's game, and the direct way."""
    kappas = np.linspace(0, 10, 41)[: 3 if is_smoke else None]
    name = "T=5, V=10, theta=5"
    rows = [double_oracle(name, PAPER, kappas, n, repeats) for n in device_counts]
    if HAS_QUANTECON:
        direct = [quantecon_baseline.solve_tabulated(PAPER, x) for x in (1.0, 2.5)]
        seconds = float(np.mean([x["run_s"] for x in direct]))
        for mine in rows:
            mine["baseline_ratio"] = mine["games_per_s"] * seconds
        rows += direct
    return rows


def large_games(part, device_counts, repeats, is_smoke):
    """Time the double oracle on games that nobody can tabulate."""
    if part == "day":
        horizon, limit, kappas = 78, 1000, np.linspace(0, 5, 100)
    else:
        horizon, limit, kappas = 390, 200, np.array([0.2, 1.0, 1.9, 2.5, 5.0])
    numbers = {"horizon": horizon, "targets": [10_000, 10_000]}
    numbers |= {"min_trade": -limit, "max_trade": limit}
    name = f"T={horizon}, V=10000, theta={limit}"
    kappas = kappas[: 2 if is_smoke else None]
    return [double_oracle(name, numbers, kappas, n, repeats) for n in device_counts]


# --- Many players ---------------------------------------------------------------------


def many_players(num_players, repeats):
    """Time the fractional equilibrium of many players, and learning among them."""
    rng = np.random.default_rng(3)
    numbers = {"horizon": 50, "min_trade": -40, "max_trade": 40}
    targets = rng.integers(-500, 501, num_players)
    gaps = jax.jit(lambda game, schedules: best_response_gaps(game, schedules).max())
    rows = []
    for kappa in (0.2, 1.0, 1.9):
        game = gtrade.TradingGame(**numbers, targets=targets, permanent_impact=kappa)
        solver = gtrade.FractionalNash()
        solution, first, later = timed(lambda: gtrade.solve(game, solver), repeats)  # noqa: B023
        start = time.perf_counter()
        evidence = gtrade.verify(game, solution, solver=solver)
        verify_s = time.perf_counter() - start
        cost = float(np.abs(evidence["values"]).max())
        rows.append(
            row(
                f"FractionalNash, n={num_players}, T=50, kappa={kappa:g}",
                "float64",
                1,
                1,
                first,
                later,
                largest_gap=float(evidence["exploitability"]) / cost,
                gap_is="exploitability / largest cost of a player, fractional shares",
                lots_gap=float(evidence["lots_exploitability"]) / cost,
                residual=float(solution.residual),
                without_answer=int(not is_success(solution.status)),
                steps=int(solution.num_steps),
                verify_s=verify_s,
            )
        )
    equal = np.full(num_players, 500)
    game = gtrade.TradingGame(**numbers, targets=equal, permanent_impact=1.0)
    rounds, noise = 300, 10.0
    key = jax.random.key(0)
    with jax.enable_x64(False):
        played = gtrade.TradingGame(**numbers, targets=equal, permanent_impact=1.0)
        short = gtrade.FTPL(perturbation="linear", noise=noise, num_rounds=rounds)
        solution, first, later = timed(
            lambda: gtrade.solve(played, short, key=key), repeats
        )
    schedules = solution.value.schedules
    start = time.perf_counter()
    epsilon = float(gaps(game, schedules))
    verify_s = time.perf_counter() - start
    flow = np.asarray(schedules, np.float64).mean(axis=0)
    pressure = np.asarray(game.price_pressure(jnp.asarray(flow.sum(axis=0))))
    cost = float(np.abs(flow @ pressure).max())
    rows.append(
        row(
            f"composite FTPL, n={num_players}, T=50, {rounds} rounds, noise {noise:g}",
            "float32 play, float64 evidence",
            1,
            1,
            first,
            later,
            responses_per_s=num_players * rounds / float(np.median(later)),
            epsilon=epsilon,
            largest_gap=epsilon / cost,
            gap_is="epsilon of the mixed profile / largest cost of a player",
            steps=rounds,
            verify_s=verify_s,
        )
    )
    return rows


# --- Report ---------------------------------------------------------------------------


def show(rows):
    """Print the results as a table."""
    table = Table(title=f"{device_name()}, jax {jax.__version__}")
    table.add_column("what")
    keys = ("batch", "devices", "compile_s", "run_s", "games_per_s", "steps")
    keys += ("largest_gap", "without_answer", "baseline_ratio", "fraction_of_peak")
    for key in keys:
        table.add_column(key.replace("_", " "), justify="right")
    for result in rows:
        values = [result.get(key) for key in keys]
        cells = ["" if x is None else f"{x:.4g}" for x in values]
        table.add_row(result["what"], *cells)
    Console(width=170).print(table)


def main():
    """Measure, print a table, and write JSON."""
    arguments = read_arguments(__doc__, PARTS)
    repeats, is_smoke = arguments.repeats, arguments.smoke
    device_counts = sorted({1, len(jax.local_devices())})
    rows = []
    with jax.enable_x64(True):
        peak = peak_operations(len(jax.local_devices()), jnp.float64)
        if "pivoting" in arguments.parts:
            for kind in ("normal", "integers 0..3", "integers 0..1"):
                rows += pivoting(
                    kind, 200 if is_smoke else 10_000, device_counts, repeats
                )
        if "paper" in arguments.parts:
            rows += paper_game(device_counts, repeats, is_smoke)
        for part in ("day", "long"):
            if part in arguments.parts:
                rows += large_games(part, device_counts, min(repeats, 3), is_smoke)
        if "players" in arguments.parts:
            rows += many_players(50 if is_smoke else 1000, min(repeats, 3))
    for result in rows:
        if "multiply_adds" in result:
            at_best = result["multiply_adds"] / (peak * result["devices"])
            result["bound_s"] = at_best
            result["fraction_of_peak"] = at_best / result["run_s"]
    show(rows)
    print(f"peak of a device (matrix product): {peak:.3g} float64 multiply-adds/s")
    write_record(
        arguments,
        rows,
        repeats="median of as many calls as each row says",
        peak_multiply_adds_per_s_and_device=peak,
    )


if __name__ == "__main__":
    main()
