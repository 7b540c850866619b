"""What is played: payoffs, dynamics, constraints. No algorithm, no tolerance."""

from gtrade.problems.base import AbstractProblem as AbstractProblem
from gtrade.problems.base import make_batch as make_batch
from gtrade.problems.bimatrix import BimatrixGame as BimatrixGame
from gtrade.problems.discrete_trading import TradingGame as TradingGame
from gtrade.problems.feedback_position import (
    FeedbackPositionGame as FeedbackPositionGame,
)
from gtrade.problems.hidden_target import HiddenTargetGame as HiddenTargetGame
