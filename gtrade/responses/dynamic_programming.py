"""Exact best responses for any one-step cost (Kearns & Shi 2025, Algorithm 1).

Two forms of one dynamic program over (step, shares still to trade). `shortest_schedule`
takes any one-step cost and keeps memory independent of the number of trades.
`quadratic_response` serves the perturbed quadratic costs of FTPL: for small games it
unrolls the program into one vector per state, which carries the whole best continuation
in its bits, so that no policy table and no forward pass are needed. That is several
times faster on a CPU than any table (docs, "Performance").
"""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gtrade.numerics.backward_induction import cheapest_split
from gtrade.numerics.lanes import fenced, lanes_last

# Feasible (state, trade) pairs beyond which unrolling costs more compile time than it
# saves run time.
MAX_UNROLLED_ARCS = 1600
_WORD_BITS = 31  # of a signed 32-bit word


def shortest_schedule(
    one_step_cost: Callable[..., Float[Array, " states"]],
    target: Int[Array, ""],
    *,
    horizon: int,
    min_trade: int,
    max_trade: int,
    dtype: jnp.dtype | None = None,
) -> tuple[Int[Array, " horizon"], Float[Array, ""]]:
    """Minimise `sum_t p_t(A_{t-1}, a_t)` over whole trades that meet a target.

    Args:
        one_step_cost: `p(t, holdings, trade)` for an array of holdings before the
            step, one trade and t = 0..horizon-1; +inf forbids (per-step caps).
        target: sum of the trades, shape (); may be traced.
        horizon: number of steps (static).
        min_trade: fewest shares a step (static).
        max_trade: most shares a step (static).
        dtype: of the values; the default floating dtype if None.

    Returns:
        The schedule, shape (horizon,), int32 (the lexicographically smallest of the
        cheapest) and its cost, shape (), +inf if every schedule is forbidden.
    """
    target = jnp.asarray(target, jnp.int32)

    def step_cost(t, remaining, placed):
        holdings = target - (remaining + (horizon - t) * min_trade)
        return one_step_cost(t, holdings, placed + min_trade)

    units, cost = cheapest_split(
        step_cost,
        target - horizon * min_trade,
        horizon=horizon,
        max_units=max_trade - min_trade,
        dtype=jnp.result_type(float) if dtype is None else dtype,
    )
    return units + min_trade, cost


def quadratic_response(
    linear: Float[Array, " horizon"],
    weight: Float[Array, ""],
    path_weight: Float[Array, " horizon"],
    permanent_impact: Float[Array, ""],
    target: Int[Array, ""],
    *,
    min_trade: int,
    max_trade: int,
    target_range: tuple[int, int] | None = None,
) -> Int[Array, " horizon"]:
    """Minimise `sum_t g_t a_t + w a_t^2 + n_t a_t (a_t + kappa A_{t-1})`.

    Args:
        linear: g, shape (horizon,).
        weight: w, own-cost weight, shape ().
        path_weight: n, weight of the order-dependent own cost, shape (horizon,).
        permanent_impact: kappa, shape ().
        target: sum of the trades, shape ().
        min_trade: fewest shares a step (static).
        max_trade: most shares a step (static).
        target_range: smallest and largest target of the batch (static); the narrower,
            the smaller the tables. None: any reachable target.

    Returns:
        The lexicographically smallest of the cheapest schedules, (horizon,), int32.
    """
    horizon = linear.shape[-1]
    dtype = linear.dtype
    windows = _windows(horizon, min_trade, max_trade, target_range)
    target = jnp.asarray(target, jnp.int32)
    if is_unrolled(horizon, min_trade, max_trade, target_range):
        bits = max(1, (max_trade - min_trade).bit_length())

        def kernel(linear, weight, path_weight, impact, target):
            prices = linear, weight, path_weight, impact
            words = _unrolled(prices, target, windows, min_trade, max_trade, bits)
            return _unpack(words, horizon, bits) + min_trade

        weight = jnp.asarray(weight, dtype)
        impact = jnp.asarray(permanent_impact, dtype)
        return lanes_last(kernel)(linear, weight, path_weight, impact, target)

    def one_step_cost(t, holdings, trade):
        a = trade.astype(dtype)
        path = a * (a + permanent_impact * holdings.astype(dtype))
        return linear[t] * a + weight * a * a + path_weight[t] * path

    schedule, _ = shortest_schedule(
        one_step_cost,
        target,
        horizon=horizon,
        min_trade=min_trade,
        max_trade=max_trade,
        dtype=dtype,
    )
    return schedule


def is_unrolled(
    horizon: int,
    min_trade: int,
    max_trade: int,
    target_range: tuple[int, int] | None = None,
) -> bool:
    """Return whether `quadratic_response` unrolls games of this size."""
    windows = _windows(horizon, min_trade, max_trade, target_range)
    return _num_arcs(windows, min_trade, max_trade) <= MAX_UNROLLED_ARCS


