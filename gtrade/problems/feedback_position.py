"""Position building in steps, with strategies that may watch the others' positions."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Float

from gtrade._arrays import as_float
from gtrade._checks import (
    InadmissibleError,
    check_nonnegative,
    check_real,
    check_shape,
)
from gtrade.problems.base import AbstractProblem


class FeedbackPositionGame(AbstractProblem):
    """Firms build positions over one unit of time while they move each other's price.

    In a game of T steps firm i buys `a_i` in a step and pays, with `A` the net flow of
    the step and `X` the net position built before it,

        a_i ((T + kappa_i / 2) A + kappa_i X),

    which is exactly what the continuous game of Chriss (arXiv 2409.03586) charges for
    paths that are linear within steps. The number of steps belongs to the solver, since
    it says how finely the same game is played. Whatever is left is bought in the last
    step. Costs are minimised.

    Give `permanent_impact`, one number for all firms, or `permanent_impacts`.

    Attributes:
        targets: shares that each firm ends with, negative for short, shape (firms,).
        permanent_impacts: kappa_i, permanent relative to temporary impact as firm i
            sees it, shape (firms,).

    Raises:
        ValueError: if a number is inadmissible, no firm is named, or both or neither
            of `permanent_impact` and `permanent_impacts` are given.
    """

    targets: Float[Array, " firms"]
    permanent_impacts: Float[Array, " firms"]

    # Arguments that are no fields, with the rank of one value: see `split_columns`.
    argument_ranks: ClassVar[dict[str, int]] = {"permanent_impact": 0}

    def __init__(
        self,
        *,
        targets: Any,
        permanent_impact: Any = None,
        permanent_impacts: Any = None,
    ) -> None:
        """Build a game from one impact for all firms or from one for each."""
        given = {
            "permanent_impact": permanent_impact,
            "permanent_impacts": permanent_impacts,
        }
        if any(isinstance(x, Tracer) for x in (targets, *given.values())):
            _check_given(**given)
        else:
            self.validate(targets=targets, **given)
        self.targets = as_float(targets)
        if permanent_impacts is None:
            check_shape((), permanent_impact=as_float(permanent_impact))
            permanent_impacts = jnp.broadcast_to(
                as_float(permanent_impact), self.targets.shape
            )
        self.permanent_impacts = as_float(permanent_impacts)

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        check_shape((None,), targets=self.targets)
        check_shape(self.targets.shape, permanent_impacts=self.permanent_impacts)

    @classmethod
    def validate(
        cls,
        *,
        targets: Any,
        permanent_impact: Any = None,
        permanent_impacts: Any = None,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        _check_given(permanent_impact, permanent_impacts)
        check_real(ndim=1, targets=targets)
        if np.ndim(targets) < 1 or np.shape(targets)[-1] < 1:
            raise InadmissibleError("targets", "name at least one firm", targets)
        if permanent_impact is not None:
            check_nonnegative(permanent_impact=permanent_impact)
            return
        check_nonnegative(ndim=1, permanent_impacts=permanent_impacts)
        num_firms = np.shape(targets)[-1]
        if np.shape(permanent_impacts)[-1:] != (num_firms,):
            rule = f"have one number for each of the {num_firms} targets"
            raise InadmissibleError("permanent_impacts", rule, permanent_impacts)

    @property
    def num_firms(self) -> int:
        """Number of firms."""
        return self.targets.shape[-1]

    @property
    def is_admissible(self) -> Bool[Array, ""]:
        """Whether the numbers, traced ones too, are finite and in their ranges."""
        impacts = self.permanent_impacts
        return (
            jnp.isfinite(self.targets).all()
            & jnp.isfinite(impacts).all()
            & (impacts >= 0).all()
        )

    def costs(self, trades: Float[Array, "firms steps"]) -> Float[Array, " firms"]:
        """Return what every firm pays for the trades of all of them, shape (firms,)."""
        flow = trades.sum(axis=0)
        held = jnp.cumsum(flow) - flow
        impacts = self.permanent_impacts[:, None]
        price = (trades.shape[1] + impacts / 2) * flow[None] + impacts * held[None]
        return (trades * price).sum(axis=1)


class FeedbackPlay(eqx.Module):
    """Linear rules for every step, the play they lead to, and what it is worth.

    Attributes:
        gains: in step t firm i buys `sum_j gains[t, i, j] r_j`, with r_j what firm j
            has still to buy, shape (steps, firms, firms).
        values: before step t firm i will still pay `kappa_i r_i X + r' values[t, i] r`,
            shape (steps, firms, firms, firms).
        trades: shares bought, shape (firms, steps).
        open_loop_trades: the same in the equilibrium of schedules fixed in advance.
    """

    gains: Float[Array, "steps firms firms"]
    values: Float[Array, "steps firms firms firms"]
    trades: Float[Array, "firms steps"]
    open_loop_trades: Float[Array, "firms steps"]

    @property
    def positions(self) -> Float[Array, "firms points"]:
        """Positions before, between and after the steps, shape (firms, steps + 1)."""
        return positions_of(self.trades)


class OpenLoopPlay(eqx.Module):
    """Schedules fixed in advance.

    Attributes:
        trades: shares bought, shape (firms, steps).
    """

    trades: Float[Array, "firms steps"]

    @property
    def positions(self) -> Float[Array, "firms points"]:
        """Positions before, between and after the steps, shape (firms, steps + 1)."""
        return positions_of(self.trades)


def positions_of(trades: Float[Array, "firms steps"]) -> Float[Array, "firms points"]:
    """Return positions at the times 0, 1/T, ..., 1, shape (firms, steps + 1)."""
    return jnp.pad(jnp.cumsum(trades, axis=1), ((0, 0), (1, 0)))


def follow_rules(
    gains: Float[Array, "steps firms firms"], targets: Float[Array, " firms"]
) -> Float[Array, "firms steps"]:
    """Return the trades of firms that follow linear rules, shape (firms, steps)."""

    def step(remaining, gain):
        trade = jnp.matmul(gain, remaining, precision=jax.lax.Precision.HIGHEST)
        return remaining - trade, trade

    return jax.lax.scan(step, targets, gains)[1].T


def _check_given(permanent_impact: Any, permanent_impacts: Any) -> None:
    """Require one impact for all or one for each, and not both."""
    if (permanent_impact is None) == (permanent_impacts is None):
        rule = "be given, or permanent_impacts in its place"
        got = "neither" if permanent_impact is None else "both"
        raise InadmissibleError("permanent_impact", rule, got)
