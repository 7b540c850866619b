"""Impact of a market's own flow: known numbers, plain regressions, units, bad bars."""

import jax
import numpy as np
import pytest

from gtrade.calibration.bar_impact import BarImpact, BarRegression
from gtrade.calibration.tabulate import tabulate
from gtrade.problems.base import replace_fields
from gtrade.solution import status_names

GAMMA, ETA, FIXED, VOLATILITY, TAU = 8e-5, 2e-6, 0.02, 0.6, 1 / 78
TRUE = np.array([GAMMA, ETA, FIXED, VOLATILITY])
NUM_BARS = 400


def market(num_days, seed=0, eta=ETA):
    """Return bars of days from the model, noise that both equations share included."""
    rng = np.random.default_rng(seed)
    shape = (num_days, NUM_BARS)
    volumes = rng.lognormal(8.5, 0.6, shape)
    flows = volumes * rng.uniform(-1, 1, shape)
    noise = VOLATILITY * np.sqrt(TAU) * rng.normal(size=shape)
    changes = GAMMA * flows + noise
    per_share = FIXED + (GAMMA / 2 + eta / TAU) * flows**2 / volumes
    per_share += 0.02 * rng.normal(size=shape) + 0.3 * noise * flows / volumes
    return {
        "mid_changes": changes,
        "flows": flows,
        "volumes": volumes,
        "costs": per_share * volumes,
        "weights": np.ones(shape),
    }


@jax.jit
def fit(columns):
    def one(columns):
        return BarRegression().solve(BarImpact(**columns, bar_length=TAU))

    return jax.vmap(one)(columns)


def test_least_squares_by_hand(in_float64):
    columns = market(3)
    found = fit(columns).value
    for day in range(3):
        flows, volumes = columns["flows"][day], columns["volumes"][day]
        design = np.stack([flows, np.ones(NUM_BARS)], axis=1)
        first, left, *_ = np.linalg.lstsq(design, columns["mid_changes"][day])
        design = np.stack([flows**2 / volumes, np.ones(NUM_BARS)], axis=1)
        second, *_ = np.linalg.lstsq(design, columns["costs"][day] / volumes)
        wanted = [
            first[0],
            (second[0] - first[0] / 2) * TAU,
            second[1],
            np.sqrt(left[0] / (NUM_BARS - 2) / TAU),
        ]
        np.testing.assert_allclose(found.values[day], wanted, rtol=1e-10)


def test_intervals_cover_the_truth(in_float64):
    solution = fit(market(1000, seed=1))
    found = solution.value
    assert (status_names(solution.status) == "converged").all()
    spread = np.asarray(found.values).std(axis=0)
    bias = np.asarray(found.values).mean(axis=0) - TRUE
    assert (np.abs(bias) < 0.1 * spread * np.sqrt(10)).all()
    table = tabulate(
        "impact",
        solution,
        {},
        dict.fromkeys((*BarImpact.names, "kappa"), ""),
        derived={"kappa": lambda x: x[0] / x[1]},
        num_draws=2000,
    )
    for name, true in zip(table.numbers, (*TRUE, GAMMA / ETA), strict=True):
        low, high = table.rows[f"{name}_low"], table.rows[f"{name}_high"]
        covers = ((low <= true) & (high >= true)).mean()
        assert 0.93 < covers < 0.97, (name, covers)
    # Draws of the first fit spread as its error says.
    logarithm = np.log(table.draws["kappa"])
    wanted = table.rows["kappa_se"][0] / table.rows["kappa"][0]
    assert abs(logarithm.std() / wanted - 1) < 0.08


def test_units(in_float64):
    columns = market(3)
    base = fit(columns).value
    shares, prices = 100.0, 7.0
    scaled = dict(columns)
    for name, factor in (
        ("mid_changes", prices),
        ("flows", shares),
        ("volumes", shares),
        ("costs", prices * shares),
    ):
        scaled[name] = columns[name] * factor
    found = fit(scaled).value
    factors = np.array([prices / shares, prices / shares, prices, prices])
    wanted = np.asarray(base.values) * factors
    np.testing.assert_allclose(found.values, wanted, rtol=1e-10)
    errors = np.asarray(base.standard_error) * factors
    np.testing.assert_allclose(found.standard_error, errors, rtol=1e-9)


def test_bars_without_an_answer_do_not_touch_their_neighbours(in_float64):
    columns = market(3)
    wanted = fit(columns).value
    bad = {name: x.copy() for name, x in columns.items()}
    bad["flows"][0] = 0.0
    bad["mid_changes"][2, 5] = np.nan
    solution = fit(bad)
    assert list(status_names(solution.status)) == [
        "invalid_input",
        "converged",
        "invalid_input",
    ]
    assert np.isnan(np.asarray(solution.value.values)[[0, 2]]).all()
    np.testing.assert_array_equal(solution.value.values[1], wanted.values[1])


def test_bars_of_weight_zero_are_left_out(in_float64):
    columns = market(3)
    half = {name: x.copy() for name, x in columns.items()}
    half["weights"][:, 200:] = 0.0
    found = fit(half)
    for name in ("mid_changes", "flows", "costs"):
        half[name][:, 200:] = 1e3
    again = fit(half)
    np.testing.assert_allclose(again.value.values, found.value.values, rtol=1e-9)
    assert (found.value.num_observations == 200).all()
    assert (found.value.num_dropped == NUM_BARS - 200).all()


def test_temporary_impact_below_zero_is_at_its_bound(in_float64):
    solution = fit(market(3, eta=-2e-6))
    found = solution.value
    assert (np.asarray(found.values)[:, 1] < 0).all()
    assert found.is_at_bound[:, 1].all()
    assert np.isnan(found.standard_error[:, 1]).all()
    assert np.isfinite(np.asarray(found.standard_error)[:, [0, 2, 3]]).all()
    table = tabulate(
        "impact", solution, {}, {"kappa": ""}, derived={"kappa": lambda x: x[0] / x[1]}
    )
    assert np.isnan(table.rows["kappa"]).all()
    assert "kappa" not in table.draws


def test_float32_keeps_what_data_say():
    found = fit({name: x.astype(np.float32) for name, x in market(3).items()}).value
    assert found.values.dtype == np.float32
    with jax.enable_x64(True):
        wanted = fit(market(3)).value
    np.testing.assert_allclose(found.values, wanted.values, rtol=2e-3)


def test_concrete_nonsense_is_refused():
    columns = {name: x[0] for name, x in market(1).items()}
    good = BarImpact(**columns, bar_length=TAU)
    assert replace_fields(good, weights=good.weights).weights is good.weights
    with pytest.raises(ValueError, match="volumes must be at least 0"):
        BarImpact(**{**columns, "volumes": -columns["volumes"]}, bar_length=TAU)
    with pytest.raises(ValueError, match="bar_length must be greater than 0"):
        BarImpact(**columns, bar_length=0.0)
