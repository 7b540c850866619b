import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gtrade.calibration import estimators
from tests.calibration import compiled, loops

# Tests share this length and this window, and so their compiled programs.
NUM_BARS, WINDOW = 70, 12
FIELDS = ("price_impact", "intercept", "standard_error", "r_squared")


def market(n=NUM_BARS, impact=2e-4, noise=0.05, seed=3):
    """Simulate mid changes of a Kyle world and the flow that moved them."""
    rng = np.random.default_rng(seed)
    flow = np.round(rng.normal(30.0, 400.0, n))
    return 0.003 + impact * flow + rng.normal(0.0, noise, n), flow


def expected(index, changes, flow, with_intercept, least=None):
    return loops.rolling(
        lambda y, x: loops.line(y, x, with_intercept)[index],
        WINDOW,
        changes,
        flow,
        least=least,
    )


# Every case in float64; in float32 those that centre and leave bars out.
CASES = [
    *itertools.product([True], [True, False], ["classical", "robust"], [False, True]),
    *itertools.product([False], [True], ["classical", "robust"], [True]),
]


@pytest.mark.parametrize(
    ("x64", "with_intercept", "errors", "skipna"), CASES, indirect=["x64"]
)
def test_rolling_equals_a_loop(x64, with_intercept, errors, skipna):
    changes, flow = market()
    changes[20], flow[[33, 34, 35, 40, 41, 42, 43]] = np.nan, np.nan
    found = compiled.price_impact(
        changes,
        flow,
        window=WINDOW,
        with_intercept=with_intercept,
        errors=errors,
        skipna=skipna,
        min_periods=6 if skipna else None,
    )
    places = (0, 1, 3 if errors == "robust" else 2, 4)
    for name, place in zip(FIELDS, places, strict=True):
        values = expected(place, changes, flow, with_intercept, 6 if skipna else None)
        tol = {"rtol": 1e-9, "atol": 0} if x64 else {"rtol": 3e-4, "atol": 1e-5}
        np.testing.assert_allclose(getattr(found, name), values, **tol, err_msg=name)
    np.testing.assert_allclose(
        found.t_statistic,
        found.price_impact / found.standard_error,
        rtol=1e-7 if x64 else 2 * np.finfo(np.float32).eps,  # two roundings
    )
    assert np.isnan(found.price_impact[:11]).all()
    assert found.price_impact.dtype == (jnp.float64 if x64 else jnp.float32)


@pytest.mark.parametrize(
    ("x64", "with_intercept", "errors"),
    [case[:3] for case in CASES if case[3]],
    indirect=["x64"],
)
def test_all_bars_equal_matrices(x64, with_intercept, errors):
    changes, flow = market()
    found = compiled.price_impact(
        changes, flow, with_intercept=with_intercept, errors=errors
    )
    values = loops.line(changes, flow, with_intercept)
    for name, place in zip(
        FIELDS, (0, 1, 3 if errors == "robust" else 2, 4), strict=True
    ):
        np.testing.assert_allclose(
            getattr(found, name), values[place], rtol=1e-10 if x64 else 1e-4, atol=1e-7
        )
    assert found.num_bars == NUM_BARS


def test_a_window_of_all_is_the_estimate_from_all(in_float64):
    changes, flow = market()
    for errors in ("classical", "robust"):
        whole = compiled.price_impact(changes, flow, errors=errors)
        last = compiled.price_impact(changes, flow, window=NUM_BARS, errors=errors)
        for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(last), strict=True):
            np.testing.assert_allclose(b[-1], a, rtol=1e-10)
            assert np.isnan(b[:-1]).all()


def test_simulated_impact_is_recovered_with_honest_errors(in_float64):
    changes, flow = zip(*(market(400, seed=s) for s in range(500)), strict=True)
    changes, flow = np.stack(changes), np.stack(flow)
    for errors in ("classical", "robust"):
        fit = functools.partial(compiled.price_impact, errors=errors)
        found = jax.vmap(fit)(changes, flow)
        score = (found.price_impact - 2e-4) / found.standard_error
        # Mean 0 and deviation 1, each within 4 of its own standard errors.
        assert abs(score.mean()) < 4 / np.sqrt(500)
        assert abs(score.std() - 1) < 4 / np.sqrt(2 * 500)


def test_robust_errors_stay_right_where_classical_ones_do_not(in_float64):
    rng = np.random.default_rng(5)
    flow = rng.normal(size=(500, 400))
    changes = 0.5 * flow + rng.normal(size=flow.shape) * np.abs(flow)
    found = {
        errors: jax.vmap(functools.partial(compiled.price_impact, errors=errors))(
            changes, flow
        )
        for errors in ("classical", "robust")
    }
    truth = float(found["robust"].price_impact.std())
    assert abs(found["robust"].standard_error.mean() / truth - 1) < 0.12
    assert found["classical"].standard_error.mean() / truth < 0.7


