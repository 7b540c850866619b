"""Made-up records with known numbers behind them: fills, daily counts, schedules.

They are drawn from the package's models: optimal execution, informed arrivals by day,
position building. The seed decides everything.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gtrade._checks import check, check_integer, check_nonnegative, check_positive
from gtrade.calibration.bars import CLOSE, OPEN
from gtrade.calibration.records import DailyCounts, Executions, Schedules
from gtrade.calibration.tables import Labels

DAY = CLOSE - OPEN  # seconds of trading


@dataclass(frozen=True)
class OrderFlow:
    """Parent orders worked in slices in the market of Almgren and Chriss.

    With v = n / tau, the rate of a slice of n shares over tau seconds, side s and the
    price S before it,

        fill = S + s (half_spread + temporary_impact v) + fill_noise zeta
        next S = S + s permanent_impact n + volatility sqrt(tau) xi.

    (Almgren and Chriss 2000, sections 1.2 and 1.3, for either side.)

    Attributes:
        permanent_impact: gamma, currency / share^2.
        temporary_impact: eta, currency seconds / share^2.
        half_spread: epsilon, currency.
        volatility: sigma, currency per square root of a second.
        fill_noise: standard deviation of what a fill is off by chance, currency.
        start_price: median arrival price, currency.
        market_rate: mean market volume, shares a second.
        participation: least and greatest share of the market's volume; each parent has
            its own, equally likely on a logarithmic scale.
        horizon: least and greatest duration of a parent, seconds, likewise.
    """

    permanent_impact: float = 2e-6
    temporary_impact: float = 0.06
    half_spread: float = 0.02
    volatility: float = 0.006
    fill_noise: float = 0.01
    start_price: float = 50.0
    market_rate: float = 200.0
    participation: tuple[float, float] = (0.005, 0.2)
    horizon: tuple[float, float] = (600.0, 7200.0)

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: naming the argument, the rule and the value.
        """
        for name in (
            "permanent_impact",
            "temporary_impact",
            "half_spread",
            "volatility",
            "fill_noise",
        ):
            check_nonnegative(**{name: getattr(self, name)})
        for name in ("start_price", "market_rate"):
            check_positive(**{name: getattr(self, name)})
        for name in ("participation", "horizon"):
            low, high = getattr(self, name)
            check_positive(**{f"{name}[0]": low})
            check(f"be at least {low}", lambda x, y=low: x >= y, **{f"{name}[1]": high})


def simulate_executions(
    flow: OrderFlow, num_parents: int, *, num_slices: int = 10, seed: int
) -> Executions:
    """Draw parent orders, half of them purchases, each in as many equal slices of time.

    Raises:
        ValueError: if fill prices fall to zero.
    """
    check_integer(num_parents=num_parents, at_least=1)
    check_integer(num_slices=num_slices, at_least=1)
    rng, shape = np.random.default_rng(seed), (num_parents, num_slices)

    def between(bounds: tuple[float, float]) -> np.ndarray:
        low, high = np.log(bounds)
        return np.exp(low + (high - low) * rng.random((num_parents, 1)))

    participation, horizon = between(flow.participation), between(flow.horizon)
    tau = horizon / num_slices
    side = rng.choice([-1, 1], (num_parents, 1))
    start = OPEN + (DAY - horizon).clip(min=0) * rng.random((num_parents, 1))
    traded = flow.market_rate * tau * rng.gamma(4.0, 0.25, shape)
    size = np.maximum(np.round(participation * traded), 1)
    arrival = flow.start_price * np.exp(0.02 * rng.standard_normal((num_parents, 1)))
    noise = flow.volatility * np.sqrt(tau) * rng.standard_normal(shape)
    moves = np.cumsum(noise + side * flow.permanent_impact * size, axis=1)
    before = arrival + np.concatenate([np.zeros((num_parents, 1)), moves[:, :-1]], 1)
    cost = flow.half_spread + flow.temporary_impact * size / tau
    own = flow.fill_noise * rng.standard_normal(shape)
    fill = before + side * cost + own
    if not fill.min() > 0:
        low = float(fill.min())
        raise ValueError(
            f"start_price must be higher for prices above 0; fills fall to {low:g}"
        )
    parents = np.arange(num_parents)
    names = tuple(f"P{i + 1}" for i in parents)

    def column(x: np.ndarray) -> np.ndarray:
        return np.broadcast_to(x, shape).ravel()

    return Executions(
        parent=Labels(np.repeat(parents, num_slices), names),
        time=column(start + tau * np.arange(1, num_slices + 1)),
        side=column(side),
        size=column(size),
        price=column(fill),
        arrival_price=column(arrival),
        market_volume=column(np.maximum(np.round(traded), size)),
        arrival_time=column(start),
    )


