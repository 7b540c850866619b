import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtrade.calibration import estimators
from tests.calibration import compiled, loops

RNG = np.random.default_rng(7)


def slow(*cases):
    return [pytest.param(*case, marks=pytest.mark.slow) for case in cases]


def holed(x, *places):
    x = x.copy()
    x[list(places)] = np.nan
    return x


@pytest.mark.parametrize(
    ("n", "window"), [(50, 7), (9, 10), *slow((50, 1), (49, 7), (50, 50))]
)
def test_rolling_mean_equals_a_loop(x64, n, window):
    x = holed(RNG.normal(3.0, 2.0, n), n // 3)
    found = compiled.rolling_mean(x, window=window)
    np.testing.assert_allclose(
        found, loops.rolling(np.mean, window, x), rtol=1e-10 if x64 else 1e-5
    )
    found = compiled.rolling_mean(x, window=window, skipna=True, min_periods=1)
    np.testing.assert_allclose(
        found, loops.rolling(np.mean, window, x, least=1), rtol=1e-10 if x64 else 1e-5
    )


def test_an_outlier_is_forgotten_with_its_window():
    # Long running sums would carry its rounding, 1e16 * 1e-7, to all later windows.
    x = RNG.normal(1.0, 0.1, 400).astype(np.float32)
    x[100] = 1e16
    found = compiled.rolling_mean(x, window=20)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(
        found[120:], loops.rolling(np.mean, 20, x.astype(float))[120:], rtol=1e-6
    )


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_entry_touches_only_its_windows(bad):
    x = RNG.normal(size=100)
    y = x.copy()
    y[40] = bad
    clean, found = (compiled.rolling_mean(z, window=8) for z in (x, y))
    assert np.isnan(found[40:48]).all()
    np.testing.assert_array_equal(found[:40], clean[:40])
    np.testing.assert_allclose(found[48:], clean[48:], rtol=1e-4)


@pytest.mark.parametrize("window", [5, *slow([1], [40])])
def test_trailing_percentile_equals_a_loop(x64, window):
    x = holed(RNG.integers(0, 6, 40).astype(float), 20)  # with ties
    whole = compiled.trailing_percentile(x, window=window)
    np.testing.assert_allclose(whole, loops.rolling(loops.percentile, window, x))
    some = compiled.trailing_percentile(x, window=window, skipna=True, min_periods=1)
    expected = loops.rolling(loops.percentile, window, x, least=1)
    expected[20] = np.nan  # nothing to rank
    np.testing.assert_allclose(some, expected)


def test_trailing_percentile_ignores_units_and_is_a_share():
    x = RNG.normal(size=200)
    found = compiled.trailing_percentile(x, window=30)
    np.testing.assert_array_equal(
        found, compiled.trailing_percentile(np.exp(3 * x), window=30)
    )
    assert np.nanmin(found) > 0
    assert np.nanmax(found) == 1


@pytest.mark.parametrize("window", [9, 10, *slow([2])])
def test_trailing_score_equals_a_loop(x64, window):
    x = holed(RNG.normal(size=60), 30)

    def score(own):
        middle = np.median(own)
        return (own[-1] - middle) / (1.4826 * np.median(np.abs(own - middle)))

    np.testing.assert_allclose(
        compiled.trailing_score(x, window=window),
        loops.rolling(score, window, x),
        rtol=1e-10 if x64 else 1e-3,
    )


def test_trailing_score_of_what_does_not_move(in_float64):
    x = np.array([1.0, 1.0, 1.0, 1.0, 2.0, 0.0])
    found = compiled.trailing_score(x, window=4)
    np.testing.assert_array_equal(found[3:], [0.0, np.inf, -1 / (1.4826 * 0.5)])


each_function = pytest.mark.parametrize(
    "function",
    [
        estimators.rolling_mean,
        estimators.trailing_percentile,
        estimators.trailing_score,
    ],
)


@each_function
def test_batches_equal_single_series(function, in_float64):
    batch = RNG.normal(size=(3, 40))
    batch[1, 5] = np.nan
    run = jax.jit(functools.partial(function, window=5))
    single = np.stack([run(x) for x in batch])
    np.testing.assert_allclose(jax.vmap(run)(batch), single, rtol=1e-12)


@pytest.mark.slow
@each_function
def test_jit_changes_nothing(function, in_float64):
    x = holed(RNG.normal(size=40), 5)
    function = functools.partial(function, window=5)
    np.testing.assert_allclose(function(x), jax.jit(function)(x), rtol=1e-12)


def test_bad_windows_are_named():
    x = np.zeros(5)
    with pytest.raises(ValueError, match="window must be at least 1; got 0"):
        estimators.rolling_mean(x, window=0)
    with pytest.raises(ValueError, match="window must be a whole number"):
        estimators.rolling_mean(x, window=2.5)
    with pytest.raises(ValueError, match="min_periods must be left out unless skipna"):
        estimators.rolling_mean(x, window=2, min_periods=1)
    with pytest.raises(ValueError, match="min_periods must be at most window 2; got 3"):
        estimators.rolling_mean(x, window=2, skipna=True, min_periods=3)
    with pytest.raises(ValueError, match=r"x must have shape \(any\); got \(2, 2\)"):
        estimators.rolling_mean(np.zeros((2, 2)), window=1)
