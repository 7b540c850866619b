"""Plans in whole lots: rounded down, filled up greedily, then improved lot by lot."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gtrade.numerics.loops import iterate_until
from gtrade.problems.almgren_chriss import AlmgrenChriss, ExecutionSchedule
from gtrade.solution import Status
from gtrade.solvers.execution_marginal import marginal_schedule

# Moves of single lots for each period; about one is usual.
_MOVES = 20


class LotSearch(NamedTuple):
    """A plan, what moving its best lot would still gain (relative), and the steps."""

    plan: ExecutionSchedule
    gain: Float[Array, ""]
    is_found: Bool[Array, ""]
    is_convex: Bool[Array, ""]
    num_steps: Int[Array, ""]


def lot_schedule(problem: AlmgrenChriss) -> LotSearch:
    """Return the best plan in whole lots of an admissible instance.

    The objective is a sum of convex functions of trades and of holdings, which are
    sums over nested sets of periods: it is M-convex, so that a plan which no move of a
    single lot from one period to another improves is optimal (Murota, Discrete Convex
    Analysis, 2003, chapter 6). The optimum without lots, rounded down, is close to it.
    """
    relaxed = marginal_schedule(problem)
    if problem.lot_size is None:
        raise ValueError("lot_size must be given for a plan in lots")
    lot, num = problem.lot_size, problem.num_periods
    caps = jnp.round(problem.caps / lot)  # whole numbers, or infinite
    total = jnp.round(jnp.abs(problem.shares) / lot)
    start = jnp.minimum(jnp.floor(jnp.abs(relaxed.plan.trades) / lot), caps)
    index = jnp.arange(num)
    scale = cost_of_one_more(problem, start + 1).max()
    risk = problem.risk_aversion * problem.volatility**2 * problem.period_length
    risk = risk * lot**2 / scale

    def left_after(lots: Array) -> Array:
        return problem.holdings(lots)[1:]

    def fill(_, lots: Array) -> Array:
        held = jnp.cumsum(2 * left_after(lots) + 1)
        before = jnp.concatenate([jnp.zeros(1, lots.dtype), held[:-1]])
        more = cost_of_one_more(problem, lots) / scale + risk * before
        best = jnp.argmin(jnp.where(lots < caps, more, jnp.inf))
        is_short = lots.sum() < total
        return lots + jnp.where((index == best) & is_short, 1, 0).astype(lots.dtype)

    lots = jax.lax.fori_loop(0, num, fill, start)

    def move(lots: Array) -> tuple[Array, Array]:
        given = -cost_of_one_more(problem, lots - 1) / scale
        taken = cost_of_one_more(problem, lots) / scale
        left = left_after(lots)
        # Moved to a later period, a lot is held in those between; else it is not.
        later, sooner = jnp.cumsum(2 * left + 1), jnp.cumsum(2 * left - 1)
        later, sooner = later - (2 * left + 1), sooner - (2 * left - 1)
        held = jnp.where(
            index[None] > index[:, None],
            later[None] - later[:, None],
            sooner[None] - sooner[:, None],
        )
        change = given[:, None] + taken[None] + risk * held
        may_move = (lots > 0)[:, None] & (lots < caps)[None]
        may_move = may_move & (index[None] != index[:, None])
        change = jnp.where(may_move, change, jnp.inf).reshape(-1)
        best = jnp.argmin(change)
        size = 1 + risk * jnp.abs(held.reshape(-1)[best])
        gain = jnp.maximum(-change[best], 0) / size
        one = (index == best % num).astype(lots.dtype)
        one = one - (index == best // num).astype(lots.dtype)
        return jnp.where(gain > tol, lots + one, lots), gain

    tol = 64 * jnp.finfo(lots.dtype).eps
    search = iterate_until(move, lots, tol=tol, max_steps=_MOVES * num + 100)
    lots = search.value
    is_whole = lots.sum() == total
    trades = problem.side * lot * lots
    return LotSearch(
        plan=ExecutionSchedule(
            trades, jnp.append(problem.shares, problem.holdings(trades)[1:])
        ),
        gain=search.residual,
        is_found=(search.status == Status.converged) & is_whole & relaxed.is_found,
        is_convex=relaxed.is_convex,
        num_steps=search.num_steps,
    )


def cost_of_one_more(
    problem: AlmgrenChriss, lots: Float[Array, " periods"]
) -> Float[Array, " periods"]:
    """Return what a lot more adds to each period's own cost, without cancellation.

    Args:
        problem: one instance with a lot size.
        lots: already traded in each period, at least -1; from -1 the result is minus
            what it is from 0 and never used.
    """
    lot = problem.lot_size
    assert lot is not None
    square = lot**2 * (2 * lots + 1)
    drift = problem.permanent_impact / 2
    if problem.impact_exponent is None:
        return (problem.impact_coefficients - drift) * square
    more = problem.temporary_costs(lot * (lots + 1))
    return more - problem.temporary_costs(lot * lots) - drift * square
