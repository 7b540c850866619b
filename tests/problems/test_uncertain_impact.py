import jax
import numpy as np
import pytest

import gtrade
from gtrade.problems.uncertain_impact_tables import arguments, spec_key
from gtrade.responses.impact_models import smallest_curvatures
from tests.references.uncertain_impact import impact_matrix

GOOD = {
    "targets": [1.0, 2.0, 3.0],
    "permanent_impacts": [1.0, 0.0, 2.0],
    "transient_impacts": [0.0, 5.0, 5.0],
    "num_types": (2, 1),
    "prior": [[0.5], [0.5]],
}
FIRMS = [
    {
        "types": [
            {"target": 1.0, "permanent_impact": 1.0},
            {
                "target": 2.0,
                "permanent_impact": 0.0,
                "transient_impact": 5.0,
                "decay": 4.0,
            },
        ]
    },
    {"types": [{"target": 3.0, "permanent_impact": 2.0, "temporary_impact": 0.5}]},
]


def test_impact_matrices(x64):
    game = gtrade.UncertainImpact(
        **GOOD, temporary_impacts=[1.0, 0.3, 0.0], decays=[1.0, 9.0, 0.2]
    )
    models = np.stack(
        [
            game.temporary_impacts,
            game.permanent_impacts,
            game.transient_impacts,
            game.decays,
        ],
        axis=1,
    )
    matrices = game.impact_matrices(6)
    assert matrices.dtype == game.targets.dtype
    expected = [impact_matrix(model, 6) for model in models]
    np.testing.assert_allclose(matrices, expected, rtol=1e-12 if x64 else 1e-5)


def test_least_curvatures_bound_the_smallest_eigenvalues(in_float64):
    game = gtrade.UncertainImpact(
        **GOOD, temporary_impacts=[1.0, 0.0, 0.0], decays=[1.0, 9.0, 0.2]
    )
    for num_trades, slack in ((6, 0.2), (48, 0.01)):
        exact = smallest_curvatures(game.impact_matrices(num_trades))
        bound = np.asarray(game.least_curvatures(num_trades))
        assert (bound <= exact * (1 + 1e-12)).all()
        np.testing.assert_allclose(bound, exact, rtol=slack)


def test_numbers_left_out_have_defaults():
    game = gtrade.UncertainImpact([1.0, 2.0], [0.5, 0.5])
    np.testing.assert_array_equal(game.temporary_impacts, [1, 1])
    np.testing.assert_array_equal(game.transient_impacts, [0, 0])
    np.testing.assert_array_equal(game.decays, [1, 1])
    assert game.num_types == (1, 1)
    assert game.prior.shape == (1,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": []}, "targets must name at least one firm"),
        ({"targets": [1.0, np.nan, 3.0]}, r"targets\[1\] must be a finite number; got"),
        (
            {"permanent_impacts": [1.0, 2.0]},
            r"permanent_impacts must have 3 entries; got \[1.0, 2.0\]",
        ),
        (
            {"permanent_impacts": [1.0, -1.0, 0.0]},
            r"permanent_impacts\[1\] must be at least 0; got -1.0",
        ),
        ({"decays": [1.0, 1.0, -2.0]}, r"decays\[2\] must be at least 0; got -2.0"),
        (
            {"transient_impacts": ["a", "b", "c"]},
            "transient_impacts must hold numbers",
        ),
        (
            {"temporary_impacts": [0.0, 1.0, 1.0]},
            r"temporary_impacts\[0\] must be greater than 0 where there is no transient"
            r" impact that decays; got 0.0",
        ),
        ({"prior": None}, "prior must be given where a firm has several types"),
        ({"prior": [0.5, 0.5, 0.0]}, "prior must have one axis a firm"),
        ({"prior": [[0.5], [0.6]]}, "prior must sum to 1"),
        ({"prior": [[0.0], [1.0]]}, "prior must give every type of every firm a"),
        ({"num_types": (2, 0)}, "num_types must list a whole number of types"),
    ],
)
def test_bad_numbers_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        gtrade.UncertainImpact.validate(**(GOOD | change))


def test_bad_rows_of_columns_are_named():
    columns = GOOD | {"temporary_impacts": [[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]]}
    gtrade.UncertainImpact.validate(**columns)  # that type's transient impact decays
    columns["decays"] = [1.0, 0.0, 1.0]
    with pytest.raises(ValueError, match=r"temporary_impacts\[1\] .* \(row 1\)"):
        gtrade.UncertainImpact.validate(**columns)


def test_missing_prior_is_named_on_construction():
    with pytest.raises(ValueError, match="prior must be given"):
        gtrade.UncertainImpact(**(GOOD | {"prior": None}))


def test_tables_become_arguments():
    found = arguments({"firms": FIRMS, "prior": None})
    assert "prior" not in found
    assert found["num_types"] == (2, 1)
    np.testing.assert_array_equal(found["targets"], [1, 2, 3])
    np.testing.assert_array_equal(found["temporary_impacts"], [1, 1, 0.5])
    np.testing.assert_array_equal(found["transient_impacts"], [0, 5, 0])
    np.testing.assert_array_equal(found["decays"], [1, 4, 1])


def test_arguments_lead_back_to_spec_keys():
    problem = {"firms": FIRMS}
    assert spec_key("decays[1]", problem) == "firms.0.types.1.decay"
    assert spec_key("targets[2]", problem) == "firms.1.types.0.target"
    assert spec_key("targets", problem) == "firms.*.types.*.target"
    assert spec_key("num_types", problem) == "firms"
    assert spec_key("prior", problem) == "prior"


def test_trades_and_schedules(in_float64):
    from gtrade.problems.uncertain_impact import Trades

    trades = Trades(jax.numpy.array([[1.0, 2.0, -1.0]]), jax.numpy.ones(()))
    np.testing.assert_array_equal(trades.schedules, [[0, 1, 3, 2]])
    np.testing.assert_allclose(trades.times, [0, 1 / 3, 2 / 3, 1])
