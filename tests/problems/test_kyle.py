"""Kyle's markets refuse what is no market, and say why."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade.problems.base import replace_fields
from gtrade.problems.kyle import Kyle, KyleSequential
from gtrade.problems.kyle_limit import continuous_limit
from gtrade.solution import status_names

BASE = {"value_std": 1.5, "noise_std": 0.7}
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value_std": -1.0}, "value_std must be at least 0; got -1.0"),
        ({"value_std": NAN}, "value_std must be finite; got nan"),
        ({"value_std": INF}, "value_std must be finite; got inf"),
        ({"value_std": "big"}, "value_std must be a number; got 'big'"),
        ({"noise_std": -0.5}, "noise_std must be at least 0; got -0.5"),
        ({"noise_std": NAN}, "noise_std must be finite; got nan"),
        ({"noise_std": 0.0}, "noise_std must be greater than 0 unless value_std is 0"),
        ({"value_mean": INF}, "value_mean must be finite; got inf"),
        ({"num_insiders": 0}, "num_insiders must be at least 1; got 0"),
        ({"num_insiders": 1.5}, "num_insiders must be a whole number; got 1.5"),
        ({"num_insiders": True}, "num_insiders must be a whole number; got True"),
        ({"num_insiders": 2**31}, "num_insiders must fit 32 bits"),
    ],
)
@pytest.mark.parametrize("model", [Kyle, KyleSequential])
def test_messages_name_argument_rule_and_value(model, change, message):
    extra = {} if model is Kyle else {"num_auctions": 3}
    with pytest.raises(ValueError, match=f"^{message}"):
        model.validate(**{**BASE, **extra, **change})
    if change.get("value_std") != "big":
        with pytest.raises(ValueError, match=f"^{message}"):
            model(**{**BASE, **extra, **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"signal_noise_std": -1.0}, "signal_noise_std must be at least 0; got -1.0"),
        ({"signal_noise_std": NAN}, "signal_noise_std must be at least 0; got nan"),
        (
            {"signals": "shared"},
            "signals must be 'common' or 'private'; got 'shared'",
        ),
    ],
)
def test_messages_about_signals(change, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Kyle(**BASE, **change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "num_auctions must be given, or else step_lengths"),
        (
            {"num_auctions": 2, "step_lengths": [0.5, 0.5]},
            "num_auctions must be left out where step_lengths are given; got 2",
        ),
        ({"num_auctions": 0}, "num_auctions must be at least 1; got 0"),
        ({"num_auctions": 2.0}, "num_auctions must be a whole number; got 2.0"),
        ({"step_lengths": []}, "step_lengths must hold at least one duration"),
        ({"step_lengths": [0.5, 0.0]}, "step_lengths must be greater than 0"),
        ({"step_lengths": [0.5, -1.0]}, "step_lengths must be greater than 0"),
        ({"step_lengths": [0.5, NAN]}, "step_lengths must be finite"),
    ],
)
def test_messages_about_auctions(change, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        KyleSequential(**BASE, **change)


def test_columns_name_their_rows():
    with pytest.raises(ValueError, match=r"noise_std must be greater .*\(row 1\)"):
        gtrade.make_batch(
            Kyle, value_std=np.array([0.0, 1.0, 2.0]), noise_std=np.array([0.0, 0.0, 1])
        )
    with pytest.raises(ValueError, match=r"step_lengths must .* \(row 2\)"):
        KyleSequential.validate(
            **BASE, step_lengths=np.array([[1.0, 1.0], [2.0, 1.0], [0.0, 1.0]])
        )
    with pytest.raises(ValueError, match="num_auctions must be one value"):
        KyleSequential.validate(**BASE, num_auctions=np.array([2, 3]))


def test_shapes_are_checked_under_tracing():
    with pytest.raises(ValueError, match="value_std must have shape"):
        jax.jit(lambda x: Kyle(value_std=x, noise_std=1.0))(jnp.ones(3))
    with pytest.raises(ValueError, match="step_lengths must have shape"):
        jax.jit(lambda x: KyleSequential(**BASE, step_lengths=x))(jnp.ones((2, 2)))


def test_admissible_edges():
    Kyle(value_std=0.0, noise_std=0.0)
    Kyle(**BASE, signal_noise_std=INF)
    Kyle(value_std=1, noise_std=2, num_insiders=1000, signals="private")
    steps = np.asarray(KyleSequential(**BASE, num_auctions=8).durations)
    np.testing.assert_allclose(steps, 1 / 8)
    steps = np.asarray(KyleSequential(**BASE, step_lengths=[1.0, 3.0]).durations)
    np.testing.assert_allclose(steps, [1, 3])


BAD = {
    "value_std": [-1.0, NAN, INF],
    "noise_std": [-1.0, 0.0, NAN, INF],
    "value_mean": [NAN, INF],
    "num_insiders": [0, -3],
}


def check_lanes(model, solver, names, extra):
    rows = [{}] + [{name: x} for name in names for x in names[name]] + [{}]
    size = len(rows)
    base = {**BASE, **extra}
    problems = gtrade.make_batch(model, size=size, **base)
    for name in names:
        field = getattr(problems, name)
        column = np.array(
            [
                np.broadcast_to(row.get(name, base.get(name)), field.shape[1:])
                if name in row
                else np.asarray(field)[i]
                for i, row in enumerate(rows)
            ]
        )
        problems = replace_fields(problems, **{name: jnp.asarray(column, field.dtype)})
    found = gtrade.solve_batch(problems, solver)
    statuses = status_names(found.status).tolist()
    assert statuses == ["converged"] + ["invalid_input"] * (size - 2) + ["converged"]
    for leaf in (*jax.tree.leaves(found.value), found.residual):
        assert np.isnan(np.asarray(leaf)[1:-1]).all()
    one = gtrade.solve(model(**base), solver)
    for many, single in zip(
        jax.tree.leaves(found.value), jax.tree.leaves(one.value), strict=True
    ):
        for i in (0, -1):
            np.testing.assert_allclose(np.asarray(many)[i], single, rtol=1e-5)
    columns = gtrade.verify(problems, found)
    for name, x in columns.items():
        assert np.isnan(np.asarray(x)[1:-1]).all(), name
        assert np.isfinite(np.asarray(x)[[0, -1]]).all(), name


@pytest.mark.parametrize(("signals", "wide"), [("common", False), ("private", True)])
def test_bad_numbers_stay_in_their_lanes(signals, wide):
    names = {**BAD, "signal_noise_std": [-1.0, NAN, -INF]}
    with jax.enable_x64(wide):
        check_lanes(Kyle, gtrade.KyleClosedForm(), names, {"signals": signals})


def test_bad_numbers_stay_in_their_lanes_of_sequences():
    steps = {"step_lengths": [[0.5, 0.0, 1.0], [0.5, NAN, 1.0], [-1.0, 1.0, INF]]}
    extra = {"step_lengths": [0.5, 0.2, 1.0]}
    solver = gtrade.KyleSequentialClosedForm()
    check_lanes(KyleSequential, solver, {**BAD, **steps}, extra)


def test_certainty_takes_precedence_over_missing_noise(in_float64):
    problems = gtrade.make_batch(
        Kyle,
        value_std=np.array([0.0, 0.0, 1.0]),
        noise_std=np.array([0.0, 1.0, 1.0]),
        signal_noise_std=np.array([0.0, 0.5, INF]),
        num_insiders=3,
    )
    found = gtrade.solve_batch(problems, gtrade.KyleClosedForm())
    assert status_names(found.status).tolist() == ["degenerate"] * 3
    np.testing.assert_array_equal(found.value.price_impact, 0)
    np.testing.assert_array_equal(found.value.intensity, 0)
    columns = gtrade.verify(problems, found)
    np.testing.assert_array_equal(columns["posterior_variance"], [0, 0, 1])
    np.testing.assert_array_equal(columns["depth"], np.inf)
    for name in ("insider_profit", "exploitability", "noise_profit", "profit_std"):
        np.testing.assert_array_equal(columns[name], 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"value_std": 0.0}, "value_std must be greater than 0"),
        ({"noise_std": -1.0}, "noise_std must be greater than 0"),
        ({"times": [0.0, 1.1]}, "times must lie between 0 and 1"),
        ({"times": [NAN]}, "times must be finite"),
    ],
)
def test_continuous_limit_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        continuous_limit(**{**BASE, "times": [0.5], **change})


def test_continuous_limit(x64):
    limit = continuous_limit(value_std=2.0, noise_std=0.5, times=[0.0, 0.25, 1.0])
    np.testing.assert_allclose(limit.price_impact, 4)
    np.testing.assert_allclose(limit.posterior_variance, [4, 3, 0])
    np.testing.assert_allclose(limit.intensity, [0.25, 1 / 3, np.inf])
    np.testing.assert_allclose(limit.total_profit, 1)
