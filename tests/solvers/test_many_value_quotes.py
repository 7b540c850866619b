"""Quotes on K values against a search over thresholds and Bayes' rule."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade import GlostenMilgrom, GlostenMilgromClosedForm
from gtrade.problems.base import replace_fields
from gtrade.solution import status_names
from gtrade.solvers.many_value_quotes import elastic_quotes

VALUES = np.array([90.0, 96.0, 99.0, 105.0, 112.0])
PRIOR = np.array([0.1, 0.3, 0.25, 0.2, 0.15])
PATH = [1, 1, 0, -1, 1, 0, 1, 1, 1, -1, 0]
SOLVER = GlostenMilgromClosedForm()


def make(a=0.4, gb=0.3, gs=0.45, orders=(), values=VALUES, prior=PRIOR):
    return GlostenMilgrom(
        informed_fraction=a,
        buy_probability=gb,
        sell_probability=gs,
        orders=orders,
        values=values,
        prior=prior,
    )


def solve(game, status="converged"):
    solution = gtrade.solve(game, SOLVER)
    assert str(status_names(solution.status)) == status
    return solution.value


def consistent_quotes(values, weights, a, gb, gs):
    """Bid and ask by trying every threshold; exactly one of each must fit."""
    asks, bids = [], []
    for j in range(len(values) + 1):
        buys = (1 - a) * gb + a * (np.arange(len(values)) >= j)
        ask = (weights * buys) @ values / (weights @ buys)
        below = values[j - 1] if j else -np.inf
        above = values[j] if j < len(values) else np.inf
        if below <= ask < above:
            asks.append((ask, j))
        sells = (1 - a) * gs + a * (np.arange(len(values)) < j)
        bid = (weights * sells) @ values / (weights @ sells)
        if below < bid <= above:
            bids.append((bid, j))
    ((ask, first),), ((bid, last),) = asks, bids
    return bid, ask, first, last


def follow(orders, values, prior, a, gb, gs):
    """Bids, asks and beliefs with likelihoods multiplied."""
    weights, rows = prior / prior.sum(), []
    place = np.arange(len(values))
    for order in [*orders, None]:
        bid, ask, first, last = consistent_quotes(values, weights, a, gb, gs)
        rows.append((bid, ask, weights))
        if order is None:
            break
        sells, buys = place < last, place >= first
        acts = {1: buys, -1: sells, 0: ~buys & ~sells}[order]
        noise = {1: gb, -1: gs, 0: 1 - gb - gs}[order]
        weights = weights * ((1 - a) * noise + a * acts)
        weights = weights / weights.sum()
    return [np.array(column) for column in zip(*rows, strict=True)]


@pytest.mark.parametrize("a", [0.05, 0.4, 0.9])
def test_paths_follow_bayes_rule(x64, a):
    value = solve(make(a, orders=PATH))
    bids, asks, beliefs = follow(PATH, VALUES, PRIOR, a, 0.3, 0.45)
    tolerance = {"rtol": 1e-12 if x64 else 2e-5, "atol": 1e-14 if x64 else 1e-5}
    np.testing.assert_allclose(value.bids, bids, **tolerance)
    np.testing.assert_allclose(value.asks, asks, **tolerance)
    np.testing.assert_allclose(value.beliefs, beliefs, **tolerance)
    np.testing.assert_allclose(
        value.spreads, asks - bids, rtol=1e-9 if x64 else 1e-4, atol=1e-13
    )


def test_random_markets(in_float64):
    rng = np.random.default_rng(3)
    number = 300
    values = np.sort(rng.normal(size=(number, 7)), axis=1)
    priors = rng.dirichlet(np.full(7, 0.4), size=number)
    a, gb, gs = rng.uniform(0, 1, number), *rng.dirichlet([1, 1, 1], number)[:, :2].T
    games = gtrade.make_batch(
        GlostenMilgrom,
        informed_fraction=a,
        buy_probability=gb,
        sell_probability=gs,
        values=values,
        prior=priors,
    )
    found = jax.tree.map(np.asarray, gtrade.solve_batch(games, SOLVER).value)
    for i in range(number):
        bid, ask, _, _ = consistent_quotes(values[i], priors[i], a[i], gb[i], gs[i])
        np.testing.assert_allclose(found.bids[i, 0], bid, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(found.asks[i, 0], ask, rtol=1e-11, atol=1e-12)
        # The largest and the smallest of the means over all thresholds.
        place, weights = np.arange(7), priors[i]
        buys = (1 - a[i]) * gb[i] + a[i] * (place >= np.arange(8)[:, None])
        means = (buys * weights) @ values[i] / (buys @ weights)
        np.testing.assert_allclose(ask, means.max(), rtol=1e-12)
    means = (values * priors).sum(axis=1)
    slack = 1e-12
    assert (found.bids[:, 0] <= means + slack).all()
    assert (means <= found.asks[:, 0] + slack).all()


def test_who_is_indifferent_passes(x64):
    """After a buy too many the bid is the middle value, by symmetry, and no sell.

    A sell would take the buy back if only the lowest value sells: then beliefs are
    symmetric. Where no noise passes, a pass proves the middle value.
    """
    cases = list(itertools.product([1.0, 0.1], [0.3, 0.37], range(0, 40, 13), [1, -1]))
    scales, fractions, extras, sides = map(np.array, zip(*cases, strict=True))
    orders = [[1, -1] * extra + [1, 0] + [1, -1] * (39 - extra) for extra in extras]
    games = gtrade.make_batch(
        GlostenMilgrom,
        informed_fraction=fractions,
        buy_probability=0.5,
        sell_probability=0.5,
        orders=sides[:, None] * np.array(orders),
        values=scales[:, None] * np.array([90.0, 100.0, 110.0]),
        prior=np.tile([0.25, 0.5, 0.25], (len(cases), 1)),
    )
    solution = gtrade.solve_batch(games, SOLVER)
    assert (status_names(solution.status) == "converged").all()
    bids, asks, beliefs = map(
        np.asarray,
        (solution.value.bids, solution.value.asks, solution.value.beliefs),
    )
    for i, (_, _, extra, side) in enumerate(cases):
        quotes, passed = bids if side == 1 else asks, 2 * extra + 1
        assert quotes[i, passed] == games.values[i, 1]
        wanted = np.tile([0, 1, 0], (80 - passed, 1))
        np.testing.assert_allclose(beliefs[i, passed + 1 :], wanted, atol=1e-12)


def test_verification_agrees_on_who_is_indifferent(in_float64):
    orders = [1, 0, -1, 1, 1, -1, 0, -1, -1, 1, 0]
    values = [-2.0, -1.0, 0.0, 1.0, 2.0]
    game = make(0.3, 0.4, 0.4, orders, values=values, prior=[0.1, 0.2, 0.4, 0.2, 0.1])
    evidence = gtrade.verify(game, gtrade.solve(game, SOLVER))
    assert evidence["belief_residual"] < 1e-12
    assert evidence["zero_profit_residual"] < 1e-12


def test_two_values_are_the_simpler_model(in_float64):
    # Passes tell nothing; with them there are as many orders as below.
    orders = [1, -1, 0, 1, 1, -1, -1, -1] + [0] * 2992
    numbers = {"informed_fraction": 0.35, "buy_probability": 0.3, "orders": orders}
    two = solve(GlostenMilgrom(low=-1.0, high=4.0, prior_high=0.3, **numbers))
    many = solve(GlostenMilgrom(values=[-1.0, 4.0], prior=[0.7, 0.3], **numbers))
    tolerance = {"rtol": 1e-12, "atol": 1e-13}
    np.testing.assert_allclose(many.bids, two.bids, **tolerance)
    np.testing.assert_allclose(many.asks, two.asks, **tolerance)
    np.testing.assert_allclose(many.spreads, two.spreads, **tolerance)
    np.testing.assert_allclose(many.beliefs[:, 1], two.beliefs, **tolerance)


def test_a_pass_is_news(in_float64):
    """Between the quotes the informed pass: values there gain."""
    value = solve(make(0.5, 0.3, 0.3, [0] * len(PATH)))
    middle = np.asarray(value.beliefs)[:, 2]
    assert (np.diff(middle) > 0).all()
    assert (np.diff(value.spreads) < 0).all()


PATHS = np.array(list(itertools.product([-1, 0, 1], repeat=4)))


def games_on(paths):
    return gtrade.make_batch(
        GlostenMilgrom,
        informed_fraction=0.4,
        buy_probability=0.3,
        sell_probability=0.45,
        values=VALUES,
        prior=np.tile(PRIOR, (len(paths), 1)),
        orders=paths,
    )


def test_beliefs_and_prices_are_martingales(in_float64):
    """Over all paths of four orders, weighted by their chances."""
    games = games_on(PATHS)
    value = jax.tree.map(np.asarray, gtrade.solve_batch(games, SOLVER).value)
    noise = {1: 0.3, 0: 0.25, -1: 0.45}
    mean, total, profit = np.zeros(5), 0.0, 0.0
    for i, path in enumerate(PATHS):
        given = PRIOR.copy()
        for t, order in enumerate(path):
            bid, ask = float(value.bids[i, t]), float(value.asks[i, t])
            buys, sells = ask < VALUES, bid > VALUES
            acts = {1: buys, -1: sells, 0: ~buys & ~sells}
            given *= 0.6 * noise[int(order)] + 0.4 * acts[int(order)]
        price = {1: ask, -1: bid, 0: 0}[int(order)]
        profit += order * given @ (price - VALUES)
        mean += given.sum() * np.asarray(value.beliefs[i, -1])
        total += given.sum()
    np.testing.assert_allclose(total, 1, rtol=1e-12)
    np.testing.assert_allclose(mean, PRIOR, rtol=1e-11)
    np.testing.assert_allclose(profit, 0, atol=1e-12)


@pytest.mark.parametrize("values", [[1.0, 2.0, 4.0, 5.0, 9.0], [-4.0, 0, 0.5, 1, 2]])
def test_markets_without_noise_on_one_side(in_float64, values):
    quotes, prior = {}, [0.2, 0.1, 0.2, 0.2, 0.3]
    for gb, gs in ((0.0, 0.5), (0.5, 0.0), (0.0, 0.0)):
        value = solve(
            make(0.4, gb, gs, [0] * len(PATH), values=values, prior=prior),
            "degenerate",
        )
        quotes[gb, gs] = float(value.bids[0]), float(value.asks[0])
    assert quotes[0.0, 0.5][1] == quotes[0.0, 0.0][1] == values[-1]
    assert quotes[0.5, 0.0][0] == quotes[0.0, 0.0][0] == values[0]
    # The other side is the one it has with noise.
    orders = [1, -1] * 5 + [1]
    sound = solve(make(0.4, 0.5, 0.5, orders, values=values, prior=prior))
    np.testing.assert_allclose(quotes[0.0, 0.5][0], sound.bids[0], rtol=1e-6)
    np.testing.assert_allclose(quotes[0.5, 0.0][1], sound.asks[0], rtol=1e-6)


def test_a_failing_side_is_the_limit_of_little_noise(in_float64):
    values, prior = [1.0, 2.0, 3.0, 4.0, 9.0], [0.2, 0.2, 0.1, 0.5, 0.0]
    numbers = {"values": values, "prior": prior, "orders": [-1] * len(PATH)}
    limit = solve(make(0.4, 0.0, 0.5, **numbers), "degenerate")
    # The highest value that is possible, not the highest there is.
    assert limit.asks[0] == 4
    near = solve(make(0.4, 1e-12, 0.5, **numbers))
    np.testing.assert_allclose(near.asks, limit.asks, rtol=1e-6)
    np.testing.assert_allclose(near.spreads, limit.spreads, rtol=1e-6)


@pytest.mark.parametrize("a", [0.4, 1.0])
def test_nobody_buys_where_the_market_fails(in_float64, a):
    """What the informed with the highest value do, at an ask of as much, is pass."""
    value = solve(make(a, 0.0, 0.5, [0] * len(PATH)), "degenerate")
    np.testing.assert_array_equal(value.asks, VALUES[-1])
    if a == 1:
        np.testing.assert_array_equal(value.bids, VALUES[0])
        np.testing.assert_allclose(value.beliefs, np.tile(PRIOR, (12, 1)), rtol=1e-6)
    for last in (1, -1):
        game = make(a, 0.0, 0.5, [0] * (len(PATH) - 1) + [last])
        is_possible = last == -1 and a < 1
        status = gtrade.solve(game, SOLVER).status
        wanted = "degenerate" if is_possible else "invalid_input"
        assert str(status_names(status)) == wanted


def test_nobody_informed_and_equal_values(in_float64):
    value = solve(make(0.0, orders=PATH))
    np.testing.assert_array_equal(value.spreads, 0)
    np.testing.assert_allclose(value.asks, VALUES @ PRIOR, rtol=1e-6)
    value = solve(make(0.4, orders=PATH, values=[3.0] * 5))
    assert value.asks.tolist() == value.bids.tolist() == [3] * 12


def test_a_known_value_stays_known(in_float64):
    for place, prior in enumerate(np.eye(5)):
        value = solve(make(0.4, orders=PATH, prior=prior))
        np.testing.assert_array_equal(value.beliefs, np.tile(prior, (12, 1)))
        np.testing.assert_allclose(value.asks, VALUES[place], rtol=1e-6)
        assert value.spreads.tolist() == [0] * 12


def test_near_certainty_loses_nothing(in_float64):
    """A value out of sight of double precision still comes back."""
    orders = [1] * 1500 + [-1] * 1500
    two = GlostenMilgrom(
        low=0.0,
        high=1.0,
        prior_high=0.5,
        informed_fraction=0.5,
        buy_probability=0.5,
        orders=orders,
    )
    many = make(0.5, 0.5, 0.5, orders, values=[0.0, 1.0], prior=[0.5, 0.5])
    wanted, found = solve(two), solve(many)
    assert wanted.spreads[1500] == 0  # 3^-1500
    spreads = np.asarray(found.spreads), np.asarray(wanted.spreads)
    np.testing.assert_allclose(spreads[0][:500], spreads[1][:500], rtol=1e-9)
    np.testing.assert_allclose(found.beliefs[-1, 1], 0.5, rtol=1e-9)
    np.testing.assert_allclose(found.asks, wanted.asks, rtol=1e-9)


def test_a_batch_is_its_games_whatever_the_neighbours(in_float64):
    games = games_on(PATHS)
    priors = np.tile(PRIOR, (len(PATHS), 1))
    priors[1::4], priors[2::4], priors[3::4] = np.nan, PRIOR[::-1], PRIOR * 2
    many = gtrade.solve_batch(replace_fields(games, prior=jnp.asarray(priors)), SOLVER)
    names = status_names(many.status).tolist()
    assert names == (["converged", "invalid_input"] * len(PATHS))[: len(PATHS)]
    value = jax.tree.map(np.asarray, many.value)
    assert np.isnan(value.beliefs[1::2]).all()
    assert np.isnan(value.asks[1::2]).all()
    for i in range(0, len(PATHS), 2):
        bids, asks, beliefs = follow(PATHS[i], VALUES, priors[i], 0.4, 0.3, 0.45)
        np.testing.assert_allclose(value.bids[i], bids, rtol=1e-12)
        np.testing.assert_allclose(value.asks[i], asks, rtol=1e-12)
        np.testing.assert_allclose(value.beliefs[i], beliefs, rtol=1e-12)


@jax.jit
@jax.value_and_grad
def quotes_and_beliefs(numbers, game):
    value = SOLVER.solve(replace_fields(game, **numbers)).value
    return (value.asks**2).sum() + value.spreads.sum() + value.beliefs[-1, 1]


@pytest.mark.parametrize("name", ["values", "prior", "informed_fraction"])
def test_gradients_match_differences(in_float64, name):
    game, step = make(orders=[1, 0, -1]), 1e-7
    numbers = {
        n: np.asarray(getattr(game, n))
        for n in ("values", "prior", "informed_fraction")
    }
    direction = np.array([1.0, -2.0, 0.5, 1.5, -1.0]) if numbers[name].ndim else 1.0
    low, high = (
        quotes_and_beliefs(numbers | {name: numbers[name] + s * direction}, game)[0]
        for s in (-step, step)
    )
    slope = (quotes_and_beliefs(numbers, game)[1][name] * direction).sum()
    np.testing.assert_allclose(slope, (high - low) / (2 * step), rtol=1e-5)


def test_one_quote_is_a_cumulative_sum_and_a_maximum(in_float64):
    """A thousand values, far beyond a search over pairs."""
    rng = np.random.default_rng(0)
    values = np.sort(rng.normal(size=1000))
    prior = rng.dirichlet(np.ones(1000))
    game = make(0.3, values=values, prior=prior)
    quotes = jax.jit(lambda g: elastic_quotes(g, jnp.log(g.initial_beliefs)))(game)
    bid, ask, _, _ = consistent_quotes(values, prior, 0.3, 0.3, 0.45)
    np.testing.assert_allclose([quotes.bid, quotes.ask], [bid, ask], rtol=1e-11)
