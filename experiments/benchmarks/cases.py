"""What is measured: for every solver a family of games, and how these grow.

A case draws as many random games as asked for, of any size; equal wishes give equal
games.
Its standard size is the one at which batches are compared; `growth` says along which
sizes cost is measured, one of them at a time.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

Numbers = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Case:
    """One solver on one family of games.

    Attributes:
        model: name in the catalog.
        solver: name in the catalog.
        draw: from a generator, a number of games and sizes by name, the arguments of
            the model's class: columns have a leading axis of games.
        sizes: sizes of the standard game; those named in `solver_sizes` are arguments
            of the solver.
        growth: for some sizes, the values at which cost is measured.
        numbers: further arguments of the solver.
        solver_sizes: names in `sizes` that the solver takes.
        answer: what of a solution is compared with the baseline's answer, a path of
            attributes; None where answers are random or not unique.
        most: games of the largest batch.
        variant: what tells two cases of one solver apart.
        tolerance: largest difference to the baseline's answer, relative to the largest
            number of all answers.
        most_others: share of games whose answers may differ by more.
    """

    model: str
    solver: str
    draw: Callable[..., Numbers]
    sizes: dict[str, int]
    growth: dict[str, tuple[int, ...]]
    numbers: Numbers = dataclasses.field(default_factory=dict)
    solver_sizes: tuple[str, ...] = ()
    answer: str | None = None
    most: int = 2**16
    variant: str = ""
    tolerance: float = 1e-8
    most_others: float = 0.0

    @property
    def name(self) -> str:
        """Model, solver and variant."""
        return "/".join(x for x in (self.model, self.solver, self.variant) if x)

    def games(self, count: int, **sizes: int) -> Numbers:
        """Return `count` games, of the standard size but for `sizes`."""
        sizes = self.sizes | sizes
        for name in self.solver_sizes:
            del sizes[name]
        return self.draw(np.random.default_rng(5), count, **sizes)

    def solver_numbers(self, **sizes: int) -> Numbers:
        """Return the solver's arguments for games of these sizes."""
        sizes = self.sizes | sizes
        return self.numbers | {name: sizes[name] for name in self.solver_sizes}


# --- Trading game and bimatrix --------------------------------------------------------


def _trading(rng, count, *, horizon, max_trade, num_players, most_impact=5.0):
    """Every player buys two fifths of what it could (10 of 25 in the paper's game)."""
    return {
        "horizon": horizon,
        "targets": [int(0.4 * horizon * max_trade)] * num_players,
        "min_trade": -max_trade,
        "max_trade": max_trade,
        "permanent_impact": rng.uniform(0.0, most_impact, count),
    }


def _monotone(rng, count, **sizes):
    """Trading games whose fractional equilibrium is unique, with unequal targets."""
    games = _trading(rng, count, **sizes, most_impact=1.9)
    limit = sizes["horizon"] * sizes["max_trade"] // 2
    targets = rng.integers(-limit, limit + 1, (count, sizes["num_players"]))
    return games | {"targets": targets}


def _bimatrix(rng, count, *, strategies):
    payoffs = rng.normal(size=(2, count, strategies, strategies))
    return {"payoffs_row": payoffs[0], "payoffs_col": payoffs[1]}


