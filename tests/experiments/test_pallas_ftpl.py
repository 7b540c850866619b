"""The kernel against the package's own play, without a GPU."""

import importlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AbstractDevice, AbstractMesh, AxisType, use_abstract_mesh

import gtrade

FOLDER = Path(__file__).parents[2] / "experiments" / "benchmarks"
KAPPAS = np.asarray([0.0, 0.5, 1.0, 1.7, 2.5, 5.0, 10.0], np.float32)
NOISE = 20.0


@pytest.fixture
def pallas_ftpl(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("pallas_ftpl")


def games_with(targets, horizon, low, high):
    return gtrade.make_batch(
        gtrade.TradingGame,
        targets=targets,
        permanent_impact=KAPPAS,
        horizon=horizon,
        min_trade=low,
        max_trade=high,
    )


MIXED_TARGETS = np.stack([np.arange(7) % 4, 1 - np.arange(7) % 3], axis=1)


# The three players' batch is cut, as one beyond 32 bits would be, into single blocks.
@pytest.mark.parametrize(
    ("targets", "horizon", "low", "high", "num_calls"),
    [(MIXED_TARGETS, 3, -1, 2, 1), ([2, 1, 3], 2, 0, 2, 2)],
)
def test_schedules_are_those_of_xla(
    pallas_ftpl, monkeypatch, targets, horizon, low, high, num_calls
):
    games = games_with(targets, horizon, low, high)
    keys = jax.random.split(jax.random.key(3), len(KAPPAS))
    solver = gtrade.FTPL(noise=NOISE, num_rounds=60)
    want = gtrade.solve_batch(games, solver, keys=keys).value.schedules
    if num_calls > 1:
        block_size = want[:4].size
        monkeypatch.setattr(pallas_ftpl, "MOST_NUMBERS", block_size)
    calls = []
    call = pallas_ftpl._call
    monkeypatch.setattr(pallas_ftpl, "_call", lambda *x: calls.append(x) or call(*x))
    got = pallas_ftpl.play(
        games, keys, noise=NOISE, num_rounds=60, block=4, interpret=True
    )
    assert len(calls) == num_calls
    assert got.dtype == want.dtype
    assert len(np.unique(want)) > 2
    np.testing.assert_array_equal(got, want)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The Pallas Triton backend:DeprecationWarning")
@pytest.mark.parametrize("backend", ["triton", "mosaic"])
def test_kernel_lowers_for_cuda(pallas_ftpl, backend):
    games = games_with([1, 2, -1], 2, -1, 2)
    keys = jax.random.split(jax.random.key(0), len(KAPPAS))
    shape = pallas_ftpl.shape_for(games, num_rounds=50, block=128, backend=backend)
    arrays = games, keys, jnp.float32(NOISE)
    arrays = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), arrays)
    device = AbstractDevice("NVIDIA H100 80GB HBM3", num_cores=132, platform="gpu")
    mesh = AbstractMesh((1,), ("x",), (AxisType.Auto,), abstract_device=device)
    with use_abstract_mesh(mesh):
        traced = pallas_ftpl.play_lanes.trace(*arrays, shape=shape)
        text = traced.lower(lowering_platforms=("cuda",)).as_text()
    assert backend in text.lower()


@pytest.mark.parametrize(
    ("numbers", "word"),
    [({"block": 12}, "block"), ({"num_rounds": 10**8}, "num_rounds")],
)
def test_what_the_kernel_does_not_serve_is_refused(pallas_ftpl, numbers, word):
    games = games_with([1, 1], 2, 0, 1)
    keys = jax.random.split(jax.random.key(0), len(KAPPAS))
    numbers = {"noise": 1.0, "num_rounds": 9, "block": 8, "interpret": True} | numbers
    with pytest.raises(ValueError, match=word):
        pallas_ftpl.play(games, keys, **numbers)
    other = jax.random.split(jax.random.key(0, impl="rbg"), len(KAPPAS))
    with pytest.raises(ValueError, match="keys"):
        pallas_ftpl.play(games, other, **numbers | {"block": 8, "num_rounds": 9})
