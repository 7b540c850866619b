"""Benchmark Monte Carlo against NumPy, plain Python and the machine's bounds.

Run by hand: `python experiments/benchmarks/monte_carlo.py --out results.json --markdown
table.md`. One command measures everything, each part in a process of its own with as
many cores as it may use: NumPy, loops and one core of the package side by side on one
core; all cores; and peak memory at growing numbers of paths. On a GPU `--chunk-size`
says how many paths are computed at a time. Nothing here is a test.
"""

import argparse
import dataclasses
import functools
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import monte_carlo_baselines as baselines
import numpy as np
from counting import counted
from execution_baselines import plans
from measuring import (
    bounds,
    device_name,
    once,
    read_arguments,
    row,
    timed,
    write_record,
)
from rich.console import Console
from rich.table import Table

import gtrade
from gtrade.numerics.counter_random import normals
from gtrade.numerics.lanes import fenced
from gtrade.simulation import monte_carlo
from gtrade.simulation.almgren_chriss import ExecutionSampler
from gtrade.simulation.kyle import KyleAuctions, KyleMarket
from gtrade.solvers.monte_carlo import CPU_OPTIONS
from gtrade.solving import LaneProgram, make_program, share_among

CHUNKS = (2**11, 2**12, 2**13, 2**14, 2**15, 2**16)  # that NumPy may choose from
GENERATORS = {"PCG64": np.random.PCG64, "SFC64": np.random.SFC64}
PATHS_PER_CORE, SOLVER_PATHS, DRAWN_PATHS = 2**24, 2**22, 2**22
MEMORY_PATHS = (10**6, 10**8, 10**9)
AUCTIONS, PERIODS = 20, 10
PARTS = ("one", "all", "memory")


@dataclasses.dataclass(frozen=True)
class Case:
    """A market to simulate.

    Attributes:
        name: the model's.
        baseline: its simulation with NumPy.
        numbers: arguments of the baseline.
        loop: its simulation in plain Python.
        loops: paths that this takes seconds for.
        sampler: returns the package's, in the float width that is on.
        solver: returns a problem and the Monte Carlo solver, in that width.
        draws: normals that a path needs.
        checked: outcome that has a closed form, in the package and in the baseline.
        exact: its mean.
        column: its name among the solver's, if another.
    """

    name: str
    baseline: type
    numbers: dict[str, Any]
    loop: Callable[..., Any]
    loops: int
    sampler: Callable[[], Any]
    solver: Callable[[], Any]
    draws: int
    checked: tuple[str, Any]
    exact: float
    column: str = ""

    @property
    def solver_name(self):
        """What the solver calls the checked outcome."""
        return self.column or self.checked[0]


def kyle():
    """Return one auction with one insider who knows the value."""
    problem = {"value_std": 1.3, "noise_std": 0.7}
    rules = {"price_impact": 1.3 / 1.4, "intensity": 0.7 / 1.3}
    return Case(
        "kyle",
        baselines.KyleAuction,
        problem | rules,
        baselines.kyle_loop,
        200_000,
        lambda: KyleMarket(
            gtrade.Kyle(**problem), **{k: jnp.asarray(x) for k, x in rules.items()}
        ),
        lambda: (gtrade.Kyle(**problem), gtrade.KyleMonteCarlo),
        2,
        ("insider_profit", 5),
        1.3 * 0.7 / 2,
    )


