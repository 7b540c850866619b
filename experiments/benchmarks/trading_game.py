"""Benchmark the trading game: learning, evidence and best responses.

Run by hand: `python experiments/benchmarks/trading_game.py --out results.json`. Every
number is measured in this run, the NumPy baseline included. Nothing here is a test.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
import numpy_baseline
from measuring import (
    device_name,
    peak_operations,
    read_arguments,
    timed,
    write_record,
)
from rich.console import Console
from rich.table import Table

import gtrade
from gtrade.responses.dynamic_programming import _num_arcs, _windows
from gtrade.responses.separable import separable_response
from gtrade.solving import LaneProgram
from gtrade.verification.play import verify_trading_solution

PAPER = {"horizon": 5, "targets": [10, 10], "min_trade": -5, "max_trade": 5}
KAPPAS = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0, 10.0]
NOISE, ROUNDS, RUNS = 50.0, 2500, 100
PUBLISHED_SECONDS = 18.4  # one run of the published code with its regret trace, 1 core
# Operations per (state, trade) pair: multiply-add, add, compare, two selects, shift-or.
OPERATIONS_PER_ARC = 6
ARCS = _num_arcs(_windows(5, -5, 5, (10, 10)), -5, 5)


def learning(num_devices, perturbation, noise, num_runs, repeats):
    """Time the paper's sweep and, apart from it, all evidence about it."""
    kappas = np.repeat(KAPPAS, num_runs)
    size = -(-len(kappas) // num_devices) * num_devices
    kappas = np.resize(kappas, size)
    solver = gtrade.FTPL(noise=noise, num_rounds=ROUNDS, perturbation=perturbation)
    games = gtrade.make_batch(gtrade.TradingGame, **PAPER, permanent_impact=kappas)
    solver = solver.prepare(games)
    play = LaneProgram(
        lambda game, key: solver.solve(game, key=key),
        num_devices=num_devices,
        cpu_compiler_options=solver.cpu_compiler_options(games),
    )
    keys = jax.random.split(jax.random.key(0), size)
    solution, first, later = timed(lambda: play(games, keys), repeats)
    seconds = float(np.median(later))
    with jax.enable_x64(True):
        exact = gtrade.make_batch(gtrade.TradingGame, **PAPER, permanent_impact=kappas)
        check = LaneProgram(
            lambda game, solution: verify_trading_solution(game, solver, solution),
            num_devices=num_devices,
        )
        rows, check_first, later = timed(lambda: check(exact, solution), repeats)
        check_seconds = float(np.median(later))
    responses = size * 2 * ROUNDS
    return {
        "what": f"FTPL {perturbation}, {size} runs x {ROUNDS} rounds",
        "devices": num_devices,
        "dtype": "float32 play, float64 evidence",
        "compile_s": first - seconds,
        "dynamics_s": seconds,
        "metrics_compile_s": check_first - check_seconds,
        "metrics_s": check_seconds,
        "responses_per_s": responses / seconds,
        "arcs_per_s": responses * ARCS / seconds if perturbation == "full" else None,
        "published_code_ratio_per_device": PUBLISHED_SECONDS
        * size
        / (seconds * num_devices),
        "mean_welfare": float(np.mean(np.asarray(rows["welfare"]))),
    }


def baseline(num_runs):
    """Time the plain NumPy version on one core: the same sweep as one batch."""
    kappas = np.repeat(KAPPAS, num_runs)
    rng = np.random.default_rng(0)
    start = time.perf_counter()
    history = numpy_baseline.published_ftpl_batch(
        5, (10, 10), -5, 5, kappas, NOISE, ROUNDS, len(kappas), rng
    )
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    for i, kappa in enumerate(KAPPAS):
        runs = history[i * num_runs : (i + 1) * num_runs]
        numpy_baseline.metrics(runs, kappa, -5, 5)
    metrics = time.perf_counter() - start
    responses = len(kappas) * 2 * ROUNDS
    return {
        "what": f"NumPy baseline, {len(kappas)} runs x {ROUNDS} rounds",
        "devices": 1,
        "dtype": "float64",
        "dynamics_s": seconds,
        "metrics_s": metrics,
        "responses_per_s": responses / seconds,
        "arcs_per_s": responses * ARCS / seconds,
    }


def responses(horizon, limit, target, batch, kappa, dtype, repeats):
    """Time the closed-form best response on one device."""
    rng = np.random.default_rng(1)
    flows = jnp.asarray(rng.integers(-limit, limit + 1, (batch, horizon)), dtype)
    held = jnp.cumsum(flows, axis=1) - flows
    weight = dtype(1 - kappa / 2)
    respond = LaneProgram(
        lambda g: separable_response(
            g, weight, jnp.int32(target), min_trade=-limit, max_trade=limit
        ),
        num_devices=1,
    )
    linear = flows + dtype(kappa) * held
    _, first, later = timed(lambda: respond(linear), repeats)
    seconds = float(np.median(later))
    name = f"closed form, T={horizon}, theta={limit}, kappa={kappa:g}, batch {batch}"
    return {
        "what": name,
        "devices": 1,
        "dtype": np.dtype(dtype).name,
        "compile_s": first - seconds,
        "dynamics_s": seconds,
        "responses_per_s": batch / seconds,
    }


def main():
    """Measure, print a table, and write JSON."""
    arguments = read_arguments(__doc__, calls_lapack=False)
    runs, repeats = 1 if arguments.smoke else RUNS, arguments.repeats
    all_devices = len(jax.local_devices())
    rows = [baseline(runs)]
    rows.append(learning(all_devices, "full", NOISE, runs, repeats))
    rows.append(learning(all_devices, "linear", 10.0, runs, repeats))
    if jax.devices()[0].platform != "cpu":
        rows.append(learning(1, "full", NOISE, 50_000 // len(KAPPAS), repeats))
    batch = 100 if arguments.smoke else 10_000
    with jax.enable_x64(True):
        for kappa in (1.0, 5.0):
            for dtype in (np.float32, np.float64):
                rows.append(responses(5, 5, 10, batch, kappa, dtype, repeats))
            rows.append(responses(390, 1000, 10_000, batch, kappa, np.float64, repeats))
    peak = all_devices * peak_operations(all_devices, jnp.float32)
    table = Table(title=f"{device_name()}, jax {jax.__version__}")
    columns = ("compile s", "run s", "metrics s", "responses/s", "arcs/s", "of peak")
    table.add_column("what")
    table.add_column("dtype")
    for column in ("devices", *columns):
        table.add_column(column, justify="right")
    for row in rows:
        arcs = row.get("arcs_per_s")
        if arcs:
            share = row["devices"] / all_devices
            row["fraction_of_peak"] = arcs * OPERATIONS_PER_ARC / (peak * share)
        cells = [row["what"], row["dtype"], str(row["devices"])]
        keys = ("compile_s", "dynamics_s", "metrics_s", "responses_per_s", "arcs_per_s")
        for key in (*keys, "fraction_of_peak"):
            value = row.get(key)
            cells.append("" if value is None else f"{value:.3g}")
        table.add_row(*cells)
    Console(width=150).print(table)
    print(f"peak (matrix product): {peak:.3g} float32 multiply-adds/s")
    write_record(
        arguments,
        rows,
        repeats=f"median of {repeats}",
        peak_multiply_adds_per_s=peak,
    )


if __name__ == "__main__":
    main()
