"""Catalog entry of continuous position building (Chriss 2024-25)."""

from gtrade.catalog.base import Column, Evidence, ModelEntry, Parameter, SolverEntry

_NUM_POINTS = Parameter(
    "num_points",
    "integer",
    "equally spaced times of the schedules; at least 2",
    "1",
    default=65,
    is_static=True,
)
_BASIS_POINTS = Parameter(
    "num_points",
    "integer",
    "equally spaced times; positions move along straight lines between them; at least"
    " 3",
    "1",
    default=65,
    is_static=True,
)


def _tolerance(default: float, what: str) -> Parameter:
    return Parameter("tol", "number", f"{what}; greater than 0", default=default)


def _most_steps(default: int) -> Parameter:
    return Parameter(
        "max_steps",
        "integer",
        "most steps; at least 1",
        "steps",
        default=default,
        is_static=True,
    )


_BOUND = (
    "shares, or coefficients of 1, t, t^2, ... of a bound that moves; none if absent"
)

ENTRY = ModelEntry(
    name="position-building",
    summary="Firms build positions over a day, unsure of each other's types.",
    source="Chriss 2025, arXiv 2501.01241; Chriss 2024, arXiv 2409.03586, 2409.15459",
    problem="gtrade.problems.position_building:PositionBuilding",
    tables="gtrade.problems.position_tables",
    parameters=(
        Parameter(
            "prior",
            "number",
            "joint probabilities of the firms' types, one axis a firm; at least 0,"
            " summing to 1, every type with a positive probability; needed when a firm"
            " has several types",
            "1",
            default=None,
            ndim=None,
        ),
        Parameter(
            "conditionals",
            "number",
            "in place of a prior: probability that each type (row) gives to each type"
            " (column) of another firm, in (firm, type) order, 0 within a firm",
            "1",
            default=None,
            ndim=2,
        ),
        Parameter(
            "evaluation_impacts",
            "number",
            "kappas at which realised costs are evaluated, at least 0; by default the"
            " types' own, each once unless one is swept",
            "1",
            default=None,
            ndim=1,
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
                        Parameter(
                            "non_strategic",
                            "number",
                            "believed non-strategic flow: its size at the end, on a"
                            " straight line, or coefficients of 1, t, t^2, ...",
                            "shares",
                            default=0.0,
                            allows_list=True,
                        ),
                    ),
                ),
                Parameter(
                    "risk_aversion",
                    "number",
                    "risk aversion times variance of the price; at least 0",
                    "cost per share^2",
                    default=0.0,
                ),
                Parameter(
                    "lower",
                    "number",
                    f"least position, {_BOUND}",
                    "shares",
                    default=None,
                    allows_list=True,
                ),
                Parameter(
                    "upper",
                    "number",
                    f"largest position, {_BOUND}",
                    "shares",
                    default=None,
                    allows_list=True,
                ),
            ),
        ),
    ),
    solvers=(
        SolverEntry(
            "spectral",
            "gtrade.solvers.spectral:Spectral",
            "The Bayesian equilibrium by one symmetric eigendecomposition.",
            "Chriss 2025, section 3; docs/models/position-building.md",
            (_NUM_POINTS,),
            precision="f64",
        ),
        SolverEntry(
            "matrix-exponential",
            "gtrade.solvers.matrix_exponential:MatrixExponential",
            "The same by matrix exponentials: conditionals and risk aversion too.",
            "Chriss 2025, section 3.4",
            (
                _NUM_POINTS,
                Parameter(
                    "num_panels",
                    "integer",
                    "panels that the day is cut into, more of them for kappas beyond"
                    " 200; at least 2",
                    "1",
                    default=16,
                    is_static=True,
                ),
            ),
            precision="f64",
        ),
        SolverEntry(
            "gradient",
            "gtrade.solvers.gradient_play:GradientPlay",
            "Simultaneous gradient play on the discretised costs: the check of the"
            " Euler-Lagrange equations.",
            "docs/models/position-building.md",
            (
                _BASIS_POINTS,
                _tolerance(1e-10, "of the largest gradient, relative"),
                Parameter(
                    "learning_rate",
                    "number",
                    "step length for rates, greater than 0; by default one that"
                    " contracts",
                    "1",
                    default=None,
                ),
                _most_steps(20_000),
            ),
            precision="f64",
        ),
        SolverEntry(
            "best-response",
            "gtrade.solvers.line_responses:LineResponses",
            "Damped best responses, at once or in turn.",
            "Chriss 2024, arXiv 2409.15459; docs/models/position-building.md",
            (
                _BASIS_POINTS,
                _tolerance(1e-11, "of the largest move, relative"),
                Parameter(
                    "damping",
                    "number",
                    "share of the way to the best response, in (0, 1]; by default one"
                    " that contracts",
                    "1",
                    default=None,
                ),
                Parameter(
                    "order",
                    "text",
                    'all firms at once, or ("alternating") in turn',
                    default="simultaneous",
                    is_static=True,
                    choices=("simultaneous", "alternating"),
                ),
                _most_steps(20_000),
            ),
            precision="f64",
        ),
        SolverEntry(
            "constrained",
            "gtrade.solvers.variational_inequality:Constrained",
            "The equilibrium with bounds on positions, by block principal pivoting.",
            "Chriss 2024, arXiv 2409.15459; Judice & Pires 1994",
            (
                _BASIS_POINTS,
                _tolerance(1e-9, "of the KKT residual, relative"),
                _most_steps(500),
            ),
            precision="f64",
        ),
    ),
    verify="gtrade.verification.position_building:verify_position_solution",
    evidence=Evidence(
        columns=(
            Column(
                "exploitability",
                "largest expected saving of a type from another path: continuous_gap"
                " for spectral and matrix-exponential, discretised_gap for the others;"
                " infinite where violation is above 1e-4 of the largest position",
                "cost",
            ),
            Column(
                "discretised_gap",
                "where all paths are straight between the schedules' times; with bounds"
                " an upper bound",
                "cost",
            ),
            Column(
                "continuous_gap",
                "where paths are any in continuous time, bounds aside; with risk"
                " aversion an upper bound",
                "cost",
            ),
            Column(
                "descent_gain",
                "what descending the discretised costs by their gradients saves a type:"
                " a check of discretised_gap; none with bounds",
                "cost",
            ),
            Column(
                "stationarity",
                "largest spread over time of the Euler-Lagrange equation integrated"
                " once, which should be constant; none with bounds",
                "cost per share",
            ),
            Column(
                "violation",
                "largest breach of start, target, bounds (at the schedule's times), or"
                " rates against positions",
                "shares",
            ),
            Column(
                "welfare",
                "all firms' expected realised cost at each evaluation impact",
                "cost",
                ("evaluations",),
            ),
            Column(
                "planner_costs",
                "the least they could pay together",
                "cost",
                ("evaluations",),
            ),
            Column(
                "price_of_anarchy",
                "their ratio; none with risk aversion, flows or bounds, which the"
                " planner does not have",
                "1",
                ("evaluations",),
            ),
            Column(
                "initial_rates",
                "trading rates at time 0, in (firm, type) order",
                "shares per unit time",
                ("types",),
            ),
            Column(
                "expected_costs",
                "at own impact and beliefs, with the risk term",
                "cost",
                ("types",),
            ),
            Column(
                "realised_costs",
                "in every profile of types, at each evaluation impact; beyond 12 firms"
                " profiles share one axis, beyond 131072 numbers there are none",
                "cost",
                ("evaluations", "types of firm 1", "...", "firms"),
            ),
        ),
        arrays=(
            Column(
                "schedules",
                "positions at equally spaced times",
                "shares",
                ("types", "points"),
            ),
            Column("times", "these times", "horizons", ("points",)),
            Column(
                "cumulative_costs",
                "expected costs up to these times",
                "cost",
                ("types", "points"),
            ),
        ),
        headline=(
            "exploitability",
            "violation",
            "expected_costs",
            "initial_rates",
            "price_of_anarchy",
        ),
        figures="gtrade.plotting.positions:figures",
    ),
)
