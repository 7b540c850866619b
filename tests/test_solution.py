import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtrade.numerics.loops import iterate_until
from gtrade.solution import (
    STATUS_NAMES,
    Solution,
    Status,
    has_value,
    is_success,
    raise_unless_converged,
    status_names,
)


def test_names_follow_the_enumeration():
    for name in STATUS_NAMES:
        assert status_names(getattr(Status, name)) == name
    assert len(Status) == len(STATUS_NAMES)


def halve(state):
    return state / 2, state / 2


def test_loop_converges(x64):
    solution = iterate_until(halve, jnp.asarray(1.0), tol=1e-3, max_steps=50)
    assert status_names(solution.status) == "converged"
    assert solution.num_steps == 10
    assert solution.residual == solution.value == 2.0**-10
    assert is_success(solution.status)


def test_loop_runs_out_of_steps():
    solution = iterate_until(halve, jnp.asarray(1.0), tol=1e-3, max_steps=4)
    assert status_names(solution.status) == "max_steps_reached"
    with pytest.raises(RuntimeError, match="the instance .*max_steps_reached.*0.0625"):
        raise_unless_converged(solution)


def test_loop_reports_a_cycle():
    def step(x):
        return (x + 1) % 4, jnp.asarray(1.0)

    start = jnp.asarray(1)
    solution = iterate_until(
        step, start, tol=0.0, max_steps=9, has_cycled=lambda x: x == 0
    )
    assert status_names(solution.status) == "cycled"
    assert solution.num_steps == 3
    assert has_value(solution.status)


def test_a_failed_lane_leaves_its_neighbours_alone():
    def run(x):
        return iterate_until(halve, x, tol=1e-3, max_steps=50)

    good = jnp.asarray([1.0, 3.0, 0.5])
    bad = jnp.asarray([1.0, jnp.nan, 0.5])
    a, b = jax.vmap(run)(good), jax.vmap(run)(bad)
    assert list(status_names(b.status)) == ["converged", "nonfinite", "converged"]
    np.testing.assert_array_equal(a.value[::2], b.value[::2])
    with pytest.raises(RuntimeError, match=r"instance 1 ended as 'nonfinite'.*1 of 3"):
        raise_unless_converged(b)


def test_success_and_value():
    solution = Solution(0, Status.invalid_input, jnp.nan, 0)
    assert not is_success(solution.status)
    assert not has_value(solution.status)
    raise_unless_converged(Solution(0, Status.degenerate, jnp.zeros(()), 0))