def kyle_sequential():
    """Return auctions in sequence with one insider."""
    with jax.enable_x64(True):
        problem = gtrade.KyleSequential(1.0, 1.0, num_auctions=AUCTIONS)
        answer = gtrade.solve(problem, gtrade.KyleSequentialClosedForm()).value
        steps = np.asarray(problem.durations)
        impacts = np.exp(np.asarray(answer.log_price_impact))
        log_stds = np.append(0.0, np.asarray(answer.log_variance) / 2)
        shares = impacts * np.exp(np.asarray(answer.log_intensity)) * steps

    def make():
        return gtrade.KyleSequential(1.0, 1.0, num_auctions=AUCTIONS)

    def auctions(problem):
        numbers = shares, np.log(impacts), log_stds
        return KyleAuctions(problem, *(jnp.asarray(x) for x in numbers))

    return Case(
        "kyle-sequential",
        baselines.KyleAuctions,
        {
            "value_std": 1.0,
            "num_insiders": 1,
            "noise_stds": np.sqrt(steps),
            "price_impacts": impacts,
            "shares": shares,
        },
        baselines.sequential_loop,
        10_000,
        lambda: auctions(make()),
        lambda: (make(), gtrade.KyleSequentialMonteCarlo),
        1 + AUCTIONS,
        ("total_profit", (-1, 0)),
        float((impacts * steps).sum()),
    )


def almgren_chriss():
    """Return the published sale (Almgren & Chriss 2001, section 4) in ten periods."""
    numbers = {
        "shares": 1e6,
        "horizon": 5.0,
        "num_periods": PERIODS,
        "volatility": 0.95,
        "permanent_impact": 2.5e-7,
        "temporary_impact": 2.5e-6,
        "fixed_cost": 0.0625,
        "risk_aversion": 1e-6,
    }
    games = {
        name: x if name == "num_periods" else np.array([x])
        for name, x in numbers.items()
    }
    holdings, cost, _ = plans(games, games["risk_aversion"])
    trades = -np.diff(holdings[0])
    return Case(
        "almgren-chriss",
        baselines.Execution,
        numbers | {"trades": trades},
        baselines.execution_loop,
        100_000,
        lambda: ExecutionSampler(gtrade.AlmgrenChriss(**numbers), jnp.asarray(trades)),
        lambda: (
            gtrade.AlmgrenChriss(**numbers),
            functools.partial(gtrade.AlmgrenChrissMonteCarlo, has_quantiles=False),
        ),
        PERIODS,
        ("shortfall", 0),
        float(cost[0]),
        "expected_cost",
    )


CASES = (kyle, kyle_sequential, almgren_chriss)


def width(dtype):
    """Return the context in which floats are of this width."""
    return jax.enable_x64(dtype == "float64")


def with_rate(found, paths, **more):
    """Add paths a second and nanoseconds a path to a result."""
    seconds = found["run_s"]
    return found | {
        "paths": paths,
        "paths_per_s": paths / seconds,
        "ns_per_path": 1e9 * seconds / paths,
        **more,
    }


def distance(mean, error, exact):
    """Return by how many standard errors an estimate misses."""
    return float(abs(mean - exact) / error)


# --- One core: NumPy and loops --------------------------------------------------------


def measure_numpy(case, dtype, num_paths, repeats):
    """Time NumPy with every generator and chunk, and return the fastest of all."""
    best = None
    for name, generator in GENERATORS.items():
        for chunk in CHUNKS:

            def run():
                rng = np.random.Generator(generator(5))  # noqa: B023
                return baselines.simulate(
                    case.baseline,
                    case.numbers,
                    num_paths,
                    chunk=chunk,  # noqa: B023
                    dtype=dtype,
                    rng=rng,
                )

            moments, first, later = timed(run, repeats)
            found = row("NumPy", dtype, num_paths, 1, first, later, compile_s=0.0)
            if best is None or found["run_s"] < best["run_s"]:
                mean, _, error = moments.estimates()
                place = case.checked[1]
                apart = distance(mean[place], error[place], case.exact)
                best = found | {
                    "generator": name,
                    "chunk": chunk,
                    "errors_from_exact": apart,
                }
    return with_rate(best, num_paths)


def measure_loop(case, num_paths):
    """Time plain Python, which has one width."""
    _, first, later = once(lambda: case.loop(case.numbers, num_paths))
    found = row("Python loop", "float64", num_paths, 1, first, later, compile_s=0.0)
    return with_rate(found, num_paths)


# --- The package ----------------------------------------------------------------------


