"""No-swap-regret play: a tree of FTPL learners per player (TreeSwap).

The update and mixture rules, after Dagan, Daskalakis, Fishelson & Golowich 2024
(algorithm TreeSwap) and Kearns & Shi 2025, appendix A. With branching M and depth d,
R = M^d rounds are played. Write round r = 0 .. R-1 in base M with digits s_1 .. s_d,
the first most significant.

- Each level h = 1 .. d holds one FTPL learner at a time. Its meta-round lasts
  M^(d-h) rounds, and it lives for M meta-rounds.
- When a meta-round of level h begins (s_{h+1} = .. = s_d = 0), the learner is new if
  s_h = 0; otherwise it first learns the *average* flow of the meta-round just ended, as
  one round. Its mixed strategy - the perturbed leader over the draw of the noise - then
  stands for the whole meta-round.
- In every round the player draws a level uniformly, then a schedule from that level's
  mixed strategy, with fresh noise. (Holding one draw for a meta-round would let an
  opponent exploit it within the meta-round.)
"""

from collections.abc import Mapping
from typing import Any, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from gtrade._checks import InadmissibleError, check_integer
from gtrade.numerics.precision import integer_dtype_for
from gtrade.problems.discrete_trading import TradingGame
from gtrade.problems.general_costs import check_linear, require_linear
from gtrade.solution import Solution
from gtrade.solvers.base import AbstractLearner, AbstractSolver
from gtrade.solvers.ftpl import (
    FTPL,
    as_noise,
    check_learner,
    check_noise,
    completed_play,
    full_leader,
    learner_options,
    with_target_range,
)
from gtrade.solvers.self_play import Play, self_play


class SwapDraw(eqx.Module):
    """One round's randomness of one player.

    Attributes:
        noise: perturbations of the leader, shape (2 * horizon,).
        level: the level to play, 0 .. depth-1, shape ().
    """

    noise: Float[Array, "*rounds noise"]
    level: Int[Array, "*rounds"]


class SwapState(eqx.Module):
    """What one player remembers.

    Attributes:
        learned: flow in each level's finished meta-rounds, summed over their rounds,
            shape (depth, horizon).
        running: flow in each level's current meta-round, shape (depth, horizon).
        round_index: the round to be played next, shape ().
    """

    learned: Int[Array, "depth horizon"]
    running: Int[Array, "depth horizon"]
    round_index: Int[Array, ""]


class SwapFTPL(AbstractSolver, AbstractLearner):
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

    def cpu_compiler_options(self, problems: Any) -> dict[str, Any]:
        """Return those of the learners in its tree."""
        return learner_options(problems, self.target_range, has_program=True)

    def __check_init__(self) -> None:
        """Check shapes, and values where they are concrete."""
        check_learner(self)

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
        if int(branching) ** min(int(depth), 31) >= 2**31:
            rule = f"keep branching ** depth below 2^31 (branching = {branching})"
            raise InadmissibleError("depth", rule, depth)

    @classmethod
    def validate_for(cls, problem: Mapping[str, Any], **numbers: Any) -> None:
        """Raise ValueError for games with general one-step costs."""
        del numbers
        check_linear("SwapFTPL", problem)

    @property
    def num_rounds(self) -> int:
        """Rounds of play, branching ** depth."""
        return self.branching**self.depth

    def prepare(self, problems: TradingGame) -> Self:
        """Note the range of targets, which bounds the dynamic program's tables."""
        return with_target_range(self, problems)

    def init(self, game: TradingGame) -> SwapState:
        """Return empty sums, in an integer dtype that cannot overflow.

        Raises:
            ValueError: for a game with general one-step costs.
        """
        require_linear("SwapFTPL", game)
        flow = (game.num_players - 1) * game.largest_trade
        bound = self.num_rounds * max(flow, 1) * game.horizon
        dtype = integer_dtype_for(bound, f"flow summed over {self.num_rounds} rounds")
        sums = jnp.zeros((self.depth, game.horizon), dtype)
        return SwapState(sums, sums, jnp.zeros((), jnp.int32))

    def draw(self, game: TradingGame, key: PRNGKeyArray) -> SwapDraw:
        """Return one round's noise and level."""
        noise_key, level_key = jax.random.split(key)
        noise = self._inner().draw(game, noise_key)
        return SwapDraw(noise, jax.random.randint(level_key, (), 0, self.depth))

    def act(
        self,
        game: TradingGame,
        target: Int[Array, ""],
        state: SwapState,
        noise: SwapDraw,
    ) -> Int[Array, " horizon"]:
        """Return a schedule drawn from the mixed strategy of the drawn level."""
        period = self._periods()[noise.level]
        history = game.price_pressure(state.learned[noise.level])
        return full_leader(
            game,
            target,
            history / period.astype(history.dtype),
            (state.round_index // period) % self.branching,
            noise.noise,
            self.target_range,
        )

    def update(
        self, state: SwapState, opponents_flow: Int[Array, " horizon"]
    ) -> SwapState:
        """Add a round's flow; hand it on at every level whose meta-round it ends."""
        running = state.running + opponents_flow.astype(state.running.dtype)[None]
        upcoming = state.round_index + 1
        periods = self._periods()[:, None]
        begins = upcoming % periods == 0
        is_new = (upcoming // periods) % self.branching == 0
        learned = jnp.where(begins, state.learned + running, state.learned)
        return SwapState(
            jnp.where(begins & is_new, 0, learned),
            jnp.where(begins, 0, running),
            upcoming,
        )

    def solve(
        self,
        problem: TradingGame,
        *,
        key: PRNGKeyArray | None = None,
        noise: SwapDraw | None = None,
    ) -> Solution[Play]:
        """Play branching ** depth rounds against copies of oneself.

        Args:
            problem: one game.
            key: source of randomness; required unless `noise` is given.
            noise: recorded draws to replay, with leading axes (rounds, players).

        Returns:
            The play, with status `completed` (or `invalid_input`) and residual zero.
        """
        play = self_play(
            self, problem, num_rounds=self.num_rounds, key=key, noise=noise
        )
        level = self._inner().noise_level(problem)
        return completed_play(problem, level, play, self.num_rounds)

    def _inner(self) -> FTPL:
        return FTPL(noise=self.noise, num_rounds=self.branching)

    def _periods(self) -> Int[Array, " depth"]:
        exponents = range(self.depth - 1, -1, -1)
        return jnp.asarray([self.branching**e for e in exponents], jnp.int32)
