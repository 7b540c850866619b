import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

import gtrade
from gtrade._arrays import as_float
from gtrade.numerics.lanes import fenced, in_blocks, lanes_last
from gtrade.numerics.precision import integer_dtype_for
from gtrade.problems.base import replace_fields
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractHostSolver
from gtrade.solving import HostProgram, LaneProgram, share_among, supported_options


def test_unknown_compiler_options_are_dropped():
    assert supported_options(None) is None
    unknown = {"xla_cpu_no_such_option": False}
    assert supported_options(unknown) is None
    known = {"xla_cpu_prefer_vector_width": 256}
    assert supported_options(unknown | known) == known
    program = LaneProgram(
        lambda x: x + 1, cpu_compiler_options={"xla_cpu_no_such_option": False}
    )
    size = program.num_devices
    np.testing.assert_array_equal(program(jnp.zeros(size)), np.ones(size))


def test_all_devices_give_what_one_gives():
    assert len(jax.local_devices()) > 1  # see conftest.py
    games = gtrade.make_batch(
        gtrade.TradingGame,
        horizon=3,
        targets=[4, 2],
        min_trade=-2,
        max_trade=3,
        permanent_impact=np.linspace(0, 5, 4 * len(jax.local_devices())),
    )
    size = len(games.permanent_impact)
    solver = gtrade.FTPL(num_rounds=30, perturbation="linear")
    solver = share_among(solver.prepare(games), size)
    keys = jax.random.split(jax.random.key(0), size)

    def solve(game, solver, key):
        return solver.solve(game, key=key)

    one, every = (LaneProgram(solve, num_devices=n) for n in (1, None))
    assert every.num_devices > one.num_devices == 1
    a, b = one(games, solver, keys), every(games, solver, keys)
    np.testing.assert_array_equal(a.value.schedules, b.value.schedules)
    assert every.memory_bytes(games, solver, keys) > b.value.schedules.size


def test_text_options_are_static_and_shared():
    program = LaneProgram(lambda x, solver: x + len(solver.noise), num_devices=1)
    solver = gtrade.FTPL(noise="theory")
    assert share_among(solver, 3).noise == "theory"
    np.testing.assert_array_equal(program(jnp.zeros(3), solver), np.full(3, 6.0))


def test_lane_kernels_under_nested_maps():
    shapes = []

    def kernel(x, y):
        shapes.append(x.shape)
        return x.sum(axis=0) * y, x

    function = lanes_last(kernel)
    x = jnp.arange(24.0).reshape(2, 3, 4)
    y = jnp.arange(3.0)
    total, same = jax.vmap(jax.vmap(function), in_axes=(0, None))(x, y)
    np.testing.assert_array_equal(total, x.sum(axis=-1) * y[None])
    np.testing.assert_array_equal(same, x)
    assert (4, 6) in shapes  # both mapped axes in one call
    one, _ = function(x[0, 1], y[1])
    assert one == total[0, 1]


@pytest.mark.parametrize("lanes", [1, 7, 8, 9, 40])
def test_blocks_and_fences_change_nothing(x64, lanes):
    x = np.arange(3.0 * lanes, dtype=float if x64 else np.float32).reshape(3, lanes) - 7
    x[0, 0] = np.nan

    def kernel(x):
        return {"cumulated": jnp.cumsum(x, axis=0), "first": x[0]}

    expected = jax.jit(kernel)(x)
    for changed in (in_blocks(kernel, 8), fenced(kernel)):
        for name, value in jax.jit(changed)(x).items():
            np.testing.assert_array_equal(value, expected[name])


def test_integer_widths():
    assert integer_dtype_for(2**31 - 1, "a sum") == jnp.int32
    with pytest.raises(ValueError, match="a sum can reach 2147483648, beyond 32-bit"):
        integer_dtype_for(2**31, "a sum")
    with jax.enable_x64(True):
        assert integer_dtype_for(2**31, "a sum") == jnp.int64
        with pytest.raises(ValueError, match="beyond 64-bit"):
            integer_dtype_for(2**63, "a sum")


def test_static_fields_can_be_replaced_in_a_batch():
    batch = gtrade.make_batch(gtrade.FTPL, noise=np.array([1.0, 2.0]))
    copy = replace_fields(batch, target_range=(1, 2))
    assert copy.target_range == (1, 2)
    np.testing.assert_array_equal(copy.noise, batch.noise)
    with pytest.raises(TypeError, match="no field 'target'"):
        replace_fields(batch, target=1)