def simulate_counts(
    *,
    news_probability: Any,
    bad_probability: Any,
    buy_rate: Any,
    sell_rate: Any,
    informed_rate: Any,
    num_days: int,
    seed: int,
) -> DailyCounts:
    """Draw daily buys and sells with independent news (pin.py has the model).

    Args:
        news_probability: alpha, a number or one a stock.
        bad_probability: delta, that news is bad.
        buy_rate: uninformed buys a day.
        sell_rate: uninformed sells a day.
        informed_rate: mu, more sells on a day of bad news, more buys on one of good.
        num_days: of every stock.
        seed: of the generator.

    Raises:
        ValueError: for probabilities outside [0, 1] or rates below 0.
    """
    check_integer(num_days=num_days, at_least=1)
    numbers = {
        "news_probability": news_probability,
        "bad_probability": bad_probability,
        "buy_rate": buy_rate,
        "sell_rate": sell_rate,
        "informed_rate": informed_rate,
    }
    for name, value in numbers.items():
        subject: dict[str, Any] = {name: np.asarray(value)}
        check_nonnegative(**subject)
        if name.endswith("probability"):
            check("be at most 1", lambda x: x <= 1, **subject)
    columns = np.broadcast_arrays(*(np.atleast_1d(x) for x in numbers.values()))
    alpha, delta, buys, sells, informed = (x[:, None] for x in columns)
    shape = (len(alpha), num_days)
    rng = np.random.default_rng(seed)
    has_news, is_bad = rng.random(shape) < alpha, rng.random(shape) < delta
    more = informed * has_news
    stocks, days = np.indices(shape)
    return DailyCounts(
        day=Labels(days.ravel(), tuple(str(i + 1) for i in range(num_days))),
        stock=Labels(stocks.ravel(), tuple(f"S{i + 1}" for i in range(len(alpha)))),
        buys=rng.poisson(buys + more * ~is_bad).ravel(),
        sells=rng.poisson(sells + more * is_bad).ravel(),
    )


def simulate_schedules(
    game: Any,
    *,
    num_times: int = 65,
    num_days: int = 1,
    noise_std: float = 0.0,
    seed: int,
) -> Schedules:
    """Draw what is seen of firms that play an equilibrium of position building.

    Every day types are drawn from the prior, and each firm follows the path of its type
    (the spectral equilibrium). Positions are seen with independent errors, but for the
    start, where they are zero.

    Args:
        game: a `PositionBuilding` with a prior.
        num_times: equally spaced on [0, 1].
        num_days: on each the game is played anew.
        noise_std: of the errors, shares.
        seed: of the generator.

    Raises:
        ValueError: for a game that the spectral solver does not solve.
    """
    from gtrade.solution import raise_unless_converged
    from gtrade.solvers.spectral import Spectral
    from gtrade.solving import solve

    check_integer(num_days=num_days, at_least=1)
    check_nonnegative(noise_std=noise_std)
    solution = solve(game, Spectral(num_points=num_times))
    raise_unless_converged(solution)
    paths = np.asarray(solution.value.schedules, np.float64)
    rng = np.random.default_rng(seed)
    prior = np.asarray(game.prior, np.float64)
    profiles = rng.choice(len(prior), num_days, p=prior / prior.sum())
    types = np.stack(np.unravel_index(profiles, game.num_types), 1)
    first = np.concatenate([[0], np.cumsum(game.num_types)[:-1]])
    seen = paths[types + first]  # (days, firms, times)
    seen = seen + noise_std * rng.standard_normal(seen.shape)
    seen[..., 0] = 0
    days, firms, times = np.indices(seen.shape)
    return Schedules(
        day=Labels(days.ravel(), tuple(str(i + 1) for i in range(num_days))),
        firm=Labels(firms.ravel(), tuple(str(i + 1) for i in range(seen.shape[1]))),
        time=np.linspace(0.0, 1.0, num_times)[times.ravel()],
        position=seen.ravel(),
    )
