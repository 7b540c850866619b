"""Regressions that are linear in their numbers: solved, not searched for."""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from gtrade._checks import InadmissibleError, check_integer
from gtrade.calibration.fit import AbstractRegression, Fit
from gtrade.calibration.fitting import invert_information, long_run_covariance
from gtrade.numerics.counter_random import uniforms
from gtrade.numerics.elimination import solve_tiny
from gtrade.problems.base import validate_if_concrete
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver

ERRORS = ("classical", "robust", "bootstrap")

# Resamples that are drawn and added up at a time.
_CHUNK = 256


class AbstractLinearRegression(AbstractRegression):
    """A response that is linear in the numbers.

    Attributes:
        constant: place of the number that every observation has with a factor of 1, an
            intercept; None without one.
    """

    constant: eqx.AbstractClassVar[int | None]

    @abc.abstractmethod
    def regressors(self) -> Float[Array, "observations parameters"]:
        """Return what the numbers multiply; finite at weight 0 too."""

    @abc.abstractmethod
    def response(self) -> Float[Array, " observations"]:
        """Return what they add up to, but for noise; finite at weight 0 too."""

    def residuals(
        self, values: Float[Array, " parameters"]
    ) -> Float[Array, " observations"]:
        explained = jnp.matmul(self.regressors(), values, precision="highest")
        return self.response() - explained

    def total_sum_of_squares(self) -> Float[Array, ""]:
        response = self.response()
        if self.constant is not None:
            response = response - weighted_mean(response, self.weights)
        return (self.weights * response**2).sum()

    def scale(self) -> Float[Array, " parameters"]:
        count = jnp.maximum(self.weights.sum(), 1)
        squares = (self.weights[:, None] * self.regressors() ** 2).sum(axis=0)
        size = jnp.sqrt(self.total_sum_of_squares() / count)
        return size / jnp.sqrt(jnp.where(squares > 0, squares, 1) / count)

    def starts(self) -> Float[Array, "starts parameters"]:
        return jnp.zeros((1, len(self.names)), self.weights.dtype)


class OrdinaryLeastSquares(AbstractSolver):
    """The closed form of a linear regression in numbers without bounds.

    Attributes:
        errors: "classical" (equal variances; residual degrees of freedom), "robust"
            (White 1980, HC0; with lags Newey & West 1987) or "bootstrap", the
            covariance over resamples by circular blocks, for which `solve` needs a key
            (static).
        num_lags: neighbouring observations whose noise is correlated; for "robust"
            (static).
        num_resamples: for "bootstrap" (static).
        block_length: neighbours drawn together, for "bootstrap" (static).
    """

    cpu_block: ClassVar[int | None] = 8

    errors: str = eqx.field(static=True, default="robust")
    num_lags: int = eqx.field(static=True, default=0)
    num_resamples: int = eqx.field(static=True, default=1000)
    block_length: int = eqx.field(static=True, default=1)

    def __check_init__(self) -> None:
        """Check values where they are concrete."""
        validate_if_concrete(self)

    @classmethod
    def validate(
        cls,
        *,
        errors: Any = "robust",
        num_lags: Any = 0,
        num_resamples: Any = 1000,
        block_length: Any = 1,
    ) -> None:
        """Raise ValueError for inadmissible numbers."""
        if errors not in ERRORS:
            rule = "be " + " or ".join(repr(name) for name in ERRORS)
            raise InadmissibleError("errors", rule, errors)
        check_integer(at_least=0, num_lags=num_lags)
        check_integer(at_least=2, num_resamples=num_resamples)
        check_integer(at_least=1, block_length=block_length)

    def solve(self, problem: Any, *, key: PRNGKeyArray | None = None) -> Solution[Fit]:
        """Fit one instance.

        Returns:
            The fit; `residual` is the largest cosine between residuals and regressors.
        """
        weights, count = problem.weights, problem.weights.sum()
        x, y, to_values = _centred(problem)
        size = _safe(jnp.sqrt((weights[:, None] * x**2).sum(axis=0)))
        unit = x / size[None]
        inverse, is_identified, rank, condition = invert_information(
            _cross(unit, weights[:, None] * unit), size <= 0
        )
        # A second pass, on what the first left over, takes rounding out.
        first = _product(inverse, _cross(unit, (weights * y)[:, None])[:, 0])
        left = y - _mix(unit, first)
        second = _product(inverse, _cross(unit, (weights * left)[:, None])[:, 0])
        left = left - _mix(unit, second)
        squares = (weights * left**2).sum()
        tilt = jnp.abs(_cross(unit, (weights * left)[:, None])).max()
        if self.errors == "classical":
            spread = (
                inverse * squares / jnp.maximum(count - rank.astype(count.dtype), 1)
            )
        elif self.errors == "robust":
            scores = (weights * left)[:, None] * unit
            if self.num_lags:
                meat = long_run_covariance(scores, self.num_lags)
            else:
                meat = _cross(scores, scores)
            spread = _product(_product(inverse, meat), inverse)
        else:
            if key is None:
                raise ValueError('key must be given where errors is "bootstrap"')
            estimates = _resampled(
                unit, y, weights, key, self.num_resamples, self.block_length
            )
            spread = _covariance(estimates)
        values = _product(to_values, (first + second) / size)
        to_values = to_values / size[None]
        spread = _product(_product(to_values, spread), to_values.T)
        is_known = is_identified[:, None] & is_identified[None]
        total = problem.total_sum_of_squares()
        variance = squares / jnp.maximum(count, 1)
        is_used = weights > 0
        is_admissible = problem.is_admissible()
        fit = Fit(
            values=values,
            covariance=jnp.where(is_known, spread, jnp.nan),
            free=values,
            free_covariance=jnp.where(is_known, spread, 0),
            log_likelihood=-count / 2 * (jnp.log(2 * jnp.pi * variance) + 1),
            r_squared=1 - squares / total,
            is_at_bound=jnp.zeros_like(is_identified),
            is_identified=is_identified & is_admissible,
            rank=rank,
            condition=condition,
            num_starts=jnp.zeros((), jnp.int32),
            num_agreeing=jnp.zeros((), jnp.int32),
            num_observations=is_used.sum(dtype=jnp.int32),
            num_dropped=(~is_used).sum(dtype=jnp.int32),
            names=problem.names,
            domains=problem.domains,
        )
        fit = jax.tree.map(lambda x: _blank_unless(is_admissible, x), fit)
        status = Status.where(is_identified.all(), Status.converged, Status.degenerate)
        status = Status.where(is_admissible, status, Status.invalid_input)
        residual = tilt / jnp.sqrt(_safe((weights * y**2).sum()))
        residual = jnp.where(is_admissible, residual, jnp.nan)
        return Solution(fit, status, residual, jnp.zeros((), jnp.int32))


