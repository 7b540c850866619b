"""Quotes of a dealer who learns from orders, by simulated traders."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from gtrade._arrays import as_int
from gtrade._checks import check_integer, check_shape, check_static
from gtrade.problems.base import validate_if_concrete
from gtrade.problems.glosten_milgrom import GlostenMilgrom, QuotePath
from gtrade.simulation.glosten_milgrom import PathArrivals, TradePaths
from gtrade.simulation.monte_carlo import Estimates, estimate
from gtrade.solution import Solution
from gtrade.solvers.glosten_milgrom import GlostenMilgromClosedForm
from gtrade.solvers.monte_carlo import AbstractMonteCarlo, check_num_paths

_ON_RANDOM_PATHS = {
    "expected_spreads": "spreads",
    "expected_beliefs_high": "beliefs_high",
    "expected_beliefs_low": "beliefs_low",
    "expected_uncertainties": "uncertainties",
    "dealer_profit": "profit",
}


class GlostenMilgromMonteCarlo(AbstractMonteCarlo):
    """Send traders to a dealer who quotes by the closed form, and count.

    One trader arrives at each belief of the problem's path: the mean value of those who
    buy estimates the ask, the share of a value among those who send the order of the
    path its belief after it. Averages over random paths of trades are simulated too.

    Attributes:
        num_paths: how often, at least 2, shape ().
        num_trades: how many trades the random paths have, at least 0 (static). Two
            values only.
    """

    num_paths: Int[Array, ""] = eqx.field(converter=as_int, default=100_000)
    num_trades: int = eqx.field(static=True, default=0)

    def __check_init__(self) -> None:
        """Check shapes, and values where they are concrete."""
        check_shape((), num_paths=self.num_paths)
        validate_if_concrete(self)

    @classmethod
    def validate(cls, *, num_paths: Any = 100_000, num_trades: Any = 0) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_num_paths(num_paths)
        check_static(num_trades=num_trades)
        check_integer(num_trades=num_trades, at_least=0)

    @classmethod
    def validate_for(
        cls, problem: Mapping[str, Any], *, num_trades: Any = 0, **numbers: Any
    ) -> None:
        """Refuse what the closed form refuses."""
        del numbers
        GlostenMilgromClosedForm.validate_for(problem, num_trades=num_trades)

    def answer(self, problem: GlostenMilgrom) -> Solution[QuotePath]:
        return GlostenMilgromClosedForm(num_trades=self.num_trades).solve(problem)

    def simulate(
        self, problem: GlostenMilgrom, answer: QuotePath, key: PRNGKeyArray
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return estimates and standard errors by column name.

        Where none of the traders came whose mean is wanted, both are NaN.
        """
        problem, _ = problem.admitted()
        on_path, on_random_paths = jax.random.split(key)
        found = _on_path(problem, answer, on_path, self.num_paths)
        if problem.is_two_valued:
            paths = TradePaths(problem, self.num_trades)
            estimates = estimate(paths, on_random_paths, self.num_paths)
            for column, name in _ON_RANDOM_PATHS.items():
                found[column] = estimates.mean[name], estimates.standard_error[name]
        else:
            nothing = jnp.full((1,), jnp.nan, answer.bids.dtype)
            found |= dict.fromkeys(_ON_RANDOM_PATHS, (nothing, nothing))
            found["dealer_profit"] = nothing[0], nothing[0]
        mean = {name: pair[0] for name, pair in found.items()}
        error = {name: _with_rounding(*pair) for name, pair in found.items()}
        return mean, error


def _on_path(
    problem: GlostenMilgrom,
    path: QuotePath,
    key: PRNGKeyArray,
    num_paths: Int[Array, ""],
) -> dict[str, tuple[Array, Array]]:
    """Return estimates and standard errors of quotes and beliefs by column."""
    beliefs = path.beliefs
    if problem.is_two_valued:
        beliefs = jnp.stack([1 - beliefs, beliefs], axis=-1)
    sampler = PathArrivals(problem, path.bids, path.asks, beliefs)
    estimates = estimate(sampler, key, num_paths)
    bids, bid_errors = _among(estimates, "sell_values", "sells")
    asks, ask_errors = _among(estimates, "buy_values", "buys")
    bids, asks = path.bids + bids, path.asks + asks
    shares = estimates.mean["first_values"][None]
    share_errors = estimates.standard_error["first_values"][None]
    if len(problem.orders):
        after, after_errors = _among(estimates, "follow_values", "follows")
        shares = jnp.concatenate([shares, after])
        share_errors = jnp.concatenate([share_errors, after_errors])
    shares = beliefs + shares
    if problem.is_two_valued:
        shares, share_errors = shares[:, 1], share_errors[:, 1]
    return {
        "bids": (bids[:-1], bid_errors[:-1]),
        "asks": (asks[:-1], ask_errors[:-1]),
        "beliefs": (shares, share_errors),
        "final_bid": (bids[-1], bid_errors[-1]),
        "final_ask": (asks[-1], ask_errors[-1]),
    }


def _among(
    estimates: Estimates, name: str, who: str
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    """Return a mean among some of the traders, and its standard error.

    The outcome is 0 for all others and has mean 0 if the closed form is right, so that
    to first order its own error is all the error of the quotient.
    """
    mean, error = estimates.mean[name], estimates.standard_error[name]
    share = estimates.mean[who]
    share = share.reshape(share.shape + (1,) * (mean.ndim - share.ndim))
    share = jnp.where(share > 0, share, jnp.nan)
    return mean / share, error / share


def _with_rounding(
    mean: Float[Array, "..."], error: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Return an error no smaller than rounding: some outcomes are not random."""
    return jnp.maximum(error, 2 * jnp.finfo(mean.dtype).eps * jnp.abs(mean))
