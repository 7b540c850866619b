"""Catalog entry of liquidating several assets."""

from gtrade.catalog.base import Column, Evidence, ModelEntry, Parameter, SolverEntry

_SOURCE = "Almgren & Chriss 2001, appendix A"

_EVIDENCE = Evidence(
    columns=(
        Column(
            "expected_cost",
            "E, mean shortfall against the first prices, fixed cost included",
            "currency",
        ),
        Column("variance", "V of the shortfall", "currency^2"),
        Column("objective", "E + risk_aversion V", "currency"),
        Column(
            "value_at_risk",
            "shortfall that is exceeded with probability 1 - confidence",
            "currency",
        ),
        Column(
            "conditional_value_at_risk",
            "mean shortfall where that is exceeded",
            "currency",
        ),
        Column(
            "holdings",
            "before, between and after the periods",
            "shares",
            ("points", "assets"),
        ),
        Column(
            "trades",
            "sold in each period (negative: bought)",
            "shares",
            ("periods", "assets"),
        ),
        Column(
            "first_order_residual",
            "largest first-order condition, relative to the terms that it sums",
            "1",
        ),
        Column(
            "optimality_gap",
            "upper bound on what another schedule would save, fixed cost aside",
            "currency",
        ),
        Column(
            "round_trip_cost",
            "fixed cost of trading more than the shares; with optimality_gap an"
            " upper bound on what another schedule would save in all",
            "currency",
        ),
        Column("even_cost", "expected cost of equal trades", "currency"),
        Column("even_variance", "its variance", "currency^2"),
        Column(
            "immediate_cost",
            "expected cost of trading all in the first period",
            "currency",
        ),
        Column("immediate_variance", "its variance", "currency^2"),
    ),
    arrays=(
        Column("times", "before, between and after the periods", "time", ("points",)),
        Column(
            "risks",
            "standard deviation of the value of the holdings, per root of time",
            "currency/time^0.5",
            ("points",),
        ),
    ),
    headline=(
        "expected_cost",
        "variance",
        "value_at_risk",
        "optimality_gap",
        "round_trip_cost",
    ),
    figures="gtrade.plotting.almgren_chriss_portfolio:figures",
)

ENTRY = ModelEntry(
    name="almgren-chriss-portfolio",
    summary="Sell several assets at once: impact against risk, with hedging.",
    source=_SOURCE,
    problem="gtrade.problems.almgren_chriss_portfolio:AlmgrenChrissPortfolio",
    parameters=(
        Parameter(
            "shares",
            "number",
            "to sell of each asset (negative: to buy)",
            "shares",
            ndim=1,
        ),
        Parameter("horizon", "number", "T, greater than 0", "time"),
        Parameter(
            "num_periods",
            "integer",
            "N, periods of equal length; at least 1",
            "periods",
            is_static=True,
        ),
        Parameter(
            "covariance",
            "number",
            "C of price changes per unit of time; symmetric, positive semidefinite",
            "currency^2/time",
            ndim=2,
        ),
        Parameter(
            "permanent_impact",
            "number",
            "G: a share sold moves prices by that much for good; symmetric",
            "currency/share^2",
            ndim=2,
        ),
        Parameter(
            "temporary_impact",
            "number",
            "H: a share sold per unit of time moves fills by that much; symmetric,"
            " with H - G T / (2 N) positive definite",
            "currency*time/share^2",
            ndim=2,
        ),
        Parameter(
            "fixed_cost",
            "number",
            "half a spread and fees of each asset, at least 0; without it zeros",
            "currency/share",
            default=None,
            ndim=1,
        ),
        Parameter(
            "risk_aversion",
            "number",
            "lambda of E + lambda V; at least 0",
            "1/currency",
            default=0.0,
        ),
        Parameter(
            "confidence",
            "number",
            "of value_at_risk and conditional_value_at_risk; between 0 and 1",
            "1",
            default=0.95,
        ),
    ),
    solvers=(
        SolverEntry(
            "closed-form",
            "gtrade.solvers.almgren_chriss_portfolio:PortfolioClosedForm",
            "The only optimum, by one symmetric eigendecomposition.",
            _SOURCE,
            (),
            precision="f64",
        ),
        SolverEntry(
            "monte-carlo",
            "gtrade.solvers.portfolio_monte_carlo:PortfolioMonteCarlo",
            "The optimum, executed on random price paths.",
            "the definition of the model",
            (
                Parameter(
                    "num_paths",
                    "integer",
                    "price paths; at least 2",
                    "paths",
                    default=100_000,
                ),
                Parameter(
                    "has_quantiles",
                    "boolean",
                    "whether value at risk is estimated, too: a dozen passes over the"
                    " paths instead of one",
                    default=True,
                    is_static=True,
                ),
            ),
            evidence=_EVIDENCE.with_simulation(
                "expected_cost",
                "variance",
                "value_at_risk",
                "conditional_value_at_risk",
                headline=("expected_cost", "value_at_risk"),
            ),
        ),
    ),
    verify="gtrade.verification.almgren_chriss_portfolio:verify_portfolio",
    evidence=_EVIDENCE,
)
