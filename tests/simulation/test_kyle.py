"""Markets played: path by path, and in the mean against the closed forms."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade import solving
from gtrade.problems.kyle import Kyle, KyleSequential
from gtrade.simulation.kyle import DEVIATIONS, KyleAuctions, KyleMarket
from gtrade.solution import status_names
from tests.references import kyle as reference

STDS = {"value_std": 2.0, "noise_std": 0.3, "signal_noise_std": 0.7}
STEPS = [0.4, 1.1, 0.3]
KEY = jax.random.key(4)
PROFITS = ("insider_profit", "dealer_profit", "noise_profit")


def shocks_of(x64, num_paths=4096):
    x = np.random.default_rng(7).normal(size=(4, num_paths))
    return jnp.asarray(x, np.float64 if x64 else np.float32)


@eqx.filter_jit
def play(market, shocks):
    return market.outcomes(shocks)


@pytest.mark.parametrize("signals", ["common", "private"])
@pytest.mark.parametrize("num_insiders", [1, 2])
def test_paths_are_those_of_the_reference(x64, signals, num_insiders):
    """Two insiders: the others' errors are the second insider's own."""
    problem = Kyle(**STDS, num_insiders=num_insiders, signals=signals, value_mean=50.0)
    impact, intensity = 4.0, 0.06  # not an equilibrium's
    market = KyleMarket(problem, jnp.asarray(impact), jnp.asarray(intensity))
    shocks = shocks_of(x64)
    found = {k: np.asarray(x) for k, x in play(market, shocks).items()}
    z = np.asarray(shocks).astype(float)
    errors = 0.7 * (z[[2, 2]] if signals == "common" else z[[2, 3]])
    args = (50 + 2 * z[0], errors[:num_insiders].T, 0.3 * z[1], impact, intensity, 50.0)
    wanted = reference.auction_paths(*args)
    tolerance = 1e-13 if x64 else 2e-5
    close = functools.partial(np.testing.assert_allclose, atol=tolerance, rtol=0)
    close(found["value"], 2 * z[0])
    close(found["signal"], wanted["signals"][:, 0] - 50)
    close(found["flow"], wanted["flow"])
    close(found["gap"], args[0] - wanted["price"])
    close(found["insider_profit"], wanted["insider_profits"].mean(axis=1))
    close(found["dealer_profit"], wanted["dealer_profit"])
    close(found["noise_profit"], wanted["noise_profit"])
    close(found["value_square"], (2 * z[0]) ** 2)
    others = wanted["orders"][:, 1:].sum(axis=1) + 0.3 * z[1]
    close(found["rest"], 2 * z[0] - impact * others)
    for factor, row in zip(DEVIATIONS, found["deviation_profits"], strict=True):
        deviated = reference.auction_paths(*args, deviation=factor)
        close(row, deviated["insider_profits"][:, 0])


@pytest.mark.parametrize("num_insiders", [1, 4])
def test_sequences_are_those_of_the_reference(x64, num_insiders):
    problem = KyleSequential(
        value_std=1.5, noise_std=0.8, num_insiders=num_insiders, step_lengths=STEPS
    )
    impact, intensity = np.array([1.2, 0.8, 0.9]), np.array([0.3, 0.4, 1.1])
    shares = impact * intensity * STEPS
    shocks = shocks_of(x64)
    z = np.asarray(shocks).astype(float)
    noise = 0.8 * np.sqrt(STEPS) * z[1:].T
    wanted = reference.sequential_paths(
        1.5 * z[0], noise, impact, intensity, STEPS, num_insiders
    )
    gap = 1.5 * z[0][:, None] - wanted["price"]
    tolerance = 1e-12 if x64 else 3e-5
    close = functools.partial(np.testing.assert_allclose, atol=tolerance, rtol=0)
    # Whatever the units are in which gaps are kept.
    for units in ([0.0, 0.0, 0.0, 0.0], [0.4, -1.0, 2.0, -3.0]):
        market = KyleAuctions(
            problem,
            jnp.asarray(shares, shocks.dtype),
            jnp.asarray(np.log(impact), shocks.dtype),
            jnp.asarray(units, shocks.dtype),
        )
        found = {k: np.asarray(x) for k, x in play(market, shocks).items()}
        close(found["gap_square"].T, gap**2)
        moves = np.diff(wanted["price"], axis=1, prepend=0)
        close(found["move"].T, moves)
        unit = np.exp(np.array(units[:-1]))
        before = np.concatenate([1.5 * z[:1].T, gap[:, :-1]], axis=1)
        squares = {
            "unit_move_square": moves**2,
            "unit_move_gap": moves * before,
            "unit_gap_square": gap**2,
        }
        for name, number in squares.items():
            scale = np.maximum(1, 1 / unit**2).max()
            np.testing.assert_allclose(
                found[name].T, number / unit**2, atol=tolerance * scale, rtol=0
            )
        close(found["insider_profit"].T, wanted["orders"] * gap)
        close(found["insider_profit"].sum(axis=0), wanted["insider_profit"])
        close(found["noise_profit"].sum(axis=0), wanted["noise_profit"])
        close(found["dealer_profit"].sum(axis=0), wanted["dealer_profit"])
        close(found["total_profit"], num_insiders * wanted["insider_profit"])


@pytest.mark.parametrize("signals", ["common", "private"])
def test_money_is_conserved_on_every_path(x64, signals):
    problem = Kyle(**STDS, num_insiders=5, signals=signals)
    market = KyleMarket(problem, jnp.asarray(3.0), jnp.asarray(0.08))
    found = play(market, shocks_of(x64))
    insider, *others = (np.asarray(found[name], float) for name in PROFITS)
    parts = [5 * insider, *others]
    money = np.abs(np.sum(parts, axis=0))
    scale = np.sum(np.abs(parts), axis=0)
    assert (money <= (1e-14 if x64 else 1e-6) * scale).all()
    sequence = KyleSequential(
        value_std=1.5, noise_std=0.8, num_insiders=5, step_lengths=STEPS
    )
    auctions = KyleAuctions(
        sequence,
        jnp.array([0.1, 0.15, 0.12]),
        jnp.array([0.2, -0.1, 0.3]),
        jnp.array([0.4, 0.1, -0.2, -0.6]),
    )
    found = play(auctions, shocks_of(x64))
    insider, *others = (np.asarray(found[name], float) for name in PROFITS)
    parts = [5 * insider, *others]
    money = np.abs(np.sum(parts, axis=0))
    scale = np.sum(np.abs(parts), axis=0)
    assert (money <= (1e-13 if x64 else 3e-6) * scale).all()


def compare(problem, solver, num_columns):
    """Compare every simulated column of a row with the row's exact one."""
    found = gtrade.solve(problem, solver, key=KEY)
    row = {k: np.asarray(x) for k, x in gtrade.verify(problem, found).items()}
    names = [name[:-3] for name in row if name.endswith("_mc")]
    assert len(names) == num_columns
    for name in names:
        mean, error, exact = row[f"{name}_mc"], row[f"{name}_se"], row[name]
        assert mean.shape == error.shape == exact.shape
        assert (error > 0).all(), name
        assert (np.abs(mean - exact) <= 5 * error).all(), (name, mean, exact, error)
        scale = max(np.abs(exact).max(), np.abs(row["insider_profit"]).max())
        assert (error < 0.2 * scale).all(), name
    return row


