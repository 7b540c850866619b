"""Auctions in sequence against the recursion in extended precision, and its facts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade import solving
from gtrade.problems.base import replace_fields
from gtrade.problems.kyle import Kyle, KyleSequential
from gtrade.problems.kyle_limit import continuous_limit
from gtrade.solution import status_names
from tests.references import kyle as reference
from tests.references.test_kyle_reference import TOTALS

SOLVER = gtrade.KyleSequentialClosedForm()


def answer(**numbers):
    """Return numbers by auction, in NumPy, with q and the noise losses in all."""
    problem = KyleSequential(**numbers)
    solution = gtrade.solve(problem, SOLVER)
    assert str(status_names(solution.status)) == "converged"
    wide = problem.value_std.dtype == np.float64
    assert 0 <= solution.residual < (1e-10 if wide else 1e-4)
    value = jax.tree.map(lambda x: np.asarray(x).astype(float), solution.value)
    steps = np.asarray(problem.durations).astype(float)
    impact = np.exp(value.log_price_impact)
    return {
        "price_impact": impact,
        "intensity": np.exp(value.log_intensity),
        "posterior_variance": np.exp(value.log_variance),
        "q": value.value_slopes,
        "total_profit": (impact * float(problem.noise_std) ** 2 * steps).sum(),
        "steps": steps,
        "log": value,
        "problem": problem,
        "solution": solution,
    }


def equal(num_auctions, num_insiders=1, **numbers):
    base = {"value_std": 1.0, "noise_std": 1.0}
    return answer(
        **{**base, **numbers}, num_insiders=num_insiders, num_auctions=num_auctions
    )


def draws(seed, number, size, spread):
    """Draw markets with M up to 1000 and ratios of steps up to 10^(2 spread)."""
    rng = np.random.default_rng(seed)
    for i in range(number):
        value_std, noise_std = 10 ** rng.uniform(-3, 3, 2)
        count = [1, 2, 7, 50, 1000][i % 5]
        yield value_std, noise_std, count, 10 ** rng.uniform(-spread, spread, size)


@pytest.mark.parametrize("spread", [0.3, 3.0])
def test_agrees_with_the_reference(x64, spread):
    rtol = 1e-10 if x64 else 1e-4
    for value_std, noise_std, count, steps in draws(2, 15, 5, spread):
        steps = np.asarray(steps, np.float64 if x64 else np.float32)
        found = answer(
            value_std=value_std,
            noise_std=noise_std,
            num_insiders=count,
            step_lengths=steps,
        )
        wanted = reference.sequential(value_std, noise_std, steps, count)
        for name in ("price_impact", "intensity", "posterior_variance"):
            np.testing.assert_allclose(found[name], wanted[name], rtol=rtol)
        q = wanted["alpha"][1:] * wanted["price_impact"]
        np.testing.assert_allclose(found["q"], q, rtol=rtol)
        total = wanted["total_profit"]
        np.testing.assert_allclose(found["total_profit"], total, rtol=rtol)


@pytest.mark.parametrize("ratio", [1e-6, 1e6])
@pytest.mark.parametrize("count", [1, 1000])
def test_steps_that_shrink_or_grow_a_millionfold(x64, ratio, count):
    """Once, and there and back; the neighbours' equation has to hold at both ends."""
    for steps in ([1.0, ratio, 1.0, ratio, 1.0], [1.0, 1.0, ratio, ratio, ratio]):
        found = answer(
            value_std=2.0, noise_std=0.3, num_insiders=count, step_lengths=steps
        )
        wanted = reference.sequential(2.0, 0.3, steps, count)
        for name in ("price_impact", "intensity", "posterior_variance"):
            np.testing.assert_allclose(
                found[name], wanted[name], rtol=1e-10 if x64 else 1e-4
            )
        assert (found["q"] >= 0).all()
        assert (found["q"] < 0.5 + 1e-7).all()


def residuals(found, value_std, noise_std, count):
    """Return by how much the five recursions fail, relative; from the answer alone."""
    impact, beta, steps = found["price_impact"], found["intensity"], found["steps"]
    variance, q, su2 = found["posterior_variance"], found["q"], noise_std**2
    alpha = q / impact
    d = 1 + count * (1 - 2 * alpha * impact)
    before = np.concatenate([[value_std**2], variance[:-1]])
    first = beta * steps / ((1 - 2 * alpha * impact) / (impact * d)) - 1
    second = impact / (count * beta * variance / su2) - 1
    third = before / (variance / (1 - count * beta * steps * impact)) - 1
    fourth = alpha[:-1] / ((1 - alpha * impact) / (impact * d**2))[1:] - 1
    # What trading on is worth: noise losses in all, less what is left of the value.
    delta = np.cumsum((alpha * impact**2 * su2 * steps)[::-1])[-1]
    start = (1 - alpha[0] * impact[0]) / (impact[0] * d[0] ** 2)
    profit = start * value_std**2 + delta
    fifth = count * profit / found["total_profit"] - 1
    assert (impact * (1 - alpha * impact) > 0).all()
    return np.concatenate([first, second, third, fourth, [alpha[-1], fifth]])


