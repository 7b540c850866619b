"""Benchmark position building: batches of Bayesian games and their solvers.

Run by hand: `python experiments/benchmarks/position_building.py --out results.json`.
Every number is measured in this run, the SciPy baseline included. Nothing here is a
test.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
from expm_baseline import solve_one
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
from gtrade.numerics.linear_ode import mode_responses
from gtrade.numerics.quadrature import SMOOTH
from gtrade.problems.position_costs import expected_costs, realised_costs
from gtrade.solution import is_success
from gtrade.solving import LaneProgram

POINTS, GAMES, LOOPED = 64, 100_000, 200
PARTS = ("batch", "solvers", "kernel", "sizes")


def draw_games(count, shape=(2, 2), seed=5):
    """Return random games as columns: kappas of 0.3 to 15, targets of -2 to 6."""
    rng = np.random.default_rng(seed)
    size, profiles = sum(shape), int(np.prod(shape))
    return {
        "permanent_impacts": np.exp(
            rng.uniform(np.log(0.3), np.log(15.0), (count, size))
        ),
        "targets": rng.uniform(-2.0, 6.0, (count, size)),
        "prior": rng.dirichlet(np.ones(profiles), count).reshape(count, *shape),
    }


def make(columns, shape=(2, 2), dtype=None):
    """Return the batch of problems on the device."""
    games = gtrade.make_batch(gtrade.PositionBuilding, num_types=shape, **columns)
    return jax.block_until_ready(
        jax.tree.map(lambda x: jnp.asarray(x, dtype or x.dtype), games)
    )


def whole(solver):
    """Return a function of one game: schedules and all costs, no certificate."""

    def solve(game):
        solution = solver.solve(game)
        paths = solution.value
        return {
            "status": solution.status,
            "residual": solution.residual,
            "schedules": paths.schedules,
            "initial_rates": paths.initial_rates,
            "expected_costs": expected_costs(game, paths),
            "realised_costs": realised_costs(game, paths),
        }

    return solve


def baseline(columns, repeats):
    """Time SciPy's way on some of the games, one core."""
    later = []
    for _ in range(repeats):
        start = time.perf_counter()
        answers = [
            solve_one(prior, impacts, targets, POINTS)
            for prior, impacts, targets in zip(
                columns["prior"][:LOOPED],
                columns["permanent_impacts"][:LOOPED],
                columns["targets"][:LOOPED],
                strict=True,
            )
        ]
        later.append(time.perf_counter() - start)
    games_per_s = len(answers) / float(np.median(later))
    found = row(
        f"SciPy expm loop, {POINTS} times, expected costs",
        "float64",
        len(answers),
        1,
        later[0],
        later,
        games_per_s=games_per_s,
    )
    return found, games_per_s, answers


def batch(count, device_counts, repeats):
    """Time one call for all games against the loop over SciPy's exponentials."""
    columns = draw_games(count)
    found, games_per_s, answers = baseline(columns, repeats)
    rows = [found]
    for dtype in ("float64", "float32"):
        with jax.enable_x64(dtype == "float64"):
            games = make(columns, dtype=dtype)
            for devices in device_counts:
                program = LaneProgram(
                    whole(gtrade.Spectral(num_points=POINTS)),
                    num_devices=devices,
                    cpu_block=gtrade.Spectral.cpu_block,
                )
                result, first, later = timed(lambda: program(games), repeats)  # noqa: B023
                median = float(np.median(later))
                error = max(
                    float(
                        np.abs(np.asarray(result["schedules"][i]) - answers[i][0]).max()
                    )
                    for i in range(min(LOOPED, count))
                )
                rows.append(
                    row(
                        "Spectral, schedules and all costs, 2 x 2 types",
                        dtype,
                        count,
                        devices,
                        first,
                        later,
                        games_per_s=count / median,
                        baseline_ratio=count / median / games_per_s / devices,
                        baseline_is="games per second and core, by the loop over SciPy",
                        without_answer=int((~is_success(result["status"])).sum()),
                        largest_residual=float(np.nanmax(result["residual"])),
                        largest_difference=error,
                    )
                )
    return rows


