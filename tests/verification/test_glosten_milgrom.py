"""Evidence about quotes: it must notice what is wrong with them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade import GlostenMilgrom, GlostenMilgromClosedForm
from gtrade.problems.base import replace_fields

TWO = {
    "low": -3.0,
    "high": 11.0,
    "prior_high": 0.2,
    "informed_fraction": 0.4,
    "buy_probability": 0.2,
    "sell_probability": 0.5,
    "orders": [1, 0, 1, -1],
}
MANY = {
    "values": [-3.0, 2.0, 4.0, 11.0],
    "prior": [0.3, 0.3, 0.2, 0.2],
    "informed_fraction": 0.4,
    "buy_probability": 0.2,
    "sell_probability": 0.5,
    "orders": [1, 0, 1, -1],
}
RESIDUALS = ("zero_profit_residual", "belief_residual", "curve_residual")


ARRAYS = ("mean_values", "expected_spreads", "expected_beliefs_low")


def solved(numbers):
    """Solve with averages over 30 trades where there are two values."""
    game = GlostenMilgrom(**numbers)
    num_trades = 30 if game.is_two_valued else 0
    solver = GlostenMilgromClosedForm(num_trades=num_trades)
    return game, solver, gtrade.solve(game, solver)


def measured(game, solver, solution):
    return gtrade.verify(game, solution, solver=solver, arrays=ARRAYS)


@pytest.mark.parametrize(("numbers", "num_trades"), [(TWO, 30), (MANY, 0)])
def test_right_answers_pass(in_float64, numbers, num_trades):
    game, solver, solution = solved(numbers)
    columns = measured(game, solver, solution)
    value = solution.value
    assert columns["zero_profit_residual"] < 1e-13
    assert columns["belief_residual"] < 1e-15
    np.testing.assert_array_equal(columns["asks"], value.asks[:4])
    np.testing.assert_array_equal(columns["spreads"], value.spreads[:4])
    assert columns["final_bid"] == value.bids[4]
    assert columns["beliefs"].shape == (5,) if numbers is TWO else (5, 4)
    assert columns["market_fails"].tolist() == [False, False]
    assert len(columns["expected_spreads"]) == num_trades + 1
    rates = [columns[n] for n in ("information_rate_high", "decay_factor")]
    if numbers is MANY:
        assert np.isnan([*rates, columns["curve_residual"]]).all()
        assert np.isnan(columns["expected_spreads"]).all()
        means = np.asarray(value.beliefs) @ MANY["values"]
    else:
        assert columns["curve_residual"] < 1e-12
        np.testing.assert_array_equal(columns["expected_spreads"], value.curves.spreads)
        means = -3 + 14 * np.asarray(value.beliefs)
    np.testing.assert_allclose(columns["mean_values"], means, rtol=1e-13)


def test_rates(in_float64):
    numbers = {"low": 90.0, "high": 110.0, "prior_high": 0.5, "informed_fraction": 0.3}
    numbers["orders"] = [1, -1, 1, -1]
    columns = measured(*solved(numbers))
    np.testing.assert_allclose(
        columns["information_rate_high"], 0.1857117625, rtol=1e-9
    )
    np.testing.assert_allclose(columns["information_rate_low"], 0.1857117625, rtol=1e-9)
    np.testing.assert_allclose(columns["decay_factor"], 0.9539392014, rtol=1e-9)
    columns = measured(*solved(TWO))
    low, high = np.array([[0.7, 0.18, 0.12], [0.3, 0.18, 0.52]])
    np.testing.assert_allclose(
        columns["information_rate_high"], high @ np.log(high / low), rtol=1e-12
    )
    np.testing.assert_allclose(
        columns["information_rate_low"], low @ np.log(low / high), rtol=1e-12
    )
    np.testing.assert_allclose(
        columns["decay_factor"], np.sqrt(low * high).sum(), rtol=1e-12
    )
    columns = measured(*solved(TWO | {"buy_probability": 0.0}))
    assert columns["information_rate_high"] == np.inf
    assert np.isfinite(columns["information_rate_low"])
    assert columns["market_fails"].tolist() == [False, True]


@pytest.mark.parametrize("numbers", [TWO, MANY])
@pytest.mark.parametrize(
    ("field", "residual"),
    [
        ("bids", "zero_profit_residual"),
        ("asks", "zero_profit_residual"),
        ("spreads", "zero_profit_residual"),
        ("beliefs", "belief_residual"),
    ],
)
def test_wrong_answers_do_not(in_float64, numbers, field, residual):
    game, solver, solution = solved(numbers)
    for time in (0, 4):
        wrong = getattr(solution.value, field).at[time].add(1e-3)
        value = replace_fields(solution.value, **{field: wrong})
        bad = replace_fields(solution, value=value)
        columns = measured(game, solver, bad)
        assert columns[residual] > 1e-4


@pytest.mark.parametrize(
    "field", ["spreads", "beliefs_high", "beliefs_low", "uncertainties"]
)
def test_wrong_averages_do_not(in_float64, field):
    game, solver, solution = solved(TWO)
    curves = solution.value.curves
    wrong = replace_fields(
        curves, **{field: getattr(curves, field).at[17].multiply(1.01)}
    )
    value = replace_fields(solution.value, curves=wrong)
    columns = measured(game, solver, replace_fields(solution, value=value))
    assert columns["curve_residual"] > 1e-5
    assert columns["zero_profit_residual"] < 1e-13


@pytest.mark.parametrize(
    "changes",
    [
        {"informed_fraction": 1.0, "orders": [1] * 4},
        {"informed_fraction": 0.0},
        {"prior_high": 1.0},
        {"prior_high": 0.0, "orders": [-1] * 4},
        {"buy_probability": 0.0, "orders": [-1, 1, 1, 1]},
        {"buy_probability": 0.0, "sell_probability": 0.0, "orders": [0, 1, 1, 1]},
        {"informed_fraction": 0.0, "buy_probability": 0, "sell_probability": 0,
         "orders": [0] * 4},
        {"high": -3.0},
        {"orders": []},
    ],
)  # fmt: skip
def test_edge_cases_leave_no_residual(in_float64, changes):
    columns = measured(*solved(TWO | changes))
    assert [columns[name] < 1e-12 for name in RESIDUALS] == [True] * 3
    assert columns["bids"].shape == (len(GlostenMilgrom(**TWO | changes).orders),)


@pytest.mark.parametrize("side", ["buy_probability", "sell_probability"])
def test_failing_markets_are_flagged(in_float64, side):
    game, solver, solution = solved(MANY | {side: 0.0, "orders": [0] * 4})
    columns = measured(game, solver, solution)
    is_buy = side == "buy_probability"
    assert columns["market_fails"].tolist() == [not is_buy, is_buy]
    assert columns["final_ask" if is_buy else "final_bid"] == (11 if is_buy else -3)


def test_no_answer_no_evidence(in_float64):
    game, solver, solution = solved(
        TWO | {"informed_fraction": 1.0, "orders": [1, -1, 1, -1]}
    )
    columns = measured(game, solver, solution)
    assert not columns.pop("market_fails").any()
    assert all(np.isnan(x).all() for x in columns.values())


def test_single_precision_answers_are_measured():
    game, solver, solution = solved(TWO)
    assert solution.value.asks.dtype == np.float32
    columns = measured(game, solver, solution)
    assert columns["asks"].dtype == np.float64
    assert 0 < columns["zero_profit_residual"] < 1e-5
    assert columns["belief_residual"] < 1e-6
    assert columns["curve_residual"] < 1e-5


def test_a_batch_is_measured_lane_by_lane(in_float64):
    games = gtrade.make_batch(
        GlostenMilgrom,
        low=90.0,
        high=110.0,
        prior_high=0.4,
        informed_fraction=np.array([0.3, 0.3, 0.3]),
        orders=np.array([[1, -1], [1, 1], [-1, -1]]),
    )
    bad = games.informed_fraction.at[1].set(jnp.nan)
    games = replace_fields(games, informed_fraction=bad)
    solution = gtrade.solve_batch(games, GlostenMilgromClosedForm())
    columns = gtrade.verify(games, solution)
    assert np.isnan(columns["zero_profit_residual"]).tolist() == [False, True, False]
    assert (columns["zero_profit_residual"][::2] < 1e-13).all()
    assert np.isnan(jax.tree.leaves(columns["beliefs"])[0][1]).all()
