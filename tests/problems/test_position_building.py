"""What position-building games admit, and their beliefs."""

import jax
import numpy as np
import pytest

import gtrade
from gtrade.problems import position_tables
from gtrade.problems.base import Column
from tests.references import position_building as reference
from tests.solvers.position_games import random_numbers

GOOD = {
    "permanent_impacts": [1.0, 3.0, 2.0, 15.0],
    "targets": [3.0, 5.0, 7.0, 5.0],
    "num_types": (2, 2),
    "prior": [[0.4, 0.2], [0.15, 0.25]],
}
BELIEFS = np.array([[0, 0, 1, 0], [0, 0, 0.5, 0.5], [1, 0, 0, 0], [0.2, 0.8, 0, 0]])


@pytest.mark.parametrize("shape", [(2, 2), (3, 1, 2), (1, 1)])
def test_beliefs_follow_from_the_prior(in_float64, shape):
    numbers = random_numbers(0, shape)
    game = gtrade.PositionBuilding(**numbers)
    np.testing.assert_allclose(
        game.beliefs(), reference.conditionals(numbers["prior"]), atol=1e-14
    )
    _, marginals = game.joint_beliefs()
    np.testing.assert_allclose(marginals, reference.marginals(numbers["prior"]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"permanent_impacts": [1, -3, 2, 15]},
            r"permanent_impacts\[1\] must be at le",
        ),
        ({"permanent_impacts": [1, 3, 2]}, "permanent_impacts must have shape"),
        ({"targets": [3, 5, 7, np.inf]}, r"targets\[3\] must be a finite number; got"),
        ({"targets": []}, "num_types|targets"),
        ({"prior": [[0.4, 0.2], [0.15, 0.26]]}, "prior must sum to 1"),
        ({"prior": [[0.4, 0.6], [0.0, 0.0]]}, "prior must give every type of every"),
        ({"prior": [[0.6, 0.5], [-0.1, 0.0]]}, "prior must be at least 0"),
        ({"prior": [[0.5, 0.5]]}, "prior must have shape"),
        ({"prior": None}, "prior must be given where a firm has several types"),
        ({"conditionals": BELIEFS}, "prior must be left out where conditionals"),
        ({"prior": None, "conditionals": np.eye(4)}, "be 0 between types of one firm"),
        (
            {"prior": None, "conditionals": 2 * BELIEFS},
            "conditionals must sum to 1 over the types of every other firm",
        ),
        ({"num_types": (2, 0)}, "num_types|shape"),
        ({"risk_aversions": [0.0, -1.0]}, r"risk_aversions\[1\] must be at least 0"),
        ({"risk_aversions": [0.0]}, "risk_aversions must have shape"),
        ({"evaluation_impacts": [-1.0]}, r"evaluation_impacts\[0\] must be at least 0"),
        (
            {"non_strategic": [[np.nan]] * 4},
            r"non_strategic\[0\]\[0\] must be a finite",
        ),
        ({"upper": [[4.0], [9.0]]}, r"upper\[0\] must be at least every target of"),
        ({"lower": [[0.0], [0.5]]}, r"lower\[1\] must be at most 0 at time 0"),
        (
            {"lower": [[0.0, 40.0, -40.0], [0.0] * 3], "upper": [[5.0], [7.0]]},
            r"upper\[0\] must be at least lower at all times",
        ),
        ({"upper": [[np.nan], [9.0]]}, r"upper\[0\] must not be NaN"),
    ],
)
def test_inadmissible_numbers_are_named(changes, message):
    with pytest.raises(ValueError, match=message):
        gtrade.PositionBuilding(**(GOOD | changes))


def test_a_column_names_its_rows():
    impacts = np.ones((4, 4))
    impacts[[1, 3], 2] = -1
    with pytest.raises(ValueError, match=r"permanent_impacts\[2\] .*row 1, and 1 more"):
        gtrade.make_batch(
            gtrade.PositionBuilding, **(GOOD | {"permanent_impacts": impacts})
        )


def test_more_profiles_than_memory_ask_for_conditionals():
    with pytest.raises(ValueError, match="give pairwise conditionals"):
        gtrade.PositionBuilding.validate(
            permanent_impacts=np.ones(80),
            targets=np.ones(80),
            num_types=(4,) * 20,
            prior=[1.0],
        )


def test_complete_information_is_the_default():
    game = gtrade.PositionBuilding([1.0, 2.0, 3.0], [1.0, 1.0, 1.0])
    assert game.num_types == (1, 1, 1)
    np.testing.assert_array_equal(game.beliefs(), 1 - np.eye(3))
    np.testing.assert_array_equal(game.evaluation_impacts, [1, 2, 3])