_PAPER = {"horizon": 5, "max_trade": 5, "num_players": 2}
_TRADING = [
    Case(
        "trading-game",
        "best-response-dynamics",
        _trading,
        _PAPER,
        {
            "horizon": (5, 10, 20, 40, 80),
            "max_trade": (5, 20, 80, 320),
            "num_players": (2, 4, 8, 16),
        },
        numbers={"max_rounds": 200},
        answer="schedules",
        tolerance=0.0,
    ),
    Case(
        "trading-game",
        "ftpl",
        _trading,
        _PAPER | {"num_rounds": 500},
        {
            "horizon": (5, 10, 20, 40),
            "max_trade": (5, 10, 20, 40),
            "num_players": (2, 4, 8, 16),
            "num_rounds": (250, 500, 1000, 2000),
        },
        numbers={"noise": 50.0},
        solver_sizes=("num_rounds",),
        most=4096,
        variant="full",
    ),
    Case(
        "trading-game",
        "ftpl",
        _trading,
        _PAPER | {"num_rounds": 500},
        {
            "horizon": (5, 10, 20, 40, 80),
            "max_trade": (5, 20, 80, 320),
            "num_players": (2, 4, 8, 16),
        },
        numbers={"noise": 10.0, "perturbation": "linear"},
        solver_sizes=("num_rounds",),
        most=4096,
        variant="linear",
    ),
    Case(
        "trading-game",
        "swap-ftpl",
        _trading,
        _PAPER | {"branching": 20},
        {"branching": (10, 20, 40), "horizon": (5, 10, 20), "max_trade": (5, 10, 20)},
        numbers={"depth": 2, "noise": 50.0},
        solver_sizes=("branching",),
        most=4096,
    ),
    Case(
        "trading-game",
        "double-oracle",
        _trading,
        _PAPER,
        {"horizon": (5, 10, 20, 40), "max_trade": (5, 20, 80, 320)},
        most=1024,
    ),
    Case(
        "trading-game",
        "fractional-nash",
        _monotone,
        _PAPER,
        {
            "horizon": (5, 10, 20, 40, 80),
            "max_trade": (5, 20, 80),
            "num_players": (2, 8, 32, 128),
        },
        answer="trades",
        most=16384,
    ),
    Case(
        "trading-game",
        "correlated-lp",
        _trading,
        {"horizon": 3, "max_trade": 3, "num_players": 2},
        {"max_trade": (2, 3, 4, 6)},
        most=64,
    ),
    Case(
        "bimatrix",
        "lemke-howson",
        _bimatrix,
        {"strategies": 10},
        {"strategies": (5, 10, 20, 40)},
        most=16384,
    ),
    Case(
        "bimatrix",
        "support-enumeration",
        _bimatrix,
        {"strategies": 4},
        {"strategies": (2, 3, 4, 5, 6)},
        most=16384,
    ),
    Case(
        "bimatrix",
        "correlated-lp",
        _bimatrix,
        {"strategies": 6},
        {"strategies": (4, 6, 8, 12)},
        most=64,
    ),
]


# --- Position building ----------------------------------------------------------------


def _types(rng, count, *, num_firms, num_types):
    """Games of 0.3 <= kappa <= 15 and targets of -2 to 6, with a random prior."""
    size, profiles = num_firms * num_types, num_types**num_firms
    impacts = np.exp(rng.uniform(np.log(0.3), np.log(15.0), (count, size)))
    shape = (num_types,) * num_firms
    return {
        "permanent_impacts": impacts,
        "targets": rng.uniform(-2.0, 6.0, (count, size)),
        "prior": rng.dirichlet(np.ones(profiles), count).reshape(count, *shape),
        "num_types": shape,
    }


def _few_sellers(rng, count, **sizes):
    """The same with long targets alone and positions of at most 1.1 of the largest."""
    games = _types(rng, count, **sizes)
    targets = rng.uniform(1.0, 6.0, games["targets"].shape)
    firms = targets.reshape(count, sizes["num_firms"], -1)
    return games | {
        "targets": targets,
        "lower": np.zeros((count, sizes["num_firms"], 1)),
        "upper": 1.02 * firms.max(axis=2, keepdims=True),
    }


def _uncertain(rng, count, **sizes):
    games = _types(rng, count, **sizes)
    shape = games["targets"].shape
    return games | {
        "permanent_impacts": rng.uniform(0.0, 5.0, shape),
        "temporary_impacts": rng.uniform(0.5, 2.0, shape),
        "transient_impacts": rng.uniform(0.0, 3.0, shape),
        "decays": rng.uniform(0.5, 5.0, shape),
    }


def _mild(rng, count, **sizes):
    """Games in which gradients are tame: kappa of at most 2."""
    games = _types(rng, count, **sizes)
    return games | {"permanent_impacts": rng.uniform(0, 2, games["targets"].shape)}


def _power_law(rng, count, *, num_firms):
    return {
        "targets": rng.uniform(1.0, 5.0, (count, num_firms)),
        "permanent_impact": rng.uniform(0.1, 5.0, count),
        "exponent": rng.uniform(0.5, 1.0, count),
    }


def _transient(rng, count, *, num_firms):
    return {
        "targets": rng.uniform(-2.0, 6.0, (count, num_firms)),
        "decay": rng.uniform(0.5, 10.0, count),
        "temporary_cost": rng.uniform(0.1, 1.0, count),
    }


def _feedback(rng, count, *, num_firms):
    return {
        "targets": rng.uniform(-2.0, 6.0, (count, num_firms)),
        "permanent_impact": rng.uniform(0.1, 5.0, count),
    }


def _hidden(rng, count):
    return {
        "target_mean": rng.uniform(0.0, 2.0, count),
        "target_std": rng.uniform(0.5, 2.0, count),
        "noise_std": rng.uniform(0.5, 2.0, count),
        "permanent_impact": rng.uniform(0.1, 5.0, count),
        "arbitrageur_target": rng.uniform(-1.0, 1.0, count),
    }


_POINTS = (17, 33, 65, 129, 257)
_TYPES = {"num_points": 65, "num_firms": 2, "num_types": 2}


