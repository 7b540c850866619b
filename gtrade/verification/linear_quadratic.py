"""Best responses to linear rules, as one dense quadratic program.

One player faces others whose rules are fixed. What it does from some step on is a
vector of trades, to which the others react through their rules; everything is linear,
so its cost is a quadratic form of the trades and the state that it starts from. Nothing
here steps backwards through value functions: simulation gives the form, and a Cholesky
factor says whether it is convex and how much any play of it leaves on the table.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gtrade.numerics.precision import product


class Control(NamedTuple):
    """One player's problem against fixed linear rules, in a state of n numbers.

    With own trade u the state w becomes `transition w + effect u`, and the step costs
    `(flow_state w + flow_trade u) (price_state w + price_trade u)`.

    Attributes:
        transition: shape (steps, n, n).
        effect: shape (steps, n).
        flow_state: shape (steps, n).
        flow_trade: shape (steps,).
        price_state: shape (steps, n).
        price_trade: shape (steps,).
        rule: the play to be judged, `u = rule w`, shape (steps, n). The last row is
            not the player's to choose: it has to trade what is left.
    """

    transition: Float[Array, "steps n n"]
    effect: Float[Array, "steps n"]
    flow_state: Float[Array, "steps n"]
    flow_trade: Float[Array, " steps"]
    price_state: Float[Array, "steps n"]
    price_trade: Float[Array, " steps"]
    rule: Float[Array, "steps n"]


class Responses(NamedTuple):
    """What a rule costs, and what the best response would save.

    Attributes:
        costs: from start k and state w the rule costs `w' costs[k] w`, shape
            (starts, n, n).
        gains: the best response costs `w' gains[k] w` less, shape (starts, n, n).
        is_convex: whether there is a best response at all, shape ().
    """

    costs: Float[Array, "starts n n"]
    gains: Float[Array, "starts n n"]
    is_convex: Bool[Array, ""]

    def gain(self, start: int, state: Float[Array, " n"]) -> Float[Array, ""]:
        """Return what the best response saves, infinite where there is none."""
        saved = _quadratic(self.gains[start], state)
        return jnp.where(self.is_convex, saved, jnp.inf)

    def cost(self, start: int, state: Float[Array, " n"]) -> Float[Array, ""]:
        """Return what the rule costs."""
        return _quadratic(self.costs[start], state)

    def largest_gain(self) -> Float[Array, ""]:
        """Return the largest gain at any start, from any state of norm one."""
        gains = jnp.where(self.is_convex, self.gains, 0)
        largest = jnp.linalg.eigvalsh(gains).max()
        return jnp.where(self.is_convex, largest, jnp.inf)


def respond(control: Control, starts: tuple[int, ...]) -> Responses:
    """Judge a rule at the given first steps, at all states at once.

    With trades `u` free from a start on, cost is `u' H u + 2 g' u` + constant around
    the play that the rule leads to, and the best response saves `g' H^{-1} g`, the
    gradient's own measure: a gain of rounding size comes out squared, not cancelled.

    Args:
        control: the player's problem and its rule.
        starts: steps, from 0, at which the comparison begins (static).

    Returns:
        Costs and gains.
    """
    num_steps, size = control.rule.shape
    dtype = control.rule.dtype
    num_free, num_starts = num_steps - 1, len(starts)
    num_columns = num_free + num_starts * size
    # Columns: one trade each, by itself; then one state each, followed by the rule.
    follows = jnp.arange(num_columns) >= num_free
    begins = jnp.concatenate(
        [jnp.full(num_free, -1), jnp.repeat(jnp.asarray(starts), size)]
    )
    basis = jnp.tile(jnp.eye(size, dtype=dtype), (1, num_starts))
    basis = jnp.pad(basis, ((0, 0), (num_free, 0)))

    def step(state, now):
        index, c = now
        state = state + jnp.where((begins == index)[None], basis, 0)
        alone = (jnp.arange(num_columns) == index).astype(dtype)
        is_rule = follows | (index == num_steps - 1)
        trade = jnp.where(is_rule, product(c.rule, state), alone)
        flow = product(c.flow_state, state) + c.flow_trade * trade
        price = product(c.price_state, state) + c.price_trade * trade
        state = product(c.transition, state) + c.effect[:, None] * trade[None]
        return state, (flow, price)

    start = jnp.zeros((size, num_columns), dtype)
    steps = jnp.arange(num_steps), control
    _, (flow, price) = jax.lax.scan(step, start, steps)
    played = flow[:, num_free:].reshape(num_steps, num_starts, size)
    paid = price[:, num_free:].reshape(num_steps, num_starts, size)
    costs = _per_start(played, paid)
    costs = (costs + costs.mT) / 2
    if num_free == 0:
        return Responses(costs, jnp.zeros_like(costs), jnp.ones((), bool))

    cross = product(flow.T[:num_free], price)
    cross = (cross + product(price.T[:num_free], flow)) / 2
    # Ordered from the last trade back, the trades after a start are the first ones,
    # and one factor serves all starts.
    factor = jnp.linalg.cholesky(cross[::-1, num_free - 1 :: -1])
    is_convex = jnp.isfinite(factor).all()
    factor = jnp.where(is_convex, factor, jnp.eye(num_free, dtype=dtype))
    is_free = jnp.arange(num_free)[::-1, None] >= begins[None, num_free:]
    gradient = jnp.where(is_free, cross[::-1, num_free:], 0)
    reduced = jax.scipy.linalg.solve_triangular(factor, gradient, lower=True)
    reduced = jnp.where(is_free, reduced, 0).reshape(num_free, num_starts, size)
    return Responses(costs, _per_start(reduced, reduced), is_convex)


def _per_start(left: Array, right: Array) -> Array:
    precision = jax.lax.Precision.HIGHEST
    return jnp.einsum("tsi,tsj->sij", left, right, precision=precision)


def _quadratic(matrix: Array, vector: Array) -> Array:
    return product(vector, product(matrix, vector))
