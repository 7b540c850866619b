"""Evidence about Kyle's markets: it measures any answer, right or wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

import gtrade
from gtrade.problems.kyle import Kyle, KyleSequential
from gtrade.solution import Solution, Status
from gtrade.solvers.kyle import KyleEquilibrium
from gtrade.solvers.kyle_sequential import SequentialEquilibrium
from tests.references import kyle as reference

MARKET = {"value_std": 2.0, "noise_std": 0.3, "signal_noise_std": 0.7}
STDS = (2.0, 0.3, 0.7)
STEPS = [0.4, 1.1, 0.3, 0.7]


def wrap(value, status=Status.converged):
    return Solution(value, status, jnp.zeros(()), jnp.zeros((), jnp.int32))


def measure(impact, intensity, num_insiders=3, signals="common", **options):
    problem = Kyle(**MARKET, num_insiders=num_insiders, signals=signals)
    value = KyleEquilibrium(jnp.asarray(impact), jnp.asarray(intensity))
    columns = gtrade.verify(problem, wrap(value, **options))
    return {name: np.asarray(x) for name, x in columns.items()}


def moments(impact, own, intensity, num_insiders, signals):
    """Return profits of all sides with one insider's own intensity."""
    value, observed, noise = reference.loadings(num_insiders, signals)
    weight = reference.variances(STDS, num_insiders, signals)
    orders = intensity * observed
    orders[0] = own * observed[0]
    flow = orders.sum(axis=0) + noise
    gap = value - impact * flow
    return {
        "insider": (orders[0] * weight) @ gap,
        "dealer": -(flow * weight) @ gap,
        "noise": (noise * weight) @ gap,
        "left": (gap * weight) @ gap,
    }


@pytest.mark.parametrize("signals", ["common", "private"])
@pytest.mark.parametrize("num_insiders", [1, 3])
@pytest.mark.parametrize("factors", [(1.0, 1.0), (1.3, 1.0), (1.0, 0.6), (0.4, 1.7)])
def test_wrong_answers_are_measured_exactly(in_float64, signals, num_insiders, factors):
    right = reference.one_auction(*STDS, num_insiders, signals)
    impact = right["price_impact"] * factors[0]
    intensity = right["intensity"] * factors[1]
    columns = measure(impact, intensity, num_insiders, signals)
    best = reference.insider_response(impact, intensity, STDS, num_insiders, signals)
    projection = reference.pricing_response(intensity, STDS, num_insiders, signals)
    crowd = (impact, intensity, num_insiders, signals)

    def earn(own):
        return moments(impact, own, intensity, num_insiders, signals)["insider"]

    gain = earn(best) - earn(intensity)
    played = moments(impact, intensity, intensity, num_insiders, signals)
    wanted = {
        "exploitability": gain,
        "foc_residual": abs(best / intensity - 1),
        "pricing_residual": abs(projection / impact - 1),
        "insider_profit": played["insider"],
        "dealer_profit": played["dealer"],
        "noise_profit": played["noise"],
        "posterior_variance": played["left"],
        "deviation_profits": [earn(c * intensity) for c in (0.5, 0.8, 1, 1.25, 1.5)],
    }
    for name, number in wanted.items():
        np.testing.assert_allclose(
            columns[name], number, rtol=1e-10, atol=1e-13, err_msg=f"{name} {crowd}"
        )
    money = num_insiders * columns["insider_profit"]
    money = money + columns["dealer_profit"] + columns["noise_profit"]
    assert abs(money) < 1e-14
    if factors == (1.0, 1.0):
        assert columns["exploitability"] < 1e-24
        assert abs(columns["dealer_profit"]) < 1e-14
    else:
        assert columns["exploitability"] > 1e-3 * columns["insider_profit"]


def test_exploitability_by_simulation(in_float64):
    """Against a numerical search on shocks drawn elsewhere, any order of a signal."""
    rng = np.random.default_rng(0)
    value = 2.0 * rng.normal(size=400_000)
    signal = value + 0.7 * rng.normal(size=400_000)
    noise = 0.3 * rng.normal(size=400_000)
    impact, intensity = 4.0, 0.05
    columns = measure(impact, intensity, 2)
    rest = value - impact * (intensity * signal + noise)
    terms = np.array([np.ones_like(signal), signal, signal**3])
    with_rest, with_each_other = terms @ rest / 400_000, terms @ terms.T / 400_000

    def loss(x):  # a constant, a line and a cube
        x = np.asarray(x)
        return impact * (x @ with_each_other @ x) - x @ with_rest

    best = minimize(loss, np.zeros(3), method="BFGS")
    played = -loss([0, intensity, 0])
    gain = -best.fun - played
    np.testing.assert_allclose(gain, columns["exploitability"], rtol=0.05)
    np.testing.assert_allclose(played, columns["insider_profit"], rtol=0.05)