@pytest.mark.parametrize("count", [1, 2, 20, 300])
def test_the_five_recursions_hold(in_float64, count):
    for value_std, noise_std, _, steps in draws(3, 3, 5, 2.0):
        found = answer(
            value_std=value_std,
            noise_std=noise_std,
            num_insiders=count,
            step_lengths=steps,
        )
        worst = np.abs(residuals(found, value_std, noise_std, count)).max()
        assert worst < 1e-10


def test_the_five_recursions_hold_over_many_auctions(in_float64):
    found = equal(1000)
    assert np.abs(residuals(found, 1.0, 1.0, 1)).max() < 1e-10
    found = equal(200, 5)
    assert np.abs(residuals(found, 1.0, 1.0, 5)).max() < 1e-10


@pytest.mark.parametrize("count", sorted(TOTALS))
def test_published_totals(x64, count):
    digits = 5.01e-11 if count == 1 else 5.01e-7
    for number, total in TOTALS[count].items():
        if number in (20, 100, 500) or (number in (10, 50) and not x64):
            continue  # shapes to compile; those of 20 to 500 are among the slow tests
        found = equal(number, count)["total_profit"]
        assert abs(found - total) < max(digits, 0 if x64 else 1e-4 * total)


@pytest.mark.slow
def test_published_totals_of_other_shapes(in_float64):
    for number in (20, 100, 500):
        assert abs(equal(number)["total_profit"] - TOTALS[1][number]) < 5.01e-11
    for count in (2, 3):
        assert abs(equal(20, count)["total_profit"] - TOTALS[count][20]) < 5.01e-7


def test_two_auctions_in_closed_form(x64):
    k = (1 + 2 * np.sqrt(7) * np.cos((np.pi - np.arctan(3 * np.sqrt(3))) / 3)) / 6
    found = answer(value_std=1.0, noise_std=1.0, step_lengths=[1.0, 1.0])
    rtol = 1e-10 if x64 else 1e-4
    first, second = found["price_impact"]
    left = found["posterior_variance"][0]
    np.testing.assert_allclose(k, 0.9009688679, rtol=1e-10)
    np.testing.assert_allclose(first, 0.4616576160, rtol=rtol)
    np.testing.assert_allclose(first, np.sqrt(2 * k * (2 * k - 1)) / (4 * k - 1), rtol)
    np.testing.assert_allclose(left, 0.6920214716, rtol=rtol)
    np.testing.assert_allclose(left, 2 * k / (4 * k - 1), rtol=rtol)
    np.testing.assert_allclose(second, 0.5 * np.sqrt(left), rtol=rtol)


@pytest.mark.parametrize("count", [1, 2, 40])
def test_one_auction_is_the_single_auction(x64, count):
    numbers = {"value_std": 0.3, "noise_std": 20.0, "num_insiders": count}
    found = answer(**numbers, num_auctions=1)
    one = gtrade.solve(Kyle(**numbers), gtrade.KyleClosedForm()).value
    rtol = 1e-12 if x64 else 2e-6
    np.testing.assert_allclose(found["price_impact"], one.price_impact, rtol=rtol)
    np.testing.assert_allclose(found["intensity"], one.intensity, rtol=rtol)
    left = 0.09 / (count + 1)
    np.testing.assert_allclose(found["posterior_variance"], left, rtol=rtol)
    assert found["q"] == 0


def test_one_insider_and_equal_steps(in_float64):
    q = equal(50)["q"]
    now, after = q[:-1], q[1:]
    left = 8 * now**2 * (1 - now) * (1 - 2 * after)
    np.testing.assert_allclose(left, 1 - 2 * now, rtol=1e-11)


