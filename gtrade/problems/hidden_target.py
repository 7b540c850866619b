"""Building a position in steps while an arbitrageur guesses how large it will be."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gtrade._arrays import as_float, as_optional_float
from gtrade._checks import check_nonnegative, check_positive, check_real, check_shape
from gtrade.problems.base import AbstractProblem
from gtrade.problems.feedback_position import positions_of


class HiddenTargetGame(AbstractProblem):
    """A trader with a private target, and an arbitrageur who learns it from the price.

    Costs are those of `FeedbackPositionGame` with one kappa. The trader's target is
    normal with `target_mean` and `target_std`; the arbitrageur knows that much, its own
    target, its own trades, and how far the price moved in every step, which is the
    trader's trade plus noise once it is divided by the price impact. The trader sees
    the price and the arbitrageur's trades (pattern: Moallemi, Park & Van Roy 2012,
    arXiv 0801.3001). Noise moves the price without drift: since totals are fixed, it
    costs and earns nothing on average.

    Attributes:
        target_mean: the arbitrageur's first guess, shares, shape ().
        target_std: its standard deviation, shares, at least 0, shape ().
        noise_std: standard deviation of the noise in the net flow that the price shows,
            summed over the whole session, shares, greater than 0, shape (); a step of
            T has variance `noise_std^2 / T`.
        permanent_impact: kappa, at least 0, shape ().
        target: what the trader has to buy, shares, shape (); None: the mean. It
            decides which path is shown, not the equilibrium.
        arbitrageur_target: what the arbitrageur has to buy, shares, shape ().

    Raises:
        ValueError: if a number is inadmissible.
    """

    target_mean: Float[Array, ""] = eqx.field(converter=as_float)
    target_std: Float[Array, ""] = eqx.field(converter=as_float)
    noise_std: Float[Array, ""] = eqx.field(converter=as_float)
    permanent_impact: Float[Array, ""] = eqx.field(converter=as_float)
    target: Float[Array, ""] | None = eqx.field(
        converter=as_optional_float, default=None
    )
    arbitrageur_target: Float[Array, ""] = eqx.field(converter=as_float, default=0.0)

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        check_shape(
            (),
            target_mean=self.target_mean,
            target_std=self.target_std,
            noise_std=self.noise_std,
            permanent_impact=self.permanent_impact,
            target=self.target,
            arbitrageur_target=self.arbitrageur_target,
        )

    @classmethod
    def validate(
        cls,
        *,
        target_mean: Any,
        target_std: Any,
        noise_std: Any,
        permanent_impact: Any,
        target: Any = None,
        arbitrageur_target: Any = 0.0,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_real(target_mean=target_mean)
        check_nonnegative(target_std=target_std)
        check_positive(noise_std=noise_std)
        check_nonnegative(permanent_impact=permanent_impact)
        if target is not None:
            check_real(target=target)
        check_real(arbitrageur_target=arbitrageur_target)

    @property
    def realised_target(self) -> Float[Array, ""]:
        """What the trader has to buy, shape ()."""
        return self.target_mean if self.target is None else self.target

    @property
    def is_admissible(self) -> Bool[Array, ""]:
        """Whether the numbers, traced ones too, are finite and in their ranges."""
        numbers = (
            self.target_mean,
            self.target_std,
            self.noise_std,
            self.permanent_impact,
            self.realised_target,
            self.arbitrageur_target,
        )
        return (
            jnp.isfinite(jnp.stack(numbers)).all()
            & (self.target_std >= 0)
            & (self.noise_std > 0)
            & (self.permanent_impact >= 0)
        )


class HiddenTargetPlay(eqx.Module):
    """Linear rules of both sides, and how the arbitrageur reads the price.

    Before step t the trader has r shares to buy, the arbitrageur q, and the arbitrageur
    expects r to be m. They buy

        a = trader_rules[t] . (r, q, m)   and   b = arbitrageur_rules[t] . (q, m).

    The arbitrageur expected `p = trader_rules[t] . (m, q, m)` and sees s, which is a
    and noise; from then on it expects `m - p + filter_gains[t] (s - p)`.

    Attributes:
        trader_rules: shape (steps, 3).
        arbitrageur_rules: shape (steps, 2).
        filter_gains: what an unexpected share says about the shares to come, shape
            (steps,); 0 in the last step, after which none come.
        belief_stds: standard deviation of r in the arbitrageur's eyes before every
            step, shares, shape (steps,).
        trades: what both buy on average over the noise, given the trader's target,
            shape (2, steps).
        known_gains: rules of the game with a public target and visible trades, as in
            `FeedbackPlay`, shape (steps, 2, 2).
    """

    trader_rules: Float[Array, "steps 3"]
    arbitrageur_rules: Float[Array, "steps 2"]
    filter_gains: Float[Array, " steps"]
    belief_stds: Float[Array, " steps"]
    trades: Float[Array, "2 steps"]
    known_gains: Float[Array, "steps 2 2"]

    @property
    def positions(self) -> Float[Array, "2 points"]:
        """Average positions before, between and after the steps."""
        return positions_of(self.trades)
