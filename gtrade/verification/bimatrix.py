"""All evidence about answers to bimatrix games, as row columns."""

from typing import Any

from jaxtyping import Array

from gtrade.problems.bimatrix import BimatrixGame
from gtrade.problems.strategies import CorrelatedExtremes
from gtrade.solution import Solution
from gtrade.verification.correlated import verify_correlated_bimatrix
from gtrade.verification.nash import verify_mixed_pair


def verify_bimatrix_solution(
    game: BimatrixGame, solver: Any, solution: Solution, arrays: tuple[str, ...] = ()
) -> dict[str, Array]:
    """Measure a solution of a bimatrix game; see the catalog for the columns."""
    if isinstance(solution.value, CorrelatedExtremes):
        return verify_correlated_bimatrix(game, solver, solution, arrays)
    return verify_mixed_pair(game, solution, arrays)
