"""Transient impact: how a trade's effect on the mid fades.

The mid is moved by every trade so far, by its signed volume times a kernel G of the
time since, and by a random walk (Bouchaud, Gefen, Potters & Wyart 2004, eq. 1). So

    mid change_t = G(0) q_t + sum_l (G(l) - G(l - 1)) q_(t - l) + e_t,

with lags l in bars, and a bar's own volume at lag 0. All kernels here are mixtures of
falling exponentials with weights that are not negative: they are positive, decreasing
and convex, and no round trip earns money against them (Gatheral, Schied & Slynko 2012).
"""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float

from gtrade._arrays import as_float
from gtrade._checks import (
    check_nonnegative,
    check_positive,
    check_real,
    check_shape,
)
from gtrade.calibration.fit import AbstractRegression, Domain
from gtrade.calibration.linear import AbstractLinearRegression
from gtrade.calibration.linear_impact import varies

_KERNEL_UNIT = "currency/share"
# Size, in typical ones, that stands for 0 where a search starts.
_NEGLIGIBLE = 1e-8


class AbstractPropagator(AbstractRegression):
    """Mid changes explained by past signed volume through a kernel.

    Bars of weight 0 are not explained, but their volume moves later prices.
    """

    mid_changes: eqx.AbstractVar[Float[Array, " bars"]]
    signed_volume: eqx.AbstractVar[Float[Array, " bars"]]
    weights: eqx.AbstractVar[Float[Array, " bars"]]
    interval: eqx.AbstractVar[Float[Array, ""]]

    @abc.abstractmethod
    def kernel(
        self, values: Float[Array, " parameters"], times: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        """Return G at times of at least 0, currency per share."""

    @abc.abstractmethod
    def predict(self, values: Float[Array, " parameters"]) -> Float[Array, " bars"]:
        """Return what volume so far does to the mid in each bar, shape (bars,)."""

    def residuals(self, values: Float[Array, " parameters"]) -> Float[Array, " bars"]:
        return self.mid_changes - self.predict(values)

    def total_sum_of_squares(self) -> Float[Array, ""]:
        return (self.weights * self.mid_changes**2).sum()

    def is_admissible(self) -> Bool[Array, ""]:
        """Return whether there are more bars than numbers, and flow and price vary."""
        return (
            (self.weights.sum() > len(self.names))
            & jnp.isfinite(self.mid_changes + self.signed_volume).all()
            & (varies(self.signed_volume, self.weights) > 0)
            & (varies(self.mid_changes, self.weights) > 0)
        )

    def instant_impact(self) -> Float[Array, ""]:
        """Return a first guess of G(0): the slope on the bar's own volume."""
        return positive_slope(self.signed_volume, self.mid_changes, self.weights)


class KernelWeights(AbstractLinearRegression):
    """A sum of exponentials of given rates, G(t) = g + sum_i w_i exp(-rho_i t).

    Least squares in numbers that are not negative. A grid of rates with a constant
    factor between them stands for kernels of many shapes; some weights then end at 0,
    and say so. `from_flow` makes one from bars.

    Attributes:
        mid_changes: shape (bars,), currency.
        responses: what each exponential of weight 1 makes of the volume so far, in each
            bar, shape (bars, exponentials), shares.
        weights: how often each bar counts, 0 to leave it out, shape (bars,).
        rates: rho_i >= 0, per time, shape (exponentials,); 0 for permanent impact.

    Raises:
        ValueError: if a number is inadmissible.
    """

    constant: ClassVar[int | None] = None

    mid_changes: Float[Array, " bars"] = eqx.field(converter=as_float)
    responses: Float[Array, "bars exponentials"] = eqx.field(converter=as_float)
    weights: Float[Array, " bars"] = eqx.field(converter=as_float)
    rates: Float[Array, " exponentials"] = eqx.field(converter=as_float)

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        check_shape((None,), mid_changes=self.mid_changes)
        check_shape((None,), rates=self.rates)
        shape = self.mid_changes.shape
        check_shape(shape, weights=self.weights)
        check_shape((*shape, self.rates.shape[0]), responses=self.responses)

    @classmethod
    def validate(
        cls, *, mid_changes: Any, responses: Any, weights: Any, rates: Any
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_real(ndim=1, mid_changes=mid_changes)
        check_real(ndim=2, responses=responses)
        check_nonnegative(ndim=1, weights=weights)
        check_nonnegative(ndim=1, rates=rates)

    @staticmethod
    def from_flow(
        mid_changes: ArrayLike,
        signed_volume: ArrayLike,
        weights: ArrayLike,
        interval: ArrayLike,
        rates: ArrayLike,
    ) -> "KernelWeights":
        """Filter signed volume once, so that the search need not.

        Args:
            mid_changes: shape (bars,), currency.
            signed_volume: bought less sold by those who demand liquidity, (bars,).
            weights: shape (bars,).
            interval: length of a bar, time, shape ().
            rates: shape (exponentials,), per time.
        """
        flow, rho = as_float(signed_volume), as_float(rates)
        lags = jnp.expm1(-rho * as_float(interval))
        responses = flow[:, None] + lags[None] * faded_flow(flow, lags)
        # To pyright a property in place of an abstract field is still a field.
        return KernelWeights(  # pyright: ignore[reportCallIssue]
            mid_changes=as_float(mid_changes),
            responses=responses,
            weights=as_float(weights),
            rates=rho,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Weights by number, in the order of the rates."""
        return tuple(f"weight_{i}" for i in range(1, self.rates.shape[-1] + 1))

    @property
    def units(self) -> tuple[str, ...]:
        """Of the weights."""
        return (_KERNEL_UNIT,) * self.rates.shape[-1]

    @property
    def domains(self) -> tuple[Domain, ...]:
        """All positive."""
        return ("positive",) * self.rates.shape[-1]

    def kernel(
        self, values: Float[Array, " exponentials"], times: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        """Return G at times of at least 0, currency per share."""
        return _mixture(values, self.rates, times)

    def predict(self, values: Float[Array, " exponentials"]) -> Float[Array, " bars"]:
        """Return what volume so far does to the mid in each bar, shape (bars,)."""
        return jnp.matmul(self.responses, values, precision="highest")

    def regressors(self) -> Float[Array, "bars exponentials"]:
        return self.responses

    def response(self) -> Float[Array, " bars"]:
        return self.mid_changes

    def scale(self) -> Float[Array, " exponentials"]:
        mean = self.responses.mean(axis=1)
        size = positive_slope(mean, self.mid_changes, self.weights)
        return jnp.broadcast_to(size, self.rates.shape)

    def starts(self) -> Float[Array, "1 exponentials"]:
        """Return the one optimum; weights of 0 as numbers too small to matter."""
        weighed = self.weights[:, None] * self.responses
        gram = jnp.matmul(weighed.T, self.responses, precision="highest")
        target = jnp.matmul(weighed.T, self.mid_changes, precision="highest")
        size = jnp.sqrt(jnp.diagonal(gram))
        size = jnp.where(size > 0, size, 1)
        sizes = nonnegative_solution(gram / size[:, None] / size[None], target / size)
        scale = self.scale()
        sizes = jnp.where(jnp.isfinite(sizes), sizes / size, scale / size.shape[0])
        return jnp.maximum(sizes, _NEGLIGIBLE * scale)[None]

    def is_admissible(self) -> Bool[Array, ""]:
        """Return whether there are more bars than numbers, and flow and price vary."""
        return (
            (self.weights.sum() > len(self.names))
            & jnp.isfinite(self.mid_changes + self.responses.sum(axis=1)).all()
            & (varies(self.responses[:, 0], self.weights) > 0)
            & (varies(self.mid_changes, self.weights) > 0)
        )


class ExponentialPropagator(AbstractPropagator):
    """G(t) = g + sum_i w_i exp(-rho_i t) with rates that are fitted too.

    One or two exponentials are as much as most data tell apart.

    Attributes:
        mid_changes: shape (bars,), currency.
        signed_volume: bought less sold by those who demand liquidity, shape (bars,).
        weights: how often each bar counts, 0 to leave it out, shape (bars,).
        interval: length of a bar, time, shape ().
        rates: rho_i > 0 to search from, per time, shape (exponentials,).
        has_permanent: whether g is fitted, else it is 0 (static).

    Raises:
        ValueError: if a number is inadmissible.
    """

    mid_changes: Float[Array, " bars"] = eqx.field(converter=as_float)
    signed_volume: Float[Array, " bars"] = eqx.field(converter=as_float)
    weights: Float[Array, " bars"] = eqx.field(converter=as_float)
    interval: Float[Array, ""] = eqx.field(converter=as_float)
    rates: Float[Array, " exponentials"] = eqx.field(converter=as_float)
    has_permanent: bool = eqx.field(static=True, default=True)

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        check_series(self)
        check_shape((None,), rates=self.rates)

    @classmethod
    def validate(cls, **numbers: Any) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_numbers(numbers)
        check_positive(ndim=1, rates=numbers["rates"])

    @property
    def names(self) -> tuple[str, ...]:
        """Permanent impact if it is fitted, then weights, then rates."""
        count = range(1, self.rates.shape[-1] + 1)
        permanent = ("permanent",) if self.has_permanent else ()
        weights = (f"weight_{i}" for i in count)
        return (*permanent, *weights, *(f"rate_{i}" for i in count))

    @property
    def units(self) -> tuple[str, ...]:
        """Of the numbers."""
        is_rate = (name.startswith("rate") for name in self.names)
        return tuple("1/time" if rate else _KERNEL_UNIT for rate in is_rate)

    @property
    def domains(self) -> tuple[Domain, ...]:
        """All positive."""
        return ("positive",) * len(self.names)

    def kernel(
        self, values: Float[Array, " parameters"], times: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        return _mixture(*self._split(values), times)

    def predict(self, values: Float[Array, " parameters"]) -> Float[Array, " bars"]:
        sizes, rates = self._split(values)
        lags = jnp.expm1(-rates * self.interval)
        faded = faded_flow(self.signed_volume, lags)
        return self.signed_volume * sizes.sum() + (faded * (lags * sizes)[None]).sum(1)

    def scale(self) -> Float[Array, " parameters"]:
        number = len(self.names) - self.rates.shape[0]
        sizes = jnp.broadcast_to(self.instant_impact(), (number,))
        return jnp.concatenate([sizes, self.rates])

    def starts(self) -> Float[Array, "3 parameters"]:
        """Return equal weights with the rates given, three times faster and slower."""
        number = len(self.names) - self.rates.shape[0]
        scale, dtype = self.scale(), self.rates.dtype
        shares = jnp.ones((3, number), dtype) / number
        factors = jnp.array([[1.0], [3.0], [1 / 3]], dtype)
        rates = factors * jnp.ones((1, self.rates.shape[0]), dtype)
        return jnp.concatenate([shares, rates], axis=1) * scale[None]

    def _split(self, values: Array) -> tuple[Array, Array]:
        """Return all weights and their rates, permanent impact at rate 0."""
        number = self.rates.shape[0]
        sizes, rates = values[:-number], values[-number:]
        if self.has_permanent:
            rates = jnp.concatenate([jnp.zeros(1, rates.dtype), rates])
        return sizes, rates


def geometric_rates(
    slowest: ArrayLike, fastest: ArrayLike, number: int, *, has_permanent: bool = True
) -> Float[Array, " exponentials"]:
    """Return rates with a constant factor between them, after a 0 for permanent impact.

    Args:
        slowest: greater than 0, per time.
        fastest: greater than `slowest`.
        number: of rates besides the 0 (static).
        has_permanent: whether to begin with the 0 (static).
    """
    check_positive(slowest=slowest)
    check_positive(fastest=fastest)
    ends = jnp.log(as_float(slowest)), jnp.log(as_float(fastest))
    rates = jnp.exp(jnp.linspace(*ends, number))
    zero = jnp.zeros(1 if has_permanent else 0, rates.dtype)
    return jnp.concatenate([zero, rates])


def faded_flow(
    flow: Float[Array, " bars"], lags: Float[Array, " exponentials"]
) -> Float[Array, "bars exponentials"]:
    """Return earlier bars' flow as far as it is still felt, one bar after the other.

    Args:
        flow: shape (bars,).
        lags: exp(-rho interval) - 1 of each rate, which keeps small ones exact.

    Returns:
        sum_(l >= 1) exp(-rho interval (l - 1)) q_(t - l), shape (bars, exponentials).
    """

    def step(felt: Array, new: Array) -> tuple[Array, Array]:
        return felt + lags * felt + new, felt

    return jax.lax.scan(step, jnp.zeros_like(lags), flow)[1]


def nonnegative_solution(
    matrix: Float[Array, "n n"], right: Float[Array, " n"]
) -> Float[Array, " n"]:
    """Return the x >= 0 for which x' matrix x / 2 - right' x is least.

    Pivots one number a step in or out, the last that has the wrong sign, which ends for
    every positive definite matrix (Murty 1974).

    Args:
        matrix: positive definite, with a diagonal of 1.
        right: of any sign.
    """
    number = right.shape[0]
    places = jnp.arange(number, dtype=jnp.int32)
    identity = jnp.eye(number, dtype=matrix.dtype)
    rounding = 64 * float(jnp.finfo(matrix.dtype).eps) * jnp.abs(right).max()

    def solved(is_in: Array) -> tuple[Array, Array]:
        both = is_in[:, None] & is_in[None]
        kept = jnp.where(both, matrix, identity)
        x = jnp.linalg.solve(kept, jnp.where(is_in, right, 0)[:, None])[:, 0]
        gain = right - jnp.matmul(matrix, x, precision="highest")
        return x, jnp.where(is_in, x < 0, gain > rounding)

    def pivot(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        is_in, is_wrong, count = state
        last = jnp.max(jnp.where(is_wrong, places, -1))
        is_in = is_in ^ (places == last)
        return is_in, solved(is_in)[1], count + 1

    def is_unfinished(state: tuple[Array, Array, Array]) -> Array:
        return state[1].any() & (state[2] < 2 ** min(number, 10))

    start = right > 0
    state = start, solved(start)[1], jnp.zeros((), jnp.int32)
    is_in, *_ = jax.lax.while_loop(is_unfinished, pivot, state)
    return jnp.maximum(solved(is_in)[0], 0)


def positive_slope(
    x: Float[Array, " bars"], y: Float[Array, " bars"], weights: Float[Array, " bars"]
) -> Float[Array, ""]:
    """Return the slope of y on x through the origin, or a small one above 0."""
    cross, squares = (weights * x * y).sum(), (weights * x**2).sum()
    least = 0.01 * jnp.sqrt((weights * y**2).sum() * squares)
    return jnp.maximum(cross, least) / jnp.where(squares > 0, squares, 1)


def check_series(problem: AbstractPropagator) -> None:
    """Check shapes of bars."""
    check_shape((None,), mid_changes=problem.mid_changes)
    check_shape(
        problem.mid_changes.shape,
        signed_volume=problem.signed_volume,
        weights=problem.weights,
    )
    check_shape((), interval=problem.interval)


def check_numbers(numbers: dict[str, Any]) -> None:
    """Check numbers of bars.

    Raises:
        ValueError: naming the first that is inadmissible.
    """
    check_real(ndim=1, mid_changes=numbers["mid_changes"])
    check_real(ndim=1, signed_volume=numbers["signed_volume"])
    check_nonnegative(ndim=1, weights=numbers["weights"])
    check_positive(interval=numbers["interval"])


def _mixture(sizes: Array, rates: Array, times: Array) -> Array:
    shares = jnp.exp(-jnp.tensordot(times, rates, axes=0))
    return jnp.matmul(shares, sizes, precision="highest")