@pytest.mark.parametrize("scale", [0.01, 7.0])
@pytest.mark.parametrize("window", [None, WINDOW])
def test_units(in_float64, scale, window):
    changes, flow = market()
    base = compiled.price_impact(changes, flow, window=window)
    shares = compiled.price_impact(changes, scale * flow, window=window)
    money = compiled.price_impact(scale * changes, flow, window=window)
    for found, factor in ((shares, 1 / scale), (money, scale)):
        for name in ("price_impact", "standard_error"):
            np.testing.assert_allclose(
                getattr(found, name), factor * getattr(base, name), rtol=1e-9
            )
        np.testing.assert_allclose(found.t_statistic, base.t_statistic, rtol=1e-8)
        np.testing.assert_allclose(found.r_squared, base.r_squared, rtol=1e-8)


@pytest.mark.parametrize("errors", ["classical", "robust"])
def test_flow_that_does_not_vary_is_not_a_number(x64, errors):
    changes, flow = market()
    flow[10:30] = 0.1  # not exact in binary: its mean need not equal it
    found = compiled.price_impact(changes, flow, window=WINDOW, errors=errors)
    assert np.isnan(found.price_impact[21:30]).all()
    assert np.isfinite(found.price_impact[30:]).all()
    for constant in (0.0, 0.1):
        flow = np.full(NUM_BARS, constant)
        whole = compiled.price_impact(changes, flow, errors=errors)
        assert np.isnan(whole.price_impact)
        assert np.isnan(whole.standard_error)
    through_zero = compiled.price_impact(
        changes, flow, errors="classical", with_intercept=False
    )
    np.testing.assert_allclose(through_zero.price_impact, changes.mean() / 0.1, 1e-5)


@pytest.mark.parametrize("errors", ["classical", "robust"])
def test_flow_that_does_not_vary_among_missing_bars(x64, errors):
    changes, flow = market()
    flow[20:50] = 0.1
    changes[31:36] = np.nan  # ends a block of 12: no bar to refer to
    found = compiled.price_impact(
        changes,
        flow,
        window=WINDOW,
        with_intercept=True,
        errors=errors,
        skipna=True,
        min_periods=6,
    )
    assert np.isnan(found.price_impact[31:50]).all()
    assert np.isfinite(found.price_impact[11:31]).all()
    assert np.isfinite(found.price_impact[50:]).all()


def test_negative_estimates_are_returned(in_float64):
    changes, flow = market()
    found = compiled.price_impact(-changes, flow)
    assert found.price_impact < 0
    assert found.t_statistic < 0


def test_the_sign_of_the_error_survives_a_perfect_fit(in_float64):
    flow = np.arange(float(NUM_BARS))
    found = compiled.price_impact(2 * flow, flow)
    np.testing.assert_allclose(found.price_impact, 2, rtol=1e-14)
    np.testing.assert_allclose(found.standard_error, 0, atol=1e-14)
    np.testing.assert_allclose(found.r_squared, 1)


def test_missing_bars(in_float64):
    changes, flow = market()
    clean = compiled.price_impact(changes, flow)
    holed = np.insert(changes, 7, np.nan), np.insert(flow, 7, 300.0)
    short = (column[:NUM_BARS] for column in holed)
    assert np.isnan(compiled.price_impact(*short).price_impact)
    found = compiled.price_impact(*holed, skipna=True)
    np.testing.assert_allclose(found.price_impact, clean.price_impact, rtol=1e-12)
    np.testing.assert_allclose(found.standard_error, clean.standard_error, rtol=1e-12)
    assert found.num_bars == NUM_BARS
    few = compiled.price_impact(*holed, skipna=True, min_periods=NUM_BARS + 1)
    assert np.isnan(few.price_impact)


@pytest.mark.parametrize(
    "errors", ["robust", pytest.param("classical", marks=pytest.mark.slow)]
)
def test_float32_holds_on_a_long_series_far_from_zero(errors):
    rng = np.random.default_rng(2)
    flow = (200.0 + 300.0 * rng.normal(size=20_000)).astype(np.float32)
    changes = (1e-4 * flow + 0.02 * rng.normal(size=20_000)).astype(np.float32)
    fit = functools.partial(compiled.price_impact, window=100, errors=errors)
    narrow = fit(changes, flow)
    with jax.enable_x64(True):
        wide = fit(changes.astype(np.float64), flow.astype(np.float64))
    assert narrow.price_impact.dtype == jnp.float32
    for name in ("price_impact", "standard_error"):
        # Fourth moments, which robust errors are made of, lose more digits.
        tol = 5e-4 if errors == "robust" and name == "standard_error" else 1e-4
        np.testing.assert_allclose(getattr(narrow, name), getattr(wide, name), tol)


