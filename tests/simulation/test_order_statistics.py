"""Streamed quantiles against sorted paths."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Int
from scipy import stats

from gtrade.simulation.order_statistics import estimate_quantiles
from gtrade.simulation.samplers import simulate

from .samplers import Made

KEY = jax.random.key(11)
LEVELS = [0.001, 0.05, 0.5, 0.9, 0.999]


@eqx.filter_jit
def run(sampler, key, num_paths, levels, name="x", chunk_size=None):
    return estimate_quantiles(
        sampler, key, num_paths, name=name, levels=levels, chunk_size=chunk_size
    )


@eqx.filter_jit
def paths_of(sampler, key, num_paths):
    # Compiled, as the last bits of outcomes depend on it.
    return simulate(sampler, key, num_paths)["x"]


def sorted_paths(sampler, num_paths, key=KEY):
    return np.sort(np.asarray(paths_of(sampler, key, 5001))[:num_paths])


def ranks(levels, num_paths):
    levels = np.asarray(levels)
    exact = np.ceil(levels * levels.dtype.type(num_paths)).astype(int) - 1
    return np.clip(exact, 0, num_paths - 1)


CASES = {
    "uniform": lambda u: u,
    "negative": lambda u: -3 - u,
    "both signs": lambda u: (u - 0.5) * 1e3,
    "tiny and huge": lambda u: jnp.where(u < 0.5, -1e-30, 1e30) * u,
    "ties": lambda u: jnp.floor(7 * u) - 3,
    "zero": lambda u: jnp.maximum(u - 0.95, 0),
    "minus zero": lambda u: jnp.minimum(u - 0.05, -0.0),
    "constant": lambda u: 0 * u - 0.1,
    "nothing": lambda u: 0 * u,
    "infinities": lambda u: jnp.where(
        u > 0.95, jnp.inf, jnp.where(u < 0.02, -jnp.inf, u)
    ),
    "exponential": lambda u: 3 - 2 * jnp.log1p(-u),
}
MISSING = len(CASES)  # one more, of which no order statistic is known


class Case(Made):
    """One of the cases by number, so that all share a program."""

    number: Int[Array, ""]

    def outcomes(self, shocks):
        u = shocks[0]
        rows = [make(u) for make in CASES.values()]
        rows.append(jnp.where(u > 0.9995, jnp.nan, u))
        return {"x": jnp.stack(rows)[self.number]}


def case_of(name):
    return Case(None, jnp.int32(list(CASES).index(name)))


@pytest.mark.parametrize("case", CASES)
def test_exact_order_statistics(x64, case):
    sampler, num_paths = case_of(case), 5001
    levels = jnp.array(LEVELS)
    found = run(sampler, KEY, jnp.int32(num_paths), levels)
    wanted = sorted_paths(sampler, num_paths)[ranks(np.asarray(levels), num_paths)]
    np.testing.assert_array_equal(found.value, wanted)
    error = np.asarray(found.standard_error)
    assert (error >= 0).all() or case == "infinities"
    if case in ("constant", "nothing"):
        assert (error == 0).all()


@pytest.mark.parametrize("num_paths", [2, 3, 17, 64, 1000])
def test_few_paths_and_every_rank(num_paths):
    levels = jnp.array([1e-6, 0.25, 0.5, 0.75, 1 - 1e-6])
    sampler = case_of("both signs")
    found = run(sampler, KEY, jnp.int32(num_paths), levels)
    ordered = sorted_paths(sampler, num_paths)
    np.testing.assert_array_equal(
        found.value, ordered[ranks(np.asarray(levels), num_paths)]
    )


@pytest.mark.slow
def test_chunks_do_not_matter():
    levels, sampler = jnp.array(LEVELS), case_of("uniform")
    base = run(sampler, KEY, jnp.int32(5001), levels)
    other = run(sampler, KEY, jnp.int32(5001), levels, chunk_size=100)
    np.testing.assert_array_equal(base.value, other.value)
    np.testing.assert_array_equal(base.standard_error, other.standard_error)
    np.testing.assert_allclose(base.tail_mean, other.tail_mean, atol=1e-5)


def test_a_missing_outcome_is_no_order():
    sampler = Case(None, jnp.int32(MISSING))
    paths = np.asarray(paths_of(sampler, KEY, 5001))
    assert 0 < np.isnan(paths).sum() < 10
    assert np.isfinite(paths[:64]).all()
    found = run(sampler, KEY, jnp.int32(5001), jnp.array(LEVELS))
    assert np.isnan(found.value).all()
    assert np.isnan(found.tail_mean).all()


def test_standard_errors_are_those_of_theory(in_float64):
    num_paths, levels = 200_000, np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    found = run(case_of("exponential"), KEY, jnp.int32(num_paths), jnp.array(levels))
    law = stats.expon(3, 2)
    point = law.ppf(levels)
    wanted = np.sqrt(levels * (1 - levels) / num_paths) / law.pdf(point)
    np.testing.assert_allclose(found.standard_error, wanted, rtol=0.12)
    assert (np.abs(found.value - point) < 5 * wanted).all()
    gap = np.abs(found.tail_mean - (point + 2))  # it has no memory
    assert (gap < 5 * np.hypot(found.tail_error, wanted)).all()


def test_tail_means_are_those_of_the_sample(x64):
    num_paths, levels = 4000, jnp.array(LEVELS)
    sampler = case_of("negative")
    found = run(sampler, KEY, jnp.int32(num_paths), levels)
    ordered = sorted_paths(sampler, num_paths).astype(float)
    for i, level in enumerate(LEVELS):
        beyond = ordered[round(level * num_paths) :]
        assert abs(float(found.tail_mean[i]) - beyond.mean()) < (1e-10 if x64 else 1e-4)
        excess = np.maximum(ordered - float(found.value[i]), 0)
        wanted = excess.std(ddof=1) / np.sqrt(num_paths) / (1 - level)
        np.testing.assert_allclose(found.tail_error[i], wanted, rtol=1e-3)


def test_mapped_quantiles_are_single_ones_whatever_the_neighbours_and_chunks():
    levels = jnp.array(LEVELS)
    names = list(CASES)
    numbers = [names.index("uniform"), MISSING, names.index("negative")]
    numbers = jnp.array(numbers, jnp.int32)
    counts = jnp.array([100, 5001, 999], jnp.int32)

    @jax.jit
    @jax.vmap
    def mapped(number, count):
        sampler = Case(None, number)
        return estimate_quantiles(
            sampler, KEY, count, name="x", levels=levels, chunk_size=100
        )

    many = jax.tree.map(np.asarray, mapped(numbers, counts))
    assert np.isnan(many.value[1]).all()
    for i in (0, 2):
        one = run(Case(None, numbers[i]), KEY, counts[i], levels)
        np.testing.assert_allclose(many.value[i], one.value, rtol=1e-6)
        np.testing.assert_allclose(many.tail_mean[i], one.tail_mean, atol=1e-5)
