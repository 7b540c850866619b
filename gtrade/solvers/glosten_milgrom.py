"""Quotes of a dealer who learns from orders, in closed form."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from gtrade._checks import InadmissibleError, check_integer, check_static
from gtrade.problems.base import validate_if_concrete
from gtrade.problems.glosten_milgrom import GlostenMilgrom, QuotePath
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver
from gtrade.solvers.expected_quotes import expected_curves
from gtrade.solvers.many_value_quotes import elastic_path
from gtrade.solvers.two_value_quotes import (
    count_orders,
    is_possible,
    log_odds_after,
    log_ratios,
    quotes_at,
)


class GlostenMilgromClosedForm(AbstractSolver):
    """Quotes and beliefs along the problem's path, and averages over all paths.

    Two values take a cumulative count of orders; K values a scan, because who trades
    depends on the quotes (Glosten & Milgrom 1985).

    Attributes:
        num_trades: how many trades the averages over paths reach, at least 0 (static);
            their cost grows with its square, so there are none unless asked for. Two
            values only.
    """

    num_trades: int = eqx.field(static=True, default=0)

    def __check_init__(self) -> None:
        """Check the values."""
        validate_if_concrete(self)

    @classmethod
    def validate(cls, *, num_trades: Any = 0) -> None:
        """Raise ValueError for inadmissible numbers."""
        check_static(num_trades=num_trades)
        check_integer(num_trades=num_trades, at_least=0)

    @classmethod
    def validate_for(
        cls, problem: Mapping[str, Any], *, num_trades: Any = 0, **numbers: Any
    ) -> None:
        """Refuse averages over paths where beliefs are no function of counts."""
        del numbers
        if num_trades and problem.get("values") is not None:
            raise InadmissibleError("num_trades", "be 0 with values", num_trades)

    def solve(
        self, problem: GlostenMilgrom, *, key: PRNGKeyArray | None = None
    ) -> Solution[QuotePath]:
        """Solve one instance.

        Returns:
            The quotes, with status `converged`; `degenerate` where K values leave a
            side without noise (its quote is the limit as noise vanishes) or where a
            pass came that nobody would send (it tells nothing); or `invalid_input`,
            also for a path with an order that nobody would have sent. The residual is
            the dealer's largest mean profit on an arrival at the first and at the last
            quotes, over the largest value.
        """
        self.validate_for({"values": problem.values}, num_trades=self.num_trades)
        problem, is_valid = problem.admitted()
        path = self._two_values if problem.is_two_valued else self._many_values
        value, is_valid, uses_limit = path(problem, is_valid)
        status = Status.where(uses_limit, Status.degenerate, Status.converged)
        status = Status.where(is_valid, status, Status.invalid_input)
        residual = jnp.where(is_valid, _profit(problem, value), jnp.nan)
        return Solution(value, status, residual, jnp.zeros((), jnp.int32))

    def _two_values(
        self, problem: GlostenMilgrom, is_valid: Bool[Array, ""]
    ) -> tuple[QuotePath, Bool[Array, ""], Bool[Array, ""]]:
        ratios, orders = log_ratios(problem), problem.orders
        assert problem.prior_high is not None
        is_valid &= is_possible(problem, orders)
        # NaN from here on: a pass over whole paths at the end would take as long again.
        prior = jax.scipy.special.logit(problem.prior_high)
        prior = jnp.where(is_valid, prior, jnp.nan)
        log_odds = log_odds_after(prior, ratios, *count_orders(orders))
        quotes = quotes_at(problem, ratios, log_odds)
        curves = expected_curves(problem, prior, ratios, self.num_trades)
        value = QuotePath(quotes.bid, quotes.ask, quotes.spread, quotes.belief, curves)
        nobody_passes = problem.noise_probabilities[1] == 0
        return value, is_valid, nobody_passes & (orders == 0).any()

    def _many_values(
        self, problem: GlostenMilgrom, is_valid: Bool[Array, ""]
    ) -> tuple[QuotePath, Bool[Array, ""], Bool[Array, ""]]:
        path = elastic_path(problem)
        beliefs = jnp.exp(path.log_beliefs)
        value = QuotePath(path.bids, path.asks, path.spreads, beliefs)
        is_valid &= path.is_possible
        value = jax.tree.map(lambda x: jnp.where(is_valid, x, jnp.nan), value)
        return value, is_valid, path.uses_limit | problem.market_fails.any()


def _profit(problem: GlostenMilgrom, value: QuotePath) -> Float[Array, ""]:
    """Return the mean profit of an arrival at the first or last quotes, over values."""
    levels, worst = problem.levels, []
    for time in (0, -1):
        bid, ask, weights = value.bids[time], value.asks[time], value.beliefs[time]
        if problem.is_two_valued:
            weights = jnp.stack([1 - weights, weights])
        sells, _, buys = problem.probabilities_at(bid, ask).T
        worst.append((weights * buys * (ask - levels)).sum())
        worst.append((weights * sells * (bid - levels)).sum())
    scale = jnp.maximum(jnp.abs(levels).max(), jnp.finfo(levels.dtype).tiny)
    return jnp.abs(jnp.stack(worst)).max() / scale
