"""Two-point boundary value problems c'' + H c' = -s(t), c(0) = c(1) = 0.

H is symmetric and s a polynomial. In H's eigenbasis every mode l has the closed form

    q_k(t; l) = k! [ f(t; l) phi_{k+2}(-l) - t^{k+2} phi_{k+2}(-l t) ],
    f(t; l) = t phi_1(-l t) / phi_1(-l),

for the source t^k, where phi_j(x) = sum_i x^i / (i + j)!. For l >= 0 all factors are
bounded; l < 0 is the same problem with time reversed. So nothing overflows, however
large |l|, and l = 0 is no special case.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gtrade.numerics.precision import product

# Below it phi functions are summed as power series.
_SERIES_BELOW = 0.5
_SERIES_TERMS = 14
# Divided differences of closer arguments are integrals of the derivative (two nodes).
_CLOSE = 1e-2


def phi_functions(x: Float[Array, "..."], highest: int) -> list[Float[Array, "..."]]:
    """Return phi_0(-x), ..., phi_highest(-x) for x >= 0.

    Where x is small, phi_highest is a power series and the others follow by
    phi_j = 1/j! - x phi_{j+1}; elsewhere phi_0 = exp(-x) starts the same recursion
    upwards. Both directions are stable there.
    """
    is_small = x < _SERIES_BELOW
    small = jnp.where(is_small, x, 0)
    series = jnp.zeros_like(x)
    for i in reversed(range(_SERIES_TERMS)):
        series = (-1) ** i / math.factorial(i + highest) + small * series
    down = [series]
    for j in reversed(range(highest)):
        down.append(1 / math.factorial(j) - small * down[-1])
    down.reverse()
    large = jnp.where(is_small, 1, x)
    up = [jnp.exp(-large)]
    for j in range(highest):
        up.append((1 / math.factorial(j) - up[-1]) / large)
    return [jnp.where(is_small, d, u) for d, u in zip(down, up, strict=True)]


def mode_responses(
    rate: Float[Array, "*modes"], times: Float[Array, " times"], num_orders: int
) -> tuple[Float[Array, "*modes orders times"], Float[Array, "*modes orders times"]]:
    """Return q_k(t; l) and its time derivative for k = 0, ..., num_orders - 1.

    Args:
        rate: l, of either sign, any shape.
        times: in [0, 1].
        num_orders: number of source terms 1, t, t^2, ...
    """
    is_negative = rate[..., None, None] < 0
    size = jnp.where(is_negative, -rate[..., None, None], rate[..., None, None])
    times = times[(None,) * (rate.ndim + 1)]
    time = jnp.where(is_negative, 1 - times, times)
    at_end = phi_functions(size, num_orders + 1)
    at_time = phi_functions(size * time, num_orders + 1)
    rise = time * at_time[1] / at_end[1]
    slope = at_time[0] / at_end[1]
    values, slopes = [], []
    for k in range(num_orders):
        weight = math.factorial(k)
        end = weight * at_end[k + 2]
        values.append(rise * end - weight * time ** (k + 2) * at_time[k + 2])
        slopes.append(slope * end - weight * time ** (k + 1) * at_time[k + 1])
    value = jnp.concatenate(values, -2)
    slope = jnp.concatenate(slopes, -2)
    if num_orders == 1:
        return value, jnp.where(is_negative, -slope, slope)
    # With time reversed, the source t^k is (1 - t)^k.
    reverse = np.zeros((num_orders, num_orders))
    for k in range(num_orders):
        for j in range(k + 1):
            reverse[k, j] = math.comb(k, j) * (-1) ** j
    turn = jnp.asarray(reverse, rate.dtype)
    return (
        jnp.where(is_negative, _apply(turn, value), value),
        jnp.where(is_negative, -_apply(turn, slope), slope),
    )


def _apply(matrix: Array, values: Array) -> Array:
    return jnp.einsum("kj,...jt->...kt", matrix, values, precision="highest")


@jax.custom_jvp
def bridge(
    matrix: Float[Array, "n n"],
    sources: Float[Array, "n orders"],
    times: Float[Array, " times"],
) -> tuple[Float[Array, "n times"], Float[Array, "n times"]]:
    """Solve c'' + H c' = -sum_k t^k s_k, c(0) = c(1) = 0.

    Differentiable once in H and s, whatever the multiplicities of H's eigenvalues:
    the derivative of a matrix function has divided differences in place of the
    derivatives of single eigenvectors, which do not exist where eigenvalues meet.

    Args:
        matrix: H, symmetric.
        sources: s_k in column k.
        times: in [0, 1]; not differentiated.

    Returns:
        c and c' at the times.
    """
    rates, vectors = jnp.linalg.eigh(matrix)
    return _combine(vectors, rates, product(vectors.T, sources), times)


@bridge.defjvp
def _(primals, tangents):
    matrix, sources, times = primals
    matrix_dot, sources_dot, _ = tangents
    rates, vectors = jnp.linalg.eigh(matrix)
    own = product(vectors.T, sources)
    result = _combine(vectors, rates, own, times)
    linear = _combine(vectors, rates, product(vectors.T, sources_dot), times)
    turned = product(product(vectors.T, matrix_dot), vectors)
    differences = _divided_differences(rates, times, sources.shape[1])
    bent = [
        product(
            vectors,
            jnp.einsum("ij,jk,ijkt->it", turned, own, d, precision="highest"),
        )
        for d in differences
    ]
    return result, (linear[0] + bent[0], linear[1] + bent[1])


def _combine(
    vectors: Array, rates: Array, own: Array, times: Array
) -> tuple[Array, Array]:
    value, slope = mode_responses(rates, times, own.shape[1])

    def back(x: Array) -> Array:
        return product(vectors, jnp.einsum("jk,jkt->jt", own, x, precision="highest"))

    return back(value), back(slope)


def _divided_differences(rates: Array, times: Array, num_orders: int):
    """Return (g(l_i) - g(l_j)) / (l_i - l_j), shape (i, j, orders, times), for both."""

    def responses(rate: Array):
        return mode_responses(rate, times, num_orders)

    gap = rates[:, None] - rates[None, :]
    is_close = jnp.abs(gap) < _CLOSE
    middle, half = (rates[:, None] + rates[None, :]) / 2, gap / 2
    slopes = []
    for place in (-1 / math.sqrt(3), 1 / math.sqrt(3)):
        at = jnp.where(is_close, middle + place * half, middle)
        slopes.append(jax.jvp(responses, (at,), (jnp.ones_like(at),))[1])
    divisor = jnp.where(is_close, 1, gap)[:, :, None, None]
    result = []
    for number, own in enumerate(responses(rates)):
        quotient = (own[:, None] - own[None, :]) / divisor
        mean = (slopes[0][number] + slopes[1][number]) / 2
        result.append(jnp.where(is_close[:, :, None, None], mean, quotient))
    return result