@pytest.mark.parametrize(
    ("count", "number"),
    [(1, 1000), pytest.param(5, 200, marks=pytest.mark.slow), (20, 400)],
)
def test_many_auctions_stay_in_range(x64, count, number):
    """The variance left goes down to e^-1210 with twenty insiders."""
    found = equal(number, count)
    for name in ("price_impact", "intensity", "posterior_variance", "q"):
        assert np.isfinite(found[name]).all() or name == "intensity", name
        assert not np.isnan(found[name]).any(), name
    logs = found["log"]
    for leaf in jax.tree.leaves(logs):
        assert np.isfinite(leaf).all()
    assert (np.diff(logs.log_variance) < 0).all()
    wanted = reference.sequential(1.0, 1.0, np.full(number, 1 / number), count)
    rtol = 1e-10 if x64 else 1e-4
    seen = wanted["posterior_variance"] > 1e-290
    for name in ("price_impact", "intensity", "posterior_variance"):
        np.testing.assert_allclose(
            found[name][seen],
            wanted[name][seen],
            rtol=rtol * (10 if number > 1e9 else 1),
        )
    np.testing.assert_allclose(found["total_profit"], wanted["total_profit"], rtol=rtol)
    if not x64 and count < 20:
        return  # the shapes' float64 programs tell the same
    columns = gtrade.verify(found["problem"], found["solution"])
    for name, column in columns.items():
        assert not np.isnan(np.asarray(column)).any(), name
    np.testing.assert_allclose(
        columns["total_profit"], wanted["total_profit"], rtol=rtol
    )
    if x64:
        assert columns["foc_residual"] < 1e-10
        assert columns["pricing_residual"] < 1e-10


def test_convergence_to_continuous_time(in_float64):
    """Errors shrink about as the number of auctions grows."""
    totals, impacts, lefts = [], [], []
    sizes = (50, 200, 1000)
    times = [np.cumsum(np.full(n, 1 / n)).clip(0, 1) for n in sizes]
    limit = continuous_limit(value_std=1.0, noise_std=1.0, times=np.concatenate(times))
    ends = np.cumsum(sizes)[:-1]
    variances = np.split(np.asarray(limit.posterior_variance), ends)
    intensities = np.split(np.asarray(limit.intensity), ends)
    for number, time, variance, intensity in zip(
        sizes, times, variances, intensities, strict=True
    ):
        found = equal(number)
        totals.append(float(limit.total_profit) - found["total_profit"])
        early = time < 0.8
        impact = np.abs(found["price_impact"] - np.asarray(limit.price_impact))[early]
        impacts.append(impact.max())
        lefts.append(np.abs(found["posterior_variance"] - variance).max())
        beta = found["intensity"][early] / intensity[early]
        np.testing.assert_allclose(beta, 1, atol=30 / number)
    for errors in (totals, impacts, lefts):
        assert errors[0] > 2 * errors[1] > 4 * errors[2] > 0
    assert totals[-1] == pytest.approx(1 - 0.9959263079, abs=1e-9)
    assert impacts[-1] < 0.01
    assert lefts[-1] < 5e-3


def test_totals_over_auctions(in_float64):
    """With M = 1 they rise; up to 6 they rise and then fall; from 7 on they fall."""
    sizes = (1, 2, 4, 10, 50)
    for count in (1, 2, 3, 6, 7, 20):
        totals = [equal(n, count)["total_profit"] for n in sizes]
        change = np.diff(totals)
        if count == 1:
            assert (change > 0).all()
        elif count <= 6:
            assert change[0] > 0 > change[-1]
            assert (np.diff(np.sign(change)) <= 0).all()
        else:
            assert (change < 0).all()
    # More rivals reveal more, and earn less together.
    rivals = [equal(10, count) for count in (1, 2, 5, 30)]
    assert (np.diff([x["total_profit"] for x in rivals]) < 0).all()
    assert (np.diff([x["posterior_variance"] for x in rivals], axis=0) < 0).all()


@pytest.mark.parametrize("factor", [1e-4, 7.0])
def test_rescaling(x64, factor):
    rtol = 1e-12 if x64 else 2e-5
    steps = np.array([0.4, 0.1, 2.0, 0.5, 1.0])
    base = {"value_std": 1.3, "noise_std": 0.6, "num_insiders": 3}
    one = answer(**base, step_lengths=steps)
    # Noise variance times c scales the impact by 1 / sqrt(c).
    noisy = answer(**base | {"noise_std": 0.6 * factor**0.5}, step_lengths=steps)
    np.testing.assert_allclose(
        noisy["price_impact"] * factor**0.5, one["price_impact"], rtol=rtol
    )
    np.testing.assert_allclose(
        noisy["posterior_variance"], one["posterior_variance"], rtol=rtol
    )
    # Time in other units: the same shares of noise.
    slow = answer(
        **base | {"noise_std": 0.6 / factor**0.5}, step_lengths=factor * steps
    )
    np.testing.assert_allclose(slow["price_impact"], one["price_impact"], rtol=rtol)
    np.testing.assert_allclose(slow["intensity"] * factor, one["intensity"], rtol=rtol)
    np.testing.assert_allclose(slow["q"], one["q"], rtol=rtol)
    dear = answer(**base | {"value_std": 1.3 * factor}, step_lengths=steps)
    np.testing.assert_allclose(
        dear["price_impact"], factor * one["price_impact"], rtol=rtol
    )
    np.testing.assert_allclose(
        dear["total_profit"], factor * one["total_profit"], rtol=rtol
    )


