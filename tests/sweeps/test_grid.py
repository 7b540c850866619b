import numpy as np
import pytest

from gtrade.sweeps.complaints import SpecError
from gtrade.sweeps.grid import Grid
from gtrade.sweeps.spec import resolve_spec


def make_grid(sweep, **problem):
    document = {
        "model": "roots",
        "problem": {"levels": [1.0, 2.0], **problem},
        "solver": {"name": "newton"},
        "sweep": sweep,
    }
    return Grid(resolve_spec(document, source="F"))


def test_a_spec_without_a_sweep_is_one_point():
    grid = make_grid({})
    (group,) = grid.groups
    assert group.points.tolist() == [0]
    problem, solver = grid.numbers(group, group.points)
    assert problem["levels"] == [1.0, 2.0]
    assert solver == {"tol": 1e-4, "noise": 0.5, "max_steps": 50}


def test_points_are_in_file_order_with_the_last_axis_fastest():
    grid = make_grid({"problem.scale": [1, 2, 3], "solver.tol": [0.1, 0.2]})
    points = np.arange(6)
    assert grid.values("problem.scale", points).tolist() == [1, 1, 2, 2, 3, 3]
    assert grid.values("solver.tol", points).tolist() == [0.1, 0.2] * 3
    (group,) = grid.groups
    problem, solver = grid.numbers(group, np.array([5, 0]))
    assert problem["scale"].tolist() == [3, 1]
    assert solver["tol"].tolist() == [0.2, 0.1]


def test_static_values_and_shapes_make_groups():
    grid = make_grid(
        {
            "problem.num_things": [3, 2, 3],
            "problem.levels": [[1, 2], [1, 2, 3], [5, 6]],
            "solver.noise": ["theory", 1.0, 2.0],
        }
    )
    assert grid.num_points == 27
    assert len(grid.groups) == 8
    together = np.concatenate([group.points for group in grid.groups])
    np.testing.assert_array_equal(np.sort(together), np.arange(27))
    firsts = [group.points[0] for group in grid.groups]
    assert firsts == sorted(firsts)
    first = grid.groups[0]
    # things in {3, 3}, levels of length 2, noise "theory"
    assert first.points.tolist() == [0, 6, 18, 24]
    assert first.label == {
        "problem.num_things": 3,
        "problem.levels": [1.0, 2.0],
        "solver.noise": "theory",
    }
    problem, solver = grid.numbers(first, first.points)
    assert problem["num_things"] == 3
    assert solver["noise"] == "theory"
    assert problem["levels"].tolist() == [[1, 2], [5, 6], [1, 2], [5, 6]]
    numeric = grid.groups[1]
    assert grid.numbers(numeric, numeric.points)[1]["noise"].tolist() == [1, 2] * 4


def test_list_positions():
    grid = make_grid({"problem.levels.1": [7, 8], "problem.levels.0": [3, 4]})
    (group,) = grid.groups
    problem, _ = grid.numbers(group, group.points)
    assert problem["levels"].tolist() == [[3, 7], [4, 7], [3, 8], [4, 8]]


def test_zipped_keys_move_together():
    grid = make_grid(
        {
            "zip": {"problem.scale": [1, 2], "problem.num_things": [2, 3]},
            "solver.tol": [0.1, 0.2],
        }
    )
    assert [group.points.tolist() for group in grid.groups] == [[0, 1], [2, 3]]
    problem, _ = grid.numbers(grid.groups[1], grid.groups[1].points)
    assert problem["scale"].tolist() == [2, 2]
    assert problem["num_things"] == 3


def test_a_million_points_need_no_python_objects():
    grid = make_grid(
        {
            "problem.scale": {"uniform": [0, 1, 1000]},
            "solver.tol": {"linspace": [0, 1, 1000]},
            "problem.num_things": [1, 2],
        }
    )
    assert [len(group.points) for group in grid.groups] == [10**6] * 2
    grid.validate()


def test_every_bad_point_of_every_group_is_reported():
    grid = make_grid(
        {
            "problem.scale": [1, -1, -2],
            "problem.levels": [[1, 2], [1, -3]],
            "problem.num_things": [0, 1],
            "solver.tol": [0.5, -0.5],
        }
    )
    with pytest.raises(SpecError) as caught:
        grid.validate()
    assert sorted(caught.value.problems) == [
        "F: problem.levels: must be at least 0; got [1.0, -3.0]"
        " (points 6, 7, 14, 15, 22, ...: 6 of 24)",
        "F: problem.num_things: must be at least 1; got 0"
        " (points 0, 1, 4, 5, 8, ...: 12 of 24)",
        "F: problem.scale: must be at least 0; got -1.0"
        " (points 10, 11, 14, 15, 18, ...: 8 of 24)",
        "F: solver.tol: must be at least 0; got -0.5"
        " (points 1, 3, 5, 7, 9, ...: 12 of 24)",
    ]


