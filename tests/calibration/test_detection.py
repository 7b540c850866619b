import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtrade.calibration import estimators
from tests.calibration import compiled, loops


def test_beliefs_of_the_known_path(x64):
    # Buy, buy, sell with a fraction 0.3 informed: from the model's fact sheet.
    found = compiled.sequential_belief(np.array([1, 1, -1]), informed_fraction=0.3)
    np.testing.assert_allclose(
        found, [0.65, 0.7752293578, 0.65], rtol=1e-9 if x64 else 1e-5
    )


@pytest.mark.parametrize("numbers", [(0.3, 0.5, 0.5, 0.5), (0.1, 0.2, 0.4, 0.8)])
def test_beliefs_equal_a_loop(in_float64, numbers):
    signs = np.random.default_rng(0).integers(-1, 2, 200)
    a, buys, sells, prior = numbers
    found = compiled.sequential_belief(
        signs,
        informed_fraction=a,
        buy_probability=buys,
        sell_probability=sells,
        prior_high=prior,
    )
    expected = loops.beliefs(signs, a, buys, sells, prior)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    recent = compiled.sequential_belief(
        signs, informed_fraction=a, buy_probability=buys, sell_probability=sells,
        prior_high=prior, window=15,
    )  # fmt: skip
    last = loops.beliefs(signs[-15:], a, buys, sells, prior)[-1]
    np.testing.assert_allclose(recent[-1], last, rtol=1e-9)
    assert np.isnan(recent[:14]).all()


def test_belief_edge_cases(in_float64):
    signs = np.array([1.0, -1.0, np.nan, 1.0])
    none = compiled.sequential_belief(signs[:2], informed_fraction=0.0)
    np.testing.assert_array_equal(none, 0.5)
    sure = compiled.sequential_belief(signs[:2], informed_fraction=0.5, prior_high=1.0)
    np.testing.assert_array_equal(sure, 1)
    after = compiled.sequential_belief(signs, informed_fraction=0.5)
    np.testing.assert_array_equal(np.isnan(after), [False, False, True, True])
    recent = compiled.sequential_belief(signs, informed_fraction=0.5, window=1)
    np.testing.assert_array_equal(np.isnan(recent), [False, False, True, False])


def test_beliefs_find_the_value(in_float64):
    rng = np.random.default_rng(3)
    a, n = 0.2, 400
    is_high = rng.random(2000) < 0.5
    informed = rng.random((2000, n)) < a
    noise = rng.choice([-1, 1], (2000, n))
    signs = np.where(informed, np.where(is_high, 1, -1)[:, None], noise)
    run = functools.partial(compiled.sequential_belief, informed_fraction=a)
    beliefs = jax.vmap(run)(signs)
    early = np.asarray(beliefs[:, 5])
    # Calibrated: among paths with belief near b, a share b has the high value.
    for low, high in ((0.2, 0.45), (0.55, 0.8)):
        own = (early > low) & (early < high)
        gap = is_high[own].mean() - early[own].mean()
        assert abs(gap) < 4 * 0.5 / np.sqrt(own.sum())
    assert ((np.asarray(beliefs[:, -1]) > 0.5) == is_high).mean() > 0.999


def test_toxicity_is_the_trailing_distribution_function(in_float64):
    x = np.random.default_rng(5).uniform(size=60)
    found = compiled.toxicity(x, window=20)
    np.testing.assert_allclose(found, loops.rolling(loops.percentile, 20, x))


def bars_with_informed_spell(n=3000, start=2000, stop=2300):
    """Simulate bars in which flow turns one-sided and impact trebles for a while."""
    rng = np.random.default_rng(1)
    is_informed = (np.arange(n) >= start) & (np.arange(n) < stop)
    volume = rng.integers(50, 150, n).astype(float)
    tilt = np.where(is_informed, 0.6, 0.0)
    flow = volume * np.clip(tilt + 0.4 * rng.normal(size=n), -1, 1)
    impact = np.where(is_informed, 3e-3, 1e-3)
    return impact * flow + 0.02 * rng.normal(size=n), flow, volume, is_informed


detect = functools.partial(
    compiled.informed_flow,
    max_buckets=350,
    window=50,
    reference_window=300,
    reference_buckets=100,
    informed_fraction=0.2,
    belief_window=50,
    bucket_volume=1000.0,
    num_buckets=10,
)


def test_detector_sees_an_informed_spell(in_float64):
    changes, flow, volume, is_informed = bars_with_informed_spell()
    found = jax.tree.map(np.asarray, detect(changes, flow, volume))
    for name in ("impact", "vpin", "belief"):
        series = getattr(found, name)
        assert series.shape == (3000,)
        known = series[np.isfinite(series)]
        assert len(known) > 1500
        assert known.min() >= 0
        assert known.max() <= 1
        calm, tense = series[1300:2000], series[2100:2200]
        assert tense.mean() > calm.mean() + 0.25, name


def test_detector_looks_at_no_later_bar(in_float64):
    changes, flow, volume, _ = bars_with_informed_spell()
    whole = detect(changes, flow, volume)
    part = detect(*(np.append(x[:2100], x[:900]) for x in (changes, flow, volume)))
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(part), strict=True):
        np.testing.assert_allclose(a[:2100], b[:2100], rtol=1e-9, atol=1e-12)


def test_detector_runs_in_batches(in_float64):
    changes, flow, volume, _ = bars_with_informed_spell(6000)
    columns = [x.reshape(2, 3000) for x in (changes, flow, volume)]
    columns[0][1, 10] = np.nan
    batch = jax.vmap(detect)(*columns)
    for i in range(2):
        single = detect(*(x[i] for x in columns))
        for a, b in zip(jax.tree.leaves(batch), jax.tree.leaves(single), strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-8, atol=1e-12)


def test_bad_input_is_named():
    signs = np.ones(3)
    run = estimators.sequential_belief
    with pytest.raises(ValueError, match="informed_fraction must be at least 0 and be"):
        run(signs, informed_fraction=1.0)
    with pytest.raises(ValueError, match="sell_probability must be above 0 and at mo"):
        run(signs, informed_fraction=0.1, sell_probability=0.0)
    with pytest.raises(ValueError, match="buy_probability must be at most 1 together"):
        run(signs, informed_fraction=0.1, buy_probability=0.7, sell_probability=0.6)
    with pytest.raises(ValueError, match=r"prior_high must be in \[0, 1\]; got 2.0"):
        run(signs, informed_fraction=0.1, prior_high=2.0)
    assert jnp.isfinite(run(signs, informed_fraction=0.1)).all()