def test_batches_of_unequal_size_are_refused():
    numbers = {"horizon": 3, "targets": [4, 2], "min_trade": -2, "max_trade": 3}
    games = gtrade.make_batch(
        gtrade.TradingGame, **numbers, permanent_impact=np.zeros(3)
    )
    solver = gtrade.FTPL(num_rounds=3)
    with pytest.raises(ValueError, match="keys must have one entry for each of 3"):
        gtrade.solve_batch(games, solver, keys=jax.random.split(jax.random.key(0), 4))
    single = gtrade.TradingGame(**numbers, permanent_impact=0.0)
    with pytest.raises(ValueError, match="at least one problem; got an empty batch"):
        gtrade.solve_batch(jax.tree.map(lambda x: x[:0], games), solver)
    with pytest.raises(ValueError, match="problems must be a batch"):
        gtrade.solve_batch(single, solver)


class Scaled(AbstractHostSolver):
    """Targets times a factor, computed in NumPy, and a number from the key."""

    factor: Float[Array, ""] = eqx.field(converter=as_float, default=2.0)
    num_targets: int = eqx.field(static=True, default=0)

    def prepare(self, problems):
        return replace_fields(self, num_targets=problems.targets.shape[-1])

    def solve_on_host(self, problem, *, key=None):
        assert type(problem.targets) is np.ndarray
        assert self.num_targets == len(problem.targets)
        value = problem.targets.astype(self.factor.dtype) * self.factor
        number = 0 if key is None else jax.random.key_data(key)[-1].item() % 97
        residual = np.zeros((), value.dtype)
        return Solution(value, Status.completed, residual, np.int32(number))

    def abstract_solution(self, problem):
        like = jax.ShapeDtypeStruct
        status = jax.tree.map(lambda _: like((), np.int32), Status.completed)
        value = like((self.num_targets,), self.factor.dtype)
        return Solution(value, status, like((), value.dtype), like((), np.int32))


def host_games(num_games):
    return gtrade.make_batch(
        gtrade.TradingGame,
        horizon=3,
        targets=np.arange(2 * num_games).reshape(num_games, 2),
        min_trade=-20,
        max_trade=20,
        permanent_impact=1.0,
    )


def test_solvers_on_the_host_solve_one_and_many(x64):
    games = host_games(3)
    keys = jax.random.split(jax.random.key(0), 3)
    solvers = gtrade.make_batch(Scaled, factor=np.array([1.0, 2.0, 3.0]))
    solution = gtrade.solve_batch(games, solvers, keys=keys)
    assert gtrade.status_names(solution.status).tolist() == ["completed"] * 3
    assert isinstance(solution.value, jax.Array)
    np.testing.assert_array_equal(solution.value, [[0, 1], [4, 6], [12, 15]])
    for lane in range(3):
        game = gtrade.TradingGame(
            horizon=3,
            targets=games.targets[lane],
            min_trade=-20,
            max_trade=20,
            permanent_impact=1.0,
        )
        one = gtrade.solve(game, Scaled(factor=lane + 1.0), key=keys[lane])
        assert one.status == Status.completed
        np.testing.assert_array_equal(one.value, solution.value[lane])
        assert one.value.dtype == solution.value.dtype
        assert one.num_steps == solution.num_steps[lane] > 0
    shared = gtrade.solve_batch(games, Scaled(factor=2.0))
    np.testing.assert_array_equal(shared.value, 2 * games.targets)


def test_lanes_that_pad_a_batch_are_not_solved(monkeypatch):
    solved = []
    solve = Scaled.solve_on_host

    def count(solver, problem, *, key=None):
        solved.append(problem.targets.tolist())
        return solve(solver, problem, key=key)

    monkeypatch.setattr(Scaled, "solve_on_host", count)
    games, program = host_games(4), HostProgram()
    solvers = share_among(Scaled().prepare(games), 4)
    solution = program(games, solvers, None, num_lanes=2)
    assert solved == [[0, 1], [2, 3]]
    np.testing.assert_array_equal(solution.value, [[0, 2], [4, 6], [4, 6], [4, 6]])
    expected = program.abstract_results(games, solvers, None)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), expected) == jax.tree.map(
        lambda x: (x.shape, x.dtype), solution
    )
    size = sum(x.nbytes for x in jax.tree.leaves(solution))
    assert program.memory_bytes(games, solvers, None) == size


def test_solvers_on_the_host_refuse_to_be_traced():
    games = host_games(2)
    match = "Scaled runs on the host and cannot be traced; call it outside jit and vmap"
    with pytest.raises(TypeError, match=match):
        eqx.filter_vmap(lambda game: Scaled().solve(game))(games)
    with pytest.raises(TypeError, match=match):
        eqx.filter_jit(lambda games: gtrade.solve_batch(games, Scaled()))(games)
    with pytest.raises(TypeError, match=match):
        jax.jit(lambda factor: Scaled(factor).solve(None))(1.0)
