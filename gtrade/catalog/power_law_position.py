"""Catalog entry of position building under power-law temporary impact."""

from gtrade.catalog.base import Column, Evidence, ModelEntry, Parameter, SolverEntry

_NUM_POINTS = Parameter(
    "num_points",
    "integer",
    "equally spaced times on [0, 1], ends included; at least 3",
    "1",
    default=65,
    is_static=True,
)

ENTRY = ModelEntry(
    name="power-law-position",
    summary="Firms build positions against a power law of their total trading rate.",
    source="Chriss 2024, arXiv 2409.03586 (exponent 1); Almgren 2003 (one firm)",
    problem="gtrade.problems.power_law_position:PowerLawPosition",
    parameters=(
        Parameter(
            "targets",
            "number",
            "shares each firm ends with, one number a firm (negative: short)",
            "shares",
            ndim=1,
        ),
        Parameter(
            "permanent_impact",
            "number",
            "kappa, price move per share held by all firms; at least 0",
            "price/share",
            estimate="kappa",
        ),
        Parameter(
            "exponent",
            "number",
            "p: a total rate y moves the price by sign(y) |y|^p; greater than 0",
            "1",
        ),
        Parameter(
            "smoothing",
            "number",
            "e: rates below it meet nearly linear impact, y (y^2 + e^2)^((p - 1) / 2);"
            " at least 0, and 0 for closed-form",
            "shares/horizon",
            default=0.0,
        ),
    ),
    solvers=(
        SolverEntry(
            "closed-form",
            "gtrade.solvers.power_law_closed_form:PowerLawClosedForm",
            "The paths in closed form: an equilibrium for identical targets, the only"
            " candidate for others.",
            "this package's page on the model; Chriss 2024 for exponent 1",
            (_NUM_POINTS,),
            precision="f64",
        ),
        SolverEntry(
            "newton",
            "gtrade.solvers.power_law_newton:PowerLawNewton",
            "The first-order conditions of piecewise-linear paths, for any targets and"
            " with smoothing.",
            "Newton's method with a line search on a strictly monotone system",
            (
                Parameter(
                    "tol",
                    "number",
                    "of the conditions, relative to the largest term of them; greater"
                    " than 0",
                    default=1e-9,
                ),
                _NUM_POINTS,
                Parameter(
                    "max_steps",
                    "integer",
                    "most Newton steps; at least 1",
                    "steps",
                    default=100,
                    is_static=True,
                ),
            ),
            precision="f64",
        ),
    ),
    verify="gtrade.verification.power_law_position:verify_power_law_position",
    evidence=Evidence(
        columns=(
            Column(
                "exploitability",
                "no firm gains more from other paths with rates that change at these"
                " times (proved)",
                "cost",
            ),
            Column("gain_found", "what a firm gains by the best path found", "cost"),
            Column(
                "path_exploitability",
                "exploitability against all paths (measured, two points an interval)",
                "cost",
            ),
            Column("welfare", "total cost; lower is better", "cost"),
            Column("price_of_anarchy", "welfare over the least total cost", "1"),
            Column("expected_costs", "cost of each firm", "cost", ("firms",)),
            Column(
                "initial_rates", "trading rates at time 0", "shares/horizon", ("firms",)
            ),
            Column(
                "final_rates", "trading rates at time 1", "shares/horizon", ("firms",)
            ),
            Column(
                "is_convex", "whether each firm's cost is convex around its own path"
            ),
            Column(
                "euler_lagrange_residual",
                "variation of marginal costs along the paths, relative to their largest"
                " term",
                "1",
            ),
        ),
        arrays=(
            Column("schedules", "positions", "shares", ("firms", "points")),
            Column("rates", "trading rates", "shares/horizon", ("firms", "points")),
            Column("times", "equally spaced times", "horizon", ("points",)),
        ),
        headline=(
            "exploitability",
            "gain_found",
            "welfare",
            "price_of_anarchy",
            "initial_rates",
        ),
        figures="gtrade.plotting.positions:figures",
    ),
)
