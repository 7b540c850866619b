"""Estimates over any number of paths: means, variances, standard errors, covariances.

Paths are computed in chunks and forgotten; what is kept is sums of powers around a
first guess of the mean, each with the rounding error that it has made so far. Memory
does not depend on the number of paths, and float32 sums of 10^9 paths stay exact to
what a single chunk loses.
"""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt32

from gtrade.numerics.lanes import fenced, one_by_one
from gtrade.simulation.samplers import AbstractSampler, Outcomes

# Numbers of a chunk, and paths at most: what a CPU keeps in its second-level cache;
# elsewhere enough to keep thousands of threads busy.
_ON_CPU, _ELSEWHERE = (2**18, 2**14), (2**28, 2**22)
_LEAST_CHUNK = 2**6
_ROWS, _TERMS = 16, 4  # see `_totals`


class Estimates(eqx.Module):
    """Moments of outcomes, by name; arrays of the outcomes' shapes without paths.

    Attributes:
        mean: sample means.
        standard_error: of the means.
        variance: sample variances.
        variance_error: standard errors of the variances, from fourth moments.
        covariance: between the outcomes named `joint`, shape (joint, joint).
        joint: their names, in this order (static).
        num_paths: paths used, shape ().
    """

    mean: dict[str, Float[Array, "..."]]
    standard_error: dict[str, Float[Array, "..."]]
    variance: dict[str, Float[Array, "..."]]
    variance_error: dict[str, Float[Array, "..."]]
    covariance: Float[Array, "joint joint"]
    num_paths: Int[Array, ""]
    joint: tuple[str, ...] = eqx.field(static=True, default=())


class Sum(NamedTuple):
    """A sum and what rounding has taken from it so far."""

    total: Float[Array, "..."]
    lost: Float[Array, "..."]


class Moments(eqx.Module):
    """Sums over the paths so far: all that an estimate remembers.

    Attributes:
        shift: guess of the means, by name; powers are taken around it.
        scale: guess of the standard deviations, by name; powers are taken in it.
        powers: sums of powers 1 to 4, by name.
        products: sums of products of the joint outcomes.
        count: number of the path that comes next; from path 0 on, paths so far.
    """

    shift: dict[str, Float[Array, "..."]]
    scale: dict[str, Float[Array, "..."]]
    powers: dict[str, tuple[Sum, ...]]
    products: Sum
    count: UInt32[Array, ""]


def estimate(
    sampler: AbstractSampler,
    key: PRNGKeyArray,
    num_paths: Int[Array, ""] | int,
    *,
    joint: tuple[str, ...] = (),
    chunk_size: int | None = None,
) -> Estimates:
    """Estimate means and variances of a sampler's outcomes, with standard errors.

    More paths with the same key add to those that were there. To be called under `jit`;
    `gtrade.estimate` is, and shows progress.

    Args:
        sampler: what to simulate.
        key: source of randomness.
        num_paths: at least 2, below 2^32; may be traced.
        joint: scalar outcomes whose covariances are wanted (static).
        chunk_size: paths computed at a time (static); by default as many as stay in a
            CPU's caches. It changes last bits only.
    """

    def run(sampler: Any, key: PRNGKeyArray, stop: Array) -> Estimates:
        moments = begin(sampler, key, joint=joint)
        moments = advance(
            sampler, key, moments, stop, joint=joint, chunk_size=chunk_size
        )
        return finish(moments, joint=joint)

    return one_by_one(run)(sampler, key, jnp.asarray(num_paths, jnp.uint32))


