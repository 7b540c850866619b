"""Catalog entry of position building in steps, with feedback strategies."""

from gtrade.catalog.base import Column, Evidence, ModelEntry, Parameter, SolverEntry

_FIGURES = "gtrade.plotting.positions:figures"
_NUM_STEPS = Parameter(
    "num_steps",
    "integer",
    "T, steps of trading; at least 1",
    "steps",
    default=64,
    is_static=True,
)
_EXPLOITABILITY = Column(
    "exploitability", "largest gain of a firm from a unilateral deviation", "cost"
)
_COSTS = Column("expected_costs", "cost of each firm", "cost", ("firms",))
_RATES = Column(
    "initial_rates",
    "rate at which each firm buys in the first step",
    "shares per unit of time",
    ("firms",),
)
_WELFARE = Column("welfare", "total cost; lower is better", "cost")
_SCHEDULES = Column(
    "schedules",
    "positions before, between and after steps",
    "shares",
    ("firms", "points"),
)
_TIMES = Column("times", "when they are held, from 0 to 1", "1", ("points",))

ENTRY = ModelEntry(
    name="feedback-position",
    summary="Firms build positions in steps and may react to each other's positions.",
    source="Carlin, Lobo & Viswanathan 2007; Chriss, arXiv 2409.03586, in steps",
    problem="gtrade.problems.feedback_position:FeedbackPositionGame",
    parameters=(
        Parameter(
            "targets",
            "number",
            "shares each firm ends with (negative: short)",
            "shares",
            ndim=1,
        ),
        Parameter(
            "permanent_impact",
            "number",
            "kappa of all firms, permanent impact relative to temporary; at least 0",
            "1",
            default=None,
            estimate="kappa",
        ),
        Parameter(
            "permanent_impacts",
            "number",
            "in place of permanent_impact: kappa as each firm sees it; at least 0",
            "1",
            default=None,
            ndim=1,
        ),
    ),
    solvers=(
        SolverEntry(
            "backward-induction",
            "gtrade.solvers.backward_induction:BackwardInduction",
            "The Markov perfect equilibrium in linear rules of what is left to buy.",
            "Basar & Olsder 1999, chapter 6",
            (_NUM_STEPS,),
            precision="f64",
        ),
        SolverEntry(
            "open-loop",
            "gtrade.solvers.backward_induction:OpenLoop",
            "The equilibrium of schedules that are fixed before the first step.",
            "Chriss, arXiv 2409.03586; Carlin, Lobo & Viswanathan 2007",
            (_NUM_STEPS,),
            precision="f64",
            evidence=Evidence(
                columns=(_EXPLOITABILITY, _COSTS, _RATES, _WELFARE),
                arrays=(_SCHEDULES, _TIMES),
                headline=("exploitability", "expected_costs", "welfare"),
                figures=_FIGURES,
            ),
        ),
    ),
    verify="gtrade.verification.feedback_position:verify_feedback_position",
    evidence=Evidence(
        columns=(
            _EXPLOITABILITY,
            Column(
                "off_path_gain",
                "the same at four steps of the session, in the worst state (shares"
                " left, net position) that is no longer than the targets",
                "cost",
            ),
            _COSTS,
            Column(
                "open_loop_costs",
                "what schedules fixed in advance would cost in equilibrium",
                "cost",
                ("firms",),
            ),
            Column("open_loop_gain", "exploitability of those schedules", "cost"),
            _RATES,
            _WELFARE,
        ),
        arrays=(
            _SCHEDULES,
            _TIMES,
            Column(
                "gains",
                "what a firm buys in a step for a share that a firm has left to buy",
                "1",
                ("steps", "firms", "firms"),
            ),
        ),
        headline=("exploitability", "expected_costs", "open_loop_costs", "welfare"),
        figures=_FIGURES,
    ),
)
