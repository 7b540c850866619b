import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.numerics.lanes import fenced, in_blocks, lanes_last
from gtrade.numerics.precision import integer_dtype_for
from gtrade.problems.base import replace_static
from gtrade.solving import LaneProgram, share_among, supported_options


def test_unknown_compiler_options_are_dropped():
    assert supported_options(None) is None
    assert supported_options({"xla_cpu_no_such_option": False}) is None
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
    solver = share_among(gtrade.FTPL(num_rounds=30).prepare(games), size)
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
    x = jnp.arange(3.0 * lanes).reshape(3, lanes) - 7
    x = x.at[0, 0].set(jnp.nan)

    def kernel(x):
        return {"cumulated": jnp.cumsum(x, axis=0), "first": x[0]}

    expected = kernel(x)
    for changed in (in_blocks(kernel, 8), fenced(kernel), jax.jit(fenced(kernel))):
        for name, value in changed(x).items():
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
    copy = replace_static(batch, target_range=(1, 2))
    assert copy.target_range == (1, 2)
    np.testing.assert_array_equal(copy.noise, batch.noise)
    with pytest.raises(TypeError, match="no field 'target'"):
        replace_static(batch, target=1)


def test_batches_of_unequal_size_are_refused():
    numbers = {"horizon": 3, "targets": [4, 2], "min_trade": -2, "max_trade": 3}
    games = gtrade.make_batch(
        gtrade.TradingGame, **numbers, permanent_impact=np.zeros(3)
    )
    solver = gtrade.FTPL(num_rounds=3)
    with pytest.raises(ValueError, match="keys must have one entry for each of 3"):
        gtrade.solve_batch(games, solver, keys=jax.random.split(jax.random.key(0), 4))
    single = gtrade.TradingGame(**numbers, permanent_impact=0.0)
    with pytest.raises(ValueError, match="problems must be a batch"):
        gtrade.solve_batch(single, solver)
