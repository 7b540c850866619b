"""Bayesian equilibria of position building by one symmetric eigendecomposition.

With J the joint probabilities of pairs of types, D the marginals and
G = 2 I + D^-1/2 J D^-1/2 (positive definite), the Euler-Lagrange equations of all types

    2 z'' + P z'' + K P z' + u'' + K u' = 0,   z(0) = 0, z(1) = V,   P = D^-1 J,

become, for z = t V - A^-1 (u - u(0) - t (u(1) - u(0))) + D^-1/2 G^-1 K^1/2 c with
A = 2 I + P,

    c'' + H c' = -D^1/2 K^1/2 s(t),   c(0) = c(1) = 0,   H = K^1/2 (I - 2 G^-1) K^1/2,
    s(t) = 2 A^-1 u'(t) + P A^-1 (u(1) - u(0)) + P V.

H is symmetric, so its spectrum is real and the equilibrium exists and is unique for
every common prior with positive marginals and every kappa >= 0 (docs/models/
position-building.md). Nothing is divided by kappa.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from gtrade._checks import InadmissibleError, check, check_integer
from gtrade.numerics.linear_ode import bridge
from gtrade.numerics.precision import product
from gtrade.numerics.quadrature import SMOOTH
from gtrade.problems.position_building import (
    PositionBuilding,
    differentiate,
    polynomials,
)
from gtrade.problems.position_paths import PositionPaths
from gtrade.solution import Solution
from gtrade.solvers.base import AbstractSolver
from gtrade.solvers.position_answers import (
    answer,
    check_unbounded,
    first_integral_residual,
    require_unbounded,
)


class Spectral(AbstractSolver):
    """Solve a game with a common prior, without risk aversion or bounds.

    Attributes:
        num_points: equally spaced times at which schedules are given (static).
    """

    num_points: int = eqx.field(static=True, default=65)

    cpu_block: ClassVar[int | None] = 256  # three times as fast as 8192 at a time

    def __check_init__(self) -> None:
        """Check the number of points."""
        self.validate(num_points=self.num_points)

    @classmethod
    def validate(cls, *, num_points: Any = 65) -> None:
        """Raise ValueError for inadmissible numbers."""
        check_integer(num_points=num_points, at_least=2)

    @classmethod
    def validate_for(cls, problem: Mapping[str, Any], **numbers: Any) -> None:
        """Raise ValueError for games that need another solver."""
        del numbers
        check_unbounded("spectral", problem)
        if problem.get("conditionals") is not None:
            rule = "be given as a common prior for spectral; matrix-exponential takes"
            rule += " conditionals"
            raise InadmissibleError("conditionals", rule, problem["conditionals"])
        risk = problem.get("risk_aversions")
        if risk is not None:
            rule = "be 0 for spectral; matrix-exponential takes risk aversion"
            check(rule, lambda x: x == 0, ndim=1, risk_aversions=risk)

    def solve(
        self, problem: PositionBuilding, *, key: PRNGKeyArray | None = None
    ) -> Solution[PositionPaths]:
        """Solve one game; differentiable once in all its numbers.

        Returns:
            The equilibrium, with status `converged`, `stalled` or `invalid_input`;
            the residual is how far each type's first-order condition, integrated once,
            is from a constant, relative to its largest term, or how far rates miss a
            target, if that is more: beyond kappas of 10^4 their layers at the ends of
            the day are too thin for the quadrature, and the status is `stalled`.
        """
        require_unbounded("spectral", problem)
        game, is_valid = problem.admitted()
        is_valid = is_valid & (game.risk_aversions == 0).all()
        paths = spectral_paths(game, self.num_points)
        residual = first_integral_residual(game, paths, has_risk=False)
        return answer(game, paths, residual, is_valid)


def spectral_paths(game: PositionBuilding, num_points: int) -> PositionPaths:
    """Return the equilibrium paths of a game with admissible numbers."""
    uniform = np.linspace(0.0, 1.0, num_points)
    times = np.concatenate([uniform, SMOOTH.times, [0.0]])
    positions, rates = _paths(game, times)
    end = num_points + SMOOTH.size
    return PositionPaths(
        schedules=positions[:, :num_points],
        positions=positions[:, num_points:end],
        rates=rates[:, num_points:end],
        initial_rates=rates[:, end],
        rule=SMOOTH,
    )


def spectral_positions(
    game: PositionBuilding, times: Float[Array, " times"]
) -> Float[Array, "types times"]:
    """Return equilibrium positions at any times in [0, 1], which may be traced.

    The game's numbers have to be admissible; the slope in them is exact, that in the
    times is taken to be zero.
    """
    return _paths(game, times)[0]


def _paths(game: PositionBuilding, times: Any) -> tuple[Array, Array]:
    joint, marginals = game.joint_beliefs()
    size, targets = game.size, game.targets
    dtype = targets.dtype
    weight = jnp.sqrt(marginals)  # D^1/2
    # K^1/2, with a slope at 0 too; what is added moves no path beyond rounding.
    impact = jnp.sqrt(game.permanent_impacts + jnp.finfo(dtype).eps ** 1.25)
    one = jnp.eye(size, dtype=dtype)
    gram = 2 * one + joint / (weight[:, None] * weight[None, :])
    inverse = jnp.linalg.inv(gram)
    inverse = (inverse + inverse.T) / 2
    matrix = impact[:, None] * (one - 2 * inverse) * impact[None, :]

    def respond(x: Array) -> Array:  # A^-1 x
        return product(inverse, weight[:, None] * x) / weight[:, None]

    flow = game.non_strategic
    degree = flow.shape[1] - 1
    span = flow[:, 1:].sum(axis=1, keepdims=True)  # u(1) - u(0)
    source = 2 * respond(differentiate(flow))  # coefficients of 1, t, ...
    constant = span - 2 * respond(span)  # P A^-1 = I - 2 A^-1
    constant = constant + product(joint / marginals[:, None], targets[:, None])
    source = source.at[:, 0].add(constant[:, 0])
    at = jnp.asarray(times, dtype)
    curve, slope = bridge(matrix, (weight * impact)[:, None] * source, at)

    def back(c: Array) -> Array:  # D^-1/2 G^-1 K^1/2 c
        return product(inverse, impact[:, None] * c) / weight[:, None]

    positions = targets[:, None] * at[None, :] + back(curve)
    rates = targets[:, None] + back(slope)
    if degree > 1:
        line = jnp.zeros_like(flow).at[:, 0].set(flow[:, 0]).at[:, 1].set(span[:, 0])
        bend = flow - line
        positions = positions - respond(polynomials(bend, times))
        rates = rates - respond(polynomials(differentiate(bend), times))
    return positions, rates
