"""Position building by firms that disagree about how trades move the price.

The day is cut into T equal steps. A share bought in step s raises the price that is
paid in step t >= s; how much of the rise is left by then is what types differ in.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gtrade._arrays import as_float
from gtrade._checks import InadmissibleError, check_each, check_shape
from gtrade.problems.base import AbstractProblem, replace_fields
from gtrade.problems.position_building import default_num_types
from gtrade.problems.types import check_num_types, check_prior, pairwise_joint

_DEFAULTS = {"temporary_impacts": 1.0, "transient_impacts": 0.0, "decays": 1.0}


def _as_prior(prior: Any) -> Any:
    # One that is missing is left for `validate` to name.
    return None if prior is None else jnp.ravel(as_float(prior))


class UncertainImpact(AbstractProblem):
    """Firms reach targets, each type with a model of its own of price impact.

    With a the trades of a type in T equal steps of [0, 1], summing to its target, and y
    what it expects the other firms to trade, its expected cost is a' G (a + y), where

        G = temporary T I + permanent L + transient R,

    L has ones below its diagonal and halves on it, and R_ts = exp(-decay (t - s) / T)
    below the diagonal, with halves on it: trades in the middles of their steps. Without
    transient impact this is the position-building game along straight lines, exactly.

    Quantities per type are in (firm, type) order.

    Attributes:
        targets: shares every type ends with (negative: short), shape (types,).
        permanent_impacts: price per share that stays, at least 0, shape (types,).
        temporary_impacts: price per share per unit time that is gone at once, at least
            0, shape (types,).
        transient_impacts: price per share that fades, at least 0, shape (types,).
        decays: rate at which it fades, per horizon, at least 0, shape (types,). 0 is
            permanent impact. Where there is no temporary impact, transient impact and
            decay have to be positive: otherwise no best response exists.
        prior: joint probabilities of the types, one a profile in C order, shape
            (profiles,).
        num_types: number of types of every firm (static).
    """

    targets: Float[Array, " types"] = eqx.field(converter=as_float)
    permanent_impacts: Float[Array, " types"] = eqx.field(converter=as_float)
    temporary_impacts: Float[Array, " types"] = eqx.field(converter=as_float)
    transient_impacts: Float[Array, " types"] = eqx.field(converter=as_float)
    decays: Float[Array, " types"] = eqx.field(converter=as_float)
    prior: Float[Array, " profiles"] = eqx.field(converter=_as_prior)
    num_types: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        targets: Any,
        permanent_impacts: Any,
        *,
        temporary_impacts: Any = None,
        transient_impacts: Any = None,
        decays: Any = None,
        num_types: Sequence[int] | None = None,
        prior: Any = None,
    ) -> None:
        """Store the numbers.

        Args:
            targets: shape (types,).
            permanent_impacts: shape (types,).
            temporary_impacts: 1 if left out.
            transient_impacts: 0 if left out.
            decays: 1 if left out.
            num_types: types of every firm; one each if left out.
            prior: joint probabilities, one axis a firm; needed if a firm has several
                types.
        """
        self.targets = targets
        self.permanent_impacts = permanent_impacts
        given = {
            "temporary_impacts": temporary_impacts,
            "transient_impacts": transient_impacts,
            "decays": decays,
        }
        for name, value in given.items():
            absent: Any = np.full(np.shape(targets)[-1:], _DEFAULTS[name])
            setattr(self, name, absent if value is None else value)
        self.num_types = default_num_types(num_types, np.shape(targets)[-1:])
        if prior is None and max(self.num_types, default=0) == 1:
            prior = np.ones(1)
        field: Any = prior
        self.prior = field

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        types = (sum(self.num_types),)
        check_shape(types, **{name: getattr(self, name) for name in _LISTS})
        check_shape((int(np.prod(self.num_types)),), prior=self.prior)

    @classmethod
    def argument_ranks(cls, numbers: Mapping[str, Any]) -> dict[str, int]:
        """Return the ranks of arguments that differ from the fields' own."""
        num_types = numbers.get("num_types")
        return {"prior": 1 if num_types is None else len(num_types)}

    @classmethod
    def validate(
        cls,
        *,
        targets: Any,
        permanent_impacts: Any,
        temporary_impacts: Any = None,
        transient_impacts: Any = None,
        decays: Any = None,
        num_types: Any = None,
        prior: Any = None,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        if np.ndim(targets) < 1 or not np.shape(targets)[-1]:
            raise InadmissibleError("targets", "name at least one firm", targets)
        num_types = default_num_types(num_types, np.shape(targets)[-1:])
        check_num_types(num_types, has_prior=True)
        size = sum(num_types)
        if prior is None and max(num_types) > 1:
            rule = "be given where a firm has several types"
            raise InadmissibleError("prior", rule, prior)
        if prior is not None:
            check_prior(prior, num_types)
        lists = {
            "targets": targets,
            "permanent_impacts": permanent_impacts,
            "temporary_impacts": temporary_impacts,
            "transient_impacts": transient_impacts,
            "decays": decays,
        }
        for name, default in _DEFAULTS.items():
            if lists[name] is None:
                lists[name] = np.full(size, default)
        for name, value in lists.items():
            _check_list(size, **{name: value})
            if name != "targets":
                check_each("be at least 0", lambda x: x >= 0, **{name: value})
        _check_convex(lists)

    @property
    def size(self) -> int:
        """Number of types of all firms together."""
        return sum(self.num_types)

    @property
    def num_firms(self) -> int:
        """Number of firms."""
        return len(self.num_types)

    def joint_beliefs(
        self,
    ) -> tuple[Float[Array, "types types"], Float[Array, " types"]]:
        """Return joint probabilities of pairs of types, and marginals, of the prior."""
        return pairwise_joint(self.prior, self.num_types)

    def beliefs(self) -> Float[Array, "types types"]:
        """Return the probability each type gives to every type of other firms."""
        joint, marginals = self.joint_beliefs()
        return joint / marginals[:, None]

    def expected_others(
        self, trades: Float[Array, "types trades"]
    ) -> Float[Array, "types trades"]:
        """Return what every type expects the other firms to trade together."""
        return jnp.matmul(self.beliefs(), trades, precision=jax.lax.Precision.HIGHEST)

    def impact_matrices(self, num_trades: int) -> Float[Array, "types trades trades"]:
        """Return every type's G: row t is what it expects to pay in step t.

        Args:
            num_trades: T.

        Returns:
            Price per share traded, by step of payment and step of trade.
        """
        steps = np.arange(num_trades)
        lags = np.maximum(steps[:, None] - steps[None, :], 0) / num_trades
        before = np.tri(num_trades) - np.eye(num_trades) / 2
        dtype = self.targets.dtype

        def per_type(x: Array) -> Array:
            return x[:, None, None]

        fading = jnp.exp(-per_type(self.decays) * jnp.asarray(lags, dtype)[None])
        lasting = per_type(self.permanent_impacts)
        lasting = lasting + per_type(self.transient_impacts) * fading
        at_once = num_trades * per_type(self.temporary_impacts)
        one = jnp.eye(num_trades, dtype=dtype)[None]
        return at_once * one + lasting * jnp.asarray(before, dtype)[None]

    def least_curvatures(self, num_trades: int) -> Float[Array, " types"]:
        """Return what h' G h is at least over |h| = 1 summing to zero, for every type.

        Permanent impact does not matter to trades that sum to zero, and matrices of
        q^|t - s| have no eigenvalue below (1 - q) / (1 + q), which the least one comes
        close to where there are many trades (Kac, Murdock & Szego 1953).
        """
        fading = self.decays / num_trades
        transient = self.transient_impacts * jnp.tanh(fading / 2) / 2
        return num_trades * self.temporary_impacts + transient

    def admitted(self) -> tuple["UncertainImpact", Bool[Array, ""]]:
        """Replace what `validate` would refuse, where numbers are traced.

        Returns:
            A game with admissible numbers, and whether this one was, shape (). Solvers
            play the replacement and report `invalid_input`.
        """
        numbers: dict[str, Any] = {}
        is_good = jnp.ones((), bool)
        for name in _LISTS:
            values = getattr(self, name)
            good = jnp.isfinite(values)
            if name != "targets":
                good &= values >= 0
            numbers[name] = jnp.where(good, values, 1)
            is_good &= good.all()
        fades = (numbers["transient_impacts"] > 0) & (numbers["decays"] > 0)
        good = (numbers["temporary_impacts"] > 0) | fades
        numbers["temporary_impacts"] = jnp.where(good, numbers["temporary_impacts"], 1)
        is_good &= good.all()
        _, marginals = self.joint_beliefs()
        good = jnp.isfinite(self.prior).all() & (self.prior >= 0).all()
        good &= jnp.abs(self.prior.sum() - 1) <= 1e-5
        good &= (marginals > 0).all()
        numbers["prior"] = jnp.where(good, self.prior, 1 / self.prior.size)
        return replace_fields(self, **numbers), is_good & good


_LISTS = ("targets", "permanent_impacts", *_DEFAULTS)


class Trades(eqx.Module):
    """Trades of every type in equal steps of the day: what is answered.

    Attributes:
        trades: shares bought in every step, shape (types, trades).
        condition: estimated condition number of the equations that gave them, shape ().
    """

    trades: Float[Array, "types trades"]
    condition: Float[Array, ""]

    @property
    def schedules(self) -> Float[Array, "types points"]:
        """Positions at equally spaced times from 0 to 1, shape (types, trades + 1)."""
        return jnp.pad(jnp.cumsum(self.trades, axis=-1), [(0, 0), (1, 0)])

    @property
    def times(self) -> np.ndarray:
        """These times, shape (trades + 1,)."""
        return np.linspace(0.0, 1.0, self.trades.shape[-1] + 1)


def _check_list(length: int, **subject: Any) -> None:
    ((name, value),) = subject.items()
    shape = np.shape(value)
    if len(shape) not in (1, 2) or shape[-1] != length:
        raise InadmissibleError(name, f"have {length} entries", value)
    check_each("be a finite number", np.isfinite, **subject)


def _check_convex(lists: Mapping[str, Any]) -> None:
    """Require own costs that grow with every change of the trades."""
    temporary, transient, decays = (np.asarray(lists[name]) for name in _DEFAULTS)
    fades = (transient > 0) & (decays > 0)
    bad = np.argwhere((temporary <= 0) & ~fades)
    if not len(bad):
        return
    *row, place = (int(i) for i in bad[0])
    rule = "be greater than 0 where there is no transient impact that decays"
    rows = np.unique(bad[:, 0]).tolist() if row else None
    count = len(temporary + transient + decays) if row else None
    raise InadmissibleError(f"temporary_impacts[{place}]", rule, 0.0, rows, count)
