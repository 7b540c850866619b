"""Estimators against the reference, which was written apart from them."""

import numpy as np
import pytest

from tests.calibration import compiled
from tests.references import estimators as reference

RNG = np.random.default_rng(41)
N = 120
VOLUME = RNG.integers(0, 300, N).astype(float)
FLOW = np.round(VOLUME * RNG.uniform(-1, 1, N))
CHANGES = 2e-4 * FLOW + 0.02 * RNG.normal(size=N)
SIGNS = np.where(RNG.random(N) < 0.7, 1, -1).cumprod()
PRICES = 50 + np.round(np.cumsum(CHANGES) + 0.02 * SIGNS, 2)


@pytest.mark.parametrize(
    ("window", "with_intercept"),
    [
        (None, False),
        (15, True),
        pytest.param(None, True, marks=pytest.mark.slow),
        pytest.param(15, False, marks=pytest.mark.slow),
    ],
)
def test_price_impact(in_float64, window, with_intercept):
    def fit(errors):
        return compiled.price_impact(
            CHANGES, FLOW, window=window, with_intercept=with_intercept, errors=errors
        )

    if window is None:
        expected = reference.regression(CHANGES, FLOW, with_intercept)
    else:
        expected = reference.rolling_regression(CHANGES, FLOW, window, with_intercept)
    found, robust = fit("classical"), fit("robust")
    pairs = {
        "slope": found.price_impact,
        "intercept": found.intercept,
        "standard_error": found.standard_error,
        "robust_error": robust.standard_error,
        "t_statistic": found.t_statistic,
        "r_squared": found.r_squared,
    }
    for name, value in pairs.items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-9, err_msg=name)


def test_illiquidity_and_roll(in_float64):
    columns = CHANGES / PRICES, PRICES, VOLUME
    np.testing.assert_allclose(
        compiled.amihud_illiquidity(*columns), reference.amihud(*columns), rtol=1e-12
    )
    for part in (slice(0, 40), slice(40, 80), slice(79, N)):
        changes = np.diff(PRICES)[part]
        np.testing.assert_allclose(
            compiled.roll_spread(changes), reference.roll_spread(changes), rtol=1e-9
        )


def test_signs():
    mids = np.round(PRICES + RNG.choice([-0.01, 0, 0.01], N), 2)
    for name, columns in (
        ("tick_rule", (PRICES,)),
        ("quote_rule", (PRICES, mids)),
        ("lee_ready", (PRICES, mids)),
    ):
        found = getattr(compiled, name)(*columns)
        expected = getattr(reference, name)(*(c.tolist() for c in columns))
        np.testing.assert_array_equal(found, expected, err_msg=name)


def test_vpin(in_float64):
    signed = compiled.bulk_signed_volume(CHANGES, VOLUME)
    bought = reference.bulk_shares(CHANGES)
    np.testing.assert_allclose(signed, VOLUME * (2 * bought - 1), rtol=1e-9, atol=1e-9)
    expected = reference.vpin(VOLUME, bought, 700, 6)
    found = compiled.vpin(
        VOLUME, signed, bucket_volume=700.0, num_buckets=6, max_buckets=len(expected)
    )
    np.testing.assert_allclose(found.vpin, expected, rtol=1e-9)


def test_components(in_float64):
    found = compiled.spread_components(PRICES, SIGNS, num_lags=0)
    changes = np.diff(PRICES, prepend=np.nan)
    expected = reference.madhavan(changes, SIGNS, num_lags=0)
    # Its autocorrelation has the mean of all signs, this one those of the pairs.
    np.testing.assert_allclose(
        found.sign_autocorrelation, expected["persistence"], atol=2 / N
    )
    np.testing.assert_allclose(found.implied_spread, expected["spread"], rtol=1e-7)
    for name, other in (
        ("adverse_selection", "adverse"),
        ("order_processing", "fixed"),
        ("adverse_share", "share"),
    ):
        error = expected[f"{other}_error"]
        assert abs(getattr(found, name) - expected[other]) < 0.15 * error, name
        np.testing.assert_allclose(getattr(found, f"{name}_error"), error, rtol=0.05)


def test_shares(in_float64):
    spreads = RNG.choice([0.02, 0.04], N)
    mids = PRICES + 0.01 * RNG.normal(size=N)
    found = compiled.spread_shares(mids, spreads, SIGNS, least_score=0.0)
    expected = reference.huang_stoll(mids, spreads, SIGNS)
    np.testing.assert_allclose(
        found.order_processing, expected["processing"], rtol=1e-9
    )
    # The reference counts one pair of signs more.
    np.testing.assert_allclose(
        found.reversal_probability, expected["reversal"], atol=1 / N
    )
    np.testing.assert_allclose(found.adverse_selection, expected["adverse"], rtol=0.05)


def test_spreads_by_horizon(in_float64):
    quote_times = np.sort(RNG.uniform(0, 100, 400))
    quote_mids = 50 + np.cumsum(0.01 * RNG.normal(size=400))
    times = np.sort(RNG.uniform(1, 100, 60))
    prices, signs = 50 + RNG.normal(size=60), RNG.choice([-1, 1], 60)
    found = compiled.spread_by_horizon(
        times, prices, signs, quote_times, quote_mids, horizons=np.array([5.0])
    )
    mids = np.asarray(compiled.prevailing(quote_times, quote_mids, times))
    effective, realised = reference.trade_spreads(
        times, prices, signs, mids, quote_times, quote_mids, 5.0
    )
    np.testing.assert_allclose(found.effective, effective)
    np.testing.assert_allclose(found.realised[0], realised)


def test_trailing_windows_and_limits(in_float64):
    x = np.round(RNG.normal(size=N), 1)  # with ties
    np.testing.assert_allclose(
        compiled.toxicity(x, window=20), reference.trailing_share(x, 20)
    )
    np.testing.assert_allclose(
        1.4826 * compiled.trailing_score(CHANGES, window=20),
        reference.trailing_score(CHANGES, 20),
        rtol=1e-9,
    )
    for impact in (-1e-4, 0.0, 2e-4, np.nan):
        found = compiled.position_limit(
            1000.0, np.array(impact), reference_size=300.0, volatility=0.2, lowest=40.0
        )
        expected = reference.position_limit(1000.0, impact, 300.0, 0.2, 40.0)
        np.testing.assert_allclose(found, expected)
