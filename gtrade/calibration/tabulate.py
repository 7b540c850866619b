"""Fits as the rows, draws and curves of a `Calibration`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gtrade.calibration.fit import Fit, constrain, draws
from gtrade.calibration.results import Calibration
from gtrade.solution import Solution, is_success, status_names

_Z = 1.959963984540054

Derived = Callable[[Float[Array, " parameters"]], Float[Array, ""]]


def tabulate(
    model: str,
    fits: Solution[Fit],
    labels: Mapping[str, Sequence[Any] | np.ndarray],
    units: Mapping[str, str],
    *,
    derived: Mapping[str, Derived] | None = None,
    curves: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
    num_draws: int = 1000,
    seed: int = 0,
) -> Calibration:
    """Return the table of a batch of fits, and draws of the first.

    Args:
        model: name of the calibration.
        fits: a batch with one leading axis; the first is the fit to all of the data.
        labels: columns that say what each fit is of.
        units: of the numbers and of those derived, in the order shown.
        derived: further numbers, each a positive function of the numbers of one fit;
            their errors and intervals come from derivatives of its logarithm.
        curves: columns of unequal lengths for figures.
        facts: of data and options.
        num_draws: rows of draws.
        seed: of the draws.
    """
    fit = fits.value
    names, derived = fit.names, dict(derived or {})
    size = np.shape(fit.values)[0]
    found: dict[str, np.ndarray] = {}
    ends, errors = map(np.asarray, _spreads(fit))
    for i, name in enumerate(names):
        found[name] = np.asarray(fit.values)[:, i]
        found[f"{name}_se"] = errors[:, i]
        found[f"{name}_low"] = ends[:, 0, i]
        found[f"{name}_high"] = ends[:, 1, i]
    for name, function in derived.items():
        value, error = _derive(fit, function)
        found[name], found[f"{name}_se"] = value, value * error
        found[f"{name}_low"] = value * np.exp(-_Z * error)
        found[f"{name}_high"] = value * np.exp(_Z * error)
    shown = [f"{name}{end}" for name in units for end in ("", "_se", "_low", "_high")]
    rows: dict[str, np.ndarray] = {key: _column(x) for key, x in labels.items()}
    rows["status"] = status_names(fits.status).reshape(size)
    rows |= {name: found[name].astype(np.float64) for name in shown}
    rows |= _diagnostics(fits)
    drawn = _draws(fit, derived, num_draws, seed)
    return Calibration(
        model,
        rows,
        dict(units),
        {name: drawn[name] for name in units if name in drawn},
        even_lengths(curves or {}),
        dict(facts or {}),
    )


@jax.jit
def _spreads(fit: Fit) -> tuple[Array, Array]:
    return jax.vmap(Fit.interval)(fit), fit.standard_error


def even_lengths(curves: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return columns of one length, NaN where a curve has ended."""
    arrays = {name: np.asarray(x, np.float64).ravel() for name, x in curves.items()}
    longest = max((len(x) for x in arrays.values()), default=0)
    return {
        name: np.concatenate([x, np.full(longest - len(x), np.nan)])
        for name, x in arrays.items()
    }


def _derive(fit: Fit, function: Derived) -> tuple[np.ndarray, np.ndarray]:
    """Return a derived number and the standard error of its logarithm, for each fit."""

    def one(fit: Fit) -> tuple[Array, Array]:
        ones = jnp.ones_like(fit.free)
        value = function(fit.values)
        logarithm = jax.grad(
            lambda x: jnp.log(function(constrain(x, fit.domains, ones)))
        )
        slope = logarithm(fit.free)
        variance = slope @ fit.free_covariance @ slope
        depends = slope != 0
        is_open = (depends & (fit.is_at_bound | ~fit.is_identified)).any()
        is_open |= ~(value > 0)
        blank = jnp.where(is_open, jnp.nan, 1.0)
        return value * blank, jnp.sqrt(variance) * blank

    value, error = jax.jit(jax.vmap(one))(fit)
    return np.asarray(value, np.float64), np.asarray(error, np.float64)


def _diagnostics(fits: Solution[Fit]) -> dict[str, np.ndarray]:
    fit, is_answered = fits.value, is_success(fits.status)[:, None]
    is_at_bound = np.asarray(fit.is_at_bound) & is_answered
    is_open = ~np.asarray(fit.is_identified) & ~is_at_bound & is_answered

    def words(flags: Any) -> np.ndarray:
        return np.array(
            [
                ", ".join(name for name, x in zip(fit.names, row, strict=True) if x)
                for row in np.asarray(flags)
            ],
            dtype=object,
        ).astype(str)

    return {
        "log_likelihood": np.asarray(fit.log_likelihood, np.float64),
        "r_squared": np.asarray(fit.r_squared, np.float64),
        "num_observations": np.asarray(fit.num_observations, np.int64),
        "num_dropped": np.asarray(fit.num_dropped, np.int64),
        "num_starts": np.asarray(fit.num_starts, np.int64),
        "num_agreeing": np.asarray(fit.num_agreeing, np.int64),
        "rank": np.asarray(fit.rank, np.int64),
        "at_bound": words(is_at_bound),
        "not_identified": words(is_open),
    }


_drawn = jax.jit(draws, static_argnums=2)


def _draws(
    fit: Fit, derived: Mapping[str, Derived], num_draws: int, seed: int
) -> dict[str, np.ndarray]:
    """Return draws of the first fit's numbers; none of a number without an error."""
    first = jax.tree.map(lambda x: x[0], fit)
    if not np.isfinite(np.asarray(first.values)).all():
        return {}
    drawn = _drawn(first, jax.random.key(seed), num_draws)
    found = {
        name: np.asarray(drawn[:, i], np.float64)
        for i, name in enumerate(first.names)
        if not (first.is_at_bound[i] | ~first.is_identified[i])
    }
    for name, function in derived.items():
        value, _ = _derive(jax.tree.map(lambda x: x[:1], fit), function)
        if np.isfinite(value[0]):
            found[name] = np.asarray(jax.jit(jax.vmap(function))(drawn), np.float64)
    return found


def _column(x: Any) -> np.ndarray:
    array = np.asarray(x)
    return array.astype(str) if array.dtype.kind in "OU" else array
