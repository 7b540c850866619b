"""Batch solver for the games that traders play, on CPUs and GPUs.

Public names are imported on first use: `import gtrade` imports no jax and starts no
backend.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gtrade.calibration.impact_filter import Execution as Execution
    from gtrade.calibration.impact_filter import filter_impact as filter_impact
    from gtrade.calibration.impact_filter import init_impact as init_impact
    from gtrade.calibration.impact_filter import update_impact as update_impact
    from gtrade.calibration.replanning import replan as replan
    from gtrade.calibration.replanning import trade_and_learn as trade_and_learn
    from gtrade.catalog.evidence import verify as verify
    from gtrade.estimating import estimate as estimate
    from gtrade.estimating import estimate_quantiles as estimate_quantiles
    from gtrade.problems.almgren_chriss import AlmgrenChriss as AlmgrenChriss
    from gtrade.problems.almgren_chriss_portfolio import (
        AlmgrenChrissPortfolio as AlmgrenChrissPortfolio,
    )
    from gtrade.problems.base import make_batch as make_batch
    from gtrade.problems.bimatrix import BimatrixGame as BimatrixGame
    from gtrade.problems.discrete_trading import TradingGame as TradingGame
    from gtrade.problems.feedback_position import (
        FeedbackPositionGame as FeedbackPositionGame,
    )
    from gtrade.problems.glosten_milgrom import GlostenMilgrom as GlostenMilgrom
    from gtrade.problems.hidden_target import HiddenTargetGame as HiddenTargetGame
    from gtrade.problems.kyle import Kyle as Kyle
    from gtrade.problems.kyle import KyleSequential as KyleSequential
    from gtrade.problems.kyle_limit import continuous_limit as continuous_limit
    from gtrade.problems.mean_field import mean_field_path as mean_field_path
    from gtrade.problems.position_building import PositionBuilding as PositionBuilding
    from gtrade.problems.power_law_position import PowerLawPosition as PowerLawPosition
    from gtrade.problems.repeated_positions import (
        RepeatedPositionBuilding as RepeatedPositionBuilding,
    )
    from gtrade.problems.transient_impact import TransientImpact as TransientImpact
    from gtrade.problems.uncertain_impact import UncertainImpact as UncertainImpact
    from gtrade.responses.dynamic_programming import (
        shortest_schedule as shortest_schedule,
    )
    from gtrade.responses.separable import best_response as best_response
    from gtrade.solution import Solution as Solution
    from gtrade.solution import Status as Status
    from gtrade.solution import raise_unless_converged as raise_unless_converged
    from gtrade.solution import status_names as status_names
    from gtrade.solvers.almgren_chriss import (
        AlmgrenChrissClosedForm as AlmgrenChrissClosedForm,
    )
    from gtrade.solvers.almgren_chriss_portfolio import (
        PortfolioClosedForm as PortfolioClosedForm,
    )
    from gtrade.solvers.backward_induction import BackwardInduction as BackwardInduction
    from gtrade.solvers.backward_induction import OpenLoop as OpenLoop
    from gtrade.solvers.bayes_filter import BayesFilter as BayesFilter
    from gtrade.solvers.best_response import (
        BestResponseDynamics as BestResponseDynamics,
    )
    from gtrade.solvers.correlated import CorrelatedLP as CorrelatedLP
    from gtrade.solvers.double_oracle import DoubleOracle as DoubleOracle
    from gtrade.solvers.execution_monte_carlo import (
        AlmgrenChrissMonteCarlo as AlmgrenChrissMonteCarlo,
    )
    from gtrade.solvers.execution_program import ExecutionProgram as ExecutionProgram
    from gtrade.solvers.execution_value_at_risk import ValueAtRisk as ValueAtRisk
    from gtrade.solvers.fractional_nash import FractionalNash as FractionalNash
    from gtrade.solvers.ftpl import FTPL as FTPL
    from gtrade.solvers.glosten_milgrom import (
        GlostenMilgromClosedForm as GlostenMilgromClosedForm,
    )
    from gtrade.solvers.glosten_milgrom_simulation import (
        GlostenMilgromMonteCarlo as GlostenMilgromMonteCarlo,
    )
    from gtrade.solvers.gradient_play import GradientPlay as GradientPlay
    from gtrade.solvers.kyle import KyleClosedForm as KyleClosedForm
    from gtrade.solvers.kyle import KyleMonteCarlo as KyleMonteCarlo
    from gtrade.solvers.kyle_sequential import (
        KyleSequentialClosedForm as KyleSequentialClosedForm,
    )
    from gtrade.solvers.kyle_sequential import (
        KyleSequentialMonteCarlo as KyleSequentialMonteCarlo,
    )
    from gtrade.solvers.lemke_howson import LemkeHowson as LemkeHowson
    from gtrade.solvers.line_responses import LineResponses as LineResponses
    from gtrade.solvers.linear_system import LinearSystem as LinearSystem
    from gtrade.solvers.matrix_exponential import MatrixExponential as MatrixExponential
    from gtrade.solvers.portfolio_monte_carlo import (
        PortfolioMonteCarlo as PortfolioMonteCarlo,
    )
    from gtrade.solvers.position_learners import DualAveraging as DualAveraging
    from gtrade.solvers.position_learners import MirrorDescent as MirrorDescent
    from gtrade.solvers.position_learners import PerturbedLeader as PerturbedLeader
    from gtrade.solvers.position_learners import (
        StochasticGradientPlay as StochasticGradientPlay,
    )
    from gtrade.solvers.power_law_closed_form import (
        PowerLawClosedForm as PowerLawClosedForm,
    )
    from gtrade.solvers.power_law_newton import PowerLawNewton as PowerLawNewton
    from gtrade.solvers.self_play import face as face
    from gtrade.solvers.spectral import Spectral as Spectral
    from gtrade.solvers.support_enumeration import (
        SupportEnumeration as SupportEnumeration,
    )
    from gtrade.solvers.swap_regret import SwapFTPL as SwapFTPL
    from gtrade.solvers.transient_impact import (
        TransientLinearSystem as TransientLinearSystem,
    )
    from gtrade.solvers.variational_inequality import Constrained as Constrained
    from gtrade.solving import solve as solve
    from gtrade.solving import solve_batch as solve_batch
    from gtrade.sweeps.store import load as load

__version__ = "0.1.0"

_HOMES = {
    "AlmgrenChriss": "gtrade.problems.almgren_chriss",
    "AlmgrenChrissClosedForm": "gtrade.solvers.almgren_chriss",
    "AlmgrenChrissMonteCarlo": "gtrade.solvers.execution_monte_carlo",
    "AlmgrenChrissPortfolio": "gtrade.problems.almgren_chriss_portfolio",
    "BackwardInduction": "gtrade.solvers.backward_induction",
    "BayesFilter": "gtrade.solvers.bayes_filter",
    "BestResponseDynamics": "gtrade.solvers.best_response",
    "BimatrixGame": "gtrade.problems.bimatrix",
    "Constrained": "gtrade.solvers.variational_inequality",
    "CorrelatedLP": "gtrade.solvers.correlated",
    "DoubleOracle": "gtrade.solvers.double_oracle",
    "DualAveraging": "gtrade.solvers.position_learners",
    "Execution": "gtrade.calibration.impact_filter",
    "ExecutionProgram": "gtrade.solvers.execution_program",
    "FTPL": "gtrade.solvers.ftpl",
    "FeedbackPositionGame": "gtrade.problems.feedback_position",
    "FractionalNash": "gtrade.solvers.fractional_nash",
    "GlostenMilgrom": "gtrade.problems.glosten_milgrom",
    "GlostenMilgromClosedForm": "gtrade.solvers.glosten_milgrom",
    "GlostenMilgromMonteCarlo": "gtrade.solvers.glosten_milgrom_simulation",
    "GradientPlay": "gtrade.solvers.gradient_play",
    "HiddenTargetGame": "gtrade.problems.hidden_target",
    "Kyle": "gtrade.problems.kyle",
    "KyleClosedForm": "gtrade.solvers.kyle",
    "KyleMonteCarlo": "gtrade.solvers.kyle",
    "KyleSequential": "gtrade.problems.kyle",
    "KyleSequentialClosedForm": "gtrade.solvers.kyle_sequential",
    "KyleSequentialMonteCarlo": "gtrade.solvers.kyle_sequential",
    "LemkeHowson": "gtrade.solvers.lemke_howson",
    "LineResponses": "gtrade.solvers.line_responses",
    "LinearSystem": "gtrade.solvers.linear_system",
    "MatrixExponential": "gtrade.solvers.matrix_exponential",
    "MirrorDescent": "gtrade.solvers.position_learners",
    "OpenLoop": "gtrade.solvers.backward_induction",
    "PerturbedLeader": "gtrade.solvers.position_learners",
    "PortfolioClosedForm": "gtrade.solvers.almgren_chriss_portfolio",
    "PortfolioMonteCarlo": "gtrade.solvers.portfolio_monte_carlo",
    "PositionBuilding": "gtrade.problems.position_building",
    "PowerLawClosedForm": "gtrade.solvers.power_law_closed_form",
    "PowerLawNewton": "gtrade.solvers.power_law_newton",
    "PowerLawPosition": "gtrade.problems.power_law_position",
    "RepeatedPositionBuilding": "gtrade.problems.repeated_positions",
    "Solution": "gtrade.solution",
    "Spectral": "gtrade.solvers.spectral",
    "Status": "gtrade.solution",
    "StochasticGradientPlay": "gtrade.solvers.position_learners",
    "SupportEnumeration": "gtrade.solvers.support_enumeration",
    "SwapFTPL": "gtrade.solvers.swap_regret",
    "TradingGame": "gtrade.problems.discrete_trading",
    "TransientImpact": "gtrade.problems.transient_impact",
    "TransientLinearSystem": "gtrade.solvers.transient_impact",
    "UncertainImpact": "gtrade.problems.uncertain_impact",
    "ValueAtRisk": "gtrade.solvers.execution_value_at_risk",
    "best_response": "gtrade.responses.separable",
    "continuous_limit": "gtrade.problems.kyle_limit",
    "estimate": "gtrade.estimating",
    "estimate_quantiles": "gtrade.estimating",
    "face": "gtrade.solvers.self_play",
    "filter_impact": "gtrade.calibration.impact_filter",
    "init_impact": "gtrade.calibration.impact_filter",
    "load": "gtrade.sweeps.store",
    "make_batch": "gtrade.problems.base",
    "mean_field_path": "gtrade.problems.mean_field",
    "raise_unless_converged": "gtrade.solution",
    "replan": "gtrade.calibration.replanning",
    "shortest_schedule": "gtrade.responses.dynamic_programming",
    "solve": "gtrade.solving",
    "solve_batch": "gtrade.solving",
    "status_names": "gtrade.solution",
    "trade_and_learn": "gtrade.calibration.replanning",
    "update_impact": "gtrade.calibration.impact_filter",
    "verify": "gtrade.catalog.evidence",
}

__all__ = sorted([*_HOMES, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gtrade' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
