"""Feedback and open-loop equilibria of position building in steps, stage by stage.

What a firm pays for the net position X built before is lost already: the price is where
it is, and the firm has r_i shares to buy in any case. Of the cost to come
`kappa_i r_i X` is therefore constant, and by summation by parts the rest of a step is

    A ((T - kappa_i / 2) a_i + kappa_i r_i),

the flow's own cost and the rise of the price of all that is still to be bought. The
state is what the firms have still to buy, one number a firm, and X drops out.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gtrade.numerics.elimination import solve_tiny
from gtrade.numerics.precision import product


def feedback_rules(
    impacts: Float[Array, " firms"], num_steps: int
) -> tuple[
    Float[Array, "steps firms firms"],
    Float[Array, "steps firms firms firms"],
    Float[Array, " steps"],
    Float[Array, " steps"],
]:
    """Return the Markov perfect equilibrium in linear rules by backward induction.

    Args:
        impacts: kappa of every firm, shape (firms,).
        num_steps: T (static).

    Returns:
        Gains and quadratic cost functions of `FeedbackPlay`; the least second
        derivative of a firm's cost of a step in its own trade, over T, which has to be
        positive, shape (steps,); and the error of the first-order conditions, relative
        to their largest coefficient, shape (steps,).
    """
    identity = jnp.eye(impacts.shape[0], dtype=impacts.dtype)
    weights = num_steps - impacts / 2

    def cost_of_step(gain):
        flow = gain.sum(axis=0)
        price = weights[:, None] * gain + impacts[:, None] * identity
        paid = flow[None, :, None] * price[:, None, :]
        return (paid + paid.mT) / 2

    def step(values, _):
        # Row i: the slope of firm i's cost to come in what it has itself to buy.
        slopes = 2 * jnp.diagonal(values, axis1=0, axis2=1).T
        left = weights[:, None] * (1 + identity) + slopes
        right = slopes - jnp.diag(impacts)
        gain = solve_tiny(left, right)
        error = jnp.abs(product(left, gain) - right).max() / jnp.abs(left).max()
        curvature = (2 * weights + jnp.diagonal(slopes)).min() / num_steps
        keep = (identity - gain)[None]
        values = cost_of_step(gain) + product(keep.mT, product(values, keep))
        return values, (gain, values, curvature, error)

    last = cost_of_step(identity)
    _, earlier = jax.lax.scan(step, last, length=num_steps - 1, reverse=True)
    ends = (
        identity,
        last,
        jnp.full((), jnp.inf, impacts.dtype),
        jnp.zeros_like(last.max()),
    )
    return jax.tree.map(lambda x, end: jnp.concatenate([x, end[None]]), earlier, ends)


def open_loop_rules(
    impacts: Float[Array, " firms"], num_steps: int
) -> Float[Array, "steps firms firms"]:
    """Return the equilibrium of schedules fixed in advance, as rules of what is left.

    Differences of the first-order conditions of neighbouring steps are a recursion of
    the trades, `ahead a_{t+1} = here a_t`, whose modes grow and fade like e^{kappa t}
    and e^{-kappa t}. Solved from the last step backwards for the share of what is left,
    no mode can grow.

    Args:
        impacts: kappa of every firm, shape (firms,).
        num_steps: T (static).

    Returns:
        Matrices G with trades `G_t r_t` along the equilibrium path, shape (steps,
        firms, firms). They are no feedback strategies: off the path nobody follows
        them.
    """
    identity = jnp.eye(impacts.shape[0], dtype=impacts.dtype)
    own = (num_steps + impacts / 2)[:, None] * (1 + identity)
    ahead = own - jnp.diag(impacts)
    here = own - jnp.broadcast_to(impacts[:, None], own.shape)

    def step(gain, _):
        moved = product(ahead, gain)
        gain = solve_tiny(here + moved, moved)
        return gain, gain

    _, earlier = jax.lax.scan(step, identity, length=num_steps - 1, reverse=True)
    return jnp.concatenate([earlier, identity[None]])
