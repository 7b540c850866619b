"""Evidence: recomputed from problem and answer, by code that knows no update rule."""

from gtrade.verification.dependence import tv_distance as tv_distance
from gtrade.verification.dependence import tv_distance_ks25 as tv_distance_ks25
from gtrade.verification.exploitability import (
    best_response_gaps as best_response_gaps,
)
from gtrade.verification.exploitability import exploitability as exploitability
from gtrade.verification.regret import external_regret as external_regret
from gtrade.verification.regret import regret_curve as regret_curve
from gtrade.verification.regret import swap_regret as swap_regret
