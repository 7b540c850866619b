"""Prices that are not linear, fees and limits of single steps, from the definition."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade._checks import InadmissibleError
from gtrade.problems.base import make_batch
from gtrade.problems.general_costs import check_linear
from tests.references import general_costs as reference

LOWS, HIGHS = [-2, 0, -1, -3], [3, 2, 4, 0]
NUMBERS = {
    "horizon": 4,
    "targets": [4, -2, 1],
    "min_trade": LOWS,
    "max_trade": HIGHS,
    "permanent_impact": 0.7,
}
# Limits of single steps alone, then with a fee and with the square-root law.
KINDS = [{}, {"fixed_fee": 0.8}, {"temporary_exponent": 0.5, "fixed_fee": 0.8}]


def game_of(**changes):
    return gtrade.TradingGame(**{**NUMBERS, **changes})


def reference_of(kind, kappa=0.7):
    """Return the kind's numbers for the reference."""
    return {
        "kappa": kappa,
        "exponent": kind.get("temporary_exponent", 1.0),
        "fee": kind.get("fixed_fee", 0.0),
    }


def random_schedules(rng, *shape):
    """Return buying and selling within the limits of each step, targets aside."""
    return rng.integers(LOWS, np.add(HIGHS, 1), (*shape, 4))


def tolerance(x64):
    return {"rtol": 1e-12, "atol": 1e-12} if x64 else {"rtol": 2e-5, "atol": 1e-4}


@pytest.mark.parametrize("kind", KINDS)
def test_costs_agree_with_the_definition(x64, kind):
    rng = np.random.default_rng(0)
    game = game_of(**kind)
    for profile in random_schedules(rng, 10, 3):
        wanted = [reference.cost(profile, i, **reference_of(kind)) for i in range(3)]
        costs, welfare = game.costs(profile), game.welfare(jnp.asarray(profile))
        np.testing.assert_allclose(costs, wanted, **tolerance(x64))
        np.testing.assert_allclose(welfare, sum(wanted), **tolerance(x64))
    assert costs.dtype == game.permanent_impact.dtype


