"""PIN from daily counts of buys and sells: maximum likelihood from a grid of starts."""

import itertools
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from gtrade._arrays import as_float
from gtrade._checks import (
    InadmissibleError,
    check,
    check_integer,
    check_nonnegative,
    check_shape,
)
from gtrade.calibration.fit import AbstractFitProblem, Domain, Fit, release
from gtrade.calibration.fitting import MaximumLikelihood
from gtrade.calibration.pin import (
    PinParameters,
    daily_log_likelihoods,
    probability_of_informed_trading,
)
from gtrade.calibration.pin_search import climb_all, day_sums
from gtrade.problems.base import validate_if_concrete
from gtrade.solution import Solution
from gtrade.solvers.base import AbstractSolver

_GRID = (0.1, 0.3, 0.5, 0.7, 0.9)
# Climbs that end this close in log-likelihood found one optimum. News that adds no more
# than the second to that of days without is not there.
_AGREEING, _NOTHING = 1e-3, 1e-6
_INSIDE = 0.01  # how far from 0 and 1 searches begin


class PinDays(AbstractFitProblem):
    """Buys and sells of many days, drawn as `PinParameters` says: one stock and period.

    Attributes:
        buys: of each day, whole numbers, shape (days,).
        sells: of each day, whole numbers, shape (days,).
        weights: of each day, 1 if left out; 0 leaves a day out, so that periods of
            different length can share a batch.

    Raises:
        ValueError: if a number is inadmissible.
    """

    names: ClassVar[tuple[str, ...]] = (
        "news_probability",
        "bad_probability",
        "buy_rate",
        "sell_rate",
        "informed_rate",
    )
    units: ClassVar[tuple[str, ...]] = ("1", "1", *3 * ("orders a day",))
    domains: ClassVar[tuple[Domain, ...]] = (
        "share",
        "share",
        "positive",
        "positive",
        "positive",
    )

    buys: Float[Array, " days"] = eqx.field(converter=as_float)
    sells: Float[Array, " days"] = eqx.field(converter=as_float)
    weights: Float[Array, " days"] = eqx.field(converter=as_float)

    def __init__(self, buys: Any, sells: Any, weights: Any = None) -> None:
        """Give every day the weight 1 if none are given."""
        self.buys, self.sells = as_float(buys), as_float(sells)
        ones = jnp.ones_like(self.buys)
        self.weights = ones if weights is None else as_float(weights)

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        check_shape((None,), buys=self.buys)
        check_shape(self.buys.shape, sells=self.sells, weights=self.weights)

    @classmethod
    def validate(cls, *, buys: Any, sells: Any, weights: Any = None) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        if np.ndim(buys) < 1 or np.shape(buys)[-1] < 1:
            raise InadmissibleError("buys", "hold at least one day", buys)
        for name, counts in (("buys", buys), ("sells", sells)):
            check_nonnegative(ndim=1, **{name: counts})
            rule = "be whole numbers"
            check(rule, lambda x: x == np.floor(x), ndim=1, **{name: counts})
        if weights is not None:
            check_nonnegative(ndim=1, weights=weights)

    def scale(self) -> Float[Array, " parameters"]:
        _, _, buys, sells, _ = self.without_news()
        one = jnp.ones_like(buys)
        # A side that nobody takes has no size of its own.
        either = jnp.maximum(buys, sells)
        buys, sells = (jnp.where(x > 0, x, either) for x in (buys, sells))
        return jnp.stack([one, one, buys, sells, either])

    def starts(self) -> Float[Array, "starts parameters"]:
        """Return where to search from, NaN where there are no such numbers.

        The first 125 are the usual grid of alpha, delta and the uninformed share of
        buys, with rates that explain mean counts; some would need a negative rate of
        sells (Yan & Zhang 2012). The others call news good above a quantile of buys and
        bad above one of sells: the grid misses optima with news on nearly every day, or
        with one side that is rare.
        """
        _, _, buys, sells, _ = self.without_news()
        dtype = buys.dtype
        alpha, delta, quiet = np.array(list(itertools.product(_GRID, repeat=3))).T
        alpha, delta, quiet = (jnp.asarray(x, dtype) for x in (alpha, delta, quiet))
        informed = (1 - quiet) * buys / (alpha * (1 - delta))
        rates = [quiet * buys, sells - alpha * delta * informed, informed]
        grid = jnp.stack([alpha, delta, *rates], axis=1)
        is_start = (grid[:, 2:] > 0).all(axis=1)
        grid = jnp.where(is_start[:, None], grid, jnp.nan)
        pairs = np.array(list(itertools.product((*_GRID, 1.0), repeat=2))[:-1])
        high_buys, high_sells = (
            _quantiles(x, self.weights, jnp.asarray(q, dtype))
            for x, q in zip((self.buys, self.sells), pairs.T, strict=True)
        )
        cuts = jax.vmap(self._cut)(high_buys, high_sells)
        return jnp.concatenate([grid, cuts])

    def _cut(
        self, high_buys: Float[Array, ""], high_sells: Float[Array, ""]
    ) -> Float[Array, " parameters"]:
        """Return the numbers if news is good above some buys, bad above some sells."""
        weights = self.weights
        buys, sells = self.buys - high_buys, self.sells - high_sells
        # On days above both the side counts that is further off, by its own noise.
        is_buys = buys * jnp.sqrt(high_sells) > sells * jnp.sqrt(high_buys)
        is_good = (buys > 0) & ((sells <= 0) | is_buys)
        is_bad = (sells > 0) & ~is_good

        def mean(x: Array, is_in: Array) -> Array:
            inside = jnp.where(is_in, weights, 0)
            count = inside.sum()
            return (inside * x).sum() / jnp.where(count > 0, count, 1)

        buy, sell = mean(self.buys, ~is_good), mean(self.sells, ~is_bad)
        excess = jnp.where(is_good, self.buys - buy, self.sells - sell)
        informed = mean(excess, is_good | is_bad)
        every = jnp.ones_like(is_good)
        alpha = mean((is_good | is_bad).astype(weights.dtype), every)
        delta = mean(is_bad.astype(weights.dtype), is_good | is_bad)
        shares = jnp.clip(jnp.stack([alpha, delta]), _INSIDE, 1 - _INSIDE)
        values = jnp.concatenate([shares, jnp.stack([buy, sell, informed])])
        return jnp.where(informed > 0, values, jnp.nan)

    def without_news(self) -> Float[Array, " parameters"]:
        """Return the likeliest numbers if no day has news: mean counts."""
        count = jnp.maximum(self.weights.sum(), 1)
        buys = (self.weights * self.buys).sum() / count
        sells = (self.weights * self.sells).sum() / count
        zero = jnp.zeros_like(buys)
        return jnp.stack([zero, zero + 0.5, buys, sells, zero])

    def log_likelihoods(
        self, values: Float[Array, " parameters"]
    ) -> Float[Array, " observations"]:
        return daily_log_likelihoods(self.buys, self.sells, _parameters(values))

    def is_admissible(self) -> Bool[Array, ""]:
        """Return whether there are counts, more of them than numbers to fit."""
        is_used = self.weights > 0
        numbers = jnp.stack([self.buys, self.sells, self.weights])
        is_count = (jnp.isfinite(numbers) & (numbers >= 0)).all(axis=0)
        is_enough = 2 * is_used.sum() > len(self.names)
        some = jnp.where(is_used, self.buys + self.sells, 0).max() > 0
        return (is_count | (self.weights == 0)).all() & is_enough & some


