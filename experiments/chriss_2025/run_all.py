"""Run every experiment: `python .../chriss_2025/run_all.py --out results`."""

from experiment import run_all

EXPERIMENTS = (
    "table_2x2",
    "fig1_3_strategies",
    "fig4_5_costs",
    "fig6_three_types",
    "fig7_8_non_strategic",
    "anarchy",
    "constraints",
    "belief_errors",
    "centralisation",
    "many_firms",
    "open_closed_loop",
    "extensions",
)


if __name__ == "__main__":
    run_all(EXPERIMENTS, __doc__)
