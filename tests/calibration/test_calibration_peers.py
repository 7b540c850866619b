"""Fits against frds and statsmodels on the same data, where they are installed."""

import warnings
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade._arrays import as_float
from gtrade.calibration.fit import AbstractRegression, Domain
from gtrade.calibration.fitting import LeastSquares
from gtrade.calibration.pin_fit import PinDays, PinLikelihood
from tests.calibration import compiled

pytestmark = pytest.mark.usefixtures("in_float64")


@pytest.fixture(scope="module")
def frds_pin():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("frds.measures").PIN


@pytest.fixture(scope="module")
def statsmodels():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("statsmodels.api")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("rate", [250, 2500])
def test_frds_finds_the_same_pin(frds_pin, rate):
    rng = np.random.default_rng(rate)
    kind = rng.random(60)
    buys = rng.poisson(rate + rate / 2 * (kind < 0.25))
    sells = rng.poisson(0.9 * rate + rate / 2 * (kind > 0.85))
    peer = frds_pin(buys, sells)
    theirs = peer.estimate("LK2011")
    assert peer.estimation_success
    solution = gtrade.solve(PinDays(buys, sells), PinLikelihood())
    gtrade.raise_unless_converged(solution)
    fit = solution.value.fit
    wanted = np.array(
        [theirs.alpha, theirs.delta, theirs.epsilon_b, theirs.epsilon_s, theirs.mu]
    )
    # Its search stops early; in units of what the data leave open it is the same.
    assert (np.abs(fit.values - wanted) < 0.1 * fit.standard_error).all()
    np.testing.assert_allclose(solution.value.pin, theirs.pin, rtol=1e-3)
    # Its likelihood leaves out what depends on the counts alone.
    ours = -peer.loglikelihood_LK2011(np.asarray(fit.values))
    assert ours >= theirs.loglikelihood - 1e-9 * abs(theirs.loglikelihood)


class Line(AbstractRegression):
    """A straight line."""

    names: ClassVar[tuple[str, ...]] = ("slope", "intercept")
    units: ClassVar[tuple[str, ...]] = ("1", "1")
    domains: ClassVar[tuple[Domain, ...]] = ("real", "real")

    x: jax.Array = eqx.field(converter=as_float)
    y: jax.Array = eqx.field(converter=as_float)
    weights: jax.Array = eqx.field(converter=as_float)

    @classmethod
    def validate(cls, **numbers):
        pass

    def scale(self):
        return jnp.ones((2,), self.x.dtype)

    def starts(self):
        return jnp.zeros((1, 2), self.x.dtype)

    def residuals(self, values):
        return self.y - values[0] * self.x - values[1]

    def total_sum_of_squares(self):
        return (self.weights * (self.y - self.y.mean()) ** 2).sum()

    def is_admissible(self):
        return jnp.ones((), bool)


def flows():
    """Return signed volume and price changes with uneven, correlated errors."""
    rng = np.random.default_rng(7)
    flow = rng.normal(size=300) * (1 + rng.random(300))
    noise = rng.normal(size=301) * (0.5 + np.abs(np.append(flow, 0)))
    return flow, 0.3 * flow + 0.1 + noise[1:] + 0.7 * noise[:-1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("errors", ["classical", "robust"])
def test_statsmodels_finds_the_same_price_impact(statsmodels, errors):
    flow, changes = flows()
    kind = {"classical": "nonrobust", "robust": "HC0"}[errors]
    design = statsmodels.add_constant(flow)
    theirs = statsmodels.OLS(changes, design).fit(cov_type=kind)
    ours = compiled.price_impact(changes, flow, errors=errors)
    np.testing.assert_allclose(ours.price_impact, theirs.params[1], rtol=1e-10)
    np.testing.assert_allclose(ours.intercept, theirs.params[0], rtol=1e-10)
    np.testing.assert_allclose(ours.standard_error, theirs.bse[1], rtol=1e-10)
    np.testing.assert_allclose(ours.r_squared, theirs.rsquared, rtol=1e-10)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("num_lags", [0, 1, 6])
def test_statsmodels_has_the_same_sandwich(statsmodels, num_lags):
    flow, changes = flows()
    kind = {"cov_type": "HC0"}
    if num_lags:
        options = {"maxlags": num_lags, "use_correction": False}
        kind = {"cov_type": "HAC", "cov_kwds": options}
    theirs = statsmodels.OLS(changes, statsmodels.add_constant(flow)).fit(**kind)
    line = Line(flow, changes, np.ones(300))
    fit = gtrade.solve(line, LeastSquares(num_lags=num_lags)).value
    np.testing.assert_allclose(fit.values, theirs.params[::-1], rtol=1e-8)
    covariance = theirs.cov_params()[::-1, ::-1]
    np.testing.assert_allclose(fit.covariance, covariance, rtol=1e-6)
    np.testing.assert_allclose(fit.r_squared, theirs.rsquared, rtol=1e-8)
