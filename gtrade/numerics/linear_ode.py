"""Two-point boundary value problems c'' + H c' = -s(t), c(0) = c(1) = 0.

H is symmetric and s a polynomial. In H's eigenbasis every mode l has the closed form

    q_k(t; l) = k! [ f(t; l) phi_{k+2}(-l) - t^{k+2} phi_{k+2}(-l t) ],
    f(t; l) = t phi_1(-l t) / phi_1(-l),

for the source t^k, where phi_j(x) = sum_i x^i / (i + j)!. For l >= 0 all factors are
bounded; l < 0 is the same problem with time reversed. So nothing overflows, however
large |l|, and l = 0 is no special case. Slopes follow from values, since

    c' + H c = c'(0) - int_0^t s.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gtrade.numerics.precision import product

# Below it phi functions are summed as power series.
_SERIES_BELOW = 1.0
_SERIES_TERMS = 17
# Divided differences of closer arguments are integrals of the derivative (two nodes).
_CLOSE = 1e-2


def phi_functions(x: Float[Array, "..."], highest: int) -> list[Float[Array, "..."]]:
    """Return phi_0(-x), ..., phi_highest(-x) for x of at least 0.

    Where x is large, phi_0 = exp(-x) starts the recursion
    phi_{j+1} = (1/j! - phi_j) / x; elsewhere it runs downwards from a power series.
    Both directions are stable there.
    """
    is_small = x < _SERIES_BELOW
    down = _small_phi(jnp.where(is_small, x, 0), highest)
    large = jnp.where(is_small, 1, x)
    up = [jnp.exp(-large)]
    for j in range(highest):
        up.append((1 / math.factorial(j) - up[-1]) / large)
    return [jnp.where(is_small, d, u) for d, u in zip(down, up, strict=True)]


def _small_phi(x: Array, highest: int) -> list[Array]:
    """Return phi_0(-x), ..., phi_highest(-x) for x of at most 1."""
    found = [jnp.zeros_like(x)]
    for i in reversed(range(_SERIES_TERMS)):
        found = [(-1) ** i / math.factorial(i + highest) + x * found[0]]
    for j in reversed(range(highest)):
        found.append(1 / math.factorial(j) - x * found[-1])
    return found[::-1]


def mode_responses(
    rate: Float[Array, "*modes"], times: Float[Array, " times"], num_orders: int
) -> tuple[Float[Array, "*modes orders times"], Float[Array, "*modes orders"]]:
    """Return q_k(t; l), and its slope at t = 0, for k = 0, ..., num_orders - 1.

    Args:
        rate: l, of either sign, any shape.
        times: in [0, 1].
        num_orders: number of source terms 1, t, t^2, ...
    """
    is_negative = rate < 0
    size = jnp.where(is_negative, -rate, rate)
    at = times[(None,) * rate.ndim]
    time = jnp.where(is_negative[..., None], 1 - at, at)
    value = jnp.stack(_responses(size[..., None], time, num_orders), axis=-2)
    slopes = _slopes(size, is_negative, num_orders)
    if num_orders == 1:
        return value, slopes
    # With time reversed, the source t^k is (1 - t)^k.
    reverse = np.zeros((num_orders, num_orders))
    for k in range(num_orders):
        for j in range(k + 1):
            reverse[k, j] = math.comb(k, j) * (-1) ** j
    turn = jnp.asarray(reverse, rate.dtype)
    turned = jnp.einsum("kj,...jt->...kt", turn, value, precision="highest")
    turned_slopes = jnp.einsum("kj,...j->...k", turn, slopes, precision="highest")
    is_negative = is_negative[..., None]
    return (
        jnp.where(is_negative[..., None], turned, value),
        jnp.where(is_negative, turned_slopes, slopes),
    )


def _responses(size: Array, time: Array, num_orders: int) -> list[Array]:
    """Return q_k for l >= 0, shape of `size` and `time` broadcast together."""
    is_small = size < _SERIES_BELOW
    small, large = jnp.where(is_small, size, 0), jnp.where(is_small, 1, size)
    at_end = _small_phi(small, num_orders + 1)
    at_time = _small_phi(small * time, num_orders + 1)
    rise = time * at_time[1] / at_end[1]
    # Each order from the one before: l q_k = (f - t^{k+1}) / (k + 1) - k q_{k-1}.
    fast_rise = (1 - jnp.exp(-large * time)) * (1 / -jnp.expm1(-large))
    inverse = 1 / large
    found, before = [], jnp.zeros_like(fast_rise)
    for k in range(num_orders):
        slow = rise * at_end[k + 2] - time ** (k + 2) * at_time[k + 2]
        fast = (fast_rise - time ** (k + 1)) * (1 / (k + 1)) - k * before
        before = fast * inverse
        found.append(jnp.where(is_small, math.factorial(k) * slow, before))
    return found


def _slopes(size: Array, is_negative: Array, num_orders: int) -> Array:
    """Return q_k'(0) for l = size, or minus q_k'(1) of the problem turned in time."""
    phi = phi_functions(size, num_orders + 1)
    found = []
    for k in range(num_orders):
        start = phi[k + 2] / phi[1]
        end = phi[0] * start - phi[k + 1]
        found.append(math.factorial(k) * jnp.where(is_negative, -end, start))
    return jnp.stack(found, axis=-1)


def bridge(
    matrix: Float[Array, "n n"],
    sources: Float[Array, "n orders"],
    times: Float[Array, " times"],
) -> tuple[Float[Array, "n times"], Float[Array, "n times"]]:
    """Solve c'' + H c' = -sum_k t^k s_k, c(0) = c(1) = 0.

    Differentiable in H and s, whatever the multiplicities of H's eigenvalues: the
    derivative of a matrix function has divided differences in place of the derivatives
    of single eigenvectors, which do not exist where eigenvalues meet.

    Args:
        matrix: H, symmetric.
        sources: s_k in column k.
        times: in [0, 1]; not differentiated.

    Returns:
        c and c' at the times.
    """
    value, drift, start = _respond(matrix, sources, times)
    powers = jnp.stack([times**k / k for k in range(1, sources.shape[1] + 1)])
    return value, start[:, None] - product(sources, powers) - drift


@jax.custom_jvp
def _respond(
    matrix: Float[Array, "n n"],
    sources: Float[Array, "n orders"],
    times: Float[Array, " times"],
) -> tuple[Float[Array, "n times"], Float[Array, "n times"], Float[Array, " n"]]:
    """Return c and H c at the times, and c'(0)."""
    rates, vectors = jnp.linalg.eigh(matrix)
    responses = mode_responses(rates, times, sources.shape[1])
    return _combine(vectors, rates, product(vectors.T, sources), responses)


