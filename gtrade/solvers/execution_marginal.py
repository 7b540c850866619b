"""Plans with caps and power-law impact: one search for the marginal cost of trading.

To trade a share more in period k and less before the end costs as much at every k that
is below its cap. Read from the last period to the first, that equality says what to
trade in each period, given what the last share traded costs; and the more that is, the
more is traded in all. So the one unknown of the whole plan is found where all shares
are traded. All sums on the way are of positive numbers: nothing cancels.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gtrade.numerics.loops import iterate_until
from gtrade.problems.almgren_chriss import AlmgrenChriss, ExecutionSchedule
from gtrade.solution import Status

_MAX_STEPS = 200
# Steps for one period's trade; each triples the digits.
_INNER_STEPS = 6
_MARGIN = 1e-3


class MarginalSearch(NamedTuple):
    """A plan, and how the search for it went.

    Attributes:
        plan: the optimum where it is found.
        is_found: whether it is.
        is_convex: whether costs are convex where the plan would have to be.
        num_steps: evaluations of the total.
    """

    plan: ExecutionSchedule
    is_found: Bool[Array, ""]
    is_convex: Bool[Array, ""]
    num_steps: Int[Array, ""]


class _Normalised(NamedTuple):
    """The problem of trading one share, in units of the largest impact coefficient.

    The marginal cost of period k is `slopes_k m^p - drift m`; holding x after a period
    adds `risk x` to that of all periods up to it.
    """

    slopes: Float[Array, " periods"]
    drift: Float[Array, ""]
    risk: Float[Array, ""]
    caps: Float[Array, " periods"]
    exponent: Float[Array, ""] | None


def marginal_schedule(problem: AlmgrenChriss) -> MarginalSearch:
    """Return the optimum of an admissible instance, differentiable in its numbers.

    For an exponent above one permanent impact bends the cost of small trades down: the
    cost per share falls with the trade up to some size, and rises beyond it. The plan
    is then found where all its trades are beyond: there the cost is that of its convex
    envelope, and no plan costs less. Otherwise there is none (`is_convex`).
    """
    task = _normalise(problem)
    fixed = jax.lax.stop_gradient(task)
    dtype, num = task.slopes.dtype, problem.num_periods
    floor = _floor(fixed)
    low = jnp.asarray(0.98 * math.log(float(jnp.finfo(dtype).tiny)), dtype)
    top = fixed.slopes * _power(fixed.caps, fixed.exponent) - fixed.drift * fixed.caps
    reach = jnp.maximum(top.max() - floor, jnp.finfo(dtype).tiny)
    high = jnp.maximum(jnp.log(reach) + 0.1, low + 1)

    def total(task: _Normalised, level: Array, last: Array) -> Array:
        return jnp.log(_plan_from(task, level, last).sum())

    # Where even the least number leaves too much to trade, periods at the end have
    # nothing to do that a float could hold.
    def halve(_, bracket):
        first, last = bracket
        middle = (first + last + 1) // 2
        fits = total(fixed, low, middle) <= 0
        return jnp.where(fits, middle, first), jnp.where(fits, last, middle - 1)

    whole = jnp.asarray(num, jnp.int32)
    rounds = math.ceil(math.log2(num)) + 1
    last, _ = jax.lax.fori_loop(0, rounds, halve, (jnp.ones_like(whole), whole))
    last = jnp.where(floor < 0, whole, last)

    def evaluate(level: Array) -> tuple[Array, Array]:
        ones = jnp.ones_like(level)
        return jax.jvp(lambda x: total(fixed, x, last), (level,), (ones,))

    eps = jnp.finfo(dtype).eps

    def step(state):
        level, low, high, before, _ = state
        value, slope = evaluate(level)
        low = jnp.where(value > 0, low, level)
        high = jnp.where(value > 0, level, high)
        newton = level - value / slope
        is_inside = (newton > low) & (newton < high)
        is_fast = jnp.abs(value) <= before / 2
        new = jnp.where(is_inside & is_fast, newton, low + (high - low) / 2)
        is_narrow = high - low <= 2 * eps * jnp.maximum(jnp.abs(low), 1)
        is_done = (jnp.abs(value) <= 4 * eps) | is_narrow
        new = jnp.where(is_done, level, new)
        residual = jnp.where(is_done, 0, jnp.ones_like(value))
        return (new, low, high, jnp.abs(value), slope), residual

    infinity = jnp.full((), jnp.inf, dtype)
    even = fixed.slopes.max() * _power(jnp.ones_like(low) / num, fixed.exponent)
    start = jnp.clip(jnp.log(even), low, high)
    search = iterate_until(
        step, (start, low, high, infinity, low), tol=0.5, max_steps=_MAX_STEPS
    )
    level = jax.lax.stop_gradient(search.value[0])
    # One more step, in which derivatives pass: the implicit function theorem.
    slope = jax.lax.stop_gradient(search.value[4])
    is_steep = slope > 0
    change = jnp.where(is_steep, total(task, level, last), 0)
    level = level - change / jnp.where(is_steep, slope, 1)
    share = _plan_from(task, level, last)
    # What is still missing by rounding, where there is room for it.
    room = jnp.where(share < task.caps, share, 0)
    missing = 1 - share.sum()
    share = share + missing * room / jnp.maximum(room.sum(), jnp.finfo(dtype).tiny)
    share = jnp.minimum(share, task.caps)
    has_plan = jnp.abs(jax.lax.stop_gradient(missing)) <= 1e4 * num * eps
    size = jnp.minimum(jnp.abs(problem.shares) * share, problem.caps)
    left = problem.shares * problem.holdings(share)[1:]
    holdings = jnp.append(problem.shares, left).at[-1].set(0)
    is_convex = jnp.ones((), bool)
    if problem.impact_exponent is not None:
        is_convex = (floor == 0) | (total(fixed, low, whole) <= 0)
        is_convex = is_convex | (problem.shares == 0)
    is_found = (search.status == Status.converged) & has_plan & is_convex
    return MarginalSearch(
        plan=ExecutionSchedule(problem.side * size, holdings),
        is_found=is_found | (problem.shares == 0),
        is_convex=is_convex,
        num_steps=search.num_steps,
    )


def _normalise(problem: AlmgrenChriss) -> _Normalised:
    size = jnp.abs(problem.shares)
    size = jnp.where(size > 0, size, 1)
    coefficients = problem.impact_coefficients
    scale = coefficients.max()
    exponent = problem.impact_exponent
    factor = 1 / scale if exponent is None else size ** (1 - exponent) / scale
    risk = 2 * problem.risk_aversion * problem.volatility**2 * problem.period_length
    largest = float(jnp.finfo(size.dtype).max) / (4 * problem.num_periods**2)
    slopes = (1 + problem.exponent) * coefficients / scale
    drift = problem.permanent_impact * factor
    # Where no cap binds, a trade may exceed all shares while they are searched for: a
    # sum that is one in floating point would not tell one marginal cost from another.
    most = jnp.full_like(slopes, 1 + _MARGIN)
    if exponent is not None:
        # But not as far as marginal costs begin to fall.
        is_bent = (exponent < 1) & (drift > 0)
        ratio = jnp.where(is_bent, exponent * slopes / drift, 1)
        turn = ratio ** (1 / jnp.where(is_bent, 1 - exponent, 1))
        most = jnp.where(is_bent, jnp.minimum(most, jnp.sqrt(turn)), most)
    caps = jnp.where(jnp.isfinite(problem.caps), problem.caps, 2 * size)
    return _Normalised(
        slopes=slopes,
        drift=drift,
        risk=jnp.minimum(risk * factor, largest),
        caps=jnp.minimum(caps / size, jax.lax.stop_gradient(most)),
        exponent=exponent,
    )


def _floor(task: _Normalised) -> Float[Array, ""]:
    """Return the marginal cost at which the costs of all periods bend up.

    0 for exponents of at most one. Above, a period's cost lies above its tangent from
    the origin, which touches it where `2 p a m^(p - 1)` is the drift.
    """
    if task.exponent is None:
        return jnp.zeros((), task.slopes.dtype)
    p = task.exponent
    is_bent = (p > 1) & (task.drift > 0)
    above = jnp.where(is_bent, p - 1, 1)
    ratio = task.drift * (1 + p) / (2 * p * task.slopes)
    touch = jnp.minimum(jnp.where(is_bent, ratio, 0) ** (1 / above), task.caps)
    tangent = task.slopes / (1 + p) * _power(touch, p) - task.drift / 2 * touch
    return jnp.where(is_bent, jnp.minimum(tangent.max(), 0), 0)


def _plan_from(
    task: _Normalised, level: Float[Array, ""], last: Int[Array, ""]
) -> Float[Array, " periods"]:
    """Return what is traded in all periods up to `last` if its marginal cost is given.

    Args:
        task: the problem.
        level: logarithm of what the last share costs beyond the least it may.
        last: the last period that trades.
    """
    cost = jnp.exp(level) + _floor(task)

    def backward(carry, period):
        left, later = carry  # shares left after the period, and their sum to the end
        slope, cap, number = period
        trade = _trade_at(task, cost + task.risk * later, slope, cap)
        trade = jnp.where(number < last, trade, 0)
        left = left + trade
        return (left, later + left), trade

    zero = jnp.zeros((), task.slopes.dtype)
    numbers = jnp.arange(len(task.slopes), dtype=jnp.int32)
    periods = task.slopes, task.caps, numbers
    return jax.lax.scan(backward, (zero, zero), periods, reverse=True)[1]


def _trade_at(task: _Normalised, cost: Array, slope: Array, cap: Array) -> Array:
    """Return the trade, up to the cap, whose marginal cost is given."""
    if task.exponent is None:
        return jnp.minimum(cost / (slope - task.drift), cap)
    numbers = (cost, slope, task.exponent, task.drift)
    trade = _inverted(*jax.lax.stop_gradient((*numbers, cap)))
    # A last step, in which derivatives pass.
    cost, slope, p, drift = numbers
    size = jnp.where(trade > 0, trade, 1)
    rate = slope * size ** (p - 1)
    bend = jax.lax.stop_gradient(p * rate - drift)
    change = (cost - (rate - drift) * size) / jnp.where(bend > 0, bend, 1)
    new = size + jnp.where(bend > 0, change, 0)
    return jnp.where(trade > 0, jnp.clip(new, 0, cap), 0)


def _inverted(cost: Array, slope: Array, p: Array, drift: Array, cap: Array) -> Array:
    """Solve `slope m^p - drift m = cost` for m where the left side increases in it."""
    is_convex = p > 1
    start = _power(jnp.maximum(cost, 0) / slope, 1 / p)
    bent = jnp.where(is_convex, drift / slope, 0)
    start = start + _power(bent, 1 / jnp.where(is_convex, p - 1, 1))

    def improve(_: Array, trade: Array) -> Array:
        # Expanded to second order, so that flat stretches are crossed as well.
        size = jnp.where(trade > 0, trade, 1)
        rate = slope * size ** (p - 1)
        short = cost - (rate - drift) * size
        bend, turn = p * rate - drift, p * (p - 1) * rate / size
        root = jnp.sqrt(jnp.maximum(bend**2 + 2 * turn * short, 0))
        below = bend + root
        new = size + 2 * short / jnp.where(below > 0, below, 1)
        return jnp.where(trade > 0, jnp.clip(new, 0, cap), 0)

    return jax.lax.fori_loop(0, _INNER_STEPS, improve, jnp.minimum(start, cap))


def _power(x: Array, exponent: Array | None) -> Array:
    """Return x^exponent, 0 at zero with a derivative of 0 there; x for None."""
    if exponent is None:
        return x
    is_positive = x > 0
    return jnp.where(is_positive, jnp.where(is_positive, x, 1) ** exponent, 0)
