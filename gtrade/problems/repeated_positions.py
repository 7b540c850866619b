"""Position building round after round, with types drawn afresh (no common prior).

A firm knows its own type and, after a round, the path of the price, hence what the
others traded together; nothing else. Everyone follows straight lines between equally
spaced times, so a strategy is a rate in each cell for every type. What a firm needs in
order to learn is the cost of a share in each cell, `prices`, own trades apart.
(Hossain et al. 2026, arXiv 2606.06882, learn in this class of games; Chriss 2025, arXiv
2501.01241, has the game of one round.)
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from gtrade._arrays import as_float, as_optional_float
from gtrade._checks import check_shape
from gtrade.problems import position_tables
from gtrade.problems.base import AbstractProblem, replace_fields
from gtrade.problems.position_building import PositionBuilding, default_num_types
from gtrade.problems.position_tables import spec_key as spec_key
from gtrade.problems.types import profile_indicators


class RepeatedPositionBuilding(AbstractProblem):
    """Firms build positions in every round, each time with new types.

    In a round a firm of a type with kappa and target V pays

        int X' x' + kappa X x' dt,   x(0) = 0, x(1) = V,

    with X the sum of all firms' positions. The prior decides which types meet; no firm
    is told. Quantities per type are in (firm, type) order.

    Attributes:
        permanent_impacts: kappa of every type, at least 0, shape (types,).
        targets: shares every type ends with, shape (types,).
        prior: joint probabilities of the types, one a profile in C order, shape
            (profiles,).
        num_types: number of types of every firm (static).
    """

    permanent_impacts: Float[Array, " types"] = eqx.field(converter=as_float)
    targets: Float[Array, " types"] = eqx.field(converter=as_float)
    prior: Float[Array, " profiles"] = eqx.field(converter=as_optional_float)
    num_types: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        permanent_impacts: Any,
        targets: Any,
        *,
        num_types: Sequence[int] | None = None,
        prior: Any = None,
    ) -> None:
        """Store the numbers.

        Args:
            permanent_impacts: kappas, shape (types,).
            targets: shape (types,).
            num_types: types of every firm; one each if left out.
            prior: joint probabilities, one axis a firm; needed if a firm has several
                types.
        """
        self.permanent_impacts, self.targets = permanent_impacts, targets
        self.num_types = default_num_types(num_types, np.shape(targets)[-1:])
        if prior is None and max(self.num_types, default=0) == 1:
            prior = np.ones(self.num_types)
        flat: Any = None if prior is None else jnp.ravel(as_float(prior))
        self.prior = flat

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        types = (sum(self.num_types),)
        check_shape(
            types, permanent_impacts=self.permanent_impacts, targets=self.targets
        )
        check_shape((int(np.prod(self.num_types)),), prior=self.prior)

    @classmethod
    def argument_ranks(cls, numbers: Mapping[str, Any]) -> dict[str, int]:
        """Return the ranks of arguments that differ from the fields' own."""
        return PositionBuilding.argument_ranks(numbers)

    @classmethod
    def validate(
        cls,
        *,
        permanent_impacts: Any,
        targets: Any,
        num_types: Any = None,
        prior: Any = None,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        PositionBuilding.validate(
            permanent_impacts=permanent_impacts,
            targets=targets,
            num_types=num_types,
            prior=prior,
        )

    @property
    def size(self) -> int:
        """Number of types of all firms together."""
        return sum(self.num_types)

    def stage_game(self) -> PositionBuilding:
        """Return one round as a game between firms that do know the prior."""
        return PositionBuilding(
            self.permanent_impacts,
            self.targets,
            num_types=self.num_types,
            prior=self.prior,
        )

    def admitted(self) -> tuple["RepeatedPositionBuilding", Bool[Array, ""]]:
        """Replace what `validate` would refuse, where numbers are traced.

        Returns:
            A game with admissible numbers, and whether this one was, shape ().
        """
        game, is_good = self.stage_game().admitted()
        names = ("permanent_impacts", "targets", "prior")
        return replace_fields(self, **{n: getattr(game, n) for n in names}), is_good

    def present_types(self, draw: Float[Array, ""]) -> Float[Array, " types"]:
        """Return 1 for the types of a round, 0 for the others.

        Args:
            draw: uniform on [0, 1), shape ().
        """
        reached = jnp.cumsum(self.prior)
        # Rounding may leave the sum below 1: a last profile is always found.
        is_passed = (reached <= draw) & (reached < reached[-1])
        members = jnp.asarray(profile_indicators(self.num_types), self.targets.dtype)
        return members[is_passed.sum()]

    def prices(
        self, rates: Float[Array, "types cells"], present: Float[Array, " types"]
    ) -> Float[Array, "types cells"]:
        """Return what a share costs each type in each cell, own trades apart.

        It is w + kappa y, averaged over a cell, with y and w position and rate of all
        the other firms together. Meaningful for the types that are present.

        Args:
            rates: of every type in every cell, shares per unit time.
            present: 1 for the types of the round, 0 for the others.
        """
        total = jnp.sum(present[:, None] * rates, axis=0, keepdims=True)
        others = total - rates
        table = jnp.asarray(mean_positions(rates.shape[1]), rates.dtype)
        held = jnp.matmul(others, table, precision=jax.lax.Precision.HIGHEST)
        return others + self.permanent_impacts[:, None] * held

    def round_costs(
        self,
        rates: Float[Array, "types cells"],
        prices: Float[Array, "types cells"],
    ) -> Float[Array, " types"]:
        """Return what each type pays at such prices, shape (types,)."""
        # Own permanent impact costs kappa V^2 / 2 whatever the path.
        own = self.permanent_impacts * self.targets**2 / 2
        return jnp.mean((rates + prices) * rates, axis=1) + own


class LearningRecord(eqx.Module):
    """What firms did, recorded at some rounds, and what it cost them.

    Attributes:
        rates: what every type would trade in the round after each of `rounds`, shape
            (records, types, cells), shares per unit time.
        averages: means of what it traded, over the rounds in which it was present;
            zero before the first, same shape.
        rounds: numbers of rounds played, ascending, shape (records,); the last of them
            is all.
        visits: rounds in which each type was present, shape (types,).
        paid: mean cost of each type over these, shape (types,).
        prices: mean price in every cell over these, shape (types, cells).
    """

    rates: Float[Array, "records types cells"]
    averages: Float[Array, "records types cells"]
    rounds: Int[Array, " records"]
    visits: Int[Array, " types"]
    paid: Float[Array, " types"]
    prices: Float[Array, "types cells"]


def line_positions(rates: Float[Array, "types cells"]) -> Float[Array, "types points"]:
    """Return positions at the ends of the cells, from 0 at time 0."""
    ends = jnp.cumsum(rates, axis=1) / np.asarray(rates.shape[1], rates.dtype)
    return jnp.pad(ends, [(0, 0), (1, 0)])


@functools.cache
def mean_positions(num_cells: int) -> np.ndarray:
    """Return the matrix T that takes rates in cells (rows) to mean positions there.

    Positions start at 0 and follow straight lines; `rates @ T`, shape (cells, cells).
    """
    before = np.triu(np.ones((num_cells, num_cells)), 1)
    return (before + np.eye(num_cells) / 2) / num_cells


def arguments(problem: Mapping[str, Any]) -> dict[str, Any]:
    """Turn tables of firms into the arguments of `RepeatedPositionBuilding`."""
    numbers = position_tables.arguments(problem)
    unused = ("non_strategic", "risk_aversions")
    return {name: value for name, value in numbers.items() if name not in unused}
