"""Impact of a market's order flow, from its events: what `gtrade calibrate` fits."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gtrade.calibration.bar_impact import BarImpact, BarRegression
from gtrade.calibration.bars import signed_bars
from gtrade.calibration.data import Events, Trades
from gtrade.calibration.results import Calibration
from gtrade.calibration.tabulate import tabulate
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
                "num_dropped_rows": events.num_dropped,
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
        ValueError: if a period holds no whole bar.
    """
    ends = [(start, start + count * window)]
    weights = [np.ones(count)]
    if every is not None:
        if every < window:
            raise ValueError(
                f"every must be at least window, {window:g} s; got {every:g}"
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


def _clock(seconds: float) -> str:
    minutes, left = divmod(round(seconds), 60)
    text = f"{minutes // 60:02d}:{minutes % 60:02d}"
    return f"{text}:{left:02d}" if left else text
