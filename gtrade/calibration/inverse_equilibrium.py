"""Impacts, targets and beliefs from observed schedules: equilibria run backwards.

Firms that build positions in equilibrium (Chriss 2025, arXiv 2501.01241) show by the
shape of their schedules which kappa they reckon with, which targets they have and what
they believe of each other. Slopes of schedules in these numbers come through the
equilibrium itself (`gtrade.solvers.spectral`).

What schedules tell depends on whose are seen. With one kappa for all and Vbar the mean
of N targets, firm i's schedule is

    x_i(t) = Vbar f(t) + (V_i - Vbar) h(t),

f decreasing at rate kappa (N - 1) / (N + 1), h increasing at rate kappa. So the sum of
all but firm i is (N - 1) Vbar f + (Vbar - V_i) h: it tells V_i, the others' sum and
kappa, and nothing about how the others share their sum. The sum of all tells no single
target. With equal targets h is absent, and with zero targets kappa is. A lone firm's
schedule is straight whatever kappa. All of this shows in a fit's `rank` and
`is_identified`;
`gtrade.calibration.combinations` gives sums that are told where their parts are not.
"""

import abc
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gtrade._arrays import as_float
from gtrade._checks import InadmissibleError, check_shape
from gtrade.calibration.fit import AbstractRegression, Domain
from gtrade.problems.position_building import PositionBuilding
from gtrade.solvers.spectral import spectral_positions

# Impacts to begin searches at; targets follow from them by linear least squares.
_IMPACTS = (0.3, 1.5, 6.0, 25.0)
_RIDGE = 1e-10


class AbstractInverseEquilibrium(AbstractRegression):
    """Schedules seen with Gaussian noise, and the game that they are played in.

    Attributes:
        observed: what was seen, in shares, one row a view; NaN where nothing was, shape
            (views, times).
        times: in [0, 1], ascending, shape (times,).
        view: what each row adds up: a row of the identity for one schedule, ones for
            a sum of them, shape (views, types).
        weights: of the observations, row after row, 0 for missing ones, shape
            (views * times,).
        sees_trades: whether rows hold what was traded since the time before (since 0
            for the first) in place of positions (static).
    """

    observed: eqx.AbstractVar[Float[Array, "views times"]]
    times: eqx.AbstractVar[Float[Array, " times"]]
    view: eqx.AbstractVar[Float[Array, "views types"]]
    sees_trades: eqx.AbstractVar[bool]

    @abc.abstractmethod
    def game(self, values: Float[Array, " parameters"]) -> PositionBuilding:
        """Return the game of some numbers."""

    @abc.abstractmethod
    def guesses(self) -> np.ndarray:
        """Return values to search from, targets aside, shape (starts, parameters)."""

    @property
    def is_target(self) -> np.ndarray:
        """Which of the numbers are targets, shape (parameters,)."""
        return np.array([name.startswith("target") for name in self.names])

    def predict(
        self, values: Float[Array, " parameters"]
    ) -> Float[Array, "views times"]:
        """Return what would be seen without noise."""
        positions = spectral_positions(self.game(values), self.times)
        seen = jnp.matmul(self.view, positions, precision="highest")
        if not self.sees_trades:
            return seen
        return jnp.diff(seen, axis=1, prepend=0)

    def residuals(
        self, values: Float[Array, " parameters"]
    ) -> Float[Array, " observations"]:
        """Return observed less predicted; 0 where nothing was seen."""
        left = self.observed - _first_order(self, values)
        return jnp.where(jnp.isfinite(self.observed), left, 0).ravel()

    def total_sum_of_squares(self) -> Float[Array, ""]:
        """Return the squares of what was seen, about zero: nobody trades."""
        return (self.weights * self._seen**2).sum()

    def scale(self) -> Float[Array, " parameters"]:
        """Return the largest observation for targets, 1 for everything else."""
        largest = jnp.abs(jnp.where(self.weights > 0, self._seen, 0)).max()
        return jnp.where(self.is_target, largest, 1)

    def starts(self) -> Float[Array, "starts parameters"]:
        """Return guesses with the targets that fit the observations best."""
        guesses = jnp.asarray(self.guesses(), self.observed.dtype)
        return jax.vmap(self._with_targets)(guesses)

    def is_admissible(self) -> Bool[Array, ""]:
        """Return whether enough was seen, at good times, and not only zeros."""
        is_used = self.weights > 0
        is_seen = jnp.isfinite(self.observed).ravel()
        is_good = (is_seen | ~is_used).all() & jnp.isfinite(self.weights).all()
        is_good &= (self.weights >= 0).all() & jnp.isfinite(self.view).all()
        is_good &= ((self.times >= 0) & (self.times <= 1)).all()
        is_good &= (jnp.diff(self.times) > 0).all()
        at_start = jnp.broadcast_to(self.times[None] == 0, self.observed.shape)
        count = (is_used & ~at_start.ravel()).sum()
        return is_good & (count > len(self.names)) & (self.total_sum_of_squares() > 0)

    @property
    def _seen(self) -> Float[Array, " observations"]:
        return jnp.where(jnp.isfinite(self.observed), self.observed, 0).ravel()

    def _with_targets(
        self, values: Float[Array, " parameters"]
    ) -> Float[Array, " parameters"]:
        """Put the best targets into a guess: schedules are linear in targets."""
        places = np.flatnonzero(self.is_target)

        def at(targets: Array) -> Array:
            return self.predict(values.at[places].set(targets)).ravel()

        nothing = jnp.zeros(len(places), values.dtype)
        slopes = jax.jacfwd(at)(nothing)
        weighed = slopes * self.weights[:, None]
        gram = jnp.matmul(weighed.T, slopes, precision="highest")
        ridge = jnp.maximum(_RIDGE, 100 * jnp.finfo(values.dtype).eps)
        ridge = ridge * jnp.trace(gram) + jnp.finfo(values.dtype).tiny
        right = jnp.matmul(weighed.T, self._seen - at(nothing), precision="highest")
        eye = jnp.eye(len(places), dtype=values.dtype)
        return values.at[places].set(jnp.linalg.solve(gram + ridge * eye, right))


