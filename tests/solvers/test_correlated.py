import dataclasses

import jax
import numpy as np
import pytest

import gtrade
from gtrade import catalog
from gtrade.catalog.base import Column, Evidence, Parameter, SolverEntry
from gtrade.problems.bimatrix import BimatrixGame
from gtrade.solution import Status
from gtrade.solvers import correlated_programs
from gtrade.solvers.correlated import CorrelatedLP
from gtrade.sweeps.complaints import SpecError
from gtrade.sweeps.run import run_spec
from gtrade.sweeps.spec import resolve_spec
from tests.references.cost_tables import (
    all_equilibria,
    correlated_extremes,
    zero_sum_value,
)
from tests.references.equilibria import cost_tables

CONCEPTS = ("cce", "ce")
# A box of several tests: a game's costs are compiled for its sizes.
BOX = {"low": -1, "high": 2}


def trading_game(kappa=1.0, targets=(4, 4), horizon=3, low=-4, high=4, **general):
    return gtrade.TradingGame(
        horizon=horizon,
        targets=targets,
        min_trade=low,
        max_trade=high,
        permanent_impact=kappa,
        **general,
    )


def welfare(solution, costs):
    """Expected total costs of the two answers, for tables of the game's own size."""
    total = np.sum(costs, axis=0)
    corner = tuple(slice(size) for size in total.shape)
    value = solution.value
    return [(np.asarray(x)[corner] * total).sum() for x in (value.best, value.worst)]


def check_extremes(solution, costs, concept):
    assert solution.status == Status.converged
    assert solution.residual <= 1e-9
    expected = correlated_extremes(costs, concept)
    scale = max(np.ptp(x) for x in costs)
    np.testing.assert_allclose(welfare(solution, costs), expected, atol=1e-8 * scale)
    for joint in (solution.value.best, solution.value.worst):
        assert np.min(joint) >= 0
        np.testing.assert_allclose(np.sum(joint), 1, atol=1e-12)


@pytest.mark.parametrize("concept", CONCEPTS)
@pytest.mark.parametrize("kappa", [0, 1, 2, 3])
def test_whole_program_by_another_route(in_float64, concept, kappa):
    solution = gtrade.solve(trading_game(kappa), CorrelatedLP(concept=concept))
    _, costs = cost_tables(kappa, (4, 4), 3, -4, 4)
    check_extremes(solution, costs, concept)
    assert solution.value.num_actions.tolist() == [45, 45]
    if kappa == 2:  # constant sum
        np.testing.assert_allclose(welfare(solution, costs), 64, rtol=1e-12)


@pytest.mark.parametrize("concept", CONCEPTS)
@pytest.mark.parametrize(
    ("targets", "box", "general"),
    [
        ((3, -2), (-2, 3), {}),
        ((2, 1, -1), (-1, 2), {}),
        ((3, 2), ((-1, 0, 0), (2, 3, 1)), {"temporary_exponent": 0.5}),
        ((2, 2), (-1, 2), {"temporary_exponent": 2.0, "fixed_fee": 1.5}),
        ((4,), (-1, 3), {}),
        ((3, 0), (0, 1), {}),  # one schedule each
    ],
)
def test_other_games_by_another_route(in_float64, concept, targets, box, general):
    low, high = box
    game = trading_game(2.6, targets, low=low, high=high, **general)
    schedules, costs = cost_tables(2.6, targets, 3, low, high, **general)
    solution = gtrade.solve(game, CorrelatedLP(concept=concept))
    check_extremes(solution, costs, concept)
    sizes = [len(x) for x in schedules]
    assert solution.value.best.shape == tuple(sizes)
    assert solution.value.num_actions.tolist() == sizes
    for player, listed in enumerate(schedules):
        found = solution.value.schedules[player]
        np.testing.assert_array_equal(found[: len(listed)], listed)
        assert (np.asarray(found[len(listed) :]) == 0).all()


@pytest.mark.parametrize("concept", CONCEPTS)
def test_random_games_by_another_route(in_float64, concept):
    generator = np.random.default_rng(5)
    for shape in ((2, 3), (4, 4), (6, 3), (1, 4)):
        costs = generator.normal(size=(2, *shape)) * [[[30.0]], [[0.1]]] + 7
        # Ties and dominated actions as well.
        costs[0, -1] = costs[0, 0]
        costs[1, :, -1] = costs[1, :, 0] + 0.01
        game = BimatrixGame(costs_row=costs[0], costs_col=costs[1])
        check_extremes(
            gtrade.solve(game, CorrelatedLP(concept=concept)), costs, concept
        )


