"""Fits to fills, daily counts and observed schedules: for `gtrade calibrate`."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from gtrade._checks import InadmissibleError
from gtrade.calibration.execution_fit import FilledExecution, stack_parents
from gtrade.calibration.fit import Domain, Fit
from gtrade.calibration.fitting import LeastSquares, MaximumLikelihood
from gtrade.calibration.from_events import dropped, with_curves
from gtrade.calibration.inverse_equilibrium import InverseEquilibrium
from gtrade.calibration.pin_fit import PinDays, PinLikelihood
from gtrade.calibration.records import DailyCounts, Executions, Schedules
from gtrade.calibration.results import Calibration
from gtrade.calibration.tabulate import tabulate
from gtrade.solution import Solution

_MOST_POINTS = 5000


def execution(
    fills: Executions,
    *,
    horizon: float | None = None,
    num_draws: int = 1000,
    seed: int = 0,
) -> Calibration:
    """Fit Almgren and Chriss's numbers to parent orders, by maximum likelihood.

    Args:
        fills: of parent orders, their arrival times known.
        horizon: unit of time of the estimates, s; kappa is for a game that long. By
            default the median duration of the orders.
        num_draws: draws of the estimates.
        seed: of the draws.

    Raises:
        ValueError: if an arrival time is unknown.
    """
    duration = fills.duration
    if np.isnan(duration).any():
        raise InadmissibleError("arrival_time", "be given, for every parent", "unknown")
    if (duration <= 0).any():
        row = int(np.argmax(duration <= 0))
        rule = f"increase from fill to fill of {fills.parent[row]}"
        raise InadmissibleError("time", rule, fills.time[row])
    if horizon is None:
        horizon = float(np.median(np.bincount(fills.parent.codes, duration)))
    stacked = stack_parents(
        fills.parent.codes,
        sizes=-fills.side.astype(np.float64) * fills.size,
        fills=fills.price,
        intervals=duration / horizon,
        arrivals=fills.arrival_price,
    )
    with jax.enable_x64(True):
        num_parents = len(stacked["parents"])
        problem = FilledExecution(
            sizes=stacked["sizes"],
            fills=stacked["fills"],
            arrival_prices=stacked["arrivals"][:, 0],
            intervals=stacked["intervals"],
            noise_scales=np.ones(num_parents),
            weights=np.ones(num_parents),
        )
        # An order is one observation: scores of a few would make errors too small.
        fitter = MaximumLikelihood(errors="hessian")
        solution = one_more_axis(eqx.filter_jit(fitter.solve)(problem))
        fits = eqx.tree_at(
            lambda x: x.value,
            solution,
            in_logs(solution.value, ("permanent_impact", "temporary_impact")),
        )
        units = {
            "permanent_impact": "price/share",
            "temporary_impact": "price horizon/share",
            "fixed_cost": "price",
            "volatility": "price/sqrt(horizon)",
            "fill_noise": "price",
        }
        found = tabulate(
            "execution",
            fits,
            {"data": ["all"]},
            units | {"kappa": ""},
            derived={"kappa": lambda x: x[0] / x[1]},
            facts={"horizon": horizon, "num_parents": num_parents} | dropped(fills),
            num_draws=num_draws,
            seed=seed,
        )
    rates = fills.size / (duration / horizon)
    costs = fills.side * (fills.price - fills.arrival_price)
    is_first = np.zeros(len(rates), bool)
    is_first[np.unique(fills.parent.codes, return_index=True)[1]] = True
    rates, costs = rates[is_first], costs[is_first]
    ends = np.linspace(0, rates.max(), 40)
    level = found.rows["fixed_cost"][0]
    slope, low, high = (
        found.rows[f"temporary_impact{end}"][0] for end in ("", "_low", "_high")
    )
    return with_curves(
        found,
        {
            "points_x": rates[:_MOST_POINTS],
            "points_y": costs[:_MOST_POINTS],
            "line_x": ends,
            "line": level + slope * ends,
            "line_low": level + low * ends,
            "line_high": level + high * ends,
        },
        x="rate of the first fill (shares/horizon)",
        y="paid beyond the arrival price (price)",
        title=f"Temporary impact is {slope:.3g}; orders' first fills",
    )


def pin(counts: DailyCounts, *, num_draws: int = 1000, seed: int = 0) -> Calibration:
    """Fit the daily model of informed trading, a fit a stock, and PIN.

    Args:
        counts: buys and sells by stock and day.
        num_draws: draws of the first stock's estimates.
        seed: of the draws.
    """
    columns = counts.padded()
    with jax.enable_x64(True):
        problems = jax.vmap(PinDays)(
            *(columns[k] for k in ("buys", "sells", "weights"))
        )
        solution = eqx.filter_jit(eqx.filter_vmap(PinLikelihood().solve))(problems)
        fits = Solution(
            solution.value.fit, solution.status, solution.residual, solution.num_steps
        )
        units = dict(zip(PinDays.names, PinDays.units, strict=True))
        found = tabulate(
            "pin",
            fits,
            {"stock": list(counts.stock.names)},
            {name: "" if unit == "1" else unit for name, unit in units.items()}
            | {"pin": ""},
            derived={"pin": _pin},
            facts={"num_days": len(counts)} | dropped(counts),
            num_draws=num_draws,
            seed=seed,
        )
        # Known at the bounds of alpha too, and never above 1.
        ends = np.asarray(solution.value.pin_interval())
    found.rows["pin"][:] = solution.value.pin
    found.rows["pin_se"][:] = solution.value.pin_standard_error
    found.rows["pin_low"][:], found.rows["pin_high"][:] = ends[:, 0], ends[:, 1]
    is_first = counts.stock.codes == 0
    informed, buys, sells = (
        found.rows[name][0] for name in ("informed_rate", "buy_rate", "sell_rate")
    )
    return with_curves(
        found,
        {
            "points_x": counts.buys[is_first],
            "points_y": counts.sells[is_first],
            "centres_x": [buys, buys + informed, buys],
            "centres_y": [sells, sells, sells + informed],
        },
        x="buys a day",
        y="sells a day",
        title=f"PIN of {counts.stock.names[0]} is {found.rows['pin'][0]:.3f}:"
        " days without news, with good news, with bad",
    )


def schedules(
    observed: Schedules, *, num_draws: int = 1000, seed: int = 0
) -> Calibration:
    """Fit kappa and every firm's target to observed schedules, a fit a day.

    Args:
        observed: positions of all firms at the same times, from the start of the game
            to its end; times are scaled to [0, 1].
        num_draws: draws of the first day's estimates.
        seed: of the draws.

    Raises:
        ValueError: if the firms of a day, or its times, are not those of the first.
    """
    days: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    for day, firm, times, positions in observed.paths():
        days.setdefault(day, {})[firm] = (times, positions)
    first = next(iter(days.values()))
    firms = list(first)
    clock = next(iter(first.values()))[0]
    if len(clock) < 2:
        raise InadmissibleError("time", "be two at least, start and end", clock)
    ends, span = clock[[0, -1]], clock[-1] - clock[0]
    for day, paths in days.items():
        if list(paths) != firms:
            raise InadmissibleError(
                "firm", f"be those of the first day on {day}", paths
            )
        for firm, (times, _) in paths.items():
            is_same = len(times) == len(clock)
            if not is_same or np.abs(times - clock).max() > 1e-6 * span:
                rule = f"be those of the first firm and day for {firm} on {day}"
                raise InadmissibleError("time", rule, times[:5])
    table = np.array([[path for _, path in x.values()] for x in days.values()])
    times = (clock - ends[0]) / span
    with jax.enable_x64(True):

        def solve(positions: Any) -> Any:
            # Scores of few observations would make errors too small.
            fitter = LeastSquares(errors="hessian")
            return fitter.solve(InverseEquilibrium(positions, times))

        fits = jax.jit(jax.vmap(solve))(jnp.asarray(table))
        problem = InverseEquilibrium(table[0], times)
        units = dict(zip(problem.names, problem.units, strict=True))
        found = tabulate(
            "schedules",
            fits,
            {"day": list(days)},
            {name: "" if unit == "1" else unit for name, unit in units.items()},
            facts={"firms": firms} | dropped(observed),
            num_draws=num_draws,
            seed=seed,
        )
        left = eqx.filter_jit(problem.residuals)(fits.value.values[0])
        path = table[0] - np.asarray(left).reshape(table[0].shape)
    kappa, low, high = (found.rows[f"kappa{end}"][0] for end in ("", "_low", "_high"))
    gap = np.full((len(firms), 1), np.nan)
    return with_curves(
        found,
        {
            "points_x": np.tile(times, len(firms)),
            "points_y": table[0].ravel(),
            "line_x": np.tile(np.append(times, np.nan), len(firms)),
            "line": np.concatenate([path, gap], axis=1).ravel(),
        },
        x="time (horizon)",
        y="position (shares)",
        title=f"Schedules of {next(iter(days))} are an equilibrium with kappa"
        f" {kappa:.3g} ({low:.2g} to {high:.2g})",
    )


def _pin(values: Any) -> Any:
    informed = values[0] * values[4]
    return informed / (informed + values[2] + values[3])


def one_more_axis(tree: Any) -> Any:
    """Return a batch of one."""
    return jax.tree.map(lambda x: x[None] if eqx.is_array(x) else x, tree)


def in_logs(fit: Fit, names: Sequence[str]) -> Fit:
    """Return a batch of one fit with intervals and draws of some numbers above zero.

    A number estimated at or below zero keeps its estimate and is at its bound.
    """
    values = fit.values
    place = np.array([name in names for name in fit.names])
    chosen = jnp.broadcast_to(jnp.asarray(place), values.shape)
    is_positive, is_below = chosen & (values > 0), chosen & (values <= 0)
    safe = jnp.where(is_positive, values, 1)
    slope = jnp.where(is_below, 0, jnp.where(is_positive, 1 / safe, 1))
    domains: tuple[Domain, ...] = tuple(
        "positive" if x else domain
        for x, domain in zip(place, fit.domains, strict=True)
    )
    return Fit(
        values=values,
        covariance=jnp.where(
            is_below[..., :, None] | is_below[..., None, :], jnp.nan, fit.covariance
        ),
        free=jnp.where(is_positive, jnp.log(safe), jnp.where(is_below, 0, fit.free)),
        free_covariance=fit.free_covariance * slope[..., :, None] * slope[..., None, :],
        log_likelihood=fit.log_likelihood,
        r_squared=fit.r_squared,
        is_at_bound=fit.is_at_bound | is_below,
        is_identified=fit.is_identified,
        rank=fit.rank,
        condition=fit.condition,
        num_starts=fit.num_starts,
        num_agreeing=fit.num_agreeing,
        num_observations=fit.num_observations,
        num_dropped=fit.num_dropped,
        names=fit.names,
        domains=domains,
    )