@jax.custom_jvp
def _first_order(problem: Any, values: Array) -> Array:
    """Predict, with slopes that count as constant when they are differentiated again.

    So the information of a fit is that of Gauss and Newton. The slopes of a spectral
    equilibrium are exact whatever its eigenvalues; slopes of the slopes are not, where
    eigenvalues meet.
    """
    return problem.predict(values)


@_first_order.defjvp
def _(primals: Any, tangents: Any) -> tuple[Array, Array]:
    problem, values = primals
    fixed = jax.lax.stop_gradient(values)
    slopes = jax.jacfwd(jax.lax.stop_gradient(problem).predict)(fixed)
    change = jnp.matmul(slopes, tangents[1][:, None], precision="highest")
    return _first_order(problem, values), change[..., 0]


class InverseEquilibrium(AbstractInverseEquilibrium):
    """Firms that know each other's numbers: kappa and targets from schedules.

    The numbers are `kappa` (or `kappa_0`, `kappa_1`, ... with `has_own_impacts`) and
    `target_i` for every firm i whose target is not known.

    Attributes:
        observed: as for every inverse equilibrium, shape (views, times).
        times: shape (times,).
        view: shape (views, firms).
        weights: shape (views * times,).
        targets: of which those of `known` firms are read, shape (firms,).
        known: firms whose targets are known (static).
        has_own_impacts: whether firms reckon with different kappas (static).
        sees_trades: as for every inverse equilibrium (static).
    """

    observed: Float[Array, "views times"] = eqx.field(converter=as_float)
    times: Float[Array, " times"] = eqx.field(converter=as_float)
    view: Float[Array, "views firms"] = eqx.field(converter=as_float)
    weights: Float[Array, " observations"] = eqx.field(converter=as_float)
    targets: Float[Array, " firms"] = eqx.field(converter=as_float)
    known: tuple[int, ...] = eqx.field(static=True)
    has_own_impacts: bool = eqx.field(static=True)
    sees_trades: bool = eqx.field(static=True)

    def __init__(
        self,
        observed: Any,
        times: Any,
        *,
        view: Any = None,
        weights: Any = None,
        targets: Any = None,
        known: Sequence[int] = (),
        has_own_impacts: bool = False,
        sees_trades: bool = False,
    ) -> None:
        """Store the observations.

        Args:
            observed: NaN where nothing was seen.
            times: in [0, 1].
            view: one schedule a row if left out.
            weights: 1 where something was seen if left out.
            targets: needed where some are known.
            known: firms whose targets are.
            has_own_impacts: whether kappas differ.
            sees_trades: whether rows hold trades in place of positions.
        """
        self.observed, self.times = as_float(observed), as_float(times)
        dtype = self.observed.dtype
        num_views = self.observed.shape[0]
        own: Any = np.eye(num_views, dtype=dtype)
        self.view = own if view is None else view
        self.weights = default_weights(self.observed, weights)
        num_firms = np.shape(self.view)[-1]
        nothing: Any = np.zeros(num_firms, dtype)
        self.targets = nothing if targets is None else targets
        self.known = tuple(known)
        self.has_own_impacts, self.sees_trades = has_own_impacts, sees_trades

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        views, points = self.observed.shape
        firms = self.view.shape[-1]
        check_shape((points,), times=self.times)
        check_shape((views, firms), view=self.view)
        check_shape((views * points,), weights=self.weights)
        check_shape((firms,), targets=self.targets)

    @classmethod
    def validate(
        cls,
        *,
        observed: Any,
        times: Any,
        view: Any = None,
        weights: Any = None,
        targets: Any = None,
        known: Any = (),
        has_own_impacts: Any = False,
        sees_trades: Any = False,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        del observed, weights, has_own_impacts, sees_trades
        check_times(times)
        if known and targets is None:
            raise InadmissibleError("targets", "be given where some are known", None)
        if view is not None and not all(0 <= i < np.shape(view)[-1] for i in known):
            last = np.shape(view)[-1] - 1
            raise InadmissibleError("known", f"name firms 0 to {last}", known)

    @property
    def num_firms(self) -> int:
        """Number of firms."""
        return self.view.shape[-1]

    @property
    def _unknown(self) -> tuple[int, ...]:
        return tuple(i for i in range(self.num_firms) if i not in self.known)

    @property
    def names(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of the numbers."""
        own = tuple(f"kappa_{i}" for i in range(self.num_firms))
        targets = tuple(f"target_{i}" for i in self._unknown)
        return (*(own if self.has_own_impacts else ("kappa",)), *targets)

    @property
    def units(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of the numbers."""
        return tuple("shares" if x else "1" for x in self.is_target)

    @property
    def domains(self) -> tuple[Domain, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of the numbers."""
        return tuple("real" if x else "positive" for x in self.is_target)

    def game(self, values: Float[Array, " parameters"]) -> PositionBuilding:
        """Return the game of some numbers."""
        size = self.num_firms
        num_impacts = size if self.has_own_impacts else 1
        impacts = jnp.broadcast_to(values[:num_impacts], (size,))
        unknown = np.array(self._unknown, np.int32)
        targets = self.targets.at[unknown].set(values[num_impacts:])
        return PositionBuilding(permanent_impacts=impacts, targets=targets)

    def guesses(self) -> np.ndarray:
        """Return searches' impacts, all firms' the same."""
        num_impacts = self.num_firms if self.has_own_impacts else 1
        guesses = np.zeros((len(_IMPACTS), len(self.names)))
        guesses[:, :num_impacts] = np.array(_IMPACTS)[:, None]
        return guesses


def default_weights(observed: Array, weights: Any) -> Array:
    """Return weights, 1 where something was seen if none are given."""
    if weights is not None:
        return as_float(weights)
    return jnp.isfinite(observed).ravel().astype(observed.dtype)


def check_times(times: Any) -> None:
    """Require times that ascend within [0, 1]; takes a column of them, too."""
    array = np.asarray(times, np.float64)
    is_good = np.all((array >= 0) & (array <= 1)) and np.all(np.diff(array) > 0)
    if not is_good:
        raise InadmissibleError("times", "ascend within [0, 1]", times)