def measure_estimate(case, dtype, num_paths, arguments):
    """Time `gtrade.estimate`, or one compiled call where a chunk size is asked for."""
    with width(dtype):
        sampler, key = case.sampler(), jax.random.key(0)
        if arguments.chunk_size:
            program = jax.jit(
                lambda sampler, key, count: monte_carlo.estimate(
                    sampler, key, count, chunk_size=arguments.chunk_size
                )
            )

            def run():
                return program(sampler, key, jnp.asarray(num_paths, jnp.uint32))
        else:

            def run():
                return gtrade.estimate(sampler, key=key, num_paths=num_paths)

        found, first, later = timed(run, arguments.repeats)
        name = case.checked[0]
        apart = distance(found.mean[name], found.standard_error[name], case.exact)
        chunk = arguments.chunk_size or monte_carlo.chunk_size_for(sampler)
    result = row("estimate", dtype, num_paths, arguments.devices, first, later)
    return with_rate(result, num_paths, chunk=chunk, errors_from_exact=apart)


def measure_solver(case, dtype, num_paths, arguments):
    """Time the Monte Carlo solver, one market a device in one call."""
    devices = arguments.devices
    with width(dtype):
        problem, solver_class = case.solver()
        solver = share_among(solver_class(num_paths=num_paths), devices)
        problems = share_among(problem, devices)
        keys = jax.random.split(jax.random.key(0), devices)
        program = make_program(solver, problems, devices)
        found, first, later = timed(
            lambda: program(problems, solver, keys), arguments.repeats
        )
        name = case.solver_name
        estimates = found.value.mean[name], found.value.standard_error[name]
        apart = max(
            distance(*pair, case.exact) for pair in zip(*estimates, strict=True)
        )
    result = row("monte-carlo", dtype, devices, devices, first, later)
    return with_rate(result, devices * num_paths, errors_from_exact=apart)


# --- Bounds ---------------------------------------------------------------------------


def _sum_of_draws(numbers):
    return numbers.sum(axis=-1)


def measure_draws(case, dtype, num_paths, arguments):
    """Time drawing a path's normals and adding them up, and nothing else."""
    with width(dtype):
        size = monte_carlo.chunk_size_for(case.sampler())
        size = min(size, num_paths)
        kind = jnp.dtype(dtype)

        def draw(key):
            def add_chunk(state):
                done, total = state
                paths = done + jnp.arange(size, dtype=jnp.uint32)
                numbers = normals(key, paths, case.draws, kind)
                # Added up as estimates are: once drawn, from cache.
                return done + size, total + fenced(_sum_of_draws)(numbers)

            state = jnp.zeros((), jnp.uint32), jnp.zeros(case.draws, kind)
            return jax.lax.while_loop(lambda s: s[0] < num_paths, add_chunk, state)[1]

        devices = arguments.devices
        program = LaneProgram(
            draw, num_devices=devices, cpu_compiler_options=CPU_OPTIONS, cpu_block=1
        )
        keys = jax.random.split(jax.random.key(0), devices)
        _, first, later = timed(lambda: program(keys), arguments.repeats)
    result = row("draws alone", dtype, devices, devices, first, later)
    return with_rate(result, devices * num_paths, draws=case.draws)


def least_times(case, dtype, draws, machine, arguments):
    """Return the least nanoseconds a path by what bounds it, all devices together."""
    size = 64
    with width(dtype):
        sampler, key = case.sampler(), jax.random.key(0)
        start = monte_carlo.begin(sampler, key)

        def one_chunk(start):
            return monte_carlo.advance(
                sampler, key, start, jnp.asarray(size, jnp.uint32), chunk_size=size
            )

        state_bytes = sum(x.nbytes for x in jax.tree.leaves(start))
        tally = counted(one_chunk, start)
        outcomes = jax.eval_shape(
            lambda: sampler.outcomes(sampler.draw(key, jnp.arange(1, dtype=jnp.uint32)))
        )
    with jax.enable_x64(True):
        operations, transcendentals, _ = np.asarray(jax.jit(tally)(start)) / size
    numbers = case.draws + sum(x.size for x in jax.tree.leaves(outcomes))
    rate = machine["bytes_per_s"]
    work = operations / machine["operations_per_s"]
    work += transcendentals / machine["exponentials_per_s"]
    return {
        "random numbers": draws["ns_per_path"],
        "arithmetic": 1e9 * work,
        "memory": 1e9 * 2 * state_bytes / rate / PATHS_PER_CORE,
        "memory, were paths kept": 1e9 * 2 * numbers * np.dtype(dtype).itemsize / rate,
        "operations": operations,
        "numbers": numbers,
        "devices": arguments.devices,
    }