def test_a_point_is_named_only_for_its_own_number():
    with pytest.raises(SpecError) as caught:
        make_grid({"problem.scale": [-1, float("nan"), float("inf")]}).validate()
    assert sorted(caught.value.problems) == [
        "F: problem.scale: must be at least 0; got -1.0 (point 0 of 3)",
        "F: problem.scale: must be finite; got nan (points 1, 2 of 3)",
    ]


def test_a_bad_number_that_no_axis_touches():
    with pytest.raises(SpecError) as caught:
        make_grid({}, scale=-1.0, rule="never").validate()
    (line,) = caught.value.problems
    assert line == "F: problem.scale: must be at least 0; got -1.0"
    with pytest.raises(SpecError, match=r"\(all 2 points\)"):
        make_grid({"solver.tol": [1, 2]}, scale=-1.0).validate()


def test_integer_columns_are_narrow():
    document = {
        "model": "trading-game",
        "problem": {
            "horizon": 5,
            "min_trade": -5,
            "max_trade": 5,
            "permanent_impact": 1,
            "targets": [1, 2],
        },
        "solver": {"name": "ftpl"},
        "sweep": {"problem.targets": [[1, 2], [3, 4]]},
    }
    grid = Grid(resolve_spec(document))
    (group,) = grid.groups
    assert grid.numbers(group, group.points)[0]["targets"].dtype == np.int32


def limits_grid(sweep, max_trade=3):
    document = {
        "model": "trading-game",
        "problem": {
            "horizon": 2,
            "min_trade": [-1, 0],
            "max_trade": max_trade,
            "permanent_impact": 1,
            "targets": [1, 2],
        },
        "solver": {"name": "best-response-dynamics"},
        "sweep": sweep,
    }
    return Grid(resolve_spec(document, source="F"))


def test_lists_where_a_number_would_do_are_grouped_by_value():
    grid = limits_grid({"problem.max_trade": [3, [3, 2], [4, 2], [3, 2], 3]})
    assert [group.points.tolist() for group in grid.groups] == [[0, 4], [1, 3], [2]]
    limits = [grid.numbers(g, g.points)[0]["max_trade"] for g in grid.groups]
    assert limits == [3, [3, 2], [4, 2]]
    assert grid.groups[1].label == {"problem.max_trade": [3, 2]}
    assert grid.numbers(grid.groups[0], np.array([0]))[0]["min_trade"] == [-1, 0]
    grid.validate()


def test_lists_alone_and_their_positions_are_swept_too():
    grid = limits_grid({"problem.max_trade": [[3, 2], [4, 2], [3, 2]]})
    assert [group.points.tolist() for group in grid.groups] == [[0, 2], [1]]
    assert grid.numbers(grid.groups[1], np.array([1]))[0]["max_trade"] == [4, 2]
    grid = limits_grid({"problem.max_trade.1": [2, 5, 2]}, max_trade=[4, 4])
    assert [group.points.tolist() for group in grid.groups] == [[0, 2], [1]]
    assert grid.numbers(grid.groups[1], np.array([1]))[0]["max_trade"] == [4, 5]
    zipped = {"problem.horizon": [2, 3], "problem.max_trade": [[3, 2], [3, 2, 1]]}
    grid = limits_grid({"zip": {**zipped, "problem.min_trade": [[0, 0], 0]}})
    assert [group.points.tolist() for group in grid.groups] == [[0], [1]]
    grid.validate()


def test_numbers_left_out_and_given_make_groups():
    grid = limits_grid({"problem.fixed_fee": [None, 1.0, 2.0]})
    assert [group.points.tolist() for group in grid.groups] == [[0], [1, 2]]
    assert grid.numbers(grid.groups[0], np.array([0]))[0]["fixed_fee"] is None
    fees = grid.numbers(grid.groups[1], grid.groups[1].points)[0]["fixed_fee"]
    np.testing.assert_array_equal(fees, [1.0, 2.0])
    grid.validate()
