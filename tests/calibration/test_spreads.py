import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtrade.calibration import estimators
from tests.calibration import compiled, loops

fit_components = jax.jit(jax.vmap(compiled.spread_components))
fit_shares = jax.jit(jax.vmap(compiled.spread_shares))


def signs_of(rng, paths, n, autocorrelation):
    """Draw signs that repeat with probability (1 + autocorrelation) / 2."""
    repeats = rng.random((paths, n)) < (1 + autocorrelation) / 2
    flips = np.where(repeats, 1, -1)
    flips[:, 0] = rng.choice([-1, 1], paths)
    return np.cumprod(flips, axis=1)


def components_market(
    paths=300, n=1500, theta=0.02, phi=0.01, rho=0.4, news=0.01, noise=0.01
):
    """Simulate prices of the model of Madhavan, Richardson and Roomans."""
    rng = np.random.default_rng(17)
    x = signs_of(rng, paths, n, rho)
    surprise = x.astype(float)
    surprise[:, 1:] -= rho * x[:, :-1]
    values = np.cumsum(theta * surprise + news * rng.normal(size=x.shape), axis=1)
    return values + phi * x + noise * rng.normal(size=x.shape), x


def scores(found, name, truth):
    value = np.asarray(getattr(found, name))
    return (value - truth) / np.asarray(getattr(found, f"{name}_error"))


def test_components_are_recovered_with_honest_errors(in_float64):
    found = fit_components(*components_market())
    truths = {
        "adverse_selection": 0.02,
        "order_processing": 0.01,
        "implied_spread": 0.06,
        "adverse_share": 2 / 3,
    }
    for name, truth in truths.items():
        score = scores(found, name, truth)
        assert abs(score.mean()) < 4 / np.sqrt(300), name
        assert abs(score.std() - 1) < 4 / np.sqrt(600), name
        assert (np.abs(score) < 3).mean() > 0.98, name


def test_errors_without_a_lag_are_too_wide(in_float64):
    # Noise in prices alone: too wide by sqrt(2 / (1 - rho)).
    market = components_market(rho=0.3, news=0.0, noise=0.02)
    without_lag = functools.partial(compiled.spread_components, num_lags=0)
    fits = jax.vmap(without_lag)(*market), fit_components(*market)
    truth = np.asarray(fits[1].adverse_selection).std()
    ratios = [float(x.adverse_selection_error.mean()) / truth for x in fits]
    assert abs(ratios[0] / np.sqrt(2 / 0.7) - 1) < 4 / np.sqrt(600)
    assert abs(ratios[1] - 1) < 4 / np.sqrt(600)


def test_components_equal_regression(x64):
    prices, x = (column[0] for column in components_market(paths=1, n=400))
    found = compiled.spread_components(prices, x)
    design = np.column_stack([np.ones(399), x[1:], x[:-1]])
    _, b1, b2 = np.linalg.lstsq(design, np.diff(prices), rcond=None)[0]
    rho = np.corrcoef(x[1:], x[:-1])[0, 1]
    theta = (b1 + b2) / (1 - rho)
    tol = 1e-10 if x64 else 1e-4
    np.testing.assert_allclose(found.adverse_selection, theta, rtol=tol)
    np.testing.assert_allclose(found.order_processing, b1 - theta, rtol=tol)
    np.testing.assert_allclose(found.sign_autocorrelation, rho, rtol=tol)
    np.testing.assert_allclose(found.implied_spread, 2 * b1, rtol=tol)
    np.testing.assert_allclose(found.adverse_share, theta / b1, rtol=tol)


def sequential_trades(paths, n, informed, seed=0):
    """Simulate prices and signs where a competitive maker learns a value, 0 or 1."""
    rng = np.random.default_rng(seed)
    is_high = rng.random((paths, 1)) < 0.5
    knows = rng.random((paths, n)) < informed
    signs = np.where(knows, np.where(is_high, 1, -1), rng.choice([-1, 1], (paths, n)))
    beliefs = 1 / (
        1 + np.exp(-np.log((1 + informed) / (1 - informed)) * signs.cumsum(1))
    )
    return beliefs, signs  # the price of a trade is the belief after it


def test_information_is_all_of_a_sequential_trade_spread(in_float64):
    prices, signs = sequential_trades(3000, 20, informed=0.3)
    apart = [np.pad(a.astype(float), ((0, 0), (0, 1)), constant_values=np.nan)
             for a in (prices, signs)]  # fmt: skip
    found = compiled.spread_components(*(a.ravel() for a in apart))
    assert found.num_trades == 3000 * 19
    assert abs(found.adverse_share - 1) < 3 * found.adverse_share_error
    assert found.adverse_share_error < 0.05


def test_long_single_paths_scatter_about_one(in_float64):
    prices, signs = sequential_trades(200, 2000, informed=0.02, seed=4)
    shares = np.asarray(fit_components(prices, signs).adverse_share)
    assert (np.abs(shares - 1) < 0.15).all()
    assert abs(np.median(shares) - 1) < 0.02


