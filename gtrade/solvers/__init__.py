"""How games are solved. A solver never certifies its own answer."""

from gtrade.solvers.backward_induction import BackwardInduction as BackwardInduction
from gtrade.solvers.backward_induction import OpenLoop as OpenLoop
from gtrade.solvers.base import AbstractHostSolver as AbstractHostSolver
from gtrade.solvers.base import AbstractLearner as AbstractLearner
from gtrade.solvers.base import AbstractSolver as AbstractSolver
from gtrade.solvers.bayes_filter import BayesFilter as BayesFilter
from gtrade.solvers.best_response import BestResponseDynamics as BestResponseDynamics
from gtrade.solvers.ftpl import FTPL as FTPL
from gtrade.solvers.self_play import Play as Play
from gtrade.solvers.self_play import face as face
from gtrade.solvers.self_play import self_play as self_play
from gtrade.solvers.swap_regret import SwapFTPL as SwapFTPL
