"""Streamed moments against NumPy on the same paths, all in memory."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtrade.simulation.monte_carlo import (
    advance,
    at,
    begin,
    chunk_size_for,
    controlled,
    estimate,
    finish,
    merge,
    slope,
)
from gtrade.simulation.samplers import Antithetic, Difference, simulate

from .samplers import Made, Shifted

KEY = jax.random.key(5)
JOINT = ("x", "y", "exponential")


traces = []


@eqx.filter_jit
def run(sampler, key, num_paths, joint=JOINT, chunk_size=None):
    traces.append(sampler)
    return estimate(sampler, key, num_paths, joint=joint, chunk_size=chunk_size)


@eqx.filter_jit
def paths_of(sampler, key, num_paths):
    return simulate(sampler, key, num_paths)


def by_numpy(sampler, num_paths, key=KEY, most=20_001):
    outcomes = paths_of(sampler, key, max(num_paths, most))
    return {
        k: np.asarray(x).astype(float)[..., :num_paths] for k, x in outcomes.items()
    }


def check(found, paths, rtol):
    count = len(paths["x"])
    assert int(found.num_paths) == count
    for name, x in paths.items():
        centred = x - x.mean(axis=-1, keepdims=True)
        spread = x.std(axis=-1, ddof=1)
        size = np.abs(x).max(axis=-1) + 1e-30
        errors = {
            "mean": np.abs(found.mean[name] - x.mean(axis=-1)) / size,
            "standard_error": np.abs(
                found.standard_error[name] * np.sqrt(count) - spread
            )
            / (10 * spread + 1e-3 * size),
            "variance": np.abs(found.variance[name] - spread**2)
            / (20 * spread**2 + 1e-3 * rtol * size**2),
        }
        fourth = (centred**4).mean(axis=-1) - (centred**2).mean(axis=-1) ** 2
        wanted = np.sqrt(np.maximum(fourth, 0) * count) / (count - 1)
        # A difference of fourth powers, zero for two paths.
        difference = np.abs(np.asarray(found.variance_error[name]) ** 2 - wanted**2)
        errors["variance_error"] = (
            difference / (1e3 * spread**4 + rtol * size**4 * 1e-6) * count
        )
        for kind, error in errors.items():
            assert np.shape(error) == x.shape[:-1]
            assert (error <= rtol).all(), (name, kind, error)
    covariance = np.cov([paths[name] for name in JOINT])
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    found = np.asarray(found.covariance)
    assert (np.abs(found - covariance) <= 20 * rtol * scale).all()
    np.testing.assert_allclose(found, found.T, rtol=1e-6)


@pytest.mark.parametrize("mean", [0.0, -300.0])
def test_moments_are_those_of_numpy(x64, mean):
    sampler = Shifted(mean=mean, std=2.0)
    for num_paths in (2, 63, 1000, 20_001):
        found = run(sampler, KEY, jnp.int32(num_paths))
        check(found, by_numpy(sampler, num_paths), 1e-12 if x64 else 1e-6)
        assert found.mean["x"].dtype == (np.float64 if x64 else np.float32)


@pytest.mark.slow
def test_chunks_change_last_bits_only(in_float64):
    sampler = Shifted(mean=7.0)
    base = run(sampler, KEY, jnp.int32(9_999))
    assert chunk_size_for(sampler) != 100
    other = run(sampler, KEY, jnp.int32(9_999), chunk_size=100)
    for x, y in zip(jax.tree.leaves(base), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-9)


def test_chunk_sizes_are_powers_of_two_that_shrink_with_what_a_path_holds():
    small, large = Shifted(), Antithetic(Shifted())
    assert chunk_size_for(small) == 2 * chunk_size_for(large)
    assert chunk_size_for(small).bit_count() == 1

    class Huge(Shifted):
        numbers_per_path = 10**9

    assert chunk_size_for(Huge()) >= 64


def test_numbers_of_paths_share_a_program():
    before = len(traces)
    found = [run(Shifted(), KEY, jnp.int32(n)) for n in (2, 100, 12_345)]
    assert len({float(x.mean["x"]) for x in found}) == 3
    assert len(traces) <= before + 1


def test_more_paths_add_to_those_there(in_float64):
    sampler = Shifted(mean=2.0)
    few, more = (by_numpy(sampler, n)["x"] for n in (100, 5000))
    np.testing.assert_array_equal(few, more[:100])
    assert not np.array_equal(by_numpy(sampler, 100, jax.random.key(6))["x"], few)


def test_float32_sums_lose_nothing_over_many_paths():
    """Mean 1000, standard deviation 1: plain float32 sums would be off by percents."""
    num_paths = 2**22
    sampler = Shifted(mean=1000.0)
    found = run(sampler, KEY, jnp.int32(num_paths))
    assert found.mean["x"].dtype == np.float32
    x = by_numpy(sampler, num_paths)["x"]
    # Far below the standard error of 5e-4; a float32 near 1000 is 6e-5 apart.
    assert abs(float(found.mean["x"]) - x.mean()) < 6e-5
    np.testing.assert_allclose(found.variance["x"], x.var(ddof=1), rtol=3e-6)
    np.testing.assert_allclose(
        found.standard_error["x"], x.std(ddof=1) / 2**11, rtol=3e-6
    )
    fourth = np.sqrt(((x - x.mean()) ** 4).mean() - x.var() ** 2) / 2**11
    np.testing.assert_allclose(found.variance_error["x"], fourth, rtol=1e-5)


class Odd(Made):
    """A rare jump, infinities and missing numbers."""

    def outcomes(self, shocks):
        u = shocks[0]
        return {
            "x": 1 + 1e-7 * u + jnp.where(u > 0.9995, 1000.0, 0.0),
            "infinite": jnp.where(u > 0.5, jnp.inf, u),
            "missing": jnp.where(u > 0.999, jnp.nan, u),
        }


def test_rare_outcomes_beside_rounding_noise_stay_finite():
    sampler, num_paths = Odd(None), 300_000
    x = by_numpy(sampler, num_paths)["x"]
    assert x[:64].max() < 2  # none among those that set the scale
    found = run(sampler, KEY, jnp.int32(num_paths), joint=())
    np.testing.assert_allclose(found.mean["x"], x.mean(), rtol=1e-5)
    np.testing.assert_allclose(found.variance["x"], x.var(), rtol=1e-4)
    deviation = (x - x.mean()) ** 2
    wanted = deviation.std() / np.sqrt(num_paths)
    np.testing.assert_allclose(found.variance_error["x"], wanted, rtol=1e-3)


def test_infinite_and_missing_outcomes_show():
    found = run(Odd(None), KEY, jnp.int32(3000), joint=())
    assert found.mean["infinite"] == np.inf
    found = run(Odd(None), KEY, jnp.int32(30_000), joint=())
    assert np.isnan(found.mean["missing"])
    assert np.isfinite(found.mean["x"])


def test_mapped_estimates_are_single_ones_whatever_the_neighbours_and_chunks():
    means = jnp.array([1.0, np.nan, -50.0, np.inf, 4.0])
    # Of two paths the error of a variance is a root of rounding noise alone.
    counts = jnp.array([1000, 70, 12_000, 500, 40], jnp.int32)
    keys = jax.random.split(KEY, 5)

    @jax.jit
    @jax.vmap
    def mapped(mean, key, count):
        return estimate(Shifted(mean), key, count, joint=JOINT, chunk_size=100)

    many = mapped(means, keys, counts)
    assert np.isnan(many.mean["x"][1])
    assert not np.isfinite(many.mean["x"][3])
    for i in (0, 2, 4):
        one = run(Shifted(means[i]), keys[i], counts[i])
        for x, y in zip(jax.tree.leaves(many), jax.tree.leaves(one), strict=True):
            assert np.isfinite(y).all()
            np.testing.assert_allclose(x[i], y, rtol=1e-5, atol=1e-6)


def test_pieces_add_up_to_the_whole(in_float64):
    sampler, stops = Shifted(mean=20.0), (700, 701, 3000, 10_000)
    whole = run(sampler, KEY, jnp.int32(10_000))

    @jax.jit
    def piece(start, first, stop):
        return advance(sampler, KEY, at(start, first), stop, joint=JOINT)

    total = start = jax.jit(lambda: begin(sampler, KEY, joint=JOINT))()
    first = jnp.uint32(0)
    for stop in map(jnp.uint32, stops):
        total = jax.jit(merge)(total, piece(start, first, stop))
        first = stop
        assert int(total.count) == int(stop)
    merged = jax.jit(lambda m: finish(m, joint=JOINT))(total)
    for x, y in zip(jax.tree.leaves(merged), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-9)


def test_mirror_images(in_float64):
    """Odd outcomes lose all variance; even ones gain nothing."""

    class Powers(Shifted):
        def outcomes(self, shocks):
            x = shocks[0]
            return {"x": x**3, "square": x**2, "both": x + x**2}

    found = run(Antithetic(Powers()), KEY, jnp.int32(4000), joint=())
    z = by_numpy(Shifted(), 4000)["x"]
    # Nothing but the rounding of a cube that is added to its negative.
    assert abs(found.mean["x"]) < 1e-15
    assert found.variance["x"] < 1e-30
    np.testing.assert_allclose(found.mean["square"], (z**2).mean(), rtol=1e-12)
    np.testing.assert_allclose(found.variance["square"], (z**2).var(ddof=1))
    np.testing.assert_allclose(found.mean["both"], (z**2).mean(), rtol=1e-12)
    np.testing.assert_allclose(found.variance["both"], (z**2).var(ddof=1), rtol=1e-9)


def test_differences_under_the_same_shocks(in_float64):
    one, other = Shifted(mean=1.0, std=2.0), Shifted(mean=0.5, std=1.5)
    found = run(Difference(one, other), KEY, jnp.int32(4000))
    x, y = by_numpy(one, 4000), by_numpy(other, 4000)
    gap = {name: x[name] - y[name] for name in x}
    check(found, gap, 1e-12)
    assert found.variance["x"] < 0.3  # 0.25, where independent samples have 6.25


def test_slopes_are_those_of_least_squares(x64):
    sampler, num_paths = Shifted(mean=5.0, std=3.0), 3001
    found = run(sampler, KEY, jnp.int32(num_paths))
    paths = by_numpy(sampler, num_paths)
    fit, covariance = np.polyfit(paths["x"], paths["y"], 1, cov=True)
    value, error = slope(found, "y", "x")
    rtol = 1e-11 if x64 else 1e-5
    np.testing.assert_allclose(value, fit[0], rtol=rtol)
    np.testing.assert_allclose(error, np.sqrt(covariance[0, 0]), rtol=rtol)
    # A line without errors.
    value, error = slope(found, "x", "x")
    np.testing.assert_allclose(value, 1, rtol=1e-6)
    assert error < 1e-4


def test_control_variates(in_float64):
    sampler, num_paths = Shifted(mean=5.0, std=3.0), 3001
    found = run(sampler, KEY, jnp.int32(num_paths))
    paths = by_numpy(sampler, num_paths)
    x, y = paths["x"], paths["y"]
    factor = np.cov(x, y)[0, 1] / x.var(ddof=1)
    corrected = y - factor * (x - 5.0)
    mean, error = controlled(found, "y", "x", jnp.asarray(5.0))
    np.testing.assert_allclose(mean, corrected.mean(), rtol=1e-12)
    wanted = corrected.std(ddof=1) / np.sqrt(num_paths)
    np.testing.assert_allclose(error, wanted, rtol=1e-10)
    assert error < found.standard_error["y"]
    assert abs(mean - 5.5) < 4 * error
    still = run(Shifted(mean=5.0, std=0.0), KEY, jnp.int32(num_paths))
    mean, error = controlled(still, "y", "x", jnp.asarray(5.0))
    assert mean == still.mean["y"]
    np.testing.assert_allclose(error, still.standard_error["y"], rtol=1e-12)
