import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gtrade
from gtrade._checks import InadmissibleError
from gtrade.problems.base import is_batch, make_batch
from tests.references import kearns_shi as reference

NUMBERS = {
    "horizon": 5,
    "targets": [7, -3, 4],
    "min_trade": -4,
    "max_trade": 6,
    "permanent_impact": 1.3,
}


def random_profile(rng, players=3, horizon=5):
    return rng.integers(-4, 7, (players, horizon))


@pytest.mark.parametrize("kappa", [0.0, 0.7, 2.0, 5.0])
def test_costs_agree_with_the_definition(x64, kappa):
    rng = np.random.default_rng(0)
    game = gtrade.TradingGame(**{**NUMBERS, "permanent_impact": kappa})
    for _ in range(20):
        profile = random_profile(rng)
        a = profile.astype(np.int32) if rng.integers(2) else jnp.asarray(profile)
        rtol = 1e-12 if x64 else 1e-5
        for name, expected in [
            ("costs", lambda p, i: reference.cost(p, i, kappa)),
            ("temporary_costs", reference.temporary_cost),
            ("permanent_costs", reference.permanent_cost),
            ("averaged_permanent_costs", reference.averaged_permanent_cost),
        ]:
            wanted = [expected(profile, i) for i in range(3)]
            np.testing.assert_allclose(getattr(game, name)(a), wanted, rtol=rtol)
        assert game.potential(a) == reference.potential(profile)
        np.testing.assert_allclose(
            game.welfare(a), reference.welfare(profile, kappa), rtol=rtol
        )


@pytest.mark.parametrize("kappa", [0.0, 0.7, 2.0, 5.0])
def test_decomposition_and_welfare_identity(in_float64, kappa):
    rng = np.random.default_rng(1)
    game = gtrade.TradingGame(**{**NUMBERS, "permanent_impact": kappa})
    profile = jnp.asarray(random_profile(rng))
    temporary = game.temporary_costs(profile).astype(float)
    averaged = game.averaged_permanent_costs(profile)
    total = float(profile.sum())
    # KS25 Lemma 4.7 and Theorem 4.8; the targets here are whatever the profile holds.
    np.testing.assert_allclose(averaged.sum(), total**2 / 2)
    np.testing.assert_allclose(
        game.costs(profile), (1 - kappa / 2) * temporary + kappa * averaged
    )
    flow = profile.sum(axis=0)
    square = float((flow**2).sum())
    identity = (1 - kappa / 2) * square + kappa / 2 * total**2
    np.testing.assert_allclose(game.welfare(profile), identity)


def test_potential_tracks_unilateral_moves_without_permanent_impact(in_float64):
    rng = np.random.default_rng(2)
    game = gtrade.TradingGame(**{**NUMBERS, "permanent_impact": 0.0})
    for _ in range(20):
        before = random_profile(rng)
        after = before.copy()
        player = rng.integers(3)
        after[player] = random_profile(rng)[player]
        before, after = jnp.asarray(before), jnp.asarray(after)
        gained = game.costs(after)[player] - game.costs(before)[player]
        assert gained == float(game.potential(after) - game.potential(before))


def test_relabelled_players_permute_the_costs(in_float64):
    rng = np.random.default_rng(3)
    game = gtrade.TradingGame(**NUMBERS)
    profile = jnp.asarray(random_profile(rng))
    order = jnp.asarray([2, 0, 1])
    np.testing.assert_allclose(game.costs(profile)[order], game.costs(profile[order]))


