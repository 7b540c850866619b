"""Exact best responses in closed form, for linear-quadratic own costs.

A player's own cost does not depend on the order of its trades, so the best response to
the others' flow b minimises `sum_t g_t a_t + w a_t^2` with `g = M b` and
`w = 1 - kappa/2` over whole trades in the box with `sum_t a_t = V` (docs,
"Separability"; checked against brute force). For w > 0 the V - T theta_L cheapest unit
trades are taken, found by a search on their marginal price; for w <= 0 an optimum is a
vertex: fill the cheapest steps first. Ties go to the lexicographically smallest
schedule: among equal prices the larger trade comes later.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Shaped

from gtrade.numerics.lanes import fenced, in_blocks, lanes_last
from gtrade.numerics.precision import widen
from gtrade.problems.discrete_trading import TradingGame, holdings_before
from gtrade.responses.general import general_response, table_response

# Up to this many steps, ranking by counting beats a bitwise search for the threshold.
_MAX_COUNTED_STEPS = 16
# Numbers of one array that a CPU core keeps in its second-level cache beside others.
_BLOCK_SIZE = 2**15


def best_response(
    game: TradingGame, opponents_flow: Shaped[Array, " horizon"], *, player: int = 0
) -> Int[Array, " horizon"]:
    """Return a player's exact best response to the others' total flow.

    Args:
        game: one instance; map over a batch with `jax.vmap`.
        opponents_flow: shares that all others together buy per step, shape (horizon,);
            fractional means (a mixed profile) are welcome where prices are linear.
        player: whose target to meet.

    Returns:
        The cheapest schedule, shape (horizon,), int32; of several, the
        lexicographically smallest.

    Raises:
        ValueError: for fractional flow where the game has a `temporary_exponent`.
    """
    flow, target = jnp.asarray(opponents_flow), game.targets[player]
    if game.is_general:
        is_whole = jnp.issubdtype(flow.dtype, jnp.integer)
        if game.temporary_exponent is not None and not is_whole:
            raise ValueError(
                "opponents_flow must hold whole numbers in a game with a"
                " temporary_exponent, where expected costs depend on more than the mean"
                f" flow (`general_response` takes a mixture); got {flow.dtype}"
            )
        weights = jnp.ones((1,), game.permanent_impact.dtype)
        return general_response(game, flow[None], weights, target=target)[0]
    pressure = game.price_pressure(flow)
    return cheapest_schedule(game, pressure, game.own_cost_weight, target, flow=flow)


def cheapest_schedule(
    game: TradingGame,
    prices: Float[Array, " horizon"],
    weight: Float[Array, ""],
    target: Int[Array, ""],
    *,
    flow: Shaped[Array, " horizon"] | None = None,
) -> Int[Array, " horizon"]:
    """Minimise `sum_t prices_t a_t + weight a_t^2` within a game's trade limits.

    Fees and prices of the game are not read, only its limits, those of single steps
    included.

    Args:
        game: one instance.
        prices: price of a unit at each step, shape (horizon,).
        weight: own-cost weight of either sign, shape ().
        target: sum of the trades, shape (); must be reachable.
        flow: others' flow, shape (horizon,), where `prices` is its pressure and
            `weight` the game's own. Whole flows let units that cost the same for every
            kappa tie exactly (not with limits of single steps); otherwise rounding may
            decide between them.

    Returns:
        The lexicographically smallest minimiser, shape (horizon,), int32.
    """
    lows, highs = game.trade_bounds
    parts = None
    if flow is not None:
        flow = widen(flow)
        parts = (flow, holdings_before(flow), game.permanent_impact)
    if (lows == lows[0]).all() and (highs == highs[0]).all():
        return separable_response(
            prices,
            weight,
            target,
            min_trade=game.lowest_trade,
            max_trade=game.highest_trade,
            parts=parts,
        )
    trades = jnp.arange(game.lowest_trade, game.highest_trade + 1, dtype=jnp.int32)
    amount = trades.astype(prices.dtype)[None]
    table = prices[:, None] * amount + weight * amount * amount
    table = jnp.where(game.allowed_trades, table, jnp.inf)
    return table_response(table, target, min_trade=game.lowest_trade)[0]


def separable_response(
    linear: Float[Array, " horizon"],
    weight: Float[Array, ""],
    target: Int[Array, ""],
    *,
    min_trade: int,
    max_trade: int,
    parts: tuple[Array, Array, Array] | None = None,
) -> Int[Array, " horizon"]:
    """Minimise `sum_t linear_t a_t + weight a_t^2` over whole trades meeting a target.

    Args:
        linear: price of a unit at each step, shape (horizon,).
        weight: own-cost weight of either sign, shape ().
        target: sum of the trades, shape (); must be reachable.
        min_trade: fewest shares a step (static).
        max_trade: most shares a step (static).
        parts: numbers b, B and kappa, shapes (horizon,), (horizon,) and (), where
            `linear` is b + kappa B and `weight` 1 - kappa/2. Prices of units that are
            equal for every kappa then are in floats too, if b and B are whole.

    Returns:
        The lexicographically smallest minimiser, shape (horizon,), int32. Its cost is
        least up to the rounding of `linear`'s dtype.
    """
    horizon, dtype = linear.shape[-1], linear.dtype

    def next_units(linear, weight, units, *parts):
        base, room = _bracket(linear, weight, units, min_trade, max_trade)
        # The next unit's price at each step; without curvature, just the linear one.
        first = 2 * (base + min_trade).astype(linear.dtype) + 1
        price = linear + jnp.maximum(weight, 0)[None] * first
        if parts:
            # Of equal prices, the numbers before and behind kappa are equal: they are
            # whole and half numbers, without rounding.
            flow, before, impact = parts
            exact = (flow + first) + impact[None] * (before - first / 2)
            price = jnp.where((weight > 0)[None], exact, linear)
        return base, room, price

    # Fused with comparisons, a price is computed once for each, and not always rounded
    # alike: prices that shall tie are computed before.
    prepared = fenced(next_units) if parts else next_units

    def kernel(linear, weight, units, *parts):
        base, room, price = prepared(linear, weight, units, *parts)
        rest = units - base.sum(axis=0, dtype=jnp.int32)
        return base + min_trade + _fill_cheapest(price, room, rest)

    units = jnp.asarray(target, jnp.int32) - horizon * min_trade
    blocked = in_blocks(fenced(kernel), max(64, _BLOCK_SIZE // horizon))
    weight = jnp.asarray(weight, dtype)
    more = [jnp.asarray(x, dtype) for x in parts or ()]
    return lanes_last(blocked)(linear, weight, units, *more)


def _bracket(linear, weight, units, min_trade: int, max_trade: int):
    """Return units certainly taken at each step, and those in doubt, (T, lanes).

    A bisection on the marginal price, in units of 2 * weight, narrows the doubt to at
    most one unit a step. Lanes with weight <= 0 are left wholly in doubt.
    """
    horizon = linear.shape[0]
    span = max_trade - min_trade
    is_convex = weight > 0
    scaled = linear / (2 * jnp.where(is_convex, weight, 1))[None]

    def count(level):
        taken = jnp.floor(level[None] - scaled + 0.5) - min_trade
        return jnp.clip(taken, 0, span).astype(jnp.int32)

    low = scaled.min(axis=0) + min_trade
    high = scaled.max(axis=0) + max_trade + 1
    scale = jnp.maximum(jnp.abs(scaled).max(axis=0) + horizon, jnp.abs(high))
    slack = 8 * jnp.finfo(linear.dtype).eps * scale  # rounding of levels and counts

    def unfinished(carry):
        low, high = carry
        return (is_convex & (high - low > jnp.maximum(0.25, 8 * slack))).any()

    def halve(carry):
        low, high = carry
        middle = low + (high - low) / 2
        is_low = count(middle).sum(axis=0, dtype=jnp.int32) <= units
        return jnp.where(is_low, middle, low), jnp.where(is_low, high, middle)

    low, high = jax.lax.while_loop(unfinished, halve, (low, high))
    base = jnp.where(is_convex[None], count(low - slack), 0)
    room = jnp.where(is_convex[None], count(high + slack), span) - base
    return base, room


def _fill_cheapest(price, room, amount):
    """Fill `amount` units into steps of capacity `room`, cheapest and latest first.

    Args:
        price: shape (T, lanes).
        room: units that fit a step, shape (T, lanes), int32.
        amount: units to place, shape (lanes,), int32.
    """
    if price.shape[0] <= _MAX_COUNTED_STEPS:
        return _fill_by_counting(price, room, amount)
    return _fill_by_threshold(price, room, amount)


def _fill_by_counting(price, room, amount):
    horizon = price.shape[0]
    before = [jnp.zeros_like(amount) for _ in range(horizon)]
    for early in range(horizon):
        for late in range(early + 1, horizon):
            late_first = price[late] <= price[early]
            before[early] += jnp.where(late_first, room[late], 0)
            before[late] += jnp.where(late_first, 0, room[early])
    return jnp.clip(amount[None] - jnp.stack(before), 0, room)


def _fill_by_threshold(price, room, amount):
    """Find the dearest price that is still bought, bit by bit, then settle its ties."""
    bits = jnp.finfo(price.dtype).bits
    integer = jnp.dtype(f"int{bits}")
    raw = jax.lax.bitcast_convert_type(price + 0.0, integer)  # -0.0 equals 0.0
    lowest = jnp.asarray(jnp.iinfo(integer).min, integer)
    key = jnp.where(raw < 0, ~raw ^ lowest, raw)  # ordered like the prices

    def place_bit(i, threshold):
        # Keep the bit if everything strictly below the candidate is not enough.
        candidate = threshold + jax.lax.shift_left(
            jnp.ones((), integer), jnp.asarray(bits - 2 - i, integer)
        )
        below = jnp.where(key < candidate[None], room, 0).sum(axis=0, dtype=jnp.int32)
        return jnp.where(below < amount, candidate, threshold)

    negative_enough = jnp.where(key < 0, room, 0).sum(axis=0, dtype=jnp.int32) >= amount
    threshold = jnp.where(negative_enough, lowest, jnp.zeros((), integer))
    threshold = jax.lax.fori_loop(0, bits - 1, place_bit, threshold)
    surely = jnp.where(key < threshold[None], room, 0)
    tied = jnp.where(key == threshold[None], room, 0)
    later = jnp.flip(jnp.cumsum(jnp.flip(tied, 0), axis=0, dtype=jnp.int32), 0) - tied
    rest = amount - surely.sum(axis=0, dtype=jnp.int32)
    return surely + jnp.clip(rest[None] - later, 0, tied)
