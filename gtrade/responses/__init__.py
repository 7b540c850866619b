"""Exact best responses, used by solvers and by verification alike."""

from gtrade.responses.general import table_response as table_response
from gtrade.responses.separable import best_response as best_response
from gtrade.responses.separable import cheapest_schedule as cheapest_schedule
from gtrade.responses.separable import separable_response as separable_response
