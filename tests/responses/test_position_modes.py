import jax
import numpy as np
import pytest

from gtrade.problems.position_building import PositionBuilding
from gtrade.problems.repeated_positions import mean_positions
from gtrade.responses.position_modes import (
    line_equilibrium,
    mode_positions,
    monotonicity_modulus,
)
from tests.references import position_building as reference
from tests.references import position_grid

equilibrium_of = jax.jit(line_equilibrium, static_argnums=1)
modulus_of = jax.jit(monotonicity_modulus)
pytestmark = pytest.mark.usefixtures("in_float64")


def random_game(seed, shape, **changes):
    prior, kappa, targets = reference.random_game(np.random.default_rng(seed), shape)
    kappa = changes.get("kappa", kappa)
    game = PositionBuilding(kappa, targets, num_types=shape, prior=prior)
    return game, reference.conditionals(prior), np.broadcast_to(kappa, targets.shape)


@pytest.mark.parametrize("num_cells", [2, 7, 12])
@pytest.mark.parametrize("shape", [(1,), (1, 1), (2, 3), (1, 2, 2)])
def test_equilibrium_matches_the_dense_system_of_the_discrete_game(shape, num_cells):
    game, beliefs, kappa = random_game(num_cells, shape)
    kd = position_grid.discrete_impact(kappa, num_cells)
    targets = np.asarray(game.targets)
    trades = position_grid.discrete_equilibrium(beliefs, kd, targets, num_cells)
    rates = equilibrium_of(game, num_cells)
    np.testing.assert_allclose(rates, trades * num_cells, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("num_cells", [5, 8])
def test_positions_are_diagonal_in_the_modes(num_cells):
    cells = np.arange(num_cells)
    for n, value in enumerate(mode_positions(num_cells)):
        if n:
            mode = np.exp(2j * np.pi * n * cells / num_cells)
            moved = mode @ mean_positions(num_cells)
            np.testing.assert_allclose(moved - moved.mean(), value * mode, atol=1e-14)


def modulus(prior, kappa):
    """Return the modulus from the pencil sym(W A) v = mu W v, by SciPy."""
    from scipy.linalg import eigh

    prior = np.asarray(prior)
    weights = reference.marginals(prior) / kappa
    matrix = weights[:, None] * (2 * np.eye(len(kappa)) + reference.conditionals(prior))
    return eigh((matrix + matrix.T) / 2, np.diag(weights), eigvals_only=True)[0]


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1,), (2, 2), (2, 1, 3)])
def test_modulus_is_the_least_eigenvalue(shape):
    prior, kappa, targets = reference.random_game(np.random.default_rng(3), shape)
    game = PositionBuilding(kappa, targets, num_types=shape, prior=prior)
    exact = modulus(prior, kappa)
    np.testing.assert_allclose(modulus_of(game), exact, rtol=1e-9)
    common, _, _ = random_game(3, shape, kappa=np.full(sum(shape), 4.0))
    expected = 2.0 if shape == (1,) else 1.0
    np.testing.assert_allclose(modulus_of(common), expected, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_firms", "ratio"), [(2, 7 + 4 * 3**0.5), (3, 9.90), (5, 7.87), (10, 6.74)]
)
def test_rosens_condition_fails_at_the_published_ratios(num_firms, ratio):
    def of(r):
        kappa = np.array([r] + [1.0] * (num_firms - 1))
        return float(modulus_of(PositionBuilding(kappa, np.ones(num_firms))))

    assert of(0.998 * ratio) > 0 > of(1.002 * ratio)


def test_modulus_is_undefined_where_only_some_impacts_vanish():
    of = modulus_of
    assert np.isnan(of(PositionBuilding([0.0, 1.0], [1.0, 1.0])))
    np.testing.assert_allclose(of(PositionBuilding([0.0, 0.0], [1.0, 1.0])), 1.0)


def test_rosens_condition_is_sharp_for_two_firms():
    # Gradient play turns unstable where an eigenvalue of A + K P L loses its sign; for
    # large impacts that is just beyond the ratio at which the modulus does.
    def least_real_part(kappa):
        steep = np.array([[2.0, 1.0], [1.0, 2.0]], complex)
        steep += mode_positions(256)[1] * np.array([[0, kappa[0]], [kappa[1], 0]])
        return np.linalg.eigvals(steep).real.min()

    assert least_real_part([1e5, 1e5 / 13.9]) > 0 > least_real_part([1e5, 1e5 / 14.0])
    # (kappa_1 / 2 pi)^2 (1 - 14 / r + 1 / r^2) = 48 is the boundary.
    edge = 2 * np.pi * np.sqrt(48 / (1 - 14 / 20 + 1 / 400))
    low, high = 0.995 * edge, 1.005 * edge
    assert least_real_part([low, low / 20]) > 0 > least_real_part([high, high / 20])