def test_a_mediator_beats_nash_in_chicken(in_float64):
    payoffs = np.array([[6.0, 2.0], [7.0, 0.0]])
    game = BimatrixGame(payoffs_row=payoffs, payoffs_col=payoffs.T)
    solution = gtrade.solve(game, CorrelatedLP(concept="ce"))
    assert solution.status == Status.converged
    best, _ = welfare(solution, [-payoffs, -payoffs.T])
    # Aumann 1974: 5.25 each, more than any equilibrium and than their mixtures.
    np.testing.assert_allclose(best, -10.5)
    np.testing.assert_allclose(solution.value.best, [[0.5, 0.25], [0.25, 0]])
    nash = [
        x @ -(payoffs + payoffs.T) @ y for x, y in all_equilibria(-payoffs, -payoffs.T)
    ]
    assert best < min(nash) - 1
    assert solution.value.schedules is None


@pytest.mark.parametrize("concept", CONCEPTS)
def test_dominance_leaves_one_equilibrium(in_float64, concept):
    costs = np.array([[1.0, 3.0], [0.0, 2.0]])  # the prisoners' dilemma, in years
    game = BimatrixGame(costs_row=costs, costs_col=costs.T)
    solution = gtrade.solve(game, CorrelatedLP(concept=concept))
    assert solution.status == Status.converged
    for joint in (solution.value.best, solution.value.worst):
        np.testing.assert_allclose(joint, [[0, 0], [0, 1]], atol=1e-12)


def test_matching_pennies_are_uniform(in_float64):
    costs = np.array([[1.0, -1.0], [-1.0, 1.0]])
    game = BimatrixGame(costs_row=costs, costs_col=-costs)
    solution = gtrade.solve(game, CorrelatedLP(concept="ce"))
    assert solution.status == Status.converged
    np.testing.assert_allclose(solution.value.best, np.full((2, 2), 0.25))


@pytest.mark.parametrize("concept", CONCEPTS)
def test_zero_sum_games_are_worth_their_value(in_float64, concept):
    costs = np.random.default_rng(2).normal(size=(4, 5))
    game = BimatrixGame(costs_row=costs, costs_col=-costs)
    solution = gtrade.solve(game, CorrelatedLP(concept=concept))
    assert solution.status == Status.converged
    value = zero_sum_value(costs)
    for joint in (solution.value.best, solution.value.worst):
        np.testing.assert_allclose((joint * costs).sum(), value, atol=1e-9)


def test_coarse_equilibria_can_be_worse_and_better(in_float64):
    # Who deviates has to commit before being told: that permits more (Moulin & Vial).
    costs = np.random.default_rng(14).integers(0, 7, size=(2, 3, 3)).astype(float)
    game = BimatrixGame(costs_row=costs[0], costs_col=costs[1])
    found = [
        welfare(gtrade.solve(game, CorrelatedLP(concept=x)), costs) for x in CONCEPTS
    ]
    np.testing.assert_allclose(found, [[3, 6], [5, 5]], atol=1e-9)


@pytest.mark.parametrize("concept", CONCEPTS)
def test_batches_give_what_single_games_give(in_float64, concept):
    targets = np.array([[2, 1], [3, -1], [1, 4]])
    kappas = np.array([0.5, 3.0, 1.0])
    games = gtrade.make_batch(
        gtrade.TradingGame,
        horizon=3,
        min_trade=-1,
        max_trade=2,
        targets=targets,
        permanent_impact=kappas,
    )
    batch = gtrade.solve_batch(games, CorrelatedLP(concept=concept))
    assert gtrade.status_names(batch.status).tolist() == ["converged"] * 3
    singles = [
        gtrade.solve(trading_game(kappa, target, **BOX), CorrelatedLP(concept=concept))
        for kappa, target in zip(kappas, targets, strict=True)
    ]
    sizes = np.stack([one.value.num_actions for one in singles])
    np.testing.assert_array_equal(batch.value.num_actions, sizes)
    assert batch.value.best.shape == (3, *sizes.max(axis=0))
    for lane, one in enumerate(singles):
        for name in ("best", "worst", "best_multipliers", "schedules"):
            whole, own = (np.array(getattr(x.value, name)) for x in (batch, one))
            corner = tuple(slice(size) for size in own.shape)
            np.testing.assert_array_equal(whole[lane][corner], own)
            whole[lane][corner] = 0
            assert (whole[lane] == 0).all()


@pytest.mark.parametrize("concept", CONCEPTS)
def test_relabelled_players_and_other_units(in_float64, concept):
    solver = CorrelatedLP(concept=concept)
    one = gtrade.solve(trading_game(0.9, (3, -1), **BOX), solver)
    other = gtrade.solve(trading_game(0.9, (-1, 3), **BOX), solver)
    _, costs = cost_tables(0.9, (3, -1), 3, -1, 2)
    _, swapped = cost_tables(0.9, (-1, 3), 3, -1, 2)
    np.testing.assert_allclose(welfare(one, costs), welfare(other, swapped), atol=1e-9)
    table = np.random.default_rng(1).normal(size=(2, 4, 4))
    base = gtrade.solve(BimatrixGame(costs_row=table[0], costs_col=table[1]), solver)
    for unit in (1e-6, 1e7):
        scaled = gtrade.solve(
            BimatrixGame(costs_row=unit * table[0], costs_col=unit * table[1]), solver
        )
        assert scaled.status == Status.converged
        np.testing.assert_allclose(
            welfare(scaled, unit * table), unit * np.array(welfare(base, table)), 1e-8
        )


