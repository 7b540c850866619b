"""Run every experiment: `python .../kearns_shi_2025/run_all.py --out results`."""

from experiment import run_all

EXPERIMENTS = (
    "fig1_2_responses",
    "theorem_4_5_cycle",
    "fig3_regret",
    "fig4_distances",
    "fig5_total_variation",
    "fig6_actions",
    "fig7_welfare",
    "fig8_swap_regret",
    "composite",
    "adversary",
)


if __name__ == "__main__":
    run_all(EXPERIMENTS, __doc__)
