"""Quotes and beliefs against Bayes' rule, enumeration and published properties."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade import GlostenMilgrom, GlostenMilgromClosedForm
from gtrade.problems.base import replace_fields
from gtrade.solution import status_names
from gtrade.solvers.two_value_quotes import log_ratios, quotes_at

FACTS = {"low": 90.0, "high": 110.0, "prior_high": 0.5, "informed_fraction": 0.3}
ODD = {
    "low": -3.0,
    "high": 11.0,
    "prior_high": 0.2,
    "informed_fraction": 0.4,
    "buy_probability": 0.2,
    "sell_probability": 0.5,
}
PATH = [1, 0, 1, -1, 1, -1]
SELLS_BUY = [-1, -1, 1]


def solve(game, num_trades=0, status="converged"):
    solution = gtrade.solve(game, GlostenMilgromClosedForm(num_trades=num_trades))
    assert str(status_names(solution.status)) == status
    assert solution.num_steps == 0
    return solution


def chances(a, gb, gs):
    """Chances of sell, pass, buy given the low and the high value."""
    noise = (1 - a) * np.array([gs, 1 - gb - gs, gb])
    return noise + a * np.array([[1, 0, 0], [0, 0, 1.0]])


def by_bayes(orders, low, high, prior_high, informed_fraction, gb=0.5, gs=0.5):
    """Bids, asks and beliefs by multiplying likelihoods."""
    table = chances(informed_fraction, gb, gs)
    weights, rows = np.array([1 - prior_high, prior_high]), []
    values = np.array([low, high])
    for order in [*orders, None]:
        weights = weights / weights.sum()
        quotes = [
            weights @ (table[:, k] * values) / (weights @ table[:, k]) for k in (0, 2)
        ]
        rows.append([*quotes, weights[1]])
        if order is not None:
            weights = weights * table[:, order + 1]
    return np.array(rows).T


def test_facts(x64):
    tolerance = 1e-10 if x64 else 1e-4
    game = GlostenMilgrom(**FACTS, orders=["buy", "buy", "sell"])
    solution = solve(game, 100)
    value = solution.value
    assert solution.residual <= (1e-15 if x64 else 1e-6)
    beliefs = [0.5, 0.65, 0.7752293578, 0.65]
    asks = [103, 105.5045871560, 107.2992125984, 105.5045871560]
    np.testing.assert_allclose(value.beliefs, beliefs, rtol=tolerance)
    np.testing.assert_allclose(value.asks, asks, rtol=tolerance)
    np.testing.assert_allclose(value.bids[0], 97, rtol=tolerance)
    np.testing.assert_allclose(value.bids[3], 100, rtol=tolerance)
    curves = value.curves
    wanted = [6, 5.5045871560, 2.8644382274, 0.0203977792]
    np.testing.assert_allclose(
        curves.spreads[jnp.array([0, 1, 10, 100])], wanted, rtol=max(tolerance, 3e-9)
    )
    decay = 0.5 * 0.9539392014 ** np.arange(101)
    np.testing.assert_allclose(curves.uncertainties, decay, rtol=max(tolerance, 1e-7))
    assert value.asks.dtype == (np.float64 if x64 else np.float32)


@pytest.mark.parametrize("numbers", [FACTS, ODD])
def test_paths_follow_bayes_rule(x64, numbers):
    orders = PATH if numbers is ODD else [1, 1, 1, -1, 1, -1]
    value = solve(GlostenMilgrom(orders=orders, **numbers)).value
    plain = {k: v for k, v in numbers.items() if not k.endswith("_probability")}
    noise = {} if numbers is FACTS else {"gb": 0.2, "gs": 0.5}
    bids, asks, beliefs = by_bayes(orders, **plain, **noise)
    tolerance = {"rtol": 1e-12 if x64 else 1e-5, "atol": 0 if x64 else 1e-5}
    np.testing.assert_allclose(value.bids, bids, **tolerance)
    np.testing.assert_allclose(value.asks, asks, **tolerance)
    np.testing.assert_allclose(value.beliefs, beliefs, **tolerance)
    np.testing.assert_allclose(value.spreads, asks - bids, **tolerance)
    means = numbers["low"] + (numbers["high"] - numbers["low"]) * beliefs
    assert (bids <= means).all()
    assert (means <= asks).all()


def test_the_spread_has_its_textbook_form(in_float64):
    mu = np.array([0.5, 0.1, 1e-3, 1e-9, 1e-30])
    for a in (1e-8, 0.3, 0.99):
        games = gtrade.make_batch(
            GlostenMilgrom, low=90.0, high=110.0, prior_high=mu, informed_fraction=a
        )
        value = gtrade.solve_batch(games, GlostenMilgromClosedForm()).value
        wanted = 20 * 4 * a * mu * (1 - mu) / (1 - a**2 * (2 * mu - 1) ** 2)
        # The difference of the quotes would lose all digits; this loses none.
        np.testing.assert_allclose(value.spreads[:, 0], wanted, rtol=1e-13)


def test_spreads_far_from_doubt_do_not_overflow(in_float64):
    game = GlostenMilgrom(**FACTS)
    log_odds = jnp.array([-1e4, -700.0, -40.0, 0.0, 40.0, 700.0, 1e4, jnp.inf])
    quotes = jax.jit(lambda game, at: quotes_at(game, log_ratios(game), at))
    spreads = np.asarray(quotes(game, log_odds).spread)
    np.testing.assert_allclose(spreads[1:3], spreads[5:3:-1], rtol=1e-12)
    # 80 a e^-|l| / (1 - a^2) where belief is all but certain.
    tail = 80 * 0.3 / (1 - 0.09) * np.exp(-700)
    np.testing.assert_allclose(spreads[5], tail, rtol=1e-11)
    assert spreads[[0, 6, 7]].tolist() == [0, 0, 0]


def test_only_counts_matter():
    orders = np.array(list(itertools.permutations([1, 1, 1, -1, -1, 0])))
    games = gtrade.make_batch(GlostenMilgrom, orders=orders, **ODD)
    last = np.asarray(
        gtrade.solve_batch(games, GlostenMilgromClosedForm()).value.beliefs
    )[:, -1]
    assert np.ptp(last) == 0


def test_long_paths_do_not_drift():
    """A hundred thousand orders, as many buys as sells: doubt is what it was."""
    rng = np.random.default_rng(0)
    orders = rng.permutation(np.repeat([1, -1], 50_000))
    value = solve(GlostenMilgrom(orders=orders, **FACTS)).value
    assert value.beliefs[-1] == 0.5
    assert np.isfinite(value.asks).all()
    net = np.cumsum(orders)[999]
    wanted = 1 / (1 + np.exp(-net * np.log(1.3 / 0.7)))
    np.testing.assert_allclose(value.beliefs[1000], wanted, rtol=1e-5, atol=1e-30)


def enumerate_paths(num_trades, numbers):
    """Averages over every sequence of trades, in two-value Bayes arithmetic."""
    table = chances(
        numbers["informed_fraction"],
        numbers.get("buy_probability", 0.5),
        numbers.get("sell_probability", 0.5),
    )
    traded = table[:, [0, 2]] / table[:, [0, 2]].sum(axis=1, keepdims=True)
    prior = np.array([1 - numbers["prior_high"], numbers["prior_high"]])
    span = numbers["high"] - numbers["low"]
    spread = high = low = doubt = 0.0
    for path in itertools.product((0, 1), repeat=num_trades):
        given = np.prod(traded[:, list(path)], axis=1)
        joint = prior * given
        mu = joint / joint.sum()
        after = [mu[1] * traded[1, k] / (mu @ traded[:, k]) for k in (0, 1)]
        spread += joint.sum() * span * (after[1] - after[0])
        doubt += joint.sum() * np.sqrt(mu[0] * mu[1])
        low, high = low + given[0] * mu[1], high + given[1] * mu[1]
    return spread, high, low, doubt


@pytest.mark.parametrize("numbers", [FACTS, ODD, ODD | {"buy_probability": 0.0}])
def test_averages_equal_enumeration(in_float64, numbers):
    curves = solve(GlostenMilgrom(**numbers), 8).value.curves
    for trades in (0, 1, 5, 8):
        wanted = enumerate_paths(trades, numbers)
        found = [
            curves.spreads[trades],
            curves.beliefs_high[trades],
            curves.beliefs_low[trades],
            curves.uncertainties[trades],
        ]
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


@pytest.mark.parametrize("numbers", [FACTS, ODD])
def test_averages_obey_their_laws(in_float64, numbers):
    """Beliefs are a martingale, doubt decays by rho per trade, exactly."""
    curves = solve(GlostenMilgrom(**numbers), 400).value.curves
    prior = numbers["prior_high"]
    mean = prior * curves.beliefs_high + (1 - prior) * curves.beliefs_low
    np.testing.assert_allclose(mean, prior, rtol=1e-12)
    table = chances(
        numbers["informed_fraction"],
        numbers.get("buy_probability", 0.5),
        numbers.get("sell_probability", 0.5),
    )[:, [0, 2]]
    table = table / table.sum(axis=1, keepdims=True)
    rho = np.sqrt(table[0] * table[1]).sum()
    start = np.sqrt(prior * (1 - prior))
    np.testing.assert_allclose(
        curves.uncertainties, start * rho ** np.arange(401), rtol=1e-11
    )
    assert (np.diff(curves.beliefs_high) > -1e-14).all()
    assert (np.diff(curves.beliefs_low) < 1e-14).all()


def test_the_mean_spread_decays_at_the_rate_of_doubt(in_float64):
    spreads = np.asarray(solve(GlostenMilgrom(**FACTS), 400).value.curves.spreads)
    slope = np.log(spreads[400] / spreads[300]) / 100
    # A power of n besides: -1/2 log n over 100 trades at n around 350.
    assert slope == pytest.approx(np.log(0.9539392014) - 0.5 / 350, abs=2e-4)


def status_of(**numbers):
    game = GlostenMilgrom(**numbers)
    solution = gtrade.solve(game, GlostenMilgromClosedForm())
    return str(status_names(solution.status)), solution.value


def test_nobody_informed(in_float64):
    numbers = FACTS | {"informed_fraction": 0.0, "prior_high": 0.3}
    for extra in ({}, {"buy_probability": 0.0}):
        name, value = status_of(**numbers, orders=[-1] * 3, **extra)
        assert name == "converged"
        np.testing.assert_array_equal(value.spreads, 0)
        np.testing.assert_allclose(value.asks, 96, rtol=1e-6)
        np.testing.assert_allclose(value.beliefs, 0.3, rtol=1e-6)


def test_everybody_informed(in_float64):
    sure = FACTS | {"informed_fraction": 1.0}
    name, value = status_of(**sure, orders=["buy"] * 3)
    assert name == "converged"
    assert value.asks.tolist() == [110] * 4
    assert value.bids.tolist() == [90, 110, 110, 110]
    assert value.spreads.tolist() == [20, 0, 0, 0]
    assert value.beliefs.tolist() == [0.5, 1, 1, 1]
    name, value = status_of(**sure, orders=["sell"] * 3)
    assert value.beliefs.tolist() == [0.5, 0, 0, 0]
    assert value.asks.tolist() == [110, 90, 90, 90]
    curves = solve(GlostenMilgrom(**sure), 8).value.curves
    assert curves.spreads.tolist() == [20] + [0] * 8
    assert curves.beliefs_high.tolist() == [0.5] + [1] * 8
    assert curves.uncertainties.tolist() == [0.5] + [0] * 8


@pytest.mark.parametrize(
    "numbers",
    [
        FACTS | {"informed_fraction": 1.0, "orders": [1, 1, -1]},
        FACTS | {"informed_fraction": 1.0, "prior_high": 1.0, "orders": [1, 1, -1]},
        FACTS | {"informed_fraction": 1.0, "prior_high": 0.0, "orders": [-1, -1, 1]},
        FACTS | {"informed_fraction": 0.0, "buy_probability": 0.0, "orders": SELLS_BUY},
        ODD | {"prior_high": 0.0, "buy_probability": 0.0, "orders": SELLS_BUY},
        # Only the high value sends buys, only the low one sells.
        FACTS | {"buy_probability": 0.0, "sell_probability": 0.0, "orders": [1, 1, -1]},
        pytest.param(
            {
                "values": [1.0, 2.0, 4.0],
                "prior": [0.2, 0.3, 0.5],
                "informed_fraction": 1.0,
                "orders": [1, 1, -1],
            },
            marks=pytest.mark.slow,
        ),
    ],
)
def test_orders_that_nobody_sends(in_float64, numbers):
    name, value = status_of(**numbers)
    assert name == "invalid_input"
    assert all(np.isnan(x).all() for x in jax.tree.leaves(value))


def test_orders_that_prove_a_value(in_float64):
    name, value = status_of(**ODD | {"buy_probability": 0.0}, orders=[-1, 1, -1])
    assert name == "converged"
    assert value.beliefs[2:].tolist() == [1, 1]
    assert value.asks.tolist() == [11] * 4
    assert value.bids[2:].tolist() == [11] * 2


def test_certainty_and_one_value(in_float64):
    for prior, level in ((0.0, 90), (1.0, 110)):
        name, value = status_of(**FACTS | {"prior_high": prior}, orders=[1, -1, 1])
        assert name == "converged"
        assert value.bids.tolist() == value.asks.tolist() == [level] * 4
        assert value.spreads.tolist() == [0] * 4
    name, value = status_of(**FACTS | {"high": 90.0}, orders=[1, -1, 1])
    assert name == "converged"
    assert value.bids.tolist() == value.asks.tolist() == [90] * 4


def test_a_pass_that_nobody_sends_tells_nothing(in_float64):
    name, value = status_of(**FACTS, orders=["buy", "pass", "buy"])
    assert name == "degenerate"
    np.testing.assert_array_equal(value.beliefs[1], value.beliefs[2])
    name, other = status_of(**FACTS, orders=["buy"] * 3)
    assert name == "converged"
    found = np.asarray(value.beliefs)[[0, 1, 3]]
    np.testing.assert_array_equal(found, other.beliefs[:3])


@pytest.mark.parametrize(("shift", "scale"), [(7.0, 1.0), (0.0, 3.5), (-40.0, 0.01)])
def test_values_may_be_moved_and_scaled(in_float64, shift, scale):
    base = solve(GlostenMilgrom(orders=PATH, **ODD)).value
    moved = ODD | {k: shift + scale * ODD[k] for k in ("low", "high")}
    value = solve(GlostenMilgrom(orders=PATH, **moved)).value
    np.testing.assert_allclose(value.asks, shift + scale * base.asks, rtol=1e-12)
    np.testing.assert_allclose(value.spreads, scale * base.spreads, rtol=1e-12)
    np.testing.assert_allclose(value.beliefs, base.beliefs, rtol=1e-13)


def test_sides_may_change_places(in_float64):
    base = solve(GlostenMilgrom(orders=PATH, **ODD)).value
    mirrored = {
        "low": -ODD["high"],
        "high": -ODD["low"],
        "prior_high": 1 - ODD["prior_high"],
        "informed_fraction": ODD["informed_fraction"],
        "buy_probability": ODD["sell_probability"],
        "sell_probability": ODD["buy_probability"],
    }
    value = solve(GlostenMilgrom(orders=np.negative(PATH), **mirrored)).value
    np.testing.assert_allclose(value.asks, -base.bids, rtol=1e-12)
    np.testing.assert_allclose(value.beliefs, 1 - base.beliefs, rtol=1e-12)
    high = solve(GlostenMilgrom(**mirrored), 8).value.curves.beliefs_high
    low = solve(GlostenMilgrom(**ODD), 8).value.curves.beliefs_low
    np.testing.assert_allclose(high, 1 - low, rtol=1e-12)


def test_a_batch_is_its_games_whatever_the_neighbours(in_float64):
    fractions = np.array([0.3, np.nan, 0.5, 2.0, 1.0])
    games = gtrade.make_batch(
        GlostenMilgrom,
        low=90.0,
        high=110.0,
        prior_high=0.4,
        informed_fraction=np.full(5, 0.1),
        orders=np.array([[1, 1, -1], [1] * 3, [1, -1, 1], [1] * 3, [1, -1, 1]]),
    )
    like = games.informed_fraction.dtype
    games = replace_fields(games, informed_fraction=jnp.asarray(fractions, like))
    many = gtrade.solve_batch(games, GlostenMilgromClosedForm(num_trades=100))
    names = status_names(many.status).tolist()
    assert names == ["converged", "invalid_input"] * 2 + ["invalid_input"]
    for i in range(5):
        lane = jax.tree.map(lambda x: x[i], many.value)  # noqa: B023
        if i not in (0, 2):
            assert all(np.isnan(x).all() for x in jax.tree.leaves(lane))
            continue
        game = GlostenMilgrom(
            low=90.0,
            high=110.0,
            prior_high=0.4,
            informed_fraction=fractions[i],
            orders=games.orders[i],
        )
        one = solve(game, 100).value
        for found, wanted in zip(
            jax.tree.leaves(lane), jax.tree.leaves(one), strict=True
        ):
            np.testing.assert_allclose(found, wanted, rtol=1e-14)


def test_paths_of_one_length_compile_once():
    from gtrade import solving

    solver = GlostenMilgromClosedForm()
    games = [
        GlostenMilgrom(orders=orders, **ODD)
        for orders in ([1, 1, -1], [0, -1, 1], ["sell", "sell", "buy"])
    ]
    program = solving._program_of(solver, games[0])
    assert isinstance(program, solving.LaneProgram)
    gtrade.solve(games[0], solver)
    before = program.num_compilations
    assert before >= 1
    for game in games[1:]:
        gtrade.solve(game, solver)
    assert program.num_compilations == before


def path_and_curves(numbers):
    game = GlostenMilgrom(orders=PATH, **numbers)
    value = GlostenMilgromClosedForm(num_trades=3).solve(game).value
    curves = jnp.stack(jax.tree.leaves(value.curves))
    paths = jnp.stack([value.asks, value.bids, value.spreads, value.beliefs])
    weights = jnp.arange(1.0, 1 + curves.size).reshape(curves.shape)
    return (paths**2).sum() + (weights * curves).sum()


SLOPES = jax.jit(jax.value_and_grad(path_and_curves))


@pytest.mark.parametrize("name", list(ODD))
def test_gradients_match_differences(in_float64, name):
    step = 1e-6
    ends = [SLOPES(ODD | {name: ODD[name] + s})[0] for s in (-step, step)]
    slope = (ends[1] - ends[0]) / (2 * step)
    np.testing.assert_allclose(SLOPES(ODD)[1][name], slope, rtol=1e-6)


def test_gradients_are_finite_where_only_the_informed_buy(in_float64):
    slopes = SLOPES(ODD | {"buy_probability": 0.0})[1]
    assert np.isfinite(slopes["low"])


def test_refusals():
    with pytest.raises(ValueError, match="num_trades must be at least 0; got -1"):
        GlostenMilgromClosedForm(num_trades=-1)
    game = GlostenMilgrom(values=[1.0, 2.0], prior=[0.5, 0.5], informed_fraction=0.1)
    with pytest.raises(ValueError, match="num_trades must be 0 with values; got 2"):
        gtrade.solve(game, GlostenMilgromClosedForm(num_trades=2))
