"""How far the joint distribution of play is from the product of its marginals."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gtrade.numerics.grouping import group_rows
from gtrade.numerics.precision import require_float64


def tv_distance(
    schedules: Int[Array, "rounds players horizon"], low: int, high: int
) -> Float[Array, ""]:
    """Return the total variation: half the l1 norm of joint minus product, shape ().

    Args:
        schedules: a history of play.
        low: least trade of a step.
        high: largest trade of a step.
    """
    inside, covered = _joint_support(schedules, low, high)
    # Off the joint's support the product alone counts: what it leaves uncovered there.
    return (inside + 1 - covered) / 2


def tv_distance_ks25(
    schedules: Int[Array, "rounds players horizon"], low: int, high: int
) -> Float[Array, ""]:
    """Return the paper's form: l1 over the joint's support only, without the half."""
    inside, _ = _joint_support(schedules, low, high)
    return inside


def _joint_support(schedules, low: int, high: int):
    """Return l1 of joint minus product, and the product's mass, on the support."""
    require_float64("verification")
    num_rounds, num_players, _ = schedules.shape

    def of_player(player):
        own = jax.lax.dynamic_index_in_dim(schedules, player, axis=1, keepdims=False)
        groups = group_rows(own.astype(jnp.int64), low, high)
        return groups.rank, groups.counts().astype(jnp.float64) / num_rounds

    ranks, frequencies = jax.lax.map(of_player, jnp.arange(num_players))
    joint = group_rows(ranks.T, 0, max(1, num_rounds - 1))
    product = frequencies.prod(axis=0)
    count = joint.counts().astype(jnp.float64)
    excess = jnp.abs(count / num_rounds - product)
    # Every row of a group stands for 1/count of it.
    return (excess / count).sum(), (product / count).sum()
