"""Impact of a market's order flow, from its events: what `gtrade calibrate` fits."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gtrade._checks import InadmissibleError, check_integer
from gtrade.calibration.bar_impact import BarImpact, BarRegression
from gtrade.calibration.bars import signed_bars
from gtrade.calibration.data import Events, Trades
from gtrade.calibration.fit import constrain
from gtrade.calibration.fitting import LeastSquares
from gtrade.calibration.linear import OrdinaryLeastSquares
from gtrade.calibration.linear_impact import LinearImpact
from gtrade.calibration.propagator import ExponentialPropagator
from gtrade.calibration.results import Calibration
from gtrade.calibration.tabulate import even_lengths, tabulate
from gtrade.problems.base import replace_fields

_MOST_POINTS = 5000


def impact(
    events: Events,
    *,
    window: float = 300.0,
    every: float | None = None,
    horizon: float | None = None,
    num_draws: int = 1000,
    seed: int = 0,
) -> Calibration:
    """Fit permanent and temporary impact of the market's net flow, hence kappa.

    Args:
        events: of one day, from `read_events`.
        window: length of the bars over which flow and prices are compared, s.
        every: also a fit to each period of this length, s.
        horizon: unit of time of the estimates, over which a position would be built,
            s; by default the whole span of bars.
        num_draws: draws of the fit to all of the data.
        seed: of the draws.
    """
    bars = signed_bars(events, window)
    flows, volumes, changes = (
        bars[name] for name in ("signed_volume", "volume", "price_change")
    )
    count, start = len(flows), float(bars["time"][0] - window)
    costs = _costs(events.executions(), bars["price"] - changes, start, window)
    horizon = count * window if horizon is None else horizon
    labels, weights = periods(count, window, start, every)
    (changes, costs), weights = without_gaps((changes, costs), weights)
    with jax.enable_x64(True):
        whole = BarImpact(
            mid_changes=changes,
            flows=flows,
            volumes=volumes,
            costs=costs,
            bar_length=window / horizon,
            weights=weights[0],
        )

        def solve(row: Any) -> Any:
            return BarRegression().solve(replace_fields(whole, weights=row))

        fits = jax.jit(jax.vmap(solve))(jnp.asarray(weights))
        units = dict(zip(BarImpact.names, BarImpact.units, strict=True)) | {"kappa": ""}
        thin = slice(None, None, max(1, count // _MOST_POINTS))
        with np.errstate(invalid="ignore", divide="ignore"):
            intensity, shortfall = flows**2 / volumes, costs / volumes
        return tabulate(
            "impact",
            fits,
            labels,
            units,
            derived={"kappa": lambda x: x[0] / x[1]},
            curves={
                "flow": flows[thin],
                "mid_change": changes[thin],
                "intensity": intensity[thin],
                "shortfall": shortfall[thin],
            },
            facts={
                "window": window,
                "every": every,
                "horizon": horizon,
                "num_executions": int(events.is_execution().sum()),
                **dropped(events),
            },
            num_draws=num_draws,
            seed=seed,
        )


def _costs(
    trades: Trades, opens: np.ndarray, start: float, window: float
) -> np.ndarray:
    """Return what takers paid in each bar beyond the mid at its start, currency."""
    index = np.floor((trades.time - start) / window)
    inside = (index >= 0) & (index < len(opens))
    place = index[inside].astype(np.int64)
    beyond = (trades.price[inside] - opens[place]) * trades.signed_size[inside]
    return np.bincount(place, beyond, minlength=len(opens))


def periods(
    count: int, window: float, start: float, every: float | None
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return labels and weights of fits to all bars, and to those of each period.

    Args:
        count: bars.
        window: their length, s.
        start: of the first, s.
        every: length of a period, s; None for none.

    Returns:
        Columns `period`, `start` and `end`; weights, shape (fits, bars).

    Raises:
        ValueError: if a period is not a whole number of bars.
    """
    ends = [(start, start + count * window)]
    weights = [np.ones(count)]
    if every is not None:
        number = every / window
        if number < 1 - 1e-9 or abs(number - round(number)) > 1e-6:
            raise InadmissibleError(
                "every", f"be a whole number of windows of {window:g} s", every
            )
        place = np.floor(np.arange(count) * window / every + 1e-9).astype(int)
        for period in range(place[-1] + 1 if count else 0):
            weights.append((place == period).astype(float))
            first = start + period * every
            ends.append((first, min(first + every, start + count * window)))
    first, last = np.array(ends).T
    names = ["all"] + [_clock(x) for x in first[1:]]
    labels = {"period": np.array(names), "start": first, "end": last}
    return labels, np.stack(weights)


