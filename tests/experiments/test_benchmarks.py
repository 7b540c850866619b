import argparse
import dataclasses
import importlib
import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtrade.catalog import MODELS, get_model, resolve
from gtrade.problems.base import make_batch
from gtrade.solving import solve

FOLDER = Path(__file__).parents[2] / "experiments" / "benchmarks"


@pytest.fixture
def benchmark_module(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module


def tally(counting, function, *args):
    with jax.enable_x64(True):
        return np.asarray(jax.jit(counting.counted(function, *args))(*args))


def test_every_solver_of_the_catalog_has_a_case_and_a_baseline(benchmark_module):
    cases = benchmark_module("cases").CASES
    solvers = {
        (model, entry.name) for model in MODELS for entry in get_model(model).solvers
    }
    assert {(case.model, case.solver) for case in cases} == solvers
    every = benchmark_module("every_solver")
    assert set(every.BASELINES) == {case.name for case in cases}


def test_cases_draw_admissible_games_of_every_size(benchmark_module):
    for case in benchmark_module("cases").CASES:
        model = get_model(case.model)
        solver_class = resolve(model.solver(case.solver).target)
        problem = resolve(model.problem)
        for name, values in case.growth.items():
            for value in values:
                sizes = {name: value}
                games = case.games(2, **sizes)
                make_batch(problem, size=2, **games)
                numbers = case.solver_numbers(**sizes)
                solver_class.validate_for(games, **numbers)
                solver_class(**numbers)


def test_counts_what_a_program_does(benchmark_module):
    counting = benchmark_module("counting")
    x, matrix = np.arange(1.0, 5.0), np.eye(4)
    assert tuple(tally(counting, lambda x: x * 2 + x, x)) == (8, 0, 0)
    assert tuple(tally(counting, jnp.exp, x)) == (0, 4, 0)
    assert tuple(tally(counting, lambda a: a @ a, matrix)) == (128, 0, 0)
    assert tuple(tally(counting, lambda x: x.sum() + x[0], x)) == (5, 0, 0)
    assert tuple(tally(counting, lambda x: x[::-1].reshape(2, 2), x)) == (0, 0, 0)

    def two_sums(x):
        def add(xs, ys):
            return xs[0] + ys[0], xs[1] + ys[1]

        return jax.lax.reduce((x, x), (0.0, 0.0), add, (0,))

    assert tuple(tally(counting, two_sums, x)) == (8, 0, 0)
    # Neither what is the same for every game nor what nobody asks for.
    table = jnp.ones((64, 64), jnp.int32)
    assert tuple(
        tally(counting, lambda x: x * (table @ table)[0, 0].astype(float), x)
    ) == (4, 0, 0)
    unused = jax.jit(lambda x: (x + 1, jnp.sin(x)))
    assert tuple(tally(counting, lambda x: unused(x)[0], x)) == (4, 0, 0)
    operations, _, _ = tally(counting, jnp.linalg.solve, matrix, x)
    assert operations >= 2 / 3 * 4**3 + 2 * 4**2  # a factorisation, two substitutions


def test_counts_loops_by_how_often_they_run(benchmark_module):
    counting = benchmark_module("counting")

    def doublings(x):  # one comparison and one product a step
        return jax.lax.while_loop(lambda x: x < 100, lambda x: x * 2, x)

    for start in (1.0, 60.0, 200.0):
        steps = max(math.ceil(math.log2(100 / start)), 0)
        assert tuple(tally(counting, doublings, start)) == (2 * steps, 0, steps)

    def nested(x):
        def step(total, x):
            return total + doublings(x), jnp.exp(x)

        return jax.lax.scan(step, 0.0, x)

    starts = np.array([1.0, 60.0, 200.0])
    assert tuple(tally(counting, nested, starts)) == (3 + 2 * 8, 3, 3 + 8)

    def branch(x):
        return jax.lax.cond(x > 0, lambda x: x * x + x, lambda x: x, x)

    with_else = [tally(counting, branch, x)[0] for x in (1.0, -1.0)]
    assert with_else == [3, 1]


def test_counting_leaves_a_solver_as_it_is(benchmark_module):
    counting = benchmark_module("counting")
    (case,) = (
        x for x in benchmark_module("cases").CASES if x.name == "bimatrix/lemke-howson"
    )
    with jax.enable_x64(True):
        games = make_batch(resolve(get_model("bimatrix").problem), **case.games(1))
        game = jax.tree.map(lambda x: x[0], games)
        solver = resolve(get_model("bimatrix").solver("lemke-howson").target)()

        def run(game):
            return jax.tree.leaves(solver.solve(game))

        closed = jax.make_jaxpr(run)(game)
        outputs, _, found = counting._run(closed, jax.tree.leaves(game))
        solution = solve(game, solver)
    plain = jax.tree.leaves(solution)
    for counted, expected in zip(outputs, plain, strict=True):
        np.testing.assert_allclose(counted, expected, rtol=1e-12)
    pivots, size = int(solution.num_steps), case.sizes["strategies"]
    assert pivots > 0
    assert np.asarray(found)[0] >= pivots * 2 * size * (size + 1)  # a tableau each


def test_exponents_of_powers_are_found(benchmark_module):
    tables = benchmark_module("tables")
    growth = [{"value": n, "run_s": 3e-6 * 8 * n**2, "batch": 8} for n in (4, 8, 16)]
    batches = [{"batch": n, "run_s": 1e-4 * n} for n in (1, 16, 256)]
    result = {"batches": batches, "growth": {"horizon": growth}}
    exponents = tables.fit_exponents(result)
    assert exponents["batch"] == pytest.approx(1)
    assert exponents["horizon"] == pytest.approx(2)


def test_a_benchmark_measures_compares_and_shows(benchmark_module, tmp_path):
    every, tables = benchmark_module("every_solver"), benchmark_module("tables")
    (case,) = (x for x in every.CASES if x.name == "feedback-position/open-loop")
    case = dataclasses.replace(
        case, growth={"num_steps": (4, 8)}, sizes={"num_steps": 8, "num_firms": 2}
    )
    units = ("operations_per_s", "exponentials_per_s", "bytes_per_s")
    one = dict.fromkeys(units, 1e18) | {"step_s": 1e-9, "calls_s": {1: 1e-9}}
    machine = {"devices": 1, "f64": one | {"devices": 1}}
    arguments = argparse.Namespace(
        smoke=True, most=16, seconds=1.0, repeats=1, no_growth=False
    )
    arguments.baseline_seconds = 0.01
    result = every.benchmark(case, machine, arguments)
    assert [row["batch"] for row in result["batches"]] == [1, 16]
    for row in result["batches"]:
        assert row["status"] == {"converged": row["batch"]}
        assert row["binding"] == "launch"
        assert 0 < row["of_bound"] < 1
        assert row["memory_bytes"] > 0
    assert result["work"]["steps"]["most"] >= 2 * 7  # one recursion back, one forward
    assert result["baseline"]["agrees"]
    assert result["verification"]["gap"] < 1e-10
    assert [row["value"] for row in result["growth"]["num_steps"]] == [4, 8]
    assert set(result["exponents"]) == {"batch", "num_steps"}

    restored = json.loads(json.dumps([result]))  # as a record is read again
    markdown = tables.as_markdown(restored).splitlines()
    assert len(markdown) == 3
    assert markdown[2].startswith("| feedback-position/open-loop | f64 | ")
    tables.draw_costs(restored, tmp_path / "costs.png", "a machine")
    assert (tmp_path / "costs.png").stat().st_size > 10_000
