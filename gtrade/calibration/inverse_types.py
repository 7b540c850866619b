"""Beliefs from observed schedules: two firms that do not know each other's type."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gtrade._arrays import as_float
from gtrade._checks import check_shape
from gtrade.calibration.fit import Domain
from gtrade.calibration.inverse_equilibrium import (
    AbstractInverseEquilibrium,
    check_times,
    default_weights,
)
from gtrade.problems.position_building import PositionBuilding

# Impacts and probabilities to begin searches at; targets follow by least squares.
_IMPACTS = (1.0, 6.0)
_PROBABILITIES = ((0.5, 0.75, 0.25), (0.5, 0.25, 0.75), (0.3, 0.5, 0.5))
_SHARES = ("probability", "probability_if_0", "probability_if_1")
_TYPES = ("0_0", "0_1", "1_0", "1_1")


class InverseTypes(AbstractInverseEquilibrium):
    """Two firms of two types each: impacts, targets and the common prior.

    Schedules are those of the types, each seen when it was a firm's type. How a type
    bends its schedule tells what it believes of the other firm, so that the schedules
    alone tell the prior. They say less of it where types of a firm trade alike: with
    types drawn independently and a firm whose two types have the same kappa and
    target, nothing tells these two types' probabilities.

    The numbers are `kappa`, or `kappa_i_k` with `has_own_impacts`; `target_i_k` of type
    k of firm i; `probability` that firm 0 has type 0, and `probability_if_k` that firm
    1 has type 0 where firm 0 has type k.

    Attributes:
        observed: positions or trades of the types, shape (views, times).
        times: in [0, 1], ascending, shape (times,).
        view: what each row adds up, types in (firm, type) order, shape (views, 4).
        weights: shape (views * times,).
        has_own_impacts: whether types reckon with different kappas (static).
        sees_trades: as for every inverse equilibrium (static).
    """

    observed: Float[Array, "views times"] = eqx.field(converter=as_float)
    times: Float[Array, " times"] = eqx.field(converter=as_float)
    view: Float[Array, "views types"] = eqx.field(converter=as_float)
    weights: Float[Array, " observations"] = eqx.field(converter=as_float)
    has_own_impacts: bool = eqx.field(static=True)
    sees_trades: bool = eqx.field(static=True)

    def __init__(
        self,
        observed: Any,
        times: Any,
        *,
        view: Any = None,
        weights: Any = None,
        has_own_impacts: bool = False,
        sees_trades: bool = False,
    ) -> None:
        """Store the observations.

        Args:
            observed: NaN where nothing was seen.
            times: in [0, 1].
            view: one type's schedule a row if left out.
            weights: 1 where something was seen if left out.
            has_own_impacts: whether kappas differ.
            sees_trades: whether rows hold trades in place of positions.
        """
        self.observed, self.times = as_float(observed), as_float(times)
        dtype = self.observed.dtype
        own: Any = np.eye(len(_TYPES), dtype=dtype)
        self.view = own if view is None else view
        self.weights = default_weights(self.observed, weights)
        self.has_own_impacts, self.sees_trades = has_own_impacts, sees_trades

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        views, points = self.observed.shape
        check_shape((points,), times=self.times)
        check_shape((views, len(_TYPES)), view=self.view)
        check_shape((views * points,), weights=self.weights)

    @classmethod
    def validate(
        cls,
        *,
        observed: Any,
        times: Any,
        view: Any = None,
        weights: Any = None,
        has_own_impacts: Any = False,
        sees_trades: Any = False,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        del observed, view, weights, has_own_impacts, sees_trades
        check_times(times)

    @property
    def names(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of the numbers."""
        own = tuple(f"kappa_{x}" for x in _TYPES)
        targets = tuple(f"target_{x}" for x in _TYPES)
        return (*(own if self.has_own_impacts else ("kappa",)), *targets, *_SHARES)

    @property
    def units(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of the numbers."""
        return tuple("shares" if x else "1" for x in self.is_target)

    @property
    def domains(self) -> tuple[Domain, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of the numbers."""
        of: dict[str, Domain] = {"kappa": "positive", "target": "real"}
        return tuple(of.get(name.partition("_")[0], "share") for name in self.names)

    def prior(self, values: Float[Array, " parameters"]) -> Float[Array, "2 2"]:
        """Return the joint probabilities of both firms' types."""
        first, second = values[-3], values[-2:]
        of_first = jnp.stack([first, 1 - first])
        return of_first[:, None] * jnp.stack([second, 1 - second], axis=1)

    def game(self, values: Float[Array, " parameters"]) -> PositionBuilding:
        """Return the game of some numbers."""
        size = len(_TYPES)
        num_impacts = size if self.has_own_impacts else 1
        return PositionBuilding(
            permanent_impacts=jnp.broadcast_to(values[:num_impacts], (size,)),
            targets=values[num_impacts : num_impacts + size],
            num_types=(2, 2),
            prior=self.prior(values),
        )

    def guesses(self) -> np.ndarray:
        """Return searches' impacts, all types' the same, and priors."""
        pairs = [(k, p) for k in _IMPACTS for p in _PROBABILITIES]
        guesses = np.zeros((len(pairs), len(self.names)))
        for row, (impact, probabilities) in zip(guesses, pairs, strict=True):
            row[: -len(_TYPES) - len(_SHARES)] = impact
            row[-len(_SHARES) :] = probabilities
        return guesses
