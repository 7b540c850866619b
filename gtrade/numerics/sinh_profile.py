"""The bounded-time solution of a linear second-order recursion: ratios of sinh.

With a curvature c >= 0 a step, the recursion

    x_{j-1} - (2 + c) x_j + x_{j+1} = 0,   x_0 = 1,  x_N = 0

has the solution x_j = sinh(rho (N - j)) / sinh(rho N), where c = 2 (cosh(rho) - 1). It
is what a quadratic cost of changing and one of holding leave of a position (Almgren &
Chriss 2001, section 2). Written plainly it overflows when rho N is large, loses its
differences when rho N is small, and has no derivative in c at c = 0; none of that
happens here.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

# rho N up to this is answered by power series in (rho N)^2, complete to float64.
_SERIES_UP_TO = 0.5

# Inverse factorials 1/(2k+1)! and 1/(2k)!, highest power first.
_SINH_OVER_ARGUMENT = (
    1 / 6227020800,
    1 / 39916800,
    1 / 362880,
    1 / 5040,
    1 / 120,
    1 / 6,
    1.0,
)
_COSH = (1 / 479001600, 1 / 3628800, 1 / 40320, 1 / 720, 1 / 24, 1 / 2, 1.0)


def decay_per_step(curvature: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return rho >= 0 with 2 (cosh(rho) - 1) = curvature, any shape.

    Its derivative at 0 is infinite: square it there only with `squared_decay`.
    """
    return 2 * jnp.arcsinh(jnp.sqrt(curvature) / 2)


def squared_decay(curvature: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return rho^2 with 2 (cosh(rho) - 1) = curvature; differentiable at 0 too."""
    is_tiny = curvature < jnp.finfo(curvature.dtype).eps
    large = jnp.where(is_tiny, 1, curvature)
    series = curvature * (1 - curvature / 12)
    return jnp.where(is_tiny, series, decay_per_step(large) ** 2)


def sinh_profile(
    curvature: Float[Array, ""], num_steps: int
) -> tuple[Float[Array, " points"], Float[Array, " steps"]]:
    """Return the positions left and the changes of a unit position that goes to zero.

    Args:
        curvature: c >= 0 a step, shape (); in trading, risk aversion times variance
            rate times squared step over the temporary impact.
        num_steps: N >= 1 (static).

    Returns:
        Positions x_0 = 1, ..., x_N = 0, shape (num_steps + 1,), and x_{j-1} - x_j > 0,
        shape (num_steps,), each to its own relative precision: changes are not
        differences of positions. At c = 0 both are those of the straight line.
    """
    dtype = curvature.dtype
    # An infinite curvature, which a product may overflow to, means all in one step.
    curvature = jnp.minimum(curvature, jnp.finfo(dtype).max)
    squared_total = num_steps**2 * squared_decay(curvature)
    is_small = squared_total <= _SERIES_UP_TO**2

    left = jnp.arange(num_steps, -1, -1, dtype=dtype) / num_steps
    middle = (jnp.arange(num_steps, 0, -1, dtype=dtype) - 0.5) / num_steps
    half_step = 0.5 / num_steps

    small = jnp.where(is_small, squared_total, 0)
    whole = _polynomial(_SINH_OVER_ARGUMENT, small)
    small_positions = left * _polynomial(_SINH_OVER_ARGUMENT, small * left**2) / whole
    small_changes = _polynomial(_COSH, small * middle**2) / (num_steps * whole)
    small_changes *= _polynomial(_SINH_OVER_ARGUMENT, small * half_step**2)

    # sinh(a) = exp(a) (1 - exp(-2 a)) / 2: only exponents of at most zero remain.
    total = num_steps * decay_per_step(jnp.where(is_small, 1, curvature))
    whole = -jnp.expm1(-2 * total)
    positions = jnp.exp(-total * (1 - left)) * -jnp.expm1(-2 * total * left) / whole
    started = jnp.exp(-total * jnp.arange(num_steps, dtype=dtype) / num_steps)
    changes = started * (1 + jnp.exp(-2 * total * middle)) / whole
    changes *= -jnp.expm1(-2 * total * half_step)
    return (
        jnp.where(is_small, small_positions, positions),
        jnp.where(is_small, small_changes, changes),
    )


def first_change(
    curvature: Float[Array, "..."], num_steps: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Return the first change, x_0 - x_1, for any number of steps, traced ones too.

    With as many steps as are left, it is the share of what is left that goes next: who
    takes it again and again follows the whole profile.

    Args:
        curvature: c >= 0 a step, any shape.
        num_steps: at least 1, whole numbers, the same shape and dtype.
    """
    curvature = jnp.minimum(curvature, jnp.finfo(curvature.dtype).max)
    squared = squared_decay(curvature)
    is_small = num_steps**2 * squared <= _SERIES_UP_TO**2

    small = jnp.where(is_small, squared, 0)
    whole = num_steps * _polynomial(_SINH_OVER_ARGUMENT, num_steps**2 * small)
    series = _polynomial(_COSH, (num_steps - 0.5) ** 2 * small) / whole
    series *= _polynomial(_SINH_OVER_ARGUMENT, small / 4)

    rate = decay_per_step(jnp.where(is_small, 1, curvature))
    change = (1 + jnp.exp(-2 * rate * (num_steps - 0.5))) * -jnp.expm1(-rate)
    return jnp.where(is_small, series, change / -jnp.expm1(-2 * rate * num_steps))


def _polynomial(
    coefficients: tuple[float, ...], x: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Evaluate by Horner's rule, highest power first."""
    value = jnp.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        value = value * x + coefficient
    return value
