"""Answers that are no histories of play: mixed, fractional and correlated strategies.

Solvers return them, verification reads them; they know neither.
"""

import equinox as eqx
from jaxtyping import Array, Float, Int


class MixedPair(eqx.Module):
    """Independent mixed strategies of the two players of a bimatrix game.

    Attributes:
        row: probabilities of the row player's strategies, shape (rows,).
        col: probabilities of the column player's strategies, shape (cols,).
    """

    row: Float[Array, " rows"]
    col: Float[Array, " cols"]


class MixedSchedules(eqx.Module):
    """Independent mixed strategies in a trading game, by their supports.

    Attributes:
        schedules: flows of the schedules in each player's support, shape (players,
            support, horizon), whole shares; padded.
        weights: their probabilities, shape (players, support); zero where padded.
    """

    schedules: Int[Array, "players support horizon"]
    weights: Float[Array, "players support"]


class FractionalSchedules(eqx.Module):
    """Schedules in fractional shares, and schedules in whole lots close to them.

    Attributes:
        trades: fractional flows, shape (players, horizon).
        schedules: whole flows, shape (players, horizon).
    """

    trades: Float[Array, "players horizon"]
    schedules: Int[Array, "players horizon"]
