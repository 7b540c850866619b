"""Nested tables of a spec: resolved, swept, checked and named."""

import copy

import numpy as np
import pytest

from gtrade.sweeps.complaints import SpecError
from gtrade.sweeps.grid import Grid
from gtrade.sweeps.spec import resolve_spec

BASE = {
    "model": "position-building",
    "problem": {
        "prior": [[0.5], [0.5]],
        "firms": [
            {
                "types": [
                    {"permanent_impact": 1, "target": 3},
                    {"permanent_impact": 3, "target": 5, "non_strategic": [0, 1, 2]},
                ]
            },
            {"types": [{"permanent_impact": 2, "target": 7}], "upper": 8},
        ],
    },
    "solver": {"name": "constrained"},
}


def resolve(sweep=None, **changes):
    document = copy.deepcopy(BASE)
    document["problem"].update(changes)
    document["sweep"] = sweep or {}
    return resolve_spec(document, source="F")


def complaints(sweep=None, **changes):
    with pytest.raises(SpecError) as caught:
        Grid(resolve(sweep, **changes)).validate()
    return [line.removeprefix("F: ") for line in caught.value.problems]


def test_defaults_are_filled_in():
    spec = resolve()
    first, second = spec.problem["firms"]
    assert first["types"][0] == {
        "permanent_impact": 1.0, "target": 3.0, "non_strategic": 0.0,
    }  # fmt: skip
    assert first["upper"] is None
    assert second["upper"] == 8.0
    assert spec.resolved()["problem"]["firms"][1]["risk_aversion"] == 0.0
    Grid(spec).validate()


def test_places_in_tables_are_swept_without_recompiling():
    grid = Grid(
        resolve(
            {
                "problem.firms.0.types.1.target": [1.0, 2.0],
                "problem.firms.1.upper": [8.0, 9.0],
                "problem.firms.0.types.1.non_strategic.2": [4.0],
                "problem.prior.0.0": [0.5],
                "zip": {
                    "problem.firms.1.types.0.target": [6.0, 7.0],
                    "problem.firms.1.types.0.permanent_impact": [1.0, 2.0],
                },
            }
        )
    )
    grid.validate()
    (group,) = grid.groups
    numbers, _ = grid.numbers(group, group.points)
    assert numbers["num_types"] == (2, 1)
    np.testing.assert_array_equal(
        numbers["targets"][[0, 1, 7]], [[3, 1, 6], [3, 1, 7], [3, 2, 7]]
    )
    np.testing.assert_array_equal(numbers["upper"][[0, 2], 1, 0], [8, 9])
    np.testing.assert_array_equal(numbers["non_strategic"][3, 1], [0, 1, 4])
    assert numbers["prior"].shape == (8, 2, 1)


def test_whole_priors_are_swept():
    grid = Grid(resolve({"problem.prior": [[[0.5], [0.5]], [[0.9], [0.1]]]}))
    grid.validate()
    (group,) = grid.groups
    numbers, _ = grid.numbers(group, group.points)
    assert numbers["prior"].shape == (2, 2, 1)


def test_numbers_and_lists_of_coefficients_make_groups():
    key = "problem.firms.0.types.0.non_strategic"
    grid = Grid(resolve({key: [1.0, [0.0, 1.0, 0.5], 2.0]}))
    grid.validate()
    assert [g.points.tolist() for g in grid.groups] == [[0, 2], [1]]
    numbers, _ = grid.numbers(grid.groups[0], grid.groups[0].points)
    np.testing.assert_array_equal(numbers["non_strategic"][:, 0, 1], [1, 2])


def test_everything_wrong_with_tables_is_said_at_once():
    firms = copy.deepcopy(BASE["problem"]["firms"])
    firms[0]["types"][0] = {"permanent_impact": "much", "targt": 3}
    firms[1]["risk_avers"] = 1
    firms.append({"types": []})
    assert complaints(firms=firms) == [
        "problem.firms.0.types.0.targt: is not a known key, did you mean 'target'?",
        'problem.firms.0.types.0.permanent_impact: must be a number; got "much"',
        "problem.firms.0.types.0.target: is required (shares held at the end)",
        "problem.firms.1.risk_avers: is not a known key, did you mean 'risk_aversion'?",
        "problem.firms.2.types: must hold at least one table; got []",
    ]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"firms": 3}, "problem.firms: must be a list of tables; got 3"),
        ({"firms": []}, "problem.firms: must hold at least one table; got []"),
        ({"prior": 0.5}, "problem.prior: must be a list of numbers, nested evenly"),
        (
            {"prior": [[0.5], [0.2, 0.3]]},
            "problem.prior: must have lists of one length",
        ),
        ({"prior": [0.2, 0.3, 0.5]}, "problem.prior: must have one axis a firm"),
        ({"prior": [[0.5], [0.6]]}, "problem.prior: must sum to 1"),
        ({"prior": None}, "problem.prior: must be given where a firm has several"),
    ],
)
def test_what_is_wrong_is_named(changes, expected):
    assert complaints(**changes)[0].startswith(expected)


@pytest.mark.parametrize(
    ("key", "values", "expected"),
    [
        ("firms", [1], "must go on with a position and one of types, risk_aversion"),
        ("firms.0.typs.1.target", [1], "must name one of types, risk_aversion, lower"),
        (
            "firms.0.types",
            [1],
            "must go on with a position and one of permanent_impact",
        ),
        ("firms.0.types.0.target.1", [1], "has 0 levels of list positions"),
        ("firms.5.risk_aversion", [1], "problem.firms has positions 0 to 1"),
        ("firms.0.types.0.non_strategic.1", [1], "as a list to put the swept values"),
    ],
)
def test_swept_keys_that_lead_nowhere(key, values, expected):
    (line,) = complaints({f"problem.{key}": values})
    assert expected in line


def test_inadmissible_values_are_named_by_place_and_point():
    lines = complaints(
        {
            "problem.firms.0.types.1.permanent_impact": [1.0, -2.0],
            "problem.firms.1.upper": [8.0, 6.0, 5.0],
        }
    )
    assert lines == [
        "problem.firms.0.types.1.permanent_impact: must be at least 0; got -2.0"
        " (points 3, 4, 5 of 6)",
        "problem.firms.1.upper: must be at least every target of the firm at time 1;"
        " got [6.0, 0.0] (points 1, 2, 4, 5 of 6)",
    ]


def test_solvers_refuse_what_they_cannot_do():
    document = copy.deepcopy(BASE)
    document["solver"]["name"] = "spectral"
    document["problem"]["firms"][1]["risk_aversion"] = 2.0
    with pytest.raises(SpecError) as caught:
        Grid(resolve_spec(document, source="F")).validate()
    (line,) = caught.value.problems
    assert "problem.firms.*.upper: must be left out for spectral" in line
