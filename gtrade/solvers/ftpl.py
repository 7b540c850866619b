"""Follow the perturbed leader, in the paper's form and in a composite one.

Costs of past rounds enter only through the integer running sum F of the others' flow:
the cost vector `M F` is formed from it exactly, so that no digits are lost over
thousands of rounds.
"""

from collections.abc import Mapping
from typing import Any, Self

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int, PRNGKeyArray

from gtrade._arrays import as_float
from gtrade._checks import (
    InadmissibleError,
    check_integer,
    check_nonnegative,
    check_shape,
)
from gtrade.numerics.precision import integer_dtype_for
from gtrade.numerics.threefry import uniform
from gtrade.problems.base import replace_fields, validate_if_concrete
from gtrade.problems.discrete_trading import TradingGame
from gtrade.problems.general_costs import check_linear, require_linear
from gtrade.responses.dynamic_programming import is_unrolled, quadratic_response
from gtrade.responses.separable import cheapest_schedule
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractLearner, AbstractSolver
from gtrade.solvers.regret_bounds import theory_noise
from gtrade.solvers.self_play import Play, self_play

PERTURBATIONS = ("full", "linear")


def as_noise(noise: Any) -> Any:
    """Convert a noise level; the named rule stays a text (and so static)."""
    return noise if isinstance(noise, str) else as_float(noise)


def check_learner(learner: Any) -> None:
    """Check the noise's shape under tracing too, and values where they are concrete."""
    if not isinstance(learner.noise, str):
        check_shape((), noise=learner.noise)
    validate_if_concrete(learner)


def check_noise(noise: Any) -> None:
    """Require a number at or above zero, or the text "theory"."""
    if isinstance(noise, str):
        if noise != "theory":
            raise InadmissibleError("noise", 'be a number or "theory"', noise)
        return
    check_nonnegative(noise=noise)


class FTPLState(eqx.Module):
    """All that a learner remembers.

    Attributes:
        flow_sum: the others' flow summed over past rounds (averaged over meta-rounds in
            `SwapFTPL`, hence perhaps floating), shape (horizon,).
        num_rounds: rounds seen, shape ().
    """

    flow_sum: Array
    num_rounds: Int[Array, ""]


