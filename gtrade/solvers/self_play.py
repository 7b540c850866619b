"""Repeated play: learners against copies of themselves, records or adversaries."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from gtrade._arrays import smallest_int_dtype
from gtrade.numerics.precision import widen
from gtrade.numerics.threefry import fold_in
from gtrade.problems.discrete_trading import TradingGame
from gtrade.problems.general_costs import require_linear
from gtrade.responses.separable import separable_response
from gtrade.solvers.base import AbstractLearner

# Rounds whose noise is drawn together: enough to spread the fixed cost of the draw,
# few enough to stay in cache (measured on CPU, where 10 to 50 do equally well).
_NOISE_BLOCK = 25


class Play(eqx.Module):
    """What all players did in every round.

    Attributes:
        schedules: flows, shape (rounds, players, horizon), in the narrowest integer
            dtype that holds the trade limits.
    """

    schedules: Int[Array, "rounds players horizon"]


def self_play(
    learner: AbstractLearner,
    game: TradingGame,
    *,
    num_rounds: int,
    key: PRNGKeyArray | None = None,
    noise: Any = None,
) -> Play:
    """Let every player of a game use the same learner, all moving at once.

    Args:
        learner: the learner; each player keeps a state of its own.
        game: one instance.
        num_rounds: rounds of play (static).
        key: source of the noise: player i draws from `split(key, players)[i]`, folded
            with the round.
        noise: recorded draws instead of a key, with leading axes (rounds, players).

    Returns:
        The history of play.
    """
    players = jnp.arange(game.num_players)
    dtype = smallest_int_dtype(game.lowest_trade, game.highest_trade)

    def play_round(states, noise):
        act = jax.vmap(learner.act, in_axes=(None, 0, 0, 0))
        profile = act(game, game.targets, states, noise)
        flows = widen(profile)
        others = flows.sum(axis=0, dtype=flows.dtype)[None] - flows
        states = jax.vmap(learner.update)(states, others)
        return states, profile.astype(dtype)

    states = jax.vmap(lambda _: learner.init(game))(players)
    if noise is not None:
        _, schedules = jax.lax.scan(play_round, states, noise, length=num_rounds)
        return Play(schedules)
    if key is None:
        raise ValueError("self_play needs a `key`, or recorded `noise`")
    player_keys = jax.random.split(key, game.num_players)

    def play_block(states, block):
        rounds = block * _NOISE_BLOCK + jnp.arange(_NOISE_BLOCK)
        noise = jax.vmap(
            lambda r: jax.vmap(lambda k: learner.draw(game, fold_in(k, r)))(player_keys)
        )(rounds)
        return jax.lax.scan(play_round, states, noise)

    num_blocks = -(-num_rounds // _NOISE_BLOCK)
    _, schedules = jax.lax.scan(play_block, states, jnp.arange(num_blocks))
    schedules = schedules.reshape(-1, *schedules.shape[2:])
    return Play(schedules[:num_rounds])


class AbstractOpponent(eqx.Module):
    """The rest of the market, as one learner sees it."""

    @abc.abstractmethod
    def flow(
        self,
        game: TradingGame,
        round_index: Int[Array, ""],
        mean_schedule: Float[Array, " horizon"],
    ) -> Int[Array, " horizon"]:
        """Return the flow of a round, shape (horizon,).

        Args:
            game: one instance.
            round_index: 0, 1, ...
            mean_schedule: the learner's expected schedule this round, before its noise
                is drawn - all that an adversary may know.
        """


class RecordedFlow(AbstractOpponent):
    """Flow that was recorded beforehand, shape (rounds, horizon)."""

    flows: Int[Array, "rounds horizon"]

    def flow(self, game, round_index, mean_schedule):
        """Return the record's flow of the round."""
        del game, mean_schedule
        return self.flows[round_index]


class Punisher(AbstractOpponent):
    """An adversary that makes the learner's expected schedule as dear as it can.

    It knows the distribution of the learner's next schedule, not its draw, and trades
    its own target so as to maximise `mean_schedule . M flow` within its limits.
    """

    target: Int[Array, ""]

    def flow(self, game, round_index, mean_schedule):
        """Return the costliest flow against the mean schedule."""
        del round_index
        after = mean_schedule.sum() - jnp.cumsum(mean_schedule)
        gain = mean_schedule + game.permanent_impact * after  # M transposed
        return separable_response(
            -gain,
            jnp.zeros((), gain.dtype),
            self.target,
            min_trade=game.lowest_trade,
            max_trade=game.highest_trade,
        )


def face(
    learner: AbstractLearner,
    opponent: AbstractOpponent,
    game: TradingGame,
    *,
    num_rounds: int,
    key: PRNGKeyArray,
    player: int = 0,
    num_mean_draws: int = 32,
) -> Play:
    """Let one learner play against any opponent.

    Args:
        learner: the learner, in the place of `player`.
        opponent: the others' total flow.
        game: one instance.
        num_rounds: rounds of play (static).
        key: source of the learner's noise.
        player: whose target the learner meets.
        num_mean_draws: draws that estimate the mean schedule shown to the opponent.

    Returns:
        The history with two rows a round: the learner's schedule, the opponent's flow;
        shape (rounds, 2, horizon), int32.

    Raises:
        ValueError: for a game with general one-step costs, or too short a record.
    """
    require_linear("face", game)
    target = game.targets[player]
    if isinstance(opponent, RecordedFlow) and len(opponent.flows) < num_rounds:
        raise ValueError(
            f"num_rounds must be at most the {len(opponent.flows)} rounds of the"
            f" recorded flow; got {num_rounds}"
        )

    def play_round(state, round_index):
        act_key, mean_key = jax.random.split(jax.random.fold_in(key, round_index))

        def act(key):
            return learner.act(game, target, state, learner.draw(game, key))

        guesses = jax.vmap(act)(jax.random.split(mean_key, num_mean_draws))
        flow = opponent.flow(
            game, round_index, guesses.astype(game.permanent_impact.dtype).mean(axis=0)
        )
        schedule = act(act_key)
        return learner.update(state, flow), jnp.stack(
            [schedule, flow.astype(schedule.dtype)]
        )

    _, history = jax.lax.scan(
        play_round, learner.init(game), jnp.arange(num_rounds, dtype=jnp.int32)
    )
    return Play(history)
