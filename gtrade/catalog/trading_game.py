"""Catalog entry of the discrete trading game (Kearns & Shi 2025)."""

from gtrade.catalog.base import Column, Evidence, ModelEntry, Parameter, SolverEntry
from gtrade.catalog.correlated import correlated_entry

_NOISE = Parameter(
    "noise",
    "number",
    'perturbations are uniform on [0, noise]; at least 0, or "theory" for the value'
    " that minimises the proved regret bound",
    unit="cost per share",
    default=50.0,
    choices=("theory",),
)

_EQUILIBRIUM_FIGURES = "gtrade.plotting.equilibria:figures"
_NASH_COLUMNS = (
    Column("exploitability", "largest gain from a unilateral deviation", "cost"),
    Column("welfare", "total expected cost; lower is better", "cost"),
    Column("is_pure", "whether every player plays one schedule"),
    Column("values", "expected cost of each player", "cost", ("players",)),
    Column("support_size", "schedules in use", "1", ("players",)),
    Column("mean_trades", "expected flow", "shares", ("players", "horizon")),
)
_NASH_HEADLINE = ("exploitability", "welfare", "is_pure", "support_size")

_DOUBLE_ORACLE = SolverEntry(
    "double-oracle",
    "gtrade.solvers.double_oracle:DoubleOracle",
    "An exact Nash equilibrium of two players, pure or mixed, for every kappa.",
    "McMahan, Gordon & Blum 2003; Lemke & Howson 1964",
    (
        Parameter(
            "tol",
            "number",
            "gain that counts as none, relative to the largest absolute cost of a"
            " player among the schedules considered; greater than 0",
            default=1e-12,
        ),
        Parameter(
            "start",
            "text",
            'where the sets of schedules start; "portfolio": all but random in turn;'
            ' "mean-flow": no sets, but paths on mean flows',
            default="portfolio",
            is_static=True,
            choices=(
                "portfolio",
                "mean-flow",
                "fractional",
                "even",
                "front",
                "random",
            ),
        ),
        Parameter(
            "max_support",
            "integer",
            "most schedules in a player's set; at least 2",
            "schedules",
            default=128,
            is_static=True,
        ),
        Parameter(
            "max_steps",
            "integer",
            "most best-response steps from one start; at least 1",
            "steps",
            default=500,
            is_static=True,
        ),
    ),
    precision="f64",
    evidence=Evidence(
        columns=_NASH_COLUMNS,
        arrays=(
            Column(
                "supports",
                "schedules in each player's set, padded",
                "shares",
                ("players", "support", "horizon"),
            ),
            Column(
                "weights",
                "their probabilities, zero where not in use",
                "1",
                ("players", "support"),
            ),
        ),
        headline=_NASH_HEADLINE,
        figures=_EQUILIBRIUM_FIGURES,
    ),
)

_FRACTIONAL_NASH = SolverEntry(
    "fractional-nash",
    "gtrade.solvers.fractional_nash:FractionalNash",
    "The equilibrium in fractional shares of any number of players, for kappa < 2,"
    " and whole lots close to it.",
    "Douglas-Rachford splitting of a strictly monotone variational inequality",
    (
        Parameter(
            "tol",
            "number",
            "of the residual, relative to the largest average trade; greater than 0",
            default=1e-10,
        ),
        Parameter(
            "max_steps",
            "integer",
            "most splitting steps; at least 1",
            "steps",
            default=20_000,
            is_static=True,
        ),
        Parameter(
            "max_rounds",
            "integer",
            "rounds of best responses after rounding to whole lots; at least 0",
            "rounds",
            default=10,
            is_static=True,
        ),
    ),
    precision="f64",
    evidence=Evidence(
        columns=(
            _NASH_COLUMNS[0],
            Column(
                "lots_exploitability",
                "the same of the schedules in whole lots, in the game of whole lots",
                "cost",
            ),
            _NASH_COLUMNS[1],
            Column("lots_welfare", "total cost of the whole lots", "cost"),
            *_NASH_COLUMNS[2:],
        ),
        arrays=(
            Column("lots", "schedules in whole lots", "shares", ("players", "horizon")),
        ),
        headline=(
            "exploitability",
            "lots_exploitability",
            "welfare",
            "lots_welfare",
        ),
        figures=_EQUILIBRIUM_FIGURES,
    ),
)

