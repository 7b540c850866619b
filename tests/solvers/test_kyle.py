"""The single auction's closed form against its covariances."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.problems.kyle import Kyle
from gtrade.solution import status_names
from gtrade.solving import LaneProgram
from tests.references import kyle as reference

SOLVER = gtrade.KyleClosedForm()
SIGNALS = ("common", "private")
NAMES = ("price_impact", "intensity", "insider_profit", "posterior_variance")


def solve(**numbers):
    problem = Kyle(**numbers)
    solution = gtrade.solve(problem, SOLVER)
    assert str(status_names(solution.status)) == "converged"
    assert solution.num_steps == 0
    assert 0 <= solution.residual < (1e-13 if solution.residual.dtype == "f8" else 1e-5)
    columns = gtrade.verify(problem, solution)
    return {name: np.asarray(x) for name, x in columns.items()}


def draws(seed, number):
    rng = np.random.default_rng(seed)
    for _ in range(number):
        value_std, noise_std = 10 ** rng.uniform(-4, 4, 2)
        error_std = value_std * 10 ** rng.uniform(-3, 2) * rng.integers(0, 2)
        yield value_std, noise_std, error_std, int(rng.choice([1, 2, 3, 10, 60]))


@pytest.mark.parametrize("signals", ["common", "private"])
def test_agrees_with_the_reference(x64, signals):
    rtol = 1e-10 if x64 else 1e-4
    for value_std, noise_std, error_std, count in draws(1, 12):
        columns = solve(
            value_std=value_std,
            noise_std=noise_std,
            signal_noise_std=error_std,
            num_insiders=count,
            signals=signals,
        )
        wanted = reference.one_auction(value_std, noise_std, error_std, count, signals)
        for name in (*NAMES, "noise_profit"):
            np.testing.assert_allclose(columns[name], wanted[name], rtol=rtol)
        np.testing.assert_allclose(
            columns["profit_std"] ** 2, wanted["insider_profit_variance"], rtol=rtol
        )
        np.testing.assert_allclose(
            columns["value_price_correlation"],
            wanted["price_value_correlation"],
            rtol=rtol,
        )
        scale = columns["price_impact"] * noise_std**2
        assert abs(columns["dealer_profit"]) <= rtol * scale
        assert columns["foc_residual"] < rtol
        assert columns["pricing_residual"] < rtol
        assert 0 <= columns["exploitability"] < rtol**2 * scale
        np.testing.assert_allclose(columns["depth"] * columns["price_impact"], 1)


def test_facts_of_one_insider(x64):
    """Every row of the table, with noise in the signal and without."""
    rtol = 1e-10 if x64 else 1e-4
    for s0, su2, se2 in [(4.0, 0.25, 0.0), (4.0, 0.25, 3.0), (0.01, 1e6, 0.5)]:
        columns = solve(
            value_std=s0**0.5, noise_std=su2**0.5, signal_noise_std=se2**0.5
        )
        phi = s0 / (s0 + se2)
        known = phi * s0
        wanted = {
            "price_impact": 0.5 * np.sqrt(known / su2),
            "intensity": np.sqrt(su2 / (s0 + se2)),
            "insider_profit": 0.5 * np.sqrt(known * su2),
            "posterior_variance": s0 - known / 2,
            "value_price_correlation": np.sqrt(phi / 2),
            "profit_std": np.sqrt(0.75 * known * su2 + su2 * s0 * (1 - phi)),
            "noise_profit": -0.5 * np.sqrt(known * su2),
            "depth": 2 / np.sqrt(known / su2),
        }
        for name, number in wanted.items():
            np.testing.assert_allclose(columns[name], number, rtol=rtol, err_msg=name)
        # beta 2 lambda = phi, not beta lambda = phi.
        product = 2 * columns["intensity"] * columns["price_impact"]
        np.testing.assert_allclose(product, phi, rtol=rtol)
        factors = np.array([0.5, 0.8, 1.0, 1.25, 1.5])
        gains = columns["deviation_profits"] / columns["insider_profit"]
        np.testing.assert_allclose(gains, 2 * factors - factors**2, rtol=rtol)


def test_facts_of_many_insiders(x64):
    rtol = 1e-10 if x64 else 1e-4
    base = {"value_std": 2.0, "noise_std": 0.5}
    for count in (1, 2, 7, 400):
        exact = [solve(**base, num_insiders=count, signals=s) for s in SIGNALS]
        for name in NAMES:  # they agree without errors
            np.testing.assert_allclose(exact[0][name], exact[1][name], rtol=rtol)
        left = 4 / (count + 1)
        np.testing.assert_allclose(exact[0]["posterior_variance"], left, rtol=rtol)
        for signals in SIGNALS:
            noisy = solve(
                **base, num_insiders=count, signals=signals, signal_noise_std=1.0
            )
            total = count * noisy["insider_profit"]
            np.testing.assert_allclose(total, noisy["price_impact"] / 4, rtol=rtol)
            phi = 4 / 5
            if signals == "common":
                impact = np.sqrt(count * phi * 4) / ((count + 1) * 0.5)
                left = 4 - phi * 4 * count / (count + 1)
                intensity = phi / ((count + 1) * impact)
            else:
                d = 2 + (count - 1) * phi
                impact = np.sqrt(count * 4 * phi) / (d * 0.5)
                left = 4 * (2 - phi) / d
                intensity = np.sqrt(0.25 / (count * 5))
            np.testing.assert_allclose(noisy["price_impact"], impact, rtol=rtol)
            np.testing.assert_allclose(noisy["posterior_variance"], left, rtol=rtol)
            np.testing.assert_allclose(noisy["intensity"], intensity, rtol=rtol)
    many = solve(**base, num_insiders=10**6)
    assert many["posterior_variance"] < 1e-5
    assert 10**6 * many["insider_profit"] < 2e-3


@pytest.mark.parametrize("scale", [1e-3, 30.0])
def test_units(x64, scale):
    """Prices in cents; lots instead of shares; noise over a longer time."""
    rtol = 1e-12 if x64 else 1e-5
    base = {"value_std": 1.3, "noise_std": 0.4, "signal_noise_std": 0.7}
    base |= {"num_insiders": 3, "signals": "private"}
    one = solve(**base)
    price = solve(**base | {"value_std": 1.3 * scale, "signal_noise_std": 0.7 * scale})
    powers = {"price_impact": 1, "intensity": -1, "insider_profit": 1}
    for name, power in powers.items():
        np.testing.assert_allclose(price[name], one[name] * scale**power, rtol=rtol)
    shares = solve(**base | {"noise_std": 0.4 * scale})
    powers = {"price_impact": -1, "intensity": 1, "insider_profit": 1}
    for name, power in powers.items():
        np.testing.assert_allclose(shares[name], one[name] * scale**power, rtol=rtol)
    moved = solve(**base, value_mean=1e4)
    for name in NAMES:
        np.testing.assert_allclose(moved[name], one[name], rtol=rtol)


def test_numbers_far_from_one_in_single_precision():
    """Squares of these numbers leave the range of float32."""
    for numbers in (
        {"value_std": 1e30, "noise_std": 1e-5, "signal_noise_std": 1e20},
        {"value_std": 1e-25, "noise_std": 1e-10, "signal_noise_std": 1e-24},
        {"value_std": 1.0, "noise_std": 1.0, "signal_noise_std": 1e25},
    ):
        problem = Kyle(**numbers, num_insiders=4)
        solution = gtrade.solve(problem, SOLVER)
        value, noise, error = numbers.values()
        total = np.hypot(value, error)
        impact = 2 * (value / total) * value / noise / 5
        np.testing.assert_allclose(solution.value.price_impact, impact, rtol=1e-5)
        intensity = noise / total / 2
        np.testing.assert_allclose(solution.value.intensity, intensity, rtol=1e-5)
        assert solution.residual < 1e-4


def test_a_batch_is_its_markets(in_float64):
    numbers = np.array([row[:3] for row in draws(3, 33)])
    columns = dict(
        zip(("value_std", "noise_std", "signal_noise_std"), numbers.T, strict=True)
    )
    counts = np.arange(1, 34)
    batch = gtrade.make_batch(Kyle, **columns, num_insiders=counts, signals="private")
    many = gtrade.solve_batch(batch, SOLVER)
    for i in (0, 16, 32):
        one = {name: x[i] for name, x in columns.items()}
        problem = Kyle(**one, num_insiders=counts[i], signals="private")
        single = gtrade.solve(problem, SOLVER)
        plain = SOLVER.solve(problem)
        for value in (single.value, plain.value):
            for x, y in zip(
                jax.tree.leaves(many.value), jax.tree.leaves(value), strict=True
            ):
                np.testing.assert_allclose(np.asarray(x)[i], y, rtol=1e-14)


@pytest.mark.parametrize("error_std", [0.0, 0.6])
@pytest.mark.parametrize("signals", ["common", "private"])
def test_gradients(in_float64, signals, error_std):
    def answer(numbers):
        value_std, noise_std, signal_noise_std = numbers
        problem = Kyle(
            value_std=value_std,
            noise_std=noise_std,
            signal_noise_std=signal_noise_std,
            num_insiders=3,
            signals=signals,
        )
        value = SOLVER.solve(problem).value
        return jnp.stack([value.price_impact, value.intensity])

    at = np.array([1.3, 0.4, error_std])
    found = jax.jit(jax.jacrev(answer))(at)
    step = 1e-6
    moves = step * np.eye(3)
    run = jax.jit(answer)
    wanted = [
        (np.asarray(run(at + m)) - np.asarray(run(at - m))) / 2 / step for m in moves
    ]
    if error_std == 0:
        wanted[2] = np.zeros(2)  # even in the error
    np.testing.assert_allclose(found, np.transpose(wanted), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(
    "numbers", [{"value_std": 0.0}, {"signal_noise_std": np.inf}, {"noise_std": -1.0}]
)
def test_gradients_of_limits_stay_in_their_lanes(in_float64, numbers):
    """Of a batch with a lane at its limit, or without an answer."""
    base = {"value_std": 1.0, "noise_std": 0.5, "signal_noise_std": 0.2}

    def total(lanes):
        def impact(lane):
            problem = Kyle(**dict(zip(base, lane, strict=True)))
            return SOLVER.solve(problem).value.price_impact

        return jax.vmap(impact)(lanes)[0]

    odd = {**base, **numbers}
    lanes = jnp.array([list(base.values()), list(odd.values())])
    slopes = np.asarray(jax.jit(jax.grad(total))(lanes))
    assert np.isfinite(slopes[0]).all()
    assert slopes[0, 0] > 0 > slopes[0, 1]


def test_one_program_for_sweeps(monkeypatch):
    """Over insiders; simulations have their own test."""
    traces = []
    original = LaneProgram.__init__

    def spy(self, function, **options):
        def counted(*args):
            traces.append(type(self))
            return function(*args)

        original(self, counted, **options)

    monkeypatch.setattr(LaneProgram, "__init__", spy)
    from gtrade import solving

    monkeypatch.setattr(
        solving, "_kept_program", solving.functools.cache(solving._make_program)
    )
    for count in (1, 2, 30):
        gtrade.solve(Kyle(value_std=1.0, noise_std=2.0, num_insiders=count), SOLVER)
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"num_paths": 1}, "num_paths must be at least 2; got 1"),
        ({"num_paths": 10.5}, "num_paths must be a whole number; got 10.5"),
        (
            {"variance_reduction": "magic"},
            "variance_reduction must be one of 'none', 'antithetic', 'control'",
        ),
    ],
)
def test_simulation_refuses(numbers, message):
    with pytest.raises(ValueError, match=message):
        gtrade.KyleMonteCarlo(**numbers)
    if "num_paths" in numbers:
        with pytest.raises(ValueError, match=message):
            gtrade.KyleSequentialMonteCarlo(**numbers)


def test_simulation_needs_a_key():
    market = Kyle(value_std=1.0, noise_std=1.0)
    with pytest.raises(ValueError, match="key must be given to simulate; got None"):
        gtrade.solve(market, gtrade.KyleMonteCarlo())


def test_answers_beyond_the_range_of_floats_are_no_answers(in_float64):
    market = gtrade.Kyle(value_std=1e-200, noise_std=1e200)
    solution = gtrade.solve(market, gtrade.KyleClosedForm())
    assert gtrade.status_names(solution.status) == "nonfinite"
    assert np.isnan(gtrade.verify(market, solution)["price_impact"])
