"""Two-point problems c'' + H c' = -s(t) against collocation and differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.polynomial import chebyshev

from gtrade.numerics.linear_ode import bridge, mode_responses

TIMES = np.linspace(0.0, 1.0, 21)
responses = jax.jit(mode_responses, static_argnums=2)


@jax.jit
def answers(matrix, sources):
    return bridge(matrix, sources, jnp.asarray(TIMES))


def collocated(rate, order, times, degree=40):
    """Solve c'' + l c' = -t^order by Chebyshev collocation."""
    s = np.cos(np.pi * (np.arange(degree - 1) + 0.5) / (degree - 1))
    first = np.zeros((degree + 1, degree + 1))
    for k in range(degree + 1):
        own = chebyshev.chebder(np.eye(degree + 1)[k]) * 2
        first[: len(own), k] = own
    van = chebyshev.chebvander(s, degree)
    ends = chebyshev.chebvander([-1.0, 1.0], degree)
    system = np.vstack([van @ (first @ first + rate * first), ends])
    right = np.concatenate([-(((s + 1) / 2) ** order), [0.0, 0.0]])
    found = np.linalg.solve(system, right)
    at = 2 * times - 1
    return chebyshev.chebval(at, found), chebyshev.chebval(at, first @ found)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [-30.0, -4.0, -0.9, -1e-7, 0.0, 1e-9, 0.5, 1.0, 12.0])
def test_modes_match_collocation(in_float64, rate):
    values, starts = responses(jnp.asarray(rate), jnp.asarray(TIMES), 4)
    for order in range(4):
        value, slope = collocated(rate, order, TIMES)
        np.testing.assert_allclose(values[order], value, atol=1e-13)
        np.testing.assert_allclose(starts[order], slope[0], atol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [-30.0, -0.9, 0.0, 0.5, 12.0])
def test_slopes_match_collocation(in_float64, rate):
    sources = jnp.asarray([[1.0, -2.0, 0.5]])
    found = answers(jnp.asarray([[rate]]), sources)
    parts = [collocated(rate, order, TIMES) for order in range(3)]
    for place in range(2):
        expected = parts[0][place] - 2 * parts[1][place] + 0.5 * parts[2][place]
        np.testing.assert_allclose(found[place][0], expected, atol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [-1e4, -800.0, 800.0, 1e4])
def test_fast_modes_stay_finite(x64, rate):
    at = jnp.asarray(TIMES, jnp.result_type(float))
    values, starts = responses(jnp.asarray(rate), at, 3)
    assert np.isfinite(values).all()
    assert np.isfinite(starts).all()
    # Away from its layer the answer drifts: l c' = -1, so c = (1 - t) / l or -t / l.
    distance = 1 - TIMES if rate > 0 else TIMES
    inner = slice(1, -1)
    np.testing.assert_allclose(values[0, inner], distance[inner] / abs(rate), rtol=3e-2)


def test_responses_join_at_the_switch(in_float64):
    at = jnp.asarray(TIMES)
    below, above = (
        responses(jnp.asarray(rate), at, 5) for rate in (1 - 1e-12, 1 + 1e-12)
    )
    np.testing.assert_allclose(below[0], above[0], atol=1e-13)
    np.testing.assert_allclose(below[1], above[1], rtol=1e-11)


def symmetric(rng, eigenvalues):
    basis, _ = np.linalg.qr(rng.normal(size=(len(eigenvalues),) * 2))
    return basis @ np.diag(eigenvalues) @ basis.T


@jax.jit
def tangents(matrix, sources, turn, change):
    return jax.jvp(answers, (matrix, sources), (turn, change))[1]


@jax.jit
def slope_of(matrix, sources, weights):
    return jax.grad(lambda h: (weights * answers(h, sources)[0]).sum())(matrix)


@pytest.mark.slow
@pytest.mark.parametrize(
    "eigenvalues",
    [[-3.0, 0.5, 2.0], [1.0, 1.0, 4.0], [0.0, 0.0, 0.0], [2.0, 2.0 + 1e-3, -1.0]],
)
def test_derivatives_where_eigenvalues_meet(in_float64, eigenvalues):
    rng = np.random.default_rng(len(eigenvalues))
    matrix, turn = symmetric(rng, eigenvalues), rng.normal(size=(3, 3))
    turn = turn + turn.T
    sources, change = rng.normal(size=(2, 3, 2))
    found = tangents(matrix, sources, turn, change)
    step = 1e-5
    up, down = (
        answers(matrix + sign * step * turn, sources + sign * step * change)
        for sign in (1, -1)
    )
    for own, more, less in zip(found, up, down, strict=True):
        np.testing.assert_allclose(own, (more - less) / (2 * step), atol=3e-9)
    # Reverse mode is the transpose of forward mode.
    weights = rng.normal(size=(3, len(TIMES)))
    forward = (weights * tangents(matrix, sources, turn, 0 * change)[0]).sum()
    gradient = slope_of(matrix, sources, weights)
    np.testing.assert_allclose((gradient * turn).sum(), forward, rtol=1e-10)