# The tests of the command line simulate private signals.
@pytest.mark.parametrize(
    "signals", ["common", pytest.param("private", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("num_insiders", [1, 4])
def test_columns_lie_within_their_errors(signals, num_insiders):
    problem = Kyle(**STDS, num_insiders=num_insiders, signals=signals)
    compare(problem, gtrade.KyleMonteCarlo(num_paths=1_000_000), 7)


def test_standard_errors_are_those_of_theory():
    """One insider's profit has the standard deviation of section 1."""
    solver = gtrade.KyleMonteCarlo(num_paths=40_000)
    row = compare(Kyle(**STDS), solver, 7)
    wanted = row["profit_std"] / 200
    np.testing.assert_allclose(row["insider_profit_se"], wanted, rtol=0.03)
    # Classical: of a slope, and of a normal variable's variance.
    left, flow = row["posterior_variance"], 2 * 0.3**2
    wanted = np.sqrt(left / flow) / 200
    np.testing.assert_allclose(row["price_impact_se"], wanted, rtol=0.03)
    wanted = left * np.sqrt(2) / 200
    np.testing.assert_allclose(row["posterior_variance_se"], wanted, rtol=0.03)


@pytest.mark.slow
def test_errors_are_honest():
    """Over many seeds, distances in standard errors have a spread of one."""
    size = 200
    batch = gtrade.make_batch(
        Kyle, size=size, **STDS, num_insiders=3, signals="private"
    )
    solver = gtrade.KyleMonteCarlo(num_paths=2000)
    keys = jax.random.split(KEY, size)
    found = gtrade.solve_batch(batch, solver, keys=keys)
    row = gtrade.verify(batch, found)
    for name in ("price_impact", "intensity", *PROFITS, "posterior_variance"):
        exact = np.asarray(row[name])
        score = (np.asarray(row[f"{name}_mc"]) - exact) / np.asarray(row[f"{name}_se"])
        assert 0.8 < score.std() < 1.2, name
        assert abs(score.mean()) < 0.3, name


def test_one_program_for_sweeps():
    """Over insiders and over numbers of paths."""
    solver = gtrade.KyleMonteCarlo(num_paths=10)
    program = solving._program_of(solver, Kyle(**STDS))
    gtrade.solve(Kyle(**STDS), solver, key=KEY)
    before = program.num_compilations
    assert before > 0
    for num_paths in (10, 1000, 5000):
        for count in (1, 4):
            market = Kyle(value_std=1.0, noise_std=2.0, num_insiders=count)
            solver = gtrade.KyleMonteCarlo(num_paths=num_paths)
            found = gtrade.solve(market, solver, key=jax.random.key(0))
            assert found.num_steps == num_paths
            assert str(status_names(found.status)) == "completed"
    assert program.num_compilations == before


@pytest.mark.parametrize("num_insiders", [1, 3])
def test_columns_of_sequences_lie_within_their_errors(num_insiders):
    problem = KyleSequential(
        value_std=1.5, noise_std=0.8, num_insiders=num_insiders, step_lengths=STEPS
    )
    compare(problem, gtrade.KyleSequentialMonteCarlo(num_paths=100_000), 6)


@pytest.mark.slow
@pytest.mark.parametrize("num_insiders", [1, 3])
def test_columns_of_sequences_at_a_million_paths(num_insiders):
    problem = KyleSequential(
        value_std=1.5, noise_std=0.8, num_insiders=num_insiders, num_auctions=20
    )
    compare(problem, gtrade.KyleSequentialMonteCarlo(num_paths=1_000_000), 6)


@pytest.mark.slow
def test_sequences_error_by_error(in_float64):
    """Their errors are honest too, and price moves are uncorrelated."""
    size = 150
    batch = gtrade.make_batch(
        KyleSequential,
        size=size,
        value_std=1.5,
        noise_std=0.8,
        num_insiders=2,
        step_lengths=STEPS,
    )
    solver = gtrade.KyleSequentialMonteCarlo(num_paths=1000)
    keys = jax.random.split(KEY, size)
    row = gtrade.verify(batch, gtrade.solve_batch(batch, solver, keys=keys))
    for name in ("price_impact", *PROFITS, "posterior_variance", "total_profit"):
        exact = np.asarray(row[name])
        score = (np.asarray(row[f"{name}_mc"]) - exact) / np.asarray(row[f"{name}_se"])
        assert ((score.std(axis=0) > 0.8) & (score.std(axis=0) < 1.25)).all(), name
        assert (np.abs(score.mean(axis=0)) < 0.35).all(), name


def test_price_moves_are_uncorrelated(in_float64):
    right = reference.sequential(1.5, 0.8, STEPS, 2)
    problem = KyleSequential(
        value_std=1.5, noise_std=0.8, num_insiders=2, step_lengths=STEPS
    )
    market = KyleAuctions(
        problem,
        jnp.asarray(right["price_impact"] * right["intensity"] * STEPS),
        jnp.asarray(np.log(right["price_impact"])),
        jnp.zeros(4),
    )
    moves = np.asarray(play(market, shocks_of(True, 40_000))["move"])
    correlation = np.corrcoef(moves) - np.eye(3)
    assert np.abs(correlation).max() < 5 / 200
    learnt = 1.5**2 - right["posterior_variance"]
    np.testing.assert_allclose(moves.cumsum(axis=0).var(axis=1), learnt, rtol=0.04)


@pytest.mark.parametrize(
    ("signals", "kind"),
    [
        ("common", "control"),
        pytest.param("common", "antithetic", marks=pytest.mark.slow),
        pytest.param("private", "control", marks=pytest.mark.slow),
        pytest.param("private", "antithetic", marks=pytest.mark.slow),
    ],
)
def test_variance_reduction_pays(signals, kind):
    problem = Kyle(**STDS, num_insiders=2, signals=signals)
    plain, reduced = (
        compare(
            problem,
            gtrade.KyleMonteCarlo(num_paths=20_000, variance_reduction=reduction),
            7,
        )
        for reduction in ("none", kind)
    )
    for name in PROFITS[:2]:
        errors = reduced[f"{name}_se"], plain[f"{name}_se"]
        assert errors[0] < 0.95 * errors[1], name
        # No bias: the distance fits the errors of both.
        gap = abs(reduced[f"{name}_mc"] - plain[f"{name}_mc"])
        assert gap < 5 * np.hypot(*errors)
    # The same shocks: what is not touched is the same.
    for name in ("price_impact", "intensity", "posterior_variance"):
        np.testing.assert_allclose(
            reduced[f"{name}_mc"], plain[f"{name}_mc"], rtol=1e-5
        )


def test_without_information_nothing_is_earned():
    problem = Kyle(value_std=2.0, noise_std=0.3, signal_noise_std=np.inf)
    solver = gtrade.KyleMonteCarlo(num_paths=100)
    found = gtrade.solve(problem, solver, key=KEY)
    row = {k: np.asarray(x) for k, x in gtrade.verify(problem, found).items()}
    for name in ("insider_profit", "deviation_profits"):
        np.testing.assert_array_equal(row[f"{name}_mc"], 0)
    assert abs(row["dealer_profit_mc"]) < 5 * row["dealer_profit_se"]
    assert np.isnan(row["price_impact_mc"])
    gap = abs(row["posterior_variance_mc"] - 4)
    assert gap < 5 * row["posterior_variance_se"]
