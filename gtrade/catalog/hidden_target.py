"""Catalog entry of a trader with a hidden target against an arbitrageur."""

from gtrade.catalog.base import Column, Evidence, ModelEntry, Parameter, SolverEntry

ENTRY = ModelEntry(
    name="hidden-target",
    summary="A trader hides how much it buys; an arbitrageur learns it from the price.",
    source="Moallemi, Park & Van Roy 2012, arXiv 0801.3001, with temporary impact",
    problem="gtrade.problems.hidden_target:HiddenTargetGame",
    parameters=(
        Parameter(
            "target_mean", "number", "what the arbitrageur expects at first", "shares"
        ),
        Parameter(
            "target_std",
            "number",
            "standard deviation of the target in its eyes; at least 0",
            "shares",
        ),
        Parameter(
            "noise_std",
            "number",
            "standard deviation of the noise in the net flow that the price shows,"
            " summed over the session; greater than 0",
            "shares",
        ),
        Parameter(
            "permanent_impact",
            "number",
            "kappa, permanent impact relative to temporary; at least 0",
            "1",
            estimate="kappa",
        ),
        Parameter(
            "target",
            "number",
            "what the trader has to buy; without it target_mean",
            "shares",
            default=None,
        ),
        Parameter(
            "arbitrageur_target",
            "number",
            "shares the arbitrageur ends with",
            "shares",
            default=0.0,
        ),
    ),
    solvers=(
        SolverEntry(
            "bayes-filter",
            "gtrade.solvers.bayes_filter:BayesFilter",
            "Linear perfect Bayesian equilibrium, by sweeps back to the first belief.",
            "after Moallemi, Park & Van Roy 2012",
            (
                Parameter(
                    "tol",
                    "number",
                    "of noise variance over prior variance, relative to it and the"
                    " first signal; greater than 0",
                    default=1e-12,
                ),
                Parameter(
                    "num_steps",
                    "integer",
                    "T, steps of trading; at least 1",
                    "steps",
                    default=64,
                    is_static=True,
                ),
                Parameter(
                    "max_steps",
                    "integer",
                    "most backward sweeps; at least 1",
                    "sweeps",
                    default=100,
                    is_static=True,
                ),
            ),
            precision="f64",
        ),
    ),
    verify="gtrade.verification.hidden_target:verify_hidden_target",
    evidence=Evidence(
        columns=(
            Column(
                "exploitability",
                "largest gain from a deviation: of the trader, given its target and on"
                " average over the prior, and of the arbitrageur",
                "cost",
            ),
            Column(
                "off_path_gain",
                "the same from any step and state no longer than the root mean square"
                " of the targets",
                "cost",
            ),
            Column(
                "belief_error",
                "largest root mean square distance of the arbitrageur's guess from the"
                " conditional mean",
                "shares",
            ),
            Column(
                "expected_costs",
                "of the trader given its target, of the arbitrageur given the prior",
                "cost",
                ("firms",),
            ),
            Column(
                "known_costs",
                "of both if the target were public and trades were seen",
                "cost",
                ("firms",),
            ),
            Column("known_exploitability", "exploitability of that play", "cost"),
            Column("hiding_value", "what hiding its target saves the trader", "cost"),
            Column("mean_hiding_value", "the same on average over the prior", "cost"),
            Column(
                "initial_rates",
                "rate at which trader and arbitrageur buy in the first step",
                "shares per unit of time",
                ("firms",),
            ),
            Column(
                "welfare",
                "expected total cost over the prior; lower is better",
                "cost",
            ),
            Column(
                "belief_stds",
                "standard deviation of what the trader has left to buy, to the"
                " arbitrageur, before each step",
                "shares",
                ("steps",),
            ),
        ),
        arrays=(
            Column(
                "schedules",
                "average positions of trader and arbitrageur, given the target",
                "shares",
                ("firms", "points"),
            ),
            Column("times", "when they are held, from 0 to 1", "1", ("points",)),
            Column(
                "trader_rules",
                "on what it has left, what the arbitrageur has left, and the belief",
                "1",
                ("steps", "states"),
            ),
            Column(
                "arbitrageur_rules",
                "on what it has left and its belief",
                "1",
                ("steps", "states"),
            ),
            Column(
                "filter_gains",
                "what an unexpected share says about the shares to come",
                "1",
                ("steps",),
            ),
        ),
        headline=("exploitability", "expected_costs", "known_costs", "hiding_value"),
        figures="gtrade.plotting.positions:figures",
    ),
)