def test_a_fixed_half_spread_without_news_is_all_processing(x64):
    signs = np.random.default_rng(3).choice([-1, 1], 400)
    found = compiled.spread_components(100 + 0.25 * signs, signs)
    np.testing.assert_allclose(found.adverse_selection, 0, atol=1e-6)
    np.testing.assert_allclose(found.adverse_share, 0, atol=1e-5)
    np.testing.assert_allclose(found.implied_spread, 0.5, rtol=1e-5)


def test_signs_that_do_not_vary_or_always_do(in_float64):
    prices = np.random.default_rng(4).normal(size=400)
    for signs in (np.ones(400, int), np.where(np.arange(400) % 2, 1, -1)):
        found = compiled.spread_components(prices, signs)
        assert np.isnan(found.adverse_selection)
        assert np.isnan(found.implied_spread_error)


def test_a_gap_keeps_two_days_apart(in_float64):
    prices, x = components_market(paths=2, n=300)
    prices[1] += 50  # an overnight jump
    joined = [np.concatenate([a[0], [np.nan], a[1]]) for a in (prices, x.astype(float))]
    found = compiled.spread_components(*joined)
    assert found.num_trades == 2 * 299
    assert abs(found.adverse_selection - 0.02) < 4 * found.adverse_selection_error
    assert found.adverse_selection_error < 0.005


def test_components_follow_units(in_float64):
    prices, x = (a[0] for a in components_market(paths=1, n=400))
    base = compiled.spread_components(prices, x)
    cents = compiled.spread_components(100 * prices + 7, x)
    np.testing.assert_allclose(cents.implied_spread, 100 * base.implied_spread)
    np.testing.assert_allclose(
        cents.adverse_selection_error, 100 * base.adverse_selection_error, rtol=1e-6
    )
    np.testing.assert_allclose(cents.adverse_share, base.adverse_share)


def shares_market(alpha, beta, pi, paths=300, n=2000):
    """Simulate midpoints of the model of Huang and Stoll; spreads vary."""
    rng = np.random.default_rng(23)
    q = signs_of(rng, paths, n, 1 - 2 * pi)
    spreads = rng.choice([0.1, 0.15, 0.2], q.shape)
    push = spreads / 2 * q
    moves = 0.01 * rng.normal(size=q.shape)
    moves[:, 1:] += (alpha + beta) * push[:, :-1]
    moves[:, 2:] -= alpha * (1 - 2 * pi) * push[:, :-2]
    return 100 + np.cumsum(moves, axis=1), spreads, q


@pytest.mark.parametrize("pi", [0.2, 0.7])
def test_shares_are_recovered_with_honest_errors(in_float64, pi):
    found = fit_shares(*shares_market(0.3, 0.25, pi))
    truths = {
        "adverse_selection": 0.3,
        "inventory": 0.25,
        "order_processing": 0.45,
        "reversal_probability": pi,
    }
    for name, truth in truths.items():
        score = scores(found, name, truth)
        assert abs(score.mean()) < 4 / np.sqrt(300), name
        assert abs(score.std() - 1) < 4 / np.sqrt(600), name
        assert (np.abs(score) < 3).mean() > 0.98, name
    total = found.adverse_selection + found.inventory + found.order_processing
    np.testing.assert_allclose(total, 1, rtol=1e-12)


def test_without_persistence_only_their_sum_is_known(in_float64):
    found = fit_shares(*shares_market(0.3, 0.25, 0.5))
    unknown = np.isnan(found.adverse_selection)
    assert unknown.mean() > 0.98  # three standard errors from 0 in 0.3% of paths
    np.testing.assert_array_equal(unknown, np.isnan(found.inventory))
    score = scores(found, "order_processing", 0.45)
    assert (np.abs(score) < 3).mean() > 0.98


def test_signs_whose_pairs_cancel_identify_nothing(in_float64):
    mids, spreads, _ = shares_market(0.3, 0.25, 0.5, paths=1, n=40)
    signs = np.tile([1, 1, -1, -1], 10)  # as many repeats as reversals
    found = compiled.spread_shares(mids[0], spreads[0], signs, least_score=0.0)
    np.testing.assert_allclose(found.reversal_probability, 0.5)
    assert np.isnan(found.adverse_selection)
    assert np.isfinite(found.order_processing)


def test_roll_recovers_a_bounce(in_float64):
    rng = np.random.default_rng(29)
    signs = rng.choice([-1, 1], (200, 2000))
    values = np.cumsum(0.01 * rng.normal(size=signs.shape), axis=1)
    changes = np.diff(values + 0.05 * signs, axis=1)
    found = np.asarray(jax.vmap(compiled.roll_spread)(changes))
    assert abs(found.mean() - 0.1) < 4 * found.std() / np.sqrt(200) + 1e-4


