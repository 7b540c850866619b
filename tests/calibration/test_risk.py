import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from gtrade.calibration import estimators
from tests.calibration import compiled

# Two rows of the published example of optimal execution: E and V at two risk aversions.
COSTS, VARIANCES = np.array([0.6625e6, 0.9112e6]), np.array([1.083e12, 0.3641e12])


@pytest.mark.parametrize("p", [0.5, 0.95, 0.999])
def test_gaussian_execution_risk(x64, p):
    found = compiled.execution_risk(COSTS, VARIANCES, probability=p)
    cost = scipy.stats.norm(COSTS, np.sqrt(VARIANCES))
    tol = 1e-10 if x64 else 1e-4
    np.testing.assert_allclose(found.value_at_risk, cost.ppf(p), rtol=tol)
    beyond = [
        e + s * scipy.integrate.quad(scipy.stats.norm.ppf, p, 1)[0] / (1 - p)
        for e, s in zip(COSTS, np.sqrt(VARIANCES), strict=True)
    ]
    np.testing.assert_allclose(
        found.conditional_value_at_risk, beyond, rtol=1e-6 if x64 else 1e-4
    )
    assert found.value_at_risk.dtype == (jnp.float64 if x64 else jnp.float32)


def test_a_certain_cost_is_its_own_risk_and_has_a_gradient(in_float64):
    found = compiled.execution_risk(5.0, 0.0)
    assert found.value_at_risk == found.conditional_value_at_risk == 5

    def risk(variance):
        return compiled.execution_risk(5.0, variance).conditional_value_at_risk

    assert np.isfinite(jax.grad(risk)(0.0))
    numeric = (risk(2 + 1e-6) - risk(2 - 1e-6)) / 2e-6
    np.testing.assert_allclose(jax.grad(risk)(2.0), numeric, rtol=1e-6)


def test_bad_variances_spoil_their_lane_only(in_float64):
    found = jax.jit(estimators.execution_risk)(
        jnp.zeros(3), jnp.array([1.0, -1.0, jnp.nan])
    )
    np.testing.assert_array_equal(
        np.isnan(found.conditional_value_at_risk), [False, True, True]
    )


def test_sampled_risk_agrees_with_the_closed_form_within_its_errors(in_float64):
    rng = np.random.default_rng(0)
    exact = estimators.execution_risk(3.0, 4.0, probability=0.95)
    found = jax.jit(jax.vmap(estimators.sampled_execution_risk))(
        rng.normal(3.0, 2.0, (400, 5000))
    )
    for name in ("value_at_risk", "conditional_value_at_risk"):
        value, error = getattr(found, name), getattr(found, f"{name}_error")
        score = (np.asarray(value) - float(getattr(exact, name))) / np.asarray(error)
        assert abs(score.mean()) < 0.35  # the bias of a quantile is a part of an error
        assert 0.85 < score.std() < 1.15
    z = scipy.stats.norm.ppf(0.95)
    formula = estimators.quantile_error(0.95, scipy.stats.norm.pdf(z) / 2.0, 5000)
    np.testing.assert_allclose(found.value_at_risk_error.mean(), formula, rtol=0.06)
    np.testing.assert_allclose(found.value_at_risk.std(), formula, rtol=0.12)


def test_sampled_risk_of_other_laws(in_float64):
    rng = np.random.default_rng(1)
    found = estimators.sampled_execution_risk(
        rng.exponential(size=100_000), probability=0.9
    )
    quantile = np.log(10)
    assert abs(found.value_at_risk - quantile) < 5 * found.value_at_risk_error
    error = found.conditional_value_at_risk_error
    assert abs(found.conditional_value_at_risk - quantile - 1) < 5 * error
    flat = estimators.sampled_execution_risk(np.full(100, 7.0))
    assert flat.value_at_risk == flat.conditional_value_at_risk == 7
    assert flat.value_at_risk_error == flat.conditional_value_at_risk_error == 0


def test_position_limit(x64):
    impact = np.array([0.0, 1e-4, 1e-3, -1e-3, np.nan])
    found = estimators.position_limit(
        10_000.0, impact, reference_size=500.0, volatility=0.25, lowest=50.0
    )
    expected = [10_000, 10_000 / 1.2, 10_000 / 3, 10_000, 50]
    np.testing.assert_allclose(found, expected, rtol=1e-10 if x64 else 1e-6)


def test_position_limit_is_free_of_units_and_bounded(in_float64):
    def limit(price, size):
        return estimators.position_limit(
            1000.0 * size,
            1e-3 * price / size,
            reference_size=500.0 * size,
            volatility=0.25 * price,
        )

    np.testing.assert_allclose(limit(7.0, 1.0), limit(1.0, 1.0))
    np.testing.assert_allclose(limit(1.0, 7.0), 7 * limit(1.0, 1.0))
    thin = estimators.position_limit(
        100.0, 1e9, reference_size=1.0, volatility=1.0, lowest=5.0
    )
    assert thin == 5
    unknown = estimators.position_limit(
        100.0, 0.1, reference_size=1.0, volatility=np.nan, lowest=5.0
    )
    assert unknown == 5


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="variance must be at least 0; got -1.0"):
        estimators.execution_risk(0.0, -1.0)
    with pytest.raises(ValueError, match="probability must be above 0 and below 1"):
        estimators.execution_risk(0.0, 1.0, probability=1.0)
    with pytest.raises(ValueError, match="num_paths must be greater than 0; got 0"):
        estimators.quantile_error(0.5, 1.0, 0)
    limit = {"reference_size": 1.0, "volatility": 1.0}
    with pytest.raises(ValueError, match=r"base\[1\] must be at least 0; got -1.0"):
        estimators.position_limit(np.array([1.0, -1.0]), 1.0, **limit)
    with pytest.raises(ValueError, match="volatility must be greater than 0; got 0.0"):
        estimators.position_limit(1.0, 1.0, reference_size=1.0, volatility=0.0)
    with pytest.raises(ValueError, match="lowest must be at most base; got 2.0"):
        estimators.position_limit(1.0, 1.0, **limit, lowest=2.0)