def resampled_estimates(
    problem: AbstractLinearRegression,
    key: PRNGKeyArray,
    num_resamples: int,
    block_length: int = 1,
) -> Float[Array, "resamples parameters"]:
    """Return estimates of resamples by circular blocks, each by a closed form.

    A resample's sums of products are sums over its blocks, and those of a block that
    starts anywhere are known beforehand: a fit costs n / block_length additions. Blocks
    run over observations of positive weight, which are taken to be neighbours, and a
    resample holds as many of them as the sample. Work is done a few hundred resamples
    at a time, which bounds memory; no result depends on how many.

    Args:
        problem: one instance.
        key: source of randomness.
        num_resamples: how many (static).
        block_length: neighbours drawn together (static).

    Returns:
        Estimates, not finite where a resample does not identify them.
    """
    x, y, to_values = _centred(problem)
    size = _safe(jnp.sqrt((problem.weights[:, None] * x**2).sum(axis=0)))
    estimates = _resampled(
        x / size[None], y, problem.weights, key, num_resamples, block_length
    )
    # Where not all numbers are identified, elimination ends in noise or in NaN.
    return _product(to_values / size[None], estimates).T


def block_starts(
    key: PRNGKeyArray,
    num_resamples: int,
    num_blocks: int,
    num_used: Any,
    first: Any = 0,
) -> Array:
    """Return where blocks start, counted among observations of positive weight.

    Args:
        key: source of randomness.
        num_resamples: how many (static).
        num_blocks: of each (static).
        num_used: observations to start from, shape ().
        first: number of the first resample; each draws by its own.

    Returns:
        Shape (blocks, resamples), int32.
    """
    resamples = jnp.arange(num_resamples, dtype=jnp.uint32)
    resamples = resamples + jnp.asarray(first, jnp.uint32)
    shares = uniforms(key, resamples, num_blocks, jnp.dtype("float32"))
    num_used = jnp.asarray(num_used, jnp.int32)
    starts = (shares * num_used.astype(jnp.float32)).astype(jnp.int32)
    return jnp.minimum(starts, jnp.maximum(num_used - 1, 0))


def weighted_mean(
    x: Float[Array, "observations *rest"], weights: Float[Array, " observations"]
) -> Float[Array, "*rest"]:
    """Return the mean along the first axis."""
    wide = weights.reshape(-1, *(1 for _ in x.shape[1:]))
    return (wide * x).sum(axis=0) / _safe(weights.sum())


