"""Tests of the reference costs: the numbers of arXiv 2501.01241 (C25)."""

import numpy as np
import pytest

from . import position_building as pb
from . import position_costs as pc

P = pb.conditionals(pc.PRIOR)
# Own target of every [type of firm 1, type of firm 2, firm], as in the table.
TABLE_TARGETS = np.stack(
    np.meshgrid(pc.TARGETS[:2], pc.TARGETS[2:], indexing="ij"), axis=-1
)


def example_paths(times):
    return pb.boundary_value_paths(P, pc.IMPACTS, pc.TARGETS, times)


def test_example_strategies():
    _, rates = example_paths(np.array([0.0]))
    np.testing.assert_allclose(rates[:, 0], pc.INITIAL_RATES, atol=5e-9)
    M = np.linalg.solve(2 * np.eye(4) + P, pc.IMPACTS[:, None] * P)
    spectrum = np.sort(np.linalg.eigvals(M))
    np.testing.assert_allclose(spectrum, pc.EIGENVALUES, atol=5e-6)


def test_realised_costs_of_the_table():
    def table(**rule):
        costs = pc.realised_costs((2, 2), example_paths, pc.EVALUATION_IMPACTS, **rule)
        return costs / TABLE_TARGETS[..., None]

    printed = table(rule="trapezoid", num_points=100)
    np.testing.assert_allclose(np.round(printed, 2), pc.COST_TABLE, atol=1e-9)
    error = np.max(np.abs(table() - pc.COST_TABLE))
    assert round(error, 3) == 0.026


def test_expected_costs_and_the_erratum():
    trapezoid = pc.expected_costs(P, pc.IMPACTS, example_paths, rule="trapezoid")
    np.testing.assert_allclose(
        np.round(trapezoid / pc.TARGETS, 2), pc.EXPECTED_COSTS, atol=1e-9
    )
    exact = pc.expected_costs(P, pc.IMPACTS, example_paths) / pc.TARGETS
    np.testing.assert_allclose(
        exact, [14.704983, 31.336113, 20.451519, 61.684236], 1e-7
    )
    # The misprint: columns of the prior divided by each other's sums.
    own = pc.own_costs((2, 2), pc.IMPACTS, example_paths, rule="trapezoid")[..., 1]
    own = own / pc.TARGETS[2:]
    columns = pc.PRIOR.sum(axis=0)
    correct = np.sum(pc.PRIOR / columns * own, axis=0)
    np.testing.assert_allclose(np.round(correct, 2), pc.EXPECTED_COSTS[2:], atol=1e-9)
    weights = pc.PRIOR / columns[:, None]
    np.testing.assert_allclose(
        np.round(np.sum(weights * own, axis=0), 2), pc.MISPRINTED, atol=1e-9
    )
    assert np.all(np.abs(weights.sum(axis=0) - 1) > 0.01)


@pytest.mark.parametrize("shape", [(2, 2), (3, 2), (2, 1, 3)])
def test_realised_costs_average_to_expected_costs(shape):
    rng = np.random.default_rng(7)
    prior, kappa, targets = pb.random_game(rng, shape)
    matrix = pb.conditionals(prior)
    flow = [0.5, 2.0, -1.0]
    flows = np.tile(flow, (sum(shape), 1))

    def paths(times):
        return pb.boundary_value_paths(matrix, kappa, targets, times, flows)

    for until in (0.4, 1.0):
        realised = pc.own_costs(shape, kappa, paths, flow=flow, until=until)
        weighted = prior[..., None] * realised
        axes = range(len(shape))
        averages = np.concatenate(
            [weighted[..., i].sum(axis=tuple(j for j in axes if j != i)) for i in axes]
        )
        expected = pc.expected_costs(matrix, kappa, paths, flows, until=until)
        np.testing.assert_allclose(averages, pb.marginals(prior) * expected, atol=1e-11)


def test_cumulative_costs_start_at_zero_and_add_up():
    ends = [1e-9, 0.3, 1.0]
    costs = [pc.expected_costs(P, pc.IMPACTS, example_paths, until=t) for t in ends]
    np.testing.assert_allclose(costs[0], 0, atol=1e-5)
    nodes, weights = pc.gauss_panels()
    x, dx = example_paths(0.3 + 0.7 * nodes)
    rest = ((dx + P @ dx) + pc.IMPACTS[:, None] * (x + P @ x)) * dx @ weights * 0.7
    np.testing.assert_allclose(costs[1] + rest, costs[2])


def test_non_strategic_flow_of_section_5_2():
    flows = np.zeros((4, 2))
    flows[2, 1] = 5.0
    half = np.array([0.5])
    x, _ = pb.boundary_value_paths(P, 1.0, np.ones(4), half, flows)
    np.testing.assert_allclose(x[:, 0], pc.FLOW_HALFWAY, atol=5e-7)
    x, _ = pb.boundary_value_paths(P, 1.0, np.ones(4), half)
    np.testing.assert_allclose(x[:, 0], pc.NO_FLOW_HALFWAY, atol=5e-7)


def test_three_types_of_section_5_1():
    matrix = pb.conditionals(np.full((3, 3), 1 / 9))

    def paths(times):
        return pb.boundary_value_paths(
            matrix, pc.THREE_IMPACTS, pc.THREE_TARGETS, times
        )

    gains = pc.deviation_gains(matrix, pc.THREE_IMPACTS, pc.THREE_TARGETS, paths)
    assert np.max(gains) < 1e-24