@pytest.mark.parametrize("impact", [0.0, -1.0])
def test_prices_that_do_not_rise_can_be_exploited_without_end(in_float64, impact):
    columns = measure(impact, 0.05)
    assert columns["exploitability"] == np.inf


def test_no_answer_no_numbers(in_float64):
    for status in (Status.invalid_input, Status.nonfinite):
        columns = measure(1.0, 0.05, status=status)
        assert all(np.isnan(x).all() for x in columns.values())
    assert np.isfinite(measure(1.0, 0.05)["exploitability"])


def test_single_precision_answers_are_measured():
    problem = Kyle(**MARKET, num_insiders=3)
    solution = gtrade.solve(problem, gtrade.KyleClosedForm())
    assert solution.value.price_impact.dtype == np.float32
    columns = gtrade.verify(problem, solution)
    wanted = reference.one_auction(*STDS, 3)
    for name in ("price_impact", "intensity", "insider_profit", "posterior_variance"):
        assert np.asarray(columns[name]).dtype == np.float64
        np.testing.assert_allclose(columns[name], wanted[name], rtol=1e-6)
    assert 0 <= columns["exploitability"] < 1e-12


def sequence(impact, intensity, num_insiders, **options):
    size = len(impact)
    problem = KyleSequential(
        value_std=1.5, noise_std=0.8, num_insiders=num_insiders, step_lengths=STEPS
    )
    nothing = jnp.full(size, jnp.nan)  # not to be read
    value = SequentialEquilibrium(
        jnp.log(jnp.asarray(impact)), jnp.log(jnp.asarray(intensity)), nothing, nothing
    )
    arrays = ("times", "log_price_impact", "log_posterior_variance")
    columns = gtrade.verify(problem, wrap(value, **options), arrays=arrays)
    return {name: np.asarray(x) for name, x in columns.items()}


def profits(impact, own, intensity, num_insiders):
    everyone = np.tile(intensity, (num_insiders, 1))
    everyone[0] = own
    return reference.sequential_moments(1.5, 0.8, STEPS, impact, everyone)


def best_profit(impact, intensity, num_insiders):
    """Return what one insider earns at most, by dynamic programming on a grid of one.

    The value of going on is alpha (v - p)^2 + delta: three evaluations give an order's
    parabola, and its top gives alpha.
    """
    alpha = delta = 0.0
    for n in reversed(range(len(impact))):
        others = (num_insiders - 1) * intensity[n] * STEPS[n]

        def total(order, n=n, others=others, alpha=alpha):
            left = 1 - impact[n] * (others + order)  # of a gap of one
            return order * left + alpha * left**2

        top = reference.vertex(total)
        delta += alpha * impact[n] ** 2 * 0.64 * STEPS[n]
        alpha = total(top)
    return alpha * 1.5**2 + delta


def perturbed(num_insiders, seed, size):
    right = reference.sequential(1.5, 0.8, STEPS, num_insiders)
    rng = np.random.default_rng(seed)
    impact = right["price_impact"] * np.exp(size * rng.normal(size=4))
    return impact, right["intensity"] * np.exp(size * rng.normal(size=4))