def solvers(count, repeats):
    """Time every solver on the same games."""
    rows = []
    columns = draw_games(count)
    with jax.enable_x64(True):
        games = make(columns)
        for name, solver in {
            "Spectral": gtrade.Spectral(),
            "MatrixExponential": gtrade.MatrixExponential(),
            "Constrained": gtrade.Constrained(),
            "LineResponses": gtrade.LineResponses(),
            "GradientPlay": gtrade.GradientPlay(),
        }.items():
            solution, first, later = timed(
                lambda: gtrade.solve_batch(games, solver),  # noqa: B023
                repeats,
            )
            start = time.perf_counter()
            evidence = gtrade.verify(games, solution)
            verify_s = time.perf_counter() - start
            scale = np.abs(evidence["expected_costs"]).max(axis=1)
            rows.append(
                row(
                    f"{name}, 65 points, 2 x 2 types",
                    "float64",
                    count,
                    1,
                    first,
                    later,
                    games_per_s=count / float(np.median(later)),
                    largest_exploitability=float(
                        (evidence["exploitability"] / scale).max()
                    ),
                    exploitability_is="relative to the game's largest cost, by verify",
                    verify_s=verify_s,
                    without_answer=int((~is_success(solution.status)).sum()),
                    most_steps=int(np.asarray(solution.num_steps).max()),
                )
            )
    return rows


def kernel(count, repeats):
    """Time the hottest kernel alone, against the bound that exponentials set."""
    rows = []
    times = np.concatenate([np.linspace(0.0, 1.0, POINTS), SMOOTH.times])
    for dtype in ("float64", "float32"):
        with jax.enable_x64(dtype == "float64"):
            rates = jnp.asarray(
                np.random.default_rng(0).normal(size=(count, 4)) * 5, dtype
            )
            at = jnp.asarray(times, dtype)
            pieces = {
                "mode responses": lambda x: mode_responses(x, at, 1),  # noqa: B023
                "as many exponentials": lambda x: jnp.exp(-jnp.abs(x[:, None] * at)),  # noqa: B023
            }
            for what, function in pieces.items():
                program = LaneProgram(function, num_devices=1)
                _, first, later = timed(lambda: program(rates), repeats)  # noqa: B023
                rows.append(
                    row(
                        f"{what}, 4 modes at {len(times)} times",
                        dtype,
                        count,
                        1,
                        first,
                        later,
                        values_per_s=count * 4 * len(times) / float(np.median(later)),
                    )
                )
    return rows


def sizes(count, repeats, is_smoke):
    """Time games of growing size, and many firms."""
    rows = []
    with jax.enable_x64(True):
        shapes = [(1, 1), (2, 2), (3, 3), (4, 4, 4), (4, 4, 4, 4, 4)]
        for shape in shapes[: 2 if is_smoke else None]:
            games = make(draw_games(count, shape), shape)
            program = LaneProgram(
                whole(gtrade.Spectral(num_points=POINTS)),
                num_devices=1,
                cpu_block=gtrade.Spectral.cpu_block,
            )
            _, first, later = timed(lambda: program(games), repeats)  # noqa: B023
            rows.append(
                row(
                    f"Spectral, {' x '.join(map(str, shape))} types",
                    "float64",
                    count,
                    1,
                    first,
                    later,
                    games_per_s=count / float(np.median(later)),
                )
            )
        num_firms = 20 if is_smoke else 200
        game = gtrade.PositionBuilding(
            np.full(num_firms, 5.0), np.arange(num_firms) / 9
        )
        _, first, later = timed(lambda: gtrade.solve(game, gtrade.Spectral()), repeats)
        rows.append(row(f"Spectral, {num_firms} firms", "float64", 1, 1, first, later))
    return rows


def main():
    """Run the parts asked for and print them."""
    arguments = read_arguments(__doc__.splitlines()[0], PARTS, one_thread=True)
    device_counts = sorted({1, len(jax.local_devices())})
    smoke = arguments.smoke
    count = 256 if smoke else GAMES
    rows = []
    if "batch" in arguments.parts:
        rows += batch(count, device_counts, arguments.repeats)
    if "solvers" in arguments.parts:
        rows += solvers(16 if smoke else 1000, arguments.repeats)
    if "kernel" in arguments.parts:
        rows += kernel(256 if smoke else 20_000, arguments.repeats)
    if "sizes" in arguments.parts:
        rows += sizes(16 if smoke else 1000, arguments.repeats, smoke)
    with jax.enable_x64(True):
        peak = peak_operations(1, "float64")
    table = Table(title=device_name())
    for header in (
        "what",
        "dtype",
        "batch",
        "devices",
        "compile s",
        "run s",
        "us each",
    ):
        table.add_column(header, justify="left" if header == "what" else "right")
    table.add_column("x SciPy a core", justify="right")
    for found in rows:
        each = found["run_s"] / found["batch"] * 1e6
        ratio = found.get("baseline_ratio")
        table.add_row(
            found["what"],
            found["dtype"],
            str(found["batch"]),
            str(found["devices"]),
            f"{found['compile_s']:.2f}",
            f"{found['run_s']:.4f}",
            f"{each:.2f}",
            "" if ratio is None else f"{ratio:.0f}",
        )
    Console(width=130).print(table)
    write_record(arguments, rows, multiply_adds_per_s_and_core=peak)


if __name__ == "__main__":
    main()
