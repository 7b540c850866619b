"""Catalog entry of learning to build positions without a common prior."""

from gtrade.catalog.base import Column, Evidence, ModelEntry, Parameter, SolverEntry

_SHARED = (
    Parameter(
        "num_rounds",
        "integer",
        "rounds of play; at least 1",
        "rounds",
        default=4000,
        is_static=True,
    ),
    Parameter(
        "num_points",
        "integer",
        "equally spaced times; positions move along straight lines between them; at"
        " least 3",
        "1",
        default=33,
        is_static=True,
    ),
    Parameter(
        "start",
        "text",
        "rates of the first round: even, or random ones as far from even as the"
        " largest target",
        default="even",
        is_static=True,
        choices=("even", "random"),
    ),
)
_OFFSET = Parameter(
    "step_offset",
    "number",
    "rounds by which every count is ahead; at least 0; raise it where permanent impact"
    " is large",
    "rounds",
    default=0.0,
)


def _step(default: float, rule: str) -> Parameter:
    return Parameter(
        "step_constant", "number", f"c in steps {rule}; greater than 0", default=default
    )


_COUNTED = "c / (count + step_offset), by each type's own count of rounds"

ENTRY = ModelEntry(
    name="position-learning",
    summary="Firms learn to build positions round by round, knowing no prior.",
    source="Hossain et al. 2026, arXiv 2606.06882; Chriss 2025, arXiv 2501.01241",
    problem="gtrade.problems.repeated_positions:RepeatedPositionBuilding",
    tables="gtrade.problems.repeated_positions",
    parameters=(
        Parameter(
            "prior",
            "number",
            "joint probabilities of the firms' types in a round, one axis a firm; at"
            " least 0, summing to 1, every type with a positive probability; needed"
            " when a firm has several types",
            "1",
            default=None,
            ndim=None,
        ),
        Parameter(
            "firms",
            "table",
            "one table a firm",
            fields=(
                Parameter(
                    "types",
                    "table",
                    "one table a type",
                    fields=(
                        Parameter(
                            "permanent_impact",
                            "number",
                            "kappa, permanent impact relative to temporary; at least 0",
                            "1",
                            estimate="kappa",
                        ),
                        Parameter(
                            "target", "number", "shares held at the end", "shares"
                        ),
                    ),
                ),
            ),
        ),
    ),
    solvers=(
        SolverEntry(
            "gradient-play",
            "gtrade.solvers.position_learners:StochasticGradientPlay",
            "Every type descends its cost of the round just played.",
            "docs/models/position-learning.md",
            (_step(1.0, _COUNTED), _OFFSET, *_SHARED),
            precision="f64",
        ),
        SolverEntry(
            "mirror-descent",
            "gtrade.solvers.position_learners:MirrorDescent",
            "The same with entropy: nobody ever trades against its own target.",
            "docs/models/position-learning.md",
            (_step(1.0, _COUNTED), _OFFSET, *_SHARED),
            precision="f64",
        ),
        SolverEntry(
            "dual-averaging",
            "gtrade.solvers.position_learners:DualAveraging",
            "The regularised leader of all gradients; read its running average.",
            "docs/models/position-learning.md",
            (_step(0.25, "c / sqrt(count)"), *_SHARED),
            precision="f64",
        ),
        SolverEntry(
            "perturbed-leader",
            "gtrade.solvers.position_learners:PerturbedLeader",
            "Composite FTPL with divisible lots.",
            "docs/models/position-learning.md; Kearns & Shi 2025, section 5",
            (
                Parameter(
                    "noise",
                    "number",
                    "perturbations of summed prices are uniform on [0, noise]; at"
                    " least 0",
                    "cost per share",
                    default=1.0,
                ),
                *_SHARED,
            ),
            precision="f64",
        ),
    ),
    verify="gtrade.verification.position_learning:verify_learning",
    evidence=Evidence(
        columns=(
            Column(
                "exploitability",
                "largest expected saving of a type from another path, if all trade at"
                " the last round's rates under the true prior",
                "cost",
            ),
            Column(
                "average_exploitability",
                "the same at the running averages",
                "cost",
            ),
            Column(
                "squared_distance",
                "of the last rates from the Bayesian equilibrium's, types weighted by"
                " probability, summed over firms",
                "shares^2 per unit time",
            ),
            Column(
                "average_squared_distance",
                "of the running averages",
                "shares^2 per unit time",
            ),
            Column(
                "equilibrium_gap", "exploitability of that equilibrium itself", "cost"
            ),
            Column(
                "modulus",
                "mu of strong monotonicity, in rates; above 0 is Rosen's condition",
                "1",
            ),
            Column("violation", "largest breach of a target", "shares"),
            Column("welfare", "all firms' expected cost at the last rates", "cost"),
            Column(
                "regret",
                "paid above the best fixed path in hindsight, per round of each type,"
                " in (firm, type) order",
                "cost per round",
                ("types",),
            ),
            Column(
                "initial_rates",
                "last round's rates in the first cell",
                "shares per unit time",
                ("types",),
            ),
            Column(
                "expected_costs", "at the last rates, true prior", "cost", ("types",)
            ),
            Column("visits", "rounds of each type", "rounds", ("types",)),
        ),
        arrays=(
            Column("schedules", "last positions", "shares", ("types", "points")),
            Column(
                "average_schedules",
                "of running averages",
                "shares",
                ("types", "points"),
            ),
            Column(
                "equilibrium_schedules",
                "of the Bayesian equilibrium",
                "shares",
                ("types", "points"),
            ),
            Column("times", "of these positions", "horizons", ("points",)),
            Column(
                "distance_curve",
                "squared distance after some rounds",
                "shares^2 per unit time",
                ("records",),
            ),
            Column(
                "average_distance_curve",
                "of running averages",
                "shares^2 per unit time",
                ("records",),
            ),
            Column(
                "rounds",
                "these rounds, evenly spread by factors",
                "rounds",
                ("records",),
            ),
        ),
        headline=(
            "exploitability",
            "squared_distance",
            "average_squared_distance",
            "modulus",
            "regret",
        ),
        figures="gtrade.plotting.position_learning:figures",
    ),
)