@pytest.mark.parametrize("kind", KINDS)
def test_cost_matrix_agrees_with_the_definition(x64, kind):
    rng = np.random.default_rng(1)
    own, others = random_schedules(rng, 7), 3 * random_schedules(rng, 5)
    matrix = jax.jit(lambda game: game.cost_matrix(own, jnp.asarray(others, jnp.int8)))(
        game_of(**kind)
    )
    wanted = [
        [reference.cost([a, b], 0, **reference_of(kind)) for b in others] for a in own
    ]
    np.testing.assert_allclose(matrix, wanted, **tolerance(x64))
    assert matrix.dtype == (np.float64 if x64 else np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_step_tables_add_up_to_expected_costs(x64, kind):
    rng = np.random.default_rng(2)
    game = game_of(**kind)
    others = 2 * random_schedules(rng, 4)
    weights = np.array([0.5, 0.2, 0.3, 0.0])
    others[3] = 10**6  # padding
    table = np.asarray(game.expected_step_costs(others, jnp.asarray(weights)))
    assert table.shape == (4, 8)
    trades = np.arange(-3, 5)
    forbidden = (trades < np.array(LOWS)[:, None]) | (trades > np.array(HIGHS)[:, None])
    np.testing.assert_array_equal(np.isinf(table), forbidden)
    for own in random_schedules(rng, 8):
        costs = [reference.cost([own, b], 0, **reference_of(kind)) for b in others[:3]]
        found = table[np.arange(4), own + 3].sum() + game.own_constant(own.sum())
        np.testing.assert_allclose(found, weights[:3] @ costs, **tolerance(x64))


def test_only_the_mean_flow_counts_while_prices_are_linear(in_float64):
    flows = jnp.asarray([[4, 0, -2, 6], [0, 2, 4, -2]])
    weights, one = jnp.asarray([0.25, 0.75]), jnp.ones(1)
    mean = (weights @ flows.astype(float))[None]
    for kind, is_linear in (({"fixed_fee": 1.0}, 1), ({"temporary_exponent": 2.0}, 0)):
        game = game_of(**kind)
        mixed = game.expected_step_costs(flows, weights)
        same = np.allclose(mixed, game.expected_step_costs(mean, one))
        assert same == is_linear


@pytest.mark.parametrize("changes", [{}, {"temporary_exponent": 1.0, "fixed_fee": 0.0}])
def test_trivial_numbers_make_the_linear_game(x64, changes):
    box = {"min_trade": -3, "max_trade": 4}
    linear = game_of(**box)
    listed = game_of(min_trade=[-3] * 4, max_trade=np.full(4, 4), **changes)
    assert (listed.min_trade, listed.max_trade) == (-3, 4)
    assert not linear.is_general
    assert listed.is_general == bool(changes)
    rng = np.random.default_rng(3)
    profile = random_schedules(rng, 3)
    np.testing.assert_array_equal(linear.costs(profile), listed.costs(profile))
    own, others = random_schedules(rng, 5), random_schedules(rng, 6)
    np.testing.assert_allclose(
        linear.cost_matrix(own, others), listed.cost_matrix(own, others), rtol=1e-5
    )
    weights = jnp.full((6,), 1 / 6)
    np.testing.assert_allclose(
        linear.expected_step_costs(others, weights),
        listed.expected_step_costs(others, weights),
        rtol=1e-4,
        atol=1e-5,
    )
    if not changes:
        assert eqx.tree_equal(linear, listed)
        assert jax.tree.structure(linear) == jax.tree.structure(listed)


def test_bounds_of_the_steps():
    game = game_of()
    assert game.is_general
    assert game.min_trade == tuple(LOWS)
    assert (game.lowest_trade, game.highest_trade, game.largest_trade) == (-3, 4, 4)
    for bounds, expected in zip(game.trade_bounds, (LOWS, HIGHS), strict=True):
        assert isinstance(bounds, np.ndarray)
        assert bounds.dtype == np.int32
        np.testing.assert_array_equal(bounds, expected)
    mixed = game_of(min_trade=-3)
    assert (mixed.lowest_trade, mixed.highest_trade) == (-3, 4)
    np.testing.assert_array_equal(mixed.trade_bounds[0], [-3] * 4)
    plain = game_of(min_trade=-3, max_trade=4)
    assert (plain.lowest_trade, plain.highest_trade) == (-3, 4)
    assert plain.allowed_trades.all()
    assert hash(game.min_trade) == hash(tuple(LOWS))


def test_buyers_and_sellers_mirror_each_other(in_float64):
    kind = {"temporary_exponent": 0.6, "fixed_fee": 0.5}
    profile = random_schedules(np.random.default_rng(4), 3)
    mirrored = {
        "targets": [-4, 2, -1],
        "min_trade": [-x for x in HIGHS],
        "max_trade": [-x for x in LOWS],
    }
    np.testing.assert_allclose(
        game_of(**kind).costs(profile), game_of(**kind, **mirrored).costs(-profile)
    )


def test_narrow_integers_do_not_wrap():
    game = gtrade.TradingGame(
        horizon=2,
        targets=[200, 200],
        min_trade=0,
        max_trade=[120, 100],
        permanent_impact=1.0,
        temporary_exponent=1.0,
        fixed_fee=1.0,
    )
    profile = np.array([[100, 100], [100, 100]], np.int8)

    @jax.jit
    def evaluate(game, profile):
        steps = game.expected_step_costs(profile[:1], jnp.ones(1))[:, 100].sum()
        total = steps + game.own_constant(200)
        return game.costs(profile), game.cost_matrix(profile, profile), total

    costs, matrix, total = evaluate(game, profile)
    assert costs.tolist() == [60_002, 60_002]
    assert matrix.tolist() == [[60_002] * 2] * 2
    assert total == 60_002


def test_batch_equals_single(x64):
    exponents, fees = np.array([0.5, 1.0, 1.7]), np.array([0.0, 2.0, 0.3])
    batch = make_batch(
        gtrade.TradingGame,
        **NUMBERS,
        temporary_exponent=exponents,
        fixed_fee=fees,
    )
    assert batch.temporary_exponent.shape == (3,)
    own = random_schedules(np.random.default_rng(5), 4)
    weights = jnp.full((4,), 0.25)

    def evaluate(game):
        return (
            game.costs(own[:3]),
            game.cost_matrix(own, own),
            game.expected_step_costs(own, weights),
        )

    rows = jax.jit(jax.vmap(evaluate))(batch)
    for i in range(3):
        game = game_of(temporary_exponent=exponents[i], fixed_fee=fees[i])
        for row, alone in zip(rows, jax.jit(evaluate)(game), strict=True):
            np.testing.assert_allclose(row[i], alone, rtol=1e-5, atol=1e-5)


BAD = [
    ("temporary_exponent", 0.0, "temporary_exponent must be greater than 0; got"),
    ("temporary_exponent", -1.0, "temporary_exponent must be greater than 0; got"),
    ("temporary_exponent", float("inf"), "temporary_exponent must be finite; got"),
    ("fixed_fee", -0.5, "fixed_fee must be at least 0; got"),
    ("fixed_fee", float("nan"), "fixed_fee must be finite; got"),
    (
        "min_trade",
        [-2, 0, -1],
        r"min_trade must be a whole number, or a list of one for each of 4 steps;"
        r" got .-2, 0, -1.$",
    ),
    ("min_trade", [], r"min_trade must be a whole number, or a list.*; got "),
    ("max_trade", [3, 2, 4, 0.5], r"max_trade must be a whole number, or a list of"),
    ("max_trade", [3, 2, 4, True], r"max_trade must be a whole number, or a list of"),
    ("max_trade", [[3, 2], [4, 0]], r"max_trade must be a whole number, or a list of"),
    ("max_trade", [[3, 2], [4]], r"max_trade must be a whole number, or a list of"),
    ("max_trade", 2.5, "max_trade must be a whole number; got 2.5"),
    ("max_trade", [3, 2, 2**40, 1], "max_trade must fit 32 bits"),
    (
        "max_trade",
        [3, -1, 4, 0],
        r"max_trade must be at least min_trade in every step; got .3, -1, 4, 0.$",
    ),
    ("max_trade", -2, "max_trade must be at least min_trade in every step; got -2"),
    ("max_trade", [3, 2, 2**30, 1], r"max_trade must keep .* below 2\^31"),
    (
        "targets",
        [4, 10],
        r"targets must lie in \[-6, 9\], what 4 trades within the limits can",
    ),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_inadmissible_numbers_are_named(name, value, message):
    for build in (gtrade.TradingGame, lambda **x: make_batch(gtrade.TradingGame, **x)):
        with pytest.raises(InadmissibleError, match=message):
            build(**{**NUMBERS, name: value})


def test_equal_limits_still_need_one_for_each_step():
    with pytest.raises(ValueError, match="a list of one for each of 4 steps"):
        game_of(min_trade=[-3, -3])


def test_columns_report_their_bad_rows():
    with pytest.raises(InadmissibleError, match="greater than 0.*row 1") as error:
        make_batch(gtrade.TradingGame, **NUMBERS, temporary_exponent=[0.5, 0.0, 1.0])
    assert error.value.bad_rows == (1,)
    with pytest.raises(ValueError, match=r"fixed_fee must have shape \(\)"):
        jax.jit(lambda fee: game_of(fixed_fee=fee))(jnp.ones(2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"fixed_fee": np.array([0.5, 1])},
            "fixed_fee must be left out with X, .*; got 0.5",
        ),
        ({"temporary_exponent": 1.0}, "temporary_exponent must be left out with X"),
        ({"max_trade": [1, 2, 3, 4]}, "max_trade must be one number for all steps"),
    ],
)
def test_general_numbers_are_refused_by_name(changes, message):
    linear = {**NUMBERS, "min_trade": [-3] * 4, "max_trade": 4, "fixed_fee": None}
    check_linear("X", linear)
    with pytest.raises(InadmissibleError, match=message):
        check_linear("X", {**linear, **changes})
