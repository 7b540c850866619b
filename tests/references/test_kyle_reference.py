"""The reference reproduces published numbers and closed forms."""

import numpy as np
import pytest
from scipy.optimize import minimize, root_scalar

from .kyle import (
    auction_paths,
    insider_response,
    one_auction,
    pricing_response,
    sequential,
    sequential_moments,
    sequential_paths,
)

STDS = [(1.0, 1.0, 0.0), (2.0, 0.3, 0.7), (0.05, 4e3, 0.2), (30.0, 1e-3, 11.0)]
TOTALS = {
    1: {
        1: 0.5,
        2: 0.6205546171,
        4: 0.7307408642,
        10: 0.8438884750,
        20: 0.9024355701,
        50: 0.9505860853,
        100: 0.9714413052,
        500: 0.9925694917,
        1000: 0.9959263079,
    },
    2: {
        1: 0.471405,
        2: 0.570841,
        4: 0.624343,
        10: 0.548491,
        20: 0.409637,
        50: 0.259736,
    },
    3: {
        1: 0.433013,
        2: 0.494688,
        4: 0.480239,
        10: 0.345483,
        20: 0.245396,
        50: 0.155204,
    },
    6: {1: 0.349927, 2: 0.355575},
    7: {1: 0.330719, 2: 0.327998},
    10: {1: 0.287480, 2: 0.270855},
}


def equal(num_auctions):
    return np.full(num_auctions, 1 / num_auctions)


@pytest.mark.parametrize(("value_std", "noise_std", "signal_noise_std"), STDS)
@pytest.mark.parametrize("num_insiders", [1, 2, 3, 8])
@pytest.mark.parametrize("signals", ["common", "private"])
def test_one_auction(value_std, noise_std, signal_noise_std, num_insiders, signals):
    m, su2, s0 = num_insiders, noise_std**2, value_std**2
    answer = one_auction(value_std, noise_std, signal_noise_std, m, signals)
    phi = s0 / (s0 + signal_noise_std**2)
    if signals == "common":
        impact = np.sqrt(m * phi * s0) / ((m + 1) * noise_std)
        intensity = phi / ((m + 1) * impact)
        posterior = s0 - phi * s0 * m / (m + 1)
    else:
        d = 2 + (m - 1) * phi
        impact = np.sqrt(m * s0 * phi / su2) / d
        intensity = np.sqrt(su2 / (m * (s0 + signal_noise_std**2)))
        posterior = s0 * (2 - phi) / d
    expected = {
        "price_impact": impact,
        "intensity": intensity,
        "posterior_variance": posterior,
        "insider_profit": impact * su2 / m,
        "noise_profit": -impact * su2,
    }
    for name, number in expected.items():
        assert answer[name] == pytest.approx(number, rel=1e-11), name
    assert abs(answer["dealer_profit"]) < 1e-13 * impact * su2


@pytest.mark.parametrize("stds", STDS)
def test_one_insider(stds):
    s0, su2, se2 = np.square(stds)
    phi = s0 / (s0 + se2)
    answer = one_auction(*stds)
    profit = np.sqrt(phi * s0 * su2) / 2
    assert answer["insider_profit"] == pytest.approx(profit, rel=1e-12)
    assert answer["price_value_correlation"] == pytest.approx(np.sqrt(phi / 2))
    variance = 0.75 * phi * s0 * su2 + su2 * s0 * (1 - phi)
    assert answer["insider_profit_variance"] == pytest.approx(variance, rel=1e-12)


@pytest.mark.parametrize("signals", ["common", "private"])
def test_best_response_by_search(signals):
    stds, m = (2.0, 0.3, 0.7), 3
    answer = one_auction(*stds, m, signals)
    impact, intensity = answer["price_impact"], answer["intensity"]
    best = insider_response(impact, intensity, stds, m, signals)
    assert best == pytest.approx(intensity, rel=1e-12)
    assert pricing_response(intensity, stds, m, signals) == impact
    # Against other numbers than the equilibrium's: profit on simulated shocks.
    rng = np.random.default_rng(1)
    value = 2.0 * rng.normal(size=40_000)
    errors = 0.7 * rng.normal(size=(40_000, 1 if signals == "common" else m))
    errors = np.broadcast_to(errors, (40_000, m)).copy()
    noise = 0.3 * rng.normal(size=40_000)
    own = value + errors[:, 0]
    rest = 0.03 * (2 * value + errors[:, 1] + errors[:, 2]) + noise
    sampled = (own * (value - 4.0 * rest)).mean() / (2 * 4.0 * (own**2).mean())
    exact = insider_response(4.0, 0.03, stds, m, signals)
    assert sampled == pytest.approx(exact, rel=0.03)