FIRMS = [
    {
        "types": [
            {"permanent_impact": 1.0, "target": 3.0, "non_strategic": 5.0},
            {"permanent_impact": 3.0, "target": 5.0, "non_strategic": [1.0, 0.0, 2.0]},
        ],
        "upper": 9.0,
    },
    {"types": [{"permanent_impact": 2.0, "target": 7.0}], "risk_aversion": 0.5},
]


def test_tables_become_arguments():
    found = position_tables.arguments({"firms": FIRMS, "prior": [[0.5], [0.5]]})
    assert found["num_types"] == (2, 1)
    np.testing.assert_array_equal(found["permanent_impacts"], [1, 3, 2])
    np.testing.assert_array_equal(
        found["non_strategic"], [[0, 5, 0], [1, 0, 2], [0, 0, 0]]
    )
    np.testing.assert_array_equal(found["risk_aversions"], [0, 0.5])
    np.testing.assert_array_equal(found["upper"], [[9, 0], [np.inf, 0]])
    assert "lower" not in found
    gtrade.PositionBuilding(**found)


def test_columns_within_tables_become_columns():
    firms = [dict(FIRMS[0]), dict(FIRMS[1])]
    kind = dict(FIRMS[0]["types"][0], target=Column(np.array([1.0, 2.0])))
    firms[0]["types"] = [kind, FIRMS[0]["types"][1]]
    firms[1]["lower"] = Column(np.array([[0.0, -1.0], [-1.0, 0.0]]))
    found = position_tables.arguments({"firms": firms, "prior": [[0.5], [0.5]]})
    np.testing.assert_array_equal(found["targets"], [[1, 5, 7], [2, 5, 7]])
    np.testing.assert_array_equal(found["permanent_impacts"], [1, 3, 2])
    assert found["lower"].shape == (2, 2, 2)
    assert found["lower"][0, 0, 0] == -np.inf
    games = gtrade.make_batch(gtrade.PositionBuilding, **found)
    assert games.targets.shape == (2, 3)


@pytest.mark.parametrize(
    ("argument", "key"),
    [
        ("targets[2]", "firms.1.types.0.target"),
        ("permanent_impacts[1]", "firms.0.types.1.permanent_impact"),
        ("non_strategic[1][2]", "firms.0.types.1.non_strategic"),
        ("risk_aversions[1]", "firms.1.risk_aversion"),
        ("upper[0]", "firms.0.upper"),
        ("evaluation_impacts[0]", "evaluation_impacts.0"),
        ("prior", "prior"),
        ("num_types", "firms"),
    ],
)
def test_arguments_are_named_as_in_the_spec(argument, key):
    assert position_tables.spec_key(argument, {"firms": FIRMS}) == key


@pytest.mark.parametrize(
    "changes",
    [
        {
            "conditionals": [
                [0, 0, 0.5, 0],
                [0, 0, 0.5, 0.5],
                [1, 0, 0, 0],
                [0, 1, 0, 0],
            ]
        },
        {"conditionals": [[0.5, 0.5, 0, 0], *BELIEFS[1:]]},
        {"lower": [[0.0, 5.0], [0.0, 0.0]], "upper": [[0.0, 1.0], [9.0, 0.0]]},
        {"upper": [[4.0, 0.0], [9.0, 0.0]]},
    ],
)
def test_traced_numbers_that_are_inadmissible_get_a_status(in_float64, changes):
    good = {"conditionals": BELIEFS, "lower": None, "upper": None} | changes
    fixed = {key: GOOD[key] for key in ("permanent_impacts", "targets", "num_types")}

    def is_admitted(numbers):
        return gtrade.PositionBuilding(**fixed, **numbers).admitted()[1]

    arrays = {k: np.asarray(v, float) for k, v in good.items() if v is not None}
    assert not jax.jit(is_admitted)(arrays)
    assert jax.jit(is_admitted)({"conditionals": BELIEFS})


def test_evaluation_impacts_are_the_types_own_each_once():
    firms = [
        {"types": [{"permanent_impact": k, "target": 1.0}]} for k in (3.0, 1.0, 3.0)
    ]
    found = position_tables.arguments({"firms": firms, "evaluation_impacts": None})
    np.testing.assert_array_equal(found["evaluation_impacts"], [3, 1])


def test_empty_coefficients_are_refused():
    firms = [{"types": [{"permanent_impact": 1.0, "target": 1.0}], "lower": []}]
    with pytest.raises(ValueError, match=r"lower\[0\] must not be NaN"):
        gtrade.PositionBuilding(**position_tables.arguments({"firms": firms}))
