import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, stats

from gtrade.calibration.execution_fit import (
    FilledExecution,
    PricedExecution,
    stack_parents,
)
from gtrade.calibration.execution_regressions import ExecutionRegressions
from gtrade.calibration.fitting import MaximumLikelihood
from gtrade.problems.base import make_batch
from gtrade.solution import status_names
from gtrade.solving import solve_batch
from tests.calibration.test_linear_impact import check_coverage

LANES, PARENTS, PERIODS, TAU = 6, 24, 5, 1 / 8
GAMMA, ETA, EPSILON, SIGMA, PHI = KNOWN = (1.5e-6, 2.5e-6, 0.0625, 0.95, 0.15)
JOINT = MaximumLikelihood(errors="hessian")


def orders(rng, lanes=LANES, parents=PARENTS):
    """Trade parent orders one period after the other, from the model's definition."""
    sides = rng.choice([-1, 1], size=(lanes, parents, 1))
    sizes = sides * rng.uniform(2e3, 4e4, size=(lanes, parents, PERIODS))
    price = np.full((lanes, parents), 50.0)
    before, fills, after = (np.empty_like(sizes) for _ in range(3))
    for k in range(PERIODS):
        n = sizes[..., k]
        before[..., k] = price
        noise = PHI * rng.normal(size=price.shape)
        fills[..., k] = price - EPSILON * np.sign(n) - ETA / TAU * n + noise
        move = SIGMA * np.sqrt(TAU) * rng.normal(size=price.shape)
        price = price + move - GAMMA * n
        after[..., k] = price
    return {"sizes": sizes, "fills": fills, "before": before, "after": after}


def priced(seen, **changes):
    flat = {k: x.reshape(len(x), -1) for k, x in seen.items()}
    numbers = {
        "sizes": flat["sizes"],
        "fills": flat["fills"],
        "prices_before": flat["before"],
        "prices_after": flat["after"],
        "intervals": np.full_like(flat["sizes"], TAU),
        "noise_scales": np.ones_like(flat["sizes"]),
        "weights": np.ones_like(flat["sizes"]),
    }
    return make_batch(PricedExecution, **(numbers | changes))


def filled(seen, **changes):
    shape = seen["sizes"].shape
    numbers = {
        "sizes": seen["sizes"],
        "fills": seen["fills"],
        "arrival_prices": seen["before"][..., 0],
        "intervals": np.full(shape, TAU),
        "noise_scales": np.ones(shape[:2]),
        "weights": np.ones(shape[:2]),
    }
    return make_batch(FilledExecution, **(numbers | changes))


def test_regressions_are_those_of_textbooks(in_float64):
    seen = orders(np.random.default_rng(1))
    scales = np.random.default_rng(2).uniform(0.5, 2, size=(LANES, PARENTS * PERIODS))
    solution = solve_batch(
        priced(seen, noise_scales=scales), ExecutionRegressions(errors="classical")
    )
    assert (status_names(solution.status) == "converged").all()
    fit = solution.value
    for lane in range(LANES):
        n, fill, before, after = (
            seen[k][lane].ravel() for k in ("sizes", "fills", "before", "after")
        )
        s, root = scales[lane], scales[lane] * np.sqrt(TAU)
        gamma, left, _, _ = np.linalg.lstsq(
            (n / root)[:, None], (before - after) / root, rcond=None
        )
        x = np.column_stack([n / TAU, np.sign(n)]) / s[:, None]
        slopes, rest, _, _ = np.linalg.lstsq(x, (before - fill) / s, rcond=None)
        sigma = np.sqrt(left[0] / (len(n) - 1))
        phi = np.sqrt(rest[0] / (len(n) - 2))
        np.testing.assert_allclose(
            fit.values[lane], [*gamma, *slopes, sigma, phi], rtol=1e-9
        )
        errors = [
            sigma / np.sqrt(((n / root) ** 2).sum()),
            *(phi * np.sqrt(np.diag(np.linalg.inv(x.T @ x)))),
            sigma / np.sqrt(2 * (len(n) - 1)),
            phi / np.sqrt(2 * (len(n) - 2)),
        ]
        np.testing.assert_allclose(fit.standard_error[lane], errors, rtol=1e-9)


