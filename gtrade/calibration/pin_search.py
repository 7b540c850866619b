"""Climbing the likelihood of daily counts: Newton's method, and EM where it fails.

All that a step needs of the days is fourteen weighted sums over them, of the
probabilities that a day's news was bad or good. They give the likelihood's exact
gradient and Hessian (Louis 1982) and the step of expectation and maximisation
(Dempster, Laird & Rubin 1977), which never lowers the likelihood. So a step costs two
exponentials a day and no matrices of days by numbers.

Coordinates are free ones: logits of alpha and delta, logarithms of e_b, e_s and mu.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

# What one more step would gain in log-likelihood when a climb is over.
_GAIN = 1e-4
# The largest change of a coordinate in a step of Newton's, and of a step of EM that is
# lengthened; a step of EM that changes none by more than the last ends a climb.
_LONGEST, _MOST_STRETCH, _STILL = 4.0, 64.0, 1e-7
# Logits and logarithms stay within these: a share of e^-16 is as good as none, and a
# climb finds its way back from there.
_MOST_LOGIT, _MOST_LOG = 16.0, 30.0
_INNER_STEPS = 3


class DaySums(NamedTuple):
    """What a climb reads of the days, each weighted.

    Attributes:
        buys: of each day, shape (days,).
        sells: of each day, shape (days,).
        weights: of each day, shape (days,).
        moments: weight times 1, B, S, B^2, S^2 and B S, shape (days, 6).
        total: weights, buys and sells in all, shape (3,).
        mean: buys and sells a day, shape (2,).
    """

    buys: Float[Array, " days"]
    sells: Float[Array, " days"]
    weights: Float[Array, " days"]
    moments: Float[Array, "days 6"]
    total: Float[Array, " 3"]
    mean: Float[Array, " 2"]


class Place(NamedTuple):
    """A point of a climb and where to go from it.

    Attributes:
        free: coordinates, shape (5,).
        height: log-likelihood above that of days without news, shape ().
        newton: what Newton's step adds, shape (5,).
        gain: half of what it promises, infinite where the likelihood is not concave.
        safe: where the step of EM goes, shape (5,).
    """

    free: Float[Array, " 5"]
    height: Float[Array, ""]
    newton: Float[Array, " 5"]
    gain: Float[Array, ""]
    safe: Float[Array, " 5"]


class Ends(NamedTuple):
    """Where climbs ended.

    Attributes:
        free: coordinates, shape (starts, 5).
        height: log-likelihoods above that of days without news, -inf where there was no
            start, shape (starts,).
        num_steps: of each, shape (starts,).
    """

    free: Float[Array, "starts 5"]
    height: Float[Array, " starts"]
    num_steps: Int[Array, " starts"]


class _Climb(NamedTuple):
    """A climb on its way."""

    place: Place
    proposal: Float[Array, " 5"]
    is_newton: Bool[Array, ""]
    limit: Float[Array, ""]
    stretch: Float[Array, ""]
    is_over: Bool[Array, ""]
    num_steps: Int[Array, ""]


class _Queue(NamedTuple):
    """Climbs under way, whose they are, and which start is next."""

    climbs: _Climb
    owners: Int[Array, " slots"]
    next_start: Int[Array, ""]
    ends: Ends


def day_sums(
    buys: Float[Array, " days"],
    sells: Float[Array, " days"],
    weights: Float[Array, " days"],
) -> DaySums:
    """Return what a climb reads of the days."""
    columns = [jnp.ones_like(buys), buys, sells, buys**2, sells**2, buys * sells]
    moments = weights[:, None] * jnp.stack(columns, axis=1)
    total = moments[:, :3].sum(axis=0)
    mean = total[1:] / jnp.where(total[0] > 0, total[0], 1)
    return DaySums(buys, sells, weights, moments, total, mean)


def climb_all(
    days: DaySums,
    starts: Float[Array, "starts 5"],
    is_start: Bool[Array, " starts"],
    max_steps: int,
    num_slots: int,
) -> Ends:
    """Climb from all starts, a few at a time: where one ends the next one begins.

    Climbs take four steps or forty. All at once, every one would last as long as the
    slowest.

    Args:
        days: of one stock and period.
        starts: free coordinates.
        is_start: which of them to climb from.
        max_steps: looks at the days at most, of one climb (static).
        num_slots: climbs at a time (static).
    """
    num_starts = starts.shape[0]
    order = jnp.argsort(~is_start, stable=True).astype(jnp.int32)
    wanted = is_start.sum(dtype=jnp.int32)
    nothing = jnp.zeros((num_slots,), starts.dtype)
    no = jnp.zeros((num_slots,), bool)

    def begin(owners: Array) -> _Climb:
        start = starts[jnp.minimum(owners, num_starts - 1)]
        start = jax.vmap(_within)(start)
        place = Place(start, nothing, start, nothing, start)
        count = jnp.zeros((num_slots,), jnp.int32)
        return _Climb(place, start, no, nothing + jnp.inf, nothing + 1, no, count)

    def owner_of(place_in_order: Array) -> Array:
        own = order[jnp.minimum(place_in_order, num_starts - 1)]
        return jnp.where(place_in_order < wanted, own, num_starts)

    def is_unfinished(queue: _Queue) -> Bool[Array, ""]:
        return (queue.owners < num_starts).any()

    def go_on(queue: _Queue) -> _Queue:
        climbs = jax.vmap(lambda x: _step(days, x))(queue.climbs)
        now = Ends(climbs.place.free, climbs.place.height, climbs.num_steps)
        ends = jax.tree.map(
            lambda x, y: x.at[queue.owners].set(y, mode="drop"), queue.ends, now
        )
        is_over = climbs.is_over | (climbs.num_steps >= max_steps)
        rank = jnp.cumsum(is_over, dtype=jnp.int32) - 1
        owners = jnp.where(is_over, owner_of(queue.next_start + rank), queue.owners)

        def renew(new: Array, old: Array) -> Array:
            return jnp.where(is_over.reshape((-1,) + (1,) * (old.ndim - 1)), new, old)

        climbs = jax.tree.map(renew, begin(owners), climbs)
        next_start = queue.next_start + is_over.sum(dtype=jnp.int32)
        return _Queue(climbs, owners, next_start, ends)

    owners = owner_of(jnp.arange(num_slots, dtype=jnp.int32))
    ends = Ends(
        starts,
        jnp.full((num_starts,), -jnp.inf, starts.dtype),
        jnp.zeros((num_starts,), jnp.int32),
    )
    first = jnp.asarray(num_slots, jnp.int32)
    queue = _Queue(begin(owners), owners, first, ends)
    return jax.lax.while_loop(is_unfinished, go_on, queue).ends


def _step(days: DaySums, state: _Climb) -> _Climb:
    """Look where the last step led, keep what is higher, and propose the next."""
    old, new = state.place, look(days, state.proposal)
    eps = float(jnp.finfo(old.height.dtype).eps)
    is_first = state.num_steps == 0
    slack = 8 * eps * jnp.abs(old.height)
    is_better = is_first | (new.height >= old.height - slack)
    place = jax.tree.map(lambda x, y: jnp.where(is_better, x, y), new, old)
    # A step of Newton's that failed is tried again where it promises half as much.
    has_failed = ~is_better & state.is_newton
    limit = jnp.where(has_failed, old.gain / 2, state.limit)
    is_newton = place.gain < limit
    # Steps of EM lengthen as long as they help: over plateaus it creeps.
    is_em = ~is_better & ~state.is_newton
    is_longer = is_better & ~state.is_newton & ~is_first
    longer = jnp.where(is_longer, 2 * state.stretch, 1)
    stretch = jnp.where(is_newton, 1, jnp.minimum(longer, _MOST_STRETCH))
    by_em = place.free + stretch * (place.safe - place.free)
    by_em = _within(by_em)
    proposal = jnp.where(is_newton, place.free + place.newton, by_em)
    is_settled = place.gain < _GAIN
    is_still = jnp.abs(place.safe - place.free).max() < _STILL
    # Rounding is all that is left where a step of EM as it is leads down.
    has_stopped = is_still | (is_em & (state.stretch <= 1))
    return _Climb(
        place,
        proposal,
        is_newton,
        limit,
        stretch,
        is_settled | (~is_newton & has_stopped),
        state.num_steps + 1,
    )


def look(days: DaySums, free: Float[Array, " 5"]) -> Place:
    """Return what the days say about one point."""
    logit_alpha, logit_delta, *logs = free
    alpha, delta = jax.nn.sigmoid(logit_alpha), jax.nn.sigmoid(logit_delta)
    buy, sell, informed = (jnp.exp(x) for x in logs)
    many_buys, many_sells = jnp.log1p(informed / buy), jnp.log1p(informed / sell)
    of_none = -jax.nn.softplus(logit_alpha)
    of_news = -jax.nn.softplus(-logit_alpha) - informed
    of_bad = of_news - jax.nn.softplus(-logit_delta) - of_none
    of_good = of_news - jax.nn.softplus(logit_delta) - of_none
    bad = days.sells * many_sells + of_bad
    good = days.buys * many_buys + of_good
    # One of three terms is the largest, hence 1: two exponentials a day.
    most, least = jnp.maximum(bad, good), jnp.minimum(bad, good)
    largest = jnp.maximum(most, 0)
    middle = jnp.maximum(least, jnp.minimum(most, 0))
    second = jnp.exp(middle - largest)
    third = jnp.exp(jnp.minimum(least, 0) - largest)
    sum_of = 1 + second + third
    inverse = 1 / sum_of

    def share(term: Array) -> Array:
        others = jnp.where(term == middle, second, third)
        return jnp.where(term == largest, 1, others) * inverse

    bad, good = share(bad), share(good)
    news = (days.weights * (largest + jnp.log(sum_of))).sum()
    count, all_buys, all_sells = days.total
    height = news + count * of_none
    for all_orders, mean, log in zip(days.total[1:], days.mean, logs[:2], strict=True):
        is_some = mean > 0
        excess = log - jnp.log(jnp.where(is_some, mean, 1))
        by_size = all_orders * excess - count * mean * jnp.expm1(excess)
        height += jnp.where(is_some, by_size, -count * jnp.exp(log))

    rows = [bad, good, bad - bad**2, good - good**2, bad * good]
    sums = jnp.matmul(jnp.stack(rows), days.moments, precision="highest")
    num_bad, bad_sells = sums[0, 0], sums[0, 2]
    num_good, good_buys = sums[1, 0], sums[1, 1]
    num_news = num_bad + num_good

    extra_buy = informed / (buy + informed)  # of buys on a good day, the informed part
    extra_sell = informed / (sell + informed)
    gradient = [
        num_news - count * alpha,
        num_bad - num_news * delta,
        all_buys - extra_buy * good_buys - count * buy,
        all_sells - extra_sell * bad_sells - count * sell,
        extra_sell * bad_sells + extra_buy * good_buys - informed * num_news,
    ]
    # What the curvature were if the news were known...
    of_buys = good_buys * extra_buy * (1 - extra_buy)
    of_sells = bad_sells * extra_sell * (1 - extra_sell)
    zero = jnp.zeros_like(alpha)
    curvature = [[zero] * 5 for _ in range(5)]
    curvature[0][0] = count * alpha * (1 - alpha)
    curvature[1][1] = num_news * delta * (1 - delta)
    curvature[2][2] = count * buy - of_buys
    curvature[3][3] = count * sell - of_sells
    curvature[4][4] = informed * num_news - of_buys - of_sells
    curvature[4][2], curvature[4][3] = of_buys, of_sells
    # ... less what is lost as they are not: the covariance of scores between kinds of
    # day, which are linear in the day's counts.
    bad = _Score({0: 1.0, 1: 1 - delta, 4: -informed}, {3: -extra_sell, 4: extra_sell})
    good = _Score({0: 1.0, 1: -delta, 4: -informed}, {2: -extra_buy, 4: extra_buy})
    for i in range(5):
        for j in range(i + 1):
            lost = _product(
                bad, bad, i, j, sums[2, 0], sums[2, 2], sums[2, 2], sums[2, 4]
            )
            lost += _product(
                good, good, i, j, sums[3, 0], sums[3, 1], sums[3, 1], sums[3, 3]
            )
            lost -= _product(
                bad, good, i, j, sums[4, 0], sums[4, 1], sums[4, 2], sums[4, 5]
            )
            lost -= _product(
                good, bad, i, j, sums[4, 0], sums[4, 2], sums[4, 1], sums[4, 5]
            )
            curvature[i][j] = curvature[i][j] - lost
    newton, is_concave = _solve(curvature, gradient)
    gain = 0.5 * sum(x * y for x, y in zip(newton, gradient, strict=True))
    newton = jnp.stack(newton)
    longest = jnp.abs(newton).max()
    newton = newton * jnp.minimum(1, _LONGEST / jnp.maximum(longest, _LONGEST))
    gain = jnp.where(is_concave & jnp.isfinite(gain), gain, jnp.inf)

    # The step of EM: shares in closed form, rates by Newton's method in mu alone.
    quiet_buys, quiet_sells = all_buys - good_buys, all_sells - bad_sells
    rate = informed
    for _ in range(_INNER_STEPS):
        new_buy = _quiet_rate(all_buys, quiet_buys, rate, count)
        new_sell = _quiet_rate(all_sells, quiet_sells, rate, count)
        pull_buy, slope_buy = _pull(good_buys, quiet_buys, new_buy, rate)
        pull_sell, slope_sell = _pull(bad_sells, quiet_sells, new_sell, rate)
        excess = pull_buy + pull_sell - num_news
        step = excess / (slope_buy + slope_sell)
        rate = jnp.clip(rate + step, rate / 4, 4 * rate)
    safe = [
        jnp.log(num_news) - jnp.log(count - num_news),
        jnp.log(num_bad) - jnp.log(num_good),
        jnp.log(_quiet_rate(all_buys, quiet_buys, rate, count)),
        jnp.log(_quiet_rate(all_sells, quiet_sells, rate, count)),
        jnp.log(rate),
    ]
    safe = jnp.where(jnp.isnan(jnp.stack(safe)), free, jnp.stack(safe))
    return Place(free, height, _within(free + newton) - free, gain, _within(safe))


def _within(free: Array) -> Array:
    most = jnp.array([_MOST_LOGIT] * 2 + [_MOST_LOG] * 3, free.dtype)
    return jnp.clip(free, -most, most)


class _Score(NamedTuple):
    """A difference of scores, linear in a count of the day; coordinates by place."""

    level: dict[int, Any]
    slope: dict[int, Any]


def _product(
    first: _Score,
    second: _Score,
    i: int,
    j: int,
    one: Array,
    of_second: Array,
    of_first: Array,
    of_both: Array,
) -> Any:
    """Return the sum over days of first's coordinate i times second's j.

    Args:
        first: a score.
        second: a score.
        i: coordinate of the first.
        j: of the second.
        one: sum of weights.
        of_second: sum of weights times the second's count.
        of_first: times the first's.
        of_both: times both.
    """
    total: Any = 0.0
    for x, y, moment in (
        (first.level, second.level, one),
        (first.level, second.slope, of_second),
        (first.slope, second.level, of_first),
        (first.slope, second.slope, of_both),
    ):
        if i in x and j in y:
            total += x[i] * y[j] * moment
    return total


def _quiet_rate(everything: Array, quiet: Array, extra: Array, count: Array) -> Array:
    """Return the likeliest rate without news of one side, given mu."""
    half = (everything - count * extra) / (2 * count)
    root = jnp.sqrt(half**2 + jnp.maximum(quiet, 0) * extra / count)
    # The sum cancels where half is negative.
    below = jnp.maximum(quiet, 0) * extra / count / (root - half)
    return jnp.where(half > 0, half + root, below)


def _pull(busy: Array, quiet: Array, rate: Array, extra: Array) -> tuple[Array, Array]:
    """Return busy / (rate + mu), and how fast it falls in mu, the rate following."""
    pull = busy / (rate + extra)
    own = pull / (rate + extra)
    follow = own / (own + quiet / rate**2)
    return pull, own * (1 - follow)


def _solve(matrix: list[list[Array]], vector: list[Array]) -> tuple[list[Array], Array]:
    """Solve a positive definite system given by its lower triangle, by LDL'.

    Written out: the same few operations for all starts, where a library would be called
    for each small matrix.
    """
    size = len(vector)
    lower: list[list[Array]] = [[] for _ in range(size)]
    pivots: list[Array] = []
    is_positive = jnp.ones((), bool)
    for i in range(size):
        own = []
        for j in range(i):
            rest = matrix[i][j]
            for k in range(j):
                rest = rest - own[k] * lower[j][k]
            own.append(rest)  # L_ij times pivot j
        lower[i] = [x / p for x, p in zip(own, pivots, strict=True)]
        pivot = matrix[i][i]
        for x, y in zip(own, lower[i], strict=True):
            pivot = pivot - x * y
        # Shares at a bound leave curvatures that vanish, but not below rounding.
        is_positive &= pivot > 0
        pivots.append(jnp.where(pivot > 0, pivot, 1))
    forward = []
    for i in range(size):
        rest = vector[i]
        for k in range(i):
            rest = rest - lower[i][k] * forward[k]
        forward.append(rest)
    found: list[Array] = [x / p for x, p in zip(forward, pivots, strict=True)]
    for i in reversed(range(size)):
        for k in range(i + 1, size):
            found[i] = found[i] - lower[k][i] * found[k]
    return found, is_positive