ENTRY = ModelEntry(
    name="trading-game",
    summary="Players reach share targets in whole lots while moving the price.",
    source="Kearns & Shi 2025, arXiv 2502.07606v2",
    problem="gtrade.problems.discrete_trading:TradingGame",
    parameters=(
        Parameter(
            "horizon", "integer", "trading steps T; at least 1", "steps", is_static=True
        ),
        Parameter(
            "targets",
            "integer",
            "shares each player ends with (negative: short), within the trade limits",
            "shares",
            ndim=1,
        ),
        Parameter(
            "min_trade",
            "integer",
            "fewest shares traded in a step (negative: selling is allowed); a list has"
            " one entry per step",
            "shares",
            is_static=True,
            allows_list=True,
        ),
        Parameter(
            "max_trade",
            "integer",
            "most shares traded in a step; at least min_trade, and a list likewise",
            "shares",
            is_static=True,
            allows_list=True,
        ),
        Parameter(
            "permanent_impact",
            "number",
            "kappa, permanent impact relative to temporary; at least 0",
            "1",
            estimate="discrete_kappa",
        ),
        Parameter(
            "temporary_exponent",
            "number",
            "p: a step's net flow s moves its price by sign(s)|s|^p; greater than 0;"
            " without it linear",
            "1",
            default=None,
        ),
        Parameter(
            "fixed_fee",
            "number",
            "cost of every step in which a player trades; at least 0",
            "cost",
            default=None,
        ),
    ),
    solvers=(
        SolverEntry(
            "best-response-dynamics",
            "gtrade.solvers.best_response:BestResponseDynamics",
            "Players in turn move to their best response until none gains.",
            "Kearns & Shi 2025, Algorithm 2; Theorem 4.5 for cycles",
            (
                Parameter(
                    "start",
                    "integer",
                    "starting schedules (players x horizon), or a named start",
                    "shares",
                    default="even",
                    ndim=2,
                    choices=("even", "front", "random"),
                ),
                Parameter(
                    "epsilon",
                    "number",
                    "a player moves only to gain more than this; at least 0",
                    "cost",
                    default=0.0,
                ),
                Parameter(
                    "max_rounds",
                    "integer",
                    "rounds of all players in turn; at least 1",
                    "rounds",
                    default=1000,
                    is_static=True,
                ),
            ),
            precision="f64",
            calls_lapack=False,
        ),
        SolverEntry(
            "ftpl",
            "gtrade.solvers.ftpl:FTPL",
            "All players follow the perturbed leader; play approaches a coarse"
            " correlated equilibrium.",
            "Kearns & Shi 2025, section 5; Kalai & Vempala 2005",
            (
                Parameter(
                    "perturbation",
                    "text",
                    '"full": noise on all 2T coordinates, as in the paper; "linear":'
                    " noise on the T flows only (composite FTPL)",
                    default="full",
                    is_static=True,
                    choices=("full", "linear"),
                ),
                _NOISE,
                Parameter(
                    "num_rounds",
                    "integer",
                    "rounds of play; at least 1",
                    "rounds",
                    default=2500,
                    is_static=True,
                ),
            ),
            calls_lapack=False,
        ),
        SolverEntry(
            "swap-ftpl",
            "gtrade.solvers.swap_regret:SwapFTPL",
            "A tree of FTPL learners per player, without swap regret.",
            "Dagan et al. 2024; Kearns & Shi 2025, Appendix A",
            (
                Parameter(
                    "branching",
                    "integer",
                    "M, meta-rounds of a learner; at least 2",
                    "1",
                    default=150,
                    is_static=True,
                ),
                Parameter(
                    "depth",
                    "integer",
                    "d, levels of the tree; branching^depth rounds are played",
                    "1",
                    default=2,
                    is_static=True,
                ),
                _NOISE,
            ),
            calls_lapack=False,
        ),
        _DOUBLE_ORACLE,
        _FRACTIONAL_NASH,
        correlated_entry(_EQUILIBRIUM_FIGURES, has_schedules=True),
    ),
    verify="gtrade.verification.play:verify_trading_solution",
    evidence=Evidence(
        columns=(
            Column("distance_to_cce", "largest regret of a player", "cost"),
            Column(
                "distance_to_nash",
                "largest gain from a deviation against the product of marginals",
                "cost",
            ),
            Column("distance_to_ce", "largest swap regret of a player", "cost"),
            Column(
                "tv_distance", "total variation, joint to product of marginals", "1"
            ),
            Column(
                "tv_distance_ks25",
                "the same in the paper's form: l1 over the joint's support, no half",
                "1",
            ),
            Column("welfare", "total cost per round; lower is better", "cost"),
            Column("regret", "average external regret", "cost", ("players",)),
            Column("costs", "average cost per round", "cost", ("players",)),
            Column("mean_trades", "mean flow", "shares", ("players", "horizon")),
        ),
        arrays=(
            Column(
                "regret_curve",
                "average regret after each round, all players",
                "cost",
                ("rounds", "players"),
            ),
            Column(
                "schedules",
                "every round's flows",
                "shares",
                ("rounds", "players", "horizon"),
            ),
        ),
        headline=(
            "distance_to_cce",
            "distance_to_nash",
            "distance_to_ce",
            "tv_distance",
            "welfare",
        ),
        figures="gtrade.plotting.trading:figures",
    ),
)
