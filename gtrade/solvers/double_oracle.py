"""Exact Nash equilibria of the two-player trading game by a double oracle.

Each player keeps a small set of schedules. The game restricted to these sets is solved
exactly by Lemke-Howson pivoting; then each player's exact best response to the
opponent's mixture joins its set, until neither gains (McMahan, Gordon & Blum 2003). A
schedule's cost against a mixture is exact too: with linear prices the opponent's mean
flow decides it, otherwise its expected one-step costs do.

Where the sets start decides how long that takes. For kappa < 2 an equilibrium in whole
lots lies next to the one in fractional shares, so its roundings are the first start
(beyond 2 those of a game just below 2); even schedules, and schedules that trade as
early as they may, come next. Small sets are tried before large ones, since the cost of
pivoting grows with the square of their size. A full set lets go of the schedule that
has been out of use for longest.

Games of one box and linear prices have another way (see `mean_flow`): a path that leads
to an equilibrium without any sets. It is followed where the first start does not lead
to an answer soon; the best responses here tell whether it did.
"""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from gtrade._arrays import as_float, smallest_int_dtype
from gtrade._checks import (
    InadmissibleError,
    check_integer,
    check_positive,
    check_shape,
)
from gtrade.numerics.lanes import one_by_one
from gtrade.numerics.precision import require_float64
from gtrade.problems.base import validate_if_concrete
from gtrade.problems.discrete_trading import TradingGame
from gtrade.problems.general_costs import check_linear, require_linear
from gtrade.problems.strategies import MixedSchedules
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver
from gtrade.solvers.fractional_nash import fractional_equilibrium, round_positions
from gtrade.solvers.mean_flow import NUM_ATTEMPTS, follow_path
from gtrade.solvers.mixtures import mixtures
from gtrade.solvers.oracle_search import Best, gap_of, search
from gtrade.solvers.starts import even_schedules, front_schedules, random_schedules

STARTS = ("portfolio", "mean-flow", "fractional", "even", "front", "random")
_PATH_STARTS = ("portfolio", "mean-flow")

# Sets of this size are tried before sets of the full size.
_SMALL_SUPPORT = 32
_SMALL_STEPS = 64
# Steps from the first start before paths on mean flows are tried.
_FIRST_STEPS = 16
# Longest horizon at which paths are followed before all starts have been tried.
_SHORT_HORIZON = 128
# Starts that are tried again with sets of full size.
_LARGE_STARTS = 2
# Roundings of the fractional equilibrium that a player's set starts from.
_NUM_ROUNDINGS = 10
# The fractional game closest to 2 that is solved, and that stands in for those beyond.
_LARGEST_IMPACT = 1.9999
_IMPACT_FOR_LARGER = 1.98
# Numbers that the pivots of all paths on mean flows may touch; pivots of one path.
_PATH_WORK = 2**33
_PIVOTS_PER_VARIABLE = 30