def test_equal_steps_given_or_counted(x64):
    found = equal(2, 3)
    given = answer(value_std=1.0, noise_std=1.0, num_insiders=3, step_lengths=[0.5] * 2)
    for name in ("price_impact", "intensity", "posterior_variance"):
        np.testing.assert_allclose(
            found[name], given[name], rtol=1e-12 if x64 else 1e-6
        )


def certain_but_one(num_auctions):
    return gtrade.make_batch(
        KyleSequential,
        value_std=np.array([0.0, 1.0, 0.0]),
        noise_std=np.array([0.0, 1.0, 2.0]),
        num_auctions=num_auctions,
    )


def test_certain_values():
    """Also without noise; neighbours are unharmed."""
    batch = certain_but_one(4)
    solution = gtrade.solve_batch(batch, SOLVER)
    names = status_names(solution.status).tolist()
    assert names == ["degenerate", "converged", "degenerate"]
    columns = gtrade.verify(batch, solution)
    for name, column in columns.items():
        column = np.asarray(column)
        assert not np.isnan(column).any(), name
        assert (column[[0, 2]] == (1.0 if name == "second_order" else 0.0)).all(), name
    np.testing.assert_allclose(
        np.asarray(columns["total_profit"])[1],
        TOTALS[1][4],
        rtol=1e-5,
    )


def test_simulations_beside_certain_values_stay_in_range():
    """Whoever the neighbours are, and in one program for all of them."""
    batch, counts = certain_but_one(400), []
    for count in (1, 2, 20):
        batch = replace_fields(batch, num_insiders=np.full(3, count, np.int32))
        for num_paths in (10, 2000):
            solver = gtrade.KyleSequentialMonteCarlo(num_paths=num_paths)
            keys = jax.random.split(jax.random.key(1), 3)
            played = gtrade.solve_batch(batch, solver, keys=keys)
            counts.append(solving._program_of(solver, batch).num_compilations)
            names = status_names(played.status).tolist()
            assert names == ["degenerate", "completed", "degenerate"]
            assert np.asarray(played.num_steps)[1] == num_paths
            value = jax.tree.map(np.asarray, played.value)
            for name, mean in value.mean.items():
                still = np.nan if name == "price_impact" else 0.0
                np.testing.assert_array_equal(
                    mean[[0, 2]], np.full_like(mean[:2], still)
                )
                assert np.isfinite(mean[1]).all()
                assert np.isfinite(value.standard_error[name][1]).all()
    assert min(counts) == max(counts)
    gap = np.abs(value.mean["price_impact"] - np.exp(value.answer.log_price_impact))[1]
    least = np.finfo(np.float32).tiny  # what is smaller is zero in a compiled program
    assert (gap <= 5 * value.standard_error["price_impact"][1] + least).all()


def test_a_batch_is_its_markets(in_float64):
    rng = np.random.default_rng(5)
    columns = {
        "value_std": 10 ** rng.uniform(-2, 2, 9),
        "noise_std": 10 ** rng.uniform(-2, 2, 9),
        "num_insiders": rng.integers(1, 50, 9),
        "step_lengths": 10 ** rng.uniform(-1, 1, (9, 5)),
    }
    batch = gtrade.make_batch(KyleSequential, **columns)
    many = gtrade.solve_batch(batch, SOLVER)
    shared = gtrade.make_batch(
        KyleSequential, **columns | {"step_lengths": columns["step_lengths"][0]}
    )
    alike = gtrade.solve_batch(shared, SOLVER)
    rtol = 1e-12
    for i in (0, 4, 8):
        problem = KyleSequential(**{name: x[i] for name, x in columns.items()})
        leaves = map(jax.tree.leaves, (many.value, gtrade.solve(problem, SOLVER).value))
        for x, y in zip(*leaves, strict=True):
            np.testing.assert_allclose(np.asarray(x)[i], y, rtol=rtol, atol=rtol)
    x, y = (np.asarray(s.value.log_price_impact)[0] for s in (many, alike))
    np.testing.assert_allclose(x, y, rtol=rtol, atol=rtol)


