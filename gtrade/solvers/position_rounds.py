"""Rounds of position building between learners that are told nothing but prices."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from gtrade._checks import InadmissibleError, check_integer, check_shape
from gtrade.problems.base import validate_if_concrete
from gtrade.problems.repeated_positions import LearningRecord, RepeatedPositionBuilding
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver

STARTS = ("even", "random")
_RECORDS_PER_DECADE = 8

Rates = Float[Array, "types cells"]


class AbstractPositionLearner(AbstractSolver):
    """How every type of every firm learns; one rule for all of them.

    A rule acts on all types at once, but what it does for one depends on nothing that
    belongs to another.

    Attributes:
        num_rounds: rounds of play (static).
        num_points: equally spaced times; rates are constant between them (static).
        start: "even", or "random": rates that beliefs of any kind may lead to (static).
    """

    num_rounds: eqx.AbstractVar[int]
    num_points: eqx.AbstractVar[int]
    start: eqx.AbstractVar[str]

    @abc.abstractmethod
    def init(self, targets: Float[Array, " types"], normal: Rates) -> Any:
        """Return the state before the first round.

        Args:
            targets: mean rates, shares per unit time.
            normal: standard normal numbers for a random start; zeros for an even one.
        """

    @abc.abstractmethod
    def rates(
        self,
        targets: Float[Array, " types"],
        state: Any,
        visits: Float[Array, " types"],
        key: PRNGKeyArray,
    ) -> Rates:
        """Return the rates to trade at in the coming round; their mean is the target.

        Args:
            targets: mean rates.
            state: after the rounds so far.
            visits: rounds in which each type was present so far.
            key: source of the round's randomness.
        """

    @abc.abstractmethod
    def update(
        self,
        targets: Float[Array, " types"],
        state: Any,
        visits: Float[Array, " types"],
        rates: Rates,
        prices: Rates,
    ) -> Any:
        """Return the state after a round in which every type was present.

        The caller keeps the old one of those that were not.

        Args:
            targets: mean rates.
            state: before the round.
            visits: rounds in which each type was present, this one included.
            rates: what it traded.
            prices: what a share cost it, own trades apart.
        """

    def solve(
        self, problem: RepeatedPositionBuilding, *, key: PRNGKeyArray | None = None
    ) -> Solution[LearningRecord]:
        """Play `num_rounds` rounds, every type of every firm learning alike.

        Returns:
            The record, with status `completed`, `nonfinite` (rates that diverged) or
            `invalid_input`, and residual zero.

        Raises:
            ValueError: without a key.
        """
        if key is None:
            raise ValueError("learners of positions need a `key`: types are drawn")
        return play_rounds(self, problem, key=key)


def check_learner(learner: AbstractPositionLearner, **scalars: Any) -> None:
    """Check shapes under tracing too, and values where they are concrete."""
    check_shape((), **scalars)
    validate_if_concrete(learner)


def check_rounds(num_rounds: Any, num_points: Any, start: Any) -> None:
    """Require what all learners do of the numbers they share."""
    check_integer(num_rounds=num_rounds, at_least=1)
    check_integer(num_points=num_points, at_least=3)
    if start not in STARTS:
        raise InadmissibleError("start", f"be one of {', '.join(STARTS)}", start)


def centre(values: Rates) -> Rates:
    """Remove means over the cells: the projection that keeps targets."""
    return values - values.mean(axis=1, keepdims=True)


def recorded_rounds(num_rounds: int) -> np.ndarray:
    """Return the rounds after which rates are recorded, eight in every factor of 10."""
    count = int(np.ceil(_RECORDS_PER_DECADE * np.log10(num_rounds))) + 1
    return np.unique(np.geomspace(1, num_rounds, count).round().astype(np.int32))


class _Books(eqx.Module):
    """Running means over the rounds of each type, kept by a referee."""

    visits: Int[Array, " types"]
    averages: Rates
    prices: Rates
    paid: Float[Array, " types"]

    def after(
        self,
        present: Float[Array, " types"],
        rates: Rates,
        prices: Rates,
        costs: Float[Array, " types"],
    ) -> "_Books":
        visits = self.visits + present.astype(jnp.int32)
        share = present / jnp.maximum(visits, 1).astype(present.dtype)
        wide = share[:, None]
        return _Books(
            visits,
            self.averages + wide * (rates - self.averages),
            self.prices + wide * (prices - self.prices),
            self.paid + share * (costs - self.paid),
        )


def play_rounds(
    learner: AbstractPositionLearner,
    problem: RepeatedPositionBuilding,
    *,
    key: PRNGKeyArray,
) -> Solution[LearningRecord]:
    """Let all firms learn by one rule; see `AbstractPositionLearner.solve`."""
    game, is_valid = problem.admitted()
    targets, dtype = game.targets, game.targets.dtype
    shape = (game.size, learner.num_points - 1)
    start_key, play_key = jax.random.split(key)
    normal = jnp.zeros(shape, dtype)
    if learner.start == "random":
        normal = jax.random.normal(start_key, shape, dtype)
    none = jnp.zeros(game.size, dtype)
    state = learner.init(targets, normal)
    rates = learner.rates(targets, state, none, start_key)
    books = _Books(
        jnp.zeros(game.size, jnp.int32), jnp.zeros(shape, dtype),
        jnp.zeros(shape, dtype), none,
    )  # fmt: skip

    def play(number: Array, carry: tuple[Any, Array, _Books]) -> Any:
        state, rates, books = carry
        type_key, act_key = jax.random.split(jax.random.fold_in(play_key, number))
        present = game.present_types(jax.random.uniform(type_key, (), dtype))
        prices = game.prices(rates, present)
        costs = game.round_costs(rates, prices)
        books = books.after(present, rates, prices, costs)
        visits = books.visits.astype(dtype)
        learnt = learner.update(targets, state, jnp.maximum(visits, 1), rates, prices)
        was_there = present[:, None] > 0
        state = jax.tree.map(lambda a, b: jnp.where(was_there, a, b), learnt, state)
        return state, learner.rates(targets, state, visits, act_key), books

    def until_record(carry: Any, ends: Array) -> tuple[Any, tuple[Array, Array]]:
        carry = jax.lax.fori_loop(ends[0], ends[1], play, carry)
        return carry, (carry[1], carry[2].averages)

    rounds = recorded_rounds(learner.num_rounds)
    ends = np.stack([np.concatenate([[0], rounds[:-1]]).astype(np.int32), rounds], 1)
    carry, (recorded, averages) = jax.lax.scan(
        until_record, (state, rates, books), jnp.asarray(ends)
    )
    books = carry[2]
    record = LearningRecord(
        recorded, averages, jnp.asarray(rounds), books.visits, books.paid, books.prices
    )
    status = Status.where(
        jnp.isfinite(record.rates).all() & jnp.isfinite(books.paid).all(),
        Status.completed,
        Status.nonfinite,
    )
    status = Status.where(is_valid, status, Status.invalid_input)
    return Solution(
        value=record,
        status=status,
        residual=jnp.zeros((), dtype),  # no rounds are left
        num_steps=jnp.asarray(learner.num_rounds, jnp.int32),
    )