class DoubleOracle(AbstractSolver):
    """Find an exact Nash equilibrium of a two-player trading game.

    Works for every permanent impact and for general one-step costs.

    Attributes:
        tol: largest gain from a deviation, relative to the largest absolute cost of a
            player among the schedules considered, shape ().
        start: where the sets of schedules start (static): "fractional", "even",
            "front" (as early as the limits allow), "random" (best responses to random
            prices; needs a key, which also draws the first label of the pivoting),
            "mean-flow" (no search: paths on mean flows alone; not for general costs),
            or "portfolio", all but random in turn.
        max_support: most schedules in a player's set (static). A path may end in
            horizon + 1.
        max_steps: most best-response steps from one start (static).
    """

    tol: Float[Array, ""] = eqx.field(converter=as_float, default=1e-12)
    start: str = eqx.field(static=True, default="portfolio")
    max_support: int = eqx.field(static=True, default=128)
    max_steps: int = eqx.field(static=True, default=500)

    def __check_init__(self) -> None:
        """Check shapes, and values where they are concrete."""
        check_shape((), tol=self.tol)
        validate_if_concrete(self)

    @classmethod
    def validate(
        cls,
        *,
        tol: Any = 1e-12,
        start: Any = "portfolio",
        max_support: Any = 128,
        max_steps: Any = 500,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_positive(tol=tol)
        if start not in STARTS:
            raise InadmissibleError("start", f"be one of {', '.join(STARTS)}", start)
        check_integer(max_support=max_support, at_least=2)
        check_integer(max_steps=max_steps, at_least=1)

    @classmethod
    def validate_for(cls, problem: Mapping[str, Any], **numbers: Any) -> None:
        """Raise ValueError for games that are not of two players, or have no paths."""
        if numbers.get("start") == "mean-flow":
            check_linear('double-oracle from start = "mean-flow"', problem)
        targets = np.asarray(problem["targets"])
        if targets.shape[-1] != 2:
            rule = "name two players for double-oracle"
            raise InadmissibleError("targets", rule, problem["targets"])

    @property
    def uses_closed_form(self) -> bool:
        """Best responses come from the closed form where there is one."""
        return True

    def solve(
        self, problem: TradingGame, *, key: PRNGKeyArray | None = None
    ) -> Solution[MixedSchedules]:
        """Solve one game.

        Returns:
            Supports and weights, with status `converged`, `stalled` (no start came
            within `tol`; the best profile is returned) or `invalid_input`; the residual
            is the gain from the best deviation relative to the cost scale, `num_steps`
            counts best-response steps from all starts, a path as one.

        Raises:
            ValueError: if float64 is off, or there are not two players.
        """
        require_float64("double-oracle")
        if problem.num_players != 2:
            raise ValueError(
                "double-oracle needs two players (for more: ftpl with"
                ' perturbation = "linear", or fractional-nash);'
                f" got {problem.num_players}"
            )
        if self.start == "mean-flow":
            require_linear('double-oracle from start = "mean-flow"', problem)
        if key is None and self.start == "random":
            raise ValueError('start = "random" needs a `key`')
        return one_by_one(self._solve_one)(problem, self.tol, key)

    def _solve_one(self, game: TradingGame, tol, key) -> Solution[MixedSchedules]:
        # Inadmissible numbers must not reach the oracles: they could hang there.
        game, is_valid = game.admitted()
        tol = tol.astype(game.permanent_impact.dtype)
        starts, label = self._starts(game, key)
        has_paths = self.start in _PATH_STARTS and not game.is_general
        # A path ends in up to horizon + 1 schedules a player.
        most = max(self.max_support, game.horizon + 1 if has_paths else 0)
        best = Best.nothing(game, most)
        if self.start == "mean-flow":
            # What is returned if no path leads to an equilibrium.
            start, one = starts[0][:, :1], jnp.ones((2, 1), best.weights.dtype)
            best = best.with_profile(start, one, gap_of(game, start, one))
            best = _follow_paths(game, starts, best, tol)
        else:
            best = self._search_all(game, starts, label, best, tol, has_paths)
        converged = best.gap <= tol
        status = Status.where(converged, Status.converged, Status.stalled)
        status = Status.where(is_valid, status, Status.invalid_input)
        dtype = smallest_int_dtype(game.lowest_trade, game.highest_trade)
        value = MixedSchedules(
            schedules=best.schedules.astype(dtype),
            weights=jnp.where(is_valid, best.weights, jnp.nan),
        )
        residual = jnp.where(is_valid, best.gap, jnp.nan)
        return Solution(value, status, residual, best.steps)

    def _search_all(self, game, starts, label, best, tol, has_paths) -> Best:
        """Search from all starts, small sets before large ones, paths in between."""
        if self.max_support > _SMALL_SUPPORT:
            best = self._search_small(game, starts, label, best, tol, has_paths)
        elif has_paths:
            best = _follow_paths(game, starts, best, tol)
        few = min(len(starts), _LARGE_STARTS)
        labels = jnp.broadcast_to(label, (few,))
        return search(
            game, starts, labels, best, tol, self.max_support, few, self.max_steps
        )

    def _search_small(self, game, starts, label, best, tol, has_paths) -> Best:
        """Search with small sets, and follow paths before or after most of that."""
        # Which of several equilibria of a restricted game is found decides much: small
        # sets are cheap enough to try every start with two first labels.
        several, num_all = jnp.concatenate([starts, starts]), 2 * len(starts)
        place = jnp.arange(num_all, dtype=jnp.int32)
        labels, steps = label + place // len(starts), min(_SMALL_STEPS, self.max_steps)
        # The work of a path grows with the fourth power of the horizon.
        is_short = has_paths and game.horizon <= _SHORT_HORIZON

        def run_stage(stage, best):
            is_brief = (stage == 0) & is_short
            num_starts = jnp.where(is_brief, 1, num_all)
            max_steps = jnp.where(is_brief, min(_FIRST_STEPS, steps), steps)
            best = search(
                game, several, labels, best, tol, _SMALL_SUPPORT, num_starts, max_steps
            )
            if not has_paths:
                return best
            return jax.lax.cond(
                stage == 0,
                lambda best: _follow_paths(game, starts, best, tol),
                lambda best: best,
                best,
            )

        # One loop: the search is compiled once.
        return jax.lax.fori_loop(0, 2 if is_short else 1, run_stage, best)

    def _starts(self, game: TradingGame, key):
        """Return starting schedules (starts, 2, count, horizon) and the first label."""
        kinds = (self.start,)
        if self.start == "mean-flow":
            kinds = ("fractional",)
        elif self.start == "portfolio":
            kinds = ("fractional", "even", "front")
        starts, label = [], jnp.zeros((), jnp.int32)
        for kind in kinds:
            if kind == "fractional":
                starts.append(_roundings(game))
            elif kind == "random":
                price_key, label_key = jax.random.split(key)
                count = _NUM_ROUNDINGS
                starts.append(random_schedules(game, price_key, count=count))
                label = jax.random.randint(label_key, (), 0, 2**16, jnp.int32)
            else:
                make = _spread_schedules if kind == "even" else front_schedules
                schedules = make(game)[:, None]
                starts.append(jnp.repeat(schedules, _NUM_ROUNDINGS, axis=1))
        return jnp.stack(starts), label


def _follow_paths(game, starts, best: Best, tol) -> Best:
    """Follow paths on mean flows in turn until one ends in an equilibrium."""
    size = 2 * game.horizon + 2
    most = max(_PATH_WORK // size**2, size)
    max_pivots = min(_PIVOTS_PER_VARIABLE * size, most)

    def unfinished(carry):
        attempt, pivots, best = carry
        return (attempt < NUM_ATTEMPTS) & (pivots < most) & (best.gap > tol)

    def advance(carry):
        attempt, pivots, best = carry
        start = starts[0][:, attempt * 3 % _NUM_ROUNDINGS]
        found = follow_path(game, start, attempt, max_pivots)
        schedules, weights = mixtures(game, found)
        total = schedules.sum(axis=-1, dtype=jnp.int32)
        is_feasible = (total == game.targets[:, None]) & _is_within(game, schedules)
        # Wherever a path ended: the best responses tell what its end is worth.
        is_good = (is_feasible | (weights == 0)).all()
        gap = jnp.where(is_good, gap_of(game, schedules, weights), jnp.inf)
        best = best.with_profile(schedules, weights, gap)
        return attempt + 1, pivots + found.num_pivots, best

    zero = jnp.zeros((), jnp.int32)
    return jax.lax.while_loop(unfinished, advance, (zero, zero, best))[2]


def _spread_schedules(game: TradingGame):
    """Return schedules as even as whole lots and limits allow, (2, horizon).

    Where limits permit, odd lots are spread over the horizon: double oracles that
    start there need far fewer steps than from an arrangement by ties.
    """
    dtype = game.permanent_impact.dtype
    spread = game.targets[:, None].astype(dtype) / game.horizon
    spread = jnp.broadcast_to(spread, (2, game.horizon))
    rounded = round_positions(game, spread, jnp.full((2,), 0.5, dtype))
    is_within = _is_within(game, rounded)[:, None]
    return jnp.where(is_within, rounded, even_schedules(game))


def _is_within(game: TradingGame, schedules):
    """Return whether every trade respects its step's limits, shape (...)."""
    low, high = (jnp.asarray(bound) for bound in game.trade_bounds)
    shape = (1,) * (schedules.ndim - 1) + (-1,)
    low, high = low.reshape(shape), high.reshape(shape)
    return ((schedules >= low) & (schedules <= high)).all(axis=-1)


def _roundings(game: TradingGame):
    """Return roundings of the fractional equilibrium, (2, count, horizon)."""
    kappa = jnp.minimum(game.permanent_impact, _LARGEST_IMPACT)
    kappa = jnp.where(game.permanent_impact < 2, kappa, _IMPACT_FOR_LARGER)
    trades = fractional_equilibrium(game, kappa, tol=1e-9, max_steps=20_000).value
    # The splitting method meets limits exactly and targets only to its tolerance.
    thresholds = jnp.linspace(0.05, 0.95, _NUM_ROUNDINGS, dtype=trades.dtype)
    rounded = jax.vmap(
        lambda u: round_positions(game, trades, jnp.broadcast_to(u, (2,)))
    )(thresholds)
    is_feasible = _is_within(game, rounded)
    rounded = jnp.where(is_feasible[..., None], rounded, _spread_schedules(game)[None])
    return jnp.swapaxes(rounded, 0, 1)