@pytest.mark.parametrize("num_insiders", [1, 2, 6])
@pytest.mark.parametrize(("seed", "size"), [(0, 0.0), (1, 0.1), (2, 0.1), (3, 0.5)])
def test_sequences_that_are_wrong_are_measured_exactly(
    in_float64, num_insiders, seed, size
):
    impact, intensity = perturbed(num_insiders, seed, size)
    columns = sequence(impact, intensity, num_insiders)
    played = profits(impact, intensity, intensity, num_insiders)
    own = played["insider_profits"][0]
    np.testing.assert_allclose(columns["insider_profit"].sum(), own, rtol=1e-10)
    np.testing.assert_allclose(columns["total_profit"], num_insiders * own, rtol=1e-10)
    left = np.diag(played["error_covariance"])
    np.testing.assert_allclose(columns["posterior_variance"], left, rtol=1e-10)
    np.testing.assert_allclose(
        columns["log_posterior_variance"], np.log(left), rtol=0, atol=1e-10
    )
    loss = played["noise_loss"]
    np.testing.assert_allclose(-columns["noise_profit"].sum(), loss, rtol=1e-10)
    dealer = -np.diag(played["flow_error_covariance"])
    np.testing.assert_allclose(columns["dealer_profit"], dealer, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(columns["times"], np.cumsum(STEPS))
    if columns["second_order"] > 0:
        gain = best_profit(impact, intensity, num_insiders) - own
        np.testing.assert_allclose(
            columns["exploitability"], gain, rtol=1e-9, atol=1e-13
        )
    else:
        assert columns["exploitability"] == np.inf
    if size == 0:
        assert columns["exploitability"] < 1e-24
        assert columns["foc_residual"] < 1e-10
        assert columns["pricing_residual"] < 1e-10
        assert columns["second_order"] > 0.4
    else:
        assert columns["exploitability"] > 1e-4 * own
        assert columns["pricing_residual"] > 0.01


@pytest.mark.parametrize("num_insiders", [1, 3])
def test_exploitability_by_numerical_search(in_float64, num_insiders):
    """One insider's orders, as multiples of the gap, optimised all at once."""
    impact, intensity = perturbed(num_insiders, 1, 0.1)
    columns = sequence(impact, intensity, num_insiders)
    assert columns["second_order"] > 0

    def loss(factors):
        own = intensity * factors
        found = profits(impact, own, intensity, num_insiders)
        return -found["insider_profits"][0]

    best = minimize(loss, np.ones(4), method="BFGS", options={"gtol": 1e-9})
    gain = loss(np.ones(4)) - best.fun
    np.testing.assert_allclose(columns["exploitability"], gain, rtol=1e-6)


def test_pricing_residual_is_the_regression_of_the_value(in_float64):
    impact, intensity = perturbed(2, 4, 0.2)
    columns = sequence(impact, intensity, 2)
    played = profits(impact, intensity, intensity, 2)
    # What a unit of flow says about the gap that it meets.
    left = np.append(1.5**2, np.diag(played["error_covariance"]))
    share = 2 * intensity * np.array(STEPS)
    variance = share**2 * left[:-1] + 0.64 * np.array(STEPS)
    slope = share * left[:-1] / variance
    wanted = np.abs(slope / impact - 1).max()
    np.testing.assert_allclose(columns["pricing_residual"], wanted, rtol=1e-9)


def test_a_convex_problem_has_no_best_orders(in_float64):
    """Where later prices hardly move, moving the price now pays without end."""
    impact, intensity = perturbed(1, 0, 0.0)
    impact[-1] *= 0.05
    columns = sequence(impact, intensity, 1)
    assert columns["second_order"] < 0
    assert columns["exploitability"] == np.inf


def test_sequences_without_answer(in_float64):
    impact, intensity = perturbed(2, 0, 0.0)
    columns = sequence(impact, intensity, 2, status=Status.invalid_input)
    assert all(np.isnan(x).all() for x in columns.values())


def test_sequences_in_single_precision():
    problem = KyleSequential(
        value_std=1.5, noise_std=0.8, num_insiders=2, step_lengths=STEPS
    )
    solution = gtrade.solve(problem, gtrade.KyleSequentialClosedForm())
    columns = gtrade.verify(problem, solution)
    wanted = reference.sequential(1.5, 0.8, STEPS, 2)
    for name in ("price_impact", "intensity", "posterior_variance"):
        np.testing.assert_allclose(columns[name], wanted[name], rtol=1e-5)
    assert 0 <= columns["exploitability"] < 1e-9 * wanted["total_profit"]


def test_batches_are_single_ones(in_float64):
    batch = gtrade.make_batch(
        KyleSequential,
        value_std=np.array([1.0, 2.0, 0.1]),
        noise_std=0.5,
        num_insiders=np.array([1, 5, 2]),
        step_lengths=STEPS,
    )
    solution = gtrade.solve_batch(batch, gtrade.KyleSequentialClosedForm())
    many = gtrade.verify(batch, solution)
    for i in range(3):
        one = jax.tree.map(lambda x, i=i: np.asarray(x)[i], (batch, solution))
        for name, x in gtrade.verify(*one).items():
            np.testing.assert_allclose(
                np.asarray(many[name])[i], x, rtol=1e-9, atol=1e-14, err_msg=name
            )