def _position(solver, draw=_types, **more):
    growth = {"num_points": _POINTS, "num_types": (1, 2, 4, 8)}
    return Case(
        "position-building",
        solver,
        draw,
        _TYPES,
        more.pop("growth", growth),
        solver_sizes=("num_points",),
        answer="schedules",
        **more,
    )


def _learning(solver, **numbers):
    return Case(
        "position-learning",
        solver,
        _mild,
        {"num_points": 33, "num_rounds": 500, "num_firms": 2, "num_types": 2},
        {
            "num_points": (9, 17, 33, 65),
            "num_rounds": (250, 500, 1000, 2000),
            "num_types": (1, 2, 4, 8),
        },
        numbers=numbers,
        solver_sizes=("num_points", "num_rounds"),
        most=4096,
    )


_POSITIONS = [
    _position(
        "spectral",
        growth={
            "num_points": _POINTS,
            "num_types": (1, 2, 4, 8),
            "num_firms": (2, 3, 4, 6),
        },
    ),
    _position("matrix-exponential", most=4096),
    _position("gradient", most=1024),
    _position("best-response", most=1024),
    _position("constrained", _few_sellers, most=1024),
    Case(
        "power-law-position",
        "closed-form",
        _power_law,
        {"num_points": 65, "num_firms": 2},
        {"num_points": _POINTS, "num_firms": (2, 8, 32)},
        solver_sizes=("num_points",),
        answer="schedules",
    ),
    Case(
        "power-law-position",
        "newton",
        _power_law,
        {"num_points": 65, "num_firms": 2},
        {"num_points": _POINTS, "num_firms": (2, 8, 32)},
        solver_sizes=("num_points",),
        answer="schedules",
        most=4096,
        tolerance=1e-7,
    ),
    Case(
        "transient-impact",
        "linear-system",
        _transient,
        {"num_points": 65, "num_firms": 2},
        {"num_points": _POINTS, "num_firms": (2, 8, 32)},
        solver_sizes=("num_points",),
        answer="trades",
        most=4096,
    ),
    Case(
        "uncertain-impact",
        "linear-system",
        _uncertain,
        _TYPES,
        {"num_points": _POINTS, "num_types": (1, 2, 4)},
        solver_sizes=("num_points",),
        answer="trades",
        most=1024,
    ),
    Case(
        "feedback-position",
        "backward-induction",
        _feedback,
        {"num_steps": 64, "num_firms": 2},
        {"num_steps": (16, 64, 256, 1024), "num_firms": (2, 4, 8, 16)},
        solver_sizes=("num_steps",),
        answer="trades",
    ),
    Case(
        "feedback-position",
        "open-loop",
        _feedback,
        {"num_steps": 64, "num_firms": 2},
        {"num_steps": (16, 64, 256, 1024), "num_firms": (2, 4, 8, 16)},
        solver_sizes=("num_steps",),
        answer="trades",
    ),
    Case(
        "hidden-target",
        "bayes-filter",
        _hidden,
        {"num_steps": 64},
        {"num_steps": (16, 32, 64, 128, 256)},
        solver_sizes=("num_steps",),
        answer="trades",
        most=16384,
    ),
    _learning("gradient-play"),
    _learning("mirror-descent"),
    _learning("dual-averaging"),
    _learning("perturbed-leader"),
]

# --- Microstructure -------------------------------------------------------------------


def _kyle(rng, count):
    """Auctions between one and five insiders whose signals have errors."""
    return {
        "value_std": rng.uniform(0.5, 2.0, count),
        "noise_std": rng.uniform(0.5, 2.0, count),
        "signal_noise_std": rng.uniform(0.0, 1.0, count),
        "num_insiders": rng.integers(1, 6, count),
        "signals": "private",
    }


def _kyle_sequential(rng, count, *, num_auctions):
    return {
        "value_std": rng.uniform(0.5, 2.0, count),
        "noise_std": rng.uniform(0.5, 2.0, count),
        "num_insiders": rng.integers(1, 6, count),
        "num_auctions": num_auctions,
    }


def _glosten_milgrom(rng, count, *, num_orders):
    """Two values, passes among the orders."""
    return {
        "low": rng.uniform(90.0, 99.0, count),
        "high": rng.uniform(101.0, 110.0, count),
        "prior_high": rng.uniform(0.2, 0.8, count),
        "informed_fraction": rng.uniform(0.05, 0.4, count),
        "buy_probability": 0.4,
        "sell_probability": 0.3,
        "orders": rng.integers(-1, 2, (count, num_orders)),
    }