class FTPL(AbstractSolver, AbstractLearner):
    """Every player follows its perturbed leader, all moving at once.

    With `perturbation="full"` (Kearns & Shi 2025, section 5) uniform noise falls on all
    2T coordinates of the linearised problem and a dynamic program finds the leader.
    With "linear" (composite FTPL) it falls on the T flows only, the known own cost
    counts the coming round too, and the closed form finds the leader: lower regret and
    a better bound (docs, "Composite FTPL").

    A small noise (about 10 in the paper's game) suits self-play only; against others
    use "theory".

    Attributes:
        noise: perturbations are uniform on [0, noise], shape (); or "theory".
        num_rounds: rounds of play R (static).
        perturbation: "full" or "linear" (static).
        target_range: smallest and largest target in the batch, from `prepare` (static).
    """

    noise: Float[Array, ""] | str = eqx.field(converter=as_noise, default=50.0)
    num_rounds: int = eqx.field(static=True, default=2500)
    perturbation: str = eqx.field(static=True, default="full")
    target_range: tuple[int, int] | None = eqx.field(static=True, default=None)

    def cpu_compiler_options(self, problems: Any) -> dict[str, Any]:
        """Return those of the best responses in use."""
        has_program = self.perturbation == "full"
        return learner_options(problems, self.target_range, has_program=has_program)

    def __check_init__(self) -> None:
        """Check shapes, and values where they are concrete."""
        check_learner(self)

    @classmethod
    def validate(
        cls,
        *,
        noise: Any = 50.0,
        num_rounds: Any = 2500,
        perturbation: Any = "full",
        target_range: Any = None,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        del target_range
        check_noise(noise)
        check_integer(num_rounds=num_rounds, at_least=1)
        if perturbation not in PERTURBATIONS:
            rule = f"be one of {', '.join(PERTURBATIONS)}"
            raise InadmissibleError("perturbation", rule, perturbation)

    @classmethod
    def validate_for(cls, problem: Mapping[str, Any], **numbers: Any) -> None:
        """Raise ValueError for games with general one-step costs."""
        del numbers
        check_linear("FTPL", problem)

    @property
    def uses_closed_form(self) -> bool:
        """Whether the leader comes from the closed form."""
        return self.perturbation == "linear"

    def prepare(self, problems: TradingGame) -> Self:
        """Note the range of targets, which bounds the dynamic program's tables."""
        return with_target_range(self, problems)

    def noise_level(self, game: TradingGame) -> Float[Array, ""]:
        """Return the noise, computed from the game if the rule is "theory"."""
        if not isinstance(self.noise, str):
            return self.noise
        return theory_noise(
            game, num_rounds=self.num_rounds, perturbation=self.perturbation
        )

    def init(self, game: TradingGame) -> FTPLState:
        """Return empty sums, in an integer dtype that cannot overflow.

        Raises:
            ValueError: for a game with general one-step costs.
        """
        require_linear("FTPL", game)
        flow = (game.num_players - 1) * game.largest_trade
        bound = self.num_rounds * max(flow, 1) * game.horizon
        dtype = integer_dtype_for(bound, f"flow summed over {self.num_rounds} rounds")
        return FTPLState(jnp.zeros((game.horizon,), dtype), jnp.zeros((), jnp.int32))

    def draw(self, game: TradingGame, key: PRNGKeyArray) -> Float[Array, " noise"]:
        """Return one round's noise: 2T numbers if "full", T if "linear"."""
        length = game.horizon * (2 if self.perturbation == "full" else 1)
        dtype = game.permanent_impact.dtype
        return uniform(key, length, dtype) * self.noise_level(game).astype(dtype)

    def act(
        self,
        game: TradingGame,
        target: Int[Array, ""],
        state: FTPLState,
        noise: Float[Array, " noise"],
    ) -> Int[Array, " horizon"]:
        """Return the perturbed leader of the rounds so far."""
        history = game.price_pressure(state.flow_sum)
        if self.perturbation == "full":
            return full_leader(
                game, target, history, state.num_rounds, noise, self.target_range
            )
        counted = (state.num_rounds + 1).astype(history.dtype)
        weight = counted * game.own_cost_weight.astype(history.dtype)
        return cheapest_schedule(game, history + noise, weight, target)

    def update(
        self, state: FTPLState, opponents_flow: Int[Array, " horizon"]
    ) -> FTPLState:
        """Add a round's flow to the sums."""
        flow = opponents_flow.astype(state.flow_sum.dtype)
        return FTPLState(state.flow_sum + flow, state.num_rounds + 1)

    def solve(
        self,
        problem: TradingGame,
        *,
        key: PRNGKeyArray | None = None,
        noise: Float[Array, "rounds players noise"] | None = None,
    ) -> Solution[Play]:
        """Play `num_rounds` rounds against copies of oneself.

        Args:
            problem: one game.
            key: source of randomness; required unless `noise` is given.
            noise: recorded noise to replay.

        Returns:
            The play, with status `completed` (or `invalid_input`) and residual zero.
        """
        play = self_play(
            self, problem, num_rounds=self.num_rounds, key=key, noise=noise
        )
        return completed_play(problem, self.noise_level(problem), play, self.num_rounds)


def learner_options(
    game: TradingGame, target_range: tuple[int, int] | None, *, has_program: bool
) -> dict[str, Any]:
    """Return what pays on CPUs for play by best responses.

    Args:
        game: one, or a batch.
        target_range: see `quadratic_response`.
        has_program: whether responses come from the dynamic program.
    """
    # Of 512 bits, XLA uses 256 unless told: play then takes a quarter longer.
    options: dict[str, Any] = {"xla_cpu_prefer_vector_width": 512}
    limits = game.lowest_trade, game.highest_trade
    if has_program and is_unrolled(game.horizon, *limits, target_range):
        # The unrolled program compiles a third and runs a tenth faster; all others run
        # a quarter to twice as long.
        options["xla_cpu_use_fusion_emitters"] = False
    return options


def full_leader(
    game: TradingGame,
    target: Int[Array, ""],
    history: Float[Array, " horizon"],
    num_rounds: Int[Array, ""],
    noise: Float[Array, " noise"],
    target_range: tuple[int, int] | None,
) -> Int[Array, " horizon"]:
    """Return the leader with noise on all 2T coordinates (Kearns & Shi 2025).

    Args:
        game: one instance.
        target: the player's target, shape ().
        history: cost vector M F of the rounds so far, shape (horizon,).
        num_rounds: how many rounds these are, shape ().
        noise: on the T prices and the T own-cost weights, shape (2 * horizon,).
        target_range: see `quadratic_response`.
    """
    # The rounds' own cost is order-free: only its perturbation needs the path.
    return quadratic_response(
        history + noise[: game.horizon],
        num_rounds.astype(history.dtype) * game.own_cost_weight.astype(history.dtype),
        noise[game.horizon :],
        game.permanent_impact,
        target,
        min_trade=game.lowest_trade,
        max_trade=game.highest_trade,
        target_range=target_range,
    )


def with_target_range(solver: Any, problems: TradingGame) -> Any:
    """Return the solver with the targets' range, if it is concrete and not yet set."""
    targets = problems.targets
    if isinstance(targets, Tracer) or solver.target_range is not None:
        return solver
    targets = np.asarray(targets)
    bounds = int(targets.min()), int(targets.max())
    return replace_fields(solver, target_range=bounds)


def completed_play(
    game: TradingGame, noise: Float[Array, ""], play: Play, num_rounds: int
) -> Solution[Play]:
    """Wrap a play; numbers that no game admits are reported, not played as if good."""
    is_good = game.admitted()[1] & (noise >= 0) & jnp.isfinite(noise)
    return Solution(
        value=play,
        status=Status.where(is_good, Status.completed, Status.invalid_input),
        residual=jnp.zeros((), game.permanent_impact.dtype),  # no rounds are left
        num_steps=jnp.asarray(num_rounds, jnp.int32),
    )