# --- Parts ----------------------------------------------------------------------------


def measure_speed(arguments):
    """Return rows and bounds; NumPy and loops are timed where there is one core."""
    arguments.devices = len(jax.local_devices())
    is_smoke, on_one = arguments.smoke, arguments.part == "one"
    paths = 2**12 if is_smoke else PATHS_PER_CORE * arguments.devices
    paths = arguments.paths or paths
    rows, least = [], {}
    machine = {}
    for dtype in ("float32", "float64"):
        with width(dtype):
            machine[dtype] = bounds(arguments.devices, dtype)
    for make in CASES:
        case = make()
        if on_one:
            loops = 50 if is_smoke else case.loops
            found = measure_loop(case, loops)
            rows.append(found | {"case": case.name})
        for dtype in ("float32", "float64"):
            some = 2**12 if is_smoke else SOLVER_PATHS
            found = [
                measure_estimate(case, dtype, paths, arguments),
                measure_solver(case, dtype, some, arguments),
            ]
            if on_one:
                fewer = 2**12 if is_smoke else 2**20
                found += [measure_numpy(case, dtype, fewer, min(3, arguments.repeats))]
            drawn = 2**12 if is_smoke else DRAWN_PATHS
            draws = measure_draws(case, dtype, drawn, arguments)
            least[f"{case.name} {dtype}"] = least_times(
                case, dtype, draws, machine[dtype], arguments
            )
            rows += [x | {"case": case.name} for x in (*found, draws)]
            print(case.name, dtype, "done", file=sys.stderr, flush=True)
    return {"rows": rows, "bounds_ns_per_path": least, "machine": machine}


def measure_memory(arguments):
    """Return the peak memory of this process, which simulates so many paths."""
    with width("float32"):
        sampler = kyle().sampler()
        _, seconds, _ = once(
            lambda: gtrade.estimate(
                sampler, key=jax.random.key(0), num_paths=arguments.paths
            )
        )
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "paths": arguments.paths,
        "peak_memory_mib": kilobytes / 1024,
        "seconds_with_compilation": seconds,
    }


def add_arguments(parser):
    """Add what this benchmark takes besides."""
    parser.add_argument("--chunk-size", type=int, help="paths at a time, for a GPU")
    parser.add_argument("--paths", type=int, help="paths of `estimate`")
    parser.add_argument("--markdown", type=pathlib.Path, help="table to write")
    parser.add_argument("--read", type=pathlib.Path, help="a record, to show again")
    parser.add_argument("--note", default="", help="what else the machine did")
    # Set by this script for the processes that it starts.
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)


def in_own_process(part, arguments, **more):
    """Run one part in a process of its own, and return what it found."""
    options = {
        "part": part,
        "repeats": arguments.repeats,
        "chunk_size": arguments.chunk_size,
        "paths": arguments.paths,
        "cores": arguments.cores,
    } | more
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "found.json"
        command = [sys.executable, __file__, "--out", str(path)]
        for name, value in options.items():
            if value is not None:
                command += [f"--{name.replace('_', '-')}", str(value)]
        if arguments.smoke:
            command.append("--smoke")
        environment = {k: x for k, x in os.environ.items() if k not in _OWN}
        subprocess.run(command, check=True, env=environment)
        return json.loads(path.read_text())


_OWN = ("XLA_FLAGS", "PJRT_NPROC")  # which depend on the cores of a process


