"""Benchmark every solver: batch sizes, problem sizes, bounds of the machine, baselines.

Run by hand: `python experiments/benchmarks/every_solver.py --out results.json --figure
costs.png`. Every number is measured in this run, the baselines' included; those of
packages that are not installed (`pip install -e '.[peers]'`) are left out. `--read`
shows a record again. Nothing here is a test.
"""

import json
import math
import pathlib
import sys
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import microstructure_baselines
import numpy as np
import position_baselines
import trading_baselines
from cases import CASES
from counting import TALLY, counted
from measuring import (
    bounds,
    call_seconds,
    device_name,
    read_arguments,
    timed,
    write_record,
)
from rich.console import Console
from tables import as_markdown, draw_costs, fit_exponents, show

import gtrade
from gtrade.catalog import get_model, resolve
from gtrade.solution import status_names
from gtrade.solvers.base import AbstractHostSolver
from gtrade.solving import make_program, share_among
from gtrade.sweeps.memory import available_memory

BATCHES = (1, 16, 256, 4096, 65536)
GROWING_S = 0.1  # of a call with games of standard size, where these then grow
VERIFIED = 256
COUNTED = 16  # games whose operations are counted
SHARE = 0.4  # of the memory a call may take
BASELINES = (
    trading_baselines.BASELINES
    | position_baselines.BASELINES
    | microstructure_baselines.BASELINES
)
PEERS = trading_baselines.PEERS
# What verification calls a gap, and the costs that it is relative to.
GAPS = ("exploitability", "distance_to_cce", "gap", "optimality_gap")
COSTS = (
    "values",
    "expected_costs",
    "costs",
    "welfare",
    "insider_profit",
    "expected_cost",
)


