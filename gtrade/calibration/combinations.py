"""Sums of a fit's numbers: some are told by the data where their parts are not."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gtrade._checks import InadmissibleError
from gtrade.calibration.fit import AbstractRegression, Fit

# Directions of less curvature, relative to the most, and of a larger share are open.
_FLAT, _OPEN = 1e-9, 1e-6


class Combination(eqx.Module):
    """A sum of numbers of a fit.

    Attributes:
        value: NaN where the data leave it open, shape ().
        standard_error: for independent noise of one size, shape ().
        is_identified: whether the data tell it, shape ().
    """

    value: Float[Array, ""]
    standard_error: Float[Array, ""]
    is_identified: Bool[Array, ""]


def combination(
    problem: AbstractRegression, fit: Fit, **coefficients: float
) -> Combination:
    """Return a weighted sum of a fit's numbers, told or not whatever its parts are.

    Args:
        problem: one instance.
        fit: of it.
        coefficients: of the numbers by name, others 0: `target_1=1, target_2=1`.

    Raises:
        ValueError: if there is no number of such a name.
    """
    for name in coefficients:
        if name not in problem.names:
            rule = f"be one of {', '.join(problem.names)}"
            raise InadmissibleError("coefficients", rule, name)
    scale = jnp.where(problem.scale() > 0, problem.scale(), 1)
    wanted = jnp.asarray([coefficients.get(x, 0.0) for x in problem.names], scale.dtype)
    slopes = jax.jacfwd(problem.residuals)(fit.values)
    slopes = slopes * scale[None] * jnp.sqrt(problem.weights)[:, None]
    information = jnp.matmul(slopes.T, slopes, precision="highest")
    values, vectors = jnp.linalg.eigh(information)
    eps = float(jnp.finfo(scale.dtype).eps)
    is_kept = values > max(_FLAT, 10 * eps) * values.max()
    along = jnp.matmul(vectors.T, (wanted * scale)[:, None], precision="highest")[:, 0]
    size = (along**2).sum()
    is_identified = jnp.where(is_kept, 0, along**2).sum() <= _OPEN**2 * size
    count = problem.weights.sum() - is_kept.astype(scale.dtype).sum()
    left = (problem.weights * problem.residuals(fit.values) ** 2).sum()
    inverse = jnp.where(is_kept, 1 / jnp.where(is_kept, values, 1), 0)
    variance = (along**2 * inverse).sum() * left / jnp.maximum(count, 1)
    return Combination(
        value=jnp.where(is_identified, (wanted * fit.values).sum(), jnp.nan),
        standard_error=jnp.where(is_identified, jnp.sqrt(variance), jnp.nan),
        is_identified=is_identified,
    )
