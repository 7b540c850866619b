"""Liquidating several assets at once: cost against risk, with hedging between them."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gtrade._arrays import as_float, as_optional_float
from gtrade._checks import (
    InadmissibleError,
    check,
    check_integer,
    check_nonnegative,
    check_positive,
    check_real,
    check_shape,
    check_static,
)
from gtrade.numerics.precision import product
from gtrade.problems.base import AbstractProblem, replace_fields

_NUMBERS = ("horizon", "risk_aversion", "confidence")
MATRICES = ("covariance", "permanent_impact", "temporary_impact")

# What rounding may leave of symmetry, and of an eigenvalue of zero in every asset.
_ROUNDING = 1e-6


class AlmgrenChrissPortfolio(AbstractProblem):
    """Sell holdings in several assets within a horizon, in periods of equal length.

    With holdings x_0 = shares, ..., x_N = 0, sales n_k = x_{k-1} - x_k in a period of
    length tau, and prices S in a vector, sales in period k are filled at

        S_{k-1} - fixed_cost * sign(n_k) - H n_k / tau,
        S_k = S_{k-1} + noise of covariance tau C - G n_k,

    with C the covariance, G the permanent and H the temporary impact. What selling
    costs against the first prices is normal, with mean and variance (Almgren & Chriss
    2001, appendix A)

        E = X' G X / 2 + fixed_cost' sum_k |n_k| + sum_k n_k' (H - tau G / 2) n_k / tau,
        V = tau sum_k x_k' C x_k.

    The trades that are looked for make E + risk_aversion V, without the fixed cost,
    least. An asset may be bought on the way to hedge what others still hold.

    Attributes:
        shares: X, to sell of each asset (negative: to buy), shares, shape (assets,).
        horizon: T > 0, time, shape ().
        num_periods: N, at least 1 (static).
        covariance: C, of prices per unit of time, currency^2 / time, symmetric and
            positive semidefinite, shape (assets, assets).
        permanent_impact: G, currency / share^2, symmetric: what is antisymmetric lets a
            round trip earn money. Shape (assets, assets).
        temporary_impact: H, currency time / share^2, symmetric; H - tau G / 2 positive
            definite. Shape (assets, assets).
        fixed_cost: half a spread and fees, currency / share, at least 0, shape
            (assets,); None: zeros.
        risk_aversion: 1 / currency, at least 0, shape ().
        confidence: of value at risk and conditional value at risk, between 0 and 1,
            shape ().

    Raises:
        ValueError: if a number is inadmissible.
    """

    shares: Float[Array, " assets"] = eqx.field(converter=as_float)
    horizon: Float[Array, ""] = eqx.field(converter=as_float)
    num_periods: int = eqx.field(static=True)
    covariance: Float[Array, "assets assets"] = eqx.field(converter=as_float)
    permanent_impact: Float[Array, "assets assets"] = eqx.field(converter=as_float)
    temporary_impact: Float[Array, "assets assets"] = eqx.field(converter=as_float)
    fixed_cost: Float[Array, " assets"] | None = eqx.field(
        converter=as_optional_float, default=None
    )
    risk_aversion: Float[Array, ""] = eqx.field(converter=as_float, default=0.0)
    confidence: Float[Array, ""] = eqx.field(converter=as_float, default=0.95)

    def __check_init__(self) -> None:
        """Check shapes, under tracing too."""
        check_shape((None,), shares=self.shares)
        size = self.shares.shape[0]
        check_shape((size, size), **{name: getattr(self, name) for name in MATRICES})
        check_shape((size,), fixed_cost=self.fixed_cost)
        check_shape((), **{name: getattr(self, name) for name in _NUMBERS})

    @classmethod
    def validate(
        cls,
        *,
        shares: Any,
        horizon: Any,
        num_periods: Any,
        covariance: Any,
        permanent_impact: Any,
        temporary_impact: Any,
        fixed_cost: Any = None,
        risk_aversion: Any = 0.0,
        confidence: Any = 0.95,
    ) -> None:
        """Raise ValueError for inadmissible numbers; takes scalars or columns."""
        check_static(num_periods=num_periods)
        check_integer(num_periods=num_periods, at_least=1)
        if np.ndim(shares) < 1 or np.shape(shares)[-1] < 1:
            raise InadmissibleError("shares", "name at least one asset", shares)
        check_real(ndim=1, shares=shares)
        check_positive(horizon=horizon)
        check_nonnegative(risk_aversion=risk_aversion)
        check_real(confidence=confidence)
        check("be between 0 and 1", lambda p: (p > 0) & (p < 1), confidence=confidence)
        size = np.shape(shares)[-1]
        if fixed_cost is not None:
            if np.shape(fixed_cost)[-1:] != (size,):
                rule = f"hold a number for each of {size} assets"
                raise InadmissibleError("fixed_cost", rule, fixed_cost)
            check_nonnegative(ndim=1, fixed_cost=fixed_cost)
        given = (covariance, permanent_impact, temporary_impact)
        matrices = [
            _checked_matrix(name, value, size)
            for name, value in zip(MATRICES, given, strict=True)
        ]
        _check_spectra(np.asarray(horizon, float) / num_periods, *matrices)

    @property
    def num_assets(self) -> int:
        """Number of assets d."""
        return self.shares.shape[-1]

    @property
    def period_length(self) -> Float[Array, ""]:
        """Length tau of a period, time, shape ()."""
        return self.horizon / self.num_periods

    @property
    def fixed_costs(self) -> Float[Array, " assets"]:
        """Fixed cost of each asset, zeros if none was given, shape (assets,)."""
        if self.fixed_cost is None:
            return jnp.zeros_like(self.shares)
        return self.fixed_cost

    @property
    def net_impact(self) -> Float[Array, "assets assets"]:
        """H - tau G / 2: temporary impact, net of permanent impact paid once less."""
        return self.temporary_impact - self.period_length * self.permanent_impact / 2

    def admitted(self) -> tuple["AlmgrenChrissPortfolio", Bool[Array, ""]]:
        """Return an instance that can be computed with, and whether it is this one.

        Its matrices are symmetric to the last bit.
        """
        one = jnp.eye(self.num_assets, dtype=self.shares.dtype)
        precision = jnp.finfo(one.dtype).eps
        nearly_zero = self.num_assets * max(_ROUNDING, 10 * float(precision))
        symmetric = {n: _symmetric(getattr(self, n)) for n in MATRICES}
        changed = replace_fields(self, **symmetric)
        net, _ = _scaled(changed.net_impact)
        covariance, _ = _scaled(changed.covariance)
        is_valid = (
            jnp.isfinite(self.shares).all()
            & (self.horizon > 0)
            & jnp.isfinite(self.horizon)
            & (self.risk_aversion >= 0)
            & jnp.isfinite(self.risk_aversion)
            & (self.confidence > 0)
            & (self.confidence < 1)
            & (self.fixed_costs >= 0).all()
            & jnp.isfinite(self.fixed_costs).all()
            & (jnp.diagonal(changed.net_impact) > 0).all()
            & (jnp.diagonal(changed.covariance) >= 0).all()
            & _is_definite(net)
            & _is_definite(covariance + nearly_zero * one)
        )
        for name in MATRICES:
            is_valid &= _is_symmetric(getattr(self, name))
        safe = {name: getattr(self, name) for name in ("shares", *_NUMBERS)} | symmetric
        if self.fixed_cost is not None:
            safe["fixed_cost"] = self.fixed_cost
        harmless = dict.fromkeys(MATRICES, one) | {"confidence": 0.5}
        safe = {
            name: jnp.where(is_valid, value, harmless.get(name, 1))
            for name, value in safe.items()
        }
        return replace_fields(self, **safe), is_valid

    def holdings(
        self, trades: Float[Array, "periods assets"]
    ) -> Float[Array, "points assets"]:
        """Return what is left before, between and after the periods.

        Summed from the end, where little is left: the last is 0, the first what all
        trades sum to.
        """
        left = jnp.cumsum(trades[::-1], axis=0)[::-1]
        return jnp.concatenate([left, jnp.zeros_like(trades[:1])])

    def expected_cost(self, trades: Float[Array, "periods assets"]) -> Float[Array, ""]:
        """Return E of sales that add up to the shares, currency, shape ()."""
        return self.impact_cost(trades) + self.paid_fixed_cost(trades)

    def impact_cost(self, trades: Float[Array, "periods assets"]) -> Float[Array, ""]:
        """Return E without the fixed cost, currency, shape ()."""
        lasting = (product(self.permanent_impact, self.shares) * self.shares).sum() / 2
        passing = (product(trades, self.net_impact) * trades).sum() / self.period_length
        return lasting + passing

    def paid_fixed_cost(
        self, trades: Float[Array, "periods assets"]
    ) -> Float[Array, ""]:
        """Return the fixed cost of all sales and purchases, currency, shape ()."""
        return (jnp.abs(trades).sum(axis=0) * self.fixed_costs).sum()

    def variance(self, trades: Float[Array, "periods assets"]) -> Float[Array, ""]:
        """Return V, currency^2, shape ()."""
        held = self.holdings(trades)[1:]
        return self.period_length * (product(held, self.covariance) * held).sum()

    def objective(self, trades: Float[Array, "periods assets"]) -> Float[Array, ""]:
        """Return E + risk_aversion V, fixed cost included, currency, shape ()."""
        return self.expected_cost(trades) + self.risk_aversion * self.variance(trades)

    @property
    def even_trades(self) -> Float[Array, "periods assets"]:
        """The same trades in every period."""
        return jnp.broadcast_to(
            self.shares[None] / self.num_periods, (self.num_periods, self.num_assets)
        )

    @property
    def immediate_trades(self) -> Float[Array, "periods assets"]:
        """All shares in the first period."""
        first = jnp.arange(self.num_periods) == 0
        return jnp.where(first[:, None], self.shares[None], 0)


class PortfolioSchedule(eqx.Module):
    """How the assets are sold.

    Attributes:
        trades: sales n_k = x_{k-1} - x_k, negative: purchases, shape (periods, assets).
        holdings: x_0 = shares, ..., x_N = 0, shape (points, assets).
        decay_rates: kappa >= 0 of the portfolios that are sold independently of each
            other, each along sinh(kappa (T - t)), ascending, 1 / time, shape (assets,).
    """

    trades: Float[Array, "periods assets"]
    holdings: Float[Array, "points assets"]
    decay_rates: Float[Array, " assets"]


def _symmetric(matrix: Float[Array, "n n"]) -> Float[Array, "n n"]:
    return (matrix + matrix.T) / 2


def _is_symmetric(matrix: Float[Array, "n n"]) -> Bool[Array, ""]:
    return (jnp.abs(matrix - matrix.T) <= _ROUNDING * jnp.abs(matrix).max()).all()


def _is_definite(matrix: Float[Array, "n n"]) -> Bool[Array, ""]:
    return jnp.isfinite(jnp.linalg.cholesky(matrix)).all()


def _scaled(matrix: Any) -> tuple[Any, Any]:
    """Scale a unit diagonal into matrices; zeros on it stay. NumPy or jax."""
    space = np if isinstance(matrix, np.ndarray) else jnp
    diagonal = space.diagonal(matrix, axis1=-2, axis2=-1)
    root = space.sqrt(space.where(diagonal > 0, diagonal, 1))
    return matrix / root[..., :, None] / root[..., None, :], root


def _checked_matrix(name: str, value: Any, size: int) -> np.ndarray:
    """Return a matrix, or a column of them, that is real, square and symmetric."""
    if np.shape(value)[-2:] != (size, size) or np.ndim(value) > 3:
        rule = f"have a row and a column for each of {size} assets"
        raise InadmissibleError(name, rule, value)
    check_real(ndim=2, **{name: value})
    matrix = np.asarray(value, np.float64)
    turned = np.swapaxes(matrix, -1, -2)
    largest = np.abs(matrix).max(axis=(-2, -1), keepdims=True)
    bad = np.abs(matrix - turned) > _ROUNDING * largest
    if bad.any():
        *_, i, j = first = tuple(int(k) for k in np.argwhere(bad)[0])
        rule = f"equal {name}[{j}][{i}] = {turned[first]:g}"
        if name == "permanent_impact":
            rule += ", or a round trip could earn money by moving prices"
        rows = np.flatnonzero(bad[..., i, j]).tolist() if matrix.ndim == 3 else None
        raise InadmissibleError(
            f"{name}[{i}][{j}]", rule, float(matrix[first]), rows, len(matrix)
        )
    return (matrix + turned) / 2


def _check_spectra(
    period: np.ndarray, covariance: np.ndarray, lasting: np.ndarray, passing: np.ndarray
) -> None:
    """Check eigenvalues, with diagonals scaled to 1; the message has the least."""
    least = _least_eigenvalue(covariance)
    _raise_where(
        least < -_ROUNDING * covariance.shape[-1],
        "covariance",
        "be positive semidefinite: no portfolio has a negative variance; least"
        " eigenvalue of the correlations",
        least,
    )
    least = _least_eigenvalue(passing - period[..., None, None] * lasting / 2)
    _raise_where(
        ~(least > 0),
        "temporary_impact",
        "exceed permanent_impact times half a period for every portfolio; least"
        " eigenvalue of the difference, diagonal scaled to 1",
        least,
    )


def _least_eigenvalue(matrix: np.ndarray) -> np.ndarray:
    return np.linalg.eigvalsh(_scaled(matrix)[0])[..., 0]


def _raise_where(bad: np.ndarray, name: str, rule: str, least: np.ndarray) -> None:
    if not bad.any():
        return
    if not bad.ndim:
        raise InadmissibleError(name, rule, float(least))
    rows = np.flatnonzero(bad)
    raise InadmissibleError(name, rule, float(least[rows[0]]), rows.tolist(), len(bad))