@pytest.mark.slow
def test_the_joint_likelihood_falls_into_regressions(in_float64):
    problems = priced(orders(np.random.default_rng(3)))
    joint = solve_batch(problems, JOINT)
    assert (status_names(joint.status) == "converged").all()
    apart = solve_batch(problems, ExecutionRegressions(errors="classical")).value
    np.testing.assert_allclose(
        joint.value.values[:, :3], apart.values[:, :3], rtol=1e-7
    )
    count = PARENTS * PERIODS
    freedom = np.sqrt(1 - np.array([1, 2]) / count)
    np.testing.assert_allclose(
        joint.value.values[:, 3:], np.array(apart.values[:, 3:]) * freedom, rtol=1e-7
    )
    np.testing.assert_allclose(
        joint.value.standard_error[:, 0],
        apart.standard_error[:, 0] * freedom[0],
        rtol=1e-6,
    )
    # The regressions' numbers are as likely as the optimum, but for those freedoms.
    assert (joint.value.log_likelihood >= apart.log_likelihood).all()
    assert (joint.value.log_likelihood < apart.log_likelihood + 0.1).all()


def dense_log_likelihood(values, sizes, fills, arrival, intervals, scale):
    """Return a parent's log-likelihood from the covariance of all its fills."""
    gamma, eta, epsilon, sigma, phi = values
    count = len(sizes)
    starts = np.concatenate([[0.0], np.cumsum(intervals)[:-1]])
    covariance = sigma**2 * np.minimum(starts[:, None], starts) + phi**2 * np.eye(count)
    sold = np.cumsum(sizes) - sizes
    mean = arrival - gamma * sold - epsilon * np.sign(sizes) - eta * sizes / intervals
    kept = sizes != 0
    return stats.multivariate_normal.logpdf(
        fills[kept], mean[kept], scale**2 * covariance[np.ix_(kept, kept)]
    )


def test_the_filter_is_the_likelihood_of_all_fills(in_float64):
    rng = np.random.default_rng(4)
    seen = {k: x[0] for k, x in orders(rng, 1, 4).items()}
    sizes = seen["sizes"].copy()
    sizes[1, 2] = sizes[2, 0] = sizes[3, 4] = 0.0
    intervals = rng.uniform(0.05, 0.3, size=sizes.shape)
    scales = rng.uniform(0.5, 2, size=4)
    arrival = seen["before"][:, 0]
    fills = np.where(sizes == 0, 1e3, seen["fills"])
    problem = FilledExecution(sizes, fills, arrival, intervals, scales, np.ones(4))
    each = jax.jit(lambda x: problem.log_likelihoods(x))(jnp.asarray(KNOWN))
    for parent in range(4):
        expected = dense_log_likelihood(
            KNOWN,
            sizes[parent],
            fills[parent],
            arrival[parent],
            intervals[parent],
            scales[parent],
        )
        np.testing.assert_allclose(each[parent], expected, rtol=1e-11)


@pytest.fixture(scope="module")
def fitted():
    """Fit fills alone, all lanes at once."""
    with jax.enable_x64(True):
        seen = orders(np.random.default_rng(5))
        return seen, solve_batch(filled(seen), JOINT)


@pytest.mark.slow
def test_fills_alone_find_what_an_optimiser_finds(in_float64, fitted):
    seen, solution = fitted
    assert (status_names(solution.status) == "converged").all()
    units = np.array([1e-6, 1e-6, 1e-2, 1.0, 1e-2])

    def loss(free):
        noises = np.exp(np.clip(free[3:], -3, 4))
        values = np.array([*free[:3], *noises]) * units
        return -sum(
            dense_log_likelihood(values, n, f, b[0], np.full(PERIODS, TAU), 1.0)
            for n, f, b in zip(
                *(seen[k][0] for k in ("sizes", "fills", "before")), strict=True
            )
        )

    best = optimize.minimize(loss, [1, 1, 1, 0, 2.0], method="BFGS")
    found = np.array(solution.value.values[0])
    expected = np.array([*best.x[:3], *np.exp(best.x[3:])]) * units
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(solution.value.log_likelihood[0], -best.fun, rtol=1e-9)
    errors = np.abs(np.array(solution.value.values) - KNOWN)
    assert (errors < 4.5 * np.array(solution.value.standard_error)).all()


@pytest.mark.slow
def test_batch_is_single_and_scaling_follows_units(in_float64, fitted):
    seen, solution = fitted
    twice = {k: x.copy() for k, x in seen.items()}
    price, shares, time = 3.0, 100.0, 5.0
    for k in ("fills", "before", "after"):
        twice[k][1] *= price
    twice["sizes"][1] *= shares
    intervals = np.full(seen["sizes"].shape, TAU)
    intervals[1] *= time
    weights = np.ones(seen["sizes"].shape[:2])
    weights[2, 20:] = 0
    twice["fills"][2, 20:] = 7.0
    others = solve_batch(filled(twice, intervals=intervals, weights=weights), JOINT)
    values = np.array(others.value.values)
    np.testing.assert_allclose(values[0], solution.value.values[0], rtol=1e-10)
    factors = [
        price / shares,
        price * time / shares,
        price,
        price / np.sqrt(time),
        price,
    ]
    for name in ("values", "standard_error"):
        np.testing.assert_allclose(
            getattr(others.value, name)[1],
            np.array(getattr(solution.value, name)[1]) * factors,
            rtol=1e-5,
        )
    assert others.value.num_dropped[2] == PARENTS - 20
    expected = sum(
        dense_log_likelihood(values[2], n, f, b[0], np.full(PERIODS, TAU), 1.0)
        for n, f, b in zip(
            *(seen[k][2, :20] for k in ("sizes", "fills", "before")), strict=True
        )
    )
    np.testing.assert_allclose(others.value.log_likelihood[2], expected, rtol=1e-9)