def slope(
    estimates: Estimates, response: str, regressor: str
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Return the slope of a regression with intercept, and its standard error.

    Args:
        estimates: with both outcomes in `joint`.
        response: the outcome explained.
        regressor: the outcome that explains it; errors around the line have one
            variance.
    """
    i, j = estimates.joint.index(response), estimates.joint.index(regressor)
    spread = estimates.covariance
    value = spread[i, j] / spread[j, j]
    unexplained = jnp.maximum(spread[i, i] - value * spread[i, j], 0)
    count = estimates.num_paths.astype(value.dtype)
    return value, jnp.sqrt(unexplained / (spread[j, j] * (count - 2)))


def controlled(
    estimates: Estimates, name: str, control: str, known_mean: Float[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Return a mean corrected by a control variate, and its standard error.

    Args:
        estimates: with both outcomes in `joint`.
        name: the outcome wanted.
        control: an outcome whose mean is known.
        known_mean: that mean.
    """
    factor, _ = slope(estimates, name, control)
    i, j = estimates.joint.index(name), estimates.joint.index(control)
    spread = estimates.covariance
    factor = jnp.where(spread[j, j] > 0, factor, 0)  # what never moves says nothing
    left = jnp.maximum(spread[i, i] - factor * spread[i, j], 0)
    mean = estimates.mean[name] - factor * (estimates.mean[control] - known_mean)
    count = estimates.num_paths.astype(mean.dtype)
    return mean, jnp.sqrt(left / count)


def chunk_size_for(sampler: AbstractSampler) -> int:
    """Return how many paths of a sampler to compute at a time: a power of two."""
    is_cpu = jax.default_backend() == "cpu"
    numbers, most = _ON_CPU if is_cpu else _ELSEWHERE
    fitting = numbers // max(sampler.numbers_per_path, 1)
    power = max(fitting, 1).bit_length() - 1
    return min(max(2**power, _LEAST_CHUNK), most)


def begin(
    sampler: AbstractSampler, key: PRNGKeyArray, *, joint: tuple[str, ...] = ()
) -> Moments:
    """Return the moments of no paths; their shift and scale are those of a few."""
    few = jnp.arange(_LEAST_CHUNK, dtype=jnp.uint32)
    outcomes = sampler.outcomes(sampler.draw(key, few))
    shift = {name: _finite(x.mean(axis=-1)) for name, x in outcomes.items()}
    scale = {name: _scale(x, shift[name]) for name, x in outcomes.items()}
    zero = {
        name: Sum(jnp.zeros_like(x), jnp.zeros_like(x)) for name, x in shift.items()
    }
    none = jnp.zeros((len(joint), len(joint)), _dtype(shift))
    return Moments(
        shift,
        scale,
        {name: (x, x, x, x) for name, x in zero.items()},
        Sum(none, none),
        jnp.zeros((), jnp.uint32),
    )


def advance(
    sampler: AbstractSampler,
    key: PRNGKeyArray,
    moments: Moments,
    stop: UInt32[Array, ""],
    *,
    joint: tuple[str, ...] = (),
    chunk_size: int | None = None,
) -> Moments:
    """Add the paths from `moments.count` up to `stop`.

    Args:
        sampler: as in `begin`.
        key: as in `begin`.
        moments: so far.
        stop: number of the first path left out.
        joint: as in `begin` (static).
        chunk_size: paths computed at a time (static).
    """
    size = chunk_size_for(sampler) if chunk_size is None else chunk_size
    places = jnp.arange(size, dtype=jnp.uint32)

    def add_chunk(moments: Moments) -> Moments:
        left = stop - moments.count
        shocks = sampler.draw(key, moments.count + places)

        def standard_of(_: Array, shocks: Any) -> Outcomes:
            return {
                name: jnp.where(places < left, x - _column(moments.shift[name]), 0)
                / _column(moments.scale[name])
                for name, x in sampler.outcomes(shocks).items()
            }

        def sums_of(_: Array, standard: Outcomes) -> Any:
            return _sums(standard, joint)

        # Behind fences shocks are drawn once, not once for every outcome, and outcomes
        # are worked out once, not once for every sum.
        some = _some_floats(shocks)
        standard = fenced(standard_of)(some, shocks)
        sums, products = fenced(sums_of)(some, standard)
        powers = {
            name: tuple(_plus(x, y) for x, y in zip(kept, sums[name], strict=True))
            for name, kept in moments.powers.items()
        }
        return Moments(
            moments.shift,
            moments.scale,
            powers,
            _plus(moments.products, products),
            moments.count + jnp.minimum(left, size),
        )

    return jax.lax.while_loop(lambda m: m.count < stop, add_chunk, moments)


def at(moments: Moments, path: UInt32[Array, ""]) -> Moments:
    """Return moments of no paths, with this shift and scale, to go on from a path."""
    powers, products = jax.tree.map(jnp.zeros_like, (moments.powers, moments.products))
    return Moments(moments.shift, moments.scale, powers, products, path)


def merge(moments: Moments, more: Moments) -> Moments:
    """Return the moments of both; `more` goes on where `moments` ends."""

    def add(x: Sum, y: Sum) -> Sum:
        total = _plus(x, y.total)
        return Sum(total.total, total.lost + y.lost)

    powers, products = jax.tree.map(
        add,
        (moments.powers, moments.products),
        (more.powers, more.products),
        is_leaf=lambda x: isinstance(x, Sum),
    )
    return Moments(moments.shift, moments.scale, powers, products, more.count)


def finish(moments: Moments, *, joint: tuple[str, ...] = ()) -> Estimates:
    """Return the estimates that moments hold."""
    dtype = _dtype(moments.shift)
    count = moments.count.astype(dtype)
    bias = count / (count - 1)
    mean, error, variance, variance_error, offsets = {}, {}, {}, {}, {}
    for name, sums in moments.powers.items():
        one, two, three, four = (_value(x) / count for x in sums)
        scale = moments.scale[name]
        second = jnp.maximum(two - one**2, 0)
        fourth = four - 4 * one * three + 6 * one**2 * two - 3 * one**4
        mean[name] = moments.shift[name] + scale * one
        variance[name] = scale**2 * second * bias
        error[name] = scale * jnp.sqrt(second * bias / count)
        spread = jnp.sqrt(jnp.maximum(fourth - second**2, 0) / count)
        variance_error[name] = scale**2 * spread * bias
        offsets[name] = one
    covariance = _value(moments.products) / count
    if joint:
        offset = jnp.stack([offsets[name] for name in joint])
        scale = jnp.stack([moments.scale[name] for name in joint])
        central = covariance - offset[:, None] * offset[None]
        covariance = central * bias * scale[:, None] * scale[None]
    return Estimates(
        mean, error, variance, variance_error, covariance, moments.count, joint
    )


def _sums(standard: Outcomes, joint: tuple[str, ...]) -> Any:
    """Return sums over a chunk: powers 1 to 4 of each outcome, and joint products."""

    def powers(x: Array) -> tuple[Array, ...]:
        square = x * x
        return _totals(x, square, square * x, square * square)

    sums = {name: powers(x) for name, x in standard.items()}
    pairs = [(i, j) for i in range(len(joint)) for j in range(i)]
    mixed = _totals(*(standard[joint[i]] * standard[joint[j]] for i, j in pairs))
    products = jnp.zeros((len(joint), len(joint)), _dtype(standard))
    if joint:
        products = jnp.diag(jnp.stack([sums[name][1] for name in joint]))
    for (i, j), total in zip(pairs, mixed, strict=True):
        products = products.at[(i, j), (j, i)].set(total)
    return sums, products


def _totals(*terms: Array) -> tuple[Array, ...]:
    """Sum over paths: several terms in one pass, and rows of paths side by side.

    XLA turns a pass over so many terms and rows, not over more, into vectors.
    """
    if len(terms) > _TERMS:
        return _totals(*terms[:_TERMS]) + _totals(*terms[_TERMS:])
    if not terms:
        return ()
    rows = math.gcd(terms[0].shape[-1], _ROWS)
    folded = [x.reshape(*x.shape[:-1], rows, -1) for x in terms]
    zeros = [jnp.zeros((), x.dtype) for x in terms]

    def add(xs: Any, ys: Any) -> Any:
        return tuple(x + y for x, y in zip(xs, ys, strict=True))

    partial = jax.lax.reduce(tuple(folded), tuple(zeros), add, (terms[0].ndim - 1,))
    return tuple(x.sum(axis=-1) for x in partial)


def _some_floats(shocks: Any) -> Array:
    leaves = jax.tree.leaves(shocks)
    return next(x for x in leaves if jnp.issubdtype(x.dtype, jnp.floating))


def _finite(x: Array) -> Array:
    return jnp.where(jnp.isfinite(x), x, 0)


def _scale(x: Array, shift: Array) -> Array:
    """Return the spread of a few outcomes, not less than what rounding makes of it.

    Fourth powers of a rare outcome in units of a rounding error would overflow.
    """
    least = float(jnp.finfo(x.dtype).eps) ** 0.5 * jnp.abs(shift)
    scale = jnp.maximum(_finite(x.std(axis=-1)), least)
    return jnp.where(scale > 0, scale, 1)


def _column(x: Array) -> Array:
    return x[..., None]


def _dtype(outcomes: Outcomes) -> Any:
    return jnp.result_type(*outcomes.values())


def _plus(so_far: Sum, term: Array) -> Sum:
    """Add a term; what its rounding loses is kept (Knuth's two-sum)."""
    total = so_far.total + term
    back = total - so_far.total
    lost = (so_far.total - (total - back)) + (term - back)
    return Sum(total, so_far.lost + lost)


def _value(x: Sum) -> Array:
    # Of an infinite sum the rounding error is infinity less infinity.
    return jnp.where(jnp.isinf(x.total), x.total, x.total + x.lost)
