"""What a fit is: data and a model as a problem, and numbers with errors as an answer.

A fit works in free coordinates, in which every number is admissible, and reports in the
model's own. Each observation has a weight: 0 leaves it out, whole numbers repeat it, so
that a bootstrap resamples weights and a lagged regressor keeps its history.
"""

import abc
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from gtrade.problems.base import AbstractProblem

Domain = Literal["real", "positive", "share"]

# A share this close to 0 or 1, or a positive number this small in its scale, lies at
# the bound: what likelihoods differ by there is rounding.
_AT_BOUND = 1e-6


class AbstractFitProblem(AbstractProblem):
    """Data, and a model whose numbers are wanted: one instance.

    Attributes:
        names: of the numbers, in order.
        units: of the numbers.
        domains: "real", "positive" or "share" (between 0 and 1), one a number.
    """

    names: eqx.AbstractVar[tuple[str, ...]]
    units: eqx.AbstractVar[tuple[str, ...]]
    domains: eqx.AbstractVar[tuple[Domain, ...]]

    weights: eqx.AbstractVar[Float[Array, " observations"]]

    @abc.abstractmethod
    def scale(self) -> Float[Array, " parameters"]:
        """Return a typical size of each number, from the data; 1 for a share."""

    @abc.abstractmethod
    def starts(self) -> Float[Array, "starts parameters"]:
        """Return values to search from."""

    @abc.abstractmethod
    def log_likelihoods(
        self, values: Float[Array, " parameters"]
    ) -> Float[Array, " observations"]:
        """Return each observation's log-likelihood, without its weight."""

    @abc.abstractmethod
    def is_admissible(self) -> Bool[Array, ""]:
        """Return whether the data say enough for a fit."""


class AbstractRegression(AbstractFitProblem):
    """A fit by least squares; errors are Gaussian where a likelihood is asked for."""

    @abc.abstractmethod
    def residuals(
        self, values: Float[Array, " parameters"]
    ) -> Float[Array, " observations"]:
        """Return what the model leaves unexplained; finite at weight 0 too."""

    @abc.abstractmethod
    def total_sum_of_squares(self) -> Float[Array, ""]:
        """Return what there is to explain."""

    def variance(self, residuals: Float[Array, " observations"]) -> Float[Array, ""]:
        """Return the residuals' mean square, or that of rounding if that is more.

        Data without noise would leave a likelihood without an end.
        """
        count = jnp.maximum(self.weights.sum(), 1)
        rounding = float(jnp.finfo(residuals.dtype).eps) * self.total_sum_of_squares()
        return jnp.maximum((self.weights * residuals**2).sum(), rounding) / count

    def log_likelihoods(
        self, values: Float[Array, " parameters"]
    ) -> Float[Array, " observations"]:
        residuals = self.residuals(values)
        largest = jnp.abs(jnp.where(self.weights > 0, residuals, 0)).max()
        # Slopes divide by variances twice: in these units nothing overflows.
        unit = jax.lax.stop_gradient(jnp.where(largest > 0, largest, 1))
        scaled, variance = residuals / unit, self.variance(residuals) / unit / unit
        log_variance = jnp.log(2 * jnp.pi * variance) + 2 * jnp.log(unit)
        return -0.5 * (log_variance + scaled**2 / variance)


class Fit(eqx.Module):
    """Numbers from data.

    Attributes:
        values: the estimates, shape (parameters,), in the order of `names`.
        covariance: of the estimates, NaN for numbers at a bound and for those that the
            data leave open, shape (parameters, parameters).
        free: the estimates in free coordinates, shape (parameters,).
        free_covariance: of these, shape (parameters, parameters); 0 instead of NaN.
        log_likelihood: at the estimates, shape ().
        r_squared: share explained, NaN unless a regression, shape ().
        is_at_bound: whether a number lies at the end of its domain, (parameters,).
        is_identified: whether the data tell it apart, shape (parameters,).
        rank: directions that the data pin down, shape ().
        condition: largest over smallest curvature in them, shape ().
        num_starts: searches begun, shape ().
        num_agreeing: those that ended in this optimum, shape ().
        num_observations: used, shape ().
        num_dropped: of weight 0, shape ().
        names: of the numbers (static).
        domains: of the numbers (static).
    """

    values: Float[Array, " parameters"]
    covariance: Float[Array, "parameters parameters"]
    free: Float[Array, " parameters"]
    free_covariance: Float[Array, "parameters parameters"]
    log_likelihood: Float[Array, ""]
    r_squared: Float[Array, ""]
    is_at_bound: Bool[Array, " parameters"]
    is_identified: Bool[Array, " parameters"]
    rank: Int[Array, ""]
    condition: Float[Array, ""]
    num_starts: Int[Array, ""]
    num_agreeing: Int[Array, ""]
    num_observations: Int[Array, ""]
    num_dropped: Int[Array, ""]
    names: tuple[str, ...] = eqx.field(static=True)
    domains: tuple[Domain, ...] = eqx.field(static=True)

    @property
    def standard_error(self) -> Float[Array, " parameters"]:
        """Of each estimate; a batch of fits keeps its axes."""
        return jnp.sqrt(jnp.diagonal(self.covariance, axis1=-2, axis2=-1))

    def interval(self, z: float = 1.959963984540054) -> Float[Array, "2 parameters"]:
        """Return both ends of the estimates' intervals, made in free coordinates.

        So they lie in the domain. One fit; map over a batch.
        """
        spread = z * jnp.sqrt(jnp.diagonal(self.free_covariance))
        spread = jnp.where(self.is_identified & ~self.is_at_bound, spread, jnp.nan)
        ends = self.free[None] + jnp.stack([-spread, spread])
        scale = jnp.ones_like(self.free)
        return jax.vmap(lambda x: constrain(x, self.domains, scale))(ends)

    def __getitem__(self, name: str) -> Float[Array, ""]:
        """Return one estimate by name."""
        return self.values[..., self.names.index(name)]