@pytest.mark.parametrize("window", [None, 10])
def test_gradient_matches_finite_differences(in_float64, window):
    changes, flow = market(30)
    columns = np.stack([changes, flow / 400])

    def total(columns):
        fits = [
            compiled.price_impact(*columns, window=window, errors=errors)
            for errors in ("classical", "robust")
        ]
        sums = (jnp.nansum(x.price_impact) + jnp.nansum(x.standard_error) for x in fits)
        return jnp.stack([*sums])

    places = [(0, 3), (0, 17), (1, 3), (1, 17)]
    steps = np.zeros((4, *columns.shape))
    for step, place in zip(steps, places, strict=True):
        step[place] = 1e-6
    values = jax.vmap(total)
    run = jax.jit(lambda x, up, down: (jax.jacrev(total)(x), values(up), values(down)))
    slopes, up, down = run(columns, columns + steps, columns - steps)
    assert np.isfinite(slopes).all()
    found = np.stack([np.asarray(slopes)[:, *place] for place in places])
    np.testing.assert_allclose(found, (up - down) / 2e-6, rtol=2e-5)


def test_batches_and_neighbours(in_float64):
    changes, flow = market(3 * NUM_BARS)
    changes, flow = changes.reshape(3, NUM_BARS), flow.reshape(3, NUM_BARS).copy()
    flow[1, 4] = np.nan
    fit = functools.partial(compiled.price_impact, window=WINDOW, errors="robust")
    batch = jax.vmap(fit)(changes, flow)
    for i in range(3):
        single = jax.tree.leaves(fit(changes[i], flow[i]))
        for a, b in zip(jax.tree.leaves(batch), single, strict=True):
            np.testing.assert_allclose(a[i], b, rtol=1e-9)


@pytest.mark.slow
def test_jit_changes_nothing(in_float64):
    options = {"window": WINDOW, "errors": "robust"}
    eager = estimators.price_impact(*market(), **options)
    found = compiled.price_impact(*market(), **options)
    np.testing.assert_allclose(eager.price_impact, found.price_impact, rtol=1e-10)


def test_imbalance_sensitivity_is_another_number(in_float64):
    rng = np.random.default_rng(8)
    volume = rng.integers(0, 500, 400).astype(float)
    flow = np.round(volume * rng.uniform(-1, 1, 400))
    returns = 0.002 * flow / np.maximum(volume, 1) + 1e-4 * rng.normal(size=400)
    found = compiled.imbalance_sensitivity(returns, flow, volume, skipna=True)
    assert abs(found.imbalance_sensitivity - 0.002) < 4 * found.standard_error
    assert int(found.num_bars) == (volume > 0).sum()
    more = compiled.imbalance_sensitivity(
        returns, 100 * flow, 100 * volume, skipna=True
    )
    np.testing.assert_allclose(more.imbalance_sensitivity, found.imbalance_sensitivity)
    assert not hasattr(found, "price_impact")
    traded = volume > 0
    values = loops.line(returns[traded], flow[traded] / volume[traded])
    np.testing.assert_allclose(found.imbalance_sensitivity, values[0], rtol=1e-10)


def test_amihud_equals_a_loop_and_leaves_out_bars_without_volume(x64):
    rng = np.random.default_rng(4)
    returns, prices = 0.01 * rng.normal(size=40), 50 + rng.normal(size=40)
    volume = rng.integers(0, 4, 40) * 100.0
    volume[10:16] = 0

    def mean(r, p, v):
        good = v > 0
        return np.mean(np.abs(r[good]) / (p[good] * v[good])) if good.any() else np.nan

    columns = returns, prices, volume
    tol = 1e-10 if x64 else 1e-5
    np.testing.assert_allclose(
        compiled.amihud_illiquidity(*columns), mean(*columns), rtol=tol
    )
    found = compiled.amihud_illiquidity(*columns, window=6)
    np.testing.assert_allclose(found, loops.rolling(mean, 6, *columns), rtol=tol)
    assert np.isnan(found[15])  # nothing traded in the window
    returns[30] = np.nan
    found = compiled.amihud_illiquidity(*columns, window=6)
    np.testing.assert_allclose(found, loops.rolling(mean, 6, *columns), rtol=tol)
    some = compiled.amihud_illiquidity(*columns, window=6, skipna=True)
    np.testing.assert_allclose(
        some, loops.rolling(mean, 6, *columns, least=1), rtol=tol
    )


def test_bad_input_is_named():
    x = np.arange(5.0)
    with pytest.raises(ValueError, match=r"signed_volume must have shape \(5\)"):
        estimators.price_impact(x, x[:4])
    with pytest.raises(ValueError, match='errors must be "classical" or "robust"'):
        estimators.price_impact(x, x, errors="HC3")
    with pytest.raises(ValueError, match="window must be at least 3; got 2"):
        estimators.price_impact(x, x, window=2)
    with pytest.raises(ValueError, match=r"volume\[1\] must be at least 0; got -1.0"):
        estimators.imbalance_sensitivity(x, x, np.array([1.0, -1.0, 2.0, 2.0, 2.0]))
    with pytest.raises(
        ValueError, match=r"prices\[0\] must be greater than 0; got 0.0"
    ):
        estimators.amihud_illiquidity(x, x, x)
