"""The Almgren-Chriss plan in closed form, and its recursion for uneven impact."""

import jax
import jax.numpy as jnp

from gtrade.problems.almgren_chriss import AlmgrenChriss, ExecutionSchedule


def hyperbolic_schedule(problem: AlmgrenChriss) -> ExecutionSchedule:
    """Return the optimum for linear impact, the same in every period.

    `x_j = X sinh(kappa (T - t_j)) / sinh(kappa T)` (Almgren & Chriss 2001, eq. 20 and
    21). With u the product of kappa and T, and fractions of T left, ratios of
    hyperbolic sines are written in decaying exponentials, which neither overflow nor
    cancel; and as series where u is small, which are smooth in the risk aversion at
    zero, too.
    """
    num = problem.num_periods
    dtype = problem.shares.dtype
    tau = problem.period_length
    net = problem.temporary_impact - problem.permanent_impact * tau / 2
    square = problem.risk_aversion * (problem.volatility * tau) ** 2 / net
    # Up to here the next term of the series is below rounding.
    is_small = square * num**2 < jnp.finfo(dtype).eps ** 0.5
    gentle = jnp.where(is_small, square, 0) * (1 - square / 12)  # (kappa tau)^2
    gentle = jnp.where(is_small, gentle, 0)
    step = 2 * jnp.arcsinh(jnp.sqrt(jnp.where(is_small, 1, square)) / 2)  # kappa tau

    left = jnp.arange(num, -1, -1, dtype=dtype)  # periods to go
    past = num - left
    ratio = jnp.expm1(-2 * step * left) / jnp.expm1(-2 * step * num)
    even = problem.shares * left / num
    series = even * (1 - gentle * (num**2 - left**2) / 6)
    held = jnp.where(is_small, series, problem.shares * jnp.exp(-step * past) * ratio)
    # Compilers round equals differently, and a purchase would end at minus zero.
    held = held.at[0].set(problem.shares).at[num].set(0)

    middle = left[:-1] - 0.5
    ratio = -jnp.expm1(-step) * (1 + jnp.exp(-2 * step * middle))
    ratio = ratio / -jnp.expm1(-2 * step * num)
    bend = (0.25 + 3 * middle**2 - num**2) / 6
    series = problem.shares / num * (1 + gentle * bend)
    usual = problem.shares * jnp.exp(-step * past[:-1]) * ratio
    return ExecutionSchedule(jnp.where(is_small, series, usual), held)


def riccati_schedule(problem: AlmgrenChriss) -> ExecutionSchedule:
    """Return the optimum for linear impact that differs between periods.

    With `C_k x^2` the least that is still to be paid after period k for x shares left,
    `D_k = C_k + lambda sigma^2 tau` and `A_k = a_k - gamma / 2`, a period costs
    `A n^2 + D (x - n)^2` and hence trades the share `D / (A + D)` of what is left;
    then `C_{k-1} = A D / (A + D)`. It is elimination in a tridiagonal system, in sums
    of positive numbers.
    """
    costs = problem.impact_coefficients - problem.permanent_impact / 2
    risk = problem.risk_aversion * problem.volatility**2 * problem.period_length
    scale = costs.max()

    def backward(to_go, cost):
        traded = 1 / (1 + cost / to_go)
        return cost * traded + risk / scale, (traded, cost / to_go * traded)

    last = jnp.full_like(scale, jnp.inf)  # nothing may be left at the end
    _, (traded, kept) = jax.lax.scan(backward, last, costs / scale, reverse=True)
    left = problem.shares * jnp.cumprod(kept)
    holdings = jnp.append(problem.shares, left).at[-1].set(0)
    return ExecutionSchedule(holdings[:-1] * traded, holdings)