def damaged(seen):
    """Return copies of orders with four lanes spoilt."""
    seen = {k: x.copy() for k, x in seen.items()}
    seen["sizes"][1] = 0  # no trade
    for k in ("fills", "before", "after"):
        seen[k][2] = 50.0  # a price that stands still
    seen["sizes"][3] = 2e4  # sales of one size
    seen["sizes"][4] = np.abs(seen["sizes"][4])  # sales of many
    return seen


def test_degenerate_orders_have_a_status_and_stay_alone(in_float64):
    whole = orders(np.random.default_rng(5))
    expected = solve_batch(priced(whole), ExecutionRegressions()).value.values[0]
    seen = damaged(whole)
    weights = np.ones((LANES, PARENTS * PERIODS))
    weights[5, 1:] = 0  # one trade
    solution = solve_batch(priced(seen, weights=weights), ExecutionRegressions())
    assert status_names(solution.status).tolist() == [
        "converged",
        "invalid_input",
        "invalid_input",
        "degenerate",
        "converged",
        "invalid_input",
    ]
    fit = solution.value
    np.testing.assert_array_equal(fit.values[0], expected)
    assert np.isnan(fit.values[np.array([1, 2, 5])]).all()
    # What is open is which of the two a shortfall comes from.
    assert fit.is_identified[3].tolist() == [True, False, False, True, True]
    assert np.isnan(fit.standard_error[3]).tolist() == [False, True, True, False, False]


@pytest.mark.slow
def test_degenerate_parents_have_a_status_and_stay_alone(in_float64, fitted):
    seen = damaged(fitted[0])
    counts = np.ones((LANES, PARENTS))
    counts[5, 1:] = 0
    alone = solve_batch(filled(seen, weights=counts), JOINT)
    names = status_names(alone.status)
    assert names[[1, 2, 5]].tolist() == ["invalid_input"] * 3
    assert names[3] == "degenerate"
    np.testing.assert_allclose(
        alone.value.values[0], fitted[1].value.values[0], rtol=1e-10
    )


def test_gradients_are_those_of_differences(in_float64):
    seen = orders(np.random.default_rng(5), 1)
    problem = jax.tree.map(lambda x: x[0], filled(seen))

    def total(values):
        return problem.log_likelihoods(values).sum()

    point = 1.1 * jnp.asarray(KNOWN)
    slopes = jax.jit(jax.grad(total))(point)
    value = jax.jit(total)
    for i in range(5):
        step = 1e-5 * np.array(point[i]) * np.eye(5)[i]
        change = (value(point + step) - value(point - step)) / (2 * step[i])
        np.testing.assert_allclose(slopes[i], change, rtol=1e-6)


def test_rows_become_parents():
    table = stack_parents(
        ["b", "a", "b", "c", "b"],
        sizes=[1.0, 2.0, 3.0, 4.0, 5.0],
        intervals=[0.5, 0.5, 0.5, 0.5, 0.5],
    )
    assert table["parents"].tolist() == ["b", "a", "c"]
    assert table["sizes"].tolist() == [[1, 3, 5], [2, 0, 0], [4, 0, 0]]
    assert table["intervals"].tolist() == [[0.5, 0.5, 0.5], [0.5, 1, 1], [0.5, 1, 1]]
    with pytest.raises(ValueError, match="sizes must have shape"):
        stack_parents(["a", "b"], sizes=[1.0])


def test_inadmissible_numbers_are_named():
    seen = orders(np.random.default_rng(6), 1)
    with pytest.raises(ValueError, match="intervals must be greater than 0"):
        priced(seen, intervals=np.zeros((1, PARENTS * PERIODS)))
    with pytest.raises(ValueError, match="errors must be 'classical' or 'robust'"):
        ExecutionRegressions(errors="bootstrap")


@pytest.mark.slow
def test_intervals_cover_as_often_as_they_say(in_float64):
    seen = orders(np.random.default_rng(7), 1000, 40)
    apart = solve_batch(priced(seen), ExecutionRegressions()).value
    check_coverage(apart, KNOWN)
    solution = solve_batch(filled(seen), JOINT)
    assert (status_names(solution.status) == "converged").all()
    check_coverage(solution.value, KNOWN)