def test_dominated_deviations_are_left_out():
    costs = np.array([[1.0, 2, 3], [1, 2, 3], [0, 5, 0], [1, 2, 4], [0, 6, 0]])
    assert correlated_programs._undominated(costs).tolist() == [0, 2]
    assert correlated_programs._undominated(np.zeros((3, 2))).tolist() == [0]


@pytest.mark.parametrize("concept", CONCEPTS)
def test_answers_have_the_announced_shapes(x64, concept):
    games = [
        trading_game(targets=(1, 2), **BOX),
        BimatrixGame(costs_row=np.eye(2, 3), costs_col=np.ones((2, 3))),
    ]
    for game in games:
        solver = CorrelatedLP(concept=concept).prepare(game)
        solution = solver.solve(game)
        assert solution.status == Status.converged
        assert solution.residual.dtype == (np.float64 if x64 else np.float32)
        like = solver.abstract_solution(game)
        assert jax.tree.map(lambda x: (x.shape, x.dtype), like) == jax.tree.map(
            lambda x: (x.shape, x.dtype), solution
        )


def test_large_games_are_refused():
    numbers = {"horizon": 5, "min_trade": -5, "max_trade": 5, "permanent_impact": 1.0}
    game = gtrade.TradingGame(targets=[10, 10], **numbers)
    with pytest.raises(
        ValueError, match=r"max_joint must be at least 12432676, the"
    ) as e:
        gtrade.solve(game, CorrelatedLP())
    assert "ftpl" in str(e.value)
    assert "welfare identity" in str(e.value)
    numbers["horizon"] = 50
    numbers["targets"] = np.array([[250, 250], [0, 250], [0, 1]])
    with pytest.raises(ValueError, match=r"at least about 10\^101.* 2 more of 3") as e:
        CorrelatedLP.validate_for({**numbers, "targets": numbers["targets"][[2, 2, 2]]})
    with pytest.raises(ValueError, match=r"\(row 1, and 1 more of 3 rows\)"):
        CorrelatedLP.validate_for(numbers)
    CorrelatedLP.validate_for({**numbers, "targets": [250, 250]}, max_joint=1)
    matrices = {"payoffs_row": np.ones((7, 3, 4)), "payoffs_col": np.ones((7, 3, 4))}
    with pytest.raises(
        ValueError, match="max_joint must be at least 12, the .* got 11"
    ):
        CorrelatedLP.validate_for(matrices, max_joint=11)
    CorrelatedLP.validate_for(matrices, max_joint=12)


def test_inadmissible_numbers():
    with pytest.raises(ValueError, match="concept must be one of cce, ce; got 'nash'"):
        CorrelatedLP(concept="nash")
    with pytest.raises(ValueError, match="max_joint must be at least 1"):
        CorrelatedLP(max_joint=0)
    with pytest.raises(TypeError, match="CorrelatedLP runs on the host"):
        jax.jit(lambda k: CorrelatedLP().solve(trading_game(k)))(1.0)
    with pytest.raises(TypeError, match="CorrelatedLP runs on the host"):
        jax.jit(lambda x: gtrade.solve(trading_game(1.0, x), CorrelatedLP()))(
            np.array([1, 2])
        )


def test_failures_have_a_status_and_no_numbers(in_float64, monkeypatch):
    huge = np.array([[1e308, -1e308], [0, 1]])
    game = BimatrixGame(costs_row=huge, costs_col=huge)
    solution = gtrade.solve(game, CorrelatedLP())
    assert solution.status == Status.nonfinite
    assert np.isnan(solution.value.best).all()
    linprog, methods = correlated_programs.scipy.optimize.linprog, []

    def fail(*args, method, **kwargs):
        methods.append(method)
        result = linprog(*args, method=method, **kwargs)
        return type(result)({**result, "status": 4})

    monkeypatch.setattr(correlated_programs.scipy.optimize, "linprog", fail)
    game = trading_game(targets=(1, 2), **BOX)
    solution = gtrade.solve(game, CorrelatedLP(concept="ce"))
    assert solution.status == Status.stalled
    assert methods == ["highs-ds", "highs-ipm", "highs-ds"]
    for x in jax.tree.leaves(solution.value):
        assert (np.isnan(x) if x.dtype == np.float64 else np.asarray(x) == 0).all()
    assert np.isnan(solution.residual)
    methods.clear()
    monkeypatch.setattr(correlated_programs, "_MOST_SIMPLEX", 1)
    gtrade.solve(game, CorrelatedLP())
    assert methods == ["highs-ipm", "highs-ds"]
    methods.clear()
    monkeypatch.setattr(correlated_programs, "_MOST_ROWS", 1)
    gtrade.solve(game, CorrelatedLP())
    assert methods == ["highs-ds"]