@pytest.mark.slow
def test_op_by_op_it_is_the_same(in_float64):
    problem = KyleSequential(
        value_std=1.3, noise_std=0.6, num_insiders=3, step_lengths=[0.4, 0.1, 2.0]
    )
    solved = gtrade.solve(problem, SOLVER), SOLVER.solve(problem)
    leaves = (jax.tree.leaves(solution.value) for solution in solved)
    for x, y in zip(*leaves, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12)


def test_a_hundred_thousand_games_in_one_call():
    rng = np.random.default_rng(6)
    size = 100_000
    columns = {
        "value_std": 10 ** rng.uniform(-2, 2, size),
        "noise_std": 10 ** rng.uniform(-2, 2, size),
        "num_insiders": rng.integers(1, 100, size),
    }
    batch = gtrade.make_batch(KyleSequential, **columns, num_auctions=10)
    solution = gtrade.solve_batch(batch, SOLVER)
    assert (status_names(solution.status) == "converged").all()
    assert solution.residual.max() < 1e-4
    for i in (0, 77_777, size - 1):
        one = {name: x[i] for name, x in columns.items()}
        wanted = reference.sequential(
            one["value_std"], one["noise_std"], np.full(10, 0.1), one["num_insiders"]
        )
        found = np.exp(np.asarray(solution.value.log_price_impact[i], float))
        np.testing.assert_allclose(found, wanted["price_impact"], rtol=1e-4)


def quantities(numbers, count):
    problem = KyleSequential(
        value_std=numbers[0],
        noise_std=numbers[1],
        num_insiders=count,
        step_lengths=numbers[2:],
    )
    return jnp.stack(jax.tree.leaves(SOLVER.solve(problem).value))


@pytest.mark.parametrize("count", [1, 30])
@pytest.mark.parametrize(
    "steps", [[0.4, 0.1, 2.0, 0.5], [1.0, 1e-3, 1e3, 1.0]], ids=["even", "wild"]
)
def test_gradients(in_float64, count, steps):
    at = jnp.array([1.3, 0.6, *steps])
    found = gradients(at, count)
    for reverse in found:
        assert np.isfinite(reverse).all()
    np.testing.assert_allclose(found[0], found[1], rtol=1e-9, atol=1e-11)
    at = np.asarray(at)
    for i, x in enumerate(at):
        move = 1e-5 * x * np.eye(len(at))[i]
        rise = values(at + move, count) - values(at - move, count)
        wanted = np.asarray(rise) / (2e-5 * float(x))
        slope = np.asarray(found[0])[..., i]
        scale = 1 / float(x)
        np.testing.assert_allclose(slope, wanted, rtol=1e-5, atol=1e-7 * scale)


@jax.jit
def gradients(at, count):
    run = jax.jacrev(quantities)(at, count), jax.jacfwd(quantities)(at, count)
    return run


values = jax.jit(quantities)


def test_gradients_next_to_markets_without_answer(in_float64):
    def first(numbers):
        def impact(row):
            return quantities(row, 2)[0, 0]

        return jax.vmap(impact)(numbers)[0]

    good = [1.3, 0.6, 0.4, 0.1, 2.0, 0.5]
    run = jax.jit(jax.grad(first))
    alone = np.asarray(run(np.array([good, good])))
    for bad in ([0.0, 0.6, 1, 1, 1, 1], [-1.0, 0.6, 1, 1, 1, 1], [1, 1, 0, 1, 1, 1]):
        slopes = np.asarray(run(np.array([good, bad], float)))
        assert np.isfinite(slopes[0]).all()
        np.testing.assert_allclose(slopes[0], alone[0], rtol=1e-12)


def test_second_derivatives(in_float64):
    """Price impacts are of degree 1 in the value's and -1 in the noise's spread."""
    at = np.array([1.3, 0.6, 0.4, 0.1, 2.0, 0.5])

    def impact(numbers):
        return jnp.exp(quantities(numbers, 2)[0, 0])

    @jax.jit
    def derivatives(at):
        slope, push = jax.linearize(jax.grad(impact), at)
        return slope, jax.vmap(push)(jnp.eye(len(at)))

    def slope(at):
        return np.asarray(derivatives(at)[0])

    found = np.asarray(derivatives(at)[1])
    for i, x in enumerate(at):
        move = 1e-5 * x * np.eye(len(at))[i]
        wanted = (slope(at + move) - slope(at - move)) / (2e-5 * x)
        np.testing.assert_allclose(found[i], wanted, rtol=1e-5, atol=1e-7)
