import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from gtrade.calibration import estimators
from tests.calibration import compiled, loops


def vpin(num_buckets, max_buckets):
    """Return VPIN of a bucket's volume, which may vary without a new program."""

    def run(volume, signed_volume, bucket_volume):
        return compiled.vpin(
            volume,
            signed_volume,
            bucket_volume=jnp.asarray(bucket_volume),
            num_buckets=num_buckets,
            max_buckets=max_buckets,
        )

    return run


def flow(n, seed=0):
    rng = np.random.default_rng(seed)
    volume = rng.integers(0, 400, n).astype(float)
    volume[rng.random(n) < 0.1] = 0
    volume[n // 2] = 5000  # spans several buckets
    return volume, volume * rng.uniform(-1, 1, n)


@pytest.mark.parametrize("size", [37.5, 400.0, 1234.0])
def test_buckets_equal_a_loop(in_float64, size):
    volume, signed = flow(300)
    found = vpin(7, 2000)(volume, signed, size)
    imbalance, last_bar = loops.bucket_imbalances(volume, signed, size)
    filled = len(imbalance)
    assert filled == int(volume.sum() // size)  # the last is dropped
    assert np.isnan(found.imbalance[filled:]).all()
    assert (found.last_bar[filled:] == 300).all()
    found = jax.tree.map(lambda x: x if x.ndim == 0 else x[:filled], found)
    np.testing.assert_allclose(found.imbalance, imbalance, rtol=1e-9, atol=1e-9 * size)
    np.testing.assert_array_equal(found.last_bar, last_bar)
    shares = np.abs(imbalance) / size
    np.testing.assert_allclose(found.vpin, loops.rolling(np.mean, 7, shares), rtol=1e-9)


def test_float32_keeps_four_digits():
    volume, signed = flow(2000)
    found = vpin(20, int(volume.sum() // 4000))(volume, signed, 4000.0)
    assert found.vpin.dtype == jnp.float32
    imbalance, _ = loops.bucket_imbalances(volume, signed, 4000.0)
    expected = loops.rolling(np.mean, 20, np.abs(imbalance) / 4000)
    np.testing.assert_allclose(found.vpin, expected, atol=1e-4)


def test_one_sided_flow_is_one(x64):
    volume, _ = flow(200)
    assert volume.sum() > 60 * 301.7
    for side in (-1, 1):
        found = vpin(50, 60)(volume, side * volume, 301.7)
        np.testing.assert_allclose(found.vpin[49:], 1, rtol=1e-12 if x64 else 1e-4)
        assert np.nanmax(found.vpin) <= 1
        assert np.isnan(found.vpin[:49]).all()


def test_balanced_flow_is_zero(x64):
    volume = np.full(100, 50.0)
    signed = volume * np.where(np.arange(100) % 2, 1, -1)
    run = vpin(10, 50)
    found = run(volume, signed, 100.0)
    np.testing.assert_array_equal(found.vpin[9:], 0)
    found = run(volume, 0 * signed, 90.0)
    np.testing.assert_array_equal(found.vpin[9:], 0)


@pytest.mark.parametrize(
    ("bars_a_bucket", "expected"),
    [pytest.param(1, 1 / 2, marks=pytest.mark.slow), (2, 1 / 3)],
)
def test_gaussian_bars_with_known_deviation(in_float64, bars_a_bucket, expected):
    rng = np.random.default_rng(2)
    changes = 0.3 * rng.normal(size=400_000)
    volume = np.full(len(changes), 100.0)
    signed = compiled.bulk_signed_volume(changes, volume, std=np.array(0.3))
    run = vpin(1, 400_000 // bars_a_bucket)
    found = run(volume, signed, 100.0 * bars_a_bucket)
    error = found.vpin.std() / np.sqrt(len(found.vpin))
    assert abs(found.vpin.mean() - expected) < 4 * error


@pytest.mark.parametrize(("bars", "expected"), [(10, 0.519), (50, 0.503)])
def test_an_estimated_deviation_biases_upwards(in_float64, bars, expected):
    changes = np.random.default_rng(3).normal(size=(200_000 // bars, bars))
    signed = jax.vmap(compiled.bulk_signed_volume)(changes, np.ones_like(changes))
    means = np.abs(signed).mean(axis=1)
    assert abs(means.mean() - expected) < 5e-4 + 4 * means.std() / np.sqrt(len(means))
    assert means.mean() > 0.5


def test_bulk_classification_by_hand(x64):
    changes = np.array([0.0, 1.0, -2.0, 1.0, 0.5])
    volume = np.array([10.0, 20.0, 30.0, 0.0, 40.0])
    deviation = changes.std(ddof=1)
    expected = volume * (2 * scipy.stats.norm.cdf(changes / deviation) - 1)
    found = compiled.bulk_signed_volume(changes, volume)
    np.testing.assert_allclose(found, expected, rtol=1e-10 if x64 else 1e-5)
    for flat in (np.zeros(5), np.full(5, 0.1)):
        np.testing.assert_array_equal(compiled.bulk_signed_volume(flat, volume), 0)
    np.testing.assert_array_equal(
        compiled.bulk_signed_volume(changes, volume, std=np.array(0.0)), 0
    )


def test_a_missing_change_has_no_deviation_and_no_class(in_float64):
    changes, volume = np.array([0.5, np.nan, -1.0, 2.0]), np.full(4, 10.0)
    found = compiled.bulk_signed_volume(changes, volume)
    kept = compiled.bulk_signed_volume(np.delete(changes, 1), volume[:3])
    assert np.isnan(found[1])
    np.testing.assert_allclose(np.delete(found, 1), kept)


@pytest.mark.parametrize("scale", [0.01, 50.0])
def test_units_of_price_and_volume_do_not_matter(in_float64, scale):
    rng = np.random.default_rng(5)
    changes = rng.normal(size=500)
    volume = rng.integers(1, 100, 500).astype(float)

    def run(price, size):
        signed = compiled.bulk_signed_volume(price * changes, size * volume)
        return vpin(20, 50)(size * volume, signed, size * volume.sum() / 50).vpin

    np.testing.assert_allclose(run(scale, 1), run(1, 1), rtol=1e-9)
    np.testing.assert_allclose(run(1, scale), run(1, 1), rtol=1e-9)
    assert np.isfinite(run(1, scale)[19:]).all()


def test_default_bucket_is_a_fiftieth_of_a_day(in_float64):
    volume, signed = flow(300)
    one = estimators.vpin(volume, signed)
    np.testing.assert_allclose(one.bucket_volume, volume.sum() / 50)
    assert len(one.vpin) == 50  # rounding must not drop the fiftieth


@pytest.mark.slow
def test_default_bucket_over_five_days(in_float64):
    five = estimators.vpin(*flow(500), num_days=5)
    assert len(five.vpin) == 250


def test_an_unknown_sign_touches_only_its_buckets(in_float64):
    volume, signed = np.full(40, 10.0), np.tile([10.0, -5.0], 20)
    run = vpin(2, 16)
    clean = run(volume, signed, 25.0)
    signed[12] = np.nan  # shares 120 to 130: buckets 4 and 5
    found = run(volume, signed, 25.0)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found.imbalance)), [4, 5])
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(found.vpin)), [0, 4, 5, 6])
    np.testing.assert_allclose(found.vpin[7:], clean.vpin[7:])


def test_values_on_bars_use_no_later_bucket(in_float64):
    volume = np.full(10, 10.0)
    found = vpin(1, 4)(volume, volume, 25.0)
    np.testing.assert_array_equal(found.last_bar, [2, 4, 7, 9])
    on_bars = compiled.on_bars(found, np.arange(4.0), num_bars=10)
    nan = np.nan
    np.testing.assert_array_equal(on_bars, [nan, nan, 0, 0, 1, 1, 1, 2, 2, 3])


@pytest.mark.slow
def test_jit_changes_nothing(in_float64):
    volume, signed = flow(300)
    eager = estimators.vpin(volume, signed, bucket_volume=400.0, num_buckets=7)
    padded = vpin(7, 2000)(volume, signed, 400.0)
    filled = len(eager.vpin)
    np.testing.assert_allclose(padded.vpin[:filled], eager.vpin, rtol=1e-12)
    assert np.isnan(padded.vpin[filled:]).all()


def test_jit_and_batches_need_the_number_of_buckets(in_float64):
    run = vpin(7, 2000)
    volume, signed = flow(300)
    padded = run(volume, signed, 400.0)
    filled = int(volume.sum() // 400)
    assert np.isfinite(padded.vpin[filled - 1])
    assert np.isnan(padded.vpin[filled:]).all()
    np.testing.assert_array_equal(padded.last_bar[filled:], 300)
    other = flow(300, seed=9)
    columns = np.stack([volume, other[0]]), np.stack([signed, other[1]])
    batch = jax.vmap(run)(*columns, np.full(2, 400.0))
    np.testing.assert_allclose(batch.vpin[0], padded.vpin, rtol=1e-12)
    np.testing.assert_allclose(batch.vpin[1], run(*other, 400.0).vpin, rtol=1e-12)
    with pytest.raises(ValueError, match="max_buckets must be given where volumes"):
        jax.jit(estimators.vpin)(volume, signed)


def test_too_little_volume_fills_no_bucket(in_float64):
    found = estimators.vpin(np.ones(3), np.ones(3), bucket_volume=10.0)
    assert found.vpin.shape == (0,)
    nothing = estimators.vpin(np.zeros(3), np.zeros(3))
    assert nothing.vpin.shape == (0,)


def test_gradient_matches_finite_differences(in_float64):
    volume, signed = flow(60)

    @jax.jit
    @jax.vmap
    @jax.value_and_grad
    def mean(s):
        return jnp.nanmean(vpin(3, 10)(volume, s, 500.0).vpin)

    places = np.array([3, 10, 30])
    steps = 1e-3 * np.eye(60)[places]
    moved = np.concatenate([signed[None], signed + steps, signed - steps])
    values, slopes = map(np.asarray, mean(moved))
    assert np.isfinite(slopes[0]).all()
    numeric = (values[1:4] - values[4:]) / 2e-3
    np.testing.assert_allclose(slopes[0, places], numeric, rtol=1e-6, atol=1e-12)


def test_bad_input_is_named():
    ones = np.ones(3)
    with pytest.raises(ValueError, match="volume must hold at least one bar"):
        estimators.vpin(np.zeros(0), np.zeros(0))
    with pytest.raises(ValueError, match=r"volume\[2\] must be at least 0; got -1.0"):
        estimators.vpin(np.array([1.0, 1.0, -1.0]), ones)
    with pytest.raises(ValueError, match=r"signed_volume\[0\] must be at most volume"):
        estimators.vpin(ones, 2 * ones)
    with pytest.raises(ValueError, match="bucket_volume must be greater than 0"):
        estimators.vpin(ones, ones, bucket_volume=0.0)
    with pytest.raises(ValueError, match="num_buckets must be at least 1; got 0"):
        estimators.vpin(ones, ones, num_buckets=0)
    with pytest.raises(ValueError, match="num_days must be greater than 0; got -1"):
        estimators.vpin(ones, ones, num_days=-1)
    with pytest.raises(ValueError, match="std must be at least 0; got -1.0"):
        estimators.bulk_signed_volume(ones, ones, std=-1.0)


def test_volume_that_is_missing_is_refused():
    volume = np.array([1.0, np.nan, 3.0])
    message = r"volume\[1\] must be a number; bars without trades have a volume of 0"
    with pytest.raises(ValueError, match=message):
        estimators.vpin(
            volume, np.array([1.0, np.nan, 0.0]), num_buckets=1, max_buckets=1
        )
