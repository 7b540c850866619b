"""Closed recursion of Kyle's sequential auctions, and their simulation.

With q = alpha lambda, everything in the equilibrium but scale follows from one number
an auction, and that number from the next auction's. The solver carries both 2q and
e = 1 - 2q, as either may be small, and logarithms of what may leave the range of
floats: with M insiders the variance left shrinks up to (M + 1)-fold in every auction.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from gtrade._arrays import as_int
from gtrade._checks import check_shape
from gtrade.problems.base import validate_if_concrete
from gtrade.problems.kyle import KyleSequential
from gtrade.simulation.kyle import KyleAuctions
from gtrade.simulation.monte_carlo import estimate
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver
from gtrade.solvers.monte_carlo import AbstractMonteCarlo, check_num_paths

# Safeguarded Newton steps for a root in (0, 1): see the tests for the worst cases.
_ROOT_STEPS = 24


class SequentialEquilibrium(eqx.Module):
    """The linear equilibrium of auctions in sequence, by auction.

    Logarithms are kept because the numbers themselves can be too small for floats.

    Attributes:
        log_price_impact: of lambda, price per share, shape (auctions,).
        log_intensity: of beta, shares per unit of price and time, shape (auctions,).
        log_variance: of the variance of the value after each auction (Sigma), shape
            (auctions,).
        value_slopes: alpha lambda before the last auction's end, half of what a unit
            of flow costs later: q, shape (auctions,).
    """

    log_price_impact: Float[Array, " auctions"]
    log_intensity: Float[Array, " auctions"]
    log_variance: Float[Array, " auctions"]
    value_slopes: Float[Array, " auctions"]


class KyleSequentialClosedForm(AbstractSolver):
    """Solve the recursion of the linear equilibrium, backwards and then forwards.

    Kyle 1985, theorem 2; Holden & Subrahmanyam 1992 for several insiders.
    """

    def solve(
        self, problem: KyleSequential, *, key: PRNGKeyArray | None = None
    ) -> Solution[SequentialEquilibrium]:
        """Solve one market.

        Returns:
            The equilibrium, with status `converged`; `degenerate` where the value is
            certain: then neither insiders nor prices move; or `invalid_input`.
        """
        market, is_valid = problem.admitted()
        dtype = market.value_std.dtype
        count = market.num_insiders.astype(dtype)
        steps = market.durations
        slack, burden = _slack(count, steps)
        gain = 1 + count * slack  # D: Sigma before over Sigma after
        log_variance = 2 * jnp.log(market.value_std) - jnp.cumsum(jnp.log(gain))
        noise = 2 * jnp.log(market.noise_std) + jnp.log(steps)
        log_share = jnp.log(slack / gain)  # lambda beta dt
        log_impact = (log_variance - noise + jnp.log(count) + log_share) / 2
        log_intensity = log_share - log_impact - jnp.log(steps)
        residual = jnp.abs(_mismatch(slack, burden, count, steps)).max()

        is_certain = problem.is_certain

        def settle(x: Array, still: float) -> Array:
            return jnp.where(is_valid, jnp.where(is_certain, still, x), jnp.nan)

        value = SequentialEquilibrium(
            settle(log_impact, -jnp.inf),
            settle(log_intensity, -jnp.inf),
            settle(log_variance, -jnp.inf),
            settle(burden / 2, 0.0),
        )
        status = Status.where(is_certain, Status.degenerate, Status.converged)
        status = Status.where(is_valid, status, Status.invalid_input)
        return Solution(value, status, settle(residual, 0.0), jnp.zeros((), jnp.int32))


def _slack(
    count: Float[Array, ""], steps: Float[Array, " auctions"]
) -> tuple[Float[Array, " auctions"], Float[Array, " auctions"]]:
    """Return e = 1 - 2q and 2q of every auction; 1 and 0 in the last."""

    def previous(slack: Array, ratio: Array) -> tuple[Array, Any]:
        demand = _demand(slack, ratio, count)
        slack = _root(demand, count)
        return slack, (slack, _complement(slack, demand, count))

    last = jnp.ones((), steps.dtype)
    ratios = steps[1:] / steps[:-1]
    _, (slack, burden) = jax.lax.scan(previous, last, ratios, reverse=True)
    ends = last[None], jnp.zeros_like(last)[None]
    return jnp.concatenate([slack, ends[0]]), jnp.concatenate([burden, ends[1]])


def _demand(slack: Array, ratio: Array, count: Array) -> Array:
    """Return 4 M r, the right-hand side of the equation before an auction.

    Args:
        slack: e of the auction.
        ratio: its length over that of the one before.
        count: M.
    """
    return ratio * (1 + slack) ** 2 / (slack * (1 + count * slack) ** 2)


@jax.custom_jvp
def _root(demand: Array, count: Array) -> Array:
    """Return e in (0, 1) with (1 - e)^2 (M + 1/e) = demand; the left side falls."""

    def log_excess(slack: Array) -> Array:
        return 2 * jnp.log1p(-slack) + jnp.log(count + 1 / slack) - jnp.log(demand)

    def refine(state: tuple[Array, Array, Array], _: None) -> tuple[Any, None]:
        low, high, slack = state
        excess = log_excess(slack)
        low = jnp.where(excess > 0, slack, low)
        high = jnp.where(excess > 0, high, slack)
        move = -excess / _log_slope(slack, count)
        newton = slack + move
        is_inside = (newton > low) & (newton < high)
        # A root that is found lies at an end, and must not be left for the middle.
        is_found = jnp.abs(move) <= 4 * float(jnp.finfo(slack.dtype).eps) * slack
        newton = jnp.where(is_inside, newton, (low + high) / 2)
        return (low, high, jnp.where(is_found, slack, newton)), None

    low, high = jnp.zeros_like(demand), jnp.ones_like(demand)
    # Exact for small and for large demands.
    start = jnp.where(demand > 1, 1 / (1 + demand), 1 / (1 + jnp.sqrt(demand)))
    (_, _, slack), _ = jax.lax.scan(refine, (low, high, start), None, _ROOT_STEPS)
    return slack


@_root.defjvp
def _(primals: Any, tangents: Any) -> tuple[Array, Array]:
    """Differentiate the equation, not the steps to its root."""
    (demand, count), (demand_dot, count_dot) = primals, tangents
    slack = _root(demand, count)
    excess_dot = count_dot / (count + 1 / slack) - demand_dot / demand
    return slack, -excess_dot / _log_slope(slack, count)


def _log_slope(slack: Array, count: Array) -> Array:
    """Return the derivative of log((1 - e)^2 (M + 1/e)) with respect to e."""
    return -2 / (1 - slack) - 1 / (slack * (1 + count * slack))


def _complement(slack: Array, demand: Array, count: Array) -> Array:
    """Return 1 - e to its own last digits; where e is close to 1, e has few of them."""
    plain = 1 - slack
    first = jnp.sqrt(demand / (count + 1))  # exact for small demands
    is_small = plain < float(jnp.finfo(slack.dtype).eps) ** 0.5
    guess = jnp.where(is_small, first, plain)
    rest = jnp.where(is_small, 1 - first, slack)
    log_excess = 2 * jnp.log(guess) + jnp.log(count + 1 / rest) - jnp.log(demand)
    slope = 2 / guess + 1 / (rest * (1 + count * rest))
    digits = jax.lax.stop_gradient(guess - log_excess / slope)
    return digits + (plain - jax.lax.stop_gradient(plain))


def _mismatch(
    slack: Float[Array, " auctions"],
    burden: Float[Array, " auctions"],
    count: Array,
    steps: Float[Array, " auctions"],
) -> Array:
    """Return by how much neighbouring auctions miss their equation, relative."""
    demand = _demand(slack[1:], steps[1:] / steps[:-1], count)
    left = burden[:-1] ** 2 * (count + 1 / slack[:-1])
    return jnp.concatenate([left / demand - 1, jnp.zeros(1, slack.dtype)])


class KyleSequentialMonteCarlo(AbstractMonteCarlo):
    """Play the sequence of auctions many times over.

    Attributes:
        num_paths: sequences played, at least 2, shape ().
    """

    num_paths: Int[Array, ""] = eqx.field(converter=as_int, default=100_000)

    def __check_init__(self) -> None:
        """Check shapes, and values where they are concrete."""
        check_shape((), num_paths=self.num_paths)
        validate_if_concrete(self)

    @classmethod
    def validate(cls, *, num_paths: Any = 100_000) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_num_paths(num_paths)

    def answer(self, problem: KyleSequential) -> Solution[SequentialEquilibrium]:
        return KyleSequentialClosedForm().solve(problem)

    def simulate(
        self, problem: KyleSequential, answer: SequentialEquilibrium, key: PRNGKeyArray
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        """Return estimates and standard errors by column name."""
        market, is_certain = auctions_of(problem, answer), problem.is_certain
        found = estimate(market, key, self.num_paths)
        names = "insider_profit", "dealer_profit", "noise_profit", "total_profit"
        mean = {name: found.mean[name] for name in names}
        error = {name: found.standard_error[name] for name in names}
        mean["posterior_variance"] = found.mean["gap_square"]
        error["posterior_variance"] = found.standard_error["gap_square"]
        mean, error = jax.tree.map(lambda x: jnp.where(is_certain, 0, x), (mean, error))
        # What the value turns out to be, per unit of flow: moves are impact times flow.
        # Nothing moves where the value is certain.
        impact = jnp.where(is_certain, jnp.nan, jnp.exp(market.log_price_impacts))
        square = found.mean["unit_move_square"]
        mean["price_impact"] = impact * (found.mean["unit_move_gap"] / square)
        count = found.num_paths.astype(impact.dtype)
        unexplained = found.mean["unit_gap_square"] / (count * square)
        error["price_impact"] = impact * jnp.sqrt(unexplained)
        return mean, error


def auctions_of(problem: KyleSequential, answer: SequentialEquilibrium) -> KyleAuctions:
    """Return the sampler that plays an equilibrium.

    Where the value is certain it plays some other market, whose shocks are as many.

    Args:
        problem: an admissible market.
        answer: its equilibrium.
    """
    usual, _ = problem.admitted()

    def known(x: Array) -> Array:
        return jnp.where(problem.is_certain, 0, x)

    log_impact = known(answer.log_price_impact)
    log_share = known(answer.log_intensity) + jnp.log(usual.durations) + log_impact
    start = jnp.log(usual.value_std)[None]
    log_units = jnp.concatenate([start, known(answer.log_variance) / 2])
    return KyleAuctions(usual, jnp.exp(log_share), log_impact, log_units)
