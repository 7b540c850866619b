"""No-swap-regret play: a tree of FTPL learners per player (TreeSwap).

The update and mixture rules, after Dagan, Daskalakis, Fishelson & Golowich 2024
(algorithm TreeSwap) and Kearns & Shi 2025, appendix A. With branching M and depth d,
R = M^d rounds are played. Write round r = 0 .. R-1 in base M with digits s_1 .. s_d, the
first most significant.

- Each level h = 1 .. d holds one FTPL learner at a time. Its meta-round lasts
  M^(d-h) rounds, and it lives for M meta-rounds.
- When a meta-round of level h begins (s_{h+1} = .. = s_d = 0), the learner is new if
  s_h = 0; otherwise it first learns the *average* flow of the meta-round just ended, as
  one round. Then it draws fresh noise, chooses a schedule and keeps it for the
  meta-round.
- In every round the player plays the schedule of one level, drawn uniformly.
"""

from typing import Any, ClassVar, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from gtrade._arrays import smallest_int_dtype
from gtrade._checks import check_integer, check_shape
from gtrade.numerics.precision import integer_dtype_for
from gtrade.problems.base import validate_if_concrete
from gtrade.problems.discrete_trading import TradingGame
from gtrade.solution import Solution
from gtrade.solvers.base import AbstractSolver
from gtrade.solvers.ftpl import (
    FTPL,
    as_noise,
    check_noise,
    completed_play,
    full_leader,
    with_target_range,
)
from gtrade.solvers.self_play import Play


class SwapNoise(eqx.Module):
    """Draws of one or more rounds.

    Attributes:
        perturbations: shape (..., players, depth, 2 * horizon).
        levels: which level each player plays, 0 .. depth-1, shape (..., players).
    """

    perturbations: Float[Array, "*rounds players depth noise"]
    levels: Int[Array, "*rounds players"]


class SwapFTPL(AbstractSolver):
    """Every player runs TreeSwap over FTPL learners (rules: module docstring).

    Attributes:
        noise: of the inner learners, uniform on [0, noise] on all 2T coordinates, shape
            (); or "theory", for a learner of `branching` rounds.
        branching: M, meta-rounds of a learner (static).
        depth: d, levels of the tree (static).
        target_range: smallest and largest target in the batch, from `prepare` (static).
    """

    noise: Float[Array, ""] | str = eqx.field(converter=as_noise, default=50.0)
    branching: int = eqx.field(static=True, default=150)
    depth: int = eqx.field(static=True, default=2)
    target_range: tuple[int, int] | None = eqx.field(static=True, default=None)

    cpu_compiler_options: ClassVar[dict[str, Any]] = FTPL.cpu_compiler_options

    def __check_init__(self) -> None:
        """Check shapes, and values where they are concrete."""
        if not isinstance(self.noise, str):
            check_shape((), noise=self.noise)
        validate_if_concrete(self)

    @classmethod
    def validate(
        cls,
        *,
        noise: Any = 50.0,
        branching: Any = 150,
        depth: Any = 2,
        target_range: Any = None,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        del target_range
        check_noise(noise)
        check_integer(branching=branching, at_least=2)
        check_integer(depth=depth, at_least=1)

    @property
    def num_rounds(self) -> int:
        """Rounds of play, branching ** depth."""
        return self.branching**self.depth

    def prepare(self, problems: TradingGame) -> Self:
        """Note the range of targets, which bounds the dynamic program's tables."""
        return with_target_range(self, problems)

    def solve(
        self,
        problem: TradingGame,
        *,
        key: PRNGKeyArray | None = None,
        noise: SwapNoise | None = None,
    ) -> Solution[Play]:
        """Play branching ** depth rounds against copies of oneself.

        Args:
            problem: one game.
            key: source of randomness; required unless `noise` is given.
            noise: recorded draws to replay, leading axis (rounds,).

        Returns:
            The play, with status `completed` (or `invalid_input`) and no residual.
        """
        if key is None and noise is None:
            raise ValueError("SwapFTPL needs a `key`, or recorded `noise`")
        game = problem
        level = self._noise_level(game)
        dtype = smallest_int_dtype(game.min_trade, game.max_trade)
        rounds = jnp.arange(self.num_rounds, dtype=jnp.int32)

        def play_round(state, item):
            r, recorded = item
            draws = recorded
            if draws is None:
                draws = self._draw(game, level, jax.random.fold_in(key, r))
            actions, state = self._act(game, state, r, draws.perturbations)
            chosen = jnp.take_along_axis(actions, draws.levels[None, :, None], axis=0)
            profile = chosen[0]
            others = profile.sum(axis=0) - profile
            state = (*state[:1], state[1] + others.astype(state[1].dtype), *state[2:])
            return state, profile.astype(dtype)

        _, schedules = jax.lax.scan(
            play_round, self._initial_state(game), (rounds, noise)
        )
        return completed_play(game, level, Play(schedules), self.num_rounds)

    def _noise_level(self, game: TradingGame) -> Float[Array, ""]:
        return FTPL(noise=self.noise, num_rounds=self.branching).noise_level(game)

    def _draw(self, game: TradingGame, level, key) -> SwapNoise:
        noise_key, level_key = jax.random.split(key)
        shape = (game.num_players, self.depth, 2 * game.horizon)
        dtype = game.permanent_impact.dtype
        perturbations = jax.random.uniform(noise_key, shape, dtype)
        levels = jax.random.randint(level_key, shape[:1], 0, self.depth)
        return SwapNoise(perturbations * level.astype(dtype), levels)

    def _initial_state(self, game: TradingGame):
        """Return (learned flow sums, flow of the running meta-round, schedules)."""
        largest = max(abs(game.min_trade), abs(game.max_trade))
        bound = self.num_rounds * max(1, game.num_players - 1) * largest * game.horizon
        dtype = integer_dtype_for(bound, f"flow summed over {self.num_rounds} rounds")
        sums = jnp.zeros((self.depth, game.num_players, game.horizon), dtype)
        return sums, sums, sums.astype(jnp.int32)

    def _act(self, game: TradingGame, state, r, perturbations):
        """Return every level's schedules this round, after due updates."""
        learned, running, actions = state
        for level in range(self.depth):
            period = self.branching ** (self.depth - 1 - level)
            digit = (r // period) % self.branching

            def begin(learned, running, _, level=level, period=period, digit=digit):
                learned = jnp.where(digit == 0, 0, learned + running)
                act = jax.vmap(
                    lambda target, flow, noise: full_leader(
                        game,
                        target,
                        game.price_pressure(flow) / period,
                        digit,
                        noise,
                        self.target_range,
                    )
                )
                schedules = act(game.targets, learned, perturbations[:, level])
                return learned, jnp.zeros_like(running), schedules

            parts = learned[level], running[level], actions[level]
            if period == 1:
                parts = begin(*parts)
            else:
                # The round is shared by all lanes: under vmap this stays a branch.
                parts = jax.lax.cond(r % period == 0, begin, _keep, *parts)
            learned = learned.at[level].set(parts[0])
            running = running.at[level].set(parts[1])
            actions = actions.at[level].set(parts[2])
        return actions, (learned, running, actions)


def _keep(learned, running, actions):
    return learned, running, actions