@_respond.defjvp
def _(primals, tangents):
    matrix, sources, times = primals
    matrix_dot, sources_dot, _ = tangents
    rates, vectors = jnp.linalg.eigh(matrix)
    responses = mode_responses(rates, times, sources.shape[1])
    own = product(vectors.T, sources)
    found = _combine(vectors, rates, own, responses)
    linear = _combine(vectors, rates, product(vectors.T, sources_dot), responses)
    turned = product(product(vectors.T, matrix_dot), vectors)
    by_value, by_slope = _divided_differences(rates, times, responses)
    bent = jnp.einsum("ij,jk,ijkt->it", turned, own, by_value, precision="highest")
    bent = product(vectors, bent)
    bent_start = jnp.einsum("ij,jk,ijk->i", turned, own, by_slope, precision="highest")
    return found, (
        linear[0] + bent,
        linear[1] + product(matrix, bent) + product(matrix_dot, found[0]),
        linear[2] + product(vectors, bent_start[:, None])[:, 0],
    )


def _combine(
    vectors: Array, rates: Array, own: Array, responses: tuple[Array, Array]
) -> tuple[Array, Array, Array]:
    value, slope = responses
    size, orders, num_times = value.shape
    # One product, so that values are computed once; H c mode by mode, since modes of
    # very different rates would spoil each other's digits.
    left = vectors[:, :, None] * own[None]
    left = jnp.concatenate([left, left * rates[None, :, None]])
    both = product(
        left.reshape(2 * size, size * orders), value.reshape(size * orders, num_times)
    )
    start = product(vectors, (own * slope).sum(axis=1)[:, None])[:, 0]
    return both[:size], both[size:], start


def _divided_differences(
    rates: Array, times: Array, responses: tuple[Array, Array]
) -> tuple[Array, Array]:
    """Return (g(l_i) - g(l_j)) / (l_i - l_j) in entries (i, j), for both responses."""
    num_orders = responses[1].shape[-1]
    gap = rates[:, None] - rates[None, :]
    is_close = jnp.abs(gap) < _CLOSE
    middle, half = (rates[:, None] + rates[None, :]) / 2, gap / 2
    slopes = []
    for place in (-1 / math.sqrt(3), 1 / math.sqrt(3)):
        at = jnp.where(is_close, middle + place * half, middle)
        along = jax.jvp(
            lambda rate: mode_responses(rate, times, num_orders),
            (at,),
            (jnp.ones_like(at),),
        )[1]
        slopes.append(along)
    result = []
    for number, own in enumerate(responses):
        close = is_close.reshape(*is_close.shape, *[1] * (own.ndim - 1))
        divisor = jnp.where(is_close, 1, gap).reshape(close.shape)
        quotient = (own[:, None] - own[None, :]) / divisor
        mean = (slopes[0][number] + slopes[1][number]) / 2
        result.append(jnp.where(close, mean, quotient))
    return result[0], result[1]