@pytest.mark.parametrize("signals", ["common", "private"])
def test_paths_meet_the_moments(signals):
    stds, m, paths = (2.0, 0.3, 0.7), 3, 40_000
    answer = one_auction(*stds, m, signals)
    rng = np.random.default_rng(2)
    value = 10 + 2.0 * rng.normal(size=paths)
    errors = 0.7 * rng.normal(size=(paths, 1 if signals == "common" else m))
    errors = np.broadcast_to(errors, (paths, m))
    noise = 0.3 * rng.normal(size=paths)
    numbers = (value, errors, noise, answer["price_impact"], answer["intensity"], 10.0)
    result = auction_paths(*numbers)
    money = result["insider_profits"].sum(axis=1)
    money += result["noise_profit"] + result["dealer_profit"]
    np.testing.assert_allclose(money, 0, atol=1e-12)

    def close(sample, exact):
        assert abs(sample.mean() - exact) < 4 * sample.std() / np.sqrt(paths)

    close(result["insider_profits"][:, 0], answer["insider_profit"])
    close(result["noise_profit"], answer["noise_profit"])
    close(result["dealer_profit"], 0.0)
    close((value - result["price"]) ** 2, answer["posterior_variance"])
    variance = (result["insider_profits"][:, 0] - answer["insider_profit"]) ** 2
    close(variance, answer["insider_profit_variance"])
    slope = np.polyfit(result["flow"], value - 10, 1)[0]
    assert slope == pytest.approx(answer["price_impact"], rel=0.02)
    for scale in (0.5, 1.6, 2.5):
        deviated = auction_paths(*numbers, deviation=scale)["insider_profits"][:, 0]
        close(deviated, (2 * scale - scale**2) * answer["insider_profit"])


def test_many_insiders_leave_nothing():
    answer = one_auction(1.0, 1.0, 0.0, 2000, "common")
    assert answer["posterior_variance"] < 1e-3
    assert 2000 * answer["insider_profit"] < 0.03


@pytest.mark.parametrize("num_insiders", TOTALS)
def test_published_totals(num_insiders):
    for num_auctions, total in TOTALS[num_insiders].items():
        answer = sequential(1.0, 1.0, equal(num_auctions), num_insiders)
        tolerance = 5.01e-11 if num_insiders == 1 else 5.01e-7
        assert abs(answer["total_profit"] - total) < tolerance


def test_two_auctions_in_closed_form():
    k = (1 + 2 * np.sqrt(7) * np.cos((np.pi - np.arctan(3 * np.sqrt(3))) / 3)) / 6
    assert abs(k - 0.9009688679) < 5.01e-11
    answer = sequential(1.0, 1.0, [1.0, 1.0])
    first, second = answer["price_impact"]
    assert abs(first - 0.4616576160) < 5.01e-11
    assert abs(answer["posterior_variance"][0] - 0.6920214716) < 5.01e-11
    assert first == pytest.approx(np.sqrt(2 * k * (2 * k - 1)) / (4 * k - 1), rel=1e-14)
    assert answer["posterior_variance"][0] == pytest.approx(2 * k / (4 * k - 1))
    assert second == pytest.approx(np.sqrt(answer["posterior_variance"][0]) / 2)


@pytest.mark.parametrize("num_insiders", [1, 2, 5])
@pytest.mark.parametrize("steps", [[1.0], [0.2, 1.3, 0.05, 0.7], list(equal(30))])
def test_dynamics_confirm_the_recursion(num_insiders, steps):
    value_std, noise_std = 0.7, 30.0
    answer = sequential(value_std, noise_std, steps, num_insiders)
    impact, intensity = answer["price_impact"], answer["intensity"]
    everyone = np.tile(intensity, (num_insiders, 1))
    moments = sequential_moments(value_std, noise_std, steps, impact, everyone)
    profit = answer["insider_profit"]
    np.testing.assert_allclose(moments["insider_profits"], profit, rtol=1e-12)
    total = answer["total_profit"]
    np.testing.assert_allclose(moments["noise_loss"], total, rtol=1e-12)
    losses = np.sum(impact * noise_std**2 * np.asarray(steps))
    np.testing.assert_allclose(losses, total, rtol=1e-12)
    error = np.diag(moments["error_covariance"])
    np.testing.assert_allclose(error, answer["posterior_variance"], rtol=1e-10)
    # Prices are projections: errors are uncorrelated with the flow up to then.
    flow = np.triu(moments["flow_error_covariance"])
    np.testing.assert_allclose(flow, 0, atol=1e-12 * value_std * noise_std)
    changes = moments["price_covariance"]
    uncorrelated = changes - np.diag(np.diag(changes))
    np.testing.assert_allclose(uncorrelated, 0, atol=1e-13)
    learned = value_std**2 - answer["posterior_variance"]
    np.testing.assert_allclose(np.cumsum(np.diag(changes)), learned, rtol=1e-12)