def without_gaps(
    columns: tuple[np.ndarray, ...], weights: np.ndarray
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Return columns with 0 for what is unknown, and weights of 0 there."""
    is_known = np.isfinite(np.stack(columns)).all(axis=0)
    return tuple(np.where(is_known, x, 0) for x in columns), weights * is_known


def _clock(seconds: float) -> str:
    minutes, left = divmod(round(seconds), 60)
    text = f"{minutes // 60:02d}:{minutes % 60:02d}"
    return f"{text}:{left:02d}" if left else text


def price_impact(
    events: Events | Trades,
    *,
    window: float = 60.0,
    every: float | None = None,
    num_lags: int = 0,
    num_draws: int = 1000,
    seed: int = 0,
) -> Calibration:
    """Fit Kyle's lambda: price changes of bars on signed volume, robust errors.

    Args:
        events: of one day, or signed trades.
        window: length of the bars, s.
        every: also a fit to each period of this length, s.
        num_lags: neighbouring bars whose noise is correlated.
        num_draws: draws of the fit to all of the data.
        seed: of the draws.
    """
    bars = signed_bars(events, window)
    changes, flows = bars["price_change"], bars["signed_volume"]
    count, start = len(flows), float(bars["time"][0] - window)
    labels, weights = periods(count, window, start, every)
    (changes,), weights = without_gaps((changes,), weights)
    with jax.enable_x64(True):
        solver = OrdinaryLeastSquares(num_lags=num_lags)
        whole = LinearImpact(changes, flows, weights[0])

        def solve(row: Any) -> Any:
            return solver.solve(replace_fields(whole, weights=row))

        fits = jax.jit(jax.vmap(solve))(jnp.asarray(weights))
        found = tabulate(
            "price-impact",
            fits,
            labels,
            dict(zip(LinearImpact.names, LinearImpact.units, strict=True)),
            facts={"window": window, "every": every, "num_lags": num_lags}
            | dropped(events),
            num_draws=num_draws,
            seed=seed,
        )
    slope, low, high, level = (
        found.rows[name][0]
        for name in (
            "price_impact",
            "price_impact_low",
            "price_impact_high",
            "intercept",
        )
    )
    ends, mean = np.linspace(flows.min(), flows.max(), 40), flows.mean()
    middle = level + slope * mean
    thin = slice(None, None, max(1, count // _MOST_POINTS))
    curves = {
        "points_x": flows[thin],
        "points_y": changes[thin],
        "line_x": ends,
        "line": middle + slope * (ends - mean),
        "line_low": middle + np.minimum(low * (ends - mean), high * (ends - mean)),
        "line_high": middle + np.maximum(low * (ends - mean), high * (ends - mean)),
    }
    return with_curves(
        found,
        curves,
        x="net flow of takers in a bar (shares)",
        y="change of the price (currency)",
        title=f"A share bought moves the price by {slope:.3g}",
    )


def transient_impact(
    events: Events | Trades,
    *,
    window: float = 10.0,
    every: float | None = None,
    horizon: float | None = None,
    num_exponentials: int = 1,
    num_draws: int = 1000,
    seed: int = 0,
) -> Calibration:
    """Fit a kernel by which impact decays: G(t) = permanent + sum w_i exp(-rho_i t).

    What decays acts on slow trading as temporary impact sum w_i / rho_i, hence `kappa`
    is permanent impact times the horizon over that sum.

    Args:
        events: of one day, or signed trades.
        window: length of the bars, s.
        every: also a fit to each period of this length, s.
        horizon: over which a position would be built, s; by default the span of bars.
        num_exponentials: that decay, at least 1.
        num_draws: draws of the fit to all of the data.
        seed: of the draws.
    """
    check_integer(at_least=1, num_exponentials=num_exponentials)
    bars = signed_bars(events, window)
    changes, flows = bars["price_change"], bars["signed_volume"]
    count, start = len(flows), float(bars["time"][0] - window)
    horizon = count * window if horizon is None else horizon
    labels, weights = periods(count, window, start, every)
    (changes,), weights = without_gaps((changes,), weights)
    number = num_exponentials
    with jax.enable_x64(True):
        rates = np.geomspace(1 / (30 * window), 1 / (2 * window), number + 2)[1:-1]
        columns: dict[str, Any] = {
            "mid_changes": changes,
            "signed_volume": flows,
            "weights": weights[0],
            "interval": window,
            "rates": rates,
        }
        whole = ExponentialPropagator(**columns)
        fitter = LeastSquares()

        def solve(row: Any) -> Any:
            return fitter.solve(replace_fields(whole, weights=row))

        fits = jax.jit(jax.vmap(solve))(jnp.asarray(weights))

        def temporary(x: Any) -> Any:
            return (x[1 : number + 1] / x[number + 1 :]).sum()

        units = dict(zip(whole.names, ("price/share",) * (number + 1), strict=False))
        units |= {f"rate_{i}": "1/s" for i in range(1, number + 1)}
        found = tabulate(
            "transient-impact",
            fits,
            labels,
            units | {"temporary_impact": "price s/share", "kappa": ""},
            derived={
                "temporary_impact": temporary,
                "kappa": lambda x: x[0] * horizon / temporary(x),
            },
            facts={"window": window, "every": every, "horizon": horizon}
            | dropped(events),
            num_draws=num_draws,
            seed=seed,
        )
        slowest = min(found.rows[f"rate_{i + 1}"][0] for i in range(number))
        reach = min(horizon, 6 / slowest) if np.isfinite(slowest) else horizon
        times = np.linspace(0, reach, 200)
        curve, error = _curve(fits, lambda x: whole.kernel(x, jnp.asarray(times)))
        curves = {
            "line_x": times,
            "line": curve,
            "line_low": curve * np.exp(-1.96 * error),
            "line_high": curve * np.exp(1.96 * error),
        }
    stays = f"{100 * curve[-1] / curve[0]:.0f} % of a trade's impact stay"
    return with_curves(
        found,
        curves,
        x="time after a trade (s)",
        y="impact (price/share)",
        title=f"{stays} after {reach:.0f} s"
        if np.isfinite(curve).all()
        else "No kernel could be fitted",
    )


def _curve(fits: Any, function: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return a curve of the first fit, and the errors of its logarithm."""
    fit = jax.tree.map(lambda x: x[0], fits.value)
    ones = jnp.ones_like(fit.free)

    def logarithm(free: Any) -> Any:
        return jnp.log(function(constrain(free, fit.domains, ones)))

    slopes = jax.jit(jax.jacfwd(logarithm))(fit.free)
    variances = ((slopes @ fit.free_covariance) * slopes).sum(axis=1)
    curve = jax.jit(function)(fit.values)
    return np.asarray(curve), np.sqrt(np.asarray(variances))


def dropped(data: Any) -> dict[str, Any]:
    """Return what reading has left out."""
    return {"num_dropped_rows": data.num_dropped, "dropped": dict(data.dropped)}


def with_curves(
    found: Calibration, curves: Any, *, x: str, y: str, title: str
) -> Calibration:
    """Return a calibration with one panel of points and a line with its band."""
    axes = {"x": x, "y": y, "title": title}
    return dataclasses.replace(
        found, curves=even_lengths(curves), facts={**found.facts, "axes": axes}
    )
