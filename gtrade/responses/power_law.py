"""Best responses against power-law impact: bounds by duality, and real deviations.

Against given paths a firm's cost is separable over time, up to the constant that its
own permanent impact comes to: at a time when the others trade at rate z and their
positions put the price at m, trading at rate v costs `(h(z + v) + m) v`. With a price
for the target, `min_v` of each time bounds what any path costs, convex or not.

As a function of the total rate y the cost of a moment is `h(y) (y - z) + m (y - z)`. It
is convex but for at most one interval, on the side of zero opposite to z for p < 1 and
on that of z for p > 1 (docs, "Certificate"), so its least value is the lesser of two
convex minimisations.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gtrade.numerics.bisection import bisect
from gtrade.problems.power_law_position import PowerLawPosition

_MAX_PRICES = 80
# Width of the bracket around the price of the target, relative to the largest price. An
# error of the price makes the bound looser by its square.
_PRICE_TOLERANCE = 1e-7
_NUM_HALVINGS = 54


class Response(NamedTuple):
    """What a firm could have paid, without the constant for its own permanent impact.

    Attributes:
        bound: no path costs less (proved, up to rounding), shape ().
        rates: the best path found, shape (times,).
    """

    bound: Float[Array, ""]
    rates: Float[Array, " times"]


def least_cost(
    game: PowerLawPosition,
    others_rate: Float[Array, " times"],
    price: Float[Array, " times"],
    target: Float[Array, ""],
    own_rate: Float[Array, " times"],
) -> Response:
    """Return a lower bound on a firm's cost, and a path that nearly meets it.

    Args:
        game: one instance in float64; its targets are not read.
        others_rate: total rate of the others at times of equal weight, shape (times,).
        price: permanent price move by the others at these times, shape (times,).
        target: mean of the firm's rates, shape ().
        own_rate: what it trades now, shape (times,); the search for the price of the
            target starts from what this implies, and any price gives a bound.
    """
    branches = _branches(game, others_rate)
    total = others_rate + own_rate
    slope = jnp.where(own_rate == 0, 0, game.slope(total))
    marginal = game.pressure(total) + slope * own_rate + price
    marginal = jnp.where(jnp.isfinite(marginal), marginal, jnp.nanmean(marginal))
    least, most = marginal.min(), marginal.max()
    tol = _PRICE_TOLERANCE * jnp.abs(marginal).max()

    def unfinished(search):
        low, high = search.ends
        is_wide = ~(high - low <= tol)  # an end that is not known yet is infinite
        return is_wide & (search.num_prices < _MAX_PRICES)

    def try_price(search):
        shadow = search.price
        rates, costs = _cheapest_rate(game, others_rate, price - shadow, branches)
        bound = jnp.maximum(search.bound, costs.mean() + shadow * target)
        place = jnp.where(rates.mean() < target, 0, 1)
        low, high = ends = search.ends.at[place].set(shadow)
        middle = low + (high - low) / 2
        outward = jnp.where(place == 0, low + search.width, high - search.width)
        is_bracket = jnp.isfinite(low) & jnp.isfinite(high)
        return _Search(
            ends,
            search.rates.at[place].set(rates),
            jnp.where(is_bracket, middle, outward),
            jnp.where(is_bracket, search.width, 4 * search.width),
            bound,
            search.num_prices + 1,
        )

    infinity = jnp.asarray(jnp.inf, marginal.dtype)
    start = _Search(
        ends=jnp.stack([-infinity, infinity]),
        rates=jnp.stack([own_rate, own_rate]),
        price=least + (most - least) / 2,
        width=jnp.maximum(most - least, tol / 2),
        bound=-infinity,
        num_prices=jnp.zeros((), jnp.int32),
    )
    found = jax.lax.while_loop(unfinished, try_price, start)
    tried = _fills(found.rates[0], found.rates[1], target)
    paid = jax.vmap(lambda v: rate_cost(game, others_rate, price, v))(tried)
    return Response(found.bound, tried[jnp.argmin(paid)])


def rate_cost(
    game: PowerLawPosition,
    others_rate: Float[Array, " times"],
    price: Float[Array, " times"],
    rates: Float[Array, " times"],
) -> Float[Array, ""]:
    """Return what a firm pays for its rates, less its own permanent impact; ()."""
    return ((game.pressure(others_rate + rates) + price) * rates).mean()


class _Search(NamedTuple):
    """A search for the price of the target: first outwards for two ends, then between.

    At the lower end the cheapest rates fall short of the target, at the upper they meet
    it; `rates` are these, `price` is tried next, and `bound` is the best so far.
    """

    ends: Float[Array, " 2"]
    rates: Float[Array, "2 times"]
    price: Float[Array, ""]
    width: Float[Array, ""]
    bound: Float[Array, ""]
    num_prices: Int[Array, ""]


class _Branches(NamedTuple):
    """Where the cost of a moment is convex, in `side * y`: up to `low`, from `high`."""

    side: Float[Array, " times"]
    low: Float[Array, " times"]
    high: Float[Array, " times"]


def _branches(game: PowerLawPosition, others_rate: Float[Array, " times"]) -> _Branches:
    p, smoothing = game.exponent, game.smoothing
    size = jnp.abs(others_rate)
    side = jnp.where(others_rate < 0, -1, 1) * jnp.where(p < 1, -1, 1)
    side = side.astype(size.dtype)
    sharp = _Branches(side, jnp.zeros_like(size), jnp.abs(p - 1) / (p + 1) * size)

    # With smoothing e, at y = side e u, the second derivative has the sign of
    # a(u) - (size / e) b(u), and a / b falls up to `turn` and rises from there.
    def least(w):
        return ((p * p * (p + 1) * w + 4 * p * p + 10 * p) * w + 9 * p - 3) * w - 6

    largest = 2 / p + 1  # the cubic is positive there for every p
    turn = jnp.sqrt(bisect(least, jnp.zeros_like(p), largest))
    scaled = size / jnp.where(smoothing > 0, smoothing, 1)

    def concavity(u):
        a = (p * (p + 1) * u**2 + 5 * p - 1) * u**2 + 2
        return jnp.abs(p - 1) * (p * u**2 + 3) * u * scaled - a

    far = 2 * jnp.maximum(1, scaled * jnp.abs(p - 1) * (p + 3) / (p * (p + 1)))
    turns = jnp.broadcast_to(turn, size.shape)
    low = bisect(concavity, jnp.zeros_like(size), turns)
    high = bisect(lambda u: -concavity(u), turns, turns + far)
    is_convex = concavity(turns) <= 0
    low = smoothing * jnp.where(is_convex, turns, low)
    high = smoothing * jnp.where(is_convex, turns, high)
    smooth = _Branches(side, low, high)
    return jax.tree.map(lambda x, y: jnp.where(smoothing > 0, x, y), smooth, sharp)


def _cheapest_rate(game, others_rate, price, branches):
    """Return the rates that minimise the costs of each time, and these costs."""

    def slope(y):
        # At zero, without smoothing, h' is infinite or nothing; next to it, it is not.
        y = jnp.where(y == 0, jnp.finfo(y.dtype).tiny ** 0.25, y)
        return game.pressure(y) + game.slope(y) * (y - others_rate) + price

    side, low, high = branches
    most = (2**0.5 * jnp.abs(price)) ** (1 / game.exponent)
    far = 2 * jnp.abs(others_rate) + 2 * jnp.maximum(most, game.smoothing) + high

    def upward(u):
        return side * slope(side * u)

    lefts, rights = jnp.stack([-far - low, high]), jnp.stack([low, far + high])
    found = bisect(jax.vmap(upward), lefts, rights, num_steps=_NUM_HALVINGS)
    # Between the branches, where h is steep, zero itself may be cheapest.
    total = jnp.concatenate([side[None] * found, jnp.zeros_like(found[:1])])
    rates = total - others_rate[None]
    costs = jax.vmap(lambda v: (game.pressure(others_rate + v) + price) * v)(rates)
    best = costs.argmin(axis=0)[None]
    rates, costs = (jnp.take_along_axis(x, best, axis=0)[0] for x in (rates, costs))
    return rates, costs


def _fills(fewer, more, target):
    """Return three lists of rates with mean `target`, made of two given lists.

    Rates at two neighbouring prices of the target differ only where the cost of a
    moment has two minima. These are filled one after the other; what is left then goes
    to the next one, which puts it between its minima, or that one is filled or not and
    the rest is spread over all.
    """
    room = jnp.maximum(more - fewer, 0)
    before = jnp.cumsum(room) - room
    missing = (target - fewer.mean()) * fewer.shape[0] - before
    share = jnp.clip(missing / jnp.where(room > 0, room, 1), 0, 1)
    rates = (
        fewer[None] + jnp.stack([share, jnp.floor(share), jnp.ceil(share)]) * room[None]
    )
    return rates + (target - rates.mean(axis=1, keepdims=True))
