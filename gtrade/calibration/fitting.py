"""How fits are found: searches from many starts, then errors at the best optimum."""

import abc
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from gtrade._arrays import as_float
from gtrade._checks import InadmissibleError, check_integer, check_positive
from gtrade.calibration.fit import (
    AbstractFitProblem,
    AbstractRegression,
    Fit,
    at_bound,
    block_weights,
    constrain,
    release,
)
from gtrade.problems.base import replace_fields, validate_if_concrete
from gtrade.solution import Solution, Status
from gtrade.solvers.base import AbstractSolver

ERRORS = ("hessian", "sandwich")

# Searches that end this close to the best log-likelihood found the same optimum.
_AGREEING = 1e-3
# Curvature of a direction, in units of the parameters' own, that rounding could make.
_FLAT = 1e-9
_MOST_STEPS, _CLOSE, _NEAR = 30, 1e-9, 1e-3
# Slopes this many rounding units below the steepest are rounding themselves.
_ROUNDING = 1e3


class AbstractFitter(AbstractSolver):
    """Finds the best numbers of a fit problem, and how far to trust them.

    Searches minimise the negative log-likelihood an observation, then Newton's method
    takes the best of them to rounding.

    Attributes:
        errors: "hessian", the inverse of the observed information, or "sandwich",
            right for wrong variances too (static).
        num_lags: neighbouring observations whose scores are correlated; for "sandwich"
            only (Newey & West 1987 weights; static).
        max_steps: of a search (static).
        tol: bound on the Newton decrement: what one more step would gain in standard
            errors, shape (); never less than rounding lets one see.
    """

    tol: Float[Array, ""] = eqx.field(converter=as_float, default=1e-6)
    errors: str = eqx.field(static=True, default="sandwich")
    num_lags: int = eqx.field(static=True, default=0)
    max_steps: int = eqx.field(static=True, default=256)

    def __check_init__(self) -> None:
        """Check values where they are concrete."""
        validate_if_concrete(self)

    @classmethod
    def validate(
        cls,
        *,
        tol: Any = 1e-6,
        errors: Any = "sandwich",
        num_lags: Any = 0,
        max_steps: Any = 256,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        if errors not in ERRORS:
            rule = "be " + " or ".join(repr(name) for name in ERRORS)
            raise InadmissibleError("errors", rule, errors)
        check_integer(at_least=0, num_lags=num_lags)
        check_integer(at_least=1, max_steps=max_steps)
        check_positive(tol=tol)

    @abc.abstractmethod
    def search(
        self, problem: Any, start: Float[Array, " parameters"]
    ) -> Float[Array, " parameters"]:
        """Return where a search from free coordinates ends, in free coordinates."""

    def solve(self, problem: Any, *, key: PRNGKeyArray | None = None) -> Solution[Fit]:
        """Fit one instance."""
        del key
        return self.solve_from(problem, problem.starts())

    def solve_from(
        self, problem: AbstractFitProblem, starts: Float[Array, "starts parameters"]
    ) -> Solution[Fit]:
        """Fit one instance from given values: of a bootstrap, say, from the best."""
        scale = jnp.where(problem.scale() > 0, problem.scale(), 1)
        free = jax.vmap(lambda x: release(x, problem.domains, scale))(starts)
        free = jnp.where(jnp.isfinite(free), free, 0)
        ends = jax.vmap(lambda x: self.search(problem, x))(free)
        losses = jax.vmap(lambda x: _loss(problem, x, scale))(ends)
        losses = jnp.where(jnp.isfinite(losses), losses, jnp.inf)
        count = jnp.maximum(problem.weights.sum(), 1)
        num_agreeing = ((losses - losses.min()) * count < _AGREEING).sum()
        solution = self.refine(problem, ends[jnp.argmin(losses)])
        fit = solution.value
        fit = eqx.tree_at(
            lambda fit: (fit.num_starts, fit.num_agreeing),
            fit,
            (
                jnp.asarray(starts.shape[0], jnp.int32),
                num_agreeing.astype(jnp.int32),
            ),
        )
        return Solution(fit, solution.status, solution.residual, solution.num_steps)

    def refine(
        self, problem: AbstractFitProblem, free: Float[Array, " parameters"]
    ) -> Solution[Fit]:
        """Fit one instance by Newton's method from free coordinates near the optimum.

        Free coordinates are in units of the problem's scale.
        """
        scale = jnp.where(problem.scale() > 0, problem.scale(), 1)
        is_admissible = problem.is_admissible() & jnp.isfinite(scale).all()
        peak = _climb(problem, free, scale)
        decrement = peak.decrement
        eps = float(jnp.finfo(decrement.dtype).eps)
        tol = jnp.maximum(self.tol.astype(decrement.dtype), 10 * eps**0.5)
        fit = self._finish(problem, peak, scale)
        status = Status.where(
            decrement <= tol,
            Status.converged,
            Status.max_steps_reached,
        )
        status = Status.where(jnp.isfinite(decrement), status, Status.nonfinite)
        is_open = ~(fit.is_identified | fit.is_at_bound).all()
        status = Status.where(
            is_open & (status == Status.converged), Status.degenerate, status
        )
        status = Status.where(is_admissible, status, Status.invalid_input)
        is_good = is_admissible & jnp.isfinite(decrement)

        def blank(x: Array) -> Array:
            is_float = jnp.issubdtype(x.dtype, jnp.floating)
            return jnp.where(is_good, x, jnp.nan) if is_float else x

        fit = jax.tree.map(blank, fit)
        return Solution(fit, status, decrement, peak.num_steps)

    def _finish(
        self,
        problem: AbstractFitProblem,
        peak: "_Peak",
        scale: Float[Array, " parameters"],
    ) -> Fit:
        free = peak.free
        domains, ones = problem.domains, jnp.ones_like(free)
        values = constrain(free, domains, scale)
        is_at_bound = at_bound(values, domains, scale)
        meat = None
        if self.errors == "sandwich":
            meat = long_run_covariance(_scores(problem, free, scale), self.num_lags)
        inverse, is_identified, rank, condition = invert_information(
            peak.information, is_at_bound
        )
        if meat is not None:
            spread = _sandwich(inverse, meat)
        elif isinstance(problem, AbstractRegression):  # of n, so many are free
            count = problem.weights.sum()
            spread = inverse * count / jnp.maximum(count - rank.astype(count.dtype), 1)
        else:
            spread = inverse
        # From coordinates in units of the scale to those of the bare numbers.
        is_real = jnp.array([x == "real" for x in domains])
        unit = jnp.where(is_real, scale, ones)
        spread = spread * unit[:, None] * unit[None]
        jacobian = jax.jacfwd(lambda x: constrain(x, domains, ones))
        bare = release(values, domains, ones)
        slope = jacobian(bare)
        covariance = slope @ spread @ slope.T
        is_known = is_identified & ~is_at_bound
        is_open = ~(is_known[:, None] & is_known[None])
        covariance = jnp.where(is_open, jnp.nan, covariance)
        r_squared = jnp.full((), jnp.nan, free.dtype)
        if isinstance(problem, AbstractRegression):
            left = (problem.weights * problem.residuals(values) ** 2).sum()
            r_squared = 1 - left / problem.total_sum_of_squares()
        is_used = problem.weights > 0
        return Fit(
            values=values,
            covariance=covariance,
            free=bare,
            free_covariance=spread,
            log_likelihood=-peak.loss,
            r_squared=r_squared,
            is_at_bound=is_at_bound,
            is_identified=is_identified,
            rank=rank,
            condition=condition,
            num_starts=jnp.ones((), jnp.int32),
            num_agreeing=jnp.ones((), jnp.int32),
            num_observations=is_used.sum(dtype=jnp.int32),
            num_dropped=(~is_used).sum(dtype=jnp.int32),
            names=problem.names,
            domains=domains,
        )


class MaximumLikelihood(AbstractFitter):
    """Searches of a likelihood by BFGS, from every start at once."""

    def search(
        self, problem: Any, start: Float[Array, " parameters"]
    ) -> Float[Array, " parameters"]:
        scale = jnp.where(problem.scale() > 0, problem.scale(), 1)
        eps = float(jnp.finfo(start.dtype).eps)
        method = optx.BFGS(rtol=eps**0.5, atol=eps**0.5)
        found = optx.minimise(
            lambda x, _: _loss(problem, x, scale),
            method,
            start,
            max_steps=self.max_steps,
            throw=False,
            adjoint=optx.ImplicitAdjoint(),
        )
        return found.value


class LeastSquares(AbstractFitter):
    """Searches of a regression by Levenberg and Marquardt, from every start at once."""

    def search(
        self, problem: Any, start: Float[Array, " parameters"]
    ) -> Float[Array, " parameters"]:
        scale = jnp.where(problem.scale() > 0, problem.scale(), 1)
        total = problem.total_sum_of_squares()
        size = jnp.sqrt(jnp.where(total > 0, total, 1))
        root = jnp.sqrt(problem.weights) / size

        def weighed(x: Array, _: Any) -> Array:
            return root * problem.residuals(constrain(x, problem.domains, scale))

        eps = float(jnp.finfo(start.dtype).eps)
        found = optx.least_squares(
            weighed,
            optx.LevenbergMarquardt(rtol=eps**0.5, atol=eps**0.5),
            start,
            max_steps=self.max_steps,
            throw=False,
        )
        return found.value


def bootstrap(
    fitter: AbstractFitter,
    problem: AbstractFitProblem,
    fit: Fit,
    key: PRNGKeyArray,
    num_resamples: int,
    block_length: Int[Array, ""] | int = 1,
) -> Float[Array, "resamples parameters"]:
    """Return estimates of resamples, each by Newton's method from the sample's own.

    Args:
        fitter: how to fit.
        problem: one instance.
        fit: of it.
        key: source of randomness.
        num_resamples: how many (static).
        block_length: neighbours drawn together, at least 1; may be traced.

    Returns:
        Estimates; NaN where a resample has none.
    """

    def one(key: PRNGKeyArray) -> Array:
        weights = block_weights(key, problem.weights, block_length)
        resample: Any = replace_fields(problem, weights=weights)
        scale = jnp.where(resample.scale() > 0, resample.scale(), 1)
        free = release(fit.values, problem.domains, scale)
        return fitter.refine(resample, free).value.values

    return jax.vmap(one)(jax.random.split(key, num_resamples))


def _loss(problem: Any, free: Array, scale: Array) -> Array:
    """Return the negative log-likelihood an observation."""
    values = constrain(free, problem.domains, scale)
    total = (problem.weights * problem.log_likelihoods(values)).sum()
    return -total / jnp.maximum(problem.weights.sum(), 1)


class _Peak(NamedTuple):
    """Where Newton's method stands, and what is known there."""

    free: Float[Array, " parameters"]
    loss: Float[Array, ""]
    decrement: Float[Array, ""]
    step: Float[Array, " parameters"]
    information: Float[Array, "parameters parameters"]
    num_steps: Int[Array, ""]


def _climb(problem: AbstractFitProblem, free: Array, scale: Array) -> _Peak:
    """Take Newton's steps, halved until they help, from a point near an optimum.

    The decrement is the root of g' H^-1 g for the whole sample: the distance to the
    optimum in standard errors.
    """

    def loss(x: Array) -> Array:
        values = constrain(x, problem.domains, scale)
        return -(problem.weights * problem.log_likelihoods(values)).sum()

    def look(x: Array, num_steps: Array) -> _Peak:
        is_fixed = at_bound(
            constrain(x, problem.domains, scale), problem.domains, scale
        )
        gradient = jnp.where(is_fixed, 0, jax.grad(loss)(x))
        information = jax.hessian(loss)(x)
        inverse, *_ = invert_information(information, is_fixed)
        step = -jnp.matmul(inverse, gradient, precision="highest")
        decrement = jnp.sqrt(jnp.maximum(-(step @ gradient), 0))
        return _Peak(x, loss(x), decrement, step, information, num_steps)

    def is_unfinished(peak: _Peak) -> Bool[Array, ""]:
        eps = float(jnp.finfo(free.dtype).eps)
        is_open = peak.decrement > max(_CLOSE, eps)  # a NaN ends it
        return is_open & (peak.num_steps < _MOST_STEPS)

    def go_on(peak: _Peak) -> _Peak:
        new = look(peak.free + peak.step, peak.num_steps + 1)
        eps = float(jnp.finfo(free.dtype).eps)
        is_lower = new.loss <= peak.loss + 8 * eps * jnp.abs(peak.loss)
        # So close to an optimum losses differ by rounding.
        is_lower = is_lower | (peak.decrement < _NEAR)
        is_better = is_lower & (new.decrement < peak.decrement)
        kept = jax.tree.map(lambda x, y: jnp.where(is_better, x, y), new, peak)
        halved = jnp.where(is_better, kept.step, peak.step / 2)
        return kept._replace(step=halved, num_steps=new.num_steps)

    infinite = jnp.full((), jnp.inf, free.dtype)
    nothing = jnp.zeros_like(free)
    start = _Peak(
        free,
        infinite,
        infinite,
        nothing,
        nothing[:, None] * nothing[None],
        jnp.zeros((), jnp.int32),
    )
    return jax.lax.while_loop(is_unfinished, go_on, start)


def invert_information(information: Array, is_fixed: Array) -> tuple[Array, ...]:
    """Invert an information matrix in the directions that it pins down.

    Returns:
        The inverse (0 for what is fixed or open), which numbers are identified, the
        rank, and the condition in the directions kept.
    """
    is_free = ~is_fixed
    curvature = jnp.diagonal(information)
    eps = float(jnp.finfo(information.dtype).eps)
    least = (_ROUNDING * eps) ** 2 * jnp.where(is_free, curvature, 0).max()
    is_free = is_free & (curvature > least)
    size = jnp.sqrt(jnp.where(is_free, curvature, 1))
    both = is_free[:, None] & is_free[None]
    scaled = jnp.where(both, information / size[:, None] / size[None], 0)
    scaled = jnp.where(jnp.isfinite(scaled), scaled, 0)
    values, vectors = jnp.linalg.eigh(jax.lax.stop_gradient(scaled))
    is_kept = values > max(_FLAT, 10 * eps)
    safe = jnp.where(is_kept, values, 1)
    inverted = (vectors * jnp.where(is_kept, 1 / safe, 0)[None]) @ vectors.T
    # The same, but with a slope where eigenvectors have none: at equal eigenvalues.
    scaled_inverse = 2 * inverted - inverted @ scaled @ inverted
    share_open = jnp.where(is_kept[None], 0, vectors**2).sum(axis=1)
    is_identified = is_free & (share_open < 1e-6)
    largest = jnp.where(is_kept, values, 0).max()
    smallest = jnp.where(is_kept, values, jnp.inf).min()
    condition = largest / smallest
    inverse = scaled_inverse / size[:, None] / size[None]
    return inverse, is_identified, is_kept.sum(dtype=jnp.int32), condition


def _sandwich(inverse: Array, meat: Array) -> Array:
    half = jnp.matmul(inverse, meat, precision="highest")
    return jnp.matmul(half, inverse, precision="highest")


def long_run_covariance(scores: Array, num_lags: int) -> Array:
    """Return the covariance of a sum of scores, with neighbours (Newey & West)."""
    total = jnp.matmul(scores.T, scores, precision="highest")
    for lag in range(1, num_lags + 1):
        cross = jnp.matmul(scores[lag:].T, scores[:-lag], precision="highest")
        total = total + (1 - lag / (num_lags + 1)) * (cross + cross.T)
    return total


def _scores(problem: AbstractFitProblem, free: Array, scale: Array) -> Array:
    """Return the observations' scores, shape (observations, parameters).

    Of a regression those at its variance: differentiated through the estimate of the
    variance, every score would have the same share of it.
    """

    def at(function: Any) -> Any:
        return lambda x: function(constrain(x, problem.domains, scale))

    weights = problem.weights
    if not isinstance(problem, AbstractRegression):
        return weights[:, None] * jax.jacfwd(at(problem.log_likelihoods))(free)
    residuals = at(problem.residuals)(free)
    variance = problem.variance(residuals)
    slopes = jax.jacfwd(at(problem.residuals))(free)
    return -(weights * residuals / variance)[:, None] * slopes