def _execution(rng, count, *, num_periods):
    """Sales around the published case (Almgren & Chriss 2001, section 4)."""
    return {
        "shares": 1e6 * rng.uniform(0.5, 2.0, count),
        "horizon": rng.uniform(2.0, 10.0, count),
        "num_periods": num_periods,
        "volatility": rng.uniform(0.5, 1.5, count),
        "permanent_impact": 2.5e-7 * rng.uniform(0.0, 1.0, count),
        "temporary_impact": 2.5e-6 * rng.uniform(1.0, 3.0, count),
        "fixed_cost": rng.uniform(0.0, 0.1, count),
        "risk_aversion": 10 ** rng.uniform(-7.0, -5.0, count),
    }


def _lots(rng, count, *, num_periods, num_lots):
    games = _execution(rng, count, num_periods=num_periods)
    return games | {"lot_size": games["shares"] / num_lots}


def _portfolio(rng, count, *, num_periods, num_assets):
    """Assets that move together, with impact across them."""

    def positive(size, scale):
        roots = rng.normal(size=(count, size, size)) / size**0.5
        return scale * (roots @ roots.swapaxes(1, 2) + np.eye(size))

    return {
        "shares": 1e6 * rng.uniform(-1.0, 1.0, (count, num_assets)),
        "horizon": rng.uniform(2.0, 10.0, count),
        "num_periods": num_periods,
        "covariance": positive(num_assets, 0.5),
        "permanent_impact": positive(num_assets, 5e-8),
        "temporary_impact": positive(num_assets, 2.5e-6),
        "risk_aversion": 10 ** rng.uniform(-7.0, -5.0, count),
    }


_PATHS = {"num_paths": (2**12, 2**14, 2**16, 2**18)}
_PERIODS = {"num_periods": (5, 10, 40, 160)}

_MICROSTRUCTURE = [
    Case("kyle", "closed-form", _kyle, {}, {}, answer="price_impact"),
    Case(
        "kyle",
        "monte-carlo",
        _kyle,
        {"num_paths": 2**16},
        _PATHS,
        solver_sizes=("num_paths",),
        most=256,
    ),
    Case(
        "kyle-sequential",
        "closed-form",
        _kyle_sequential,
        {"num_auctions": 20},
        {"num_auctions": (5, 20, 80, 320)},
        answer="log_price_impact",
    ),
    Case(
        "kyle-sequential",
        "monte-carlo",
        _kyle_sequential,
        {"num_auctions": 20, "num_paths": 2**16},
        _PATHS | {"num_auctions": (5, 20, 80, 320)},
        solver_sizes=("num_paths",),
        most=256,
    ),
    Case(
        "glosten-milgrom",
        "closed-form",
        _glosten_milgrom,
        {"num_orders": 50},
        {"num_orders": (10, 50, 200, 800)},
        answer="asks",
    ),
    Case(
        "glosten-milgrom",
        "monte-carlo",
        _glosten_milgrom,
        {"num_orders": 10, "num_paths": 2**16},
        _PATHS | {"num_orders": (10, 50, 200)},
        solver_sizes=("num_paths",),
        most=256,
    ),
    Case(
        "almgren-chriss",
        "closed-form",
        _execution,
        {"num_periods": 10},
        _PERIODS,
        answer="trades",
    ),
    Case(
        "almgren-chriss",
        "dynamic-program",
        _lots,
        {"num_periods": 10, "num_lots": 50},
        {"num_periods": (5, 10, 20, 40), "num_lots": (25, 50, 100, 200)},
        answer="trades",
        most=4096,
    ),
    Case(
        "almgren-chriss",
        "value-at-risk",
        _execution,
        {"num_periods": 10},
        _PERIODS,
        answer="trades",
        tolerance=1e-6,
    ),
    Case(
        "almgren-chriss",
        "monte-carlo",
        _execution,
        {"num_periods": 10, "num_paths": 2**16},
        _PATHS | _PERIODS,
        numbers={"has_quantiles": False},
        solver_sizes=("num_paths",),
        most=256,
    ),
    Case(
        "almgren-chriss-portfolio",
        "closed-form",
        _portfolio,
        {"num_periods": 10, "num_assets": 10},
        {"num_periods": (5, 10, 40, 160), "num_assets": (5, 10, 20, 40)},
        answer="trades",
        most=4096,
    ),
    Case(
        "almgren-chriss-portfolio",
        "monte-carlo",
        _portfolio,
        {"num_periods": 10, "num_assets": 10, "num_paths": 2**14},
        {"num_paths": (2**12, 2**14, 2**16), "num_assets": (5, 10, 20)},
        numbers={"has_quantiles": False},
        solver_sizes=("num_paths",),
        most=256,
    ),
]

CASES = tuple(_TRADING + _POSITIONS + _MICROSTRUCTURE)