BAD = [
    ("horizon", 0, "horizon must be at least 1; got 0"),
    ("horizon", 2.5, "horizon must be a whole number; got 2.5"),
    ("horizon", True, "horizon must be a whole number; got True"),
    ("targets", [7, -30, 4], r"targets must lie in \[-20, 30\]"),
    ("targets", [7.5, 1], r"targets must be a whole number"),
    ("targets", [], r"targets must"),
    ("targets", "ten", "targets must be a whole number; got 'ten'"),
    ("min_trade", 7, "max_trade must be at least min_trade = 7; got 6"),
    ("max_trade", 2**29, r"max_trade must keep horizon times trades.*below 2\^31"),
    ("permanent_impact", -0.1, "permanent_impact must be at least 0; got"),
    ("permanent_impact", float("nan"), "permanent_impact must be finite; got"),
    ("permanent_impact", float("inf"), "permanent_impact must be finite; got"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD)
def test_inadmissible_numbers_are_named(name, value, message):
    with pytest.raises(ValueError, match=message):
        gtrade.TradingGame(**{**NUMBERS, name: value})


def test_a_column_reports_all_its_bad_rows():
    kappa = [0.0, -1.0, 2.0, -3.0]
    with pytest.raises(InadmissibleError, match="row 1, and 1 more of 4") as error:
        make_batch(gtrade.TradingGame, **{**NUMBERS, "permanent_impact": kappa})
    assert error.value.argument == "permanent_impact"
    assert error.value.bad_rows == (1, 3)


def test_shapes_are_checked_under_tracing():
    def build(kappa):
        return gtrade.TradingGame(**{**NUMBERS, "permanent_impact": kappa})

    with pytest.raises(ValueError, match=r"permanent_impact must have shape \(\)"):
        jax.jit(build)(jnp.ones(2))


def test_traced_numbers_are_checked_lane_by_lane(in_float64):
    def admit(targets, kappa, exponent, fee):
        game = gtrade.TradingGame(
            targets=targets,
            permanent_impact=kappa,
            horizon=3,
            min_trade=-1,
            max_trade=4,
            temporary_exponent=exponent,
            fixed_fee=fee,
        )
        return game.admitted()

    good = [np.array([12, -3]), 0.0, 0.5, 0.0]
    bad = [
        (0, np.array([13, 0])),
        (0, np.array([0, -4])),
        *((1, x) for x in (np.nan, -1.0, np.inf)),
        *((2, x) for x in (np.nan, 0.0, np.inf)),
        *((3, x) for x in (np.nan, -0.1, np.inf)),
    ]
    lanes = [good] + [[*good[:i], x, *good[i + 1 :]] for i, x in bad]
    columns = [np.array(column) for column in zip(*lanes, strict=True)]
    games, is_good = jax.jit(jax.vmap(admit))(*columns)
    assert is_good.tolist() == [True] + [False] * len(bad)
    assert games.targets.dtype == jnp.int32
    np.testing.assert_array_equal(games.targets[:3], [[12, -3], [12, 0], [0, -3]])
    np.testing.assert_array_equal(games.permanent_impact[:6], [0, 0, 0, 1, 1, 1])
    gtrade.TradingGame.validate(**vars(games))


def test_batch_from_columns():
    kappa = np.linspace(0, 3, 4)
    batch = make_batch(gtrade.TradingGame, **{**NUMBERS, "permanent_impact": kappa})
    assert is_batch(batch)
    assert batch.targets.shape == (4, 3)
    row = jax.tree.map(lambda x: x[2], batch)
    assert not is_batch(row)
    single = gtrade.TradingGame(**{**NUMBERS, "permanent_impact": kappa[2]})
    assert eqx.tree_equal(row, single)


def test_columns_of_unequal_length_are_refused():
    columns = {"permanent_impact": [0.0, 1.0], "targets": [[7, -3, 4]] * 3}
    with pytest.raises(ValueError, match="columns must have one length"):
        make_batch(gtrade.TradingGame, **{**NUMBERS, **columns})
    with pytest.raises(ValueError, match="at least one column, or `size`"):
        make_batch(gtrade.TradingGame, **NUMBERS)


def test_known_profiles():
    # KS25: (2,2,2,2,2) for both players at kappa = 0 costs 80 in all.
    game = gtrade.TradingGame(
        horizon=5, targets=[10, 10], min_trade=-5, max_trade=5, permanent_impact=0.0
    )
    even = jnp.full((2, 5), 2)
    assert game.welfare(even) == 80
    assert game.potential(even) == 60


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32])
def test_narrow_integers_do_not_wrap(dtype):
    game = gtrade.TradingGame(
        horizon=5, targets=[200] * 2, min_trade=-50, max_trade=100, permanent_impact=1.0
    )
    profile = np.full((2, 5), 40, dtype)
    for given in (profile, jnp.asarray(profile)):
        assert game.temporary_costs(given).tolist() == [16000, 16000]
        assert game.permanent_costs(given).tolist() == [32000, 32000]
        assert game.potential(given) == 24000
        assert game.costs(given).tolist() == [48000, 48000]
    flow = jnp.asarray(profile[1])
    np.testing.assert_array_equal(
        gtrade.best_response(game, flow), [100, 85, 45, 5, -35]
    )


def test_costs_beyond_32_bits_are_refused_or_exact():
    numbers = {"horizon": 2, "targets": [50_000] * 2, "permanent_impact": 0.0}
    game = gtrade.TradingGame(**numbers, min_trade=0, max_trade=50_000)
    profile = np.array([[50_000, 0], [50_000, 0]])
    with pytest.raises(ValueError, match="beyond 32-bit integers.*enable_x64"):
        game.potential(profile)
    with jax.enable_x64(True):
        assert game.potential(profile) == 7_500_000_000


def test_static_numbers_cannot_be_columns():
    with pytest.raises(ValueError, match="horizon must be one value for the whole"):
        make_batch(gtrade.TradingGame, **{**NUMBERS, "horizon": [5, 6]})


def test_a_range_beyond_32_bits_is_refused():
    wide = {"horizon": 100, "targets": [0, 0], "permanent_impact": 0.0}
    with pytest.raises(ValueError, match=r"below 2\^31"):
        gtrade.TradingGame(**wide, min_trade=-15_000_000, max_trade=15_000_000)
