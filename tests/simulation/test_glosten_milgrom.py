"""Traders one by one: replayed by hand, and against what Bayes' rule says."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade import GlostenMilgrom, GlostenMilgromClosedForm
from gtrade.simulation.glosten_milgrom import Arrivals, PathArrivals, TradePaths
from gtrade.simulation.samplers import simulate
from tests.references import glosten_milgrom as reference

TWO = {
    "low": -3.0,
    "high": 11.0,
    "prior_high": 0.25,
    "informed_fraction": 0.4,
    "buy_probability": 0.2,
    "sell_probability": 0.5,
}
MANY = {
    "values": [-3.0, 2.0, 4.0, 11.0],
    "prior": [0.3, 0.3, 0.2, 0.2],
    "informed_fraction": 0.4,
    "buy_probability": 0.2,
    "sell_probability": 0.5,
}
FLOW = (0.4, 0.2, 0.5)
ORDERS = [1, 0, -1]


def arrivals(numbers):
    game = GlostenMilgrom(orders=ORDERS, **numbers)
    path = gtrade.solve(game, GlostenMilgromClosedForm()).value
    beliefs = path.beliefs
    if game.is_two_valued:
        beliefs = jnp.stack([1 - beliefs, beliefs], axis=-1)
    return PathArrivals(game, path.bids, path.asks, beliefs)


@pytest.mark.parametrize("numbers", [TWO, MANY])
def test_arrivals_replayed_by_hand(in_float64, numbers):
    sampler = arrivals(numbers)
    rng = np.random.default_rng(0)
    value, trader = rng.random((2, 4, 200))
    shocks = Arrivals(jnp.asarray(value), jnp.asarray(trader))
    found = jax.jit(lambda s, x: s.outcomes(x))(sampler, shocks)
    found = {name: np.asarray(x) for name, x in found.items()}
    levels = np.asarray(sampler.problem.levels)
    bids, asks, beliefs = (
        np.asarray(x) for x in (sampler.bids, sampler.asks, sampler.beliefs)
    )
    for t, path in itertools.product(range(4), range(200)):
        place = int(np.searchsorted(np.cumsum(beliefs[t])[:-1], value[t, path]))
        v, u = levels[place], trader[t, path]
        if u < 0.4:
            order = 1 if v > asks[t] else -1 if v < bids[t] else 0
        else:
            order = 1 if u < 0.4 + 0.12 else -1 if u < 0.4 + 0.12 + 0.3 else 0
        assert found["buys"][t, path] == (order == 1)
        assert found["sells"][t, path] == (order == -1)
        gain = v - asks[t] if order == 1 else 0
        np.testing.assert_allclose(found["buy_values"][t, path], gain)
        loss = v - bids[t] if order == -1 else 0
        np.testing.assert_allclose(found["sell_values"][t, path], loss)
        own = np.eye(len(levels))[place]
        if t < 3:
            follows = order == ORDERS[t]
            assert found["follows"][t, path] == follows
            wanted = follows * (own - beliefs[t + 1])
            np.testing.assert_allclose(found["follow_values"][t, :, path], wanted)
        if t == 0:
            np.testing.assert_allclose(found["first_values"][:, path], own - beliefs[0])


def test_paths_replayed_by_hand(in_float64):
    """Quotes, beliefs and profits on one path, in the reference's arithmetic."""
    game = GlostenMilgrom(**TWO)
    shocks = np.random.default_rng(1).random((6, 9))
    outcomes = jax.jit(lambda s, x: s.outcomes(x))
    found = outcomes(TradePaths(game, 6), jnp.asarray(shocks))
    # Of those who come a part passes; the others are 0.4 + 0.12 + 0.3 of all.
    trader = shocks * 0.82
    for path in range(9):
        spread, doubt, profit = np.zeros(7), np.zeros(7), 0.0
        for is_high, weight in ((False, 0.75), (True, 0.25)):
            orders = [
                "buy" if u < 0.52 and (u >= 0.4 or is_high) else "sell"
                for u in trader[:, path]
            ]
            bids, asks, beliefs = reference.given_orders(-3.0, 11.0, 0.25, FLOW, orders)
            last = reference.quotes(-3.0, 11.0, beliefs[-1], FLOW)
            bids, asks = np.append(bids, last[0]), np.append(asks, last[1])
            spread += weight * (asks - bids)
            doubt += weight * np.sqrt(np.array(beliefs) * (1 - np.array(beliefs)))
            name = "beliefs_high" if is_high else "beliefs_low"
            np.testing.assert_allclose(found[name][:, path], beliefs, rtol=1e-12)
            v = 11.0 if is_high else -3.0
            gains = [
                ask - v if order == "buy" else v - bid
                for order, bid, ask in zip(orders, bids[:-1], asks[:-1], strict=True)
            ]
            profit += weight * np.mean(gains)
        np.testing.assert_allclose(found["spreads"][:, path], spread, rtol=1e-12)
        np.testing.assert_allclose(found["uncertainties"][:, path], doubt, rtol=1e-12)
        np.testing.assert_allclose(found["profit"][path], profit, rtol=1e-11)


def test_draws_are_those_of_the_path(in_float64):
    sampler = arrivals(MANY)
    key = jax.random.key(3)
    draw = jax.jit(simulate, static_argnums=2)
    few, many = draw(sampler, key, 5), draw(sampler, key, 40)
    for name, outcome in few.items():
        np.testing.assert_allclose(outcome, many[name][..., :5], rtol=1e-5, atol=1e-6)
        assert outcome.dtype == np.float64
    paths = TradePaths(GlostenMilgrom(**TWO), 3)
    few, many = draw(paths, key, 5), draw(paths, key, 40)
    for name, outcome in few.items():
        np.testing.assert_allclose(outcome, many[name][..., :5], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"informed_fraction": 1.0},
        {"informed_fraction": 0.0},
        {"informed_fraction": 0.0, "buy_probability": 0.0, "sell_probability": 0.0},
        {"buy_probability": 0.0},
        {"prior_high": 1.0},
        {"prior_high": 0.0, "sell_probability": 0.0},
        {"high": -3.0},
    ],
)
def test_edge_cases_agree_with_the_exact_averages(in_float64, changes):
    game = GlostenMilgrom(**TWO | changes)
    exact = gtrade.solve(game, GlostenMilgromClosedForm(num_trades=5)).value.curves
    draw = jax.jit(simulate, static_argnums=2)
    found = draw(TradePaths(game, 5), jax.random.key(0), 4000)
    assert all(np.isfinite(x).all() for x in found.values())
    for name in ("spreads", "beliefs_high", "beliefs_low", "uncertainties"):
        values = np.asarray(found[name])
        error = values.std(axis=1) / np.sqrt(4000)
        gap = np.abs(values.mean(axis=1) - getattr(exact, name))
        assert (gap <= 5 * error + 1e-13).all()
    profit = np.asarray(found["profit"])
    assert abs(profit.mean()) <= 5 * profit.std() / np.sqrt(4000) + 1e-13
