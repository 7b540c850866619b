"""Catalog entry of Kyle's single auction."""

from gtrade.catalog.base import Column, Evidence, ModelEntry, Parameter, SolverEntry

_EVIDENCE = Evidence(
    columns=(
        Column(
            "price_impact",
            "lambda: what a share of flow moves the price",
            "price/share",
        ),
        Column(
            "intensity",
            "beta: shares that each insider buys per unit of its signal above the mean",
            "shares/price",
        ),
        Column("insider_profit", "expected profit of one insider", "price x shares"),
        Column(
            "posterior_variance",
            "variance of the value once flow is seen",
            "price^2",
        ),
        Column(
            "exploitability",
            "expected gain of an insider from its best order, against this pricing rule"
            " and these rivals",
            "price x shares",
        ),
        Column(
            "foc_residual",
            "distance of the intensity from an insider's best, relative",
            "1",
        ),
        Column(
            "pricing_residual",
            "distance of the price impact from the regression of the value on flow,"
            " relative",
            "1",
        ),
        Column("depth", "1/lambda: flow that moves the price by one", "shares/price"),
        Column(
            "profit_std",
            "standard deviation of one insider's profit",
            "price x shares",
        ),
        Column("dealer_profit", "expected; zero in equilibrium", "price x shares"),
        Column(
            "noise_profit",
            "expected profit of noise traders: they pay for what insiders earn",
            "price x shares",
        ),
        Column("value_price_correlation", "of value and price", "1"),
        Column(
            "deviation_profits",
            "expected profit of an insider whose orders are 0.5, 0.8, 1, 1.25 and 1.5"
            " times those of the equilibrium",
            "price x shares",
            ("factors",),
        ),
    ),
    arrays=(),
    headline=(
        "price_impact",
        "intensity",
        "insider_profit",
        "posterior_variance",
        "exploitability",
    ),
    figures="gtrade.plotting.kyle:figures",
)

ENTRY = ModelEntry(
    name="kyle",
    summary="Informed traders hide in noise; the price learns from total flow.",
    source="Kyle 1985, section 2; Admati & Pfleiderer 1988; Holden & Subrahmanyam 1992",
    problem="gtrade.problems.kyle:Kyle",
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
            "standard deviation of noise traders' flow; greater than 0 unless value_std"
            " is 0",
            "shares",
        ),
        Parameter(
            "signal_noise_std",
            "number",
            "standard deviation of the error in what insiders see; at least 0",
            "price",
            default=0.0,
        ),
        Parameter("value_mean", "number", "expected value", "price", default=0.0),
        Parameter("num_insiders", "integer", "M; at least 1", default=1),
        Parameter(
            "signals",
            "text",
            'whether insiders see the same ("common") or each with an error of its own'
            ' ("private")',
            default="common",
            is_static=True,
            choices=("common", "private"),
        ),
    ),
    solvers=(
        SolverEntry(
            "closed-form",
            "gtrade.solvers.kyle:KyleClosedForm",
            "The linear equilibrium.",
            "Kyle 1985, theorem 1",
            (),
            precision="f64",
            calls_lapack=False,
        ),
        SolverEntry(
            "monte-carlo",
            "gtrade.solvers.kyle:KyleMonteCarlo",
            "The linear equilibrium, played many times over.",
            "docs/models/kyle.md",
            (
                Parameter(
                    "num_paths",
                    "integer",
                    "auctions played; at least 2",
                    "paths",
                    default=100_000,
                ),
                Parameter(
                    "variance_reduction",
                    "text",
                    "of profits: none, antithetic (noise flow both ways) or control"
                    " (the squared value, whose mean is known)",
                    default="none",
                    is_static=True,
                    choices=("none", "antithetic", "control"),
                ),
            ),
            evidence=_EVIDENCE.with_simulation(
                "price_impact",
                "intensity",
                "insider_profit",
                "posterior_variance",
                "dealer_profit",
                "noise_profit",
                "deviation_profits",
                headline=("insider_profit",),
            ),
            calls_lapack=False,
        ),
    ),
    verify="gtrade.verification.kyle:verify_kyle",
    evidence=_EVIDENCE,
)