def constrain(
    free: Float[Array, " parameters"],
    domains: tuple[Domain, ...],
    scale: Float[Array, " parameters"],
) -> Float[Array, " parameters"]:
    """Return values from free coordinates."""
    is_share = jnp.array([x == "share" for x in domains])
    is_positive = jnp.array([x == "positive" for x in domains])
    most = 0.9 * float(np.log(jnp.finfo(free.dtype).max))
    positive = jnp.exp(jnp.clip(jnp.where(is_positive, free, 0), -most, most))
    value = jnp.where(is_share, jax.nn.sigmoid(free), free)
    return jnp.where(is_share, value, scale * jnp.where(is_positive, positive, value))


def release(
    values: Float[Array, " parameters"],
    domains: tuple[Domain, ...],
    scale: Float[Array, " parameters"],
) -> Float[Array, " parameters"]:
    """Return free coordinates of values inside their domains."""
    is_share = jnp.array([x == "share" for x in domains])
    is_positive = jnp.array([x == "positive" for x in domains])
    ratio = values / scale
    tiny = float(jnp.finfo(values.dtype).tiny)
    share = jnp.clip(jnp.where(is_share, values, 0.5), 1e-9, 1 - 1e-9)
    log = jnp.log(jnp.maximum(jnp.where(is_positive, ratio, 1), tiny))
    free = jnp.where(is_positive, log, ratio)
    return jnp.where(is_share, jnp.log(share) - jnp.log1p(-share), free)


def at_bound(
    values: Float[Array, " parameters"],
    domains: tuple[Domain, ...],
    scale: Float[Array, " parameters"],
) -> Bool[Array, " parameters"]:
    """Return which values lie at the end of their domain."""
    is_share = jnp.array([x == "share" for x in domains])
    is_positive = jnp.array([x == "positive" for x in domains])
    edge = jnp.minimum(values, 1 - values)
    return (is_share & (edge < _AT_BOUND)) | (
        is_positive & (values < _AT_BOUND * scale)
    )


def draws(
    fit: Fit, key: PRNGKeyArray, num_draws: int
) -> Float[Array, "draws parameters"]:
    """Draw numbers as uncertain as the estimates: Gaussian in free coordinates.

    Numbers at a bound, or left open by the data, stay at their estimates.

    Args:
        fit: one fit.
        key: source of randomness.
        num_draws: how many (static).
    """
    values, vectors = jnp.linalg.eigh(fit.free_covariance)
    root = vectors * jnp.sqrt(jnp.maximum(values, 0))[None]
    normal = jax.random.normal(key, (num_draws, fit.free.shape[0]), fit.free.dtype)
    free = fit.free[None] + jnp.matmul(normal, root.T, precision="highest")
    scale = jnp.ones_like(fit.free)
    return jax.vmap(lambda x: constrain(x, fit.domains, scale))(free)


def block_weights(
    key: PRNGKeyArray,
    weights: Float[Array, " observations"],
    block_length: Int[Array, ""] | int,
) -> Float[Array, " observations"]:
    """Return how often each observation is in a resample by circular blocks.

    Args:
        key: source of randomness.
        weights: of the sample; observations of weight 0 stay out.
        block_length: neighbours that are drawn together, at least 1; may be traced.
    """
    count = weights.shape[0]
    block_length = jnp.asarray(block_length, jnp.int32)
    places = jnp.arange(count, dtype=jnp.int32)
    starts = jax.random.randint(key, (count,), 0, count, jnp.int32)
    block, offset = places // block_length, places % block_length
    chosen = (starts[block] + offset) % count
    times = jnp.zeros((count,), weights.dtype).at[chosen].add(1)
    return times * weights