def run(arguments):
    """Measure every part, one after the other."""
    found = {}
    is_on_gpu = bool(arguments.chunk_size)
    if not is_on_gpu:
        found["one"] = in_own_process("one", arguments, cores=1)
    if is_on_gpu or arguments.cores > 1:
        found["all"] = in_own_process("all", arguments)
    counts = MEMORY_PATHS[:1] if arguments.smoke else MEMORY_PATHS
    found["memory"] = [
        in_own_process("memory", arguments, paths=count) for count in counts
    ]
    return found


# --- What is shown --------------------------------------------------------------------

HEADERS = (
    "simulation",
    "width",
    "cores",
    "M paths/s",
    "ns a path",
    "x NumPy",
    "x Python loop",
    "draws alone",
    "arithmetic",
    "memory",
)


def cells(record):
    """Return the table's lines: text by column."""
    lines = []
    found = {x["case"]: [] for x in record["rows"]}
    for x in record["rows"]:
        found[x["case"]].append(x)
    for case, rows in found.items():
        of_numpy = {x["dtype"]: x["ns_per_path"] for x in rows if x["what"] == "NumPy"}
        loops = [x["ns_per_path"] for x in rows if x["what"] == "Python loop"]
        for x in rows:
            if x["what"] == "draws alone":
                continue
            time, dtype = x["ns_per_path"], x["dtype"]
            is_own = x["what"] in ("estimate", "monte-carlo")
            least = record["bounds_ns_per_path"].get(
                f"{x['devices']} {case} {dtype}", {}
            )
            shares = [least.get(k) for k in ("random numbers", "arithmetic", "memory")]
            lines.append(
                [
                    f"{case}, {x['what']}",
                    "f32" if dtype == "float32" else "f64",
                    str(x["devices"]),
                    _number(x["paths_per_s"] / 1e6),
                    _number(time),
                    _number(of_numpy[dtype] / time) if of_numpy else "",
                    _number(loops[0] / time) if loops else "",
                    *(
                        _share(share / time) if is_own and share is not None else ""
                        for share in shares
                    ),
                ]
            )
    return lines


def _number(x):
    return f"{x:,.0f}" if x >= 100 else f"{x:.2g}"


def _share(x):
    return f"{100 * x:.2g} %" if x >= 1e-4 else "< 0.01 %"


def main():
    """Measure, or show a record again."""
    arguments = read_arguments(
        __doc__.splitlines()[0],
        one_thread=True,
        calls_lapack=False,
        add_more=add_arguments,
    )
    if arguments.part:
        measure = measure_memory if arguments.part == "memory" else measure_speed
        arguments.out.write_text(json.dumps(measure(arguments)))
        return
    if arguments.read:
        record = json.loads(arguments.read.read_text())
    else:
        found = run(arguments)
        parts = [found[name] for name in ("one", "all") if name in found]
        record = {
            "rows": [x for part in parts for x in part["rows"]],
            "bounds_ns_per_path": {
                f"{least['devices']} {name}": least
                for part in parts
                for name, least in part["bounds_ns_per_path"].items()
            },
            "memory": found["memory"],
        }
        machine = {name: found[name]["machine"] for name in found if name != "memory"}
        rest = {k: x for k, x in record.items() if k != "rows"}
        write_record(
            arguments, record["rows"], note=arguments.note, machine=machine, **rest
        )
    lines = cells(record)
    table = Table(title=record.get("device") or device_name())
    for place, header in enumerate(HEADERS):
        table.add_column(header, justify="left" if place < 2 else "right")
    for line in lines:
        table.add_row(*line)
    console = Console(width=140)
    console.print(table)
    for x in record["memory"]:
        console.print(f"{x['paths']:,} paths: {x['peak_memory_mib']:.0f} MiB")
    if arguments.markdown:
        rule = ["---", "---", *["--:"] * (len(HEADERS) - 2)]
        text = [f"| {' | '.join(x)} |" for x in (HEADERS, rule, *lines)]
        arguments.markdown.write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