@pytest.mark.parametrize("num_insiders", [1, 2, 7])
def test_recursion_without_scale(num_insiders):
    # Backward in q = alpha * impact alone, then forward from the prior variance.
    m, value_std, noise_std = num_insiders, 1.7, 0.3
    steps = np.array([0.2, 1.3, 0.05, 0.7, 0.01, 2.0])
    q, growth = np.zeros(6), np.full(6, 1.0 + m)
    for n in reversed(range(5)):
        ratio = (1 - q[n + 1]) ** 2 * steps[n + 1] / steps[n]
        ratio /= (1 - 2 * q[n + 1]) * growth[n + 1] ** 2

        def excess(x, ratio=ratio):
            return x**2 * (m * (1 - 2 * x) + 1) - ratio * (1 - 2 * x)

        q[n] = root_scalar(excess, bracket=(0, 0.5), xtol=1e-16).root
        growth[n] = 1 + m * (1 - 2 * q[n])
    left = value_std**2 / np.cumprod(growth)
    impact = np.sqrt(m * left * (1 - 2 * q) / (noise_std**2 * steps * growth))
    intensity = (1 - 2 * q) / (impact * growth * steps)
    gain = np.cumsum((q * impact * noise_std**2 * steps)[::-1])[::-1]
    answer = sequential(value_std, noise_std, steps, m)
    expected = {
        "price_impact": impact,
        "intensity": intensity,
        "posterior_variance": left,
    }
    for name, numbers in expected.items():
        np.testing.assert_allclose(answer[name], numbers, rtol=1e-12)
    np.testing.assert_allclose(answer["alpha"][1:] * impact, q, rtol=1e-12)
    np.testing.assert_allclose(answer["delta"][:-1], gain, rtol=1e-12)
    if m == 1:
        even = sequential(1.0, 1.0, equal(6))
        x = even["alpha"][1:] * even["price_impact"]
        now, after = x[:-1], x[1:]
        balance = 8 * now**2 * (1 - now) * (1 - 2 * after)
        np.testing.assert_allclose(balance, 1 - 2 * now, rtol=1e-12)


@pytest.mark.parametrize("num_insiders", [1, 3])
def test_no_deviation_pays(num_insiders):
    steps = [0.4, 1.1, 0.3]
    answer = sequential(1.0, 1.0, steps, num_insiders)
    intensity = answer["intensity"]

    def loss(multiples):
        everyone = np.tile(intensity, (num_insiders, 1))
        everyone[0] *= multiples
        moments = sequential_moments(1.0, 1.0, steps, answer["price_impact"], everyone)
        return -moments["insider_profits"][0]

    start = np.array([0.5, 1.7, 1.2])
    best = minimize(loss, start, method="BFGS", options={"gtol": 1e-10})
    np.testing.assert_allclose(best.x, 1, atol=1e-6)
    assert -best.fun == pytest.approx(answer["insider_profit"], rel=1e-11)


def test_totals_over_auctions():
    def totals(num_insiders):
        sizes = (1, 2, 4, 10, 20, 50)
        each = [sequential(1, 1, equal(n), num_insiders) for n in sizes]
        return np.diff([answer["total_profit"] for answer in each])

    assert (totals(1) > 0).all()
    for m in (2, 3, 4, 5, 6):
        change = totals(m)
        assert change[0] > 0 > change[-1], m
        assert (np.diff(np.sign(change)) <= 0).all(), m
    for m in (7, 10, 20):
        assert (totals(m) < 0).all(), m


def test_one_insider_in_continuous_time():
    answer = sequential(2.0, 3.0, equal(1000))
    times = np.arange(1, 1001) / 1000
    early = times < 0.9
    np.testing.assert_allclose(answer["price_impact"][early], 2 / 3, rtol=0.01)
    left = (1 - times) * 4.0
    np.testing.assert_allclose(answer["posterior_variance"], left, atol=0.02)
    beta = 6.0 / left[early]
    np.testing.assert_allclose(answer["intensity"][early], beta, rtol=0.05)
    assert answer["total_profit"] == pytest.approx(6.0, rel=5e-3)


def test_many_insiders_and_auctions():
    answer = sequential(1.0, 1.0, equal(400), 20)
    assert answer["posterior_variance"][-1] == 0.0  # below the smallest float64
    assert np.isfinite(answer["total_profit"])
    losses = answer["price_impact"].mean()
    assert losses == pytest.approx(answer["total_profit"], rel=1e-12)
    small = sequential(1.0, 1.0, equal(40), 10)["posterior_variance"][-1]
    assert 0 < small < np.finfo(np.float32).tiny


def test_sequential_paths():
    steps, m, paths = np.array([0.4, 1.1, 0.3]), 2, 20_000
    answer = sequential(1.5, 0.8, steps, m)
    rng = np.random.default_rng(3)
    value = 1.5 * rng.normal(size=paths)
    noise = 0.8 * np.sqrt(steps) * rng.normal(size=(paths, 3))
    numbers = answer["price_impact"], answer["intensity"], steps, m
    result = sequential_paths(value, noise, *numbers)
    money = m * result["insider_profit"]
    money += result["noise_profit"] + result["dealer_profit"]
    np.testing.assert_allclose(money, 0, atol=1e-12)
    error = 4 * result["insider_profit"].std() / np.sqrt(paths)
    assert abs(result["insider_profit"].mean() - answer["insider_profit"]) < error
    left = ((value[:, None] - result["price"]) ** 2).mean(axis=0)
    np.testing.assert_allclose(left, answer["posterior_variance"], rtol=0.05)
