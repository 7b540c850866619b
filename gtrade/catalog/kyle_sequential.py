"""Catalog entry of Kyle's auctions in sequence."""

from gtrade.catalog.base import Column, Evidence, ModelEntry, Parameter, SolverEntry

_AUCTIONS = ("auctions",)
_EVIDENCE = Evidence(
    columns=(
        Column("price_impact", "lambda in each auction", "price/share", _AUCTIONS),
        Column(
            "intensity",
            "beta: shares that each insider buys per unit of time and of value above"
            " the last price",
            "shares/price/time",
            _AUCTIONS,
        ),
        Column(
            "insider_profit",
            "expected profit of one insider in each auction",
            "price x shares",
            _AUCTIONS,
        ),
        Column(
            "posterior_variance",
            "variance of the value after each auction; 0 where too small for a float",
            "price^2",
            _AUCTIONS,
        ),
        Column(
            "total_profit",
            "expected profit of all insiders in all auctions",
            "price x shares",
        ),
        Column(
            "exploitability",
            "expected gain of an insider from its best orders in all auctions, against"
            " these prices and rivals",
            "price x shares",
        ),
        Column(
            "foc_residual",
            "largest distance of an insider's order from its best one, relative",
            "1",
        ),
        Column(
            "pricing_residual",
            "largest distance of a price impact from the regression of the value on"
            " flow, relative",
            "1",
        ),
        Column(
            "second_order",
            "least curvature 1 - alpha lambda of an insider's problem; positive where"
            " orders are best and not worst",
            "1",
        ),
        Column(
            "dealer_profit",
            "expected, in each auction; zero in equilibrium",
            "price x shares",
            _AUCTIONS,
        ),
        Column(
            "noise_profit",
            "expected profit of noise traders in each auction",
            "price x shares",
            _AUCTIONS,
        ),
    ),
    arrays=(
        Column("times", "when each auction ends", "time", _AUCTIONS),
        Column(
            "log_price_impact",
            "logarithm of price_impact, also where that is too small for a float",
            "",
            _AUCTIONS,
        ),
        Column(
            "log_posterior_variance",
            "logarithm of posterior_variance, likewise",
            "",
            _AUCTIONS,
        ),
    ),
    headline=(
        "total_profit",
        "exploitability",
        "foc_residual",
        "pricing_residual",
    ),
    figures="gtrade.plotting.kyle:sequential_figures",
)

ENTRY = ModelEntry(
    name="kyle-sequential",
    summary="Insiders who know the value trade it into the price, auction by auction.",
    source="Kyle 1985, section 3; Holden & Subrahmanyam 1992",
    problem="gtrade.problems.kyle:KyleSequential",
    parameters=(
        Parameter(
            "value_std",
            "number",
            "standard deviation of the value; at least 0",
            "price",
        ),
        Parameter(
            "noise_std",
            "number",
            "standard deviation of noise traders' flow in a unit of time; greater than"
            " 0 unless value_std is 0",
            "shares/sqrt(time)",
        ),
        Parameter("num_insiders", "integer", "M; at least 1", default=1),
        Parameter("value_mean", "number", "expected value", "price", default=0.0),
        Parameter(
            "num_auctions",
            "integer",
            "N equal steps over a total time of 1; at least 1; or give step_lengths",
            default=None,
            is_static=True,
        ),
        Parameter(
            "step_lengths",
            "number",
            "how long each auction takes, its share of noise; greater than 0",
            "time",
            default=None,
            ndim=1,
        ),
    ),
    solvers=(
        SolverEntry(
            "closed-form",
            "gtrade.solvers.kyle_sequential:KyleSequentialClosedForm",
            "The linear equilibrium by a recursion without scale.",
            "Kyle 1985, theorem 2; Holden & Subrahmanyam 1992",
            (),
            precision="f64",
            calls_lapack=False,
        ),
        SolverEntry(
            "monte-carlo",
            "gtrade.solvers.kyle_sequential:KyleSequentialMonteCarlo",
            "The linear equilibrium, played many times over.",
            "docs/models/kyle.md",
            (
                Parameter(
                    "num_paths",
                    "integer",
                    "sequences played; at least 2",
                    "paths",
                    default=100_000,
                ),
            ),
            evidence=_EVIDENCE.with_simulation(
                "price_impact",
                "insider_profit",
                "posterior_variance",
                "total_profit",
                "dealer_profit",
                "noise_profit",
                headline=("total_profit",),
            ),
            calls_lapack=False,
        ),
    ),
    verify="gtrade.verification.kyle_sequential:verify_kyle_sequential",
    evidence=_EVIDENCE,
)
