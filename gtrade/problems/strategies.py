"""Answers that are no histories of play: mixed, fractional and correlated strategies.

Solvers return them, verification reads them; they know neither.
"""

import equinox as eqx
from jaxtyping import Array, Bool, Float, Int


class MixedPair(eqx.Module):
    """Independent mixed strategies of the two players of a bimatrix game.

    Attributes:
        row: probabilities of the row player's strategies, shape (rows,).
        col: probabilities of the column player's strategies, shape (cols,).
    """

    row: Float[Array, " rows"]
    col: Float[Array, " cols"]


class MixedPairs(eqx.Module):
    """Several mixed pairs of one bimatrix game, padded.

    Attributes:
        row: strategies of the row player, shape (pairs, rows).
        col: strategies of the column player, shape (pairs, cols).
        is_found: which places hold a pair, shape (pairs,).
    """

    row: Float[Array, "pairs rows"]
    col: Float[Array, "pairs cols"]
    is_found: Bool[Array, " pairs"]


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


class CorrelatedExtremes(eqx.Module):
    """The correlated equilibria of least (best) and of greatest (worst) total cost.

    Players' numbers of actions may differ within a batch: what a game has fewer of is
    padded, with probability and multipliers zero.

    Attributes:
        best: probability of every joint action, one axis a player, shape (A_1, ...,
            A_n).
        worst: the same for the greatest total cost.
        best_multipliers: prices of deviations that prove `best` optimal, at least 0;
            shape (players, A) by deviation for "cce", (players, A, A) by action and
            deviation for "ce", where A is the largest A_i.
        worst_multipliers: the same for `worst`.
        num_actions: how many actions each player has, shape (players,).
        schedules: flows behind the actions of a trading game, shape (players, A,
            horizon), in ascending lexicographic order; None for other games.
        concept: "cce" (coarse correlated) or "ce" (correlated equilibrium; static).
    """

    best: Float[Array, "*actions"]
    worst: Float[Array, "*actions"]
    best_multipliers: Float[Array, "players *deviations"]
    worst_multipliers: Float[Array, "players *deviations"]
    num_actions: Int[Array, " players"]
    schedules: Int[Array, "players actions horizon"] | None
    concept: str = eqx.field(static=True)