def _resampled(
    x: Array,
    y: Array,
    weights: Array,
    key: PRNGKeyArray,
    num_resamples: int,
    block_length: int,
) -> Float[Array, "parameters resamples"]:
    """Return estimates of resamples in the coordinates of x."""
    num, size = x.shape
    if not 1 <= block_length <= max(num, 1):
        rule = f"be between 1 and the number of observations, {num}"
        raise InadmissibleError("block_length", rule, block_length)
    is_used = weights > 0
    order = jnp.argsort(~is_used, stable=True)
    num_used = is_used.sum(dtype=jnp.int32)
    columns = [*x.T, y]
    rows = [(i, j) for i in range(size) for j in range(i, size + 1)]
    terms = jnp.stack([weights * columns[i] * columns[j] for i, j in rows])[:, order]
    num_blocks = -(-num // block_length)
    # Blocks of full length, then one that is cut short where the sample is full.
    last = num_used // block_length
    is_whole = (jnp.arange(num_blocks, dtype=jnp.int32) < last)[:, None]
    whole = _circular_sums(terms, num_used, block_length)
    short = _circular_sums(terms, num_used, num_used - block_length * last)

    def chunk(first: Array) -> Array:
        starts = block_starts(key, width, num_blocks, num_used, first)
        cut = starts[jnp.minimum(last, num_blocks - 1)]
        sums = [
            jnp.where(is_whole, table[starts], 0).sum(axis=0) + rest[cut]
            for table, rest in zip(whole, short, strict=True)
        ]
        matrix = [[sums[0]] * size for _ in range(size)]
        right = [sums[0]] * size
        for place, (i, j) in enumerate(rows):
            if j == size:
                right[i] = sums[place]
            else:
                matrix[i][j] = matrix[j][i] = sums[place]
        stacked = jnp.stack([jnp.stack(row) for row in matrix])
        return jax.vmap(
            lambda a, b: solve_tiny(a, b[:, None], exchanges_rows=False)[:, 0],
            in_axes=(2, 1),
            out_axes=1,
        )(stacked, jnp.stack(right))

    width = min(_CHUNK, num_resamples)
    firsts = jnp.arange(0, num_resamples, width, dtype=jnp.uint32)
    found = jax.lax.map(chunk, firsts)  # (chunks, parameters, width)
    return jnp.moveaxis(found, 1, 0).reshape(size, -1)[:, :num_resamples]


def _circular_sums(
    terms: Float[Array, "terms observations"], num_used: Array, length: Array | int
) -> Float[Array, "terms observations"]:
    """Return sums of `length` neighbours from each place on, around the end."""
    if isinstance(length, int) and length == 1:
        return terms
    sums = jnp.pad(jnp.cumsum(terms, axis=1), ((0, 0), (1, 0)))
    places = jnp.arange(terms.shape[1], dtype=jnp.int32)
    ends = places + length
    beyond = jnp.maximum(ends - num_used, 0)
    ends = jnp.minimum(ends, num_used)
    return sums[:, ends] - sums[:, places] + sums[:, beyond]


def _covariance(
    estimates: Float[Array, "parameters resamples"],
) -> Float[Array, "parameters parameters"]:
    """Return the covariance of those resamples that have an estimate."""
    is_good = jnp.isfinite(estimates).all(axis=0)[None]
    count = is_good.sum().astype(estimates.dtype)
    kept = jnp.where(is_good, estimates, 0)
    mean = kept.sum(axis=1, keepdims=True) / jnp.maximum(count, 1)
    around = jnp.where(is_good, estimates - mean, 0)
    return _product(around, around.T) / jnp.maximum(count - 1, 1)


def _centred(problem: AbstractLinearRegression) -> tuple[Array, Array, Array]:
    """Take means out of regressors and response where there is an intercept.

    Returns:
        Regressors, response, and the matrix that turns numbers for these into the
        problem's own.
    """
    x, y, weights = problem.regressors(), problem.response(), problem.weights
    identity = jnp.eye(x.shape[1], dtype=x.dtype)
    if problem.constant is None:
        return x, y, identity
    is_constant = jnp.arange(x.shape[1]) == problem.constant
    means = jnp.where(is_constant, 0, weighted_mean(x, weights))
    row = is_constant.astype(x.dtype)[:, None]
    return x - means[None], y, identity - row * means[None]


def _blank_unless(is_good: Array, x: Array) -> Array:
    is_float = jnp.issubdtype(x.dtype, jnp.floating)
    return jnp.where(is_good, x, jnp.nan) if is_float else x


def _safe(x: Array) -> Array:
    """Return x, 1 where it is not positive."""
    return jnp.where(x > 0, x, 1)


def _cross(
    a: Float[Array, "observations n"], b: Float[Array, "observations m"]
) -> Float[Array, "n m"]:
    """Return a' b, for a few columns: sums in one pass, which no call of BLAS is."""
    rows = [
        jnp.stack([(a[:, i] * b[:, j]).sum() for j in range(b.shape[1])])
        for i in range(a.shape[1])
    ]
    return jnp.stack(rows)


def _mix(
    x: Float[Array, "observations n"], sizes: Float[Array, " n"]
) -> Float[Array, " observations"]:
    """Return x sizes, for a few columns."""
    columns = [x[:, i] * sizes[i] for i in range(x.shape[1])]
    return sum(columns[1:], columns[0])


def _product(a: Array, b: Array) -> Array:
    return jnp.matmul(a, b, precision="highest")
