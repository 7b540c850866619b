"""Random numbers by path: their distribution, and that nothing else matters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from gtrade.numerics.counter_random import normals, uniforms

KEY = jax.random.key(17)
NUM = 2**16


def paths(start, stop):
    return np.arange(start, stop, dtype=np.uint32)


compiled = jax.jit(lambda kind, *args: kind(*args), static_argnums=(0, 3, 4))


def draw(kind, start=0, stop=NUM, num_draws=6, key=KEY):
    x = compiled(kind, key, paths(start, stop), num_draws, jnp.dtype(float_type()))
    assert x.dtype == float_type()
    return np.asarray(x)


def float_type():
    return np.float64 if jax.config.jax_enable_x64 else np.float32


@pytest.mark.parametrize("kind", [uniforms, normals])
def test_distribution(x64, kind):
    x = draw(kind).astype(float)
    assert x.shape == (6, NUM)
    law = stats.uniform if kind is uniforms else stats.norm
    for row in x:
        assert stats.kstest(row, law.cdf).pvalue > 1e-3
        standard = (row - law.mean()) / law.std()
        for power in (1, 2, 3, 4, 6):
            wanted = law.moment(power) if kind is normals else None
            if wanted is None:
                wanted = 0 if power % 2 else np.sqrt(3) ** power / (power + 1)
            sample = standard**power
            error = sample.std() / np.sqrt(NUM)
            assert abs(sample.mean() - wanted) < 4.5 * error, power
    # Rare numbers are there in due number.
    rare = law.ppf(1e-3)
    counts = np.array([(x < rare).sum(), (x > law.ppf(1 - 1e-3)).sum()])
    assert (np.abs(counts - 1e-3 * x.size) < 4.5 * np.sqrt(1e-3 * x.size)).all()


@pytest.mark.parametrize("kind", [uniforms, normals])
def test_independence(x64, kind):
    """Between places, between neighbouring paths, between keys, and of squares."""
    x = draw(kind).astype(float)
    other = draw(kind, key=jax.random.key(18)).astype(float)
    x -= x.mean(axis=1, keepdims=True)
    other -= other.mean(axis=1, keepdims=True)
    rows = [*x, *np.roll(x, 1, axis=1), *np.roll(x, 2, axis=1), *other]
    squares = [row**2 - (row**2).mean() for row in rows]
    bound = 5 / np.sqrt(NUM)
    linear = np.corrcoef(rows) - np.eye(len(rows))
    assert np.abs(linear).max() < bound
    assert np.abs(np.corrcoef(squares) - np.eye(len(rows))).max() < bound
    # Pairs fill the square evenly.
    ranks = x.argsort(axis=1).argsort(axis=1) * 16 // NUM
    for i, j in [(0, 1), (0, 2), (1, 2), (2, 3), (4, 5)]:
        counts = np.bincount(16 * ranks[i] + ranks[j], minlength=256)
        assert stats.chisquare(counts).pvalue > 1e-5


@pytest.mark.parametrize("kind", [uniforms, normals])
def test_a_path_draws_the_same_wherever_it_is_computed(x64, kind):
    # Programs of other lengths may round the last bit of normals another way.
    rtol = 0 if kind is uniforms else 2 * np.finfo(float_type()).eps
    whole = draw(kind)
    # More draws leave those before alone.
    for start, stop, num_draws in [(0, 1, 1), (13, 700, 3), (13, 700, 6)]:
        drawn = draw(kind, start, stop, num_draws)
        wanted = whole[:num_draws, start:stop]
        np.testing.assert_allclose(drawn, wanted, rtol=rtol)
    turned = compiled(kind, KEY, paths(0, NUM)[::-1], 6, jnp.dtype(float_type()))
    np.testing.assert_array_equal(turned, whole[:, ::-1])


@pytest.mark.parametrize("kind", [uniforms, normals])
def test_compiled_and_mapped_draws_are_those(x64, kind):
    dtype = jnp.result_type(float)
    keys = jax.random.split(KEY, 3)

    def draws(key):
        return kind(key, paths(5, 261), 3, dtype)

    run = jax.jit(draws)
    single = np.stack([np.asarray(run(key)) for key in keys])
    mapped = np.asarray(jax.jit(jax.vmap(draws))(keys))
    if kind is uniforms:
        np.testing.assert_array_equal(mapped, single)
    np.testing.assert_allclose(mapped, single, rtol=1e-14 if x64 else 2e-6, atol=1e-15)
    assert not np.allclose(single[0], single[1])


def test_numbers_far_out_exist():
    """Paths up to 2^32 - 1, without repetition."""
    low = draw(uniforms, 0, 2**16)
    high = draw(uniforms, 2**32 - 2**16, 2**32)
    assert abs(np.corrcoef(low[0], high[0])[0, 1]) < 0.02
    assert stats.kstest(high[0].astype(float), "uniform").pvalue > 1e-4


def test_uniforms_lie_inside_and_on_a_symmetric_grid(x64):
    x = draw(uniforms)
    assert 0 < x.min() < 2e-5
    assert 1 - 2e-5 < x.max() < 1
    cells = 2**53 if x64 else 2**24
    numbers = x.astype(np.longdouble) * cells
    assert (numbers % 2 == 1).all()  # odd: so is the number's mirror image
    assert ((1 - x).astype(np.longdouble) * cells == cells - numbers).all()


def test_extreme_words_stay_inside(x64, monkeypatch):
    """All bits clear or set give the ends of the grid, and finite normals."""
    from gtrade.numerics import counter_random

    dtype = jnp.result_type(float)
    for word in (0, 2**32 - 1):

        def constant(key, counts, word=word):
            shape = jnp.broadcast_shapes(*(x.shape for x in counts))
            return (jnp.full(shape, word, jnp.uint32),) * 2

        monkeypatch.setattr(counter_random, "threefry", constant)

        @jax.jit  # anew for every word
        def both(key, paths):
            return [kind(key, paths, 2, dtype) for kind in (uniforms, normals)]

        end, normal = map(np.asarray, both(KEY, paths(0, 2)))
        half = 2.0**-53 if x64 else 2.0**-24
        assert (end == (half if word == 0 else 1 - half)).all()
        assert np.isfinite(normal).all()