def _windows(horizon, min_trade, max_trade, target_range):
    """Return (lowest, highest) shares still to trade after t = 0..T steps."""
    if target_range is None:
        target_range = horizon * min_trade, horizon * max_trade
    lowest, highest = target_range
    return tuple(
        (
            max((horizon - t) * min_trade, lowest - t * max_trade),
            min((horizon - t) * max_trade, highest - t * min_trade),
        )
        for t in range(horizon + 1)
    )


def _num_arcs(windows, min_trade: int, max_trade: int) -> int:
    """Count feasible (state, trade) pairs without listing them."""
    arcs = 0
    for (low, high), (next_low, next_high) in zip(windows, windows[1:], strict=False):
        if high - low >= MAX_UNROLLED_ARCS:
            return MAX_UNROLLED_ARCS + 1
        for remaining in range(low, high + 1):
            first = max(min_trade, remaining - next_high)
            last = min(max_trade, remaining - next_low)
            arcs += max(0, last - first + 1)
    return arcs


def _unrolled(prices, target, windows, low: int, high: int, bits: int):
    """Run the program with one (lanes,) vector per state; see `quadratic_response`.

    Beside its least cost, every state carries the trades of its best continuation,
    packed into 32-bit words: choosing an arc then chooses the rest of the schedule.
    """
    linear, weight, path_weight, impact = prices
    horizon = linear.shape[0]
    num_words = -(-horizon // (_WORD_BITS // bits))
    costs = {0: jnp.zeros_like(weight)}
    paths = {0: [jnp.zeros(weight.shape, jnp.int32)] * num_words}
    for t in reversed(range(horizon)):

        def step(linear, weight, path_weight, impact, target, costs, paths, t=t):
            window = range(windows[t][0], windows[t][1] + 1)
            trades = range(low, high + 1)
            prices = linear, weight, path_weight, path_weight * impact
            return _unrolled_step(costs, paths, target, prices, window, trades, bits, t)

        # Without fences XLA fuses all steps, and recomputes them beyond all bounds.
        costs, paths = fenced(step)(
            linear[t], weight, path_weight[t], impact, target, costs, paths
        )
    (first, *others) = paths
    chosen = paths[first]
    for start in others:
        chosen = [
            jnp.where(target == start, new, old)
            for new, old in zip(paths[start], chosen, strict=True)
        ]
    return chosen


def _unrolled_step(costs, paths, target, prices, window, trades, bits: int, t: int):
    """Return least costs and best paths before step t, by shares still to trade."""
    linear, weight, path_weight, slope = prices
    per_word = _WORD_BITS // bits
    word, place = t // per_word, bits * (t % per_word)
    # Holdings are target - remaining: the target's part does not depend on the state.
    flat = {
        k: linear * k
        + (weight + path_weight) * float(k * k)
        + slope * k * target.astype(slope.dtype)
        for k in trades
    }
    new_costs, new_paths = {}, {}
    for remaining in window:
        arcs = []
        for k in trades:
            if remaining - k not in costs:
                continue
            cost = costs[remaining - k] + flat[k]
            if k * remaining:
                cost = cost - slope * float(k * remaining)
            onward = list(paths[remaining - k])
            onward[word] = onward[word] | ((k - trades[0]) << place)
            arcs.append((cost, onward))
        if arcs:
            new_costs[remaining], new_paths[remaining] = _cheapest(arcs)
    return new_costs, new_paths


def _cheapest(arcs):
    """Return the cheapest (cost, words), the earlier of equals, by a knock-out.

    A running minimum would do, but XLA's fusions recompute what is used twice: a chain
    of n comparisons then takes 2^n steps, a knock-out n^2.
    """
    while len(arcs) > 1:
        winners = []
        for (cost, words), (other, other_words) in zip(
            arcs[::2], arcs[1::2], strict=False
        ):
            is_better = other < cost
            pairs = zip(words, other_words, strict=True)
            winners.append(
                (
                    jnp.where(is_better, other, cost),
                    [jnp.where(is_better, new, old) for old, new in pairs],
                )
            )
        arcs = winners + arcs[len(winners) * 2 :]
    return arcs[0]


def _unpack(words, horizon: int, bits: int):
    """Return the (horizon, lanes) digits of packed words, by one broadcast shift.

    Stacking one row a step instead makes XLA compute the whole program once per row.
    """
    per_word = _WORD_BITS // bits
    mask = (1 << bits) - 1
    rows = []
    for i, word in enumerate(words):
        digits = min(per_word, horizon - i * per_word)
        shifts = bits * jnp.arange(digits, dtype=jnp.int32)
        rows.append((word[None] >> shifts[:, None]) & mask)
    return rows[0] if len(rows) == 1 else jnp.concatenate(rows)