@pytest.mark.parametrize("num_players", [2, 3])
def test_both_matrices_of_coarse_equilibria_have_the_same_extremes(
    num_players, monkeypatch
):
    shape = (num_players, *(4, 3, 5)[:num_players])
    costs = np.random.default_rng(num_players).normal(size=shape)
    few = correlated_programs.extreme_equilibria(costs, "cce")
    monkeypatch.setattr(correlated_programs, "_MOST_GAINS", 0)
    many = correlated_programs.extreme_equilibria(costs, "cce")
    for one, other in zip(few, many, strict=True):
        np.testing.assert_allclose(one.joint, other.joint, atol=1e-9)
        np.testing.assert_allclose(one.multipliers, other.multipliers, atol=1e-9)


@pytest.fixture
def with_solver(monkeypatch):
    """The trading game with this solver alone, under a name of its own."""
    entry = catalog.get_model("trading-game")
    evidence = Evidence(
        columns=(
            *(
                Column(name, "", "cost")
                for name in (
                    "welfare_best",
                    "welfare_worst",
                    "deviation_gain",
                    "bound_best",
                    "bound_worst",
                )
            ),
            Column("feasibility", ""),
            Column("num_actions", "", axes=("players",)),
        ),
        arrays=(
            Column("joint_best", "", axes=("joint",)),
            Column("joint_worst", "", axes=("joint",)),
            Column("schedules", "", axes=("players", "actions", "horizon")),
        ),
        headline=("welfare_best",),
        figures="",
    )
    solver = SolverEntry(
        "correlated-lp",
        "gtrade.solvers.correlated:CorrelatedLP",
        "",
        "",
        (
            Parameter("concept", "text", "", default="cce", choices=CONCEPTS),
            Parameter("max_joint", "integer", "", default=100_000, is_static=True),
        ),
        precision="f64",
    )
    verify = "gtrade.verification.correlated:verify_correlated_trading"
    entry = dataclasses.replace(
        entry, solvers=(solver,), verify=verify, evidence=evidence
    )
    home = catalog.importlib.import_module("gtrade.catalog.trading_game")
    monkeypatch.setattr(home, "ENTRY", entry)


DOCUMENT = {
    "model": "trading-game",
    "problem": {
        "horizon": 3,
        "min_trade": -1,
        "max_trade": 2,
        "permanent_impact": 3.0,
        "targets": [2, 1],
    },
    "solver": {"name": "correlated-lp"},
    "run": {"arrays": ["joint_best", "joint_worst", "schedules"]},
    "sweep": {
        "solver.concept": ["cce", "ce"],
        "problem.targets": [[2, 1], [3, 3], [-2, 4]],
    },
}


def test_sweeps(with_solver, tmp_path):
    table = run_spec(resolve_spec(DOCUMENT), tmp_path)
    assert table.status_counts() == {"converged": 6}
    assert np.nanmax(table["deviation_gain"]) < 1e-9
    assert table["feasibility"].max() < 1e-12
    for row, record in enumerate(table.to_records()):
        targets = record["problem.targets"]
        schedules, costs = cost_tables(3.0, targets, 3, -1, 2)
        expected = correlated_extremes(costs, record["solver.concept"])
        for name, value in zip(("best", "worst"), expected, strict=True):
            for column in ("welfare", "bound"):
                found = record[f"{column}_{name}"]
                np.testing.assert_allclose(found, value, atol=1e-8)
            # The documented way to read the arrays.
            sizes = record["num_actions"]
            joint = np.asarray(table[f"joint_{name}"][row])
            assert (joint[np.prod(sizes) :] == 0).all()
            joint = joint[: np.prod(sizes)].reshape(sizes)
            np.testing.assert_allclose((joint * sum(costs)).sum(), value, atol=1e-8)
        assert sizes == [len(x) for x in schedules]
        for player, flows in enumerate(schedules):
            listed = np.asarray(table["schedules"][row][player])
            np.testing.assert_array_equal(listed[: len(flows)], flows)


def test_large_points_of_a_sweep_are_named(with_solver):
    spec = resolve_spec(
        {**DOCUMENT, "solver": {"name": "correlated-lp", "max_joint": 99}}
    )
    with pytest.raises(SpecError, match="solver.max_joint: must be at least 144, the"):
        run_spec(spec)