def test_roll_equals_a_loop(x64):
    rng = np.random.default_rng(31)
    changes = np.diff(0.05 * rng.choice([-1, 1], 81) + 0.01 * rng.normal(size=81))
    changes[40] = np.nan

    def roll(now, before):
        covariance = np.cov(now, before)[0, 1]
        return 2 * np.sqrt(-covariance) if covariance < 0 else np.nan

    tol = 1e-9 if x64 else 1e-3
    pairs = changes[1:], changes[:-1]
    found = compiled.roll_spread(changes, window=12)
    np.testing.assert_allclose(found[1:], loops.rolling(roll, 11, *pairs), rtol=tol)
    assert np.isnan(found[:11]).all()
    some = compiled.roll_spread(changes, window=12, skipna=True)
    np.testing.assert_allclose(
        some[1:], loops.rolling(roll, 11, *pairs, least=2), rtol=tol
    )
    whole = compiled.roll_spread(changes[:40])
    np.testing.assert_allclose(whole, roll(changes[1:40], changes[:39]), rtol=tol)


def test_roll_of_a_trend_is_undefined_or_zero(in_float64):
    changes = np.repeat([1.0, -1.0], 20)
    assert np.isnan(compiled.roll_spread(changes))
    assert compiled.roll_spread(changes, if_undefined=0.0) == 0
    changes[3] = np.nan
    assert np.isnan(compiled.roll_spread(changes, if_undefined=0.0))


def test_horizons_by_hand(in_float64):
    found = compiled.spread_by_horizon(
        np.array([1.0, 2.0, 3.0]),
        np.array([10.1, 9.9, 10.5]),
        np.array([1, -1, 0]),
        np.array([0.5, 1.0, 2.0, 2.5, 4.0]),  # at 1.0 and 2.0: what the trades did
        np.array([10.0, 10.05, 9.95, 9.9, 9.8]),
        horizons=np.array([0.0, 1.0, 2.5]),
    )
    nan = np.nan
    np.testing.assert_allclose(found.effective, [0.2, 0.3, nan])
    np.testing.assert_allclose(
        found.realised, [[0.1, 0.1, nan], [0.3, 0.0, nan], [0.4, nan, nan]], atol=1e-12
    )
    np.testing.assert_allclose(found.mean_effective, [0.25, 0.25, 0.2])
    np.testing.assert_allclose(found.mean_realised, [0.1, 0.15, 0.4])
    np.testing.assert_allclose(found.mean_impact, [0.15, 0.1, -0.2], atol=1e-12)


def test_realised_spread_is_what_information_leaves(in_float64):
    # Values move by theta with every trade and mids follow: makers keep 2 phi.
    rng = np.random.default_rng(37)
    signs = rng.choice([-1, 1], 20_000)
    values = 0.02 * np.cumsum(signs) + np.cumsum(0.01 * rng.normal(size=signs.shape))
    times = np.arange(20_000.0)
    mids = np.concatenate([[0.0], values])
    found = compiled.spread_by_horizon(
        times,
        mids[:-1] + 0.03 * signs,
        signs,
        np.concatenate([[-1.0], times]),
        mids,
        horizons=np.array([0.5, 3.5]),
    )
    np.testing.assert_allclose(found.mean_effective, 0.06)
    error = 2 * np.sqrt(0.01**2 * 4 + 3 * 0.02**2) * 2 / np.sqrt(20_000)
    assert (np.abs(found.mean_realised - 0.02) < 4 * error).all()
    assert (np.abs(found.mean_impact - 0.04) < 4 * error).all()


def test_jit_gradients_and_neighbours(in_float64):
    prices, x = components_market(paths=3, n=400)
    clean = fit_components(prices, x)
    dirty = prices.copy()
    dirty[1] = np.nan
    found = fit_components(dirty, x)
    assert np.isnan(found.adverse_share[1])
    for lane in (0, 2):
        np.testing.assert_allclose(
            found.adverse_share[lane], clean.adverse_share[lane], rtol=1e-12
        )
        single = compiled.spread_components(prices[lane], x[lane])
        np.testing.assert_allclose(single.adverse_share, clean.adverse_share[lane])

    def share(p):
        return compiled.spread_components(p, x[0]).adverse_share

    slope = jax.grad(share)(jnp.asarray(prices[0]))
    step = np.zeros(400)
    step[50] = 1e-6
    numeric = (share(prices[0] + step) - share(prices[0] - step)) / 2e-6
    np.testing.assert_allclose(slope[50], numeric, rtol=1e-5)


def test_bad_input_is_named():
    x = np.ones(5)
    with pytest.raises(ValueError, match="window must be at least 3; got 2"):
        estimators.roll_spread(x, window=2)
    with pytest.raises(ValueError, match="num_lags must be at least 0; got -1"):
        estimators.spread_components(x, x, num_lags=-1)
    with pytest.raises(ValueError, match=r"spreads\[0\] must be at least 0; got -1.0"):
        estimators.spread_shares(x, -x, x)
    with pytest.raises(ValueError, match="least_score must be at least 0; got -1.0"):
        estimators.spread_shares(x, x, x, least_score=-1.0)
    with pytest.raises(ValueError, match=r"horizons\[0\] must be at least 0; got -1.0"):
        estimators.spread_by_horizon(x, x, x, x, x, horizons=np.array([-1.0]))