class Measurement:
    """Games of one case and size, ready to be solved in one call."""

    def __init__(self, case, count, num_devices, **sizes):
        """Draw the games; nothing is compiled yet."""
        model = get_model(case.model)
        entry = model.solver(case.solver)
        self.case, self.count, self.precision = case, count, entry.precision
        with self.context():
            self.games = gtrade.make_batch(
                resolve(model.problem), size=count, **case.games(count, **sizes)
            )
            solver = resolve(entry.target)(**case.solver_numbers(**sizes))
            self.solver = share_among(solver.prepare(self.games), count)
            self.keys = jax.random.split(jax.random.key(0), count)
        self.is_on_host = isinstance(solver, AbstractHostSolver)
        is_shared = count % num_devices == 0 and not self.is_on_host
        self.num_devices = num_devices if is_shared else 1
        self.program = make_program(self.solver, self.games, self.num_devices)
        self.inputs = jax.block_until_ready((self.games, self.solver, self.keys))

    def context(self):
        """Return the context in which the solver's floats have its own width."""
        return jax.enable_x64(self.precision == "f64")

    def compile(self):
        """Compile, and return the seconds it took and the bytes a call needs."""
        start = time.perf_counter()
        with self.context():
            needed = self.program.memory_bytes(*self.inputs)
        return time.perf_counter() - start, needed

    def solve(self):
        """Return the solutions."""
        with self.context():
            return jax.block_until_ready(self.program(*self.inputs))

    def block(self):
        """Return how many games a device computes at a time."""
        share = -(-self.count // self.num_devices)
        is_cpu = jax.devices()[0].platform == "cpu"
        return min(share, self.solver.cpu_block or share) if is_cpu else share


def count_work(case, **sizes):
    """Return operations, transcendentals and steps: means over a few games, and most.

    Of a solver on the host nothing is known.
    """
    few = Measurement(case, COUNTED, 1, **sizes)
    if few.is_on_host:
        return None
    arrays, static = eqx.partition(few.inputs, eqx.is_array)

    def solve(arrays):
        game, solver, key = eqx.combine(arrays, static)
        return jax.tree.leaves(solver.solve(game, key=key))

    with few.context():
        tally = counted(solve, jax.tree.map(lambda x: x[0], arrays))
    with jax.enable_x64(True):
        tallies = np.asarray(jax.jit(lambda x: jax.lax.map(tally, x))(arrays))
    return {
        name: {"mean": float(x.mean()), "most": float(x.max())}
        for name, x in zip(TALLY, tallies.T, strict=True)
    }


def bound(work, measurement, solution, machine):
    """Return the least seconds that arithmetic, memory and launches need."""
    moved = jax.tree.leaves((measurement.inputs, solution))
    num_bytes = sum(x.nbytes for x in moved if hasattr(x, "nbytes"))
    blocks = -(-measurement.count // (measurement.block() * measurement.num_devices))
    share = measurement.num_devices / machine["devices"]
    operations = work["operations"]["mean"] / machine["operations_per_s"]
    powers = work["transcendentals"]["mean"] / machine["exponentials_per_s"]
    return {
        "arithmetic": measurement.count * (operations + powers) / share,
        "bandwidth": num_bytes / machine["bytes_per_s"] / share,
        "launch": machine["calls_s"][measurement.num_devices]
        + blocks * work["steps"]["most"] * machine["step_s"],
    }


def measure(measurement, repeats, most_s):
    """Compile and time; return None where a call would take too much memory."""
    compile_s, needed = measurement.compile()
    if needed is not None and needed > SHARE * free_memory(measurement.num_devices):
        print(
            f"{measurement.case.name}: left out {measurement.count} games, which need"
            f" {needed / 2**30:.1f} GiB in one call",
            file=sys.stderr,
        )
        return None
    start = time.perf_counter()
    solution = measurement.solve()
    first = time.perf_counter() - start
    repeats = max(1, min(repeats, int(most_s / first)))
    _, _, later = timed(measurement.solve, repeats)
    run_s = float(np.median(later))
    names, counts = np.unique(status_names(solution.status), return_counts=True)
    row = {
        "what": measurement.case.name,
        "precision": measurement.precision,
        "batch": measurement.count,
        "devices": measurement.num_devices,
        "compile_s": None if measurement.is_on_host else compile_s,
        "run_s": run_s,
        "fastest_s": min(later),
        "slowest_s": max(later),
        "repeats": len(later),
        "games_per_s": measurement.count / run_s,
        "memory_bytes": needed,
        "status": {str(k): int(v) for k, v in zip(names, counts, strict=True)},
    }
    return solution, row


def free_memory(num_devices):
    """Return the bytes that a call may count on, on all its devices."""
    stats = jax.devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return num_devices * stats["bytes_limit"]
    return available_memory() or math.inf


def over_batches(case, machine, arguments):
    """Time batches of growing size, until a call takes too long."""
    work, rows = count_work(case), []
    expected = 0.0
    for batch in BATCHES:
        if batch > min(case.most, arguments.most) or expected > arguments.seconds:
            break
        measurement = Measurement(case, batch, machine["devices"])
        found = measure(measurement, arguments.repeats, arguments.seconds)
        if found is None:
            break
        solution, row = found
        if work is not None:
            parts = bound(work, measurement, solution, machine[row["precision"]])
            binding = max(parts, key=parts.get)
            row |= {"bounds_s": parts, "binding": binding}
            row["of_bound"] = parts[binding] / row["run_s"]
        rows.append(row)
        expected = 8 * row["run_s"] if batch > 1 else 0.0
    return rows, work


def over_sizes(case, name, count, machine, arguments):
    """Time games that grow in one size, the same number of them in every call."""
    rows = []
    least = min(count, machine["devices"])  # fewer would leave devices idle
    for value in case.growth[name][: 2 if arguments.smoke else None]:
        found = None
        while found is None and count >= least:
            measurement = Measurement(case, count, machine["devices"], **{name: value})
            found = measure(measurement, min(arguments.repeats, 3), arguments.seconds)
            if found is None:
                count //= 2
        if found is None:
            break
        row = found[1] | {"size": name, "value": value}
        rows.append(row)
        if row["run_s"] > arguments.seconds:
            break
    return rows


def compare(case, function, seconds):
    """Time a baseline on ever more games, until a call takes long enough to be fair.

    Arrays of few games are slow in NumPy; what counts is its best rate.
    """
    numbers, limit = case.solver_numbers(), min(case.most, 4096)
    count, best = 2, {"games_per_s": 0.0}
    while True:
        games = case.games(count)
        answer, _, (took,) = timed(lambda: function(games, numbers), 1)  # noqa: B023
        if count / took > best["games_per_s"]:
            best = {"games_per_s": count / took, "games": count}
        if took > seconds or count == limit:
            break
        count = min(8 * count, limit)
    found = best
    if case.answer is not None and answer is not None:
        mine = Measurement(case, count, 1)
        ours = np.asarray(getattr(mine.solve().value, case.answer))
        apart = np.abs(ours - answer).reshape(count, -1).max(axis=1)
        apart = apart / np.abs(ours).max()
        is_other = ~(apart <= case.tolerance)
        found["difference"] = float(apart.max())
        found["differing"] = float(is_other.mean())
        found["agrees"] = bool(is_other.mean() <= case.most_others)
    return found


def check(case):
    """Verify some answers; return the largest relative gap and the seconds a game."""
    some = Measurement(case, min(VERIFIED, case.most), 1)
    solution = some.solve()
    with some.context():

        def call():
            return gtrade.verify(some.games, solution, solver=some.solver)

        evidence, first, later = timed(call, 2)
    found = {"verify_s": min(later) / some.count, "verify_compile_s": first}
    gap = next((name for name in GAPS if name in evidence), None)
    if gap is not None:
        costs = next(evidence[name] for name in COSTS if name in evidence)
        scale = np.abs(np.reshape(costs, (some.count, -1))).max(axis=1)
        relative = evidence[gap] / np.where(scale > 0, scale, 1)
        found |= {"gap": float(relative.max()), "gap_is": gap}
    return found


def benchmark(case, machine, arguments):
    """Return everything about one case."""
    rows, work = over_batches(case, machine, arguments)
    if not rows:
        return None
    result = {"name": case.name, "sizes": case.sizes, "work": work, "batches": rows}
    best = max(row["games_per_s"] for row in rows)
    for kind, functions in (("baseline", BASELINES), ("peer", PEERS)):
        if case.name in functions:
            found = compare(case, functions[case.name], arguments.baseline_seconds)
            result[kind] = found | {"ratio": best / found["games_per_s"]}
    result["verification"] = check(case)
    growth = {} if arguments.no_growth else case.growth
    short = [row["batch"] for row in rows if row["run_s"] <= GROWING_S]
    count = max(short, default=rows[0]["batch"])
    result["growth"] = {
        name: over_sizes(case, name, count, machine, arguments) for name in growth
    }
    return result | {"exponents": fit_exponents(result)}


def add_arguments(parser):
    """Add what this benchmark takes besides."""
    parser.add_argument("--cases", nargs="+", help="parts of names; all by default")
    parser.add_argument("--seconds", type=float, default=4.0, help="longest call")
    parser.add_argument("--baseline-seconds", type=float, default=1.0)
    parser.add_argument("--most", type=int, default=2**16, help="largest batch")
    parser.add_argument("--no-growth", action="store_true", help="standard sizes only")
    parser.add_argument("--read", type=pathlib.Path, help="a record, to show again")
    parser.add_argument("--figure", type=pathlib.Path, help="figure to write")
    parser.add_argument("--markdown", type=pathlib.Path, help="table to write")


def main():
    """Run the cases asked for, and show and write what was found."""
    arguments = read_arguments(
        __doc__.splitlines()[0], one_thread=True, add_more=add_arguments
    )
    if arguments.read:
        record = json.loads(arguments.read.read_text())
        results = record["rows"]
    else:
        results, record = run(arguments)
    show(results, Console(width=165), record["device"])
    if arguments.figure:
        draw_costs(results, arguments.figure, record["device"])
    if arguments.markdown:
        arguments.markdown.write_text(as_markdown(results) + "\n")


def run(arguments):
    """Measure, and write the record after every case."""
    wanted = arguments.cases or [""]
    cases = [case for case in CASES if any(x in case.name for x in wanted)]
    if not cases:
        raise SystemExit(f"--cases {' '.join(wanted)}: part of no case's name")
    if arguments.smoke:
        arguments.most, arguments.baseline_seconds = 16, 0.01
    num_devices = len(jax.local_devices())
    machine = {"devices": num_devices}
    for precision, dtype in (("f32", jnp.float32), ("f64", jnp.float64)):
        with jax.enable_x64(precision == "f64"):
            machine[precision] = bounds(num_devices, dtype) | {
                "devices": num_devices,
                "calls_s": {n: call_seconds(n) for n in (1, num_devices)},
            }
    results, record = [], {"device": device_name()}
    for case in cases:
        start = time.perf_counter()
        result = benchmark(case, machine, arguments)
        results += [] if result is None else [result]
        seconds = time.perf_counter() - start
        print(f"{case.name}: {seconds:.0f} s", file=sys.stderr, flush=True)
        write_record(arguments, results, machine=machine)
    return results, record


if __name__ == "__main__":
    main()