class PinFit(eqx.Module):
    """What daily counts say about informed trading.

    Attributes:
        fit: alpha, delta, e_b, e_s and mu with their errors, in the order of
            `PinDays.names`; `num_starts` and `num_agreeing` count climbs.
        pin: probability of informed trading, shape ().
        pin_standard_error: by the delta method, shape (); NaN where there is no news,
            or the data leave it open.
    """

    fit: Fit
    pin: Float[Array, ""]
    pin_standard_error: Float[Array, ""]

    @property
    def parameters(self) -> PinParameters:
        """The estimates, to simulate from; a batch of fits keeps its axes."""
        return _parameters(self.fit.values)

    def pin_interval(self, z: float = 1.959963984540054) -> Float[Array, "*batch 2"]:
        """Return both ends of the interval of PIN, made in its logit."""
        inside = self.pin * (1 - self.pin)
        spread = z * self.pin_standard_error / inside
        logit = jnp.log(self.pin) - jnp.log1p(-self.pin)
        return jax.nn.sigmoid(jnp.stack([logit - spread, logit + spread], axis=-1))


class PinLikelihood(AbstractSolver):
    """Fits daily counts by maximum likelihood, from every start of a grid.

    The status is `degenerate` where the data leave numbers open: those of news, if days
    are as much alike as without any.

    Attributes:
        tol: bound on the Newton decrement, in standard errors, shape ().
        errors: "hessian" or "sandwich", as for other fits (static).
        max_steps: looks at the days of one climb (static).
        num_slots: climbs at a time (static).
    """

    cpu_block: ClassVar[int | None] = 16

    tol: Float[Array, ""] = eqx.field(converter=as_float, default=1e-6)
    errors: str = eqx.field(static=True, default="hessian")
    max_steps: int = eqx.field(static=True, default=64)
    num_slots: int = eqx.field(static=True, default=8)

    def __check_init__(self) -> None:
        """Check values where they are concrete."""
        validate_if_concrete(self)

    @classmethod
    def validate(
        cls,
        *,
        tol: Any = 1e-6,
        errors: Any = "hessian",
        max_steps: Any = 64,
        num_slots: Any = 8,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_integer(at_least=1, max_steps=max_steps)
        check_integer(at_least=1, num_slots=num_slots)
        MaximumLikelihood.validate(tol=tol, errors=errors)

    def solve(
        self, problem: PinDays, *, key: PRNGKeyArray | None = None
    ) -> Solution[PinFit]:
        """Fit one stock and period."""
        del key
        starts, scale = problem.starts(), problem.scale()
        is_start = jnp.isfinite(starts).all(axis=1) & problem.is_admissible()
        logs = jax.vmap(lambda x: release(x, problem.domains, jnp.ones_like(x)))(starts)
        logs = jnp.where(is_start[:, None], logs, 0)
        days = day_sums(problem.buys, problem.sells, problem.weights)
        ends = climb_all(days, logs, is_start, self.max_steps, self.num_slots)
        heights = jnp.where(jnp.isnan(ends.height), -jnp.inf, ends.height)
        best = jnp.argmax(heights)
        # Heights are above that of days without news.
        has_news = heights[best] > _NOTHING
        height = jnp.where(has_news, heights[best], 0)
        unit = jnp.array([0, 0, 1, 1, 1], scale.dtype)
        top = ends.free[best] - unit * jnp.log(scale)
        flat = release(problem.without_news(), problem.domains, scale)
        fitter = MaximumLikelihood(tol=self.tol, errors=self.errors)
        solution = fitter.refine(problem, jnp.where(has_news, top, flat))
        is_agreeing = is_start & (jnp.abs(heights - height) < _AGREEING)
        fit = eqx.tree_at(
            lambda fit: (fit.num_starts, fit.num_agreeing),
            solution.value,
            (is_start.sum(dtype=jnp.int32), is_agreeing.sum(dtype=jnp.int32)),
        )
        steps = solution.num_steps + ends.num_steps.sum(dtype=jnp.int32)
        return Solution(_with_pin(fit), solution.status, solution.residual, steps)


def _parameters(values: Float[Array, "*batch parameters"]) -> PinParameters:
    """Return numbers by name, unchecked, so that a batch keeps its axes."""
    parameters = object.__new__(PinParameters)
    for place, name in enumerate(PinDays.names):
        object.__setattr__(parameters, name, values[..., place])
    return parameters


def _with_pin(fit: Fit) -> PinFit:
    """Add PIN, whose logit is log(alpha) + log(mu) - log(e_b + e_s)."""
    alpha, _, buy, sell, informed = fit.values
    quiet = buy + sell
    pin = probability_of_informed_trading(_parameters(fit.values))
    pin = jnp.where(jnp.isnan(alpha), alpha, pin)
    slope = jnp.stack(
        [1 - alpha, 0 * alpha, -buy / quiet, -sell / quiet, 0 * alpha + 1]
    )
    variance = slope @ fit.free_covariance @ slope
    is_open = ~(fit.is_identified | fit.is_at_bound) & (slope != 0)
    # alpha or mu at 0: there is no news.
    is_none = (fit.is_at_bound[0] & (alpha < 0.5)) | fit.is_at_bound[4]
    error = pin * (1 - pin) * jnp.sqrt(variance)
    error = jnp.where(is_open.any() | is_none, jnp.nan, error)
    return PinFit(fit, pin, error)


def _quantiles(
    x: Float[Array, " days"],
    weights: Float[Array, " days"],
    shares: Float[Array, " shares"],
) -> Float[Array, " shares"]:
    """Return the entries that these shares of days with weight are at most."""
    is_used = weights > 0
    ordered = jnp.sort(jnp.where(is_used, x, jnp.inf))
    last = is_used.sum(dtype=x.dtype) - 1
    place = jnp.clip(jnp.floor(shares * last), 0, x.shape[0] - 1)
    return ordered[place.astype(jnp.int32)]
