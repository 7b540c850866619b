"""Rules of the hidden-target game, from the last step back.

What the trader has to buy splits into what the arbitrageur expects, m, and the rest,
d = r - m, which only the trader knows. Its trade is `alpha d + p`, with p what the
arbitrageur expects it to be; only the first part tells anything. With v the variance
of d before a step and n that of the noise, Bayes' rule gives

    gain K = alpha (1 - alpha) v / (alpha^2 v + n),
    v' = (1 - alpha)^2 v n / (alpha^2 v + n),

that is `K = alpha x / (1 - alpha)` and `n / v = (1 - alpha)^2 / x - alpha^2` in terms
of `x = v' / n`, what will be left to know. A step can therefore be solved from the one
after it: alpha is a root of a cubic, and the rest is linear. Only the first x, that of
the last step, has to be guessed, so that the variance before the first step comes out
right.

A trader who deviates changes d and what is seen of it; the arbitrageur goes on reading
the price as if nothing had happened. This is what the derivative `effect` below says:
a share more is one less to buy, and moves the belief by K.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gtrade.numerics.elimination import solve_tiny
from gtrade.numerics.precision import product

_BISECTIONS, _NEWTON_STEPS = 10, 4


class HiddenRules(NamedTuple):
    """One sweep over the steps.

    Attributes:
        trader: rules on (d, q, m), shape (steps, 3).
        arbitrageur: rules on (q, m), shape (steps, 2).
        filter_gains: K, 0 in the last step, shape (steps,).
        precisions: n / v before every step, infinite where nothing is hidden, shape
            (steps,).
        is_sound: whether every step had an alpha in (0, 1) that a positive variance
            can explain, and convex costs, shape ().
    """

    trader: Float[Array, "steps 3"]
    arbitrageur: Float[Array, "steps 2"]
    filter_gains: Float[Array, " steps"]
    precisions: Float[Array, " steps"]
    is_sound: Bool[Array, ""]


def sweep(
    last_precision: Float[Array, ""], impact: Float[Array, ""], num_steps: int
) -> HiddenRules:
    """Return the rules that are consistent with n / v before the last step.

    Args:
        last_precision: n / v of the last step, positive; infinite where nothing is
            hidden.
        impact: kappa.
        num_steps: T, at least 1 (static).

    Returns:
        The rules. Where they are not sound, the numbers mean nothing.
    """
    dtype = impact.dtype
    weight = num_steps - impact / 2
    zero, one = jnp.zeros((), dtype), jnp.ones((), dtype)
    crossed = jnp.eye(2, dtype=dtype)[::-1]

    def cost_of_step(flow, trade, left):
        paid = jnp.outer(flow, weight * trade + impact * left)
        return (paid + paid.T) / 2

    def step(carry, _):
        # Costs to come as quadratic forms: of (d, q, m) to the trader, of (q, m) to the
        # arbitrageur, who takes d to be zero on average.
        trader, other, precision, is_sound = carry
        unknown = jnp.where(is_sound, 1 / jnp.where(is_sound, precision, 1), 0)
        alpha, has_root = _signal(trader, unknown, impact, weight)
        gain = alpha * unknown / (1 - alpha)
        effect = jnp.stack([-1 - gain, zero, gain])
        slope = product(effect, trader)
        curvature = weight + product(slope, effect)

        # First-order conditions at d = 0: the trade p that the arbitrageur expects and
        # its own, both in (q, m).
        left = weight * (1 + jnp.eye(2, dtype=dtype))
        left = left + 2 * jnp.stack([-slope[:0:-1], other[0, ::-1]])
        right = 2 * jnp.stack([-slope[1:], other[0]]) - impact * crossed
        expected, answer = solve_tiny(left, right)
        is_convex = (curvature > 0) & (weight + other[0, 0] > 0)

        rule = jnp.concatenate([alpha[None], expected])
        reply = jnp.concatenate([zero[None], answer])
        unseen = jnp.stack([1 - (1 + gain) * alpha, zero, zero])
        belief = jnp.concatenate([(gain * alpha)[None], -expected]).at[2].add(1)
        keep = jnp.stack([unseen, (-reply).at[1].add(1), belief])
        private = jnp.stack([one, zero, one])  # what the trader has to buy
        trader = cost_of_step(rule + reply, rule, private) + _sandwich(keep, trader)
        own = jnp.stack([one, zero])
        other = cost_of_step(expected + answer, answer, own) + _sandwich(
            keep[1:, 1:], other
        )
        before = (1 - alpha) ** 2 * precision - alpha**2
        is_sound = is_sound & has_root & is_convex & (before > 0)
        return (trader, other, before, is_sound), (rule, answer, gain, before)

    rule, answer = jnp.stack([one, zero, one]), jnp.stack([one, zero])
    trader = cost_of_step(jnp.ones(3, dtype), rule, rule)
    other = cost_of_step(jnp.ones(2, dtype), answer, answer)
    carry = trader, other, last_precision, jnp.ones((), bool)
    carry, earlier = jax.lax.scan(step, carry, length=num_steps - 1, reverse=True)
    ends = rule, answer, zero, last_precision
    rules = jax.tree.map(lambda x, end: jnp.concatenate([x, end[None]]), earlier, ends)
    return HiddenRules(*rules, is_sound=carry[-1])


def _signal(trader, unknown, impact, weight):
    """Return the trader's alpha and whether there is one.

    With K put in, the first-order condition times (1 - alpha)^2 is a cubic, negative
    at 0, whose first root is wanted; a positive variance before the step needs
    alpha < 1 / (1 + sqrt(unknown)).
    """
    numbers = trader, unknown, impact, weight
    alpha, slope, has_root = _first_root(*jax.lax.stop_gradient(numbers))
    # One more step, from a constant, is all that a derivative needs to know.
    alpha = alpha - _condition(alpha, *numbers) / slope
    # Unsound steps go on with a harmless number.
    return jnp.where(has_root, alpha, 0.5 / (1 + jnp.sqrt(unknown))), has_root


def _first_root(trader, unknown, impact, weight):
    """Return the cubic's first root, its slope there, and whether there is one."""

    def condition(alpha):
        return _condition(alpha, trader, unknown, impact, weight)

    def slope(alpha):
        return jax.jvp(condition, (alpha,), (jnp.ones_like(alpha),))

    zero, top = jnp.zeros_like(unknown), 1 / (1 + jnp.sqrt(unknown))
    peak = _peak(trader, unknown, impact, weight)
    is_peak = (peak > 0) & (peak < top) & (condition(peak) >= 0)
    # Past the peak the condition may be negative again.
    end = jnp.where(is_peak, peak, top)
    # Where nothing is hidden, the cubic has another root at the top.
    has_root = (condition(zero) < 0) & (condition(end) >= 0)

    def halve(_, bracket):
        low, high = bracket
        middle = (low + high) / 2
        is_low = condition(middle) < 0
        return jnp.where(is_low, middle, low), jnp.where(is_low, high, middle)

    low, high = jax.lax.fori_loop(0, _BISECTIONS, halve, (zero, end))

    def polish(_, alpha):
        value, rise = slope(alpha)
        return jnp.clip(alpha - value / rise, low, high)

    alpha = jax.lax.fori_loop(0, _NEWTON_STEPS, polish, (low + high) / 2)
    return alpha, slope(alpha)[1], has_root


def _condition(alpha, trader, unknown, impact, weight):
    """Return the cubic at alpha, summed so that small squares stay exact at its end."""
    rest = 1 - alpha
    effect = jnp.stack([-rest - alpha * unknown, 0 * rest, alpha * unknown])
    slope = product(effect, trader)
    curvature = weight * rest**2 + product(slope, effect)
    return alpha * curvature + rest * (impact * rest / 2 + slope[0])


def _peak(trader, unknown, impact, weight):
    """Return where the cubic has its local maximum, NaN if nowhere."""
    # The effect times (1 - alpha) is (-1, 0, 0) + alpha (1 - x, 0, x).
    more = jnp.stack([1 - unknown, jnp.zeros_like(unknown), unknown])
    pull = product(trader, more)
    level, tilt = impact / 2 - trader[0, 0], pull[0] - impact / 2
    linear = weight + trader[0, 0] + tilt - level
    square = -2 * (weight + pull[0]) - tilt
    cubic = weight + product(more, pull)
    root = jnp.sqrt(square**2 - 3 * cubic * linear)
    return linear / (root - square)


def _sandwich(keep: Array, values: Array) -> Array:
    return product(keep.T, product(values, keep))
