"""Loops of different lengths, lane by lane."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtrade.numerics.lane_queue import loop_in_queue


def halvings(width):
    """Return how often a number is halved until it is at most `least`, and what is."""

    def start(number, least):
        return number, least, jnp.zeros((), jnp.int32)

    def is_unfinished(state):
        number, least, _ = state
        return number > least

    def step(state, number, least):
        del number, least
        number, least, count = state
        return number / 2, least, count + 1

    return loop_in_queue(start, is_unfinished, step, width=width)


def expected(number, least):
    count = 0
    while number > least:
        number, count = number / 2, count + 1
    return number, count


# Fast: more lanes than places, as many, and fewer; the rest repeat these.
@pytest.mark.parametrize(
    ("width", "size"),
    [
        pytest.param(width, size, marks=() if is_fast else pytest.mark.slow)
        for width in (1, 3, 8, 100)
        for size in (1, 7, 8, 30)
        for is_fast in [(width, size) in {(1, 7), (3, 30), (8, 8), (100, 30)}]
    ],
)
def test_every_lane_runs_its_own_loop(width, size):
    rng = np.random.default_rng(size)
    numbers = np.exp(rng.uniform(-3, 20, size)).astype(np.float32)
    halve = halvings(width)
    alone = jax.jit(halve)
    found, _, counts = jax.jit(jax.vmap(halve, (0, None)))(numbers, np.float32(1))
    for number, mine, count in zip(numbers, found, counts, strict=True):
        assert (mine, count) == expected(number, 1.0)
        # Alone as well, and without steps where none is needed.
        assert alone(number, np.float32(1))[2] == count
    assert counts.min() == 0 or size < 30


def test_batches_of_batches():
    numbers = np.exp(np.linspace(-1, 9, 12)).astype(np.float32).reshape(3, 4)
    leasts = np.asarray([1, 2, 3, 4], np.float32)
    halve = halvings(2)
    inner = jax.vmap(halve)
    found, _, counts = jax.jit(jax.vmap(inner, (0, None)))(numbers, leasts)
    for row in range(3):
        for lane in range(4):
            wanted = expected(numbers[row, lane], leasts[lane])
            assert (found[row, lane], counts[row, lane]) == wanted
