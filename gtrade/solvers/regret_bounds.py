"""Proved regret bounds of FTPL, and the noise that makes them smallest.

Kalai & Vempala 2005 (theorem 1.1, additive) for the paper's form; for composite FTPL
the bound of the trading-game page of the docs. Both hold for any flow of the others
within the trade limits, chosen before the round's noise is drawn.
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from gtrade.problems.discrete_trading import TradingGame
from gtrade.problems.general_costs import require_linear


@dataclasses.dataclass(frozen=True)
class _Constants:
    """Constants of a game that the bounds are made of, each of shape ()."""

    diameter: Float[Array, ""]  # l1 diameter of the vectors that noise multiplies
    cost_size: Float[Array, ""]  # l1 size of one round's cost vector
    cost_range: Float[Array, ""]  # dearest minus cheapest schedule, in any round


def regret_bound(
    game: TradingGame, noise: ArrayLike, *, num_rounds: int, perturbation: str
) -> Float[Array, ""]:
    """Bound the expected average regret of any player of a game, shape ().

    Args:
        game: one instance.
        noise: the level eta; perturbations are uniform on [0, eta].
        num_rounds: rounds of play R.
        perturbation: "full" (Kearns & Shi 2025) or "linear" (composite).

    Returns:
        Cost per round by which play can exceed the best fixed schedule, in expectation
        over the noise.

    Raises:
        ValueError: for a game with general one-step costs.
    """
    require_linear("regret_bound", game)
    c = _constants(game, perturbation)
    noise = jnp.asarray(noise, c.diameter.dtype)
    drift = jnp.minimum(1.0, c.cost_size / jnp.maximum(noise, 1e-30)) * c.cost_range
    # Uniform noise has mean eta/2 off its centre only if the vectors' sums differ.
    spread = noise * c.diameter / 2 if perturbation == "linear" else noise * c.diameter
    return spread / num_rounds + drift


def theory_noise(
    game: TradingGame, *, num_rounds: int, perturbation: str
) -> Float[Array, ""]:
    """Return the noise level that minimises `regret_bound`, shape ()."""
    c = _constants(game, perturbation)
    factor = 2.0 if perturbation == "linear" else 1.0
    diameter = jnp.maximum(c.diameter, 1.0)  # a single schedule: any noise will do
    return jnp.sqrt(factor * num_rounds * c.cost_size * c.cost_range / diameter)


def _constants(game: TradingGame, perturbation: str) -> _Constants:
    horizon, low, high = game.horizon, game.lowest_trade, game.highest_trade
    kappa = game.permanent_impact
    dtype = kappa.dtype
    largest = max(abs(low), abs(high))
    steps = jnp.arange(horizon, dtype=dtype)
    # The others' flow per step lies in (n-1) [low, high], their holdings in t times it.
    others = game.num_players - 1
    centre, radius = others * (low + high) / 2, others * (high - low) / 2
    deviation = radius * (1 + kappa * steps)
    pressure = centre * (1 + kappa * steps)
    # Distance of h to the constants: schedules meet a target, so only that matters.
    off_constant = (deviation + jnp.abs(pressure - pressure.mean())).sum()
    span = (pressure + deviation).max() - (pressure - deviation).min()
    # Two schedules of one sum: what exceeds on some steps is missing on others.
    units = game.targets.astype(dtype) - horizon * low
    room = horizon * (high - low)
    half = horizon // 2 * (high - low)
    diameter = 2 * jnp.minimum(jnp.minimum(units, room - units), half).max()
    own_range = jnp.abs(game.own_cost_weight) * horizon * float(largest) ** 2
    cost_range = diameter / 2 * span + own_range
    if perturbation == "linear":
        return _Constants(diameter, off_constant, cost_range)
    # The paper's vectors have a second half a_t (a_t + kappa A_{t-1}), cost 1 each.
    path = 2 * float(largest) ** 2 * (1 + kappa * steps).sum()
    size = (jnp.abs(pressure) + deviation).sum() + horizon
    return _Constants(diameter + path, size, cost_range)
