"""Simulation from Python: pieces, threads, progress, messages."""

import resource
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade import estimating
from gtrade.simulation.monte_carlo import estimate

from .simulation.samplers import Made, Shifted

KEY = jax.random.key(8)
JOINT = ("x", "y")
SAMPLER = {"mean": 4.0, "std": 2.0}


def run(num_paths=10_000, **options):
    sampler = Shifted(**SAMPLER)
    return gtrade.estimate(
        sampler, key=KEY, num_paths=num_paths, joint=JOINT, **options
    )


def assert_close(found, wanted, rtol):
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True)
    for x, y in pairs:
        np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-9)


def test_pieces_and_threads_do_not_matter(monkeypatch):
    whole = run()
    one_call = jax.jit(lambda n: estimate(Shifted(**SAMPLER), KEY, n, joint=JOINT))
    assert_close(whole, one_call(jnp.int32(10_000)), 1e-6)
    monkeypatch.setattr(estimating, "_PIECE", 2048)
    in_pieces = []
    for num_threads in (1, 3):
        monkeypatch.setattr(estimating, "_num_threads", lambda n=num_threads: n)
        in_pieces.append(run())
    assert_close(in_pieces[0], whole, 1e-5)
    for x, y in zip(*map(jax.tree.leaves, in_pieces), strict=True):
        np.testing.assert_array_equal(x, y)
    assert int(in_pieces[0].num_paths) == 10_000
    assert in_pieces[0].mean["x"].dtype == np.float32


def test_progress_comes_in_order(monkeypatch):
    monkeypatch.setattr(estimating, "_PIECE", 2048)
    calls = []
    run(progress=lambda done, whole: calls.append((done, whole)))
    assert calls == [(n, 10_000) for n in (2048, 4096, 6144, 8192, 10_000)]
    calls.clear()
    run(num_paths=4096, progress=lambda done, whole: calls.append((done, whole)))
    assert calls == [(2048, 4096), (4096, 4096)]


def test_an_interrupt_drops_what_has_not_begun(monkeypatch):
    monkeypatch.setattr(estimating, "_PIECE", 64)
    monkeypatch.setattr(estimating, "_num_threads", lambda: 1)
    done = []

    class Stop(Exception):
        pass

    def stop(*counts):
        done.append(counts)
        raise Stop

    before = threading.active_count()
    with pytest.raises(Stop):
        run(num_paths=64 * 20_000, progress=stop)
    assert len(done) == 1
    assert threading.active_count() <= before + 1


@pytest.mark.parametrize("bad", [1, 0, -5, 2**32, 1e6, True, "many", None])
def test_numbers_of_paths_are_named(bad):
    message = "num_paths must be a whole number from 2 to 2\\^32 - 1; got"
    with pytest.raises(ValueError, match=message):
        run(num_paths=bad)


def test_numpy_integers_count():
    assert_close(run(num_paths=np.int64(500)), run(num_paths=500), 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"levels": [0.5, 1.0]}, "levels must be a list of probabilities"),
        ({"levels": [0.0]}, "levels must be a list of probabilities"),
        ({"levels": [float("nan")]}, "levels must be a list of probabilities"),
        ({"levels": 0.5}, "levels must be a list of probabilities"),
        ({"num_paths": 1}, "num_paths must be at least 2; got 1"),
        ({"num_paths": 2.5}, "num_paths must be a whole number; got 2.5"),
        ({"num_paths": 2**31}, "num_paths must fit 32 bits"),
    ],
)
def test_quantiles_name_what_is_wrong(change, message):
    numbers = {"num_paths": 100, "name": "x", "levels": [0.5], **change}
    with pytest.raises(ValueError, match=message):
        gtrade.estimate_quantiles(Shifted(), key=KEY, **numbers)


def test_quantiles_and_means_see_the_same_paths(in_float64):
    sampler = Made(lambda u: jnp.floor(10 * u))
    found = gtrade.estimate_quantiles(
        sampler, key=KEY, num_paths=1000, name="x", levels=[0.05, 0.5]
    )
    mean = gtrade.estimate(sampler, key=KEY, num_paths=1000).mean["x"]
    # All outcomes are at least 0, so the mean beyond the level 0.05 is that of all.
    assert found.value.tolist()[0] == 0
    assert mean.dtype == np.float64
    np.testing.assert_allclose(found.tail_mean[0] * 0.95, mean, rtol=1e-12)


def test_estimates_lie_within_their_errors():
    found = run(num_paths=400_000)
    exact = {"x": 4.0, "y": 5.0, "exponential": np.exp(1 / 8)}
    variances = {"x": 4.0, "y": 5.0, "exponential": np.exp(1 / 4) * np.expm1(1 / 4)}
    for name, mean in exact.items():
        assert abs(found.mean[name] - mean) < 5 * found.standard_error[name]
        error = found.variance_error[name]
        assert abs(found.variance[name] - variances[name]) < 5 * error
        wanted = np.sqrt(variances[name] / 400_000)
        np.testing.assert_allclose(found.standard_error[name], wanted, rtol=0.01)


@pytest.mark.slow
def test_memory_does_not_grow():
    run(num_paths=10_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = run(num_paths=10_000_000)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 40 * 1024  # kilobytes; all paths together take 560 megabytes
    assert abs(found.mean["x"] - 4) < 5 * found.standard_error["x"]
    np.testing.assert_allclose(found.standard_error["x"], 2 / 10**3.5, rtol=0.01)
